//! `synod run`, `synod compare`, `synod report`, `synod diff`: grids of runs, their folders, what changed between two.

mod go;
mod show;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use clap::{Args, ValueEnum};
use synod_experiment::diff::difference;
use synod_experiment::folder::{Contents, Folder, Machine, Manifest, now};
use synod_experiment::grid::{Cell, cells};
use synod_experiment::pool::Part;
use synod_experiment::presets::{self, Preset};
use synod_experiment::summary::Place;
use synod_experiment::{Experiment, ExperimentError, finish, label, page};

use self::go::{Way, go, go_part};
use self::show::{Ended, changes, text};
use super::context::Context;
use super::sim::{COMMIT, until_stopped};
use crate::error::LabError;
use crate::exit::Exit;
use crate::shell::Shell;

/// What is common to experiments.
#[derive(Clone, Debug, Args)]
struct GridArgs {
    /// Of an axis these values only, as engine=pow,pbft; a plain axis takes values that the file does not have, too
    #[arg(long, value_name = "AXIS=VALUES", value_parser = axis)]
    only: Vec<(String, Vec<String>)>,
    /// Run each cell so often, each time with another seed, instead of what the file says
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    repetitions: Option<u32>,
    /// Runs at a time [default: one for each core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_024))]
    jobs: Option<u16>,
    /// On real processes of this machine instead of the simulator, a run at a time
    #[arg(long)]
    real: bool,
    /// Who runs them: this machine, or a cluster that jobs are submitted to from here and that has this folder and this program at the
    /// same paths
    #[arg(long, value_enum, value_name = "WHERE", default_value = "here")]
    on: On,
    /// An option for Slurm's sbatch, as --sbatch=--partition=long; may be given several times
    #[arg(long, value_name = "OPTION", allow_hyphen_values = true)]
    sbatch: Vec<String>,
    /// The folder of all experiments
    #[arg(long, value_name = "DIR", default_value = "runs")]
    runs: PathBuf,
    /// Show the experiment as it would be run, to be kept and changed, and run nothing
    #[arg(long)]
    print: bool,
}

/// Who runs cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum On {
    /// This machine
    Here,
    /// An array job of Slurm, each run a task
    Slurm,
}

fn axis(text: &str) -> Result<(String, Vec<String>), String> {
    let (name, values) =
        text.split_once('=').filter(|(_, values)| !values.is_empty()).ok_or("expected AXIS=VALUE,VALUE")?;
    Ok((name.to_owned(), values.split(',').map(str::to_owned).collect()))
}

/// `synod run`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Example:
  synod compare consensus --print > mine.toml
  synod run mine.toml --only peers=8,16 --repetitions 10
  synod run --resume runs/mine/latest
  synod run mine.toml --on slurm --sbatch=--partition=short

Each run is kept as soon as it has ended: who is interrupted goes on with --resume. A run that comes to nothing is kept with
its reason, the others go on, and the exit code is 5.")]
pub(super) struct RunArgs {
    /// The experiment
    #[arg(value_name = "FILE", required_unless_present = "resume")]
    file: Option<PathBuf>,
    /// Go on with an experiment that did not end, or whose runs came to nothing
    #[arg(long, value_name = "DIR", conflicts_with_all = ["file", "only", "repetitions", "print", "real", "runs"])]
    resume: Option<PathBuf>,
    /// Of all runs this part only, as 3/8, while other processes run the others; synod report shows what came of them
    #[arg(long, value_name = "I/N", requires = "resume", conflicts_with = "on")]
    part: Option<Part>,
    #[command(flatten)]
    grid: GridArgs,
}

/// What is compared.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Comparison {
    /// Proof of work, proof of stake and pBFT
    Consensus,
    /// The same engines when the busiest peer crashes, the network falls apart, or three of ten peers are lost
    Faults,
    /// Flooding, a mesh and rumours
    Gossip,
    /// How many payments the engines carry, and how fast they are at seven tenths of that
    Load,
    /// Chord, Kademlia, floods, superpeers and a central index
    Search,
}

