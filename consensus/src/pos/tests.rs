//! The rule of proof of stake by itself: headers, weights, difficulties, and who wins how often.

mod offences;

use alloc::vec;
use alloc::vec::Vec;

use synod_ledger::{ChainId, CompactTarget, Status};
use synod_machine::{Bytes, Reject};

use super::*;
use crate::testing::genesis;

fn key(person: u8) -> SecretKey {
    SecretKey::from_bytes([person; 32])
}

fn params(retarget: Retarget) -> PosParams {
    PosParams {
        difficulty: 6_000,
        block_time_ms: 2_000,
        retarget,
        stake_depth: 2,
        unbonding: 5,
        future_max_ms: 500,
        slasher: true,
        finder_share: 10,
    }
}

/// A chain whose blocks are made at will, each with the difficulty that the rule gives.
struct Minter {
    pos: Pos,
    tree: BlockTree,
    tip: BlockId,
    second: u64,
}

impl Minter {
    fn new(retarget: Retarget) -> Self {
        let header = genesis().block().header().clone();
        let tip = header.id();
        Self { pos: Pos::new(params(retarget)), tree: BlockTree::new(header, U256::ZERO), tip, second: 0 }
    }

    fn next(&self) -> u64 {
        self.pos.difficulty_after(&self.tree, &self.tip)
    }

    /// The header that a block by `person` so many seconds after the tip has.
    fn header(&self, person: u8, interval: u64) -> Header {
        let parent = self.tree.get(&self.tip).expect("the tip is known").header();
        let seal = self.pos.unsigned(&key(person), self.next());
        let time = Time::from_secs(self.second + interval);
        let header = Header { parent: self.tip, height: parent.height.next(), time, seal, ..parent.clone() };
        self.pos.seal(header, &key(person))
    }

    fn mint(&mut self, interval: u64) -> u64 {
        let header = self.header(1, interval);
        let difficulty = self.next();
        self.second += interval;
        self.tip = header.id();
        let weight = Pos::weight(&header);
        self.tree.insert(header, weight).expect("it builds on the tip");
        difficulty
    }

    /// So many blocks of a network that needs `seconds` for a difficulty of 6,000, in whole seconds whose rests are kept.
    fn mint_at(&mut self, seconds: u64, blocks: usize) {
        let mut owed = 0;
        for _ in 0..blocks {
            owed += self.next() * seconds;
            let interval = (owed / 6_000).max(1);
            owed = owed.saturating_sub(interval * 6_000);
            self.mint(interval);
        }
    }
}

const LWMA: Retarget = Retarget::Lwma { window: 30 };

#[test]
fn a_header_weighs_its_difficulty_and_others_weigh_nothing() {
    let minter = Minter::new(Retarget::Off);
    let header = minter.header(1, 1);
    assert_eq!(Pos::weight(&header), U256::from(6_000));
    assert_eq!(Pos::weight(minter.tree.genesis().header()), U256::ZERO);
    let seal = Seal::Work { target: CompactTarget::MAX, nonce: 0 };
    assert_eq!(Pos::weight(&Header { seal, ..header }), U256::ZERO);
}

