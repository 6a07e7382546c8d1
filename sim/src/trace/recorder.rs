//! The record of a run: what happened at which peer and what it followed from, under Lamport's clock (Lamport 1978,
//! section "Logical clocks") and under vector clocks (Fidge 1988, "Timestamps in message-passing systems that preserve the
//! partial ordering"; Mattern 1989, "Virtual time and global states of distributed systems").
//!
//! A vector has a component for each traced peer, which counts the happenings of that peer that are on record. Every peer,
//! traced or not, carries one, and so does every message: what went through a peer that is not traced is still a cause.

use std::collections::HashMap;
use std::sync::Arc;

use synod_machine::{Input, PeerId, Protocol, Time, Wire};

use super::text::{cut, name};
use super::{Filter, Happening, TEXT_MAX, What};

/// Records happenings.
#[derive(Debug)]
pub struct Recorder {
    filter: Filter,
    traced: Vec<PeerId>,
    happenings: Vec<Happening>,
    dropped: u64,
    /// By peer.
    lines: Vec<Line>,
    /// Where each message under way comes from, by its envelope.
    under_way: HashMap<u32, Origin>,
    /// Where the message comes from that is handed to its receiver next.
    handed: Option<Origin>,
    /// The step whose effects leave now, where it is not its peer's last.
    released: Option<u64>,
    steps: u64,
}

/// Where a message comes from.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    step: u64,
    at: Time,
    lamport: u64,
    vector: Arc<[u32]>,
}

/// What something follows from, beside what its peer did before.
enum Cause {
    Message(Origin),
    Nothing,
    Step(u64),
}

/// A peer's clocks.
#[derive(Clone, Debug)]
struct Line {
    lamport: u64,
    vector: Arc<[u32]>,
    /// Its component in the vectors, if it is traced.
    component: Option<usize>,
    /// The number of its last step.
    step: u64,
}

impl Recorder {
    /// Records what passes the filter, which fits a world of so many peers.
    pub(crate) fn new(filter: Filter, peers: usize) -> Self {
        let traced = filter.traced(peers);
        let vector: Arc<[u32]> = vec![0; traced.len()].into();
        let mut lines = vec![Line { lamport: 0, vector, component: None, step: 0 }; peers];
        for (component, peer) in traced.iter().enumerate() {
            lines[peer.0 as usize].component = Some(component);
        }
        Self {
            filter,
            traced,
            happenings: Vec::new(),
            dropped: 0,
            lines,
            under_way: HashMap::new(),
            handed: None,
            released: None,
            steps: 0,
        }
    }

    /// What was recorded, in order.
    pub fn happenings(&self) -> &[Happening] {
        &self.happenings
    }

    /// The happening of this number, if it is on record.
    pub fn happening(&self, step: u64) -> Option<&Happening> {
        self.place(step).map(|place| &self.happenings[place])
    }

    /// How many passed the filter when there was no more room.
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The traced peers, in the order of the vector clocks' components.
    pub fn traced(&self) -> &[PeerId] {
        &self.traced
    }

    /// The place on record of the happening of this number.
    pub(super) fn place(&self, step: u64) -> Option<usize> {
        self.happenings.binary_search_by_key(&step, |happening| happening.step).ok()
    }

    pub(crate) fn crashed(&mut self, at: Time, peer: u32) {
        self.happen(at, peer, What::Crash, Cause::Nothing, || "crash".to_owned(), String::new);
    }

    pub(crate) fn started(&mut self, at: Time, peer: u32) {
        self.happen(at, peer, What::Start, Cause::Nothing, || "start".to_owned(), String::new);
        self.lines[peer as usize].step = self.steps;
    }

    /// A message was handed to a peer.
    pub(crate) fn heard<M: Wire>(&mut self, at: Time, peer: u32, from: PeerId, message: &M, bytes: u32) {
        let origin = self.handed.take();
        let what = What::Message { from, bytes, sent: origin.as_ref().map(|origin| origin.at) };
        let cause = origin.map_or(Cause::Nothing, Cause::Message);
        self.happen(at, peer, what, cause, || message.kind().to_owned(), || cut(message, TEXT_MAX));
        self.lines[peer as usize].step = self.steps;
    }

