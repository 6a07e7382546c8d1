//! Cuts, omissions, pauses and bad clocks.

use super::*;

/// Both toys send each other a note every 10 ms from now on, five times.
fn chat(world: &mut World<Bench>) {
    for number in 1..=5 {
        tell(world, 0, &[Act::Send(1, note(number))]);
        tell(world, 1, &[Act::Send(0, note(number))]);
        pass(world, 10 * MILLI);
    }
    pass(world, SECOND);
}

#[test]
fn a_silent_cut_takes_messages_in_its_direction_and_nobody_is_told() {
    for (direction, heard_by_0, heard_by_1) in [(Direction::Both, 0, 0), (Direction::In, 0, 5), (Direction::Out, 5, 0)]
    {
        let mut world = pair();
        let cut = world.net_mut().cut(&[PeerId(0)], direction, None);
        chat(&mut world);
        assert_eq!(notes_of(&world, 0).len(), heard_by_0, "{direction:?}");
        assert_eq!(notes_of(&world, 1).len(), heard_by_1, "{direction:?}");
        assert_eq!(world.net().tally().lost, 10 - (heard_by_0 + heard_by_1) as u64);

        world.net_mut().heal(cut);
        chat(&mut world);
        assert_eq!(notes_of(&world, 0).len(), heard_by_0 + 5, "{direction:?}");
        assert_eq!(notes_of(&world, 1).len(), heard_by_1 + 5, "{direction:?}");
        let told = world.experiment().seen.iter().filter(|(_, _, seen)| matches!(seen, Seen::Down(_))).count();
        assert_eq!(told, 0);
    }
}

#[test]
fn a_cut_takes_what_is_under_way() {
    let mut world = pair();
    tell(&mut world, 0, &[Act::Send(1, note(1))]);
    pass(&mut world, 10 * MILLI);
    world.net_mut().cut(&[PeerId(1)], Direction::In, None);
    pass(&mut world, SECOND);
    assert_eq!(seen_by(&world, 1), []);
    assert_eq!(world.net().tally().lost, 1);
}

#[test]
fn a_loud_cut_is_told_after_its_notice_and_its_healing_too() {
    for direction in [Direction::Both, Direction::In, Direction::Out] {
        let mut world = pair();
        let cut = world.net_mut().cut(&[PeerId(0)], direction, Some(200 * MILLI));
        tell(&mut world, 0, &[Act::Send(1, note(1))]);
        tell(&mut world, 1, &[Act::Send(0, note(1))]);
        pass(&mut world, SECOND);
        assert_eq!(seen_by(&world, 0), [(200, Seen::Down(1))], "{direction:?}");
        assert_eq!(seen_by(&world, 1), [(200, Seen::Down(0))], "{direction:?}");
        world.net_mut().heal(cut);
        pass(&mut world, SECOND);
        assert_eq!(seen_by(&world, 0)[1..], [(1_050, Seen::Up(1))]);
        assert_eq!(seen_by(&world, 1)[1..], [(1_050, Seen::Up(0))]);
    }
}

#[test]
fn a_cut_leaves_each_side_whole_and_the_last_of_two_to_heal_opens_links_again() {
    let mut world = world(setup(1, complete(4), "delay = '50 ms'"));
    let first = world.net_mut().cut(&[PeerId(0), PeerId(1)], Direction::Both, Some(MILLI));
    let second = world.net_mut().cut(&[PeerId(0)], Direction::Both, Some(MILLI));
    pass(&mut world, SECOND);
    assert_eq!(seen_by(&world, 2), [(1, Seen::Down(0)), (1, Seen::Down(1))]);
    tell(&mut world, 2, &[Act::Send(3, note(1))]);
    world.net_mut().heal(first);
    pass(&mut world, SECOND);
    assert_eq!(seen_by(&world, 3)[2..], [(1_050, Seen::Up(1)), (1_050, Seen::Note(2, 1))]);
    world.net_mut().heal(second);
    pass(&mut world, SECOND);
    assert_eq!(seen_by(&world, 3)[4..], [(2_050, Seen::Up(0))]);
}

#[test]
fn a_cut_that_was_healed_is_not_healed_again_in_place_of_a_later_one() {
    let mut world = pair();
    let first = world.net_mut().cut(&[PeerId(0)], Direction::Both, None);
    world.net_mut().heal(first);
    let second = world.net_mut().cut(&[PeerId(0)], Direction::Both, None);
    world.net_mut().heal(first);
    chat(&mut world);
    assert!(notes_of(&world, 0).is_empty());
    assert_ne!(first, second);
    world.net_mut().heal_all();
    chat(&mut world);
    assert_eq!(notes_of(&world, 0), [1, 2, 3, 4, 5]);
}

