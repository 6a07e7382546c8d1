//! Making payments: choosing coins, adding up, giving change, signing.

use alloc::vec::Vec;
use core::cmp::Reverse;

use crate::{
    Address, Amount, ChainId, Coin, INPUTS_MAX, OUTPUTS_MAX, OutPoint, Output, Payment, SecretKey, Signature, Tx,
    TxInput,
};

/// Why a payment was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PaymentError {
    /// The coins do not cover what is paid and the fee.
    #[error("coins of {got}, {expected} needed")]
    InsufficientFunds {
        /// What is paid, and the fee.
        expected: Amount,
        /// What the coins are worth.
        got: Amount,
    },
    /// A key that does not own the coin it is to spend.
    #[error("coin {coin} belongs to {expected}, the key is that of {got}")]
    Key {
        /// The coin.
        coin: OutPoint,
        /// The coin's owner.
        expected: Address,
        /// The key's address.
        got: Address,
    },
    /// Nobody to pay.
    #[error("nothing to pay")]
    NoOutput,
    /// A sum that is more than there can be.
    #[error("the amounts' sum is more than there can be")]
    Overflow,
    /// More inputs than a payment may have.
    #[error("{got} coins to spend, at most {expected} in one payment")]
    TooManyInputs {
        /// The most.
        expected: usize,
        /// How many it would take.
        got: usize,
    },
    /// More outputs than a payment may have, the change counted.
    #[error("{got} outputs, at most {expected} in one payment")]
    TooManyOutputs {
        /// The most.
        expected: usize,
        /// How many it would take.
        got: usize,
    },
    /// A payment of nothing.
    #[error("an output of nothing")]
    ZeroOutput,
}

/// Chooses the largest coins, and among equals those of the smallest name, until they are worth `needed`.
///
/// The largest first makes the smallest payments; small coins remain until larger ones are spent.
pub fn choose_coins(coins: &[(OutPoint, Coin)], needed: Amount) -> Result<Vec<(OutPoint, Coin)>, PaymentError> {
    let mut sorted = coins.to_vec();
    sorted.sort_unstable_by_key(|(name, coin)| (Reverse(coin.output.amount), *name));
    let mut got = Amount::ZERO;
    let mut count = 0;
    for (_, coin) in &sorted {
        if got >= needed {
            break;
        }
        got = got.checked_add(coin.output.amount).ok_or(PaymentError::Overflow)?;
        count += 1;
    }
    if got < needed {
        return Err(PaymentError::InsufficientFunds { expected: needed, got });
    }
    if count > INPUTS_MAX {
        return Err(PaymentError::TooManyInputs { expected: INPUTS_MAX, got: count });
    }
    sorted.truncate(count);
    Ok(sorted)
}

/// A payment in the making.
#[derive(Clone, Debug)]
pub struct PaymentBuilder<'a> {
    chain: ChainId,
    coins: Vec<(OutPoint, Coin, &'a SecretKey)>,
    outputs: Vec<Output>,
    fee: Amount,
}

impl<'a> PaymentBuilder<'a> {
    /// A payment on `chain` of nothing by nobody.
    pub const fn new(chain: ChainId) -> Self {
        Self { chain, coins: Vec::new(), outputs: Vec::new(), fee: Amount::ZERO }
    }

    /// Spends a coin, which belongs to `owner`.
    #[must_use]
    pub fn spend(mut self, name: OutPoint, coin: Coin, owner: &'a SecretKey) -> Self {
        self.coins.push((name, coin, owner));
        self
    }

    /// Pays somebody.
    #[must_use]
    pub fn pay(mut self, to: Address, amount: Amount) -> Self {
        self.outputs.push(Output { amount, to });
        self
    }

    /// Leaves a fee to the miner; without it there is none.
    #[must_use]
    pub const fn fee(mut self, fee: Amount) -> Self {
        self.fee = fee;
        self
    }

    /// Gives what is left to `change`, in a last output, and signs.
    pub fn build(mut self, change: Address) -> Result<Tx, PaymentError> {
        let available = Amount::checked_sum(self.coins.iter().map(|(_, coin, _)| coin.output.amount));
        let available = available.ok_or(PaymentError::Overflow)?;
        let paid = Amount::checked_sum(self.outputs.iter().map(|output| output.amount));
        let needed = paid.and_then(|paid| paid.checked_add(self.fee)).ok_or(PaymentError::Overflow)?;
        let short = PaymentError::InsufficientFunds { expected: needed, got: available };
        let left = available.checked_sub(needed).ok_or(short)?;
        if left > Amount::ZERO {
            self.outputs.push(Output { amount: left, to: change });
        }
        self.check()?;
        let unsigned = |(name, _, owner): &(OutPoint, Coin, &SecretKey)| TxInput {
            coin: *name,
            key: owner.public(),
            signature: Signature::NONE,
        };
        let inputs = self.coins.iter().map(unsigned).collect();
        let mut payment = Payment { chain: self.chain, inputs, outputs: self.outputs };
        let id = payment.digest();
        for (input, (_, _, owner)) in payment.inputs.iter_mut().zip(&self.coins) {
            input.signature = owner.sign(id.0.as_slice());
        }
        Ok(Tx::from(payment))
    }

    fn check(&self) -> Result<(), PaymentError> {
        for (name, coin, owner) in &self.coins {
            let (expected, got) = (coin.output.to, owner.address());
            if expected != got {
                return Err(PaymentError::Key { coin: *name, expected, got });
            }
        }
        if self.coins.len() > INPUTS_MAX {
            return Err(PaymentError::TooManyInputs { expected: INPUTS_MAX, got: self.coins.len() });
        }
        if self.outputs.len() > OUTPUTS_MAX {
            return Err(PaymentError::TooManyOutputs { expected: OUTPUTS_MAX, got: self.outputs.len() });
        }
        if self.outputs.is_empty() {
            return Err(PaymentError::NoOutput);
        }
        if self.outputs.iter().any(crate::check::is_zero) {
            return Err(PaymentError::ZeroOutput);
        }
        Ok(())
    }
}
