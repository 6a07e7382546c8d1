//! Grinds proofs of work in threads of its own, within a budget of hashes per second.
//!
//! A block's id is the SHA-256 of an 80-byte preimage whose last 8 bytes are the nonce. The first 64 bytes do not depend
//! on the nonce, so their *midstate* is kept and each try is one compression. What to grind comes from the replica
//! (`Event::Mine`), and what is found goes back to it (`Command::Mined`); the miner checks neither.

mod budget;
mod grind;
mod meter;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use budget::{Budget, Grant};
use grind::Grind;
use meter::Meter;

pub use grind::{BenchRates, bench};

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

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").field("id", &self.id).finish_non_exhaustive()
    }
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
pub struct Miner {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

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
        let shared = Arc::new(Shared {
            changed: Condvar::new(),
            hashes: AtomicU64::new(0),
            meter: Mutex::new(Meter::new()),
            on_found: Box::new(on_found),
            started: Instant::now(),
            version: AtomicU64::new(0),
            work: Mutex::new(Work { is_resting: false, is_stopped: false, job: None }),
        });
        let plans = plans(threads, hash_rate, nonce_first);
        let threads = plans.map(|plan| {
            let shared = Arc::clone(&shared);
            let thread = thread::Builder::new().name("miner".into());
            thread.spawn(move || shared.work_off(plan)).expect("the system gives a few threads")
        });
        Self { threads: threads.collect(), shared }
    }

    /// Gives the threads another job, or none. A job ends with its first found nonce: until the next one is set, the
    /// threads wait.
    pub fn set_job(&self, job: Option<Job>) {
        self.shared.change(|work| work.job = job);
    }

    /// Makes the threads rest, or go on with the job that is set then.
    pub fn set_resting(&self, is_resting: bool) {
        self.shared.change(|work| work.is_resting = is_resting);
    }

    /// How many hashes were made since the start.
    pub fn hashes_total(&self) -> u64 {
        self.shared.hashes.load(Ordering::Relaxed)
    }

    /// Hashes per second over the last five seconds.
    pub fn hash_rate(&self) -> u64 {
        self.shared.lock_meter().rate(self.shared.started.elapsed())
    }
}

impl Drop for Miner {
    fn drop(&mut self) {
        self.shared.change(|work| work.is_stopped = true);
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so already; dropping must not panic a second time.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Miner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Miner").field("threads", &self.threads.len()).finish_non_exhaustive()
    }
}

/// One thread's part of the work.
struct Plan {
    hash_rate: u64,
    nonce: u64,
}

/// Shares the hash rate out to the last hash and gives every thread its own range of nonces.
fn plans(threads: usize, hash_rate: u64, nonce_first: u64) -> impl Iterator<Item = Plan> {
    let count = threads as u64;
    let stride = u64::MAX / count.max(1);
    (0..count).filter_map(move |number| {
        let share = hash_rate / count + u64::from(number < hash_rate % count);
        let nonce = nonce_first.wrapping_add(stride * number);
        (share > 0).then_some(Plan { hash_rate: share, nonce })
    })
}

struct Shared {
    /// Signalled when `work` changes.
    changed: Condvar,
    hashes: AtomicU64,
    meter: Mutex<Meter>,
    on_found: Box<dyn Fn(Found) + Send + Sync>,
    started: Instant,
    /// Raised with every change of `work`, under its lock; a thread looks for a change without the lock.
    version: AtomicU64,
    work: Mutex<Work>,
}

struct Work {
    is_resting: bool,
    is_stopped: bool,
    job: Option<Job>,
}

impl Shared {
    /// A thread's life: wait for a job, grind slices of it as the budget allows, until there is another or none.
    fn work_off(&self, plan: Plan) {
        let mut budget = Budget::new(plan.hash_rate, self.started.elapsed());
        let mut nonce = plan.nonce;
        while let Some((version, job)) = self.next_job() {
            let mut grind = Grind::new(&job.preimage, &job.target);
            while self.version.load(Ordering::Acquire) == version {
                let count = match budget.take(self.started.elapsed()) {
                    Grant::Hashes(count) => count,
                    Grant::Wait(duration) => {
                        self.pause(version, duration);
                        continue;
                    }
                };
                // Nonces go on from job to job: a job that is set twice is not ground twice.
                let (made, found) = grind.run(nonce, count);
                nonce = nonce.wrapping_add(made);
                budget.give_back(count - made);
                self.count(made);
                if let Some(found) = found {
                    self.finish(version, Found { job: job.id, nonce: found });
                }
            }
        }
    }

