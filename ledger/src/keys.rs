//! Keys and signatures. `ed25519-dalek` makes them; `ed25519-zebra` checks every one of them by the rule of ZIP-215,
//! under which checking one by one and in a batch always agree, so that no two peers can disagree on a block.

use core::fmt;

use ed25519_dalek::{Signer, SigningKey};
use ed25519_zebra::{VerificationKey, VerificationKeyBytes, batch};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use synod_machine::Bytes;
use zeroize::Zeroizing;

use crate::{Address, digest};

/// An ed25519 public key. Not every value is one: a value that is no point of the curve verifies nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PublicKey(pub Bytes<32>);

impl PublicKey {
    /// Whom coins paid to this key's owner belong to.
    pub fn address(&self) -> Address {
        let hash = digest("address", self);
        let mut short = Bytes::ZERO;
        short.0.copy_from_slice(&hash.0[..20]);
        Address(short)
    }

    /// Whether `signature` is this key's owner's under `message`, by ZIP-215.
    pub fn verify(&self, message: &[u8], signature: &Signature) -> bool {
        let Ok(key) = VerificationKey::try_from(self.0.0) else { return false };
        key.verify(&signature.to_zebra(), message).is_ok()
    }
}

/// An ed25519 signature, or any 64 bytes in the place of one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Signature(pub Bytes<64>);

impl Signature {
    /// What stands where nobody has signed yet.
    pub const NONE: Self = Self(Bytes::ZERO);

    fn to_zebra(self) -> ed25519_zebra::Signature {
        ed25519_zebra::Signature::from_bytes(&self.0.0)
    }
}

/// An ed25519 secret key. It is wiped from memory when dropped.
#[derive(Clone)]
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// The key of a 32-byte seed; every value is one.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        let bytes = Zeroizing::new(bytes);
        Self(SigningKey::from_bytes(&bytes))
    }

    /// The seed the key was made from.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(Bytes(self.0.verifying_key().to_bytes()))
    }

    /// Whom coins paid to this key's owner belong to.
    pub fn address(&self) -> Address {
        self.public().address()
    }

    /// Signs `message`. The same key and message give the same signature.
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature(Bytes(self.0.sign(message).to_bytes()))
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(of {})", self.address())
    }
}

/// Signatures to be checked together, at less than half the cost of one by one.
///
/// The coefficients that the check needs are drawn from a generator seeded with everything queued: nobody can choose
/// signatures that cancel out under coefficients that depend on them, and the check is a pure function.
#[derive(Default)]
pub struct Batch {
    verifier: batch::Verifier,
    seed: Sha256,
    len: usize,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one signature.
    pub fn queue(&mut self, key: PublicKey, signature: Signature, message: &[u8]) {
        self.seed.update(key.0);
        self.seed.update(signature.0);
        self.seed.update((message.len() as u64).to_le_bytes());
        self.seed.update(message);
        self.verifier.queue((VerificationKeyBytes::from(key.0.0), signature.to_zebra(), message));
        self.len += 1;
    }

    /// How many signatures are queued.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is queued.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether [`PublicKey::verify`] holds of every signature queued. True of none.
    pub fn verify(self) -> bool {
        let rng = ChaCha20Rng::from_seed(self.seed.finalize().into());
        self.verifier.verify(rng).is_ok()
    }
}
