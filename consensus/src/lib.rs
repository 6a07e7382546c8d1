//! Replicas that agree on one chain.
//!
//! [`Replica`] is a block tree, a mempool and block synchronisation over a proof-of-work rule ([`pow`]). It is a
//! [`Protocol`](synod_machine::Protocol): it hashes nothing by itself (its owner grinds), sends nothing by itself (its
//! owner gossips and connects) and reads no clock. [`Light`] follows the same chain by its headers alone.

#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod adversary;
mod agreed;
mod chain;
mod headers;
pub mod light;
mod links;
pub mod message;
pub mod pbft;
mod pos;
pub mod pow;
mod record;
mod replica;
mod retarget;
mod rule;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use agreed::Agreed;
pub use chain::{Chain, ChainError};
pub use light::Light;
pub use message::{Claim, Message};
pub use pos::{BRANCHES_MAX, PENDING_MAX, Pending, Pos, Signed};
pub use pow::{HeaderError, Pow};
pub use record::{Record, StoredHeader};
pub use replica::{
    Answer, Command, Event, Fate, GossipId, Item, Job, Limits, Params, Replica, Reply, Seen, SubmitError, Timer,
    Verdict, Violation,
};
pub use rule::Rule;
