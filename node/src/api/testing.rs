//! What the API's tests share: a real replica on its own thread, with a disk in memory, and calls without sockets.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode, header};
use axum::response::Response;
use prometheus_client::registry::Registry;
use serde::de::DeserializeOwned;
use serde_json::Value;
use synod_consensus::{Chain, Command, Event, Item, Limits, Params, Record, Replica, Seen};
use synod_dht::discovery::Source;
use synod_ledger::{
    Address, Amount, Balance, Block, BlockId, Coin, CompactTarget, Engine, Genesis, LedgerParams, OutPoint,
    PaymentBuilder, PowParams, Retarget, SecretKey, Tx, TxId, Undo,
};
use synod_machine::{Bytes, Effect, Host, Input, Key, PeerId, Protocol, Time, wire};
use tokio::sync::{oneshot, watch};
use tower::ServiceExt;

use super::types::ApiEvent;
use super::{hex, router, views};
use crate::handle::{Archive, EngineRequest, NodeHandle, NodeInfo, PeerInfo, Stopped, View};
use crate::net::Faults;
use crate::store::{StoreError, StoreSizes};

/// Alice and Bob own 1,000 units each, in ten coins; blocks pay 50 to the miner.
pub(super) const ALICE: u8 = 1;
pub(super) const BOB: u8 = 2;
pub(super) const MINER: u8 = 3;

/// A peer id in the text form.
pub(super) const NEIGHBOUR: &str = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";

pub(super) fn key(person: u8) -> SecretKey {
    SecretKey::from_bytes([person; 32])
}

pub(super) fn address(person: u8) -> Address {
    key(person).address()
}

pub(super) fn chain() -> Arc<Chain> {
    let balance = |person: u8| Balance {
        name: person.to_string(),
        address: address(person),
        amount: Amount(1_000),
        coins: 10,
        stake: Amount::ZERO,
    };
    let pow = PowParams { target: CompactTarget::MAX, block_time_ms: 2_000, retarget: Retarget::Off, declared: true };
    let ledger = LedgerParams {
        subsidy: Amount(50),
        halving_interval: 1_000,
        maturity: 3,
        block_bytes_max: 100_000,
        fee_min: Amount(2),
    };
    Chain::simulated(Genesis {
        name: "test".to_owned(),
        time_unix_ms: 1_700_000_000_000,
        engine: Engine::Pow(pow),
        ledger,
        balances: vec![balance(ALICE), balance(BOB)],
    })
    .expect("a chain can start like this")
}

/// A coin that the genesis gave to `person`.
pub(super) fn coin(person: u8, place: usize) -> (OutPoint, Coin) {
    chain().state().coins_of(&address(person))[place]
}

/// A payment of one coin: `amount` to Bob, a fee of 5, the rest back.
pub(super) fn pay(person: u8, (name, coin): (OutPoint, Coin), amount: u64) -> Tx {
    let owner = key(person);
    let payment = PaymentBuilder::new(chain().rules().chain).spend(name, coin, &owner);
    let payment = payment.pay(address(BOB), Amount(amount)).fee(Amount(5));
    payment.build(owner.address()).expect("the coin covers it")
}

/// The body that hands `tx` in.
pub(super) fn submit_body(tx: &Tx) -> Value {
    serde_json::json!({ "transaction": hex::encode(&wire::encode(tx)) })
}

/// A disk in memory.
#[derive(Default)]
pub(super) struct Disk {
    records: Mutex<BTreeMap<Key, Record>>,
    index: Mutex<BTreeMap<(TxId, BlockId), u32>>,
}

impl Disk {
    fn put(&self, key: Key, record: Record) {
        if let Record::Body(block) = &record {
            let mut index = self.index.lock().expect("no test panics holding it");
            index.insert((block.coinbase().id(), block.id()), 0);
            for (place, tx) in (1..).zip(block.payments()) {
                index.insert((tx.id(), block.id()), place);
            }
        }
        self.records.lock().expect("no test panics holding it").insert(key, record);
    }

    fn get(&self, key: Key) -> Option<Record> {
        self.records.lock().expect("no test panics holding it").get(&key).cloned()
    }
}

impl Archive for Disk {
    fn content(&self, _: &Source) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(None)
    }

    fn block(&self, id: &BlockId) -> Result<Option<Block>, StoreError> {
        Ok(self
            .get(Record::body_key(*id))
            .and_then(|record| if let Record::Body(it) = record { Some(it) } else { None }))
    }

    fn payment(&self, id: &TxId) -> Result<Option<Tx>, StoreError> {
        let record = self.get(Record::payment_key(*id));
        Ok(record.and_then(|record| if let Record::Payment(it) = record { Some(it) } else { None }))
    }

    fn sizes(&self) -> Result<StoreSizes, StoreError> {
        let records = self.records.lock().expect("no test panics holding it").len() as u64;
        let index_entries = self.index.lock().expect("no test panics holding it").len() as u64;
        Ok(StoreSizes { file_bytes: 4_096, index_entries, records })
    }

    fn tx_blocks(&self, tx: &TxId) -> Result<Vec<(BlockId, u32)>, StoreError> {
        let index = self.index.lock().expect("no test panics holding it");
        let range = (*tx, BlockId(Bytes::ZERO))..=(*tx, BlockId(Bytes([0xff; 32])));
        Ok(index.range(range).map(|(&(_, block), &place)| (block, place)).collect())
    }

    fn undo(&self, id: &BlockId) -> Result<Option<Arc<Undo>>, StoreError> {
        Ok(self
            .get(Record::undo_key(*id))
            .and_then(|record| if let Record::Undo(it) = record { Some(it) } else { None }))
    }
}

