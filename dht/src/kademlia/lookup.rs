//! One iterative look-up (section 2.3): the nodes closest to a target that are known so far are asked, α at a time, for closer
//! ones, until the k closest that were heard of have all answered.
//!
//! The paper's rounds are loose, as in libp2p: the next node is asked as soon as one has answered. When α answers in a row
//! brought nothing closer than the closest, all of the k closest that were not asked yet are.

use alloc::vec::Vec;

use synod_machine::{PeerId, lines};

use super::message::NODES_MAX;
use crate::overlay::{Cost, Id, Node};

/// Nodes that a look-up remembers. Beyond the k closest they are for those that fail.
pub const CANDIDATES_MAX: usize = 80; // Four times k: with three of four nodes dead, k that live are among them.
/// Requests of one look-up. One that needs more is lost: whoever answers invents nodes.
pub const REQUESTS_MAX: u32 = 256;
/// The longest path: each step of a sound one comes a bit nearer, and no network has as many nodes as 2^64.
pub const HOPS_MAX: u8 = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Answered,
    Asked,
    Failed,
    Heard,
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    id: Id,
    peer: PeerId,
    /// How many nodes are asked one after the other up to it, itself among them.
    depth: u8,
    state: State,
}

/// What a look-up does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Ask this node.
    Ask(Node),
    /// It is over.
    Done,
    /// Answers are to come.
    Wait,
}

/// The look-up.
#[derive(Clone, Debug)]
pub(super) struct Lookup {
    target: Id,
    /// Closest first.
    candidates: Vec<Candidate>,
    alpha: u8,
    /// k.
    width: u8,
    asking: u8,
    /// Answers in a row that named nobody closer than the closest.
    fruitless: u8,
    is_lost: bool,
    cost: Cost,
}

impl Lookup {
    /// Begins with nodes that are sorted by their distance to the target.
    pub(super) fn new(target: Id, nodes: &[Node], alpha: u8, width: u8) -> Self {
        let mut candidates = Vec::with_capacity(2 * usize::from(width));
        let first = |node: &Node| Candidate { id: node.id, peer: node.peer, depth: 1, state: State::Heard };
        candidates.extend(nodes.iter().take(CANDIDATES_MAX).map(first));
        Self { target, candidates, alpha, width, asking: 0, fruitless: 0, is_lost: false, cost: Cost::default() }
    }

    pub(super) const fn target(&self) -> Id {
        self.target
    }

    /// What it cost so far. Its hops are those to the closest node that answered.
    pub(super) fn cost(&self) -> Cost {
        let hops = self.candidates.iter().find(|candidate| candidate.state == State::Answered);
        Cost { hops: hops.map_or(0, |closest| u32::from(closest.depth)), ..self.cost }
    }

    /// How many nodes were asked one after the other up to this one.
    pub(super) fn hops_to(&self, node: Id) -> u32 {
        self.place(node).map_or(0, |place| u32::from(self.candidates[place].depth))
    }

    /// Adds requests that are not part of the look-up itself.
    pub(super) const fn add_messages(&mut self, count: u32) {
        self.cost.messages += count;
    }

    /// Counts a request that is not part of the look-up itself and was not answered.
    pub(super) const fn add_timeout(&mut self) {
        self.cost.timeouts += 1;
    }

    /// Whether it gave up.
    pub(super) const fn is_lost(&self) -> bool {
        self.is_lost
    }

    /// Those that answered, closest first.
    pub(super) fn answered(&self) -> impl Iterator<Item = Node> {
        let answered = self.candidates.iter().filter(|candidate| candidate.state == State::Answered);
        answered.map(|candidate| Node { id: candidate.id, peer: candidate.peer })
    }

