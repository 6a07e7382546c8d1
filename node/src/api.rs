//! The HTTP API: REST and JSON over axum, server-sent events, metrics and an OpenAPI document.

pub mod client;
mod hex;
pub mod types;
