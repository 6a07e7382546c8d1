//! Taking blocks in and walking the coins towards the best tip.

use alloc::collections::{BTreeMap, VecDeque};

use synod_ledger::{Block, BlockError, BlockId, Header, Height, Node, Rules, Signatures, State, Status, Tx};
use synod_machine::{Key, Out, PeerId, Reject, Time};

use super::{Event, Item, Replica, Verdict};
use crate::{HeaderError, Pow, Record};

/// The way from the last settled tip to the best one.
#[derive(Debug)]
pub(super) struct Journey {
    /// Where the coins were when all was quiet.
    origin: BlockId,
    /// Whether all was quiet once; until then the mempool lacks what was promised before a restart.
    has_settled: bool,
    /// Where it goes; the steps below lead there.
    toward: BlockId,
    disconnect: VecDeque<BlockId>,
    connect: VecDeque<BlockId>,
    /// Whether a block was taken back: the mempool no longer fits the coins.
    has_undone: bool,
    /// Payments of disconnected blocks in the order of the chain, to go back into the mempool.
    returned: VecDeque<Tx>,
}

impl Journey {
    pub(super) fn new(state: &State) -> Self {
        Self {
            origin: state.tip(),
            has_settled: false,
            toward: state.tip(),
            disconnect: VecDeque::new(),
            connect: VecDeque::new(),
            has_undone: false,
            returned: VecDeque::new(),
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.disconnect.is_empty() && self.connect.is_empty()
    }
}

/// What a taken block is to us now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    Known,
    New,
    Orphan,
}

/// Why a block is refused.
#[derive(Clone, Debug)]
pub(super) enum Fault {
    Block(BlockError),
    Header(HeaderError),
    /// It builds on a block that is invalid.
    Parent,
}

impl Fault {
    pub(super) fn reason(&self) -> Reject {
        match self {
            Self::Block(error) => error.reason(),
            Self::Header(error) => error.reason(),
            Self::Parent => Reject::BlockParent,
        }
    }
}

/// Gossiped blocks so far below the tip are neither stored nor forwarded: after this many, no honest branch is left that
/// has not claimed its weight (a coinbase of Bitcoin matures in as many).
const STALE_DEPTH: u64 = 100;

enum Step {
    Invalid(BlockId, BlockError),
    Moved,
    Waiting,
}

/// What must hold before a body is stored under its header's id: a wrong body says nothing against the header.
fn check_form(block: &Block, rules: &Rules) -> Result<(), BlockError> {
    let bytes_max = rules.params.block_bytes_max as usize;
    if block.len() > bytes_max {
        return Err(BlockError::Size { expected: bytes_max, got: block.len() });
    }
    let root = block.merkle_root();
    if block.header().root != root {
        return Err(BlockError::Root { expected: block.header().root, got: root });
    }
    Ok(())
}

impl Replica {
    pub(super) fn on_gossiped_block(&mut self, now: Time, from: PeerId, block: Block, out: &mut Out<Self>) -> Verdict {
        // Far below the tip blocks can be made for next to nothing. Who has a heavier branch there will claim it.
        if block.height().0.saturating_add(STALE_DEPTH) < self.state.height().0 {
            return Verdict::Ignore;
        }
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
        let parent = block.header().parent;
        if block.header().chain != self.chain.rules().chain {
            return Err(Fault::Header(HeaderError::ForeignChain));
        }
        match self.tree.get(&id).map(Node::status) {
            Some(Status::Body | Status::Valid) => return Ok(Taken::Known),
            Some(Status::Invalid) => return Err(Fault::Parent),
            Some(Status::Header) => {}
            None if self.tree.get(&parent).is_none() => {
                check_form(&block, self.chain.rules()).map_err(Fault::Block)?;
                self.orphans.insert(block);
                if let Some(peer) = from {
                    self.ask_headers(now, peer, out);
                }
                return Ok(Taken::Orphan);
            }
            None => {}
        }
        check_form(&block, self.chain.rules()).map_err(Fault::Block)?;
        self.take_header(now, block.header().clone(), out)?;
        self.take_body(block, out);
        self.adopt_orphans(now, id, out);
        let mut faults = self.follow(now, out);
        self.request_blocks(now, out);
        match faults.remove(&id) {
            Some(error) => Err(Fault::Block(error)),
            None if self.tree.get(&id).is_some_and(|node| node.status() == Status::Invalid) => Err(Fault::Parent),
            None => Ok(Taken::New),
        }
    }

    /// Puts a header whose parent is known into the tree and on disk.
    pub(super) fn take_header(&mut self, now: Time, header: Header, out: &mut Out<Self>) -> Result<BlockId, Fault> {
        let id = header.id();
        if self.tree.get(&id).is_some() {
            return Ok(id);
        }
        let parent = self.tree.get(&header.parent).expect("the caller looked the parent up");
        if parent.status() == Status::Invalid {
            return Err(Fault::Parent);
        }
        self.chain.pow().check(&self.tree, &header, now).map_err(Fault::Header)?;
        let weight = Pow::weight(&header);
        self.tree.insert(header, weight).expect("the header is new and its parent is known and not invalid");
        self.store_header(&id, out);
        Ok(id)
    }

