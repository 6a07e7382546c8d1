//! The peers' owners: they share, ask, and write down what they are told.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use synod_dht::overlay::{Cost, Failure, Query};
use synod_dht::search::flood::Strategy;
use synod_dht::search::{Command, Event, FloodSearch, Hit, Index, Item, Question, Superpeer};
use synod_dht::{Id, Node};
use synod_machine::{Bytes, PeerId, Protocol, Reject, Rng, Time};
use synod_sim::model::{Graph, LinkModel};
use synod_sim::{CutId, Direction, Experiment, NetOf, Setup, Tail, World};

/// A machine that searches.
pub trait Mode: Protocol<Command = Command<Self::Options>, Event = Event> {
    /// What can be chosen about a search.
    type Options: Clone + Debug;

    /// Whom a query goes to next.
    fn ways(&self) -> Vec<PeerId>;

    /// Whether it answers for others.
    fn serves(&self) -> bool;
}

impl Mode for FloodSearch {
    type Options = Strategy;

    fn ways(&self) -> Vec<PeerId> {
        self.neighbours()
    }

    fn serves(&self) -> bool {
        false
    }
}

impl Mode for Index {
    type Options = ();

    fn ways(&self) -> Vec<PeerId> {
        Vec::new()
    }

    fn serves(&self) -> bool {
        self.is_server()
    }
}

impl Mode for Superpeer {
    type Options = u8;

    fn ways(&self) -> Vec<PeerId> {
        self.superpeers().into_iter().map(|node| node.peer).collect()
    }

    fn serves(&self) -> bool {
        self.is_superpeer()
    }
}

/// A hit that was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// When.
    pub at: Time,
    /// The hash of what is to be had.
    pub hash: Bytes<32>,
    /// From whom.
    pub holder: PeerId,
    /// So many peers lie between.
    pub hops: u16,
}

/// A question that was asked, and what came of it.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Who asked.
    pub peer: PeerId,
    /// What.
    pub question: Question,
    /// When.
    pub at: Time,
    /// How often the peer had been started then.
    pub life: u32,
    /// What it was told, in that order.
    pub hits: Vec<Told>,
    /// When it ended, and how. A request ends once: what came later is in `surplus`.
    pub ended: Option<(Time, Cost, Result<u16, Failure>)>,
    /// Events that came after the end.
    pub surplus: u32,
}

/// What is done to the peers from outside at a time.
#[derive(Clone, Debug)]
pub enum Deed<O> {
    /// Somebody asks.
    Ask(PeerId, Question, u16, O),
    /// Somebody stops in the middle of what it does, and loses all.
    Crash(PeerId),
    /// A group is cut off. With a notice the ends of its connections are told.
    Cut(Vec<PeerId>, Option<Duration>),
    /// All cuts and omissions end, and who is down is started.
    Heal,
    /// Somebody loses a share of what it sends and receives.
    Omit(PeerId, f64),
    /// Somebody shares one thing more.
    Share(PeerId, Item),
    /// Somebody is started.
    Start(PeerId),
    /// Somebody does not share a thing any more.
    Unshare(PeerId, Bytes<32>),
}

/// The owners of all peers. `F` makes a peer's parameters.
pub struct Crowd<M: Mode, F> {
    seed: u64,
    make: F,
    /// By peer: what it shares, by hash.
    shared: Vec<BTreeMap<Bytes<32>, Item>>,
    /// By peer: what it ever shared.
    ever: Vec<Vec<Bytes<32>>>,
    lives: Vec<u32>,
    asks: Vec<Ask>,
    rejects: BTreeMap<Reject, u64>,
    faults: Vec<String>,
    cuts: Vec<CutId>,
    mode: std::marker::PhantomData<M>,
}

/// The node of that handle in the run of that seed: its identifier is drawn, as a hash of a key is.
pub fn node(seed: u64, peer: PeerId) -> Node {
    Node { id: Id::draw(&mut Rng::new(seed, u64::from(peer.0), "node")), peer }
}

/// Peers over these links, which share this and are all started at time zero.
pub fn world<M: Mode, F: FnMut(Node) -> M::Params>(
    seed: u64,
    graph: Graph,
    links: LinkModel,
    codec: bool,
    shared: Vec<Vec<Item>>,
    make: F,
) -> World<Crowd<M, F>> {
    let by_hash = |items: Vec<Item>| items.into_iter().map(|item| (item.hash, item)).collect();
    let shared: Vec<BTreeMap<Bytes<32>, Item>> = shared.into_iter().map(by_hash).collect();
    let crowd = Crowd {
        seed,
        make,
        ever: shared.iter().map(|items| items.keys().copied().collect()).collect(),
        lives: vec![0; shared.len()],
        shared,
        asks: Vec::new(),
        rejects: BTreeMap::new(),
        faults: Vec::new(),
        cuts: Vec::new(),
        mode: std::marker::PhantomData,
    };
    let setup = Setup { seed, graph, links, disk_sync: Duration::ZERO, codec };
    let mut world = World::new(setup, crowd);
    for peer in world.net().peers() {
        world.net_mut().start(Time::ZERO, peer);
    }
    world
}

