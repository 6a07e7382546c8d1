//! The network task: one loop over the swarm, the engine's commands, the sessions and the clock.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use libp2p::gossipsub::{MessageAcceptance, MessageId, PublishError};
use libp2p::swarm::{ConnectionId, DialError};
use libp2p::{Multiaddr, PeerId, Stream, Swarm};
use libp2p_stream::{Control, IncomingStreams};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::behaviour::{Behaviour, Names};
use super::metrics::Metrics;
use super::outlet::Outlet;
use super::peers::{Kind, Peer, Peers, is_dialable};
use super::provide::Queries;
use super::seek::{Bootstrap, Walks, dial, dial_only};
use super::session::{End, Handle, Session};
use super::shape::Links;
use super::swarm_events::explained;
use super::table::{Entry, Table};
use super::transport::Event;
use super::{Faults, NetCommand, NetConfig, NetEvent, Topic};

/// All that the task owns.
pub(super) struct Task {
    pub(super) config: NetConfig,
    pub(super) names: Names,
    pub(super) local: PeerId,
    pub(super) swarm: Swarm<Behaviour>,
    pub(super) links: Arc<Links>,
    pub(super) control: Control,
    pub(super) outlet: Outlet,
    pub(super) metrics: Metrics,
    pub(super) libp2p_metrics: libp2p::metrics::Metrics,
    pub(super) table: Table,
    pub(super) bootstrap: Bootstrap,
    pub(super) walks: Walks,
    pub(super) peers: Peers,
    pub(super) sessions: JoinSet<(PeerId, End)>,
    /// Where sessions tell that their peer is up.
    pub(super) ups: (mpsc::UnboundedSender<PeerId>, mpsc::UnboundedReceiver<PeerId>),
    /// Dials that were meant: of bootstrap addresses and on command, not a step of a look-up.
    pub(super) meant: BTreeSet<ConnectionId>,
    /// Peers that the engine waits for.
    pub(super) wanted: BTreeSet<PeerId>,
    /// Peers whose connections ended while they were cut off, and where to find them when they no longer are.
    pub(super) lost: BTreeMap<PeerId, Vec<Multiaddr>>,
    /// Messages that nobody was there to hear, oldest first.
    pub(super) unheard: VecDeque<Unheard>,
    /// Look-ups of the engine's in Kademlia.
    pub(super) queries: Queries,
}

/// A message of this node's own that waits for somebody who subscribes to its topic.
pub(super) struct Unheard {
    since: Instant,
    topic: Topic,
    bytes: Vec<u8>,
}

impl Task {
    /// Catches up with what happened while listening began, and tells of the bootstrap peers.
    pub(super) fn begin(&mut self, early: Vec<Event>) {
        for event in early {
            self.on_swarm_event(event);
        }
        for (peer, addresses) in self.bootstrap.named().clone() {
            self.outlet.tell(NetEvent::Discovered { peer, addresses });
        }
    }

