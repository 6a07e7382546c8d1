//! What the tests of this crate share: keys, a chain, branches of blocks on it, a bench for one replica and a world of
//! several.

pub(crate) mod bench;
pub(crate) mod guest;
pub(crate) mod light;
pub(crate) mod world;

use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use synod_ledger::{
    Address, Amount, Balance, Block, Coin, Coinbase, CompactTarget, Engine, Genesis, Header, LedgerParams, OutPoint,
    Output, PaymentBuilder, PowParams, Retarget, Seal, SecretKey, Signatures, State, Tx,
};
use synod_machine::{Bytes, Time};

use crate::{Chain, Limits, Params};

/// People who own coins in the genesis, by number from 1.
pub(crate) const PEOPLE: u8 = 4;

pub(crate) fn key(person: u8) -> SecretKey {
    SecretKey::from_bytes([person; 32])
}

pub(crate) fn address(person: u8) -> Address {
    key(person).address()
}

/// A chain on which each of four people owns 40,000 units in forty coins, and blocks pay 50.
pub(crate) fn genesis() -> Genesis {
    let balance = |person: u8| Balance {
        name: person.to_string(),
        address: address(person),
        amount: Amount(40_000),
        coins: 40,
        stake: Amount::ZERO,
    };
    Genesis {
        name: "test".to_string(),
        time_unix_ms: 1_700_000_000_000,
        engine: Engine::Pow(PowParams {
            target: CompactTarget::MAX,
            block_time_ms: 1_000,
            retarget: Retarget::Off,
            declared: true,
        }),
        ledger: LedgerParams {
            subsidy: Amount(50),
            halving_interval: 1_000,
            maturity: 3,
            block_bytes_max: 20_000,
            fee_min: Amount(1),
        },
        balances: (1..=PEOPLE).map(balance).collect(),
    }
}

pub(crate) fn chain() -> Arc<Chain> {
    Chain::simulated(genesis()).expect("a chain can start like this")
}

/// The same chain with another rule.
pub(crate) fn chain_with(change: impl FnOnce(&mut Genesis)) -> Arc<Chain> {
    let mut genesis = genesis();
    change(&mut genesis);
    Chain::simulated(genesis).expect("a chain can start like this")
}

pub(crate) fn params(chain: &Arc<Chain>, miner: Option<u8>) -> Params {
    Params {
        chain: chain.clone(),
        limits: Limits::default(),
        miner: miner.map(address),
        signer: None,
        behaviour: Default::default(),
        extra: 0,
    }
}

/// A coin of `person`, by its place among that person's coins.
pub(crate) fn coin(state: &State, person: u8, place: usize) -> (OutPoint, Coin) {
    state.coins_of(&address(person))[place]
}

/// A payment of one coin of `person`: `amount` to `to`, a fee of one, the change back.
pub(crate) fn pay(chain: &Chain, person: u8, coin: (OutPoint, Coin), to: u8, amount: u64) -> Tx {
    let owner = key(person);
    let builder = PaymentBuilder::new(chain.rules().chain).spend(coin.0, coin.1, &owner);
    builder.pay(address(to), Amount(amount)).fee(Amount(1)).build(owner.address()).expect("the coin covers it")
}

/// The coin that output `index` of `tx` makes in the block after `state`.
pub(crate) fn made(tx: &Tx, index: usize, state: &State) -> (OutPoint, Coin) {
    let (name, output) = tx.made().nth(index).expect("an output");
    (name, Coin { output, height: state.height().next(), coinbase: false })
}

/// A chain of blocks in the making. A clone of it is a fork.
#[derive(Clone)]
pub(crate) struct Branch {
    pub(crate) chain: Arc<Chain>,
    pub(crate) state: State,
    /// The last block's time.
    pub(crate) time: Time,
    /// Put into every seal, so that equal blocks of two branches differ.
    pub(crate) draw: u64,
}

impl Branch {
    pub(crate) fn new(chain: &Arc<Chain>) -> Self {
        Self { chain: chain.clone(), state: chain.state().clone(), time: Time::ZERO, draw: 0 }
    }

    /// The same chain, whose further blocks differ from this one's.
    pub(crate) fn fork(&self, draw: u64) -> Self {
        Self { draw, ..self.clone() }
    }

    /// The parts of a good block a second after the last.
    pub(crate) fn parts(&self, payments: &[Tx]) -> (Header, Coinbase) {
        let rules = self.chain.rules();
        let height = self.state.height().next();
        let amount = Amount(rules.subsidy(height).0 + payments.len() as u64);
        let outputs = alloc::vec![Output::plain(amount, address(9))];
        let coinbase = Coinbase { chain: rules.chain, height, extra: self.draw, outputs };
        let header = Header {
            chain: rules.chain,
            parent: self.state.tip(),
            height,
            time: self.time + Duration::from_secs(1),
            root: Block::root_of(&coinbase, payments),
            seal: Seal::Declared {
                target: self.chain.pow().expect("a chain of proof of work").params().target,
                draw: self.draw,
            },
        };
        (header, coinbase)
    }

    /// A block that is changed after it was made, its root too unless the change is to the header.
    pub(crate) fn spoilt(&self, payments: &[Tx], spoil: impl FnOnce(&mut Header, &mut Coinbase)) -> Block {
        let (mut header, mut coinbase) = self.parts(payments);
        let right = header.root;
        spoil(&mut header, &mut coinbase);
        if header.root == right {
            header.root = Block::root_of(&coinbase, payments);
        }
        Block::new(header, coinbase, payments.to_vec())
    }

    /// The next block, whose payments leave a fee of one each.
    pub(crate) fn grow(&mut self, payments: &[Tx]) -> Block {
        let (header, coinbase) = self.parts(payments);
        let block = Block::new(header, coinbase, payments.to_vec());
        let connected = self.state.connect(self.chain.rules(), &block, Signatures::Check);
        self.state = connected.expect("the block connects").0;
        self.time = block.header().time;
        block
    }

    /// So many empty blocks.
    pub(crate) fn grow_by(&mut self, count: usize) -> Vec<Block> {
        (0..count).map(|_| self.grow(&[])).collect()
    }
}

/// The bytes that this text writes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> alloc::string::String {
    bytes.iter().map(|byte| alloc::format!("{byte:02x}")).collect()
}

/// Something to hash that is the same in every process (FNV-1a, 64 bits).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trace(u64);

impl Trace {
    pub(crate) const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    pub(crate) fn add(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

/// A name for anything, where its meaning does not matter.
pub(crate) const fn name(byte: u8) -> Bytes<32> {
    Bytes([byte; 32])
}
