use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;

use synod_machine::Effect;

use super::*;
use crate::gossip::SEEN_TIME_MIN;
use crate::testing::{Note, effects, id, step};

const NOW: Time = Time::from_secs(1);

fn machine(links: impl IntoIterator<Item = u32>) -> Flood<Note> {
    let mut machine = Flood::restore(Params { rng: Rng::new(1, 0, "flood") }, core::iter::empty());
    for link in links {
        assert!(step(&mut machine, NOW, Input::PeerUp(PeerId(link))).is_empty(), "a link up is told nothing");
    }
    machine
}

fn push(from: u32, note: u8) -> Input<Flood<Note>> {
    Input::Message { from: PeerId(from), message: Message::Push(Note(note)) }
}

fn verdict(note: u8, verdict: Verdict) -> Input<Flood<Note>> {
    Input::Command(Command::Verdict { id: id(note), verdict })
}

#[test]
fn an_item_is_shown_to_the_owner_once_and_an_accepted_one_goes_to_all_links_but_the_one_it_came_by() {
    let mut machine = machine([3, 1, 2, 1]);
    let arrived = "emit Arrived { id: 05050505…, from: p2, item: Note(5) }";
    assert_eq!(step(&mut machine, NOW, push(2, 5)), [arrived]);
    assert!(step(&mut machine, NOW, push(1, 5)).is_empty(), "a duplicate that waits for its verdict");
    assert_eq!(step(&mut machine, NOW, verdict(5, Verdict::Accept)), ["broadcast to [p1, p3]: Push(Note(5))"]);
    assert!(step(&mut machine, NOW, verdict(5, Verdict::Accept)).is_empty(), "a second verdict");
    assert!(step(&mut machine, NOW, push(3, 5)).is_empty(), "a duplicate of what was forwarded");
}

#[test]
fn what_the_owner_ignores_or_rejects_stays_here_and_stays_known() {
    let mut machine = machine([1, 2]);
    for (note, answer) in [(5, Verdict::Ignore), (6, Verdict::Reject)] {
        assert_eq!(step(&mut machine, NOW, push(2, note)).len(), 1);
        assert!(step(&mut machine, NOW, verdict(note, answer)).is_empty());
        assert!(step(&mut machine, NOW, push(1, note)).is_empty());
    }
}

#[test]
fn what_the_owner_publishes_goes_to_all_links_once() {
    let mut machine = machine([1, 2]);
    let publish = || Input::Command(Command::Publish(Note(5)));
    assert_eq!(step(&mut machine, NOW, publish()), ["broadcast to [p1, p2]: Push(Note(5))"]);
    assert!(step(&mut machine, NOW, publish()).is_empty());
    assert!(step(&mut machine, NOW, push(1, 5)).is_empty());
    let later = NOW + 2 * SEEN_TIME_MIN;
    assert_eq!(step(&mut machine, later, publish()).len(), 1, "it is forgotten, so it is offered again");
}

#[test]
fn an_owner_that_ignored_an_item_may_publish_it_later_or_instead_of_a_verdict() {
    let mut machine = machine([1, 2]);
    step(&mut machine, NOW, push(2, 5));
    step(&mut machine, NOW, verdict(5, Verdict::Ignore));
    let publish = |note| Input::Command(Command::Publish(Note(note)));
    assert_eq!(step(&mut machine, NOW, publish(5)), ["broadcast to [p1, p2]: Push(Note(5))"]);
    step(&mut machine, NOW, push(2, 6));
    assert_eq!(step(&mut machine, NOW, publish(6)), ["broadcast to [p1, p2]: Push(Note(6))"]);
    assert!(step(&mut machine, NOW, verdict(6, Verdict::Accept)).is_empty(), "it has gone already");
}

#[test]
fn a_link_that_went_down_gets_nothing() {
    let mut machine = machine([1, 2]);
    assert!(step(&mut machine, NOW, Input::PeerDown(PeerId(1))).is_empty());
    assert!(step(&mut machine, NOW, Input::PeerDown(PeerId(9))).is_empty());
    let publish = Input::Command(Command::Publish(Note(5)));
    assert_eq!(step(&mut machine, NOW, publish), ["broadcast to [p2]: Push(Note(5))"]);
}

