//! What a light peer proves and what it refuses; and the payments that it hands on.

use alloc::sync::Arc;
use std::format;
use std::string::ToString;
use std::vec;
use std::vec::Vec;

use synod_ledger::{
    Amount, Block, BlockId, Certificate, ChainId, Coinbase, Height, Output, Payment, Signature, Tx, TxError, TxInput,
    merkle,
};
use synod_machine::{Bytes, Input, PeerId};

use super::validators;
use crate::light::{Known, LightError, Limits, Proven, Timer};
use crate::testing::bench::{Names, P1, P2, P3};
use crate::testing::light::LightBench;
use crate::testing::{Branch, address, chain, coin, name, pay};
use crate::{Chain, Claim, Message};

/// A light peer of three blocks, the second with five payments; the blocks, and a rival of the last.
fn three_blocks() -> (LightBench, Vec<Block>, Block) {
    let chain = chain();
    let payments: Vec<Tx> = (0..5).map(|place| pay(&chain, 1, coin(chain.state(), 1, place), 2, 10)).collect();
    let mut branch = Branch::new(&chain);
    let mut blocks = vec![branch.grow(&[]), branch.grow(&payments)];
    let rival = branch.fork(1).grow(&[]);
    blocks.push(branch.grow(&[]));
    let mut bench = LightBench::new(&chain);
    for block in blocks.iter().chain([&rival]) {
        bench.gossip_block(P1, block);
    }
    (bench, blocks, rival)
}

/// The proof of one of a block's payments.
fn proof(block: &Block, payment: usize) -> merkle::Proof {
    merkle::Proof::new(&block.leaves(), payment + 1)
}

#[test]
fn headers_are_found_by_id_and_height_with_their_confirmations() {
    let (bench, blocks, rival) = three_blocks();
    for (index, block) in blocks.iter().enumerate() {
        let known = Known { header: block.shared_header(), confirmations: 3 - index as u64 };
        assert_eq!(bench.light.header(&block.id()), Some(known));
        assert_eq!(bench.light.header_at(block.height()), Some(block.shared_header()));
    }
    let side = Known { header: rival.shared_header(), confirmations: 0 };
    assert_eq!(bench.light.header(&rival.id()), Some(side), "another chain is best");
    assert_eq!(bench.light.header(&BlockId(name(1))), None);
    assert_eq!(bench.light.header_at(Height(4)), None);
    assert_eq!(bench.light.header_at(Height::GENESIS).map(|header| header.id()), Some(chain().id()));
}

#[test]
fn each_payment_of_a_block_is_proven_and_a_body_too() {
    let (bench, blocks, _) = three_blocks();
    let proven = Proven { height: Height(2), confirmations: 2 };
    for (place, tx) in blocks[1].payments().iter().enumerate() {
        assert_eq!(bench.light.check_payment(&blocks[1].id(), tx, &proof(&blocks[1], place)), Ok(proven));
    }
    assert_eq!(bench.light.check_block(&blocks[1]), Ok(proven));
    let genesis = chain();
    assert_eq!(bench.light.check_block(genesis.block()), Ok(Proven { height: Height(0), confirmations: 4 }));
}

