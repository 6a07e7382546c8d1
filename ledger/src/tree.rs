//! The tree of block headers: who builds on whom, with how much weight, and which chain is best.
//!
//! Weights are given from outside: work, stake, or one per block. Of two chains of equal weight the one whose blocks
//! were complete first is best, so that nothing is gained by holding a block back.

mod chains;
mod walk;

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use chains::Tips;
use serde::{Deserialize, Serialize};

use crate::{BlockId, Header, Height, U256};

/// How much is known of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Status {
    /// Its header.
    Header,
    /// Its body too: it is stored.
    Body,
    /// That it connects to its parent's state.
    Valid,
    /// That it or one of its ancestors does not.
    Invalid,
}

/// A block in the tree.
#[derive(Clone, Debug)]
pub struct Node {
    id: BlockId,
    header: Arc<Header>,
    weight: U256,
    arrival: u64,
    completed: Option<u64>,
    status: Status,
    parent: Place,
    /// An ancestor further down, for long walks (Myers 1983, skew-binary jump pointers).
    jump: Place,
    children: Vec<Place>,
}

/// A node's place in the list.
type Place = u32;

impl Node {
    /// Its id.
    pub const fn id(&self) -> BlockId {
        self.id
    }

    /// Its header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Its header, shared.
    pub const fn shared_header(&self) -> &Arc<Header> {
        &self.header
    }

    /// Its height.
    pub fn height(&self) -> Height {
        self.header.height
    }

    /// Its weight and that of all its ancestors.
    pub const fn weight(&self) -> U256 {
        self.weight
    }

    /// Its number in the order in which headers came.
    pub const fn arrival(&self) -> u64 {
        self.arrival
    }

    /// Its number in the order in which chains became complete: it has a body and all its ancestors have. Nothing
    /// while that is not so.
    pub const fn completed(&self) -> Option<u64> {
        self.completed
    }

    /// What is known of it.
    pub const fn status(&self) -> Status {
        self.status
    }
}

/// What came of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inserted {
    /// Its id.
    pub id: BlockId,
    /// Its weight and that of all its ancestors.
    pub weight: U256,
    /// Whether it is now the best header.
    pub best_header: bool,
}

/// Why a header was not inserted, or is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// Its height is not its parent's plus one.
    #[error("height {got}, {expected} expected")]
    Height {
        /// The parent's plus one.
        expected: Height,
        /// The header's.
        got: Height,
    },
    /// Its parent is invalid, and so is it.
    #[error("block {id} builds on an invalid one")]
    InvalidParent {
        /// The header's id.
        id: BlockId,
    },
    /// It is in the tree.
    #[error("block {id} is known")]
    Known {
        /// The header's id.
        id: BlockId,
    },
    /// Its parent is not in the tree.
    #[error("the parent {parent} of block {id} is unknown")]
    UnknownParent {
        /// The header's id.
        id: BlockId,
        /// What it builds on.
        parent: BlockId,
    },
}

/// A tree of headers that grows from the genesis.
#[derive(Clone, Debug)]
pub struct BlockTree {
    nodes: Vec<Node>,
    index: BTreeMap<BlockId, Place>,
    /// The ends of chains of headers that are not invalid.
    header_tips: Tips,
    /// The ends of chains of bodies that are not invalid.
    body_tips: Tips,
    arrivals: u64,
    completions: u64,
}

impl BlockTree {
    /// A tree of the genesis, which is valid, and its weight.
    pub fn new(genesis: impl Into<Arc<Header>>, weight: U256) -> Self {
        let header = genesis.into();
        assert!(header.height == Height::GENESIS, "a tree grows from the genesis");
        let id = header.id();
        let root = Node {
            id,
            header,
            weight,
            arrival: 0,
            completed: Some(0),
            status: Status::Valid,
            parent: ROOT,
            jump: ROOT,
            children: Vec::new(),
        };
        let mut tree = Self {
            nodes: alloc::vec![root],
            index: BTreeMap::from([(id, ROOT)]),
            header_tips: Tips::default(),
            body_tips: Tips::default(),
            arrivals: 1,
            completions: 1,
        };
        tree.header_tips.add(weight, 0, ROOT);
        tree.body_tips.add(weight, 0, ROOT);
        tree
    }

    /// Adds a header with its own weight, which is above zero.
    pub fn insert(&mut self, header: impl Into<Arc<Header>>, weight: U256) -> Result<Inserted, TreeError> {
        self.insert_as(header, weight, self.arrivals)
    }

