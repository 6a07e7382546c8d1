use alloc::format;
use alloc::string::String;
use alloc::vec;

use synod_machine::{Effect, Wire, wire};

use super::*;
use crate::gossip::{DESCRIPTORS_MAX, Descriptor};
use crate::search::testing::{item, node, words};
use crate::search::{HITS_MAX, Hit, PAGE_MAX};
use crate::testing::{effects, step};

const NOW: Time = Time::from_secs(1_000);

fn params(own: u32, election: Election) -> Params {
    let params = Params::new(node(own), 100, Rng::new(1, u64::from(own), "super"));
    Params { election, degree: 2, leaves_max: 3, ..params }
}

fn started(params: Params) -> Superpeer {
    let mut machine = Superpeer::restore(params, core::iter::empty());
    machine.start(NOW, &mut Out::new());
    machine.check();
    machine
}

/// Peer 0, a leaf of these, which have taken it.
fn leaf(superpeers: &[u32]) -> Superpeer {
    let superpeers = superpeers.iter().map(|&number| node(number)).collect::<Vec<_>>();
    let mut machine = started(params(0, Election::Fixed { is_superpeer: false, superpeers: superpeers.clone() }));
    for superpeer in superpeers {
        step(&mut machine, NOW, says(superpeer.peer.0, Message::Attached { digest: 0 }));
    }
    machine
}

/// Peer 0, a superpeer with these leaves and these neighbours.
fn station(leaves: &[u32], links: &[u32]) -> Superpeer {
    let mut machine = started(params(0, Election::Fixed { is_superpeer: true, superpeers: vec![] }));
    with(&mut machine, leaves, links);
    machine
}

fn with(machine: &mut Superpeer, leaves: &[u32], links: &[u32]) {
    for &leaf in leaves {
        step(machine, NOW, says(leaf, attach(leaf, true, vec![])));
    }
    for &link in links {
        step(machine, NOW, says(link, Message::Link { node: node(link), capacity: 200, free: 3 }));
    }
}

fn says(from: u32, message: Message) -> Input<Superpeer> {
    Input::Message { from: PeerId(from), message }
}

fn attach(number: u32, is_first: bool, items: Vec<Item>) -> Message {
    Message::Attach { node: node(number), is_first, items }
}

fn query(id: u64, ttl: u8, hops: u8) -> Message {
    Message::Query { id, ttl, hops, question: words("fox") }
}

fn hit(id: u64, hops: u8, holder: u32) -> Message {
    Message::Hit { id, hops, hits: vec![Hit { item: item(7, "fox"), holder: node(holder) }] }
}

fn find(query: u64) -> Input<Superpeer> {
    Input::Command(Command::Find { query: Query(query), question: words("fox"), wanted: 1, options: 3 })
}

/// To whom, and what.
type Sent = Vec<(Vec<u32>, Message)>;

/// What is sent.
fn sent(machine: &mut Superpeer, now: Time, input: Input<Superpeer>) -> Sent {
    let sent = effects(machine, now, input).into_iter().filter_map(|effect| match effect {
        Effect::Broadcast { to, message } => Some((to.iter().map(|peer| peer.0).collect(), message)),
        Effect::Send { to, message } => Some((vec![to.0], message)),
        Effect::Cancel(_) | Effect::Emit(_) | Effect::Forget(_) => None,
        Effect::Persist { .. } | Effect::Reject { .. } | Effect::Set { .. } => None,
    });
    sent.collect()
}

fn last(effects: &[String]) -> &str {
    effects.last().expect("something came out")
}

