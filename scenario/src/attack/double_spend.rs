//! Double spends by the thousand: over the attacker's share of the hash power, the merchant's confirmations and the honest miners'
//! delay, each duel fought by real replicas ([`crate::duel`]), beside what theory says of exactly that duel ([`theory`]).
//!
//! A duel's seed is made of the grid's, the cell's share and confirmations, and its number. So a cell is the same in whatever
//! grid it stands, on any number of threads, and more runs begin with the same ones. Of two delays the same duels are fought, with
//! the same blocks at the same times, so that what they differ by is the delay's doing.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use serde::Serialize;
use synod_machine::{Rng, Time};

use super::delay::{self, Delayed};
use super::depth::{Depth, EXPECTED_MIN};
use super::tally::{Effort, SUCCESSES_MIN, Sum};
use super::{DOUBT, Progress, tally, theory};
use crate::Watch;
use crate::duel::{Stage, Terms, Wait};
use crate::stats::{Interval, probability};

/// What is to be fought: every share against every number of confirmations.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Grid {
    /// The attacker's shares of all hash power, at least 0 and below 1. They are taken to a millionth.
    pub shares: Vec<f64>,
    /// Confirmations at which the merchant hands over: from 1, the block with the payment, to [`BLOCKS_MAX`].
    pub confirmations: Vec<u64>,
    /// How long a block of an honest miner takes to the others and to the merchant, in block times of all hash power together, from 0
    /// to [`DELAY_MAX`]. Where there is none, the honest miners and the merchant are one replica.
    pub delays: Vec<f64>,
    /// Blocks that the attacker has in hand when the payment is made, at most [`BLOCKS_MAX`].
    pub in_hand: u64,
    /// How the time until the confirmations passes. Where blocks are delayed, it can only be raced.
    pub wait: Wait,
    /// The attacker gives up when, the goods handed over, it is so many blocks behind: from 1 to [`BEHIND_MAX`].
    pub behind_max: u64,
    /// Duels of each cell, at least; above 0.
    pub runs_min: u64,
    /// Duels of each cell, at most [`RUNS_MAX`]. A cell is given as many as let [`SUCCESSES_MIN`] be expected; where these are not
    /// enough for that, it stays at the least and is marked as untested.
    pub runs_max: u64,
    /// What all duels are drawn from.
    pub seed: u64,
}

impl Default for Grid {
    fn default() -> Self {
        Self {
            // Nakamoto 2008, section 11, prints 0.1 and 0.3; Rosenfeld 2014, table 1, goes on to one half.
            shares: vec![0.1, 0.2, 0.3, 0.4],
            confirmations: (1..=6).collect(),
            // Nakamoto's and Rosenfeld's.
            delays: vec![0.0],
            // Rosenfeld 2014, section 4: one block is mined before the attack begins.
            in_hand: 1,
            wait: Wait::Raced,
            // At a share of 0.3 the chance of catching up from there is one in ten thousand.
            behind_max: 10,
            runs_min: 2_000,
            runs_max: 50_000,
            seed: 1,
        }
    }
}

/// The most confirmations, and the most blocks in hand.
pub const BLOCKS_MAX: u64 = 1_000;
/// The most that an attacker can be willing to be behind: equal sides need about the square of it in blocks to decide a duel.
pub const BEHIND_MAX: u64 = 100;
/// The longest delay: a block time.
pub const DELAY_MAX: f64 = 1.0;
/// The most duels of a cell.
pub const RUNS_MAX: u64 = 10_000_000;

/// Why a grid cannot be fought.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum GridError {
    /// It would never give up, or at once.
    #[error("an attacker that gives up {got} blocks behind cannot be simulated: expected 1 to {BEHIND_MAX}")]
    Behind {
        /// What was asked for.
        got: u64,
    },
    /// A payment needs a block, and no merchant waits for ever.
    #[error("{got} confirmations cannot be waited for: expected 1 to {BLOCKS_MAX}")]
    Confirmations {
        /// What was asked for.
        got: u64,
    },
    /// None, or too long a one.
    #[error("blocks cannot be delayed for {got} block times: expected 0 to {DELAY_MAX}")]
    Delay {
        /// What was asked for.
        got: f64,
    },
    /// Nothing is to be fought.
    #[error("there is nothing to fight: expected a share, a number of confirmations and a delay")]
    Empty,
    /// Blocks that come at their expected times are found by one miner.
    #[error("delayed blocks cannot come at their expected times: expected a wait that is raced, or no delay")]
    Held,
    /// Too many.
    #[error("{got} blocks in hand are too many: expected at most {BLOCKS_MAX}")]
    InHand {
        /// What was asked for.
        got: u64,
    },
    /// Fewer than one, or the least is above the most.
    #[error("from {min} to {max} runs of a cell cannot be fought: expected 1 to {RUNS_MAX}, the least first")]
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
}

