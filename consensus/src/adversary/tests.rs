//! Each behaviour is at work, and does no harm that f of it can do; more of one kind than that can.

use core::time::Duration;
use std::vec;
use std::vec::Vec;

use synod_ledger::{Block, BlockId, Certificate, ChainId, Coinbase, Header, Height, Seal};
use synod_machine::{Bytes, Reject, Time};

use super::{Behaviour, Sibling};
use crate::pbft::testing::{Tally, World, settings};
use crate::pbft::{Proposal, View};

/// Twenty requests with these behaviours first among the validators, so that they lead the first views.
fn run(count: usize, behaviours: &[Behaviour], seed: u64) -> World {
    let behaviour = |validator: usize| behaviours.get(validator).copied().unwrap_or_default();
    let nodes = (0..count).map(|validator| (validator, behaviour(validator))).collect();
    let mut world = World::of(count, nodes, settings(), seed);
    world.net.delay_ms_min = 1;
    let honest = world.honest();
    for request in 1..=20 {
        world.request_all(request);
        world.run_for(50);
    }
    world.expect_executed(20, &honest, 60_000);
    (1..20).for_each(|request| world.expect_executed(request, &honest, 60_000));
    assert_eq!(world.forks, vec![], "{behaviours:?}");
    world
}

#[test]
fn f_of_each_kind_neither_fork_nor_stop_the_others() {
    let all = [
        Behaviour::Colluder,
        Behaviour::EquivocatingPrimary,
        Behaviour::EquivocatingVoter,
        Behaviour::Equivocator,
        Behaviour::Forger,
        Behaviour::LyingChanger,
        Behaviour::LyingDonor,
        Behaviour::Replayer,
        Behaviour::Selective,
        Behaviour::Silent,
        Behaviour::Slow(Duration::from_millis(450)),
    ];
    for behaviour in all {
        for (count, faulty) in [(4, 1), (7, 2), (8, 2)] {
            run(count, &vec![behaviour; faulty], 3);
        }
    }
}

#[test]
fn two_kinds_at_once_neither_fork_nor_stop_the_others() {
    let leaders = [Behaviour::EquivocatingPrimary, Behaviour::Slow(Duration::from_millis(450)), Behaviour::Colluder];
    for leader in leaders {
        for other in [Behaviour::LyingChanger, Behaviour::Selective, Behaviour::EquivocatingVoter, Behaviour::Replayer]
        {
            run(7, &[leader, other], 5);
        }
    }
}

#[test]
fn forged_messages_are_refused_for_their_signatures() {
    let world = run(4, &[Behaviour::Honest, Behaviour::Forger], 1);
    for reason in [Reject::VoteSignature, Reject::VoteStranger] {
        assert!(world.rejects.get(&reason).is_some_and(|count| *count > 0), "{:?}", world.rejects);
    }
    assert_eq!(world.view(), View(0));
}

#[test]
fn an_equivocating_voter_is_caught_where_its_stories_meet() {
    // Each hears one story only, until what was sent is sent again by others: nobody is caught for what is not shown.
    let world = run(4, &[Behaviour::Honest, Behaviour::EquivocatingVoter], 1);
    assert!(world.evidence.iter().all(|evidence| evidence.by().0 == 1));
}

#[test]
fn a_replayer_changes_nothing_at_all() {
    let world = run(4, &[Behaviour::Honest, Behaviour::Replayer], 1);
    assert_eq!(world.view(), View(0));
    assert_eq!(world.tally, Tally::default());
}

/// The bound is tight: 2q − n colluders, which are f + 1 where n = 3f + 1, make the honest ones commit two blocks at one
/// height, each with a certificate that holds.
#[test]
fn more_than_f_colluders_fork_the_chain_and_both_certificates_hold() {
    for (count, colluders) in [(4, 2), (7, 3), (8, 4)] {
        let behaviour = |validator: usize| if validator < colluders { Behaviour::Colluder } else { Behaviour::Honest };
        let nodes = (0..count).map(|validator| (validator, behaviour(validator))).collect();
        let mut world = World::of(count, nodes, settings(), 1);
        world.request_all(1);
        world.run_for(100);
        let forks: Vec<_> = core::mem::take(&mut world.forks);
        assert!(!forks.is_empty(), "n = {count}:\n{}", world.describe());
        for (height, (first, one), (second, other)) in forks {
            assert_ne!(first, second);
            assert!(world.rules.is_certified(height, first, &one));
            assert!(world.rules.is_certified(height, second, &other));
        }
    }
}

#[test]
fn the_sibling_of_a_block_is_another_block_on_the_same_parent_and_as_whole() {
    let header = Header {
        chain: ChainId(Bytes([1; 8])),
        parent: BlockId(Bytes([2; 32])),
        height: Height(3),
        time: Time(4),
        root: Bytes([5; 32]),
        seal: Seal::Agreed { certificate: Certificate::none() },
    };
    let coinbase = Coinbase { chain: header.chain, height: header.height, extra: 6, outputs: vec![] };
    let block = Block::new(header, coinbase, vec![]);
    let sibling = block.sibling();
    assert_eq!((Proposal::parent(&sibling), Proposal::height(&sibling)), (BlockId(Bytes([2; 32])), Height(3)));
    assert_ne!(Proposal::id(&sibling), Proposal::id(&block));
    assert!(sibling.is_whole());
    assert!(!block.is_whole(), "its root was made up");
}

#[test]
fn every_behaviour_is_found_by_its_name_and_nothing_by_another() {
    let second = Duration::from_secs(1);
    for name in Behaviour::NAMES {
        assert_eq!(Behaviour::named(name, second).map(Behaviour::name), Some(name));
    }
    assert_eq!(Behaviour::named("slow", second), Some(Behaviour::Slow(Duration::from_millis(900))));
    assert_eq!(Behaviour::named("", second), None);
}
