//! What the network task knows of connections and of who is at their other ends.

use std::collections::BTreeMap;
use std::sync::Arc;

use libp2p::core::ConnectedPoint;
use libp2p::identify::Info;
use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId, Stream};
use tokio::time::Instant;

use super::behaviour::VERSION_PREFIX;
use super::session::Handle;
use super::shape::{Link, remote};
use crate::config::GossipKind;

/// Everybody that is connected, or whose session has not ended yet.
#[derive(Default)]
pub(super) struct Peers {
    pub(super) connections: BTreeMap<ConnectionId, Connection>,
    pub(super) peers: BTreeMap<PeerId, Peer>,
}

/// One connection.
pub(super) struct Connection {
    pub(super) peer: PeerId,
    pub(super) address: Multiaddr,
    pub(super) outbound: bool,
    /// Its shapeable stream, if it is one of TCP.
    pub(super) link: Option<Arc<Link>>,
    pub(super) since: Instant,
    /// When the other end last answered; nothing if it does not answer pings at all.
    pub(super) heard: Option<Instant>,
    /// Whether each end has been told who the other is.
    pub(super) received_identity: bool,
    pub(super) sent_identity: bool,
    /// When it is to be closed.
    pub(super) doomed: Option<Instant>,
    /// When it was closed; it is gone when the swarm says so.
    pub(super) closed: Option<Instant>,
}

/// Who is at the other end.
#[derive(Default)]
pub(super) struct Peer {
    pub(super) connections: usize,
    pub(super) kind: Kind,
    pub(super) agent: String,
    /// Where it says that it listens.
    pub(super) listens: Vec<Multiaddr>,
    /// Whether the connection is more than a step of a look-up: this side dialled it on purpose, or the other side did,
    /// which shows by its opening a frame stream. The DHT would otherwise make a full mesh of any small network.
    pub(super) intended: bool,
    pub(super) session: Option<Handle>,
    /// A session's task runs, though its handle may be gone.
    pub(super) session_runs: bool,
    /// A frame stream that it opened before it was known here.
    pub(super) stream: Option<Stream>,
}

/// What somebody is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    /// Of this chain.
    Peer,
    /// A node, but none to be connected to.
    Refused(Refusal),
    /// Of no chain.
    Stranger,
    /// Not identified yet.
    #[default]
    Unknown,
}

/// Why a node is none to be connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is of another chain, with the genesis digest that it gives.
    Chain(String),
    /// It has another carrier of gossip, which it names: neither would hear what the other spreads.
    Gossip(String),
}

impl Kind {
    /// What a node is that identifies itself with `version`, for one whose own is `own`.
    pub(super) fn of(version: &str, own: &str) -> Self {
        if version == own {
            return Self::Peer;
        }
        let Some((genesis, gossip)) = version_parts(version) else { return Self::Stranger };
        let shown = |text: &str| text.chars().filter(char::is_ascii_alphanumeric).take(12).collect();
        let is_ours = version_parts(own).is_some_and(|(ours, _)| ours == genesis);
        Self::Refused(if is_ours { Refusal::Gossip(shown(gossip)) } else { Refusal::Chain(shown(genesis)) })
    }
}

/// The genesis digest and the carrier of gossip in a node's identify version; gossipsub is the one that is not named.
fn version_parts(version: &str) -> Option<(&str, &str)> {
    let rest = version.strip_prefix(VERSION_PREFIX)?;
    Some(rest.split_once('/').unwrap_or((rest, GossipKind::Gossipsub.name())))
}

impl Connection {
    pub(super) fn new(peer: PeerId, point: &ConnectedPoint, link: Option<Arc<Link>>) -> Self {
        let now = Instant::now();
        Self {
            peer,
            address: remote(point).clone(),
            outbound: point.is_dialer(),
            link,
            since: now,
            heard: Some(now),
            received_identity: false,
            sent_identity: false,
            doomed: None,
            closed: None,
        }
    }
}

impl Peers {
    pub(super) fn add(&mut self, id: ConnectionId, connection: Connection, intended: bool) {
        let peer = self.peers.entry(connection.peer).or_default();
        peer.connections += 1;
        peer.intended |= intended;
        self.connections.insert(id, connection);
    }

    /// Forgets a connection. What its peer said of itself is forgotten with the last one, and its session ends.
    pub(super) fn remove(&mut self, id: ConnectionId) -> Option<Connection> {
        let connection = self.connections.remove(&id)?;
        let peer = self.peers.get_mut(&connection.peer).expect("a connection's peer is known");
        peer.connections -= 1;
        if let Some(session) = &peer.session {
            session.note_closed();
        }
        if peer.connections == 0 {
            *peer = Peer { session_runs: peer.session_runs, ..Peer::default() };
            if !peer.session_runs {
                self.peers.remove(&connection.peer);
            }
        }
        Some(connection)
    }

    /// A session's task has ended.
    pub(super) fn end_session(&mut self, peer: &PeerId) {
        let Some(known) = self.peers.get_mut(peer) else { return };
        known.session = None;
        known.session_runs = false;
        if known.connections == 0 {
            self.peers.remove(peer);
        }
    }

    pub(super) fn is_up(&self, peer: &PeerId) -> bool {
        self.session(peer).is_some_and(|session| session.is_up)
    }

    pub(super) fn session(&self, peer: &PeerId) -> Option<&Handle> {
        self.peers.get(peer)?.session.as_ref()
    }

    /// The connections of one peer.
    pub(super) fn of(&self, peer: &PeerId) -> impl Iterator<Item = (ConnectionId, &Connection)> {
        self.connections.iter().filter(move |(_, known)| known.peer == *peer).map(|(id, known)| (*id, known))
    }

