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