#[test]
fn every_mistake_in_a_header_has_its_error() {
    let mut minter = Minter::new(Retarget::Off);
    minter.mint(7);
    let good = minter.header(1, 3);
    assert_eq!(good.time, Time::from_secs(10));
    let now = Time::from_millis(9_500);
    let check = |header: Header| minter.pos.check(&minter.tree, &SharedHeader::from(header), now);
    assert_eq!(check(good.clone()), Ok(()), "half a second ahead of us");
    let signed = |change: &dyn Fn(&mut Header)| {
        let mut header = good.clone();
        change(&mut header);
        header.signed(&key(1))
    };
    let seal = |difficulty| Seal::Stake { key: key(1).public(), difficulty, signature: Signature::NONE };
    let past = |got| HeaderError::Past { expected: Time::from_secs(7), got };
    let table: Vec<(Header, HeaderError, Reject)> = vec![
        (signed(&|header| header.chain = ChainId(Bytes([9; 8]))), HeaderError::ForeignChain, Reject::BlockForeignChain),
        (signed(&|header| header.height = Height(3)), HeaderError::Height { expected: 2, got: 3 }, Reject::BlockHeight),
        (
            signed(&|header| header.seal = seal(5_999)),
            HeaderError::Difficulty { expected: 6_000, got: 5_999 },
            Reject::BlockTarget,
        ),
        (
            signed(&|header| header.time = Time::from_millis(9_001)),
            HeaderError::Second { got: Time::from_millis(9_001) },
            Reject::BlockSeal,
        ),
        (signed(&|header| header.time = Time::from_secs(7)), past(Time::from_secs(7)), Reject::BlockTimePast),
        (signed(&|header| header.time = Time::from_secs(6)), past(Time::from_secs(6)), Reject::BlockTimePast),
        (
            signed(&|header| header.time = Time::from_secs(11)),
            HeaderError::Future { expected: Time::from_secs(10), got: Time::from_secs(11) },
            Reject::BlockTimeFuture,
        ),
        (Header { seal: Seal::Genesis, ..good.clone() }, HeaderError::Seal, Reject::BlockSeal),
        (Header { seal: seal(6_000), ..good.clone() }, HeaderError::Seal, Reject::BlockSeal),
        (Header { time: Time::from_secs(9), ..good.clone() }, HeaderError::Seal, Reject::BlockSeal),
    ];
    for (header, error, reason) in table {
        assert_eq!(check(header), Err(error.clone()));
        assert_eq!(error.reason(), reason, "{error}");
    }
}

#[test]
fn a_stranger_cannot_give_a_header_another_id() {
    let minter = Minter::new(Retarget::Off);
    let good = minter.header(1, 3);
    let Seal::Stake { key, difficulty, signature } = good.seal.clone() else { panic!("a stake's") };
    for byte in 0..64 {
        let mut spoilt = signature;
        spoilt.0.0[byte] ^= 1;
        let header = Header { seal: Seal::Stake { key, difficulty, signature: spoilt }, ..good.clone() };
        assert_ne!(header.id(), good.id(), "nobody takes it for the good one");
        assert!(!header.is_signed());
    }
    assert_eq!(minter.header(1, 3).id(), good.id(), "the owner's own signature is the same again");
}

#[test]
fn blocks_on_time_keep_the_difficulty() {
    let mut minter = Minter::new(LWMA);
    for _ in 0..100 {
        assert_eq!(minter.mint(2), 6_000);
    }
}

#[test]
fn half_the_stake_online_gives_half_the_difficulty_within_a_few_windows() {
    let mut minter = Minter::new(LWMA);
    minter.mint_at(4, 150);
    assert!(minter.next().abs_diff(3_000) <= 300, "{}", minter.next());
    minter.mint_at(2, 150);
    assert!(minter.next().abs_diff(6_000) <= 600, "{}", minter.next());
}

#[test]
fn difficulties_are_these_numbers_and_never_nothing() {
    let mut minter = Minter::new(Retarget::Lwma { window: 4 });
    let difficulties: Vec<u64> = [2, 1, 4, 20, 1, 1].map(|interval| minter.mint(interval)).to_vec();
    // The third is 6,000 · 20 / (4 · 1 + 3 · 2 + 2 · 2 + 1 · 2); of the twenty seconds twelve count.
    assert_eq!(difficulties, [6_000, 6_000, 7_500, 5_100, 1_921, 2_093]);
    let mut idle = Minter::new(Retarget::Lwma { window: 1 });
    idle.mint_at(1_000_000, 20);
    assert_eq!(idle.next(), 1, "after a long time everybody wins");
}

