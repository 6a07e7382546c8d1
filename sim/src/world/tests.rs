//! The event loop with a protocol that does what it is told.

mod crashes;
mod faults;
mod links;

use std::time::Duration;

use synod_machine::{Glance, PeerId, Time};

use super::*;
use crate::testing::{Act, BEGUN, Bench, Note, Seen, complete, note, notes_of, pass, seen_by, setup, tell, world};
use crate::{Direction, Tail};

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// Two toys with a constant delay of 50 ms between them.
fn pair() -> World<Bench> {
    world(setup(1, complete(2), "delay = '50 ms'"))
}

#[test]
fn the_time_that_was_asked_for_is_the_time_that_has_come() {
    let mut world = pair();
    assert_eq!(world.run(Time::from_secs(2), u64::MAX), Status::Idle);
    tell(&mut world, 0, &[Act::Set(1, 10 * SECOND)]);
    assert_eq!(world.run(Time::from_secs(3), u64::MAX), Status::Until);
    assert_eq!(world.net().now(), Time::from_secs(3));
    assert_eq!(world.run(Time::MAX, 0), Status::Paused);
    assert_eq!(world.run(Time::MAX, u64::MAX), Status::Idle);
    assert_eq!(seen_by(&world, 0), [(10_000, Seen::Rang(1, Time::from_secs(11)))]);
}

#[test]
fn nothing_happens_after_the_experiment_has_stopped() {
    let mut world = pair();
    tell(&mut world, 0, &[Act::Say(1)]);
    world.net_mut().stop("enough");
    world.net_mut().stop("more than enough");
    assert_eq!(world.run(Time::MAX, u64::MAX), Status::Stopped);
    assert_eq!(world.stopped(), Some("enough"));
    assert_eq!(seen_by(&world, 0), []);
}

#[test]
fn timers_ring_in_the_order_of_their_deadlines() {
    let mut world = pair();
    let acts = [Act::Set(1, 30 * MILLI), Act::Set(2, 10 * MILLI), Act::Set(3, 20 * MILLI), Act::Set(1, 5 * MILLI)];
    tell(&mut world, 0, &acts);
    pass(&mut world, SECOND);
    let rang = |timer, after| (after, Seen::Rang(timer, BEGUN + Duration::from_millis(after)));
    assert_eq!(seen_by(&world, 0), [rang(1, 5), rang(2, 10), rang(3, 20)]);
}

#[test]
fn a_receiver_is_asked_about_a_message_twice_before_its_turn() {
    let mut world = pair();
    let notes = |number| Act::Send(1, Note { number, hops: 0, size: 10 });
    tell(&mut world, 0, &(0..40).map(notes).collect::<Vec<Act>>());
    // Up to the moment before the first arrives, and then one event at a time.
    pass(&mut world, 49 * MILLI);
    for number in 0..40 {
        assert_eq!(world.run(Time::MAX, 1), Status::Paused);
        let seen = world.net().protocol(PeerId(1)).expect("it is up").foreseen();
        let of =
            |number| seen.iter().filter(|(seen, _)| *seen == number).map(|(_, glance)| *glance).collect::<Vec<_>>();
        // Those that are known twelve ahead are asked about.
        if number >= 13 {
            assert_eq!(of(number), [Glance::First, Glance::Second], "{number} in {seen:?}");
        }
        if (13..30).contains(&number) {
            assert_eq!([5, 6].map(|ahead| of(number + ahead).len()), [2, 1], "beyond {number} in {seen:?}");
            assert_eq!([9, 10].map(|ahead| of(number + ahead).len()), [1, 0], "beyond {number} in {seen:?}");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_digest_and_another_seed_another() {
    let run = |seed| {
        let links = "delay = '20 ms'\njitter = { kind = 'exponential', mean = '10 ms' }\nloss = 0.1\nduplicate = 0.1";
        let mut world = world(setup(seed, complete(5), links));
        for peer in 0..5 {
            let to = (0..5).filter(|other| *other != peer).collect();
            tell(&mut world, peer, &[Act::Broadcast(to, Note { number: peer, hops: 6, size: 40 })]);
        }
        pass(&mut world, SECOND);
        (world.net().digest(), world.net().tally().clone(), world.experiment().seen.clone())
    };
    let (digest, tally, seen) = run(7);
    assert!(tally.delivered > 60, "much was said: {tally:?}");
    assert_eq!((digest, tally, seen), run(7));
    assert_ne!(digest, run(8).0);
}

#[test]
fn what_is_encoded_and_decoded_on_its_way_is_the_same() {
    let run = |codec| {
        let mut world = world(Setup { codec, ..setup(1, complete(2), "delay = '50 ms'") });
        // Three small numbers have three bytes.
        tell(&mut world, 0, &[Act::Keep(1, 8), Act::Send(1, Note { number: 7, hops: 1, size: 3 })]);
        pass(&mut world, SECOND);
        world.net_mut().crash(PeerId(0), Tail::Kept);
        let now = world.net().now();
        world.net_mut().start(now, PeerId(0));
        pass(&mut world, SECOND);
        (world.net().digest(), world.experiment().seen.clone())
    };
    let encoded = run(true);
    assert!(encoded.1.contains(&(BEGUN + 100 * MILLI, 0, Seen::Note(1, 7))), "{encoded:?}");
    assert!(encoded.1.contains(&(BEGUN + SECOND, 0, Seen::Restored(vec![8]))), "{encoded:?}");
    assert_eq!(encoded, run(false));
}
