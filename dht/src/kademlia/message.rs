//! What Kademlia nodes send each other, and what one keeps on disk.

use alloc::boxed::Box;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use synod_machine::Wire;

use crate::gossip::varint_len;
use crate::overlay::{ENTRIES_MAX, ENTRY_BYTES_MAX, Entry, Id, Node, Quorum};

/// The four requests of the paper's section 2.3 and their answers. A request names its sender, which the receiver's table
/// takes up; an answer has the request's number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message<N = Node> {
    /// Which nodes do you know that are closest to the target?
    FindNode {
        /// The sender's name for it.
        request: u32,
        /// The sender.
        node: N,
        /// What is looked for.
        target: Id,
    },
    /// The same of a key, and what is stored under it.
    FindValue {
        /// The sender's name for it.
        request: u32,
        /// The sender.
        node: N,
        /// What is looked for.
        key: Id,
    },
    /// The answer to `FindNode`.
    Nodes {
        /// The request's number.
        request: u32,
        /// The closest nodes, closest first, without the asker and the answerer.
        nodes: Vec<N>,
    },
    /// Are you there?
    Ping {
        /// The sender's name for it.
        request: u32,
        /// The sender.
        node: N,
    },
    /// The answer to `Ping`.
    Pong {
        /// The request's number.
        request: u32,
    },
    /// Keep this under the key.
    Store {
        /// The sender's name for it.
        request: u32,
        /// The sender.
        node: N,
        /// The key.
        key: Id,
        /// What to keep. Apart, so that the other messages, which are most, need not be moved with room for it.
        held: Box<Held>,
    },
    /// The answer to `Store`.
    Stored {
        /// The request's number.
        request: u32,
        /// Whether it has the entry now, or one that supersedes it.
        is_kept: bool,
    },
    /// The answer to `FindValue`. As libp2p's `GET_VALUE` it has closer nodes beside a value: a read of several
    /// replicas goes on.
    Values {
        /// The request's number.
        request: u32,
        /// What is stored under the key, by publisher.
        values: Vec<Held>,
        /// The closest nodes, as in `Nodes`.
        nodes: Vec<N>,
    },
}

/// An entry that somebody keeps for its publisher.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// What is kept.
    pub entry: Entry,
    /// On how many of the closest nodes it is meant to be.
    pub replicas: u8,
    /// How many seconds it still lives, unless it is published again.
    pub secs: u32,
}

impl Held {
    /// Whether somebody may be asked to keep it.
    pub(super) fn is_sound(&self) -> bool {
        self.entry.value.len() <= ENTRY_BYTES_MAX && (1..=Quorum::REPLICAS_MAX).contains(&self.replicas)
    }
}

/// Nodes in one answer: the k of an answerer is not known, so it is the most that any may have.
pub const NODES_MAX: usize = Quorum::REPLICAS_MAX as usize;

impl<N> Message<N> {
    /// The same message with something else in the place of each node.
    pub fn map<M>(self, f: &mut impl FnMut(N) -> M) -> Message<M> {
        match self {
            Self::FindNode { request, node, target } => Message::FindNode { request, node: f(node), target },
            Self::FindValue { request, node, key } => Message::FindValue { request, node: f(node), key },
            Self::Nodes { request, nodes } => Message::Nodes { request, nodes: nodes.into_iter().map(f).collect() },
            Self::Ping { request, node } => Message::Ping { request, node: f(node) },
            Self::Pong { request } => Message::Pong { request },
            Self::Store { request, node, key, held } => Message::Store { request, node: f(node), key, held },
            Self::Stored { request, is_kept } => Message::Stored { request, is_kept },
            Self::Values { request, values, nodes } => {
                Message::Values { request, values, nodes: nodes.into_iter().map(f).collect() }
            }
        }
    }
}

impl Wire for Held {
    const BYTES_MAX: usize = Entry::BYTES_MAX + 1 + 5;