    /// The job to do and the version of it, as soon as there is one; nothing when the miner stops.
    fn next_job(&self) -> Option<(u64, Job)> {
        let mut work = self.lock_work();
        loop {
            if work.is_stopped {
                return None;
            }
            if let Some(job) = work.job.filter(|_| !work.is_resting) {
                return Some((self.version.load(Ordering::Acquire), job));
            }
            work = self.changed.wait(work).expect(UNPOISONED);
        }
    }

    /// Sleeps until the budget allows more, or until the work changes.
    fn pause(&self, version: u64, duration: Duration) {
        let work = self.lock_work();
        let is_same = |_: &mut Work| self.version.load(Ordering::Acquire) == version;
        drop(self.changed.wait_timeout_while(work, duration, is_same).expect(UNPOISONED));
    }

    /// Ends the job and reports what was found, once: of two threads that find a nonce, or a thread and an owner that
    /// sets another job, the later one is too late.
    fn finish(&self, version: u64, found: Found) {
        {
            let mut work = self.lock_work();
            if self.version.load(Ordering::Acquire) != version {
                return;
            }
            work.job = None;
            self.version.fetch_add(1, Ordering::Release);
        }
        (self.on_found)(found);
    }

    fn change(&self, change: impl FnOnce(&mut Work)) {
        let mut work = self.lock_work();
        change(&mut work);
        self.version.fetch_add(1, Ordering::Release);
        drop(work);
        self.changed.notify_all();
    }

    fn count(&self, hashes: u64) {
        self.hashes.fetch_add(hashes, Ordering::Relaxed);
        self.lock_meter().add(self.started.elapsed(), hashes);
    }

    fn lock_meter(&self) -> MutexGuard<'_, Meter> {
        self.meter.lock().expect(UNPOISONED)
    }

    fn lock_work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().expect(UNPOISONED)
    }
}

