//! A scenario as real peers can honour it: the network's settings, each peer's configuration, and the order of starting. What
//! they cannot honour is refused by its field's name, and never left out silently.

use synod_dht::mesh;
use synod_machine::Rng;
use synod_node::config::{Config, NetworkConfig};
use synod_scenario::Plan;
use synod_scenario::config::{
    Arrivals, DiskConfig, EngineConfig, GossipConfig, LimitsConfig, MeshConfig, Retarget, Scenario,
};
use synod_sim::model::{Distribution, Links};

use crate::create;
use crate::error::LabError;
use crate::settings::{Consensus, Gossip, LedgerSettings, Manifest, NODES_MAX, Settings, WalletSettings};

/// How a scenario's peers are laid out.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) settings: Settings,
    /// Places in the order in which they are started.
    pub(super) order: Vec<usize>,
    /// Whom each place dials: those of its neighbours that were started before it.
    pub(super) dials: Vec<Vec<usize>>,
    /// How many neighbours each place has.
    degrees: Vec<usize>,
    /// Hashes per second of each place.
    hash_rates: Vec<u64>,
    /// What every link adds in each direction.
    pub(super) delay_ms: u64,
    /// Payments per second.
    pub(super) rate: f64,
    /// How many blocks the span has.
    pub(super) blocks: u64,
}

impl Layout {
    /// The layout of a scenario's run, or what of it real peers cannot honour.
    pub(super) fn new(scenario: &Scenario, plan: &Plan, gossip: Gossip) -> Result<Self, LabError> {
        if scenario.stop.blocks.is_none() {
            return refuse("stop.blocks", "a number of blocks, over which is counted");
        }
        Self::laid_out(scenario, plan, gossip)
    }

    /// The same for a run that is counted over a span of time. The load that pays sees a payment in a block and follows it no further.
    pub(super) fn windowed(scenario: &Scenario, plan: &Plan, gossip: Gossip) -> Result<Self, LabError> {
        if plan.confirmations != 1 {
            return refuse("confirmations", "1");
        }
        if plan.load.rate > 0.0 && plan.load.arrivals != Arrivals::Constant {
            return refuse("load.arrivals", "constant");
        }
        Self::laid_out(scenario, plan, gossip)
    }

    fn laid_out(scenario: &Scenario, plan: &Plan, gossip: Gossip) -> Result<Self, LabError> {
        check(scenario, plan, gossip)?;
        let count = plan.graph.peers() as usize;
        let mut order: Vec<usize> = (0..count).collect();
        let mut rng = Rng::new(plan.seed, 0, "starts");
        for place in (1..count).rev() {
            order.swap(place, rng.below(place as u64 + 1) as usize);
        }
        let neighbours = |place: usize| plan.graph.neighbours(place as u32).iter().map(|other| *other as usize);
        let rank = |place: usize| order.iter().position(|other| *other == place);
        let dials = (0..count).map(|place| neighbours(place).filter(|other| rank(*other) < rank(place)).collect());
        let dials: Vec<Vec<usize>> = dials.collect();
        let power: u64 = plan.power.iter().sum();
        let total = (HASH_RATE * count as u64) as f64 * plan.hash_rate;
        let hash_rate = |share: &u64| (total * *share as f64 / power.max(1) as f64).round() as u64;
        Ok(Self {
            settings: settings(scenario, gossip),
            degrees: (0..count).map(|place| neighbours(place).count()).collect(),
            dials,
            order,
            hash_rates: plan.power.iter().map(hash_rate).collect(),
            delay_ms: delay_ms(&scenario.links)?,
            rate: plan.load.rate,
            blocks: plan.stop.blocks,
        })
    }

    /// The configuration of the peer at `place`: the network's usual one, but for whom it is linked to and how it mines.
    pub(super) fn config(&self, manifest: &Manifest, place: usize) -> Config {
        let usual = create::node_config(manifest, place);
        let address = |other: &usize| {
            let entry = &manifest.peers[*other];
            let text = format!("/ip4/127.0.0.1/tcp/{}/p2p/{}", entry.port, entry.peer_id);
            text.parse().expect("the address is our own")
        };
        let degree = self.degrees[place];
        Config {
            bootstrap: self.dials[place].iter().map(address).collect(),
            mining: usual
                .mining
                .map(|mining| synod_node::config::MiningConfig { hash_rate: self.hash_rates[place], ..mining }),
            network: NetworkConfig {
                neighbours_min: degree,
                // Two dials that cross make two for a moment.
                connections_max: 2 * degree.max(1),
                discover: false,
                kad_public: false,
                ..usual.network
            },
            ..usual
        }
    }
}

