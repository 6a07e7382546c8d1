//! `synod sim`: what a person types, and what scripts read.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::support::program;

fn scenarios() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios")
}

fn sim(arguments: &[&str]) -> Output {
    Command::new(program()).arg("sim").args(arguments).output().expect("synod can be started")
}

fn path(file: &Path) -> &str {
    file.to_str().expect("a path of plain characters")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(output)))
}

/// A scenario that cannot find its blocks in time, in a folder of its own.
fn failing() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("hasty.toml");
    let scenario = "\
name = 'hasty'
peers = 9
topology = { kind = 'random-regular', degree = 4 }
links = { delay = '50 ms' }
stop = { blocks = 50, time = '2 min' }
actions = [{ do = 'pause', at = '10 s', peers = [1] }, { do = 'resume', at = '20 s', peers = [1] }]
[chain]
block-time = '10 s'
[outputs]
blocks = true
";
    std::fs::write(&file, scenario).expect("a file can be written");
    (folder, file)
}

#[test]
fn a_run_is_the_same_whenever_it_is_run_and_says_so() {
    let file = scenarios().join("pow-small.toml");
    let run = |seed: &str| json(&sim(&["run", path(&file), "--seed", seed, "--json"]));
    let (first, again, other) = (run("3"), run("3"), run("4"));
    assert_eq!(first["outcome"]["trace_hash"], again["outcome"]["trace_hash"]);
    assert_ne!(first["outcome"]["trace_hash"], other["outcome"]["trace_hash"]);
    assert_eq!(first["outcome"]["chain"]["is_agreed"], true);
    assert_eq!(first["failed"], Value::Null);
    assert!(first["outcome"]["cost"]["node_blocks_per_second"].as_f64() > Some(0.0), "{first}");
    let shown = text(&sim(&["run", path(&file), "--seed", "3"]));
    let hash = first["outcome"]["trace_hash"].as_str().expect("a hash");
    assert!(shown.contains(hash), "{shown}");
    assert!(shown.contains("pow-small, seed 3, 12 peers"), "{shown}");
}

#[test]
fn several_seeds_are_told_in_their_order_and_are_the_runs_of_each_alone() {
    let file = scenarios().join("pow-small.toml");
    let runs = json(&sim(&["run", path(&file), "--seeds", "5..=8", "--jobs", "3", "--json"]));
    let runs = runs.as_array().expect("a list of runs");
    assert_eq!(runs.iter().filter_map(|run| run["seed"].as_u64()).collect::<Vec<_>>(), [5, 6, 7, 8]);
    let alone = json(&sim(&["run", path(&file), "--seed", "7", "--json"]));
    assert_eq!(runs[2]["outcome"]["trace_hash"], alone["outcome"]["trace_hash"]);
}

#[test]
fn a_failure_ends_with_the_line_that_runs_it_again() {
    let (folder, file) = failing();
    let out = folder.path().join("out");
    let ran = sim(&["run", path(&file), "--seed", "3", "--out", path(&out)]);
    assert_eq!(ran.status.code(), Some(5), "{}", text(&ran));
    let shown = text(&ran);
    let lines: Vec<&str> = shown.lines().collect();
    let [.., failed, replay] = lines.as_slice() else { panic!("{shown}") };
    let start = format!("FAILED scenario={} seed=3 commit=", path(&file));
    assert!(failed.starts_with(&start), "{failed}");
    assert!(failed.contains(" time=120.000000000s: no progress: "), "{failed}");
    assert_eq!(*replay, format!("replay: synod sim replay {} --seed 3", path(&file)));
    assert!(out.join("hasty-3.json").exists(), "the outcome is written");
    assert!(out.join("hasty-3.blocks.csv").exists(), "the blocks are written");

    let again = sim(&["replay", path(&file), "--seed", "3", "--last", "5"]);
    assert_eq!(again.status.code(), Some(5), "{}", text(&again));
    let shown = text(&again);
    assert!(shown.starts_with("the last 5 happenings:\n"), "{shown}");
    assert!(shown.contains("\nreproduced: "), "{shown}");
    assert!(shown.contains(failed), "the same line again: {shown}");
}

