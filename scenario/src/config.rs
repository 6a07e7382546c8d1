//! A scenario as people write it: one TOML file, strict about unknown fields, every field with its unit, its default and the
//! default's source.
//!
//! [`Scenario::parse`] reads and checks a text, [`Scenario::plan`] draws what a seed determines, and [`Scenario::to_toml`]
//! writes a scenario that was made by a program, so that it can be run again from a file.

mod actions;
mod adversaries;
mod chain;
mod error;
mod gossip;
mod reference;
mod sections;
mod who;

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use synod_consensus::adversary;
use synod_machine::{PeerId, Rng, Time};
use synod_sim::model::{Links, Span, Topology};

use crate::{Comings, Load, Plan, Stop};

pub use actions::{Action, Conduct, Direction, Tail};
pub use adversaries::{AdversaryConfig, Vice};
pub(crate) use chain::NOMINAL_HASH_RATE;
pub use chain::{ChainConfig, Coins, EngineConfig, MiningConfig, Power, Retarget};
pub use error::{Place, ScenarioError};
pub use gossip::{FloodConfig, GossipConfig, Interest, MeshConfig, Mode, Phase, RumourConfig};
pub use reference::{reference, schema};
pub use sections::{
    Arrivals, Check, ChurnConfig, ClientsConfig, DiskConfig, LimitsConfig, LoadConfig, OutputsConfig, StopConfig,
};
pub use who::{Stretch, Who};

/// A scenario: what is run, and when it ends. A run is determined by the scenario, the seed and the version of the program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Scenario {
    /// A short name, which reports and files have: letters, digits, `-` and `_`, at most 64.
    pub name: String,
    /// What it is about, in a sentence or two.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub about: String,
    /// What determines everything that is drawn, unless the command line names another seed.
    #[serde(default = "first_seed")]
    pub seed: u64,
    /// How many peers there are, from 1 to a million.
    pub peers: u32,
    /// Whether every message and record is encoded and decoded on its way, and not only counted by its encoded size. Slower,
    /// and otherwise the same.
    #[serde(default)]
    pub codec: bool,
    /// From this depth on a payment counts as confirmed: what is lost after that was lost by the protocol. Bitcoin's custom.
    #[serde(default = "six_blocks")]
    pub confirmations: u64,
    /// Peers that do not start with the others, but by an action.
    #[serde(default = "Who::nobody")]
    pub absent: Who,
    /// The chain.
    #[serde(default)]
    pub chain: ChainConfig,
    /// Who mines.
    #[serde(default)]
    pub mining: MiningConfig,
    /// How blocks and payments spread.
    #[serde(default)]
    pub gossip: GossipConfig,
    /// Who has a link to whom when the run begins.
    pub topology: Topology,
    /// What links and access lines are like.
    pub links: Links,
    /// How much each replica keeps.
    #[serde(default)]
    pub limits: LimitsConfig,
    /// Disks.
    #[serde(default)]
    pub disk: DiskConfig,
    /// Peers that come and go. If left out, none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub churn: Option<ChurnConfig>,
    /// Who pays how often. If left out, nobody does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<LoadConfig>,
    /// Validators that are not honest, as long as the run lasts. If left out, all are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adversaries: Vec<AdversaryConfig>,
    /// What is done to peers at set times.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<Action>,
    /// When the run ends: at whichever comes first.
    pub stop: StopConfig,
    /// What must hold at the end, or the run has failed. Peers' own invariants are checked at every step in any case.
    #[serde(default = "agreement")]
    pub checks: BTreeSet<Check>,
    /// Files that a run writes when the command line names a folder for them.
    #[serde(default)]
    pub outputs: OutputsConfig,
}

impl Scenario {
    /// The scenario that a text is. Mistakes are told with their line.
    pub fn parse(text: &str) -> Result<Self, ScenarioError> {
        let scenario: Self = toml::from_str(text).map_err(|error| ScenarioError::syntax(text, &error))?;
        scenario.check().map_err(|error| error.located(text))?;
        Ok(scenario)
    }

