//! Fingers: taken over from a successor as hints, and looked at one after the other, so that each becomes the first node from its power of
//! two on.

use synod_machine::{Out, PeerId, Reject, Time};

use super::Chord;
use super::calls::What;
use super::message::{FINGERS_SENT_MAX, Message};
use super::ring::Ring;
use super::walk::Aim;
use crate::overlay::{Id, Node};

/// How far the look at the fingers has come.
#[derive(Debug, Default)]
pub(super) struct Fixing {
    /// The power of two whose finger is next.
    power: u32,
    /// How many more to look at without a pause.
    budget: u16,
    /// Whether one is looked at.
    is_busy: bool,
    /// How far back from the finger the look has gone.
    steps: u8,
}

/// So far back from a finger goes the look for a better one, before the way to it is walked anew.
const BACK_MAX: u8 = 4;

impl Fixing {
    /// Names the memory that the look at the next finger touches.
    pub(super) fn foresee(&self, ring: &Ring, fetch: impl FnMut(*const u8)) {
        ring.foresee_finger(self.power, fetch);
    }
}

impl Chord {
    pub(super) fn on_table(&mut self, from: PeerId, number: u32, out: &mut Out<Self>) {
        let fingers = self.ring.fingers();
        let first = fingers.len().saturating_sub(FINGERS_SENT_MAX);
        out.send(from, Message::Tabled { number, fingers: fingers[first..].to_vec() });
    }

    pub(super) fn on_tabled(&mut self, now: Time, from: PeerId, number: u32, fingers: &[Node], out: &mut Out<Self>) {
        let Some(place) = self.calls.find(number, from, |what| what == What::Table) else {
            return out.reject(from, Reject::Unsolicited);
        };
        self.calls.remove(place);
        if fingers.len() > FINGERS_SENT_MAX {
            return out.reject(from, Reject::QueryList);
        }
        if fingers.iter().any(|node| self.ring.is_strange(node)) {
            return out.reject(from, Reject::NodeForeign);
        }
        fingers.iter().for_each(|node| self.ring.hint(*node));
        let successors = self.ring.successors().to_vec();
        successors.into_iter().for_each(|node| self.ring.hint(node));
        self.fix_fingers(now, u16::MAX, out);
    }

    pub(super) fn on_pong(
        &mut self,
        now: Time,
        from: PeerId,
        number: u32,
        predecessor: Option<Node>,
        out: &mut Out<Self>,
    ) {
        let is_ping = |what| matches!(what, What::Finger | What::Owner(_) | What::Predecessor);
        let Some(place) = self.calls.find(number, from, is_ping) else {
            return out.reject(from, Reject::Unsolicited);
        };
        let call = self.calls.remove(place);
        if call.what == What::Predecessor {
            self.watch.silent_rounds = 0;
            return;
        }
        if let Some(reason) = predecessor.and_then(|node| self.finger_fault(&node, call.node)) {
            out.reject(from, reason);
            return self.fail(now, &call, false, out);
        }
        if let What::Owner(job) = call.what {
            return self.on_owner_there(now, job, call.node, predecessor, out);
        }
        self.on_finger_answer(now, call.node, predecessor, out);
    }

    fn finger_fault(&self, node: &Node, of: Node) -> Option<Reject> {
        if self.ring.is_strange(node) {
            return Some(Reject::NodeForeign);
        }
        (node.id == of.id).then_some(Reject::NodePlace)
    }

    /// SIGCOMM 2001, figure 7, fix_fingers: so many fingers, one after the other, up to the farthest.
    pub(super) fn fix_fingers(&mut self, now: Time, count: u16, out: &mut Out<Self>) {
        self.fixing.budget = self.fixing.budget.max(count);
        if !self.fixing.is_busy {
            if self.fixing.power >= Id::BITS {
                self.fixing.power = 0;
            }
            self.fix_next(now, out);
        }
    }

    fn fix_next(&mut self, now: Time, out: &mut Out<Self>) {
        self.fixing.is_busy = false;
        let head = self.ring.head().filter(|_| self.is_member());
        // Below the distance of the first successor, it is the finger, and no other, which nobody would look at any more.
        if let Some(head) = head {
            self.ring.put_finger(0, head);
        }
        let first = head.and_then(|head| self.ring.distance(&head).power()).map_or(Id::BITS, |power| power + 1);
        let power = self.fixing.power.max(first);
        self.fixing.power = power;
        if power >= Id::BITS || self.fixing.budget == 0 {
            self.fixing.budget = 0;
            return;
        }
        self.fixing.budget -= 1;
        self.fixing.steps = 0;
        self.fixing.is_busy = true;
        match self.ring.finger(power) {
            Some(node) => self.call(now, node, What::Finger, out, |number| Message::Ping { number }),
            None => self.walk_to_finger(now, None, out),
        }
    }

    /// A finger is there. It is right unless its predecessor is one as well, and a nearer: then that one is asked.
    fn on_finger_answer(&mut self, now: Time, node: Node, predecessor: Option<Node>, out: &mut Out<Self>) {
        let power = self.fixing.power;
        let begin = self.ring.own.id.after(power);
        let is_better = |before: &Node| begin.clockwise(before.id) < begin.clockwise(node.id);
        match predecessor.filter(is_better) {
            Some(_) if self.fixing.steps >= BACK_MAX => self.walk_to_finger(now, None, out),
            Some(before) if before.id != self.ring.own.id => {
                self.fixing.steps += 1;
                self.call(now, before, What::Finger, out, |number| Message::Ping { number });
            }
            Some(_) | None => self.on_finger(now, power, Some(node), out),
        }
    }

    /// The way to another goes round the one that failed: its predecessor may name it for as long as a round more.
    pub(super) fn on_finger_failed(&mut self, now: Time, failed: Node, out: &mut Out<Self>) {
        self.walk_to_finger(now, Some(failed.id), out);
    }

    fn walk_to_finger(&mut self, now: Time, avoid: Option<Id>, out: &mut Out<Self>) {
        if !self.is_member() {
            self.fixing.is_busy = false;
            return;
        }
        let power = self.fixing.power;
        let id = self.begin(self.ring.own.id.after(power), 1, None, Aim::Finger(power));
        if let Some(job) = self.job(id) {
            job.avoid.extend(avoid);
        }
        self.walk(now, id, out);
    }

    /// The first node from a power of two on is known, or could not be found.
    pub(super) fn on_finger(&mut self, now: Time, power: u32, node: Option<Node>, out: &mut Out<Self>) {
        let found = node.map(|node| (node, self.ring.distance(&node).power()));
        self.fixing.power = match found {
            None => {
                self.fixing.budget = 0;
                power + 1
            }
            Some((node, Some(own))) if own >= power => {
                self.ring.put_finger(power, node);
                own + 1
            }
            // It lies before, or is this node: so far on the ring is nobody.
            Some(_) => {
                self.ring.drop_fingers(power, Id::BITS - 1);
                Id::BITS
            }
        };
        self.fix_next(now, out);
    }
}
