//! Addresses: whom an output belongs to. People see bech32m text, which finds any four wrong characters.

use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Bech32m, Hrp};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use synod_machine::Bytes;

/// The first twenty bytes of the digest of a public key.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(pub Bytes<20>);

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        bech32::encode_lower_to_fmt::<Bech32m, _>(f, HRP, self.0.as_slice()).map_err(|_| fmt::Error)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is not an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseAddressError {
    /// Not bech32m, or mistyped: the checksum does not fit.
    #[error("not a bech32m text with a right checksum")]
    Checksum,
    /// Another number of bytes.
    #[error("{got} bytes, {expected} expected")]
    Length {
        /// The bytes of an address.
        expected: usize,
        /// The bytes of the text.
        got: usize,
    },
    /// A bech32m text of something else.
    #[error("not an address of this kind of chain: they begin with \"{HRP}1\"")]
    Prefix,
}

impl FromStr for Address {
    type Err = ParseAddressError;

    fn from_str(text: &str) -> Result<Self, ParseAddressError> {
        let checked = CheckedHrpstring::new::<Bech32m>(text).map_err(|_| ParseAddressError::Checksum)?;
        if checked.hrp() != HRP {
            return Err(ParseAddressError::Prefix);
        }
        let mut bytes = [0; 20];
        let mut got = 0;
        for byte in checked.byte_iter() {
            if let Some(place) = bytes.get_mut(got) {
                *place = byte;
            }
            got += 1;
        }
        if got != bytes.len() {
            return Err(ParseAddressError::Length { expected: bytes.len(), got });
        }
        Ok(Self(Bytes(bytes)))
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { self.0.serialize(serializer) }
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return Bytes::deserialize(deserializer).map(Self);
        }
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// What every address begins with, before the separator.
const HRP: Hrp = Hrp::parse_unchecked("syn");

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn an_address_is_text_to_people_and_bytes_on_the_wire() {
        let address = Address(Bytes([7; 20]));
        let text = address.to_string();
        assert!(text.starts_with("syn1"), "{text}");
        assert_eq!(text.parse(), Ok(address));
        assert_eq!(serde_json::to_string(&address).expect("writable"), alloc::format!("\"{text}\""));
        assert_eq!(serde_json::from_str::<Address>(&alloc::format!("\"{text}\"")).expect("readable"), address);
        assert_eq!(synod_machine::wire::encode(&address).len(), 21);
    }

    #[test]
    fn mistyped_and_foreign_texts_are_refused() {
        let text = Address(Bytes([7; 20])).to_string();
        for place in 0..text.len() {
            let mut wrong = text.clone();
            let other = if &text[place..=place] == "q" { "p" } else { "q" };
            wrong.replace_range(place..=place, other);
            assert!(wrong.parse::<Address>().is_err(), "{wrong}");
        }
        let encode = |hrp: &str, bytes: &[u8]| {
            bech32::encode::<Bech32m>(Hrp::parse(hrp).expect("a prefix"), bytes).expect("short enough")
        };
        assert_eq!(encode("bc", &[7; 20]).parse::<Address>(), Err(ParseAddressError::Prefix));
        let short = ParseAddressError::Length { expected: 20, got: 19 };
        assert_eq!(encode("syn", &[7; 19]).parse::<Address>(), Err(short));
        let long = ParseAddressError::Length { expected: 20, got: 21 };
        assert_eq!(encode("syn", &[7; 21]).parse::<Address>(), Err(long));
    }

    #[test]
    fn non_zero_padding_is_not_a_second_text_of_an_address() {
        // 20 bytes are exactly 32 characters of five bits: there is no padding to vary.
        assert_eq!(20 * 8 % 5, 0);
        let upper = Address(Bytes([7; 20])).to_string().to_uppercase();
        assert_eq!(upper.parse(), Ok(Address(Bytes([7; 20]))));
    }
}
