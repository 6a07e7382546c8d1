//! Experiments: grids of runs, measured alike, with intervals, in a folder that another person can reproduce.

pub mod summary;

pub use summary::Summary;
