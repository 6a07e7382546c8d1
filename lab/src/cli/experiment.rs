//! `synod run`, `synod compare`, `synod report`, `synod diff`: grids of runs, their folders, what changed between two.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use serde::Serialize;
use synod_experiment::diff::{Difference, difference};
use synod_experiment::folder::{Contents, Folder, Machine, Manifest, now};
use synod_experiment::grid::{Cell, cells};
use synod_experiment::pool;
use synod_experiment::presets::{self, Preset};
use synod_experiment::record::{Runner, Simulated};
use synod_experiment::summary::Place;
use synod_experiment::table::{show_figure, show_number};
use synod_experiment::{Experiment, ExperimentError, REPORT, Summary, finish, label, page};

use super::context::{Context, program};
use super::sim::{COMMIT, quiet_threads, until_stopped};
use crate::error::LabError;
use crate::exit::Exit;
use crate::real::Real;
use crate::shell::{Shell, render};
use crate::units::show_duration;

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
    #[arg(long, conflicts_with = "jobs")]
    real: bool,
    /// The folder of all experiments
    #[arg(long, value_name = "DIR", default_value = "runs")]
    runs: PathBuf,
    /// Show the experiment as it would be run, to be kept and changed, and run nothing
    #[arg(long)]
    print: bool,
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

Each run is kept as soon as it has ended: who is interrupted goes on with --resume. A run that comes to nothing is kept with
its reason, the others go on, and the exit code is 5.")]
pub(super) struct RunArgs {
    /// The experiment
    #[arg(value_name = "FILE", required_unless_present = "resume")]
    file: Option<PathBuf>,
    /// Go on with an experiment that did not end, or whose runs came to nothing
    #[arg(long, value_name = "DIR", conflicts_with_all = ["file", "only", "repetitions", "print", "real", "runs"])]
    resume: Option<PathBuf>,
    #[command(flatten)]
    grid: GridArgs,
}

/// What is compared.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Comparison {
    /// Proof of work, proof of stake and pBFT
    Consensus,
    /// Flooding, a mesh and rumours
    Gossip,
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
  synod compare search --only peers=100,1000,10000
  synod compare consensus --real --only peers=4,8

Without --full and --only it is small enough to end within two minutes. In virtual time a seed determines everything: the same
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

/// An experiment that ended.
#[derive(Debug, Serialize)]
struct Ended {
    folder: PathBuf,
    interrupted: bool,
    summary: Option<Summary>,
}

pub(super) async fn run(context: &Context, args: RunArgs) -> Result<Exit, LabError> {
    let shell = context.shell;
    if let Some(folder) = args.resume {
        return until_stopped(move |stop| resume(shell, &folder, &args.grid, stop)).await;
    }
    let file = args.file.expect("clap asks for one of the two");
    let text = fs::read_to_string(&file).map_err(|error| LabError::io(&file, error))?;
    begin(shell, (file, text), &[], args.grid).await
}

