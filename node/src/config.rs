//! What a node is told: its configuration file, the chain's genesis file, and the file it leaves for others while it runs.
//!
//! Both files are TOML. A mistake in one is reported with its line. Relative paths in a configuration are relative to
//! the folder that the file lies in, so that a network's folder can be moved.

mod hash_rate;
mod overlays;
mod read;
mod run_file;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use libp2p::Multiaddr;
use serde::{Deserialize, Serialize};
use synod_ledger::Address;

pub use hash_rate::{ParseHashRateError, format_hash_rate, parse_hash_rate};
pub use overlays::{DhtKind, OverlaysConfig, SearchKind};
pub use read::{ConfigError, adversaries, load_genesis, parse_genesis};
pub use run_file::RunFile;

/// The longest name of a node, in bytes. It stands in tables and log lines.
pub const NAME_BYTES_MAX: usize = 64;

/// What a peer is called that mints on every branch with its stake, where blocks are made by stake.
pub const MULTI_MINTER: &str = "multi-minter";

/// What a peer is called that keeps the blocks back which it finds, where blocks are made by work.
pub const SELFISH_MINER: &str = "selfish-miner";

/// The most threads that a node mines with: more than any machine this runs on has cores.
pub const THREADS_MAX: usize = 256;

/// A node's configuration file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What people call the node.
    pub name: String,
    /// The folder of its key, its store and its [`RunFile`].
    #[serde(default = "data")]
    pub data: PathBuf,
    /// The chain's genesis file.
    pub genesis: PathBuf,
    /// Where it listens for peers: TCP or QUIC.
    #[serde(default = "listen")]
    pub listen: Vec<Multiaddr>,
    /// Peers to look for first.
    #[serde(default)]
    pub bootstrap: Vec<Multiaddr>,
    /// Where its HTTP API listens; port 0 takes a free one.
    #[serde(default = "api")]
    pub api: SocketAddr,
    /// Whether the API may shape and cut links.
    #[serde(default)] // No: whoever reaches the API could cut the node off. A local test network says yes.
    pub faults: bool,
    /// Whether and how it mines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mining: Option<MiningConfig>,
    /// How it behaves as a validator, by the name of a behaviour, as a stake's owner ([`MULTI_MINTER`]) or as a miner
    /// ([`SELFISH_MINER`]); honest if nothing is said. For experiments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adversary: Option<String>,
    /// Whether it keeps headers alone, and reads blocks and payments of others.
    #[serde(default)]
    pub light: bool,
    /// How many peers it keeps, and what they may hear of it.
    #[serde(default)]
    pub network: NetworkConfig,
    /// What it finds things by.
    #[serde(default)]
    pub overlays: OverlaysConfig,
}

/// The section `[mining]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MiningConfig {
    /// Who is paid.
    pub address: Address,
    /// Hashes per second of all threads together; 0 does not mine.
    pub hash_rate: u64,
    /// Threads that share the hash rate.
    #[serde(default = "threads")]
    pub threads: usize,
}

/// Who carries blocks and payments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GossipKind {
    /// Our flooding, as frames between connected peers.
    Flood,
    /// libp2p's gossipsub.
    #[default]
    Gossipsub,
    /// Our mesh, as frames between connected peers.
    Mesh,
}

impl GossipKind {
    /// Its name, as it is written in a configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Flood => "flood",
            Self::Gossipsub => "gossipsub",
            Self::Mesh => "mesh",
        }
    }
}

/// The section `[network]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NetworkConfig {
    /// It looks for more neighbours while it has fewer.
    pub neighbours_min: usize,
    /// Nothing. Files of the first versions have it, which bounded nothing by it: it is read, and not written any more.
    #[serde(skip_serializing)]
    pub neighbours_max: Option<usize>,
    /// It accepts no more connections than these, neighbours' and strangers' together.
    pub connections_max: usize,
    /// Whether it looks for peers beside those in `bootstrap`. If not, its links are those and whoever dials it.
    pub discover: bool,
    /// Who carries blocks and payments. A node refuses those that differ.
    pub gossip: GossipKind,
    /// Whether what it gossips over gossipsub carries its signature.
    pub gossip_signed: bool,
    /// Whether it answers the public Kademlia protocol `/ipfs/kad/1.0.0` too.
    pub kad_public: bool,
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self {
            neighbours_min: 4, // D_low of gossipsub's mesh, libp2p/specs gossipsub-v1.0, "parameters".
            neighbours_max: None,
            connections_max: 64, // Half of Bitcoin Core's 125: 25 nodes on one machine stay far below its descriptors.
            discover: true, // A node that knows one address finds the network (ARCHITECTURE, "The life of a look-up").
            gossip: GossipKind::Gossipsub, // DESIGN section 3: what strangers' clients speak.
            gossip_signed: true, // libp2p's own default, StrictSign; strangers' clients drop unsigned messages.
            kad_public: true, // Issue 2: strangers' clients can query the DHT.
        }
    }
}

fn data() -> PathBuf {
    "data".into() // Beside the configuration file, like a network's folder that `synod up` writes.
}

fn listen() -> Vec<Multiaddr> {
    // Loopback: a node is reachable from elsewhere only if somebody says so (DESIGN section 3). Any free port.
    vec!["/ip4/127.0.0.1/tcp/0".parse().expect("a literal address")]
}

fn api() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into() // As for `listen`; the port is in the run file.
}

fn threads() -> usize {
    1 // One core makes millions of hashes per second, test networks want thousands.
}

#[cfg(test)]
mod tests;
