//! What Chord's nodes say to each other, and how it stands on the wire.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use synod_machine::Wire;

use crate::gossip::varint_len;
use crate::overlay::{ENTRIES_MAX, Entry, Id, Node, Quorum};

/// What one node tells another. `N` is what stands for a node. A request has a small number, which its answer repeats.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Message<N = Node> {
    /// To a neighbour on the ring: this node may stand nearer to you than I do.
    Between {
        /// Who stands between.
        node: N,
    },
    /// What entries are there under a key?
    Fetch {
        /// The request's number.
        number: u32,
        /// The key.
        key: Id,
    },
    /// The answer to `Fetch`.
    Fetched {
        /// The request's number.
        number: u32,
        /// One entry of each publisher, in the order of publishers.
        entries: Vec<Entry>,
    },
    /// I may be your successor, or am and know of a change.
    Hello {
        /// The sender.
        node: N,
    },
    /// The answer to a request that the node cannot help with: it is not on the ring, or knows no way round those to avoid.
    Helpless {
        /// The request's number.
        number: u32,
    },
    /// I leave the ring.
    Leave,
    /// The answer to `Step`: go on from there.
    Next {
        /// The request's number.
        number: u32,
        /// Whom to ask next.
        node: N,
    },
    /// Which of these keys shall I send you?
    Offer {
        /// The request's number.
        number: u32,
        /// Keys and the digests of what is stored under them.
        keys: Vec<(Id, u64)>,
    },
    /// The answer to `Step`: the end of the way.
    Owner {
        /// The request's number.
        number: u32,
        /// The key's owner, its successor on the ring.
        node: N,
        /// Those that follow the owner, as many as were asked for less one.
        more: Vec<N>,
    },
    /// Are you there, and who is before you?
    Ping {
        /// The request's number.
        number: u32,
    },
    /// The answer to `Ping`.
    Pong {
        /// The request's number.
        number: u32,
        /// The sender's predecessor.
        predecessor: Option<N>,
    },
    /// A recursive look-up: each node hands it on, and the last one answers the first.
    Route {
        /// The request's name, which nobody can guess.
        token: u64,
        /// Who asked.
        origin: N,
        /// The key.
        key: Id,
        /// How many nodes are wanted, the owner and those that follow it.
        count: u8,
        /// How many nodes handed it on so far, the first one not counted.
        hops: u8,
    },
    /// The answer to `Route`.
    Routed {
        /// The request's name.
        token: u64,
        /// How many nodes it passed, the last one counted and the first one not.
        hops: u8,
        /// The key's owner.
        node: N,
        /// Those that follow the owner.
        more: Vec<N>,
    },
    /// The answer to `Stabilise` where nothing has changed.
    Same {
        /// The request's number.
        number: u32,
    },
    /// The answer to `Stabilise`.
    Stable {
        /// The request's number.
        number: u32,
        /// Counts the changes of what follows.
        version: u32,
        /// The sender's predecessor.
        predecessor: Option<N>,
        /// The sender's successors, the nearest first.
        successors: Vec<N>,
    },
    /// I stand before you on the ring (the paper's notify); who else does, and who comes after you?
    Stabilise {
        /// The request's number.
        number: u32,
        /// The sender.
        node: N,
        /// The version of the last answer, 0 for none.
        seen: u32,
    },
    /// Who owns a key, or who knows more?
    Step {
        /// The request's number.
        number: u32,
        /// The key.
        key: Id,
        /// How many nodes are wanted, the owner and those that follow it.
        count: u8,
        /// Nodes that did not answer.
        avoid: Vec<Id>,
    },
    /// Keep these.
    Store {
        /// The request's number.
        number: u32,
        /// The key.
        key: Id,
        /// One entry of each publisher, in the order of publishers.
        entries: Vec<Entry>,
    },
    /// The answer to `Store`.
    Stored {
        /// The request's number.
        number: u32,
        /// Whether there was room.
        kept: bool,
    },
    /// Which fingers do you have?
    Table {
        /// The request's number.
        number: u32,
    },
    /// The answer to `Table`.
    Tabled {
        /// The request's number.
        number: u32,
        /// The fingers, the nearest first; of more than [`FINGERS_SENT_MAX`] the farthest.
        fingers: Vec<N>,
    },
    /// The answer to `Offer`.
    Wanted {
        /// The request's number.
        number: u32,
        /// A bit for each key of the offer, the lowest for the first.
        keys: u32,
    },
}

