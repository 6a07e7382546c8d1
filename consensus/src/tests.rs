//! Whole replicas: several in a world of virtual time, and one against tables of steps.

mod announce;
mod faults;
mod mining;
mod payments;
mod pow;
mod reorganise;
mod scenarios;
mod stakes;
mod sync;
mod validators;
mod wire;
