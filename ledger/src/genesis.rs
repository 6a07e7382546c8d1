//! The genesis: what everybody on a chain must agree on, as a person writes it, and the block it stands for.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use synod_machine::{Bytes, Time};

use crate::check::BLOCK_OVERHEAD;
use crate::{
    Address, Amount, BLOCK_BYTES_MAX, Block, BlockId, ChainId, Coinbase, CompactTarget, Header, Height, LedgerParams,
    Output, Rules, Seal, digest,
};

/// The longest window of [`Retarget::Lwma`], in blocks: Bitcoin's period of two weeks.
pub const WINDOW_MAX: u32 = 2_016;

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

/// A consensus engine and its parameters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "lowercase")]
pub enum Engine {
    /// Proof of work.
    Pow(PowParams),
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

/// How a target follows the hash power.
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
}

/// What is wrong with a genesis.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GenesisError {
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
    /// A target that is none, or is not written the one way it should.
    #[error("{got} is not the short form of a target")]
    Target {
        /// The genesis's.
        got: CompactTarget,
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
        self.check_engine()?;
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
        let Engine::Pow(pow) = &self.engine;
        let retarget = match pow.retarget {
            Retarget::Lwma { window } => CanonicalRetarget::Lwma { window },
            Retarget::Off => CanonicalRetarget::Off,
        };
        let engine = CanonicalEngine::Pow {
            target: pow.target,
            block_time_ms: pow.block_time_ms,
            retarget,
            declared: pow.declared,
        };
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
        Rules { chain: self.chain_id(), params: self.ledger }
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

    fn check_engine(&self) -> Result<(), GenesisError> {
        let Engine::Pow(pow) = &self.engine;
        if !pow.target.is_canonical() {
            return Err(GenesisError::Target { got: pow.target });
        }
        if pow.block_time_ms == 0 {
            return Err(GenesisError::BlockTime);
        }
        match pow.retarget {
            Retarget::Lwma { window } if window == 0 || window > WINDOW_MAX => {
                Err(GenesisError::Window { expected: WINDOW_MAX, got: window })
            }
            Retarget::Lwma { .. } | Retarget::Off => Ok(()),
        }
    }

    fn check_ledger(&self) -> Result<(), GenesisError> {
        if self.ledger.halving_interval == 0 {
            return Err(GenesisError::HalvingInterval);
        }
        let got = self.ledger.block_bytes_max as usize;
        if !(BLOCK_BYTES_LEAST..=BLOCK_BYTES_MAX).contains(&got) {
            return Err(GenesisError::BlockBytes { least: BLOCK_BYTES_LEAST, most: BLOCK_BYTES_MAX, got });
        }
        Ok(())
    }

    fn check_balances(&self) -> Result<(), GenesisError> {
        let mut names = BTreeSet::new();
        for balance in &self.balances {
            check_name(&balance.name)?;
            if !names.insert(&balance.name) {
                return Err(GenesisError::NameTwice { got: balance.name.clone() });
            }
            if balance.coins == 0 || balance.amount.0 < u64::from(balance.coins) {
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
    /// The coins: equal ones, and the first ones a unit larger where the amount does not divide.
    fn outputs(&self) -> impl Iterator<Item = Output> + '_ {
        let coins = u64::from(self.coins);
        let (each, larger) = (self.amount.0 / coins, self.amount.0 % coins);
        (0..coins).map(move |coin| Output { amount: Amount(each + u64::from(coin < larger)), to: self.address })
    }
}

/// The genesis as it is hashed: without the tags that its written form needs.
#[derive(Serialize)]
struct Canonical<'a> {
    name: &'a str,
    time_unix_ms: u64,
    engine: CanonicalEngine,
    ledger: &'a LedgerParams,
    balances: &'a [Balance],
}

#[derive(Serialize)]
enum CanonicalEngine {
    Pow { target: CompactTarget, block_time_ms: u64, retarget: CanonicalRetarget, declared: bool },
}

#[derive(Serialize)]
enum CanonicalRetarget {
    Lwma { window: u32 },
    Off,
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
