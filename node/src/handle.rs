//! How the rest of the process asks the engine thread: questions as closures over a [`View`], submits, faults, events.
//!
//! The engine thread owns the peer; nothing else touches it. A question runs between two of its steps and must be short:
//! whatever is long (reading blocks, walking over all coins) works on a cheap clone, or on the [`Archive`], elsewhere.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use synod_consensus::{Answer, Chain, Fate, Light, Replica, Violation};
use synod_dht::discovery::Source;
use synod_dht::{Discovery, Node};
use synod_ledger::{Block, BlockId, BlockTree, Height, Mempool, State, Tx, TxId, Undo};
use synod_machine::{Count, Counters, PeerId as Handle};
use tokio::sync::{Semaphore, broadcast, oneshot};

use crate::api::types::{ApiEvent, RefusedPeer};
use crate::discovery::Request;
use crate::net::{Faults, PeerId};
use crate::store::{StoreError, StoreSizes};

/// What the engine thread is asked.
pub enum EngineRequest {
    /// Find, fetch or share something by the overlays.
    Discovery(Request),
    /// Look at the peer between two steps.
    Query(Box<dyn FnOnce(&View<'_>) + Send>),
    /// Shape and cut links, and let the miner rest, from now on; the reply is given when the network has been told.
    SetFaults {
        /// All that is to be wrong with its links.
        faults: Faults,
        /// Whether its miner rests.
        resting: bool,
        /// Where the answer goes.
        reply: oneshot::Sender<()>,
    },
    /// Take a payment. The reply is given when it is durable (or was before), or refused.
    Submit {
        /// The payment.
        tx: Tx,
        /// Where the answer goes.
        reply: oneshot::Sender<Result<TxId, synod_consensus::SubmitError>>,
    },
}

impl fmt::Debug for EngineRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Discovery(request) => write!(f, "{request:?}"),
            Self::Query(_) => f.write_str("query"),
            Self::SetFaults { faults, resting, .. } => write!(f, "set {faults:?}, resting: {resting}"),
            Self::Submit { tx, .. } => write!(f, "submit {:?}", tx.id()),
        }
    }
}

/// What a question sees: the peer between two of the engine's steps.
pub struct View<'a> {
    /// The chain that the peer is on.
    pub chain: &'a Arc<Chain>,
    /// What the host counted.
    pub counters: &'a Counters,
    /// What it keeps of the chain.
    pub kept: Kept<'a>,
    /// What the driver knows: the node and its neighbours.
    pub node: &'a NodeInfo,
    /// The overlays, if it takes part in any.
    pub overlays: Option<Overlays<'a>>,
    /// Whether what is said of the chain is said of the best block; not so while loading or in the middle of a reorganisation.
    pub settled: bool,
    /// All headers.
    pub tree: &'a BlockTree,
    /// Two certified blocks of one height, if it stopped there.
    pub violation: Option<&'a Violation>,
}

/// What a peer keeps of its chain.
#[derive(Clone, Copy)]
pub enum Kept<'a> {
    /// Blocks and coins.
    Full(Full<'a>),
    /// Headers.
    Light(&'a Light),
}

/// What a question sees of a peer that keeps blocks and coins.
#[derive(Clone, Copy)]
pub struct Full<'a> {
    /// The unconfirmed payments.
    pub mempool: &'a Mempool,
    /// The blocks that are in memory, the last ones of the active chain among them.
    pub recent: &'a dyn Recent,
    /// The unspent coins. Its tip is the active chain's last block.
    pub state: &'a State,
}

impl<'a> View<'a> {
    /// What there is to see of `replica` and of the node around it.
    pub fn full(replica: &'a Replica, counters: &'a Counters, node: &'a NodeInfo) -> Self {
        let kept = Full { mempool: replica.mempool(), recent: replica, state: replica.state() };
        Self {
            chain: replica.chain(),
            counters,
            kept: Kept::Full(kept),
            node,
            overlays: None,
            settled: replica.is_settled(),
            tree: replica.tree(),
            violation: replica.violation(),
        }
    }

    /// What there is to see of `light` and of the node around it.
    pub fn light(light: &'a Light, counters: &'a Counters, node: &'a NodeInfo) -> Self {
        Self {
            chain: light.chain(),
            counters,
            kept: Kept::Light(light),
            node,
            overlays: None,
            settled: true,
            tree: light.tree(),
            violation: light.violation(),
        }
    }
}

impl View<'_> {
    /// The active chain's last block: the state's tip where there is a state, the best header where there is none.
    pub fn tip(&self) -> BlockId {
        match &self.kept {
            Kept::Full(full) => full.state.tip(),
            Kept::Light(light) => light.tree().best_header().id(),
        }
    }

    /// The tip's height.
    pub fn height(&self) -> Height {
        match &self.kept {
            Kept::Full(full) => full.state.height(),
            Kept::Light(light) => light.tree().best_header().height(),
        }
    }

    /// Height of the best known header, at or above the tip's.
    pub fn best_header_height(&self) -> Height {
        self.tree.best_header().height().max(self.height())
    }

    /// A block, if it is in memory.
    pub fn recent_block(&self, id: &BlockId) -> Option<Block> {
        match &self.kept {
            Kept::Full(full) => full.recent.recent_block(id),
            Kept::Light(_) => None,
        }
    }
}

