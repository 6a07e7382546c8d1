//! Payments: a user's, which are promised and kept on disk; others', which come by gossip; and what a new neighbour has
//! that we missed.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::time::Duration;

use synod_ledger::{Block, Height, OutPoint, TX_BYTES_MAX, Tx, TxError, TxId};
use synod_machine::{Out, PeerId, Reject, Time};

use super::own::Fate;
use super::{Event, Item, Replica, SubmitError, Timer, Verdict};
use crate::headers::Follower;
use crate::message::{INVENTORY_MAX, PAYMENTS_BYTES_MAX};
use crate::{Agreed, Message, Record};

/// Acknowledged payments that are not yet deep in the chain; one more is refused.
pub(super) const OWN_MAX: usize = 100_000;
/// Below so many blocks an acknowledged payment's record is removed. A deeper reorganisation promises it anew.
pub(super) const OWN_DEPTH: u64 = 100;
/// The same where blocks are final: no reorganisation takes them back, and who asks once more has the answer by then.
const OWN_DEPTH_FINAL: u64 = 10;

/// How often own payments are offered that no block decided yet.
const OFFER_EVERY: Duration = Duration::from_secs(15);

impl Replica {
    pub(super) fn on_submit(&mut self, now: Time, ticket: u64, tx: Tx, out: &mut Out<Self>) {
        let result = self.submit(tx, out);
        out.emit(Event::Submitted { ticket, result });
        self.offer_soon(now, out);
    }

    /// Checks the signatures of payments that are about to come in, together and so at less than half the cost. A host that has
    /// several inputs at hand may call it before it lets the replica step on them; nothing changes but that.
    pub fn check_ahead(&self, payments: &[Tx]) {
        if self.is_settled() {
            self.mempool.check_ahead(&self.state, self.chain.rules(), payments);
        }
    }

    fn submit(&mut self, tx: Tx, out: &mut Out<Self>) -> Result<TxId, SubmitError> {
        let id = tx.id();
        match self.own.fate(&id) {
            Some(Fate::Confirmed(_) | Fate::Open) => return Ok(id),
            Some(Fate::Conflicted(_)) | None => {}
        }
        if !self.is_settled() {
            return Err(SubmitError::Loading);
        }
        if let Some(violation) = self.violation() {
            return Err(SubmitError::Halted { height: violation.height });
        }
        if self.own.len() >= OWN_MAX {
            return Err(SubmitError::TooMany { expected: OWN_MAX, got: self.own.len() });
        }
        let known = self.mempool.contains(&id);
        self.pool(tx.clone(), true, out)?;
        self.promise(tx.clone(), out);
        if known {
            return Ok(id);
        }
        match self.agreement() {
            Some(_) => {
                self.introduce(core::slice::from_ref(&tx), out);
                self.request(&tx, out);
            }
            None => out.emit(Event::Publish(Item::Payment(tx))),
        }
        Ok(id)
    }

    /// Keeps a payment on disk, and with it the unconfirmed ones that it depends on: without them it could not be
    /// offered after a restart. The mempool bounds how many those are.
    fn promise(&mut self, tx: Tx, out: &mut Out<Self>) {
        let mut open = alloc::vec![tx];
        while let Some(tx) = open.pop() {
            let id = tx.id();
            if self.own.contains(&id) {
                continue;
            }
            open.extend(tx.inputs.iter().filter_map(|input| self.mempool.get(&input.coin.tx).cloned()));
            out.persist(Record::payment_key(id), Record::Payment(tx.clone()));
            self.own.insert(tx);
        }
    }

    /// Promises what a reorganisation took back. Somebody was told that it is confirmed, an acknowledged payment may
    /// depend on it, and which ones were promised here is forgotten below [`OWN_DEPTH`]; a restart must not lose it.
    pub(super) fn keep(&mut self, returned: &[TxId], out: &mut Out<Self>) {
        for id in returned {
            if let Some(tx) = self.mempool.get(id).cloned()
                && self.own.len() < OWN_MAX
                && self.pool(tx.clone(), true, out).is_ok()
            {
                self.promise(tx, out);
            }
        }
    }

