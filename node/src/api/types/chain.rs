//! Blocks: the active chain, the tree, one block.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use synod_ledger::{Address, BlockId, ChainId, Coinbase, Height, Signature, TxId};
use synod_machine::Bytes;
use utoipa::{IntoParams, ToSchema};

use super::transactions::{OutputInfo, PaymentInfo, to_outputs};

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
    /// The votes of validators.
    Agreed,
    /// A drawn proof of work; only simulations have it.
    Declared,
    /// The first block's.
    Genesis,
    /// A stake that won its second.
    Stake,
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
    /// Stakes that it takes away, and why. Left out where it takes none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<EvidenceInfo>,
}

/// That a stake's owner signed two headers of which an honest one signs one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EvidenceInfo {
    /// Whose stake it was.
    #[schema(value_type = String)]
    pub owner: Address,
    /// Both headers.
    pub headers: Vec<StakeHeader>,
}

/// A header as its stake's owner signed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StakeHeader {
    /// The block's id.
    #[schema(value_type = String)]
    pub id: BlockId,
    /// Its height.
    #[schema(value_type = u64)]
    pub height: Height,
    /// The block that it builds on.
    #[schema(value_type = String)]
    pub parent: BlockId,
    /// When it says it was minted.
    pub time_unix_ms: u64,
    /// What it signs over: the Merkle root of what the block holds.
    #[schema(value_type = String)]
    pub root: Bytes<32>,
    /// The owner's signature.
    #[schema(value_type = String)]
    pub signature: Signature,
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

impl CoinbaseInfo {
    /// The coinbase itself, so that a reader can compute its id and its leaf instead of believing the node.
    pub fn to_coinbase(&self, chain: ChainId) -> Coinbase {
        Coinbase { chain, height: self.height, extra: self.extra, outputs: to_outputs(&self.outputs) }
    }
}
