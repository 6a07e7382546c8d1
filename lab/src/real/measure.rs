//! Cells of an experiment on real processes of this machine, measured in a window of wall time.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use synod_experiment::Experiment;
use synod_experiment::grid::{Cell, Subject};
use synod_experiment::record::{Cost, Record, Runner, Sent, Simulated, machine};
use synod_experiment::summary::{Better, Metric, Place};
use synod_machine::Count;
use synod_node::api::client::Client;
use synod_scenario::Plan;
use synod_scenario::config::Scenario;
use synod_scenario::measure::VOTES;
use tokio::sync::watch;

use super::figures::Sample;
use super::layout::{self, Layout};
use super::run::{TREE_DEPTH, height, load, make, sample, start};
use super::search;
use crate::create::LOG;
use crate::error::LabError;
use crate::load::LoadReport;
use crate::network::{Network, STOP_GRACE};
use crate::real::Options;

/// Runs cells on real processes, one cell at a time.
#[derive(Clone, Debug)]
pub struct Real {
    /// The `synod` whose `node` command runs the peers.
    pub program: PathBuf,
    /// Below it each run has a folder for keys, stores and logs while it lasts.
    pub dir: PathBuf,
    /// Below it each run has a folder where its peers' logs stay, if they are to.
    pub logs: Option<PathBuf>,
}

/// All figures there are. Those that the simulator has, too, mean the same here but for two things: a payment is committed when the
/// load that made it sees it in a block, and everything else that goes over sockets is counted apart.
const METRICS: [(&str, &str, Better, &str); 22] = [
    (
        "payments_per_second",
        "1/s",
        Better::More,
        "the window's payments that a block confirmed, settling included, per second",
    ),
    ("offered_per_second", "1/s", Better::Neither, "payments acknowledged within the window, per second"),
    ("unconfirmed_share", "", Better::Less, "the share of the window's payments that were not confirmed by the end"),
    ("latency_mean", "s", Better::Less, "from the moment when a payment was due until it was seen in a block"),
    ("latency_p50", "s", Better::Less, "the same, which half of the payments do not exceed"),
    ("latency_p95", "s", Better::Less, "the same, which 95 of 100 do not exceed"),
    ("latency_p99", "s", Better::Less, "the same, which 99 of 100 do not exceed"),
    ("latency_max", "s", Better::Less, "the same, of the slowest"),
    ("messages_per_payment", "", Better::Less, "messages sent by all peers for each payment confirmed"),
    ("bytes_per_payment", "B", Better::Less, "their bytes, without framing, for each payment confirmed"),
    ("wire_bytes_per_payment", "B", Better::Less, "bytes that all sockets sent for each payment confirmed"),
    ("messages_per_block", "", Better::Less, "messages sent by all peers for each block of the chain"),
    (
        "votes_per_block",
        "",
        Better::Less,
        "pre-prepares, prepares and commits sent by all validators for each block of the chain",
    ),
    ("bytes_per_block", "B", Better::Less, "their bytes for each block of the chain"),
    ("bytes_per_peer_second", "B/s", Better::Less, "bytes that a peer sends in a second"),
    ("blocks_per_second", "1/s", Better::Neither, "blocks of the chain within the window, per second"),
    ("payments_per_block", "", Better::Neither, "payments confirmed for each block of the chain"),
    ("stale_rate", "", Better::Less, "the share of the blocks that the first peer knows which are not on its chain"),
    (
        "signatures_made_per_payment",
        "",
        Better::Less,
        "signatures that all peers made for each payment confirmed, its payer's not among them",
    ),
    (
        "signatures_checked_per_payment",
        "",
        Better::Less,
        "signatures that all peers checked for each payment confirmed, alone or in batches",
    ),
    ("cpu_cores_per_peer", "", Better::Less, "processors that a peer keeps busy"),
    ("memory_peak", "B", Better::Less, "the most memory that a peer had, on average"),
];

/// Figures that whatever runs as a process has.
const OF_PROCESSES: [&str; 2] = ["cpu_cores_per_peer", "memory_peak"];

impl Runner for Real {
    fn place(&self) -> Place {
        Place::Real
    }

    fn metrics(&self, experiment: &Experiment) -> Vec<Metric> {
        let metric = |(name, unit, better, about): &(&str, &str, Better, &str)| Metric {
            name: (*name).to_owned(),
            unit: (*unit).to_owned(),
            about: (*about).to_owned(),
            better: *better,
        };
        if experiment.search.is_empty() {
            return METRICS.iter().map(metric).collect();
        }
        // As in the simulator; what peers receive is not told by kinds, and what is stored in a table not apart from what is asked.
        let is_told = |name: &str| !name.starts_with("load_") && name != "publish_messages_per_copy";
        let common = Simulated.metrics(experiment).into_iter().filter(|metric| is_told(&metric.name));
        common.chain(METRICS.iter().filter(|(name, ..)| OF_PROCESSES.contains(name)).map(metric)).collect()
    }

