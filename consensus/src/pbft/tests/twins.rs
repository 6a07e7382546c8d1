//! Twins (Bano et al., OPODIS 2021): a Byzantine validator as two honest machines of one identity, at n = 4. For each
//! round, which lasts one step of a view's time-out, the five machines are divided in one of a set of ways; all sequences of
//! divisions over the rounds are gone through, or as many as are asked for, evenly spread.

use std::collections::BTreeSet;
use std::vec;
use std::vec::Vec;

use crate::adversary::Behaviour;
use crate::pbft::testing::{World, settings};

/// Scenarios that the test runs; `SYNOD_PBFT_TWINS` runs another number.
const SCENARIOS: u64 = 150;
const ROUNDS: u32 = 4;

/// Each way to divide five machines into two sides; machine 4 is the twin of machine 0 and always on the second one.
fn divisions() -> Vec<BTreeSet<(usize, usize)>> {
    let mut found = Vec::new();
    for side in 0..16_u32 {
        let is_second = |machine: usize| machine == 4 || side & (1 << machine) != 0;
        let mut cut = BTreeSet::new();
        for one in 0..5 {
            for other in 0..5 {
                if is_second(one) != is_second(other) {
                    cut.insert((one, other));
                }
            }
        }
        found.push(cut);
    }
    found
}

fn run(mut scenario: u64, twin_leads_view: u64) -> u64 {
    let divisions = divisions();
    // Validator 0 is the one with two machines; which view it leads is chosen by numbering the machines.
    let shift = |machine: usize| if machine == 4 { 0 } else { machine };
    let nodes = (0..5).map(|machine| ((shift(machine) + twin_leads_view as usize) % 4, Behaviour::Honest));
    let mut world = World::of(4, nodes.collect(), settings(), scenario);
    for round in 0..ROUNDS {
        let division = &divisions[(scenario % divisions.len() as u64) as usize];
        scenario /= divisions.len() as u64;
        world.cut.clone_from(division);
        // Each side is given something else to do.
        for machine in 0..5 {
            let side = u32::from(division.contains(&(machine, 4)));
            world.request(machine, 10 * round + side);
        }
        world.run_for(700);
    }
    world.cut.clear();
    world.request_all(1_000);
    world.expect_executed(1_000, &[1, 2, 3], 60_000);
    assert_eq!(world.forks, vec![]);
    world.tally.views
}

#[test]
fn two_machines_of_one_identity_do_not_make_the_others_disagree() {
    let all = 16_u64.pow(ROUNDS) * 4;
    let wanted = std::env::var("SYNOD_PBFT_TWINS").ok().and_then(|count| count.parse().ok()).unwrap_or(SCENARIOS);
    let (mut changed, count) = (0_u64, all.min(wanted));
    for number in 0..count {
        // Evenly spread: a stride that has no factor in common with the number of all.
        let scenario = number * 40_503 % all;
        std::println!("Twins scenario {scenario} of {all}");
        changed += u64::from(run(scenario / 4, scenario % 4) > 0);
    }
    assert!(changed > count / 2, "view changes in {changed} of {count} scenarios");
}
