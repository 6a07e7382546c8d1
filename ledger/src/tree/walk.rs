//! Walks in the tree: ancestors, paths between blocks, locators for catching up.

use alloc::vec::Vec;

use super::{BlockTree, Node, Place, ROOT};
use crate::{BlockId, Height, SharedHeader};

impl BlockTree {
    /// The ancestor of `id` at `height`; the block itself at its own height, nothing above it or of an unknown block.
    pub fn ancestor(&self, id: &BlockId, height: Height) -> Option<&Node> {
        let place = self.find(id)?;
        self.ancestor_place(place, height).map(|place| self.at(place))
    }

    /// The headers of the chain that ends with `id`, newest first; none of an unknown block.
    pub fn ancestry(&self, id: &BlockId) -> impl Iterator<Item = &SharedHeader> + '_ {
        let below = |&place: &Place| Some(self.at(place).parent).filter(|_| place != ROOT);
        core::iter::successors(self.find(id), below).map(|place| &self.at(place).header)
    }

    /// Whether `ancestor` is on the chain that ends with `id`. A block is on its own chain.
    pub fn is_on_chain(&self, ancestor: &BlockId, id: &BlockId) -> bool {
        let Some(node) = self.get(ancestor) else { return false };
        self.ancestor(id, node.height()).is_some_and(|found| found.id() == *ancestor)
    }

    /// The last block that is on both chains. Both ends are in the tree.
    pub fn common_ancestor(&self, one: &BlockId, other: &BlockId) -> &Node {
        let (mut one, mut other) = (self.place(one), self.place(other));
        let height = self.at(one).height().min(self.at(other).height());
        one = self.ancestor_place(one, height).expect("the lower of both heights");
        other = self.ancestor_place(other, height).expect("the lower of both heights");
        while one != other {
            // Nodes of one height have jumps of one length.
            let (left, right) = (self.at(one), self.at(other));
            let jump = left.jump != right.jump;
            (one, other) = if jump { (left.jump, right.jump) } else { (left.parent, right.parent) };
        }
        self.at(one)
    }

    /// How to get from one block's state to another's: what to disconnect, the tip first, and then what to connect, in
    /// order.
    pub fn path(&self, from: &BlockId, to: &BlockId) -> (Vec<BlockId>, Vec<BlockId>) {
        let fork = self.common_ancestor(from, to).id();
        let down = self.chain_down(from, &fork);
        let mut up = self.chain_down(to, &fork);
        up.reverse();
        (down, up)
    }

    /// Names of blocks on the chain that ends with `id`, from which another peer finds the last one it knows: the last
    /// ones one by one, then in steps that double, and the genesis at the end.
    pub fn locator(&self, id: &BlockId) -> Vec<BlockId> {
        let mut place = self.place(id);
        let mut ids = Vec::new();
        let mut step = 1;
        while place != ROOT {
            let node = self.at(place);
            ids.push(node.id());
            if ids.len() >= LOCATOR_SINGLE {
                step *= 2;
            }
            let height = Height(node.height().0.saturating_sub(step));
            place = self.ancestor_place(place, height).expect("an ancestor's height");
        }
        ids.push(self.at(ROOT).id());
        ids
    }

    /// The headers after the first block of `locator` that is on the chain that ends with `tip`, in order, at most
    /// `headers_max`. With no such block they begin after the genesis; without `tip` there are none.
    pub fn headers_after(&self, locator: &[BlockId], tip: &BlockId, headers_max: usize) -> Vec<SharedHeader> {
        let Some(end) = self.get(tip) else { return Vec::new() };
        let known = locator.iter().find(|id| self.is_on_chain(id, tip)).and_then(|id| self.get(id));
        let start = known.map_or(Height::GENESIS, Node::height);
        let last = Height(start.0.saturating_add(headers_max as u64).min(end.height().0));
        let mut headers = Vec::new();
        let mut at = self.ancestor(tip, last).expect("not above the tip");
        while at.height() > start {
            headers.push(at.header.clone());
            at = self.at(at.parent);
        }
        headers.reverse();
        headers
    }

    /// The jump of a child of `parent`: as far as two jumps from there where both are of one length, else one step.
    pub(super) fn jump_above(&self, parent: Place) -> Place {
        let height = |place| self.at(place).height().0;
        let first = self.at(parent).jump;
        let second = self.at(first).jump;
        let equal = height(parent) - height(first) == height(first) - height(second);
        if equal { second } else { parent }
    }

    fn ancestor_place(&self, mut place: Place, height: Height) -> Option<Place> {
        if self.at(place).height() < height {
            return None;
        }
        while self.at(place).height() > height {
            let node = self.at(place);
            place = if self.at(node.jump).height() >= height { node.jump } else { node.parent };
        }
        Some(place)
    }

    /// From `from` down to the block above `to`, which is an ancestor.
    fn chain_down(&self, from: &BlockId, to: &BlockId) -> Vec<BlockId> {
        let mut node = self.at(self.place(from));
        let mut ids = Vec::new();
        while node.id() != *to {
            ids.push(node.id());
            node = self.at(node.parent);
        }
        ids
    }
}

/// How many blocks a locator names one by one.
const LOCATOR_SINGLE: usize = 10;