    /// Two networks on one machine would measure each other.
    fn jobs_max(&self) -> usize {
        1
    }

    fn run(
        &self,
        experiment: &Experiment,
        cell: &Cell,
        seed: u64,
        stop: &AtomicBool,
    ) -> Result<Option<(Record, Cost)>, String> {
        let begun = Instant::now();
        let name = format!("{:04}-{seed}", cell.number);
        let dir = self.dir.join(&name);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let measured = runtime.map_err(|error| error.to_string())?.block_on(async {
            let options = Options { program: self.program.clone(), dir: dir.clone(), gossip: None };
            let measuring = async {
                match &cell.subject {
                    Subject::Chain(scenario) => measure(experiment, scenario, seed, &options).await,
                    Subject::Search(asked) => search::measure(asked, seed, &options).await,
                }
            };
            tokio::select! {
                measured = measuring => measured.map(Some),
                () = stopped(stop) => Ok(None),
            }
        });
        let kept = self.logs.as_deref().map_or(Ok(()), |logs| keep_logs(&dir, &logs.join(&name)));
        // What cannot be removed lies in the system's folder for such things.
        let _ = fs::remove_dir_all(&dir);
        let measured = measured.map_err(|error| error.to_string())?;
        kept.map_err(|error| format!("keeping the peers' logs: {error}"))?;
        let Some(Measured { figures, sent, cpu_seconds }) = measured else { return Ok(None) };
        let figures = figures.into_iter().map(|(name, figure)| (name.to_owned(), figure)).collect();
        let sent = sent.into_iter().map(|(kind, Count { messages, bytes })| (kind, Sent { messages, bytes }));
        let record = Record { cell: cell.values.clone(), seed, figures, sent: sent.collect(), payments: Vec::new() };
        let cost = Cost { machine: machine(), wall_seconds: begun.elapsed().as_secs_f64(), cpu_seconds };
        Ok(Some((record, cost)))
    }
}

/// Copies the log of each peer of a network's directory that wrote one.
fn keep_logs(network: &Path, logs: &Path) -> io::Result<()> {
    fs::create_dir_all(logs)?;
    // A network that could not be made has no directory, and its reason is told otherwise.
    let Ok(entries) = fs::read_dir(network) else { return Ok(()) };
    for entry in entries {
        let entry = entry?;
        let log = entry.path().join(LOG);
        if log.is_file() {
            fs::copy(log, logs.join(entry.file_name()).with_extension("log"))?;
        }
    }
    Ok(())
}

