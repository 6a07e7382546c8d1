//! The Merkle tree of a block's transactions, and proofs that one is among them.
//!
//! Leaves, inner nodes and the root are hashed under different tags, an odd node is promoted and not doubled
//! (CVE-2012-2459), and the root commits to the number of leaves, so that no two lists of leaves share a root.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use synod_machine::Bytes;

/// The root over `leaves`, in order.
pub fn root(leaves: &[Bytes<32>]) -> Bytes<32> {
    let mut row = leaves.to_vec();
    while row.len() > 1 {
        row = above(&row);
    }
    finish(leaves.len() as u64, row.first().unwrap_or(&Bytes::ZERO))
}

/// Where a leaf stands and the hashes needed to get from it to the root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// The leaf's place, from zero.
    pub index: u64,
    /// How many leaves the tree has.
    pub leaves: u64,
    /// The neighbours on the way up; none where an odd node is promoted.
    pub siblings: Vec<Bytes<32>>,
}

impl Proof {
    /// The proof for the leaf at `index`, which is one of `leaves`.
    pub fn new(leaves: &[Bytes<32>], index: usize) -> Self {
        assert!(index < leaves.len(), "only a leaf of the tree has a proof");
        let mut row = leaves.to_vec();
        let mut place = index;
        let mut siblings = Vec::new();
        while row.len() > 1 {
            siblings.extend(row.get(place ^ 1));
            row = above(&row);
            place /= 2;
        }
        Self { index: index as u64, leaves: leaves.len() as u64, siblings }
    }

    /// Whether `leaf` stands at this place of the tree with this root.
    pub fn verify(&self, leaf: &Bytes<32>, root: &Bytes<32>) -> bool {
        if self.index >= self.leaves {
            return false;
        }
        let (mut place, mut width) = (self.index, self.leaves);
        let mut siblings = self.siblings.iter();
        let mut hash = *leaf;
        while width > 1 {
            if place ^ 1 < width {
                let Some(sibling) = siblings.next() else { return false };
                hash = if place % 2 == 0 { node(&hash, sibling) } else { node(sibling, &hash) };
            }
            place /= 2;
            width = width.div_ceil(2);
        }
        siblings.next().is_none() && finish(self.leaves, &hash) == *root
    }
}

fn above(row: &[Bytes<32>]) -> Vec<Bytes<32>> {
    let parent = |pair: &[Bytes<32>]| match pair {
        [left, right] => node(left, right),
        odd => odd[0],
    };
    row.chunks(2).map(parent).collect()
}

fn node(left: &Bytes<32>, right: &Bytes<32>) -> Bytes<32> {
    let mut hasher = Sha256::new();
    hasher.update(b"\x0bmerkle node");
    hasher.update(left);
    hasher.update(right);
    Bytes(hasher.finalize().into())
}

fn finish(leaves: u64, top: &Bytes<32>) -> Bytes<32> {
    let mut hasher = Sha256::new();
    hasher.update(b"\x0bmerkle root");
    hasher.update(leaves.to_le_bytes());
    hasher.update(top);
    Bytes(hasher.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(count: u8) -> Vec<Bytes<32>> {
        (0..count).map(|number| Bytes([number; 32])).collect()
    }

    #[test]
    fn every_leaf_of_small_trees_has_a_proof_and_no_other_claim_has() {
        for count in 1..=33 {
            let leaves = numbered(count);
            let root = root(&leaves);
            for (index, leaf) in leaves.iter().enumerate() {
                let proof = Proof::new(&leaves, index);
                assert!(proof.verify(leaf, &root), "leaf {index} of {count}");
                assert!(!proof.verify(&Bytes([0xff; 32]), &root), "another leaf");
                assert!(!proof.verify(leaf, &Bytes([0xff; 32])), "another root");
                tamper(&proof, leaf, &root);
            }
        }
    }

    fn tamper(proof: &Proof, leaf: &Bytes<32>, root: &Bytes<32>) {
        for index in 0..=proof.leaves {
            let other = Proof { index, ..proof.clone() };
            assert_eq!(other.verify(leaf, root), index == proof.index, "place {index} for {proof:?}");
        }
        for leaves in 0..=proof.leaves + 2 {
            let other = Proof { leaves, ..proof.clone() };
            assert_eq!(other.verify(leaf, root), leaves == proof.leaves, "{leaves} leaves for {proof:?}");
        }
        for place in 0..proof.siblings.len() {
            let mut other = proof.clone();
            other.siblings[place].0[31] ^= 1;
            assert!(!other.verify(leaf, root), "another sibling");
            other = proof.clone();
            other.siblings.remove(place);
            assert!(!other.verify(leaf, root), "a sibling less");
        }
        let mut longer = proof.clone();
        longer.siblings.push(Bytes([9; 32]));
        assert!(!longer.verify(leaf, root), "a sibling more");
    }

    #[test]
    fn no_two_lists_of_leaves_share_a_root() {
        let mut roots: Vec<_> = (0..=33).map(|count| root(&numbered(count))).collect();
        // CVE-2012-2459: a list whose last leaves are doubled.
        let [one, two, three] = [Bytes([0; 32]), Bytes([1; 32]), Bytes([2; 32])];
        roots.push(root(&[one, two, three, three]));
        roots.push(root(&[one, one]));
        roots.push(root(&[two, one]));
        // An inner node in the place of a leaf.
        roots.push(root(&[node(&one, &two), three]));
        let all = roots.len();
        roots.sort_unstable();
        roots.dedup();
        assert_eq!(roots.len(), all);
    }

    #[test]
    fn an_odd_node_is_promoted() {
        let [one, two, three] = [Bytes([0; 32]), Bytes([1; 32]), Bytes([2; 32])];
        assert_eq!(root(&[one, two, three]), finish(3, &node(&node(&one, &two), &three)));
    }
}
