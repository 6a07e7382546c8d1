//! A small deterministic world of replicas: delays, losses, repetitions, partitions, crashes that keep a prefix of a
//! step's effects, and two machines of one identity. Owners are toys that execute numbers.

pub(crate) mod bench;
mod owner;

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;
use std::vec;

use serde::{Deserialize, Serialize};
use synod_ledger::{BlockId, Certificate, ChainId, Height, SecretKey, digest};
use synod_machine::{Bytes, Counters, Effect, Host, Input, Key, Out, PeerId, Protocol, Reject, Rng, Time, Wire, wire};

use self::owner::Owner;
use super::{
    Agreement, Command, Event, Evidence, Message, Params, Proposal, Record, Rules, Settings, Validators, View,
};
use crate::adversary::{Behaviour, Party, PartyParams, Sibling};

/// A proposal of numbered requests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Toy {
    pub(crate) height: Height,
    pub(crate) parent: BlockId,
    pub(crate) requests: Vec<u32>,
    pub(crate) salt: u32,
    pub(crate) is_valid: bool,
}

impl Wire for Toy {
    const BYTES_MAX: usize = 10_000;

    fn kind(&self) -> &'static str {
        "toy"
    }
}

impl Proposal for Toy {
    fn id(&self) -> BlockId {
        BlockId(digest("toy", self))
    }

    fn parent(&self) -> BlockId {
        self.parent
    }

    fn height(&self) -> Height {
        self.height
    }

    fn is_whole(&self) -> bool {
        true
    }
}

impl Sibling for Toy {
    fn sibling(&self) -> Self {
        Self { salt: self.salt + 1, ..self.clone() }
    }
}

pub(crate) const GENESIS: BlockId = BlockId(Bytes([0xaa; 32]));

pub(crate) fn secret(validator: usize) -> SecretKey {
    SecretKey::from_bytes([validator as u8 + 1; 32])
}

pub(crate) fn rules(count: usize) -> Rules {
    let keys: Vec<_> = (0..count).map(|validator| secret(validator).public()).collect();
    let validators = Validators::new(&keys).expect("as many as there can be");
    Rules { chain: ChainId(Bytes([7; 8])), genesis: GENESIS, validators }
}

pub(crate) fn settings() -> Settings {
    Settings {
        view_timeout: Duration::from_millis(500),
        batch_delay: Duration::from_millis(2),
        batch_max: 3,
        checkpoint_interval: 4,
        window: 16,
        in_flight_max: 3,
        is_rejoining: false,
        resend: Duration::from_millis(100),
    }
}

/// How messages travel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Net {
    pub(crate) delay_ms_min: u64,
    pub(crate) delay_ms_max: u64,
    pub(crate) lost_per_1000: u64,
    pub(crate) twice_per_1000: u64,
}

pub(crate) const CALM: Net = Net { delay_ms_min: 10, delay_ms_max: 10, lost_per_1000: 0, twice_per_1000: 0 };

enum Happening {
    Arrive { from: usize, to: usize, message: Message<Toy> },
    Restart(usize),
    Sync { node: usize, height: Height },
    Wake(usize),
}

pub(crate) struct Node {
    host: Option<Host<Party<Toy>>>,
    pub(crate) disk: BTreeMap<Key, Record<Toy>>,
    pub(crate) owner: Owner,
    /// Whose key it has.
    pub(crate) validator: usize,
    pub(crate) behaviour: Behaviour,
    counters: Counters,
    /// It crashes in its next step with effects, after so many of them.
    crash_after: Option<usize>,
    /// When it comes back.
    down_for: Duration,
    /// Its disk was lost.
    has_lost: bool,
    starts: u64,
}

/// What happened, for tests that ask that it did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) views: u64,
    pub(crate) syncs: u64,
    pub(crate) crashes: u64,
    pub(crate) restarts: u64,
    pub(crate) losses: u64,
}

/// Two decisions of honest replicas for one height.
pub(crate) type Fork = (Height, (BlockId, Certificate), (BlockId, Certificate));

/// Whether a message from one machine to another is lost.
pub(crate) type Filter = fn(usize, usize, &Message<Toy>) -> bool;

