//! Validators that are not honest, in networks of real processes: as many as may be, and one more.

use std::collections::BTreeMap;

use serde_json::Value;
use synod_lab::settings::{Consensus, Settings};

use crate::support::{Net, metric, synod_in, wait};

/// Four validators, of which the first ones behave like this, and an observer.
fn validators(settings: &mut Settings, behaviours: &[&str]) {
    settings.consensus = Consensus::Pbft;
    settings.validators = 4;
    let named = behaviours.iter().enumerate();
    settings.adversaries =
        named.map(|(place, name)| (format!("peer{}", place + 1), (*name).to_owned())).collect::<BTreeMap<_, _>>();
}

async fn pay_until_confirmed(net: &Net, from: &str, confirmations: u64) {
    let sent = net.synod_json(&["tx", "send", "--from", from, "--to", "bob", "--amount", "1", "--peer", "peer5"]);
    let id = sent["id"].as_str().expect("an id").parse().expect("an id");
    net.wait_known(id, confirmations).await;
}

/// Issue 4: with f adversaries no two honest replicas commit different blocks at one height, and payments are confirmed.
async fn f_of_a_kind_do_no_harm(behaviour: &str) {
    let net = Net::up(5, |settings| validators(settings, &[behaviour])).await;
    for _ in 0..5 {
        pay_until_confirmed(&net, "alice", 1).await;
    }
    let tip = net.wait_one_tip(5).await;
    assert_eq!(tip.supply, Some(tip.supply_scheduled));
    let status = net.synod_json(&["status"]);
    assert_eq!(status["peers"][0]["status"]["adversary"], behaviour, "who is not honest is shown: {status}");
    assert_eq!(status["peers"][1]["status"]["adversary"], Value::Null, "{status}");
    for place in 0..5 {
        assert_eq!(net.status(place).await.violation, None, "peer{}", place + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_colluder_of_four_validators_forks_nothing() {
    f_of_a_kind_do_no_harm("colluder").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_equivocator_of_four_validators_forks_nothing() {
    f_of_a_kind_do_no_harm("equivocator").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_primary_is_replaced() {
    f_of_a_kind_do_no_harm("silent").await;
}

/// Issue 4: with f + 1 colluders two blocks of one height are agreed on, and the run says so: the honest ones and the observer
/// stop, both certificates are shown, and the exit code is 5.
#[tokio::test(flavor = "multi_thread")]
async fn two_colluders_of_four_validators_fork_the_chain_and_both_certificates_are_shown() {
    let net = Net::up(5, |settings| validators(settings, &["colluder", "colluder"])).await;
    let mut seen = Vec::new();
    wait("the honest ones and the observer to see two certificates", async || {
        // Payments go on until one is proposed twice where it does harm: who gets which of two blocks varies.
        net.synod(&["tx", "send", "--from", "alice", "--to", "bob", "--amount", "1", "--peer", "peer5"]);
        seen.clear();
        for place in [2, 3, 4] {
            seen.extend(net.status(place).await.violation);
        }
        seen.len() == 3
    })
    .await;
    for violation in &seen {
        let [one, other] = violation.blocks.as_slice() else { panic!("two blocks: {violation:?}") };
        assert_ne!(one.id, other.id);
        assert!(one.votes.len() >= 3, "a quorum of four: {violation:?}");
        assert!(other.votes.len() >= 3, "a quorum of four: {violation:?}");
    }
    for words in [&["status"][..], &["chain", "--peer", "peer5"]] {
        let output = net.synod(words);
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(5), "{words:?}: {text}");
        for block in &seen[2].blocks {
            assert!(text.contains(&block.id.to_string()), "{words:?} shows block {}: {text}", block.id);
        }
        assert_eq!(text.matches("  block ").count(), 2, "{text}");
    }
}

#[test]
fn adversaries_that_there_cannot_be_are_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let dir = folder.path().join("net");
    for (words, code, said) in [
        (
            &["--consensus", "pbft", "--adversary", "peer9=silent"][..],
            3,
            "expected the validators peer1 to peer5, got peer9",
        ),
        (&["--consensus", "pow", "--adversary", "peer1=silent"], 3, "expected selfish-miner, got silent"),
        (
            &["--consensus", "pow", "--light", "1", "--adversary", "peer5=selfish-miner"],
            3,
            "expected the miners peer1 to peer4, got peer5",
        ),
        (&["--consensus", "pbft", "--adversary", "peer1=selfish-miner"], 3, "got selfish-miner"),
        (&["--consensus", "pbft", "--adversary", "peer1=rude"], 2, "there is no behaviour rude; there are colluder, "),
        (&["--consensus", "pbft", "--adversary", "peer1"], 2, "expected PEER=BEHAVIOUR"),
    ] {
        let output = synod_in(&dir, &[&["up"], words].concat());
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{words:?}: {text}");
        assert!(text.contains(said), "{words:?}: {text}");
    }
    let help = synod_in(&dir, &["up", "--help"]);
    let text = String::from_utf8_lossy(&help.stdout);
    for name in synod_consensus::adversary::Behaviour::NAMES {
        assert!(name == "honest" || text.contains(name), "{name} is in the help: {text}");
    }
    assert!(!dir.exists(), "nothing was made");
}

/// What all peers sent of these kinds.
async fn sent(net: &Net, kinds: &[&str]) -> Vec<u64> {
    let mut sums = vec![0; kinds.len()];
    for place in 0..net.network.peers().len() {
        let url = format!("http://{}", net.client_address(place));
        for (sum, kind) in sums.iter_mut().zip(kinds) {
            *sum += metric(&url, "synod_messages_sent_total", &format!("kind=\"{kind}\"")).await as u64;
        }
    }
    sums
}

/// Issue 4: a request costs as many messages as in the paper, by the hosts' counters.
async fn a_payment_costs(count: usize, expected: [u64; 5]) {
    let net = Net::up(count + 1, |settings| {
        settings.consensus = Consensus::Pbft;
        settings.validators = count;
    })
    .await;
    let client = format!("peer{}", count + 1);
    let kinds = ["request", "pre_prepare", "prepare", "commit", "reply"];
    let pay = |from: &str| {
        net.synod_json(&[
            "tx", "send", "--from", from, "--to", "bob", "--amount", "1", "--wait", "1", "--peer", &client,
        ])
    };
    let mut costs: Vec<Vec<u64>> = Vec::new();
    // On a busy machine a vote is asked for again, or one that was late has the block from others and votes no more. A payment
    // that nothing disturbs costs what it must.
    wait("a payment that is not disturbed", async || {
        let from = ["alice", "carol", "dave", "erin"][costs.len() % 4];
        // The first payment of a key introduces its owner. Where a validator missed that it does not reply to that key: another follows.
        if costs.len() < 4 {
            pay(from);
        }
        net.wait_one_tip(1).await;
        let before = sent(&net, &kinds).await;
        let paid = pay(from);
        assert!(paid["status"] == "confirmed" || paid["status"] == "replied", "{paid}");
        let (mut cost, mut looks) = (Vec::new(), 0);
        wait("all to have said what they say", async || {
            let after = sent(&net, &kinds).await;
            let now: Vec<u64> = after.iter().zip(&before).map(|(after, before)| after - before).collect();
            looks = if now == cost { looks + 1 } else { 0 };
            cost = now;
            looks == QUIET_LOOKS
        })
        .await;
        println!("{count} validators: {cost:?}");
        costs.push(cost);
        costs.last().is_some_and(|cost| *cost == expected)
    })
    .await;
}

/// So many looks at the counters in a row must be alike before nobody is taken to say more.
const QUIET_LOOKS: usize = 10;

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_costs_four_real_validators_as_many_messages_as_in_the_paper() {
    a_payment_costs(4, [1, 3, 9, 12, 4]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_costs_seven_real_validators_as_many_messages_as_in_the_paper() {
    a_payment_costs(7, [1, 6, 36, 42, 7]).await;
}

/// Issue 4: a validator that lost its whole disk follows, says nothing that might contradict what it said, and votes again.
#[tokio::test(flavor = "multi_thread")]
async fn a_validator_whose_store_is_lost_is_silent_first_and_votes_again() {
    let mut net = Net::up(5, |settings| validators(settings, &["lying-donor"])).await;
    for _ in 0..3 {
        pay_until_confirmed(&net, "alice", 1).await;
    }
    let lost_at = net.wait_one_tip(3).await.height;
    let data = net.network.dir().join("peer3/data");
    assert!(!data.join("identity.unused").exists(), "its key is in use");
    net.network.stop(&[2], std::time::Duration::from_secs(10)).await.expect("it stops");
    std::fs::remove_file(data.join("store.redb")).expect("it had a store");
    net.start(&[2]).await;
    pay_until_confirmed(&net, "alice", 1).await;
    assert!(net.wait_one_tip(lost_at.0 + 1).await.height > lost_at, "it follows");
    let url = format!("http://{}", net.client_address(2));
    let votes = async || metric(&url, "synod_messages_sent_total", "kind=\"prepare\"").await;
    assert_eq!(votes().await, 0.0, "it does not know what it has voted for");
    wait("it to vote again", async || {
        pay_until_confirmed(&net, "alice", 1).await;
        votes().await > 0.0
    })
    .await;
    let back_at = net.status(2).await.height;
    assert!(back_at.0 >= lost_at.0 + 32, "everything that it may have voted for is decided: {lost_at} and {back_at}");
    assert_eq!(net.status(2).await.violation, None);
}
