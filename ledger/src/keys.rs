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

use crate::{Address, digest, meter};

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
        meter::checked(1);
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
        meter::made();
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
        meter::checked(self.len);
        let rng = ChaCha20Rng::from_seed(self.seed.finalize().into());
        self.verifier.verify(rng).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    /// All encodings of points of small order, the last six not canonical (ZIP-215 accepts them).
    fn small_order_keys() -> Vec<[u8; 32]> {
        let bytes = |low: u8, middle: u8, high: u8| {
            let mut bytes = [middle; 32];
            (bytes[0], bytes[31]) = (low, high);
            bytes
        };
        let hex = |text: &str| text.parse::<Bytes<32>>().expect("64 digits").0;
        alloc::vec![
            bytes(0x01, 0x00, 0x00),
            bytes(0xec, 0xff, 0x7f),
            bytes(0x00, 0x00, 0x00),
            bytes(0x00, 0x00, 0x80),
            hex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
            hex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85"),
            hex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
            hex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa"),
            bytes(0x01, 0x00, 0x80),
            bytes(0xec, 0xff, 0xff),
            bytes(0xee, 0xff, 0x7f),
            bytes(0xee, 0xff, 0xff),
            bytes(0xed, 0xff, 0x7f),
            bytes(0xed, 0xff, 0xff),
        ]
    }

    /// The group's order, little endian: added to a signature's scalar it gives a second one of the same residue.
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];

    fn with_order_added(signature: Signature) -> Signature {
        let mut bytes = signature.0;
        let mut carry = 0;
        for (byte, add) in bytes.0[32..].iter_mut().zip(ORDER) {
            let sum = u16::from(*byte) + u16::from(add) + carry;
            *byte = sum as u8;
            carry = sum >> 8;
        }
        assert_eq!(carry, 0, "both scalars are below the order");
        Signature(bytes)
    }

    fn with_point(point: [u8; 32]) -> Signature {
        let mut bytes = Bytes([0; 64]);
        bytes.0[..32].copy_from_slice(&point);
        Signature(bytes)
    }

    fn batch_of_one(key: PublicKey, message: &[u8], signature: Signature) -> bool {
        let mut batch = Batch::new();
        batch.queue(key, signature, message);
        batch.verify()
    }

    #[test]
    fn a_key_signs_what_its_public_half_verifies() {
        let secret = SecretKey::from_bytes([1; 32]);
        let signature = secret.sign(b"message");
        assert!(secret.public().verify(b"message", &signature));
        assert!(!secret.public().verify(b"massage", &signature));
        assert!(!SecretKey::from_bytes([2; 32]).public().verify(b"message", &signature));
        assert!(!secret.public().verify(b"message", &Signature::NONE));
        assert_eq!(*secret.to_bytes(), [1; 32]);
    }

    #[test]
    fn rfc_8032_test_1_gives_these_bytes() {
        let seed: Bytes<32> = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60".parse().expect("hex");
        let secret = SecretKey::from_bytes(seed.0);
        let public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        assert_eq!(format!("{}", secret.public().0), public);
        let signature = "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b\
                         d25bf5f0595bbe24655141438e7a100b";
        assert_eq!(format!("{}", secret.sign(b"").0), signature);
    }

    #[test]
    fn debug_shows_whose_a_secret_key_is_and_not_the_key() {
        let secret = SecretKey::from_bytes([0xab; 32]);
        assert_eq!(format!("{secret:?}"), format!("SecretKey(of {})", secret.address()));
    }

    #[test]
    fn small_order_keys_and_points_are_accepted_one_by_one_and_together() {
        let mut batch = Batch::new();
        for key in small_order_keys() {
            for point in small_order_keys() {
                let (key, signature) = (PublicKey(Bytes(key)), with_point(point));
                assert!(key.verify(b"any", &signature), "{key:?} {signature:?}");
                assert!(batch_of_one(key, b"any", signature), "{key:?} {signature:?}");
                batch.queue(key, signature, b"any");
            }
        }
        assert_eq!(batch.len(), 14 * 14);
        assert!(batch.verify());
    }

    #[test]
    fn a_scalar_beyond_the_order_and_a_key_off_the_curve_are_refused_by_both() {
        let secret = SecretKey::from_bytes([1; 32]);
        let malleated = with_order_added(secret.sign(b"message"));
        assert!(!secret.public().verify(b"message", &malleated));
        assert!(!batch_of_one(secret.public(), b"message", malleated));
        let mut off = Bytes([0; 32]);
        off.0[0] = 2;
        let signature = with_point(small_order_keys()[0]);
        assert!(!PublicKey(off).verify(b"message", &signature));
        assert!(!batch_of_one(PublicKey(off), b"message", signature));
    }

    #[test]
    fn an_empty_batch_holds() {
        assert!(Batch::new().is_empty());
        assert!(Batch::new().verify());
    }

    /// A signature that is good, or wrong in one of the ways that implementations disagree on.
    fn item(kind: u8, person: u8) -> (PublicKey, Signature, [u8; 1]) {
        let secret = SecretKey::from_bytes([person; 32]);
        let good = secret.sign(&[person]);
        let small = small_order_keys()[usize::from(person) % 14];
        match kind {
            0..=5 => (secret.public(), good, [person]),
            6 => (PublicKey(Bytes(small)), with_point(small), [person]),
            7 => (secret.public(), good, [person.wrapping_add(1)]),
            8 => (secret.public(), with_order_added(good), [person]),
            // A point of small order in a signature that was made without it.
            9 => {
                let mut mixed = good;
                mixed.0.0[..32].copy_from_slice(&small);
                (secret.public(), mixed, [person])
            }
            _ => (PublicKey(Bytes([person; 32])), good, [person]),
        }
    }

    proptest! {
        #[test]
        fn a_batch_holds_exactly_if_each_signature_does(items in prop::collection::vec((0_u8..11, any::<u8>()), 0..8)) {
            let mut batch = Batch::new();
            let mut each = true;
            for (kind, person) in items {
                let (key, signature, message) = item(kind, person);
                let single = key.verify(&message, &signature);
                prop_assert_eq!(single, batch_of_one(key, &message, signature));
                each &= single;
                batch.queue(key, signature, &message);
            }
            prop_assert_eq!(batch.verify(), each);
        }
    }
}
