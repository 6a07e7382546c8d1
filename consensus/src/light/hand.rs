//! Payments of a light peer's user, which full peers carry on: by an inventory that they ask payments from, as between
//! replicas, or on a chain of validators as a client's requests (Castro and Liskov 1999, section 4.1).
//!
//! What a light peer can say of a payment needs no coins: its form and its signatures. Whether it is confirmed it does not see
//! either, so that it hands it on some times, to other peers each time, and then leaves it.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::time::Duration;

use synod_ledger::{Block, Tx, TxId, check_alone};
use synod_machine::{Out, PeerId, Reject, Time};

use super::{Light, Limits, Timer};
use crate::message::{INVENTORY_MAX, PAYMENTS_BYTES_MAX};
use crate::{Chain, Message, SubmitError, pbft};

/// A payment is handed on for so long, from when there first was somebody to hand it to: full peers that lost it, or had
/// not yet what it spends, hear of it again.
const OFFER_TIME: Duration = Duration::from_secs(300);
const OFFER_EVERY: Duration = Duration::from_secs(15);
/// A neighbour keeps one inventory in mind, so that payments which are submitted one after the other go into one together.
const INVENTORY_EVERY: Duration = Duration::from_secs(1);

/// A payment, and until when it is handed on, if there was somebody to hand it to.
#[derive(Debug)]
struct Handed {
    tx: Tx,
    until: Option<Time>,
}

/// The payments that are handed on, and to whom.
#[derive(Debug)]
pub(super) struct Handing {
    limits: Limits,
    waiting: BTreeMap<TxId, Handed>,
    /// Whose turn it is to help.
    turn: usize,
    /// When [`Timer::Offer`] is due, if it is set.
    due: Option<Time>,
    /// When neighbours were told of payments last.
    told: Option<Time>,
    /// By what a neighbour is known to be a validator, on a chain that has them.
    rules: Option<pbft::Rules>,
    /// Neighbours that are validators.
    validators: BTreeSet<PeerId>,
}

impl Handing {
    pub(super) fn new(chain: &Chain, limits: Limits) -> Self {
        let (waiting, validators) = (BTreeMap::new(), BTreeSet::new());
        Self { limits, waiting, turn: 0, due: None, told: None, rules: chain.voting(), validators }
    }

    /// A connection closed.
    pub(super) fn forget(&mut self, peer: PeerId) {
        self.validators.remove(&peer);
    }

    pub(super) fn check(&self) {
        assert!(self.waiting.len() <= self.limits.payments_max, "the payments that are handed on are bounded");
        assert!(self.due.is_some() || self.waiting.is_empty(), "a payment that waits is handed on again");
    }

    /// The next ones in turn of those who can help.
    fn choose(&mut self, able: &[PeerId]) -> Vec<PeerId> {
        let honest = self.rules.as_ref().map_or(0, |rules| rules.validators.honest());
        let count = self.limits.helpers.max(honest).min(able.len());
        let first = self.turn % able.len().max(1);
        self.turn = self.turn.wrapping_add(count);
        able.iter().cycle().skip(first).take(count).copied().collect()
    }
}

impl Light {
    pub(super) fn submit(&mut self, now: Time, tx: Tx, out: &mut Out<Self>) -> Result<TxId, SubmitError> {
        let id = tx.id();
        if let Some(violation) = self.violation() {
            return Err(SubmitError::Halted { height: violation.height });
        }
        check_alone(self.chain.rules(), &tx)?;
        let (got, expected) = (self.handing.waiting.len(), self.handing.limits.payments_max);
        if got >= expected && !self.handing.waiting.contains_key(&id) {
            return Err(SubmitError::TooMany { expected, got });
        }
        self.handing.waiting.insert(id, Handed { tx, until: None });
        let is_voted = self.handing.rules.is_some();
        let may_tell = self.handing.told.map_or(now, |told| told + INVENTORY_EVERY);
        if is_voted {
            self.hand_on(now, &[id], out);
        } else if may_tell <= now {
            self.hand_on_all(now, out);
        }
        self.offer_at(if is_voted || may_tell <= now { now + OFFER_EVERY } else { may_tell }, out);
        Ok(id)
    }

    pub(super) fn on_offer(&mut self, now: Time, out: &mut Out<Self>) {
        self.handing.due = None;
        let is_halted = self.violation.is_some();
        self.handing.waiting.retain(|_, handed| !is_halted && handed.until.is_none_or(|until| now < until));
        self.hand_on_all(now, out);
        if !self.handing.waiting.is_empty() {
            self.offer_at(now + OFFER_EVERY, out);
        }
    }

    fn hand_on_all(&mut self, now: Time, out: &mut Out<Self>) {
        let ids: Vec<TxId> = self.handing.waiting.keys().copied().collect();
        if !ids.is_empty() {
            self.hand_on(now, &ids, out);
        }
    }

    /// Hands these on to those whose turn it is, if there is anybody.
    fn hand_on(&mut self, now: Time, ids: &[TxId], out: &mut Out<Self>) {
        let able = self.able();
        if able.is_empty() {
            return;
        }
        let helpers = self.handing.choose(&able);
        self.handing.told = Some(now);
        for id in ids {
            let Some(handed) = self.handing.waiting.get_mut(id) else { continue };
            handed.until.get_or_insert(now + OFFER_TIME);
            if self.handing.rules.is_some() {
                out.broadcast(helpers.clone(), Message::Request(handed.tx.clone()));
            }
        }
        if self.handing.rules.is_none() {
            out.broadcast(helpers, Message::Pool(ids.to_vec()));
        }
    }

    /// Who can help: validators where there are any, and else who claims a chain, as full peers do.
    fn able(&self) -> Vec<PeerId> {
        match &self.handing.rules {
            Some(_) => self.handing.validators.iter().copied().collect(),
            None => {
                let claimants = self.links.iter().filter(|link| link.claim(&self.tree).is_some());
                claimants.map(|link| link.peer()).collect()
            }
        }
    }

    fn offer_at(&mut self, at: Time, out: &mut Out<Self>) {
        if self.handing.due.is_none_or(|due| at < due) {
            self.handing.due = Some(at);
            out.set(Timer::Offer, at);
        }
    }

    pub(super) fn on_get_payments(&self, from: PeerId, ids: &[TxId], out: &mut Out<Self>) {
        if ids.len() > INVENTORY_MAX {
            return out.reject(from, Reject::TooMany);
        }
        let mut bytes = 0;
        let mut payments = Vec::new();
        for handed in ids.iter().filter_map(|id| self.handing.waiting.get(id)) {
            bytes += handed.tx.len();
            if bytes > PAYMENTS_BYTES_MAX {
                break;
            }
            payments.push(handed.tx.clone());
        }
        out.send(from, Message::Payments(payments));
    }

    /// What validators say to each other tells a light peer one thing: who is one.
    pub(super) fn on_agreement(&mut self, from: PeerId, message: pbft::Message<Block>, out: &mut Out<Self>) {
        let pbft::Message::Hello { hello, .. } = message else { return };
        let Some(rules) = &self.handing.rules else { return };
        match hello.check(rules) {
            Ok(()) => {
                self.handing.validators.insert(from);
            }
            Err(reason) => out.reject(from, reason),
        }
    }
}
