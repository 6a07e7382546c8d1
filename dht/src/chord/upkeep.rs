//! How a node comes into the ring and keeps its place: join, stabilise, notify, check predecessor, leave, and what puts rings together.

use alloc::vec::Vec;
use core::time::Duration;

use synod_machine::{Out, PeerId, Reject, Time};

use super::calls::What;
use super::fingers::Fixing;
use super::message::{Message, SUCCESSORS_MAX};
use super::walk::Aim;
use super::{Chord, Event, State, Timer};
use crate::overlay::{Cost, Failure, Id, Node};

/// A join under way.
#[derive(Debug)]
pub(super) struct Joining {
    /// Whom to ask; those before `next` were asked.
    via: Vec<Node>,
    next: usize,
    /// The successor that was found, and is asked for its own.
    found: Option<Node>,
    cost: Cost,
}

/// What is known of the neighbours, beside who they are.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// Rounds in which the predecessor has not been heard of.
    pub(super) silent_rounds: u8,
    /// Rounds so far.
    rounds: u8,
    /// Nodes that the owner told of and that were not asked yet.
    told: u8,
    /// The version of the first successor's last answer.
    seen: Option<(Id, u32)>,
}

/// What `Stable` says.
pub(super) struct Said {
    pub(super) version: u32,
    pub(super) predecessor: Option<Node>,
    pub(super) successors: Vec<Node>,
}

/// Nodes that fell silent and are remembered.
pub const LOST_MAX: usize = 16;
/// A predecessor that has not stabilised for so many rounds is asked whether it is there: its rounds are up to three times as long.
const SILENT_ROUNDS_MAX: u8 = 2;
/// In one round of so many a node that was lost is asked.
const SEEK_ROUNDS: u8 = 4;
impl Chord {
    pub(super) fn on_join(&mut self, now: Time, mut via: Vec<Node>, out: &mut Out<Self>) {
        via.truncate(LOST_MAX);
        via.retain(|node| node.id != self.ring.own.id && !self.ring.is_strange(node));
        match self.state {
            State::Apart => {}
            State::Joining(_) => {
                return out.emit(Event::Joined { result: Err(Failure::Busy), cost: Cost::default() });
            }
            State::Leaving | State::Member => {
                out.emit(Event::Joined { result: Ok(()), cost: Cost::default() });
                return self.on_told(now, via, out);
            }
        }
        if via.is_empty() {
            self.settle(now, Cost::default(), out);
        } else {
            self.state = State::Joining(Joining { via, next: 0, found: None, cost: Cost::default() }.into());
            self.join_next(now, out);
        }
    }

    /// Asks the next of those that may be on the ring, or gives up.
    fn join_next(&mut self, now: Time, out: &mut Out<Self>) {
        let State::Joining(joining) = &mut self.state else { return };
        joining.found = None;
        let Some(via) = joining.via.get(joining.next).copied() else {
            let cost = joining.cost;
            self.state = State::Apart;
            self.ring.clear();
            return out.emit(Event::Joined { result: Err(Failure::Silence), cost });
        };
        joining.next += 1;
        let id = self.begin(self.ring.own.id, 1, Some(via), Aim::Join);
        self.walk(now, id, out);
    }

    /// The place on the ring is found, or not.
    pub(super) fn on_place(&mut self, now: Time, cost: Cost, found: Result<Node, Failure>, out: &mut Out<Self>) {
        let State::Joining(joining) = &mut self.state else { return };
        let sum = &mut joining.cost;
        sum.hops = cost.hops;
        sum.messages += cost.messages;
        sum.asked += cost.asked;
        sum.timeouts += cost.timeouts;
        let Ok(node) = found else { return self.join_next(now, out) };
        joining.found = Some(node);
        sum.messages += 1;
        self.stabilise(now, node, 0, out);
    }

    /// The node is on the ring.
    fn settle(&mut self, now: Time, cost: Cost, out: &mut Out<Self>) {
        self.state = State::Member;
        let round = self.draw(self.rest.round);
        let repair = self.draw(self.rest.repair);
        out.set(Timer::Round, now + round);
        out.set(Timer::Repair, now + repair);
        out.emit(Event::Joined { result: Ok(()), cost });
    }

    /// From half of a time to one and a half.
    pub(super) fn draw(&mut self, mean: Duration) -> Duration {
        let nanos = u64::try_from(mean.as_nanos()).unwrap_or(u64::MAX / 2);
        Duration::from_nanos(nanos / 2 + self.rest.rng.unfold(|rng| rng.below(nanos)))
    }

