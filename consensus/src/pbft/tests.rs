//! The agreement on the bench and in a small world.

mod normal;
mod steps;
mod swarm;
