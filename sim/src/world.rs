//! The event loop: takes what is due, lets the peer step, and does what its effects say.

use std::time::Duration;

use synod_machine::{Effect, Host, Input, Out, PeerId, Protocol, Time, Wire, wire};

use crate::disk::is_write;
use crate::net::{Action, Due, Setup};
use crate::peers::Waiting;
use crate::queue::Entry;
use crate::trace::{Filter, Recorder, word};
use crate::{Experiment, Net, NetOf};

/// How far a run came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Nothing is scheduled any more.
    Idle,
    /// The number of events that was asked for is over.
    Paused,
    /// The experiment stopped it.
    Stopped,
    /// The time that was asked for has come.
    Until,
}

/// An experiment and the peers it is made with.
pub struct World<E: Experiment> {
    net: NetOf<E>,
    experiment: E,
    out: Out<E::Protocol>,
}

impl<E: Experiment> World<E> {
    /// Peers that are all down, and nothing scheduled.
    pub fn new(setup: Setup, experiment: E) -> Self {
        Self { net: Net::new(setup), experiment, out: Out::new() }
    }

    /// The peers.
    pub const fn net(&self) -> &NetOf<E> {
        &self.net
    }

    /// The peers, to act on them between two runs.
    pub const fn net_mut(&mut self) -> &mut NetOf<E> {
        &mut self.net
    }

    /// The experiment.
    pub const fn experiment(&self) -> &E {
        &self.experiment
    }

    /// The experiment and the peers, to act on both between two runs.
    pub const fn parts_mut(&mut self) -> (&mut E, &mut NetOf<E>) {
        (&mut self.experiment, &mut self.net)
    }

    /// Records what happens from now on. The filter is one that [`Filter::check`] accepts.
    pub fn record(&mut self, filter: Filter) {
        let peers = self.net.len();
        assert_eq!(filter.check(peers), Ok(()), "whoever takes a filter from a person checks it");
        self.net.recorder = Some(Box::new(Recorder::new(filter, peers)));
    }

    /// What was recorded.
    pub fn recorder(&self) -> Option<&Recorder> {
        self.net.recorder.as_deref()
    }

    /// Why the experiment stopped the run, if it did.
    pub fn stopped(&self) -> Option<&str> {
        self.net.stopped.as_deref()
    }

    /// Lets things happen up to and at `until`, but no more than `events_max` of them.
    pub fn run(&mut self, until: Time, events_max: u64) -> Status {
        for _ in 0..events_max {
            if self.net.stopped.is_some() {
                return Status::Stopped;
            }
            let Some(entry) = self.net.pop(until) else {
                let is_idle = self.net.scheduled() == 0;
                self.net.now = self.net.now.max(if is_idle { self.net.now } else { until });
                return if is_idle { Status::Idle } else { Status::Until };
            };
            self.net.look_ahead();
            self.happen(entry);
        }
        if self.net.stopped.is_some() { Status::Stopped } else { Status::Paused }
    }

    #[inline(always)]
    fn happen(&mut self, entry: Entry) {
        match Due::unpack(entry.what) {
            Due::Action(place) => self.act(entry, place),
            Due::Arrival(envelope) => self.net.arrive(entry, envelope),
            Due::Delivery(envelope) => {
                if let Some((from, len)) = self.net.deliver(entry, envelope) {
                    self.hear(entry.peer, from, envelope, len);
                }
            }
            Due::Timer => self.fire(entry),
        }
    }

    fn act(&mut self, entry: Entry, place: u32) {
        let is_stale = entry.sequence < self.net.places.get(entry.peer as usize).map_or(0, |place| place.born);
        match self.net.actions.remove(place) {
            Action::Alarm(alarm) => {
                self.net.digest.step(entry.at, entry.peer, word("alarm"));
                self.experiment.on_alarm(&mut self.net, alarm);
            }
            Action::Command { peer, command } => {
                if !is_stale {
                    self.step(peer, Input::Command(command), None);
                }
            }
            Action::Link { peer, other } => self.tell_link(peer, other),
            Action::Release(peer) => {
                if !is_stale {
                    self.release_synced(peer);
                }
            }
            Action::Resume(peer) => {
                if !is_stale {
                    self.resume(peer);
                }
            }
            Action::Start(peer) => self.start(peer),
        }
    }

    // A message is moved in one piece: what was just written by parts and is read at once by larger words makes the processor wait
    // (docs/decisions/0007-simulator.md). So an input that has one is made where it is given away, and `release` is not inlined.
    // What `hear` does for a message, `step` does for everything else, and for messages that had to wait.

