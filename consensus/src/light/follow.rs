//! Following the best headers: by claims, answers and gossiped blocks.

use synod_ledger::{Block, BlockTree, Node, Place, SharedHeader};
use synod_machine::{Out, PeerId, Time};

use super::{Event, Light, Timer};
use crate::headers::{Fault, Follower, is_stale};
use crate::links::Links;
use crate::replica::{check_form, rivalry};
use crate::{Chain, Claim, HeaderError, Verdict};

impl Follower for Light {
    const SYNC: Timer = Timer::Sync;

    fn chain(&self) -> &Chain {
        &self.chain
    }

    fn tree(&self) -> &BlockTree {
        &self.tree
    }

    fn tree_mut(&mut self) -> &mut BlockTree {
        &mut self.tree
    }

    fn links(&self) -> &Links {
        &self.links
    }

    fn links_mut(&mut self) -> &mut Links {
        &mut self.links
    }

    fn is_watched_mut(&mut self) -> &mut bool {
        &mut self.is_watched
    }

    fn is_halted(&self) -> bool {
        self.violation.is_some()
    }

    fn believed_header(&self) -> &Node {
        self.tree.best_header()
    }

    /// Nothing more: what else there is to a header, on a chain of stakes, the coins say.
    fn vet(&mut self, _: &SharedHeader, _: &mut Out<Self>) -> Result<(), Fault> {
        Ok(())
    }

    fn on_inserted(&mut self, place: Place, out: &mut Out<Self>) {
        if let Some(violation) = rivalry(&self.chain, &self.tree, place) {
            self.violation = Some(violation.into());
            self.tell_violation(out);
        }
    }
}

impl Light {
    pub(super) fn on_tip(&mut self, now: Time, from: PeerId, claim: Claim, out: &mut Out<Self>) {
        let known = self.tree.find(&claim.tip);
        let Some(link) = self.links.get_mut(from) else { return };
        link.claims(claim, known);
        if known.is_none() {
            self.ask_if_more(now, from, out);
        }
    }

    /// Takes the header of a gossiped block. Its body is looked at once, since who sends a header with a body that is not its
    /// own spoils a good header's name; and then it is dropped.
    pub(super) fn on_gossiped_block(&mut self, now: Time, from: PeerId, block: &Block, out: &mut Out<Self>) -> Verdict {
        match self.take_gossiped(now, from, block, out) {
            Ok(()) => Verdict::Ignore,
            Err(fault) => {
                let reason = fault.reason();
                out.reject(from, reason);
                if reason.is_fault() { Verdict::Reject } else { Verdict::Ignore }
            }
        }
    }

    fn take_gossiped(&mut self, now: Time, from: PeerId, block: &Block, out: &mut Out<Self>) -> Result<(), Fault> {
        if is_stale(block.height(), self.tree.best_header().height()) || self.is_halted() {
            return Ok(());
        }
        let header = block.shared_header();
        if header.chain != self.chain.rules().chain {
            return Err(Fault::Header(HeaderError::ForeignChain));
        }
        if self.tree.contains(&header.id()) {
            return Ok(());
        }
        check_form(block, self.chain.rules()).map_err(Fault::Block)?;
        if !self.tree.contains(&header.parent) {
            // Who forwards a block has what is below it.
            self.ask_headers(now, from, out);
            return Ok(());
        }
        self.take_header(now, header, out).map(|_| ())
    }

    /// Takes back what was not answered in time and asks again.
    pub(super) fn on_sync(&mut self, now: Time, out: &mut Out<Self>) {
        self.is_watched = false;
        self.give_up_headers(now);
        self.ask_all_if_more(now, out);
        if self.awaits_headers() {
            self.watch(now, out);
        }
    }

    /// Tells the owner of the best header, if it is another one.
    pub(super) fn tell_tip(&mut self, out: &mut Out<Self>) {
        let (before, best) = (self.tree.at(self.told), self.tree.best_header());
        let (tip, height) = (best.id(), best.height());
        if before.id() == tip {
            return;
        }
        let depth = before.height().0 - self.tree.common_ancestor(&before.id(), &tip).height().0;
        self.told = self.tree.find(&tip).expect("the best header is in the tree");
        out.emit(Event::Tip { tip, height, depth });
    }

    pub(super) fn tell_violation(&self, out: &mut Out<Self>) {
        if let Some(violation) = &self.violation {
            out.emit(Event::Violation(violation.clone()));
        }
    }
}
