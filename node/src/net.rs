//! The node's network: a libp2p swarm in one task, which moves bytes and knows nothing of what they mean.
//!
//! The engine gives it [`NetCommand`]s and is given [`NetEvent`]s, both by bounded channels. The network never waits for
//! the engine: while the engine is busy, frames stay unread on their streams (so their senders are held back, peer by
//! peer) and gossip is let pass unanswered. Whom to stay connected to is not decided here, but for the bootstrap
//! addresses, which are dialled at the start and whenever no peer is left.
//!
//! A *peer* is another node of the same chain whose frame streams are open in both directions; a *stranger* is any other
//! libp2p program: it is identified, hears gossip and has its Kademlia questions answered, and no more.

mod behaviour;
pub mod frame;
mod guard;
mod identity;
mod metrics;
mod outlet;
mod peers;
mod provide;
mod seek;
mod session;
mod shape;
mod swarm_events;
mod table;
mod task;
mod transport;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

pub use libp2p::gossipsub::{MessageAcceptance, MessageId};
pub use libp2p::{Multiaddr, PeerId};
use libp2p::{Swarm, swarm};
use prometheus_client::registry::Registry;
use synod_machine::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use crate::config::GossipKind;
use behaviour::{Behaviour, Names};
pub use identity::{Identity, IdentityError, peer_of, public_key_of};
use metrics::Metrics;
use outlet::Outlet;
use peers::Peers;
use provide::Queries;
use seek::{Bootstrap, Walks};
use shape::Links;
use table::Table;
use task::Task;

/// What a network is started with.
#[derive(Clone, Debug)]
pub struct NetConfig {
    /// Who this node is.
    pub keypair: libp2p::identity::Keypair,
    /// Where to listen: TCP (`/ip4/…/tcp/…`) and QUIC (`/ip4/…/udp/…/quic-v1`).
    pub listen: Vec<Multiaddr>,
    /// Peers to dial first, with or without `/p2p/…`.
    pub bootstrap: Vec<Multiaddr>,
    /// The chain's id, a part of every protocol's name.
    pub chain: String,
    /// The genesis's digest in hexadecimal: two nodes that name different ones refuse each other.
    pub genesis: String,
    /// What others see this node run, such as `synod/0.1.0`.
    pub agent: String,
    /// The most connections, inbound and outbound together; a quarter is kept for outbound ones.
    pub connections_max: usize,
    /// Whether peers are looked for beside `bootstrap`.
    pub discover: bool,
    /// Who carries gossip; without gossipsub it is the engine, by frames. Nodes that differ refuse each other.
    pub gossip: GossipKind,
    /// Whether it hears what gossipsub carries. Who does not publishes all the same.
    pub gossip_heard: bool,
    /// Whether gossipsub's messages carry their author's signature. Both ends must agree; strangers expect it.
    pub gossip_signed: bool,
    /// Whether the chain's Kademlia keeps provider records: who has what.
    pub kad_providers: bool,
    /// Whether `/ipfs/kad/1.0.0` is answered beside the chain's own Kademlia protocol.
    pub kad_public: bool,
    /// The longest frame, its length prefix not counted.
    pub frame_bytes_max: usize,
    /// The longest message of [`Topic::Blocks`].
    pub blocks_bytes_max: usize,
    /// The longest message of [`Topic::Transactions`].
    pub transactions_bytes_max: usize,
}

/// What gossip is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// `/synod/<chain>/blocks`
    Blocks,
    /// `/synod/<chain>/tx`
    Transactions,
}

/// What the network is told to do.
#[derive(Debug)]
pub enum NetCommand {
    /// Close the peer's connections and accept no more, until [`NetCommand::Unban`].
    Ban {
        /// Who.
        peer: PeerId,
    },
    /// Connect to a peer. Answered by one [`NetEvent::Up`] or one [`NetEvent::DialFailed`], unless the peer is up.
    Dial {
        /// Who.
        peer: PeerId,
        /// Where it may be found; where it was found before is tried as well.
        addresses: Vec<Multiaddr>,
    },
    /// Close all connections to a peer.
    Disconnect {
        /// Who.
        peer: PeerId,
    },
    /// Ask the chain's Kademlia who is closest to a key. Answered by [`NetEvent::Closest`].
    FindClosest {
        /// The engine's name for the request.
        query: u64,
        /// The key.
        key: Bytes<32>,
    },
    /// Ask the chain's Kademlia who has what stands under a key. Answered by [`NetEvent::Providers`].
    FindProviders {
        /// The engine's name for the request.
        query: u64,
        /// The key.
        key: Bytes<32>,
    },
    /// Tell the chain's Kademlia that this node has what stands under a key, or tell it so no longer.
    Provide {
        /// The key.
        key: Bytes<32>,
        /// Whether it has it.
        is_there: bool,
    },
    /// Gossip a message of this node's own.
    Publish {
        /// What it is about.
        topic: Topic,
        /// What it says.
        bytes: Vec<u8>,
    },
    /// One frame to each of several peers. A peer that is not up, or whose queue is full, does not get it; that is counted.
    Send {
        /// The receivers.
        to: Vec<PeerId>,
        /// What they are told.
        frame: Arc<[u8]>,
    },
    /// From now on links have these faults and no others.
    Shape(Faults),
    /// Accept a banned peer again.
    Unban {
        /// Who.
        peer: PeerId,
    },
    /// The answer to a [`NetEvent::Gossip`]; only then is the message forwarded, or its sender punished.
    Verdict {
        /// Which message.
        id: MessageId,
        /// Who sent it here.
        source: PeerId,
        /// Forward it, drop it, or drop it and hold it against its sender.
        acceptance: MessageAcceptance,
    },
}

