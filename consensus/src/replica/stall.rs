//! Header chains whose blocks nobody gives.
//!
//! On a chain of stakes the first headers of a branch are proved by the coins below it ([`check_stake`](Replica::check_stake));
//! those far above are signed by whomever, and weigh as much as their maker likes. So the heaviest headers need not be
//! of a chain that exists, and whoever waits for their blocks waits for ever. A branch of which a block is missing for
//! long is therefore passed over: other branches are asked for, and their claims believed, as if it were not there. It is
//! tried again when there is nothing else to ask for, and forgiven when the block comes.
//!
//! Who said it has such a block is asked for no more headers until the block comes, from whomever, or until it gives
//! another one. It may be honest, and all that was asked of it lost on the way; and meanwhile our own branch may outgrow those
//! headers, so that nothing of theirs is wanted any more. So where it claims more than we have, it is asked for that block
//! instead, again and again: who has it gives it, and is believed again, and who never had it has nothing to show.
//!
//! On a chain of work such headers cost as much as blocks do, and with validators there are none.

use alloc::collections::BTreeSet;
use core::time::Duration;

use synod_ledger::{BlockId, Node, Status};
use synod_machine::Time;

use super::Replica;
use crate::links::Link;

/// A block that is missing for so long: three peers were asked for it in vain, each for its time.
const STALL_TIME_MAX: Duration = Duration::from_secs(30);
/// Missing blocks that are remembered. Each costs its maker a win of its stake, and who lies about them is asked no more.
const STALLED_MAX: usize = 64;

/// Which blocks do not come.
#[derive(Debug, Default)]
pub(super) struct Stalls {
    /// The first block that is missing, and since when it is the first.
    front: Option<(BlockId, Time)>,
    /// Those that did not come in time.
    missing: BTreeSet<BlockId>,
}

impl Stalls {
    /// A block came.
    pub(super) fn arrived(&mut self, id: &BlockId) {
        self.missing.remove(id);
    }

    /// Notes the first missing block, and says whether it has been that for too long.
    fn is_late(&mut self, now: Time, front: BlockId) -> bool {
        match self.front {
            Some((id, since)) if id == front => now.since(since) >= STALL_TIME_MAX,
            Some(_) | None => {
                self.front = Some((front, now));
                false
            }
        }
    }
}

impl Replica {
    /// The best header of which it is believed that its blocks can be had.
    pub(super) fn believed(&self) -> &Node {
        let best = self.tree.best_header();
        if self.stalls.missing.is_empty() {
            return best;
        }
        // What is here need not be an end of a chain of headers: one that does not come may build on it.
        let here = self.tree.best();
        self.tree.tips().find(|tip| !self.is_stalled(tip) && tip.weight() > here.weight()).unwrap_or(here)
    }

    /// The header whose blocks are asked for: the best that is believed, or else, where that has all its blocks, the best
    /// of all.
    pub(super) fn wanted(&self) -> &Node {
        let believed = self.believed();
        if believed.completed().is_some() { self.tree.best_header() } else { believed }
    }

    /// Passes over the branch of a missing block that nobody gave in time.
    pub(super) fn watch_stalls(&mut self, now: Time) {
        if self.chain.pos().is_none() {
            return;
        }
        let is_missing = |id: &&BlockId| self.tree.get(id).is_some_and(|node| node.status() == Status::Header);
        let front = self.download.planned().find(is_missing).copied();
        let Some(front) = front else {
            self.stalls.front = None;
            return;
        };
        if !self.stalls.is_late(now, front) || !self.stalls.missing.insert(front) {
            return;
        }
        if self.stalls.missing.len() > STALLED_MAX {
            // Which one is forgotten does not matter: it stalls again.
            self.stalls.missing.pop_first();
        }
        let tree = &self.tree;
        let claimants = self.links.iter_mut().filter(|link| link.has(tree, &front));
        claimants.for_each(|link| link.withholds(front));
    }

    /// The block that a peer said it has and that never came, from nobody.
    pub(super) fn withheld_by(&self, link: &Link) -> Option<BlockId> {
        link.withheld().filter(|id| match self.tree.get(id).map(Node::status) {
            Some(Status::Header | Status::Invalid) => true,
            Some(Status::Body | Status::Valid) | None => false,
        })
    }

    fn is_stalled(&self, tip: &Node) -> bool {
        self.stalls.missing.iter().any(|id| self.tree.is_on_chain(id, &tip.id()))
    }
}
