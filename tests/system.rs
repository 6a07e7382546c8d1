//! Whole networks of real processes: what `synod up` promises, seen from outside.
//!
//! Each test makes a network of its own in a folder that goes away, on ports that the system chose, and ends every process
//! it started. Nothing sleeps to wait for a state: states are polled, with a time-out that names what was waited for.

#[path = "system/adversaries.rs"]
mod adversaries;
#[path = "system/attacker.rs"]
mod attacker;
#[path = "system/attacks.rs"]
mod attacks;
#[path = "system/bad_input.rs"]
mod bad_input;
#[path = "system/bad_overlays.rs"]
mod bad_overlays;
#[path = "system/bad_stakes.rs"]
mod bad_stakes;
#[path = "system/bad_votes.rs"]
mod bad_votes;
#[path = "system/calibration.rs"]
mod calibration;
#[path = "system/chaos.rs"]
mod chaos;
#[path = "system/command_line.rs"]
mod command_line;
#[path = "system/experiments.rs"]
mod experiments;
#[path = "system/gossip.rs"]
mod gossip;
#[path = "system/joining.rs"]
mod joining;
#[path = "system/light.rs"]
mod light;
#[path = "system/overlays.rs"]
mod overlays;
#[path = "system/partition.rs"]
mod partition;
#[path = "system/selfish.rs"]
mod selfish;
#[path = "system/sim.rs"]
mod sim;
#[path = "system/support.rs"]
mod support;
