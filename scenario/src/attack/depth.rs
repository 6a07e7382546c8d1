//! How deep honest replicas take blocks back after a network was in two parts for a while (Saad, Cook, Nguyen, Thai and Mohaisen
//! 2019, "Partitioning attacks on Bitcoin"), by the thousand, beside what theory says.
//!
//! Each part has a share of the hash power and mines alone. When the split ends the two parts tell each other what they have, and the part
//! with less work changes over; of two parts with equal work neither does, and the next block decides. So what is taken back is
//! the shorter of the two branches, whole: it is d blocks deep or deeper if both parts found d or more. Blocks come to both by
//! Poisson's law, with means of their shares of the span, independent of each other ([`theory::partition_depth`]).
//!
//! A run's seed is made of the grid's, the cell's share, and its number, so that of two spans the same runs are played.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use serde::Serialize;
use synod_consensus::Chain;
use synod_machine::{PeerId, Rng, Time};

use super::tally::{SUCCESSES_MIN, Sum};
use super::{DOUBT, Progress, tally, theory};
use crate::Watch;
use crate::party::{BLOCK_TIME, Party, chain, meet, race};
use crate::stats::{Interval, probability};

/// What is to be played: every share against every span.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Grid {
    /// The shares of all hash power in one of the two parts, from 0 to 1. They are taken to a millionth.
    pub shares: Vec<f64>,
    /// How long the network is split, in block times of all hash power together: from 0 to [`SPAN_MAX`].
    pub spans: Vec<f64>,
    /// Runs of each cell: from 1 to [`RUNS_MAX`].
    pub runs: u64,
    /// What all runs are drawn from.
    pub seed: u64,
}

/// The longest split, in block times: at ten minutes a block this is a day and a half.
pub const SPAN_MAX: f64 = 200.0;
/// The most runs of a cell.
pub const RUNS_MAX: u64 = 10_000_000;

impl Default for Grid {
    fn default() -> Self {
        // Equal parts are taken back deepest; twenty minutes, two hours and a third of a day at Bitcoin's block time.
        Self { shares: vec![0.2, 0.5], spans: vec![2.0, 12.0, 48.0], runs: 5_000, seed: 1 }
    }
}

/// Why a grid cannot be played.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum GridError {
    /// Nothing is to be played.
    #[error("there is nothing to play: expected a share and a span")]
    Empty,
    /// None, or too many.
    #[error("{got} runs of a cell are too few or too many: expected 1 to {RUNS_MAX}")]
    Runs {
        /// What was asked for.
        got: u64,
    },
    /// No share.
    #[error("a part of a network has no share {got} of the hash power: expected 0 to 1")]
    Share {
        /// What was asked for.
        got: f64,
    },
    /// Too long, or no time.
    #[error("a split of {got} block times cannot be played: expected 0 to {SPAN_MAX}")]
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
    /// Share by share, of each span by span, in the grid's order.
    pub cells: Vec<Cell>,
    /// All runs that were played.
    pub runs: u64,
    /// Whether all was played that was asked for; if not, somebody stopped it, and what is here is of the first runs.
    pub is_complete: bool,
    /// Depths of all cells of which enough are to be expected.
    pub depths_tested: u64,
    /// Whether all of these are as theory says, with 99 per cent for all of them together.
    pub is_as_expected: bool,
}

/// What came of one share and one span.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cell {
    /// The share of the hash power in one of the two parts.
    pub share: f64,
    /// How long the network was split, in block times.
    pub span: f64,
    /// Runs that were played.
    pub runs: u64,
    /// From 1 up to where neither theory nor a run says anything.
    pub depths: Vec<Depth>,
    /// Blocks that the part which changed over took back, in the mean.
    pub depth_mean: f64,
    /// What theory says of that.
    pub expected_mean: f64,
    /// The most that were taken back in any run.
    pub depth_max: u64,
}

/// How often so many blocks or more were taken back.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Depth {
    /// So many blocks or more.
    pub depth: u64,
    /// Runs in which they were.
    pub runs: u64,
    /// The share of all runs.
    pub probability: f64,
    /// Where the probability lies with 99 per cent, of this depth alone (Clopper and Pearson).
    pub interval: Interval,
    /// The same with 99 per cent for all tested depths of the grid together (Bonferroni).
    pub interval_together: Interval,
    /// What theory says ([`theory::partition_depth`]).
    pub expected: f64,
    /// Whether fewer than [`SUCCESSES_MIN`] were to be expected, so that it is not judged.
    pub is_untested: bool,
}

impl Depth {
    /// Whether theory lies within the interval of all depths together.
    pub fn is_as_expected(&self) -> bool {
        self.interval_together.contains(self.expected)
    }
}

