//! A few replicas in virtual time: links with delay, loss, duplication and partitions, gossip by flooding, a disk each,
//! mining with declared seals at exponential times, crashes in the middle of a step. Everything comes from one seed.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use serde::{Deserialize, Serialize};
use synod_ledger::{Amount, Block, BlockId, OutPoint, Tx, TxId, U256, digest};
use synod_machine::{Effect, Host, Input, Key, PeerId, Protocol, Rng, Time, Wire, wire};

use super::guest::{GUEST, Guest};
use super::{PEOPLE, Trace, address, params};
use crate::{Chain, Command, Event, GossipId, Item, Job, Limits, Message, Record, Replica, Seen, Verdict};

/// How a node treats requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    Honest,
    /// Says that it has no block that it is asked for.
    Forgetful,
    /// Claims its tip and answers nothing.
    Silent,
}

/// What the links do to messages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Links {
    pub(crate) delay_ms_max: u64,
    pub(crate) drop_percent: u64,
    pub(crate) duplicate_percent: u64,
}

pub(crate) const GOOD_LINKS: Links = Links { delay_ms_max: 40, drop_percent: 0, duplicate_percent: 0 };

pub(crate) struct Node {
    pub(crate) host: Option<Host<Replica>>,
    pub(crate) disk: BTreeMap<Key, Vec<u8>>,
    pub(crate) manner: Manner,
    /// Hashes per second.
    pub(crate) hash_rate: f64,
    pub(crate) limits: Limits,
    /// Effects until it crashes.
    crash_after: Option<u64>,
    /// Counts restarts: what was meant for an earlier life is lost.
    life: u64,
    job: Option<Job>,
    gossip: BTreeMap<GossipId, Vec<u8>>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Parcel {
    Block(Block),
    Payment(Tx),
}

impl Wire for Parcel {
    const BYTES_MAX: usize = Block::BYTES_MAX;

    fn kind(&self) -> &'static str {
        "parcel"
    }
}

pub(crate) enum Action {
    Gossip { from: usize, bytes: Vec<u8> },
    Loaded(Key),
    Message { from: usize, bytes: Vec<u8> },
    Mined(u64),
}

pub(crate) struct World {
    pub(crate) chain: Arc<Chain>,
    pub(crate) nodes: Vec<Node>,
    /// A light peer, if one is started.
    pub(crate) guest: Guest,
    pub(crate) links: Links,
    pub(crate) now: Time,
    pub(crate) rng: Rng,
    pub(crate) trace: Trace,
    /// Which payments were answered with Ok, and by whom.
    pub(crate) acknowledged: BTreeMap<TxId, (usize, Tx)>,
    pub(crate) refused: usize,
    pub(crate) rejects: BTreeMap<&'static str, u64>,
    group: Vec<u8>,
    queue: BTreeMap<(Time, u64), (usize, u64, Action)>,
    sequence: u64,
    submitted: Vec<Tx>,
}

impl World {
    pub(crate) fn new(seed: u64, chain: &Arc<Chain>, nodes: usize) -> Self {
        let mut world = Self {
            chain: chain.clone(),
            nodes: Vec::new(),
            guest: Guest::default(),
            links: GOOD_LINKS,
            now: Time::ZERO,
            rng: Rng::new(seed, 0, "world"),
            trace: Trace::new(),
            acknowledged: BTreeMap::new(),
            refused: 0,
            rejects: BTreeMap::new(),
            group: Vec::new(),
            queue: BTreeMap::new(),
            sequence: 0,
            submitted: Vec::new(),
        };
        for _ in 0..nodes {
            world.add_node();
        }
        world
    }

    /// A node that is not yet started.
    pub(crate) fn add_node(&mut self) -> usize {
        self.nodes.push(Node {
            host: None,
            disk: BTreeMap::new(),
            manner: Manner::Honest,
            hash_rate: 0.0,
            limits: Limits::default(),
            crash_after: None,
            life: 0,
            job: None,
            gossip: BTreeMap::new(),
        });
        self.group.push(0);
        self.nodes.len() - 1
    }

