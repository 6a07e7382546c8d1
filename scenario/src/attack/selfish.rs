//! Selfish mining by the thousand blocks (Eyal and Sirer 2014): a pool with the share α of the hash power that decides by
//! Algorithm 1 ([`Selfish`](synod_consensus::adversary::Selfish)), honest miners with the rest, and what each is paid in the chain
//! that comes of it.
//!
//! All are real replicas: they build, seal, check, connect and take back real blocks, and who is paid is read from the coinbases of
//! the main chain. There is no net: who hears a block when is what the experiment is about, so blocks are handed over by hand.
//!
//! **How a tie is split by γ.** Of two branches of equal work a replica stays on the one that it saw first, and nothing here
//! tells it otherwise. In the paper the honest miners are many and small, and the share γ of their power hears the pool's block
//! before the rival that it answers. So their power stands behind two replicas. *Near* hears a block of others only after the pool's
//! answer to it, *far* the other way round, so that in a tie near mines on the pool's block and far on the rival. While both are on one
//! tip they would seal the same block, and far does: whoever found it has it first, but is one of many and has no power to
//! speak of. A tie only comes about from there. While they are on two tips a block of the honest power is near's with the
//! probability γ and else far's. What they mine on behind a lead of two and more makes no difference: all of it is lost.
//!
//! A run ends when so many blocks are found and all are on one chain, which is a moment of renewal: by Wald's equation the
//! expected blocks of the pool over the expected blocks of the main chain are then exactly the long run's share. The interval is
//! that of a ratio of means over independent runs ([`ratio`]).

mod pool;

use serde::Serialize;
use synod_machine::Rng;

use self::pool::{Mined, PARTS, Power};
use super::theory::{selfish_revenue, selfish_threshold};
use super::{DOUBT, Progress, crew};
use crate::Watch;
use crate::party::chain;
use crate::stats::{Interval, ratio};

/// What is to be mined: every α against every γ.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Grid {
    /// The pool's shares of all hash power, from 0 to [`ALPHA_MAX`]. They are taken to a millionth.
    pub alphas: Vec<f64>,
    /// The shares of the honest hash power that mine on the pool's block in a tie, from 0 to 1. They are taken to a millionth.
    pub gammas: Vec<f64>,
    /// Independent runs of each cell, from 2 to [`RUNS_MAX`].
    pub runs: u64,
    /// Blocks that are found in each run, on whatever branch, at least: from 1 to [`BLOCKS_MAX`].
    pub blocks: u64,
    /// What all runs are drawn from.
    pub seed: u64,
}

impl Default for Grid {
    fn default() -> Self {
        Self {
            // Eyal and Sirer 2014, figure 2, goes from 0 to one half, with γ = 0, 0.5 and 1.
            alphas: vec![0.1, 0.2, 0.25, 0.3, 1.0 / 3.0, 0.4, 0.45],
            gammas: vec![0.0, 0.5, 1.0],
            runs: 20,
            blocks: 2_000,
            seed: 1,
        }
    }
}

/// The largest pool: with one half and more its lead would never end.
pub const ALPHA_MAX: f64 = 0.49;
/// The most blocks of a run.
pub const BLOCKS_MAX: u64 = 20_000;
/// The most runs of a cell.
pub const RUNS_MAX: u64 = 1_000_000;

/// Why a grid cannot be mined.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum GridError {
    /// No share, or a majority.
    #[error("a selfish pool has no share {got} of the hash power: expected 0 to {ALPHA_MAX}")]
    Alpha {
        /// What was asked for.
        got: f64,
    },
    /// Too few, or too many.
    #[error("{got} blocks of a run cannot be mined: expected 1 to {BLOCKS_MAX}")]
    Blocks {
        /// What was asked for.
        got: u64,
    },
    /// Nothing is to be mined.
    #[error("there is nothing to mine: expected an α and a γ")]
    Empty,
    /// No share.
    #[error("no share {got} of honest miners follows the pool in a tie: expected 0 to 1")]
    Gamma {
        /// What was asked for.
        got: f64,
    },
    /// Too few for an interval, or too many.
    #[error("{got} runs of a cell are too few or too many: expected 2 to {RUNS_MAX}")]
    Runs {
        /// What was asked for.
        got: u64,
    },
}

