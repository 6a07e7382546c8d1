//! A replica on a chain of stakes: evidence from its finding to the block that uses it, headers that nobody's stake has won,
//! and what a crash between signing and sending leaves behind.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::time::Duration;
use std::string::String;
use std::vec;
use std::vec::Vec;

use synod_ledger::{
    Amount, Block, Coinbase, Engine, Evidence, Header, Height, LedgerParams, Output, PosParams, Retarget, Seal,
    Signature, Signatures, State, U256,
};
use synod_machine::{Bytes, Time};

use crate::adversary::{MultiMinter, accusations};
use crate::testing::bench::{Bench, P1, P2, P3};
use crate::testing::{chain_with, key, params};
use crate::{Chain, Message, Params, Record, Timer};

/// Three wallets with a stake that wins every second, so that whoever wants makes a block; the fourth has none.
pub(super) fn chain(slasher: bool) -> Arc<Chain> {
    chain_with(|genesis| {
        genesis.engine = Engine::Pos(PosParams {
            difficulty: 256,
            block_time_ms: 2_000,
            retarget: Retarget::Off,
            stake_depth: 2,
            unbonding: 10,
            future_max_ms: 10_000,
            slasher,
            finder_share: 64,
        });
        genesis.ledger = LedgerParams { block_bytes_max: 5_000, ..genesis.ledger };
        for balance in &mut genesis.balances[..3] {
            balance.stake = Amount(1_000);
        }
    })
}

/// Blocks by whom and when a test says.
#[derive(Clone)]
struct Branch {
    chain: Arc<Chain>,
    state: State,
    header: Header,
}

impl Branch {
    fn new(chain: &Arc<Chain>) -> Self {
        Self { chain: chain.clone(), state: chain.state().clone(), header: chain.block().header().clone() }
    }

    fn header(&self, person: u8, second: u64, root: Bytes<32>) -> Header {
        let seal = Seal::Stake { key: key(person).public(), difficulty: 256, signature: Signature::NONE };
        let (height, time) = (self.header.height.next(), Time::from_secs(second));
        let header = Header { parent: self.header.id(), height, time, root, seal, ..self.header.clone() };
        header.signed(&key(person))
    }

    /// A block that is not connected.
    fn make(&self, person: u8, second: u64, extra: u64, evidence: Vec<Evidence>) -> Block {
        let height = self.header.height.next();
        let outputs = vec![Output::plain(Amount(50), key(person).address())];
        let coinbase = Coinbase { chain: self.chain.rules().chain, height, extra, outputs };
        let header = self.header(person, second, Block::root_with(&coinbase, &[], &evidence));
        Block::with_evidence(header, coinbase, vec![], evidence)
    }

    fn grow(&mut self, person: u8, second: u64) -> Block {
        self.grow_with(person, second, vec![])
    }

    fn grow_with(&mut self, person: u8, second: u64, evidence: Vec<Evidence>) -> Block {
        let block = self.make(person, second, 0, evidence);
        let connected = self.state.connect(self.chain.rules(), &block, Signatures::Check);
        self.state = connected.expect("the block connects").0;
        self.header = block.header().clone();
        block
    }
}

fn evidence(one: &Block, other: &Block) -> Evidence {
    Evidence::new(one.header().clone(), other.header().clone())
}

fn told(evidence: &Evidence) -> Message {
    Message::Evidence(Box::new(evidence.clone()))
}

/// A replica that mints for a person, or for nobody.
fn bench(chain: &Arc<Chain>, signer: Option<u8>) -> Bench {
    let mut bench = Bench::new(minter(chain, signer));
    bench.up(P1);
    bench.up(P2);
    bench.up(P3);
    bench
}

fn minter(chain: &Arc<Chain>, signer: Option<u8>) -> Params {
    Params { signer: signer.map(key), ..params(chain, None) }
}

fn of_evidence(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).filter(|text| text.contains("evidence") || text.contains("offence")).collect()
}

/// Mints the block whose second has come, and gives it.
fn mint(bench: &mut Bench) -> Block {
    bench.now = Time::from_secs(bench.now.as_secs() + 1);
    bench.timer(Timer::Mint);
    bench.replica.block(&bench.replica.tip()).expect("it was just minted")
}

