//! What replicas say to each other.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use synod_consensus::Message;
use synod_fuzz::{check_wire, samples};

static MESSAGES: LazyLock<Vec<Message>> = LazyLock::new(samples::messages);

fuzz_target!(|data: &[u8]| check_wire(data, &MESSAGES, |_| {}));
