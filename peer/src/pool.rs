//! What a selfish peer keeps to itself, and when others hear of it: [`Selfish`] decides on a real chain, step by step (Eyal and Sirer
//! 2014, Algorithm 1).
//!
//! Its replica is an honest one that mines on the best tip, which is the private one while there is a private one, and in a tie its
//! own, which it knew first. Each of its steps is looked at: a block that it found is kept back instead of published, and whenever
//! what others have became longer, by a block or by several at once, the pool publishes what Algorithm 1 says, as an honest peer
//! publishes a new block. What the replica says meanwhile is told as if its chain ended below the private blocks.
//!
//! The paper's others are one: there are no two public branches but those of a tie. Here they may fork among themselves, so that
//! what counts is the best of all public blocks, and a tie is where that is a block of the pool's own and another is as good. Branches
//! are measured in blocks, as there; where a retarget makes blocks unequal and others' fewer ones outweigh the private branch, the pool
//! publishes that and begins again.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use synod_consensus::adversary::{Move, Selfish};
use synod_consensus::{Claim, Event as ReplicaEvent, Item, Message as ReplicaMessage, Replica};
use synod_ledger::{Block, BlockId, BlockTree, Height, Node};
use synod_machine::{Bytes, Out, Time};

use crate::behaviour::distort;
use crate::{Behaviour, Carrier, Keeper, Message, Peer};

/// Blocks that a pool keeps back at most; from there on it publishes the first for each that it finds. The lead of a pool with one half
/// of the hash power and more has no end otherwise; one of 45 % is so far ahead three times in a million (0.45/0.55 to the 64th).
/// Gossip ignores blocks of others a hundred below the tip, so that a pool further ahead would not hear of them.
const HIDDEN_MAX: usize = 64;

/// What a selfish peer keeps to itself.
#[derive(Debug)]
pub(crate) struct Pool {
    /// Blocks that nobody else has, each on the one before it. The best block that its replica knows is the last.
    hidden: VecDeque<Block>,
    /// The last block that it published.
    shown: Option<BlockId>,
    /// Where the best block stands that others know.
    public: Height,
}

impl Pool {
    /// Whatever its replica knows, others may know.
    fn new(tree: &BlockTree) -> Self {
        Self { hidden: VecDeque::new(), shown: None, public: tree.best().height() }
    }

    /// It found a block (Algorithm 1, "on My pool found a block"): what it publishes.
    fn on_found(&mut self, tree: &BlockTree, block: Block) -> Vec<Block> {
        let parent = block.header().parent;
        assert!(self.hidden.back().is_none_or(|last| last.id() == parent), "it mines on the last block that it hides");
        let then = match self.shown == Some(parent) && self.hidden.is_empty() && has_rival(tree, &parent) {
            true => Selfish::at(1, 1).on_own(),
            false => Selfish::at(self.hidden.len() as u64, 0).on_own(),
        };
        self.hidden.push_back(block);
        let published = match then {
            Move::PublishAll => self.hidden.len(),
            Move::Adopt | Move::Hold | Move::PublishFirst => self.hidden.len().saturating_sub(HIDDEN_MAX),
        };
        self.publish(tree, published)
    }

    /// What others have may have become longer (Algorithm 1, "on Others found a block", once for each block): what it publishes.
    pub(crate) fn look(&mut self, tree: &BlockTree) -> Vec<Block> {
        if self.hidden.back().is_some_and(|last| last.id() != tree.best().id()) {
            return self.publish(tree, self.hidden.len());
        }
        let public = self.best_public(tree).height();
        let (hidden, news) = (self.hidden.len(), public.0.saturating_sub(self.public.0));
        let mut pool = Selfish::at(hidden as u64, 0);
        let mut published = 0;
        for _ in 0..news {
            match pool.on_others() {
                // Those on its branch are public as far as they matter.
                Move::Adopt => break,
                Move::Hold => {}
                Move::PublishAll => published = hidden,
                Move::PublishFirst => published += 1,
            }
        }
        self.public = public;
        self.publish(tree, published)
    }

    /// What it publishes when it is selfish no more.
    fn end(mut self, tree: &BlockTree) -> Vec<Block> {
        self.publish(tree, self.hidden.len())
    }

    /// Gives the first of its hidden blocks up.
    fn publish(&mut self, tree: &BlockTree, count: usize) -> Vec<Block> {
        let published: Vec<Block> = self.hidden.drain(..count).collect();
        if let Some(last) = published.last() {
            self.shown = Some(last.id());
            self.public = self.best_public(tree).height();
        }
        published
    }