    /// Everybody mines with the same power so that together they make a block per block time.
    pub(crate) fn mine_evenly(&mut self) {
        let each = self.block_rate() / self.nodes.len() as f64;
        for node in &mut self.nodes {
            node.hash_rate = each;
        }
    }

    /// The hash rate that makes one block per block time at the genesis's target.
    pub(crate) fn block_rate(&self) -> f64 {
        let hashes: U256 = crate::pow::work(self.chain.pow().expect("a chain of proof of work").params().target);
        hashes.to::<u64>() as f64 / self.chain.block_time().as_secs_f64()
    }

    pub(crate) fn replica(&self, node: usize) -> &Replica {
        self.nodes[node].host.as_ref().expect("the node is up").protocol()
    }

    /// Starts a node from its disk and connects it to all that are up and in its part of the network.
    pub(crate) fn start(&mut self, node: usize) {
        let disk: Vec<(Key, Record)> = self.nodes[node]
            .disk
            .iter()
            .filter(|(key, _)| !key.is_cold())
            .map(|(&key, bytes)| (key, wire::decode(bytes).expect("a record comes back")))
            .collect();
        let mut params = params(&self.chain, (self.nodes[node].hash_rate > 0.0).then_some(100 + node as u8));
        params.extra = node as u64;
        params.limits = self.nodes[node].limits.clone();
        let replica = Replica::restore(params, disk.into_iter());
        self.nodes[node].life += 1;
        self.nodes[node].crash_after = None;
        let mut effects = Vec::new();
        let host = Host::start(replica, self.now, |effect| effects.push(effect));
        self.nodes[node].host = Some(host);
        self.release(node, effects);
        for other in 0..self.nodes.len() {
            if other != node && self.nodes[other].host.is_some() && self.group[other] == self.group[node] {
                self.step(node, Input::PeerUp(PeerId(other as u32)));
                self.step(other, Input::PeerUp(PeerId(node as u32)));
            }
        }
    }

    pub(crate) fn start_all(&mut self) {
        for node in 0..self.nodes.len() {
            if self.nodes[node].host.is_none() {
                self.start(node);
            }
        }
    }

    /// Stops a node; its disk stays.
    pub(crate) fn crash(&mut self, node: usize) {
        if self.nodes[node].host.take().is_none() {
            return;
        }
        self.nodes[node].life += 1;
        self.nodes[node].job = None;
        self.nodes[node].gossip.clear();
        self.unlink_guest(node);
        for other in 0..self.nodes.len() {
            self.step(other, Input::PeerDown(PeerId(node as u32)));
        }
    }

    /// Stops a node after so many more effects, which may be in the middle of a step.
    pub(crate) fn crash_after(&mut self, node: usize, effects: u64) {
        self.nodes[node].crash_after = Some(effects);
    }

    /// Cuts the network into those nodes and the others. `loudly` tells them that the connections are gone.
    pub(crate) fn partition(&mut self, side: &[usize], loudly: bool) {
        for node in 0..self.nodes.len() {
            self.group[node] = u8::from(side.contains(&node));
        }
        if loudly {
            self.tell_across(side, Input::PeerDown);
        }
    }

    pub(crate) fn heal(&mut self, loudly: bool) {
        let side: Vec<usize> = (0..self.nodes.len()).filter(|&node| self.group[node] == 1).collect();
        self.group.fill(0);
        self.links = GOOD_LINKS;
        if loudly {
            self.tell_across(&side, Input::PeerUp);
        }
    }

    fn tell_across(&mut self, side: &[usize], input: impl Fn(PeerId) -> Input<Replica>) {
        for one in 0..self.nodes.len() {
            for other in 0..self.nodes.len() {
                let both_up = self.nodes[one].host.is_some() && self.nodes[other].host.is_some();
                if both_up && side.contains(&one) != side.contains(&other) {
                    self.step(one, input(PeerId(other as u32)));
                }
            }
        }
    }

