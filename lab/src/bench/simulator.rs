//! How fast the simulator is, on one core: whole replicas, and a bare averaging gossip that costs next to nothing itself.

use synod_scenario::averaging::average;
use synod_scenario::{Outcome, Plan, Scenario, Stop, Watch};
use synod_sim::model::{Distribution, LinkModel, Links, Span};

use super::{Report, timed};

/// What the runs are.
const SPEED: &str = include_str!("../../../scenarios/pow-speed.toml");
const SEED: u64 = 1;
/// The fastest of the simulators that the figure is compared with: rust-jabs at 10,000 peers, in node-blocks per second
/// on a machine like ours, without real blocks and signatures.
const JABS: f64 = 37_000.0;
/// Two gigabytes for 10,000 peers and 100 blocks.
const MEMORY: f64 = 2e9;
/// What PeerSim's averaging makes on a machine like ours, in events per second, by the number of peers; and the rounds
/// that we measure.
const PEERSIM: [(u32, u32, f64); 3] = [(10_000, 400, 2.9e6), (100_000, 40, 1.5e6), (1_000_000, 4, 0.7e6)];

/// Whole replicas, and how their cost grows.
pub fn simulator() -> Vec<Report> {
    let large = replicas(10_000, 100, SEED);
    let mut reports = vec![node_blocks(&large), memory(&large)];
    reports.push(growth());
    reports.push(two_cores());
    reports.extend(PEERSIM.map(|(peers, rounds, reference)| averaging(peers, rounds, reference)));
    reports
}

fn node_blocks(outcome: &Outcome) -> Report {
    let cost = &outcome.cost;
    Report {
        name: "simulate",
        value: cost.node_blocks_per_second,
        unit: "node-blocks/s",
        reference: JABS,
        reference_name: "rust-jabs, without real blocks",
        ratio: cost.node_blocks_per_second / JABS,
        promised: 1.0,
        at_most: false,
        note: format!(
            "{} peers, {} blocks, {:.1} s, {:.2} M messages/s, {:.2} M events/s",
            outcome.peers,
            outcome.chain.height,
            cost.wall_seconds,
            cost.delivered_per_second / 1e6,
            cost.events_per_second / 1e6
        ),
    }
}

fn memory(outcome: &Outcome) -> Report {
    let peak = outcome.cost.memory_peak_bytes.unwrap_or_default() as f64;
    Report {
        name: "simulate, memory",
        value: peak,
        unit: "bytes",
        reference: MEMORY,
        reference_name: "two gigabytes",
        ratio: peak / MEMORY,
        promised: 1.0,
        at_most: true,
        note: "the peak of the whole process".to_string(),
    }
}

/// The cost of a message at 100,000 peers over that at 1,000.
fn growth() -> Report {
    let (small, large) = (replicas(1_000, 100, SEED), replicas(100_000, 5, SEED));
    let (few, many) = (1e9 / small.cost.delivered_per_second, 1e9 / large.cost.delivered_per_second);
    Report {
        name: "simulate, growth",
        value: many,
        unit: "ns/message",
        reference: few,
        reference_name: "the same at 1,000 peers",
        ratio: many / few,
        promised: 2.0,
        at_most: true,
        note: format!("100,000 peers, {} MB", large.cost.memory_peak_bytes.unwrap_or_default() / 1_000_000),
    }
}

/// Two seeds at a time on two cores, against one after the other.
fn two_cores() -> Report {
    let run = |seed| replicas(2_000, 100, seed);
    let (_, apart) = timed(|| [run(1), run(2)]);
    let (_, together) = timed(|| {
        std::thread::scope(|scope| {
            let other = scope.spawn(|| run(2));
            let own = run(1);
            [own, other.join().expect("a run ends")]
        })
    });
    let ratio = apart.as_secs_f64() / together.as_secs_f64();
    Report {
        name: "simulate, two cores",
        value: 2.0 / together.as_secs_f64(),
        unit: "runs/s",
        reference: 2.0 / apart.as_secs_f64(),
        reference_name: "one core",
        ratio,
        promised: 1.8,
        at_most: false,
        note: "2,000 peers, 100 blocks".to_string(),
    }
}

fn averaging(peers: u32, rounds: u32, reference: f64) -> Report {
    let averaged = average(SEED, peers, rounds, links());
    let secs = averaged.wall.as_secs_f64();
    let events = averaged.events as f64 / secs;
    Report {
        name: "average",
        value: events,
        unit: "events/s",
        reference,
        reference_name: "PeerSim's averaging",
        ratio: events / reference,
        promised: 1.0,
        at_most: false,
        note: format!("{peers} peers, {:.2} M messages/s", averaged.delivered as f64 / secs / 1e6),
    }
}

fn replicas(peers: u32, blocks: u64, seed: u64) -> Outcome {
    let mut scenario = Scenario::parse(SPEED).expect("the scenario is shipped with the program");
    scenario.peers = peers;
    let plan = scenario.plan(seed, |_| unreachable!("it names no file")).expect("a possible plan");
    let plan = Plan { stop: Stop { blocks, ..plan.stop }, ..plan };
    synod_scenario::run(plan, None, |_| Watch::GoOn).expect("no invariant breaks").outcome
}

fn links() -> LinkModel {
    let delay = Distribution::Uniform { least: Span::from_millis(50), most: Span::from_millis(150) };
    let links = Links { delay: Some(delay), ..Links::default() };
    links.compile(SEED, |_| unreachable!("it names no file")).expect("possible links")
}
