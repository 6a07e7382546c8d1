//! The network's names for peers and things, and ours.

use std::collections::BTreeMap;
use std::sync::Arc;

use synod_consensus::GossipId;
use synod_dht::neighbours::{ADDRESSES_MAX, Address, Contact, Identity};
use synod_dht::{Id, Node};
use synod_ledger::Height;
use synod_machine::{Bytes, Count, PeerId as Handle};
use tokio::sync::oneshot;

use crate::handle::{Names, PeerInfo};
use crate::net::{self, Faults, MessageAcceptance, MessageId, Multiaddr, NetCommand, PeerId};

/// Who is not a peer of ours, but gossips: a client of another make.
const STRANGER: Handle = Handle(0);
/// This peer itself.
const SELF: Handle = Handle(1);
/// Peers that are remembered beside those that are connected: more than any overlay's tables on one node name.
const KNOWN_MAX: usize = 16_384;
/// Addresses of one peer that others are told of.
const TOLD_MAX: usize = 3; // One of TCP and one of QUIC, and one more.
/// Frames that wait for one dial.
const WAITING_MAX: usize = 64;
/// Peers that frames wait for.
const DIALLED_MAX: usize = 256;

/// Which handle stands for which peer, and what the network is to be told after the batch.
///
/// A peer keeps its handle when it goes, so that an overlay's tables can name peers that are not connected now. One that is
/// forgotten has its handle taken with it: what is sent there is lost.
pub(super) struct Links {
    known: BTreeMap<Handle, Known>,
    handles: BTreeMap<PeerId, Handle>,
    identities: BTreeMap<Identity, Handle>,
    faults: BTreeMap<PeerId, u32>,
    /// What was sent of overlays' messages, by kind, in bytes as they travel.
    traffic: BTreeMap<&'static str, Count>,
    last: u32,
    /// Frames for peers that are being dialled.
    waiting: BTreeMap<PeerId, Vec<Arc<[u8]>>>,
    /// Those of them whose peers are connected now.
    pub(super) ready: Vec<(PeerId, Vec<Arc<[u8]>>)>,
    pub(super) dismissed: Vec<PeerId>,
    /// Anything else.
    pub(super) words: Vec<NetCommand>,
    pub(super) shape: Option<Faults>,
    pub(super) shape_replies: Vec<oneshot::Sender<()>>,
    pub(super) verdicts: Vec<(MessageId, PeerId, MessageAcceptance)>,
}

/// What is known of a peer.
struct Known {
    peer: PeerId,
    /// Nothing for a peer whose key is of a kind that no peer of ours has.
    identity: Option<(Identity, Id)>,
    /// Where it listens, the most useful first.
    addresses: Vec<Multiaddr>,
    is_up: bool,
}

impl Links {
    /// Links of this peer, which listens there.
    pub(super) fn new(own: PeerId, listen: &[Multiaddr]) -> Self {
        let mut links = Self {
            known: BTreeMap::new(),
            handles: BTreeMap::new(),
            identities: BTreeMap::new(),
            faults: BTreeMap::new(),
            traffic: BTreeMap::new(),
            last: STRANGER.0,
            waiting: BTreeMap::new(),
            ready: Vec::new(),
            dismissed: Vec::new(),
            words: Vec::new(),
            shape: None,
            shape_replies: Vec::new(),
            verdicts: Vec::new(),
        };
        let handle = links.meet(own);
        assert!(handle == SELF, "this peer is the first");
        links.learn(&own, listen);
        links
    }

    /// The handle of a peer, a new one if it was not known.
    pub(super) fn meet(&mut self, peer: PeerId) -> Handle {
        if let Some(handle) = self.handles.get(&peer) {
            return *handle;
        }
        if self.known.len() >= KNOWN_MAX {
            self.forget_one();
        }
        self.last = self.last.checked_add(1).expect("no process hears of four thousand million peers");
        let handle = Handle(self.last);
        let identity = identity_of(&peer).map(|identity| (identity, identity.id()));
        self.known.insert(handle, Known { peer, identity, addresses: Vec::new(), is_up: false });
        self.handles.insert(peer, handle);
        if let Some((identity, _)) = identity {
            self.identities.insert(identity, handle);
        }
        handle
    }

