//! What may be done to peers and links beside crashes: cuts, omissions, pauses, bad clocks.

use std::time::Duration;

use synod_machine::{PeerId, Protocol};

use super::{Action, Net};
use crate::clock::Clock;
use crate::model::Chance;

/// Names a cut, to heal it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CutId(u32);

/// Which messages a cut takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Both ways.
    Both,
    /// Those into the group.
    In,
    /// Those out of the group.
    Out,
}

/// A group cut off from all others.
pub(crate) struct Cut {
    id: CutId,
    /// By peer: whether it belongs to the group.
    group: Vec<bool>,
    direction: Direction,
    /// Whether the ends of each connection know that it is gone.
    is_loud: bool,
}

impl Cut {
    fn blocks(&self, from: u32, to: u32) -> bool {
        match (self.group[from as usize], self.group[to as usize]) {
            (true, false) => self.direction != Direction::In,
            (false, true) => self.direction != Direction::Out,
            (true, true) | (false, false) => false,
        }
    }
}

impl<P: Protocol, A> Net<P, A> {
    /// Cuts a group off from all others. With a `notice` the ends of each connection across are told after that time
    /// that it closed; without one messages vanish and nobody is told.
    pub fn cut(&mut self, group: &[PeerId], direction: Direction, notice: Option<Duration>) -> CutId {
        self.troubled = true;
        let id = CutId(self.cuts_made);
        self.cuts_made += 1;
        let mut member = vec![false; self.places.len()];
        for peer in group {
            member[peer.0 as usize] = true;
        }
        let across = self.links_across(&member);
        self.cuts.push(Cut { id, group: member, direction, is_loud: notice.is_some() });
        if notice.is_some() {
            for (one, other) in across {
                self.close(one, other, notice);
            }
        }
        id
    }

    /// Ends a cut.
    pub fn heal(&mut self, id: CutId) {
        let Some(place) = self.cuts.iter().position(|cut| cut.id == id) else { return };
        let cut = self.cuts.remove(place);
        if cut.is_loud {
            for (one, other) in self.links_across(&cut.group) {
                self.open(one, other);
            }
        }
    }

    /// Ends all cuts.
    pub fn heal_all(&mut self) {
        while let Some(id) = self.cuts.first().map(|cut| cut.id) {
            self.heal(id);
        }
    }

    /// Makes a peer omit a share, from 0 to 1, of what it sends and of what it receives.
    pub fn omit(&mut self, peer: PeerId, sent: f64, received: f64) {
        self.troubled = true;
        let trouble = self.places[peer.0 as usize].trouble();
        trouble.omits_sent = Chance::new(sent);
        trouble.omits_received = Chance::new(received);
    }

    /// Pauses a peer: what comes meanwhile waits, timers too.
    pub fn pause(&mut self, peer: PeerId) {
        self.troubled = true;
        if self.is_up(peer) {
            let trouble = self.places[peer.0 as usize].trouble();
            trouble.is_paused = true;
            trouble.is_resuming = false;
        }
    }

    /// Lets a paused peer go on, with what came meanwhile first.
    pub fn resume(&mut self, peer: PeerId) {
        if self.places[peer.0 as usize].is_paused() {
            self.places[peer.0 as usize].trouble().is_resuming = true;
            self.schedule(self.now, peer.0, Action::Resume(peer.0));
        }
    }

    /// Puts a peer's clock forward (or back, which its protocol sees as a standstill) and makes it fast or slow.
    pub fn adjust_clock(&mut self, peer: PeerId, ahead_ns: i64, drift_ppm: i64) {
        self.troubled = true;
        let now = self.now;
        let trouble = self.places[peer.0 as usize].trouble();
        trouble.clock = trouble.clock.adjusted(now, ahead_ns, drift_ppm);
        self.places[peer.0 as usize].wakes_at = synod_machine::Time::MAX;
        self.wake(peer.0);
    }

    /// Makes a peer's clock show the true time, which its protocol sees as a standstill where the clock was ahead.
    pub fn set_clock_true(&mut self, peer: PeerId) {
        if let Some(trouble) = &mut self.places[peer.0 as usize].trouble {
            trouble.clock = Clock::TRUE;
            self.places[peer.0 as usize].wakes_at = synod_machine::Time::MAX;
            self.wake(peer.0);
        }
    }

    /// Whether a message between two peers is lost to a cut.
    pub(super) fn is_cut(&self, from: u32, to: u32) -> bool {
        self.cuts.iter().any(|cut| cut.blocks(from, to))
    }

    /// Whether a cut that its ends know of keeps two peers apart.
    pub(super) fn is_severed(&self, one: u32, other: u32) -> bool {
        self.cuts.iter().any(|cut| cut.is_loud && (cut.blocks(one, other) || cut.blocks(other, one)))
    }

    fn links_across(&self, group: &[bool]) -> Vec<(u32, u32)> {
        let mut across = Vec::new();
        for (one, place) in (0..).zip(&self.places) {
            let others = place.edges.iter().map(|edge| edge.to);
            across
                .extend(others.filter(|&to| one < to && group[one as usize] != group[to as usize]).map(|to| (one, to)));
        }
        across
    }
}