#[test]
fn a_leaf_attaches_to_as_many_superpeers_as_it_shall_have_and_tells_them_what_it_shares() {
    let superpeers = vec![node(1), node(2), node(3)];
    let mut machine = started(params(0, Election::Fixed { is_superpeer: false, superpeers }));
    let out = sent(&mut machine, NOW, Input::Command(Command::Share(item(7, "fox"))));
    let [(to, message)] = &out[..] else { panic!("{out:?}") };
    assert_eq!((to.len(), message), (2, &attach(0, false, vec![item(7, "fox")])));
    let digest = u64::from_le_bytes([7; 8]);
    let mine = to[0];
    assert!(machine.superpeers().is_empty(), "nobody has said yes");
    step(&mut machine, NOW, says(mine, Message::Attached { digest }));
    assert_eq!(machine.superpeers(), [node(mine)]);
    assert!(!machine.is_registered(), "one does not know all yet");
    step(&mut machine, NOW, says(to[1], Message::Attached { digest }));
    assert!(machine.is_registered());
    assert_eq!(
        sent(&mut machine, NOW, Input::Timer(Timer::Beat)),
        [(vec![mine], Message::Ping), (vec![to[1]], Message::Ping)]
    );
    step(&mut machine, NOW, says(mine, Message::Attached { digest: 1 }));
    let again = sent(&mut machine, NOW, Input::Timer(Timer::Beat));
    assert!(again.contains(&(vec![mine], attach(0, true, vec![item(7, "fox")]))), "{again:?}");
}

#[test]
fn a_refused_leaf_goes_where_it_is_sent() {
    let mut machine = started(params(0, Election::Fixed { is_superpeer: false, superpeers: vec![node(1)] }));
    assert!(sent(&mut machine, NOW, says(1, Message::Refused(vec![node(1), node(2)]))).is_empty());
    let out = sent(&mut machine, NOW, Input::Timer(Timer::Beat));
    assert_eq!(out, [(vec![2], attach(0, true, vec![]))]);
}

#[test]
fn a_leaf_whose_superpeer_leaves_dies_or_is_silent_turns_to_another() {
    let ends: [fn(&mut Superpeer) -> Sent; 3] = [
        |machine| sent(machine, NOW, says(1, Message::Leave)),
        |machine| sent(machine, NOW, Input::PeerDown(PeerId(1))),
        |machine| {
            step(machine, NOW + Duration::from_secs(15), says(2, Message::Attached { digest: 0 }));
            sent(machine, NOW + Duration::from_secs(31), Input::Timer(Timer::Beat))
        },
    ];
    for end in ends {
        let mut machine = leaf(&[1, 2]);
        machine.learn([node(3)]);
        let out = end(&mut machine);
        assert!(out.contains(&(vec![3], attach(0, true, vec![]))), "{out:?}");
        assert_eq!(machine.superpeers(), [node(2)]);
    }
}

#[test]
fn a_leaf_asks_one_superpeer_and_the_other_when_that_is_silent() {
    let mut machine = leaf(&[1, 2]);
    let out = sent(&mut machine, NOW, find(1));
    let [(first, Message::Query { ttl: 3, hops: 0, .. })] = &out[..] else { panic!("{out:?}") };
    let out = sent(&mut machine, NOW, Input::Timer(Timer::Search(Query(1))));
    assert_eq!(out[0], (first.clone(), Message::Leave));
    let Some((second, Message::Query { id, .. })) = out.last() else { panic!("{out:?}") };
    assert_ne!(first, second);
    let (id, second) = (*id, second[0]);
    let out = step(&mut machine, NOW, says(second, Message::Hit { id, hops: 0, hits: vec![] }));
    assert_eq!(
        out,
        ["set Search(Query(1)) at 1005.000000000s"],
        "it is at work: three hops, and to it, there and back"
    );
    let out = step(&mut machine, NOW, says(second, hit(id, 2, 9)));
    assert!(
        last(&out).ends_with("cost: Cost { hops: 3, messages: 2, asked: 2, timeouts: 1 }, result: Ok(1) }"),
        "{out:?}"
    );
}

#[test]
fn a_search_of_a_leaf_that_nobody_answers_fails_and_says_why() {
    let mut machine = leaf(&[1]);
    step(&mut machine, NOW, find(1));
    let out = step(&mut machine, NOW, Input::PeerDown(PeerId(1)));
    assert!(out.iter().any(|effect| effect.ends_with("result: Err(Silence) }")), "{out:?}");
    let out = step(&mut machine, NOW, find(2));
    assert!(last(&out).ends_with("result: Err(Apart) }"), "{out:?}");
    let mut machine = leaf(&[1]);
    let out = sent(&mut machine, NOW, find(3));
    let [(_, Message::Query { id, .. })] = out[..] else { panic!("{out:?}") };
    step(&mut machine, NOW, says(1, Message::Hit { id, hops: 0, hits: vec![] }));
    let out = step(&mut machine, NOW, Input::Timer(Timer::Search(Query(3))));
    assert!(last(&out).ends_with("result: Err(NotFound) }"), "{out:?}");
}

