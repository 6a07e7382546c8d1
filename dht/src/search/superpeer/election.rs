//! Who is a superpeer. Nobody counts votes: each peer decides for itself, by what it sees.
//!
//! *Up*: a leaf that no superpeer takes becomes one after a time, which is the shorter the more capable it is and the longer it
//! has been up; so the first to stand are the right ones, and where there is none the others do.
//!
//! *Down*: a superpeer with few leaves becomes a leaf if neighbours with more capacity have room for all of its leaves and for
//! itself; one of too little capacity does so even with many. The most capable of a neighbourhood therefore stays, whatever
//! the others do at the same time.
//!
//! *No oscillation*: a role is kept for a time at least, a leaf stands only where it finds nobody, and a superpeer goes only where
//! there is room; where it was needed before, there is none.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use synod_machine::{Out, Time};

use super::station::Station;
use super::{KNOWN_MAX, Message, Post, Superpeer, Timer};
use crate::overlay::Node;

/// Who is a superpeer.
#[derive(Clone, Debug)]
pub enum Election {
    /// Peers decide.
    ByCapacity(Rule),
    /// It is set down, and so are the superpeers that a peer attaches to, or links to: to measure one structure.
    Fixed {
        /// Whether this peer is one.
        is_superpeer: bool,
        /// Its superpeers or neighbours, [`KNOWN_MAX`] at most.
        superpeers: Vec<Node>,
    },
}

/// How peers decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Below this capacity a peer is a superpeer only where nobody else is.
    pub capacity_min: u32,
    /// A fit leaf without a superpeer stands after once to twice this time.
    pub claim_wait: Duration,
    /// With fewer leaves a superpeer may be one too many.
    pub leaves_low: u16,
    /// A role is kept for so long.
    pub role_min: Duration,
    /// A peer that is not up for so long is not fit yet.
    pub uptime_min: Duration,
}

impl Rule {
    /// What is used where nothing else is said.
    pub const DEFAULT: Self = Self {
        capacity_min: 32, // In kilobytes a second: above what LimeWire asked of an ultrapeer (15 down, 10 up).
        claim_wait: Duration::from_secs(5), // Four looks for a superpeer with the default beat.
        leaves_low: 5,    // A sixth of what a superpeer takes.
        role_min: Duration::from_secs(120), // Our choice: four times what it takes to notice that a superpeer is gone.
        uptime_min: Duration::from_secs(600), // LimeWire's asked for an hour; a test network does not last that long.
    };
}

/// How many times longer those wait who are not up for long …
const WAIT_YOUNG: u32 = 3;
/// … and those who are not capable.
const WAIT_WEAK: u32 = 12;

impl Election {
    pub(super) const fn is_fixed(&self) -> bool {
        matches!(self, Self::Fixed { .. })
    }

    pub(super) fn first_post(&self) -> (Post, Vec<Node>) {
        match self {
            Self::ByCapacity(_) => (Post::Leaf(Vec::new()), Vec::new()),
            Self::Fixed { is_superpeer, superpeers } => {
                assert!(superpeers.len() <= KNOWN_MAX, "superpeers that it has heard of are bounded");
                let post = if *is_superpeer { Post::Superpeer(Box::default()) } else { Post::Leaf(Vec::new()) };
                (post, superpeers.clone())
            }
        }
    }
}

impl Superpeer {
    /// Begins as what it is.
    pub(super) fn settle_in(&mut self, now: Time, out: &mut Out<Self>) {
        match &self.post {
            Post::Leaf(_) => self.mend_ties(now, out),
            Post::Superpeer(_) => self.open_station(now, out),
        }
    }

    /// Whether a leaf becomes a superpeer now. The time until then is drawn when it is first found to be without one.
    pub(super) fn stands(&mut self, now: Time) -> bool {
        let Election::ByCapacity(rule) = self.params.election else { return false };
        let Post::Leaf(ties) = &self.post else { return false };
        if ties.iter().any(|tie| tie.is_up) || now.since(self.since) < rule.claim_wait {
            self.claim_at = None;
            return false;
        }
        let is_weak = self.params.capacity < rule.capacity_min;
        let is_young = now.since(self.born) < rule.uptime_min;
        let times = 1 + if is_weak { WAIT_WEAK } else { 0 } + if is_young { WAIT_YOUNG } else { 0 };
        let wait = rule.claim_wait * times;
        let rng = &mut self.params.rng;
        let at = *self.claim_at.get_or_insert_with(|| now + wait + Duration::from_nanos(rng.below(nanos(wait))));
        now >= at
    }

    /// Whether a superpeer becomes a leaf now.
    pub(super) fn steps_down(&self, now: Time) -> bool {
        let Election::ByCapacity(rule) = self.params.election else { return false };
        let Post::Superpeer(station) = &self.post else { return false };
        let leaves = station.leaves(self.params.own.peer).count();
        let is_weak = self.params.capacity < rule.capacity_min;
        let is_needed = leaves >= usize::from(rule.leaves_low) && !is_weak;
        let room = station.room_above(self.params.own, self.params.capacity);
        !is_needed && now.since(self.since) >= rule.role_min && room > leaves
    }

    pub(super) fn promote(&mut self, now: Time, out: &mut Out<Self>) {
        if let Post::Leaf(ties) = &self.post {
            out.broadcast(ties.iter().map(|tie| tie.node.peer).collect(), Message::Leave);
        }
        self.post = Post::Superpeer(Box::default());
        self.claim_at = None;
        self.since = now;
        self.open_station(now, out);
    }

    pub(super) fn demote(&mut self, now: Time, out: &mut Out<Self>) {
        let Post::Superpeer(station) = &self.post else { return };
        let linked: Vec<Node> = station.linked().collect();
        let neighbours = linked.iter().map(|node| node.peer);
        let to = station.leaves(self.params.own.peer).chain(neighbours).collect();
        out.broadcast(to, Message::Leave);
        self.post = Post::Leaf(Vec::new());
        self.since = now;
        self.learn(linked);
        self.mend_ties(now, out);
    }

    /// Registers what it shares itself, and seeks neighbours.
    fn open_station(&mut self, now: Time, out: &mut Out<Self>) {
        let mut station = Box::new(Station::default());
        let items = self.shared.0.clone();
        station.catalogue.register(now, self.params.own, true, items).expect("what is shared is bounded likewise");
        self.post = Post::Superpeer(station);
        self.link(now, self.params.degree, out);
        out.set(Timer::Beat, self.beat.after(now));
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX).max(1)
}
