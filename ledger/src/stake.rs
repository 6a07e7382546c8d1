//! Stake: which coins are locked, whose they are, when they count, and how they are lost.

mod kernel;

pub use kernel::{kernel, threshold};
