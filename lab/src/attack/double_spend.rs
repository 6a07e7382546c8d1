//! Double spends: the same coin is paid to a merchant and back to the attacker, and the attacker sees to it that the merchant hands
//! over before it learns which of the two stands.

mod plans;

use std::path::Path;
use std::time::Instant;

use synod_ledger::Amount;

use super::arena::{Arena, POLL, Pair, work};
use super::attacker::{Attacker, Means};
use super::report::{Costs, Evidence, Fate, Outcome, Report, Run, Standing, Story};
use super::terms::{Strategy, Terms};
use crate::LabError;
use crate::merchant::{Merchant, Notice};
use crate::settings::{Consensus, Transport, peer_name};

/// One attack while it goes on.
struct Attack<'a> {
    arena: &'a Arena,
    attacker: Option<&'a Attacker>,
    pair: Pair,
    terms: &'a Terms,
    merchant: Merchant,
    story: Story,
    /// Blocks of the network that were there when it began.
    height: u64,
    reorganisation: u64,
    blocks: u64,
}

/// Mounts the attack as often as the terms say, or until `stop`. `on_run` hears of each as it ends. What was begun when it is stopped, or
/// takes too long, is not in the report; without any that ended that is an error.
pub async fn run(
    mut arena: Arena,
    program: &Path,
    strategy: Strategy,
    mut terms: Terms,
    stop: impl Future<Output = ()>,
    mut on_run: impl FnMut(&Run),
) -> Result<Report, LabError> {
    let settings = &arena.network.manifest().settings;
    let consensus = settings.consensus;
    let refused = match consensus {
        Consensus::Pbft => {
            Some("these double spends are of chains of work or stake: validators have `synod attack equivocation`")
        }
        Consensus::Pos if strategy != Strategy::Majority => Some(
            "with stakes a majority of them is fought alone: --strategy majority, or a network of `synod up --consensus pow`",
        ),
        Consensus::Pos | Consensus::Pow => None,
    };
    if let Some(message) = refused {
        return Err(LabError::Usage { message: message.to_owned() });
    }
    if settings.transport == Transport::Quic && strategy.mines(terms.share) {
        return Err(LabError::FaultsNeedTcp);
    }
    if strategy == Strategy::Vector76 && terms.confirmations == 0 {
        let message = "vector76 deceives a merchant that waits for a block or more: --confirmations 1".to_owned();
        return Err(LabError::Usage { message });
    }
    arena.check_honest()?;
    let _lock = arena.lock()?;
    let mut turned = Vec::new();
    if consensus == Consensus::Pos {
        (turned, terms.share) = arena.with_stake(terms.share).await?;
        arena.lose(&turned);
        arena.check_connected(&turned).await?;
        arena.check_connected(&arena.full).await?;
    }
    let mut runs = Vec::new();
    let fighting = fight_all(&mut arena, program, &turned, strategy, &terms, |run| {
        on_run(&run);
        runs.push(run);
    });
    let fought = tokio::select! {
        fought = fighting => fought,
        () = stop => Err(LabError::Interrupted),
    };
    // Whatever happened, the network is left as it was found.
    let healed = arena.heal().await;
    match fought {
        Err(LabError::Interrupted | LabError::TimedOut { .. }) if !runs.is_empty() => {}
        other => other?,
    }
    healed?;
    let turned = turned.into_iter().map(peer_name).collect();
    Ok(Report::of(&arena, turned, strategy, terms, runs))
}

async fn fight_all(
    arena: &mut Arena,
    program: &Path,
    turned: &[usize],
    strategy: Strategy,
    terms: &Terms,
    mut on_run: impl FnMut(Run),
) -> Result<(), LabError> {
    let attacker = match strategy.mines(terms.share) {
        true if !turned.is_empty() => Some(Attacker::with_stakes(arena, turned)),
        true => Some(Attacker::with_work(arena, program, terms.share).await?),
        false => None,
    };
    for number in 1..=terms.tries {
        let begun = Instant::now();
        loop {
            let pair = arena.pair().await?;
            let run = fight(arena, attacker.as_ref(), pair, strategy, terms, number).await?;
            if let Some(run) = run {
                on_run(run);
                break;
            }
            if begun.elapsed() > terms.limit {
                let what = "beginning in secret before the others find a block".to_owned();
                return Err(LabError::TimedOut { what, limit: terms.limit, log: Vec::new() });
            }
        }
    }
    Ok(())
}

