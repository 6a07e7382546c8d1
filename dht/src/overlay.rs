//! What the overlays and the searches have in common: identifiers, nodes, stored entries, and what a request cost.
//!
//! A machine knows another node as a [`Node`]: an identifier that says where it stands, and the host's handle by which it
//! is reached. Handles mean something to one host only, so messages are generic over what stands for a node in them. A
//! machine speaks of [`Node`]s; a host on real sockets turns them into contacts on the way out and back on the way in,
//! the simulator, where all peers share the handles, into nothing.

mod entry;
mod id;

use core::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use synod_machine::{Bytes, PeerId, Wire};

pub use self::entry::{ENTRIES_MAX, ENTRY_BYTES_MAX, Entry, Quorum, QuorumError};
pub use self::id::{Distance, Id};
use crate::gossip::varint_len;

/// A node of an overlay, as one host knows it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node {
    /// Where it stands: the hash of its public key.
    pub id: Id,
    /// How it is reached.
    pub peer: PeerId,
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}@{:?}", self.id, self.peer)
    }
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (Bytes::from(self.id), self.peer.0).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (id, peer) = <(Bytes<32>, u32)>::deserialize(deserializer)?;
        Ok(Self { id: id.into(), peer: PeerId(peer) })
    }
}

impl Wire for Node {
    const BYTES_MAX: usize = 33 + 5;

    fn kind(&self) -> &'static str {
        "node"
    }

    fn encoded_len(&self) -> usize {
        33 + varint_len(u64::from(self.peer.0))
    }
}

/// The owner's name for a request of its own, which the answer carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Query(pub u64);

/// What a request cost whoever made it, up to the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Nodes between the asker and the answer, as the overlay's paper counts them.
    pub hops: u32,
    /// Messages that the asker sent for it, those that were lost among them, or that others are known to have sent for it.
    pub messages: u32,
    /// Different nodes that were asked.
    pub asked: u32,
    /// Requests that were not answered in time.
    pub timeouts: u32,
}

/// Why a request came to nothing. Every request ends, with an answer or with one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    /// The node is not part of the overlay (yet, or any more).
    Apart,
    /// More requests are open than the node keeps.
    Busy,
    /// The way led further than any way in a sound overlay does, or in a circle.
    Lost,
    /// Everybody that could have helped was asked, and it is not there.
    NotFound,
    /// Whoever was asked did not answer in time.
    Silence,
    /// Fewer replicas answered than the request demands.
    TooFew {
        /// How many did.
        got: u8,
        /// How many it takes.
        expected: u8,
    },
    /// What is to be stored is longer than values are.
    TooLong,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Apart => f.write_str("this node is not part of the overlay yet"),
            Self::Busy => f.write_str("this node has too many open requests"),
            Self::Lost => f.write_str("the way to it led in circles"),
            Self::NotFound => f.write_str("nobody who was asked has it"),
            Self::Silence => f.write_str("those who were asked did not answer in time"),
            Self::TooFew { got, expected } => write!(f, "{got} replicas answered, it takes {expected}"),
            Self::TooLong => write!(f, "a value has at most {ENTRY_BYTES_MAX} bytes"),
        }
    }
}

#[cfg(test)]
mod tests {
    use synod_machine::wire;

    use super::*;

    #[test]
    fn a_node_is_these_bytes() {
        let node = Node { id: Id::from(Bytes([7; 32])), peer: PeerId(3) };
        let mut bytes = [7; 34];
        bytes[0] = 32;
        bytes[33] = 3;
        assert_eq!(wire::encode(&node), bytes);
        assert_eq!(wire::decode(&bytes), Ok(node));
        let far = Node { peer: PeerId(u32::MAX), ..node };
        assert_eq!(wire::encode(&far).len(), Node::BYTES_MAX);
        assert_eq!((node.encoded_len(), far.encoded_len()), (34, Node::BYTES_MAX));
    }
}
