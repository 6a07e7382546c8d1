//! Blocks to search a seal for. Grinding is the owner's; this builds the candidate and seals it with what was found.

use alloc::collections::VecDeque;
use core::time::Duration;

use synod_ledger::{Address, CompactTarget, Seal};
use synod_machine::{Out, Time};

use super::draft::Draft;
use super::{Event, Replica, Timer};
use crate::HeaderError;
use crate::headers::Fault;

/// How often a candidate is rebuilt, so that payments do not wait for the next block and its time stays true.
const REFRESH_EVERY: Duration = Duration::from_millis(500);
/// A seal may be found for a candidate that was just replaced; so many are kept.
const CANDIDATES_MAX: usize = 4;

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

/// The state of block making.
#[derive(Debug)]
pub(super) struct Mining {
    address: Option<Address>,
    extra: u64,
    jobs: u64,
    /// What was asked for last.
    job: Option<Job>,
    /// By their jobs' numbers.
    candidates: VecDeque<(u64, Draft)>,
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
        let (Some(pow), Some(address)) = (self.chain.pow(), self.mining.address) else { return };
        if self.mining.candidates.back().is_some_and(|(_, last)| last.header.parent != self.state.tip()) {
            self.mining.candidates.clear();
        }
        self.mining.jobs += 1;
        let target = pow.target_after(&self.tree, &self.state.tip());
        if pow.params().declared {
            self.ask(Job { id: self.mining.jobs, target, preimage: None }, out);
            return;
        }
        let candidate = self.draft(now, Some(address), Seal::Work { target, nonce: 0 });
        let preimage = Some(candidate.header.preimage());
        let job = self.mining.jobs;
        self.ask(Job { id: job, target, preimage }, out);
        self.mining.candidates.push_back((job, candidate));
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
        let (Some(pow), Some(address)) = (self.chain.pow(), self.mining.address) else { return };
        if !self.is_settled() {
            return;
        }
        let candidate = match seen {
            Seen::Declared { draw } if job == self.mining.jobs => {
                let target = pow.target_after(&self.tree, &self.state.tip());
                self.draft(now, Some(address), Seal::Declared { target, draw })
            }
            Seen::Declared { .. } => return,
            Seen::Nonce(nonce) => {
                let found = self.mining.candidates.iter().find(|(id, _)| *id == job).cloned();
                let Some((_, mut found)) = found else { return };
                let target = found.header.seal.target().expect("a candidate carries a target");
                found.header.seal = Seal::Work { target, nonce };
                found
            }
        };
        if candidate.header.parent != self.state.tip() {
            return; // Another block came first.
        }
        let block = candidate.into_block();
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
    pub(crate) fn last_candidate(&self) -> Option<synod_ledger::Header> {
        self.mining.candidates.back().map(|(_, candidate)| candidate.header.clone())
    }
}
