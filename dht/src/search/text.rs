//! Names and words, in one writing each, so that they are compared as bytes.
//!
//! Both are shared and never changed: a query that is flooded to a hundred thousand peers is copied without copying its text.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::gossip::varint_len;

/// The longest name, in bytes.
pub const NAME_BYTES_MAX: usize = 128; // A file's name has 255 at most; longer than this nobody types.
/// The longest list of words, in bytes, with a space between two.
pub const WORDS_BYTES_MAX: usize = 250;

/// What an item is called: some text without control characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(Arc<str>);

/// Words: runs of letters and digits, in lower case, each once, in order. There may be none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Words(Arc<str>);

/// A text that is no name, or that has no words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// There is nothing in it.
    #[error("expected a text with something in it")]
    Empty,
    /// A name with control characters, or words that are not in their one writing.
    #[error("expected a text without control characters")]
    Form,
    /// It is too long.
    #[error("{got} bytes of text, at most {expected} allowed")]
    TooLong {
        /// The most, in bytes.
        expected: usize,
        /// What it has, in bytes.
        got: usize,
    },
}

impl Name {
    pub(super) const LEN_MAX: usize = 1 + NAME_BYTES_MAX;

    /// A name of 1 to [`NAME_BYTES_MAX`] bytes.
    pub fn new(text: &str) -> Result<Self, TextError> {
        if text.is_empty() {
            return Err(TextError::Empty);
        }
        if text.len() > NAME_BYTES_MAX {
            return Err(TextError::TooLong { expected: NAME_BYTES_MAX, got: text.len() });
        }
        if text.chars().any(char::is_control) {
            return Err(TextError::Form);
        }
        Ok(Self(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn encoded_len(&self) -> usize {
        varint_len(self.0.len() as u64) + self.0.len()
    }
}

impl Words {
    pub(super) const LEN_MAX: usize = 1 + WORDS_BYTES_MAX;

    /// The words of some texts.
    pub fn of(texts: &[&str]) -> Result<Self, TextError> {
        let lower = |text: &&str| text.chars().flat_map(char::to_lowercase).collect::<String>();
        let texts: Vec<String> = texts.iter().map(lower).collect();
        let split = texts.iter().flat_map(|text| text.split(|c: char| !c.is_alphanumeric()));
        let mut words: Vec<&str> = split.filter(|word| !word.is_empty()).collect();
        words.sort_unstable();
        words.dedup();
        let text = words.join(" ");
        if text.len() > WORDS_BYTES_MAX {
            return Err(TextError::TooLong { expected: WORDS_BYTES_MAX, got: text.len() });
        }
        Ok(Self(text.into()))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each word, in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.split(' ').filter(|word| !word.is_empty())
    }

    /// Whether all of `others` are among these. Both are in order, so that each word is looked at once.
    pub fn have(&self, others: &Self) -> bool {
        let mut own = self.iter();
        others.iter().all(|other| own.by_ref().find(|word| *word >= other) == Some(other))
    }

    pub(super) fn encoded_len(&self) -> usize {
        varint_len(self.0.len() as u64) + self.0.len()
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

impl Serialize for Words {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let words = Self::of(&[&text]).map_err(de::Error::custom)?;
        if *words.0 == *text { Ok(words) } else { Err(de::Error::custom(TextError::Form)) }
    }
}

#[cfg(test)]
mod tests {
    use synod_machine::wire;

    use super::*;
    use crate::search::{Item, Question};
    use synod_machine::{Bytes, Wire, WireError};

    #[test]
    fn words_are_lower_case_in_order_and_each_there_once() {
        let words = Words::of(&["Zebra, ant-Ant", "BEE zebra 7"]).expect("they are short");
        assert_eq!(words.iter().collect::<Vec<_>>(), ["7", "ant", "bee", "zebra"]);
        assert!(Words::of(&[" ,. "]).expect("they are short").is_empty());
    }

    #[test]
    fn an_item_is_found_by_all_of_its_words_its_name_and_its_hash() {
        let item = Item::new(Bytes([7; 32]), "Song of Songs.ogg", "choir 1920", 9).expect("an item");
        let finds = |text| Question::words(text).expect("words").is_answered_by(&item);
        assert!(["song", "SONGS of", "ogg choir", "1920"].into_iter().all(finds));
        assert!(!["son", "song bird", "zzz", "a"].into_iter().any(finds));
        assert!(Question::Hash(Bytes([7; 32])).is_answered_by(&item));
        assert!(!Question::Hash(Bytes([8; 32])).is_answered_by(&item));
        assert!(Question::Name(Name::new("Song of Songs.ogg").expect("a name")).is_answered_by(&item));
        assert!(!Question::Name(Name::new("song of songs.ogg").expect("a name")).is_answered_by(&item));
        assert_eq!(Question::words("--"), Err(TextError::Empty), "it would find everything");
    }

    #[test]
    fn bounds_hold_at_their_edges() {
        assert!(Name::new(&"n".repeat(NAME_BYTES_MAX)).is_ok());
        let error = TextError::TooLong { expected: NAME_BYTES_MAX, got: NAME_BYTES_MAX + 1 };
        assert_eq!(Name::new(&"n".repeat(NAME_BYTES_MAX + 1)), Err(error));
        assert_eq!(Name::new(""), Err(TextError::Empty));
        assert_eq!(Name::new("a\nb"), Err(TextError::Form));
        assert!(Words::of(&[&"w".repeat(WORDS_BYTES_MAX)]).is_ok());
        assert!(Words::of(&[&"w".repeat(WORDS_BYTES_MAX + 1)]).is_err());
    }

    #[test]
    fn an_item_is_these_bytes_and_other_writings_of_words_are_malformed() {
        let item = Item::new(Bytes([7; 32]), "B a", "", 300).expect("an item");
        let mut bytes = alloc::vec![32];
        bytes.extend([7; 32]);
        bytes.extend(*b"\x03B a\x03a b");
        bytes.extend([251, 44, 1]);
        assert_eq!(wire::encode(&item), bytes);
        assert_eq!(item.encoded_len(), bytes.len());
        assert_eq!(wire::decode(&bytes), Ok(item));
        for wrong in [b"b a", b"a a", b"A b", b"a  "] {
            bytes[38..41].copy_from_slice(wrong);
            assert_eq!(wire::decode::<Item>(&bytes), Err(WireError::Malformed), "{wrong:?}");
        }
    }

    #[test]
    fn the_longest_item_is_allowed() {
        let (name, words) = ("n".repeat(NAME_BYTES_MAX), "w".repeat(WORDS_BYTES_MAX - NAME_BYTES_MAX - 1));
        let item = Item::new(Bytes::ZERO, &name, &words, u64::MAX).expect("an item");
        assert_eq!(wire::encode(&item).len(), Item::BYTES_MAX);
        assert_eq!(item.encoded_len(), Item::BYTES_MAX);
        assert_eq!(wire::decode(&wire::encode(&item)), Ok(item));
    }
}
