//! The chain and who mines it, as a scenario names them.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use synod_consensus::{Chain, ChainError, pow};
use synod_ledger::{Amount, Balance, Engine, Genesis, LedgerParams, PbftParams, PosParams, PowParams, Validator};
use synod_machine::PeerId;
use synod_sim::model::Span;

use super::{ScenarioError, Who};
use crate::payer::{balances, signer};

/// An amount of money in coins, with up to eight decimals: `"12.5"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Coins(pub Amount);

/// The chain, whose seals are declared and not ground. Eight people own coins from the beginning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ChainConfig {
    /// How peers agree on blocks.
    pub engine: EngineConfig,
    /// The time between two blocks, on average, at the hash power that the first target is for; whole milliseconds. Bitcoin's
    /// ten minutes.
    pub block_time: Span,
    /// The longest block, in bytes. Bitcoin's 1 MB.
    pub block_bytes_max: u32,
    /// How the target follows the hash power.
    pub retarget: Retarget,
    /// What a block creates at first. Bitcoin's.
    pub subsidy: Coins,
    /// Blocks after which the subsidy is halved. Here fewer than Bitcoin's 210,000, so that a part of the 21 million coins is
    /// left for the genesis.
    pub halving_interval: u64,
    /// Blocks before a coinbase may be spent. Bitcoin's.
    pub maturity: u64,
    /// The lowest fee of a payment. Bitcoin's default of 1 unit per byte, for a small payment.
    pub fee_min: Coins,
    /// What each of the eight people owns at the beginning. Enough for long runs, little beside the subsidies.
    pub balance: Coins,
    /// Into how many coins each person's balance is split: so many payments of one person can be under way without waiting for a
    /// block. Payments spend unconfirmed change as well.
    pub coins: u32,
}

/// How peers agree on blocks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum EngineConfig {
    /// Practical Byzantine fault tolerance among the first peers. The others follow by certificates.
    Pbft {
        /// How many peers vote, from 4 to 128.
        validators: u32,
        /// How long a payment waits before the primary is replaced; doubled for each view without progress. A few round
        /// trips around the world.
        #[serde(default = "two_seconds")]
        view_timeout: Span,
        /// How long payments wait for others to be proposed with, while a proposal is under way.
        #[serde(default = "two_milliseconds")]
        batch_delay: Span,
        /// How many payments are proposed together, at most.
        #[serde(default = "a_thousand")]
        batch_max: u32,
        /// After how many blocks replicas compare what they have and forget votes. The paper's 128.
        #[serde(default = "checkpoint_interval")]
        checkpoint_interval: u64,
        /// How far above the last checkpoint votes are taken; at least twice the interval.
        #[serde(default = "watermark_window")]
        watermark_window: u64,
    },
    /// Proof of stake. The first peers have stakes; none can be locked or unlocked by the load.
    Pos {
        /// How many peers have a stake.
        minters: u32,
        /// How large each one's stake is.
        #[serde(default = "a_thousand_coins")]
        stake: Coins,
        /// How many of these stakes each of them has, in the order of their numbers. If left out, one each.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        shares: Vec<u32>,
        /// Whether who signs two blocks of one height or second loses its stake.
        #[serde(default)]
        slasher: bool,
        /// How much of a lost stake goes to the maker of the block that proves the offence, in parts of 256. The genesis's
        /// default.
        #[serde(default = "ten_parts")]
        finder_share: u8,
        /// How far below a block's parent stakes are read.
        #[serde(default = "ten_blocks")]
        stake_depth: u32,
        /// After how many blocks an unlocked stake can be spent.
        #[serde(default = "a_hundred_blocks")]
        unbonding: u64,
    },
    /// Proof of work.
    #[default]
    Pow,
}

const fn a_thousand_coins() -> Coins {
    Coins(Amount::from_coins(1_000))
}

const fn ten_parts() -> u8 {
    10
}

const fn ten_blocks() -> u32 {
    10
}

const fn a_hundred_blocks() -> u64 {
    100
}

const fn two_seconds() -> Span {
    Span::from_millis(2_000)
}

const fn two_milliseconds() -> Span {
    Span::from_millis(2)
}

const fn a_thousand() -> u32 {
    1_000
}

const fn checkpoint_interval() -> u64 {
    128
}

const fn watermark_window() -> u64 {
    256
}

