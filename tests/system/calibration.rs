//! The simulator against real processes: one scenario, two worlds, the same counts.

use synod_lab::real::{self, Costs, Options};
use synod_scenario::Scenario;

use crate::support::program;

/// Issue 3: messages per block and per transaction of the same scenario agree within a tenth.
const TOLERANCE: f64 = 0.1;

type Figure = fn(&Costs) -> Option<f64>;

#[tokio::test(flavor = "multi_thread")]
async fn real_peers_send_as_many_messages_per_block_and_per_payment_as_simulated_ones() {
    let scenario = Scenario::parse(include_str!("../../scenarios/pow-small.toml")).expect("a scenario");
    let plan = scenario.plan(scenario.seed, |_| unreachable!("it names no file")).expect("a plan");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let options = Options { program: program().to_owned(), dir: folder.path().join("net"), gossip: None };
    let real = real::run(&scenario, &plan, &options, |_| {}).await.expect("real peers run it");
    let simulated = real::simulate(&plan).expect("simulated peers run it");
    eprintln!("real {real:#?}\nsimulated {simulated:#?}");
    assert_eq!((real.peers, real.gossip), (12, "mesh"));
    assert!(real.blocks >= 30, "the span has its blocks");
    let figures: [(&str, Figure); 5] = [
        ("pushes per block", |costs| Some(costs.pushes_per_block)),
        ("pushes per payment", |costs| Some(costs.pushes_per_payment)),
        ("ihave and iwant per second", |costs| costs.lists_per_second),
        ("push, ihave and iwant per block", |costs| Some(costs.per_block)),
        ("push, ihave and iwant per payment", |costs| costs.per_payment),
    ];
    for (name, figure) in figures {
        let of = |costs: &Costs| figure(costs).unwrap_or_else(|| panic!("no {name}"));
        let (real, simulated) = (of(&real.costs), of(&simulated.costs));
        assert!((real / simulated - 1.0).abs() < TOLERANCE, "{name}: {real} on real peers, {simulated} simulated");
    }
}
