//! A validator that lost its disk follows and is silent, and votes again when all that it may have voted for is decided.

use std::vec;

use synod_ledger::Height;

use crate::pbft::View;
use crate::pbft::testing::World;

#[test]
fn a_replica_that_lost_its_disk_gets_the_chain_back_and_votes_after_two_depths() {
    let mut world = World::new(4, 1);
    for request in 1..=10 {
        world.request_all(request);
        world.expect_executed(request, &[0, 1, 2, 3], 1_000);
    }
    world.lose(3);
    world.request_all(11);
    world.expect_executed(11, &[0, 1, 2], 1_000);
    world.restart(3);
    world.expect_executed(11, &[3], 2_000);
    assert_eq!(world.tally.syncs, 1, "the log does not reach back so far");
    assert_eq!(world.agreement(3).silent_until(), Some(Height(11 + 32)));
    // It is silent: without it there is no quorum once another is down, and it does not help to change the view.
    world.crash(2);
    world.request_all(12);
    world.run_for(3_000);
    assert!(!world.is_executed(12, &[0]));
    assert_eq!(world.agreement(3).view(), View(0), "it does not say what it has prepared, which it does not know");
    world.restart(2);
    world.expect_executed(12, &[0, 1, 2, 3], 20_000);
    // A crash does not make it forget that it has forgotten.
    world.crash(3);
    world.restart(3);
    assert_eq!(world.agreement(3).silent_until(), Some(Height(11 + 32)));
    for request in 13..=43 {
        world.request_all(request);
        world.expect_executed(request, &[0, 1, 2, 3], 5_000);
    }
    assert_eq!(world.agreement(3).silent_until(), None);
    world.crash(2);
    world.request_all(100);
    world.expect_executed(100, &[0, 1, 3], 5_000);
    assert_eq!(world.forks, vec![]);
}

/// Without its silence the replica helps a second block to a quorum at a height that another has decided.
#[test]
fn a_primary_that_lost_its_disk_does_not_propose_again_what_it_has_proposed() {
    let mut world = World::new(4, 1);
    // Replica 1 alone decides height 1, and is away when the primary comes back with nothing.
    world.filter = Some(|_, to, message| message_is_commit(message) && to != 1);
    world.request_all(1);
    world.expect_executed(1, &[1], 400);
    world.cut_off(1);
    world.lose(0);
    world.restart(0);
    world.cut_off(1);
    world.request_all(2);
    world.run_for(2_000);
    assert!(!world.is_executed(2, &[2]), "two of four cannot go on");
    world.filter = None;
    world.cut.clear();
    world.expect_executed(2, &[0, 1, 2, 3], 20_000);
    assert!(world.view() >= View(1));
    assert_eq!(world.forks, vec![]);
}

const fn message_is_commit(message: &crate::pbft::Message<crate::pbft::testing::Toy>) -> bool {
    matches!(message, crate::pbft::Message::Commit(_) | crate::pbft::Message::Decided { .. })
}
