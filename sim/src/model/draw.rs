//! Randomness that has a place and no state: a draw is a hash of where it is made, so that what one message suffers does not
//! depend on the order in which messages are looked at.
//!
//! The hash is SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators"), whose
//! n-th output is a function of its seed and n alone. A run's seed gives streams, a stream gives draws.

/// A stream of uniform 64-bit draws, each had by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draw(u64);

impl Draw {
    /// The stream of this number in the run of this seed.
    #[inline]
    pub const fn new(seed: u64, stream: u64) -> Self {
        Self(nth(mix(seed), stream))
    }

    /// The stream of this number inside this one.
    #[must_use]
    pub const fn fork(self, stream: u64) -> Self {
        Self(nth(self.0, stream))
    }

    /// The draw of this number.
    #[inline]
    pub const fn get(self, counter: u64) -> u64 {
        nth(self.0, counter)
    }

    /// The draw `b` of the stream `a` of the run `seed`.
    #[inline]
    pub const fn at(seed: u64, a: u64, b: u64) -> u64 {
        Self::new(seed, a).get(b)
    }
}

/// The output `n` (from zero) of the SplitMix64 generator that begins at `seed`.
#[inline]
const fn nth(seed: u64, n: u64) -> u64 {
    mix(seed.wrapping_add(n.wrapping_add(1).wrapping_mul(GAMMA)))
}

/// The output function: Stafford's thirteenth variant of the finalizer of MurmurHash3.
#[inline]
const fn mix(state: u64) -> u64 {
    let state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

/// The odd number nearest to 2^64 over the golden ratio: SplitMix64's step.
const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// A probability that a draw is held against, without a fraction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chance(u64);

impl Chance {
    /// It never happens.
    pub const NEVER: Self = Self(0);

    /// A probability between 0 and 1, which is kept to 2^-63.
    pub fn new(probability: f64) -> Self {
        assert!((0.0..=1.0).contains(&probability), "a probability lies between 0 and 1");
        Self((probability * ONE as f64) as u64)
    }

    /// Whether it never happens, so that no draw is needed.
    #[inline]
    pub const fn is_never(self) -> bool {
        self.0 == 0
    }

    /// Whether it happens for this draw.
    #[inline]
    pub const fn hits(self, draw: u64) -> bool {
        draw >> 1 < self.0
    }
}

/// Certainty: above every draw of 63 bits.
const ONE: u64 = 1 << 63;

#[cfg(test)]
mod tests {
    use statrs::distribution::{ChiSquared, ContinuousCDF};

    use super::*;

    #[test]
    fn streams_are_split_mix_64_and_its_published_outputs() {
        // The first outputs of the generator for the seed 1234567, as its users' test vectors have them.
        let outputs = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        for (n, output) in outputs.into_iter().enumerate() {
            assert_eq!(Draw(1_234_567).get(n as u64), output);
        }
    }

    #[test]
    fn a_draw_has_no_memory() {
        let draw = Draw::new(7, 3);
        let late = draw.get(1_000);
        assert_eq!(draw.get(1_000), late);
        assert_eq!(Draw::at(7, 3, 1_000), late);
        assert_ne!(Draw::at(7, 3, 1_001), late);
        assert_ne!(Draw::at(7, 4, 1_000), late);
        assert_ne!(Draw::at(8, 3, 1_000), late);
        assert_ne!(Draw::at(7, 1_000, 3), late);
        assert_ne!(draw.fork(1).get(0), draw.fork(0).get(1));
    }

    #[test]
    fn draws_are_uniform_in_their_high_and_low_bits_along_every_coordinate() {
        let along: [fn(u64) -> u64; 4] =
            [|n| Draw::at(n, 0, 0), |n| Draw::at(0, n, 0), |n| Draw::at(0, 0, n), |n| Draw::at(1, n, n)];
        for (coordinate, draw) in along.into_iter().enumerate() {
            for shift in [0, 28, 56] {
                let mut counts = [0_u32; 256];
                for n in 0..256_000 {
                    counts[(draw(n) >> shift) as usize & 255] += 1;
                }
                let excess: f64 = counts.iter().map(|&count| (f64::from(count) - 1_000.0).powi(2) / 1_000.0).sum();
                let chance = ChiSquared::new(255.0).expect("there are degrees of freedom").sf(excess);
                assert!((0.001..0.999).contains(&chance), "coordinate {coordinate}, shift {shift}: {chance}");
            }
        }
    }

    #[test]
    fn a_chance_happens_as_often_as_it_says() {
        assert!(!Chance::new(0.0).hits(0));
        assert!(Chance::new(0.0).is_never());
        assert!(Chance::new(1.0).hits(u64::MAX));
        let count = (0..100_000).filter(|&n| Chance::new(0.05).hits(Draw::at(1, 2, n))).count();
        // Five standard deviations of 69.
        assert!((4_655..5_345).contains(&count), "{count}");
    }
}
