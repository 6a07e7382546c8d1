//! Payments and coins: one transaction, an address, the mempool, submits.

use serde::{Deserialize, Serialize};
use synod_ledger::{
    Address, Amount, BlockId, ChainId, Height, OutPoint, Output, OutputKind, Payment, PublicKey, Signature, Tx, TxId,
    TxInput, merkle,
};
use synod_machine::Bytes;
use utoipa::{IntoParams, ToSchema};

use super::ErrorBody;
use super::chain::CoinbaseInfo;

/// What a payment spends and pays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PaymentInfo {
    /// The coins that it spends.
    pub inputs: Vec<InputInfo>,
    /// What it pays.
    pub outputs: Vec<OutputInfo>,
}

impl PaymentInfo {
    /// The payment itself, so that a reader can compute its id and its leaf instead of believing the node.
    pub fn to_tx(&self, chain: ChainId) -> Tx {
        let inputs = self.inputs.iter().map(|input| TxInput {
            coin: OutPoint { tx: input.coin.tx, index: input.coin.index },
            key: input.key,
            signature: input.signature,
        });
        let inputs = inputs.collect();
        Tx::from(Payment { chain, inputs, outputs: to_outputs(&self.outputs) })
    }
}

pub(super) fn to_outputs(outputs: &[OutputInfo]) -> Vec<Output> {
    outputs.iter().map(|output| Output { amount: output.amount, to: output.to, kind: output.kind }).collect()
}

/// A coin's name: the output of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct CoinRef {
    /// The transaction.
    #[schema(value_type = String)]
    pub tx: TxId,
    /// Which of its outputs, from 0.
    pub index: u32,
}

/// A coin that is spent, and by what right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InputInfo {
    /// The coin.
    pub coin: CoinRef,
    /// The key whose address owns the coin.
    #[schema(value_type = String)]
    pub key: PublicKey,
    /// That key's signature over the transaction's id.
    #[schema(value_type = String)]
    pub signature: Signature,
}

/// A payment to an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OutputInfo {
    /// How much, in units.
    #[schema(value_type = u64)]
    pub amount: Amount,
    /// To whom.
    #[schema(value_type = String)]
    pub to: Address,
    /// Whether it is locked: `stake`, or `unbonding` on its way from that. Left out where it is money.
    #[serde(default, skip_serializing_if = "is_plain")]
    #[schema(value_type = Option<String>)]
    pub kind: OutputKind,
}

/// Whether an output is money.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_plain(kind: &OutputKind) -> bool {
    *kind == OutputKind::Plain
}

/// Where a transaction stands, as this peer sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum TransactionStatus {
    /// It is in a block of the active chain.
    Confirmed,
    /// A coin of it is spent by another transaction, so it cannot be confirmed on this chain.
    Conflicted,
    /// It waits in the mempool.
    Pending,
}

/// `GET /v1/transactions/{id}`: a payment or a coinbase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TransactionInfo {
    /// Its id.
    #[schema(value_type = String)]
    pub id: TxId,
    /// Where it stands.
    pub status: TransactionStatus,
    /// Blocks of the active chain from its own to the tip, its own counted; 0 where it is not confirmed.
    pub confirmations: u64,
    /// Whether validators have signed its block, so that no number of confirmations makes it safer.
    #[serde(default)]
    pub is_final: bool,
    /// What validators say of it, where this peer is their client and f + 1 said the same; its block may come later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replies: Option<RepliesInfo>,
    /// The block that confirms it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub block: Option<BlockId>,
    /// That block's height.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    pub height: Option<Height>,
    /// Its place among that block's leaves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<u32>,
    /// The proof that it is in that block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<ProofInfo>,
    /// What it spends and pays, where it is a payment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment: Option<PaymentInfo>,
    /// What it pays, where it is a coinbase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coinbase: Option<CoinbaseInfo>,
    /// The payment's fee in units, where this peer still knows the coins that it spends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    pub fee: Option<Amount>,
    /// Its encoded length.
    pub bytes: u64,
}

/// What f + 1 validators say of a payment: that they have executed it. One of them at least is honest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RepliesInfo {
    /// The block that has it.
    #[schema(value_type = String)]
    pub block: BlockId,
    /// That block's height.
    #[schema(value_type = u64)]
    pub height: Height,
    /// The validators that said so, by their names in the genesis.
    pub validators: Vec<String>,
}

/// A Merkle proof: `leaf` is number `index` of `leaves` under the block's root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProofInfo {
    /// The leaf's place.
    pub index: u64,
    /// How many leaves the tree has.
    pub leaves: u64,
    /// The hashes beside the path, from the leaf up.
    #[schema(value_type = Vec<String>)]
    pub siblings: Vec<Bytes<32>>,
    /// The leaf: the digest of the transaction with its signatures.
    #[schema(value_type = String)]
    pub leaf: Bytes<32>,
}

impl ProofInfo {
    /// Whether the proof shows that the leaf is under `root`.
    pub fn proves(&self, root: &Bytes<32>) -> bool {
        let proof = merkle::Proof { index: self.index, leaves: self.leaves, siblings: self.siblings.clone() };
        proof.verify(&self.leaf, root)
    }
}