pub(crate) struct World {
    pub(crate) now: Time,
    queue: BTreeMap<(Time, u64), Happening>,
    sequence: u64,
    pub(crate) nodes: Vec<Node>,
    pub(crate) rules: Rules,
    pub(crate) settings: Settings,
    pub(crate) net: Net,
    /// Pairs that do not hear each other.
    pub(crate) cut: BTreeSet<(usize, usize)>,
    /// Messages that are lost, by what they are.
    pub(crate) filter: Option<Filter>,
    pub(crate) rng: Rng,
    decided: BTreeMap<Height, (BlockId, Certificate)>,
    pub(crate) forks: Vec<Fork>,
    pub(crate) evidence: Vec<Evidence>,
    pub(crate) rejects: BTreeMap<Reject, u64>,
    pub(crate) tally: Tally,
    /// Messages are encoded and decoded on the way, so that each receiver judges them itself.
    pub(crate) is_wired: bool,
}

impl World {
    /// One honest replica for each validator.
    pub(crate) fn new(count: usize, seed: u64) -> Self {
        Self::of(count, (0..count).map(|validator| (validator, Behaviour::Honest)).collect(), settings(), seed)
    }

    /// The last validators behave like this.
    pub(crate) fn with(count: usize, behaviours: &[Behaviour], seed: u64) -> Self {
        let mut nodes: Vec<(usize, Behaviour)> = (0..count).map(|validator| (validator, Behaviour::Honest)).collect();
        for (node, behaviour) in nodes.iter_mut().rev().zip(behaviours) {
            node.1 = *behaviour;
        }
        Self::of(count, nodes, settings(), seed)
    }

    /// Machines by their validators, which may be the same.
    pub(crate) fn of(count: usize, nodes: Vec<(usize, Behaviour)>, settings: Settings, seed: u64) -> Self {
        let node = |(validator, behaviour)| Node {
            host: None,
            disk: BTreeMap::new(),
            owner: Owner::default(),
            validator,
            behaviour,
            counters: Counters::default(),
            crash_after: None,
            down_for: Duration::from_millis(300),
            has_lost: false,
            starts: 0,
        };
        let mut world = Self {
            now: Time::ZERO,
            queue: BTreeMap::new(),
            sequence: 0,
            nodes: nodes.into_iter().map(node).collect(),
            rules: rules(count),
            settings,
            net: CALM,
            cut: BTreeSet::new(),
            filter: None,
            rng: Rng::new(seed, 0, "world"),
            decided: BTreeMap::new(),
            forks: vec![],
            evidence: vec![],
            rejects: BTreeMap::new(),
            tally: Tally::default(),
            is_wired: false,
        };
        for node in 0..world.nodes.len() {
            world.start(node);
        }
        world.run_for(100);
        world
    }

    pub(crate) fn agreement(&self, node: usize) -> &Agreement<Toy> {
        self.nodes[node].host.as_ref().expect("it is up").protocol().agreement()
    }

    pub(crate) fn is_up(&self, node: usize) -> bool {
        self.nodes[node].host.is_some()
    }

    pub(crate) fn is_honest(&self, node: usize) -> bool {
        self.nodes[node].behaviour == Behaviour::Honest && !self.is_twin(node)
    }

    fn is_twin(&self, node: usize) -> bool {
        let validator = self.nodes[node].validator;
        self.nodes.iter().filter(|other| other.validator == validator).count() > 1
    }