    fn take_body(&mut self, block: Block, out: &mut Out<Self>) {
        let id = block.id();
        self.tree.set_status(&id, Status::Body);
        self.download.arrived(&id, block.len(), &mut self.links);
        out.persist(Record::body_key(id), Record::Body(block.clone()));
        self.bodies.insert(block);
        // Bodies that waited for this one are complete now, too, and their place among equals is kept.
        let mut stored = alloc::vec![id];
        while let Some(id) = stored.pop() {
            self.store_header(&id, out);
            let complete = self.tree.children(&id).filter(|child| child.completed().is_some()).map(Node::id);
            let first = stored.len();
            stored.extend(complete);
            stored[first..].reverse();
        }
    }

    /// Takes in what waited for `parent`, and what waited for that. Nobody is blamed for a bad orphan: who sent it is
    /// forgotten.
    fn adopt_orphans(&mut self, now: Time, parent: BlockId, out: &mut Out<Self>) {
        let mut parents = alloc::vec![parent];
        while let Some(parent) = parents.pop() {
            for child in self.orphans.take_children(&parent) {
                let id = child.id();
                if self.tree.get(&id).is_some_and(|node| node.status() != Status::Header) {
                    continue;
                }
                if self.take_header(now, child.header().clone(), out).is_ok() {
                    self.take_body(child, out);
                    parents.push(id);
                }
            }
        }
    }

    /// Moves the coins to the best tip, as far as blocks are in memory. Gives the blocks found invalid on the way.
    pub(super) fn follow(&mut self, now: Time, out: &mut Out<Self>) -> BTreeMap<BlockId, BlockError> {
        let mut faults = BTreeMap::new();
        loop {
            let best = self.tree.best().id();
            if self.journey.toward != best {
                let (disconnect, connect) = self.tree.path(&self.state.tip(), &best);
                self.journey.toward = best;
                self.journey.disconnect = disconnect.into();
                self.journey.connect = connect.into();
            }
            if self.journey.is_over() {
                self.settle(now, out);
                return faults;
            }
            match self.step_on(out) {
                Step::Invalid(id, error) => {
                    for gone in self.tree.invalidate(&id) {
                        self.store_header(&gone, out);
                    }
                    faults.insert(id, error);
                }
                Step::Moved => {}
                Step::Waiting => return faults,
            }
        }
    }

    fn step_on(&mut self, out: &mut Out<Self>) -> Step {
        if let Some(&id) = self.journey.disconnect.front() {
            return self.disconnect(id, out);
        }
        let &id = self.journey.connect.front().expect("a journey that is not over has a step");
        self.connect(id, out)
    }

    fn connect(&mut self, id: BlockId, out: &mut Out<Self>) -> Step {
        let Some(block) = self.bodies.get(&id) else { return self.load(Record::body_key(id), out) };
        let was_valid = self.tree.get(&id).is_some_and(|node| node.status() == Status::Valid);
        let signatures = if was_valid { Signatures::Trust } else { Signatures::Check };
        match block.connect(&self.state, self.chain.rules(), signatures) {
            Err(error) => return Step::Invalid(id, *error),
            Ok((state, undo)) => {
                self.state = state.clone();
                if !was_valid {
                    out.persist(Record::undo_key(id), Record::Undo(undo.clone()));
                }
            }
        }
        if !was_valid {
            self.tree.set_status(&id, Status::Valid);
            self.store_header(&id, out);
        }
        self.journey.connect.pop_front();
        let left = self.mempool.connected(&block);
        self.tell_conflicts(&block, &left.conflicted, out);
        self.own.decide(&block, &left.conflicted);
        Step::Moved
    }

    fn disconnect(&mut self, id: BlockId, out: &mut Out<Self>) -> Step {
        let Some(block) = self.bodies.get(&id) else { return self.load(Record::body_key(id), out) };
        let parent = block.header().parent;
        let known = self.bodies.get(&parent).and_then(|parent| Some(parent.connected()?.0.clone()));
        let undo = block.connected().map(|(_, undo)| undo);
        let before = match (known, undo) {
            (Some(state), _) => state,
            (None, Some(undo)) => self.state.disconnect(&block, undo),
            (None, None) if parent == self.chain.id() => self.chain.state().clone(),
            (None, None) => return self.load(Record::undo_key(id), out),
        };
        self.take_back(&block, before);
        Step::Moved
    }

    fn take_back(&mut self, block: &Block, before: State) {
        self.state = before;
        self.journey.disconnect.pop_front();
        for tx in block.payments().iter().rev() {
            self.journey.returned.push_front(tx.clone());
        }
        self.journey.has_undone = true;
        self.own.reopen(block);
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
                    && let Some(block) = self.bodies.get(&id)
                {
                    let before = self.state.disconnect(&block, &undo);
                    self.take_back(&block, before);
                }
            }
            Some(Record::Header(_) | Record::Payment(_)) => {}
            None => panic!("{key:?} was on disk: bodies and undo data are written with their header and never removed"),
        }
        if for_us {
            // Nobody is blamed: who sent the block is forgotten. What is best without it may have to be asked for.
            let faults = self.follow(now, out);
            if !faults.is_empty() {
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
        if tip != origin {
            let height = |id| self.tree.get(id).map_or(Height::GENESIS, Node::height);
            let fork = self.tree.common_ancestor(&origin, &tip).height();
            out.emit(Event::Tip { tip, height: self.state.height(), depth: height(&origin).0 - fork.0 });
        }
        self.mine(now, out);
    }

    pub(super) fn publish_block(&mut self, block: Block, out: &mut Out<Self>) {
        out.emit(Event::Publish(Item::Block(block)));
    }
}
