use alloc::format;
use alloc::string::String;

use synod_machine::{Bytes, Effect};

use super::*;
use crate::testing::{Note, effects, id, step};

fn at(millis: u64) -> Time {
    Time::from_millis(millis)
}

/// Eager push with feedback in aligned rounds of a second, over a view that is not shuffled.
fn params() -> Params {
    Params {
        interest: Interest::Counter(2),
        lazy: false,
        mode: Mode::Push,
        phase: Phase::Aligned,
        shuffle: None,
        ..Params::new(PeerId(0), Rng::new(1, 0, "rumour"))
    }
}

fn machine(params: Params, links: impl IntoIterator<Item = u32>) -> Rumour<Note> {
    let mut machine = Rumour::restore(params, core::iter::empty());
    for link in links {
        step(&mut machine, at(500), Input::PeerUp(PeerId(link)));
    }
    machine
}

fn hear(machine: &mut Rumour<Note>, millis: u64, from: u32, message: Message<Note>) -> Vec<String> {
    step(machine, at(millis), Input::Message { from: PeerId(from), message })
}

fn publish(machine: &mut Rumour<Note>, millis: u64, note: u8) -> Vec<String> {
    step(machine, at(millis), Input::Command(Command::Publish(Note(note))))
}

fn round(machine: &mut Rumour<Note>, millis: u64) -> Vec<String> {
    step(machine, at(millis), Input::Timer(Timer::Round))
}

fn started(machine: &mut Rumour<Note>) -> Vec<String> {
    let mut out = Out::new();
    machine.start(at(0), &mut out);
    out.drain().map(|effect| format!("{effect:?}")).collect()
}

#[test]
fn an_accepted_item_is_told_to_one_peer_a_round_and_nothing_is_pending_before() {
    let mut machine = machine(params(), [7]);
    let arrived = "emit Arrived { id: 09090909…, from: p3, item: Note(9) }";
    assert_eq!(hear(&mut machine, 600, 3, Message::Push(Note(9))), [arrived]);
    let accept = Command::Verdict { id: id(9), verdict: Verdict::Accept };
    assert_eq!(step(&mut machine, at(600), Input::Command(accept.clone())), ["set Round at 1.000000000s"]);
    assert!(step(&mut machine, at(600), Input::Command(accept)).is_empty(), "a second verdict");
    assert_eq!(round(&mut machine, 1_000), ["send to p7: Push(Note(9))", "set Round at 2.000000000s"]);
    assert_eq!(publish(&mut machine, 1_500, 8), Vec::<String>::new(), "a round is pending");
    let both = ["send to p7: Push(Note(9))", "send to p7: Push(Note(8))", "set Round at 3.000000000s"];
    assert_eq!(round(&mut machine, 2_000), both);
}

#[test]
fn what_is_not_accepted_is_not_told() {
    for verdict in [Verdict::Ignore, Verdict::Reject] {
        let mut machine = machine(params(), [7]);
        hear(&mut machine, 600, 3, Message::Push(Note(9)));
        assert!(step(&mut machine, at(600), Input::Command(Command::Verdict { id: id(9), verdict })).is_empty());
        assert!(round(&mut machine, 1_000).is_empty());
    }
}

#[test]
fn after_two_contacts_that_knew_it_a_rumour_is_cold_and_three_rounds_later_gone() {
    let mut machine = machine(params(), [7]);
    publish(&mut machine, 600, 9);
    for second in [1, 2] {
        assert_eq!(round(&mut machine, second * 1_000).len(), 2, "it is told");
        assert!(hear(&mut machine, second * 1_000 + 100, 7, Message::Known(vec![id(9)])).is_empty());
    }
    assert_eq!(round(&mut machine, 3_000), ["set Round at 4.000000000s"], "it is not told any more");
    assert_eq!(hear(&mut machine, 3_100, 5, Message::IWant(vec![id(9)])), ["send to p5: Push(Note(9))"]);
    assert_eq!(round(&mut machine, 4_000), ["set Round at 5.000000000s"]);
    assert!(round(&mut machine, 5_000).is_empty(), "quiet again");
    assert!(hear(&mut machine, 5_100, 5, Message::IWant(vec![id(9)])).is_empty(), "gone");
    assert!(publish(&mut machine, 5_100, 9).is_empty(), "but known");
}

#[test]
fn without_feedback_a_rumour_is_told_for_so_many_rounds_or_for_ever() {
    for (interest, rounds) in [(Interest::Rounds(3), 3), (Interest::Forever, 50)] {
        let mut machine = machine(Params { interest, ..params() }, [7]);
        publish(&mut machine, 600, 9);
        let mut told = 0;
        for second in 1..=50 {
            told += usize::from(round(&mut machine, second * 1_000)[..].iter().any(|effect| effect.contains("Push")));
            assert!(hear(&mut machine, second * 1_000, 7, Message::Known(vec![id(9)])).is_empty());
        }
        assert_eq!(told, rounds, "{interest:?}");
        assert!(hear(&mut machine, 60_000, 7, Message::Push(Note(9))).is_empty(), "nor does it give any: {interest:?}");
    }
}

