//! Kademlia networks: built through the protocol, asked, troubled, and judged from outside.
//!
//! Identifiers are uniform, as those of hashed keys are. Peers join one after the other, each by way of some that have joined,
//! at first seldom and then the more often the more there are, as a network that doubles in a fixed time.

mod swarm;

use std::borrow::Borrow;
use std::marker::PhantomData;
use std::time::Duration;

use synod_dht::kademlia::{Command, Event, Kademlia, Params};
use synod_dht::overlay::{Cost, Entry, Failure, Id, Node, Query, Quorum};
use synod_machine::{PeerId, Protocol, Rng, Time};
use synod_sim::model::{Distribution, Graph, LinkModel, Links, Span};
use synod_sim::{Experiment, NetOf, Setup, Tail, World};

pub use self::swarm::{Deed, Drawn, Judgement, draw, judge, swarm};

/// What a network is made of.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Determines everything that is drawn.
    pub seed: u64,
    /// Peers.
    pub peers: u32,
    /// What links are like.
    pub links: LinkModel,
    /// Whether messages are encoded and decoded on their way.
    pub codec: bool,
    /// In about so long, times 0.7, the network doubles while it is built.
    pub growth: Duration,
    /// What the nodes are told, but for who they are.
    pub params: Params,
}

impl Plan {
    /// Nodes with the paper's parameters, 50 ms from each other.
    pub fn new(seed: u64, peers: u32) -> Self {
        let links = Links { delay: Some(Distribution::constant(Span::from_millis(50))), ..Links::default() };
        let params = Params::new(Node { id: Id::ZERO, peer: PeerId(0) }, Rng::new(seed, 0, "kademlia"));
        Self { seed, peers, links: compiled(&links, seed), codec: false, growth: Duration::from_secs(20), params }
    }
}

/// Links that name no file, for the run of this seed.
pub fn compiled(links: &Links, seed: u64) -> LinkModel {
    links.compile(seed, |_| unreachable!("no file is named")).expect("possible links")
}

/// What a node answered its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To a read.
    Got(Result<Vec<Entry>, Failure>),
    /// To a look-up.
    Found(Result<Vec<Node>, Failure>),
    /// To a write.
    Stored(Result<u8, Failure>),
}

/// An answer, and what it cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// Which request, as [`Network::lookup`] and the like numbered it.
    pub query: Query,
    /// Whom it was asked of.
    pub peer: PeerId,
    /// When it was asked.
    pub since: Time,
    /// When it was answered.
    pub at: Time,
    /// What was answered.
    pub answer: Answer,
    /// What it cost.
    pub cost: Cost,
}

/// What a network's nodes are: Kademlia's machine, or one around it that is spoken to in the same words.
pub trait Machine: Protocol<Params = Params, Command = Command, Event = Event> + Borrow<Kademlia> {}

impl<P: Protocol<Params = Params, Command = Command, Event = Event> + Borrow<Kademlia>> Machine for P {}

/// The outside world of a network's peers.
pub struct Crowd<P = Kademlia> {
    plan: Plan,
    rng: Rng,
    answered: Vec<Answered>,
    /// When what was asked of each query's number, counted from one.
    asked: Vec<Time>,
    /// Joins that succeeded.
    joined: u64,
    machine: PhantomData<P>,
}

/// Who could not join tries again after this.
const AGAIN: Duration = Duration::from_secs(2);
/// A peer that joins asks so many that have joined.
const VIA: usize = 3;

impl<P: Machine> Crowd<P> {
    /// The identifier of a peer.
    pub fn node(&self, peer: PeerId) -> Node {
        Node { id: Id::draw(&mut Rng::new(self.plan.seed, u64::from(peer.0), "id")), peer }
    }

    fn join(&mut self, net: &mut NetOf<Self>, peer: PeerId) {
        let mut via = Vec::new();
        // Most are there; in a network where few are, fewer are found.
        for _ in 0..20 * VIA {
            let other = PeerId(self.rng.below(net.len() as u64) as u32);
            if other != peer && via.len() < VIA && is_joined(net, other) {
                via.push(self.node(other));
            }
        }
        if via.is_empty() {
            let joined = |other: &PeerId| *other != peer && is_joined(net, *other);
            via.extend(net.peers().find(joined).map(|other| self.node(other)));
        }
        if via.is_empty() && self.joined > 0 {
            return net.alarm(net.now() + AGAIN, peer);
        }
        net.command(net.now(), peer, Command::Join { via });
    }
}