    /// Forgets the peer that is known for the longest time and is not connected.
    fn forget_one(&mut self) {
        let gone = self.known.iter().find(|(handle, known)| **handle != SELF && !known.is_up);
        let Some((&handle, known)) = gone else { return };
        self.handles.remove(&known.peer);
        if let Some((identity, _)) = known.identity {
            self.identities.remove(&identity);
        }
        self.known.remove(&handle);
    }

    /// Where a peer listens, as it says itself or as it was reached: in front of what is known.
    pub(super) fn learn(&mut self, peer: &PeerId, addresses: &[Multiaddr]) {
        let handle = self.meet(*peer);
        let known = self.known.get_mut(&handle).expect("it was met");
        for address in addresses.iter().rev() {
            let address = bare(address.clone());
            known.addresses.retain(|other| *other != address);
            known.addresses.insert(0, address);
        }
        known.addresses.truncate(ADDRESSES_MAX);
    }

    /// A peer came up. Whether it was up already, which the machines have to be told of first.
    pub(super) fn up(&mut self, peer: PeerId) -> (Handle, bool) {
        let handle = self.meet(peer);
        let known = self.known.get_mut(&handle).expect("it was met");
        let was_up = std::mem::replace(&mut known.is_up, true);
        if let Some(frames) = self.waiting.remove(&peer) {
            self.ready.push((peer, frames));
        }
        (handle, was_up)
    }

    /// The handle of a peer that went down.
    pub(super) fn down(&mut self, peer: &PeerId) -> Option<Handle> {
        self.faults.remove(peer);
        let handle = *self.handles.get(peer)?;
        let known = self.known.get_mut(&handle)?;
        std::mem::replace(&mut known.is_up, false).then_some(handle)
    }

    /// Keeps a frame for a peer that is not connected. Where to dial it, if that is to be begun.
    pub(super) fn wait(&mut self, handle: Handle, frame: Arc<[u8]>) -> Option<(PeerId, Vec<Multiaddr>)> {
        let known = self.known.get(&handle).filter(|known| !known.is_up)?;
        let is_new = !self.waiting.contains_key(&known.peer);
        if is_new && self.waiting.len() >= DIALLED_MAX {
            return None;
        }
        let frames = self.waiting.entry(known.peer).or_default();
        if frames.len() < WAITING_MAX {
            frames.push(frame);
        }
        is_new.then(|| (known.peer, known.addresses.clone()))
    }

    /// A dial came to nothing: its handle, if frames waited for it.
    pub(super) fn unreachable(&mut self, peer: &PeerId) -> Option<Handle> {
        self.waiting.remove(peer)?;
        self.handles.get(peer).copied()
    }

    /// The node of an overlay that a contact is; nothing where its key is none, or it lists more addresses than contacts do.
    /// What others say of where a connected peer listens is not listened to.
    pub(super) fn node_of(&mut self, contact: &Contact) -> Option<Node> {
        if contact.addresses.len() > ADDRESSES_MAX {
            return None;
        }
        let handle = match self.identities.get(&contact.identity) {
            Some(handle) => *handle,
            None => self.meet(net::peer_of(&contact.identity.0.0)?),
        };
        let known = &self.known[&handle];
        let (peer, node) = (known.peer, Node { id: known.identity?.1, peer: handle });
        if handle != SELF && !known.is_up {
            let readable = contact.addresses.iter().filter_map(|address| Multiaddr::try_from(address.0.clone()).ok());
            let addresses: Vec<Multiaddr> = readable.collect();
            self.learn(&peer, &addresses);
        }
        Some(node)
    }

    /// A known peer as a node of an overlay.
    pub(super) fn node(&self, handle: Handle) -> Option<Node> {
        Some(Node { id: self.known.get(&handle)?.identity?.1, peer: handle })
    }

