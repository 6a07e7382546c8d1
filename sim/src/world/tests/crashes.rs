//! Crashes, what the disk keeps, and what was meant for an earlier life.

use super::*;

/// A toy that is alone, whose disk takes 5 ms to sync.
fn alone(crash_over: Option<(u32, Tail)>) -> World<Bench> {
    let mut world = world(Setup { disk_sync: 5 * MILLI, ..setup(1, complete(2), "delay = '50 ms'") });
    world.parts_mut().0.crash_over = crash_over;
    world
}

fn restart(world: &mut World<Bench>, peer: u32) {
    let now = world.net().now();
    world.net_mut().start(now, PeerId(peer));
    pass(world, SECOND);
}

/// What a peer's disk gave it at its last start.
fn restored(world: &World<Bench>, peer: u32) -> Vec<u32> {
    let last = world.experiment().seen.iter().rev().find_map(|(_, by, seen)| match seen {
        Seen::Restored(values) if *by == peer => Some(values.clone()),
        Seen::Down(_) | Seen::Note(..) | Seen::Rang(..) | Seen::Restored(_) | Seen::Said(_) | Seen::Up(_) => None,
    });
    last.expect("it was started")
}

#[test]
fn a_crash_drops_what_is_under_way_and_others_hear_of_it() {
    let mut world = pair();
    tell(&mut world, 0, &[Act::Send(1, note(1))]);
    tell(&mut world, 1, &[Act::Send(0, note(2)), Act::Set(1, 20 * MILLI)]);
    pass(&mut world, 10 * MILLI);
    world.net_mut().crash(PeerId(1), Tail::Kept);
    assert!(!world.net().is_up(PeerId(1)));
    pass(&mut world, SECOND);
    assert_eq!(seen_by(&world, 0), [(60, Seen::Down(1))]);
    assert_eq!(seen_by(&world, 1), []);
    assert_eq!(world.net().tally().lost, 2);
    assert_eq!(world.net().tally().crashes, 1);

    restart(&mut world, 1);
    assert_eq!(seen_by(&world, 0)[1..], [(1_060, Seen::Up(1))]);
    assert_eq!(seen_by(&world, 1), [(1_010, Seen::Restored(vec![])), (1_060, Seen::Up(0))]);
}

#[test]
fn a_crash_and_a_restart_in_no_time_are_heard_as_down_and_up() {
    let mut world = pair();
    world.net_mut().crash(PeerId(1), Tail::Kept);
    restart(&mut world, 1);
    assert_eq!(seen_by(&world, 0), [(50, Seen::Down(1)), (50, Seen::Up(1))]);
    assert_eq!(seen_by(&world, 1), [(0, Seen::Restored(vec![])), (50, Seen::Up(0))]);
}

#[test]
fn what_was_meant_for_an_earlier_life_is_dropped() {
    let mut world = pair();
    tell(&mut world, 1, &[Act::Set(1, 20 * MILLI)]);
    tell(&mut world, 0, &[Act::Send(1, note(1))]);
    pass(&mut world, MILLI);
    let soon = world.net().now() + 30 * MILLI;
    world.net_mut().command(soon, PeerId(1), vec![Act::Say(1)]);
    world.net_mut().crash(PeerId(1), Tail::Kept);
    restart(&mut world, 1);
    assert_eq!(seen_by(&world, 1), [(1, Seen::Restored(vec![])), (51, Seen::Up(0))]);
}

#[test]
fn an_uplink_is_free_after_a_crash() {
    let mut world = world(setup(1, complete(2), "delay = '50 ms'\nupload = '8 Mbit/s'\ndownload = '8 Mbit/s'"));
    tell(&mut world, 0, &[Act::Send(1, Note { number: 1, hops: 0, size: 60_000_000 })]);
    tell(&mut world, 1, &[Act::Send(0, Note { number: 2, hops: 0, size: 1_000_000 })]);
    pass(&mut world, 1_100 * MILLI);
    world.net_mut().crash(PeerId(0), Tail::Kept);
    restart(&mut world, 0);
    tell(&mut world, 0, &[Act::Send(1, Note { number: 3, hops: 0, size: 1_000 })]);
    tell(&mut world, 1, &[Act::Send(0, Note { number: 4, hops: 0, size: 1_000 })]);
    pass(&mut world, SECOND);
    assert_eq!(notes_of(&world, 1), [3], "the first went with the life that sent it");
    assert_eq!(notes_of(&world, 0), [4]);
    let heard = (2_152, Seen::Note(0, 3));
    assert_eq!(seen_by(&world, 1).last(), Some(&heard), "1 ms to leave, 50 on the way, 1 to come in");
}

