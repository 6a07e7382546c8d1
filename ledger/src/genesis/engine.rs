//! The engines that a genesis can name, their parameters, and what makes those possible.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::{GenesisError, check_name};
use crate::{CompactTarget, PublicKey, StakeRules, VOTES_MAX};

/// The longest window of [`Retarget::Lwma`], in blocks: Bitcoin's period of two weeks.
pub const WINDOW_MAX: u32 = 2_016;

/// The fewest validators: one of them may be faulty (Castro and Liskov 1999: 3f + 1).
pub const VALIDATORS_MIN: usize = 4;

/// The most validators: all of them vote on every block.
pub const VALIDATORS_MAX: usize = VOTES_MAX;

/// The deepest record of stakes that a peer keeps in memory, in blocks.
pub const STAKE_DEPTH_MAX: u32 = 1_024;

/// The shortest block time of stakes: with one try a second, blocks of one second would have everybody win always.
pub const STAKE_BLOCK_TIME_MIN_MS: u64 = 2_000;

/// A consensus engine and its parameters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "lowercase")]
pub enum Engine {
    /// Agreement of known validators.
    Pbft(PbftParams),
    /// Proof of stake.
    Pos(PosParams),
    /// Proof of work.
    Pow(PowParams),
}

impl Engine {
    /// What people call it, as a genesis names it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Pbft(_) => "pbft",
            Self::Pos(_) => "pos",
            Self::Pow(_) => "pow",
        }
    }

    /// The parameters of proof of work, if it is that.
    pub const fn pow(&self) -> Option<&PowParams> {
        match self {
            Self::Pow(pow) => Some(pow),
            Self::Pbft(_) | Self::Pos(_) => None,
        }
    }

    /// The same, to be changed.
    pub const fn pow_mut(&mut self) -> Option<&mut PowParams> {
        match self {
            Self::Pow(pow) => Some(pow),
            Self::Pbft(_) | Self::Pos(_) => None,
        }
    }

    /// What the ledger needs to know of stakes, if they make the blocks.
    pub const fn stake_rules(&self) -> Option<StakeRules> {
        match self {
            Self::Pbft(_) | Self::Pow(_) => None,
            Self::Pos(pos) => Some(StakeRules {
                depth: pos.stake_depth,
                unbonding: pos.unbonding,
                slasher: pos.slasher,
                finder_share: pos.finder_share,
            }),
        }
    }

    /// The time that a block should take; nothing where blocks come as payments do.
    pub const fn block_time_ms(&self) -> Option<u64> {
        match self {
            Self::Pbft(_) => None,
            Self::Pos(pos) => Some(pos.block_time_ms),
            Self::Pow(pow) => Some(pow.block_time_ms),
        }
    }
}

/// The parameters of proof of work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PowParams {
    /// The first block's target.
    pub target: CompactTarget,
    /// How long a block should take, on average.
    pub block_time_ms: u64,
    /// How the target follows the hash power.
    pub retarget: Retarget,
    /// Whether seals may be declared instead of ground, as only a simulation may.
    #[serde(default)]
    pub declared: bool,
}

/// The parameters of proof of stake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PosParams {
    /// The first block's difficulty: a stake of this size wins every second. All stakes together times the seconds that
    /// a block should take is the one that fits.
    pub difficulty: u64,
    /// How long a block should take, on average.
    pub block_time_ms: u64,
    /// How the difficulty follows the stakes that are online.
    pub retarget: Retarget,
    /// How far below a block's parent the stakes are read that may win it.
    #[serde(default = "stake_depth")]
    pub stake_depth: u32,
    /// How many blocks after its own an unlocked stake can be spent, and may still be lost.
    #[serde(default = "unbonding")]
    pub unbonding: u64,
    /// How far ahead of the receiver's clock a block may be.
    #[serde(default = "future_max_ms")]
    pub future_max_ms: u64,
    /// Whether two signatures at one height or second cost the stake.
    #[serde(default = "slasher")]
    pub slasher: bool,
    /// How much of a lost stake goes to the maker of the block that proves the offence, in parts of 256.
    #[serde(default = "finder_share")]
    pub finder_share: u8,
}

