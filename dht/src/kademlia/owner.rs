//! What the owner of a node sets, asks and is told.

use alloc::vec::Vec;
use core::time::Duration;

use synod_machine::Rng;

use crate::overlay::{Cost, Entry, Failure, Id, Node, Query, Quorum};

/// Checked configuration.
#[derive(Clone, Debug)]
pub struct Params {
    /// Requests of one look-up that are open at a time, at least 1.
    pub alpha: u8,
    /// How long an entry lives after it was published.
    pub expire: Duration,
    /// After so many requests in a row that it did not answer, a contact gives way to a spare.
    pub failures_max: u8,
    /// Contacts in a bucket and nodes in an answer, from 1 to [`NODES_MAX`](super::NODES_MAX).
    pub k: u8,
    /// This node.
    pub node: Node,
    /// The first contact of a full bucket is pinged for a newcomer once in so long.
    pub probe: Duration,
    /// A node publishes what is its own again after so long.
    pub publish: Duration,
    /// A bucket in whose range nothing was looked up for so long is refreshed.
    pub refresh: Duration,
    /// Whoever keeps an entry brings it to the closest nodes again, if nobody else did so for so long.
    pub republish: Duration,
    /// A request that was not answered for so long has failed.
    pub request_time: Duration,
    /// The stream that choices are drawn from.
    pub rng: Rng,
    /// Nodes that wait for a place in a bucket.
    pub spares_max: u8,
}

impl Params {
    /// What the paper has. Where it is silent, what libp2p's does, or what is said here.
    pub const fn new(node: Node, rng: Rng) -> Self {
        const HOUR: Duration = Duration::from_secs(3_600);
        Self {
            alpha: 3,                                         // Section 2.3.
            expire: Duration::from_secs(24 * HOUR.as_secs()), // Section 2.5.
            // Section 4.1 has five, since datagrams are lost. Ours travel on connections: a request and a ping tell enough.
            failures_max: 2,
            k: 20, // Section 2.2.
            node,
            // The paper pings for each newcomer (section 2.2) or for none (4.1). libp2p lets a newcomer wait for a minute.
            probe: Duration::from_secs(60),
            // Section 2.5 has 24 hours, which is when copies expire; libp2p publishes two hours earlier.
            publish: Duration::from_secs(22 * HOUR.as_secs()),
            refresh: HOUR,   // Section 2.3.
            republish: HOUR, // Section 2.5.
            // libp2p gives a peer 10 s, which it may have to dial. That is two round trips more than an answer takes.
            request_time: Duration::from_secs(5),
            rng,
            spares_max: 4, // Neither names a number; libp2p has one. A spare costs 40 bytes in each bucket.
        }
    }

    pub(super) fn check(&self) {
        assert!(self.alpha >= 1, "somebody is asked");
        assert!((1..=Quorum::REPLICAS_MAX).contains(&self.k), "k is from 1 to the most that an answer lists");
        assert!(self.failures_max >= 1, "only a contact that failed gives way");
        assert!(!self.refresh.is_zero(), "refreshing takes time");
        assert!(!self.republish.is_zero(), "keeping takes time");
        assert!(!self.publish.is_zero(), "publishing takes time");
    }
}

/// What the owner asks. Each is answered by one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// What is stored under the key?
    Get {
        /// The owner's name for it.
        query: Query,
        /// Where it would be.
        key: Id,
        /// How many of the closest nodes must have answered. With one, the first entries that are found are good.
        quorum: Quorum,
    },
    /// Take a place among the others.
    Join {
        /// Nodes to ask. The first node of all has none.
        via: Vec<Node>,
    },
    /// Which nodes are closest to the key?
    Lookup {
        /// The owner's name for it.
        query: Query,
        /// The key.
        key: Id,
    },
    /// Publish this under the key, over what this node published there before.
    Put {
        /// The owner's name for it.
        query: Query,
        /// The key.
        key: Id,
        /// What is published, [`ENTRY_BYTES_MAX`](crate::overlay::ENTRY_BYTES_MAX) at most. Nothing withdraws.
        value: Vec<u8>,
        /// How many of the closest nodes must have it before it counts as published.
        quorum: Quorum,
    },
}

/// What the owner is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The closest nodes, closest first, this one among them if it is one of them.
    Found {
        /// Which request.
        query: Query,
        /// k nodes, or all where there are fewer.
        result: Result<Vec<Node>, Failure>,
        /// What it cost; hops are the nodes that were asked one after the other up to the closest one, which is the last.
        cost: Cost,
    },
    /// What is stored under a key.
    Got {
        /// Which request.
        query: Query,
        /// An entry of each publisher, in their order.
        result: Result<Vec<Entry>, Failure>,
        /// What it cost; hops are up to the node that had it, or as in `Found` where several had to answer.
        cost: Cost,
    },
    /// The node has its place, or nobody answered.
    Joined {
        /// Whether it has.
        result: Result<(), Failure>,
        /// What it cost.
        cost: Cost,
    },
    /// Something is published.
    Stored {
        /// Which request.
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
    /// Something that is kept expires, or is to be published again.
    Keep,
    /// A bucket is to be refreshed.
    Refresh,
    /// A request may be overdue.
    Request,
}
