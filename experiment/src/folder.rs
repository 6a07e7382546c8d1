//! An experiment's folder: what was run, on what, every record, and what is made of them.
//!
//! `runs/NAME/TIME/`, beside which `latest` points to the newest. Each run is written as soon as it has ended, under a name of its
//! own and by renaming, so that whoever is killed loses no run that ended, and goes on where it was. What is made of the records is
//! made anew each time: tables of all runs (`records.csv`, `records.jsonl`, `traffic.csv`, `payments.csv`), costs (`costs.csv`), and the
//! summary. The tables of simulated runs follow from the experiment alone, byte by byte.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::grid::Cell;
use crate::record::{Cost, Ended, Record};
use crate::summary::{Failure, Metric, Place, Summary};
use crate::{Experiment, ExperimentError};

/// What was run where, by whom and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The program's version.
    pub version: String,
    /// The commit that it was built from.
    pub commit: String,
    /// As it was called.
    pub command: Vec<String>,
    /// Where peers ran.
    pub place: Place,
    /// What is measured.
    pub metrics: Vec<Metric>,
    /// The machine.
    pub machine: Machine,
    /// When it began: RFC 3339.
    pub begun: String,
    /// When its last run ended.
    pub ended: Option<String>,
}

/// A machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Its system.
    pub system: String,
    /// Its processors.
    pub processor: String,
    /// How many of them this program may use.
    pub cores: usize,
    /// Its memory, in bytes, where the system tells.
    pub memory_bytes: Option<u64>,
}

impl Machine {
    /// This one, as Linux tells it; other systems tell less.
    pub fn this() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let kilobytes =
            field(&read("/proc/meminfo"), "MemTotal").and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
        Self {
            system: format!(
                "{} {} {}",
                std::env::consts::OS,
                read("/proc/sys/kernel/osrelease").trim(),
                std::env::consts::ARCH
            ),
            processor: field(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| "unknown".to_owned()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: kilobytes.map(|kilobytes| kilobytes * 1_024),
        }
    }
}

/// An experiment's folder.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
}

/// What is in one.
#[derive(Clone, Debug)]
pub struct Contents {
    /// The experiment.
    pub experiment: Experiment,
    /// What was run on what.
    pub manifest: Manifest,
    /// Records, by cell and seed.
    pub records: Vec<Record>,
    /// What each took, in the same order.
    pub costs: Vec<Cost>,
    /// Runs that came to nothing.
    pub failures: Vec<Failure>,
}