    /// Nobody makes any more blocks.
    pub(crate) fn stop_mining(&mut self) {
        for node in &mut self.nodes {
            node.job = None;
            node.hash_rate = 1e-12;
        }
    }

    /// How many messages of a kind a node sent in its present life.
    pub(crate) fn sent(&self, node: usize, kind: &'static str) -> u64 {
        let counters = self.nodes[node].host.as_ref().expect("the node is up").counters();
        counters.traffic.of(kind).sent.messages
    }

    /// Lets virtual time pass.
    pub(crate) fn run(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            let message = self.queue.first_key_value().map(|(&(at, _), _)| at);
            let timer = self
                .nodes
                .iter()
                .enumerate()
                .filter_map(|(node, host)| Some((host.host.as_ref()?.next_deadline()?, node)))
                .chain(self.guest.next_deadline().map(|at| (at, GUEST)))
                .min();
            match (message, timer) {
                (Some(at), timer) if at <= end && timer.is_none_or(|(due, _)| at <= due) => {
                    let ((at, _), (node, life, action)) = self.queue.pop_first().expect("it was just seen");
                    self.now = self.now.max(at);
                    self.act(node, life, action);
                }
                (_, Some((due, node))) if due <= end => {
                    self.now = self.now.max(due);
                    if node == GUEST {
                        self.fire_guest();
                        continue;
                    }
                    let mut effects = Vec::new();
                    let now = self.now;
                    let host = self.nodes[node].host.as_mut().expect("it has a timer");
                    host.fire(now, |effect| effects.push(effect));
                    self.release(node, effects);
                }
                _ => break,
            }
        }
        self.now = end;
    }

    pub(crate) fn run_secs(&mut self, secs: u64) {
        self.run(Duration::from_secs(secs));
    }

    /// Somebody pays somebody through a node: a confirmed coin or one in the node's mempool, at times one spent before.
    pub(crate) fn pay_somebody(&mut self, node: usize) {
        if self.nodes[node].host.is_none() {
            return;
        }
        let person = 1 + self.rng.below(u64::from(PEOPLE)) as u8;
        let to = 1 + self.rng.below(u64::from(PEOPLE)) as u8;
        let coins = self.replica(node).state().coins_of(&address(person));
        let Some(&coin) = self.rng.pick(&coins) else { return };
        if coin.1.output.amount < Amount(3) {
            return;
        }
        let chain = self.chain.clone();
        let tx = super::pay(&chain, person, coin, to, 1 + coin.1.output.amount.0 / 3);
        let change = tx.made().nth(1);
        let tx = match (self.rng.below(4), change) {
            // A payment out of the change of one that is not confirmed.
            (0, Some((name, output))) if output.amount > Amount(3) => {
                self.submit(node, tx);
                if self.nodes[node].host.is_none() {
                    return; // It crashed over it.
                }
                let height = self.replica(node).state().height().next();
                let coin = (name, synod_ledger::Coin { output, height, coinbase: false });
                super::pay(&chain, person, coin, to, 1)
            }
            (1, _) => self.rng.pick(&self.submitted).cloned().unwrap_or(tx),
            _ => tx,
        };
        self.submit(node, tx);
    }

    pub(crate) fn submit(&mut self, node: usize, tx: Tx) {
        let ticket = self.submitted.len() as u64;
        self.submitted.push(tx.clone());
        self.step(node, Input::Command(Command::Submit { ticket, tx }));
    }

    pub(crate) fn step(&mut self, node: usize, input: Input<Replica>) {
        let mut effects = Vec::new();
        let Some(host) = self.nodes[node].host.as_mut() else { return };
        host.step(self.now, input, |effect| effects.push(effect));
        self.release(node, effects);
    }

    fn act(&mut self, node: usize, life: u64, action: Action) {
        if node == GUEST {
            return self.act_guest(life, action);
        }
        if self.nodes[node].life != life || self.nodes[node].host.is_none() {
            return;
        }
        match action {
            Action::Gossip { from, bytes } => self.on_gossip(node, from, bytes),
            Action::Loaded(key) => {
                let record = self.nodes[node].disk.get(&key);
                let record = record.map(|bytes| wire::decode(bytes).expect("a record comes back"));
                self.step(node, Input::Command(Command::Loaded { key, record }));
            }
            Action::Message { from, bytes } => {
                let message: Message = wire::decode(&bytes).expect("a message comes back");
                match (self.nodes[node].manner, message) {
                    (Manner::Forgetful, Message::GetBlocks(ids)) => self.send(node, from, &Message::Missing(ids)),
                    (_, message) => {
                        self.step(node, Input::Message { from: PeerId(from as u32), message });
                    }
                }
            }
            Action::Mined(job) => {
                if self.nodes[node].job.as_ref().is_some_and(|asked| asked.id == job) {
                    let seen = Seen::Declared { draw: self.rng.next_u64() };
                    self.step(node, Input::Command(Command::Mined { job, seen }));
                }
            }
        }
    }

    fn on_gossip(&mut self, node: usize, from: usize, bytes: Vec<u8>) {
        let id = digest("gossip", &bytes);
        if self.nodes[node].gossip.contains_key(&id) {
            return;
        }
        let item = match wire::decode(&bytes).expect("an item comes back") {
            Parcel::Block(block) => Item::Block(block),
            Parcel::Payment(tx) => Item::Payment(tx),
        };
        self.nodes[node].gossip.insert(id, bytes);
        self.step(node, Input::Command(Command::Gossip { id, from: PeerId(from as u32), item }));
    }

    fn release(&mut self, node: usize, effects: Vec<Effect<Replica>>) {
        for effect in effects {
            if let Some(left) = &mut self.nodes[node].crash_after {
                if *left == 0 {
                    return self.crash(node);
                }
                *left -= 1;
            }
            self.trace.add(&self.now.0.to_le_bytes());
            self.trace.add(&(node as u64).to_le_bytes());
            self.release_one(node, effect);
        }
    }

    fn release_one(&mut self, node: usize, effect: Effect<Replica>) {
        match effect {
            Effect::Broadcast { to, message } => {
                for peer in to {
                    self.send(node, peer.0 as usize, &message);
                }
            }
            Effect::Send { to, message } => self.send(node, to.0 as usize, &message),
            Effect::Persist { key, record } => {
                let bytes = wire::encode(&record);
                assert_eq!(bytes.len(), record.encoded_len(), "a record knows its length");
                self.trace.add(&bytes);
                self.nodes[node].disk.insert(key, bytes);
            }
            Effect::Forget(key) => {
                self.nodes[node].disk.remove(&key);
            }
            Effect::Reject { reason, .. } => {
                self.trace.add(reason.name().as_bytes());
                *self.rejects.entry(reason.name()).or_default() += 1;
            }
            Effect::Emit(event) => {
                self.trace.add(alloc::format!("{event:?}").as_bytes());
                self.on_event(node, event);
            }
            Effect::Cancel(_) | Effect::Set { .. } => panic!("the host keeps timers to itself"),
        }
    }

    fn on_event(&mut self, node: usize, event: Event) {
        match event {
            Event::Load(key) => {
                let at = self.now + Duration::from_micros(200 + self.rng.below(1_000));
                self.schedule(node, at, Action::Loaded(key));
            }
            Event::Mine(job) => {
                self.nodes[node].job = job;
                let Some(job) = &self.nodes[node].job else { return };
                let (id, hashes) = (job.id, crate::pow::work(job.target).to::<u64>() as f64);
                let uniform = (self.rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
                let secs = -(1.0 - uniform).ln() * hashes / self.nodes[node].hash_rate;
                self.schedule(node, self.now + Duration::from_secs_f64(secs.min(1e6)), Action::Mined(id));
            }
            Event::Publish(item) => {
                let bytes = match item {
                    Item::Block(block) => wire::encode(&Parcel::Block(block)),
                    Item::Payment(tx) => wire::encode(&Parcel::Payment(tx)),
                };
                let id = digest("gossip", &bytes);
                self.nodes[node].gossip.insert(id, bytes.clone());
                self.flood(node, &bytes);
            }
            Event::Submitted { ticket, result } => match result {
                Ok(id) => {
                    let tx = self.submitted[ticket as usize].clone();
                    assert_eq!(tx.id(), id);
                    self.acknowledged.insert(id, (node, tx));
                }
                Err(_) => self.refused += 1,
            },
            Event::Verdict { id, verdict } => {
                assert!(verdict != Verdict::Reject, "honest peers gossip nothing that is to be held against them");
                if verdict == Verdict::Accept {
                    // A test may have put an item in from outside.
                    let Some(bytes) = self.nodes[node].gossip.get(&id).cloned() else { return };
                    self.flood(node, &bytes);
                }
            }
            Event::Tip { .. } => self.check_money(node),
            Event::Conflict(_) | Event::Pooled(_) => {}
            Event::Evidence(_)
            | Event::Offence(_)
            | Event::Primary { .. }
            | Event::Replied { .. }
            | Event::Stuck { .. }
            | Event::Violation(_) => {}
        }
    }

    fn flood(&mut self, node: usize, bytes: &[u8]) {
        for other in 0..self.nodes.len() {
            if other != node {
                self.carry(node, other, bytes, |from, bytes| Action::Gossip { from, bytes });
            }
        }
        if self.guest.linked.contains(&node) {
            self.carry(node, GUEST, bytes, |from, bytes| Action::Gossip { from, bytes });
        }
    }

    pub(super) fn send(&mut self, node: usize, to: usize, message: &Message) {
        if node != GUEST && self.nodes[node].manner == Manner::Silent && !matches!(message, Message::Tip(_)) {
            return;
        }
        let bytes = wire::encode(message);
        assert_eq!(bytes.len(), message.encoded_len(), "a message knows its length");
        assert!(bytes.len() <= Message::BYTES_MAX);
        self.carry(node, to, &bytes, |from, bytes| Action::Message { from, bytes });
    }

    fn carry(&mut self, from: usize, to: usize, bytes: &[u8], action: impl Fn(usize, Vec<u8>) -> Action) {
        self.trace.add(bytes);
        if !self.is_linked(from, to) {
            return;
        }
        if self.rng.below(100) < self.links.drop_percent {
            return;
        }
        let copies = if self.rng.below(100) < self.links.duplicate_percent { 2 } else { 1 };
        for _ in 0..copies {
            let delay = 1 + self.rng.below(self.links.delay_ms_max * 1_000);
            self.schedule(to, self.now + Duration::from_micros(delay), action(from, bytes.to_vec()));
        }
    }

    /// Whether what one sends comes to the other.
    fn is_linked(&self, from: usize, to: usize) -> bool {
        match (from, to) {
            (GUEST, node) | (node, GUEST) => self.guest.linked.contains(&node) && self.nodes[node].host.is_some(),
            _ => self.group[from] == self.group[to] && self.nodes[to].host.is_some(),
        }
    }

    fn schedule(&mut self, node: usize, at: Time, action: Action) {
        self.sequence += 1;
        let life = if node == GUEST { self.guest_life() } else { self.nodes[node].life };
        self.queue.insert((at, self.sequence), (node, life, action));
    }
}