#[test]
fn a_peer_that_starts_behind_a_loud_cut_is_connected_when_it_heals() {
    let mut world = pair();
    world.net_mut().crash(PeerId(0), Tail::Kept);
    let cut = world.net_mut().cut(&[PeerId(0)], Direction::Both, Some(MILLI));
    let now = world.net().now();
    world.net_mut().start(now, PeerId(0));
    pass(&mut world, SECOND);
    assert_eq!(seen_by(&world, 0), [(0, Seen::Restored(vec![]))]);
    world.net_mut().heal(cut);
    pass(&mut world, SECOND);
    assert_eq!(seen_by(&world, 0)[1..], [(1_050, Seen::Up(1))]);
}

#[test]
fn a_peer_omits_the_share_that_it_was_told_to() {
    let mut world = world(setup(5, complete(3), "delay = '50 ms'"));
    world.net_mut().omit(PeerId(0), 0.5, 0.0);
    world.net_mut().omit(PeerId(1), 0.0, 0.5);
    for number in 0..1_000 {
        tell(&mut world, 0, &[Act::Send(1, note(number)), Act::Send(2, note(number))]);
        tell(&mut world, 2, &[Act::Send(0, note(number))]);
        pass(&mut world, MILLI);
    }
    pass(&mut world, SECOND);
    // Five standard deviations of 16 and of 14.
    let (both, sent, none) = (notes_of(&world, 1).len(), notes_of(&world, 2).len(), notes_of(&world, 0).len());
    assert!((180..=320).contains(&both), "{both}");
    assert!((420..=580).contains(&sent), "{sent}");
    assert_eq!(none, 1_000);
    world.net_mut().omit(PeerId(0), 0.0, 0.0);
    world.net_mut().omit(PeerId(1), 0.0, 0.0);
    chat(&mut world);
    assert_eq!(notes_of(&world, 1).len(), both + 5);
}

#[test]
fn a_paused_peer_takes_what_came_meanwhile_in_order_when_it_goes_on() {
    let mut world = world(setup(1, complete(3), "delay = '50 ms'"));
    tell(&mut world, 0, &[Act::Set(1, 100 * MILLI), Act::Set(2, 2 * SECOND)]);
    pass(&mut world, MILLI);
    world.net_mut().pause(PeerId(0));
    tell(&mut world, 1, &[Act::Send(0, note(1))]);
    tell(&mut world, 0, &[Act::Say(1)]);
    pass(&mut world, 100 * MILLI);
    world.net_mut().crash(PeerId(2), Tail::Kept);
    tell(&mut world, 1, &[Act::Send(0, note(2))]);
    pass(&mut world, SECOND);
    assert!(world.net().is_up(PeerId(0)), "a paused peer is up");
    assert_eq!(seen_by(&world, 0), []);

    world.net_mut().resume(PeerId(0));
    pass(&mut world, 2 * SECOND);
    let rang = |timer, after| (after, Seen::Rang(timer, BEGUN + Duration::from_millis(after)));
    let expected = [Seen::Said(1), Seen::Note(1, 1), Seen::Down(2), Seen::Note(1, 2)].map(|seen| (1_101, seen));
    assert_eq!(seen_by(&world, 0)[..4], expected);
    assert_eq!(seen_by(&world, 0)[4..], [rang(1, 1_101), rang(2, 2_000)]);
    let received = world.net().passed(PeerId(0)).received;
    assert_eq!((received.messages, received.bytes), (2, 200), "what waited counts as any other message");
}

#[test]
fn a_paused_peer_releases_nothing_that_a_sync_covers() {
    let mut world = world(Setup { disk_sync: 5 * MILLI, ..setup(1, complete(2), "delay = '50 ms'") });
    tell(&mut world, 0, &[Act::Keep(1, 8), Act::Say(1), Act::Send(1, note(1))]);
    pass(&mut world, MILLI);
    tell(&mut world, 0, &[Act::Say(2)]);
    pass(&mut world, MILLI);
    world.net_mut().pause(PeerId(0));
    tell(&mut world, 0, &[Act::Say(3)]);
    pass(&mut world, 98 * MILLI);
    assert_eq!(seen_by(&world, 0), []);
    world.net_mut().resume(PeerId(0));
    pass(&mut world, SECOND);
    assert_eq!(seen_by(&world, 0), [1, 2, 3].map(|said| (100, Seen::Said(said))));
    assert_eq!(seen_by(&world, 1), [(150, Seen::Note(0, 1))]);
}

