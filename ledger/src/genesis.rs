//! The genesis: what everybody on a chain must agree on, as a person writes it, and the block it stands for.

mod engine;

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use synod_machine::{Bytes, Time};

pub use self::engine::{
    Engine, PbftParams, PosParams, PowParams, Retarget, STAKE_BLOCK_TIME_MIN_MS, STAKE_DEPTH_MAX, VALIDATORS_MAX,
    VALIDATORS_MIN, Validator, WINDOW_MAX, faulty_max, quorum,
};
use crate::certificate::CERTIFICATE_BYTES_MAX;
use crate::check::BLOCK_OVERHEAD;
use crate::{
    Address, Amount, BLOCK_BYTES_MAX, Block, BlockId, ChainId, Coinbase, CompactTarget, Header, Height, LedgerParams,
    Output, Rules, Seal, digest,
};

/// A chain's constitution. A chain's id is a digest of all of it, names included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Genesis {
    /// What people call the chain.
    pub name: String,
    /// Where every block's time counts from: milliseconds since 1970.
    pub time_unix_ms: u64,
    /// How the chain agrees on blocks.
    pub engine: Engine,
    /// What the ledger allows.
    pub ledger: LedgerParams,
    /// Who owns what at the beginning.
    pub balances: Vec<Balance>,
}

/// What somebody owns at the beginning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Balance {
    /// What people call the owner.
    pub name: String,
    /// The owner.
    pub address: Address,
    /// How much.
    pub amount: Amount,
    /// Into how many coins of nearly the same size the amount is split; who spends often wants many.
    #[serde(default = "one")]
    pub coins: u32,
    /// How much of the amount is staked, in one coin, on a chain whose blocks are made by stake. The rest is split.
    #[serde(default)]
    pub stake: Amount,
}

/// What is wrong with a genesis.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GenesisError {
    /// Batches of nothing.
    #[error("batches of no payments")]
    BatchMax,
    /// A block size that no block or no peer can keep.
    #[error("blocks of at most {got} bytes; {least} to {most} are possible")]
    BlockBytes {
        /// The smallest that works.
        least: usize,
        /// The largest that works.
        most: usize,
        /// The genesis's.
        got: usize,
    },
    /// A time of zero between blocks.
    #[error("a block time of zero")]
    BlockTime,
    /// A time between blocks in which one try a second is no draw.
    #[error("a block time of {got} ms, at least {expected} needed")]
    BlockTimeShort {
        /// The least.
        expected: u64,
        /// The genesis's.
        got: u64,
    },
    /// More coins than a genesis can give out.
    #[error("{got} coins in all, at most {expected} allowed")]
    CoinCount {
        /// The most.
        expected: u64,
        /// The genesis's.
        got: u64,
    },
    /// A balance split into no coins, or into coins of nothing.
    #[error("the balance of \"{name}\" cannot be split into {got} coins")]
    CoinSplit {
        /// The balance's name.
        name: String,
        /// The coins asked for.
        got: u32,
    },
    /// A certificate of all validators that does not fit beside the longest block.
    #[error("blocks of at most {got} bytes and their votes; {expected} together are possible")]
    CertificateBytes {
        /// The most that works.
        expected: usize,
        /// The genesis's.
        got: usize,
    },
    /// A difficulty of zero.
    #[error("a difficulty of zero")]
    Difficulty,
    /// A halving interval of zero.
    #[error("a halving interval of zero; set the subsidy to zero for a chain that issues nothing")]
    HalvingInterval,
    /// More money than there can be.
    #[error("balances of {balances} and subsidies of {subsidies} in all; {expected} together is the most there can be")]
    Money {
        /// The most there can be.
        expected: Amount,
        /// The sum of the balances, saturated.
        balances: Amount,
        /// The sum of all subsidies there will ever be, saturated.
        subsidies: Amount,
    },
    /// A name that is empty or too long.
    #[error("the name \"{got}\" does not have 1 to {expected} bytes")]
    Name {
        /// The longest, in bytes.
        expected: usize,
        /// The name.
        got: String,
    },
    /// Two balances of one name.
    #[error("two balances are named \"{got}\"")]
    NameTwice {
        /// The name.
        got: String,
    },
    /// A stake that is more than the balance, or one on a chain whose blocks are not made by stake.
    #[error("the balance of \"{name}\" cannot have a stake of {got}, at most {expected}")]
    Stake {
        /// The balance's name.
        name: String,
        /// The most it can have.
        expected: Amount,
        /// The genesis's.
        got: Amount,
    },
    /// Stakes that are read nowhere below the parent, or deeper than a peer should keep.
    #[error("stakes read {got} blocks below the parent; 1 to {expected} are possible")]
    StakeDepth {
        /// The most.
        expected: u32,
        /// The genesis's.
        got: u32,
    },
    /// A target that is none, or is not written the one way it should.
    #[error("{got} is not the short form of a target")]
    Target {
        /// The genesis's.
        got: CompactTarget,
    },
    /// A chain whose blocks are made by stake, and nobody has one.
    #[error("nobody has a stake to make the first block with")]
    StakeNone,
    /// Stakes that can be spent while they may still win blocks.
    #[error("stakes are unlocked after {got} blocks; they win blocks for {expected}, and must be locked longer")]
    Unbonding {
        /// The depth at which stakes are read.
        expected: u64,
        /// The genesis's.
        got: u64,
    },
    /// Too few validators for one of them to be faulty, or too many.
    #[error("{got} validators; {least} to {most} are possible")]
    ValidatorCount {
        /// The fewest.
        least: usize,
        /// The most.
        most: usize,
        /// The genesis's.
        got: usize,
    },
    /// A validator whose name or key another one has.
    #[error("the name or key of validator \"{got}\" is there twice")]
    ValidatorTwice {
        /// The second one's name.
        got: String,
    },
    /// A view's time-out of zero.
    #[error("a view's time-out of zero")]
    ViewTimeout,
    /// No checkpoints, or a window in which none is taken.
    #[error("watermarks {got} blocks apart, at least a checkpoint interval of {expected} needed")]
    Watermarks {
        /// The checkpoint interval.
        expected: u64,
        /// The genesis's.
        got: u64,
    },
    /// A retarget window of no blocks, or of more than any peer should average over.
    #[error("a retarget window of {got} blocks; 1 to {expected} are possible")]
    Window {
        /// The most.
        expected: u32,
        /// The genesis's.
        got: u32,
    },
}

