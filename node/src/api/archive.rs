//! The store as the archive that lookups read, beside the engine that writes it.

use std::sync::Arc;

use synod_consensus::{Record, Replica};
use synod_ledger::{Block, BlockId, Tx, TxId, Undo};
use synod_machine::{Key, Parent};
use synod_peer::Peer;

use crate::handle::Archive;
use crate::store::{Store, StoreError, StoreSizes};

impl Archive for Store {
    fn block(&self, id: &BlockId) -> Result<Option<Block>, StoreError> {
        let key = Record::body_key(*id);
        replica_record(self, key, |record| if let Record::Body(block) = record { Some(block) } else { None })
    }

    fn payment(&self, id: &TxId) -> Result<Option<Tx>, StoreError> {
        let key = Record::payment_key(*id);
        replica_record(self, key, |record| if let Record::Payment(tx) = record { Some(tx) } else { None })
    }

    fn sizes(&self) -> Result<StoreSizes, StoreError> {
        Self::sizes(self)
    }

    fn tx_blocks(&self, tx: &TxId) -> Result<Vec<(BlockId, u32)>, StoreError> {
        let blocks = Self::tx_blocks(self, &tx.0)?;
        Ok(blocks.into_iter().map(|(block, index)| (BlockId(block), index)).collect())
    }

    fn undo(&self, id: &BlockId) -> Result<Option<Arc<Undo>>, StoreError> {
        let key = Record::undo_key(*id);
        replica_record(self, key, |record| if let Record::Undo(undo) = record { Some(undo) } else { None })
    }
}

fn replica_record<T>(store: &Store, key: Key, open: impl FnOnce(Record) -> Option<T>) -> Result<Option<T>, StoreError> {
    // The peer puts each of its parts' records onto shelves of their own.
    let key = Key::new(key.shelf + <Peer as Parent<Replica>>::SHELF, key.name);
    let Some(record) = store.record::<synod_peer::Record>(&key)? else { return Ok(None) };
    let kind = synod_machine::Wire::kind(&record);
    let opened = match record {
        synod_peer::Record::Neighbours(_) => None,
        synod_peer::Record::Replica(record) => open(record),
    };
    match opened {
        Some(value) => Ok(Some(value)),
        None => Err(StoreError::Corrupt(format!("record {key:?} is a {kind}"))),
    }
}
