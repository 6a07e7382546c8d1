//! What the HTTP API says in JSON, for the server and for its clients alike.
//!
//! Amounts are whole units (one coin is 100,000,000 of them), hashes and keys lower-case hexadecimal, addresses bech32m
//! text, times milliseconds since the Unix epoch, peer ids the text that libp2p gives them. A field that does not apply
//! is left out and not `null`. Unknown fields are ignored when read, so that an older client reads a newer node.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use synod_ledger::{
    Address, Amount, BlockId, ChainId, Coinbase, Height, OutPoint, Output, Payment, PublicKey, Signature, Tx, TxId,
    TxInput, merkle,
};
use synod_machine::Bytes;
use utoipa::{IntoParams, ToSchema};

/// Every error's body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    /// The error.
    pub error: ErrorDetail,
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorDetail {
    /// A stable name, such as `unknown_transaction` or `tx_conflict`.
    pub code: String,
    /// A sentence for people.
    pub message: String,
    /// What to do about it, where there is something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

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
    /// The sum of all coins, in units.
    #[schema(value_type = u64)]
    pub supply: Amount,
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

/// The query of `GET /v1/chain`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ChainQuery {
    /// Only blocks below this height; without it, from the tip.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
    /// How many blocks at most (default 20, at most 200).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// One element of `GET /v1/chain`: a block of the active chain in short, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BlockSummary {
    /// The block's id.
    #[schema(value_type = String)]
    pub id: BlockId,
    /// Its height.
    #[schema(value_type = u64)]
    pub height: Height,
    /// The block that it builds on.
    #[schema(value_type = String)]
    pub parent: BlockId,
    /// When it says it was mined.
    pub time_unix_ms: u64,
    /// How many payments it confirms, the coinbase not among them.
    pub payments: u64,
    /// Its encoded length.
    pub bytes: u64,
    /// Who was paid for it: the address of the coinbase's first output, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub miner: Option<Address>,
    /// The proof that it may stand there.
    pub seal: SealInfo,
}

/// What kind of seal a header has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SealKind {
    /// A drawn proof of work; only simulations have it.
    Declared,
    /// The first block's.
    Genesis,
    /// A ground proof of work.
    Work,
}

/// A header's seal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SealInfo {
    /// What kind it is.
    pub kind: SealKind,
    /// The target, 64 hexadecimal digits; the block's id is at or below it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The nonce (of a declared seal: the draw).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<u64>,
}

/// The query of `GET /v1/tree`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct TreeQuery {
    /// How many heights below the best header's to show (default 20, at most 1,000).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depth: Option<u32>,
}

/// How far a block has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum NodeStatus {
    /// Its body is on this peer's disk.
    Body,
    /// Only its header is known.
    Header,
    /// It, or a block below it, breaks a rule.
    Invalid,
    /// It was connected at least once.
    Valid,
}

/// One element of `GET /v1/tree`: a node of the block tree, highest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TreeNode {
    /// The block's id.
    #[schema(value_type = String)]
    pub id: BlockId,
    /// The block that it builds on.
    #[schema(value_type = String)]
    pub parent: BlockId,
    /// Its height.
    #[schema(value_type = u64)]
    pub height: Height,
    /// How far it has come.
    pub status: NodeStatus,
    /// Whether it is on the active chain.
    pub active: bool,
    /// The cumulative work up to it, hexadecimal without leading zeros.
    pub weight: String,
}

/// Which block is meant: one by its id, or the active chain's by its height. As text, 64 hexadecimal digits are an id
/// and fewer decimal digits a height.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockRef {
    /// The active chain's block at this height.
    Height(Height),
    /// The block with this id, on whatever branch.
    Id(BlockId),
}

/// A text that names no block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a block is named by its height or by the 64 hexadecimal digits of its id")]
pub struct ParseBlockRefError;

impl fmt::Display for BlockRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Height(height) => write!(f, "{}", height.0),
            Self::Id(id) => write!(f, "{id}"),
        }
    }
}