#[test]
fn a_peer_that_is_paused_over_a_timer_does_not_take_the_next_one() {
    let mut world = pair();
    world.parts_mut().0.pause_over = Some(1);
    tell(&mut world, 0, &[Act::Set(1, 10 * MILLI), Act::Set(2, 10 * MILLI)]);
    pass(&mut world, 100 * MILLI);
    assert_eq!(seen_by(&world, 0), [(10, Seen::Rang(1, BEGUN + 10 * MILLI))]);
    world.net_mut().resume(PeerId(0));
    pass(&mut world, SECOND);
    assert_eq!(seen_by(&world, 0)[1..], [(100, Seen::Rang(2, BEGUN + 100 * MILLI))]);
}

#[test]
fn a_pause_after_a_resumption_in_the_same_instant_holds() {
    let mut world = pair();
    world.net_mut().pause(PeerId(0));
    world.net_mut().resume(PeerId(0));
    world.net_mut().pause(PeerId(0));
    tell(&mut world, 0, &[Act::Say(1)]);
    pass(&mut world, SECOND);
    assert_eq!(seen_by(&world, 0), []);
    world.net_mut().resume(PeerId(0));
    pass(&mut world, SECOND);
    assert_eq!(seen_by(&world, 0), [(1_000, Seen::Said(1))]);
}

#[test]
fn a_crash_ends_a_pause_and_what_waited_in_it() {
    let mut world = pair();
    world.net_mut().pause(PeerId(0));
    tell(&mut world, 0, &[Act::Say(1)]);
    tell(&mut world, 1, &[Act::Send(0, note(1))]);
    pass(&mut world, 100 * MILLI);
    world.net_mut().crash(PeerId(0), Tail::Kept);
    world.net_mut().resume(PeerId(0));
    let now = world.net().now();
    world.net_mut().start(now, PeerId(0));
    pass(&mut world, 100 * MILLI);
    tell(&mut world, 0, &[Act::Say(2)]);
    pass(&mut world, SECOND);
    let expected = [(100, Seen::Restored(vec![])), (150, Seen::Up(1)), (200, Seen::Said(2))];
    assert_eq!(seen_by(&world, 0), expected);
}

#[test]
fn a_fast_clock_rings_early_and_a_slow_one_late() {
    for (drift_ppm, after) in [(1_000_000, 500), (0, 1_000), (-500_000, 2_000)] {
        let mut world = pair();
        world.net_mut().adjust_clock(PeerId(0), 0, drift_ppm);
        tell(&mut world, 0, &[Act::Set(1, SECOND)]);
        pass(&mut world, 5 * SECOND);
        let seen = seen_by(&world, 0);
        assert_eq!(seen.len(), 1);
        // Rounded up by a nanosecond at most, which a fast clock makes two.
        assert!(
            matches!(seen[0], (at, Seen::Rang(1, shown)) if at == after && shown.0 - 2_000_000_000 <= 2),
            "{seen:?}"
        );
    }
}

#[test]
fn a_timer_that_is_pending_follows_its_clock() {
    let mut world = pair();
    tell(&mut world, 0, &[Act::Set(1, SECOND), Act::Set(2, 2 * SECOND)]);
    pass(&mut world, 100 * MILLI);
    // Its clock shows 1.6 s now.
    world.net_mut().adjust_clock(PeerId(0), 500_000_000, 0);
    assert_eq!(world.net().clock(PeerId(0)), Time::from_millis(1_600));
    pass(&mut world, 900 * MILLI);
    assert_eq!(seen_by(&world, 0), [(500, Seen::Rang(1, Time(2_000_000_001)))]);
    world.net_mut().set_clock_true(PeerId(0));
    pass(&mut world, 2 * SECOND);
    assert_eq!(seen_by(&world, 0)[1..], [(2_000, Seen::Rang(2, Time::from_secs(3)))]);
}

#[test]
fn a_clock_that_is_put_back_stands_still_for_its_peer() {
    let mut world = pair();
    tell(&mut world, 0, &[Act::Set(1, 3 * SECOND)]);
    pass(&mut world, SECOND);
    // A step at 2 s, and then the clock shows 1.5 s.
    tell(&mut world, 0, &[Act::Say(1)]);
    pass(&mut world, MILLI);
    world.net_mut().adjust_clock(PeerId(0), -501_000_000, 0);
    tell(&mut world, 0, &[Act::Set(2, 100 * MILLI)]);
    pass(&mut world, 9 * SECOND);
    let seen = seen_by(&world, 0);
    assert_eq!(seen[0], (1_000, Seen::Said(1)));
    // Set at 2 s of standstill for 2.1 s, which its clock shows 501 ms later than the true time does.
    assert_eq!(seen[1], (1_601, Seen::Rang(2, Time(2_100_000_001))));
    assert_eq!(seen[2], (3_501, Seen::Rang(1, Time(4_000_000_001))));
}
