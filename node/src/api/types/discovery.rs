//! Overlays: what a peer shares, finds and fetches, and whom its tables name.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use synod_machine::Bytes;
use utoipa::{IntoParams, ToSchema};

/// A way to find something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FindMode {
    /// Our Chord.
    Chord,
    /// Flooding.
    Flood,
    /// A central index.
    Index,
    /// libp2p's Kademlia.
    Kademlia,
    /// Our Kademlia.
    KademliaLab,
    /// Superpeers.
    Superpeer,
}

impl FindMode {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Chord, Self::Kademlia, Self::KademliaLab, Self::Flood, Self::Superpeer, Self::Index];

    /// Its name, as it is written in JSON and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Chord => "chord",
            Self::Flood => "flood",
            Self::Index => "index",
            Self::Kademlia => "kademlia",
            Self::KademliaLab => "kademlia-lab",
            Self::Superpeer => "superpeer",
        }
    }
}

/// What is looked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum FindQuestion {
    /// The content with this SHA-256.
    #[schema(value_type = String)]
    Hash(Bytes<32>),
    /// Items with exactly this name.
    Name(String),
    /// Items that have all of these words.
    Words(String),
}

/// `POST /v1/find`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FindRequest {
    /// How.
    pub mode: FindMode,
    /// What.
    pub question: FindQuestion,
    /// How far a flood goes, in hops; 0 for what is usual (7).
    #[serde(default)]
    pub ttl: u8,
    /// With so many different hits the search may end; 1 if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted: Option<u16>,
    /// N and R of a table: how many replicas a record has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u8>,
    /// How many of the replicas must have answered; if nothing is said two with Chord and one with Kademlia.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read: Option<u8>,
}

/// What a request cost whoever made it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CostInfo {
    /// Peers between the asker and the answer; 0 for libp2p's Kademlia, which does not count them.
    pub hops: u32,
    /// Messages that the asker sent, or that others are known to have sent for it.
    pub messages: u32,
    /// Different peers that were asked.
    pub asked: u32,
    /// Requests that were not answered in time.
    pub timeouts: u32,
}

/// An item that somebody shares.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct ItemInfo {
    /// The SHA-256 of its content.
    #[schema(value_type = String)]
    pub hash: Bytes<32>,
    /// What it is called.
    pub name: String,
    /// The words that it is found by, with a space between two.
    pub keywords: String,
    /// The length of its content, in bytes.
    pub bytes: u64,
}

/// Somebody has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct HitInfo {
    /// What.
    pub item: ItemInfo,
    /// The peer id of who has it.
    pub holder: String,
}

/// The answer to `POST /v1/find`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FindAnswer {
    /// Who has what; nobody where it was not found.
    pub hits: Vec<HitInfo>,
    /// Why it was not found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// What it cost.
    pub cost: CostInfo,
    /// How long it took, in microseconds.
    pub latency_us: u64,
}

/// `POST /v1/fetch`: the answer's body is the content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FetchRequest {
    /// What to fetch, as a hit named it.
    pub item: ItemInfo,
    /// The peer ids of those who have it, in the order in which they are asked.
    pub holders: Vec<String>,
}

/// `POST /v1/lookup`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LookupRequest {
    /// In which table: `chord`, `kademlia` or `kademlia-lab`.
    pub table: FindMode,
    /// The key.
    #[schema(value_type = String)]
    pub key: Bytes<32>,
}

/// The answer to `POST /v1/lookup`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LookupAnswer {
    /// The closest peers, the closest first; Chord's owner alone.
    pub peers: Vec<String>,
    /// Why there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// What it cost.
    pub cost: CostInfo,
    /// How long it took, in microseconds.
    pub latency_us: u64,
}

/// What a new item is called: the query of `POST /v1/items`, whose body is the content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct NewItem {
    /// Its name.
    pub name: String,
    /// Words that it is found by beside those of its name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub keywords: String,
}

/// A peer in an overlay.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct NodeRef {
    /// Where it stands: the SHA-256 of its public key.
    #[schema(value_type = String)]
    pub id: Bytes<32>,
    /// Its libp2p peer id.
    pub peer_id: String,
}

/// `GET /v1/overlays`: whom this peer's tables name. What it does not take part in is left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OverlaysInfo {
    /// This peer.
    pub own: NodeRef,
    /// Items that it shares.
    pub items: u64,
    /// Provider records that are still to be published.
    pub unpublished: u64,
    /// What this peer sent of overlays' messages, by kind.
    pub traffic: BTreeMap<String, TrafficInfo>,
    /// Chord's ring.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chord: Option<ChordInfo>,
    /// Flooding's neighbours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flood: Option<Vec<NodeRef>>,
    /// The central index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<IndexInfo>,
    /// Whether it keeps and asks for provider records in libp2p's Kademlia.
    pub kademlia: bool,
    /// Our Kademlia's tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kademlia_lab: Option<KademliaInfo>,
    /// Superpeers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub superpeer: Option<SuperpeerInfo>,
}

/// What was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TrafficInfo {
    /// Messages.
    pub messages: u64,
    /// Bytes, framing not included.
    pub bytes: u64,
}

/// A peer's place on Chord's ring.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChordInfo {
    /// Whether it is on a ring.
    pub member: bool,
    /// Who stands before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predecessor: Option<NodeRef>,
    /// Who follows, the nearest first.
    pub successors: Vec<NodeRef>,
    /// The fingers that differ, the nearest first.
    pub fingers: Vec<NodeRef>,
    /// Keys under which it keeps something.
    pub keys: u64,
}

/// A peer's place in our Kademlia's tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KademliaInfo {
    /// Whether it has its place among the others.
    pub member: bool,
    /// The buckets that hold somebody.
    pub buckets: Vec<BucketInfo>,
    /// Keys under which it keeps something for others.
    pub keys: u64,
}

/// A k-bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BucketInfo {
    /// How many leading bits its nodes share with this peer.
    pub prefix: u32,
    /// The nodes, least recently seen first.
    pub nodes: Vec<NodeRef>,
}

/// A peer's place among superpeers and leaves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SuperpeerInfo {
    /// Whether it is a superpeer.
    pub superpeer: bool,
    /// A leaf's superpeers, or a superpeer's neighbours among superpeers.
    pub superpeers: Vec<NodeRef>,
    /// A superpeer's leaves.
    pub leaves: Vec<NodeRef>,
}

/// A peer's part in a central index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IndexInfo {
    /// Whether it is a server.
    pub server: bool,
    /// Servers that know what this peer shares.
    pub registrations: u64,
    /// A server's registered items.
    pub items: u64,
}
