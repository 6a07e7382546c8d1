//! Search by name, by words or by hash, without structure: three machines that answer the same question.
//!
//! [`FloodSearch`] asks its neighbours, who ask theirs (Gnutella 0.4). [`Superpeer`] does so among the most capable peers
//! only, which know what the others share (Gnutella 0.6; Yang and Garcia-Molina 2003). [`Index`] asks a server that knows what
//! everybody shares (Napster). All say who holds what; to fetch it is the owner's, and so is to check its hash.

mod catalogue;
mod circle;
pub mod flood;
pub mod index;
mod open;
pub mod superpeer;
mod text;

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use synod_machine::{Bytes, Wire, lines};

pub use self::circle::Sampling;
pub use self::flood::FloodSearch;
pub use self::index::Index;
pub use self::open::OPEN_MAX;
pub use self::superpeer::Superpeer;
pub use self::text::{NAME_BYTES_MAX, Name, TextError, WORDS_BYTES_MAX, Words};
use crate::gossip::{Descriptor, varint_len};
use crate::overlay::{Cost, Failure, Node, Query};

/// Something that a peer shares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The SHA-256 of its content, by which whoever fetches it checks it.
    pub hash: Bytes<32>,
    /// What it is called.
    pub name: Name,
    /// The words that it is found by, those of its name among them.
    pub keywords: Words,
    /// The length of its content, in bytes.
    pub bytes: u64,
}

impl Item {
    /// An item with this name and further keywords, in any writing.
    pub fn new(hash: Bytes<32>, name: &str, keywords: &str, bytes: u64) -> Result<Self, TextError> {
        Ok(Self { hash, name: Name::new(name)?, keywords: Words::of(&[name, keywords])?, bytes })
    }
}

impl Wire for Item {
    const BYTES_MAX: usize = 33 + Name::LEN_MAX + Words::LEN_MAX + 9;

    fn kind(&self) -> &'static str {
        "item"
    }

    fn encoded_len(&self) -> usize {
        33 + self.name.encoded_len() + self.keywords.encoded_len() + varint_len(self.bytes)
    }
}

/// What is looked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Question {
    /// The content with this hash.
    Hash(Bytes<32>),
    /// Items with exactly this name.
    Name(Name),
    /// Items that have all of these words.
    Words(Words),
}

impl Question {
    /// The longest encoding, in bytes.
    pub const LEN_MAX: usize = 1 + if Words::LEN_MAX > Name::LEN_MAX { Words::LEN_MAX } else { Name::LEN_MAX };

    /// The words in any writing. No word at all is an error: it would find everything.
    pub fn words(text: &str) -> Result<Self, TextError> {
        let words = Words::of(&[text])?;
        if words.is_empty() { Err(TextError::Empty) } else { Ok(Self::Words(words)) }
    }

    /// Whether the item is an answer.
    pub fn is_answered_by(&self, item: &Item) -> bool {
        match self {
            Self::Hash(hash) => item.hash == *hash,
            Self::Name(name) => item.name == *name,
            Self::Words(words) => !words.is_empty() && item.keywords.have(words),
        }
    }

    pub(crate) fn encoded_len(&self) -> usize {
        1 + match self {
            Self::Hash(_) => 33,
            Self::Name(name) => name.encoded_len(),
            Self::Words(words) => words.encoded_len(),
        }
    }
}

/// Somebody has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hit<N = Node> {
    /// What.
    pub item: Item,
    /// Who.
    pub holder: N,
}

impl<N> Hit<N> {
    fn map<M>(self, f: &mut impl FnMut(N) -> M) -> Hit<M> {
        Hit { item: self.item, holder: f(self.holder) }
    }
}

/// Hits of one peer for one query: the first so many of what it knows.
pub const HITS_MAX: usize = 32; // 12 KB; a person looks at fewer.
/// Items in one message of whoever registers what it shares.
pub const PAGE_MAX: usize = 32;
/// Items that a peer shares, or has registered somewhere, at most.
pub const ITEMS_MAX: usize = 4_096;

