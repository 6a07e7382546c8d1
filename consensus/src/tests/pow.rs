//! The rule of proof of work by itself: weights, targets, the retarget.

use core::time::Duration;
use std::vec::Vec;

use synod_ledger::{BlockId, BlockTree, CompactTarget, Header, Height, PowParams, Retarget, Seal, U256};
use synod_machine::Time;

use crate::Pow;
use crate::pow::{target_for, work};
use crate::testing::genesis;

#[test]
fn work_is_the_expected_number_of_hashes() {
    let table = [
        (0x207f_ffff, U256::from(2)),
        (0x2000_ffff, U256::from(256)),
        // Bitcoin's first block: 2^32 / (1 - 2^-16), rounded down.
        (0x1d00_ffff, U256::from(4_295_032_833_u64)),
        (0x0300_0001, U256::from(1) << 255),
    ];
    for (target, hashes) in table {
        assert_eq!(work(CompactTarget(target)), hashes, "{target:#x}");
    }
    assert_eq!(work(CompactTarget(0)), U256::MAX, "a target that is none would take all the work there is");
}

#[test]
fn a_target_for_a_hash_rate_takes_it_the_block_time() {
    let table =
        [(0, 1, 0x207f_ffff), (1, 1, 0x207f_ffff), (2, 1, 0x207f_ffff), (256, 1, 0x2000_ffff), (128, 2, 0x2000_ffff)];
    for (rate, secs, target) in table {
        assert_eq!(target_for(rate, Duration::from_secs(secs)), CompactTarget(target), "{rate} for {secs} s");
    }
    for rate in [1_000, 50_000, 3_000_000, 10_u64.pow(15)] {
        let hashes: u64 = work(target_for(rate, Duration::from_secs(2))).to();
        let expected = 2 * rate;
        assert!(hashes >= expected && hashes - expected <= expected / 30_000 + 1, "{hashes} for {expected}");
    }
}

/// A chain whose blocks come at those intervals, each with the target that the rule gives.
struct Miner {
    pow: Pow,
    tree: BlockTree,
    tip: BlockId,
    time: Time,
}

impl Miner {
    fn new(window: u32, target: CompactTarget) -> Self {
        let retarget = Retarget::Lwma { window };
        let pow = Pow::new(PowParams { target, block_time_ms: 1_000, retarget, declared: true });
        let header = genesis().block().header().clone();
        let tip = header.id();
        Self { pow, tree: BlockTree::new(header, U256::ZERO), tip, time: Time::ZERO }
    }

    fn next(&self) -> CompactTarget {
        self.pow.target_after(&self.tree, &self.tip)
    }

    fn mine(&mut self, interval: Duration) -> CompactTarget {
        let target = self.next();
        let parent = self.tree.get(&self.tip).expect("the tip is known").header();
        self.time = self.time + interval;
        let header = Header {
            parent: self.tip,
            height: parent.height.next(),
            time: self.time,
            seal: Seal::Declared { target, draw: 0 },
            ..parent.clone()
        };
        self.tip = header.id();
        let weight = Pow::weight(&header);
        self.tree.insert(header, weight).expect("it builds on the tip");
        target
    }

    /// So many blocks that take a network of that hash rate as long as they do on average.
    fn mine_at(&mut self, hash_rate: u64, blocks: usize) {
        for _ in 0..blocks {
            let hashes: u64 = work(self.next()).to();
            self.mine(Duration::from_micros(hashes * 1_000_000 / hash_rate));
        }
    }

    fn hashes(&self) -> u64 {
        work(self.next()).to()
    }
}

const FIRST: CompactTarget = CompactTarget(0x1e00_ffff);

#[test]
fn blocks_on_time_keep_the_target() {
    let mut miner = Miner::new(60, FIRST);
    for _ in 0..300 {
        miner.mine(Duration::from_secs(1));
        assert_eq!(miner.next(), FIRST);
    }
}

#[test]
fn twice_the_hash_rate_gives_half_the_target_within_a_few_windows() {
    let mut miner = Miner::new(30, FIRST);
    let rate = miner.hashes();
    miner.mine_at(rate, 60);
    miner.mine_at(2 * rate, 120);
    assert!(miner.hashes().abs_diff(2 * rate) <= rate / 10, "{} of {}", miner.hashes(), 2 * rate);
    miner.mine_at(rate, 120);
    assert!(miner.hashes().abs_diff(rate) <= rate / 10, "{} of {rate}", miner.hashes());
}

#[test]
fn a_network_that_slept_is_not_flooded() {
    let mut miner = Miner::new(30, FIRST);
    let rate = miner.hashes();
    miner.mine_at(rate, 60);
    let before = miner.hashes();
    miner.mine(Duration::from_secs(100_000));
    // One interval of at most six block times weighs 30 of 465 parts: 1 + 5 * 30 / 465 times easier.
    assert!(miner.hashes() >= before * 3 / 4, "{} of {before}", miner.hashes());
    miner.mine_at(rate, 120);
    assert!(miner.hashes().abs_diff(rate) <= rate / 10);
}

#[test]
fn blocks_that_come_at_once_do_not_make_the_next_one_impossible() {
    for window in [1, 2, 30] {
        let mut miner = Miner::new(window, FIRST);
        let rate = miner.hashes();
        for _ in 0..window {
            let before = miner.hashes();
            miner.mine(Duration::from_nanos(1));
            let after = miner.hashes();
            assert!(after <= before * 11, "window {window}: {after} after {before}");
        }
        assert!(miner.hashes() > rate, "it gets harder");
    }
}

#[test]
fn targets_are_these_numbers() {
    let intervals = [1_000, 500, 2_000, 0, 9_000, 100, 1_000, 1_000];
    let mut miner = Miner::new(4, FIRST);
    let targets: Vec<u32> = intervals.iter().map(|&ms| miner.mine(Duration::from_millis(ms)).0).collect();
    // The third is the first times (4 * 0.5 + 3 + 2 + 1) / 10; the fifth has an interval of nothing, the sixth one of
    // nine block times, of which six count.
    let expected =
        [0x1e00_ffff, 0x1e00_ffff, 0x1e00_cccc, 0x1e01_2ffe, 0x1e00_cc28, 0x1e02_b25e, 0x1e02_cbb0, 0x1e03_0c09];
    assert_eq!(targets, expected);
    assert_eq!(miner.tree.get(&miner.tip).map(|node| node.height()), Some(Height(8)));
}
