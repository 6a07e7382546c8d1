//! What a run showed, as figures.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Serialize;
use synod_ledger::{Block, Tx, TxId};
use synod_machine::PeerId;
use synod_sim::{Status, World};

use crate::payer::signer;
use crate::{Found, REACHES, Trial};

/// What a run showed.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The scenario's name.
    pub scenario: String,
    /// The seed.
    pub seed: u64,
    /// How many peers.
    pub peers: u32,
    /// Why it ended.
    pub ended: String,
    /// Equal for two runs only if the same things happened in the same order: 16 hexadecimal digits.
    pub trace_hash: String,
    /// Virtual time, in seconds.
    pub virtual_seconds: f64,
    /// What it took.
    pub cost: Cost,
    /// The chain.
    pub chain: ChainFigures,
    /// Who has a stake, and what came of it; nobody where stakes make no blocks.
    pub stakes: Vec<StakeFigures>,
    /// How blocks spread.
    pub spread: Spread,
    /// Payments.
    pub payments: Payments,
    /// Messages by kind.
    pub messages: Vec<KindFigures>,
    /// What peers held against each other, by reason.
    pub rejects: BTreeMap<String, u64>,
    /// Messages lost to links and faults.
    pub messages_lost: u64,
}

/// What a run took of the machine it ran on. The only figures that differ between two runs of one seed.
#[derive(Clone, Debug, Serialize)]
pub struct Cost {
    /// Wall time, in seconds.
    pub wall_seconds: f64,
    /// Messages, timers and commands.
    pub events: u64,
    /// Those per second of wall time.
    pub events_per_second: f64,
    /// Messages delivered.
    pub delivered: u64,
    /// Those per second of wall time.
    pub delivered_per_second: f64,
    /// Peers times blocks.
    pub node_blocks: u64,
    /// Those per second of wall time.
    pub node_blocks_per_second: f64,
    /// The most memory that the process had, in bytes; nothing where the system does not tell.
    pub memory_peak_bytes: Option<u64>,
}

/// The chain at the end.
#[derive(Clone, Debug, Serialize)]
pub struct ChainFigures {
    /// The tip that most peers have.
    pub tip: String,
    /// Its height.
    pub height: u64,
    /// Whether all peers that are up have it.
    pub is_agreed: bool,
    /// Blocks found.
    pub found: u64,
    /// Blocks found that are not on that chain.
    pub stale: u64,
    /// Those per block found.
    pub stale_rate: f64,
    /// Heights at which more than one block was found, per height.
    pub fork_rate: f64,
    /// The mean time between two blocks of the chain, in seconds.
    pub interval_mean_seconds: f64,
    /// How many blocks were taken back at a time by a peer, and how often.
    pub reorganisations: BTreeMap<u64, u64>,
    /// The mean encoded length of the chain's blocks, in bytes.
    pub block_bytes_mean: f64,
}

/// A wallet that had a stake in the beginning.
#[derive(Clone, Debug, Serialize)]
pub struct StakeFigures {
    /// Its peer.
    pub peer: u32,
    /// Its share of all stakes in the beginning.
    pub stake_share: f64,
    /// Blocks that it made.
    pub found: u64,
    /// Those of the chain.
    pub blocks: u64,
    /// Their share of all of the chain: what it got of the rewards.
    pub block_share: f64,
    /// At which height of the chain it lost its stake, if it did.
    pub lost_at: Option<u64>,
}

/// How long blocks took, in seconds.
#[derive(Clone, Debug, Serialize)]
pub struct Spread {
    /// The delay from finding to a peer, over all blocks and peers: its mean …
    pub delay_mean: f64,
    /// … and the value that so many percent of all do not exceed.
    pub delay_percentiles: BTreeMap<String, f64>,
    /// The mean time until so many percent of the peers had a block of the chain.
    pub reach_mean: BTreeMap<String, f64>,
}