    /// The connections of one peer that this side should close because there are others.
    ///
    /// Two dials that cross make two connections. Both ends keep the one that the smaller peer dialled, and only the
    /// greater peer closes its own, so that no two closes can cross as the dials did.
    pub(super) fn superfluous(&self, local: &PeerId, peer: &PeerId) -> Vec<ConnectionId> {
        let open = || self.of(peer).filter(|(_, connection)| connection.closed.is_none());
        if local < peer || !open().any(|(_, connection)| !connection.outbound) {
            return Vec::new();
        }
        open().filter(|(_, connection)| connection.outbound).map(|(id, _)| id).collect()
    }
}

/// Where a peer can be reached, of all that it says: a bounded number, no nonsense, and nothing on its own loopback
/// interface unless that is where it was met.
pub(super) fn reachable(info: &Info, met_at: &Multiaddr) -> Vec<Multiaddr> {
    let met_on_loopback = is_loopback(met_at);
    let addresses = info.listen_addrs.iter().filter(|address| is_dialable(address));
    addresses.filter(|address| met_on_loopback || !is_loopback(address)).take(ADDRESSES_MAX).cloned().collect()
}

/// Whether an address is one of TCP or QUIC at a definite place.
pub(super) fn is_dialable(address: &Multiaddr) -> bool {
    use libp2p::multiaddr::Protocol;
    let mut parts = address.iter();
    let placed = match parts.next() {
        Some(Protocol::Ip4(ip)) => !ip.is_unspecified(),
        Some(Protocol::Ip6(ip)) => !ip.is_unspecified(),
        Some(_) | None => false,
    };
    let ported = match (parts.next(), parts.next()) {
        (Some(Protocol::Tcp(port)), None | Some(Protocol::P2p(_))) => port > 0,
        (Some(Protocol::Udp(port)), Some(Protocol::QuicV1)) => port > 0,
        _ => false,
    };
    placed && ported
}

fn is_loopback(address: &Multiaddr) -> bool {
    use libp2p::multiaddr::Protocol;
    match address.iter().next() {
        Some(Protocol::Ip4(ip)) => ip.is_loopback(),
        Some(Protocol::Ip6(ip)) => ip.is_loopback(),
        Some(_) | None => false,
    }
}

/// What a peer says that it runs, fit to be shown.
pub(super) fn shown(agent: &str) -> String {
    agent.chars().filter(|character| !character.is_control()).take(AGENT_CHARS_MAX).collect()
}

/// A node on a machine with a few interfaces, by TCP and QUIC, has fewer.
const ADDRESSES_MAX: usize = 16;
/// A name and a version fit easily.
const AGENT_CHARS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_tells_peers_other_chains_and_strangers() {
        assert_eq!(Kind::of("/synod/ab12", "/synod/ab12"), Kind::Peer);
        let refused = |version, own| match Kind::of(version, own) {
            Kind::Refused(refusal) => refusal,
            kind => panic!("{kind:?}"),
        };
        assert_eq!(refused("/synod/ab13", "/synod/ab12"), Refusal::Chain("ab13".into()));
        let hostile = "/synod/\u{1b}[31mred\n0123456789ab";
        assert_eq!(refused(hostile, "/synod/ab12"), Refusal::Chain("31mred012345".into()));
        assert_eq!(refused("/synod/ab13/mesh", "/synod/ab12/mesh"), Refusal::Chain("ab13".into()));
        assert_eq!(refused("/synod/ab12/mesh", "/synod/ab12"), Refusal::Gossip("mesh".into()));
        assert_eq!(refused("/synod/ab12", "/synod/ab12/flood"), Refusal::Gossip("gossipsub".into()));
        assert_eq!(Kind::of("/ipfs/0.1.0", "/synod/ab12"), Kind::Stranger);
        assert_eq!(Kind::of("", "/synod/ab12"), Kind::Stranger);
    }

    #[test]
    fn only_addresses_at_a_definite_place_are_dialled() {
        let dialable = |text: &str| is_dialable(&text.parse().expect("an address"));
        assert!(dialable("/ip4/10.0.0.1/tcp/4001"));
        assert!(dialable("/ip6/::1/udp/4001/quic-v1"));
        for text in ["/ip4/0.0.0.0/tcp/4001", "/ip4/10.0.0.1/tcp/0", "/ip4/10.0.0.1/udp/4001", "/memory/7", "/tcp/7"] {
            assert!(!dialable(text), "{text}");
        }
    }

    #[test]
    fn of_two_connections_that_crossed_the_greater_peer_closes_its_own() {
        let mut ids = [PeerId::random(), PeerId::random()];
        ids.sort();
        let [small, great] = ids;
        let address: Multiaddr = "/ip4/127.0.0.1/tcp/1".parse().expect("an address");
        let both = |peer| {
            let mut peers = Peers::default();
            for (id, outbound) in [(1, true), (2, false)] {
                let point = ConnectedPoint::Listener { local_addr: address.clone(), send_back_addr: address.clone() };
                let connection = Connection { outbound, ..Connection::new(peer, &point, None) };
                peers.add(ConnectionId::new_unchecked(id), connection, true);
            }
            peers
        };
        assert_eq!(both(small).superfluous(&great, &small), [ConnectionId::new_unchecked(1)]);
        assert_eq!(both(great).superfluous(&small, &great), []);
        let mut one = both(small);
        one.remove(ConnectionId::new_unchecked(2));
        assert_eq!(one.superfluous(&great, &small), [], "the last connection is never superfluous");
    }
}
