//! What a peer keeps on disk.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use synod_fuzz::{check_wire, peers};
use synod_peer::Record;

static RECORDS: LazyLock<Vec<Record>> = LazyLock::new(peers::records);

fuzz_target!(|data: &[u8]| check_wire(data, &RECORDS, |_| {}));
