//! One network, one law of content, one strategy: what searches find, and what they cost.

use std::time::{Duration, Instant};

use synod_dht::Node;
use synod_dht::search::flood::{self, Strategy};
use synod_dht::search::superpeer::{self, Election, Rule};
use synod_dht::search::{FloodSearch, Index, Item, Question, Superpeer, index};
use synod_machine::{PeerId, Protocol, Rng, Time};
use synod_sim::World;
use synod_sim::model::{Churn, Distribution, Graph, LinkModel, Links, Span, Topology, Turn};

use super::{Content, Crowd, Deed, Kind, Mode, Zipf, node, world};

/// What is measured.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Copies of things, all together.
    pub copies: usize,
    /// Who comes and goes; nothing: all stay.
    pub churn: Option<Churn>,
    /// The exponent of Zipf's law for copies and for questions.
    pub exponent: f64,
    /// The share of peers that share nothing.
    pub free_riders: f64,
    /// How peers search.
    pub kind: Kind,
    /// Peers.
    pub peers: u32,
    /// Questions.
    pub queries: u32,
    /// Determines everything that is drawn.
    pub seed: u64,
    /// How a flooding peer asks.
    pub strategy: Strategy,
    /// Things.
    pub things: usize,
    /// Who knows whom.
    pub topology: Topology,
}

/// What one run showed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    /// Questions that were put: their askers were up.
    pub asked: u64,
    /// Those that were answered.
    pub found: u64,
    /// Those that failed.
    pub failed: u64,
    /// Messages that were delivered while questions were put.
    pub delivered: u64,
    /// Of these: those that carry a question, an answer, or a walker's check.
    pub search_messages: u64,
    /// Messages, timers and commands in that time.
    pub events: u64,
    /// The mean of the hops to the first hit.
    pub hops: f64,
    /// The mean of the milliseconds to the first hit.
    pub first_ms: f64,
    /// The share of all messages that the busiest hundredth of the peers received.
    pub top_share: f64,
    /// Superpeers, or servers, at the end.
    pub superpeers: u64,
    /// Two runs share it only if they were the same.
    pub digest: u64,
    /// Wall time of the questions, without what precedes them.
    pub wall: Duration,
}

impl Terms {
    /// Gnutella as it was measured: two thirds are free riders (Adar and Huberman 2000); Zipf's law with an exponent near 1 for
    /// copies and questions (Sripanidkulchai 2001, "The popularity of Gnutella queries").
    pub fn new(kind: Kind, peers: u32, queries: u32, seed: u64) -> Self {
        Self {
            copies: 2 * peers as usize,
            churn: None,
            exponent: 1.0,
            free_riders: 0.66,
            kind,
            peers,
            queries,
            seed,
            strategy: Strategy::flood(7),
            things: (peers as usize / 10).max(10),
            topology: Topology::RandomRegular { degree: 4 },
        }
    }

    fn graph(&self) -> Graph {
        let mut rng = Rng::new(self.seed, 0, "topology");
        self.topology.build(self.peers, &mut rng, |_| unreachable!("no file is named")).expect("a possible graph")
    }

    fn links(&self) -> LinkModel {
        road().compile(self.seed, |_| unreachable!("no file is named")).expect("possible links")
    }

    fn law(&self) -> Zipf {
        Zipf::new(self.things, self.exponent)
    }

    /// Who has what.
    pub(in crate::overlay) fn content(&self) -> Content {
        let mut rng = Rng::new(self.seed, 0, "content");
        Content::draw(&mut rng, self.peers, self.things, self.copies, self.free_riders, &self.law())
    }

    fn world<M: Mode, F: FnMut(Node) -> M::Params>(&self, content: &Content, make: F) -> World<Crowd<M, F>> {
        let shared: Vec<Vec<Item>> = (0..self.peers).map(|peer| content.of(peer).cloned().collect()).collect();
        world::<M, F>(self.seed, self.graph(), self.links(), false, shared, make)
    }

