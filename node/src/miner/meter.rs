//! Hashes per second over the last few whole seconds. The time is an argument.

use std::time::Duration;

/// How many whole seconds the rate is measured over.
const WINDOW_SECONDS: u64 = 5;

/// The window, the second that runs, and room for a thread that reports a little late.
const SLOTS: usize = 8;

#[derive(Clone, Copy, Default)]
struct Slot {
    second: u64,
    hashes: u64,
}

/// Counts hashes by the second in which they were made.
pub(super) struct Meter {
    slots: [Slot; SLOTS],
}

impl Meter {
    pub(super) fn new() -> Self {
        Self { slots: [Slot::default(); SLOTS] }
    }

    /// Counts `hashes` at `now`, which is the time since the start.
    pub(super) fn add(&mut self, now: Duration, hashes: u64) {
        let second = now.as_secs();
        let slot = &mut self.slots[usize::try_from(second % SLOTS as u64).expect("below the number of slots")];
        if slot.second != second {
            *slot = Slot { second, hashes: 0 };
        }
        slot.hashes += hashes;
    }

    /// Hashes per second over the last whole seconds before `now`; in the first second, over what has passed of it.
    pub(super) fn rate(&self, now: Duration) -> u64 {
        let second = now.as_secs();
        if second == 0 {
            let millis = u64::try_from(now.as_millis()).expect("less than a second").max(1);
            return self.hashes(0, 1) * 1000 / millis;
        }
        let first = second.saturating_sub(WINDOW_SECONDS);
        self.hashes(first, second) / (second - first)
    }

    fn hashes(&self, first: u64, end: u64) -> u64 {
        self.slots.iter().filter(|slot| (first..end).contains(&slot.second)).map(|slot| slot.hashes).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn the_rate_is_that_of_the_last_five_whole_seconds() {
        let mut meter = Meter::new();
        for second in 0..20 {
            meter.add(at(second * 1000 + 500), second * 100);
        }
        // Seconds 15 to 19 made 1,500 to 1,900.
        assert_eq!(meter.rate(at(20_000)), 1700);
        assert_eq!(meter.rate(at(20_999)), 1700);
        // The second that runs does not count.
        meter.add(at(20_100), 1_000_000);
        assert_eq!(meter.rate(at(20_900)), 1700);
    }

    #[test]
    fn a_miner_that_stopped_has_no_rate_after_five_seconds() {
        let mut meter = Meter::new();
        meter.add(at(3500), 1000);
        assert_eq!(meter.rate(at(8999)), 200);
        assert_eq!(meter.rate(at(9000)), 0);
        // Eight seconds later the slot is another second's.
        meter.add(at(11_500), 50);
        assert_eq!(meter.rate(at(12_000)), 10);
    }

    #[test]
    fn the_first_seconds_have_a_rate_too() {
        let mut meter = Meter::new();
        assert_eq!(meter.rate(at(0)), 0);
        meter.add(at(100), 40);
        assert_eq!(meter.rate(at(200)), 200);
        meter.add(at(1100), 60);
        assert_eq!(meter.rate(at(1200)), 40);
        assert_eq!(meter.rate(at(2000)), 50);
    }
}
