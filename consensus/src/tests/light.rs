//! A light peer against tables of steps: what it takes of headers, from whom, and what it answers.

use std::collections::BTreeMap;
use std::string::String;
use std::vec;
use std::vec::Vec;
use std::{boxed::Box, format};

use synod_ledger::{
    Block, BlockId, Engine, Evidence, Header, Height, Retarget, Seal, SharedHeader, Status, TxId, U256,
};
use synod_machine::{Bytes, Input, PeerId, Time, wire};

use super::{stakes, validators};
use crate::light::{LightUnsupported, Limits, Params, Timer};
use crate::message::{BLOCKS_MAX, HEADERS_MAX, INVENTORY_MAX, LOCATOR_MAX};
use crate::pow::target_for;
use crate::testing::bench::{Bench, Names, P1, P2, P3};
use crate::testing::light::LightBench;
use crate::testing::{Branch, chain, chain_with, coin, hex, key, name, params, pay};
use crate::{Claim, Item, Message, Record, StoredHeader};

/// A new light peer with neighbours, and blocks that it does not have.
fn fresh(blocks: usize, peers: &[PeerId]) -> (LightBench, Vec<Block>) {
    let chain = chain();
    let mut bench = LightBench::new(&chain);
    let blocks = Branch::new(&chain).grow_by(blocks);
    bench.names.call_all("b", &blocks);
    for &peer in peers {
        assert!(bench.up(peer).is_empty(), "it says nothing of itself");
    }
    (bench, blocks)
}

/// The same, with the headers taken in.
fn full(blocks: usize, peers: &[PeerId]) -> (LightBench, Vec<Block>) {
    let (mut bench, blocks) = fresh(blocks, peers);
    for block in &blocks {
        bench.gossip_block(P3, block);
    }
    (bench, blocks)
}

fn claim(block: &Block) -> Message {
    let height = block.height();
    Message::Tip(Claim { tip: block.id(), height, work: Bytes(U256::from(2 * height.0).to_be_bytes()) })
}

fn headers(blocks: &[Block]) -> Message {
    Message::Headers(blocks.iter().map(|block| block.shared_header().clone()).collect())
}

fn tip(bench: &LightBench) -> BlockId {
    bench.light.best_header().id()
}

#[test]
fn catching_up_goes_by_claim_and_headers_and_no_body_is_asked_for() {
    let (mut bench, blocks) = fresh(3, &[P1]);
    assert_eq!(bench.hear(P1, claim(&blocks[2])), ["p1 < get headers genesis", "set Sync +1000 ms"]);
    let expected =
        ["persist header b1 Header", "persist header b2 Header", "persist header b3 Header", "tip b3 at 3, 0 back"];
    assert_eq!(bench.hear(P1, headers(&blocks)), expected);
    assert!(bench.timer(Timer::Sync).is_empty(), "nothing is awaited");
    assert!(bench.hear(P1, claim(&blocks[2])).is_empty(), "nothing is missing");
    assert!(bench.up(P1).is_empty(), "a second connection is the same link");
    assert_eq!(bench.light.peers(), [P1]);
}

#[test]
fn an_answer_that_is_full_is_followed_by_the_next_question() {
    let (mut bench, blocks) = fresh(HEADERS_MAX + 1, &[P1]);
    bench.now = Time::from_secs(10_000);
    bench.hear(P1, claim(&blocks[HEADERS_MAX]));
    let texts = bench.hear(P1, headers(&blocks[..HEADERS_MAX]));
    let told: Vec<&String> = texts.iter().filter(|text| !text.starts_with("persist")).collect();
    assert!(told[0].starts_with("p1 < get headers b2000 b1999 "), "{told:?}");
    assert_eq!(told[1], "tip b2000 at 2000, 0 back");
    let texts = bench.hear(P1, headers(&blocks[HEADERS_MAX..]));
    assert_eq!(texts, ["persist header b2001 Header", "tip b2001 at 2001, 0 back"]);
}

