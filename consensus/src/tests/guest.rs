//! A light peer among replicas: it follows them through reorganisations, faults and restarts, hands on payments and proves
//! them, and none of them ever asks it for a body.

use synod_ledger::{BlockId, TxId, merkle};
use synod_machine::{Input, PeerId};

use super::scenarios::for_seeds;
use crate::light::{Command, LightError, Proven};
use crate::testing::guest::GUEST;
use crate::testing::world::{Links, Manner, World};
use crate::testing::{chain, coin, pay};

/// Three replicas that mine, and a light peer that is linked to some of them.
fn world(seed: u64, links: &[usize]) -> World {
    let mut world = World::new(seed, &chain(), 3);
    world.mine_evenly();
    world.start_all();
    world.start_guest(links);
    world
}

fn best(world: &World) -> BlockId {
    world.light().best_header().id()
}

/// That nobody took it for a replica, and nobody was blamed.
fn check_manners(world: &World) {
    assert_eq!(world.guest.heard.get("get_blocks"), None, "{:?}", world.guest.heard);
    // An answer that comes twice is asked for once.
    let is_honest = |reason: &&str| reason.starts_with("tx_") || *reason == "unsolicited";
    let rejects = world.guest.rejects.keys().chain(world.rejects.keys());
    assert!(rejects.clone().all(is_honest), "{:?}", rejects.collect::<std::vec::Vec<_>>());
    for node in 0..3 {
        assert_eq!(world.replica(node).claim(PeerId(GUEST as u32)), None, "it claims nothing");
    }
}

#[test]
fn a_light_peer_follows_replicas_through_a_reorganisation_and_a_restart_and_proves_a_payment() {
    for_seeds("a_light_peer_follows_replicas", 0..4, |seed| {
        let mut world = world(seed, &[0, 1, 2]);
        world.run_secs(20);
        world.partition(&[0], true);
        // A sixth of the power on one side and two thirds on the other: which chain is left is no matter of luck.
        world.nodes[0].hash_rate /= 2.0;
        world.unlink_guest(1);
        world.unlink_guest(2);
        world.run_secs(60);
        let (best_here, tree) = (best(&world), world.replica(0).tree());
        assert!(tree.is_on_chain(&best_here, &world.replica(0).tip()), "it is on the smaller side");
        assert!(
            tree.best().height().0 <= world.light().best_header().height.0 + 1,
            "and a block on its way behind at most"
        );
        let tx = pay(&world.chain, 1, coin(world.replica(0).state(), 1, 0), 2, 10);
        world.step_guest(Input::Command(Command::Submit { ticket: 1, tx: tx.clone() }));
        assert_eq!(world.guest.submitted, [Ok(tx.id())]);
        world.run_secs(10);
        world.heal(true);
        world.run_secs(5);
        assert!(world.guest.depth_max > 1, "seed {seed}: it left the smaller side's chain");
        world.crash_guest();
        world.run_secs(5);
        world.start_guest(&[1, 2]);
        world.settle();
        world.check_agreement();
        assert_eq!(best(&world), world.replica(0).tip());
        prove(&world, tx.id());
        check_manners(&world);
        let before = best(&world);
        world.crash_guest();
        world.start_guest(&[]);
        assert_eq!(best(&world), before, "its disk has the headers");
        assert!(world.guest.disk.keys().all(|key| key.shelf == 0), "and nothing else");
    });
}

/// Proves a payment with what a replica gives, and nothing with what is forged from it.
fn prove(world: &World, id: TxId) {
    let chain = world.chain_of(0);
    let has = |block: &&synod_ledger::Block| block.payments().iter().any(|tx| tx.id() == id);
    let block = chain.iter().find(has).expect("the payment is confirmed");
    let place = block.payments().iter().position(|tx| tx.id() == id).expect("it is in the block");
    let tx = &block.payments()[place];
    let proof = merkle::Proof::new(&block.leaves(), place + 1);
    let confirmations = world.light().best_header().height.0 - block.height().0 + 1;
    let proven = Proven { height: block.height(), confirmations };
    assert_eq!(world.light().check_payment(&block.id(), tx, &proof), Ok(proven));
    assert_eq!(world.light().check_block(block), Ok(proven));
    let expected = block.header().root;
    let forged = merkle::Proof { index: 0, ..proof.clone() };
    assert_eq!(world.light().check_payment(&block.id(), tx, &forged), Err(LightError::Proof { expected }));
    let other = chain.iter().find(|other| other.id() != block.id()).expect("there are more blocks");
    let expected = other.header().root;
    assert_eq!(world.light().check_payment(&other.id(), tx, &proof), Err(LightError::Proof { expected }));
}

/// That it is on a best chain, of which there may be several of one weight.
fn check_weight(world: &World, seed: u64) {
    let most = (0..3).map(|node| world.replica(node).tree().best().weight()).max();
    assert_eq!(Some(world.light().tree().best_header().weight()), most, "seed {seed}");
}

#[test]
fn a_silent_neighbour_does_not_stop_a_light_peer() {
    for_seeds("a_silent_neighbour_does_not", 0..3, |seed| {
        let mut world = world(seed, &[]);
        world.nodes[0].manner = Manner::Silent;
        world.run_secs(30);
        world.link_guest(0);
        world.run_secs(5);
        assert_eq!(best(&world), world.chain.id(), "it is told of a chain, and not given it");
        world.link_guest(1);
        world.run_secs(20);
        world.stop_mining();
        world.run_secs(20);
        check_weight(&world, seed);
    });
}

#[test]
fn a_light_peer_whose_links_lose_a_third_follows_all_the_same() {
    for_seeds("a_light_peer_whose_links", 0..3, |seed| {
        let mut world = world(seed, &[0, 1]);
        world.links = Links { delay_ms_max: 300, drop_percent: 33, duplicate_percent: 10 };
        for _ in 0..60 {
            world.run_secs(1);
            let node = world.rng.below(3) as usize;
            world.pay_somebody(node);
        }
        world.stop_mining();
        // Who does not answer rests for up to forty seconds, and two of three requests are not answered.
        world.run_secs(1_500);
        check_weight(&world, seed);
        check_manners(&world);
    });
}
