//! A node's place on the ring: its predecessor, its successors and its fingers, and the next step to a key.

use alloc::vec::Vec;

use synod_machine::lines;

use super::message::SUCCESSORS_MAX;
use crate::overlay::{Distance, Id, Node};

/// What a node knows of the others.
#[derive(Debug)]
pub(super) struct Ring {
    pub(super) own: Node,
    predecessor: Option<Node>,
    /// The nearest first.
    successors: Vec<Node>,
    /// The fingers that differ, the nearest first. A finger is the first node from 2^i on, and the one whose distance lies between
    /// 2^i and 2^(i+1) is the only one that does: its distance says for which i it stands, and for those below it that have none.
    fingers: Vec<Node>,
    /// Counts changes of the predecessor and the successors, from a random number on and without 0.
    version: u32,
    /// Whether something changed in this step.
    pub(super) is_changed: bool,
    length: u8,
    shortcut: bool,
}

/// Where the way to a key goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// To this node.
    Next(Node),
    /// Nobody is left to ask.
    Nowhere,
    /// It ends: the node itself is the owner.
    Own,
    /// It ends: the successor at this place is the owner.
    Owner(usize),
}

impl Ring {
    pub(super) fn new(own: Node, length: usize, shortcut: bool, version: u32) -> Self {
        Self {
            own,
            predecessor: None,
            successors: Vec::new(),
            fingers: Vec::new(),
            version: version.max(1),
            is_changed: true,
            length: length as u8,
            shortcut,
        }
    }

    pub(super) const fn predecessor(&self) -> Option<Node> {
        self.predecessor
    }

    pub(super) fn successors(&self) -> &[Node] {
        &self.successors
    }

    pub(super) fn head(&self) -> Option<Node> {
        self.successors.first().copied()
    }

    pub(super) fn fingers(&self) -> &[Node] {
        &self.fingers
    }

    pub(super) const fn version(&self) -> u32 {
        self.version
    }

    /// Names the memory that the next step to a key is mostly found in.
    pub(super) fn foresee_way(&self, key: Id, fetch: impl FnMut(*const u8)) {
        let power = self.own.id.clockwise(key).power().unwrap_or_default();
        self.foresee_finger(power, fetch);
    }

    /// Names the memory of the finger for `2^power`, of those beside it and of the first successor.
    pub(super) fn foresee_finger(&self, power: u32, mut fetch: impl FnMut(*const u8)) {
        let place = self.place(power);
        let beside = place.saturating_sub(1)..self.fingers.len().min(place + 2);
        lines(&self.fingers[beside]).for_each(&mut fetch);
        lines(&self.successors[..self.successors.len().min(1)]).for_each(fetch);
    }

    /// Where the first finger for `2^power` or more stands if there is one for each power from there on, as there is for far ones;
    /// if not, it stands further on. `power` is [`Id::BITS`] at most.
    fn place(&self, power: u32) -> usize {
        let beyond = (Id::BITS - power) as usize;
        self.fingers.len().saturating_sub(beyond)
    }

    /// How far on the ring a node is.
    pub(super) fn distance(&self, node: &Node) -> Distance {
        self.own.id.clockwise(node.id)
    }

    /// Whether a node's identifier and handle are not both ours or both another's.
    pub(super) fn is_strange(&self, node: &Node) -> bool {
        (node.id == self.own.id) != (node.peer == self.own.peer)
    }

    /// Whether a node is one of those that this one knows on the ring.
    pub(super) fn names(&self, id: Id) -> bool {
        let known = self.predecessor().into_iter().chain(self.successors().iter().copied());
        known.chain(self.fingers().iter().copied()).any(|node| node.id == id)
    }

    /// Whether a node would be the first successor.
    pub(super) fn is_nearer(&self, node: &Node) -> bool {
        node.id != self.own.id && self.head().is_none_or(|head| node.id.is_between(self.own.id, head.id))
    }

    pub(super) fn clear(&mut self) {
        self.fingers = Vec::new();
        self.successors = Vec::new();
        self.set_predecessor(None);
    }

    pub(super) fn set_predecessor(&mut self, predecessor: Option<Node>) {
        self.predecessor = predecessor;
        self.touch();
    }

    /// What the first successor, or one that becomes it, says of its own successors takes the place of the old list (Zave 2017,
    /// section 3: the list of the new first successor, with itself before it). Where the first one is another than before, those that
    /// were known stay between its own: it may have come from a ring that knows fewer.
    pub(super) fn follow(&mut self, head: Node, theirs: &[Node]) {
        let is_new = self.head().is_none_or(|old| old.id != head.id);
        let mut list: Vec<Node> = Vec::with_capacity(usize::from(self.length));
        list.push(head);
        list.extend(theirs.iter().take(usize::from(self.length) - 1));
        if is_new {
            list.extend(self.successors.iter().filter(|old| !theirs.contains(old)));
        }
        // Beyond the node itself the ring begins again.
        let reach = |node: &Node| self.distance(node) >= self.distance(&head);
        list.retain(|node| reach(node) && node.id != self.own.id);
        list.sort_by_key(|node| self.distance(node));
        list.dedup_by_key(|node| node.id);
        list.truncate(usize::from(self.length));
        if self.successors != list {
            self.successors = list;
            self.touch();
        }
    }