#[test]
fn a_message_that_crosses_a_closing_connection_is_dropped() {
    let (mut bench, blocks) = fresh(1, &[P1]);
    bench.hear(P1, claim(&blocks[0]));
    assert!(bench.step(Input::PeerDown(P1)).is_empty());
    assert!(bench.hear(P1, headers(&blocks)).is_empty());
    assert!(bench.timer(Timer::Sync).is_empty());
    assert_eq!(tip(&bench), chain().id());
}

#[test]
fn a_gossiped_block_extends_the_headers_at_once_and_is_forwarded_to_nobody() {
    let (mut bench, blocks) = fresh(2, &[P1]);
    let expected = ["persist header b1 Header", "ignore", "tip b1 at 1, 0 back"];
    assert_eq!(bench.gossip_block(P1, &blocks[0]), expected);
    assert_eq!(bench.gossip_block(P1, &blocks[0]), ["ignore"], "it is known");
    let chain = chain();
    let tx = pay(&chain, 1, coin(chain.state(), 1, 0), 2, 10);
    assert_eq!(bench.gossip(P1, Item::Payment(tx)), ["ignore"], "it has no coins to judge it by");
}

#[test]
fn below_a_gossiped_block_the_missing_headers_are_asked_of_who_gave_it() {
    let (mut bench, blocks) = fresh(3, &[P1]);
    let expected = ["p1 < get headers genesis", "set Sync +1000 ms", "ignore"];
    assert_eq!(bench.gossip_block(P1, &blocks[2]), expected);
    assert_eq!(bench.gossip_block(P2, &blocks[1]), ["ignore"], "there is no link to ask it by");
    assert_eq!(bench.hear(P1, headers(&blocks)).last().map(String::as_str), Some("tip b3 at 3, 0 back"));
}

#[test]
fn a_gossiped_block_far_below_the_best_header_is_not_taken() {
    let (mut bench, _) = full(102, &[P1]);
    let known = bench.light.tree().len();
    for (height, taken) in [(1, 0), (2, 1)] {
        let mut branch = Branch::new(&chain()).fork(9);
        let side = branch.grow_by(height);
        // What it builds on is known.
        if height == 2 {
            bench.hear(P1, claim_of_much(&side[0]));
            bench.hear(P1, headers(&side[..1]));
        }
        let before = bench.light.tree().len();
        assert_eq!(bench.gossip_block(P1, &side[height - 1]).last().map(String::as_str), Some("ignore"));
        assert_eq!(bench.light.tree().len(), before + taken, "height {height}");
    }
    assert_eq!(bench.light.tree().len(), known + 2);
}

fn claim_of_much(block: &Block) -> Message {
    Message::Tip(Claim { tip: block.id(), height: block.height(), work: Bytes([255; 32]) })
}

#[test]
fn a_heavier_branch_is_followed_and_among_equals_the_first_stays() {
    let (mut bench, blocks) = full(3, &[P1]);
    let rivals = Branch::new(&chain()).fork(1).grow_by(4);
    bench.names.call_all("r", &rivals);
    bench.hear(P1, claim(&rivals[3]));
    let texts = bench.hear(P1, headers(&rivals[..3]));
    assert_eq!(texts.len(), 3, "no tip is told: {texts:?}");
    assert_eq!(tip(&bench), blocks[2].id());
    let expected = ["persist header r4 Header", "ignore", "tip r4 at 4, 3 back"];
    assert_eq!(bench.gossip_block(P1, &rivals[3]), expected);
    assert_eq!(bench.light.header_at(Height(2)), Some(rivals[1].shared_header()));
}

