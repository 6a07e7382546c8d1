//! The node itself: health, status, peers, faults.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use synod_ledger::{Amount, BlockId, ChainId, Height, Signature};
use synod_machine::Bytes;
use utoipa::ToSchema;

/// `GET /health`: the node answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// Always true: a node that is not well does not answer.
    pub ok: bool,
    /// Whether the ledger's state is that of the best known block.
    pub settled: bool,
}

/// `GET /v1/status`: what this peer is and where it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// The name for people, from the node's config.
    pub name: String,
    /// The libp2p peer id.
    pub peer_id: String,
    /// Addresses it listens on, each ending in `/p2p/<peer id>`.
    pub listen: Vec<String>,
    /// The chain it is on.
    pub chain: ChainInfo,
    /// Height of the tip.
    #[schema(value_type = u64)]
    pub height: Height,
    /// The last block of the active chain.
    #[schema(value_type = String)]
    pub tip: BlockId,
    /// The tip's cumulative work, hexadecimal without leading zeros.
    pub work: String,
    /// False while it loads from disk or is in the middle of a reorganisation.
    pub settled: bool,
    /// Height of the best header known, at or above `height` while it catches up.
    #[schema(value_type = u64)]
    pub syncing: Height,
    /// How many peers are connected.
    pub peers: u64,
    /// Unconfirmed payments in figures.
    pub mempool: MempoolSize,
    /// The sum of all coins, in units; a peer that keeps headers alone does not know it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    pub supply: Option<Amount>,
    /// What the genesis and the subsidies up to `height` add up to, in units; `supply` is never above it.
    #[schema(value_type = u64)]
    pub supply_scheduled: Amount,
    /// Hashes per second that it mined with over the last seconds.
    pub hash_rate: f64,
    /// Hashes since it started.
    pub hashes_total: u64,
    /// The time between blocks that the retarget rule aims at.
    pub block_time_ms: u64,
    /// Its clock.
    pub time_unix_ms: u64,
    /// How long it has been running.
    pub uptime_ms: u64,
    /// The program's version.
    pub version: String,
    /// Peers that were refused, and why.
    pub refused: Vec<RefusedPeer>,
    /// How it behaves as a validator, where its configuration says that it is not honest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adversary: Option<String>,
    /// Whether it keeps headers alone.
    #[serde(default)]
    pub light: bool,
    /// Two certified blocks of one height, where it saw such: it stopped there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub violation: Option<ViolationInfo>,
}

/// Two blocks of one height that both have the votes of a quorum: more validators are faulty than may be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ViolationInfo {
    /// The height.
    #[schema(value_type = u64)]
    pub height: Height,
    /// The blocks with their certificates: the one that this peer knew first, and the other.
    pub blocks: Vec<CertifiedBlock>,
}

/// A block and who agreed on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CertifiedBlock {
    /// The block.
    #[schema(value_type = String)]
    pub id: BlockId,
    /// The block that it builds on.
    #[schema(value_type = String)]
    pub parent: BlockId,
    /// The view in which it was agreed on.
    pub view: u64,
    /// The votes.
    pub votes: Vec<VoteInfo>,
}

/// A validator's vote for a block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VoteInfo {
    /// Its name in the genesis.
    pub validator: String,
    /// Its signature.
    #[schema(value_type = String)]
    pub signature: Signature,
}

/// Which chain a peer is on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChainInfo {
    /// The name for people, from the genesis file.
    pub name: String,
    /// The chain id, the first eight bytes of `genesis`.
    #[schema(value_type = String)]
    pub id: ChainId,
    /// The digest of the genesis file's content.
    #[schema(value_type = String)]
    pub genesis: Bytes<32>,
    /// The block at height zero.
    #[schema(value_type = String)]
    pub genesis_block: BlockId,
    /// The consensus engine: `pow`.
    pub engine: String,
    /// The lowest fee of a payment, in units.
    #[schema(value_type = u64)]
    pub fee_min: Amount,
    /// How many blocks a coinbase's outputs wait before they can be spent.
    pub maturity: u64,
}

/// Unconfirmed payments in figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MempoolSize {
    /// How many.
    pub payments: u64,
    /// Their encoded bytes.
    pub bytes: u64,
    /// Double spends kept as evidence.
    pub conflicts: u64,
}

/// A peer that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RefusedPeer {
    /// Who.
    pub peer_id: String,
    /// Why, a sentence for people.
    pub reason: String,
    /// How often.
    pub count: u64,
}

/// Which side opened a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// The other peer.
    Inbound,
    /// This peer.
    Outbound,
}

/// One element of `GET /v1/peers`: a connected peer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ConnectedPeer {
    /// The libp2p peer id.
    pub peer_id: String,
    /// The address at the connection's other end.
    pub address: String,
    /// Which side opened the connection.
    pub direction: Direction,
    /// The height that it last announced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    pub height: Option<Height>,
    /// How long it has been connected.
    pub connected_ms: u64,
    /// What it says it runs.
    pub agent: String,
    /// The last ping's round trip.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rtt_ms: Option<f64>,
    /// Bytes of frames sent to it.
    pub sent_bytes: u64,
    /// Bytes of frames received from it.
    pub received_bytes: u64,
    /// Frames for it that were dropped because its queue was full.
    pub dropped_frames: u64,
}

/// How a link is shaped. The default is an unshaped link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Shape {
    /// Added to each direction.
    pub delay_ms: u64,
    /// The delay varies by up to this much either way.
    pub jitter_ms: u64,
    /// The share of packets lost, 0 to 1; above TCP a loss is a stall for one retransmission.
    pub loss: f64,
    /// The most that passes; 0 is no limit.
    pub bandwidth_bytes_per_s: u64,
}

/// `GET` and `PUT /v1/faults`: what is wrong with this peer. A `PUT` replaces all of it; an empty object heals.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Peers from which this one is cut off.
    pub cut: Vec<String>,
    /// The shape of every link that has none of its own.
    pub default: Shape,
    /// The shapes of links to single peers.
    pub links: BTreeMap<String, Shape>,
    /// Whether its miner rests: it looks for no proof of work. Minting and voting go on.
    pub resting: bool,
}
