//! The handlers, one per route and method.

pub(super) mod chain;
pub(super) mod discovery;
pub(super) mod faults;
pub(super) mod node;
pub(super) mod transactions;
