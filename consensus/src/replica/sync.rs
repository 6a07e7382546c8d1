//! Catching up: headers first from whoever claims more work, then bodies from several peers at once.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

use synod_ledger::{Block, BlockId, Header, Status};
use synod_machine::{Bytes, Out, PeerId, Reject, Time};

use super::{Event, Replica, Timer};
use crate::message::{BLOCKS_MAX, HEADERS_MAX, LOCATOR_MAX};
use crate::{Claim, Message, Record};

/// Blocks asked for ahead of the last one connected.
const WINDOW: usize = 256;
/// Blocks asked of one peer at a time.
const IN_FLIGHT_MAX: usize = 2 * BLOCKS_MAX;
/// A request that was not answered for so long goes to another peer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);
/// After so many unanswered requests a peer is asked no more until it claims a new tip.
const STRIKES_MAX: u32 = 3;
/// Blocks that are read from disk for one peer at a time.
const SERVING_MAX: usize = 4 * BLOCKS_MAX;
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// What is known of a neighbour.
#[derive(Debug, Default)]
pub(super) struct Link {
    claim: Option<Claim>,
    headers_asked: Option<Time>,
    in_flight: usize,
    strikes: u32,
    /// Payments asked for and not yet given.
    pub(super) wanted: BTreeSet<synod_ledger::TxId>,
}

impl Link {
    pub(super) const fn claim(&self) -> Option<Claim> {
        self.claim
    }
}

/// The bodies that are missing on the way to the best header.
#[derive(Debug, Default)]
pub(super) struct Download {
    /// In the order of the chain.
    plan: VecDeque<BlockId>,
    /// The header that the plan leads to.
    planned_to: Option<BlockId>,
    in_flight: BTreeMap<BlockId, (PeerId, Time)>,
}

impl Download {
    /// A body came, from whomever.
    pub(super) fn arrived(&mut self, id: &BlockId, links: &mut BTreeMap<PeerId, Link>) {
        if let Some((peer, _)) = self.in_flight.remove(id)
            && let Some(link) = links.get_mut(&peer)
        {
            link.in_flight -= 1;
            link.strikes = 0;
        }
    }

    fn give_up(&mut self, id: &BlockId, links: &mut BTreeMap<PeerId, Link>) {
        if let Some((peer, _)) = self.in_flight.remove(id)
            && let Some(link) = links.get_mut(&peer)
        {
            link.in_flight -= 1;
            link.strikes += 1;
        }
    }

    pub(super) fn check(&self) {
        assert!(self.in_flight.len() <= WINDOW * 2, "the requests under way are bounded");
    }
}

impl Replica {
    pub(super) fn own_claim(&self) -> Claim {
        let tip = self.state.tip();
        let node = self.tree.get(&tip).expect("the coins are those of a known block");
        Claim { tip, height: node.height(), work: Bytes(node.weight().to_be_bytes()) }
    }

    pub(super) fn on_tip(&mut self, now: Time, from: PeerId, claim: Claim, out: &mut Out<Self>) {
        let Some(link) = self.links.get_mut(&from) else { return };
        link.claim = Some(claim);
        link.strikes = 0;
        self.ask_if_more(now, from, out);
        self.request_blocks(now, out);
    }

    /// Asks a peer for headers if it claims a heavier chain whose tip we do not know.
    fn ask_if_more(&mut self, now: Time, peer: PeerId, out: &mut Out<Self>) {
        let Some(claim) = self.links.get(&peer).and_then(|link| link.claim) else { return };
        let best = self.tree.best_header();
        if self.tree.get(&claim.tip).is_none() && claim.work.0 > best.weight().to_be_bytes::<32>() {
            self.ask_headers(now, peer, out);
        }
    }

    pub(super) fn ask_headers(&mut self, now: Time, peer: PeerId, out: &mut Out<Self>) {
        let locator = self.tree.locator(&self.tree.best_header().id());
        self.ask_headers_after(now, peer, locator, out);
    }