    /// Runs until `stop` is dropped or the engine is gone. Everything that it started ends with it.
    pub(super) async fn run(
        mut self,
        mut commands: mpsc::Receiver<NetCommand>,
        accepted: IncomingStreams,
        mut stop: oneshot::Receiver<()>,
    ) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (streams_sender, mut streams) = mpsc::channel(ACCEPTED_MAX);
        let mut acceptor = JoinSet::new();
        acceptor.spawn(forward(accepted, streams_sender));
        loop {
            tokio::select! {
                _ = &mut stop => return,
                event = self.swarm.select_next_some() => self.on_swarm_event(event),
                // All handles' senders may be gone while the handle itself is not.
                Some(command) = commands.recv() => self.on_command(command),
                Some((peer, stream)) = streams.recv() => self.on_stream(peer, stream),
                Some(peer) = self.ups.1.recv() => self.on_up(&peer),
                Some(ended) = self.sessions.join_next() => self.on_session_end(ended),
                told = self.outlet.pass_on() => if !told { return },
                _ = ticks.tick() => self.on_tick(Instant::now()),
            }
        }
    }

    fn on_command(&mut self, command: NetCommand) {
        match command {
            NetCommand::Ban { peer } => {
                self.swarm.behaviour_mut().bans.block_peer(peer);
                self.disconnect(&peer);
            }
            NetCommand::Dial { peer, addresses } => self.on_dial(peer, addresses),
            NetCommand::Disconnect { peer } => self.disconnect(&peer),
            NetCommand::Publish { topic, bytes } => self.on_publish(topic, bytes),
            NetCommand::Send { to, frame } => self.on_send(&to, &frame),
            NetCommand::Shape(faults) => self.on_shape(faults),
            NetCommand::Unban { peer } => {
                self.swarm.behaviour_mut().bans.unblock_peer(peer);
            }
            NetCommand::FindClosest { query, key } => self.on_find_closest(query, &key),
            NetCommand::FindProviders { query, key } => self.on_find_providers(query, &key),
            NetCommand::Provide { key, is_there } => self.on_provide(&key, is_there),
            NetCommand::Verdict { id, source, acceptance } => self.on_verdict(&id, &source, acceptance),
        }
    }

    fn on_dial(&mut self, peer: PeerId, addresses: Vec<Multiaddr>) {
        if self.peers.is_up(&peer) {
            return;
        }
        self.wanted.insert(peer);
        if peer == self.local {
            return self.fail(&peer, "this node itself");
        }
        // A connection that a look-up made will do.
        if self.peers.peers.contains_key(&peer) {
            self.intend(&peer);
        }
        self.dial(peer, addresses);
    }

    /// Dials on purpose. A failure that is known at once is told at once.
    pub(super) fn dial(&mut self, peer: PeerId, mut addresses: Vec<Multiaddr>) {
        addresses.retain(|address| is_dialable(address) && !self.links.escapes(&peer, address));
        // What identify and Kademlia know may be of QUIC, which would win the race and then be refused.
        let options = if self.links.is_shaped(&peer) { dial_only(peer, addresses) } else { dial(peer, addresses) };
        let id = options.connection_id();
        match self.swarm.dial(options) {
            Ok(()) => {
                self.meant.insert(id);
            }
            // Already connected or on the way: what comes of that is the answer.
            Err(DialError::DialPeerConditionFalse(_)) => {}
            Err(error) => self.fail(&peer, &explained(&error)),
        }
    }

    fn on_publish(&mut self, topic: Topic, bytes: Vec<u8>) {
        if bytes.len() > topic.bytes_max(&self.config) {
            tracing::error!(?topic, bytes = bytes.len(), "a message of this node's own is too long to be published");
            self.metrics.gossip_unpublished.inc();
            return;
        }
        let hash = self.names.topic(topic).hash();
        let Some(gossipsub) = self.swarm.behaviour_mut().gossipsub.as_mut() else {
            tracing::error!(?topic, "the engine carries gossip itself, and yet asks for it to be published");
            self.metrics.gossip_unpublished.inc();
            return;
        };
        if !gossipsub.all_peers().any(|(_, topics)| topics.contains(&&hash)) {
            if self.unheard.len() >= UNHEARD_MAX {
                self.unheard.pop_front();
                self.metrics.gossip_unpublished.inc();
            }
            return self.unheard.push_back(Unheard { since: Instant::now(), topic, bytes });
        }
        match gossipsub.publish(hash, bytes) {
            Ok(_) => _ = self.metrics.gossip_published.inc(),
            // It came from elsewhere meanwhile, or was published before: everybody gets it.
            Err(PublishError::Duplicate) => {}
            Err(error) => {
                tracing::debug!(?topic, %error, "not published");
                self.metrics.gossip_unpublished.inc();
            }
        }
    }

    /// Somebody subscribed to a topic: what nobody heard of it is published now.
    pub(super) fn publish_unheard(&mut self, topic: Topic) {
        let now = Instant::now();
        let (ready, waiting): (Vec<_>, Vec<_>) =
            self.unheard.drain(..).partition(|message| message.topic == topic || now - message.since > UNHEARD_KEPT);
        self.unheard = waiting.into();
        for message in ready {
            if now - message.since <= UNHEARD_KEPT {
                self.on_publish(message.topic, message.bytes);
            } else {
                self.metrics.gossip_unpublished.inc();
            }
        }
    }

    fn on_send(&mut self, to: &[PeerId], frame: &Arc<[u8]>) {
        // A session says that it is up before the engine is told, but this task may not have looked yet.
        while let Ok(peer) = self.ups.1.try_recv() {
            self.on_up(&peer);
        }
        let fits = frame.len() <= self.config.frame_bytes_max;
        if !fits {
            tracing::error!(bytes = frame.len(), "a frame of this node's own is too long to be sent");
        }
        for peer in to {
            let session = self.peers.session(peer).filter(|session| session.is_up && fits);
            if !session.is_some_and(|session| session.send(frame)) {
                self.metrics.frames_dropped.inc();
            }
        }
    }

    fn on_shape(&mut self, faults: Faults) {
        let before = self.links.replace(faults.clone());
        let mut escaping = Vec::new();
        for (id, connection) in &self.peers.connections {
            if self.links.escapes(&connection.peer, &connection.address) {
                escaping.push(*id);
            }
        }
        for id in escaping {
            self.close(id);
        }
        for peer in before.cut.difference(&faults.cut) {
            if let Some(addresses) = self.lost.remove(peer) {
                self.dial(*peer, addresses);
            }
        }
    }

    pub(super) fn on_verdict(&mut self, id: &MessageId, source: &PeerId, acceptance: MessageAcceptance) {
        let gossipsub = self.swarm.behaviour_mut().gossipsub.as_mut();
        if !gossipsub.is_some_and(|gossipsub| gossipsub.report_message_validation_result(id, source, acceptance)) {
            self.metrics.verdicts_late.inc();
        }
    }

    fn on_stream(&mut self, peer: PeerId, stream: Stream) {
        let Some(known) = self.peers.peers.get_mut(&peer) else { return };
        match &known.session {
            Some(session) => session.accept(stream),
            None => known.stream = Some(stream),
        }
        self.intend(&peer);
    }

    /// The connection to a peer is more than a step of a look-up.
    pub(super) fn intend(&mut self, peer: &PeerId) {
        let Some(known) = self.peers.peers.get_mut(peer) else { return };
        known.intended = true;
        if !matches!(known.kind, Kind::Refused(_)) {
            for connection in self.peers.connections.values_mut().filter(|connection| connection.peer == *peer) {
                connection.doomed = None;
            }
        }
        self.begin_session(peer);
    }

    /// Begins to exchange frames with a peer, if it is one and is known to be.
    pub(super) fn begin_session(&mut self, peer: &PeerId) {
        let Some((_, connection)) = self.peers.of(peer).find(|(_, connection)| connection.closed.is_none()) else {
            return;
        };
        let (address, outbound) = (connection.address.clone(), connection.outbound);
        let known = self.peers.peers.get_mut(peer).expect("a connection's peer is known");
        if known.kind != Kind::Peer || !known.intended || known.session_runs {
            return;
        }
        let entry = Arc::new(Entry::new(*peer, address, outbound, known.agent.clone()));
        let (handle, ends) = Handle::new(entry.clone());
        if let Some(stream) = known.stream.take() {
            handle.accept(stream);
        }
        known.session = Some(handle);
        known.session_runs = true;
        let session = Session {
            entry,
            protocol: self.names.frames.clone(),
            frame_bytes_max: self.config.frame_bytes_max,
            control: self.control.clone(),
            events: self.outlet.sender().clone(),
            metrics: self.metrics.clone(),
            table: self.table.clone(),
            ups: self.ups.0.clone(),
            ends,
        };
        self.sessions.spawn(session.run());
    }

    fn on_up(&mut self, peer: &PeerId) {
        self.wanted.remove(peer);
        self.lost.remove(peer);
        let Some(session) = self.peers.peers.get_mut(peer).and_then(|known| known.session.as_mut()) else { return };
        session.is_up = true;
        self.bootstrap.rest(Instant::now());
    }

    fn on_session_end(&mut self, ended: Result<(PeerId, End), tokio::task::JoinError>) {
        let (peer, end) = ended.expect("a session does not panic, and is not aborted while the task runs");
        self.peers.end_session(&peer);
        match end {
            // It may have come back meanwhile.
            End::Closed => self.begin_session(&peer),
            End::NoStream(reason) => {
                tracing::debug!(%peer, reason, "the session failed");
                self.fail(&peer, reason);
                self.disconnect(&peer);
            }
        }
    }

    /// Tells the engine that a peer it waits for cannot be had.
    pub(super) fn fail(&mut self, peer: &PeerId, error: &str) {
        if self.wanted.remove(peer) {
            self.metrics.dial_failures.inc();
            self.outlet.tell(NetEvent::DialFailed { peer: *peer, error: error.to_owned() });
        }
    }

    /// Closes all connections to a peer.
    pub(super) fn disconnect(&mut self, peer: &PeerId) {
        for id in self.peers.of(peer).map(|(id, _)| id).collect::<Vec<_>>() {
            self.close(id);
        }
    }

    /// Closes a connection. One that does not move cannot be closed in an orderly way, and is broken instead.
    pub(super) fn close(&mut self, id: ConnectionId) {
        let Some(connection) = self.peers.connections.get_mut(&id) else { return };
        if connection.closed.is_some() {
            return;
        }
        connection.closed = Some(Instant::now());
        if let Some(link) = connection.link.as_ref().filter(|link| link.is_stopped()) {
            link.kill();
        }
        self.swarm.close_connection(id);
    }

    fn on_tick(&mut self, now: Instant) {
        let mut due = Vec::new();
        for (id, connection) in &self.peers.connections {
            let silent = connection.heard.is_some_and(|heard| now - heard > SILENCE_MAX);
            let stuck = connection.closed.is_some_and(|closed| now - closed > CLOSE_MAX);
            if let Some(link) = connection.link.as_ref().filter(|_| silent || stuck) {
                link.kill();
            }
            let unknown = !connection.received_identity && now - connection.since > IDENTIFY_MAX;
            if silent || unknown || connection.doomed.is_some_and(|doomed| now >= doomed) {
                due.push(*id);
            }
        }
        for id in due {
            self.close(id);
        }
        self.seek(now);
    }

    fn seek(&mut self, now: Instant) {
        // One that is about to be up counts: an address without a peer's id would be dialled twice.
        let hopeful = |known: &Peer| known.intended && matches!(known.kind, Kind::Peer | Kind::Unknown);
        if !self.peers.peers.values().any(hopeful) {
            for options in self.bootstrap.dials(now) {
                let id = options.connection_id();
                if self.swarm.dial(options).is_ok() {
                    self.meant.insert(id);
                }
            }
        }
        let kad = &mut self.swarm.behaviour_mut().kad;
        let known = kad.kbuckets().map(|bucket| bucket.num_entries()).sum();
        if self.config.discover && self.walks.is_due(now, known) {
            kad.get_closest_peers(PeerId::random());
        }
    }
}

/// Keeps the accepted streams moving: libp2p-stream drops what comes while one waits.
async fn forward(mut accepted: IncomingStreams, streams: mpsc::Sender<(PeerId, Stream)>) {
    while let Some(next) = accepted.next().await {
        if streams.send(next).await.is_err() {
            return;
        }
    }
}

/// How often the clock is looked at.
const TICK: Duration = Duration::from_millis(250);
/// A connection without an answer to a ping for so long is dead: three intervals.
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(15);
/// An orderly close takes a round trip.
const CLOSE_MAX: Duration = Duration::from_secs(5);
/// Who does not say who it is in this time is not wanted; the time that libp2p gives the exchange itself, and a half more.
const IDENTIFY_MAX: Duration = Duration::from_secs(15);
/// Frame streams that wait to be given to their sessions: one of each of a few hundred peers.
const ACCEPTED_MAX: usize = 256;
/// Messages that wait for somebody to hear them.
const UNHEARD_MAX: usize = 256;
/// For how long: a node that found nobody in this time will be told of what it missed, and tell, by its sync.
const UNHEARD_KEPT: Duration = Duration::from_secs(30);
