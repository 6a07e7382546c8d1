//! The block tree: one script per rule, then random growth against a model that looks at everything each time.

use alloc::vec;

use proptest::prelude::*;
use synod_machine::Time;

use super::*;
use crate::{ChainId, CompactTarget, Seal};

fn header(parent: BlockId, height: u64, draw: u64) -> Header {
    let seal = Seal::Declared { target: CompactTarget::MAX, draw };
    let (chain, root) = (ChainId::default(), synod_machine::Bytes::ZERO);
    Header { chain, parent, height: Height(height), time: Time::ZERO, root, seal }
}

fn tree() -> (BlockTree, BlockId) {
    let genesis = header(BlockId::default(), 0, 0);
    let id = genesis.id();
    (BlockTree::new(genesis, U256::from(1)), id)
}

fn weight(weight: u64) -> U256 {
    U256::from(weight)
}

/// Adds a block of that weight with its body.
fn grow(tree: &mut BlockTree, parent: BlockId, draw: u64, own: u64) -> BlockId {
    let id = announce(tree, parent, draw, own);
    tree.set_status(&id, Status::Body);
    id
}

/// Adds the header of a block.
fn announce(tree: &mut BlockTree, parent: BlockId, draw: u64, own: u64) -> BlockId {
    let height = tree.get(&parent).expect("known").height().next();
    tree.insert(header(parent, height.0, draw), weight(own)).expect("new").id
}

#[test]
fn a_new_tree_is_its_genesis() {
    let (tree, genesis) = tree();
    assert_eq!((tree.len(), tree.best().id(), tree.best_header().id()), (1, genesis, genesis));
    assert_eq!(tree.genesis().status(), Status::Valid);
    assert_eq!(tree.locator(&genesis), [genesis]);
    assert_eq!(tree.path(&genesis, &genesis), (vec![], vec![]));
    assert_eq!(tree.tips().map(Node::id).collect::<Vec<_>>(), [genesis]);
}

#[test]
fn headers_that_do_not_fit_are_refused() {
    let (mut tree, genesis) = tree();
    let first = announce(&mut tree, genesis, 1, 1);
    assert_eq!(tree.insert(header(genesis, 1, 1), weight(1)), Err(TreeError::Known { id: first }));
    let stranger = BlockId(synod_machine::Bytes([9; 32]));
    let id = header(stranger, 1, 1).id();
    assert_eq!(tree.insert(header(stranger, 1, 1), weight(1)), Err(TreeError::UnknownParent { id, parent: stranger }));
    let error = TreeError::Height { expected: Height(2), got: Height(3) };
    assert_eq!(tree.insert(header(first, 3, 1), weight(1)), Err(error));
    tree.invalidate(&first);
    let id = header(first, 2, 1).id();
    assert_eq!(tree.insert(header(first, 2, 1), weight(1)), Err(TreeError::InvalidParent { id }));
    assert_eq!(tree.len(), 2);
}

#[test]
fn a_chain_counts_from_when_its_bodies_are_complete() {
    let (mut tree, genesis) = tree();
    let one = announce(&mut tree, genesis, 1, 1);
    let two = announce(&mut tree, one, 2, 1);
    assert_eq!((tree.best().id(), tree.best_header().id()), (genesis, two));
    tree.set_status(&two, Status::Body);
    assert_eq!((tree.best().id(), tree.get(&two).and_then(Node::completed)), (genesis, None));
    tree.set_status(&one, Status::Body);
    assert_eq!(tree.best().id(), two);
    assert_eq!(tree.best().weight(), weight(3));
    tree.set_status(&two, Status::Valid);
    tree.set_status(&two, Status::Body);
    assert_eq!(tree.best().status(), Status::Valid, "what is known stays known");
}

#[test]
fn more_weight_wins_and_among_equals_the_first_complete() {
    let (mut tree, genesis) = tree();
    let early_header = announce(&mut tree, genesis, 1, 5);
    let early_body = grow(&mut tree, genesis, 2, 5);
    assert_eq!((tree.best().id(), tree.best_header().id()), (early_body, early_header));
    tree.set_status(&early_header, Status::Body);
    assert_eq!(tree.best().id(), early_body, "a tie changes nothing");
    let long = grow(&mut tree, early_header, 3, 1);
    assert_eq!(tree.best().id(), long);
    let heavy = grow(&mut tree, genesis, 4, 7);
    assert_eq!(tree.best().id(), heavy, "weight counts and not length");
    let tips: Vec<BlockId> = tree.tips().map(Node::id).collect();
    assert_eq!(tips, [heavy, long, early_body]);
}

