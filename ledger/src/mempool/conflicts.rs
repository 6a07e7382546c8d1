//! Evidence of double spends, bounded: the oldest goes.

use alloc::collections::VecDeque;

use crate::{OutPoint, Tx, TxId};

/// A coin that its owner signed away twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The coin.
    pub coin: OutPoint,
    /// The payment that came first, or that a block confirmed.
    pub kept: TxId,
    /// The payment that was not taken, or had to go. Its signatures are good.
    pub seen: Tx,
}

#[derive(Clone, Debug)]
pub(super) struct Conflicts {
    conflicts_max: usize,
    list: VecDeque<Conflict>,
}

impl Conflicts {
    pub(super) const fn new(conflicts_max: usize) -> Self {
        Self { conflicts_max, list: VecDeque::new() }
    }

    /// Keeps a conflict unless it is known.
    pub(super) fn push(&mut self, conflict: Conflict) {
        let same = |known: &Conflict| known.coin == conflict.coin && known.seen.id() == conflict.seen.id();
        if self.list.iter().any(same) {
            return;
        }
        self.list.push_back(conflict);
        if self.list.len() > self.conflicts_max {
            self.list.pop_front();
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Conflict> + '_ {
        self.list.iter()
    }
}
