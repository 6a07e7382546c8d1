//! Blocks by stake. A wallet has one try for each second, and a parent's seconds can be tried ahead, so that a replica sleeps
//! until a second that wins.
//!
//! What was signed last is on disk before it is sent, and nothing at or below it is signed again ([`Signed`]). What is
//! written is the block itself. Were it only its height, a crash between this record and the block's own would lose the
//! block and forbid another one of that height, and a chain on which this wallet mints alone would stand still for ever.
//! So a replica that finds on its disk a signed block which it does not have sends that one.

use synod_ledger::{Block, BlockId, BlockTree, Header, Height, Seal, SecretKey, Status};
use synod_machine::{Out, Time};

use super::follow::Taken;
use super::{Replica, Timer};
use crate::headers::Fault;
use crate::pos::Signed;
use crate::{HeaderError, Record};

/// Seconds are tried so far ahead, an hour's worth in a millisecond; the next ones when these are over.
const AHEAD: u64 = 3_600;

/// The state of minting.
#[derive(Debug)]
pub(super) struct Minting {
    signer: Option<SecretKey>,
    signed: Signed,
    /// What was signed and may never have been sent.
    unsent: Option<Block>,
    /// What wins on this parent, when its second has come.
    next: Option<(BlockId, u64)>,
}

impl Minting {
    /// From the block that was signed last, and from what others remember: a wallet that lost its disk signs nothing that
    /// contradicts a header of its own which it has been given.
    pub(super) fn restore(signer: Option<SecretKey>, last: Option<Block>, tree: &BlockTree) -> Self {
        let mut minting = Self { signer, signed: Signed::default(), unsent: None, next: None };
        if minting.signer.is_some() {
            tree.iter().for_each(|node| minting.heed(node.header()));
            last.iter().for_each(|block| minting.heed(block.header()));
            minting.unsent = last;
        }
        minting
    }

    /// Notes a header that this wallet signed.
    pub(super) fn heed(&mut self, header: &Header) {
        let (Seal::Stake { key, .. }, Some(signer)) = (&header.seal, &self.signer) else { return };
        if *key == signer.public() {
            self.signed.height = self.signed.height.max(header.height);
            self.signed.second = self.signed.second.max(header.time.as_secs());
        }
    }
}

impl Replica {
    /// The key that signs what its engine has it sign.
    pub const fn signer(&self) -> Option<&SecretKey> {
        self.minting.signer.as_ref()
    }

    /// Looks for the next second in which this peer's stake wins a block on the present tip.
    pub(super) fn mint(&mut self, now: Time, out: &mut Out<Self>) {
        let (Some(pos), Some(signer)) = (self.chain.pos(), &self.minting.signer) else { return };
        let (parent, address) = (self.tree.at(self.place), signer.address());
        let (height, signed) = (parent.height().next(), self.minting.signed);
        let stake = self.state.recorded_stake(&address);
        if stake.0 == 0 || height <= signed.height {
            return; // No stake counts here, or it would be the second header of that height. The next tip may be better.
        }
        let difficulty = pos.difficulty_after(&self.tree, &parent.id());
        let first = parent.header().time.as_secs().max(now.as_secs()).max(signed.second) + 1;
        let won = pos.first_win(&parent.id(), &address, stake, difficulty, first, first + AHEAD);
        self.minting.next = won.map(|second| (parent.id(), second));
        out.set(Timer::Mint, Time::from_secs(won.unwrap_or(first + AHEAD - 1)));
    }

    pub(super) fn on_mint(&mut self, now: Time, out: &mut Out<Self>) {
        if !self.is_settled() {
            return; // What is read or reorganised now ends in a new search.
        }
        let tip = self.state.tip();
        match self.minting.next.take() {
            Some((parent, second)) if parent == tip && second <= now.as_secs() => self.mint_at(now, second, out),
            Some(_) | None => self.mint(now, out),
        }
    }

    fn mint_at(&mut self, now: Time, second: u64, out: &mut Out<Self>) {
        let (Some(pos), Some(signer)) = (self.chain.pos(), &self.minting.signer) else { return };
        let seal = pos.unsigned(signer, pos.difficulty_after(&self.tree, &self.state.tip()));
        let mut draft = self.draft(Time::from_secs(second), Some(signer.address()), seal);
        let height: Height = draft.header.height;
        // A second block of its own may have come in since the search, from before its disk was lost.
        if !self.minting.signed.allows(height, second) {
            return self.mint(now, out);
        }
        draft.header = pos.seal(draft.header, signer);
        self.minting.signed = Signed { height, second };
        let block = draft.into_block();
        out.persist(Record::signed_key(), Record::Signed(block.clone()));
        match self.take_block(now, block.clone(), None, out) {
            Ok(_) => self.publish_block(block, out),
            // Our clock was set back behind the chain's.
            Err(Fault::Header(HeaderError::Future { .. })) => {}
            Err(fault) => panic!("our own blocks are valid: {fault:?}"),
        }
    }

    /// Sends what was signed before a crash, if it is not among the blocks that are here.
    pub(super) fn send_signed(&mut self, now: Time, out: &mut Out<Self>) {
        let Some(block) = self.minting.unsent.take() else { return };
        if self.tree.get(&block.id()).is_some_and(|node| node.status() != Status::Header) {
            return;
        }
        // Who lost more than the end of its disk may not even have the parent any more, and its clock may be wrong: then
        // the block is lost, and the next tip is better.
        if matches!(self.take_block(now, block.clone(), None, out), Ok(Taken::New)) {
            self.publish_block(block, out);
        }
    }
}
