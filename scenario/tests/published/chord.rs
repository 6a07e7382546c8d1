//! Stoica et al. 2001 ("Chord: a scalable peer-to-peer lookup service for Internet applications", SIGCOMM) and 2003 (IEEE/ACM ToN).
//!
//! The paper's nodes are handed their tables; ours build the ring through the protocol, and it is checked from outside that the ring
//! is in order and every finger right before anything is measured. The paper's identifiers have 24 bits or more, ours 256, which makes
//! no difference: fingers below the first successor are that successor. Hops are the nodes that are passed up to the key's
//! predecessor, which is what its figure 10 shows: 0 where the asker is the predecessor itself.

use std::time::Duration;

use synod_dht::chord::Style;
use synod_dht::overlay::Id;
use synod_machine::Rng;
use synod_scenario::overlay::chord::{Answer, Lab, Setting, Told, owner};
use synod_scenario::stats::{Interval, mean, probability};

use crate::{DOUBT, factor, show};

/// A ring in order, with all fingers right. Without the shortcut successors are no fingers.
fn ring(seed: u64, peers: u32, successors: usize, shortcut: bool) -> Lab {
    let mut setting = Setting::new(seed, peers);
    setting.params.fingers_per_round = 256;
    setting.params.successors = successors;
    setting.params.shortcut = shortcut;
    let lab = Lab::built(setting, Duration::from_secs(120));
    assert_eq!(lab.disorder(), None);
    assert_eq!(lab.wrong_fingers().0, 0, "every finger is right");
    lab
}

/// The hops of so many look-ups of keys that are drawn, all of which name the owner.
fn hops(lab: &mut Lab, count: usize) -> Vec<f64> {
    let live = lab.live();
    let answers = lab.look_up_many(count, Duration::from_millis(1), Style::Iterative);
    assert_eq!(answers.len(), count, "every look-up ends");
    let is_right = |answer: &Answer| answer.what == Told::Owner(Ok(owner(&live, answer.key)));
    assert!(answers.iter().all(is_right), "every look-up in a quiet ring names the owner");
    answers.iter().map(|answer| f64::from(answer.cost.hops)).collect()
}

/// Nodes, the mean path of SIGCOMM 2001, figure 10(a), read from it to ±0.02, rings, look-ups in each.
const PATHS: [(u32, f64, u64, usize); 5] =
    [(128, 3.39, 8, 500), (256, 3.88, 6, 500), (512, 4.38, 3, 1_000), (1_024, 4.89, 2, 2_000), (2_048, 5.36, 1, 4_000)];

#[test]
fn the_mean_path_is_the_published_one_to_a_tenth_and_paths_are_spread_as_the_bits_of_a_distance() {
    println!(
        "\n| nodes | rings | look-ups | published | mean hops | 1st and 99th percentile |\n|---|---|---|---|---|---|"
    );
    for (peers, published, rings, lookups) in PATHS {
        let mut all = Vec::new();
        for seed in 0..rings * factor() {
            all.extend(hops(&mut ring(seed, peers, 8, false), lookups));
        }
        let interval = mean(&all, DOUBT / PATHS.len() as f64);
        all.sort_by(f64::total_cmp);
        let (low, high) = (all[all.len() / 100], all[all.len() * 99 / 100]);
        println!(
            "| {peers} | {} | {} | {published} | {} | {low}, {high} |",
            rings * factor(),
            all.len(),
            show(interval)
        );
        let near = Interval { low: published - 0.1, high: published + 0.1 };
        let middle = f64::midpoint(interval.low, interval.high);
        assert!(near.contains(middle), "{peers} nodes: {interval:?}");
        // Section 6.2: a hop for each bit of the distance that is 1. The law of so many fair coins, from which path lengths are no
        // farther than this in total variation (derived, not printed; the mean is a seventh of a hop below the coins').
        let coins = peers.ilog2();
        let share = |hops: u32| all.iter().filter(|path| **path == f64::from(hops)).count() as f64 / all.len() as f64;
        let far: f64 = (0..=coins).map(|hops| (share(hops) - coin(coins, hops)).abs()).sum::<f64>() / 2.0;
        assert!(far < 0.1, "{peers} nodes: {far} from the binomial law");
    }
}

/// The probability of `heads` among so many fair coins.
fn coin(coins: u32, heads: u32) -> f64 {
    let ways = (0..heads).fold(1.0, |ways, head| ways * f64::from(coins - head) / f64::from(head + 1));
    ways / f64::from(2_u32.pow(coins))
}

