//! TCP with Noise and Yamux, with links that can be shaped; QUIC; and listening on both.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::Either;
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::{Boxed, ListenerId};
use libp2p::core::upgrade::Version;
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, PeerId, Swarm, Transport as _, metrics, noise, quic, tcp, yamux};
use prometheus_client::registry::Registry;

use super::NetError;
use super::behaviour::{Behaviour, BehaviourEvent};
use super::shape::Links;

/// The transports of a node, as one.
pub(super) fn build(
    keypair: &Keypair,
    links: Arc<Links>,
    registry: &mut Registry,
) -> Result<Boxed<(PeerId, StreamMuxerBox)>, NetError> {
    let noise = noise::Config::new(keypair).map_err(|error| NetError::Config { reason: format!("noise: {error}") })?;
    let tcp = tcp::tokio::Transport::new(tcp::Config::default())
        .map(move |stream, point| links.wrap(stream, &point))
        .upgrade(Version::V1Lazy)
        .authenticate(noise)
        .multiplex(yamux::Config::default())
        .timeout(HANDSHAKE_TIMEOUT)
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    let quic = quic::tokio::Transport::new(quic::Config::new(keypair))
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    let both = tcp.or_transport(quic).map(|either, _| match either {
        Either::Left(connection) | Either::Right(connection) => connection,
    });
    Ok(metrics::BandwidthTransport::new(both, registry)
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
        .boxed())
}

/// What was seen while listening began.
#[derive(Default)]
pub(super) struct Listening {
    /// Where the swarm listens: one address may stand for several interfaces.
    pub(super) addresses: Vec<Multiaddr>,
    /// What else happened: one listener may be reached while another one is not reported yet.
    pub(super) early: Vec<Event>,
}

/// What a swarm of a node tells.
pub(super) type Event = SwarmEvent<BehaviourEvent>;

/// Listens at all these addresses and waits until the swarm says so.
pub(super) async fn listen(swarm: &mut Swarm<Behaviour>, wanted: &[Multiaddr]) -> Result<Listening, NetError> {
    let mut pending = Vec::new();
    for address in wanted {
        probe(address)?;
        let id = swarm.listen_on(address.clone()).map_err(|error| refused(address, &error))?;
        pending.push((id, address.clone()));
    }
    let mut listening = Listening::default();
    let all = async {
        while !pending.is_empty() {
            hear(swarm.select_next_some().await, &mut pending, &mut listening)?;
        }
        Ok(())
    };
    match tokio::time::timeout(LISTEN_TIMEOUT, all).await {
        Ok(result) => result.map(|()| listening),
        Err(_) => {
            let (_, address) = pending.swap_remove(0);
            Err(NetError::Address { address, reason: "no such interface came up in time".into() })
        }
    }
}

fn hear(event: Event, pending: &mut Vec<(ListenerId, Multiaddr)>, listening: &mut Listening) -> Result<(), NetError> {
    match event {
        SwarmEvent::NewListenAddr { listener_id, address } => {
            pending.retain(|(id, _)| *id != listener_id);
            listening.addresses.push(address);
        }
        SwarmEvent::ListenerClosed { listener_id, reason, .. } => {
            if let Some((_, address)) = pending.iter().find(|(id, _)| *id == listener_id) {
                let reason = reason.err().map_or_else(|| "it was closed".into(), |error| error.to_string());
                return Err(NetError::Address { address: address.clone(), reason });
            }
        }
        SwarmEvent::ListenerError { listener_id, error } => {
            if let Some((_, address)) = pending.iter().find(|(id, _)| *id == listener_id) {
                return Err(refused(address, &error));
            }
        }
        other => listening.early.push(other),
    }
    Ok(())
}

/// Finds out whether a port is free by binding it for a moment. libp2p's own sockets allow others of the same user to
/// bind the same port beside them (`SO_REUSEPORT`), so they would not tell.
fn probe(address: &Multiaddr) -> Result<(), NetError> {
    let (socket, is_tcp) = socket_of(address)
        .ok_or_else(|| refused(address, &"not of the form /ip4/…/tcp/… or /ip4/…/udp/…/quic-v1 (or /ip6/…)"))?;
    let bound = if is_tcp { TcpListener::bind(socket).map(drop) } else { UdpSocket::bind(socket).map(drop) };
    match bound {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(NetError::PortInUse { address: address.clone() }),
        Err(error) => Err(refused(address, &error)),
    }
}

fn refused(address: &Multiaddr, reason: &dyn std::fmt::Display) -> NetError {
    NetError::Address { address: address.clone(), reason: reason.to_string() }
}

/// The socket that an address to listen at names, and whether it is one of TCP.
fn socket_of(address: &Multiaddr) -> Option<(SocketAddr, bool)> {
    let mut parts = address.iter();
    let ip = match parts.next()? {
        Protocol::Ip4(ip) => ip.into(),
        Protocol::Ip6(ip) => ip.into(),
        _ => return None,
    };
    match (parts.next()?, parts.next(), parts.next()) {
        (Protocol::Tcp(port), None, None) => Some((SocketAddr::new(ip, port), true)),
        (Protocol::Udp(port), Some(Protocol::QuicV1), None) => Some((SocketAddr::new(ip, port), false)),
        _ => None,
    }
}

/// libp2p's own default for a connection to be established (`SwarmBuilder`).
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// An address is reported at once, unless no interface has it.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_listened_at_is_taken() {
        let socket = |text: &str| socket_of(&text.parse().expect("an address"));
        assert_eq!(socket("/ip4/127.0.0.1/tcp/7"), Some(("127.0.0.1:7".parse().expect("a socket"), true)));
        assert_eq!(socket("/ip6/::1/udp/7/quic-v1"), Some(("[::1]:7".parse().expect("a socket"), false)));
        for text in ["/ip4/127.0.0.1/udp/7", "/dns4/localhost/tcp/7", "/ip4/127.0.0.1/tcp/7/ws", "/ip4/127.0.0.1"] {
            assert_eq!(socket(text), None, "{text}");
        }
    }
}
