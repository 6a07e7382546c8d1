//! Offences against a chain of stakes: found in the headers that come in, told to neighbours, and put into blocks.
//!
//! **How evidence travels.** Whoever holds evidence that it did not hold before tells all its neighbours but the one that
//! told it, and whoever becomes a neighbour is told what waits: flooding, by a message of its own and not as a third kind of
//! gossiped item. There is one for each stake that is lost, of half a kilobyte, so that a topic with its mesh would cost
//! more than it carries; and a message goes by both hosts and beside every carrier without their knowing of it.
//!
//! **Restarts.** Nothing of this is on disk. The headers are, and they are searched for offences when a replica starts;
//! evidence of headers that it never had is told again by its neighbours.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use synod_ledger::{
    Amount, Block, BlockError, BlockTree, Evidence, EvidenceError, Header, Place, Seal, Status, kernel, threshold,
};
use synod_machine::{Out, PeerId, Reject};

use super::{Event, Replica};
use crate::headers::{Fault, Follower};
use crate::pos::Pending;
use crate::{Chain, Message};

/// Offences above the coins, or in blocks that were taken back, that wait for the coins to settle; the oldest goes. A fork
/// has few, and what is forgotten here somebody else remembers.
const WAITING_MAX: usize = 64;

/// What is known of offences.
#[derive(Debug, Default)]
pub(super) struct Slashing {
    /// What could be in the next block.
    pending: Pending,
    /// What is looked at again when the coins are where they should be.
    waiting: VecDeque<Evidence>,
    /// Whether a header was refuted since somebody asked.
    has_refuted: bool,
}

impl Slashing {
    /// Finds what the headers on disk prove.
    pub(super) fn restore(chain: &Chain, tree: &BlockTree) -> Self {
        let mut slashing = Self::default();
        if let Some(pos) = chain.pos().filter(|pos| pos.params().slasher) {
            pos.offences(tree).into_iter().for_each(|evidence| slashing.wait(evidence));
        }
        slashing
    }

    /// Evidence of a block that is taken back can be used again.
    pub(super) fn take_back(&mut self, block: &Block) {
        block.evidence().iter().for_each(|evidence| self.wait(evidence.clone()));
    }

    /// Whether a header was refuted since this was asked last.
    pub(super) fn take_refuted(&mut self) -> bool {
        core::mem::take(&mut self.has_refuted)
    }

    fn wait(&mut self, evidence: Evidence) {
        if self.waiting.contains(&evidence) {
            return;
        }
        self.waiting.push_back(evidence);
        if self.waiting.len() > WAITING_MAX {
            self.waiting.pop_front();
        }
        assert!(self.waiting.len() <= WAITING_MAX, "what waits is bounded");
    }
}

