//! The tree of block headers: who builds on whom, with how much weight, and which chain is best.
//!
//! Weights are given from outside: work, stake, or one per block. Of two chains of equal weight the one whose blocks
//! were complete first is best, so that nothing is gained by holding a block back.

mod chains;
mod walk;

use alloc::vec::Vec;
use core::num::NonZeroU32;

use chains::{Numbering, Tips};
use hashbrown::HashTable;
use serde::{Deserialize, Serialize};

use crate::{BlockId, Header, Height, SharedHeader, U256};

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

/// A block's place in one tree: a short name for it there, which stays its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(NonZeroU32);

impl Place {
    /// The genesis's place.
    pub const ROOT: Self = Self(NonZeroU32::MIN);

    /// The place of the node that stands there in the list. One is added, so that no place at all takes no room.
    fn of(index: usize) -> Self {
        let number = u32::try_from(index + 1).ok().and_then(NonZeroU32::new);
        Self(number.expect("a tree has fewer than 2^32 blocks"))
    }

    const fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// A block in the tree. Its header, and what follows from that alone, is shared with all who know the block; the rest is
/// what this tree's owner knows of it, in few bytes, since a simulator keeps millions of them.
#[derive(Clone, Debug)]
pub struct Node {
    header: SharedHeader,
    weight: U256,
    arrival: u64,
    /// [`NEVER`] while its chain of bodies is not complete.
    completed: u64,
    parent: Place,
    /// An ancestor further down, for long walks (Myers 1983, skew-binary jump pointers).
    jump: Place,
    /// The first and the last that build on it, and the next one beside it; [`ROOT`], which is nobody's child, where
    /// there is none.
    first_child: Place,
    last_child: Place,
    sibling: Place,
    status: Status,
}

impl Node {
    /// Its id.
    pub fn id(&self) -> BlockId {
        self.header.id()
    }

    /// Its header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Its header, shared.
    pub const fn shared_header(&self) -> &SharedHeader {
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
        if self.completed == NEVER { None } else { Some(self.completed) }
    }

    /// The place of what it builds on; the genesis's is its own.
    pub const fn parent(&self) -> Place {
        self.parent
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
    /// Its place.
    pub place: Place,
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
    /// The places by id. It is asked and never walked through, so that its order means nothing.
    index: HashTable<Place>,
    /// The ends of chains of headers that are not invalid.
    header_tips: Tips,
    /// The ends of chains of bodies that are not invalid.
    body_tips: Tips,
    arrivals: u64,
    completions: u64,
}

impl BlockTree {
    /// A tree of the genesis, which is valid, and its weight.
    pub fn new(genesis: impl Into<SharedHeader>, weight: U256) -> Self {
        let header = genesis.into();
        assert!(header.height == Height::GENESIS, "a tree grows from the genesis");
        let mut tree = Self {
            nodes: Vec::new(),
            index: HashTable::new(),
            header_tips: Tips::new(Numbering::Arrival),
            body_tips: Tips::new(Numbering::Completion),
            arrivals: 1,
            completions: 1,
        };
        tree.push(Node { completed: 0, status: Status::Valid, ..Node::new(header, weight, 0, ROOT, ROOT) });
        tree
    }

    /// Adds a header with its own weight, which is above zero.
    pub fn insert(&mut self, header: impl Into<SharedHeader>, weight: U256) -> Result<Inserted, TreeError> {
        self.insert_as(header, weight, self.arrivals)
    }

    /// Adds a header that came as number `arrival`, which no other did: how a tree is restored from a disk.
    pub fn insert_as(
        &mut self,
        header: impl Into<SharedHeader>,
        weight: U256,
        arrival: u64,
    ) -> Result<Inserted, TreeError> {
        assert!(!weight.is_zero(), "a chain grows in weight, or its best end would not be its last block");
        let header = header.into();
        let id = header.id();
        if self.contains(&id) {
            return Err(TreeError::Known { id });
        }
        let unknown = TreeError::UnknownParent { id, parent: header.parent };
        let parent = self.find(&header.parent).ok_or(unknown)?;
        let parent_node = self.at(parent);
        if parent_node.status == Status::Invalid {
            return Err(TreeError::InvalidParent { id });
        }
        let height = parent_node.height().next();
        if header.height != height {
            return Err(TreeError::Height { expected: height, got: header.height });
        }
        let weight = parent_node.weight.saturating_add(weight);
        let jump = self.jump_above(parent);
        self.arrivals = self.arrivals.max(arrival + 1);
        let place = self.push(Node::new(header, weight, arrival, parent, jump));
        self.adopt(parent, place);
        self.header_tips.remove(&self.nodes, parent);
        self.header_tips.add(&self.nodes, place);
        Ok(Inserted { id, place, weight, best_header: self.header_tips.best() == place })
    }

