//! Names of chains, blocks and transactions, and heights. All names are hashes, so equal names mean equal content.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};
use synod_machine::{Bytes, ParseBytesError};

/// A chain: the first eight bytes of its genesis's digest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChainId(pub Bytes<8>);

/// A block: the SHA-256 of its header's preimage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BlockId(pub Bytes<32>);

/// A payment or a coinbase: the digest of everything in it but the signatures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TxId(pub Bytes<32>);

/// How many blocks lie between a block and the genesis, whose height is zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Height(pub u64);

impl Height {
    /// The genesis's height.
    pub const GENESIS: Self = Self(0);

    /// The height above. The last one that can be named is its own successor.
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for BlockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for TxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Height {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ChainId {
    type Err = ParseBytesError;

    fn from_str(text: &str) -> Result<Self, ParseBytesError> {
        text.parse().map(Self)
    }
}

impl FromStr for BlockId {
    type Err = ParseBytesError;

    fn from_str(text: &str) -> Result<Self, ParseBytesError> {
        text.parse().map(Self)
    }
}

impl FromStr for TxId {
    type Err = ParseBytesError;

    fn from_str(text: &str) -> Result<Self, ParseBytesError> {
        text.parse().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn ids_are_written_and_read_as_hexadecimal() {
        let chain = ChainId(Bytes([0xab; 8]));
        assert_eq!(chain.to_string(), "abababababababab");
        assert_eq!("abababababababab".parse(), Ok(chain));
        let id = TxId(Bytes([0x01; 32]));
        assert_eq!(id.to_string().parse(), Ok(id));
        let id = BlockId(Bytes([0x02; 32]));
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!("01".parse::<BlockId>(), Err(ParseBytesError { expected: 64 }));
    }

    #[test]
    fn the_last_height_stays() {
        assert_eq!(Height(7).next(), Height(8));
        assert_eq!(Height(u64::MAX).next(), Height(u64::MAX));
    }
}
