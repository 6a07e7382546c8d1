//! What clients and index servers send each other.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use synod_machine::{Bytes, Wire};

use super::super::{Hit, Item, PAGE_MAX, Question, hits_len, hits_len_max, items_len, larger};
use crate::gossip::varint_len;
use crate::overlay::Node;

/// A message. `N` stands for a node: a [`Node`] in machines, a contact on sockets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message<N = Node> {
    /// The answer to `Ask`, from a server.
    Answer {
        /// The request's number.
        request: u32,
        /// What was found; there may be nothing.
        hits: Vec<Hit<N>>,
    },
    /// To a server: who has this?
    Ask {
        /// The client's number for it.
        request: u32,
        /// What is looked for.
        question: Question,
    },
    /// To a server: do you still know what I share?
    Ping,
    /// To a server: I share these.
    Register {
        /// The sender.
        node: N,
        /// Whether what was registered before is void.
        is_first: bool,
        /// A page of what it shares.
        items: Vec<Item>,
    },
    /// From a server: the exclusive or of the first eight bytes of each hash that you have registered; nothing if you have not.
    Registered {
        /// It.
        digest: Option<u64>,
    },
    /// To a server: I do not share these any more.
    Withdraw(Vec<Bytes<32>>),
}

impl<N> Message<N> {
    /// The same with something else for each node.
    pub fn map<M>(self, f: &mut impl FnMut(N) -> M) -> Message<M> {
        match self {
            Self::Answer { request, hits } => {
                Message::Answer { request, hits: hits.into_iter().map(|hit| hit.map(f)).collect() }
            }
            Self::Ask { request, question } => Message::Ask { request, question },
            Self::Ping => Message::Ping,
            Self::Register { node, is_first, items } => Message::Register { node: f(node), is_first, items },
            Self::Registered { digest } => Message::Registered { digest },
            Self::Withdraw(hashes) => Message::Withdraw(hashes),
        }
    }
}

impl<N: Wire> Wire for Message<N> {
    const BYTES_MAX: usize = {
        let register = N::BYTES_MAX + 1 + 1 + PAGE_MAX * Item::BYTES_MAX;
        1 + larger(register, 5 + hits_len_max(N::BYTES_MAX))
    };

    fn kind(&self) -> &'static str {
        match self {
            Self::Answer { .. } => "index_answer",
            Self::Ask { .. } => "index_ask",
            Self::Ping => "index_ping",
            Self::Register { .. } => "index_register",
            Self::Registered { .. } => "index_registered",
            Self::Withdraw(_) => "index_withdraw",
        }
    }

    fn encoded_len(&self) -> usize {
        1 + match self {
            Self::Answer { request, hits } => varint_len(u64::from(*request)) + hits_len(hits),
            Self::Ask { request, question } => varint_len(u64::from(*request)) + question.encoded_len(),
            Self::Ping => 0,
            Self::Register { node, items, .. } => node.encoded_len() + 1 + items_len(items),
            Self::Registered { digest } => 1 + digest.map_or(0, varint_len),
            Self::Withdraw(hashes) => varint_len(hashes.len() as u64) + hashes.len() * 33,
        }
    }
}
