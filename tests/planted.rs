//! Deliberate faults in the ledger, in proof of work, in stakes and in the agreement of validators, each a patch of one line in
//! `tests/planted`, and the swarm that must find each of them from outside: that of stakes for patches named `pos-`, of work for all
//! others. It has found a fault only where the same seed passes without it. A patch that says `Test: NAME` has a fault that a
//! test of that name in `consensus` must find instead.
//!
//! The crates that the simulator is made of are copied, one patch is applied to the copy, and the swarm runs there until a seed
//! fails. Two patches are tried by default, all with `SYNOD_PLANTED=all` (`scripts/planted`), one by its name.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use synod_scenario::swarm::Swarm;

/// What the copy consists of.
const CRATES: [&str; 7] = ["consensus", "dht", "ledger", "machine", "peer", "scenario", "sim"];
/// Each fault is found by one of so many seeds.
const SEEDS: u64 = 200;
/// The faults that are tried when no more are asked for.
const TRIED: usize = 2;
/// The least that there must be, and of those in consensus rules.
const PATCHES_MIN: usize = 12;
const CONSENSUS_MIN: usize = 6;

/// One planted fault: lines of a file, and what stands there instead.
struct Patch {
    name: String,
    file: PathBuf,
    before: String,
    after: String,
    /// The test of `consensus` that must fail.
    test: Option<String>,
}

#[test]
fn every_planted_fault_is_one_line_of_code_that_is_there() {
    let patches = patches();
    let consensus = patches.iter().filter(|patch| patch.name.starts_with("consensus-")).count();
    assert!(patches.len() >= PATCHES_MIN, "{} faults", patches.len());
    assert!(consensus >= CONSENSUS_MIN, "{consensus} faults in consensus rules");
    for patch in &patches {
        let text = fs::read_to_string(root().join(&patch.file)).expect("a readable source");
        let changed = patch.apply(&text);
        let differing = text.lines().zip(changed.lines()).filter(|(old, new)| old != new).count();
        assert_eq!(differing, 1, "{} changes one line", patch.name);
        assert_eq!(text.lines().count(), changed.lines().count(), "{} changes one line", patch.name);
    }
}