#[test]
fn what_builds_on_an_invalid_block_is_invalid_and_the_next_best_takes_over() {
    let (mut tree, genesis) = tree();
    let base = grow(&mut tree, genesis, 1, 1);
    let bad = grow(&mut tree, base, 2, 1);
    let child = grow(&mut tree, bad, 3, 1);
    let grandchild = announce(&mut tree, child, 4, 1);
    assert_eq!((tree.best().id(), tree.best_header().id()), (child, grandchild));
    assert_eq!(tree.invalidate(&bad), [bad, child, grandchild]);
    assert_eq!((tree.best().id(), tree.best_header().id()), (base, base));
    assert_eq!(tree.invalidate(&bad), [], "known");
    tree.set_status(&grandchild, Status::Body);
    assert_eq!(tree.get(&grandchild).map(Node::status), Some(Status::Invalid), "and stays so");
    tree.set_status(&base, Status::Invalid);
    assert_eq!(tree.best().id(), genesis);
}

#[test]
fn a_restored_tree_is_the_one_that_was_stored() {
    let (mut tree, genesis) = tree();
    let one = grow(&mut tree, genesis, 1, 1);
    let two = grow(&mut tree, genesis, 2, 1);
    let mut restored = BlockTree::new(tree.genesis().shared_header().clone(), weight(1));
    for id in [two, one] {
        let node = tree.get(&id).expect("known");
        restored.insert_as(node.shared_header().clone(), weight(1), node.arrival()).expect("new");
    }
    assert_eq!(restored.best_header().id(), one, "the first to arrive, not the first to be restored");
    let next = announce(&mut restored, genesis, 3, 1);
    assert_eq!(restored.get(&next).map(Node::arrival), Some(3));
}

#[test]
#[should_panic(expected = "grows in weight")]
fn a_block_without_weight_is_our_own_mistake() {
    let (mut tree, genesis) = tree();
    let _ = tree.insert(header(genesis, 1, 0), U256::ZERO);
}

/// A chain of `count` blocks on `parent`, parent not included.
fn chain(tree: &mut BlockTree, parent: BlockId, count: u64, draw: u64) -> Vec<BlockId> {
    let mut ids = vec![parent];
    for _ in 0..count {
        let last = *ids.last().expect("the parent");
        ids.push(grow(tree, last, draw, 1));
    }
    ids.split_off(1)
}

#[test]
fn a_locator_names_the_last_ones_and_ever_fewer_before_them() {
    let (mut tree, genesis) = tree();
    let ids = chain(&mut tree, genesis, 100, 0);
    let heights: Vec<u64> = tree.locator(&ids[99]).iter().map(|id| tree.get(id).expect("its own").height().0).collect();
    assert_eq!(heights, [100, 99, 98, 97, 96, 95, 94, 93, 92, 91, 89, 85, 77, 61, 29, 0]);
}

#[test]
fn headers_follow_the_last_block_that_both_know() {
    let (mut tree, genesis) = tree();
    let ours = chain(&mut tree, genesis, 30, 0);
    let theirs = chain(&mut tree, ours[9], 15, 1);
    let locator = tree.locator(&theirs[14]);
    let headers = tree.headers_after(&locator, &ours[29], 5);
    // The fork is at height 10; the locator's first name on our chain is at height 10 or below.
    let first = headers.first().expect("some").height.0;
    assert!((1..=11).contains(&first), "{first}");
    assert_eq!(headers.len(), 5);
    assert_eq!(headers.iter().map(SharedHeader::id).collect::<Vec<_>>(), ours[first as usize - 1..][..5]);
    assert_eq!(tree.headers_after(&[ours[27]], &ours[29], 5).len(), 2);
    assert_eq!(tree.headers_after(&[ours[29]], &ours[29], 5), []);
    assert_eq!(tree.headers_after(&[], &ours[29], 3).first().map(|header| header.height), Some(Height(1)));
    assert_eq!(tree.headers_after(&[], &ours[29], 0), []);
    assert_eq!(tree.headers_after(&[], &BlockId::default(), 3), []);
}

#[test]
fn a_walk_over_a_long_chain_jumps() {
    let (mut tree, genesis) = tree();
    let ids = chain(&mut tree, genesis, 4_096, 0);
    let top = tree.place(&ids[4_095]);
    for height in [0_u64, 1, 63, 2_047, 2_048, 4_095] {
        let (mut place, mut steps) = (top, 0);
        while tree.at(place).height().0 > height {
            let node = tree.at(place);
            let jumps = tree.at(node.jump).height().0 >= height;
            place = if jumps { node.jump } else { node.parent };
            steps += 1;
        }
        // Twice the logarithm, and something for the odd ends.
        assert!(steps <= 30, "{steps} steps to {height}");
        assert_eq!(tree.ancestor(&ids[4_095], Height(height)).map(Node::height), Some(Height(height)));
    }
}

/// A tree as a list in which everything is looked up by scanning.
#[derive(Default)]
struct Model(Vec<ModelNode>);

struct ModelNode {
    id: BlockId,
    parent: usize,
    weight: u64,
    has_body: bool,
    completed: Option<u64>,
    invalid: bool,
}

impl Model {
    fn is_invalid(&self, at: usize) -> bool {
        self.0[at].invalid || (at != 0 && self.is_invalid(self.0[at].parent))
    }

