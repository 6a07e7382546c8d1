//! The owner's searches that are not over.

use alloc::vec::Vec;

use super::{Event, Hit, Question, catalogue::mark};
use crate::overlay::{Cost, Failure, Id, Node, Query};
use synod_machine::{Bytes, Rng, Time};

/// Searches of the owner at one time; one more fails as [`Failure::Busy`].
pub const OPEN_MAX: usize = 64;
/// Hits that are told for one search; it ends with the last of them.
pub(super) const TOLD_MAX: u16 = 512;

/// Searches that are not over. `S` is how far one is.
#[derive(Debug)]
pub(super) struct Opens<S>(Vec<Open<S>>);

/// One of them.
#[derive(Debug)]
pub(super) struct Open<S> {
    pub(super) query: Query,
    pub(super) question: Question,
    pub(super) wanted: u16,
    pub(super) cost: Cost,
    /// Parts of holders' ids and items' hashes that were told.
    told: Vec<(u64, u64)>,
    pub(super) state: S,
}

impl<S> Opens<S> {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    /// Whether one more may be opened under this name.
    pub(super) fn admits(&self, query: Query) -> bool {
        self.0.len() < OPEN_MAX && self.0.iter().all(|open| open.query != query)
    }

    pub(super) fn insert(&mut self, query: Query, question: Question, wanted: u16, state: S) -> &mut Open<S> {
        assert!(self.0.len() < OPEN_MAX, "the owner's searches are bounded");
        let wanted = wanted.clamp(1, TOLD_MAX);
        self.0.push(Open { query, question, wanted, cost: Cost::default(), told: Vec::new(), state });
        self.0.last_mut().expect("it was put there")
    }

    pub(super) fn get(&mut self, query: Query) -> Option<&mut Open<S>> {
        self.0.iter_mut().find(|open| open.query == query)
    }

    pub(super) fn find(&mut self, is_it: impl Fn(&S) -> bool) -> Option<&mut Open<S>> {
        self.0.iter_mut().find(|open| is_it(&open.state))
    }

    pub(super) fn queries(&self, is_it: impl Fn(&S) -> bool) -> Vec<Query> {
        self.0.iter().filter(|open| is_it(&open.state)).map(|open| open.query).collect()
    }

    /// Takes it out; the event that ends it, which is the failure where nothing was found.
    pub(super) fn end(&mut self, query: Query, failure: Failure) -> Option<Event> {
        let place = self.0.iter().position(|open| open.query == query)?;
        let Open { cost, told, .. } = self.0.swap_remove(place);
        let result = if told.is_empty() { Err(failure) } else { Ok(told.len() as u16) };
        if self.0.is_empty() {
            self.0 = Vec::new();
        }
        Some(Event::Ended { query, cost, result })
    }

    pub(super) fn check(&self) {
        assert!(self.0.len() <= OPEN_MAX, "the owner's searches are bounded");
    }
}

impl<S> Open<S> {
    /// Tells those that are new and not this peer's own. Whether all were answers to the question.
    pub(super) fn tell(&mut self, own: Node, hits: Vec<Hit>, hops: u16, mut tell: impl FnMut(Event)) -> bool {
        let mut are_answers = true;
        for hit in hits {
            if !self.question.is_answered_by(&hit.item) {
                are_answers = false;
                continue;
            }
            let name = (part(hit.holder.id), mark(&hit.item.hash));
            if hit.holder.id == own.id || self.is_satisfied() || self.told.contains(&name) {
                continue;
            }
            if self.told.is_empty() {
                self.cost.hops = u32::from(hops);
            }
            self.told.push(name);
            tell(Event::Hit { query: self.query, hit, hops });
        }
        are_answers
    }

    pub(super) fn is_satisfied(&self) -> bool {
        self.told.len() >= usize::from(self.wanted)
    }
}

/// The event of a search that ends before it begins.
pub(super) const fn refuse(query: Query, failure: Failure) -> Event {
    Event::Ended { query, cost: Cost { hops: 0, messages: 0, asked: 0, timeouts: 0 }, result: Err(failure) }
}

/// A name for a query. A peer that was restarted may draw the numbers that it drew before, while others still know the queries that
/// they were for: the time makes the difference.
pub(super) fn fresh_id(rng: &mut Rng, now: Time) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15; // 2^64 over the golden ratio: all bits of the time count.
    rng.next_u64() ^ now.0.wrapping_mul(ODD)
}

fn part(id: Id) -> u64 {
    mark(&Bytes::from(id))
}
