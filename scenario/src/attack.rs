//! Attacks by the thousand: what theory says of them, and real replicas that fight them.

mod crew;
pub mod double_spend;
pub mod theory;
