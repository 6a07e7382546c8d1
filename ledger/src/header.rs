//! Block headers and the 80 bytes whose hash names a block.

mod shared;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use synod_machine::{Bytes, Time};

pub use self::shared::{Outlook, SharedHeader};
use crate::{BlockId, Certificate, ChainId, CompactTarget, Height, PublicKey, SecretKey, Signature, digest};

/// What makes a block acceptable to the consensus engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Proof of stake: a wallet whose stake won this second.
    Stake {
        /// Whose stake it is.
        key: PublicKey,
        /// The difficulty the draw was made for.
        difficulty: u64,
        /// The key's signature under [`Header::stake_digest`]. It is in the block's id.
        signature: Signature,
    },
    /// Agreement of the validators.
    Agreed {
        /// Their votes, none while the block is proposed. They are not in the block's id, which they sign.
        certificate: Certificate,
    },
}

impl Seal {
    /// What a miner varies, zero where there is nothing.
    pub const fn nonce(&self) -> u64 {
        match self {
            Self::Genesis | Self::Stake { .. } | Self::Agreed { .. } => 0,
            Self::Work { nonce, .. } => *nonce,
            Self::Declared { draw, .. } => *draw,
        }
    }

    /// The target the seal states.
    pub const fn target(&self) -> Option<CompactTarget> {
        match self {
            Self::Genesis | Self::Stake { .. } | Self::Agreed { .. } => None,
            Self::Work { target, .. } | Self::Declared { target, .. } => Some(*target),
        }
    }

    /// Everything but the nonce and the certificate.
    const fn fixed(&self) -> Fixed {
        match *self {
            Self::Genesis => Fixed::Genesis,
            Self::Work { target, .. } => Fixed::Work { target },
            Self::Declared { target, .. } => Fixed::Declared { target },
            Self::Stake { key, difficulty, signature } => Fixed::Stake { key, difficulty, signature },
            Self::Agreed { .. } => Fixed::Agreed,
        }
    }
}

/// A seal without what a miner varies, and without votes that are cast after the block has its name.
#[derive(Serialize)]
enum Fixed {
    Genesis,
    Work { target: CompactTarget },
    Declared { target: CompactTarget },
    Stake { key: PublicKey, difficulty: u64, signature: Signature },
    Agreed,
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

    /// What a stake's owner signs: everything but the signature. Nothing where the seal is no stake.
    ///
    /// The signature is a part of the block's id, so that a header that was spoilt on its way has another id and spoils
    /// nobody's memory of the good one. A stranger cannot make a second signature of the same content (ed25519 is
    /// strongly unforgeable, and ZIP-215 refuses scalars beyond the group's order); the owner can, which is why evidence
    /// compares these digests and not ids.
    pub fn stake_digest(&self) -> Option<Bytes<32>> {
        let Seal::Stake { key, difficulty, .. } = self.seal else { return None };
        let unsigned = (self.chain, self.parent, self.height, self.time, self.root, key, difficulty);
        Some(digest("stake header", &unsigned))
    }

    /// Whether the seal is a stake's and signed by its key.
    pub fn is_signed(&self) -> bool {
        let Seal::Stake { key, ref signature, .. } = self.seal else { return false };
        self.stake_digest().is_some_and(|digest| key.verify(digest.as_slice(), signature))
    }

    /// The header with the stake's signature by `secret`, whose public half its seal must name.
    pub fn signed(mut self, secret: &SecretKey) -> Self {
        let digest = self.stake_digest().expect("only a stake's header is signed");
        if let Seal::Stake { key, signature, .. } = &mut self.seal {
            assert!(*key == secret.public(), "a header is signed by the key that it names");
            *signature = secret.sign(digest.as_slice());
        }
        self
    }

    /// The block's name: SHA-256 of the preimage. A proof of work reads it as a big-endian number.
    pub fn id(&self) -> BlockId {
        BlockId(Bytes(Sha256::digest(self.preimage()).into()))
    }
}
