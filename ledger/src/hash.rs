//! The one hash of the ledger: SHA-256 over the wire encoding of a domain tag and a value.
//!
//! The tag keeps hashes of different things apart; the values carry their chain's id, so that an id means the same
//! thing in every context.

use alloc::vec::Vec;

use serde::Serialize;
use sha2::{Digest, Sha256};
use synod_machine::{Bytes, wire};

/// SHA-256 over the encoding of `(domain, value)`.
pub fn digest<T: Serialize>(domain: &'static str, value: &T) -> Bytes<32> {
    // Room for a payment of one input and two outputs without growing.
    let mut bytes = Vec::with_capacity(256);
    wire::encode_into(&(domain, value), &mut bytes);
    Bytes(Sha256::digest(&bytes).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_and_the_value_both_count() {
        // SHA-256 of 03 "abc" 07: the tag's length, the tag, the number.
        assert_eq!(digest("abc", &7_u64), Bytes(Sha256::digest(b"\x03abc\x07").into()));
        assert_ne!(digest("abc", &7_u64), digest("abd", &7_u64));
        assert_ne!(digest("abc", &7_u64), digest("abc", &8_u64));
    }
}
