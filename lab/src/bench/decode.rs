//! Decoding a full block, the one-encoding check included.

use std::hint::black_box;
use std::time::Duration;

use synod_ledger::Block;
use synod_machine::wire;

use super::chain::Maker;
use super::{Report, median, timed};

const PAYMENTS: usize = 3_000;
const ROUNDS: usize = 31;
const MEGABYTES_MIN: f64 = 300.0;

/// Megabytes per second of a full block's bytes through `wire::decode`.
pub fn decode() -> Report {
    let mut maker = Maker::new(4_000, Duration::from_secs(3_600));
    let bytes = wire::encode(&maker.next(PAYMENTS));
    let rates = (0..ROUNDS).map(|_| {
        let (block, time) = timed(|| wire::decode::<Block>(black_box(&bytes)).expect("our own block"));
        black_box(block);
        bytes.len() as f64 / 1e6 / time.as_secs_f64()
    });
    let value = median(rates.collect());
    Report {
        name: "decode",
        value,
        unit: "MB/s per core",
        reference: MEGABYTES_MIN,
        reference_name: "the promised rate",
        ratio: value / MEGABYTES_MIN,
        promised: 1.0,
        at_most: false,
        note: format!("a block of {} bytes, {PAYMENTS} payments", bytes.len()),
    }
}
