//! What the HTTP API says in JSON, for the server and for its clients alike.
//!
//! Amounts are whole units (one coin is 100,000,000 of them), hashes and keys lower-case hexadecimal, addresses bech32m
//! text, times milliseconds since the Unix epoch, peer ids the text that libp2p gives them. A field that does not apply
//! is left out and not `null`. Unknown fields are ignored when read, so that an older client reads a newer node.

mod chain;
mod discovery;
mod node;
mod transactions;

use serde::{Deserialize, Serialize};
use synod_ledger::{BlockId, Height, TxId};
use utoipa::ToSchema;

pub use chain::{
    BlockInfo, BlockRef, BlockSummary, BlockTransaction, ChainQuery, CoinbaseInfo, EvidenceInfo, NodeStatus,
    ParseBlockRefError, SealInfo, SealKind, StakeHeader, TreeNode, TreeQuery,
};
pub use discovery::{
    BucketInfo, ChordInfo, CostInfo, FetchRequest, FindAnswer, FindMode, FindQuestion, FindRequest, HitInfo, IndexInfo,
    ItemInfo, KademliaInfo, LookupAnswer, LookupRequest, NewItem, NodeRef, OverlaysInfo, SuperpeerInfo, TrafficInfo,
};
pub use node::{
    CertifiedBlock, ChainInfo, ConnectedPeer, Direction, Faults, Health, MempoolSize, RefusedPeer, Shape, Status,
    ViolationInfo, VoteInfo,
};
pub use transactions::{
    AddressInfo, AddressQuery, BatchOutcome, BatchRequest, CoinInfo, CoinRef, ConflictInfo, InputInfo, MempoolEntry,
    MempoolInfo, MempoolQuery, OutputInfo, PaymentInfo, ProofInfo, RepliesInfo, StakeInfo, SubmitRequest, Submitted,
    TransactionInfo, TransactionStatus,
};

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
    /// Two blocks of one height were agreed on, and the node stopped there.
    Violation(ViolationInfo),
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
            Self::Violation(_) => "violation",
        }
    }
}