    /// The first finger for `2^power` or more.
    pub(super) fn finger(&self, power: u32) -> Option<Node> {
        let is_below = |node: &Node| self.distance(node).power().is_none_or(|own| own < power);
        self.fingers[self.place(power)..].iter().find(|node| !is_below(node)).copied()
    }

    /// `node` is the first node from `2^power` on: fingers between are none.
    pub(super) fn put_finger(&mut self, power: u32, node: Node) {
        if self.finger(power) == Some(node) {
            return;
        }
        let distance = self.distance(&node);
        let Some(own) = distance.power().filter(|own| *own >= power) else { return };
        self.drop_fingers(power, own);
        let place = self.fingers.partition_point(|finger| self.own.id.clockwise(finger.id) < distance);
        if self.fingers.get(place).is_none_or(|finger| finger.id != node.id) {
            if self.fingers.len() == self.fingers.capacity() {
                self.fingers.reserve_exact(1);
            }
            self.fingers.insert(place, node);
        }
        self.is_changed = true;
    }

    /// There is no node from `2^first` to below `2^(last + 1)`.
    pub(super) fn drop_fingers(&mut self, first: u32, last: u32) {
        let own = self.own.id;
        self.fingers.retain(|finger| {
            let power = own.clockwise(finger.id).power().expect("no node is its own finger");
            power < first || power > last
        });
    }

    /// Takes a node for a finger, if there is none for its distance or it is nearer than that one. For what others say of theirs: each
    /// is looked at again in its turn.
    pub(super) fn hint(&mut self, node: Node) {
        let distance = self.distance(&node);
        let Some(power) = distance.power() else { return };
        let is_worse = |finger: Node| {
            let other = self.distance(&finger);
            other.power() == Some(power) && other <= distance
        };
        if !self.finger(power).is_some_and(is_worse) {
            self.put_finger(power, node);
        }
    }

    /// Forgets a node. Whether it was a neighbour.
    pub(super) fn remove(&mut self, id: Id) -> bool {
        let (fingers, successors) = (self.fingers.len(), self.successors.len());
        self.fingers.retain(|node| node.id != id);
        self.successors.retain(|node| node.id != id);
        self.is_changed |= fingers != self.fingers.len();
        let was_predecessor = self.predecessor.is_some_and(|node| node.id == id);
        if was_predecessor {
            self.predecessor = None;
        }
        let is_less = was_predecessor || successors != self.successors.len();
        if is_less {
            self.touch();
        }
        is_less
    }

    /// SIGCOMM 2001, figure 4: find_predecessor's loop and closest_preceding_finger, seen from one node; ToN 2003, section IV-E.3:
    /// successors are searched like fingers.
    ///
    /// `count` nodes are wanted, the owner and those that follow it: an owner near the end of the list is left to a node that knows who
    /// follows, unless the list ends because the ring does.
    pub(super) fn way(&self, key: Id, count: u8, avoid: &[Id]) -> Way {
        let is_fit = |node: &Node| avoid.is_empty() || !avoid.contains(&node.id);
        let distance = self.own.id.clockwise(key);
        let is_own = distance == Distance::ZERO
            || match self.predecessor {
                Some(before) => distance > self.distance(&before),
                None => self.successors.is_empty(),
            };
        if is_own && is_fit(&self.own) {
            return Way::Own;
        }
        if distance == Distance::ZERO {
            return Way::Nowhere;
        }
        // What the list says beyond its first is some rounds old. Who comes into the ring or goes round somebody wants to know it better.
        let shortcut = self.shortcut && avoid.is_empty();
        let is_full = self.successors.len() == usize::from(self.length);
        let mut next = None;
        for (place, node) in self.successors.iter().enumerate().filter(|(_, node)| is_fit(node)) {
            if distance <= self.distance(node) {
                let knows_all = !is_full || place + usize::from(count) <= self.successors.len();
                if next.is_none() || (shortcut && knows_all) {
                    return Way::Owner(place);
                }
                break;
            }
            if next.is_none() || shortcut {
                next = Some(*node);
            }
            if !shortcut {
                break;
            }
        }
        let finger = self.preceding(distance, avoid);
        let far = |node: Option<Node>| node.map(|node| self.distance(&node));
        if far(finger) > far(next) {
            next = finger
        }
        next.map_or_else(|| self.nowhere(avoid), Way::Next)
    }

