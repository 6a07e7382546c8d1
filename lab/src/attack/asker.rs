//! A peer that asks more than its share: the node's own network layer with nobody behind it who wants to know.
//!
//! It asks for all headers of the chain, again and again. That is the request that costs least to ask and most to answer: some forty bytes against
//! up to two thousand headers. Nothing in it is against the protocol, so that the asked cannot tell it from one that catches up.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use synod_consensus::Message as ReplicaMessage;
use synod_ledger::{BLOCK_BYTES_MAX, TX_BYTES_MAX};
use synod_machine::{Count, Wire, wire};
use synod_node::config::NetworkConfig;
use synod_node::net::{self, Identity, MessageAcceptance, Multiaddr, NetCommand, NetConfig, NetEvent, Network, PeerId};
use synod_peer::Message;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::arena::{Arena, PATIENCE};
use crate::LabError;
use crate::create::listen_addresses;

/// Events that may wait to be taken.
const EVENTS_MAX: usize = 1_024;
/// A peer that hung up is dialled again after so long.
const DIAL_EVERY: Duration = Duration::from_millis(500);

/// A connection of the attacker's to the flooded peer.
pub(super) struct Asker {
    network: Network,
    events: mpsc::Receiver<NetEvent>,
    victim: PeerId,
    addresses: Vec<Multiaddr>,
    question: Arc<[u8]>,
    is_up: bool,
    dialled: Instant,
}

/// What came of asking.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Asked {
    /// Questions that were sent.
    pub(super) sent: u64,
    /// Questions that could not be sent: the peer had hung up, or took none for the moment.
    pub(super) unsent: u64,
    /// What came back.
    pub(super) answers: Count,
    /// How often the peer hung up.
    pub(super) hung_up: u64,
}

impl Asker {
    /// Connects to the merchant's peer, as a new peer of its chain.
    pub(super) async fn connect(arena: &Arena) -> Result<Self, LabError> {
        let settings = &arena.network.manifest().settings;
        let entry = &arena.network.peers()[arena.at];
        let impossible = |what: &str| LabError::Check { what: format!("{}: {what}", entry.name) };
        let victim: PeerId = entry.peer_id.parse().map_err(|_| impossible("its peer id is none"))?;
        let addresses: Result<Vec<Multiaddr>, _> =
            listen_addresses(settings.transport, entry.port).iter().map(|address| address.parse()).collect();
        let addresses = addresses.map_err(|_| impossible("its address is none"))?;
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(|_| LabError::NoRandomness)?;
        let usual = NetworkConfig::default();
        let config = NetConfig {
            keypair: Identity::from_secret(secret).keypair(),
            listen: Vec::new(),
            bootstrap: addresses.clone(),
            chain: arena.genesis().chain_id().to_string(),
            genesis: arena.genesis().digest().to_string(),
            agent: concat!("synod/", env!("CARGO_PKG_VERSION")).into(),
            connections_max: 8,
            discover: false,
            gossip: settings.gossip.kind(),
            gossip_heard: false,
            gossip_signed: usual.gossip_signed,
            kad_public: false,
            kad_providers: false,
            frame_bytes_max: Message::<synod_dht::Contact>::BYTES_MAX,
            blocks_bytes_max: BLOCK_BYTES_MAX,
            transactions_bytes_max: TX_BYTES_MAX,
        };
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        let network = net::start(config, sender, &mut Registry::default()).await;
        let network = network.map_err(|error| LabError::Check { what: error.to_string() })?;
        let genesis = arena.genesis().block().id();
        let question = Message::<synod_dht::Contact>::Replica(ReplicaMessage::GetHeaders(vec![genesis]));
        let question = wire::encode(&question).into();
        let mut asker = Self { network, events, victim, addresses, question, is_up: false, dialled: Instant::now() };
        let mut nothing = Asked::default();
        let end = Instant::now() + PATIENCE;
        while !asker.is_up {
            let event = tokio::time::timeout_at(end, asker.events.recv()).await.ok().flatten();
            let what = "the attacker's connection".to_owned();
            let event = event.ok_or(LabError::TimedOut { what, limit: PATIENCE, log: Vec::new() })?;
            asker.on_event(event, &mut nothing).await;
        }
        Ok(asker)
    }

    /// Asks so many times a second for so long.
    pub(super) async fn ask(mut self, rate: f64, span: Duration, mut stop: watch::Receiver<bool>) -> Asked {
        let mut asked = Asked::default();
        let mut beat = tokio::time::interval(Duration::from_secs_f64(1.0 / rate));
        let end = tokio::time::sleep(span);
        tokio::pin!(end);
        loop {
            tokio::select! {
                () = &mut end => break,
                changed = stop.changed() => if changed.is_err() || *stop.borrow() { break },
                _ = beat.tick() => self.ask_once(&mut asked),
                Some(event) = self.events.recv() => self.on_event(event, &mut asked).await,
            }
        }
        // What waited for a peer that took nothing was dropped on this side.
        let dropped: u64 = self.network.peers().iter().map(|peer| peer.dropped_frames).sum();
        asked.sent = asked.sent.saturating_sub(dropped);
        asked.unsent += dropped;
        self.network.stop().await;
        asked
    }

    fn ask_once(&mut self, asked: &mut Asked) {
        let commands = self.network.commands();
        if self.is_up {
            let command = NetCommand::Send { to: vec![self.victim], frame: Arc::clone(&self.question) };
            match commands.try_send(command) {
                Ok(()) => asked.sent += 1,
                Err(_) => asked.unsent += 1,
            }
            return;
        }
        asked.unsent += 1;
        if self.dialled.elapsed() > DIAL_EVERY {
            self.dialled = Instant::now();
            // If there is no room for it now there is at the next beat.
            let _ = commands.try_send(NetCommand::Dial { peer: self.victim, addresses: self.addresses.clone() });
        }
    }

    async fn on_event(&mut self, event: NetEvent, asked: &mut Asked) {
        match event {
            NetEvent::Up { peer, .. } if peer == self.victim => self.is_up = true,
            NetEvent::Down { peer } if peer == self.victim => {
                self.is_up = false;
                asked.hung_up += 1;
            }
            // Peers say things unasked, too.
            NetEvent::Frame { bytes, .. } => {
                if let Ok(Message::<synod_dht::Contact>::Replica(ReplicaMessage::Headers(_))) = wire::decode(&bytes) {
                    asked.answers.messages += 1;
                    asked.answers.bytes += bytes.len() as u64;
                }
            }
            NetEvent::Gossip { id, source, .. } => {
                let verdict = NetCommand::Verdict { id, source, acceptance: MessageAcceptance::Ignore };
                // The network ends only with this.
                let _ = self.network.commands().send(verdict).await;
            }
            NetEvent::Closest { .. }
            | NetEvent::DialFailed { .. }
            | NetEvent::Discovered { .. }
            | NetEvent::Down { .. }
            | NetEvent::FrameRefused { .. }
            | NetEvent::GossipRefused { .. }
            | NetEvent::Listening(_)
            | NetEvent::Providers { .. }
            | NetEvent::Refused { .. }
            | NetEvent::Rtt { .. }
            | NetEvent::Up { .. } => {}
        }
    }
}
