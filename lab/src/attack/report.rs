//! What an attack reports: what happened, what it cost and what theory expects.

use std::collections::BTreeMap;
use std::time::Instant;

use serde::Serialize;
use synod_ledger::{Amount, TxId};
use synod_scenario::attack::theory;
use synod_scenario::duel::{self, Wait};
use synod_scenario::stats;

use super::arena::{Arena, PRICE};
use super::terms::{Strategy, Terms};

/// With so much doubt an interval is stated.
const DOUBT: f64 = 0.05;

/// How a payment stands at a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// In a block of the active chain.
    Confirmed,
    /// Its coin is spent otherwise.
    Conflicted,
    /// It waits.
    Pending,
    /// The peer has not heard of it, or has forgotten it.
    Unknown,
}

impl Standing {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Conflicted => "conflicted",
            Self::Pending => "pending",
            Self::Unknown => "unknown",
        }
    }
}

/// How the two payments stand at one peer in the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fate {
    /// The peer.
    pub peer: String,
    /// The payment to the merchant.
    pub payment: Standing,
    /// The payment back to the attacker.
    pub rival: Standing,
}

/// That a peer keeps it as evidence that one coin was spent twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// The peer.
    pub peer: String,
    /// The payment that was there first.
    pub kept: TxId,
    /// The one that came second, which the attacker signed too.
    pub seen: TxId,
}

/// Something that happened in an attack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Moment {
    /// Milliseconds since the attack began.
    pub at_ms: u64,
    /// What happened.
    pub what: String,
}

/// What happens in an attack, as it happens.
pub(super) struct Story {
    begun: Instant,
    pub(super) timeline: Vec<Moment>,
}

impl Story {
    pub(super) fn begin() -> Self {
        Self { begun: Instant::now(), timeline: Vec::new() }
    }

    pub(super) fn note(&mut self, what: impl Into<String>) {
        let at_ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.timeline.push(Moment { at_ms, what: what.into() });
    }
}

/// How one attack ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The attacker gave up, too far behind or after too long, and the payment stands.
    GaveUp,
    /// The goods were handed over and the payment stands.
    Kept,
    /// The goods were handed over, and the payment is undone at every peer that keeps blocks.
    Undone,
    /// The merchant did not hand over.
    Undelivered,
}

impl Outcome {
    /// Its name for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::GaveUp => "gave up",
            Self::Kept => "kept",
            Self::Undone => "undone",
            Self::Undelivered => "not delivered",
        }
    }
}

/// What an attack cost the attacker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Costs {
    /// Hashes of its own node.
    pub hashes: u64,
    /// What they took, at the joules a hash that were stated.
    pub joules: f64,
    /// Blocks that it found in secret.
    pub blocks: u64,
    /// Stake that it lost, in units.
    pub stake: Amount,
    /// Messages that it sent.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// One attack.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Run {
    /// From 1.
    pub number: u64,
    /// The payment to the merchant.
    pub payment: TxId,
    /// The payment back to the attacker.
    pub rival: TxId,
    /// How it ended.
    pub outcome: Outcome,
    /// Blocks of the network that were taken back.
    pub reorganisation: u64,
    /// What it cost.
    pub costs: Costs,
    /// How the payments stand in the end.
    pub fates: Vec<Fate>,
    /// What honest peers keep as evidence of it.
    pub evidence: Vec<Evidence>,
    /// What happened.
    pub timeline: Vec<Moment>,
}

/// All attacks of one command.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The attack's name.
    pub attack: &'static str,
    /// How it was done.
    pub strategy: Strategy,
    /// The network's directory.
    pub dir: String,
    /// The chain's id.
    pub chain_id: String,
    /// How many peers keep blocks and are not the attacker's.
    pub peers: usize,
    /// Those that are the attacker's, with their stakes; none where it has a node of its own.
    pub turned: Vec<String>,
    /// The terms.
    #[serde(flatten)]
    pub terms: Terms,
    /// Whether all were mounted that were asked for; if not, it was stopped, or one took too long.
    pub is_complete: bool,
    /// How many attacks ended.
    pub tried: u64,
    /// How many undid a payment for which the goods were handed over.
    pub undone: u64,
    /// The probability of that, from these attacks: Clopper and Pearson's interval of 95 per cent.
    pub probability_low: f64,
    /// Its upper end.
    pub probability_high: f64,
    /// What the closed form says, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<f64>,
    /// What the merchant lost, in units.
    pub lost: Amount,
    /// The attacks.
    pub runs: Vec<Run>,
}

/// What theory says: of a branch in secret, with the attacker that gives up, and of blocks for the merchant alone, by peers of one hash rate.
fn expected(strategy: Strategy, terms: &Terms, arena: &Arena) -> Option<f64> {
    let attacker = (terms.share * SHARE_PARTS).round() as u64;
    let duel = duel::Terms {
        honest: SHARE_PARTS as u64 - attacker,
        attacker,
        confirmations: terms.confirmations,
        in_hand: 0,
        wait: Wait::Raced,
        behind_max: terms.give_up,
    };
    match strategy {
        // What is handed over unconfirmed is no race for blocks.
        Strategy::Majority if terms.confirmations > 0 => Some(theory::success(&duel)),
        Strategy::Vector76 if arena.mining() == arena.full.len() => {
            Some(shown_alone(terms.share, arena.full.len(), terms.confirmations))
        }
        Strategy::Eclipse
        | Strategy::Finney
        | Strategy::Majority
        | Strategy::Partition
        | Strategy::Race
        | Strategy::Vector76 => None,
    }
}

/// Blocks for the merchant alone: the attacker rests when it has shown them, so that the next one is of the others' or of the merchant's peer's.
fn shown_alone(share: f64, peers: usize, confirmations: u64) -> f64 {
    let merchant = (1.0 - share) / peers as f64;
    let next = (1.0 - 1.0 / peers as f64) / (1.0 - merchant);
    theory::vector76(share, merchant, confirmations) * next
}

/// Shares are taken to a millionth.
const SHARE_PARTS: f64 = 1e6;

impl Report {
    /// Sums up.
    pub(super) fn of(arena: &Arena, turned: Vec<String>, strategy: Strategy, terms: Terms, runs: Vec<Run>) -> Self {
        let undone = runs.iter().filter(|run| run.outcome == Outcome::Undone).count() as u64;
        let tried = runs.len() as u64;
        let interval = stats::probability(undone, tried, DOUBT);
        Self {
            attack: "double-spend",
            strategy,
            dir: arena.network.dir().display().to_string(),
            chain_id: arena.network.manifest().chain_id.clone(),
            peers: arena.full.len(),
            turned,
            is_complete: tried == terms.tries,
            terms,
            tried,
            undone,
            probability_low: interval.low,
            probability_high: interval.high,
            expected: expected(strategy, &terms, arena),
            lost: Amount(undone * PRICE.0),
            runs,
        }
    }

    /// How many attacks ended how.
    pub fn outcomes(&self) -> BTreeMap<&'static str, u64> {
        let mut outcomes = BTreeMap::new();
        for run in &self.runs {
            *outcomes.entry(run.outcome.name()).or_default() += 1;
        }
        outcomes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_for_the_merchant_alone_need_the_first_block_and_two_of_the_others() {
        // q (1 - 1/n)^2 where one block is enough.
        for (share, peers) in [(0.4, 5), (0.6, 5), (0.1, 2)] {
            let others = 1.0 - 1.0 / peers as f64;
            assert!((shown_alone(share, peers, 1) - share * others * others).abs() < 1e-12);
        }
    }
}
