//! Flooding (Gnutella 0.4, "The Gnutella protocol specification v0.4"): a query goes to all neighbours, and from them to theirs,
//! until its time to live is used up; what is found comes back by the way that the query took.
//!
//! Two more ways of asking are Lv et al.'s (2002, "Search and replication in unstructured peer-to-peer networks", section 4): an
//! expanding ring floods again and further while too little is found, and random walkers take one neighbour at each hop, and
//! ask the asker now and then whether to go on (`walk.rs`). A list of depths is also a policy of iterative deepening (Yang and
//! Garcia-Molina 2002), but each depth is a new query here: theirs is frozen at its rim, and goes on from there.
//!
//! A peer remembers for two to four minutes ([`SEEN_TIME_MIN`](crate::gossip::SEEN_TIME_MIN)) by whom a query came: it is neither
//! answered nor forwarded again, and hits find their way back.

mod message;
mod walk;

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::num::NonZeroU32;
use core::time::Duration;

use synod_machine::{Bytes, Glance, Input, Key, Out, PeerId, Protocol, Reject, Rng, Time};

pub use self::message::{Message, Walk};
use self::walk::Held;
pub use self::walk::{HELD_MAX, WALK_HOPS_MAX};
use super::circle::{Circle, Sampling};
use super::open::{Opens, fresh_id, refuse};
use super::{Event, HITS_MAX, Hit, Question, Shared};
use crate::gossip::{Place, Record, Seen};
use crate::overlay::{Failure, Node, Query};

/// What the owner asks.
pub type Command = super::Command<Strategy>;

/// Checked configuration.
#[derive(Clone, Debug)]
pub struct Params {
    /// How long a message takes from one peer to the next at most: a flood of T hops is waited for 2 T times as long.
    pub hop_wait: Duration,
    /// This peer.
    pub own: Node,
    /// The stream that choices are drawn from.
    pub rng: Rng,
    /// Where neighbours come from; nothing: they are the connections that the host tells of.
    pub sampling: Option<Sampling>,
    /// No query goes further, in hops.
    pub ttl_max: u8,
}

impl Params {
    /// Connections for neighbours.
    pub const fn new(own: Node, rng: Rng) -> Self {
        Self {
            hop_wait: Duration::from_millis(500), // Above the delay of nearly all pairs of peers that Saroiu et al. 2002 measured.
            own,
            rng,
            sampling: None,
            ttl_max: 7, // What Gnutella's servents used (Ripeanu, Foster and Iamnitchi 2002).
        }
    }

    fn check(&self) {
        assert!(self.ttl_max > 0, "a query goes somewhere");
        assert!(self.ttl_max <= TTL_MAX, "a query comes back");
        assert!(!self.hop_wait.is_zero(), "a message takes time");
    }
}

/// How a query spreads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// Floods of these times to live, one after the other while too little is found: at most [`DEPTHS_MAX`] are used, and none
    /// goes further than `ttl_max`. An empty list is one flood of `ttl_max`.
    Floods(Vec<u8>),
    /// Walkers.
    Walks {
        /// How many, from 1 to [`WALKERS_MAX`].
        walkers: u16,
        /// How far each goes, up to [`WALK_HOPS_MAX`].
        hops_max: u16,
        /// Each asks whether to go on after so many hops.
        check_every: u8,
    },
}

impl Strategy {
    /// One flood.
    pub fn flood(ttl: u8) -> Self {
        Self::Floods(vec![ttl])
    }

    /// An expanding ring: `first`, and `step` further each time, up to `last`.
    pub fn ring(first: u8, step: u8, last: u8) -> Self {
        Self::Floods((first..=last).step_by(usize::from(step.max(1))).collect())
    }

    /// As many walkers, and as many hops between two checks, as Lv et al. 2002 found to do well (section 4.2).
    pub const fn walks() -> Self {
        Self::Walks { walkers: 32, hops_max: WALK_HOPS_MAX, check_every: 4 }
    }
}