impl FromStr for BlockRef {
    type Err = ParseBlockRefError;

    fn from_str(text: &str) -> Result<Self, ParseBlockRefError> {
        if text.len() == 64 {
            return text.parse().map(Self::Id).map_err(|_| ParseBlockRefError);
        }
        if !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(ParseBlockRefError);
        }
        text.parse().map(|height| Self::Height(Height(height))).map_err(|_| ParseBlockRefError)
    }
}

/// `GET /v1/blocks/{id or height}`: a whole block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BlockInfo {
    /// What the list of the chain says of it.
    #[serde(flatten)]
    pub summary: BlockSummary,
    /// The Merkle root over the coinbase and the payments.
    #[schema(value_type = String)]
    pub root: Bytes<32>,
    /// Blocks of the active chain from it to the tip, itself counted; 0 where it is not active.
    pub confirmations: u64,
    /// Whether it is on the active chain.
    pub active: bool,
    /// What pays the miner.
    pub coinbase: CoinbaseInfo,
    /// The payments, in the block's order.
    pub transactions: Vec<BlockTransaction>,
}

/// A block's coinbase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CoinbaseInfo {
    /// Its transaction id.
    #[schema(value_type = String)]
    pub id: TxId,
    /// The height it is for.
    #[schema(value_type = u64)]
    pub height: Height,
    /// A number that makes it differ from others.
    pub extra: u64,
    /// What it pays.
    pub outputs: Vec<OutputInfo>,
}

/// A payment within a block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BlockTransaction {
    /// Its transaction id.
    #[schema(value_type = String)]
    pub id: TxId,
    /// Its place among the block's leaves; the coinbase has 0.
    pub index: u32,
    /// Its encoded length.
    pub bytes: u64,
    /// What it spends and pays.
    #[serde(flatten)]
    pub payment: PaymentInfo,
}

/// What a payment spends and pays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PaymentInfo {
    /// The coins that it spends.
    pub inputs: Vec<InputInfo>,
    /// What it pays.
    pub outputs: Vec<OutputInfo>,
}

impl PaymentInfo {
    /// The payment itself, so that a reader can compute its id and its leaf instead of believing the node.
    pub fn to_tx(&self, chain: ChainId) -> Tx {
        let inputs = self.inputs.iter().map(|input| TxInput {
            coin: OutPoint { tx: input.coin.tx, index: input.coin.index },
            key: input.key,
            signature: input.signature,
        });
        let inputs = inputs.collect();
        Tx::from(Payment { chain, inputs, outputs: to_outputs(&self.outputs) })
    }
}

impl CoinbaseInfo {
    /// The coinbase itself, so that a reader can compute its id and its leaf instead of believing the node.
    pub fn to_coinbase(&self, chain: ChainId) -> Coinbase {
        Coinbase { chain, height: self.height, extra: self.extra, outputs: to_outputs(&self.outputs) }
    }
}

fn to_outputs(outputs: &[OutputInfo]) -> Vec<Output> {
    outputs.iter().map(|output| Output { amount: output.amount, to: output.to }).collect()
}

/// A coin's name: the output of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct CoinRef {
    /// The transaction.
    #[schema(value_type = String)]
    pub tx: TxId,
    /// Which of its outputs, from 0.
    pub index: u32,
}

/// A coin that is spent, and by what right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InputInfo {
    /// The coin.
    pub coin: CoinRef,
    /// The key whose address owns the coin.
    #[schema(value_type = String)]
    pub key: PublicKey,
    /// That key's signature over the transaction's id.
    #[schema(value_type = String)]
    pub signature: Signature,
}

/// A payment to an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OutputInfo {
    /// How much, in units.
    #[schema(value_type = u64)]
    pub amount: Amount,
    /// To whom.
    #[schema(value_type = String)]
    pub to: Address,
}

