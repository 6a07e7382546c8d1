//! Catching up: headers first from whoever claims more work, then bodies from several peers at once.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use synod_ledger::{Block, BlockId, BlockTree, Node, Place, SharedHeader, Status};
use synod_machine::{Input, Out, PeerId, Reject, Time};

use super::halt::rivalry;
use super::{Event, Replica, Timer};
use crate::headers::{ANSWER_TIME_MAX, Fault, Follower};
use crate::links::{Link, Links};
use crate::message::{BLOCKS_MAX, HEADERS_MAX, LOCATOR_MAX};
use crate::{Chain, Claim, Message, Record};

/// Blocks asked for ahead of the last one connected.
const WINDOW: usize = 256;
/// Blocks asked of one peer at a time, where they are small …
const IN_FLIGHT_MAX: usize = 4 * BLOCKS_MAX;
/// … and where they are large, as many as have so many bytes, by the size of the last ones. What a sender has queued
/// for one connection beyond some megabytes it drops.
const IN_FLIGHT_BYTES: usize = 4 << 20;
const IN_FLIGHT_MIN: usize = 4;
/// Blocks that are read from disk for one peer at a time.
const SERVING_MAX: usize = 4 * BLOCKS_MAX;

/// The bodies that are missing on the way to the best header.
#[derive(Debug, Default)]
pub(super) struct Download {
    /// In the order of the chain.
    plan: VecDeque<BlockId>,
    /// The header that the plan leads to.
    planned_to: Option<BlockId>,
    in_flight: BTreeMap<BlockId, (PeerId, Time)>,
    /// About the size of the last blocks.
    block_bytes: usize,
    /// Whether [`Timer::Sync`] is set.
    is_watched: bool,
}

impl Download {
    /// A body came, from whomever.
    pub(super) fn arrived(&mut self, id: &BlockId, len: usize, links: &mut Links) {
        // Sizes rise at once and fall slowly.
        self.block_bytes = len.max(self.block_bytes - self.block_bytes / 8);
        if let Some(link) = self.release(id, links) {
            link.succeed();
            link.forgive();
        }
    }

    /// Blocks that may be asked of one peer at a time.
    fn in_flight_max(&self) -> u32 {
        (IN_FLIGHT_BYTES / self.block_bytes.max(1)).clamp(IN_FLIGHT_MIN, IN_FLIGHT_MAX) as u32
    }

    /// Whether nothing is planned and nothing awaited.
    pub(super) fn is_idle(&self) -> bool {
        self.plan.is_empty() && self.in_flight.is_empty()
    }

    /// What is missing, in the order of the chain; what came since is still among it.
    pub(super) fn planned(&self) -> impl Iterator<Item = &BlockId> + '_ {
        self.plan.iter()
    }

    /// The peer that was asked for it does not give it.
    fn give_up(&mut self, now: Time, id: &BlockId, links: &mut Links) {
        if let Some(link) = self.release(id, links) {
            link.fail(now);
        }
    }

    fn release<'a>(&mut self, id: &BlockId, links: &'a mut Links) -> Option<&'a mut Link> {
        let (peer, _) = self.in_flight.remove(id)?;
        let link = links.get_mut(peer)?;
        link.in_flight -= 1;
        Some(link)
    }

    fn is_asked(&self, id: &BlockId, peer: PeerId) -> bool {
        self.in_flight.get(id).is_some_and(|&(asked, _)| asked == peer)
    }
}

impl Follower for Replica {
    const SYNC: Timer = Timer::Sync;

    fn chain(&self) -> &Chain {
        &self.chain
    }

    fn tree(&self) -> &BlockTree {
        &self.tree
    }

    fn tree_mut(&mut self) -> &mut BlockTree {
        &mut self.tree
    }

    fn links(&self) -> &Links {
        &self.links
    }

    fn links_mut(&mut self) -> &mut Links {
        &mut self.links
    }

    fn is_watched_mut(&mut self) -> &mut bool {
        &mut self.download.is_watched
    }

    fn is_halted(&self) -> bool {
        self.violation.is_some()
    }

    fn believed_header(&self) -> &Node {
        self.believed()
    }

