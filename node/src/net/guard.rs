//! Refuses connections that would get round the faults in force: any to or from a peer that is cut off, and QUIC to or
//! from a peer whose link is shaped.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
    dummy,
};
use libp2p::{Multiaddr, PeerId};

use super::shape::Links;

/// The guard; it emits nothing.
pub(super) struct Guard {
    links: Arc<Links>,
}

#[derive(Debug, thiserror::Error)]
enum Denied {
    #[error("the link is cut by an injected fault")]
    Cut,
    #[error("the link is shaped, which QUIC cannot be")]
    Quic,
}

impl Guard {
    pub(super) const fn new(links: Arc<Links>) -> Self {
        Self { links }
    }

    fn admit(&self, peer: &PeerId, address: &Multiaddr) -> Result<dummy::ConnectionHandler, ConnectionDenied> {
        if self.links.is_cut(peer) {
            return Err(ConnectionDenied::new(Denied::Cut));
        }
        if self.links.escapes(peer, address) {
            return Err(ConnectionDenied::new(Denied::Quic));
        }
        Ok(dummy::ConnectionHandler)
    }
}

impl NetworkBehaviour for Guard {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: Option<PeerId>,
        _: &[Multiaddr],
        _: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        match peer {
            Some(peer) if self.links.is_cut(&peer) => Err(ConnectionDenied::new(Denied::Cut)),
            Some(_) | None => Ok(Vec::new()),
        }
    }

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.admit(&peer, remote)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        remote: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.admit(&peer, remote)
    }

    fn on_swarm_event(&mut self, _: FromSwarm<'_>) {}

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}