impl Replica {
    /// Offences that wait for a block.
    pub fn offences(&self) -> impl Iterator<Item = &Evidence> + '_ {
        self.slashing.pending.iter()
    }

    /// Refuses a header of a wallet that cannot have won it, as far as the coins here say. They know the stakes at the last
    /// blocks of their chain, of which those below a fork count for a branch too; of a branch that is longer than stakes
    /// are looked back on, only its beginning can be judged before its blocks are here.
    ///
    /// So who has no stake cannot begin a branch on a block that is connected here, whatever it claims.
    pub(super) fn check_stake(&self, header: &Header) -> Result<(), Fault> {
        let Seal::Stake { key, difficulty, .. } = header.seal else { return Ok(()) };
        let owner = key.address();
        let shared = self.tree.common_ancestor(&self.state.tip(), &header.parent).height();
        let parent = self.tree.get(&header.parent).expect("the caller looked the parent up").height();
        let Some(got) = self.state.stake_bound(&owner, shared, parent) else { return Ok(()) };
        let draw = kernel(&header.parent, &owner, header.time.as_secs());
        let has_won = threshold(got, difficulty).is_some_and(|threshold| draw <= threshold);
        if has_won { Ok(()) } else { Err(Fault::Block(BlockError::Stake { difficulty, got })) }
    }

    /// Judges the headers that build on the block to which the coins have just come, whose blocks are not here: the coins
    /// say now who may have made them. A false one is given up with all that builds on it.
    pub(super) fn refute_children(&mut self, place: Place, out: &mut Out<Self>) {
        if self.chain.pos().is_none() {
            return;
        }
        let is_false = |child: &Place| {
            let node = self.tree.at(*child);
            node.status() == Status::Header && self.check_stake(node.header()).is_err()
        };
        let refuted: Vec<Place> = self.tree.children_of(place).filter(is_false).collect();
        for child in refuted {
            let id = self.tree.at(child).id();
            for gone in self.tree.invalidate(&id) {
                let place = self.tree.find(&gone).expect("it was just in the tree");
                self.store_header(place, out);
            }
            self.slashing.has_refuted = true;
        }
    }

    /// Looks whether a good header, which is not in the tree yet, contradicts another one of its maker's.
    pub(super) fn accuse(&mut self, header: &Header, out: &mut Out<Self>) {
        self.minting.heed(header);
        let Some(pos) = self.chain.pos().filter(|pos| pos.params().slasher) else { return };
        if let Some(evidence) = pos.offence(&self.tree, header) {
            // Nobody is to blame for what is of no use: whoever sent the header sent no evidence.
            let _ = self.hold(None, evidence, out);
        }
    }

    /// Keeps evidence until it is in a block, and tells those who may not have it. What is only early waits if it was found
    /// here: a stranger's could fill the room with offences that nobody has committed yet.
    fn hold(&mut self, from: Option<PeerId>, evidence: Evidence, out: &mut Out<Self>) -> Result<(), EvidenceError> {
        match self.slashing.pending.insert(&self.state, self.chain.rules(), evidence.clone()) {
            Ok(true) => {
                let evidence = Box::new(evidence);
                let others = self.links.peers().into_iter().filter(|peer| Some(*peer) != from).collect();
                out.emit(Event::Offence(evidence.clone()));
                out.broadcast(others, Message::Evidence(evidence));
                Ok(())
            }
            Ok(false) => Ok(()),
            Err(EvidenceError::Early { .. }) if from.is_none() => {
                self.slashing.wait(evidence);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    pub(super) fn on_evidence(&mut self, from: PeerId, evidence: Evidence, out: &mut Out<Self>) {
        if self.chain.rules().stake.is_none_or(|stake| !stake.slasher) {
            return out.reject(from, Reject::BlockEvidenceOff);
        }
        let Err(error) = self.hold(Some(from), evidence, out) else { return };
        match error {
            EvidenceError::Chain { .. } | EvidenceError::Form | EvidenceError::Off | EvidenceError::Signature => {
                out.reject(from, error.reason());
            }
            // It proves an offence, and is of no use on the branch that we are on: the sender is on another one, or has
            // not heard of the punishment yet.
            EvidenceError::Early { .. }
            | EvidenceError::Expired { .. }
            | EvidenceError::NoStake
            | EvidenceError::Used { .. } => {}
        }
    }

    /// Tells a new neighbour of what waits for a block.
    pub(super) fn tell_evidence(&self, peer: PeerId, out: &mut Out<Self>) {
        for evidence in self.offences() {
            out.send(peer, Message::Evidence(Box::new(evidence.clone())));
        }
    }

    /// The coins have another tip: drops what they have no use for, and takes in what waited for them.
    pub(super) fn settle_evidence(&mut self, out: &mut Out<Self>) {
        if !self.slashing.pending.is_empty() {
            self.slashing.pending.settle(&self.state, self.chain.rules());
        }
        for evidence in core::mem::take(&mut self.slashing.waiting) {
            // What is of no use on this branch was of use on another.
            let _ = self.hold(None, evidence, out);
        }
    }

    /// The evidence for a block on the present tip, and what its maker may claim for it.
    pub(super) fn usable_evidence(&self) -> (Vec<Evidence>, Amount) {
        if self.slashing.pending.is_empty() {
            return (Vec::new(), Amount::ZERO);
        }
        self.state.usable_evidence(self.chain.rules(), self.offences())
    }
}
