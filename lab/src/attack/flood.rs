//! Floods: more payments, questions or connections than a peer can serve, and what an honest client is still served meanwhile.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use synod_ledger::Amount;
use synod_machine::Count;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;

use super::arena::Arena;
use super::asker::{Asked, Asker};
use super::miner::Miner;
use crate::LabError;
use crate::load::{self, LoadReport, Payer, Plan, Target};

/// What is thrown at a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// TCP connections to where it listens for peers, opened and left silent.
    Connections,
    /// Messages of the protocol that cost more to answer than to send: questions for all headers of the chain.
    Messages,
    /// Valid payments between the attacker's own coins, spread from its own node.
    Transactions,
}

impl Kind {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Messages => "messages",
            Self::Transactions => "transactions",
        }
    }
}

/// How much, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct FloodTerms {
    /// What is thrown.
    pub kind: Kind,
    /// So many a second.
    pub rate: f64,
    /// What an honest client pays meanwhile, in payments a second.
    pub honest_rate: f64,
    /// How long each of the two parts takes: without the flood, and with it.
    #[serde(skip)]
    pub span: Duration,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Flood {
    /// The attack's name.
    pub attack: &'static str,
    /// The network's directory.
    pub dir: String,
    /// The chain's id.
    pub chain_id: String,
    /// The peer that was flooded.
    pub peer: String,
    /// The terms.
    #[serde(flatten)]
    pub terms: FloodTerms,
    /// What the honest client was served before.
    pub before: LoadReport,
    /// What it was served meanwhile.
    pub during: LoadReport,
    /// What was thrown: payments that the attacker's node took and spread, messages that were sent, or connections that were opened.
    pub taken: u64,
    /// What was to be thrown and was not: payments that its node refused or that no coin was free for, messages that the peer did not take or
    /// had hung up on, connections that were refused.
    pub refused: u64,
    /// What came back, of messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answers: Option<Answers>,
}

/// What a peer that was asked too much answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Answers {
    /// Answers that it sent back.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How often it hung up.
    pub hung_up: u64,
}

/// Floods the merchant's peer, while the honest payer pays at it.
pub async fn flood(
    arena: Arena,
    program: &Path,
    terms: FloodTerms,
    honest: Payer,
    stop: impl Future<Output = ()>,
) -> Result<Flood, LabError> {
    let _lock = arena.lock()?;
    let (stopping, stopped) = watch::channel(false);
    let flooding = flood_until(&arena, program, terms, honest, stopped);
    tokio::pin!(flooding);
    tokio::select! {
        flood = &mut flooding => flood,
        () = stop => {
            stopping.send_replace(true);
            // What was begun is ended in order; what it found is of no use.
            let _ = flooding.await;
            Err(LabError::Interrupted)
        }
    }
}

async fn flood_until(
    arena: &Arena,
    program: &Path,
    terms: FloodTerms,
    honest: Payer,
    stop: watch::Receiver<bool>,
) -> Result<Flood, LabError> {
    let before = pay(arena, terms, honest.clone(), stop.clone()).await?;
    let paying = pay(arena, terms, honest, stop.clone());
    let (during, (taken, refused), answers) = match terms.kind {
        Kind::Connections => {
            let address = victim(arena)?;
            let (during, thrown) = tokio::join!(paying, connect(address, terms, stop));
            (during?, thrown, None)
        }
        Kind::Messages => {
            let asker = Asker::connect(arena).await?;
            let (during, asked) = tokio::join!(paying, asker.ask(terms.rate, terms.span, stop));
            let Asked { sent, unsent, answers: Count { messages, bytes }, hung_up } = asked;
            (during?, (sent, unsent), Some(Answers { messages, bytes, hung_up }))
        }
        Kind::Transactions => {
            let node = Miner::start(arena, program, arena.attacker(), 0.0).await?;
            let (during, thrown) = tokio::join!(paying, spend(arena, &node, terms, stop));
            (during?, thrown?, None)
        }
    };
    Ok(Flood {
        attack: "flood",
        dir: arena.network.dir().display().to_string(),
        chain_id: arena.network.manifest().chain_id.clone(),
        peer: arena.name(arena.at).to_owned(),
        terms,
        before,
        during,
        taken,
        refused,
        answers,
    })
}

/// An honest client's payments at the flooded peer.
async fn pay(
    arena: &Arena,
    terms: FloodTerms,
    payer: Payer,
    stop: watch::Receiver<bool>,
) -> Result<LoadReport, LabError> {
    let fee = arena.status(arena.at).await?.chain.fee_min;
    // It pays more than the flood does, as anybody would who sees one.
    let fee = Amount(fee.0.saturating_mul(HONEST_FEES));
    let plan = Plan {
        rate: terms.honest_rate,
        duration: terms.span,
        clients: 1,
        amount: Amount(Amount::COIN / 100),
        fee,
        settle: SETTLE,
    };
    let target = Target { name: arena.name(arena.at).to_owned(), client: arena.client(arena.at) };
    load::run(plan, vec![target], vec![payer], None, stop, |_| {}).await
}

/// The attacker's payments, by its own node.
async fn spend(
    arena: &Arena,
    node: &Miner,
    terms: FloodTerms,
    stop: watch::Receiver<bool>,
) -> Result<(u64, u64), LabError> {
    let fee = arena.status(arena.at).await?.chain.fee_min;
    let plan = Plan {
        rate: terms.rate,
        duration: terms.span,
        clients: CLIENTS,
        amount: Amount(Amount::COIN / 100),
        fee,
        settle: Duration::ZERO,
    };
    let target = Target { name: "the attacker's node".to_owned(), client: node.client().clone() };
    let report = load::run(plan, vec![target], vec![arena.payer()], None, stop, |_| {}).await?;
    Ok((report.accepted, report.scheduled - report.accepted))
}

/// Where the flooded peer listens for peers.
fn victim(arena: &Arena) -> Result<SocketAddr, LabError> {
    let port = arena.network.peers()[arena.at].port;
    if arena.network.manifest().settings.transport == crate::settings::Transport::Quic {
        let message = "connections are flooded over TCP: make a network with `synod up --transport tcp`".to_owned();
        return Err(LabError::Usage { message });
    }
    Ok(SocketAddr::from(([127, 0, 0, 1], port)))
}

/// Opens connections at the rate, says nothing on them, and lets the oldest go when there are too many: opened ones, and refused ones.
async fn connect(address: SocketAddr, terms: FloodTerms, stop: watch::Receiver<bool>) -> (u64, u64) {
    let (mut opened, mut refused) = (0, 0);
    let mut open = VecDeque::new();
    let mut beat = tokio::time::interval(Duration::from_secs_f64(1.0 / terms.rate));
    let end = Instant::now() + terms.span;
    while Instant::now() < end && !*stop.borrow() {
        beat.tick().await;
        match TcpStream::connect(address).await {
            Ok(silent) => {
                opened += 1;
                open.push_back(silent);
            }
            Err(_) => refused += 1,
        }
        if open.len() > OPEN_MAX {
            open.pop_front();
        }
    }
    (opened, refused)
}

/// How much more than the lowest fee an honest client pays.
const HONEST_FEES: u64 = 10;
/// How long an honest client waits for its last confirmations.
const SETTLE: Duration = Duration::from_secs(30);
/// Clients that the attacker's payments are sent by.
const CLIENTS: usize = 8;
/// Connections that are open at a time.
const OPEN_MAX: usize = 400;
