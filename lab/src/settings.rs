//! What a local network is made of: the settings that `synod up` takes, from its options or from a TOML file, and the
//! manifest `net.toml` that it leaves in the network's directory. Every setting has a default.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use synod_consensus::adversary::Behaviour;
use synod_ledger::{Address, Amount, LedgerParams, STAKE_BLOCK_TIME_MIN_MS, VALIDATORS_MAX, VALIDATORS_MIN};
use synod_node::config::{ConfigError, DhtKind, GossipKind, MULTI_MINTER, SELFISH_MINER, SearchKind};

use crate::error::LabError;

/// The version of the manifest's layout that this program writes and reads.
pub const SCHEMA: u32 = 1;

/// The manifest's name in a network's directory.
pub const MANIFEST: &str = "net.toml";

/// More peers than this on one machine are a mistake in the command line: each needs some 40 MB.
pub const NODES_MAX: usize = 500;

/// How the peers agree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Consensus {
    /// Practical Byzantine fault tolerance: validators vote, and what a quorum signed is final.
    Pbft,
    /// Proof of stake: one try per second and wallet, by the size of its stake.
    Pos,
    /// Proof of work: SHA-256 with a hash-rate budget per peer.
    #[default]
    Pow,
}

/// What the peers' connections run over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Both; peers may be connected over either.
    Both,
    /// QUIC alone. Its links cannot be shaped.
    Quic,
    /// TCP alone: all faults work on it.
    #[default]
    Tcp,
}

/// Who carries blocks and payments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Gossip {
    /// Flooding: every peer sends what is new to it to all its neighbours.
    Flood,
    /// libp2p's gossipsub, which other libp2p programs speak.
    #[default]
    Gossipsub,
    /// The simulator's mesh, after the idea of gossipsub.
    Mesh,
}

impl Gossip {
    /// The same in a node's words.
    pub const fn kind(self) -> GossipKind {
        match self {
            Self::Flood => GossipKind::Flood,
            Self::Gossipsub => GossipKind::Gossipsub,
            Self::Mesh => GossipKind::Mesh,
        }
    }
}

/// The settings of a network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// What people call the network; part of the genesis.
    pub name: String,
    /// How many peers it has.
    pub nodes: usize,
    /// How many of them, the last ones, keep headers alone.
    pub light: usize,
    /// How many of them vote, the first ones, where validators do; 0 for all full ones, up to 128.
    pub validators: usize,
    /// How they agree.
    pub consensus: Consensus,
    /// Hashes per second of each peer, as `50k`; 0 for a network in which nobody mines.
    #[serde(with = "hash_rate")]
    pub hash_rate: u64,
    /// The time between blocks, as `2s`.
    #[serde(with = "duration")]
    pub block_time: Duration,
    /// Whether who signs two blocks loses its stake, where blocks are made by stake.
    pub slasher: bool,
    /// What each peer has locked as stake from the beginning, where blocks are made by stake, in coins.
    #[serde(with = "coins")]
    pub stake: Amount,
    /// How many blocks the retarget rule (LWMA) looks back on; 0 keeps the first target for ever.
    pub retarget_window: u32,
    /// What connections run over.
    pub transport: Transport,
    /// Who carries blocks and payments.
    pub gossip: Gossip,
    /// Distributed hash tables that all peers take part in.
    pub dht: Vec<DhtKind>,
    /// Searches that all peers take part in. The first peer is the central index's server.
    pub search: Vec<SearchKind>,
    /// Validators, stakes' owners or miners that are not honest, and how each behaves.
    pub adversaries: BTreeMap<String, String>,
    /// The rules of money.
    pub ledger: LedgerSettings,
    /// Who owns coins from the beginning.
    pub wallets: Vec<WalletSettings>,
}

/// The rules of money.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LedgerSettings {
    /// What a block creates at first, in coins.
    #[serde(with = "coins")]
    pub subsidy: Amount,
    /// Blocks after which the subsidy is halved.
    pub halving_interval: u64,
    /// Blocks before a coinbase may be spent.
    pub maturity: u64,
    /// The longest block, in bytes.
    pub block_bytes_max: u32,
    /// The lowest fee of a payment, in coins.
    #[serde(with = "coins")]
    pub fee_min: Amount,
}

/// A wallet that the genesis gives coins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WalletSettings {
    /// Its name.
    pub name: String,
    /// How much it gets, in coins.
    #[serde(with = "coins")]
    pub amount: Amount,
    /// Into how many outputs of the genesis that is split.
    #[serde(default = "one")]
    pub coins: u32,
}