/// What came of a grid.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// What was fought.
    pub grid: Grid,
    /// Share by share, of each confirmations by confirmations, of each delay by delay, in the grid's order.
    pub cells: Vec<Cell>,
    /// All duels that were fought.
    pub runs: u64,
    /// Whether all was fought that was asked for; if not, somebody stopped it, and what is here is of the first runs.
    pub is_complete: bool,
    /// Cells of which enough successes are to be expected.
    pub cells_tested: u64,
    /// Whether all of these are as theory says, with 99 per cent for all of them together.
    pub is_as_expected: bool,
}

/// What came of one share against one number of confirmations at one delay.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cell {
    /// The attacker's share of the hash power.
    pub share: f64,
    /// The merchant's confirmations.
    pub confirmations: u64,
    /// How long honest blocks took, in block times.
    pub delay: f64,
    /// Duels that were fought.
    pub runs: u64,
    /// Duels after which the payment was taken back at the merchant's replica and its rival confirmed.
    pub successes: u64,
    /// The latter over the former; 0 where none were fought.
    pub success: f64,
    /// Where the probability lies with 99 per cent, of this cell alone (Clopper and Pearson).
    pub interval: Interval,
    /// The same with 99 per cent for all tested cells of the grid together (Bonferroni).
    pub interval_together: Interval,
    /// What theory says of this duel, giving up and delay included ([`theory::success`], [`theory::success_with_delay`]).
    pub expected: f64,
    /// What it says if the attacker never gives up and nothing is delayed: Rosenfeld's or, where the confirmations are held,
    /// Nakamoto's, if one block is in hand ([`theory::success_without_end`]).
    pub expected_without_end: f64,
    /// Whether fewer than [`SUCCESSES_MIN`] successes were to be expected of so many runs, so that the cell is not judged.
    pub is_untested: bool,
    /// How often so many blocks of the merchant's replica were taken back, by their number; only successes take any back.
    pub depths: BTreeMap<u64, u64>,
    /// The mean of these; nothing without a success.
    pub depth_mean: Option<f64>,
    /// Blocks that the attacker found, those in hand among them, in the mean over all duels: what an attempt costs in work.
    pub attacker_blocks_mean: f64,
    /// Those of duels that it lost, in the mean over all duels: nobody pays for them.
    pub attacker_blocks_lost_mean: f64,
    /// Blocks that the honest side found, in the mean.
    pub honest_blocks_mean: f64,
    /// Those that were not on its longest branch in the end, in the mean: what the delay cost it.
    pub honest_blocks_stale_mean: f64,
    /// How long a duel takes from the first block in hand to its end, in the mean: seconds of virtual time, at Bitcoin's ten minutes
    /// for a block of both sides together.
    pub seconds_mean: f64,
}

impl Cell {
    /// Whether theory lies within the interval of all cells together.
    pub fn is_as_expected(&self) -> bool {
        self.interval_together.contains(self.expected)
    }
}

impl Report {
    /// How often so many blocks or more of the merchant's replica were taken back in a cell, for each number of them from the confirmations
    /// on, beside what theory says ([`theory::depths`]), with 99 per cent for all of the cell together. Nothing where blocks
    /// are delayed: of that theory does not say how deep it goes.
    pub fn depths(&self, cell: &Cell) -> Vec<Depth> {
        if cell.delay > 0.0 {
            return Vec::new();
        }
        let terms = self.grid.terms(cell.share, cell.confirmations);
        let expected = theory::depths(&terms, EXPECTED_MIN);
        let is_tested = |expected: f64| expected * cell.runs as f64 >= SUCCESSES_MIN;
        let tested = expected.iter().filter(|expected| is_tested(**expected)).count();
        let depths = (cell.confirmations..).zip(expected).map(|(depth, expected)| {
            let runs = cell.depths.range(depth..).map(|(_, times)| times).sum();
            Depth {
                depth,
                runs,
                probability: runs as f64 / cell.runs.max(1) as f64,
                interval: interval(runs, cell.runs, DOUBT),
                interval_together: interval(runs, cell.runs, DOUBT / tested.max(1) as f64),
                expected,
                is_untested: !is_tested(expected),
            }
        });
        depths.collect()
    }
}

