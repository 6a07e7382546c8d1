//! The engine: one thread that owns the peer and its disk.
//!
//! It takes all inputs that wait and lets the peer step on each. What the steps want kept goes to the disk thread in
//! one transaction, and only when that is durable are their other effects released, in order. So nothing is sent,
//! forwarded or acknowledged before what precedes it is on disk, one sync pays for many steps, and the engine steps on
//! meanwhile.

mod archive;
mod discover;
mod disk;
mod links;
mod network;
mod overlays;
mod release;
mod share;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use synod_consensus::{Command as ReplicaCommand, GossipId, Message as ReplicaMessage, Seen, SubmitError};
use synod_dht::Contact;
use synod_ledger::{Tx, TxId};
use synod_machine::{Host, Input, Protocol, Reject, Time, WireError, wire};
use synod_peer::{Command, Keeper, Message, Peer, Record};
use tokio::sync::{mpsc, oneshot, watch};

pub use self::archive::Records;
use self::disk::{Batch, Disk};
use self::links::Links;
pub use self::release::writes;
use crate::config::{DhtKind, OverlaysConfig};
use crate::handle::{EngineRequest, NodeHandle, NodeInfo, Overlays, View};
use crate::miner::{Found, Miner};
use crate::net::{MessageId, NetCommand, NetEvent, Network, PeerId};
use crate::store::{Store, StoreError};

/// Inputs that are taken into one batch, so that no effect waits for ever behind more input.
const BATCH_MAX: usize = 512;
/// Effects that may wait for the disk; beyond that no more input is taken until it has caught up.
const EFFECTS_MAX: usize = 8_192;
/// Faults that only a broken or hostile peer commits; at this many it is disconnected.
const FAULTS_MAX: u32 = 10;
/// So many of one connection's faults are logged as warnings, so that a flood of them does not fill the disk.
const FAULTS_LOGGED_MAX: u32 = 3;
/// Refused peers that are remembered to be shown.
const REFUSED_MAX: usize = 64;
/// How old the neighbours' figures may be that a question sees.
const INFO_AGE_MAX: Duration = Duration::from_millis(200);

/// What the engine is made of.
pub(crate) struct Parts {
    /// The chain's first instant, in milliseconds since 1970.
    pub(crate) genesis_unix_ms: u64,
    /// What the peer is made from.
    pub(crate) params: synod_peer::Params,
    /// The peer's disk.
    pub(crate) store: Arc<Store>,
    /// The connections.
    pub(crate) network: Arc<Network>,
    /// What comes from them.
    pub(crate) net_events: mpsc::Receiver<NetEvent>,
    /// What the API asks.
    pub(crate) requests: mpsc::UnboundedReceiver<EngineRequest>,
    /// Where the API's subscribers are told.
    pub(crate) handle: NodeHandle,
    /// Who grinds.
    pub(crate) miner: Miner,
    /// What the miner finds.
    pub(crate) found: mpsc::UnboundedReceiver<Found>,
    /// What is known of the node itself.
    pub(crate) info: NodeInfo,
    /// Which overlays it takes part in.
    pub(crate) overlays: OverlaysConfig,
    /// Whether it was told of nobody to begin with.
    pub(crate) is_first: bool,
    /// What the overlays' choices are drawn from.
    pub(crate) seed: (u64, u64),
    /// Becomes true when the node is to stop.
    pub(crate) stop: watch::Receiver<bool>,
    /// Told once the chain has been read from disk.
    pub(crate) ready: oneshot::Sender<()>,
}

/// Why the engine ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The network's task ended: a mistake of ours.
    #[error("the network task has ended")]
    Network,
    /// The disk failed. What was acknowledged is on it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// One thing that happened outside.
enum Happening {
    Durable(Result<Batch, StoreError>),
    FollowUp(Command),
    Found(Found),
    Garbage { peer: PeerId, reason: Reject },
    Message { peer: PeerId, message: Message },
    Net(NetEvent),
    Request(EngineRequest),
    Stop,
    Timer,
}

/// The payments that come in by it.
fn payments_of(happening: &Happening) -> &[Tx] {
    match happening {
        Happening::Message { message: Message::Replica(message), .. } => match message {
            ReplicaMessage::Payments(payments) => payments,
            ReplicaMessage::Request(tx) => std::slice::from_ref(tx),
            _ => &[],
        },
        Happening::Request(EngineRequest::Submit { tx, .. }) => std::slice::from_ref(tx),
        _ => &[],
    }
}

struct Engine {
    parts: Parts,
    host: Host<Peer>,
    links: Links,
    disk: Disk,
    /// Effects in order, which wait for the disk.
    effects: Batch,
    /// Commands that follow from effects that were released.
    follow_up: VecDeque<Command>,
    gossip: BTreeMap<GossipId, (MessageId, PeerId)>,
    /// Who waits for which ticket.
    submits: BTreeMap<u64, oneshot::Sender<Result<TxId, SubmitError>>>,
    /// Who waits for which answer of the overlays.
    askers: BTreeMap<u64, discover::Asker>,
    tickets: u64,
    share: share::Share,
    info_taken: Option<Instant>,
    clock: Clock,
}

