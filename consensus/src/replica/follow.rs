//! Taking blocks in and walking the coins towards the best tip.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use synod_ledger::{
    Block, BlockError, BlockId, BlockTree, Height, Node, Place, Rules, Seal, Signatures, State, Status, Tx,
};
use synod_machine::{Key, Out, PeerId, Time};

use super::{Event, Item, Replica, Verdict};
use crate::headers::{Fault, Follower, is_stale};
use crate::{HeaderError, Record};

/// The way from the last settled tip to the best one.
#[derive(Debug)]
pub(super) struct Journey {
    /// Where the coins were when all was quiet.
    origin: BlockId,
    /// Whether all was quiet once; until then the mempool lacks what was promised before a restart.
    has_settled: bool,
    /// Where it goes; the steps below lead there.
    toward: BlockId,
    /// Where it goes first after a restart: to where the coins were, if that is not on the way to the best tip. A crash
    /// came between the arrival of a better branch and the end of the way there, and what the old one confirmed has yet
    /// to go back into the mempool, and to be promised where a promise depends on it.
    detour: Option<BlockId>,
    disconnect: VecDeque<BlockId>,
    connect: VecDeque<BlockId>,
    /// Whether a block was taken back: the mempool no longer fits the coins.
    has_undone: bool,
    /// Payments of disconnected blocks in the order of the chain, to go back into the mempool.
    returned: VecDeque<Tx>,
}

impl Journey {
    pub(super) fn new(state: &State, tree: &BlockTree) -> Self {
        Self {
            origin: state.tip(),
            has_settled: false,
            toward: state.tip(),
            detour: last_connected_aside(tree),
            disconnect: VecDeque::new(),
            connect: VecDeque::new(),
            has_undone: false,
            returned: VecDeque::new(),
        }
    }

    /// Goes another way: what to take back, and then what to connect.
    fn turn(&mut self, (disconnect, connect): (Vec<BlockId>, Vec<BlockId>), toward: BlockId) {
        self.toward = toward;
        self.disconnect = disconnect.into();
        self.connect = connect.into();
    }

    /// Goes on with that block when it has been read.
    fn wait_for(&mut self, id: BlockId) {
        if self.connect.is_empty() {
            self.connect.push_back(id);
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.disconnect.is_empty() && self.connect.is_empty()
    }
}

/// The heaviest block that was connected and is not on the best chain: tips grow in weight, so that of those branches
/// it is the last that the coins were on.
fn last_connected_aside(tree: &BlockTree) -> Option<BlockId> {
    let best = tree.best().id();
    let aside = tree.iter().filter(|node| node.status() == Status::Valid && !tree.is_on_chain(&node.id(), &best));
    aside.max_by_key(|node| node.weight()).map(Node::id)
}

/// What a taken block is to us now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    Known,
    New,
    Orphan,
}

enum Step {
    Invalid(BlockId, BlockError),
    Moved,
    Waiting,
}

/// What must hold before a body is stored under its header's id: a wrong body says nothing against the header. A proposal that
/// fills a block still fits when its votes have come, or one faulty primary could have all agree on what is no block.
pub(crate) fn check_form(block: &Block, rules: &Rules) -> Result<(), BlockError> {
    let (bytes_max, got) = (rules.params.block_bytes_max as usize, block.len_without_votes());
    if got > bytes_max {
        return Err(BlockError::Size { expected: bytes_max, got });
    }
    let root = block.merkle_root();
    if block.header().root != root {
        return Err(BlockError::Root { expected: block.header().root, got: root });
    }
    Ok(())
}

impl Replica {
    pub(super) fn on_gossiped_block(&mut self, now: Time, from: PeerId, block: Block, out: &mut Out<Self>) -> Verdict {
        if is_stale(block.height(), self.state.height()) {
            return Verdict::Ignore;
        }
        self.announcing.is_fetched = false;
        match self.take_block(now, block, Some(from), out) {
            Ok(Taken::New) => Verdict::Accept,
            Ok(Taken::Known | Taken::Orphan) => Verdict::Ignore,
            Err(fault) => {
                let reason = fault.reason();
                out.reject(from, reason);
                if reason.is_fault() { Verdict::Reject } else { Verdict::Ignore }
            }
        }
    }

