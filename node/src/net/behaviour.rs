//! The libp2p behaviours of a node and how each is configured.

use std::collections::HashSet;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use libp2p::connection_limits::{self, ConnectionLimits};
use libp2p::gossipsub::{
    self, IdentTopic, MaxCountSubscriptionFilter, MessageAuthenticity, MessageId, PeerScoreParams, PeerScoreThresholds,
    TopicHash, TopicScoreParams, ValidationMode, WhitelistSubscriptionFilter,
};
use libp2p::kad::store::{MemoryStore, MemoryStoreConfig};
use libp2p::swarm::NetworkBehaviour;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{PeerId, StreamProtocol, allow_block_list, identify, kad, memory_connection_limits, ping};
use prometheus_client::registry::Registry;
use sha2::{Digest as _, Sha256};
use synod_dht::overlay::ENTRIES_MAX;

use super::guard::Guard;
use super::shape::Links;
use super::{NetConfig, NetError, Topic};
use crate::config::GossipKind;

/// The node's gossipsub: two topics and no others.
pub(super) type Gossipsub =
    gossipsub::Behaviour<gossipsub::IdentityTransform, MaxCountSubscriptionFilter<WhitelistSubscriptionFilter>>;

/// All of it. The first three may refuse a connection, so they are asked first.
#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    pub(super) limits: connection_limits::Behaviour,
    pub(super) memory: memory_connection_limits::Behaviour,
    pub(super) bans: allow_block_list::Behaviour<allow_block_list::BlockedPeers>,
    pub(super) guard: Guard,
    pub(super) identify: identify::Behaviour,
    pub(super) ping: ping::Behaviour,
    pub(super) kad: kad::Behaviour<MemoryStore>,
    pub(super) kad_public: Toggle<kad::Behaviour<MemoryStore>>,
    pub(super) gossipsub: Toggle<Gossipsub>,
    pub(super) streams: libp2p_stream::Behaviour,
}

/// The names of a chain's protocols and topics.
#[derive(Clone, Debug)]
pub(super) struct Names {
    pub(super) frames: StreamProtocol,
    pub(super) kad: StreamProtocol,
    /// What identify says of a node of this chain.
    pub(super) version: String,
    topics: [IdentTopic; 2],
}

impl Names {
    /// The names for this chain, unless its id or digest is nothing that can stand in a name.
    pub(super) fn new(config: &NetConfig) -> Result<Self, NetError> {
        let plain = |text: &str| {
            !text.is_empty()
                && text.len() <= 64
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        if !plain(&config.chain) || !plain(&config.genesis) {
            return Err(NetError::Config { reason: "a chain's id and digest are letters, digits and hyphens".into() });
        }
        let chain = &config.chain;
        let protocol = |rest: &str| {
            StreamProtocol::try_from_owned(format!("/synod/{chain}/{rest}"))
                .expect("a protocol's name begins with a slash")
        };
        Ok(Self {
            frames: protocol("frames/1"),
            kad: protocol("kad"),
            version: match config.gossip {
                GossipKind::Gossipsub => format!("{VERSION_PREFIX}{}", config.genesis),
                GossipKind::Flood | GossipKind::Mesh => {
                    format!("{VERSION_PREFIX}{}/{}", config.genesis, config.gossip.name())
                }
            },
            topics: Topic::ALL.map(|topic| IdentTopic::new(format!("/synod/{chain}/{}", topic.name()))),
        })
    }

    pub(super) fn topic(&self, topic: Topic) -> &IdentTopic {
        match topic {
            Topic::Blocks => &self.topics[0],
            Topic::Transactions => &self.topics[1],
        }
    }

    pub(super) fn topic_of(&self, hash: &TopicHash) -> Option<Topic> {
        Topic::ALL.into_iter().find(|topic| self.topic(*topic).hash() == *hash)
    }
}

impl Topic {
    /// In the order of [`Names::topics`].
    pub(super) const ALL: [Self; 2] = [Self::Blocks, Self::Transactions];

    const fn name(self) -> &'static str {
        match self {
            Self::Blocks => "blocks",
            Self::Transactions => "tx",
        }
    }

    /// The longest message on this topic.
    pub(super) const fn bytes_max(self, config: &NetConfig) -> usize {
        match self {
            Self::Blocks => config.blocks_bytes_max,
            Self::Transactions => config.transactions_bytes_max,
        }
    }
}