/// Where a transaction stands, as this peer sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum TransactionStatus {
    /// It is in a block of the active chain.
    Confirmed,
    /// A coin of it is spent by another transaction, so it cannot be confirmed on this chain.
    Conflicted,
    /// It waits in the mempool.
    Pending,
}

/// `GET /v1/transactions/{id}`: a payment or a coinbase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TransactionInfo {
    /// Its id.
    #[schema(value_type = String)]
    pub id: TxId,
    /// Where it stands.
    pub status: TransactionStatus,
    /// Blocks of the active chain from its own to the tip, its own counted; 0 where it is not confirmed.
    pub confirmations: u64,
    /// The block that confirms it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub block: Option<BlockId>,
    /// That block's height.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    pub height: Option<Height>,
    /// Its place among that block's leaves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<u32>,
    /// The proof that it is in that block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<ProofInfo>,
    /// What it spends and pays, where it is a payment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment: Option<PaymentInfo>,
    /// What it pays, where it is a coinbase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coinbase: Option<CoinbaseInfo>,
    /// The payment's fee in units, where this peer still knows the coins that it spends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    pub fee: Option<Amount>,
    /// Its encoded length.
    pub bytes: u64,
}

/// A Merkle proof: `leaf` is number `index` of `leaves` under the block's root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProofInfo {
    /// The leaf's place.
    pub index: u64,
    /// How many leaves the tree has.
    pub leaves: u64,
    /// The hashes beside the path, from the leaf up.
    #[schema(value_type = Vec<String>)]
    pub siblings: Vec<Bytes<32>>,
    /// The leaf: the digest of the transaction with its signatures.
    #[schema(value_type = String)]
    pub leaf: Bytes<32>,
}

impl ProofInfo {
    /// Whether the proof shows that the leaf is under `root`.
    pub fn proves(&self, root: &Bytes<32>) -> bool {
        let proof = merkle::Proof { index: self.index, leaves: self.leaves, siblings: self.siblings.clone() };
        proof.verify(&self.leaf, root)
    }
}

/// The query of `GET /v1/addresses/{address}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AddressQuery {
    /// How many coins to list (default 100, at most 10,000).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coins: Option<u32>,
}

/// `GET /v1/addresses/{address}`: what an address owns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AddressInfo {
    /// The address.
    #[schema(value_type = String)]
    pub address: Address,
    /// The sum of its confirmed coins, immature ones among them, in units.
    #[schema(value_type = u64)]
    pub balance: Amount,
    /// The part of `balance` that is mature and that no pending payment spends.
    #[schema(value_type = u64)]
    pub spendable: Amount,
    /// The part of `balance` that is not yet mature.
    #[schema(value_type = u64)]
    pub immature: Amount,
    /// What it gets from pending payments, change to itself among that, less what further pending payments spend of
    /// it: `balance - pending_out + pending_in` is left when all are confirmed.
    #[schema(value_type = u64)]
    pub pending_in: Amount,
    /// The part of `balance` that pending payments spend.
    #[schema(value_type = u64)]
    pub pending_out: Amount,
    /// Its coins, confirmed and pending, largest first.
    pub coins: Vec<CoinInfo>,
    /// How many coins it has in all; `coins` may be cut short.
    pub coins_total: u64,
}

/// A coin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CoinInfo {
    /// The transaction that made it.
    #[schema(value_type = String)]
    pub tx: TxId,
    /// Which of that transaction's outputs, from 0.
    pub index: u32,
    /// How much, in units.
    #[schema(value_type = u64)]
    pub amount: Amount,
    /// The height that confirmed it; left out where it is pending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    pub height: Option<Height>,
    /// Whether a coinbase made it.
    pub coinbase: bool,
    /// Whether the next block may spend it.
    pub mature: bool,
    /// Whether it is the output of an unconfirmed payment.
    pub pending: bool,
    /// Whether a pending payment spends it.
    pub spent_by_pending: bool,
}