    /// One step of a peer that is up, for a message that is here. `bytes` is its length.
    #[inline(never)]
    fn hear(&mut self, peer: u32, from: PeerId, envelope: u32, bytes: u32) {
        let message = self.net.take(envelope);
        let place = &mut self.net.places[peer as usize];
        let Some(host) = &mut place.host else { return };
        let mut now = self.net.now;
        if let Some(trouble) = &mut place.trouble {
            if trouble.is_paused {
                return self.put_off(peer, Input::Message { from, message }, Some(bytes));
            }
            now = trouble.clock.at(now);
        }
        self.net.digest.step(self.net.now, peer, word_of_message(message.kind(), from, bytes));
        if let Some(recorder) = &mut self.net.recorder {
            recorder.heard(self.net.now, peer, from, &message, bytes);
        }
        self.net.tally.steps += 1;
        place.passed.received.add(1, u64::from(bytes));
        let input = Input::Message { from, message };
        host.step_sized(now, input, Some(bytes), &mut self.out, &mut self.net.counters);
        self.settle(peer);
        self.net.wake(peer);
    }

    /// One step of a peer that is up, for what is not a message that just came. `bytes` is a message's length.
    #[inline(never)]
    fn step(&mut self, peer: u32, input: Input<E::Protocol>, bytes: Option<u32>) {
        let place = &mut self.net.places[peer as usize];
        let Some(host) = &mut place.host else { return };
        let mut now = self.net.now;
        if let Some(trouble) = &mut place.trouble {
            if trouble.is_paused {
                return self.put_off(peer, input, bytes);
            }
            now = trouble.clock.at(now);
        }
        self.net.digest.step(self.net.now, peer, word_of(&input, bytes));
        if let Some(recorder) = &mut self.net.recorder {
            recorder.step(self.net.now, peer, &input, bytes.unwrap_or_default());
        }
        self.net.tally.steps += 1;
        if let Some(bytes) = bytes {
            place.passed.received.add(1, u64::from(bytes));
        }
        host.step_sized(now, input, bytes, &mut self.out, &mut self.net.counters);
        self.settle(peer);
        self.net.wake(peer);
    }

    /// A paused peer takes it later.
    fn put_off(&mut self, peer: u32, input: Input<E::Protocol>, bytes: Option<u32>) {
        let origin = self.net.recorder.as_mut().and_then(|recorder| recorder.put_off());
        self.net.places[peer as usize].trouble().backlog.push_back(Waiting { input, bytes, origin });
    }

    /// Steps for every timer of a peer that is due.
    fn fire(&mut self, entry: Entry) {
        let place = &mut self.net.places[entry.peer as usize];
        if place.wakes_at != entry.at || entry.sequence < place.born {
            return;
        }
        if place.is_paused() {
            return;
        }
        place.wakes_at = Time::MAX;
        loop {
            let place = &mut self.net.places[entry.peer as usize];
            if place.is_paused() {
                break;
            }
            let clock = place.clock();
            let Some(host) = &mut place.host else { return };
            let now = clock.at(self.net.now);
            let Some(timer) = host.pop_due(now) else { break };
            host.step_counting(now, Input::Timer(timer), &mut self.out, &mut self.net.counters);
            self.net.tally.steps += 1;
            self.net.digest.step(self.net.now, entry.peer, word("timer"));
            if let Some(recorder) = &mut self.net.recorder {
                recorder.step::<E::Protocol>(self.net.now, entry.peer, &Input::Timer(timer), 0);
            }
            self.settle(entry.peer);
        }
        self.net.wake(entry.peer);
    }

    fn start(&mut self, peer: u32) {
        let id = PeerId(peer);
        if self.net.is_up(id) {
            return;
        }
        let params = self.experiment.params(&self.net, id);
        let hot = self.net.places[peer as usize].disk.hot();
        let protocol = E::Protocol::restore(params, hot.into_iter());
        self.net.digest.step(self.net.now, peer, word("start"));
        if let Some(recorder) = &mut self.net.recorder {
            recorder.started(self.net.now, peer);
        }
        self.net.tally.starts += 1;
        let born = self.net.queue.next_sequence();
        let place = &mut self.net.places[peer as usize];
        place.born = born;
        place.wakes_at = Time::MAX;
        let now = place.clock().at(self.net.now);
        place.host = Some(Host::start_counting(protocol, now, &mut self.out, &mut self.net.counters));
        self.settle(peer);
        self.net.wake(peer);
        self.experiment.on_start(&mut self.net, id);
        if self.net.is_up(id) {
            self.net.open_all(peer);
        }
    }

    /// Tells a peer what became of a connection since it was last told.
    fn tell_link(&mut self, peer: u32, other: u32) {
        let place = &mut self.net.places[peer as usize];
        if place.host.is_none() {
            return;
        }
        let Some(edge) = place.edge(other) else { return };
        let (before, now) = (edge.told, edge.connection());
        edge.told = now;
        if before == now {
            return;
        }
        if before.is_some() {
            self.step(peer, Input::PeerDown(PeerId(other)), None);
        }
        if now.is_some() {
            self.step(peer, Input::PeerUp(PeerId(other)), None);
        }
    }

    fn resume(&mut self, peer: u32) {
        let Some(trouble) = &mut self.net.places[peer as usize].trouble else { return };
        if !std::mem::take(&mut trouble.is_resuming) {
            return;
        }
        trouble.is_paused = false;
        let synced = std::mem::take(&mut trouble.synced);
        self.release_all(peer, synced);
        let backlog = self.net.places[peer as usize].trouble().backlog.split_off(0);
        for Waiting { input, bytes, origin } in backlog {
            if let Some(recorder) = &mut self.net.recorder {
                recorder.hand_again(origin);
            }
            self.step(peer, input, bytes);
        }
        self.net.places[peer as usize].wakes_at = Time::MAX;
        self.net.wake(peer);
    }

