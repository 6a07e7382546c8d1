//! What each behaviour makes of a message.

use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec;
use alloc::vec::Vec;

use synod_ledger::{BlockId, Certificate, Signature};
use synod_machine::{PeerId, Rng};

use super::{Behaviour, Sibling};
use crate::pbft::{
    Agreement, Commit, Identity, Message, NewView, Order, Params, PrePrepare, Prepare, Rules, Signed, Statement,
    ValidatorId, ViewChange, choose,
};

/// Old messages kept for repetition.
const ARCHIVE_MAX: usize = 64;

type Said<P> = Vec<(Vec<PeerId>, Message<P>)>;

/// A behaviour at work.
#[derive(Debug)]
pub(super) struct Scheme<P> {
    behaviour: Behaviour,
    rules: Rules,
    identity: Option<Identity>,
    rng: Rng,
    archive: VecDeque<Message<P>>,
    /// The validators' peers, as far as they have said so.
    peers: BTreeSet<PeerId>,
    /// Orders that a colluder has voted for, and towards whom.
    voted: BTreeSet<(Order, PeerId)>,
}

impl<P: Sibling> Scheme<P> {
    pub(super) fn new(behaviour: Behaviour, params: &Params, rng: Rng) -> Self {
        let identity = params.secret.as_ref().and_then(|secret| Identity::of(secret, &params.rules.validators));
        let rules = params.rules.clone();
        let (archive, peers, voted) = (VecDeque::new(), BTreeSet::new(), BTreeSet::new());
        Self { behaviour, rules, identity, rng, archive, peers, voted }
    }

    pub(super) fn remove(&mut self, peer: PeerId) {
        self.peers.remove(&peer);
    }

    /// What is sent in the place of a message.
    pub(super) fn change(&mut self, inner: &Agreement<P>, to: Vec<PeerId>, message: Message<P>) -> Said<P> {
        match self.behaviour {
            Behaviour::Honest | Behaviour::Slow(_) => vec![(to, message)],
            Behaviour::Silent => Vec::new(),
            Behaviour::Selective => {
                let middle = self.peers.iter().nth(self.peers.len() / 2).copied();
                let lower = to.into_iter().filter(|peer| middle.is_none_or(|middle| *peer < middle));
                vec![(lower.collect(), message)]
            }
            Behaviour::Replayer => {
                self.keep(&message);
                let mut said = vec![(to.clone(), message)];
                said.extend(self.recall().map(|old| (to, old)));
                said
            }
            Behaviour::Forger => {
                let forged = self.forge(&message);
                let mut said = vec![(to.clone(), message)];
                said.extend(forged.map(|forged| (to, forged)));
                said
            }
            Behaviour::Equivocator if matches!(message, Message::PrePrepare { .. }) => self.propose_twice(to, message),
            Behaviour::EquivocatingVoter | Behaviour::Equivocator => self.vote_twice(to, message),
            Behaviour::Colluder if matches!(message, Message::Prepare(_) | Message::Commit(_)) => Vec::new(),
            Behaviour::EquivocatingPrimary | Behaviour::Colluder => self.propose_twice(to, message),
            Behaviour::LyingChanger => self.change_twice(inner, to, message),
            Behaviour::LyingDonor => vec![(to, give_badly(message))],
        }
    }

    /// What is said because of a message that came.
    pub(super) fn hear(&mut self, inner: &Agreement<P>, from: PeerId, message: &Message<P>) -> Said<P> {
        match message {
            Message::Hello { .. } => {
                self.peers.insert(from);
            }
            Message::Prepare(prepare) if self.behaviour == Behaviour::Colluder => {
                return self.support(from, prepare.body().0);
            }
            Message::ViewChange(change) if self.behaviour == Behaviour::LyingChanger => {
                return self.start_twice(inner, change.body());
            }
            Message::Checkpoint(_)
            | Message::Commit(_)
            | Message::Decided { .. }
            | Message::Fetch { .. }
            | Message::Mark(_)
            | Message::NewView(_)
            | Message::PrePrepare { .. }
            | Message::Prepare(_)
            | Message::Proposal(_)
            | Message::Recall { .. }
            | Message::Status(_)
            | Message::ViewChange(_) => {}
        }
        if self.behaviour == Behaviour::Replayer {
            self.keep(message);
        }
        Vec::new()
    }

    fn sign<T: Statement>(&self, body: T) -> Option<Signed<T>> {
        self.identity.as_ref().map(|identity| Signed::new(&self.rules, identity, body))
    }

