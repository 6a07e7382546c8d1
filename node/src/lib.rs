//! stub
pub mod api;
pub mod miner;
pub mod net;
pub mod store;
