//! Double spends that owe their success to where the merchant stands in the network, by the thousand, each played by real
//! replicas, beside what theory says of exactly what is played ([`theory`]): an eclipse, a race of two payments, and a block that
//! is shown to the merchant alone. What hash power alone can do is in [`double_spend`](super::double_spend).
//!
//! A run's seed is made of the grid's, the cell's shares and confirmations, and its number. So a cell is the same in whatever
//! grid it stands, on any number of threads, and more runs begin with the same ones. Of two spans or delays the same runs are
//! played, with the same blocks at the same times.

mod eclipse;
mod race;
mod vector76;

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Serialize;
use synod_machine::Rng;

use super::tally::{Effort, Sum};
use super::{DOUBT, Progress, tally, theory};
use crate::Watch;
use crate::duel::Stage;
use crate::stats::{Interval, probability};

/// How the merchant is deceived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// All of the merchant's connections are the attacker's for a while (Heilman et al. 2015, section 1.1).
    Eclipse,
    /// The merchant's peer hears of one payment and all others of its rival at once (Karame et al. 2012).
    Race,
    /// Blocks with the payment, mined in secret, are shown to the merchant alone when the others find theirs (vector76 2011).
    Vector76,
}

impl Strategy {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Eclipse => "eclipse",
            Self::Race => "race",
            Self::Vector76 => "vector76",
        }
    }
}

/// What is to be played: every share against every share of the merchant's side, number of confirmations, span and delay.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Grid {
    /// How the merchant is deceived.
    pub strategy: Strategy,
    /// The attacker's shares of all hash power, at least 0 and below 1. They are taken to a millionth.
    pub shares: Vec<f64>,
    /// The shares of the honest hash power, from 0 to 1, that are on the merchant's side: in an eclipse the miners that are cut
    /// off with it, else those that mine at its peer.
    pub merchant_shares: Vec<f64>,
    /// Confirmations at which the merchant hands over: from 0, which is as soon as it sees the payment, to [`BLOCKS_MAX`].
    pub confirmations: Vec<u64>,
    /// How long an eclipse lasts, in block times of all hash power together: above 0 and up to [`SPAN_MAX`]. Else there is one, 0.
    pub spans: Vec<f64>,
    /// How long a block takes to each of the others in a race, in block times, from 0 to [`DELAY_MAX`]. Else there is one, 0.
    pub delays: Vec<f64>,
    /// Runs of each cell, at least; above 0.
    pub runs_min: u64,
    /// Runs of each cell, at most [`RUNS_MAX`]. A cell is given as many as let [`SUCCESSES_MIN`](super::SUCCESSES_MIN) be expected;
    /// where these are not enough for that, it stays at the least and is marked as untested.
    pub runs_max: u64,
    /// What all runs are drawn from.
    pub seed: u64,
}

/// The most confirmations.
pub const BLOCKS_MAX: u64 = 1_000;
/// The longest eclipse, in block times: at ten minutes a block these are three days and a half.
pub const SPAN_MAX: f64 = 500.0;
/// The longest delay: a block time.
pub const DELAY_MAX: f64 = 1.0;
/// The most runs of a cell.
pub const RUNS_MAX: u64 = 10_000_000;

impl Grid {
    /// What is played of a strategy if nobody says otherwise.
    pub fn of(strategy: Strategy) -> Self {
        let none = || vec![0.0];
        // One of five equal peers, which `synod up` makes.
        let fifth = || vec![0.2];
        let (merchant_shares, confirmations, spans, delays) = match strategy {
            // From less than it takes to find one block to more than it takes to find six.
            Strategy::Eclipse => (none(), vec![1, 3, 6], vec![1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0], none()),
            // Without a delay, Bitcoin's by Decker and Wattenhofer 2013, 12.6 s of ten minutes, and half a block time.
            Strategy::Race => (fifth(), vec![0, 1, 2, 6], none(), vec![0.0, 0.021, 0.5]),
            Strategy::Vector76 => (fifth(), vec![1, 2, 3], none(), none()),
        };
        Self {
            strategy,
            shares: vec![0.1, 0.2, 0.3],
            merchant_shares,
            confirmations,
            spans,
            delays,
            runs_min: 2_000,
            runs_max: 50_000,
            seed: 1,
        }
    }
}

