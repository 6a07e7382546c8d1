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

#[cfg(test)]
mod tests {
    use alloc::vec;

    use synod_machine::Bytes;

    use super::*;
    use crate::testing;

    fn block(parent: u8, draw: u64) -> Block {
        let (rules, state) = testing::chain();
        let template = testing::block(&rules, &state, 1, 50, vec![]);
        let mut header = template.header().clone();
        header.parent = BlockId(Bytes([parent; 32]));
        header.seal = crate::Seal::Declared { target: crate::CompactTarget::MAX, draw };
        Block::new(header, template.coinbase().clone(), vec![])
    }

    fn on(parent: &Block) -> Block {
        let mut header = parent.header().clone();
        header.parent = parent.id();
        Block::new(header, parent.coinbase().clone(), vec![])
    }

    #[test]
    fn children_of_a_parent_come_back_in_order_of_arrival() {
        let mut orphans = Orphans::new(10, 10_000);
        let blocks = [block(1, 2), block(2, 0), block(1, 0), block(1, 1)];
        for block in &blocks {
            assert_eq!(orphans.insert(block.clone()), []);
        }
        assert_eq!(orphans.insert(blocks[0].clone()), [], "known");
        assert_eq!(orphans.len(), 4);
        let children = orphans.take_children(&BlockId(Bytes([1; 32])));
        assert_eq!(children, [blocks[0].clone(), blocks[2].clone(), blocks[3].clone()]);
        assert_eq!(orphans.take_children(&BlockId(Bytes([1; 32]))), []);
        assert!(orphans.contains(&blocks[1].id()));
        assert_eq!(orphans.bytes(), blocks[1].len());
        assert_eq!(orphans.take_children(&BlockId(Bytes([2; 32]))), [blocks[1].clone()]);
        assert!(orphans.is_empty());
        assert_eq!(orphans.bytes(), 0);
    }

    #[test]
    fn the_oldest_fall_out_beyond_either_bound() {
        let blocks = [block(1, 0), block(1, 1), block(1, 2)];
        let bytes = blocks[0].len();
        for (blocks_max, bytes_max) in [(2, 10_000), (10, 2 * bytes)] {
            let mut orphans = Orphans::new(blocks_max, bytes_max);
            assert_eq!(orphans.insert(blocks[0].clone()), []);
            assert_eq!(orphans.insert(blocks[1].clone()), [], "exactly full");
            assert_eq!(orphans.insert(blocks[2].clone()), [blocks[0].clone()]);
            assert!(!orphans.contains(&blocks[0].id()));
            assert_eq!(orphans.len(), 2);
        }
        let mut none = Orphans::new(10, bytes - 1);
        assert_eq!(none.insert(blocks[0].clone()), [blocks[0].clone()]);
        assert!(none.is_empty());
    }

    #[test]
    fn what_is_missing_is_below_the_lowest_orphan() {
        let mut orphans = Orphans::new(10, 10_000);
        let low = block(1, 0);
        let middle = on(&low);
        let high = on(&middle);
        for block in [&high, &low, &middle] {
            orphans.insert(block.clone());
        }
        assert_eq!(orphans.missing_root(&high.id()), Some(BlockId(Bytes([1; 32]))));
        assert_eq!(orphans.missing_root(&BlockId(Bytes([1; 32]))), None);
    }
}