/// What the network tells.
#[derive(Debug)]
pub enum NetEvent {
    /// The answer to a [`NetCommand::FindClosest`].
    Closest {
        /// The request.
        query: u64,
        /// The closest nodes that answered, the closest first.
        peers: Vec<PeerId>,
        /// Requests that were sent for it.
        requests: u32,
    },
    /// A peer that was asked for cannot be had.
    DialFailed {
        /// Who.
        peer: PeerId,
        /// Why not.
        error: String,
    },
    /// A peer of the chain was heard of, and where it listens.
    Discovered {
        /// Who.
        peer: PeerId,
        /// Where.
        addresses: Vec<Multiaddr>,
    },
    /// A peer is gone. No frame of it follows before it is up again.
    Down {
        /// Who.
        peer: PeerId,
    },
    /// A peer sent a frame. It came between the peer's [`NetEvent::Up`] and its [`NetEvent::Down`], in the order sent.
    Frame {
        /// Who.
        peer: PeerId,
        /// What it says.
        bytes: Vec<u8>,
    },
    /// A peer's frame stream broke the rules and was dropped.
    FrameRefused {
        /// Who.
        peer: PeerId,
        /// Which rule.
        reason: FrameRefusal,
    },
    /// A message was gossiped here; it waits for its [`NetCommand::Verdict`].
    Gossip {
        /// Its name: a hash of its topic and content.
        id: MessageId,
        /// Who sent it here, which need not be its author.
        source: PeerId,
        /// What it is about.
        topic: Topic,
        /// What it says.
        bytes: Vec<u8>,
    },
    /// Gossip broke the rules and was held against its sender.
    GossipRefused {
        /// Who sent it here.
        source: PeerId,
        /// Which rule.
        reason: GossipRefusal,
    },
    /// This node listens at one more address.
    Listening(Multiaddr),
    /// The answer to a [`NetCommand::FindProviders`].
    Providers {
        /// The request.
        query: u64,
        /// Who says that it has something under the key.
        peers: Vec<PeerId>,
        /// Requests that were sent for it.
        requests: u32,
    },
    /// A node was refused: it is of another chain, and says so to us as we do to it.
    Refused {
        /// Who.
        peer: PeerId,
        /// Why, for people.
        reason: String,
    },
    /// A ping came back.
    Rtt {
        /// From whom.
        peer: PeerId,
        /// After how long.
        rtt: Duration,
    },
    /// A peer of the same chain is connected and identified, and frames can be sent to it.
    Up {
        /// Who.
        peer: PeerId,
        /// Where it is: for an outbound connection where it was dialled, otherwise where it came from.
        address: Multiaddr,
        /// What it says it runs.
        agent: String,
        /// Whether this side opened the connection.
        outbound: bool,
    },
}

/// How a frame stream broke the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FrameRefusal {
    /// The stream ended within a frame, though the connection did not.
    Malformed,
    /// A frame was announced that is longer than any may be.
    Oversized,
}

/// How gossip broke the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GossipRefusal {
    /// The message is longer than its topic allows.
    Oversized,
}

/// How one link is shaped. It applies to what this node *sends*, so a round trip has the delay of both ends. QUIC cannot
/// be shaped: peers with a shaped link are reached by TCP alone.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Shape {
    /// Every byte arrives this much later.
    pub delay_ms: u64,
    /// And up to this much earlier or later than that, at random, never overtaking.
    pub jitter_ms: u64,
    /// The share of packets lost, 0 to 1. A stream loses nothing: what follows a lost packet waits for a retransmission.
    pub loss: f64,
    /// At most this many bytes per second; 0 is no limit.
    pub bandwidth_bytes_per_s: u64,
}

/// What is wrong with the links.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Faults {
    /// Peers that can neither be heard nor reached.
    pub cut: BTreeSet<PeerId>,
    /// The shape of links that are not in `links`.
    pub default: Shape,
    /// The shape of single peers' links.
    pub links: BTreeMap<PeerId, Shape>,
}