/// Why a grid cannot be played.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum GridError {
    /// What is shown to the merchant alone are blocks, and no merchant waits for ever.
    #[error("{got} confirmations cannot be waited for: expected {expected} to {BLOCKS_MAX}")]
    Confirmations {
        /// The least.
        expected: u64,
        /// What was asked for.
        got: u64,
    },
    /// None, or too long a one.
    #[error("blocks cannot be delayed for {got} block times: expected 0 to {expected}")]
    Delay {
        /// The longest: nothing where the strategy knows no delay.
        expected: f64,
        /// What was asked for.
        got: f64,
    },
    /// Nothing is to be played.
    #[error(
        "there is nothing to play: expected a share, one of the merchant's side, a number of confirmations, a span and a delay"
    )]
    Empty,
    /// No share.
    #[error("a merchant's side has no share {got} of the honest hash power: expected 0 to 1")]
    MerchantShare {
        /// What was asked for.
        got: f64,
    },
    /// Fewer than one, or the least is above the most.
    #[error("from {min} to {max} runs of a cell cannot be played: expected 1 to {RUNS_MAX}, the least first")]
    Runs {
        /// The least.
        min: u64,
        /// The most.
        max: u64,
    },
    /// No share.
    #[error("an attacker has no share {got} of the hash power: expected at least 0 and below 1")]
    Share {
        /// What was asked for.
        got: f64,
    },
    /// None, or too long a one, or the strategy has none.
    #[error(
        "an eclipse of {got} block times cannot be played: expected more than 0 and up to {SPAN_MAX}, and 0 where it is none"
    )]
    Span {
        /// What was asked for.
        got: f64,
    },
}

/// What came of a grid.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// What was played.
    pub grid: Grid,
    /// Share by share, of each by the merchant's side's, confirmations, spans and delays, in the grid's order.
    pub cells: Vec<Cell>,
    /// All runs that were played.
    pub runs: u64,
    /// Whether all was played that was asked for; if not, somebody stopped it, and what is here is of the first runs.
    pub is_complete: bool,
    /// Cells that theory says something of that so many runs can tell.
    pub cells_tested: u64,
    /// Whether all of these are as theory says, with 99 per cent for all of them together.
    pub is_as_expected: bool,
}

/// What came of one cell.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cell {
    /// The attacker's share of the hash power.
    pub share: f64,
    /// The share of the honest hash power on the merchant's side.
    pub merchant_share: f64,
    /// The merchant's confirmations.
    pub confirmations: u64,
    /// How long the eclipse lasted, in block times.
    pub span: f64,
    /// How long blocks took, in block times.
    pub delay: f64,
    /// Attacks that were played.
    pub runs: u64,
    /// Those after which the merchant had handed over.
    pub delivered: u64,
    /// Those after which the merchant had handed over, and the payment was undone and its rival confirmed at its replica.
    pub successes: u64,
    /// The latter over all attacks; 0 where none were played.
    pub success: f64,
    /// Where the probability lies with 99 per cent, of this cell alone (Clopper and Pearson).
    pub interval: Interval,
    /// The same with 99 per cent for all tested cells of the grid together (Bonferroni).
    pub interval_together: Interval,
    /// What theory says of this attack; nothing where there is no closed form.
    pub expected: Option<f64>,
    /// What it says of the same share against as many confirmations where nothing is done but to mine in secret
    /// ([`theory::rosenfeld`]); 1 from one half on.
    pub expected_of_majority: f64,
    /// Whether there is no closed form, or fewer than [`SUCCESSES_MIN`](super::SUCCESSES_MIN) successes were to be expected of
    /// so many runs, so that the cell is not judged. Where success is impossible, it is judged.
    pub is_untested: bool,
    /// How often so many blocks of the merchant's replica were taken back at once, at most, by their number; of successes.
    pub depths: BTreeMap<u64, u64>,
    /// Blocks that the attacker found for this, in the mean over all attacks: none of those of a success is paid for.
    pub attacker_blocks_mean: f64,
}

impl Cell {
    /// Whether theory lies within the interval of all cells together, or says nothing.
    pub fn is_as_expected(&self) -> bool {
        self.expected.is_none_or(|expected| self.interval_together.contains(expected))
    }
}

