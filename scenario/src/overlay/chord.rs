//! Rings of Chord's nodes: built through the protocol, asked, and compared from outside with the sorted list of those that are up.

mod swarm;

use std::borrow::Borrow;
use std::marker::PhantomData;
use std::time::Duration;

use synod_dht::chord::{Chord, Command, Event, Params, Style};
use synod_dht::overlay::{Cost, Entry, Failure, Id, Node, Query, Quorum};
use synod_machine::{PeerId, Protocol, Reject, Rng, Time};
use synod_sim::model::{Distribution, Graph, LinkModel, Links, Span};
use synod_sim::{Experiment, NetOf, Setup, Tail, World};

pub use self::swarm::swarm;
pub use super::Verdict;

/// What a ring is like.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Determines everything that is drawn.
    pub seed: u64,
    /// How many peers there are.
    pub peers: u32,
    /// They come one after the other, so that the ring doubles in this time: joins that cross each other in one place are put in order
    /// one request after the other, so a ring takes in few at a time for each node that it has.
    pub doubling: Duration,
    /// The parameters of each peer; its own node and stream take the place of those that stand there.
    pub params: Params,
    /// What links are like.
    pub links: Links,
    /// Whether each message is encoded and decoded on its way.
    pub codec: bool,
}

impl Setting {
    /// Peers with the papers' parameters and constant delays of 50 ms (the mean of SIGCOMM 2001, section 6.5), who double every ten
    /// seconds.
    pub fn new(seed: u64, peers: u32) -> Self {
        let own = Node { id: Id::ZERO, peer: PeerId(0) };
        let delay = Some(Distribution::constant(Span::from_millis(50)));
        Self {
            seed,
            peers,
            doubling: Duration::from_secs(10),
            params: Params::new(own, Rng::new(seed, 0, "none")),
            links: Links { delay, ..Links::default() },
            codec: false,
        }
    }

    /// Where a peer stands.
    pub fn node(&self, peer: PeerId) -> Node {
        Node { id: Id::draw(&mut Rng::new(self.seed, u64::from(peer.0), "chord id")), peer }
    }
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Who asked.
    pub peer: PeerId,
    /// What it asked for.
    pub key: Id,
    /// What it was told.
    pub what: Told,
    /// What it cost.
    pub cost: Cost,
    /// How long it took.
    pub took: Duration,
}

/// What an answer says.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// What is stored under the key.
    Entries(Result<Vec<Entry>, Failure>),
    /// Who owns the key.
    Owner(Result<Node, Failure>),
    /// How many replicas took an entry.
    Taken(Result<u8, Failure>),
}

/// What the crowd is reminded of.
#[derive(Debug)]
pub enum Alarm {
    /// A peer is asked to come into the ring again.
    Join(PeerId),
}

/// What a ring's nodes are: Chord's machine, or one around it that is spoken to in the same words.
pub trait Machine: Protocol<Params = Params, Command = Command, Event = Event> + Borrow<Chord> {}

impl<P: Protocol<Params = Params, Command = Command, Event = Event> + Borrow<Chord>> Machine for P {}

/// The peers' owners: they let them join, and note what they say.
#[derive(Debug)]
pub struct Crowd<P = Chord> {
    setting: Setting,
    nodes: Vec<Node>,
    /// Peers that said that they are on a ring, and have not crashed since.
    members: Vec<PeerId>,
    /// By peer: whether it is one of them.
    is_member: Vec<bool>,
    rng: Rng,
    asked: Vec<(PeerId, Id, Time)>,
    answers: Vec<Option<Answer>>,
    rejects: Vec<(PeerId, PeerId, Reject)>,
    machine: PhantomData<P>,
}

/// A peer that could not join tries again after so long.
const JOIN_AGAIN: Duration = Duration::from_secs(5);
/// How many members a peer is told of when it joins.
const VIA: usize = 3;