/// What a question sees of the overlays.
pub struct Overlays<'a> {
    /// The machine.
    pub machine: &'a Discovery,
    /// Whether provider records are kept and looked for in libp2p's Kademlia.
    pub libp2p: bool,
    /// Who its nodes are.
    pub names: &'a dyn Names,
}

/// Who is meant by a handle.
pub trait Names {
    /// What was sent of overlays' messages, by kind, in bytes as they travel.
    fn traffic(&self) -> &BTreeMap<&'static str, Count>;

    /// This peer.
    fn own(&self) -> Node;

    /// The node of an overlay that a handle stands for.
    fn node(&self, handle: Handle) -> Option<Node>;

    /// The peer that a handle stands for.
    fn peer(&self, handle: Handle) -> Option<PeerId>;
}

/// What can be had without reading a disk.
pub trait Recent {
    /// What became of a payment that this peer acknowledged, until it is deep in the chain.
    fn fate(&self, id: &TxId) -> Option<Fate>;

    /// A block, if it is in memory.
    fn recent_block(&self, id: &BlockId) -> Option<Block>;

    /// What f + 1 validators replied about a payment that this peer acknowledged.
    fn answer(&self, id: &TxId) -> Option<Answer>;
}

impl Recent for Replica {
    fn fate(&self, id: &TxId) -> Option<Fate> {
        Self::fate(self, id)
    }

    fn recent_block(&self, id: &BlockId) -> Option<Block> {
        self.block(id)
    }

    fn answer(&self, id: &TxId) -> Option<Answer> {
        Self::answer(self, id).cloned()
    }
}

/// What the driver knows of the node itself; kept up to date by the engine thread.
#[derive(Clone, Debug)]
pub struct NodeInfo {
    /// The name for people.
    pub name: String,
    /// How it behaves as a validator, if it is not honest.
    pub adversary: Option<String>,
    /// The libp2p peer id.
    pub peer_id: String,
    /// Addresses it listens on, each ending in `/p2p/<peer id>`.
    pub listen: Vec<String>,
    /// When it started.
    pub started: Instant,
    /// The connected peers, in the order of their ids.
    pub peers: Vec<PeerInfo>,
    /// Peers that were refused, and why.
    pub refused: Vec<RefusedPeer>,
    /// Whether the API may shape and cut links.
    pub faults_allowed: bool,
    /// What is wrong with the links now.
    pub faults: Faults,
    /// Whether its miner rests.
    pub resting: bool,
    /// Hashes per second that it mined with over the last seconds.
    pub hash_rate: f64,
    /// Hashes since it started.
    pub hashes_total: u64,
}

/// A connected peer.
#[derive(Clone, Debug)]
pub struct PeerInfo {
    /// Its libp2p peer id.
    pub peer_id: String,
    /// The address at the connection's other end.
    pub address: String,
    /// Whether this peer opened the connection.
    pub outbound: bool,
    /// What it says it runs.
    pub agent: String,
    /// When it was connected.
    pub connected: Instant,
    /// The height that it last announced.
    pub height: Option<Height>,
    /// The last ping's round trip.
    pub rtt: Option<Duration>,
    /// Bytes of frames sent to it.
    pub sent_bytes: u64,
    /// Bytes of frames received from it.
    pub received_bytes: u64,
    /// Frames for it that were dropped because its queue was full.
    pub dropped_frames: u64,
}

/// What is read from disk, by whichever thread needs it. Everything that the engine committed can be read here.
pub trait Archive: Send + Sync + 'static {
    /// A content that this peer shares, or a piece of it.
    fn content(&self, source: &Source) -> Result<Option<Vec<u8>>, StoreError>;

    /// A block's body.
    fn block(&self, id: &BlockId) -> Result<Option<Block>, StoreError>;

    /// A payment that this peer acknowledged, until it is deep in the chain.
    fn payment(&self, id: &TxId) -> Result<Option<Tx>, StoreError>;

    /// How much the store holds.
    fn sizes(&self) -> Result<StoreSizes, StoreError>;

    /// The blocks, on whatever branch, that hold a transaction, with its place in each.
    fn tx_blocks(&self, tx: &TxId) -> Result<Vec<(BlockId, u32)>, StoreError>;

    /// What connecting a block destroyed.
    fn undo(&self, id: &BlockId) -> Result<Option<Arc<Undo>>, StoreError>;
}

/// The engine thread has ended, or is ending: nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the node is stopping")]
pub struct Stopped;