    /// Checks a block as far as its place allows, stores it, and follows the best chain.
    pub(super) fn take_block(
        &mut self,
        now: Time,
        block: Block,
        from: Option<PeerId>,
        out: &mut Out<Self>,
    ) -> Result<Taken, Fault> {
        let id = block.id();
        if block.header().chain != self.chain.rules().chain {
            return Err(Fault::Header(HeaderError::ForeignChain));
        }
        if self.is_halted() {
            return Ok(Taken::Known);
        }
        if id == self.state.tip() {
            self.gave(from, self.place); // The rule: gossip brings it from several sides.
            return Ok(Taken::Known);
        }
        match self.node(&id).map(|(place, node)| (place, node.status())) {
            Some((place, Status::Body | Status::Valid)) => {
                self.gave(from, place);
                return Ok(Taken::Known);
            }
            Some((_, Status::Invalid)) => return Err(Fault::Parent),
            Some((_, Status::Header)) => {}
            None if !self.tree.contains(&block.header().parent) => {
                check_form(&block, self.chain.rules()).map_err(Fault::Block)?;
                self.orphans.insert(block);
                assert!(self.orphans.len() <= self.limits.orphans_max, "the orphan pool is bounded");
                if let Some(peer) = from {
                    self.ask_headers(now, peer, out);
                }
                return Ok(Taken::Orphan);
            }
            None => {}
        }
        check_form(&block, self.chain.rules()).map_err(Fault::Block)?;
        let place = self.take_header(now, block.shared_header(), out)?;
        if self.is_halted() {
            return Ok(Taken::Known);
        }
        let block = self.with_known_votes(place, block);
        self.gave(from, place);
        self.take_body(place, block, out);
        self.adopt_orphans(now, id, out);
        let mut faults = self.follow(now, out);
        self.request_blocks(now, out);
        match faults.remove(&id) {
            Some(error) => Err(Fault::Block(error)),
            None if self.tree.at(place).status() == Status::Invalid => Err(Fault::Parent),
            None => Ok(Taken::New),
        }
    }

    /// Notes who has a block, having given it.
    fn gave(&mut self, from: Option<PeerId>, place: Place) {
        let Some(link) = from.and_then(|peer| self.links.get_mut(peer)) else { return };
        if place == self.place && self.download.is_idle() {
            // Nothing is missing, so that it can have given nothing better.
            link.gave_last(place);
        } else {
            link.gave(&self.tree, place);
        }
    }

    /// A block as it is kept and served: with the votes that were checked with its header. A block's id does not cover them, so
    /// that what comes under a known id may have others, and bad ones.
    fn with_known_votes(&self, place: Place, block: Block) -> Block {
        match &self.tree.at(place).header().seal {
            known @ Seal::Agreed { certificate } if *known != block.header().seal => {
                block.certified(certificate.clone())
            }
            Seal::Agreed { .. } | Seal::Declared { .. } | Seal::Genesis | Seal::Stake { .. } | Seal::Work { .. } => {
                block
            }
        }
    }

    fn take_body(&mut self, place: Place, block: Block, out: &mut Out<Self>) {
        let id = block.id();
        self.tree.set_status(&id, Status::Body);
        self.download.arrived(&id, block.len(), &mut self.links);
        self.stalls.arrived(&id);
        out.persist(Record::body_key(id), Record::Body(block.clone()));
        self.bodies.insert(block);
        // Bodies that waited for this one are complete now, too, and their place among equals is kept.
        let (mut next, mut open) = (Some(place), Vec::new());
        while let Some(place) = next.take().or_else(|| open.pop()) {
            self.store_header(place, out);
            let first = open.len();
            open.extend(self.tree.children_of(place).filter(|&child| self.tree.at(child).completed().is_some()));
            open[first..].reverse();
        }
    }

    /// Takes in what waited for `parent`, and what waited for that. Nobody is blamed for a bad orphan: who sent it is
    /// forgotten.
    fn adopt_orphans(&mut self, now: Time, parent: BlockId, out: &mut Out<Self>) {
        if self.orphans.is_empty() {
            return;
        }
        let mut parents = alloc::vec![parent];
        while let Some(parent) = parents.pop() {
            for child in self.orphans.take_children(&parent) {
                let id = child.id();
                if self.tree.get(&id).is_some_and(|node| node.status() != Status::Header) {
                    continue;
                }
                if let Ok(place) = self.take_header(now, child.shared_header(), out)
                    && !self.is_halted()
                {
                    let child = self.with_known_votes(place, child);
                    self.take_body(place, child, out);
                    parents.push(id);
                }
            }
        }
    }

