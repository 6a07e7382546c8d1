//! Proof of stake: who may make the block after a parent, when, and which branch wins.
//!
//! Each wallet has one try per second: it may sign a block for a second on a parent if
//! `sha256(prev_hash ‖ address ‖ timestamp) <= 2^256 · balance / difficulty`, compared exactly
//! ([`threshold`]). Nothing in the hash can be chosen: the address must have had its stake
//! some depth below the parent (`stake_depth`), before anybody knew the parent's hash, and seconds come one by one.
//! What a parent's maker can still choose is the parent's own content, and so its hash: that is grinding of one block for
//! each one that it has won, it costs the reward of none, and this rule does not prevent it (Ouroboros does, with a
//! randomness that nobody chooses).
//!
//! **Fork choice.** The branch with the most accumulated difficulty wins, ties go to the first seen. The difficulty is
//! what the stakes behind a branch were worth when its blocks were made: it follows the block interval, so that a branch
//! that few stakes make gets easier and weighs less for each block, where counting blocks would let a small stake catch up
//! by a lower difficulty. Adding the winners' stakes instead would let a large wallet overwrite a small one's block at will. Ties go to
//! the first seen, since a rule by hashes would pay whoever withholds blocks.
//!
//! **What a header shows.** Headers come before states. Alone, a header shows that its difficulty and time are right
//! and that it is signed; that the key has the stake is found when its block connects
//! ([`BlockError::Stake`](synod_ledger::BlockError)). So a stranger can make
//! headers of any weight for nothing, and is found out, and the whole branch with it, when the first of their bodies is
//! connected: headers alone must never move a replica off its branch.
//!
//! **Honest wallets.** A wallet that forgets may sign twice; what was signed last is on disk before it is sent, and an
//! honest wallet signs only headers of a greater height *and* a later second ([`Signed`]). Evidence takes two signed headers of different
//! content that agree in height or in second, so that none can be made of an honest wallet's, whatever branches it
//! follows, whenever it restarts.

mod offences;

use alloc::vec::Vec;
use core::time::Duration;

use synod_ledger::{
    Address, Amount, BlockId, BlockTree, Header, Height, PosParams, Retarget, Seal, SecretKey, SharedHeader, Signature,
    U256, kernel, threshold,
};
use synod_machine::Time;

pub use self::offences::{BRANCHES_MAX, PENDING_MAX, Pending};
use crate::HeaderError;
use crate::retarget::Intervals;
use crate::rule::check_place;

/// The rule, with a chain's parameters.
#[derive(Clone, Debug)]
pub struct Pos {
    params: PosParams,
}

impl Pos {
    /// The rule of a checked genesis.
    pub const fn new(params: PosParams) -> Self {
        Self { params }
    }

    /// The chain's parameters.
    pub const fn params(&self) -> &PosParams {
        &self.params
    }

    /// The time that a block should take.
    pub const fn block_time(&self) -> Duration {
        Duration::from_millis(self.params.block_time_ms)
    }

    /// How far ahead of ours a header's clock may be.
    pub const fn future_max(&self) -> Duration {
        Duration::from_millis(self.params.future_max_ms)
    }

    /// Checks all of a header that needs no coins. Its parent is in the tree.
    pub fn check(&self, tree: &BlockTree, header: &SharedHeader, now: Time) -> Result<(), HeaderError> {
        let parent = tree.get(&header.parent).expect("the caller looked the parent up").header();
        check_place(parent, header)?;
        let Seal::Stake { difficulty, .. } = header.seal else { return Err(HeaderError::Seal) };
        let expected = self.difficulty_after(tree, &header.parent);
        if difficulty != expected {
            return Err(HeaderError::Difficulty { expected, got: difficulty });
        }
        if header.time != Time::from_secs(header.time.as_secs()) {
            return Err(HeaderError::Second { got: header.time });
        }
        if header.time <= parent.time {
            return Err(HeaderError::Past { expected: parent.time, got: header.time });
        }
        if !header.sealed(|| header.is_signed()) {
            return Err(HeaderError::Seal);
        }
        // What is only early is looked at last: the rest of it will not change.
        let latest = now + self.future_max();
        if header.time > latest {
            return Err(HeaderError::Future { expected: latest, got: header.time });
        }
        Ok(())
    }

