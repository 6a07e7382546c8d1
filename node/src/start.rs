//! A whole node in the foreground: opens what it needs in an order in which each failure has its own clear error, runs,
//! and closes in the reverse order.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use prometheus_client::registry::Registry;
use synod_consensus::adversary::Behaviour;
use synod_consensus::{Chain, ChainError, light};
use synod_dht::{Identity as PublicIdentity, flood, mesh, neighbours};
use synod_ledger::{BLOCK_BYTES_MAX, Engine, SecretKey, TX_BYTES_MAX};
use synod_machine::{Bytes, Rng, Wire, wire};
use synod_peer::{GossipParams, KeeperParams};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};

use crate::api;
use crate::config::{
    Config, ConfigError, DhtKind, GossipKind, MULTI_MINTER, MiningConfig, RunFile, SELFISH_MINER, load_genesis,
};
use crate::driver::{self, EngineError, Records};
use crate::handle::{NodeHandle, NodeInfo, Stopped};
use crate::miner::Miner;
use crate::net::{self, Identity, IdentityError, NetConfig, NetError, Network};
use crate::store::{Store, StoreError, StoreIdentity, Write};

/// Events that may wait between the network and the engine; beyond that peers are held back.
const EVENTS_MAX: usize = 1_024;
/// Threads for the network and the API. A node spends its time in the engine and the miner, which have their own.
const WORKERS: usize = 2;

/// Why a node could not start, or ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Nobody votes on this chain, or nobody mints, so that nobody can do it badly.
    #[error("the node cannot be a {name}: its chain has no {role}")]
    Adversary {
        /// What it was to be.
        name: String,
        /// Who there would have to be.
        role: &'static str,
    },
    /// The API's address is taken.
    #[error("the API's address {address} is in use by another process")]
    ApiInUse {
        /// The address.
        address: SocketAddr,
    },
    /// The API cannot listen.
    #[error("the API cannot listen on {address}: {source}")]
    Api {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The genesis is one that no chain can start from.
    #[error("the genesis {} cannot be used: {source}", path.display())]
    Chain {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: ChainError,
    },
    /// A configuration or genesis file cannot be read.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The data folder cannot be made or written.
    #[error("the data folder {} cannot be used: {source}", path.display())]
    Data {
        /// The folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The engine ended.
    #[error("the node stopped: {0}")]
    Engine(#[from] EngineError),
    /// The engine's thread panicked: a mistake of ours. What was acknowledged is on disk.
    #[error("the node stopped because of an internal error; its log has the details")]
    Internal,
    /// The node's key cannot be read or made.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The network could not be started.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The store could not be opened.
    #[error("the store {} cannot be opened: {source}", path.display())]
    Store {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: StoreError,
    },
    /// What a light peer would have to do for this chain, it cannot.
    #[error("the node cannot be light: {why}")]
    Light {
        /// Why not.
        why: String,
    },
    /// The system gave no threads or signals.
    #[error("the system refused: {0}")]
    System(io::Error),
}

impl StartError {
    /// The exit code that stands for it (see `docs/cli.md`).
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Adversary { .. } | Self::Config(_) | Self::Chain { .. } | Self::Identity(_) | Self::Light { .. } => 3,
            Self::Store { source, .. } => match source {
                StoreError::OtherNetwork { .. } | StoreError::OtherPeer { .. } | StoreError::NewerSchema { .. } => 3,
                _ => 4,
            },
            Self::Api { .. } | Self::ApiInUse { .. } | Self::Data { .. } | Self::Net(_) => 4,
            Self::Engine(_) | Self::Internal | Self::System(_) => 1,
        }
    }

    /// What to do about it.
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Adversary { .. } => "remove `adversary` from the configuration, or make a chain that has them",
            Self::Api { .. } => "set `api` in the configuration to an address of this machine",
            Self::ApiInUse { .. } | Self::Net(NetError::PortInUse { .. }) => {
                "stop the other process, or set another port in the configuration; port 0 takes a free one"
            }
            Self::Chain { .. } => "correct the genesis file; all peers of a network need the same one",
            Self::Config(_) => "correct the file; `synod node --help` says what it may hold",
            Self::Data { .. } => "make the folder writable, or set another as `data` in the configuration",
            Self::Engine(EngineError::Store(StoreError::DiskFull)) => {
                "make room on the disk and start again; nothing that was acknowledged is lost"
            }
            Self::Engine(_) | Self::Internal => "start it again; nothing that was acknowledged is lost",
            Self::Identity(_) => "restore the key file, or remove it to become a new peer",
            Self::Light { .. } => "run it as a full peer: without `light` in the configuration and without --light",
            Self::Net(_) => "check `listen` in the configuration",
            Self::Store { source, .. } => match source {
                StoreError::Locked => "another node runs with this folder: stop it first",
                StoreError::NewerSchema { .. } => "use the program that wrote the store, or a newer one",
                StoreError::OtherNetwork { .. } => "this folder belongs to another network: use another `data` folder",
                StoreError::OtherPeer { .. } => "this folder belongs to another peer: restore its identity.key",
                _ => "check the disk; as a last resort move the file away and the chain is fetched from peers again",
            },
            Self::System(_) => "raise the limits on threads and open files",
        }
    }
}

