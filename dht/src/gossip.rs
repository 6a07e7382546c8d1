//! What the gossip machines have in common: what they carry, what their owner says and is told, and what they send.
//!
//! Three machines disseminate: [`Mesh`](crate::Mesh), [`Flood`](crate::Flood) and [`Rumour`](crate::Rumour). They share
//! one vocabulary, so that an owner chooses between them at run time without a second set of names. An item that arrives is
//! shown to the owner and travels on only when the owner accepts it, as under the validation of gossipsub v1.1
//! (libp2p/specs, `pubsub/gossipsub/gossipsub-v1.1.md`, "Extended Validators"): what is not valid is not spread.

mod beat;
mod intake;
mod seen;

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use synod_machine::{Bytes, PeerId, Wire};

pub(crate) use self::beat::Beat;
pub(crate) use self::intake::Intake;
pub(crate) use self::seen::{Place, Seen};
pub use self::seen::{SEEN_MAX, SEEN_TIME_MIN};

/// The hash of an item's whole content, under which it is known.
pub type Id = Bytes<32>;

/// What gossip can carry: a value that knows the hash of its content.
pub trait Parcel: Wire {
    /// The hash of the content. Each duplicate that arrives asks for it, so the value's owner keeps it in the value.
    fn fingerprint(&self) -> Id;
}

/// What the owner asks.
#[derive(Clone, Debug, PartialEq)]
pub enum Command<T> {
    /// Spread this item of ours. One that was accepted or published before is not spread again.
    Publish(T),
    /// The answer to [`Event::Arrived`]. One for an item that does not wait has no effect.
    Verdict {
        /// The item's hash.
        id: Id,
        /// What becomes of it.
        verdict: Verdict,
    },
}

/// What the owner is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Event<T> {
    /// An item came that was not known; answered by [`Command::Verdict`].
    Arrived {
        /// Its hash, given back in the verdict.
        id: Id,
        /// Who gave it to us.
        from: PeerId,
        /// What it is.
        item: T,
    },
}

/// What becomes of an item that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Forward it.
    Accept,
    /// Do not forward it; nobody is to blame.
    Ignore,
    /// Do not forward it. The owner, who knows the reason, holds it against the sender.
    Reject,
}

/// The timers of a gossip machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// A mesh's heartbeat, a rumour's round.
    Round,
    /// The next shuffle of a partial view.
    Shuffle,
}

/// A peer in a partial view, as it travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Descriptor<P = u32> {
    /// The peer. A bare handle means the same to all peers only where one world gives out the handles.
    pub peer: P,
    /// How many shuffles ago the peer said that it is there.
    pub age: u16,
}

impl<P> Descriptor<P> {
    pub(crate) fn map<Q>(self, f: &mut impl FnMut(P) -> Q) -> Descriptor<Q> {
        Descriptor { peer: f(self.peer), age: self.age }
    }
}

/// What gossip machines send each other. Each machine uses some of it and refuses the rest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Message<T> {
    /// Mesh: push to me from now on, as I do to you.
    Graft,
    /// Mesh, rumour: these are to be had here.
    IHave(Vec<Id>),
    /// Mesh, rumour: send me these of those that you have.
    IWant(Vec<Id>),
    /// Rumour: I knew these already (the feedback of Demers et al. 1987, section 1.4).
    Known(Vec<Id>),
    /// Mesh: push to me no longer.
    Prune,
    /// Rumour: tell me what is hot.
    Pull,
    /// All: an item.
    Push(T),
    /// Rumour: some of my view, for as much of yours.
    Shuffle(Vec<Descriptor>),
    /// Rumour: the answer to `Shuffle`.
    Shuffled(Vec<Descriptor>),
}

/// Ids in one list. gossipsub v1.1 allows 5,000 per heartbeat and peer (`max_ihave_length`).
pub const IDS_MAX: usize = 5_000;
/// Descriptors in one list.
pub const DESCRIPTORS_MAX: usize = 64;
/// Links that a machine uses; those beyond are not gossiped to.
pub const LINKS_MAX: usize = 4_096;

const ID_BYTES: usize = 1 + 32;
const DESCRIPTOR_BYTES_MAX: usize = 5 + 3;
const LIST_BYTES_MAX: usize = 3 + IDS_MAX * ID_BYTES;

const _: () = assert!(DESCRIPTORS_MAX * DESCRIPTOR_BYTES_MAX < LIST_BYTES_MAX, "ids make the longest list");

