//! A world of peers in virtual time: links, faults, churn, trace. The same protocols that `node` runs on real sockets
//! run here by the ten thousand, and a seed determines everything that happens.
//!
//! [`World`] is the event loop, [`Net`] the peers and what lies between them, [`Experiment`] whoever plays the outside
//! world: it answers the peers' events, acts at set times, and looks on.

mod clock;
mod disk;
mod experiment;
pub mod model;
mod net;
mod peers;
mod queue;
mod slab;
#[cfg(test)]
mod testing;
pub mod trace;
mod world;

pub use disk::{Disk, Tail};
pub use experiment::{Experiment, NetOf};
pub use net::{CutId, Direction, Net, Passed, Setup, Tally};
pub use trace::{Filter, Happening, Recorder, What};
pub use world::{Status, World};
