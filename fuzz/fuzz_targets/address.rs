//! Addresses as people type them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use synod_fuzz::{check_display, samples};
use synod_ledger::Address;

fuzz_target!(|data: &[u8]| check_display::<Address>(data, &samples::address().to_string()));