    /// What others are told of a node.
    pub(super) fn contact(&self, handle: Handle) -> Option<Contact> {
        let known = self.known.get(&handle)?;
        let addresses = known.addresses.iter().take(TOLD_MAX).map(|address| Address(address.to_vec())).collect();
        Some(Contact { identity: known.identity?.0, addresses })
    }

    /// A message goes to so many.
    pub(super) fn count(&mut self, kind: &'static str, receivers: usize, bytes: usize) {
        self.traffic.entry(kind).or_default().add(receivers as u64, (receivers * bytes) as u64);
    }

    /// This peer as a node of an overlay.
    pub(super) fn own(&self) -> Node {
        self.node(SELF).expect("this peer's key is an ed25519 key")
    }

    /// Whether the driver itself has something to tell the network.
    pub(super) const fn has_words(&self) -> bool {
        !self.dismissed.is_empty()
            || !self.ready.is_empty()
            || !self.words.is_empty()
            || self.shape.is_some()
            || !self.shape_replies.is_empty()
            || !self.verdicts.is_empty()
    }

    /// The handle of a connected peer.
    pub(super) fn handle(&self, peer: &PeerId) -> Option<Handle> {
        let handle = *self.handles.get(peer)?;
        self.known[&handle].is_up.then_some(handle)
    }

    pub(super) fn handle_or_stranger(&self, peer: &PeerId) -> Handle {
        self.handle(peer).unwrap_or(STRANGER)
    }

    /// The connected peer that a handle stands for.
    pub(super) fn peer(&self, handle: Handle) -> Option<PeerId> {
        self.known.get(&handle).filter(|known| known.is_up).map(|known| known.peer)
    }

    /// The peer that a handle stands for, connected or not.
    pub(super) fn name(&self, handle: Handle) -> Option<PeerId> {
        self.known.get(&handle).map(|known| known.peer)
    }

    /// The identifiers of those connected peers that are `wanted`.
    pub(super) fn connected(&self, wanted: impl Fn(Handle) -> bool) -> impl Iterator<Item = Id> {
        let is_there = move |(handle, known): &(&Handle, &Known)| known.is_up && wanted(**handle);
        self.known.iter().filter(is_there).filter_map(|(_, known)| Some(known.identity?.1))
    }