    /// Who knows nobody but nodes that are to be avoided is alone, as far as the asker is concerned.
    fn nowhere(&self, avoid: &[Id]) -> Way {
        let mut known = self.fingers.iter().chain(&self.successors).chain(&self.predecessor);
        let is_alone = known.all(|node| avoid.contains(&node.id)) && !avoid.contains(&self.own.id);
        if is_alone { Way::Own } else { Way::Nowhere }
    }

    /// The finger that precedes a distance most closely.
    fn preceding(&self, distance: Distance, avoid: &[Id]) -> Option<Node> {
        let power = distance.power()?;
        let mut end = self.place(power + 1);
        while self.fingers.get(end).is_some_and(|node| self.distance(node) < distance) {
            end += 1;
        }
        let is_fit = |node: &&Node| self.distance(node) < distance && (avoid.is_empty() || !avoid.contains(&node.id));
        self.fingers[..end].iter().rev().find(is_fit).copied()
    }

    /// The owner at the end of a way and those that follow it, `count` in all if there are as many.
    pub(super) fn owners(&self, way: Way, count: u8, avoid: &[Id]) -> Option<(Node, Vec<Node>)> {
        let mut all = match way {
            Way::Next(_) | Way::Nowhere => return None,
            Way::Own if count == 1 => return Some((self.own, Vec::new())),
            Way::Owner(place) if count == 1 => return Some((self.successors[place], Vec::new())),
            Way::Own => [&[self.own], &self.successors[..]].concat(),
            // A list that is not full goes once round the ring.
            Way::Owner(place) if self.successors.len() < usize::from(self.length) => {
                [&self.successors[place..], &[self.own], &self.successors[..place]].concat()
            }
            Way::Owner(place) => self.successors[place..].to_vec(),
        };
        all.retain(|node| !avoid.contains(&node.id));
        all.truncate(usize::from(count));
        if all.is_empty() {
            return None;
        }
        let owner = all.remove(0);
        Some((owner, all))
    }

    fn touch(&mut self) {
        self.is_changed = true;
        self.version = self.version.wrapping_add(1).max(1);
    }

    /// The invariants of [`Chord::check`](super::Chord) that are about the ring.
    pub(super) fn check(&self) {
        if !self.is_changed {
            return;
        }
        assert!(self.predecessor.is_none_or(|node| node.id != self.own.id), "nobody is before itself");
        assert!(self.successors.len() <= usize::from(self.length), "the list of successors is bounded");
        assert!(usize::from(self.length) <= SUCCESSORS_MAX, "a list of successors fits into a message");
        let is_ascending = |pair: &[Node]| self.distance(&pair[0]) < self.distance(&pair[1]);
        assert!(self.successors.windows(2).all(is_ascending), "successors stand in the order of the ring");
        assert!(self.successors.iter().all(|node| node.id != self.own.id), "nobody follows itself");
        let power = |node: &Node| self.distance(node).power();
        assert!(self.fingers.iter().all(|node| power(node).is_some()), "nobody is its own finger");
        let is_one_each = |pair: &[Node]| power(&pair[0]) < power(&pair[1]);
        assert!(self.fingers.windows(2).all(is_one_each), "there is one finger for a distance, the nearest first");
    }
}

#[cfg(test)]
mod tests {
    use synod_machine::PeerId;

    use super::*;

    /// A node who has fingers at these powers of two.
    fn ring(powers: impl IntoIterator<Item = u32>) -> Ring {
        let mut ring = Ring::new(Node { id: Id::ZERO, peer: PeerId(0) }, 8, true, 1);
        ring.fingers =
            powers.into_iter().map(|power| Node { id: Id::ZERO.after(power), peer: PeerId(power + 1) }).collect();
        ring.check();
        ring
    }

    #[test]
    fn a_finger_is_found_in_every_list_and_the_memory_around_it_can_be_named() {
        let lists: [Vec<u32>; 7] = [
            Vec::new(),
            (0..256).collect(),
            (240..256).collect(),
            [239, 240, 242, 243, 244, 250, 251, 252, 254, 255].to_vec(),
            [3, 4, 5, 100].to_vec(),
            [255].to_vec(),
            [0].to_vec(),
        ];
        for powers in lists {
            let ring = ring(powers.iter().copied());
            for power in 0..=Id::BITS {
                let expected = powers.iter().find(|own| **own >= power).map(|own| PeerId(own + 1));
                assert_eq!(ring.finger(power).map(|node| node.peer), expected, "{power} of {powers:?}");
                let mut named = 0;
                ring.foresee_finger(power, |_| named += 1);
                assert!(named <= 4, "three fingers lie in three lines or so: {named}");
                assert!(powers.is_empty() || named > 0);
            }
        }
    }
}
