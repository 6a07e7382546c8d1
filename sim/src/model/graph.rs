//! Who is linked to whom: an undirected simple graph in compressed form, one allocation for all neighbours.

use super::ModelError;

/// An undirected graph without loops and double links. Peers are numbers from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Graph {
    /// Where each peer's neighbours begin; one more at the end.
    offsets: Box<[u32]>,
    /// Neighbours of all peers, each peer's in ascending order.
    neighbours: Box<[u32]>,
}

impl Graph {
    /// The graph of these links between `peers` peers. Each link is given once, in either direction.
    pub(super) fn new(peers: u32, links: &[(u32, u32)]) -> Self {
        assert!(links.len() as u64 <= LINKS_MAX, "the number of links is checked before they are made");
        let mut offsets = vec![0; peers as usize + 1];
        for &(a, b) in links {
            assert_ne!(a, b, "no peer is its own neighbour");
            offsets[a as usize + 1] += 1;
            offsets[b as usize + 1] += 1;
        }
        for peer in 0..peers as usize {
            offsets[peer + 1] += offsets[peer];
        }
        let mut free = offsets.clone();
        let mut neighbours = vec![0; 2 * links.len()];
        for &(a, b) in links {
            for (peer, other) in [(a, b), (b, a)] {
                neighbours[free[peer as usize] as usize] = other;
                free[peer as usize] += 1;
            }
        }
        for peer in 0..peers as usize {
            let own = &mut neighbours[offsets[peer] as usize..offsets[peer + 1] as usize];
            own.sort_unstable();
            assert!(own.is_sorted_by(|a, b| a < b), "two peers have one link");
        }
        Self { offsets: offsets.into(), neighbours: neighbours.into() }
    }

    /// Peers without links.
    pub fn empty(peers: u32) -> Self {
        Self::new(peers, &[])
    }

    /// How many peers there are.
    pub const fn peers(&self) -> u32 {
        self.offsets.len() as u32 - 1
    }

    /// How many links there are; each joins two peers.
    pub const fn links(&self) -> u64 {
        self.neighbours.len() as u64 / 2
    }

    /// A peer's neighbours, in ascending order.
    pub fn neighbours(&self, peer: u32) -> &[u32] {
        let peer = peer as usize;
        &self.neighbours[self.offsets[peer] as usize..self.offsets[peer + 1] as usize]
    }

    /// How many neighbours a peer has.
    pub fn degree(&self, peer: u32) -> usize {
        self.neighbours(peer).len()
    }

    /// Whether two peers are neighbours.
    pub fn has_link(&self, a: u32, b: u32) -> bool {
        self.neighbours(a).binary_search(&b).is_ok()
    }

    /// Whether every peer can be reached from every other.
    pub fn is_connected(&self) -> bool {
        self.parts().iter().all(|&part| part == 0)
    }

    /// The part of each peer: parts are numbered by their least peer, and a link stays within one.
    pub(super) fn parts(&self) -> Vec<u32> {
        let mut parts = vec![u32::MAX; self.peers() as usize];
        let mut reached = Vec::new();
        for first in 0..self.peers() {
            if parts[first as usize] != u32::MAX {
                continue;
            }
            parts[first as usize] = first;
            reached.push(first);
            while let Some(peer) = reached.pop() {
                for &other in self.neighbours(peer) {
                    if parts[other as usize] == u32::MAX {
                        parts[other as usize] = first;
                        reached.push(other);
                    }
                }
            }
        }
        parts
    }
}

/// Half a gigabyte of neighbours. A complete graph of 11,585 peers has as many.
pub(super) const LINKS_MAX: u64 = 1 << 26;

/// Whether so many links fit, before they are made.
pub(super) fn check_links(links: u64, field: &str) -> Result<(), ModelError> {
    if links <= LINKS_MAX {
        return Ok(());
    }
    let expected = format!("at most {LINKS_MAX} links in all: take fewer peers or a sparser topology");
    Err(ModelError::value(field, expected, links))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_sorted_and_mutual() {
        let graph = Graph::new(4, &[(2, 0), (0, 1), (2, 1)]);
        assert_eq!(graph.peers(), 4);
        assert_eq!(graph.links(), 3);
        assert_eq!(graph.neighbours(0), [1, 2]);
        assert_eq!(graph.neighbours(1), [0, 2]);
        assert_eq!(graph.neighbours(2), [0, 1]);
        assert_eq!(graph.degree(3), 0);
        assert!(graph.has_link(1, 2));
        assert!(!graph.has_link(1, 3));
    }

    #[test]
    fn parts_are_what_links_join() {
        let graph = Graph::new(5, &[(0, 3), (1, 4)]);
        assert_eq!(graph.parts(), [0, 1, 2, 0, 1]);
        assert!(!graph.is_connected());
        assert!(Graph::new(3, &[(0, 1), (1, 2)]).is_connected());
    }

    #[test]
    #[should_panic(expected = "two peers have one link")]
    fn a_double_link_is_ours_to_avoid() {
        let _ = Graph::new(2, &[(0, 1), (1, 0)]);
    }
}