#[test]
fn the_longest_waiting_item_gives_way_to_the_65th() {
    let mut machine = machine([1, 2]);
    for note in 0..65 {
        assert_eq!(step(&mut machine, NOW, push(2, note)).len(), 1);
    }
    assert!(step(&mut machine, NOW, verdict(0, Verdict::Accept)).is_empty());
    for note in 1..65 {
        assert_eq!(step(&mut machine, NOW, verdict(note, Verdict::Accept)).len(), 1);
    }
}

#[test]
fn links_beyond_the_bound_are_not_used() {
    let mut machine = machine(0..LINKS_MAX as u32 + 1);
    let Some(Effect::Broadcast { to, .. }) =
        effects(&mut machine, NOW, Input::Command(Command::Publish(Note(5)))).pop()
    else {
        panic!("it is broadcast")
    };
    assert_eq!(to.len(), LINKS_MAX);
    assert_eq!(to.last(), Some(&PeerId(LINKS_MAX as u32 - 1)));
}

#[test]
fn what_other_machines_say_is_refused_and_no_timer_runs() {
    let mut machine = machine([1]);
    let ids = vec![id(1)];
    let foreign = [
        Message::Graft,
        Message::IHave(ids.clone()),
        Message::IWant(ids.clone()),
        Message::Known(ids),
        Message::Prune,
        Message::Pull,
        Message::Shuffle(vec![]),
        Message::Shuffled(vec![]),
    ];
    for message in foreign {
        let input = Input::Message { from: PeerId(1), message };
        assert_eq!(step(&mut machine, NOW, input), ["reject p1: unsolicited"]);
    }
    for timer in [Timer::Round, Timer::Shuffle] {
        assert!(step(&mut machine, NOW, Input::Timer(timer)).is_empty());
    }
}

/// Spreads one item over a graph, messages in the order in which they were sent; how many were sent, and how many peers
/// the item came to.
fn spread(peers: u32, edges: &[(u32, u32)]) -> (usize, usize) {
    let mut machines: Vec<Flood<Note>> = (0..peers).map(|_| machine([])).collect();
    for &(one, other) in edges {
        step(&mut machines[one as usize], NOW, Input::PeerUp(PeerId(other)));
        step(&mut machines[other as usize], NOW, Input::PeerUp(PeerId(one)));
    }
    let (mut sent, mut reached) = (0, 1);
    let mut inputs: VecDeque<(u32, Input<Flood<Note>>)> = VecDeque::new();
    inputs.push_back((0, Input::Command(Command::Publish(Note(7)))));
    while let Some((at, input)) = inputs.pop_front() {
        for effect in effects(&mut machines[at as usize], NOW, input) {
            match effect {
                Effect::Broadcast { to, message } => {
                    sent += to.len();
                    for PeerId(to) in to {
                        inputs.push_back((to, Input::Message { from: PeerId(at), message: message.clone() }));
                    }
                }
                Effect::Emit(Event::Arrived { id, .. }) => {
                    reached += 1;
                    let accept = Command::Verdict { id, verdict: Verdict::Accept };
                    inputs.push_front((at, Input::Command(accept)));
                }
                other => panic!("{other:?}"),
            }
        }
    }
    (sent, reached)
}

#[test]
fn a_flood_costs_twice_the_edges_less_the_peers_plus_one() {
    let ring: Vec<(u32, u32)> = (0..10).map(|peer| (peer, (peer + 1) % 10)).collect();
    assert_eq!(spread(10, &ring), (11, 10), "a ring: 2 * 10 - 10 + 1");
    let tree: Vec<(u32, u32)> = (1..31).map(|peer| (peer, (peer - 1) / 2)).collect();
    assert_eq!(spread(31, &tree), (30, 31), "a tree: 2 * 30 - 31 + 1");
    let all: Vec<(u32, u32)> = (0..12).flat_map(|one| (0..one).map(move |other| (one, other))).collect();
    assert_eq!(spread(12, &all), (121, 12), "a complete graph: 2 * 66 - 12 + 1");
    // A ring with random chords: 200 peers; the number of distinct edges is counted, not assumed.
    let mut rng = Rng::new(3, 0, "graph");
    let mut edges: Vec<(u32, u32)> = (0..200).map(|peer| (peer, (peer + 1) % 200)).collect();
    for _ in 0..400 {
        let (one, other) = (rng.below(200) as u32, rng.below(200) as u32);
        let is_new = |&(a, b): &(u32, u32)| (a, b) != (one, other) && (a, b) != (other, one);
        if one != other && edges.iter().all(is_new) {
            edges.push((one, other));
        }
    }
    assert_eq!(spread(200, &edges), (2 * edges.len() - 200 + 1, 200));
}
