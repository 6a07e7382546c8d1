//! Every fault of a header and of a block, with the reason and the verdict that it gets.

use std::vec;
use std::vec::Vec;

use synod_ledger::{Amount, Block, ChainId, Coinbase, CompactTarget, Header, Height, Seal, Tx};
use synod_machine::{Bytes, Time};

use crate::testing::bench::{Bench, P1};
use crate::testing::{Branch, chain, chain_with, coin, name, params, pay};
use crate::{Chain, ChainError};

/// A peer whose chain is three blocks long, and the branch that it is on.
fn three_blocks() -> (Bench, Branch) {
    let chain = chain();
    let mut bench = Bench::new(params(&chain, None));
    let mut branch = Branch::new(&chain);
    for block in branch.grow_by(3) {
        bench.gossip_block(P1, &block);
    }
    assert_eq!(bench.replica.tip(), branch.state.tip());
    (bench, branch)
}

#[test]
fn each_fault_of_a_header_has_its_reason_and_leaves_nothing_behind() {
    type Spoil = fn(&mut Header);
    let table: [(&str, &str, Spoil); 10] = [
        ("block_foreign_chain", "reject", |header| header.chain = ChainId(Bytes([9; 8]))),
        ("block_height", "reject", |header| header.height = Height(5)),
        ("block_height", "reject", |header| header.height = Height(u64::MAX)),
        ("block_seal", "reject", |header| header.seal = Seal::Genesis),
        ("block_seal", "reject", |header| header.seal = Seal::Work { target: CompactTarget::MAX, nonce: 0 }),
        ("block_target", "reject", |header| {
            header.seal = Seal::Declared { target: CompactTarget(0x1f7f_ffff), draw: 0 }
        }),
        ("block_time_past", "reject", |header| header.time = Time::from_secs(1)),
        ("block_time_past", "reject", |header| header.time = Time::from_secs(2)),
        ("block_time_future", "ignore", |header| header.time = Time(1_010_000_000_001)),
        ("block_time_future", "ignore", |header| header.time = Time::MAX),
    ];
    for (reason, verdict, spoil) in table {
        let (mut bench, branch) = three_blocks();
        let bad = branch.spoilt(&[], |header, _| spoil(header));
        assert_eq!(bench.gossip_block(P1, &bad), [&std::format!("reject p1 {reason}"), verdict], "{reason}");
        assert!(!bench.replica.tree().contains(&bad.id()));
        assert_eq!(bench.replica.tip(), branch.state.tip());
    }
}

#[test]
fn the_last_time_that_is_taken_is_ten_block_times_ahead() {
    let (mut bench, branch) = three_blocks();
    let edge = branch.spoilt(&[], |header, _| header.time = Time::from_secs(1_010));
    assert_eq!(bench.gossip_block(P1, &edge).last().map(|text| text.as_str()), Some("accept"));
    let (mut bench, branch) = three_blocks();
    let edge = branch.spoilt(&[], |header, _| header.time = Time(2_000_000_001));
    assert_eq!(bench.gossip_block(P1, &edge).last().map(|text| text.as_str()), Some("accept"));
}

#[test]
fn each_fault_of_a_block_has_its_reason_and_is_remembered_with_its_id() {
    type Spoil = fn(&mut Coinbase);
    let table: [(&str, Spoil); 5] = [
        ("block_subsidy", |coinbase| coinbase.outputs[0].amount = Amount(51)),
        ("block_subsidy", |coinbase| coinbase.outputs = vec![coinbase.outputs[0]; 2]),
        ("block_coinbase", |coinbase| coinbase.outputs[0].amount = Amount::ZERO),
        ("block_coinbase", |coinbase| coinbase.height = Height(9)),
        ("block_coinbase", |coinbase| coinbase.chain = ChainId(Bytes([9; 8]))),
    ];
    for (reason, spoil) in table {
        let (mut bench, branch) = three_blocks();
        let bad = branch.spoilt(&[], |_, coinbase| spoil(coinbase));
        bench.call("bad", &bad);
        let expected = [
            "persist header bad Header",
            "persist body bad",
            "persist header bad Body",
            "persist header bad Invalid",
            &std::format!("reject p1 {reason}"),
            "reject",
        ];
        assert_eq!(bench.gossip_block(P1, &bad), expected, "{reason}");
        assert_eq!(bench.replica.tip(), branch.state.tip());
        assert_eq!(bench.gossip_block(P1, &bad), ["reject p1 block_parent", "ignore"], "once is enough");
        // What builds on it is refused with it.
        let mut above = branch.fork(8);
        above.grow(&[]);
        let child = above.spoilt(&[], |header, _| header.parent = bad.id());
        assert_eq!(bench.gossip_block(P1, &child), ["reject p1 block_parent", "ignore"]);
    }
}