impl<P: Machine> Experiment for Crowd<P> {
    type Protocol = P;
    /// Who tries to join again.
    type Alarm = PeerId;

    fn params(&mut self, net: &NetOf<Self>, peer: PeerId) -> Params {
        // A node that comes back draws other numbers than in its first life.
        let rng = Rng::new(self.plan.seed, u64::from(peer.0) | net.tally().crashes << 32, "kademlia");
        Params { node: self.node(peer), rng, ..self.plan.params.clone() }
    }

    fn on_alarm(&mut self, net: &mut NetOf<Self>, peer: PeerId) {
        if net.is_up(peer) && !is_joined(net, peer) {
            self.join(net, peer);
        }
    }

    fn on_event(&mut self, net: &mut NetOf<Self>, peer: PeerId, event: Event) {
        let (query, answer, cost) = match event {
            Event::Found { query, result, cost } => (query, Answer::Found(result), cost),
            Event::Got { query, result, cost } => (query, Answer::Got(result), cost),
            Event::Joined { result: Ok(()), .. } => {
                self.joined += 1;
                return;
            }
            Event::Joined { result: Err(_), .. } => return net.alarm(net.now() + AGAIN, peer),
            Event::Stored { query, result, cost } => (query, Answer::Stored(result), cost),
        };
        let since = self.asked[query.0 as usize - 1];
        self.answered.push(Answered { query, peer, since, at: net.now(), answer, cost });
    }

    fn on_start(&mut self, net: &mut NetOf<Self>, peer: PeerId) {
        self.join(net, peer);
    }
}

fn is_joined<P: Machine>(net: &NetOf<Crowd<P>>, peer: PeerId) -> bool {
    net.protocol(peer).is_some_and(|node| node.borrow().is_joined())
}

/// A network of Kademlia nodes.
pub struct Network<P: Machine = Kademlia> {
    world: World<Crowd<P>>,
    rng: Rng,
}

impl Network {
    /// Peers that are down, and whose first lives are scheduled.
    pub fn new(plan: Plan) -> Self {
        Self::of(plan)
    }

    /// A network in which all have joined and nothing is under way.
    pub fn built(plan: Plan) -> Self {
        let mut network = Self::new(plan);
        network.settle();
        network
    }
}

impl<P: Machine> Network<P> {
    /// [`Network::new`] with any machine.
    pub fn of(plan: Plan) -> Self {
        let Plan { seed, peers, growth, codec, .. } = plan;
        let setup =
            Setup { seed, graph: Graph::empty(peers), links: plan.links.clone(), disk_sync: Duration::ZERO, codec };
        let rng = Rng::new(seed, 0, "joins");
        let crowd = Crowd { plan, rng, answered: vec![], asked: vec![], joined: 0, machine: PhantomData };
        let mut world = World::new(setup, crowd);
        let mut at = Time::ZERO;
        for peer in 0..peers {
            world.net_mut().start(at, PeerId(peer));
            at = at + growth / (peer + 1);
        }
        Self { world, rng: Rng::new(seed, 0, "queries") }
    }

    /// The peers.
    pub const fn net(&self) -> &NetOf<Crowd<P>> {
        self.world.net()
    }

    /// The outside world.
    pub const fn crowd(&self) -> &Crowd<P> {
        self.world.experiment()
    }

    /// The peers, to trouble them.
    pub const fn net_mut(&mut self) -> &mut NetOf<Crowd<P>> {
        self.world.net_mut()
    }

    /// The run itself, to record it.
    pub const fn world_mut(&mut self) -> &mut World<Crowd<P>> {
        &mut self.world
    }

    /// Lets time pass.
    pub fn pass(&mut self, span: Duration) {
        let until = self.net().now() + span;
        self.world.run(until, u64::MAX);
    }

    /// Lets time pass until all peers had their first start, those that are up have joined, and none has anything under way.
    /// Whether it came to that within an hour.
    pub fn settle(&mut self) -> bool {
        self.pass_until(|network| network.is_joined() && network.machines().all(Kademlia::is_idle))
    }

    /// Lets time pass until all peers had their first start and those that are up have joined. Whether it came to that within
    /// an hour.
    pub fn gather(&mut self) -> bool {
        self.pass_until(Self::is_joined)
    }

