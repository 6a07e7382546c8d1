//! Whole replicas: several in a world of virtual time, and one against tables of steps.

mod announce;
mod faults;
mod guest;
mod light;
mod mining;
mod payments;
mod pow;
mod proofs;
mod reorganise;
mod scenarios;
mod stakes;
mod sync;
mod validators;
mod wire;