    fn keep(&mut self, message: &Message<P>) {
        if self.archive.len() == ARCHIVE_MAX {
            let place = self.rng.below(ARCHIVE_MAX as u64) as usize;
            self.archive.remove(place);
        }
        self.archive.push_back(message.clone());
    }

    fn recall(&mut self) -> Option<Message<P>> {
        let place = self.rng.below(self.archive.len().max(1) as u64) as usize;
        self.archive.get(place).cloned()
    }

    /// The same message with one thing wrong.
    fn forge(&mut self, message: &Message<P>) -> Option<Message<P>> {
        let other = ValidatorId(self.rng.below(self.rules.validators.count() as u64 + 1) as u8);
        let kind = self.rng.below(3);
        Some(match message {
            Message::Checkpoint(signed) => Message::Checkpoint(spoil(signed, kind, other)),
            Message::Commit(signed) => Message::Commit(spoil(signed, kind, other)),
            Message::NewView(signed) => Message::NewView(spoil(signed, kind, other)),
            Message::PrePrepare { order, proposal } if kind == 2 => {
                Message::PrePrepare { order: order.clone(), proposal: proposal.sibling() }
            }
            Message::PrePrepare { order, proposal } => {
                Message::PrePrepare { order: spoil(order, kind, other), proposal: proposal.clone() }
            }
            Message::Prepare(signed) => Message::Prepare(spoil(signed, kind, other)),
            Message::ViewChange(signed) => Message::ViewChange(spoil(signed, kind, other)),
            Message::Decided { base, proposal } => {
                let mut base = base.clone();
                base.id.0.0[0] ^= 1;
                Message::Decided { base, proposal: proposal.clone() }
            }
            Message::Fetch { .. }
            | Message::Hello { .. }
            | Message::Mark(_)
            | Message::Proposal(_)
            | Message::Recall { .. }
            | Message::Status(_) => return None,
        })
    }

    fn vote_twice(&self, to: Vec<PeerId>, message: Message<P>) -> Said<P> {
        let invented = match &message {
            Message::Prepare(prepare) => {
                self.sign(Prepare(Order { id: invent(prepare.body().0.id), ..prepare.body().0 })).map(Message::Prepare)
            }
            Message::Commit(commit) => {
                self.sign(Commit { id: invent(commit.body().id), ..*commit.body() }).map(Message::Commit)
            }
            Message::Checkpoint(_)
            | Message::Decided { .. }
            | Message::Fetch { .. }
            | Message::Hello { .. }
            | Message::Mark(_)
            | Message::NewView(_)
            | Message::PrePrepare { .. }
            | Message::Proposal(_)
            | Message::Recall { .. }
            | Message::Status(_)
            | Message::ViewChange(_) => None,
        };
        split(to, message, invented)
    }

    fn propose_twice(&mut self, to: Vec<PeerId>, message: Message<P>) -> Said<P> {
        let Message::PrePrepare { order, proposal } = &message else { return vec![(to, message)] };
        let sibling = proposal.sibling();
        let order = Order { id: sibling.id(), ..order.body().0 };
        let Some(signed) = self.sign(PrePrepare(order)) else { return Vec::new() };
        // Who gets which changes from height to height, so that accomplices do not take up one half for ever.
        let mut to = to;
        let turn = order.height.0 % to.len().max(1) as u64;
        to.rotate_left(turn as usize);
        let mut said = split(to, message, Some(Message::PrePrepare { order: signed, proposal: sibling }));
        if self.behaviour != Behaviour::Colluder {
            let Order { view, height, id, .. } = order;
            said.extend(
                self.sign(Commit { view, height, id }).map(|commit| (self.everybody(), Message::Commit(commit))),
            );
        }
        said
    }

    /// Votes towards whoever prepares something, for what it prepares.
    fn support(&mut self, peer: PeerId, order: Order) -> Said<P> {
        if self.voted.len() == ARCHIVE_MAX {
            self.voted.pop_first();
        }
        if !self.voted.insert((order, peer)) {
            return Vec::new();
        }
        let Order { view, height, id, .. } = order;
        let is_primary = self.identity.as_ref().is_some_and(|me| me.id == self.rules.validators.primary(view));
        let prepare = self.sign(Prepare(order)).filter(|_| !is_primary).map(Message::Prepare);
        let commit = self.sign(Commit { view, height, id }).map(Message::Commit);
        prepare.into_iter().chain(commit).map(|vote| (vec![peer], vote)).collect()
    }

