//! What the tests of this crate share: keys, a small chain, and blocks on it.

use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use synod_machine::{Bytes, Time};

use crate::{
    Address, Amount, Balance, Block, Coin, Coinbase, CompactTarget, Engine, Evidence, Genesis, Header, Height,
    LedgerParams, OutPoint, Output, Payment, PaymentBuilder, PosParams, PowParams, Retarget, Rules, Seal, SecretKey,
    Signature, Signatures, State, Tx, TxInput,
};

/// The key of a person that a test knows by number.
pub(crate) fn key(person: u8) -> SecretKey {
    SecretKey::from_bytes([person; 32])
}

/// That person's address.
pub(crate) fn address(person: u8) -> Address {
    key(person).address()
}

/// A chain on which each of four people owns 1,000 units in ten coins, and blocks pay 50.
pub(crate) fn genesis() -> Genesis {
    let balance = |person: u8| {
        let (name, address) = (person.to_string(), address(person));
        Balance { name, address, amount: Amount(1_000), coins: 10, stake: Amount::ZERO }
    };
    Genesis {
        name: "test".to_string(),
        time_unix_ms: 1_700_000_000_000,
        engine: Engine::Pow(PowParams {
            target: CompactTarget(0x207f_ffff),
            block_time_ms: 1_000,
            retarget: Retarget::Off,
            declared: true,
        }),
        ledger: LedgerParams {
            subsidy: Amount(50),
            halving_interval: 10,
            maturity: 3,
            block_bytes_max: 200_000,
            fee_min: Amount(1),
        },
        balances: (1..=4).map(balance).collect(),
    }
}

/// A chain of stakes: each of four people owns 1,000 units, of which the first three have staked 400. Every stake wins
/// every second. Stakes count two blocks later, are unlocked after four, and a quarter of a lost one goes to the finder.
pub(crate) fn stake_genesis() -> Genesis {
    let mut genesis = genesis();
    genesis.engine = Engine::Pos(PosParams {
        difficulty: 1,
        block_time_ms: 2_000,
        retarget: Retarget::Off,
        stake_depth: 2,
        unbonding: 4,
        future_max_ms: 500,
        slasher: true,
        finder_share: 64,
    });
    for balance in genesis.balances.iter_mut().take(3) {
        balance.stake = Amount(400);
    }
    genesis
}

/// A header on `parent` by a stake of `maker`, not signed.
pub(crate) fn stake_header(rules: &Rules, parent: &State, maker: u8) -> Header {
    let seal = Seal::Stake { key: key(maker).public(), difficulty: 1, signature: Signature::NONE };
    Header { seal, ..header(rules, parent) }
}

/// A block on `parent` by a stake of `maker`, who is paid `reward`.
pub(crate) fn stake_block(
    rules: &Rules,
    parent: &State,
    maker: u8,
    reward: u64,
    payments: Vec<Tx>,
    evidence: Vec<Evidence>,
) -> Block {
    let outputs = if reward == 0 { vec![] } else { vec![output(maker, reward)] };
    let height = parent.height().next();
    let coinbase = Coinbase { chain: rules.chain, height, extra: u64::from(maker), outputs };
    let root = Block::root_with(&coinbase, &payments, &evidence);
    let header = Header { root, ..stake_header(rules, parent, maker) }.signed(&key(maker));
    Block::with_evidence(header, coinbase, payments, evidence)
}

/// Evidence that `person` signed twice at a height. `salt` makes one differ from another.
pub(crate) fn evidence(rules: &Rules, parent: &State, person: u8, height: u64, salt: u8) -> Evidence {
    let header = |root| {
        let (height, root) = (Height(height), Bytes([root; 32]));
        Header { height, root, ..stake_header(rules, parent, person) }.signed(&key(person))
    };
    Evidence::new(header(salt), header(!salt))
}