async fn stopped(stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

pub(super) struct Measured {
    pub(super) figures: BTreeMap<&'static str, f64>,
    pub(super) sent: BTreeMap<String, Count>,
    /// Processor time of all peers within the window, in seconds.
    pub(super) cpu_seconds: f64,
}

/// Runs one cell. Its processes end with this function, and with the thread that calls it.
async fn measure(
    experiment: &Experiment,
    scenario: &Scenario,
    seed: u64,
    options: &Options,
) -> Result<Measured, LabError> {
    if experiment.knee.is_some() {
        let expected = "none: the search for it takes a network for each rate".to_owned();
        return Err(LabError::Unreal { field: "knee".to_owned(), expected });
    }
    let no_files = |name: &str| Err(std::io::Error::other(format!("an experiment reads no files, as `{name}`")));
    let plan = scenario.plan(seed, no_files);
    let plan = plan.map_err(|source| LabError::Scenario { path: PathBuf::from(&scenario.name), source })?;
    let layout = Layout::windowed(scenario, &plan, layout::gossip_of(scenario)?)?;
    let mut network = make(&layout, options)?;
    let all: Vec<usize> = (0..network.peers().len()).collect();
    let measured = async {
        start(&mut network, &layout, &mut |_| {}).await?;
        window(experiment, &network, &layout, &plan).await
    };
    let result = measured.await;
    // The first error is the one to report.
    let ended = network.stop(&all, STOP_GRACE).await;
    let measured = result?;
    ended.map(|_| measured)
}

async fn window(
    experiment: &Experiment,
    network: &Network,
    layout: &Layout,
    plan: &Plan,
) -> Result<Measured, LabError> {
    let clients: Vec<Client> = (0..network.peers().len()).map(|place| network.client(place)).collect();
    let (warm_up, span, settle) =
        (experiment.warm_up.duration(), experiment.duration.duration(), experiment.settle.duration());
    let (_unstopped, stop) = watch::channel(false);
    if layout.rate > 0.0 && !warm_up.is_zero() {
        load(network, layout, (warm_up, Duration::ZERO), stop.clone()).await?;
    } else {
        tokio::time::sleep(warm_up).await;
    }
    let begun = Instant::now();
    let look = async || -> Result<(Sample, u64, f64), LabError> {
        Ok((sample(network, &clients, begun).await?, height(network).await?, cpu_seconds(network)))
    };
    let from = look().await?;
    let counting = async {
        tokio::time::sleep(span).await;
        look().await
    };
    let (report, to) = if layout.rate > 0.0 {
        let (report, to) = tokio::join!(load(network, layout, (span, settle), stop), counting);
        (Some(report?), to?)
    } else {
        (None, counting.await?)
    };
    let memory = memory_peaks(network);
    let peers = f64::from(plan.graph.peers());
    let seconds = to.0.at - from.0.at;
    let mut figures = BTreeMap::new();
    let sent = passed(&from.0.sent, &to.0.sent);
    let messages: u64 = sent.values().map(|count| count.messages).sum();
    let bytes: u64 = sent.values().map(|count| count.bytes).sum();
    let blocks = to.1.saturating_sub(from.1) as f64;
    // A peer tells the tree of its last blocks alone.
    let found = if to.1 <= u64::from(TREE_DEPTH) { to.0.blocks.saturating_sub(from.0.blocks) } else { 0 } as f64;
    let confirmed = report.as_ref().map_or(0, |report| report.confirmed + report.unknown_confirmed) as f64;
    let mut set = |name, part: f64, whole: f64| {
        if whole > 0.0 {
            figures.insert(name, part / whole);
        }
    };
    set("messages_per_payment", messages as f64, confirmed);
    set("bytes_per_payment", bytes as f64, confirmed);
    let wire = to.0.wire_bytes.zip(from.0.wire_bytes).map_or(0, |(to, from)| to - from);
    set("wire_bytes_per_payment", wire as f64, confirmed);
    set("messages_per_block", messages as f64, blocks);
    let votes: u64 = VOTES.iter().filter_map(|kind| sent.get(*kind)).map(|count| count.messages).sum();
    if votes > 0 {
        set("votes_per_block", votes as f64, blocks);
    }
    set("bytes_per_block", bytes as f64, blocks);
    set("bytes_per_peer_second", bytes as f64, seconds * peers);
    set("blocks_per_second", blocks, seconds);
    set("payments_per_block", confirmed, blocks);
    // Blocks of before the window may be found stale within it.
    set("stale_rate", (found - blocks).max(0.0), found);
    let (before, after) = (from.0.signatures, to.0.signatures);
    set("signatures_made_per_payment", after.made.saturating_sub(before.made) as f64, confirmed);
    set("signatures_checked_per_payment", after.checked.saturating_sub(before.checked) as f64, confirmed);
    let cpu_seconds = to.2 - from.2;
    set("cpu_cores_per_peer", cpu_seconds, seconds * peers);
    set("memory_peak", memory.iter().sum::<u64>() as f64, memory.len() as f64);
    if let Some(report) = report {
        let accepted = report.accepted as f64;
        set("payments_per_second", confirmed, span.as_secs_f64());
        set("offered_per_second", accepted, span.as_secs_f64());
        set("unconfirmed_share", (accepted - report.confirmed as f64).max(0.0), accepted);
        latencies(&mut figures, &report);
    }
    Ok(Measured { figures, sent, cpu_seconds })
}

fn latencies(figures: &mut BTreeMap<&'static str, f64>, report: &LoadReport) {
    let latencies = report.confirmation;
    if latencies.count == 0 {
        return;
    }
    let all = [
        ("latency_mean", latencies.mean_ms),
        ("latency_p50", latencies.p50_ms),
        ("latency_p95", latencies.p95_ms),
        ("latency_p99", latencies.p99_ms),
        ("latency_max", latencies.max_ms),
    ];
    figures.extend(all.map(|(name, millis)| (name, millis / 1_000.0)));
}

pub(super) fn passed(from: &BTreeMap<String, Count>, to: &BTreeMap<String, Count>) -> BTreeMap<String, Count> {
    let less = |(kind, count): (&String, &Count)| {
        let before = from.get(kind).copied().unwrap_or_default();
        (kind.clone(), Count { messages: count.messages - before.messages, bytes: count.bytes - before.bytes })
    };
    to.iter().map(less).filter(|(_, count)| count.messages > 0).collect()
}

fn pids(network: &Network) -> impl Iterator<Item = u32> + '_ {
    (0..network.peers().len()).filter_map(|place| network.state(place).pid())
}

/// What all peers have used of processors, as Linux tells it in hundredths of a second.
pub(super) fn cpu_seconds(network: &Network) -> f64 {
    let ticks = |pid: u32| {
        let status = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).unwrap_or_default();
        // The name in brackets may have spaces; user and system time are the 14th and 15th field.
        let fields = status.rsplit(')').next().unwrap_or_default().split_whitespace();
        fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>()
    };
    pids(network).map(ticks).sum::<f64>() / 100.0
}

/// The most memory that each peer had, in bytes, where Linux tells.
pub(super) fn memory_peaks(network: &Network) -> Vec<u64> {
    let peak = |pid: u32| {
        let status = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1_024)
    };
    pids(network).filter_map(peak).collect()
}
