//! What replicas say to each other directly. Blocks and payments are gossiped besides; this is how a replica catches up
//! with what it missed: headers first, then bodies from several peers (as in Bitcoin Core since 0.10).

use alloc::boxed::Box;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use synod_ledger::{Block, BlockId, Evidence, Height, PublicKey, SharedHeader, Tx, TxId};
use synod_machine::{Bytes, Wire};

use crate::Reply;
use crate::pbft::{self, Signed};

/// Headers in one answer.
pub const HEADERS_MAX: usize = 2_000;
/// Blocks in one request.
pub const BLOCKS_MAX: usize = 16;
/// Ids in a locator: exponential steps reach genesis from any height within 64.
pub const LOCATOR_MAX: usize = 80;
/// Payments in one inventory or request.
pub const INVENTORY_MAX: usize = 2_000;
/// Bytes of payments in one answer.
pub const PAYMENTS_BYTES_MAX: usize = 512 * 1024;

/// The chain that a peer says it is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Its tip.
    pub tip: BlockId,
    /// The tip's height.
    pub height: Height,
    /// All work up to the tip, big endian.
    pub work: Bytes<32>,
}

/// A message between replicas. The order is that of the tags on the wire.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Message {
    /// An answer to `GetBlocks`, one block each.
    Block(Block),
    /// Asks for blocks, at most [`BLOCKS_MAX`].
    GetBlocks(Vec<BlockId>),
    /// Asks for the headers after the first id that the receiver has on its chain.
    GetHeaders(Vec<BlockId>),
    /// Asks for payments out of the receiver's mempool.
    GetPayments(Vec<TxId>),
    /// An answer to `GetHeaders`, in order, at most [`HEADERS_MAX`].
    Headers(Vec<SharedHeader>),
    /// An answer to `GetBlocks`: these are not to be had here.
    Missing(Vec<BlockId>),
    /// An answer to `GetPayments`.
    Payments(Vec<Tx>),
    /// What is in the sender's mempool, on a new connection and again for what is its own.
    Pool(Vec<TxId>),
    /// The sender's chain, on a new connection and when it changed.
    Tip(Claim),
    /// Between validators.
    Agreement(pbft::Message<Block>),
    /// A payment that is to be agreed on, to a validator.
    Request(Tx),
    /// That a stake's owner signed two blocks of which an honest one signs one.
    Evidence(Box<Evidence>),
    /// The payments that this key signs are the sender's, which wants to hear from a validator what becomes of them.
    Client(PublicKey),
    /// A validator has executed payments of the receiver's.
    Reply(Signed<Reply>),
}

impl Wire for Message {
    // One byte of tag; what validators say holds a block.
    const BYTES_MAX: usize = <pbft::Message<Block> as Wire>::BYTES_MAX + 1;

    fn kind(&self) -> &'static str {
        match self {
            Self::Agreement(message) => message.kind(),
            Self::Block(_) => "block",
            Self::Client(_) => "client",
            Self::Evidence(_) => "evidence",
            Self::GetBlocks(_) => "get_blocks",
            Self::GetHeaders(_) => "get_headers",
            Self::GetPayments(_) => "get_payments",
            Self::Headers(_) => "headers",
            Self::Missing(_) => "missing",
            Self::Payments(_) => "payments",
            Self::Pool(_) => "pool",
            Self::Reply(_) => "reply",
            Self::Request(_) => "request",
            Self::Tip(_) => "tip",
        }
    }

    fn encoded_len(&self) -> usize {
        match self {
            Self::Agreement(message) => 1 + message.encoded_len(),
            // One byte of tag; a block knows its own length.
            Self::Block(block) => 1 + block.encoded_len(),
            // Every message is measured, and of these there are most: a tip, a height and a work, two of them with
            // their lengths.
            Self::Tip(claim) => 1 + 33 + synod_machine::wire::encoded_len(&claim.height) + 33,
            _ => synod_machine::wire::encoded_len(self),
        }
    }
}