    pub(super) fn on_round(&mut self, now: Time, out: &mut Out<Self>) {
        if !self.is_member() {
            return;
        }
        let round = self.draw(self.rest.round);
        out.set(Timer::Round, now + round);
        match self.ring.head() {
            Some(head) => self.stabilise(now, head, 0, out),
            None => self.on_alone(now, out),
        }
        if let Some(predecessor) = self.ring.predecessor() {
            self.watch.silent_rounds = self.watch.silent_rounds.saturating_add(1);
            if self.watch.silent_rounds > SILENT_ROUNDS_MAX {
                self.ping(now, predecessor, 0, out);
            }
        }
        self.watch.rounds = self.watch.rounds.wrapping_add(1);
        if self.watch.rounds.is_multiple_of(SEEK_ROUNDS) || self.ring.successors().is_empty() {
            self.seek(now, out);
        }
        self.fix_fingers(now, self.rest.fingers_per_round, out);
    }

    /// Asks a node that is or may become the first successor, and tells it of this one: stabilise and notify in one.
    pub(super) fn stabilise(&mut self, now: Time, node: Node, tries: u8, out: &mut Out<Self>) {
        if self.calls.is_open(&node, What::Stabilise) {
            return;
        }
        let is_seen = |(id, version)| if id == node.id { version } else { 0 };
        let seen = self.watch.seen.map_or(0, is_seen);
        let own = self.ring.own;
        self.call_again(now, node, What::Stabilise, tries, out, |number| Message::Stabilise {
            number,
            node: own,
            seen,
        });
    }

    /// SIGCOMM 2001, figure 7, notify, and the answer to stabilise's question.
    pub(super) fn on_stabilise(
        &mut self,
        now: Time,
        from: PeerId,
        number: u32,
        node: Node,
        seen: u32,
        out: &mut Out<Self>,
    ) {
        if node.peer != from || node.id == self.ring.own.id {
            return out.reject(from, Reject::NodeForeign);
        }
        if !self.is_member() {
            return out.send(from, Message::Helpless { number });
        }
        self.rectify(now, node, out);
        let version = self.ring.version();
        if seen == version {
            return out.send(from, Message::Same { number });
        }
        let (predecessor, successors) = (self.ring.predecessor(), self.ring.successors().to_vec());
        out.send(from, Message::Stable { number, version, predecessor, successors });
    }

    /// A node says that it is before this one. The old predecessor is told, whose successor it may be, and is given its keys.
    fn rectify(&mut self, now: Time, node: Node, out: &mut Out<Self>) {
        let own = self.ring.own.id;
        match self.ring.predecessor() {
            Some(before) if before.id == node.id => {
                self.watch.silent_rounds = 0;
                return;
            }
            // It may be right if the predecessor is dead.
            Some(before) if !node.id.is_between(before.id, own) => return self.ping(now, before, 0, out),
            Some(before) => {
                out.send(before.peer, Message::Between { node });
                self.ring.set_predecessor(Some(node));
                self.hand_over(now, node, before.id, node.id, out);
            }
            None => {
                let was_alone = self.ring.successors().is_empty();
                self.ring.set_predecessor(Some(node));
                if was_alone {
                    self.hand_over(now, node, own, node.id, out);
                }
            }
        }
        self.watch.silent_rounds = 0;
        if self.ring.successors().is_empty() {
            // SIGCOMM: a node that is its own successor finds its predecessor there.
            self.stabilise(now, node, 0, out);
        }
        self.repair_soon(now, out);
    }

    pub(super) fn on_same(&mut self, from: PeerId, number: u32, out: &mut Out<Self>) {
        match self.calls.find(number, from, |what| what == What::Stabilise) {
            Some(place) => {
                self.calls.remove(place);
            }
            None => out.reject(from, Reject::Unsolicited),
        }
    }

    /// SIGCOMM 2001, figure 7, stabilise; Zave 2017, section 3: a successor is taken together with its list, and once it has answered.
    pub(super) fn on_stable(&mut self, now: Time, from: PeerId, number: u32, said: Said, out: &mut Out<Self>) {
        let Some(place) = self.calls.find(number, from, |what| what == What::Stabilise) else {
            return out.reject(from, Reject::Unsolicited);
        };
        let call = self.calls.remove(place);
        let node = call.node;
        if let Some(reason) = self.fault(node, &said) {
            out.reject(from, reason);
            self.ring.remove(node.id);
            return self.on_successor_failed(now, node, out);
        }
        let is_joining = match &self.state {
            State::Apart => return,
            State::Joining(joining) if joining.found == Some(node) => true,
            State::Joining(_) => return,
            State::Leaving | State::Member => false,
        };
        let old = self.ring.head();
        if !is_joining && old != Some(node) && !self.ring.is_nearer(&node) {
            return;
        }
        self.forget_lost(node.id);
        self.ring.follow(node, &said.successors);
        self.watch.seen = Some((node.id, said.version));
        if let Some(displaced) = old.filter(|old| *old != node) {
            out.send(displaced.peer, Message::Between { node });
        }
        if self.ring.is_changed {
            self.repair_soon(now, out);
            // So a change goes round as far as lists reach, and does not wait for as many rounds.
            if let Some(before) = self.ring.predecessor() {
                out.send(before.peer, Message::Hello { node: self.ring.own });
            }
        }
        if is_joining {
            self.on_joined(now, node, out);
        }
        if let Some(before) = said.predecessor.filter(|before| self.ring.is_nearer(before)) {
            self.stabilise(now, before, 0, out);
        }
    }