    /// Puts a payment into the mempool and tells the owner of a double spend. A payment that is there already stays.
    pub(super) fn pool(&mut self, tx: Tx, pinned: bool, out: &mut Out<Self>) -> Result<(), TxError> {
        let id = tx.id();
        let known = self.mempool.contains(&id);
        let before = self.last_conflict();
        match self.mempool.insert(&self.state, self.chain.rules(), tx, pinned) {
            Ok(_) if known => Ok(()),
            Ok(_) => {
                out.emit(Event::Pooled(id));
                self.watch_request(id);
                Ok(())
            }
            Err(error) => {
                // A conflict that is known is not kept a second time, nor told.
                if let Some(conflict) = self.mempool.conflicts().last()
                    && self.last_conflict() != before
                {
                    out.emit(Event::Conflict(conflict.clone()));
                }
                Err(error)
            }
        }
    }

    fn last_conflict(&self) -> Option<(OutPoint, TxId)> {
        self.mempool.conflicts().last().map(|conflict| (conflict.coin, conflict.seen.id()))
    }

    /// Tells of payments that lost their coin to a connected block.
    pub(super) fn tell_conflicts(&self, block: &Block, lost: &[TxId], out: &mut Out<Self>) {
        if lost.is_empty() {
            return;
        }
        let confirmed: BTreeSet<TxId> = block.payments().iter().map(Tx::id).collect();
        for conflict in self.mempool.conflicts() {
            if confirmed.contains(&conflict.kept) && lost.contains(&conflict.seen.id()) {
                out.emit(Event::Conflict(conflict.clone()));
            }
        }
    }

    pub(super) fn on_gossiped_payment(&mut self, from: PeerId, tx: Tx, out: &mut Out<Self>) -> Verdict {
        if self.mempool.contains(&tx.id()) || !self.is_settled() || self.agreement().is_some() {
            return Verdict::Ignore; // What validators agree on is not gossiped before they do.
        }
        match self.pool(tx, false, out) {
            Ok(()) => Verdict::Accept,
            Err(error) => {
                let reason = error.reason();
                out.reject(from, reason);
                if reason.is_fault() { Verdict::Reject } else { Verdict::Ignore }
            }
        }
    }

    /// What a new neighbour is told: this peer's own payments first, then the mempool's best.
    pub(super) fn inventory(&self) -> Vec<TxId> {
        let mut ids = self.with_parents(self.own.open());
        let own: BTreeSet<TxId> = ids.iter().copied().collect();
        let room = INVENTORY_MAX - ids.len();
        ids.extend(self.mempool.ids().filter(|id| !own.contains(id)).take(room));
        ids
    }

