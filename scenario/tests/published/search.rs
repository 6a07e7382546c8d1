//! What queries cost: floods, superpeers, expanding rings and walkers, and how evenly sampled views spread.
//!
//! Counts that follow from the graph alone are tested exactly. Links take one time, so that a query comes to everybody by a shortest
//! way first, as in the papers' round-based models; where links differ, a copy that took a long way can come first, and duplicate
//! suppression then makes a flood with a time to live reach fewer peers than lie within it (the swarm found that).

use std::time::Duration;

use synod_dht::Node;
use synod_dht::search::flood::{self, Strategy, TTL_MAX};
use synod_dht::search::superpeer::{self, Election};
use synod_dht::search::{FloodSearch, Item, Question, Sampling, Superpeer};
use synod_machine::{Bytes, PeerId, Rng, Time};
use synod_scenario::overlay::search::{Crowd, Deed, Mode, node, world};
use synod_scenario::stats::{mean, moments};
use synod_sim::World;
use synod_sim::model::{Distribution, Graph, LinkModel, Links, Span, Topology};

use crate::{DOUBT, factor, show};

const SEED: u64 = 1;
const START: Time = Time::from_secs(5);

fn links() -> LinkModel {
    let delay = Some(Distribution::constant(Span::from_millis(10)));
    let links = Links { delay, ..Links::default() }.compile(SEED, |_| unreachable!("no file is named"));
    links.expect("possible links")
}

fn graph(peers: u32, topology: &Topology) -> Graph {
    let mut rng = Rng::new(SEED, 0, "topology");
    topology.build(peers, &mut rng, |_| unreachable!("no file is named")).expect("a possible graph")
}

fn item() -> Item {
    Item::new(Bytes([7; 32]), "red fox", "", 100).expect("a short name")
}

fn role(own: Node) -> Rng {
    Rng::new(SEED, u64::from(own.peer.0), "search")
}

fn flooding(own: Node) -> flood::Params {
    flood::Params { ttl_max: TTL_MAX, hop_wait: Duration::from_millis(20), ..flood::Params::new(own, role(own)) }
}

/// Has peers ask for the fox one after the other, `apart`; runs it to the end.
fn ask<M: Mode, F: FnMut(Node) -> M::Params>(
    world: &mut World<Crowd<M, F>>,
    askers: impl IntoIterator<Item = u32>,
    apart: Duration,
    options: &M::Options,
) {
    world.run(START, u64::MAX);
    let mut at = START;
    for asker in askers {
        let question = Question::words("fox").expect("a word");
        world.net_mut().alarm(at, Deed::Ask(PeerId(asker), question, u16::MAX, options.clone()));
        at = at + apart;
    }
    world.run(at, u64::MAX);
}

fn queries<M: Mode, F: FnMut(Node) -> M::Params>(world: &World<Crowd<M, F>>, kind: &'static str) -> u64 {
    world.net().counters().traffic.of(kind).sent.messages
}

/// One flood from each of these over a graph of which everybody shares the fox; what it cost on average, and what each found.
fn floods(graph: Graph, askers: &[u32], ttl: u8) -> (f64, Vec<usize>) {
    let shared = vec![vec![item()]; graph.peers() as usize];
    let mut world = world::<FloodSearch, _>(SEED, graph, links(), false, shared, flooding);
    ask(&mut world, askers.iter().copied(), Duration::from_secs(10), &Strategy::flood(ttl));
    let found = world.experiment().asks().iter().map(|ask| ask.hits.len()).collect();
    (queries(&world, "flood_query") as f64 / askers.len() as f64, found)
}

/// Each peer but the asker sends a query on all its links but the one that it came by, whatever the graph.
#[test]
fn a_flood_without_an_end_costs_twice_the_links_less_the_peers_plus_one() {
    println!("\n| topology | peers | links | 2E - N + 1 | transmissions | useful |\n|---|---|---|---|---|---|");
    let topologies = [
        ("random regular, 4", Topology::RandomRegular { degree: 4 }),
        ("scale-free, 3", Topology::ScaleFree { links: 3 }),
        ("ring, 2 on each side", Topology::Ring { neighbours: 2 }),
    ];
    for (name, topology) in topologies {
        // A ring is wide; and of no more than 512 hits one search tells.
        let peers = if matches!(topology, Topology::Ring { .. }) { 200 } else { 500 };
        let graph = graph(peers, &topology);
        let (links, expected) = (graph.links(), 2 * graph.links() - u64::from(peers) + 1);
        let (cost, found) = floods(graph, &[0, 7, 99], TTL_MAX);
        println!("| {name} | {peers} | {links} | {expected} | {cost} | {} |", found[0]);
        assert_eq!(cost, expected as f64, "{name}");
        assert!(found.iter().all(|found| *found == peers as usize - 1), "{name}: {found:?}");
    }
}

/// The sum of d(d − 1)^i for i below T: what a flood with a time to live of T costs where no two ways meet.
const BY_TTL: [(u8, u64); 3] = [(4, 160), (5, 484), (7, 4_372)];