const UNPOISONED: &str = "nothing panics while it holds the miner's locks";

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use sha2::{Digest, Sha256};

    use super::*;

    /// Every hash has this; a miner tries one nonce.
    const EASY: [u8; 32] = [0xff; 32];
    /// No hash that anybody will see has this.
    const IMPOSSIBLE: [u8; 32] = [0; 32];
    /// Longer than any answer takes, even on a crowded machine.
    const PATIENCE: Duration = Duration::from_secs(60);

    fn job(id: u64, target: [u8; 32]) -> Job {
        let mut preimage = [3; 80];
        preimage[0] = id.to_le_bytes()[0];
        Job { id, preimage, target }
    }

    fn miner(threads: usize, hash_rate: u64) -> (Miner, Receiver<Found>) {
        let (sender, found) = channel();
        (Miner::start(threads, hash_rate, 1000, move |found| _ = sender.send(found)), found)
    }

    fn hash(job: &Job, nonce: u64) -> [u8; 32] {
        let mut preimage = job.preimage;
        preimage[72..].copy_from_slice(&nonce.to_le_bytes());
        Sha256::digest(preimage).into()
    }

    #[test]
    fn a_found_nonce_proves_the_work() {
        let (miner, found) = miner(2, 10_000_000);
        // About one hash in 16,384.
        let mut target = [0xff; 32];
        target[..2].copy_from_slice(&[0, 3]);
        let job = job(1, target);
        miner.set_job(Some(job));
        let found = found.recv_timeout(PATIENCE).expect("found");
        assert_eq!(found.job, 1);
        assert!(hash(&job, found.nonce) <= target);
        assert!(miner.hashes_total() > 0);
    }

    #[test]
    fn a_job_ends_with_its_first_nonce() {
        let (miner, found) = miner(3, 10_000_000);
        miner.set_job(Some(job(7, EASY)));
        assert_eq!(found.recv_timeout(PATIENCE).expect("found").job, 7);
        // The threads are joined here, so that whatever they would still find is in the channel.
        drop(miner);
        assert_eq!(found.try_iter().count(), 0);
    }

    #[test]
    fn a_new_job_replaces_the_old_one() {
        let (miner, found) = miner(2, 10_000_000);
        miner.set_job(Some(job(1, IMPOSSIBLE)));
        miner.set_job(Some(job(2, EASY)));
        assert_eq!(found.recv_timeout(PATIENCE).expect("found").job, 2);
        miner.set_job(Some(job(3, IMPOSSIBLE)));
        miner.set_job(None);
        miner.set_job(Some(job(4, EASY)));
        assert_eq!(found.recv_timeout(PATIENCE).expect("found").job, 4);
    }

    #[test]
    fn a_resting_miner_takes_its_job_up_when_it_goes_on() {
        let (miner, found) = miner(2, 10_000_000);
        miner.set_job(Some(job(1, IMPOSSIBLE)));
        miner.set_resting(true);
        miner.set_job(Some(job(2, EASY)));
        let before = miner.hashes_total();
        miner.set_resting(false);
        assert_eq!(found.recv_timeout(PATIENCE).expect("found").job, 2);
        assert!(miner.hashes_total() > before);
        miner.set_resting(true);
        miner.set_job(Some(job(3, EASY)));
        // The threads are joined here, so that whatever they would still find is in the channel.
        drop(miner);
        assert_eq!(found.try_iter().count(), 0);
    }

    #[test]
    fn a_nonce_that_was_found_before_the_job_changed_carries_the_old_jobs_id() {
        let (found_sender, found) = channel();
        let (go_sender, go) = channel::<()>();
        let go = Mutex::new(go);
        let miner = Miner::start(1, 10_000_000, 0, move |found| {
            let _ = found_sender.send(found);
            // Holds the only thread until the owner has set another job.
            let _ = go.lock().expect("one thread").recv();
        });
        miner.set_job(Some(job(1, EASY)));
        assert_eq!(found.recv_timeout(PATIENCE).expect("found").job, 1);
        miner.set_job(Some(job(2, EASY)));
        go_sender.send(()).expect("the thread waits");
        assert_eq!(found.recv_timeout(PATIENCE).expect("found").job, 2);
        go_sender.send(()).expect("the thread waits");
    }

    #[test]
    fn nothing_is_ground_twice() {
        let (miner, found) = miner(1, 10_000_000);
        for expected in 1000..1010 {
            miner.set_job(Some(job(1, EASY)));
            assert_eq!(found.recv_timeout(PATIENCE).expect("found").nonce, expected);
        }
        drop(miner);
    }

    #[test]
    fn without_hash_rate_or_threads_nothing_runs() {
        for (threads, hash_rate) in [(0, 1000), (4, 0)] {
            let (miner, found) = miner(threads, hash_rate);
            miner.set_job(Some(job(1, EASY)));
            assert_eq!(miner.threads.len(), 0);
            assert_eq!(miner.hashes_total(), 0);
            assert_eq!(miner.hash_rate(), 0);
            drop(miner);
            assert_eq!(found.try_iter().count(), 0);
        }
    }

    #[test]
    fn the_hash_rate_is_shared_out_to_the_last_hash() {
        let shares = |threads, rate| plans(threads, rate, 5).map(|plan| plan.hash_rate).collect::<Vec<_>>();
        assert_eq!(shares(3, 11), [4, 4, 3]);
        assert_eq!(shares(4, 2), [1, 1]);
        assert_eq!(shares(1, u64::MAX), [u64::MAX]);
        let nonces: Vec<u64> = plans(2, 2, u64::MAX).map(|plan| plan.nonce).collect();
        assert_eq!(nonces, [u64::MAX, u64::MAX / 2 - 1]);
    }

    #[test]
    fn a_miner_stops_while_it_grinds_and_while_it_waits() {
        let (grinding, _found) = miner(2, u64::MAX);
        grinding.set_job(Some(job(1, IMPOSSIBLE)));
        drop(grinding);
        // One hash per second: its thread sleeps for the budget.
        let (sleeping, _found) = miner(1, 1);
        sleeping.set_job(Some(job(1, IMPOSSIBLE)));
        drop(sleeping);
        let (idle, _found) = miner(1, 1000);
        drop(idle);
    }
}