#[test]
fn what_is_not_answered_is_asked_of_another_and_two_are_asked_at_a_time() {
    let (mut bench, blocks) = fresh(3, &[P1, P2, P3]);
    bench.hear(P1, claim(&blocks[2]));
    assert_eq!(bench.hear(P2, claim(&blocks[2])), ["p2 < get headers genesis"]);
    assert!(bench.hear(P3, claim(&blocks[2])).is_empty());
    bench.wait_secs(9);
    assert_eq!(bench.timer(Timer::Sync), ["set Sync +1000 ms"]);
    bench.wait_secs(1);
    assert_eq!(bench.timer(Timer::Sync), ["set Sync +1000 ms", "p3 < get headers genesis"]);
    assert_eq!(bench.hear(P1, headers(&blocks)), ["reject p1 unsolicited"], "it is too late");
    bench.hear(P3, headers(&blocks));
    assert_eq!(tip(&bench), blocks[2].id());
}

#[test]
fn a_claim_that_is_not_kept_is_asked_about_ever_less() {
    let (mut bench, blocks) = fresh(1, &[P1]);
    let lie = Message::Tip(Claim { tip: BlockId(name(1)), height: Height(u64::MAX), work: Bytes([255; 32]) });
    assert_eq!(bench.hear(P1, lie).len(), 2);
    let mut asked_at = vec![];
    for second in 0..60 {
        if bench.hear(P1, headers(&[])) != ["reject p1 unsolicited"] {
            asked_at.push(second);
        }
        bench.wait_secs(1);
        bench.timer(Timer::Sync);
    }
    assert_eq!(asked_at, [0, 5, 15, 35]);
    bench.gossip_block(P2, &blocks[0]);
    assert_eq!(tip(&bench), blocks[0].id(), "nothing else is held up");
}

#[test]
fn a_peer_cannot_fill_the_tree_with_headers_that_lead_nowhere() {
    let (mut bench, blocks) = fresh(500, &[P1]);
    bench.now = Time::from_secs(100_000);
    for block in &blocks {
        bench.gossip_block(P3, block);
    }
    let lie = Message::Tip(Claim { tip: BlockId(name(1)), height: Height(9_000), work: Bytes([255; 32]) });
    let (mut is_refused, before) = (false, bench.light.tree().len());
    for draw in 1..15 {
        bench.hear(P1, lie.clone());
        let side = Branch::new(&chain()).fork(draw).grow_by(499);
        is_refused |= bench.hear(P1, headers(&side)).contains(&"reject p1 too_many".into());
        bench.wait_secs(60);
        bench.timer(Timer::Sync);
    }
    assert!(is_refused);
    let (taken, most) = (bench.light.tree().len() - before, 2 * (500 + HEADERS_MAX) + 499);
    assert!(taken <= most, "{taken} headers were kept");
}

#[test]
fn a_bad_answer_of_headers_is_taken_up_to_its_fault() {
    type Spoil = fn(&mut Vec<Header>);
    let spoils: [(&str, Spoil); 7] = [
        ("malformed", |headers| {
            headers.remove(1);
        }),
        ("block_height", |headers| headers[1].height = Height(9)),
        ("block_foreign_chain", |headers| headers[1].chain = synod_ledger::ChainId(Bytes([3; 8]))),
        ("block_time_past", |headers| headers[1].time = headers[0].time),
        ("block_time_future", |headers| headers[1].time = Time::MAX),
        ("block_seal", |headers| headers[1].seal = Seal::Genesis),
        ("block_target", |headers| {
            headers[1].seal = Seal::Declared { target: synod_ledger::CompactTarget(0x1f7f_ffff), draw: 0 };
        }),
    ];
    for (reason, spoil) in spoils {
        let (mut bench, blocks) = fresh(3, &[P1]);
        bench.hear(P1, claim(&blocks[2]));
        let mut list: Vec<Header> = blocks.iter().map(|block| block.header().clone()).collect();
        spoil(&mut list);
        let expected = ["persist header b1 Header", &format!("reject p1 {reason}"), "tip b1 at 1, 0 back"];
        let list = Message::Headers(list.into_iter().map(SharedHeader::from).collect());
        assert_eq!(bench.hear(P1, list), expected, "{reason}");
    }
}

