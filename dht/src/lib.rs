//! Overlays: which peers know which, and how one is found.
//!
//! So far the unstructured overlay that gossip runs on: [`neighbours`] decides whom to stay connected to.

#![no_std]

extern crate alloc;

pub mod neighbours;

pub use neighbours::{Contact, Identity, Neighbours};
