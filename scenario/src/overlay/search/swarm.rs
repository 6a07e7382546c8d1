//! Many small networks, each drawn by a seed, each with its own troubles: crashes, sessions that end and begin, cuts,
//! losses, things that are not shared any more. Then all heals, and after a time every search must find what an oracle says is there.

use std::collections::BTreeSet;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use synod_dht::Node;
use synod_dht::search::flood::{self, Strategy, TTL_MAX};
use synod_dht::search::superpeer::{self, Election, Rule};
use synod_dht::search::{FloodSearch, HITS_MAX, Index, Item, Question, Sampling, Superpeer, index};
use synod_machine::{PeerId, Rng, Time};
use synod_sim::World;
use synod_sim::model::{Distribution, Graph, LinkModel, Links, Span, Topology, Turn};

use super::super::sessions::turns;
use super::content::thing;
use super::measure::capacity;
use super::oracle::{answers, ended, found, reach};
use super::{Content, Crowd, Deed, Mode, Verdict, Zipf, node, world};

/// How peers search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// By floods.
    Flood,
    /// By a server.
    Index,
    /// By superpeers.
    Superpeer,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Flood, Self::Index, Self::Superpeer];

    /// What people call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Flood => "flood",
            Self::Index => "index",
            Self::Superpeer => "superpeer",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One seed's run.
#[derive(Clone, Debug)]
pub struct Run {
    /// How peers searched.
    pub kind: Kind,
    /// The seed.
    pub seed: u64,
    /// How many peers there were.
    pub peers: u32,
    /// What came of it.
    pub verdict: Verdict,
    /// Steps of all peers.
    pub steps: u64,
    /// The virtual time at the end.
    pub at: Time,
    /// Two runs share it only if the same things happened in the same order.
    pub digest: u64,
    /// Searches that were begun in trouble.
    pub troubled: u64,
    /// Those of them that failed.
    pub failed: u64,
    /// Searches after all had healed.
    pub exams: u64,
    /// What they found.
    pub hits: u64,
    /// Crashes.
    pub crashes: u64,
    /// Messages that were lost.
    pub lost: u64,
}

/// The two lines that a failure ends with: what failed, and what runs it again.
pub fn failure(run: &Run, commit: &str) -> String {
    let Run { kind, seed, verdict, steps, at, .. } = run;
    format!(
        "FAILED scenario=swarm/{kind} seed={seed} commit={commit} step={steps} time={at}: {verdict}\nreplay: synod swarm --overlay {kind} --from {seed} --seeds 1"
    )
}

/// What a seed draws.
struct Scene {
    kind: Kind,
    seed: u64,
    peers: u32,
    graph: Graph,
    shared: Vec<Vec<Item>>,
    /// Each peer's neighbours come from sampling, not from the graph.
    is_sampled: bool,
    /// All links take the same time.
    is_even: bool,
    ttl: u8,
    servers: u32,
    redundancy: usize,
    leaves_max: u16,
    rng: Rng,
}

/// From the beginning to the first trouble …
const CALM: u64 = 60;
/// … and from there to the end of the last.
const TROUBLE: u64 = 120;
/// Looks at the ways of a query, 50 ms apart: longer than the longest way takes.
const LOOKS: u32 = 60;
/// Things that are shared, or may be.
const THINGS: usize = 12;