impl<P: Machine> Crowd<P> {
    fn new(setting: Setting) -> Self {
        let rng = Rng::new(setting.seed, 0, "chord crowd");
        let nodes = (0..setting.peers).map(|peer| setting.node(PeerId(peer))).collect();
        let is_member = vec![false; setting.peers as usize];
        Self {
            setting,
            nodes,
            members: Vec::new(),
            is_member,
            rng,
            asked: vec![],
            answers: vec![],
            rejects: vec![],
            machine: PhantomData,
        }
    }

    /// Asks a peer to join by members that are drawn. Where there are none the first of those that are up founds a ring.
    fn join(&mut self, net: &mut NetOf<Self>, peer: PeerId) {
        let others: Vec<PeerId> = (0..VIA).filter_map(|_| self.rng.pick(&self.members).copied()).collect();
        let mut via: Vec<Node> =
            others.into_iter().filter(|other| *other != peer).map(|other| self.node(other)).collect();
        via.dedup();
        let is_alone = self.members.iter().all(|member| *member == peer);
        let is_first = is_alone && (0..peer.0).all(|other| !net.is_up(PeerId(other)));
        if via.is_empty() && !is_first {
            return net.alarm(net.now() + JOIN_AGAIN, Alarm::Join(peer));
        }
        net.command(net.now(), peer, Command::Join { via });
    }

    /// A peer's place on the ring.
    pub fn node(&self, peer: PeerId) -> Node {
        self.nodes[peer.0 as usize]
    }

    fn forget(&mut self, peer: PeerId) {
        if std::mem::take(&mut self.is_member[peer.0 as usize]) {
            self.members.retain(|member| *member != peer);
        }
    }

    fn answer(&mut self, net: &NetOf<Self>, peer: PeerId, query: Query, what: Told, cost: Cost) {
        let place = query.0 as usize;
        let (_, key, at) = self.asked[place];
        assert!(self.answers[place].is_none(), "a request has one answer");
        self.answers[place] = Some(Answer { peer, key, what, cost, took: net.now().since(at) });
    }
}

impl<P: Machine> Experiment for Crowd<P> {
    type Protocol = P;
    type Alarm = Alarm;

    fn params(&mut self, net: &NetOf<Self>, peer: PeerId) -> Params {
        // A peer that starts again does not draw what it drew before.
        let role = u64::from(peer.0) | net.tally().starts << 32;
        Params { own: self.node(peer), rng: Rng::new(self.setting.seed, role, "chord"), ..self.setting.params.clone() }
    }

    fn on_alarm(&mut self, net: &mut NetOf<Self>, alarm: Alarm) {
        let Alarm::Join(peer) = alarm;
        if net.is_up(peer) && !self.is_member[peer.0 as usize] {
            self.join(net, peer);
        }
    }

    fn on_event(&mut self, net: &mut NetOf<Self>, peer: PeerId, event: Event) {
        match event {
            Event::Got { query, result, cost } => self.answer(net, peer, query, Told::Entries(result), cost),
            Event::Joined { result: Ok(()), .. } => {
                self.forget(peer);
                self.members.push(peer);
                self.is_member[peer.0 as usize] = true;
            }
            Event::Joined { result: Err(_), .. } => net.alarm(net.now() + JOIN_AGAIN, Alarm::Join(peer)),
            Event::Left => self.forget(peer),
            Event::LookedUp { query, result, cost } => self.answer(net, peer, query, Told::Owner(result), cost),
            Event::Put { query, result, cost } => self.answer(net, peer, query, Told::Taken(result), cost),
        }
    }

    fn on_reject(&mut self, _: &mut NetOf<Self>, peer: PeerId, by: PeerId, reason: Reject) {
        self.rejects.push((peer, by, reason));
    }

    fn on_start(&mut self, net: &mut NetOf<Self>, peer: PeerId) {
        self.forget(peer);
        self.join(net, peer);
    }
}

/// A ring and what can be done with it.
pub struct Lab<P: Machine = Chord> {
    world: World<Crowd<P>>,
}

impl Lab {
    /// Peers that are all down.
    pub fn new(setting: Setting) -> Self {
        Self::of(setting)
    }

    /// All peers, joined through the protocol, and `calm` more for fingers to become right.
    pub fn built(setting: Setting, calm: Duration) -> Self {
        Self::grown(setting, calm)
    }
}