impl Grid {
    /// Plays it on so many threads. `watch` is told now and then how far it is, and can stop it.
    pub fn play(&self, threads: usize, watch: impl FnMut(Progress) -> Watch) -> Result<Report, GridError> {
        self.check()?;
        let plans = self.plans();
        let stage = Stage::new();
        let runs: Vec<u64> = plans.iter().map(|plan| plan.effort.runs).collect();
        let play = |cell: usize, runs: Range<u64>| self.run(&stage, &plans[cell].terms, runs);
        let (sums, is_complete) = tally::play(&runs, threads, play, watch);
        Ok(self.report(&plans, &sums, is_complete))
    }

    fn check(&self) -> Result<(), GridError> {
        let Self { shares, merchant_shares, confirmations, spans, delays, .. } = self;
        let axes = [shares, merchant_shares, spans, delays];
        if axes.iter().any(|axis| axis.is_empty()) || confirmations.is_empty() {
            return Err(GridError::Empty);
        }
        if let Some(&got) = shares.iter().find(|share| !(0.0..1.0).contains(*share) || parts(**share) == PARTS) {
            return Err(GridError::Share { got });
        }
        if let Some(&got) = merchant_shares.iter().find(|share| !(0.0..=1.0).contains(*share)) {
            return Err(GridError::MerchantShare { got });
        }
        let least = u64::from(self.strategy == Strategy::Vector76);
        if let Some(&got) = confirmations.iter().find(|number| !(least..=BLOCKS_MAX).contains(*number)) {
            return Err(GridError::Confirmations { expected: least, got });
        }
        let is_eclipse = self.strategy == Strategy::Eclipse;
        let is_span = |span: &f64| if is_eclipse { *span > 0.0 && *span <= SPAN_MAX } else { *span == 0.0 };
        if let Some(&got) = spans.iter().find(|span| !is_span(span)) {
            return Err(GridError::Span { got });
        }
        let longest = if self.strategy == Strategy::Race { DELAY_MAX } else { 0.0 };
        if let Some(&got) = delays.iter().find(|delay| !(0.0..=longest).contains(*delay)) {
            return Err(GridError::Delay { expected: longest, got });
        }
        if self.runs_min == 0 || self.runs_min > self.runs_max || self.runs_max > RUNS_MAX {
            return Err(GridError::Runs { min: self.runs_min, max: self.runs_max });
        }
        Ok(())
    }

    fn plans(&self) -> Vec<CellPlan> {
        let mut plans = Vec::new();
        for share in &self.shares {
            for merchant_share in &self.merchant_shares {
                for &confirmations in &self.confirmations {
                    for &span in &self.spans {
                        let of =
                            |delay: &f64| self.plan(Terms::new(*share, *merchant_share, confirmations, span, *delay));
                        plans.extend(self.delays.iter().map(of));
                    }
                }
            }
        }
        plans
    }

    fn plan(&self, terms: Terms) -> CellPlan {
        let expected = terms.expected(self.strategy);
        let Self { runs_min, runs_max, .. } = *self;
        let effort = match expected {
            None => Effort { runs: runs_min, is_untested: true },
            // One success is too many.
            Some(0.0) => Effort { runs: runs_min, is_untested: false },
            Some(expected) => Effort::of(expected, runs_min, runs_max),
        };
        CellPlan { terms, effort, expected }
    }

    fn run(&self, stage: &Stage, terms: &Terms, runs: Range<u64>) -> Sums {
        let mut sums = Sums::default();
        for number in runs {
            let seed = terms.seed_of(self.seed, self.strategy, number);
            sums.note(&match self.strategy {
                Strategy::Eclipse => eclipse::play(stage, seed, terms),
                Strategy::Race => race::play(stage, seed, terms),
                Strategy::Vector76 => vector76::play(stage, seed, terms),
            });
        }
        sums
    }

    fn report(&self, plans: &[CellPlan], sums: &[Sums], is_complete: bool) -> Report {
        let tested = plans.iter().filter(|plan| !plan.effort.is_untested).count();
        let together = DOUBT / tested.max(1) as f64;
        let cells: Vec<Cell> = plans.iter().zip(sums).map(|(plan, sums)| plan.cell(sums, together)).collect();
        let is_as_expected = cells.iter().filter(|cell| !cell.is_untested).all(Cell::is_as_expected);
        let runs = sums.iter().map(|sums| sums.runs).sum();
        Report { grid: self.clone(), cells, runs, is_complete, cells_tested: tested as u64, is_as_expected }
    }
}

/// Shares are taken in these parts of the whole.
const PARTS: u64 = 1_000_000;

fn parts(share: f64) -> u64 {
    (share * PARTS as f64).round() as u64
}

