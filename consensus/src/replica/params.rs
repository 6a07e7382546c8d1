//! What a replica is made from.

use alloc::sync::Arc;

use synod_ledger::{Address, MempoolLimits, SecretKey};

use crate::{Chain, adversary};

/// How much a replica keeps.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The mempool's bounds.
    pub mempool: MempoolLimits,
    /// Bytes of recent blocks held in memory; older ones are read from disk.
    pub bodies_bytes_max: usize,
    /// Recent blocks held in memory.
    pub bodies_max: usize,
    /// Blocks waiting for their parents.
    pub orphans_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            mempool: MempoolLimits::default(),
            // Deep enough for any reorganisation of an undisturbed network (Rosenfeld 2014: 32 confirmations make one
            // by a 30 % attacker rarer than 0.1 %), and a few megabytes on an idle testbed.
            bodies_bytes_max: 16 << 20,
            bodies_max: 64,
            // Bitcoin Core kept 750 until it fetched headers first; here one burst of a partition's far side.
            orphans_max: 64,
        }
    }
}

/// What a replica is made from.
#[derive(Clone, Debug)]
pub struct Params {
    /// The chain.
    pub chain: Arc<Chain>,
    /// How much it keeps.
    pub limits: Limits,
    /// Who is paid for the blocks that it makes by work; nobody: it makes none.
    pub miner: Option<Address>,
    /// The key that signs what its engine has it sign: blocks of its stake, votes. Without one it only follows.
    pub signer: Option<SecretKey>,
    /// How it behaves as a validator.
    pub behaviour: adversary::Behaviour,
    /// Drawn once per peer, so that two peers that mine for one address search different headers.
    pub extra: u64,
}
