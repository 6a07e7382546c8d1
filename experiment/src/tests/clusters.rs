//! An array job, on a cluster of shell scripts.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::SMALL;
use super::runs::manifest;
use crate::folder::Folder;
use crate::grid::Cell;
use crate::pool::{Part, Progress};
use crate::record::{Cost, Ended, Record, Simulated};
use crate::slurm::{Job, Pace, Slurm};
use crate::summary::{Failure, Place};
use crate::{Experiment, ExperimentError, grid, pool};

/// A folder with a command of this name that does what the script says.
fn command(folder: &Path, name: &str, script: &str) {
    let path = folder.join(name);
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("room on the disk");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
}

fn slurm(commands: &Path) -> Slurm {
    Slurm {
        commands: Some(commands.to_path_buf()),
        program: "/opt/it's synod".into(),
        options: vec!["--partition=long".to_owned()],
        at_once: Some(7),
        pace: Pace {
            look: Duration::from_millis(5),
            ask: Duration::from_millis(20),
            grace: Duration::from_millis(50),
            patience: Duration::ZERO,
        },
    }
}

/// The folder of an experiment of eight runs, none of which has ended.
fn small(runs: &Path) -> (Folder, Experiment, Vec<Cell>) {
    let experiment = Experiment::parse(SMALL).expect("a good experiment");
    let cells = grid::cells(&experiment, SMALL).expect("good cells");
    let folder = Folder::create(runs, &experiment, &manifest(&Simulated, &experiment)).expect("room on the disk");
    (folder, experiment, cells)
}

fn done(run: &pool::Run<'_>) -> Ended {
    let (cell, seed) = (run.0.values.clone(), run.1);
    let record = Record { cell, seed, figures: [].into(), sent: [].into(), payments: Vec::new() };
    Ended::Done { record, cost: Cost::default() }
}

#[test]
fn a_job_has_the_tasks_of_what_is_missing_and_what_they_do_not_end_is_kept_as_failed() {
    let (runs_dir, bin) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let (folder, experiment, cells) = small(runs_dir.path());
    let runs = pool::runs(&experiment, &cells);
    assert_eq!(runs.len(), 8);
    command(bin.path(), "sbatch", &format!("printf '%s\\n' \"$@\" > {}/said; echo '42;here'", bin.path().display()));
    let slurm = slurm(bin.path());
    // The first has ended, the third came to nothing before.
    folder.keep(runs[0].0, runs[0].1, &done(&runs[0])).expect("room on the disk");
    let failure = Failure { cell: runs[2].0.values.clone(), seed: runs[2].1, reason: "of before".to_owned() };
    folder.keep(runs[2].0, runs[2].1, &Ended::Failed(failure)).expect("room on the disk");
    let job = slurm.submit(&folder, &runs, Place::Simulated).expect("it is submitted").expect("something is missing");
    assert_eq!(job, Job { id: "42".to_owned(), cluster: Some("here".to_owned()), tasks: 8 });
    assert_eq!(Job::of(&folder).expect("a file"), Some(job.clone()));
    let path = fs::canonicalize(folder.path()).expect("it is there").display().to_string();
    let said = fs::read_to_string(bin.path().join("said")).expect("what it was called with");
    let expected = format!(
        "--parsable\n--job-name=synod\n--array=2-8%7\n--ntasks=1\n--output={path}/slurm/%A-%a.log\n--cpus-per-task=1\n--partition=long\n{path}/slurm.sh\n"
    );
    assert_eq!(said, expected);
    let script = fs::read_to_string(folder.path().join("slurm.sh")).expect("a script");
    let call = format!("exec '/opt/it'\\''s synod' run --resume '{path}' --part \"$SLURM_ARRAY_TASK_ID/8\" --jobs 1\n");
    assert!(script.ends_with(&call), "{script}");

    // All tasks but the third and the fourth end their runs, and the fourth says why it does not. Of the third the reason of before is gone.
    for number in [1, 4, 5, 6, 7] {
        folder.keep(runs[number].0, runs[number].1, &done(&runs[number])).expect("room on the disk");
    }
    fs::write(folder.path().join("slurm/42-4.log"), "loading\nout of memory\n\n").expect("room on the disk");
    // The first time it is asked one task runs, and afterwards nobody knows the job.
    let flag = bin.path().join("asked").display().to_string();
    command(
        bin.path(),
        "squeue",
        &format!(
            "echo \"$@\" > {flag}.said; test -e {flag} && echo 'slurm_load_jobs error: Invalid job id specified' >&2 && exit 1; touch {flag}; echo 'CLUSTER: here'; echo RUNNING"
        ),
    );
    let mut last = None;
    let followed =
        slurm.follow(&job, &runs, &folder, &AtomicBool::new(false), |progress| last = Some(progress.clone()));
    assert!(followed.expect("it ends"));
    let Progress { done, total, failed, .. } = last.expect("it was told");
    assert_eq!((done, total, failed), (8, 8, 2));
    let reason = |number: usize| match folder.kept(runs[number].0, runs[number].1).expect("it can be read") {
        Some(Ended::Failed(failure)) => failure.reason,
        Some(Ended::Done { .. }) | None => panic!("it did not end"),
    };
    assert_eq!(reason(2), "its task of job 42 ended without it", "what was before is of another job");
    let asked = fs::read_to_string(format!("{flag}.said")).expect("what it was called with");
    assert_eq!(asked, "--noheader --array --format=%T --jobs 42 --clusters=here\n");
    assert_eq!(reason(3), "its task of job 42 ended without it: out of memory");
    assert_eq!(Job::of(&folder).expect("no file"), None, "its end was seen");
}