    fn ask_headers_after(&mut self, now: Time, peer: PeerId, locator: Vec<BlockId>, out: &mut Out<Self>) {
        let Some(link) = self.links.get_mut(&peer) else { return };
        if link.headers_asked.is_some() {
            return;
        }
        link.headers_asked = Some(now);
        out.send(peer, Message::GetHeaders(locator));
        out.set(Timer::Sync, now + CHECK_EVERY);
    }

    pub(super) fn on_get_headers(&self, from: PeerId, locator: &[BlockId], out: &mut Out<Self>) {
        if locator.len() > LOCATOR_MAX {
            return out.reject(from, Reject::TooMany);
        }
        let headers = self.tree.headers_after(locator, &self.state.tip(), HEADERS_MAX);
        out.send(from, Message::Headers(headers));
    }

    pub(super) fn on_headers(&mut self, now: Time, from: PeerId, headers: Vec<Header>, out: &mut Out<Self>) {
        let asked = self.links.get_mut(&from).and_then(|link| link.headers_asked.take());
        if asked.is_none() {
            return out.reject(from, Reject::Unsolicited);
        }
        if headers.len() > HEADERS_MAX {
            return out.reject(from, Reject::TooMany);
        }
        let full = headers.len() == HEADERS_MAX;
        let mut last = None;
        for header in headers {
            if self.tree.get(&header.parent).is_none() {
                out.reject(from, Reject::Malformed);
                break;
            }
            match self.take_header(now, header, out) {
                Ok(id) => last = Some(id),
                Err(fault) => {
                    out.reject(from, fault.reason());
                    break;
                }
            }
        }
        if let Some(last) = last {
            self.credit(from, last);
        }
        match last {
            Some(last) if full => self.ask_headers_after(now, from, self.tree.locator(&last), out),
            // It has nothing for us, whatever it claims.
            None => {
                if let Some(link) = self.links.get_mut(&from) {
                    link.claim = None;
                }
            }
            Some(_) => {}
        }
        self.request_blocks(now, out);
    }

    /// Who gives a header has its block, though its last claim may be older.
    fn credit(&mut self, peer: PeerId, tip: BlockId) {
        let Some(link) = self.links.get_mut(&peer) else { return };
        let node = self.tree.get(&tip).expect("the header was just taken in");
        let height = node.height();
        if link.claim.is_none_or(|claim| claim.height < height) {
            link.claim = Some(Claim { tip, height, work: Bytes(node.weight().to_be_bytes()) });
        }
    }

    /// Brings the plan up to the best header.
    fn plan(&mut self) {
        let goal = self.tree.best_header().id();
        if self.download.planned_to == Some(goal) {
            return;
        }
        let mut missing = Vec::new();
        let mut id = goal;
        let mut extends = false;
        while let Some(node) = self.tree.get(&id).filter(|node| node.status() == Status::Header) {
            missing.push(id);
            id = node.header().parent;
            if self.download.planned_to == Some(id) {
                extends = true;
                break;
            }
        }
        if !extends {
            self.download.plan.clear();
        }
        self.download.plan.extend(missing.into_iter().rev());
        self.download.planned_to = Some(goal);
    }

    /// Asks for the next missing bodies, of the peers that have least to do.
    pub(super) fn request_blocks(&mut self, now: Time, out: &mut Out<Self>) {
        self.plan();
        while let Some(id) = self.download.plan.front() {
            if self.tree.get(id).is_some_and(|node| node.status() == Status::Header) {
                break;
            }
            self.download.plan.pop_front();
        }
        if self.download.plan.is_empty() {
            return;
        }
        let mut asks: BTreeMap<PeerId, Vec<BlockId>> = BTreeMap::new();
        for id in self.download.plan.iter().take(WINDOW) {
            let Some(node) = self.tree.get(id) else { continue };
            if node.status() != Status::Header || self.download.in_flight.contains_key(id) {
                continue;
            }
            let height = node.height();
            let free = self.links.iter_mut().filter(|(_, link)| {
                let has_it = link.claim.is_some_and(|claim| claim.height >= height);
                has_it && link.in_flight < IN_FLIGHT_MAX && link.strikes < STRIKES_MAX
            });
            let Some((&peer, link)) = free.min_by_key(|(_, link)| link.in_flight) else { break };
            link.in_flight += 1;
            self.download.in_flight.insert(*id, (peer, now));
            asks.entry(peer).or_default().push(*id);
        }
        if asks.is_empty() {
            return;
        }
        for (peer, ids) in asks {
            for ids in ids.chunks(BLOCKS_MAX) {
                out.send(peer, Message::GetBlocks(ids.to_vec()));
            }
        }
        out.set(Timer::Sync, now + CHECK_EVERY);
    }