#[test]
fn effects_wait_for_the_sync_of_what_precedes_them() {
    let mut world = alone(None);
    tell(&mut world, 0, &[Act::Say(1), Act::Send(1, note(1))]);
    tell(&mut world, 0, &[Act::Keep(1, 8), Act::Say(2), Act::Send(1, note(2))]);
    tell(&mut world, 0, &[Act::Say(3)]);
    pass(&mut world, MILLI);
    // A sync is under way: this waits for it and then for the next one.
    tell(&mut world, 0, &[Act::Keep(1, 9), Act::Say(4)]);
    pass(&mut world, SECOND);
    let said = [(0, Seen::Said(1)), (5, Seen::Said(2)), (10, Seen::Said(3)), (10, Seen::Said(4))];
    assert_eq!(seen_by(&world, 0), said);
    assert_eq!(seen_by(&world, 1), [(50, Seen::Note(0, 1)), (55, Seen::Note(0, 2))]);
}

#[test]
fn nothing_after_an_unsynced_write_leaves_a_peer_that_crashes() {
    for (tail, expected) in [(Tail::Kept, vec![8]), (Tail::Lost, vec![])] {
        let mut world = alone(None);
        tell(&mut world, 0, &[Act::Keep(1, 8), Act::Say(1), Act::Send(1, note(1))]);
        pass(&mut world, MILLI);
        world.net_mut().crash(PeerId(0), tail);
        pass(&mut world, SECOND);
        assert_eq!(seen_by(&world, 0), []);
        assert_eq!(seen_by(&world, 1), [(51, Seen::Down(0))]);
        restart(&mut world, 0);
        assert_eq!(restored(&world, 0), expected, "{tail:?}");
    }
}

#[test]
fn a_crash_over_an_effect_ends_those_after_it_and_not_the_sync_before_it() {
    // One sync covers both steps; the peer crashes when the first of what it covers is told.
    for tail in [Tail::Kept, Tail::Lost] {
        let mut world = alone(Some((1, tail)));
        tell(&mut world, 0, &[Act::Keep(9, 1)]);
        pass(&mut world, MILLI);
        tell(&mut world, 0, &[Act::Keep(1, 7), Act::Say(1), Act::Keep(2, 8), Act::Say(2), Act::Send(1, note(1))]);
        tell(&mut world, 0, &[Act::Keep(3, 9), Act::Send(1, note(2))]);
        pass(&mut world, SECOND);
        assert_eq!(seen_by(&world, 0), [(10, Seen::Said(1))]);
        assert!(notes_of(&world, 1).is_empty());
        restart(&mut world, 0);
        assert_eq!(restored(&world, 0), [7, 8, 9, 1], "all of it had been synced: {tail:?}");
    }
}

#[test]
fn a_crash_over_an_effect_takes_the_writes_of_a_sync_that_is_not_over() {
    for (tail, expected) in [(Tail::Kept, vec![7, 8]), (Tail::Lost, vec![7])] {
        let mut world = alone(Some((1, tail)));
        tell(&mut world, 0, &[Act::Keep(1, 7), Act::Say(1)]);
        pass(&mut world, MILLI);
        tell(&mut world, 0, &[Act::Keep(2, 8), Act::Say(2)]);
        pass(&mut world, SECOND);
        assert_eq!(seen_by(&world, 0), [(5, Seen::Said(1))]);
        restart(&mut world, 0);
        assert_eq!(restored(&world, 0), expected, "{tail:?}");
    }
}

#[test]
fn without_a_sync_a_crash_over_an_effect_keeps_what_was_written_before_it() {
    for tail in [Tail::Kept, Tail::Lost] {
        let mut world = pair();
        world.parts_mut().0.crash_over = Some((1, tail));
        tell(&mut world, 0, &[Act::Keep(1, 7), Act::Say(1), Act::Keep(2, 8), Act::Send(1, note(1))]);
        pass(&mut world, SECOND);
        assert_eq!(seen_by(&world, 1), [(50, Seen::Down(0))]);
        restart(&mut world, 0);
        assert_eq!(restored(&world, 0), [7]);
    }
}

#[test]
fn an_emptied_disk_gives_a_new_peer() {
    let mut world = pair();
    tell(&mut world, 0, &[Act::Keep(1, 7)]);
    pass(&mut world, MILLI);
    world.net_mut().crash(PeerId(0), Tail::Kept);
    world.net_mut().wipe(PeerId(0));
    restart(&mut world, 0);
    assert!(restored(&world, 0).is_empty());
}
