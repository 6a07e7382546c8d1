//! stub
pub mod api;
pub mod miner;
pub mod store;
