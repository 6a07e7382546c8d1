//! `synod bench`: how fast parts of the program are on this machine, each as a ratio to a yardstick of the same run.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Subcommand;
use serde_json::json;
use synod_node::api::client::Client;
use synod_node::config::DhtKind;

use super::context::{Context, program};
use crate::bench::{self, Report, SyncSize};
use crate::error::LabError;
use crate::exit::Exit;
use crate::files;
use crate::network::{Network, STOP_GRACE};
use crate::settings::Settings;
use crate::shell::{render, show_figure};
use crate::units;
use crate::watch;

/// `synod bench`.
#[derive(Debug, Subcommand)]
pub(super) enum BenchCommand {
    /// Four validators: payments that they agree on, against the signatures alone, and how long each takes
    #[command(after_help = "Example:\n  synod bench agree --duration 20s")]
    Agree {
        /// How long to measure, each of throughput, latency, and the throughputs with a faulty validator
        #[arg(long, value_name = "TIME", default_value = "15s", value_parser = units::positive_duration)]
        duration: Duration,
    },
    /// Every measurement, one after the other
    #[command(after_help = "Example:\n  synod bench all --json > bench.json")]
    All,
    /// Connecting full blocks, against the signatures alone in batches
    #[command(after_help = "Example:\n  synod bench connect")]
    Connect,
    /// Decoding full blocks
    #[command(after_help = "Example:\n  synod bench decode")]
    Decode,
    /// Twenty peers: searches that they answer by Chord and by Kademlia, and how long each takes
    #[command(after_help = "Example:\n  synod bench find --duration 20s")]
    Find {
        /// How long to measure each
        #[arg(long, value_name = "TIME", default_value = "10s", value_parser = units::positive_duration)]
        duration: Duration,
    },
    /// The miner's loop against a bare loop of SHA-256 compressions, on one core
    #[command(after_help = "Example:\n  synod bench grind --duration 5s")]
    Grind {
        /// How long to measure
        #[arg(long, value_name = "TIME", default_value = "3s", value_parser = units::positive_duration)]
        duration: Duration,
    },
    /// Memory and processor time of peers that have nothing to do
    #[command(after_help = "Example:\n  synod bench idle --duration 30s")]
    Idle {
        /// How long to measure
        #[arg(long, value_name = "TIME", default_value = "20s", value_parser = units::positive_duration)]
        duration: Duration,
    },
    /// The simulator: replicas, memory, growth, two cores, a bare averaging gossip; takes minutes
    #[command(after_help = "Example:\n  synod bench simulate")]
    Simulate,
    /// A peer that is far behind catches up from another over loopback
    #[command(after_help = "Example:\n  synod bench sync --empty 900 --full 100")]
    Sync {
        /// Blocks without payments
        #[arg(long, default_value_t = SyncSize::default().empty, value_name = "N")]
        empty: usize,
        /// Full blocks after them
        #[arg(long, default_value_t = SyncSize::default().full, value_name = "N")]
        full: usize,
        /// Payments in each full block
        #[arg(long, default_value_t = SyncSize::default().payments, value_name = "N")]
        payments: usize,
    },
}

pub(super) async fn run(context: &Context, command: BenchCommand) -> Result<Exit, LabError> {
    let reports = match command {
        BenchCommand::All => {
            let mut reports = vec![bench::grind(GRIND), bench::connect(), bench::decode()];
            reports.push(sync(SyncSize::default()).await?);
            reports.extend(agree(AGREE).await?);
            reports.extend(find(FIND).await?);
            reports.extend(idle(IDLE).await?);
            reports.extend(bench::simulator());
            reports
        }
        BenchCommand::Agree { duration } => agree(duration).await?.into(),
        BenchCommand::Connect => vec![bench::connect()],
        BenchCommand::Decode => vec![bench::decode()],
        BenchCommand::Find { duration } => find(duration).await?,
        BenchCommand::Grind { duration } => vec![bench::grind(duration)],
        BenchCommand::Idle { duration } => idle(duration).await?.into(),
        BenchCommand::Simulate => bench::simulator(),
        BenchCommand::Sync { empty, full, payments } => vec![sync(SyncSize { empty, full, payments }).await?],
    };
    context.shell.result(&json!({ "reports": reports }), || table(context, &reports));
    Ok(if reports.iter().all(Report::is_kept) { Exit::Ok } else { Exit::Check })
}