    /// Notes that a block's body is stored ([`Status::Body`]) or that it connects to its parent's state
    /// ([`Status::Valid`]), which implies a body. What is known already, or is invalid, stays.
    pub fn set_status(&mut self, id: &BlockId, status: Status) {
        let place = self.place(id);
        match status {
            Status::Header => {}
            Status::Body | Status::Valid => {
                let node = &mut self.nodes[place.index()];
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
            let node = &mut self.nodes[place.index()];
            if node.status == Status::Invalid {
                continue;
            }
            node.status = Status::Invalid;
            marked.push(node.id());
            open.extend(self.children_of(place));
            self.header_tips.remove(&self.nodes, place);
            self.body_tips.remove(&self.nodes, place);
        }
        self.expose(self.at(first).parent);
        marked
    }

    /// The last block of the best chain whose blocks all have bodies and of which none is invalid: the most weight, and
    /// among equals the one that was complete first.
    pub fn best(&self) -> &Node {
        self.at(self.body_tips.best())
    }

    /// The last block of the best chain of headers of which none is invalid: the most weight, and among equals the one
    /// that came first.
    pub fn best_header(&self) -> &Node {
        self.at(self.header_tips.best())
    }

    /// The block of that id.
    pub fn get(&self, id: &BlockId) -> Option<&Node> {
        self.find(id).map(|place| self.at(place))
    }

    /// The place of the block of that id.
    pub fn find(&self, id: &BlockId) -> Option<Place> {
        // The last block is asked for most often, and is at hand.
        let last = self.nodes.len() - 1;
        if self.nodes[last].id() == *id {
            return Some(Place::of(last));
        }
        self.index.find(mix(id), |place| self.at(*place).id() == *id).copied()
    }

    /// The block at a place of this tree.
    pub fn at(&self, place: Place) -> &Node {
        &self.nodes[place.index()]
    }

    /// Whether the block's header is here.
    pub fn contains(&self, id: &BlockId) -> bool {
        self.find(id).is_some()
    }

    /// The first block.
    pub fn genesis(&self) -> &Node {
        self.at(ROOT)
    }

    /// The blocks that build on `id`, in the order they came.
    pub fn children(&self, id: &BlockId) -> impl Iterator<Item = &Node> + '_ {
        let place = self.find(id);
        place.into_iter().flat_map(|place| self.children_of(place)).map(|child| self.at(child))
    }

    /// The ends of all chains of headers that are not invalid, best first.
    pub fn tips(&self) -> impl Iterator<Item = &Node> + '_ {
        self.header_tips.iter().map(|place| self.at(place))
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

    /// The places of the blocks that build on the one at a place, in the order they came.
    pub fn children_of(&self, place: Place) -> impl Iterator<Item = Place> + '_ {
        let some = |place| Some(place).filter(|&place| place != ROOT);
        core::iter::successors(some(self.at(place).first_child), move |&child| some(self.at(child).sibling))
    }

    fn place(&self, id: &BlockId) -> Place {
        self.find(id).expect("the block's header was inserted")
    }

    /// Gives a node its place.
    fn push(&mut self, node: Node) -> Place {
        let place = Place::of(self.nodes.len());
        let hash = mix(&node.id());
        self.nodes.push(node);
        let nodes = &self.nodes;
        self.index.insert_unique(hash, place, |place| mix(&nodes[place.index()].id()));
        place
    }

    /// Adds the last one of a node's children.
    fn adopt(&mut self, parent: Place, child: Place) {
        let before = core::mem::replace(&mut self.nodes[parent.index()].last_child, child);
        if before == ROOT {
            self.nodes[parent.index()].first_child = child;
        } else {
            self.nodes[before.index()].sibling = child;
        }
    }
}

impl Node {
    /// A node of which the header is known, and nobody builds on.
    const fn new(header: SharedHeader, weight: U256, arrival: u64, parent: Place, jump: Place) -> Self {
        let (completed, status) = (NEVER, Status::Header);
        let (first_child, last_child, sibling) = (ROOT, ROOT, ROOT);
        Self { header, weight, arrival, completed, parent, jump, first_child, last_child, sibling, status }
    }
}

/// An id is a hash already. A proof of work begins with zeroes, so that the last bytes are taken: who wants many ids
/// that agree in them hashes as long as for work, and makes a look-up compare some more ids.
fn mix(id: &BlockId) -> u64 {
    let mut last = [0; 8];
    last.copy_from_slice(&id.0.0[24..]);
    u64::from_le_bytes(last)
}

const ROOT: Place = Place::ROOT;

/// The number of a chain of bodies that is not complete.
const NEVER: u64 = u64::MAX;

#[cfg(test)]
mod tests;
