//! What happened, as a number and as a record.

mod recorder;

use synod_machine::Time;

pub use recorder::{Filter, Happening, Recorder, What};

/// A running hash over everything that happens: each step with its time, its peer and its input, each effect. Not for
/// adversaries: it tells two runs apart that should be one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Digest(u64);

impl Digest {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed ^ 0x5951_0d5e_ed00_0001)
    }

    pub(crate) const fn value(&self) -> u64 {
        self.0
    }

    #[inline]
    pub(crate) fn step(&mut self, at: Time, peer: u32, what: u64) {
        self.add(at.0);
        self.add(u64::from(peer) << 32 ^ what);
    }

    pub(crate) fn crash(&mut self, at: Time, peer: u32) {
        self.step(at, peer, word("crash"));
    }

    /// Folds the product of both halves (wyhash's mixing step; Wang Yi 2019).
    #[inline]
    pub(crate) fn add(&mut self, number: u64) {
        let product = u128::from(self.0 ^ number) * 0xa076_1d64_78bd_642f_e703_7ed1_a0b4_28db_u128 as u64 as u128;
        self.0 = (product as u64 ^ (product >> 64) as u64).wrapping_add(0x9e37_79b9_7f4a_7c15);
    }
}

/// The first eight bytes of a name.
#[inline]
pub(crate) fn word(name: &str) -> u64 {
    let bytes = name.as_bytes();
    match bytes.first_chunk() {
        Some(first) => u64::from_le_bytes(*first),
        None => bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_anywhere_shows() {
        let run = |steps: &[(u64, u32, &str)]| {
            let mut digest = Digest::new(7);
            for (at, peer, what) in steps {
                digest.step(Time(*at), *peer, word(what));
            }
            digest.value()
        };
        let first = run(&[(1, 1, "push"), (2, 2, "ihave")]);
        assert_eq!(first, run(&[(1, 1, "push"), (2, 2, "ihave")]));
        for other in [
            run(&[(2, 2, "ihave"), (1, 1, "push")]),
            run(&[(1, 1, "push"), (2, 2, "iwant")]),
            run(&[(1, 1, "push"), (3, 2, "ihave")]),
            run(&[(1, 1, "push"), (2, 1, "ihave")]),
            run(&[(1, 1, "push")]),
        ] {
            assert_ne!(first, other);
        }
    }
}
