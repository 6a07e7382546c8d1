//! The rule that a chain's genesis names: what a header must show, and what it weighs in the choice between branches.
//!
//! One closed enum, matched here and where blocks are made. A replica generic over its engine was the other way: it would
//! have made every crate above generic as well, for a choice that is one name in a file.

use core::time::Duration;

use synod_ledger::{BlockId, BlockTree, Engine, Header, SharedHeader, U256};
use synod_machine::Time;

use crate::{Agreed, HeaderError, Pos, Pow};

/// What holds of a header on whatever engine: it is its parent's child, on the same chain.
pub(crate) fn check_place(parent: &Header, header: &Header) -> Result<(), HeaderError> {
    if header.chain != parent.chain {
        return Err(HeaderError::ForeignChain);
    }
    if header.height != parent.height.next() {
        return Err(HeaderError::Height { expected: parent.height.next().0, got: header.height.0 });
    }
    Ok(())
}

/// An engine's rule for headers, with a chain's parameters.
#[derive(Clone, Debug)]
pub enum Rule {
    /// Agreement of known validators.
    Pbft(Agreed),
    /// Proof of stake.
    Pos(Pos),
    /// Proof of work.
    Pow(Pow),
}

impl Rule {
    /// The rule of a checked genesis.
    pub fn new(engine: &Engine) -> Self {
        match engine {
            Engine::Pbft(params) => Self::Pbft(Agreed::new(params.clone())),
            Engine::Pos(params) => Self::Pos(Pos::new(params.clone())),
            Engine::Pow(params) => Self::Pow(Pow::new(params.clone())),
        }
    }

    /// The time that a block should take. Validators make them as payments come, and wait so long for more of those.
    pub const fn block_time(&self) -> Duration {
        match self {
            Self::Pbft(agreed) => Duration::from_millis(agreed.params().batch_delay_ms),
            Self::Pos(pos) => pos.block_time(),
            Self::Pow(pow) => pow.block_time(),
        }
    }

    /// Checks a header whose parent is in the tree.
    pub fn check(&self, tree: &BlockTree, header: &SharedHeader, now: Time) -> Result<(), HeaderError> {
        match self {
            Self::Pbft(agreed) => agreed.check(tree, header),
            Self::Pos(pos) => pos.check(tree, header, now),
            Self::Pow(pow) => pow.check(tree, header, now),
        }
    }

    /// What a header adds to the weight of its branch; the heaviest branch wins, ties go to the first seen.
    pub fn weight(&self, header: &SharedHeader) -> U256 {
        match self {
            Self::Pbft(_) => Agreed::weight(),
            Self::Pos(_) => Pos::weight(header),
            Self::Pow(_) => Pow::shared_weight(header),
        }
    }

    /// The earliest time that a block on `parent`, which is in the tree, may carry.
    pub fn earliest(&self, tree: &BlockTree, parent: &BlockId) -> Time {
        let header = || tree.get(parent).expect("the caller knows the parent").header();
        match self {
            Self::Pbft(_) => Agreed::earliest(header()),
            Self::Pos(_) => Pos::earliest(header()),
            Self::Pow(_) => Pow::earliest(tree, parent),
        }
    }
}