enum Wake {
    Block(Block),
    Mine,
    Request(EngineRequest),
    Stop,
}

/// The engine thread's work, without a network.
struct TestEngine {
    host: Option<Host<Replica>>,
    disk: Arc<Disk>,
    handle: NodeHandle,
    node: NodeInfo,
    now: Time,
    job: u64,
    draws: u64,
    submits: BTreeMap<u64, oneshot::Sender<Result<TxId, synod_consensus::SubmitError>>>,
}

impl TestEngine {
    fn run(mut self, wakes: &Receiver<Wake>) {
        let params = Params {
            chain: chain(),
            limits: limits(),
            miner: Some(address(MINER)),
            signer: None,
            behaviour: Default::default(),
            extra: 0,
        };
        let mut effects = Vec::new();
        let replica = Replica::restore(params, std::iter::empty());
        self.host = Some(Host::start(replica, self.now, |effect| effects.push(effect)));
        self.release(effects);
        while let Ok(wake) = wakes.recv() {
            self.now = self.now + Duration::from_secs(2);
            match wake {
                Wake::Block(block) => {
                    let id = block.id().0;
                    self.step(Command::Gossip { id, from: PeerId(9), item: Item::Block(block) });
                }
                Wake::Mine => {
                    self.draws += 1;
                    self.step(Command::Mined { job: self.job, seen: Seen::Declared { draw: self.draws } });
                }
                Wake::Request(request) => self.on_request(request),
                Wake::Stop => return,
            }
        }
    }

    fn on_request(&mut self, request: EngineRequest) {
        match request {
            EngineRequest::Discovery(_) => panic!("this peer takes part in no overlay"),
            EngineRequest::Query(question) => {
                let host = self.host.as_ref().expect("started");
                question(&View::full(host.protocol(), host.counters(), &self.node));
            }
            EngineRequest::SetFaults { faults, resting, reply } => {
                self.node.faults = faults;
                self.node.resting = resting;
                reply.send(()).expect("the caller waits");
            }
            EngineRequest::Submit { tx, reply } => {
                let ticket = self.now.0;
                self.now.0 += 1;
                self.submits.insert(ticket, reply);
                self.step(Command::Submit { ticket, tx });
            }
        }
    }

    fn step(&mut self, command: Command) {
        let mut effects = Vec::new();
        let host = self.host.as_mut().expect("started");
        host.step(self.now, Input::Command(command), |effect| effects.push(effect));
        self.release(effects);
    }

    fn release(&mut self, effects: Vec<Effect<Replica>>) {
        for effect in effects {
            match effect {
                Effect::Persist { key, record } => self.disk.put(key, record),
                Effect::Forget(key) => {
                    self.disk.records.lock().expect("no test panics holding it").remove(&key);
                }
                Effect::Emit(event) => self.on_event(event),
                _ => {}
            }
        }
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Conflict(conflict) => self.handle.publish(ApiEvent::Conflict(views::conflict(&conflict))),
            Event::Load(key) => {
                let record = self.disk.get(key);
                self.step(Command::Loaded { key, record });
            }
            Event::Mine(Some(job)) => self.job = job.id,
            Event::Pooled(id) => self.handle.publish(ApiEvent::Transaction { id }),
            Event::Submitted { ticket, result } => {
                let reply = self.submits.remove(&ticket).expect("each submit is answered once");
                reply.send(result).expect("the caller waits");
            }
            Event::Tip { tip, height, depth } => {
                self.handle.publish(ApiEvent::Tip { id: tip, height, reorg_depth: depth });
            }
            _ => {}
        }
    }
}

/// So few blocks in memory that tests reach the disk.
fn limits() -> Limits {
    Limits { bodies_max: 2, ..Limits::default() }
}

