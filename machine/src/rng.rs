//! Randomness that a run's seed determines.

use core::fmt;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng};

/// A ChaCha8 stream forked from (run seed, peer, role): the same three give the same numbers in every process.
#[derive(Clone, Debug)]
pub struct Rng(ChaCha8Rng);

/// A stream that is put away: forty bytes instead of some three hundred, for a machine that draws seldom. It goes on where it was.
#[derive(Clone)]
pub struct Folded {
    seed: [u8; 32],
    /// How many words of 32 bits were taken.
    words: u64,
}

/// Whoever knew the seed would know all that is drawn.
impl fmt::Debug for Folded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Folded").finish_non_exhaustive()
    }
}

const _: () = assert!(size_of::<Folded>() == 40, "a stream that is put away is small");

impl Folded {
    /// Draws from the stream, which is set up anew for it: worth it where draws are few.
    pub fn unfold<T>(&mut self, draw: impl FnOnce(&mut Rng) -> T) -> T {
        let mut stream = ChaCha8Rng::from_seed(self.seed);
        stream.set_word_pos(u128::from(self.words));
        let mut rng = Rng(stream);
        let drawn = draw(&mut rng);
        *self = rng.fold();
        drawn
    }
}

impl Rng {
    /// Puts the stream away.
    pub fn fold(&self) -> Folded {
        let words = u64::try_from(self.0.get_word_pos()).expect("nobody draws 2^64 times");
        Folded { seed: self.0.get_seed(), words }
    }

    /// The stream of `role` at `peer` in the run `seed`. `role` has at most 16 bytes.
    pub fn new(seed: u64, peer: u64, role: &str) -> Self {
        assert!(role.len() <= 16, "a role's name fits into the seed");
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        bytes[8..16].copy_from_slice(&peer.to_le_bytes());
        bytes[16..16 + role.len()].copy_from_slice(role.as_bytes());
        Self(ChaCha8Rng::from_seed(bytes))
    }

    /// Uniform 64 bits.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Uniform in `0..bound`, without bias. `bound` is above zero.
    #[inline]
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "an empty range has no element");
        // Lemire's multiplication method, with rejection of the short last interval.
        let threshold = bound.wrapping_neg() % bound;
        loop {
            let wide = u128::from(self.next_u64()) * u128::from(bound);
            if wide as u64 >= threshold {
                return (wide >> 64) as u64;
            }
        }
    }

    /// One element, uniformly, or nothing of an empty slice.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        if items.is_empty() {
            return None;
        }
        items.get(self.below(items.len() as u64) as usize)
    }

    /// Puts the slice into a uniformly random order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.below(last as u64 + 1) as usize;
            items.swap(last, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn streams_differ_by_seed_peer_and_role_and_repeat() {
        let draw = |seed, peer, role| Rng::new(seed, peer, role).next_u64();
        assert_eq!(draw(1, 2, "gossip"), draw(1, 2, "gossip"));
        assert_ne!(draw(1, 2, "gossip"), draw(2, 2, "gossip"));
        assert_ne!(draw(1, 2, "gossip"), draw(1, 3, "gossip"));
        assert_ne!(draw(1, 2, "gossip"), draw(1, 2, "mining"));
    }

    #[test]
    fn a_stream_that_was_put_away_goes_on_where_it_was() {
        let mut whole = Rng::new(1, 2, "folded");
        let mut folded = whole.fold();
        // A block has eight of these numbers and the stream's buffer thirty-two: ends of both are among the places where it is put away.
        for count in [8, 24, 32, 1, 2, 3, 7, 40, 1, 100] {
            let expected: Vec<u64> = (0..count).map(|_| whole.next_u64()).collect();
            assert_eq!(folded.unfold(|rng| (0..count).map(|_| rng.next_u64()).collect::<Vec<u64>>()), expected);
        }
        assert_eq!(whole.fold().unfold(Rng::next_u64), whole.next_u64());
    }

    #[test]
    fn below_covers_its_range_and_no_more() {
        let mut rng = Rng::new(7, 0, "test");
        let mut seen = [0_u32; 5];
        for _ in 0..5_000 {
            seen[rng.below(5) as usize] += 1;
        }
        assert!(seen.iter().all(|&count| (900..1_100).contains(&count)), "{seen:?}");
    }
}
