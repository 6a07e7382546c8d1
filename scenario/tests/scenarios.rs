//! Every scenario that is shipped is right, does what it says, and is the same run in two processes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use synod_scenario::Scenario;
use synod_scenario::config::EngineConfig;

/// Scenarios that are too large for a test: they are read and planned.
const LARGE: [&str; 3] = ["pbft-64", "pow-10k", "pow-speed"];
/// Scenarios that fail, and are there to show how.
const FAILING: [&str; 1] = ["pbft-colluders"];

fn scenarios() -> Vec<(PathBuf, Scenario)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
    let files = fs::read_dir(&folder).expect("the folder of scenarios");
    let mut paths: Vec<PathBuf> = files.map(|file| file.expect("a readable folder").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("a readable file");
        let scenario = Scenario::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (path, scenario)
    };
    paths.into_iter().map(read).collect()
}

fn small() -> impl Iterator<Item = (PathBuf, Scenario)> {
    let is_other = |name: &str| LARGE.contains(&name) || FAILING.contains(&name);
    scenarios().into_iter().filter(move |(_, scenario)| !is_other(&scenario.name))
}

/// What the scenario of this name shows, run here once.
fn outcome(name: &str) -> synod_scenario::Outcome {
    let (_, scenario) = small().find(|(_, scenario)| scenario.name == name).expect("a scenario of that name");
    let plan = scenario.plan(scenario.seed, |_| panic!("it names no files")).expect("a right scenario");
    synod_scenario::run(plan, None, |_| synod_scenario::Watch::GoOn).expect("no invariant breaks").outcome
}

#[test]
fn a_scenario_has_the_name_of_its_file_and_says_what_it_is_about() {
    let all = scenarios();
    assert!(all.len() >= 8, "the scenarios are where they were");
    for (path, scenario) in all {
        assert_eq!(path.file_stem().and_then(|name| name.to_str()), Some(scenario.name.as_str()));
        assert!(!scenario.about.is_empty(), "{} says nothing", path.display());
        assert_eq!(Scenario::parse(&scenario.to_toml()), Ok(scenario), "{}", path.display());
    }
}

#[test]
fn large_scenarios_can_be_planned() {
    for (path, scenario) in scenarios().into_iter().filter(|(_, scenario)| LARGE.contains(&scenario.name.as_str())) {
        let plan = scenario.plan(scenario.seed, |_| panic!("it names no files"));
        let plan = plan.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(plan.graph.peers(), scenario.peers);
        assert!(plan.graph.is_connected(), "{}", path.display());
    }
}

#[test]
fn two_processes_run_every_scenario_alike_and_nothing_fails() {
    let start = |path: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_synod-scenario"));
        command.arg(path).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("the program can be started")
    };
    for (path, scenario) in small() {
        let outcomes = [start(&path), start(&path)].map(|child| {
            let output = child.wait_with_output().expect("it ends");
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}: {said}", path.display());
            let mut outcome: Value = serde_json::from_slice(&output.stdout).expect("an outcome");
            // What the run took of the machine is all that may differ.
            outcome.as_object_mut().expect("an object").remove("cost");
            outcome
        });
        assert_eq!(outcomes[0], outcomes[1], "{}", path.display());
        assert_eq!(outcomes[0]["chain"]["is_agreed"], true, "{}", path.display());
        assert!(outcomes[0]["chain"]["height"].as_u64() >= scenario.stop.blocks, "{}", path.display());
    }
}

#[test]
fn forks_has_forks_and_shallow_reorganisations() {
    let outcome = outcome("forks");
    assert!(outcome.chain.stale_rate > 0.05, "{outcome:#?}");
    assert!(outcome.chain.reorganisations.values().sum::<u64>() > 20, "{outcome:#?}");
}

#[test]
fn partition_takes_deep_branches_back() {
    let outcome = outcome("partition");
    assert!(outcome.chain.reorganisations.keys().next_back() >= Some(&3), "{outcome:#?}");
    assert!(outcome.payments.conflicts_seen > 0, "{outcome:#?}");
}

#[test]
fn crash_recovery_loses_no_acknowledged_payment() {
    let outcome = outcome("crash-recovery");
    assert!(outcome.payments.acknowledged > 500, "{outcome:#?}");
    assert!(outcome.payments.confirmed * 100 > outcome.payments.acknowledged * 95, "{outcome:#?}");
}

