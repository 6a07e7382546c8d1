//! Records of small worlds: what is on them, their clocks, and how other programs read them.

mod clocks;
mod exports;

use std::time::Duration;

use synod_machine::{PeerId, Time};

use super::*;
use crate::testing::{Act, Bench, Note, begin, complete, note, pass, setup, tell};
use crate::{Direction, Setup, Tail, World};

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// A world with a record from its beginning.
fn recorded(setup: Setup, filter: Filter) -> World<Bench> {
    let mut world = World::new(setup, Bench::default());
    world.record(filter);
    begin(&mut world);
    world
}

/// Two toys, 50 ms apart, all of what happens to whom is on record.
fn pair() -> World<Bench> {
    recorded(setup(1, complete(2), "delay = '50 ms'"), Filter::default())
}

fn record(world: &World<Bench>) -> &Recorder {
    world.recorder().expect("it is recorded")
}

/// What is on record since the world had begun, with numbers of steps from the first one there.
fn shown(world: &World<Bench>) -> Vec<String> {
    let names = |peer: PeerId| format!("{peer:?}");
    let since = record(world).happenings().iter().filter(|happening| happening.at >= Time::from_secs(1));
    let first = since.clone().next().map_or(0, |happening| happening.step);
    let show = |happening: &Happening| {
        let cause = happening.cause.map(|cause| format!(" after {}", cause as i64 - first as i64)).unwrap_or_default();
        let (step, at, title) = (happening.step - first, happening.at.as_millis() - 1_000, happening.title(names));
        format!("{step} {at} ms {:?} {title}{cause}", happening.peer)
    };
    since.map(show).collect()
}

#[test]
fn a_record_has_every_step_every_message_sent_and_what_each_followed_from() {
    let mut world = pair();
    tell(&mut world, 0, &[Act::Send(1, Note { number: 1, hops: 1, size: 10 }), Act::Set(7, 200 * MILLI)]);
    pass(&mut world, 300 * MILLI);
    world.net_mut().crash(PeerId(1), Tail::Kept);
    let now = world.net().now();
    world.net_mut().start(now, PeerId(1));
    pass(&mut world, SECOND);
    let expected = [
        "0 0 ms p0 command command",
        "1 0 ms p0 send ping to 1 after 0",
        "2 50 ms p1 receive ping from p0 after 1",
        "3 50 ms p1 send note to 1 after 2",
        "4 100 ms p0 receive note from p1 after 3",
        "5 200 ms p0 timer 7",
        "6 300 ms p1 crash",
        "7 300 ms p1 start",
        "8 350 ms p1 p0 is up",
        "9 350 ms p0 p1 is down",
        "10 350 ms p0 p1 is up",
    ];
    assert_eq!(shown(&world), expected);
    let ping = &record(&world).happenings()[6];
    assert_eq!(ping.what, What::Message { from: PeerId(0), bytes: 10, sent: Some(Time::from_secs(1)) });
    assert_eq!(ping.text, "Note { number: 1, hops: 1, size: 10 }");
    assert_eq!(record(&world).happening(ping.step), Some(ping));
}

#[test]
fn a_lost_message_is_on_record_where_it_was_lost_and_why() {
    let mut world = pair();
    tell(&mut world, 0, &[Act::Send(9, note(1))]);
    pass(&mut world, 10 * MILLI);
    world.net_mut().omit(PeerId(0), 1.0, 0.0);
    tell(&mut world, 0, &[Act::Send(1, note(1))]);
    tell(&mut world, 1, &[Act::Send(0, note(1))]);
    pass(&mut world, 10 * MILLI);
    world.net_mut().cut(&[PeerId(0)], Direction::Both, None);
    tell(&mut world, 0, &[Act::Send(1, note(1))]);
    pass(&mut world, 100 * MILLI);
    world.net_mut().heal_all();
    world.net_mut().omit(PeerId(0), 0.0, 1.0);
    tell(&mut world, 1, &[Act::Send(0, note(1))]);
    pass(&mut world, 100 * MILLI);
    world.net_mut().omit(PeerId(0), 0.0, 0.0);
    tell(&mut world, 1, &[Act::Send(0, note(1))]);
    pass(&mut world, 10 * MILLI);
    world.net_mut().crash(PeerId(0), Tail::Kept);
    tell(&mut world, 1, &[Act::Send(0, note(1))]);
    pass(&mut world, SECOND);
    let lost: Vec<String> = shown(&world).into_iter().filter(|line| line.contains("lost")).collect();
    let expected = [
        "2 0 ms p0 lost note from p0 to p9: no such peer",
        "5 10 ms p0 lost note from p0 to p1: sender omits it",
        "10 20 ms p0 lost note from p0 to p1: a cut",
        "11 60 ms p0 lost note from p1 to p0: a cut",
        "14 170 ms p0 lost note from p1 to p0: receiver omits it",
        "20 230 ms p1 lost note from p1 to p0: no connection",
        "21 270 ms p0 lost note from p1 to p0: receiver is down",
    ];
    assert_eq!(lost, expected);
    assert_eq!(world.net().tally().lost, 7);
}

