//! Whole peers of which some vote: what agreement costs in messages, what too many adversaries do, and how one comes back
//! whose disk was lost.

use synod_consensus::{Command as ReplicaCommand, Violation};
use synod_ledger::{Amount, Height, PaymentBuilder, Seal, Tx};
use synod_machine::{PeerId, Time};
use synod_peer::{Command, Peer};
use synod_scenario::{Scenario, Trial, payer};
use synod_sim::World;

fn world(text: &str) -> World<Trial> {
    let scenario = Scenario::parse(text).unwrap_or_else(|error| panic!("{error}"));
    Trial::world(scenario.plan(scenario.seed, |_| panic!("it names no files")).expect("a right scenario"))
}

/// So many validators and an observer, all linked with each other.
fn validators(count: u32, more: &str) -> World<Trial> {
    world(&format!(
        "name = 'validators'\npeers = {}\ntopology = {{ kind = 'complete' }}\nlinks = {{ delay = '10 ms' }}\n\
         stop = {{ time = '1 h' }}\n{more}\n[chain]\nengine = {{ kind = 'pbft', validators = {count} }}\n",
        count + 1
    ))
}

fn run(world: &mut World<Trial>, seconds: u64) {
    world.run(Time::from_secs(seconds), u64::MAX);
}

/// A payment of a person's coin of that number in the genesis.
fn payment(world: &World<Trial>, coin: usize) -> Tx {
    let (chain, owner) = (world.experiment().chain(), payer::key(0));
    let (name, spent) = chain.state().coins_of(&owner.address())[coin];
    let builder = PaymentBuilder::new(chain.rules().chain).spend(name, spent, &owner);
    builder.pay(owner.address(), Amount(10)).fee(Amount(1_000)).build(owner.address()).expect("the coin covers it")
}

fn submit(world: &mut World<Trial>, at: PeerId, tx: Tx) {
    let (_, net) = world.parts_mut();
    let command = ReplicaCommand::Submit { ticket: 0, tx };
    net.command(net.now(), at, Command::Replica(command));
}

fn peer(world: &World<Trial>, peer: u32) -> &Peer {
    world.net().protocol(PeerId(peer)).expect("it is up")
}

/// The figures of the paper's normal case (OSDI '99, section 4.2): 24, 84, 180 and 1,860 messages between 4, 7, 10 and 31
/// replicas, and a reply of each.
#[test]
fn a_request_costs_as_many_messages_as_in_the_paper() {
    for (count, between) in [(4, 24), (7, 84), (10, 180), (31, 1_860)] {
        let mut world = validators(count, "");
        run(&mut world, 5);
        // The first payment of a key introduces its owner to the validators.
        let (first, second) = (payment(&world, 0), payment(&world, 1));
        submit(&mut world, PeerId(count), first);
        run(&mut world, 10);
        let sent = |world: &World<Trial>, kind| world.net().counters().traffic.of(kind).sent.messages;
        let kinds = ["request", "client", "pre_prepare", "prepare", "commit", "reply", "checkpoint", "view_change"];
        let before = kinds.map(|kind| sent(&world, kind));
        submit(&mut world, PeerId(count), second.clone());
        run(&mut world, 15);
        let cost: Vec<u64> = kinds.iter().zip(before).map(|(kind, before)| sent(&world, kind) - before).collect();
        let n = u64::from(count);
        assert_eq!(cost, [1, 0, n - 1, (n - 1) * (n - 1), n * (n - 1), n, 0, 0], "{kinds:?} for {n} validators");
        assert_eq!(cost[2] + cost[3] + cost[4], between, "{n} validators");
        for place in 0..=count {
            assert_eq!(peer(&world, place).replica().state().height(), Height(2), "peer {place} of {n}");
        }
    }
}

fn seen(world: &World<Trial>) -> Vec<(PeerId, Violation)> {
    let mut seen = world.experiment().violations().to_vec();
    seen.sort_by_key(|(peer, _)| *peer);
    seen
}

