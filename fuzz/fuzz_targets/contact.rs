//! A peer and where it is, as it lies on disk.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use synod_dht::Contact;
use synod_fuzz::{check_wire, samples};

static CONTACTS: LazyLock<[Contact; 1]> = LazyLock::new(|| [samples::contact()]);

fuzz_target!(|data: &[u8]| check_wire(data, &*CONTACTS, |_| {}));
