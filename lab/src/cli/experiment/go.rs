//! Running an experiment: here, a part of it, or on a cluster.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use serde::Serialize;
use synod_experiment::folder::{Folder, now};
use synod_experiment::grid::Cell;
use synod_experiment::pool::{self, Part, Progress, Run};
use synod_experiment::record::{self, Runner, Simulated};
use synod_experiment::slurm::{Job, Pace, Slurm};
use synod_experiment::summary::{Failure, Place};
use synod_experiment::{Experiment, ExperimentError, finish};

use super::show::{Ended, text};
use super::{GridArgs, On};
use crate::cli::context::program;
use crate::cli::sim::quiet_threads;
use crate::error::LabError;
use crate::exit::Exit;
use crate::real::Real;
use crate::shell::Shell;
use crate::units::show_duration;

/// Who runs cells.
pub(super) struct Way {
    /// Who runs them on real processes, if it is those.
    real: Option<Real>,
    jobs: usize,
    cluster: Option<Slurm>,
}

impl Way {
    pub(super) fn runner(&self) -> &dyn Runner {
        self.real.as_ref().map_or(&Simulated, |real| real as &dyn Runner)
    }

    /// Real peers' logs are kept in the folder.
    pub(super) fn log_to(&mut self, folder: &Folder) {
        if let Some(real) = &mut self.real {
            real.logs = Some(folder.path().join(LOGS));
        }
    }

    /// The command that goes on with a folder in this way.
    fn resume(&self, folder: &Folder) -> String {
        let mut command = format!("synod run --resume {}", folder.path().display());
        if let Some(slurm) = &self.cluster {
            command += " --on slurm";
            command.extend(slurm.options.iter().map(|option| format!(" --sbatch='{option}'")));
            command.extend(slurm.at_once.iter().map(|count| format!(" --jobs {count}")));
        }
        command
    }

    pub(super) fn new(is_real: bool, args: &GridArgs) -> Result<Self, LabError> {
        let program = program()?;
        let cluster = (args.on == On::Slurm).then(|| Slurm {
            commands: None,
            program: program.clone(),
            options: args.sbatch.clone(),
            at_once: args.jobs.map(usize::from),
            pace: Pace::default(),
        });
        if cluster.is_none() && !args.sbatch.is_empty() {
            return Err(LabError::Usage { message: "--sbatch is for --on slurm".to_owned() });
        }
        let dir = std::env::temp_dir().join(format!("synod-experiment-{}", std::process::id()));
        let real = is_real.then_some(Real { program, dir, logs: None });
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self { real, jobs: args.jobs.map_or_else(cores, usize::from), cluster })
    }
}

/// Runs what is not kept yet, and shows what there is then.
pub(super) fn go(
    shell: Shell,
    (experiment, cells): (&Experiment, &[Cell]),
    folder: &Folder,
    way: &Way,
    stop: &AtomicBool,
) -> Result<Exit, LabError> {
    let wrong = |source| LabError::Experiment { file: folder.path().to_path_buf(), source };
    let runs = pool::runs(experiment, cells);
    let is_whole = match &way.cluster {
        Some(slurm) => submit_and_follow(shell, (slurm, way.runner().place()), &runs, folder, stop).map_err(wrong)?,
        None => {
            if let Some(job) = Job::of(folder).map_err(wrong)? {
                let dir = folder.path().display();
                let message = format!(
                    "job {} of Slurm runs this experiment, as {dir}/slurm.json says; synod run --resume {dir} --on slurm follows it",
                    job.id
                );
                return Err(LabError::Usage { message });
            }
            let _lock = folder.lock().map_err(wrong)?;
            run_here(shell, experiment, &runs, folder, way, stop).map_err(wrong)?
        }
    };
    let mut manifest = folder.manifest().map_err(wrong)?;
    manifest.ended = Some(now());
    folder.set_manifest(&manifest).map_err(wrong)?;
    let summary = match finish(folder, cells) {
        Ok(summary) => Some(summary),
        Err(ExperimentError::Nothing(_)) if !is_whole => None,
        Err(error) => return Err(wrong(error)),
    };
    let failed = summary.as_ref().map_or(0, |summary| summary.failures.len());
    let ended =
        Ended { folder: folder.path().to_path_buf(), interrupted: !is_whole, resume: way.resume(folder), summary };
    shell.result(&ended, || text(shell, &ended, &experiment.show));
    Ok(match (is_whole, failed) {
        (false, _) => Exit::Interrupted,
        (true, 0) => Exit::Ok,
        (true, _) => Exit::Check,
    })
}