#[test]
fn f_colluders_fork_nothing_and_f_plus_one_do_and_both_certificates_are_shown() {
    let load = "load = { rate = 10.0, until = '20 s' }\n";
    let mut world = validators(4, &format!("{load}adversaries = [{{ peers = [0], behaviour = 'colluder' }}]"));
    run(&mut world, 60);
    assert_eq!(seen(&world), []);
    assert!(peer(&world, 4).replica().state().height() > Height(10), "and payments are made");

    let mut world = validators(4, &format!("{load}adversaries = [{{ peers = ['0-1'], behaviour = 'colluder' }}]"));
    run(&mut world, 60);
    let seen = seen(&world);
    for honest in [2, 3, 4] {
        let told = seen.iter().filter(|(peer, _)| *peer == PeerId(honest)).count();
        assert_eq!(told, 1, "peer {honest} stops once: {seen:?}");
    }
    let agreed = world.experiment().chain().agreed().expect("a chain of validators").clone();
    for (_, violation) in &seen {
        let [one, other] = &violation.headers;
        assert_ne!(one.id(), other.id());
        for header in [one, other] {
            let Seal::Agreed { certificate } = &header.seal else { panic!("it has votes") };
            let (keys, quorum) = (agreed.validators(), agreed.quorum());
            assert!(certificate.verify(keys, quorum, header.chain, violation.height, header.id()), "{header:?}");
        }
    }
}

/// Whether a validator's vote is in the certificate of the block at a height of a peer's chain.
fn has_voted(world: &World<Trial>, at: u32, height: Height, validator: u8) -> bool {
    let replica = peer(world, at).replica();
    let node = replica.tree().ancestor(&replica.tip(), height).expect("a height of the chain");
    let Seal::Agreed { certificate } = &node.header().seal else { panic!("it has votes") };
    certificate.votes().iter().any(|(place, _)| *place == validator)
}

#[test]
fn a_validator_that_lost_its_disk_catches_up_past_lying_donors_and_votes_again_when_it_cannot_contradict_itself() {
    let mut world = validators(
        7,
        "load = { rate = 20.0, until = '60 s' }\n\
         adversaries = [{ peers = [0, 1], behaviour = 'lying-donor' }]\n\
         actions = [\n\
           { do = 'wipe', at = '10 s', peers = [5] },\n\
           { do = 'start', at = '15 s', peers = [5] },\n\
         ]",
    );
    run(&mut world, 10);
    let lost_at = peer(&world, 7).replica().state().height();
    assert!(lost_at > Height(30), "there is a chain to catch up with: {lost_at}");
    let mut until = None;
    for second in 15..=90 {
        run(&mut world, second);
        let silent = world.net().protocol(PeerId(5)).and_then(|peer| peer.replica().agreement()?.silent_until());
        until = until.max(silent);
    }
    let until = until.expect("it was silent for a while");
    let top = peer(&world, 7).replica().state().height();
    assert!(until > lost_at, "it has voted for nothing above {until}");
    assert!(top.0 > until.0 + 10, "payments went on from {until} to {top}");
    let returned = peer(&world, 5).replica();
    assert_eq!(returned.tip(), peer(&world, 7).replica().tip());
    assert_eq!(returned.agreement().expect("it votes").silent_until(), None);
    let votes = |from: u64, to: u64| (from..=to).filter(|height| has_voted(&world, 7, Height(*height), 5)).count();
    assert!(votes(until.0 + 2, top.0) > 0, "it votes again");
    // What was under way at the end of the silence aside, it said nothing that could contradict what it forgot.
    let silent_from = lost_at.0 + 1 + 16;
    assert_eq!(votes(silent_from.min(until.0), until.0), 0, "it is silent up to {until}");
    let lies = world.experiment().rejects().iter().filter(|((by, _), _)| by.0 <= 1);
    assert!(
        lies.map(|(_, count)| count).sum::<u64>() > 0,
        "who lied was found out: {:?}",
        world.experiment().rejects()
    );
    let others = world.experiment().rejects().iter().filter(|((by, reason), _)| by.0 > 1 && reason.is_fault());
    assert_eq!(others.count(), 0, "{:?}", world.experiment().rejects());
}
