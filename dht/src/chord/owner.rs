//! What the owner of a node sets, asks and is told.

use alloc::vec::Vec;
use core::time::Duration;

use synod_machine::Rng;

use super::message::SUCCESSORS_MAX;
use crate::overlay::{Cost, Entry, Failure, Id, Node, Query, Quorum};

/// Checked configuration.
#[derive(Clone, Debug)]
pub struct Params {
    /// Fingers that are looked at in a round.
    pub fingers_per_round: u16,
    /// This node.
    pub own: Node,
    /// The mean time between two looks at what is stored where.
    pub repair: Duration,
    /// How many nodes have a key's entries: at most [`Quorum::REPLICAS_MAX`], and at most one more than successors.
    pub replicas: u8,
    /// The stream that choices are drawn from.
    pub rng: Rng,
    /// The mean time between two rounds of stabilisation, each drawn from half of it to one and a half.
    pub round: Duration,
    /// Whether the list of successors is used for look-ups, and not only when the first successor has failed.
    pub shortcut: bool,
    /// How many successors are known, at most [`SUCCESSORS_MAX`].
    pub successors: usize,
    /// A request that was not answered for so long has failed.
    pub time_out: Duration,
}

impl Params {
    /// What the papers use.
    pub const fn new(own: Node, rng: Rng) -> Self {
        Self {
            // SIGCOMM, figure 7: fix_fingers looks at one.
            fingers_per_round: 1,
            own,
            // Two rounds: what a change of neighbours did not bring about at once is mended soon after the ring is.
            repair: Duration::from_secs(60),
            replicas: 3, // Issue: values with three replicas survive; Dynamo, section 4.5, has N = 3 as well.
            rng,
            // SIGCOMM, section 6.5: "at randomized intervals averaging 30 seconds".
            round: Duration::from_secs(30),
            shortcut: true, // ToN, section IV-E.3.
            successors: 8, // ToN, section V-D, takes r = 2·log2 N for 10³ and more nodes; eight do for rings of some ten nodes.
            // SIGCOMM, section 6.5.
            time_out: Duration::from_millis(500),
        }
    }

    pub(super) fn check(&self) {
        assert!(self.successors > 0, "a node follows somebody");
        assert!(self.successors <= SUCCESSORS_MAX, "a list of successors fits into a message");
        assert!(self.replicas > 0, "entries are kept by somebody");
        assert!(self.replicas <= Quorum::REPLICAS_MAX, "replicas are bounded");
        assert!(usize::from(self.replicas) <= self.successors + 1, "replicas are an owner and its successors");
        assert!(self.round.as_nanos() > 1, "a round takes time");
        assert!(self.repair.as_nanos() > 1, "a repair takes time");
        assert!(!self.time_out.is_zero(), "an answer takes time");
    }
}

/// How a look-up goes from node to node (SIGCOMM, section 4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Style {
    /// The asker asks each node on the way.
    Iterative,
    /// Each node hands the look-up on.
    Recursive,
}

/// What the owner asks.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Read what is stored under a key. Answered by [`Event::Got`].
    Get {
        /// The owner's name for the request.
        query: Query,
        /// The key.
        key: Id,
        /// How many of how many replicas must answer.
        quorum: Quorum,
    },
    /// Come into the ring that one of these is on, or begin a ring where there are none. Whoever is on a ring takes them as nodes that it
    /// lost sight of, and finds out whether they are on another. Answered by [`Event::Joined`].
    Join {
        /// Whom to ask, in order; of more than [`LOST_MAX`](super::LOST_MAX) the first.
        via: Vec<Node>,
    },
    /// Hand everything over and go. Answered by [`Event::Left`].
    Leave,
    /// Find the owner of a key. Answered by [`Event::LookedUp`].
    Lookup {
        /// The owner's name for the request.
        query: Query,
        /// The key.
        key: Id,
        /// How.
        style: Style,
    },
    /// Store an entry under a key. One that is longer than entries are is taken by no replica. Answered by [`Event::Put`].
    Put {
        /// The owner's name for the request.
        query: Query,
        /// The key.
        key: Id,
        /// What to store.
        entry: Entry,
        /// How many of how many replicas must have it.
        quorum: Quorum,
    },
}

/// What the owner is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The end of a [`Command::Get`].
    Got {
        /// The owner's name for the request.
        query: Query,
        /// The latest entry of each publisher, in the order of publishers.
        result: Result<Vec<Entry>, Failure>,
        /// What it cost.
        cost: Cost,
    },
    /// The end of a [`Command::Join`].
    Joined {
        /// Whether the node is on the ring.
        result: Result<(), Failure>,
        /// What it cost.
        cost: Cost,
    },
    /// The end of a [`Command::Leave`]: the node is on no ring.
    Left,
    /// The end of a [`Command::Lookup`].
    LookedUp {
        /// The owner's name for the request.
        query: Query,
        /// Who owns the key: it has answered itself.
        result: Result<Node, Failure>,
        /// What it cost. Hops are the nodes that were passed up to the key's predecessor, as in SIGCOMM's figure 10.
        cost: Cost,
    },
    /// The end of a [`Command::Put`].
    Put {
        /// The owner's name for the request.
        query: Query,
        /// How many replicas have it so far.
        result: Result<u8, Failure>,
        /// What it cost.
        cost: Cost,
    },
}

/// The timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// A request may have failed.
    Expire,
    /// Look at what is stored where.
    Repair,
    /// Stabilise.
    Round,
}
