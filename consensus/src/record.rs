//! What a replica keeps on disk.

use alloc::sync::Arc;

use serde::{Deserialize, Serialize};
use synod_ledger::{Block, BlockId, SharedHeader, Status, Tx, TxId, Undo};
use synod_machine::{Bytes, Key, Parent, Wire};

use crate::adversary::Party;
use crate::{Replica, pbft};

const SHELF_HEADER: u8 = 0x00;
const SHELF_PAYMENT: u8 = 0x01;
// The agreement's shelves lie between.
const SHELF_SIGNED: u8 = 0x0f;
const SHELF_BODY: u8 = Key::COLD;
const SHELF_UNDO: u8 = Key::COLD + 1;

/// A header with what is known of its block.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredHeader {
    /// The header, shared with the tree.
    pub header: SharedHeader,
    /// The when-th it came in: ties between chains of headers go to the first seen, also after a restart.
    pub arrival: u64,
    /// The when-th its chain of bodies became complete: ties between branches go by it, also after a restart.
    pub completed: Option<u64>,
    /// Whether its body is here, and whether it was found valid.
    pub status: Status,
}

/// A record of the replica's disk. The order is that of the tags on the disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Record {
    /// A block; cold.
    Body(Block),
    /// A header, under its block's id.
    Header(StoredHeader),
    /// A payment that this peer acknowledged and that is not yet deep in the chain.
    Payment(Tx),
    /// What connecting a block destroyed; cold.
    Undo(Arc<Undo>),
    /// Of the agreement.
    Agreement(pbft::Record<Block>),
    /// The block that this peer's stake signed last. It is written before it is sent; after a crash in between it is sent.
    Signed(Block),
}

impl Record {
    /// Where a block's body lies.
    pub const fn body_key(id: BlockId) -> Key {
        Key::new(SHELF_BODY, id.0)
    }

    /// Where a block's header lies.
    pub const fn header_key(id: BlockId) -> Key {
        Key::new(SHELF_HEADER, id.0)
    }

    /// Where an acknowledged payment lies.
    pub const fn payment_key(id: TxId) -> Key {
        Key::new(SHELF_PAYMENT, id.0)
    }

    /// What a disk begins with that is new in the place of one that was lost. A validator with it follows, and does not vote
    /// before everything that it may have voted for is decided.
    pub fn rejoining() -> (Key, Self) {
        let key = pbft::Record::<Block>::REJOINING;
        let shelf = key.shelf + <Replica as Parent<Party<Block>>>::SHELF;
        (Key::new(shelf, key.name), Self::Agreement(pbft::Record::Rejoining(None)))
    }

    /// Where it lies what was signed last.
    pub const fn signed_key() -> Key {
        Key::new(SHELF_SIGNED, Bytes::ZERO)
    }

    /// Where a block's undo data lie.
    pub const fn undo_key(id: BlockId) -> Key {
        Key::new(SHELF_UNDO, id.0)
    }
}

impl Wire for Record {
    // A body, what connecting it destroyed, or a proposal beside proofs.
    const BYTES_MAX: usize = 2 * Block::BYTES_MAX + pbft::PROOFS_BYTES_MAX;

    fn kind(&self) -> &'static str {
        match self {
            Self::Agreement(record) => record.kind(),
            Self::Body(_) => "body",
            Self::Header(_) => "header",
            Self::Payment(_) => "payment",
            Self::Signed(_) => "signed",
            Self::Undo(_) => "undo",
        }
    }
}
