//! Simulated networks of whole peers: what a scenario says, what runs it, what it measures, what must hold.
//!
//! Here the simulator (`sim`, which knows no protocol) meets the participants (`peer`, which know no simulator).

pub mod averaging;
