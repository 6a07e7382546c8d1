use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use synod_machine::{Effect, Wire, wire};

use super::*;
use crate::overlay::Id;
use crate::testing::{effects, step};

const NOW: Time = Time::from_secs(100);

fn node(number: u32) -> Node {
    Node { id: Id::from(Bytes([number as u8; 32])), peer: PeerId(number) }
}

fn machine() -> Content {
    Content::restore(node(0), core::iter::empty())
}

fn says(from: u32, message: Message) -> Input<Content> {
    Input::Message { from: PeerId(from), message }
}

fn content(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|place| (place / 7) as u8).collect()
}

fn item(content: &[u8]) -> Item {
    Item::new(hash_of(content), "grey fox", "", content.len() as u64).expect("a short name")
}

fn question() -> Question {
    Question::words("fox").expect("there are words")
}

fn fetch(item: &Item, holders: &[u32]) -> Input<Content> {
    let holders = holders.iter().map(|&holder| node(holder)).collect();
    Input::Command(Command::Fetch { query: Query(7), item: item.clone(), holders })
}

fn failed(failure: &str, cost: &str) -> String {
    format!("emit Fetched {{ query: Query(7), result: Err({failure}), cost: Cost {{ {cost} }} }}")
}

#[test]
fn a_content_goes_to_disk_in_pieces_and_its_item_comes_last() {
    let bytes = content(PIECE_BYTES + 5);
    let add = Command::Add { ticket: 3, item: item(&bytes), bytes: bytes.clone() };
    let mut machine = machine();
    let out = effects(&mut machine, NOW, Input::Command(add));
    let lengths: Vec<(bool, usize)> = out
        .iter()
        .filter_map(|effect| match effect {
            Effect::Persist { key, record: Record::Piece(bytes) } => Some((key.is_cold(), bytes.len())),
            Effect::Persist { key, record: Record::Item(_) } => Some((key.is_cold(), 0)),
            _ => None,
        })
        .collect();
    assert_eq!(lengths, [(true, PIECE_BYTES), (true, 5), (false, 0)]);
    assert!(matches!(out.last(), Some(Effect::Emit(Event::Added { ticket: 3, result: Ok(()), .. }))));
    assert_eq!(machine.sources(&hash_of(&bytes)).map(|sources| sources.len()), Some(2));
    // What is on disk is shared after a restart.
    let records = out.into_iter().filter_map(|effect| match effect {
        Effect::Persist { key, record } if !key.is_cold() => Some((key, record)),
        _ => None,
    });
    let again = Content::restore(node(0), records.collect::<Vec<_>>().into_iter());
    assert_eq!(again.stored().cloned().collect::<Vec<_>>(), [item(&bytes)]);
}

#[test]
fn what_cannot_be_kept_is_refused() {
    let mut machine = machine();
    let add = |bytes: Vec<u8>| Input::Command(Command::Add { ticket: 1, item: item(&bytes), bytes });
    let out = step(&mut machine, NOW, add(vec![]));
    assert!(out[0].ends_with("result: Err(Empty) }"), "{out:?}");
    let out = step(&mut machine, NOW, add(vec![1; CONTENT_BYTES_MAX as usize + 1]));
    assert!(out[0].ends_with("result: Err(TooLong) }"), "{}", out[0].len());
    for number in 0..ITEMS_MAX as u64 {
        let hash = hash_of(&number.to_le_bytes());
        let item = Item::new(hash, "x", "", 1).expect("a name");
        machine.handle(NOW, Input::Command(Command::Offer(item)), &mut Out::new());
    }
    machine.check();
    let out = step(&mut machine, NOW, add(vec![1]));
    assert!(out[0].ends_with("result: Err(Full) }"), "{out:?}");
}

