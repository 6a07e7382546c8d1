//! What a block spent, as it lies on disk.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use synod_fuzz::{check_wire, samples};
use synod_ledger::Undo;

static UNDOS: LazyLock<[Undo; 1]> = LazyLock::new(|| [samples::undo()]);

fuzz_target!(|data: &[u8]| check_wire(data, &*UNDOS, |_| {}));
