//! Who is connected, and how what was lost is made up for (TOCS 2002, section 5.2).

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use synod_ledger::{BlockId, Height};
use synod_machine::{Out, PeerId, Reject, Time};

use super::log::{Body, Opinion};
use super::signed::Signed;
use super::statement::Hello;
use super::types::{Base, Proposal, ValidatorId};
use super::{Agreement, Message, Stage, Status};

/// Decisions in one answer.
const DECISIONS_MAX: usize = 4;

/// A connection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Link {
    /// Which validator the peer said that it is.
    validator: Option<ValidatorId>,
    /// How often it could have been asked.
    questions: u32,
    /// Its last stable checkpoint, as it says.
    pub(super) stable: Height,
}

impl<P: Proposal> Agreement<P> {
    /// The connected validators.
    pub(super) fn audience(&self) -> Vec<PeerId> {
        self.links.iter().filter(|(_, link)| link.validator.is_some()).map(|(peer, _)| *peer).collect()
    }

    /// The connections to one validator.
    pub(super) fn peers_of(&self, validator: ValidatorId) -> Vec<PeerId> {
        self.links.iter().filter(|(_, link)| link.validator == Some(validator)).map(|(peer, _)| *peer).collect()
    }

    pub(super) fn on_peer_up(&mut self, peer: PeerId, out: &mut Out<Self>) {
        self.links.insert(peer, Link::default());
        let hello = self.hello();
        out.send(peer, Message::Hello { hello, asks: false });
    }

    fn hello(&self) -> Signed<Hello> {
        self.sign(Hello { salt: self.salt })
    }

    /// A validator is there: it is told what we have, and answers with what we lack.
    pub(super) fn on_hello(&mut self, from: PeerId, hello: &Signed<Hello>, asks: bool, out: &mut Out<Self>) {
        if let Err(reason) = hello.check(&self.rules) {
            return out.reject(from, reason);
        }
        let is_new = self.links.get(&from).is_none_or(|link| link.validator != Some(hello.by()));
        self.links.insert(from, Link { validator: Some(hello.by()), ..Link::default() });
        if asks {
            out.send(from, Message::Hello { hello: self.hello(), asks: false });
        }
        if is_new {
            out.send(from, Message::Status(self.status(true)));
            self.ask_mark(from, out);
        }
    }

    pub(super) fn status(&self, is_reply: bool) -> Status {
        let mut orders = Vec::new();
        for height in self.decided.height.0 + 1..=self.reach().0 {
            let Some(slot) = self.log.get(Height(height)) else { break };
            orders.push(slot.body().is_some());
        }
        Status {
            view: self.view,
            is_active: self.stage == Stage::Active,
            decided: self.decided.height,
            stable: self.stable.0,
            orders,
            is_reply,
        }
    }

    /// Nothing happened for a while: messages may be lost.
    pub(super) fn on_resend(&mut self, now: Time, out: &mut Out<Self>) {
        let hello = self.hello();
        for (peer, link) in &mut self.links {
            if link.validator.is_some() {
                continue;
            }
            link.questions = link.questions.saturating_add(1);
            if link.questions.is_power_of_two() {
                // It may be an observer: it is asked more and more rarely.
                out.send(*peer, Message::Hello { hello: hello.clone(), asks: true });
            }
        }
        out.broadcast(self.audience(), Message::Status(self.status(false)));
        self.audience().into_iter().for_each(|peer| self.ask_mark(peer, out));
        self.fetch_missing(None, out);
        self.tell_behind(out);
        self.tell_overdue(out);
        self.back_off(now, out);
    }

    /// Asks for proposals whose names are known: the given peer, or the next one in turn.
    pub(super) fn fetch_missing(&mut self, peer: Option<PeerId>, out: &mut Out<Self>) {
        let audience = self.audience();
        self.watching.attempt = self.watching.attempt.wrapping_add(1);
        let Some(&turn) = audience.get(self.watching.attempt % audience.len().max(1)) else { return };
        let peer = peer.unwrap_or(turn);
        for (height, slot) in self.log.above(self.decided.height) {
            let decided = slot.decided.as_ref().map(|(id, _)| *id);
            let missing = decided.or(slot.order().map(|order| order.id)).or_else(|| self.supported(height));
            if let Some(id) = missing.filter(|id| !slot.bodies.contains_key(id)) {
                out.send(peer, Message::Fetch { height, id });
            }
        }
    }

    /// What more than f backups have prepared in this view: its order exists, and was kept from us.
    fn supported(&self, height: Height) -> Option<BlockId> {
        let slot = self.log.get(height).filter(|_| self.stage == Stage::Active)?;
        let votes = || slot.prepares.values().map(|prepare| prepare.body().0).filter(|order| order.view == self.view);
        let count = |id: BlockId| votes().filter(|order| order.id == id).count();
        votes().map(|order| order.id).find(|id| count(*id) >= self.rules.validators.honest())
    }

    pub(super) fn on_fetch(&mut self, from: PeerId, height: Height, id: &BlockId, out: &mut Out<Self>) {
        let Some(slot) = self.log.get(height) else { return };
        let Some(body) = slot.bodies.get(id) else { return };
        let proposal = body.proposal.clone();
        match &slot.order {
            Some(order) if order.body().0.id == *id => {
                out.send(from, Message::PrePrepare { order: order.clone(), proposal });
            }
            Some(_) | None => out.send(from, Message::Proposal(proposal)),
        }
    }

