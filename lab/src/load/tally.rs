//! Keeps count of a load while it runs.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;
use std::time::SystemTime;

use synod_ledger::TxId;
use tokio::time::Instant;

use super::client::{Fate, Outcome};
use super::follow::Step;
use super::report::{Latency, LoadReport};
use super::{Acknowledged, Plan, Progress, Target};
use crate::error::LabError;

/// The counts so far.
pub(super) struct Tally {
    /// When each accepted payment was due.
    accepted: BTreeMap<TxId, Instant>,
    /// The accepted payments that no block of the active chain has.
    open: BTreeSet<TxId>,
    /// Every payment in the active chain since the start, whoever's it is, and when it was first seen there.
    in_chain: BTreeMap<TxId, Instant>,
    refused: BTreeMap<String, u64>,
    unknown: BTreeSet<TxId>,
    not_sent: u64,
    acceptance: Latency,
}

impl Tally {
    pub(super) fn new() -> Self {
        Self {
            accepted: BTreeMap::new(),
            open: BTreeSet::new(),
            in_chain: BTreeMap::new(),
            refused: BTreeMap::new(),
            unknown: BTreeSet::new(),
            not_sent: 0,
            acceptance: Latency::new(),
        }
    }

    /// Counts a payment's fate; an acknowledgement is written to `out` before anything else happens.
    pub(super) fn outcome(
        &mut self,
        outcome: Outcome,
        targets: &[Target],
        out: &mut Option<&mut (dyn Write + Send)>,
    ) -> Result<(), LabError> {
        match outcome.fate {
            Fate::Accepted { id, peer, at } => {
                if let Some(out) = out {
                    write_line(*out, &Acknowledged { id, peer: targets[peer].name.clone(), time_unix_ms: unix_ms() })?;
                }
                self.acceptance.record(at.saturating_duration_since(outcome.due));
                self.accepted.insert(id, outcome.due);
                if !self.in_chain.contains_key(&id) {
                    self.open.insert(id);
                }
            }
            Fate::NotSent => self.not_sent += 1,
            Fate::Refused { code } => *self.refused.entry(code).or_default() += 1,
            Fate::Unknown { id } => {
                self.unknown.insert(id);
            }
        }
        Ok(())
    }

    /// A block joined or left the active chain.
    pub(super) fn step(&mut self, step: &Step) {
        match step {
            Step::Connected { ids, at } => {
                for id in ids {
                    self.in_chain.entry(*id).or_insert(*at);
                    self.open.remove(id);
                }
            }
            Step::Disconnected { ids } => {
                for id in ids {
                    self.in_chain.remove(id);
                    if self.accepted.contains_key(id) {
                        self.open.insert(*id);
                    }
                }
            }
        }
    }

    /// Whether every accepted payment is in the active chain.
    pub(super) fn is_settled(&self) -> bool {
        self.open.is_empty()
    }

    pub(super) fn progress(&self) -> Progress {
        let accepted = self.accepted.len() as u64;
        let refused: u64 = self.refused.values().sum();
        Progress {
            done: accepted + refused + self.unknown.len() as u64 + self.not_sent,
            accepted,
            confirmed: accepted - self.open.len() as u64,
        }
    }

    pub(super) fn report(self, plan: &Plan, scheduled: u64, interrupted: bool) -> LoadReport {
        let mut confirmation = Latency::new();
        for (id, due) in &self.accepted {
            if let Some(at) = self.in_chain.get(id) {
                confirmation.record(at.saturating_duration_since(*due));
            }
        }
        let accepted = self.accepted.len() as u64;
        LoadReport {
            rate: plan.rate,
            duration_ms: u64::try_from(plan.duration.as_millis()).unwrap_or(u64::MAX),
            clients: plan.clients,
            scheduled,
            accepted,
            unknown: self.unknown.len() as u64,
            not_sent: self.not_sent,
            confirmed: accepted - self.open.len() as u64,
            unknown_confirmed: self.unknown.iter().filter(|id| self.in_chain.contains_key(id)).count() as u64,
            accepted_rate: accepted as f64 / plan.duration.as_secs_f64(),
            acceptance: self.acceptance.summary(),
            confirmation: confirmation.summary(),
            refused: self.refused,
            interrupted,
        }
    }
}

