//! What leaves and superpeers send each other.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use synod_machine::{Bytes, Wire};

use super::super::{
    Hit, Item, PAGE_MAX, Question, descriptors_len, hits_len, hits_len_max, items_len, larger, nodes_len,
};
use crate::gossip::{DESCRIPTORS_MAX, Descriptor, varint_len};
use crate::overlay::Node;

/// A message. `N` stands for a node: a [`Node`] in machines, a contact on sockets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message<N = Node> {
    /// The answer to `Seek`: superpeers that the sender knows, itself among them if it is one. Or from a leaf, unasked: superpeers
    /// that it has just heard of.
    Advice(Vec<N>),
    /// Leaf to superpeer: take me, and know that I share these.
    Attach {
        /// The sender.
        node: N,
        /// Whether what was said before is void.
        is_first: bool,
        /// A page of what it shares.
        items: Vec<Item>,
    },
    /// Superpeer to leaf: you are mine, and this is the exclusive or of the first eight bytes of each hash that you share.
    Attached {
        /// It.
        digest: u64,
    },
    /// A hit, on the way by which the query came. The superpeer that a leaf asks answers at once, even with nothing.
    Hit {
        /// The query's name.
        id: u64,
        /// Superpeers that it came through.
        hops: u8,
        /// What was found.
        hits: Vec<Hit<N>>,
    },
    /// I am not your leaf, your superpeer or your neighbour any more.
    Leave,
    /// Superpeer to superpeer: be my neighbour; or, if we are, I am still here.
    Link {
        /// The sender.
        node: N,
        /// What it can do.
        capacity: u32,
        /// Leaves that it still takes.
        free: u16,
    },
    /// The answer to `Link`: we are neighbours.
    Linked {
        /// What the sender can do.
        capacity: u32,
        /// Leaves that it still takes.
        free: u16,
    },
    /// Leaf to superpeer: I am still here.
    Ping,
    /// A query, from a leaf or a superpeer.
    Query {
        /// Its name.
        id: u64,
        /// How much further it goes among superpeers; from a leaf: in all.
        ttl: u8,
        /// How many superpeers it came through.
        hops: u8,
        /// What is looked for.
        question: Question,
    },
    /// You are not mine, there is no room, or I am no superpeer; but I know these.
    Refused(Vec<N>),
    /// Which superpeers do you know?
    Seek,
    /// Some of my view, for as much of yours. The sender comes last.
    Shuffle(Vec<Descriptor<N>>),
    /// The answer to `Shuffle`.
    Shuffled(Vec<Descriptor<N>>),
    /// Leaf to superpeer: I do not share these any more.
    Withdraw(Vec<Bytes<32>>),
}

/// Superpeers in one message.
pub const NODES_MAX: usize = 16;

impl<N> Message<N> {
    /// The same with something else for each node.
    pub fn map<M>(self, f: &mut impl FnMut(N) -> M) -> Message<M> {
        match self {
            Self::Advice(nodes) => Message::Advice(nodes.into_iter().map(f).collect()),
            Self::Attach { node, is_first, items } => Message::Attach { node: f(node), is_first, items },
            Self::Attached { digest } => Message::Attached { digest },
            Self::Hit { id, hops, hits } => {
                Message::Hit { id, hops, hits: hits.into_iter().map(|hit| hit.map(f)).collect() }
            }
            Self::Leave => Message::Leave,
            Self::Link { node, capacity, free } => Message::Link { node: f(node), capacity, free },
            Self::Linked { capacity, free } => Message::Linked { capacity, free },
            Self::Ping => Message::Ping,
            Self::Query { id, ttl, hops, question } => Message::Query { id, ttl, hops, question },
            Self::Refused(nodes) => Message::Refused(nodes.into_iter().map(f).collect()),
            Self::Seek => Message::Seek,
            Self::Shuffle(theirs) => Message::Shuffle(theirs.into_iter().map(|entry| entry.map(f)).collect()),
            Self::Shuffled(theirs) => Message::Shuffled(theirs.into_iter().map(|entry| entry.map(f)).collect()),
            Self::Withdraw(hashes) => Message::Withdraw(hashes),
        }
    }
}

impl<N: Wire> Wire for Message<N> {
    const BYTES_MAX: usize = {
        let attach = N::BYTES_MAX + 1 + 1 + PAGE_MAX * Item::BYTES_MAX;
        let lists = larger(1 + NODES_MAX * N::BYTES_MAX, 1 + DESCRIPTORS_MAX * (N::BYTES_MAX + 3));
        1 + larger(larger(attach, 9 + 1 + hits_len_max(N::BYTES_MAX)), lists)
    };

    fn kind(&self) -> &'static str {
        match self {
            Self::Advice(_) => "super_advice",
            Self::Attach { .. } => "super_attach",
            Self::Attached { .. } => "super_attached",
            Self::Hit { .. } => "super_hit",
            Self::Leave => "super_leave",
            Self::Link { .. } => "super_link",
            Self::Linked { .. } => "super_linked",
            Self::Ping => "super_ping",
            Self::Query { .. } => "super_query",
            Self::Refused(_) => "super_refused",
            Self::Seek => "super_seek",
            Self::Shuffle(_) => "super_shuffle",
            Self::Shuffled(_) => "super_shuffled",
            Self::Withdraw(_) => "super_withdraw",
        }
    }

    fn encoded_len(&self) -> usize {
        1 + match self {
            Self::Advice(nodes) | Self::Refused(nodes) => nodes_len(nodes),
            Self::Attach { node, items, .. } => node.encoded_len() + 1 + items_len(items),
            Self::Attached { digest } => varint_len(*digest),
            Self::Hit { id, hits, .. } => varint_len(*id) + 1 + hits_len(hits),
            Self::Leave | Self::Ping | Self::Seek => 0,
            Self::Link { node, capacity, free } => node.encoded_len() + standing_len(*capacity, *free),
            Self::Linked { capacity, free } => standing_len(*capacity, *free),
            Self::Query { id, question, .. } => varint_len(*id) + 2 + question.encoded_len(),
            Self::Shuffle(descriptors) | Self::Shuffled(descriptors) => descriptors_len(descriptors),
            Self::Withdraw(hashes) => varint_len(hashes.len() as u64) + hashes.len() * 33,
        }
    }
}

const fn standing_len(capacity: u32, free: u16) -> usize {
    varint_len(capacity as u64) + varint_len(free as u64)
}