    /// Peers that flood, and share this.
    pub(in crate::overlay) fn floods(&self, content: &Content) -> World<Crowd<FloodSearch, impl Make<FloodSearch>>> {
        let seed = self.seed;
        self.world(content, move |own| flood::Params::new(own, role(seed, own)))
    }

    /// Peers that ask the first of them, and share this.
    pub(in crate::overlay) fn index(&self, content: &Content) -> World<Crowd<Index, impl Make<Index>>> {
        let seed = self.seed;
        let servers = vec![node(seed, PeerId(0))];
        self.world(content, move |own| index::Params::new(own, servers.clone(), role(seed, own)))
    }

    /// Peers of which the most capable serve the others, and share this.
    pub(in crate::overlay) fn superpeers(&self, content: &Content) -> World<Crowd<Superpeer, impl Make<Superpeer>>> {
        let seed = self.seed;
        let make = move |own: Node| {
            let election = Election::ByCapacity(Rule { uptime_min: Duration::ZERO, ..Rule::DEFAULT });
            let params = superpeer::Params::new(own, capacity(seed, own.peer), role(seed, own));
            superpeer::Params { election, redundancy: 1, ..params }
        };
        self.world(content, make)
    }
}

/// Makes a peer's parameters.
pub(in crate::overlay) trait Make<M: Protocol>: FnMut(Node) -> M::Params + 'static {}

impl<M: Protocol, F: FnMut(Node) -> M::Params + 'static> Make<M> for F {}

/// Routes of 50 ms on average, as between the peers of one continent and the next.
pub(in crate::overlay) fn road() -> Links {
    let delay = Distribution::Uniform { least: Span::from_millis(10), most: Span::from_millis(90) };
    Links { delay: Some(delay), ..Links::default() }
}

fn role(seed: u64, own: Node) -> Rng {
    Rng::new(seed, u64::from(own.peer.0), "search")
}

/// Runs it.
pub fn run(terms: &Terms) -> Figures {
    let content = terms.content();
    match terms.kind {
        Kind::Flood => measure(terms, &content, terms.floods(&content), &terms.strategy),
        Kind::Superpeer => measure(terms, &content, terms.superpeers(&content), &7),
        Kind::Index => measure(terms, &content, terms.index(&content), &()),
    }
}

/// What a peer can do, in kilobytes a second: from a modem to a campus, in the shares that Saroiu et al. 2002 measured (roughly:
/// 8 per cent, 17, 45, 30).
pub(super) fn capacity(seed: u64, peer: PeerId) -> u32 {
    match Rng::new(seed, u64::from(peer.0), "capacity").below(100) {
        0..8 => 7,
        8..25 => 16,
        25..70 => 128,
        _ => 1_250,
    }
}

fn measure<M: Mode, F: FnMut(Node) -> M::Params>(
    terms: &Terms,
    content: &Content,
    mut world: World<Crowd<M, F>>,
    options: &M::Options,
) -> Figures {
    let law = terms.law();
    let settled = settling(terms.kind);
    if let Some(churn) = &terms.churn {
        come_and_go(&mut world, churn, terms, settled);
    }
    world.run(settled, u64::MAX);
    let mut rng = Rng::new(terms.seed, 0, "questions");
    for number in 0..terms.queries {
        let at = settled + APART * number;
        let thing = &content.things[law.draw(&mut rng)];
        let peer = PeerId(rng.below(u64::from(terms.peers)) as u32);
        world.net_mut().alarm(at, Deed::Ask(peer, Question::Name(thing.name.clone()), 1, options.clone()));
    }
    let before = Seen::of(&world);
    let begun = Instant::now();
    world.run(settled + APART * terms.queries + Duration::from_secs(60), u64::MAX);
    let wall = begun.elapsed();
    figures(&world, &before, wall)
}

