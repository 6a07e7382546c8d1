//! A leaf's side: to be attached to enough superpeers that know what it shares.

use alloc::vec::Vec;

use synod_machine::{Out, PeerId, Reject, Time};

use super::super::index::pages;
use super::{BEATS_SILENT, Message, Post, Superpeer, Timer};
use crate::overlay::Node;

/// A leaf's tie to a superpeer.
#[derive(Debug)]
pub(super) struct Tie {
    pub(super) node: Node,
    pub(super) heard: Time,
    /// Whether the superpeer has taken us.
    pub(super) is_up: bool,
    /// Whether it knows all that we share.
    pub(super) is_known: bool,
}

/// A leaf without a superpeer looks for one so many times in a beat.
const HASTE: u32 = 8;

/// A leaf that has what it needs looks around at one beat in so many, for its superpeers.
const LOOK_ONE_IN: u64 = 4;

impl Superpeer {
    /// Drops ties that are silent, tells the others that we are here, and what they do not know, and mends.
    pub(super) fn on_leaf_beat(&mut self, now: Time, out: &mut Out<Self>) {
        let beat = self.params.beat;
        let Post::Leaf(ties) = &mut self.post else { return };
        let is_silent = |tie: &Tie| now.since(tie.heard) > if tie.is_up { beat * BEATS_SILENT } else { beat };
        let silent: Vec<PeerId> = ties.iter().filter(|tie| is_silent(tie)).map(|tie| tie.node.peer).collect();
        let mut unknown = Vec::new();
        for tie in ties.iter().filter(|tie| tie.is_up && !is_silent(tie)) {
            if tie.is_known {
                out.send(tie.node.peer, Message::Ping);
            } else {
                unknown.push(tie.node.peer);
            }
        }
        for peer in silent {
            self.release(peer);
            self.forget(peer);
            self.ask_others(now, peer, out);
        }
        unknown.into_iter().for_each(|peer| self.tell_all(peer, out));
        if !self.params.election.is_fixed() && self.params.rng.below(LOOK_ONE_IN) == 0 {
            self.seek(out);
        }
        self.mend_ties(now, out);
    }

    /// Seeks superpeers where there are too few, and stands for one itself where there is none for long.
    pub(super) fn mend_ties(&mut self, now: Time, out: &mut Out<Self>) {
        self.attach(now, out);
        let Post::Leaf(ties) = &self.post else { return };
        if ties.len() < self.params.redundancy {
            self.seek(out);
        }
        if self.stands(now) {
            return self.promote(now, out);
        }
        let Post::Leaf(ties) = &self.post else { return };
        let is_orphan = ties.iter().all(|tie| !tie.is_up);
        let next = if is_orphan { now + self.params.beat / HASTE } else { self.beat.after(now) };
        out.set(Timer::Beat, next);
    }

    /// Attaches to superpeers that it has heard of, as far as ties are missing.
    pub(super) fn attach(&mut self, now: Time, out: &mut Out<Self>) {
        let Post::Leaf(ties) = &mut self.post else { return };
        let missing = self.params.redundancy.saturating_sub(ties.len());
        if missing == 0 {
            return;
        }
        let is_new = |node: &&Node| ties.iter().all(|tie| tie.node.peer != node.peer);
        let mut new: Vec<Node> = self.known.iter().filter(is_new).copied().collect();
        self.params.rng.shuffle(&mut new);
        new.truncate(missing);
        for &node in &new {
            ties.push(Tie { node, heard: now, is_up: false, is_known: false });
        }
        new.into_iter().for_each(|node| self.tell_all(node.peer, out));
    }

    /// All pages of what is shared; one that is empty where nothing is.
    fn tell_all(&self, to: PeerId, out: &mut Out<Self>) {
        let node = self.params.own;
        let mut is_first = true;
        for page in pages(&self.shared.0) {
            out.send(to, Message::Attach { node, is_first, items: page.to_vec() });
            is_first = false;
        }
    }

    /// A superpeer that is none of ours is told so.
    pub(super) fn on_attached(&mut self, now: Time, from: PeerId, digest: u64, out: &mut Out<Self>) {
        let own = self.shared.digest();
        let tie = match &mut self.post {
            Post::Leaf(ties) => ties.iter_mut().find(|tie| tie.node.peer == from),
            Post::Superpeer(_) => None,
        };
        let Some(tie) = tie else {
            out.reject(from, Reject::Unsolicited);
            return out.send(from, Message::Leave);
        };
        let is_new = !tie.is_up;
        (tie.heard, tie.is_up, tie.is_known) = (now, true, digest == own);
        self.claim_at = None;
        if is_new {
            out.set(Timer::Beat, self.beat.after(now));
        }
    }

    /// A superpeer that does not answer a query is given up.
    pub(super) fn drop_tie(&mut self, now: Time, peer: PeerId, out: &mut Out<Self>) {
        let Post::Leaf(_) = &self.post else { return };
        if self.release(peer) {
            self.forget(peer);
            out.send(peer, Message::Leave);
            self.mend_ties(now, out);
        }
    }
}
