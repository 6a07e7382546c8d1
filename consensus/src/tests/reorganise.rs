//! Changing branches: depth beyond memory, detours through invalid blocks, changes of mind while the disk is read.

use std::vec::Vec;

use synod_ledger::{Amount, Block};

use crate::testing::bench::{Bench, P1};
use crate::testing::{Branch, chain, coin, made, params, pay};
use crate::{Params, Record};

fn small(chain: &std::sync::Arc<crate::Chain>) -> Params {
    let mut params = params(chain, None);
    params.limits.bodies_max = 4;
    params
}

fn gossip(bench: &mut Bench, blocks: &[Block]) -> Vec<std::string::String> {
    let mut texts = Vec::new();
    for block in blocks {
        texts = bench.gossip_block(P1, block);
    }
    texts
}

#[test]
fn a_branch_deeper_than_memory_is_left_by_way_of_the_disk_and_undo_data() {
    let chain = chain();
    for bodies_max in [2, 4, 64] {
        let mut params = small(&chain);
        params.limits.bodies_max = bodies_max;
        let mut bench = Bench::new(params);
        let mut one = Branch::new(&chain);
        let mut other = one.fork(1);
        let payments: Vec<_> = (0..12).map(|place| pay(&chain, 1, coin(chain.state(), 1, place), 2, 10)).collect();
        for tx in &payments {
            let block = one.grow(core::slice::from_ref(tx));
            gossip(&mut bench, &[block]);
        }
        let rivals = other.grow_by(13);
        bench.call("last", &rivals[12]);
        gossip(&mut bench, &rivals[..12]);
        assert_eq!(bench.replica.tip(), one.state.tip(), "the first of equals stays");
        let texts = gossip(&mut bench, &rivals[12..]);
        let loads = bench.load_all();
        assert_eq!(loads > 0, bodies_max < 64, "{loads} loads with {bodies_max} bodies");
        assert!(bodies_max < 64 || texts.contains(&"tip last at 13, 12 back".into()), "{texts:?}");
        assert_eq!(bench.replica.tip(), other.state.tip());
        assert!(*bench.replica.state() == other.state, "the coins are the same by undo data and by memory");
        assert_eq!(bench.replica.state().audit(), bench.replica.state().supply());
        assert!(payments.iter().all(|tx| bench.replica.mempool().contains(&tx.id())), "all payments wait again");
        bench.replica.mempool().check();
    }
}

#[test]
fn the_best_tip_may_change_at_every_load_of_the_way() {
    let chain = chain();
    let mut one = Branch::new(&chain);
    let first = one.grow_by(8);
    let mut other = Branch::new(&chain).fork(1);
    let second = other.grow_by(9);
    let third = one.grow_by(3);
    for interrupt in 0..24 {
        let mut bench = Bench::new(small(&chain));
        gossip(&mut bench, &first);
        gossip(&mut bench, &second);
        for _ in 0..interrupt {
            if !bench.loads.is_empty() {
                bench.load_one();
            }
        }
        gossip(&mut bench, &third);
        bench.load_all();
        assert!(bench.replica.is_settled(), "interrupted at load {interrupt}");
        assert_eq!(bench.replica.tip(), one.state.tip());
        assert!(*bench.replica.state() == one.state);
    }
}

#[test]
fn a_detour_through_an_invalid_branch_loses_no_payment() {
    let chain = chain();
    for bodies_max in [4, 64] {
        let mut params = params(&chain, Some(9));
        params.limits.bodies_max = bodies_max;
        let mut bench = Bench::new(params);
        let waiting = pay(&chain, 1, coin(chain.state(), 1, 0), 2, 10);
        let confirmed = pay(&chain, 1, coin(chain.state(), 1, 1), 2, 10);
        bench.submit(&waiting);
        let mut one = Branch::new(&chain);
        let kept = one.grow(core::slice::from_ref(&confirmed));
        gossip(&mut bench, &[kept]);
        let tip = bench.replica.tip();
        let mut other = Branch::new(&chain).fork(1);
        let mut rivals = std::vec![other.grow(core::slice::from_ref(&waiting))];
        rivals.push(other.spoilt(&[], |_, coinbase| coinbase.outputs[0].amount = Amount(51)));
        let texts = gossip(&mut bench, &rivals);
        bench.load_all();
        assert!(bodies_max == 4 || texts.contains(&"reject p1 block_subsidy".into()), "{texts:?}");
        assert!(!texts.iter().any(|text| text.starts_with("tip")), "{texts:?}");
        assert_eq!(bench.replica.tip(), tip);
        assert!(bench.replica.is_settled());
        assert!(bench.replica.mempool().is_pinned(&waiting.id()), "it waits again");
        assert!(!bench.replica.mempool().contains(&confirmed.id()), "it is confirmed again");
        bench.replica.mempool().check();
        let block = one.grow(core::slice::from_ref(&waiting));
        bench.call("next", &block);
        let texts = gossip(&mut bench, &[block]);
        assert!(texts.contains(&"tip next at 2, 0 back".into()), "{texts:?}");
    }
}

