//! Steady payments against a running network, and what became of each.
//!
//! The load is open-loop: the schedule is fixed beforehand, and every latency counts from the moment a payment was due.
//! A payment that was sent and not answered is recorded as unknown, never as accepted. A peer that is down is left out
//! until it answers again.

mod client;
mod coins;
mod follow;
mod report;
mod schedule;
mod tally;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::future::join_all;
use serde::Serialize;
use synod_ledger::{Address, Amount, ChainId, OutPoint, SecretKey, TxId};
use synod_node::api::client::Client;
use synod_node::api::types::{AddressQuery, CoinInfo};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::error::LabError;

pub use coins::{Chosen, DEPTH_MAX, OwnCoin, Pool, deal};
pub use report::{Latencies, Latency, LoadReport};
pub use schedule::Schedule;

/// What is asked of a load.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Payments a second.
    pub rate: f64,
    /// How long.
    pub duration: Duration,
    /// How many clients send them.
    pub clients: usize,
    /// What each payment pays.
    pub amount: Amount,
    /// Each payment's fee.
    pub fee: Amount,
    /// How long to wait at the end for what is accepted to be confirmed.
    pub settle: Duration,
}

/// A peer that payments are sent to.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its name.
    pub name: String,
    /// Its API.
    pub client: Client,
}

/// A wallet that pays and is paid.
#[derive(Clone, Debug)]
pub struct Payer {
    /// Its name.
    pub name: String,
    /// Its key.
    pub secret: SecretKey,
}

/// A payment that a peer acknowledged: a line of the file that `--out` names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Acknowledged {
    /// The payment.
    pub id: TxId,
    /// The peer's name.
    pub peer: String,
    /// When its answer came, in milliseconds since the Unix epoch.
    pub time_unix_ms: u64,
}

/// How far a load is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Payments whose fate is decided: accepted, refused, unknown or never sent.
    pub done: u64,
    /// Accepted ones.
    pub accepted: u64,
    /// Accepted ones that a block confirms.
    pub confirmed: u64,
}

/// What all clients share.
struct Common {
    plan: Plan,
    schedule: Schedule,
    start: Instant,
    chain: ChainId,
    targets: Vec<Target>,
    payers: Vec<(Address, SecretKey)>,
    /// For each target, until when (in milliseconds after the start) it is left out.
    down_until_ms: Vec<AtomicU64>,
}

/// Runs a load to its end, or until `stop` becomes true. Every acknowledgement is written to `out` as a JSON line at
/// once.
pub async fn run(
    plan: Plan,
    targets: Vec<Target>,
    payers: Vec<Payer>,
    mut out: Option<&mut (dyn Write + Send)>,
    stop: watch::Receiver<bool>,
    mut on_progress: impl FnMut(Progress),
) -> Result<LoadReport, LabError> {
    let (chain, tip) = first_answer(&targets).await?;
    let coins = gather(&plan, &targets, &payers).await?;
    let pools = deal(coins, plan.clients);
    let schedule = Schedule::new(plan.rate, plan.duration);
    let common = Arc::new(Common {
        schedule,
        // A moment ahead, so that the first payment is not late before it is begun.
        start: Instant::now() + START_AHEAD,
        chain,
        down_until_ms: targets.iter().map(|_| AtomicU64::new(0)).collect(),
        payers: payers.into_iter().map(|payer| (payer.secret.address(), payer.secret)).collect(),
        targets,
        plan,
    });
    let (outcomes, mut outcome_inbox) = mpsc::unbounded_channel();
    let (own_steps, mut steps) = mpsc::unbounded_channel();
    let mut listeners = vec![own_steps];
    let mut tasks = JoinSet::new();
    for (number, pool) in pools.into_iter().enumerate() {
        let (listener, inbox) = mpsc::unbounded_channel();
        listeners.push(listener);
        tasks.spawn(client::run(Arc::clone(&common), number, pool, inbox, outcomes.clone(), stop.clone()));
    }
    drop(outcomes);
    let follower = tokio::spawn(follow::run(Arc::clone(&common), tip, listeners));
    let mut tally = tally::Tally::new();
    let mut tick = tokio::time::interval(TICK);
    let mut settle_until = None;
    while settle_until.is_none_or(|until| Instant::now() < until && !tally.is_settled() && !*stop.borrow()) {
        tokio::select! {
            biased;
            outcome = outcome_inbox.recv(), if settle_until.is_none() => match outcome {
                Some(outcome) => tally.outcome(outcome, &common.targets, &mut out)?,
                None => settle_until = Some(Instant::now() + common.plan.settle),
            },
            Some(step) = steps.recv() => tally.step(&step),
            _ = tick.tick() => on_progress(tally.progress()),
        }
    }
    follower.abort();
    on_progress(tally.progress());
    Ok(tally.report(&common.plan, schedule.count(), *stop.borrow()))
}

