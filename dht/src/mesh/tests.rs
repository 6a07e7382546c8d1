use alloc::format;
use alloc::string::String;
use alloc::vec;

use synod_machine::{Bytes, Effect};

use super::*;
use crate::gossip::LINKS_MAX;
use crate::testing::{Note, effects, id, step};

fn at(millis: u64) -> Time {
    Time::from_millis(millis)
}

/// A machine whose heartbeats fall on whole seconds, with these links, which came up at 0.5 s.
fn machine_of(params: Params, links: impl IntoIterator<Item = u32>) -> Mesh<Note> {
    let mut machine = Mesh::restore(params, core::iter::empty());
    machine.beat = Beat::aligned(Duration::from_secs(1));
    for link in links {
        step(&mut machine, at(500), Input::PeerUp(PeerId(link)));
    }
    machine
}

fn params() -> Params {
    Params::new(Rng::new(1, 0, "mesh"))
}

/// A machine whose mesh is `0..grafted`, five or more, of its links `0..links`: the first five by its own wish.
fn meshed(grafted: u32, links: u32) -> Mesh<Note> {
    let mut machine = machine_of(params(), 0..links);
    for link in 0..grafted {
        hear(&mut machine, 600, link, Message::Graft);
    }
    assert_eq!(machine.degree(), grafted as usize);
    machine
}

fn hear(machine: &mut Mesh<Note>, millis: u64, from: u32, message: Message<Note>) -> Vec<String> {
    step(machine, at(millis), Input::Message { from: PeerId(from), message })
}

fn publish(machine: &mut Mesh<Note>, millis: u64, note: u8) -> Vec<String> {
    step(machine, at(millis), Input::Command(Command::Publish(Note(note))))
}

fn decide(machine: &mut Mesh<Note>, millis: u64, note: u8, verdict: Verdict) -> Vec<String> {
    step(machine, at(millis), Input::Command(Command::Verdict { id: id(note), verdict }))
}

fn beat(machine: &mut Mesh<Note>, millis: u64) -> Vec<String> {
    step(machine, at(millis), Input::Timer(Timer::Round))
}

/// Who is told what in a broadcast.
fn told(effect: &Effect<Mesh<Note>>) -> Option<(&[PeerId], &Message<Note>)> {
    match effect {
        Effect::Broadcast { to, message } => Some((to, message)),
        _ => None,
    }
}

#[test]
fn new_links_are_grafted_at_once_until_the_mesh_has_five_and_no_heartbeat_is_pending() {
    let mut machine = machine_of(params(), []);
    for link in 4..9 {
        assert_eq!(step(&mut machine, at(500), Input::PeerUp(PeerId(link))), [format!("send to p{link}: Graft")]);
        assert!(step(&mut machine, at(600), Input::PeerUp(PeerId(link))).is_empty(), "the same link");
    }
    assert!(step(&mut machine, at(700), Input::PeerUp(PeerId(9))).is_empty(), "the mesh is full");
    assert_eq!(machine.degree(), 5);
}

#[test]
fn a_heartbeat_is_pending_while_the_mesh_wants_repair_and_there_is_a_link_to_repair_it_with() {
    let mut machine = meshed(5, 6);
    assert_eq!(step(&mut machine, at(700), Input::PeerDown(PeerId(0))), ["set Round at 1.000000000s"]);
    assert_eq!(hear(&mut machine, 800, 5, Message::Graft), ["cancel Round"], "the mesh is full again");
    assert_eq!(step(&mut machine, at(900), Input::PeerDown(PeerId(1))), Vec::<String>::new(), "nobody to graft");
    assert_eq!(machine.degree(), 4);
}