    fn may_ask_headers(&mut self, now: Time, peer: PeerId, out: &mut Out<Self>) -> bool {
        let withheld = self.links.get(peer).and_then(|link| self.withheld_by(link));
        if let Some(id) = withheld {
            self.ask_again(now, peer, id, out);
        }
        withheld.is_none()
    }

    fn vet(&mut self, header: &SharedHeader, out: &mut Out<Self>) -> Result<(), Fault> {
        self.check_stake(header)?;
        self.accuse(header, out);
        Ok(())
    }

    fn on_inserted(&mut self, place: Place, out: &mut Out<Self>) {
        if let Some(violation) = rivalry(&self.chain, &self.tree, place) {
            self.stop(violation, out);
        }
    }
}

impl Replica {
    pub(super) fn on_tip(&mut self, now: Time, from: PeerId, claim: Claim, out: &mut Out<Self>) {
        // The rule: it has what we have.
        let known = if claim.tip == self.state.tip() { Some(self.place) } else { self.tree.find(&claim.tip) };
        let Some(link) = self.links.get_mut(from) else { return };
        let is_repeated = link.claims(claim, known);
        if known != Some(self.place) || is_repeated {
            self.answer_claim(now, from, is_repeated, out);
        }
        if known.is_none() {
            self.ask_if_more(now, from, out);
        }
        // Who has more than we thought may be asked for what is missing, and after a restart nothing is asked for yet.
        if !self.download.is_idle() || self.wanted().completed().is_none() {
            self.request_blocks(now, out);
        }
    }

    /// Asks a peer for a block that it did not give, whether it is wanted or not: whoever gives it is believed again.
    fn ask_again(&mut self, now: Time, peer: PeerId, id: BlockId, out: &mut Out<Self>) {
        let is_missing = self.tree.get(&id).is_some_and(|node| node.status() == Status::Header);
        let Some(link) = self.links.get_mut(peer) else { return };
        if is_missing && !self.download.in_flight.contains_key(&id) {
            link.in_flight += 1;
            self.download.in_flight.insert(id, (peer, now));
            out.send(peer, Message::GetBlocks(alloc::vec![id]));
            self.watch(now, out);
        }
    }

    pub(super) fn on_get_headers(&self, from: PeerId, locator: &[BlockId], out: &mut Out<Self>) {
        if locator.len() > LOCATOR_MAX {
            return out.reject(from, Reject::TooMany);
        }
        let headers = self.tree.headers_after(locator, &self.state.tip(), HEADERS_MAX);
        self.give_headers(from, headers, out);
    }

    pub(super) fn on_headers(&mut self, now: Time, from: PeerId, headers: Vec<SharedHeader>, out: &mut Out<Self>) {
        if self.take_answer(now, from, headers, out) {
            self.request_blocks(now, out);
        }
    }

    /// Brings the plan up to the best header.
    fn plan(&mut self) {
        let goal = self.wanted().id();
        if self.download.planned_to == Some(goal) {
            return;
        }
        let mut missing = Vec::new();
        let mut id = goal;
        let mut extends = false;
        // A body may be here already, above others that are not: the walk ends where all below is here.
        while let Some(node) = self.tree.get(&id).filter(|node| node.completed().is_none()) {
            if node.status() == Status::Header {
                missing.push(id);
            }
            id = node.header().parent;
            if self.download.planned_to == Some(id) {
                extends = true;
                break;
            }
        }
        if !extends {
            self.download.plan.clear();
            let (tree, links) = (&self.tree, &mut self.links);
            self.download.in_flight.retain(|id, (peer, _)| {
                let is_wanted = tree.is_on_chain(id, &goal);
                if let Some(link) = links.get_mut(*peer).filter(|_| !is_wanted) {
                    link.in_flight -= 1;
                }
                is_wanted
            });
        }
        self.download.plan.extend(missing.into_iter().rev());
        self.download.planned_to = Some(goal);
    }

