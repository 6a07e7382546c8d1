//! Peers that are killed at random moments lose nothing that was acknowledged.

use std::collections::BTreeSet;
use std::time::Duration;

use synod_lab::settings::{Consensus, Settings};
use synod_ledger::TxId;
use synod_machine::Rng;

use crate::support::{Net, PATIENCE, program, wait};

/// Kills in the suite; `scripts/chaos` asks for fifty.
const KILLS: usize = 6;
const PEERS: usize = 4;

/// Issue 2, 3.
#[tokio::test(flavor = "multi_thread")]
async fn killed_peers_lose_no_acknowledged_payment() {
    kill_and_count(Consensus::Pow).await;
}

/// Issue 4, 1: the same where blocks are made by stake. What was signed last is on disk, so that nobody is caught signing twice.
#[tokio::test(flavor = "multi_thread")]
async fn killed_minters_lose_no_acknowledged_payment() {
    kill_and_count(Consensus::Pos).await;
}

/// Issue 4, 1: the same where validators vote, primaries among them.
#[tokio::test(flavor = "multi_thread")]
async fn killed_validators_lose_no_acknowledged_payment() {
    kill_and_count(Consensus::Pbft).await;
}

async fn kill_and_count(consensus: Consensus) {
    let kills = number("SYNOD_KILLS").unwrap_or(KILLS);
    let seed = number("SYNOD_SEED").map_or(1, |seed| seed as u64);
    println!(
        "replay: SYNOD_SEED={seed} SYNOD_KILLS={kills} cargo test -p synod-lab --test system chaos -- --nocapture"
    );
    let mut rng = Rng::new(seed, 0, "chaos");
    let mut net = Net::up(PEERS, |settings| set(settings, consensus)).await;
    let out = net.folder.path().join("acknowledged.jsonl");
    let mut load = tokio::process::Command::new(program())
        .args(["load", "--rate", "20", "--duration", "1h", "--clients", "4", "--json", "--out"])
        .arg(&out)
        .env("SYNOD_DIR", net.network.dir())
        .stdout(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("the load starts");
    wait("the first acknowledged payments", async || acknowledged(&out).len() > 20).await;

    for kill in 0..kills {
        let place = rng.below(PEERS as u64) as usize;
        let before = acknowledged(&out).len();
        // A random moment, not a state that is waited for.
        tokio::time::sleep(Duration::from_millis(rng.below(1_500))).await;
        net.network.kill(place).await.expect("the peer was running");
        net.start(&[place]).await;
        wait("payments to go on", async || acknowledged(&out).len() > before + 5).await;
        println!("kill {} of {kills}: {}", kill + 1, net.network.peers()[place].name);
    }
    let pid = nix::unistd::Pid::from_raw(i32::try_from(load.id().expect("the load runs")).expect("a pid"));
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).expect("the load runs");
    tokio::time::timeout(PATIENCE, load.wait()).await.expect("the load ends").expect("and is waited for");

    let ids = acknowledged(&out);
    println!("{} acknowledged payments", ids.len());
    assert!(ids.len() > kills * 5, "the load ran through every kill");
    for &id in &ids {
        net.wait_known(id, 1).await;
    }
    let status = net.wait_one_tip(1).await;
    assert_eq!(status.supply, Some(status.supply_scheduled), "money is conserved");
}

fn set(settings: &mut Settings, consensus: Consensus) {
    settings.consensus = consensus;
    if consensus == Consensus::Pos {
        settings.block_time = Duration::from_secs(2); // The least, with a try each second.
    }
}

fn number(variable: &str) -> Option<usize> {
    std::env::var(variable).ok()?.parse().ok()
}

/// The ids in the load's file. A line that is being written is left out.
fn acknowledged(path: &std::path::Path) -> BTreeSet<TxId> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole
        .lines()
        .filter_map(|line| {
            let value: serde_json::Value = serde_json::from_str(line).ok()?;
            value["id"].as_str()?.parse().ok()
        })
        .collect()
}