    /// What to do next. A node that it names is asked.
    pub(super) fn next(&mut self) -> Next {
        let parallel = if self.fruitless >= self.alpha { self.width } else { self.alpha };
        let mut waits = false;
        let sound = self.candidates.iter_mut().filter(|candidate| candidate.state != State::Failed);
        for candidate in sound.take(usize::from(self.width)) {
            match candidate.state {
                State::Answered | State::Failed => {}
                State::Asked => waits = true,
                State::Heard if self.asking >= parallel => return Next::Wait,
                State::Heard if self.cost.messages >= REQUESTS_MAX => {
                    self.is_lost = true;
                    return Next::Done;
                }
                State::Heard => {
                    candidate.state = State::Asked;
                    self.asking += 1;
                    self.cost.messages += 1;
                    self.cost.asked += 1;
                    return Next::Ask(Node { id: candidate.id, peer: candidate.peer });
                }
            }
        }
        if waits { Next::Wait } else { Next::Done }
    }

    /// A node that was asked did not answer, or not as it must.
    pub(super) fn failed(&mut self, node: Id, is_late: bool) {
        self.asking -= 1;
        self.cost.timeouts += u32::from(is_late);
        if let Some(place) = self.place(node) {
            self.candidates[place].state = State::Failed;
        }
    }

    /// A node that was asked named these, which are sorted by their distance to the target.
    pub(super) fn answered_by(&mut self, node: Id, nodes: &[Node]) {
        self.asking -= 1;
        // A node that was pushed out by closer ones still names some.
        let mut depth = HOPS_MAX;
        if let Some(place) = self.place(node) {
            self.candidates[place].state = State::Answered;
            depth = self.candidates[place].depth;
        }
        let closest = self.candidates.first().map(|candidate| candidate.id);
        if depth < HOPS_MAX {
            self.merge(nodes, depth + 1);
        }
        let is_closer = self.candidates.first().map(|candidate| candidate.id) != closest;
        self.fruitless = if is_closer { 0 } else { self.fruitless.saturating_add(1) };
    }

    /// Takes up the nodes that are not known yet, as far as there is room for what is so close.
    fn merge(&mut self, nodes: &[Node], depth: u8) {
        let mut fresh = [(0, 0); NODES_MAX];
        let (known, mut count, mut place) = (self.candidates.len(), 0, 0);
        for (at, node) in nodes.iter().enumerate() {
            while self.candidates.get(place).is_some_and(|known| known.id.is_closer(node.id, self.target)) {
                place += 1;
            }
            if place + count >= CANDIDATES_MAX {
                break;
            }
            if self.candidates.get(place).is_none_or(|known| known.id != node.id) {
                fresh[count] = (at, place);
                count += 1;
            }
        }
        let Some((first, _)) = nodes.split_first().filter(|_| count > 0) else { return };
        let heard = |node: &Node| Candidate { id: node.id, peer: node.peer, depth, state: State::Heard };
        // From the farthest on, so that each is moved once.
        let all = known + count;
        self.candidates.resize(all.min(CANDIDATES_MAX), heard(first));
        let mut left = known;
        for to in (0..all).rev() {
            let Some(&(at, place)) = fresh[..count].last() else { return };
            let next = if place >= left {
                count -= 1;
                heard(&nodes[at])
            } else {
                left -= 1;
                self.candidates[left]
            };
            if let Some(candidate) = self.candidates.get_mut(to) {
                *candidate = next;
            }
        }
    }

    fn place(&self, node: Id) -> Option<usize> {
        let place = self.candidates.partition_point(|candidate| candidate.id.is_closer(node, self.target));
        self.candidates.get(place).is_some_and(|candidate| candidate.id == node).then_some(place)
    }

    /// Addresses in the lines of memory that the closest nodes are in.
    pub(super) fn lines(&self) -> impl Iterator<Item = *const u8> {
        lines(&self.candidates[..self.candidates.len().min(usize::from(self.width))])
    }

    /// 1. What it remembers is bounded. 2. So is what it asks at a time.
    pub(super) fn check(&self) {
        assert!(self.candidates.len() <= CANDIDATES_MAX, "a look-up remembers so many nodes");
        assert!(self.cost.asked <= REQUESTS_MAX, "a look-up asks so often");
    }
}

const _: () = assert!(size_of::<Candidate>() == 40, "a candidate is 40 bytes");
