//! Choosing payments for a block.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::{Mempool, Rate};
use crate::{Tx, TxId};

impl Mempool {
    /// Payments for a block, of at most `bytes_max` bytes together: again and again the one with the best fee rate
    /// among those whose parents here are chosen. One that does not fit is passed over, with its children; after
    /// many in a row the block counts as full.
    pub fn select(&self, bytes_max: usize) -> Vec<Tx> {
        let mut chosen = Vec::new();
        let mut bytes_left = bytes_max;
        let mut misses = 0;
        // Parents still to be chosen, for each payment that was met before them.
        let mut waiting: BTreeMap<TxId, usize> = BTreeMap::new();
        let mut done: BTreeSet<TxId> = BTreeSet::new();
        // Payments that were met before their last parent was chosen; all pay better than what is yet to be met.
        let mut ready: BTreeMap<Rate, TxId> = BTreeMap::new();
        let mut rest = self.by_rate.iter();
        while misses < MISSES_MAX {
            let id = match ready.pop_first() {
                Some((_, id)) => id,
                None => {
                    let Some((_, &id)) = rest.next() else { break };
                    let parents = self.entry(&id).parents.iter().filter(|parent| !done.contains(*parent)).count();
                    if parents > 0 {
                        waiting.insert(id, parents);
                        continue;
                    }
                    id
                }
            };
            let entry = self.entry(&id);
            let Some(left) = bytes_left.checked_sub(entry.tx.len()) else {
                misses += 1;
                continue;
            };
            bytes_left = left;
            misses = 0;
            chosen.push(entry.tx.clone());
            done.insert(id);
            for child in &entry.children {
                let Some(parents) = waiting.get_mut(child) else { continue };
                *parents -= 1;
                if *parents == 0 {
                    waiting.remove(child);
                    ready.insert(self.entry(child).rate, *child);
                }
            }
        }
        chosen
    }
}

/// After so many payments in a row that do not fit, the search ends.
const MISSES_MAX: usize = 1_000;
