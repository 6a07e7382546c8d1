//! Why a payment or a block is not valid, and the reason under which a peer that sent it is rejected.

use synod_machine::{Bytes, Reject};

use crate::{Amount, BlockId, ChainId, EvidenceError, Height, OutPoint, TxId};

/// Why a payment is not valid, or not taken into the mempool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TxError {
    /// Outputs whose sum is more than there can be.
    #[error("the amounts' sum is more than there can be")]
    AmountOverflow,
    /// Too many unconfirmed payments that this one depends on.
    #[error("depends on {got} unconfirmed payments, at most {expected} allowed")]
    Ancestors {
        /// The mempool's limit.
        expected: usize,
        /// How many were found before the search stopped.
        got: usize,
    },
    /// A coin that an earlier payment in the mempool spends.
    #[error("coin {coin} is already spent by payment {kept}, which came first")]
    Conflict {
        /// The coin spent twice.
        coin: OutPoint,
        /// The payment that came first.
        kept: TxId,
    },
    /// A fee below the chain's minimum.
    #[error("a fee of {got}, at least {expected} needed")]
    FeeTooLow {
        /// The minimum.
        expected: Amount,
        /// The payment's.
        got: Amount,
    },
    /// A payment for another chain.
    #[error("made for chain {got}, this is {expected}")]
    ForeignChain {
        /// This chain.
        expected: ChainId,
        /// The payment's.
        got: ChainId,
    },
    /// The mempool is full of payments that pay more per byte or must not be evicted.
    #[error("the mempool is full and this fee rate of {got} for {bytes} bytes evicts nothing")]
    Full {
        /// The payment's fee.
        got: Amount,
        /// The payment's length.
        bytes: usize,
    },
    /// A coinbase that is spent too early.
    #[error("coin {coin} can be spent from height {expected} on, this is {got}")]
    Immature {
        /// The coin.
        coin: OutPoint,
        /// From when it can be spent.
        expected: Height,
        /// Where the payment would be.
        got: Height,
    },
    /// No inputs, or too many.
    #[error("{got} inputs, 1 to {expected} allowed")]
    InputCount {
        /// The most allowed.
        expected: usize,
        /// The payment's.
        got: usize,
    },
    /// A key that does not belong to the coin's owner.
    #[error("the key of input {input} is not that of the coin's owner")]
    Key {
        /// Which input, from zero.
        input: usize,
    },
    /// A coin that does not exist or is spent.
    #[error("coin {coin} does not exist or is spent")]
    MissingCoin {
        /// The coin.
        coin: OutPoint,
    },
    /// No outputs, or too many.
    #[error("{got} outputs, 1 to {expected} allowed")]
    OutputCount {
        /// The most allowed.
        expected: usize,
        /// The payment's.
        got: usize,
    },
    /// More paid out than put in.
    #[error("pays {got}, but puts in {expected} only")]
    Overspend {
        /// The sum of the inputs.
        expected: Amount,
        /// The sum of the outputs.
        got: Amount,
    },
    /// A signature that does not fit its key and payment, or none.
    #[error("the signature of input {input} does not fit")]
    Signature {
        /// Which input, from zero.
        input: usize,
    },
    /// A longer encoding than allowed.
    #[error("{got} bytes, at most {expected} allowed")]
    Size {
        /// The most allowed.
        expected: usize,
        /// The payment's.
        got: usize,
    },
    /// Stake that would become somebody else's.
    #[error("output {output} locks coins for somebody who does not spend them")]
    StakeForeign {
        /// Which output, from zero.
        output: usize,
    },
    /// Stake together with the coins of another key.
    #[error("input {input} is another key's, and a payment that locks or unlocks is one key's alone")]
    StakeShared {
        /// Which input, from zero.
        input: usize,
    },
    /// Stake that is spent as if it were money.
    #[error("of {expected} of stake only {got} stay locked; the fee must come from other coins")]
    StakeSpent {
        /// The stake that it spends.
        expected: Amount,
        /// What is stake or on its way to be unlocked afterwards.
        got: Amount,
    },
    /// Stake on a chain whose blocks are not made by stake.
    #[error("output {output} is stake, and this chain has none")]
    StakeUnknown {
        /// Which output, from zero.
        output: usize,
    },
    /// More on its way to be unlocked than was locked.
    #[error("unlocks {got}, but spends stake of {expected} only")]
    StakeUnlock {
        /// The stake that it spends.
        expected: Amount,
        /// What it says it unlocks.
        got: Amount,
    },
    /// The same coin twice in one payment.
    #[error("coin {coin} is spent twice")]
    Twice {
        /// The coin.
        coin: OutPoint,
    },
    /// An output of nothing.
    #[error("output {output} pays nothing")]
    ZeroOutput {
        /// Which output, from zero.
        output: usize,
    },
}

