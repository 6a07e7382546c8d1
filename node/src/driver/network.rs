//! What the engine does about what the network tells.

use synod_consensus::{Command as ReplicaCommand, Item};
use synod_dht::discovery::Command as DiscoveryCommand;
use synod_dht::neighbours::Command as NeighboursCommand;
use synod_ledger::{Block, Tx};
use synod_machine::{Input, Reject, wire};
use synod_peer::Command;

use super::{Engine, FAULTS_LOGGED_MAX, FAULTS_MAX, REFUSED_MAX, links, reason_of};
use crate::api::types::{ApiEvent, RefusedPeer};
use crate::net::{FrameRefusal, GossipRefusal, MessageAcceptance, MessageId, Multiaddr, NetEvent, PeerId, Topic};

impl Engine {
    pub(super) fn on_net(&mut self, event: NetEvent) {
        match event {
            NetEvent::DialFailed { peer, error } => {
                tracing::debug!(%peer, %error, "dial failed");
                self.on_identity(peer, NeighboursCommand::Failed);
                if let Some(handle) = self.links.unreachable(&peer) {
                    self.command(Command::Discovery(DiscoveryCommand::Unreachable(handle)));
                }
            }
            NetEvent::Closest { query, peers, requests } => self.on_closest(query, peers, requests),
            NetEvent::Discovered { peer, addresses } => {
                self.links.learn(&peer, &addresses);
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
            NetEvent::Providers { query, peers, requests } => self.on_providers(query, peers, requests),
            NetEvent::Refused { peer, reason } => self.on_refused(peer, reason),
            NetEvent::Rtt { .. } => {}
            NetEvent::Up { peer, address, outbound, .. } => self.on_up(peer, &address, outbound),
        }
    }

    pub(super) fn on_up(&mut self, peer: PeerId, address: &Multiaddr, outbound: bool) {
        tracing::info!(%peer, %address, outbound, "connected");
        // Where an inbound peer came from is not where it listens.
        let addresses = if outbound { vec![address.clone()] } else { Vec::new() };
        self.on_contact(peer, &addresses, NeighboursCommand::Connected);
        self.links.learn(&peer, &addresses);
        let (handle, was_up) = self.links.up(peer);
        if was_up {
            self.step(Input::PeerDown(handle));
        }
        self.step(Input::PeerUp(handle));
        if let Some(node) = self.links.node(handle) {
            self.command(Command::Discovery(DiscoveryCommand::Met(node)));
        }
        self.parts.handle.publish(ApiEvent::Peer { peer_id: peer.to_string(), up: true });
    }

    pub(super) fn on_down(&mut self, peer: PeerId) {
        tracing::info!(%peer, "disconnected");
        self.on_identity(peer, NeighboursCommand::Disconnected);
        if let Some(handle) = self.links.down(&peer) {
            self.step(Input::PeerDown(handle));
        }
        self.parts.handle.publish(ApiEvent::Peer { peer_id: peer.to_string(), up: false });
    }

    pub(super) fn on_refused(&mut self, peer: PeerId, reason: String) {
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

    pub(super) fn on_identity(&mut self, peer: PeerId, command: impl FnOnce(synod_dht::Identity) -> NeighboursCommand) {
        if let Some(identity) = links::identity_of(&peer) {
            self.command(Command::Neighbours(command(identity)));
        }
    }

    pub(super) fn on_contact(
        &mut self,
        peer: PeerId,
        addresses: &[Multiaddr],
        command: impl FnOnce(synod_dht::Contact) -> NeighboursCommand,
    ) {
        if let Some(contact) = links::contact_of(&peer, addresses) {
            self.command(Command::Neighbours(command(contact)));
        }
    }

    pub(super) fn on_gossip(&mut self, id: MessageId, source: PeerId, topic: Topic, bytes: &[u8]) {
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
    pub(super) fn punish_bytes(&mut self, peer: PeerId, reason: Reject) {
        self.host.count_reject(reason);
        self.blame(peer, reason);
    }

    pub(super) fn blame(&mut self, peer: PeerId, reason: Reject) {
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
}
