//! The one place that knows how values become bytes: serde and bincode 2, with the guards that bincode lacks.
//!
//! Every decode has a byte limit, consumes all bytes and compares the value's own encoding with what came in, so that a
//! value has exactly one encoding. Types on the wire have no zero-sized elements and no recursion: the first would let
//! a short message loop for ever, the second overflow the stack.

use alloc::vec::Vec;
use core::fmt::Debug;

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use bincode::enc::write::{SizeWriter, Writer};
use bincode::error::EncodeError;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// No value on any wire or disk is larger, in bytes. [`Wire::BYTES_MAX`] is usually far lower.
pub const BYTES_MAX: usize = 1 << 25;

const CONFIG: Configuration<LittleEndian, Varint, Limit<BYTES_MAX>> =
    bincode::config::standard().with_limit::<BYTES_MAX>();

/// A value that travels between peers or to a disk.
pub trait Wire: Serialize + DeserializeOwned + Clone + Debug {
    /// The longest encoding that is accepted, in bytes.
    const BYTES_MAX: usize;

    /// What kind of message it is, for counting. A short name without spaces.
    fn kind(&self) -> &'static str;

    /// How many bytes its encoding has. Override it where the length is known or kept.
    fn encoded_len(&self) -> usize {
        encoded_len(self)
    }
}

/// Why bytes are not a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Not an encoding of the type, or bytes left over, or a second encoding of a value.
    #[error("malformed bytes")]
    Malformed,
    /// Longer than the type allows.
    #[error("{got} bytes, at most {expected} allowed")]
    Oversized {
        /// The type's limit, in bytes.
        expected: usize,
        /// What came, in bytes.
        got: usize,
    },
}

/// The value's one encoding.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_into(value, &mut bytes);
    bytes
}

/// Appends the value's one encoding to `bytes`.
pub fn encode_into<T: Serialize>(value: &T, bytes: &mut Vec<u8>) {
    bincode::serde::encode_into_writer(value, Append(bytes), CONFIG).expect("our own values can be encoded");
}

/// The length of the value's encoding, in bytes, without making it.
pub fn encoded_len<T: Serialize>(value: &T) -> usize {
    let mut size = SizeWriter::default();
    bincode::serde::encode_into_writer(value, &mut size, CONFIG).expect("our own values can be encoded");
    size.bytes_written
}

/// The value that `bytes` are the one encoding of.
pub fn decode<T: Wire>(bytes: &[u8]) -> Result<T, WireError> {
    if bytes.len() > T::BYTES_MAX {
        return Err(WireError::Oversized { expected: T::BYTES_MAX, got: bytes.len() });
    }
    let (value, read) =
        bincode::serde::borrow_decode_from_slice::<T, _>(bytes, CONFIG).map_err(|_| WireError::Malformed)?;
    if read != bytes.len() {
        return Err(WireError::Malformed);
    }
    bincode::serde::encode_into_writer(&value, Compare(bytes), CONFIG).map_err(|_| WireError::Malformed)?;
    Ok(value)
}

struct Append<'a>(&'a mut Vec<u8>);

impl Writer for Append<'_> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

/// Compares what is written with what is expected, in place: the one-encoding check allocates nothing.
struct Compare<'a>(&'a [u8]);

impl Writer for Compare<'_> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        let rest = self.0.strip_prefix(bytes).ok_or(EncodeError::UnexpectedEnd)?;
        self.0 = rest;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::String;
    use alloc::vec;

    use serde::Deserialize;

    use super::*;
    use crate::Bytes;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    enum Sample {
        Empty,
        Full { id: Bytes<4>, numbers: Vec<u64>, flag: bool, text: Option<String> },
    }

    impl Wire for Sample {
        const BYTES_MAX: usize = 64;

        fn kind(&self) -> &'static str {
            "sample"
        }
    }

    fn sample() -> Sample {
        Sample::Full { id: Bytes([1, 2, 3, 4]), numbers: vec![7, 300], flag: true, text: None }
    }

    #[test]
    fn encodings_are_these_bytes() {
        assert_eq!(encode(&Sample::Empty), [0]);
        assert_eq!(encode(&sample()), [1, 4, 1, 2, 3, 4, 2, 7, 251, 44, 1, 1, 0]);
        assert_eq!(encoded_len(&sample()), 13);
        assert_eq!(decode(&encode(&sample())), Ok(sample()));
    }

    #[test]
    fn a_second_encoding_of_a_number_is_malformed() {
        // 7 written in the three-byte form.
        let bytes = [1, 4, 1, 2, 3, 4, 1, 251, 7, 0, 1, 0];
        assert_eq!(decode::<Sample>(&bytes), Err(WireError::Malformed));
    }

    #[test]
    fn cut_extended_hostile_and_long_bytes_are_refused() {
        let bytes = encode(&sample());
        for end in 0..bytes.len() {
            assert_eq!(decode::<Sample>(&bytes[..end]), Err(WireError::Malformed), "cut at {end}");
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert_eq!(decode::<Sample>(&longer), Err(WireError::Malformed));
        // A vector that claims 2^64 - 1 elements.
        let hostile = [1, 4, 1, 2, 3, 4, 253, 255, 255, 255, 255, 255, 255, 255, 255];
        assert_eq!(decode::<Sample>(&hostile), Err(WireError::Malformed));
        assert_eq!(decode::<Sample>(&[0; 65]), Err(WireError::Oversized { expected: 64, got: 65 }));
    }
}