impl Genesis {
    /// Whether a chain can start like this.
    pub fn check(&self) -> Result<(), GenesisError> {
        check_name(&self.name)?;
        self.engine.check()?;
        self.check_ledger()?;
        self.check_balances()?;
        let balances = self.balances.iter().fold(0_u64, |sum, balance| sum.saturating_add(balance.amount.0));
        let subsidies = self.rules().issued(Height(u64::MAX));
        if Amount(balances).checked_add(subsidies).is_none() {
            return Err(GenesisError::Money { expected: Amount::MAX, balances: Amount(balances), subsidies });
        }
        Ok(())
    }

    /// The digest of all of it. It does not depend on how the genesis was written down.
    pub fn digest(&self) -> Bytes<32> {
        let engine = self.engine.canonical();
        let balances = &self.balances;
        digest(
            "genesis",
            &Canonical { name: &self.name, time_unix_ms: self.time_unix_ms, engine, ledger: &self.ledger, balances },
        )
    }

    /// The chain's id: the first bytes of the digest.
    pub fn chain_id(&self) -> ChainId {
        let hash = self.digest();
        let mut short = Bytes::ZERO;
        short.0.copy_from_slice(&hash.0[..8]);
        ChainId(short)
    }

    /// What connecting this chain's blocks needs to know.
    pub fn rules(&self) -> Rules {
        Rules { chain: self.chain_id(), params: self.ledger, stake: self.engine.stake_rules() }
    }

    /// The first block. Its coinbase holds the balances, in order.
    pub fn block(&self) -> Block {
        let chain = self.chain_id();
        let outputs = self.balances.iter().flat_map(Balance::outputs).collect();
        let coinbase = Coinbase { chain, height: Height::GENESIS, extra: 0, outputs };
        let root = Block::root_of(&coinbase, &[]);
        let (parent, height, time) = (BlockId(Bytes::ZERO), Height::GENESIS, Time::ZERO);
        Block::new(Header { chain, parent, height, time, root, seal: Seal::Genesis }, coinbase, Vec::new())
    }

