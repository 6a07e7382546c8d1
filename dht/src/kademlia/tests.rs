use alloc::format;
use alloc::string::String;
use alloc::vec;

use synod_machine::{Bytes, Effect, Rng};

use super::table::EXTENT_BYTES;
use super::*;
use crate::overlay::{ENTRY_BYTES_MAX, Entry, Query, Quorum};
use crate::testing::{effects, step};

fn at(secs: u64) -> Time {
    Time::from_secs(secs)
}

fn id(name: u8) -> Id {
    Id::from(Bytes([name; 32]))
}

/// The node whose identifier consists of that byte; this node's is zero.
fn node(name: u8) -> Node {
    Node { id: id(name), peer: PeerId(u32::from(name)) }
}

fn nodes(names: &[u8]) -> Vec<Node> {
    names.iter().copied().map(node).collect()
}

fn params() -> Params {
    Params::new(node(0), Rng::new(1, 0, "kademlia"))
}

fn machine() -> Kademlia {
    Kademlia::restore(params(), core::iter::empty())
}

/// What is sent, as text; timers and the rest are left out.
fn sends(effects: Vec<Effect<Kademlia>>) -> Vec<String> {
    let sent = |effect: &Effect<Kademlia>| matches!(effect, Effect::Send { .. });
    effects.iter().filter(|effect| sent(effect)).map(|effect| format!("{effect:?}")).collect()
}

/// Who is sent something.
fn asked(effects: &[Effect<Kademlia>]) -> Vec<u32> {
    let to = |effect: &Effect<Kademlia>| match effect {
        Effect::Send { to, .. } => Some(to.0),
        _ => None,
    };
    effects.iter().filter_map(to).collect()
}

fn events(effects: Vec<Effect<Kademlia>>) -> Vec<Event> {
    let event = |effect| match effect {
        Effect::Emit(event) => Some(event),
        _ => None,
    };
    effects.into_iter().filter_map(event).collect()
}

fn hear(machine: &mut Kademlia, now: u64, from: u8, message: Message) -> Vec<Effect<Kademlia>> {
    effects(machine, at(now), Input::Message { from: node(from).peer, message })
}

fn command(machine: &mut Kademlia, now: u64, command: Command) -> Vec<Effect<Kademlia>> {
    effects(machine, at(now), Input::Command(command))
}

fn fire(machine: &mut Kademlia, now: u64, timer: Timer) -> Vec<Effect<Kademlia>> {
    effects(machine, at(now), Input::Timer(timer))
}

/// A node that has joined and knows these, having been pinged by them.
fn acquainted(names: &[u8]) -> Kademlia {
    let mut machine = machine();
    command(&mut machine, 1, Command::Join { via: vec![] });
    for &name in names {
        hear(&mut machine, 1, name, Message::Ping { request: 1, node: node(name) });
    }
    machine
}

fn lookup(key: u8) -> Command {
    Command::Lookup { query: Query(1), key: id(key) }
}

fn quorum(needed: u8, replicas: u8) -> Quorum {
    Quorum::new(needed, replicas).expect("a possible quorum")
}

fn put(value: &[u8], needed: u8, replicas: u8) -> Command {
    Command::Put { query: Query(1), key: id(9), value: value.to_vec(), quorum: quorum(needed, replicas) }
}

fn get(needed: u8, replicas: u8) -> Command {
    Command::Get { query: Query(1), key: id(9), quorum: quorum(needed, replicas) }
}

fn entry(publisher: u8, version: u64, value: &[u8]) -> Entry {
    Entry { publisher: id(publisher), version, value: value.to_vec() }
}

fn held(publisher: u8, version: u64, value: &[u8]) -> Held {
    Held { entry: entry(publisher, version, value), replicas: 3, secs: 1_000 }
}

/// The numbers of requests count up from one.
fn answer(request: u32, names: &[u8]) -> Message {
    Message::Nodes { request, nodes: nodes(names) }
}

fn contacts(machine: &Kademlia) -> Vec<u32> {
    machine.buckets().flat_map(Bucket::contacts).map(|contact| contact.peer.0).collect()
}

fn spares(machine: &Kademlia) -> Vec<u32> {
    machine.buckets().flat_map(Bucket::spares).map(|spare| spare.peer.0).collect()
}

#[test]
fn a_request_is_answered_with_the_closest_nodes_without_who_asks_and_its_sender_becomes_a_contact() {
    let mut machine = machine();
    let find = Message::FindNode { request: 7, node: node(3), target: id(1) };
    let sent = hear(&mut machine, 1, 3, find);
    assert_eq!(sends(sent), ["send to p3: Nodes { request: 7, nodes: [] }"]);
    for name in [1, 2, 200] {
        hear(&mut machine, 1, name, Message::Ping { request: 7, node: node(name) });
    }
    assert_eq!(contacts(&machine), [200, 3, 2, 1]);
    let find = Message::FindNode { request: 8, node: node(2), target: id(1) };
    let nodes = "[01010101…@p1, 03030303…@p3, c8c8c8c8…@p200]";
    assert_eq!(sends(hear(&mut machine, 1, 2, find)), [format!("send to p2: Nodes {{ request: 8, nodes: {nodes} }}")]);
    let find = Message::FindValue { request: 9, node: node(2), key: id(1) };
    let expected = format!("send to p2: Values {{ request: 9, values: [], nodes: {nodes} }}");
    assert_eq!(sends(hear(&mut machine, 1, 2, find)), [expected]);
}

