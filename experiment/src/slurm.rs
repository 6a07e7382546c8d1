//! Runs on the machines of a cluster: an array job of Slurm, each task of which runs a part of them in the folder that all machines see.
//!
//! A task is `synod run --resume FOLDER --part I/N`, so that everything that holds of a run on one machine holds here: what has ended is
//! kept, and what has not is run when it is resumed. The job is written down in the folder; whoever stops following does not stop it.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::ExperimentError;
use crate::folder::Folder;
use crate::pool::{Progress, Run};
use crate::record::Ended;
use crate::summary::{Failure, Place};

/// A cluster, and how it is asked.
#[derive(Clone, Debug)]
pub struct Slurm {
    /// Where its commands are, if not where the system looks for commands.
    pub commands: Option<PathBuf>,
    /// The `synod` that its machines run, by a path that leads to it on all of them.
    pub program: PathBuf,
    /// Options for `sbatch`, as `--partition=long`.
    pub options: Vec<String>,
    /// How many tasks may run at a time, if not as many as the cluster has room for.
    pub at_once: Option<usize>,
    /// How often is looked, and how long waited.
    pub pace: Pace,
}

/// How often is looked, and how long waited.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Between two looks at the folder.
    pub look: Duration,
    /// Between two questions to Slurm: its controller serves everybody on the cluster.
    pub ask: Duration,
    /// After the last task's end, for files that were written on other machines to be seen here.
    pub grace: Duration,
    /// How long Slurm may fail to answer.
    pub patience: Duration,
}

impl Default for Pace {
    /// NFS may hide a new file for a minute.
    fn default() -> Self {
        Self {
            look: Duration::from_millis(500),
            ask: Duration::from_secs(5),
            grace: Duration::from_secs(70),
            patience: Duration::from_secs(600),
        }
    }
}

/// A job that was submitted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// What Slurm calls it.
    pub id: String,
    /// The cluster that it is on, where `sbatch` named one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Into how many parts its tasks divide all runs: the run at place r is of task r mod `tasks` + 1.
    pub tasks: usize,
}