    pub(super) fn on_get_blocks(&mut self, from: PeerId, ids: Vec<BlockId>, out: &mut Out<Self>) {
        if ids.len() > BLOCKS_MAX {
            return out.reject(from, Reject::TooMany);
        }
        let mut missing = Vec::new();
        for id in ids {
            let has_body = self.tree.get(&id).is_some_and(|node| matches!(node.status(), Status::Body | Status::Valid));
            if let Some(block) = self.bodies.get(&id) {
                out.send(from, Message::Block(block));
            } else if !has_body || id == self.chain.id() {
                missing.push(id);
            } else if self.serving.len() >= SERVING_MAX {
                out.reject(from, Reject::TooMany);
                missing.push(id);
            } else {
                let peers = self.serving.entry(id).or_default();
                if peers.is_empty() {
                    out.emit(Event::Load(Record::body_key(id)));
                }
                peers.insert(from);
            }
        }
        if !missing.is_empty() {
            out.send(from, Message::Missing(missing));
        }
    }

    pub(super) fn serve_loaded(&mut self, block: &Block, out: &mut Out<Self>) {
        for peer in self.serving.remove(&block.id()).unwrap_or_default() {
            if self.links.contains_key(&peer) {
                out.send(peer, Message::Block(block.clone()));
            }
        }
    }

    pub(super) fn on_block(&mut self, now: Time, from: PeerId, block: Block, out: &mut Out<Self>) {
        let id = block.id();
        if self.tree.get(&id).is_none() {
            return out.reject(from, Reject::Unsolicited);
        }
        if let Err(fault) = self.take_block(now, block, Some(from), out) {
            self.download.give_up(&id, &mut self.links);
            out.reject(from, fault.reason());
            self.request_blocks(now, out);
        }
    }

    pub(super) fn on_missing(&mut self, now: Time, from: PeerId, ids: &[BlockId], out: &mut Out<Self>) {
        for id in ids {
            if self.download.in_flight.get(id).is_some_and(|&(peer, _)| peer == from) {
                self.download.give_up(id, &mut self.links);
            }
        }
        self.request_blocks(now, out);
    }

    pub(super) fn on_peer_down(&mut self, now: Time, peer: PeerId, out: &mut Out<Self>) {
        self.links.remove(&peer);
        self.download.in_flight.retain(|_, (asked, _)| *asked != peer);
        self.serving.retain(|_, peers| {
            peers.remove(&peer);
            !peers.is_empty()
        });
        self.request_blocks(now, out);
    }

    /// Takes back what was not answered in time and asks again.
    pub(super) fn on_sync(&mut self, now: Time, out: &mut Out<Self>) {
        let late: Vec<BlockId> = self
            .download
            .in_flight
            .iter()
            .filter(|(_, (_, since))| now.since(*since) >= ANSWER_TIME_MAX)
            .map(|(&id, _)| id)
            .collect();
        for id in late {
            self.download.give_up(&id, &mut self.links);
        }
        let mut waiting = false;
        for link in self.links.values_mut() {
            if link.headers_asked.is_some_and(|since| now.since(since) >= ANSWER_TIME_MAX) {
                link.headers_asked = None;
                link.claim = None;
            }
            waiting |= link.headers_asked.is_some();
        }
        let peers: Vec<PeerId> = self.links.keys().copied().collect();
        for peer in peers {
            self.ask_if_more(now, peer, out);
        }
        self.request_blocks(now, out);
        if waiting || !self.download.in_flight.is_empty() {
            out.set(Timer::Sync, now + CHECK_EVERY);
        }
    }
}
