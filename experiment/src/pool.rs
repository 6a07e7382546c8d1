//! Cells and seeds on several threads: each run is kept when it has ended, and what was kept before is not run again.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;

use crate::folder::Folder;
use crate::grid::Cell;
use crate::record::{Ended, Runner, said};
use crate::summary::Failure;
use crate::{Experiment, ExperimentError};

/// How far an experiment is.
#[derive(Clone, Debug)]
pub struct Progress {
    /// Runs that have ended, those of before among them.
    pub done: usize,
    /// All runs.
    pub total: usize,
    /// Those that came to nothing.
    pub failed: usize,
    /// The run that ended last: its cell's values and its seed.
    pub last: Option<(Vec<String>, u64)>,
}

/// A cell and a seed.
pub type Run<'a> = (&'a Cell, u64);

/// All runs of an experiment. Seeds come first, so that every cell has something to show early.
pub fn runs<'a>(experiment: &Experiment, cells: &'a [Cell]) -> Vec<Run<'a>> {
    experiment.seeds().flat_map(|seed| cells.iter().map(move |cell| (cell, seed))).collect()
}

/// One part of all runs, where several processes share them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Which, from 1 to `of`.
    pub number: usize,
    /// How many parts there are.
    pub of: usize,
}

impl Part {
    /// The runs of this part: every `of`-th, so that parts are alike where runs grow longer along an axis.
    pub fn select<T>(self, runs: Vec<T>) -> Vec<T> {
        runs.into_iter().skip(self.number - 1).step_by(self.of).collect()
    }
}

impl FromStr for Part {
    type Err = String;

    /// Reads `3/8`.
    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once('/').and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)));
        numbers
            .filter(|(number, of)| (1..=*of).contains(number))
            .map(|(number, of)| Self { number, of })
            .ok_or_else(|| "expected a part and how many there are, as 3/8".to_owned())
    }
}

/// Runs what is not kept yet. A run that came to nothing before is tried again. `tell` is told of each that ended. Says whether
/// all have.
pub fn run(
    experiment: &Experiment,
    runs: &[Run<'_>],
    folder: &Folder,
    (runner, jobs): (&dyn Runner, usize),
    stop: &AtomicBool,
    mut tell: impl FnMut(&Progress),
) -> Result<bool, ExperimentError> {
    let mut waiting = VecDeque::new();
    let mut progress = Progress { done: 0, total: runs.len(), failed: 0, last: None };
    for &(cell, seed) in runs {
        match folder.kept(cell, seed)? {
            Some(Ended::Done { .. }) => progress.done += 1,
            Some(Ended::Failed(_)) | None => waiting.push_back((cell, seed)),
        }
    }
    tell(&progress);
    let jobs = jobs.clamp(1, runner.jobs_max()).min(waiting.len().max(1));
    let waiting = Mutex::new(waiting);
    // Nobody begins the run after the next before what has ended is kept.
    let (sender, receiver) = mpsc::sync_channel(0);
    thread::scope(|scope| {
        for job in 0..jobs {
            let (sender, waiting) = (sender.clone(), &waiting);
            let work = move || {
                loop {
                    let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                    let Some((cell, seed)) = next.filter(|_| !stop.load(Ordering::Relaxed)) else { return };
                    // A run that breaks an invariant is one that came to nothing; the others go on.
                    let run = catch_unwind(AssertUnwindSafe(|| runner.run(experiment, cell, seed, stop)));
                    let ended = match run.unwrap_or_else(|panic| Err(said(&*panic))) {
                        Ok(Some((record, cost))) => Ended::Done { record, cost },
                        Ok(None) => return,
                        Err(reason) => Ended::Failed(Failure { cell: cell.values.clone(), seed, reason }),
                    };
                    if sender.send((cell, seed, ended)).is_err() {
                        return;
                    }
                }
            };
            let thread = thread::Builder::new().name(format!("{THREAD}{job}"));
            thread.spawn_scoped(scope, work).expect("the system has room for a thread per core");
        }
        drop(sender);
        for (cell, seed, ended) in receiver {
            progress.done += 1;
            progress.failed += usize::from(matches!(ended, Ended::Failed(_)));
            progress.last = Some((cell.values.clone(), seed));
            if let Err(error) = folder.keep(cell, seed, &ended) {
                // What cannot be kept is not worth running: a full disk ends it, and nothing that was kept is lost.
                stop.store(true, Ordering::Relaxed);
                return Err(error);
            }
            tell(&progress);
        }
        Ok(progress.done == progress.total)
    })
}

/// Threads of this name tell of their panics in reports alone.
pub const THREAD: &str = "sim-";
