//! A peer's disk: one redb file with its records, an index from transactions to blocks, and whose file it is.
//!
//! A commit is one redb transaction with immediate durability: when [`Store::commit`] has returned, what it wrote
//! survives a killed process and a power loss. Quick repair is on for every commit, so that a store opens in the same
//! time after a crash as after a clean exit. There is one writer; redb's file lock keeps a second process out.

mod error;
#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use redb::{
    Builder, Database, DatabaseError, Durability, OwnedRange, ReadOnlyTable, ReadableDatabase, ReadableTableMetadata,
    StorageBackend, TableDefinition, WriteTransaction,
};
use synod_machine::{Bytes, Key, Wire, wire};

pub use error::StoreError;
use error::storage;

/// The layout of the tables below. A change that old code cannot read raises it by one.
pub const SCHEMA: u32 = 2;

/// redb's page cache, in bytes. Blocks are read rarely and by key, records at the start only; redb's own default of
/// 1 GiB would let an idle peer grow past the 40 MB that it may take.
const CACHE_BYTES_MAX: usize = 16 << 20;

type RecordKey = &'static [u8; 33];
type IndexKey = &'static [u8; 64];

const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");
const RECORDS: TableDefinition<RecordKey, &[u8]> = TableDefinition::new("records");
const TX_INDEX: TableDefinition<IndexKey, u32> = TableDefinition::new("tx_index");

const META_CHAIN: &str = "chain";
const META_GENESIS: &str = "genesis";
const META_PEER: &str = "peer";
const META_SCHEMA: &str = "schema";

/// Whose disk it is. Written into a new store, compared with an old one's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreIdentity {
    /// The chain's name, for people.
    pub chain: String,
    /// The digest of the chain's genesis.
    pub genesis: Bytes<32>,
    /// The peer's public key: a peer that restarts with another's memory would contradict itself before others.
    pub peer: Bytes<32>,
}

/// One change of the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Removes a record, if it is there.
    Delete {
        /// Its key.
        key: Key,
    },
    /// Notes that a block holds a transaction.
    Index {
        /// The transaction's id.
        tx: Bytes<32>,
        /// The block's id.
        block: Bytes<32>,
        /// The transaction's place in the block; the coinbase has 0.
        position: u32,
    },
    /// Writes a record over what was there.
    Put {
        /// Its key.
        key: Key,
        /// The record's encoding.
        bytes: Vec<u8>,
    },
}

/// How much a store holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreSizes {
    /// Bytes of the file; 0 where the store is no file.
    pub file_bytes: u64,
    /// Entries of the index of transactions.
    pub index_entries: u64,
    /// Records, hot and cold.
    pub records: u64,
}

/// A peer's disk.
#[derive(Debug)]
pub struct Store {
    database: Database,
    path: Option<PathBuf>,
}

impl Store {
    /// Opens the file at `path`, or makes it. Its folder must exist.
    pub fn open(path: &Path, identity: &StoreIdentity) -> Result<Self, StoreError> {
        Self::open_beginning(path, identity, &[])
    }

    /// [`open`](Self::open), where a new file begins with what `first` writes: it has that or is not there.
    pub fn open_beginning(path: &Path, identity: &StoreIdentity, first: &[Write]) -> Result<Self, StoreError> {
        if is_absent(path)? {
            create(path, identity, first)?;
        }
        // The file's name is durable only when its folder is. An old store's is synced too: the process that made it may
        // have been killed before it could.
        folder(path)?.sync_all().map_err(StoreError::from_io)?;
        Self::open_claimed(Some(path.to_path_buf()), identity, || builder().open(path))
    }

    /// Opens a store on a back-end that is not a file, for tests that break it. An empty one becomes a new store, in
    /// place: a crash meanwhile leaves no store, where [`Store::open`] leaves none or a whole one.
    pub fn open_with_backend(backend: impl StorageBackend, identity: &StoreIdentity) -> Result<Self, StoreError> {
        Self::open_claimed(None, identity, || builder().create_with_backend(backend))
    }

    /// Makes all of `writes`, in order, or none. When it returns `Ok`, they survive a killed process and a power loss.
    /// After an error nothing more can be written: the store has to be opened again.
    pub fn commit(&self, writes: &[Write]) -> Result<(), StoreError> {
        if writes.is_empty() {
            return Ok(());
        }
        let transaction = self.begin()?;
        {
            let mut records = transaction.open_table(RECORDS).map_err(storage)?;
            let mut index = transaction.open_table(TX_INDEX).map_err(storage)?;
            for write in writes {
                match write {
                    Write::Delete { key } => {
                        records.remove(&key.to_bytes()).map_err(storage)?;
                    }
                    Write::Index { tx, block, position } => {
                        index.insert(&index_key(tx, block), position).map_err(storage)?;
                    }
                    Write::Put { key, bytes } => {
                        records.insert(&key.to_bytes(), bytes.as_slice()).map_err(storage)?;
                    }
                }
            }
        }
        transaction.commit().map_err(storage)
    }

