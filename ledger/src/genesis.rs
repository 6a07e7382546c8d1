//! The genesis: what everybody on a chain must agree on, as a person writes it, and the block it stands for.

mod engine;

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use synod_machine::{Bytes, Time};

pub use self::engine::{
    Engine, PbftParams, PosParams, PowParams, Retarget, STAKE_BLOCK_TIME_MIN_MS, STAKE_DEPTH_MAX, VALIDATORS_MAX,
    VALIDATORS_MIN, Validator, WINDOW_MAX,
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
mod tests {
    use alloc::string::ToString;
    use alloc::vec;

    use super::*;
    use crate::{State, testing};

    fn pow(genesis: &mut Genesis) -> &mut PowParams {
        genesis.engine.pow_mut().expect("the tests' chain is one of work")
    }

    #[test]
    fn a_written_genesis_comes_back_and_unknown_fields_do_not() {
        let mut genesis = testing::genesis();
        pow(&mut genesis).retarget = Retarget::Lwma { window: 60 };
        let text = serde_json::to_string(&genesis).expect("writable");
        assert_eq!(serde_json::from_str::<Genesis>(&text).expect("readable"), genesis);
        assert!(text.contains(r#""retarget":{"rule":"lwma","window":60}"#), "{text}");
        for (known, unknown) in [
            (r#""time_unix_ms""#, r#""tyme":1,"time_unix_ms""#),
            (r#""declared""#, r#""tyme":1,"declared""#),
            (r#""window""#, r#""tyme":1,"window""#),
            (r#""maturity""#, r#""tyme":1,"maturity""#),
            (r#""coins""#, r#""tyme":1,"coins""#),
        ] {
            assert!(text.contains(known), "{known}");
            let changed = text.replacen(known, unknown, 1);
            assert!(serde_json::from_str::<Genesis>(&changed).is_err(), "{unknown}");
        }
        assert!(serde_json::from_str::<Genesis>(&text.replacen(r#""pow""#, r#""pou""#, 1)).is_err());
    }

    #[test]
    fn one_coin_is_the_default() {
        let text = format_balance(r#""amount":5"#);
        assert_eq!(serde_json::from_str::<Balance>(&text).expect("readable").coins, 1);
    }

    fn format_balance(rest: &str) -> String {
        alloc::format!(r#"{{"name":"a","address":"{}",{rest}}}"#, testing::address(1))
    }

    #[test]
    fn whatever_differs_the_chain_is_another() {
        let changes: [fn(&mut Genesis); 15] = [
            |_| {},
            |genesis| genesis.name.push('2'),
            |genesis| genesis.time_unix_ms += 1,
            |genesis| pow(genesis).target.0 -= 1,
            |genesis| pow(genesis).block_time_ms += 1,
            |genesis| pow(genesis).retarget = Retarget::Lwma { window: 1 },
            |genesis| pow(genesis).declared = false,
            |genesis| genesis.ledger.subsidy.0 += 1,
            |genesis| genesis.ledger.halving_interval += 1,
            |genesis| genesis.ledger.maturity += 1,
            |genesis| genesis.ledger.block_bytes_max += 1,
            |genesis| genesis.ledger.fee_min.0 += 1,
            |genesis| genesis.balances[0].amount.0 += 1,
            |genesis| genesis.balances[0].coins += 1,
            |genesis| genesis.balances.swap(0, 1),
        ];
        let mut chains = BTreeSet::new();
        for change in changes {
            let mut genesis = testing::genesis();
            change(&mut genesis);
            genesis.check().expect("still a possible genesis");
            assert!(chains.insert(genesis.chain_id()));
            assert_eq!(genesis.block().header().chain, genesis.chain_id());
        }
    }

    #[test]
    fn balances_are_split_into_nearly_equal_coins() {
        let mut genesis = testing::genesis();
        genesis.balances.truncate(1);
        genesis.balances[0].amount = Amount(11);
        genesis.balances[0].coins = 3;
        let amounts: Vec<u64> = genesis.block().coinbase().outputs.iter().map(|output| output.amount.0).collect();
        assert_eq!(amounts, [4, 4, 3]);
        let state = State::genesis(&genesis);
        assert_eq!((state.supply(), state.audit(), state.coin_count()), (Amount(11), Amount(11), 3));
        assert_eq!(state.tip(), genesis.block().id());
        assert!(state.coins().iter().all(|(_, coin)| !coin.coinbase), "spendable at once");
    }

    #[test]
    fn every_mistake_has_its_error() {
        let name = |got: &str| GenesisError::Name { expected: 64, got: got.to_string() };
        let long = "x".repeat(65);
        let bytes = |got| GenesisError::BlockBytes { least: 1_024, most: 4 << 20, got };
        let window = |got| GenesisError::Window { expected: 2_016, got };
        let split = |got| GenesisError::CoinSplit { name: "1".to_string(), got };
        type Case = (fn(&mut Genesis), GenesisError);
        let table: Vec<Case> = vec![
            (|genesis| genesis.name.clear(), name("")),
            (|genesis| genesis.name = "x".repeat(65), name(&long)),
            (|genesis| genesis.balances[2].name.clear(), name("")),
            (|genesis| genesis.balances[2].name = "1".into(), GenesisError::NameTwice { got: "1".into() }),
            (|genesis| pow(genesis).target.0 = 0x0300_0001, GenesisError::Target { got: CompactTarget(0x0300_0001) }),
            (|genesis| pow(genesis).block_time_ms = 0, GenesisError::BlockTime),
            (|genesis| pow(genesis).retarget = Retarget::Lwma { window: 0 }, window(0)),
            (|genesis| pow(genesis).retarget = Retarget::Lwma { window: 2_017 }, window(2_017)),
            (|genesis| genesis.ledger.halving_interval = 0, GenesisError::HalvingInterval),
            (|genesis| genesis.ledger.block_bytes_max = 1_023, bytes(1_023)),
            (|genesis| genesis.ledger.block_bytes_max = (4 << 20) + 1, bytes((4 << 20) + 1)),
            (|genesis| genesis.balances[0].coins = 0, split(0)),
            (|genesis| genesis.balances[0].coins = 1_001, split(1_001)),
            (
                |genesis| {
                    genesis.balances[0].amount = Amount(1 << 22);
                    genesis.balances[0].coins = 1 << 22;
                },
                GenesisError::CoinCount { expected: 1 << 22, got: (1 << 22) + 30 },
            ),
        ];
        for (change, expected) in table {
            let mut genesis = testing::genesis();
            change(&mut genesis);
            assert_eq!(genesis.check(), Err(expected));
        }
    }

    fn pos(genesis: &mut Genesis) -> &mut PosParams {
        let Engine::Pos(pos) = &mut genesis.engine else { panic!("a chain of stakes") };
        pos
    }

    fn pbft(genesis: &mut Genesis) -> &mut PbftParams {
        let Engine::Pbft(pbft) = &mut genesis.engine else { panic!("a chain of validators") };
        pbft
    }

    /// Whatever these do to a genesis, each makes another chain, and all of them are possible.
    fn all_differ(genesis: &Genesis, changes: &[fn(&mut Genesis)]) {
        let mut chains = BTreeSet::new();
        for change in changes {
            let mut genesis = genesis.clone();
            change(&mut genesis);
            genesis.check().expect("still a possible genesis");
            assert!(chains.insert(genesis.chain_id()));
            let text = serde_json::to_string(&genesis).expect("writable");
            assert_eq!(serde_json::from_str::<Genesis>(&text).expect("readable"), genesis);
        }
    }

    type Mistake = (fn(&mut Genesis), GenesisError);

    fn all_wrong(genesis: &Genesis, table: Vec<Mistake>) {
        for (change, expected) in table {
            let mut genesis = genesis.clone();
            change(&mut genesis);
            assert_eq!(genesis.check(), Err(expected));
        }
    }

    #[test]
    fn every_parameter_of_a_chain_of_stakes_counts_and_every_mistake_has_its_error() {
        let genesis = testing::stake_genesis();
        all_differ(
            &genesis,
            &[
                |_| {},
                |genesis| pos(genesis).difficulty += 1,
                |genesis| pos(genesis).block_time_ms += 1,
                |genesis| pos(genesis).retarget = Retarget::Lwma { window: 1 },
                |genesis| pos(genesis).stake_depth -= 1,
                |genesis| pos(genesis).unbonding -= 1,
                |genesis| pos(genesis).future_max_ms += 1,
                |genesis| pos(genesis).slasher = false,
                |genesis| pos(genesis).finder_share += 1,
                |genesis| genesis.balances[0].stake.0 += 1,
                |genesis| genesis.balances[0].stake = Amount(1_000),
            ],
        );
        let stake =
            |expected, got| GenesisError::Stake { name: "1".into(), expected: Amount(expected), got: Amount(got) };
        all_wrong(
            &genesis,
            vec![
                (|genesis| pos(genesis).difficulty = 0, GenesisError::Difficulty),
                (|genesis| pos(genesis).block_time_ms = 0, GenesisError::BlockTime),
                (
                    |genesis| pos(genesis).block_time_ms = 1_999,
                    GenesisError::BlockTimeShort { expected: 2_000, got: 1_999 },
                ),
                (
                    |genesis| pos(genesis).retarget = Retarget::Lwma { window: 0 },
                    GenesisError::Window { expected: 2_016, got: 0 },
                ),
                (|genesis| pos(genesis).stake_depth = 0, GenesisError::StakeDepth { expected: 1_024, got: 0 }),
                (|genesis| pos(genesis).stake_depth = 1_025, GenesisError::StakeDepth { expected: 1_024, got: 1_025 }),
                (|genesis| pos(genesis).unbonding = 2, GenesisError::Unbonding { expected: 2, got: 2 }),
                (|genesis| genesis.balances[0].stake.0 = 1_001, stake(1_000, 1_001)),
                (|genesis| genesis.balances[0].stake.0 = 991, GenesisError::CoinSplit { name: "1".into(), got: 10 }),
                (
                    |genesis| genesis.balances.iter_mut().for_each(|balance| balance.stake = Amount::ZERO),
                    GenesisError::StakeNone,
                ),
            ],
        );
        let mut work = testing::genesis();
        work.balances[0].stake = Amount(1);
        assert_eq!(work.check(), Err(stake(0, 1)), "on a chain of work");
    }

    #[test]
    fn an_engine_s_parameters_have_defaults() {
        let text = r#"{"name":"pos","difficulty":9,"block_time_ms":2000,"retarget":{"rule":"off"}}"#;
        let Engine::Pos(pos) = serde_json::from_str(text).expect("readable") else { panic!("stakes") };
        assert_eq!((pos.stake_depth, pos.unbonding, pos.future_max_ms), (32, 256, 500));
        assert_eq!((pos.slasher, pos.finder_share), (true, 10));
        assert!(serde_json::from_str::<Engine>(&text.replace("difficulty", "dificulty")).is_err());
        let Engine::Pbft(pbft) = serde_json::from_str(r#"{"name":"pbft","validators":[]}"#).expect("readable") else {
            panic!("validators")
        };
        assert_eq!((pbft.view_timeout_ms, pbft.batch_delay_ms, pbft.batch_max), (2_000, 10, 1_000));
        assert_eq!((pbft.checkpoint_interval, pbft.watermark_window), (100, 200));
    }

    #[test]
    fn every_parameter_of_a_chain_of_validators_counts_and_every_mistake_has_its_error() {
        let mut genesis = testing::genesis();
        let validator = |person: u8| Validator { name: person.to_string(), key: testing::key(person).public() };
        genesis.engine = Engine::Pbft(PbftParams {
            validators: (1..=5).map(validator).collect(),
            view_timeout_ms: 2_000,
            batch_delay_ms: 10,
            batch_max: 1_000,
            checkpoint_interval: 100,
            watermark_window: 200,
        });
        all_differ(
            &genesis,
            &[
                |_| {},
                |genesis| pbft(genesis).validators.swap(0, 1),
                |genesis| pbft(genesis).validators.truncate(4),
                |genesis| pbft(genesis).validators[0].name.push('2'),
                |genesis| pbft(genesis).view_timeout_ms += 1,
                |genesis| pbft(genesis).batch_delay_ms += 1,
                |genesis| pbft(genesis).batch_max += 1,
                |genesis| pbft(genesis).checkpoint_interval += 1,
                |genesis| pbft(genesis).watermark_window += 1,
            ],
        );
        let count = |got| GenesisError::ValidatorCount { least: 4, most: 64, got };
        let twice = GenesisError::ValidatorTwice { got: "2".into() };
        all_wrong(
            &genesis,
            vec![
                (|genesis| pbft(genesis).validators.truncate(3), count(3)),
                (
                    |genesis| {
                        let five = pbft(genesis).validators.clone();
                        pbft(genesis).validators = (0..13).flat_map(|_| five.clone()).collect();
                    },
                    count(65),
                ),
                (|genesis| pbft(genesis).validators[1].key = testing::key(1).public(), twice),
                (
                    |genesis| pbft(genesis).validators[1].name = "1".into(),
                    GenesisError::ValidatorTwice { got: "1".into() },
                ),
                (|genesis| pbft(genesis).view_timeout_ms = 0, GenesisError::ViewTimeout),
                (|genesis| pbft(genesis).batch_max = 0, GenesisError::BatchMax),
                (|genesis| pbft(genesis).checkpoint_interval = 0, GenesisError::Watermarks { expected: 1, got: 0 }),
                (|genesis| pbft(genesis).watermark_window = 99, GenesisError::Watermarks { expected: 100, got: 99 }),
                (
                    |genesis| genesis.ledger.block_bytes_max = 4 << 20,
                    GenesisError::CertificateBytes { expected: 4 << 20, got: (4 << 20) + 4_234 },
                ),
            ],
        );
        let quorums: Vec<(usize, usize)> = (4..=9)
            .map(|count| {
                let validators = (0..count as u8).map(validator).collect();
                let params = PbftParams { validators, ..pbft(&mut genesis).clone() };
                (params.faulty_max(), params.quorum())
            })
            .collect();
        assert_eq!(quorums, [(1, 3), (1, 4), (1, 4), (2, 5), (2, 6), (2, 6)]);
    }

    #[test]
    fn balances_and_subsidies_may_reach_all_the_money_there_can_be_and_no_more() {
        let mut genesis = testing::genesis();
        let subsidies = Amount(970);
        assert_eq!(genesis.rules().issued(Height(u64::MAX)), subsidies);
        // Three others own 1,000 each.
        genesis.balances[0].amount = Amount(Amount::MAX.0 - 3_970);
        assert_eq!(genesis.check(), Ok(()));
        genesis.balances[0].amount.0 += 1;
        let balances = Amount(Amount::MAX.0 - 969);
        assert_eq!(genesis.check(), Err(GenesisError::Money { expected: Amount::MAX, balances, subsidies }));
    }
}
