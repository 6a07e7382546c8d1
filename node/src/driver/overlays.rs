//! How a node's overlays are set.

use std::time::Duration;

use libp2p::multiaddr::Protocol;
use synod_dht::overlay::Quorum;
use synod_dht::search::superpeer::{Election, Rule};
use synod_dht::search::{Sampling, flood, index, superpeer};
use synod_dht::{Node, chord, discovery, kademlia};
use synod_machine::Rng;

use super::links::Links;
use crate::config::{DhtKind, OverlaysConfig, SearchKind};
use crate::net::Multiaddr;

/// A node that was told of others waits so long for one of them, and so long again for one that takes it in, before it begins an overlay
/// of its own.
const BEGIN_AFTER: Duration = Duration::from_secs(5);
/// A message between two of a testbed's peers takes no longer: a flood of seven hops is waited for 1.4 s.
const HOP_WAIT: Duration = Duration::from_millis(100);
/// A request that dials first takes three round trips more; links are shaped to half a second at most.
const CALL_WAIT: Duration = Duration::from_secs(2);
/// Between two rounds of upkeep, thirty times as often as the papers': a person waits for repair.
const ROUND: Duration = Duration::from_secs(1);
/// Five nodes keep a provider record, so that hardly any is lost when a quarter of twenty peers is killed at once: three of three are in
/// one of 114 cases, five of five in one of 15,504. It counts as published when one has it: whoever asks too early asks again.
const RECORDS: Quorum = match Quorum::new(1, 5) {
    Ok(quorum) => quorum,
    Err(_) => panic!("one of five is a quorum"),
};
/// A superpeer of a testbed, which has some ten peers, takes so many leaves; with the usual thirty there would be one superpeer.
const LEAVES_MAX: u16 = 8;
/// How peers of a testbed become superpeers: within seconds.
const RULE: Rule = Rule {
    claim_wait: Duration::from_secs(1),
    leaves_low: 2,
    role_min: Duration::from_secs(20),
    uptime_min: Duration::ZERO,
    ..Rule::DEFAULT
};

/// What the overlays are made from. `seed` draws their choices; `is_first` says that the node was told of nobody.
pub(super) fn params(
    config: &OverlaysConfig,
    links: &mut Links,
    seed: (u64, u64),
    is_first: bool,
) -> Option<Box<discovery::Params>> {
    if !config.is_on() {
        return None;
    }
    let own = links.own();
    let rng = |purpose| Rng::new(seed.0, seed.1, purpose);
    let servers: Vec<Node> = config.index.iter().filter_map(|address| server(address, links)).collect();
    let sampling = || Sampling { period: Duration::from_secs(2), ..Sampling::new(Vec::new()) };
    let has = |kind| config.dht.contains(&kind);
    let searches = |kind| config.search.contains(&kind);
    Some(Box::new(discovery::Params {
        begin_after: if is_first { Duration::ZERO } else { BEGIN_AFTER },
        chord: has(DhtKind::Chord).then(|| chord::Params {
            fingers_per_round: 8,
            repair: 5 * ROUND,
            replicas: RECORDS.replicas(),
            round: ROUND,
            time_out: CALL_WAIT,
            ..chord::Params::new(own, rng("chord"))
        }),
        contact: links.contact(own.peer).expect("this peer knows itself"),
        flood: searches(SearchKind::Flood).then(|| flood::Params {
            hop_wait: HOP_WAIT,
            sampling: Some(sampling()),
            ..flood::Params::new(own, rng("flood"))
        }),
        index: searches(SearchKind::Index)
            .then(|| index::Params { beat: 5 * ROUND, ..index::Params::new(own, servers, rng("index")) }),
        kademlia: has(DhtKind::KademliaLab)
            .then(|| kademlia::Params { request_time: CALL_WAIT, ..kademlia::Params::new(own, rng("kademlia")) }),
        own,
        records: RECORDS,
        superpeer: searches(SearchKind::Superpeer).then(|| superpeer::Params {
            beat: 2 * ROUND,
            election: Election::ByCapacity(RULE),
            hop_wait: HOP_WAIT,
            leaves_max: LEAVES_MAX,
            sampling: Some(sampling()),
            ..superpeer::Params::new(own, config.capacity, rng("superpeer"))
        }),
    }))
}

/// The node that an address with a peer's name is of.
fn server(address: &Multiaddr, links: &mut Links) -> Option<Node> {
    let Some(Protocol::P2p(peer)) = address.iter().last() else { return None };
    let handle = links.meet(peer);
    if handle != links.own().peer {
        links.learn(&peer, std::slice::from_ref(address));
    }
    links.node(handle)
}
