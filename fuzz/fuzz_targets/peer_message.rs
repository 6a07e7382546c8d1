//! What peers say to each other: the content of a frame.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use synod_fuzz::{check_wire, samples};
use synod_peer::Message;

static MESSAGES: LazyLock<Vec<Message>> =
    LazyLock::new(|| samples::messages().into_iter().map(Message::Replica).collect());

fuzz_target!(|data: &[u8]| check_wire(data, &MESSAGES, |_| {}));
