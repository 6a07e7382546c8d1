//! The ledger's parameters and how much money they issue.

use serde::{Deserialize, Serialize};

use crate::{Amount, ChainId, Height};

/// What the ledger of a chain allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerParams {
    /// What the maker of the first block may claim on top of the fees.
    pub subsidy: Amount,
    /// After how many blocks the subsidy is halved, again and again.
    pub halving_interval: u64,
    /// How many blocks after its own a coinbase can be spent.
    pub maturity: u64,
    /// The longest encoding of a block.
    pub block_bytes_max: u32,
    /// The smallest fee of a payment that a mempool takes. Blocks may contain payments with smaller ones.
    pub fee_min: Amount,
}

/// What connecting a block needs to know of its chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The chain.
    pub chain: ChainId,
    /// What it allows.
    pub params: LedgerParams,
    /// What becomes of stakes, where blocks are made by stake.
    pub stake: Option<StakeRules>,
}

/// What the ledger needs to know of stakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StakeRules {
    /// How far below a block's parent the stakes are read that may win it.
    pub depth: u32,
    /// How many blocks after its own an unlocked stake can be spent.
    pub unbonding: u64,
    /// Whether two signatures at one height or second cost the stake.
    pub slasher: bool,
    /// How much of a lost stake goes to the maker of the block with the evidence, in parts of 256.
    pub finder_share: u8,
}

impl StakeRules {
    /// What the maker of the block may claim that proves an offence. The rest of the lost stake is burnt.
    pub fn finder_reward(&self, lost: Amount) -> Amount {
        // A part of 256 is less than the whole, which fits.
        Amount((u128::from(lost.0) * u128::from(self.finder_share) / 256) as u64)
    }
}

impl Rules {
    /// What the maker of the block at `height` may claim on top of the fees. The genesis has no maker.
    pub const fn subsidy(&self, height: Height) -> Amount {
        let Some(blocks_before) = height.0.checked_sub(1) else { return Amount::ZERO };
        let halvings = blocks_before / self.params.halving_interval;
        if halvings < 64 { Amount(self.params.subsidy.0 >> halvings) } else { Amount::ZERO }
    }

    /// The sum of all subsidies up to and including `height`. Saturates at the largest number there is.
    pub fn issued(&self, height: Height) -> Amount {
        let interval = self.params.halving_interval;
        let mut blocks_left = height.0;
        let mut total = 0_u64;
        for halvings in 0..64 {
            let subsidy = self.params.subsidy.0 >> halvings;
            let blocks = blocks_left.min(interval);
            total = total.saturating_add(subsidy.saturating_mul(blocks));
            blocks_left -= blocks;
            if subsidy == 0 || blocks_left == 0 {
                break;
            }
        }
        Amount(total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(subsidy: u64, halving_interval: u64) -> Rules {
        let fee_min = Amount::ZERO;
        let subsidy = Amount(subsidy);
        let params = LedgerParams { subsidy, halving_interval, maturity: 0, block_bytes_max: 0, fee_min };
        Rules { chain: ChainId::default(), params, stake: None }
    }

    #[test]
    fn the_subsidy_is_halved_after_each_interval() {
        let rules = rules(50, 3);
        let subsidies: alloc::vec::Vec<u64> = (0..=22).map(|height| rules.subsidy(Height(height)).0).collect();
        assert_eq!(subsidies, [0, 50, 50, 50, 25, 25, 25, 12, 12, 12, 6, 6, 6, 3, 3, 3, 1, 1, 1, 0, 0, 0, 0]);
        assert_eq!(rules.subsidy(Height(u64::MAX)), Amount::ZERO);
    }

    #[test]
    fn what_was_issued_is_the_sum_of_the_subsidies() {
        for (subsidy, interval) in [(50, 3), (1, 1), (0, 7), (1_000, 1), (7, 100)] {
            let rules = rules(subsidy, interval);
            let mut total = 0;
            for height in 0..=60 {
                total += rules.subsidy(Height(height)).0;
                assert_eq!(
                    rules.issued(Height(height)),
                    Amount(total),
                    "{subsidy} halved every {interval} at {height}"
                );
            }
        }
        // Bitcoin's schedule stays below 21 million coins.
        let bitcoin = rules(50 * Amount::COIN, 210_000);
        assert_eq!(bitcoin.issued(Height(u64::MAX)), Amount(2_099_999_997_690_000));
        assert_eq!(rules(u64::MAX, u64::MAX).issued(Height(u64::MAX)), Amount(u64::MAX), "saturates");
    }
}
