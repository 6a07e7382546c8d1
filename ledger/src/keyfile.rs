//! Secret keys on disk, encrypted under a passphrase: Argon2id (RFC 9106) makes a key of the passphrase and
//! XChaCha20-Poly1305 encrypts the secret under it. Everything else in the file is authenticated with it.
//!
//! Salt and nonce are arguments, because this crate has no randomness of its own: they must be fresh for each file.

use alloc::string::String;

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use serde::{Deserialize, Serialize};
use synod_machine::{Bytes, wire};
use zeroize::Zeroizing;

use crate::{Address, PublicKey, SecretKey};

/// What deriving a key from a passphrase costs, and so what each guess costs a thief.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KdfCost {
    /// Memory, in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub passes: u32,
    /// Lanes that could run in parallel.
    pub lanes: u32,
}

impl KdfCost {
    /// The largest cost that is accepted: a file must not be able to exhaust the machine that opens it.
    pub const MAX: Self = Self { memory_kib: 1 << 20, passes: 16, lanes: 16 };

    /// Whether Argon2 can have this cost and it is at most [`KdfCost::MAX`].
    pub fn is_acceptable(self) -> bool {
        let within =
            self.memory_kib <= Self::MAX.memory_kib && self.passes <= Self::MAX.passes && self.lanes <= Self::MAX.lanes;
        within && self.params().is_some()
    }

    fn params(self) -> Option<Params> {
        Params::new(self.memory_kib, self.passes, self.lanes, Some(32)).ok()
    }
}

impl Default for KdfCost {
    /// RFC 9106, section 4: the second recommended option, for where memory is scarce.
    fn default() -> Self {
        Self { memory_kib: 64 * 1024, passes: 3, lanes: 4 }
    }
}

/// An encrypted secret key with what is needed to decrypt it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyFile {
    /// The layout of this file.
    pub version: u32,
    /// What its owner calls the key.
    pub name: String,
    /// The key's address.
    pub address: Address,
    /// The public half.
    pub public_key: PublicKey,
    /// The cost of a guess.
    pub kdf: KdfCost,
    /// Argon2's salt.
    pub salt: Bytes<16>,
    /// The cipher's nonce.
    pub nonce: Bytes<24>,
    /// The secret half, encrypted, and its authenticator.
    pub ciphertext: Bytes<48>,
}

/// Why a key file was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFileError {
    /// The decrypted key has another address than the file says.
    #[error("the key belongs to {got}, the file says {expected}")]
    Address {
        /// The file's.
        expected: Address,
        /// The key's.
        got: Address,
    },
    /// The file asks for more work than is reasonable, or for less than is possible.
    #[error("a key derivation with {} KiB, {} passes, {} lanes is refused", got.memory_kib, got.passes, got.lanes)]
    Cost {
        /// What the file asks for.
        got: KdfCost,
    },
    /// Another passphrase, or a changed file.
    #[error("wrong passphrase, or the file was changed")]
    Passphrase,
    /// A layout this program does not know.
    #[error("key file version {got}, {expected} expected")]
    Version {
        /// The one that is known.
        expected: u32,
        /// The file's.
        got: u32,
    },
}

/// Encrypts `secret` under `passphrase`. `salt` and `nonce` are fresh and random; `cost` is acceptable.
pub fn seal(
    secret: &SecretKey,
    name: &str,
    passphrase: &[u8],
    salt: [u8; 16],
    nonce: [u8; 24],
    cost: KdfCost,
) -> KeyFile {
    assert!(cost.is_acceptable(), "a file that could not be opened again is not made");
    let mut file = KeyFile {
        version: VERSION,
        name: String::from(name),
        address: secret.address(),
        public_key: secret.public(),
        kdf: cost,
        salt: Bytes(salt),
        nonce: Bytes(nonce),
        ciphertext: Bytes([0; 48]),
    };
    let cipher = file.cipher(passphrase).expect("the cost was checked");
    let aad = file.authenticated();
    let payload = Payload { msg: &*secret.to_bytes(), aad: &aad };
    let ciphertext = cipher.encrypt(&nonce.into(), payload).expect("32 bytes can be encrypted");
    file.ciphertext.0.copy_from_slice(&ciphertext);
    file
}

impl KeyFile {
    /// Decrypts the secret key.
    pub fn open(&self, passphrase: &[u8]) -> Result<SecretKey, KeyFileError> {
        if self.version != VERSION {
            return Err(KeyFileError::Version { expected: VERSION, got: self.version });
        }
        let cipher = self.cipher(passphrase)?;
        let aad = self.authenticated();
        let payload = Payload { msg: self.ciphertext.as_slice(), aad: &aad };
        let plain = cipher.decrypt(&self.nonce.0.into(), payload).map_err(|_| KeyFileError::Passphrase)?;
        let plain = Zeroizing::new(plain);
        let bytes: [u8; 32] = plain.as_slice().try_into().map_err(|_| KeyFileError::Passphrase)?;
        let secret = SecretKey::from_bytes(bytes);
        let got = secret.address();
        if got != self.address || secret.public() != self.public_key {
            return Err(KeyFileError::Address { expected: self.address, got });
        }
        Ok(secret)
    }

