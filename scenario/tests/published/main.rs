//! Published results, reproduced: nobody here wrote the figures that these tests compare with.
//!
//! Each test states its source, its interval, and what differs between the paper's model and ours. Seeds are fixed before a
//! test is run and never chosen by its outcome; a run is deterministic, so that a test passes or fails for ever. Every table
//! as a whole misses with a probability of 1 per cent where all is well: the doubt of each of its cells is 0.01 over their
//! number (Bonferroni).
//!
//! `SYNOD_RUNS=10` makes every sample ten times as large. The tables are printed with `-- --nocapture --test-threads 1`.

mod attacks;
mod averaging;
mod chord;
mod chord_churn;
mod double_spend;
mod forks;
mod intervals;
mod kademlia;
mod rumours;
mod search;
mod strategies;

use synod_scenario::stats::Interval;

/// The probability that a table misses though all is well.
const DOUBT: f64 = 0.01;

/// How many times larger than by default samples are.
fn factor() -> u64 {
    let asked = std::env::var("SYNOD_RUNS").ok();
    asked.map_or(1, |asked| asked.parse().expect("SYNOD_RUNS is a whole number")).max(1)
}

/// A probability or another small figure, with its interval.
fn show(interval: Interval) -> String {
    format!("{:.4} to {:.4}", interval.low, interval.high)
}
