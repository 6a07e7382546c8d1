//! Blocks that are not sealed yet, whatever the engine.

use alloc::vec::Vec;

use synod_ledger::{Address, Amount, Block, BlockId, Coinbase, Evidence, Header, Height, Output, Seal, Tx};
use synod_machine::{Time, wire};

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
    evidence: Vec<Evidence>,
}

impl Draft {
    pub(super) fn into_block(self) -> Block {
        Block::with_evidence(self.header, self.coinbase, self.payments, self.evidence)
    }
}

impl Replica {
    /// A block on the present tip with the mempool's best payments and the evidence that waits, whose reward goes to `to`.
    pub(super) fn draft(&self, now: Time, to: Option<Address>, seal: Seal) -> Draft {
        let parent = self.state.tip();
        let time = now.max(self.chain.rule().earliest(&self.tree, &parent));
        let (evidence, share) = self.usable_evidence();
        let evidence_bytes: usize = evidence.iter().map(wire::encoded_len).sum();
        let payments = self.mempool.select(self.payments_bytes_max().saturating_sub(evidence_bytes));
        self.assemble_with((parent, self.state.height()), time, payments, (evidence, share), to, seal)
    }

    /// A block of payments of the mempool on a parent, which is given with its height.
    pub(super) fn assemble(
        &self,
        parent: (BlockId, Height),
        time: Time,
        payments: Vec<Tx>,
        to: Option<Address>,
        seal: Seal,
    ) -> Draft {
        self.assemble_with(parent, time, payments, (Vec::new(), Amount::ZERO), to, seal)
    }

    /// The same with evidence, which is given with what it is worth.
    fn assemble_with(
        &self,
        (parent, below): (BlockId, Height),
        time: Time,
        payments: Vec<Tx>,
        (evidence, share): (Vec<Evidence>, Amount),
        to: Option<Address>,
        seal: Seal,
    ) -> Draft {
        let (rules, height) = (self.chain.rules(), below.next());
        let income = payments.iter().fold(share, |sum, tx| {
            let fee = self.mempool.fee(&tx.id()).expect("selected payments are in the mempool");
            sum.checked_add(fee).expect("fees and stakes are parts of a bounded supply")
        });
        let reward = rules.subsidy(height).checked_add(income).expect("a checked genesis bounds what there can be");
        let to = to.filter(|_| reward > Amount::ZERO);
        let outputs = to.into_iter().map(|to| Output::plain(reward, to)).collect();
        let coinbase = Coinbase { chain: rules.chain, height, extra: self.mining.extra(), outputs };
        let root = Block::root_with(&coinbase, &payments, &evidence);
        let header = Header { chain: rules.chain, parent, height, time, root, seal };
        Draft { header, coinbase, payments, evidence }
    }

    /// How many bytes of payments fit into a block.
    pub(super) fn payments_bytes_max(&self) -> usize {
        let votes = self.chain.agreed().map_or(0, |agreed| agreed.validators().len() * VOTE_BYTES);
        (self.chain.rules().params.block_bytes_max as usize).saturating_sub(ENVELOPE_BYTES + votes)
    }
}
