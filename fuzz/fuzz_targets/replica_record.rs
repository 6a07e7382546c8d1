//! What a replica keeps on disk.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use synod_consensus::Record;
use synod_fuzz::{check_wire, samples};

static RECORDS: LazyLock<Vec<Record>> = LazyLock::new(samples::records);

fuzz_target!(|data: &[u8]| check_wire(data, &RECORDS, |_| {}));