#[test]
fn a_forged_proof_is_refused() {
    let (bench, blocks, _) = three_blocks();
    let (id, root) = (blocks[1].id(), blocks[1].header().root);
    let good = proof(&blocks[1], 0);
    let tx = &blocks[1].payments()[0];
    let refused = Err(LightError::Proof { expected: root });
    let mut sibling = good.clone();
    sibling.siblings[0].0[31] ^= 1;
    let mut short = good.clone();
    short.siblings.pop();
    let forged = [
        sibling,
        short,
        merkle::Proof { index: 2, ..good.clone() },
        merkle::Proof { leaves: 7, ..good.clone() },
        proof(&blocks[1], 1),
        merkle::Proof { index: 0, leaves: 0, siblings: vec![] },
    ];
    for proof in forged {
        assert_eq!(bench.light.check_payment(&id, tx, &proof), refused, "{proof:?}");
    }
    // Another amount, and other signatures under the same id.
    let mut other = Payment { chain: tx.chain, inputs: tx.inputs.clone(), outputs: tx.outputs.clone() };
    other.outputs[0].amount = Amount(11);
    assert_eq!(bench.light.check_payment(&id, &Tx::from(other), &good), refused);
    let mut unsigned = Payment { chain: tx.chain, inputs: tx.inputs.clone(), outputs: tx.outputs.clone() };
    unsigned.inputs[0].signature = Signature::NONE;
    assert_eq!(bench.light.check_payment(&id, &Tx::from(unsigned), &good), refused);
    // A good proof, said to be of another block.
    let refused = Err(LightError::Proof { expected: blocks[2].header().root });
    assert_eq!(bench.light.check_payment(&blocks[2].id(), tx, &good), refused);
}

#[test]
fn a_body_of_another_header_is_refused() {
    let (bench, blocks, _) = three_blocks();
    let body = &blocks[1];
    let bad = Block::new(blocks[2].shared_header().clone(), body.coinbase().clone(), body.payments().to_vec());
    let (expected, got) = (blocks[2].header().root, body.header().root);
    assert_eq!(bench.light.check_block(&bad), Err(LightError::Root { expected, got }));
    let fewer = Block::new(body.shared_header().clone(), body.coinbase().clone(), body.payments()[1..].to_vec());
    assert!(matches!(bench.light.check_block(&fewer), Err(LightError::Root { .. })));
    // Who makes a header to fit the body makes another block.
    let mut header = blocks[2].header().clone();
    header.root = body.header().root;
    let made = Block::new(header, body.coinbase().clone(), body.payments().to_vec());
    assert_eq!(bench.light.check_block(&made), Err(LightError::Unknown { id: made.id() }));
}

#[test]
fn a_block_of_another_branch_is_refused_until_its_branch_is_the_best() {
    let (mut bench, blocks, rival) = three_blocks();
    let refused = LightError::Branch { id: rival.id(), height: Height(3) };
    assert_eq!(bench.light.check_block(&rival), Err(refused));
    assert_eq!(refused.to_string(), format!("block {} at height 3 is not on the chain with most weight", rival.id()));
    let chain = chain();
    let mut branch = Branch::new(&chain);
    branch.grow(&[]);
    branch.grow(blocks[1].payments());
    let mut branch = branch.fork(1);
    branch.grow(&[]);
    bench.gossip_block(P1, &branch.grow(&[]));
    assert_eq!(bench.light.check_block(&rival), Ok(Proven { height: Height(3), confirmations: 2 }));
    assert!(matches!(bench.light.check_block(&blocks[2]), Err(LightError::Branch { .. })));
    assert_eq!(bench.light.check_block(&blocks[1]), Ok(Proven { height: Height(2), confirmations: 3 }));
}

#[test]
fn with_validators_other_votes_are_the_same_block_and_after_a_violation_nothing_is_final() {
    let chain = validators::chain();
    let blocks = validators::grow(&chain, 2);
    let mut bench = LightBench::new(&chain);
    blocks.iter().for_each(|block| {
        bench.gossip_block(P1, block);
    });
    let one = Proven { height: Height(1), confirmations: 2 };
    assert_eq!(bench.light.check_block(&blocks[0].certified(Certificate::none())), Ok(one));
    let state =
        chain.state().connect(chain.rules(), &blocks[0], synod_ledger::Signatures::Check).expect("it connects").0;
    bench.gossip_block(P1, &validators::next(&chain, &state, 1, vec![]));
    assert_eq!(bench.light.check_block(&blocks[0]), Ok(one), "it is below");
    let refused = LightError::Halted { expected: Height(2), got: Height(2) };
    assert_eq!(bench.light.check_block(&blocks[1]), Err(refused));
}

fn claim(chain: &Chain) -> Message {
    Message::Tip(Claim { tip: chain.id(), height: Height(0), work: Bytes([0; 32]) })
}

