//! Kademlia: small troubled networks by the hundred, and the oracle's own tests.

use std::collections::BTreeMap;
use std::time::Duration;

use synod_dht::overlay::{Failure, Quorum};
use synod_machine::Time;
use synod_scenario::oracle::Verdict;
use synod_scenario::overlay::kademlia::{Answer, Deed, Network, Plan, draw, judge, swarm};

const SEEDS: std::ops::Range<u64> = 0..120;

#[test]
fn nothing_that_a_seed_draws_breaks_what_must_hold() {
    let mut met: BTreeMap<&str, u64> = BTreeMap::new();
    let mut failures = Vec::new();
    for seed in SEEDS {
        let judgement = swarm(seed);
        if !judgement.verdict.is_pass() {
            let at = judgement.at;
            failures.push(format!(
                "seed {seed} at {at}: {}\nreplay: synod swarm --overlay kademlia --from {seed} --seeds 1",
                judgement.verdict
            ));
        }
        for (name, count) in judgement.met {
            *met.entry(name).or_default() += u64::from(count > 0);
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    println!("runs with {met:?}");
    for name in ["crashes", "failures", "found", "lossy", "partitions", "reads", "stored"] {
        assert!(met.get(name).is_some_and(|runs| *runs >= 10), "{name}: {met:?}");
    }
}

#[test]
fn a_seed_is_one_run() {
    for seed in 0..5 {
        assert_eq!(swarm(seed).digest, swarm(seed).digest, "{seed}");
    }
}

/// A judge that never says no would pass everything.
#[test]
fn a_network_that_does_not_heal_is_seen() {
    let mut drawn = draw(5);
    let (peers, secs) = (12, 100);
    (drawn.peers, drawn.bounds, drawn.omitted, drawn.secs) = (peers, (20, 3, 2), 0.0, secs);
    drawn.deeds = Vec::new();
    assert_eq!(judge(drawn.clone()).verdict, Verdict::Pass);
    // Requests take longer than a node waits for the answer.
    drawn.links.delay = Some(synod_sim::model::Distribution::constant(synod_sim::model::Span::from_millis(1_500)));
    let verdict = judge(drawn).verdict;
    assert!(matches!(verdict, Verdict::NoProgress(_)), "{verdict:?}");
}

#[test]
fn every_kind_of_trouble_is_in_some_seeds_and_missing_in_others() {
    let drawn: Vec<_> = (0..200).map(draw).collect();
    let has = |is: fn(&Deed) -> bool| drawn.iter().filter(|drawn| drawn.deeds.iter().any(|(_, deed)| is(deed))).count();
    let counts = [
        has(|deed| matches!(deed, Deed::Crash(_))),
        has(|deed| matches!(deed, Deed::Cut(_))),
        has(|deed| matches!(deed, Deed::Lookup)),
        has(|deed| matches!(deed, Deed::Put)),
        has(|deed| matches!(deed, Deed::Start(_))),
        drawn.iter().filter(|drawn| drawn.omitted > 0.0).count(),
        drawn.iter().filter(|drawn| drawn.codec).count(),
    ];
    assert!(counts.iter().all(|count| (20..=199).contains(count)), "{counts:?}");
}

/// Issue 5, 3: in a quiet network every look-up gives the true closest nodes, whatever the seed.
#[test]
fn in_a_quiet_network_look_ups_are_exact() {
    for (seed, peers) in [(1, 1), (2, 2), (3, 21), (4, 60), (5, 150)] {
        let mut plan = Plan::new(seed, peers);
        plan.codec = true;
        let mut network = Network::new(plan);
        assert!(network.settle(), "all join");
        for (key, answered) in network.lookups(50, Duration::from_millis(10)) {
            assert_eq!(answered.answer, Answer::Found(Ok(network.truth(key, 20))), "seed {seed}");
        }
    }
}

#[test]
fn what_is_published_survives_all_but_one_of_its_replicas_and_comes_back_with_its_publisher() {
    let mut plan = Plan::new(7, 40);
    plan.params.request_time = Duration::from_secs(1);
    let mut network = Network::built(plan);
    let (publisher, key) = (network.draw_peer().expect("somebody"), network.draw_key());
    let three = |needed| Quorum::new(needed, 3).expect("a possible quorum");
    network.put(publisher, key, b"value".to_vec(), three(3));
    network.pass(Duration::from_secs(10));
    assert!(matches!(network.take_answers()[..], [ref answered] if answered.answer == Answer::Stored(Ok(3))));
    let holders: Vec<_> = network.truth(key, 3);
    for holder in &holders[1..] {
        network.crash(holder.peer);
    }
    let read = |network: &mut Network| {
        let reader = network.live().map(|node| node.peer).find(|peer| *peer != publisher && *peer != holders[0].peer);
        network.get(reader.expect("somebody"), key, three(1));
        network.pass(Duration::from_secs(20));
        network.take_answers().pop().expect("an answer").answer
    };
    let Answer::Got(Ok(entries)) = read(&mut network) else { panic!("one replica is left") };
    assert_eq!(entries[0].value, b"value");
    // Whoever read it left a copy on its way, so that more than the replicas have it now.
    let now = network.net().now();
    let keeps = |network: &Network, peer| {
        network.net().protocol(peer).is_some_and(|machine| machine.entries(now, key).next().is_some())
    };
    let all: Vec<_> = network.live().map(|node| node.peer).filter(|peer| keeps(&network, *peer)).collect();
    all.into_iter().chain([publisher]).for_each(|peer| network.crash(peer));
    assert_eq!(read(&mut network), Answer::Got(Err(Failure::NotFound)), "all who had it are gone");
    let now = network.net().now();
    network.net_mut().start(now, publisher);
    network.pass(Duration::from_secs(30));
    let Answer::Got(Ok(entries)) = read(&mut network) else { panic!("its publisher is back") };
    assert_eq!((entries[0].version, &entries[0].value[..]), (1, &b"value"[..]));
    assert!(network.net().now() < Time::from_secs(3_600), "and did not wait until it was due");
}