#[test]
fn who_pushes_what_is_known_is_told_so() {
    let mut machine = machine(params(), [7]);
    publish(&mut machine, 600, 9);
    assert_eq!(hear(&mut machine, 700, 3, Message::Push(Note(9))), ["send to p3: Known([09090909…])"]);
}

#[test]
fn with_pulling_a_peer_asks_in_each_round_and_is_told_what_is_hot() {
    let mut asking = machine(Params { mode: Mode::Pull, ..params() }, []);
    assert_eq!(step(&mut asking, at(500), Input::PeerUp(PeerId(7))), ["set Round at 1.000000000s"]);
    assert_eq!(round(&mut asking, 1_000), ["send to p7: Pull", "set Round at 2.000000000s"]);
    assert!(hear(&mut asking, 1_100, 3, Message::Pull).is_empty(), "nothing is hot");
    publish(&mut asking, 1_200, 9);
    assert_eq!(hear(&mut asking, 1_300, 3, Message::Pull), ["send to p3: Push(Note(9))"]);
    assert_eq!(round(&mut asking, 2_000), ["send to p7: Pull", "set Round at 3.000000000s"], "it tells nobody unasked");
    let mut both = machine(Params { mode: Mode::PushPull, ..params() }, [7]);
    publish(&mut both, 600, 9);
    let calls = ["send to p7: Push(Note(9))", "send to p7: Pull", "set Round at 2.000000000s"];
    assert_eq!(round(&mut both, 1_000), calls);
}

#[test]
fn lazily_ids_go_first_and_what_is_wanted_is_asked_of_one_peer_at_a_time() {
    let mut machine = machine(Params { lazy: true, ..params() }, [7]);
    publish(&mut machine, 600, 9);
    assert_eq!(round(&mut machine, 1_000), ["send to p7: IHave([09090909…])", "set Round at 2.000000000s"]);
    assert_eq!(hear(&mut machine, 1_100, 7, Message::IWant(vec![id(9), id(9), id(1)])), ["send to p7: Push(Note(9))"]);
    assert_eq!(hear(&mut machine, 1_100, 3, Message::Pull), ["send to p3: IHave([09090909…])"]);
    let answers = ["send to p4: Known([09090909…])", "send to p4: IWant([08080808…])"];
    assert_eq!(hear(&mut machine, 1_200, 4, Message::IHave(vec![id(9), id(8)])), answers);
    assert_eq!(hear(&mut machine, 2_199, 5, Message::IHave(vec![id(8)])), Vec::<String>::new(), "under way");
    let again = ["send to p5: IWant([08080808…])"];
    assert_eq!(hear(&mut machine, 2_200, 5, Message::IHave(vec![id(8)])), again, "p4 did not answer within a round");
    let arrived = ["emit Arrived { id: 08080808…, from: p5, item: Note(8) }"];
    assert_eq!(hear(&mut machine, 2_300, 5, Message::Push(Note(8))), arrived);
    assert!(machine.wanted.is_empty(), "it has come");
    assert!(hear(&mut machine, 2_300, 4, Message::Push(Note(8))).is_empty(), "it was asked for, so no feedback");
}

#[test]
fn rumours_are_bounded_and_the_oldest_gives_way() {
    let mut machine = machine(Params { interest: Interest::Forever, ..params() }, [7]);
    for note in 0..=255 {
        publish(&mut machine, 600, note);
    }
    assert_eq!(machine.known.len(), RUMOURS_MAX);
    assert_eq!(machine.known[0].id, id(0));
    // There is no 257th note, so the last is learnt again.
    let mut out = Out::new();
    machine.learn(at(600), id(255), Note(255), &mut out);
    assert_eq!(machine.known.len(), RUMOURS_MAX);
    assert_eq!(machine.known[0].id, id(1));
    assert_eq!(machine.bytes, RUMOURS_MAX);
}