/// Successors that a node keeps, and a message lists.
pub const SUCCESSORS_MAX: usize = 32;
/// Fingers that a message lists: as many as a ring of 2^64 nodes has that differ.
pub const FINGERS_SENT_MAX: usize = 64;
/// Nodes that a look-up goes round.
pub const AVOIDED_MAX: usize = 24;
/// Keys in one offer: a bit for each fits into the answer.
pub const OFFERED_MAX: usize = 32;
/// Nodes that hand on a recursive look-up. Sixteen million nodes have ways of 12 on average, and hardly one of 24.
pub const HOPS_MAX: u8 = 64;

impl<N> Message<N> {
    /// The same message with other values for nodes: a host on real sockets puts contacts in their place and takes them out.
    pub fn map<M>(self, f: &mut impl FnMut(N) -> M) -> Message<M> {
        match self {
            Self::Between { node } => Message::Between { node: f(node) },
            Self::Fetch { number, key } => Message::Fetch { number, key },
            Self::Fetched { number, entries } => Message::Fetched { number, entries },
            Self::Hello { node } => Message::Hello { node: f(node) },
            Self::Helpless { number } => Message::Helpless { number },
            Self::Leave => Message::Leave,
            Self::Next { number, node } => Message::Next { number, node: f(node) },
            Self::Offer { number, keys } => Message::Offer { number, keys },
            Self::Owner { number, node, more } => Message::Owner { number, node: f(node), more: map_all(more, f) },
            Self::Ping { number } => Message::Ping { number },
            Self::Pong { number, predecessor } => Message::Pong { number, predecessor: predecessor.map(f) },
            Self::Route { token, origin, key, count, hops } => {
                Message::Route { token, origin: f(origin), key, count, hops }
            }
            Self::Routed { token, hops, node, more } => {
                Message::Routed { token, hops, node: f(node), more: map_all(more, f) }
            }
            Self::Same { number } => Message::Same { number },
            Self::Stable { number, version, predecessor, successors } => {
                let predecessor = predecessor.map(&mut *f);
                Message::Stable { number, version, predecessor, successors: map_all(successors, f) }
            }
            Self::Stabilise { number, node, seen } => Message::Stabilise { number, node: f(node), seen },
            Self::Step { number, key, count, avoid } => Message::Step { number, key, count, avoid },
            Self::Store { number, key, entries } => Message::Store { number, key, entries },
            Self::Stored { number, kept } => Message::Stored { number, kept },
            Self::Table { number } => Message::Table { number },
            Self::Tabled { number, fingers } => Message::Tabled { number, fingers: map_all(fingers, f) },
            Self::Wanted { number, keys } => Message::Wanted { number, keys },
        }
    }
}

fn map_all<N, M>(nodes: Vec<N>, f: &mut impl FnMut(N) -> M) -> Vec<M> {
    nodes.into_iter().map(f).collect()
}

const ID_BYTES: usize = 33;
const NUMBER_BYTES_MAX: usize = 5;
/// A tag, a number, a key, and the longest list of entries.
const ENTRIES_BYTES_MAX: usize = 1 + NUMBER_BYTES_MAX + ID_BYTES + 1 + ENTRIES_MAX * Entry::BYTES_MAX;

const _: () = assert!(AVOIDED_MAX * ID_BYTES < ENTRIES_BYTES_MAX, "entries are longer than what is to be avoided");
const _: () = assert!(OFFERED_MAX * (ID_BYTES + 9) < ENTRIES_BYTES_MAX, "entries are longer than an offer");
const _: () = assert!((Quorum::REPLICAS_MAX as usize) < SUCCESSORS_MAX, "owners are listed among successors");
const _: () = assert!(SUCCESSORS_MAX < FINGERS_SENT_MAX, "fingers make the longest list of nodes");