    /// The best block that others have, or may have.
    fn best_public<'a>(&self, tree: &'a BlockTree) -> &'a Node {
        let Some(first) = self.hidden.front() else { return tree.best() };
        let below = tree.get(&first.header().parent).expect("a block's parent is known");
        let rivals = tree.tips().take_while(|tip| tip.weight() > below.weight());
        let rivals = rivals.filter(|tip| !self.is_hidden(tip)).map(|tip| last_complete(tree, tip));
        rivals.chain([below]).max_by_key(|node| node.weight()).expect("there is one at least")
    }

    fn is_hidden(&self, node: &Node) -> bool {
        self.hides(node.height(), &node.id())
    }

    fn hides(&self, height: Height, id: &BlockId) -> bool {
        let Some(first) = self.hidden.front() else { return false };
        let place = height.0.checked_sub(first.height().0).and_then(|place| usize::try_from(place).ok());
        place.and_then(|place| self.hidden.get(place)).is_some_and(|block| block.id() == *id)
    }

    /// The last block at or below this one that others may know.
    fn shown_below(&self, height: Height, id: BlockId) -> BlockId {
        let first = self.hidden.front().filter(|_| self.hides(height, &id));
        first.map_or(id, |first| first.header().parent)
    }

    /// What it says where an honest peer would say this: nothing of what is hidden.
    fn say(&self, tree: &BlockTree, message: Message) -> Message {
        let Message::Replica(message) = message else { return message };
        Message::Replica(match message {
            ReplicaMessage::Block(block) if self.hides(block.height(), &block.id()) => {
                ReplicaMessage::Missing(alloc::vec![block.id()])
            }
            ReplicaMessage::GetHeaders(mut locator) => {
                locator.retain(|id| !tree.get(id).is_some_and(|node| self.is_hidden(node)));
                ReplicaMessage::GetHeaders(locator)
            }
            ReplicaMessage::Headers(mut headers) => {
                headers.retain(|header| !self.hides(header.height, &header.id()));
                ReplicaMessage::Headers(headers)
            }
            ReplicaMessage::Tip(claim) => ReplicaMessage::Tip(self.claim(tree, claim)),
            ReplicaMessage::Agreement(_)
            | ReplicaMessage::Block(_)
            | ReplicaMessage::Client(_)
            | ReplicaMessage::Evidence(_)
            | ReplicaMessage::GetBlocks(_)
            | ReplicaMessage::GetPayments(_)
            | ReplicaMessage::Missing(_)
            | ReplicaMessage::Payments(_)
            | ReplicaMessage::Pool(_)
            | ReplicaMessage::Reply(_)
            | ReplicaMessage::Request(_) => message,
        })
    }

    fn claim(&self, tree: &BlockTree, claim: Claim) -> Claim {
        let shown = tree.get(&self.shown_below(claim.height, claim.tip));
        shown.map_or(claim, |node| Claim {
            tip: node.id(),
            height: node.height(),
            work: Bytes(node.weight().to_be_bytes()),
        })
    }

    /// 1. It keeps no more back than [`HIDDEN_MAX`] blocks.
    pub(crate) fn check(&self) {
        assert!(self.hidden.len() <= HIDDEN_MAX, "what a pool hides is bounded");
    }
}

/// Whether another block is as good as this one, so that others may be on either.
fn has_rival(tree: &BlockTree, id: &BlockId) -> bool {
    let Some(own) = tree.get(id) else { return false };
    let equals = tree.tips().take_while(|tip| tip.weight() >= own.weight()).filter(|tip| tip.weight() == own.weight());
    equals.into_iter().any(|tip| tip.id() != *id && tip.completed().is_some())
}

/// The last block of a chain of headers up to which all bodies are here.
fn last_complete<'a>(tree: &'a BlockTree, mut node: &'a Node) -> &'a Node {
    while node.completed().is_none() {
        node = tree.at(node.parent());
    }
    node
}

/// What becomes of an event of the replica's: a block that a selfish peer found is the pool's, everything else the carrier's.
pub(crate) fn route(
    carrier: &mut Carrier,
    pool: Option<&mut Pool>,
    replica: &Replica,
    now: Time,
    event: ReplicaEvent,
    out: &mut Out<Peer>,
) {
    match (event, pool) {
        (ReplicaEvent::Publish(Item::Block(block)), Some(pool)) => {
            publish(carrier, now, pool.on_found(replica.tree(), block), out);
        }
        (event, _) => carrier.route(now, event, out),
    }
}

/// Spreads blocks as an honest peer spreads those that it found.
pub(crate) fn publish(carrier: &mut Carrier, now: Time, blocks: Vec<Block>, out: &mut Out<Peer>) {
    for block in blocks {
        carrier.route(now, ReplicaEvent::Publish(Item::Block(block)), out);
    }
}

impl Peer {
    /// The last block at or below one of its chain that others may know: what its host may tell of it.
    pub fn shown(&self, height: Height, id: BlockId) -> BlockId {
        self.pool.as_ref().map_or(id, |pool| pool.shown_below(height, id))
    }

    /// Begins a pool if it is selfish now, and publishes all that it kept back if it was.
    pub(crate) fn pool_or_not(&mut self, now: Time, out: &mut Out<Self>) {
        let Keeper::Full(replica) = &self.keeper else { return };
        let is_selfish = self.behaviour == Behaviour::Selfish && replica.chain().pow().is_some();
        if is_selfish && self.pool.is_none() {
            self.pool = Some(Box::new(Pool::new(replica.tree())));
        } else if !is_selfish && let Some(pool) = self.pool.take() {
            publish(&mut self.carrier, now, pool.end(replica.tree()), out);
        }
    }

    /// Hands the effects of an honest step on, as its behaviour would.
    pub(crate) fn tell(&self, honest: &mut Out<Self>, out: &mut Out<Self>) {
        match (&self.pool, &self.keeper) {
            (Some(pool), Keeper::Full(replica)) => {
                distort(honest, out, |message| alloc::vec![pool.say(replica.tree(), message)]);
            }
            _ => distort(honest, out, |message| self.behaviour.say(message)),
        }
    }
}

#[cfg(test)]
mod tests;
