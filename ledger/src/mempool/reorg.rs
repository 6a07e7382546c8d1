//! What blocks do to the pool, when they are connected and when they are undone.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use super::{Admission, Conflict, Mempool};
use crate::check::check_coins;
use crate::{Block, Evidence, PublicKey, Rules, State, Tx, TxId};

/// Which payments left because a block was connected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Connected {
    /// They are in the block.
    pub confirmed: Vec<TxId>,
    /// They spend what the block spends, or stake of somebody whom it punishes, or depend on such a payment.
    pub conflicted: Vec<TxId>,
}

/// What changed because blocks were undone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revalidated {
    /// Payments of undone blocks that wait again.
    pub returned: Vec<TxId>,
    /// Payments that were here and are no longer valid, or had to go for lack of room.
    pub dropped: Vec<TxId>,
}

impl Mempool {
    /// Takes out what a connected block confirms and what can no longer be confirmed after it.
    pub fn connected(&mut self, block: &Block) -> Connected {
        let mut result = Connected::default();
        if self.is_empty() {
            return result;
        }
        for confirmed in block.payments() {
            let id = confirmed.id();
            if self.unlink(&id).is_some() {
                result.confirmed.push(id);
                continue;
            }
            for input in &confirmed.inputs {
                let Some(loser) = self.is_spent(&input.coin) else { continue };
                let seen = self.entry(&loser).tx.clone();
                self.conflicts.push(Conflict { coin: input.coin, kept: id, seen });
                result.conflicted.extend(self.remove_with_descendants(loser));
            }
        }
        for key in block.evidence().iter().filter_map(Evidence::key) {
            result.conflicted.extend(self.drop_stakes_of(key));
        }
        result
    }

    /// Takes out the payments that spend a stake which its owner has just lost. Stake that a payment here would make is
    /// not lost: it is younger.
    fn drop_stakes_of(&mut self, key: PublicKey) -> Vec<TxId> {
        let is_lost = |id: &TxId| {
            let entry = self.entry(id);
            let of_key = entry.tx.inputs.iter().any(|input| input.key == key);
            of_key && entry.stakes.iter().any(|coin| !self.contains(&coin.tx))
        };
        let found: Vec<TxId> = self.ids().filter(is_lost).collect();
        let mut dropped = Vec::new();
        for id in found {
            // It may have gone already, as a descendant of another one.
            if self.contains(&id) {
                dropped.extend(self.remove_with_descendants(id));
            }
        }
        dropped
    }

    /// Makes the pool fit `state` after a reorganisation. `returned` are the payments of the undone blocks, in the
    /// order of the chain; those that are still valid wait again, pinned if `is_pinned` says so. Then what is no longer
    /// valid goes, such as a payment out of a coinbase that is no more, and last what exceeds the bounds.
    pub fn revalidate(
        &mut self,
        state: &State,
        rules: &Rules,
        returned: impl IntoIterator<Item = Tx>,
        is_pinned: impl Fn(&TxId) -> bool,
    ) -> Revalidated {
        let mut back = BTreeSet::new();
        for tx in returned {
            let id = tx.id();
            let known = self.contains(&id);
            // Whatever is wrong with it now, nobody made a mistake: the new chain just has no place for it.
            if self.admit(state, rules, tx, is_pinned(&id), Admission::Returned).is_ok() && !known {
                back.insert(id);
            }
        }
        let mut dropped = self.drop_invalid(state, rules);
        dropped.extend(self.trim());
        let gone: BTreeSet<&TxId> = dropped.iter().collect();
        let returned = back.iter().filter(|id| !gone.contains(id)).copied().collect();
        dropped.retain(|id| !back.contains(id));
        Revalidated { returned, dropped }
    }

    fn drop_invalid(&mut self, state: &State, rules: &Rules) -> Vec<TxId> {
        let height = state.height().next();
        let is_invalid = |id: &TxId| {
            let tx = &self.entry(id).tx;
            check_coins(&self.over(state), rules, tx, height, |_, _| {}).is_err()
        };
        let invalid: Vec<TxId> = self.ids().filter(is_invalid).collect();
        let mut dropped = Vec::new();
        for id in invalid {
            // It may have gone already, as a descendant of another one.
            if self.contains(&id) {
                dropped.extend(self.remove_with_descendants(id));
            }
        }
        dropped
    }

    /// Evicts until the bounds hold, as far as what is held allows.
    fn trim(&mut self) -> Vec<TxId> {
        let mut dropped = Vec::new();
        while self.bytes > self.limits.bytes_max || self.len() > self.limits.payments_max {
            let Some((_, &worst)) = self.evictable.last_key_value() else { break };
            dropped.extend(self.remove_with_descendants(worst));
        }
        dropped
    }

    fn remove_with_descendants(&mut self, id: TxId) -> Vec<TxId> {
        let gone = self.with_descendants(id);
        for id in gone.iter().rev() {
            self.unlink(id);
        }
        gone
    }
}