/// The largest time to live that can be configured: what comes back is waited for twice as long.
pub const TTL_MAX: u8 = 64;
/// Floods of one search.
pub const DEPTHS_MAX: usize = 8;
/// Walkers of one search.
pub const WALKERS_MAX: u16 = 256;

/// The timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// A search is over, or its next flood begins.
    Search(Query),
    /// The next shuffle of the view.
    Shuffle,
}

/// The machine.
#[derive(Debug)]
#[repr(C)]
pub struct FloodSearch {
    /// By whom queries came; nobody: our own.
    seen: Seen,
    shared: Shared,
    circle: Circle,
    opens: Opens<Phase>,
    held: Vec<Held>,
    /// Apart: what each step looks at shall lie together.
    params: Box<Params>,
}

/// How far a search is.
#[derive(Debug)]
enum Phase {
    /// The names of the floods so far, and the depths of those to come.
    Floods {
        ids: Vec<u64>,
        depths: vec::IntoIter<u8>,
    },
    Walks {
        id: u64,
        check_every: u8,
        checks_left: u32,
    },
}

impl Phase {
    fn is(&self, name: u64) -> bool {
        match self {
            Self::Floods { ids, .. } => ids.contains(&name),
            Self::Walks { id, .. } => *id == name,
        }
    }
}

impl FloodSearch {
    /// Whom it asks.
    pub fn neighbours(&self) -> Vec<PeerId> {
        self.circle.neighbours(None)
    }

    fn on_command(&mut self, now: Time, command: Command, out: &mut Out<Self>) {
        match command {
            Command::Find { query, question, wanted, options } => {
                self.on_find(now, query, question, wanted, options, out);
            }
            Command::Meet(node) => self.circle.meet(node, &mut self.params.rng),
            Command::Share(item) => drop(self.shared.insert(item)),
            Command::Unshare(hash) => drop(self.shared.remove(&hash)),
        }
    }

    fn on_find(
        &mut self,
        now: Time,
        query: Query,
        question: Question,
        wanted: u16,
        strategy: Strategy,
        out: &mut Out<Self>,
    ) {
        if !self.opens.admits(query) {
            return out.emit(refuse(query, Failure::Busy));
        }
        if !self.circle.has_some() {
            return out.emit(refuse(query, Failure::Apart));
        }
        match strategy {
            Strategy::Floods(mut depths) => {
                depths.truncate(DEPTHS_MAX);
                if depths.is_empty() {
                    depths.push(self.params.ttl_max);
                }
                let phase = Phase::Floods { ids: Vec::new(), depths: depths.into_iter() };
                self.opens.insert(query, question, wanted, phase);
                self.flood(now, query, out);
            }
            Strategy::Walks { walkers, hops_max, check_every } => {
                let hops_max = hops_max.clamp(1, WALK_HOPS_MAX);
                self.send_walkers(now, query, question, wanted, (walkers, hops_max, check_every.max(1)), out);
            }
        }
    }

    /// The next flood of a search, or its end.
    fn flood(&mut self, now: Time, query: Query, out: &mut Out<Self>) {
        let Some(open) = self.opens.get(query) else { return };
        let next = match &mut open.state {
            Phase::Floods { ids, depths } => depths.next().map(|depth| (ids, depth)),
            Phase::Walks { .. } => None,
        };
        let Some((ids, depth)) = next else { return self.end(query, Failure::NotFound, out) };
        let ttl = depth.clamp(1, self.params.ttl_max);
        let id = fresh_id(&mut self.params.rng, now);
        ids.push(id);
        self.seen.insert(now, &name(id), None);
        let to = self.circle.neighbours(None);
        open.cost.messages += to.len() as u32;
        open.cost.asked = open.cost.asked.max(to.len() as u32);
        let question = open.question.clone();
        out.broadcast(to, Message::Query { id, ttl, hops: 0, question });
        out.set(Timer::Search(query), now + self.params.hop_wait * 2 * u32::from(ttl));
    }

