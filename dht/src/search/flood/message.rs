//! What flooding peers send each other.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use synod_machine::Wire;

use super::super::{Hit, Question, descriptors_len, hits_len, hits_len_max, larger};
use crate::gossip::{DESCRIPTORS_MAX, Descriptor, varint_len};
use crate::overlay::Node;

/// A message. `N` stands for a node: a [`Node`] in machines, a contact on sockets. Queries have 8 random bytes for a name,
/// where Gnutella's descriptors have 16.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message<N = Node> {
    /// A walker asks whether it is to go on (Lv et al. 2002, section 4.2: "checking").
    Check {
        /// The query's name.
        id: u64,
    },
    /// The answer to it.
    Checked {
        /// The query's name.
        id: u64,
        /// Whether the asker still wants more.
        goes_on: bool,
    },
    /// Gnutella's QUERYHIT. It goes back the way by which the query came; a walker's goes to the asker at once.
    Hit {
        /// The query's name.
        id: u64,
        /// Peers that it came through; a walker's: that the query came through.
        hops: u16,
        /// What was found.
        hits: Vec<Hit<N>>,
    },
    /// Gnutella's QUERY.
    Query {
        /// Its name.
        id: u64,
        /// How much further it goes, this time included.
        ttl: u8,
        /// How far it came.
        hops: u8,
        /// What is looked for.
        question: Question,
    },
    /// Some of my view, for as much of yours. The sender comes last.
    Shuffle(Vec<Descriptor<N>>),
    /// The answer to `Shuffle`.
    Shuffled(Vec<Descriptor<N>>),
    /// A walker: a query that one neighbour takes further.
    Walk(Walk<N>),
}

/// A walker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Walk<N = Node> {
    /// The query's name.
    pub id: u64,
    /// Who is told what is found, and is asked whether to go on.
    pub asker: N,
    /// How much further it goes, this time included.
    pub left: u16,
    /// How far it came.
    pub hops: u16,
    /// It asks whether to go on each time after so many hops.
    pub check_every: u8,
    /// What is looked for.
    pub question: Question,
}

impl<N> Message<N> {
    /// The same with something else for each node.
    pub fn map<M>(self, f: &mut impl FnMut(N) -> M) -> Message<M> {
        match self {
            Self::Check { id } => Message::Check { id },
            Self::Checked { id, goes_on } => Message::Checked { id, goes_on },
            Self::Hit { id, hops, hits } => {
                Message::Hit { id, hops, hits: hits.into_iter().map(|hit| hit.map(f)).collect() }
            }
            Self::Query { id, ttl, hops, question } => Message::Query { id, ttl, hops, question },
            Self::Shuffle(theirs) => Message::Shuffle(theirs.into_iter().map(|entry| entry.map(f)).collect()),
            Self::Shuffled(theirs) => Message::Shuffled(theirs.into_iter().map(|entry| entry.map(f)).collect()),
            Self::Walk(Walk { id, asker, left, hops, check_every, question }) => {
                Message::Walk(Walk { id, asker: f(asker), left, hops, check_every, question })
            }
        }
    }
}

impl<N: Wire> Wire for Message<N> {
    const BYTES_MAX: usize = {
        let hits = 9 + 3 + hits_len_max(N::BYTES_MAX);
        let walk = 9 + N::BYTES_MAX + 3 + 3 + 1 + Question::LEN_MAX;
        1 + larger(larger(hits, walk), 1 + DESCRIPTORS_MAX * (N::BYTES_MAX + 3))
    };

    fn kind(&self) -> &'static str {
        match self {
            Self::Check { .. } => "flood_check",
            Self::Checked { .. } => "flood_checked",
            Self::Hit { .. } => "flood_hit",
            Self::Query { .. } => "flood_query",
            Self::Shuffle(_) => "flood_shuffle",
            Self::Shuffled(_) => "flood_shuffled",
            Self::Walk(_) => "flood_walk",
        }
    }

    fn encoded_len(&self) -> usize {
        1 + match self {
            Self::Check { id } => varint_len(*id),
            Self::Checked { id, .. } => varint_len(*id) + 1,
            Self::Hit { id, hops, hits } => varint_len(*id) + varint_len(u64::from(*hops)) + hits_len(hits),
            Self::Query { id, question, .. } => varint_len(*id) + 2 + question.encoded_len(),
            Self::Shuffle(descriptors) | Self::Shuffled(descriptors) => descriptors_len(descriptors),
            Self::Walk(Walk { id, asker, left, hops, question, .. }) => {
                let numbers = varint_len(*id) + varint_len(u64::from(*left)) + varint_len(u64::from(*hops)) + 1;
                numbers + asker.encoded_len() + question.encoded_len()
            }
        }
    }
}
