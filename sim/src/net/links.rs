//! Connections: opened and closed by the world, told to both ends a moment later.

use std::time::Duration;

use synod_machine::{PeerId, Protocol, Time};

use super::{Action, Net};
use crate::peers::Edge;

impl<P: Protocol, A> Net<P, A> {
    /// A link between two peers from now on, with a connection if both are up.
    pub fn connect(&mut self, one: PeerId, other: PeerId) {
        assert!(one != other, "a peer has no link to itself");
        for (from, to) in [(one.0, other.0), (other.0, one.0)] {
            let edge = self.new_edge(from, to);
            let edges = &mut self.places[from as usize].edges;
            match edges.binary_search_by_key(&to, |edge| edge.to) {
                Ok(place) => edges[place].is_gone = false,
                Err(place) => edges.insert(place, edge),
            }
        }
        self.open(one.0, other.0);
    }

    /// No link between two peers any more.
    pub fn disconnect(&mut self, one: PeerId, other: PeerId) {
        self.troubled = true;
        self.close(one.0, other.0, None);
        for (from, to) in [(one.0, other.0), (other.0, one.0)] {
            if let Some(edge) = self.places[from as usize].edge(to) {
                edge.is_gone = true;
            }
        }
    }

    pub(super) fn lay_edges(&mut self, peer: u32, neighbours: &[u32]) {
        let edges = neighbours.iter().map(|&to| self.new_edge(peer, to)).collect();
        self.places[peer as usize].edges = edges;
    }

    fn new_edge(&self, from: u32, to: u32) -> Edge {
        Edge::new(to, self.links.base(self.end(from), self.end(to)))
    }

    pub(crate) fn open_all(&mut self, peer: u32) {
        let others: Vec<u32> = self.places[peer as usize].edges.iter().map(|edge| edge.to).collect();
        for other in others {
            self.open(peer, other);
        }
    }

    pub(super) fn close_all(&mut self, peer: u32) {
        let others: Vec<u32> = self.places[peer as usize].linked().map(|other| other.0).collect();
        for other in others {
            self.close(peer, other, None);
        }
        for edge in &mut self.places[peer as usize].edges {
            edge.told = None;
        }
    }

    /// Opens the connection of a link, where both ends are up and nothing that both know of cuts it.
    pub(super) fn open(&mut self, one: u32, other: u32) {
        let both_up = self.places[one as usize].host.is_some() && self.places[other as usize].host.is_some();
        if !both_up || self.is_severed(one, other) {
            return;
        }
        let sequence = self.queue.next_sequence();
        for (from, to) in [(one, other), (other, one)] {
            let Some(edge) = self.places[from as usize].edge(to).filter(|edge| !edge.is_up && !edge.is_gone) else {
                return;
            };
            edge.is_up = true;
            edge.opened = sequence;
            // The order is the connection's: what an earlier one had under way keeps nobody waiting.
            edge.last_arrival = Time::ZERO;
            let latency = Duration::from_nanos(edge.latency);
            self.schedule(self.now + latency, from, Action::Link { peer: from, other: to });
        }
    }

    /// Closes the connection of a link. Both ends hear of it after `notice`, or after the link's latency.
    pub(super) fn close(&mut self, one: u32, other: u32, notice: Option<Duration>) {
        for (from, to) in [(one, other), (other, one)] {
            let Some(edge) = self.places[from as usize].edge(to).filter(|edge| edge.is_up) else { return };
            edge.is_up = false;
            edge.closings += 1;
            let wait = notice.unwrap_or(Duration::from_nanos(edge.latency));
            self.schedule(self.now + wait, from, Action::Link { peer: from, other: to });
        }
    }
}