/// Runs the node that the configuration describes until SIGTERM or Ctrl-C. `on_ready` is called once it serves.
pub fn run(config: Config, on_ready: impl FnOnce(&RunFile)) -> Result<(), StartError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .thread_name("synod-io")
        .enable_all()
        .build()
        .map_err(StartError::System)?;
    runtime.block_on(serve(config, on_ready))
}

async fn serve(config: Config, on_ready: impl FnOnce(&RunFile)) -> Result<(), StartError> {
    let genesis = load_genesis(&config.genesis)?;
    let chain = Chain::real(genesis).map_err(|source| StartError::Chain { path: config.genesis.clone(), source })?;
    behaviour(&config, &chain)?;
    let data_error = |source| StartError::Data { path: config.data.clone(), source };
    std::fs::create_dir_all(&config.data).map_err(data_error)?;
    let key = config.data.join("identity.key");
    let identity = Identity::load_or_create(&key)?;
    let store = Arc::new(open_store(&config, &chain, &identity, Identity::is_unused(&key))?);
    Identity::use_up(&key).map_err(data_error)?;
    let listener = bind(config.api).await?;
    let (stopping, stop) = watch::channel(false);
    let mut interrupt = signal(SignalKind::interrupt()).map_err(StartError::System)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(StartError::System)?;

    let mut registry = Registry::default();
    let (net_sender, net_events) = mpsc::channel(EVENTS_MAX);
    let network = Arc::new(net::start(net_config(&config, &chain, &identity), net_sender, &mut registry).await?);
    let (request_sender, requests) = mpsc::unbounded_channel();
    let handle = NodeHandle::new(
        move |request| request_sender.send(request).map_err(|_| Stopped),
        Arc::new(Records(Arc::clone(&store))),
    );
    let (found_sender, found) = mpsc::unbounded_channel();
    let (ready_sender, ready) = oneshot::channel();
    let parts = driver::Parts {
        genesis_unix_ms: chain.genesis().time_unix_ms,
        params: params(&config, &chain, &identity)?,
        store,
        network: Arc::clone(&network),
        net_events,
        requests,
        handle: handle.clone(),
        miner: miner(config.mining.as_ref(), &identity, move |found| {
            // The engine is gone where the node stops.
            let _ = found_sender.send(found);
        }),
        found,
        info: info(&config, &identity),
        overlays: config.overlays.clone(),
        is_first: config.bootstrap.is_empty(),
        seed: (seed_of(&identity), unix_ms()),
        stop: stop.clone(),
        ready: ready_sender,
    };
    let (ended_sender, mut ended) = oneshot::channel();
    let engine = thread::Builder::new()
        .name("synod-engine".into())
        .spawn(move || {
            // Dropped without a word where the engine panics.
            let _ = ended_sender.send(driver::run(parts));
        })
        .map_err(StartError::System)?;

    let api_address = listener.local_addr().map_err(StartError::System)?;
    let mut api_stop = stop;
    let server = tokio::spawn(api::serve(listener, handle, registry, async move {
        let _ = api_stop.wait_for(|&stop| stop).await;
    }));
    let run_file = run_file(&config, &chain, &network, api_address);
    let mut ready = Some(ready);
    let mut on_ready = Some(on_ready);
    let result = loop {
        tokio::select! {
            result = &mut ended => break result.map_err(|_| StartError::Internal).and_then(|result| Ok(result?)),
            _ = interrupt.recv() => break Ok(()),
            _ = terminate.recv() => break Ok(()),
            Ok(()) = async { ready.as_mut().expect("asked once").await }, if ready.is_some() => {
                ready = None;
                if let Err(source) = run_file.write(&config.data) {
                    break Err(StartError::Data { path: config.data.clone(), source });
                }
                if let Some(on_ready) = on_ready.take() {
                    on_ready(&run_file);
                }
            }
        }
    };
    // The order matters: first nobody is told any more that we are here, then nothing new is taken, then the rest ends.
    if let Err(error) = RunFile::remove(&config.data) {
        tracing::warn!(%error, "the run file cannot be removed");
    }
    stopping.send_replace(true);
    if let Ok(Err(error)) = server.await {
        tracing::warn!(%error, "the API ended with an error");
    }
    let joined = tokio::task::spawn_blocking(move || engine.join()).await;
    if let Ok(network) = Arc::try_unwrap(network) {
        network.stop().await;
    }
    match joined {
        Ok(Ok(())) => result,
        Ok(Err(_)) | Err(_) => Err(StartError::Internal),
    }
}