#[test]
fn a_superpeer_answers_a_leaf_at_once_and_floods_and_others_only_if_it_has_something() {
    let mut machine = station(&[5, 6], &[1, 2]);
    let nothing = |id| Message::Hit { id, hops: 0, hits: vec![] };
    let forwarded = (vec![1, 2], query(9, 7, 0));
    assert_eq!(sent(&mut machine, NOW, says(5, query(9, 7, 0))), [(vec![5], nothing(9)), forwarded]);
    assert_eq!(sent(&mut machine, NOW, says(1, query(8, 3, 2))), [(vec![2], query(8, 2, 3))]);
    assert!(sent(&mut machine, NOW, says(2, query(8, 3, 2))).is_empty(), "it was seen");
    step(&mut machine, NOW, says(6, attach(6, false, vec![item(7, "fox")])));
    assert_eq!(sent(&mut machine, NOW, says(1, query(7, 1, 2))), [(vec![1], hit(7, 0, 6))]);
    assert_eq!(sent(&mut machine, NOW, says(2, hit(9, 3, 4))), [(vec![5], hit(9, 4, 4))], "to the leaf that asked");
    step(&mut machine, NOW, says(6, Message::Withdraw(vec![Bytes([7; 32])])));
    assert!(sent(&mut machine, NOW, says(1, query(6, 1, 2))).is_empty());
}

#[test]
fn a_superpeers_own_search_looks_at_its_leaves_first() {
    let mut machine = station(&[5], &[1, 2]);
    let out = sent(&mut machine, NOW, find(1));
    assert!(matches!(&out[..], [(to, Message::Query { ttl: 3, hops: 0, .. })] if to[..] == [1, 2]), "{out:?}");
    step(&mut machine, NOW, says(5, attach(5, true, vec![item(7, "fox")])));
    let out = step(&mut machine, NOW, find(2));
    assert!(last(&out).contains("hops: 0") && last(&out).ends_with("result: Ok(1) }"), "{out:?}");
    let out = step(&mut station(&[], &[]), NOW, find(3));
    assert!(last(&out).ends_with("result: Err(NotFound) }"), "alone it knows at once: {out:?}");
}

#[test]
fn a_leaf_too_many_and_a_stranger_are_refused_and_told_of_others() {
    let mut machine = station(&[5, 6, 7], &[1]);
    let refused = Message::Refused(vec![node(1)]);
    assert_eq!(sent(&mut machine, NOW, says(8, attach(8, true, vec![]))), [(vec![8], refused.clone())]);
    assert_eq!(sent(&mut machine, NOW, says(8, Message::Ping)), [(vec![8], refused.clone())]);
    assert_eq!(sent(&mut machine, NOW, says(8, query(9, 3, 0))), [(vec![8], refused.clone())]);
    assert_eq!(sent(&mut machine, NOW, says(8, Message::Withdraw(vec![]))), [(vec![8], refused.clone())]);
    step(&mut machine, NOW, says(5, Message::Leave));
    assert_eq!(
        sent(&mut machine, NOW, says(8, attach(8, false, vec![]))),
        [(vec![8], refused.clone())],
        "a page without the first"
    );
    assert_eq!(sent(&mut machine, NOW, says(8, attach(8, true, vec![]))), [(vec![8], Message::Attached { digest: 0 })]);
    let mut leaf = leaf(&[1]);
    let link = Message::Link { node: node(8), capacity: 1, free: 1 };
    for message in [attach(8, true, vec![]), Message::Ping, query(9, 3, 0), link] {
        assert_eq!(sent(&mut leaf, NOW, says(8, message)), [(vec![8], refused.clone())]);
    }
}

#[test]
fn neighbours_are_sought_up_to_the_degree_and_taken_up_to_twice_as_many() {
    let superpeers = [1, 2, 3].map(node).to_vec();
    let mut machine =
        Superpeer::restore(params(0, Election::Fixed { is_superpeer: true, superpeers }), core::iter::empty());
    let mut out = Out::new();
    machine.start(NOW, &mut out);
    let asked = out.drain().filter(|effect| matches!(effect, Effect::Send { message: Message::Link { .. }, .. }));
    assert_eq!(asked.count(), 2);
    let mut machine = station(&[], &[1, 2, 3, 4]);
    let link = Message::Link { node: node(5), capacity: 1, free: 1 };
    assert!(matches!(sent(&mut machine, NOW, says(5, link))[..], [(_, Message::Refused(_))]));
    assert_eq!(machine.superpeers().len(), 4);
}

