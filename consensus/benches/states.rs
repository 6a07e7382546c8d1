//! What the states of a hundred blocks of 900 kB, which change 14,000 coins each, take in memory: all of them, as when every block
//! held on to its own, and those of the recent blocks, as a replica does now. Run it once for each, since a process
//! does not give all memory back: `cargo bench -p synod-consensus --bench states -- all`, or `-- recent`.

mod common;

use std::env;

use synod_consensus::{Chain, Command, Item, Limits, Params, Replica};
use synod_ledger::{
    Address, Amount, Block, Coin, Coinbase, Header, OutPoint, Output, Payment, Seal, SecretKey, Signatures, State, Tx,
    TxInput,
};
use synod_machine::{Bytes, Host, Input, PeerId, Protocol, Time};

use self::common::{BLOCK_TIME, chain, owner, resident};

const BLOCKS: u64 = 100;
/// Payments of a block: each spends a coin and makes two.
const PAYMENTS: u32 = 4_700;

fn main() {
    let all = env::args().any(|argument| argument == "all");
    let chain = chain(PAYMENTS);
    let limits = Limits::default();
    let params =
        Params { chain: chain.clone(), limits, miner: None, signer: None, behaviour: Default::default(), extra: 0 };
    let mut host = Host::start(Replica::restore(params, std::iter::empty()), Time::ZERO, |_| {});
    let mut coins: Vec<(OutPoint, Coin)> = chain.state().coins_of(&owner().address());
    let (mut disk, mut outcomes) = (Vec::new(), Vec::new());
    let before = resident();
    for height in 1..=BLOCKS {
        let payments = coins.iter().map(|coin| split(&chain, *coin)).collect();
        let block = block(&chain, host.protocol(), height, payments);
        coins = block.payments().iter().map(|tx| change(tx, host.protocol().state())).collect();
        let (id, from, item) = (block.fingerprint(), PeerId(0), Item::Block(block.clone()));
        let now = Time::ZERO + BLOCK_TIME * height as u32;
        host.step(now, Input::Command(Command::Gossip { id, from, item }), |_| {});
        if all {
            outcomes.push(block.connected().expect("it was just connected"));
        }
        disk.push(block);
    }
    let state = host.protocol().state();
    assert!(state.height().0 == BLOCKS, "the replica has the chain");
    let bytes: usize = disk.iter().map(Block::len).sum();
    let held = disk.iter().filter(|block| block.connected().is_some()).count();
    println!("{BLOCKS} blocks of {} kB, {} coins in the end", bytes / disk.len() / 1_000, state.coin_count());
    println!("{held} states held: {} MB, blocks and all", (resident() - before) / 1_000_000);
}

/// A payment of one coin: one unit to somebody, one to the miner, who does not take it, and the rest back.
fn split(chain: &Chain, (coin, spent): (OutPoint, Coin)) -> Tx {
    let owner = owner();
    let rest = Output::plain(Amount(spent.output.amount.0 - 2), owner.address());
    let outputs = vec![rest, Output::plain(Amount(1), Address(Bytes([9; 20])))];
    let input = TxInput { coin, key: owner.public(), ..TxInput::default() };
    let mut payment = Payment { chain: chain.rules().chain, inputs: vec![input], outputs };
    sign(&mut payment, &owner);
    Tx::from(payment)
}

fn sign(payment: &mut Payment, owner: &SecretKey) {
    payment.inputs[0].signature = owner.sign(payment.digest().0.as_slice());
}

fn change(tx: &Tx, before: &State) -> (OutPoint, Coin) {
    let (name, output) = tx.made().next().expect("a payment pays");
    (name, Coin { output, height: before.height().next(), coinbase: false })
}

fn block(chain: &Chain, replica: &Replica, height: u64, payments: Vec<Tx>) -> Block {
    assert!(payments.len() == PAYMENTS as usize, "one payment for each of the owner's coins");
    let (rules, parent) = (chain.rules(), replica.state());
    let coinbase = Coinbase { chain: rules.chain, height: parent.height().next(), extra: 0, outputs: Vec::new() };
    let root = Block::root_of(&coinbase, &payments);
    let time = Time::ZERO + BLOCK_TIME * height as u32;
    let target = chain.pow().expect("a chain of proof of work").target_after(replica.tree(), &parent.tip());
    let seal = Seal::Declared { target, draw: height };
    let header = Header { chain: rules.chain, parent: parent.tip(), height: coinbase.height, time, root, seal };
    let block = Block::new(header, coinbase, payments);
    assert!(block.connect(parent, rules, Signatures::Trust).is_ok(), "it is a good block");
    block
}