/// Between two questions in the whole network.
const APART: Duration = Duration::from_millis(20);

/// When a network is what it will be: superpeers have found themselves.
pub(in crate::overlay) const fn settling(kind: Kind) -> Time {
    match kind {
        Kind::Flood => Time::from_secs(5),
        Kind::Index => Time::from_secs(60),
        Kind::Superpeer => Time::from_secs(300),
    }
}

fn come_and_go<M: Mode, F: FnMut(Node) -> M::Params>(
    world: &mut World<Crowd<M, F>>,
    churn: &Churn,
    terms: &Terms,
    settled: Time,
) {
    let model = churn.compile().expect("a possible churn");
    let end = settled + APART * terms.queries;
    // The server of an index stays.
    for peer in world.net().peers().skip(1) {
        let rng = Rng::new(terms.seed, u64::from(peer.0), "churn");
        let schedule = model.schedule(settled - Duration::from_secs(1), rng);
        if !schedule.is_up_first() {
            world.net_mut().alarm(settled - Duration::from_secs(1), Deed::Crash(peer));
        }
        for (at, turn) in schedule.take_while(|(at, _)| *at < end) {
            let deed = if turn == Turn::Up { Deed::Start(peer) } else { Deed::Crash(peer) };
            world.net_mut().alarm(at, deed);
        }
    }
}

/// Counters at a time.
struct Seen {
    delivered: u64,
    events: u64,
    search: u64,
    received: Vec<u64>,
}

/// Kinds of messages that searching takes, and being ready to search does not.
pub(in crate::overlay) const SEARCH: [&str; 9] = [
    "flood_check",
    "flood_checked",
    "flood_hit",
    "flood_query",
    "flood_walk",
    "index_answer",
    "index_ask",
    "super_hit",
    "super_query",
];

impl Seen {
    fn of<M: Mode, F: FnMut(Node) -> M::Params>(world: &World<Crowd<M, F>>) -> Self {
        let net = world.net();
        let search = SEARCH.iter().map(|kind| net.counters().traffic.of(kind).received.messages).sum();
        let received = net.peers().map(|peer| net.passed(peer).received.messages).collect();
        Self { delivered: net.tally().delivered, events: net.tally().events, search, received }
    }
}

fn figures<M: Mode, F: FnMut(Node) -> M::Params>(world: &World<Crowd<M, F>>, before: &Seen, wall: Duration) -> Figures {
    let (net, asks, after) = (world.net(), world.experiment().asks(), Seen::of(world));
    let found: Vec<_> = asks.iter().filter(|ask| !ask.hits.is_empty()).collect();
    let failed = asks.iter().filter(|ask| matches!(ask.ended, Some((_, _, Err(_))))).count();
    let mean =
        |of: &dyn Fn(&super::Ask) -> f64| found.iter().map(|ask| of(ask)).sum::<f64>() / (found.len() as f64).max(1.0);
    let mut received: Vec<u64> =
        after.received.iter().zip(&before.received).map(|(after, before)| after - before).collect();
    received.sort_unstable_by(|a, b| b.cmp(a));
    let top: u64 = received[..received.len().div_ceil(100)].iter().sum();
    let serves = |peer: &PeerId| net.protocol(*peer).is_some_and(Mode::serves);
    let superpeers = net.peers().filter(serves).count() as u64;
    Figures {
        asked: asks.len() as u64,
        found: found.len() as u64,
        failed: failed as u64,
        delivered: after.delivered - before.delivered,
        search_messages: after.search - before.search,
        events: after.events - before.events,
        hops: mean(&|ask| f64::from(ask.hits[0].hops)),
        first_ms: mean(&|ask| ask.hits[0].at.since(ask.at).as_secs_f64() * 1_000.0),
        top_share: top as f64 / (received.iter().sum::<u64>() as f64).max(1.0),
        superpeers,
        digest: net.digest(),
        wall,
    }
}
