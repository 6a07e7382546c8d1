//! What is decided: told in order, executed by the owner, learnt from others.

use synod_ledger::{BlockId, Height};
use synod_machine::{Out, PeerId, Reject};

use super::choice::DEPTH_MAX;
use super::log::{Body, Opinion};
use super::types::{Base, Proposal};
use super::{Agreement, Event, Message, Record};

/// So many of the last executed proposals are kept for others that lack them: twice what is in flight at most, whatever
/// the watermarks are.
const SERVED_MAX: u64 = 2 * DEPTH_MAX;

impl<P: Proposal> Agreement<P> {
    /// Tells the owner of the next decision, if there is one: it is committed-local or somebody has shown its
    /// certificate, and the proposal is at hand.
    pub(super) fn deliver(&mut self, out: &mut Out<Self>) -> bool {
        let height = self.decided.height.next();
        let quorum = self.rules.validators.quorum();
        let Some(slot) = self.log.get_mut(height) else { return false };
        if slot.decided.is_none() {
            slot.decided = slot.certify(quorum);
        }
        let Some((id, certificate)) = slot.decided.clone() else { return false };
        let Some(body) = slot.bodies.get_mut(&id) else { return false };
        if body.proposal.parent() != self.decided.id {
            return false; // Only with more than f faulty validators.
        }
        if !body.is_stored {
            body.is_stored = true;
            out.persist(Record::<P>::proposal_key(id), Record::Proposal(body.proposal.clone()));
        }
        let proposal = body.proposal.clone();
        // The certificate is all that is wanted of the votes from here on.
        slot.prepares.clear();
        slot.commits.clear();
        self.decided = Base { height, id, certificate: certificate.clone() };
        // A vote for the next height may rest on this decision, so that a view change must be able to show it.
        out.persist(Record::<P>::decided_key(height), Record::Decided(self.decided.clone()));
        out.emit(Event::Committed { proposal, certificate });
        true
    }

    /// After a restart: tells again what the owner had not executed.
    pub(super) fn tell_again(&self, out: &mut Out<Self>) {
        for (height, slot) in self.log.above(self.executed) {
            if height > self.decided.height {
                break;
            }
            let (id, certificate) = slot.decided.clone().expect("what was told was decided");
            let body = slot.bodies.get(&id).expect("what was told was at hand");
            out.emit(Event::Committed { proposal: body.proposal.clone(), certificate });
        }
    }

    pub(super) fn on_executed(&mut self, height: Height, id: BlockId, out: &mut Out<Self>) {
        if height <= self.executed || height > self.decided.height {
            return;
        }
        let slot = self.log.get(height).and_then(|slot| slot.decided.clone());
        let (decided, certificate) = slot.expect("what is decided and above the last stable checkpoint is in the log");
        if decided != id {
            return; // Only with more than f faulty validators: the owner follows another chain.
        }
        let before = self.executed;
        self.executed = height;
        out.persist(Record::<P>::EXECUTED, Record::Executed(Base { height, id, certificate }));
        self.drop_proposals(before, out);
        self.make_checkpoint(before, out);
    }

    /// Drops the proposals that are executed for a while: the owner has them, and who is further behind asks there.
    fn drop_proposals(&mut self, before: Height, out: &mut Out<Self>) {
        let below = |height: Height| height.0.saturating_sub(SERVED_MAX);
        for height in below(before) + 1..=below(self.executed) {
            let Some(slot) = self.log.get_mut(Height(height)) else { continue };
            for (id, _) in core::mem::take(&mut slot.bodies).into_iter().filter(|(_, body)| body.is_stored) {
                out.forget(Record::<P>::proposal_key(id));
            }
        }
    }

    /// The owner got further on its own. A certificate of its last block proves all below, so that the watermarks move
    /// there.
    pub(super) fn on_synced(&mut self, base: Base, out: &mut Out<Self>) {
        let Base { height, id, .. } = base;
        if height <= self.decided.height {
            return self.on_executed(height, id, out);
        }
        out.persist(Record::<P>::EXECUTED, Record::Executed(base.clone()));
        self.decided = base;
        self.executed = height;
        self.set_stable(height, id, out);
        if height.0.is_multiple_of(self.settings.checkpoint_interval) {
            self.make_own_checkpoint(height, id, out);
        }
    }

    pub(super) fn on_decided(&mut self, from: PeerId, base: Base, proposal: Option<P>, out: &mut Out<Self>) {
        if base.height <= self.decided.height {
            return;
        }
        let is_its = |proposal: &P| (proposal.height(), proposal.id()) == (base.height, base.id) && proposal.is_whole();
        if !base.holds(&self.rules) {
            return out.reject(from, Reject::VoteCertificate);
        }
        if proposal.as_ref().is_some_and(|proposal| !is_its(proposal)) {
            return out.reject(from, Reject::VoteProposal);
        }
        if base.height <= self.reach() {
            let slot = self.log.at(base.height);
            slot.decided.get_or_insert((base.id, base.certificate.clone()));
            if let Some(proposal) = proposal {
                slot.bodies.entry(base.id).or_insert(Body::new(proposal, Opinion::Open));
            }
        }
        self.note_ahead(base, out);
        while self.deliver(out) {}
        self.ask_for_more(from, out);
    }

    /// Others have decided this.
    pub(super) fn note_ahead(&mut self, base: Base, out: &mut Out<Self>) {
        if base.height <= self.ahead.as_ref().map_or(self.decided.height, |ahead| ahead.height) {
            return;
        }
        self.ahead = Some(base);
        if self.ahead.as_ref().is_some_and(|ahead| ahead.height > self.reach()) {
            self.tell_behind(out);
        }
    }

    /// Whether others have decided what is not decided here.
    pub(super) fn is_behind(&self) -> bool {
        self.ahead.as_ref().is_some_and(|ahead| ahead.height > self.decided.height)
    }

    /// Whether honest replicas must be ahead of us: who committed that block knew what is decided [`DEPTH_MAX`] below it, and
    /// gives it. What is nearer may be known to a faulty replica alone.
    pub(super) fn is_far_behind(&self) -> bool {
        self.ahead.as_ref().is_some_and(|ahead| ahead.height.0 > self.decided.height.0 + DEPTH_MAX)
    }

    pub(super) fn tell_behind(&self, out: &mut Out<Self>) {
        if self.is_behind()
            && let Some(base) = &self.ahead
        {
            out.emit(Event::Behind(base.clone()));
        }
    }

    /// A peer gives a few decisions at a time. Once they are here, the next are asked for.
    fn ask_for_more(&mut self, from: PeerId, out: &mut Out<Self>) {
        if self.is_behind() && self.decided.height > self.watching.asked_at {
            self.watching.asked_at = self.decided.height;
            out.send(from, Message::Status(self.status(true)));
        }
    }
}
