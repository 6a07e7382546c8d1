//! Two halves that cannot hear each other, and what becomes of their chains.

use synod_lab::settings::Consensus;

use crate::support::{Net, wait};

/// Issue 2, 4.
#[tokio::test(flavor = "multi_thread")]
async fn two_halves_mine_apart_and_come_back_to_one_tip() {
    let net = Net::up(4, |_| {}).await;
    let before = net.wait_one_tip(2).await;
    net.synod_json(&["fault", "partition", "peer1,peer2|rest"]);

    let here = pay(&net, "alice", "peer1");
    let there = pay(&net, "bob", "peer3");
    wait("both halves to mine apart", async || {
        let (one, other) = (net.status(0).await, net.status(2).await);
        let apart = one.tip != other.tip;
        apart && one.height.0 >= before.height.0 + 3 && other.height.0 >= before.height.0 + 3
    })
    .await;
    let (one, other) = (net.status(0).await, net.status(2).await);
    assert!(net.client(2).transaction(here).await.is_err(), "the other half has not heard of it");
    assert!(net.client(0).transaction(there).await.is_err(), "the other half has not heard of it");

    net.synod_json(&["fault", "heal"]);
    let healed = net.wait_one_tip(one.height.0.max(other.height.0) + 1).await;
    for id in [here, there] {
        net.wait_known(id, 1).await;
    }
    assert_eq!(healed.supply, Some(healed.supply_scheduled), "money is conserved");
}

/// Validators that are a quorum go on, the others agree on nothing until the partition heals, and then on what they were asked.
#[tokio::test(flavor = "multi_thread")]
async fn a_quorum_goes_on_and_the_others_wait() {
    let net = Net::up(4, |settings| settings.consensus = Consensus::Pbft).await;
    let first = pay(&net, "alice", "peer1");
    net.wait_known(first, 1).await;
    net.synod_json(&["fault", "partition", "peer4|rest"]);

    let (here, there) = (pay(&net, "alice", "peer1"), pay(&net, "bob", "peer4"));
    let is_confirmed =
        async |place: usize, id| net.client(place).transaction(id).await.is_ok_and(|info| info.confirmations > 0);
    wait("the quorum to go on", async || is_confirmed(2, here).await).await;
    assert!(!is_confirmed(3, here).await, "the other side has not heard of it");
    assert!(!is_confirmed(3, there).await, "one validator decides nothing");

    net.synod_json(&["fault", "heal"]);
    for id in [here, there] {
        net.wait_known(id, 1).await;
    }
    let healed = net.wait_one_tip(2).await;
    assert_eq!(healed.supply, Some(healed.supply_scheduled), "money is conserved");
}

fn pay(net: &Net, from: &str, peer: &str) -> synod_ledger::TxId {
    let sent = net.synod_json(&["tx", "send", "--from", from, "--to", "carol", "--amount", "1", "--peer", peer]);
    sent["id"].as_str().expect("an id").parse().expect("a transaction's id")
}
