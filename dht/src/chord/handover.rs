//! What is stored goes where it belongs: to a node that comes, to the replicas of an owner, to the owner of what is found astray, and
//! to the successor of a node that goes. Offers name keys and digests, so that only what is missing is sent.

use alloc::vec::Vec;
use core::mem;

use synod_machine::{Out, PeerId, Reject, Time};

use super::calls::What;
use super::entries::{Kept, digest, fault};
use super::message::{Message, OFFERED_MAX, Record};
use super::walk::{Aim, Owners};
use super::{Chord, State, Timer, record_key};
use crate::overlay::{Entry, Id, Node};

/// Records of an arc of the ring that a node shall have.
#[derive(Debug)]
struct Task {
    to: Node,
    /// Up to here it is done.
    cursor: Id,
    /// Up to here it is to be done.
    end: Id,
    /// Whether this node forgets what the other one has.
    drops: bool,
}

/// What is handed over, one task after the other.
#[derive(Debug, Default)]
pub(super) struct Handover {
    /// The first is under way.
    tasks: Vec<Task>,
    /// The keys that are offered.
    batch: Vec<Id>,
    /// How many of them are sent and not confirmed.
    waiting: u8,
    /// How far the look for records that are another's has come.
    sweep: Option<Id>,
    /// When records are looked at next.
    repair_at: Time,
    is_busy: bool,
}

/// Tasks that wait; further ones are left to the next look.
pub(super) const TASKS_MAX: usize = 64;

