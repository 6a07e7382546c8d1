//! What the tests of searches share.

use synod_machine::{Bytes, PeerId};

use super::{Item, Question};
use crate::overlay::{Id, Node};

/// The node with that number.
pub(super) fn node(number: u32) -> Node {
    Node { id: Id::from(Bytes([number as u8; 32])), peer: PeerId(number) }
}

/// An item whose hash is that number all over.
pub(super) fn item(number: u8, name: &str) -> Item {
    Item::new(Bytes([number; 32]), name, "", 100).expect("a short name")
}

/// A question for words.
pub(super) fn words(text: &str) -> Question {
    Question::words(text).expect("there are words")
}
