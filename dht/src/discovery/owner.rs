//! What the owner asks, and what it is told.

use alloc::vec::Vec;

use synod_machine::{Bytes, PeerId};

use super::{Mode, Source, Table};
use crate::Contact;
use crate::content::AddError;
use crate::overlay::{Cost, Failure, Id, Node, Query};
use crate::search::{Hit, Item, Question};

/// What the owner asks.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Keep this content and share it. Answered by [`Event::Added`].
    Add {
        /// The owner's name for the request.
        ticket: u64,
        /// What it is; its hash and length are the content's.
        item: Item,
        /// The content.
        bytes: Vec<u8>,
    },
    /// Ask these peers what they have: a search whose first half another overlay has done. Answered by [`Event::Found`].
    Ask {
        /// The owner's name for the request.
        query: Query,
        /// What is looked for.
        question: Question,
        /// Whom to ask.
        whom: Vec<Node>,
    },
    /// Bring a content here. Answered by [`Event::Fetched`].
    Fetch {
        /// The owner's name for the request.
        query: Query,
        /// What it is.
        item: Item,
        /// Who has it, in the order in which they are asked.
        holders: Vec<Node>,
    },
    /// Look for something. Answered by [`Event::Found`].
    Find {
        /// The owner's name for the request; one that was not used before.
        query: Query,
        /// How.
        mode: Mode,
        /// What.
        question: Question,
        /// With so many different hits a search may end early.
        wanted: u16,
    },
    /// The answer to [`Event::Load`].
    Loaded {
        /// The event's ticket.
        ticket: u32,
        /// What was asked for, or nothing where it is not there any more.
        bytes: Option<Vec<u8>>,
    },
    /// Find the nodes that are closest to a key. Answered by [`Event::LookedUp`].
    Lookup {
        /// The owner's name for the request; one that was not used before.
        query: Query,
        /// Where.
        table: Table,
        /// The key.
        key: Id,
    },
    /// A connection to this peer is up.
    Met(Node),
    /// This is shared too, and the owner has its content.
    Offer(Item),
    /// The answer to [`Event::Providers`].
    Providers {
        /// The event's request.
        query: Query,
        /// The same peers, as the host knows them.
        nodes: Vec<Node>,
    },
    /// This is not shared any more.
    Remove(Bytes<32>),
    /// This peer cannot be reached.
    Unreachable(PeerId),
}

/// What the owner is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The end of a [`Command::Add`]: it is on disk, or refused.
    Added {
        /// The owner's name for the request.
        ticket: u64,
        /// Whether it is shared.
        result: Result<(), AddError>,
    },
    /// The end of a [`Command::Fetch`].
    Fetched {
        /// The owner's name for the request.
        query: Query,
        /// The content, and who gave it.
        result: Result<(Vec<u8>, Node), Failure>,
        /// What it cost.
        cost: Cost,
    },
    /// The end of a [`Command::Find`] or [`Command::Ask`].
    Found {
        /// The owner's name for the request.
        query: Query,
        /// Who has what, at least one; this peer's own items among them.
        result: Result<Vec<Hit>, Failure>,
        /// What it cost. Hops are those to the first hit, or to the provider records.
        cost: Cost,
    },
    /// Something is asked for that is on disk or the owner's; answered by [`Command::Loaded`].
    Load {
        /// The name for it.
        ticket: u32,
        /// What is wanted.
        source: Source,
    },
    /// The end of a [`Command::Lookup`].
    LookedUp {
        /// The owner's name for the request.
        query: Query,
        /// The closest nodes, the closest first; Chord's owner alone.
        result: Result<Vec<Node>, Failure>,
        /// What it cost.
        cost: Cost,
    },
    /// These have something that may be what is looked for; answered by [`Command::Providers`].
    Providers {
        /// Which search.
        query: Query,
        /// Who.
        contacts: Vec<Contact>,
    },
}
