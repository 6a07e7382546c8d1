//! The experiment: whole peers on one simulated chain, who mine, pay, crash and come back as a plan says.

mod clients;
mod deeds;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use synod_consensus::{Chain, Command as ReplicaCommand, Event as ReplicaEvent, Seen, SubmitError, Violation};
use synod_ledger::{Block, BlockId, CompactTarget, Tx, TxId};
use synod_machine::{PeerId, Reject, Rng, Time};
use synod_peer::{Behaviour, Command, Event, GossipParams, KeeperParams, Params, Peer, Record};
use synod_sim::model::Turn;
use synod_sim::{Experiment, NetOf, Setup, Tail, World};

use crate::config::Arrivals;
use crate::forge::spend_confirmed;
use crate::observe::Observed;
use crate::payer::{Order, Payer, signer};
use crate::race::Race;
use crate::{Comings, Plan};

/// Reading a record takes so long.
const LOAD_TIME: Duration = Duration::from_micros(100);
/// Peers start within so long of each other, so that they do not all act in one instant.
const START_WITHIN: Duration = Duration::from_secs(1);
/// A rival payment is submitted so long after the first.
const RIVAL_AFTER: Duration = Duration::from_millis(1);

/// What the trial wants to be reminded of.
#[derive(Clone, Debug, PartialEq)]
pub enum Alarm {
    /// A peer that comes and goes does so; its place in the list.
    Churn(usize, Turn),
    /// A client pays.
    Client(u32),
    /// The plan's deed of that number is due.
    Deed(usize),
    /// Somebody pays.
    Pay,
    /// A seal is found, if the clock was not wound anew since.
    Seal(u64),
    /// The second of two payments that spend the same coins.
    Rival(Tx),
    /// The peer at which a client handed its payment in with this ticket should have answered.
    Unheard(u64),
}

/// What became of a payment that was handed in.
#[derive(Clone, Debug)]
pub struct Acknowledged {
    /// The payment.
    pub tx: Tx,
    /// The peer that acknowledged it.
    pub by: PeerId,
    /// When.
    pub at: Time,
}

/// The trial.
pub struct Trial {
    pub(crate) plan: Arc<Plan>,
    pub(crate) observed: Observed,
    race: Race,
    /// Which winding of the race's clock counts.
    winding: u64,
    /// Whether no more blocks are wanted.
    is_over: bool,
    payer: Payer,
    rng: Rng,
    orders: HashMap<u64, Tx>,
    tickets: u64,
    /// Which client waits for which payment, from when it is handed in until it is committed.
    waiting: HashMap<TxId, u32>,
    pub(crate) acknowledged: BTreeMap<TxId, Acknowledged>,
    /// Payments that a peer refused, by reason.
    pub(crate) refused: BTreeMap<&'static str, u64>,
    /// What peers held against each other: who, against whom, why.
    pub(crate) rejects: BTreeMap<(PeerId, Reject), u64>,
    /// Payments that clients accepted f + 1 replies about.
    replied: u64,
    /// Two certified blocks of one height, and who saw that.
    violations: Vec<(PeerId, Violation)>,
    churn: Vec<(PeerId, Comings)>,
    /// Peers that a deed stopped: churn does not start them.
    held: BTreeSet<PeerId>,
    /// Who was dishonest once, and how each of them behaves now.
    turned: BTreeMap<PeerId, Behaviour>,
}

impl Trial {
    /// A world in which nothing has happened yet and the plan's beginning is scheduled.
    pub fn world(plan: Plan) -> World<Self> {
        let setup = Setup {
            seed: plan.seed,
            graph: plan.graph.clone(),
            links: plan.links.clone(),
            disk_sync: plan.disk_sync,
            codec: plan.codec,
        };
        let mut world = World::new(setup, Self::new(plan));
        let (trial, net) = world.parts_mut();
        trial.begin(net);
        world
    }

