//! Several replicas under faults. A failure prints the seed; `SYNOD_SEED=<seed> cargo test -p synod-consensus <test>`
//! replays that seed alone, and `SYNOD_SEED=<first>..<end>` goes through others than the usual ones.

use std::time::Duration;
use std::vec::Vec;
use std::{env, eprintln, vec};

use synod_ledger::{Block, BlockId, Height};
use synod_machine::{Input, PeerId, Time};

use crate::testing::world::{Links, Manner, World};
use crate::testing::{Branch, chain, chain_with, coin, pay};
use crate::{Command, Item, Record};

/// Runs a scenario for each seed, or for the one that is asked for, and says which one failed.
pub(super) fn for_seeds(name: &str, seeds: core::ops::Range<u64>, scenario: impl Fn(u64)) {
    struct Replay<'a>(&'a str, u64);
    impl Drop for Replay<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("replay: SYNOD_SEED={} cargo test -p synod-consensus {}", self.1, self.0);
            }
        }
    }
    for seed in env::var("SYNOD_SEED").map_or(seeds, |text| asked(&text)) {
        let _replay = Replay(name, seed);
        scenario(seed);
    }
}

fn asked(text: &str) -> core::ops::Range<u64> {
    let number = |text: &str| text.parse::<u64>().expect("SYNOD_SEED is a number, or two with .. between them");
    match text.split_once("..") {
        Some((first, end)) => number(first)..number(end),
        None => number(text)..number(text) + 1,
    }
}

#[test]
fn five_peers_agree() {
    for_seeds("five_peers_agree", 0..3, |seed| {
        let mut world = World::new(seed, &chain(), 5);
        world.mine_evenly();
        world.start_all();
        for _ in 0..60 {
            world.run_secs(1);
            let node = world.rng.below(5) as usize;
            world.pay_somebody(node);
        }
        world.settle();
        world.check_agreement();
        world.check_acknowledged(true);
        assert!(world.replica(0).state().height() > Height(60), "a block a second or so");
        assert!(world.acknowledged.len() > 20);
        assert!(world.rejects.keys().all(|reason| reason.starts_with("tx_")), "{:?}", world.rejects);
    });
}

/// A disk with a chain of so many blocks.
fn long_chain(count: usize) -> World {
    let mut world = World::new(1, &chain(), 1);
    world.nodes[0].hash_rate = 1e-12;
    world.start(0);
    let mut branch = Branch::new(&world.chain);
    world.now = Time::from_secs(count as u64);
    for index in 0..count {
        let payments: Vec<_> =
            if index < 40 { vec![pay(&branch.chain, 1, coin(&branch.state, 1, index), 2, 10)] } else { vec![] };
        let block = branch.grow(&payments);
        publish(&mut world, 0, block);
    }
    world
}

fn publish(world: &mut World, node: usize, block: Block) {
    let id = block.id().0;
    let item = Item::Block(block);
    world.step(node, Input::Command(Command::Gossip { id, from: PeerId(99), item }));
}

#[test]
fn a_late_joiner_catches_up_from_several_peers_of_which_some_are_useless() {
    let source = long_chain(3_000);
    let disk = source.nodes[0].disk.clone();
    let mut world = World::new(2, &source.chain, 6);
    world.now = Time::from_secs(3_000);
    for node in 0..5 {
        world.nodes[node].disk.clone_from(&disk);
    }
    world.nodes[1].manner = Manner::Silent;
    world.nodes[2].manner = Manner::Forgetful;
    for node in 0..5 {
        world.start(node);
    }
    world.run_secs(20);
    assert_eq!(world.replica(4).state().height(), Height(3_000), "a restart is a walk from genesis");
    world.nodes[4].hash_rate = world.block_rate();
    world.crash(4);
    world.start(4);
    world.run_secs(10);
    world.start(5);
    world.run_secs(120);
    world.nodes[4].hash_rate = 1e-12;
    world.run_secs(60);
    assert!(world.replica(0).state().height() > Height(3_060), "the chain grew while the joiner caught up");
    world.check_agreement();
    // One answers nothing and one has no blocks; the work is shared by the others.
    let served: Vec<u64> = [0, 2, 3, 4].map(|node| world.sent(node, "block")).to_vec();
    assert_eq!(served[1], 0);
    assert!(served[0] > 300 && served[2] > 300 && served[3] > 300, "{served:?}");
    assert!(served.iter().sum::<u64>() < 3_400, "few blocks are sent twice: {served:?}");
}

#[test]
fn a_joiner_whose_peers_all_fall_silent_for_a_while_asks_again() {
    let source = long_chain(300);
    for (silent, loudly) in [(true, false), (false, true), (false, false)] {
        let mut world = World::new(3, &source.chain, 3);
        world.now = Time::from_secs(300);
        for node in 0..2 {
            world.nodes[node].disk.clone_from(&source.nodes[0].disk);
            world.start(node);
        }
        world.run_secs(1);
        world.start(2);
        world.run(Duration::from_millis(120));
        if silent {
            world.nodes[0].manner = Manner::Silent;
            world.nodes[1].manner = Manner::Silent;
        } else {
            world.partition(&[2], loudly);
        }
        world.run_secs(60);
        assert!(world.replica(2).state().height() < Height(300), "it was cut off on the way");
        world.nodes[0].manner = Manner::Honest;
        world.nodes[1].manner = Manner::Honest;
        world.heal(loudly);
        // No block is made, no claim changes: it must come by itself.
        world.run_secs(60);
        world.check_agreement();
        assert_eq!(world.replica(2).state().height(), Height(300));
    }
}

