//! `synod compare`, `run`, `report`, `diff`: what a person types, and what scripts read.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::support::program;

fn synod(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(program()).current_dir(folder).args(arguments).output().expect("synod can be started")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(output)))
}

/// The smallest comparison: two engines, four peers, two seeds.
const SMALL: [&str; 8] =
    ["compare", "consensus", "--only", "peers=4", "--only", "engine=pow,pbft", "--repetitions", "2"];

#[test]
fn a_comparison_is_a_folder_that_can_be_made_again_to_the_byte() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = || json(&synod(folder.path(), &[&SMALL[..], &["--json"]].concat()));
    let (one, other) = (run(), run());
    assert_eq!(one["interrupted"], false);
    let cells = one["summary"]["cells"].as_array().expect("cells");
    assert_eq!(cells.len(), 2);
    // Six blocks of five seconds, and a few delays of 50 ms.
    let latency = |cell: usize| cells[cell]["figures"]["latency_p50"]["mean"].as_f64().expect("a latency");
    assert!(latency(0) > 10.0 && latency(1) < 2.0, "{one}");
    let at = |run: &Value| folder.path().join(run["folder"].as_str().expect("a folder"));
    for name in ["records.csv", "records.jsonl", "traffic.csv", "payments.csv", "summary.json"] {
        let read = |run: &Value| fs::read(at(run).join(name)).expect(name);
        assert_eq!(read(&one), read(&other), "{name}");
    }
    let page = fs::read_to_string(at(&one).join("report.html")).expect("a page");
    assert!(page.contains("latency_p50") && page.contains("uPlot"));
    let paths = [&one, &other].map(|run| run["folder"].as_str().expect("a folder").to_owned());
    let diff = synod(folder.path(), &["diff", &paths[0], &paths[1], "--check"]);
    assert_eq!(diff.status.code(), Some(0), "{}", text(&diff));
    assert!(text(&diff).starts_with("nothing changed beyond noise in "), "{}", text(&diff));
    let both = synod(folder.path(), &["report", &paths[0], &paths[1], "--out", "both.html"]);
    assert_eq!(both.status.code(), Some(0), "{}", text(&both));
    assert!(folder.path().join("both.html").is_file());
}

#[test]
fn an_experiment_of_ones_own_is_printed_changed_run_interrupted_and_resumed() {
    let folder = tempfile::tempdir().expect("a folder");
    let printed = synod(folder.path(), &[&SMALL[..], &["--print"]].concat());
    assert_eq!(printed.status.code(), Some(0), "{}", text(&printed));
    let own = String::from_utf8(printed.stdout).expect("text").replace("name = \"consensus\"", "name = \"mine\"");
    let own = own.replace("repetitions = 2", "repetitions = 200");
    fs::write(folder.path().join("mine.toml"), &own).expect("a file");
    let mut child = Command::new(program())
        .current_dir(folder.path())
        .args(["run", "mine.toml", "--jobs", "1"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("synod can be started");
    let cells = folder.path().join("runs/mine/latest/cells");
    let count = || fs::read_dir(&cells).map_or(0, Iterator::count);
    let deadline = Instant::now() + Duration::from_secs(60);
    while count() < 2 {
        assert!(Instant::now() < deadline, "no run ends");
        std::thread::sleep(Duration::from_millis(20));
    }
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).expect("it runs");
    assert_eq!(child.wait().expect("it ends").code(), Some(8));
    let kept = count();
    assert!((2..400).contains(&kept), "{kept}");
    assert!(folder.path().join("runs/mine/latest/report.html").is_file(), "what there is is shown");
    // Fewer are enough to see that it goes on.
    let file = folder.path().join("runs/mine/latest/experiment.toml");
    let fewer = fs::read_to_string(&file).expect("an experiment").replace("repetitions = 200", "repetitions = 3");
    fs::write(&file, fewer).expect("a file");
    let resumed = synod(folder.path(), &["run", "--resume", "runs/mine/latest", "--json"]);
    assert_eq!(resumed.status.code(), Some(0), "{}", text(&resumed));
    assert_eq!(json(&resumed)["summary"]["cells"][1]["runs"], 3);
}

#[test]
fn mistakes_are_told_with_what_would_be_right() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("bad.toml"), "name = \"bad\"\nwarm = 3\n").expect("a file");
    let cases: [(&[&str], i32, &str); 6] = [
        (&["run", "bad.toml"], 3, "bad.toml: line 2, column 1: unknown field `warm`"),
        (&["run", "none.toml"], 1, "none.toml"),
        (&["run"], 2, "required"),
        (
            &["compare", "consensus", "--only", "peers=5"],
            3,
            "peers: expected one of 4, 8, 16, 32, 64, 128, 250, 1000, got 5",
        ),
        (&["report", "."], 3, "no experiment was run here"),
        (&["diff", ".", "."], 3, "no experiment was run here"),
    ];
    for (arguments, code, said) in cases {
        let output = synod(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", text(&output));
        assert!(text(&output).contains(said), "{arguments:?}: {}", text(&output));
    }
}

/// The same questions here and there. That an index needs two messages, and that Chord's peers know most owners among eight, holds of both.
#[test]
fn questions_to_real_peers_are_those_of_the_simulator() {
    let folder = tempfile::tempdir().expect("a folder");
    let own = r#"
        name = "both"
        repetitions = 1
        search = { queries = 40, peers = 8 }
        [[axes]]
        name = "mode"
        fields = ["mode"]
        values = ["chord", "flood", "index"]
    "#;
    fs::write(folder.path().join("both.toml"), own).expect("a file");
    let run = |more: &[&str]| {
        let output = synod(folder.path(), &[&["run", "both.toml", "--json"], more].concat());
        assert_eq!(output.status.code(), Some(0), "{}", text(&output));
        json(&output)
    };
    let (real, simulated) = (run(&["--real"]), run(&[]));
    for place in 0..3 {
        let figure = |run: &Value, name: &str| {
            let figure = &run["summary"]["cells"][place]["figures"][name]["mean"];
            figure.as_f64().unwrap_or_else(|| panic!("{name} of {run}"))
        };
        assert_eq!(figure(&real, "asked"), figure(&simulated, "asked"), "{place}");
        // One that a busy machine answers too late is no mistake.
        assert!(figure(&real, "success") > 0.9 && figure(&simulated, "success") > 0.9, "{place}: {real}");
        assert!(figure(&real, "latency_p99") < 5.0 && figure(&real, "memory_peak") > 1e6);
    }
    let of_index = |run: &Value, name: &str| run["summary"]["cells"][2]["figures"][name]["mean"].as_f64();
    for run in [&real, &simulated] {
        assert_eq!((of_index(run, "hops"), of_index(run, "messages_per_question")), (Some(1.0), Some(2.0)));
    }
    let logs = folder.path().join(real["folder"].as_str().expect("a folder")).join("logs/0000-1");
    assert_eq!(fs::read_dir(logs).expect("logs").count(), 8, "each peer's log is kept");
}
