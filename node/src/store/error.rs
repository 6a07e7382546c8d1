//! Why a store cannot be opened, read or written.

use std::io;

use synod_machine::Bytes;

/// Why a store cannot be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file is no store, or was changed by something else, or its medium lost data.
    #[error("the store is damaged: {0}")]
    Corrupt(String),
    /// No room is left where the store lies.
    #[error("no space is left on the store's disk")]
    DiskFull,
    /// An earlier write failed, and nothing was written since.
    #[error("an earlier write to the store failed; it has to be opened again")]
    Failed,
    /// The operating system refused to read or write.
    #[error("the store cannot be read or written: {0}")]
    Io(#[source] io::Error),
    /// Another process (or this one) has it open.
    #[error("the store is in use by another process")]
    Locked,
    /// Written by a later version of this program.
    #[error("the store has schema {got}; this program knows schemas up to {expected}")]
    NewerSchema {
        /// The latest schema that this program knows.
        expected: u32,
        /// The store's.
        got: u32,
    },
    /// The store of another chain.
    #[error("the store belongs to the network {got}, not to {expected}")]
    OtherNetwork {
        /// The network that the peer is configured for.
        expected: String,
        /// The network whose store it is.
        got: String,
    },
    /// The store of a peer with another key.
    #[error("the store belongs to the peer with the public key {got}, not to {expected}")]
    OtherPeer {
        /// The configured peer's public key.
        expected: Bytes<32>,
        /// The public key of the peer whose store it is.
        got: Bytes<32>,
    },
}

impl StoreError {
    pub(super) fn from_io(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::QuotaExceeded | io::ErrorKind::StorageFull => Self::DiskFull,
            io::ErrorKind::InvalidData => Self::Corrupt(error.to_string()),
            io::ErrorKind::UnexpectedEof => Self::Corrupt("the file ends too early".into()),
            _ => Self::Io(error),
        }
    }
}

/// What redb's errors, which differ by function, mean to us.
pub(super) fn storage(error: impl Into<redb::Error>) -> StoreError {
    match error.into() {
        redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => StoreError::Locked,
        redb::Error::DatabaseClosed | redb::Error::LockPoisoned(_) | redb::Error::PreviousIo => StoreError::Failed,
        redb::Error::Io(error) => StoreError::from_io(error),
        // The rest says that the tables are not ours: wrong types, tables missing, checksums, an old format.
        other => StoreError::Corrupt(other.to_string()),
    }
}
