//! What peers send each other to exchange contents, and what they keep.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use synod_machine::{Bytes, Wire};

use super::PIECE_BYTES;
use crate::gossip::varint_len;
use crate::search::{HITS_MAX, Item, Question};

/// What one peer tells another. An answer repeats its request's number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// Which of your items answer this?
    Ask {
        /// The request's number.
        request: u32,
        /// What is looked for.
        question: Question,
    },
    /// Send me a piece of a content.
    Get {
        /// The request's number.
        request: u32,
        /// Which content.
        hash: Bytes<32>,
        /// Which piece, from 0.
        piece: u32,
    },
    /// The answer to `Ask`.
    Have {
        /// The request's number.
        request: u32,
        /// Items that answer the question, of more than [`HITS_MAX`] the first.
        items: Vec<Item>,
    },
    /// The answer to `Get`.
    Piece {
        /// The request's number.
        request: u32,
        /// The piece; nothing where it is not to be had.
        #[serde(with = "serde_bytes")]
        bytes: Vec<u8>,
    },
}

const NUMBER_BYTES_MAX: usize = 5;

const _: () = assert!(HITS_MAX * Item::BYTES_MAX < PIECE_BYTES, "a piece is the longest answer");

impl Wire for Message {
    const BYTES_MAX: usize = 1 + NUMBER_BYTES_MAX + 5 + PIECE_BYTES;

    fn kind(&self) -> &'static str {
        match self {
            Self::Ask { .. } => "content_ask",
            Self::Get { .. } => "content_get",
            Self::Have { .. } => "content_have",
            Self::Piece { .. } => "content_piece",
        }
    }

    fn encoded_len(&self) -> usize {
        let int = |number: &u32| varint_len(u64::from(*number));
        1 + match self {
            Self::Ask { request, question } => int(request) + question.encoded_len(),
            Self::Get { request, piece, .. } => int(request) + 33 + int(piece),
            Self::Have { request, items } => {
                let items_len: usize = items.iter().map(Wire::encoded_len).sum();
                int(request) + varint_len(items.len() as u64) + items_len
            }
            Self::Piece { request, bytes } => int(request) + varint_len(bytes.len() as u64) + bytes.len(),
        }
    }
}

/// What survives a crash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// A content that is shared, under its hash.
    Item(Item),
    /// A piece of one, on a cold shelf.
    Piece(#[serde(with = "serde_bytes")] Vec<u8>),
}

impl Wire for Record {
    const BYTES_MAX: usize = 1 + 5 + PIECE_BYTES;

    fn kind(&self) -> &'static str {
        match self {
            Self::Item(_) => "content_item",
            Self::Piece(_) => "content_piece",
        }
    }

    fn encoded_len(&self) -> usize {
        1 + match self {
            Self::Item(item) => item.encoded_len(),
            Self::Piece(bytes) => varint_len(bytes.len() as u64) + bytes.len(),
        }
    }
}