    /// Adds a header that came as number `arrival`, which no other did: how a tree is restored from a disk.
    pub fn insert_as(
        &mut self,
        header: impl Into<Arc<Header>>,
        weight: U256,
        arrival: u64,
    ) -> Result<Inserted, TreeError> {
        assert!(!weight.is_zero(), "a chain grows in weight, or its best end would not be its last block");
        let header = header.into();
        let id = header.id();
        if self.index.contains_key(&id) {
            return Err(TreeError::Known { id });
        }
        let unknown = TreeError::UnknownParent { id, parent: header.parent };
        let parent = *self.index.get(&header.parent).ok_or(unknown)?;
        let parent_node = self.node(parent);
        if parent_node.status == Status::Invalid {
            return Err(TreeError::InvalidParent { id });
        }
        let height = parent_node.height().next();
        if header.height != height {
            return Err(TreeError::Height { expected: height, got: header.height });
        }
        let weight = parent_node.weight.saturating_add(weight);
        let jump = self.jump_above(parent);
        let place = Place::try_from(self.nodes.len()).expect("a tree has fewer than 2^32 blocks");
        self.arrivals = self.arrivals.max(arrival + 1);
        let status = Status::Header;
        let children = Vec::new();
        self.nodes.push(Node { id, header, weight, arrival, completed: None, status, parent, jump, children });
        self.index.insert(id, place);
        self.nodes[parent as usize].children.push(place);
        self.header_tips.remove(&self.nodes[parent as usize], parent, |node| Some(node.arrival));
        self.header_tips.add(weight, arrival, place);
        Ok(Inserted { id, weight, best_header: self.header_tips.best() == place })
    }

    /// Notes that a block's body is stored ([`Status::Body`]) or that it connects to its parent's state
    /// ([`Status::Valid`]), which implies a body. What is known already, or is invalid, stays.
    pub fn set_status(&mut self, id: &BlockId, status: Status) {
        let place = self.place(id);
        match status {
            Status::Header => {}
            Status::Body | Status::Valid => {
                let node = &mut self.nodes[place as usize];
                node.status = node.status.max(status);
                self.complete_from(place);
            }
            Status::Invalid => {
                self.invalidate(id);
            }
        }
    }

    /// Notes that a block does not connect, and so that none does which builds on it. Gives those that were not known
    /// to be invalid, ancestors first. The genesis cannot be invalid.
    pub fn invalidate(&mut self, id: &BlockId) -> Vec<BlockId> {
        let first = self.place(id);
        assert!(first != ROOT, "the genesis is valid");
        let mut marked = Vec::new();
        let mut open = alloc::vec![first];
        while let Some(place) = open.pop() {
            let node = &mut self.nodes[place as usize];
            if node.status == Status::Invalid {
                continue;
            }
            node.status = Status::Invalid;
            marked.push(node.id);
            open.extend(&node.children);
            let node = &self.nodes[place as usize];
            self.header_tips.remove(node, place, |node| Some(node.arrival));
            self.body_tips.remove(node, place, |node| node.completed);
        }
        self.expose(self.node(first).parent);
        marked
    }

    /// The last block of the best chain whose blocks all have bodies and of which none is invalid: the most weight, and
    /// among equals the one that was complete first.
    pub fn best(&self) -> &Node {
        self.node(self.body_tips.best())
    }

    /// The last block of the best chain of headers of which none is invalid: the most weight, and among equals the one
    /// that came first.
    pub fn best_header(&self) -> &Node {
        self.node(self.header_tips.best())
    }

    /// The block of that id.
    pub fn get(&self, id: &BlockId) -> Option<&Node> {
        self.index.get(id).map(|&place| self.node(place))
    }

    /// Whether the block's header is here.
    pub fn contains(&self, id: &BlockId) -> bool {
        self.index.contains_key(id)
    }

    /// The first block.
    pub fn genesis(&self) -> &Node {
        self.node(ROOT)
    }

    /// The blocks that build on `id`, in the order they came.
    pub fn children(&self, id: &BlockId) -> impl Iterator<Item = &Node> + '_ {
        let children = self.get(id).map(|node| node.children.as_slice()).unwrap_or_default();
        children.iter().map(|&place| self.node(place))
    }

    /// The ends of all chains of headers that are not invalid, best first.
    pub fn tips(&self) -> impl Iterator<Item = &Node> + '_ {
        self.header_tips.iter().map(|place| self.node(place))
    }

    /// All blocks, parents before children.
    pub fn iter(&self) -> impl Iterator<Item = &Node> + '_ {
        self.nodes.iter()
    }

    /// How many blocks are here, the genesis among them.
    #[expect(clippy::len_without_is_empty, reason = "the genesis is always here")]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    fn node(&self, place: Place) -> &Node {
        &self.nodes[place as usize]
    }

    fn place(&self, id: &BlockId) -> Place {
        *self.index.get(id).expect("the block's header was inserted")
    }
}

/// The genesis's place.
const ROOT: Place = 0;

#[cfg(test)]
mod tests;
