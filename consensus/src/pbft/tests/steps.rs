//! Step tables: one replica, what it is told, and everything that it does about it.

use std::string::String;
use std::vec;
use std::vec::Vec;

use synod_ledger::{BlockId, Certificate, Height, Signature};
use synod_machine::{Bytes, Input, Out, PeerId, Protocol, Reject, Time};

use crate::pbft::testing::bench::{Bench, toy};
use crate::pbft::testing::{GENESIS, Toy, rules, secret, settings};
use crate::pbft::{
    Agreement, Base, Checkpoint, Command, Commit, Hello, Message, NewView, Params, PrePrepare, Prepare, Proposal,
    Signed, VALIDATORS_MAX, ValidatorId, Validators, ValidatorsError, View, ViewChange, choose,
};

const NOTHING: [&str; 0] = [];

fn chain(bench: &mut Bench, names: &str) -> Vec<Toy> {
    let mut parent = GENESIS;
    let mut toys = Vec::new();
    for (place, name) in names.chars().enumerate() {
        let toy = toy(name, place as u64 + 1, parent);
        parent = bench.name(&toy, name);
        toys.push(toy);
    }
    toys
}

/// Decides a block at a backup, in view 0.
fn decide(bench: &mut Bench, toy: &Toy) {
    bench.preprepare(0, toy);
    bench.valid(toy);
    bench.prepare(2, 0, toy);
    bench.commit(0, 0, toy);
    bench.commit(2, 0, toy);
    bench.command(Command::Executed { height: toy.height, id: toy.id() });
}

fn change(view: u64, base: Base) -> ViewChange {
    ViewChange { view: View(view), base, prepared: vec![] }
}

fn genesis() -> Base {
    Base::genesis(GENESIS)
}

#[test]
fn a_backup_votes_with_the_disk_before_the_network() {
    let mut bench = Bench::new(4, 1);
    let a = chain(&mut bench, "A").remove(0);
    assert_eq!(bench.preprepare(0, &a), ["validate A1"]);
    assert_eq!(bench.valid(&a), ["disk: proposal 1", "disk: voted 1", "all: prepare v0 A1"]);
    assert_eq!(bench.prepare(2, 0, &a), ["disk: prepared 1", "all: commit v0 A1"]);
    assert_eq!(bench.prepare(3, 0, &a), NOTHING, "one more than is needed");
    assert_eq!(bench.commit(0, 0, &a), NOTHING);
    assert_eq!(bench.commit(0, 0, &a), NOTHING, "the same vote does not count twice");
    assert_eq!(bench.commit(2, 0, &a), ["disk: decided 1", "committed A1 in v0"]);
    assert_eq!(bench.commit(3, 0, &a), NOTHING);
    assert_eq!(bench.command(Command::Executed { height: Height(1), id: a.id() }), ["disk: executed 1"]);
    assert_eq!(bench.deadline(), None, "nothing waits, no timer is pending");
}

#[test]
fn a_primary_proposes_at_once_then_by_size_then_by_time_and_is_its_own_vote() {
    let mut bench = Bench::new(4, 0);
    let toys = chain(&mut bench, "ABC");
    let waits = |pending| Command::Requests { pending, oldest: Some(Bytes([1; 32])) };
    assert_eq!(bench.command(waits(1)), ["want v0 1 on 0"]);
    let proposed = bench.command(Command::Propose(Some(toys[0].clone())));
    assert_eq!(proposed, ["disk: proposal 1", "disk: voted 1", "all: pre-prepare v0 A1"]);
    // Another is in flight: two wait for a third, which makes a batch of three.
    assert_eq!(bench.command(waits(2)), NOTHING);
    assert_eq!(bench.command(waits(3)), ["want v0 2 on A"]);
    bench.command(Command::Propose(Some(toys[1].clone())));
    // One that waits alone waits two milliseconds.
    assert_eq!(bench.command(waits(1)), NOTHING);
    assert_eq!(bench.deadline(), Some(2));
    assert_eq!(bench.fire(), ["want v0 3 on B"]);
    bench.command(Command::Propose(Some(toys[2].clone())));
    // Three are in flight, which is all that may be.
    assert_eq!(bench.command(waits(9)), NOTHING);
    assert_eq!(bench.prepare(1, 0, &toys[0]), NOTHING);
    assert_eq!(bench.prepare(2, 0, &toys[0]), ["disk: prepared 1", "all: commit v0 A1"]);
    assert_eq!(bench.commit(1, 0, &toys[0]), NOTHING);
    assert_eq!(bench.commit(2, 0, &toys[0]), ["disk: decided 1", "committed A1 in v0", "want v0 4 on C"]);
    assert_eq!(bench.command(Command::Propose(None)), NOTHING);
}

