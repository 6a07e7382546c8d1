//! Attacks by the thousand: what theory says of them, and real replicas that fight them.

pub mod theory;
