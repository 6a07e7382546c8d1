//! What a block spent, as it lies on disk.
#![no_main]

use libfuzzer_sys::fuzz_target;
use synod_fuzz::{check_wire, samples};
use synod_ledger::Undo;

fuzz_target!(|data: &[u8]| check_wire::<Undo>(data, &[samples::undo()], |_| {}));