    /// What a header weighs in the choice between branches: its difficulty. The genesis weighs nothing.
    pub fn weight(header: &Header) -> U256 {
        match header.seal {
            Seal::Stake { difficulty, .. } => U256::from(difficulty),
            Seal::Agreed { .. } | Seal::Declared { .. } | Seal::Genesis | Seal::Work { .. } => U256::ZERO,
        }
    }

    /// The difficulty of a block on `parent`, which is in the tree: the mean of the last ones, divided by how much too slow
    /// blocks came. It is worked out once for all who share the parent's header.
    pub fn difficulty_after(&self, tree: &BlockTree, parent: &BlockId) -> u64 {
        let header = tree.get(parent).expect("the caller looked the parent up").shared_header();
        header.difficulty(|| match self.params.retarget {
            Retarget::Lwma { window } => self.lwma(tree, parent, window),
            Retarget::Off => self.params.difficulty,
        })
    }

    fn lwma(&self, tree: &BlockTree, parent: &BlockId, window: u32) -> u64 {
        let headers = tree.ancestry(parent).take(window as usize + 1);
        let (times, difficulties): (Vec<Time>, Vec<u64>) =
            headers.map(|header| (header.time, difficulty_of(header).unwrap_or(self.params.difficulty))).unzip();
        let sum: u128 = (0..window as usize)
            .map(|age| u128::from(difficulties.get(age).copied().unwrap_or(self.params.difficulty)))
            .sum();
        let intervals = Intervals::of(&times, u64::from(window), self.params.block_time_ms);
        let (weighted, on_time) = (U256::from(intervals.weighted), U256::from(intervals.on_time));
        let next = U256::from(sum) * on_time / (weighted * U256::from(window));
        u64::try_from(next).unwrap_or(u64::MAX).max(1)
    }

    /// The earliest time that a block on `parent` may carry.
    pub fn earliest(parent: &Header) -> Time {
        Time::from_secs(parent.time.as_secs() + 1)
    }

    /// The first second from `from` on and before `until` in which this wallet wins a block on `parent`. `stake` is
    /// what the state after `parent` says that counts ([`State::recorded_stake`](synod_ledger::State::recorded_stake)).
    pub fn first_win(
        &self,
        parent: &BlockId,
        address: &Address,
        stake: Amount,
        difficulty: u64,
        from: u64,
        until: u64,
    ) -> Option<u64> {
        let threshold = threshold(stake, difficulty)?;
        (from..until).find(|&second| kernel(parent, address, second) <= threshold)
    }

    /// The seal of a block that this wallet makes, not signed yet.
    pub fn unsigned(&self, signer: &SecretKey, difficulty: u64) -> Seal {
        Seal::Stake { key: signer.public(), difficulty, signature: Signature::NONE }
    }

    /// The header with its seal's signature.
    pub fn seal(&self, header: Header, secret: &SecretKey) -> Header {
        header.signed(secret)
    }
}

fn difficulty_of(header: &Header) -> Option<u64> {
    match header.seal {
        Seal::Stake { difficulty, .. } => Some(difficulty),
        Seal::Agreed { .. } | Seal::Declared { .. } | Seal::Genesis | Seal::Work { .. } => None,
    }
}

/// What a wallet signed last. It is on disk before what was signed is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signed {
    /// The greatest height.
    pub height: Height,
    /// The latest second.
    pub second: u64,
}

impl Signed {
    /// Whether one more header of this height and second is none that evidence could be made of: both must be greater
    /// than all before. A wallet that follows a shorter branch after a reorganisation waits until that has caught up.
    pub fn allows(&self, height: Height, second: u64) -> bool {
        height > self.height && second > self.second
    }
}

#[cfg(test)]
mod tests;
