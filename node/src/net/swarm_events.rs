//! What the network task does about what the swarm tells.

use std::time::Duration;

use libp2p::core::ConnectedPoint;
use libp2p::gossipsub::{self, MessageAcceptance, MessageId};
use libp2p::metrics::Recorder as _;
use libp2p::swarm::{ConnectionId, DialError, SwarmEvent};
use libp2p::{Multiaddr, PeerId, StreamProtocol, identify, kad, ping};
use tokio::time::Instant;

use super::behaviour::BehaviourEvent;
use super::peers::{Connection, Kind, Refusal, is_dialable, reachable, shown};
use super::task::Task;
use super::transport::Event;
use super::{GossipRefusal, NetEvent};

impl Task {
    /// One event of the swarm.
    pub(super) fn on_swarm_event(&mut self, event: Event) {
        self.libp2p_metrics.record(&event);
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour_event(event),
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                self.on_established(peer_id, connection_id, &endpoint);
            }
            SwarmEvent::ConnectionClosed { connection_id, cause, .. } => {
                let cause = cause.map_or_else(|| "the connection was closed".into(), |cause| cause.to_string());
                self.on_closed(connection_id, &cause);
            }
            SwarmEvent::OutgoingConnectionError { connection_id, peer_id, error } => {
                self.on_dial_error(connection_id, peer_id, &error);
            }
            SwarmEvent::NewListenAddr { address, .. } => _ = self.outlet.tell(NetEvent::Listening(address)),
            SwarmEvent::ListenerClosed { addresses, reason, .. } => {
                tracing::warn!(?addresses, ?reason, "no longer listening");
            }
            SwarmEvent::ListenerError { error, .. } => tracing::warn!(%error, "a listener failed"),
            // Metrics count inbound failures; the rest is of no use here. (The enum is open.)
            _ => {}
        }
    }

    fn on_behaviour_event(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Identify(event) => {
                self.libp2p_metrics.record(&event);
                self.on_identify(event);
            }
            BehaviourEvent::Ping(event) => {
                self.libp2p_metrics.record(&event);
                self.on_ping(event);
            }
            BehaviourEvent::Kad(event) => {
                self.libp2p_metrics.record(&event);
                self.on_kad(event);
            }
            BehaviourEvent::Gossipsub(event) => {
                self.libp2p_metrics.record(&event);
                self.on_gossip(event);
            }
            // It answers strangers; what it hears of is theirs.
            BehaviourEvent::KadPublic(_) | BehaviourEvent::Streams(()) => {}
            BehaviourEvent::Bans(never)
            | BehaviourEvent::Guard(never)
            | BehaviourEvent::Limits(never)
            | BehaviourEvent::Memory(never) => match never {},
        }
    }

    fn on_established(&mut self, peer: PeerId, id: ConnectionId, point: &ConnectedPoint) {
        let meant = self.meant.remove(&id) || self.wanted.contains(&peer);
        let link = self.links.bind(&peer, point);
        let mut connection = Connection::new(peer, point, link);
        let intended = meant || self.peers.peers.get(&peer).is_some_and(|known| known.intended);
        if connection.outbound && !intended {
            connection.doomed = Some(Instant::now() + TRANSIT);
        }
        self.peers.add(id, connection, meant);
        for id in self.peers.superfluous(&self.local, &peer) {
            self.close(id);
        }
        // It may be identified already, by another connection.
        self.begin_session(&peer);
    }

    fn on_closed(&mut self, id: ConnectionId, cause: &str) {
        let Some(peer) = self.peers.connections.get(&id).map(|connection| connection.peer) else { return };
        let listens = self.peers.peers.get(&peer).map(|known| known.listens.clone()).unwrap_or_default();
        let was_up = self.peers.is_up(&peer);
        let Some(connection) = self.peers.remove(id) else { return };
        if self.peers.peers.get(&peer).is_some_and(|known| known.connections > 0) {
            return;
        }
        self.fail(&peer, cause);
        let mut addresses = listens;
        if connection.outbound {
            addresses.push(connection.address.clone());
        }
        if was_up && self.links.is_cut(&peer) {
            self.lost.insert(peer, addresses);
        } else if was_up && self.links.escapes(&peer, &connection.address) {
            // It was closed because QUIC cannot be shaped: it is wanted by TCP.
            self.dial(peer, addresses);
        }
    }

    fn on_dial_error(&mut self, id: ConnectionId, peer: Option<PeerId>, error: &DialError) {
        self.meant.remove(&id);
        tracing::debug!(?peer, %error, "a dial failed");
        // While another connection is there, what comes of that is the answer.
        if let Some(peer) = peer.filter(|peer| self.peers.of(peer).next().is_none()) {
            self.fail(&peer, &explained(error));
        }
    }

    fn on_identify(&mut self, event: identify::Event) {
        match event {
            identify::Event::Received { connection_id, peer_id, info } => {
                self.on_identified(connection_id, peer_id, &info);
            }
            identify::Event::Sent { connection_id, .. } => {
                if let Some(connection) = self.peers.connections.get_mut(&connection_id) {
                    connection.sent_identity = true;
                    self.part(connection_id);
                }
            }
            identify::Event::Error { peer_id, error, .. } => tracing::debug!(%peer_id, %error, "not identified"),
            identify::Event::Pushed { .. } => {}
        }
    }

    fn on_identified(&mut self, id: ConnectionId, peer: PeerId, info: &identify::Info) {
        let Some(connection) = self.peers.connections.get_mut(&id) else { return };
        let first = !std::mem::replace(&mut connection.received_identity, true);
        let listens = reachable(info, &connection.address);
        let known = self.peers.peers.get_mut(&peer).expect("a connection's peer is known");
        known.kind = Kind::of(&info.protocol_version, &self.names.version);
        known.agent = shown(&info.agent_version);
        let news = first || known.listens != listens;
        known.listens.clone_from(&listens);
        // One that was dialled on purpose may be dialled again, though nobody else is looked for.
        let news = news && (self.config.discover || known.intended);
        match known.kind.clone() {
            Kind::Peer => {
                self.learn(&peer, info, &listens);
                self.walks.begin(Instant::now());
                if news && !listens.is_empty() {
                    self.outlet.tell(NetEvent::Discovered { peer, addresses: listens });
                }
                self.begin_session(&peer);
            }
            Kind::Refused(refusal) => {
                if first {
                    self.refuse(peer, &refusal);
                }
                self.part(id);
            }
            Kind::Stranger => {
                self.learn(&peer, info, &listens);
                self.fail(&peer, "not a node of this chain");
            }
            Kind::Unknown => unreachable!("an identified node is of some kind"),
        }
    }

    /// Addresses do not flow from identify to Kademlia by themselves. Where nobody is looked for, Kademlia knows nobody.
    fn learn(&mut self, peer: &PeerId, info: &identify::Info, listens: &[Multiaddr]) {
        if !self.config.discover {
            return;
        }
        let behaviour = self.swarm.behaviour_mut();
        let speaks = |protocol: &StreamProtocol| info.protocols.contains(protocol);
        for address in listens {
            if speaks(&self.names.kad) {
                behaviour.kad.add_address(peer, address.clone());
            }
            if let Some(public) = behaviour.kad_public.as_mut().filter(|_| speaks(&kad::PROTOCOL_NAME)) {
                public.add_address(peer, address.clone());
            }
        }
    }

    fn refuse(&mut self, peer: PeerId, refusal: &Refusal) {
        let (name, reason) = match refusal {
            Refusal::Chain(theirs) => {
                let ours = self.config.genesis.get(..12).unwrap_or(&self.config.genesis);
                let reason = format!("it is a node of another chain: its genesis is {theirs}, ours is {ours}");
                ("other_chain", reason)
            }
            Refusal::Gossip(theirs) => {
                let ours = self.config.gossip.name();
                ("other_gossip", format!("it gossips by {theirs}, this node by {ours}"))
            }
        };
        self.metrics.refuse(name);
        self.fail(&peer, &reason);
        if let Some(public) = self.swarm.behaviour_mut().kad_public.as_mut() {
            public.remove_peer(&peer);
        }
        self.outlet.tell(NetEvent::Refused { peer, reason });
    }

    /// Sets the time to part from a node that is refused: when both have been told who the other is, or else do not tell.
    fn part(&mut self, id: ConnectionId) {
        let Some(connection) = self.peers.connections.get_mut(&id) else { return };
        let kind = self.peers.peers.get(&connection.peer).map(|known| &known.kind);
        if matches!(kind, Some(Kind::Refused(_))) {
            let told = connection.received_identity && connection.sent_identity;
            connection.doomed = Some(Instant::now() + if told { PARTING } else { PARTING_MAX });
        }
    }

    fn on_ping(&mut self, event: ping::Event) {
        let Some(connection) = self.peers.connections.get_mut(&event.connection) else { return };
        match event.result {
            Ok(rtt) => {
                connection.heard = Some(Instant::now());
                if let Some(session) = self.peers.session(&event.peer) {
                    session.entry.set_rtt(rtt);
                    self.outlet.tell(NetEvent::Rtt { peer: event.peer, rtt });
                }
            }
            Err(ping::Failure::Unsupported) => connection.heard = None,
            // The connection is closed when nothing was heard for long enough.
            Err(error) => tracing::debug!(peer = %event.peer, %error, "a ping failed"),
        }
    }

    fn on_kad(&mut self, event: kad::Event) {
        let kad::Event::OutboundQueryProgressed { id, result, stats, step } = event else { return };
        let result = match result {
            kad::QueryResult::GetClosestPeers(result) => result,
            kad::QueryResult::GetProviders(result) => return self.on_provided(id, result, &stats, step.last),
            // What was asked of others about records; a publication that failed is published again in its time. (The enum is open.)
            _ => return,
        };
        if let Some(key) = self.queries.closest.remove(&id) {
            self.on_closest(key, &result, &stats);
        }
        let found = match result {
            Ok(found) => found.peers,
            Err(kad::GetClosestPeersError::Timeout { peers, .. }) => peers,
        };
        for found in found.into_iter().filter(|found| found.peer_id != self.local) {
            let addresses: Vec<_> = found.addrs.into_iter().filter(is_dialable).take(FOUND_ADDRESSES_MAX).collect();
            if !addresses.is_empty() {
                self.outlet.tell(NetEvent::Discovered { peer: found.peer_id, addresses });
            }
        }
    }

    fn on_gossip(&mut self, event: gossipsub::Event) {
        match event {
            gossipsub::Event::Message { propagation_source, message_id, message } => {
                self.on_message(message_id, propagation_source, message);
            }
            gossipsub::Event::Subscribed { topic, .. } => {
                if let Some(topic) = self.names.topic_of(&topic) {
                    self.publish_unheard(topic);
                }
            }
            gossipsub::Event::SlowPeer { peer_id, .. } => tracing::debug!(%peer_id, "gossip does not get through"),
            gossipsub::Event::GossipsubNotSupported { .. } | gossipsub::Event::Unsubscribed { .. } => {}
        }
    }

    fn on_message(&mut self, id: MessageId, source: PeerId, message: gossipsub::Message) {
        let Some(topic) = self.names.topic_of(&message.topic) else {
            return self.on_verdict(&id, &source, MessageAcceptance::Ignore);
        };
        // Gossipsub itself lets a message's envelope be longer or shorter, so it allows a little more.
        if message.data.len() > topic.bytes_max(&self.config) {
            self.metrics.refuse("gossip_oversized");
            self.on_verdict(&id, &source, MessageAcceptance::Reject);
            self.outlet.tell(NetEvent::GossipRefused { source, reason: GossipRefusal::Oversized });
            return;
        }
        if !self.outlet.tell(NetEvent::Gossip { id: id.clone(), source, topic, bytes: message.data }) {
            self.metrics.gossip_ignored.inc();
            self.on_verdict(&id, &source, MessageAcceptance::Ignore);
        }
    }
}

/// A dial's error in a few words: libp2p's own goes over several lines.
pub(super) fn explained(error: &DialError) -> String {
    match error {
        DialError::Transport(errors) => match errors.last() {
            Some((address, error)) => format!("{address}: {}", root(error)),
            None => "no address could be dialled".into(),
        },
        DialError::Denied { cause } => root(cause).to_string(),
        other => other.to_string(),
    }
}

/// The innermost cause, which says what happened.
fn root<'a>(error: &'a (dyn std::error::Error + 'static)) -> &'a (dyn std::error::Error + 'static) {
    error.source().map_or(error, root)
}

/// A connection that a look-up made is closed after this time, unless somebody wants it: a look-up's own time-out.
const TRANSIT: Duration = Duration::from_secs(10);
/// What was written a moment ago may still be on its way when a connection is closed.
const PARTING: Duration = Duration::from_millis(500);
/// A node of another chain that does not ask who we are need not be told.
const PARTING_MAX: Duration = Duration::from_secs(5);
/// As many as a peer may name itself.
const FOUND_ADDRESSES_MAX: usize = 16;