    /// One half is told that nothing is prepared here.
    fn change_twice(&self, inner: &Agreement<P>, to: Vec<PeerId>, message: Message<P>) -> Said<P> {
        match &message {
            Message::ViewChange(change) => {
                let empty = ViewChange { prepared: Vec::new(), ..change.body().clone() };
                split(to, message, self.sign(empty).map(Message::ViewChange))
            }
            Message::Commit(commit) => {
                // It has just prepared something: that is when a change of view hurts.
                let base = inner.decided().clone();
                let view = commit.body().view.next();
                let early = self.sign(ViewChange { view, base, prepared: Vec::new() }).map(Message::ViewChange);
                let mut said = vec![(to.clone(), message)];
                said.extend(early.map(|change| (to, change)));
                said
            }
            Message::NewView(_) if to.len() > 1 => Vec::new(), // It is told in two versions.
            Message::Checkpoint(_)
            | Message::Decided { .. }
            | Message::Fetch { .. }
            | Message::Hello { .. }
            | Message::Mark(_)
            | Message::NewView(_)
            | Message::PrePrepare { .. }
            | Message::Prepare(_)
            | Message::Proposal(_)
            | Message::Recall { .. }
            | Message::Status(_) => vec![(to, message)],
        }
    }

    /// As the primary of a view that others move to: two new views, one with its own view change and one with an empty
    /// one in its place, which is as valid.
    fn start_twice(&mut self, inner: &Agreement<P>, latest: &ViewChange) -> Said<P> {
        let Some(me) = self.identity.as_ref().map(|me| me.id) else { return Vec::new() };
        if self.rules.validators.primary(latest.view) != me || inner.view() < latest.view {
            return Vec::new();
        }
        let Some(started) = inner.new_view().filter(|new_view| new_view.body().view == latest.view) else {
            return Vec::new();
        };
        let NewView { view, changes, orders } = started.body().clone();
        let own = ViewChange { view, base: inner.decided().clone(), prepared: Vec::new() };
        let replace =
            |change: Signed<ViewChange>| if change.by() == me { self.sign(own.clone()) } else { Some(change) };
        let others: Option<Vec<Signed<ViewChange>>> = changes.into_iter().map(replace).collect();
        let Some(changes) = others else { return Vec::new() };
        let orders_of = choose(view, &changes).into_iter().map(|order| self.sign(PrePrepare(order)));
        let Some(second) = orders_of.collect::<Option<Vec<_>>>() else { return Vec::new() };
        let is_other = second != orders;
        let second = self.sign(NewView { view, changes, orders: second }).filter(|_| is_other).map(Message::NewView);
        split(self.everybody(), Message::NewView(started.clone()), second)
    }

    fn everybody(&self) -> Vec<PeerId> {
        self.peers.iter().copied().collect()
    }
}

/// What others lack, spoilt: a decision under a bad proof, another proposal under a name that was asked for.
fn give_badly<P: Sibling>(message: Message<P>) -> Message<P> {
    match message {
        Message::Decided { mut base, proposal } => {
            let spoilt = base.certificate.votes().iter().map(|(place, _)| (*place, Signature::NONE));
            base.certificate = Certificate::new(base.certificate.view(), spoilt.collect());
            Message::Decided { base, proposal }
        }
        Message::Proposal(proposal) => Message::Proposal(proposal.sibling()),
        Message::Checkpoint(_)
        | Message::Commit(_)
        | Message::Fetch { .. }
        | Message::Hello { .. }
        | Message::Mark(_)
        | Message::NewView(_)
        | Message::PrePrepare { .. }
        | Message::Prepare(_)
        | Message::Recall { .. }
        | Message::Status(_)
        | Message::ViewChange(_) => message,
    }
}

/// Every other receiver is told another thing.
fn split<P>(to: Vec<PeerId>, message: Message<P>, other: Option<Message<P>>) -> Said<P> {
    let Some(other) = other else { return vec![(to, message)] };
    let half = |rest: usize| to.iter().skip(rest).step_by(2).copied().collect();
    vec![(half(0), message), (half(1), other)]
}

fn invent(mut id: BlockId) -> BlockId {
    id.0.0[31] ^= 0x5a;
    id
}

fn spoil<T: Statement>(signed: &Signed<T>, kind: u64, other: ValidatorId) -> Signed<T> {
    let mut signature = signed.signature();
    match kind {
        0 => Signed::from_parts(signed.body().clone(), other, signature),
        1 => Signed::from_parts(signed.body().clone(), signed.by(), Signature::NONE),
        _ => {
            signature.0.0[7] ^= 1;
            Signed::from_parts(signed.body().clone(), signed.by(), signature)
        }
    }
}