fn write_line(out: &mut dyn Write, line: &Acknowledged) -> Result<(), LabError> {
    let mut text = serde_json::to_string(line).expect("our own values are JSON");
    text.push('\n');
    out.write_all(text.as_bytes()).map_err(|error| LabError::io(Path::new("--out"), error))
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use synod_ledger::Amount;
    use synod_machine::Bytes;
    use synod_node::api::client::Client;

    use super::*;

    fn id(number: u8) -> TxId {
        TxId(Bytes([number; 32]))
    }

    fn plan() -> Plan {
        let (duration, settle) = (Duration::from_secs(2), Duration::ZERO);
        Plan { rate: 2.0, duration, clients: 1, amount: Amount(5), fee: Amount(1), settle }
    }

    fn count(tally: &mut Tally, due: Instant, fate: Fate) {
        let targets = [Target { name: "peer1".into(), client: Client::new("127.0.0.1:1") }];
        tally.outcome(Outcome { due, fate }, &targets, &mut None).expect("nothing is written");
    }

    #[test]
    fn every_payment_is_counted_once_and_an_unknown_one_never_as_accepted() {
        let (mut tally, due) = (Tally::new(), Instant::now());
        let at = due + Duration::from_millis(30);
        count(&mut tally, due, Fate::Accepted { id: id(1), peer: 0, at });
        count(&mut tally, due, Fate::Unknown { id: id(2) });
        count(&mut tally, due, Fate::Refused { code: "tx_pool_full".into() });
        count(&mut tally, due, Fate::NotSent);
        assert!(!tally.is_settled());
        tally.step(&Step::Connected { ids: vec![id(1), id(2), id(7)], at: due + Duration::from_secs(1) });
        assert!(tally.is_settled());
        assert_eq!(tally.progress(), Progress { done: 4, accepted: 1, confirmed: 1 });
        let report = tally.report(&plan(), 4, false);
        assert_eq!((report.accepted, report.unknown, report.not_sent), (1, 1, 1));
        assert_eq!((report.confirmed, report.unknown_confirmed), (1, 1));
        assert_eq!(report.refused, BTreeMap::from([("tx_pool_full".to_owned(), 1)]));
        assert!((report.acceptance.p50_ms - 30.0).abs() < 0.1);
        assert!((report.confirmation.max_ms - 1000.0).abs() < 1.0);
        assert!((report.accepted_rate - 0.5).abs() < 1e-9);
    }

    #[test]
    fn a_block_that_leaves_the_chain_takes_its_payments_back() {
        let (mut tally, due) = (Tally::new(), Instant::now());
        tally.step(&Step::Connected { ids: vec![id(1)], at: due });
        count(&mut tally, due, Fate::Accepted { id: id(1), peer: 0, at: due });
        assert!(tally.is_settled(), "the block came before the answer");
        tally.step(&Step::Disconnected { ids: vec![id(1)] });
        assert!(!tally.is_settled());
        assert_eq!(tally.report(&plan(), 1, false).confirmed, 0);
    }

    #[test]
    fn an_acknowledged_payment_is_one_line() {
        let mut bytes = Vec::new();
        let line = Acknowledged { id: id(0xab), peer: "peer2".into(), time_unix_ms: 7 };
        write_line(&mut bytes, &line).expect("written");
        let text = String::from_utf8(bytes).expect("text");
        assert_eq!(text, format!("{{\"id\":\"{}\",\"peer\":\"peer2\",\"time_unix_ms\":7}}\n", "ab".repeat(32)));
    }
}
