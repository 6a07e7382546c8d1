//! Double spends on real networks: what they win, what they cannot, and what they refuse to do.

use std::time::Duration;

use serde_json::Value;
use synod_lab::settings::{Consensus, Settings};

use crate::support::{Net, synod_in, wait};

/// Fast blocks: an attack takes seconds.
fn quick(settings: &mut Settings) {
    settings.block_time = Duration::from_millis(500);
    settings.retarget_window = 0;
}

/// Mounts a double spend and gives its report.
fn attack(net: &Net, words: &[&str]) -> Value {
    net.synod_json(&[&["attack", "double-spend", "--timeout", "80s"], words].concat())
}

fn figure(report: &Value, name: &str) -> u64 {
    report[name].as_u64().unwrap_or_else(|| panic!("{name}: {report}"))
}

/// Every peer has the payment conflicted or gone, and its rival confirmed.
fn is_undone_everywhere(run: &Value) -> bool {
    let fates = run["fates"].as_array().expect("fates");
    fates.len() == 5 && fates.iter().all(|fate| fate["rival"] == "confirmed" && fate["payment"] != "confirmed")
}

/// Issue 6, 1: with 60 per cent of the hash rate and two confirmations nearly all payments are undone, on all honest peers. An attacker
/// that is ten blocks behind gives up, which one of the 60 per cent hardly ever is: (2/3)^10 of all are, 1.7 per cent.
#[tokio::test(flavor = "multi_thread")]
async fn a_majority_undoes_payments_that_have_two_confirmations() {
    let net = Net::up(5, quick).await;
    let report = attack(&net, &["--strategy", "majority", "--share", "0.6", "-z", "2", "--runs", "3"]);
    // Three of three fail to be undone with a probability below 1 in 100,000; one of three may give up.
    assert!(figure(&report, "undone") >= 2, "{report:#}");
    for run in report["runs"].as_array().expect("runs") {
        if run["outcome"] == "undone" {
            assert!(is_undone_everywhere(run), "{run:#}");
            assert!(run["reorganisation"].as_u64() >= Some(2), "what had two confirmations lay so deep: {run:#}");
            assert!(run["costs"]["hashes"].as_u64() > Some(0) && run["costs"]["blocks"].as_u64() >= Some(3), "{run:#}");
            assert!(run["costs"]["messages"].as_u64() >= Some(3), "its blocks were sent: {run:#}");
        }
    }
    let after = net.wait_one_tip(1).await;
    assert_eq!(after.supply, Some(after.supply_scheduled), "money is conserved");
}

/// A merchant that hands over what it only saw is deceived by a block that was mined before; the one payment is a table row of its report.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_block_undoes_a_payment_without_confirmations() {
    let net = Net::up(5, quick).await;
    let report = attack(&net, &["--strategy", "finney", "--share", "0.5", "-z", "0", "--runs", "2"]);
    // The honest peers would have to find a block in the moment between payment and release.
    assert!(figure(&report, "undone") >= 1, "{report:#}");
    let page = net.folder.path().join("report.html");
    let words = ["--strategy", "race", "-z", "0", "--runs", "6", "--html", page.to_str().expect("a path")];
    let report = attack(&net, &words);
    assert!(figure(&report, "tried") == 6 && figure(&report, "undone") >= 1, "{report:#}");
    // Four peers of five mine the rival: none of six is undone with a probability of 0.2^6, one in 15,000.
    let outcomes: Vec<&str> =
        report["runs"].as_array().expect("runs").iter().filter_map(|run| run["outcome"].as_str()).collect();
    assert!(outcomes.iter().all(|outcome| ["kept", "undelivered", "undone"].contains(outcome)), "{report:#}");
    let html = std::fs::read_to_string(&page).expect("it was written");
    assert!(html.contains("double-spend: race") && html.contains("attacks undid a payment"), "{html}");
    assert!(!html.contains("http"), "it needs nothing else");
}