#[test]
fn nobody_is_in_two_roles() {
    let mut machine = station(&[5], &[1]);
    step(&mut machine, NOW, says(5, Message::Link { node: node(5), capacity: 1, free: 1 }));
    assert_eq!((machine.leaves(), machine.superpeers().len()), (vec![], 2), "a leaf that links is a superpeer now");
    step(&mut machine, NOW, says(1, attach(1, true, vec![])));
    assert_eq!((machine.leaves(), machine.superpeers()), (vec![PeerId(1)], vec![node(5)]));
}

#[test]
fn silent_leaves_and_neighbours_are_forgotten() {
    let mut machine = station(&[5, 6], &[1, 2]);
    let later = NOW + Duration::from_secs(20);
    step(&mut machine, later, says(6, Message::Ping));
    step(&mut machine, later, says(2, Message::Linked { capacity: 9, free: 1 }));
    step(&mut machine, NOW + Duration::from_secs(31), Input::Timer(Timer::Beat));
    assert_eq!((machine.leaves(), machine.superpeers()), (vec![PeerId(6)], vec![node(2)]));
}

fn elected(own: u32, capacity: u32) -> Superpeer {
    let params = Params { capacity, ..params(own, Election::ByCapacity(Rule::DEFAULT)) };
    started(params)
}

/// Until when a leaf without superpeers stays one, in seconds.
fn patience(capacity: u32, start: Time) -> u64 {
    let mut machine = elected(0, capacity);
    for wait in 0..200 {
        step(&mut machine, start + Duration::from_secs(wait), Input::Timer(Timer::Beat));
        if machine.is_superpeer() {
            return wait;
        }
    }
    200
}

#[test]
fn who_finds_no_superpeer_becomes_one_the_sooner_the_more_it_can_and_the_longer_it_is_up() {
    let old = NOW + Rule::DEFAULT.uptime_min;
    let (fit, young, weak) = (patience(100, old), patience(100, NOW + Duration::from_secs(5)), patience(1, old));
    assert!((5..=10).contains(&fit), "{fit}");
    assert!((20..=40).contains(&young), "{young}");
    assert!((65..=130).contains(&weak), "{weak}");
}

#[test]
fn a_leaf_with_a_superpeer_does_not_stand_and_begins_to_count_anew_when_it_has_none() {
    let mut machine = elected(0, 100);
    machine.learn([node(1)]);
    let mut now = NOW + Rule::DEFAULT.uptime_min;
    step(&mut machine, now, Input::Timer(Timer::Beat));
    for _ in 0..20 {
        step(&mut machine, now, says(1, Message::Attached { digest: 0 }));
        now = now + Duration::from_secs(10);
        step(&mut machine, now, Input::Timer(Timer::Beat));
        assert!(!machine.is_superpeer());
    }
    step(&mut machine, now, says(1, Message::Leave));
    step(&mut machine, now + Duration::from_secs(4), Input::Timer(Timer::Beat));
    assert!(!machine.is_superpeer(), "the time is drawn when the last one is gone");
}

/// A superpeer by its own decision, long ago, with these leaves, and a neighbour of this capacity that takes so many.
fn settled(capacity: u32, leaves: &[u32], neighbour: u32, free: u16) -> (Superpeer, Time) {
    let mut machine = elected(3, capacity);
    machine.promote(NOW, &mut Out::new());
    let now = NOW + Rule::DEFAULT.role_min;
    with(&mut machine, leaves, &[]);
    for &leaf in leaves {
        step(&mut machine, now, says(leaf, Message::Ping));
    }
    step(&mut machine, now, says(9, Message::Link { node: node(9), capacity: neighbour, free }));
    (machine, now)
}