#[test]
fn votes_for_a_height_wait_for_the_one_below_to_be_prepared() {
    let mut bench = Bench::new(4, 1);
    let toys = chain(&mut bench, "AB");
    assert_eq!(bench.preprepare(0, &toys[1]), NOTHING, "its parent is not known");
    assert_eq!(bench.preprepare(0, &toys[0]), ["validate A1"]);
    assert_eq!(bench.valid(&toys[0]), ["disk: proposal 1", "disk: voted 1", "all: prepare v0 A1", "validate B2"]);
    assert_eq!(bench.valid(&toys[1]), NOTHING, "the parent is not prepared");
    assert_eq!(bench.prepare(2, 0, &toys[1]), NOTHING);
    let both = bench.prepare(2, 0, &toys[0]);
    let first = ["disk: prepared 1", "all: commit v0 A1", "disk: proposal 2", "disk: voted 2", "all: prepare v0 B2"];
    assert_eq!(both[..5], first);
    assert_eq!(both[5..], ["disk: prepared 2", "all: commit v0 B2"]);
    // The upper one's commits come first; decisions come in order.
    bench.commit(0, 0, &toys[1]);
    assert_eq!(bench.commit(2, 0, &toys[1]), NOTHING);
    bench.commit(0, 0, &toys[0]);
    let told = ["disk: decided 1", "committed A1 in v0", "disk: decided 2", "committed B2 in v0"];
    assert_eq!(bench.commit(2, 0, &toys[0]), told);
}

#[test]
fn what_is_prepared_is_shown_in_a_view_change_and_chosen_and_decided_in_the_next_view() {
    let mut bench = Bench::new(4, 1);
    let toys = chain(&mut bench, "AB");
    for toy in &toys {
        bench.preprepare(0, toy);
        bench.valid(toy);
        bench.prepare(2, 0, toy);
    }
    let change_1 = ["disk: to v1", "all: view change 1 with [\"v0 A1\", \"v0 B2\"]"];
    bench.wait(500);
    assert_eq!(bench.fire(), NOTHING, "status messages");
    let mut said = vec![];
    while said.is_empty() {
        said = bench.fire();
    }
    assert_eq!(said, change_1);
    // Votes of the old view are too late.
    bench.commit(0, 0, &toys[0]);
    assert_eq!(bench.commit(2, 0, &toys[0]), NOTHING);
    let two = bench.sign(2, change(1, genesis()));
    assert_eq!(bench.say(2, Message::ViewChange(two)), NOTHING);
    let three = bench.sign(3, change(1, genesis()));
    let started = bench.say(3, Message::ViewChange(three.clone()));
    assert_eq!(started, ["disk: in v1", "v1 has 1", "all: new view 1 with [\"v1 A1\", \"v1 B2\"]"]);
    assert_eq!(bench.say(3, Message::ViewChange(three)), NOTHING, "a view starts once");
    let zero = bench.sign(0, change(1, genesis()));
    assert_eq!(bench.say(0, Message::ViewChange(zero)), NOTHING, "a view starts once");
    for (by, toy) in [(2, &toys[0]), (2, &toys[1]), (3, &toys[1])] {
        assert_eq!(bench.prepare(by, 1, toy), NOTHING);
    }
    let both = bench.prepare(3, 1, &toys[0]);
    assert_eq!(both, ["disk: prepared 1", "all: commit v1 A1", "disk: prepared 2", "all: commit v1 B2"]);
    bench.commit(2, 1, &toys[0]);
    assert_eq!(bench.commit(3, 1, &toys[0]), ["disk: decided 1", "committed A1 in v1"]);
    // The next proposal continues the chain: sequence numbers go on over views.
    let waits = Command::Requests { pending: 3, oldest: None };
    assert_eq!(bench.command(waits), ["want v1 3 on B"]);
}

