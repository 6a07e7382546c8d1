//! Whole replicas: several in a world of virtual time, and one against tables of steps.

mod scenarios;