    /// What is wrong with what a successor says of its neighbours.
    fn fault(&self, node: Node, said: &Said) -> Option<Reject> {
        if said.successors.len() > SUCCESSORS_MAX {
            return Some(Reject::QueryList);
        }
        if said.successors.iter().chain(&said.predecessor).any(|node| self.ring.is_strange(node)) {
            return Some(Reject::NodeForeign);
        }
        let distance = |other: &Node| node.id.clockwise(other.id);
        let is_ascending = said.successors.windows(2).all(|pair| distance(&pair[0]) < distance(&pair[1]));
        let is_itself = |other: &Node| other.id == node.id;
        let knows_itself =
            said.successors.first().is_some_and(is_itself) || said.predecessor.as_ref().is_some_and(is_itself);
        (!is_ascending || knows_itself).then_some(Reject::NodePlace)
    }

    fn on_joined(&mut self, now: Time, successor: Node, out: &mut Out<Self>) {
        let State::Joining(joining) = &self.state else { return };
        let cost = joining.cost;
        self.settle(now, cost, out);
        self.repair_soon(now, out);
        // ToN, section IV-E.1: a neighbour's finger table is a hint at one's own.
        self.call(now, successor, What::Table, out, |number| Message::Table { number });
    }

    /// A first successor, or one that may become it, has failed.
    pub(super) fn on_successor_failed(&mut self, now: Time, node: Node, out: &mut Out<Self>) {
        self.watch.seen = None;
        match &self.state {
            State::Joining(joining) if joining.found == Some(node) => self.join_next(now, out),
            State::Apart | State::Joining(_) => {}
            State::Leaving | State::Member => match self.ring.head() {
                Some(head) => self.stabilise(now, head, 0, out),
                None => self.on_alone(now, out),
            },
        }
    }

    /// All successors are gone: the nearest node that is known and answers is the next one.
    fn on_alone(&mut self, now: Time, out: &mut Out<Self>) {
        let nearest = self.ring.fingers().first().copied().or(self.ring.predecessor());
        if let Some(node) = nearest {
            self.stabilise(now, node, 0, out);
        }
    }

    /// A node does not answer: nothing leads to it any more, but it is not forgotten.
    pub(super) fn suspect(&mut self, now: Time, node: Node, out: &mut Out<Self>) {
        if node.id == self.ring.own.id {
            return;
        }
        self.lose(node);
        let was_head = self.ring.head().is_some_and(|head| head.id == node.id);
        if self.ring.remove(node.id) {
            // Whoever is the first now is asked for all of its list.
            self.watch.seen = None;
            self.repair_soon(now, out);
        }
        if was_head {
            self.on_successor_failed(now, node, out);
        }
    }

    fn lose(&mut self, node: Node) {
        self.forget_lost(node.id);
        if self.lost.len() >= LOST_MAX {
            self.lost.remove(0);
        }
        self.lost.push(node);
    }

    /// The owner tells of nodes that may be on another ring: each is asked at once, one after the other.
    fn on_told(&mut self, now: Time, via: Vec<Node>, out: &mut Out<Self>) {
        // Whoever the tables name is on the ring.
        for node in via.into_iter().filter(|node| !self.ring.names(node.id)).collect::<Vec<_>>() {
            self.lose(node);
            self.lost.rotate_right(1);
            self.watch.told = (self.watch.told + 1).min(LOST_MAX as u8);
        }
        self.seek_told(now, out);
    }

    fn seek_told(&mut self, now: Time, out: &mut Out<Self>) {
        if self.watch.told > 0 && self.is_member() && !self.has_job(|aim| matches!(aim, Aim::Seek)) {
            self.watch.told -= 1;
            self.seek(now, out);
        }
    }

    fn forget_lost(&mut self, id: Id) {
        if !self.lost.is_empty() {
            self.lost.retain(|node| node.id != id);
        }
    }