    fn chain(&self, mut at: usize) -> Vec<BlockId> {
        let mut ids = vec![self.0[at].id];
        while at != 0 {
            at = self.0[at].parent;
            ids.push(self.0[at].id);
        }
        ids.reverse();
        ids
    }

    fn weight(&self, at: usize) -> u64 {
        self.0[at].weight + if at == 0 { 0 } else { self.weight(self.0[at].parent) }
    }

    fn is_complete(&self, at: usize) -> bool {
        self.0[at].has_body && (at == 0 || self.is_complete(self.0[at].parent))
    }

    fn best(&self, counts: impl Fn(usize) -> Option<u64>) -> BlockId {
        let candidates = (0..self.0.len()).filter(|&at| !self.is_invalid(at));
        let ranked = candidates.filter_map(|at| Some((core::cmp::Reverse(self.weight(at)), counts(at)?, at)));
        self.0[ranked.min().expect("the genesis").2].id
    }

    /// Compares everything that a tree can be asked.
    fn compare(&self, tree: &BlockTree, one: usize, other: usize) {
        assert_eq!(tree.best_header().id(), self.best(|at| Some(at as u64)));
        assert_eq!(tree.best().id(), self.best(|at| self.0[at].completed));
        let (left, right) = (self.chain(one), self.chain(other));
        let (from, to) = (self.0[one].id, self.0[other].id);
        let shared = left.iter().zip(&right).take_while(|(left, right)| left == right).count();
        assert_eq!(tree.common_ancestor(&from, &to).id(), left[shared - 1]);
        let down: Vec<BlockId> = left[shared..].iter().rev().copied().collect();
        assert_eq!(tree.path(&from, &to), (down, right[shared..].to_vec()));
        for height in 0..=left.len() {
            let found = tree.ancestor(&from, Height(height as u64)).map(Node::id);
            assert_eq!(found, left.get(height).copied());
        }
        assert_eq!(tree.is_on_chain(&from, &to), right.contains(&from));
        assert_eq!(tree.locator(&from).last(), Some(&self.0[0].id));
        for (at, model) in self.0.iter().enumerate() {
            let node = tree.get(&model.id).expect("known");
            assert_eq!(node.weight(), weight(self.weight(at)));
            assert_eq!(node.status() == Status::Invalid, self.is_invalid(at));
            let children = (1..self.0.len()).filter(|&child| self.0[child].parent == at);
            let children: Vec<BlockId> = children.map(|child| self.0[child].id).collect();
            assert_eq!(tree.children(&model.id).map(Node::id).collect::<Vec<_>>(), children);
            let is_tip = !self.is_invalid(at)
                && children.iter().all(|id| {
                    let child = self.0.iter().position(|node| node.id == *id).expect("known");
                    self.is_invalid(child)
                });
            assert_eq!(tree.tips().any(|tip| tip.id() == model.id), is_tip);
        }
    }
}

proptest! {
    #[test]
    fn a_tree_answers_as_a_scan_does(
        steps in prop::collection::vec((0_u8..8, any::<u16>(), any::<u16>(), 1_u64..4), 1..60),
    ) {
        let (mut tree, genesis) = tree();
        let root = ModelNode { id: genesis, parent: 0, weight: 1, has_body: true, completed: Some(0), invalid: false };
        let mut model = Model(vec![root]);
        let mut completions = 1;
        for (kind, pick, other, own) in steps {
            let at = usize::from(pick) % model.0.len();
            let id = model.0[at].id;
            match kind {
                0..=3 => {
                    let height = tree.get(&id).expect("known").height().next();
                    let header = header(id, height.0, u64::from(other));
                    let new = header.id();
                    let result = tree.insert(header, weight(own));
                    let known = model.0.iter().any(|node| node.id == new);
                    prop_assert_eq!(result.is_ok(), !known && !model.is_invalid(at));
                    if result.is_ok() {
                        let node =
                            ModelNode { id: new, parent: at, weight: own, has_body: false, completed: None, invalid: false };
                        model.0.push(node);
                    }
                }
                4..=6 => {
                    tree.set_status(&id, if kind == 6 { Status::Valid } else { Status::Body });
                    if !model.is_invalid(at) {
                        model.0[at].has_body = true;
                    }
                    // Those that are complete now and were not are numbered parents first.
                    let mut open = vec![at];
                    while let Some(at) = open.pop() {
                        let fresh = model.0[at].completed.is_none() && model.is_complete(at) && !model.is_invalid(at);
                        if fresh {
                            model.0[at].completed = Some(completions);
                            completions += 1;
                            open.extend((at + 1..model.0.len()).rev().filter(|&child| model.0[child].parent == at));
                        }
                    }
                }
                _ if at == 0 => {}
                _ => {
                    tree.invalidate(&id);
                    model.0[at].invalid = true;
                }
            }
            let other = usize::from(other) % model.0.len();
            model.compare(&tree, at, other);
        }
    }
}
