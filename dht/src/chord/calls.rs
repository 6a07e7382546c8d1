//! Requests that were sent and not answered yet.

use alloc::vec::Vec;

use synod_machine::{PeerId, Time, lines};

use crate::overlay::Node;

/// A request to one node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) number: u32,
    /// What it is about.
    pub(super) what: What,
    /// How often it was sent before.
    pub(super) tries: u8,
    pub(super) node: Node,
    pub(super) deadline: Time,
}

/// What a request is about, and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// A finger's predecessor, which may be a better finger.
    Finger,
    /// A job's entries.
    Fetch(u32),
    /// A record that is handed over: its place in the batch.
    Hand(u8),
    /// Which records somebody lacks.
    Offer,
    /// Whether the owner that a job's way has led to is there.
    Owner(u32),
    /// Whether the predecessor is there.
    Predecessor,
    /// Entries that somebody who was asked did not have.
    Mend,
    /// A recursive look-up's answer, which comes from anybody who knows its token.
    Route(u32, u64),
    /// A successor's predecessor and successors.
    Stabilise,
    /// A step of a job's way.
    Step(u32),
    /// A job's replica.
    Store(u32),
    /// A successor's fingers.
    Table,
}

/// All requests that are open, by deadline.
#[derive(Debug, Default)]
pub(super) struct Calls {
    open: Vec<Call>,
    numbers: u32,
    /// When the timer is due, if it is set.
    pub(super) wakes_at: Option<Time>,
}

/// Room for so many requests is made at a time: one is open while fingers are looked at, and one or two beside it.
const ROOM: usize = 2;

impl Calls {
    /// A new request, which must be answered until `deadline`. Its number.
    #[inline(always)]
    pub(super) fn open(&mut self, node: Node, what: What, tries: u8, deadline: Time) -> u32 {
        self.numbers = self.numbers.wrapping_add(1);
        let number = self.numbers;
        // All but recursive look-ups have the same time, so that the place is the last.
        let place = self.open.iter().rposition(|call| call.deadline <= deadline).map_or(0, |place| place + 1);
        if self.open.len() == self.open.capacity() {
            self.open.reserve_exact(ROOM);
        }
        self.open.insert(place, Call { number, what, tries, node, deadline });
        number
    }

    /// The place of the request that an answer belongs to, if `fits` says that it is an answer to such a request.
    pub(super) fn find(&self, number: u32, from: PeerId, fits: impl Fn(What) -> bool) -> Option<usize> {
        let is_it = |call: &Call| call.number == number && call.node.peer == from && fits(call.what);
        self.open.iter().position(is_it)
    }

    /// Takes out a request that was found. Finding and taking are two, since a request that may not be there would be moved as the byte
    /// that says what it is about, and the rest, and not as a whole.
    #[inline]
    pub(super) fn remove(&mut self, place: usize) -> Call {
        let call = self.open[place];
        self.open.remove(place);
        call
    }

    /// The recursive look-up of that token.
    pub(super) fn take_route(&mut self, token: u64) -> Option<Call> {
        let place = self.open.iter().position(|call| matches!(call.what, What::Route(_, own) if own == token))?;
        Some(self.open.remove(place))
    }

    /// A request that nobody has answered by `now`.
    pub(super) fn pop_due(&mut self, now: Time) -> Option<Call> {
        (self.open.first()?.deadline <= now).then(|| self.open.remove(0))
    }

    /// A request to a peer that cannot be reached.
    pub(super) fn pop_of(&mut self, peer: PeerId) -> Option<Call> {
        let place = self.open.iter().position(|call| call.node.peer == peer)?;
        Some(self.open.remove(place))
    }

    pub(super) fn is_open(&self, node: &Node, what: What) -> bool {
        self.open.iter().any(|call| call.what == what && call.node == *node)
    }

    pub(super) fn next_deadline(&self) -> Option<Time> {
        self.open.first().map(|call| call.deadline)
    }

    /// The lines of memory that they are in.
    pub(super) fn lines(&self) -> impl Iterator<Item = *const u8> {
        lines(&self.open)
    }

    pub(super) const fn len(&self) -> usize {
        self.open.len()
    }

    /// The request whose deadline is the last.
    #[cfg(test)]
    pub(super) fn last(&self) -> Option<&Call> {
        self.open.last()
    }

    /// The number of the last request.
    #[cfg(test)]
    pub(super) const fn numbers(&self) -> u32 {
        self.numbers
    }

    pub(super) fn clear(&mut self) {
        self.open.clear();
    }
}