/// The parameters of agreement by known validators.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PbftParams {
    /// Who votes, in the order by which they are numbered.
    pub validators: Vec<Validator>,
    /// How long a request may wait before the primary is replaced. It doubles from view to view until one
    /// brings enough.
    #[serde(default = "view_timeout_ms")]
    pub view_timeout_ms: u64,
    /// How long the primary waits for more payments before it proposes few.
    #[serde(default = "batch_delay_ms")]
    pub batch_delay_ms: u64,
    /// How many payments are proposed without waiting for more.
    #[serde(default = "batch_max")]
    pub batch_max: u32,
    /// After how many blocks validators compare their states and forget older votes.
    #[serde(default = "checkpoint_interval")]
    pub checkpoint_interval: u64,
    /// How far above the last checkpoint blocks may be voted on.
    #[serde(default = "watermark_window")]
    pub watermark_window: u64,
}

/// One that votes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Validator {
    /// What people call it.
    pub name: String,
    /// What it signs with.
    pub key: PublicKey,
}

/// How a target or a difficulty follows the power behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "rule", rename_all = "lowercase", deny_unknown_fields)]
pub enum Retarget {
    /// By the linearly weighted mean of the last blocks' intervals.
    Lwma {
        /// How many blocks, at most [`WINDOW_MAX`].
        window: u32,
    },
    /// Not at all.
    Off,
}

/// An engine as it is hashed: without the tags that its written form needs.
#[derive(Serialize)]
pub(super) enum Canonical<'a> {
    Pow {
        target: CompactTarget,
        block_time_ms: u64,
        retarget: CanonicalRetarget,
        declared: bool,
    },
    Pos {
        difficulty: u64,
        block_time_ms: u64,
        retarget: CanonicalRetarget,
        stake_depth: u32,
        unbonding: u64,
        future_max_ms: u64,
        slasher: bool,
        finder_share: u8,
    },
    Pbft(&'a PbftParams),
}

#[derive(Serialize)]
pub(super) enum CanonicalRetarget {
    Lwma { window: u32 },
    Off,
}

impl Engine {
    pub(super) const fn canonical(&self) -> Canonical<'_> {
        match self {
            Self::Pbft(pbft) => Canonical::Pbft(pbft),
            Self::Pos(pos) => Canonical::Pos {
                difficulty: pos.difficulty,
                block_time_ms: pos.block_time_ms,
                retarget: pos.retarget.canonical(),
                stake_depth: pos.stake_depth,
                unbonding: pos.unbonding,
                future_max_ms: pos.future_max_ms,
                slasher: pos.slasher,
                finder_share: pos.finder_share,
            },
            Self::Pow(pow) => Canonical::Pow {
                target: pow.target,
                block_time_ms: pow.block_time_ms,
                retarget: pow.retarget.canonical(),
                declared: pow.declared,
            },
        }
    }

    /// Whether a chain can run on these parameters.
    pub(super) fn check(&self) -> Result<(), GenesisError> {
        match self {
            Self::Pbft(pbft) => pbft.check(),
            Self::Pos(pos) => pos.check(),
            Self::Pow(pow) => pow.check(),
        }
    }
}

impl PowParams {
    fn check(&self) -> Result<(), GenesisError> {
        if !self.target.is_canonical() {
            return Err(GenesisError::Target { got: self.target });
        }
        check_block_time(self.block_time_ms)?;
        self.retarget.check()
    }
}

impl PosParams {
    fn check(&self) -> Result<(), GenesisError> {
        if self.difficulty == 0 {
            return Err(GenesisError::Difficulty);
        }
        check_block_time(self.block_time_ms)?;
        if self.block_time_ms < STAKE_BLOCK_TIME_MIN_MS {
            return Err(GenesisError::BlockTimeShort { expected: STAKE_BLOCK_TIME_MIN_MS, got: self.block_time_ms });
        }
        if self.stake_depth == 0 || self.stake_depth > STAKE_DEPTH_MAX {
            return Err(GenesisError::StakeDepth { expected: STAKE_DEPTH_MAX, got: self.stake_depth });
        }
        if self.unbonding <= u64::from(self.stake_depth) {
            return Err(GenesisError::Unbonding { expected: u64::from(self.stake_depth), got: self.unbonding });
        }
        self.retarget.check()
    }
}

/// How many of so many validators may be faulty: f = ⌊(n − 1) / 3⌋ (Castro and Liskov 1999, section 3).
pub const fn faulty_max(validators: usize) -> usize {
    (validators - 1) / 3
}