#[test]
fn a_wallet_without_stake_wins_nothing_and_one_of_the_difficulty_wins_every_second() {
    let pos = Pos::new(params(Retarget::Off));
    let (parent, address) = (BlockId(Bytes([1; 32])), key(1).address());
    let win = |stake, from, until| pos.first_win(&parent, &address, Amount(stake), 1_000, from, until);
    assert_eq!(win(0, 0, 10_000), None);
    assert_eq!(win(1_000, 5, 10), Some(5));
    assert_eq!(win(1_000, 5, 5), None, "no second is left");
    let first = win(10, 0, 10_000).expect("a hundredth wins once in ten thousand seconds");
    assert_eq!(win(10, 0, first), None);
    assert_eq!(win(10, first, first + 1), Some(first));
}

#[test]
fn a_wallet_signs_only_what_is_higher_and_later_than_all_it_signed() {
    let signed = Signed { height: Height(5), second: 70 };
    assert!(signed.allows(Height(6), 71));
    assert!(!signed.allows(Height(5), 71), "a second header of that height");
    assert!(!signed.allows(Height(6), 70), "a second header of that second");
    assert!(!signed.allows(Height(4), 71), "it may have signed one of that height before");
}

/// Blocks one after another by the rule alone: the first wallet that wins a second makes the block; of several in one second
/// the smallest draw, which favours nobody.
fn shares(stakes: &[u64], blocks: usize) -> Vec<u64> {
    let pos = Pos::new(params(Retarget::Off));
    let addresses: Vec<Address> = (0..stakes.len()).map(|person| key(person as u8 + 1).address()).collect();
    let mut won = vec![0; stakes.len()];
    let (mut parent, mut second) = (BlockId(Bytes([7; 32])), 0);
    for _ in 0..blocks {
        let mut best = (second + 10_000, U256::MAX, 0);
        // The largest first: nobody has to look beyond the second of the best one yet.
        for (person, (address, stake)) in addresses.iter().zip(stakes).enumerate().rev() {
            let until = best.0 + 1;
            if let Some(at) = pos.first_win(&parent, address, Amount(*stake), 50_000, second + 1, until) {
                best = best.min((at, kernel(&parent, address, at), person));
            }
        }
        let (at, draw, person) = best;
        assert!(draw < U256::MAX, "somebody wins in ten thousand seconds");
        won[person] += 1;
        second = at;
        // The next parent's name depends on who won, as a block's does.
        parent = BlockId(Bytes((draw ^ U256::from(person)).to_be_bytes()));
    }
    won
}

/// Who has so much of the stake makes so many of the blocks. The seed is the first parent's name. Two win
/// one second about once in a hundred blocks, and then a smaller stake wins more often than by its share; at this
/// difficulty that is far below chance.
#[test]
fn over_ten_thousand_blocks_each_wallet_makes_its_share_within_chance() {
    let stakes = [10, 20, 40, 80, 100, 150, 250, 350];
    let blocks = 10_000;
    let won = shares(&stakes, blocks);
    assert_eq!(won.iter().sum::<u64>(), blocks as u64);
    let total: u64 = stakes.iter().sum();
    let chi_square: f64 = won
        .iter()
        .zip(&stakes)
        .map(|(won, stake)| {
            let expected = blocks as f64 * *stake as f64 / total as f64;
            (*won as f64 - expected).powi(2) / expected
        })
        .sum();
    // 99 of 100 samples of seven degrees of freedom are below 18.475.
    assert!(chi_square < 18.475, "{chi_square}: {won:?}");
}

#[test]
fn the_heavier_branch_wins_and_not_the_longer_one() {
    let mut minter = Minter::new(Retarget::Lwma { window: 1 });
    minter.mint(2);
    let (fork, second) = (minter.tip, minter.second);
    minter.mint(1);
    minter.mint(1);
    let heavy = minter.tip;
    (minter.tip, minter.second) = (fork, second);
    // Twelve seconds make the difficulty a sixth: three blocks weigh less than two.
    minter.mint(40);
    minter.mint(40);
    minter.mint(40);
    let long = minter.tip;
    assert!(minter.tree.get(&long).expect("known").height() > minter.tree.get(&heavy).expect("known").height());
    assert_eq!(minter.tree.best_header().id(), heavy);
    assert_eq!(minter.tree.best_header().status(), Status::Header);
}
