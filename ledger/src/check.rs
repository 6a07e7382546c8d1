//! What makes a payment valid: its form, the coins it spends, its amounts and its signatures.

use alloc::vec::Vec;

use crate::payment::TX_BYTES_MAX;
use crate::{
    Amount, Batch, Coin, Height, OutPoint, Output, OutputKind, Payment, Rules, Signature, Tx, TxError, TxInput,
};

/// The most inputs of a payment. With one output for the change it stays below [`TX_BYTES_MAX`].
pub const INPUTS_MAX: usize = 512;

/// The most outputs of a payment or a coinbase. With one input a payment stays below [`TX_BYTES_MAX`].
pub const OUTPUTS_MAX: usize = 2048;

/// The bytes of a block that are not payments, at most: header, a coinbase of few outputs, lengths.
pub(crate) const BLOCK_OVERHEAD: usize = 512;

/// Where coins can be looked up: a state, or a state and the payments that are not in it yet.
pub trait CoinView {
    /// The coin of that name, if it exists and, as far as blocks go, is unspent.
    fn coin(&self, name: &OutPoint) -> Option<Coin>;
}

/// The longest payment that a block of this chain has room for, in bytes.
pub fn payment_bytes_max(rules: &Rules) -> usize {
    TX_BYTES_MAX.min((rules.params.block_bytes_max as usize).saturating_sub(BLOCK_OVERHEAD))
}

/// Checks everything about a payment that would be in a block at `height`, and gives its fee.
pub fn check_payment(view: &impl CoinView, rules: &Rules, tx: &Tx, height: Height) -> Result<Amount, TxError> {
    check_form(rules, tx)?;
    let fee = check_coins(view, rules, tx, height, |_, _| {})?;
    check_signatures(tx)?;
    Ok(fee)
}

/// Checks about a payment what needs no coins: its form and its signatures.
pub fn check_alone(rules: &Rules, tx: &Tx) -> Result<(), TxError> {
    check_form(rules, tx)?;
    check_signatures(tx)
}

/// What needs nothing but the payment.
pub(crate) fn check_form(rules: &Rules, tx: &Tx) -> Result<(), TxError> {
    if tx.chain != rules.chain {
        return Err(TxError::ForeignChain { expected: rules.chain, got: tx.chain });
    }
    if tx.inputs.is_empty() || tx.inputs.len() > INPUTS_MAX {
        return Err(TxError::InputCount { expected: INPUTS_MAX, got: tx.inputs.len() });
    }
    if tx.outputs.is_empty() || tx.outputs.len() > OUTPUTS_MAX {
        return Err(TxError::OutputCount { expected: OUTPUTS_MAX, got: tx.outputs.len() });
    }
    let bytes_max = payment_bytes_max(rules);
    if tx.len() > bytes_max {
        return Err(TxError::Size { expected: bytes_max, got: tx.len() });
    }
    if let Some(output) = tx.outputs.iter().position(is_zero) {
        return Err(TxError::ZeroOutput { output });
    }
    if rules.stake.is_none()
        && let Some(output) = tx.outputs.iter().position(is_locked)
    {
        return Err(TxError::StakeUnknown { output });
    }
    if let Some(input) = tx.inputs.iter().position(|input| input.signature == Signature::NONE) {
        return Err(TxError::Signature { input });
    }
    match twice(&tx.inputs) {
        Some(coin) => Err(TxError::Twice { coin }),
        None => Ok(()),
    }
}

/// What needs the coins; gives the fee. `spend` is told each coin, in order, until something is found wrong.
pub(crate) fn check_coins(
    view: &impl CoinView,
    rules: &Rules,
    payment: &Payment,
    height: Height,
    mut spend: impl FnMut(OutPoint, Coin),
) -> Result<Amount, TxError> {
    let (mut available, mut locked) = (Amount::ZERO, Amount::ZERO);
    for (index, input) in payment.inputs.iter().enumerate() {
        let coin = view.coin(&input.coin).ok_or(TxError::MissingCoin { coin: input.coin })?;
        let mature = coin.spendable_from(rules);
        if height < mature {
            return Err(TxError::Immature { coin: input.coin, expected: mature, got: height });
        }
        if input.key.address() != coin.output.to {
            return Err(TxError::Key { input: index });
        }
        available = available.checked_add(coin.output.amount).ok_or(TxError::AmountOverflow)?;
        if coin.output.kind == OutputKind::Stake {
            locked = locked.checked_add(coin.output.amount).ok_or(TxError::AmountOverflow)?;
        }
        spend(input.coin, coin);
    }
    check_stake(payment, locked)?;
    let paid = payment.outputs.iter().map(|output| output.amount);
    let paid = Amount::checked_sum(paid).ok_or(TxError::AmountOverflow)?;
    available.checked_sub(paid).ok_or(TxError::Overspend { expected: available, got: paid })
}