#[test]
fn who_signs_two_blocks_of_one_height_is_told_of_and_loses_its_stake_in_the_next_block() {
    let chain = chain(true);
    let branch = Branch::new(&chain);
    let (one, two) = (branch.make(1, 990, 0, vec![]), branch.make(1, 991, 0, vec![]));
    let mut bench = bench(&chain, Some(2));
    assert_eq!(of_evidence(&bench.gossip_block(P1, &one)), [] as [&str; 0]);
    let said = bench.gossip_block(P2, &two);
    assert_eq!(of_evidence(&said), ["an offence at height 1", "[p1, p2, p3] < evidence of height 1"]);
    let found = evidence(&one, &two);
    assert_eq!(bench.replica.offences().collect::<Vec<_>>(), [&found]);
    assert_eq!(of_evidence(&bench.hear(P3, told(&found))), [] as [&str; 0], "it is no news");
    assert_eq!(of_evidence(&bench.up(synod_machine::PeerId(4))), ["p4 < evidence of height 1"], "a newcomer is told");
    let block = mint(&mut bench);
    assert_eq!(block.evidence(), [found]);
    // A quarter of the thousand, and the subsidy.
    assert_eq!(block.coinbase().outputs, [Output::plain(Amount(300), key(2).address())]);
    assert_eq!(bench.replica.state().loss_of(&key(1).address()), Some(Height(2)));
    assert_eq!(bench.replica.state().stake_of(&key(1).address()), Amount::ZERO);
    assert_eq!(bench.replica.offences().count(), 0, "it is used");
    assert!(mint(&mut bench).evidence().is_empty());
}

#[test]
fn evidence_that_is_heard_goes_on_to_the_others_once() {
    let chain = chain(true);
    let branch = Branch::new(&chain);
    let found = evidence(&branch.make(1, 990, 0, vec![]), &branch.make(1, 990, 1, vec![]));
    let mut bench = bench(&chain, None);
    let said = bench.hear(P2, told(&found));
    assert_eq!(said, ["an offence at height 1", "[p1, p3] < evidence of height 1"]);
    assert_eq!(bench.hear(P1, told(&found)), [] as [&str; 0]);
}

#[test]
fn evidence_that_proves_nothing_is_held_against_who_sends_it() {
    let chain = chain(true);
    let branch = Branch::new(&chain);
    let (one, two) = (branch.make(1, 990, 0, vec![]), branch.make(1, 991, 0, vec![]));
    let forged = Header { root: Bytes([7; 32]), ..one.header().clone() };
    let foreign = Header { chain: synod_ledger::ChainId(Bytes([9; 8])), ..two.header().clone() };
    let mut bench = bench(&chain, None);
    let of = |one: &Block, other: Header| told(&Evidence::new(one.header().clone(), other));
    let bad = [of(&one, forged), of(&one, one.header().clone()), of(&one, foreign)];
    for message in bad {
        assert_eq!(bench.hear(P1, message), ["reject p1 block_evidence"]);
    }
    // What may be of use to somebody else, or later, is nobody's fault, and is kept by nobody.
    let mut high = branch.header.clone();
    high.height = Height(40);
    let above = Branch { header: high, ..branch.clone() };
    let early = evidence(&above.make(1, 990, 0, vec![]), &above.make(1, 991, 0, vec![]));
    let poor = evidence(&branch.make(4, 990, 0, vec![]), &branch.make(4, 991, 0, vec![]));
    for message in [early, poor] {
        assert_eq!(bench.hear(P1, told(&message)), [] as [&str; 0]);
    }
    assert_eq!(bench.replica.offences().count(), 0);
    let mut lenient = self::bench(&self::chain(false), None);
    assert_eq!(lenient.hear(P1, told(&evidence(&one, &two))), ["reject p1 block_evidence_off"]);
}

#[test]
fn nothing_is_said_of_offences_where_nobody_punishes_them() {
    let chain = chain(false);
    let branch = Branch::new(&chain);
    let mut bench = bench(&chain, Some(2));
    bench.gossip_block(P1, &branch.make(1, 990, 0, vec![]));
    assert_eq!(of_evidence(&bench.gossip_block(P1, &branch.make(1, 991, 0, vec![]))), [] as [&str; 0]);
    assert!(mint(&mut bench).evidence().is_empty());
}

