//! Peers that come late, and peers that do not belong.

use std::time::Duration;

use synod_lab::settings::{Consensus, Settings};
use synod_ledger::TxId;

use crate::support::{Net, wait};

/// A peer that was not there catches up, and finds the others from the one address that it knows.
#[tokio::test(flavor = "multi_thread")]
async fn a_late_joiner_catches_up_and_finds_the_others() {
    catch_up(|_| {}, 10).await;
}

/// Issue 4, 1: the same where blocks are made by stake.
#[tokio::test(flavor = "multi_thread")]
async fn a_late_minter_catches_up_and_finds_the_others() {
    let tune = |settings: &mut Settings| {
        settings.consensus = Consensus::Pos;
        settings.block_time = Duration::from_secs(2);
    };
    catch_up(tune, 4).await;
}

async fn catch_up(tune: impl FnOnce(&mut Settings), height: u64) {
    let mut net = Net::create(4, tune);
    net.start(&[0, 1, 2]).await;
    wait("a chain to catch up with", async || net.status(0).await.height.0 >= height).await;
    net.start(&[3]).await;
    let status = net.wait_one_tip(height + 1).await;
    assert_eq!(status.supply, Some(status.supply_scheduled));
    wait("the late joiner to know all others", async || net.status(3).await.peers == 3).await;
}

/// Issue 4, 1: a validator that was not there catches up by the others' certificates, and its vote counts: without one of the
/// first three, nothing would be agreed on but for it. One that only follows comes later still.
#[tokio::test(flavor = "multi_thread")]
async fn a_late_validator_catches_up_and_votes_and_a_late_observer_follows() {
    let tune = |settings: &mut Settings| {
        settings.consensus = Consensus::Pbft;
        settings.validators = 4;
    };
    let mut net = Net::create(5, tune);
    net.start(&[0, 1, 2]).await;
    for _ in 0..3 {
        let id = pay(&net, "peer1");
        wait("three of four to agree", async || is_confirmed(&net, 0, id).await).await;
    }
    let height = net.status(0).await.height;
    assert!(height.0 >= 1, "something was agreed on before they came");
    net.start(&[3]).await;
    wait("the late validator to catch up", async || net.status(3).await.height >= height).await;

    net.network.kill(0).await.expect("it runs");
    let id = pay(&net, "peer2");
    wait("the late one's vote to count", async || is_confirmed(&net, 3, id).await).await;
    net.start(&[0, 4]).await;
    let status = net.wait_one_tip(height.0 + 1).await;
    assert!(is_confirmed(&net, 4, id).await, "the observer has the whole chain");
    assert_eq!(status.supply, Some(status.supply_scheduled));
}

fn pay(net: &Net, peer: &str) -> TxId {
    let sent = net.synod_json(&["tx", "send", "--from", "alice", "--to", "carol", "--amount", "1", "--peer", peer]);
    sent["id"].as_str().expect("an id").parse().expect("a transaction's id")
}

async fn is_confirmed(net: &Net, place: usize, id: TxId) -> bool {
    net.client(place).transaction(id).await.is_ok_and(|info| info.confirmations > 0)
}

/// Issue 2: a peer with a wrong genesis is refused with a clear reason on both sides.
#[tokio::test(flavor = "multi_thread")]
async fn a_peer_of_another_genesis_is_refused_on_both_sides() {
    let mut ours = Net::create(1, |settings| settings.name = "ours".into());
    ours.start(&[0]).await;
    let address = ours.status(0).await.listen[0].clone();
    let mut theirs = Net::create(1, |settings| settings.name = "theirs".into());
    let path = theirs.network.config_path(0);
    let text = std::fs::read_to_string(&path).expect("a configuration");
    let mut table: toml::Table = text.parse().expect("TOML");
    table.insert("bootstrap".into(), toml::Value::Array(vec![address.into()]));
    std::fs::write(&path, table.to_string()).expect("a writable folder");
    theirs.start(&[0]).await;

    for (net, other) in [(&ours, &theirs), (&theirs, &ours)] {
        let other = other.status(0).await;
        wait("the refusal to be seen", async || !net.status(0).await.refused.is_empty()).await;
        let refused = net.status(0).await.refused;
        assert_eq!(refused[0].peer_id, other.peer_id);
        assert!(refused[0].reason.contains("genesis"), "{}", refused[0].reason);
        assert_eq!(net.status(0).await.peers, 0);
    }
}

/// A second process on a peer's folder, and a folder of another network, are refused with their own exit codes.
#[tokio::test(flavor = "multi_thread")]
async fn a_locked_or_foreign_folder_and_a_taken_port_are_refused() {
    let mut net = Net::create(2, |_| {});
    net.start(&[0]).await;
    let config = net.network.config_path(0);
    let config = config.to_str().expect("a path in Unicode");
    let second = net.synod(&["node", "--config", config, "--json"]);
    assert_eq!(second.status.code(), Some(4), "{second:?}");

    // The other peer with the first one's folder of data, while that runs and after.
    let other = net.network.config_path(1);
    let mut table: toml::Table = std::fs::read_to_string(&other).expect("a file").parse().expect("TOML");
    let api = net.client_address(0);
    table.insert("api".into(), toml::Value::String(api));
    std::fs::write(&other, table.to_string()).expect("a writable folder");
    let taken = net.synod(&["node", "--config", other.to_str().expect("Unicode"), "--json"]);
    assert_eq!(taken.status.code(), Some(4), "{taken:?}");
    let text = String::from_utf8_lossy(&[taken.stdout, taken.stderr].concat()).into_owned();
    assert!(text.contains("in use"), "{text}");

    let foreign = Net::create(1, |settings| settings.name = "foreign".into());
    net.network.kill(0).await.expect("it runs");
    let ours = std::path::absolute(net.network.config_path(0)).expect("a path");
    let data = ours.parent().expect("a folder").join("data");
    let path = foreign.network.config_path(0);
    let mut table: toml::Table = std::fs::read_to_string(&path).expect("a file").parse().expect("TOML");
    table.insert("data".into(), toml::Value::String(data.to_string_lossy().into_owned()));
    std::fs::write(&path, table.to_string()).expect("a writable folder");
    let refused = foreign.synod(&["node", "--config", path.to_str().expect("Unicode"), "--json"]);
    assert_eq!(refused.status.code(), Some(3), "{refused:?}");
}