    /// Asks a node that was lost for our successor: where it is back, or on another ring, this finds out.
    fn seek(&mut self, now: Time, out: &mut Out<Self>) {
        if self.lost.is_empty() || self.has_job(|aim| matches!(aim, Aim::Seek)) {
            return;
        }
        let node = self.lost.remove(0);
        self.lost.push(node);
        let id = self.begin(self.ring.own.id, 1, Some(node), Aim::Seek);
        self.walk(now, id, out);
    }

    pub(super) fn on_sought(&mut self, now: Time, start: Option<Node>, found: Option<Node>, out: &mut Out<Self>) {
        let Some(node) = found else { return self.seek_told(now, out) };
        if let Some(start) = start {
            self.forget_lost(start.id);
        }
        if self.is_member() && self.ring.is_nearer(&node) {
            self.stabilise(now, node, 0, out);
        }
        self.seek_told(now, out);
    }

    /// A neighbour names a node that may stand between the two.
    pub(super) fn on_between(&mut self, now: Time, from: PeerId, node: Node, out: &mut Out<Self>) {
        if self.ring.is_strange(&node) {
            return out.reject(from, Reject::NodeForeign);
        }
        let is_known = |known: Option<Node>| known.is_some_and(|known| known.id == node.id);
        if is_known(self.ring.head()) || is_known(self.ring.predecessor()) {
            return;
        }
        let is_head = self.ring.head().is_some_and(|head| head.peer == from);
        let before = self.ring.predecessor().filter(|before| before.peer == from);
        if !self.is_member() || (!is_head && before.is_none()) {
            return out.reject(from, Reject::Unsolicited);
        }
        if is_head && self.ring.is_nearer(&node) {
            self.stabilise(now, node, 0, out);
        }
        if before.is_some_and(|before| node.id.is_between(before.id, self.ring.own.id)) {
            out.send(node.peer, Message::Hello { node: self.ring.own });
        }
    }

    pub(super) fn on_hello(&mut self, now: Time, from: PeerId, node: Node, out: &mut Out<Self>) {
        if node.peer != from || self.ring.is_strange(&node) {
            return out.reject(from, Reject::NodeForeign);
        }
        if self.is_member() && (self.ring.is_nearer(&node) || self.ring.head() == Some(node)) {
            self.stabilise(now, node, 0, out);
        }
    }

    pub(super) fn ping(&mut self, now: Time, node: Node, tries: u8, out: &mut Out<Self>) {
        if !self.calls.is_open(&node, What::Predecessor) {
            self.call_again(now, node, What::Predecessor, tries, out, |number| Message::Ping { number });
        }
    }

    pub(super) fn on_ping(&mut self, from: PeerId, number: u32, out: &mut Out<Self>) {
        // Who is on no ring says nothing, so that others forget it.
        if self.is_member() {
            out.send(from, Message::Pong { number, predecessor: self.ring.predecessor() });
        }
    }

    pub(super) fn on_leave_command(&mut self, now: Time, out: &mut Out<Self>) {
        match &self.state {
            State::Apart => out.emit(Event::Left),
            State::Joining(joining) => {
                let cost = joining.cost;
                out.emit(Event::Joined { result: Err(Failure::Apart), cost });
                self.leave(out);
            }
            State::Leaving => {}
            State::Member => {
                self.state = State::Leaving;
                self.hand_over_all(now, out);
            }
        }
    }

    /// Everything is handed over.
    pub(super) fn leave(&mut self, out: &mut Out<Self>) {
        let neighbours = [self.ring.predecessor(), self.ring.head()];
        for node in neighbours.into_iter().flatten() {
            out.send(node.peer, Message::Leave);
        }
        self.state = State::Apart;
        self.calls.clear();
        self.calls.wakes_at = None;
        for timer in [Timer::Expire, Timer::Repair, Timer::Round] {
            out.cancel(timer);
        }
        self.drop_jobs(out);
        self.ring.clear();
        self.lost.clear();
        self.fixing = Fixing::default();
        self.watch = Watch::default();
        self.handover.clear();
        out.emit(Event::Left);
    }

    /// SIGCOMM 2001, section 5: who leaves tells its neighbours. They know the nodes beyond it already.
    pub(super) fn on_leave(&mut self, now: Time, from: PeerId, out: &mut Out<Self>) {
        let known = self.ring.predecessor().into_iter().chain(self.ring.successors().iter().copied());
        let Some(node) = known.into_iter().find(|node| node.peer == from) else { return };
        self.ring.remove(node.id);
        self.forget_lost(node.id);
        self.repair_soon(now, out);
        self.on_successor_failed(now, node, out);
    }
}