/// What came of a grid.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// What was mined.
    pub grid: Grid,
    /// γ by γ, and α by α, in the grid's order.
    pub cells: Vec<Cell>,
    /// Whether all was mined that was asked for; if not, somebody stopped it, and what is here is of the first runs.
    pub is_complete: bool,
    /// Whether all cells are as equation 8 says, with 99 per cent for all of them together.
    pub is_as_expected: bool,
}

/// What a pool gains by being selfish, as far as the sample says: its revenue against its share α.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gain {
    /// Its revenue is below its share: honest mining pays better.
    Less,
    /// Its revenue is above its share.
    More,
    /// Its share lies within the interval of its revenue.
    Undecided,
}

/// What came of one α and one γ.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cell {
    /// The pool's share of the hash power.
    pub alpha: f64,
    /// The share of the honest hash power that mines on the pool's block in a tie.
    pub gamma: f64,
    /// Runs that were mined.
    pub runs: u64,
    /// Blocks that the pool found.
    pub pool_found: u64,
    /// Blocks that the others found.
    pub others_found: u64,
    /// Blocks of the main chain that pay the pool.
    pub pool_main: u64,
    /// Blocks of the main chain that pay others.
    pub others_main: u64,
    /// Ties, and what ended them.
    pub ties: Ties,
    /// The pool's share of the main chain's coinbases; 0 where nothing was mined.
    pub revenue: f64,
    /// Where the long run's share lies with 99 per cent, of this cell alone.
    pub interval: Interval,
    /// The same with 99 per cent for all cells of the grid together (Bonferroni).
    pub interval_together: Interval,
    /// What equation 8 says ([`selfish_revenue`]).
    pub expected: f64,
    /// The α from which on selfish mining pays at this γ ([`selfish_threshold`]).
    pub threshold: f64,
    /// Whether it paid here: by the interval of all cells together.
    pub gain: Gain,
}

/// How often two branches of one block each stood against each other, by whose block ended that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Ties {
    /// Honest miners', on the rival of the pool's block.
    pub others_on_others: u64,
    /// Honest miners', on the pool's block: of honest miners' blocks the share γ.
    pub others_on_pool: u64,
    /// The pool's.
    pub pool: u64,
}

impl Cell {
    /// Whether equation 8 lies within the interval of all cells together.
    pub fn is_as_expected(&self) -> bool {
        self.interval_together.contains(self.expected)
    }
}

impl Grid {
    /// Mines it on so many threads. `watch` is told after each run how far it is, and can stop it.
    pub fn mine(&self, threads: usize, mut watch: impl FnMut(Progress) -> Watch) -> Result<Report, GridError> {
        self.check()?;
        let gammas = self.gammas.iter().map(|gamma| parts(*gamma));
        let cells: Vec<Power> = gammas
            .flat_map(|gamma| self.alphas.iter().map(move |alpha| Power { pool: parts(*alpha), gamma }))
            .collect();
        let pieces: Vec<(usize, u64)> =
            (0..cells.len()).flat_map(|cell| (0..self.runs).map(move |run| (cell, run))).collect();
        let chain = chain("selfish");
        let mut mined: Vec<Vec<Mined>> = vec![Vec::new(); cells.len()];
        let mut progress =
            Progress { cells_done: 0, cells: cells.len() as u64, runs_done: 0, runs: pieces.len() as u64 };
        let mine = |(cell, run): &(usize, u64)| {
            let power = cells[*cell];
            pool::mine(&chain, power, self.blocks, seed_of(self.seed, power, *run))
        };
        let ended = crew::share(&pieces, threads, mine, |(cell, run), sum| {
            mined[*cell].push(sum);
            progress.runs_done += 1;
            progress.cells_done += u64::from(run + 1 == self.runs);
            watch(progress)
        });
        let is_complete = ended == Watch::GoOn || progress.runs_done == progress.runs;
        let together = DOUBT / cells.len() as f64;
        let cells: Vec<Cell> = cells.iter().zip(&mined).map(|(power, mined)| cell(*power, mined, together)).collect();
        let is_as_expected = cells.iter().all(Cell::is_as_expected);
        Ok(Report { grid: self.clone(), cells, is_complete, is_as_expected })
    }

