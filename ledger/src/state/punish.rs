//! What stakes do to a state: who may make a block, who has lost what, and what evidence is of use.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{Coin, State};
use crate::coins::Coins;
use crate::stake::{Change, Stakes};
use crate::{
    Address, Amount, Block, BlockError, EVIDENCE_MAX, Evidence, EvidenceError, Height, Loss, Rules, Seal, kernel,
    threshold,
};

impl State {
    /// What an address has locked. Nothing where blocks are not made by stake.
    pub fn stake_of(&self, owner: &Address) -> Amount {
        self.stakes.as_ref().map_or(Amount::ZERO, |stakes| stakes.staked(owner))
    }

    /// What of it counts for the next block: what was locked as deep below this state's tip as the chain asks, and all
    /// the time since.
    pub fn recorded_stake(&self, owner: &Address) -> Amount {
        self.stakes.as_ref().map_or(Amount::ZERO, |stakes| stakes.recorded(owner))
    }

    /// The most that can count of an address's stake for a block above `parent`, on a branch that shares the blocks up to
    /// `shared` with this state; nothing, where this state cannot say. Stakes are read some depth below, so that a state
    /// knows something of blocks above it.
    pub fn stake_bound(&self, owner: &Address, shared: Height, parent: Height) -> Option<Amount> {
        self.stakes.as_ref()?.bound(owner, shared, parent)
    }

    /// What all have locked together.
    pub fn stake_total(&self) -> Amount {
        self.stakes.as_ref().map_or(Amount::ZERO, |stakes| stakes.total())
    }

    /// Who has how much locked, by address.
    pub fn stakes(&self) -> Vec<(Address, Amount)> {
        self.stakes.iter().flat_map(|stakes| stakes.iter()).collect()
    }

    /// When an address last lost its stake.
    pub fn loss_of(&self, owner: &Address) -> Option<Height> {
        self.stakes.as_ref()?.loss(owner)
    }

    /// Whether evidence could be in the next block, and what its owner would lose at least.
    pub fn check_evidence(&self, rules: &Rules, evidence: &Evidence) -> Result<Amount, EvidenceError> {
        let height = self.height.next();
        let owner = self.offender(rules, evidence, height)?;
        let losses = self.losses_of(&self.coins, &[owner], height);
        losses.first().map(|loss| loss.amount).ok_or(EvidenceError::NoStake)
    }

