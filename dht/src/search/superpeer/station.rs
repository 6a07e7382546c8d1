//! A superpeer's side: its leaves, what they share, and its neighbours among superpeers.

use alloc::vec::Vec;

use synod_machine::{Bytes, Out, PeerId, Reject, Time};

use super::super::catalogue::Catalogue;
use super::super::{Item, PAGE_MAX, Question};
use super::{BEATS_SILENT, Message, Params, Post, Superpeer, Timer};
use crate::overlay::Node;
use crate::search::flood::{name, way};

/// What a superpeer has.
#[derive(Debug, Default)]
pub(super) struct Station {
    /// What its leaves share, and itself.
    pub(super) catalogue: Catalogue,
    links: Vec<Link>,
}

/// A neighbour among superpeers.
#[derive(Debug)]
struct Link {
    node: Node,
    heard: Time,
    /// Whether it has said yes.
    is_up: bool,
    capacity: u32,
    free: u16,
}

impl Station {
    pub(super) fn linked(&self) -> impl Iterator<Item = Node> {
        self.links.iter().filter(|link| link.is_up).map(|link| link.node)
    }

    pub(super) fn leaves(&self, own: PeerId) -> impl Iterator<Item = PeerId> {
        self.catalogue.peers().filter(move |peer| *peer != own)
    }

    pub(super) fn unlink(&mut self, peer: PeerId) -> bool {
        let count = self.links.len();
        self.links.retain(|link| link.node.peer != peer);
        self.links.len() < count
    }

    /// Leaves that the neighbours still take that would stay if we went: those with more capacity, or as much and a higher
    /// identifier.
    pub(super) fn room_above(&self, own: Node, capacity: u32) -> usize {
        let above = self.links.iter().filter(|link| link.is_up && (link.capacity, link.node.id) > (capacity, own.id));
        above.map(|link| usize::from(link.free)).sum()
    }

    pub(super) fn check(&self, params: &Params) {
        assert!(self.catalogue.holders() <= usize::from(params.leaves_max) + 1, "leaves are bounded");
        assert!(self.links.len() <= 2 * params.degree, "neighbours are bounded");
        let is_leaf = |link: &Link| self.catalogue.has(link.node.peer);
        assert!(!self.links.iter().any(is_leaf), "nobody is a leaf and a neighbour");
    }

    fn link(&mut self, peer: PeerId) -> Option<&mut Link> {
        self.links.iter_mut().find(|link| link.node.peer == peer)
    }
}

impl Superpeer {
    /// The station, where there is one.
    fn station(&mut self) -> Option<&mut Station> {
        match &mut self.post {
            Post::Leaf(_) => None,
            Post::Superpeer(station) => Some(station),
        }
    }

    /// Leaves that it still takes.
    fn free(&self) -> u16 {
        match &self.post {
            Post::Leaf(_) => 0,
            Post::Superpeer(station) => {
                let leaves = station.leaves(self.params.own.peer).count();
                self.params.leaves_max.saturating_sub(leaves as u16)
            }
        }
    }

    fn refuse(&self, to: PeerId, out: &mut Out<Self>) {
        let mut nodes = self.advice(to);
        nodes.retain(|node| node.peer != self.params.own.peer);
        out.send(to, Message::Refused(nodes));
    }

    /// A peer that was a neighbour and attaches has come down to be a leaf.
    pub(super) fn on_attach(
        &mut self,
        now: Time,
        from: PeerId,
        node: Node,
        is_first: bool,
        items: Vec<Item>,
        out: &mut Out<Self>,
    ) {
        if node.peer != from {
            return out.reject(from, Reject::NodeForeign);
        }
        if items.len() > PAGE_MAX {
            return out.reject(from, Reject::QueryList);
        }
        let has_room = self.free() > 0;
        let Some(station) = self.station() else { return self.refuse(from, out) };
        let is_leaf = station.catalogue.has(from);
        if !is_leaf && (!has_room || !is_first) {
            return self.refuse(from, out);
        }
        station.unlink(from);
        if let Err(reason) = station.catalogue.register(now, node, is_first, items) {
            out.reject(from, reason);
        }
        let digest = station.catalogue.hear(now, from).expect("it has just registered");
        self.forget(from);
        out.send(from, Message::Attached { digest });
    }

    pub(super) fn on_ping(&mut self, now: Time, from: PeerId, out: &mut Out<Self>) {
        let digest = self.station().and_then(|station| station.catalogue.hear(now, from));
        match digest {
            Some(digest) => out.send(from, Message::Attached { digest }),
            None => self.refuse(from, out),
        }
    }

    pub(super) fn on_withdraw(&mut self, from: PeerId, hashes: &[Bytes<32>], out: &mut Out<Self>) {
        if hashes.len() > PAGE_MAX {
            return out.reject(from, Reject::QueryList);
        }
        match self.station().filter(|station| station.catalogue.has(from)) {
            Some(station) => hashes.iter().for_each(|hash| station.catalogue.withdraw(from, hash)),
            None => self.refuse(from, out),
        }
    }