#[test]
fn a_backup_follows_a_new_view_and_fetches_what_it_lacks() {
    let mut bench = Bench::new(4, 3);
    let toys = chain(&mut bench, "AB");
    let proofs = vec![bench.proof(0, &toys[0], &[1, 2]), bench.proof(0, &toys[1], &[1, 2])];
    let changes = vec![
        bench.sign(0, ViewChange { prepared: proofs.clone(), ..change(1, genesis()) }),
        bench.sign(1, ViewChange { prepared: proofs[..1].to_vec(), ..change(1, genesis()) }),
        bench.sign(2, change(1, genesis())),
    ];
    let orders = choose(View(1), &changes).into_iter().map(|order| bench.sign(1, PrePrepare(order))).collect();
    let new_view = bench.sign(1, NewView { view: View(1), changes, orders });
    let entered = bench.say(1, Message::NewView(new_view));
    assert_eq!(entered, ["disk: in v1", "v1 has 1", "1: fetch A1", "1: fetch B2"]);
    assert_eq!(bench.say(1, Message::Proposal(toys[0].clone())), ["validate A1"]);
    let voted = ["disk: proposal 1", "disk: voted 1", "all: prepare v1 A1"];
    assert_eq!(bench.valid(&toys[0]), voted);
    // Another order for a height that the view started with does not count.
    let other = toy('X', 1, GENESIS);
    bench.name(&other, 'X');
    assert_eq!(bench.preprepare(1, &other), ["evidence against 1"]);
}

#[test]
fn a_replica_joins_the_smallest_view_that_one_honest_replica_has_moved_to() {
    let mut bench = Bench::new(4, 3);
    let five = bench.sign(0, change(5, genesis()));
    assert_eq!(bench.say(0, Message::ViewChange(five)), NOTHING, "one may be faulty");
    let two = bench.sign(1, change(2, genesis()));
    assert_eq!(bench.say(1, Message::ViewChange(two)), ["disk: to v2", "all: view change 2 with []"]);
    assert!(!bench.agreement().is_active());
    // A quorum has left the views below: time runs, from now on twice as long with each view.
    assert_eq!(bench.deadline(), Some(2_000));
    bench.fire();
    assert_eq!(bench.agreement().view(), View(3));
}

/// A certificate for a toy, of the first three.
fn certified(bench: &Bench, toy: &Toy) -> Base {
    let (height, id) = (toy.height, toy.id());
    let vote = |by: usize| (by as u8, bench.sign(by, Commit { view: View(0), height, id }).signature());
    Base { height, id, certificate: Certificate::new(0, [0, 1, 2].map(vote).to_vec()) }
}

/// Catches: a new view starts above what anybody but a faulty replica has (`start_new_view` in `change.rs`: all changes count).
#[test]
fn a_view_change_counts_when_what_it_shows_to_be_decided_is_here() {
    let mut bench = Bench::new(4, 1);
    let a = chain(&mut bench, "A").remove(0);
    let base = certified(&bench, &a);
    let far = bench.sign(0, change(1, base.clone()));
    assert_eq!(bench.say(0, Message::ViewChange(far)), NOTHING);
    let two = bench.sign(2, change(1, genesis()));
    let moved = ["disk: to v1", "all: view change 1 with []"];
    assert_eq!(
        bench.say(2, Message::ViewChange(two)),
        moved,
        "three have moved, and one of them shows what nobody has"
    );
    let given = bench.say(0, Message::Decided { base, proposal: Some(a) });
    let started = ["disk: in v1", "v1 has 1", "all: new view 1 with []"];
    assert_eq!(given[given.len() - 3..], started, "{given:?}");
}