/// One attack; nothing if it was not even begun, since the merchant was never paid.
async fn fight(
    arena: &Arena,
    attacker: Option<&Attacker>,
    pair: Pair,
    strategy: Strategy,
    terms: &Terms,
    number: u64,
) -> Result<Option<Run>, LabError> {
    if let Some(attacker) = attacker {
        attacker.join(arena, terms.limit).await?;
    }
    arena.wait_one_tip(&[], terms.limit).await?;
    let before = means(arena, attacker).await?;
    let merchant = Merchant::open(arena.client(arena.at), arena.name(arena.at), arena.merchant(), terms.confirmations);
    let mut attack = Attack {
        arena,
        attacker,
        pair,
        terms,
        merchant: merchant.await?,
        story: Story::begin(),
        height: arena.status(arena.at).await?.height.0,
        reorganisation: 0,
        blocks: 0,
    };
    let end = match strategy {
        Strategy::Eclipse => attack.eclipse().await?,
        Strategy::Finney => attack.finney().await?,
        Strategy::Majority => attack.majority().await?,
        Strategy::Partition => attack.partition().await?,
        Strategy::Race => attack.race().await?,
        Strategy::Vector76 => attack.vector76().await?,
    };
    let hashes = means(arena, attacker).await?.hashes.saturating_sub(before.hashes);
    if end == End::Unbegun {
        return Ok(None);
    }
    let fates = attack.settle().await?;
    let evidence = arena.evidence(&attack.pair).await?;
    // Until all hear each other again, and the branch is out.
    let after = means(arena, attacker).await?;
    let costs = Costs {
        hashes,
        joules: hashes as f64 * terms.joules_per_hash,
        blocks: attack.blocks,
        stake: Amount(before.stake.0.saturating_sub(after.stake.0)),
        messages: after.sent.messages.saturating_sub(before.sent.messages),
        bytes: after.sent.bytes.saturating_sub(before.sent.bytes),
    };
    Ok(Some(attack.end(number, end, costs, fates, evidence)))
}

/// What an attack came to before all hear each other again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The attacker left it.
    GaveUp,
    /// It did all it could.
    Played,
    /// The merchant was never paid.
    Unbegun,
}

impl End {
    const fn played(is_played: bool) -> Self {
        if is_played { Self::Played } else { Self::GaveUp }
    }
}

/// What the attacker has spent and has left, if it has nodes.
async fn means(arena: &Arena, attacker: Option<&Attacker>) -> Result<Means, LabError> {
    match attacker {
        Some(attacker) => attacker.means(arena).await,
        None => Ok(Means::default()),
    }
}

