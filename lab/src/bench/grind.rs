//! Grinding against a bare loop of SHA-256 compressions over the same second block.

use std::time::Duration;

use super::Report;

/// Hashes per second on one core, with the budget's accounting and all, against nothing but compressions.
pub fn grind(duration: Duration) -> Report {
    let rates = synod_node::miner::bench(duration);
    Report {
        name: "grind",
        value: rates.midstate,
        unit: "hashes/s per core",
        reference: rates.bare,
        reference_name: "bare sha2 loop over the second block",
        ratio: rates.midstate / rates.bare,
        promised: 0.95,
        at_most: false,
        note: "80-byte header, the first block's midstate kept".into(),
    }
}