    /// Asks for the next missing bodies, of the peers that have least to do.
    pub(super) fn request_blocks(&mut self, now: Time, out: &mut Out<Self>) {
        let goal = self.wanted();
        if self.is_halted() {
            return;
        }
        if goal.completed().is_some() && self.download.is_idle() {
            self.download.planned_to = Some(goal.id());
            return;
        }
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
        let in_flight_max = self.download.in_flight_max();
        let mut asks: BTreeMap<PeerId, Vec<BlockId>> = BTreeMap::new();
        for id in self.download.plan.iter().take(WINDOW) {
            let Some(node) = self.tree.get(id) else { continue };
            if node.status() != Status::Header || self.download.in_flight.contains_key(id) {
                continue;
            }
            let tree = &self.tree;
            let free = self
                .links
                .iter_mut()
                .filter(|link| link.in_flight < in_flight_max && !link.rests(now) && link.has(tree, id));
            let Some(link) = free.min_by_key(|link| link.in_flight) else { break };
            link.in_flight += 1;
            let peer = link.peer();
            self.download.in_flight.insert(*id, (peer, now));
            asks.entry(peer).or_default().push(*id);
        }
        for (peer, ids) in asks {
            for ids in ids.chunks(BLOCKS_MAX) {
                out.send(peer, Message::GetBlocks(ids.to_vec()));
            }
        }
        assert!(self.download.in_flight.len() <= WINDOW * 2, "the requests under way are bounded");
        self.watch(now, out);
    }

    pub(super) fn on_get_blocks(&mut self, from: PeerId, ids: Vec<BlockId>, out: &mut Out<Self>) {
        if ids.len() > BLOCKS_MAX {
            return out.reject(from, Reject::TooMany);
        }
        let mut missing = Vec::new();
        for id in ids {
            let has_body = self.tree.get(&id).is_some_and(|node| matches!(node.status(), Status::Body | Status::Valid));
            if !has_body || id == self.chain.id() {
                missing.push(id);
            } else if let Some(block) = self.block(&id) {
                self.give_block(from, &block, out);
            } else if self.serving.values().filter(|peers| peers.contains(&from)).count() >= SERVING_MAX {
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
            if self.links.contains(peer) {
                self.give_block(peer, block, out);
            }
        }
    }

    pub(super) fn on_block(&mut self, now: Time, from: PeerId, block: Block, out: &mut Out<Self>) {
        let id = block.id();
        if self.tree.get(&id).is_none() {
            return out.reject(from, Reject::Unsolicited);
        }
        self.announcing.is_fetched = true;
        if let Err(fault) = self.take_block(now, block, Some(from), out) {
            // A bad body says nothing against the peer that was asked for the good one.
            if self.download.is_asked(&id, from) {
                self.download.give_up(now, &id, &mut self.links);
            }
            out.reject(from, fault.reason());
            self.request_blocks(now, out);
        }
    }

    pub(super) fn on_missing(&mut self, now: Time, from: PeerId, ids: &[BlockId], out: &mut Out<Self>) {
        if ids.len() > BLOCKS_MAX {
            return out.reject(from, Reject::TooMany);
        }
        for id in ids {
            if self.download.is_asked(id, from) {
                self.download.give_up(now, id, &mut self.links);
            }
        }
        self.request_blocks(now, out);
    }

    pub(super) fn on_peer_down(&mut self, now: Time, peer: PeerId, out: &mut Out<Self>) {
        if !self.links.remove(peer) {
            return;
        }
        self.agree(now, Input::PeerDown(peer), out);
        self.download.in_flight.retain(|_, (asked, _)| *asked != peer);
        self.serving.retain(|_, peers| {
            peers.remove(&peer);
            !peers.is_empty()
        });
        self.request_blocks(now, out);
    }

    /// Takes back what was not answered in time and asks again.
    pub(super) fn on_sync(&mut self, now: Time, out: &mut Out<Self>) {
        self.download.is_watched = false;
        let late: Vec<BlockId> = self
            .download
            .in_flight
            .iter()
            .filter(|(_, (_, since))| now.since(*since) >= ANSWER_TIME_MAX)
            .map(|(&id, _)| id)
            .collect();
        for id in late {
            self.download.give_up(now, &id, &mut self.links);
        }
        self.give_up_headers(now);
        self.watch_stalls(now);
        self.ask_all_if_more(now, out);
        self.request_blocks(now, out);
        if !self.download.in_flight.is_empty() || self.awaits_headers() {
            self.watch(now, out);
        }
    }
}
