//! A selfish pool among whole peers: what it is paid in a network whose messages take time, beside equation 8 of Eyal and Sirer 2014.
//!
//! `scenario::attack::selfish` makes any γ by hand, from replicas alone. Here nothing is made: a peer of our own carriers behaves
//! selfishly, and its blocks win ties among those whom they reach first. Seeds are the numbers from 0 on and were not chosen by what
//! came out.

use synod_machine::{PeerId, Time};
use synod_scenario::attack::theory::selfish_revenue;
use synod_scenario::stats::ratio;
use synod_scenario::{Ended, Found, Scenario, Watch};

/// With so much doubt the equation lies outside of the interval if it holds.
const DOUBT: f64 = 0.001;
/// Runs of each network: with as many the interval at γ = 0 leaves out what [`GAMMA_OTHER`] gives.
const RUNS: u64 = 96;
/// A share of the others that mines on the pool's block in ties, which the test must be able to tell from none.
const GAMMA_OTHER: f64 = 0.3;
/// So long a run's pool is selfish: 600 blocks are found meanwhile on average.
const SELFISH_HOURS: u64 = 100;

/// A pool with `share` percent of the hash power and eight others.
fn network(gossip: &str, share: u64) -> String {
    let others = (100 - share) * 10;
    let shares: Vec<u64> = std::iter::once(share * 80).chain([others; 8]).collect();
    format!(
        "name = \"selfish\"\npeers = 9\nchecks = [\"oracles\"]\n[chain]\nblock-time = \"10 min\"\n\
         [mining]\npower = {{ kind = \"listed\", shares = {shares:?} }}\n\
         [topology]\nkind = \"complete\"\n[links]\ndelay = \"50 ms\"\n[gossip]\nkind = \"{gossip}\"\n\
         [[actions]]\ndo = \"turn\"\nat = \"0 s\"\npeers = [0]\nbehaviour = \"selfish\"\n\
         [[actions]]\ndo = \"heal\"\nat = \"{SELFISH_HOURS} h\"\n\
         [stop]\ntime = \"{} h\"\n",
        SELFISH_HOURS + 48
    )
}

fn run(text: &str, seed: u64) -> Ended {
    let scenario = Scenario::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let plan = scenario.plan(seed, |_| panic!("it names no files")).expect("a right scenario");
    synod_scenario::run(plan, None, |_| Watch::GoOn).unwrap_or_else(|broken| panic!("seed {seed}: {broken}"))
}

/// The blocks of the main chain that were found while the pool was selfish: the pool's, and all of them.
fn paid(ended: &Ended) -> (f64, f64) {
    let observed = ended.world.experiment().observed();
    let is_then = |block: &&&Found| block.parent.is_some() && block.at < Time::from_secs(SELFISH_HOURS * 3_600);
    let chain = observed.main_chain();
    let own = chain.iter().filter(is_then).filter(|block| block.by == PeerId(0)).count();
    (own as f64, chain.iter().filter(is_then).count() as f64)
}

#[test]
fn a_selfish_peer_is_paid_as_equation_8_says_where_nobody_follows_it_in_ties() {
    // Whoever finds a block sends it to all, in a mesh as well, and it is there before the pool's answer: γ is 0.
    for (gossip, share) in [("flood", 40), ("flood", 30), ("mesh", 40)] {
        let runs: Vec<(f64, f64)> = (0..RUNS).map(|seed| paid(&run(&network(gossip, share), seed))).collect();
        let (own, all) = runs.iter().fold((0.0, 0.0), |sum, run| (sum.0 + run.0, sum.1 + run.1));
        let (interval, alpha) = (ratio(&runs, DOUBT), share as f64 / 100.0);
        println!("{gossip}, {alpha}: {own} of {all}, {:.4} in {interval:?}", own / all);
        assert!(interval.contains(selfish_revenue(alpha, 0.0)), "{gossip}, {alpha}: {interval:?}");
        assert!(interval.high < selfish_revenue(alpha, GAMMA_OTHER), "{gossip}, {alpha}: {interval:?}");
    }
}
