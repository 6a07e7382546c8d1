//! What a peer's blocks, tip and coins must be.

use std::time::Duration;

use synod_ledger::{Block, BlockId, BlockTree, Engine, Node, Status};
use synod_machine::PeerId;
use synod_peer::{Peer, Record};
use synod_sim::World;

use super::headers::Wide;
use super::model::{Money, weight};
use super::{Judge, Looked, Oracle, Verdict, has_body};
use crate::trial::body;
use crate::{Deed, Trial};

impl Judge {
    /// Judges the blocks that a peer connected, or refused, since the last look.
    pub(super) fn judge_blocks(&mut self, world: &World<Trial>, peer: PeerId, host: &Peer) -> Looked {
        let at = |id: BlockId| format!("block {:?} at peer {}", id.0, peer.0);
        for node in host.replica().tree().iter() {
            let (id, status) = (node.id(), node.status());
            self.judge_proof(peer, node)?;
            let is_valid = match status {
                Status::Valid => true,
                Status::Invalid => false,
                Status::Body | Status::Header => continue,
            };
            if self.seen[peer.0 as usize].judged.contains(&id) || id == self.plan.chain.id() {
                continue;
            }
            // A block may be on its way to the disk and out of memory already. It is judged later, and so is what builds on it.
            let Some(block) = body(world.net(), peer, id) else { continue };
            if is_valid && self.model.find(&block.header().parent).is_none() {
                continue;
            }
            let known = self.model.find(&id);
            let found = self.model.judge(&block);
            match (is_valid, found) {
                (true, Ok(place)) => {
                    if !has_content(&block, &self.model.at(place).block) {
                        return Err(Verdict::Unsafe(Oracle::Block, format!("{} has another content", at(id))));
                    }
                    let proof = self.model.check_proof(block.header());
                    proof.map_err(|(oracle, reason)| Verdict::Unsafe(oracle, format!("{}: {reason}", at(id))))?;
                }
                (true, Err((oracle, reason))) => {
                    return Err(Verdict::Unsafe(oracle, format!("{}: {reason}", at(id))));
                }
                // It is refused for what it builds on, which comes to light by itself.
                (false, Ok(_)) if known.is_some() => {}
                (false, Ok(_)) => {
                    return Err(Verdict::Unsafe(Oracle::Block, format!("{} is refused, and good", at(id))));
                }
                (false, Err(_)) => {}
            }
            self.seen[peer.0 as usize].judged.insert(id);
        }
        Ok(())
    }

    /// The header of a block that a peer knows, whether it has the rest or not, proves what it says.
    fn judge_proof(&mut self, peer: PeerId, node: &Node) -> Looked {
        let id = node.id();
        if id == self.plan.chain.id() || !self.seen[peer.0 as usize].proved.insert(id) {
            return Ok(());
        }
        let proof = self.model.check_proof(node.header());
        proof.map_err(|(oracle, reason)| {
            Verdict::Unsafe(oracle, format!("block {:?} at peer {}: {reason}", id.0, peer.0))
        })
    }

    /// When all is quiet, every block of a peer's chain lies on its disk and was judged.
    pub(super) fn judge_bodies(&self, peer: PeerId, host: &Peer) -> Looked {
        let replica = host.replica();
        let judged = &self.seen[peer.0 as usize].judged;
        let is_lost = |id: &BlockId| *id != self.plan.chain.id() && !judged.contains(id);
        match replica.tree().ancestry(&replica.tip()).map(|header| header.id()).find(is_lost) {
            Some(id) => {
                let reason = format!("block {:?} of the chain of peer {} is nowhere", id.0, peer.0);
                Err(Verdict::Unsafe(Oracle::Durability, reason))
            }
            None => Ok(()),
        }
    }

    /// No header is from further in the future than the rule allows, by the peer's own clock.
    pub(super) fn judge_clock(&self, world: &World<Trial>, peer: PeerId, host: &Peer) -> Looked {
        let is_set = |deed: &Deed| matches!(deed, Deed::Clock { peers, .. } if peers.contains(&peer));
        if self.plan.deeds.iter().any(|(_, deed)| is_set(deed)) {
            return Ok(()); // It may have shown more than it shows now.
        }
        let is_off = |deed: &Deed| matches!(deed, Deed::Clock { .. });
        let ahead = match &self.plan.chain.genesis().engine {
            // The clocks of a quorum decide, whichever that was.
            Engine::Pbft(_) if self.plan.deeds.iter().any(|(_, deed)| is_off(deed)) => return Ok(()),
            Engine::Pbft(_) => FUTURE_LEAST,
            Engine::Pos(params) => Duration::from_millis(params.future_max_ms),
            Engine::Pow(_) => FUTURE_LEAST.max(self.plan.chain.block_time() * FUTURE_BLOCKS),
        };
        let latest = world.net().clock(peer) + ahead;
        match host.replica().tree().iter().find(|node| node.header().time > latest) {
            Some(node) => {
                let reason = format!(
                    "block {:?} at peer {} is of {}, and {latest} is the latest that may be",
                    node.id().0,
                    peer.0,
                    node.header().time
                );
                Err(Verdict::Unsafe(Oracle::Header, reason))
            }
            None => Ok(()),
        }
    }