#[test]
fn evidence_of_a_block_that_is_taken_back_is_used_again() {
    let chain = chain(true);
    let mut branch = Branch::new(&chain);
    let found = evidence(&branch.make(1, 980, 0, vec![]), &branch.make(1, 981, 0, vec![]));
    let mut other = branch.clone();
    let punished = branch.grow_with(2, 990, vec![found.clone()]);
    let longer = [other.grow(3, 991), other.grow(3, 992)];
    let mut bench = bench(&chain, Some(2));
    bench.gossip_block(P1, &punished);
    assert_eq!(bench.replica.state().loss_of(&key(1).address()), Some(Height(1)));
    assert_eq!(bench.replica.offences().count(), 0);
    for block in &longer {
        bench.gossip_block(P1, block);
    }
    assert_eq!(bench.replica.state().loss_of(&key(1).address()), None);
    assert_eq!(bench.replica.offences().collect::<Vec<_>>(), [&found]);
    assert_eq!(mint(&mut bench).evidence(), [found]);
}

#[test]
fn a_replica_finds_offences_again_that_no_block_had_before_it_went_down() {
    let chain = chain(true);
    let branch = Branch::new(&chain);
    let (one, two) = (branch.make(1, 990, 0, vec![]), branch.make(1, 990, 1, vec![]));
    let mut bench = bench(&chain, Some(2));
    bench.gossip_block(P1, &one);
    bench.gossip_block(P1, &two);
    let mut again = Bench::restored(minter(&chain, Some(2)), bench.disk.clone());
    again.load_all();
    assert_eq!(again.replica.offences().collect::<Vec<_>>(), [&evidence(&one, &two)]);
    assert_eq!(mint(&mut again).evidence(), [evidence(&one, &two)]);
}

#[test]
fn a_header_that_no_stake_has_won_is_refused_before_its_block_is_here() {
    let chain = chain(true);
    let mut branch = Branch::new(&chain);
    let mut bench = bench(&chain, None);
    let stranger = branch.make(4, 990, 0, vec![]);
    let texts = bench.gossip_block(P1, &stranger);
    assert_eq!(texts, ["reject p1 block_stake", "reject"]);
    assert!(bench.replica.tree().get(&stranger.id()).is_none(), "it is not even kept");
    // Three blocks above the coins their stakes cannot be told any more: a stranger's header is taken in …
    let good: Vec<Block> = [1, 2, 3].iter().zip(980..).map(|(person, second)| branch.grow(*person, second)).collect();
    let false_header = branch.header(4, 990, Bytes([1; 32]));
    let claim = crate::Claim { tip: false_header.id(), height: Height(4), work: Bytes([9; 32]) };
    bench.hear(P1, Message::Tip(claim));
    let headers = good.iter().map(|block| block.shared_header().clone()).chain([false_header.clone().into()]).collect();
    bench.hear(P1, Message::Headers(headers));
    assert_eq!(bench.replica.tree().best_header().id(), false_header.id());
    // … and given up when the coins come to its parent, whether its block is ever given or not.
    for block in &good {
        bench.hear(P1, Message::Block(block.clone()));
    }
    assert_eq!(bench.replica.state().height(), Height(3));
    assert_eq!(bench.replica.tree().best_header().id(), good[2].id());
}

/// What the disk holds when only the first so many records of a step reached it.
fn crash_disks(chain: &Arc<Chain>) -> Vec<BTreeMap<synod_machine::Key, Record>> {
    let mut bench = Bench::new(minter(chain, Some(1)));
    let before = bench.disk.clone();
    bench.now = Time::from_secs(bench.now.as_secs() + 1);
    bench.timer(Timer::Mint);
    let signed = (Record::signed_key(), bench.disk[&Record::signed_key()].clone());
    let mut only_signed = before;
    only_signed.insert(signed.0, signed.1);
    let mut with_header = only_signed.clone();
    let header = bench.disk.iter().find(|(_, record)| matches!(record, Record::Header(_))).expect("it minted");
    let Record::Header(stored) = header.1 else { panic!("a header") };
    let bare = crate::StoredHeader { status: synod_ledger::Status::Header, completed: None, ..stored.clone() };
    with_header.insert(*header.0, Record::Header(bare));
    vec![only_signed, with_header, bench.disk]
}

