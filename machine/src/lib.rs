//! The contract between protocols and their hosts (DESIGN section 2 in `ARCHITECTURE.md`).
//!
//! A protocol is a plain value: input and time go in, effects come out, in order. It owns no socket, clock, thread or
//! global. [`Host`] runs one protocol without any I/O of its own; a libp2p task and a discrete-event simulator drive it.

#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod bytes;
mod counters;
mod glance;
mod host;
mod key;
mod out;
mod protocol;
mod reject;
mod rng;
mod time;
pub mod wire;

pub use bytes::{Bytes, ParseBytesError};
pub use counters::{Count, Counters, Traffic, Traffics};
pub use glance::{Glance, lines};
pub use host::Host;
pub use key::Key;
pub use out::Out;
pub use protocol::{Effect, Input, Parent, PeerId, Protocol};
pub use reject::Reject;
pub use rng::{Folded, Rng};
pub use time::Time;
pub use wire::{Wire, WireError};