impl<P: Machine> Lab<P> {
    /// [`Lab::new`] with any machine.
    pub fn of(setting: Setting) -> Self {
        let no_files = |_: &str| unreachable!("no file is named");
        let links: LinkModel = setting.links.compile(setting.seed, no_files).expect("possible links");
        let setup = Setup {
            seed: setting.seed,
            graph: Graph::empty(setting.peers),
            links,
            disk_sync: Duration::ZERO,
            codec: setting.codec,
        };
        Self { world: World::new(setup, Crowd::new(setting)) }
    }

    /// [`Lab::built`] with any machine.
    pub fn grown(setting: Setting, calm: Duration) -> Self {
        let (peers, doubling) = (setting.peers, setting.doubling);
        let mut lab = Self::of(setting);
        let after = |peer: u32| doubling.mul_f64(f64::from(peer + 1).log2());
        for peer in 0..peers {
            lab.start(PeerId(peer), after(peer));
        }
        lab.pass(after(peers) + calm);
        lab
    }

    /// Starts a peer so much later.
    pub fn start(&mut self, peer: PeerId, later: Duration) {
        let at = self.world.net().now() + later;
        self.world.net_mut().start(at, peer);
    }

    /// Stops a peer.
    pub fn crash(&mut self, peer: PeerId) {
        let (crowd, net) = self.world.parts_mut();
        crowd.forget(peer);
        net.crash(peer, Tail::Kept);
    }

    /// Has a peer leave the ring.
    pub fn leave(&mut self, peer: PeerId) {
        let (crowd, net) = self.world.parts_mut();
        crowd.forget(peer);
        net.command(net.now(), peer, Command::Leave);
    }

    /// Tells a peer of some members, as a host does that meets them elsewhere.
    pub fn introduce(&mut self, peer: PeerId) {
        let (crowd, net) = self.world.parts_mut();
        if net.is_up(peer) && !crowd.members.is_empty() {
            crowd.join(net, peer);
        }
    }

    /// Lets time pass.
    pub fn pass(&mut self, span: Duration) {
        let until = self.world.net().now() + span;
        self.world.run(until, u64::MAX);
    }

    /// The peers, to look at.
    pub const fn net(&self) -> &NetOf<Crowd<P>> {
        self.world.net()
    }

    /// The peers, to act on them.
    pub const fn net_mut(&mut self) -> &mut NetOf<Crowd<P>> {
        self.world.net_mut()
    }

    /// The peers' owners.
    pub const fn crowd(&self) -> &Crowd<P> {
        self.world.experiment()
    }

    /// What peers held against each other.
    pub fn rejects(&self) -> &[(PeerId, PeerId, Reject)] {
        &self.world.experiment().rejects
    }

    /// Those that are up and on a ring, in the order of the ring.
    pub fn live(&self) -> Vec<Node> {
        let net = self.world.net();
        let is_on = |peer: &PeerId| net.protocol(*peer).is_some_and(|node| node.borrow().is_member());
        let mut live: Vec<Node> = net.peers().filter(is_on).map(|peer| self.crowd().node(peer)).collect();
        live.sort();
        live
    }

    /// How many predecessors, successors and fingers all nodes know.
    pub fn known(&self) -> usize {
        let net = self.world.net();
        let machines = net.peers().filter_map(|peer| net.protocol(peer)).map(Borrow::<Chord>::borrow);
        let known =
            |node: &Chord| node.successors().len() + node.fingers().len() + usize::from(node.predecessor().is_some());
        machines.map(known).sum()
    }

    /// What is not as it should be if all that is up is one ring; nothing if all is well.
    pub fn disorder(&self) -> Option<String> {
        let net = self.world.net();
        let live = self.live();
        let up = net.peers().filter(|peer| net.is_up(*peer)).count();
        if live.len() < up {
            return Some(format!("of {up} peers that are up, {} are on a ring", live.len()));
        }
        let count = live.len();
        for (place, node) in live.iter().enumerate() {
            let peer: &Chord = net.protocol(node.peer)?.borrow();
            let before = (count > 1).then(|| live[(place + count - 1) % count]);
            if peer.predecessor() != before {
                return Some(format!("{node:?} has {:?} before it and not {before:?}", peer.predecessor()));
            }
            let length = self.crowd().setting.params.successors.min(count - 1);
            let after: Vec<Node> = (1..=length).map(|further| live[(place + further) % count]).collect();
            if peer.successors() != after {
                return Some(format!("{node:?} is followed by {:?} and not by {after:?}", peer.successors()));
            }
        }
        None
    }

