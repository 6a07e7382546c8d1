//! Double spends: the same coin is paid to a merchant and back to the attacker, and the attacker sees to it that the merchant hands
//! over before it learns which of the two stands.

use std::path::Path;
use std::time::Instant;

use synod_machine::Count;
use synod_node::api::client::ClientError;

use super::arena::{Arena, POLL, Pair, is_passing, work};
use super::miner::Miner;
use super::report::{Costs, Fate, Outcome, Report, Run, Standing, Story};
use super::terms::{Strategy, Terms};
use crate::LabError;
use crate::merchant::{Merchant, Notice};
use crate::settings::{Consensus, Transport};

/// One attack while it goes on.
struct Attack<'a> {
    arena: &'a Arena,
    miner: Option<&'a Miner>,
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
    terms: Terms,
    stop: impl Future<Output = ()>,
    mut on_run: impl FnMut(&Run),
) -> Result<Report, LabError> {
    let settings = &arena.network.manifest().settings;
    if settings.consensus != Consensus::Pow {
        let message = "these double spends are of chains of work: make one with `synod up --consensus pow`".to_owned();
        return Err(LabError::Usage { message });
    }
    if settings.transport == Transport::Quic && strategy.mines(terms.share) {
        return Err(LabError::FaultsNeedTcp);
    }
    let _lock = arena.lock()?;
    let mut runs = Vec::new();
    let fighting = fight_all(&mut arena, program, strategy, &terms, |run| {
        on_run(&run);
        runs.push(run);
    });
    let fought = tokio::select! {
        fought = fighting => fought,
        () = stop => Err(LabError::Interrupted),
    };
    // Whatever happened, the network is left as it was found.
    let healed = arena.cut(|_| Vec::new()).await;
    match fought {
        Err(LabError::Interrupted | LabError::TimedOut { .. }) if !runs.is_empty() => {}
        other => other?,
    }
    healed?;
    Ok(Report::of(&arena, strategy, terms, runs))
}

async fn fight_all(
    arena: &mut Arena,
    program: &Path,
    strategy: Strategy,
    terms: &Terms,
    mut on_run: impl FnMut(Run),
) -> Result<(), LabError> {
    let miner = match strategy.mines(terms.share) {
        true => Some(Miner::start(arena, program, arena.attacker(), terms.share).await?),
        false => None,
    };
    for number in 1..=terms.tries {
        let begun = Instant::now();
        loop {
            let pair = arena.pair().await?;
            let run = fight(arena, miner.as_ref(), pair, strategy, terms, number).await?;
            if let Some(run) = run {
                on_run(run);
                break;
            }
            if begun.elapsed() > terms.limit {
                let what = "mining a block in secret before the others find one".to_owned();
                return Err(LabError::TimedOut { what, limit: terms.limit, log: Vec::new() });
            }
        }
    }
    Ok(())
}

