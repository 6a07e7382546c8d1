//! Random runs: sizes, links, faults and adversaries of every kind from a seed. First safety, under faults; then the
//! faults end, and a new request must be executed by everybody honest within a bounded number of views.

use core::time::Duration;
use std::vec;
use std::vec::Vec;

use synod_machine::{Rng, Time};

use crate::adversary::Behaviour;
use crate::pbft::testing::{CALM, Net, Tally, World, settings};

/// Seeds that the test runs; `SYNOD_PBFT_SEEDS=first..end` runs others.
const SEEDS: core::ops::Range<u64> = 0..120;

fn draw_behaviour(rng: &mut Rng) -> Behaviour {
    let all = [
        Behaviour::Colluder,
        Behaviour::EquivocatingPrimary,
        Behaviour::EquivocatingVoter,
        Behaviour::Forger,
        Behaviour::LyingChanger,
        Behaviour::Replayer,
        Behaviour::Selective,
        Behaviour::Silent,
        Behaviour::Slow(Duration::from_millis(450)),
    ];
    *rng.pick(&all).expect("there are some")
}

/// A world, and a replica that will lose its disk, which counts as a faulty one.
fn draw_world(rng: &mut Rng, seed: u64) -> (World, Option<usize>) {
    let count = *rng.pick(&[4, 4, 4, 4, 5, 6, 7, 7, 8, 10]).expect("there are some");
    let faulty_max = (count - 1) / 3;
    let faulty = rng.below(faulty_max as u64 + 1) as usize;
    let loser =
        (faulty < faulty_max && rng.below(3) == 0).then(|| faulty + rng.below((count - faulty) as u64) as usize);
    let mut nodes: Vec<(usize, Behaviour)> = (0..count).map(|validator| (validator, Behaviour::Honest)).collect();
    let has_twin = faulty > 0 && rng.below(5) == 0;
    for node in &mut nodes[..faulty] {
        node.1 = draw_behaviour(rng);
    }
    if has_twin {
        nodes[0].1 = Behaviour::Honest;
        nodes.push((0, Behaviour::Honest));
    }
    let mut drawn = settings();
    drawn.in_flight_max = 1 + rng.below(4);
    drawn.batch_max = 1 + rng.below(4) as u32;
    drawn.checkpoint_interval = 1 + rng.below(5);
    drawn.window = drawn.checkpoint_interval + rng.below(12);
    let mut world = World::of(count, nodes, drawn, seed);
    world.is_wired = rng.below(20) == 0;
    (world, loser)
}

/// One moment of bad luck.
fn disturb(world: &mut World, rng: &mut Rng) {
    let node = rng.below(world.nodes.len() as u64) as usize;
    match rng.below(10) {
        0 => {
            let lost = *rng.pick(&[0, 0, 20, 100, 300]).expect("there are some");
            let slowest = *rng.pick(&[1, 20, 80, 300]).expect("there are some");
            world.net = Net { delay_ms_min: 1, delay_ms_max: slowest, lost_per_1000: lost, twice_per_1000: lost };
        }
        1 | 2 if world.is_up(node) => {
            let down_for = Duration::from_millis(1 + rng.below(1_500));
            world.crash_in_step(node, rng.below(6) as usize, down_for);
        }
        3 => {
            world.cut.clear();
            let side: Vec<bool> = (0..world.nodes.len()).map(|_| rng.below(2) == 0).collect();
            for one in 0..side.len() {
                for other in 0..side.len() {
                    if side[one] != side[other] {
                        world.cut.insert((one, other));
                    }
                }
            }
        }
        4 => world.cut_off(node),
        5 => {
            let other = rng.below(world.nodes.len() as u64) as usize;
            world.cut.insert((node, other)); // One way only.
        }
        6 | 7 => world.cut.clear(),
        _ => {}
    }
}

fn run(seed: u64) -> Tally {
    let mut rng = Rng::new(seed, 0, "swarm");
    let (mut world, mut loser) = draw_world(&mut rng, seed);
    let mut request = 0;
    let end = Time::from_millis(1_000 + rng.below(12_000));
    while world.now < end {
        for _ in 0..rng.below(4) {
            request += 1;
            if rng.below(3) == 0 {
                let node = rng.below(world.nodes.len() as u64) as usize;
                world.request(node, request);
            } else {
                world.request_all(request);
            }
        }
        disturb(&mut world, &mut rng);
        if rng.below(10) == 0
            && let Some(loser) = loser.take()
        {
            world.lose(loser);
        }
        world.run_for(1 + rng.below(600));
    }
    heal(&mut world);
    let honest = world.honest();
    let view = world.view().0;
    for node in 0..world.nodes.len() {
        (1..=request + 1).for_each(|request| world.request(node, request));
    }
    // The doubled time-outs of the bad time may have to pass once.
    world.expect_executed(request + 1, &honest, 120_000);
    let passed = world.view().0.saturating_sub(view);
    let faulty = (world.rules.validators.count() as u64 - 1) / 3;
    assert!(passed <= 2 * faulty + 4, "a request took {passed} views:\n{}", world.describe());
    (1..=request).for_each(|request| world.expect_executed(request, &honest, 120_000));
    assert_eq!(world.forks, vec![], "one block for each height");
    world.tally
}

fn heal(world: &mut World) {
    world.net = CALM;
    world.cut.clear();
    for node in 0..world.nodes.len() {
        world.restart(node);
    }
    world.run_for(2_000);
    for node in 0..world.nodes.len() {
        world.restart(node);
    }
}

#[test]
fn whatever_happens_one_block_is_decided_for_each_height_and_afterwards_requests_are_executed() {
    let wanted = std::env::var("SYNOD_PBFT_SEEDS").ok();
    let range = wanted.as_deref().and_then(|range| range.split_once(".."));
    let range = range.and_then(|(first, end)| Some(first.parse().ok()?..end.parse().ok()?)).unwrap_or(SEEDS);
    let (mut changed, mut synced, mut crashed, mut lost) = (0, 0, 0, 0);
    for seed in range.clone() {
        std::println!("SYNOD_PBFT_SEEDS={seed}..{}", seed + 1);
        let tally = run(seed);
        changed += u64::from(tally.views > 0);
        synced += u64::from(tally.syncs > 0);
        crashed += u64::from(tally.crashes > 0 && tally.restarts > 0);
        lost += u64::from(tally.losses > 0);
    }
    std::println!(
        "{range:?}: {changed} with view changes, {synced} with state transfers, {crashed} with crashes and recoveries, \
         {lost} with a lost disk"
    );
    if range == SEEDS {
        assert!(changed > 60, "view changes in {changed} runs");
        assert!(synced > 10, "state transfers in {synced} runs");
        assert!(crashed > 60, "crashes in {crashed} runs");
        assert!(lost > 5, "lost disks in {lost} runs");
    }
}