impl Attack<'_> {
    fn note(&mut self, what: impl Into<String>) {
        self.story.note(what);
    }

    /// What the attacker found, of its own, since it began.
    async fn count_blocks(&mut self) -> Result<(), LabError> {
        if let Some(attacker) = self.attacker {
            self.blocks = self.arena.found(attacker.client(), self.height, attacker.paid()).await?;
        }
        Ok(())
    }

    fn attacker(&self) -> &Attacker {
        self.attacker.expect("a strategy that mines has an attacker")
    }

    /// The peers that keep blocks, but the merchant's.
    fn others(&self) -> Vec<usize> {
        self.arena.full.iter().copied().filter(|place| *place != self.arena.at).collect()
    }

    /// A peer that speaks for all that are not the merchant's.
    fn witness(&self) -> usize {
        self.others().first().copied().unwrap_or(self.arena.at)
    }

    /// What the merchant says meanwhile is part of the story.
    async fn look(&mut self) -> Result<(), LabError> {
        let id = self.pair.payment.id();
        for notice in self.merchant.look().await? {
            match notice {
                Notice::Seen { id: seen, .. } if seen == id => self.note("the merchant sees the payment"),
                Notice::Delivered { id: of, confirmations, .. } if of == id => {
                    self.note(format!("the merchant hands over at {confirmations} confirmations"));
                }
                Notice::Warned { id: of, .. } if of == id => self.note("the merchant sees the double spend"),
                Notice::Undone { id: of, .. } if of == id => self.note("the payment is undone"),
                Notice::Shaken { id: of } if of == id => self.note("the payment has no confirmations any more"),
                Notice::Delivered { .. }
                | Notice::Seen { .. }
                | Notice::Shaken { .. }
                | Notice::Undone { .. }
                | Notice::Warned { .. } => {}
            }
        }
        Ok(())
    }

    /// Waits until the merchant has handed over. False where it never will: the payment cannot be confirmed any more.
    async fn wait_delivered(&mut self) -> Result<bool, LabError> {
        let begun = Instant::now();
        let id = self.pair.payment.id();
        loop {
            self.look().await?;
            if self.merchant.book.is_delivered(&id) {
                return Ok(true);
            }
            if begun.elapsed() > self.terms.limit || self.is_lost_at_merchant().await? {
                return Ok(false);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    async fn is_lost_at_merchant(&self) -> Result<bool, LabError> {
        let fates = self.arena.fates(&self.pair).await?;
        let name = self.arena.name(self.arena.at);
        let fate = fates.iter().find(|fate| fate.peer == name);
        Ok(fate.is_some_and(|fate| fate.payment != Standing::Confirmed && fate.rival == Standing::Confirmed))
    }

    /// Mines in secret until its branch has more work than the network's. False where it gave up.
    async fn overtake(&mut self, seen_at: usize) -> Result<bool, LabError> {
        let begun = Instant::now();
        loop {
            self.look().await?;
            let (secret, public) = (self.attacker().status().await?, self.arena.status(seen_at).await?);
            if work(&secret) > work(&public) && self.attacker().has_confirmed(&self.pair.rival).await? {
                return Ok(true);
            }
            let behind = public.height.0.saturating_sub(secret.height.0);
            if behind >= self.terms.give_up || begun.elapsed() > self.terms.limit {
                self.note(format!("the attacker gives up, {behind} blocks behind"));
                return Ok(false);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits until those who have the rival, `there`, have more work than the merchant's peer. False where it gave up.
    async fn outweigh(&mut self, there: usize) -> Result<bool, LabError> {
        let begun = Instant::now();
        let rival = self.pair.rival.id();
        loop {
            self.look().await?;
            let (here, far) = (self.arena.status(self.arena.at).await?, self.arena.status(there).await?);
            let confirmed = self.arena.client(there).transaction(rival).await.is_ok_and(|info| info.confirmations > 0);
            if confirmed && work(&far) > work(&here) {
                self.reorganisation = self.arena.apart(self.arena.at, &self.arena.client(there)).await?;
                return Ok(true);
            }
            let behind = here.height.0.saturating_sub(far.height.0);
            if behind >= self.terms.give_up || begun.elapsed() > self.terms.limit {
                self.note(format!("the attacker gives up, {behind} blocks behind"));
                return Ok(false);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Shows what was mined in secret to everybody.
    async fn release(&mut self) -> Result<(), LabError> {
        self.reorganisation = self.arena.apart(self.witness(), self.attacker().client()).await?;
        self.count_blocks().await?;
        self.attacker().release().await?;
        let (own, theirs) = (self.blocks, self.reorganisation);
        self.note(format!("the attacker releases {own} blocks against {theirs}"));
        Ok(())
    }

    /// Waits until all agree again and one of the two payments is confirmed everywhere.
    async fn settle(&mut self) -> Result<Vec<Fate>, LabError> {
        self.arena.cut(|_| Vec::new()).await?;
        if let Some(attacker) = self.attacker {
            attacker.join(self.arena, self.terms.limit).await?;
        }
        let begun = Instant::now();
        loop {
            self.arena.wait_one_tip(&[], self.terms.limit).await?;
            self.look().await?;
            let fates = self.arena.fates(&self.pair).await?;
            let first = fates.first().cloned();
            let is_settled = fates.iter().all(|fate| {
                let confirmed = [fate.payment, fate.rival].iter().filter(|of| **of == Standing::Confirmed).count();
                let agrees = first.as_ref().is_some_and(|first| {
                    (first.payment == Standing::Confirmed) == (fate.payment == Standing::Confirmed)
                });
                confirmed == 1 && agrees
            });
            if is_settled || begun.elapsed() > self.terms.limit {
                return Ok(fates);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    fn end(self, number: u64, end: End, costs: Costs, fates: Vec<Fate>, evidence: Vec<Evidence>) -> Run {
        let id = self.pair.payment.id();
        let is_delivered = self.merchant.book.is_delivered(&id);
        let is_undone = fates.iter().all(|fate| fate.rival == Standing::Confirmed);
        let outcome = match (is_delivered, is_undone) {
            (false, _) => Outcome::Undelivered,
            (true, true) => Outcome::Undone,
            (true, false) if end == End::GaveUp => Outcome::GaveUp,
            (true, false) => Outcome::Kept,
        };
        Run {
            number,
            payment: id,
            rival: self.pair.rival.id(),
            outcome,
            reorganisation: self.reorganisation,
            costs,
            fates,
            evidence,
            timeline: self.story.timeline,
        }
    }
}
