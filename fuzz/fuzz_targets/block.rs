//! A block, and connecting it to the genesis: whatever it holds, it is refused or connects, and money is conserved.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use synod_fuzz::{check_wire, samples};
use synod_ledger::{Block, Rules, Signatures, State};

static BLOCKS: LazyLock<[Block; 1]> = LazyLock::new(|| {
    let block = samples::block();
    STATE.connect(&RULES, &block, Signatures::Check).expect("the sample connects");
    [block]
});
static STATE: LazyLock<State> = LazyLock::new(samples::state);
static RULES: LazyLock<Rules> = LazyLock::new(samples::rules);

fuzz_target!(|data: &[u8]| check_wire(data, &*BLOCKS, inspect));

fn inspect(block: &Block) {
    if block.header().parent != STATE.tip() {
        return;
    }
    // Signatures are trusted, so that edits get past them.
    let Ok((after, undo)) = STATE.connect(&RULES, block, Signatures::Trust) else { return };
    assert_eq!(after.supply(), after.audit(), "the supply is the sum of all coins");
    let before = after.disconnect(block, &undo);
    assert_eq!(before.coins(), STATE.coins(), "disconnecting takes everything back");
}