#[test]
fn two_halves_that_mined_apart_come_back_to_one_chain_with_all_payments() {
    for_seeds("two_halves_that_mined_apart_come_back", 0..4, |seed| {
        let mut world = World::new(seed, &chain(), 6);
        let loudly = seed % 2 == 0;
        world.mine_evenly();
        for node in &mut world.nodes {
            node.limits.bodies_max = 4;
        }
        world.start_all();
        world.run_secs(10);
        world.partition(&[0, 1, 2], loudly);
        for _ in 0..60 {
            world.run_secs(1);
            let node = world.rng.below(6) as usize;
            world.pay_somebody(node);
        }
        assert_ne!(world.replica(0).tip(), world.replica(5).tip(), "the halves grew apart");
        world.check_acknowledged(false);
        world.heal(loudly);
        world.run_secs(40);
        world.check_acknowledged(false);
        world.settle();
        world.check_agreement();
        world.check_acknowledged(true);
    });
}

#[test]
fn a_restart_at_any_moment_gives_the_same_tip_coins_and_promises() {
    for_seeds("a_restart_at_any_moment", 0..6, |seed| {
        let mut world = World::new(seed, &chain(), 4);
        world.mine_evenly();
        for node in &mut world.nodes {
            node.limits.bodies_max = 4;
        }
        world.links.delay_ms_max = 1_500;
        world.start_all();
        for _ in 0..40 {
            let span = Duration::from_millis(world.rng.below(2_000));
            world.run(span);
            world.pay_somebody(0);
            let best: BlockId = world.replica(0).tree().best().id();
            let own = promises(&world);
            world.crash(0);
            world.start(0);
            assert_eq!(world.replica(0).tree().best().id(), best, "the same chain is best");
            assert_eq!(promises(&world), own);
            // Nobody talks to it while it reads its disk.
            world.partition(&[0], false);
            world.run(Duration::from_millis(400));
            assert!(world.replica(0).is_settled());
            world.check_money(0);
            world.heal(false);
            world.links.delay_ms_max = 1_500;
        }
        world.settle();
        world.check_agreement();
        world.check_acknowledged(true);
    });
}

/// The names of the acknowledged payments on node 0's disk.
fn promises(world: &World) -> Vec<synod_machine::Key> {
    let shelf = Record::payment_key(synod_ledger::TxId::default()).shelf;
    world.nodes[0].disk.keys().filter(|key| key.shelf == shelf).copied().collect()
}

/// Everything at once, then peace: faults must break no promise, and after them all must agree.
fn chaos(seed: u64) -> World {
    let mut world = World::new(seed, &chain(), 0);
    for _ in 0..3 + world.rng.below(4) {
        let node = world.add_node();
        world.nodes[node].limits.bodies_max = 2 + world.rng.below(8) as usize;
    }
    let nodes = world.nodes.len() as u64;
    world.mine_evenly();
    if world.rng.below(3) == 0 {
        world.nodes[0].hash_rate = 0.0;
    }
    world.links = Links {
        delay_ms_max: 1 + world.rng.below(1_500),
        drop_percent: world.rng.below(30),
        duplicate_percent: world.rng.below(20),
    };
    world.start_all();
    for _ in 0..50 {
        let span = Duration::from_millis(world.rng.below(1_500));
        world.run(span);
        let node = world.rng.below(nodes) as usize;
        match world.rng.below(12) {
            0 => world.crash(node),
            1 => {
                let effects = world.rng.below(20);
                world.crash_after(node, effects);
            }
            2..=4 if world.nodes[node].host.is_none() => world.start(node),
            5 => {
                let loudly = world.rng.below(2) == 0;
                world.partition(&[node, (node + 1) % nodes as usize], loudly);
            }
            6 => {
                let links = world.links;
                world.heal(true);
                world.links = links;
            }
            _ => world.pay_somebody(node),
        }
        world.check_acknowledged(false);
    }
    for node in 0..world.nodes.len() {
        world.crash_after(node, u64::MAX);
    }
    world.heal(true);
    world.start_all();
    world.settle();
    world.check_agreement();
    world.check_acknowledged(true);
    world
}

#[test]
fn whatever_happens_promises_are_kept_and_all_agree_in_the_end() {
    for_seeds("whatever_happens", 0..60, |seed| {
        chaos(seed);
    });
}

#[test]
fn a_seed_gives_the_same_trace_twice() {
    for_seeds("a_seed_gives_the_same_trace_twice", 100..103, |seed| {
        assert_eq!(chaos(seed).trace, chaos(seed).trace);
    });
}

#[test]
fn the_target_follows_the_hash_rate_of_a_network() {
    let chain = chain_with(|genesis| {
        let params = genesis.engine.pow_mut().expect("a chain of work");
        params.retarget = synod_ledger::Retarget::Lwma { window: 30 };
        params.target = crate::pow::target_for(1_000, Duration::from_secs(1));
    });
    let mut world = World::new(4, &chain, 3);
    world.mine_evenly();
    world.start_all();
    world.run_secs(200);
    let before = world.replica(0).state().height().0;
    assert!((150..260).contains(&before), "{before} blocks in 200 s");
    for node in &mut world.nodes {
        node.hash_rate *= 4.0;
    }
    world.run_secs(100);
    let middle = world.replica(0).state().height().0;
    world.run_secs(200);
    let after = world.replica(0).state().height().0;
    assert!((150..260).contains(&(after - middle)), "{} blocks in 200 s", after - middle);
}