    /// A leaf that links has become a superpeer.
    pub(super) fn on_link(
        &mut self,
        now: Time,
        from: PeerId,
        node: Node,
        capacity: u32,
        free: u16,
        out: &mut Out<Self>,
    ) {
        if node.peer != from {
            return out.reject(from, Reject::NodeForeign);
        }
        let links_max = 2 * self.params.degree;
        let Some(station) = self.station() else { return self.refuse(from, out) };
        let is_full = station.links.len() >= links_max;
        match station.link(from) {
            Some(link) => *link = Link { node, heard: now, is_up: true, capacity, free },
            None if is_full => return self.refuse(from, out),
            None => station.links.push(Link { node, heard: now, is_up: true, capacity, free }),
        }
        station.catalogue.remove(from);
        self.learn([node]);
        out.send(from, Message::Linked { capacity: self.params.capacity, free: self.free() });
    }

    pub(super) fn on_linked(&mut self, now: Time, from: PeerId, capacity: u32, free: u16, out: &mut Out<Self>) {
        let Some(link) = self.station().and_then(|station| station.link(from)) else {
            out.reject(from, Reject::Unsolicited);
            return out.send(from, Message::Leave);
        };
        (link.heard, link.is_up, link.capacity, link.free) = (now, true, capacity, free);
    }

    /// Asks superpeers that it has heard of to be neighbours, so many at most.
    pub(super) fn link(&mut self, now: Time, count: usize, out: &mut Out<Self>) {
        let own = self.params.own;
        let (capacity, free) = (self.params.capacity, self.free());
        let Post::Superpeer(station) = &mut self.post else { return };
        let room = (2 * self.params.degree).saturating_sub(station.links.len());
        let is_new = |node: &&Node| {
            let is_linked = station.links.iter().any(|link| link.node.peer == node.peer);
            !is_linked && !station.catalogue.has(node.peer)
        };
        let mut new: Vec<Node> = self.known.iter().filter(is_new).copied().collect();
        self.params.rng.shuffle(&mut new);
        new.truncate(count.min(room));
        for node in new {
            station.links.push(Link { node, heard: now, is_up: false, capacity: 0, free: 0 });
            out.send(node.peer, Message::Link { node: own, capacity, free });
        }
    }

    /// A superpeer that it has just heard of becomes a neighbour even where there are enough; at the next beat another goes for
    /// it. So neighbours stay drawn at random, and two halves that were apart come together.
    pub(super) fn meet_stranger(&mut self, now: Time, out: &mut Out<Self>) {
        self.link(now, 1, out);
    }

    /// Drops who is silent, tells neighbours that it is here, and has neither too few nor too many of them.
    pub(super) fn on_station_beat(&mut self, now: Time, out: &mut Out<Self>) {
        let Params { own, capacity, degree, beat, .. } = *self.params;
        let free = self.free();
        let Post::Superpeer(station) = &mut self.post else { return };
        station.catalogue.expire(now - beat * BEATS_SILENT, own.peer);
        let is_silent = |link: &Link| now.since(link.heard) > if link.is_up { beat * BEATS_SILENT } else { beat };
        let silent: Vec<PeerId> =
            station.links.iter().filter(|link| is_silent(link)).map(|link| link.node.peer).collect();
        station.links.retain(|link| !is_silent(link));
        if station.links.len() > degree && !self.params.election.is_fixed() {
            let place = self.params.rng.below(station.links.len() as u64) as usize;
            let link = station.links.swap_remove(place);
            out.send(link.node.peer, Message::Leave);
        }
        let to = station.linked().map(|node| node.peer).collect();
        out.broadcast(to, Message::Link { node: own, capacity, free });
        let missing = degree.saturating_sub(station.links.len());
        silent.into_iter().for_each(|peer| self.forget(peer));
        self.link(now, missing, out);
        if !self.params.election.is_fixed() {
            self.seek(out);
        }
        if self.steps_down(now) {
            return self.demote(now, out);
        }
        out.set(Timer::Beat, self.beat.after(now));
    }

    /// A leaf's query is answered at once and goes to all neighbours; a neighbour's is answered if there is an answer, and goes to
    /// all but the one that it came by.
    pub(super) fn on_query(
        &mut self,
        now: Time,
        from: PeerId,
        id: u64,
        (ttl, hops): (u8, u8),
        question: Question,
        out: &mut Out<Self>,
    ) {
        if ttl == 0 || ttl.checked_add(hops).is_none_or(|sum| sum > self.params.ttl_max) {
            return out.reject(from, Reject::QueryHops);
        }
        let Post::Superpeer(station) = &mut self.post else { return self.refuse(from, out) };
        let is_leaf = station.catalogue.has(from);
        if !is_leaf && station.link(from).is_none() {
            return self.refuse(from, out);
        }
        if self.seen.knows(now, &name(id)) {
            return;
        }
        self.seen.insert(now, &name(id), way(from));
        let hits = station.catalogue.hits(&question);
        if is_leaf || !hits.is_empty() {
            out.send(from, Message::Hit { id, hops: 0, hits });
        }
        let to = station.linked().map(|node| node.peer).filter(|peer| *peer != from).collect();
        if is_leaf {
            out.broadcast(to, Message::Query { id, ttl, hops: 0, question });
        } else if ttl > 1 {
            out.broadcast(to, Message::Query { id, ttl: ttl - 1, hops: hops + 1, question });
        }
    }
}
