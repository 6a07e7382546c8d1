//! Whole networks on loopback, through what the engine sees of them.

mod chains;
mod faults;
mod gossip;
mod hostile;
mod links;

use std::fmt::Debug;

use libp2p::identity::Keypair;
use tokio::time::timeout;

use super::*;

/// A network and what it tells.
pub(super) struct Node {
    pub(super) network: Network,
    pub(super) events: mpsc::Receiver<NetEvent>,
}

/// The configuration of a node of the test chain that listens on a free TCP port.
pub(super) fn config(bootstrap: &[&Node]) -> NetConfig {
    NetConfig {
        keypair: Keypair::generate_ed25519(),
        listen: vec![TCP.parse().expect("an address")],
        bootstrap: bootstrap.iter().map(|node| node.address()).collect(),
        chain: "0123456789abcdef".into(),
        genesis: GENESIS.into(),
        agent: "synod/test".into(),
        connections_max: 64,
        discover: true,
        gossip: GossipKind::Gossipsub,
        gossip_heard: true,
        gossip_signed: true,
        kad_public: true,
        kad_providers: false,
        frame_bytes_max: FRAME_BYTES_MAX,
        blocks_bytes_max: 200_000,
        transactions_bytes_max: 1_000,
    }
}

impl Node {
    pub(super) async fn new(bootstrap: &[&Self]) -> Self {
        Self::with(config(bootstrap)).await
    }

    pub(super) async fn with(config: NetConfig) -> Self {
        Self::with_room_for(config, 256).await
    }

    pub(super) async fn with_room_for(config: NetConfig, events_max: usize) -> Self {
        let (sender, events) = mpsc::channel(events_max);
        let network = start(config, sender, &mut Registry::default()).await.expect("started");
        Self { network, events }
    }

    pub(super) fn peer(&self) -> PeerId {
        self.network.local()
    }

    pub(super) fn address(&self) -> Multiaddr {
        self.network.listen()[0].clone()
    }

    pub(super) async fn tell(&self, command: NetCommand) {
        self.network.commands().send(command).await.expect("the network runs");
    }

    pub(super) async fn dial(&self, other: &Self) {
        self.tell(NetCommand::Dial { peer: other.peer(), addresses: vec![other.address()] }).await;
    }

    pub(super) async fn send(&self, to: &Self, bytes: &[u8]) {
        self.tell(NetCommand::Send { to: vec![to.peer()], frame: bytes.into() }).await;
    }

    /// The next event that is looked for; those before it are passed over.
    pub(super) async fn wait<T>(&mut self, what: impl Debug, mut found: impl FnMut(NetEvent) -> Option<T>) -> T {
        let all = async {
            loop {
                let event = self.events.recv().await.expect("the network runs");
                if let Some(result) = found(event) {
                    return result;
                }
            }
        };
        timeout(PATIENCE, all).await.unwrap_or_else(|_| panic!("never came: {what:?}"))
    }

    /// Waits until all that this node was told before is done: commands are obeyed in order, and a dial of itself fails
    /// at once.
    pub(super) async fn settle(&mut self) {
        let own = self.peer();
        self.tell(NetCommand::Dial { peer: own, addresses: vec![] }).await;
        let is_own = |event| matches!(event, NetEvent::DialFailed { peer, .. } if peer == own).then_some(());
        self.wait("the end of what was told", is_own).await;
    }

    pub(super) async fn wait_up(&mut self, other: PeerId) {
        self.wait("up", |event| matches!(event, NetEvent::Up { peer, .. } if peer == other).then_some(())).await;
    }

    pub(super) async fn wait_frame(&mut self) -> Vec<u8> {
        self.wait("a frame", |event| match event {
            NetEvent::Frame { bytes, .. } => Some(bytes),
            NetEvent::Down { peer } => panic!("{peer} is down"),
            _ => None,
        })
        .await
    }

    pub(super) async fn wait_gossip(&mut self) -> (MessageId, PeerId, Vec<u8>) {
        self.wait("gossip", |event| match event {
            NetEvent::Gossip { id, source, bytes, .. } => Some((id, source, bytes)),
            _ => None,
        })
        .await
    }
}

/// Two nodes that are up for each other.
pub(super) async fn pair() -> (Node, Node) {
    let mut first = Node::new(&[]).await;
    let mut second = Node::new(&[&first]).await;
    both_up(&mut first, &mut second).await;
    (first, second)
}

pub(super) async fn both_up(first: &mut Node, second: &mut Node) {
    first.wait_up(second.peer()).await;
    second.wait_up(first.peer()).await;
}

pub(super) const TCP: &str = "/ip4/127.0.0.1/tcp/0";
pub(super) const GENESIS: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
pub(super) const FRAME_BYTES_MAX: usize = 300_000;
/// The longest that any of these waits; only a failure takes so long.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