    fn kind(&self) -> &'static str {
        "kad_held"
    }

    fn encoded_len(&self) -> usize {
        self.entry.encoded_len() + 1 + varint_len(u64::from(self.secs))
    }
}

const REQUEST_BYTES_MAX: usize = 5;
const ID_BYTES: usize = 33;
const _: () = assert!(NODES_MAX < 251, "the length of a list is one byte");
const _: () = assert!(ENTRIES_MAX < 251, "the length of a list is one byte");

impl<N: Wire> Wire for Message<N> {
    // The longest are values with nodes. One byte of tag, one for the length of each list.
    const BYTES_MAX: usize = 1 + REQUEST_BYTES_MAX + 1 + ENTRIES_MAX * Held::BYTES_MAX + 1 + NODES_MAX * N::BYTES_MAX;

    fn kind(&self) -> &'static str {
        match self {
            Self::FindNode { .. } => "kad_find_node",
            Self::FindValue { .. } => "kad_find_value",
            Self::Nodes { .. } => "kad_nodes",
            Self::Ping { .. } => "kad_ping",
            Self::Pong { .. } => "kad_pong",
            Self::Store { .. } => "kad_store",
            Self::Stored { .. } => "kad_stored",
            Self::Values { .. } => "kad_values",
        }
    }

    fn encoded_len(&self) -> usize {
        let number = |request: u32| varint_len(u64::from(request));
        1 + match self {
            Self::FindNode { request, node, .. } | Self::FindValue { request, node, .. } => {
                number(*request) + node.encoded_len() + ID_BYTES
            }
            Self::Nodes { request, nodes } => number(*request) + list_len(nodes),
            Self::Ping { request, node } => number(*request) + node.encoded_len(),
            Self::Pong { request } => number(*request),
            Self::Store { request, node, held, .. } => {
                number(*request) + node.encoded_len() + ID_BYTES + held.encoded_len()
            }
            Self::Stored { request, .. } => number(*request) + 1,
            Self::Values { request, values, nodes } => number(*request) + list_len(values) + list_len(nodes),
        }
    }
}

fn list_len<T: Wire>(list: &[T]) -> usize {
    varint_len(list.len() as u64) + list.iter().map(Wire::encoded_len).sum::<usize>()
}

/// What this node publishes, under the key's own name: it is published again after a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Counts this node's writes under the key.
    pub version: u64,
    /// On how many of the closest nodes it is meant to be.
    pub replicas: u8,
    /// When it was published for the first time in this version: from then on a withdrawal is told until all copies are gone.
    pub at: synod_machine::Time,
    /// What is published; nothing, where it was withdrawn.
    #[serde(with = "serde_bytes")]
    pub value: Vec<u8>,
}

impl Wire for Record {
    const BYTES_MAX: usize = 9 + 1 + 9 + 3 + ENTRY_BYTES_MAX;