/// Catches: who waits for decisions that nobody gives waits for ever (`on_view_timeout` in `change.rs`: whoever is behind stays).
#[test]
fn who_is_behind_leaves_a_view_that_brings_nothing_unless_honest_replicas_must_be_ahead() {
    for (height, leaves) in [(16, true), (17, false)] {
        let mut bench = Bench::new(4, 3);
        let base = certified(&bench, &toy('Z', height, GENESIS));
        let changes = (0..3).map(|by| bench.sign(by, change(1, base.clone()))).collect();
        let new_view = bench.sign(1, NewView { view: View(1), changes, orders: vec![] });
        bench.say(1, Message::NewView(new_view));
        let mut said = Vec::new();
        while bench.now < Time::from_secs(2) {
            said.extend(bench.fire());
        }
        assert_eq!(said.contains(&String::from("disk: to v2")), leaves, "from {height}: {said:?}");
    }
}

/// Catches: a primary that shows decisions late, one by one, is taken for one that serves (`is_catching_up` in `watch.rs`: the goal
/// moves on with what is shown).
#[test]
fn a_primary_that_shows_decisions_late_does_not_keep_a_request_waiting_for_ever() {
    let mut bench = Bench::new(4, 3);
    let mut toys = vec![toy('A', 1, GENESIS)];
    for height in 2..40 {
        toys.push(toy('A', height, toys[toys.len() - 1].id()));
    }
    bench.command(Command::Requests { pending: 1, oldest: Some(Bytes([7; 32])) });
    for pair in toys.windows(2) {
        for (toy, proposal) in [(&pair[1], None), (&pair[0], Some(pair[0].clone()))] {
            let base = certified(&bench, toy);
            bench.say(0, Message::Decided { base, proposal });
        }
        bench.command(Command::Executed { height: pair[0].height, id: pair[0].id() });
        let until = bench.now.as_millis() + 100;
        while bench.deadline().is_some_and(|at| at <= until) {
            bench.fire();
        }
        bench.now = Time::from_millis(until);
        if bench.agreement().view() > View(0) {
            break;
        }
    }
    assert_eq!(bench.agreement().view(), View(1), "at {}", bench.now);
    assert_eq!(bench.now, Time::from_secs(1), "it waited once more, for what was decided at the first time-out");
}

#[test]
fn a_request_that_waits_for_long_is_told_of_and_once_more_when_its_view_is_left() {
    let mut bench = Bench::new(4, 1);
    bench.command(Command::Requests { pending: 1, oldest: Some(Bytes([7; 32])) });
    assert_eq!(bench.deadline(), Some(100));
    assert_eq!(bench.fire(), ["overdue 7"]);
    let mut said = bench.fire();
    while said == ["overdue 7"] {
        said = bench.fire();
    }
    assert_eq!(said, ["overdue 7", "disk: to v1", "all: view change 1 with []"]);
}

/// Catches: what waits is forgotten with an answer to a question of before (`on_propose` in `propose.rs`).
#[test]
fn an_answer_that_does_not_fit_is_asked_for_again() {
    let mut bench = Bench::new(4, 0);
    let toys = chain(&mut bench, "AB");
    let waits = Command::Requests { pending: 1, oldest: Some(Bytes([1; 32])) };
    assert_eq!(bench.command(waits), ["want v0 1 on 0"]);
    assert_eq!(bench.command(Command::Propose(Some(toys[1].clone()))), ["want v0 1 on 0"]);
    assert_eq!(bench.command(Command::Propose(None)), NOTHING, "until it is told what waits");
}

