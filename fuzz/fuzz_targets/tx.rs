//! A payment, and checking it against the genesis's coins: one that passes overspends nothing.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use synod_fuzz::{check_wire, samples};
use synod_ledger::{Height, Rules, State, Tx, check_payment};

static RULES: LazyLock<Rules> = LazyLock::new(samples::rules);
static STATE: LazyLock<State> = LazyLock::new(samples::state);
static TXS: LazyLock<[Tx; 1]> = LazyLock::new(|| {
    let tx = samples::tx();
    check_payment(&*STATE, &RULES, &tx, Height(1)).expect("the sample is valid");
    [tx]
});

fuzz_target!(|data: &[u8]| check_wire(data, &*TXS, inspect));

fn inspect(tx: &Tx) {
    let Ok(fee) = check_payment(&*STATE, &RULES, tx, Height(1)) else { return };
    let spent = tx.inputs.iter().map(|input| STATE.coin(&input.coin).expect("it passed").output.amount.0);
    let paid = tx.outputs.iter().map(|output| output.amount.0);
    assert_eq!(spent.sum::<u64>(), paid.sum::<u64>() + fee.0, "nothing is made or lost");
}