#[test]
fn a_lone_wallet_that_crashes_between_signing_and_sending_sends_that_block_and_goes_on() {
    let chain = chain(true);
    for (place, disk) in crash_disks(&chain).into_iter().enumerate() {
        let Record::Signed(signed) = disk[&Record::signed_key()].clone() else { panic!("what was signed") };
        let mut bench = Bench::restored(minter(&chain, Some(1)), disk);
        let is_published = bench.started().iter().any(|text| text.starts_with("publish"));
        assert_eq!(is_published, place < 2, "crash {place}: sent if it never was");
        bench.now = Time::from_secs(1_010);
        bench.load_all();
        assert_eq!(bench.replica.tip(), signed.id(), "crash {place}");
        let next = mint(&mut bench);
        assert_eq!((next.height(), next.header().parent), (Height(2), signed.id()), "crash {place}");
    }
}

#[test]
fn a_wallet_that_lost_its_disk_signs_nothing_that_contradicts_a_block_which_it_is_given() {
    let chain = chain(true);
    let mut branch = Branch::new(&chain);
    let own = branch.make(1, 1_003, 0, vec![]);
    let other = branch.grow(2, 990);
    let next = branch.grow(2, 991);
    let mut bench = bench(&chain, Some(1));
    bench.now = Time::from_secs(1_002);
    bench.gossip_block(P1, &own);
    bench.gossip_block(P1, &other);
    bench.gossip_block(P1, &next);
    let minted = mint(&mut bench);
    assert_eq!(minted.id(), next.id(), "not in second 1,003, in which it has signed");
    bench.now = Time::from_secs(1_003);
    let minted = mint(&mut bench);
    assert_eq!((minted.height(), minted.header().time), (Height(3), Time::from_secs(1_004)));
    let headers: Vec<Header> = bench.replica.tree().iter().skip(1).map(|node| node.header().clone()).collect();
    for header in &headers {
        assert!(Evidence::new(header.clone(), minted.header().clone()).check(chain.rules().chain).is_err());
    }
}

#[test]
fn a_multi_minter_signs_on_every_branch_and_is_found_and_a_forger_finds_nothing() {
    let chain = chain(true);
    let mut branch = Branch::new(&chain);
    let mut bench = bench(&chain, None);
    let fork = branch.clone();
    bench.gossip_block(P1, &branch.grow(2, 998));
    bench.gossip_block(P1, &fork.make(3, 999, 0, vec![]));
    let mut minter = MultiMinter::default();
    let blocks = minter.blocks(bench.now, &bench.replica, &key(1));
    // Second 999 and 1,000 on the first branch, 1,000 on the second, and all thousand seconds on the genesis.
    assert_eq!(blocks.len(), 1_003);
    assert!(minter.blocks(bench.now, &bench.replica, &key(1)).is_empty(), "none is made twice");
    let mut offences = 0;
    for block in &blocks[998..] {
        let said = bench.gossip_block(P1, block);
        offences += said.iter().filter(|text| text.starts_with("an offence")).count();
        assert!(said.iter().any(|text| text == "accept"), "{said:?}");
    }
    assert_eq!(offences, 1, "one for each key");
    let accused = accusations(&bench.replica);
    assert!(accused.len() >= 3, "{}", accused.len());
    for evidence in accused {
        assert!(evidence.check(chain.rules().chain).is_err(), "{evidence:?}");
    }
    assert_eq!(bench.replica.offences().next().and_then(Evidence::key), Some(key(1).public()));
}

fn claim(blocks: &[Block]) -> Message {
    let (tip, work) = (&blocks[blocks.len() - 1], U256::from(256 * blocks.len()));
    Message::Tip(crate::Claim { tip: tip.id(), height: tip.height(), work: Bytes(work.to_be_bytes()) })
}

fn headers(blocks: &[Block]) -> Message {
    Message::Headers(blocks.iter().map(|block| block.shared_header().clone()).collect())
}

fn asks(texts: &[String], what: &str) -> bool {
    texts.iter().any(|text| text.starts_with(what))
}

