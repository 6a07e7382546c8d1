//! What a light peer's owner asks of it: which headers there are, and whether what others gave is in a block of the best
//! chain (Nakamoto 2008, section 8).

use synod_ledger::{Block, BlockId, Height, SharedHeader, Tx, merkle};
use synod_machine::Bytes;

use super::Light;

/// A header that is known, and how deep it lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Known<'a> {
    /// The header, which has the height.
    pub header: &'a SharedHeader,
    /// How many blocks of the best chain lie on it, itself among them; none where it is on another chain.
    pub confirmations: u64,
}

/// Something is in a block of the best chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proven {
    /// The block's height.
    pub height: Height,
    /// How many blocks of the best chain lie on it, itself among them.
    pub confirmations: u64,
}

/// Why what somebody gave is not proved to be in a block of the best chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LightError {
    /// The block is not on the best chain.
    #[error("block {id} at height {height} is not on the chain with most weight")]
    Branch {
        /// The block.
        id: BlockId,
        /// Its height.
        height: Height,
    },
    /// Validators agreed on two blocks of a height, and the block is not below it.
    #[error(
        "two blocks of height {expected} were agreed on, so that nothing from there on is final; this block is at {got}"
    )]
    Halted {
        /// That height.
        expected: Height,
        /// The block's.
        got: Height,
    },
    /// The Merkle proof is of another payment, of another block, or of none.
    #[error("the Merkle proof does not lead to the block's root {expected}")]
    Proof {
        /// The root.
        expected: Bytes<32>,
    },
    /// The body is another block's.
    #[error("the body has root {got}, the block's is {expected}")]
    Root {
        /// The header's.
        expected: Bytes<32>,
        /// The body's.
        got: Bytes<32>,
    },
    /// The block's header is not here, or not yet.
    #[error("the header of block {id} is not known")]
    Unknown {
        /// The block.
        id: BlockId,
    },
}

impl Light {
    /// The last header of the chain with most weight.
    pub fn best_header(&self) -> &SharedHeader {
        self.tree.best_header().shared_header()
    }

    /// The header of that id.
    pub fn header(&self, id: &BlockId) -> Option<Known<'_>> {
        let header = self.tree.get(id)?.shared_header();
        let best = self.tree.best_header();
        let is_on_best = self.tree.is_on_chain(id, &best.id());
        let confirmations = if is_on_best { best.height().0 - header.height.0 + 1 } else { 0 };
        Some(Known { header, confirmations })
    }

    /// The header of the best chain at that height.
    pub fn header_at(&self, height: Height) -> Option<&SharedHeader> {
        let best = self.tree.best_header().id();
        self.tree.ancestor(&best, height).map(|node| node.shared_header())
    }

    /// Whether a block that somebody gave is that of a header of the best chain: its transactions are those that the header
    /// commits to. Under a certificate that differs from the known one it is the same block.
    pub fn check_block(&self, block: &Block) -> Result<Proven, LightError> {
        let (header, proven) = self.place(&block.id())?;
        let (expected, got) = (header.root, block.merkle_root());
        if got == expected { Ok(proven) } else { Err(LightError::Root { expected, got }) }
    }

    /// Whether a payment, with just these signatures, is in a block of the best chain.
    pub fn check_payment(&self, block: &BlockId, tx: &Tx, proof: &merkle::Proof) -> Result<Proven, LightError> {
        let (header, proven) = self.place(block)?;
        let expected = header.root;
        if proof.verify(&tx.leaf(), &expected) { Ok(proven) } else { Err(LightError::Proof { expected }) }
    }

    /// Where a block of the best chain stands.
    fn place(&self, id: &BlockId) -> Result<(&SharedHeader, Proven), LightError> {
        let Known { header, confirmations } = self.header(id).ok_or(LightError::Unknown { id: *id })?;
        let height = header.height;
        if confirmations == 0 {
            return Err(LightError::Branch { id: *id, height });
        }
        match self.violation() {
            Some(violation) if violation.height <= height => {
                Err(LightError::Halted { expected: violation.height, got: height })
            }
            Some(_) | None => Ok((header, Proven { height, confirmations })),
        }
    }
}
