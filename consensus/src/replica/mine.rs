//! Blocks to search a seal for. Grinding is the owner's; this builds the candidate and seals it with what was found.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use synod_ledger::{Address, Amount, Block, BlockId, Coinbase, CompactTarget, Header, Output, Seal, Tx};
use synod_machine::{Out, Time};

use super::follow::Fault;
use super::{Event, Replica, Timer};
use crate::{HeaderError, Pow};

/// How often a candidate is rebuilt, so that payments do not wait for the next block and its time stays true.
const REFRESH_EVERY: Duration = Duration::from_millis(500);
/// A seal may be found for a candidate that was just replaced; so many are kept.
const CANDIDATES_MAX: usize = 4;
/// Room for header, coinbase and lengths beside the payments.
const ENVELOPE_BYTES: usize = 1_024;

/// What to search a seal for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its number, given back with the seal.
    pub id: u64,
    /// What must not be exceeded.
    pub target: CompactTarget,
    /// The header's 80 bytes with the nonce in the last 8, little endian; absent where seals are declared.
    pub preimage: Option<[u8; 80]>,
}

/// The seal that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Drawn and not ground; `draw` makes the ids of equal blocks differ. Only a simulation's genesis allows it.
    Declared {
        /// The drawn number.
        draw: u64,
    },
    /// A nonce that puts the block's id below the target.
    Nonce(u64),
}

#[derive(Clone, Debug)]
struct Candidate {
    job: u64,
    header: Header,
    coinbase: Coinbase,
    payments: Vec<Tx>,
}

/// The state of block making.
#[derive(Debug)]
pub(super) struct Mining {
    address: Option<Address>,
    extra: u64,
    jobs: u64,
    /// What was asked for last.
    job: Option<Job>,
    candidates: VecDeque<Candidate>,
}

impl Mining {
    pub(super) const fn new(address: Option<Address>, extra: u64) -> Self {
        Self { address, extra, jobs: 0, job: None, candidates: VecDeque::new() }
    }

    pub(super) const fn extra(&self) -> u64 {
        self.extra
    }

    pub(super) const fn job(&self) -> Option<&Job> {
        self.job.as_ref()
    }

    pub(super) const fn address(&self) -> Option<Address> {
        self.address
    }
}

impl Replica {
    /// Asks for a seal of a new candidate on the present tip.
    pub(super) fn mine(&mut self, now: Time, out: &mut Out<Self>) {
        let Some(address) = self.mining.address else { return };
        if self.mining.candidates.back().is_some_and(|last| last.header.parent != self.state.tip()) {
            self.mining.candidates.clear();
        }
        self.mining.jobs += 1;
        let params = self.chain.pow().params();
        if params.declared {
            let target = self.chain.pow().target_after(&self.tree, &self.state.tip());
            self.ask(Job { id: self.mining.jobs, target, preimage: None }, out);
            return;
        }
        let candidate = self.candidate(now, address, None);
        let target = candidate.header.seal.target().expect("a candidate carries a target");
        let preimage = Some(candidate.header.preimage());
        self.ask(Job { id: candidate.job, target, preimage }, out);
        self.mining.candidates.push_back(candidate);
        while self.mining.candidates.len() > CANDIDATES_MAX {
            self.mining.candidates.pop_front();
        }
        out.set(Timer::Refresh, now + REFRESH_EVERY);
    }

    fn ask(&mut self, job: Job, out: &mut Out<Self>) {
        self.mining.job = Some(job.clone());
        out.emit(Event::Mine(Some(job)));
    }

    pub(super) fn on_refresh(&mut self, now: Time, out: &mut Out<Self>) {
        if self.is_settled() {
            self.mine(now, out);
        } else {
            out.set(Timer::Refresh, now + REFRESH_EVERY);
        }
    }

    pub(super) fn on_mined(&mut self, now: Time, job: u64, seen: Seen, out: &mut Out<Self>) {
        let Some(address) = self.mining.address else { return };
        if !self.is_settled() {
            return;
        }
        let candidate = match seen {
            Seen::Declared { draw } if job == self.mining.jobs => self.candidate(now, address, Some(draw)),
            Seen::Declared { .. } => return,
            Seen::Nonce(nonce) => {
                let found = self.mining.candidates.iter().find(|candidate| candidate.job == job).cloned();
                let Some(mut found) = found else { return };
                let target = found.header.seal.target().expect("a candidate carries a target");
                found.header.seal = Seal::Work { target, nonce };
                found
            }
        };
        if candidate.header.parent != self.state.tip() {
            return; // Another block came first.
        }
        let block = Block::new(candidate.header, candidate.coinbase, candidate.payments);
        match self.take_block(now, block.clone(), None, out) {
            Ok(_) => self.publish_block(block, out),
            // The owner's mistake; it is still at work on the job.
            Err(Fault::Header(HeaderError::Seal)) => {}
            // Our clock was set back behind the chain's: nothing can be made until it has caught up.
            Err(Fault::Header(HeaderError::Future { .. })) => {}
            Err(fault) => panic!("our own blocks are valid: {fault:?}"),
        }
    }

    /// The header of the last job of work.
    #[cfg(test)]
    pub(crate) fn last_candidate(&self) -> Option<Header> {
        self.mining.candidates.back().map(|candidate| candidate.header.clone())
    }

    fn candidate(&self, now: Time, address: Address, draw: Option<u64>) -> Candidate {
        let parent: BlockId = self.state.tip();
        let height = self.state.height().next();
        let rules = self.chain.rules();
        let bytes_max = (rules.params.block_bytes_max as usize).saturating_sub(ENVELOPE_BYTES);
        let payments = self.mempool.select(bytes_max);
        let fees = payments.iter().fold(Amount::ZERO, |sum, tx| {
            let fee = self.mempool.fee(&tx.id()).expect("selected payments are in the mempool");
            sum.checked_add(fee).expect("fees are part of a bounded supply")
        });
        let reward = rules.subsidy(height).checked_add(fees).expect("subsidy and fees are part of a bounded supply");
        let outputs =
            if reward == Amount::ZERO { Vec::new() } else { alloc::vec![Output { amount: reward, to: address }] };
        let coinbase = Coinbase { chain: rules.chain, height, extra: self.mining.extra, outputs };
        let root = Block::root_of(&coinbase, &payments);
        let target = self.chain.pow().target_after(&self.tree, &parent);
        let seal = match draw {
            Some(draw) => Seal::Declared { target, draw },
            None => Seal::Work { target, nonce: 0 },
        };
        let time = now.max(Pow::earliest(&self.tree, &parent));
        let header = Header { chain: rules.chain, parent, height, time, root, seal };
        Candidate { job: self.mining.jobs, header, coinbase, payments }
    }
}
