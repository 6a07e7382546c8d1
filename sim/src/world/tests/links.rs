//! How long messages take, in which order they come, and what is lost and doubled.

use super::*;

/// When notes reached a peer, in nanoseconds after the world had begun.
fn arrivals(world: &World<Bench>, peer: u32) -> Vec<u64> {
    let seen = world.experiment().seen.iter();
    let notes = seen.filter(|(_, by, seen)| *by == peer && matches!(seen, Seen::Note(..)));
    notes.map(|(at, ..)| at.0 - BEGUN.0).collect()
}

/// One peer sends so many notes to another, a millisecond apart, over these links; the numbers in the order of arrival.
fn stream(count: u32, links: &str) -> (World<Bench>, Vec<u32>) {
    let mut world = world(setup(3, complete(2), links));
    for number in 0..count {
        tell(&mut world, 0, &[Act::Send(1, note(number))]);
        pass(&mut world, MILLI);
    }
    pass(&mut world, 10 * SECOND);
    let numbers = notes_of(&world, 1);
    (world, numbers)
}

#[test]
fn a_message_takes_its_links_latency() {
    let mut world = pair();
    tell(&mut world, 0, &[Act::Send(1, Note { number: 1, hops: 2, size: 10 })]);
    pass(&mut world, SECOND);
    assert_eq!(seen_by(&world, 1), [(50, Seen::Note(0, 1)), (150, Seen::Note(0, 1))]);
    assert_eq!(seen_by(&world, 0), [(100, Seen::Note(1, 1))]);
    let passed = world.net().passed(PeerId(0));
    assert_eq!((passed.sent.messages, passed.sent.bytes), (2, 20));
    assert_eq!((passed.received.messages, passed.received.bytes), (1, 10));
    assert_eq!(world.net().tally().delivered_bytes, 30);
}

#[test]
fn a_message_takes_its_links_latency_and_its_own_jitter() {
    let mut world =
        world(setup(3, complete(2), "delay = '50 ms'\njitter = { kind = 'uniform', least = '1 ms', most = '9 ms' }"));
    for number in 0..100 {
        tell(&mut world, 0, &[Act::Send(1, note(number))]);
        // Longer than the jitter, so that nobody waits for an earlier one.
        pass(&mut world, 10 * MILLI);
    }
    pass(&mut world, SECOND);
    let taken: Vec<u64> = (0..).zip(arrivals(&world, 1)).map(|(number, at)| at - number * 10_000_000).collect();
    assert_eq!(taken.len(), 100);
    assert!(taken.iter().all(|taken| (51_000_000..=59_000_000).contains(taken)), "{taken:?}");
    let (least, most) = (taken.iter().min(), taken.iter().max());
    assert!(least < Some(&52_000_000), "{least:?}");
    assert!(most > Some(&58_000_000), "{most:?}");
}

#[test]
fn messages_on_a_link_keep_their_order_unless_they_are_reordered() {
    let jittery = "delay = '50 ms'\njitter = { kind = 'exponential', mean = '20 ms' }";
    let (_, numbers) = stream(500, jittery);
    assert_eq!(numbers, (0..500).collect::<Vec<u32>>());
    let (_, mut numbers) = stream(500, &format!("{jittery}\nreorder = 0.2"));
    let overtaken = numbers.windows(2).filter(|pair| pair[0] > pair[1]).count();
    assert!((20..150).contains(&overtaken), "{overtaken}");
    numbers.sort_unstable();
    assert_eq!(numbers, (0..500).collect::<Vec<u32>>());
}

#[test]
fn links_lose_and_double_as_often_as_they_should() {
    let (world, numbers) = stream(4_000, "delay = '50 ms'\nloss = 0.1");
    // Five standard deviations of 19.
    assert!((305..=495).contains(&world.net().tally().lost), "{:?}", world.net().tally());
    assert_eq!(world.net().tally().lost + numbers.len() as u64, 4_000);
    assert!(numbers.is_sorted_by(|one, next| one < next), "none came twice");

    let (world, numbers) = stream(4_000, "delay = '50 ms'\nduplicate = 0.1");
    assert!((4_305..=4_495).contains(&numbers.len()), "{}", numbers.len());
    assert_eq!(world.net().tally().delivered, numbers.len() as u64);
    assert_eq!(world.net().tally().lost, 0);
    let mut once = numbers;
    once.dedup();
    assert_eq!(once, (0..4_000).collect::<Vec<u32>>());
}