    /// Moves the coins to the best tip, as far as blocks are in memory. Gives the blocks found invalid on the way.
    pub(super) fn follow(&mut self, now: Time, out: &mut Out<Self>) -> BTreeMap<BlockId, BlockError> {
        let mut faults = BTreeMap::new();
        loop {
            if self.journey.detour == Some(self.state.tip()) {
                self.journey.detour = None;
            }
            let goal = self.goal();
            let (id, is_next) = (goal.id(), goal.header().parent == self.state.tip());
            let is_over = self.journey.is_over();
            if is_over && self.journey.toward == id {
                self.settle(now, out);
                return faults;
            }
            let step = if is_over && is_next {
                // The rule: the next block of the chain that we are on.
                self.journey.toward = id;
                self.connect(id, out)
            } else {
                if self.journey.toward != id {
                    self.journey.turn(self.tree.path(&self.state.tip(), &id), id);
                }
                self.step_on(out)
            };
            match step {
                Step::Invalid(id, error) => {
                    for gone in self.tree.invalidate(&id) {
                        let place = self.tree.find(&gone).expect("it was just in the tree");
                        self.store_header(place, out);
                    }
                    faults.insert(id, error);
                }
                Step::Moved => {}
                Step::Waiting => return faults,
            }
        }
    }

    /// Where the coins should be: first where they were before a restart, and then at the best tip.
    fn goal(&self) -> &Node {
        let detour = self.journey.detour.and_then(|id| self.tree.get(&id));
        detour.filter(|node| node.status() != Status::Invalid).unwrap_or_else(|| self.tree.best())
    }

    fn step_on(&mut self, out: &mut Out<Self>) -> Step {
        if let Some(&id) = self.journey.disconnect.front() {
            return self.disconnect(id, out);
        }
        match self.journey.connect.front() {
            Some(&id) => self.connect(id, out),
            None => Step::Moved,
        }
    }

    fn connect(&mut self, id: BlockId, out: &mut Out<Self>) -> Step {
        let (place, node) = self.node(&id).expect("a way leads over known blocks");
        let (height, was_valid) = (node.height(), node.status() == Status::Valid);
        let Some(held) = self.bodies.get(height, &id) else {
            self.journey.wait_for(id);
            return self.load(Record::body_key(id), out);
        };
        let block = held.block.clone();
        let signatures = if was_valid { Signatures::Trust } else { Signatures::Check };
        self.mempool.vouch(block.payments());
        let outcome = match block.connect(&self.state, self.chain.rules(), signatures) {
            Err(error) => return Step::Invalid(id, error),
            Ok(outcome) => outcome,
        };
        self.move_to(place, outcome.state.clone());
        if !was_valid {
            out.persist(Record::undo_key(id), Record::Undo(outcome.undo.clone()));
            self.tree.set_status(&id, Status::Valid);
            self.store_header(place, out);
        }
        self.bodies.hold(&block, outcome);
        self.refute_children(place, out);
        self.journey.connect.pop_front();
        let left = self.mempool.connected(&block);
        self.tell_conflicts(&block, &left.conflicted, out);
        self.own.decide(&block, &left.conflicted);
        Step::Moved
    }

    fn disconnect(&mut self, id: BlockId, out: &mut Out<Self>) -> Step {
        let height = self.state.height();
        let Some(held) = self.bodies.get(height, &id) else { return self.load(Record::body_key(id), out) };
        let block = held.block.clone();
        let parent = block.header().parent;
        let below = Height(height.0 - 1);
        let known = self.bodies.get(below, &parent).and_then(|parent| parent.block.connected());
        let before = match (known, block.connected()) {
            (Some(outcome), _) => outcome.state.clone(),
            (None, Some(outcome)) => self.state.disconnect(&block, &outcome.undo),
            (None, None) if parent == self.chain.id() => self.chain.state().clone(),
            (None, None) => return self.load(Record::undo_key(id), out),
        };
        self.take_back(&block, before);
        Step::Moved
    }

    fn move_to(&mut self, place: Place, state: State) {
        let node = self.tree.at(place);
        assert!(node.id() == state.tip(), "the coins are those of a known block");
        assert!(node.height() == state.height(), "coins and tree agree on the height");
        self.place = place;
        self.state = state;
    }

    fn take_back(&mut self, block: &Block, before: State) {
        self.move_to(self.tree.at(self.place).parent(), before);
        self.journey.disconnect.pop_front();
        for tx in block.payments().iter().rev() {
            self.journey.returned.push_front(tx.clone());
        }
        self.journey.has_undone = true;
        self.own.reopen(block);
        self.slashing.take_back(block);
    }

