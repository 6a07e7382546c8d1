//! The normal case: counts, order, pipeline, batches.

use std::vec;
use std::vec::Vec;

use synod_ledger::Height;

use crate::adversary::Behaviour;
use crate::pbft::testing::{World, settings};

#[test]
fn without_faults_a_height_costs_the_papers_messages() {
    for (count, pre_prepare, prepare, commit, between) in
        [(4, 3, 9, 12, 24), (7, 6, 36, 42, 84), (10, 9, 81, 90, 180), (31, 30, 900, 930, 1_860)]
    {
        let mut world = World::new(count, 1);
        let everybody: Vec<usize> = (0..count).collect();
        for request in 1..=3 {
            world.request_all(request);
            world.expect_executed(request, &everybody, 1_000);
            world.run_for(100);
            let heights = u64::from(request);
            let sent = [world.sent("pre_prepare"), world.sent("prepare"), world.sent("commit")];
            assert_eq!(sent, [heights * pre_prepare, heights * prepare, heights * commit], "n = {count}");
            assert_eq!(sent.iter().sum::<u64>(), heights * between, "n = {count}");
        }
        let others = ["checkpoint", "decided", "fetch", "new_view", "proposal", "view_change"];
        assert_eq!(others.map(|kind| world.sent(kind)), [0; 6], "n = {count}");
        assert_eq!(world.agreement(0).decided().height, Height(3));
        assert!(everybody.iter().all(|node| world.deadline(*node).is_none()), "nothing waits, no timer is pending");
        assert_eq!(world.evidence, vec![]);
    }
}

#[test]
fn requests_that_come_together_share_proposals_and_proposals_run_beside_each_other() {
    let mut world = World::new(4, 1);
    for request in 1..=30 {
        world.request_all(request);
    }
    world.expect_executed(30, &[0, 1, 2, 3], 1_000);
    // The first request finds nothing in flight; the others go by threes.
    assert_eq!(world.agreement(0).decided().height, Height(11));
    assert_eq!(world.sent("pre_prepare"), 11 * 3);
    // One after the other, eleven heights of three delays of ten milliseconds would take 330.
    assert!(world.now.as_millis() < 100 + 250, "{}", world.now);
}

#[test]
fn executed_proposals_and_votes_do_not_stay_in_the_log_though_its_window_is_wide() {
    let mut wide = settings();
    (wide.checkpoint_interval, wide.window) = (100, 200);
    let nodes = (0..4).map(|validator| (validator, Behaviour::Honest)).collect();
    let mut world = World::of(4, nodes, wide, 1);
    for request in 1..=99 {
        world.request_all(request);
        world.expect_executed(request, &[0, 1, 2, 3], 1_000);
    }
    world.run_for(100);
    let log = world.agreement(1);
    assert_eq!((log.stable(), log.decided().height), (Height(0), Height(99)));
    assert_eq!(log.log_size(), (99, 0), "slots without votes");
    let is_there = |height: &u64| {
        let (id, _) = log.decision(Height(*height)).expect("the certificate stays until the checkpoint");
        log.proposal(Height(*height), &id).is_some()
    };
    assert_eq!((1..=99).filter(is_there).collect::<Vec<u64>>(), (68..=99).collect::<Vec<u64>>());
    // A replica that comes back after more than that gets the blocks from owners.
    world.cut_off(3);
    (100..=140).for_each(|request| {
        world.request_all(request);
        world.expect_executed(request, &[0, 1, 2], 1_000);
    });
    world.cut.clear();
    world.expect_executed(140, &[3], 5_000);
    assert_eq!(world.tally.syncs, 1);
}