/// Runs the engine on this thread until it is told to stop or the disk fails.
pub(crate) fn run(parts: Parts) -> Result<(), EngineError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("a runtime without I/O needs nothing from the system");
    runtime.block_on(async {
        let mut engine = Engine::start(parts)?;
        engine.serve().await
    })
}

impl Engine {
    fn start(mut parts: Parts) -> Result<Self, EngineError> {
        let clock = Clock { genesis_unix_ms: parts.genesis_unix_ms };
        let mut failure = None;
        let disk = parts.store.hot::<Record>()?.map_while(|record| record.map_err(|error| failure = Some(error)).ok());
        let mut links = Links::new(parts.network.local(), parts.network.listen());
        parts.params.discovery = overlays::params(&parts.overlays, &mut links, parts.seed, parts.is_first);
        let peer = Peer::restore(parts.params.clone(), disk);
        if let Some(error) = failure {
            return Err(error.into());
        }
        parts.info.listen = parts.network.listen().iter().map(ToString::to_string).collect();
        let mut effects = Vec::new();
        let host = Host::start(peer, clock.now(), |effect| effects.push(effect));
        Ok(Self {
            disk: Disk::start(Arc::clone(&parts.store)),
            parts,
            host,
            links,
            effects,
            follow_up: VecDeque::new(),
            gossip: BTreeMap::new(),
            submits: BTreeMap::new(),
            askers: BTreeMap::new(),
            tickets: 0,
            share: share::Share::default(),
            info_taken: None,
            clock,
        })
    }

    async fn serve(&mut self) -> Result<(), EngineError> {
        let mut ready = false;
        loop {
            self.flush().await?;
            if !ready && self.host.protocol().keeper().is_settled() {
                ready = true;
                self.provide_stored();
                let (unused, _) = oneshot::channel();
                // Whoever waited may have been interrupted.
                let _ = std::mem::replace(&mut self.parts.ready, unused).send(());
            }
            match self.next().await {
                Happening::Durable(batch) => {
                    self.release_all(batch?).await?;
                    continue;
                }
                Happening::Stop => {
                    self.parts.miner.set_job(None);
                    return Ok(());
                }
                happening => self.take_all(happening),
            }
            self.fire();
        }
    }

    async fn next(&mut self) -> Happening {
        let now = self.clock.now();
        // With no timer set there is still a look once in a while, which costs nothing.
        let wait = self.host.next_deadline().map_or(Duration::from_secs(60), |at| at.since(now));
        let parts = &mut self.parts;
        let has_room = self.effects.len() < EFFECTS_MAX;
        tokio::select! {
            biased;
            _ = parts.stop.wait_for(|&stop| stop) => Happening::Stop,
            batch = self.disk.durable(), if self.disk.is_busy() => Happening::Durable(batch),
            () = std::future::ready(()), if !self.follow_up.is_empty() => {
                Happening::FollowUp(self.follow_up.pop_front().expect("just looked"))
            }
            Some(found) = parts.found.recv() => Happening::Found(found),
            Some(event) = parts.net_events.recv(), if has_room => Happening::Net(event),
            Some(request) = parts.requests.recv(), if has_room => Happening::Request(request),
            () = tokio::time::sleep(wait) => Happening::Timer,
        }
    }

    fn next_waiting(&mut self) -> Option<Happening> {
        if let Ok(found) = self.parts.found.try_recv() {
            return Some(Happening::Found(found));
        }
        if self.effects.len() >= EFFECTS_MAX {
            return None;
        }
        if let Ok(event) = self.parts.net_events.try_recv() {
            return Some(Happening::Net(event));
        }
        self.parts.requests.try_recv().ok().map(Happening::Request)
    }

    /// Takes `first` and whatever waits already as one batch.
    fn take_all(&mut self, first: Happening) {
        let mut batch = vec![self.read(first)];
        while batch.len() < BATCH_MAX
            && let Some(happening) = self.next_waiting()
        {
            batch.push(self.read(happening));
        }
        let payments: Vec<Tx> = batch.iter().flat_map(payments_of).cloned().collect();
        if payments.len() > 1
            && let Keeper::Full(replica) = self.host.protocol().keeper()
        {
            replica.check_ahead(&payments);
        }
        for happening in batch {
            self.take(happening);
        }
    }

    /// Decodes what came from a peer.
    fn read(&mut self, happening: Happening) -> Happening {
        match happening {
            Happening::Net(NetEvent::Frame { peer, bytes }) => match wire::decode::<Message<Contact>>(&bytes) {
                Ok(message) => self.name(peer, message),
                Err(error) => Happening::Garbage { peer, reason: reason_of(error) },
            },
            other => other,
        }
    }