#[test]
fn checkpoints_of_a_quorum_move_the_watermarks_and_clear_log_and_disk() {
    let mut bench = Bench::new(4, 1);
    let toys = chain(&mut bench, "ABCD");
    for toy in &toys[..3] {
        decide(&mut bench, toy);
    }
    bench.preprepare(0, &toys[3]);
    bench.valid(&toys[3]);
    bench.prepare(2, 0, &toys[3]);
    bench.commit(0, 0, &toys[3]);
    bench.commit(2, 0, &toys[3]);
    assert_eq!(bench.checkpoint(0, &toys[3]), NOTHING);
    assert_eq!(
        bench.checkpoint(2, &toys[3]),
        NOTHING,
        "a quorum may say so: it is stable here when it is executed here"
    );
    let executed = bench.command(Command::Executed { height: Height(4), id: toys[3].id() });
    assert_eq!(executed, ["disk: executed 4", "all: checkpoint 4", "disk: stable 4"]);
    assert_eq!((bench.agreement().stable(), bench.agreement().high()), (Height(4), Height(20)));
    assert_eq!(bench.agreement().log_size(), (0, 0));
    assert_eq!(bench.disk.len(), 2, "what is executed, with its proof, and the stable checkpoint");
}

#[test]
fn a_replica_that_was_away_learns_what_is_decided_or_that_it_must_be_fetched() {
    let mut bench = Bench::new(4, 1);
    let toys = chain(&mut bench, "AB");
    let certificate = |bench: &Bench, toy: &Toy| {
        let vote = |by: usize| {
            let commit = Commit { view: View(0), height: toy.height, id: toy.id() };
            (by as u8, bench.sign(by, commit).signature())
        };
        Certificate::new(0, [0, 2, 3].map(vote).to_vec())
    };
    let decided = |bench: &Bench, toy: &Toy, with: bool| Message::Decided {
        base: Base { height: toy.height, id: toy.id(), certificate: certificate(bench, toy) },
        proposal: with.then(|| toy.clone()),
    };
    let second = decided(&bench, &toys[1], true);
    assert_eq!(bench.say(2, second), NOTHING, "the first is not known");
    let first = decided(&bench, &toys[0], true);
    let told = bench.say(2, first);
    let one = ["disk: proposal 1", "disk: decided 1", "committed A1 in v0"];
    assert_eq!(told[..3], one);
    assert_eq!(told[3..], ["disk: proposal 2", "disk: decided 2", "committed B2 in v0"]);
    let far = Toy { height: Height(60), ..toy('Z', 60, GENESIS) };
    bench.name(&far, 'Z');
    let far_away = decided(&bench, &far, false);
    assert_eq!(bench.say(2, far_away), ["behind 60"]);
    let base = Base { height: far.height, id: far.id(), certificate: certificate(&bench, &far) };
    let synced = bench.command(Command::Synced(base));
    assert_eq!(synced, ["disk: executed 60", "disk: stable 60", "all: checkpoint 60"]);
    assert_eq!(bench.agreement().high(), Height(76));
    assert_eq!(bench.disk.len(), 2);
}

#[test]
fn a_replica_comes_back_with_its_votes_and_repeats_none_of_them_differently() {
    let mut bench = Bench::new(4, 1);
    let a = chain(&mut bench, "A").remove(0);
    bench.preprepare(0, &a);
    bench.valid(&a);
    let mut reborn = bench.reborn();
    let other = toy('X', 1, GENESIS);
    reborn.name(&other, 'X');
    assert_eq!(reborn.preprepare(0, &other), ["evidence against 0"], "it has voted for A in this view");
    assert_eq!(reborn.valid(&a), NOTHING);
    assert_eq!(reborn.prepare(2, 0, &a), ["disk: prepared 1", "all: commit v0 A1"]);
    // It had prepared A and one commit more was under way: a view change from the disk shows A.
    let mut reborn = reborn.reborn();
    reborn.commit(0, 0, &a);
    let mut said = vec![];
    while said.is_empty() {
        said = reborn.fire();
    }
    assert_eq!(said, ["disk: to v1", "all: view change 1 with [\"v0 A1\"]"]);
    let mut reborn = reborn.reborn();
    assert_eq!((reborn.agreement().view(), reborn.agreement().is_active()), (View(1), false));
    assert_eq!(reborn.prepare(2, 0, &a), NOTHING, "it has left view 0");
}