/// Runs the scenario of a seed.
pub fn swarm(kind: Kind, seed: u64) -> Run {
    let scene = Scene::draw(kind, seed);
    let role = move |own: Node| Rng::new(seed, u64::from(own.peer.0), "search");
    let peers = scene.peers;
    let bootstrap: Vec<Node> = (0..2).map(|peer| node(seed, PeerId(peer))).collect();
    let sampling = scene.is_sampled.then(|| Sampling::new(bootstrap));
    let ttl = scene.ttl;
    match kind {
        Kind::Flood => {
            let make = move |own: Node| {
                let params = flood::Params::new(own, role(own));
                flood::Params { sampling: sampling.clone(), hop_wait: HOP_WAIT, ttl_max: TTL_MAX, ..params }
            };
            scene.play::<FloodSearch, _>(
                make,
                move |rng| match rng.below(4) {
                    0 => Strategy::ring(1, 2, ttl.min(7)),
                    1 => Strategy::Walks { walkers: 8, hops_max: 64, check_every: 4 },
                    _ => Strategy::flood(ttl),
                },
                &Strategy::flood(ttl),
            )
        }
        Kind::Index => {
            let servers: Vec<Node> = (0..scene.servers).map(|peer| node(seed, PeerId(peer))).collect();
            let make = move |own: Node| index::Params::new(own, servers.clone(), role(own));
            scene.play::<Index, _>(make, |_| (), &())
        }
        Kind::Superpeer => {
            let (redundancy, leaves_max) = (scene.redundancy, scene.leaves_max);
            let make = move |own: Node| {
                let rule =
                    Rule { uptime_min: Duration::from_secs(60), role_min: Duration::from_secs(60), ..Rule::DEFAULT };
                let election = Election::ByCapacity(rule);
                let params = superpeer::Params::new(own, capacity(seed, own.peer), role(own));
                let sampling = sampling.clone();
                superpeer::Params {
                    election,
                    redundancy,
                    leaves_max,
                    degree: peers as usize,
                    hop_wait: HOP_WAIT,
                    sampling,
                    ..params
                }
            };
            scene.play::<Superpeer, _>(make, |rng| 1 + rng.below(7) as u8, &7)
        }
    }
}

/// Links take 80 ms at most.
const HOP_WAIT: Duration = Duration::from_millis(100);

impl Scene {
    fn draw(kind: Kind, seed: u64) -> Self {
        let mut rng = Rng::new(seed, 0, "swarm");
        let peers = 4 + rng.below(27) as u32;
        let topology = match rng.below(3) {
            0 => Topology::Ring { neighbours: 1 },
            1 => Topology::ScaleFree { links: 2 },
            _ => Topology::RandomRegular { degree: 3 + peers % 2 },
        };
        let no_files = |_: &str| unreachable!("no file is named");
        let graph = topology.build(peers, &mut Rng::new(seed, 0, "topology"), no_files).expect("a possible graph");
        let law = Zipf::new(THINGS, 1.0);
        let is_even = rng.below(2) == 0;
        let content = Content::draw(&mut rng, peers, THINGS, 2 * peers as usize, 0.5, &law);
        Self {
            kind,
            seed,
            peers,
            graph,
            shared: (0..peers).map(|peer| content.of(peer).cloned().collect()).collect(),
            is_sampled: rng.below(2) == 0,
            is_even,
            // A query that took a long way before it came by the short one does not reach as far as it could: with links that
            // differ, only a flood without an end reaches all that it should.
            ttl: if is_even { 1 + rng.below(7) as u8 } else { TTL_MAX },
            servers: 1 + rng.below(2) as u32,
            redundancy: 1 + rng.below(3) as usize,
            leaves_max: 4 + rng.below(12) as u16,
            rng,
        }
    }

    fn links(&self) -> LinkModel {
        let uniform = Distribution::Uniform { least: Span::from_millis(5), most: Span::from_millis(80) };
        let delay = if self.is_even { Distribution::constant(Span::from_millis(40)) } else { uniform };
        let links = Links { delay: Some(delay), ..Links::default() };
        links.compile(self.seed, |_| unreachable!("no file is named")).expect("possible links")
    }

