//! Overlays: which peers know which, how one is found, and how what one knows comes to all.
//!
//! [`neighbours`] decides whom to stay connected to. On the links that it makes, [`mesh`] and [`flood`] disseminate
//! items; [`rumour`] does so over a partial view that is shuffled; [`averaging`] computes the mean of all peers' numbers.
//! [`kademlia`] finds nodes and values by identifier, [`chord`] on a ring; [`search`] finds what peers share by name and by words.
//! [`overlay`] has what look-ups and searches share.

#![no_std]

extern crate alloc;

pub mod averaging;
pub mod chord;
pub mod content;
pub mod discovery;
pub mod flood;
pub mod gossip;
pub mod kademlia;
pub mod mesh;
pub mod neighbours;
pub mod overlay;
pub mod rumour;
mod sampling;
pub mod search;
#[cfg(test)]
mod testing;

pub use averaging::Averaging;
pub use chord::Chord;
pub use content::Content;
pub use discovery::Discovery;
pub use flood::Flood;
pub use gossip::Parcel;
pub use kademlia::Kademlia;
pub use mesh::Mesh;
pub use neighbours::{Contact, Identity, Neighbours};
pub use overlay::{Id, Node};
pub use rumour::Rumour;