impl Grid {
    /// Plays it on so many threads. `watch` is told now and then how far it is, and can stop it.
    pub fn play(&self, threads: usize, watch: impl FnMut(Progress) -> Watch) -> Result<Report, GridError> {
        self.check()?;
        let all = |share: &f64| self.spans.iter().map(|span| Split { part: parts(*share), span: *span }).collect();
        let splits: Vec<Split> = self.shares.iter().flat_map(|share: &f64| -> Vec<Split> { all(share) }).collect();
        let chain = chain("depth");
        let play = |cell: usize, runs: Range<u64>| {
            let mut sums = Sums::default();
            for number in runs {
                let depth = splits[cell].play(&chain, splits[cell].seed_of(self.seed, number));
                *sums.depths.entry(depth).or_default() += 1;
            }
            sums
        };
        let runs = vec![self.runs; splits.len()];
        let (sums, is_complete) = tally::play(&runs, threads, play, watch);
        Ok(self.report(&splits, &sums, is_complete))
    }

    fn check(&self) -> Result<(), GridError> {
        if self.shares.is_empty() || self.spans.is_empty() {
            return Err(GridError::Empty);
        }
        if let Some(&got) = self.shares.iter().find(|share| !(0.0..=1.0).contains(*share)) {
            return Err(GridError::Share { got });
        }
        if let Some(&got) = self.spans.iter().find(|span| !(0.0..=SPAN_MAX).contains(*span)) {
            return Err(GridError::Span { got });
        }
        if !(1..=RUNS_MAX).contains(&self.runs) {
            return Err(GridError::Runs { got: self.runs });
        }
        Ok(())
    }

    fn report(&self, splits: &[Split], sums: &[Sums], is_complete: bool) -> Report {
        let is_tested = |split: &Split, depth: u64| split.expected(depth) * self.runs as f64 >= SUCCESSES_MIN;
        let tested: usize = splits.iter().map(|split| (1..).take_while(|depth| is_tested(split, *depth)).count()).sum();
        let together = DOUBT / tested.max(1) as f64;
        let cell = |(split, sums): (&Split, &Sums)| split.cell(sums, together, |depth| is_tested(split, depth));
        let cells: Vec<Cell> = splits.iter().zip(sums).map(cell).collect();
        let mut judged = cells.iter().flat_map(|cell| &cell.depths).filter(|depth| !depth.is_untested);
        let is_as_expected = judged.all(Depth::is_as_expected);
        let runs = cells.iter().map(|cell| cell.runs).sum();
        Report { grid: self.clone(), cells, runs, is_complete, depths_tested: tested as u64, is_as_expected }
    }
}

/// Shares are taken in these parts of the whole.
const PARTS: u64 = 1_000_000;

fn parts(share: f64) -> u64 {
    (share * PARTS as f64).round() as u64
}

/// A cell's terms.
struct Split {
    part: u64,
    span: f64,
}

impl Split {
    fn share(&self) -> f64 {
        self.part as f64 / PARTS as f64
    }

    fn expected(&self, depth: u64) -> f64 {
        theory::partition_depth(self.share(), self.span, depth)
    }

    /// 20 bits for the share and 44 for the number.
    fn seed_of(&self, seed: u64, number: u64) -> u64 {
        Rng::new(seed, self.part << 44 | number, "depth").next_u64()
    }

    /// One run: how many blocks are taken back.
    fn play(&self, chain: &Arc<Chain>, seed: u64) -> u64 {
        let mut sides = [PeerId(0), PeerId(1)].map(|own| Party::new(chain, own));
        let mut race = race(chain, seed, &[self.part, PARTS - self.part]);
        let end = Time::ZERO + BLOCK_TIME.mul_f64(self.span);
        let mut now = Time::ZERO;
        loop {
            let tick = now + race.wait();
            let [one, other] = &sides;
            // Of two that are as long the next block decides.
            if tick > end && (one.height() != other.height() || one.height() == 0) {
                break;
            }
            now = tick;
            let draw = race.draw();
            sides[race.winner().0 as usize].mine(now, draw);
        }
        let [one, other] = &mut sides;
        meet(now.max(end), one, other);
        assert_eq!(one.tip(), other.tip(), "the branch with more work is followed");
        one.depth.max(other.depth)
    }