#[test]
fn each_wrong_message_is_refused_for_its_own_reason() {
    let mut bench = Bench::new(4, 3);
    let toys = chain(&mut bench, "AB");
    let (a, b) = (&toys[0], &toys[1]);
    let order = Bench::order(0, a);
    let commit = Commit { view: View(0), height: Height(1), id: a.id() };
    let unsigned = |by: u8| Signed::from_parts(commit, ValidatorId(by), Signature::NONE);
    let base = |id: BlockId| Base { height: Height(1), id, certificate: Certificate::none() };
    let hidden = ViewChange { prepared: vec![bench.proof(0, b, &[1, 2])], ..change(1, genesis()) };
    let short = ViewChange { prepared: vec![bench.proof(0, a, &[1])], ..change(1, genesis()) };
    let twice = ViewChange { prepared: vec![bench.proof(0, a, &[1, 1])], ..change(1, genesis()) };
    let own = ViewChange { prepared: vec![bench.proof(0, a, &[0, 1])], ..change(1, genesis()) };
    let late = ViewChange { prepared: vec![bench.proof(1, a, &[0, 2])], ..change(1, genesis()) };
    let empty: Vec<_> = (0..3).map(|by| bench.sign(by, change(1, genesis()))).collect();
    let few = NewView { view: View(1), changes: empty[..2].to_vec(), orders: vec![] };
    let same = vec![empty[0].clone(), empty[1].clone(), empty[1].clone()];
    let doubled = NewView { view: View(1), changes: same, orders: vec![] };
    let invented = bench.sign(1, PrePrepare(Bench::order(1, a)));
    let added = NewView { view: View(1), changes: empty.clone(), orders: vec![invented] };
    let shown = bench.sign(0, ViewChange { prepared: vec![bench.proof(0, a, &[1, 2])], ..change(1, genesis()) });
    let changes = vec![shown, empty[1].clone(), empty[2].clone()];
    let dropped = NewView { view: View(1), changes, orders: vec![] };
    let foreign = NewView { view: View(1), changes: empty.clone(), orders: vec![] };
    let spoilt = ViewChange { base: base(GENESIS), ..change(1, genesis()) };
    let cases: Vec<(Message<Toy>, Reject)> = vec![
        (Message::Commit(unsigned(1)), Reject::VoteSignature),
        (Message::Commit(unsigned(4)), Reject::VoteStranger),
        (
            Message::Checkpoint(Signed::from_parts(
                Checkpoint { height: Height(4), id: a.id() },
                ValidatorId(0),
                Signature::NONE,
            )),
            Reject::VoteSignature,
        ),
        (
            Message::Hello {
                hello: Signed::from_parts(Hello { salt: 0 }, ValidatorId(0), Signature::NONE),
                asks: false,
            },
            Reject::VoteSignature,
        ),
        (Message::Prepare(bench.sign(0, Prepare(order))), Reject::VotePrimary),
        (Message::PrePrepare { order: bench.sign(1, PrePrepare(order)), proposal: a.clone() }, Reject::VotePrimary),
        (Message::PrePrepare { order: bench.sign(0, PrePrepare(order)), proposal: b.clone() }, Reject::VoteProposal),
        (Message::Decided { base: base(a.id()), proposal: None }, Reject::VoteCertificate),
        (Message::ViewChange(bench.sign(0, hidden)), Reject::VoteChange),
        (Message::ViewChange(bench.sign(0, short)), Reject::VoteChange),
        (Message::ViewChange(bench.sign(0, twice)), Reject::VoteChange),
        (Message::ViewChange(bench.sign(0, own)), Reject::VoteChange),
        (Message::ViewChange(bench.sign(0, late)), Reject::VoteChange),
        (Message::ViewChange(bench.sign(0, spoilt)), Reject::VoteChange),
        (Message::NewView(bench.sign(1, few)), Reject::VoteNewView),
        (Message::NewView(bench.sign(1, doubled)), Reject::VoteNewView),
        (Message::NewView(bench.sign(1, added)), Reject::VoteNewView),
        (Message::NewView(bench.sign(1, dropped)), Reject::VoteNewView),
        (Message::NewView(bench.sign(2, foreign)), Reject::VotePrimary),
    ];
    for (message, reason) in cases {
        let shown = std::format!("{message:?}");
        assert_eq!(bench.say(2, message), [std::format!("reject 2: {reason}")], "{shown}");
    }
    assert_eq!((bench.agreement().view(), bench.agreement().log_size()), (View(0), (0, 0)), "nothing was taken");
    assert_eq!(bench.deadline(), None, "nothing is waited for");
}