#[test]
fn the_swarm_finds_planted_faults_and_its_replay_line_finds_them_again() {
    let wanted = std::env::var("SYNOD_PLANTED").unwrap_or_default();
    let all = patches();
    let tried: Vec<&Patch> = match wanted.as_str() {
        "" => all.iter().take(TRIED).collect(),
        "all" => all.iter().collect(),
        name => all.iter().filter(|patch| patch.name == name).collect(),
    };
    assert!(!tried.is_empty(), "no planted fault is named {wanted}");
    let mut missed = Vec::new();
    for patch in tried {
        if let Err(reason) = hunt(patch) {
            missed.push(format!("{}: {reason}", patch.name));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

/// Plants a fault, lets the swarm find it, and runs what its replay line says.
fn hunt(patch: &Patch) -> Result<(), String> {
    let tree = plant(patch);
    if let Some(test) = &patch.test {
        return fails(patch, &tree, test);
    }
    let build = ["build", "--offline", "--quiet", "-p", "synod-scenario", "--example", "swarm"];
    let target = tree.parent().expect("the tree lies in a folder").join("target");
    let cargo = Command::new(env!("CARGO")).args(build).current_dir(&tree).env("CARGO_TARGET_DIR", &target).output();
    let built = cargo.expect("cargo runs");
    assert!(built.status.success(), "{}: {}", patch.name, String::from_utf8_lossy(&built.stderr));
    let swarm = target.join("debug/examples/swarm");
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let engine = if patch.name.starts_with("pos-") { "pos" } else { "pow" };
    let found = run(&swarm, engine, &[0, SEEDS, jobs as u64]);
    let lines = failure(&found).ok_or_else(|| format!("not found by {SEEDS} seeds"))?;
    let (failed, replay) = lines.split_once('\n').expect("a failure has two lines");
    println!("{}: {failed}", patch.name);
    if failed.contains(": broken: ") {
        return Err(format!("an assertion found it, and no oracle: {failed}"));
    }
    let seed = replay.rsplit(' ').next().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.ok_or_else(|| format!("a replay line without a seed: {replay}"))?;
    if replay != format!("replay: synod sim replay --swarm {engine} --seed {seed}") {
        return Err(format!("not a replay line: {replay}"));
    }
    // What the line runs, as the library has it: the command line itself is built without faults.
    match failure(&run(&swarm, engine, &[seed])) {
        Some(again) if again == lines => {}
        again => return Err(format!("the replay of seed {seed} shows {again:?} instead of {lines}")),
    }
    // What fails without the fault as well shows nothing. This test's own library has no fault.
    let engine = Swarm::ALL.into_iter().find(|swarm| swarm.name() == engine).expect("a swarm of that name");
    let sound = engine.run_seed(seed).judgement.verdict;
    if sound.is_pass() { Ok(()) } else { Err(format!("seed {seed} fails in the sound program as well: {sound}")) }
}

/// Whether a test fails with the fault in place. It is one test, and it is there.
fn fails(patch: &Patch, tree: &Path, test: &str) -> Result<(), String> {
    let arguments = ["test", "--offline", "--quiet", "-p", "synod-consensus", "--lib", test];
    let target = tree.parent().expect("the tree lies in a folder").join("target");
    let cargo = Command::new(env!("CARGO")).args(arguments).current_dir(tree).env("CARGO_TARGET_DIR", &target).output();
    let ran = String::from_utf8_lossy(&cargo.expect("cargo runs").stdout).into_owned();
    println!("{}: {test}", patch.name);
    if ran.contains("test result: FAILED. 0 passed; 1 failed") {
        return Ok(());
    }
    Err(format!("{test} does not fail: {ran}"))
}

fn run(swarm: &Path, engine: &str, numbers: &[u64]) -> Output {
    Command::new(swarm).arg(engine).args(numbers.iter().map(u64::to_string)).output().expect("the swarm runs")
}

/// The first failure that was told of, and what replays it.
fn failure(output: &Output) -> Option<String> {
    let text = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<&str> = text.lines().take(2).collect();
    (output.status.code() == Some(5) && lines.len() == 2).then(|| lines.join("\n"))
}

impl Patch {
    /// Reads a unified diff of one place, with whatever stands before it as its description.
    fn read(path: &Path) -> Self {
        let name = path.file_stem().expect("a patch has a name").to_string_lossy().into_owned();
        let text = fs::read_to_string(path).expect("a readable patch");
        let (head, body) = text.split_once("\n@@").unwrap_or_else(|| panic!("{name} has no place"));
        let file = head.lines().find_map(|line| line.strip_prefix("+++ b/"));
        let file = PathBuf::from(file.unwrap_or_else(|| panic!("{name} names no file")));
        let test = head.lines().find_map(|line| line.strip_prefix("Test: ")).map(str::to_string);
        let (mut before, mut after) = (String::new(), String::new());
        for line in body.lines().skip(1) {
            let (mark, rest) = line.split_at(line.len().min(1));
            for (side, is_there) in [(&mut before, mark != "+"), (&mut after, mark != "-")] {
                if is_there {
                    side.push_str(rest);
                    side.push('\n');
                }
            }
        }
        Self { name, file, before, after, test }
    }

    fn apply(&self, text: &str) -> String {
        let times = text.matches(&self.before).count();
        assert!(times == 1, "{} fits {times} times into {}: write it anew", self.name, self.file.display());
        text.replacen(&self.before, &self.after, 1)
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in the workspace").to_path_buf()
}

/// All planted faults, by name.
fn patches() -> Vec<Patch> {
    let folder = fs::read_dir(root().join("tests/planted")).expect("a readable folder");
    let mut paths: Vec<PathBuf> = folder.map(|entry| entry.expect("a readable folder").path()).collect();
    paths.sort();
    paths.iter().map(|path| Patch::read(path)).collect()
}

/// Brings the copy up to date, with the fault in it. Files that are as they should be are left alone, so that only what
/// changed is compiled.
fn plant(patch: &Patch) -> PathBuf {
    let tree = Path::new(env!("CARGO_TARGET_TMPDIR")).join("planted/tree");
    let mut files: BTreeMap<PathBuf, Vec<u8>> = BTreeMap::new();
    for part in CRATES.iter().chain(&["tests"]) {
        collect(&root().join(part), &mut files);
    }
    files.insert("Cargo.lock".into(), fs::read(root().join("Cargo.lock")).expect("a readable file"));
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("a readable file");
    files.insert("Cargo.toml".into(), trimmed(&manifest).into_bytes());
    let faulty = files.get_mut(&patch.file).unwrap_or_else(|| panic!("{} patches what is not copied", patch.name));
    *faulty = patch.apply(&String::from_utf8_lossy(faulty)).into_bytes();
    for (path, bytes) in files {
        let path = tree.join(path);
        if fs::read(&path).ok().as_ref() != Some(&bytes) {
            fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("a writable folder");
            fs::write(&path, bytes).expect("a writable folder");
        }
    }
    tree
}

fn collect(folder: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() {
            collect(&path, files);
        } else {
            let name = path.strip_prefix(root()).expect("it lies in the workspace").to_path_buf();
            files.insert(name, fs::read(&path).expect("a readable file"));
        }
    }
}

/// The workspace without the crates that need a network.
fn trimmed(manifest: &str) -> String {
    let members = format!("members = {CRATES:?}");
    let line = |line: &str| match line.split(" = ").next() {
        Some("members") => members.clone(),
        Some("default-members") => String::new(),
        Some(_) | None => line.to_string(),
    };
    manifest.lines().map(line).collect::<Vec<_>>().join("\n")
}
