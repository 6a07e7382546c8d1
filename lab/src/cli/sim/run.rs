//! `synod sim run`.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use synod_scenario::exam::{Record, Wanted, blocks_csv, examine};
use synod_scenario::{Plan, Progress, Watch};

use super::batch::batch;
use super::file::ScenarioFile;
use super::real;
use super::report::{self, Report};
use super::trace::{self, TraceArgs};
use super::{Overrides, seeds};
use crate::error::LabError;
use crate::exit::Exit;
use crate::settings::Gossip;
use crate::shell::Shell;
use crate::units::{show_count, show_duration};

/// `synod sim run`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  synod sim run scenarios/pow-small.toml
  synod sim run scenarios/forks.toml --seeds 1..=20 --json > forks.json
  synod sim run scenarios/partition.toml --trace partition.json --out results

A run is determined by the scenario, the seed and the program: it is the same anywhere, and its trace hash says so.
A run that breaks what must hold ends with the line that runs it again, and exit code 5.")]
pub(in crate::cli) struct RunArgs {
    /// The scenario
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The seed [default: the scenario's]
    #[arg(long, value_name = "N", conflicts_with = "seeds")]
    seed: Option<u64>,
    /// A run for each of these seeds, as 1..=20
    #[arg(long, value_name = "A..B", value_parser = seeds)]
    seeds: Option<Range<u64>>,
    /// Runs at a time [default: one for each core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_024))]
    jobs: Option<u16>,
    /// Write the files that the scenario's `outputs` names to this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Run it on real processes of this machine, and show what they send beside what simulated peers do
    #[arg(long, conflicts_with_all = ["seeds", "jobs", "out", "trace"])]
    real: bool,
    /// With --real, who carries blocks and payments [default: the scenario's machine]
    #[arg(long, value_name = "KIND", requires = "real")]
    gossip: Option<Gossip>,
    #[command(flatten)]
    overrides: Overrides,
    #[command(flatten)]
    trace: TraceArgs,
}

impl RunArgs {
    pub(super) const fn is_real(&self) -> bool {
        self.real
    }
}

/// A run that ended, and what is to be written of it.
struct Done {
    report: Report,
    written: Result<(), LabError>,
}

/// Runs the scenario on real processes.
pub(super) async fn run_real(shell: Shell, args: &RunArgs) -> Result<Exit, LabError> {
    let file = ScenarioFile::read(&args.file, &args.overrides)?;
    real::run(shell, &file, args.seed.unwrap_or(file.scenario.seed), args.gossip).await
}

pub(super) fn run(shell: Shell, args: &RunArgs, stop: &AtomicBool) -> Result<Exit, LabError> {
    let file = ScenarioFile::read(&args.file, &args.overrides)?;
    let seeds = args.seeds.clone().unwrap_or_else(|| {
        let seed = args.seed.unwrap_or(file.scenario.seed);
        seed..seed.saturating_add(1)
    });
    let filter = args.trace.file().map(|_| args.trace.filter(file.scenario.peers)).transpose()?;
    if filter.is_some() && seeds.clone().nth(1).is_some() {
        return Err(LabError::Usage { message: "a trace is of one seed: name it with --seed".to_owned() });
    }
    if let Some(folder) = &args.out {
        fs::create_dir_all(folder).map_err(|error| LabError::io(folder, error))?;
    }
    // A mistake that only a plan shows is told before any run.
    let first = file.plan(seeds.start)?;
    let bar = bar(shell, seeds.end - seeds.start);
    let record = filter.map(|filter| Record { filter, from_step: 0 });
    let wanted = Wanted { checks: file.scenario.checks.clone(), record, steps_max: None };
    let is_single = seeds.end - seeds.start == 1;
    let work = |seed: u64| {
        let plan = if seed == first.seed { Ok(first.clone()) } else { file.plan(seed) };
        if stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let watch = |progress| {
            if is_single {
                show(&bar, &progress);
            }
            if stop.load(Ordering::Relaxed) { Watch::Stop } else { Watch::GoOn }
        };
        Ok(Some(run_one(&file, args, plan?, &wanted, watch)))
    };
    let mut runs: Vec<Report> = Vec::new();
    let mut failure: Option<LabError> = None;
    batch(seeds, jobs(args), work, |seed, result| {
        if !is_single {
            bar.inc(1);
        }
        match result {
            Ok(Ok(None)) => {}
            Ok(Ok(Some(done))) => {
                runs.push(done.report);
                failure = failure.take().or(done.written.err());
            }
            Ok(Err(error)) => failure = failure.take().or(Some(error)),
            Err(broken) => runs.push(Report::before(&file, seed, broken)),
        }
    });
    bar.finish_and_clear();
    report::print(shell, &runs, is_single);
    match failure {
        Some(error) => Err(error),
        None if runs.iter().any(|run| run.failed.is_some()) => Ok(Exit::Check),
        None if stop.load(Ordering::Relaxed) => Ok(Exit::Interrupted),
        None => Ok(Exit::Ok),
    }
}

fn run_one(
    file: &ScenarioFile,
    args: &RunArgs,
    plan: Plan,
    wanted: &Wanted,
    watch: impl FnMut(Progress) -> Watch,
) -> Done {
    let ran = examine(plan, wanted, watch);
    let report = Report::of(file, ran.outcome, ran.broken, ran.is_interrupted);
    let written = write(file, args, &report, &ran.world);
    Done { report, written }
}

/// Writes what the scenario names to the folder, and the trace.
fn write(
    file: &ScenarioFile,
    args: &RunArgs,
    report: &Report,
    world: &synod_sim::World<synod_scenario::Trial>,
) -> Result<(), LabError> {
    if let Some(folder) = &args.out {
        let outputs = file.scenario.outputs;
        let stem = format!("{}-{}", file.scenario.name, report.seed);
        let put = |path: &Path, text: &str| fs::write(path, text).map_err(|error| LabError::io(path, error));
        if outputs.outcome {
            put(&folder.join(format!("{stem}.json")), &report.json())?;
        }
        if outputs.blocks {
            put(&folder.join(format!("{stem}.blocks.csv")), &blocks_csv(world.experiment().observed()))?;
        }
    }
    match (args.trace.file(), world.recorder()) {
        (Some(path), Some(recorder)) => trace::write(path, recorder),
        (None, _) | (_, None) => Ok(()),
    }
}

fn jobs(args: &RunArgs) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    args.jobs.map_or_else(cores, usize::from)
}

/// One run fills the bar by its own progress, several by how many are done.
fn bar(shell: Shell, runs: u64) -> ProgressBar {
    if runs > 1 {
        return shell.bar(runs);
    }
    let bar = shell.bar(STEPS);
    let style = ProgressStyle::with_template("{bar:30} {percent}% {msg}, {eta} left");
    bar.set_style(style.expect("the template is valid"));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// Steps of the bar for one run.
const STEPS: u64 = 1_000;

fn show(bar: &ProgressBar, progress: &Progress) {
    bar.set_position((progress.done * STEPS as f64) as u64);
    let rate = progress.events as f64 / progress.wall.as_secs_f64().max(1e-9);
    let now = show_duration(Duration::from_nanos(progress.now.0));
    bar.set_message(format!("{now}, height {}, {} events/s", progress.height, show_count(rate)));
}
