//! The set of unspent coins after a block. Copies share what they have in common, so that a state per block, and ten
//! thousand peers with the same state, cost what differs.

mod punish;

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};
use synod_machine::Wire;

use self::punish::reward_of;

use crate::check::{check_coins, check_form, check_signatures_of, is_locked, is_zero};
use crate::coins::{Coins, Edit};
use crate::stake::Stakes;
use crate::{
    Address, Amount, BLOCK_BYTES_MAX, Block, BlockError, BlockId, CoinView, Genesis, Height, Loss, OUTPUTS_MAX,
    OutPoint, Output, OutputKind, Rules,
};

/// An output that is not spent yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coin {
    /// How much and whose.
    pub output: Output,
    /// The height of the block that made it.
    pub height: Height,
    /// Whether it is subject to maturity. The genesis's coins are not.
    pub coinbase: bool,
}

impl Coin {
    /// The first height at which it can be spent.
    pub fn spendable_from(&self, rules: &Rules) -> Height {
        let unbonding = rules.stake.filter(|_| self.output.kind == OutputKind::Unbonding);
        let wait = if self.coinbase { rules.params.maturity } else { unbonding.map_or(0, |stake| stake.unbonding) };
        Height(self.height.0.saturating_add(wait))
    }
}

/// The coins that a block spent, in the order of its inputs: what [`State::disconnect`] needs beside the block.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undo {
    /// Each coin and its name.
    pub spent: Vec<(OutPoint, Coin)>,
    /// The stakes that were lost, in the order of the block's evidence.
    pub losses: Vec<Loss>,
    /// The stakes that were read no more from this block on, where those that were read instead differ.
    pub forgotten: Vec<(Address, Amount)>,
}

impl Wire for Undo {
    /// A spent coin has at most 75 bytes, and a stake that is forgotten 30. The input that spends a coin has 132 at least,
    /// and so has the one by which a stake had changed.
    const BYTES_MAX: usize = BLOCK_BYTES_MAX;

    fn kind(&self) -> &'static str {
        "undo"
    }
}

/// Whether [`State::connect`] checks signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signatures {
    /// They are checked, in batches.
    Check,
    /// They are not: this peer has checked the block before.
    Trust,
}

/// The unspent coins after a block. Cloning shares everything.
#[derive(Clone)]
pub struct State {
    coins: Coins,
    height: Height,
    supply: Amount,
    tip: BlockId,
    /// Nothing where blocks are not made by stake.
    stakes: Option<Arc<Stakes>>,
}

impl State {
    /// The state after the genesis block: the first balances.
    pub fn genesis(genesis: &Genesis) -> Self {
        let block = genesis.block();
        let mut coins = Coins::new().edit(block.coinbase().outputs.len());
        for (name, output) in block.coinbase().made() {
            coins.insert(name, Coin { output, height: Height::GENESIS, coinbase: false });
        }
        let coins = coins.finish();
        let supply = block.coinbase().total().expect("a checked genesis gives out no more than there can be");
        let stakes = genesis.engine.stake_rules().map(|rules| Stakes::genesis(rules, &block.coinbase().outputs));
        Self { coins, height: Height::GENESIS, supply, tip: block.id(), stakes: stakes.map(Arc::new) }
    }

    /// The block after which this is the state.
    pub const fn tip(&self) -> BlockId {
        self.tip
    }

    /// That block's height.
    pub const fn height(&self) -> Height {
        self.height
    }

    /// The sum of all coins.
    pub const fn supply(&self) -> Amount {
        self.supply
    }

    /// The coin of that name, if it is unspent and was not lost.
    pub fn coin(&self, name: &OutPoint) -> Option<Coin> {
        self.coins.get(name).copied().filter(|coin| !self.is_lost(coin))
    }

    /// How many coins there are.
    pub fn coin_count(&self) -> usize {
        self.coins.len() - self.stakes.as_ref().map_or(0, |stakes| stakes.coins_lost() as usize)
    }

    /// All coins of `owner`, by name. It looks at every coin there is.
    pub fn coins_of(&self, owner: &Address) -> Vec<(OutPoint, Coin)> {
        self.sorted(|coin| coin.output.to == *owner)
    }

    /// All coins, by name.
    pub fn coins(&self) -> Vec<(OutPoint, Coin)> {
        self.sorted(|_| true)
    }