/// What became of payments.
#[derive(Clone, Debug, Serialize)]
pub struct Payments {
    /// Acknowledged by a peer.
    pub acknowledged: u64,
    /// Of those, in the chain.
    pub confirmed: u64,
    /// Refused, by reason.
    pub refused: BTreeMap<String, u64>,
    /// Double spends that peers told of; each peer that sees one tells.
    pub conflicts_seen: u64,
    /// Payments per second of virtual time that came into the chain.
    pub confirmed_per_second: f64,
}

/// What was sent of one kind of message.
#[derive(Clone, Debug, Serialize)]
pub struct KindFigures {
    /// The kind.
    pub kind: &'static str,
    /// Messages sent.
    pub messages: u64,
    /// Their encoded bytes.
    pub bytes: u64,
    /// Messages per block of the chain and peer.
    pub per_node_block: f64,
}

impl Outcome {
    /// The figures of a world as it is.
    pub fn of(world: &World<Trial>, status: Status, wall: Duration) -> Self {
        let (net, trial) = (world.net(), world.experiment());
        let ended = match (world.stopped(), status) {
            (Some(reason), _) => reason.to_string(),
            (None, Status::Idle) => "nothing was left to happen".to_string(),
            (None, Status::Paused | Status::Stopped) => "interrupted".to_string(),
            (None, Status::Until) => "the time was over".to_string(),
        };
        let mut rejects: BTreeMap<String, u64> = BTreeMap::new();
        for ((_, reason), count) in trial.rejects() {
            *rejects.entry(reason.name().to_string()).or_default() += count;
        }
        Self {
            scenario: trial.plan().name.clone(),
            seed: trial.plan().seed,
            peers: net.len() as u32,
            ended,
            trace_hash: format!("{:016x}", net.digest()),
            virtual_seconds: seconds(Duration::from_nanos(net.now().0)),
            cost: cost(world, wall),
            chain: chain(trial),
            stakes: stakes(world),
            spread: spread(trial),
            payments: payments(world),
            messages: messages(world),
            rejects,
            messages_lost: net.tally().lost,
        }
    }
}

fn cost(world: &World<Trial>, wall: Duration) -> Cost {
    let tally = world.net().tally();
    let secs = wall.as_secs_f64().max(1e-9);
    let node_blocks = world.net().len() as u64 * world.experiment().observed().height();
    Cost {
        wall_seconds: seconds(wall),
        events: tally.events,
        events_per_second: (tally.events as f64 / secs).round(),
        delivered: tally.delivered,
        delivered_per_second: (tally.delivered as f64 / secs).round(),
        node_blocks,
        node_blocks_per_second: (node_blocks as f64 / secs).round(),
        memory_peak_bytes: memory_peak(),
    }
}

fn chain(trial: &Trial) -> ChainFigures {
    let observed = trial.observed();
    let main = observed.main_chain();
    let found = observed.found().len() as u64 - 1;
    let height = main.len() as u64 - 1;
    let mut per_height: BTreeMap<u64, u64> = BTreeMap::new();
    for block in &observed.found()[1..] {
        *per_height.entry(block.height.0).or_default() += 1;
    }
    let forked = per_height.values().filter(|count| **count > 1).count();
    let span = main.last().map_or(0.0, |tip| seconds(tip.at.since(synod_machine::Time::ZERO)));
    let bytes: usize = main[1..].iter().map(|block| block.bytes).sum();
    ChainFigures {
        tip: observed.common_tip().id.to_string(),
        height,
        is_agreed: observed.is_agreed(),
        found,
        stale: found - height,
        stale_rate: ratio((found - height) as f64, found as f64),
        fork_rate: ratio(forked as f64, per_height.len() as f64),
        interval_mean_seconds: ratio(span, height as f64),
        reorganisations: observed.reorganisations.clone(),
        block_bytes_mean: ratio(bytes as f64, height as f64),
    }
}

