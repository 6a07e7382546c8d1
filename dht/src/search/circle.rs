//! Whom a searching peer knows: the connections that it is told of, or a view that is shuffled.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use synod_machine::{PeerId, Reject, Rng, Time, lines};

use crate::gossip::{Beat, DESCRIPTORS_MAX, Descriptor, LINKS_MAX};
use crate::overlay::Node;
use crate::sampling::View;

/// Peer sampling: neighbours come from a partial view that is shuffled, and not from connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sampling {
    /// Whom the view begins with, and who is asked again now and then, so that a network that was torn apart grows together.
    pub bootstrap: Vec<Node>,
    /// Entries that are swapped in a shuffle.
    pub length: usize,
    /// The time between two shuffles that a peer begins.
    pub period: Duration,
    /// Peers in the view.
    pub view_max: usize,
}

/// One shuffle in so many is with a bootstrap node.
const BOOTSTRAP_ONE_IN: u64 = 8;

impl Sampling {
    /// A view of 8 that swaps 4, as Voulgaris et al. 2005 evaluate among others; of Gnutella's peers most had 3 to 10 neighbours
    /// (Saroiu et al. 2002, "A measurement study of peer-to-peer file sharing systems").
    pub const fn new(bootstrap: Vec<Node>) -> Self {
        Self { bootstrap, length: 4, period: Duration::from_secs(10), view_max: 8 }
    }
}

#[derive(Debug)]
pub(super) struct Circle {
    own: Node,
    /// In order.
    links: Vec<PeerId>,
    sampled: Option<Box<Sampled>>,
}

#[derive(Debug)]
struct Sampled {
    view: View<Node>,
    beat: Beat,
    sampling: Sampling,
}

impl Circle {
    pub(super) fn new(own: Node, sampling: Option<Sampling>, rng: &mut Rng) -> Self {
        let sampled = sampling.map(|sampling| {
            assert!(sampling.view_max > 0, "there is room for somebody to ask");
            assert!(sampling.length > 0, "a shuffle sends the peer itself");
            assert!(sampling.length <= DESCRIPTORS_MAX, "a shuffle fits into a message");
            let mut view = View::new(own, sampling.view_max);
            sampling.bootstrap.iter().for_each(|&node| view.meet(node, rng));
            Box::new(Sampled { view, beat: Beat::random(sampling.period, rng), sampling })
        });
        Self { own, links: Vec::new(), sampled }
    }

    /// The lines of memory that the connections are in.
    pub(super) fn lines(&self) -> impl Iterator<Item = *const u8> {
        lines(&self.links)
    }

    /// The neighbours, but one.
    pub(super) fn neighbours(&self, but: Option<PeerId>) -> Vec<PeerId> {
        match &self.sampled {
            Some(sampled) => sampled.view.peers().map(|node| node.peer).filter(|peer| Some(*peer) != but).collect(),
            None => self.links.iter().copied().filter(|peer| Some(*peer) != but).collect(),
        }
    }

    /// A neighbour drawn uniformly; `but` only where there is no other.
    pub(super) fn pick(&self, but: Option<PeerId>, rng: &mut Rng) -> Option<PeerId> {
        let others = self.neighbours(but);
        rng.pick(&others).copied().or(but.filter(|_| self.has_some()))
    }

    pub(super) fn has_some(&self) -> bool {
        match &self.sampled {
            Some(sampled) => !sampled.view.is_empty(),
            None => !self.links.is_empty(),
        }
    }

    pub(super) fn on_peer_up(&mut self, peer: PeerId) {
        if let Err(place) = self.links.binary_search(&peer)
            && self.links.len() < LINKS_MAX
        {
            self.links.insert(place, peer);
        }
    }

    pub(super) fn on_peer_down(&mut self, peer: PeerId) {
        if let Ok(place) = self.links.binary_search(&peer) {
            self.links.remove(place);
        }
        if let Some(sampled) = &mut self.sampled {
            sampled.view.retain(|node| node.peer != peer);
        }
    }

    /// Somebody is part of the network. Where views are shuffled it is one more to shuffle with.
    pub(super) fn meet(&mut self, node: Node, rng: &mut Rng) {
        if let Some(sampled) = &mut self.sampled {
            sampled.view.meet(node, rng);
        }
    }

    /// When the next shuffle is due.
    pub(super) fn shuffle_at(&self, now: Time) -> Option<Time> {
        self.sampled.as_ref().map(|sampled| sampled.beat.after(now))
    }

    /// Begins a shuffle: with whom, and what it is sent.
    pub(super) fn shuffle(&mut self, rng: &mut Rng) -> Option<(PeerId, Vec<Descriptor<Node>>)> {
        let Sampled { view, sampling, .. } = &mut **self.sampled.as_mut()?;
        let is_lost = view.is_empty();
        if (is_lost || rng.below(BOOTSTRAP_ONE_IN) == 0)
            && let Some(&node) = rng.pick(&sampling.bootstrap)
            && node != self.own
        {
            return Some((node.peer, view.ask_of(node, sampling.length, rng)));
        }
        let (node, descriptors) = view.ask(sampling.length, rng)?;
        Some((node.peer, descriptors))
    }

    /// Somebody's shuffle; what it is answered. Its own descriptor comes last, and tells who it is.
    pub(super) fn on_shuffle(
        &mut self,
        from: PeerId,
        theirs: &[Descriptor<Node>],
        rng: &mut Rng,
    ) -> Result<Vec<Descriptor<Node>>, Reject> {
        let sampled = self.sampled.as_mut().ok_or(Reject::Unsolicited)?;
        if theirs.len() > DESCRIPTORS_MAX {
            return Err(Reject::QueryList);
        }
        if theirs.last().is_none_or(|last| last.peer.peer != from) {
            return Err(Reject::NodeForeign);
        }
        Ok(sampled.view.answer(theirs, sampled.sampling.length, rng))
    }

    /// The answer to our shuffle.
    pub(super) fn on_shuffled(&mut self, from: PeerId, theirs: &[Descriptor<Node>]) -> Result<(), Reject> {
        let sampled = self.sampled.as_mut().ok_or(Reject::Unsolicited)?;
        if theirs.len() > DESCRIPTORS_MAX {
            return Err(Reject::QueryList);
        }
        if sampled.view.finish_if(|node| node.peer == from, theirs) { Ok(()) } else { Err(Reject::Unsolicited) }
    }

    pub(super) fn check(&self) {
        assert!(self.links.len() <= LINKS_MAX, "links are bounded");
        if let Some(sampled) = &self.sampled {
            sampled.view.check();
        }
    }
}
