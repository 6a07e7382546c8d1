//! One client of a load: sends its share of the payments when they are due, several at once if answers are slow.

use std::collections::VecDeque;
use std::sync::Arc;

use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use synod_ledger::{Amount, Coin, Height, OutPoint, Output, PaymentBuilder, Tx, TxId};
use synod_node::api::client::ClientError;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::Common;
use super::coins::{Chosen, OwnCoin, Pool};
use super::follow::Step;

/// What became of one payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    /// When it was due.
    pub(super) due: Instant,
    /// What became of it.
    pub(super) fate: Fate,
}

/// What became of one payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// A peer acknowledged it.
    Accepted {
        /// The payment.
        id: TxId,
        /// The peer: a place in the list of targets.
        peer: usize,
        /// When the answer came.
        at: Instant,
    },
    /// It was never sent.
    NotSent,
    /// A peer refused it.
    Refused {
        /// The reason's name.
        code: String,
    },
    /// It was sent and not answered.
    Unknown {
        /// The payment.
        id: TxId,
    },
}

/// What sending one payment came to.
enum Answer {
    Accepted { peer: usize, at: Instant },
    Refused { code: String },
    Unknown,
    Unreachable,
}

/// A payment under way.
struct Sent {
    number: u64,
    chosen: Chosen,
    change: OwnCoin,
    answer: Answer,
}

struct Sender {
    common: Arc<Common>,
    pool: Pool,
    /// Payments that are due and wait for a coin or a free place.
    waiting: VecDeque<u64>,
    under_way: FuturesUnordered<BoxFuture<'static, Sent>>,
    outcomes: mpsc::UnboundedSender<Outcome>,
}

/// More payments of one client are never under way at once; further ones are late, and counted as late.
const UNDER_WAY_MAX: usize = 64;

/// Sends the payments of client `number`.
pub(super) async fn run(
    common: Arc<Common>,
    number: usize,
    pool: Pool,
    mut steps: mpsc::UnboundedReceiver<Arc<Step>>,
    outcomes: mpsc::UnboundedSender<Outcome>,
    mut stop: watch::Receiver<bool>,
) {
    let mut numbers = common.schedule.of_client(number, common.plan.clients).peekable();
    let end = common.start + common.plan.duration + common.plan.settle;
    let under_way = FuturesUnordered::new();
    let mut sender = Sender { common: Arc::clone(&common), pool, waiting: VecDeque::new(), under_way, outcomes };
    loop {
        let is_done = numbers.peek().is_none() && sender.waiting.is_empty() && sender.under_way.is_empty();
        if is_done {
            return;
        }
        let next_due = numbers.peek().map(|number| common.start + common.schedule.due(*number));
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => break,
            Some(sent) = sender.under_way.next(), if !sender.under_way.is_empty() => sender.on_answer(sent),
            Some(step) = steps.recv() => sender.on_step(&step),
            () = tokio::time::sleep_until(next_due.unwrap_or(end)) => match numbers.next() {
                Some(number) => sender.waiting.push_back(number),
                None => break,
            },
        }
        sender.send_waiting();
    }
    sender.give_up(numbers).await;
}

impl Sender {
    /// Sends what is due, as far as coins and places go.
    fn send_waiting(&mut self) {
        while self.under_way.len() < UNDER_WAY_MAX {
            let Some(&number) = self.waiting.front() else { return };
            let needed = Amount(self.common.plan.amount.0 + self.common.plan.fee.0);
            let peer = (number % self.common.targets.len() as u64) as usize;
            let Some(chosen) = self.pool.take(needed, peer, |peer| self.common.is_up(peer)) else { return };
            self.waiting.pop_front();
            let (tx, change) = self.common.payment(number, chosen);
            let common = Arc::clone(&self.common);
            let sending = async move {
                let answer = common.send(&tx, chosen).await;
                Sent { number, chosen, change, answer }
            };
            self.under_way.push(Box::pin(sending));
        }
    }

    fn on_answer(&mut self, sent: Sent) {
        let Sent { number, chosen, change, answer } = sent;
        let id = change.point.tx;
        let fate = match answer {
            Answer::Accepted { peer, at } => {
                self.pool.accepted(chosen, change, peer);
                Fate::Accepted { id, peer, at }
            }
            Answer::Refused { code } => {
                self.on_refusal(&code, chosen);
                Fate::Refused { code }
            }
            Answer::Unknown => {
                self.pool.doubted(change);
                Fate::Unknown { id }
            }
            Answer::Unreachable => {
                self.pool.returned(chosen);
                return self.waiting.push_front(number);
            }
        };
        self.say(number, fate);
    }