    /// A proposal that an order, a proof or a certificate names, and nothing else.
    pub(super) fn on_proposal(&mut self, from: PeerId, proposal: P, out: &mut Out<Self>) {
        let (height, id) = (proposal.height(), proposal.id());
        let Some(slot) = self.log.get_mut(height).filter(|slot| slot.is_wanted(&id)) else { return };
        if slot.bodies.contains_key(&id) {
            return;
        }
        let is_ordered = slot.order().is_none_or(|order| order.id != id || order.parent == proposal.parent());
        if !proposal.is_whole() || !is_ordered {
            return out.reject(from, Reject::VoteProposal);
        }
        slot.bodies.insert(id, Body::new(proposal, Opinion::Open));
    }

    pub(super) fn on_status(&mut self, from: PeerId, status: &Status, out: &mut Out<Self>) {
        let Some(link) = self.links.get_mut(&from).filter(|link| link.validator.is_some()) else {
            // Validators introduce themselves first: that was lost.
            return out.send(from, Message::Hello { hello: self.hello(), asks: true });
        };
        link.stable = status.stable;
        self.follow_watermarks(out);
        self.send_decisions(from, status.decided, out);
        self.send_view(from, status, out);
        if status.view == self.view && status.is_active && self.stage == Stage::Active {
            self.send_votes(from, status, out);
        }
        if status.stable < self.executed
            && let Some(own) = self.my_id().and_then(|me| self.checkpoints.get(&me))
        {
            for checkpoint in own.values().filter(|own| own.body().height > status.stable) {
                out.send(from, Message::Checkpoint(checkpoint.clone()));
            }
        }
        let theirs = (status.view, status.is_active);
        let is_ahead = status.decided > self.decided.height || theirs > (self.view, self.stage == Stage::Active);
        let ours = self.status(true);
        let has_more = theirs == (self.view, true) && status.decided == self.decided.height && has_more(status, &ours);
        if !status.is_reply && (is_ahead || has_more || status.stable > self.stable.0) {
            out.send(from, Message::Status(ours));
        }
    }

    /// The last stable checkpoint that each connected validator says it has.
    pub(super) fn claims(&self) -> BTreeMap<ValidatorId, Height> {
        let claims = self.links.values().filter_map(|link| link.validator.map(|validator| (validator, link.stable)));
        claims.collect()
    }

    /// The next decisions that it lacks, and how far they go.
    fn send_decisions(&self, from: PeerId, decided: Height, out: &mut Out<Self>) {
        if decided >= self.decided.height {
            return;
        }
        let mut last = decided;
        for (height, slot) in self.log.above(decided).take(DECISIONS_MAX) {
            let Some((id, certificate)) = &slot.decided else { break };
            let Some(body) = slot.bodies.get(id) else { break };
            if height > self.decided.height || height != last.next() {
                break;
            }
            last = height;
            let base = Base { height, id: *id, certificate: certificate.clone() };
            out.send(from, Message::Decided { base, proposal: Some(body.proposal.clone()) });
        }
        if last < self.decided.height {
            out.send(from, Message::Decided { base: self.decided.clone(), proposal: None });
        }
    }

    /// What brings it to our view, or us and it to the next one.
    fn send_view(&self, from: PeerId, status: &Status, out: &mut Out<Self>) {
        if status.view > self.view || (status.view == self.view && status.is_active) {
            return;
        }
        if let Some(new_view) = &self.new_view {
            out.send(from, Message::NewView(new_view.clone()));
        } else if let Some(change) = self.my_id().and_then(|me| self.changes.get(&me)) {
            out.send(from, Message::ViewChange(change.clone()));
        }
    }

    /// Our own votes for what it has not decided.
    fn send_votes(&self, from: PeerId, status: &Status, out: &mut Out<Self>) {
        let Some(me) = self.my_id() else { return };
        for (height, slot) in self.log.above(status.decided.max(self.decided.height)) {
            let place = (height.0 - status.decided.0 - 1) as usize;
            let has_order = status.orders.get(place).copied().unwrap_or(false);
            if let Some(order) = &slot.order
                && order.by() == me
                && !has_order
                && let Some(body) = slot.body()
            {
                out.send(from, Message::PrePrepare { order: order.clone(), proposal: body.proposal.clone() });
            }
            if let Some(prepare) = slot.prepares.get(&me).filter(|prepare| prepare.body().0.view == self.view) {
                out.send(from, Message::Prepare(prepare.clone()));
            }
            if let Some(commit) = slot.commits.get(&me).filter(|commit| commit.body().view == self.view) {
                out.send(from, Message::Commit(commit.clone()));
            }
        }
    }
}

/// Whether one replica has a proposal that another of the same view lacks, who has decided as much.
fn has_more(one: &Status, other: &Status) -> bool {
    let mut other = other.orders.iter().copied().chain(core::iter::repeat(false));
    one.orders.iter().any(|has| *has && !other.next().unwrap_or(false))
}
