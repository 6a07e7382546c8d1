//! Jobs: when one is made, which answers count, and real work against declared work.

use core::time::Duration;
use std::vec::Vec;

use synod_ledger::{Block, Header, Seal, U256};
use synod_machine::Time;

use crate::testing::bench::{Bench, P1};
use crate::testing::{Branch, chain, chain_with, coin, params, pay};
use crate::{Chain, Pow, Seen, Timer};

fn real_chain() -> std::sync::Arc<Chain> {
    chain_with(|genesis| {
        let pow = genesis.engine.pow_mut().expect("a chain of work");
        pow.declared = false;
    })
}

/// Some nonce for which a block on the last job would or would not meet the target.
fn nonce(bench: &mut Bench, good: bool) -> u64 {
    let header = bench.replica.last_candidate().expect("a job was given");
    let target = header.seal.target().expect("work has a target");
    let number = target.to_target().expect("it is a target");
    let is_good = |nonce: u64| {
        let sealed = Header { seal: Seal::Work { target, nonce }, ..header.clone() };
        U256::from_be_bytes(sealed.id().0.0) <= number
    };
    (0..1_000).find(|&nonce| is_good(nonce) == good).expect("half of all hashes meet the easiest target")
}

#[test]
fn a_miner_starts_on_the_genesis_and_goes_on_with_each_block() {
    let chain = chain();
    let mut bench = Bench::new(params(&chain, Some(9)));
    assert_eq!(bench.started(), ["mine 1"]);
    let texts = bench.mined(1, Seen::Declared { draw: 4 });
    let kinds: Vec<&str> = texts.iter().map(|text| text.split(' ').next().unwrap_or_default()).collect();
    assert_eq!(kinds, ["persist", "persist", "persist", "persist", "persist", "tip", "mine", "publish"]);
    assert_eq!(texts[6], "mine 2");
    assert!(bench.mined(1, Seen::Declared { draw: 5 }).is_empty(), "the job is done");
    assert!(bench.mined(9, Seen::Declared { draw: 5 }).is_empty(), "there is no such job");
    assert!(bench.mined(2, Seen::Nonce(3)).is_empty(), "a nonce is no declared seal");
}

#[test]
fn who_mines_for_nobody_gets_no_job() {
    let mut bench = Bench::new(params(&chain(), None));
    assert!(bench.started().is_empty(), "and no timer is set");
    assert!(bench.mined(1, Seen::Declared { draw: 5 }).is_empty());
}

#[test]
fn a_job_of_work_is_refreshed_and_an_answer_to_the_last_ones_still_counts() {
    let mut bench = Bench::new(params(&real_chain(), Some(9)));
    assert_eq!(bench.started(), ["mine 1", "set Refresh +500 ms"]);
    let first = nonce(&mut bench, true);
    for job in 2..=4 {
        bench.wait(Duration::from_millis(500));
        assert_eq!(bench.timer(Timer::Refresh), [&std::format!("mine {job}"), "set Refresh +500 ms"]);
    }
    let wrong = nonce(&mut bench, false);
    assert!(bench.mined(4, Seen::Nonce(wrong)).is_empty(), "work that was not done");
    assert!(bench.mined(1, Seen::Declared { draw: 1 }).is_empty(), "work that was declared");
    assert_eq!(bench.mined(1, Seen::Nonce(first)).last().map(|text| &text[..7]), Some("publish"));
    assert!(bench.mined(4, Seen::Nonce(0)).is_empty(), "another block came first");
}

#[test]
fn the_fifth_last_job_is_forgotten() {
    let mut bench = Bench::new(params(&real_chain(), Some(9)));
    let first = nonce(&mut bench, true);
    for _ in 0..4 {
        bench.timer(Timer::Refresh);
    }
    assert!(bench.mined(1, Seen::Nonce(first)).is_empty());
}

#[test]
fn work_that_was_done_is_taken_and_declared_work_refused() {
    let chain = real_chain();
    let mut bench = Bench::new(params(&chain, None));
    let branch = Branch::new(&chain);
    let declared = branch.spoilt(&[], |_, _| {});
    assert_eq!(bench.gossip_block(P1, &declared), ["reject p1 block_seal", "reject"]);
    let target = chain.pow().expect("a chain of proof of work").params().target;
    let number = target.to_target().expect("it is a target");
    let ground = |good: bool| -> Block {
        let try_one = |nonce| branch.spoilt(&[], |header, _| header.seal = Seal::Work { target, nonce });
        let meets = |block: &Block| U256::from_be_bytes(block.id().0.0) <= number;
        (0..1_000).map(try_one).find(|block| meets(block) == good).expect("half of all hashes meet the target")
    };
    assert_eq!(bench.gossip_block(P1, &ground(false)), ["reject p1 block_seal", "reject"]);
    assert_eq!(bench.gossip_block(P1, &ground(true)).last().map(|text| text.as_str()), Some("accept"));
}

#[test]
fn a_block_carries_the_payments_and_claims_their_fees() {
    let chain = chain();
    let mut bench = Bench::new(params(&chain, Some(9)));
    let tx = pay(&chain, 1, coin(chain.state(), 1, 0), 2, 10);
    bench.submit(&tx);
    bench.mined(1, Seen::Declared { draw: 4 });
    let block = bench.replica.block(&bench.replica.tip()).expect("it was just made");
    assert_eq!(block.payments(), [tx]);
    assert_eq!(block.coinbase().total().map(|sum| sum.0), Some(51));
    assert!(bench.replica.mempool().is_empty());
}

#[test]
fn a_clock_that_was_set_back_makes_no_blocks_and_no_panic() {
    let chain = chain();
    let mut bench = Bench::new(params(&chain, Some(9)));
    let mut branch = Branch::new(&chain);
    branch.time = Time::from_secs(990);
    for block in branch.grow_by(12) {
        bench.gossip_block(P1, &block);
    }
    bench.now = Time::from_secs(100);
    let job = 13;
    assert!(bench.mined(job, Seen::Declared { draw: 1 }).is_empty());
    bench.now = Time::from_secs(990);
    assert_eq!(bench.mined(job, Seen::Declared { draw: 1 }).last().map(|text| &text[..7]), Some("publish"));
    let tip = bench.replica.tree().get(&bench.replica.tip()).expect("it is known").header().clone();
    assert_eq!(tip.time, Pow::earliest(bench.replica.tree(), &tip.parent), "it waits for no clock");
}