    fn new(plan: Plan) -> Self {
        // Where blocks are not found, nobody races for them.
        let (rate, target) = match plan.chain.pow() {
            Some(pow) => (plan.hash_rate / pow.block_time().as_secs_f64(), pow.params().target),
            None => (0.0, CompactTarget::MAX),
        };
        Self {
            race: Race::new(plan.seed, &plan.power, rate, target),
            observed: Observed::new(&plan),
            winding: 0,
            is_over: false,
            payer: Payer::new(plan.seed, &plan.chain, &plan.load),
            rng: Rng::new(plan.seed, 0, "trial"),
            orders: HashMap::new(),
            tickets: 0,
            waiting: HashMap::new(),
            acknowledged: BTreeMap::new(),
            refused: BTreeMap::new(),
            rejects: BTreeMap::new(),
            replied: 0,
            violations: Vec::new(),
            churn: plan.churn.clone(),
            held: BTreeSet::new(),
            turned: BTreeMap::new(),
            plan: Arc::new(plan),
        }
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The chain.
    pub fn chain(&self) -> &Arc<Chain> {
        &self.plan.chain
    }

    /// What was seen so far.
    pub const fn observed(&self) -> &Observed {
        &self.observed
    }

    /// Payments that a peer acknowledged, by id.
    pub const fn acknowledged(&self) -> &BTreeMap<TxId, Acknowledged> {
        &self.acknowledged
    }

    /// What peers held against each other: against whom, why, how often.
    pub const fn rejects(&self) -> &BTreeMap<(PeerId, Reject), u64> {
        &self.rejects
    }

    /// How many payments clients accepted f + 1 replies about.
    pub const fn replied(&self) -> u64 {
        self.replied
    }

    /// Who saw two certified blocks of one height, and which.
    pub fn violations(&self) -> &[(PeerId, Violation)] {
        &self.violations
    }

    /// Who was dishonest once, validators that are so from the beginning among them.
    pub fn turned(&self) -> impl Iterator<Item = PeerId> + '_ {
        self.turned.keys().chain(self.plan.adversaries.keys()).copied()
    }

    /// Lets nobody find a block any more, or lets them again.
    pub fn set_mining(&mut self, net: &mut NetOf<Self>, is_on: bool) {
        self.is_over = !is_on;
        self.wind(net);
    }

    fn begin(&mut self, net: &mut NetOf<Self>) {
        let absent: BTreeSet<PeerId> = self.plan.absent.iter().copied().collect();
        let away = self.churn.iter().filter(|(_, comings)| !comings.is_up_first()).map(|(peer, _)| *peer);
        let late: BTreeSet<PeerId> = away.chain(absent).collect();
        for peer in net.peers().filter(|peer| !late.contains(peer)) {
            let within = self.rng.below(START_WITHIN.as_nanos() as u64);
            net.start(Time(within), peer);
        }
        for (number, (at, _)) in self.plan.deeds.iter().enumerate() {
            net.alarm(*at, Alarm::Deed(number));
        }
        for place in 0..self.churn.len() {
            self.next_turn(net, place);
        }
        if self.plan.load.rate > 0.0 {
            net.alarm(self.plan.load.from, Alarm::Pay);
        }
        self.begin_clients(net);
        self.wind(net);
    }

    fn wind(&mut self, net: &mut NetOf<Self>) {
        self.winding += 1;
        if self.race.is_on() && !self.is_over {
            net.alarm(net.now() + self.race.wait(), Alarm::Seal(self.winding));
        }
    }

    fn on_seal(&mut self, net: &mut NetOf<Self>) {
        let winner = self.race.winner();
        let job = net.protocol(winner).and_then(|peer| peer.replica().job()).map(|job| (job.id, job.target));
        if self.race.counts(job.map(|(_, target)| target))
            && let Some((job, _)) = job
        {
            let seen = Seen::Declared { draw: self.race.draw() };
            net.command(net.now(), winner, Command::Replica(ReplicaCommand::Mined { job, seen }));
        }
        if self.race.is_slack() {
            let jobs = net.peers().filter_map(|peer| Some(net.protocol(peer)?.replica().job()?.target));
            self.race.tighten(jobs.collect::<Vec<_>>().into_iter());
        }
        self.wind(net);
    }

    fn on_pay(&mut self, net: &mut NetOf<Self>) {
        if net.now() > self.plan.load.until || self.is_over {
            return;
        }
        let wait = Duration::from_secs_f64(self.spacing() / self.plan.load.rate);
        net.alarm(net.now() + wait, Alarm::Pay);
        let Some(Order { tx, rival }) = self.payer.order(&self.plan.chain) else { return };
        self.submit(net, tx);
        if let Some(rival) = rival {
            net.alarm(net.now() + RIVAL_AFTER, Alarm::Rival(rival));
        }
    }

    /// What lies between two payments, with a mean of 1.
    fn spacing(&mut self) -> f64 {
        match self.plan.load.arrivals {
            Arrivals::Constant => 1.0,
            Arrivals::Poisson => -(((self.rng.next_u64() >> 11) + 1) as f64 / (1_u64 << 53) as f64).ln(),
        }
    }

