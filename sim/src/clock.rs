//! Clocks that run slow or fast. A protocol reads its own peer's clock; the world has the true time.

use synod_machine::Time;

/// A peer's clock: what it shows as a function of the true time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Clock {
    /// The true instant from which the rate counts …
    since: Time,
    /// … and what the clock showed then.
    shown: Time,
    /// Parts per million by which it is fast; slow where negative, above -1,000,000.
    drift_ppm: i64,
}

const MILLION: i128 = 1_000_000;

impl Clock {
    /// A clock that shows the true time.
    pub(crate) const TRUE: Self = Self { since: Time::ZERO, shown: Time::ZERO, drift_ppm: 0 };

    /// The clock from `now` on: put forward by `ahead_ns` (back where negative; a host never lets its protocol see that) and
    /// fast by `drift_ppm`.
    #[must_use]
    pub(crate) fn adjusted(&self, now: Time, ahead_ns: i64, drift_ppm: i64) -> Self {
        assert!(i128::from(drift_ppm) > -MILLION, "a clock does not run backwards");
        let shown = i128::from(self.at(now).0) + i128::from(ahead_ns);
        Self { since: now, shown: clamp(shown), drift_ppm }
    }

    /// What it shows at the true time `now`.
    #[inline]
    pub(crate) fn at(&self, now: Time) -> Time {
        if *self == Self::TRUE {
            return now;
        }
        let elapsed = i128::from(now.0) - i128::from(self.since.0);
        clamp(i128::from(self.shown.0) + elapsed * (MILLION + i128::from(self.drift_ppm)) / MILLION)
    }

    /// The first true time at which it shows `shown` or more.
    #[inline]
    pub(crate) fn when(&self, shown: Time) -> Time {
        if *self == Self::TRUE {
            return shown;
        }
        let ahead = i128::from(shown.0) - i128::from(self.shown.0);
        let rate = MILLION + i128::from(self.drift_ppm);
        // Rounded up, or the clock would not quite be there.
        clamp(i128::from(self.since.0) + (ahead * MILLION).div_euclid(rate) + 1)
    }
}

fn clamp(nanos: i128) -> Time {
    Time(nanos.clamp(0, i128::from(u64::MAX)) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fast_clock_gains_and_a_slow_one_loses() {
        let now = Time::from_secs(1_000);
        assert_eq!(Clock::TRUE.at(now), now);
        let fast = Clock::TRUE.adjusted(now, 0, 100_000);
        assert_eq!(fast.at(now), now);
        assert_eq!(fast.at(Time::from_secs(1_010)), Time::from_secs(1_011));
        let slow = Clock::TRUE.adjusted(now, 5_000_000_000, -500_000);
        assert_eq!(slow.at(now), Time::from_secs(1_005));
        assert_eq!(slow.at(Time::from_secs(1_010)), Time::from_secs(1_010));
        let back = slow.adjusted(Time::from_secs(1_020), 0, 0);
        assert_eq!(back.at(Time::from_secs(1_030)), Time::from_secs(1_025));
    }

    #[test]
    fn a_deadline_is_reached_at_the_time_that_is_given_for_it() {
        for drift in [-999_999, -333_333, -7, 0, 7, 333_333, 2_000_000] {
            for ahead in [-3_000_000_000, 0, 1, 3_000_000_000] {
                let clock = Clock::TRUE.adjusted(Time::from_secs(10), ahead, drift);
                for shown in [10_000_000_000, 10_000_000_001, 13_000_000_123, 99_000_000_000] {
                    let when = clock.when(Time(shown));
                    assert!(clock.at(when) >= Time(shown), "{drift} {ahead} {shown}");
                }
            }
        }
    }
}
