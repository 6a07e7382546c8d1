//! Blocks that are not sealed yet, whatever the engine.

use alloc::vec::Vec;

use synod_ledger::{Address, Amount, Block, BlockId, Coinbase, Header, Height, Output, Seal, Tx};
use synod_machine::Time;

use super::Replica;

/// Room for header, coinbase and lengths beside the payments.
const ENVELOPE_BYTES: usize = 1_024;
/// Room for a validator's vote: its number, a signature and its length.
const VOTE_BYTES: usize = 66;

/// A block whose seal may still change.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) header: Header,
    coinbase: Coinbase,
    payments: Vec<Tx>,
}

impl Draft {
    pub(super) fn into_block(self) -> Block {
        Block::new(self.header, self.coinbase, self.payments)
    }
}

impl Replica {
    /// A block on the present tip with the mempool's best payments, whose reward goes to `to`.
    pub(super) fn draft(&self, now: Time, to: Option<Address>, seal: Seal) -> Draft {
        let parent = self.state.tip();
        let time = now.max(self.chain.rule().earliest(&self.tree, &parent));
        let payments = self.mempool.select(self.payments_bytes_max());
        self.assemble((parent, self.state.height()), time, payments, to, seal)
    }

    /// A block of payments of the mempool on a parent, which is given with its height.
    pub(super) fn assemble(
        &self,
        (parent, below): (BlockId, Height),
        time: Time,
        payments: Vec<Tx>,
        to: Option<Address>,
        seal: Seal,
    ) -> Draft {
        let (rules, height) = (self.chain.rules(), below.next());
        let fees = payments.iter().fold(Amount::ZERO, |sum, tx| {
            let fee = self.mempool.fee(&tx.id()).expect("selected payments are in the mempool");
            sum.checked_add(fee).expect("fees are part of a bounded supply")
        });
        let reward = rules.subsidy(height).checked_add(fees).expect("subsidy and fees are part of a bounded supply");
        let to = to.filter(|_| reward > Amount::ZERO);
        let outputs = to.into_iter().map(|to| Output::plain(reward, to)).collect();
        let coinbase = Coinbase { chain: rules.chain, height, extra: self.mining.extra(), outputs };
        let root = Block::root_of(&coinbase, &payments);
        let header = Header { chain: rules.chain, parent, height, time, root, seal };
        Draft { header, coinbase, payments }
    }

    /// How many bytes of payments fit into a block.
    pub(super) fn payments_bytes_max(&self) -> usize {
        let votes = self.chain.agreed().map_or(0, |agreed| agreed.validators().len() * VOTE_BYTES);
        (self.chain.rules().params.block_bytes_max as usize).saturating_sub(ENVELOPE_BYTES + votes)
    }
}