#[test]
fn who_names_another_or_this_node_as_itself_is_refused() {
    let mut machine = acquainted(&[]);
    for liar in [node(4), Node { peer: PeerId(3), ..node(0) }] {
        let key = id(9);
        for message in [
            Message::Ping { request: 1, node: liar },
            Message::FindNode { request: 1, node: liar, target: key },
            Message::FindValue { request: 1, node: liar, key },
            Message::Store { request: 1, node: liar, key, held: held(4, 1, b"x").into() },
        ] {
            let input = Input::Message { from: PeerId(3), message };
            assert_eq!(step(&mut machine, at(1), input), ["reject p3: node_foreign"]);
        }
    }
    assert!(contacts(&machine).is_empty(), "a liar is no contact");
    assert_eq!(machine.keys().count(), 0);
}

#[test]
fn answers_to_nothing_are_refused() {
    let mut machine = acquainted(&[1]);
    // A look-up is open, as request 1 to peer 1.
    assert_eq!(asked(&command(&mut machine, 2, lookup(9))), [1]);
    let values = |request| Message::Values { request, values: vec![], nodes: vec![] };
    for (from, message) in [
        (2, answer(1, &[])),
        (1, answer(2, &[])),
        (1, Message::Pong { request: 1 }),
        (1, Message::Stored { request: 1, is_kept: true }),
        (1, values(1)),
        (1, answer(u32::MAX, &[])),
    ] {
        let input = Input::Message { from: node(from).peer, message };
        assert_eq!(step(&mut machine, at(2), input), [format!("reject p{from}: unsolicited")]);
    }
    assert_eq!(events(hear(&mut machine, 2, 1, answer(1, &[]))).len(), 1, "the right answer still counts");
    let input = Input::Message { from: PeerId(1), message: answer(1, &[]) };
    assert_eq!(step(&mut machine, at(2), input), ["reject p1: unsolicited"], "but once");
}

#[test]
fn a_list_that_no_sound_node_sends_is_refused_and_its_sender_has_failed() {
    let many: Vec<Node> = (0..=NODES_MAX as u32)
        .map(|place| Node { id: id(9).with_turned(255 - place), peer: PeerId(50 + place) })
        .collect();
    let own_handle = Node { peer: PeerId(0), ..node(7) };
    for list in [
        nodes(&[8, 8]),
        // From 9 it is 1 to 8 and 2 to 11.
        nodes(&[11, 8]),
        nodes(&[0]),
        nodes(&[1]),
        vec![own_handle],
        many.clone(),
    ] {
        let mut machine = acquainted(&[1]);
        command(&mut machine, 2, lookup(9));
        let effects = hear(&mut machine, 2, 1, Message::Nodes { request: 1, nodes: list });
        assert_eq!(format!("{:?}", effects[0]), "reject p1: query_list");
        let [Event::Found { result: Err(Failure::Silence), cost, .. }] = &events(effects)[..] else {
            panic!("it ends")
        };
        assert_eq!((cost.messages, cost.asked, cost.timeouts), (1, 1, 0));
    }
    let mut machine = acquainted(&[1]);
    command(&mut machine, 2, lookup(9));
    let full = Message::Nodes { request: 1, nodes: many[..NODES_MAX].to_vec() };
    assert_eq!(asked(&hear(&mut machine, 2, 1, full)), [50, 51, 52], "so many are allowed");
}

#[test]
fn values_that_no_sound_node_has_are_refused() {
    let long = vec![1; ENTRY_BYTES_MAX + 1];
    for values in [
        vec![held(5, 1, b"x"), held(5, 2, b"x")],
        vec![held(6, 1, b"x"), held(5, 1, b"x")],
        vec![held(5, 1, &long)],
        vec![Held { replicas: 0, ..held(5, 1, b"x") }],
        vec![Held { replicas: 21, ..held(5, 1, b"x") }],
        (0..=ENTRIES_MAX as u8).map(|publisher| held(publisher, 1, b"x")).collect(),
    ] {
        let mut machine = acquainted(&[1, 2]);
        if let [held] = &values[..] {
            let message = Message::Store { request: 1, node: node(1), key: id(9), held: held.clone().into() };
            let input = Input::Message { from: PeerId(1), message };
            assert_eq!(step(&mut machine, at(2), input), ["reject p1: value_form"]);
        }
        assert_eq!(asked(&command(&mut machine, 2, get(1, 3))), [1, 2]);
        let message = Message::Values { request: 1, values, nodes: vec![] };
        assert_eq!(format!("{:?}", hear(&mut machine, 2, 1, message)[0]), "reject p1: value_form");
        let message = Message::Values { request: 2, values: vec![held(5, 1, b"x")], nodes: vec![] };
        let [Event::Got { result: Ok(entries), .. }] = &events(hear(&mut machine, 2, 2, message))[..] else {
            panic!("the other one has it")
        };
        assert_eq!(entries[..], [entry(5, 1, b"x")]);
    }
}