fn settings(scenario: &Scenario, gossip: Gossip) -> Settings {
    let chain = &scenario.chain;
    let usual = Settings::default();
    let (consensus, validators, stake, slasher) = match &chain.engine {
        EngineConfig::Pow => (Consensus::Pow, usual.validators, usual.stake, usual.slasher),
        EngineConfig::Pbft { validators, .. } => (Consensus::Pbft, *validators as usize, usual.stake, usual.slasher),
        EngineConfig::Pos { stake, slasher, .. } => (Consensus::Pos, usual.validators, stake.0, *slasher),
    };
    let wallet = |person: u8| WalletSettings { name: wallet(person), amount: chain.balance.0, coins: chain.coins };
    Settings {
        name: scenario.name.clone(),
        nodes: scenario.peers as usize,
        consensus,
        validators,
        stake,
        slasher,
        hash_rate: HASH_RATE,
        block_time: chain.block_time.duration(),
        retarget_window: match chain.retarget {
            Retarget::Lwma { window } => window,
            Retarget::Off => 0,
        },
        gossip,
        ledger: LedgerSettings {
            subsidy: chain.subsidy.0,
            halving_interval: chain.halving_interval,
            maturity: chain.maturity,
            block_bytes_max: chain.block_bytes_max,
            fee_min: chain.fee_min.0,
        },
        wallets: (0..synod_scenario::payer::PEOPLE).map(wallet).collect(),
        ..usual
    }
}

/// The name of a person's wallet.
pub(super) fn wallet(person: u8) -> String {
    format!("person{person}")
}

fn check(scenario: &Scenario, plan: &Plan, gossip: Gossip) -> Result<(), LabError> {
    if !(2..=NODES_MAX).contains(&(scenario.peers as usize)) {
        return refuse("peers", "from 2 to 500");
    }
    if !scenario.actions.is_empty() {
        return refuse("actions", "none; `synod fault` does such things to a network that `synod up` started");
    }
    if scenario.churn.is_some() {
        return refuse("churn", "none");
    }
    if !plan.absent.is_empty() {
        return refuse("absent", "nobody");
    }
    if scenario.limits != LimitsConfig::default() {
        return refuse("limits", "the defaults");
    }
    check_engine(scenario)?;
    if !scenario.adversaries.is_empty() {
        return refuse("adversaries", "none");
    }
    if scenario.disk != DiskConfig::default() {
        return refuse("disk", "the default; real disks take the time that they take");
    }
    if plan.power.iter().sum::<u64>() == 0 || plan.hash_rate == 0.0 {
        return refuse("mining", "somebody who mines");
    }
    let load = &plan.load;
    if load.clients.is_some() {
        return refuse("load.clients", "none, but a `rate`: payments on real peers do not wait for each other");
    }
    if load.rate > 0.0 && (load.inputs, load.outputs, load.conflicts) != (1, 2, 0.0) {
        return refuse("load", "one input, two outputs and no conflicts");
    }
    if load.rate > 0.0 && load.hot != 0.0 {
        return refuse("load.hot", "0: all people pay alike");
    }
    match (gossip, &scenario.gossip) {
        (Gossip::Gossipsub, _) | (Gossip::Flood, GossipConfig::Flood(_)) => Ok(()),
        (Gossip::Mesh, GossipConfig::Mesh(config)) if *config == node_mesh() => Ok(()),
        (Gossip::Mesh, GossipConfig::Mesh(_)) => {
            refuse("gossip", "the parameters of a node's mesh: the defaults, with flood-publish = false")
        }
        (Gossip::Flood | Gossip::Mesh, _) => refuse("gossip", "the machine that --gossip names"),
    }
}

/// Engines' parameters are those of the networks that `synod up` makes.
fn check_engine(scenario: &Scenario) -> Result<(), LabError> {
    match &scenario.chain.engine {
        EngineConfig::Pow => Ok(()),
        EngineConfig::Pbft { view_timeout, batch_delay, batch_max, checkpoint_interval, watermark_window, .. } => {
            let got = (view_timeout.nanos(), batch_delay.nanos(), *batch_max, *checkpoint_interval, *watermark_window);
            if got != (2_000_000_000, 10_000_000, 1_000, 100, 200) {
                let expected = "view-timeout 2 s, batch-delay 10 ms, batch-max 1000, checkpoint-interval 100, watermark-window 200";
                return refuse("chain.engine", expected);
            }
            Ok(())
        }
        EngineConfig::Pos { minters, shares, finder_share, stake_depth, unbonding, .. } => {
            let is_usual = (*minters, *finder_share, *stake_depth, *unbonding) == (scenario.peers, 10, 32, 256);
            if !is_usual || !shares.is_empty() {
                let expected =
                    "as many minters as peers, the same stake for each, finder-share 10, stake-depth 32, unbonding 256";
                return refuse("chain.engine", expected);
            }
            Ok(())
        }
    }
}

fn refuse<T>(field: &str, expected: &str) -> Result<T, LabError> {
    Err(LabError::Unreal { field: field.to_owned(), expected: expected.to_owned() })
}

/// The gossip that real peers are to use for a scenario that names no other.
pub(super) fn gossip_of(scenario: &Scenario) -> Result<Gossip, LabError> {
    match &scenario.gossip {
        GossipConfig::Flood(_) => Ok(Gossip::Flood),
        GossipConfig::Mesh(_) => Ok(Gossip::Mesh),
        GossipConfig::Rumour(_) => {
            let expected = "mesh or flood; rumours need peers that can connect to anybody".to_owned();
            Err(LabError::Unreal { field: "gossip".to_owned(), expected })
        }
    }
}

