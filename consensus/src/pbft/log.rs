//! The message log, a slot for each height between the watermarks, with the paper's two predicates (section 4.2).

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::RangeInclusive;

use synod_ledger::{BlockId, Certificate, Height, Signature};

use super::signed::Signed;
use super::statement::{Commit, Order, PrePrepare, Prepare, Prepared};
use super::types::{Proposal, ValidatorId, View};

/// Whether a proposal's owner has found it valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opinion {
    /// The owner is asked.
    Asked,
    /// It must not be voted for.
    Bad,
    /// It may be voted for.
    Good,
    /// Nobody was asked.
    Open,
}

/// A proposal at hand.
#[derive(Clone, Debug)]
pub(super) struct Body<P> {
    pub(super) proposal: P,
    pub(super) opinion: Opinion,
    /// Whether it is on disk.
    pub(super) is_stored: bool,
}

/// What is known of one height.
#[derive(Clone, Debug)]
pub(super) struct Slot<P> {
    /// The order accepted in the current view.
    pub(super) order: Option<Signed<PrePrepare>>,
    /// Whether our own vote for it is cast: a PREPARE, or the order itself as the primary.
    pub(super) is_voted: bool,
    /// The prepare of each validator's highest view, as far as it reached us.
    pub(super) prepares: BTreeMap<ValidatorId, Signed<Prepare>>,
    /// The commit of each validator's highest view.
    pub(super) commits: BTreeMap<ValidatorId, Signed<Commit>>,
    /// The proposals that these messages may be about.
    pub(super) bodies: BTreeMap<BlockId, Body<P>>,
    /// What we prepared in the highest view.
    pub(super) prepared: Option<Prepared>,
    /// What is decided.
    pub(super) decided: Option<(BlockId, Certificate)>,
}

impl<P> Slot<P> {
    pub(super) const fn new() -> Self {
        Self {
            order: None,
            is_voted: false,
            prepares: BTreeMap::new(),
            commits: BTreeMap::new(),
            bodies: BTreeMap::new(),
            prepared: None,
            decided: None,
        }
    }

    /// The order accepted in the current view.
    pub(super) fn order(&self) -> Option<&Order> {
        self.order.as_ref().map(|order| &order.body().0)
    }

    /// The proposal of the current view's order.
    pub(super) fn body(&self) -> Option<&Body<P>> {
        self.bodies.get(&self.order()?.id)
    }

    /// `prepared(m, v, n)`: our own vote, the order, and q − 1 matching prepares from others than the primary, with
    /// the proposal found valid. The proof, if it holds.
    pub(super) fn prove(&self, quorum: usize) -> Option<Prepared> {
        let order = self.order.as_ref()?;
        let is_good = self.body().is_some_and(|body| body.opinion == Opinion::Good);
        if !is_good || !self.is_voted {
            return None;
        }
        let matching = self.prepares.values().filter(|prepare| prepare.body().0 == order.body().0);
        let votes: Vec<(ValidatorId, Signature)> =
            matching.map(|prepare| (prepare.by(), prepare.signature())).take(quorum - 1).collect();
        (votes.len() == quorum - 1).then(|| Prepared { order: order.clone(), votes: votes.into() })
    }

    /// Whether we have prepared the order of the current view.
    pub(super) fn is_prepared(&self) -> bool {
        let prepared = self.prepared.as_ref().map(Prepared::order);
        prepared.is_some_and(|prepared| Some(prepared) == self.order())
    }

    /// `committed-local(m, v, n)`: prepared, and q matching commits, our own among them where we sent it. The
    /// certificate, if it holds.
    pub(super) fn certify(&self, quorum: usize) -> Option<(BlockId, Certificate)> {
        let order = self.prepared.as_ref()?.order();
        let expected = Commit { view: order.view, height: order.height, id: order.id };
        let matching = self.commits.values().filter(|commit| *commit.body() == expected);
        let votes: Vec<(u8, Signature)> =
            matching.map(|commit| (commit.by().0, commit.signature())).take(quorum).collect();
        (votes.len() == quorum).then(|| (order.id, Certificate::new(order.view.0, votes)))
    }

    /// Leaves the view: its order binds no longer. What was prepared and decided stays, and the proposals do until it
    /// is known which of them the next view takes up.
    pub(super) fn leave(&mut self) {
        self.order = None;
        self.is_voted = false;
    }

    /// The ids whose proposals may still be wanted.
    pub(super) fn is_wanted(&self, id: &BlockId) -> bool {
        let prepared = self.prepared.as_ref().is_some_and(|prepared| prepared.order().id == *id);
        let decided = self.decided.as_ref().is_some_and(|(decided, _)| decided == id);
        prepared || decided || self.order().is_some_and(|order| order.id == *id)
    }

    /// Drops the proposals that are not wanted any more, and gives the names of those that were on disk.
    pub(super) fn prune(&mut self) -> Vec<BlockId> {
        let stale: Vec<BlockId> = self.bodies.keys().filter(|id| !self.is_wanted(id)).copied().collect();
        let removed = stale.into_iter().filter_map(|id| self.bodies.remove(&id).map(|body| (id, body.is_stored)));
        removed.filter(|(_, is_stored)| *is_stored).map(|(id, _)| id).collect()
    }
}

/// The slots, by height.
#[derive(Clone, Debug)]
pub(super) struct Log<P> {
    slots: BTreeMap<Height, Slot<P>>,
}

impl<P> Log<P> {
    pub(super) const fn new() -> Self {
        Self { slots: BTreeMap::new() }
    }

    pub(super) fn get(&self, height: Height) -> Option<&Slot<P>> {
        self.slots.get(&height)
    }

    pub(super) fn get_mut(&mut self, height: Height) -> Option<&mut Slot<P>> {
        self.slots.get_mut(&height)
    }

    /// The slot of a height, made if need be.
    pub(super) fn at(&mut self, height: Height) -> &mut Slot<P> {
        self.slots.entry(height).or_insert_with(Slot::new)
    }

    /// The slots above a height, upwards.
    pub(super) fn above(&self, height: Height) -> impl DoubleEndedIterator<Item = (Height, &Slot<P>)> {
        self.slots.range(height.next()..).map(|(height, slot)| (*height, slot))
    }

    /// The slots above a height, upwards.
    pub(super) fn above_mut(&mut self, height: Height) -> impl Iterator<Item = (Height, &mut Slot<P>)> {
        self.slots.range_mut(height.next()..).map(|(height, slot)| (*height, slot))
    }

    /// Removes the slots up to a height.
    pub(super) fn truncate(&mut self, height: Height) -> BTreeMap<Height, Slot<P>> {
        let above = self.slots.split_off(&height.next());
        core::mem::replace(&mut self.slots, above)
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The lowest and the highest height that has a slot.
    pub(super) fn range(&self) -> Option<RangeInclusive<Height>> {
        let (first, _) = self.slots.first_key_value()?;
        let (last, _) = self.slots.last_key_value()?;
        Some(*first..=*last)
    }
}

/// Whether a vote that came first keeps its place: it is of the same view or a later one.
pub(super) fn is_superseded(held: Option<View>, by: View) -> bool {
    held.is_none_or(|held| held < by)
}

impl<P: Proposal> Body<P> {
    pub(super) const fn new(proposal: P, opinion: Opinion) -> Self {
        Self { proposal, opinion, is_stored: false }
    }
}
