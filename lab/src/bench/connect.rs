//! Connecting full blocks against the batch signature limit.

use std::time::Duration;

use synod_ledger::{Batch, Block, PublicKey, Signature, Signatures, State};

use super::chain::{Maker, state_after};
use super::{Report, median, timed};

/// The batch whose rate is the limit.
const BATCH: usize = 1_024;
/// Payments in a block: a full one of one megabyte.
const PAYMENTS: usize = 3_000;
/// Coins beside those that move, so that the map of coins has a real one's depth.
const COINS: u32 = 100_000;
const ROUNDS: usize = 9;

/// Payments per second through `State::connect`, everything checked, against signatures per second in batches of 1,024.
pub fn connect() -> Report {
    let mut maker = Maker::new(COINS, Duration::from_secs(3_600));
    let warm: Vec<Block> = (0..2).map(|_| maker.next(PAYMENTS)).collect();
    let mut state = state_after(&maker.chain, &warm);
    let mut connects = Vec::new();
    let mut batches = Vec::new();
    for _ in 0..ROUNDS {
        // A fresh value, as it comes from the wire: nothing computed beforehand.
        let made = maker.next(PAYMENTS);
        let block: Block = synod_machine::wire::decode(&synod_machine::wire::encode(&made)).expect("our own block");
        let signatures = signatures(&block);
        let (valid, batch) = timed(|| batch_of(&signatures));
        assert!(valid, "the maker signs validly");
        batches.push(BATCH as f64 / batch.as_secs_f64());
        let (next, connect) = timed(|| connected(&state, &maker, &block));
        connects.push(PAYMENTS as f64 / connect.as_secs_f64());
        state = next;
    }
    let (value, reference) = (median(connects), median(batches));
    Report {
        name: "connect",
        value,
        unit: "payments/s per core",
        reference,
        reference_name: "zebra batches of 1,024 signatures",
        ratio: value / reference,
        promised: 0.70,
        at_most: false,
        note: format!("{ROUNDS} blocks of {PAYMENTS} one-input-two-output payments on {} coins", state.coin_count()),
    }
}

fn connected(state: &State, maker: &Maker, block: &Block) -> State {
    let (next, _) = state.connect(maker.chain.rules(), block, Signatures::Check).expect("the maker's blocks are valid");
    next
}

fn signatures(block: &Block) -> Vec<(PublicKey, Signature, [u8; 32])> {
    let inputs = block.payments().iter().flat_map(|tx| tx.inputs.iter().map(|input| (input, tx.id())));
    inputs.map(|(input, id)| (input.key, input.signature, id.0.0)).take(BATCH).collect()
}

fn batch_of(signatures: &[(PublicKey, Signature, [u8; 32])]) -> bool {
    let mut batch = Batch::new();
    for (key, signature, message) in signatures {
        batch.queue(*key, *signature, message);
    }
    batch.verify()
}