    /// The sum of all coins, added up anew; it equals [`supply`](State::supply) or something is broken.
    pub fn audit(&self) -> Amount {
        let kept = self.coins.iter().filter(|(_, coin)| !self.is_lost(coin));
        let amounts = kept.map(|(_, coin)| coin.output.amount);
        Amount::checked_sum(amounts).expect("a chain issues no more than there can be")
    }

    /// The state after `block`, and what is needed to come back.
    pub fn connect(
        &self,
        rules: &Rules,
        block: &Block,
        signatures: Signatures,
    ) -> Result<(Self, Arc<Undo>), BlockError> {
        self.check_header(rules, block)?;
        self.check_maker(block)?;
        check_coinbase(rules, block)?;
        let mut stakes = self.stakes.as_ref().map(|stakes| stakes.change());
        let mut coins = self.coins.edit(changes_of(block));
        let mut spent = Vec::with_capacity(block.payments().len());
        let mut fees = Amount::ZERO;
        for (index, tx) in block.payments().iter().enumerate() {
            let fault = |error| BlockError::Payment { index, error };
            check_form(rules, tx).map_err(fault)?;
            let first = spent.len();
            let spend = |name, coin| spent.push((name, coin));
            let view = View { coins: &coins, state: self };
            let fee = check_coins(&view, rules, tx, block.height(), spend).map_err(fault)?;
            for (name, coin) in &spent[first..] {
                coins.remove(name);
                stakes.iter_mut().for_each(|stakes| stakes.unlock(&coin.output));
            }
            for (name, output) in tx.made() {
                stakes.iter_mut().for_each(|stakes| stakes.lock(&output));
                coins.insert(name, Coin { output, height: block.height(), coinbase: false });
            }
            fees = fees.checked_add(fee).expect("fees come out of coins");
        }
        if signatures == Signatures::Check {
            check_signatures_of(block.payments()).map_err(|(index, error)| BlockError::Payment { index, error })?;
        }
        for (name, output) in block.coinbase().made() {
            coins.insert(name, Coin { output, height: block.height(), coinbase: true });
        }
        let coins = coins.finish();
        // Last, so that what a payment of this block locks or unlocks is lost too.
        let losses = self.losses(rules, &coins, block)?;
        let supply = self.supply_after(rules, block, fees, &losses)?;
        let (stakes, forgotten) = self.stakes_after(block.height(), stakes, &losses);
        let after = Self { coins, height: block.height(), supply, tip: block.id(), stakes };
        Ok((after, Arc::new(Undo { spent, losses, forgotten })))
    }

    /// The state before `block`, which is the tip. `undo` is what connecting it gave.
    pub fn disconnect(&self, block: &Block, undo: &Undo) -> Self {
        assert!(block.id() == self.tip, "only the tip can be disconnected");
        let inputs: usize = block.payments().iter().map(|tx| tx.inputs.len()).sum();
        assert!(undo.spent.len() == inputs, "the undo data belongs to the block");
        let mut coins = self.coins.edit(changes_of(block));
        let mut removed = Amount::ZERO;
        for (name, output) in block.coinbase().made() {
            removed = removed.checked_add(output.amount).expect("the coinbase was connected");
            assert!(coins.get(&name).is_some(), "the tip's coinbase is unspent");
            coins.remove(&name);
        }
        let mut end = undo.spent.len();
        let mut supply = self.supply.checked_sub(removed).expect("the coinbase is part of the supply");
        for tx in block.payments().iter().rev() {
            for (name, output) in tx.made() {
                supply = supply.checked_sub(output.amount).expect("outputs are part of the supply");
                assert!(coins.get(&name).is_some(), "what spent this output has been undone");
                coins.remove(&name);
            }
            let start = end - tx.inputs.len();
            for (name, coin) in &undo.spent[start..end] {
                supply = supply.checked_add(coin.output.amount).expect("the coin was part of the supply before");
                coins.insert(*name, *coin);
            }
            end = start;
        }
        for loss in &undo.losses {
            supply = supply.checked_add(loss.amount).expect("the stake was part of the supply before");
        }
        let coins = coins.finish();
        let stakes = self.stakes.as_ref().map(|stakes| Arc::new(stakes.before(&undo.forgotten, &undo.losses)));
        Self { coins, height: Height(self.height.0 - 1), supply, tip: block.header().parent, stakes }
    }

