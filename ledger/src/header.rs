//! Block headers and the 80 bytes whose hash names a block.

mod shared;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use synod_machine::{Bytes, Time};

pub use self::shared::{Outlook, SharedHeader};
use crate::{BlockId, ChainId, CompactTarget, Height, digest};

/// What makes a block acceptable to the consensus engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Seal {
    /// The first block's: it is known to everybody and proves nothing.
    Genesis,
    /// Proof of work: the block's id, read as a number, is at most the target.
    Work {
        /// The largest id that counts.
        target: CompactTarget,
        /// What the miner found.
        nonce: u64,
    },
    /// A proof of work that was drawn and not ground. Only a simulation's genesis allows it.
    Declared {
        /// The target the draw was made for.
        target: CompactTarget,
        /// Any number.
        draw: u64,
    },
}

impl Seal {
    /// What a miner varies, zero where there is nothing.
    pub const fn nonce(&self) -> u64 {
        match *self {
            Self::Genesis => 0,
            Self::Work { nonce, .. } => nonce,
            Self::Declared { draw, .. } => draw,
        }
    }

    /// The target the seal states.
    pub const fn target(&self) -> Option<CompactTarget> {
        match *self {
            Self::Genesis => None,
            Self::Work { target, .. } | Self::Declared { target, .. } => Some(target),
        }
    }

    /// Everything but the nonce.
    const fn fixed(&self) -> Fixed {
        match *self {
            Self::Genesis => Fixed::Genesis,
            Self::Work { target, .. } => Fixed::Work { target },
            Self::Declared { target, .. } => Fixed::Declared { target },
        }
    }
}

/// A seal without what a miner varies.
#[derive(Serialize)]
enum Fixed {
    Genesis,
    Work { target: CompactTarget },
    Declared { target: CompactTarget },
}

/// What is known of a block without its transactions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The chain it belongs to.
    pub chain: ChainId,
    /// The block it builds on; zeroes in the genesis.
    pub parent: BlockId,
    /// One more than the parent's.
    pub height: Height,
    /// When it was made, as its maker says.
    pub time: Time,
    /// The Merkle root of its transactions.
    pub root: Bytes<32>,
    /// The consensus engine's proof.
    pub seal: Seal,
}

impl Header {
    /// What is hashed: a digest of all fields but the nonce (32 bytes), the parent (32), the chain (8) and the nonce
    /// (8, little endian, zero where the seal has none). The first 64 bytes, one block of SHA-256, do not depend on
    /// the nonce: a miner keeps the midstate.
    pub fn preimage(&self) -> [u8; 80] {
        let fixed = self.seal.fixed();
        let core = digest("header", &(self.chain, self.parent, self.height, self.time, self.root, fixed));
        let mut bytes = [0; 80];
        bytes[..32].copy_from_slice(core.as_slice());
        bytes[32..64].copy_from_slice(self.parent.0.as_slice());
        bytes[64..72].copy_from_slice(self.chain.0.as_slice());
        bytes[72..].copy_from_slice(&self.seal.nonce().to_le_bytes());
        bytes
    }

    /// The block's name: SHA-256 of the preimage. A proof of work reads it as a big-endian number.
    pub fn id(&self) -> BlockId {
        BlockId(Bytes(Sha256::digest(self.preimage()).into()))
    }
}