/// ToN 2003, section V-D: ½·log2 N − ½·log2 r + 1, which counts the step from the node that knows the owner to the owner.
#[test]
fn a_list_of_r_successors_shortens_the_path_by_half_of_log_r_less_one() {
    const NODES: u32 = 1_024;
    println!("\n| nodes | r | published | mean path |\n|---|---|---|---|");
    for successors in [4, 8, 16] {
        let all = hops(&mut ring(1, NODES, successors, true), 3_000 * factor() as usize);
        let interval = mean(&all, DOUBT / 3.0);
        let path = f64::midpoint(interval.low, interval.high) + 1.0;
        let published = (f64::from(NODES).log2() - (successors as f64).log2()) / 2.0 + 1.0;
        println!("| {NODES} | {successors} | {published} | {path:.3} |");
        assert!((path - published).abs() < 0.15, "r = {successors}: {path}");
    }
}

/// SIGCOMM 2001, section 6.4: a share p of the nodes fails at once, and about p of the look-ups: those of the keys whose node failed. A
/// look-up is right if it names the node that owned the key before. The paper waits for stabilisation, which then finds other
/// nodes for the lost keys; ours are asked at once, before any of it, and have to go round the failed nodes themselves.
#[test]
fn look_ups_fail_by_the_share_of_nodes_that_failed_and_no_more() {
    println!(
        "\n| p | keys lost | look-ups failed | interval of the failed beyond these | time-outs each |\n|---|---|---|---|---|"
    );
    for tenths in [1_u32, 2, 3, 4, 5] {
        let mut lab = ring(u64::from(tenths), 500, 20, true);
        let before = lab.live();
        let mut nodes = before.clone();
        Rng::new(u64::from(tenths), 0, "failures").shuffle(&mut nodes);
        let failed = &nodes[..500 * tenths as usize / 10];
        failed.iter().for_each(|node| lab.crash(node.peer));
        let count = 2_000 * factor() as usize;
        // Ten seconds for all: a round takes thirty.
        let answers = lab.look_up_many(count, Duration::from_millis(5) / factor() as u32, Style::Iterative);
        assert_eq!(answers.len(), count, "every look-up ends");
        let is_lost = |key: Id| failed.contains(&owner(&before, key));
        let lost = answers.iter().filter(|answer| is_lost(answer.key)).count();
        let is_wrong = |answer: &&Answer| answer.what != Told::Owner(Ok(owner(&before, answer.key)));
        let beyond = answers.iter().filter(is_wrong).filter(|answer| !is_lost(answer.key)).count();
        let timeouts: u32 = answers.iter().map(|answer| answer.cost.timeouts).sum();
        let p = f64::from(tenths) / 10.0;
        let interval = probability(beyond as u64, (count - lost) as u64, DOUBT / 5.0);
        let each = f64::from(timeouts) / count as f64;
        println!("| {p} | {lost} of {count} | {} | {} | {each:.2} |", lost + beyond, show(interval));
        assert!(beyond * 100 <= count, "p = {p}: {beyond} of {count} failed though their node is there");
        let share = lost as f64 / count as f64;
        assert!((share - p).abs() < 0.06, "p = {p}: {share} of the keys are lost");
    }
}

/// SIGCOMM 2001, figure 9: 10⁴ nodes, 10⁶ keys. With one virtual node each the 1st and 99th percentile of keys per node are 0 and 4.8
/// means, with twenty 0.5 and 1.6. Ours are fewer nodes with as many keys each, which leaves percentiles as they are, but for chance.
#[test]
fn virtual_nodes_even_the_load_out() {
    const KEYS: usize = 100;
    println!("\n| nodes | virtual nodes each | published percentiles | 1st | 99th |\n|---|---|---|---|---|");
    let table = [(1_000, 1, (0.0, 4.8), (0.05, 1.0)), (200, 20, (0.5, 1.6), (0.12, 0.25))];
    for (nodes, each, published, off) in table {
        let lab = Lab::built(Setting::new(3, nodes * each), Duration::from_secs(60));
        assert_eq!(lab.disorder(), None);
        let live = lab.live();
        let mut loads = vec![0_usize; nodes as usize];
        let mut rng = Rng::new(3, 0, "keys");
        for _ in 0..KEYS * nodes as usize {
            loads[(owner(&live, Id::draw(&mut rng)).peer.0 / each) as usize] += 1;
        }
        loads.sort_unstable();
        let percentile = |hundredth: usize| loads[(loads.len() - 1) * hundredth / 100] as f64 / KEYS as f64;
        let (low, high) = (percentile(1), percentile(99));
        println!("| {nodes} | {each} | {published:?} | {low:.2} | {high:.2} |");
        assert!((low - published.0).abs() <= off.0, "{each} virtual nodes: the 1st percentile is {low}");
        assert!((high - published.1).abs() <= off.1, "{each} virtual nodes: the 99th percentile is {high}");
    }
}