    /// Own payments that wait, as many as one message may name, each after those that it depends on: who had only the others
    /// could take none of them, and would be offered the same again.
    pub(super) fn with_parents<'a>(&self, payments: impl Iterator<Item = &'a Tx>) -> Vec<TxId> {
        let (mut ids, mut chosen) = (Vec::new(), BTreeSet::new());
        for tx in payments {
            let mut open = alloc::vec![(tx.id(), false)];
            while let Some((id, has_parents)) = open.pop() {
                let Some(tx) = self.mempool.get(&id).filter(|_| !chosen.contains(&id)) else { continue };
                if has_parents {
                    chosen.insert(id);
                    ids.push(id);
                } else {
                    open.push((id, true));
                    open.extend(tx.inputs.iter().map(|input| (input.coin.tx, false)));
                }
            }
            if ids.len() >= INVENTORY_MAX {
                break;
            }
        }
        ids.truncate(INVENTORY_MAX);
        ids
    }

    /// Acknowledged payments are offered until they are confirmed: gossip would drop a second publication.
    pub(super) fn on_offer(&mut self, now: Time, out: &mut Out<Self>) {
        self.own.is_offered = false;
        if let Some(agreeing) = &mut self.agreeing {
            agreeing.replies.retain(|id| self.own.fate(id));
        }
        if self.is_halted() {
            return;
        }
        if self.agreement().is_some() {
            let due = self.own.due();
            let is_alone = self.agreeing.as_ref().is_none_or(|agreeing| agreeing.validators.is_empty());
            let ids = if is_alone { Vec::new() } else { self.with_parents(due.iter()) };
            self.own.handed(&ids);
            let payments: Vec<Tx> = ids.iter().filter_map(|id| self.mempool.get(id).cloned()).collect();
            self.introduce(&payments, out);
            self.request_of_all(&payments, out);
        } else {
            let ids = self.with_parents(self.own.open());
            if !ids.is_empty() {
                out.broadcast(self.links.peers(), Message::Pool(ids));
            }
        }
        self.offer_soon(now, out);
    }

    /// Sets the timer of the next offer where something is open.
    pub(super) fn offer_soon(&mut self, now: Time, out: &mut Out<Self>) {
        if !self.own.is_offered && !self.is_halted() && self.own.open().next().is_some() {
            self.own.is_offered = true;
            out.set(Timer::Offer, now + self.offer_every());
        }
    }

    fn own_depth(&self) -> u64 {
        if self.chain.agreed().is_some() { OWN_DEPTH_FINAL } else { OWN_DEPTH }
    }

    /// Validators that did not get a payment agreed on within half of a view's time are all told of it, so that they watch
    /// over the primary; and then more and more rarely.
    fn offer_every(&self) -> Duration {
        let view_time = |agreed: &Agreed| Duration::from_millis(agreed.params().view_timeout_ms);
        self.chain.agreed().map_or(OFFER_EVERY, |agreed| view_time(agreed) / 2)
    }

    pub(super) fn on_pool(&mut self, from: PeerId, ids: &[TxId], out: &mut Out<Self>) {
        if ids.len() > INVENTORY_MAX {
            return out.reject(from, Reject::TooMany);
        }
        if !self.is_settled() || self.agreement().is_some() {
            return;
        }
        let wanted: BTreeSet<TxId> = ids.iter().filter(|id| !self.mempool.contains(id)).copied().collect();
        let Some(link) = self.links.get_mut(from) else { return };
        if !wanted.is_empty() {
            out.send(from, Message::GetPayments(wanted.iter().copied().collect()));
        }
        link.set_wanted(wanted);
    }

    pub(super) fn on_get_payments(&mut self, from: PeerId, ids: &[TxId], out: &mut Out<Self>) {
        if ids.len() > INVENTORY_MAX {
            return out.reject(from, Reject::TooMany);
        }
        let mut bytes = 0;
        let mut payments = Vec::new();
        for tx in ids.iter().filter_map(|id| self.mempool.get(id)) {
            bytes += tx.len();
            if bytes > PAYMENTS_BYTES_MAX {
                break;
            }
            payments.push(tx.clone());
        }
        out.send(from, Message::Payments(payments));
    }

    pub(super) fn on_payments(&mut self, from: PeerId, payments: Vec<Tx>, out: &mut Out<Self>) {
        let bytes: usize = payments.iter().map(Tx::len).sum();
        let mut is_unsolicited = false;
        for tx in payments {
            let id = tx.id();
            if !self.links.get_mut(from).is_some_and(|link| link.takes(&id)) {
                // The list may have been replaced by a newer one meanwhile; the rest of the answer is still good.
                is_unsolicited = true;
                continue;
            }
            if self.mempool.contains(&id) {
                continue;
            }
            match self.pool(tx.clone(), false, out) {
                // Our other neighbours may have missed it as well.
                Ok(()) => out.emit(Event::Publish(Item::Payment(tx))),
                Err(error) if error.reason().is_fault() => return out.reject(from, error.reason()),
                Err(_) => {}
            }
        }
        if is_unsolicited {
            out.reject(from, Reject::Unsolicited);
        }
        let Some(link) = self.links.get_mut(from) else { return };
        // Room for one more payment means that there was none. So a rest is asked for only after half a megabyte came:
        // payments given one by one would make us repeat the list each time.
        if bytes + TX_BYTES_MAX <= PAYMENTS_BYTES_MAX {
            link.set_wanted(BTreeSet::new());
        } else if let Some(rare) = link.rare().filter(|rare| !rare.wanted.is_empty()) {
            out.send(from, Message::GetPayments(rare.wanted.iter().copied().collect()));
        }
    }

    /// Puts undecided payments back into the mempool and forgets those decided long ago.
    pub(super) fn restore_own(&mut self, out: &mut Out<Self>) {
        if self.own.len() == 0 {
            return;
        }
        if let Some(deep) = self.state.height().0.checked_sub(self.own_depth()) {
            for id in self.own.decided_up_to(Height(deep)) {
                self.own.remove(&id);
                out.forget(Record::payment_key(id));
            }
        }
        let open: Vec<Tx> = self.own.open().filter(|tx| !self.mempool.contains(&tx.id())).cloned().collect();
        self.pool_all(open, out);
    }

    /// Puts payments in until none fits any more: one may spend the output of another that comes after it.
    fn pool_all(&mut self, mut open: Vec<Tx>, out: &mut Out<Self>) {
        loop {
            let before = open.len();
            open.retain(|tx| self.pool(tx.clone(), true, out).is_err());
            if open.is_empty() || open.len() == before {
                return;
            }
        }
    }
}