/// What one attack is about. The hash powers are parts of [`PARTS`].
struct Terms {
    attacker: u64,
    /// The honest hash power on the merchant's side.
    merchant: u64,
    /// The rest of it.
    others: u64,
    confirmations: u64,
    span: f64,
    delay: f64,
}

impl Terms {
    fn new(share: f64, merchant_share: f64, confirmations: u64, span: f64, delay: f64) -> Self {
        let attacker = parts(share);
        let merchant = ((PARTS - attacker) as f64 * merchant_share).round() as u64;
        Self { attacker, merchant, others: PARTS - attacker - merchant, confirmations, span, delay }
    }

    fn expected(&self, strategy: Strategy) -> Option<f64> {
        let (share, merchant) = (self.attacker as f64 / PARTS as f64, self.merchant as f64 / PARTS as f64);
        match strategy {
            Strategy::Eclipse => Some(theory::eclipse(share, merchant, self.confirmations, self.span)),
            Strategy::Race if self.delay > 0.0 => None,
            Strategy::Race => Some(if self.confirmations == 0 { self.others_and_attacker() } else { 0.0 }),
            Strategy::Vector76 => Some(theory::vector76(share, merchant, self.confirmations)),
        }
    }

    /// Who finds a block that is not of the merchant's side.
    fn others_and_attacker(&self) -> f64 {
        (self.others + self.attacker) as f64 / PARTS as f64
    }

    /// 20 bits for each of two shares and then 10 for the confirmations and 34 for the number.
    fn seed_of(&self, seed: u64, strategy: Strategy, number: u64) -> u64 {
        assert!(number < 1 << 34, "a cell has no more runs");
        let powers = Rng::new(seed, self.attacker << 20 | self.merchant, strategy.name()).next_u64();
        Rng::new(powers, self.confirmations << 34 | number, "run").next_u64()
    }
}

/// One cell, and how often it is played.
struct CellPlan {
    terms: Terms,
    effort: Effort,
    expected: Option<f64>,
}

impl CellPlan {
    fn cell(&self, sums: &Sums, together: f64) -> Cell {
        let Self { ref terms, effort, expected } = *self;
        let Sums { runs, delivered, attacker_blocks, ref depths } = *sums;
        let successes: u64 = depths.values().sum();
        let mean = |sum: u64| sum as f64 / runs.max(1) as f64;
        // Of nothing at all nothing is known.
        let interval = |doubt| match runs {
            0 => Interval { low: 0.0, high: 1.0 },
            runs => probability(successes, runs, doubt),
        };
        let share = terms.attacker as f64 / PARTS as f64;
        Cell {
            share,
            merchant_share: terms.merchant as f64 / (terms.merchant + terms.others) as f64,
            confirmations: terms.confirmations,
            span: terms.span,
            delay: terms.delay,
            runs,
            delivered,
            successes,
            success: mean(successes),
            interval: interval(DOUBT),
            interval_together: interval(together),
            expected,
            expected_of_majority: theory::rosenfeld(share, terms.confirmations),
            is_untested: effort.is_untested,
            depths: depths.clone(),
            attacker_blocks_mean: mean(attacker_blocks),
        }
    }
}

/// What came of one attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Played {
    /// Whether the merchant handed over.
    is_delivered: bool,
    /// Whether the rival is confirmed at the merchant's replica in the end.
    is_undone: bool,
    /// The most blocks that it took back at once.
    depth: u64,
    /// Blocks that the attacker found for this.
    attacker: u64,
}

/// What attacks add up to.
#[derive(Clone, Default)]
struct Sums {
    runs: u64,
    delivered: u64,
    /// Of successes.
    depths: BTreeMap<u64, u64>,
    attacker_blocks: u64,
}

impl Sums {
    fn note(&mut self, played: &Played) {
        self.runs += 1;
        self.delivered += u64::from(played.is_delivered);
        self.attacker_blocks += played.attacker;
        if played.is_delivered && played.is_undone {
            *self.depths.entry(played.depth).or_default() += 1;
        }
    }
}

impl Sum for Sums {
    fn add(&mut self, other: &Self) {
        self.runs += other.runs;
        self.delivered += other.delivered;
        self.attacker_blocks += other.attacker_blocks;
        for (depth, times) in &other.depths {
            *self.depths.entry(*depth).or_default() += times;
        }
    }
}

#[cfg(test)]
mod tests;
