//! Reading and writing with quorums (DeCandia et al. 2007, "Dynamo", section 4.5): of N replicas, R or W must answer; who is found to
//! have less than others is given it (read repair).

use alloc::vec::Vec;

use synod_machine::{Out, PeerId, Reject, Time};

use super::calls::What;
use super::entries::{fault, merge};
use super::message::Message;
use super::walk::{Aim, Owners};
use super::{Chord, Event};
use crate::overlay::{Cost, ENTRY_BYTES_MAX, Entry, Failure, Id, Node, Query, Quorum};

/// What replicas said.
#[derive(Debug)]
pub(super) struct Ballot {
    quorum: Quorum,
    /// What is written, or the latest of what was read.
    entries: Vec<Entry>,
    voices: Vec<Voice>,
    /// How often replicas were looked for.
    tries: u8,
    /// Whether the owner has its answer.
    pub(super) is_told: bool,
}

#[derive(Debug)]
struct Voice {
    node: Node,
    said: Said,
}

#[derive(Debug, PartialEq)]
enum Said {
    /// It has these, or has taken them.
    Done(Vec<Entry>),
    Failed,
    Nothing,
    /// There was no room.
    Refused,
}

/// How often replicas are looked for, where too few of the first answer.
const TRIES_MAX: u8 = 3;

impl Ballot {
    const fn new(quorum: Quorum, entries: Vec<Entry>) -> Self {
        Self { quorum, entries, voices: Vec::new(), tries: 0, is_told: false }
    }

    fn done(&self) -> u8 {
        self.voices.iter().filter(|voice| matches!(voice.said, Said::Done(_))).count() as u8
    }

    fn is_waiting(&self) -> bool {
        self.voices.iter().any(|voice| voice.said == Said::Nothing)
    }

    fn failed(&self) -> Vec<Id> {
        self.voices.iter().filter(|voice| voice.said == Said::Failed).map(|voice| voice.node.id).collect()
    }

    fn say(&mut self, node: Node, said: Said) {
        if let Said::Done(entries) = &said {
            // More than all publishers that there may be are left out.
            merge(&mut self.entries, entries);
        }
        if let Some(voice) = self.voices.iter_mut().find(|voice| voice.node == node) {
            voice.said = said;
        }
    }
}

impl Chord {
    pub(super) fn on_get(&mut self, now: Time, query: Query, key: Id, quorum: Quorum, out: &mut Out<Self>) {
        if let Err(failure) = self.admit() {
            return out.emit(Event::Got { query, result: Err(failure), cost: Cost::default() });
        }
        let id = self.begin(key, quorum.replicas(), None, Aim::Get(query, Ballot::new(quorum, Vec::new())));
        self.walk(now, id, out);
    }

    pub(super) fn on_put(
        &mut self,
        now: Time,
        query: Query,
        key: Id,
        entry: Entry,
        quorum: Quorum,
        out: &mut Out<Self>,
    ) {
        let is_long = entry.value.len() > ENTRY_BYTES_MAX;
        let admitted = self.admit().and(if is_long { Err(too_few(0, quorum)) } else { Ok(()) });
        if let Err(failure) = admitted {
            return out.emit(Event::Put { query, result: Err(failure), cost: Cost::default() });
        }
        let ballot = Ballot::new(quorum, [entry].to_vec());
        let id = self.begin(key, quorum.replicas(), None, Aim::Put(query, ballot));
        self.walk(now, id, out);
    }

