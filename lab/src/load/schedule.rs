//! When each payment of a load is due. The schedule is fixed before the first one is sent: a slow network makes
//! payments late, it does not make them fewer, so that latencies tell the truth (no coordinated omission).

use std::time::Duration;

/// A steady open-loop schedule, shared out to clients in turn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// Payments per second.
    rate: f64,
    /// How many there are in all.
    count: u64,
}

impl Schedule {
    /// `rate` payments a second for `span`; at least one.
    pub fn new(rate: f64, span: Duration) -> Self {
        assert!(rate > 0.0, "a schedule has a rate");
        Self { rate, count: ((rate * span.as_secs_f64()).round() as u64).max(1) }
    }

    /// How many payments there are.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// When payment `number`, from 0, is due after the start.
    pub fn due(&self, number: u64) -> Duration {
        assert!(number < self.count, "the payment is on the schedule");
        Duration::from_secs_f64(number as f64 / self.rate)
    }

    /// The numbers of the payments that client `client` of `clients` sends, in order.
    pub fn of_client(&self, client: usize, clients: usize) -> impl Iterator<Item = u64> + use<> {
        assert!(client < clients, "clients count from 0");
        (client as u64..self.count).step_by(clients)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payments_are_due_at_a_steady_pace() {
        let schedule = Schedule::new(50.0, Duration::from_secs(60));
        assert_eq!(schedule.count(), 3000);
        assert_eq!(schedule.due(0), Duration::ZERO);
        assert_eq!(schedule.due(1), Duration::from_millis(20));
        assert_eq!(schedule.due(2999), Duration::from_millis(59_980));
    }

    #[test]
    fn a_slow_rate_still_sends_one() {
        let schedule = Schedule::new(0.1, Duration::from_secs(1));
        assert_eq!(schedule.count(), 1);
        assert_eq!(Schedule::new(0.5, Duration::from_secs(6)).due(2), Duration::from_secs(4));
    }

    #[test]
    fn every_payment_has_exactly_one_client() {
        let schedule = Schedule::new(10.0, Duration::from_secs(1));
        assert_eq!(schedule.of_client(0, 3).collect::<Vec<_>>(), [0, 3, 6, 9]);
        assert_eq!(schedule.of_client(1, 3).collect::<Vec<_>>(), [1, 4, 7]);
        assert_eq!(schedule.of_client(2, 3).collect::<Vec<_>>(), [2, 5, 8]);
        assert_eq!(Schedule::new(1.0, Duration::from_secs(1)).of_client(2, 3).count(), 0);
    }
}