    /// The text that [`Scenario::parse`] reads as this scenario. Defaults are written out, so that it stays the same run when
    /// they change.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a scenario is a table of values and tables")
    }

    /// What can be checked without a seed and without reading files. [`Scenario::plan`] does it, too.
    pub fn check(&self) -> Result<(), ScenarioError> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if self.name.is_empty() || self.name.len() > NAME_BYTES_MAX || !self.name.chars().all(is_plain) {
            let expected = format!("1 to {NAME_BYTES_MAX} letters, digits, - and _");
            return Err(ScenarioError::field("name", expected, format!("`{}`", self.name)));
        }
        if !(1..=PEERS_MAX).contains(&self.peers) {
            return Err(ScenarioError::field("peers", format!("from 1 to {PEERS_MAX}"), self.peers));
        }
        self.links.check().map_err(|error| ScenarioError::model("links", error))?;
        self.stop.check().map_err(|error| error.within("stop"))?;
        self.limits.limits().map_err(|error| error.within("limits"))?;
        // What is left needs no files, but a seed to draw groups with; whether they can be drawn does not depend on it.
        self.draw(self.seed).map(|_| ())
    }

    /// The run of this seed: everything checked, and drawn. `read` gives the text of a file that the scenario names, by its path
    /// relative to the scenario's own folder.
    pub fn plan(&self, seed: u64, read: impl Fn(&str) -> io::Result<String>) -> Result<Plan, ScenarioError> {
        self.check()?;
        let drawn = self.draw(seed)?;
        let mut rng = Rng::new(seed, 0, "topology");
        let graph = self.topology.build(self.peers, &mut rng, &read);
        let links = self.links.compile(seed, &read);
        Ok(Plan {
            name: self.name.clone(),
            seed,
            chain: self.chain.chain(&self.name, seed).map_err(|error| error.within("chain"))?,
            gossip: self.gossip.params(seed).map_err(|error| error.within("gossip"))?,
            limits: self.limits.limits().map_err(|error| error.within("limits"))?,
            power: drawn.power,
            hash_rate: self.mining.hash_rate,
            graph: graph.map_err(|error| ScenarioError::model("topology", error))?,
            links: links.map_err(|error| ScenarioError::model("links", error))?,
            disk_sync: self.disk.sync.duration(),
            codec: self.codec,
            load: drawn.load,
            deeds: drawn.deeds,
            churn: drawn.churn,
            stop: Stop { blocks: self.stop.blocks.unwrap_or(u64::MAX), time: Time(self.stop.time.nanos()) },
            absent: drawn.absent,
            confirmations: self.confirmations,
            adversaries: drawn.adversaries,
        })
    }

    /// What the seed determines beside the network.
    fn draw(&self, seed: u64) -> Result<Drawn, ScenarioError> {
        self.chain.chain(&self.name, seed).map_err(|error| error.within("chain"))?;
        self.gossip.params(seed).map_err(|error| error.within("gossip"))?;
        let mut deeds = Vec::new();
        for (place, action) in self.actions.iter().enumerate() {
            let deed = action.deed(self.peers, seed);
            deeds.push(deed.map_err(|error| error.within(&format!("actions[{place}]")))?);
        }
        // Actions of one time are done in the order in which they are written.
        deeds.sort_by_key(|(at, _)| *at);
        let churn = self.churn.as_ref().map(|churn| churn.comings(self.peers, seed)).transpose();
        let load = self.load.as_ref().map(|load| load.load(&self.stop)).transpose();
        let load = load.map_err(|error| error.within("load"))?.unwrap_or(Load::NONE);
        if let Some(clients) = load.clients.as_ref().filter(|clients| clients.retry <= self.disk.sync.duration()) {
            let expected = "longer than disk.sync: who is not answered yet would pay again";
            return Err(ScenarioError::field(
                "load.clients.retry",
                expected,
                Span::from_nanos(clients.retry.as_nanos() as u64),
            ));
        }
        Ok(Drawn {
            power: self.mining.power(self.peers, seed).map_err(|error| error.within("mining"))?,
            load,
            deeds,
            churn: churn.map_err(|error| error.within("churn"))?.unwrap_or_default(),
            absent: self.absent.draw(self.peers, seed, "absent")?,
            adversaries: adversaries::draw(&self.adversaries, &self.chain.engine, self.peers, seed)?,
        })
    }
}

/// What a seed determines beside the network.
struct Drawn {
    power: Vec<u64>,
    load: Load,
    deeds: Vec<(Time, crate::Deed)>,
    churn: Vec<(PeerId, Comings)>,
    absent: Vec<PeerId>,
    adversaries: BTreeMap<PeerId, adversary::Behaviour>,
}

/// The longest name, in bytes: what a chain's name may have.
const NAME_BYTES_MAX: usize = 64;
/// More do not fit into the memory of any machine that this was tried on.
const PEERS_MAX: u32 = 1_000_000;
/// Twice over, so that what is added to it does not pass what 64 bits hold.
pub(crate) const FOREVER: Time = Time(u64::MAX / 2);

fn agreement() -> BTreeSet<Check> {
    [Check::Agreement].into()
}

const fn first_seed() -> u64 {
    1
}

/// Nakamoto 2008, section 11, as Bitcoin Core's wallet shows it.
const fn six_blocks() -> u64 {
    6
}

#[cfg(test)]
mod tests;