pub(crate) fn stakes(world: &World<Trial>) -> Vec<StakeFigures> {
    let (net, trial) = (world.net(), world.experiment());
    let (observed, stakes) = (trial.observed(), trial.chain().state().stakes());
    let tip = observed.common_tip().id;
    let owner = net.peers().find_map(|peer| net.protocol(peer).filter(|host| host.replica().tip() == tip));
    let total = trial.chain().state().stake_total();
    let main = observed.main_chain();
    let of_peer = |peer: PeerId| {
        let address = signer(peer).address();
        let (_, stake) = stakes.iter().find(|(owner, _)| *owner == address)?;
        let blocks = main[1..].iter().filter(|block| block.by == peer).count() as u64;
        Some(StakeFigures {
            peer: peer.0,
            stake_share: ratio(stake.0 as f64, total.0 as f64),
            found: observed.found()[1..].iter().filter(|block| block.by == peer).count() as u64,
            blocks,
            block_share: ratio(blocks as f64, (main.len() - 1) as f64),
            lost_at: owner.and_then(|host| host.replica().state().loss_of(&address)).map(|height| height.0),
        })
    };
    if stakes.is_empty() { Vec::new() } else { net.peers().filter_map(of_peer).collect() }
}

fn spread(trial: &Trial) -> Spread {
    let observed = trial.observed();
    let delays = &observed.delays;
    let micros = |value: u64| value as f64 / 1e6;
    let percentiles = [50.0, 90.0, 99.0, 99.9, 100.0];
    let main = observed.main_chain();
    let reach = |place: usize| {
        let spans =
            main[1..].iter().filter_map(|block: &&Found| Some(seconds(block.reached_at[place]?.since(block.at))));
        let (count, sum) = spans.fold((0_u32, 0.0), |(count, sum), span| (count + 1, sum + span));
        ratio(sum, f64::from(count))
    };
    Spread {
        delay_mean: delays.mean() / 1e6,
        delay_percentiles: percentiles
            .map(|share| (format!("{share}"), micros(delays.value_at_percentile(share))))
            .into(),
        reach_mean: REACHES.iter().enumerate().map(|(place, share)| (share.to_string(), reach(place))).collect(),
    }
}

fn payments(world: &World<Trial>) -> Payments {
    let trial = world.experiment();
    let confirmed = confirmed(world);
    let acknowledged = trial.acknowledged();
    let seconds = seconds(Duration::from_nanos(world.net().now().0));
    Payments {
        acknowledged: acknowledged.len() as u64,
        confirmed: acknowledged.keys().filter(|id| confirmed.contains(id)).count() as u64,
        refused: trial.refused.iter().map(|(reason, count)| (reason.to_string(), *count)).collect(),
        conflicts_seen: trial.observed().conflicts,
        confirmed_per_second: ratio(confirmed.len() as f64, seconds),
    }
}

/// The payments of the chain that most peers have, out of the disk of one that has it.
pub(crate) fn confirmed(world: &World<Trial>) -> BTreeSet<TxId> {
    bodies(world).flat_map(|(_, block)| block.payments().iter().map(Tx::id).collect::<Vec<_>>()).collect()
}

/// The blocks of the chain that most peers have, with their heights, out of the disk of one that has it.
pub(crate) fn bodies(world: &World<Trial>) -> impl Iterator<Item = (usize, Block)> + '_ {
    let (net, trial) = (world.net(), world.experiment());
    let tip = trial.observed().common_tip().id;
    let owner = net.peers().find(|peer| net.protocol(*peer).is_some_and(|host| host.replica().tip() == tip));
    let main = trial.observed().main_chain().into_iter().enumerate().skip(1);
    main.filter_map(move |(height, block)| Some((height, crate::trial::body(net, owner?, block.id)?)))
}

fn messages(world: &World<Trial>) -> Vec<KindFigures> {
    let node_blocks = world.net().len() as f64 * world.experiment().observed().height() as f64;
    let figures = |traffic: synod_machine::Traffic| KindFigures {
        kind: traffic.kind,
        messages: traffic.sent.messages,
        bytes: traffic.sent.bytes,
        per_node_block: ratio(traffic.sent.messages as f64, node_blocks),
    };
    world.net().counters().traffic.by_kind().into_iter().map(figures).collect()
}

/// The process's peak of resident memory, as Linux tells it.
fn memory_peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
}

fn seconds(span: Duration) -> f64 {
    span.as_secs_f64()
}

fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}
