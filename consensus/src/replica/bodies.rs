//! Recent blocks in memory, the rest on disk.

use alloc::collections::{BTreeMap, BTreeSet};

use synod_ledger::{Block, BlockId, Height};

/// A bounded set of blocks; the lowest leave first.
#[derive(Debug)]
pub(super) struct Bodies {
    blocks: BTreeMap<BlockId, Block>,
    order: BTreeSet<(Height, BlockId)>,
    bytes: usize,
    bytes_max: usize,
    blocks_max: usize,
}

impl Bodies {
    pub(super) fn new(blocks_max: usize, bytes_max: usize) -> Self {
        assert!(blocks_max >= 2, "a step needs a block and its parent");
        Self { blocks: BTreeMap::new(), order: BTreeSet::new(), bytes: 0, bytes_max, blocks_max }
    }

    pub(super) fn get(&self, id: &BlockId) -> Option<Block> {
        self.blocks.get(id).cloned()
    }

    /// Takes a block in and lets the lowest others go, but never this one.
    pub(super) fn insert(&mut self, block: Block) {
        let id = block.id();
        let height = block.header().height;
        self.bytes += block.len();
        if let Some(before) = self.blocks.insert(id, block) {
            self.bytes -= before.len();
        }
        self.order.insert((height, id));
        while self.blocks.len() > self.blocks_max || (self.bytes > self.bytes_max && self.blocks.len() > 2) {
            let lowest = self.order.iter().find(|(_, other)| *other != id).copied();
            let Some((height, lowest)) = lowest else { return };
            self.order.remove(&(height, lowest));
            if let Some(gone) = self.blocks.remove(&lowest) {
                self.bytes -= gone.len();
            }
        }
    }

    pub(super) fn check(&self) {
        assert!(self.blocks.len() <= self.blocks_max, "the blocks in memory are bounded");
        assert!(self.blocks.len() == self.order.len(), "each block has its place in the order");
    }
}