#[test]
fn a_look_up_asks_alpha_at_a_time_and_ends_when_the_closest_have_all_answered() {
    let mut machine = acquainted(&[1, 2, 3, 4]);
    // From 9: 8 is 1 away, 1 is 8, 3 is 10, 2 is 11, 4 is 13.
    let effects = command(&mut machine, 2, lookup(9));
    let find = |request, name| {
        format!("send to p{name}: FindNode {{ request: {request}, node: 00000000…@p0, target: 09090909… }}")
    };
    assert_eq!(sends(effects), [find(1, 1), find(2, 3), find(3, 2)]);
    assert_eq!(sends(hear(&mut machine, 2, 1, answer(1, &[8]))), [find(4, 8)]);
    assert_eq!(sends(hear(&mut machine, 2, 8, answer(4, &[10, 1]))), [find(5, 10)]);
    // 3 and 2 have not answered; 4 is asked when one of those three has.
    assert_eq!(sends(hear(&mut machine, 2, 10, answer(5, &[8, 1]))), [find(6, 4)]);
    assert!(hear(&mut machine, 2, 3, answer(2, &[1])).is_empty(), "it waits");
    assert!(hear(&mut machine, 2, 4, answer(6, &[1])).is_empty(), "it waits");
    let [Event::Found { query: Query(1), result: Ok(found), cost }] =
        &events(hear(&mut machine, 2, 2, answer(3, &[])))[..]
    else {
        panic!("it ends")
    };
    // 10 is 3 away from 9, this node 9.
    assert_eq!(found[..], nodes(&[8, 10, 1, 0, 3, 2, 4]));
    assert_eq!(*cost, Cost { hops: 2, messages: 6, asked: 6, timeouts: 0 });
    assert_eq!(contacts(&machine), [8, 10, 4, 3, 2, 1], "whoever answered is a contact");
}

#[test]
fn answers_that_bring_nothing_closer_make_it_ask_all_of_the_closest() {
    let names: Vec<u8> = (1..=15).collect();
    let mut machine = acquainted(&names);
    // 8, 9 and 10 are the closest to 9.
    assert_eq!(asked(&command(&mut machine, 2, lookup(9))), [9, 8, 11]);
    assert_eq!(asked(&hear(&mut machine, 2, 9, answer(1, &[]))), [10]);
    assert_eq!(asked(&hear(&mut machine, 2, 8, answer(2, &[]))), [13]);
    let all = asked(&hear(&mut machine, 2, 11, answer(3, &[])));
    assert_eq!(all.len(), 10, "the third answer in a row was fruitless: {all:?}");
}

#[test]
fn who_does_not_answer_in_time_has_failed_and_all_of_them_are_silence() {
    let mut machine = acquainted(&[1, 2]);
    let effects = command(&mut machine, 2, lookup(9));
    assert_eq!(asked(&effects), [1, 2]);
    assert!(
        effects
            .iter()
            .any(|effect| matches!(effect, Effect::Set { timer: Timer::Request, at } if *at == Time::from_secs(7)))
    );
    let early = step(&mut machine, at(6), Input::Timer(Timer::Request));
    assert_eq!(early, ["set Request at 7.000000000s"]);
    let [Event::Found { result: Err(Failure::Silence), cost, .. }] = &events(fire(&mut machine, 7, Timer::Request))[..]
    else {
        panic!("it ends")
    };
    assert_eq!(*cost, Cost { hops: 0, messages: 2, asked: 2, timeouts: 2 });
    assert!(machine.is_idle(), "nothing is under way");
    // They are still known, and asked again since there is nobody else.
    assert_eq!(asked(&command(&mut machine, 8, lookup(9))), [1, 2]);
}

#[test]
fn a_peer_that_cannot_be_reached_fails_at_once() {
    let mut machine = acquainted(&[1, 2]);
    command(&mut machine, 2, lookup(9));
    assert!(effects(&mut machine, at(2), Input::PeerDown(PeerId(1))).is_empty(), "it waits for the other");
    let found = events(hear(&mut machine, 2, 2, answer(2, &[])));
    let [Event::Found { result: Ok(found), cost, .. }] = &found[..] else { panic!("it ends") };
    assert_eq!(found[..], nodes(&[0, 2]));
    assert_eq!((cost.messages, cost.timeouts), (2, 0));
    // One that failed is not named to others.
    let find = Message::FindNode { request: 7, node: node(3), target: id(1) };
    assert_eq!(sends(hear(&mut machine, 3, 3, find)), ["send to p3: Nodes { request: 7, nodes: [02020202…@p2] }"]);
    assert!(effects(&mut machine, at(3), Input::PeerDown(PeerId(2))).is_empty(), "nothing was asked of it");
    assert!(step(&mut machine, at(3), Input::PeerUp(PeerId(2))).is_empty());
}