#[test]
fn a_superpeer_with_few_leaves_steps_down_where_a_better_one_has_room() {
    let table = [
        ((100, 200, 3), true, "a better one has room for two and itself"),
        ((100, 100, 3), true, "as good, with a higher identifier"),
        ((100, 99, 3), false, "it is the best of the neighbourhood"),
        ((100, 200, 2), false, "there is no room for all"),
    ];
    for ((capacity, neighbour, free), steps_down, why) in table {
        let (mut machine, now) = settled(capacity, &[5, 6], neighbour, free);
        let out = sent(&mut machine, now, Input::Timer(Timer::Beat));
        assert_eq!(!machine.is_superpeer(), steps_down, "{why}");
        assert_eq!(out.contains(&(vec![5, 6, 9], Message::Leave)), steps_down, "{out:?}");
        assert_eq!(out.contains(&(vec![9], attach(3, true, vec![]))), steps_down, "{out:?}");
    }
    let (mut machine, now) = settled(100, &[5, 6], 200, 3);
    step(&mut machine, now - Duration::from_secs(1), Input::Timer(Timer::Beat));
    assert!(machine.is_superpeer(), "a role is kept for a time");
}

#[test]
fn a_superpeer_with_more_neighbours_than_it_seeks_lets_one_go_at_each_beat() {
    let mut machine = elected(0, 100);
    machine.promote(NOW, &mut Out::new());
    with(&mut machine, &[], &[1, 2, 3]);
    let out = sent(&mut machine, NOW, Input::Timer(Timer::Beat));
    assert_eq!(out.iter().filter(|(_, message)| *message == Message::Leave).count(), 1, "{out:?}");
    assert_eq!(machine.superpeers().len(), 2);
}

#[test]
fn who_seeks_asks_an_acquaintance_and_is_told_of_superpeers() {
    let mut machine = elected(0, 100);
    step(&mut machine, NOW, Input::PeerUp(PeerId(4)));
    assert_eq!(sent(&mut machine, NOW, Input::Timer(Timer::Beat)), [(vec![4], Message::Seek)]);
    let out = sent(&mut machine, NOW, says(4, Message::Advice(vec![node(4), node(5)])));
    let mut to: Vec<u32> = out.iter().map(|(to, _)| to[0]).collect();
    to.sort_unstable();
    assert_eq!(to, [4, 5], "{out:?}");
    let mut station = station(&[], &[1]);
    assert_eq!(sent(&mut station, NOW, says(9, Message::Seek)), [(vec![9], Message::Advice(vec![node(0), node(1)]))]);
}

#[test]
fn a_leaf_tells_its_superpeers_of_strangers_and_they_become_neighbours() {
    let mut machine = elected(0, 100);
    step(&mut machine, NOW, Input::PeerUp(PeerId(4)));
    step(&mut machine, NOW, Input::Timer(Timer::Beat));
    step(&mut machine, NOW, says(4, Message::Advice(vec![node(5), node(6)])));
    step(&mut machine, NOW, says(5, Message::Attached { digest: 0 }));
    step(&mut machine, NOW, says(6, Message::Attached { digest: 0 }));
    let mut sought = vec![];
    while sought != [(vec![4], Message::Seek)] {
        sought =
            sent(&mut machine, NOW, Input::Timer(Timer::Beat)).into_iter().filter(|(to, _)| to[..] == [4]).collect();
    }
    let news = Message::Advice(vec![node(7)]);
    let out = sent(&mut machine, NOW, says(4, Message::Advice(vec![node(5), node(7)])));
    assert!(matches!(&out[..], [(to, said)] if to.len() == 2 && *said == news), "{out:?}");
    let link = Message::Link { node: node(0), capacity: 100, free: 2 };
    assert_eq!(sent(&mut station(&[8], &[]), NOW, says(8, news)), [(vec![7], link)]);
}

