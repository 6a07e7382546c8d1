//! stub
pub mod api;