/// The first block of a chain whose work is real, with the first nonce for which the work is or is not done.
fn ground(is_done: bool) -> (LightBench, Block) {
    let target = target_for(16, core::time::Duration::from_secs(1));
    let chain = chain_with(|genesis| {
        let Engine::Pow(pow) = &mut genesis.engine else { panic!("a chain of work") };
        (pow.target, pow.declared, pow.retarget) = (target, false, Retarget::Off);
    });
    let (header, coinbase) = Branch::new(&chain).parts(&[]);
    let sealed = |nonce| Header { seal: Seal::Work { target, nonce }, ..header.clone() };
    let most = target.to_target().expect("a target");
    let fits = |header: &Header| (U256::from_be_bytes(header.id().0.0) <= most) == is_done;
    let found = (0..10_000).map(sealed).find(fits).expect("one in sixteen");
    let mut bench = LightBench::new(&chain);
    bench.up(P1);
    let block = Block::new(found, coinbase, vec![]);
    bench.names.call("b1", &block);
    (bench, block)
}

#[test]
fn a_header_without_work_is_refused_by_gossip_and_in_an_answer() {
    let (mut bench, block) = ground(true);
    assert_eq!(bench.gossip_block(P1, &block), ["persist header b1 Header", "ignore", "tip b1 at 1, 0 back"]);
    let (mut bench, block) = ground(false);
    assert_eq!(bench.gossip_block(P1, &block), ["reject p1 block_seal", "reject"]);
    bench.hear(P1, claim_of_much(&block));
    assert_eq!(bench.hear(P1, headers(core::slice::from_ref(&block))), ["reject p1 block_seal"]);
    assert!(!bench.light.tree().contains(&block.id()));
    assert!(bench.disk.is_empty());
}

#[test]
fn a_header_under_a_body_that_is_not_its_own_is_refused_and_the_good_block_is_taken_after_it() {
    let (mut bench, blocks) = fresh(1, &[P1]);
    let mut other = blocks[0].coinbase().clone();
    other.extra += 1;
    let bad = Block::new(blocks[0].header().clone(), other, vec![]);
    assert_eq!(bench.gossip_block(P1, &bad), ["reject p1 block_root", "reject"]);
    assert_eq!(tip(&bench), chain().id());
    bench.gossip_block(P2, &blocks[0]);
    assert_eq!(tip(&bench), blocks[0].id());
}

#[test]
fn what_it_never_asks_for_is_refused() {
    let (mut bench, blocks) = full(1, &[P1]);
    let chain = chain();
    let tx = pay(&chain, 1, coin(chain.state(), 1, 0), 2, 10);
    let header = blocks[0].header().clone();
    let reply = crate::Reply { view: crate::pbft::View(0), height: Height(1), block: blocks[0].id(), payments: vec![] };
    let reply = crate::pbft::Signed::from_parts(reply, crate::pbft::ValidatorId(0), synod_ledger::Signature::NONE);
    let table = [
        (Message::Block(blocks[0].clone()), "unsolicited"),
        (Message::Client(key(1).public()), "unsolicited"),
        (Message::Evidence(Box::new(Evidence { first: header.clone(), second: header })), "block_evidence_off"),
        (headers(&blocks), "unsolicited"),
        (Message::Payments(vec![tx.clone()]), "unsolicited"),
        (Message::Reply(reply), "unsolicited"),
        (Message::Request(tx), "unsolicited"),
    ];
    for (message, reason) in table {
        assert_eq!(bench.hear(P1, message), [format!("reject p1 {reason}")]);
    }
}

#[test]
fn who_asks_for_what_it_does_not_keep_is_answered() {
    let (mut bench, blocks) = full(2, &[P1]);
    let ids: Vec<BlockId> = blocks.iter().map(Block::id).collect();
    assert_eq!(bench.hear(P1, Message::GetBlocks(ids)), ["p1 < missing b1 b2"]);
    assert!(bench.hear(P1, Message::GetBlocks(vec![])).is_empty());
    assert_eq!(bench.hear(P1, Message::GetHeaders(vec![chain().id()])), ["p1 < headers "]);
    assert_eq!(bench.hear(P1, Message::GetPayments(vec![TxId(name(1))])), ["p1 < payments "]);
    assert!(bench.hear(P1, Message::Pool(vec![TxId(name(1))])).is_empty());
    assert!(bench.hear(P1, Message::Missing(vec![BlockId(name(1))])).is_empty());
}