impl Common {
    fn is_up(&self, place: usize) -> bool {
        let now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.down_until_ms[place].load(Ordering::Relaxed) <= now
    }

    fn set_down(&self, place: usize) {
        let until = u64::try_from((self.start.elapsed() + DOWN).as_millis()).unwrap_or(u64::MAX);
        self.down_until_ms[place].store(until, Ordering::Relaxed);
    }
}

/// The chain and tip of the first peer that answers.
async fn first_answer(targets: &[Target]) -> Result<(ChainId, synod_ledger::BlockId), LabError> {
    let mut last = String::from("there is none");
    for target in targets {
        match target.client.status().await {
            Ok(status) => return Ok((status.chain.id, status.tip)),
            Err(error) => last = error.to_string(),
        }
    }
    Err(LabError::NoPeerAnswers { last })
}

/// The wallets' confirmed coins that can be spent now, the wallets in turn.
async fn gather(plan: &Plan, targets: &[Target], payers: &[Payer]) -> Result<Vec<OwnCoin>, LabError> {
    let needed = plan.amount.checked_add(plan.fee).unwrap_or(Amount::MAX);
    let lists = join_all(payers.iter().map(|payer| coins_of(targets, payer.secret.address()))).await;
    let mut coins = Vec::new();
    for (wallet, list) in lists.into_iter().enumerate() {
        let usable = list?.into_iter().filter(|coin| is_usable(coin) && coin.amount >= needed).enumerate();
        coins.extend(usable.map(|(rank, coin)| {
            let point = OutPoint { tx: coin.tx, index: coin.index };
            (rank, OwnCoin { point, amount: coin.amount, wallet })
        }));
    }
    coins.sort_by_key(|(rank, coin)| (*rank, coin.wallet));
    if coins.len() < plan.clients {
        let names: Vec<&str> = payers.iter().map(|payer| payer.name.as_str()).collect();
        let got = Amount::checked_sum(coins.iter().map(|(_, coin)| coin.amount)).unwrap_or_default();
        let expected = Amount(needed.0.saturating_mul(plan.clients as u64));
        return Err(LabError::Funds { wallet: names.join(", "), expected, got });
    }
    Ok(coins.into_iter().map(|(_, coin)| coin).collect())
}

/// Whether a coin may be spent by a new payment right now, and is known to every peer.
pub const fn is_usable(coin: &CoinInfo) -> bool {
    coin.mature && !coin.pending && !coin.spent_by_pending
}

async fn coins_of(targets: &[Target], address: Address) -> Result<Vec<CoinInfo>, LabError> {
    let mut last = String::from("there is none");
    for target in targets {
        match target.client.address(address, AddressQuery { coins: Some(COINS_MAX) }).await {
            Ok(info) => return Ok(info.coins),
            Err(error) => last = error.to_string(),
        }
    }
    Err(LabError::NoPeerAnswers { last })
}

/// The API lists no more.
const COINS_MAX: u32 = 10_000;
/// Between making the clients and the first payment.
const START_AHEAD: Duration = Duration::from_millis(100);
/// How often progress is told.
const TICK: Duration = Duration::from_millis(200);
/// How long a peer that cannot be reached is left out before it is tried again.
const DOWN: Duration = Duration::from_millis(500);
