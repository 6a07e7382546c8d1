//! Small plans to build tests from.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use synod_consensus::{Chain, Limits, pow};
use synod_dht::mesh;
use synod_ledger::{Amount, Engine, Genesis, LedgerParams, PowParams, Retarget};
use synod_machine::{Rng, Time};
use synod_peer::GossipParams;
use synod_sim::model::{Distribution, Links, Span, Topology};

use crate::payer::balances;
use crate::{Load, Plan, Stop};

/// A chain with a block every ten seconds and no retarget.
pub(crate) fn chain() -> Arc<Chain> {
    let target = pow::target_for(1_000, Duration::from_secs(10));
    let pow = PowParams { target, block_time_ms: 10_000, retarget: Retarget::Off, declared: true };
    let ledger = LedgerParams {
        subsidy: Amount(50 * Amount::COIN),
        halving_interval: 100_000,
        maturity: 10,
        block_bytes_max: 1_000_000,
        fee_min: Amount(1),
    };
    let balances = balances(100, Amount(100 * Amount::COIN));
    let genesis = Genesis { name: "test".into(), time_unix_ms: 0, engine: Engine::Pow(pow), ledger, balances };
    Chain::simulated(genesis).expect("a chain can start like this")
}

/// Peers of equal power in a random regular graph, with a mesh on links of 50 ms, until a height.
pub(crate) fn plan(seed: u64, peers: u32, blocks: u64) -> Plan {
    let topology = Topology::RandomRegular { degree: 8.min(peers - 1) };
    let graph = topology.build(peers, &mut Rng::new(seed, 0, "topology"), |_| unreachable!("no file is named"));
    let links = Links { delay: Some(Distribution::constant(Span::from_millis(50))), ..Links::default() };
    Plan {
        name: "test".into(),
        seed,
        chain: chain(),
        gossip: GossipParams::Mesh(mesh::Params::new(Rng::new(seed, 0, "gossip"))),
        limits: Limits::default(),
        power: vec![1; peers as usize],
        hash_rate: 1.0,
        graph: graph.expect("a possible graph"),
        links: links.compile(seed, |_| unreachable!("no file is named")).expect("possible links"),
        disk_sync: Duration::ZERO,
        codec: false,
        load: Load { rate: 1.0, from: Time::from_secs(2), until: Time::from_secs(3_600), ..Load::NONE },
        deeds: Vec::new(),
        churn: Vec::new(),
        stop: Stop { blocks, time: Time::from_secs(3_600) },
        absent: Vec::new(),
        confirmations: 6,
        adversaries: BTreeMap::new(),
    }
}
