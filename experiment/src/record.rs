//! What one run of a cell showed, and who runs it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use nix::unistd::gethostname;
use serde::{Deserialize, Serialize};
use synod_machine::Time;
use synod_scenario::Watch;
use synod_scenario::config::Arrivals;
use synod_scenario::measure::{About, METRICS, RECOVERY, Terms, measure};
use synod_scenario::overlay::compare;

use crate::Experiment;
use crate::config::Search;
use crate::grid::{Cell, Subject};
use crate::knee::{KNEE, search};
use crate::summary::{Better, Failure, Metric, Place};

/// What one run showed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Its cell's values.
    pub cell: Vec<String>,
    /// Its seed.
    pub seed: u64,
    /// Figures by their metrics' names.
    pub figures: BTreeMap<String, f64>,
    /// What was sent while it was counted, by kind.
    pub sent: BTreeMap<String, Sent>,
    /// Payments that were made while it was counted: when, in seconds from the beginning, and how long they took to be
    /// committed, in seconds.
    pub payments: Vec<(f64, Option<f64>)>,
}

/// Messages of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// How many.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What a run took of the machine that it ran on. It differs from run to run, and is kept apart from what was measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// The machine's name.
    #[serde(default)]
    pub machine: String,
    /// Wall time, in seconds.
    pub wall_seconds: f64,
    /// Processor time, in seconds.
    pub cpu_seconds: f64,
}

/// What became of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ended {
    /// It came to its end.
    Done {
        /// What it showed.
        record: Record,
        /// What it took.
        cost: Cost,
    },
    /// It did not.
    Failed(Failure),
}

/// Who runs cells.
pub trait Runner: Sync {
    /// Where its peers run.
    fn place(&self) -> Place;

    /// What it measures.
    fn metrics(&self, experiment: &Experiment) -> Vec<Metric>;

    /// How many runs may go on at a time without disturbing each other.
    fn jobs_max(&self) -> usize;

    /// Runs a cell with a seed: what it showed, or why it came to nothing. Nothing at all where `stop` became true meanwhile.
    fn run(
        &self,
        experiment: &Experiment,
        cell: &Cell,
        seed: u64,
        stop: &AtomicBool,
    ) -> Result<Option<(Record, Cost)>, String>;
}

/// Runs cells in virtual time.
#[derive(Clone, Copy, Debug)]
pub struct Simulated;

impl Runner for Simulated {
    fn place(&self) -> Place {
        Place::Simulated
    }

    fn metrics(&self, experiment: &Experiment) -> Vec<Metric> {
        match experiment.search.is_empty() {
            true => {
                let knee = experiment.knee.is_some().then_some(&KNEE);
                knee.into_iter().chain(&METRICS).chain([&RECOVERY]).map(metric).collect()
            }
            false => SEARCH_METRICS.iter().map(metric).collect(),
        }
    }

    fn jobs_max(&self) -> usize {
        usize::MAX
    }

    fn run(
        &self,
        experiment: &Experiment,
        cell: &Cell,
        seed: u64,
        stop: &AtomicBool,
    ) -> Result<Option<(Record, Cost)>, String> {
        let (begun, before) = (Instant::now(), thread_cpu());
        let record = simulate(experiment, cell, seed, stop)?;
        let cost = Cost {
            machine: machine(),
            wall_seconds: begun.elapsed().as_secs_f64(),
            cpu_seconds: thread_cpu().saturating_sub(before).as_secs_f64(),
        };
        Ok(record.map(|record| (record, cost)))
    }
}

fn simulate(experiment: &Experiment, cell: &Cell, seed: u64, stop: &AtomicBool) -> Result<Option<Record>, String> {
    let scenario = match &cell.subject {
        Subject::Chain(scenario) => scenario,
        Subject::Search(search) => return find(cell, search, seed).map(Some),
    };
    let no_files = |name: &str| Err(std::io::Error::other(format!("an experiment reads no files, as `{name}`")));
    let mut plan = scenario.plan(seed, no_files).map_err(|error| error.unplaced().to_string())?;
    let from = Time(experiment.warm_up.nanos());
    let terms = Terms {
        from,
        until: from + experiment.duration.duration(),
        attacker_share: experiment.attacker.share,
        risk: experiment.attacker.risk,
        joules_per_hash: experiment.energy.joules_per_hash,
    };
    let watch = |_| if stop.load(Ordering::Relaxed) { Watch::Stop } else { Watch::GoOn };
    let mut found = None;
    if let Some(knee) = &experiment.knee {
        let first = plan.load.rate;
        found = search(knee, first, |rate| {
            let mut attempt = plan.clone();
            (attempt.load.rate, attempt.stop.time) = (rate, terms.until);
            // At even distances: that fewer came by chance is no sign of too many.
            attempt.load.arrivals = Arrivals::Constant;
            let measured = measure(attempt, &terms, watch).map_err(|broken| broken.to_string())?;
            Ok(measured.map(|(measured, _)| measured.figures["payments_per_second"] >= knee.committed * rate))
        })?;
        let Some(found) = found else { return Ok(None) };
        plan.load.rate = knee.share * found;
    }
    let Some((measured, _)) = measure(plan, &terms, watch).map_err(|broken| broken.to_string())? else {
        return Ok(None);
    };
    let sent = measured.sent.into_iter().map(|(kind, count)| {
        let sent = Sent { messages: count.messages, bytes: count.bytes };
        (kind.to_owned(), sent)
    });
    let figures = measured.figures.into_iter().chain(found.map(|found| (KNEE.0, found)));
    Ok(Some(Record {
        cell: cell.values.clone(),
        seed,
        figures: figures.map(|(name, figure)| (name.to_owned(), figure)).collect(),
        sent: sent.collect(),
        payments: measured.payments.into_iter().map(|paid| (paid.at, paid.took)).collect(),
    }))
}