#[test]
fn a_mesh_of_five_is_full_and_one_of_four_is_filled_up_to_six() {
    let mut machine = meshed(5, 20);
    assert_eq!(machine.beat_at, None);
    assert_eq!(step(&mut machine, at(1_000), Input::PeerDown(PeerId(0))), ["set Round at 2.000000000s"]);
    let effects = effects(&mut machine, at(2_000), Input::Timer(Timer::Round));
    let grafted: Vec<(&[PeerId], &Message<Note>)> = effects.iter().filter_map(told).collect();
    let [(to, Message::Graft)] = grafted[..] else { panic!("{effects:?}") };
    assert_eq!(to.len(), 2);
    assert!(to.iter().all(|peer| (5..20).contains(&peer.0)), "links that were outside: {to:?}");
    assert_eq!(machine.degree(), 6);
    assert_eq!(machine.beat_at, None);
}

#[test]
fn a_graft_is_refused_by_a_mesh_of_twelve() {
    let mut machine = meshed(12, 20);
    assert_eq!(hear(&mut machine, 1_000, 3, Message::Graft), Vec::<String>::new(), "it is in the mesh already");
    assert_eq!(hear(&mut machine, 1_000, 12, Message::Graft), ["send to p12: Prune"]);
    assert_eq!(hear(&mut machine, 1_000, 99, Message::Graft), Vec::<String>::new(), "no link of ours");
    assert_eq!(machine.degree(), 12);
}

#[test]
fn a_mesh_above_its_upper_bound_is_cut_back_to_six_at_a_heartbeat() {
    let mut machine = machine_of(Params { degree_high: 20, ..params() }, 0..13);
    for link in 0..13 {
        hear(&mut machine, 1_000, link, Message::Graft);
    }
    machine.params.degree_high = 12;
    let effects = effects(&mut machine, at(2_000), Input::Timer(Timer::Round));
    let pruned: Vec<(&[PeerId], &Message<Note>)> = effects.iter().filter_map(told).collect();
    let [(to, Message::Prune)] = pruned[..] else { panic!("{effects:?}") };
    assert_eq!(to.len(), 7);
    assert_eq!(machine.degree(), 6);
    let early = to[0].0;
    let answer = [format!("reject p{early}: too_many"), format!("send to p{early}: Prune")];
    assert_eq!(hear(&mut machine, 61_999, early, Message::Graft), answer, "the back-off is a minute");
    assert_eq!(hear(&mut machine, 121_998, early, Message::Graft), answer, "and began again");
    assert_eq!(hear(&mut machine, 181_998, early, Message::Graft), Vec::<String>::new());
    assert_eq!(machine.degree(), 7);
}

#[test]
fn a_pruned_link_is_grafted_again_after_the_back_off_and_no_heartbeat_is_pending_before() {
    let mut machine = meshed(5, 5);
    assert_eq!(hear(&mut machine, 1_300, 2, Message::Prune), ["set Round at 62.000000000s"]);
    assert_eq!(machine.degree(), 4);
    assert_eq!(beat(&mut machine, 62_000), ["broadcast to [p2]: Graft"]);
    assert_eq!(hear(&mut machine, 62_000, 99, Message::Prune), Vec::<String>::new(), "no link of ours");
}

#[test]
fn an_accepted_item_goes_to_the_mesh_but_the_one_it_came_by_and_stays_for_five_heartbeats() {
    let mut machine = meshed(5, 7);
    let arrived = "emit Arrived { id: 09090909…, from: p1, item: Note(9) }";
    assert_eq!(hear(&mut machine, 1_100, 1, Message::Push(Note(9))), [arrived]);
    assert!(hear(&mut machine, 1_100, 2, Message::Push(Note(9))).is_empty(), "a duplicate");
    let spread = ["broadcast to [p0, p2, p3, p4]: Push(Note(9))", "set Round at 2.000000000s"];
    assert_eq!(decide(&mut machine, 1_100, 9, Verdict::Accept), spread);
    for (second, next) in [(2, "3"), (3, "4"), (4, "6")] {
        let [offer, set] = &beat(&mut machine, second * 1_000)[..] else { panic!("an offer and a deadline") };
        assert!(offer.starts_with("broadcast to [p5, p6]") || offer.starts_with("broadcast to [p6, p5]"), "{offer}");
        assert!(offer.ends_with("IHave([09090909…])"), "{offer}");
        assert_eq!(*set, format!("set Round at {next}.000000000s"), "at 5 s there is nothing to do");
    }
    let asked = hear(&mut machine, 5_900, 5, Message::IWant(vec![id(9)]));
    assert_eq!(asked, ["send to p5: Push(Note(9))"]);
    assert!(beat(&mut machine, 6_000).is_empty(), "quiet again");
    assert_eq!(machine.beat_at, None);
    assert!(hear(&mut machine, 6_100, 5, Message::IWant(vec![id(9)])).is_empty(), "gone");
    assert!(hear(&mut machine, 6_100, 5, Message::Push(Note(9))).is_empty(), "but known");
}