impl TxError {
    /// Under which a peer that sent the payment is rejected.
    pub const fn reason(&self) -> Reject {
        match self {
            Self::AmountOverflow => Reject::TxAmountOverflow,
            Self::Ancestors { .. } => Reject::TooMany,
            Self::Conflict { .. } => Reject::TxConflict,
            Self::FeeTooLow { .. } => Reject::TxFeeTooLow,
            Self::Full { .. } => Reject::TxPoolFull,
            Self::ForeignChain { .. } => Reject::TxForeignChain,
            Self::Immature { .. } => Reject::TxImmature,
            Self::InputCount { .. } | Self::OutputCount { .. } | Self::ZeroOutput { .. } => Reject::TxForm,
            Self::Key { .. } => Reject::TxKey,
            Self::MissingCoin { .. } => Reject::TxMissingCoin,
            Self::Overspend { .. } => Reject::TxOverspend,
            Self::Signature { .. } => Reject::TxSignature,
            Self::Size { .. } => Reject::TxSize,
            Self::StakeForeign { .. }
            | Self::StakeShared { .. }
            | Self::StakeSpent { .. }
            | Self::StakeUnknown { .. }
            | Self::StakeUnlock { .. } => Reject::TxStake,
            Self::Twice { .. } => Reject::TxTwice,
        }
    }
}

/// Why a block does not connect to a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// A header of another chain.
    #[error("made for chain {got}, this is {expected}")]
    Chain {
        /// This chain.
        expected: ChainId,
        /// The header's.
        got: ChainId,
    },
    /// A coinbase of another chain.
    #[error("a coinbase for chain {got}, this is {expected}")]
    CoinbaseChain {
        /// This chain.
        expected: ChainId,
        /// The coinbase's.
        got: ChainId,
    },
    /// A coinbase for another height.
    #[error("a coinbase for height {got}, the block is at {expected}")]
    CoinbaseHeight {
        /// The block's.
        expected: Height,
        /// The coinbase's.
        got: Height,
    },
    /// A coinbase with too many outputs.
    #[error("a coinbase with {got} outputs, at most {expected} allowed")]
    CoinbaseOutputCount {
        /// The most allowed.
        expected: usize,
        /// The coinbase's.
        got: usize,
    },
    /// A coinbase with an output that is stake.
    #[error("output {output} of the coinbase is stake, and only payments make that")]
    CoinbaseStake {
        /// Which output, from zero.
        output: usize,
    },
    /// A coinbase with an output of nothing.
    #[error("output {output} of the coinbase pays nothing")]
    CoinbaseZeroOutput {
        /// Which output, from zero.
        output: usize,
    },
    /// Evidence of an offence that is none, or of no use.
    #[error("evidence {index}: {error}")]
    Evidence {
        /// Which evidence, from zero.
        index: usize,
        /// What is wrong with it.
        error: EvidenceError,
    },
    /// More evidence than a block may carry.
    #[error("evidence of {got} offences, at most {expected} allowed")]
    EvidenceCount {
        /// The most allowed.
        expected: usize,
        /// The block's.
        got: usize,
    },
    /// A height that is not the parent's plus one.
    #[error("height {got}, {expected} expected")]
    Height {
        /// The parent's plus one.
        expected: Height,
        /// The header's.
        got: Height,
    },
    /// Another parent than the state's tip.
    #[error("builds on {got}, the tip is {expected}")]
    Parent {
        /// The state's tip.
        expected: BlockId,
        /// The header's parent.
        got: BlockId,
    },
    /// A payment that is not valid there.
    #[error("payment {index}: {error}")]
    Payment {
        /// Which payment, from zero, the coinbase not counted.
        index: usize,
        /// What is wrong with it.
        error: TxError,
    },
    /// A root that is not that of the transactions. It is the one mistake that says nothing about the header: another
    /// body may fit it, and the block's id must not be remembered as invalid.
    #[error("the transactions' root is {got}, the header says {expected}")]
    Root {
        /// The header's.
        expected: Bytes<32>,
        /// The transactions'.
        got: Bytes<32>,
    },
    /// A longer encoding than the chain allows.
    #[error("{got} bytes, at most {expected} allowed")]
    Size {
        /// The most allowed.
        expected: usize,
        /// The block's.
        got: usize,
    },
    /// A block of a wallet whose stake did not win that second, or that has none.
    #[error("a stake of {got} did not win this second at a difficulty of {difficulty}")]
    Stake {
        /// The seal's; zero where it is none of a stake.
        difficulty: u64,
        /// The stake that counts.
        got: Amount,
    },
    /// A coinbase that pays more than subsidy, fees and the finder's share of lost stakes.
    #[error("the coinbase pays {got}, at most {expected} allowed")]
    Subsidy {
        /// Subsidy and fees.
        expected: Amount,
        /// The coinbase's sum; the largest number where it does not fit.
        got: Amount,
    },
}

impl BlockError {
    /// Under which a peer that sent the block is rejected.
    pub const fn reason(&self) -> Reject {
        match self {
            Self::Chain { .. } => Reject::BlockForeignChain,
            Self::Parent { .. } => Reject::BlockParent,
            Self::CoinbaseChain { .. }
            | Self::CoinbaseHeight { .. }
            | Self::CoinbaseOutputCount { .. }
            | Self::CoinbaseStake { .. }
            | Self::CoinbaseZeroOutput { .. } => Reject::BlockCoinbase,
            Self::Evidence { error, .. } => error.reason(),
            Self::EvidenceCount { .. } => Reject::BlockEvidence,
            Self::Height { .. } => Reject::BlockHeight,
            Self::Payment { .. } => Reject::BlockTransaction,
            Self::Root { .. } => Reject::BlockRoot,
            Self::Size { .. } => Reject::BlockSize,
            Self::Stake { .. } => Reject::BlockStake,
            Self::Subsidy { .. } => Reject::BlockSubsidy,
        }
    }
}