/// A light peer with full neighbours, and payments.
fn client(chain: &Arc<Chain>, peers: &[PeerId], limits: Limits) -> (LightBench, Vec<Tx>) {
    let mut bench = LightBench::restored(chain, limits, Default::default(), Names::new(chain.id().0));
    for &peer in peers {
        bench.up(peer);
        bench.hear(peer, claim(chain));
    }
    let payments: Vec<Tx> = (0..3).map(|place| pay(chain, 1, coin(chain.state(), 1, place), 2, 10)).collect();
    for (index, tx) in payments.iter().enumerate() {
        bench.names.call(&format!("tx{}", index + 1), tx);
    }
    (bench, payments)
}

#[test]
fn a_payment_is_handed_to_some_full_peers_in_turn_until_its_time_is_over() {
    let limits = Limits { helpers: 2, ..Limits::default() };
    let (mut bench, payments) = client(&chain(), &[P1, P2, P3], limits);
    bench.up(PeerId(4)); // Says nothing of a chain: a light peer too.
    let expected = ["[p1, p2] < pool {}", "set Offer +15000 ms", "submitted 5: tx1"];
    let named = |text: &str| text.replace("{}", "tx1");
    assert_eq!(bench.submit(&payments[0]), expected.map(named));
    assert_eq!(bench.hear(P1, Message::GetPayments(vec![payments[0].id()])), ["p1 < payments tx1"]);
    bench.wait_secs(15);
    assert_eq!(bench.timer(Timer::Offer), ["[p3, p1] < pool tx1", "set Offer +15000 ms"]);
    let mut rounds = 2;
    loop {
        bench.wait_secs(15);
        if bench.timer(Timer::Offer).is_empty() {
            break;
        }
        rounds += 1;
    }
    assert_eq!(rounds, 20, "five minutes");
    assert_eq!(bench.hear(P1, Message::GetPayments(vec![payments[0].id()])), ["p1 < payments "]);
}

#[test]
fn payments_one_after_the_other_go_into_one_inventory() {
    let (mut bench, payments) = client(&chain(), &[P1], Limits::default());
    bench.submit(&payments[0]);
    assert_eq!(bench.submit(&payments[1]), ["set Offer +1000 ms", "submitted 5: tx2"]);
    assert_eq!(bench.submit(&payments[2]), ["submitted 5: tx3"]);
    bench.wait_secs(1);
    let texts = bench.timer(Timer::Offer);
    let told: Vec<&str> = texts[0].trim_start_matches("[p1] < pool ").split(' ').collect();
    assert_eq!(told.len(), 3, "{texts:?}");
    assert_eq!(texts[1], "set Offer +15000 ms");
}

#[test]
fn a_payment_waits_for_somebody_to_hand_it_to() {
    let chain = chain();
    let (mut bench, payments) = client(&chain, &[], Limits::default());
    assert_eq!(bench.submit(&payments[0]), ["set Offer +15000 ms", "submitted 5: tx1"]);
    bench.wait_secs(3_600);
    assert_eq!(bench.timer(Timer::Offer), ["set Offer +15000 ms"]);
    bench.up(P1);
    bench.hear(P1, claim(&chain));
    bench.wait_secs(15);
    assert_eq!(bench.timer(Timer::Offer), ["[p1] < pool tx1", "set Offer +15000 ms"]);
}