    fn end(&mut self, query: Query, failure: Failure, out: &mut Out<Self>) {
        if let Some(ended) = self.opens.end(query, failure) {
            out.cancel(Timer::Search(query));
            out.emit(ended);
        }
    }

    fn on_message(&mut self, now: Time, from: PeerId, message: Message, out: &mut Out<Self>) {
        match message {
            Message::Check { id } => self.on_check(now, from, id, out),
            Message::Checked { id, goes_on } => self.on_checked(from, id, goes_on, out),
            Message::Hit { id, hops, hits } => self.on_hit(now, from, id, hops, hits, out),
            Message::Query { id, ttl, hops, question } => self.on_query(now, from, id, ttl, hops, question, out),
            Message::Shuffle(theirs) => match self.circle.on_shuffle(from, &theirs, &mut self.params.rng) {
                Ok(ours) => out.send(from, Message::Shuffled(ours)),
                Err(reason) => out.reject(from, reason),
            },
            Message::Shuffled(theirs) => {
                if let Err(reason) = self.circle.on_shuffled(from, &theirs) {
                    out.reject(from, reason);
                }
            }
            Message::Walk(walk) => self.on_walk(now, from, walk, out),
        }
    }

    /// "Descriptor routing", rules 3 to 5: a query that was seen is dropped; others are answered, and forwarded to all neighbours
    /// but the one that they came by, with a lower time to live.
    #[expect(clippy::too_many_arguments, reason = "they are a message's fields")]
    fn on_query(
        &mut self,
        now: Time,
        from: PeerId,
        id: u64,
        ttl: u8,
        hops: u8,
        question: Question,
        out: &mut Out<Self>,
    ) {
        if ttl == 0 || ttl.checked_add(hops).is_none_or(|sum| sum > self.params.ttl_max) {
            return out.reject(from, Reject::QueryHops);
        }
        if self.seen.knows(now, &name(id)) {
            return;
        }
        self.seen.insert(now, &name(id), way(from));
        let hits = self.shared.hits(&question, self.params.own);
        if !hits.is_empty() {
            out.send(from, Message::Hit { id, hops: 0, hits });
        }
        if ttl > 1 {
            let to = self.circle.neighbours(Some(from));
            out.broadcast(to, Message::Query { id, ttl: ttl - 1, hops: hops + 1, question });
        }
    }

    /// Who answers at once names itself alone. What comes from afar may be anything: the owner checks what it fetches.
    fn on_hit(&mut self, now: Time, from: PeerId, id: u64, hops: u16, hits: Vec<Hit>, out: &mut Out<Self>) {
        if hits.is_empty() || hits.len() > HITS_MAX {
            return out.reject(from, Reject::QueryList);
        }
        let own = self.params.own;
        let Some(open) = self.opens.find(|phase| phase.is(id)) else {
            return self.pass_back(now, from, id, hops, hits, out);
        };
        let (hops_max, is_first_hand) = match open.state {
            Phase::Floods { .. } => (u16::from(self.params.ttl_max), hops == 0),
            Phase::Walks { .. } => (WALK_HOPS_MAX, true),
        };
        if hops >= hops_max {
            return out.reject(from, Reject::QueryHops);
        }
        if is_first_hand && is_of_another(from, &hits) {
            return out.reject(from, Reject::NodeForeign);
        }
        let (query, are_answers) = (open.query, open.tell(own, hits, hops, |event| out.emit(event)));
        let is_satisfied = open.is_satisfied();
        if !are_answers {
            out.reject(from, Reject::Unsolicited);
        }
        if is_satisfied {
            self.end(query, Failure::NotFound, out);
        }
    }