    /// Puts this host's names for nodes in the place of contacts.
    fn name(&mut self, peer: PeerId, message: Message<Contact>) -> Happening {
        let mut is_sound = true;
        let own = self.links.own();
        let message = message.map(&mut |contact| {
            self.links.node_of(&contact).unwrap_or_else(|| {
                is_sound = false;
                own
            })
        });
        if is_sound {
            Happening::Message { peer, message }
        } else {
            Happening::Garbage { peer, reason: Reject::Malformed }
        }
    }

    fn take(&mut self, happening: Happening) {
        match happening {
            Happening::Found(Found { job, nonce }) => {
                let seen = Seen::Nonce(nonce);
                self.command(Command::Replica(ReplicaCommand::Mined { job, seen }));
            }
            Happening::Garbage { peer, reason } => self.punish_bytes(peer, reason),
            Happening::Message { peer, message } => {
                if let Some(from) = self.links.handle(&peer) {
                    self.step(Input::Message { from, message });
                }
            }
            Happening::Net(event) => self.on_net(event),
            Happening::Request(request) => self.on_request(request),
            Happening::FollowUp(command) => self.command(command),
            Happening::Durable(_) | Happening::Stop | Happening::Timer => {}
        }
    }

    fn command(&mut self, command: Command) {
        self.step(Input::Command(command));
    }

    fn step(&mut self, input: Input<Peer>) {
        let effects = &mut self.effects;
        self.host.step(self.clock.now(), input, |effect| effects.push(effect));
    }

    fn fire(&mut self) {
        let effects = &mut self.effects;
        self.host.fire(self.clock.now(), |effect| effects.push(effect));
    }

    fn on_request(&mut self, request: EngineRequest) {
        match request {
            EngineRequest::Discovery(request) => self.on_discovery_request(request),
            EngineRequest::Query(question) => {
                self.refresh_info();
                let peer = self.host.protocol();
                let libp2p = self.parts.overlays.dht.contains(&DhtKind::Kademlia);
                let overlays = peer.discovery().map(|machine| Overlays { machine, libp2p, names: &self.links });
                let view = match peer.keeper() {
                    Keeper::Full(replica) => View::full(replica, self.host.counters(), &self.parts.info),
                    Keeper::Light(light) => View::light(light, self.host.counters(), &self.parts.info),
                };
                question(&View { overlays, ..view });
            }
            EngineRequest::SetFaults { faults, resting, reply } => {
                self.parts.miner.set_resting(resting);
                self.parts.info.resting = resting;
                self.links.shape = Some(faults.clone());
                self.parts.info.faults = faults;
                self.links.shape_replies.push(reply);
            }
            EngineRequest::Submit { tx, reply } => {
                self.tickets += 1;
                self.submits.insert(self.tickets, reply);
                self.command(Command::Replica(ReplicaCommand::Submit { ticket: self.tickets, tx }));
            }
        }
    }

    fn refresh_info(&mut self) {
        if self.info_taken.is_some_and(|taken| taken.elapsed() < INFO_AGE_MAX) {
            return;
        }
        self.info_taken = Some(Instant::now());
        let keeper = self.host.protocol().keeper();
        let info = &mut self.parts.info;
        info.hash_rate = self.parts.miner.hash_rate() as f64;
        info.hashes_total = self.parts.miner.hashes_total();
        info.peers = self.links.infos(&self.parts.network.peers(), |handle| Some(keeper.claim(handle)?.height));
    }

    /// Sends what waits on its way: to the disk, if that is free, or straight out where nothing is to be written.
    async fn flush(&mut self) -> Result<(), EngineError> {
        while !self.disk.is_busy() && (!self.effects.is_empty() || self.links.has_words()) {
            let batch = std::mem::take(&mut self.effects);
            if batch.iter().any(release::is_write) {
                self.disk.write(batch);
            } else {
                self.release_all(batch).await?;
            }
        }
        Ok(())
    }

    /// Releases a durable batch.
    async fn release_all(&mut self, batch: Batch) -> Result<(), EngineError> {
        for effect in batch {
            self.release(effect).await?;
        }
        self.release_links().await
    }

    async fn send(&self, command: NetCommand) -> Result<(), EngineError> {
        self.parts.network.commands().send(command).await.map_err(|_| EngineError::Network)
    }
}

const fn reason_of(error: WireError) -> Reject {
    match error {
        WireError::Malformed => Reject::Malformed,
        WireError::Oversized { .. } => Reject::Oversized,
    }
}

/// The wall clock on the chain's scale.
struct Clock {
    genesis_unix_ms: u64,
}

impl Clock {
    /// Now; the genesis's instant if the clock stands before it.
    fn now(&self) -> Time {
        let genesis = UNIX_EPOCH + Duration::from_millis(self.genesis_unix_ms);
        Time::ZERO + SystemTime::now().duration_since(genesis).unwrap_or_default()
    }
}
