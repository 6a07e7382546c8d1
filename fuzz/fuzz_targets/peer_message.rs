//! What peers say to each other: the content of a frame.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use synod_dht::Contact;
use synod_fuzz::{check_wire, peers};
use synod_peer::Message;

static MESSAGES: LazyLock<Vec<Message<Contact>>> = LazyLock::new(peers::messages);

fuzz_target!(|data: &[u8]| check_wire(data, &MESSAGES, |_| {}));