/// The store. Where it is new and the key is not, the one before was lost: a validator is silent then until nothing that it may
/// have voted for is open any more, since two different votes would make it a liar.
fn open_store(config: &Config, chain: &Chain, identity: &Identity, is_unused: bool) -> Result<Store, StartError> {
    let path = config.data.join("store.redb");
    let genesis = chain.genesis();
    let owner =
        StoreIdentity { chain: genesis.name.clone(), genesis: genesis.digest(), peer: Bytes(public_key(identity)) };
    let first = (!is_unused && chain.agreed().is_some()).then(|| {
        let (key, record) = synod_consensus::Record::rejoining();
        Write::Put { key, bytes: wire::encode(&synod_peer::Record::Replica(record)) }
    });
    Store::open_beginning(&path, &owner, first.as_slice()).map_err(|source| StartError::Store { path, source })
}

async fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => StartError::ApiInUse { address },
        _ => StartError::Api { address, source },
    })
}

fn net_config(config: &Config, chain: &Chain, identity: &Identity) -> NetConfig {
    NetConfig {
        keypair: identity.keypair(),
        listen: config.listen.clone(),
        bootstrap: config.bootstrap.clone(),
        chain: chain.rules().chain.to_string(),
        genesis: chain.genesis().digest().to_string(),
        agent: concat!("synod/", env!("CARGO_PKG_VERSION")).into(),
        connections_max: config.network.connections_max,
        discover: config.network.discover,
        gossip: config.network.gossip,
        // A light peer follows by headers; whole blocks would be wasted on it, and it forwards none. Where our own machines carry
        // gossip it hears them all the same, since all peers must have the same carrier.
        gossip_heard: !config.light,
        gossip_signed: config.network.gossip_signed,
        kad_public: config.network.kad_public,
        kad_providers: config.overlays.dht.contains(&DhtKind::Kademlia),
        frame_bytes_max: synod_peer::Message::<synod_dht::Contact>::BYTES_MAX,
        blocks_bytes_max: BLOCK_BYTES_MAX,
        transactions_bytes_max: TX_BYTES_MAX,
    }
}

fn params(config: &Config, chain: &Arc<Chain>, identity: &Identity) -> Result<synod_peer::Params, StartError> {
    let key = public_key(identity);
    let extra = seed_of(identity);
    Ok(synod_peer::Params {
        behaviour: match config.adversary.as_deref() {
            Some(MULTI_MINTER) => synod_peer::Behaviour::MultiMint,
            Some(SELFISH_MINER) => synod_peer::Behaviour::Selfish,
            // Another name is a validator's, who is honest in all but its votes.
            _ => synod_peer::Behaviour::Honest,
        },
        // The engine sets it: it depends on the names that the driver has for peers.
        discovery: None,
        gossip: gossip(config.network.gossip, Rng::new(extra, unix_ms(), "gossip")),
        neighbours: neighbours::Params {
            own: PublicIdentity(Bytes(key)),
            kept: validators(chain),
            neighbours_min: config.network.neighbours_min,
            rng: Rng::new(extra, unix_ms(), "neighbours"),
        },
        keeper: keeper(config, chain, identity)?,
    })
}

