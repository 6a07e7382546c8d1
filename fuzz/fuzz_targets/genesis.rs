//! A genesis file: one that passes its checks starts a chain.
#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use synod_fuzz::{check_text, samples};
use synod_ledger::Genesis;
use synod_node::config::parse_genesis;

/// A genesis may give out millions of coins, which takes a while; hostile sums need no more than these.
const COINS_MAX: u64 = 10_000;

static SAMPLE: LazyLock<String> = LazyLock::new(|| samples::with_address(samples::GENESIS));

fuzz_target!(|data: &[u8]| {
    let parse = |text: &str| parse_genesis(text, Path::new("genesis.toml")).ok();
    check_text(data, &SAMPLE, parse, write);
});

fn write(genesis: &Genesis) -> String {
    let coins: u64 = genesis.balances.iter().map(|balance| u64::from(balance.coins)).sum();
    if coins <= COINS_MAX {
        let total: u64 = genesis.balances.iter().map(|balance| balance.amount.0).sum();
        assert_eq!(synod_ledger::State::genesis(genesis).supply().0, total, "all that is given out is there");
    }
    toml::to_string(genesis).expect("a genesis can be written")
}
