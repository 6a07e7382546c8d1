//! A node's configuration file.
#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use synod_fuzz::{check_text, samples};
use synod_node::config::Config;

static SAMPLE: LazyLock<String> = LazyLock::new(|| samples::with_address(samples::CONFIG));

fuzz_target!(|data: &[u8]| {
    let parse = |text: &str| Config::parse(text, Path::new("node.toml")).ok();
    let write = |config: &Config| toml::to_string(config).expect("a configuration can be written");
    check_text(data, &SAMPLE, parse, write);
});
