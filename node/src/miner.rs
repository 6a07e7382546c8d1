//! Grinds proofs of work in threads of its own, within a budget of hashes per second.
//!
//! A block's id is the SHA-256 of an 80-byte preimage whose last 8 bytes are the nonce. The first 64 bytes do not depend
//! on the nonce, so their *midstate* is kept and each try is one compression. What to grind comes from the replica
//! (`Event::Mine`), and what is found goes back to it (`Command::Mined`); the miner checks neither.

use std::fmt;
use std::time::Duration;

/// What to grind.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Job {
    /// The owner's name for it.
    pub id: u64,
    /// What is hashed; the last 8 bytes are overwritten by nonces, little endian.
    pub preimage: [u8; 80],
    /// The highest hash that proves the work, big endian.
    pub target: [u8; 32],
}

/// A nonce whose hash is not above the job's target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The id of the job that it belongs to.
    pub job: u64,
    /// The nonce.
    pub nonce: u64,
}

/// The threads. They stop when it is dropped.
pub struct Miner {}

impl Miner {
    /// Starts `threads` threads that together make at most `hash_rate` hashes per second; none where either is 0.
    /// They try nonces from `nonce_first` on, which should differ from process to process. `on_found` is called on a
    /// miner's thread and must not block.
    pub fn start(
        threads: usize,
        hash_rate: u64,
        nonce_first: u64,
        on_found: impl Fn(Found) + Send + Sync + 'static,
    ) -> Self {
        let _ = (threads, hash_rate, nonce_first, on_found);
        Self {}
    }

    /// Gives the threads another job, or none. A job ends with its first found nonce: until the next one is set, the
    /// threads wait.
    pub fn set_job(&self, job: Option<Job>) {
        let _ = job;
    }

    /// How many hashes were made since the start.
    pub fn hashes_total(&self) -> u64 {
        0
    }

    /// Hashes per second over the last five seconds.
    pub fn hash_rate(&self) -> u64 {
        0
    }
}

/// Hashes per second of one thread, measured side by side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BenchRates {
    /// Of the miner's own loop.
    pub midstate: f64,
    /// Of nothing but compressions of the preimage's second block.
    pub bare: f64,
}

/// Measures the miner's loop and a bare loop of compressions for `duration` in all.
pub fn bench(duration: Duration) -> BenchRates {
    let _ = duration;
    BenchRates { midstate: 0.0, bare: 0.0 }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").field("id", &self.id).finish_non_exhaustive()
    }
}