#[test]
fn churn_ends_with_everybody_on_one_chain() {
    let outcome = outcome("churn");
    assert!(outcome.chain.is_agreed, "{outcome:#?}");
    assert!(outcome.messages_lost > 0, "messages to those that were away: {outcome:#?}");
}

#[test]
fn flooding_costs_more_messages_and_spreads_faster_than_rumours() {
    let (flood, rumour) = (outcome("flood"), outcome("rumour"));
    assert!(flood.spread.delay_mean < rumour.spread.delay_mean, "{flood:#?} {rumour:#?}");
    let bytes = |outcome: &synod_scenario::Outcome| outcome.messages.iter().map(|kind| kind.bytes).sum::<u64>();
    assert!(bytes(&flood) > bytes(&rumour), "{flood:#?} {rumour:#?}");
}

#[test]
fn what_dishonest_peers_say_is_refused_and_all_agree_when_they_are_honest_again() {
    let outcome = outcome("byzantine");
    assert!(outcome.chain.is_agreed, "{outcome:#?}");
    for reason in ["block_root", "tx_signature"] {
        assert!(outcome.rejects.get(reason).is_some_and(|count| *count > 0), "{reason}: {outcome:#?}");
    }
}

#[test]
fn what_validators_decide_is_final_whatever_happens_to_some_of_them() {
    for name in ["pbft", "pbft-adversaries", "pbft-faults"] {
        let outcome = outcome(name);
        assert!(outcome.chain.is_agreed, "{outcome:#?}");
        assert_eq!((outcome.chain.stale, outcome.chain.reorganisations.len()), (0, 0), "{outcome:#?}");
        assert!(outcome.payments.confirmed * 10 > outcome.payments.acknowledged * 8, "{outcome:#?}");
    }
}

/// The bound is tight: where 2q - n collude, the others agree on two blocks at one height, and are told so.
#[test]
fn more_colluders_than_may_be_have_two_blocks_certified_and_the_run_fails_with_both_certificates() {
    let (path, _) =
        scenarios().into_iter().find(|(_, scenario)| scenario.name == "pbft-colluders").expect("it is there");
    let output =
        Command::new(env!("CARGO_BIN_EXE_synod-scenario")).arg(path).output().expect("the program can be started");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(5), "{said}");
    assert!(said.contains("unsafe (agreement): ") && said.contains("two blocks are agreed on at height "), "{said}");
    assert_eq!(said.matches(", certificate ").count(), 2, "{said}");
}

/// The scenario of sixty-four with a quarter of them: all agree on blocks that the quorum of a larger set voted for, over a
/// network of regions.
#[test]
fn many_validators_in_many_regions_agree() {
    let (_, mut scenario) =
        scenarios().into_iter().find(|(_, scenario)| scenario.name == "pbft-64").expect("it is there");
    let EngineConfig::Pbft { validators, .. } = &mut scenario.chain.engine else { panic!("a chain of validators") };
    (*validators, scenario.peers, scenario.stop.blocks) = (16, 16, Some(5));
    let plan = scenario.plan(scenario.seed, |_| panic!("it names no files")).expect("a right scenario");
    let outcome =
        synod_scenario::run(plan, None, |_| synod_scenario::Watch::GoOn).expect("no invariant breaks").outcome;
    assert!(outcome.chain.is_agreed && outcome.chain.height >= 5, "{outcome:#?}");
    assert_eq!(outcome.chain.stale, 0, "{outcome:#?}");
}

#[test]
fn several_stakes_win_one_height_and_the_forks_are_resolved() {
    let outcome = outcome("pos");
    assert!(outcome.chain.is_agreed, "{outcome:#?}");
    assert!(outcome.chain.stale > 0, "{outcome:#?}");
    assert!((4.0..6.5).contains(&outcome.chain.interval_mean_seconds), "blocks of 5 s: {outcome:#?}");
}

#[test]
fn who_mints_on_every_branch_loses_its_stake_and_accusations_are_refused() {
    let outcome = outcome("slasher");
    let lost: Vec<u32> = outcome.stakes.iter().filter(|wallet| wallet.lost_at.is_some()).map(|w| w.peer).collect();
    assert_eq!(lost, [0], "{outcome:#?}");
    assert!(outcome.rejects.get("block_evidence").is_some_and(|count| *count > 0), "{outcome:#?}");
    assert!(outcome.payments.confirmed * 10 > outcome.payments.acknowledged * 8, "{outcome:#?}");
}