/// What it keeps of the chain.
fn keeper(config: &Config, chain: &Arc<Chain>, identity: &Identity) -> Result<KeeperParams, StartError> {
    let key = PublicIdentity(Bytes(public_key(identity)));
    if config.light {
        if validators(chain).contains(&key) {
            let why = "it is a validator of its chain, and a light peer cannot vote".to_owned();
            return Err(StartError::Light { why });
        }
        let params = light::Params::new(Arc::clone(chain), light::Limits::default());
        return params.map(KeeperParams::Light).map_err(|error| StartError::Light { why: error.to_string() });
    }
    let mining = config.mining.as_ref().filter(|mining| mining.hash_rate > 0 && mining.threads > 0);
    Ok(KeeperParams::Full(synod_consensus::Params {
        chain: Arc::clone(chain),
        limits: synod_consensus::Limits::default(),
        miner: mining.map(|mining| mining.address),
        signer: Some(SecretKey::from_bytes(*identity.secret())),
        behaviour: behaviour(config, chain).expect("it was checked at the beginning"),
        // What differs between peers that mine for one address, too.
        extra: seed_of(identity),
    }))
}

/// On a chain of validators everybody is a client of all of them (Castro and Liskov 1999, section 4.1), and they vote to each
/// other directly.
fn validators(chain: &Chain) -> BTreeSet<PublicIdentity> {
    let keys = chain.agreed().into_iter().flat_map(|agreed| agreed.validators());
    keys.map(|key| PublicIdentity(key.0)).collect()
}

/// How this node behaves as a validator.
fn behaviour(config: &Config, chain: &Chain) -> Result<Behaviour, StartError> {
    let Some(name) = config.adversary.as_deref() else { return Ok(Behaviour::Honest) };
    let engine = &chain.genesis().engine;
    let other = match name {
        MULTI_MINTER => Some(("stakes", matches!(engine, Engine::Pos(_)))),
        SELFISH_MINER => Some(("blocks that are mined", matches!(engine, Engine::Pow(_)))),
        _ => None,
    };
    if let Some((role, is_there)) = other {
        let missing = || StartError::Adversary { name: name.to_owned(), role };
        return is_there.then_some(Behaviour::Honest).ok_or_else(missing);
    }
    let timeout = chain.agreed().map(|agreed| Duration::from_millis(agreed.params().view_timeout_ms));
    let behaviour = timeout.and_then(|timeout| Behaviour::named(name, timeout));
    behaviour.ok_or_else(|| StartError::Adversary { name: name.to_owned(), role: "validators" })
}

fn gossip(kind: GossipKind, rng: Rng) -> GossipParams {
    match kind {
        GossipKind::Flood => GossipParams::Flood(flood::Params { rng }),
        GossipKind::Gossipsub => GossipParams::Host,
        GossipKind::Mesh => GossipParams::Mesh(mesh_params(rng)),
    }
}

/// A node's mesh: set as its gossipsub is, so that the two can be compared.
pub fn mesh_params(rng: Rng) -> mesh::Params {
    mesh::Params { flood_publish: false, ..mesh::Params::new(rng) }
}

fn miner(
    config: Option<&MiningConfig>,
    identity: &Identity,
    on_found: impl Fn(crate::miner::Found) + Send + Sync + 'static,
) -> Miner {
    let (threads, hash_rate) = config.map_or((0, 0), |mining| (mining.threads, mining.hash_rate));
    let key = public_key(identity);
    let nonce_first = u64::from_le_bytes(key[8..16].try_into().expect("a key has more than sixteen bytes"));
    Miner::start(threads, hash_rate, nonce_first, on_found)
}

fn info(config: &Config, identity: &Identity) -> NodeInfo {
    NodeInfo {
        name: config.name.clone(),
        adversary: config.adversary.clone(),
        peer_id: identity.peer().to_string(),
        listen: Vec::new(),
        started: Instant::now(),
        peers: Vec::new(),
        refused: Vec::new(),
        faults_allowed: config.faults,
        faults: net::Faults::default(),
        resting: false,
        hash_rate: 0.0,
        hashes_total: 0,
    }
}

fn run_file(config: &Config, chain: &Chain, network: &Network, api: SocketAddr) -> RunFile {
    RunFile {
        pid: process::id(),
        name: config.name.clone(),
        peer_id: network.local().to_string(),
        listen: network.listen().iter().map(ToString::to_string).collect(),
        api,
        chain_id: chain.rules().chain.to_string(),
        started_unix_ms: unix_ms(),
    }
}

fn public_key(identity: &Identity) -> [u8; 32] {
    net::public_key_of(&identity.peer()).expect("our own key is an ed25519 key")
}

/// The seed of this peer's choices: its own key.
fn seed_of(identity: &Identity) -> u64 {
    u64::from_le_bytes(public_key(identity)[..8].try_into().expect("a key has more than eight bytes"))
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