    fn pass_until(&mut self, is_there: impl Fn(&Self) -> bool) -> bool {
        (0..3_600).any(|_| {
            self.pass(Duration::from_secs(1));
            is_there(self)
        })
    }

    fn is_joined(&self) -> bool {
        let is_begun = self.net().tally().starts >= self.net().len() as u64;
        is_begun && self.machines().all(Kademlia::is_joined)
    }

    /// The machines of those that are up.
    pub fn machines(&self) -> impl Iterator<Item = &Kademlia> {
        self.net().peers().filter_map(|peer| self.net().protocol(peer)).map(Borrow::borrow)
    }

    /// Those that are up.
    pub fn live(&self) -> impl Iterator<Item = Node> {
        self.machines().map(Kademlia::node)
    }

    /// One of those that are up and have joined, drawn.
    pub fn draw_peer(&mut self) -> Option<PeerId> {
        let joined = |peer: &PeerId| is_joined(self.world.net(), *peer);
        let peers = self.world.net().len() as u64;
        let drawn = (0..1_000).map(|_| PeerId(self.rng.below(peers) as u32)).find(joined);
        drawn.or_else(|| self.world.net().peers().find(joined))
    }

    /// A uniform key.
    pub fn draw_key(&mut self) -> Id {
        Id::draw(&mut self.rng)
    }

    fn command(&mut self, peer: PeerId, command: impl FnOnce(Query) -> Command) -> Query {
        let (crowd, net) = self.world.parts_mut();
        crowd.asked.push(net.now());
        let query = Query(crowd.asked.len() as u64);
        net.command(net.now(), peer, command(query));
        query
    }

    /// Asks a peer for the nodes closest to a key.
    pub fn lookup(&mut self, peer: PeerId, key: Id) -> Query {
        self.command(peer, |query| Command::Lookup { query, key })
    }

    /// Asks a peer for what is stored under a key.
    pub fn get(&mut self, peer: PeerId, key: Id, quorum: Quorum) -> Query {
        self.command(peer, |query| Command::Get { query, key, quorum })
    }

    /// Has a peer publish something.
    pub fn put(&mut self, peer: PeerId, key: Id, value: Vec<u8>, quorum: Quorum) -> Query {
        self.command(peer, |query| Command::Put { query, key, value, quorum })
    }

    /// Crashes a peer.
    pub fn crash(&mut self, peer: PeerId) {
        self.net_mut().crash(peer, Tail::Kept);
    }

    /// The answers since this was asked last.
    pub fn take_answers(&mut self) -> Vec<Answered> {
        std::mem::take(&mut self.world.parts_mut().0.answered)
    }

    /// Look-ups of drawn keys by drawn peers, one every so often; their answers, in the order in which they came.
    pub fn lookups(&mut self, count: u32, every: Duration) -> Vec<(Id, Answered)> {
        self.take_answers();
        let mut keys = Vec::new();
        let first = self.world.experiment().asked.len() as u64 + 1;
        for _ in 0..count {
            let (Some(peer), key) = (self.draw_peer(), self.draw_key()) else { break };
            keys.push(key);
            self.lookup(peer, key);
            self.pass(every);
        }
        let mut answers = self.take_answers();
        for _ in 0..600 {
            if answers.len() >= keys.len() {
                break;
            }
            self.pass(Duration::from_secs(1));
            answers.extend(self.take_answers());
        }
        answers.into_iter().map(|answer| (keys[(answer.query.0 - first) as usize], answer)).collect()
    }

    /// The true closest nodes to a key, by looking at all that are up.
    pub fn truth(&self, key: Id, count: usize) -> Vec<Node> {
        let mut nodes: Vec<Node> = self.live().collect();
        let count = count.min(nodes.len());
        if count > 0 && count < nodes.len() {
            nodes.select_nth_unstable_by_key(count - 1, |node| node.id.xor(key));
        }
        nodes.truncate(count);
        nodes.sort_by_key(|node| node.id.xor(key));
        nodes
    }

    /// Known nodes, spares among them, of all peers that are up: how many, and how many in the mean.
    pub fn known(&self) -> (u64, f64) {
        let of = |peer: &Kademlia| {
            peer.buckets().map(|bucket| bucket.contacts().len() + bucket.spares().len()).sum::<usize>()
        };
        let sum: usize = self.machines().map(of).sum();
        (sum as u64, sum as f64 / self.machines().count().max(1) as f64)
    }
}
