//! Which of the ledger's blocks and payments fall to this peer to share.
//!
//! Every full peer has them all, and a few holders of each are enough. Who they are all peers work out alike, by the highest random weight
//! (Thaler and Ravishankar 1998, "Using name-based mappings to increase hit rates"): the peers whose identifiers, hashed with
//! the thing's, are the least. A peer that knows few of the others shares more than its part, and never less.

use std::collections::VecDeque;

use synod_dht::Id;
use synod_dht::discovery::Command as DiscoveryCommand;
use synod_dht::search::Item;
use synod_ledger::{Block, BlockId, Height};
use synod_machine::Bytes;
use synod_peer::{Command, Keeper};

use super::{Engine, EngineError};
use crate::ledger_items::{SharedPayment, block_item, payment_item};

/// Peers that share one thing.
const HOLDERS: usize = 3; // As many as have a record where nothing else is said.
/// Things of the ledger that a peer shares; beyond, the oldest are shared no longer.
const SHARED_MAX: usize = 1_024;
/// Blocks of the past that a peer shares when it starts.
const PAST: u64 = 256;
/// Payments of one block that a peer shares: telling the overlays of hundreds a second would take more than making them. The others are
/// to be had with their block.
const PAYMENTS_MAX: usize = 8;

/// What is shared of the ledger.
#[derive(Default)]
pub(super) struct Share {
    /// Up to here the active chain has been looked at.
    seen: Option<BlockId>,
    /// By age.
    hashes: VecDeque<Bytes<32>>,
}

impl Engine {
    /// The chain has a new tip: what fell to this peer since the last is shared.
    pub(super) fn share_ledger(&mut self, tip: BlockId, height: Height) -> Result<(), EngineError> {
        if !self.parts.overlays.ledger || self.host.protocol().discovery().is_none() {
            return Ok(());
        }
        // Who keeps headers alone has nothing to share.
        let Keeper::Full(replica) = self.host.protocol().keeper() else { return Ok(()) };
        let tree = replica.tree();
        // What a selfish miner keeps back is shared with what comes after it is out.
        let tip = self.host.protocol().shown(height, tip);
        let seen = self.share.seen.filter(|seen| tree.contains(seen));
        let start = seen.or_else(|| tree.ancestor(&tip, Height(height.0.saturating_sub(PAST))).map(|node| node.id()));
        let Some(start) = start else { return Ok(()) };
        let (_, fresh) = tree.path(&start, &tip);
        self.share.seen = Some(tip);
        for id in fresh {
            let keeper = self.host.protocol().keeper();
            let recent = if let Keeper::Full(replica) = keeper { replica.block(&id) } else { None };
            let block = match recent {
                Some(block) => Some(block),
                None => self.parts.handle.archive().block(&id)?,
            };
            if let Some(block) = block {
                self.share_block(&block);
            }
        }
        Ok(())
    }

    fn share_block(&mut self, block: &Block) {
        // Who claims no chain keeps no blocks.
        let keeper = self.host.protocol().keeper();
        let mut everybody: Vec<Id> = self.links.connected(|handle| keeper.claim(handle).is_some()).collect();
        let own = self.links.own().id;
        everybody.push(own);
        if falls_to(own, &everybody, &block.id().0) {
            self.offer(block_item(block));
        }
        let mine =
            (0..block.payments().len()).filter(|place| falls_to(own, &everybody, &block.payments()[*place].id().0));
        for place in mine.take(PAYMENTS_MAX) {
            let shared = SharedPayment::of(block, place).expect("the place is one of the block's");
            self.offer(payment_item(block, &shared));
        }
    }

    fn offer(&mut self, item: Option<Item>) {
        let Some(item) = item else { return };
        self.share.hashes.push_back(item.hash);
        self.provide(&item, true);
        self.follow_up.push_back(Command::Discovery(DiscoveryCommand::Offer(item)));
        if self.share.hashes.len() > SHARED_MAX
            && let Some(oldest) = self.share.hashes.pop_front()
        {
            self.remove(oldest);
        }
    }
}

/// Whether a thing falls to a peer, of all that it knows, itself among them.
fn falls_to(own: Id, everybody: &[Id], thing: &Bytes<32>) -> bool {
    let weight = |peer: Id| Id::of(&[Bytes::from(peer).0, thing.0].concat());
    let own = weight(own);
    everybody.iter().filter(|peer| weight(**peer) < own).count() < HOLDERS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thing_falls_to_three_of_all_peers_and_about_equally_often_to_each() {
        let everybody: Vec<Id> = (0..20_u8).map(|number| Id::of(&[number])).collect();
        let mut shares = [0; 20];
        for thing in 0..1_000_u32 {
            let thing = Bytes::from(Id::of(&thing.to_le_bytes()));
            let holders: Vec<usize> = (0..20).filter(|place| falls_to(everybody[*place], &everybody, &thing)).collect();
            assert_eq!(holders.len(), HOLDERS);
            holders.into_iter().for_each(|place| shares[place] += 1);
        }
        // 150 each on average; four standard deviations of a binomial of 1,000 and 0.15 are 45.
        assert!(shares.iter().all(|share| (105..195).contains(share)), "{shares:?}");
        let few = &everybody[..5];
        for thing in 0..100_u32 {
            let thing = Bytes::from(Id::of(&thing.to_le_bytes()));
            let holds = |place: usize| falls_to(everybody[place], &everybody, &thing);
            let alone = |place: usize| falls_to(everybody[place], few, &thing);
            assert!((0..5).all(|place| !holds(place) || alone(place)), "who knows fewer shares no less");
        }
    }
}
