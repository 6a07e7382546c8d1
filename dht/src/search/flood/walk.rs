//! Random walkers (Lv et al. 2002, section 4.2).
//!
//! What a walker finds is told to the asker directly, and so is the check: handles of peers and the nodes in messages are enough
//! to reach it. A walker that is lost, or whose check is, ends there; the search ends when no check was heard for long.

use synod_machine::{Out, PeerId, Reject, Time};

use super::super::Question;
use super::super::open::fresh_id;
use super::{FloodSearch, Message, Phase, Timer, WALKERS_MAX, Walk};
use crate::overlay::Query;

/// The furthest that a walker goes, in hops: Lv et al.'s time to live for walkers.
pub const WALK_HOPS_MAX: u16 = 1_024;
/// Walkers that wait at one peer for the answers to their checks; one more ends.
pub const HELD_MAX: usize = 256;

/// A check is answered within two hops' time; a walker that waits longer ends here.
const HELD_HOPS: u32 = 8;
/// A search has failed when no walker was heard of for so many times what it takes from one check to the next.
const PATIENCE: u32 = 3;

/// A walker that waits for the answer to its check.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) walk: Walk,
    from: PeerId,
    since: Time,
}

impl FloodSearch {
    pub(super) fn send_walkers(
        &mut self,
        now: Time,
        query: Query,
        question: Question,
        wanted: u16,
        (walkers, hops_max, check_every): (u16, u16, u8),
        out: &mut Out<Self>,
    ) {
        let id = fresh_id(&mut self.params.rng, now);
        let walkers = walkers.clamp(1, WALKERS_MAX);
        let checks_left = u32::from(walkers) * u32::from(hops_max / u16::from(check_every));
        let phase = Phase::Walks { id, check_every, checks_left };
        let open = self.opens.insert(query, question.clone(), wanted, phase);
        open.cost.messages = u32::from(walkers);
        let mut neighbours = self.circle.neighbours(None);
        open.cost.asked = u32::from(walkers).min(neighbours.len() as u32);
        // Each neighbour takes as many as the next, or one more.
        self.params.rng.shuffle(&mut neighbours);
        let walk = Walk { id, asker: self.params.own, left: hops_max, hops: 0, check_every, question };
        for (_, &to) in (0..walkers).zip(neighbours.iter().cycle()) {
            out.send(to, Message::Walk(walk.clone()));
        }
        self.wait(now, query, check_every, out);
    }

    fn wait(&self, now: Time, query: Query, check_every: u8, out: &mut Out<Self>) {
        let round = self.params.hop_wait * (u32::from(check_every) + 2);
        out.set(Timer::Search(query), now + PATIENCE * round);
    }

    pub(super) fn on_walk(&mut self, now: Time, from: PeerId, walk: Walk, out: &mut Out<Self>) {
        let is_too_far = walk.left.checked_add(walk.hops).is_none_or(|sum| sum > WALK_HOPS_MAX);
        if walk.left == 0 || walk.check_every == 0 || is_too_far {
            return out.reject(from, Reject::QueryHops);
        }
        if walk.hops == 0 && walk.asker.peer != from {
            return out.reject(from, Reject::NodeForeign);
        }
        let asker = walk.asker.peer;
        if asker != self.params.own.peer {
            let hits = self.shared.hits(&walk.question, self.params.own);
            if !hits.is_empty() {
                out.send(asker, Message::Hit { id: walk.id, hops: walk.hops, hits });
            }
        }
        if walk.left == 1 {
            return;
        }
        let walk = Walk { left: walk.left - 1, hops: walk.hops + 1, ..walk };
        if !walk.hops.is_multiple_of(u16::from(walk.check_every)) {
            return self.step(from, walk, out);
        }
        if asker != self.params.own.peer {
            return self.hold(now, from, walk, out);
        }
        if self.opens.find(|phase| phase.is(walk.id)).is_some() {
            self.step(from, walk, out);
        }
    }

    /// To a neighbour drawn among all but the one that it came by.
    fn step(&mut self, from: PeerId, walk: Walk, out: &mut Out<Self>) {
        if let Some(to) = self.circle.pick(Some(from), &mut self.params.rng) {
            out.send(to, Message::Walk(walk));
        }
    }

    fn hold(&mut self, now: Time, from: PeerId, walk: Walk, out: &mut Out<Self>) {
        let held_max = self.params.hop_wait * HELD_HOPS;
        self.held.retain(|held| now.since(held.since) < held_max);
        if self.held.len() >= HELD_MAX {
            return;
        }
        out.send(walk.asker.peer, Message::Check { id: walk.id });
        self.held.push(Held { walk, from, since: now });
    }

    /// A walker goes on while its search is open, and no oftener than all walkers of the search together may ask.
    pub(super) fn on_check(&mut self, now: Time, from: PeerId, id: u64, out: &mut Out<Self>) {
        let mut going = None;
        if let Some(open) = self.opens.find(|phase| phase.is(id))
            && let Phase::Walks { check_every, checks_left, .. } = &mut open.state
            && *checks_left > 0
        {
            *checks_left -= 1;
            open.cost.messages += 1;
            going = Some((open.query, *check_every));
        }
        out.send(from, Message::Checked { id, goes_on: going.is_some() });
        if let Some((query, check_every)) = going {
            self.wait(now, query, check_every, out);
        }
    }

    pub(super) fn on_checked(&mut self, from: PeerId, id: u64, goes_on: bool, out: &mut Out<Self>) {
        let place = self.held.iter().position(|held| held.walk.id == id && held.walk.asker.peer == from);
        let Some(place) = place else { return out.reject(from, Reject::Unsolicited) };
        let Held { walk, from, .. } = self.held.swap_remove(place);
        if self.held.is_empty() {
            self.held = alloc::vec::Vec::new();
        }
        if goes_on {
            self.step(from, walk, out);
        }
    }
}
