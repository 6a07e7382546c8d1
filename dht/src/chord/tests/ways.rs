//! The ring and the ways on it.

use super::*;
use crate::overlay::Failure;

fn sent(to: u8, message: &Message) -> String {
    alloc::format!("send to p{to}: {message:?}")
}

fn told(event: &Event) -> String {
    alloc::format!("emit {event:?}")
}

fn step(number: u32, key: u8, avoid: &[u8]) -> Message {
    Message::Step { number, key: id(key), count: 1, avoid: avoid.iter().map(|place| id(*place)).collect() }
}

fn look_up(key: u8, style: Style) -> Command {
    Command::Lookup { query: Query(1), key: id(key), style }
}

fn found(result: Result<Node, Failure>, hops: u32, messages: u32, asked: u32, timeouts: u32) -> String {
    told(&Event::LookedUp { query: Query(1), result, cost: Cost { hops, messages, asked, timeouts } })
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn the_first_of_all_founds_a_ring_and_owns_everything() {
    let mut bench = Bench::apart(params(100));
    assert_eq!(bench.command(look_up(7, Style::Iterative)), [found(Err(Failure::Apart), 0, 0, 0, 0)]);
    let joined = Event::Joined { result: Ok(()), cost: Cost::default() };
    assert_eq!(bench.command(Command::Join { via: vec![] }), [told(&joined)]);
    for style in [Style::Iterative, Style::Recursive] {
        assert_eq!(bench.command(look_up(7, style)), [found(Ok(node(100)), 0, 0, 0, 0)]);
    }
    assert!(bench.chord().successors().is_empty() && bench.chord().is_member());
}

/// Effects written out: the look-up of the own place, going round a former self; stabilise, which notifies; the successor's fingers.
#[test]
fn a_join_asks_for_its_place_then_its_successor_then_that_ones_fingers() {
    let mut bench = Bench::apart(params(100));
    assert_eq!(bench.command(Command::Join { via: nodes(&[20]) }), [sent(20, &step(1, 100, &[100]))]);
    assert_eq!(bench.say(20, Message::Next { number: 1, node: node(70) }), [sent(70, &step(2, 100, &[100]))]);
    let stabilise = Message::Stabilise { number: 3, node: node(100), seen: 0 };
    let owner = Message::Owner { number: 2, node: node(120), more: vec![] };
    assert_eq!(bench.say(70, owner), [sent(120, &stabilise)]);
    assert!(!bench.chord().is_member(), "a successor is one when it has answered");
    let successors = nodes(&[160, 220, 20, 70]);
    let stable = Message::Stable { number: 3, version: 7, predecessor: Some(node(100)), successors };
    let joined = Event::Joined { result: Ok(()), cost: Cost { hops: 2, messages: 3, asked: 2, timeouts: 0 } };
    assert_eq!(bench.say(120, stable), [told(&joined), sent(120, &Message::Table { number: 4 })]);
    assert_eq!(
        bench.chord().successors(),
        nodes(&[120, 160, 220]),
        "the list is the successor's with itself before it"
    );
    // Hints that are nearer are taken; then the finger for 2^253 = 32 further, from 132 on, is looked at.
    let tabled = Message::Tabled { number: 4, fingers: nodes(&[160, 170, 70]) };
    assert_eq!(bench.say(120, tabled), [sent(160, &Message::Ping { number: 5 })]);
    // It is right: 120 is before 132. From 164 on: 170 is the first that is known.
    let pong = |number, before| Message::Pong { number, predecessor: Some(node(before)) };
    assert_eq!(bench.say(160, pong(5, 120)), [sent(170, &Message::Ping { number: 6 })]);
    // 166 is before it and a better one.
    assert_eq!(bench.say(170, pong(6, 166)), [sent(166, &Message::Ping { number: 7 })]);
    // From 228 on: 70 is known, 20 is better, 240 still better.
    assert_eq!(bench.say(166, pong(7, 160)), [sent(70, &Message::Ping { number: 8 })]);
    assert_eq!(bench.say(70, pong(8, 20)), [sent(20, &Message::Ping { number: 9 })]);
    assert_eq!(bench.say(20, pong(9, 240)), [sent(240, &Message::Ping { number: 10 })]);
    assert_eq!(bench.say(240, pong(10, 220)), Vec::<String>::new());
    assert_eq!(bench.chord().fingers(), nodes(&[120, 160, 166, 240]));
}

#[test]
fn a_node_that_nobody_answers_to_does_not_join() {
    let mut bench = Bench::apart(params(100));
    assert_eq!(bench.command(Command::Join { via: nodes(&[20, 30]) }), [sent(20, &step(1, 100, &[100]))]);
    assert_eq!(
        bench.command(Command::Join { via: vec![] }),
        [told(&Event::Joined { result: Err(Failure::Busy), cost: Cost::default() })]
    );
    assert_eq!(bench.say(20, Message::Helpless { number: 1 }), [sent(30, &step(2, 100, &[100]))]);
    let failed =
        Event::Joined { result: Err(Failure::Silence), cost: Cost { hops: 0, messages: 2, asked: 2, timeouts: 1 } };
    assert_eq!(bench.pass(SECOND), [told(&failed)]);
    assert_eq!(bench.host.next_deadline(), None);
}

#[test]
fn a_step_is_answered_by_the_owner_where_it_is_known_and_by_a_nearer_node_where_it_is_not() {
    let mut bench = Bench::member();
    let owner = |place, more: &[u8]| Message::Owner { number: 1, node: node(place), more: nodes(more) };
    let next = |place| Message::Next { number: 1, node: node(place) };
    let table = [
        // (key, how many, to avoid, answer)
        (100, 1, vec![], owner(100, &[])),
        (21, 1, vec![], owner(100, &[])),
        (60, 3, vec![], owner(100, &[120, 160])),
        (101, 1, vec![], owner(120, &[])),
        (120, 1, vec![], owner(120, &[])),
        (121, 2, vec![], owner(160, &[220])),
        // Whoever goes round somebody is not told what the list says beyond the first.
        (121, 3, vec![160], next(120)),
        (121, 1, vec![120, 160], owner(220, &[])),
        (221, 1, vec![], next(220)),
        (20, 1, vec![220], next(160)),
        (20, 1, vec![220, 160, 120], Message::Helpless { number: 1 }),
    ];
    for (key, count, avoid, answer) in table {
        let avoid: Vec<Id> = avoid.into_iter().map(id).collect();
        let asked = Message::Step { number: 1, key: id(key), count, avoid };
        assert_eq!(bench.say(9, asked.clone()), [sent(9, &answer)], "{asked:?}");
    }
}

#[test]
fn without_the_shortcut_only_the_first_successor_is_used_for_ways() {
    let mut bench = Bench::member_with(Params { shortcut: false, ..params(100) });
    let table = [
        (121, vec![], Message::Next { number: 1, node: node(120) }),
        (121, vec![120], Message::Owner { number: 1, node: node(160), more: vec![] }),
        (101, vec![], Message::Owner { number: 1, node: node(120), more: vec![] }),
        (219, vec![], Message::Next { number: 1, node: node(160) }),
    ];
    for (key, avoid, answer) in table {
        let avoid: Vec<Id> = avoid.into_iter().map(id).collect();
        let asked = Message::Step { number: 1, key: id(key), count: 1, avoid };
        assert_eq!(bench.say(9, asked.clone()), [sent(9, &answer)], "{asked:?}");
    }
}

#[test]
fn an_iterative_look_up_goes_round_whoever_is_silent() {
    let mut bench = Bench::member();
    let first = bench.number() + 1;
    assert_eq!(bench.command(look_up(15, Style::Iterative)), [sent(220, &step(first, 15, &[]))]);
    let next = Message::Next { number: first, node: node(240) };
    assert_eq!(bench.say(220, next), [sent(240, &step(first + 1, 15, &[]))]);
    // 240 is silent: 220 is asked for another way.
    assert_eq!(bench.pass(SECOND / 2), [sent(220, &step(first + 2, 15, &[240]))]);
    let next = Message::Next { number: first + 2, node: node(230) };
    assert_eq!(bench.say(220, next), [sent(230, &step(first + 3, 15, &[240]))]);
    let owner = Message::Owner { number: first + 3, node: node(20), more: vec![] };
    assert_eq!(bench.say(230, owner), [sent(20, &Message::Ping { number: first + 4 })]);
    let pong = Message::Pong { number: first + 4, predecessor: Some(node(230)) };
    assert_eq!(bench.say(20, pong), [found(Ok(node(20)), 2, 5, 4, 1)]);
}

/// Its predecessor finds out a round later that it failed, and some messages later that another came before it.
#[test]
fn the_owner_that_an_iterative_look_up_names_has_answered_itself() {
    let ping = |number| Message::Ping { number };
    let pong = |number, before| Message::Pong { number, predecessor: Some(before) };
    let named = || {
        let mut bench = Bench::member();
        bench.command(look_up(15, Style::Iterative));
        let number = bench.number();
        let owner = Message::Owner { number, node: node(30), more: vec![] };
        assert_eq!(bench.say(220, owner), [sent(30, &ping(number + 1))]);
        (bench, number + 1)
    };
    let (mut bench, number) = named();
    assert_eq!(bench.say(30, pong(number, node(220))), [found(Ok(node(30)), 1, 2, 2, 0)]);
    // A nearer one follows the key as well.
    let (mut bench, number) = named();
    assert_eq!(bench.say(30, pong(number, node(17))), [sent(17, &ping(number + 1))]);
    assert_eq!(bench.say(17, pong(number + 1, node(220))), [found(Ok(node(17)), 1, 3, 3, 0)]);
    // One message to it is lost: it is asked again.
    let (mut bench, number) = named();
    assert_eq!(bench.pass(SECOND / 2), [sent(30, &ping(number + 1))]);
    assert_eq!(bench.say(30, pong(number + 1, node(220))), [found(Ok(node(30)), 1, 3, 2, 1)]);
    // It is silent: whoever named it is asked for the next, and that one's predecessor is not asked again.
    let (mut bench, number) = named();
    bench.pass(SECOND / 2);
    assert_eq!(bench.pass(SECOND / 2), [sent(220, &step(number + 2, 15, &[30]))]);
    let owner = Message::Owner { number: number + 2, node: node(40), more: vec![] };
    assert_eq!(bench.say(220, owner), [sent(40, &ping(number + 3))]);
    assert_eq!(bench.say(40, pong(number + 3, node(30))), [found(Ok(node(40)), 1, 5, 3, 2)]);
    // Whoever names itself and is silent then is not asked for another way.
    let mut bench = Bench::member();
    bench.command(look_up(15, Style::Iterative));
    let number = bench.number();
    let itself = Message::Owner { number, node: node(220), more: vec![] };
    assert_eq!(bench.say(220, itself), [sent(220, &ping(number + 1))]);
    bench.pass(SECOND / 2);
    assert_eq!(bench.pass(SECOND / 2), [sent(160, &step(number + 3, 15, &[220]))]);
    // It knows us as its predecessor: ours is the next, or the key is our own if we have none yet.
    let owner = |number| Message::Owner { number, node: node(110), more: vec![] };
    let mut bench = Bench::member();
    bench.command(look_up(15, Style::Iterative));
    let number = bench.number();
    assert_eq!(bench.say(220, owner(number)), [sent(110, &ping(number + 1))]);
    assert_eq!(bench.say(110, pong(number + 1, node(100))), [sent(20, &ping(number + 2))]);
    assert_eq!(bench.say(20, pong(number + 2, node(220))), [found(Ok(node(20)), 1, 3, 3, 0)]);
    let mut bench = Bench::member();
    bench.command(look_up(15, Style::Iterative));
    let number = bench.number();
    bench.say(220, Message::Owner { number, node: node(20), more: vec![] });
    // Its predecessor goes, and takes its place with it.
    bench.step(Input::PeerDown(PeerId(20)));
    assert_eq!(bench.chord().predecessor(), None);
    bench.command(look_up(90, Style::Iterative));
    let number = bench.number();
    assert_eq!(bench.say(220, owner(number)), [sent(110, &ping(number + 1))]);
    let seen = bench.say(110, pong(number + 1, node(100)));
    assert!(seen.iter().any(|text| text.contains("Ok(64000000")), "{seen:?}");
    // It lies about its predecessor.
    let (mut bench, number) = named();
    let odd = Node { id: id(100), peer: PeerId(9) };
    let again = sent(220, &step(number + 1, 15, &[30]));
    assert_eq!(bench.say(30, pong(number, odd)), [rejected(30, Reject::NodeForeign), vec![again]].concat());
    // It is known without asking anybody for the way.
    let mut bench = Bench::member();
    let number = bench.number() + 1;
    assert_eq!(bench.command(look_up(110, Style::Iterative)), [sent(120, &ping(number))]);
    assert_eq!(bench.say(120, pong(number, node(100))), [found(Ok(node(120)), 0, 1, 1, 0)]);
}

#[test]
fn a_finger_as_near_as_a_new_first_successor_is_one_no_more() {
    let mut bench = Bench::member();
    bench.say(120, Message::Between { node: node(118) });
    let (number, successors) = (bench.number(), nodes(&[120, 160, 220]));
    bench.say(118, Message::Stable { number, version: 3, predecessor: Some(node(100)), successors });
    assert_eq!(bench.chord().fingers(), nodes(&[120, 160, 220, 20]));
    next_round(&mut bench);
    // Both are from 2^252 on (116), and 118 is the first that is: nobody would ever have looked whether 120 is still there.
    assert_eq!(bench.chord().fingers(), nodes(&[118, 160, 220, 20]));
}

#[test]
fn another_finger_is_sought_round_the_one_that_is_silent() {
    let mut bench = Bench::member();
    let number = bench.number();
    let seen = next_round(&mut bench);
    let stabilise = Message::Stabilise { number: number + 1, node: node(100), seen: 7 };
    assert_eq!(seen, [sent(120, &stabilise), sent(160, &Message::Ping { number: number + 2 })]);
    bench.say(120, Message::Same { number: number + 1 });
    // 120 may not know yet that 160 is gone, and would name it again.
    assert_eq!(bench.pass(SECOND / 2), [sent(120, &step(number + 3, 132, &[160]))]);
}

/// Lets time pass until a round has begun.
fn next_round(bench: &mut Bench) -> Vec<String> {
    let (number, end) = (bench.number(), bench.now + SECOND * 46);
    let mut seen = vec![];
    while bench.number() == number {
        assert!(bench.now < end, "a round comes");
        seen.extend(bench.pass(SECOND / 10));
    }
    seen
}

#[test]
fn a_peer_that_cannot_be_reached_is_as_good_as_silent_and_at_once() {
    let mut bench = Bench::member();
    let first = bench.number() + 1;
    bench.command(look_up(15, Style::Iterative));
    // 220 is a successor, too: what is stored does not concern us, and the first successor is the same.
    assert_eq!(bench.step(Input::PeerDown(PeerId(220))), [sent(160, &step(first + 1, 15, &[220]))]);
    assert_eq!(bench.chord().successors(), nodes(&[120, 160]));
    assert_eq!(bench.step(Input::PeerDown(PeerId(160))), [sent(120, &step(first + 2, 15, &[220, 160]))]);
    assert_eq!(
        bench.step(Input::PeerDown(PeerId(120))),
        [
            sent(20, &Message::Stabilise { number: first + 3, node: node(100), seen: 0 }),
            found(Err(Failure::Silence), 0, 3, 3, 3)
        ]
    );
}

#[test]
fn a_recursive_look_up_is_handed_on_and_answered_by_the_last() {
    let mut bench = Bench::member();
    let route = |token, hops| Message::Route { token, origin: node(9), key: id(15), count: 1, hops };
    assert_eq!(bench.say(9, route(5, 0)), [sent(220, &route(5, 1))]);
    let route = Message::Route { token: 5, origin: node(9), key: id(121), count: 2, hops: 63 };
    let routed = Message::Routed { token: 5, hops: 64, node: node(160), more: nodes(&[220]) };
    assert_eq!(bench.say(70, route), [sent(9, &routed)]);
}

#[test]
fn a_recursive_look_up_ends_with_the_answer_of_whoever_knows_its_token_or_after_three_tries() {
    let token = |bench: &Bench| {
        let call = bench.chord().calls.last().expect("a request is open");
        let What::Route(_, token) = call.what else { panic!("it is recursive") };
        token
    };
    let mut bench = Bench::member();
    bench.command(look_up(15, Style::Recursive));
    let routed = |token, hops| Message::Routed { token, hops, node: node(20), more: vec![] };
    let own = token(&bench);
    assert_eq!(bench.say(240, routed(own ^ 1, 2)), rejected(240, Reject::Unsolicited));
    let ping = Message::Ping { number: bench.number() + 1 };
    assert_eq!(bench.say(240, routed(own, 2)), [sent(20, &ping)]);
    let pong = Message::Pong { number: bench.number(), predecessor: Some(node(240)) };
    assert_eq!(bench.say(20, pong), [found(Ok(node(20)), 2, 3, 3, 0)]);
    bench.command(look_up(15, Style::Recursive));
    let sends: Vec<String> = bench.pass(SECOND * 10).into_iter().filter(|text| text.contains("Route")).collect();
    assert_eq!(sends.len(), 2, "two more tries: {sends:?}");
    bench.command(look_up(15, Style::Recursive));
    let seen = bench.pass(SECOND * 10);
    assert_eq!(seen.last(), Some(&found(Err(Failure::Silence), 0, 3, 3, 3)), "{seen:?}");
}

#[test]
fn a_recursive_look_up_whose_owner_is_gone_goes_on_step_by_step() {
    let mut bench = Bench::member();
    bench.command(look_up(15, Style::Recursive));
    let What::Route(_, token) = bench.chord().calls.last().expect("a request is open").what else { panic!() };
    let number = bench.number();
    let routed = Message::Routed { token, hops: 2, node: node(18), more: vec![] };
    assert_eq!(bench.say(240, routed), [sent(18, &Message::Ping { number: number + 1 })]);
    let seen = bench.pass(SECOND);
    assert!(seen.contains(&sent(18, &Message::Ping { number: number + 2 })), "it is asked twice: {seen:?}");
    assert!(seen.contains(&sent(220, &step(number + 3, 15, &[18]))), "then others for who follows it: {seen:?}");
    let owner = Message::Owner { number: number + 3, node: node(20), more: vec![] };
    assert_eq!(bench.say(220, owner), [sent(20, &Message::Ping { number: number + 4 })]);
    let pong = Message::Pong { number: number + 4, predecessor: Some(node(18)) };
    assert_eq!(bench.say(20, pong), [found(Ok(node(20)), 1, 6, 5, 2)]);
}

#[test]
fn stabilise_is_answered_with_what_has_changed_and_a_nearer_predecessor_is_taken() {
    let mut bench = Bench::member();
    let version = bench.chord().ring.version();
    let stabilise = |place, seen| Message::Stabilise { number: 1, node: node(place), seen };
    assert_eq!(bench.say(20, stabilise(20, version)), [sent(20, &Message::Same { number: 1 })]);
    let stable = |version, before| Message::Stable {
        number: 1,
        version,
        predecessor: Some(node(before)),
        successors: nodes(&[120, 160, 220]),
    };
    assert_eq!(bench.say(20, stabilise(20, version - 1)), [sent(20, &stable(version, 20))]);
    // 70 is nearer. The old one is told.
    assert_eq!(
        bench.say(70, stabilise(70, 0)),
        [sent(20, &Message::Between { node: node(70) }), sent(70, &stable(version + 1, 70))]
    );
    // 30 is not, unless 70 is gone, which is asked.
    let ping = Message::Ping { number: bench.number() + 1 };
    assert_eq!(bench.say(30, stabilise(30, 0)), [sent(70, &ping), sent(30, &stable(version + 1, 70))]);
    bench.pass(SECOND);
    assert_eq!(bench.chord().predecessor(), None);
    bench.say(30, stabilise(30, 0));
    assert_eq!(bench.chord().predecessor(), Some(node(30)));
}

#[test]
fn a_node_between_is_the_successor_when_it_has_answered_and_the_old_one_is_told() {
    let mut bench = Bench::member();
    let number = bench.number() + 1;
    let stabilise = Message::Stabilise { number, node: node(100), seen: 0 };
    assert_eq!(bench.say(120, Message::Between { node: node(110) }), [sent(110, &stabilise)]);
    assert_eq!(bench.chord().successors(), nodes(&[120, 160, 220]));
    let stable = Message::Stable { number, version: 3, predecessor: Some(node(100)), successors: nodes(&[120, 160]) };
    // The predecessor hears that the list has changed.
    assert_eq!(
        bench.say(110, stable),
        [sent(120, &Message::Between { node: node(110) }), sent(20, &Message::Hello { node: node(100) })]
    );
    assert_eq!(bench.chord().successors(), nodes(&[110, 120, 160]));
    // The old one says hello to whoever is said to be before it; that one stabilises.
    let stabilise = Message::Stabilise { number: number + 1, node: node(100), seen: 0 };
    assert_eq!(bench.say(105, Message::Hello { node: node(105) }), [sent(105, &stabilise)]);
    assert_eq!(bench.say(20, Message::Between { node: node(60) }), [sent(60, &Message::Hello { node: node(100) })]);
}

#[test]
fn a_successor_that_is_silent_twice_gives_way_to_the_next() {
    let mut bench = Bench::member_with(Params { fingers_per_round: 0, ..params(100) });
    let number = bench.number() + 1;
    let stabilise = |number, seen| Message::Stabilise { number, node: node(100), seen };
    while bench.number() < number {
        assert!(bench.now < Time::from_secs(46), "a round comes");
        bench.pass(SECOND / 10);
    }
    let mut seen = vec![];
    while bench.number() < number + 2 {
        seen.extend(bench.pass(SECOND / 10));
    }
    // The version that was seen is the first one's.
    assert_eq!(seen, [sent(120, &stabilise(number + 1, 7)), sent(160, &stabilise(number + 2, 0))]);
    assert_eq!(bench.chord().successors(), nodes(&[160, 220]));
}

#[test]
fn who_leaves_tells_its_neighbours_and_knows_nobody_any_more() {
    let mut bench = Bench::member();
    bench.command(look_up(15, Style::Iterative));
    assert_eq!(
        bench.command(Command::Leave),
        [
            sent(20, &Message::Leave),
            sent(120, &Message::Leave),
            found(Err(Failure::Apart), 0, 1, 1, 0),
            told(&Event::Left)
        ]
    );
    assert!(!bench.chord().is_member());
    assert_eq!(bench.host.next_deadline(), None);
    assert_eq!(bench.say(9, step(1, 15, &[])), [sent(9, &Message::Helpless { number: 1 })]);
    // A neighbour that leaves is followed by the next at once.
    let mut bench = Bench::member();
    let stabilise = Message::Stabilise { number: bench.number() + 1, node: node(100), seen: 0 };
    assert_eq!(bench.say(120, Message::Leave), [sent(160, &stabilise)]);
    assert_eq!(bench.chord().successors(), nodes(&[160, 220]));
}

/// Issue 5, item 6: each is refused with a reason.
#[test]
fn bad_input_is_refused() {
    let mut bench = Bench::member();
    let odd = Node { id: id(100), peer: PeerId(9) };
    let step = |count, avoided| Message::Step { number: 1, key: id(1), count, avoid: vec![id(1); avoided] };
    let route = |origin, count, hops| Message::Route { token: 1, origin, key: id(1), count, hops };
    let table = [
        (Message::Between { node: odd }, Reject::NodeForeign),
        (Message::Between { node: node(99) }, Reject::Unsolicited),
        (Message::Fetched { number: 1, entries: vec![] }, Reject::Unsolicited),
        (Message::Hello { node: node(8) }, Reject::NodeForeign),
        (Message::Hello { node: odd }, Reject::NodeForeign),
        (Message::Helpless { number: 1 }, Reject::Unsolicited),
        (Message::Next { number: 1, node: node(1) }, Reject::Unsolicited),
        (Message::Offer { number: 1, keys: vec![] }, Reject::QueryList),
        (Message::Offer { number: 1, keys: vec![(id(1), 0), (id(1), 0)] }, Reject::QueryList),
        (Message::Owner { number: 1, node: node(1), more: vec![] }, Reject::Unsolicited),
        (Message::Pong { number: 1, predecessor: None }, Reject::Unsolicited),
        (route(node(9), 1, HOPS_MAX), Reject::QueryHops),
        (route(node(9), 1, 255), Reject::QueryHops),
        (route(node(8), 1, 0), Reject::NodeForeign),
        (route(odd, 1, 3), Reject::NodeForeign),
        (route(node(9), 0, 0), Reject::QueryList),
        (route(node(9), 21, 0), Reject::QueryList),
        (Message::Routed { token: 1, hops: 1, node: node(1), more: vec![] }, Reject::Unsolicited),
        (Message::Same { number: 1 }, Reject::Unsolicited),
        (Message::Stabilise { number: 1, node: node(8), seen: 0 }, Reject::NodeForeign),
        (Message::Stabilise { number: 1, node: odd, seen: 0 }, Reject::NodeForeign),
        (step(0, 0), Reject::QueryList),
        (step(21, 0), Reject::QueryList),
        (step(1, AVOIDED_MAX + 1), Reject::QueryList),
        (Message::Stored { number: 1, kept: true }, Reject::Unsolicited),
        (Message::Tabled { number: 1, fingers: vec![] }, Reject::Unsolicited),
        (Message::Wanted { number: 1, keys: 0 }, Reject::Unsolicited),
    ];
    for (message, reason) in table {
        assert_eq!(bench.say(9, message.clone()), rejected(9, reason), "{message:?}");
    }
    // At the edge they are not.
    assert_eq!(bench.say(9, step(20, AVOIDED_MAX)).len(), 1);
    assert!(bench.say(9, step(20, AVOIDED_MAX))[0].starts_with("send"));
    assert!(bench.say(9, route(node(9), 20, HOPS_MAX - 1))[0].starts_with("send"));
}

#[test]
fn a_way_that_goes_back_or_in_a_circle_is_refused_and_gone_round() {
    let odd = Node { id: id(100), peer: PeerId(9) };
    let owner = |number, node, more: Vec<Node>| Message::Owner { number, node, more };
    let start = |bench: &mut Bench| {
        bench.command(look_up(15, Style::Iterative));
        bench.number()
    };
    // Behind the one that names it, itself, and beyond the key.
    for place in [200, 220, 16] {
        let mut bench = Bench::member();
        let number = start(&mut bench);
        let again = sent(160, &step(number + 1, 15, &[220]));
        let seen = bench.say(220, Message::Next { number, node: node(place) });
        assert_eq!(seen, [rejected(220, Reject::NodePlace), vec![again]].concat());
    }
    let owners = [
        (owner(0, node(230), vec![]), Reject::NodePlace),
        (owner(0, odd, vec![]), Reject::NodeForeign),
        (owner(0, node(20), nodes(&[40])), Reject::QueryList),
    ];
    for (message, reason) in owners {
        let mut bench = Bench::member();
        let number = start(&mut bench);
        let Message::Owner { node, more, .. } = message else { unreachable!("all are owners") };
        let again = sent(160, &step(number + 1, 15, &[220]));
        assert_eq!(bench.say(220, owner(number, node, more)), [rejected(220, reason), vec![again]].concat());
    }
    // Another answers for it.
    let mut bench = Bench::member();
    let number = start(&mut bench);
    assert_eq!(bench.say(9, owner(number, node(20), vec![])), rejected(9, Reject::Unsolicited));
}

#[test]
fn a_way_of_liars_ends() {
    // Each names one that is one nearer, at the end of the identifiers; a real ring's ways are far shorter.
    let mut bench = Bench::member();
    let mut bytes = [0; 32];
    bytes[0] = 230;
    let mut seen = bench.command(look_up(15, Style::Iterative));
    let mut from = 220;
    let mut asked = 0;
    while seen[0].starts_with("send") {
        asked += 1;
        let number = bench.number();
        bytes[2] = (asked >> 8) as u8;
        bytes[3] = asked as u8;
        let peer = PeerId(1_000 + asked);
        let node = Node { id: Id::from(Bytes(bytes)), peer };
        seen = bench.step(Input::Message { from: PeerId(from), message: Message::Next { number, node } });
        from = peer.0;
    }
    assert_eq!(seen, [found(Err(Failure::Lost), 0, STEPS_MAX, STEPS_MAX, 0)]);
}

#[test]
fn a_successors_lies_about_its_neighbours_are_refused() {
    let odd = Node { id: id(100), peer: PeerId(9) };
    let table = [
        (nodes(&[200, 190]), None, Reject::NodePlace),
        (nodes(&[160, 160]), None, Reject::NodePlace),
        (nodes(&[110]), None, Reject::NodePlace),
        (nodes(&[160]), Some(node(110)), Reject::NodePlace),
        (vec![odd], None, Reject::NodeForeign),
        (vec![], Some(odd), Reject::NodeForeign),
        (vec![node(160); SUCCESSORS_MAX + 1], None, Reject::QueryList),
    ];
    for (successors, predecessor, reason) in table {
        let mut bench = Bench::member();
        bench.say(120, Message::Between { node: node(110) });
        let number = bench.number();
        let stable = Message::Stable { number, version: 1, predecessor, successors };
        let seen = bench.say(110, stable);
        assert_eq!(seen[..1], rejected(110, reason), "{seen:?}");
        assert_eq!(bench.chord().successors(), nodes(&[120, 160, 220]));
    }
}

#[test]
fn requests_of_the_owner_are_bounded() {
    let mut bench = Bench::member();
    for _ in 0..JOBS_MAX {
        assert!(bench.command(look_up(15, Style::Iterative))[0].starts_with("send"));
    }
    assert_eq!(bench.command(look_up(15, Style::Iterative)), [found(Err(Failure::Busy), 0, 0, 0, 0)]);
    let ended = bench.pass(SECOND * 10).iter().filter(|text| text.contains("LookedUp")).count();
    assert_eq!(ended, JOBS_MAX, "every request ends");
}

#[test]
fn nodes_that_fell_silent_are_remembered_and_asked_for_our_successor() {
    let mut bench = Bench::member();
    let via: Vec<Node> = (0..=LOST_MAX as u8).map(|place| node(place + 1)).collect();
    bench.command(Command::Join { via });
    assert_eq!(bench.chord().lost.len(), LOST_MAX);
    // With all silent the first of them is asked when the first successor is given up.
    let seen = bench.pass(Duration::from_secs(6 * 46));
    let asked = |text: &String| text.contains("Step") && text.contains("key: 64000000");
    assert!(seen.iter().any(asked), "{seen:?}");
    assert_eq!(bench.chord().lost.len(), LOST_MAX);
}

#[test]
fn who_does_not_know_all_that_follow_an_owner_names_whoever_does() {
    // (key, nodes that are wanted, the answer)
    let owner = |place: u8, more: &[u8]| Message::Owner { number: 1, node: node(place), more: nodes(more) };
    let next = |place: u8| Message::Next { number: 1, node: node(place) };
    for (key, count, answer) in [
        (200, 1, owner(220, &[])),
        (200, 2, next(160)),
        (150, 2, owner(160, &[220])),
        (150, 3, next(120)),
        (110, 3, owner(120, &[160, 220])),
        // Nobody knows more of who follows a node than the one before it.
        (110, 5, owner(120, &[160, 220])),
    ] {
        let asked = Message::Step { number: 1, key: id(key), count, avoid: vec![] };
        assert_eq!(Bench::member().say(20, asked), [sent(20, &answer)], "{count} from {key}");
    }
}
