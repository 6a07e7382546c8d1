//! A mesh's links: which of them are in the mesh, which may not be grafted yet, and what each has asked since the last
//! heartbeat. They are few, so a sorted vector beats a tree.

use alloc::vec::Vec;

use synod_machine::{PeerId, Time};

use crate::gossip::LINKS_MAX;

/// The links, in order of their peers.
#[derive(Debug)]
pub(super) struct Links {
    links: Vec<Link>,
    grafted: usize,
}

/// A link.
#[derive(Debug)]
pub(super) struct Link {
    /// Before this neither side may graft the other.
    pub(super) barred_until: Time,
    /// The heartbeat that the counts are of.
    beat: u64,
    peer: PeerId,
    counts: Counts,
    is_grafted: bool,
}

/// What a peer has asked since the last heartbeat.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Ids that we asked of it.
    pub(super) asked: u16,
    /// `IHAVE`s that it sent.
    pub(super) ihaves: u8,
    /// `IWANT`s that it sent.
    pub(super) iwants: u8,
}

impl Link {
    pub(super) const fn is_grafted(&self) -> bool {
        self.is_grafted
    }

    /// The counts, which begin anew with each heartbeat.
    pub(super) fn counts(&mut self, beat: u64) -> &mut Counts {
        if self.beat != beat {
            self.beat = beat;
            self.counts = Counts::default();
        }
        &mut self.counts
    }
}

impl Links {
    pub(super) const fn new() -> Self {
        Self { links: Vec::new(), grafted: 0 }
    }

    /// How many are in the mesh.
    pub(super) const fn grafted(&self) -> usize {
        self.grafted
    }

    /// Whether there is a link outside the mesh.
    pub(super) const fn has_outside(&self) -> bool {
        self.links.len() > self.grafted
    }

    pub(super) fn get_mut(&mut self, peer: PeerId) -> Option<&mut Link> {
        let place = self.place(peer).ok()?;
        self.links.get_mut(place)
    }

    /// Whether the link is new and there is room for it. A second connection to the same peer is the same link.
    pub(super) fn insert(&mut self, peer: PeerId) -> bool {
        let Err(place) = self.place(peer) else { return false };
        let is_new = self.links.len() < LINKS_MAX;
        if is_new {
            let (barred_until, counts) = (Time::ZERO, Counts::default());
            self.links.insert(place, Link { barred_until, beat: 0, peer, counts, is_grafted: false });
        }
        is_new
    }

    pub(super) fn remove(&mut self, peer: PeerId) {
        if let Ok(place) = self.place(peer)
            && self.links.remove(place).is_grafted
        {
            self.grafted -= 1;
        }
    }

    pub(super) fn graft(&mut self, peer: PeerId) {
        let Some(link) = self.get_mut(peer) else { return };
        if !link.is_grafted {
            link.is_grafted = true;
            self.grafted += 1;
        }
    }

    /// Takes a link out of the mesh, if it is there, and bars it.
    pub(super) fn prune(&mut self, peer: PeerId, until: Time) {
        let Some(link) = self.get_mut(peer) else { return };
        link.barred_until = link.barred_until.max(until);
        if link.is_grafted {
            link.is_grafted = false;
            self.grafted -= 1;
        }
    }

    /// All.
    pub(super) fn all(&self) -> Vec<PeerId> {
        self.links.iter().map(|link| link.peer).collect()
    }

    /// Those in the mesh, but one.
    pub(super) fn mesh(&self, but: Option<PeerId>) -> Vec<PeerId> {
        let mut peers = Vec::with_capacity(self.grafted);
        peers.extend(self.links.iter().filter(|link| link.is_grafted && Some(link.peer) != but).map(|link| link.peer));
        peers
    }

    /// Those outside the mesh.
    pub(super) fn outside(&self) -> Vec<PeerId> {
        self.links.iter().filter(|link| !link.is_grafted).map(|link| link.peer).collect()
    }

    /// Those that may be grafted now.
    pub(super) fn graftable(&self, now: Time) -> Vec<PeerId> {
        let is_fit = |link: &&Link| !link.is_grafted && link.barred_until <= now;
        self.links.iter().filter(is_fit).map(|link| link.peer).collect()
    }

    /// When the first link outside the mesh may be grafted.
    pub(super) fn graftable_from(&self) -> Option<Time> {
        self.links.iter().filter(|link| !link.is_grafted).map(|link| link.barred_until).min()
    }

    /// 1. Links are bounded. 2. The mesh is among them.
    pub(super) fn check(&self) {
        assert!(self.links.len() <= LINKS_MAX, "links are bounded");
        assert!(self.grafted <= self.links.len(), "the mesh is among the links");
    }

    fn place(&self, peer: PeerId) -> Result<usize, usize> {
        self.links.binary_search_by_key(&peer, |link| link.peer)
    }
}
