//! View changes (section 4.4), joined and timed as section 4.5.2 says.

use alloc::vec::Vec;

use synod_ledger::Height;
use synod_machine::{Out, PeerId};

use super::choice::{NewView, ViewChange, choose, view_to_join};
use super::signed::Signed;
use super::statement::PrePrepare;
use super::types::{Proposal, View};
use super::{Agreement, Event, Message, Record, Stage, Timer};

impl<P: Proposal> Agreement<P> {
    /// Stops taking part in views below `view`, and says what is prepared here.
    pub(super) fn start_view_change(&mut self, view: View, out: &mut Out<Self>) {
        assert!(view > self.view, "a replica moves to later views only");
        if self.is_silent() {
            return self.watching.again(); // It does not know what it would have to show.
        }
        self.view = view;
        self.stage = Stage::Changing;
        self.new_view = None;
        self.early.retain(|_, (order, _)| order.body().0.view >= view);
        self.proposing.stop();
        self.watching.leave();
        out.cancel(Timer::View);
        for (_, slot) in self.log.above_mut(Height::GENESIS) {
            slot.leave();
        }
        let above = self.log.above(self.decided.height).map_while(|(_, slot)| slot.prepared.clone());
        let change = self.sign(ViewChange { view, base: self.decided.clone(), prepared: above.collect() });
        // The disk first: whoever has said this votes in no earlier view, also after a restart.
        out.persist(Record::<P>::VIEW, Record::Changing(change.clone()));
        self.changes.insert(change.by(), change.clone());
        out.broadcast(self.audience(), Message::ViewChange(change));
        self.start_new_view(out);
    }

    pub(super) fn on_view_change(&mut self, from: PeerId, change: Signed<ViewChange>, out: &mut Out<Self>) {
        let view = change.body().view;
        let is_late = view < self.view || (view == self.view && self.stage == Stage::Active);
        let is_known = self.changes.get(&change.by()).is_some_and(|held| held.body().view >= view);
        if is_late || is_known || self.is_mine(change.by()) {
            return;
        }
        // What does not hold is not kept, so that it cannot stand in the place of what does.
        if let Err(reason) = change.check(&self.rules) {
            return out.reject(from, reason);
        }
        self.note_ahead(change.body().base.clone(), out);
        if change.body().base.height > self.decided.height {
            // It counts here when that is here, too.
            for peer in self.peers_of(change.by()) {
                out.send(peer, Message::Status(self.status(true)));
            }
        }
        self.changes.insert(change.by(), change);
        let later = self.changes.values().map(|change| (change.by(), change.body().view));
        let later = later.filter(|(_, view)| *view > self.view);
        if let Some(view) = view_to_join(&self.rules, later) {
            self.start_view_change(view, out);
        }
        self.start_new_view(out);
    }

    /// How many have left the views below the one that we move to. Who has gone further was in ours too, and its message
    /// may have been lost; were it not counted, those who wait here would wait for ever.
    pub(super) fn companions(&self) -> usize {
        self.changes.values().filter(|change| change.body().view >= self.view).count()
    }

    /// As the primary of the view that we move to, starts it once a quorum moves there.
    ///
    /// A change that shows a decision which is not to be had here does not count until it is: whoever is faulty may be the only
    /// one who has the proofs of what lies between, and a view that starts above them would go nowhere. Changes of honest
    /// replicas count in the end, since they give what they show.
    pub(super) fn start_new_view(&mut self, out: &mut Out<Self>) {
        if self.stage != Stage::Changing || !self.is_primary() {
            return;
        }
        let view = self.view;
        let counts = |change: &ViewChange| change.view == view && change.base.height <= self.decided.height;
        let changes: Vec<_> = self.changes.values().filter(|change| counts(change.body())).cloned().collect();
        if changes.len() < self.rules.validators.quorum() {
            return;
        }
        let orders = choose(view, &changes).into_iter().map(|order| self.sign(PrePrepare(order))).collect();
        let new_view = self.sign(NewView { view, changes, orders });
        self.enter_view(new_view.clone(), out);
        out.broadcast(self.audience(), Message::NewView(new_view));
    }

