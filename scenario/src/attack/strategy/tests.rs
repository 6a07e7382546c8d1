use super::*;

fn small(strategy: Strategy) -> Grid {
    let usual = Grid { runs_min: 100, runs_max: 1_000, ..Grid::of(strategy) };
    match strategy {
        Strategy::Eclipse => Grid {
            shares: vec![0.2],
            confirmations: vec![0, 2],
            spans: vec![0.5, 10.0],
            merchant_shares: vec![0.0, 0.1],
            ..usual
        },
        Strategy::Race => Grid { shares: vec![0.1], confirmations: vec![0, 1], delays: vec![0.0, 0.5], ..usual },
        Strategy::Vector76 => Grid { shares: vec![0.1, 0.3], confirmations: vec![1, 2], ..usual },
    }
}

const ALL: [Strategy; 3] = [Strategy::Eclipse, Strategy::Race, Strategy::Vector76];

fn play(grid: &Grid, threads: usize) -> Report {
    grid.play(threads, |_| Watch::GoOn).expect("a grid like this can be played")
}

#[test]
fn small_grids_are_as_theory_says() {
    for strategy in ALL {
        let report = play(&small(strategy), 2);
        assert!(report.is_complete && report.is_as_expected, "{report:#?}");
        assert_eq!(report.runs, report.cells.iter().map(|cell| cell.runs).sum::<u64>());
        for cell in &report.cells {
            assert!(cell.successes <= cell.delivered && cell.delivered <= cell.runs, "{cell:?}");
            assert_eq!(cell.depths.values().sum::<u64>(), cell.successes, "{cell:?}");
            assert!(cell.depths.keys().all(|depth| *depth >= cell.confirmations), "{cell:?}");
        }
    }
}

#[test]
fn the_report_is_the_same_on_any_number_of_threads_and_another_with_another_seed() {
    for strategy in ALL {
        let report = play(&small(strategy), 1);
        assert_eq!(play(&small(strategy), 3), report);
        let other = play(&Grid { seed: 2, ..small(strategy) }, 3);
        assert!(other.cells.iter().zip(&report.cells).any(|(other, one)| other.successes != one.successes));
    }
}

#[test]
fn a_cell_is_the_same_in_whatever_grid_it_stands() {
    let among = play(&small(Strategy::Eclipse), 2);
    let place = |cell: &&Cell| (cell.merchant_share, cell.confirmations, cell.span) == (0.1, 2, 10.0);
    let cell = among.cells.iter().find(place).expect("it is there");
    let alone =
        Grid { confirmations: vec![2], spans: vec![10.0], merchant_shares: vec![0.1], ..small(Strategy::Eclipse) };
    let alone = &play(&alone, 2).cells[0];
    assert_eq!((alone.runs, &alone.depths, alone.delivered), (cell.runs, &cell.depths, cell.delivered));
}

#[test]
fn what_has_no_closed_form_is_not_judged_and_what_is_impossible_is() {
    let report = play(&small(Strategy::Race), 2);
    let judged: Vec<(u64, f64, Option<f64>, bool)> =
        report.cells.iter().map(|cell| (cell.confirmations, cell.delay, cell.expected, cell.is_untested)).collect();
    assert_eq!(
        judged,
        [(0, 0.0, Some(0.82), false), (0, 0.5, None, true), (1, 0.0, Some(0.0), false), (1, 0.5, None, true)]
    );
    assert_eq!(report.cells_tested, 2);
    let mut cell = report.cells[2].clone();
    assert!(cell.is_as_expected());
    cell.interval_together = probability(1, 100, DOUBT);
    assert!(!cell.is_as_expected(), "one success of what is impossible is one too many");
}

#[test]
fn what_cannot_be_played_is_refused_with_the_reason() {
    let refused = |grid: Grid| grid.play(1, |_| Watch::Stop).expect_err("it cannot be played");
    for strategy in ALL {
        let usual = || small(strategy);
        for share in [-0.1, 1.0, 0.999_999_9, f64::NAN] {
            assert!(matches!(refused(Grid { shares: vec![share], ..usual() }), GridError::Share { .. }), "{share}");
        }
        for got in [-0.1, 1.1] {
            assert_eq!(refused(Grid { merchant_shares: vec![got], ..usual() }), GridError::MerchantShare { got });
        }
        for empty in [
            Grid { shares: vec![], ..usual() },
            Grid { merchant_shares: vec![], ..usual() },
            Grid { confirmations: vec![], ..usual() },
            Grid { spans: vec![], ..usual() },
            Grid { delays: vec![], ..usual() },
        ] {
            assert_eq!(refused(empty), GridError::Empty);
        }
        let got = BLOCKS_MAX + 1;
        let expected = u64::from(strategy == Strategy::Vector76);
        assert_eq!(refused(Grid { confirmations: vec![got], ..usual() }), GridError::Confirmations { expected, got });
        for (min, max) in [(0, 1), (2, 1), (1, RUNS_MAX + 1)] {
            assert_eq!(refused(Grid { runs_min: min, runs_max: max, ..usual() }), GridError::Runs { min, max });
        }
        let (span, delay) = match strategy {
            Strategy::Eclipse => (0.0, 0.1),
            Strategy::Race => (1.0, DELAY_MAX + 0.1),
            Strategy::Vector76 => (1.0, 0.1),
        };
        assert_eq!(refused(Grid { spans: vec![span], ..usual() }), GridError::Span { got: span });
        let expected = if strategy == Strategy::Race { DELAY_MAX } else { 0.0 };
        assert_eq!(refused(Grid { delays: vec![delay], ..usual() }), GridError::Delay { expected, got: delay });
    }
    let none = Grid { confirmations: vec![0], ..small(Strategy::Vector76) };
    assert_eq!(refused(none), GridError::Confirmations { expected: 1, got: 0 });
    let long = Grid { spans: vec![SPAN_MAX + 1.0], ..small(Strategy::Eclipse) };
    assert_eq!(refused(long), GridError::Span { got: SPAN_MAX + 1.0 });
}

#[test]
fn as_json_a_report_has_these_names() {
    let report = serde_json::to_value(play(&small(Strategy::Eclipse), 2)).expect("a report can be written");
    let names = |value: &serde_json::Value| value.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&report), ["cells", "cells_tested", "grid", "is_as_expected", "is_complete", "runs"]);
    assert_eq!(
        names(&report["grid"]),
        ["confirmations", "delays", "merchant_shares", "runs_max", "runs_min", "seed", "shares", "spans", "strategy"]
    );
    assert_eq!(report["grid"]["strategy"], "eclipse");
    assert_eq!(
        names(&report["cells"][0]),
        [
            "attacker_blocks_mean",
            "confirmations",
            "delay",
            "delivered",
            "depths",
            "expected",
            "expected_of_majority",
            "interval",
            "interval_together",
            "is_untested",
            "merchant_share",
            "runs",
            "share",
            "span",
            "success",
            "successes"
        ]
    );
}