#[test]
fn who_stops_following_leaves_the_job_and_a_cluster_that_does_not_answer_is_told_of() {
    let (runs_dir, bin) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let (folder, experiment, cells) = small(runs_dir.path());
    let runs = pool::runs(&experiment, &cells);
    let slurm = slurm(bin.path());
    let missing = slurm.submit(&folder, &runs, Place::Real).expect_err("there is no sbatch").to_string();
    assert!(missing.contains("sbatch cannot be run") && missing.contains("submitted from"), "{missing}");
    command(bin.path(), "sbatch", "echo 'sbatch: error: invalid partition specified: long' >&2; exit 1");
    let refused = slurm.submit(&folder, &runs, Place::Real).expect_err("it is refused");
    assert!(matches!(&refused, ExperimentError::Slurm(said) if said.contains("invalid partition")), "{refused}");
    assert_eq!(Job::of(&folder).expect("no file"), None);
    command(bin.path(), "sbatch", "echo 43");
    command(bin.path(), "squeue", "echo 'Unable to contact slurm controller' >&2; exit 1");
    let job = slurm.submit(&folder, &runs, Place::Real).expect("it is submitted").expect("all are missing");
    assert!(!slurm.follow(&job, &runs, &folder, &AtomicBool::new(true), |_| {}).expect("nobody is asked"));
    assert_eq!(Job::of(&folder).expect("a file"), Some(job.clone()), "it goes on");
    let silent = slurm.waiting(&job).expect_err("nobody answers").to_string();
    assert!(silent.contains("Unable to contact"), "{silent}");
    slurm.follow(&job, &runs, &folder, &AtomicBool::new(false), |_| {}).expect_err("patience is over");
    // One that does not answer at first is asked again.
    let flag = bin.path().join("asked").display().to_string();
    command(
        bin.path(),
        "squeue",
        &format!("test -e {flag} && exit 0; touch {flag}; echo 'Socket timed out' >&2; exit 1"),
    );
    let patient = Slurm { pace: Pace { patience: Duration::from_secs(60), ..slurm.pace }, ..slurm.clone() };
    let mut failed = 0;
    assert!(patient.follow(&job, &runs, &folder, &AtomicBool::new(false), |now| failed = now.failed).expect("it ends"));
    assert_eq!(failed, 8, "nobody ran anything");
    // Whatever has ended needs no task.
    for run in &runs {
        folder.keep(run.0, run.1, &done(run)).expect("room on the disk");
    }
    assert_eq!(slurm.submit(&folder, &runs, Place::Real).expect("nothing is asked"), None);
}

#[test]
fn parts_are_all_runs_together_and_each_is_in_one() {
    for of in 1..=9 {
        let mut all: Vec<usize> =
            (1..=of).flat_map(|number| Part { number, of }.select((0..8).collect::<Vec<_>>())).collect();
        all.sort_unstable();
        assert_eq!(all, (0..8).collect::<Vec<_>>(), "{of}");
    }
    assert_eq!("3/8".parse(), Ok(Part { number: 3, of: 8 }));
    for wrong in ["0/8", "9/8", "3", "3/", "-1/8", "a/b"] {
        wrong.parse::<Part>().expect_err(wrong);
    }
}

#[test]
fn parts_share_a_folder_and_nobody_runs_it_whole_meanwhile() {
    let runs_dir = tempfile::tempdir().expect("a folder");
    let (folder, _, _) = small(runs_dir.path());
    let (one, other) = (folder.share().expect("nobody runs it"), folder.share().expect("parts share it"));
    folder.lock().expect_err("two parts run");
    drop(one);
    folder.lock().expect_err("one part runs");
    drop(other);
    let whole = folder.lock().expect("nobody runs it");
    folder.share().expect_err("somebody runs it whole");
    drop(whole);
}
