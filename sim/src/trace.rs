//! What happened, as a number and as a record, and the record as other programs read it.

mod chrome;
mod filter;
mod happening;
mod recorder;
mod shiviz;
mod text;

use synod_machine::Time;

pub use chrome::chrome;
pub use filter::{Filter, PEERS_MAX};
pub use happening::{Happening, Loss, TEXT_MAX, What};
pub(crate) use recorder::Origin;
pub use recorder::Recorder;
pub use shiviz::shiviz;

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
mod tests;
