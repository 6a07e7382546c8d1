//! Overlays and searches in the simulator, each by the machine that runs on real sockets: networks that are built through
//! the protocol, look-ups, troubles, and an oracle that sees all peers.

mod cause;
pub mod chord;
pub mod compare;
pub mod kademlia;
pub mod search;
mod sessions;
mod swarm;

pub use swarm::{Overlay, Run, Verdict, replay};
