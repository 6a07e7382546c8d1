//! Payments: submitted, gossiped, fetched; and what a promise is worth across restarts and branches.

use std::string::String;
use std::vec;
use std::vec::Vec;

use synod_ledger::{Amount, MempoolLimits, Tx};

use crate::testing::bench::{Bench, P1, P2};
use crate::testing::{Branch, chain, coin, made, params, pay};
use crate::{Message, Timer};

fn bench() -> (Bench, Branch) {
    let chain = chain();
    (Bench::new(params(&chain, None)), Branch::new(&chain))
}

#[test]
fn a_payment_is_on_disk_before_it_is_acknowledged() {
    let (mut bench, branch) = bench();
    let tx = pay(&branch.chain, 1, coin(&branch.state, 1, 0), 2, 10);
    bench.call("t", &tx);
    let expected = ["pooled t", "persist payment t", "publish t", "submitted 5: t", "set Offer +15000 ms"];
    assert_eq!(bench.submit(&tx), expected);
    assert_eq!(bench.submit(&tx), ["submitted 5: t"], "twice is once");
    assert_eq!(bench.gossip_payment(P1, &tx), ["ignore"]);
}

#[test]
fn refused_payments_say_why() {
    let (mut bench, branch) = bench();
    let good = pay(&branch.chain, 1, coin(&branch.state, 1, 0), 2, 10);
    let rival = pay(&branch.chain, 1, coin(&branch.state, 1, 0), 3, 10);
    bench.call("good", &good);
    bench.call("rival", &rival);
    bench.submit(&good);
    let texts = bench.submit(&rival);
    assert_eq!(texts[0], "conflict: good kept, rival seen");
    assert!(texts[1].starts_with("refused 5: coin ") && texts[1].contains("which came first"), "{texts:?}");
    assert_eq!(bench.submit(&rival).len(), 1, "the same evidence is not told twice");
    let mut unsigned = (*pay(&branch.chain, 2, coin(&branch.state, 2, 0), 3, 10)).clone();
    unsigned.inputs[0].signature.0.0[3] ^= 1;
    assert_eq!(bench.submit(&Tx::from(unsigned)), ["refused 5: the signature of input 0 does not fit"]);
}

#[test]
fn gossiped_payments_get_a_verdict() {
    let (mut bench, branch) = bench();
    let good = pay(&branch.chain, 1, coin(&branch.state, 1, 0), 2, 10);
    let rival = pay(&branch.chain, 1, coin(&branch.state, 1, 0), 3, 10);
    bench.call("good", &good);
    bench.call("rival", &rival);
    assert_eq!(bench.gossip_payment(P1, &good), ["pooled good", "accept"]);
    let expected = ["conflict: good kept, rival seen", "reject p1 tx_conflict", "ignore"];
    assert_eq!(bench.gossip_payment(P1, &rival), expected);
    type Spoil = fn(&mut synod_ledger::Payment);
    let table: [(&str, &str, Spoil); 4] = [
        ("tx_foreign_chain", "reject", |tx| tx.chain = synod_ledger::ChainId::default()),
        ("tx_signature", "reject", |tx| tx.inputs[0].signature.0.0[3] ^= 1),
        ("tx_overspend", "reject", |tx| tx.outputs[0].amount = Amount(5_000)),
        ("tx_missing_coin", "ignore", |tx| tx.inputs[0].coin.index = 999),
    ];
    for (reason, verdict, spoil) in table {
        let mut payment = (*pay(&branch.chain, 2, coin(&branch.state, 2, 0), 3, 10)).clone();
        spoil(&mut payment);
        let texts = bench.gossip_payment(P1, &Tx::from(payment));
        assert_eq!(texts, [&std::format!("reject p1 {reason}"), verdict]);
    }
}

