//! Who is told of the tip and when: nobody who is known to have it, everybody who may not, and in the end nobody.

use core::time::Duration;
use std::string::String;
use std::vec::Vec;

use synod_ledger::{Block, BlockId, Height, U256};
use synod_machine::{Bytes, Input};

use crate::testing::bench::{Bench, P1, P2, P3};
use crate::testing::world::World;
use crate::testing::{Branch, chain, chain_with, name, params};
use crate::{Claim, Message, Timer};

const FOUR: synod_machine::PeerId = synod_machine::PeerId(4);

/// A new peer with two neighbours, and a chain that it does not have.
fn bench(blocks: usize) -> (Bench, Vec<Block>) {
    let chain = chain();
    let mut bench = Bench::new(params(&chain, None));
    let blocks = Branch::new(&chain).grow_by(blocks);
    bench.call_all("b", &blocks);
    bench.up(P1);
    bench.up(P2);
    (bench, blocks)
}

fn claim(block: &Block) -> Message {
    let height = block.height();
    Message::Tip(Claim { tip: block.id(), height, work: Bytes(U256::from(2 * height.0).to_be_bytes()) })
}

/// What it says when the tip that it has just taken in is announced.
fn announced(bench: &mut Bench) -> Vec<String> {
    bench.timer(Timer::Announce)
}

#[test]
fn a_new_peer_on_the_genesis_has_nothing_to_say_later() {
    let (mut bench, _) = bench(0);
    assert_eq!(bench.up(P3), ["p3 < tip genesis at 0"], "and sets no timer");
    assert!(bench.hear(P3, claim(&bench.replica.chain().block().clone())).is_empty());
    assert!(bench.hear(P3, claim(&bench.replica.chain().block().clone())).is_empty(), "there is nothing to answer");
}

#[test]
fn a_new_tip_is_told_to_those_who_are_not_known_to_have_it() {
    let (mut bench, blocks) = bench(2);
    let texts = bench.gossip_block(P1, &blocks[0]);
    assert!(texts.iter().any(|text| text == "set Announce +2075 ms"), "{texts:?}");
    assert_eq!(announced(&mut bench), ["[p2] < tip b1 at 1", "set Announce +30000 ms"], "the first one gave it");
    bench.gossip_block(FOUR, &blocks[1]);
    assert_eq!(bench.gossip_block(P1, &blocks[1]), ["ignore"], "it has it, too");
    bench.hear(P2, claim(&blocks[1]));
    assert_eq!(announced(&mut bench), ["set Announce +30000 ms"]);
}

#[test]
fn a_tip_that_was_asked_for_is_told_as_soon_as_no_more_of_it_comes() {
    let (mut bench, blocks) = bench(3);
    bench.hear(P1, claim(&blocks[1]));
    bench.hear(P1, Message::Headers(blocks[..2].iter().map(|block| block.shared_header().clone()).collect()));
    for block in &blocks[..2] {
        let texts = bench.hear(P1, Message::Block(block.clone()));
        assert_eq!(texts.last().map(String::as_str), Some("set Announce +2000 ms"), "it is gossiped by nobody");
        bench.wait(Duration::from_millis(500));
    }
    assert_eq!(announced(&mut bench), ["[p2] < tip b2 at 2", "set Announce +30000 ms"]);
    let texts = bench.gossip_block(P1, &blocks[2]);
    assert!(!texts.iter().any(|text| text == "set Announce +2000 ms"), "this one is under way: {texts:?}");
}

#[test]
fn a_tip_is_repeated_to_those_who_did_not_claim_it_until_they_do() {
    let (mut bench, blocks) = bench(1);
    bench.gossip_block(P1, &blocks[0]);
    announced(&mut bench);
    bench.wait(Duration::from_secs(30));
    assert_eq!(announced(&mut bench), ["[p1, p2] < tip b1 at 1", "set Announce +30000 ms"], "a gift is no claim");
    assert!(bench.hear(P1, claim(&blocks[0])).is_empty());
    bench.wait(Duration::from_secs(30));
    assert_eq!(announced(&mut bench), ["[p2] < tip b1 at 1", "set Announce +30000 ms"]);
    bench.step(Input::PeerDown(P2));
    assert!(announced(&mut bench).is_empty(), "all who are left have said it");
    bench.step(Input::PeerDown(P1));
    assert!(announced(&mut bench).is_empty(), "nobody listens");
}

#[test]
fn a_claim_that_is_heard_again_is_answered_unless_it_was_just_told() {
    let (mut bench, blocks) = bench(1);
    bench.gossip_block(P1, &blocks[0]);
    bench.wait(Duration::from_secs(15));
    assert!(bench.hear(P1, claim(&blocks[0])).is_empty(), "both know now");
    assert_eq!(bench.hear(P1, claim(&blocks[0])), ["p1 < tip b1 at 1"], "it does not know");
    assert!(bench.hear(P1, claim(&blocks[0])).is_empty(), "answers to answers would go on for ever");
    bench.wait(Duration::from_secs(15));
    assert_eq!(bench.hear(P1, claim(&blocks[0])), ["p1 < tip b1 at 1"], "the answer was lost");
}

