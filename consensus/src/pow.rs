//! Proof of work: what a header must show (Nakamoto 2008, sections 4 and 6), and how the target follows the hash rate.
//!
//! A block's id is the SHA-256 of its 80-byte preimage and must not exceed the target that its ancestors dictate. A
//! block weighs the expected number of hashes that its target asks for, 2^256 / (target + 1); the heaviest chain wins.

use alloc::vec::Vec;
use core::time::Duration;

use synod_ledger::{BlockId, BlockTree, CompactTarget, Header, Outlook, PowParams, Retarget, Seal, SharedHeader, U256};
use synod_machine::{Reject, Time};

use crate::retarget::Intervals;
use crate::rule::check_place;

/// A block is later than the median of so many before it (Bitcoin's rule).
pub const MEDIAN_BLOCKS: usize = 11;
/// A header's clock may be ahead of ours by ten blocks' time, and by this at least.
pub const FUTURE_MIN: Duration = Duration::from_secs(10);

/// Why a header is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Not the difficulty that the retarget rule gives.
    #[error("the difficulty is {got}, the rule gives {expected}")]
    Difficulty {
        /// What the rule gives.
        expected: u64,
        /// The header's.
        got: u64,
    },
    /// Made for another chain.
    #[error("the header belongs to another chain")]
    ForeignChain,
    /// The clock is too far ahead of ours. It may be taken later.
    #[error("the header is from the future: {got}, at most {expected} is taken now")]
    Future {
        /// The latest time taken now.
        expected: Time,
        /// The header's.
        got: Time,
    },
    /// Not one above its parent.
    #[error("the height is {got}, its parent's asks for {expected}")]
    Height {
        /// The parent's plus one.
        expected: u64,
        /// The header's.
        got: u64,
    },
    /// Not later than the median of those before it.
    #[error("the time {got} is not after {expected}, the median of the blocks before")]
    Past {
        /// The median.
        expected: Time,
        /// The header's.
        got: Time,
    },
    /// A time between two seconds, where stakes win whole ones.
    #[error("the time {got} is not a whole second")]
    Second {
        /// The header's.
        got: Time,
    },
    /// The seal is of another kind, or what it says is not so: the id is above the target, or a signature is not good.
    #[error("the seal proves nothing")]
    Seal,
    /// Not the target that the retarget rule gives.
    #[error("the target is {got:08x}, the rule gives {expected:08x}")]
    Target {
        /// What the rule gives, in compact form.
        expected: u32,
        /// The header's, in compact form.
        got: u32,
    },
}

impl HeaderError {
    /// As a peer's mistake.
    pub const fn reason(&self) -> Reject {
        match self {
            Self::Difficulty { .. } | Self::Target { .. } => Reject::BlockTarget,
            Self::ForeignChain => Reject::BlockForeignChain,
            Self::Future { .. } => Reject::BlockTimeFuture,
            Self::Height { .. } => Reject::BlockHeight,
            Self::Past { .. } => Reject::BlockTimePast,
            Self::Seal | Self::Second { .. } => Reject::BlockSeal,
        }
    }
}

/// The rule, with a chain's parameters.
#[derive(Clone, Debug)]
pub struct Pow {
    params: PowParams,
}

impl Pow {
    /// The rule of a checked genesis.
    pub const fn new(params: PowParams) -> Self {
        Self { params }
    }

    /// The chain's parameters.
    pub const fn params(&self) -> &PowParams {
        &self.params
    }

    /// The time that a block should take.
    pub const fn block_time(&self) -> Duration {
        Duration::from_millis(self.params.block_time_ms)
    }

    /// Checks a header whose parent is in the tree.
    pub fn check(&self, tree: &BlockTree, header: &SharedHeader, now: Time) -> Result<(), HeaderError> {
        let parent = tree.get(&header.parent).expect("the caller looked the parent up").header();
        check_place(parent, header)?;
        let outlook = self.outlook(tree, &header.parent);
        self.check_seal(header, outlook.target)?;
        if header.time <= outlook.median {
            return Err(HeaderError::Past { expected: outlook.median, got: header.time });
        }
        let latest = now + self.future_max();
        if header.time > latest {
            return Err(HeaderError::Future { expected: latest, got: header.time });
        }
        Ok(())
    }

    fn check_seal(&self, header: &SharedHeader, expected: CompactTarget) -> Result<(), HeaderError> {
        let (target, declared) = match header.seal {
            Seal::Declared { target, .. } => (target, true),
            Seal::Agreed { .. } | Seal::Genesis | Seal::Stake { .. } => return Err(HeaderError::Seal),
            Seal::Work { target, .. } => (target, false),
        };
        if declared != self.params.declared {
            return Err(HeaderError::Seal);
        }
        if target != expected {
            return Err(HeaderError::Target { expected: expected.0, got: target.0 });
        }
        if !declared && U256::from_be_bytes(header.id().0.0) > number(target) {
            return Err(HeaderError::Seal);
        }
        Ok(())
    }

