//! When a machine's periodic steps fall: on a grid, so that steps that were left out while there was nothing to do
//! leave the later ones where they would have been.

use core::time::Duration;

use synod_machine::{Rng, Time};

/// Moments a period apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beat {
    period: u64,
    /// The first moment.
    phase: u64,
}

impl Beat {
    /// At all multiples of the period, for all peers alike.
    pub(crate) fn aligned(period: Duration) -> Self {
        assert!(!period.is_zero(), "a period takes time");
        Self { period: u64::try_from(period.as_nanos()).unwrap_or(u64::MAX), phase: 0 }
    }

    /// At a random moment of each period.
    pub(crate) fn random(period: Duration, rng: &mut Rng) -> Self {
        let beat = Self::aligned(period);
        Self { phase: rng.below(beat.period), ..beat }
    }

    /// How many moments there have been, `now` among them.
    pub(crate) const fn count(&self, now: Time) -> u64 {
        match now.0.checked_sub(self.phase) {
            Some(since) => 1 + since / self.period,
            None => 0,
        }
    }

    /// The moment of that number, counted from one.
    pub(crate) const fn moment(&self, number: u64) -> Time {
        Time(number.saturating_sub(1).saturating_mul(self.period).saturating_add(self.phase))
    }

    /// The first moment after `time`.
    pub(crate) const fn after(&self, time: Time) -> Time {
        self.moment(self.count(time) + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_a_period_apart_and_keep_their_phase() {
        let beat = Beat { phase: 300_000_000, ..Beat::aligned(Duration::from_secs(1)) };
        let table = [(0, 300, 0), (299, 300, 0), (300, 1_300, 1), (1_299, 1_300, 1), (1_300, 2_300, 2)];
        for (now, next, count) in table {
            assert_eq!(beat.after(Time::from_millis(now)), Time::from_millis(next), "at {now} ms");
            assert_eq!(beat.count(Time::from_millis(now)), count, "at {now} ms");
        }
        assert_eq!(beat.moment(3), Time::from_millis(2_300));
        assert_eq!(beat.after(Time::MAX), Time::MAX);
    }

    #[test]
    fn phases_differ_and_lie_within_the_period() {
        let phase = |peer| Beat::random(Duration::from_secs(1), &mut Rng::new(1, peer, "beat")).phase;
        assert!(phase(0) != phase(1), "two peers have two phases");
        assert!((0..100).all(|peer| phase(peer) < 1_000_000_000), "each is within the period");
    }
}