    /// Does what a step's effects say, or keeps them until what must precede them is on disk.
    #[inline]
    fn settle(&mut self, peer: u32) {
        let mut out = std::mem::take(&mut self.out);
        if self.net.disk_sync > Duration::ZERO {
            self.defer(peer, &mut out);
        } else {
            out.reverse();
            while !out.is_empty() {
                let effect = out.take_last();
                self.release(peer, effect);
            }
        }
        self.out = out;
    }

    /// A host may group many steps into one sync and releases their effects together.
    fn defer(&mut self, peer: u32, out: &mut Out<E::Protocol>) {
        let effects: Vec<_> = out.drain().collect();
        let Some(place) = self.net.places.get_mut(peer as usize) else { return };
        let is_waiting = place.trouble.as_ref().is_some_and(|trouble| !trouble.outbox.is_empty());
        if effects.is_empty() || (!is_waiting && !effects.iter().any(is_write)) {
            effects.into_iter().for_each(|effect| self.release(peer, effect));
            return;
        }
        let outbox = &mut place.trouble().outbox;
        let step = self.net.recorder.as_ref().map_or(0, |recorder| recorder.last_step(peer));
        outbox.push(step, effects);
        if outbox.begin() {
            self.net.schedule(self.net.now + self.net.disk_sync, peer, Action::Release(peer));
        }
    }

    /// A sync is over: all that it covers is on the disk before any of it is released.
    fn release_synced(&mut self, peer: u32) {
        let Some(trouble) = &mut self.net.places[peer as usize].trouble else { return };
        let steps = trouble.outbox.finish().into_iter();
        let effects = steps.flat_map(|(step, effects)| effects.into_iter().map(move |effect| (step, effect)));
        let (writes, synced): (Vec<_>, Vec<_>) = effects.partition(|(_, effect)| is_write(effect));
        let is_paused = trouble.is_paused;
        for (_, write) in writes {
            self.release(peer, write);
        }
        if is_paused {
            self.net.places[peer as usize].trouble().synced = synced;
        } else {
            self.release_all(peer, synced);
        }
    }

    /// Releases what is synced and begins the next sync.
    fn release_all(&mut self, peer: u32, synced: Vec<(u64, Effect<E::Protocol>)>) {
        if self.net.places[peer as usize].trouble().outbox.begin() {
            self.net.schedule(self.net.now + self.net.disk_sync, peer, Action::Release(peer));
        }
        for (step, effect) in synced {
            if let Some(recorder) = &mut self.net.recorder {
                recorder.release(Some(step));
            }
            self.release(peer, effect);
        }
        if let Some(recorder) = &mut self.net.recorder {
            recorder.release(None);
        }
    }

    /// An effect leaves its peer, unless the peer has crashed over an earlier one.
    #[inline(never)]
    fn release(&mut self, peer: u32, effect: Effect<E::Protocol>) {
        let place = &mut self.net.places[peer as usize];
        if place.host.is_none() {
            return;
        }
        match effect {
            Effect::Broadcast { to, message } => self.net.transmit(peer, &to, message),
            Effect::Emit(event) => self.experiment.on_event(&mut self.net, PeerId(peer), event),
            Effect::Forget(_) => place.write(effect),
            Effect::Persist { key, record } => {
                let record = if self.net.codec { recode(&record) } else { record };
                place.write(Effect::Persist { key, record });
            }
            Effect::Reject { peer: by, reason } => {
                self.experiment.on_reject(&mut self.net, PeerId(peer), by, reason);
            }
            Effect::Send { to, message } => self.net.transmit(peer, &[to], message),
            Effect::Cancel(_) | Effect::Set { .. } => unreachable!("the host keeps timers to itself"),
        }
    }
}

fn recode<R: Wire>(record: &R) -> R {
    let bytes = wire::encode(record);
    assert!(bytes.len() == record.encoded_len(), "a {} knows its length", record.kind());
    wire::decode(&bytes).expect("our own record comes back")
}

/// What an input is in the digest.
fn word_of<P: Protocol>(input: &Input<P>, bytes: Option<u32>) -> u64 {
    match input {
        Input::Command(_) => word("command"),
        Input::Message { from, message } => {
            word_of_message(message.kind(), *from, bytes.unwrap_or_else(|| message.encoded_len() as u32))
        }
        Input::PeerDown(peer) => word("down") ^ u64::from(peer.0) << 32,
        Input::PeerUp(peer) => word("up") ^ u64::from(peer.0) << 32,
        Input::Timer(_) => word("timer"),
    }
}

fn word_of_message(kind: &str, from: PeerId, bytes: u32) -> u64 {
    word(kind) ^ u64::from(bytes) << 40 ^ u64::from(from.0).rotate_left(16)
}

#[cfg(test)]
mod tests;