#[test]
fn pieces_are_read_and_sent_and_what_is_not_there_is_said_to_be_so() {
    let bytes = content(PIECE_BYTES + 5);
    let hash = hash_of(&bytes);
    let mut machine = machine();
    step(&mut machine, NOW, Input::Command(Command::Add { ticket: 3, item: item(&bytes), bytes: bytes.clone() }));
    let out = effects(&mut machine, NOW, says(4, Message::Get { request: 9, hash, piece: 1 }));
    let [Effect::Emit(Event::Load { ticket, source: Source::Disk(_) })] = &out[..] else { panic!("{out:?}") };
    let loaded = Command::Loaded { ticket: *ticket, bytes: Some(vec![1, 2, 3]) };
    assert_eq!(
        step(&mut machine, NOW, Input::Command(loaded.clone())),
        ["send to p4: Piece { request: 9, bytes: [1, 2, 3] }"]
    );
    assert!(step(&mut machine, NOW, Input::Command(loaded)).is_empty(), "it was answered");
    let out = step(&mut machine, NOW, says(4, Message::Get { request: 9, hash, piece: 2 }));
    assert_eq!(out, ["reject p4: query_list"]);
    let out = step(&mut machine, NOW, says(4, Message::Get { request: 9, hash: Bytes([1; 32]), piece: 0 }));
    assert_eq!(out, ["send to p4: Piece { request: 9, bytes: [] }"]);
    step(&mut machine, NOW, Input::Command(Command::Remove(hash)));
    let out = step(&mut machine, NOW, says(4, Message::Get { request: 9, hash, piece: 0 }));
    assert_eq!(out, ["send to p4: Piece { request: 9, bytes: [] }"]);
}

#[test]
fn the_owners_content_is_cut_into_pieces() {
    let bytes = content(PIECE_BYTES + 5);
    let mut machine = machine();
    step(&mut machine, NOW, Input::Command(Command::Offer(item(&bytes))));
    let get = Message::Get { request: 9, hash: hash_of(&bytes), piece: 1 };
    let out = effects(&mut machine, NOW, says(4, get));
    let [Effect::Emit(Event::Load { ticket, source: Source::Owner(_) })] = &out[..] else { panic!("{out:?}") };
    let loaded = Command::Loaded { ticket: *ticket, bytes: Some(bytes.clone()) };
    let out = effects(&mut machine, NOW, Input::Command(loaded));
    let [Effect::Send { message: Message::Piece { bytes: sent, .. }, .. }] = &out[..] else { panic!("{out:?}") };
    assert_eq!(sent[..], bytes[PIECE_BYTES..]);
}

#[test]
fn loads_are_bounded_and_forgotten_with_whom_they_are_for() {
    let bytes = content(5);
    let mut machine = machine();
    step(&mut machine, NOW, Input::Command(Command::Offer(item(&bytes))));
    let get = || says(4, Message::Get { request: 9, hash: hash_of(&bytes), piece: 0 });
    (0..LOADS_MAX).for_each(|_| drop(step(&mut machine, NOW, get())));
    assert_eq!(step(&mut machine, NOW, get()), ["send to p4: Piece { request: 9, bytes: [] }"]);
    step(&mut machine, NOW, Input::PeerDown(PeerId(4)));
    assert!(step(&mut machine, NOW, get())[0].starts_with("emit Load"));
}

