//! What is stored: quorums, repair, hand-over, disk.

use super::*;
use crate::overlay::{ENTRIES_MAX, ENTRY_BYTES_MAX, Failure};

const SECOND: Duration = Duration::from_secs(1);

fn sent(to: u8, message: &Message) -> String {
    alloc::format!("send to p{to}: {message:?}")
}

fn told(event: &Event) -> String {
    alloc::format!("emit {event:?}")
}

fn entry(publisher: u8, version: u64) -> Entry {
    Entry { publisher: id(publisher), version, value: vec![7] }
}

fn kept(key: u8, entries: Vec<Entry>) -> String {
    alloc::format!("persist {:?}: {:?}", record_key(id(key)), Record(entries))
}

fn quorum(needed: u8, replicas: u8) -> Quorum {
    Quorum::new(needed, replicas).expect("a quorum that can be")
}

fn put(key: u8, entry: Entry, quorum: Quorum) -> Command {
    Command::Put { query: Query(1), key: id(key), entry, quorum }
}

fn get(key: u8, quorum: Quorum) -> Command {
    Command::Get { query: Query(1), key: id(key), quorum }
}

fn cost(messages: u32, asked: u32, timeouts: u32) -> Cost {
    Cost { hops: 0, messages, asked, timeouts }
}

fn was_put(result: Result<u8, Failure>, cost: Cost) -> String {
    told(&Event::Put { query: Query(1), result, cost })
}

fn got(result: Result<Vec<Entry>, Failure>, cost: Cost) -> String {
    told(&Event::Got { query: Query(1), result, cost })
}

fn store(number: u32, key: u8, entries: Vec<Entry>) -> Message {
    Message::Store { number, key: id(key), entries }
}

/// A member that keeps an entry under each of these keys.
/// It looks at them long before its first round.
fn keeper(keys: &[u8]) -> Bench {
    let mut bench = Bench::member_with(Params { repair: SECOND * 2, ..params(100) });
    for key in keys {
        bench.say(9, store(1, *key, vec![entry(9, 1)]));
    }
    bench
}

#[test]
fn a_write_goes_to_the_owner_and_those_after_it_and_succeeds_when_enough_have_it() {
    let mut bench = Bench::member();
    let first = bench.number() + 1;
    // The owner is this node: what it keeps is on disk before anybody is told.
    assert_eq!(
        bench.command(put(60, entry(9, 1), quorum(2, 3))),
        [
            kept(60, vec![entry(9, 1)]),
            sent(120, &store(first, 60, vec![entry(9, 1)])),
            sent(160, &store(first + 1, 60, vec![entry(9, 1)])),
        ]
    );
    let stored = |number, kept| Message::Stored { number, kept };
    assert_eq!(bench.say(120, stored(first, true)), [was_put(Ok(2), cost(2, 2, 0))]);
    assert_eq!(bench.say(160, stored(first + 1, true)), Vec::<String>::new());
    assert!(bench.chord().jobs.is_empty());
    assert_eq!(bench.chord().entries(id(60)), [entry(9, 1)]);
}

#[test]
fn an_idle_node_is_small_and_keeps_no_room_for_what_is_over() {
    let look_up = Command::Lookup { query: Query(1), key: id(15), style: Style::Iterative };
    for command in [look_up, get(15, quorum(1, 1)), put(15, entry(1, 1), quorum(1, 1))] {
        let mut bench = Bench::member();
        bench.command(command);
        assert!(!bench.chord().jobs.is_empty());
        bench.pass(SECOND * 20);
        assert_eq!(bench.chord().jobs.capacity(), 0);
    }
    let bytes = size_of::<Chord>() + size_of::<Rest>();
    assert!(bytes <= 600, "{bytes} bytes");
}

#[test]
fn a_write_that_too_few_take_fails_and_says_how_many_did() {
    let mut bench = Bench::member();
    let first = bench.number() + 1;
    bench.command(put(60, entry(9, 1), quorum(2, 2)));
    let refused = Message::Stored { number: first, kept: false };
    let failure = Failure::TooFew { got: 1, expected: 2 };
    assert_eq!(bench.say(120, refused), [was_put(Err(failure), cost(1, 1, 0))]);
    let long = Entry { value: vec![7; ENTRY_BYTES_MAX + 1], ..entry(9, 1) };
    let failure = Failure::TooFew { got: 0, expected: 1 };
    assert_eq!(bench.command(put(60, long, quorum(1, 1))), [was_put(Err(failure), Cost::default())]);
}