#[test]
fn whoever_invents_ever_closer_nodes_is_given_up() {
    let mut machine = acquainted(&[1]);
    let mut asks: Vec<u32> = vec![1];
    command(&mut machine, 2, lookup(9));
    let mut last = vec![];
    for request in 1.. {
        let mut closer = id(9).with_turned(0);
        // Each is closer than all before: the identifier of the key with one bit turned that counts for less and less.
        closer = closer.with_turned(0).with_turned((request % 256).min(255));
        let from = asks.remove(0);
        let peer = PeerId(1_000 + request);
        let message = Message::Nodes { request, nodes: vec![Node { id: closer, peer }] };
        last = effects(&mut machine, at(2), Input::Message { from: PeerId(from), message });
        asks.extend(asked(&last));
        if asks.is_empty() {
            assert!(request <= REQUESTS_MAX, "{request} requests");
            break;
        }
    }
    assert_eq!(events(last).len(), 1, "it ends");
}

#[test]
fn more_nodes_than_a_sound_overlay_needs_are_not_asked() {
    let mut machine = acquainted(&[1]);
    command(&mut machine, 2, lookup(9));
    // Everybody who is asked names twenty new ones, each closer than all before, at a depth that does not grow fast.
    let mut rng = Rng::new(1, 0, "liars");
    let mut waiting = vec![(1, PeerId(1))];
    let (mut request, mut bits, mut result) = (1, 8, None);
    while let Some((number, from)) = waiting.pop() {
        bits = (bits + 1).min(250);
        let mut list: Vec<Node> = (0..20)
            .map(|_| {
                let mut drawn = Bytes::from(Id::draw(&mut rng));
                drawn.0[..bits / 8].copy_from_slice(&[9; 32][..bits / 8]);
                Node { id: Id::from(drawn), peer: PeerId(rng.next_u64() as u32 | 1 << 20) }
            })
            .collect();
        list.sort_by_key(|node| node.id.xor(id(9)));
        let message = Message::Nodes { request: number, nodes: list };
        let effects = effects(&mut machine, at(2), Input::Message { from, message });
        for to in asked(&effects) {
            // Some are pings to contacts of full buckets; what they are does not matter here.
            request += 1;
            waiting.push((request, PeerId(to)));
        }
        result = events(effects).pop().or(result);
        if result.is_some() {
            break;
        }
    }
    let Some(Event::Found { result: Err(Failure::Lost), cost, .. }) = result else { panic!("it is lost: {result:?}") };
    assert_eq!(cost.messages, REQUESTS_MAX);
}

#[test]
fn nothing_is_asked_of_a_node_that_has_not_joined() {
    let mut machine = machine();
    let apart = |event: &str| {
        vec![format!("emit {event} {{ query: Query(1), result: Err(Apart), cost: {:?} }}", Cost::default())]
    };
    assert_eq!(step(&mut machine, at(1), Input::Command(lookup(9))), apart("Found"));
    assert_eq!(step(&mut machine, at(1), Input::Command(put(b"x", 1, 1))), apart("Stored"));
    assert_eq!(step(&mut machine, at(1), Input::Command(get(1, 1))), apart("Got"));
    // A join that nobody answers is none.
    let via = vec![node(5), node(0), node(5)];
    assert_eq!(asked(&command(&mut machine, 1, Command::Join { via: via.clone() })), [5]);
    let busy = events(command(&mut machine, 1, Command::Join { via }));
    assert!(matches!(busy[..], [Event::Joined { result: Err(Failure::Busy), .. }]));
    let silence = events(fire(&mut machine, 6, Timer::Request));
    assert!(matches!(silence[..], [Event::Joined { result: Err(Failure::Silence), .. }]));
    assert!(!machine.is_joined(), "nobody answered");
}

