//! The block tree as several peers see it, drawn with its forks and with each peer's tip.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use synod_ledger::BlockId;
use synod_node::api::types::{NodeStatus, TreeNode};

use crate::shell::short;

/// A block, and who says what of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SharedNode {
    /// What the first peer that knows it says.
    #[serde(flatten)]
    node: TreeNode,
    /// On whose active chain it is.
    active_at: Vec<String>,
    /// Whose tip it is.
    tip_of: Vec<String>,
}

/// The union of several peers' trees.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    nodes: BTreeMap<BlockId, SharedNode>,
}

impl Tree {
    /// No blocks.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what `peer` knows.
    pub fn add(&mut self, peer: &str, tip: BlockId, nodes: Vec<TreeNode>) {
        for node in nodes {
            let (id, is_active) = (node.id, node.active);
            let empty = || SharedNode { node, active_at: Vec::new(), tip_of: Vec::new() };
            let shared = self.nodes.entry(id).or_insert_with(empty);
            if is_active {
                shared.active_at.push(peer.to_owned());
            }
            if id == tip {
                shared.tip_of.push(peer.to_owned());
            }
        }
    }

    /// All blocks, highest first.
    pub fn nodes(&self) -> Vec<&SharedNode> {
        let mut nodes: Vec<&SharedNode> = self.nodes.values().collect();
        nodes.sort_by_key(|shared| (std::cmp::Reverse(shared.node.height), shared.node.id));
        nodes
    }

    /// The tree as text, lowest block first. The heaviest branch goes straight down, others are set in beside it.
    pub fn draw(&self) -> String {
        let mut children: BTreeMap<BlockId, Vec<BlockId>> = BTreeMap::new();
        let mut best: BTreeMap<BlockId, Weight> = BTreeMap::new();
        // Highest first: what stands on a block is known before the block.
        for shared in self.nodes() {
            let own = weight(&shared.node);
            let heaviest = best.get(&shared.node.id).cloned().unwrap_or_default().max(own);
            best.insert(shared.node.id, heaviest.clone());
            if self.nodes.contains_key(&shared.node.parent) {
                children.entry(shared.node.parent).or_default().push(shared.node.id);
                let below = best.entry(shared.node.parent).or_default();
                *below = below.clone().max(heaviest);
            }
        }
        for list in children.values_mut() {
            list.sort_by_key(|id| (best.get(id).cloned(), *id));
        }
        let mut lines = Vec::new();
        let mut roots: Vec<&SharedNode> =
            self.nodes.values().filter(|shared| !self.nodes.contains_key(&shared.node.parent)).collect();
        roots.sort_by_key(|shared| (shared.node.height, shared.node.id));
        for root in roots {
            self.draw_branch(root.node.id, "", "", &children, &mut lines);
        }
        lines.join("\n")
    }

    /// Draws a block and all above it. `first` stands before its line, `rest` before the others.
    fn draw_branch(
        &self,
        root: BlockId,
        first: &str,
        rest: &str,
        children: &BTreeMap<BlockId, Vec<BlockId>>,
        lines: &mut Vec<String>,
    ) {
        let (mut next, mut prefix) = (Some(root), first);
        let mut drawn = BTreeSet::new();
        while let Some(id) = next {
            // A peer could answer with a circle; each block is drawn once.
            if !drawn.insert(id) {
                return;
            }
            lines.push(format!("{prefix}{}", line(&self.nodes[&id])));
            prefix = rest;
            let above = children.get(&id).map_or(&[][..], Vec::as_slice);
            let Some((main, sides)) = above.split_last() else { return };
            for side in sides {
                self.draw_branch(*side, &format!("{rest}├─ "), &format!("{rest}│  "), children, lines);
            }
            next = Some(*main);
        }
    }
}

/// A hexadecimal number without leading zeros, so that longer means larger.
type Weight = (usize, String);

fn weight(node: &TreeNode) -> Weight {
    (node.weight.len(), node.weight.clone())
}

fn line(shared: &SharedNode) -> String {
    let status = match shared.node.status {
        NodeStatus::Body => "  (not connected)",
        NodeStatus::Header => "  (header only)",
        NodeStatus::Invalid => "  (invalid)",
        NodeStatus::Valid => "",
    };
    let tips = if shared.tip_of.is_empty() { String::new() } else { format!("  <- {}", shared.tip_of.join(", ")) };
    format!("{}  {}{status}{tips}", shared.node.height, short(shared.node.id))
}

#[cfg(test)]
mod tests {
    use synod_ledger::Height;
    use synod_machine::Bytes;

    use super::*;

    fn id(number: u8) -> BlockId {
        BlockId(Bytes([number; 32]))
    }

    fn node(own: u8, parent: u8, height: u64, weight: &str) -> TreeNode {
        TreeNode {
            id: id(own),
            parent: id(parent),
            height: Height(height),
            status: NodeStatus::Valid,
            active: true,
            weight: weight.to_owned(),
        }
    }

    #[test]
    fn a_fork_is_set_in_beside_the_heaviest_branch() {
        let mut tree = Tree::new();
        let common = [node(1, 0, 4, "4"), node(2, 1, 5, "5")];
        let left = [node(3, 2, 6, "6"), node(4, 3, 7, "7"), node(5, 4, 8, "f")];
        let right = [node(6, 2, 6, "6"), node(7, 6, 7, "10")];
        tree.add("peer1", id(5), common.iter().chain(&left).cloned().collect());
        tree.add("peer2", id(7), common.iter().chain(&right).cloned().collect());
        let expected = "4  010101010101\n\
                        5  020202020202\n\
                        ├─ 6  030303030303\n\
                        │  7  040404040404\n\
                        │  8  050505050505  <- peer1\n\
                        6  060606060606\n\
                        7  070707070707  <- peer2";
        assert_eq!(tree.draw(), expected);
        assert_eq!(tree.nodes().len(), 7);
        assert_eq!(tree.nodes()[6].active_at, ["peer1", "peer2"]);
    }

    #[test]
    fn a_block_that_is_not_connected_says_so() {
        let mut tree = Tree::new();
        tree.add("peer1", id(1), vec![TreeNode { status: NodeStatus::Header, active: false, ..node(1, 1, 9, "1") }]);
        assert_eq!(tree.draw(), "", "a block on itself is no tree");
        let mut tree = Tree::new();
        tree.add("peer1", id(9), vec![TreeNode { status: NodeStatus::Header, active: false, ..node(1, 0, 9, "1") }]);
        assert_eq!(tree.draw(), "9  010101010101  (header only)");
    }
}