    /// How far ahead of ours a header's clock may be.
    pub fn future_max(&self) -> Duration {
        FUTURE_MIN.max(self.block_time() * 10)
    }

    /// What a block on `parent`, which is in the tree, is held to. It is worked out once for all who share the parent's
    /// header.
    pub fn outlook(&self, tree: &BlockTree, parent: &BlockId) -> Outlook {
        let header = tree.get(parent).expect("the caller looked the parent up").shared_header();
        let target = || match self.params.retarget {
            Retarget::Lwma { window } => self.lwma(tree, parent, window),
            Retarget::Off => self.params.target,
        };
        header.outlook(|| Outlook { median: median_time(tree, parent), target: target() })
    }

    /// The target of a block on `parent`, which is in the tree.
    ///
    /// Linearly weighted moving average: the mean target of the last `window` blocks times their weighted mean interval
    /// over the block time, the newest interval weighing most (zawy12's LWMA-1, as in Zcash forks and Bitcoin Gold).
    /// Blocks before genesis count as found on time at the genesis's target.
    pub fn target_after(&self, tree: &BlockTree, parent: &BlockId) -> CompactTarget {
        self.outlook(tree, parent).target
    }

    fn lwma(&self, tree: &BlockTree, parent: &BlockId, window: u32) -> CompactTarget {
        let window = u64::from(window);
        let first = number(self.params.target);
        let headers = tree.ancestry(parent).take(window as usize + 1);
        let (times, targets): (Vec<Time>, Vec<U256>) =
            headers.map(|header| (header.time, header.seal.target().map_or(first, number))).unzip();
        let divisor = U256::from(window);
        // The targets' sum does not fit, so the parts of their mean are added up.
        let (mut mean, mut rests) = (U256::ZERO, U256::ZERO);
        for age in 0..window as usize {
            // The genesis has no target, as if it were one of those before it.
            let target = targets.get(age).copied().unwrap_or(first);
            mean += target / divisor;
            rests += target % divisor;
        }
        mean += rests / divisor;
        let intervals = Intervals::of(&times, window, self.params.block_time_ms);
        let (weighted, on_time) = (U256::from(intervals.weighted), U256::from(intervals.on_time));
        // The mean times weighted / on_time, divided first so that the product fits, without losing the remainder:
        // blocks on time keep the target to the last bit.
        let next = (mean / on_time).saturating_mul(weighted).saturating_add(mean % on_time * weighted / on_time);
        CompactTarget::from_target(next.clamp(U256::from(1), number(CompactTarget::MAX)))
    }

    /// What a header weighs in the choice between branches. The genesis weighs nothing.
    pub fn weight(header: &Header) -> U256 {
        header.seal.target().map_or(U256::ZERO, work)
    }

    /// The same, worked out once for all who share the header.
    pub fn shared_weight(header: &SharedHeader) -> U256 {
        header.weight(|| Self::weight(header))
    }

    /// The earliest time that a block on `parent` may carry.
    pub fn earliest(tree: &BlockTree, parent: &BlockId) -> Time {
        median_time(tree, parent) + Duration::from_nanos(1)
    }
}

/// The expected number of hashes to meet a target: 2^256 / (target + 1).
pub fn work(target: CompactTarget) -> U256 {
    let target = number(target);
    match target.checked_add(U256::from(1)) {
        // 2^256 does not fit; ~t / (t + 1) + 1 is the same (Bitcoin Core's GetBlockProof).
        Some(above) => (!target / above).saturating_add(U256::from(1)),
        None => U256::from(1),
    }
}

/// The compact target that `hash_rate` hashes per second meet in `block_time` on average.
pub fn target_for(hash_rate: u64, block_time: Duration) -> CompactTarget {
    let hashes = u128::from(hash_rate) * block_time.as_nanos() / 1_000_000_000;
    CompactTarget::from_target((U256::MAX / U256::from(hashes.max(1))).min(number(CompactTarget::MAX)))
}

/// A target that is none lets nothing through.
fn number(target: CompactTarget) -> U256 {
    target.to_target().unwrap_or(U256::ZERO)
}

fn median_time(tree: &BlockTree, tip: &BlockId) -> Time {
    let mut times: Vec<Time> = tree.ancestry(tip).take(MEDIAN_BLOCKS).map(|header| header.time).collect();
    times.sort_unstable();
    times[times.len() / 2]
}