impl Behaviour {
    pub(super) fn new(
        config: &NetConfig,
        names: &Names,
        links: Arc<Links>,
        registry: &mut Registry,
    ) -> Result<Self, NetError> {
        let local = config.keypair.public().to_peer_id();
        let kademlia = |protocol, keeps| kademlia(local, protocol, config.discover, keeps);
        let public = config.kad_public.then(|| kademlia(kad::PROTOCOL_NAME, false));
        let gossipsub = match config.gossip {
            GossipKind::Flood | GossipKind::Mesh => None,
            GossipKind::Gossipsub => Some(gossipsub(config, names, registry)?),
        };
        Ok(Self {
            limits: connection_limits::Behaviour::new(limits(config.connections_max)),
            memory: memory_connection_limits::Behaviour::with_max_percentage(MEMORY_SHARE_MAX),
            bans: allow_block_list::Behaviour::default(),
            guard: Guard::new(links),
            identify: identify::Behaviour::new(
                identify::Config::new(names.version.clone(), config.keypair.public())
                    .with_agent_version(config.agent.clone())
                    .with_push_listen_addr_updates(true),
            ),
            ping: ping::Behaviour::new(ping::Config::new().with_interval(PING_INTERVAL).with_timeout(PING_TIMEOUT)),
            kad: kademlia(names.kad.clone(), config.kad_providers),
            kad_public: Toggle::from(public),
            gossipsub: Toggle::from(gossipsub),
            streams: libp2p_stream::Behaviour::new(),
        })
    }
}

fn limits(connections_max: usize) -> ConnectionLimits {
    let total = u32::try_from(connections_max).unwrap_or(u32::MAX).max(1);
    // Whoever fills all inbound places must not keep this node from finding others.
    let inbound = (total - total / 4).max(1);
    ConnectionLimits::default()
        .with_max_pending_incoming(Some(total.max(PENDING_MIN)))
        .with_max_pending_outgoing(Some(total.max(PENDING_MIN)))
        .with_max_established_incoming(Some(inbound))
        .with_max_established(Some(total))
        .with_max_established_per_peer(Some(PER_PEER_MAX))
}

/// `keeps`: whether it has provider records, its own and others'.
fn kademlia(local: PeerId, protocol: StreamProtocol, discover: bool, keeps: bool) -> kad::Behaviour<MemoryStore> {
    let mut config = kad::Config::new(protocol);
    config
        .set_query_timeout(QUERY_TIMEOUT)
        // No values are stored for others: the chain's content travels by other means, and what strangers put is theirs.
        .set_record_filtering(if keeps { kad::StoreInserts::Unfiltered } else { kad::StoreInserts::FilterBoth })
        .set_replication_interval(None)
        .set_publication_interval(None)
        .set_provider_publication_interval(keeps.then_some(PROVIDE_INTERVAL))
        .disjoint_query_paths(true)
        // The network task walks at its own pace; besides, kad walks by itself after each of its first twenty peers.
        .set_periodic_bootstrap_interval(None);
    if !discover {
        // Whoever gets into the table is asked for others, who are then dialled.
        config.set_kbucket_inserts(kad::BucketInserts::Manual);
    }
    let (max_providers_per_key, max_provided_keys) =
        if keeps { (ENTRIES_MAX, synod_dht::kademlia::KEYS_MAX) } else { (0, 0) };
    let store = MemoryStoreConfig { max_records: 0, max_value_bytes: 0, max_providers_per_key, max_provided_keys };
    let mut kad = kad::Behaviour::with_config(local, MemoryStore::with_config(local, store), config);
    // By itself it would wait for a confirmed external address, which no node on a loopback interface ever has.
    kad.set_mode(Some(kad::Mode::Server));
    kad
}

fn gossipsub(config: &NetConfig, names: &Names, registry: &mut Registry) -> Result<Gossipsub, NetError> {
    let failed = |reason: &dyn std::fmt::Display| NetError::Config { reason: format!("gossipsub: {reason}") };
    let longest = config.blocks_bytes_max.max(config.transactions_bytes_max);
    let mut builder = gossipsub::ConfigBuilder::default();
    builder
        .heartbeat_initial_delay(HEARTBEAT_INITIAL_DELAY)
        .flood_publish(false)
        .validate_messages()
        .message_id_fn(message_id)
        // The limit is checked against all that waits in the read buffer, the next message's beginning among it.
        .max_transmit_size(longest.saturating_add(GOSSIP_SLACK_BYTES));
    for topic in Topic::ALL {
        let bytes_max = topic.bytes_max(config).saturating_add(GOSSIP_ENVELOPE_BYTES);
        builder.max_transmit_size_for_topic(bytes_max, names.topic(topic).hash());
    }
    let authenticity = if config.gossip_signed {
        builder.validation_mode(ValidationMode::Strict);
        MessageAuthenticity::Signed(config.keypair.clone())
    } else {
        builder.validation_mode(ValidationMode::Anonymous);
        MessageAuthenticity::Anonymous
    };
    let topics = Topic::ALL.map(|topic| names.topic(topic).hash());
    let filter = MaxCountSubscriptionFilter {
        filter: WhitelistSubscriptionFilter(topics.iter().cloned().collect::<HashSet<_>>()),
        max_subscribed_topics: Topic::ALL.len(),
        max_subscriptions_per_request: SUBSCRIPTIONS_MAX,
    };
    let built = builder.build().map_err(|error| failed(&error))?;
    let mut gossipsub =
        Gossipsub::new_with_subscription_filter(authenticity, built, filter).map_err(|error| failed(&error))?;
    gossipsub = gossipsub.with_metrics(registry.sub_registry_with_prefix("libp2p_gossip"), Default::default());
    gossipsub.with_peer_score(score(topics), PeerScoreThresholds::default()).map_err(|error| failed(&error))?;
    for topic in Topic::ALL.into_iter().filter(|_| config.gossip_heard) {
        gossipsub.subscribe(names.topic(topic)).map_err(|error| failed(&error))?;
    }
    Ok(gossipsub)
}