#[test]
fn an_invalid_proposal_is_held_against_the_primary_at_once() {
    let mut bench = Bench::new(4, 3);
    let a = chain(&mut bench, "A").remove(0);
    bench.preprepare(0, &a);
    let refused = bench.command(Command::Validated { id: a.id(), is_valid: false });
    assert_eq!(refused, ["reject 0: vote_proposal", "disk: to v1", "all: view change 1 with []"]);
}

#[test]
fn two_votes_of_one_validator_are_evidence_and_the_first_counts() {
    let mut bench = Bench::new(4, 3);
    let a = chain(&mut bench, "A").remove(0);
    let other = toy('X', 1, GENESIS);
    bench.name(&other, 'X');
    bench.preprepare(0, &a);
    bench.valid(&a);
    assert_eq!(bench.prepare(1, 0, &other), NOTHING);
    assert_eq!(bench.prepare(1, 0, &a), ["evidence against 1"]);
    assert_eq!(bench.prepare(1, 0, &a), NOTHING, "once for a height");
    assert_eq!(bench.commit(2, 0, &other), NOTHING);
    assert_eq!(bench.commit(2, 0, &a), ["evidence against 2"]);
    assert_eq!(bench.prepare(2, 0, &a), ["disk: prepared 1", "all: commit v0 A1"]);
}

#[test]
fn messages_of_a_closed_connection_are_nothing() {
    let mut bench = Bench::new(4, 1);
    let a = chain(&mut bench, "A").remove(0);
    bench.step(Input::PeerDown(PeerId(0)));
    assert_eq!(bench.preprepare(0, &a), NOTHING);
    assert_eq!(bench.agreement().log_size(), (0, 0));
}

#[test]
fn an_observer_says_and_does_nothing() {
    for secret in [None, Some(secret(9))] {
        let params = Params { rules: rules(4), settings: settings(), secret, salt: 1 };
        let mut observer: Agreement<Toy> = Agreement::restore(params, core::iter::empty());
        let mut out = Out::new();
        observer.start(Time::ZERO, &mut out);
        observer.handle(Time::ZERO, Input::PeerUp(PeerId(0)), &mut out);
        let waits = Command::Requests { pending: 1, oldest: Some(Bytes([1; 32])) };
        observer.handle(Time::ZERO, Input::Command(waits), &mut out);
        assert!(out.is_empty());
        assert_eq!(observer.my_id(), None);
    }
}

#[test]
fn validators_are_at_least_four_different_keys_and_lead_in_turn() {
    let keys = |count: usize| (0..count).map(|validator| secret(validator).public()).collect::<Vec<_>>();
    assert_eq!(Validators::new(&keys(3)).err(), Some(ValidatorsError::Count { got: 3 }));
    assert_eq!(
        Validators::new(&keys(VALIDATORS_MAX + 1)).err(),
        Some(ValidatorsError::Count { got: VALIDATORS_MAX + 1 })
    );
    assert!(Validators::new(&keys(VALIDATORS_MAX)).is_ok());
    let mut twice = keys(5);
    twice[4] = twice[1];
    assert_eq!(Validators::new(&twice).err(), Some(ValidatorsError::Twice { first: 1, second: 4 }));
    let four = rules(4).validators;
    assert_eq!([0, 1, 3, 4, 7].map(|view| four.primary(View(view)).0), [0, 1, 3, 0, 3]);
    assert_eq!(four.find(&secret(2).public()), Some(ValidatorId(2)));
}