    fn play<M: Mode, F: FnMut(Node) -> M::Params>(
        mut self,
        make: F,
        mut options: impl FnMut(&mut Rng) -> M::Options,
        exam: &M::Options,
    ) -> Run {
        let shared = std::mem::take(&mut self.shared);
        let mut world = world::<M, F>(self.seed, self.graph.clone(), self.links(), true, shared, make);
        for _ in 0..10 + self.rng.below(30) {
            let at = Time::from_secs(CALM) + Duration::from_millis(self.rng.below(TROUBLE * 1_000));
            let deed = self.deed(|rng| options(rng));
            world.net_mut().alarm(at, deed);
        }
        for (at, peer, turn) in turns(self.seed, self.peers, Duration::from_secs(TROUBLE)) {
            let deed = if turn == Turn::Up { Deed::Start(peer) } else { Deed::Crash(peer) };
            world.net_mut().alarm(Time::from_secs(CALM) + at, deed);
        }
        let healed = Time::from_secs(CALM + TROUBLE);
        world.net_mut().alarm(healed, Deed::Heal);
        let result = catch_unwind(AssertUnwindSafe(|| self.examine(&mut world, healed, exam)));
        let (net, crowd) = (world.net(), world.experiment());
        let is_exam = |ask: &&super::Ask| ask.at > healed;
        let has_failed = |ask: &&super::Ask| matches!(ask.ended, Some((_, _, Err(_))));
        Run {
            kind: self.kind,
            seed: self.seed,
            peers: self.peers,
            verdict: result.unwrap_or_else(|panic| Verdict::Broken(crate::run::reason_of(&*panic))),
            steps: net.tally().steps,
            at: net.now(),
            digest: net.digest(),
            troubled: crowd.asks().iter().filter(|ask| !is_exam(ask)).count() as u64,
            failed: crowd.asks().iter().filter(|ask| !is_exam(ask)).filter(has_failed).count() as u64,
            exams: crowd.asks().iter().filter(is_exam).count() as u64,
            hits: crowd.asks().iter().filter(is_exam).map(|ask| ask.hits.len() as u64).sum(),
            crashes: net.tally().crashes,
            lost: net.tally().lost,
        }
    }

    fn peer(&mut self) -> PeerId {
        PeerId(self.rng.below(u64::from(self.peers)) as u32)
    }

    fn question(&mut self) -> Question {
        let thing = thing(self.rng.below(THINGS as u64) as u32);
        match self.rng.below(4) {
            0 => Question::Hash(thing.hash),
            1 => Question::Name(thing.name),
            2 => Question::words("any").expect("a word"),
            _ => Question::Words(thing.keywords),
        }
    }

    fn deed<O>(&mut self, mut options: impl FnMut(&mut Rng) -> O) -> Deed<O> {
        let peer = self.peer();
        match self.rng.below(12) {
            0 | 1 => Deed::Crash(peer),
            2 => Deed::Start(peer),
            3 => {
                let count = 1 + self.rng.below(u64::from(self.peers) / 2);
                let group: BTreeSet<PeerId> = (0..count).map(|_| self.peer()).collect();
                let notice = (self.rng.below(2) == 0).then_some(Duration::from_secs(1));
                Deed::Cut(group.into_iter().collect(), notice)
            }
            4 => Deed::Omit(peer, self.rng.below(100) as f64 / 200.0),
            5 => Deed::Share(peer, thing(self.rng.below(THINGS as u64) as u32)),
            6 => Deed::Unshare(peer, thing(self.rng.below(THINGS as u64) as u32).hash),
            _ => {
                let wanted = 1 + self.rng.below(8) as u16;
                let question = self.question();
                Deed::Ask(peer, question, wanted, options(&mut self.rng))
            }
        }
    }

    /// Asks one question after the other, and compares with what is there.
    fn examine<M: Mode, F: FnMut(Node) -> M::Params>(
        &mut self,
        world: &mut World<Crowd<M, F>>,
        healed: Time,
        options: &M::Options,
    ) -> Verdict {
        let mut now = healed + self.settling();
        world.run(now, u64::MAX);
        for _ in 0..6 {
            let (peer, question) = (self.peer(), self.question());
            let number = world.experiment().asks().len();
            world.net_mut().alarm(now, Deed::Ask(peer, question.clone(), u16::MAX, options.clone()));
            let ways = self.steady_ways(world, now);
            now = now + Duration::from_secs(15);
            world.run(now, u64::MAX);
            let ask = &world.experiment().asks()[number];
            if !matches!(ask.ended, Some((_, _, Ok(_)))) && !found(ask).is_empty() {
                return Verdict::Unsafe(format!("search {number} found something and failed"));
            }
            if let Some(verdict) = self.compare(world, number, &ways) {
                return verdict;
            }
        }
        let (crowd, net) = (world.experiment(), world.net());
        if let Some(fault) = crowd.faults().first() {
            return Verdict::Unsafe(fault.clone());
        }
        let ends = (0..crowd.asks().len()).try_for_each(|number| ended(crowd, net, number));
        ends.map_or_else(Verdict::Unsafe, |()| Verdict::Pass)
    }

