//! Attacks as `synod_scenario::attack` fights them, against what theory says of exactly what is fought.
//!
//! Nakamoto's and Rosenfeld's tables are in `double_spend.rs`; here is what no paper prints: attackers that give up early, and
//! majorities. The formula is derived in `scenario/src/attack/theory.rs`. And selfish mining (Eyal and Sirer 2014, "Majority is not
//! enough: Bitcoin mining is vulnerable"): equation 8, and the threshold of observation 1.

use std::num::NonZero;
use std::thread::available_parallelism;

use synod_scenario::Watch;
use synod_scenario::attack::double_spend::{Cell, Grid};
use synod_scenario::attack::selfish::{self, Gain};

use crate::{factor, show};

const SEED: u64 = 1;

fn threads() -> usize {
    available_parallelism().map_or(1, NonZero::get)
}

/// Where it gives up early the papers' probabilities are not its own any more, and the formula with two barriers is; a majority
/// has no other.
#[test]
fn an_attacker_that_gives_up_early_does_as_the_formula_with_two_barriers_says() {
    let grid = Grid {
        shares: vec![0.1, 0.3, 0.45, 0.51, 0.6],
        confirmations: vec![1, 2, 4],
        behind_max: 3,
        runs_min: 1_000 * factor(),
        runs_max: 8_000 * factor(),
        seed: SEED,
        ..Grid::default()
    };
    let report = grid.fight(threads(), |_| Watch::GoOn).expect("a grid like this can be fought");
    println!("\nGiving up 3 blocks behind\n");
    println!("| q | z | without end | expected | duels | successes | interval | depth | blocks spent | lost |");
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for cell in &report.cells {
        let Cell { share, confirmations, runs, successes, expected, expected_without_end, .. } = cell;
        let interval = if cell.is_untested { "untested".into() } else { show(cell.interval_together) };
        let depth = cell.depth_mean.unwrap_or_default();
        let (spent, lost) = (cell.attacker_blocks_mean, cell.attacker_blocks_lost_mean);
        println!(
            "| {share:.2} | {confirmations} | {expected_without_end:.4} | {expected:.4} | {runs} | {successes} | {interval} | {depth:.2} | {spent:.2} | {lost:.2} |"
        );
    }
    assert!(report.is_complete);
    assert!(report.is_as_expected, "{report:#?}");
    let majority = report.cells.iter().find(|cell| (cell.share, cell.confirmations) == (0.51, 4)).expect("it is there");
    assert!(!majority.interval_together.contains(majority.expected_without_end), "giving up makes a difference");
    if factor() == 1 {
        assert_eq!(report.cells_tested, 14, "four confirmations are taken back too rarely at 0.1");
    }
}

/// The papers' miners hear of each other's blocks at once. The longer that takes, the more honest work goes stale; how much that
/// helps the attacker is derived in `scenario/src/attack/theory.rs`. 12.6 s of ten minutes are the mean that Decker and
/// Wattenhofer 2013 measured for Bitcoin.
#[test]
fn the_longer_blocks_take_to_honest_miners_the_more_payments_are_taken_back() {
    let grid = Grid {
        shares: vec![0.2, 0.35],
        confirmations: vec![2, 4],
        delays: vec![0.0, 0.021, 0.2, 1.0],
        runs_min: 1_000 * factor(),
        runs_max: 5_000 * factor(),
        seed: SEED,
        ..Grid::default()
    };
    let report = grid.fight(threads(), |_| Watch::GoOn).expect("a grid like this can be fought");
    println!("\nDelay of honest blocks\n");
    println!("| q | z | delay | expected | duels | successes | interval | honest blocks | stale |");
    println!("|---|---|---|---|---|---|---|---|---|");
    for cell in &report.cells {
        let Cell { share, confirmations, delay, runs, successes, expected, .. } = cell;
        let interval = show(cell.interval_together);
        let (found, stale) = (cell.honest_blocks_mean, cell.honest_blocks_stale_mean);
        println!(
            "| {share:.2} | {confirmations} | {delay:.3} | {expected:.4} | {runs} | {successes} | {interval} | {found:.2} | {stale:.2} |"
        );
    }
    assert_eq!((report.is_complete, report.cells_tested), (true, 16));
    assert!(report.is_as_expected, "{report:#?}");
    for delays in report.cells.chunks(4) {
        assert!(
            !delays[3].interval_together.contains(delays[0].expected),
            "a delay of a block time makes a difference"
        );
    }
}

/// Four α at each of the paper's three γ. Equation 8 is of blocks found one after the other by anybody, and so are
/// ours: nothing differs but that α is taken to a millionth.
#[test]
fn selfish_pools_earn_what_eyal_and_sirers_equation_8_says() {
    let grid = selfish::Grid {
        alphas: vec![0.25, 0.30, 1.0 / 3.0, 0.40],
        gammas: vec![0.0, 0.5, 1.0],
        runs: 48,
        blocks: 1_000 * factor(),
        seed: SEED,
    };
    let report = grid.mine(threads(), |_| Watch::GoOn).expect("a grid like this can be mined");
    println!("\nSelfish mining\n");
    println!(
        "| γ | α | expected | revenue | interval | main chain | found | gain |\n|---|---|---|---|---|---|---|---|"
    );
    for cell in &report.cells {
        let selfish::Cell { alpha, gamma, expected, revenue, gain, .. } = cell;
        let (main, found) = (cell.pool_main + cell.others_main, cell.pool_found + cell.others_found);
        let interval = show(cell.interval_together);
        println!(
            "| {gamma:.1} | {alpha:.3} | {expected:.4} | {revenue:.4} | {interval} | {main} | {found} | {gain:?} |"
        );
    }
    assert!(report.is_complete);
    assert!(report.is_as_expected, "{report:#?}");
    // At the threshold itself, 1/3 for γ = 0 and 1/4 for γ = 0.5, a sample cannot tell, and with γ = 1 there is none.
    let gains: Vec<Gain> = report.cells.iter().map(|cell| cell.gain).collect();
    let (less, none, more) = (Gain::Less, Gain::Undecided, Gain::More);
    assert_eq!(gains, [less, less, none, more, none, more, more, more, more, more, more, more]);
    for (cell, other) in report.cells.iter().flat_map(|cell| report.cells.iter().map(move |other| (cell, other))) {
        if cell.alpha == other.alpha && cell.gamma != other.gamma {
            assert!(
                !cell.interval_together.contains(other.expected),
                "the sample is large enough to tell one γ from another"
            );
        }
    }
}