impl<M: Mode, F: FnMut(Node) -> M::Params> Crowd<M, F> {
    /// All that was asked, in the order in which it was.
    pub fn asks(&self) -> &[Ask] {
        &self.asks
    }

    /// What peers hold against each other.
    pub const fn rejects(&self) -> &BTreeMap<Reject, u64> {
        &self.rejects
    }

    /// What must not happen and did.
    pub fn faults(&self) -> &[String] {
        &self.faults
    }

    /// What a peer shares now.
    pub fn shared(&self, peer: PeerId) -> impl Iterator<Item = &Item> {
        self.shared[peer.0 as usize].values()
    }

    /// How often a peer was started.
    pub fn lives(&self, peer: PeerId) -> u32 {
        self.lives[peer.0 as usize]
    }

    fn ask(&mut self, net: &mut NetOf<Self>, peer: PeerId, question: Question, wanted: u16, options: M::Options) {
        if !net.is_up(peer) {
            return;
        }
        let query = Query(self.asks.len() as u64);
        let (at, life) = (net.now(), self.lives(peer));
        let ask = Ask { peer, question: question.clone(), at, life, hits: vec![], ended: None, surplus: 0 };
        self.asks.push(ask);
        net.command(at, peer, Command::Find { query, question, wanted, options });
    }

    fn heal(&mut self, net: &mut NetOf<Self>) {
        self.cuts.clear();
        net.heal_all();
        for peer in net.peers() {
            net.omit(peer, 0.0, 0.0);
            net.start(net.now(), peer);
        }
    }

    /// A hit names somebody who shares what it is said to, or did.
    fn hit(&mut self, now: Time, peer: PeerId, query: Query, hit: &Hit, hops: u16) {
        let holder = hit.holder.peer;
        let hash = hit.item.hash;
        if self.ever.get(holder.0 as usize).is_none_or(|ever| !ever.contains(&hash)) {
            self.faults.push(format!("{peer:?} was told that {holder:?} has {hash:?}, which it never had"));
        }
        if hit.holder != node(self.seed, holder) {
            self.faults.push(format!("{peer:?} was told of {:?}, who is somebody else", hit.holder));
        }
        let ask = &mut self.asks[query.0 as usize];
        ask.surplus += u32::from(ask.ended.is_some());
        ask.hits.push(Told { at: now, hash, holder, hops });
    }
}

impl<M: Mode, F: FnMut(Node) -> M::Params> Experiment for Crowd<M, F> {
    type Protocol = M;
    type Alarm = Deed<M::Options>;

    fn params(&mut self, _: &NetOf<Self>, peer: PeerId) -> M::Params {
        (self.make)(node(self.seed, peer))
    }

    fn on_alarm(&mut self, net: &mut NetOf<Self>, deed: Deed<M::Options>) {
        let now = net.now();
        match deed {
            Deed::Ask(peer, question, wanted, options) => self.ask(net, peer, question, wanted, options),
            Deed::Crash(peer) => net.crash(peer, Tail::Lost),
            Deed::Cut(group, notice) => self.cuts.push(net.cut(&group, Direction::Both, notice)),
            Deed::Heal => self.heal(net),
            Deed::Omit(peer, share) => net.omit(peer, share, share),
            Deed::Share(peer, item) => {
                self.shared[peer.0 as usize].insert(item.hash, item.clone());
                self.ever[peer.0 as usize].push(item.hash);
                net.command(now, peer, Command::Share(item));
            }
            Deed::Start(peer) => net.start(now, peer),
            Deed::Unshare(peer, hash) => {
                self.shared[peer.0 as usize].remove(&hash);
                net.command(now, peer, Command::Unshare(hash));
            }
        }
    }

    fn on_event(&mut self, net: &mut NetOf<Self>, peer: PeerId, event: Event) {
        match event {
            Event::Ended { query, cost, result } => {
                let ask = &mut self.asks[query.0 as usize];
                ask.surplus += u32::from(ask.ended.is_some());
                ask.ended.get_or_insert((net.now(), cost, result));
            }
            Event::Hit { query, hit, hops } => self.hit(net.now(), peer, query, &hit, hops),
        }
    }

    fn on_reject(&mut self, _: &mut NetOf<Self>, peer: PeerId, by: PeerId, reason: Reject) {
        *self.rejects.entry(reason).or_default() += 1;
        if reason.is_fault() {
            self.faults.push(format!("{peer:?} holds {reason} against {by:?}, who is honest"));
        }
    }

    fn on_start(&mut self, net: &mut NetOf<Self>, peer: PeerId) {
        self.lives[peer.0 as usize] += 1;
        let items: Vec<Item> = self.shared(peer).cloned().collect();
        for item in items {
            net.command(net.now(), peer, Command::Share(item));
        }
    }
}