#[test]
fn a_bad_payment_in_a_block_makes_it_invalid() {
    let (mut bench, branch) = three_blocks();
    let good = pay(&branch.chain, 1, coin(&branch.state, 1, 0), 2, 10);
    let mut unsigned = (*good).clone();
    unsigned.inputs[0].signature.0.0[3] ^= 1;
    let twice = vec![good.clone(), pay(&branch.chain, 1, coin(&branch.state, 1, 0), 3, 10)];
    for payments in [vec![Tx::from(unsigned)], twice] {
        let bad = branch.spoilt(&payments, |_, _| {});
        let texts = bench.gossip_block(P1, &bad);
        assert_eq!(texts[texts.len() - 2..], ["reject p1 block_transaction", "reject"]);
    }
    let mut branch = branch;
    let block = branch.grow(&[good]);
    assert_eq!(bench.gossip_block(P1, &block).last().map(|text| text.as_str()), Some("accept"));
}

#[test]
fn a_body_that_does_not_fit_says_nothing_against_the_good_block() {
    let (mut bench, mut branch) = three_blocks();
    let payment = pay(&branch.chain, 1, coin(&branch.state, 1, 0), 2, 10);
    let good = branch.grow(core::slice::from_ref(&payment));
    let stripped = Block::new(good.header().clone(), good.coinbase().clone(), vec![]);
    assert_eq!(bench.gossip_block(P1, &stripped), ["reject p1 block_root", "reject"]);
    // A signature is not part of a payment's id, but of the root.
    let mut resigned = (*payment).clone();
    resigned.inputs[0].signature.0.0[3] ^= 1;
    let resigned = Block::new(good.header().clone(), good.coinbase().clone(), vec![Tx::from(resigned)]);
    assert_eq!(resigned.id(), good.id());
    assert_eq!(bench.gossip_block(P1, &resigned), ["reject p1 block_root", "reject"]);
    assert_eq!(bench.gossip_block(P1, &good).last().map(|text| text.as_str()), Some("accept"));
    assert_eq!(bench.replica.tip(), good.id());
}

#[test]
fn a_block_that_is_too_large_is_refused_before_it_is_stored() {
    let (mut bench, branch) = three_blocks();
    let each = |person| {
        let coins = branch.state.coins_of(&crate::testing::address(person));
        coins.into_iter().map(move |coin| (person, coin))
    };
    let payments: Vec<Tx> =
        (1..=4).flat_map(each).map(|(person, coin)| pay(&branch.chain, person, coin, 2, 10)).collect();
    let count = (0..160).find(|&count| branch.spoilt(&payments[..count], |_, _| {}).len() > 20_000);
    let count = count.expect("a hundred and sixty payments are more than a block");
    let large = branch.spoilt(&payments[..count], |_, _| {});
    assert_eq!(bench.gossip_block(P1, &large), ["reject p1 block_size", "reject"]);
    let full = branch.spoilt(&payments[..count - 1], |_, _| {});
    assert_eq!(bench.gossip_block(P1, &full).last().map(|text| text.as_str()), Some("accept"));
}