pub(super) async fn compare(context: &Context, args: CompareArgs) -> Result<Exit, LabError> {
    let Preset { name, text, small } = match args.what {
        Comparison::Consensus if args.grid.real => presets::CONSENSUS_REAL,
        Comparison::Consensus => presets::CONSENSUS,
        Comparison::Gossip => presets::GOSSIP,
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
    let runner = runner(args.real)?;
    let manifest = Manifest {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: COMMIT.to_owned(),
        command: std::env::args().collect(),
        place: runner.place(),
        metrics: runner.metrics(&experiment),
        machine: Machine::this(),
        begun: now(),
        ended: None,
    };
    let folder = Folder::create(&args.runs, &experiment, &manifest).map_err(wrong)?;
    until_stopped(move |stop| go(shell, (&experiment, &cells), &folder, (&*runner, args.jobs), stop)).await
}

fn resume(shell: Shell, path: &Path, args: &GridArgs, stop: &AtomicBool) -> Result<Exit, LabError> {
    let (folder, experiment, cells) = open(path)?;
    let manifest = folder.manifest().map_err(|source| LabError::Experiment { file: path.to_path_buf(), source })?;
    let runner = runner(manifest.place == Place::Real)?;
    go(shell, (&experiment, &cells), &folder, (&*runner, args.jobs), stop)
}

/// Who runs cells.
fn runner(is_real: bool) -> Result<Box<dyn Runner + Send>, LabError> {
    if !is_real {
        return Ok(Box::new(Simulated));
    }
    let dir = std::env::temp_dir().join(format!("synod-experiment-{}", std::process::id()));
    Ok(Box::new(Real { program: program()?, dir }))
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

/// Runs what is not kept yet, and shows what there is then.
fn go(
    shell: Shell,
    (experiment, cells): (&Experiment, &[Cell]),
    folder: &Folder,
    (runner, jobs): (&dyn Runner, Option<u16>),
    stop: &AtomicBool,
) -> Result<Exit, LabError> {
    quiet_threads();
    let wrong = |source| LabError::Experiment { file: folder.path().to_path_buf(), source };
    let _lock = folder.lock().map_err(wrong)?;
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let jobs = jobs.map_or_else(cores, usize::from);
    let bar = shell.bar((cells.len() * experiment.repetitions as usize) as u64);
    let begun = Instant::now();
    let mut first = None;
    let ran = pool::run((experiment, cells), folder, runner, jobs, stop, |progress| {
        let before = *first.get_or_insert(progress.done);
        bar.set_position(progress.done as u64);
        let (done, left) = (progress.done - before, progress.total - progress.done);
        let last =
            progress.last.as_ref().map(|(cell, seed)| format!("{} seed {seed}", cell.join(" "))).unwrap_or_default();
        // Long runs come late or early, so that this is no more than a guess.
        let left = (done > 0).then(|| begun.elapsed().mul_f64(left as f64 / done as f64));
        let left = left.map_or_else(String::new, |left| format!("about {} left, ", show_duration(whole(left))));
        bar.set_message(format!("{left}{} failed  {last}", progress.failed));
    });
    bar.finish_and_clear();
    let is_whole = ran.map_err(wrong)?;
    let mut manifest = folder.manifest().map_err(wrong)?;
    manifest.ended = Some(now());
    folder.set_manifest(&manifest).map_err(wrong)?;
    let summary = match finish(folder, cells) {
        Ok(summary) => Some(summary),
        Err(ExperimentError::Nothing(_)) if !is_whole => None,
        Err(error) => return Err(wrong(error)),
    };
    let failed = summary.as_ref().map_or(0, |summary| summary.failures.len());
    let ended = Ended { folder: folder.path().to_path_buf(), interrupted: !is_whole, summary };
    shell.result(&ended, || text(shell, &ended, &experiment.show));
    Ok(match (is_whole, failed) {
        (false, _) => Exit::Interrupted,
        (true, 0) => Exit::Ok,
        (true, _) => Exit::Check,
    })
}

fn text(shell: Shell, ended: &Ended, show: &[String]) -> String {
    let mut lines = Vec::new();
    if let Some(summary) = &ended.summary {
        lines.push(tables(shell, summary, show));
        for failure in &summary.failures {
            lines.push(format!("FAILED {}, seed {}: {}", failure.cell.join(" "), failure.seed, failure.reason));
        }
    }
    if ended.interrupted {
        lines.push(format!("interrupted; to go on: synod run --resume {}", ended.folder.display()));
    }
    lines.push(format!("everything is in {}; open its {REPORT} in a browser", ended.folder.display()));
    lines.join("\n")
}

/// The cells, and how what is shown grows.
fn tables(shell: Shell, summary: &Summary, show: &[String]) -> String {
    let shown = |name: &String| show.is_empty() || show.contains(name);
    let metrics: Vec<_> = summary.metrics.iter().filter(|metric| shown(&metric.name)).collect();
    let mut heads: Vec<String> = summary.axes.iter().map(|axis| axis.name.to_uppercase()).collect();
    heads.extend(metrics.iter().map(|metric| match metric.unit.as_str() {
        "" => format!("#{}", metric.name.to_uppercase()),
        unit => format!("#{} [{unit}]", metric.name.to_uppercase()),
    }));
    let mut table = shell.table(&heads.iter().map(String::as_str).collect::<Vec<_>>());
    for cell in &summary.cells {
        let figures =
            metrics.iter().map(|metric| cell.figures.get(&metric.name).map_or_else(|| "-".to_owned(), show_figure));
        table.add_row(cell.values.iter().cloned().chain(figures).collect::<Vec<_>>());
    }
    let mut text = format!("{}\n", render(&table));
    let growths: Vec<_> = summary.growths.iter().filter(|growth| shown(&growth.metric)).collect();
    if !growths.is_empty() {
        let mut table = shell.table(&["METRIC", "GROWS WITH", "WHERE", "#EXPONENT", "#FROM", "#TO", "#THEORY"]);
        for growth in growths {
            let digits = |figure: f64| format!("{figure:.2}");
            let theory = growth.theory.map_or_else(|| "-".to_owned(), digits);
            table.add_row([
                growth.metric.clone(),
                growth.axis.clone(),
                growth.at.join(", "),
                digits(growth.exponent),
                digits(growth.low),
                digits(growth.high),
                theory,
            ]);
        }
        text += &format!("\n{}\n", render(&table));
    }
    text
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
        let ended = Ended { folder: path.clone(), interrupted, summary: Some(summary) };
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

fn changes(shell: Shell, difference: &Difference) -> String {
    let Difference { compared, unjudged, missing, changes } = difference;
    let mut lines = Vec::new();
    if changes.is_empty() {
        lines.push(format!("nothing changed beyond noise in {compared} comparisons"));
    } else {
        let mut table = shell.table(&["CELL", "METRIC", "#BEFORE", "#AFTER", "#RATIO", "#CHANCE", ""]);
        for change in changes {
            let ratio =
                if change.before == 0.0 { "-".to_owned() } else { format!("{:.3}", change.after / change.before) };
            let verdict = change.is_better.map_or("", |is_better| if is_better { "better" } else { "worse" });
            table.add_row([
                change.cell.join(" "),
                change.metric.clone(),
                show_number(change.before),
                show_number(change.after),
                ratio,
                format!("{:.1e}", change.chance),
                verdict.to_owned(),
            ]);
        }
        lines.push(render(&table).to_string());
        lines.push(format!("{} of {compared} comparisons changed beyond noise", changes.len()));
    }
    if *unjudged > 0 {
        lines.push(format!(
            "{unjudged} could not be judged: it takes two runs of a cell, and figures that vary, to know their noise"
        ));
    }
    for cell in missing {
        lines.push(format!("only one of them has {}", cell.join(" ")));
    }
    lines.join("\n")
}

/// To the second: nobody wants more of a guess.
const fn whole(span: Duration) -> Duration {
    Duration::from_secs(span.as_secs())
}
