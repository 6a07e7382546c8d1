//! Names of records on a peer's disk.

use core::fmt;

use crate::Bytes;

/// The name of a record. A disk is a small ordered map from keys to records.
///
/// Shelves from [`Key::COLD`] on are *cold*: they are not handed to [`Protocol::restore`](crate::Protocol::restore) but
/// read one record at a time when the protocol asks its owner (block bodies, undo data).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// What kind of record it is; a parent adds its own offset to a child's.
    pub shelf: u8,
    /// Which record of that kind, usually a hash.
    pub name: Bytes<32>,
}

impl Key {
    /// The first cold shelf.
    pub const COLD: u8 = 0x80;

    /// The key of `name` on `shelf`.
    pub const fn new(shelf: u8, name: Bytes<32>) -> Self {
        Self { shelf, name }
    }

    /// Whether the record is read on demand only.
    pub const fn is_cold(&self) -> bool {
        self.shelf >= Self::COLD
    }

    /// The bytes under which a host stores the record; they sort as the keys do.
    pub fn to_bytes(self) -> [u8; 33] {
        let mut bytes = [self.shelf; 33];
        bytes[1..].copy_from_slice(&self.name.0);
        bytes
    }

    /// The key that [`to_bytes`](Self::to_bytes) wrote, or nothing where the length is wrong.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&shelf, name) = bytes.split_first()?;
        Some(Self::new(shelf, Bytes(name.try_into().ok()?)))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}/{:?}", self.shelf, self.name)
    }
}