/// The branch that an eclipsed merchant is shown, and the side of a split that has less work, are undone when the others are heard again.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_merchant_alone_or_on_the_lesser_side_believed_is_undone() {
    let net = Net::up(5, quick).await;
    // The merchant's own peer and the attacker's against four: a third of their power, so that they are never thirty blocks ahead.
    let report = attack(&net, &["--strategy", "eclipse", "--share", "0.1", "-z", "1", "--give-up", "30"]);
    assert_eq!(figure(&report, "undone"), 1, "{report:#}");
    assert!(is_undone_everywhere(&report["runs"][0]), "{report:#}");
    let moments = report["runs"][0]["timeline"].as_array().expect("a time line");
    let said =
        |word: &str| moments.iter().any(|moment| moment["what"].as_str().is_some_and(|what| what.contains(word)));
    assert!(said("hands over at") && said("undone") && said("all of the merchant's connections"), "{report:#}");
    // Two of five against three and the attacker's, which has more than all of them.
    let report = attack(&net, &["--strategy", "partition", "--share", "0.6", "-z", "1", "--give-up", "30"]);
    assert_eq!(figure(&report, "undone"), 1, "{report:#}");
    let after = net.wait_one_tip(1).await;
    assert_eq!(after.supply, Some(after.supply_scheduled), "money is conserved");
}

/// A merchant that waits for a block is shown one of its own, and all others another. Its peer's miner rests here, so that an attack
/// succeeds as soon as the attacker, with 0.6 of the hash power, is first and comes to rest with one block. Where the machine takes
/// 200 ms to see that (a block comes every 1.3 s) that is 0.6 (1 - 0.14) = 0.51, and none of ten one of 8 in 10,000.
#[tokio::test(flavor = "multi_thread")]
async fn a_block_for_the_merchant_alone_deceives_it() {
    let tune = |settings: &mut Settings| {
        (settings.block_time, settings.retarget_window) = (Duration::from_millis(1_600), 0);
        settings.hash_rate = 10_000;
    };
    let net = Net::up(5, tune).await;
    assert!(net.synod(&["fault", "rest", "peer5"]).status.success());
    let report = attack(&net, &["--strategy", "vector76", "--share", "0.6", "-z", "1", "--runs", "10"]);
    assert!(figure(&report, "tried") == 10 && figure(&report, "undone") >= 1, "{report:#}");
    assert!(report["expected"].is_null(), "the formula is of peers that all mine: {report:#}");
    for run in report["runs"].as_array().expect("runs") {
        match run["outcome"].as_str() {
            Some("undone") => {
                assert!(is_undone_everywhere(run) && run["reorganisation"] == 1, "{run:#}");
                assert!(run["evidence"].as_array().is_some_and(|evidence| !evidence.is_empty()), "{run:#}");
            }
            // Whoever has no block in time shows nothing.
            Some("kept" | "undelivered") => assert_eq!(run["reorganisation"], 0, "{run:#}"),
            _ => panic!("{run:#}"),
        }
    }
    let after = net.wait_one_tip(1).await;
    assert_eq!(after.supply, Some(after.supply_scheduled), "money is conserved");
    let faults = net.client(4).faults().await.expect("it answers");
    assert!(faults.resting && faults.cut.is_empty(), "what was wrong before the attack is so after it: {faults:?}");
}

/// Three of five stakes are a majority that mints in secret. Two attacks of two fail with a probability of 0.008^2.
#[tokio::test(flavor = "multi_thread")]
async fn a_majority_of_stake_undoes_payments_and_loses_nothing() {
    let tune = |settings: &mut Settings| {
        (settings.consensus, settings.block_time) = (Consensus::Pos, Duration::from_secs(2));
    };
    let net = Net::up(5, tune).await;
    let refused = net.synod(&["attack", "double-spend", "--share", "0.9"]);
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(2) && text.contains("hold 0.800 of all stake"), "{text}");
    let report = attack(&net, &["--share", "0.55", "-z", "1", "--runs", "2"]);
    assert!(figure(&report, "undone") >= 1, "{report:#}");
    assert_eq!(report["turned"], serde_json::json!(["peer1", "peer2", "peer3"]), "{report:#}");
    assert!((report["share"].as_f64().expect("a share") - 0.6).abs() < 1e-9, "{report:#}");
    for run in report["runs"].as_array().expect("runs") {
        // Who signs one header of each height shows nothing that a slasher could take its stake for.
        assert_eq!(figure(&run["costs"], "stake"), 0, "{run:#}");
        if run["outcome"] == "undone" {
            let fates = run["fates"].as_array().expect("fates");
            assert!(fates.len() == 2 && fates.iter().all(|fate| fate["rival"] == "confirmed"), "{run:#}");
            assert!(run["reorganisation"].as_u64() >= Some(1), "{run:#}");
        }
    }
    for place in 0..5 {
        assert_eq!(net.client(place).faults().await.expect("it answers").cut, Vec::<String>::new());
    }
    net.wait_one_tip(1).await;
}

