//! The normal case: orders, prepares and commits (section 4.2).

use synod_ledger::{BlockId, Height};
use synod_machine::{Out, PeerId, Reject, Time};

use super::choice::DEPTH_MAX;
use super::log::{Body, Opinion, Slot, is_superseded};
use super::signed::{Signed, Statement};
use super::statement::{Commit, Evidence, PrePrepare, Prepare};
use super::types::{Proposal, ValidatorId, View};
use super::{Agreement, Event, Message, Record, Stage};

impl<P: Proposal> Agreement<P> {
    /// Takes every step that has become possible: what was decided is told, a view starts that waited for it, what can be voted
    /// for is, and a primary that has something to propose does.
    pub(super) fn advance(&mut self, now: Time, out: &mut Out<Self>) {
        loop {
            while self.deliver(out) {}
            self.rejoin(out);
            self.start_new_view(out);
            if self.stage == Stage::Active && !self.follow_chain(out) {
                self.start_view_change(self.view.next(), out);
            }
            if !self.deliver(out) {
                break;
            }
        }
        self.propose(now, out);
    }

    /// Judges and votes along the chain of orders above the last decision. False if the primary has given orders that
    /// do not continue each other.
    fn follow_chain(&mut self, out: &mut Out<Self>) -> bool {
        let (mut height, mut parent) = (self.decided.height.next(), self.decided.id);
        let mut is_votable = true;
        while let Some(slot) = self.log.get(height)
            && let Some(order) = slot.order().copied()
        {
            if order.parent != parent {
                return false;
            }
            match slot.body().map(|body| body.opinion) {
                Some(Opinion::Good) => {}
                Some(Opinion::Open) => {
                    self.ask(height, &order.id, out);
                    break;
                }
                Some(Opinion::Asked | Opinion::Bad) | None => break,
            }
            // A vote for n needs its parent decided, or prepared in this view.
            is_votable = is_votable && !self.is_silent() && self.vote(height, out);
            (height, parent) = (height.next(), order.id);
        }
        true
    }

    fn ask(&mut self, height: Height, id: &BlockId, out: &mut Out<Self>) {
        let body = self.log.get_mut(height).and_then(|slot| slot.bodies.get_mut(id));
        let body = body.expect("a proposal that is asked about is in the log");
        body.opinion = Opinion::Asked;
        out.emit(Event::Validate(body.proposal.clone()));
    }

    /// Votes for the order of a height as far as the votes of others allow. Whether it is prepared.
    fn vote(&mut self, height: Height, out: &mut Out<Self>) -> bool {
        if height.0 > self.decided.height.0 + DEPTH_MAX {
            return false;
        }
        let quorum = self.rules.validators.quorum();
        let slot = self.log.at(height);
        if slot.is_prepared() {
            return true;
        }
        if !slot.is_voted {
            self.send_prepare(height, out);
        }
        let slot = self.log.at(height);
        let Some(proof) = slot.prove(quorum) else { return false };
        let order = *proof.order();
        // First the disk, then the vote: the commit says that we shall not forget.
        out.persist(Record::<P>::prepared_key(height), Record::Prepared(proof.clone()));
        slot.prepared = Some(proof);
        let commit = self.sign(Commit { view: order.view, height, id: order.id });
        self.log.at(height).commits.insert(commit.by(), commit.clone());
        out.broadcast(self.audience(), Message::Commit(commit));
        true
    }

    fn send_prepare(&mut self, height: Height, out: &mut Out<Self>) {
        self.store_vote(height, out);
        let slot = self.log.at(height);
        slot.is_voted = true;
        let order = *slot.order().expect("what is voted for was ordered");
        let prepare = self.sign(Prepare(order));
        self.log.at(height).prepares.insert(prepare.by(), prepare.clone());
        out.broadcast(self.audience(), Message::Prepare(prepare));
    }

    /// Writes the order that we are about to vote for, and its proposal: a proposal that q have prepared lies on the
    /// disks of f + 1 honest replicas, whatever crashes.
    pub(super) fn store_vote(&mut self, height: Height, out: &mut Out<Self>) {
        let slot = self.log.at(height);
        let order = slot.order.clone().expect("what is voted for was ordered");
        let id = order.body().0.id;
        let body = slot.bodies.get_mut(&id).expect("what is voted for is at hand");
        if !body.is_stored {
            body.is_stored = true;
            out.persist(Record::<P>::proposal_key(id), Record::Proposal(body.proposal.clone()));
        }
        out.persist(Record::<P>::voted_key(height), Record::Voted(order));
    }

    pub(super) fn on_preprepare(&mut self, from: PeerId, order: Signed<PrePrepare>, proposal: P, out: &mut Out<Self>) {
        let said = order.body().0;
        if said.view < self.view || said.height <= self.decided.height || self.is_mine(order.by()) {
            return;
        }
        if let Err(reason) = order.check(&self.rules) {
            return out.reject(from, reason);
        }
        let is_its = (proposal.height(), proposal.id(), proposal.parent()) == (said.height, said.id, said.parent);
        if !is_its || !proposal.is_whole() {
            return out.reject(from, Reject::VoteProposal);
        }
        self.see(order.by(), said.view, said.height);
        if said.view > self.view || self.stage == Stage::Changing {
            self.keep_early(order, proposal);
        } else {
            self.accept_order(order, proposal, out);
        }
    }

