//! What a protocol is.

use alloc::vec::Vec;
use core::fmt::{self, Debug};

use crate::{Glance, Key, Out, Reject, Time, Wire};

/// The host's handle for the peer at the other end of a connection. It is an address and not an identity: keys and
/// validator ids are data, and one identity may sit behind two handles.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub u32);

impl Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{}", self.0)
    }
}

/// A protocol without I/O: a plain value that turns inputs into effects.
pub trait Protocol: Sized {
    /// Checked configuration, the peer's identity and its random stream among it.
    type Params;
    /// What is sent to the same protocol on another peer.
    type Message: Wire;
    /// A timer's name; at most one deadline is pending for a name.
    type Timer: Copy + Ord + Debug;
    /// What the owner asks.
    type Command: Debug;
    /// What the owner is told.
    type Event: Debug;
    /// What must survive a crash, under a [`Key`].
    type Record: Wire;

    /// A peer from what its disk holds (hot shelves only, in key order). An empty disk gives a new peer.
    fn restore(params: Self::Params, disk: impl Iterator<Item = (Key, Self::Record)>) -> Self;

    /// Called once, before any input.
    fn start(&mut self, now: Time, out: &mut Out<Self>);

    /// One step. Returns nothing and never panics on input: a peer's mistake is [`Effect::Reject`], a caller's is an
    /// event, our own is an `assert!`.
    fn handle(&mut self, now: Time, input: Input<Self>, out: &mut Out<Self>);

    /// Asserts the invariants; the host calls it after every step, so it is cheap.
    fn check(&self) {}

    /// Names memory that the step for a message will touch. A hint that a host may ask for or not, before the message's turn, and for a
    /// message that in the end comes to another peer or to nobody: it panics on none.
    fn foresee(&self, _: &Self::Message, _: Glance, _: impl FnMut(*const u8)) {}
}

/// What goes into a protocol.
pub enum Input<P: Protocol> {
    /// The owner asks for something.
    Command(P::Command),
    /// A message arrived.
    Message {
        /// The connection it came by.
        from: PeerId,
        /// What it says.
        message: P::Message,
    },
    /// A connection closed.
    PeerDown(PeerId),
    /// A connection opened; messages can be sent on it.
    PeerUp(PeerId),
    /// A deadline passed.
    Timer(P::Timer),
}

/// What comes out of a protocol. *Order is the durability rule*: a host releases no `Send`, `Broadcast` or `Emit` before
/// an earlier `Persist` is safe on disk.
pub enum Effect<P: Protocol> {
    /// One message to several peers, counted once per receiver.
    Broadcast {
        /// The receivers.
        to: Vec<PeerId>,
        /// What they are told.
        message: P::Message,
    },
    /// The pending deadline of a timer is dropped, if there is one.
    Cancel(P::Timer),
    /// The owner is told.
    Emit(P::Event),
    /// The record under this key is no longer wanted.
    Forget(Key),
    /// The record is written under this key, over whatever stood there.
    Persist {
        /// Where.
        key: Key,
        /// What.
        record: P::Record,
    },
    /// A peer made a mistake; the host counts it and may close the connection.
    Reject {
        /// Who.
        peer: PeerId,
        /// Why.
        reason: Reject,
    },
    /// A message to one peer.
    Send {
        /// The receiver.
        to: PeerId,
        /// What it is told.
        message: P::Message,
    },
    /// A timer's deadline is set, over any pending one of that name.
    Set {
        /// Which timer.
        timer: P::Timer,
        /// When it is due.
        at: Time,
    },
}

/// How a protocol wraps the effects of another that it is made of: composition by types, no `dyn`.
pub trait Parent<C: Protocol>: Protocol {
    /// Added to the shelf of each of the child's keys, so that two children do not share one.
    const SHELF: u8;

    /// The child's message as one of ours.
    fn message(message: C::Message) -> Self::Message;

    /// The child's timer as one of ours.
    fn timer(timer: C::Timer) -> Self::Timer;

    /// The child's record as one of ours.
    fn record(record: C::Record) -> Self::Record;
}

impl<P: Protocol> Debug for Input<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command(command) => write!(f, "command {command:?}"),
            Self::Message { from, message } => write!(f, "{from:?} says {message:?}"),
            Self::PeerDown(peer) => write!(f, "{peer:?} is down"),
            Self::PeerUp(peer) => write!(f, "{peer:?} is up"),
            Self::Timer(timer) => write!(f, "timer {timer:?}"),
        }
    }
}

impl<P: Protocol> Debug for Effect<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broadcast { to, message } => write!(f, "broadcast to {to:?}: {message:?}"),
            Self::Cancel(timer) => write!(f, "cancel {timer:?}"),
            Self::Emit(event) => write!(f, "emit {event:?}"),
            Self::Forget(key) => write!(f, "forget {key:?}"),
            Self::Persist { key, record } => write!(f, "persist {key:?}: {record:?}"),
            Self::Reject { peer, reason } => write!(f, "reject {peer:?}: {reason}"),
            Self::Send { to, message } => write!(f, "send to {to:?}: {message:?}"),
            Self::Set { timer, at } => write!(f, "set {timer:?} at {at}"),
        }
    }
}