/// How a target follows the hash power.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "rule", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Retarget {
    /// By the linearly weighted mean of the last blocks' intervals.
    Lwma {
        /// How many blocks it looks back on; from 1 to 2016. Its author advises 60.
        window: u32,
    },
    /// Not at all: runs of one scenario then differ by chance alone.
    #[default]
    Off,
}

/// Who mines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct MiningConfig {
    /// Which peers have hash power.
    pub miners: Who,
    /// How the hash power is shared among them.
    pub power: Power,
    /// All of it together, over that which makes one block in a block time at the first target. At 0 nobody mines.
    pub hash_rate: f64,
}

/// How the hash power is shared among those that mine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Power {
    /// All have the same.
    Equal {},
    /// As listed.
    Listed {
        /// One number for each miner, in the order of their numbers: shares in any unit.
        shares: Vec<u64>,
    },
    /// The k-th miner has a share proportional to k^-exponent: a few pools have most.
    Zipf {
        /// The exponent, from 0 to 10.
        exponent: f64,
    },
}

impl Default for ChainConfig {
    fn default() -> Self {
        Self {
            engine: EngineConfig::Pow,
            block_time: Span::from_millis(600_000),
            block_bytes_max: 1_000_000,
            retarget: Retarget::Off,
            subsidy: Coins(Amount::from_coins(50)),
            halving_interval: 200_000,
            maturity: 100,
            fee_min: Coins(Amount(1_000)),
            balance: Coins(Amount::from_coins(10_000)),
            coins: 100,
        }
    }
}

impl Default for MiningConfig {
    fn default() -> Self {
        Self { miners: Who::All, power: Power::Equal {}, hash_rate: 1.0 }
    }
}

impl ChainConfig {
    /// The chain of that name. What stakes win follows from the genesis alone, so that each seed has another one; elsewhere
    /// the seed draws who makes a block.
    pub(super) fn chain(&self, name: &str, seed: u64) -> Result<Arc<Chain>, ScenarioError> {
        let block_time_ms = self.block_time.nanos() / NANOS_PER_MILLI;
        if block_time_ms == 0 || block_time_ms * NANOS_PER_MILLI != self.block_time.nanos() {
            let expected = "whole milliseconds, at least one";
            return Err(ScenarioError::field("block-time", expected, self.block_time));
        }
        let target = pow::target_for(NOMINAL_HASH_RATE, Duration::from_millis(block_time_ms));
        let retarget = match self.retarget {
            Retarget::Lwma { window } => synod_ledger::Retarget::Lwma { window },
            Retarget::Off => synod_ledger::Retarget::Off,
        };
        let ledger = LedgerParams {
            subsidy: self.subsidy.0,
            halving_interval: self.halving_interval,
            maturity: self.maturity,
            block_bytes_max: self.block_bytes_max,
            fee_min: self.fee_min.0,
        };
        self.engine.check()?;
        let genesis = Genesis {
            name: name.to_owned(),
            time_unix_ms: if matches!(self.engine, EngineConfig::Pos { .. }) { seed } else { 0 },
            engine: self.engine.engine(PowParams { target, block_time_ms, retarget, declared: true }),
            ledger,
            balances: [balances(self.coins, self.balance.0), self.engine.stakes()].concat(),
        };
        Chain::simulated(genesis).map_err(|error| match error {
            ChainError::Genesis(error) => ScenarioError::Genesis(error),
            ChainError::Declared => unreachable!("a simulated chain may declare its seals"),
        })
    }
}

/// Ten seconds, as for proof of work: clocks of peers that use NTP differ by far less.
const POS_FUTURE_MS: u64 = 10_000;

impl EngineConfig {
    /// What the genesis cannot see.
    fn check(&self) -> Result<(), ScenarioError> {
        match self {
            Self::Pos { minters, shares, .. } if !shares.is_empty() && shares.len() != *minters as usize => {
                let expected = format!("as many as there are minters, which is {minters}");
                Err(ScenarioError::field("engine.shares", expected, shares.len()))
            }
            Self::Pbft { .. } | Self::Pos { .. } | Self::Pow => Ok(()),
        }
    }

