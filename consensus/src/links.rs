//! What is known of the neighbours. A replica has few, and a simulator ten thousand times as many: what is rarely there
//! stands apart.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::time::Duration;

use synod_ledger::{BlockId, BlockTree, Place, TxId, U256};
use synod_machine::{Bytes, PeerId, Time};

use crate::Claim;

/// A peer that did not answer, or did not have what it claimed, is asked no more for this long, and twice as long each
/// further time in a row. It is not given up: all peers may have been out of reach for a while.
const REST: Duration = Duration::from_secs(5);
const REST_DOUBLINGS_MAX: u32 = 3;

/// What is known of a neighbour.
#[derive(Debug)]
pub(super) struct Link {
    peer: PeerId,
    /// The tip that it last claimed, where we know that block.
    said: Option<Place>,
    /// The last header or block that it gave: it has the blocks up to there.
    has: Option<Place>,
    /// When it was last told of our tip.
    pub(super) told: Time,
    /// Blocks asked of it and not yet given.
    pub(super) in_flight: u32,
    rare: Option<Box<Rare>>,
}

/// What there is to know of few links at a time.
#[derive(Debug, Default)]
pub(super) struct Rare {
    /// Its last claim, where we did not know that block.
    claim: Option<Claim>,
    pub(super) headers_asked: Option<Time>,
    /// Failures in a row, and until when it is therefore not asked.
    failures: u32,
    rests_until: Time,
    /// Headers that it gave since one of them was on the best chain.
    pub(super) side_headers: u64,
    /// A block that it said it has and that did not come in time. Until it gives one it is asked for no more headers.
    withheld: Option<BlockId>,
    /// Payments asked for and not yet given.
    pub(super) wanted: BTreeSet<TxId>,
}

impl Rare {
    /// Whether it says no more than that nothing is known.
    fn is_idle(&self) -> bool {
        let is_quiet = self.claim.is_none() && self.headers_asked.is_none() && self.wanted.is_empty();
        let is_trusted = self.side_headers == 0 && self.withheld.is_none();
        is_quiet && is_trusted && self.failures == 0 && self.rests_until == Time::ZERO
    }
}

impl Link {
    pub(super) const fn peer(&self) -> PeerId {
        self.peer
    }

    /// What stands apart, if anything does.
    pub(super) fn rare(&self) -> Option<&Rare> {
        self.rare.as_deref()
    }