#[test]
fn what_is_lost_of_a_batch_says_nothing_of_the_rest() {
    let mut world = world(setup(3, complete(2), "delay = '50 ms'\nloss = 0.1"));
    for batch in 0..200 {
        let notes: Vec<Act> = (0..20).map(|number| Act::Send(1, note(20 * batch + number))).collect();
        tell(&mut world, 0, &notes);
        pass(&mut world, MILLI);
    }
    pass(&mut world, 10 * SECOND);
    // Of all as many as of messages that are sent one by one, and after a lost one the next is lost as often as any.
    assert!((305..=495).contains(&world.net().tally().lost), "{:?}", world.net().tally());
    let numbers = notes_of(&world, 1);
    let gaps = numbers.windows(2).filter(|pair| pair[1] > pair[0] + 1).count() as u64;
    // Nine of ten losses begin a gap: five standard deviations of 18 below 360.
    assert!(gaps >= 270, "{gaps} gaps");
}

#[test]
fn what_a_peer_omits_of_a_batch_says_nothing_of_the_rest() {
    let mut world = world(setup(3, complete(2), "delay = '50 ms'"));
    world.net_mut().omit(PeerId(0), 0.1, 0.0);
    for batch in 0..200 {
        let notes: Vec<Act> = (0..20).map(|number| Act::Send(1, note(20 * batch + number))).collect();
        tell(&mut world, 0, &notes);
        pass(&mut world, MILLI);
    }
    pass(&mut world, 10 * SECOND);
    assert!((305..=495).contains(&world.net().tally().lost), "{:?}", world.net().tally());
}

#[test]
fn what_one_receiver_loses_another_does_not() {
    let mut world = world(setup(3, complete(20), "delay = '50 ms'\nloss = 0.5"));
    tell(&mut world, 0, &[Act::Broadcast((1..20).collect(), note(1))]);
    pass(&mut world, SECOND);
    let reached = (1..20).filter(|peer| !notes_of(&world, *peer).is_empty()).count();
    assert!((4..=15).contains(&reached), "{reached}");
}

#[test]
fn a_megabyte_takes_a_second_to_leave_and_the_next_one_waits() {
    let mut world = world(setup(1, complete(3), "delay = '100 ms'\nupload = '8 Mbit/s'"));
    let large = |number| Note { number, hops: 0, size: 1_000_000 };
    tell(&mut world, 0, &[Act::Send(1, large(1)), Act::Send(2, large(2)), Act::Send(1, note(3))]);
    pass(&mut world, 10 * SECOND);
    assert_eq!(arrivals(&world, 1), [1_100_000_000, 2_100_100_000]);
    assert_eq!(arrivals(&world, 2), [2_100_000_000]);
}

#[test]
fn a_megabyte_takes_a_second_to_come_in_and_the_next_one_waits() {
    let mut world = world(setup(1, complete(3), "delay = '100 ms'\ndownload = '8 Mbit/s'"));
    let large = |number| Note { number, hops: 0, size: 1_000_000 };
    tell(&mut world, 1, &[Act::Send(0, large(1)), Act::Send(2, large(2))]);
    tell(&mut world, 2, &[Act::Send(0, large(3))]);
    pass(&mut world, 10 * SECOND);
    assert_eq!(arrivals(&world, 0), [1_100_000_000, 2_100_000_000]);
    assert_eq!(notes_of(&world, 0), [1, 3]);
    assert_eq!(arrivals(&world, 2), [1_100_000_000]);
}

#[test]
fn a_link_that_was_taken_away_carries_nothing_until_it_is_laid_again() {
    let mut world = pair();
    tell(&mut world, 0, &[Act::Send(1, note(1))]);
    pass(&mut world, 10 * MILLI);
    world.net_mut().disconnect(PeerId(0), PeerId(1));
    tell(&mut world, 0, &[Act::Send(1, note(2))]);
    pass(&mut world, 190 * MILLI);
    assert_eq!(seen_by(&world, 1), [(60, Seen::Down(0))]);
    assert_eq!(world.net().tally().lost, 2);

    world.net_mut().connect(PeerId(0), PeerId(1));
    pass(&mut world, 100 * MILLI);
    tell(&mut world, 0, &[Act::Send(1, note(3))]);
    pass(&mut world, SECOND);
    assert_eq!(seen_by(&world, 1)[1..], [(250, Seen::Up(0)), (350, Seen::Note(0, 3))]);
}