impl Default for Settings {
    fn default() -> Self {
        let wallet = |name: &str| WalletSettings {
            name: name.to_owned(),
            amount: Amount::from_coins(1_000), // Enough for a long tour, little beside a few hundred subsidies.
            coins: 100, // So many payments of one wallet can be under way without waiting for a block.
        };
        Self {
            name: "local".to_owned(),
            light: 0, // Who has no blocks makes none and serves none.
            validators: 0,
            nodes: 5, // Issue 2: `synod up [--nodes 5]`.
            consensus: Consensus::Pow,
            hash_rate: 50_000, // Issue 2: `--hash-rate 50k`; twenty-five such peers take a tenth of a core.
            block_time: Duration::from_secs(2), // Issue 2: `--block-time 2s`.
            slasher: true,
            stake: Amount::from_coins(1_000), // As much as each wallet has.
            retarget_window: 60, // LWMA's author advises 60; two minutes at two seconds, so a tour sees it work.
            transport: Transport::Tcp, // DESIGN section 3: shaped networks use TCP.
            gossip: Gossip::Gossipsub, // DESIGN section 3: what strangers' clients hear.
            dht: Vec::new(),     // Upkeep costs; whoever compares overlays says which.
            search: Vec::new(),  // The same.
            adversaries: BTreeMap::new(), // Peers are honest unless somebody experiments.
            ledger: LedgerSettings::default(),
            wallets: ["alice", "bob", "carol", "dave", "erin"].map(wallet).into(),
        }
    }
}

impl Default for LedgerSettings {
    fn default() -> Self {
        Self {
            subsidy: Amount::from_coins(50), // Bitcoin's first subsidy.
            halving_interval: 200_000,       // 20 million in all: the rest of the 21 million is for the genesis.
            maturity: 10,                    // Bitcoin has 100; here deeper reorganisations than ten are staged ones.
            block_bytes_max: 1 << 20,        // Bitcoin's 1 MB: some 3,000 payments a block.
            fee_min: Amount(1_000),          // 0.00001 coins, Bitcoin's default of 1 per byte for a small payment.
        }
    }
}

impl LedgerSettings {
    /// The same in the ledger's words.
    pub fn params(&self) -> LedgerParams {
        LedgerParams {
            subsidy: self.subsidy,
            halving_interval: self.halving_interval,
            maturity: self.maturity,
            block_bytes_max: self.block_bytes_max,
            fee_min: self.fee_min,
        }
    }
}

impl Settings {
    /// Reads a settings file.
    pub fn load(path: &Path) -> Result<Self, LabError> {
        let text = fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let settings: Self = toml::from_str(&text).map_err(|error| LabError::toml(path, &error))?;
        settings.check()?;
        Ok(settings)
    }

    /// How many peers keep blocks and coins: the first ones.
    pub const fn full_count(&self) -> usize {
        self.nodes.saturating_sub(self.light)
    }

    /// How many peers vote; nobody where blocks are found.
    pub fn validator_count(&self) -> usize {
        match (self.consensus, self.validators) {
            (Consensus::Pos | Consensus::Pow, _) => 0,
            (Consensus::Pbft, 0) => self.full_count().min(VALIDATORS_MAX),
            (Consensus::Pbft, count) => count,
        }
    }

    /// Whether a network can be made of them.
    pub fn check(&self) -> Result<(), LabError> {
        let setting = |name, expected| Err(LabError::Setting { name, expected });
        if self.nodes == 0 || self.nodes > NODES_MAX {
            return setting("nodes", "from 1 to 500");
        }
        if self.light >= self.nodes {
            return setting("light", "fewer than there are peers: somebody has to keep the blocks");
        }
        if self.light > 0 && self.consensus == Consensus::Pos {
            return setting("light", "0 where blocks are made by stake: a header proves nothing without the coins");
        }
        if self.consensus == Consensus::Pos && self.block_time.as_millis() < u128::from(STAKE_BLOCK_TIME_MIN_MS) {
            return setting("block_time", "at least 2s where blocks are made by stake, which has a try each second");
        }
        let most = self.full_count().min(VALIDATORS_MAX);
        if self.consensus == Consensus::Pbft && !(VALIDATORS_MIN..=most).contains(&self.validator_count()) {
            return setting("validators", "from 4 to 128, and as many as there are full peers at most");
        }
        if self.block_time < Duration::from_millis(100) || self.block_time > Duration::from_secs(86_400) {
            return setting("block_time", "from 100ms to 24h");
        }
        self.check_adversaries()?;
        let mut names: Vec<&str> = self.wallets.iter().map(|wallet| wallet.name.as_str()).collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| pair[0] == pair[1]) {
            return setting("wallets", "each name once");
        }
        names.into_iter().try_for_each(crate::wallets::check_name)
    }

    fn check_adversaries(&self) -> Result<(), LabError> {
        let (count, who, known): (usize, &str, &[&str]) = match self.consensus {
            Consensus::Pbft => (self.validator_count(), "validators", &Behaviour::NAMES),
            Consensus::Pos => (self.nodes, "stakes' owners", &[MULTI_MINTER]),
            Consensus::Pow => (self.full_count(), "miners", &[SELFISH_MINER]),
        };
        let those: Vec<String> = (0..count).map(peer_name).collect();
        for (peer, behaviour) in &self.adversaries {
            if !those.contains(peer) {
                let named = format!("the {who} {} to {}", those[0], those[those.len() - 1]);
                return Err(LabError::Adversary { expected: named, got: peer.clone() });
            }
            if !known.contains(&behaviour.as_str()) {
                return Err(LabError::Adversary { expected: known.join(", "), got: behaviour.clone() });
            }
        }
        Ok(())
    }
}

