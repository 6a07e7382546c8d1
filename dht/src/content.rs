//! The exchange of contents: what a search found is fetched from whoever has it, piece by piece, and checked against its hash.
//!
//! Overlays and searches say who has an item; this machine asks them for it, one holder after the other until one gives
//! what was asked for. What a peer shares it keeps on disk, in pieces that are read when they are asked for; what its owner
//! keeps elsewhere (a ledger's blocks) the owner is asked for.

mod fetch;
mod message;
mod serve;

use alloc::vec::Vec;
use core::time::Duration;

use sha2::{Digest, Sha256};
use synod_machine::{Bytes, Input, Key, Out, PeerId, Protocol, Time};

use self::fetch::Request;
pub use self::message::{Message, Record};
use self::serve::Load;
use crate::overlay::{Cost, Failure, Node, Query};
use crate::search::{Hit, ITEMS_MAX, Item, Question};

/// The longest content, in bytes: what a person puts into a test network, and what a peer holds in memory to hand on.
pub const CONTENT_BYTES_MAX: u64 = 16 << 20;
/// The length of each piece but the last, in bytes.
pub const PIECE_BYTES: usize = 256 << 10;
/// Requests of the owner at one time; one more fails as [`Failure::Busy`].
pub const REQUESTS_MAX: usize = 64;
/// Holders that are asked for one content.
pub const HOLDERS_MAX: usize = 32;
/// Pieces that are being read for others; who asks for one more is told that it is not to be had.
pub const LOADS_MAX: usize = 256;

/// A holder that has not sent a piece for so long is given up.
const PIECE_WAIT: Duration = Duration::from_secs(5);
/// Who was asked what it has is waited for so long.
const ASK_WAIT: Duration = Duration::from_secs(2);

/// The SHA-256 of a content, by which it is known.
pub fn hash_of(content: &[u8]) -> Bytes<32> {
    Bytes(Sha256::digest(content).into())
}

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
    /// Which items that answer a question do these peers have? Answered by [`Event::Answered`].
    Ask {
        /// The owner's name for the request.
        query: Query,
        /// What is looked for.
        question: Question,
        /// Whom to ask, of more than [`HOLDERS_MAX`] the first.
        whom: Vec<Node>,
    },
    /// Bring a content here. Answered by [`Event::Fetched`].
    Fetch {
        /// The owner's name for the request.
        query: Query,
        /// What it is.
        item: Item,
        /// Who has it, in the order in which they are asked; of more than [`HOLDERS_MAX`] the first.
        holders: Vec<Node>,
    },
    /// The answer to [`Event::Load`].
    Loaded {
        /// The event's ticket.
        ticket: u32,
        /// What was asked for, or nothing where it is not there any more.
        bytes: Option<Vec<u8>>,
    },
    /// This content is the owner's, who is asked for it with [`Event::Load`].
    Offer(Item),
    /// This content is not to be had here any more.
    Remove(Bytes<32>),
}

/// What the owner is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The end of a [`Command::Add`]: it is on disk, or refused.
    Added {
        /// The owner's name for the request.
        ticket: u64,
        /// What it is.
        item: Item,
        /// Whether it is shared.
        result: Result<(), AddError>,
    },
    /// The end of a [`Command::Ask`].
    Answered {
        /// The owner's name for the request.
        query: Query,
        /// What they have; a failure where none of them has answered.
        result: Result<Vec<Hit>, Failure>,
        /// What it cost.
        cost: Cost,
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
    /// Something is asked for that is on disk or the owner's; answered by [`Command::Loaded`].
    Load {
        /// The name for it.
        ticket: u32,
        /// What is wanted.
        source: Source,
    },
}

/// Where a content lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A piece on disk: the bytes of the [`Record::Piece`] under this key.
    Disk(Key),
    /// The owner has it: the whole content.
    Owner(Item),
}

/// Why a content is not shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddError {
    /// There is nothing in it.
    #[error("a content has at least one byte")]
    Empty,
    /// The peer shares as much as it can.
    #[error("this peer shares {} items already, which are as many as it can", ITEMS_MAX)]
    Full,
    /// It is too long.
    #[error("a content has at most {} bytes", CONTENT_BYTES_MAX)]
    TooLong,
}

/// The one timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// A request may not have been answered in time.
    Expire,
}