#[test]
fn a_flood_with_a_time_to_live_costs_what_a_tree_of_its_depth_has_links() {
    println!("\n| T | published | on a tree | on a random regular graph of 20,000 |\n|---|---|---|---|");
    for (ttl, published) in BY_TTL {
        // Each peer of the tree has four links, and the last ones have one.
        let text: String = (1..=published as u32).map(|peer| format!("{peer} {}\n", parent(peer))).collect();
        let topology = Topology::File { path: "tree".into() };
        let tree = topology.build(published as u32 + 1, &mut Rng::new(SEED, 0, "topology"), |_| Ok(text));
        let (cost, _) = floods(tree.expect("a tree"), &[0], ttl);
        assert_eq!(cost, published as f64, "T = {ttl}");
        let (random, _) = floods(graph(20_000, &Topology::RandomRegular { degree: 4 }), &[0, 1, 2, 3], ttl);
        println!("| {ttl} | {published} | {cost} | {random} |");
        // Where ways meet a copy is not forwarded, and costs nothing further on.
        assert!(random <= published as f64, "T = {ttl}: {random}");
        let share = random / published as f64;
        assert!(share > if ttl < 7 { 0.97 } else { 0.7 }, "T = {ttl}: tree-like, {share}");
    }
}

/// The root has four children, all others three.
const fn parent(peer: u32) -> u32 {
    if peer <= 4 { 0 } else { (peer - 5) / 3 + 1 }
}

/// Clusters of c peers, one of them the superpeer, superpeers of degree d: (N/c)(d − 1) + 1 for the flood, and 1 for the leaf's own
/// message. N = 10,000, c = 10, d = 4: 3,002, against N(d − 1) + 1 = 30,001 where all flood.
#[test]
fn superpeers_take_a_tenth_of_the_messages_of_a_flat_flood() {
    const PEERS: u32 = 10_000;
    const STATIONS: u32 = 1_000;
    const LEAVES: u32 = 9;
    let askers = [STATIONS, 4_321, 9_999];
    let regular = Topology::RandomRegular { degree: 4 };
    let backbone = graph(STATIONS, &regular);
    let make = |own: Node| {
        let peer = own.peer.0;
        let is_superpeer = peer < STATIONS;
        let superpeers: Vec<Node> = if is_superpeer {
            backbone.neighbours(peer).iter().map(|&other| node(SEED, PeerId(other))).collect()
        } else {
            vec![node(SEED, PeerId((peer - STATIONS) / LEAVES))]
        };
        let params = superpeer::Params::new(own, 1, role(own));
        let election = Election::Fixed { is_superpeer, superpeers };
        superpeer::Params {
            election,
            degree: 4,
            redundancy: 1,
            ttl_max: TTL_MAX,
            hop_wait: Duration::from_millis(20),
            ..params
        }
    };
    let mut shared = vec![vec![]; PEERS as usize];
    shared[5_000] = vec![item()];
    let mut layered = world::<Superpeer, _>(SEED, Graph::empty(PEERS), links(), false, shared.clone(), make);
    ask(&mut layered, askers, Duration::from_secs(5), &TTL_MAX);
    let mut flat = world::<FloodSearch, _>(SEED, graph(PEERS, &regular), links(), false, shared, flooding);
    ask(&mut flat, askers, Duration::from_secs(5), &Strategy::flood(TTL_MAX));
    let costs = [queries(&layered, "super_query"), queries(&flat, "flood_query")];
    let costs = costs.map(|messages| messages as f64 / askers.len() as f64);
    println!("\nmessages a query, superpeers and flat: {costs:?}, published 3002 and 30001");
    assert_eq!(costs, [3_002.0, 30_001.0]);
    for asks in [layered.experiment().asks(), flat.experiment().asks()] {
        assert!(asks.iter().all(|ask| ask.hits.len() == 1), "all find the one copy");
    }
}

/// What a strategy costs and how far it has to go: messages of a query, hops to the first hit, the share of queries that find one.
struct Measured {
    messages: Vec<f64>,
    hops: Vec<f64>,
    found: f64,
}

/// Queries one after the other for things of which one peer in `rarity` has a copy, over a random graph.
fn compare(strategy: &Strategy, rarity: u32, queries: u32) -> Measured {
    const PEERS: u32 = 10_000;
    let mut rng = Rng::new(SEED, u64::from(rarity), "copies");
    let mut shared = vec![vec![]; PEERS as usize];
    (0..PEERS / rarity).for_each(|_| shared[rng.below(PEERS.into()) as usize] = vec![item()]);
    let topology = Topology::RandomRegular { degree: 4 };
    let askers: Vec<u32> = (0..queries).map(|_| rng.below(PEERS.into()) as u32).collect();
    let mut world = world::<FloodSearch, _>(SEED, graph(PEERS, &topology), links(), false, shared, flooding);
    world.run(START, u64::MAX);
    let count = |world: &World<Crowd<FloodSearch, _>>| {
        let kinds = ["flood_query", "flood_walk", "flood_check", "flood_checked"];
        kinds.iter().map(|kind| world.net().counters().traffic.of(kind).sent.messages).sum::<u64>()
    };
    let mut messages = vec![];
    let mut at = START;
    for asker in askers {
        let before = count(&world);
        let question = Question::words("fox").expect("a word");
        world.net_mut().alarm(at, Deed::Ask(PeerId(asker), question, 1, strategy.clone()));
        at = at + Duration::from_secs(30);
        world.run(at, u64::MAX);
        messages.push((count(&world) - before) as f64);
    }
    let asks = world.experiment().asks();
    let hops: Vec<f64> = asks.iter().filter_map(|ask| ask.hits.first()).map(|hit| f64::from(hit.hops)).collect();
    let found = hops.len() as f64 / asks.len() as f64;
    Measured { messages, hops, found }
}