/// One attack; nothing if it was not even begun, since the merchant was never paid.
async fn fight(
    arena: &Arena,
    miner: Option<&Miner>,
    pair: Pair,
    strategy: Strategy,
    terms: &Terms,
    number: u64,
) -> Result<Option<Run>, LabError> {
    if let Some(miner) = miner {
        miner.join(arena).await?;
    }
    arena.wait_one_tip(&[], terms.limit).await?;
    let before = spent(miner).await?;
    let merchant = Merchant::open(arena.client(arena.at), arena.name(arena.at), arena.merchant(), terms.confirmations);
    let mut attack = Attack {
        arena,
        miner,
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
    };
    let hashes = spent(miner).await?.0.saturating_sub(before.0);
    if end == End::Unbegun {
        return Ok(None);
    }
    let fates = attack.settle().await?;
    // Until all hear each other again, and the branch is out.
    let sent = spent(miner).await?.1;
    let costs = Costs {
        hashes,
        joules: hashes as f64 * terms.joules_per_hash,
        blocks: attack.blocks,
        messages: sent.messages.saturating_sub(before.1.messages),
        bytes: sent.bytes.saturating_sub(before.1.bytes),
    };
    Ok(Some(attack.end(number, end, costs, fates)))
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

/// Hashes of the attacker's node so far, and what it sent.
async fn spent(miner: Option<&Miner>) -> Result<(u64, Count), LabError> {
    match miner {
        Some(miner) => Ok((miner.status().await?.hashes_total, miner.sent().await?)),
        None => Ok((0, Count::default())),
    }
}

impl Attack<'_> {
    fn note(&mut self, what: impl Into<String>) {
        self.story.note(what);
    }

    /// What the attacker found, of its own, since it began.
    async fn count_blocks(&mut self) -> Result<(), LabError> {
        if let Some(miner) = self.miner {
            self.blocks = self.arena.found(miner.client(), self.height).await?;
        }
        Ok(())
    }

    fn miner(&self) -> &Miner {
        self.miner.expect("a strategy that mines has a miner")
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
        Ok(fate.is_some_and(|fate| fate.payment == Standing::Conflicted && fate.rival == Standing::Confirmed))
    }

    /// Mines in secret until its branch has more work than the network's. False where it gave up.
    async fn overtake(&mut self, seen_at: usize) -> Result<bool, LabError> {
        let begun = Instant::now();
        loop {
            self.look().await?;
            let (secret, public) = (self.miner().status().await?, self.arena.status(seen_at).await?);
            if work(&secret) > work(&public) && self.miner().has_confirmed(&self.pair.rival).await? {
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
        self.reorganisation = self.arena.apart(self.witness(), self.miner().client()).await?;
        self.count_blocks().await?;
        self.miner().release().await?;
        let (own, theirs) = (self.blocks, self.reorganisation);
        self.note(format!("the attacker releases {own} blocks against {theirs}"));
        Ok(())
    }

    async fn majority(&mut self) -> Result<End, LabError> {
        self.miner().hide(self.arena, &[]).await?;
        self.note("the attacker mines in secret");
        self.miner().submit(&self.pair.rival).await?;
        self.arena.submit(self.arena.at, &self.pair.payment).await?;
        self.note("the payment goes to the merchant's peer");
        if !self.wait_delivered().await? || !self.overtake(self.witness()).await? {
            self.count_blocks().await?;
            return Ok(End::GaveUp);
        }
        self.release().await?;
        Ok(End::Played)
    }

    async fn finney(&mut self) -> Result<End, LabError> {
        self.miner().hide(self.arena, &[]).await?;
        self.miner().submit(&self.pair.rival).await?;
        self.note("the attacker mines a block with the rival in secret");
        let begun = Instant::now();
        loop {
            let (secret, public) = (self.miner().status().await?, self.arena.status(self.witness()).await?);
            if work(&secret) > work(&public) && self.miner().has_confirmed(&self.pair.rival).await? {
                break;
            }
            // The others were first. To begin again on their block would tell them of the rival: another coin is taken.
            if work(&public) > work(&secret) || begun.elapsed() > self.terms.limit {
                return Ok(End::Unbegun);
            }
            tokio::time::sleep(POLL).await;
        }
        self.arena.submit(self.arena.at, &self.pair.payment).await?;
        self.note("the payment goes to the merchant's peer");
        if !self.wait_delivered().await? {
            self.count_blocks().await?;
            return Ok(End::GaveUp);
        }
        self.release().await?;
        Ok(End::Played)
    }

    async fn race(&mut self) -> Result<End, LabError> {
        let others = self.others();
        let to_merchant = self.arena.submit(self.arena.at, &self.pair.payment);
        let to_others = self.arena.submit_everywhere(&others, &self.pair.rival);
        let to_own = async {
            match self.miner {
                Some(miner) => miner.submit(&self.pair.rival).await,
                None => Ok(()),
            }
        };
        let (paid, rivals, _) = tokio::join!(to_merchant, to_others, to_own);
        let rivals = rivals?;
        self.note(format!("the payment goes to the merchant's peer, the rival to {rivals} others"));
        match paid {
            Ok(()) => {}
            // The rival was there first.
            Err(LabError::Api { source: ClientError::Api(error), .. }) if is_passing(&error.code) => {
                self.note("the merchant's peer has the rival already");
                return Ok(End::GaveUp);
            }
            Err(error) => return Err(error),
        }
        let is_played = self.wait_delivered().await?;
        self.count_blocks().await?;
        Ok(End::played(is_played))
    }

    async fn partition(&mut self) -> Result<End, LabError> {
        let half = self.arena.full.len() / 2 - 1;
        let others = self.others();
        let with_merchant =
            |place: usize| place == self.arena.at || others.iter().position(|of| *of == place) < Some(half);
        let sides: Vec<(usize, bool)> = self.arena.full.iter().map(|&place| (place, with_merchant(place))).collect();
        let side_of = |place: usize| sides.iter().any(|(of, side)| *of == place && *side);
        let across = |place: usize| {
            let far = sides.iter().filter(|(_, side)| *side != side_of(place));
            far.map(|(of, _)| self.arena.peer_id(*of)).collect()
        };
        self.arena.cut(across).await?;
        let far: Vec<usize> = sides.iter().filter(|(_, side)| !side).map(|(place, _)| *place).collect();
        if let Some(miner) = self.miner {
            miner.hide(self.arena, &far).await?;
        }
        let near = self.arena.full.len() - far.len();
        self.note(format!("the network is split: {near} peers with the merchant's, {} others", far.len()));
        self.arena.submit(self.arena.at, &self.pair.payment).await?;
        self.arena.submit_everywhere(&far, &self.pair.rival).await?;
        let is_played = self.wait_delivered().await? && self.outweigh(far[0]).await?;
        self.count_blocks().await?;
        self.arena.cut(|_| Vec::new()).await?;
        if let Some(miner) = self.miner {
            miner.release().await?;
        }
        self.note("the split ends");
        Ok(End::played(is_played))
    }

    async fn eclipse(&mut self) -> Result<End, LabError> {
        let (arena, at) = (self.arena, self.arena.at);
        let everybody: Vec<String> = self.others().into_iter().map(|place| arena.peer_id(place)).collect();
        arena
            .cut(|place| match place == at {
                true => everybody.clone(),
                false => vec![arena.peer_id(at)],
            })
            .await?;
        self.miner().hide(arena, &[at]).await?;
        self.note("all of the merchant's connections are the attacker's");
        arena.submit(at, &self.pair.payment).await?;
        arena.submit_everywhere(&self.others(), &self.pair.rival).await?;
        let is_played = self.wait_delivered().await? && self.outweigh(self.witness()).await?;
        self.count_blocks().await?;
        arena.cut(|_| Vec::new()).await?;
        self.miner().release().await?;
        self.note("the merchant's peer hears the others again");
        Ok(End::played(is_played))
    }

    /// Waits until all agree again and one of the two payments is confirmed everywhere.
    async fn settle(&mut self) -> Result<Vec<Fate>, LabError> {
        self.arena.cut(|_| Vec::new()).await?;
        if let Some(miner) = self.miner {
            miner.join(self.arena).await?;
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

    fn end(self, number: u64, end: End, costs: Costs, fates: Vec<Fate>) -> Run {
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
            timeline: self.story.timeline,
        }
    }
}