impl Grid {
    /// Fights it on so many threads. `watch` is told now and then how far it is, and can stop it.
    pub fn fight(&self, threads: usize, watch: impl FnMut(Progress) -> Watch) -> Result<Report, GridError> {
        self.check()?;
        let plans = self.plans();
        let stage = Stage::new();
        let runs: Vec<u64> = plans.iter().map(|plan| plan.effort.runs).collect();
        let fight = |cell: usize, runs: Range<u64>| plans[cell].fight(&stage, self.seed, runs);
        let (sums, is_complete) = tally::play(&runs, threads, fight, watch);
        Ok(self.report(&plans, &sums, is_complete))
    }

    fn check(&self) -> Result<(), GridError> {
        if self.shares.is_empty() || self.confirmations.is_empty() || self.delays.is_empty() {
            return Err(GridError::Empty);
        }
        if let Some(&got) = self.shares.iter().find(|share| !(0.0..1.0).contains(*share) || parts(**share) == PARTS) {
            return Err(GridError::Share { got });
        }
        if let Some(&got) = self.confirmations.iter().find(|number| !(1..=BLOCKS_MAX).contains(*number)) {
            return Err(GridError::Confirmations { got });
        }
        if let Some(&got) = self.delays.iter().find(|delay| !(0.0..=DELAY_MAX).contains(*delay)) {
            return Err(GridError::Delay { got });
        }
        if self.wait == Wait::Held && self.delays.iter().any(|delay| *delay > 0.0) {
            return Err(GridError::Held);
        }
        if self.in_hand > BLOCKS_MAX {
            return Err(GridError::InHand { got: self.in_hand });
        }
        if !(1..=BEHIND_MAX).contains(&self.behind_max) {
            return Err(GridError::Behind { got: self.behind_max });
        }
        if self.runs_min == 0 || self.runs_min > self.runs_max || self.runs_max > RUNS_MAX {
            return Err(GridError::Runs { min: self.runs_min, max: self.runs_max });
        }
        Ok(())
    }

    fn plans(&self) -> Vec<CellPlan> {
        let cells = self.shares.iter().flat_map(|share| self.confirmations.iter().map(move |number| (*share, *number)));
        let cells = cells.flat_map(|(share, number)| self.delays.iter().map(move |delay| (share, number, *delay)));
        cells.map(|(share, confirmations, delay)| self.plan(share, confirmations, delay)).collect()
    }

    fn plan(&self, share: f64, confirmations: u64, delay: f64) -> CellPlan {
        let terms = self.terms(share, confirmations);
        let expected = if delay > 0.0 { theory::success_with_delay(&terms, delay) } else { theory::success(&terms) };
        let effort = Effort::of(expected, self.runs_min, self.runs_max);
        CellPlan { terms, delay, effort, expected }
    }