impl<T: Wire> Wire for Message<T> {
    // One byte of tag.
    const BYTES_MAX: usize = 1 + if T::BYTES_MAX > LIST_BYTES_MAX { T::BYTES_MAX } else { LIST_BYTES_MAX };

    fn kind(&self) -> &'static str {
        match self {
            Self::Graft => "graft",
            Self::IHave(_) => "ihave",
            Self::IWant(_) => "iwant",
            Self::Known(_) => "known",
            Self::Prune => "prune",
            Self::Pull => "pull",
            Self::Push(_) => "push",
            Self::Shuffle(_) => "shuffle",
            Self::Shuffled(_) => "shuffled",
        }
    }

    fn encoded_len(&self) -> usize {
        1 + match self {
            Self::Graft | Self::Prune | Self::Pull => 0,
            Self::IHave(ids) | Self::IWant(ids) | Self::Known(ids) => {
                varint_len(ids.len() as u64) + ids.len() * ID_BYTES
            }
            Self::Push(item) => item.encoded_len(),
            Self::Shuffle(descriptors) | Self::Shuffled(descriptors) => {
                let len = |descriptor: &Descriptor| {
                    varint_len(u64::from(descriptor.peer)) + varint_len(u64::from(descriptor.age))
                };
                varint_len(descriptors.len() as u64) + descriptors.iter().map(len).sum::<usize>()
            }
        }
    }
}

/// Gossip keeps nothing on disk: what matters there is its owner's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {}

impl Wire for Record {
    const BYTES_MAX: usize = 0;

    fn kind(&self) -> &'static str {
        match *self {}
    }
}

/// How many bytes `wire` takes for an unsigned number.
pub(crate) const fn varint_len(number: u64) -> usize {
    // A sum and no branches: a list of numbers of all lengths is measured as fast as one of equal ones.
    1 + 2 * (number >= 251) as usize + 2 * (number >= 0x1_0000) as usize + 4 * (number >= 0x1_0000_0000) as usize
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use synod_machine::wire;

    use super::*;
    use crate::testing::Note;

    fn every_message() -> [(Message<Note>, Vec<u8>); 9] {
        let id = Bytes([7; 32]);
        let listed = |tag: u8| {
            let mut bytes = vec![tag, 1, 32];
            bytes.extend([7; 32]);
            bytes
        };
        let some = vec![Descriptor { peer: 300, age: 2 }];
        [
            (Message::Graft, vec![0]),
            (Message::IHave(vec![id]), listed(1)),
            (Message::IWant(vec![id]), listed(2)),
            (Message::Known(vec![id]), listed(3)),
            (Message::Prune, vec![4]),
            (Message::Pull, vec![5]),
            (Message::Push(Note(9)), vec![6, 9]),
            (Message::Shuffle(some.clone()), vec![7, 1, 251, 44, 1, 2]),
            (Message::Shuffled(some), vec![8, 1, 251, 44, 1, 2]),
        ]
    }

    #[test]
    fn messages_are_these_bytes_and_know_their_length() {
        for (message, bytes) in every_message() {
            assert_eq!(wire::encode(&message), bytes, "{message:?}");
            assert_eq!(message.encoded_len(), bytes.len(), "{message:?}");
            assert_eq!(wire::decode(&bytes), Ok(message));
        }
        assert!(wire::decode::<Message<Note>>(&[9]).is_err());
    }

    #[test]
    fn long_lists_know_their_length_too() {
        for count in [0, 1, 250, 251, 5_000] {
            let message: Message<Note> = Message::IHave(vec![Bytes::ZERO; count]);
            assert_eq!(message.encoded_len(), wire::encode(&message).len(), "{count} ids");
        }
        let full: Message<Note> = Message::IHave(vec![Bytes::ZERO; IDS_MAX]);
        assert_eq!(full.encoded_len(), Message::<Note>::BYTES_MAX, "the longest list is allowed");
        for number in [0, 250, 251, 65_535, 65_536, u64::from(u32::MAX), u64::from(u32::MAX) + 1, u64::MAX] {
            assert_eq!(varint_len(number), wire::encode(&number).len(), "{number}");
        }
    }

    #[test]
    fn every_message_has_a_kind_of_its_own() {
        let kinds = every_message().map(|(message, _)| message.kind());
        assert_eq!(kinds, ["graft", "ihave", "iwant", "known", "prune", "pull", "push", "shuffle", "shuffled"]);
    }
}
