//! The API as a service, without sockets where possible, in front of a real replica.

mod client;
mod errors;
mod events;
mod faults;
mod handle;
mod history;
mod light;
mod openapi;
mod payments;