#[test]
fn a_new_link_hears_of_the_mempool_and_asks_for_what_it_lacks() {
    let (mut one, branch) = bench();
    let txs: Vec<Tx> = (0..3).map(|place| pay(&branch.chain, 1, coin(&branch.state, 1, place), 2, 10)).collect();
    for tx in &txs {
        one.submit(tx);
    }
    let (mut other, _) = bench();
    for (index, tx) in txs.iter().enumerate() {
        other.call(&std::format!("t{index}"), tx);
        one.call(&std::format!("t{index}"), tx);
    }
    assert_eq!(one.up(P1).len(), 2, "the tip and the mempool");
    other.up(P2);
    other.gossip_payment(P1, &txs[1]);
    let ids: Vec<_> = txs.iter().map(Tx::id).collect();
    let texts = other.hear(P2, Message::Pool(ids.clone()));
    assert!(texts[0].starts_with("p2 < get payments t") && !texts[0].contains("t1"), "{texts:?}");
    assert_eq!(one.hear(P1, Message::GetPayments(ids)), ["p1 < payments t0 t1 t2"]);
    let answer = vec![txs[0].clone(), txs[2].clone()];
    let expected = ["pooled t0", "publish t0", "pooled t2", "publish t2"];
    assert_eq!(other.hear(P2, Message::Payments(answer.clone())), expected);
    assert_eq!(other.hear(P2, Message::Payments(answer)), ["reject p2 unsolicited"]);
}

#[test]
fn payments_that_are_given_one_by_one_are_not_asked_for_again_each_time() {
    let (mut bench, branch) = bench();
    let txs: Vec<Tx> = (0..3).map(|place| pay(&branch.chain, 1, coin(&branch.state, 1, place), 2, 10)).collect();
    bench.up(P1);
    bench.hear(P1, Message::Pool(txs.iter().map(Tx::id).collect()));
    let texts = bench.hear(P1, Message::Payments(txs[..1].to_vec()));
    assert!(texts.iter().all(|text| !text.contains("get payments")), "{texts:?}");
    assert_eq!(bench.hear(P1, Message::Payments(txs[1..].to_vec())), ["reject p1 unsolicited"]);
}

#[test]
fn own_payments_are_offered_until_they_are_confirmed() {
    let (mut bench, mut branch) = bench();
    let tx = pay(&branch.chain, 1, coin(&branch.state, 1, 0), 2, 10);
    bench.call("t", &tx);
    bench.submit(&tx);
    bench.up(P1);
    assert_eq!(bench.timer(Timer::Offer), ["[p1] < pool t", "set Offer +15000 ms"]);
    let block = branch.grow(core::slice::from_ref(&tx));
    bench.gossip_block(P1, &block);
    assert!(bench.timer(Timer::Offer).is_empty(), "nothing is open");
    assert!(bench.replica.fate(&tx.id()).is_some(), "it may come back");
    for block in branch.grow_by(99) {
        bench.gossip_block(P1, &block);
    }
    assert!(bench.replica.fate(&tx.id()).is_some());
    let texts = bench.gossip_block(P1, &branch.grow(&[]));
    assert!(texts.contains(&"forget 01 t".into()), "{texts:?}");
    assert!(bench.replica.fate(&tx.id()).is_none());
}

/// Whoever was offered only what depends on the others could take none of them, and would be offered the same again.
#[test]
fn what_others_depend_on_is_offered_before_them() {
    let (mut bench, branch) = bench();
    let mut txs = vec![pay(&branch.chain, 1, coin(&branch.state, 1, 0), 2, 90)];
    for step in 1..8 {
        let last = txs.last().expect("there is one");
        let (from, to) = if step % 2 == 1 { (2, 3) } else { (3, 2) };
        txs.push(pay(&branch.chain, from, made(last, 0, &branch.state), to, 90 - 10 * step));
    }
    for (index, tx) in txs.iter().enumerate() {
        bench.call(&std::format!("t{index}"), tx);
        bench.submit(tx);
    }
    bench.up(P1);
    assert_eq!(bench.timer(Timer::Offer)[0], "[p1] < pool t0 t1 t2 t3 t4 t5 t6 t7");
}

