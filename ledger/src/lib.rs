//! The ledger: keys, payments, blocks, the Merkle tree, the set of unspent coins, the mempool and the block tree.
//!
//! Everything here is a value or a pure function of values: no clock, no randomness of its own, no disk. (A meter counts signatures, and
//! nothing here reads it.) What a chain
//! accepts beyond coins and signatures (seals, targets, block times) is the consensus engine's business.

#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod address;
mod amount;
mod block;
mod build;
mod certificate;
mod check;
mod coinbase;
mod coins;
#[cfg(test)]
mod conformance;
mod errors;
mod evidence;
mod genesis;
mod hash;
mod header;
mod ids;
mod keyfile;
mod keys;
mod mempool;
pub mod merkle;
mod meter;
mod orphans;
mod payment;
mod rules;
mod stake;
mod state;
mod target;
#[cfg(test)]
mod testing;
mod tree;
mod verdict;

pub use address::{Address, ParseAddressError};
pub use amount::{Amount, ParseAmountError};
pub use block::{BLOCK_BYTES_MAX, Block};
pub use build::{PaymentBuilder, PaymentError, choose_coins, lock_stake, unlock_stake};
pub use certificate::{Certificate, VOTES_MAX, commit_digest};
pub use check::{CoinView, INPUTS_MAX, OUTPUTS_MAX, check_alone, check_payment, payment_bytes_max};
pub use coinbase::Coinbase;
pub use errors::{BlockError, TxError};
pub use evidence::{EVIDENCE_MAX, Evidence, EvidenceError};
pub use genesis::{
    Balance, Engine, Genesis, GenesisError, PbftParams, PosParams, PowParams, Retarget, STAKE_BLOCK_TIME_MIN_MS,
    STAKE_DEPTH_MAX, VALIDATORS_MAX, VALIDATORS_MIN, Validator, WINDOW_MAX, faulty_max, quorum,
};
pub use hash::digest;
pub use header::{Header, Outlook, Seal, SharedHeader};
pub use ids::{BlockId, ChainId, Height, TxId};
pub use keyfile::{KdfCost, KeyFile, KeyFileError, seal};
pub use keys::{Batch, PublicKey, SecretKey, Signature};
pub use mempool::{Conflict, Connected, Mempool, MempoolLimits, Overlay, Revalidated};
pub use meter::SignatureCount;
pub use orphans::Orphans;
pub use payment::{OutPoint, Output, OutputKind, Payment, TX_BYTES_MAX, Tx, TxInput};
pub use rules::{LedgerParams, Rules, StakeRules};
pub use stake::{Loss, kernel, threshold};
pub use state::{Coin, Signatures, State, Undo};
pub use target::CompactTarget;
pub use tree::{BlockTree, Inserted, Node, Place, Status, TreeError};
pub use verdict::Outcome;

/// Unsigned 256-bit numbers: targets and chain weights.
pub type U256 = ruint::Uint<256, 4>;
