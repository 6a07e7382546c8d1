//! The body of a submitted payment: JSON around hexadecimal text around the payment.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use synod_fuzz::{check_text, samples};
use synod_ledger::Tx;
use synod_machine::wire;
use synod_node::api::types::SubmitRequest;

#[path = "../../node/src/api/hex.rs"]
mod hex;

static SAMPLE: LazyLock<String> = LazyLock::new(|| write(&samples::tx()));

fuzz_target!(|data: &[u8]| check_text(data, &SAMPLE, parse, write));

fn parse(text: &str) -> Option<Tx> {
    let request: SubmitRequest = serde_json::from_str(text).ok()?;
    wire::decode(&hex::decode(&request.transaction)?).ok()
}

fn write(tx: &Tx) -> String {
    let request = SubmitRequest { transaction: hex::encode(&wire::encode(tx)) };
    serde_json::to_string(&request).expect("a request can be written")
}
