//! What peers say to each other to find things, and what they keep.

use serde::{Deserialize, Serialize};
use synod_machine::Wire;

use crate::overlay::Node;
use crate::search::{flood, index, superpeer};
use crate::{chord, content, gossip, kademlia};

/// A message of one of the parts. `N` stands for a node: a [`Node`] in machines, a contact on sockets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Message<N = Node> {
    /// Between Chord's nodes.
    Chord(chord::Message<N>),
    /// Between those who exchange contents.
    Content(content::Message),
    /// Between flooding peers.
    Flood(flood::Message<N>),
    /// Between an index and its clients.
    Index(index::Message<N>),
    /// Between Kademlia's nodes.
    Kademlia(kademlia::Message<N>),
    /// Between superpeers and leaves.
    Superpeer(superpeer::Message<N>),
}

impl<N> Message<N> {
    /// The same message with something else in the place of each node.
    pub fn map<M>(self, f: &mut impl FnMut(N) -> M) -> Message<M> {
        match self {
            Self::Chord(message) => Message::Chord(message.map(f)),
            Self::Content(message) => Message::Content(message),
            Self::Flood(message) => Message::Flood(message.map(f)),
            Self::Index(message) => Message::Index(message.map(f)),
            Self::Kademlia(message) => Message::Kademlia(message.map(f)),
            Self::Superpeer(message) => Message::Superpeer(message.map(f)),
        }
    }
}

impl<N: Wire> Wire for Message<N> {
    const BYTES_MAX: usize = {
        let parts = [
            chord::Message::<N>::BYTES_MAX,
            content::Message::BYTES_MAX,
            flood::Message::<N>::BYTES_MAX,
            index::Message::<N>::BYTES_MAX,
            kademlia::Message::<N>::BYTES_MAX,
            superpeer::Message::<N>::BYTES_MAX,
        ];
        let (mut most, mut place) = (0, 0);
        while place < parts.len() {
            if parts[place] > most {
                most = parts[place];
            }
            place += 1;
        }
        1 + most
    };

    fn kind(&self) -> &'static str {
        match self {
            Self::Chord(message) => message.kind(),
            Self::Content(message) => message.kind(),
            Self::Flood(message) => message.kind(),
            Self::Index(message) => message.kind(),
            Self::Kademlia(message) => message.kind(),
            Self::Superpeer(message) => message.kind(),
        }
    }

    fn encoded_len(&self) -> usize {
        1 + match self {
            Self::Chord(message) => message.encoded_len(),
            Self::Content(message) => message.encoded_len(),
            Self::Flood(message) => message.encoded_len(),
            Self::Index(message) => message.encoded_len(),
            Self::Kademlia(message) => message.encoded_len(),
            Self::Superpeer(message) => message.encoded_len(),
        }
    }
}

/// What survives a crash.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Record {
    /// Chord's.
    Chord(chord::Record),
    /// A content.
    Content(content::Record),
    /// Kademlia's.
    Kademlia(kademlia::Record),
}

impl Wire for Record {
    const BYTES_MAX: usize = 1 + content::Record::BYTES_MAX;

    fn kind(&self) -> &'static str {
        match self {
            Self::Chord(record) => record.kind(),
            Self::Content(record) => record.kind(),
            Self::Kademlia(record) => record.kind(),
        }
    }

    fn encoded_len(&self) -> usize {
        1 + match self {
            Self::Chord(record) => record.encoded_len(),
            Self::Content(record) => record.encoded_len(),
            Self::Kademlia(record) => record.encoded_len(),
        }
    }
}

const _: () = assert!(chord::Record::BYTES_MAX <= content::Record::BYTES_MAX, "a piece is the longest record");
const _: () = assert!(kademlia::Record::BYTES_MAX <= content::Record::BYTES_MAX, "a piece is the longest record");

impl From<gossip::Record> for Record {
    fn from(record: gossip::Record) -> Self {
        match record {}
    }
}