#[test]
fn without_links_outside_the_mesh_nothing_is_offered_and_one_heartbeat_ends_the_history() {
    let mut machine = meshed(5, 5);
    let spread = ["broadcast to [p0, p1, p2, p3, p4]: Push(Note(9))", "set Round at 6.000000000s"];
    assert_eq!(publish(&mut machine, 1_100, 9), spread);
    assert_eq!(step(&mut machine, at(2_500), Input::PeerUp(PeerId(5))), ["set Round at 3.000000000s"]);
    assert_eq!(step(&mut machine, at(2_600), Input::PeerDown(PeerId(5))), Vec::<String>::new(), "an early one stays");
    assert_eq!(beat(&mut machine, 3_000), ["set Round at 6.000000000s"]);
    assert!(beat(&mut machine, 6_000).is_empty());
    assert!(machine.history.is_empty());
}

#[test]
fn what_is_not_accepted_is_neither_pushed_nor_offered() {
    for verdict in [Verdict::Ignore, Verdict::Reject] {
        let mut machine = meshed(5, 7);
        hear(&mut machine, 1_100, 1, Message::Push(Note(9)));
        assert!(hear(&mut machine, 1_100, 6, Message::IWant(vec![id(9)])).is_empty(), "nor before the verdict");
        assert!(decide(&mut machine, 1_100, 9, verdict).is_empty());
        assert!(hear(&mut machine, 1_100, 6, Message::IWant(vec![id(9)])).is_empty());
    }
}

#[test]
fn an_item_of_the_owners_goes_to_all_links_or_with_flooding_off_to_the_mesh() {
    let mut machine = meshed(5, 7);
    let all = ["broadcast to [p0, p1, p2, p3, p4, p5, p6]: Push(Note(9))", "set Round at 2.000000000s"];
    assert_eq!(publish(&mut machine, 1_100, 9), all);
    assert!(publish(&mut machine, 1_200, 9).is_empty());
    machine.params.flood_publish = false;
    assert_eq!(publish(&mut machine, 1_100, 8), ["broadcast to [p0, p1, p2, p3, p4]: Push(Note(8))"]);
}

#[test]
fn items_are_offered_to_six_links_outside_the_mesh_or_to_a_quarter_of_more() {
    for (outside, told_count) in [(5, 5), (6, 6), (27, 6), (28, 7), (40, 10)] {
        let mut machine = meshed(5, 5 + outside);
        publish(&mut machine, 1_100, 9);
        let effects = effects(&mut machine, at(2_000), Input::Timer(Timer::Round));
        let Some((to, Message::IHave(_))) = effects.iter().find_map(told) else { panic!("{effects:?}") };
        assert_eq!(to.len(), told_count, "of {outside} outside");
        assert!(to.iter().all(|peer| peer.0 >= 5), "outside the mesh: {to:?}");
    }
}

