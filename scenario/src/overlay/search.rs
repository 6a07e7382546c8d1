//! Searches in the simulator: floods, superpeers and an index over the same peers, the same content and the same questions.
//!
//! [`Crowd`] plays the peers' owners: it shares what they have, asks, and writes down what they are told. [`Content`] draws who
//! has what. [`run()`] measures, and [`swarm()`] looks for what breaks.

mod content;
mod crowd;
mod measure;
mod oracle;
mod swarm;

pub use content::{Content, Zipf};
pub use crowd::{Ask, Crowd, Deed, Mode, Told, node, world};
pub use measure::{Figures, Terms, run};
pub(super) use measure::{SEARCH, road, settling};
pub use swarm::{Kind, Run, failure, swarm};

pub use super::Verdict;