#[test]
fn a_content_is_fetched_piece_by_piece_from_the_first_who_gives_it() {
    let bytes = content(PIECE_BYTES + 5);
    let item = item(&bytes);
    let mut machine = machine();
    let out = step(&mut machine, NOW, fetch(&item, &[4, 5, 6]));
    assert!(out[0].starts_with("send to p4: Get { request: 1, ") && out[0].ends_with("piece: 0 }"), "{out:?}");
    assert_eq!(out[1], "set Expire at 105.000000000s");
    let piece = |request: u32, bytes: &[u8]| Message::Piece { request, bytes: bytes.to_vec() };
    // It does not have it: the next is asked.
    let out = step(&mut machine, NOW, says(4, piece(1, &[])));
    assert!(out[0].starts_with("send to p5: Get { request: 2, "), "{out:?}");
    let out = step(&mut machine, NOW, says(5, piece(2, &bytes[..PIECE_BYTES])));
    assert!(out[0].starts_with("send to p5: Get { request: 3, ") && out[0].ends_with("piece: 1 }"), "{out:?}");
    // Another content than was asked for.
    let out = step(&mut machine, NOW, says(5, piece(3, &[9; 5])));
    assert_eq!(out[0], "reject p5: content_hash");
    assert!(out[1].starts_with("send to p6: Get { request: 4, ") && out[1].ends_with("piece: 0 }"), "{out:?}");
    step(&mut machine, NOW, says(6, piece(4, &bytes[..PIECE_BYTES])));
    let out = effects(&mut machine, NOW, says(6, piece(5, &bytes[PIECE_BYTES..])));
    let [Effect::Emit(Event::Fetched { query: Query(7), result: Ok((got, holder)), cost })] = &out[..] else {
        panic!("{out:?}")
    };
    assert_eq!((got, *holder), (&bytes, node(6)));
    assert_eq!(*cost, Cost { hops: 1, messages: 5, asked: 3, timeouts: 0 });
}

#[test]
fn a_fetch_ends_when_nobody_gives_it() {
    let bytes = content(5);
    let item = item(&bytes);
    // (holders, what happens, why it fails, what it cost)
    let silence = || Input::Timer(Timer::Expire);
    let gone = || Input::PeerDown(PeerId(4));
    let none = || says(4, Message::Piece { request: 1, bytes: vec![] });
    let short = || says(4, Message::Piece { request: 1, bytes: vec![1; 4] });
    let later = NOW + PIECE_WAIT;
    let cases: [(Input<Content>, Time, &str, &str); 4] = [
        (silence(), later, "Silence", "hops: 1, messages: 1, asked: 1, timeouts: 1"),
        (gone(), NOW, "Silence", "hops: 1, messages: 1, asked: 1, timeouts: 1"),
        (none(), NOW, "NotFound", "hops: 1, messages: 1, asked: 1, timeouts: 0"),
        (short(), NOW, "NotFound", "hops: 1, messages: 1, asked: 1, timeouts: 0"),
    ];
    for (input, at, failure, cost) in cases {
        let mut machine = machine();
        step(&mut machine, NOW, fetch(&item, &[4]));
        let out = step(&mut machine, at, input);
        assert_eq!(out.last(), Some(&failed(failure, cost)));
    }
    let mut machine = machine();
    let nothing = "hops: 0, messages: 0, asked: 0, timeouts: 0";
    assert_eq!(step(&mut machine, NOW, fetch(&item, &[0])), [failed("NotFound", nothing)], "nobody but this peer");
    let long = Item { bytes: CONTENT_BYTES_MAX + 1, ..item.clone() };
    assert_eq!(step(&mut machine, NOW, fetch(&long, &[4])), [failed("TooLong", nothing)]);
    (0..REQUESTS_MAX).for_each(|_| drop(step(&mut machine, NOW, fetch(&item, &[4]))));
    assert_eq!(step(&mut machine, NOW, fetch(&item, &[4])), [failed("Busy", nothing)]);
    let out = step(&mut machine, later, silence());
    assert_eq!(out.len(), REQUESTS_MAX, "all end");
}