/// What the owner asks. `O` is what can be chosen about a search.
#[derive(Clone, Debug, PartialEq)]
pub enum Command<O> {
    /// Look for something.
    Find {
        /// The owner's name for the request; one that is not in use.
        query: Query,
        /// What is looked for.
        question: Question,
        /// With so many different hits the search ends early; at least one.
        wanted: u16,
        /// How it is looked for.
        options: O,
    },
    /// This peer is part of the network too: somebody to shuffle views with, for those that sample peers.
    Meet(Node),
    /// This is to be had here. The same hash again takes the place of what was shared under it; one more than [`ITEMS_MAX`]
    /// is not shared.
    Share(Item),
    /// This is not to be had here any more.
    Unshare(Bytes<32>),
}

/// What the owner is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A search is over; nothing more is heard of it.
    Ended {
        /// Which.
        query: Query,
        /// What it cost; its hops are those of the first hit.
        cost: Cost,
        /// How many hits were told, at least one.
        result: Result<u16, Failure>,
    },
    /// A hit that was not told before for this query.
    Hit {
        /// Of which search.
        query: Query,
        /// What, and who has it.
        hit: Hit,
        /// So many peers lie between.
        hops: u16,
    },
}

/// What this peer shares, by hash.
#[derive(Debug, Default)]
struct Shared(Vec<Item>);

/// What a look ahead at items looks at: most peers share fewer.
const LOOKED_AT: usize = 8;

impl Shared {
    /// Whether there is room for it.
    fn insert(&mut self, item: Item) -> bool {
        match self.0.binary_search_by_key(&item.hash, |other| other.hash) {
            Ok(place) => self.0[place] = item,
            Err(_) if self.0.len() >= ITEMS_MAX => return false,
            Err(place) => self.0.insert(place, item),
        }
        true
    }

    fn remove(&mut self, hash: &Bytes<32>) -> bool {
        let place = self.0.binary_search_by_key(hash, |other| other.hash);
        place.map(|place| self.0.remove(place)).is_ok()
    }

    /// The first [`HITS_MAX`] that answer the question.
    fn hits(&self, question: &Question, holder: Node) -> Vec<Hit> {
        let answers = self.0.iter().filter(|item| question.is_answered_by(item)).take(HITS_MAX);
        answers.map(|item| Hit { item: item.clone(), holder }).collect()
    }

    /// The lines of memory that the items are in.
    fn lines(&self) -> impl Iterator<Item = *const u8> {
        lines(&self.0[..self.0.len().min(LOOKED_AT)])
    }

    /// Addresses of the items' names.
    fn names(&self) -> impl Iterator<Item = *const u8> {
        self.0.iter().take(LOOKED_AT).map(|item| item.name.as_str().as_ptr())
    }

    /// What two peers compare to see whether one knows all that the other shares.
    fn digest(&self) -> u64 {
        self.0.iter().fold(0, |digest, item| digest ^ catalogue::mark(&item.hash))
    }
}

fn hits_len<N: Wire>(hits: &[Hit<N>]) -> usize {
    let len = |hit: &Hit<N>| hit.item.encoded_len() + hit.holder.encoded_len();
    varint_len(hits.len() as u64) + hits.iter().map(len).sum::<usize>()
}

fn items_len(items: &[Item]) -> usize {
    varint_len(items.len() as u64) + items.iter().map(Wire::encoded_len).sum::<usize>()
}

fn nodes_len<N: Wire>(nodes: &[N]) -> usize {
    varint_len(nodes.len() as u64) + nodes.iter().map(Wire::encoded_len).sum::<usize>()
}

fn descriptors_len<N: Wire>(descriptors: &[Descriptor<N>]) -> usize {
    let len = |entry: &Descriptor<N>| entry.peer.encoded_len() + varint_len(u64::from(entry.age));
    varint_len(descriptors.len() as u64) + descriptors.iter().map(len).sum::<usize>()
}

/// The longest list of hits, with nodes of so many bytes.
const fn hits_len_max(node: usize) -> usize {
    1 + HITS_MAX * (<Item as Wire>::BYTES_MAX + node)
}

const fn larger(one: usize, other: usize) -> usize {
    if one > other { one } else { other }
}

#[cfg(test)]
mod testing;