    /// Rule 2: a hit goes where its query came from, and nowhere if it is not known.
    fn pass_back(&mut self, now: Time, from: PeerId, id: u64, hops: u16, hits: Vec<Hit>, out: &mut Out<Self>) {
        let Some(way) = self.seen.get(now, &name(id)) else { return out.reject(from, Reject::Unsolicited) };
        if hops >= u16::from(self.params.ttl_max) {
            return out.reject(from, Reject::QueryHops);
        }
        if hops == 0 && is_of_another(from, &hits) {
            return out.reject(from, Reject::NodeForeign);
        }
        // Without a way it was ours, and is over.
        if let Some(way) = way {
            out.send(back(way), Message::Hit { id, hops: hops + 1, hits });
        }
    }

    fn on_shuffle_timer(&mut self, now: Time, out: &mut Out<Self>) {
        let Some(at) = self.circle.shuffle_at(now) else { return };
        out.set(Timer::Shuffle, at);
        if let Some((peer, descriptors)) = self.circle.shuffle(&mut self.params.rng) {
            out.send(peer, Message::Shuffle(descriptors));
        }
    }

    fn on_peer_down(&mut self, peer: PeerId) {
        self.circle.on_peer_down(peer);
        self.held.retain(|held| held.walk.asker.peer != peer);
    }
}

fn is_of_another(from: PeerId, hits: &[Hit]) -> bool {
    hits.iter().any(|hit| hit.holder.peer != from)
}

/// A query's name as what is seen has it.
pub(super) fn name(id: u64) -> Bytes<32> {
    let mut bytes = Bytes::ZERO;
    bytes.0[..8].copy_from_slice(&id.to_le_bytes());
    bytes
}

/// A peer as what is seen has it: a number above zero. No host has as many peers as there are numbers.
pub(super) fn way(peer: PeerId) -> Place {
    Some(NonZeroU32::MIN.saturating_add(peer.0))
}

pub(super) fn back(way: NonZeroU32) -> PeerId {
    PeerId(way.get() - 1)
}

impl Protocol for FloodSearch {
    type Params = Params;
    type Message = Message;
    type Timer = Timer;
    type Command = Command;
    type Event = Event;
    type Record = Record;

    /// It keeps nothing: what is shared is the owner's, who says so again.
    fn restore(mut params: Params, _: impl Iterator<Item = (Key, Record)>) -> Self {
        params.check();
        let sampling = params.sampling.take();
        Self {
            seen: Seen::new(&mut params.rng),
            shared: Shared::default(),
            circle: Circle::new(params.own, sampling, &mut params.rng),
            opens: Opens::new(),
            held: Vec::new(),
            params: Box::new(params),
        }
    }

    fn start(&mut self, now: Time, out: &mut Out<Self>) {
        if let Some(at) = self.circle.shuffle_at(now) {
            out.set(Timer::Shuffle, at);
        }
    }

    fn handle(&mut self, now: Time, input: Input<Self>, out: &mut Out<Self>) {
        match input {
            Input::Command(command) => self.on_command(now, command, out),
            Input::Message { from, message } => self.on_message(now, from, message, out),
            Input::PeerDown(peer) => self.on_peer_down(peer),
            Input::PeerUp(peer) => self.circle.on_peer_up(peer),
            Input::Timer(Timer::Search(query)) => self.flood(now, query, out),
            Input::Timer(Timer::Shuffle) => self.on_shuffle_timer(now, out),
        }
    }

    fn foresee(&self, message: &Message, glance: Glance, mut fetch: impl FnMut(*const u8)) {
        let Message::Query { id, .. } = message else { return };
        match glance {
            Glance::First => {
                fetch((&raw const *self.params).cast());
                self.seen.line_of(&name(*id)).into_iter().for_each(&mut fetch);
                self.circle.lines().for_each(&mut fetch);
                self.shared.lines().for_each(fetch);
            }
            Glance::Second => self.shared.names().for_each(fetch),
        }
    }

    /// 1. Neighbours are bounded. 2. So are the owner's searches. 3. So are walkers that wait here.
    fn check(&self) {
        self.circle.check();
        self.opens.check();
        assert!(self.held.len() <= HELD_MAX, "waiting walkers are bounded");
    }
}

#[cfg(test)]
mod tests;
