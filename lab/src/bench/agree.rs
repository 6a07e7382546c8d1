//! Four validators on loopback: how many payments they agree on, against the limit that checking signatures sets.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use synod_ledger::{
    Amount, Balance, Batch, ChainId, Coin, Engine, Genesis, Height, LedgerParams, OutPoint, PaymentBuilder, PbftParams,
    PublicKey, SecretKey, State, Tx, Validator,
};
use synod_node::api::client::Client;
use synod_node::api::types::ChainQuery;
use synod_node::net::Identity;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{Report, median, timed};
use crate::LabError;
use crate::solo::{Node, Solo, write_config};

/// The validators: the smallest number with a faulty one among them.
const VALIDATORS: usize = 4;
/// Coins of the one who pays. Each is paid on again and again, and by then was confirmed long before.
const COINS: u32 = 40_000;
const FEE: Amount = Amount(1_000);
/// Payments in one request to the API.
const REQUEST: usize = 250;
/// Payments that are sent and not agreed on at a time: as many full batches as validators vote on at a time, so that there is
/// always one to propose, also where each is held back.
const OPEN_MAX: usize = 16_000;
/// Requests that are under way at a time.
const REQUESTS_MAX: usize = 8;
/// Before a throughput counts.
const WARM: Duration = Duration::from_secs(2);
/// The share of the throughput at which latency is measured (issue 4).
const LOAD: f64 = 0.70;
/// The share of the limit for which payments are signed beforehand: more than has ever been reached.
const MOST: f64 = 0.75;
/// How often a load in its time sends what is due.
const TICK: Duration = Duration::from_millis(5);
/// Signatures in the batches whose rate is the limit.
const BATCH: usize = 1_024;
const PATIENCE: Duration = Duration::from_secs(60);

/// Throughput against the signatures' limit, the median latency at 70 % of it, and the throughput with a silent backup and
/// with a slow primary, each measured for `duration`.
pub async fn agree(duration: Duration, folder: &Path, program: &Path) -> Result<[Report; 4], LabError> {
    let limit_before = limit();
    let mut group = Group::start(&folder.join("honest"), program, None).await?;
    let honest = group.throughput(duration).await?;
    let latency = group.latency(honest * LOAD, duration).await?;
    drop(group);
    let limit = median(vec![limit_before, limit()]);
    let mut group = Group::start(&folder.join("silent"), program, Some((VALIDATORS - 1, "silent"))).await?;
    let silent = group.throughput(duration).await?;
    drop(group);
    let mut group = Group::start(&folder.join("slow"), program, Some((0, "slow"))).await?;
    let slow = group.throughput(duration).await?;
    drop(group);
    let silent = beside("agree-silent", silent, honest, 0.90, "one backup says nothing");
    let held = "the primary holds each proposal back for nine tenths of the view's time-out";
    let slow = beside("agree-slow", slow, honest, 0.50, held);
    Ok([throughput(honest, limit), p50(latency, honest * LOAD), silent, slow])
}

fn throughput(value: f64, limit: f64) -> Report {
    let cores = cores();
    Report {
        name: "agree",
        value,
        unit: "payments/s",
        reference: limit,
        reference_name: "each of four validators checking each payment once, in batches of 1,024, on all cores",
        ratio: value / limit,
        promised: 0.50,
        at_most: false,
        note: format!("{VALIDATORS} validators on {cores} cores, the load beside them, one input and two outputs each"),
    }
}

fn p50((middle, late): (Duration, Duration), rate: f64) -> Report {
    let (value, late) = (middle.as_secs_f64() * 1e3, late.as_secs_f64() * 1e3);
    Report {
        name: "agree-latency",
        value,
        unit: "ms",
        reference: 150.0,
        reference_name: "a fixed limit (issue 4)",
        ratio: value / 150.0,
        promised: 1.0,
        at_most: true,
        note: format!("p50 at {rate:.0} payments/s; p99 {late:.0} ms"),
    }
}