/// Somebody else's node, and a command that is broken off, leave the network as it was.
#[tokio::test(flavor = "multi_thread")]
async fn a_network_with_a_stranger_is_not_attacked_and_ctrl_c_heals() {
    let net = Net::up(3, quick).await;
    let dir = net.network.dir().to_owned();
    let mut command = std::process::Command::new(crate::support::program());
    command.args(["attack", "double-spend", "--share", "0.3", "-z", "1000"]).env("SYNOD_DIR", &dir);
    let mut attacking = command.stderr(std::process::Stdio::null()).spawn().expect("the program runs");
    let cut = async || {
        let faults = net.client(0).faults().await.expect("the peer answers");
        let peers = net.client(0).peers().await.expect("the peer answers").len();
        (faults.cut.len(), peers)
    };
    // It joined, and hid: its node is seen, and seen no more.
    wait("the attacker's node to join", async || cut().await.1 == 3).await;
    wait("the attacker's node to hide", async || cut().await.1 == 2).await;
    let id = nix::unistd::Pid::from_raw(attacking.id().cast_signed());
    nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGINT).expect("it runs");
    let status = attacking.wait().expect("it ends");
    assert_eq!(status.code(), Some(8));
    assert_eq!(cut().await.0, 0);
    let attackers = dir.join("attackers");
    let left = std::fs::read_dir(&attackers).map_or(0, Iterator::count);
    assert_eq!(left, 0, "its node is gone, and all that it wrote");

    let carl = net.folder.path().join("carl");
    let carl = carl.to_str().expect("a path");
    net.synod_json(&["node", "init", "--out", carl]);
    let config = format!("{carl}/node.toml");
    let mut stranger = std::process::Command::new(crate::support::program());
    let mut stranger =
        stranger.args(["node", "--config", &config]).stderr(std::process::Stdio::null()).spawn().expect("runs");
    wait("the stranger to join", async || cut().await.1 == 3).await;
    let output = net.synod(&["attack", "double-spend"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    stranger.kill().expect("it runs");
    stranger.wait().expect("it ends");
    assert!(text.contains("which is none of the network's"), "{text}");
    assert_eq!(output.status.code(), Some(2));
}

/// A merchant sees, hands over and says what is undone, one line each.
#[tokio::test(flavor = "multi_thread")]
async fn a_merchant_sees_a_payment_and_hands_over_at_its_confirmations() {
    let net = Net::up(3, quick).await;
    let words = ["merchant", "--address", "bob", "--confirmations", "2", "--for", "12s", "--json"];
    let dir = net.network.dir().to_owned();
    let watching = tokio::task::spawn_blocking(move || synod_in(&dir, &words));
    // It opens within a moment; who is paid before is left alone, so a second payment follows until one is seen.
    for _ in 0..4 {
        net.synod_json(&["tx", "send", "--from", "alice", "--to", "bob", "--amount", "2", "--wait", "1"]);
    }
    let output = watching.await.expect("it ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let count = |event: &str| lines.iter().filter(|line| line["event"] == event).count() as u64;
    let tally = &lines.last().expect("the sums")["tally"];
    assert!(count("delivered") > 0, "{text}");
    assert_eq!((tally["seen"].as_u64(), tally["delivered"].as_u64()), (Some(count("seen")), Some(count("delivered"))));
    assert_eq!((count("undone"), tally["undone"].as_u64()), (0, Some(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn attacks_are_refused_where_they_must_not_or_cannot_be() {
    let mut net = Net::create(4, |settings| settings.hash_rate = 0);
    let refused = |net: &Net, words: &[&str], says: &str, code: i32| {
        let output = net.synod(&[&["attack", "double-spend"], words].concat());
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(text.contains(says), "{words:?}: {text}");
        assert_eq!(output.status.code(), Some(code), "{words:?}: {text}");
    };
    refused(&net, &[], "peer1 is not running", 4);
    net.start(&[0, 1, 2, 3]).await;
    refused(&net, &["--from", "bob"], "the same", 2);
    refused(&net, &["--share", "1"], "expected a share", 2);
    refused(&net, &["--peer", "peer9"], "no peer is called peer9", 2);
    assert!(net.synod(&["fault", "partition", "peer1"]).status.success());
    refused(&net, &[], "synod fault heal", 2);

    // A configuration that names another machine.
    let path = net.network.config_path(1);
    let text = std::fs::read_to_string(&path).expect("a configuration");
    std::fs::write(&path, text.replacen("/ip4/127.0.0.1/", "/ip4/192.0.2.1/", 1)).expect("a writable folder");
    refused(&net, &[], "192.0.2.1", 4);

    let voters = Net::up(4, |settings| settings.consensus = Consensus::Pbft).await;
    refused(&voters, &[], "chains of work", 2);
}

/// Issue 6, 1: with as many colluders as may be faulty nothing is forked; with one more it is, and the two certificates are shown.
#[tokio::test(flavor = "multi_thread")]
async fn validators_that_collude_fork_the_chain_when_they_are_more_than_may_be() {
    let tune = |settings: &mut Settings| {
        settings.consensus = Consensus::Pbft;
        settings.validators = 4;
    };
    let net = Net::up(5, tune).await;
    let page = net.folder.path().join("report.html");
    let html = page.to_str().expect("a path");
    let f = net.synod_json(&["attack", "equivocation", "--colluders", "1", "--for", "8s", "--html", html]);
    let page = std::fs::read_to_string(page).expect("a page");
    assert!(page.contains("<h1>equivocation</h1><p>Nothing was forked.</p>"), "{page}");
    assert_eq!((f["forked"].as_bool(), f["stopped"].as_array().map(Vec::len)), (Some(false), Some(0)), "{f:#}");
    assert!(figure(&f, "pairs") >= 2, "payments were decided meanwhile: {f:#}");
    net.wait_one_tip(1).await;

    let words = ["attack", "equivocation", "--for", "80s", "--json"];
    let output = net.synod(&words);
    let more: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((output.status.code(), &more["forked"]), (Some(5), &Value::Bool(true)), "{more:#}");
    assert_eq!(more["colluders"].as_array().map(Vec::len), Some(2));
    let blocks = more["violation"]["blocks"].as_array().expect("two certified blocks");
    assert_eq!(blocks.len(), 2, "{more:#}");
    assert!(blocks.iter().all(|block| block["votes"].as_array().is_some_and(|votes| votes.len() >= 3)), "{more:#}");
    for place in 0..5 {
        assert_eq!(net.status(place).await.adversary, None, "whoever was turned is honest again");
    }
}

/// Issue 6, 1: where there is a slasher, who mints on every branch loses its stake.
#[tokio::test(flavor = "multi_thread")]
async fn a_stake_that_mints_on_every_branch_is_gone() {
    let tune = |settings: &mut Settings| {
        (settings.consensus, settings.block_time) = (Consensus::Pos, Duration::from_secs(2));
    };
    let net = Net::up(4, tune).await;
    let report = net.synod_json(&["attack", "nothing-at-stake", "--minter", "peer2", "--for", "5m"]);
    assert_eq!(report["lost"], Value::Bool(true), "{report:#}");
    assert!(report["lost_at"].as_u64() > Some(0) && report["stake"].as_u64() > Some(0), "{report:#}");
    // Both headers are the evidence: two blocks that one wallet signed where an honest one signs one.
    let headers = report["evidence"][0]["headers"].as_array().expect("two headers");
    assert!(headers.len() == 2 && headers[0]["id"] != headers[1]["id"], "{report:#}");
    assert_ne!(headers[0]["signature"], headers[1]["signature"], "{report:#}");
    let block = net.synod_json(&["block", "show", &report["lost_at"].to_string()]);
    assert_eq!(block["evidence"], report["evidence"], "{block:#}");
    let shown = net.synod_json(&["stake", "show", "miner-peer2"]);
    assert_eq!(shown["lost_at"], report["lost_at"], "{shown:#}");
}

/// What is thrown at a peer does not keep it from serving an honest client.
#[tokio::test(flavor = "multi_thread")]
async fn a_flooded_peer_serves_an_honest_client() {
    let net = Net::up(3, quick).await;
    for kind in ["transactions", "connections", "messages"] {
        let words = ["attack", "flood", "--kind", kind, "--rate", "100", "--for", "4s"];
        let report = net.synod_json(&words);
        assert!(figure(&report, "taken") > 0, "{report:#}");
        if kind == "messages" {
            // What is under way at the end is not counted.
            assert!(figure(&report["answers"], "messages") > figure(&report, "taken") / 2, "{report:#}");
        }
        for part in ["before", "during"] {
            let load = &report[part];
            assert_eq!(load["confirmed"], load["scheduled"], "{part}, {kind}: {report:#}");
        }
    }
}