#[test]
fn who_claims_less_than_it_seemed_to_have_is_told() {
    let (mut bench, blocks) = bench(2);
    bench.gossip_block(P1, &blocks[0]);
    bench.gossip_block(P1, &blocks[1]);
    bench.hear(P2, claim(&blocks[1]));
    bench.hear(P1, claim(&blocks[1]));
    assert!(announced(&mut bench).is_empty(), "all have it");
    // It gave us the block and may still lack those below.
    let texts = bench.hear(P1, claim(&blocks[0]));
    assert_eq!(texts, ["set Announce +30000 ms"], "the last announcement was just now");
    bench.wait(Duration::from_secs(30));
    assert_eq!(announced(&mut bench), ["[p1] < tip b2 at 2", "set Announce +30000 ms"]);
}

#[test]
fn an_unknown_tip_of_less_work_is_told_of_more_and_one_of_as_much_is_left_alone() {
    let (mut bench, blocks) = bench(2);
    bench.gossip_block(P2, &blocks[0]);
    bench.gossip_block(P2, &blocks[1]);
    let unknown = |work: u64| {
        Message::Tip(Claim { tip: BlockId(name(9)), height: Height(2), work: Bytes(U256::from(work).to_be_bytes()) })
    };
    bench.hear(P1, unknown(4));
    assert_eq!(announced(&mut bench), ["set Announce +30000 ms"], "a tie is not told: it would be ignored");
    bench.hear(P1, unknown(3));
    bench.wait(Duration::from_secs(30));
    assert_eq!(announced(&mut bench)[0], "[p1, p2] < tip b2 at 2");
}

#[test]
fn while_it_reorganises_it_claims_nothing() {
    let chain = chain();
    let mut small = params(&chain, None);
    small.limits.bodies_max = 2;
    let mut bench = Bench::new(small);
    let mut main = Branch::new(&chain);
    let mut side = main.fork(1);
    for block in main.grow_by(4) {
        bench.gossip_block(P1, &block);
    }
    bench.up(P2);
    for block in side.grow_by(5) {
        bench.gossip_block(P1, &block);
    }
    assert!(!bench.replica.is_settled(), "it waits for its disk");
    bench.call("tip", &main.grow(&[]));
    let texts = announced(&mut bench);
    assert!(texts.iter().all(|text| text.starts_with("set Announce")), "{texts:?}");
    bench.load_all();
    assert!(bench.replica.is_settled());
}

#[test]
fn announcements_wait_for_gossip_as_long_as_blocks_are_apart() {
    let after = |block_time_ms: u64, extra: u64| {
        let chain = chain_with(|genesis| {
            let params = genesis.engine.pow_mut().expect("a chain of work");
            params.block_time_ms = block_time_ms;
        });
        let mut bench = Bench::new(crate::Params { extra, ..params(&chain, None) });
        bench.up(P1);
        let texts = bench.gossip_block(P2, &Branch::new(&chain).grow(&[]));
        let set = texts.iter().find_map(|text| text.strip_prefix("set Announce +")?.strip_suffix(" ms"));
        set.and_then(|millis| millis.parse::<u64>().ok()).expect("the neighbour is to be told")
    };
    for extra in 0..20 {
        assert!((2_000..4_000).contains(&after(1_000, extra)));
        assert!((600_000..1_200_000).contains(&after(600_000, extra)));
    }
    let mut drawn: Vec<u64> = (0..20).map(|extra| after(1_000, extra) / 200).collect();
    drawn.sort_unstable();
    drawn.dedup();
    assert!(drawn.len() >= 8, "neighbours speak at other times: {drawn:?}");
}

#[test]
fn a_network_at_rest_is_silent_and_has_no_timer_pending_though_it_loses_messages() {
    for (seed, drop_percent) in [(1, 0), (2, 30), (3, 60)] {
        let mut world = World::new(seed, &chain(), 5);
        world.nodes[0].hash_rate = world.block_rate();
        world.links.drop_percent = drop_percent;
        world.start_all();
        world.run_secs(20);
        world.stop_mining();
        // Claims are repeated every thirty seconds until they come through; then there is nothing to say.
        world.run_secs(if drop_percent == 0 { 70 } else { 3_000 });
        world.check_agreement();
        let sent = |world: &World| -> u64 { (0..5).map(|node| world.sent(node, "tip")).sum() };
        let before = sent(&world);
        world.run_secs(600);
        assert_eq!(sent(&world), before, "seed {seed}: nobody says anything");
        for node in &world.nodes {
            let host = node.host.as_ref().expect("all are up");
            assert_eq!(host.next_deadline(), None, "seed {seed}: no timer is pending");
        }
    }
}

#[test]
fn a_block_that_gossip_lost_everywhere_still_arrives() {
    let mut world = World::new(7, &chain(), 4);
    world.start_all();
    world.run_secs(1);
    let block = Branch::new(&world.chain.clone()).grow(&[]);
    // Only one ever hears of it by gossip, and no other block follows.
    world.links.drop_percent = 100;
    let item = crate::Item::Block(block.clone());
    let command = crate::Command::Gossip { id: block.fingerprint(), from: synod_machine::PeerId(99), item };
    world.step(2, Input::Command(command));
    world.links.drop_percent = 50;
    world.run_secs(400);
    for node in 0..4 {
        assert_eq!(world.replica(node).tip(), block.id(), "node {node}");
    }
}
