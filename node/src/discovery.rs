//! What the rest of the process asks the engine thread to find, fetch and share, and what it is answered.

use synod_dht::Id;
use synod_dht::content::AddError;
use synod_dht::discovery::{Mode, Table};
use synod_dht::overlay::{Cost, Failure};
use synod_dht::search::{Item, Question};
use synod_machine::Bytes;
use tokio::sync::oneshot;

use crate::net::PeerId;

/// A way to find something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// libp2p's Kademlia.
    Libp2p,
    /// One of our own machines.
    Ours(Mode),
}

/// What is asked.
#[derive(Debug)]
pub enum Request {
    /// Keep a content and share it.
    Add {
        /// What it is; its hash and length are the content's.
        item: Item,
        /// The content.
        bytes: Vec<u8>,
        /// Where the answer goes, when it is on disk.
        reply: oneshot::Sender<Result<(), AddError>>,
    },
    /// Bring a content here.
    Fetch {
        /// What it is.
        item: Item,
        /// Who has it, in the order in which they are asked.
        holders: Vec<PeerId>,
        /// Where the answer goes.
        reply: oneshot::Sender<Fetched>,
    },
    /// Look for something.
    Find {
        /// How.
        by: By,
        /// What.
        question: Question,
        /// With so many different hits a search may end early.
        wanted: u16,
        /// Where the answer goes.
        reply: oneshot::Sender<Found>,
    },
    /// Find the nodes that are closest to a key.
    Lookup {
        /// In which table; nothing for libp2p's Kademlia.
        table: Option<Table>,
        /// The key.
        key: Id,
        /// Where the answer goes.
        reply: oneshot::Sender<LookedUp>,
    },
    /// Share a content no longer.
    Remove {
        /// Which.
        hash: Bytes<32>,
        /// Whether it was shared.
        reply: oneshot::Sender<bool>,
    },
}

/// A content that was fetched, or why it was not.
#[derive(Clone, Debug, PartialEq)]
pub struct Fetched {
    /// The content, and who gave it.
    pub result: Result<(Vec<u8>, PeerId), Failure>,
    /// What it cost.
    pub cost: Cost,
}

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Who has what, at least one.
    pub result: Result<Vec<FoundHit>, Failure>,
    /// What it cost.
    pub cost: Cost,
}

/// Somebody has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundHit {
    /// What.
    pub item: Item,
    /// Who.
    pub peer: PeerId,
}

/// Nodes that were looked up.
#[derive(Clone, Debug, PartialEq)]
pub struct LookedUp {
    /// The closest, the closest first.
    pub result: Result<Vec<PeerId>, Failure>,
    /// What it cost.
    pub cost: Cost,
}