#[test]
fn lists_longer_than_allowed_are_refused_at_the_edge() {
    let (mut bench, blocks) = full(1, &[P1]);
    let block_ids = |count: usize| vec![BlockId(name(1)); count];
    let tx_ids = |count: usize| vec![TxId(name(1)); count];
    let table = [
        (Message::GetHeaders(block_ids(LOCATOR_MAX)), Message::GetHeaders(block_ids(LOCATOR_MAX + 1))),
        (Message::GetBlocks(block_ids(BLOCKS_MAX)), Message::GetBlocks(block_ids(BLOCKS_MAX + 1))),
        (Message::Missing(block_ids(BLOCKS_MAX)), Message::Missing(block_ids(BLOCKS_MAX + 1))),
        (Message::GetPayments(tx_ids(INVENTORY_MAX)), Message::GetPayments(tx_ids(INVENTORY_MAX + 1))),
        (Message::Pool(tx_ids(INVENTORY_MAX)), Message::Pool(tx_ids(INVENTORY_MAX + 1))),
    ];
    for (edge, beyond) in table {
        assert!(bench.hear(P1, edge).iter().all(|text| !text.starts_with("reject")));
        assert_eq!(bench.hear(P1, beyond), ["reject p1 too_many"]);
    }
    for (count, is_refused) in [(HEADERS_MAX, false), (HEADERS_MAX + 1, true)] {
        bench.hear(P1, claim_of_much(&Branch::new(&chain()).fork(count as u64).grow(&[])));
        let texts = bench.hear(P1, Message::Headers(vec![blocks[0].shared_header().clone(); count]));
        assert_eq!(texts.contains(&"reject p1 too_many".into()), is_refused, "{count} headers: {texts:?}");
        bench.wait_secs(60);
    }
}

#[test]
fn a_restart_finds_the_headers_again_and_ties_fall_as_they_did() {
    let (mut bench, blocks) = full(3, &[P1]);
    let rivals = Branch::new(&chain()).fork(1).grow_by(3);
    for block in &rivals {
        bench.gossip_block(P2, block);
    }
    assert_eq!(tip(&bench), blocks[2].id(), "it came first");
    let again = LightBench::restored(&chain(), Limits::default(), bench.disk.clone(), bench.names.clone());
    assert_eq!(again.texts, ["tip b3 at 3, 0 back"], "the owner is told of it");
    assert_eq!(tip(&again), blocks[2].id());
    assert_eq!(again.light.tree().len(), 7);
    assert_eq!(again.disk, bench.disk);
    let new = LightBench::restored(&chain(), Limits::default(), BTreeMap::new(), Names::new(chain().id().0));
    assert!(new.texts.is_empty(), "of the genesis the owner knows");
}

#[test]
fn its_records_are_these_bytes_under_these_keys() {
    let (bench, blocks) = full(2, &[]);
    let keys: Vec<String> = bench.disk.keys().map(|key| format!("{:02x} {}", key.shelf, key.name)).collect();
    let mut expected: Vec<String> = blocks.iter().map(|block| format!("00 {}", block.id())).collect();
    expected.sort();
    assert_eq!(keys, expected);
    let record = &bench.disk[&Record::header_key(blocks[1].id())];
    let header = hex(&wire::encode(blocks[1].header()));
    // The tag, the header, the second to arrive, never complete, no body.
    assert_eq!(hex(&wire::encode(record)), format!("01{header}020000"));
    let header = blocks[1].shared_header().clone();
    let stored = StoredHeader { header, arrival: 2, completed: None, status: Status::Header };
    assert_eq!(*record, Record::Header(stored));
}

