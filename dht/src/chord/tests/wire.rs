//! Messages on the wire: golden bytes, lengths, bounds.

use synod_machine::{Wire, wire};

use super::*;
use crate::overlay::{ENTRIES_MAX, ENTRY_BYTES_MAX};

/// An identifier's bytes: its length and itself.
fn id_bytes(place: u8) -> Vec<u8> {
    let mut bytes = vec![0; 33];
    (bytes[0], bytes[1]) = (32, place);
    bytes
}

fn node_bytes(place: u8) -> Vec<u8> {
    [id_bytes(place), vec![place]].concat()
}

fn entry() -> Entry {
    Entry { publisher: id(9), version: 2, value: vec![5, 6] }
}

fn every_message() -> Vec<(Message, &'static str, Vec<u8>)> {
    let entry_bytes = [id_bytes(9), vec![2, 2, 5, 6]].concat();
    let with = |parts: &[&[u8]]| parts.concat();
    let (n, k) = (node_bytes(7), id_bytes(3));
    let long = 0x0102_0304_0506_0708_u64;
    let long_bytes = [253, 8, 7, 6, 5, 4, 3, 2, 1];
    vec![
        (Message::Between { node: node(7) }, "chord_between", with(&[&[0], &n])),
        (Message::Fetch { number: 300, key: id(3) }, "chord_fetch", with(&[&[1, 251, 44, 1], &k])),
        (Message::Fetched { number: 1, entries: vec![entry()] }, "chord_fetched", with(&[&[2, 1, 1], &entry_bytes])),
        (Message::Hello { node: node(7) }, "chord_hello", with(&[&[3], &n])),
        (Message::Helpless { number: 1 }, "chord_helpless", vec![4, 1]),
        (Message::Leave, "chord_leave", vec![5]),
        (Message::Next { number: 1, node: node(7) }, "chord_next", with(&[&[6, 1], &n])),
        (Message::Offer { number: 1, keys: vec![(id(3), long)] }, "chord_offer", with(&[&[7, 1, 1], &k, &long_bytes])),
        (Message::Owner { number: 1, node: node(7), more: nodes(&[7]) }, "chord_owner", with(&[&[8, 1], &n, &[1], &n])),
        (Message::Ping { number: 1 }, "chord_ping", vec![9, 1]),
        (Message::Pong { number: 1, predecessor: None }, "chord_pong", vec![10, 1, 0]),
        (Message::Pong { number: 1, predecessor: Some(node(7)) }, "chord_pong", with(&[&[10, 1, 1], &n])),
        (
            Message::Route { token: long, origin: node(7), key: id(3), count: 2, hops: 4 },
            "chord_route",
            with(&[&[11], &long_bytes, &n, &k, &[2, 4]]),
        ),
        (
            Message::Routed { token: long, hops: 4, node: node(7), more: vec![] },
            "chord_routed",
            with(&[&[12], &long_bytes, &[4], &n, &[0]]),
        ),
        (Message::Same { number: 1 }, "chord_same", vec![13, 1]),
        (
            Message::Stable { number: 1, version: 300, predecessor: None, successors: nodes(&[7, 7]) },
            "chord_stable",
            with(&[&[14, 1, 251, 44, 1, 0, 2], &n, &n]),
        ),
        (Message::Stabilise { number: 1, node: node(7), seen: 2 }, "chord_stabilise", with(&[&[15, 1], &n, &[2]])),
        (
            Message::Step { number: 1, key: id(3), count: 2, avoid: vec![id(3)] },
            "chord_step",
            with(&[&[16, 1], &k, &[2, 1], &k]),
        ),
        (
            Message::Store { number: 1, key: id(3), entries: vec![entry()] },
            "chord_store",
            with(&[&[17, 1], &k, &[1], &entry_bytes]),
        ),
        (Message::Stored { number: 1, kept: true }, "chord_stored", vec![18, 1, 1]),
        (Message::Table { number: 1 }, "chord_table", vec![19, 1]),
        (Message::Tabled { number: 1, fingers: nodes(&[7]) }, "chord_tabled", with(&[&[20, 1, 1], &n])),
        (Message::Wanted { number: 1, keys: 5 }, "chord_wanted", vec![21, 1, 5]),
    ]
}

