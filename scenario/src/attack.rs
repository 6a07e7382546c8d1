//! Attacks by the thousand: what theory says of them, and real replicas that fight them.

mod crew;
mod delay;
pub mod depth;
pub mod double_spend;
pub mod selfish;
pub mod stake;
pub mod strategy;
mod tally;
pub mod theory;

use serde::Serialize;

pub use self::tally::SUCCESSES_MIN;

/// How far a grid is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// Cells that are done.
    pub cells_done: u64,
    /// All cells.
    pub cells: u64,
    /// Runs that are done.
    pub runs_done: u64,
    /// All runs.
    pub runs: u64,
}

/// The probability that an interval misses though all is well.
pub const DOUBT: f64 = 0.01;