    /// Has somebody pay with a coin that is confirmed at a peer, at that peer. Says which payment it is; nothing, where the
    /// peer is down or on its way, or nobody has such a coin there.
    pub fn pay_at(&mut self, net: &mut NetOf<Self>, peer: PeerId) -> Option<Tx> {
        let replica = net.protocol(peer).map(Peer::replica).filter(|replica| replica.is_settled())?;
        let tx = spend_confirmed(replica, self.payer.keys(), self.rng.next_u64())?;
        self.submit_at(net, peer, tx.clone());
        Some(tx)
    }

    /// Hands a payment in at a peer that is drawn among those that are up, and says with which ticket; none, if nobody drawn is.
    fn submit(&mut self, net: &mut NetOf<Self>, tx: Tx) -> Option<u64> {
        let draws: Vec<PeerId> = (0..8).map(|_| PeerId(self.rng.below(net.len() as u64) as u32)).collect();
        let Some(peer) = draws.into_iter().find(|peer| net.is_up(*peer)) else {
            self.payer.refused(&tx.id());
            return None;
        };
        Some(self.submit_at(net, peer, tx))
    }

    /// Hands a payment in at a peer.
    fn submit_at(&mut self, net: &mut NetOf<Self>, peer: PeerId, tx: Tx) -> u64 {
        self.tickets += 1;
        self.orders.insert(self.tickets, tx.clone());
        let command = ReplicaCommand::Submit { ticket: self.tickets, tx };
        net.command(net.now(), peer, Command::Replica(command));
        self.tickets
    }

    fn on_submitted(&mut self, net: &mut NetOf<Self>, by: PeerId, ticket: u64, result: Result<TxId, SubmitError>) {
        let Some(tx) = self.orders.remove(&ticket) else { return };
        match result {
            Ok(id) => {
                self.payer.accepted(&tx);
                self.acknowledged.entry(id).or_insert(Acknowledged { tx, by, at: net.now() });
            }
            Err(error) => {
                self.payer.refused(&tx.id());
                let reason = match error {
                    SubmitError::Halted { .. } => "halted",
                    SubmitError::Loading => "loading",
                    SubmitError::TooMany { .. } => "too_many",
                    SubmitError::Tx(error) => error.reason().name(),
                };
                *self.refused.entry(reason).or_default() += 1;
                self.try_again(net, &tx.id());
            }
        }
    }

    fn next_turn(&mut self, net: &mut NetOf<Self>, place: usize) {
        if let Some((at, turn)) = self.churn[place].1.next() {
            net.alarm(at, Alarm::Churn(place, turn));
        }
    }

    fn on_turn(&mut self, net: &mut NetOf<Self>, place: usize, turn: Turn) {
        // What was scheduled before the network healed is no more.
        let Some(&(peer, _)) = self.churn.get(place) else { return };
        match turn {
            Turn::Down => {
                net.crash(peer, Tail::Kept);
                self.observed.stopped(peer);
            }
            Turn::Up if !self.held.contains(&peer) => net.start(net.now(), peer),
            Turn::Up => {}
        }
        self.next_turn(net, place);
    }

    fn on_replica(&mut self, net: &mut NetOf<Self>, peer: PeerId, event: ReplicaEvent) {
        match event {
            ReplicaEvent::Load(key) => {
                let record = match net.disk(peer).get(&key) {
                    Some(Record::Replica(record)) => Some(record.clone()),
                    Some(Record::Discovery(_) | Record::Neighbours(_)) | None => None,
                };
                let loaded = ReplicaCommand::Loaded { key, record };
                net.command(net.now() + LOAD_TIME, peer, Command::Replica(loaded));
            }
            ReplicaEvent::Mine(Some(job)) => {
                if self.race.on_job(job.target) {
                    self.wind(net);
                }
            }
            ReplicaEvent::Submitted { ticket, result } => self.on_submitted(net, peer, ticket, result),
            ReplicaEvent::Tip { tip, height, depth } => {
                let Some(replica) = net.protocol(peer).map(Peer::replica) else { return };
                self.observed.tip(net.now(), peer, replica, tip, height, depth);
                self.tell_clients(net, peer);
                self.stop_if_done(net);
            }
            ReplicaEvent::Conflict(_) => self.observed.conflicts += 1,
            ReplicaEvent::Offence(_) => self.observed.offences += 1,
            ReplicaEvent::Evidence(evidence) => *self.observed.caught.entry(evidence.by()).or_default() += 1,
            ReplicaEvent::Primary { view, .. } => self.observed.view = self.observed.view.max(view),
            ReplicaEvent::Stuck { height, reason } => self.observed.stuck.push((peer, height, reason)),
            ReplicaEvent::Mine(None) | ReplicaEvent::Pooled(_) => {}
            ReplicaEvent::Replied { .. } => self.replied += 1,
            ReplicaEvent::Violation(violation) => self.violations.push((peer, *violation)),
            // Without a carrier of its own a peer publishes to nobody.
            ReplicaEvent::Publish(_) | ReplicaEvent::Verdict { .. } => {}
        }
    }