/// Why a payment was not acknowledged.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SubmitError {
    /// The peer does not take it.
    #[error(transparent)]
    Refused(#[from] synod_consensus::SubmitError),
    /// The node was stopping, so that it was never looked at.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// The node stopped while it had it: it may be on disk or not.
    #[error("the node stopped before it could say whether the payment is on its disk")]
    Unknown,
}

/// The engine thread, as seen from other threads. Clones are cheap.
#[derive(Clone)]
pub struct NodeHandle {
    inner: Arc<Inner>,
}

struct Inner {
    send: Box<dyn Fn(EngineRequest) -> Result<(), Stopped> + Send + Sync>,
    events: broadcast::Sender<ApiEvent>,
    archive: Arc<dyn Archive>,
    slots: Semaphore,
}

impl NodeHandle {
    /// A handle whose requests go to `send`, which must not block: the handle itself lets at most
    /// [`REQUESTS_MAX`] of them wait at a time, and its callers wait beyond that.
    pub fn new(
        send: impl Fn(EngineRequest) -> Result<(), Stopped> + Send + Sync + 'static,
        archive: Arc<dyn Archive>,
    ) -> Self {
        let (events, _) = broadcast::channel(EVENTS_MAX);
        let slots = Semaphore::new(REQUESTS_MAX);
        Self { inner: Arc::new(Inner { send: Box::new(send), events, archive, slots }) }
    }

    /// The answer of `question`, which runs on the engine thread between two steps and must be short.
    pub async fn query<T: Send + 'static>(
        &self,
        question: impl FnOnce(&View<'_>) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        let _slot = self.inner.slots.acquire().await.map_err(|_| Stopped)?;
        let (reply, answer) = oneshot::channel();
        let question = Box::new(move |view: &View<'_>| {
            // Whoever asked may have gone away.
            let _ = reply.send(question(view));
        });
        (self.inner.send)(EngineRequest::Query(question))?;
        answer.await.map_err(|_| Stopped)
    }

    /// Hands a payment in. `Ok`: it is on this peer's disk.
    pub async fn submit(&self, tx: Tx) -> Result<TxId, SubmitError> {
        let mut results = self.submit_all(vec![tx]).await;
        results.pop().expect("one payment has one result")
    }

    /// Hands payments in, in order and without waiting for one before the next, so that they share one sync of the
    /// disk. One result per payment, in order.
    pub async fn submit_all(&self, txs: Vec<Tx>) -> Vec<Result<TxId, SubmitError>> {
        let slots = u32::try_from(txs.len().min(REQUESTS_MAX)).expect("the bound is small");
        let Ok(_slots) = self.inner.slots.acquire_many(slots).await else {
            return txs.iter().map(|_| Err(Stopped.into())).collect();
        };
        let sent: Vec<_> = txs
            .into_iter()
            .map(|tx| {
                let (reply, answer) = oneshot::channel();
                (self.inner.send)(EngineRequest::Submit { tx, reply }).map(|()| answer)
            })
            .collect();
        let mut results = Vec::with_capacity(sent.len());
        for answer in sent {
            results.push(match answer {
                Ok(answer) => match answer.await {
                    Ok(result) => result.map_err(SubmitError::Refused),
                    Err(_) => Err(SubmitError::Unknown),
                },
                Err(stopped) => Err(stopped.into()),
            });
        }
        results
    }

    /// Asks the overlays; the answer comes when they have it.
    pub async fn discover<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Result<T, Stopped> {
        let _slot = self.inner.slots.acquire().await.map_err(|_| Stopped)?;
        let (reply, answer) = oneshot::channel();
        (self.inner.send)(EngineRequest::Discovery(request(reply)))?;
        answer.await.map_err(|_| Stopped)
    }

    /// Shapes and cuts this peer's links, and lets its miner rest, from now on.
    pub async fn set_faults(&self, faults: Faults, resting: bool) -> Result<(), Stopped> {
        let _slot = self.inner.slots.acquire().await.map_err(|_| Stopped)?;
        let (reply, answer) = oneshot::channel();
        (self.inner.send)(EngineRequest::SetFaults { faults, resting, reply })?;
        answer.await.map_err(|_| Stopped)
    }

    /// What happens from now on. A reader that falls more than [`EVENTS_MAX`] events behind loses the oldest.
    pub fn subscribe(&self) -> broadcast::Receiver<ApiEvent> {
        self.inner.events.subscribe()
    }

    /// Tells every subscriber; the engine calls it. Costs next to nothing where there is none.
    pub fn publish(&self, event: ApiEvent) {
        // The only error is that nobody listens.
        let _ = self.inner.events.send(event);
    }

    /// What is read from disk.
    pub fn archive(&self) -> Arc<dyn Archive> {
        Arc::clone(&self.inner.archive)
    }
}

/// How many events a slow reader may fall behind: some seconds' worth under heavy load.
pub const EVENTS_MAX: usize = 4_096;

/// How many requests may wait for the engine thread: more than it takes in one batch, few enough to be bounded memory.
pub const REQUESTS_MAX: usize = 4_096;