    /// A peer takes a step; `bytes` has a message's length.
    pub(crate) fn step<P: Protocol>(&mut self, at: Time, peer: u32, input: &Input<P>, bytes: u32) {
        match input {
            Input::Command(command) => {
                self.happen(
                    at,
                    peer,
                    What::Command,
                    Cause::Nothing,
                    || name(command, "command"),
                    || cut(command, TEXT_MAX),
                );
            }
            Input::Message { from, message } => return self.heard(at, peer, *from, message, bytes),
            Input::PeerDown(other) => {
                self.happen(at, peer, What::Down(*other), Cause::Nothing, || "down".to_owned(), String::new);
            }
            Input::PeerUp(other) => {
                self.happen(at, peer, What::Up(*other), Cause::Nothing, || "up".to_owned(), String::new);
            }
            Input::Timer(timer) => {
                self.happen(at, peer, What::Timer, Cause::Nothing, || name(timer, "timer"), || cut(timer, TEXT_MAX));
            }
        }
        self.lines[peer as usize].step = self.steps;
    }

    /// The number of a peer's last step.
    pub(crate) fn last_step(&self, peer: u32) -> u64 {
        self.lines[peer as usize].step
    }

    /// What leaves a peer from now on comes from an earlier step; from its last one again, where none is given.
    pub(crate) const fn release(&mut self, step: Option<u64>) {
        self.released = step;
    }

    /// A peer sends a message, `bytes` long, to so many.
    pub(crate) fn sent<M: Wire>(
        &mut self,
        at: Time,
        from: u32,
        envelope: u32,
        message: &M,
        bytes: u32,
        receivers: usize,
    ) {
        let what = What::Sent { receivers: receivers as u32, bytes };
        let step = self.released.unwrap_or(self.lines[from as usize].step);
        let cause = if step > 0 { Cause::Step(step) } else { Cause::Nothing };
        self.happen(at, from, what, cause, || message.kind().to_owned(), || cut(message, TEXT_MAX));
        let line = &self.lines[from as usize];
        let origin = Origin { step: self.steps, at, lamport: line.lamport, vector: Arc::clone(&line.vector) };
        self.under_way.insert(envelope, origin);
    }

    /// A message of this kind was lost at a peer, which is one of its ends.
    pub(crate) fn lost(&mut self, at: Time, peer: u32, lost: What, kind: &'static str) {
        self.happen(at, peer, lost, Cause::Nothing, || kind.to_owned(), String::new);
    }

    /// A message is handed to one of its receivers.
    pub(crate) fn hand(&mut self, envelope: u32) {
        self.handed = self.under_way.get(&envelope).cloned();
    }

    /// Nobody waits for a message any more, and the number of its envelope may be used again.
    pub(crate) fn forget(&mut self, envelope: u32) {
        self.under_way.remove(&envelope);
    }

    /// The receiver of the message that was handed last is paused: it will take it later.
    pub(crate) const fn put_off(&mut self) -> Option<Origin> {
        self.handed.take()
    }

    /// A message that was put off is handed to its receiver.
    pub(crate) fn hand_again(&mut self, origin: Option<Origin>) {
        self.handed = origin;
    }

    fn happen(
        &mut self,
        at: Time,
        peer: u32,
        what: What,
        cause: Cause,
        name: impl FnOnce() -> String,
        text: impl FnOnce() -> String,
    ) {
        self.steps += 1;
        let line = &mut self.lines[peer as usize];
        let cause = match cause {
            Cause::Message(origin) => {
                line.lamport = line.lamport.max(origin.lamport);
                merge(&mut line.vector, &origin.vector);
                Some(origin.step)
            }
            Cause::Nothing => None,
            Cause::Step(step) => Some(step),
        };
        line.lamport += 1;
        let Some(component) = line.component.filter(|_| self.filter.passes_time(at)) else { return };
        let name = name();
        if !self.filter.passes_kind(&name) {
            return;
        }
        if self.happenings.len() >= self.filter.happenings_max {
            self.dropped += 1;
            return;
        }
        Arc::make_mut(&mut line.vector)[component] += 1;
        self.happenings.push(Happening {
            step: self.steps,
            at,
            peer: PeerId(peer),
            lamport: line.lamport,
            cause,
            vector: Arc::clone(&line.vector),
            what,
            name,
            text: text(),
        });
    }

    /// How many messages it holds an origin of.
    #[cfg(test)]
    pub(crate) fn under_way(&self) -> usize {
        self.under_way.len()
    }
}

/// The greater of both, component by component.
fn merge(own: &mut Arc<[u32]>, other: &Arc<[u32]>) {
    if own.iter().zip(other.iter()).all(|(own, other)| own >= other) {
        return;
    }
    if own.iter().zip(other.iter()).all(|(own, other)| own <= other) {
        *own = Arc::clone(other);
        return;
    }
    for (own, other) in Arc::make_mut(own).iter_mut().zip(other.iter()) {
        *own = (*own).max(*other);
    }
}