    fn kind(&self) -> &'static str {
        "kad_publication"
    }

    fn encoded_len(&self) -> usize {
        let len = self.value.len();
        varint_len(self.version) + 1 + varint_len(self.at.0) + varint_len(len as u64) + len
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::String;
    use alloc::vec;

    use synod_machine::{Bytes, PeerId, Time, wire};

    use super::*;

    fn node(name: u8) -> Node {
        Node { id: Id::from(Bytes([name; 32])), peer: PeerId(u32::from(name)) }
    }

    fn held() -> Held {
        let entry = Entry { publisher: Id::from(Bytes([5; 32])), version: 2, value: vec![9, 9] };
        Held { entry, replicas: 20, secs: 300 }
    }

    fn joined(parts: &[&[u8]]) -> Vec<u8> {
        parts.concat()
    }

    /// A name's identifier and the identifier of a node with its handle.
    fn id_bytes(name: u8) -> Vec<u8> {
        joined(&[&[32], &[name; 32]])
    }

    fn every_message() -> [(Message, Vec<u8>); 8] {
        let (node_7, key) = (joined(&[&id_bytes(7), &[7]]), Id::from(Bytes([3; 32])));
        let held_bytes = joined(&[&id_bytes(5), &[2, 2, 9, 9, 20, 251, 44, 1]]);
        let nodes = vec![node(7), node(8)];
        let nodes_bytes = joined(&[&[2], &node_7, &id_bytes(8), &[8]]);
        let number = [251, 232, 3];
        [
            (
                Message::FindNode { request: 1_000, node: node(7), target: key },
                joined(&[&[0], &number, &node_7, &id_bytes(3)]),
            ),
            (Message::FindValue { request: 1, node: node(7), key }, joined(&[&[1, 1], &node_7, &id_bytes(3)])),
            (Message::Nodes { request: 1, nodes: nodes.clone() }, joined(&[&[2, 1], &nodes_bytes])),
            (Message::Ping { request: 1, node: node(7) }, joined(&[&[3, 1], &node_7])),
            (Message::Pong { request: 1 }, vec![4, 1]),
            (
                Message::Store { request: 1, node: node(7), key, held: held().into() },
                joined(&[&[5, 1], &node_7, &id_bytes(3), &held_bytes]),
            ),
            (Message::Stored { request: 1, is_kept: true }, vec![6, 1, 1]),
            (
                Message::Values { request: 1, values: vec![held()], nodes },
                joined(&[&[7, 1, 1], &held_bytes, &nodes_bytes]),
            ),
        ]
    }

    #[test]
    fn messages_are_these_bytes_and_know_their_length() {
        for (message, bytes) in every_message() {
            assert_eq!(wire::encode(&message), bytes, "{message:?}");
            assert_eq!(message.encoded_len(), bytes.len(), "{message:?}");
            assert_eq!(wire::decode(&bytes), Ok(message));
        }
        assert!(wire::decode::<Message>(&[8]).is_err());
    }

    #[test]
    fn every_message_has_a_kind_of_its_own() {
        let kinds = every_message().map(|(message, _)| message.kind());
        let expected = ["find_node", "find_value", "nodes", "ping", "pong", "store", "stored", "values"];
        assert_eq!(kinds.map(|kind| kind.strip_prefix("kad_")), expected.map(Some));
    }

    #[test]
    fn the_longest_message_is_allowed_and_not_a_byte_more() {
        let entry = Entry { publisher: Id::MAX, version: u64::MAX, value: vec![1; ENTRY_BYTES_MAX] };
        let held = Held { entry, replicas: 20, secs: u32::MAX };
        let far = Node { id: Id::MAX, peer: PeerId(u32::MAX) };
        let values = vec![held; ENTRIES_MAX];
        let message: Message = Message::Values { request: u32::MAX, values, nodes: vec![far; NODES_MAX] };
        assert_eq!(message.encoded_len(), Message::<Node>::BYTES_MAX);
        assert_eq!(wire::decode(&wire::encode(&message)), Ok(message));
    }

    #[test]
    fn nodes_turn_into_something_else_and_back() {
        for (message, _) in every_message() {
            let there = message.clone().map(&mut |node| alloc::format!("{node:?}"));
            let names: Vec<String> = [7, 8].map(|name| alloc::format!("{:?}", node(name))).into();
            let back = there.map(&mut |name| node(if name == names[0] { 7 } else { 8 }));
            assert_eq!(back, message);
        }
    }

    #[test]
    fn a_record_is_these_bytes() {
        let record = Record { version: 2, replicas: 3, at: Time(300), value: vec![9, 9] };
        assert_eq!(wire::encode(&record), [2, 3, 251, 44, 1, 2, 9, 9]);
        assert_eq!(record.encoded_len(), 8);
        let longest = Record { version: u64::MAX, replicas: 20, at: Time::MAX, value: vec![1; ENTRY_BYTES_MAX] };
        assert_eq!(longest.encoded_len(), Record::BYTES_MAX);
        assert_eq!(wire::encode(&longest).len(), Record::BYTES_MAX);
    }
}
