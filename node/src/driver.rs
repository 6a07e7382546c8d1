//! The engine: one thread that owns the peer and its disk.
//!
//! It takes all inputs that wait and lets the peer step on each. What the steps want kept goes to the disk thread in
//! one transaction, and only when that is durable are their other effects released, in order. So nothing is sent,
//! forwarded or acknowledged before what precedes it is on disk, one sync pays for many steps, and the engine steps on
//! meanwhile.

mod archive;
mod disk;
mod links;
mod release;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use synod_consensus::{Command as ReplicaCommand, GossipId, Item, Message as ReplicaMessage, Seen, SubmitError};
use synod_dht::neighbours::Command as NeighboursCommand;
use synod_ledger::{Block, Tx, TxId};
use synod_machine::{Host, Input, Protocol, Reject, Time, WireError, wire};
use synod_peer::{Command, Message, Peer, Record};
use tokio::sync::{mpsc, oneshot, watch};

pub use self::archive::Records;
use self::disk::{Batch, Disk};
use self::links::Links;
pub use self::release::writes;
use crate::api::types::{ApiEvent, RefusedPeer};
use crate::handle::{EngineRequest, NodeHandle, NodeInfo, View};
use crate::miner::{Found, Miner};
use crate::net::{
    FrameRefusal, GossipRefusal, MessageAcceptance, MessageId, NetCommand, NetEvent, Network, PeerId, Topic,
};
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
    tickets: u64,
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
            links: Links::default(),
            effects,
            follow_up: VecDeque::new(),
            gossip: BTreeMap::new(),
            submits: BTreeMap::new(),
            tickets: 0,
            info_taken: None,
            clock,
        })
    }

    async fn serve(&mut self) -> Result<(), EngineError> {
        let mut ready = false;
        loop {
            self.flush().await?;
            if !ready && self.host.protocol().replica().is_settled() {
                ready = true;
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
        if payments.len() > 1 {
            self.host.protocol().replica().check_ahead(&payments);
        }
        for happening in batch {
            self.take(happening);
        }
    }

    /// Decodes what came from a peer.
    fn read(&mut self, happening: Happening) -> Happening {
        match happening {
            Happening::Net(NetEvent::Frame { peer, bytes }) => match wire::decode::<Message>(&bytes) {
                Ok(message) => Happening::Message { peer, message },
                Err(error) => Happening::Garbage { peer, reason: reason_of(error) },
            },
            other => other,
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

    fn on_net(&mut self, event: NetEvent) {
        match event {
            NetEvent::DialFailed { peer, error } => {
                tracing::debug!(%peer, %error, "dial failed");
                self.on_identity(peer, NeighboursCommand::Failed);
            }
            NetEvent::Discovered { peer, addresses } => {
                self.on_contact(peer, &addresses, NeighboursCommand::Discovered);
            }
            NetEvent::Down { peer } => self.on_down(peer),
            // Read before, as a message.
            NetEvent::Frame { .. } => {}
            NetEvent::FrameRefused { peer, reason } => self.punish_bytes(
                peer,
                match reason {
                    FrameRefusal::Malformed => Reject::Malformed,
                    FrameRefusal::Oversized => Reject::Oversized,
                },
            ),
            NetEvent::Gossip { id, source, topic, bytes } => self.on_gossip(id, source, topic, &bytes),
            NetEvent::GossipRefused { source, reason: GossipRefusal::Oversized } => {
                self.punish_bytes(source, Reject::Oversized);
            }
            NetEvent::Listening(address) => {
                let address = address.to_string();
                if !self.parts.info.listen.contains(&address) {
                    self.parts.info.listen.push(address);
                }
            }
            NetEvent::Refused { peer, reason } => self.on_refused(peer, reason),
            NetEvent::Rtt { .. } => {}
            NetEvent::Up { peer, address, outbound, .. } => self.on_up(peer, &address, outbound),
        }
    }

    fn on_up(&mut self, peer: PeerId, address: &crate::net::Multiaddr, outbound: bool) {
        tracing::info!(%peer, %address, outbound, "connected");
        // Where an inbound peer came from is not where it listens.
        let addresses = if outbound { vec![address.clone()] } else { Vec::new() };
        self.on_contact(peer, &addresses, NeighboursCommand::Connected);
        let handle = self.links.up(peer);
        self.step(Input::PeerUp(handle));
        self.parts.handle.publish(ApiEvent::Peer { peer_id: peer.to_string(), up: true });
    }

    fn on_down(&mut self, peer: PeerId) {
        tracing::info!(%peer, "disconnected");
        self.on_identity(peer, NeighboursCommand::Disconnected);
        if let Some(handle) = self.links.down(&peer) {
            self.step(Input::PeerDown(handle));
        }
        self.parts.handle.publish(ApiEvent::Peer { peer_id: peer.to_string(), up: false });
    }

    fn on_refused(&mut self, peer: PeerId, reason: String) {
        tracing::warn!(%peer, %reason, "refused");
        self.on_identity(peer, NeighboursCommand::Refused);
        let peer_id = peer.to_string();
        let refused = &mut self.parts.info.refused;
        match refused.iter_mut().find(|other| other.peer_id == peer_id) {
            Some(known) => {
                known.count += 1;
                known.reason.clone_from(&reason);
            }
            None => {
                if refused.len() >= REFUSED_MAX {
                    refused.remove(0);
                }
                refused.push(RefusedPeer { peer_id: peer_id.clone(), reason: reason.clone(), count: 1 });
            }
        }
        self.parts.handle.publish(ApiEvent::Refused { peer_id, reason });
    }

    fn on_identity(&mut self, peer: PeerId, command: impl FnOnce(synod_dht::Identity) -> NeighboursCommand) {
        if let Some(identity) = links::identity_of(&peer) {
            self.command(Command::Neighbours(command(identity)));
        }
    }

    fn on_contact(
        &mut self,
        peer: PeerId,
        addresses: &[crate::net::Multiaddr],
        command: impl FnOnce(synod_dht::Contact) -> NeighboursCommand,
    ) {
        if let Some(contact) = links::contact_of(&peer, addresses) {
            self.command(Command::Neighbours(command(contact)));
        }
    }

    fn on_gossip(&mut self, id: MessageId, source: PeerId, topic: Topic, bytes: &[u8]) {
        let item = match topic {
            Topic::Blocks => wire::decode::<Block>(bytes).map(Item::Block),
            Topic::Transactions => wire::decode::<Tx>(bytes).map(Item::Payment),
        };
        let item = match item {
            Ok(item) => item,
            Err(error) => {
                self.punish_bytes(source, reason_of(error));
                self.links.verdicts.push((id, source, MessageAcceptance::Reject));
                return;
            }
        };
        let Some(name) = links::gossip_id(&id) else { return };
        self.gossip.insert(name, (id, source));
        let from = self.links.handle_or_stranger(&source);
        self.command(Command::Replica(ReplicaCommand::Gossip { id: name, from, item }));
    }

    /// Bytes that no message has: the protocol never sees them, so the host counts them here.
    fn punish_bytes(&mut self, peer: PeerId, reason: Reject) {
        self.host.count_reject(reason);
        self.blame(peer, reason);
    }

    fn blame(&mut self, peer: PeerId, reason: Reject) {
        if !reason.is_fault() {
            tracing::debug!(%peer, %reason, "rejected");
            return;
        }
        let faults = self.links.blame(&peer);
        if faults <= FAULTS_LOGGED_MAX {
            tracing::warn!(%peer, %reason, "rejected: no honest peer of this chain and version sends this");
        }
        if faults == FAULTS_MAX {
            tracing::warn!(%peer, %reason, "disconnecting: too many faults");
            self.links.dismissed.push(peer);
        }
    }

    fn on_request(&mut self, request: EngineRequest) {
        match request {
            EngineRequest::Query(question) => {
                self.refresh_info();
                question(&View::new(self.host.protocol().replica(), self.host.counters(), &self.parts.info));
            }
            EngineRequest::SetFaults { faults, reply } => {
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
        let replica = self.host.protocol().replica();
        let info = &mut self.parts.info;
        info.hash_rate = self.parts.miner.hash_rate() as f64;
        info.hashes_total = self.parts.miner.hashes_total();
        info.peers = self.links.infos(&self.parts.network.peers(), |handle| Some(replica.claim(handle)?.height));
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
