//! Primaries that are silent, slow, selective, equivocating, censoring or wrong are replaced, and honest ones are not.

use core::time::Duration;
use std::vec;
use std::vec::Vec;

use synod_ledger::Height;
use synod_machine::Time;

use crate::adversary::Behaviour;
use crate::pbft::testing::{World, settings};
use crate::pbft::{Message, View};

fn led_by(count: usize, primary: Behaviour) -> World {
    let nodes = (0..count).map(|validator| (validator, if validator == 0 { primary } else { Behaviour::Honest }));
    World::of(count, nodes.collect(), settings(), 1)
}

#[test]
fn a_silent_primary_is_replaced() {
    for count in [4, 5, 8, 13] {
        let mut world = led_by(count, Behaviour::Silent);
        let honest = world.honest();
        world.request_all(1);
        world.expect_executed(1, &honest, 700);
        assert_eq!(world.view(), View(1), "n = {count}");
    }
}

#[test]
fn a_primary_that_is_slower_than_the_time_out_is_replaced_and_one_that_is_faster_is_not() {
    for (delay, view) in [(400, 0), (600, 1)] {
        let mut world = led_by(4, Behaviour::Slow(Duration::from_millis(delay)));
        world.request_all(1);
        world.expect_executed(1, &[1, 2, 3], 1_000);
        assert_eq!(world.view(), View(view), "after {delay} ms");
    }
}

#[test]
fn an_equivocating_primary_is_replaced_where_neither_story_reaches_a_quorum() {
    // Of four, it can have one story told to two others, which is a quorum, and the third learns what was decided. Of seven,
    // three hear each story.
    for (count, view) in [(4, 0), (7, 1)] {
        let mut world = led_by(count, Behaviour::EquivocatingPrimary);
        let honest = world.honest();
        world.request_all(1);
        world.expect_executed(1, &honest, 2_000);
        world.run_for(2_000);
        assert_eq!(world.forks, vec![]);
        assert_eq!(world.view(), View(view), "n = {count}");
        assert!(world.evidence.iter().all(|evidence| evidence.by().0 == 0));
    }
}

#[test]
fn a_selective_primary_cannot_keep_a_replica_from_what_is_decided() {
    let mut world = led_by(7, Behaviour::Selective);
    for request in 1..=5 {
        world.request_all(request);
    }
    world.expect_executed(5, &[1, 2, 3, 4, 5, 6], 5_000);
    assert_eq!(world.forks, vec![]);
}

/// The known fault of a shortcut by which a bad leader blocks a client: whatever else is done, the time runs until the
/// request that waits longest is executed. Catches a change of `Agreement::settle` in `watch.rs` that starts the time
/// anew when something is decided (`awaited != self.watching.awaited || has_progress`).
#[test]
fn a_primary_cannot_starve_a_request_by_serving_all_others() {
    let mut world = led_by(4, Behaviour::Honest);
    world.nodes[0].owner.censored.insert(1);
    world.request_all(1);
    for request in 2..60 {
        world.request_all(request);
        world.run_for(20);
    }
    assert!(world.is_executed(1, &[0, 1, 2, 3]), "{}", world.describe());
    assert_eq!(world.view(), View(1));
    world.expect_executed(59, &[0, 1, 2, 3], 1_000);
}

#[test]
fn a_primary_that_proposes_what_is_invalid_is_replaced_before_its_time_is_over() {
    // It is not called honest, so that others may blame it.
    let mut world = led_by(4, Behaviour::Slow(Duration::ZERO));
    world.nodes[0].owner.spoils = true;
    world.request_all(1);
    world.expect_executed(1, &[1, 2, 3], 200);
    assert_eq!(world.view(), View(1));
}

/// A world that has moved through five views without a decision, since orders and new views were lost and all replicas moved on
/// together, and when it came to each of them, in milliseconds from the first request.
fn pressed() -> (World, Vec<u128>) {
    let mut world = World::new(4, 1);
    world.filter = Some(|_, _, message| matches!(message, Message::NewView(_) | Message::PrePrepare { .. }));
    world.request_all(1);
    let begin = world.now;
    let mut moved = Vec::new();
    for view in 1..=5 {
        let is_there = |world: &World| (0..4).all(|node| world.agreement(node).view() >= View(view));
        assert!(world.run_until(Time::MAX, is_there), "view {view}:\n{}", world.describe());
        moved.push(world.now.since(begin).as_millis());
    }
    world.filter = None;
    world.expect_executed(1, &[0, 1, 2, 3], 40_000);
    (world, moved)
}

#[test]
fn the_time_doubles_with_each_view_that_brings_nothing() {
    let (_, moved) = pressed();
    // Half a second, then one, two, four, eight, each from when a quorum had moved, which a delay of a message later all know.
    let between: Vec<u128> = moved.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(moved[0], 500);
    for (waited, expected) in between.iter().zip([1_000, 2_000, 4_000, 8_000]) {
        assert!((expected..expected + 30).contains(waited), "{between:?}");
    }
}

/// Two doublings are left, of five, when something got done, and none after sixteen requests in one view.
#[test]
fn the_time_is_as_before_after_enough_progress() {
    for (served, expected) in [(1, 2_000..2_200), (16, 500..700)] {
        let (mut world, _) = pressed();
        for request in 2..=served {
            world.request_all(request);
            world.expect_executed(request, &[0, 1, 2, 3], 200);
        }
        let view = world.view();
        let primary = (view.0 % 4) as usize;
        world.crash(primary);
        let (others, begin): (Vec<usize>, Time) = ((0..4).filter(|node| *node != primary).collect(), world.now);
        world.request_all(100);
        world.expect_executed(100, &others, 3_000);
        let took = world.now.since(begin).as_millis();
        assert!(expected.contains(&took), "after {served}: {took} ms");
        assert_eq!(world.view(), view.next());
    }
}

#[test]
fn a_network_that_is_slower_than_the_first_time_out_does_not_change_its_view_at_every_decision() {
    let mut world = World::new(4, 1);
    // Three delays to a decision: up to 750 ms, and the first time-out is 500.
    (world.net.delay_ms_min, world.net.delay_ms_max) = (200, 250);
    for request in 1..=64 {
        world.request_all(request);
        world.expect_executed(request, &[0, 1, 2, 3], 20_000);
    }
    // A view, and two more for each sixteen requests.
    assert!(world.view() <= View(3 + 2 * 64 / 16), "{:?}", world.view());
}

#[test]
fn nothing_is_sent_and_no_timer_is_pending_when_nothing_waits() {
    let mut world = led_by(4, Behaviour::Silent);
    world.request_all(1);
    world.expect_executed(1, &[1, 2, 3], 2_000);
    world.run_for(5_000);
    let kinds = ["status", "hello", "pre_prepare", "prepare", "commit", "view_change", "decided", "new_view"];
    let before = kinds.map(|kind| world.sent(kind));
    world.run_for(100_000);
    assert_eq!(kinds.map(|kind| world.sent(kind)), before);
    for node in [1, 2, 3] {
        assert_eq!(world.deadline(node), None, "{}", world.describe());
    }
    assert_eq!(world.agreement(1).decided().height, Height(1));
}