    /// How many of all fingers are not the first node from their power of two on.
    pub fn wrong_fingers(&self) -> (usize, usize) {
        let live = self.live();
        let (mut wrong, mut all) = (0, 0);
        for node in &live {
            let Some(peer) = self.net().protocol(node.peer).map(Borrow::<Chord>::borrow) else { continue };
            let mut right: Vec<Node> = Vec::new();
            for power in 0..Id::BITS {
                let finger = owner(&live, node.id.after(power));
                if finger != *node && right.last() != Some(&finger) && Some(&finger) != peer.successors().first() {
                    right.push(finger);
                }
            }
            all += right.len();
            let is_wrong = |finger: &&Node| !peer.fingers().contains(finger);
            wrong += right.iter().filter(is_wrong).count();
        }
        (wrong, all)
    }

    /// Has a member that is drawn look a key up. The number of the request.
    pub fn look_up(&mut self, key: Id, style: Style) -> Option<usize> {
        self.ask(key, |query| Command::Lookup { query, key, style })
    }

    /// Has a peer store an entry.
    pub fn put_by(&mut self, peer: PeerId, key: Id, entry: Entry, quorum: Quorum) -> usize {
        self.ask_of(peer, key, |query| Command::Put { query, key, entry, quorum })
    }

    /// Has a peer read what is stored under a key.
    pub fn get_by(&mut self, peer: PeerId, key: Id, quorum: Quorum) -> usize {
        self.ask_of(peer, key, |query| Command::Get { query, key, quorum })
    }

    /// Has a member that is drawn store an entry.
    pub fn put(&mut self, key: Id, entry: Entry, quorum: Quorum) -> Option<usize> {
        self.ask(key, |query| Command::Put { query, key, entry, quorum })
    }

    /// Has a member that is drawn read what is stored under a key.
    pub fn get(&mut self, key: Id, quorum: Quorum) -> Option<usize> {
        self.ask(key, |query| Command::Get { query, key, quorum })
    }

    fn ask(&mut self, key: Id, command: impl FnOnce(Query) -> Command) -> Option<usize> {
        let crowd = self.world.parts_mut().0;
        let peer = *crowd.rng.pick(&crowd.members)?;
        Some(self.ask_of(peer, key, command))
    }

    fn ask_of(&mut self, peer: PeerId, key: Id, command: impl FnOnce(Query) -> Command) -> usize {
        let (crowd, net) = self.world.parts_mut();
        let number = crowd.asked.len();
        crowd.asked.push((peer, key, net.now()));
        crowd.answers.push(None);
        net.command(net.now(), peer, command(Query(number as u64)));
        number
    }

    /// Who made a request.
    pub fn asker(&self, number: usize) -> PeerId {
        self.crowd().asked[number].0
    }

    /// The answer to a request, if it is there.
    pub fn answer(&self, number: usize) -> Option<&Answer> {
        self.crowd().answers.get(number)?.as_ref()
    }

    /// So many look-ups of keys that are drawn, `apart` from each other, and time for all to be answered.
    pub fn look_up_many(&mut self, count: usize, apart: Duration, style: Style) -> Vec<Answer> {
        let first = self.crowd().asked.len();
        for _ in 0..count {
            let key = Id::draw(&mut self.world.parts_mut().0.rng);
            self.look_up(key, style);
            self.pass(apart);
        }
        self.pass(Duration::from_secs(30));
        self.crowd().answers[first..].iter().flatten().cloned().collect()
    }
}

/// The owner of a key: the first of these nodes, which are in order, that is not before it.
pub fn owner(live: &[Node], key: Id) -> Node {
    let place = live.partition_point(|node| node.id < key);
    live[place % live.len()]
}
