//! Two halves that cannot hear each other, and what becomes of their chains.

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
    assert_eq!(healed.supply, healed.supply_scheduled, "money is conserved");
}

fn pay(net: &Net, from: &str, peer: &str) -> synod_ledger::TxId {
    let sent = net.synod_json(&["tx", "send", "--from", from, "--to", "carol", "--amount", "1", "--peer", peer]);
    sent["id"].as_str().expect("an id").parse().expect("a transaction's id")
}
