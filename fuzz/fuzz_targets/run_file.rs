//! What a running node leaves for the tools on its machine.
#![no_main]

use libfuzzer_sys::fuzz_target;
use synod_fuzz::check_text;
use synod_node::config::RunFile;

const SAMPLE: &str = r#"{"pid":12,"name":"peer1","peer_id":"12D3KooW","listen":["/ip4/127.0.0.1/tcp/4001"],
"api":"127.0.0.1:8001","chain_id":"00ff","started_unix_ms":1700000000000}"#;

fuzz_target!(|data: &[u8]| {
    let parse = |text: &str| serde_json::from_str::<RunFile>(text).ok();
    let write = |file: &RunFile| serde_json::to_string(file).expect("a run file can be written");
    check_text(data, SAMPLE, parse, write);
});