#[test]
fn an_offer_is_answered_with_what_is_not_known_and_not_asked_for() {
    let mut machine = meshed(5, 7);
    hear(&mut machine, 1_100, 1, Message::Push(Note(9)));
    let offer = |notes: &[u8]| Message::IHave(notes.iter().map(|&note| id(note)).collect());
    let asks = ["send to p5: IWant([01010101…, 02020202…])", "set Round at 2.000000000s"];
    assert_eq!(hear(&mut machine, 1_100, 5, offer(&[1, 9, 2, 1])), asks);
    assert_eq!(hear(&mut machine, 1_200, 6, offer(&[1, 3])), ["send to p6: IWant([03030303…])"]);
    assert_eq!(hear(&mut machine, 2_099, 6, offer(&[1])), Vec::<String>::new());
    assert_eq!(hear(&mut machine, 2_100, 6, offer(&[1])), ["send to p6: IWant([01010101…])"], "p5 did not answer");
    assert_eq!(hear(&mut machine, 2_100, 99, offer(&[4])), Vec::<String>::new(), "no link of ours");
    let arrived = "emit Arrived { id: 01010101…, from: p6, item: Note(1) }";
    assert_eq!(hear(&mut machine, 2_200, 6, Message::Push(Note(1))), [arrived]);
    assert_eq!(machine.wanted.keys().copied().collect::<Vec<_>>(), [id(2), id(3)]);
    assert_eq!(beat(&mut machine, 3_000), Vec::<String>::new(), "what did not come is asked for no longer");
    assert!(machine.wanted.is_empty());
}

#[test]
fn what_a_lost_link_was_asked_for_is_asked_of_the_next() {
    let mut machine = meshed(5, 7);
    hear(&mut machine, 1_100, 5, Message::IHave(vec![id(1)]));
    assert_eq!(step(&mut machine, at(1_200), Input::PeerDown(PeerId(5))), ["cancel Round"]);
    let asks = ["send to p6: IWant([01010101…])", "set Round at 2.000000000s"];
    assert_eq!(hear(&mut machine, 1_300, 6, Message::IHave(vec![id(1)])), asks);
}

/// Distinct ids.
fn ids(count: usize) -> Vec<Id> {
    let number = |number: usize| {
        let mut bytes = [0; 32];
        bytes[16..24].copy_from_slice(&(number as u64).to_le_bytes());
        Bytes(bytes)
    };
    (1..=count).map(number).collect()
}

#[test]
fn lists_of_5000_ids_are_taken_and_longer_ones_refused() {
    let mut machine = meshed(5, 7);
    for list in [Message::IHave, Message::IWant] {
        assert_eq!(hear(&mut machine, 1_100, 5, list(ids(IDS_MAX + 1))), ["reject p5: oversized"]);
    }
    let answer =
        effects(&mut machine, at(1_100), Input::Message { from: PeerId(5), message: Message::IHave(ids(IDS_MAX)) });
    let Some(Effect::Send { to: PeerId(5), message: Message::IWant(asked) }) = answer.first() else {
        panic!("it asks")
    };
    assert_eq!(*asked, ids(IDS_MAX));
    assert!(hear(&mut machine, 1_100, 5, Message::IWant(ids(IDS_MAX))).is_empty(), "none is here");
    assert!(hear(&mut machine, 1_100, 6, Message::IHave(vec![id(1)])).is_empty(), "no more are asked for at once");
}

#[test]
fn one_peer_is_asked_for_5000_ids_between_two_heartbeats() {
    let mut machine = meshed(5, 7);
    hear(&mut machine, 1_100, 5, Message::IHave(ids(IDS_MAX)));
    machine.wanted.clear();
    assert!(hear(&mut machine, 1_999, 5, Message::IHave(vec![id(1)])).is_empty());
    let asks = hear(&mut machine, 2_000, 5, Message::IHave(vec![id(1)]));
    assert_eq!(asks[0], "send to p5: IWant([01010101…])");
}