/// The same content on the same topic is the same message, whoever sends it and however often.
fn message_id(message: &gossipsub::Message) -> MessageId {
    let topic = message.topic.as_str();
    let digest = Sha256::new().chain_update((topic.len() as u64).to_le_bytes()).chain_update(topic);
    MessageId::new(&digest.chain_update(&message.data).finalize())
}

/// What costs a peer its place: invalid messages, and what gossipsub itself holds against it. Rates of delivery are not
/// judged, since a testbed's traffic has none that could be called normal.
fn score(topics: [TopicHash; 2]) -> PeerScoreParams {
    let topic = TopicScoreParams {
        topic_weight: 1.0,
        time_in_mesh_weight: 0.0,
        first_message_deliveries_weight: 0.0,
        mesh_message_deliveries_weight: 0.0,
        mesh_failure_penalty_weight: 0.0,
        // The square of the count: the first stops gossip to it (-10), the third makes it ignored altogether (-80).
        invalid_message_deliveries_weight: -10.0,
        invalid_message_deliveries_decay: gossipsub::score_parameter_decay(INVALID_FORGIVEN_AFTER),
        ..TopicScoreParams::default()
    };
    PeerScoreParams {
        topics: topics.into_iter().map(|hash| (hash, topic.clone())).collect(),
        // Many nodes on one machine share an address, which counts against them quadratically (rust-libp2p's default).
        ip_colocation_factor_whitelist: HashSet::from([Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]),
        ..PeerScoreParams::default()
    }
}

/// What every node's identify version begins with, whatever its chain. The genesis's digest follows, and the carrier of
/// gossip where that is not gossipsub.
pub(super) const VERSION_PREFIX: &str = "/synod/";

/// Of the machine's memory, by this process: far more than a node uses.
const MEMORY_SHARE_MAX: f64 = 0.9;
/// Handshakes at a time, where the connections allowed are fewer: all nodes of a test network join by one.
const PENDING_MIN: u32 = 64;
/// Two dials that cross, and a connection that took the place of one that hangs. With one allowed, each end of two dials
/// that cross could keep the one that the other closes.
const PER_PEER_MAX: u32 = 3;
/// Often enough to see a partition within [`super::task::SILENCE_MAX`].
const PING_INTERVAL: Duration = Duration::from_secs(5);
/// Two thirds of [`super::task::SILENCE_MAX`]; a link may be shaped to have a long round trip.
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// A sixth of libp2p's default: a testbed's peers are near, and a walk that hangs is repeated.
const QUERY_TIMEOUT: Duration = Duration::from_secs(10);
/// What is shared is told again after this time: a testbed's peers come and go within minutes, and one that starts knows nobody yet.
const PROVIDE_INTERVAL: Duration = Duration::from_secs(30);
/// Of gossipsub's 5 s: nobody waits five seconds for a mesh of local processes.
const HEARTBEAT_INITIAL_DELAY: Duration = Duration::from_millis(200);
/// Room for gossipsub's control messages, and for the part of a next message that came along.
const GOSSIP_SLACK_BYTES: usize = 128 * 1_024;
/// What an author, a sequence number, a signature, a key and a topic add to a message, doubled.
const GOSSIP_ENVELOPE_BYTES: usize = 1_024;
/// As in libp2p's own default of this filter. A stranger may have topics that this node does not care for.
const SUBSCRIPTIONS_MAX: usize = 100;
/// A peer that sent something invalid is even with the others again after this time.
const INVALID_FORGIVEN_AFTER: Duration = Duration::from_secs(600);
