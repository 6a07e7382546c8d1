//! A world of peers in virtual time: links, faults, churn, trace. The same protocols that `node` runs on real sockets
//! run here by the ten thousand, and a seed determines everything that happens.

pub mod model;
