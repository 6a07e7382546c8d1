//! Reading committed records from other threads.

use std::sync::Arc;

use synod_consensus::Record as ReplicaRecord;
use synod_dht::content;
use synod_dht::discovery::{self, Source};
use synod_ledger::{Block, BlockId, Tx, TxId, Undo};
use synod_peer::Record;

use crate::handle::Archive;
use crate::ledger_items;
use crate::store::{Store, StoreError, StoreSizes};

/// The store as an archive of blocks.
#[derive(Clone, Debug)]
pub struct Records(pub Arc<Store>);

impl Archive for Records {
    fn content(&self, source: &Source) -> Result<Option<Vec<u8>>, StoreError> {
        let key = match source {
            Source::Disk(key) => key,
            Source::Owner(item) => return ledger_items::content(self, item),
        };
        Ok(match self.0.record(&synod_peer::content_key(*key))? {
            Some(Record::Discovery(discovery::Record::Content(content::Record::Piece(bytes)))) => Some(bytes),
            Some(_) | None => None,
        })
    }

    fn block(&self, id: &BlockId) -> Result<Option<Block>, StoreError> {
        Ok(match self.0.record(&ReplicaRecord::body_key(*id))? {
            Some(Record::Replica(ReplicaRecord::Body(block))) => Some(block),
            Some(_) | None => None,
        })
    }

    fn payment(&self, id: &TxId) -> Result<Option<Tx>, StoreError> {
        Ok(match self.0.record(&ReplicaRecord::payment_key(*id))? {
            Some(Record::Replica(ReplicaRecord::Payment(tx))) => Some(tx),
            Some(_) | None => None,
        })
    }

    fn sizes(&self) -> Result<StoreSizes, StoreError> {
        self.0.sizes()
    }

    fn tx_blocks(&self, tx: &TxId) -> Result<Vec<(BlockId, u32)>, StoreError> {
        let places = self.0.tx_blocks(&tx.0)?;
        Ok(places.into_iter().map(|(block, position)| (BlockId(block), position)).collect())
    }

    fn undo(&self, id: &BlockId) -> Result<Option<Arc<Undo>>, StoreError> {
        Ok(match self.0.record(&ReplicaRecord::undo_key(*id))? {
            Some(Record::Replica(ReplicaRecord::Undo(undo))) => Some(undo),
            Some(_) | None => None,
        })
    }
}