// What must hold, seen from outside.
impl World {
    /// The best chain of a node, the genesis first, as its disk has it.
    pub(crate) fn chain_of(&self, node: usize) -> Vec<Block> {
        let mut blocks = Vec::new();
        let mut at: BlockId = self.replica(node).tip();
        while at != self.chain.id() {
            let bytes = &self.nodes[node].disk[&Record::body_key(at)];
            let Record::Body(block) = wire::decode(bytes).expect("a record comes back") else {
                panic!("a body lies where bodies lie")
            };
            at = block.header().parent;
            blocks.push(block);
        }
        blocks.reverse();
        blocks
    }

    /// Money is conserved, and the coins are those that the chain on disk makes.
    pub(crate) fn check_money(&self, node: usize) {
        let replica = self.replica(node);
        assert_eq!(replica.state().audit(), replica.state().supply(), "node {node}: the coins add up to the supply");
        let issued = self.chain.rules().issued(replica.state().height());
        let expected = self.chain.state().supply().checked_add(issued);
        assert_eq!(Some(replica.state().supply()), expected, "node {node}: every miner claimed what it could");
        replica.mempool().check();
    }

    /// Every acknowledged payment is on its node's disk or chain, or conflicts with the chain; with `decided`, one of
    /// the last two.
    pub(crate) fn check_acknowledged(&self, decided: bool) {
        let mut chains: BTreeMap<usize, (BTreeSet<TxId>, BTreeMap<OutPoint, TxId>)> = BTreeMap::new();
        for (id, (node, tx)) in &self.acknowledged {
            if self.nodes[*node].host.is_none() || !self.replica(*node).is_settled() {
                continue;
            }
            let (confirmed, spent) = chains.entry(*node).or_insert_with(|| {
                let mut confirmed = BTreeSet::new();
                let mut spent = BTreeMap::new();
                for block in self.chain_of(*node) {
                    for tx in block.payments() {
                        confirmed.insert(tx.id());
                        spent.extend(tx.inputs.iter().map(|input| (input.coin, tx.id())));
                    }
                }
                (confirmed, spent)
            });
            let is_confirmed = confirmed.contains(id);
            let conflicts = self.conflicts(tx, confirmed, spent);
            // A rival that a block confirmed and a reorganisation took back waits in its place: one of them will be
            // confirmed, and which one is for the next blocks to say.
            let pool = self.replica(*node).mempool();
            let waits = pool.contains(id) || tx.inputs.iter().any(|input| pool.is_spent(&input.coin).is_some());
            let on_disk = self.nodes[*node].disk.contains_key(&Record::payment_key(*id));
            assert!(is_confirmed || conflicts || (waits && on_disk), "node {node} lost payment {id}");
            assert!(!decided || is_confirmed || conflicts, "payment {id} of node {node} is never confirmed");
        }
    }

