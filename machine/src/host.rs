//! One protocol, its timers and its counters, without I/O. The libp2p task and the simulator drive the same host.

use alloc::collections::{BTreeMap, BTreeSet};

use crate::{Effect, Input, Out, Protocol, Reject, Time, Wire};

/// How much of one kind of message passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Messages; a broadcast counts once per receiver.
    pub messages: u64,
    /// Encoded bytes, framing not included.
    pub bytes: u64,
}

/// What a host counted since it began.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// Messages received, by kind.
    pub received: BTreeMap<&'static str, Count>,
    /// Peers' mistakes, by reason.
    pub rejects: BTreeMap<Reject, u64>,
    /// Messages sent, by kind.
    pub sent: BTreeMap<&'static str, Count>,
    /// Steps taken.
    pub steps: u64,
}

/// Runs one protocol: keeps its timers, counts its effects, checks its invariants after every step.
pub struct Host<P: Protocol> {
    protocol: P,
    now: Time,
    deadlines: BTreeMap<P::Timer, Time>,
    due: BTreeSet<(Time, P::Timer)>,
    counters: Counters,
    out: Out<P>,
}

impl<P: Protocol> Host<P> {
    /// Starts the protocol at `now` and gives its first effects to `release`.
    pub fn start(protocol: P, now: Time, release: impl FnMut(Effect<P>)) -> Self {
        let mut host = Self {
            protocol,
            now,
            deadlines: BTreeMap::new(),
            due: BTreeSet::new(),
            counters: Counters::default(),
            out: Out::new(),
        };
        host.protocol.start(now, &mut host.out);
        host.settle(release);
        host
    }

    /// One step. `release` is given the effects that are not the host's own (all but `Set` and `Cancel`), in order.
    /// A time before the last one counts as the last one: a protocol never sees time run backwards.
    pub fn step(&mut self, now: Time, input: Input<P>, release: impl FnMut(Effect<P>)) {
        self.now = self.now.max(now);
        self.counters.steps += 1;
        if let Input::Message { message, .. } = &input {
            let len = message.encoded_len();
            count(&mut self.counters.received, message.kind(), 1, len);
        }
        self.protocol.handle(self.now, input, &mut self.out);
        self.settle(release);
    }

    /// Steps for every timer that is due at `now`, earliest first.
    pub fn fire(&mut self, now: Time, mut release: impl FnMut(Effect<P>)) {
        while let Some(timer) = self.pop_due(now) {
            self.step(now, Input::Timer(timer), &mut release);
        }
    }

    /// When the next timer is due, if one is set.
    pub fn next_deadline(&self) -> Option<Time> {
        self.due.first().map(|&(at, _)| at)
    }

    /// The protocol, to look at.
    pub const fn protocol(&self) -> &P {
        &self.protocol
    }

    /// The counters, to look at.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Counts a mistake that the driver saw before the protocol could: bytes that no message has.
    pub fn count_reject(&mut self, reason: Reject) {
        *self.counters.rejects.entry(reason).or_default() += 1;
    }

    fn pop_due(&mut self, now: Time) -> Option<P::Timer> {
        let &(at, timer) = self.due.first()?;
        if at > now.max(self.now) {
            return None;
        }
        self.due.pop_first();
        self.deadlines.remove(&timer);
        Some(timer)
    }

    fn settle(&mut self, mut release: impl FnMut(Effect<P>)) {
        self.protocol.check();
        for effect in self.out.drain() {
            match &effect {
                Effect::Set { timer, at } => {
                    if let Some(before) = self.deadlines.insert(*timer, *at) {
                        self.due.remove(&(before, *timer));
                    }
                    self.due.insert((*at, *timer));
                    continue;
                }
                Effect::Cancel(timer) => {
                    if let Some(before) = self.deadlines.remove(timer) {
                        self.due.remove(&(before, *timer));
                    }
                    continue;
                }
                Effect::Broadcast { to, message } => {
                    count(&mut self.counters.sent, message.kind(), to.len(), message.encoded_len());
                }
                Effect::Send { message, .. } => {
                    count(&mut self.counters.sent, message.kind(), 1, message.encoded_len());
                }
                Effect::Reject { reason, .. } => *self.counters.rejects.entry(*reason).or_default() += 1,
                Effect::Emit(_) | Effect::Forget(_) | Effect::Persist { .. } => {}
            }
            release(effect);
        }
    }
}

fn count(counts: &mut BTreeMap<&'static str, Count>, kind: &'static str, receivers: usize, len: usize) {
    let count = counts.entry(kind).or_default();
    count.messages += receivers as u64;
    count.bytes += (receivers * len) as u64;
}
