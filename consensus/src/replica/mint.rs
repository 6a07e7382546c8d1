//! Blocks by stake. A wallet has one try for each second, and a parent's seconds can be tried ahead, so that a replica sleeps
//! until a second that wins.
//!
//! What was signed last is on disk before the block is sent, and nothing at or below it is signed again ([`Signed`]).

use synod_ledger::{BlockId, Height, SecretKey};
use synod_machine::{Out, Time};

use super::follow::Fault;
use super::{Replica, Timer};
use crate::pos::Signed;
use crate::{HeaderError, Record};

/// Seconds are tried so far ahead, an hour's worth in a millisecond; the next ones when these are over.
const AHEAD: u64 = 3_600;

/// The state of minting.
#[derive(Debug)]
pub(super) struct Minting {
    signer: Option<SecretKey>,
    signed: Signed,
    /// What wins on this parent, when its second has come.
    next: Option<(BlockId, u64)>,
}

impl Minting {
    pub(super) const fn new(signer: Option<SecretKey>, signed: Signed) -> Self {
        Self { signer, signed, next: None }
    }
}

impl Replica {
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
        assert!(self.minting.signed.allows(height, second), "a wallet signs one header for a height and a second");
        draft.header = pos.seal(draft.header, signer);
        self.minting.signed = Signed { height, second };
        out.persist(Record::signed_key(), Record::Signed { height, second });
        let block = draft.into_block();
        match self.take_block(now, block.clone(), None, out) {
            Ok(_) => self.publish_block(block, out),
            // Our clock was set back behind the chain's.
            Err(Fault::Header(HeaderError::Future { .. })) => {}
            Err(fault) => panic!("our own blocks are valid: {fault:?}"),
        }
    }
}