impl Job {
    /// The job that was submitted for a folder, and whose end nobody has seen.
    pub fn of(folder: &Folder) -> Result<Option<Self>, ExperimentError> {
        match fs::read_to_string(folder.path().join(JOB)) {
            Ok(text) => serde_json::from_str(&text)
                .map(Some)
                .map_err(|error| ExperimentError::file(folder.path().join(JOB), "reading", error)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(ExperimentError::file(folder.path().join(JOB), "reading", error)),
        }
    }
}

impl Slurm {
    /// Submits those of all runs that are not kept, each a task as long as there are a thousand runs at most. No job, if all are kept.
    pub fn submit(&self, folder: &Folder, runs: &[Run<'_>], place: Place) -> Result<Option<Job>, ExperimentError> {
        let path = fs::canonicalize(folder.path());
        let path = path.map_err(|error| ExperimentError::file(folder.path(), "finding", error))?;
        let tasks = runs.len().clamp(1, TASKS_MAX);
        let (mut wanted, mut failed) = (BTreeSet::new(), Vec::new());
        for (number, (cell, seed)) in runs.iter().enumerate() {
            match folder.kept(cell, *seed)? {
                Some(Ended::Done { .. }) => continue,
                Some(ended @ Ended::Failed(_)) => failed.push((*cell, *seed, ended)),
                None => {}
            }
            wanted.insert(task(number, tasks));
        }
        if wanted.is_empty() {
            return Ok(None);
        }
        folder.make(LOGS)?;
        let script = format!(
            "#!/bin/sh\nexec {} run --resume {} --part \"$SLURM_ARRAY_TASK_ID/{tasks}\" --jobs 1\n",
            quoted(&self.program),
            quoted(&path)
        );
        folder.write(SCRIPT, script.as_bytes())?;
        let at_once = self.at_once.map_or_else(String::new, |count| format!("%{count}"));
        // A percent sign begins what Slurm puts in.
        let log = path.join(LOGS).display().to_string().replace('%', "%%") + "/%A-%a.log";
        let mut arguments = vec![
            "--parsable".to_owned(),
            "--job-name=synod".to_owned(),
            format!("--array={}{at_once}", ranges(&wanted)),
            "--ntasks=1".to_owned(),
            format!("--output={log}"),
        ];
        match place {
            // Networks of real processes would measure each other.
            Place::Real => arguments.push("--exclusive".to_owned()),
            Place::Simulated => arguments.push("--cpus-per-task=1".to_owned()),
        }
        arguments.extend(self.options.iter().cloned());
        arguments.push(path.join(SCRIPT).display().to_string());
        // Whatever failed before is tried again, and what is kept of it from now on is of this job.
        for (cell, seed, _) in &failed {
            folder.forget(cell, *seed)?;
        }
        let said = self.ask("sbatch", &arguments).inspect_err(|_| {
            for (cell, seed, ended) in &failed {
                // What cannot be put back is tried again as what is missing.
                let _ = folder.keep(cell, *seed, ended);
            }
        })?;
        // "ID" or "ID;CLUSTER".
        let mut words = said.trim().split(';').map(str::to_owned);
        let id = words.next().filter(|id| !id.is_empty());
        let id = id.ok_or_else(|| ExperimentError::Slurm("sbatch named no job".to_owned()))?;
        let job = Job { id, cluster: words.next(), tasks };
        folder.write(JOB, crate::folder::json(&job).as_bytes())?;
        Ok(Some(job))
    }

    /// How many tasks of a job wait or run.
    pub fn waiting(&self, job: &Job) -> Result<usize, ExperimentError> {
        let mut arguments = ["--noheader", "--array", "--format=%T", "--jobs", &job.id].map(str::to_owned).to_vec();
        arguments.extend(job.cluster.iter().map(|cluster| format!("--clusters={cluster}")));
        let output = self.run("squeue", &arguments)?;
        let error = String::from_utf8_lossy(&output.stderr);
        if output.status.success() {
            let said = String::from_utf8_lossy(&output.stdout);
            let is_task = |line: &&str| !line.trim().is_empty() && !line.starts_with("CLUSTER:");
            return Ok(said.lines().filter(is_task).count());
        }
        // It forgets jobs some minutes after their end.
        if error.contains("Invalid job id") { Ok(0) } else { Err(failed("squeue", &output)) }
    }

    /// Follows a job until none of its tasks waits or runs, and keeps a failure for each run that none of them ended. Says whether
    /// it was followed so far; whoever stops it before leaves the job alone.
    pub fn follow(
        &self,
        job: &Job,
        runs: &[Run<'_>],
        folder: &Folder,
        stop: &AtomicBool,
        mut tell: impl FnMut(&Progress),
    ) -> Result<bool, ExperimentError> {
        let mut progress = Progress { done: 0, total: runs.len(), failed: 0, last: None };
        let mut open: Vec<(usize, Run<'_>)> = runs.iter().copied().enumerate().collect();
        let (mut asked, mut answered) = (Instant::now(), Instant::now());
        let mut ended = None;
        loop {
            let mut left = Vec::new();
            folder.look_again();
            for (number, (cell, seed)) in open {
                match folder.kept(cell, seed)? {
                    Some(kept) => {
                        progress.done += 1;
                        progress.failed += usize::from(matches!(kept, Ended::Failed(_)));
                        progress.last = Some((cell.values.clone(), seed));
                    }
                    None => left.push((number, (cell, seed))),
                }
            }
            open = left;
            tell(&progress);
            if open.is_empty() && ended.is_some() || ended.is_some_and(|at: Instant| at.elapsed() >= self.pace.grace) {
                break;
            }
            if stop.load(Ordering::Relaxed) {
                return Ok(false);
            }
            if ended.is_none() && asked.elapsed() >= self.pace.ask {
                match self.waiting(job) {
                    Ok(waiting) => {
                        answered = Instant::now();
                        ended = (waiting == 0).then_some(answered);
                    }
                    // A controller that starts again does not answer for a while, and its jobs go on.
                    Err(_) if answered.elapsed() < self.pace.patience => {}
                    Err(error) => return Err(error),
                }
                asked = Instant::now();
            }
            if ended.is_none() || !open.is_empty() {
                sleep(self.pace.look);
            }
        }
        for (number, (cell, seed)) in open {
            let reason = format!("its task of job {} ended without it{}", job.id, last_words(folder, job, number));
            let failure = Ended::Failed(Failure { cell: cell.values.clone(), seed, reason });
            progress.done += 1;
            progress.failed += usize::from(folder.keep_first(cell, seed, &failure)?);
        }
        tell(&progress);
        // Somebody else who followed it may have been faster, and another job may have been submitted since.
        if Job::of(folder)?.as_ref() == Some(job) {
            let path = folder.path().join(JOB);
            fs::remove_file(&path).map_err(|error| ExperimentError::file(&path, "removing", error))?;
        }
        Ok(true)
    }

    fn ask(&self, command: &str, arguments: &[String]) -> Result<String, ExperimentError> {
        let output = self.run(command, arguments)?;
        if !output.status.success() {
            return Err(failed(command, &output));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn run(&self, command: &str, arguments: &[String]) -> Result<Output, ExperimentError> {
        let path = self.commands.as_deref().map_or_else(|| PathBuf::from(command), |folder| folder.join(command));
        // Ctrl-C is for whoever follows, and not for what it asks.
        Command::new(&path).args(arguments).process_group(0).output().map_err(|error| {
            let hint = "is this a machine that jobs are submitted from?";
            ExperimentError::Slurm(format!("{} cannot be run: {error}; {hint}", path.display()))
        })
    }
}

fn failed(command: &str, output: &Output) -> ExperimentError {
    let said = String::from_utf8_lossy(&output.stderr);
    ExperimentError::Slurm(format!("{command}: {}, {}", said.trim(), output.status))
}

/// The last line that a run's task wrote.
fn last_words(folder: &Folder, job: &Job, number: usize) -> String {
    let log = folder.path().join(LOGS).join(format!("{}-{}.log", job.id, task(number, job.tasks)));
    let text = fs::read_to_string(log).unwrap_or_default();
    text.lines().rfind(|line| !line.trim().is_empty()).map_or_else(String::new, |line| format!(": {}", line.trim()))
}

/// The task of the run at a place, as [`Part`](crate::pool::Part) has it.
const fn task(number: usize, tasks: usize) -> usize {
    number % tasks + 1
}

/// As Slurm reads them: "1-3,7".
fn ranges(numbers: &BTreeSet<usize>) -> String {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for &number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            Some(_) | None => ranges.push((number, number)),
        }
    }
    let range = |(first, last): &(usize, usize)| {
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    };
    ranges.iter().map(range).collect::<Vec<_>>().join(",")
}

/// As a shell reads it as one word.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', "'\\''"))
}

/// Tasks of a job; Slurm has 1,001 places for them where nobody configured it otherwise, and begins at 0.
const TASKS_MAX: usize = 1_000;
/// The job's file.
const JOB: &str = "slurm.json";
/// What its tasks run.
const SCRIPT: &str = "slurm.sh";
/// What its tasks say.
const LOGS: &str = "slurm";
