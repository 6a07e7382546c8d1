//! Starting the peers one after another, paying, and counting over a span of blocks.
//!
//! Peers start one at a time, each when those before it are linked, since in virtual time a link takes a moment and starts
//! are spread over a second: a mesh that grows peer by peer is not the one of peers that all come at once.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use synod_ledger::Amount;
use synod_node::api::client::Client;
use synod_node::api::types::{Faults, Shape, TreeQuery};
use synod_scenario::Plan;
use synod_scenario::config::Scenario;
use tokio::sync::watch;

use super::figures::{Figures, Frame, Sample};
use super::layout::{self, Layout};
use super::scrape;
use crate::create::save_config;
use crate::error::LabError;
use crate::load::{self, LoadReport, Payer, Target};
use crate::network::{Network, STOP_GRACE};
use crate::settings::{Gossip, Settings};
use crate::wallets::{PassphraseSource, Wallets};

/// How a scenario is run on real processes.
#[derive(Clone, Debug)]
pub struct Options {
    /// The `synod` whose `node` command runs the peers.
    pub program: PathBuf,
    /// A directory that does not exist yet, for keys, stores and logs. It stays.
    pub dir: PathBuf,
    /// Who carries blocks and payments; where nothing is said, the scenario's own machine.
    pub gossip: Option<Gossip>,
}

/// Payments are made for so long before anything is counted: longer than gossip offers what is new, so that lists of ids come
/// as often as ever after.
pub(super) const WARM_UP: Duration = Duration::from_secs(5);

/// Runs a scenario on real processes of this machine, until as many blocks were found as its stop rule names, counted from when
/// all peers are linked and payments have been made for five seconds. `on_stage` is told how far it is.
///
/// `plan` is the scenario's, and says who is linked to whom, who mines with which share, and how often is paid. Its processes end
/// with this function, and with the thread that calls it.
pub async fn run(
    scenario: &Scenario,
    plan: &Plan,
    options: &Options,
    mut on_stage: impl FnMut(String),
) -> Result<Figures, LabError> {
    let gossip = match options.gossip {
        Some(gossip) => gossip,
        None => layout::gossip_of(scenario)?,
    };
    let layout = Layout::new(scenario, plan, gossip)?;
    let mut network = make(&layout, options)?;
    let all: Vec<usize> = (0..network.peers().len()).collect();
    let frame =
        Frame { peers: plan.graph.peers(), block_time: layout.settings.block_time.as_secs_f64(), rate: layout.rate };
    let measured = async {
        start(&mut network, &layout, &mut on_stage).await?;
        let (from, to) = measure(&network, &layout, &mut on_stage).await?;
        Ok(Figures::between(frame, gossip.kind().name(), &from, &to))
    };
    let result: Result<Figures, LabError> = measured.await;
    // The first error is the one to report.
    let stopped = network.stop(&all, STOP_GRACE).await;
    let figures = result?;
    stopped.map(|_| figures)
}

/// The network's directory, with each peer's configuration as the layout has it.
pub(super) fn make(layout: &Layout, options: &Options) -> Result<Network, LabError> {
    let network = Network::create(&options.dir, &layout.settings, &options.program)?;
    for place in 0..network.peers().len() {
        save_config(&network.config_path(place), &layout.config(network.manifest(), place))?;
    }
    Ok(network)
}

pub(super) async fn start(
    network: &mut Network,
    layout: &Layout,
    on_stage: &mut impl FnMut(String),
) -> Result<(), LabError> {
    let shape = Shape { delay_ms: layout.delay_ms, ..Shape::default() };
    let faults = Faults { default: shape, ..Faults::default() };
    for (count, &place) in layout.order.iter().enumerate() {
        on_stage(format!("{count} of {} peers are linked", layout.order.len()));
        network.start(place, true)?;
        network.wait_ready(&[place], START_LIMIT, |_| {}).await?;
        let client = network.client(place);
        if layout.delay_ms > 0 {
            client.set_faults(&faults).await.map_err(|error| failed(network, place, error))?;
        }
        let deadline = Instant::now() + START_LIMIT;
        let wanted = layout.dials[place].len() as u64;
        while client.status().await.map_err(|error| failed(network, place, error))?.peers < wanted {
            if Instant::now() >= deadline {
                let what = format!("linking {}", network.peers()[place].name);
                return Err(LabError::TimedOut { what, limit: START_LIMIT, log: network.log_tail(place) });
            }
            tokio::time::sleep(POLL).await;
        }
    }
    Ok(())
}