    /// The tip is the end of the heaviest chain that the peer has all of, and not given up for an equal one.
    pub(super) fn judge_tip(&mut self, world: &World<Trial>, peer: PeerId, host: &Peer) -> Looked {
        let replica = host.replica();
        if !replica.is_settled() {
            return Ok(());
        }
        let (tree, tip) = (replica.tree(), replica.tip());
        let own = self.work_of(tree, tip);
        for node in tree.iter().filter(|node| has_body(node.status())) {
            let work = self.work_of(tree, node.id());
            if work > own && is_complete(tree, node) {
                let (id, peer) = (node.id().0, peer.0);
                let reason = format!("peer {peer} stays on {:?}, of work {own}, and has {id:?}, of {work}", tip.0);
                return Err(Verdict::Unsafe(Oracle::ForkChoice, reason));
            }
        }
        if !is_on_disk(world, peer, tip) && tip != self.plan.chain.id() {
            return Ok(());
        }
        let before = self.seen[peer.0 as usize].tip.replace((tip, own));
        let Some((last, work)) = before else { return Ok(()) };
        if own < work {
            let reason = format!("peer {} was on {:?} and is on {:?}, of less work", peer.0, last.0, tip.0);
            return Err(Verdict::Unsafe(Oracle::Durability, reason));
        }
        if own == work && last != tip {
            let reason = format!("peer {} gave {:?} up for {:?}, of equal work", peer.0, last.0, tip.0);
            return Err(Verdict::Unsafe(Oracle::ForkChoice, reason));
        }
        Ok(())
    }

    /// Coins and their sum are what the chain's blocks leave.
    pub(super) fn judge_coins(&mut self, peer: PeerId, host: &Peer) -> Looked {
        let state = host.replica().state();
        // A tip that is still on its way to the disk was not judged.
        let Some(place) = self.model.find(&state.tip()) else { return Ok(()) };
        self.note_firm(place);
        let judged = self.model.at(place);
        let wrong = |reason| Err(Verdict::Unsafe(Oracle::Coins, format!("peer {}: {reason}", peer.0)));
        if state.supply().0 != judged.supply || state.height().0 != judged.height {
            return wrong(format!("{} coins at height {}", state.supply(), state.height()));
        }
        if state.coin_count() != judged.coins.len() {
            return wrong(format!("{} coins, where there are {}", state.coin_count(), judged.coins.len()));
        }
        for ((name, coin), (expected_name, expected)) in state.coins().iter().zip(&judged.coins) {
            let got = Money {
                amount: coin.output.amount.0,
                owner: coin.output.to.0,
                kind: coin.output.kind,
                height: coin.height.0,
                is_reward: coin.coinbase,
            };
            if name != expected_name || got != *expected {
                return wrong(format!("{got:?} under {name}, where {expected:?} is under {expected_name}"));
            }
        }
        Ok(())
    }

    /// The blocks so deep below a tip that what is in them counts as confirmed.
    fn note_firm(&mut self, tip: usize) {
        let deep = self.plan.confirmations.saturating_sub(1) as usize;
        let below: Vec<usize> = self.model.chain_of(tip).skip(deep).collect();
        for place in below {
            if !self.firm.insert(place) {
                return;
            }
        }
    }

    /// All work up to a block.
    fn work_of(&mut self, tree: &BlockTree, id: BlockId) -> Wide {
        let mut open = Vec::new();
        let mut at = id;
        let mut work = loop {
            if let Some(work) = self.works.get(&at) {
                break *work;
            }
            let header = tree.get(&at).expect("the tree has what its blocks build on").header();
            open.push((at, weight(header)));
            at = header.parent;
        };
        for (id, own) in open.into_iter().rev() {
            work += own;
            self.works.insert(id, work);
        }
        work
    }
}

/// Whether two blocks of one id are the same but for their votes, of which each peer may have others.
fn has_content(block: &Block, expected: &Block) -> bool {
    block.id() == expected.id()
        && block.coinbase() == expected.coinbase()
        && block.payments() == expected.payments()
        && block.evidence() == expected.evidence()
}

/// Whether all blocks of the chain that ends there have bodies.
fn is_complete(tree: &BlockTree, end: &Node) -> bool {
    let mut node = end;
    while node.height().0 > 0 {
        if !has_body(node.status()) {
            return false;
        }
        node = tree.get(&node.header().parent).expect("the tree has what its blocks build on");
    }
    true
}

/// Whether a block's header is on a peer's disk as that of a valid block.
fn is_on_disk(world: &World<Trial>, peer: PeerId, id: BlockId) -> bool {
    match world.net().disk(peer).get(&synod_consensus::Record::header_key(id)) {
        Some(Record::Replica(synod_consensus::Record::Header(stored))) => stored.status == Status::Valid,
        Some(Record::Discovery(_) | Record::Replica(_) | Record::Neighbours(_)) | None => false,
    }
}

/// A header's clock may be ahead by so many block times, and by this at least.
const FUTURE_BLOCKS: u32 = 10;
const FUTURE_LEAST: Duration = Duration::from_secs(10);
