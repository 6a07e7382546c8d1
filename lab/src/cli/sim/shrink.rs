//! `synod sim shrink`: the smallest scenario that still fails in the same way.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use serde::Serialize;
use synod_scenario::exam::{Wanted, examine};
use synod_scenario::shrink::shrink;
use synod_scenario::{Scenario, Watch};

use super::Overrides;
use super::batch::quietly;
use super::file::{ScenarioFile, SeededScenario};
use crate::error::LabError;
use crate::exit::Exit;
use crate::shell::Shell;

/// `synod sim shrink`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  synod sim shrink failing.toml --seed 7 --out smaller.toml
  synod sim shrink --swarm pow --seed 7

Peers, actions and settings are taken away as long as the run fails in the same way. Nothing is random: a scenario always
shrinks to the same one.")]
pub(in crate::cli) struct ShrinkArgs {
    #[command(flatten)]
    of: SeededScenario,
    /// Run no more than so many scenarios
    #[arg(long, value_name = "N", default_value_t = 500)]
    tries: usize,
    /// Write the smaller scenario to this file [default: beside FILE, as FILE-shrunk.toml]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// What came of it.
#[derive(Debug, Serialize)]
struct Told {
    /// Where the smaller scenario is.
    file: PathBuf,
    /// How many scenarios were run.
    tries: usize,
    /// Peers before and after.
    peers: [u32; 2],
    /// Actions before and after.
    actions: [usize; 2],
    /// How it fails.
    reason: String,
    /// The line that runs it.
    replay: String,
}

pub(super) fn run(shell: Shell, args: &ShrinkArgs, stop: &AtomicBool) -> Result<Exit, LabError> {
    let file = args.of.read()?;
    let Some(reason) = reason(&file, args.of.seed, stop)? else {
        let what = format!("{} does not fail with seed {}", file.path.display(), args.of.seed);
        return Err(LabError::Usage { message: what });
    };
    let spinner = shell.spinner("shrinking");
    let wanted = kind(&reason);
    let mut tries = 0_u32;
    let shrunk = shrink(&file.scenario, args.tries, |scenario| {
        tries += 1;
        spinner.set_message(format!("try {tries}: {} peers, {} actions", scenario.peers, scenario.actions.len()));
        let candidate = ScenarioFile { scenario: scenario.clone(), ..file.clone() };
        // What cannot be planned does not fail in the same way, and after a signal nothing is looked at any more.
        !stop.load(Ordering::Relaxed)
            && reason_of(&candidate, args.of.seed, stop).is_some_and(|reason| kind(&reason) == wanted)
    });
    spinner.finish_and_clear();
    let (path, scenario) =
        (args.out.clone().unwrap_or_else(|| beside(args.of.file.as_deref(), args.of.seed)), shrunk.scenario);
    fs::write(&path, scenario.to_toml()).map_err(|error| LabError::io(&path, error))?;
    let smaller = ScenarioFile { path: path.clone(), scenario, overrides: Overrides::default() };
    let told = told(&file.scenario, &smaller, args.of.seed, shrunk.tries, reason);
    shell.result(&told, || text(&told));
    Ok(if stop.load(Ordering::Relaxed) { Exit::Interrupted } else { Exit::Ok })
}

/// Why a seed fails; nothing, if it does not or cannot be run.
fn reason_of(file: &ScenarioFile, seed: u64, stop: &AtomicBool) -> Option<String> {
    reason(file, seed, stop).ok().flatten()
}

fn reason(file: &ScenarioFile, seed: u64, stop: &AtomicBool) -> Result<Option<String>, LabError> {
    let plan = file.plan(seed)?;
    let wanted = Wanted { checks: file.scenario.checks.clone(), ..Wanted::default() };
    let watch = |_| if stop.load(Ordering::Relaxed) { Watch::Stop } else { Watch::GoOn };
    let broken = quietly(|| examine(plan, &wanted, watch).broken);
    Ok(broken.unwrap_or_else(Some).map(|broken| broken.reason))
}

/// What two failures share that are the same: the part before the details, or an assertion without its numbers.
fn kind(reason: &str) -> String {
    let line = reason.lines().next().unwrap_or_default();
    let kinds = ["diverged", "no agreement", "no progress", "over bounds", "unsafe ("];
    let named = kinds.iter().any(|kind| line.starts_with(kind));
    let part = if named { line.split(": ").next().unwrap_or(line) } else { line };
    part.chars().filter(|c| !c.is_ascii_digit()).collect()
}

/// Where the smaller scenario is written to; what a seed drew has no file to lie beside.
fn beside(file: Option<&Path>, seed: u64) -> PathBuf {
    let Some(file) = file else { return PathBuf::from(format!("swarm-{seed}-shrunk.toml")) };
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    file.with_file_name(format!("{stem}-shrunk.toml"))
}

fn told(before: &Scenario, after: &ScenarioFile, seed: u64, tries: usize, reason: String) -> Told {
    let scenario = &after.scenario;
    Told {
        file: after.path.clone(),
        tries,
        peers: [before.peers, scenario.peers],
        actions: [before.actions.len(), scenario.actions.len()],
        reason,
        replay: after.replay(seed),
    }
}

fn text(told: &Told) -> String {
    let Told { file, tries, peers, actions, reason, replay } = told;
    format!(
        "{} peers instead of {}, {} actions instead of {}, after {tries} tries: {}\nit fails with: {reason}\nreplay: {replay}",
        peers[1],
        peers[0],
        actions[1],
        actions[0],
        file.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_the_same_but_for_their_numbers_and_details() {
        assert_eq!(kind("no progress: 3 blocks in time"), kind("no progress: 17 blocks in time"));
        assert_eq!(kind("unsafe (coins): peer 3 has 7"), "unsafe (coins)");
        assert_ne!(kind("unsafe (coins): peer 3"), kind("unsafe (block): peer 3"));
        assert_eq!(kind("height 3 is above 2\n left: 3"), kind("height 30 is above 7\n left: 30"));
        assert_ne!(kind("a lock is kept"), kind("a lock is lost"));
    }

    #[test]
    fn the_smaller_scenario_lies_beside_the_larger() {
        assert_eq!(beside(None, 3), PathBuf::from("swarm-3-shrunk.toml"));
        assert_eq!(beside(Some("a/b.toml".as_ref()), 3), PathBuf::from("a/b-shrunk.toml"));
    }
}
