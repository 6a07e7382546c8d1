//! Seeds on several threads. A world is made, run and dropped within one thread; what is told comes in the order of seeds,
//! whichever is done first.

use std::any::Any;
use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;

use synod_machine::Time;
use synod_scenario::Broken;

/// Runs `work` for every seed on so many threads, and hands what came of each to `tell`, in the order of seeds.
pub(in crate::cli) fn batch<T: Send>(
    seeds: Range<u64>,
    jobs: usize,
    work: impl Fn(u64) -> T + Sync,
    mut tell: impl FnMut(u64, Result<T, Broken>),
) {
    quiet_threads();
    let next = AtomicU64::new(seeds.start);
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        for job in 0..jobs.max(1) {
            let (sender, next, work) = (sender.clone(), &next, &work);
            let run = move || {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end || sender.send((seed, caught(|| work(seed)))).is_err() {
                        return;
                    }
                }
            };
            let thread = thread::Builder::new().name(format!("{THREAD}{job}"));
            thread.spawn_scoped(scope, run).expect("the system has room for a thread per core");
        }
        drop(sender);
        let mut early = BTreeMap::new();
        let mut wanted = seeds.start;
        for (seed, result) in receiver {
            early.insert(seed, result);
            while let Some(result) = early.remove(&wanted) {
                tell(wanted, result);
                wanted += 1;
            }
        }
    });
}

/// Runs `work` on a thread of its own, where a panic is not told of.
pub(super) fn quietly<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, Broken> {
    quiet_threads();
    thread::scope(|scope| {
        let thread = thread::Builder::new().name(format!("{THREAD}0"));
        let running = thread.spawn_scoped(scope, || caught(work)).expect("the system has room for a thread");
        running.join().expect("a panic was caught before")
    })
}

/// A run that cannot even begin broke at its first step.
fn caught<T>(work: impl FnOnce() -> T) -> Result<T, Broken> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let panic: &(dyn Any + Send) = &*panic;
        let text = panic.downcast_ref::<String>().cloned();
        let reason = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
        Broken { step: 0, at: Time::ZERO, reason: reason.unwrap_or_else(|| "a panic".to_owned()) }
    })
}

/// A broken invariant is told of in the report, and not when it is found.
pub(in crate::cli) fn quiet_threads() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !thread::current().name().is_some_and(|name| name.starts_with(THREAD)) {
                usual(info);
            }
        }));
    });
}

const THREAD: &str = "sim-";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_told_comes_in_the_order_of_seeds() {
        let mut told = Vec::new();
        let work = |seed: u64| {
            thread::sleep(Duration::from_millis(20 - seed));
            seed * seed
        };
        batch(3..9, 4, work, |seed, result| told.push((seed, result.ok())));
        let expected: Vec<(u64, Option<u64>)> = (3..9).map(|seed| (seed, Some(seed * seed))).collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn a_panic_is_what_came_of_its_seed_alone() {
        let mut told = Vec::new();
        let work = |seed: u64| {
            assert!(seed != 2, "two is not allowed");
            seed
        };
        batch(1..4, 2, work, |seed, result| told.push((seed, result.map_err(|broken| broken.reason))));
        assert_eq!(told, [(1, Ok(1)), (2, Err("two is not allowed".to_owned())), (3, Ok(3))]);
    }
}
