//! A peer's place in the world: its host while it is up, its disk, its links.

use std::collections::VecDeque;

use prefetch_index::prefetch_index;
use synod_machine::{Count, Effect, Host, Input, PeerId, Protocol, Time};

use crate::clock::Clock;
use crate::disk::{Disk, Outbox};
use crate::model::Chance;
use crate::trace::Origin;

/// A link to another peer, as one end sees it.
#[derive(Clone, Debug)]
pub(crate) struct Edge {
    pub(crate) to: u32,
    /// How often its connection closed.
    pub(crate) closings: u32,
    /// Which connection the peer believes is open: the one after so many closings.
    pub(crate) told: Option<u32>,
    /// Whether a connection is open.
    pub(crate) is_up: bool,
    /// Whether the link was taken away.
    pub(crate) is_gone: bool,
    /// One-way latency before jitter, in nanoseconds.
    pub(crate) latency: u64,
    /// When the last message that was sent on it arrives: a connection keeps the order.
    pub(crate) last_arrival: Time,
    /// What was sent before this number went by an earlier connection.
    pub(crate) opened: u64,
}

impl Edge {
    pub(crate) const fn new(to: u32, latency: u64) -> Self {
        Self { to, closings: 0, told: None, is_up: false, is_gone: false, latency, last_arrival: Time::ZERO, opened: 0 }
    }

    /// Which connection is open.
    pub(crate) fn connection(&self) -> Option<u32> {
        self.is_up.then_some(self.closings)
    }
}

/// What went through a peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// Messages sent, and their encoded bytes.
    pub sent: Count,
    /// Messages received, and their encoded bytes.
    pub received: Count,
}

/// A peer's place. What each message touches stands first, in as few lines of memory as can be.
#[repr(C, align(64))]
pub(crate) struct Place<P: Protocol> {
    /// When the world looks at its timers next. The first field: [`Place::fetch`] counts from it.
    pub(crate) wakes_at: Time,
    /// What was scheduled before this number was meant for an earlier life.
    pub(crate) born: u64,
    /// By the other end's number.
    pub(crate) edges: Vec<Edge>,
    /// What is rare: most peers have none of it.
    pub(crate) trouble: Option<Box<Trouble<P>>>,
    pub(crate) passed: Passed,
    /// When the bytes that wait for the uplink have left, and those for the downlink have come.
    pub(crate) upload_free: Time,
    pub(crate) download_free: Time,
    pub(crate) host: Option<Host<P>>,
    pub(crate) disk: Disk<P::Record>,
}

/// A line of memory, in bytes.
const LINE: usize = 64;

/// What is wrong with a peer, or was.
pub(crate) struct Trouble<P: Protocol> {
    pub(crate) clock: Clock,
    /// The chance that it omits to send a message.
    pub(crate) omits_sent: Chance,
    /// The chance that it omits to receive one.
    pub(crate) omits_received: Chance,
    pub(crate) is_paused: bool,
    /// Whether it is about to go on.
    pub(crate) is_resuming: bool,
    /// What came while it was paused.
    pub(crate) backlog: VecDeque<Waiting<P>>,
    pub(crate) outbox: Outbox<P>,
    /// What a sync covered that ended while it was paused: not released yet. With the numbers of the steps on record.
    pub(crate) synced: Vec<(u64, Effect<P>)>,
}

/// Something that a paused peer takes later.
pub(crate) struct Waiting<P: Protocol> {
    pub(crate) input: Input<P>,
    /// A message's length.
    pub(crate) bytes: Option<u32>,
    /// Where a message comes from, if there is a record.
    pub(crate) origin: Option<Origin>,
}

impl<P: Protocol> Place<P> {
    pub(crate) fn new() -> Self {
        Self {
            wakes_at: Time::MAX,
            passed: Passed::default(),
            born: 0,
            edges: Vec::new(),
            upload_free: Time::ZERO,
            download_free: Time::ZERO,
            trouble: None,
            host: None,
            disk: Disk::new(),
        }
    }

    /// How many lines of memory it has.
    pub(crate) const LINES: usize = size_of::<Self>().div_ceil(LINE);

    /// Has memory fetch the place, as far as it lies in one piece.
    pub(crate) fn fetch(&self, lines: usize) {
        let first = std::slice::from_ref(&self.wakes_at);
        for line in 0..Self::LINES.min(lines) {
            // Beyond the slice lies the rest of the place. Nothing is read: an address is told to the cache.
            prefetch_index(first, line * LINE / size_of::<Time>());
        }
    }

    /// Has memory fetch all links at once, before they are looked up one by one.
    pub(crate) fn fetch_edges(&self) {
        for edge in 0..self.edges.len() {
            prefetch_index(&self.edges, edge);
        }
    }

    pub(crate) fn edge(&mut self, to: u32) -> Option<&mut Edge> {
        let place = self.edges.binary_search_by_key(&to, |edge| edge.to).ok()?;
        self.edges.get_mut(place)
    }

    pub(crate) fn trouble(&mut self) -> &mut Trouble<P> {
        self.trouble.get_or_insert_with(|| Box::new(Trouble::new()))
    }

    /// What its clock shows.
    pub(crate) fn clock(&self) -> Clock {
        self.trouble.as_ref().map_or(Clock::TRUE, |trouble| trouble.clock)
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.trouble.as_ref().is_some_and(|trouble| trouble.is_paused)
    }

    /// Writes to the disk what an effect asks for; others are dropped.
    pub(crate) fn write(&mut self, effect: Effect<P>) {
        match effect {
            Effect::Forget(key) => self.disk.remove(&key),
            Effect::Persist { key, record } => self.disk.put(key, record),
            Effect::Broadcast { .. } | Effect::Cancel(_) | Effect::Emit(_) => {}
            Effect::Reject { .. } | Effect::Send { .. } | Effect::Set { .. } => {}
        }
    }

    /// Whom it has an open connection to.
    pub(crate) fn linked(&self) -> impl Iterator<Item = PeerId> + '_ {
        self.edges.iter().filter(|edge| edge.is_up).map(|edge| PeerId(edge.to))
    }
}

impl<P: Protocol> Trouble<P> {
    fn new() -> Self {
        Self {
            clock: Clock::TRUE,
            omits_sent: Chance::NEVER,
            omits_received: Chance::NEVER,
            is_paused: false,
            is_resuming: false,
            backlog: VecDeque::new(),
            outbox: Outbox::new(),
            synced: Vec::new(),
        }
    }
}
