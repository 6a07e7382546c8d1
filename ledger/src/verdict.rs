//! What was found out about a block, for all who share it and for as long as one of them needs it.
//!
//! A state holds tables of coins. Blocks stay alive for as long as anybody keeps them, which in a simulator, whose disks are in memory,
//! is for ever; were each to hold on to its state, a hundred blocks of ten thousand changes would hold most of a
//! gigabyte. So a block knows its outcome by a weak reference, and who works with recent blocks holds the strong ones.

use alloc::sync::{Arc, Weak};

use spin::Mutex;

use crate::{BlockError, State, Undo};

/// What connecting a block gave.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The coins after it.
    pub state: State,
    /// What is needed to come back.
    pub undo: Arc<Undo>,
}

/// A verdict that is remembered. The lock is held for a copy or a comparison and never while a block is connected.
#[derive(Default)]
pub(crate) struct Verdict(Mutex<Memory>);

#[derive(Default)]
enum Memory {
    #[default]
    Nothing,
    Connects(Weak<Outcome>),
    Fails(BlockError),
}

impl Verdict {
    /// What is remembered, if it is and somebody still holds it.
    pub(crate) fn get(&self) -> Option<Result<Arc<Outcome>, BlockError>> {
        match &*self.0.lock() {
            Memory::Nothing => None,
            Memory::Connects(outcome) => outcome.upgrade().map(Ok),
            Memory::Fails(error) => Some(Err(*error)),
        }
    }

    /// Remembers a verdict and gives it back. One that somebody else found meanwhile, and holds, is given instead, so
    /// that all hold the same.
    pub(crate) fn set(&self, found: Result<Arc<Outcome>, BlockError>) -> Result<Arc<Outcome>, BlockError> {
        let mut memory = self.0.lock();
        if let Memory::Connects(outcome) = &*memory
            && let Some(outcome) = outcome.upgrade()
        {
            return Ok(outcome);
        }
        *memory = match &found {
            Ok(outcome) => Memory::Connects(Arc::downgrade(outcome)),
            Err(error) => Memory::Fails(*error),
        };
        found
    }
}