/// Runs one part of all runs, and makes nothing of them: others are at it, too.
pub(super) fn go_part(
    shell: Shell,
    (experiment, cells): (&Experiment, &[Cell]),
    folder: &Folder,
    (part, way): (Part, &Way),
    stop: &AtomicBool,
) -> Result<Exit, LabError> {
    let wrong = |source| LabError::Experiment { file: folder.path().to_path_buf(), source };
    let runs = part.select(pool::runs(experiment, cells));
    let _lock = folder.share().map_err(wrong)?;
    let is_whole = run_here(shell, experiment, &runs, folder, way, stop).map_err(wrong)?;
    let mut failures = Vec::new();
    for (cell, seed) in &runs {
        if let Some(record::Ended::Failed(failure)) = folder.kept(cell, *seed).map_err(wrong)? {
            failures.push(failure);
        }
    }
    let ended = PartEnded { folder: folder.path().to_path_buf(), interrupted: !is_whole, runs: runs.len(), failures };
    shell.result(&ended, || {
        let failed = ended.failures.iter();
        let mut lines: Vec<String> =
            failed.map(|one| format!("FAILED {}, seed {}: {}", one.cell.join(" "), one.seed, one.reason)).collect();
        let (part, of) = (part.number, part.of);
        let state = if is_whole { "ended" } else { "interrupted" };
        lines.push(format!("part {part} of {of}, {} runs: {state}", ended.runs));
        lines.join("\n")
    });
    Ok(match (is_whole, ended.failures.is_empty()) {
        (false, _) => Exit::Interrupted,
        (true, true) => Exit::Ok,
        (true, false) => Exit::Check,
    })
}

fn run_here(
    shell: Shell,
    experiment: &Experiment,
    runs: &[Run<'_>],
    folder: &Folder,
    way: &Way,
    stop: &AtomicBool,
) -> Result<bool, ExperimentError> {
    quiet_threads();
    let mut bar = Bar::new(shell, runs.len());
    let ran = pool::run(experiment, runs, folder, (way.runner(), way.jobs), stop, |progress| bar.show(progress));
    bar.bar.finish_and_clear();
    ran
}

/// Follows the job that was submitted before, or submits what is not kept.
fn submit_and_follow(
    shell: Shell,
    (slurm, place): (&Slurm, Place),
    runs: &[Run<'_>],
    folder: &Folder,
    stop: &AtomicBool,
) -> Result<bool, ExperimentError> {
    let submitted = match Job::of(folder)? {
        Some(job) => Some(job),
        None => {
            // One submits at a time.
            let _lock = folder.lock()?;
            match Job::of(folder)? {
                Some(job) => Some(job),
                None => slurm.submit(folder, runs, place)?,
            }
        }
    };
    let Some(job) = submitted else { return Ok(true) };
    // Its tasks share the folder.
    let _lock = folder.share()?;
    let on = job.cluster.as_ref().map_or_else(String::new, |cluster| format!(" --clusters={cluster}"));
    shell.say(&format!("job {} of Slurm; Ctrl-C leaves it running, scancel{on} {} ends it", job.id, job.id));
    let mut bar = Bar::new(shell, runs.len());
    let followed = slurm.follow(&job, runs, folder, stop, |progress| bar.show(progress));
    bar.bar.finish_and_clear();
    followed
}

/// A part of an experiment that ended.
#[derive(Debug, Serialize)]
struct PartEnded {
    folder: PathBuf,
    interrupted: bool,
    runs: usize,
    failures: Vec<Failure>,
}

/// A progress bar with the time that is left.
struct Bar {
    bar: ProgressBar,
    begun: Instant,
    /// How many runs were kept at the beginning.
    before: Option<usize>,
}

impl Bar {
    fn new(shell: Shell, runs: usize) -> Self {
        Self { bar: shell.bar(runs as u64), begun: Instant::now(), before: None }
    }

    fn show(&mut self, progress: &Progress) {
        let before = *self.before.get_or_insert(progress.done);
        self.bar.set_position(progress.done as u64);
        let (done, left) = (progress.done - before, progress.total - progress.done);
        let last =
            progress.last.as_ref().map(|(cell, seed)| format!("{} seed {seed}", cell.join(" "))).unwrap_or_default();
        // Long runs come late or early, so that this is no more than a guess.
        let left = (done > 0).then(|| self.begun.elapsed().mul_f64(left as f64 / done as f64));
        let left = left.map_or_else(String::new, |left| format!("about {} left, ", show_duration(whole(left))));
        self.bar.set_message(format!("{left}{} failed  {last}", progress.failed));
    }
}

/// To the second: nobody wants more of a guess.
const fn whole(span: Duration) -> Duration {
    Duration::from_secs(span.as_secs())
}

/// Below it each run on real processes has a folder with its peers' logs.
const LOGS: &str = "logs";
