//! The agreement on the bench and in a small world.

mod explore;
mod faults;
mod normal;
mod primary;
mod rejoin;
mod steps;
mod swarm;
mod twins;
mod votes;
mod wire;
