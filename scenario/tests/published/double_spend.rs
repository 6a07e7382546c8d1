//! Nakamoto 2008, "Bitcoin: a peer-to-peer electronic cash system", section 11, and Rosenfeld 2014, "Analysis of hashrate-based
//! double spending", section 5: the probability that a payment of z confirmations is taken back by an attacker with the share
//! q of the hash power.
//!
//! Both papers let a tie count as success, for the attacker is given one block (Rosenfeld) or has to draw level (Nakamoto);
//! our replicas follow strictly more work, so the attacker has one block in hand, which comes to the same. Both let it go on for
//! ever; here it gives up where the rest of the probability is a millionth of the cell's, or 40 blocks behind. All else is
//! real: candidates, seals (declared), the catching up, the reorganisation, and what becomes of the two payments.
//!
//! Intervals are Clopper and Pearson's. A cell with fewer than 100 expected successes says little: it is not tested.

use synod_scenario::duel::{Stage, Terms, Wait};
use synod_scenario::stats::{Interval, probability};

use crate::{DOUBT, factor, show};

/// The attacker's share in per cent, confirmations, the published probability, duels.
type Cell = (u64, u64, f64, u64);

const ROSENFELD: [Cell; 9] = [
    (10, 1, 0.2000, 3_000),
    (10, 3, 0.0171, 8_000),
    (10, 6, 0.000_591, 8_000),
    (20, 1, 0.4000, 3_000),
    (20, 3, 0.1158, 3_000),
    (20, 6, 0.023_31, 6_000),
    (30, 1, 0.6000, 3_000),
    (30, 3, 0.3262, 3_000),
    (30, 6, 0.1564, 6_000),
];
const ROSENFELD_UNTESTED: [(u64, u64); 1] = [(10, 6)];

/// The values at z = 5, 10 and 25 are Nakamoto's own print, the others his formula's.
const NAKAMOTO: [Cell; 10] = [
    (10, 1, 0.2046, 3_000),
    (10, 3, 0.0132, 9_000),
    (10, 5, 0.000_913_7, 9_000),
    (10, 10, 0.000_001_2, 3_000),
    (30, 1, 0.6277, 3_000),
    (30, 3, 0.3246, 3_000),
    (30, 5, 0.177_352_3, 3_000),
    (30, 6, 0.1321, 6_000),
    (30, 10, 0.041_660_5, 3_000),
    (30, 25, 0.000_613_2, 3_000),
];
const NAKAMOTO_UNTESTED: [(u64, u64); 3] = [(10, 5), (10, 10), (30, 25)];

const SUCCESSES_MIN: f64 = 100.0;
const SEED: u64 = 1;

/// How far behind an attacker is when the rest of its chances is a millionth of the cell's.
fn behind_max(share: u64, published: f64) -> u64 {
    let ratio = share as f64 / (100 - share) as f64;
    (1..40).find(|behind| ratio.powi(*behind as i32) < 1e-6 * published).unwrap_or(40)
}

fn terms(share: u64, confirmations: u64, in_hand: u64, wait: Wait, published: f64) -> Terms {
    let behind_max = behind_max(share, published);
    Terms { honest: 100 - share, attacker: share, confirmations, in_hand, wait, behind_max }
}

fn measure(stage: &Stage, stream: u64, terms: &Terms, duels: u64, doubt: f64) -> (u64, Interval) {
    let seed = |number: u64| SEED << 56 | stream << 40 | number;
    let won =
        (0..duels).map(|number| stage.fight(seed(number), terms)).filter(|fought| fought.is_reversed).count() as u64;
    (won, probability(won, duels, doubt))
}

/// Prints a table, compares its cells, and gives the intervals of those that are tested.
fn compare(name: &str, wait: Wait, cells: &[Cell], untested: &[(u64, u64)]) -> Vec<((u64, u64), Interval)> {
    let stage = Stage::new();
    let is_tested = |cell: &Cell| cell.2 * (cell.3 * factor()) as f64 >= SUCCESSES_MIN;
    let left_out: Vec<_> = cells.iter().filter(|cell| !is_tested(cell)).map(|cell| (cell.0, cell.1)).collect();
    if factor() == 1 {
        assert_eq!(left_out, untested, "the cells that are not tested are those that are named");
    }
    let doubt = DOUBT / (cells.len() - left_out.len()) as f64;
    println!("\n{name}\n\n| q | z | published | duels | successes | interval |\n|---|---|---|---|---|---|");
    let mut intervals = Vec::new();
    for (stream, cell) in (wait as u64 * 100..).zip(cells) {
        let &(share, confirmations, published, duels) = cell;
        if !is_tested(cell) {
            println!("| 0.{share} | {confirmations} | {published} | | | untested |");
            continue;
        }
        let terms = terms(share, confirmations, 1, wait, published);
        let duels = duels * factor();
        let (won, interval) = measure(&stage, stream, &terms, duels, doubt);
        println!("| 0.{share} | {confirmations} | {published} | {duels} | {won} | {} |", show(interval));
        intervals.push(((share, confirmations), interval));
    }
    for ((share, confirmations), interval) in &intervals {
        let cell = cells.iter().find(|cell| (cell.0, cell.1) == (*share, *confirmations)).expect("it is of the table");
        assert!(interval.contains(cell.2), "q = 0.{share}, z = {confirmations}: {} is not in {interval:?}", cell.2);
    }
    intervals
}

fn at(intervals: &[((u64, u64), Interval)], cell: (u64, u64)) -> Interval {
    intervals.iter().find(|(name, _)| *name == cell).expect("it is tested").1
}

#[test]
fn a_race_of_two_replicas_gives_rosenfelds_probabilities() {
    let intervals = compare("Rosenfeld 2014", Wait::Raced, &ROSENFELD, &ROSENFELD_UNTESTED);
    assert!(!at(&intervals, (30, 6)).contains(0.1321), "the sample is large enough to tell them from Nakamoto's");
}

#[test]
fn a_race_whose_confirmations_come_at_their_expected_times_gives_nakamotos_probabilities() {
    let intervals = compare("Nakamoto 2008", Wait::Held, &NAKAMOTO, &NAKAMOTO_UNTESTED);
    assert!(!at(&intervals, (30, 6)).contains(0.1564), "the sample is large enough to tell them from Rosenfeld's");
}

/// What both formulas would say wrongly of an attacker that begins with nothing and has to overtake: 0.089, derived from
/// Rosenfeld's by one more block of deficit.
#[test]
fn an_attacker_without_a_block_in_hand_has_to_overtake_and_does_so_less_often() {
    let terms = terms(30, 6, 0, Wait::Raced, 0.089);
    let (won, interval) = measure(&Stage::new(), 200, &terms, 4_000 * factor(), DOUBT);
    println!("\nwithout a block in hand, q = 0.30, z = 6: {won} of {}, {}", 4_000 * factor(), show(interval));
    assert!(interval.meets(&Interval { low: 0.0885, high: 0.0895 }), "{interval:?}");
    assert!(!interval.contains(0.1564), "a block in hand makes the difference");
}