/// Whether a process would catch an interrupt and has computed for half a second, so that its run is some blocks far
/// (proc(5): `SigCgt`, bit 1; the 14th field of `stat`, in hundredths).
fn is_at_work(pid: u32) -> bool {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/{pid}/{name}")).expect("it runs");
    let status = read("status");
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).expect("a line of every process");
    let caught = u64::from_str_radix(caught.trim(), 16).expect("a mask in hexadecimal");
    let stat = read("stat");
    let ticks = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(11));
    let ticks: u64 = ticks.expect("a field of every process").parse().expect("a number");
    caught >> (Signal::SIGINT as u64 - 1) & 1 == 1 && ticks >= 50
}

#[test]
fn an_interrupted_run_tells_what_was_seen_so_far() {
    let (folder, file) = failing();
    let text = std::fs::read_to_string(&file).expect("the scenario");
    let endless = folder.path().join("endless.toml");
    let text = text.replace("blocks = 50, time = '2 min'", "time = '10000 days'");
    std::fs::write(&endless, text).expect("a file can be written");
    let mut command = Command::new(program());
    command.args(["sim", "run", path(&endless), "--json"]).stdout(Stdio::piped());
    let child = command.spawn().expect("synod can be started");
    while !is_at_work(child.id()) {
        std::thread::sleep(Duration::from_millis(20));
    }
    let pid = Pid::from_raw(child.id() as i32);
    kill(pid, Signal::SIGINT).expect("the child can be signalled");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(8));
    let run = json(&output);
    assert_eq!((&run["interrupted"], &run["failed"]), (&Value::Bool(true), &Value::Null));
    assert!(run["outcome"]["chain"]["height"].as_u64() > Some(0), "{run}");
}

#[test]
fn a_failure_is_made_smaller() {
    let (folder, file) = failing();
    let smaller = folder.path().join("smaller.toml");
    let shrunk =
        json(&sim(&["shrink", path(&file), "--seed", "3", "--tries", "60", "--out", path(&smaller), "--json"]));
    assert!(shrunk["peers"][1].as_u64() < Some(9), "{shrunk}");
    assert_eq!(shrunk["actions"][1], 0, "pausing has nothing to do with it: {shrunk}");
    assert_eq!(sim(&["run", path(&smaller), "--seed", "3"]).status.code(), Some(5), "it still fails");
}

#[test]
fn a_trace_is_written_as_other_programs_read_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = scenarios().join("pow-small.toml");
    let (chrome, shiviz) = (folder.path().join("a.json"), folder.path().join("a.shiviz"));
    for trace in [&chrome, &shiviz] {
        let ran = sim(&["run", path(&file), "--trace", path(trace), "--trace-peers", "0-2", "--trace-until", "20s"]);
        assert!(ran.status.success(), "{}", text(&ran));
    }
    let text = std::fs::read_to_string(chrome).expect("a trace");
    let events: Value = serde_json::from_str(&text).expect("a trace is JSON");
    assert!(events["traceEvents"].as_array().is_some_and(|events| events.len() > 100), "it holds what happened");
    let log = std::fs::read_to_string(shiviz).expect("a log");
    assert!(log.contains("peer2"), "the log names its hosts");
}

#[test]
fn mistakes_are_told_with_their_place_and_their_code() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("wrong.toml");
    std::fs::write(
        &file,
        "name = 'wrong'\npeers = 3\nstop = { time = '1 h' }\nlinks = {}\ntopology = { kind = 'star' }\n",
    )
    .expect("a file can be written");
    let ran = sim(&["run", path(&file), "--json"]);
    assert_eq!(ran.status.code(), Some(3));
    let error = json(&ran);
    assert_eq!(error["error"]["code"], "scenario_invalid");
    let message = error["error"]["message"].as_str().expect("a message");
    assert!(message.contains("line 5, column 21: unknown variant `star`"), "{message}");
    let ran = sim(&["run", path(&scenarios().join("pow-10k.toml")), "--trace", "a.json"]);
    assert_eq!(ran.status.code(), Some(2), "too many peers to trace");
}

#[test]
fn the_schema_and_the_list_are_for_people_and_for_programs() {
    let schema = json(&sim(&["schema", "--json"]));
    assert_eq!(schema["additionalProperties"], false);
    let shown = text(&sim(&["schema"]));
    assert!(shown.contains("\n[chain]\n"), "{shown}");
    let folder = scenarios();
    let listed = json(&sim(&["list", path(&folder), "--json"]));
    let names: Vec<&str> = listed.as_array().expect("a list").iter().filter_map(|one| one["name"].as_str()).collect();
    assert!(names.contains(&"pow-10k"), "{names:?}");
    let shown = text(&sim(&["list", path(&folder)]));
    assert!(shown.lines().count() == names.len() + 1, "{shown}");
}