#[test]
fn replicas_that_are_silent_are_replaced_by_the_next() {
    let mut bench = Bench::member();
    let first = bench.number() + 1;
    bench.command(put(60, entry(9, 1), quorum(3, 3)));
    bench.say(120, Message::Stored { number: first, kept: true });
    let seen = bench.pass(SECOND / 2);
    assert_eq!(seen, [sent(220, &store(first + 2, 60, vec![entry(9, 1)]))], "160 gives way to 220");
    let answer = bench.say(220, Message::Stored { number: first + 2, kept: true });
    assert_eq!(answer, [was_put(Ok(3), cost(3, 3, 1))]);
}

#[test]
fn a_read_gives_the_latest_of_what_replicas_have_and_mends_those_that_had_less() {
    let mut bench = keeper(&[60]);
    let first = bench.number() + 1;
    let fetch = |number| Message::Fetch { number, key: id(60) };
    assert_eq!(bench.command(get(60, quorum(2, 3))), [sent(120, &fetch(first)), sent(160, &fetch(first + 1))]);
    let latest = vec![entry(8, 1), entry(9, 2)];
    let fetched = Message::Fetched { number: first, entries: latest.clone() };
    assert_eq!(bench.say(120, fetched), [got(Ok(latest.clone()), cost(2, 2, 0))]);
    // The last one has nothing. It is given all, and so is this node itself.
    let fetched = Message::Fetched { number: first + 1, entries: vec![] };
    let mend = store(first + 2, 60, latest.clone());
    assert_eq!(bench.say(160, fetched), [kept(60, latest), sent(160, &mend)]);
    assert_eq!(bench.say(160, Message::Stored { number: first + 2, kept: true }), Vec::<String>::new());
}

#[test]
fn nothing_is_there_only_when_all_have_said_so() {
    let mut bench = Bench::member();
    let first = bench.number() + 1;
    bench.command(get(60, quorum(1, 3)));
    let nothing = |number| Message::Fetched { number, entries: vec![] };
    assert_eq!(bench.say(120, nothing(first)), Vec::<String>::new());
    assert_eq!(bench.say(160, nothing(first + 1)), [got(Err(Failure::NotFound), cost(2, 2, 0))]);
}

#[test]
fn entries_that_nobody_may_store_are_refused() {
    let long = Entry { value: vec![7; ENTRY_BYTES_MAX + 1], ..entry(9, 1) };
    let longest = Entry { value: vec![7; ENTRY_BYTES_MAX], ..entry(9, 1) };
    let many: Vec<Entry> = (0..=ENTRIES_MAX as u8).map(|publisher| entry(publisher, 1)).collect();
    let table = [
        (vec![long], Reject::ValueForm),
        (vec![entry(9, 1), entry(9, 2)], Reject::QueryList),
        (vec![entry(9, 1), entry(8, 1)], Reject::QueryList),
        (many.clone(), Reject::QueryList),
    ];
    let mut bench = Bench::member();
    for (entries, reason) in table {
        assert_eq!(bench.say(9, store(1, 60, entries.clone())), rejected(9, reason));
        bench.command(get(60, quorum(1, 2)));
        let number = bench.number();
        let seen = bench.say(120, Message::Fetched { number, entries });
        assert_eq!(seen[..1], rejected(120, reason));
        bench.pass(SECOND);
    }
    let mut bench = Bench::member();
    let stored = |kept| sent(9, &Message::Stored { number: 1, kept });
    assert_eq!(bench.say(9, store(1, 60, vec![longest.clone()])), [kept(60, vec![longest]), stored(true)]);
    let most = many[..ENTRIES_MAX].to_vec();
    assert_eq!(bench.say(9, store(1, 61, most.clone())), [kept(61, most), stored(true)]);
    assert_eq!(bench.say(9, store(1, 61, vec![entry(99, 1)])), [stored(false)], "so many publishers are enough");
    // A version that is not newer changes nothing.
    assert_eq!(bench.say(9, store(1, 61, vec![entry(0, 1)])), [stored(true)]);
}

#[test]
fn keys_are_bounded() {
    let mut entries = Entries::default();
    for key in 0..KEYS_MAX as u32 {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&key.to_be_bytes());
        entries.insert(Id::from(Bytes(bytes)), vec![entry(9, 1)]);
    }
    assert_eq!(entries.merge(Id::MAX, &[entry(9, 1)]), entries::Kept::Full);
    assert_eq!(entries.merge(id(0), &[entry(9, 2)]), entries::Kept::Changed);
    entries.check();
}