    /// The same in the ledger's words.
    fn engine(&self, work: PowParams) -> Engine {
        match *self {
            Self::Pbft { validators, view_timeout, batch_delay, batch_max, checkpoint_interval, watermark_window } => {
                Engine::Pbft(PbftParams {
                    validators: (0..validators)
                        .map(|peer| Validator { name: format!("peer{peer}"), key: signer(PeerId(peer)).public() })
                        .collect(),
                    view_timeout_ms: view_timeout.nanos() / NANOS_PER_MILLI,
                    batch_delay_ms: batch_delay.nanos() / NANOS_PER_MILLI,
                    batch_max,
                    checkpoint_interval,
                    watermark_window,
                })
            }
            Self::Pos { stake_depth, unbonding, slasher, finder_share, .. } => {
                let stakes = self.stakes();
                let all = stakes.iter().fold(0_u64, |sum, balance| sum.saturating_add(balance.stake.0));
                Engine::Pos(PosParams {
                    // All stakes together win once in a block time.
                    difficulty: all.saturating_mul(work.block_time_ms / 1_000),
                    block_time_ms: work.block_time_ms,
                    retarget: work.retarget,
                    stake_depth,
                    unbonding,
                    future_max_ms: POS_FUTURE_MS,
                    slasher,
                    finder_share,
                })
            }
            Self::Pow => Engine::Pow(work),
        }
    }

    /// Whether a peer votes.
    pub(super) const fn is_validator(&self, peer: PeerId) -> bool {
        match *self {
            Self::Pbft { validators, .. } => peer.0 < validators,
            Self::Pos { .. } | Self::Pow => false,
        }
    }

    /// What peers own at the beginning for the engine's sake.
    fn stakes(&self) -> Vec<Balance> {
        let balance = |peer: u32, amount: Amount| Balance {
            name: format!("peer{peer}"),
            address: signer(PeerId(peer)).address(),
            amount,
            stake: amount,
            coins: 1,
        };
        match self {
            Self::Pos { minters, stake, shares, .. } => {
                let share = |peer: u32| u64::from(shares.get(peer as usize).copied().unwrap_or(1));
                (0..*minters).map(|peer| balance(peer, Amount(stake.0.0.saturating_mul(share(peer))))).collect()
            }
            Self::Pbft { .. } | Self::Pow => Vec::new(),
        }
    }
}

impl MiningConfig {
    /// Each peer's share of the hash power.
    pub(super) fn power(&self, peers: u32, seed: u64) -> Result<Vec<u64>, ScenarioError> {
        if !(0.0..=HASH_RATE_MAX).contains(&self.hash_rate) {
            let expected = format!("a number from 0 to {HASH_RATE_MAX}");
            return Err(ScenarioError::field("hash-rate", expected, self.hash_rate));
        }
        let miners = self.miners.draw(peers, seed, "miners")?;
        let shares = match &self.power {
            Power::Equal {} => vec![1; miners.len()],
            Power::Listed { shares } => {
                if shares.len() != miners.len() {
                    let expected = format!("as many as there are miners, which is {}", miners.len());
                    return Err(ScenarioError::field("power.shares", expected, shares.len()));
                }
                if shares.iter().try_fold(0_u64, |sum, share| sum.checked_add(*share)).is_none() {
                    return Err(ScenarioError::field("power.shares", "a sum that fits into 64 bits", "more"));
                }
                shares.clone()
            }
            Power::Zipf { exponent } => {
                if !(0.0..=10.0).contains(exponent) {
                    return Err(ScenarioError::field("power.exponent", "a number from 0 to 10", exponent));
                }
                let share = |rank: usize| (ZIPF_FIRST * (rank as f64).powf(-exponent)).round().max(1.0) as u64;
                (1..=miners.len()).map(share).collect()
            }
        };
        let mut power = vec![0; peers as usize];
        for (miner, share) in miners.iter().zip(shares) {
            power[miner.0 as usize] = share;
        }
        Ok(power)
    }
}

const NANOS_PER_MILLI: u64 = 1_000_000;
/// What the first target is computed from. Nobody hashes: it is only high enough that a target can be met exactly.
pub(crate) const NOMINAL_HASH_RATE: u64 = 1_000_000;
/// A thousand blocks in a block time are beyond any retarget.
const HASH_RATE_MAX: f64 = 1_000.0;
/// The greatest share, as an integer: shares of a hundred-thousandth of it are still told apart.
const ZIPF_FIRST: f64 = 1e12;

impl fmt::Display for Coins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for Coins {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        let wrong = |error| de::Error::custom(format!("expected {COINS}, got `{text}`: {error}"));
        text.parse().map(Self).map_err(wrong)
    }
}

impl Serialize for Coins {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Coins {
    fn schema_name() -> Cow<'static, str> {
        "Coins".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description": COINS, "examples": ["50", "12.5"] })
    }
}

const COINS: &str = "an amount of money in coins, with up to eight decimals, as \"12.5\"";