#[test]
fn a_record_is_narrowed_by_peer_kind_and_time_and_ends_when_it_is_full() {
    let run = |filter: Filter| {
        let mut world = recorded(setup(1, complete(3), "delay = '50 ms'"), filter);
        for peer in 0..3 {
            tell(&mut world, peer, &[Act::Send((peer + 1) % 3, Note { number: 1, hops: 3, size: 10 })]);
        }
        pass(&mut world, SECOND);
        world
    };
    let all = run(Filter::default());
    let all = record(&all).happenings();
    let narrow = |filter: Filter, passes: &dyn Fn(&Happening) -> bool| {
        let world = run(filter);
        let steps = |happenings: &mut dyn Iterator<Item = &Happening>| -> Vec<(u64, u64, Option<u64>)> {
            happenings.map(|happening| (happening.step, happening.lamport, happening.cause)).collect()
        };
        let expected = steps(&mut all.iter().filter(|happening| passes(happening)));
        assert!(expected.len() > 3, "something is left");
        assert_eq!(steps(&mut record(&world).happenings().iter()), expected);
    };
    let peers = Filter { peers: vec![PeerId(2), PeerId(0)], ..Filter::default() };
    narrow(peers, &|happening| happening.peer != PeerId(1));
    let kinds = Filter { kinds: vec!["ping".to_owned(), "up".to_owned()], ..Filter::default() };
    narrow(kinds, &|happening| ["ping", "up"].contains(&happening.name.as_str()));
    let (from, until) = (Time::from_millis(1_050), Time::from_millis(1_100));
    narrow(Filter { from, until, ..Filter::default() }, &|happening| (from..=until).contains(&happening.at));

    let full = run(Filter { happenings_max: 10, ..Filter::default() });
    assert_eq!(record(&full).happenings(), &all[..10]);
    assert_eq!(record(&full).dropped(), all.len() as u64 - 10);
}

#[test]
fn a_record_changes_nothing_and_keeps_nothing_of_what_is_over() {
    let run = |filter: Option<Filter>| {
        let links = "delay = '20 ms'\njitter = { kind = 'exponential', mean = '10 ms' }\nloss = 0.1\nduplicate = 0.1";
        let mut world = World::new(setup(3, complete(6), links), Bench::default());
        if let Some(filter) = filter {
            world.record(filter);
        }
        begin(&mut world);
        for peer in 0..6 {
            tell(&mut world, peer, &[Act::Broadcast((0..6).collect(), Note { number: 1, hops: 9, size: 10 })]);
        }
        pass(&mut world, SECOND);
        world
    };
    let world = run(Some(Filter::default()));
    assert_eq!(world.net().digest(), run(None).net().digest());
    assert!(world.net().tally().lost > 10, "{:?}", world.net().tally());
    assert_eq!(record(&world).under_way(), 0, "envelopes that are over are forgotten");
}

#[test]
fn a_message_that_waited_for_a_paused_peer_and_one_that_waited_for_a_disk_keep_their_causes() {
    let setup = Setup { disk_sync: 5 * MILLI, ..setup(1, complete(2), "delay = '50 ms'") };
    let mut world = recorded(setup, Filter::default());
    world.net_mut().pause(PeerId(1));
    tell(&mut world, 0, &[Act::Keep(1, 1), Act::Send(1, note(1))]);
    tell(&mut world, 0, &[Act::Say(1)]);
    pass(&mut world, 100 * MILLI);
    tell(&mut world, 0, &[Act::Send(1, note(2))]);
    pass(&mut world, 100 * MILLI);
    world.net_mut().resume(PeerId(1));
    pass(&mut world, SECOND);
    let expected = [
        "0 0 ms p0 command command",
        "1 0 ms p0 command command",
        "2 5 ms p0 send note to 1 after 0",
        "3 100 ms p0 command command",
        "4 100 ms p0 send note to 1 after 3",
        "5 200 ms p1 receive note from p0 after 2",
        "6 200 ms p1 receive note from p0 after 4",
    ];
    assert_eq!(shown(&world), expected);
}

#[test]
fn a_record_that_begins_late_does_not_know_where_the_first_messages_come_from() {
    let mut world = World::new(setup(1, complete(2), "delay = '50 ms'"), Bench::default());
    begin(&mut world);
    tell(&mut world, 0, &[Act::Send(1, note(1))]);
    pass(&mut world, 10 * MILLI);
    world.record(Filter::default());
    pass(&mut world, SECOND);
    assert_eq!(shown(&world), ["0 50 ms p1 receive note from p0"]);
    assert_eq!(record(&world).happenings()[0].what, What::Message { from: PeerId(0), bytes: 100, sent: None });
}

#[test]
fn a_difference_anywhere_shows() {
    let run = |steps: &[(u64, u32, &str)]| {
        let mut digest = Digest::new(7);
        for (at, peer, what) in steps {
            digest.step(Time(*at), *peer, word(what));
        }
        digest.value()
    };
    let first = run(&[(1, 1, "push"), (2, 2, "ihave")]);
    assert_eq!(first, run(&[(1, 1, "push"), (2, 2, "ihave")]));
    for other in [
        run(&[(2, 2, "ihave"), (1, 1, "push")]),
        run(&[(1, 1, "push"), (2, 2, "iwant")]),
        run(&[(1, 1, "push"), (3, 2, "ihave")]),
        run(&[(1, 1, "push"), (2, 1, "ihave")]),
        run(&[(1, 1, "push")]),
    ] {
        assert_ne!(first, other);
    }
}