/// The machine.
#[derive(Debug)]
pub struct Content {
    own: Node,
    /// What is to be had here, by hash; whether it is on disk or the owner's.
    held: Vec<Held>,
    requests: Vec<Request>,
    loads: Vec<Load>,
    /// Names requests and loads.
    numbers: u32,
    /// When [`Timer::Expire`] is due, if it is set.
    wakes_at: Option<Time>,
}

/// One content that is to be had here.
#[derive(Debug)]
struct Held {
    item: Item,
    is_on_disk: bool,
}

impl Content {
    /// What is to be had here, by hash.
    pub fn items(&self) -> impl Iterator<Item = &Item> {
        self.held.iter().map(|held| &held.item)
    }

    /// What is to be had here and is kept on this peer's disk, by hash.
    pub fn stored(&self) -> impl Iterator<Item = &Item> {
        self.held.iter().filter(|held| held.is_on_disk).map(|held| &held.item)
    }

    /// Where the pieces of a content lie that is to be had here, in order.
    pub fn sources(&self, hash: &Bytes<32>) -> Option<Vec<Source>> {
        let held = &self.held[self.place(hash).ok()?];
        if !held.is_on_disk {
            return Some([Source::Owner(held.item.clone())].into());
        }
        Some((0..serve::pieces(held.item.bytes)).map(|piece| Source::Disk(serve::piece_key(hash, piece))).collect())
    }

    fn place(&self, hash: &Bytes<32>) -> Result<usize, usize> {
        self.held.binary_search_by_key(hash, |held| held.item.hash)
    }

    fn on_command(&mut self, now: Time, command: Command, out: &mut Out<Self>) {
        match command {
            Command::Add { ticket, item, bytes } => {
                let result = self.add(item.clone(), &bytes, out);
                out.emit(Event::Added { ticket, item, result });
            }
            Command::Ask { query, question, whom } => self.on_ask_command(now, query, question, whom, out),
            Command::Fetch { query, item, holders } => self.on_fetch(now, query, item, holders, out),
            Command::Loaded { ticket, bytes } => self.on_loaded(ticket, bytes, out),
            Command::Offer(item) => self.offer(item),
            Command::Remove(hash) => self.remove(&hash, out),
        }
    }

    fn on_message(&mut self, now: Time, from: PeerId, message: Message, out: &mut Out<Self>) {
        match message {
            Message::Ask { request, question } => self.on_ask(from, request, &question, out),
            Message::Get { request, hash, piece } => self.on_get(from, request, hash, piece, out),
            Message::Have { request, items } => self.on_have(now, from, request, items, out),
            Message::Piece { request, bytes } => self.on_piece(now, from, request, &bytes, out),
        }
    }

    fn number(&mut self) -> u32 {
        self.numbers = self.numbers.wrapping_add(1);
        self.numbers
    }
}

impl Protocol for Content {
    type Params = Node;
    type Message = Message;
    type Timer = Timer;
    type Command = Command;
    type Event = Event;
    type Record = Record;

    fn restore(own: Node, disk: impl Iterator<Item = (Key, Record)>) -> Self {
        let stored = disk.filter_map(|(_, record)| match record {
            Record::Item(item) => Some(Held { item, is_on_disk: true }),
            // On a cold shelf.
            Record::Piece(_) => None,
        });
        let mut held: Vec<Held> = stored.collect();
        held.sort_by_key(|held| held.item.hash);
        Self { own, held, requests: Vec::new(), loads: Vec::new(), numbers: 0, wakes_at: None }
    }

    fn start(&mut self, _: Time, _: &mut Out<Self>) {}

    fn handle(&mut self, now: Time, input: Input<Self>, out: &mut Out<Self>) {
        match input {
            Input::Command(command) => self.on_command(now, command, out),
            Input::Message { from, message } => self.on_message(now, from, message, out),
            Input::PeerDown(peer) => self.on_peer_down(now, peer, out),
            // Who can be reached is found out by asking.
            Input::PeerUp(_) => {}
            Input::Timer(Timer::Expire) => self.on_expire(now, out),
        }
    }

    /// 1. Each content is there once, and they are bounded. 2. Requests and loads are bounded. 3. Every request has a timer
    ///    that ends it.
    fn check(&self) {
        assert!(self.held.len() <= ITEMS_MAX, "items are bounded");
        assert!(self.requests.len() <= REQUESTS_MAX, "requests are bounded");
        assert!(self.loads.len() <= LOADS_MAX, "loads are bounded");
        let is_woken = self.next_deadline().is_none_or(|at| self.wakes_at.is_some_and(|wake| wake <= at));
        assert!(is_woken, "every request ends");
    }
}

#[cfg(test)]
mod tests;