    /// One fault more of a connected peer; gives how many it has. Strangers are left to gossip's own scores.
    pub(super) fn blame(&mut self, peer: &PeerId) -> u32 {
        if self.handle(peer).is_none() {
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

impl Names for Links {
    fn traffic(&self) -> &BTreeMap<&'static str, Count> {
        &self.traffic
    }

    fn own(&self) -> Node {
        self.own()
    }

    fn node(&self, handle: Handle) -> Option<Node> {
        self.node(handle)
    }

    fn peer(&self, handle: Handle) -> Option<PeerId> {
        self.name(handle)
    }
}

/// The address without the peer's name at its end, which stands beside it.
fn bare(mut address: Multiaddr) -> Multiaddr {
    if let Some(libp2p::multiaddr::Protocol::P2p(_)) = address.iter().last() {
        address.pop();
    }
    address
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

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(number: u8) -> PeerId {
        let secret = libp2p::identity::ed25519::SecretKey::try_from_bytes([number; 32]).expect("32 bytes are a key");
        libp2p::identity::Keypair::from(libp2p::identity::ed25519::Keypair::from(secret)).public().to_peer_id()
    }

    fn address(port: u16) -> Multiaddr {
        format!("/ip4/127.0.0.1/tcp/{port}").parse().expect("an address")
    }

    fn links() -> Links {
        Links::new(peer(1), &[address(1).with_p2p(peer(1)).expect("no other name")])
    }

    #[test]
    fn a_peer_keeps_its_handle_while_it_is_away() {
        let mut links = links();
        assert_eq!(links.up(peer(2)), (Handle(2), false));
        assert_eq!(links.up(peer(2)), (Handle(2), true));
        assert_eq!(links.down(&peer(2)), Some(Handle(2)));
        assert_eq!(links.down(&peer(2)), None);
        assert_eq!((links.handle(&peer(2)), links.peer(Handle(2))), (None, None));
        assert_eq!(links.name(Handle(2)), Some(peer(2)));
        assert_eq!(links.up(peer(2)), (Handle(2), false));
        assert_eq!(links.down(&peer(3)), None);
    }

    #[test]
    fn a_contact_becomes_a_node_and_what_it_says_is_told_on() {
        let mut links = links();
        let contact = contact_of(&peer(3), &[address(3)]).expect("an ed25519 key");
        let node = links.node_of(&contact).expect("a good contact");
        assert_eq!(node, Node { id: contact.identity.id(), peer: Handle(2) });
        assert_eq!(links.contact(node.peer), Some(contact.clone()));
        let moved = contact_of(&peer(3), &[address(4)]).expect("an ed25519 key");
        assert_eq!(links.node_of(&moved), Some(node));
        let both = contact_of(&peer(3), &[address(4), address(3)]);
        assert_eq!(links.contact(node.peer), both);
        links.up(peer(3));
        let lie = contact_of(&peer(3), &[address(5)]).expect("an ed25519 key");
        assert_eq!(links.node_of(&lie), Some(node));
        assert_eq!(links.contact(node.peer), both, "a connected peer tells itself where it is");
        let own = contact_of(&peer(1), &[address(9)]).expect("an ed25519 key");
        assert_eq!(links.node_of(&own), Some(links.own()));
        assert_eq!(links.contact(SELF), contact_of(&peer(1), &[address(1)]), "nobody tells this peer where it is");
    }

    #[test]
    fn contacts_that_are_none_are_refused() {
        let mut links = links();
        let many: Vec<Multiaddr> = (0..=ADDRESSES_MAX as u16).map(address).collect();
        assert_eq!(links.node_of(&contact_of(&peer(3), &many).expect("an ed25519 key")), None);
        // About half of all numbers are no points of the curve.
        let bytes = (0..=u8::MAX).map(|byte| [byte; 32]).find(|bytes| net::peer_of(bytes).is_none());
        let bytes = bytes.expect("one of them is none");
        let contact = Contact { identity: Identity(Bytes(bytes)), addresses: vec![] };
        assert_eq!(links.node_of(&contact), None);
    }

    #[test]
    fn frames_wait_for_a_dial_and_are_dropped_when_it_fails() {
        let mut links = links();
        links.learn(&peer(2), &[address(2)]);
        let frame: Arc<[u8]> = Arc::from([7].as_slice());
        assert_eq!(links.wait(Handle(2), Arc::clone(&frame)), Some((peer(2), vec![address(2)])));
        for _ in 0..WAITING_MAX {
            assert_eq!(links.wait(Handle(2), Arc::clone(&frame)), None, "it is being dialled");
        }
        assert_eq!(links.unreachable(&peer(2)), Some(Handle(2)));
        assert_eq!(links.unreachable(&peer(2)), None);
        links.wait(Handle(2), Arc::clone(&frame));
        links.up(peer(2));
        assert!(links.has_words());
        assert_eq!(links.ready, [(peer(2), vec![Arc::clone(&frame)])]);
        assert_eq!(links.wait(Handle(2), frame), None, "it is connected");
    }

    #[test]
    fn the_oldest_that_is_away_is_forgotten_first() {
        let mut links = links();
        links.up(peer(2));
        let away = links.meet(peer(3));
        let others: Vec<Handle> = (10..14).map(|number| links.meet(peer(number))).collect();
        links.forget_one();
        assert_eq!((links.name(away), links.name(SELF)), (None, Some(peer(1))));
        assert_eq!(links.peer(Handle(2)), Some(peer(2)));
        assert!(others.iter().all(|handle| links.name(*handle).is_some()), "one is forgotten at a time");
        assert_ne!(links.meet(peer(3)), away, "a handle is not used for two");
    }
}
