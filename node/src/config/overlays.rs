//! The section `[overlays]`: what a node finds things by.

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use serde::{Deserialize, Serialize};
use synod_dht::search::index::SERVERS_MAX;

/// A distributed hash table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DhtKind {
    /// Our Chord.
    Chord,
    /// libp2p's Kademlia.
    Kademlia,
    /// Our Kademlia.
    KademliaLab,
}

impl DhtKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Chord, Self::Kademlia, Self::KademliaLab];

    /// Its name, as it is written in a configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Chord => "chord",
            Self::Kademlia => "kademlia",
            Self::KademliaLab => "kademlia-lab",
        }
    }
}

/// A search without structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SearchKind {
    /// Flooding.
    Flood,
    /// A central index.
    Index,
    /// Superpeers.
    Superpeer,
}

impl SearchKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Flood, Self::Index, Self::Superpeer];

    /// Its name, as it is written in a configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Flood => "flood",
            Self::Index => "index",
            Self::Superpeer => "superpeer",
        }
    }
}

/// The section `[overlays]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OverlaysConfig {
    /// What it can do as a superpeer, in kilobytes a second.
    pub capacity: u32,
    /// Tables it takes part in.
    pub dht: Vec<DhtKind>,
    /// Where the servers of the central index listen, each with `/p2p/<peer id>`. A node that is one of them serves.
    pub index: Vec<Multiaddr>,
    /// Whether it publishes its share of the ledger's blocks and transactions.
    pub ledger: bool,
    /// Searches it takes part in.
    pub search: Vec<SearchKind>,
}

impl Default for OverlaysConfig {
    fn default() -> Self {
        Self {
            capacity: 1_000, // A household's uplink of 8 Mbit/s.
            dht: Vec::new(),
            index: Vec::new(),
            ledger: true, // Issue 5: every peer publishes its share of the ledger.
            search: Vec::new(),
        }
    }
}

impl OverlaysConfig {
    /// Whether it takes part in any.
    pub const fn is_on(&self) -> bool {
        !self.dht.is_empty() || !self.search.is_empty()
    }

    /// The first value that is not allowed, by its keys, and why it is not.
    pub(super) fn mistake(&self) -> Option<(&'static [&'static str], String)> {
        let has_name = |address: &Multiaddr| matches!(address.iter().last(), Some(Protocol::P2p(_)));
        if let Some(address) = self.index.iter().find(|address| !has_name(address)) {
            let message = format!("{address} does not say who the server is; write ADDRESS/p2p/PEER_ID");
            return Some((&["overlays", "index"], message));
        }
        if self.index.len() > SERVERS_MAX {
            let message = format!("an index has up to {SERVERS_MAX} servers, not {}", self.index.len());
            return Some((&["overlays", "index"], message));
        }
        if self.search.contains(&SearchKind::Index) && self.index.is_empty() {
            let message = "an index has a server; write its address in overlays.index".into();
            return Some((&["overlays", "search"], message));
        }
        None
    }
}
