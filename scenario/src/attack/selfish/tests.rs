//! Small grids: that they repeat, that γ is what splits ties, and that what is counted is what there is.

use super::*;
use crate::stats::probability;

fn small() -> Grid {
    Grid { alphas: vec![0.0, 0.3, 0.45], gammas: vec![0.0, 0.7, 1.0], runs: 3, blocks: 300, seed: 1 }
}

fn mine(grid: &Grid, threads: usize) -> Report {
    grid.mine(threads, |_| Watch::GoOn).expect("a grid like this can be mined")
}

#[test]
fn the_report_is_the_same_on_any_number_of_threads_and_another_with_another_seed() {
    let report = mine(&small(), 1);
    assert_eq!(mine(&small(), 3), report);
    assert_ne!(mine(&Grid { seed: 2, ..small() }, 3).cells, report.cells);
    let alone = mine(&Grid { alphas: vec![0.3], gammas: vec![0.7], ..small() }, 2);
    let (alone, among) = (&alone.cells[0], &report.cells[4]);
    assert_eq!((alone.interval, alone.ties, alone.pool_main), (among.interval, among.ties, among.pool_main));
}

#[test]
fn the_share_gamma_of_honest_blocks_that_end_a_tie_is_on_the_pools_block() {
    let report = mine(&Grid { runs: 8, blocks: 500, ..small() }, 2);
    for cell in &report.cells {
        let Ties { others_on_others, others_on_pool, pool } = cell.ties;
        if cell.alpha == 0.0 {
            assert_eq!(cell.ties, Ties::default());
            continue;
        }
        let honest = others_on_others + others_on_pool;
        assert!(honest > 100, "{:?}", cell.ties);
        assert!(probability(others_on_pool, honest, 0.001).contains(cell.gamma), "{cell:?}");
        assert!(probability(pool, honest + pool, 0.001).contains(cell.alpha), "{cell:?}");
    }
}

#[test]
fn what_is_paid_was_found_and_without_a_pool_nothing_is_lost() {
    for cell in mine(&small(), 2).cells {
        assert!(cell.pool_main <= cell.pool_found);
        assert!(cell.others_main <= cell.others_found);
        assert!(cell.pool_found + cell.others_found >= 3 * 300);
        if cell.alpha == 0.0 {
            assert_eq!((cell.pool_found, cell.others_main), (0, cell.others_found));
            assert_eq!((cell.revenue, cell.interval), (0.0, Interval { low: 0.0, high: 0.0 }));
        } else {
            assert!(cell.others_main < cell.others_found, "selfish mining makes others' work stale: {cell:?}");
            // Whoever follows the pool in every tie never takes a block of the pool's back.
            assert_eq!(cell.pool_main == cell.pool_found, cell.gamma == 1.0, "{cell:?}");
        }
    }
}

#[test]
fn a_gain_is_what_the_whole_interval_says() {
    let between = Interval { low: 0.2, high: 0.3 };
    assert_eq!(gain(between, 0.31), Gain::Less);
    assert_eq!(gain(between, 0.19), Gain::More);
    assert_eq!(gain(between, 0.25), Gain::Undecided);
}

#[test]
fn as_json_a_report_has_these_names() {
    let report = serde_json::to_value(mine(&small(), 2)).expect("a report can be written");
    let names = |value: &serde_json::Value| value.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&report), ["cells", "grid", "is_as_expected", "is_complete"]);
    assert_eq!(names(&report["grid"]), ["alphas", "blocks", "gammas", "runs", "seed"]);
    let cell = &report["cells"][7];
    assert_eq!(
        names(cell),
        [
            "alpha",
            "expected",
            "gain",
            "gamma",
            "interval",
            "interval_together",
            "others_found",
            "others_main",
            "pool_found",
            "pool_main",
            "revenue",
            "runs",
            "threshold",
            "ties"
        ]
    );
    assert_eq!(names(&cell["ties"]), ["others_on_others", "others_on_pool", "pool"]);
    assert!(["less", "more", "undecided"].map(Into::into).contains(&cell["gain"]), "{cell}");
}

#[test]
fn whoever_stops_it_has_the_first_runs() {
    let stop = |progress: Progress| if progress.runs_done == 4 { Watch::Stop } else { Watch::GoOn };
    let stopped = small().mine(2, stop).expect("a grid like this can be mined");
    let runs: Vec<u64> = stopped.cells.iter().map(|cell| cell.runs).collect();
    assert_eq!(runs, [3, 1, 0, 0, 0, 0, 0, 0, 0]);
    assert!(!stopped.is_complete);
    assert_eq!(stopped.cells[1].interval, Interval { low: 0.0, high: 1.0 });
    assert_eq!(stopped.cells[0].pool_main, mine(&small(), 1).cells[0].pool_main);
}

#[test]
fn what_cannot_be_mined_is_refused_with_the_reason() {
    let refused = |grid: Grid| grid.mine(1, |_| Watch::Stop).expect_err("it cannot be mined").to_string();
    for got in [-0.1, 0.5] {
        assert_eq!(refused(Grid { alphas: vec![got], ..small() }), GridError::Alpha { got }.to_string());
    }
    assert!(refused(Grid { alphas: vec![f64::NAN], ..small() }).contains("NaN"));
    for got in [-0.1, 1.1] {
        assert_eq!(refused(Grid { gammas: vec![got], ..small() }), GridError::Gamma { got }.to_string());
    }
    for grid in [Grid { alphas: vec![], ..small() }, Grid { gammas: vec![], ..small() }] {
        assert_eq!(refused(grid), GridError::Empty.to_string());
    }
    for got in [1, RUNS_MAX + 1] {
        assert_eq!(refused(Grid { runs: got, ..small() }), GridError::Runs { got }.to_string());
    }
    for got in [0, BLOCKS_MAX + 1] {
        assert_eq!(refused(Grid { blocks: got, ..small() }), GridError::Blocks { got }.to_string());
    }
}