    fn terms(&self, share: f64, confirmations: u64) -> Terms {
        let Self { in_hand, wait, behind_max, .. } = *self;
        let attacker = parts(share);
        Terms { honest: PARTS - attacker, attacker, confirmations, in_hand, wait, behind_max }
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

/// One cell, and how often it is fought.
struct CellPlan {
    terms: Terms,
    delay: f64,
    effort: Effort,
    expected: f64,
}

impl CellPlan {
    fn fight(&self, stage: &Stage, seed: u64, runs: Range<u64>) -> Sums {
        let mut sums = Sums::default();
        for number in runs {
            let seed = self.seed_of(seed, number);
            sums.note(&if self.delay > 0.0 {
                delay::fight(stage, seed, &self.terms, self.delay)
            } else {
                Delayed { fought: stage.fight(seed, &self.terms), stale: 0 }
            });
        }
        sums
    }

    /// 20 bits for the share, 10 for the confirmations and 34 for the number.
    fn seed_of(&self, seed: u64, number: u64) -> u64 {
        assert!(number < 1 << 34, "a cell has no more duels");
        let name = self.terms.attacker << 44 | self.terms.confirmations << 34 | number;
        Rng::new(seed, name, "double-spend").next_u64()
    }

    fn cell(&self, sums: &Sums, together: f64) -> Cell {
        let Self { terms, delay, expected, effort } = *self;
        let Sums { runs, ref depths, .. } = *sums;
        let mean = |sum: u64| sum as f64 / runs.max(1) as f64;
        let successes: u64 = depths.values().sum();
        let depth: u64 = depths.iter().map(|(depth, times)| depth * times).sum();
        Cell {
            share: terms.attacker as f64 / PARTS as f64,
            confirmations: terms.confirmations,
            delay,
            runs,
            successes,
            success: mean(successes),
            interval: interval(successes, runs, DOUBT),
            interval_together: interval(successes, runs, together),
            expected,
            expected_without_end: theory::success_without_end(&terms),
            is_untested: effort.is_untested,
            depths: depths.clone(),
            depth_mean: (successes > 0).then(|| depth as f64 / successes as f64),
            attacker_blocks_mean: mean(sums.attacker_blocks),
            attacker_blocks_lost_mean: mean(sums.attacker_blocks_lost),
            honest_blocks_mean: mean(sums.honest_blocks),
            honest_blocks_stale_mean: mean(sums.honest_blocks_stale),
            seconds_mean: sums.span.as_secs_f64() / runs.max(1) as f64,
        }
    }
}

/// Of nothing at all nothing is known.
fn interval(successes: u64, runs: u64, doubt: f64) -> Interval {
    if runs == 0 { Interval { low: 0.0, high: 1.0 } } else { probability(successes, runs, doubt) }
}

/// What duels add up to.
#[derive(Clone, Default)]
struct Sums {
    runs: u64,
    depths: BTreeMap<u64, u64>,
    attacker_blocks: u64,
    attacker_blocks_lost: u64,
    honest_blocks: u64,
    honest_blocks_stale: u64,
    span: Duration,
}

impl Sums {
    fn note(&mut self, Delayed { fought, stale }: &Delayed) {
        self.runs += 1;
        self.honest_blocks_stale += stale;
        self.attacker_blocks += fought.attacker;
        self.honest_blocks += fought.honest;
        self.span += fought.at.since(Time::ZERO);
        if fought.is_reversed {
            *self.depths.entry(fought.depth).or_default() += 1;
        } else {
            self.attacker_blocks_lost += fought.attacker;
        }
    }
}

impl Sum for Sums {
    fn add(&mut self, other: &Self) {
        self.runs += other.runs;
        for (depth, times) in &other.depths {
            *self.depths.entry(*depth).or_default() += times;
        }
        self.attacker_blocks += other.attacker_blocks;
        self.attacker_blocks_lost += other.attacker_blocks_lost;
        self.honest_blocks += other.honest_blocks;
        self.honest_blocks_stale += other.honest_blocks_stale;
        self.span += other.span;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> Grid {
        Grid {
            shares: vec![0.0, 0.2, 0.6],
            confirmations: vec![1, 3],
            behind_max: 3,
            runs_min: 100,
            runs_max: 1_000,
            ..Grid::default()
        }
    }

    fn fight(grid: &Grid, threads: usize) -> Report {
        grid.fight(threads, |_| Watch::GoOn).expect("a grid like this can be fought")
    }

    #[test]
    fn the_report_is_the_same_on_any_number_of_threads_and_another_with_another_seed() {
        let report = fight(&small(), 1);
        assert_eq!(fight(&small(), 3), report);
        let other = fight(&Grid { seed: 2, ..small() }, 3);
        assert!(other.cells.iter().zip(&report.cells).any(|(other, one)| other.depths != one.depths));
    }

    #[test]
    fn a_cell_is_the_same_in_whatever_grid_it_stands() {
        let alone = fight(&Grid { shares: vec![0.6], confirmations: vec![3], ..small() }, 2);
        let among = fight(&small(), 2);
        let Cell { depths, attacker_blocks_mean, .. } = &among.cells[5];
        assert_eq!((&alone.cells[0].depths, &alone.cells[0].attacker_blocks_mean), (depths, attacker_blocks_mean));
    }

    #[test]
    fn cells_have_as_many_runs_as_a_hundred_successes_need_or_are_untested() {
        let report = fight(&small(), 2);
        let runs: Vec<(f64, u64, u64, bool)> =
            report.cells.iter().map(|cell| (cell.share, cell.confirmations, cell.runs, cell.is_untested)).collect();
        let expected = |place: usize| (100.0 / report.cells[place].expected).ceil() as u64;
        assert_eq!(
            runs,
            [
                (0.0, 1, 100, true),
                (0.0, 3, 100, true),
                (0.2, 1, expected(2), false),
                (0.2, 3, expected(3), false),
                (0.6, 1, expected(4), false),
                (0.6, 3, expected(5), false),
            ]
        );
        assert_eq!(report.cells_tested, 4);
        assert_eq!(report.runs, runs.iter().map(|cell| cell.2).sum::<u64>());
        assert!(report.is_complete);
    }

    #[test]
    fn successes_take_back_at_least_the_confirmations_and_what_is_lost_is_a_part_of_what_is_spent() {
        let report = fight(&small(), 2);
        for cell in &report.cells {
            assert_eq!(cell.depths.values().sum::<u64>(), cell.successes);
            assert!(cell.depths.keys().all(|depth| *depth >= cell.confirmations), "{cell:?}");
            assert!(cell.attacker_blocks_lost_mean <= cell.attacker_blocks_mean, "{cell:?}");
            assert!(cell.honest_blocks_mean >= cell.confirmations as f64, "{cell:?}");
            assert!(cell.interval_together.contains(cell.interval.low), "{cell:?}");
        }
        // Without hash power it loses the block in hand, and nothing is taken back.
        let Cell { successes, depth_mean, attacker_blocks_mean, attacker_blocks_lost_mean, .. } = report.cells[1];
        assert_eq!((successes, depth_mean, attacker_blocks_mean, attacker_blocks_lost_mean), (0, None, 1.0, 1.0));
        // Three confirmations and another block or two until it is three behind.
        assert_eq!(report.cells[1].honest_blocks_mean, 4.0);
    }

    #[test]
    fn the_longer_blocks_take_the_more_duels_of_the_same_ones_are_lost() {
        let grid = Grid { shares: vec![0.3], confirmations: vec![3], delays: vec![0.0, 0.1, 0.5], ..small() };
        let [none, short, long] = &fight(&grid, 2).cells[..] else { panic!("there are three cells") };
        assert_eq!([none.delay, short.delay, long.delay], [0.0, 0.1, 0.5]);
        assert!(none.expected < short.expected && short.expected < long.expected);
        assert!(none.success < long.success, "{} {}", none.success, long.success);
        assert_eq!(none.honest_blocks_stale_mean, 0.0);
        assert!(0.0 < short.honest_blocks_stale_mean, "{short:?}");
        assert!(short.honest_blocks_stale_mean < long.honest_blocks_stale_mean, "{long:?}");
        assert_eq!(none.expected_without_end, long.expected_without_end);
    }

    #[test]
    fn what_is_taken_back_is_as_deep_as_theory_says() {
        let report =
            fight(&Grid { shares: vec![0.4], confirmations: vec![2], runs_min: 2_100, runs_max: 2_100, ..small() }, 2);
        let depths = report.depths(&report.cells[0]);
        assert!(depths.iter().filter(|depth| !depth.is_untested).all(Depth::is_as_expected), "{depths:#?}");
        assert_eq!((depths[0].depth, depths[0].runs), (2, report.cells[0].successes));
        assert!(depths.iter().filter(|depth| !depth.is_untested).count() >= 3, "{depths:#?}");
        assert!(!depths[0].interval_together.contains(depths[1].expected), "the sample tells one depth from the next");
        let delayed = Grid { delays: vec![0.5], ..small() };
        let report = fight(&delayed, 2);
        assert_eq!(report.depths(&report.cells[2]), []);
    }

    #[test]
    fn progress_grows_to_the_end_and_whoever_stops_it_has_the_first_runs() {
        let mut seen = Vec::new();
        let full = small().fight(2, |progress| {
            seen.push(progress);
            Watch::GoOn
        });
        let full = full.expect("a grid like this can be fought");
        let last = seen.last().expect("there is progress");
        assert_eq!((last.cells_done, last.cells, last.runs_done, last.runs), (6, 6, full.runs, full.runs));
        assert!(seen.is_sorted_by_key(|progress| (progress.runs_done, progress.cells_done)));

        let stop = |progress: Progress| if progress.cells_done == 1 { Watch::Stop } else { Watch::GoOn };
        let stopped = small().fight(2, stop).expect("a grid like this can be fought");
        assert!(!stopped.is_complete);
        assert_eq!(
            stopped.cells[0],
            Cell { interval_together: stopped.cells[0].interval_together, ..full.cells[0].clone() }
        );
        assert_eq!((stopped.runs, stopped.cells[5].runs), (100, 0));
        assert_eq!(stopped.cells[5].interval, Interval { low: 0.0, high: 1.0 });
    }

    #[test]
    fn as_json_a_report_has_these_names() {
        let report = serde_json::to_value(fight(&small(), 2)).expect("a report can be written");
        let names =
            |value: &serde_json::Value| value.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&report), ["cells", "cells_tested", "grid", "is_as_expected", "is_complete", "runs"]);
        assert_eq!(
            names(&report["grid"]),
            ["behind_max", "confirmations", "delays", "in_hand", "runs_max", "runs_min", "seed", "shares", "wait"]
        );
        assert_eq!(report["grid"]["wait"], "raced");
        let cell = &report["cells"][5];
        assert_eq!(
            names(cell),
            [
                "attacker_blocks_lost_mean",
                "attacker_blocks_mean",
                "confirmations",
                "delay",
                "depth_mean",
                "depths",
                "expected",
                "expected_without_end",
                "honest_blocks_mean",
                "honest_blocks_stale_mean",
                "interval",
                "interval_together",
                "is_untested",
                "runs",
                "seconds_mean",
                "share",
                "success",
                "successes"
            ]
        );
        assert_eq!(names(&cell["interval"]), ["high", "low"]);
        assert!(names(&cell["depths"]).contains(&"3".to_string()), "{cell}");
        assert!(report["cells"][0]["depth_mean"].is_null(), "nothing is taken back without hash power");
    }

    #[test]
    fn what_cannot_be_fought_is_refused_with_the_reason() {
        let refused = |grid: Grid| grid.fight(1, |_| Watch::Stop).expect_err("it cannot be fought").to_string();
        for share in [-0.1, 1.0, 0.999_999_9, f64::NAN] {
            assert!(refused(Grid { shares: vec![share], ..small() }).contains("share"), "{share}");
        }
        for grid in [
            Grid { shares: vec![], ..small() },
            Grid { confirmations: vec![], ..small() },
            Grid { delays: vec![], ..small() },
        ] {
            assert_eq!(refused(grid), GridError::Empty.to_string());
        }
        for got in [-0.1, 1.1] {
            assert_eq!(refused(Grid { delays: vec![0.0, got], ..small() }), GridError::Delay { got }.to_string());
        }
        let held = Grid { wait: Wait::Held, delays: vec![0.0, 0.1], ..small() };
        assert_eq!(refused(held), GridError::Held.to_string());
        for got in [0, BLOCKS_MAX + 1] {
            let grid = Grid { confirmations: vec![got], ..small() };
            assert_eq!(refused(grid), GridError::Confirmations { got }.to_string());
        }
        for got in [0, BEHIND_MAX + 1] {
            assert_eq!(refused(Grid { behind_max: got, ..small() }), GridError::Behind { got }.to_string());
        }
        let got = BLOCKS_MAX + 1;
        assert_eq!(refused(Grid { in_hand: got, ..small() }), GridError::InHand { got }.to_string());
        for (min, max) in [(0, 1), (2, 1), (1, RUNS_MAX + 1)] {
            let grid = Grid { runs_min: min, runs_max: max, ..small() };
            assert_eq!(refused(grid), GridError::Runs { min, max }.to_string());
        }
    }
}