    fn check_ledger(&self) -> Result<(), GenesisError> {
        if self.ledger.halving_interval == 0 {
            return Err(GenesisError::HalvingInterval);
        }
        let got = self.ledger.block_bytes_max as usize;
        if !(BLOCK_BYTES_LEAST..=BLOCK_BYTES_MAX).contains(&got) {
            return Err(GenesisError::BlockBytes { least: BLOCK_BYTES_LEAST, most: BLOCK_BYTES_MAX, got });
        }
        let votes = if let Engine::Pbft(_) = self.engine { CERTIFICATE_BYTES_MAX } else { 0 };
        if got + votes > BLOCK_BYTES_MAX {
            return Err(GenesisError::CertificateBytes { expected: BLOCK_BYTES_MAX, got: got + votes });
        }
        Ok(())
    }

    fn check_balances(&self) -> Result<(), GenesisError> {
        let by_stake = self.engine.stake_rules().is_some();
        if by_stake && self.balances.iter().all(|balance| balance.stake == Amount::ZERO) {
            return Err(GenesisError::StakeNone);
        }
        let mut names = BTreeSet::new();
        for balance in &self.balances {
            let expected = if by_stake { balance.amount } else { Amount::ZERO };
            if balance.stake > expected {
                return Err(GenesisError::Stake { name: balance.name.clone(), expected, got: balance.stake });
            }
            check_name(&balance.name)?;
            if !names.insert(&balance.name) {
                return Err(GenesisError::NameTwice { got: balance.name.clone() });
            }
            let is_all_staked = balance.stake == balance.amount && balance.stake > Amount::ZERO;
            if balance.coins == 0 || (!is_all_staked && balance.split().0 < u64::from(balance.coins)) {
                return Err(GenesisError::CoinSplit { name: balance.name.clone(), got: balance.coins });
            }
        }
        let got = self.balances.iter().map(|balance| u64::from(balance.coins)).sum();
        if got > GENESIS_COINS_MAX {
            return Err(GenesisError::CoinCount { expected: GENESIS_COINS_MAX, got });
        }
        Ok(())
    }
}

impl Balance {
    /// The coins: the stake, and of the rest equal ones, the first ones a unit larger where it does not divide.
    fn outputs(&self) -> impl Iterator<Item = Output> + '_ {
        let rest = self.split();
        let coins = if rest == Amount::ZERO { 0 } else { u64::from(self.coins) };
        let (each, larger) = (rest.0 / coins.max(1), rest.0 % coins.max(1));
        let plain = (0..coins).map(move |coin| Amount(each + u64::from(coin < larger)));
        let stake = Some(self.stake).filter(|stake| *stake > Amount::ZERO);
        let stake = stake.into_iter().map(|stake| Output::stake(stake, self.address));
        stake.chain(plain.map(|amount| Output::plain(amount, self.address)))
    }

    /// What is split into plain coins.
    fn split(&self) -> Amount {
        self.amount.checked_sub(self.stake).unwrap_or(Amount::ZERO)
    }
}

/// The genesis as it is hashed: without the tags that its written form needs.
#[derive(Serialize)]
struct Canonical<'a> {
    name: &'a str,
    time_unix_ms: u64,
    engine: engine::Canonical<'a>,
    ledger: &'a LedgerParams,
    balances: &'a [Balance],
}

fn check_name(name: &str) -> Result<(), GenesisError> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return Err(GenesisError::Name { expected: NAME_BYTES_MAX, got: String::from(name) });
    }
    Ok(())
}

const fn one() -> u32 {
    1
}

/// The longest name, in bytes: it fits into a column of a table.
const NAME_BYTES_MAX: usize = 64;

/// The most coins of a genesis: four million, some gigabyte of state.
const GENESIS_COINS_MAX: u64 = 1 << 22;

/// The smallest block size: room for a payment beside everything else.
const BLOCK_BYTES_LEAST: usize = 2 * BLOCK_OVERHEAD;

#[cfg(test)]
mod tests;