#[test]
fn a_heavier_chain_whose_blocks_nobody_gives_does_not_hold_the_honest_one_up() {
    let chain = chain(true);
    let (mut honest, mut withheld) = (Branch::new(&chain), Branch::new(&chain));
    let good: Vec<Block> = [(1, 900), (2, 901), (1, 902)].map(|(person, second)| honest.grow(person, second)).to_vec();
    let held: Vec<Block> = (800..809).map(|second| withheld.grow(3, second)).collect();
    let mut bench = bench(&chain, None);
    assert!(asks(&bench.hear(P1, claim(&held)), "p1 < get headers"));
    assert!(asks(&bench.hear(P1, headers(&held)), "p1 < get blocks"));
    assert!(!asks(&bench.hear(P2, claim(&good)), "p2 < get headers"), "it claims less");
    let mut waited = 0;
    loop {
        bench.wait(Duration::from_secs(1));
        waited += 1;
        if asks(&bench.timer(Timer::Sync), "p2 < get headers") {
            break;
        }
        assert!(waited < 60, "the honest chain is never asked for");
    }
    assert!(waited >= 30, "after {waited} s: three peers may yet have given the blocks");
    assert!(asks(&bench.hear(P2, headers(&good)), "p2 < get blocks"));
    for block in &good {
        bench.hear(P2, Message::Block(block.clone()));
    }
    assert_eq!(bench.replica.tip(), good[2].id());
    assert!(bench.replica.is_settled());
    // Who withheld them is asked for no more headers; its blocks are good all the same, if they come.
    let more = withheld.grow(3, 809);
    let longer: Vec<Block> = held.iter().cloned().chain([more]).collect();
    assert!(!asks(&bench.hear(P1, claim(&longer)), "p1 < get headers"));
    for block in &held {
        bench.hear(P3, Message::Block(block.clone()));
    }
    assert_eq!(bench.replica.tip(), held[8].id(), "the heavier chain");
}

/// A replica to which a peer gave the headers of three blocks, and then none of the blocks, for so long that others were
/// believed. What the other has by now, and what the replica has: more than it knows of the other's.
fn passed_over() -> (Bench, Vec<Block>) {
    let chain = chain(true);
    let (mut ours, mut theirs) = (Branch::new(&chain), Branch::new(&chain));
    let all: Vec<Block> = (800..808).map(|second| theirs.grow(3, second)).collect();
    let mut bench = bench(&chain, None);
    bench.call_all("theirs", &all);
    bench.hear(P1, claim(&all[..3]));
    assert!(asks(&bench.hear(P1, headers(&all[..3])), "p1 < get blocks theirs1 theirs2 theirs3"));
    for _ in 0..60 {
        bench.wait(Duration::from_secs(1));
        bench.timer(Timer::Sync);
    }
    for second in 900..905 {
        bench.gossip_block(P2, &ours.grow(1, second));
    }
    // What was asked for the last time is lost as well, and the peer has rested from it.
    for _ in 0..60 {
        bench.wait(Duration::from_secs(1));
        bench.timer(Timer::Sync);
    }
    assert_eq!(bench.replica.state().height(), Height(5));
    (bench, all)
}

#[test]
fn a_peer_whose_blocks_were_lost_on_the_way_is_believed_again_when_it_gives_the_first_of_them() {
    let (mut bench, all) = passed_over();
    let texts = bench.hear(P1, claim(&all));
    assert!(!asks(&texts, "p1 < get headers"), "it gave headers before, and no block");
    assert!(asks(&texts, "p1 < get blocks theirs1"), "{texts:?}");
    for _ in 0..5 {
        bench.wait(Duration::from_secs(1));
        assert!(!asks(&bench.timer(Timer::Sync), "p1 <"), "it has its time to answer");
    }
    bench.hear(P1, Message::Block(all[0].clone()));
    assert!(asks(&bench.timer(Timer::Sync), "p1 < get headers"));
    assert!(asks(&bench.hear(P1, headers(&all)), "p1 < get blocks theirs2"));
    for block in &all[1..] {
        bench.hear(P1, Message::Block(block.clone()));
    }
    assert_eq!(bench.replica.tip(), all[7].id());
}

#[test]
fn a_peer_that_gives_no_block_is_asked_for_it_now_and_then_and_never_for_headers() {
    let (mut bench, all) = passed_over();
    let mut asked = 0;
    for _ in 0..600 {
        bench.wait(Duration::from_secs(1));
        let mut texts = bench.timer(Timer::Sync);
        texts.extend(bench.hear(P1, claim(&all)));
        assert!(!asks(&texts, "p1 < get headers"), "{texts:?}");
        asked += texts.iter().filter(|text| *text == "p1 < get blocks theirs1").count();
    }
    // Each time ten seconds pass without an answer, and then five, ten, twenty, forty seconds in which it is left alone.
    assert!((10..=16).contains(&asked), "asked {asked} times");
}

#[test]
fn a_peer_whose_block_somebody_else_gives_has_said_the_truth() {
    let (mut bench, all) = passed_over();
    bench.hear(P3, Message::Block(all[0].clone()));
    assert!(asks(&bench.hear(P1, claim(&all)), "p1 < get headers"));
}
