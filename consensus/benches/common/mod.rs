//! What the benchmarks share. Each uses a part of it.

#![allow(dead_code, reason = "each benchmark is a program of its own")]

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use synod_consensus::Chain;
use synod_consensus::pow::target_for;
use synod_ledger::{Amount, Balance, Engine, Genesis, LedgerParams, PowParams, Retarget, SecretKey};

pub(crate) const BLOCK_TIME: Duration = Duration::from_secs(600);

/// Who owns the genesis's coins.
pub(crate) fn owner() -> SecretKey {
    SecretKey::from_bytes([1; 32])
}

/// A simulated chain with the retarget of the real ones, whose owner has so many coins.
pub(crate) fn chain(coins: u32) -> Arc<Chain> {
    let pow = PowParams {
        target: target_for(1_000_000, BLOCK_TIME),
        block_time_ms: BLOCK_TIME.as_millis() as u64,
        retarget: Retarget::Lwma { window: 60 },
        declared: true,
    };
    let ledger = LedgerParams {
        subsidy: Amount(25 * Amount::COIN),
        halving_interval: 210_000,
        maturity: 100,
        block_bytes_max: 1_000_000,
        fee_min: Amount(1),
    };
    let amount = Amount(u64::from(coins) * 1_000);
    let balance = Balance { name: "one".to_string(), address: owner().address(), amount, coins, stake: Amount::ZERO };
    let genesis = Genesis {
        name: "bench".to_string(),
        time_unix_ms: 0,
        engine: Engine::Pow(pow),
        ledger,
        balances: vec![balance],
    };
    Chain::simulated(genesis).expect("a chain can start like this")
}

/// The bytes of memory that this process has.
pub(crate) fn resident() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<usize>().ok());
    kilobytes.map_or(0, |kilobytes| kilobytes * 1_024)
}

/// How long this thread was on a processor.
pub(crate) fn cpu_time() -> Duration {
    let text = fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let nanos = text.split(' ').next().and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(nanos.unwrap_or_default())
}
