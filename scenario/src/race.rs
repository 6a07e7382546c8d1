//! The race for blocks, in virtual time: who finds the next seal, and when.
//!
//! Each peer that mines finds a seal after an exponential time whose rate is its hash power over the work that its job
//! asks for. Exponential times have no memory, so instead of ten thousand clocks there is one, which ticks at the rate
//! of all peers together on the easiest job; each tick falls to a peer by its share of the hash power, and counts with
//! the probability that its own job is as easy (thinning: Lewis and Shedler 1979). The outcome has the same law as a
//! clock for each peer, whatever jobs they are on, and costs a draw for each block.

use std::collections::BTreeMap;
use std::time::Duration;

use synod_consensus::pow::work;
use synod_ledger::CompactTarget;
use synod_machine::{PeerId, Rng};

/// The race.
#[derive(Debug)]
pub(crate) struct Race {
    /// The sum of the powers up to each peer and its own.
    upto: Vec<u64>,
    /// All peers' blocks per second at the genesis's target.
    rate: f64,
    first_work: f64,
    /// How many times easier than the genesis's target the easiest job is taken to be.
    easiest: f64,
    /// How much easier each target is than the genesis's.
    ease: BTreeMap<CompactTarget, f64>,
    /// Ticks in a row that did not count.
    missed: u32,
    rng: Rng,
}

/// After so many ticks that came to nothing the bound is taken anew.
const MISSED_MAX: u32 = 16;

impl Race {
    /// `rate` is in blocks per second, at the target `first`.
    pub(crate) fn new(seed: u64, power: &[u64], rate: f64, first: CompactTarget) -> Self {
        let upto = power.iter().scan(0_u64, |sum, power| {
            *sum += power;
            Some(*sum)
        });
        Self {
            upto: upto.collect(),
            rate,
            first_work: number(first),
            easiest: 1.0,
            ease: BTreeMap::new(),
            missed: 0,
            rng: Rng::new(seed, 0, "race"),
        }
    }

    /// Whether anybody mines.
    pub(crate) fn is_on(&self) -> bool {
        self.total() > 0 && self.rate > 0.0
    }

    /// The time to the next tick.
    pub(crate) fn wait(&mut self) -> Duration {
        // Uniform in (0, 1], so that the logarithm is finite.
        let uniform = ((self.rng.next_u64() >> 11) + 1) as f64 / (1_u64 << 53) as f64;
        Duration::from_secs_f64((-uniform.ln() / (self.rate * self.easiest)).min(SECS_MAX))
    }

    /// Whom a tick falls to.
    pub(crate) fn winner(&mut self) -> PeerId {
        let ticket = self.rng.below(self.total());
        PeerId(self.upto.partition_point(|upto| *upto <= ticket) as u32)
    }

    /// Whether a tick counts for a peer on a job of that target; none, where it has no job.
    pub(crate) fn counts(&mut self, target: Option<CompactTarget>) -> bool {
        let draw = self.rng.next_u64() as f64 / 2_f64.powi(64);
        let counts = target.is_some_and(|target| draw < self.ease_of(target) / self.easiest);
        self.missed = if counts { 0 } else { self.missed + 1 };
        counts
    }

    /// A peer is given a job. Whether the clock must be wound anew: the job is easier than any was.
    pub(crate) fn on_job(&mut self, target: CompactTarget) -> bool {
        let ease = self.ease_of(target);
        let is_easier = ease > self.easiest;
        if is_easier {
            self.easiest = ease;
        }
        is_easier
    }

    /// Whether so many ticks came to nothing that the easiest job should be looked for.
    pub(crate) const fn is_slack(&self) -> bool {
        self.missed >= MISSED_MAX
    }

    /// Takes the easiest of all jobs as the bound.
    pub(crate) fn tighten(&mut self, jobs: impl Iterator<Item = CompactTarget>) {
        self.missed = 0;
        let easiest = jobs.map(|target| self.ease_of(target)).fold(0.0, f64::max);
        if easiest > 0.0 {
            self.easiest = easiest;
        }
    }

    /// A number that makes the seals of equal blocks differ.
    pub(crate) fn draw(&mut self) -> u64 {
        self.rng.next_u64()
    }

    fn ease_of(&mut self, target: CompactTarget) -> f64 {
        let first = self.first_work;
        *self.ease.entry(target).or_insert_with(|| first / number(target))
    }

    fn total(&self) -> u64 {
        self.upto.last().copied().unwrap_or_default()
    }
}

/// A year: whoever waits longer waits for ever.
const SECS_MAX: f64 = 31_557_600.0;

/// The work of a target, as a number to divide by.
fn number(target: CompactTarget) -> f64 {
    let limbs = work(target).into_limbs();
    limbs.iter().rev().fold(0.0, |sum, limb| sum * 2_f64.powi(64) + *limb as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: CompactTarget = CompactTarget(0x1f00_ffff);

    #[test]
    fn each_wins_by_its_share_and_who_has_none_never() {
        let mut race = Race::new(1, &[0, 3, 0, 1, 0], 1.0, FIRST);
        let mut wins = [0_u32; 5];
        for _ in 0..40_000 {
            wins[race.winner().0 as usize] += 1;
        }
        assert_eq!((wins[0], wins[2], wins[4]), (0, 0, 0));
        assert!((29_500..30_500).contains(&wins[1]), "{wins:?}");
        assert!(!Race::new(1, &[0, 0], 1.0, FIRST).is_on());
        assert!(!Race::new(1, &[1], 0.0, FIRST).is_on());
    }

    #[test]
    fn a_tick_counts_as_often_as_the_job_is_easy() {
        let mut race = Race::new(1, &[1], 1.0, FIRST);
        // A target of half the size.
        let half = CompactTarget(0x1e7f_ff80);
        assert!(!race.on_job(half));
        let counted = (0..40_000).filter(|_| race.counts(Some(half))).count();
        assert!((19_500..20_500).contains(&counted), "{counted}");
        assert_eq!((0..100).filter(|_| race.counts(Some(FIRST))).count(), 100);
        assert_eq!((0..100).filter(|_| race.counts(None)).count(), 0);
        assert!(race.is_slack());
        race.tighten([half].into_iter());
        assert_eq!((0..100).filter(|_| race.counts(Some(half))).count(), 100);
        assert!(race.on_job(FIRST), "an easier job winds the clock anew");
    }

    #[test]
    fn waits_are_exponential_with_the_rate_of_all() {
        let mut race = Race::new(1, &[1], 4.0, FIRST);
        let waits: Vec<f64> = (0..40_000).map(|_| race.wait().as_secs_f64()).collect();
        let mean = waits.iter().sum::<f64>() / waits.len() as f64;
        assert!((0.2467..0.2533).contains(&mean), "{mean}");
        let longer = waits.iter().filter(|wait| **wait > 0.5).count() as f64 / waits.len() as f64;
        assert!((longer - (-2.0_f64).exp()).abs() < 0.005, "{longer}");
    }
}
