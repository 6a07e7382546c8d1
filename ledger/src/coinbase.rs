//! The coinbase: the first transaction of a block, which pays the miner and spends nothing.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use synod_machine::Bytes;

use crate::{Amount, ChainId, Height, OutPoint, Output, TxId, digest};

/// What a block's maker is paid: at most the subsidy and the block's fees. The genesis's holds the first balances.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coinbase {
    /// The only chain it is valid on.
    pub chain: ChainId,
    /// The height of its block, so that no two coinbases of one chain are the same.
    pub height: Height,
    /// Any number: tells apart two coinbases that pay the same and lets a miner vary the block's root.
    pub extra: u64,
    /// The coins it makes; none where there is nothing to pay.
    pub outputs: Vec<Output>,
}

impl Coinbase {
    /// Its name, under which its coins are spent.
    pub fn id(&self) -> TxId {
        TxId(digest("coinbase", self))
    }

    /// Its Merkle leaf. It has no signatures, but leaves are kept apart from ids all the same.
    pub fn leaf(&self) -> Bytes<32> {
        digest("coinbase leaf", self)
    }

    /// The coins that it makes, by name and in order.
    pub fn made(&self) -> impl Iterator<Item = (OutPoint, Output)> + '_ {
        let tx = self.id();
        (0..).zip(&self.outputs).map(move |(index, output)| (OutPoint { tx, index }, *output))
    }

    /// What it pays, unless that is more than there can be.
    pub fn total(&self) -> Option<Amount> {
        Amount::checked_sum(self.outputs.iter().map(|output| output.amount))
    }
}