#[test]
fn a_node_joins_by_looking_itself_up_and_then_refreshes_what_is_farther_than_its_closest_neighbour() {
    let mut machine = machine();
    let effects = command(&mut machine, 1, Command::Join { via: nodes(&[200]) });
    let find = "send to p200: FindNode { request: 1, node: 00000000…@p0, target: 00000000… }";
    assert_eq!(sends(effects), [find]);
    assert_eq!(asked(&hear(&mut machine, 1, 200, answer(1, &[3, 100]))), [3, 100]);
    hear(&mut machine, 1, 100, answer(3, &[]));
    let effects = hear(&mut machine, 1, 3, answer(2, &[]));
    // 200 is in the first bucket, 100 in the second, 3 in the seventh: six are farther away than the last one.
    let first = asked(&effects);
    assert_eq!(first.len(), 3, "the first bucket is refreshed");
    let [Event::Joined { result: Ok(()), cost }] = &events(effects)[..] else { panic!("it has joined") };
    assert_eq!(*cost, Cost { hops: 2, messages: 3, asked: 3, timeouts: 0 });
    let (mut request, mut refreshed) = (4, 0);
    let mut waiting: Vec<u32> = first;
    while !waiting.is_empty() {
        let from = waiting.remove(0) as u8;
        waiting.extend(asked(&hear(&mut machine, 1, from, answer(request, &[]))));
        request += 1;
        refreshed += 1;
    }
    assert_eq!(refreshed, 6 * 3, "six buckets, three nodes each");
    assert!(machine.is_idle(), "all is looked through");
    assert_eq!(asked(&fire(&mut machine, 3_600, Timer::Refresh)), [], "not yet");
    assert_eq!(asked(&fire(&mut machine, 3_602, Timer::Refresh)).len(), 3, "an hour later again");
}

/// Twenty contacts of the first bucket, which is full then.
fn full() -> Kademlia {
    acquainted(&(128..148).collect::<Vec<u8>>())
}

#[test]
fn a_newcomer_to_a_full_bucket_waits_until_the_least_recently_seen_contact_fails_twice() {
    let mut machine = full();
    let ping = |name: u8| Message::Ping { request: 1, node: node(name) };
    let pings = |machine: &mut Kademlia, now, name| sends(hear(machine, now, name, ping(name)));
    let ask = |request, to| format!("send to p{to}: Ping {{ request: {request}, node: 00000000…@p0 }}");
    let pong = |to| format!("send to p{to}: Pong {{ request: 1 }}");
    assert_eq!(pings(&mut machine, 2, 200), [ask(1, 128), pong(200)]);
    assert_eq!(pings(&mut machine, 2, 201), [pong(201)], "once a minute is enough");
    // It answers, and is the most recently seen one.
    hear(&mut machine, 3, 128, Message::Pong { request: 1 });
    assert_eq!(contacts(&machine).last(), Some(&128));
    // The next one does not.
    assert_eq!(pings(&mut machine, 70, 202), [ask(2, 129), pong(202)]);
    assert_eq!(sends(fire(&mut machine, 75, Timer::Request)), [ask(3, 129)]);
    assert!(contacts(&machine).contains(&129), "it may be that a message was lost");
    assert!(sends(fire(&mut machine, 80, Timer::Request)).is_empty());
    assert!(!contacts(&machine).contains(&129), "it gave way");
    assert_eq!(contacts(&machine).last(), Some(&202), "to who was seen last");
    assert_eq!(spares(&machine), [200, 201]);
    machine.check_all();
}

#[test]
fn spares_are_bounded_and_the_latest_stay() {
    let mut machine = full();
    for name in 200..206 {
        hear(&mut machine, 2, name, Message::Ping { request: 1, node: node(name) });
    }
    hear(&mut machine, 2, 203, Message::Ping { request: 1, node: node(203) });
    assert_eq!(spares(&machine), [202, 204, 205, 203]);
    machine.check_all();
}

#[test]
fn a_contact_that_failed_is_kept_while_nobody_waits_and_gives_way_to_the_next_who_comes() {
    let mut machine = full();
    command(&mut machine, 2, lookup(128));
    for secs in [7, 12, 17, 22, 27, 32, 37, 42] {
        fire(&mut machine, secs, Timer::Request);
    }
    assert_eq!(contacts(&machine).len(), 20, "a line that is down for a while leaves a node its contacts");
    command(&mut machine, 50, lookup(128));
    for secs in [55, 60, 65, 70, 75, 80, 85, 90] {
        fire(&mut machine, secs, Timer::Request);
    }
    hear(&mut machine, 91, 200, Message::Ping { request: 1, node: node(200) });
    assert_eq!(contacts(&machine).len(), 20);
    assert_eq!(contacts(&machine).last(), Some(&200), "there was room, since some had failed twice");
    assert!(spares(&machine).is_empty());
    machine.check_all();
}

#[test]
fn another_handle_is_believed_only_where_the_old_one_failed() {
    let mut machine = acquainted(&[1]);
    let moved = Node { peer: PeerId(77), ..node(1) };
    let ping = || Input::Message { from: PeerId(77), message: Message::Ping { request: 1, node: moved } };
    step(&mut machine, at(2), ping());
    assert_eq!(contacts(&machine), [1]);
    command(&mut machine, 2, lookup(9));
    effects(&mut machine, at(2), Input::PeerDown(PeerId(1)));
    step(&mut machine, at(3), ping());
    assert_eq!(contacts(&machine), [77]);
}