    pub(crate) fn honest(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|node| self.is_honest(*node)).collect()
    }

    /// The next deadline of a replica, if a timer of it is pending.
    pub(crate) fn deadline(&self, node: usize) -> Option<Time> {
        self.nodes[node].host.as_ref().and_then(Host::next_deadline)
    }

    fn schedule(&mut self, at: Time, happening: Happening) {
        self.sequence += 1;
        self.queue.insert((at, self.sequence), happening);
    }

    /// Starts a replica from its disk, and connects it.
    pub(crate) fn start(&mut self, node: usize) {
        self.nodes[node].starts += 1;
        let (starts, validator) = (self.nodes[node].starts, self.nodes[node].validator);
        let agreement = Params {
            rules: self.rules.clone(),
            settings: Settings { is_rejoining: self.nodes[node].has_lost, ..self.settings.clone() },
            secret: Some(secret(validator)),
            salt: node as u64 * 1_000 + starts,
        };
        self.nodes[node].has_lost = false;
        let params = PartyParams { agreement, behaviour: self.nodes[node].behaviour, seed: node as u64 };
        let party = Party::restore(params, self.nodes[node].disk.clone().into_iter());
        let mut out = Out::new();
        self.nodes[node].host = Some(Host::start_into(party, self.now, &mut out));
        let mut told = self.nodes[node].owner.start();
        let height = Height(self.nodes[node].owner.chain.len() as u64);
        if let Some((id, certificate)) = self.decided.get(&height).cloned() {
            told.insert(0, Command::Synced(super::Base { height, id, certificate }));
        }
        let commands = self.apply(node, out.drain().collect());
        self.command(node, told.into_iter().chain(commands).collect());
        for other in (0..self.nodes.len()).filter(|other| *other != node) {
            if self.is_up(other) && self.is_up(node) {
                self.step(other, Input::PeerUp(PeerId(node as u32)));
                self.step(node, Input::PeerUp(PeerId(other as u32)));
            }
        }
    }

    /// Stops a replica at once.
    pub(crate) fn crash(&mut self, node: usize) {
        let Some(host) = self.nodes[node].host.take() else { return };
        self.nodes[node].counters.merge(host.counters());
        self.nodes[node].crash_after = None;
        self.tally.crashes += 1;
        for other in 0..self.nodes.len() {
            self.step(other, Input::PeerDown(PeerId(node as u32)));
        }
    }

    /// A replica will crash in its next step that has effects, after `effects` of them, and come back.
    pub(crate) fn crash_in_step(&mut self, node: usize, effects: usize, down_for: Duration) {
        self.nodes[node].crash_after = Some(effects);
        self.nodes[node].down_for = down_for;
    }

    /// A replica stops and loses its disk.
    pub(crate) fn lose(&mut self, node: usize) {
        self.crash(node);
        self.nodes[node].disk.clear();
        self.nodes[node].owner.lose();
        self.nodes[node].has_lost = true;
        self.tally.losses += 1;
    }

    pub(crate) fn restart(&mut self, node: usize) {
        if !self.is_up(node) {
            self.tally.restarts += 1;
            self.start(node);
        }
    }

    /// A request reaches an owner.
    pub(crate) fn request(&mut self, node: usize, request: u32) {
        if self.nodes[node].owner.add(request) && self.is_up(node) {
            let told = self.nodes[node].owner.report();
            self.command(node, told);
        }
    }

    pub(crate) fn request_all(&mut self, request: u32) {
        for node in 0..self.nodes.len() {
            self.request(node, request);
        }
    }

    fn command(&mut self, node: usize, commands: Vec<Command<Toy>>) {
        for command in commands {
            self.step(node, Input::Command(command));
        }
    }

    fn step(&mut self, node: usize, input: Input<Party<Toy>>) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let now = self.now;
            let Some(host) = &mut self.nodes[node].host else { return };
            let mut out = Out::new();
            host.step_into(now, input, &mut out);
            let commands = self.apply(node, out.drain().collect());
            inputs.extend(commands.into_iter().map(Input::Command));
        }
        if let Some(at) = self.deadline(node) {
            self.schedule(at, Happening::Wake(node));
        }
    }

    /// Does what a step asks for, in order, up to a crash. What the owner answers is given back.
    fn apply(&mut self, node: usize, effects: Vec<Effect<Party<Toy>>>) -> Vec<Command<Toy>> {
        let mut commands = vec![];
        let is_last = self.nodes[node].crash_after.filter(|_| !effects.is_empty());
        for (place, effect) in effects.into_iter().enumerate() {
            if is_last.is_some_and(|last| place >= last) {
                break;
            }
            match effect {
                Effect::Broadcast { to, message } => {
                    if std::env::var("SYNOD_PBFT_TRACE").is_ok() {
                        std::println!("{} {node} says {message:?}", self.now);
                    }
                    to.into_iter().for_each(|to| self.transmit(node, to, message.clone()));
                }
                Effect::Emit(event) => commands.extend(self.on_event(node, event)),
                Effect::Forget(key) => {
                    self.nodes[node].disk.remove(&key);
                }
                Effect::Persist { key, record } => {
                    self.nodes[node].disk.insert(key, record);
                }
                Effect::Reject { peer, reason } => {
                    let is_fair = !self.is_honest(node) || !self.is_honest(peer.0 as usize);
                    assert!(
                        is_fair,
                        "{node} blames {peer:?} of {reason} at {}, and both are honest:\n{}",
                        self.now,
                        self.describe()
                    );
                    *self.rejects.entry(reason).or_default() += 1;
                }
                Effect::Send { to, message } => self.transmit(node, to, message),
                Effect::Cancel(_) | Effect::Set { .. } => unreachable!("the host keeps the timers"),
            }
        }
        if is_last.is_some() {
            let back = self.now + self.nodes[node].down_for;
            self.crash(node);
            self.schedule(back, Happening::Restart(node));
            return vec![];
        }
        commands
    }

    fn on_event(&mut self, node: usize, event: Event<Toy>) -> Vec<Command<Toy>> {
        if std::env::var("SYNOD_PBFT_TRACE").is_ok() {
            std::println!("{} {node}: {event:?}", self.now);
        }
        match event {
            Event::Behind(base) => {
                assert!(base.holds(&self.rules), "what is said to be decided is proved");
                self.schedule(self.now + Duration::from_millis(20), Happening::Sync { node, height: base.height });
                vec![]
            }
            Event::Committed { proposal, certificate } => {
                if self.is_honest(node) {
                    self.judge(proposal.height, proposal.id(), certificate);
                }
                self.nodes[node].owner.commit(proposal)
            }
            Event::Evidence(evidence) => {
                let culprit = usize::from(evidence.by().0);
                let is_honest =
                    (0..self.nodes.len()).any(|node| self.nodes[node].validator == culprit && self.is_honest(node));
                assert!(!is_honest, "an honest replica said two things: {evidence:?}");
                self.evidence.push(evidence);
                vec![]
            }
            Event::Overdue(_) => vec![], // Every owner here has heard of every request.
            Event::Primary { view, .. } => {
                self.tally.views = self.tally.views.max(view.0);
                self.nodes[node].owner.enter()
            }
            Event::Validate(proposal) => self.nodes[node].owner.validate(&proposal),
            Event::WantProposal { height, parent, .. } => {
                let batch_max = self.settings.batch_max as usize;
                self.nodes[node].owner.propose(height, parent, batch_max, node as u32 * 1_000)
            }
        }
    }

    /// No two honest replicas decide differently, and every certificate holds.
    fn judge(&mut self, height: Height, id: BlockId, certificate: Certificate) {
        match self.decided.get(&height) {
            None => {
                assert!(self.rules.is_certified(height, id, &certificate), "a decision is proved");
                self.decided.insert(height, (id, certificate));
            }
            Some((known, _)) if *known == id => {}
            Some(known) => {
                assert!(self.rules.is_certified(height, id, &certificate), "a decision is proved");
                self.forks.push((height, known.clone(), (id, certificate)));
            }
        }
    }

    fn transmit(&mut self, from: usize, to: PeerId, message: Message<Toy>) {
        let to = to.0 as usize;
        let is_cut = self.cut.contains(&(from, to)) || self.filter.is_some_and(|lost| lost(from, to, &message));
        if is_cut || self.rng.below(1_000) < self.net.lost_per_1000 {
            return;
        }
        let message = if self.is_wired { wire::decode(&wire::encode(&message)).expect("our own") } else { message };
        let copies = if self.rng.below(1_000) < self.net.twice_per_1000 { 2 } else { 1 };
        for _ in 0..copies {
            let delay = self.net.delay_ms_min + self.rng.below(self.net.delay_ms_max - self.net.delay_ms_min + 1);
            let arrive = Happening::Arrive { from, to, message: message.clone() };
            self.schedule(self.now + Duration::from_millis(delay), arrive);
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Arrive { from, to, message } => {
                self.step(to, Input::Message { from: PeerId(from as u32), message });
            }
            Happening::Restart(node) => self.restart(node),
            Happening::Sync { node, height } => self.sync(node, height),
            Happening::Wake(node) => {
                let now = self.now;
                let Some(host) = &mut self.nodes[node].host else { return };
                if let Some(timer) = host.pop_due(now) {
                    self.step(node, Input::Timer(timer));
                }
            }
        }
    }

    /// The owner gets blocks from another that it hears.
    fn sync(&mut self, node: usize, height: Height) {
        let donors = (0..self.nodes.len())
            .filter(|donor| self.is_up(*donor) && !self.cut.contains(&(*donor, node)) && self.is_honest(*donor));
        let donor = donors.max_by_key(|donor| self.nodes[*donor].owner.chain.len());
        let Some(donor) = donor.filter(|_| self.is_up(node)) else { return };
        let executed = self.agreement(donor).executed();
        let chain = self.nodes[donor].owner.chain.clone();
        let Some((id, certificate)) = self.decided.get(&executed).cloned() else { return };
        if executed < height || executed.0 as usize <= self.nodes[node].owner.chain.len() {
            return;
        }
        self.tally.syncs += 1;
        let told = self.nodes[node].owner.adopt(&chain[..executed.0 as usize]);
        self.command(node, vec![Command::Synced(super::Base { height: executed, id, certificate })]);
        self.command(node, told);
    }

    /// Runs until nothing happens any more or the time is over; whether nothing happens.
    pub(crate) fn run_until(&mut self, end: Time, mut is_done: impl FnMut(&Self) -> bool) -> bool {
        while !is_done(self) {
            let Some((&(at, sequence), _)) = self.queue.first_key_value() else { return false };
            if at > end {
                self.now = end;
                return false;
            }
            let happening = self.queue.remove(&(at, sequence)).expect("it was just seen");
            self.now = self.now.max(at);
            self.happen(happening);
        }
        true
    }

    pub(crate) fn run_for(&mut self, millis: u64) {
        let end = self.now + Duration::from_millis(millis);
        self.run_until(end, |_| false);
        self.now = end;
    }

    /// Whether a request is executed on all of these.
    pub(crate) fn is_executed(&self, request: u32, nodes: &[usize]) -> bool {
        nodes.iter().all(|node| self.nodes[*node].owner.has_executed(request))
    }

    /// Runs until a request is executed on all of these, and panics where it is not in time.
    pub(crate) fn expect_executed(&mut self, request: u32, nodes: &[usize], millis: u64) {
        let end = self.now + Duration::from_millis(millis);
        let is_done = self.run_until(end, |world| world.is_executed(request, nodes));
        assert!(is_done, "request {request} is executed by {end} on {nodes:?}:\n{}", self.describe());
    }

    /// Messages of a kind that were sent.
    pub(crate) fn sent(&self, kind: &'static str) -> u64 {
        let of = |node: &Node| {
            let now = node.host.as_ref().map_or(0, |host| host.counters().traffic.of(kind).sent.messages);
            node.counters.traffic.of(kind).sent.messages + now
        };
        self.nodes.iter().map(of).sum()
    }

    pub(crate) fn cut_off(&mut self, node: usize) {
        for other in 0..self.nodes.len() {
            self.cut.insert((node, other));
            self.cut.insert((other, node));
        }
    }

    /// The highest view of an honest replica that is up.
    pub(crate) fn view(&self) -> View {
        let up = (0..self.nodes.len()).filter(|node| self.is_up(*node) && self.is_honest(*node));
        up.map(|node| self.agreement(node).view()).max().unwrap_or_default()
    }

    pub(crate) fn describe(&self) -> std::string::String {
        let one = |node: usize| {
            let behaviour = self.nodes[node].behaviour;
            if !self.is_up(node) {
                return std::format!("{node} {behaviour:?}: down\n");
            }
            let agreement = self.agreement(node);
            std::format!(
                "{node} {behaviour:?}: view {} active {} decided {} executed {} stable {} next timer {:?} waiting {:?} pending {} {}\n",
                agreement.view(),
                agreement.is_active(),
                agreement.decided().height.0,
                agreement.executed().0,
                agreement.stable().0,
                self.deadline(node),
                self.nodes[node].owner.waiting,
                self.nodes[node].owner.pending(),
                agreement.describe(),
            )
        };
        (0..self.nodes.len()).map(one).collect()
    }
}

impl Agreement<Toy> {
    /// The slots above the last decision, for failures' sake.
    pub(crate) fn describe(&self) -> std::string::String {
        let slot = |(height, slot): (Height, &super::log::Slot<Toy>)| {
            std::format!(
                "[{} order {:?} body {:?} voted {} prepares {} commits {} prepared {:?} decided {}]",
                height.0,
                slot.order().map(|order| order.id.0),
                slot.body().map(|body| body.opinion),
                slot.is_voted,
                slot.prepares.len(),
                slot.commits.len(),
                slot.prepared.as_ref().map(|prepared| prepared.order().view),
                slot.decided.is_some(),
            )
        };
        self.log.above(self.decided.height).map(slot).collect()
    }
}
