//! What this machine makes of the parts whose speed is promised, each beside a bare reference in the same run.
//!
//! A ratio of two measurements that alternate in one process survives a noisy machine; single figures do not.
//! `docs/benchmarks.md` holds the results and what each promises.

mod agree;
mod chain;
mod connect;
mod decode;
mod find;
mod grind;
mod idle;
mod simulator;
mod sync;

use std::time::{Duration, Instant};

use serde::Serialize;

pub use self::agree::agree;
pub use self::connect::connect;
pub use self::decode::decode;
pub use self::find::find;
pub use self::grind::grind;
pub use self::idle::idle;
pub use self::simulator::simulator;
pub use self::sync::{SyncSize, sync};

/// One measurement beside its reference.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// What was measured.
    pub name: &'static str,
    /// The figure.
    pub value: f64,
    /// Its unit.
    pub unit: &'static str,
    /// The figure that it is compared with, in the same unit, or a fixed limit.
    pub reference: f64,
    /// What the reference is.
    pub reference_name: &'static str,
    /// `value / reference`.
    pub ratio: f64,
    /// The promise: the ratio is at least this, or at most where `at_most`.
    pub promised: f64,
    /// Whether less is better.
    pub at_most: bool,
    /// Details for people, such as sizes.
    pub note: String,
}

impl Report {
    /// Whether the promise is kept.
    pub fn is_kept(&self) -> bool {
        if self.at_most { self.ratio <= self.promised } else { self.ratio >= self.promised }
    }
}

/// The wall time that `work` takes.
fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let result = work();
    (result, start.elapsed())
}

/// The middle value; of an even number of values the higher of the two.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