/// Lv, Cao, Cohen, Li and Shenker 2002, "Search and replication in unstructured peer-to-peer networks", sections 4 and 5: an
/// expanding ring costs much less than a flood that is deep enough, 32 walkers that check at every fourth step less again where
/// copies are rare, up to two orders of magnitude less than the flood, and find "almost as quickly".
///
/// Theirs are a random graph of 9,836 peers with a mean degree of 4 and others, floods of 8 hops, and copies that follow from
/// popularity; ours a random regular graph of 10,000 peers with a degree of 4, and as many copies of each thing as named. All
/// messages but hits are counted, walkers' checks and their answers among them.
#[test]
fn an_expanding_ring_costs_less_than_a_flood_and_walkers_less_again_where_copies_are_rare() {
    println!("\n| copies | strategy | messages of a query | hops to the first | found |\n|---|---|---|---|---|");
    for rarity in [100, 1_000] {
        // All floods cost about the same; rings and walks differ widely.
        let strategies = [
            ("flood, 9", Strategy::flood(9), 20),
            ("ring, 1, 3, ... 9", Strategy::ring(1, 2, 9), 400),
            ("32 walkers", Strategy::walks(), 400),
        ];
        let measured = strategies.map(|(name, strategy, queries)| {
            let measured = compare(&strategy, rarity, queries * factor() as u32);
            let (messages, hops) = (mean(&measured.messages, DOUBT / 6.0), mean(&measured.hops, DOUBT / 6.0));
            let found = measured.found;
            println!("| 1 in {rarity} | {name} | {} | {} | {found:.2} |", show(messages), show(hops));
            assert!(found > 0.98, "{name} finds what there is: {found}");
            (messages, moments(&measured.hops).0)
        });
        let [(flood, flood_hops), (ring, _), (walks, walk_hops)] = measured;
        assert!(ring.high < flood.low, "a ring costs less than a flood: {ring:?}, {flood:?}");
        // Where copies are many the first rings find one, and 32 walkers are more than it takes.
        assert!(rarity == 100 || walks.high < ring.low, "walkers cost less than a ring: {walks:?}, {ring:?}");
        let factor = if rarity == 100 { 40.0 } else { 5.0 };
        assert!(walks.high * factor < flood.low, "{factor} times less than a flood: {walks:?}, {flood:?}");
        assert!(walk_hops < 10.0 * flood_hops, "almost as quickly: {walk_hops} hops, not {flood_hops}");
    }
}

/// Voulgaris, Gavidia and van Steen 2005, "Cyclon", section 4.3, and Jelasity et al. 2007, section 5: where shuffles swap entries, each
/// peer stands in about as many views as a view has entries, with less spread than in a random graph, whose in-degrees are
/// Poisson's with a variance that is the mean.
#[test]
fn sampled_views_hold_each_peer_about_equally_often() {
    const PEERS: u32 = 1_000;
    const VIEW: usize = 20;
    let make = |own: Node| {
        // All begin with the same few: a star, the worst beginning.
        let bootstrap: Vec<Node> = (0..VIEW as u32).map(|peer| node(SEED, PeerId(peer))).collect();
        let sampling = Sampling { length: 8, view_max: VIEW, ..Sampling::new(bootstrap) };
        flood::Params { sampling: Some(sampling), ..flooding(own) }
    };
    let shared = vec![vec![]; PEERS as usize];
    let mut world = world::<FloodSearch, _>(SEED, Graph::empty(PEERS), links(), false, shared, make);
    let degrees = |world: &World<Crowd<FloodSearch, _>>| {
        let mut degrees = vec![0.0; PEERS as usize];
        for peer in world.net().peers() {
            let machine = world.net().protocol(peer).expect("all are up");
            machine.neighbours().iter().for_each(|other| degrees[other.0 as usize] += 1.0);
        }
        moments(&degrees)
    };
    println!("\n| shuffles of each peer | mean in-degree | variance | of a random graph |\n|---|---|---|---|");
    let mut last = (0.0, 0.0);
    for shuffles in [0, 10, 50, 200] {
        world.run(Time::from_secs(10 * shuffles), u64::MAX);
        last = degrees(&world);
        println!("| {shuffles} | {:.2} | {:.2} | {:.2} |", last.0, last.1, last.0);
    }
    let (mean, variance) = last;
    assert!((mean / VIEW as f64 - 1.0).abs() < 0.02, "views stay full: {mean}");
    assert!(variance < mean, "in-degrees spread less than in a random graph: {variance}, not {mean}");
}