impl Handover {
    pub(super) const fn tasks(&self) -> usize {
        self.tasks.len()
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Chord {
    /// Offers a node the records of an arc.
    pub(super) fn hand_over(&mut self, now: Time, to: Node, begin: Id, end: Id, out: &mut Out<Self>) {
        self.add_task(Task { to, cursor: begin, end, drops: false });
        self.next_task(now, out);
    }

    fn add_task(&mut self, task: Task) {
        let is_same = |other: &Task| other.to == task.to && other.cursor == task.cursor && other.end == task.end;
        let is_idle = task.cursor == task.end || self.entries.next(task.cursor, task.end).is_none();
        let is_own = task.to.id == self.ring.own.id;
        if !is_own && !is_idle && self.handover.tasks.len() < TASKS_MAX && !self.handover.tasks.iter().any(is_same) {
            self.handover.tasks.push(task);
        }
    }

    /// SIGCOMM 2001, section 5: who leaves gives its keys to its successor.
    pub(super) fn hand_over_all(&mut self, now: Time, out: &mut Out<Self>) {
        if let (Some(to), Some(before)) = (self.ring.head(), self.ring.predecessor()) {
            self.add_task(Task { to, cursor: before.id, end: self.ring.own.id, drops: false });
        }
        self.next_task(now, out);
    }

    fn next_task(&mut self, now: Time, out: &mut Out<Self>) {
        if !self.handover.is_busy {
            self.offer(now, out);
        }
    }

    /// Offers the next keys of the first task that has any.
    fn offer(&mut self, now: Time, out: &mut Out<Self>) {
        self.handover.batch.clear();
        while let Some(task) = self.handover.tasks.first() {
            let mut cursor = task.cursor;
            let mut keys = Vec::new();
            while keys.len() < OFFERED_MAX
                && cursor != task.end
                && let Some(key) = self.entries.next(cursor, task.end)
            {
                keys.push((key, digest(self.entries.get(key))));
                cursor = key;
            }
            if keys.is_empty() {
                self.handover.tasks.remove(0);
                continue;
            }
            self.handover.is_busy = true;
            self.handover.batch.extend(keys.iter().map(|(key, _)| *key));
            let to = task.to;
            return self.call(now, to, What::Offer, out, |number| Message::Offer { number, keys });
        }
        self.handover.is_busy = false;
        self.handover.batch = Vec::new();
        match self.state {
            State::Leaving => self.leave(out),
            State::Apart | State::Joining(_) | State::Member => {}
        }
    }

    pub(super) fn on_offer(&mut self, from: PeerId, number: u32, keys: &[(Id, u64)], out: &mut Out<Self>) {
        let is_ordered =
            |begin: Id| keys.windows(2).all(|pair| begin.clockwise(pair[0].0) < begin.clockwise(pair[1].0));
        let Some((first, _)) = keys.first() else { return out.reject(from, Reject::QueryList) };
        if keys.len() > OFFERED_MAX || !is_ordered(*first) {
            return out.reject(from, Reject::QueryList);
        }
        let mut wanted = 0;
        for (place, (key, theirs)) in keys.iter().enumerate() {
            if digest(self.entries.get(*key)) != *theirs {
                wanted |= 1 << place;
            }
        }
        out.send(from, Message::Wanted { number, keys: wanted });
    }

    pub(super) fn on_wanted(&mut self, now: Time, from: PeerId, number: u32, wanted: u32, out: &mut Out<Self>) {
        let Some(place) = self.calls.find(number, from, |what| what == What::Offer) else {
            return out.reject(from, Reject::Unsolicited);
        };
        let call = self.calls.remove(place);
        let batch = mem::take(&mut self.handover.batch);
        if u64::from(wanted) >> batch.len() != 0 {
            out.reject(from, Reject::QueryList);
            self.handover.batch = batch;
            return self.drop_task(now, out);
        }
        for (place, key) in (0_u8..).zip(&batch) {
            if wanted >> place & 1 == 0 {
                // It has the same.
                self.forget_if_dropped(*key, out);
                continue;
            }
            self.handover.waiting += 1;
            let (key, entries) = (*key, self.entries.get(*key).to_vec());
            self.call(now, call.node, What::Hand(place), out, |number| Message::Store { number, key, entries });
        }
        self.handover.batch = batch;
        if self.handover.waiting == 0 {
            self.end_batch(now, out);
        }
    }

    /// A record was taken by who shall have it, or not.
    pub(super) fn on_handed(&mut self, now: Time, place: u8, is_kept: bool, out: &mut Out<Self>) {
        let key = self.handover.batch.get(usize::from(place)).copied();
        if let Some(key) = key.filter(|_| is_kept) {
            self.forget_if_dropped(key, out);
        }
        self.handover.waiting = self.handover.waiting.saturating_sub(1);
        if self.handover.waiting == 0 {
            self.end_batch(now, out);
        }
    }

    fn forget_if_dropped(&mut self, key: Id, out: &mut Out<Self>) {
        let drops = self.handover.tasks.first().is_some_and(|task| task.drops);
        if drops && self.entries.remove(key) {
            out.forget(record_key(key));
        }
    }

    fn end_batch(&mut self, now: Time, out: &mut Out<Self>) {
        if let (Some(task), Some(last)) = (self.handover.tasks.first_mut(), self.handover.batch.last()) {
            task.cursor = *last;
        }
        self.offer(now, out);
    }

    /// Whoever should have had it does not answer.
    pub(super) fn drop_task(&mut self, now: Time, out: &mut Out<Self>) {
        if !self.handover.tasks.is_empty() {
            self.handover.tasks.remove(0);
        }
        self.offer(now, out);
    }

    /// Something has changed around this node: what is stored is looked at soon.
    pub(super) fn repair_soon(&mut self, now: Time, out: &mut Out<Self>) {
        if self.entries.len() == 0 || !self.is_member() {
            return;
        }
        let at = now + self.time_out * REPAIR_TIME_OUTS;
        if at < self.handover.repair_at || self.handover.repair_at <= now {
            self.handover.repair_at = at;
            out.set(Timer::Repair, at);
        }
    }

    pub(super) fn on_repair(&mut self, now: Time, out: &mut Out<Self>) {
        self.handover.repair_at = now + self.draw(self.rest.repair);
        out.set(Timer::Repair, self.handover.repair_at);
        if !self.is_member() || self.entries.len() == 0 {
            return;
        }
        if let Some(before) = self.ring.predecessor() {
            let replicas = usize::from(self.rest.replicas) - 1;
            let to: Vec<Node> = self.ring.successors().iter().take(replicas).copied().collect();
            for to in to {
                self.add_task(Task { to, cursor: before.id, end: self.ring.own.id, drops: false });
            }
            self.next_task(now, out);
        }
        if self.handover.sweep.is_none() {
            self.handover.sweep = Some(self.ring.own.id);
            self.sweep(now, out);
        }
    }

    /// Looks for the next record that is not this node's own, and for its owner.
    fn sweep(&mut self, now: Time, out: &mut Out<Self>) {
        let cursor = self.handover.sweep.take();
        let (Some(cursor), Some(before)) = (cursor, self.ring.predecessor()) else { return };
        if cursor == before.id || self.has_job(|aim| matches!(aim, Aim::Orphan)) {
            return;
        }
        let Some(key) = self.entries.next(cursor, before.id) else { return };
        self.handover.sweep = Some(cursor);
        let id = self.begin(key, self.rest.replicas, None, Aim::Orphan);
        self.walk(now, id, out);
    }

    /// The owner of what was found astray is offered it. This node keeps it if it is among the replicas.
    pub(super) fn on_orphans_owner(&mut self, now: Time, found: Option<Owners>, out: &mut Out<Self>) {
        let (Some((owner, more)), Some(cursor)) = (found, self.handover.sweep) else {
            self.handover.sweep = None;
            return;
        };
        let own = self.ring.own.id;
        if owner.id == own {
            // The predecessor has changed meanwhile.
            self.handover.sweep = None;
            return;
        }
        let drops = more.iter().all(|node| node.id != own);
        self.add_task(Task { to: owner, cursor, end: owner.id, drops });
        self.next_task(now, out);
        let is_on = self.ring.predecessor().is_some_and(|before| owner.id.is_between(cursor, before.id));
        self.handover.sweep = is_on.then_some(owner.id);
        self.sweep(now, out);
    }

    pub(super) fn on_store(&mut self, from: PeerId, number: u32, key: Id, entries: &[Entry], out: &mut Out<Self>) {
        if let Some(reason) = fault(entries) {
            return out.reject(from, reason);
        }
        let kept = self.is_member() && self.keep(key, entries, out);
        out.send(from, Message::Stored { number, kept });
    }

    /// Whether there was room. What is new is on disk before anybody is told.
    pub(super) fn keep(&mut self, key: Id, entries: &[Entry], out: &mut Out<Self>) -> bool {
        let kept = self.entries.merge(key, entries);
        if kept == Kept::Changed {
            out.persist(record_key(key), Record(self.entries.get(key).to_vec()));
        }
        kept != Kept::Full
    }
}

/// After a change it takes some requests until the ring is in order again.
const REPAIR_TIME_OUTS: u32 = 4;
