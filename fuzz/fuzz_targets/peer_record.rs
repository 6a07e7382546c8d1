//! What a peer keeps on disk.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use synod_fuzz::{check_wire, samples};
use synod_peer::Record;

static RECORDS: LazyLock<Vec<Record>> = LazyLock::new(|| {
    let mut records: Vec<Record> = samples::records().into_iter().map(Record::Replica).collect();
    records.push(Record::Neighbours(samples::contact()));
    records
});

fuzz_target!(|data: &[u8]| check_wire(data, &RECORDS, |_| {}));
