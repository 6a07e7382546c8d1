//! stub
pub mod api;
pub mod handle;
pub mod metrics;
pub mod miner;
pub mod net;
pub mod store;