#[test]
fn a_restart_between_any_two_blocks_gives_the_tip_and_the_coins_back() {
    let chain = chain();
    let mut branch = Branch::new(&chain);
    let mut bench = Bench::new(small(&chain));
    let mut fork = branch.fork(1);
    for step in 0..20 {
        let tx = pay(&chain, 1, coin(&branch.state, 1, 0), 2, 10);
        gossip(&mut bench, &[branch.grow(&[tx])]);
        gossip(&mut bench, &[fork.grow(&[])]);
        bench.load_all();
        let mut again = Bench::restored(small(&chain), bench.disk.clone());
        assert!(!again.replica.is_settled(), "it has to read {step} blocks");
        again.load_all();
        assert_eq!(again.replica.tip(), bench.replica.tip());
        assert!(again.replica.state() == bench.replica.state());
        assert_eq!(again.disk, bench.disk, "reading changes nothing");
    }
}

#[test]
fn ties_fall_after_a_restart_as_they_did_before() {
    let chain = chain();
    let mut bench = Bench::new(params(&chain, None));
    let one = Branch::new(&chain).fork(1).grow_by(2);
    let other = Branch::new(&chain).fork(2).grow_by(2);
    // The first branch's headers come first, its bodies last: the second is complete first.
    bench.up(P1);
    let claim = |block: &Block| {
        let work = synod_machine::Bytes([255; 32]);
        crate::Message::Tip(crate::Claim { tip: block.id(), height: block.height(), work })
    };
    let headers =
        |blocks: &[Block]| crate::Message::Headers(blocks.iter().map(|block| block.shared_header().clone()).collect());
    bench.hear(P1, claim(&one[1]));
    bench.hear(P1, headers(&one));
    bench.hear(P1, crate::Message::Block(one[1].clone()));
    gossip(&mut bench, &other);
    assert_eq!(bench.replica.tip(), other[1].id());
    bench.hear(P1, crate::Message::Block(one[0].clone()));
    assert_eq!(bench.replica.tip(), other[1].id(), "the first complete one stays");
    let mut again = Bench::restored(params(&chain, None), bench.disk.clone());
    again.load_all();
    assert_eq!(again.replica.tip(), other[1].id());
}

#[test]
fn an_invalid_branch_stays_invalid_after_a_restart_and_later_ties_fall_right() {
    let chain = chain();
    let mut bench = Bench::new(params(&chain, None));
    let mut branch = Branch::new(&chain);
    let bad = branch.spoilt(&[], |_, coinbase| coinbase.outputs[0].amount = Amount(51));
    gossip(&mut bench, core::slice::from_ref(&bad));
    let rival = branch.fork(3).grow(&[]);
    let first = branch.grow(&[]);
    gossip(&mut bench, core::slice::from_ref(&first));
    let mut bench = Bench::restored(params(&chain, None), bench.disk);
    bench.load_all();
    assert_eq!(gossip(&mut bench, &[bad]), ["reject p1 block_parent", "ignore"]);
    gossip(&mut bench, &[rival]);
    let mut bench = Bench::restored(params(&chain, None), bench.disk);
    bench.load_all();
    assert_eq!(bench.replica.tip(), first.id());
    let stored = &bench.disk[&Record::header_key(first.id())];
    let Record::Header(stored) = stored else { panic!("a header lies where headers lie") };
    assert_eq!(stored.completed, Some(2), "numbers go on across restarts");
}

/// A payment that was never handed in here, but confirmed here, is kept on disk once its block is taken back: whoever was
/// told that it is confirmed, or depends on it, must not lose it by a restart.
#[test]
fn what_a_reorganisation_takes_back_is_on_disk_before_anything_else_is_said_of_it() {
    let chain = chain();
    let mut bench = Bench::new(params(&chain, None));
    let mut one = Branch::new(&chain);
    let mut other = one.fork(1);
    let tx = pay(&chain, 1, coin(chain.state(), 1, 0), 2, 10);
    bench.call("t", &tx);
    gossip(&mut bench, &[one.grow(core::slice::from_ref(&tx))]);
    assert!(bench.replica.fate(&tx.id()).is_none(), "nobody handed it in here");
    let rivals = other.grow_by(2);
    let texts = gossip(&mut bench, &rivals);
    let kept = texts.iter().position(|text| text == "persist payment t");
    let told = texts.iter().position(|text| text.starts_with("tip "));
    assert!(kept.is_some() && kept < told, "{texts:?}");
    assert!(bench.replica.fate(&tx.id()).is_some());
    assert!(bench.replica.mempool().is_pinned(&tx.id()));
}

#[test]
fn a_restart_in_the_middle_of_a_reorganisation_keeps_what_a_promise_depends_on() {
    let chain = chain();
    let mut params = small(&chain);
    params.limits.bodies_max = 2;
    let mut bench = Bench::new(params.clone());
    let mut one = Branch::new(&chain);
    let mut other = one.fork(1);
    let parent = pay(&chain, 1, coin(chain.state(), 1, 0), 2, 10);
    gossip(&mut bench, &[one.grow(core::slice::from_ref(&parent))]);
    let promised = pay(&chain, 1, made(&parent, 1, chain.state()), 2, 10);
    bench.submit(&promised);
    gossip(&mut bench, &one.grow_by(5));
    gossip(&mut bench, &other.grow_by(7));
    assert!(!bench.replica.is_settled(), "it reads the blocks that it takes back");
    // Here it is killed: the better branch is on disk, and what the old one confirmed is promised by nobody.
    let mut again = Bench::restored(params, bench.disk);
    again.load_all();
    assert_eq!(again.replica.tip(), other.state.tip());
    assert!(*again.replica.state() == other.state, "the coins are those of the better branch");
    for tx in [parent, promised] {
        assert!(again.replica.mempool().is_pinned(&tx.id()), "it waits again");
        assert!(again.disk.contains_key(&Record::payment_key(tx.id())), "and is on disk");
    }
}
