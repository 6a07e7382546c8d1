//! What a load did: counts and latencies, as JSON and as a table.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// What became of a load. Every scheduled payment is in exactly one of `accepted`, `refused`, `unknown`, `not_sent`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LoadReport {
    /// Payments a second that were asked for.
    pub rate: f64,
    /// How long the schedule was.
    pub duration_ms: u64,
    /// How many clients sent them.
    pub clients: usize,
    /// How many payments the schedule had.
    pub scheduled: u64,
    /// Payments that a peer acknowledged: they are on its disk.
    pub accepted: u64,
    /// Payments that were refused, by the reason's name.
    pub refused: BTreeMap<String, u64>,
    /// Payments that were sent but not answered: they may or may not take effect.
    pub unknown: u64,
    /// Payments that were never sent: no peer could be reached, no coin was free, or the load was interrupted.
    pub not_sent: u64,
    /// Accepted payments in the active chain at the end.
    pub confirmed: u64,
    /// Unknown payments that turned out to be in the active chain at the end.
    pub unknown_confirmed: u64,
    /// Accepted payments a second over the schedule's length.
    pub accepted_rate: f64,
    /// From the scheduled moment to the acknowledgement.
    pub acceptance: Latencies,
    /// From the scheduled moment until the load saw the payment in a block.
    pub confirmation: Latencies,
    /// Whether a signal ended it early.
    pub interrupted: bool,
}

/// A distribution of latencies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Latencies {
    /// How many were measured.
    pub count: u64,
    /// Their mean, in milliseconds.
    pub mean_ms: f64,
    /// Half are at or below this.
    pub p50_ms: f64,
    /// 95 % are at or below this.
    pub p95_ms: f64,
    /// 99 % are at or below this.
    pub p99_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

/// Collects latencies. A value is kept to three significant digits.
#[derive(Clone, Debug)]
pub struct Latency(Histogram<u64>);

/// Longer latencies, of an hour, are counted as this.
const MICROS_MAX: u64 = 3_600_000_000;

impl Latency {
    /// Nothing measured yet.
    pub fn new() -> Self {
        Self(Histogram::new_with_bounds(1, MICROS_MAX, 3).expect("the bounds are in order"))
    }

    /// Adds one.
    pub fn record(&mut self, span: Duration) {
        let micros = u64::try_from(span.as_micros()).unwrap_or(MICROS_MAX);
        self.0.saturating_record(micros.max(1));
    }

    /// What was measured so far.
    pub fn summary(&self) -> Latencies {
        if self.0.is_empty() {
            return Latencies::default();
        }
        let at = |share: f64| self.0.value_at_quantile(share) as f64 / 1_000.0;
        Latencies {
            count: self.0.len(),
            mean_ms: (self.0.mean()).round() / 1_000.0,
            p50_ms: at(0.50),
            p95_ms: at(0.95),
            p99_ms: at(0.99),
            max_ms: self.0.max() as f64 / 1_000.0,
        }
    }
}

impl Default for Latency {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_has_the_quantiles_of_what_was_recorded() {
        let mut latency = Latency::new();
        assert_eq!(latency.summary(), Latencies::default());
        for millis in 1..=100 {
            latency.record(Duration::from_millis(millis));
        }
        let summary = latency.summary();
        assert_eq!(summary.count, 100);
        assert!((summary.p50_ms - 50.0).abs() < 0.1, "{summary:?}");
        assert!((summary.p95_ms - 95.0).abs() < 0.1, "{summary:?}");
        assert!((summary.p99_ms - 99.0).abs() < 0.2, "{summary:?}");
        assert!((summary.max_ms - 100.0).abs() < 0.2, "{summary:?}");
        assert!((summary.mean_ms - 50.5).abs() < 0.1, "{summary:?}");
    }

    #[test]
    fn an_absurd_latency_is_counted_at_the_bound() {
        let mut latency = Latency::new();
        latency.record(Duration::from_secs(100_000));
        assert_eq!(latency.summary().count, 1);
        assert!(latency.summary().max_ms >= 3_599_000.0);
    }
}