#[test]
fn a_write_is_on_disk_first_and_counts_when_enough_replicas_have_it() {
    let mut machine = acquainted(&[1, 2, 8, 11]);
    let effects = command(&mut machine, 2, put(b"x", 2, 2));
    assert_eq!(
        format!("{:?}", effects[0]),
        "persist 00/09090909…: Record { version: 1, replicas: 2, at: Time(2000000000), value: [120] }"
    );
    assert_eq!(asked(&effects), [8, 11, 1]);
    hear(&mut machine, 2, 8, answer(1, &[]));
    hear(&mut machine, 2, 11, answer(2, &[]));
    hear(&mut machine, 2, 1, answer(3, &[]));
    let effects = hear(&mut machine, 2, 2, answer(4, &[]));
    // 8 is 1 away from 9, 11 is 2, this node 9.
    let store = |request, to| {
        format!(
            "send to p{to}: Store {{ request: {request}, node: 00000000…@p0, key: 09090909…, held: Held {{ entry: 00000000…'s version 1 of 1 bytes, replicas: 2, secs: 86400 }} }}"
        )
    };
    assert_eq!(sends(effects), [store(5, 8), store(6, 11)]);
    assert!(events(hear(&mut machine, 2, 8, Message::Stored { request: 5, is_kept: true })).is_empty());
    let [Event::Stored { query: Query(1), result: Ok(2), cost }] =
        &events(hear(&mut machine, 2, 11, Message::Stored { request: 6, is_kept: true }))[..]
    else {
        panic!("both have it")
    };
    assert_eq!(*cost, Cost { hops: 1, messages: 6, asked: 4, timeouts: 0 });
    let effects = command(&mut machine, 3, put(b"y", 1, 2));
    assert!(format!("{:?}", effects[0]).contains("version: 2"), "{effects:?}");
}

#[test]
fn a_write_that_too_few_replicas_have_says_so() {
    for (says, got) in [(Some(false), 0), (None, 0)] {
        let mut machine = acquainted(&[8, 11]);
        command(&mut machine, 2, put(b"x", 2, 2));
        hear(&mut machine, 2, 8, answer(1, &[]));
        assert_eq!(asked(&hear(&mut machine, 2, 11, answer(2, &[]))), [8, 11]);
        let effects = match says {
            Some(is_kept) => hear(&mut machine, 3, 8, Message::Stored { request: 3, is_kept }),
            None => fire(&mut machine, 7, Timer::Request),
        };
        let [Event::Stored { result, .. }] = &events(effects)[..] else { panic!("it ends at once") };
        assert_eq!(*result, Err(Failure::TooFew { got, expected: 2 }));
        hear(&mut machine, 7, 11, Message::Stored { request: 4, is_kept: true });
        fire(&mut machine, 8, Timer::Request);
        fire(&mut machine, 13, Timer::Request);
        assert!(machine.is_idle(), "what is left of it is forgotten");
    }
}

#[test]
fn a_value_that_is_too_long_is_not_published() {
    let mut machine = acquainted(&[]);
    let long = vec![1; ENTRY_BYTES_MAX + 1];
    let effects = command(&mut machine, 2, put(&long, 1, 1));
    assert!(matches!(events(effects)[..], [Event::Stored { result: Err(Failure::TooLong), .. }]));
    assert!(machine.publications.is_empty(), "nor kept");
    let stored = events(command(&mut machine, 2, put(&long[1..], 1, 1)));
    assert!(matches!(stored[..], [Event::Stored { result: Ok(1), .. }]), "a byte less is not");
}

#[test]
fn a_node_alone_keeps_what_it_publishes_and_a_withdrawal_ends_it() {
    let mut machine = acquainted(&[]);
    let stored = events(command(&mut machine, 2, put(b"x", 1, 3)));
    assert!(matches!(stored[..], [Event::Stored { result: Ok(1), .. }]), "{stored:?}");
    let [Event::Got { result: Ok(entries), .. }] = &events(command(&mut machine, 2, get(1, 3)))[..] else {
        panic!("it is there")
    };
    assert_eq!(entries[..], [entry(0, 1, b"x")]);
    let more = events(command(&mut machine, 2, put(b"x", 2, 3)));
    assert!(matches!(more[..], [Event::Stored { result: Err(Failure::TooFew { got: 1, expected: 2 }), .. }]));
    command(&mut machine, 3, put(b"", 1, 3));
    let [Event::Got { result, .. }] = &events(command(&mut machine, 3, get(1, 3)))[..] else { panic!("an answer") };
    assert_eq!(*result, Err(Failure::NotFound));
    // A withdrawal is told until all copies are gone: it is forgotten when it is next due.
    let day = 3 + 22 * 3_600;
    assert!(!fire(&mut machine, day, Timer::Keep).iter().any(|effect| matches!(effect, Effect::Forget(_))));
    let effects = fire(&mut machine, day + 22 * 3_600, Timer::Keep);
    assert!(effects.iter().any(|effect| format!("{effect:?}") == "forget 00/09090909…"), "{effects:?}");
}