/// The query of `GET /v1/mempool`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct MempoolQuery {
    /// How many entries and conflicts to list (default 100, at most 10,000).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// `GET /v1/mempool`: the unconfirmed payments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MempoolInfo {
    /// How many payments wait.
    pub payments: u64,
    /// Their encoded bytes.
    pub bytes: u64,
    /// The lowest fee that is taken, in units.
    #[schema(value_type = u64)]
    pub fee_min: Amount,
    /// The payments, highest fee rate first; may be cut short.
    pub entries: Vec<MempoolEntry>,
    /// Double spends that were seen; may be cut short.
    pub conflicts: Vec<ConflictInfo>,
    /// How many double spends are kept.
    pub conflicts_total: u64,
}

/// An unconfirmed payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MempoolEntry {
    /// Its id.
    #[schema(value_type = String)]
    pub id: TxId,
    /// Its fee in units.
    #[schema(value_type = u64)]
    pub fee: Amount,
    /// Its encoded length.
    pub bytes: u64,
    /// How many coins it spends.
    pub inputs: u64,
    /// How many outputs it pays.
    pub outputs: u64,
    /// Whether this peer acknowledged it, so that it is on disk and never evicted.
    pub pinned: bool,
}

/// A double spend: two payments of one coin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConflictInfo {
    /// The coin.
    pub coin: CoinRef,
    /// The payment that was first and stayed.
    #[schema(value_type = String)]
    pub kept: TxId,
    /// The payment that was refused.
    #[schema(value_type = String)]
    pub seen: TxId,
}

/// The body of `POST /v1/transactions`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SubmitRequest {
    /// The payment's wire encoding in hexadecimal.
    pub transaction: String,
}

/// The answer to a submit: *acknowledged*, that is on this peer's disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Submitted {
    /// The payment's id.
    #[schema(value_type = String)]
    pub id: TxId,
}

/// The body of `POST /v1/transactions/batch`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchRequest {
    /// The payments' wire encodings in hexadecimal, parents before children (at most 1,000).
    pub transactions: Vec<String>,
}

/// What became of one payment of a batch, at its place in the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum BatchOutcome {
    /// It is on this peer's disk.
    Accepted(Submitted),
    /// It was refused.
    Refused(ErrorBody),
}

/// The data of one server-sent event of `GET /v1/events`; its `event` is the event's name too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum ApiEvent {
    /// A double spend was seen.
    Conflict(ConflictInfo),
    /// The client read too slowly and missed events.
    Lagged {
        /// How many.
        missed: u64,
    },
    /// A peer was connected or went away.
    Peer {
        /// Who.
        peer_id: String,
        /// Whether it is connected now.
        up: bool,
    },
    /// A peer was refused.
    Refused {
        /// Who.
        peer_id: String,
        /// Why, a sentence for people.
        reason: String,
    },
    /// The active chain has a new last block.
    Tip {
        /// The block.
        #[schema(value_type = String)]
        id: BlockId,
        /// Its height.
        #[schema(value_type = u64)]
        height: Height,
        /// How many blocks were disconnected to get there; 0 where the chain only grew.
        reorg_depth: u64,
    },
    /// A payment entered the mempool.
    Transaction {
        /// Its id.
        #[schema(value_type = String)]
        id: TxId,
    },
}

impl ApiEvent {
    /// The event's name.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Conflict(_) => "conflict",
            Self::Lagged { .. } => "lagged",
            Self::Peer { .. } => "peer",
            Self::Refused { .. } => "refused",
            Self::Tip { .. } => "tip",
            Self::Transaction { .. } => "transaction",
        }
    }
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

/// `GET` and `PUT /v1/faults`: what is wrong with this peer's links. A `PUT` replaces all of it; an empty object heals.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Peers from which this one is cut off.
    pub cut: Vec<String>,
    /// The shape of every link that has none of its own.
    pub default: Shape,
    /// The shapes of links to single peers.
    pub links: BTreeMap<String, Shape>,
}