/// All figures of searches.
const SEARCH_METRICS: [About; 14] = [
    ("asked", "", None, "questions that were put: somebody else who was up had the thing"),
    ("success", "", Some(true), "the share of them that found somebody who has the thing and is up"),
    ("hops", "", Some(false), "hops to the first answer that counts"),
    ("latency_p50", "s", Some(false), "from a question to that answer, which half of them do not exceed"),
    ("latency_p95", "s", Some(false), "the same, which 95 of 100 do not exceed"),
    ("latency_p99", "s", Some(false), "the same, which 99 of 100 do not exceed"),
    ("messages_per_question", "", Some(false), "messages for each question, the answers among them"),
    ("bytes_per_question", "B", Some(false), "their bytes"),
    ("load_mean", "", Some(false), "messages of all kinds that a peer received within the hour"),
    ("load_max_over_mean", "", Some(false), "what the busiest peer received, over the mean"),
    ("load_top_share", "", Some(false), "the share of all messages that the busiest hundredth of the peers received"),
    ("upkeep_messages_per_peer_second", "1/s", Some(false), "all other messages that a peer sends in a second"),
    ("upkeep_bytes_per_peer_second", "B/s", Some(false), "their bytes"),
    ("publish_messages_per_copy", "", Some(false), "messages to store in a table who has a thing, for each holder"),
];

/// Puts questions, and says what came of them.
fn find(cell: &Cell, search: &Search, seed: u64) -> Result<Record, String> {
    let terms = search.terms(seed).map_err(|error| error.to_string())?;
    let found = compare::measure(&terms);
    let seconds = |millis: f64| millis / 1_000.0;
    let latency = |of: fn(&compare::Latency) -> f64| found.latency.as_ref().map(|latency| seconds(of(latency)));
    let figures = [
        ("asked", Some(found.asked as f64)),
        ("success", Some(found.success).filter(|_| found.asked > 0)),
        ("hops", found.hops),
        ("latency_p50", latency(|latency| latency.p50_ms)),
        ("latency_p95", latency(|latency| latency.p95_ms)),
        ("latency_p99", latency(|latency| latency.p99_ms)),
        ("messages_per_question", Some(found.messages_per_question)),
        ("bytes_per_question", Some(found.bytes_per_question)),
        ("load_mean", Some(found.load.mean)),
        ("load_max_over_mean", Some(found.load.max_over_mean)),
        ("load_top_share", Some(found.load.top_share)),
        ("upkeep_messages_per_peer_second", Some(found.upkeep_messages_per_peer_s)),
        ("upkeep_bytes_per_peer_second", Some(found.upkeep_bytes_per_peer_s)),
        ("publish_messages_per_copy", found.publish_messages_per_copy),
    ];
    let figures = figures.into_iter().filter_map(|(name, figure)| Some((name.to_owned(), figure?)));
    let (sent, payments) = (BTreeMap::new(), Vec::new());
    Ok(Record { cell: cell.values.clone(), seed, figures: figures.collect(), sent, payments })
}

fn metric((name, unit, more, about): &About) -> Metric {
    let better = match more {
        None => Better::Neither,
        Some(false) => Better::Less,
        Some(true) => Better::More,
    };
    Metric { name: (*name).to_owned(), unit: (*unit).to_owned(), about: (*about).to_owned(), better }
}

/// What a panic said.
pub(crate) fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let reason = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
    reason.unwrap_or_else(|| "a panic".to_owned())
}

/// What this machine is called by its cluster, or else by its system.
pub fn machine() -> String {
    if let Ok(name) = std::env::var("SLURMD_NODENAME") {
        return name;
    }
    gethostname().map_or_else(|_| "unknown".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// What this thread has used of a processor.
fn thread_cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}
