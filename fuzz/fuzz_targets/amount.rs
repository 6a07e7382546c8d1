//! Amounts, hash rates and hashes as people type them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use synod_fuzz::{check_display, check_text};
use synod_ledger::{Amount, BlockId};
use synod_node::config::{format_hash_rate, parse_hash_rate};

const RATE_MAX: u64 = 1 << 60;

fuzz_target!(|data: &[u8]| {
    check_display::<Amount>(data, "12.34567809");
    check_display::<BlockId>(data, &BlockId::default().to_string());
    // Rates are written to three decimals: what is written is read as it is written from then on. The very largest ones
    // are rounded up beyond what a rate can be.
    let parse = |text: &str| parse_hash_rate(text).ok().filter(|rate| *rate < RATE_MAX).map(format_hash_rate);
    check_text(data, "1.5M", parse, Clone::clone);
});