#[test]
fn peers_are_asked_what_they_have_and_the_silent_are_not_waited_for_longer_than_that() {
    let mut machine = machine();
    let ask = |whom: &[u32]| {
        let whom = whom.iter().map(|&peer| node(peer)).collect();
        Input::Command(Command::Ask { query: Query(7), question: question(), whom })
    };
    let out = step(&mut machine, NOW, ask(&[0, 4, 5]));
    assert!(out[0].starts_with("broadcast to [p4, p5]: Ask { request: 1, "), "{out:?}");
    let have = |items: Vec<Item>| Message::Have { request: 1, items };
    assert!(step(&mut machine, NOW, says(4, have(vec![item(&[1])]))).is_empty());
    assert_eq!(step(&mut machine, NOW, says(4, have(vec![]))), ["reject p4: unsolicited"]);
    let out = effects(&mut machine, NOW + ASK_WAIT, Input::Timer(Timer::Expire));
    let hits = vec![Hit { item: item(&[1]), holder: node(4) }];
    let cost = Cost { hops: 1, messages: 2, asked: 2, timeouts: 1 };
    let [Effect::Emit(event)] = &out[..] else { panic!("{out:?}") };
    assert_eq!(*event, Event::Answered { query: Query(7), result: Ok(hits), cost });
    // What is no answer, and what was not asked for.
    step(&mut machine, NOW, ask(&[4]));
    let other = Item::new(Bytes([1; 32]), "red hen", "", 1).expect("a name");
    let out = step(&mut machine, NOW, says(4, Message::Have { request: 2, items: vec![other] }));
    assert_eq!(out[0], "reject p4: query_list");
    assert!(out[1].contains("result: Err(Silence)"), "{out:?}");
    assert_eq!(step(&mut machine, NOW, says(4, have(vec![]))), ["reject p4: unsolicited"]);
    let piece = Message::Piece { request: 2, bytes: vec![1] };
    assert_eq!(step(&mut machine, NOW, says(4, piece)), ["reject p4: unsolicited"]);
    let out = step(&mut machine, NOW, ask(&[0]));
    assert!(out[0].contains("result: Err(NotFound)"), "{out:?}");
}

#[test]
fn a_question_is_answered_with_what_is_there() {
    let mut machine = machine();
    step(&mut machine, NOW, Input::Command(Command::Offer(item(&[1]))));
    let out = effects(&mut machine, NOW, says(4, Message::Ask { request: 2, question: question() }));
    let [Effect::Send { message: Message::Have { request: 2, items }, .. }] = &out[..] else { panic!("{out:?}") };
    assert_eq!(items[..], [item(&[1])]);
}

#[test]
fn messages_and_records_are_these_bytes() {
    let hash = Bytes([7; 32]);
    let mut get = vec![1, 3, 32];
    get.extend([7; 32]);
    get.push(2);
    let item = Item::new(hash, "a", "", 9).expect("a name");
    let mut shown = vec![32];
    shown.extend([7; 32]);
    shown.extend([1, b'a', 1, b'a', 9]);
    let cases = [
        (Message::Ask { request: 3, question: Question::words("a").expect("a word") }, vec![0, 3, 2, 1, b'a']),
        (Message::Get { request: 3, hash, piece: 2 }, get),
        (Message::Have { request: 3, items: vec![item.clone()] }, [vec![2, 3, 1], shown.clone()].concat()),
        (Message::Piece { request: 3, bytes: vec![5, 6] }, vec![3, 3, 2, 5, 6]),
    ];
    for (message, bytes) in cases {
        assert_eq!(wire::encode(&message), bytes, "{message:?}");
        assert_eq!(message.encoded_len(), bytes.len(), "{message:?}");
        assert_eq!(wire::decode(&bytes), Ok(message));
    }
    let longest = Message::Piece { request: u32::MAX, bytes: vec![0; PIECE_BYTES] };
    assert_eq!(longest.encoded_len(), Message::BYTES_MAX);
    for (record, bytes) in
        [(Record::Item(item), [vec![0], shown].concat()), (Record::Piece(vec![5, 6]), vec![1, 2, 5, 6])]
    {
        assert_eq!(wire::encode(&record), bytes);
        assert_eq!(record.encoded_len(), bytes.len());
        assert_eq!(wire::decode(&bytes), Ok(record));
    }
}
