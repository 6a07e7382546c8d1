//! The smaller sections of a scenario: churn, disks, load, when it ends, what it writes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use synod_consensus::Limits;
use synod_ledger::{INPUTS_MAX, OUTPUTS_MAX};
use synod_machine::{PeerId, Rng, Time};
use synod_sim::model::{Churn, Distribution, Span};

use super::{FOREVER, ScenarioError, Who};
use crate::{Clients, Comings, Load};

/// Peers that come and go: sessions and gaps by turns, in the stationary state from the first moment. A peer that goes is
/// killed, and what it wrote is on its disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ChurnConfig {
    /// How long a peer stays.
    pub sessions: Distribution,
    /// How long it stays away.
    pub gaps: Distribution,
    /// Which peers come and go.
    #[serde(default = "Who::everybody")]
    pub peers: Who,
    /// Before this they are all there.
    #[serde(default)]
    pub from: Span,
    /// From then on they are all there again. If left out, the run ends first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Span>,
}

/// How much each replica keeps. Defaults are those of real peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Recent blocks that are held in memory; older ones are read from disk.
    pub bodies: u32,
    /// Blocks that wait for their parents.
    pub orphans: u32,
    /// Payments that wait for a block.
    pub payments: u32,
}

/// Disks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct DiskConfig {
    /// How long a sync takes: what a peer says on the strength of a record leaves it that much later, and a crash may lose
    /// what is not synced. At 0, what is written is safe at once. SSDs take milliseconds.
    pub sync: Span,
}

/// Payments of people at random peers, with real signatures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LoadConfig {
    /// An open loop: payments per second of virtual time, on average; above 0. Whoever pays does not wait for earlier payments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// Or a closed loop: clients, each of whom waits for its payment before the next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clients: Option<ClientsConfig>,
    /// How payments are spaced, or how long clients think.
    #[serde(default)]
    pub arrivals: Arrivals,
    /// How much more some of the eight people pay than others: the k-th of them with a probability proportional to k^-exponent,
    /// from 0, where all pay alike, to 10.
    #[serde(default)]
    pub hot: f64,
    /// Coins that each spends, at most: from 1 to 512. A long payment fills a block with few messages.
    #[serde(default = "one_coin")]
    pub inputs: u32,
    /// Coins that each makes, the change among them: from 2 to 2048.
    #[serde(default = "two_coins")]
    pub outputs: u32,
    /// The share of payments, from 0 to 1, that are made twice, to different people through different peers: double spends.
    #[serde(default)]
    pub conflicts: f64,
    /// The first payment may come then. The default leaves time for peers to start, which they do within a second.
    #[serde(default = "after_start")]
    pub from: Span,
    /// None comes after this. If left out, they go on until enough blocks are found or the time is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Span>,
}

/// Clients, each of whom pays, waits until half of the peers have the block that makes the payment as deep as the scenario's
/// `confirmations` ask, thinks, and pays again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ClientsConfig {
    /// How many there are, from 1 to 100,000.
    pub count: u32,
    /// How long each thinks before it pays again, on average. At 0 it pays at once.
    #[serde(default)]
    pub think: Span,
    /// A client whose payment was refused, or whose peer says nothing, makes another after this time, which is above 0 and best
    /// above `disk.sync`. TCP's first time-out (RFC 6298).
    #[serde(default = "a_second")]
    pub retry: Span,
}

/// How payments are spaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Arrivals {
    /// All the same.
    Constant,
    /// Exponentially, as of many people who know nothing of each other: a Poisson process.
    #[default]
    Poisson,
}

/// When a run ends: at whichever comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct StopConfig {
    /// When the highest block has this height and all peers that are up have one tip; nobody mines or pays from that height
    /// on. If left out, the time alone ends the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocks: Option<u64>,
    /// At this virtual time, whatever the peers are doing.
    pub time: Span,
}

/// What must hold for a run to be a success.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// The blocks that `stop` asks for came in time, and all peers that are up have one tip.
    Agreement,
    /// Everything that can be judged from outside: blocks, coins, fork choice, promises, bounds. If the last action heals the
    /// network, the chain must go on and all peers must come to one tip after that; the run then ends when they have, and not
    /// by `stop`. It takes a second ledger, so that it is for small networks.
    Oracles,
}

/// Files that a run writes when the command line names a folder for them. Their names begin with the scenario's and the seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct OutputsConfig {
    /// What the run showed, as JSON: `NAME-SEED.json`.
    pub outcome: bool,
    /// For each block who found it, when, and when shares of the peers had it: `NAME-SEED.blocks.csv`.
    pub blocks: bool,
}

impl Default for OutputsConfig {
    fn default() -> Self {
        Self { outcome: true, blocks: false }
    }
}

impl Default for LimitsConfig {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            bodies: limits.bodies_max as u32,
            orphans: limits.orphans_max as u32,
            payments: limits.mempool.payments_max as u32,
        }
    }
}

impl LimitsConfig {
    pub(super) fn limits(&self) -> Result<Limits, ScenarioError> {
        for (field, got) in [("bodies", self.bodies), ("orphans", self.orphans), ("payments", self.payments)] {
            if got == 0 {
                return Err(ScenarioError::field(field, "at least 1", got));
            }
        }
        let (bodies_max, orphans_max) = (self.bodies as usize, self.orphans as usize);
        let mut limits = Limits { bodies_max, orphans_max, ..Limits::default() };
        limits.mempool.payments_max = self.payments as usize;
        Ok(limits)
    }
}