#[test]
fn a_node_that_comes_before_is_offered_the_keys_that_are_its_own_now() {
    let mut bench = keeper(&[10, 40, 60, 90]);
    let first = bench.number() + 1;
    let digest = entries::digest(&[entry(9, 1)]);
    let seen = bench.say(70, Message::Stabilise { number: 1, node: node(70), seen: 0 });
    let offer = Message::Offer { number: first, keys: vec![(id(40), digest), (id(60), digest)] };
    assert!(seen.contains(&sent(70, &offer)), "{seen:?}");
    // It has the first already.
    let wanted = Message::Wanted { number: first, keys: 0b10 };
    assert_eq!(bench.say(70, wanted), [sent(70, &store(first + 1, 60, vec![entry(9, 1)]))]);
    bench.say(70, Message::Stored { number: first + 1, kept: true });
    // As its successor this node is a replica and keeps them.
    assert_eq!(bench.chord().keys().count(), 4);
    assert_eq!(bench.chord().handover.tasks(), 0);
}

#[test]
fn an_offer_is_answered_with_a_bit_for_each_key_that_is_missing_or_different() {
    let mut bench = keeper(&[40]);
    let same = entries::digest(&[entry(9, 1)]);
    let offer = Message::Offer { number: 3, keys: vec![(id(40), same), (id(60), same), (id(61), 0)] };
    assert_eq!(bench.say(20, offer), [sent(20, &Message::Wanted { number: 3, keys: 0b110 })]);
    let long = |count: u8| Message::Offer { number: 3, keys: (0..count).map(|key| (id(key), 0)).collect() };
    assert_eq!(bench.say(20, long(OFFERED_MAX as u8 + 1)), rejected(20, Reject::QueryList));
    assert_eq!(bench.say(20, long(OFFERED_MAX as u8)), [sent(20, &Message::Wanted { number: 3, keys: u32::MAX })]);
}

#[test]
fn what_was_not_offered_cannot_be_wanted() {
    let mut bench = keeper(&[40]);
    bench.say(70, Message::Stabilise { number: 1, node: node(70), seen: 0 });
    let wanted = Message::Wanted { number: bench.number(), keys: 0b10 };
    assert_eq!(bench.say(70, wanted), rejected(70, Reject::QueryList));
    assert_eq!(bench.chord().handover.tasks(), 0);
}

#[test]
fn an_owner_offers_its_keys_to_its_replicas_now_and_then() {
    let mut bench = keeper(&[60]);
    let seen: Vec<String> = bench.pass(SECOND * 3);
    let offers: Vec<&String> = seen.iter().filter(|text| text.contains("Offer")).collect();
    assert!(offers.iter().any(|text| text.starts_with("send to p120")), "{seen:?}");
}

/// Replicas of 10 are 20, 100 and 120; of 200: 220, 20 and 100; of 110: 120, 160 and 220, and not this node.
#[test]
fn what_belongs_to_others_is_given_to_them_and_forgotten_where_this_node_is_no_replica() {
    let mut bench = keeper(&[110]);
    let digest = entries::digest(&[entry(9, 1)]);
    let mut seen = vec![];
    while seen.is_empty() {
        assert!(bench.now < Time::ZERO + SECOND * 3, "it looks at what it has");
        seen = bench.pass(SECOND / 10);
    }
    let number = bench.number();
    assert_eq!(seen, [sent(120, &Message::Offer { number, keys: vec![(id(110), digest)] })]);
    let handed = bench.say(120, Message::Wanted { number, keys: 1 });
    assert_eq!(handed, [sent(120, &store(number + 1, 110, vec![entry(9, 1)]))]);
    let forgotten = alloc::format!("forget {:?}", record_key(id(110)));
    assert_eq!(bench.say(120, Message::Stored { number: number + 1, kept: true }), [forgotten]);
    assert_eq!(bench.chord().keys().count(), 0);
}

#[test]
fn who_leaves_hands_its_keys_to_its_successor_first() {
    let mut bench = keeper(&[40, 60]);
    let number = bench.number() + 1;
    let digest = entries::digest(&[entry(9, 1)]);
    let offer = Message::Offer { number, keys: vec![(id(40), digest), (id(60), digest)] };
    assert_eq!(bench.command(Command::Leave), [sent(120, &offer)]);
    assert!(bench.chord().is_member(), "it is still asked");
    bench.say(120, Message::Wanted { number, keys: 0b01 });
    let stored = bench.say(120, Message::Stored { number: number + 1, kept: true });
    assert_eq!(stored, [sent(20, &Message::Leave), sent(120, &Message::Leave), told(&Event::Left)]);
}

#[test]
fn what_was_kept_is_there_again_after_a_restart() {
    let disk = [(record_key(id(60)), Record(vec![entry(9, 3)]))];
    let chord = Chord::restore(params(100), disk.into_iter());
    assert_eq!(chord.entries(id(60)), [entry(9, 3)]);
    assert_eq!(chord.keys().collect::<Vec<Id>>(), [id(60)]);
    assert!(!chord.is_member());
}