    /// By when all is as it was: a view is mixed, superpeers are found and know their leaves, a server knows its clients.
    const fn settling(&self) -> Duration {
        Duration::from_secs(match (self.kind, self.is_sampled) {
            (Kind::Flood, false) => 5,
            (Kind::Flood, true) => 300,
            (Kind::Index, _) => 100,
            (Kind::Superpeer, _) => 600,
        })
    }

    /// The ways that are there all the time while a query is under way. Views are shuffled meanwhile.
    fn steady_ways<M: Mode, F: FnMut(Node) -> M::Params>(
        &self,
        world: &mut World<Crowd<M, F>>,
        from: Time,
    ) -> Vec<Vec<PeerId>> {
        let mut steady = self.ways(world);
        for step in 1..=LOOKS {
            world.run(from + Duration::from_millis(50) * step, u64::MAX);
            for (ways, now) in steady.iter_mut().zip(self.ways(world)) {
                ways.retain(|way| now.contains(way));
            }
        }
        steady
    }

    fn ways<M: Mode, F: FnMut(Node) -> M::Params>(&self, world: &World<Crowd<M, F>>) -> Vec<Vec<PeerId>> {
        let net = world.net();
        let of = |peer| match (self.kind, self.is_sampled) {
            (Kind::Flood, true) => net.protocol(peer).map_or(Vec::new(), Mode::ways),
            (Kind::Flood, false) => self.graph.neighbours(peer.0).iter().map(|&other| PeerId(other)).collect(),
            (Kind::Index | Kind::Superpeer, _) => Vec::new(),
        };
        net.peers().map(of).collect()
    }

    /// A search finds what is shared and within its reach, and nothing else. Where views are shuffled while it is under way, its
    /// reach is at least that by the ways that were there all the time.
    fn compare<M: Mode, F: FnMut(Node) -> M::Params>(
        &self,
        world: &World<Crowd<M, F>>,
        number: usize,
        ways: &[Vec<PeerId>],
    ) -> Option<Verdict> {
        let crowd = world.experiment();
        let ask = &crowd.asks()[number];
        let others: BTreeSet<PeerId> = world.net().peers().filter(|peer| *peer != ask.peer).collect();
        let reached: BTreeSet<PeerId> = match self.kind {
            Kind::Flood => reach(ask.peer, self.ttl.into(), |peer| ways[peer.0 as usize].clone()),
            Kind::Index | Kind::Superpeer => others.clone(),
        };
        let must = answers(crowd, reached, &ask.question);
        let may = answers(crowd, others, &ask.question);
        let found = found(ask);
        let is_cut = self.kind != Kind::Flood && answers(crowd, world.net().peers(), &ask.question).len() > HITS_MAX;
        let missing = must.difference(&found).next().filter(|_| !is_cut);
        if let Some(missing) = missing {
            let (ended, count) = (&ask.ended, (found.len(), must.len()));
            let reason = format!("search {number} of {:?} for {:?} missed {missing:?}", ask.peer, ask.question);
            let (net, of) = (world.net(), |peer| world.net().protocol(peer).map(Mode::ways));
            let servers: Vec<_> = net.peers().filter(|peer| net.protocol(*peer).is_some_and(Mode::serves)).collect();
            let ways: Vec<_> = servers.into_iter().chain([ask.peer, missing.0]).map(|peer| (peer, of(peer))).collect();
            return Some(Verdict::NoProgress(format!(
                "{reason}: {count:?} found and to be found, {ended:?}; {ways:?}"
            )));
        }
        let is_exact = self.kind != Kind::Flood || !self.is_sampled;
        let allowed = if is_exact { &must } else { &may };
        let surplus = found.difference(allowed).next()?;
        Some(Verdict::Unsafe(format!("search {number} of {:?} found {surplus:?}, which is not there", ask.peer)))
    }
}
