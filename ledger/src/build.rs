//! Making payments: choosing coins, adding up, giving change, signing.

use alloc::vec::Vec;
use core::cmp::Reverse;

use crate::{
    Address, Amount, ChainId, Coin, INPUTS_MAX, OUTPUTS_MAX, OutPoint, Output, OutputKind, Payment, SecretKey,
    Signature, Tx, TxInput,
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

/// Chooses the largest coins that are not stake, and among equals those of the smallest name, until they are worth `needed`.
///
/// The largest first makes the smallest payments; small coins remain until larger ones are spent.
pub fn choose_coins(coins: &[(OutPoint, Coin)], needed: Amount) -> Result<Vec<(OutPoint, Coin)>, PaymentError> {
    let is_money = |(_, coin): &&(OutPoint, Coin)| coin.output.kind != OutputKind::Stake;
    choose(coins.iter().filter(is_money).copied().collect(), needed)
}

fn choose(mut sorted: Vec<(OutPoint, Coin)>, needed: Amount) -> Result<Vec<(OutPoint, Coin)>, PaymentError> {
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

/// A payment that locks an amount as the owner's stake, out of the owner's `coins` that can be spent.
pub fn lock_stake(
    chain: ChainId,
    coins: &[(OutPoint, Coin)],
    owner: &SecretKey,
    amount: Amount,
    fee: Amount,
) -> Result<Tx, PaymentError> {
    let needed = amount.checked_add(fee).ok_or(PaymentError::Overflow)?;
    let mut builder = PaymentBuilder::new(chain);
    for (name, coin) in choose_coins(coins, needed)? {
        builder = builder.spend(name, coin, owner);
    }
    builder.lock(owner.address(), amount).fee(fee).build(owner.address())
}

/// A payment that begins to unlock an amount of the owner's stake and locks the rest of what it takes for it again. The
/// fee comes out of the other ones of the owner's `coins`.
pub fn unlock_stake(
    chain: ChainId,
    coins: &[(OutPoint, Coin)],
    owner: &SecretKey,
    amount: Amount,
    fee: Amount,
) -> Result<Tx, PaymentError> {
    let locked: Vec<(OutPoint, Coin)> =
        coins.iter().filter(|(_, coin)| coin.output.kind == OutputKind::Stake).copied().collect();
    let stakes = choose(locked, amount)?;
    let taken = Amount::checked_sum(stakes.iter().map(|(_, coin)| coin.output.amount)).ok_or(PaymentError::Overflow)?;
    let rest = taken.checked_sub(amount).expect("the stakes cover it");
    let mut builder = PaymentBuilder::new(chain);
    for (name, coin) in stakes.into_iter().chain(choose_coins(coins, fee)?) {
        builder = builder.spend(name, coin, owner);
    }
    builder = builder.unlock(owner.address(), amount);
    if rest > Amount::ZERO {
        builder = builder.lock(owner.address(), rest);
    }
    builder.fee(fee).build(owner.address())
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
        self.outputs.push(Output::plain(amount, to));
        self
    }

    /// Locks an amount as the spender's own stake. All coins that are spent must be one key's.
    #[must_use]
    pub fn lock(mut self, owner: Address, amount: Amount) -> Self {
        self.outputs.push(Output::stake(amount, owner));
        self
    }

    /// Begins to unlock an amount of the spender's own stake. What is spent of that and not unlocked must be locked
    /// again, and the fee comes from other coins.
    #[must_use]
    pub fn unlock(mut self, owner: Address, amount: Amount) -> Self {
        self.outputs.push(Output::unbonding(amount, owner));
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
            self.outputs.push(Output::plain(left, change));
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

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::testing::{address, chain, coin, key};
    use crate::{Height, State, check_payment};

    fn amounts(tx: &Tx) -> Vec<u64> {
        tx.outputs.iter().map(|output| output.amount.0).collect()
    }

    fn of_one(state: &State, owner: &'static SecretKey) -> PaymentBuilder<'static> {
        let (name, coin) = coin(state, 1, 0);
        PaymentBuilder::new(chain().0.chain).spend(name, coin, owner)
    }

    /// The first person's key, which outlives the builders of a test.
    fn one() -> &'static SecretKey {
        alloc::boxed::Box::leak(alloc::boxed::Box::new(key(1)))
    }

    #[test]
    fn what_is_left_comes_back_and_nothing_is_no_output() {
        let (rules, state) = chain();
        let builder = of_one(&state, one()).pay(address(2), Amount(60)).fee(Amount(5));
        let tx = builder.clone().build(address(1)).expect("100 cover it");
        assert_eq!(amounts(&tx), [60, 35]);
        assert_eq!(check_payment(&state, &rules, &tx, Height(1)), Ok(Amount(5)));
        let tx = builder.clone().pay(address(3), Amount(35)).build(address(1)).expect("100 cover it");
        assert_eq!(amounts(&tx), [60, 35]);
        assert_eq!(tx.outputs[1].to, address(3));
        let short = PaymentError::InsufficientFunds { expected: Amount(101), got: Amount(100) };
        assert_eq!(builder.pay(address(3), Amount(36)).build(address(1)), Err(short));
    }

    #[test]
    fn every_mistake_has_its_error() {
        let (rules, state) = chain();
        let builder = of_one(&state, one());
        let build = |builder: PaymentBuilder<'_>| builder.build(address(1)).expect_err("a mistake");
        assert_eq!(
            build(builder.clone().pay(address(2), Amount::MAX).pay(address(2), Amount(1))),
            PaymentError::Overflow
        );
        assert_eq!(build(builder.clone().pay(address(2), Amount(1)).fee(Amount::MAX)), PaymentError::Overflow);
        assert_eq!(build(builder.clone().pay(address(2), Amount(0))), PaymentError::ZeroOutput);
        assert_eq!(build(builder.clone().fee(Amount(100))), PaymentError::NoOutput);
        let (name, coin) = coin(&state, 2, 0);
        let error = PaymentError::Key { coin: name, expected: address(2), got: address(1) };
        assert_eq!(build(builder.clone().spend(name, coin, one())), error);
        let mut many = PaymentBuilder::new(rules.chain).pay(address(2), Amount(1));
        for index in 0..=512 {
            many = many.spend(OutPoint { index, ..name }, Coin { output: crate::testing::output(1, 1), ..coin }, one());
        }
        assert_eq!(build(many), PaymentError::TooManyInputs { expected: 512, got: 513 });
        let mut many = builder;
        let rich = Coin { output: crate::testing::output(1, 3_000), ..coin };
        many = many.spend(name, rich, one());
        for _ in 0..2_048 {
            many = many.pay(address(2), Amount(1));
        }
        assert_eq!(build(many), PaymentError::TooManyOutputs { expected: 2_048, got: 2_049 });
    }

    #[test]
    fn stake_is_locked_out_of_money_and_unlocked_out_of_stake() {
        let genesis = crate::testing::stake_genesis();
        let (rules, state) = (genesis.rules(), State::genesis(&genesis));
        let (owner, coins) = (key(1), state.coins_of(&address(1)));
        let kinds = |tx: &Tx| -> Vec<(OutputKind, u64)> {
            tx.outputs.iter().map(|output| (output.kind, output.amount.0)).collect()
        };
        let checked = |tx: &Tx| check_payment(&state, &rules, tx, Height(1));
        let lock = lock_stake(rules.chain, &coins, &owner, Amount(100), Amount(5)).expect("600 of money cover it");
        assert_eq!(kinds(&lock), [(OutputKind::Stake, 100), (OutputKind::Plain, 15)]);
        assert_eq!(checked(&lock), Ok(Amount(5)));
        let unlock = unlock_stake(rules.chain, &coins, &owner, Amount(150), Amount(5)).expect("400 of stake cover it");
        let expected = [(OutputKind::Unbonding, 150), (OutputKind::Stake, 250), (OutputKind::Plain, 55)];
        assert_eq!(kinds(&unlock), expected);
        assert_eq!(checked(&unlock), Ok(Amount(5)));
        let all = unlock_stake(rules.chain, &coins, &owner, Amount(400), Amount::ZERO).expect("400 of stake cover it");
        assert_eq!(kinds(&all), [(OutputKind::Unbonding, 400)]);
        let short =
            |expected, got| Err(PaymentError::InsufficientFunds { expected: Amount(expected), got: Amount(got) });
        assert_eq!(lock_stake(rules.chain, &coins, &owner, Amount(600), Amount(1)), short(601, 600));
        assert_eq!(unlock_stake(rules.chain, &coins, &owner, Amount(401), Amount(1)), short(401, 400));
        assert_eq!(unlock_stake(rules.chain, &coins, &owner, Amount(1), Amount(601)), short(601, 600));
        assert!(
            choose_coins(&coins, Amount(1)).expect("money").iter().all(|(_, coin)| coin.output.amount < Amount(400))
        );
    }

    #[test]
    fn the_largest_coins_are_chosen_first_in_an_order_that_is_always_the_same() {
        let (_, state) = chain();
        let named = |index: u32, amount: u64| {
            let (name, coin) = coin(&state, 1, 0);
            (OutPoint { index, ..name }, Coin { output: crate::testing::output(1, amount), ..coin })
        };
        let coins = vec![named(3, 5), named(1, 7), named(2, 5), named(0, 1)];
        let chosen = |needed| choose_coins(&coins, Amount(needed));
        assert_eq!(chosen(0), Ok(vec![]));
        assert_eq!(chosen(7), Ok(vec![named(1, 7)]));
        assert_eq!(chosen(8), Ok(vec![named(1, 7), named(2, 5)]));
        assert_eq!(chosen(18).map(|coins| coins.len()), Ok(4));
        assert_eq!(chosen(19), Err(PaymentError::InsufficientFunds { expected: Amount(19), got: Amount(18) }));
        let many: Vec<_> = (0..600).map(|index| named(index, 1)).collect();
        assert_eq!(choose_coins(&many, Amount(512)).map(|coins| coins.len()), Ok(512));
        let error = PaymentError::TooManyInputs { expected: 512, got: 513 };
        assert_eq!(choose_coins(&many, Amount(513)), Err(error));
        let rich = [named(0, Amount::MAX.0), named(1, Amount::MAX.0)];
        assert_eq!(choose_coins(&rich, Amount(Amount::MAX.0 + 1)), Err(PaymentError::Overflow));
    }
}