impl ChurnConfig {
    /// The comings and goings of each peer.
    pub(super) fn comings(&self, peers: u32, seed: u64) -> Result<Vec<(PeerId, Comings)>, ScenarioError> {
        let churn = Churn { sessions: self.sessions.clone(), gaps: self.gaps.clone() };
        let model = churn.compile().map_err(|error| match ScenarioError::model("", error) {
            ScenarioError::Field { field, expected, got, .. } => {
                ScenarioError::field(field.trim_start_matches('.'), expected, got)
            }
            other => other,
        })?;
        let (from, until) = (Time(self.from.nanos()), self.until.map_or(FOREVER, |until| Time(until.nanos())));
        if until <= from {
            let expected = format!("a time after `from`, which is {}", self.from);
            return Err(ScenarioError::field("until", expected, self.until.unwrap_or_default()));
        }
        let peers = self.peers.draw(peers, seed, "peers")?;
        let comings = |peer: PeerId| {
            let rng = Rng::new(seed, u64::from(peer.0), "churn");
            (peer, Comings::new(model.schedule(from, rng), from, until))
        };
        Ok(peers.into_iter().map(comings).collect())
    }
}

impl LoadConfig {
    pub(super) fn load(&self, stop: &StopConfig) -> Result<Load, ScenarioError> {
        let rate = self.rate.unwrap_or_default();
        let clients = self.clients.map(|clients| clients.clients()).transpose();
        let clients = clients.map_err(|error| error.within("clients"))?;
        match (self.rate, clients) {
            (Some(_), None) if !(rate > 0.0 && rate <= RATE_MAX) => {
                let expected = format!("a number of payments per second above 0 and at most {RATE_MAX}");
                return Err(ScenarioError::field("rate", expected, rate));
            }
            (Some(_), Some(_)) => return Err(ScenarioError::field("rate", EITHER, "both")),
            (None, None) => return Err(ScenarioError::field("rate", EITHER, "none of them")),
            (Some(_), None) | (None, Some(_)) => {}
        }
        if !(1..=INPUTS_MAX).contains(&(self.inputs as usize)) {
            return Err(ScenarioError::field("inputs", format!("from 1 to {INPUTS_MAX}"), self.inputs));
        }
        if !(2..=OUTPUTS_MAX).contains(&(self.outputs as usize)) {
            return Err(ScenarioError::field("outputs", format!("from 2 to {OUTPUTS_MAX}"), self.outputs));
        }
        if !(0.0..=1.0).contains(&self.conflicts) {
            return Err(ScenarioError::field("conflicts", "a share from 0 to 1", self.conflicts));
        }
        if clients.is_some() && self.conflicts > 0.0 {
            let expected = "0 beside `clients`, who would wait for payments that never come";
            return Err(ScenarioError::field("conflicts", expected, self.conflicts));
        }
        if !(0.0..=HOT_MAX).contains(&self.hot) {
            return Err(ScenarioError::field("hot", format!("a number from 0 to {HOT_MAX}"), self.hot));
        }
        let until = self.until.unwrap_or(stop.time);
        if until < self.from {
            let expected = format!("a time not before `from`, which is {}", self.from);
            return Err(ScenarioError::field("until", expected, until));
        }
        Ok(Load {
            rate,
            clients,
            arrivals: self.arrivals,
            hot: self.hot,
            inputs: self.inputs as usize,
            outputs: self.outputs as usize,
            conflicts: self.conflicts,
            from: Time(self.from.nanos()),
            until: Time(until.nanos()),
        })
    }
}

impl ClientsConfig {
    fn clients(&self) -> Result<Clients, ScenarioError> {
        if !(1..=CLIENTS_MAX).contains(&self.count) {
            return Err(ScenarioError::field("count", format!("from 1 to {CLIENTS_MAX}"), self.count));
        }
        if self.retry == Span::ZERO {
            return Err(ScenarioError::field("retry", "a time above 0", self.retry));
        }
        Ok(Clients { count: self.count, think: self.think.duration(), retry: self.retry.duration() })
    }
}

impl StopConfig {
    pub(super) fn check(&self) -> Result<(), ScenarioError> {
        if self.time == Span::ZERO {
            return Err(ScenarioError::field("time", "a duration above 0", self.time));
        }
        if self.blocks == Some(0) {
            return Err(ScenarioError::field("blocks", "at least 1, or no such line", 0));
        }
        Ok(())
    }
}

/// At this exponent nine hundred and ninety-nine of a thousand payments are of one person.
const HOT_MAX: f64 = 10.0;

/// A payment a microsecond.
const RATE_MAX: f64 = 1e6;

/// As many users as TCP leaves ports for, and somewhat more.
const CLIENTS_MAX: u32 = 100_000;

const EITHER: &str =
    "either `rate`, for payments that come when they are due, or `clients`, who wait for each of theirs";

const fn a_second() -> Span {
    Span::from_millis(1_000)
}

const fn one_coin() -> u32 {
    1
}

const fn two_coins() -> u32 {
    2
}

const fn after_start() -> Span {
    Span::from_millis(2_000)
}