/// Pays, and takes the samples at both ends of the span.
async fn measure(
    network: &Network,
    layout: &Layout,
    on_stage: &mut impl FnMut(String),
) -> Result<(Sample, Sample), LabError> {
    let (stopping, stop) = watch::channel(false);
    let counting = async {
        on_stage("warming up".to_owned());
        tokio::time::sleep(WARM_UP).await;
        let begun = Instant::now();
        let clients: Vec<Client> = (0..network.peers().len()).map(|place| network.client(place)).collect();
        let first = height(network).await? + 1;
        wait_height(network, first, |_| {}).await?;
        let from = sample(network, &clients, begun).await?;
        let show = |height: u64| on_stage(format!("{} of {} blocks", height.saturating_sub(first), layout.blocks));
        wait_height(network, first + layout.blocks, show).await?;
        let to = sample(network, &clients, begun).await?;
        stopping.send_replace(true);
        Ok((from, to))
    };
    if layout.rate == 0.0 {
        return counting.await;
    }
    let paying = pay(network, layout, stop);
    let (paid, counted) = tokio::join!(paying, counting);
    // A load that failed has made no payments to be counted.
    paid.and(counted)
}

async fn pay(network: &Network, layout: &Layout, stop: watch::Receiver<bool>) -> Result<(), LabError> {
    load(network, layout, (RUN_LIMIT, Duration::ZERO), stop).await.map(|_| ())
}

/// Pays for so long, and waits for so long until what was paid is confirmed.
pub(super) async fn load(
    network: &Network,
    layout: &Layout,
    (duration, settle): (Duration, Duration),
    stop: watch::Receiver<bool>,
) -> Result<LoadReport, LabError> {
    let wallets = Wallets::of(network.dir());
    let Settings { wallets: people, ledger, .. } = &layout.settings;
    let payer = |person: &crate::settings::WalletSettings| {
        let secret = wallets.unlock(&person.name, &PassphraseSource::default())?;
        Ok(Payer { name: person.name.clone(), secret })
    };
    let payers = people.iter().map(payer).collect::<Result<Vec<_>, LabError>>()?;
    let target = |(place, entry): (usize, &crate::settings::PeerEntry)| Target {
        name: entry.name.clone(),
        client: network.client(place),
    };
    let plan = load::Plan {
        rate: layout.rate,
        duration,
        clients: people.len(),
        amount: Amount(PAID),
        fee: ledger.fee_min,
        settle,
    };
    let targets = network.peers().iter().enumerate().map(target).collect();
    load::run(plan, targets, payers, None, stop, |_| {}).await
}

/// All peers' counters, read at once.
pub(super) async fn sample(network: &Network, clients: &[Client], begun: Instant) -> Result<Sample, LabError> {
    let pages = clients
        .iter()
        .enumerate()
        .map(async |(place, client)| client.metrics().await.map_err(|error| failed(network, place, error)));
    let mut sample = Sample { at: begun.elapsed().as_secs_f64(), ..Sample::default() };
    for page in try_join_all(pages).await? {
        scrape::add(&page, &mut sample);
    }
    let tree = clients[0].tree(TreeQuery { depth: Some(TREE_DEPTH) }).await;
    let tree = tree.map_err(|error| failed(network, 0, error))?;
    sample.blocks = tree.iter().filter(|node| node.height.0 > 0).count() as u64;
    Ok(sample)
}

pub(super) async fn height(network: &Network) -> Result<u64, LabError> {
    let status = network.client(0).status().await;
    Ok(status.map_err(|error| failed(network, 0, error))?.height.0)
}

async fn wait_height(network: &Network, wanted: u64, mut on_height: impl FnMut(u64)) -> Result<(), LabError> {
    let deadline = Instant::now() + RUN_LIMIT;
    loop {
        let height = height(network).await?;
        on_height(height);
        if height >= wanted {
            return Ok(());
        }
        if Instant::now() >= deadline {
            let what = format!("block {wanted}");
            return Err(LabError::TimedOut { what, limit: RUN_LIMIT, log: network.log_tail(0) });
        }
        tokio::time::sleep(POLL).await;
    }
}

fn failed(network: &Network, place: usize, error: synod_node::api::client::ClientError) -> LabError {
    LabError::api(&network.peers()[place].name, error)
}

/// A peer starts and is linked in a second on a machine that is not busy.
const START_LIMIT: Duration = Duration::from_secs(60);
/// The longest span, and the longest load: an hour.
const RUN_LIMIT: Duration = Duration::from_secs(3_600);
/// How often heights are looked at.
const POLL: Duration = Duration::from_millis(50);
/// What each payment pays: a hundredth of a coin, so that a coin lasts for many.
const PAID: u64 = Amount::COIN / 100;
/// The deepest tree that a node tells.
pub(super) const TREE_DEPTH: u32 = 1_000;