    pub(super) fn rare_mut(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// Notes what it claims, and says whether it claims it again. `place` is where we know that block.
    pub(super) fn claims(&mut self, claim: Claim, place: Option<Place>) -> bool {
        let is_repeated = match place {
            Some(_) => self.said == place,
            None => self.unknown_claim().is_some_and(|before| before.tip == claim.tip),
        };
        self.said = place;
        if place.is_none() {
            self.rare_mut().claim = Some(claim);
        } else if let Some(rare) = &mut self.rare {
            rare.claim = None;
            if rare.is_idle() {
                self.rare = None;
            }
        }
        is_repeated
    }

    /// Notes that it has a block: it gave it.
    pub(super) fn gave(&mut self, tree: &BlockTree, place: Place) {
        if self.has.is_none_or(|before| tree.at(before).weight() < tree.at(place).weight()) {
            self.has = Some(place);
        }
    }

    /// Notes the best that it gave, or else the last.
    pub(super) fn gave_last(&mut self, place: Place) {
        self.has = Some(place);
    }

    /// Its last claim, where we did not know that block when it came.
    pub(super) fn unknown_claim(&self) -> Option<&Claim> {
        self.rare().and_then(|rare| rare.claim.as_ref())
    }

    /// The best that it said it has, or that it has for having given it.
    pub(super) fn claim(&self, tree: &BlockTree) -> Option<Claim> {
        if let Some(claim) = self.unknown_claim() {
            return Some(*claim);
        }
        let best = self.places().max_by_key(|&place| tree.at(place).weight())?;
        let node = tree.at(best);
        Some(Claim { tip: node.id(), height: node.height(), work: Bytes(node.weight().to_be_bytes()) })
    }

    /// The work that it claims.
    pub(super) fn claimed_work(&self, tree: &BlockTree) -> U256 {
        match (self.unknown_claim(), self.said) {
            (Some(claim), _) => U256::from_be_bytes(claim.work.0),
            (None, Some(place)) => tree.at(place).weight(),
            (None, None) => U256::ZERO,
        }
    }

    /// The work that it is known to have: what it claims, or what it gave.
    pub(super) fn known_work(&self, tree: &BlockTree) -> U256 {
        let given = self.has.map_or(U256::ZERO, |place| tree.at(place).weight());
        given.max(self.claimed_work(tree))
    }

    /// Whether it has the block, as far as it said.
    pub(super) fn has(&self, tree: &BlockTree, id: &BlockId) -> bool {
        let claimed = self.unknown_claim().map(|claim| claim.tip);
        let mut tips = self.places().map(|place| tree.at(place).id()).chain(claimed);
        tips.any(|tip| tree.is_on_chain(id, &tip))
    }

    pub(super) fn headers_asked(&self) -> Option<Time> {
        self.rare().and_then(|rare| rare.headers_asked)
    }

    /// It answered, or did not in time.
    pub(super) fn take_headers_asked(&mut self) -> Option<Time> {
        self.rare.as_mut().and_then(|rare| rare.headers_asked.take())
    }

    pub(super) fn rests(&self, now: Time) -> bool {
        self.rare().is_some_and(|rare| now < rare.rests_until)
    }

    pub(super) fn fail(&mut self, now: Time) {
        if !self.rests(now) {
            let rare = self.rare_mut();
            rare.rests_until = now + REST * (1 << rare.failures.min(REST_DOUBLINGS_MAX));
            rare.failures = rare.failures.saturating_add(1);
        }
    }

    /// It did what it was asked.
    pub(super) fn succeed(&mut self) {
        if let Some(rare) = &mut self.rare {
            rare.failures = 0;
        }
    }

    /// The block that did not come in time, though it said it has it.
    pub(super) fn withheld(&self) -> Option<BlockId> {
        self.rare().and_then(|rare| rare.withheld)
    }

    /// It did not give a block in time.
    pub(super) fn withholds(&mut self, id: BlockId) {
        self.rare_mut().withheld = Some(id);
    }

    /// It gave a block that was asked for: what it said it has, it may have.
    pub(super) fn forgive(&mut self) {
        if let Some(rare) = &mut self.rare {
            rare.withheld = None;
        }
    }

    /// Notes the payments that it is asked for, instead of those before.
    pub(super) fn set_wanted(&mut self, wanted: BTreeSet<TxId>) {
        if self.rare.is_some() || !wanted.is_empty() {
            self.rare_mut().wanted = wanted;
        }
    }

    /// Whether it was asked for that payment. It is no more.
    pub(super) fn takes(&mut self, id: &TxId) -> bool {
        self.rare.as_mut().is_some_and(|rare| rare.wanted.remove(id))
    }

    fn places(&self) -> impl Iterator<Item = Place> {
        [self.said, self.has].into_iter().flatten()
    }
}

/// The links by peer. They are few: a list in order is smaller than a tree, and lies in one place.
#[derive(Debug, Default)]
pub(super) struct Links(Vec<Link>);

impl Links {
    pub(super) fn get(&self, peer: PeerId) -> Option<&Link> {
        self.find(peer).ok().map(|place| &self.0[place])
    }

    pub(super) fn get_mut(&mut self, peer: PeerId) -> Option<&mut Link> {
        self.find(peer).ok().map(|place| &mut self.0[place])
    }

    pub(super) fn contains(&self, peer: PeerId) -> bool {
        self.find(peer).is_ok()
    }

    /// Adds a link of which nothing is known, unless there is one.
    pub(super) fn insert(&mut self, peer: PeerId) {
        if let Err(place) = self.find(peer) {
            let link = Link { peer, said: None, has: None, told: Time::ZERO, in_flight: 0, rare: None };
            self.0.insert(place, link);
        }
    }

    /// Takes a link out, and says whether it was there.
    pub(super) fn remove(&mut self, peer: PeerId) -> bool {
        let found = self.find(peer);
        if let Ok(place) = found {
            self.0.remove(place);
        }
        found.is_ok()
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Link> {
        self.0.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Link> {
        self.0.iter_mut()
    }

    pub(super) fn peers(&self) -> Vec<PeerId> {
        self.iter().map(Link::peer).collect()
    }

    fn find(&self, peer: PeerId) -> Result<usize, usize> {
        self.0.binary_search_by_key(&peer, Link::peer)
    }
}