    /// The encoding of the record under `key`, if there is one.
    pub fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
        let records = self.records()?;
        let bytes = records.get(&key.to_bytes()).map_err(storage)?;
        Ok(bytes.map(|bytes| bytes.value().to_vec()))
    }

    /// The record under `key`, if there is one.
    pub fn record<R: Wire>(&self, key: &Key) -> Result<Option<R>, StoreError> {
        let records = self.records()?;
        let bytes = records.get(&key.to_bytes()).map_err(storage)?;
        bytes.map(|bytes| decode(key, bytes.value())).transpose()
    }

    /// All records on hot shelves, in the order of their keys, read as the iterator goes.
    pub fn hot<R: Wire>(&self) -> Result<Hot<R>, StoreError> {
        let cold = Key::new(Key::COLD, Bytes::ZERO).to_bytes();
        let range = self.records()?.range_owned::<&[u8; 33]>(..&cold).map_err(storage)?;
        Ok(Hot { range, record: PhantomData })
    }

    /// The blocks that hold the transaction `tx`, each with its place there, in the order of the blocks' ids.
    pub fn tx_blocks(&self, tx: &Bytes<32>) -> Result<Vec<(Bytes<32>, u32)>, StoreError> {
        let transaction = self.database.begin_read().map_err(storage)?;
        let index = transaction.open_table(TX_INDEX).map_err(storage)?;
        let (first, last) = (index_key(tx, &Bytes::ZERO), index_key(tx, &Bytes([0xff; 32])));
        let range = index.range::<&[u8; 64]>(&first..=&last).map_err(storage)?;
        range
            .map(|entry| {
                let (key, position) = entry.map_err(storage)?;
                let mut block = Bytes::ZERO;
                block.0.copy_from_slice(&key.value()[32..]);
                Ok((block, position.value()))
            })
            .collect()
    }

    /// How much it holds.
    pub fn sizes(&self) -> Result<StoreSizes, StoreError> {
        let transaction = self.database.begin_read().map_err(storage)?;
        let file_bytes = match &self.path {
            Some(path) => path.metadata().map_err(StoreError::from_io)?.len(),
            None => 0,
        };
        Ok(StoreSizes {
            file_bytes,
            index_entries: transaction.open_table(TX_INDEX).map_err(storage)?.len().map_err(storage)?,
            records: transaction.open_table(RECORDS).map_err(storage)?.len().map_err(storage)?,
        })
    }

    fn open_claimed(
        path: Option<PathBuf>,
        identity: &StoreIdentity,
        open: impl FnOnce() -> Result<Database, DatabaseError>,
    ) -> Result<Self, StoreError> {
        // redb trusts the pages that it has written and panics where some of them were changed. A damaged file is not
        // our own mistake, and nothing outlives the attempt that the panic could have left half done.
        let opened = catch_unwind(AssertUnwindSafe(|| {
            let store = Self { database: open().map_err(storage)?, path };
            store.claim(identity)?;
            Ok(store)
        }));
        opened.unwrap_or_else(|_| Err(StoreError::Corrupt("its pages contradict each other".into())))
    }

    fn records(&self) -> Result<ReadOnlyTable<RecordKey, &'static [u8]>, StoreError> {
        let transaction = self.database.begin_read().map_err(storage)?;
        transaction.open_table(RECORDS).map_err(storage)
    }

    fn begin(&self) -> Result<WriteTransaction, StoreError> {
        let mut transaction = self.database.begin_write().map_err(storage)?;
        transaction.set_durability(Durability::Immediate).map_err(storage)?;
        transaction.set_quick_repair(true);
        Ok(transaction)
    }

    /// Writes the identity into a new store, compares it with an old one's.
    fn claim(&self, identity: &StoreIdentity) -> Result<(), StoreError> {
        let transaction = self.database.begin_read().map_err(storage)?;
        let is_new = transaction.list_tables().map_err(storage)?.next().is_none();
        if is_new {
            return self.initialise(identity);
        }
        let meta = transaction.open_table(META).map_err(storage)?;
        let schema = u32::from_le_bytes(meta_bytes(&meta, META_SCHEMA)?.0);
        if schema > SCHEMA {
            return Err(StoreError::NewerSchema { expected: SCHEMA, got: schema });
        }
        if schema != SCHEMA {
            return Err(StoreError::Corrupt(format!("no schema has the number {schema}")));
        }
        let genesis: Bytes<32> = meta_bytes(&meta, META_GENESIS)?;
        if genesis != identity.genesis {
            let name = meta.get(META_CHAIN).map_err(storage)?;
            let name = name.map_or_else(String::new, |name| String::from_utf8_lossy(name.value()).into_owned());
            return Err(StoreError::OtherNetwork {
                expected: network(&identity.chain, &identity.genesis),
                got: network(&name, &genesis),
            });
        }
        let peer = meta_bytes(&meta, META_PEER)?;
        if peer != identity.peer {
            return Err(StoreError::OtherPeer { expected: identity.peer, got: peer });
        }
        Ok(())
    }

    fn initialise(&self, identity: &StoreIdentity) -> Result<(), StoreError> {
        let transaction = self.begin()?;
        {
            let mut meta = transaction.open_table(META).map_err(storage)?;
            meta.insert(META_CHAIN, identity.chain.as_bytes()).map_err(storage)?;
            meta.insert(META_GENESIS, identity.genesis.as_slice()).map_err(storage)?;
            meta.insert(META_PEER, identity.peer.as_slice()).map_err(storage)?;
            meta.insert(META_SCHEMA, SCHEMA.to_le_bytes().as_slice()).map_err(storage)?;
        }
        // Readers expect every table to be there.
        transaction.open_table(RECORDS).map_err(storage)?;
        transaction.open_table(TX_INDEX).map_err(storage)?;
        transaction.commit().map_err(storage)
    }
}

