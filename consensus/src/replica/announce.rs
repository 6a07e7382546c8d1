//! Telling neighbours of the tip. Gossip loses messages; a claim lets a neighbour see that it missed a block.
//!
//! A claim matters to a neighbour only where it has less work than we have, so only those are told that are not known
//! to have as much: by their own claim, or because they gave us such a block. Who is told when is drawn from the tip
//! and the peer, so that of two neighbours mostly one tells the other and not both at once.
//!
//! What came because it was asked for is gossiped by nobody. It is told as soon as no more of it comes: else a branch that has
//! won would need a block time for each hop, and in a network of many hops others would meanwhile grow faster.
//!
//! Claims get lost too. So a tip that stays is repeated to every neighbour that did not *claim* as much work itself
//! (that it gave us a block does not prove that it connected it), and who hears a claim a second time answers it, since
//! the other evidently does not know, unless it has just told it so itself: two answers would answer each other. Of two
//! neighbours of which one lacks the other's chain, that other has not heard a claim of as much work, and so repeats its
//! own until it comes through; where both have heard what they have, nothing is pending. A replica whose neighbours all
//! claim its tip is silent.

use alloc::vec::Vec;
use core::time::Duration;

use synod_ledger::{Place, U256};
use synod_machine::{Bytes, Out, PeerId, Time};

use super::{Replica, Timer};
use crate::links::Link;
use crate::{Claim, Message};

/// Gossip comes first, since a claim that overtakes it makes the neighbour ask for what is under way. Who missed a block
/// hears of it with the next one, whose parent it lacks; so a tip is told when the next one is late, and meanwhile so
/// often all the same, for those whom gossip reaches no more.
const AFTER_MIN: Duration = Duration::from_secs(2);
const POSTPONED_BLOCKS_MAX: u32 = 4;
/// A tip that stays so long is told again, or one that stays for two block times.
const REPEAT_MIN: Duration = Duration::from_secs(30);
const REPEAT_BLOCKS: u32 = 2;

/// What was announced, and when the next announcement is due.
#[derive(Debug)]
pub(super) struct Announcing {
    /// The tip that neighbours were last told of, and when.
    last: (Place, Time),
    /// When [`Timer::Announce`] is due, if it is set.
    due: Option<Time>,
    /// When the first tip came that is not announced yet.
    postponed_from: Option<Time>,
    /// Whether the last block came because it was asked for.
    pub(super) is_fetched: bool,
}

impl Announcing {
    pub(super) const fn new() -> Self {
        Self { last: (Place::ROOT, Time::ZERO), due: None, postponed_from: None, is_fetched: false }
    }
}

impl Replica {
    /// Whom it is linked to.
    pub fn peers(&self) -> Vec<PeerId> {
        self.links.peers()
    }

    pub(super) fn own_claim(&self) -> Claim {
        let node = self.tree.at(self.place);
        Claim { tip: node.id(), height: node.height(), work: Bytes(node.weight().to_be_bytes()) }
    }

    /// The tip changed: neighbours that lack it are told in a moment.
    pub(super) fn announce_soon(&mut self, now: Time, out: &mut Out<Self>) {
        let own = self.own_work();
        let is_fetched = core::mem::take(&mut self.announcing.is_fetched);
        if self.links.iter().any(|link| link.known_work(&self.tree) < own) {
            let after = if is_fetched { AFTER_MIN } else { self.announce_after() };
            let block_time = self.chain.block_time();
            let latest = self.announcing.postponed_from.unwrap_or(now) + block_time * POSTPONED_BLOCKS_MAX;
            let at = (now + after).min(latest.max(now + AFTER_MIN));
            self.announcing.postponed_from.get_or_insert(now);
            self.announcing.due = Some(at);
            out.set(Timer::Announce, at);
        }
    }

    /// A new neighbour is told at once, and again if it does not say as much.
    pub(super) fn announce_to(&mut self, now: Time, peer: PeerId, out: &mut Out<Self>) {
        self.tell(now, peer, out);
        if self.own_work() > U256::ZERO {
            self.announce_at(now + self.repeat_after(), out);
        }
    }

    pub(super) fn on_announce(&mut self, now: Time, out: &mut Out<Self>) {
        self.announcing.due = None;
        self.announcing.postponed_from = None;
        if !self.is_settled() {
            if !self.links.is_empty() {
                self.announce_at(now + self.announce_after(), out);
            }
            return;
        }
        let own = self.own_work();
        let (tree, is_repeat) = (&self.tree, self.announcing.last.0 == self.place);
        let work = |link: &Link| if is_repeat { link.claimed_work(tree) } else { link.known_work(tree) };
        let is_claimed = self.links.iter().all(|link| link.claimed_work(tree) >= own);
        let mut lacking = Vec::new();
        for link in self.links.iter_mut().filter(|link| work(link) < own) {
            link.told = now;
            lacking.push(link.peer());
        }
        out.broadcast(lacking, Message::Tip(self.own_claim()));
        self.announcing.last = (self.place, now);
        if !is_claimed {
            self.announce_at(now + self.repeat_after(), out);
        }
    }

    /// Considers what a neighbour's claim says of what it knows of ours.
    pub(super) fn answer_claim(&mut self, now: Time, from: PeerId, is_repeated: bool, out: &mut Out<Self>) {
        let (own, repeat_after) = (self.own_work(), self.repeat_after());
        let Some(link) = self.links.get(from) else { return };
        let theirs = link.claimed_work(&self.tree);
        if theirs > own || own == U256::ZERO {
            return;
        }
        if is_repeated && now.since(link.told) >= repeat_after / 2 {
            self.tell(now, from, out);
        }
        if theirs < own && self.announcing.due.is_none() {
            let (tip, at) = self.announcing.last;
            let again = if tip == self.place { at + repeat_after } else { now };
            self.announce_at(again.max(now + self.announce_after()), out);
        }
    }

    fn tell(&mut self, now: Time, peer: PeerId, out: &mut Out<Self>) {
        if let Some(link) = self.links.get_mut(peer) {
            link.told = now;
            out.send(peer, Message::Tip(self.own_claim()));
        }
    }

    fn own_work(&self) -> U256 {
        self.tree.at(self.place).weight()
    }

    fn announce_at(&mut self, at: Time, out: &mut Out<Self>) {
        if self.announcing.due.is_none_or(|due| at < due) {
            self.announcing.due = Some(at);
            out.set(Timer::Announce, at);
        }
    }

    /// Between once and twice the least time.
    fn announce_after(&self) -> Duration {
        let least = AFTER_MIN.max(self.chain.block_time());
        let tip = self.tree.at(self.place).id();
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&tip.0.0[24..]);
        // 2^64 over the golden ratio: neighbours whose extras are in a row are spread evenly.
        let drawn = u64::from_le_bytes(bytes) ^ self.mining.extra().wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let spread = u64::try_from(least.as_nanos()).unwrap_or(u64::MAX);
        let part = (u128::from(drawn) * u128::from(spread)) >> 64;
        least + Duration::from_nanos(part as u64)
    }

    fn repeat_after(&self) -> Duration {
        REPEAT_MIN.max(self.chain.block_time() * REPEAT_BLOCKS)
    }
}