#[test]
fn a_payment_that_is_bad_without_any_coins_is_refused_and_so_is_one_too_many() {
    let limits = Limits { payments_max: 2, ..Limits::default() };
    let (mut bench, payments) = client(&chain(), &[P1], limits);
    let changed = |change: fn(&mut Payment)| {
        let tx = &payments[0];
        let mut payment = Payment { chain: tx.chain, inputs: tx.inputs.clone(), outputs: tx.outputs.clone() };
        change(&mut payment);
        Tx::from(payment)
    };
    let foreign = changed(|payment| payment.chain = ChainId(Bytes([3; 8])));
    let forged = changed(|payment| payment.outputs[0].amount = Amount(11));
    let empty = changed(|payment| payment.inputs.clear());
    for (bad, reason) in [
        (foreign, TxError::ForeignChain { expected: payments[0].chain, got: ChainId(Bytes([3; 8])) }),
        (forged, TxError::Signature { input: 0 }),
        (empty, TxError::InputCount { expected: synod_ledger::INPUTS_MAX, got: 0 }),
    ] {
        assert_eq!(bench.submit(&bad), [format!("refused 5: {reason}")]);
    }
    bench.submit(&payments[0]);
    bench.submit(&payments[1]);
    let refused = bench.submit(&payments[2]);
    assert!(refused[0].starts_with("refused 5: 2 acknowledged payments"), "{refused:?}");
    assert_eq!(bench.submit(&payments[1]), ["submitted 5: tx2"], "the same again is no more");
}

#[test]
fn validators_are_known_by_their_hello_and_get_a_payment_as_a_client_s_request() {
    let chain = validators::chain();
    let limits = Limits { helpers: 1, ..Limits::default() };
    let (mut bench, payments) = client(&chain, &[P1, P2, P3], limits);
    assert_eq!(bench.submit(&payments[0]), ["set Offer +15000 ms", "submitted 5: tx1"], "nobody is known yet");
    let Message::Agreement(crate::pbft::Message::Hello { hello, .. }) = validators::hello(&chain, 0) else {
        panic!("a hello")
    };
    let forged = crate::pbft::Signed::from_parts(*hello.body(), crate::pbft::ValidatorId(1), hello.signature());
    let forged = crate::pbft::Message::Hello { hello: forged, asks: false };
    assert_eq!(bench.hear(P1, Message::Agreement(forged)), ["reject p1 vote_signature"]);
    assert!(bench.hear(P1, validators::hello(&chain, 0)).is_empty());
    assert!(bench.hear(P3, validators::hello(&chain, 2)).is_empty());
    // f + 1 of four, so that one of them is honest.
    let expected = ["[p1, p3] < request tx2", "submitted 5: tx2"];
    assert_eq!(bench.submit(&payments[1]), expected);
    bench.step(Input::PeerDown(P1));
    bench.wait_secs(15);
    let texts = bench.timer(Timer::Offer);
    assert_eq!(texts.len(), 3, "{texts:?}");
    assert!(texts[..2].iter().all(|text| text.starts_with("[p3] < request tx")), "{texts:?}");
}

#[test]
fn no_payment_is_handed_on_after_a_violation() {
    let chain = validators::chain();
    let (mut bench, payments) = client(&chain, &[P1], Limits::default());
    bench.hear(P1, validators::hello(&chain, 0));
    bench.submit(&payments[0]);
    for extra in 0..2 {
        bench.gossip_block(P1, &validators::next(&chain, chain.state(), extra, vec![]));
    }
    bench.wait_secs(15);
    assert!(bench.timer(Timer::Offer).is_empty());
    let reason = "two blocks of height 1 were agreed on, so that nothing is final any more: this peer has stopped";
    assert_eq!(bench.submit(&payments[1]), [format!("refused 5: {reason}")]);
}

/// A payment's leaf is no coinbase's: who proves the coinbase proves no payment.
#[test]
fn a_coinbase_is_no_payment() {
    let (bench, blocks, _) = three_blocks();
    let coinbase: &Coinbase = blocks[1].coinbase();
    let outputs: Vec<Output> = coinbase.outputs.clone();
    let disguised = Tx::from(Payment { chain: coinbase.chain, inputs: vec![TxInput::default()], outputs });
    let path = merkle::Proof::new(&blocks[1].leaves(), 0);
    assert!(path.verify(&coinbase.leaf(), &blocks[1].header().root));
    let refused = Err(LightError::Proof { expected: blocks[1].header().root });
    assert_eq!(bench.light.check_payment(&blocks[1].id(), &disguised, &path), refused);
    assert_eq!(coinbase.outputs[0].to, address(9));
}
