//! Why a peer's input was refused.

use core::fmt;

/// The closed list of a peer's mistakes. Hosts count them by [`name`](Reject::name), so that each shows in the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reject {
    /// A block with no coinbase in the first place, or a second one.
    BlockCoinbase,
    /// Evidence of an offence that is none, or of no use any more.
    BlockEvidence,
    /// Evidence on a chain that does not punish.
    BlockEvidenceOff,
    /// A header made for another chain.
    BlockForeignChain,
    /// A block whose height is not its parent's plus one.
    BlockHeight,
    /// A block that builds on an invalid one.
    BlockParent,
    /// A block whose Merkle root is not that of its transactions.
    BlockRoot,
    /// A block whose seal does not prove what it must.
    BlockSeal,
    /// A block larger than the chain allows.
    BlockSize,
    /// A block of a wallet whose stake did not win it.
    BlockStake,
    /// A block whose coinbase pays more than subsidy and fees.
    BlockSubsidy,
    /// A block that states another target than the retarget rule gives.
    BlockTarget,
    /// A block from too far in the future.
    BlockTimeFuture,
    /// A block not later than the median of those before it.
    BlockTimePast,
    /// A block with a transaction that is not valid there.
    BlockTransaction,
    /// A content that is not the one that was asked for.
    ContentHash,
    /// Bytes that are not the one encoding of a message.
    Malformed,
    /// A node that answers for another, or says that it is one.
    NodeForeign,
    /// A node where its place in the overlay does not allow it to be.
    NodePlace,
    /// More bytes than a message of that type may have.
    Oversized,
    /// A query that may go further than queries go.
    QueryHops,
    /// More nodes, hits or words than a message lists, or the same one twice.
    QueryList,
    /// More requests or announcements than one peer may have open.
    TooMany,
    /// Amounts whose sum does not fit.
    TxAmountOverflow,
    /// An output of nothing, or more outputs or inputs than allowed.
    TxForm,
    /// A transaction made for another chain.
    TxForeignChain,
    /// A fee below what the mempool takes.
    TxFeeTooLow,
    /// A coinbase spent before it is mature.
    TxImmature,
    /// A key that does not belong to the address it spends from.
    TxKey,
    /// A coin that does not exist or is spent.
    TxMissingCoin,
    /// More paid out than put in.
    TxOverspend,
    /// A coin that an earlier transaction in the mempool spends.
    TxConflict,
    /// A payment for which the mempool has no room.
    TxPoolFull,
    /// A transaction larger than allowed.
    TxSize,
    /// A signature that does not fit its key and transaction.
    TxSignature,
    /// Stake that is made, spent or unlocked in a way that is not allowed.
    TxStake,
    /// The same coin twice in one transaction.
    TxTwice,
    /// An answer to no question of ours.
    Unsolicited,
    /// A value that is longer than values are, or one that nobody may store there.
    ValueForm,
    /// A certificate that does not prove what it is said to.
    VoteCertificate,
    /// A view change whose proofs do not hold.
    VoteChange,
    /// A new view that does not follow from the view changes that it carries.
    VoteNewView,
    /// A vote that is another's to cast: the primary's by a backup, or the other way round.
    VotePrimary,
    /// A proposal that is not the one that its order names, or that no honest primary makes.
    VoteProposal,
    /// A vote whose signature is not its validator's.
    VoteSignature,
    /// A vote of somebody who is no validator.
    VoteStranger,
}

impl Reject {
    /// Whether only a faulty or malicious peer sends this. The others happen between honest peers too: a payment that
    /// crosses a block, a block from a clock that is slightly ahead.
    pub const fn is_fault(self) -> bool {
        !matches!(
            self,
            Self::BlockParent
                | Self::BlockTimeFuture
                | Self::TxConflict
                | Self::TxFeeTooLow
                | Self::TxImmature
                | Self::TxMissingCoin
                | Self::TxPoolFull
                | Self::TooMany
                | Self::Unsolicited
        )
    }

    /// Its name in metrics, logs and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BlockCoinbase => "block_coinbase",
            Self::BlockEvidence => "block_evidence",
            Self::BlockEvidenceOff => "block_evidence_off",
            Self::BlockForeignChain => "block_foreign_chain",
            Self::BlockHeight => "block_height",
            Self::BlockParent => "block_parent",
            Self::BlockRoot => "block_root",
            Self::BlockSeal => "block_seal",
            Self::BlockSize => "block_size",
            Self::BlockStake => "block_stake",
            Self::BlockSubsidy => "block_subsidy",
            Self::BlockTarget => "block_target",
            Self::BlockTimeFuture => "block_time_future",
            Self::BlockTimePast => "block_time_past",
            Self::BlockTransaction => "block_transaction",
            Self::ContentHash => "content_hash",
            Self::Malformed => "malformed",
            Self::NodeForeign => "node_foreign",
            Self::NodePlace => "node_place",
            Self::Oversized => "oversized",
            Self::QueryHops => "query_hops",
            Self::QueryList => "query_list",
            Self::TooMany => "too_many",
            Self::TxAmountOverflow => "tx_amount_overflow",
            Self::TxForm => "tx_form",
            Self::TxForeignChain => "tx_foreign_chain",
            Self::TxFeeTooLow => "tx_fee_too_low",
            Self::TxImmature => "tx_immature",
            Self::TxKey => "tx_key",
            Self::TxMissingCoin => "tx_missing_coin",
            Self::TxOverspend => "tx_overspend",
            Self::TxConflict => "tx_conflict",
            Self::TxPoolFull => "tx_pool_full",
            Self::TxSize => "tx_size",
            Self::TxSignature => "tx_signature",
            Self::TxStake => "tx_stake",
            Self::TxTwice => "tx_twice",
            Self::Unsolicited => "unsolicited",
            Self::ValueForm => "value_form",
            Self::VoteCertificate => "vote_certificate",
            Self::VoteChange => "vote_change",
            Self::VoteNewView => "vote_new_view",
            Self::VotePrimary => "vote_primary",
            Self::VoteProposal => "vote_proposal",
            Self::VoteSignature => "vote_signature",
            Self::VoteStranger => "vote_stranger",
        }
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
