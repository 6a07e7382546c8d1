//! Addresses as people type them.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use synod_fuzz::{check_display, samples};
use synod_ledger::Address;

static SAMPLE: LazyLock<String> = LazyLock::new(|| samples::address().to_string());

fuzz_target!(|data: &[u8]| check_display::<Address>(data, &SAMPLE));
