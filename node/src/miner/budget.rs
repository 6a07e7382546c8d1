//! How many hashes a thread may make now: a bucket of tokens that time fills. The time is an argument.

use std::time::Duration;

/// Slices per second. A nonce is found, and a new job noticed, this much of a second late at most; fifty short sleeps
/// cost a thousandth of a core.
const SLICES_PER_SECOND: u64 = 50;

/// The most hashes in one slice, so that a thread without a real limit looks for a new job every few milliseconds.
pub(super) const SLICE_HASHES_MAX: u64 = 1 << 14;

/// How far a thread that was not run in time may catch up. Longer, and a suspended machine would come back with a burst;
/// shorter, and a crowded one would lose hash power.
const CATCH_UP_MAX: Duration = Duration::from_millis(250);

const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// What a thread may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grant {
    /// Make so many hashes.
    Hashes(u64),
    /// Ask again after so long.
    Wait(Duration),
}

/// The bucket. Its unit is a billionth of a hash, so that no rounding is lost over any time.
pub(super) struct Budget {
    credit: u128,
    credit_max: u128,
    hash_rate: u64,
    slice: u64,
    until: Duration,
}

impl Budget {
    /// An empty bucket at `now` that `hash_rate` hashes per second flow into. `hash_rate` is above zero.
    pub(super) fn new(hash_rate: u64, now: Duration) -> Self {
        assert!(hash_rate > 0, "a thread without hash rate is not started");
        let slice = (hash_rate / SLICES_PER_SECOND).clamp(1, SLICE_HASHES_MAX);
        let credit_max = u128::from(hash_rate) * CATCH_UP_MAX.as_nanos();
        let credit_max = credit_max.max(u128::from(slice) * NANOS_PER_SECOND);
        Self { credit: 0, credit_max, hash_rate, slice, until: now }
    }

    /// Takes a slice out of the bucket, if it has one at `now`.
    pub(super) fn take(&mut self, now: Duration) -> Grant {
        let passed = now.saturating_sub(self.until).as_nanos();
        self.until = self.until.max(now);
        self.credit = (self.credit + u128::from(self.hash_rate) * passed).min(self.credit_max);
        let price = u128::from(self.slice) * NANOS_PER_SECOND;
        if self.credit >= price {
            self.credit -= price;
            return Grant::Hashes(self.slice);
        }
        let nanos = (price - self.credit).div_ceil(u128::from(self.hash_rate));
        Grant::Wait(Duration::from_nanos(u64::try_from(nanos).expect("one slice takes a second at most")))
    }

    /// Puts back what a slice did not use.
    pub(super) fn give_back(&mut self, hashes: u64) {
        self.credit += u128::from(hashes) * NANOS_PER_SECOND;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes hashes for `seconds`, waiting exactly as told and `late` longer, and says how many.
    fn spend(hash_rate: u64, seconds: u64, late: Duration) -> u64 {
        let mut now = Duration::from_secs(9);
        let mut budget = Budget::new(hash_rate, now);
        let end = now + Duration::from_secs(seconds);
        let mut made = 0;
        loop {
            match budget.take(now) {
                Grant::Hashes(count) => made += count,
                Grant::Wait(duration) => now += duration + late,
            }
            if now > end {
                return made;
            }
        }
    }

    #[test]
    fn every_second_has_its_hashes_and_no_more() {
        for hash_rate in [1, 2, 3, 49, 50, 51, 997, 50_000, 1_234_567] {
            let made = spend(hash_rate, 1, Duration::ZERO);
            let slice = (hash_rate / 50).clamp(1, SLICE_HASHES_MAX);
            assert!(made <= hash_rate, "{made} of {hash_rate}");
            assert!(made + slice >= hash_rate, "{made} of {hash_rate}");
        }
    }

    #[test]
    fn nothing_is_lost_to_rounding_over_an_hour() {
        assert_eq!(spend(7, 3600, Duration::ZERO), 7 * 3600);
        assert_eq!(spend(50_000, 3600, Duration::ZERO), 50_000 * 3600);
    }

    #[test]
    fn a_thread_that_wakes_late_catches_up() {
        let made = spend(50_000, 100, Duration::from_millis(100));
        assert!(made > 50_000 * 100 - 50_000 / 8, "{made}");
        assert!(made <= 50_000 * 100, "{made}");
    }

    #[test]
    fn a_long_absence_is_not_made_up_for() {
        let mut budget = Budget::new(1000, Duration::ZERO);
        let now = Duration::from_secs(3600);
        let mut made = 0;
        while let Grant::Hashes(count) = budget.take(now) {
            made += count;
        }
        assert_eq!(made, 240, "a quarter of a second in slices of 20");
    }

    #[test]
    fn a_wait_is_as_long_as_the_slice_needs() {
        let mut budget = Budget::new(1000, Duration::ZERO);
        assert_eq!(budget.take(Duration::ZERO), Grant::Wait(Duration::from_millis(20)));
        assert_eq!(budget.take(Duration::from_millis(5)), Grant::Wait(Duration::from_millis(15)));
        assert_eq!(budget.take(Duration::from_millis(20)), Grant::Hashes(20));
        assert_eq!(budget.take(Duration::from_millis(20)), Grant::Wait(Duration::from_millis(20)));
        budget.give_back(15);
        assert_eq!(budget.take(Duration::from_millis(20)), Grant::Wait(Duration::from_millis(5)));
    }

    #[test]
    fn time_that_runs_backwards_gives_nothing() {
        let mut budget = Budget::new(1000, Duration::from_secs(2));
        assert_eq!(budget.take(Duration::from_secs(1)), Grant::Wait(Duration::from_millis(20)));
        assert_eq!(budget.take(Duration::from_secs(2)), Grant::Wait(Duration::from_millis(20)));
    }
}