    fn cipher(&self, passphrase: &[u8]) -> Result<XChaCha20Poly1305, KeyFileError> {
        let cost_error = KeyFileError::Cost { got: self.kdf };
        if !self.kdf.is_acceptable() {
            return Err(cost_error);
        }
        let params = self.kdf.params().ok_or(cost_error)?;
        let mut key = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase, self.salt.as_slice(), &mut *key)
            .map_err(|_| KeyFileError::Passphrase)?;
        Ok(XChaCha20Poly1305::new(&(*key).into()))
    }

    /// What stands beside the secret and cannot be changed without the passphrase.
    fn authenticated(&self) -> alloc::vec::Vec<u8> {
        wire::encode(&("key file", self.version, &self.name, &self.address, &self.public_key))
    }
}

/// The layout that is written and read.
const VERSION: u32 = 1;

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    const CHEAP: KdfCost = KdfCost { memory_kib: 8, passes: 1, lanes: 1 };

    fn file() -> KeyFile {
        seal(&SecretKey::from_bytes([7; 32]), "alice", b"secret", [1; 16], [2; 24], CHEAP)
    }

    #[test]
    fn a_sealed_key_comes_back_with_its_passphrase_only() {
        let text = serde_json::to_string(&file()).expect("writable");
        let read: KeyFile = serde_json::from_str(&text).expect("readable");
        assert_eq!(read, file());
        assert_eq!(*read.open(b"secret").expect("the passphrase").to_bytes(), [7; 32]);
        assert_eq!(read.open(b"Secret").expect_err("another one"), KeyFileError::Passphrase);
        assert!(!text.contains(&"07".repeat(32)), "the secret is not in the clear");
    }

    #[test]
    fn whatever_is_changed_in_a_file_it_does_not_open() {
        let changes: [fn(&mut KeyFile); 7] = [
            |file| file.name = "bob".to_string(),
            |file| file.address = SecretKey::from_bytes([8; 32]).address(),
            |file| file.public_key = SecretKey::from_bytes([8; 32]).public(),
            |file| file.kdf.passes = 2,
            |file| file.salt.0[0] ^= 1,
            |file| file.nonce.0[0] ^= 1,
            |file| file.ciphertext.0[47] ^= 1,
        ];
        for (number, change) in changes.iter().enumerate() {
            let mut changed = file();
            change(&mut changed);
            assert_eq!(changed.open(b"secret").expect_err("changed"), KeyFileError::Passphrase, "change {number}");
        }
    }

    #[test]
    fn a_key_of_another_address_is_refused() {
        // Whoever knows the passphrase can authenticate a file that names another address.
        let mut file = file();
        file.address = SecretKey::from_bytes([8; 32]).address();
        let cipher = file.cipher(b"secret").expect("cheap");
        let aad = file.authenticated();
        let ciphertext = cipher.encrypt(&file.nonce.0.into(), Payload { msg: &[7; 32], aad: &aad }).expect("short");
        file.ciphertext.0.copy_from_slice(&ciphertext);
        let got = SecretKey::from_bytes([7; 32]).address();
        let expected = KeyFileError::Address { expected: file.address, got };
        assert_eq!(file.open(b"secret").expect_err("another address"), expected);
    }

    #[test]
    fn absurd_costs_and_unknown_versions_are_refused() {
        let KdfCost { memory_kib, passes, lanes } = KdfCost::MAX;
        assert!(KdfCost::MAX.is_acceptable());
        assert!(KdfCost::default().is_acceptable());
        for kdf in [
            KdfCost { memory_kib: memory_kib + 1, ..CHEAP },
            KdfCost { passes: passes + 1, ..CHEAP },
            KdfCost { lanes: lanes + 1, memory_kib, passes: 1 },
            KdfCost { passes: 0, ..CHEAP },
            KdfCost { lanes: 0, ..CHEAP },
            KdfCost { memory_kib: 7, ..CHEAP },
            KdfCost { memory_kib: u32::MAX, passes: u32::MAX, lanes: u32::MAX },
        ] {
            let file = KeyFile { kdf, ..file() };
            assert_eq!(file.open(b"secret").expect_err("absurd"), KeyFileError::Cost { got: kdf });
        }
        let file = KeyFile { version: 2, ..file() };
        assert_eq!(file.open(b"secret").expect_err("unknown"), KeyFileError::Version { expected: 1, got: 2 });
    }
}