    fn check_header(&self, rules: &Rules, block: &Block) -> Result<(), BlockError> {
        let header = block.header();
        if header.chain != rules.chain {
            return Err(BlockError::Chain { expected: rules.chain, got: header.chain });
        }
        if header.parent != self.tip {
            return Err(BlockError::Parent { expected: self.tip, got: header.parent });
        }
        if header.height != self.height.next() {
            return Err(BlockError::Height { expected: self.height.next(), got: header.height });
        }
        let root = block.merkle_root();
        if header.root != root {
            return Err(BlockError::Root { expected: header.root, got: root });
        }
        // From here on the header answers for the content: whatever is wrong, the id is that of an invalid block.
        let bytes_max = rules.params.block_bytes_max as usize;
        let got = block.len_without_votes();
        if got > bytes_max {
            return Err(BlockError::Size { expected: bytes_max, got });
        }
        Ok(())
    }

    /// What the coinbase claims becomes money; what it could have claimed and did not is lost.
    fn supply_after(&self, rules: &Rules, block: &Block, fees: Amount, losses: &[Loss]) -> Result<Amount, BlockError> {
        let subsidy = rules.subsidy(block.height());
        let reward = reward_of(rules, losses);
        let allowed = subsidy.checked_add(fees).and_then(|sum| sum.checked_add(reward));
        let allowed = allowed.expect("a checked genesis issues no more than there can be");
        let Some(claimed) = block.coinbase().total() else {
            return Err(BlockError::Subsidy { expected: allowed, got: Amount(u64::MAX) });
        };
        if claimed > allowed {
            return Err(BlockError::Subsidy { expected: allowed, got: claimed });
        }
        let lost = Amount::checked_sum(losses.iter().map(|loss| loss.amount)).expect("stakes are part of the supply");
        let kept = self.supply.checked_sub(fees).expect("fees come out of coins");
        let kept = kept.checked_sub(lost).expect("stakes are part of the supply");
        Ok(kept.checked_add(claimed).expect("a checked genesis issues no more than there can be"))
    }

    fn sorted(&self, keep: impl Fn(&Coin) -> bool) -> Vec<(OutPoint, Coin)> {
        let kept = self.coins.iter().filter(|(_, coin)| keep(coin) && !self.is_lost(coin));
        let mut coins: Vec<_> = kept.map(|(name, coin)| (*name, *coin)).collect();
        coins.sort_unstable_by_key(|(name, _)| *name);
        coins
    }
}

impl CoinView for State {
    fn coin(&self, name: &OutPoint) -> Option<Coin> {
        Self::coin(self, name)
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "State({:?} at {}, {} coins)", self.tip.0, self.height, self.coins.len())
    }
}

impl PartialEq for State {
    /// Compares every coin.
    fn eq(&self, other: &Self) -> bool {
        let tips = self.tip == other.tip && self.height == other.height;
        tips && self.supply == other.supply && self.stakes == other.stakes && self.coins() == other.coins()
    }
}

impl Eq for State {}

/// The coins half-way through a block, and the state before it.
struct View<'a> {
    coins: &'a Edit,
    state: &'a State,
}

impl CoinView for View<'_> {
    fn coin(&self, name: &OutPoint) -> Option<Coin> {
        self.coins.get(name).copied().filter(|coin| !self.state.is_lost(coin))
    }
}

fn check_coinbase(rules: &Rules, block: &Block) -> Result<(), BlockError> {
    let coinbase = block.coinbase();
    if coinbase.chain != rules.chain {
        return Err(BlockError::CoinbaseChain { expected: rules.chain, got: coinbase.chain });
    }
    if coinbase.height != block.height() {
        return Err(BlockError::CoinbaseHeight { expected: block.height(), got: coinbase.height });
    }
    if coinbase.outputs.len() > OUTPUTS_MAX {
        return Err(BlockError::CoinbaseOutputCount { expected: OUTPUTS_MAX, got: coinbase.outputs.len() });
    }
    if let Some(output) = coinbase.outputs.iter().position(is_locked) {
        return Err(BlockError::CoinbaseStake { output });
    }
    match coinbase.outputs.iter().position(is_zero) {
        Some(output) => Err(BlockError::CoinbaseZeroOutput { output }),
        None => Ok(()),
    }
}

/// How many coins a block makes and spends.
fn changes_of(block: &Block) -> usize {
    let moved = block.payments().iter().map(|tx| tx.inputs.len() + tx.outputs.len());
    block.coinbase().outputs.len() + moved.sum::<usize>()
}

#[cfg(test)]
mod tests;