#[test]
fn an_invalid_parent_found_while_its_child_is_taken_is_held_against_the_child() {
    let (mut bench, branch) = three_blocks();
    let bad = branch.spoilt(&[], |_, coinbase| coinbase.outputs[0].amount = Amount(51));
    let mut above = branch.fork(8);
    above.grow(&[]);
    let child = above.spoilt(&[], |header, _| header.parent = bad.id());
    assert_eq!(bench.gossip_block(P1, &child).last().map(|text| text.as_str()), Some("ignore"), "an orphan");
    let texts = bench.gossip_block(P1, &bad);
    assert_eq!(texts[texts.len() - 2..], ["reject p1 block_subsidy", "reject"]);
    assert_eq!(bench.gossip_block(P1, &child), ["reject p1 block_parent", "ignore"]);
}

#[test]
fn an_orphan_waits_for_its_parent_and_its_giver_is_asked_for_headers() {
    let (mut bench, mut branch) = three_blocks();
    let blocks = branch.grow_by(3);
    bench.call_all("b", &blocks);
    bench.up(P1);
    let texts = bench.gossip_block(P1, &blocks[2]);
    assert!(texts[0].starts_with("p1 < get headers "), "{texts:?}");
    assert_eq!(texts[1..], ["set Sync +1000 ms", "ignore"]);
    assert_eq!(bench.gossip_block(P1, &blocks[1]), ["ignore"], "one question at a time");
    let expected = [
        "persist header b1 Header",
        "persist body b1",
        "persist header b1 Body",
        "persist header b2 Header",
        "persist body b2",
        "persist header b2 Body",
        "persist header b3 Header",
        "persist body b3",
        "persist header b3 Body",
        "persist undo b1",
        "persist header b1 Valid",
        "persist undo b2",
        "persist header b2 Valid",
        "persist undo b3",
        "persist header b3 Valid",
        "tip b3 at 6, 0 back",
        "set Announce +3673 ms",
        "accept",
    ];
    assert_eq!(bench.gossip_block(P1, &blocks[0]), expected);
}

#[test]
fn blocks_without_parents_are_bounded_and_foreign_ones_are_not_kept() {
    let chain = chain();
    let mut limits = params(&chain, None);
    limits.limits.orphans_max = 2;
    let mut bench = Bench::new(limits);
    for byte in 1..=5 {
        let orphan = Branch::new(&chain).spoilt(&[], |header, _| header.parent = synod_ledger::BlockId(name(byte)));
        assert_eq!(bench.gossip_block(P1, &orphan), ["ignore"]);
    }
    let foreign = Branch::new(&chain_with(|genesis| genesis.name.push('2'))).grow(&[]);
    assert_eq!(bench.gossip_block(P1, &foreign), ["reject p1 block_foreign_chain", "reject"]);
}

#[test]
fn a_block_far_below_the_tip_is_ignored_unless_it_was_asked_for() {
    let chain = chain();
    let mut bench = Bench::new(params(&chain, None));
    let mut branch = Branch::new(&chain);
    let early = branch.fork(5).grow(&[]);
    for block in branch.grow_by(101) {
        bench.gossip_block(P1, &block);
    }
    let mut twin = bench_at(&branch, 100);
    assert_eq!(twin.gossip_block(P1, &early).last().map(|text| text.as_str()), Some("accept"), "a hundred is not far");
    let last = branch.grow(&[]);
    bench.gossip_block(P1, &last);
    assert_eq!(bench.gossip_block(P1, &early), ["ignore"]);
    assert!(!bench.replica.tree().contains(&early.id()));
}

/// A peer at that height of an empty chain.
fn bench_at(branch: &Branch, height: usize) -> Bench {
    let mut bench = Bench::new(params(&branch.chain, None));
    for block in Branch::new(&branch.chain).grow_by(height) {
        bench.gossip_block(P1, &block);
    }
    bench
}

#[test]
fn a_real_peer_refuses_a_chain_of_declared_seals() {
    assert_eq!(Chain::real(crate::testing::genesis()).err(), Some(ChainError::Declared));
}
