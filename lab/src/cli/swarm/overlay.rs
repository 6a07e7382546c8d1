//! `synod swarm --overlay`: the same for overlays and searches.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use serde::Serialize;
use synod_scenario::overlay::{Overlay, Run, replay};

use super::SwarmArgs;
use crate::cli::sim::{COMMIT, batch};
use crate::exit::Exit;
use crate::shell::{Shell, render};
use crate::units::show_duration;

/// Which overlay or search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum OverlayArg {
    /// Rings of Chord
    Chord,
    /// Searches by floods
    Flood,
    /// Searches by a central index
    Index,
    /// Networks of Kademlia
    Kademlia,
    /// Searches by superpeers
    Superpeer,
}

impl From<OverlayArg> for Overlay {
    fn from(overlay: OverlayArg) -> Self {
        match overlay {
            OverlayArg::Chord => Self::Chord,
            OverlayArg::Flood => Self::Flood,
            OverlayArg::Index => Self::Index,
            OverlayArg::Kademlia => Self::Kademlia,
            OverlayArg::Superpeer => Self::Superpeer,
        }
    }
}

/// What a swarm showed.
#[derive(Debug, Serialize)]
struct Report {
    /// The commit that the program was built from.
    commit: &'static str,
    /// Whose networks they were.
    overlay: &'static str,
    /// Whether it was ended by a signal.
    interrupted: bool,
    /// The first seed.
    from: u64,
    /// Seeds that were run.
    runs: u64,
    /// How they ended, and how many so.
    verdicts: BTreeMap<String, u64>,
    /// Wall time, in seconds.
    wall_seconds: f64,
    /// Seeds per second of wall time.
    seeds_per_second: f64,
    /// The seed that took longest, and its seconds.
    slowest: (u64, f64),
    /// Seeds that failed.
    failures: Vec<Failure>,
}

/// A seed that failed.
#[derive(Debug, Serialize)]
struct Failure {
    seed: u64,
    /// The verdict and why.
    reason: String,
    /// The line that runs it again.
    replay: String,
}

impl Failure {
    fn lines(&self, overlay: Overlay) -> String {
        let Self { seed, reason, replay } = self;
        format!("FAILED scenario=swarm/{overlay} seed={seed} commit={COMMIT}: {reason}\nreplay: {replay}")
    }
}

/// Runs the seeds that `args` name.
pub(super) fn run(shell: Shell, args: &SwarmArgs, overlay: Overlay, stop: &AtomicBool) -> Exit {
    let begun = Instant::now();
    let bar = shell.bar(args.seeds);
    let mut report = Report::new(overlay, args.from);
    let work = |seed| (!stop.load(Ordering::Relaxed)).then(|| overlay.run_seed(seed));
    batch(args.range(), args.jobs(), work, |seed, run| {
        match run {
            Ok(Some(run)) => report.add(&run),
            Ok(None) => return,
            Err(broken) => {
                let failed = Some(format!("broken: {}", broken.reason));
                report.add(&Run { overlay, seed, failed, wall: Duration::ZERO });
            }
        }
        if let Some(failure) = report.failures.last().filter(|failure| failure.seed == seed && !shell.json) {
            bar.suspend(|| shell.print(&failure.lines(overlay)));
        }
        bar.inc(1);
    });
    bar.finish_and_clear();
    report.interrupted = stop.load(Ordering::Relaxed);
    report.wall_seconds = begun.elapsed().as_secs_f64();
    report.seeds_per_second = report.runs as f64 / report.wall_seconds.max(1e-9);
    shell.result(&report, || text(shell, &report));
    super::exit(report.failures.is_empty(), report.interrupted)
}

impl Report {
    const fn new(overlay: Overlay, from: u64) -> Self {
        Self {
            commit: COMMIT,
            overlay: overlay.name(),
            interrupted: false,
            from,
            runs: 0,
            verdicts: BTreeMap::new(),
            wall_seconds: 0.0,
            seeds_per_second: 0.0,
            slowest: (0, 0.0),
            failures: Vec::new(),
        }
    }

    fn add(&mut self, run: &Run) {
        *self.verdicts.entry(run.verdict().to_owned()).or_default() += 1;
        self.runs += 1;
        if run.wall.as_secs_f64() > self.slowest.1 {
            self.slowest = (run.seed, run.wall.as_secs_f64());
        }
        if let Some(reason) = run.failed.clone() {
            self.failures.push(Failure { seed: run.seed, reason, replay: replay(run.overlay, run.seed) });
        }
    }
}

fn text(shell: Shell, report: &Report) -> String {
    let mut table = shell.table(&["VERDICT", "#SEEDS"]);
    for (verdict, count) in &report.verdicts {
        table.add_row([verdict.clone(), count.to_string()]);
    }
    let took = show_duration(Duration::from_secs_f64(report.wall_seconds));
    let slowest = show_duration(Duration::from_secs_f64(report.slowest.1));
    let (runs, rate, seed) = (report.runs, report.seeds_per_second, report.slowest.0);
    format!("{}\n\n{runs} seeds in {took}, {rate:.1} per second, the slowest ({seed}) in {slowest}", render(&table))
}