    pub(super) fn on_new_view(&mut self, from: PeerId, new_view: Signed<NewView>, out: &mut Out<Self>) {
        let view = new_view.body().view;
        let is_late = view < self.view || (view == self.view && self.stage == Stage::Active);
        if is_late || self.is_mine(new_view.by()) {
            return; // A view starts once: a second new view for it changes nothing.
        }
        if let Err(reason) = new_view.check(&self.rules) {
            return out.reject(from, reason);
        }
        self.enter_view(new_view, out);
        self.fetch_missing(Some(from), out);
    }

    fn enter_view(&mut self, new_view: Signed<NewView>, out: &mut Out<Self>) {
        let view = new_view.body().view;
        // The disk first: the view's orders bind us after a restart too.
        out.persist(Record::<P>::VIEW, Record::Active(new_view.clone()));
        let base = new_view.body().base().clone();
        self.view = view;
        self.stage = Stage::Active;
        self.new_view = Some(new_view);
        self.changes.retain(|_, change| change.body().view > view);
        self.proposing.stop();
        for (_, slot) in self.log.above_mut(Height::GENESIS) {
            slot.leave();
        }
        self.install_orders();
        for id in self.log.above_mut(self.decided.height).flat_map(|(_, slot)| slot.prune()) {
            out.forget(Record::<P>::proposal_key(id));
        }
        self.note_ahead(base.clone(), out);
        self.show_decisions(base.height, out);
        out.emit(Event::Primary { view, validator: self.rules.validators.primary(view) });
        self.watching.enter(view);
        out.cancel(Timer::View);
        self.accept_early(out);
    }

    /// Takes up the orders that the view started with, as far as the watermarks allow.
    pub(super) fn install_orders(&mut self) {
        let Some(new_view) = self.new_view.clone() else { return };
        let is_mine = self.is_primary();
        let high = self.high();
        for order in &new_view.body().orders {
            let height = order.body().0.height;
            if height <= self.decided.height || height > high {
                continue;
            }
            let slot = self.log.at(height);
            if slot.order.is_none() {
                slot.order = Some(order.clone());
                slot.is_voted = is_mine;
            }
        }
    }

    /// The new view starts below what we know to be decided: others may need it.
    fn show_decisions(&self, base: Height, out: &mut Out<Self>) {
        for (height, slot) in self.log.above(base) {
            if height > self.decided.height {
                break;
            }
            if let Some((id, certificate)) = slot.decided.clone() {
                let base = super::Base { height, id, certificate };
                out.broadcast(self.audience(), Message::Decided { base, proposal: None });
            }
        }
    }

    /// The primary, or the one that should have started the view, was too slow.
    pub(super) fn on_view_timeout(&mut self, out: &mut Out<Self>) {
        if self.stage == Stage::Active && self.is_catching_up() {
            return self.watching.again(); // Others go on: it is not the primary who keeps us waiting.
        }
        self.tell_overdue(out);
        self.start_view_change(self.view.next(), out);
    }

    /// Whether others go on where we do not: we get on towards what they had decided when we first waited once more, or lack
    /// more than a faulty one could keep to itself. What is decided later excuses no primary: it could show decisions late, one
    /// by one, and keep a request waiting for ever.
    fn is_catching_up(&mut self) -> bool {
        let Some(ahead) = self.ahead.as_ref().map(|ahead| ahead.height).filter(|_| self.is_behind()) else {
            return false;
        };
        self.watching.is_catching_up(self.decided.height, ahead) || self.is_far_behind()
    }

    /// The request that waits longest, if there is one, may be known to nobody else: whoever it came from is gone.
    pub(super) fn tell_overdue(&self, out: &mut Out<Self>) {
        if let Some(request) = self.proposing.oldest {
            out.emit(Event::Overdue(request));
        }
    }
}
