//! The loop over nonces: one SHA-256 compression a try.

use std::hint::black_box;
use std::slice;
use std::time::{Duration, Instant};

use sha2::block_api::compress256;

use super::budget::SLICE_HASHES_MAX;

/// SHA-256's first state (FIPS 180-4, section 5.3.3).
const INITIAL: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// One preimage, prepared.
pub(super) struct Grind {
    midstate: [u32; 8],
    /// The second block, twice. A nonce is written into one while the other is compressed: the compression loads 16 bytes
    /// at a time, and a load that meets an 8-byte store still on its way waits for it, 5 % of the time of a try.
    seconds: [Second; 2],
    target: [u32; 8],
}

/// A preimage's second block, in a cache line of its own.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Second([u8; 64]);

impl Grind {
    pub(super) fn new(preimage: &[u8; 80], target: &[u8; 32]) -> Self {
        let mut first = [0; 64];
        first.copy_from_slice(&preimage[..64]);
        let mut midstate = INITIAL;
        compress256(&mut midstate, slice::from_ref(&first));
        // The second block: the other 16 bytes, the padding's first bit, the length of 80 bytes in bits
        // (FIPS 180-4, section 5.1.1).
        let mut second = [0; 64];
        second[..16].copy_from_slice(&preimage[64..]);
        second[16] = 0x80;
        second[56..].copy_from_slice(&640_u64.to_be_bytes());
        let mut words = [0; 8];
        for (word, bytes) in words.iter_mut().zip(target.chunks_exact(4)) {
            *word = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        }
        Self { midstate, seconds: [Second(second); 2], target: words }
    }

    /// Tries `count` nonces from `nonce` on, or fewer: it stops at the first one whose hash is not above the target.
    /// Says how many it tried and which one it found.
    pub(super) fn run(&mut self, nonce: u64, count: u64) -> (u64, Option<u64>) {
        for (second, ahead) in self.seconds.iter_mut().zip(0..) {
            set_nonce(second, nonce.wrapping_add(ahead));
        }
        for tried in 0..count {
            let nonce = nonce.wrapping_add(tried);
            let second = &mut self.seconds[usize::from(tried % 2 == 1)];
            let mut state = self.midstate;
            compress256(&mut state, slice::from_ref(&second.0));
            // The hash is the state's words, big endian: words compare as the bytes do, and the first one nearly always
            // decides.
            if state[0] <= self.target[0] && state <= self.target {
                return (tried + 1, Some(nonce));
            }
            set_nonce(second, nonce.wrapping_add(2));
        }
        (count, None)
    }

    /// Nothing but `count` compressions.
    fn run_bare(&self, count: u64) -> u32 {
        let mut sum = 0;
        for _ in 0..count {
            let mut state = self.midstate;
            compress256(&mut state, slice::from_ref(black_box(&self.seconds[0].0)));
            sum ^= state[0];
        }
        sum
    }
}

/// The nonce lies in the preimage's bytes 72 to 80.
fn set_nonce(Second(second): &mut Second, nonce: u64) {
    second[8..16].copy_from_slice(&nonce.to_le_bytes());
}

/// Hashes per second of one thread, measured side by side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BenchRates {
    /// Of the miner's own loop.
    pub midstate: f64,
    /// Of nothing but compressions of the preimage's second block.
    pub bare: f64,
}

/// Measures the miner's loop and a bare loop of compressions for `duration` in all. They take turns slice by slice, and
/// the median slice counts: other work on the machine and a changing clock frequency disturb both alike.
pub fn bench(duration: Duration) -> BenchRates {
    let mut grind = Grind::new(&[7; 80], &[0; 32]);
    let (mut midstate, mut bare) = (Vec::new(), Vec::new());
    let begin = Instant::now();
    while bare.is_empty() || begin.elapsed() < duration {
        let start = Instant::now();
        black_box(grind.run(black_box(0), SLICE_HASHES_MAX));
        midstate.push(start.elapsed());
        let start = Instant::now();
        black_box(grind.run_bare(SLICE_HASHES_MAX));
        bare.push(start.elapsed());
    }
    BenchRates { midstate: median_rate(midstate), bare: median_rate(bare) }
}

fn median_rate(mut slices: Vec<Duration>) -> f64 {
    slices.sort_unstable();
    SLICE_HASHES_MAX as f64 / slices[slices.len() / 2].as_secs_f64()
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    fn hash(mut preimage: [u8; 80], nonce: u64) -> [u8; 32] {
        preimage[72..].copy_from_slice(&nonce.to_le_bytes());
        Sha256::digest(preimage).into()
    }

    #[test]
    fn a_try_is_the_sha_256_of_the_whole_preimage() {
        let preimage = std::array::from_fn(|at| u8::try_from(at).expect("small"));
        for nonce in [0, 1, 0x0102_0304_0506_0708, u64::MAX] {
            let target = hash(preimage, nonce);
            // The hash itself is a target that this nonce meets, and one below it is a target that it misses.
            assert_eq!(Grind::new(&preimage, &target).run(nonce, 1), (1, Some(nonce)));
            let mut below = target;
            let last = below.iter_mut().rev().find(|byte| **byte > 0).expect("no hash is zero");
            *last -= 1;
            assert_eq!(Grind::new(&preimage, &below).run(nonce, 1), (1, None));
        }
    }

    #[test]
    fn it_stops_at_the_first_nonce_that_meets_the_target() {
        let preimage = [9; 80];
        let mut target = [0xff; 32];
        target[0] = 0x03;
        let expected = (500..).find(|nonce| hash(preimage, *nonce) <= target).expect("one in 64");
        let (tried, found) = Grind::new(&preimage, &target).run(500, 100_000);
        assert_eq!((tried, found), (expected - 500 + 1, Some(expected)));
    }

    #[test]
    fn nonces_wrap_round() {
        let (tried, found) = Grind::new(&[1; 80], &[0; 32]).run(u64::MAX - 1, 5);
        assert_eq!((tried, found), (5, None));
    }

    #[test]
    fn the_bench_measures_both_loops() {
        let rates = bench(Duration::ZERO);
        assert!(rates.midstate > 0.0);
        assert!(rates.bare > 0.0);
    }
}
