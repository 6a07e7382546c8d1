//! The primary's proposals: batches by size and by time, several heights in flight (TOCS 2002, section 5.1.4).

use synod_ledger::{BlockId, Height};
use synod_machine::{Out, Time};

use super::log::{Body, Opinion};
use super::statement::{Order, PrePrepare};
use super::types::{Proposal, RequestId};
use super::{Agreement, Event, Message, Stage, Timer};

/// What waits to be proposed.
#[derive(Clone, Debug, Default)]
pub(super) struct Proposing {
    /// Requests that are in no proposal of this view.
    pending: u32,
    /// The request that waits longest.
    pub(super) oldest: Option<RequestId>,
    /// The owner is asked for a proposal of this height on this parent.
    asked: Option<(Height, BlockId)>,
    /// The batch's delay runs.
    is_delayed: bool,
    /// The batch has waited long enough.
    is_due: bool,
}

impl Proposing {
    /// Nothing that was asked for is wanted any more.
    pub(super) fn stop(&mut self) {
        self.asked = None;
    }
}

impl<P: Proposal> Agreement<P> {
    /// Asks the owner for a proposal if we are the primary, something waits, and the watermarks and the pipeline have
    /// room: at once if nothing is in flight, else when a batch is full or has waited long enough.
    pub(super) fn propose(&mut self, now: Time, out: &mut Out<Self>) {
        let is_free = self.proposing.asked.is_none() && !self.is_silent();
        let may = self.stage == Stage::Active && self.is_primary() && is_free;
        if !may || self.proposing.pending == 0 || self.decided.height < self.view_base() {
            return;
        }
        let Some((top, parent)) = self.top() else { return };
        let in_flight = top.0 - self.decided.height.0;
        if top >= self.high() || in_flight >= self.settings.in_flight_max {
            return;
        }
        if in_flight > 0 && self.proposing.pending < self.settings.batch_max && !self.proposing.is_due {
            if !self.proposing.is_delayed {
                self.proposing.is_delayed = true;
                out.set(Timer::Batch, now + self.settings.batch_delay);
            }
            return;
        }
        if self.proposing.is_delayed {
            out.cancel(Timer::Batch);
        }
        (self.proposing.is_delayed, self.proposing.is_due) = (false, false);
        self.proposing.asked = Some((top.next(), parent));
        out.emit(Event::WantProposal { view: self.view, height: top.next(), parent });
    }

    /// The last block that the next proposal may continue: the end of this view's orders, if the owner knows it.
    fn top(&self) -> Option<(Height, BlockId)> {
        let mut top = (self.decided.height, self.decided.id);
        for (height, slot) in self.log.above(self.decided.height) {
            let Some(order) = slot.order() else { continue };
            let is_known = slot.body().is_some_and(|body| body.opinion == Opinion::Good);
            if height != top.0.next() || !is_known {
                return None;
            }
            top = (height, order.id);
        }
        Some(top)
    }

    /// The block that the next proposal would continue, as far as the orders of this view are known: what is proposed is in
    /// it and in those below, and in no proposal of another view.
    pub fn tail(&self) -> Option<BlockId> {
        self.top().map(|(_, id)| id)
    }

    pub(super) fn on_requests(&mut self, pending: u32, oldest: Option<RequestId>) {
        self.proposing.pending = pending;
        self.proposing.oldest = oldest;
    }

    pub(super) fn on_batch(&mut self) {
        self.proposing.is_delayed = false;
        self.proposing.is_due = true;
    }

    pub(super) fn on_propose(&mut self, proposal: Option<P>, out: &mut Out<Self>) {
        let Some(asked) = self.proposing.asked.take() else { return };
        let Some(proposal) = proposal else {
            self.proposing.pending = 0;
            return;
        };
        let (height, id, parent) = (proposal.height(), proposal.id(), proposal.parent());
        let is_next = self.top().is_some_and(|(top, id)| (top.next(), id) == (height, parent));
        if (height, parent) != asked || !is_next {
            return; // The question has become another one meanwhile, and what waits still does.
        }
        self.proposing.pending = 0;
        let order = self.sign(PrePrepare(Order { view: self.view, height, id, parent }));
        let slot = self.log.at(height);
        assert!(slot.order.is_none(), "the primary gives one order for a height in a view");
        slot.order = Some(order.clone());
        let body = slot.bodies.entry(id).or_insert(Body::new(proposal.clone(), Opinion::Good));
        body.opinion = Opinion::Good;
        slot.is_voted = true;
        self.store_vote(height, out);
        out.broadcast(self.audience(), Message::PrePrepare { order, proposal });
    }
}