    /// A proposal may overtake the new view that it is made in: it waits, for the next view only.
    fn keep_early(&mut self, order: Signed<PrePrepare>, proposal: P) {
        let said = order.body().0;
        let next = if self.stage == Stage::Changing { self.view } else { self.view.next() };
        if said.view == next && said.height <= self.reach() {
            self.early.entry(said.height).or_insert((order, proposal));
        }
    }

    /// Orders that came before their view are looked at again.
    pub(super) fn accept_early(&mut self, out: &mut Out<Self>) {
        for (order, proposal) in core::mem::take(&mut self.early).into_values() {
            if order.body().0.view == self.view {
                self.accept_order(order, proposal, out);
            }
        }
    }

    /// Accepts an order of this view's primary: the first one for its height, above what the view started with.
    fn accept_order(&mut self, order: Signed<PrePrepare>, proposal: P, out: &mut Out<Self>) {
        let said = order.body().0;
        let floor = self.view_base().max(self.decided.height);
        if said.height <= floor || said.height > self.reach() {
            return;
        }
        let slot = self.log.at(said.height);
        if let Some(held) = &slot.order {
            if held.body() == order.body() {
                slot.bodies.entry(said.id).or_insert(Body::new(proposal, Opinion::Open));
            } else {
                let evidence = Evidence::PrePrepares(held.clone(), order);
                self.report(said.height, evidence, out);
            }
            return;
        }
        slot.bodies.entry(said.id).or_insert(Body::new(proposal, Opinion::Open));
        slot.order = Some(order);
    }

    pub(super) fn on_prepare(&mut self, from: PeerId, prepare: Signed<Prepare>, out: &mut Out<Self>) {
        let order = prepare.body().0;
        if !self.is_useful(prepare.by(), order.view, order.height) {
            return;
        }
        let is_known = self.log.get(order.height).is_some_and(|slot| slot.is_prepared());
        if is_known && order.view == self.view {
            return; // One more than is needed: not worth a signature check.
        }
        if let Err(reason) = prepare.check(&self.rules) {
            return out.reject(from, reason);
        }
        self.see(prepare.by(), order.view, order.height);
        if order.height > self.high() {
            return;
        }
        let slot = self.log.at(order.height);
        let held = slot.prepares.get(&prepare.by());
        if let Some(held) = held
            && held.body().0.view == order.view
            && held.body() != prepare.body()
        {
            let evidence = Evidence::Prepares(held.clone(), prepare);
            return self.report(order.height, evidence, out);
        }
        if is_superseded(held.map(|held| held.body().0.view), order.view) {
            slot.prepares.insert(prepare.by(), prepare);
        }
    }

    pub(super) fn on_commit(&mut self, from: PeerId, commit: Signed<Commit>, out: &mut Out<Self>) {
        let Commit { view, height, .. } = *commit.body();
        if !self.is_useful(commit.by(), view, height) {
            return;
        }
        if let Err(reason) = commit.check(&self.rules) {
            return out.reject(from, reason);
        }
        self.see(commit.by(), view, height);
        if height > self.high() {
            return;
        }
        let slot = self.log.at(height);
        let held = slot.commits.get(&commit.by());
        if let Some(held) = held
            && held.body().view == view
            && held.body() != commit.body()
        {
            let evidence = Evidence::Commits(held.clone(), commit);
            return self.report(height, evidence, out);
        }
        if is_superseded(held.map(|held| held.body().view), view) {
            slot.commits.insert(commit.by(), commit);
        }
    }

    pub(super) fn on_validated(&mut self, id: BlockId, is_valid: bool, out: &mut Out<Self>) {
        let mut above = self.log.above_mut(self.decided.height);
        let is_asked = |slot: &Slot<P>| slot.bodies.get(&id).is_some_and(|body| body.opinion == Opinion::Asked);
        let Some((_, slot)) = above.find(|(_, slot)| is_asked(slot)) else { return };
        let body = slot.bodies.get_mut(&id).expect("it was just found");
        body.opinion = if is_valid { Opinion::Good } else { Opinion::Bad };
        let is_ordered = slot.order().is_some_and(|order| order.id == id);
        drop(above);
        if !is_valid && is_ordered && self.stage == Stage::Active {
            // No honest primary proposes this, so there is nothing to wait for.
            let primary = self.rules.validators.primary(self.view);
            for peer in self.peers_of(primary) {
                out.reject(peer, Reject::VoteProposal);
            }
            self.start_view_change(self.view.next(), out);
        }
    }

    /// Whether a vote can still change something: it is another's, not of an earlier view, and not for what is decided.
    fn is_useful(&self, by: ValidatorId, view: View, height: Height) -> bool {
        !self.is_mine(by) && view >= self.view && height > self.decided.height
    }

    pub(super) fn is_mine(&self, by: ValidatorId) -> bool {
        self.my_id() == Some(by)
    }

    /// How far above the last decision proposals are kept. Votes are small and are kept up to the high watermark.
    pub(super) fn reach(&self) -> Height {
        Height(self.decided.height.0 + 2 * DEPTH_MAX).min(self.high())
    }

    /// min-s of the view: nothing is ordered in it up to there.
    pub(super) fn view_base(&self) -> Height {
        self.new_view.as_ref().map_or(Height::GENESIS, |new_view| new_view.body().base().height)
    }

    pub(super) fn sign<T: Statement>(&self, statement: T) -> Signed<T> {
        let me = self.me.as_ref().expect("an observer signs nothing");
        Signed::new(&self.rules, me, statement)
    }

    fn report(&mut self, height: Height, evidence: Evidence, out: &mut Out<Self>) {
        if self.caught.insert((height, evidence.by())) {
            out.emit(Event::Evidence(evidence));
        }
    }
}