#[test]
fn a_promise_survives_a_restart_without_any_block() {
    let (mut bench, branch) = bench();
    let tx = pay(&branch.chain, 1, coin(&branch.state, 1, 0), 2, 10);
    bench.submit(&tx);
    let again = Bench::restored(params(&branch.chain, None), bench.disk);
    assert!(again.replica.mempool().is_pinned(&tx.id()), "who does not mine keeps its word, too");
    assert_eq!(again.started().last().map(String::as_str), Some("set Offer +15000 ms"));
}

#[test]
fn a_promise_takes_what_it_depends_on_with_it() {
    let (mut bench, branch) = bench();
    let parent = pay(&branch.chain, 1, coin(&branch.state, 1, 0), 2, 10);
    let child = pay(&branch.chain, 2, made(&parent, 0, &branch.state), 3, 5);
    bench.gossip_payment(P1, &parent);
    bench.submit(&child);
    let again = Bench::restored(params(&branch.chain, None), bench.disk);
    assert!(again.replica.mempool().contains(&child.id()));
    assert!(again.replica.mempool().is_pinned(&parent.id()));
}

#[test]
fn a_promise_that_conflicts_with_a_block_ends_also_after_a_restart() {
    let (mut bench, mut branch) = bench();
    let lost = pay(&branch.chain, 1, coin(&branch.state, 1, 0), 2, 10);
    let child = pay(&branch.chain, 2, made(&lost, 0, &branch.state), 3, 5);
    let winner = pay(&branch.chain, 1, coin(&branch.state, 1, 0), 3, 10);
    bench.submit(&lost);
    bench.submit(&child);
    let mut bench = Bench::restored(params(&branch.chain, None), bench.disk);
    bench.call("lost", &lost);
    bench.call("winner", &winner);
    let texts = bench.gossip_block(P1, &branch.grow(core::slice::from_ref(&winner)));
    assert!(texts.contains(&"conflict: winner kept, lost seen".into()), "{texts:?}");
    assert!(bench.submit(&lost)[0].starts_with("refused 5: "), "it cannot be promised again");
    let mut bench = Bench::restored(params(&branch.chain, None), bench.disk);
    bench.load_all();
    for block in branch.grow_by(100) {
        bench.gossip_block(P1, &block);
    }
    assert!(bench.replica.fate(&lost.id()).is_none(), "it is not kept for ever");
    assert!(bench.replica.fate(&child.id()).is_none(), "nor what depends on it");
}

#[test]
fn nothing_is_promised_while_the_chain_is_read() {
    let (mut bench, mut branch) = bench();
    let block = branch.grow(&[]);
    bench.gossip_block(P1, &block);
    let tx = pay(&branch.chain, 1, coin(&branch.state, 1, 0), 2, 10);
    let mut bench = Bench::restored(params(&branch.chain, None), bench.disk);
    assert_eq!(bench.submit(&tx), ["refused 5: the peer is loading its chain; try again in a moment"]);
    assert_eq!(bench.gossip_payment(P1, &tx), ["ignore"]);
    bench.load_all();
    assert_eq!(bench.submit(&tx).len(), 5);
}

#[test]
fn a_full_mempool_refuses_and_what_was_promised_stays() {
    let chain = chain();
    let mut small = params(&chain, None);
    small.limits.mempool = MempoolLimits { payments_max: 1, ..MempoolLimits::default() };
    let mut bench = Bench::new(small);
    let first = pay(&chain, 1, coin(chain.state(), 1, 0), 2, 10);
    let second = pay(&chain, 1, coin(chain.state(), 1, 1), 2, 10);
    bench.submit(&first);
    assert!(bench.submit(&second)[0].starts_with("refused 5: the mempool is full"));
    assert!(bench.replica.mempool().contains(&first.id()));
}