#[test]
fn a_replica_goes_on_with_its_disk_and_it_goes_on_with_a_replica_s() {
    let chain = chain();
    let (bench, blocks) = full(3, &[]);
    let mut replica = Bench::restored(params(&chain, None), bench.disk.clone());
    replica.call_all("b", &blocks);
    assert_eq!(replica.replica.tip(), chain.id(), "it has no bodies yet");
    replica.up(P1);
    let texts = replica.hear(P1, claim(&blocks[2]));
    assert_eq!(texts, ["p1 < get blocks b1 b2 b3", "set Sync +1000 ms"], "the headers are there");
    for block in &blocks {
        replica.hear(P1, Message::Block(block.clone()));
    }
    assert_eq!(replica.replica.tip(), blocks[2].id());
    let own = pay(&chain, 1, coin(chain.state(), 1, 0), 2, 10);
    replica.submit(&own);
    let mut again = LightBench::restored(&chain, Limits::default(), replica.disk.clone(), bench.names);
    assert_eq!(again.texts, ["tip b3 at 3, 0 back"]);
    let next = Branch { state: replica.replica.state().clone(), time: blocks[2].header().time, ..Branch::new(&chain) }
        .grow(&[]);
    again.gossip_block(P1, &next);
    assert_eq!(tip(&again), next.id());
    assert!(again.disk.contains_key(&Record::payment_key(own.id())), "what is not its own stays");
}

#[test]
fn a_chain_of_stakes_cannot_be_followed() {
    let refused = Params::new(stakes::chain(false), Limits::default()).map(|_| ());
    assert_eq!(refused, Err(LightUnsupported));
    let expected =
        "a header of a chain of stakes proves nothing without the coins, so that no light peer can follow it";
    assert_eq!(format!("{LightUnsupported}"), expected);
}

#[test]
fn headers_of_validators_are_taken_with_a_quorum_s_votes_alone() {
    let chain = validators::chain();
    let blocks = validators::grow(&chain, 2);
    let mut bench = LightBench::new(&chain);
    bench.names.call_all("b", &blocks);
    bench.up(P1);
    let few = blocks[0].certified(validators::votes(&blocks[0], &[0, 1]));
    for bad in [validators::spoilt(&blocks[0]), few] {
        assert_eq!(bench.gossip_block(P1, &bad), ["reject p1 block_seal", "reject"]);
        bench.hear(P1, claim_of_much(&blocks[1]));
        assert_eq!(bench.hear(P1, headers(&[bad])).first().map(String::as_str), Some("reject p1 block_seal"));
        bench.wait_secs(3_600);
    }
    bench.hear(P1, claim_of_much(&blocks[1]));
    let expected = ["persist header b1 Header", "persist header b2 Header", "tip b2 at 2, 0 back"];
    assert_eq!(bench.hear(P1, headers(&blocks)), expected);
}

#[test]
fn two_certified_headers_of_one_height_stop_it_for_good() {
    let chain = validators::chain();
    let blocks = validators::grow(&chain, 2);
    let rival = validators::next(&chain, chain.state(), 1, vec![]);
    let mut bench = LightBench::new(&chain);
    bench.names.call_all("b", &blocks);
    bench.names.call("rival", &rival);
    bench.up(P1);
    bench.gossip_block(P1, &blocks[0]);
    let expected = ["persist header rival Header", "b1 and rival at 1", "ignore"];
    assert_eq!(bench.gossip_block(P1, &rival), expected);
    assert_eq!(bench.gossip_block(P1, &blocks[1]), ["ignore"], "it goes no further");
    assert!(bench.hear(P1, claim_of_much(&blocks[1])).is_empty());
    let violation = bench.light.violation().expect("it stands there").clone();
    let again = LightBench::restored(&chain, Limits::default(), bench.disk.clone(), bench.names.clone());
    assert_eq!(again.texts, ["tip b1 at 1, 0 back", "b1 and rival at 1"], "it says so again");
    assert_eq!(again.light.violation(), Some(&violation));
}
