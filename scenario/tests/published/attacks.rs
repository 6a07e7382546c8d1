//! Attacks as `synod_scenario::attack` fights them, against what theory says of exactly what is fought.
//!
//! Nakamoto's and Rosenfeld's tables are in `double_spend.rs`; here is what no paper prints: attackers that give up early, and
//! majorities. The formula is derived in `scenario/src/attack/theory.rs`.

use std::num::NonZero;
use std::thread::available_parallelism;

use synod_scenario::Watch;
use synod_scenario::attack::double_spend::{Cell, Grid};

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