#[test]
fn a_read_of_one_ends_with_the_first_that_has_it_and_the_closest_that_had_not_keeps_a_copy() {
    let mut machine = acquainted(&[1, 8, 11]);
    assert_eq!(asked(&command(&mut machine, 2, get(1, 3))), [8, 11, 1]);
    assert!(hear(&mut machine, 2, 11, Message::Values { request: 2, values: vec![], nodes: nodes(&[10]) }).len() == 1);
    hear(&mut machine, 2, 8, Message::Values { request: 1, values: vec![], nodes: vec![] });
    let found = Message::Values { request: 3, values: vec![held(5, 1, b"x")], nodes: vec![] };
    let effects = hear(&mut machine, 2, 1, found);
    assert_eq!(asked(&effects), [8], "the copy");
    let [Event::Got { result: Ok(entries), cost, .. }] = &events(effects)[..] else { panic!("it is found") };
    assert_eq!(entries[..], [entry(5, 1, b"x")]);
    assert_eq!(*cost, Cost { hops: 1, messages: 4, asked: 4, timeouts: 0 });
}

#[test]
fn a_read_of_several_takes_the_latest_and_tells_those_that_have_less() {
    let mut machine = acquainted(&[8, 11, 13]);
    let values = |request, values| Message::Values { request, values, nodes: vec![] };
    command(&mut machine, 2, get(2, 3));
    hear(&mut machine, 2, 8, values(1, vec![held(5, 1, b"x"), held(6, 7, b"z")]));
    hear(&mut machine, 2, 11, values(2, vec![held(5, 2, b"y")]));
    let effects = hear(&mut machine, 2, 13, values(3, vec![held(5, 2, b"y"), held(6, 7, b"z")]));
    let told: Vec<String> = sends(effects.into_iter().filter(|effect| matches!(effect, Effect::Send { .. })).collect());
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with("send to p8: Store") && told[0].contains("05050505…'s version 2"), "{told:?}");
    assert!(told[1].starts_with("send to p11: Store") && told[1].contains("06060606…'s version 7"), "{told:?}");
}

#[test]
fn a_read_says_when_it_is_not_there_or_when_too_few_answer() {
    let mut machine = acquainted(&[8]);
    let values = |request, values| Message::Values { request, values, nodes: vec![] };
    command(&mut machine, 2, get(1, 3));
    let [Event::Got { result, .. }] = &events(hear(&mut machine, 2, 8, values(1, vec![])))[..] else {
        panic!("it ends")
    };
    assert_eq!(*result, Err(Failure::NotFound));
    command(&mut machine, 2, get(3, 3));
    let [Event::Got { result, .. }] = &events(hear(&mut machine, 2, 8, values(2, vec![held(5, 1, b"x")])))[..] else {
        panic!("it ends")
    };
    assert_eq!(*result, Err(Failure::TooFew { got: 2, expected: 3 }), "this node is a replica, too");
}

#[test]
fn what_is_stored_is_given_to_who_asks_and_lives_shorter_the_more_nodes_are_closer() {
    let store = |secs| Message::Store {
        request: 1,
        node: node(3),
        key: id(255),
        held: Held { secs, ..held(5, 1, b"x") }.into(),
    };
    // The key is in the first bucket, so that all of its contacts are closer to it.
    let mut machine = full();
    assert_eq!(sends(hear(&mut machine, 2, 3, store(1_000))), ["send to p3: Stored { request: 1, is_kept: true }"]);
    let secs = |machine: &mut Kademlia, now| {
        let find = Message::FindValue { request: 2, node: node(3), key: id(255) };
        let mut effects = hear(machine, now, 3, find);
        let Some(Effect::Send { message: Message::Values { values, .. }, .. }) = effects.pop() else {
            panic!("an answer")
        };
        values.iter().map(|held| held.secs).collect::<Vec<u32>>()
    };
    assert_eq!(secs(&mut machine, 2), [1_000]);
    assert_eq!(secs(&mut machine, 1_002), []);
    // With k = 8 twelve of the twenty are beyond it: a day becomes 86,400 / 2^12 seconds.
    let mut small = full();
    small.bounds.contacts_max = 8;
    let held = Held { secs: 86_400, ..held(5, 1, b"x") };
    assert!(small.keep(at(2), id(255), held.clone(), &mut Out::new()));
    assert_eq!(small.store.held(at(2), id(255))[0].secs, 21);
    small.bounds.contacts_max = 1;
    assert!(!small.keep(at(2), id(255), held, &mut Out::new()), "it would live less than a second");
}

