//! Blocks that came before their parent: a pool bounded in number and bytes, out of which the oldest fall.
//!
//! Blocks are told apart by id, which names the header: whoever puts one in has compared its Merkle root, so that a
//! wrong body cannot stand in the right one's place.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::{Block, BlockId};

/// Blocks whose parent is unknown, by parent.
#[derive(Clone, Debug)]
pub struct Orphans {
    blocks_max: usize,
    bytes_max: usize,
    bytes: usize,
    arrivals: u64,
    by_arrival: BTreeMap<u64, Block>,
    by_id: BTreeMap<BlockId, u64>,
    /// Parent and child, so that the children of one parent are one range, in order of arrival.
    by_parent: BTreeMap<(BlockId, u64), BlockId>,
}

impl Orphans {
    /// An empty pool of at most so many blocks and bytes.
    pub const fn new(blocks_max: usize, bytes_max: usize) -> Self {
        Self {
            blocks_max,
            bytes_max,
            bytes: 0,
            arrivals: 0,
            by_arrival: BTreeMap::new(),
            by_id: BTreeMap::new(),
            by_parent: BTreeMap::new(),
        }
    }

    /// Keeps `block` unless it is there already, and gives the older ones that had to go. A block that alone exceeds
    /// the bounds comes straight back.
    pub fn insert(&mut self, block: Block) -> Vec<Block> {
        let id = block.id();
        if self.by_id.contains_key(&id) {
            return Vec::new();
        }
        let arrival = self.arrivals;
        self.arrivals += 1;
        self.bytes += block.len();
        self.by_id.insert(id, arrival);
        self.by_parent.insert((block.header().parent, arrival), id);
        self.by_arrival.insert(arrival, block);
        let mut evicted = Vec::new();
        while self.by_arrival.len() > self.blocks_max || self.bytes > self.bytes_max {
            let Some((&oldest, _)) = self.by_arrival.first_key_value() else { break };
            evicted.extend(self.remove(oldest));
        }
        evicted
    }

    /// Takes out the blocks that build on `parent`, in order of arrival.
    pub fn take_children(&mut self, parent: &BlockId) -> Vec<Block> {
        let children: Vec<u64> = self.children(parent).map(|(arrival, _)| arrival).collect();
        children.into_iter().filter_map(|arrival| self.remove(arrival)).collect()
    }

    /// Whether the block is here.
    pub fn contains(&self, id: &BlockId) -> bool {
        self.by_id.contains_key(id)
    }

    /// The unknown block that the chain of orphans below `id` hangs on: what to ask for. Nothing if `id` is not here.
    pub fn missing_root(&self, id: &BlockId) -> Option<BlockId> {
        let mut at = self.get(id)?;
        // A block's parent is a hash of older content, so that the walk cannot come back to where it was.
        while let Some(parent) = self.get(&at.header().parent) {
            at = parent;
        }
        Some(at.header().parent)
    }

    /// How many blocks are here.
    pub fn len(&self) -> usize {
        self.by_arrival.len()
    }

    /// Whether no block is here.
    pub fn is_empty(&self) -> bool {
        self.by_arrival.is_empty()
    }

    /// The sum of the encoded lengths.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    fn get(&self, id: &BlockId) -> Option<&Block> {
        self.by_id.get(id).and_then(|arrival| self.by_arrival.get(arrival))
    }

    fn children(&self, parent: &BlockId) -> impl Iterator<Item = (u64, BlockId)> + '_ {
        self.by_parent.range((*parent, 0)..=(*parent, u64::MAX)).map(|(&(_, arrival), &id)| (arrival, id))
    }

    fn remove(&mut self, arrival: u64) -> Option<Block> {
        let block = self.by_arrival.remove(&arrival)?;
        self.bytes -= block.len();
        self.by_id.remove(&block.id());
        self.by_parent.remove(&(block.header().parent, arrival));
        Some(block)
    }
}
