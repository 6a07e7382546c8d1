//! Experiments: grids of runs, measured alike, with intervals, in a folder that another person can reproduce.
//!
//! [`Experiment`] is what people write, [`grid::cells`] what is run.

#[cfg(feature = "parquet")]
mod columns;
pub mod config;
pub mod diff;
mod error;
mod finish;
pub mod folder;
pub mod grid;
pub mod knee;
pub mod notebook;
pub mod page;
mod pictures;
pub mod plot;
pub mod pool;
pub mod presets;
pub mod record;
pub mod slurm;
mod summarise;
pub mod summary;
pub mod table;

pub use config::Experiment;
pub use error::ExperimentError;
pub use finish::{REPORT, finish, label};
pub use notebook::notebook;
pub use page::page;
pub use summarise::{figure, summarise};
pub use summary::Summary;

#[cfg(test)]
mod tests;
