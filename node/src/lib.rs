//! A peer on real sockets: the libp2p network, the disk, the miner and the HTTP API around one [`synod_peer::Peer`].
//!
//! The protocols live in the crates below; here is what gives them time, bytes and durability. [`run`] is a whole node in
//! the foreground. One thread, the engine ([`driver`]), owns the peer and its disk; everything else talks to it through
//! channels.

pub mod api;
pub mod config;
pub mod discovery;
pub mod driver;
pub mod handle;
pub mod ledger_items;
pub mod metrics;
pub mod miner;
pub mod net;
mod start;
pub mod store;

pub use start::{StartError, mesh_params, run};