/// Whether every input's key signed the payment's id. Good signatures are remembered in the payment.
pub(crate) fn check_signatures(tx: &Tx) -> Result<(), TxError> {
    if tx.is_known_signed() {
        return Ok(());
    }
    let id = tx.id();
    let fits = |input: &TxInput| input.key.verify(id.0.as_slice(), &input.signature);
    if let Some(input) = tx.inputs.iter().position(|input| !fits(input)) {
        return Err(TxError::Signature { input });
    }
    tx.set_known_signed();
    Ok(())
}

/// Checks the signatures of many payments together; on failure says which payment was at fault and how.
pub(crate) fn check_signatures_of(payments: &[Tx]) -> Result<(), (usize, TxError)> {
    let mut first = 0;
    while first < payments.len() {
        let mut batch = Batch::new();
        let mut end = first;
        while let Some(tx) = payments.get(end).filter(|_| batch.len() < BATCH_MAX) {
            end += 1;
            if tx.is_known_signed() {
                continue;
            }
            for input in &tx.inputs {
                batch.queue(input.key, input.signature, tx.id().0.as_slice());
            }
        }
        let members = &payments[first..end];
        if batch.verify() {
            members.iter().for_each(Tx::set_known_signed);
        } else {
            for (place, tx) in members.iter().enumerate() {
                check_signatures(tx).map_err(|error| (first + place, error))?;
            }
            // Under ZIP-215 a batch holds exactly if each member does, but for a chance of 2^-128. Each one was just
            // found good, and the single check is the rule.
        }
        first = end;
    }
    Ok(())
}

/// Whether a payment that spends so much stake leaves it where it can still be lost: what was locked stays its owner's,
/// as stake or on its way to be unlocked, to the last unit, so that the fee comes from elsewhere. Nor is more on its way
/// than was locked.
fn check_stake(payment: &Payment, spent: Amount) -> Result<(), TxError> {
    if spent == Amount::ZERO && !payment.outputs.iter().any(is_locked) {
        return Ok(());
    }
    let sum = |kind| {
        let of_kind = payment.outputs.iter().filter(|output| output.kind == kind);
        Amount::checked_sum(of_kind.map(|output| output.amount)).ok_or(TxError::AmountOverflow)
    };
    let mut owners = payment.inputs.iter().map(|input| input.key);
    let owner = owners.next().ok_or(TxError::InputCount { expected: INPUTS_MAX, got: 0 })?;
    if let Some(input) = owners.position(|other| other != owner) {
        return Err(TxError::StakeShared { input: input + 1 });
    }
    let owner = owner.address();
    if let Some(output) = payment.outputs.iter().position(|output| is_locked(output) && output.to != owner) {
        return Err(TxError::StakeForeign { output });
    }
    let (stake, unbonding) = (sum(OutputKind::Stake)?, sum(OutputKind::Unbonding)?);
    if unbonding > spent {
        return Err(TxError::StakeUnlock { expected: spent, got: unbonding });
    }
    let kept = stake.checked_add(unbonding).ok_or(TxError::AmountOverflow)?;
    if kept < spent {
        return Err(TxError::StakeSpent { expected: spent, got: kept });
    }
    Ok(())
}

/// Whether an output is stake, or was and is not unlocked yet.
pub(crate) fn is_locked(output: &Output) -> bool {
    match output.kind {
        OutputKind::Plain => false,
        OutputKind::Stake | OutputKind::Unbonding => true,
    }
}

/// Whether an output pays nothing.
pub(crate) fn is_zero(output: &Output) -> bool {
    output.amount == Amount::ZERO
}

fn twice(inputs: &[TxInput]) -> Option<OutPoint> {
    if inputs.len() < 2 {
        return None;
    }
    let mut coins: Vec<OutPoint> = inputs.iter().map(|input| input.coin).collect();
    coins.sort_unstable();
    coins.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
}

/// From this many signatures on a batch is closed: larger ones gain little and hold more memory.
const BATCH_MAX: usize = 1024;
