//! Selfish mining on a real network: what a pool is paid, what becomes of the network, and where there is nothing to mine.

use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use synod_lab::settings::{Consensus, Settings};

use crate::support::{Net, program, wait};

/// Fast and easy blocks of one target, so that the attacker's four fifths are within a core.
fn quick(settings: &mut Settings) {
    settings.block_time = Duration::from_millis(500);
    settings.hash_rate = 10_000;
    settings.retarget_window = 0;
}

fn figure(report: &Value, name: &str) -> u64 {
    report[name].as_u64().unwrap_or_else(|| panic!("{name}: {report}"))
}

/// All are on one tip above a height, and nobody made money.
async fn check_healthy(net: &Net, height: u64) {
    net.wait_one_tip(height + 1).await;
    for place in 0..net.network.peers().len() {
        let status = net.status(place).await;
        assert_eq!(status.supply, Some(status.supply_scheduled), "money is conserved");
        assert_eq!(status.adversary, None);
    }
}

/// With four fifths of the hash power the pool's branch is ahead for ever. Of 100 blocks it is paid for 85 or fewer once in 1.3 million
/// times by Algorithm 1, ties lost (all sequences, with their probabilities); were its share 0.7, once in 1,300.
#[tokio::test(flavor = "multi_thread")]
async fn a_selfish_majority_is_paid_for_nearly_all_blocks_and_leaves_a_healthy_network() {
    let net = Net::up(4, quick).await;
    let page = net.folder.path().join("report.html");
    let html = page.to_str().expect("a path");
    let words = ["attack", "selfish-mining", "--share", "0.8", "--blocks", "100", "--timeout", "120s", "--html", html];
    let report = net.synod_json(&words);
    assert_eq!(report["is_complete"], Value::Bool(true), "{report:#}");
    let (own, others) = (figure(&report, "own_main"), figure(&report, "others_main"));
    assert!(own + others >= 100, "{report:#}");
    assert!(own > 85 * (own + others) / 100, "far more than its share: {report:#}");
    assert!(figure(&report, "own_found") >= own, "{report:#}");
    assert!(figure(&report, "others_found") > others, "others' work is lost: {report:#}");
    assert!(figure(&report, "hashes") > 0 && figure(&report, "messages") > 0, "{report:#}");
    assert_eq!(report["expected_gamma_0"].as_f64(), Some(1.0), "{report:#}");
    let page = std::fs::read_to_string(page).expect("a page");
    assert!(page.contains("<h1>selfish-mining</h1><p>The pool is paid for "), "{page}");
    check_healthy(&net, own + others).await;
    let left = std::fs::read_dir(net.network.dir().join("attackers")).map_or(0, Iterator::count);
    assert_eq!(left, 0, "its node is gone, and all that it wrote");

    // Stopped in the middle of it: the report is of what there was.
    let mut command = Command::new(program());
    let command = command.args(["attack", "selfish-mining", "--share", "0.3", "--blocks", "10000", "--json"]);
    let command = command.env("SYNOD_DIR", net.network.dir()).stdout(Stdio::piped()).stderr(Stdio::null());
    let attacking = command.spawn().expect("the program runs");
    let before = net.status(0).await.height.0;
    wait("the attack to go on for a while", async || net.status(0).await.height.0 > before + 8).await;
    let pid = nix::unistd::Pid::from_raw(attacking.id().cast_signed());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).expect("it runs");
    let output = attacking.wait_with_output().expect("it ends");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((output.status.code(), &report["is_complete"]), (Some(8), &Value::Bool(false)), "{report:#}");
    let counted = figure(&report, "own_main") + figure(&report, "others_main");
    let height = net.status(0).await.height.0;
    assert!((1..=height - before + 8).contains(&counted), "blocks of before do not count: {report:#}");
    check_healthy(&net, before + 8).await;
}

/// A peer of the network itself, by its configuration.
#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_mines_selfishly_is_shown_and_follows_the_others_chain() {
    let tune = |settings: &mut Settings| {
        quick(settings);
        settings.adversaries = [("peer1".to_owned(), "selfish-miner".to_owned())].into();
    };
    let net = Net::up(4, tune).await;
    net.wait_one_tip(12).await;
    let status = net.status(0).await;
    assert_eq!((status.adversary.as_deref(), status.supply), (Some("selfish-miner"), Some(status.supply_scheduled)));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_mine_by_work_is_not_mined_against() {
    let refused = |net: &Net, words: &[&str], says: &str| {
        let output = net.synod(&[&["attack", "selfish-mining"], words].concat());
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(text.contains(says), "{words:?}: {text}");
        assert_eq!(output.status.code(), Some(2), "{words:?}: {text}");
    };
    for consensus in [Consensus::Pbft, Consensus::Pos] {
        let tune = |settings: &mut Settings| {
            (settings.consensus, settings.block_time) = (consensus, Duration::from_secs(2));
        };
        let net = Net::up(4, tune).await;
        refused(&net, &[], "blocks are mined on chains of work alone");
    }
    let idle = Net::up(2, |settings| settings.hash_rate = 0).await;
    refused(&idle, &[], "nobody mines in this network");
    refused(&idle, &["--share", "0"], "keeps nothing back");
    refused(&idle, &["--gamma", "0.5"], "--sim");
    refused(&idle, &["--sim", "--share", "0.5"], "cannot be used with");
}