#[test]
fn bad_input_is_refused_with_its_reason() {
    let entry = Descriptor { peer: node(1), age: 0 };
    let page = vec![item(7, "fox"); PAGE_MAX + 1];
    let hits = vec![Hit { item: item(7, "fox"), holder: node(1) }; HITS_MAX + 1];
    let link = |number| Message::Link { node: node(number), capacity: 1, free: 1 };
    let table = [
        (attach(9, true, vec![]), "node_foreign"),
        (attach(1, true, page), "query_list"),
        (link(9), "node_foreign"),
        (query(5, 0, 0), "query_hops"),
        (query(5, 255, 0), "query_hops"),
        (query(5, 255, 255), "query_hops"),
        (query(5, 7, 1), "query_hops"),
        (hit(5, 8, 9), "query_hops"),
        (hit(5, 255, 9), "query_hops"),
        (hit(5, 0, 9), "unsolicited"),
        (Message::Hit { id: 5, hops: 0, hits }, "query_list"),
        (Message::Advice(vec![node(9)]), "unsolicited"),
        (Message::Advice(vec![node(9); NODES_MAX + 1]), "query_list"),
        (Message::Refused(vec![node(9); NODES_MAX + 1]), "query_list"),
        (Message::Refused(vec![]), "unsolicited"),
        (Message::Withdraw(vec![Bytes::ZERO; PAGE_MAX + 1]), "query_list"),
        (Message::Shuffle(vec![entry]), "unsolicited"),
        (Message::Shuffled(vec![entry; DESCRIPTORS_MAX + 1]), "unsolicited"),
    ];
    for (message, reason) in table {
        let mut machine = station(&[5], &[4]);
        let out = step(&mut machine, NOW, says(1, message.clone()));
        assert_eq!(out, [format!("reject p1: {reason}")], "{message:?}");
    }
    for message in [Message::Attached { digest: 0 }, Message::Linked { capacity: 1, free: 1 }] {
        let out = step(&mut leaf(&[1]), NOW, says(9, message));
        assert_eq!(out, ["reject p9: unsolicited", "send to p9: Leave"]);
    }
    let mut machine = station(&[5], &[4]);
    step(&mut machine, NOW, says(4, query(9, 3, 0)));
    let nothing = Message::Hit { id: 9, hops: 0, hits: vec![] };
    assert_eq!(step(&mut machine, NOW, says(4, nothing)), ["reject p4: query_list"], "only a leaf is told of nothing");
}

#[test]
fn messages_are_these_bytes_and_know_their_length() {
    let long = |number: u8| [vec![32], vec![number; 32]].concat();
    let item_bytes = [long(7), b"\x03fox\x03fox\x64".to_vec()].concat();
    let entry = vec![Descriptor { peer: node(9), age: 2 }];
    let table = [
        (Message::Advice(vec![node(8)]), [vec![0, 1], long(8), vec![8]].concat()),
        (attach(8, true, vec![item(7, "fox")]), [vec![1], long(8), vec![8, 1, 1], item_bytes.clone()].concat()),
        (Message::Attached { digest: 300 }, vec![2, 251, 44, 1]),
        (hit(5, 3, 8), [vec![3, 5, 3, 1], item_bytes, long(8), vec![8]].concat()),
        (Message::Leave, vec![4]),
        (Message::Link { node: node(8), capacity: 300, free: 2 }, [vec![5], long(8), vec![8, 251, 44, 1, 2]].concat()),
        (Message::Linked { capacity: 9, free: 300 }, vec![6, 9, 251, 44, 1]),
        (Message::Ping, vec![7]),
        (query(5, 7, 2), b"\x08\x05\x07\x02\x02\x03fox".to_vec()),
        (Message::Refused(vec![node(8)]), [vec![9, 1], long(8), vec![8]].concat()),
        (Message::Seek, vec![10]),
        (Message::Shuffle(entry.clone()), [vec![11, 1], long(9), vec![9, 2]].concat()),
        (Message::Shuffled(entry), [vec![12, 1], long(9), vec![9, 2]].concat()),
        (Message::Withdraw(vec![Bytes([7; 32])]), [vec![13, 1], long(7)].concat()),
    ];
    let kinds = [
        "advice", "attach", "attached", "hit", "leave", "link", "linked", "ping", "query", "refused", "seek",
        "shuffle", "shuffled", "withdraw",
    ];
    for ((message, bytes), kind) in table.into_iter().zip(kinds) {
        assert_eq!(wire::encode(&message), bytes, "{message:?}");
        assert_eq!(message.encoded_len(), bytes.len(), "{message:?}");
        assert_eq!(message.kind(), format!("super_{kind}"));
        assert_eq!(message.clone().map(&mut |node| node), message);
        assert_eq!(wire::decode(&bytes), Ok(message));
    }
}
