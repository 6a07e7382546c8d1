//! Overlays in the simulator: what must hold in each network that a seed draws, and what an oracle sees that looks at
//! all peers.

mod chord;
mod kademlia;
mod search;