/// The genesis, its rules and its state.
pub(crate) fn chain() -> (Rules, State) {
    let genesis = genesis();
    genesis.check().expect("a chain can start like this");
    (genesis.rules(), State::genesis(&genesis))
}

/// A coin of `person`, by its place among that person's coins.
pub(crate) fn coin(state: &State, person: u8, place: usize) -> (OutPoint, Coin) {
    state.coins_of(&address(person))[place]
}

/// A payment of one coin of `person`: `amount` to `to`, the change back, all of it signed.
pub(crate) fn pay(rules: &Rules, person: u8, coin: (OutPoint, Coin), to: u8, amount: u64, fee: u64) -> Tx {
    let owner = key(person);
    let builder = PaymentBuilder::new(rules.chain).spend(coin.0, coin.1, &owner);
    builder.pay(address(to), Amount(amount)).fee(Amount(fee)).build(owner.address()).expect("the coin covers it")
}

/// The coin that output `index` of `tx` makes in a block at `height`.
pub(crate) fn made(tx: &Tx, index: usize, height: u64) -> (OutPoint, Coin) {
    let (name, output) = tx.made().nth(index).expect("an output");
    (name, Coin { output, height: Height(height), coinbase: false })
}

/// The payment with its inputs signed by `person`, whatever is wrong with it.
pub(crate) fn signed(mut payment: Payment, person: u8) -> Tx {
    for input in &mut payment.inputs {
        input.key = key(person).public();
    }
    let id = payment.digest();
    for input in &mut payment.inputs {
        input.signature = key(person).sign(id.0.as_slice());
    }
    Tx::from(payment)
}

/// A payment of these coins of `person` to these outputs.
pub(crate) fn payment(rules: &Rules, person: u8, coins: &[OutPoint], outputs: &[Output]) -> Tx {
    let inputs = coins.iter().map(|&coin| TxInput { coin, ..TxInput::default() }).collect();
    signed(Payment { chain: rules.chain, inputs, outputs: outputs.to_vec() }, person)
}

/// An output of `amount` to `to`.
pub(crate) fn output(to: u8, amount: u64) -> Output {
    Output::plain(Amount(amount), address(to))
}

/// A block on `parent` with these payments, whose maker is paid `reward` in one output, or nothing.
pub(crate) fn block(rules: &Rules, parent: &State, maker: u8, reward: u64, payments: Vec<Tx>) -> Block {
    let outputs = if reward == 0 { vec![] } else { vec![output(maker, reward)] };
    let height = parent.height().next();
    let coinbase = Coinbase { chain: rules.chain, height, extra: u64::from(maker), outputs };
    sealed(header(rules, parent), coinbase, payments)
}

/// A header on `parent`, without a root.
pub(crate) fn header(rules: &Rules, parent: &State) -> Header {
    let height = parent.height().next();
    Header {
        chain: rules.chain,
        parent: parent.tip(),
        height,
        time: Time::from_secs(height.0),
        root: synod_machine::Bytes::ZERO,
        seal: Seal::Declared { target: CompactTarget(0x207f_ffff), draw: 0 },
    }
}

/// The block of these parts, with the right root.
pub(crate) fn sealed(mut header: Header, coinbase: Coinbase, payments: Vec<Tx>) -> Block {
    header.root = Block::root_of(&coinbase, &payments);
    Block::new(header, coinbase, payments)
}

/// The state after a block that must connect.
pub(crate) fn connected(rules: &Rules, parent: &State, block: &Block) -> State {
    parent.connect(rules, block, Signatures::Check).expect("the block connects").0
}

/// The state after `count` empty blocks made by `maker`.
pub(crate) fn mined(rules: &Rules, parent: &State, maker: u8, count: usize) -> State {
    (0..count).fold(parent.clone(), |state, _| {
        let reward = rules.subsidy(state.height().next()).0;
        connected(rules, &state, &block(rules, &state, maker, reward, vec![]))
    })
}
