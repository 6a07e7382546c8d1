//! The network's names for peers and things, and ours.

use std::collections::BTreeMap;

use synod_consensus::GossipId;
use synod_dht::neighbours::{Address, Contact, Identity};
use synod_ledger::Height;
use synod_machine::{Bytes, PeerId as Handle};
use tokio::sync::oneshot;

use crate::handle::PeerInfo;
use crate::net::{self, Faults, MessageAcceptance, MessageId, Multiaddr, PeerId};

/// Who is not a peer of ours, but gossips: a client of another make.
const STRANGER: Handle = Handle(0);

/// Which handle stands for which peer while it is connected, and what the network is to be told after the batch.
#[derive(Default)]
pub(super) struct Links {
    handles: BTreeMap<PeerId, Handle>,
    peers: BTreeMap<Handle, PeerId>,
    faults: BTreeMap<PeerId, u32>,
    last: u32,
    pub(super) dismissed: Vec<PeerId>,
    pub(super) shape: Option<Faults>,
    pub(super) shape_replies: Vec<oneshot::Sender<()>>,
    pub(super) verdicts: Vec<(MessageId, PeerId, MessageAcceptance)>,
}

impl Links {
    /// A fresh handle for a peer that came up.
    pub(super) fn up(&mut self, peer: PeerId) -> Handle {
        self.last = self.last.checked_add(1).expect("no process sees four thousand million connections");
        let handle = Handle(self.last);
        if let Some(before) = self.handles.insert(peer, handle) {
            self.peers.remove(&before);
        }
        self.peers.insert(handle, peer);
        handle
    }

    /// The handle of a peer that went down, which is not used again.
    pub(super) fn down(&mut self, peer: &PeerId) -> Option<Handle> {
        self.faults.remove(peer);
        let handle = self.handles.remove(peer)?;
        self.peers.remove(&handle);
        Some(handle)
    }

    /// Whether the driver itself has something to tell the network.
    pub(super) const fn has_words(&self) -> bool {
        !self.dismissed.is_empty()
            || self.shape.is_some()
            || !self.shape_replies.is_empty()
            || !self.verdicts.is_empty()
    }

    pub(super) fn handle(&self, peer: &PeerId) -> Option<Handle> {
        self.handles.get(peer).copied()
    }

    pub(super) fn handle_or_stranger(&self, peer: &PeerId) -> Handle {
        self.handle(peer).unwrap_or(STRANGER)
    }

    pub(super) fn peer(&self, handle: Handle) -> Option<PeerId> {
        self.peers.get(&handle).copied()
    }

    /// One fault more of a connected peer; gives how many it has. Strangers are left to gossip's own scores.
    pub(super) fn blame(&mut self, peer: &PeerId) -> u32 {
        if !self.handles.contains_key(peer) {
            return 0;
        }
        let faults = self.faults.entry(*peer).or_default();
        *faults += 1;
        *faults
    }

    /// The connected peers as the API shows them.
    pub(super) fn infos(
        &self,
        connected: &[net::PeerInfo],
        height: impl Fn(Handle) -> Option<Height>,
    ) -> Vec<PeerInfo> {
        let info = |peer: &net::PeerInfo| PeerInfo {
            peer_id: peer.peer.to_string(),
            address: peer.address.to_string(),
            outbound: peer.outbound,
            agent: peer.agent.clone(),
            connected: peer.since,
            height: self.handle(&peer.peer).and_then(&height),
            rtt: peer.rtt,
            sent_bytes: peer.sent_bytes,
            received_bytes: peer.received_bytes,
            dropped_frames: peer.dropped_frames,
        };
        let mut infos: Vec<PeerInfo> = connected.iter().map(info).collect();
        infos.sort_by(|one, other| one.peer_id.cmp(&other.peer_id));
        infos
    }
}

/// The name under which the replica knows a gossiped message: its content hash.
pub(super) fn gossip_id(id: &MessageId) -> Option<GossipId> {
    Some(Bytes(id.0.as_slice().try_into().ok()?))
}

/// A peer's public key; nothing for peers whose key is not ed25519, which no peer of ours has.
pub(super) fn identity_of(peer: &PeerId) -> Option<Identity> {
    net::public_key_of(peer).map(|key| Identity(Bytes(key)))
}

pub(super) fn contact_of(peer: &PeerId, addresses: &[Multiaddr]) -> Option<Contact> {
    let addresses = addresses.iter().map(|address| Address(address.to_vec())).collect();
    Some(Contact { identity: identity_of(peer)?, addresses })
}

/// A contact as the network dials it; nothing where its key is none.
pub(super) fn dial_of(contact: Contact) -> Option<(PeerId, Vec<Multiaddr>)> {
    let peer = net::peer_of(&contact.identity.0.0)?;
    let addresses = contact.addresses.into_iter().filter_map(|address| Multiaddr::try_from(address.0).ok());
    Some((peer, addresses.collect()))
}