pub(super) fn node_info() -> NodeInfo {
    NodeInfo {
        name: "peer1".to_owned(),
        adversary: None,
        peer_id: NEIGHBOUR.to_owned(),
        listen: vec![format!("/ip4/127.0.0.1/tcp/4001/p2p/{NEIGHBOUR}")],
        started: Instant::now(),
        peers: vec![PeerInfo {
            peer_id: NEIGHBOUR.to_owned(),
            address: "/ip4/127.0.0.1/tcp/4002".to_owned(),
            outbound: true,
            agent: "synod/0.1.0".to_owned(),
            connected: Instant::now(),
            height: None,
            rtt: Some(Duration::from_micros(1_500)),
            sent_bytes: 7,
            received_bytes: 8,
            dropped_frames: 9,
        }],
        refused: Vec::new(),
        faults_allowed: true,
        faults: Faults::default(),
        resting: false,
        hash_rate: 12.5,
        hashes_total: 99,
    }
}

/// A node without a network, and its API.
pub(super) struct Node {
    pub(super) handle: NodeHandle,
    app: Router,
    wakes: Sender<Wake>,
    /// Keeps the API from thinking that the node stops.
    _stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Node {
    pub(super) fn start() -> Self {
        Self::start_as(node_info())
    }

    pub(super) fn start_as(node: NodeInfo) -> Self {
        let (wakes, inbox) = channel();
        let disk = Arc::new(Disk::default());
        let sender = wakes.clone();
        let send = move |request| sender.send(Wake::Request(request)).map_err(|_| Stopped);
        let handle = NodeHandle::new(send, disk.clone());
        let engine = TestEngine {
            host: None,
            disk,
            handle: handle.clone(),
            node,
            now: Time::ZERO,
            job: 0,
            draws: 0,
            submits: BTreeMap::new(),
        };
        let thread = std::thread::spawn(move || engine.run(&inbox));
        let (app, stop) = app(handle.clone());
        Self { handle, app, wakes, _stop: stop, thread: Some(thread) }
    }

    /// Mines one block on the tip.
    pub(super) async fn mine(&self) -> BlockId {
        self.wakes.send(Wake::Mine).expect("the engine runs");
        self.handle.query(|view| view.tip()).await.expect("the engine runs")
    }

    /// A block comes from a neighbour.
    pub(super) async fn receive(&self, block: Block) {
        self.wakes.send(Wake::Block(block)).expect("the engine runs");
        self.handle.query(|_| ()).await.expect("the engine runs");
    }

    /// Ends the engine thread; the API stays.
    pub(super) fn stop_engine(&mut self) {
        let _ = self.wakes.send(Wake::Stop);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the engine does not panic");
        }
    }

    pub(super) async fn get(&self, path: &str) -> (StatusCode, Value) {
        let (status, _, body) = call(&self.app, "GET", path, Body::empty(), &[]).await;
        (status, body)
    }

    /// A `GET` that succeeds.
    pub(super) async fn read<T: DeserializeOwned>(&self, path: &str) -> T {
        let (status, body) = self.get(path).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        serde_json::from_value(body).expect("the answer is of its type")
    }

    /// A call with a JSON body.
    pub(super) async fn send(&self, method: &str, path: &str, body: &Value) -> (StatusCode, Value) {
        let json = [(header::CONTENT_TYPE.as_str(), "application/json")];
        let (status, _, body) = call(&self.app, method, path, Body::from(body.to_string()), &json).await;
        (status, body)
    }

    /// Hands a payment in.
    pub(super) async fn submit(&self, tx: &Tx) -> (StatusCode, Value) {
        self.send("POST", "/v1/transactions", &submit_body(tx)).await
    }

    pub(super) async fn raw(
        &self,
        method: &str,
        path: &str,
        body: impl Into<Body>,
        headers: &[(&str, &str)],
    ) -> (StatusCode, HeaderMap, Value) {
        call(&self.app, method, path, body.into(), headers).await
    }

    pub(super) async fn response(&self, path: &str) -> Response {
        let request = Request::get(path).body(Body::empty()).expect("a request");
        self.app.clone().oneshot(request).await.expect("the router always answers")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stop_engine();
    }
}

/// The API of a handle as a service, with what keeps it from stopping.
pub(super) fn app(handle: NodeHandle) -> (Router, watch::Sender<bool>) {
    let (stop, stopped) = watch::channel(false);
    (router(handle, Registry::default(), stopped), stop)
}

pub(super) async fn call(
    app: &Router,
    method: &str,
    path: &str,
    body: Body,
    headers: &[(&str, &str)],
) -> (StatusCode, HeaderMap, Value) {
    let request = Request::builder().method(method).uri(path);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let request = request.body(body).expect("a request");
    let response = app.clone().oneshot(request).await.expect("the router always answers");
    let (status, headers) = (response.status(), response.headers().clone());
    let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.expect("a whole body");
    let body =
        serde_json::from_slice(&bytes).unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
    (status, headers, body)
}

/// The code of an error's body, which must have the one shape that errors have.
pub(super) fn code(body: &Value) -> &str {
    let error = body["error"].as_object().unwrap_or_else(|| panic!("no error: {body}"));
    assert!(error.keys().all(|key| ["code", "hint", "message"].contains(&key.as_str())), "{body}");
    assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{body}");
    error["code"].as_str().expect("a code")
}