/// A node's mesh in a scenario's words.
fn node_mesh() -> MeshConfig {
    let mesh::Params { flood_publish, .. } = synod_node::mesh_params(Rng::new(0, 0, "unused"));
    MeshConfig { flood_publish, ..MeshConfig::default() }
}

fn delay_ms(links: &Links) -> Result<u64, LabError> {
    let refuse = |field: &str, expected: &str| refuse(&format!("links.{field}"), expected);
    let Some(Distribution::Constant { value }) = &links.delay else {
        return refuse("delay", "one duration for all links");
    };
    if (links.loss, links.duplicate, links.reorder) != (0.0, 0.0, 0.0) {
        return refuse("loss", "none, and neither duplicates nor overtaking: real links are streams");
    }
    if links.jitter.is_some() || links.upload.is_some() || links.download.is_some() {
        return refuse("jitter", "none, and no bandwidths");
    }
    let delay = value.duration();
    if delay.subsec_nanos() % 1_000_000 != 0 {
        return refuse("delay", "whole milliseconds");
    }
    Ok(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX))
}

/// Hashes per second of a peer with an equal share: low enough that all peers' grinding leaves a machine free, high enough that
/// a block takes thousands of tries, so that the time between blocks is exponential.
const HASH_RATE: u64 = 20_000;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const SMALL: &str = include_str!("../../../scenarios/pow-small.toml");

    fn layout(text: &str) -> Result<Layout, LabError> {
        let scenario = Scenario::parse(text).expect("a scenario");
        let plan = scenario.plan(1, |_| unreachable!("it names no file")).expect("a plan");
        let gossip = gossip_of(&scenario)?;
        Layout::new(&scenario, &plan, gossip)
    }

    #[test]
    fn each_link_is_dialled_once_by_whichever_end_starts_later() {
        let ring = SMALL.replace("kind = \"complete\"", "kind = \"random-regular\"\ndegree = 4");
        for (text, degree) in [(SMALL, 11), (&ring, 4)] {
            let layout = layout(text).expect("real peers can honour it");
            let mut links = BTreeSet::new();
            for (count, &place) in layout.order.iter().enumerate() {
                for other in &layout.dials[place] {
                    assert!(layout.order[..count].contains(other), "it is up when it is dialled");
                    assert!(links.insert((place.min(*other), place.max(*other))), "one end dials");
                }
            }
            assert_eq!(links.len(), 12 * degree / 2);
            assert_eq!(layout.degrees, [degree; 12]);
        }
    }

    #[test]
    fn a_scenarios_figures_are_the_networks() {
        let layout = layout(SMALL).expect("real peers can honour it");
        let Settings { nodes, hash_rate, gossip, wallets, .. } = &layout.settings;
        assert_eq!((*nodes, *hash_rate, *gossip, wallets.len()), (12, 20_000, Gossip::Mesh, 8));
        assert_eq!(layout.hash_rates, [20_000; 12]);
        assert_eq!((layout.delay_ms, layout.rate, layout.blocks), (20, 5.0, 30));
    }

    #[test]
    fn shares_of_hash_power_are_honoured() {
        let shares = format!(
            "{SMALL}\n[mining]\nhash-rate = 0.5\nminers = [\"0-1\"]\npower = {{ kind = \"listed\", shares = [3, 1] }}\n"
        );
        let layout = layout(&shares).expect("real peers can honour it");
        assert_eq!(layout.hash_rates[..3], [90_000, 30_000, 0]);
    }

    #[test]
    fn what_real_peers_cannot_honour_is_refused_by_its_name() {
        let cases = [
            ("delay = \"20 ms\"", "delay = { kind = \"exponential\", mean = \"20 ms\" }", "links.delay"),
            ("delay = \"20 ms\"", "delay = \"20500 us\"", "links.delay"),
            ("delay = \"20 ms\"", "delay = \"20 ms\"\nloss = 0.1", "links.loss"),
            ("delay = \"20 ms\"", "delay = \"20 ms\"\nupload = \"1 MB/s\"", "links.jitter"),
            ("flood-publish = false", "flood-publish = true", "gossip"),
            ("kind = \"mesh\"\nflood-publish = false", "kind = \"rumour\"", "gossip"),
            ("rate = 5.0", "rate = 5.0\noutputs = 9", "load"),
            ("rate = 5.0", "clients = { count = 5 }", "load.clients"),
            ("blocks = 30", "", "stop.blocks"),
            ("peers = 12", "peers = 501", "peers"),
            ("peers = 12", "peers = 12\nabsent = [3]", "absent"),
        ];
        for (right, wrong, name) in cases {
            assert!(SMALL.contains(right), "{right}");
            match layout(&SMALL.replace(right, wrong)) {
                Err(LabError::Unreal { field, .. }) => assert_eq!(field, name, "{wrong}"),
                other => panic!("{wrong}: {other:?}"),
            }
        }
    }
}
