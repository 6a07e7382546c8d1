//! The owner's searches, and the way of hits.

use alloc::vec::Vec;
use core::time::Duration;

use synod_machine::{Out, PeerId, Reject, Time};

use super::super::flood::{back, name};
use super::super::open::fresh_id;
use super::super::{HITS_MAX, Hit};
use super::leaf::Tie;
use super::{Message, Post, Superpeer, Timer};
use crate::overlay::{Failure, Query};

/// How far a search is.
#[derive(Debug)]
pub(super) struct Asked {
    /// The query's names, one for each superpeer that was asked.
    pub(super) ids: Vec<u64>,
    pub(super) ttl: u8,
    pub(super) tried: Vec<PeerId>,
    /// Whom we wait for; nobody: our own flood runs.
    pub(super) at: Option<PeerId>,
    pub(super) is_acknowledged: bool,
}

impl Superpeer {
    /// A superpeer floods; a leaf asks the next of its superpeers, or gives up after the last.
    pub(super) fn ask(&mut self, now: Time, query: Query, out: &mut Out<Self>) {
        let own = self.params.own;
        let id = fresh_id(&mut self.params.rng, now);
        let Some(open) = self.opens.get(query) else { return };
        let ttl = open.state.ttl;
        open.state.ids.push(id);
        let message = Message::Query { id, ttl, hops: 0, question: open.question.clone() };
        match &self.post {
            Post::Leaf(ties) => {
                let is_fresh = |tie: &&Tie| tie.is_up && !open.state.tried.contains(&tie.node.peer);
                let fresh: Vec<PeerId> = ties.iter().filter(is_fresh).map(|tie| tie.node.peer).collect();
                let Some(&to) = self.params.rng.pick(&fresh) else {
                    let failure = if open.state.tried.is_empty() { Failure::Apart } else { Failure::Silence };
                    return self.end(query, failure, out);
                };
                open.state.at = Some(to);
                open.state.tried.push(to);
                open.cost.messages += 1;
                open.cost.asked += 1;
                out.send(to, message);
                out.set(Timer::Search(query), now + self.params.hop_wait * 4);
            }
            Post::Superpeer(station) => {
                let hits = station.catalogue.hits(&open.question);
                open.tell(own, hits, 0, |event| out.emit(event));
                (open.state.at, open.state.is_acknowledged) = (None, true);
                let to: Vec<PeerId> = station.linked().map(|node| node.peer).collect();
                open.cost.messages += to.len() as u32;
                open.cost.asked += to.len() as u32;
                self.seen.insert(now, &name(id), None);
                let is_over = open.is_satisfied() || to.is_empty();
                out.broadcast(to, message);
                out.set(Timer::Search(query), now + self.flood_wait(ttl));
                if is_over {
                    self.end(query, Failure::NotFound, out);
                }
            }
        }
    }

    /// From when a superpeer has a query to when its last hit is back.
    fn flood_wait(&self, ttl: u8) -> Duration {
        self.params.hop_wait * 2 * (u32::from(ttl) + 1)
    }

    pub(super) fn on_search_timer(&mut self, now: Time, query: Query, out: &mut Out<Self>) {
        let Some(open) = self.opens.get(query) else { return };
        if open.state.is_acknowledged {
            return self.end(query, Failure::NotFound, out);
        }
        open.cost.timeouts += 1;
        if let Some(silent) = open.state.at.take() {
            self.drop_tie(now, silent, out);
        }
        self.ask(now, query, out);
    }

    fn end(&mut self, query: Query, failure: Failure, out: &mut Out<Self>) {
        if let Some(ended) = self.opens.end(query, failure) {
            out.cancel(Timer::Search(query));
            out.emit(ended);
        }
    }

    /// A hit is told, if it is ours, or goes where its query came from.
    pub(super) fn on_hit(&mut self, now: Time, from: PeerId, id: u64, hops: u8, hits: Vec<Hit>, out: &mut Out<Self>) {
        if hits.len() > HITS_MAX {
            return out.reject(from, Reject::QueryList);
        }
        if hops > self.params.ttl_max {
            return out.reject(from, Reject::QueryHops);
        }
        let wait = self.params.hop_wait;
        let Some(open) = self.opens.find(|asked| asked.ids.contains(&id)) else {
            return self.pass_back(now, from, id, hops, hits, out);
        };
        let query = open.query;
        if open.state.at == Some(from) && !open.state.is_acknowledged {
            open.state.is_acknowledged = true;
            let ttl = u32::from(open.state.ttl);
            out.set(Timer::Search(query), now + wait * 2 * (ttl + 2));
        }
        let are_answers = open.tell(self.params.own, hits, u16::from(hops) + 1, |event| out.emit(event));
        let is_satisfied = open.is_satisfied();
        if !are_answers {
            out.reject(from, Reject::Unsolicited);
        }
        if is_satisfied {
            self.end(query, Failure::NotFound, out);
        }
    }

    fn pass_back(&mut self, now: Time, from: PeerId, id: u64, hops: u8, hits: Vec<Hit>, out: &mut Out<Self>) {
        match self.seen.get(now, &name(id)) {
            None => out.reject(from, Reject::Unsolicited),
            Some(_) if hits.is_empty() => out.reject(from, Reject::QueryList),
            // Ours, and over.
            Some(None) => {}
            Some(Some(way)) => out.send(back(way), Message::Hit { id, hops: hops + 1, hits }),
        }
    }

    /// What was asked of a superpeer that is gone is asked of the next.
    pub(super) fn ask_others(&mut self, now: Time, gone: PeerId, out: &mut Out<Self>) {
        for query in self.opens.queries(|asked| asked.at == Some(gone) && !asked.is_acknowledged) {
            self.ask(now, query, out);
        }
    }
}
