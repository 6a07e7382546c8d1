//! What becomes of payments: what was acknowledged is kept, what was confirmed stays.

use std::collections::BTreeSet;

use synod_ledger::{Mempool, Tx, TxId};
use synod_machine::PeerId;
use synod_peer::Peer;
use synod_sim::World;

use super::{Judge, Looked, Oracle, Verdict};
use crate::{Deed, Trial};

impl Judge {
    /// What a peer acknowledged waits in its mempool or is in its chain, or has no place there any more.
    pub(super) fn judge_promises(&self, world: &World<Trial>, peer: PeerId, host: &Peer) -> Looked {
        let (pool, tip) = (host.replica().mempool(), host.replica().tip());
        let Some(tip) = self.model.find(&tip) else { return Ok(()) };
        let path = self.model.path(tip);
        for (id, promise) in world.experiment().acknowledged() {
            if promise.by != peer || self.is_forgotten(peer, promise.at) || pool.contains(id) {
                continue;
            }
            if !self.model.has(&path, id) && self.is_possible(world, pool, &path, &promise.tx) {
                let reason = format!(
                    "peer {} acknowledged payment {:?} at {}, and has it neither in its chain nor waiting",
                    peer.0, id.0, promise.at
                );
                return Err(Verdict::Unsafe(Oracle::Promise, reason));
            }
        }
        Ok(())
    }

    /// Whether a payment is in the chain of every peer that is up.
    pub(super) fn is_everywhere(&self, world: &World<Trial>, tx: &Tx) -> bool {
        let peers = world.net().peers().filter(|peer| !self.is_faulty(*peer));
        let mut hosts = peers.filter_map(|peer| world.net().protocol(peer));
        hosts.all(|host| {
            let tip = self.model.find(&host.replica().tip());
            tip.is_some_and(|tip| self.model.has(&self.model.path(tip), &tx.id()))
        })
    }

    /// Whether a payment was refused, or cannot be confirmed any more where it was acknowledged.
    pub(super) fn is_hopeless(&self, world: &World<Trial>, tx: &Tx) -> bool {
        let id = tx.id();
        let Some(promise) = world.experiment().acknowledged().get(&id) else { return true };
        let Some(replica) = world.net().protocol(promise.by).map(Peer::replica) else { return false };
        let Some(tip) = self.model.find(&replica.tip()) else { return false };
        let is_there = |input: &synod_ledger::TxInput| self.model.at(tip).coins.contains_key(&input.coin);
        !self.model.has(&self.model.path(tip), &id) && !tx.inputs.iter().all(is_there)
    }

    /// What was confirmed at some peer is confirmed at the end or waits again. It may have lost its coins to a payment that
    /// is, but then only by a reorganisation as deep as the confirmations, which fork choice has to answer for.
    pub(super) fn judge_finality(&self, world: &World<Trial>) -> Looked {
        let net = world.net();
        let peers = net.peers().filter(|peer| !self.is_faulty(*peer));
        let hosts: Vec<&Peer> = peers.filter_map(|peer| net.protocol(peer)).collect();
        let Some(tip) = hosts.first().and_then(|host| self.model.find(&host.replica().tip())) else { return Ok(()) };
        let path = self.model.path(tip);
        let main: BTreeSet<usize> = path.iter().copied().collect();
        if self.plan.chain.agreed().is_some() {
            return match self.firm.difference(&main).next() {
                Some(place) => {
                    let id = self.model.at(*place).block.id().0;
                    let reason = format!("block {id:?} was decided, and is not on the chain at the end");
                    Err(Verdict::Unsafe(Oracle::Finality, reason))
                }
                None => Ok(()),
            };
        }
        if self.plan.deeds.iter().any(|(_, deed)| matches!(deed, Deed::Wipe { .. })) {
            return Ok(()); // Who had the branch may have been made to forget it.
        }
        for place in self.firm.difference(&main) {
            for tx in self.model.at(*place).block.payments() {
                let id = tx.id();
                if self.model.has(&path, &id) {
                    continue;
                }
                let waits = hosts.iter().any(|host| host.replica().mempool().contains(&id));
                // A rival that waits somewhere may yet be confirmed, and until then it keeps the payment out.
                let is_free = || hosts.iter().all(|host| self.is_possible(world, host.replica().mempool(), &path, tx));
                if !waits && is_free() {
                    let depth = self.plan.confirmations;
                    let reason =
                        format!("payment {:?} was confirmed {depth} blocks deep, and is lost at the end", id.0);
                    return Err(Verdict::Unsafe(Oracle::Finality, reason));
                }
            }
        }
        Ok(())
    }

    /// Whether a payment could be in the next block on a chain, or wait for one with those that wait already.
    fn is_possible(&self, world: &World<Trial>, pool: &Mempool, path: &[usize], tx: &Tx) -> bool {
        let mut ancestors = BTreeSet::new();
        let limits = &self.plan.limits.mempool;
        let has_room = pool.len() < limits.payments_max && pool.bytes() + tx.len() <= limits.bytes_max;
        has_room && self.could_follow(world, pool, path, tx, &mut ancestors) && ancestors.len() <= limits.ancestors_max
    }

    /// Whether everything that a payment spends is there to be spent. `ancestors` are the unconfirmed payments that it needs.
    fn could_follow(
        &self,
        world: &World<Trial>,
        pool: &Mempool,
        path: &[usize],
        tx: &Tx,
        ancestors: &mut BTreeSet<TxId>,
    ) -> bool {
        let id = tx.id();
        let tip = self.model.at(*path.last().expect("a chain has its genesis"));
        tx.inputs.iter().all(|input| {
            // Of two payments that wait the first keeps its place.
            if pool.is_spent(&input.coin).is_some_and(|rival| rival != id) {
                return false;
            }
            if let Some(coin) = tip.coins.get(&input.coin) {
                let maturity = self.plan.chain.genesis().ledger.maturity;
                return !coin.is_reward || tip.height + 1 >= coin.height + maturity;
            }
            let maker = input.coin.tx;
            if self.model.has(path, &maker) {
                return false; // Made, and spent by another.
            }
            ancestors.insert(maker);
            let promised = world.experiment().acknowledged().get(&maker).map(|promise| &promise.tx);
            match pool.get(&maker).or(promised) {
                Some(maker) => self.could_follow(world, pool, path, maker, ancestors),
                None => false,
            }
        })
    }
}