    fn load(&mut self, key: Key, out: &mut Out<Self>) -> Step {
        if self.loading.insert(key) {
            out.emit(Event::Load(key));
        }
        Step::Waiting
    }

    pub(super) fn on_loaded(&mut self, now: Time, key: Key, record: Option<Record>, out: &mut Out<Self>) {
        let id = BlockId(key.name);
        let for_us = self.loading.remove(&key);
        match record {
            Some(Record::Body(block)) => {
                self.serve_loaded(&block, out);
                if for_us {
                    self.bodies.insert(block);
                }
            }
            Some(Record::Undo(undo)) => {
                if for_us
                    && self.journey.disconnect.front() == Some(&id)
                    && let Some(held) = self.bodies.get(self.state.height(), &id)
                {
                    let block = held.block.clone();
                    let before = self.state.disconnect(&block, &undo);
                    self.take_back(&block, before);
                }
            }
            Some(Record::Agreement(_) | Record::Header(_) | Record::Payment(_) | Record::Signed(_)) => {}
            None => panic!("{key:?} was on disk: bodies and undo data are written with their header and never removed"),
        }
        if for_us {
            // Nobody is blamed: who sent the block is forgotten. What is best without it may have to be asked for.
            let faults = self.follow(now, out);
            if !faults.is_empty() || self.slashing.take_refuted() {
                self.request_blocks(now, out);
            }
        }
    }

    /// The coins are where they should be: brings mempool, mining and the owner up to date.
    fn settle(&mut self, now: Time, out: &mut Out<Self>) {
        let (origin, tip) = (self.journey.origin, self.state.tip());
        if tip == origin && self.journey.has_settled && !self.journey.has_undone {
            return;
        }
        self.journey.origin = tip;
        self.journey.has_settled = true;
        if core::mem::take(&mut self.journey.has_undone) {
            let returned = core::mem::take(&mut self.journey.returned);
            let own = &self.own;
            let back = self.mempool.revalidate(&self.state, self.chain.rules(), returned, |id| own.contains(id));
            self.keep(&back.returned, out);
        }
        self.restore_own(out);
        self.settle_evidence(out);
        self.offer_soon(now, out);
        if tip != origin {
            out.emit(Event::Tip { tip, height: self.state.height(), depth: self.depth_below(&origin) });
            self.announce_soon(now, out);
        }
        self.mine(now, out);
        self.mint(now, out);
    }

    /// How many blocks were taken back on the way from a former tip to this one.
    fn depth_below(&self, origin: &BlockId) -> u64 {
        let tip = self.tree.at(self.place);
        if tip.header().parent == *origin {
            return 0;
        }
        let height = self.tree.get(origin).map_or(Height::GENESIS, Node::height);
        height.0 - self.tree.common_ancestor(origin, &tip.id()).height().0
    }

    pub(super) fn publish_block(&mut self, block: Block, out: &mut Out<Self>) {
        out.emit(Event::Publish(Item::Block(block)));
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use synod_ledger::{Address, Amount, Certificate, Coinbase, Header, LedgerParams, Output, Seal, Signature};
    use synod_machine::Bytes;

    use super::*;
    use crate::testing;

    /// A primary that fills its proposal to the last byte must not make all others agree on what they cannot take in.
    #[test]
    fn a_proposal_that_just_fits_fits_with_its_votes_too() {
        let rules = *testing::chain().rules();
        let outputs = vec![Output::plain(Amount(1), Address(Bytes([7; 20]))); 3];
        let coinbase = Coinbase { chain: rules.chain, height: Height(1), extra: 0, outputs };
        let seal = Seal::Agreed { certificate: Certificate::none() };
        let (parent, root) = (BlockId(Bytes::ZERO), Block::root_of(&coinbase, &[]));
        let header = Header { chain: rules.chain, parent, height: Height(1), time: Time(1), root, seal };
        let proposal = Block::new(header, coinbase, vec![]);
        let with = |block_bytes_max: usize| Rules {
            params: LedgerParams { block_bytes_max: block_bytes_max as u32, ..rules.params },
            ..rules
        };
        let (full, less) = (proposal.len_without_votes(), proposal.len_without_votes() - 1);
        let votes = (0..4).map(|place| (place, Signature::NONE)).collect();
        for block in [proposal.certified(Certificate::new(3, votes)), proposal] {
            assert_eq!(check_form(&block, &with(full)), Ok(()));
            assert_eq!(check_form(&block, &with(less)), Err(BlockError::Size { expected: less, got: full }));
        }
    }
}
