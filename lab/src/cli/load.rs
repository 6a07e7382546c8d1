//! `synod load`: steady payments, measured.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use synod_ledger::Amount;
use tokio::sync::watch;

use super::context::{Context, PassphraseArg, PeerArg, check_goes};
use crate::error::LabError;
use crate::exit::Exit;
use crate::load::{self, Latencies, LoadReport, Payer, Plan, Target};
use crate::shell::render;
use crate::units;

/// `synod load`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  synod load --rate 50 --duration 60s
  synod load --rate 200 --duration 5m --clients 16 --wallets alice,bob --out acknowledged.jsonl

Payments are due at a fixed pace whatever the network does, and latencies count from then. A payment that was sent
and not answered is `unknown`, never `accepted`. Two loads at once need different wallets.")]
pub(super) struct LoadArgs {
    /// Payments a second
    #[arg(long, value_parser = units::rate, allow_negative_numbers = true)]
    rate: f64,
    /// How long
    #[arg(long, value_name = "TIME", value_parser = units::positive_duration)]
    duration: Duration,
    /// How many clients send them
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    clients: u16,
    /// The wallets that pay each other [default: those of the genesis]
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    wallets: Vec<String>,
    /// What each payment pays, in coins
    #[arg(long, default_value = "0.01", allow_negative_numbers = true)]
    amount: Amount,
    /// Each payment's fee in coins [default: the network's lowest]
    #[arg(long, allow_negative_numbers = true)]
    fee: Option<Amount>,
    /// How long to wait at the end for the last confirmations
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = units::duration)]
    settle: Duration,
    /// Write every acknowledged payment to this file, one JSON object a line
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    peer: PeerArg,
    #[command(flatten)]
    passphrase: PassphraseArg,
}

pub(super) async fn run(context: &Context, args: LoadArgs) -> Result<Exit, LabError> {
    let targets = targets(context, &args.peer)?;
    let payers = payers(context, &args)?;
    let fee = match args.fee {
        Some(fee) => fee,
        None => context.reach(&args.peer).await?.status.chain.fee_min,
    };
    let plan = Plan {
        rate: args.rate,
        duration: args.duration,
        clients: usize::from(args.clients),
        amount: args.amount,
        fee,
        settle: args.settle,
    };
    let mut file = args.out.as_deref().map(create).transpose()?;
    let out = file.as_mut().map(|file| file as &mut (dyn Write + Send));
    let (stopping, stop) = watch::channel(false);
    let bar = context.shell.bar(load::Schedule::new(plan.rate, plan.duration).count());
    let on_progress = |progress: load::Progress| {
        bar.set_position(progress.done);
        bar.set_message(format!("{} accepted, {} confirmed", progress.accepted, progress.confirmed));
    };
    let running = load::run(plan, targets, payers, out, stop, on_progress);
    tokio::pin!(running);
    let report = tokio::select! {
        result = &mut running => result?,
        () = super::interrupted() => {
            stopping.send_replace(true);
            running.await?
        }
    };
    bar.finish_and_clear();
    context.shell.result(&report, || text(context, &report));
    let nobody_answered = report.accepted == 0 && report.refused.is_empty();
    Ok(match report.interrupted {
        true => Exit::Interrupted,
        false if nobody_answered => Exit::Network,
        false => Exit::Ok,
    })
}

fn targets(context: &Context, peer: &PeerArg) -> Result<Vec<Target>, LabError> {
    let timed = |address: &str| synod_node::api::client::Client::with_timeout(address, ANSWER_LIMIT);
    if let Some(address) = peer.peer.as_deref().filter(|peer| peer.contains(':')) {
        return Ok(vec![Target { name: address.to_owned(), client: timed(address) }]);
    }
    let network = context.network()?;
    let chosen = match &peer.peer {
        Some(name) => {
            let place = network.find(name)?;
            check_goes(&network, place)?;
            vec![place]
        }
        // Light peers know nobody's coins and pass payments on: the load is for those that keep the ledger.
        None => (0..network.manifest().settings.full_count()).collect(),
    };
    let target = |place: usize| {
        let entry = &network.peers()[place];
        Target { name: entry.name.clone(), client: timed(&format!("127.0.0.1:{}", entry.api_port)) }
    };
    Ok(chosen.into_iter().map(target).collect())
}

fn payers(context: &Context, args: &LoadArgs) -> Result<Vec<Payer>, LabError> {
    let wallets = context.wallets();
    let mut names = args.wallets.clone();
    if names.is_empty() {
        let network = context.network()?;
        names = network.manifest().settings.wallets.iter().map(|wallet| wallet.name.clone()).collect();
    }
    names.sort_unstable();
    names.dedup();
    let source = args.passphrase.source();
    let payer = |name: String| wallets.unlock(&name, &source).map(|secret| Payer { name, secret });
    names.into_iter().map(payer).collect()
}

fn create(path: &Path) -> Result<File, LabError> {
    File::create(path).map_err(|error| LabError::io(path, error))
}

fn text(context: &Context, report: &LoadReport) -> String {
    let refused: u64 = report.refused.values().sum();
    let mut lines = vec![
        format!("scheduled   {}", report.scheduled),
        format!("accepted    {} ({:.1} per second)", report.accepted, report.accepted_rate),
        format!("refused     {refused}"),
    ];
    lines.extend(report.refused.iter().map(|(code, count)| format!("  {code}  {count}")));
    lines.push(format!("unknown     {} ({} of them confirmed)", report.unknown, report.unknown_confirmed));
    lines.push(format!("not sent    {}", report.not_sent));
    lines.push(format!("confirmed   {}", report.confirmed));
    let mut table = context.shell.table(&["LATENCY (ms)", "#P50", "#P95", "#P99", "#MAX", "#MEAN"]);
    for (name, latency) in [("acceptance", report.acceptance), ("confirmation", report.confirmation)] {
        table.add_row(row(name, latency));
    }
    format!("{}\n\n{}", lines.join("\n"), render(&table))
}

fn row(name: &str, latency: Latencies) -> Vec<String> {
    let values = [latency.p50_ms, latency.p95_ms, latency.p99_ms, latency.max_ms, latency.mean_ms];
    let mut cells = vec![name.to_owned()];
    cells.extend(values.map(|value| format!("{value:.1}")));
    cells
}

/// A peer that answers later than this has not answered.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