    /// What a refusal says about the coin.
    fn on_refusal(&mut self, code: &str, chosen: Chosen) {
        match code {
            // The peer is full, or behind: a confirmed coin is as good as before.
            "too_many" | "tx_fee_too_low" | "tx_missing_coin" | "tx_pool_full" if chosen.depth == 0 => {
                self.pool.returned(chosen)
            }
            _ => self.pool.set_aside(chosen),
        }
    }

    fn on_step(&mut self, step: &Step) {
        if let Step::Connected { ids, .. } = step {
            for id in ids {
                self.pool.confirmed(id);
            }
        }
    }

    /// Waits for what is under way; the rest is never sent.
    async fn give_up(mut self, rest: impl Iterator<Item = u64>) {
        while let Some(sent) = self.under_way.next().await {
            self.on_answer(sent);
        }
        let waiting = std::mem::take(&mut self.waiting);
        for number in waiting.into_iter().chain(rest) {
            self.say(number, Fate::NotSent);
        }
    }

    fn say(&self, number: u64, fate: Fate) {
        let due = self.common.start + self.common.schedule.due(number);
        // Nobody listens only when the whole load was dropped.
        let _ = self.outcomes.send(Outcome { due, fate });
    }
}

impl Common {
    /// Payment `number` out of the chosen coin, and the change that it leaves.
    fn payment(&self, number: u64, chosen: Chosen) -> (Tx, OwnCoin) {
        let payers = self.payers.len();
        let (from, secret) = &self.payers[chosen.coin.wallet];
        let step = if payers > 1 { 1 + number as usize % (payers - 1) } else { 0 };
        let (to, _) = self.payers[(chosen.coin.wallet + step) % payers];
        let coin = Coin {
            output: Output::plain(chosen.coin.amount, *from),
            // Neither is part of a payment.
            height: Height(0),
            coinbase: false,
        };
        let builder = PaymentBuilder::new(self.chain).spend(chosen.coin.point, coin, secret);
        let tx = builder.pay(to, self.plan.amount).fee(self.plan.fee).build(*from);
        let tx = tx.expect("the coin is the payer's and large enough");
        let left = chosen.coin.amount.0 - self.plan.amount.0 - self.plan.fee.0;
        let change =
            OwnCoin { point: OutPoint { tx: tx.id(), index: 1 }, amount: Amount(left), wallet: chosen.coin.wallet };
        (tx, change)
    }

    /// Sends a payment to the chosen peer. A confirmed coin's goes on to the next peer while one is down or behind.
    async fn send(&self, tx: &Tx, chosen: Chosen) -> Answer {
        let count = self.targets.len();
        let mut answer = Answer::Unreachable;
        for step in 0..count {
            let peer = (chosen.peer + step) % count;
            if !self.is_up(peer) {
                continue;
            }
            answer = self.send_to(tx, peer).await;
            let is_behind = matches!(&answer, Answer::Refused { code } if code == "tx_missing_coin");
            let may_go_on = chosen.depth == 0 && (is_behind || matches!(answer, Answer::Unreachable));
            if matches!(answer, Answer::Unknown) {
                self.repeat(tx, peer).await;
            }
            if !may_go_on {
                return answer;
            }
        }
        if matches!(answer, Answer::Unreachable) {
            // Nobody is up: do not ask again at once.
            tokio::time::sleep(super::DOWN).await;
        }
        answer
    }

    async fn send_to(&self, tx: &Tx, peer: usize) -> Answer {
        match self.targets[peer].client.submit(tx).await {
            Ok(_) => Answer::Accepted { peer, at: Instant::now() },
            Err(error) if error.leaves_result_unknown() => {
                self.set_down(peer);
                Answer::Unknown
            }
            Err(ClientError::Api(error)) if error.status != SERVICE_UNAVAILABLE => Answer::Refused { code: error.code },
            Err(_) => {
                self.set_down(peer);
                Answer::Unreachable
            }
        }
    }

    /// Sends a payment of unknown fate once more, to the next peer. It is the same payment, so it cannot be paid twice;
    /// without this, a coin whose payment was lost would be of no use for the rest of the load.
    async fn repeat(&self, tx: &Tx, after: usize) {
        let peer = (after + 1) % self.targets.len();
        if self.is_up(peer) {
            // Whatever the answer: the payment stays unknown until a block has it.
            let _ = self.targets[peer].client.submit(tx).await;
        }
    }
}

/// HTTP's status of a node that is starting or stopping.
const SERVICE_UNAVAILABLE: u16 = 503;