#[test]
fn ten_lists_of_a_kind_are_heard_between_two_heartbeats_and_the_eleventh_refused() {
    let mut machine = meshed(5, 7);
    for list in [Message::IHave, Message::IWant] {
        for _ in 0..LISTS_MAX {
            assert!(hear(&mut machine, 1_100, 5, list(vec![])).is_empty());
        }
        assert_eq!(hear(&mut machine, 1_999, 5, list(vec![])), ["reject p5: too_many"]);
        assert!(hear(&mut machine, 1_999, 6, list(vec![])).is_empty(), "another peer has its own count");
        assert!(hear(&mut machine, 2_000, 5, list(vec![])).is_empty(), "a heartbeat later it counts anew");
    }
}

#[test]
fn an_item_is_sent_three_times_to_a_peer_that_asks_and_then_refused() {
    let mut machine = meshed(5, 7);
    publish(&mut machine, 1_100, 9);
    publish(&mut machine, 1_100, 8);
    let ask = |machine: &mut Mesh<Note>, peer, notes: &[u8]| {
        hear(machine, 1_200, peer, Message::IWant(notes.iter().map(|&note| id(note)).collect()))
    };
    for _ in 0..3 {
        assert_eq!(ask(&mut machine, 5, &[9]), ["send to p5: Push(Note(9))"]);
    }
    assert_eq!(ask(&mut machine, 5, &[9, 8, 9]), ["send to p5: Push(Note(8))", "reject p5: too_many"]);
    assert_eq!(ask(&mut machine, 6, &[9]), ["send to p6: Push(Note(9))"]);
    assert_eq!(ask(&mut machine, 99, &[9]), Vec::<String>::new(), "no link of ours");
}

#[test]
fn the_history_keeps_as_many_bytes_as_it_may_and_loses_the_oldest() {
    let mut machine = machine_of(Params { history_bytes_max: 3, ..params() }, 0..7);
    for note in 1..=4 {
        publish(&mut machine, 600, note);
    }
    assert_eq!(machine.history.bytes(), 3);
    let all = Message::IWant((1..=4).map(id).collect());
    let sent = ["send to p0: Push(Note(2))", "send to p0: Push(Note(3))", "send to p0: Push(Note(4))"];
    assert_eq!(hear(&mut machine, 700, 0, all), sent);
    let mut none = machine_of(Params { history_bytes_max: 0, ..params() }, 0..1);
    assert_eq!(publish(&mut none, 600, 1), ["broadcast to [p0]: Push(Note(1))"]);
    assert!(hear(&mut none, 700, 0, Message::IWant(vec![id(1)])).is_empty());
}

#[test]
fn links_are_bounded() {
    let mut machine = machine_of(params(), 0..LINKS_MAX as u32 + 1);
    assert_eq!(machine.links.all().len(), LINKS_MAX);
    assert!(hear(&mut machine, 1_000, LINKS_MAX as u32, Message::Graft).is_empty());
    assert_eq!(machine.degree(), 5);
}

#[test]
fn what_other_machines_say_is_refused_and_a_foreign_timer_ignored() {
    let mut machine = meshed(5, 7);
    for message in [Message::Known(vec![id(1)]), Message::Pull, Message::Shuffle(vec![]), Message::Shuffled(vec![])] {
        assert_eq!(hear(&mut machine, 1_000, 1, message), ["reject p1: unsolicited"]);
    }
    assert!(step(&mut machine, at(1_000), Input::Timer(Timer::Shuffle)).is_empty());
}

#[test]
fn an_idle_machine_is_small() {
    let mut machine = meshed(6, 8);
    publish(&mut machine, 1_100, 9);
    for second in 2..=6 {
        beat(&mut machine, second * 1_000);
    }
    // A link has 40 bytes at most; nothing else is allocated but the ids that are known.
    let bytes = size_of::<Mesh<Note>>() + 8 * 40;
    assert!(bytes <= 1_200, "{bytes} bytes");
    assert_eq!(machine.beat_at, None);
}
