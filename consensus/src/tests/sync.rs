//! Each message between replicas: good, unasked, too long, unknown; and what catching up asks of whom.

use core::time::Duration;
use std::format;
use std::string::String;
use std::vec;
use std::vec::Vec;

use synod_ledger::{Block, BlockId, Header, Height, SharedHeader, TxId, U256};
use synod_machine::{Bytes, PeerId};

use crate::message::{BLOCKS_MAX, HEADERS_MAX, INVENTORY_MAX, LOCATOR_MAX};
use crate::testing::bench::{Bench, P1, P2, P3};
use crate::testing::{Branch, chain, chain_with, name, params};
use crate::{Claim, Message, Timer};

/// A new peer with neighbours, and blocks that it does not have.
fn fresh(blocks: usize, peers: &[PeerId]) -> (Bench, Vec<Block>) {
    let chain = chain();
    let mut bench = Bench::new(params(&chain, None));
    let blocks = Branch::new(&chain).grow_by(blocks);
    bench.call_all("b", &blocks);
    for &peer in peers {
        bench.up(peer);
    }
    (bench, blocks)
}

/// The same, with the blocks taken in.
fn full(blocks: usize, peers: &[PeerId]) -> (Bench, Vec<Block>) {
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

fn ids(blocks: &[Block]) -> Vec<BlockId> {
    blocks.iter().map(Block::id).collect()
}

fn last(texts: &[String]) -> &str {
    texts.last().map_or("", String::as_str)
}

#[test]
fn a_new_link_is_told_the_tip_and_a_second_connection_is_the_same_link() {
    let (mut bench, _) = full(2, &[]);
    assert_eq!(bench.up(P1), ["p1 < tip b2 at 2", "set Announce +30000 ms"]);
    assert_eq!(bench.up(P2), ["p2 < tip b2 at 2"], "the timer runs");
    assert!(bench.up(P1).is_empty());
    assert!(bench.step(synod_machine::Input::PeerDown(PeerId(77))).is_empty());
}

#[test]
fn a_message_that_crosses_a_closing_connection_is_dropped() {
    let (mut bench, blocks) = fresh(1, &[]);
    assert!(bench.hear(P1, claim(&blocks[0])).is_empty());
    assert!(bench.hear(P1, headers(&blocks)).is_empty());
}

#[test]
fn catching_up_goes_by_claim_headers_and_bodies() {
    let (mut bench, blocks) = fresh(3, &[P1]);
    assert_eq!(bench.hear(P1, claim(&blocks[2])), ["p1 < get headers genesis", "set Sync +1000 ms"]);
    let expected = [
        "persist header b1 Header",
        "persist header b2 Header",
        "persist header b3 Header",
        "p1 < get blocks b1 b2 b3",
    ];
    assert_eq!(bench.hear(P1, headers(&blocks)), expected);
    assert_eq!(bench.hear(P1, Message::Block(blocks[1].clone())), ["persist body b2", "persist header b2 Body"]);
    let expected = [
        "persist body b1",
        "persist header b1 Body",
        "persist header b2 Body",
        "persist undo b1",
        "persist header b1 Valid",
        "persist undo b2",
        "persist header b2 Valid",
        "tip b2 at 2, 0 back",
    ];
    assert_eq!(bench.hear(P1, Message::Block(blocks[0].clone())), expected);
    assert_eq!(last(&bench.hear(P1, Message::Block(blocks[2].clone()))), "tip b3 at 3, 0 back");
    assert!(bench.timer(Timer::Sync).is_empty(), "nothing is awaited");
    assert!(bench.hear(P1, claim(&blocks[2])).is_empty(), "nothing is missing");
}

#[test]
fn bodies_that_were_missing_before_a_restart_are_asked_for_after_it_though_no_new_block_comes() {
    let (mut bench, blocks) = fresh(3, &[P1]);
    bench.hear(P1, claim(&blocks[2]));
    bench.hear(P1, headers(&blocks));
    bench.hear(P1, Message::Block(blocks[0].clone()));
    let mut again = Bench::restored(params(&chain(), None), bench.disk.clone());
    again.call_all("b", &blocks);
    again.load_all();
    again.up(P1);
    assert_eq!(again.hear(P1, claim(&blocks[2])), ["p1 < get blocks b2 b3", "set Sync +1000 ms"]);
    for block in &blocks[1..] {
        again.hear(P1, Message::Block(block.clone()));
    }
    assert_eq!(again.replica.tip(), blocks[2].id());
}

#[test]
fn a_block_gossiped_above_missing_ones_does_not_stop_their_download() {
    let (mut bench, blocks) = fresh(40, &[P1]);
    bench.hear(P1, claim(&blocks[38]));
    bench.hear(P1, headers(&blocks[..39]));
    assert_eq!(bench.gossip_block(P2, &blocks[39]).last().map(String::as_str), Some("accept"));
    for block in &blocks[..32] {
        bench.hear(P1, Message::Block(block.clone()));
    }
    assert_eq!(bench.replica.tip(), blocks[31].id());
    for block in &blocks[32..38] {
        bench.hear(P1, Message::Block(block.clone()));
    }
    let texts = bench.hear(P1, Message::Block(blocks[38].clone()));
    assert_eq!(texts[texts.len() - 2], "tip b40 at 40, 0 back");
    assert!(last(&texts).starts_with("set Announce"), "{texts:?}");
}

#[test]
fn bodies_are_asked_of_several_peers_that_have_them() {
    let (mut bench, blocks) = fresh(40, &[P1, P2, P3]);
    bench.hear(P1, claim(&blocks[39]));
    bench.hear(P2, claim(&blocks[9]));
    let texts = bench.hear(P1, headers(&blocks));
    let asks: Vec<&String> = texts.iter().filter(|text| text.contains("get blocks")).collect();
    // Who has both is asked where the other cannot be; the third said nothing.
    assert_eq!(asks.len(), 4, "{asks:?}");
    assert!(asks[0].starts_with("p1 < get blocks b1 b3 b5 b7 b9 b11 b12 b13"), "{asks:?}");
    assert_eq!(asks[3], "p2 < get blocks b2 b4 b6 b8 b10");
}

#[test]
fn only_two_peers_are_asked_for_headers_at_a_time() {
    let (mut bench, blocks) = fresh(3, &[P1, P2, P3]);
    assert_eq!(bench.hear(P1, claim(&blocks[2])).len(), 2);
    assert_eq!(bench.hear(P2, claim(&blocks[2])), ["p2 < get headers genesis"]);
    assert!(bench.hear(P3, claim(&blocks[2])).is_empty());
    bench.wait(Duration::from_secs(10));
    assert_eq!(bench.timer(Timer::Sync), ["set Sync +1000 ms", "p3 < get headers genesis"], "the others failed");
}

#[test]
fn what_is_not_answered_goes_to_another_and_comes_back_after_a_rest() {
    let (mut bench, blocks) = fresh(1, &[P1, P2]);
    bench.hear(P1, claim(&blocks[0]));
    assert_eq!(last(&bench.hear(P1, headers(&blocks))), "p1 < get blocks b1");
    bench.hear(P2, claim(&blocks[0]));
    bench.wait(Duration::from_secs(9));
    assert_eq!(bench.timer(Timer::Sync), ["set Sync +1000 ms"]);
    bench.wait(Duration::from_secs(1));
    assert_eq!(bench.timer(Timer::Sync), ["p2 < get blocks b1", "set Sync +1000 ms"]);
    assert_eq!(bench.hear(P2, Message::Missing(ids(&blocks))), [""; 0], "nobody is left to ask");
    bench.wait(Duration::from_secs(5));
    assert_eq!(bench.timer(Timer::Sync), ["p1 < get blocks b1", "set Sync +1000 ms"]);
    assert!(bench.hear(P2, Message::Missing(ids(&blocks))).is_empty(), "it is not the one that is asked now");
    bench.wait(Duration::from_secs(10));
    assert_eq!(bench.timer(Timer::Sync), ["p2 < get blocks b1", "set Sync +1000 ms"]);
    let down = bench.step(synod_machine::Input::PeerDown(P2));
    assert!(down.is_empty(), "{down:?}");
    bench.wait(Duration::from_secs(10));
    assert_eq!(bench.timer(Timer::Sync), ["p1 < get blocks b1", "set Sync +1000 ms"]);
}

#[test]
fn a_bad_body_from_a_third_party_does_not_count_against_who_was_asked() {
    let (mut bench, blocks) = fresh(1, &[P1, P2]);
    bench.hear(P1, claim(&blocks[0]));
    bench.hear(P1, headers(&blocks));
    let mut other = blocks[0].coinbase().clone();
    other.extra += 1;
    let bad = Block::new(blocks[0].header().clone(), other, vec![]);
    assert_eq!(bench.hear(P2, Message::Block(bad.clone())), ["reject p2 block_root"]);
    assert_eq!(bench.hear(P1, Message::Block(bad)), ["reject p1 block_root"]);
    bench.hear(P2, claim(&blocks[0]));
    assert_eq!(last(&bench.hear(P2, Message::Block(blocks[0].clone()))), "tip b1 at 1, 0 back");
}

#[test]
fn headers_that_nobody_asked_for_are_refused() {
    let (mut bench, blocks) = fresh(3, &[P1]);
    assert_eq!(bench.hear(P1, headers(&blocks)), ["reject p1 unsolicited"]);
    assert_eq!(bench.hear(P1, Message::Block(blocks[0].clone())), ["reject p1 unsolicited"]);
}

#[test]
fn a_bad_answer_of_headers_is_taken_up_to_its_fault() {
    type Spoil = fn(&mut Vec<Header>);
    let spoils: [(&str, Spoil); 5] = [
        ("malformed", |headers| {
            headers.remove(1);
        }),
        ("block_height", |headers| headers[1].height = Height(9)),
        ("block_foreign_chain", |headers| headers[1].chain = synod_ledger::ChainId(Bytes([3; 8]))),
        ("block_time_past", |headers| headers[1].time = headers[0].time),
        ("block_seal", |headers| headers[1].seal = synod_ledger::Seal::Genesis),
    ];
    for (reason, spoil) in spoils {
        let (mut bench, blocks) = fresh(3, &[P1]);
        bench.hear(P1, claim(&blocks[2]));
        let mut list: Vec<Header> = blocks.iter().map(|block| block.header().clone()).collect();
        spoil(&mut list);
        let expected = ["persist header b1 Header", &format!("reject p1 {reason}"), "p1 < get blocks b1"];
        let list = Message::Headers(list.into_iter().map(SharedHeader::from).collect());
        assert_eq!(bench.hear(P1, list), expected, "{reason}");
    }
}

#[test]
fn more_headers_than_allowed_are_refused_at_the_edge() {
    let (mut bench, blocks) = fresh(1, &[P1]);
    bench.hear(P1, claim(&blocks[0]));
    let many = vec![blocks[0].shared_header().clone(); HEADERS_MAX + 1];
    assert_eq!(bench.hear(P1, Message::Headers(many)), ["reject p1 too_many"]);
}

#[test]
fn lists_longer_than_allowed_are_refused_at_the_edge() {
    let (mut bench, _) = full(1, &[P1]);
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
}

#[test]
fn headers_and_blocks_are_given_to_who_asks() {
    let (mut bench, blocks) = full(3, &[P1]);
    let genesis = bench.replica.chain().id();
    assert_eq!(bench.hear(P1, Message::GetHeaders(vec![genesis])), ["p1 < headers b1 b2 b3"]);
    assert_eq!(bench.hear(P1, Message::GetHeaders(ids(&blocks[1..2]))), ["p1 < headers b3"]);
    assert_eq!(bench.hear(P1, Message::GetHeaders(ids(&blocks[2..]))), ["p1 < headers "]);
    assert_eq!(bench.hear(P1, Message::GetHeaders(vec![])), ["p1 < headers b1 b2 b3"]);
    let asked = vec![blocks[0].id(), BlockId(name(1)), genesis];
    assert_eq!(bench.hear(P1, Message::GetBlocks(asked)), ["p1 < block b1", "p1 < missing 01010101… genesis"]);
}

#[test]
fn an_invalid_block_is_given_to_nobody() {
    let (mut bench, _) = fresh(1, &[P1]);
    let bad = Branch::new(&chain()).spoilt(&[], |_, coinbase| coinbase.outputs[0].amount = synod_ledger::Amount(51));
    bench.call("bad", &bad);
    bench.gossip_block(P2, &bad);
    assert_eq!(bench.hear(P1, Message::GetBlocks(vec![bad.id()])), ["p1 < missing bad"]);
}

#[test]
fn old_blocks_are_read_from_disk_once_for_all_who_ask_and_a_greedy_peer_is_bounded() {
    let chain = chain();
    let mut small = params(&chain, None);
    small.limits.bodies_max = 2;
    let mut bench = Bench::new(small);
    let blocks = Branch::new(&chain).grow_by(100);
    bench.call_all("b", &blocks);
    for block in &blocks {
        bench.gossip_block(P3, block);
    }
    bench.up(P1);
    bench.up(P2);
    assert_eq!(bench.hear(P1, Message::GetBlocks(ids(&blocks[..2]))), ["load 80 b1", "load 80 b2"]);
    assert!(bench.hear(P2, Message::GetBlocks(ids(&blocks[..1]))).is_empty());
    assert_eq!(bench.load_one(), ["p1 < block b1", "p2 < block b1"]);
    bench.step(synod_machine::Input::PeerDown(P1));
    assert!(bench.load_one().is_empty(), "who asked is gone");
    bench.up(P1);
    for chunk in blocks[..64].chunks(BLOCKS_MAX) {
        assert_eq!(bench.hear(P1, Message::GetBlocks(ids(chunk))).len(), BLOCKS_MAX);
    }
    let texts = bench.hear(P1, Message::GetBlocks(ids(&blocks[64..65])));
    assert_eq!(texts, ["reject p1 too_many", "p1 < missing b65"]);
    assert_eq!(bench.hear(P2, Message::GetBlocks(ids(&blocks[65..66]))), ["load 80 b66"], "others are still served");
}

#[test]
fn a_claim_that_is_not_kept_is_asked_about_ever_less() {
    let (mut bench, blocks) = fresh(1, &[P1]);
    let lie = Message::Tip(Claim { tip: BlockId(name(1)), height: Height(u64::MAX), work: Bytes([255; 32]) });
    assert_eq!(bench.hear(P1, lie).len(), 2);
    let mut asked_at = vec![];
    for second in 0..120 {
        if bench.hear(P1, headers(&[])) != ["reject p1 unsolicited"] {
            asked_at.push(second);
        }
        bench.wait(Duration::from_secs(1));
        bench.timer(Timer::Sync);
    }
    assert_eq!(asked_at, [0, 5, 15, 35, 75, 115]);
    assert_eq!(last(&bench.gossip_block(P2, &blocks[0])), "accept", "nothing else is held up");
}

#[test]
fn a_peer_cannot_fill_the_tree_with_headers_that_lead_nowhere() {
    let chain = chain();
    let mut bench = Bench::new(params(&chain, None));
    bench.now = synod_machine::Time::from_secs(100_000);
    let mut main = Branch::new(&chain);
    for block in main.grow_by(2_000) {
        bench.gossip_block(P3, &block);
    }
    bench.up(P1);
    let lie = Message::Tip(Claim { tip: BlockId(name(1)), height: Height(9_000), work: Bytes([255; 32]) });
    bench.hear(P1, lie.clone());
    let mut taken = 0;
    let mut refused = false;
    for draw in 1..10 {
        let mut side = Branch::new(&chain).fork(draw);
        let list = Message::Headers(side.grow_by(1_999).iter().map(|block| block.shared_header().clone()).collect());
        let before = bench.replica.tree().len();
        let texts = bench.hear(P1, list);
        taken += bench.replica.tree().len() - before;
        refused |= texts.iter().any(|text| text == "reject p1 too_many");
        bench.wait(Duration::from_secs(60));
        bench.hear(P1, lie.clone());
        bench.timer(Timer::Sync);
    }
    assert!(refused);
    assert!(taken <= 2 * (2_000 + HEADERS_MAX) + HEADERS_MAX, "{taken} headers were kept");
}

#[test]
fn a_peer_of_another_chain_is_told_so() {
    let (mut bench, blocks) = fresh(1, &[P1]);
    let foreign = Branch::new(&chain_with(|genesis| genesis.name.push('2'))).grow(&[]);
    bench.hear(P1, claim(&foreign));
    assert_eq!(bench.hear(P1, headers(&[foreign])), ["reject p1 block_foreign_chain"]);
    assert_eq!(last(&bench.gossip_block(P2, &blocks[0])), "accept");
}
