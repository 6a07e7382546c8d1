//! Cells of a grid, each played over and over, and what their runs add up to.

use std::ops::Range;

use super::{Progress, crew};
use crate::Watch;

/// What runs add up to: whole numbers, whose sum does not depend on their order.
pub(super) trait Sum: Clone + Default + Send {
    /// Adds what came of other runs.
    fn add(&mut self, other: &Self);
}

/// How often a cell is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Effort {
    pub(super) runs: u64,
    /// Whether these are too few to say much of the cell.
    pub(super) is_untested: bool,
}

impl Effort {
    /// As many runs as let [`SUCCESSES_MIN`] be expected; where the most are not enough for that, the least.
    pub(super) fn of(expected: f64, runs_min: u64, runs_max: u64) -> Self {
        let wanted = (SUCCESSES_MIN / expected).ceil();
        let is_untested = wanted > runs_max as f64;
        let runs = if is_untested { runs_min } else { runs_min.max(wanted as u64) };
        Self { runs, is_untested }
    }
}

/// With fewer successes to be expected a cell says little of its probability.
pub const SUCCESSES_MIN: f64 = 100.0;

/// Plays each cell as often as `runs` says, on so many threads, and adds up what comes of it. `work` is given the cell and the
/// numbers of its runs, `watch` is told now and then how far it is. The sums of the cells, and whether all was played.
pub(super) fn play<S: Sum>(
    runs: &[u64],
    threads: usize,
    work: impl Fn(usize, Range<u64>) -> S + Sync,
    mut watch: impl FnMut(Progress) -> Watch,
) -> (Vec<S>, bool) {
    let pieces: Vec<Piece> = runs.iter().enumerate().flat_map(|(cell, runs)| Piece::of(cell, *runs)).collect();
    let mut sums = vec![S::default(); runs.len()];
    let mut progress = Progress { cells_done: 0, cells: runs.len() as u64, runs_done: 0, runs: runs.iter().sum() };
    let ended = crew::share(
        &pieces,
        threads,
        |piece| work(piece.cell, piece.runs.clone()),
        |piece, sum| {
            sums[piece.cell].add(&sum);
            progress.runs_done += piece.runs.end - piece.runs.start;
            progress.cells_done += u64::from(piece.runs.end == runs[piece.cell]);
            watch(progress)
        },
    );
    (sums, ended == Watch::GoOn || progress.runs_done == progress.runs)
}

/// Some runs of a cell.
struct Piece {
    cell: usize,
    runs: Range<u64>,
}

impl Piece {
    fn of(cell: usize, runs: u64) -> impl Iterator<Item = Self> {
        let from = (0..runs.div_ceil(PIECE_RUNS)).map(|piece| piece * PIECE_RUNS);
        from.map(move |from| Self { cell, runs: from..runs.min(from + PIECE_RUNS) })
    }
}

/// Runs that are handed to a thread at once: some milliseconds.
const PIECE_RUNS: u64 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, Default, PartialEq)]
    struct Numbers(Vec<(usize, u64)>);

    impl Sum for Numbers {
        fn add(&mut self, other: &Self) {
            self.0.extend(&other.0);
        }
    }

    #[test]
    fn each_cell_is_played_as_often_as_it_is_to_be_with_numbers_from_0_on() {
        let mut told = Vec::new();
        let work = |cell: usize, runs: Range<u64>| Numbers(runs.map(|run| (cell, run)).collect());
        let (sums, is_complete) = play(&[100, 0, 64], 3, work, |progress| {
            told.push((progress.runs_done, progress.cells_done));
            Watch::GoOn
        });
        let all = |cell: usize, runs: u64| Numbers((0..runs).map(|run| (cell, run)).collect());
        assert_eq!(sums, [all(0, 100), all(1, 0), all(2, 64)]);
        assert!(is_complete);
        assert_eq!(told, [(64, 0), (100, 1), (164, 2)]);
    }

    #[test]
    fn rare_successes_take_more_runs_or_are_not_tested() {
        assert_eq!(Effort::of(0.5, 10, 1_000), Effort { runs: 200, is_untested: false });
        assert_eq!(Effort::of(0.5, 300, 1_000), Effort { runs: 300, is_untested: false });
        assert_eq!(Effort::of(0.05, 10, 1_000), Effort { runs: 10, is_untested: true });
        assert_eq!(Effort::of(0.0, 10, 1_000), Effort { runs: 10, is_untested: true });
    }
}