#[test]
fn messages_are_these_bytes_and_know_their_kind_and_length() {
    for (message, kind, bytes) in every_message() {
        assert_eq!(wire::encode(&message), bytes, "{message:?}");
        assert_eq!(wire::decode(&bytes), Ok(message.clone()), "{message:?}");
        assert_eq!((message.kind(), message.encoded_len()), (kind, bytes.len()), "{message:?}");
    }
}

#[test]
fn what_any_message_will_touch_can_be_named_by_any_node() {
    let own = Message::Step { number: 1, key: id(100), count: 1, avoid: vec![] };
    for bench in [Bench::apart(params(100)), Bench::member()] {
        for message in every_message().into_iter().map(|(message, ..)| message).chain([own.clone()]) {
            for glance in [Glance::First, Glance::Second] {
                bench.chord().foresee(&message, glance, |line| assert!(!line.is_null()));
            }
        }
    }
}

#[test]
fn contacts_take_the_place_of_nodes_and_give_it_back() {
    for (message, _, bytes) in every_message() {
        let mut count = 0;
        let away: Message<Bytes<4>> = message.clone().map(&mut |node: Node| {
            count += 1;
            Bytes(node.peer.0.to_le_bytes())
        });
        let node_bytes = bytes.windows(34).filter(|window| *window == node_bytes(7)).count();
        assert_eq!(count, node_bytes, "every node of {message:?} is given to the host");
        let home = away.map(&mut |bytes: Bytes<4>| node(bytes.0[0]));
        assert_eq!(home, message);
    }
}

#[test]
fn the_longest_messages_are_as_long_as_is_allowed_or_shorter_and_one_is_that_long() {
    let far = Node { id: Id::MAX, peer: PeerId(u32::MAX) };
    let entry = Entry { publisher: Id::MAX, version: u64::MAX, value: vec![7; ENTRY_BYTES_MAX] };
    let number = u32::MAX;
    let store: Message = Message::Store { number, key: Id::MAX, entries: vec![entry; ENTRIES_MAX] };
    assert_eq!(wire::encode(&store).len(), <Message as Wire>::BYTES_MAX);
    let others: [Message; 5] = [
        Message::Tabled { number, fingers: vec![far; FINGERS_SENT_MAX] },
        Message::Stable { number, version: u32::MAX, predecessor: Some(far), successors: vec![far; SUCCESSORS_MAX] },
        Message::Offer { number, keys: vec![(Id::MAX, u64::MAX); OFFERED_MAX] },
        Message::Step { number, key: Id::MAX, count: u8::MAX, avoid: vec![Id::MAX; AVOIDED_MAX] },
        Message::Routed { token: u64::MAX, hops: u8::MAX, node: far, more: vec![far; 20] },
    ];
    for message in others {
        assert!(wire::encode(&message).len() <= <Message as Wire>::BYTES_MAX, "{}", message.kind());
        assert_eq!(wire::decode(&wire::encode(&message)), Ok(message));
    }
}

#[test]
fn a_record_is_its_entries() {
    let record = Record(vec![entry()]);
    let bytes = [vec![1], id_bytes(9), vec![2, 2, 5, 6]].concat();
    assert_eq!(wire::encode(&record), bytes);
    assert_eq!((record.kind(), record.encoded_len()), ("chord_entries", bytes.len()));
    let entry = Entry { publisher: Id::MAX, version: u64::MAX, value: vec![7; ENTRY_BYTES_MAX] };
    assert_eq!(wire::encode(&Record(vec![entry; ENTRIES_MAX])).len(), Record::BYTES_MAX);
}
