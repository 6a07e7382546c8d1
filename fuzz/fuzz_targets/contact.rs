//! A peer and where it is, as it lies on disk.
#![no_main]

use libfuzzer_sys::fuzz_target;
use synod_dht::Contact;
use synod_fuzz::{check_wire, samples};

fuzz_target!(|data: &[u8]| check_wire::<Contact>(data, &[samples::contact()], |_| {}));