    /// The replicas are known, or those that are to take the place of some that failed: each is asked.
    pub(super) fn on_replicas(
        &mut self,
        now: Time,
        place: usize,
        result: Result<Owners, Failure>,
        out: &mut Out<Self>,
    ) {
        let job = &mut self.jobs[place];
        let (id, key) = (job.id, job.key());
        let (Aim::Get(_, ballot) | Aim::Put(_, ballot)) = &mut job.aim else { return };
        let (owner, more) = match result {
            Ok(owners) => owners,
            Err(failure) if ballot.tries == 0 => return self.end_ballot(place, failure, out),
            Err(_) => {
                ballot.tries = TRIES_MAX;
                return self.count(now, id, out);
            }
        };
        ballot.tries += 1;
        let mut asked = Vec::new();
        for node in core::iter::once(owner).chain(more) {
            if !ballot.voices.iter().any(|voice| voice.node == node) {
                ballot.voices.push(Voice { node, said: Said::Nothing });
                asked.push(node);
            }
        }
        let written = match &job.aim {
            Aim::Put(_, ballot) => Some(ballot.entries.clone()),
            Aim::Finger(_)
            | Aim::Get(..)
            | Aim::Join
            | Aim::Lookup(_)
            | Aim::Orphan
            | Aim::Recursive(..)
            | Aim::Seek => None,
        };
        for node in asked {
            self.ask_replica(now, id, key, node, written.as_deref(), out);
        }
        self.count(now, id, out);
    }

    fn ask_replica(&mut self, now: Time, id: u32, key: Id, node: Node, written: Option<&[Entry]>, out: &mut Out<Self>) {
        if node.id == self.ring.own.id {
            let said = match written {
                None => Said::Done(self.entries.get(key).to_vec()),
                Some(entries) if self.keep(key, entries, out) => Said::Done(Vec::new()),
                Some(_) => Said::Refused,
            };
            if let Some(ballot) = self.ballot(id) {
                ballot.say(node, said);
            }
            return;
        }
        if let Some(job) = self.job(id) {
            job.cost.messages += 1;
            job.cost.asked += 1;
        }
        match written.map(<[Entry]>::to_vec) {
            None => self.call(now, node, What::Fetch(id), out, |number| Message::Fetch { number, key }),
            Some(entries) => {
                self.call(now, node, What::Store(id), out, |number| Message::Store { number, key, entries });
            }
        }
    }

    fn ballot(&mut self, id: u32) -> Option<&mut Ballot> {
        match &mut self.job(id)?.aim {
            Aim::Get(_, ballot) | Aim::Put(_, ballot) => Some(ballot),
            Aim::Finger(_) | Aim::Join | Aim::Lookup(_) | Aim::Orphan | Aim::Recursive(..) | Aim::Seek => None,
        }
    }

    pub(super) fn on_fetch(&mut self, from: PeerId, number: u32, key: Id, out: &mut Out<Self>) {
        out.send(from, Message::Fetched { number, entries: self.entries.get(key).to_vec() });
    }

    pub(super) fn on_fetched(
        &mut self,
        now: Time,
        from: PeerId,
        number: u32,
        entries: Vec<Entry>,
        out: &mut Out<Self>,
    ) {
        let Some(place) = self.calls.find(number, from, |what| matches!(what, What::Fetch(_))) else {
            return out.reject(from, Reject::Unsolicited);
        };
        let call = self.calls.remove(place);
        let What::Fetch(id) = call.what else { return };
        let said = match fault(&entries) {
            Some(reason) => {
                out.reject(from, reason);
                Said::Failed
            }
            None => Said::Done(entries),
        };
        if let Some(ballot) = self.ballot(id) {
            ballot.say(call.node, said);
            self.count(now, id, out);
        }
    }

    pub(super) fn on_stored(&mut self, now: Time, from: PeerId, number: u32, kept: bool, out: &mut Out<Self>) {
        let is_store = |what| matches!(what, What::Hand(_) | What::Mend | What::Store(_));
        let Some(place) = self.calls.find(number, from, is_store) else {
            return out.reject(from, Reject::Unsolicited);
        };
        let call = self.calls.remove(place);
        if let What::Hand(place) = call.what {
            return self.on_handed(now, place, kept, out);
        }
        let What::Store(id) = call.what else { return };
        if let Some(ballot) = self.ballot(id) {
            ballot.say(call.node, if kept { Said::Done(Vec::new()) } else { Said::Refused });
            self.count(now, id, out);
        }
    }