/// `synod compare`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Example:
  synod compare consensus
  synod compare consensus --only peers=4,8,16,32,64 --only engine=pbft
  synod compare gossip --full --jobs 1
  synod compare load --only line=1-Mbit,5-Mbit
  synod compare faults
  synod compare search --only peers=100,1000,10000
  synod compare consensus --real --only peers=4,8
  synod compare search --real

Without --full and --only it is small enough to end within two minutes, but with --real, where consensus takes half an hour. In virtual time a seed determines everything: the same
command gives the same records, byte by byte.")]
pub(super) struct CompareArgs {
    /// What
    #[arg(value_enum)]
    what: Comparison,
    /// The whole grid; it may take hours
    #[arg(long)]
    full: bool,
    #[command(flatten)]
    grid: GridArgs,
}

/// `synod report`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Example:
  synod report runs/consensus/latest
  synod report runs/consensus/2026-01-31T12-00-00Z runs/consensus/latest --out both.html

Tables, plots and the page of each folder are made anew from its records.")]
pub(super) struct ReportArgs {
    /// Folders of experiments
    #[arg(value_name = "DIR", required = true)]
    folders: Vec<PathBuf>,
    /// Write one page with all of them side by side
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// `synod diff`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Example:
  synod diff runs/consensus/2026-01-31T12-00-00Z runs/consensus/latest

Every metric of every cell that both have is compared by Welch's test, and all tests together tell of a change that is none with
the probability --doubt at most (Holm's procedure).")]
pub(super) struct DiffArgs {
    /// The folder of the run before
    #[arg(value_name = "BEFORE")]
    before: PathBuf,
    /// The folder of the run after
    #[arg(value_name = "AFTER")]
    after: PathBuf,
    /// The probability with which a change is told of where there is none
    #[arg(long, value_name = "P", default_value_t = 0.05, value_parser = crate::units::share)]
    doubt: f64,
    /// Exit with 5 if something changed
    #[arg(long)]
    check: bool,
}

pub(super) async fn run(context: &Context, args: RunArgs) -> Result<Exit, LabError> {
    let shell = context.shell;
    if let Some(folder) = args.resume {
        return until_stopped(move |stop| resume(shell, &folder, args.part, &args.grid, stop)).await;
    }
    let file = args.file.expect("clap asks for one of the two");
    let text = fs::read_to_string(&file).map_err(|error| LabError::io(&file, error))?;
    begin(shell, (file, text), &[], args.grid).await
}

pub(super) async fn compare(context: &Context, args: CompareArgs) -> Result<Exit, LabError> {
    if args.grid.real && matches!(args.what, Comparison::Faults | Comparison::Load) {
        let message = "faults and load are compared in virtual time alone: leave --real out".to_owned();
        return Err(LabError::Usage { message });
    }
    let Preset { name, text, small } = match args.what {
        Comparison::Consensus if args.grid.real => presets::CONSENSUS_REAL,
        Comparison::Consensus => presets::CONSENSUS,
        Comparison::Faults => presets::FAULTS,
        Comparison::Gossip if args.grid.real => presets::GOSSIP_REAL,
        Comparison::Gossip => presets::GOSSIP,
        Comparison::Load => presets::LOAD,
        Comparison::Search if args.grid.real => presets::SEARCH_REAL,
        Comparison::Search => presets::SEARCH,
    };
    let small = if args.full { &[] } else { small };
    begin(context.shell, (PathBuf::from(name), text.to_owned()), small, args.grid).await
}

async fn begin(
    shell: Shell,
    (file, text): (PathBuf, String),
    small: &[(&str, &[&str])],
    args: GridArgs,
) -> Result<Exit, LabError> {
    let wrong = |source| LabError::Experiment { file: file.clone(), source };
    let mut experiment = Experiment::parse(&text).map_err(wrong)?;
    for (axis, values) in small.iter().filter(|(axis, _)| args.only.iter().all(|(named, _)| named != axis)) {
        let values: Vec<String> = values.iter().map(ToString::to_string).collect();
        experiment.restrict(axis, &values).map_err(wrong)?;
    }
    for (axis, values) in &args.only {
        experiment.restrict(axis, values).map_err(wrong)?;
    }
    experiment.repetitions = args.repetitions.unwrap_or(experiment.repetitions);
    if experiment.axes.iter().any(|axis| args.only.iter().any(|(named, _)| *named == axis.name))
        || args.repetitions.is_some()
    {
        // What the command line changed is checked as what a file says, before anything is run.
        experiment = Experiment::parse(&experiment.to_toml()).map_err(|error| wrong(error.unplaced()))?;
    }
    let cells = cells(&experiment, &text).map_err(wrong)?;
    if args.print {
        shell.result(&experiment, || experiment.to_toml().trim_end().to_owned());
        return Ok(Exit::Ok);
    }
    let mut way = Way::new(args.real, &args)?;
    let manifest = Manifest {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: COMMIT.to_owned(),
        command: std::env::args().collect(),
        place: way.runner().place(),
        metrics: way.runner().metrics(&experiment),
        machine: Machine::this(),
        begun: now(),
        ended: None,
    };
    let folder = Folder::create(&args.runs, &experiment, &manifest).map_err(wrong)?;
    way.log_to(&folder);
    until_stopped(move |stop| go(shell, (&experiment, &cells), &folder, &way, stop)).await
}

fn resume(shell: Shell, path: &Path, part: Option<Part>, args: &GridArgs, stop: &AtomicBool) -> Result<Exit, LabError> {
    let (folder, experiment, cells) = open(path)?;
    let manifest = folder.manifest().map_err(|source| LabError::Experiment { file: path.to_path_buf(), source })?;
    let mut way = Way::new(manifest.place == Place::Real, args)?;
    way.log_to(&folder);
    match part {
        Some(part) => go_part(shell, (&experiment, &cells), &folder, (part, &way), stop),
        None => go(shell, (&experiment, &cells), &folder, &way, stop),
    }
}

/// A folder with its experiment and cells.
fn open(path: &Path) -> Result<(Folder, Experiment, Vec<Cell>), LabError> {
    let opened = || -> Result<_, ExperimentError> {
        let folder = Folder::open(path)?;
        let (experiment, text) = folder.experiment()?;
        let cells = cells(&experiment, &text)?;
        Ok((folder, experiment, cells))
    };
    opened().map_err(|source| LabError::Experiment { file: path.to_path_buf(), source })
}

pub(super) fn report(context: &Context, args: &ReportArgs) -> Result<Exit, LabError> {
    let (mut summaries, mut all) = (Vec::new(), Vec::new());
    for path in &args.folders {
        let (folder, experiment, cells) = open(path)?;
        let wrong = |source| LabError::Experiment { file: path.clone(), source };
        let summary = finish(&folder, &cells).map_err(wrong)?;
        summaries.push((label(&folder), summary.clone()));
        let ran: u32 = summary.cells.iter().map(|cell| cell.runs + cell.failed).sum();
        let interrupted = (ran as usize) < cells.len() * experiment.repetitions as usize;
        let resume = format!("synod run --resume {}", path.display());
        let ended = Ended { folder: path.clone(), interrupted, resume, summary: Some(summary) };
        context.shell.say(&text(context.shell, &ended, &experiment.show));
        all.push(ended);
    }
    if context.shell.json {
        context.shell.result(&all, String::new);
    }
    if let Some(out) = &args.out {
        fs::write(out, page(&summaries)).map_err(|error| LabError::io(out, error))?;
        context.shell.say(&format!("one page of all: {}", out.display()));
    }
    Ok(Exit::Ok)
}

pub(super) fn diff(context: &Context, args: &DiffArgs) -> Result<Exit, LabError> {
    let read = |path: &Path| -> Result<Contents, LabError> {
        let (folder, _, cells) = open(path)?;
        folder.contents(&cells).map_err(|source| LabError::Experiment { file: path.to_path_buf(), source })
    };
    let (before, after) = (read(&args.before)?, read(&args.after)?);
    let difference = difference(&before, &after, args.doubt);
    context.shell.result(&difference, || changes(context.shell, &difference));
    Ok(if args.check && !difference.changes.is_empty() { Exit::Check } else { Exit::Ok })
}