    fn cell(&self, sums: &Sums, together: f64, is_tested: impl Fn(u64) -> bool) -> Cell {
        let runs: u64 = sums.depths.values().sum();
        let depth_max = sums.depths.keys().next_back().copied().unwrap_or_default();
        let depth = |depth: u64| {
            let times = sums.depths.range(depth..).map(|(_, times)| times).sum();
            // Of nothing at all nothing is known.
            let interval = |doubt| match runs {
                0 => Interval { low: 0.0, high: 1.0 },
                runs => probability(times, runs, doubt),
            };
            Depth {
                depth,
                runs: times,
                probability: times as f64 / runs.max(1) as f64,
                interval: interval(DOUBT),
                interval_together: interval(together),
                expected: self.expected(depth),
                is_untested: !is_tested(depth),
            }
        };
        let says_something = |depth: &u64| *depth <= depth_max || self.expected(*depth) >= EXPECTED_MIN;
        let sum: u64 = sums.depths.iter().map(|(depth, times)| depth * times).sum();
        Cell {
            share: self.share(),
            span: self.span,
            runs,
            depths: (1..).take_while(says_something).map(depth).collect(),
            depth_mean: sum as f64 / runs.max(1) as f64,
            expected_mean: (1..).map(|depth| self.expected(depth)).take_while(|chance| *chance > REST).sum(),
            depth_max,
        }
    }
}

/// What is less probable is not shown where it never came …
pub const EXPECTED_MIN: f64 = 1e-3;
/// … and not added.
const REST: f64 = 1e-12;

/// How often so many blocks were taken back.
#[derive(Clone, Default)]
struct Sums {
    depths: BTreeMap<u64, u64>,
}

impl Sum for Sums {
    fn add(&mut self, other: &Self) {
        for (depth, times) in &other.depths {
            *self.depths.entry(*depth).or_default() += times;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> Grid {
        Grid { shares: vec![0.0, 0.3, 0.5], spans: vec![0.0, 4.0, 12.0], runs: 400, seed: 1 }
    }

    fn play(grid: &Grid, threads: usize) -> Report {
        grid.play(threads, |_| Watch::GoOn).expect("a grid like this can be played")
    }

    #[test]
    fn depths_are_as_theory_says_and_the_deeper_the_longer_the_split() {
        let report = play(&small(), 2);
        assert!(report.is_complete && report.is_as_expected, "{report:#?}");
        assert!(report.depths_tested > 10, "{report:#?}");
        let means: Vec<f64> = report.cells.iter().map(|cell| cell.depth_mean).collect();
        assert_eq!(means[..3], [0.0; 3], "a part without power finds nothing");
        assert_eq!((means[3], means[6]), (0.0, 0.0), "in no time nothing is found");
        assert!(means[4] < means[5] && means[5] < means[8] && means[7] < means[8], "{means:?}");
        for cell in &report.cells {
            assert!((cell.depth_mean - cell.expected_mean).abs() < 0.5, "{cell:?}");
            assert!(cell.depths.is_sorted_by_key(|depth| std::cmp::Reverse(depth.runs)), "{cell:?}");
            assert!(cell.depths.iter().filter(|depth| depth.runs > 0).count() as u64 == cell.depth_max, "{cell:?}");
        }
    }

    #[test]
    fn the_report_is_the_same_on_any_number_of_threads_and_another_with_another_seed() {
        let report = play(&small(), 1);
        assert_eq!(play(&small(), 3), report);
        assert_ne!(play(&Grid { seed: 2, ..small() }, 3).cells, report.cells);
    }

    #[test]
    fn what_cannot_be_played_is_refused_with_the_reason() {
        let refused = |grid: Grid| grid.play(1, |_| Watch::Stop).expect_err("it cannot be played");
        assert_eq!(refused(Grid { shares: vec![], ..small() }), GridError::Empty);
        assert_eq!(refused(Grid { spans: vec![], ..small() }), GridError::Empty);
        for got in [-0.1, 1.1] {
            assert_eq!(refused(Grid { shares: vec![got], ..small() }), GridError::Share { got });
        }
        for got in [-1.0, SPAN_MAX + 1.0] {
            assert_eq!(refused(Grid { spans: vec![got], ..small() }), GridError::Span { got });
        }
        for got in [0, RUNS_MAX + 1] {
            assert_eq!(refused(Grid { runs: got, ..small() }), GridError::Runs { got });
        }
    }

    #[test]
    fn as_json_a_report_has_these_names() {
        let report = serde_json::to_value(play(&small(), 2)).expect("a report can be written");
        let names =
            |value: &serde_json::Value| value.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&report), ["cells", "depths_tested", "grid", "is_as_expected", "is_complete", "runs"]);
        assert_eq!(names(&report["grid"]), ["runs", "seed", "shares", "spans"]);
        let cell = &report["cells"][8];
        assert_eq!(names(cell), ["depth_max", "depth_mean", "depths", "expected_mean", "runs", "share", "span"]);
        assert_eq!(
            names(&cell["depths"][0]),
            ["depth", "expected", "interval", "interval_together", "is_untested", "probability", "runs"]
        );
    }
}