    pub(super) fn on_replica_failed(&mut self, now: Time, id: u32, node: Node, silent: bool, out: &mut Out<Self>) {
        if let Some(job) = self.job(id) {
            job.cost.timeouts += u32::from(silent);
        }
        if let Some(ballot) = self.ballot(id) {
            ballot.say(node, Said::Failed);
            self.count(now, id, out);
        }
    }

    /// Somebody answered or failed: tells the owner as soon as enough did, and ends the job when nobody is left.
    fn count(&mut self, now: Time, id: u32, out: &mut Out<Self>) {
        let Some(place) = self.jobs.iter().position(|job| job.id == id) else { return };
        let job = &mut self.jobs[place];
        let cost = job.cost;
        let (is_read, query, ballot) = match &mut job.aim {
            Aim::Get(query, ballot) => (true, *query, ballot),
            Aim::Put(query, ballot) => (false, *query, ballot),
            Aim::Finger(_) | Aim::Join | Aim::Lookup(_) | Aim::Orphan | Aim::Recursive(..) | Aim::Seek => return,
        };
        let (done, is_waiting) = (ballot.done(), ballot.is_waiting());
        let is_enough = done >= ballot.quorum.needed();
        // Nothing is only said to be there once all have said so.
        if is_enough && !ballot.is_told && !(is_read && ballot.entries.is_empty()) {
            ballot.is_told = true;
            out.emit(if is_read {
                Event::Got { query, result: Ok(ballot.entries.clone()), cost }
            } else {
                Event::Put { query, result: Ok(done), cost }
            });
        }
        if is_waiting {
            return;
        }
        let failed = ballot.failed();
        let may_look = !ballot.is_told && !is_enough && ballot.tries < TRIES_MAX && !failed.is_empty();
        if may_look && self.walk_round(now, place, &failed, out) {
            return;
        }
        let quorum = self.ballot(id).map(|ballot| ballot.quorum);
        let Some(quorum) = quorum else { return };
        // What walked on may have ended it, and moved it.
        let Some(place) = self.jobs.iter().position(|job| job.id == id) else { return };
        let failure = if is_enough { Failure::NotFound } else { too_few(done, quorum) };
        self.mend(now, place, out);
        self.end_ballot(place, failure, out);
    }

    /// Dynamo, section 5: read repair. Whoever answered with less than others is given the rest.
    fn mend(&mut self, now: Time, place: usize, out: &mut Out<Self>) {
        let job = &self.jobs[place];
        let key = job.key();
        let Aim::Get(_, ballot) = &job.aim else { return };
        let is_behind = |voice: &&Voice| matches!(&voice.said, Said::Done(entries) if *entries != ballot.entries);
        let behind: Vec<Node> = ballot.voices.iter().filter(is_behind).map(|voice| voice.node).collect();
        let entries = ballot.entries.clone();
        for node in behind {
            if node.id == self.ring.own.id {
                self.keep(key, &entries, out);
                continue;
            }
            let entries = entries.clone();
            self.call(now, node, What::Mend, out, |number| Message::Store { number, key, entries });
        }
    }

    /// Ends a job, with a failure if the owner has no answer yet.
    fn end_ballot(&mut self, place: usize, failure: Failure, out: &mut Out<Self>) {
        let job = self.take_job(place);
        match job.aim {
            Aim::Get(query, ballot) if !ballot.is_told => {
                out.emit(Event::Got { query, result: Err(failure), cost: job.cost });
            }
            Aim::Put(query, ballot) if !ballot.is_told => {
                out.emit(Event::Put { query, result: Err(failure), cost: job.cost });
            }
            Aim::Finger(_)
            | Aim::Get(..)
            | Aim::Join
            | Aim::Lookup(_)
            | Aim::Orphan
            | Aim::Put(..)
            | Aim::Recursive(..)
            | Aim::Seek => {}
        }
    }
}

const fn too_few(got: u8, quorum: Quorum) -> Failure {
    Failure::TooFew { got, expected: quorum.needed() }
}