/// The query of `GET /v1/addresses/{address}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AddressQuery {
    /// How many coins to list (default 100, at most 10,000).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coins: Option<u32>,
}

/// `GET /v1/addresses/{address}`: what an address owns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AddressInfo {
    /// The address.
    #[schema(value_type = String)]
    pub address: Address,
    /// The sum of its confirmed coins, immature ones among them, in units.
    #[schema(value_type = u64)]
    pub balance: Amount,
    /// The part of `balance` that is mature and that no pending payment spends.
    #[schema(value_type = u64)]
    pub spendable: Amount,
    /// The part of `balance` that is not yet mature.
    #[schema(value_type = u64)]
    pub immature: Amount,
    /// What it gets from pending payments, change to itself among that, less what further pending payments spend of
    /// it: `balance - pending_out + pending_in` is left when all are confirmed.
    #[schema(value_type = u64)]
    pub pending_in: Amount,
    /// The part of `balance` that pending payments spend.
    #[schema(value_type = u64)]
    pub pending_out: Amount,
    /// Its coins, confirmed and pending, largest first.
    pub coins: Vec<CoinInfo>,
    /// How many coins it has in all; `coins` may be cut short.
    pub coins_total: u64,
    /// What of it is stake. Left out on a chain whose blocks are not made by stake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stake: Option<StakeInfo>,
}

/// An address's stake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StakeInfo {
    /// What it has locked, in units.
    #[schema(value_type = u64)]
    pub locked: Amount,
    /// What of that may make the next block: what has been locked for long enough, in units.
    #[schema(value_type = u64)]
    pub counting: Amount,
    /// What is on its way from stake to money, in units. It can be lost until it is money.
    #[schema(value_type = u64)]
    pub unlocking: Amount,
    /// What all have locked together, in units.
    #[schema(value_type = u64)]
    pub total: Amount,
    /// At which height it last lost its stake, if it ever did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    pub lost_at: Option<Height>,
}

/// A coin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CoinInfo {
    /// The transaction that made it.
    #[schema(value_type = String)]
    pub tx: TxId,
    /// Which of that transaction's outputs, from 0.
    pub index: u32,
    /// How much, in units.
    #[schema(value_type = u64)]
    pub amount: Amount,
    /// The height that confirmed it; left out where it is pending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    pub height: Option<Height>,
    /// Whether a coinbase made it.
    pub coinbase: bool,
    /// Whether the next block may spend it as money. A stake never is.
    pub mature: bool,
    /// Whether it is locked: `stake`, or `unbonding` on its way from that. Left out where it is money.
    #[serde(default, skip_serializing_if = "is_plain")]
    #[schema(value_type = Option<String>)]
    pub kind: OutputKind,
    /// Whether it is the output of an unconfirmed payment.
    pub pending: bool,
    /// Whether a pending payment spends it.
    pub spent_by_pending: bool,
}

/// The query of `GET /v1/mempool`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct MempoolQuery {
    /// How many entries and conflicts to list (default 100, at most 10,000).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// `GET /v1/mempool`: the unconfirmed payments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MempoolInfo {
    /// How many payments wait.
    pub payments: u64,
    /// Their encoded bytes.
    pub bytes: u64,
    /// The lowest fee that is taken, in units.
    #[schema(value_type = u64)]
    pub fee_min: Amount,
    /// The payments, highest fee rate first; may be cut short.
    pub entries: Vec<MempoolEntry>,
    /// Double spends that were seen; may be cut short.
    pub conflicts: Vec<ConflictInfo>,
    /// How many double spends are kept.
    pub conflicts_total: u64,
}

/// An unconfirmed payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MempoolEntry {
    /// Its id.
    #[schema(value_type = String)]
    pub id: TxId,
    /// Its fee in units.
    #[schema(value_type = u64)]
    pub fee: Amount,
    /// Its encoded length.
    pub bytes: u64,
    /// How many coins it spends.
    pub inputs: u64,
    /// How many outputs it pays.
    pub outputs: u64,
    /// Whether this peer acknowledged it, so that it is on disk and never evicted.
    pub pinned: bool,
}

/// A double spend: two payments of one coin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConflictInfo {
    /// The coin.
    pub coin: CoinRef,
    /// The payment that was first and stayed.
    #[schema(value_type = String)]
    pub kept: TxId,
    /// The payment that was refused.
    #[schema(value_type = String)]
    pub seen: TxId,
}

/// The body of `POST /v1/transactions`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SubmitRequest {
    /// The payment's wire encoding in hexadecimal.
    pub transaction: String,
}

/// The answer to a submit: *acknowledged*, that is on this peer's disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Submitted {
    /// The payment's id.
    #[schema(value_type = String)]
    pub id: TxId,
}

/// The body of `POST /v1/transactions/batch`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchRequest {
    /// The payments' wire encodings in hexadecimal, parents before children (at most 1,000).
    pub transactions: Vec<String>,
}

/// What became of one payment of a batch, at its place in the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum BatchOutcome {
    /// It is on this peer's disk.
    Accepted(Submitted),
    /// It was refused.
    Refused(ErrorBody),
}