/// The name of the peer at that place.
pub fn peer_name(place: usize) -> String {
    format!("peer{}", place + 1)
}

/// The manifest of a network: `net.toml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The layout's version, [`SCHEMA`].
    pub schema: u32,
    /// The chain's id, which the genesis gives.
    pub chain_id: String,
    /// What the network was made of.
    pub settings: Settings,
    /// Its peers.
    pub peers: Vec<PeerEntry>,
}

/// A peer of a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerEntry {
    /// Its name, and that of its directory.
    pub name: String,
    /// Its libp2p peer id.
    pub peer_id: String,
    /// Who is paid for its blocks.
    pub miner: Address,
    /// The port that it listens on for peers: TCP, UDP for QUIC, or both.
    pub port: u16,
    /// The port of its HTTP API.
    pub api_port: u16,
}

impl Manifest {
    /// Reads the manifest of the network in `dir`; none where there is no network.
    pub fn load(dir: &Path) -> Result<Option<Self>, LabError> {
        let path = dir.join(MANIFEST);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(LabError::io(&path, error)),
        };
        #[derive(Deserialize)]
        struct Version {
            schema: u32,
        }
        // The version first: another version's other fields are no reason to call the file malformed.
        let version: Version = toml::from_str(&text).map_err(|error| LabError::toml(&path, &error))?;
        if version.schema != SCHEMA {
            return Err(LabError::Schema { path, expected: SCHEMA, got: version.schema });
        }
        toml::from_str(&text).map(Some).map_err(|error| LabError::toml(&path, &error))
    }

    /// Writes it, whole or not at all.
    pub fn save(&self, dir: &Path) -> Result<(), LabError> {
        let text = toml::to_string(self).expect("a manifest can be written as TOML");
        let header = "# Written by `synod up`. Ports and names may be changed while nothing runs; the chain may not.\n";
        crate::files::write(&dir.join(MANIFEST), format!("{header}{text}").as_bytes())
    }
}

fn one() -> u32 {
    1
}

mod coins {
    use serde::{Deserialize, Deserializer, Serializer, de};
    use synod_ledger::Amount;

    pub(super) fn serialize<S: Serializer>(amount: &Amount, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(amount)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Amount, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

mod duration {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}ms", span.as_millis()))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        crate::units::duration(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

mod hash_rate {
    use serde::{Deserialize, Deserializer, Serializer, de};
    use synod_node::config::parse_hash_rate;

    pub(super) fn serialize<S: Serializer>(rate: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        // All digits: the short form is rounded.
        serializer.collect_str(rate)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        parse_hash_rate(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_is_the_defaults() {
        let settings: Settings = toml::from_str("").expect("nothing is needed");
        assert_eq!(settings, Settings::default());
        assert_eq!(settings.check().map_err(|error| error.to_string()), Ok(()));
    }

    #[test]
    fn settings_come_back_from_their_file() {
        let mut settings = Settings { nodes: 7, hash_rate: 1_234_567, ..Settings::default() };
        settings.ledger.fee_min = Amount(123);
        let text = toml::to_string(&settings).expect("written");
        assert_eq!(toml::from_str::<Settings>(&text).expect("read"), settings, "{text}");
    }

    #[test]
    fn people_write_rates_times_and_coins() {
        let text = "hash_rate = \"1.5M\"\nblock_time = \"500ms\"\n[[wallets]]\nname = \"zoe\"\namount = \"12.5\"\n";
        let settings: Settings = toml::from_str(text).expect("read");
        assert_eq!(settings.hash_rate, 1_500_000);
        assert_eq!(settings.block_time, Duration::from_millis(500));
        let zoe = WalletSettings { name: "zoe".into(), amount: Amount(1_250_000_000), coins: 1 };
        assert_eq!(settings.wallets, [zoe]);
        assert!(toml::from_str::<Settings>("nodez = 4").is_err());
        assert!(toml::from_str::<Settings>("block_time = \"2\"").is_err());
    }

    #[test]
    fn settings_that_make_no_network_are_named() {
        let twice = vec![Settings::default().wallets[0].clone(), Settings::default().wallets[0].clone()];
        for (settings, name) in [
            (Settings { nodes: 0, ..Settings::default() }, "nodes"),
            (Settings { nodes: 501, ..Settings::default() }, "nodes"),
            (Settings { block_time: Duration::from_millis(99), ..Settings::default() }, "block_time"),
            (Settings { wallets: twice, ..Settings::default() }, "wallets"),
        ] {
            let error = settings.check().expect_err("it is refused").to_string();
            assert!(error.contains(name), "{error}");
        }
    }

    #[test]
    fn another_schema_is_refused_and_no_manifest_is_none() {
        let dir = tempfile::tempdir().expect("a directory");
        assert!(matches!(Manifest::load(dir.path()), Ok(None)));
        fs::write(dir.path().join(MANIFEST), "schema = 9\nnew = true\n").expect("written");
        assert!(matches!(Manifest::load(dir.path()), Err(LabError::Schema { expected: 1, got: 9, .. })));
    }
}
