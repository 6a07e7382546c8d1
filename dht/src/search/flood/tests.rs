use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use synod_machine::{Effect, Wire, wire};

use super::*;
use crate::gossip::{DESCRIPTORS_MAX, Descriptor, SEEN_TIME_MIN};
use crate::search::testing::{item, node, words};
use crate::testing::{effects, step};

const NOW: Time = Time::from_secs(100);

/// Peer 0, linked with these.
fn machine(links: impl IntoIterator<Item = u32>) -> FloodSearch {
    let mut machine = FloodSearch::restore(Params::new(node(0), Rng::new(1, 0, "flood")), core::iter::empty());
    for link in links {
        assert!(step(&mut machine, NOW, Input::PeerUp(PeerId(link))).is_empty());
    }
    machine
}

fn sharing(links: impl IntoIterator<Item = u32>, name: &str) -> FloodSearch {
    let mut machine = machine(links);
    step(&mut machine, NOW, Input::Command(Command::Share(item(7, name))));
    machine
}

fn find(query: u64, wanted: u16, options: Strategy) -> Input<FloodSearch> {
    Input::Command(Command::Find { query: Query(query), question: words("fox"), wanted, options })
}

fn says(from: u32, message: Message) -> Input<FloodSearch> {
    Input::Message { from: PeerId(from), message }
}

fn query(id: u64, ttl: u8, hops: u8) -> Message {
    Message::Query { id, ttl, hops, question: words("fox") }
}

fn hit(id: u64, hops: u16, holder: u32) -> Message {
    Message::Hit { id, hops, hits: vec![Hit { item: item(7, "fox"), holder: node(holder) }] }
}

fn walk(left: u16, hops: u16, check_every: u8) -> Message {
    Message::Walk(Walk { id: 5, asker: node(9), left, hops, check_every, question: words("fox") })
}

/// What is sent: to whom, and in short what.
fn sent(machine: &mut FloodSearch, now: Time, input: Input<FloodSearch>) -> Vec<(Vec<u32>, Message)> {
    let sent = effects(machine, now, input).into_iter().filter_map(|effect| match effect {
        Effect::Broadcast { to, message } => Some((to.iter().map(|peer| peer.0).collect(), message)),
        Effect::Send { to, message } => Some((vec![to.0], message)),
        Effect::Cancel(_) | Effect::Emit(_) | Effect::Forget(_) => None,
        Effect::Persist { .. } | Effect::Reject { .. } | Effect::Set { .. } => None,
    });
    sent.collect()
}

/// The name of the query that a search sent first.
fn begin(machine: &mut FloodSearch, wanted: u16, strategy: Strategy) -> u64 {
    match &sent(machine, NOW, find(1, wanted, strategy))[0].1 {
        Message::Query { id, .. } => *id,
        Message::Walk(walk) => walk.id,
        other => panic!("{other:?}"),
    }
}

/// The last effect in words: how a search ended.
fn last(effects: &[String]) -> &str {
    effects.last().expect("something came out")
}