    /// Of these the evidence that may be in the next block, one for each offender and no more than fits, and what its
    /// maker may claim for it.
    pub fn usable_evidence<'a>(
        &self,
        rules: &Rules,
        candidates: impl IntoIterator<Item = &'a Evidence>,
    ) -> (Vec<Evidence>, Amount) {
        let (mut chosen, mut reward): (Vec<Evidence>, Amount) = (Vec::new(), Amount::ZERO);
        for evidence in candidates {
            if chosen.len() == EVIDENCE_MAX {
                break;
            }
            if chosen.iter().any(|other| other.key() == evidence.key()) {
                continue;
            }
            let Ok(lost) = self.check_evidence(rules, evidence) else { continue };
            let share = rules.stake.map_or(Amount::ZERO, |stake| stake.finder_reward(lost));
            reward = reward.checked_add(share).expect("stakes are part of the supply");
            chosen.push(evidence.clone());
        }
        (chosen, reward)
    }

    /// Whether a coin of the set was lost.
    pub(super) fn is_lost(&self, coin: &Coin) -> bool {
        self.stakes.as_ref().is_some_and(|stakes| stakes.is_lost(coin))
    }

    /// Whether the stake of a block's maker won its second, where blocks are made by stake.
    pub(super) fn check_maker(&self, block: &Block) -> Result<(), BlockError> {
        let Some(stakes) = &self.stakes else { return Ok(()) };
        let header = block.header();
        let Seal::Stake { key, difficulty, .. } = header.seal else {
            return Err(BlockError::Stake { difficulty: 0, got: Amount::ZERO });
        };
        let owner = key.address();
        let got = stakes.recorded(&owner);
        let draw = kernel(&header.parent, &owner, header.time.as_secs());
        let has_won = threshold(got, difficulty).is_some_and(|threshold| draw <= threshold);
        if has_won { Ok(()) } else { Err(BlockError::Stake { difficulty, got }) }
    }

    /// What a block's evidence takes away. `coins` are those after its payments.
    pub(super) fn losses(&self, rules: &Rules, coins: &Coins, block: &Block) -> Result<Vec<Loss>, BlockError> {
        let evidence = block.evidence();
        if evidence.is_empty() {
            return Ok(Vec::new());
        }
        if evidence.len() > EVIDENCE_MAX {
            return Err(BlockError::EvidenceCount { expected: EVIDENCE_MAX, got: evidence.len() });
        }
        let mut owners: Vec<Address> = Vec::with_capacity(evidence.len());
        for (index, evidence) in evidence.iter().enumerate() {
            let fault = |error| BlockError::Evidence { index, error };
            let owner = self.offender(rules, evidence, block.height()).map_err(fault)?;
            if owners.contains(&owner) {
                return Err(fault(EvidenceError::Used { got: block.height() }));
            }
            owners.push(owner);
        }
        let losses = self.losses_of(coins, &owners, block.height());
        let missing = owners.iter().position(|owner| !losses.iter().any(|loss| loss.owner == *owner));
        match missing {
            Some(index) => Err(BlockError::Evidence { index, error: EvidenceError::NoStake }),
            None => Ok(losses),
        }
    }

    /// The stakes after a block at that height.
    pub(super) fn stakes_after(
        &self,
        height: Height,
        change: Option<Change>,
        losses: &[Loss],
    ) -> (Option<Arc<Stakes>>, Vec<(Address, Amount)>) {
        let Some((stakes, mut change)) = self.stakes.as_ref().zip(change) else { return (None, Vec::new()) };
        losses.iter().for_each(|loss| change.lose(loss, height));
        let (after, forgotten) = stakes.after(change);
        (Some(Arc::new(after)), forgotten)
    }

    /// Whose offence may be punished by a block at that height, whatever there is to lose.
    fn offender(&self, rules: &Rules, evidence: &Evidence, height: Height) -> Result<Address, EvidenceError> {
        let (Some(stake), Some(stakes)) = (rules.stake.filter(|stake| stake.slasher), &self.stakes) else {
            return Err(EvidenceError::Off);
        };
        // Before signatures are looked at: these cost nothing.
        let got = evidence.height();
        if got > height {
            return Err(EvidenceError::Early { expected: height, got });
        }
        let expected = Height(got.0.saturating_add(stake.unbonding));
        if height > expected {
            return Err(EvidenceError::Expired { expected, got });
        }
        let owner = evidence.check(rules.chain)?.address();
        match stakes.loss(&owner) {
            Some(before) if before >= got => Err(EvidenceError::Used { got: before }),
            Some(_) | None => Ok(owner),
        }
    }

    /// What these owners lose at that height, those left out who have nothing. It looks at every coin there is: a
    /// punishment is rare, and costs somebody a stake.
    fn losses_of(&self, coins: &Coins, owners: &[Address], height: Height) -> Vec<Loss> {
        let Some(stakes) = &self.stakes else { return Vec::new() };
        let nothing = |owner: &Address| Loss { owner: *owner, amount: Amount::ZERO, coins: 0 };
        let mut losses: Vec<Loss> = owners.iter().map(nothing).collect();
        for (_, coin) in coins.iter() {
            let Some(loss) = losses.iter_mut().find(|loss| loss.owner == coin.output.to) else { continue };
            if stakes.can_be_lost(coin, height) && !stakes.is_lost(coin) {
                let sum = loss.amount.checked_add(coin.output.amount);
                loss.amount = sum.expect("stakes are part of the supply");
                loss.coins += 1;
            }
        }
        losses.retain(|loss| loss.coins > 0);
        losses
    }
}

/// What a block's maker may claim for the stakes that its evidence takes away.
pub(super) fn reward_of(rules: &Rules, losses: &[Loss]) -> Amount {
    let Some(stake) = rules.stake else { return Amount::ZERO };
    let shares = losses.iter().map(|loss| stake.finder_reward(loss.amount));
    Amount::checked_sum(shares).expect("stakes are part of the supply")
}