#[test]
fn copies_are_brought_to_the_closest_again_unless_somebody_else_did() {
    let mut machine = acquainted(&[8, 11]);
    let store = || Message::Store {
        request: 1,
        node: node(8),
        key: id(9),
        held: Held { secs: 20_000, ..held(5, 1, b"x") }.into(),
    };
    hear(&mut machine, 2, 8, store());
    hear(&mut machine, 3_000, 8, store());
    fire(&mut machine, 4_502, Timer::Keep);
    assert!(machine.tasks.is_empty(), "it was told within the hour");
    assert_eq!(asked(&fire(&mut machine, 7_501, Timer::Keep)), [8, 11], "a look-up");
    hear(&mut machine, 7_501, 8, answer(1, &[]));
    let effects = hear(&mut machine, 7_501, 11, answer(2, &[]));
    let copies = sends(effects);
    assert_eq!(copies.len(), 2, "{copies:?}");
    assert!(copies[0].contains("Store") && copies[0].contains("secs: 15499"), "{copies:?}");
}

#[test]
fn what_was_published_is_published_again_after_a_restart() {
    let record = Record { version: 4, replicas: 1, at: at(1), value: b"x".to_vec() };
    let disk = [(Key::new(0, id(9).into()), record)];
    let mut machine = Kademlia::restore(params(), disk.into_iter());
    command(&mut machine, 5, Command::Join { via: nodes(&[8]) });
    let effects = hear(&mut machine, 5, 8, answer(1, &[]));
    assert_eq!(asked(&effects), [8, 8], "a bucket is refreshed, and the key looked up");
    let stores = sends(hear(&mut machine, 5, 8, answer(3, &[])));
    assert_eq!(stores.len(), 1, "{stores:?}");
    assert!(stores[0].contains("Store") && stores[0].contains("version 4"), "{stores:?}");
    let effects = command(&mut machine, 6, put(b"y", 1, 1));
    assert!(format!("{:?}", effects[0]).contains("version: 5"), "{effects:?}");
}

#[test]
fn many_publications_of_a_node_alone_do_not_pile_up() {
    let record = |value: &[u8]| Record { version: 1, replicas: 1, at: at(1), value: value.to_vec() };
    let disk = (0..10_000_u32).map(|number| {
        let mut name = [0; 32];
        name[..4].copy_from_slice(&number.to_be_bytes());
        (Key::new(0, Bytes(name)), record(b"x"))
    });
    let mut machine = Kademlia::restore(params(), disk);
    command(&mut machine, 5, Command::Join { via: vec![] });
    assert_eq!(machine.keys().count(), 10_000, "it is the closest to all of them");
    assert!(machine.is_idle());
}

#[test]
fn a_newcomer_is_given_what_it_is_closest_to_by_the_closest_before_it() {
    // From 9: 8 is 1 away, this node 9, 20 and 30 are farther.
    let mut machine = acquainted(&[20, 30]);
    let store = Message::Store { request: 1, node: node(20), key: id(9), held: held(5, 1, b"x").into() };
    hear(&mut machine, 2, 20, store);
    let given = sends(hear(&mut machine, 3, 8, Message::Ping { request: 1, node: node(8) }));
    assert!(given[0].starts_with("send to p8: Store"), "{given:?}");
    // 40 is not among the three closest, and from now on this node is not the closest.
    let given = sends(hear(&mut machine, 3, 40, Message::Ping { request: 1, node: node(40) }));
    assert_eq!(given, ["send to p40: Pong { request: 1 }"]);
    let given = sends(hear(&mut machine, 3, 11, Message::Ping { request: 1, node: node(11) }));
    assert_eq!(given, ["send to p11: Pong { request: 1 }"]);
}

#[test]
fn open_requests_of_the_owner_are_bounded() {
    let mut machine = acquainted(&[1]);
    for number in 0..TASKS_MAX {
        let command = Command::Lookup { query: Query(number as u64), key: id(9) };
        assert!(events(effects(&mut machine, at(2), Input::Command(command))).is_empty(), "{number}");
    }
    let [Event::Found { result: Err(Failure::Busy), .. }] = events(command(&mut machine, 2, lookup(9)))[..] else {
        panic!("it is busy")
    };
    let all = events(fire(&mut machine, 7, Timer::Request));
    assert_eq!(all.len(), TASKS_MAX, "each is answered");
    assert_eq!(asked(&command(&mut machine, 8, lookup(9))), [1]);
}

#[test]
fn an_idle_machine_is_small_beyond_its_table() {
    let mut machine = full();
    command(&mut machine, 2, lookup(128));
    for secs in [7, 12, 17, 22, 27, 32, 37, 42] {
        fire(&mut machine, secs, Timer::Request);
    }
    assert!(machine.is_idle(), "all is over");
    // The table of a node among 2^17 has seventeen buckets or a few more.
    let bytes = size_of::<Kademlia>() + size_of::<Rest>() + 20 * EXTENT_BYTES;
    assert!(bytes <= 1_000, "{bytes} bytes");
    assert_eq!(machine.tasks.capacity(), 0);
}