/// Why a network could not be started.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// An address that is no TCP or QUIC address to listen at.
    #[error("cannot listen at {address}: {reason}")]
    Address {
        /// The address.
        address: Multiaddr,
        /// What is wrong with it.
        reason: String,
    },
    /// Another process listens there.
    #[error("{address} is in use by another process")]
    PortInUse {
        /// The address.
        address: Multiaddr,
    },
    /// The swarm could not be built from its configuration.
    #[error("the network's configuration is not possible: {reason}")]
    Config {
        /// What is wrong with it.
        reason: String,
    },
}

/// One connected peer, to look at.
#[derive(Clone, Debug)]
pub struct PeerInfo {
    /// Who.
    pub peer: PeerId,
    /// Where it is.
    pub address: Multiaddr,
    /// Whether this side opened the connection.
    pub outbound: bool,
    /// What it says it runs.
    pub agent: String,
    /// Since when it is up.
    pub since: std::time::Instant,
    /// The last ping's round trip.
    pub rtt: Option<Duration>,
    /// Bytes of frames sent to it.
    pub sent_bytes: u64,
    /// Bytes of frames received from it.
    pub received_bytes: u64,
    /// Frames for it that were dropped.
    pub dropped_frames: u64,
}

/// A running network. It ends when this is dropped.
#[derive(Debug)]
pub struct Network {
    commands: mpsc::Sender<NetCommand>,
    listen: Vec<Multiaddr>,
    local: PeerId,
    table: Table,
    task: JoinHandle<()>,
    /// Dropped with this, which the task sees.
    _stop: oneshot::Sender<()>,
}

impl Network {
    /// Where commands go. An engine on a thread of its own uses `blocking_send`: the network never waits for the engine,
    /// so this cannot lock up.
    pub const fn commands(&self) -> &mpsc::Sender<NetCommand> {
        &self.commands
    }

    /// Where the network listens, each address with this node's `/p2p/…`.
    pub fn listen(&self) -> &[Multiaddr] {
        &self.listen
    }

    /// This node.
    pub const fn local(&self) -> PeerId {
        self.local
    }

    /// The peers that are up. A session's peer is listed a moment after the engine is told that it is up.
    pub fn peers(&self) -> Vec<PeerInfo> {
        self.table.infos()
    }

    /// Ends the network and waits until its sockets are closed.
    pub async fn stop(self) {
        let Self { task, _stop: stop, .. } = self;
        drop(stop);
        // It fails only if the task panicked, which is on record already.
        let _ = task.await;
    }
}

/// Starts the network and waits until it listens.
pub async fn start(
    config: NetConfig,
    events: mpsc::Sender<NetEvent>,
    registry: &mut Registry,
) -> Result<Network, NetError> {
    let local = config.keypair.public().to_peer_id();
    let names = Names::new(&config)?;
    let mut seed = [0; 8];
    getrandom::fill(&mut seed).map_err(|error| NetError::Config { reason: format!("no randomness: {error}") })?;
    let links = Arc::new(Links::new(u64::from_le_bytes(seed)));
    let transport = transport::build(&config.keypair, links.clone(), registry)?;
    let behaviour = Behaviour::new(&config, &names, links.clone(), registry)?;
    let swarm_config = swarm::Config::with_tokio_executor().with_idle_connection_timeout(IDLE_TIMEOUT);
    let mut swarm = Swarm::new(transport, behaviour, local, swarm_config);
    let mut control = swarm.behaviour().streams.new_control();
    let accepted = control.accept(names.frames.clone()).expect("nobody else accepts this protocol");
    let listening = transport::listen(&mut swarm, &config.listen).await?;

    let metrics = Metrics::new(registry);
    let table = Table::default();
    let mut task = Task {
        names,
        local,
        swarm,
        links,
        control,
        outlet: Outlet::new(events, metrics.clone()),
        metrics,
        libp2p_metrics: libp2p::metrics::Metrics::new(registry),
        table: table.clone(),
        bootstrap: Bootstrap::new(&config.bootstrap, local, Instant::now()),
        walks: Walks::new(),
        peers: Peers::default(),
        sessions: JoinSet::new(),
        ups: mpsc::unbounded_channel(),
        meant: BTreeSet::new(),
        wanted: BTreeSet::new(),
        lost: BTreeMap::new(),
        unheard: VecDeque::new(),
        queries: Queries::default(),
        config,
    };
    task.begin(listening.early);
    let listen = listening.addresses.into_iter().map(|address| address.with_p2p(local)).collect::<Result<_, _>>();
    let listen = listen.expect("an address to listen at names no other peer");
    let (commands, commands_receiver) = mpsc::channel(COMMANDS_MAX);
    let (stop, stop_receiver) = oneshot::channel();
    let task = tokio::spawn(task.run(commands_receiver, accepted, stop_receiver));
    Ok(Network { commands, listen, local, table, task, _stop: stop })
}

/// A connection that nobody uses is closed after this time; libp2p's default of 10 s, with some patience for strangers.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Commands on their way: one step of an engine gives a few for each peer.
const COMMANDS_MAX: usize = 4_096;

#[cfg(test)]
mod tests;