fn beside(name: &'static str, value: f64, honest: f64, promised: f64, note: &str) -> Report {
    Report {
        name,
        value,
        unit: "payments/s",
        reference: honest,
        reference_name: "four honest validators",
        ratio: value / honest,
        promised,
        at_most: false,
        note: note.into(),
    }
}

/// Payments a second that all cores could check the signatures of, were each checked by each validator.
fn limit() -> f64 {
    let secret = SecretKey::from_bytes([7; 32]);
    let messages: Vec<[u8; 32]> = (0..BATCH as u64)
        .map(|number| {
            let mut message = [0; 32];
            message[..8].copy_from_slice(&number.to_le_bytes());
            message
        })
        .collect();
    let signed: Vec<_> = messages.iter().map(|message| (secret.public(), secret.sign(message), message)).collect();
    let rates = (0..9).map(|_| {
        let (is_good, took) = timed(|| {
            let mut batch = Batch::new();
            for (key, signature, message) in &signed {
                batch.queue(*key, *signature, message.as_slice());
            }
            batch.verify()
        });
        assert!(is_good, "our own signatures are good");
        BATCH as f64 / took.as_secs_f64()
    });
    median(rates.collect()) * cores() as f64 / VALIDATORS as f64
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// How many payments the chain has confirmed, by when.
type Seen = Arc<Vec<(Instant, u64)>>;

/// The validators' processes, their client and who watches what they agree on.
struct Group {
    /// They end with this value.
    _nodes: Vec<Node>,
    primary: Client,
    purse: Purse,
    sent: u64,
    seen: watch::Receiver<Seen>,
    watcher: JoinHandle<()>,
}

impl Group {
    async fn start(folder: &Path, program: &Path, adversary: Option<(usize, &str)>) -> Result<Self, LabError> {
        let owner = SecretKey::from_bytes([7; 32]);
        let folders: Vec<_> = (1..=VALIDATORS).map(|number| folder.join(format!("validator{number}"))).collect();
        let mut keys = Vec::new();
        for folder in &folders {
            let data = folder.join("data");
            std::fs::create_dir_all(&data).map_err(|error| LabError::io(&data, error))?;
            let identity = Identity::load_or_create(&data.join("identity.key")).expect("a writable folder");
            keys.push(SecretKey::from_bytes(*identity.secret()).public());
        }
        let genesis = genesis(&owner, &keys);
        let (mut nodes, mut clients, mut bootstrap) = (Vec::new(), Vec::new(), Vec::new());
        for (place, folder) in folders.iter().enumerate() {
            let behaviour = adversary.filter(|(of, _)| *of == place).map(|(_, name)| name.to_owned());
            let solo = Solo { adversary: behaviour, bootstrap: bootstrap.clone(), ..Solo::default() };
            let node = Node::start(program, &write_config(folder, &genesis, solo)?)?;
            let run = node.ready().await?;
            bootstrap.extend(run.listen.clone());
            clients.push(Client::new(&run.api.to_string()));
            nodes.push(node);
        }
        for client in &clients {
            wait(client, |peers| peers as usize >= VALIDATORS - 1).await?;
        }
        let (sender, seen) = watch::channel(Seen::default());
        // The first view's primary is the first validator. A backup is asked what is agreed on.
        let watcher = tokio::spawn(watch_chain(clients.swap_remove(1), sender));
        let purse = Purse::new(&genesis, owner);
        Ok(Self { _nodes: nodes, primary: clients.swap_remove(0), purse, sent: 0, seen, watcher })
    }

    /// Payments agreed on per second while there are always more than can be.
    async fn throughput(&mut self, duration: Duration) -> Result<f64, LabError> {
        let most = (limit() * MOST * (duration + WARM).as_secs_f64()) as usize;
        self.purse.stock(most);
        let begin = Instant::now();
        let mut under_way = FuturesUnordered::new();
        while begin.elapsed() < WARM + duration {
            let open = self.sent - self.confirmed();
            let may_send = under_way.len() < REQUESTS_MAX && open as usize + REQUEST <= OPEN_MAX;
            if may_send && !self.purse.signed.is_empty() {
                let request = self.purse.take(REQUEST);
                self.sent += request.len() as u64;
                let client = self.primary.clone();
                under_way.push(async move { submit(&client, &request).await });
                continue;
            }
            tokio::select! {
                Some(result) = under_way.next() => result?,
                changed = self.seen.changed() => changed.expect("the watcher goes on"),
                () = tokio::time::sleep(TICK) => {}
            }
        }
        assert!(!self.purse.signed.is_empty(), "there was always something to send");
        while let Some(result) = under_way.next().await {
            result?;
        }
        let count = self.at(begin + WARM + duration) - self.at(begin + WARM);
        self.settle().await?;
        Ok(count as f64 / duration.as_secs_f64())
    }

    /// The median and the 99th percentile of the time from when a payment was due to be sent to when it was agreed on.
    async fn latency(&mut self, rate: f64, duration: Duration) -> Result<(Duration, Duration), LabError> {
        let count = (rate * duration.as_secs_f64()) as usize;
        self.purse.stock(count);
        let before = self.confirmed();
        let begin = Instant::now();
        let due = |number: u64| begin + Duration::from_secs_f64(number as f64 / rate);
        let total = count as u64;
        let mut under_way = FuturesUnordered::new();
        let mut sent = 0;
        while sent < total {
            let now = Instant::now();
            let due = (sent..total).take_while(|&number| due(number) <= now).count();
            let request = self.purse.take(due);
            sent += due as u64;
            self.sent += due as u64;
            if !request.is_empty() {
                let client = self.primary.clone();
                under_way.push(async move { submit(&client, &request).await });
            }
            let next = tokio::time::Instant::from_std(Instant::now() + TICK);
            tokio::select! {
                Some(result) = under_way.next() => result?,
                () = tokio::time::sleep_until(next) => {}
            }
        }
        while let Some(result) = under_way.next().await {
            result?;
        }
        self.settle().await?;
        // Requests are executed in the order in which they came: the n-th that was due is the n-th agreed on.
        let seen = Arc::clone(&self.seen.borrow());
        let mut latencies = Vec::new();
        let mut steps = seen.iter().filter(|(_, confirmed)| *confirmed > before).peekable();
        for number in 0..total {
            while steps.next_if(|(_, confirmed)| *confirmed <= before + number).is_some() {}
            let (at, _) = steps.peek().expect("all are agreed on");
            latencies.push(at.saturating_duration_since(due(number)));
        }
        latencies.sort_unstable();
        Ok((latencies[latencies.len() / 2], latencies[latencies.len() * 99 / 100]))
    }

    fn confirmed(&self) -> u64 {
        self.seen.borrow().last().map_or(0, |(_, confirmed)| *confirmed)
    }

    /// How many were confirmed by then.
    fn at(&self, when: Instant) -> u64 {
        self.seen.borrow().iter().take_while(|(at, _)| *at <= when).last().map_or(0, |(_, confirmed)| *confirmed)
    }

    /// Waits until all that was sent is agreed on.
    async fn settle(&mut self) -> Result<(), LabError> {
        let sent = self.sent;
        let all = self.seen.wait_for(|seen| seen.last().is_some_and(|(_, confirmed)| *confirmed >= sent));
        let in_time = tokio::time::timeout(PATIENCE, all).await.is_ok();
        if in_time {
            return Ok(());
        }
        Err(LabError::Check { what: format!("of {sent} payments {} were agreed on", self.confirmed()) })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.watcher.abort();
    }
}

/// Sends payments of which each is acknowledged.
async fn submit(client: &Client, payments: &[Tx]) -> Result<(), LabError> {
    let api = |source| LabError::Api { peer: "the primary".into(), source };
    for result in client.submit_batch(payments).await.map_err(api)? {
        result.map_err(|error| LabError::Check { what: format!("a payment was refused: {}", error.message) })?;
    }
    Ok(())
}

/// Notes how many payments the chain confirms, and when that was seen, until it is aborted.
async fn watch_chain(client: Client, sender: watch::Sender<Seen>) {
    let (mut height, mut total) = (0, 0);
    loop {
        tokio::time::sleep(TICK).await;
        let Ok(status) = client.status().await else { continue };
        let new = status.height.0 - height;
        if new == 0 {
            continue;
        }
        let query = ChainQuery { before: Some(status.height.0 + 1), limit: u32::try_from(new).ok() };
        let Ok(blocks) = client.chain(query).await else { continue };
        total += blocks.iter().map(|block| block.payments).sum::<u64>();
        height = status.height.0;
        sender.send_modify(|seen| Arc::make_mut(seen).push((Instant::now(), total)));
    }
}

async fn wait(client: &Client, holds: impl Fn(u64) -> bool) -> Result<(), LabError> {
    let begin = Instant::now();
    while !client.status().await.is_ok_and(|status| holds(status.peers)) {
        if begin.elapsed() > PATIENCE {
            return Err(LabError::Check { what: "the validators did not find each other".into() });
        }
        tokio::time::sleep(TICK).await;
    }
    Ok(())
}

/// Signs payments beforehand. Each spends the larger output of an earlier one of the same coin.
struct Purse {
    chain: ChainId,
    owner: SecretKey,
    coins: VecDeque<(OutPoint, Coin)>,
    /// Signed and not sent yet.
    signed: VecDeque<Tx>,
}

impl Purse {
    fn new(genesis: &Genesis, owner: SecretKey) -> Self {
        let coins = State::genesis(genesis).coins_of(&owner.address()).into();
        Self { chain: genesis.chain_id(), owner, coins, signed: VecDeque::new() }
    }

    /// Sees to it that so many payments are signed.
    fn stock(&mut self, count: usize) {
        while self.signed.len() < count {
            let tx = self.pay();
            self.signed.push_back(tx);
        }
    }

    /// The next signed ones.
    fn take(&mut self, count: usize) -> Vec<Tx> {
        self.signed.drain(..count.min(self.signed.len())).collect()
    }

    fn pay(&mut self) -> Tx {
        let (name, coin) = self.coins.pop_front().expect("each payment leaves a coin to pay with");
        let to = self.owner.address();
        let builder = PaymentBuilder::new(self.chain).spend(name, coin, &self.owner).pay(to, Amount(1_000));
        let tx = builder.fee(FEE).build(to).expect("a coin covers thousands of payments");
        // What neither is paid nor is the fee: the change, which comes second.
        let change = Coin { output: tx.outputs[1], height: Height(0), coinbase: false };
        self.coins.push_back((OutPoint { tx: tx.id(), index: 1 }, change));
        tx
    }
}

fn genesis(owner: &SecretKey, keys: &[PublicKey]) -> Genesis {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let validators = keys.iter().zip(1..);
    let validators = validators.map(|(key, number)| Validator { name: format!("validator{number}"), key: *key });
    let balance = Balance {
        name: "owner".into(),
        address: owner.address(),
        amount: Amount(1_000_000 * Amount::COIN),
        coins: COINS,
        stake: Amount::ZERO,
    };
    Genesis {
        name: "bench".into(),
        time_unix_ms: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
        // As `synod up` has them: batches of up to 1,000 payments.
        engine: Engine::Pbft(PbftParams {
            validators: validators.collect(),
            view_timeout_ms: 2_000,
            batch_delay_ms: 10,
            batch_max: 1_000,
            checkpoint_interval: 100,
            watermark_window: 200,
        }),
        ledger: LedgerParams {
            subsidy: Amount::ZERO,
            halving_interval: 100_000,
            maturity: 1,
            block_bytes_max: 1 << 20,
            fee_min: FEE,
        },
        balances: vec![balance],
    }
}
