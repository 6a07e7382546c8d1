//! Requests that are not answered yet, in the order in which they were sent, which is that of their deadlines.

use alloc::collections::VecDeque;

use synod_machine::{PeerId, Time, lines};

use crate::overlay::Node;

/// What a request is for, and so what its answer must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// A look-up of nodes by the task of that number.
    Nodes(u32),
    /// Whether a contact is alive.
    Ping,
    /// A copy that nobody waits for.
    Spread,
    /// A copy that the task of that number waits for.
    Store(u32),
    /// A look-up of values by the task of that number.
    Values(u32),
}

/// A request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Open {
    pub(super) number: u32,
    pub(super) node: Node,
    pub(super) until: Time,
    pub(super) about: About,
}

/// All of them.
#[derive(Clone, Debug)]
pub(super) struct Requests {
    open: VecDeque<Open>,
    last: u32,
}

/// A look-up or two have so many under way.
const LOOKED_AT: usize = 6;

impl Requests {
    pub(super) const fn new() -> Self {
        Self { open: VecDeque::new(), last: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// When the first of them is overdue.
    pub(super) fn next_until(&self) -> Option<Time> {
        self.open.front().map(|open| open.until)
    }

    /// Notes a request, and gives its number.
    pub(super) fn add(&mut self, node: Node, until: Time, about: About) -> u32 {
        self.last = self.last.wrapping_add(1);
        self.open.push_back(Open { number: self.last, node, until, about });
        self.last
    }

    /// Whom the request of that number was sent to.
    pub(super) fn node(&self, number: u32) -> Option<Node> {
        self.open.iter().find(|open| open.number == number).map(|open| open.node)
    }

    /// The lines of memory that the first of them are in.
    pub(super) fn lines(&self) -> impl Iterator<Item = *const u8> {
        let (open, _) = self.open.as_slices();
        lines(&open[..open.len().min(LOOKED_AT)])
    }

    /// Whether a contact is being pinged.
    pub(super) fn pings(&self, node: Node) -> bool {
        self.open.iter().any(|open| open.about == About::Ping && open.node == node)
    }

    /// Takes the request of that number to that peer, if its answer may be of the form that is named.
    pub(super) fn take(&mut self, number: u32, from: PeerId, fits: impl Fn(About) -> bool) -> Option<Open> {
        let base = self.open.front()?.number;
        // Numbers ascend, and wrap.
        let place = self.open.partition_point(|open| open.number.wrapping_sub(base) < number.wrapping_sub(base));
        let open = *self.open.get(place)?;
        if open.number != number || open.node.peer != from || !fits(open.about) {
            return None;
        }
        self.remove(place);
        Some(open)
    }

    /// Takes the first request that is overdue.
    pub(super) fn take_late(&mut self, now: Time) -> Option<Open> {
        let first = *self.open.front()?;
        if first.until > now {
            return None;
        }
        self.remove(0);
        Some(first)
    }

    /// Takes the first request to a peer that cannot be reached.
    pub(super) fn take_to(&mut self, peer: PeerId) -> Option<Open> {
        let place = self.open.iter().position(|open| open.node.peer == peer)?;
        let open = self.open[place];
        self.remove(place);
        Some(open)
    }

    fn remove(&mut self, place: usize) {
        self.open.remove(place);
        // An idle node keeps no room for them.
        if self.open.is_empty() {
            self.open = VecDeque::new();
        }
    }
}
