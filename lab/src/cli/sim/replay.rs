//! `synod sim replay`: a run again, with what led to its end.

use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use serde::Serialize;
use synod_scenario::exam::{Examined, Record, Wanted, examine, show};
use synod_scenario::{Broken, Watch};

use super::batch::quietly;
use super::file::{ScenarioFile, SeededScenario};
use super::report::{Report, single};
use super::trace::{self, TraceArgs};
use crate::error::LabError;
use crate::exit::Exit;
use crate::shell::Shell;

/// `synod sim replay`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  synod sim replay scenarios/partition.toml --seed 7
  synod sim replay --swarm pow --seed 7
  synod sim replay scenarios/partition.toml --seed 7 --until-step 12000 --trace-peers 3,4 --trace before.shiviz

The run is repeated twice: once to find where it fails, once to record what came before. Exit code 5 says that it failed,
and in the same place both times.")]
pub(in crate::cli) struct ReplayArgs {
    #[command(flatten)]
    of: SeededScenario,
    /// End after so many steps of all peers, whether anything fails or not
    #[arg(long, value_name = "N")]
    until_step: Option<u64>,
    /// Show so many of the last happenings
    #[arg(long, value_name = "N", default_value_t = 40, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    last: u16,
    #[command(flatten)]
    trace: TraceArgs,
}

/// What a replay showed.
#[derive(Debug, Serialize)]
struct Replayed {
    #[serde(flatten)]
    report: Report,
    /// Whether both runs failed alike; nothing, if none failed.
    reproduced: Option<bool>,
    /// What happened last, the oldest first.
    last: Vec<String>,
}

pub(super) fn run(shell: Shell, args: &ReplayArgs, stop: &AtomicBool) -> Result<Exit, LabError> {
    let file = args.of.read()?;
    let plan = file.plan(args.of.seed)?;
    // Without peers to look at, a large world is run again and not recorded.
    let filter = match args.trace.filter(file.scenario.peers) {
        Ok(filter) => Some(filter),
        Err(error) if args.trace.file().is_some() => return Err(error),
        Err(_) => None,
    };
    let wanted = |record| Wanted { checks: file.scenario.checks.clone(), record, steps_max: args.until_step };
    let spinner = shell.spinner(&format!("running seed {}", args.of.seed));
    let once = |record: Option<Record>| {
        let (plan, wanted) = (&plan, wanted(record));
        let watch = |_| if stop.load(Ordering::Relaxed) { Watch::Stop } else { Watch::GoOn };
        quietly(|| Ran::of(&file, args, examine(plan.clone(), &wanted, watch)))
    };
    let first = once(None);
    let ended_at = match &first {
        Ok(ran) => ran.steps,
        Err(broken) => broken.step,
    };
    let record = filter.map(|filter| {
        let from_step = if args.trace.file().is_some() { 0 } else { ended_at.saturating_sub(STEPS_BEFORE) };
        Record { filter, from_step }
    });
    let second = if stop.load(Ordering::Relaxed) { None } else { Some(once(record)) };
    spinner.finish_and_clear();
    let (first, second) =
        (told(&file, args.of.seed, first)?, second.map(|ran| told(&file, args.of.seed, ran)).transpose()?);
    let reproduced = first
        .report
        .failed
        .is_some()
        .then(|| second.as_ref().is_some_and(|second| second.report.failed == first.report.failed));
    let last = second.map(|second| second.last).unwrap_or_default();
    let interrupted = first.report.interrupted;
    let replayed = Replayed { report: first.report, reproduced, last };
    shell.result(&replayed, || text(shell, &replayed));
    Ok(match (&replayed.report.failed, interrupted) {
        (Some(_), _) => Exit::Check,
        (None, true) => Exit::Interrupted,
        (None, false) => Exit::Ok,
    })
}

/// What is kept of one run.
struct Ran {
    report: Report,
    steps: u64,
    last: Vec<String>,
    written: Result<(), LabError>,
}

impl Ran {
    fn of(file: &ScenarioFile, args: &ReplayArgs, ran: Examined) -> Self {
        let recorder = ran.world.recorder();
        let happenings = recorder.map(synod_sim::Recorder::happenings).unwrap_or_default();
        let first = happenings.len().saturating_sub(usize::from(args.last));
        let last = happenings[first..].iter().map(show).collect();
        let written = match (args.trace.file(), recorder) {
            (Some(path), Some(recorder)) => trace::write(path, recorder),
            (None, _) | (_, None) => Ok(()),
        };
        let steps = ran.world.net().tally().steps;
        Self { report: Report::of(file, ran.outcome, ran.broken, ran.is_interrupted), steps, last, written }
    }
}

/// A run that could not even be made has nothing to show but why.
fn told(file: &ScenarioFile, seed: u64, ran: Result<Ran, Broken>) -> Result<Ran, LabError> {
    match ran {
        Ok(Ran { written: Err(error), .. }) => Err(error),
        Ok(ran) => Ok(ran),
        Err(broken) => {
            let report = Report::before(file, seed, broken);
            Ok(Ran { report, steps: 0, last: Vec::new(), written: Ok(()) })
        }
    }
}

fn text(shell: Shell, replayed: &Replayed) -> String {
    let mut lines = Vec::new();
    if let (Some(outcome), None) = (&replayed.report.outcome, replayed.reproduced) {
        lines.push(single(shell, outcome));
    }
    if !replayed.last.is_empty() {
        lines.push(format!("the last {} happenings:", replayed.last.len()));
        lines.extend(replayed.last.iter().map(|line| format!("  {line}")));
    }
    match replayed.reproduced {
        None => lines.push("not reproduced: nothing failed".to_owned()),
        Some(true) => lines.push("reproduced: it fails in the same place each time".to_owned()),
        Some(false) => lines.push("not reproduced: it failed once, and not again in the same place".to_owned()),
    }
    lines.extend(replayed.report.failure());
    lines.join("\n")
}

/// Steps that are recorded before the end.
const STEPS_BEFORE: u64 = 2_000;