/// The hot records of a store, in the order of their keys.
pub struct Hot<R> {
    range: OwnedRange<RecordKey, &'static [u8]>,
    record: PhantomData<R>,
}

impl<R: Wire> Iterator for Hot<R> {
    type Item = Result<(Key, R), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let entry = self.range.next()?;
        Some(entry.map_err(storage).and_then(|(key, bytes)| {
            let key = Key::from_bytes(key.value()).expect("the table's keys have the length of a key");
            Ok((key, decode(&key, bytes.value())?))
        }))
    }
}

/// Makes a new store beside `path` and moves it there when it is whole: redb cannot open what a crash leaves of a file
/// that it was laying out.
fn create(path: &Path, identity: &StoreIdentity, first: &[Write]) -> Result<(), StoreError> {
    // Of two processes that make one store, the later one must not move its own over the earlier one's.
    let lock = folder(path)?;
    lock.lock().map_err(StoreError::from_io)?;
    if !is_absent(path)? {
        return Ok(());
    }
    let draft = path.with_extension("draft");
    File::create(&draft).map_err(StoreError::from_io)?;
    Store::open_claimed(None, identity, || builder().create(&draft))?.commit(first)?;
    File::open(&draft).and_then(|file| file.sync_all()).map_err(StoreError::from_io)?;
    fs::rename(&draft, path).map_err(StoreError::from_io)
}

fn folder(path: &Path) -> Result<File, StoreError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) | None => Path::new("."),
    };
    File::open(folder).map_err(StoreError::from_io)
}

fn is_absent(path: &Path) -> Result<bool, StoreError> {
    match path.metadata() {
        Ok(metadata) => Ok(metadata.len() == 0),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(StoreError::from_io(error)),
    }
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES_MAX);
    builder
}

fn decode<R: Wire>(key: &Key, bytes: &[u8]) -> Result<R, StoreError> {
    wire::decode(bytes).map_err(|error| {
        let Key { shelf, name } = key;
        StoreError::Corrupt(format!("record {shelf:02x}/{name}: {error}"))
    })
}

fn index_key(tx: &Bytes<32>, block: &Bytes<32>) -> [u8; 64] {
    let mut key = [0; 64];
    key[..32].copy_from_slice(&tx.0);
    key[32..].copy_from_slice(&block.0);
    key
}

fn meta_bytes<const N: usize>(
    meta: &ReadOnlyTable<&'static str, &'static [u8]>,
    name: &str,
) -> Result<Bytes<N>, StoreError> {
    let bytes = meta.get(name).map_err(storage)?;
    let bytes = bytes.ok_or_else(|| StoreError::Corrupt(format!("the table meta has no {name}")))?;
    let bytes = bytes.value().try_into();
    bytes.map(Bytes).map_err(|_| StoreError::Corrupt(format!("the {name} in the table meta has another length")))
}

fn network(name: &str, genesis: &Bytes<32>) -> String {
    format!("{name} (genesis {genesis})")
}