#[test]
fn a_query_goes_to_all_neighbours_and_its_end_is_set() {
    let mut machine = machine([1, 2]);
    let out = step(&mut machine, NOW, find(1, 1, Strategy::flood(3)));
    assert!(out[0].starts_with("broadcast to [p1, p2]: Query { id: "), "{out:?}");
    assert!(out[0].ends_with(r#", ttl: 3, hops: 0, question: Words(Words("fox")) }"#), "{out:?}");
    assert_eq!(out[1..], ["set Search(Query(1)) at 103.000000000s"], "three hops there and back, half a second each");
    let out = step(&mut machine, NOW, Input::Timer(Timer::Search(Query(1))));
    let cost = "Cost { hops: 0, messages: 2, asked: 2, timeouts: 0 }";
    let ended = format!("emit Ended {{ query: Query(1), cost: {cost}, result: Err(NotFound) }}");
    assert_eq!(out, ["cancel Search(Query(1))".into(), ended]);
}

#[test]
fn a_query_is_answered_and_forwarded_once_but_not_back_and_forgotten_after_a_time() {
    let mut machine = sharing([1, 2, 3], "red fox");
    let hits = vec![Hit { item: item(7, "red fox"), holder: node(0) }];
    let answer = (vec![1], Message::Hit { id: 5, hops: 0, hits });
    assert_eq!(sent(&mut machine, NOW, says(1, query(5, 3, 2))), [answer.clone(), (vec![2, 3], query(5, 2, 3))]);
    assert!(sent(&mut machine, NOW, says(2, query(5, 3, 2))).is_empty(), "it was seen");
    assert_eq!(sent(&mut machine, NOW, says(2, query(6, 1, 6))).len(), 1, "at its end it is answered only");
    let later = NOW + 2 * SEEN_TIME_MIN;
    assert_eq!(sent(&mut machine, later, says(1, query(5, 3, 2))).len(), 2);
    step(&mut machine, later, Input::Command(Command::Unshare(Bytes([7; 32]))));
    assert!(sent(&mut machine, later, says(1, query(7, 1, 0))).is_empty());
}

#[test]
fn a_hit_goes_back_by_the_way_of_its_query() {
    let mut machine = machine([1, 2]);
    step(&mut machine, NOW, says(1, query(5, 3, 0)));
    assert_eq!(sent(&mut machine, NOW, says(2, hit(5, 0, 2))), [(vec![1], hit(5, 1, 2))]);
    assert_eq!(sent(&mut machine, NOW, says(2, hit(5, 4, 8))), [(vec![1], hit(5, 5, 8))]);
    assert_eq!(step(&mut machine, NOW, says(2, hit(6, 0, 2))), ["reject p2: unsolicited"]);
}

#[test]
fn a_hit_is_told_once_and_the_search_ends_with_as_many_as_are_wanted() {
    let mut machine = machine([1, 2]);
    let id = begin(&mut machine, 2, Strategy::flood(3));
    let out = step(&mut machine, NOW, says(1, hit(id, 2, 8)));
    assert_eq!(out.len(), 1);
    assert!(out[0].starts_with("emit Hit { query: Query(1), hit: Hit { item: Item { hash: 07070707"), "{out:?}");
    assert!(out[0].ends_with("holder: 08080808…@p8 }, hops: 2 }"), "{out:?}");
    assert!(step(&mut machine, NOW, says(2, hit(id, 1, 8))).is_empty(), "by another way");
    let out = step(&mut machine, NOW, says(2, hit(id, 0, 2)));
    assert!(
        last(&out).ends_with("cost: Cost { hops: 2, messages: 2, asked: 2, timeouts: 0 }, result: Ok(2) }"),
        "{out:?}"
    );
    assert!(step(&mut machine, NOW, says(2, hit(id, 1, 5))).is_empty(), "it is over");
}

#[test]
fn an_expanding_ring_floods_further_until_enough_is_found() {
    let mut machine = machine([1]);
    assert_eq!(Strategy::ring(1, 2, 7), Strategy::Floods(vec![1, 3, 5, 7]));
    let id = begin(&mut machine, 2, Strategy::ring(1, 2, 5));
    assert_eq!(step(&mut machine, NOW, says(1, hit(id, 0, 1))).len(), 1);
    for ttl in [3, 5] {
        let next = sent(&mut machine, NOW, Input::Timer(Timer::Search(Query(1))));
        let [(_, Message::Query { ttl: next, .. })] = next[..] else { panic!("{next:?}") };
        assert_eq!(next, ttl);
        assert!(step(&mut machine, NOW, says(1, hit(id, 0, 1))).is_empty(), "the first ring's hits still count once");
    }
    let out = step(&mut machine, NOW, Input::Timer(Timer::Search(Query(1))));
    assert!(last(&out).ends_with("messages: 3, asked: 1, timeouts: 0 }, result: Ok(1) }"), "{out:?}");
}

#[test]
fn depths_beyond_the_bounds_are_not_used() {
    let mut machine = machine([1]);
    let options = Strategy::Floods((0..=DEPTHS_MAX as u8).map(|_| 255).collect());
    let first = sent(&mut machine, NOW, find(1, 1, options));
    assert!(matches!(first[..], [(_, Message::Query { ttl: 7, .. })]), "{first:?}");
    for _ in 1..DEPTHS_MAX {
        assert_eq!(sent(&mut machine, NOW, Input::Timer(Timer::Search(Query(1)))).len(), 1);
    }
    assert!(last(&step(&mut machine, NOW, Input::Timer(Timer::Search(Query(1))))).contains("NotFound"));
}

#[test]
fn a_search_without_neighbours_one_too_many_and_one_under_a_used_name_fail_at_once() {
    let out = step(&mut machine([]), NOW, find(1, 1, Strategy::flood(3)));
    assert!(last(&out).ends_with("result: Err(Apart) }"), "{out:?}");
    let mut machine = machine([1]);
    for query in 0..super::super::OPEN_MAX as u64 {
        assert_eq!(step(&mut machine, NOW, find(query, 1, Strategy::flood(3))).len(), 2);
    }
    let out = step(&mut machine, NOW, find(99, 1, Strategy::flood(3)));
    assert!(last(&out).ends_with("result: Err(Busy) }"), "{out:?}");
    step(&mut machine, NOW, Input::Timer(Timer::Search(Query(5))));
    let out = step(&mut machine, NOW, find(6, 1, Strategy::flood(3)));
    assert!(last(&out).ends_with("result: Err(Busy) }"), "{out:?}");
    assert_eq!(step(&mut machine, NOW, find(99, 1, Strategy::flood(3))).len(), 2);
}

#[test]
fn walkers_take_one_neighbour_each_and_their_finds_go_to_the_asker() {
    let mut machine = machine([1, 2, 3]);
    let options = Strategy::Walks { walkers: 4, hops_max: 10, check_every: 2 };
    let walkers = sent(&mut machine, NOW, find(1, 1, options));
    let mut to: Vec<u32> = walkers.iter().map(|(to, _)| to[0]).collect();
    to.sort_unstable();
    to.dedup();
    assert_eq!((walkers.len(), to), (4, vec![1, 2, 3]));

    let mut machine = sharing([1, 2], "fox");
    let hits = vec![Hit { item: item(7, "fox"), holder: node(0) }];
    let answer = (vec![9], Message::Hit { id: 5, hops: 2, hits });
    assert_eq!(sent(&mut machine, NOW, says(1, walk(5, 2, 4))), [answer.clone(), (vec![2], walk(4, 3, 4))]);
    assert_eq!(sent(&mut machine, NOW, says(1, walk(1, 2, 4))), [answer], "it ends here");
}

#[test]
fn a_walker_asks_whether_to_go_on_and_ends_without_an_answer() {
    let mut machine = machine([1, 2]);
    assert_eq!(sent(&mut machine, NOW, says(1, walk(5, 3, 4))), [(vec![9], Message::Check { id: 5 })]);
    let checked = |goes_on| Message::Checked { id: 5, goes_on };
    assert_eq!(step(&mut machine, NOW, says(8, checked(true))), ["reject p8: unsolicited"], "it is not the asker");
    assert_eq!(sent(&mut machine, NOW, says(9, checked(true))), [(vec![2], walk(4, 4, 4))]);
    assert_eq!(step(&mut machine, NOW, says(9, checked(true))), ["reject p9: unsolicited"]);
    step(&mut machine, NOW, says(1, walk(5, 3, 4)));
    assert!(step(&mut machine, NOW, says(9, checked(false))).is_empty());
    step(&mut machine, NOW, says(1, walk(5, 3, 4)));
    assert!(step(&mut machine, NOW, Input::PeerDown(PeerId(9))).is_empty());
    assert_eq!(step(&mut machine, NOW, says(9, checked(true))), ["reject p9: unsolicited"]);
}

#[test]
fn the_asker_says_go_on_while_the_search_is_open_and_no_oftener_than_walkers_may_ask() {
    let mut machine = machine([1]);
    let id = begin(&mut machine, 1, Strategy::Walks { walkers: 2, hops_max: 4, check_every: 2 });
    let check = || says(8, Message::Check { id });
    let answer = |goes_on| (vec![8], Message::Checked { id, goes_on });
    for _ in 0..4 {
        assert_eq!(sent(&mut machine, NOW, check()), [answer(true)]);
    }
    assert_eq!(sent(&mut machine, NOW, check()), [answer(false)], "two walkers ask twice each");
    let out = step(&mut machine, NOW, says(8, hit(id, 3, 8)));
    assert!(last(&out).contains("result: Ok(1)"), "{out:?}");
    assert_eq!(sent(&mut machine, NOW, check()), [answer(false)]);
}

#[test]
fn walkers_that_wait_are_bounded_and_give_way_when_they_are_old() {
    let mut machine = machine([1]);
    for _ in 0..HELD_MAX {
        assert_eq!(sent(&mut machine, NOW, says(1, walk(5, 3, 4))).len(), 1);
    }
    assert!(sent(&mut machine, NOW, says(1, walk(5, 3, 4))).is_empty());
    assert_eq!(sent(&mut machine, NOW + Duration::from_secs(4), says(1, walk(5, 3, 4))).len(), 1);
}

#[test]
fn neighbours_by_sampling_begin_with_the_bootstrap_and_are_swapped() {
    let sampling = Sampling::new(vec![node(0), node(1)]);
    let params = Params { sampling: Some(sampling), ..Params::new(node(0), Rng::new(1, 0, "flood")) };
    let mut machine = FloodSearch::restore(params, core::iter::empty());
    assert_eq!(machine.neighbours(), [PeerId(1)], "nobody is their own neighbour");
    let entry = |number| Descriptor { peer: node(number), age: 0 };
    let out = sent(&mut machine, NOW, says(2, Message::Shuffle(vec![entry(3), entry(2)])));
    assert_eq!(out, [(vec![2], Message::Shuffled(vec![entry(1)]))]);
    assert_eq!(machine.neighbours(), [1, 3, 2].map(PeerId));
    let asked = sent(&mut machine, NOW, Input::Timer(Timer::Shuffle));
    let Message::Shuffle(mine) = &asked[0].1 else { panic!("{asked:?}") };
    assert_eq!(mine.last(), Some(&entry(0)), "the sender comes last");
    let other = if asked[0].0 == [3] { 2 } else { 3 };
    assert_eq!(
        step(&mut machine, NOW, says(other, Message::Shuffled(vec![]))),
        [format!("reject p{other}: unsolicited")]
    );
    assert!(step(&mut machine, NOW, says(asked[0].0[0], Message::Shuffled(vec![]))).is_empty());
    step(&mut machine, NOW, Input::PeerDown(PeerId(2)));
    assert!(!machine.neighbours().contains(&PeerId(2)));
}

#[test]
fn bad_input_is_refused_with_its_reason() {
    let entry = |number| Descriptor { peer: node(number), age: 0 };
    let many = vec![Hit { item: item(7, "fox"), holder: node(1) }; HITS_MAX + 1];
    let table = [
        (query(5, 0, 0), "query_hops"),
        (query(5, 255, 0), "query_hops"),
        (query(5, 255, 255), "query_hops"),
        (query(5, 8, 0), "query_hops"),
        (query(5, 1, 7), "query_hops"),
        (hit(6, 7, 8), "query_hops"),
        (hit(6, u16::MAX, 8), "query_hops"),
        (hit(6, 0, 8), "node_foreign"),
        (hit(5, 0, 1), "unsolicited"),
        (Message::Hit { id: 5, hops: 0, hits: vec![] }, "query_list"),
        (Message::Hit { id: 5, hops: 0, hits: many }, "query_list"),
        (walk(0, 3, 4), "query_hops"),
        (walk(5, 3, 0), "query_hops"),
        (walk(1_024, 1, 4), "query_hops"),
        (walk(u16::MAX, u16::MAX, 4), "query_hops"),
        (walk(5, 0, 4), "node_foreign"),
        (Message::Checked { id: 5, goes_on: true }, "unsolicited"),
        (Message::Shuffle(vec![entry(1)]), "unsolicited"),
        (Message::Shuffled(vec![entry(1)]), "unsolicited"),
    ];
    for (message, reason) in table {
        let mut machine = machine([1]);
        step(&mut machine, NOW, says(2, query(6, 1, 6)));
        assert_eq!(step(&mut machine, NOW, says(1, message.clone())), [format!("reject p1: {reason}")], "{message:?}");
    }
    let params = Params { sampling: Some(Sampling::new(vec![])), ..Params::new(node(0), Rng::new(1, 0, "flood")) };
    let table = [
        (vec![entry(1); DESCRIPTORS_MAX + 1], "query_list"),
        (vec![], "node_foreign"),
        (vec![entry(1), entry(2)], "node_foreign"),
    ];
    for (descriptors, reason) in table {
        let mut machine = FloodSearch::restore(params.clone(), core::iter::empty());
        let message = Message::Shuffle(descriptors);
        assert_eq!(step(&mut machine, NOW, says(1, message)), [format!("reject p1: {reason}")]);
    }
}

#[test]
fn an_answer_to_another_question_and_one_for_somebody_else_are_refused() {
    let mut machine = machine([1]);
    let id = begin(&mut machine, 1, Strategy::flood(3));
    let hits = vec![Hit { item: item(7, "hen"), holder: node(1) }];
    let wrong = Message::Hit { id, hops: 0, hits };
    assert_eq!(step(&mut machine, NOW, says(1, wrong)), ["reject p1: unsolicited"]);
    assert!(step(&mut machine, NOW, says(1, hit(id, 2, 0))).is_empty(), "what this peer shares itself is no news");
    let mut machine = self::machine([1]);
    let id = begin(&mut machine, 1, Strategy::walks());
    assert_eq!(
        step(&mut machine, NOW, says(1, hit(id, 3, 8))),
        ["reject p1: node_foreign"],
        "walkers' finds come at first hand"
    );
}

#[test]
fn messages_are_these_bytes_and_know_their_length() {
    let listed = |head: &[u8], number: u8| {
        let mut bytes = head.to_vec();
        bytes.push(32);
        bytes.extend([number; 32]);
        bytes
    };
    let hit_bytes = [listed(&[2, 5, 3, 1], 7), b"\x03fox\x03fox\x64".to_vec(), listed(&[], 8), vec![8]].concat();
    let walk_bytes = [listed(&[6, 5], 9), vec![9, 4, 3, 2, 2, 3], b"fox".to_vec()].concat();
    let entry = vec![Descriptor { peer: node(9), age: 2 }];
    let table = [
        (Message::Check { id: 5 }, vec![0, 5]),
        (Message::Checked { id: 5, goes_on: true }, vec![1, 5, 1]),
        (hit(5, 3, 8), hit_bytes),
        (query(300, 7, 2), [vec![3, 251, 44, 1, 7, 2, 2, 3], b"fox".to_vec()].concat()),
        (Message::Shuffle(entry.clone()), [listed(&[4, 1], 9), vec![9, 2]].concat()),
        (Message::Shuffled(entry), [listed(&[5, 1], 9), vec![9, 2]].concat()),
        (walk(4, 3, 2), walk_bytes),
    ];
    let kinds = ["check", "checked", "hit", "query", "shuffle", "shuffled", "walk"];
    for ((message, bytes), kind) in table.into_iter().zip(kinds) {
        assert_eq!(wire::encode(&message), bytes, "{message:?}");
        assert_eq!(message.encoded_len(), bytes.len(), "{message:?}");
        assert_eq!(message.kind(), format!("flood_{kind}"));
        assert_eq!(message.clone().map(&mut |node| node), message);
        assert_eq!(wire::decode(&bytes), Ok(message));
    }
}

#[test]
fn the_longest_message_is_allowed() {
    let node = Node { id: crate::Id::MAX, peer: PeerId(u32::MAX) };
    let (name, words) = ("n".repeat(128), "w".repeat(121));
    let item = crate::search::Item::new(Bytes::ZERO, &name, &words, u64::MAX).expect("an item");
    let hits = vec![Hit { item, holder: node }; HITS_MAX];
    let longest: Message = Message::Hit { id: u64::MAX, hops: u16::MAX, hits };
    assert_eq!(longest.encoded_len(), Message::<Node>::BYTES_MAX);
    assert_eq!(wire::decode(&wire::encode(&longest)), Ok(longest));
}
