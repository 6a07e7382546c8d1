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

    /// The lines of memory that the closest nodes are in.
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

#[cfg(test)]
mod tests {
    use synod_machine::Rng;

    use super::*;

    /// Some of the nodes, drawn, in their order.
    fn some(rng: &mut Rng, nodes: &[Node], count: usize) -> Vec<Node> {
        let mut left = count.min(nodes.len());
        let mut drawn = Vec::new();
        for (place, node) in nodes.iter().enumerate() {
            if rng.below((nodes.len() - place) as u64) < left as u64 {
                drawn.push(*node);
                left -= 1;
            }
        }
        drawn
    }

    fn fields(candidates: &[Candidate]) -> Vec<(Id, PeerId, u8, State)> {
        candidates.iter().map(|one| (one.id, one.peer, one.depth, one.state)).collect()
    }

    #[test]
    fn what_is_taken_up_is_what_sorting_all_and_keeping_the_closest_gives() {
        let states = [State::Answered, State::Asked, State::Failed, State::Heard];
        let (mut full, mut cut, mut overlaps) = (0, 0, 0);
        for seed in 0..4_000 {
            let mut rng = Rng::new(seed, 0, "merge");
            let target = Id::draw(&mut rng);
            let mut all: Vec<Node> = (0..90 + rng.below(60) as u32)
                .map(|peer| Node { id: Id::draw(&mut rng), peer: PeerId(peer) })
                .collect();
            all.sort_by_key(|node| node.id.xor(target));
            let known = some(&mut rng, &all, 60 + seed as usize % 21);
            // From all of them, or from a stretch of neighbours, which may be the closest or the farthest.
            let from = if rng.below(2) == 0 { 0 } else { rng.below(all.len() as u64) as usize };
            let to = if from == 0 { all.len() } else { all.len().min(from + 25) };
            let count = rng.below(NODES_MAX as u64 + 1) as usize;
            let mut named = some(&mut rng, &all[from..to], count);

            let mut lookup = Lookup::new(target, &known, 3, 20);
            for candidate in &mut lookup.candidates {
                candidate.state = states[rng.below(4) as usize];
                candidate.depth = 1 + rng.below(9) as u8;
            }
            // Who is known is not believed to be reached otherwise.
            named.iter_mut().for_each(|node| node.peer.0 += 1_000);

            let mut expected = fields(&lookup.candidates);
            for node in &named {
                if expected.iter().any(|known| known.0 == node.id) {
                    overlaps += 1;
                } else {
                    expected.push((node.id, node.peer, 42, State::Heard));
                }
            }
            expected.sort_by_key(|known| known.0.xor(target));
            expected.dedup_by_key(|known| known.0);
            full += u32::from(expected.len() == CANDIDATES_MAX);
            cut += u32::from(expected.len() > CANDIDATES_MAX);
            expected.truncate(CANDIDATES_MAX);

            lookup.merge(&named, 42);
            assert_eq!(fields(&lookup.candidates), expected, "seed {seed}");
        }
        assert!(full > 50, "the bound is met exactly in some: {full}");
        assert!(cut > 500, "the bound is passed in some: {cut}");
        assert!(overlaps > 4_000, "some of the named are known: {overlaps}");
    }
}