    /// Enough blocks end the race; one tip everywhere then ends the run.
    fn stop_if_done(&mut self, net: &mut NetOf<Self>) {
        if self.observed.height() < self.plan.stop.blocks {
            return;
        }
        if !self.is_over {
            self.set_mining(net, false);
        }
        if self.observed.is_agreed() {
            net.stop(format!("all peers are on one tip at height {}", self.observed.height()));
        }
    }
}

impl Experiment for Trial {
    type Protocol = Peer;
    type Alarm = Alarm;

    fn params(&mut self, _: &NetOf<Self>, peer: PeerId) -> Params {
        let plan = &self.plan;
        let own = synod_dht::Identity(synod_machine::Bytes([0; 32]));
        let rng = |role| Rng::new(plan.seed, u64::from(peer.0), role);
        Params {
            behaviour: self.turned.get(&peer).copied().unwrap_or_default(),
            discovery: None,
            gossip: gossip_of(&plan.gossip, peer, rng("gossip")),
            neighbours: synod_dht::neighbours::Params {
                own,
                kept: BTreeSet::new(),
                neighbours_min: 0,
                rng: rng("neighbours"),
            },
            keeper: KeeperParams::Full(synod_consensus::Params {
                chain: plan.chain.clone(),
                limits: plan.limits.clone(),
                miner: (plan.power[peer.0 as usize] > 0).then(|| self.payer.miner(peer)),
                signer: plan.chain.pow().is_none().then(|| signer(peer)),
                behaviour: plan.adversaries.get(&peer).copied().unwrap_or_default(),
                extra: u64::from(peer.0),
            }),
        }
    }

    fn on_alarm(&mut self, net: &mut NetOf<Self>, alarm: Alarm) {
        match alarm {
            Alarm::Churn(place, turn) => self.on_turn(net, place, turn),
            Alarm::Client(client) => self.on_client(net, client),
            Alarm::Deed(number) => {
                let plan = Arc::clone(&self.plan);
                self.act(net, &plan.deeds[number].1);
            }
            Alarm::Pay => self.on_pay(net),
            Alarm::Rival(tx) => {
                self.submit(net, tx);
            }
            Alarm::Seal(winding) => {
                if winding == self.winding {
                    self.on_seal(net);
                }
            }
            Alarm::Unheard(ticket) => self.on_unheard(net, ticket),
        }
    }

    fn on_event(&mut self, net: &mut NetOf<Self>, peer: PeerId, event: Event) {
        match event {
            // Links are the scenario's, and overlays have experiments of their own.
            Event::Discovery(_) | Event::Neighbours(_) => {}
            Event::Replica(event) => self.on_replica(net, peer, event),
        }
    }

    fn on_reject(&mut self, _: &mut NetOf<Self>, _: PeerId, by: PeerId, reason: Reject) {
        *self.rejects.entry((by, reason)).or_default() += 1;
    }

    fn on_start(&mut self, _: &mut NetOf<Self>, peer: PeerId) {
        self.observed.started(peer);
    }
}

/// A block out of a peer's memory or disk.
pub(crate) fn body(net: &NetOf<Trial>, peer: PeerId, id: BlockId) -> Option<Block> {
    let known = net.protocol(peer).and_then(|host| host.replica().block(&id));
    known.or_else(|| match net.disk(peer).get(&synod_consensus::Record::body_key(id))? {
        Record::Replica(synod_consensus::Record::Body(block)) => Some(block.clone()),
        Record::Discovery(_) | Record::Replica(_) | Record::Neighbours(_) => None,
    })
}

/// The plan's gossip with a peer's own number and stream.
fn gossip_of(params: &GossipParams, peer: PeerId, rng: Rng) -> GossipParams {
    let mut params = params.clone();
    match &mut params {
        GossipParams::Flood(flood) => flood.rng = rng,
        GossipParams::Host => {}
        GossipParams::Mesh(mesh) => mesh.rng = rng,
        GossipParams::Rumour(rumour) => {
            rumour.rng = rng;
            rumour.own = peer;
        }
    }
    params
}