    fn check(&self) -> Result<(), GridError> {
        if self.alphas.is_empty() || self.gammas.is_empty() {
            return Err(GridError::Empty);
        }
        if let Some(&got) = self.alphas.iter().find(|alpha| !(0.0..=ALPHA_MAX).contains(*alpha)) {
            return Err(GridError::Alpha { got });
        }
        if let Some(&got) = self.gammas.iter().find(|gamma| !(0.0..=1.0).contains(*gamma)) {
            return Err(GridError::Gamma { got });
        }
        if !(2..=RUNS_MAX).contains(&self.runs) {
            return Err(GridError::Runs { got: self.runs });
        }
        if !(1..=BLOCKS_MAX).contains(&self.blocks) {
            return Err(GridError::Blocks { got: self.blocks });
        }
        Ok(())
    }
}

fn parts(share: f64) -> u64 {
    (share * PARTS as f64).round() as u64
}

/// 20 bits for α, 20 for γ and 24 for the number: a cell is the same in whatever grid it stands.
fn seed_of(seed: u64, power: Power, run: u64) -> u64 {
    assert!(run < 1 << 24, "a cell has no more runs");
    Rng::new(seed, power.pool << 44 | power.gamma << 24 | run, "selfish").next_u64()
}

fn cell(power: Power, mined: &[Mined], together: f64) -> Cell {
    let (alpha, gamma) = (power.pool as f64 / PARTS as f64, power.gamma as f64 / PARTS as f64);
    let sum = |of: fn(&Mined) -> u64| mined.iter().map(of).sum::<u64>();
    let (pool_main, others_main) = (sum(|mined| mined.pool_main), sum(|mined| mined.others_main));
    let interval_together = interval(mined, together);
    Cell {
        alpha,
        gamma,
        runs: mined.len() as u64,
        pool_found: sum(|mined| mined.pool_found),
        others_found: sum(|mined| mined.others_found),
        pool_main,
        others_main,
        ties: Ties {
            others_on_others: sum(|mined| mined.ties.others_on_others),
            others_on_pool: sum(|mined| mined.ties.others_on_pool),
            pool: sum(|mined| mined.ties.pool),
        },
        revenue: pool_main as f64 / (pool_main + others_main).max(1) as f64,
        interval: interval(mined, DOUBT),
        interval_together,
        expected: selfish_revenue(alpha, gamma),
        threshold: selfish_threshold(gamma),
        gain: gain(interval_together, alpha),
    }
}

/// Of less than two runs nothing is known.
fn interval(mined: &[Mined], doubt: f64) -> Interval {
    if mined.len() < 2 {
        return Interval { low: 0.0, high: 1.0 };
    }
    let pairs: Vec<(f64, f64)> =
        mined.iter().map(|mined| (mined.pool_main as f64, (mined.pool_main + mined.others_main) as f64)).collect();
    ratio(&pairs, doubt)
}

fn gain(revenue: Interval, alpha: f64) -> Gain {
    if revenue.high < alpha {
        Gain::Less
    } else if revenue.low > alpha {
        Gain::More
    } else {
        Gain::Undecided
    }
}

#[cfg(test)]
mod tests;
