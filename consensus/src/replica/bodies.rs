//! Recent blocks in memory, the rest on disk.

use alloc::collections::VecDeque;
use alloc::sync::Arc;

use synod_ledger::{Block, BlockId, Height, Outcome};

/// A block with what connecting it gave: the block itself knows its outcome only as long as somebody holds it.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) block: Block,
    pub(super) outcome: Option<Arc<Outcome>>,
}

/// A bounded set of blocks; the lowest leave first.
#[derive(Debug)]
pub(super) struct Bodies {
    /// By height, and by id among equals. New blocks come in at the end as a rule.
    blocks: VecDeque<Held>,
    bytes: usize,
    bytes_max: usize,
    blocks_max: usize,
}

impl Bodies {
    pub(super) fn new(blocks_max: usize, bytes_max: usize) -> Self {
        assert!(blocks_max >= 2, "a step needs a block and its parent");
        Self { blocks: VecDeque::new(), bytes: 0, bytes_max, blocks_max }
    }

    /// The block of that id, which is at that height.
    pub(super) fn get(&self, height: Height, id: &BlockId) -> Option<&Held> {
        self.find(height, id).ok().map(|place| &self.blocks[place])
    }

    /// Keeps what connecting a block gave for as long as the block is here.
    pub(super) fn hold(&mut self, block: &Block, outcome: Arc<Outcome>) {
        if let Ok(place) = self.find(block.height(), &block.id()) {
            self.blocks[place].outcome = Some(outcome);
        }
    }

    /// Takes a block in and lets the lowest others go, but never this one.
    pub(super) fn insert(&mut self, block: Block) {
        let (id, outcome) = (block.id(), block.connected());
        self.bytes += block.len();
        let held = Held { block, outcome };
        match self.find(held.block.height(), &id) {
            Ok(place) => {
                let before = core::mem::replace(&mut self.blocks[place], held);
                self.bytes -= before.block.len();
            }
            Err(place) => self.blocks.insert(place, held),
        }
        while self.blocks.len() > self.blocks_max || (self.bytes > self.bytes_max && self.blocks.len() > 2) {
            let lowest = usize::from(self.blocks[0].block.id() == id);
            if let Some(gone) = self.blocks.remove(lowest) {
                self.bytes -= gone.block.len();
            }
        }
        assert!(self.blocks.len() <= self.blocks_max, "the blocks in memory are bounded");
    }

    /// Where it is, or else would be.
    fn find(&self, height: Height, id: &BlockId) -> Result<usize, usize> {
        let wanted = (height, *id);
        let rank = |held: &Held| (held.block.height(), held.block.id());
        match self.blocks.back().map(rank) {
            None => Err(0),
            Some(last) if last < wanted => Err(self.blocks.len()),
            Some(last) if last == wanted => Ok(self.blocks.len() - 1),
            Some(_) => self.blocks.binary_search_by_key(&wanted, rank),
        }
    }
}
