//! What a network is like: how long messages take, who is connected to whom, who comes and goes.
//!
//! Values that a scenario names are read here, checked, and compiled into forms that answer in a few nanoseconds. Nothing
//! here knows the world, keeps state between draws, or reads a file: who asks for a model hands over the files' texts.

mod churn;
mod distribution;
mod draw;
mod error;
mod graph;
mod links;
mod quantiles;
mod regions;
mod topology;
mod units;

pub use churn::{Churn, ChurnModel, Schedule, Turn};
pub use distribution::Distribution;
pub use draw::{Chance, Draw};
pub use error::ModelError;
pub use graph::Graph;
pub use links::{End, LinkModel, Links};
pub use quantiles::Quantiles;
pub use regions::{LatencyIs, Region, Regions};
pub use topology::Topology;
pub use units::{Rate, Span};
