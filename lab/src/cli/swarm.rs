//! `synod swarm`: many small networks in virtual time, each drawn by a seed, each judged from outside.

mod overlay;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;
use synod_scenario::swarm::{Run, Swarm, failure};

use super::context::Context;
use super::sim::{COMMIT, EngineArg, batch, until_stopped};
use crate::error::LabError;
use crate::exit::Exit;
use crate::shell::{Shell, render};
use crate::units::{show_count, show_duration};

/// `synod swarm`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Example:
  synod swarm --engine pow --seeds 1000
  synod swarm --engine pbft --seeds 500
  synod swarm --seeds 200 --from 5000 --jobs 1 --json
  synod swarm --overlay chord --seeds 500

Each seed draws a network of a few peers with its links, its load and its faults. When the faults are over the network
heals: the chain must go on, and all peers must come to one tip. Oracles look on from outside, with a ledger of their own.
Where validators vote, as many as may be faulty are so at times, and go on lying when the network has healed.
An overlay carries no chain: look-ups must name the true owners when it has healed, and what was stored must be there.
A failure ends with the line that runs it again, and exit code 5.")]
pub(super) struct SwarmArgs {
    /// How the peers agree
    #[arg(long, value_enum, default_value_t = EngineArg::Pow)]
    engine: EngineArg,
    /// An overlay or a search instead of a chain
    #[arg(long, value_enum, conflicts_with = "engine")]
    overlay: Option<overlay::OverlayArg>,
    /// So many seeds
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=SEEDS_MAX))]
    seeds: u64,
    /// The first seed
    #[arg(long, value_name = "SEED", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=SEEDS_MAX))]
    from: u64,
    /// Runs at a time [default: one for each core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_024))]
    jobs: Option<u16>,
}

/// What a swarm showed.
#[derive(Debug, Default, Serialize)]
struct Report {
    /// The commit that the program was built from.
    commit: &'static str,
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
    /// Events of all runs.
    events: u64,
    /// Blocks found.
    blocks: u64,
    /// Payments acknowledged.
    payments: u64,
    /// Forged items that were refused.
    forged_refused: u64,
    /// In how many runs what else happened: view changes, crashes, reorganisations, adversaries by their kind.
    runs_with: BTreeMap<&'static str, u64>,
    /// Seeds that failed.
    failures: Vec<Failure>,
}

/// A seed that failed.
#[derive(Debug, Serialize)]
struct Failure {
    seed: u64,
    /// Steps of all peers before.
    step: u64,
    /// The virtual time, in seconds, to the nanosecond.
    time: String,
    /// The verdict and why.
    reason: String,
    /// What is printed of it.
    #[serde(skip)]
    lines: String,
    /// The line that runs it again.
    replay: String,
}

pub(super) async fn run(context: &Context, args: SwarmArgs) -> Result<Exit, LabError> {
    let shell = context.shell;
    until_stopped(move |stop| Ok(swarm(shell, &args, stop))).await
}

impl SwarmArgs {
    fn range(&self) -> Range<u64> {
        self.from..self.from + self.seeds
    }

    fn jobs(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        self.jobs.map_or_else(cores, usize::from)
    }
}

fn swarm(shell: Shell, args: &SwarmArgs, stop: &AtomicBool) -> Exit {
    if let Some(overlay) = args.overlay {
        return overlay::run(shell, args, overlay.into(), stop);
    }
    let swarm = Swarm::from(args.engine);
    let begun = Instant::now();
    let bar = shell.bar(args.seeds);
    let mut report = Report { commit: COMMIT, from: args.from, ..Report::default() };
    let work = |seed| (!stop.load(Ordering::Relaxed)).then(|| swarm.run_seed(seed));
    batch(args.range(), args.jobs(), work, |seed, run| {
        match run {
            Ok(Some(run)) => report.add(&run),
            Ok(None) => return,
            Err(broken) => report.add(&Run::before(swarm, seed, broken.reason)),
        }
        if let Some(failure) = report.failures.last().filter(|failure| failure.seed == seed && !shell.json) {
            bar.suspend(|| shell.print(&failure.lines));
        }
        bar.inc(1);
    });
    bar.finish_and_clear();
    report.interrupted = stop.load(Ordering::Relaxed);
    report.wall_seconds = begun.elapsed().as_secs_f64();
    report.seeds_per_second = report.runs as f64 / report.wall_seconds.max(1e-9);
    shell.result(&report, || text(shell, &report));
    exit(report.failures.is_empty(), report.interrupted)
}

const fn exit(is_good: bool, is_interrupted: bool) -> Exit {
    match (is_good, is_interrupted) {
        (false, _) => Exit::Check,
        (true, true) => Exit::Interrupted,
        (true, false) => Exit::Ok,
    }
}

impl Report {
    fn add(&mut self, run: &Run) {
        let Run { seed, judgement, wall, .. } = run;
        let kind = judgement.verdict.kind().to_string();
        *self.verdicts.entry(kind).or_default() += 1;
        self.runs += 1;
        self.events += judgement.events;
        self.blocks += judgement.blocks;
        self.payments += judgement.payments;
        self.forged_refused += judgement.refused;
        for (name, count) in &judgement.met {
            *self.runs_with.entry(name).or_default() += u64::from(*count > 0);
        }
        if wall.as_secs_f64() > self.slowest.1 {
            self.slowest = (*seed, wall.as_secs_f64());
        }
        if !judgement.verdict.is_pass() {
            let lines = failure(run, COMMIT);
            let replay = lines.lines().last().and_then(|line| line.strip_prefix("replay: ")).unwrap_or_default();
            self.failures.push(Failure {
                seed: *seed,
                step: judgement.step,
                time: judgement.at.to_string(),
                reason: judgement.verdict.to_string(),
                replay: replay.to_owned(),
                lines,
            });
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
    let count = |count: u64| show_count(count as f64);
    let runs_with = report.runs_with.iter().filter(|(_, runs)| **runs > 0);
    let runs_with: Vec<String> = runs_with.map(|(name, runs)| format!("{name}: {}", count(*runs))).collect();
    format!(
        "{}\n\n{} seeds in {took}, {:.1} per second, the slowest ({}) in {slowest}\n\
         {} events, {} blocks, {} payments, {} forged items refused\n\
         runs with {}",
        render(&table),
        report.runs,
        report.seeds_per_second,
        report.slowest.0,
        count(report.events),
        count(report.blocks),
        count(report.payments),
        count(report.forged_refused),
        runs_with.join(", "),
    )
}

/// Seeds stay within what a scenario's file can hold.
const SEEDS_MAX: u64 = 1 << 62;
