//! A peer that speaks the protocols and means no good: the node's own network layer with nobody honest behind it.

use std::time::Duration;

use prometheus_client::registry::Registry;
use synod_ledger::Genesis;
use synod_machine::wire;
use synod_node::config::GossipKind;
use synod_node::net::{self, Identity, Multiaddr, NetCommand, NetConfig, NetEvent, Network, PeerId, Topic};
use tokio::sync::mpsc;

use crate::support::PATIENCE;

/// A connection of the attacker's to one victim.
pub(crate) struct Attacker {
    network: Network,
    events: mpsc::Receiver<NetEvent>,
    victim: PeerId,
}

impl Attacker {
    /// Connects to the node at `address` as a peer of its chain, under the identity `number`.
    pub(crate) async fn connect(genesis: &Genesis, address: &str, number: u8) -> Self {
        let address: Multiaddr = address.parse().expect("a node's address");
        let config = NetConfig {
            keypair: Identity::from_secret([number; 32]).keypair(),
            listen: vec!["/ip4/127.0.0.1/tcp/0".parse().expect("a literal address")],
            bootstrap: vec![address],
            chain: genesis.chain_id().to_string(),
            genesis: genesis.digest().to_string(),
            agent: "attacker".into(),
            connections_max: 8,
            discover: true,
            gossip: GossipKind::Gossipsub,
            gossip_heard: true,
            gossip_signed: true,
            kad_public: false,
            kad_providers: false,
            frame_bytes_max: 1 << 25,
            blocks_bytes_max: 1 << 23,
            transactions_bytes_max: 1 << 23,
        };
        let (sender, events) = mpsc::channel(1_024);
        let network = net::start(config, sender, &mut Registry::default()).await.expect("a free port");
        let mut attacker = Self { network, events, victim: PeerId::random() };
        attacker.victim = attacker.wait_up().await;
        attacker
    }

    async fn wait_up(&mut self) -> PeerId {
        let up = async {
            loop {
                if let NetEvent::Up { peer, .. } = self.events.recv().await.expect("the network runs") {
                    return peer;
                }
            }
        };
        tokio::time::timeout(PATIENCE, up).await.expect("the victim lets it in")
    }

    /// One frame of any bytes.
    pub(crate) async fn frame(&self, bytes: &[u8]) {
        self.command(NetCommand::Send { to: vec![self.victim], frame: bytes.into() }).await;
    }

    /// One well-formed message of replicas.
    pub(crate) async fn message(&self, message: synod_consensus::Message) {
        self.frame(&wire::encode(&synod_peer::Message::<synod_dht::Contact>::Replica(message))).await;
    }

    /// One gossiped item of any bytes.
    pub(crate) async fn gossip(&self, topic: Topic, bytes: Vec<u8>) {
        self.command(NetCommand::Publish { topic, bytes }).await;
    }

    /// Lets what arrives go by for a moment, so that the event channel does not fill.
    pub(crate) fn drain(&mut self) {
        while self.events.try_recv().is_ok() {}
    }

    async fn command(&self, command: NetCommand) {
        let sent = self.network.commands().send_timeout(command, Duration::from_secs(10)).await;
        sent.expect("the attacker's own network runs");
    }
}