/// How many votes of so many validators decide: q = ⌊(n + f) / 2⌋ + 1. Two quorums share 2q − n > f validators, so an honest
/// one at least, and n − f ≥ q, so that the honest ones suffice. It is 2f + 1 exactly where n = 3f + 1; for n = 8, two
/// quorums of 2f + 1 = 5 could share two faulty ones and nobody else.
pub const fn quorum(validators: usize) -> usize {
    (validators + faulty_max(validators)) / 2 + 1
}

impl PbftParams {
    /// The validators' keys, in order.
    pub fn keys(&self) -> Vec<PublicKey> {
        self.validators.iter().map(|validator| validator.key).collect()
    }

    /// How many votes decide.
    pub const fn quorum(&self) -> usize {
        quorum(self.validators.len())
    }

    fn check(&self) -> Result<(), GenesisError> {
        let got = self.validators.len();
        if !(VALIDATORS_MIN..=VALIDATORS_MAX).contains(&got) {
            return Err(GenesisError::ValidatorCount { least: VALIDATORS_MIN, most: VALIDATORS_MAX, got });
        }
        let (mut names, mut keys) = (BTreeSet::new(), BTreeSet::new());
        for validator in &self.validators {
            check_name(&validator.name)?;
            if !names.insert(&validator.name) || !keys.insert(validator.key) {
                return Err(GenesisError::ValidatorTwice { got: validator.name.clone() });
            }
        }
        if self.view_timeout_ms == 0 {
            return Err(GenesisError::ViewTimeout);
        }
        if self.batch_max == 0 {
            return Err(GenesisError::BatchMax);
        }
        if self.checkpoint_interval == 0 || self.watermark_window < self.checkpoint_interval {
            return Err(GenesisError::Watermarks {
                expected: self.checkpoint_interval.max(1),
                got: self.watermark_window.min(self.checkpoint_interval),
            });
        }
        Ok(())
    }
}

impl Retarget {
    const fn canonical(self) -> CanonicalRetarget {
        match self {
            Self::Lwma { window } => CanonicalRetarget::Lwma { window },
            Self::Off => CanonicalRetarget::Off,
        }
    }

    const fn check(self) -> Result<(), GenesisError> {
        match self {
            Self::Lwma { window } if window == 0 || window > WINDOW_MAX => {
                Err(GenesisError::Window { expected: WINDOW_MAX, got: window })
            }
            Self::Lwma { .. } | Self::Off => Ok(()),
        }
    }
}

const fn check_block_time(block_time_ms: u64) -> Result<(), GenesisError> {
    if block_time_ms == 0 { Err(GenesisError::BlockTime) } else { Ok(()) }
}

/// Below so many confirmations a wallet of 30 % of the power rewrites history less often than once in a thousand
/// (Rosenfeld 2014): nobody chooses where the stakes are read.
const fn stake_depth() -> u32 {
    32
}

/// Ethereum's 256 epochs (`MIN_VALIDATOR_WITHDRAWABILITY_DELAY`), in blocks: eight times the depth, so that there is
/// time to find out.
const fn unbonding() -> u64 {
    256
}

/// Ethereum's `MAXIMUM_GOSSIP_CLOCK_DISPARITY`. More would let a wallet try seconds that have not come yet.
const fn future_max_ms() -> u64 {
    500
}

const fn slasher() -> bool {
    true
}

/// A twenty-fifth, rounded down: the bounty of Casper FFG's contract (EIP-1011).
const fn finder_share() -> u8 {
    10
}

/// The time-out of requests in BFT-SMaRt's sample configuration (`system.totalordermulticast.timeout`).
const fn view_timeout_ms() -> u64 {
    2_000
}

/// Long enough for a loaded peer to gather some payments, and small beside the time of three rounds of messages over any
/// network but a local one.
const fn batch_delay_ms() -> u64 {
    10
}

/// BFT-SMaRt's `maxbatchsize` is 1,024; a thousand payments of one input and two outputs are a quarter of a megabyte.
const fn batch_max() -> u32 {
    1_000
}

/// Castro and Liskov 1999, section 4.3: "e.g. 100".
const fn checkpoint_interval() -> u64 {
    100
}

/// Castro and Liskov 1999, section 4.3: twice the checkpoint interval, so that nobody waits for a checkpoint.
const fn watermark_window() -> u64 {
    200
}