impl Folder {
    /// Makes a new folder below `runs`, and points `latest` to it.
    pub fn create(runs: &Path, experiment: &Experiment, manifest: &Manifest) -> Result<Self, ExperimentError> {
        let above = runs.join(&experiment.name);
        fs::create_dir_all(&above).map_err(|error| ExperimentError::file(&above, "making", error))?;
        let name = manifest.begun.replace(':', "-");
        let mut path = above.join(&name);
        for number in 2.. {
            match fs::create_dir(&path) {
                Ok(()) => break,
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                    path = above.join(format!("{name}-{number}"))
                }
                Err(error) => return Err(ExperimentError::file(&path, "making", error)),
            }
        }
        let folder = Self { path };
        folder.write(EXPERIMENT, experiment.to_toml().as_bytes())?;
        folder.set_manifest(manifest)?;
        folder.make(CELLS)?;
        folder.point_latest(&above);
        Ok(folder)
    }

    /// A folder that is there.
    pub fn open(path: &Path) -> Result<Self, ExperimentError> {
        let folder = Self { path: path.to_path_buf() };
        let file = folder.path.join(EXPERIMENT);
        if !file.is_file() {
            return Err(ExperimentError::file(file, "reading", "no experiment was run here"));
        }
        Ok(folder)
    }

    /// Keeps others from running it, as long as what is returned lives.
    pub fn lock(&self) -> Result<fs::File, ExperimentError> {
        self.lock_by(fs::File::try_lock)
    }

    /// Keeps others from running it whole, as long as what is returned lives: several may run a part of it each.
    pub fn share(&self) -> Result<fs::File, ExperimentError> {
        self.lock_by(fs::File::try_lock_shared)
    }

    fn lock_by(&self, take: fn(&fs::File) -> Result<(), fs::TryLockError>) -> Result<fs::File, ExperimentError> {
        let path = self.path.join(LOCK);
        // NFS locks what is shared only where it may be read.
        let file = fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(|error| ExperimentError::file(&path, "making", error))?;
        take(&file).map_err(|error| match error {
            fs::TryLockError::WouldBlock => ExperimentError::file(&self.path, "running", "another process runs it"),
            fs::TryLockError::Error(error) => ExperimentError::file(&path, "locking", error),
        })?;
        Ok(file)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The experiment's text.
    pub fn experiment(&self) -> Result<(Experiment, String), ExperimentError> {
        let text = self.read(EXPERIMENT)?;
        Ok((Experiment::parse(&text)?, text))
    }

    /// What was run on what.
    pub fn manifest(&self) -> Result<Manifest, ExperimentError> {
        self.read_json(MANIFEST)
    }

    /// Writes what was run on what.
    pub fn set_manifest(&self, manifest: &Manifest) -> Result<(), ExperimentError> {
        self.write(MANIFEST, json(manifest).as_bytes())
    }

    /// Keeps what became of a run.
    pub fn keep(&self, cell: &Cell, seed: u64, ended: &Ended) -> Result<(), ExperimentError> {
        self.write(&run_name(cell, seed), json(ended).as_bytes())
    }

    /// Keeps it if nothing is kept of the run, and says whether it was.
    pub fn keep_first(&self, cell: &Cell, seed: u64, ended: &Ended) -> Result<bool, ExperimentError> {
        let path = self.path.join(run_name(cell, seed));
        let draft = path.with_extension(format!("{}.draft", std::process::id()));
        let written = fs::write(&draft, json(ended)).and_then(|()| fs::hard_link(&draft, &path));
        let _ = fs::remove_file(&draft);
        match written {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(ExperimentError::file(path, "writing", error)),
        }
    }

    /// Forgets what became of a run.
    pub fn forget(&self, cell: &Cell, seed: u64) -> Result<(), ExperimentError> {
        let path = self.path.join(run_name(cell, seed));
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(ExperimentError::file(path, "removing", error))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Looks at what other machines wrote: over a network what was not there before may else be thought missing for a minute.
    pub fn look_again(&self) {
        // Whoever opens a folder is told what is in it now; what cannot be read is told of elsewhere.
        let _ = fs::read_dir(self.path.join(CELLS)).map(Iterator::count);
    }

    /// What became of a run, if it was kept.
    pub fn kept(&self, cell: &Cell, seed: u64) -> Result<Option<Ended>, ExperimentError> {
        let name = run_name(cell, seed);
        if !self.path.join(&name).exists() {
            return Ok(None);
        }
        let ended: Ended = self.read_json(&name)?;
        let (values, of_seed) = match &ended {
            Ended::Done { record, .. } => (&record.cell, record.seed),
            Ended::Failed(failure) => (&failure.cell, failure.seed),
        };
        if (values, of_seed) != (&cell.values, seed) {
            let reason = format!("it is of {}: the experiment's axes were changed after it was run", values.join(" "));
            return Err(ExperimentError::file(self.path.join(name), "reading", reason));
        }
        Ok(Some(ended))
    }

    /// Everything that is kept.
    pub fn contents(&self, cells: &[Cell]) -> Result<Contents, ExperimentError> {
        let (experiment, _) = self.experiment()?;
        let (mut records, mut costs, mut failures) = (Vec::new(), Vec::new(), Vec::new());
        for cell in cells {
            for seed in experiment.seeds() {
                match self.kept(cell, seed)? {
                    Some(Ended::Done { record, cost }) => {
                        records.push(record);
                        costs.push(cost);
                    }
                    Some(Ended::Failed(failure)) => failures.push(failure),
                    None => {}
                }
            }
        }
        Ok(Contents { experiment, manifest: self.manifest()?, records, costs, failures })
    }

    /// The summary that was made of it.
    pub fn summary(&self) -> Result<Summary, ExperimentError> {
        self.read_json(SUMMARY)
    }

    /// Writes a file, whole or not at all.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), ExperimentError> {
        let path = self.path.join(name);
        let draft = path.with_extension(format!("{}.part", std::process::id()));
        let written = fs::File::create(&draft)
            .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&draft, &path));
        written.map_err(|error| ExperimentError::file(path, "writing", error))
    }

    /// Makes a folder in it, if it is not there.
    pub fn make(&self, name: &str) -> Result<(), ExperimentError> {
        let path = self.path.join(name);
        fs::create_dir_all(&path).map_err(|error| ExperimentError::file(path, "making", error))
    }

    fn read(&self, name: &str) -> Result<String, ExperimentError> {
        let path = self.path.join(name);
        fs::read_to_string(&path).map_err(|error| ExperimentError::file(path, "reading", error))
    }

    fn read_json<T: DeserializeOwned>(&self, name: &str) -> Result<T, ExperimentError> {
        let text = self.read(name)?;
        serde_json::from_str(&text).map_err(|error| ExperimentError::file(self.path.join(name), "reading", error))
    }

    /// A link that cannot be made is missed by nobody but who looks for it.
    fn point_latest(&self, above: &Path) {
        let (latest, draft) = (above.join("latest"), above.join(".latest"));
        let Some(name) = self.path.file_name() else { return };
        let _ = fs::remove_file(&draft);
        if symlink(name, &draft).is_ok() {
            let _ = fs::rename(&draft, &latest);
        }
    }
}

/// The time now: RFC 3339, to the second.
pub fn now() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}

fn run_name(cell: &Cell, seed: u64) -> String {
    format!("{CELLS}/{:04}-{seed}.json", cell.number)
}

pub(crate) fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string_pretty(value).expect("our own values are JSON")
}

const CELLS: &str = "cells";
/// Whoever runs it holds this file's lock.
const LOCK: &str = ".lock";
const EXPERIMENT: &str = "experiment.toml";
const MANIFEST: &str = "manifest.json";
/// The summary's file.
pub const SUMMARY: &str = "summary.json";