#[test]
fn lists_beyond_the_bounds_are_refused_and_those_at_them_taken() {
    let ids = |count: usize| -> Vec<Id> { (0..count).map(|number| Bytes([number as u8; 32])).collect() };
    let some = |count| vec![Descriptor { peer: 5, age: 0 }; count];
    let shuffle = Some(Shuffle { length: 2, period: Duration::from_secs(10) });
    let mut machine = machine(Params { shuffle, ..params() }, [7]);
    let oversized = [
        Message::IHave(ids(RUMOURS_MAX + 1)),
        Message::IWant(ids(RUMOURS_MAX + 1)),
        Message::Known(ids(RUMOURS_MAX + 1)),
        Message::Shuffle(some(DESCRIPTORS_MAX + 1)),
        Message::Shuffled(some(DESCRIPTORS_MAX + 1)),
    ];
    for message in oversized {
        assert_eq!(hear(&mut machine, 600, 3, message), ["reject p3: oversized"]);
    }
    let input = Input::Message { from: PeerId(3), message: Message::IHave(ids(RUMOURS_MAX)) };
    let answer = effects(&mut machine, at(600), input);
    let [Effect::Send { message: Message::IWant(asked), .. }] = &answer[..] else { panic!("{answer:?}") };
    assert_eq!(asked.len(), RUMOURS_MAX);
    let none: [String; 0] = [];
    assert_eq!(
        hear(&mut machine, 600, 4, Message::IHave(vec![Bytes([7; 32])])),
        none,
        "as many as may be are asked for"
    );
    assert_eq!(hear(&mut machine, 600, 3, Message::IWant(ids(RUMOURS_MAX))), none);
    assert_eq!(hear(&mut machine, 600, 3, Message::Known(ids(RUMOURS_MAX))), none);
    assert_eq!(hear(&mut machine, 600, 3, Message::Shuffle(some(DESCRIPTORS_MAX))).len(), 1);
    assert_eq!(hear(&mut machine, 600, 3, Message::Shuffled(some(DESCRIPTORS_MAX))), ["reject p3: unsolicited"]);
}

#[test]
fn a_view_is_shuffled_in_its_own_period() {
    let shuffle = Some(Shuffle { length: 2, period: Duration::from_secs(10) });
    let mut machine = machine(Params { shuffle, ..params() }, [7, 8]);
    machine.shuffles = Some((Beat::aligned(Duration::from_secs(10)), 2));
    assert_eq!(started(&mut machine), ["set Shuffle at 10.000000000s"]);
    let asked = step(&mut machine, at(10_000), Input::Timer(Timer::Shuffle));
    let sent = "send to p8: Shuffle([Descriptor { peer: 7, age: 1 }, Descriptor { peer: 0, age: 0 }])";
    assert_eq!(asked, ["set Shuffle at 20.000000000s", sent]);
    assert_eq!(hear(&mut machine, 10_100, 7, Message::Shuffled(vec![])), ["reject p7: unsolicited"]);
    assert!(hear(&mut machine, 10_100, 8, Message::Shuffled(vec![Descriptor { peer: 5, age: 3 }])).is_empty());
    assert_eq!(machine.view().collect::<Vec<_>>(), [PeerId(7), PeerId(5)]);
    let theirs = vec![Descriptor { peer: 9, age: 0 }];
    let answer = hear(&mut machine, 10_200, 9, Message::Shuffle(theirs));
    assert!(answer[0].starts_with("send to p9: Shuffled([Descriptor"), "{answer:?}");
    assert_eq!(machine.view().count(), 3);
}

#[test]
fn a_static_view_has_no_shuffle_timer_and_refuses_shuffles() {
    let mut machine = machine(params(), [7]);
    assert!(started(&mut machine).is_empty());
    assert_eq!(hear(&mut machine, 600, 7, Message::Shuffle(vec![])), ["reject p7: unsolicited"]);
    assert!(step(&mut machine, at(600), Input::Timer(Timer::Shuffle)).is_empty());
}

#[test]
fn a_peer_whose_view_is_empty_begins_again_with_its_links_and_without_links_it_waits() {
    let mut machine = machine(params(), [7]);
    machine.view.retain(|peer| peer != 7);
    publish(&mut machine, 600, 9);
    assert_eq!(round(&mut machine, 1_000)[0], "send to p7: Push(Note(9))");
    step(&mut machine, at(1_100), Input::PeerDown(PeerId(7)));
    assert_eq!(machine.view().count(), 0);
    assert!(round(&mut machine, 2_000).is_empty(), "nobody to talk to");
    assert_eq!(step(&mut machine, at(2_100), Input::PeerUp(PeerId(8))), ["set Round at 3.000000000s"]);
    assert_eq!(round(&mut machine, 3_000)[0], "send to p8: Push(Note(9))");
}

#[test]
fn what_a_mesh_says_is_refused() {
    let mut machine = machine(params(), [7]);
    for message in [Message::Graft, Message::Prune] {
        assert_eq!(hear(&mut machine, 600, 7, message), ["reject p7: unsolicited"]);
    }
}

#[test]
fn an_idle_machine_is_small() {
    let view = 30 * size_of::<Descriptor>();
    let bytes = size_of::<Rumour<Note>>() + view + 30 * size_of::<PeerId>();
    assert!(bytes <= 1_500, "{bytes} bytes");
}
