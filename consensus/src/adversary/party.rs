//! The machine that is honest or not.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use synod_machine::{Effect, Input, Key, Out, PeerId, Protocol, Rng, Time};

use super::scheme::Scheme;
use super::{Behaviour, Sibling};
use crate::pbft::{Agreement, Command, Event, Message, Params, Record, Timer};

/// Messages held back; a slow primary has no more heights in flight.
const HELD_MAX: usize = 256;

/// What a party is made from.
#[derive(Clone, Debug)]
pub struct PartyParams {
    /// The validator.
    pub agreement: Params,
    /// How it behaves.
    pub behaviour: Behaviour,
    /// The stream from which it draws what to repeat and to forge.
    pub seed: u64,
}

/// A party's timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PartyTimer {
    /// The machine's own.
    Agreement(Timer),
    /// What was held back is due.
    Late,
}

/// A validator that is honest or not.
#[derive(Debug)]
pub struct Party<P: Sibling> {
    inner: Agreement<P>,
    /// What it makes of what the machine says; an honest one has none, and costs what the machine does.
    scheme: Option<Box<Scheme<P>>>,
    held: VecDeque<(Time, Vec<PeerId>, Message<P>)>,
    delay: Option<core::time::Duration>,
}

impl<P: Sibling> Party<P> {
    /// The machine under it.
    pub const fn agreement(&self) -> &Agreement<P> {
        &self.inner
    }

    /// Passes the machine's effects on, with what it sends as the behaviour has it.
    fn pass(&mut self, now: Time, child: &mut Out<Agreement<P>>, out: &mut Out<Self>) {
        for effect in child.drain() {
            match effect {
                Effect::Broadcast { to, message } if self.scheme.is_none() => out.broadcast(to, message),
                Effect::Broadcast { to, message } => self.say(now, to, message, out),
                Effect::Cancel(timer) => out.cancel(PartyTimer::Agreement(timer)),
                Effect::Emit(event) => out.emit(event),
                Effect::Forget(key) => out.forget(key),
                Effect::Persist { key, record } => out.persist(key, record),
                Effect::Reject { peer, reason } => out.reject(peer, reason),
                Effect::Send { to, message } if self.scheme.is_none() => out.send(to, message),
                Effect::Send { to, message } => self.say(now, Vec::from([to]), message, out),
                Effect::Set { timer, at } => out.set(PartyTimer::Agreement(timer), at),
            }
        }
    }

    fn say(&mut self, now: Time, to: Vec<PeerId>, message: Message<P>, out: &mut Out<Self>) {
        if let Some(delay) = self.delay
            && matches!(message, Message::PrePrepare { .. })
            && self.held.len() < HELD_MAX
        {
            if self.held.is_empty() {
                out.set(PartyTimer::Late, now + delay);
            }
            return self.held.push_back((now + delay, to, message));
        }
        let Some(scheme) = &mut self.scheme else { return };
        for (to, message) in scheme.change(&self.inner, to, message) {
            tell(to, message, out);
        }
    }

    fn on_late(&mut self, now: Time, out: &mut Out<Self>) {
        while self.held.front().is_some_and(|(at, ..)| *at <= now)
            && let Some((_, to, message)) = self.held.pop_front()
        {
            tell(to, message, out);
        }
        if let Some((at, ..)) = self.held.front() {
            out.set(PartyTimer::Late, *at);
        }
    }
}

/// One receiver is sent to, several are told together: they are counted alike.
fn tell<P: Sibling>(to: Vec<PeerId>, message: Message<P>, out: &mut Out<Party<P>>) {
    match to.as_slice() {
        [one] => out.send(*one, message),
        _ => out.broadcast(to, message),
    }
}

impl<P: Sibling> Protocol for Party<P> {
    type Params = PartyParams;
    type Message = Message<P>;
    type Timer = PartyTimer;
    type Command = Command<P>;
    type Event = Event<P>;
    type Record = Record<P>;

    fn restore(params: PartyParams, disk: impl Iterator<Item = (Key, Record<P>)>) -> Self {
        let PartyParams { agreement, behaviour, seed } = params;
        let delay = match behaviour {
            Behaviour::Slow(delay) => Some(delay),
            Behaviour::Colluder
            | Behaviour::EquivocatingPrimary
            | Behaviour::EquivocatingVoter
            | Behaviour::Equivocator
            | Behaviour::Forger
            | Behaviour::Honest
            | Behaviour::LyingChanger
            | Behaviour::LyingDonor
            | Behaviour::Replayer
            | Behaviour::Selective
            | Behaviour::Silent => None,
        };
        let scheme = (behaviour != Behaviour::Honest)
            .then(|| Box::new(Scheme::new(behaviour, &agreement, Rng::new(seed, 0, "adversary"))));
        Self { inner: Agreement::restore(agreement, disk), scheme, held: VecDeque::new(), delay }
    }

    fn start(&mut self, now: Time, out: &mut Out<Self>) {
        let mut child = Out::new();
        self.inner.start(now, &mut child);
        self.pass(now, &mut child, out);
    }

    fn handle(&mut self, now: Time, input: Input<Self>, out: &mut Out<Self>) {
        let mut child = Out::new();
        let input = match input {
            Input::Command(command) => Input::Command(command),
            Input::Message { from, message } => {
                let said = self.scheme.as_mut().map(|scheme| scheme.hear(&self.inner, from, &message));
                for (to, message) in said.into_iter().flatten() {
                    tell(to, message, out);
                }
                Input::Message { from, message }
            }
            Input::PeerDown(peer) => {
                if let Some(scheme) = &mut self.scheme {
                    scheme.remove(peer);
                }
                Input::PeerDown(peer)
            }
            Input::PeerUp(peer) => Input::PeerUp(peer),
            Input::Timer(PartyTimer::Agreement(timer)) => Input::Timer(timer),
            Input::Timer(PartyTimer::Late) => return self.on_late(now, out),
        };
        self.inner.handle(now, input, &mut child);
        self.pass(now, &mut child, out);
    }

    fn check(&self) {
        self.inner.check();
    }
}