async fn agree(duration: Duration) -> Result<[Report; 4], LabError> {
    let folder = scratch("agree")?;
    let reports = bench::agree(duration, &folder, &program()?).await;
    remove(&folder);
    reports
}

async fn sync(size: SyncSize) -> Result<Report, LabError> {
    let folder = scratch("sync")?;
    let report = bench::sync(size, &folder, &program()?).await;
    remove(&folder);
    report
}

async fn find(duration: Duration) -> Result<Vec<Report>, LabError> {
    let mut reports = Vec::new();
    for table in DhtKind::ALL {
        let folder = scratch("find")?;
        let settings = Settings { nodes: FINDERS, hash_rate: 0, dht: vec![table], ..Settings::default() };
        let mut network = Network::create(&folder.join("net"), &settings, &program()?)?;
        let all: Vec<usize> = (0..network.peers().len()).collect();
        let measured = measure_find(&mut network, &all, table, duration).await;
        // The first error is the one to report.
        let stopped = network.stop(&all, STOP_GRACE).await;
        reports.extend(measured?);
        stopped?;
        remove(&folder);
    }
    Ok(reports)
}

async fn measure_find(
    network: &mut Network,
    all: &[usize],
    table: DhtKind,
    duration: Duration,
) -> Result<[Report; 2], LabError> {
    start(network, all).await?;
    let clients: Vec<Client> = all.iter().map(|&place| network.client(place)).collect();
    bench::find(table, duration, &clients).await
}

async fn start(network: &mut Network, all: &[usize]) -> Result<(), LabError> {
    for &place in all {
        network.start(place, true)?;
    }
    network.wait_ready(all, START_LIMIT, |_| {}).await?;
    watch::wait_connected(network, all, START_LIMIT, |_, _| {}).await
}

async fn idle(duration: Duration) -> Result<[Report; 2], LabError> {
    let folder = scratch("idle")?;
    let settings = Settings { hash_rate: 0, ..Settings::default() };
    let mut network = Network::create(&folder.join("net"), &settings, &program()?)?;
    let all: Vec<usize> = (0..network.peers().len()).collect();
    let measured = measure_idle(&mut network, &all, duration).await;
    // The first error is the one to report.
    let stopped = network.stop(&all, STOP_GRACE).await;
    let reports = measured?;
    stopped?;
    remove(&folder);
    Ok(reports)
}

async fn measure_idle(network: &mut Network, all: &[usize], duration: Duration) -> Result<[Report; 2], LabError> {
    start(network, all).await?;
    bench::idle(network, SETTLE, duration).await
}

fn table(context: &Context, reports: &[Report]) -> String {
    let mut table = context.shell.table(&["BENCH", "#FIGURE", "UNIT", "#REFERENCE", "#RATIO", "PROMISED", "", "NOTE"]);
    for report in reports {
        let promised = format!("{} {}", if report.at_most { "<=" } else { ">=" }, report.promised);
        let verdict = if report.is_kept() { "kept" } else { "BROKEN" };
        let color = if report.is_kept() { comfy_table::Color::Green } else { comfy_table::Color::Red };
        table.add_row(vec![
            report.name.into(),
            show_figure(report.value).into(),
            report.unit.into(),
            show_figure(report.reference).into(),
            format!("{:.3}", report.ratio).into(),
            promised.into(),
            context.shell.cell(verdict, color),
            report.note.as_str().into(),
        ]);
    }
    render(&table)
}

fn scratch(name: &str) -> Result<PathBuf, LabError> {
    let folder = std::env::temp_dir().join(format!("synod-bench-{name}-{}", std::process::id()));
    files::create_dir(&folder)?;
    Ok(folder)
}

fn remove(folder: &Path) {
    // What cannot be removed lies in the system's folder for such things.
    let _ = std::fs::remove_dir_all(folder);
}

/// A few hundred batches.
const AGREE: Duration = Duration::from_secs(15);
/// Some thousand searches by each table.
const FIND: Duration = Duration::from_secs(10);
/// As many peers as the issue names.
const FINDERS: usize = 20;
/// Long enough for a steady clock frequency.
const GRIND: Duration = Duration::from_secs(3);
/// A thousand ticks of processor time would show at half the bound.
const IDLE: Duration = Duration::from_secs(20);
/// Connections are made and the first lookups done by then.
const SETTLE: Duration = Duration::from_secs(10);
/// As for `synod up`.
const START_LIMIT: Duration = Duration::from_secs(60);
