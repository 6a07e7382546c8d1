//! Proof of work is a Poisson process (Nakamoto 2008, section 11, takes it to be one): times between blocks are exponential
//! with the chain's block time as mean, and each block falls to a peer by its share of the hash power.
//!
//! Twelve whole peers mine on a chain without a retarget, over links of a millisecond, so that next to nothing is stale;
//! every block found is counted. Seals are drawn by one clock for all peers, which is thinned (`scenario/src/race.rs`): what
//! is tested is that clock, and that replicas ask for work, lose it and take it up again as they should.

use std::time::Duration;

use synod_machine::Time;
use synod_scenario::stats::{exponential_mean, kolmogorov, probability};
use synod_scenario::{Watch, run};
use synod_sim::model::{Distribution, Span};

use crate::forks::plan;
use crate::{DOUBT, factor, show};

const BLOCK_TIME: Duration = Duration::from_secs(10);
const BLOCKS: u64 = 4_000;
/// Shares from 0 to 20 of 100.
const POWER: [u64; 12] = [0, 1, 2, 3, 4, 6, 8, 11, 14, 15, 16, 20];

#[test]
fn times_between_blocks_are_exponential_and_blocks_fall_to_peers_by_their_power() {
    let links = Distribution::constant(Span::from_millis(1));
    let mut plan = plan(1, POWER.len() as u32, 4, BLOCKS * factor(), BLOCK_TIME, links);
    plan.power = POWER.into();
    let ended = run(plan, None, |_| Watch::GoOn).expect("no invariant breaks");
    let found = &ended.world.experiment().observed().found()[1..];
    assert!(found.len() as u64 >= 2_000, "there are {} blocks", found.len());

    let mut last = Time::ZERO;
    let mut spans = Vec::new();
    for block in found {
        spans.push(block.at.since(last).as_secs_f64());
        last = block.at;
    }
    let (distance, chance) = kolmogorov(&spans, |span| 1.0 - (-span / BLOCK_TIME.as_secs_f64()).exp());
    let mean = exponential_mean(&spans, DOUBT);
    println!("\nTimes between {} blocks: Kolmogorov's distance {distance:.4}, chance {chance:.3}", spans.len());
    println!("mean {} s, published 10", show(mean));
    assert!(chance > DOUBT, "a sample of the exponential law is as far off with a probability of {chance}");
    assert!(mean.contains(10.0), "{mean:?}");

    println!("\n| share | blocks | interval |\n|---|---|---|");
    for (peer, power) in (0_u32..).zip(POWER) {
        let own = found.iter().filter(|block| block.by.0 == peer).count() as u64;
        let share = probability(own, found.len() as u64, DOUBT / POWER.len() as f64);
        println!("| {:.2} | {own} | {} |", power as f64 / 100.0, show(share));
        assert!(share.contains(power as f64 / 100.0), "{power} in 100 of the power gives {share:?}");
    }
}