    /// Whether a coin it needs is spent by another payment on the chain, or will never be made.
    fn conflicts(&self, tx: &Tx, confirmed: &BTreeSet<TxId>, spent: &BTreeMap<OutPoint, TxId>) -> bool {
        tx.inputs.iter().any(|input| {
            let is_taken = spent.get(&input.coin).is_some_and(|spender| *spender != tx.id());
            let parent = self.submitted.iter().find(|parent| parent.id() == input.coin.tx);
            is_taken
                || parent
                    .is_some_and(|parent| !confirmed.contains(&parent.id()) && self.conflicts(parent, confirmed, spent))
        })
    }

    /// All nodes that are up have one tip and one state.
    pub(crate) fn check_agreement(&self) {
        let up: Vec<usize> = (0..self.nodes.len()).filter(|&node| self.nodes[node].host.is_some()).collect();
        let first = self.replica(up[0]);
        for &node in &up {
            let replica = self.replica(node);
            let heights = (replica.state().height(), first.state().height());
            assert!(replica.is_settled(), "node {node} is not settled at {:?}", heights.0);
            assert_eq!(replica.tip(), first.tip(), "nodes {node} and {} are at {heights:?}", up[0]);
            assert!(replica.state() == first.state(), "node {node} has other coins on the same tip");
            self.check_money(node);
        }
    }

    /// Lets the network come to rest: no payment is made, and towards the end one miner alone breaks all ties.
    pub(crate) fn settle(&mut self) {
        self.run_secs(45);
        let last = self.nodes.len() - 1;
        for node in &mut self.nodes[..last] {
            node.job = None;
            node.hash_rate = 1e-12;
        }
        self.run_secs(30);
        self.nodes[last].job = None;
        self.nodes[last].hash_rate = 1e-12;
        self.run_secs(45);
    }
}