impl<N: Wire> Wire for Message<N> {
    const BYTES_MAX: usize = {
        // A tag, a number and a length.
        let nodes = 1 + NUMBER_BYTES_MAX + 1 + FINGERS_SENT_MAX * N::BYTES_MAX;
        if nodes > ENTRIES_BYTES_MAX { nodes } else { ENTRIES_BYTES_MAX }
    };

    fn kind(&self) -> &'static str {
        match self {
            Self::Between { .. } => "chord_between",
            Self::Fetch { .. } => "chord_fetch",
            Self::Fetched { .. } => "chord_fetched",
            Self::Hello { .. } => "chord_hello",
            Self::Helpless { .. } => "chord_helpless",
            Self::Leave => "chord_leave",
            Self::Next { .. } => "chord_next",
            Self::Offer { .. } => "chord_offer",
            Self::Owner { .. } => "chord_owner",
            Self::Ping { .. } => "chord_ping",
            Self::Pong { .. } => "chord_pong",
            Self::Route { .. } => "chord_route",
            Self::Routed { .. } => "chord_routed",
            Self::Same { .. } => "chord_same",
            Self::Stable { .. } => "chord_stable",
            Self::Stabilise { .. } => "chord_stabilise",
            Self::Step { .. } => "chord_step",
            Self::Store { .. } => "chord_store",
            Self::Stored { .. } => "chord_stored",
            Self::Table { .. } => "chord_table",
            Self::Tabled { .. } => "chord_tabled",
            Self::Wanted { .. } => "chord_wanted",
        }
    }

    fn encoded_len(&self) -> usize {
        let int = |number: &u32| varint_len(u64::from(*number));
        let maybe = |node: &Option<N>| 1 + node.as_ref().map_or(0, N::encoded_len);
        1 + match self {
            Self::Between { node } | Self::Hello { node } => node.encoded_len(),
            Self::Fetch { number, .. } => int(number) + ID_BYTES,
            Self::Fetched { number, entries } => int(number) + list_len(entries),
            Self::Helpless { number } | Self::Ping { number } | Self::Same { number } | Self::Table { number } => {
                int(number)
            }
            Self::Leave => 0,
            Self::Next { number, node } => int(number) + node.encoded_len(),
            Self::Offer { number, keys } => {
                let digests: usize = keys.iter().map(|(_, digest)| varint_len(*digest)).sum();
                int(number) + varint_len(keys.len() as u64) + keys.len() * ID_BYTES + digests
            }
            Self::Owner { number, node, more } => int(number) + node.encoded_len() + list_len(more),
            Self::Pong { number, predecessor } => int(number) + maybe(predecessor),
            Self::Route { token, origin, .. } => varint_len(*token) + origin.encoded_len() + ID_BYTES + 2,
            Self::Routed { token, node, more, .. } => varint_len(*token) + 1 + node.encoded_len() + list_len(more),
            Self::Stable { number, version, predecessor, successors } => {
                int(number) + int(version) + maybe(predecessor) + list_len(successors)
            }
            Self::Stabilise { number, node, seen } => int(number) + node.encoded_len() + int(seen),
            Self::Step { number, avoid, .. } => {
                int(number) + ID_BYTES + 1 + varint_len(avoid.len() as u64) + avoid.len() * ID_BYTES
            }
            Self::Store { number, entries, .. } => int(number) + ID_BYTES + list_len(entries),
            Self::Stored { number, .. } => int(number) + 1,
            Self::Tabled { number, fingers } => int(number) + list_len(fingers),
            Self::Wanted { number, keys } => int(number) + int(keys),
        }
    }
}

fn list_len<T: Wire>(values: &[T]) -> usize {
    varint_len(values.len() as u64) + values.iter().map(T::encoded_len).sum::<usize>()
}

/// What survives a crash: all entries under one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Record(pub Vec<Entry>);

impl Wire for Record {
    const BYTES_MAX: usize = 1 + ENTRIES_MAX * Entry::BYTES_MAX;

    fn kind(&self) -> &'static str {
        "chord_entries"
    }

    fn encoded_len(&self) -> usize {
        list_len(&self.0)
    }
}
