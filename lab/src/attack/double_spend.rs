//! Double spends: the same coin is paid to a merchant and back to the attacker, and the attacker sees to it that the merchant hands
//! over before it learns which of the two stands.

use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::arena::{Arena, Pair, wait, work};
use super::miner::Miner;
use super::report::{Costs, Fate, Moment, Outcome, Report, Run, Standing};
use crate::LabError;
use crate::merchant::{Merchant, Notice};
use crate::settings::Consensus;

/// How the merchant is deceived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// All of the merchant's connections are the attacker's: a branch of its own is shown to it (Heilman et al. 2015).
    Eclipse,
    /// A block with the rival is mined in secret before the merchant is paid (Hal Finney, 2011).
    Finney,
    /// A whole branch is mined in secret, and released when it has more work (Nakamoto 2008, section 11; Rosenfeld 2014).
    Majority,
    /// The network is split; each side hears of one payment, and the side with more work wins.
    Partition,
    /// The merchant's peer hears of one payment and all others of its rival at once (Karame et al. 2012).
    Race,
}

impl Strategy {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Eclipse => "eclipse",
            Self::Finney => "finney",
            Self::Majority => "majority",
            Self::Partition => "partition",
            Self::Race => "race",
        }
    }

    /// Whether the attacker mines.
    const fn mines(self, share: f64) -> bool {
        match self {
            Self::Eclipse | Self::Finney | Self::Majority => true,
            Self::Partition | Self::Race => share > 0.0,
        }
    }
}

/// What an attack is about.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Terms {
    /// The attacker's share of all hash power.
    pub share: f64,
    /// Confirmations at which the merchant hands over.
    pub confirmations: u64,
    /// The attacker gives up when its branch is so many blocks behind.
    pub give_up: u64,
    /// How often it is tried.
    pub tries: u64,
    /// How long one attack may take.
    #[serde(skip)]
    pub limit: Duration,
    /// What a hash takes, in joules.
    pub joules_per_hash: f64,
}

/// One attack while it goes on.
struct Attack<'a> {
    arena: &'a Arena,
    miner: Option<&'a Miner>,
    pair: Pair,
    terms: &'a Terms,
    merchant: Merchant,
    begun: Instant,
    timeline: Vec<Moment>,
    /// Blocks of the network that were there when it began.
    height: u64,
    reorganisation: u64,
    blocks: u64,
}

/// Mounts the attack as often as the terms say, or until `stop`. `on_run` hears of each as it ends.
pub async fn run(
    mut arena: Arena,
    program: &Path,
    strategy: Strategy,
    terms: Terms,
    stop: impl Future<Output = ()>,
    mut on_run: impl FnMut(&Run),
) -> Result<Report, LabError> {
    if arena.network.manifest().settings.consensus != Consensus::Pow {
        let message = "these double spends are of chains of work: make one with `synod up --consensus pow`".to_owned();
        return Err(LabError::Usage { message });
    }
    let miner = match strategy.mines(terms.share) {
        true => Some(Miner::start(&arena, program, arena.attacker(), terms.share).await?),
        false => None,
    };
    let mut runs = Vec::new();
    tokio::pin!(stop);
    for number in 1..=terms.tries {
        let pair = arena.pair().await?;
        let fought = tokio::select! {
            fought = fight(&arena, miner.as_ref(), pair, strategy, &terms, number) => fought,
            () = &mut stop => Err(LabError::Interrupted),
        };
        // Whatever happened, the network is left as it was found.
        let healed = arena.cut(|_| Vec::new()).await;
        let run = fought?;
        healed?;
        on_run(&run);
        runs.push(run);
    }
    if let Some(miner) = miner {
        miner.retire()?;
    }
    let network =
        (arena.network.dir().display().to_string(), arena.network.manifest().chain_id.clone(), arena.full.len());
    Ok(Report::of(strategy, terms, network, runs))
}

async fn fight(
    arena: &Arena,
    miner: Option<&Miner>,
    pair: Pair,
    strategy: Strategy,
    terms: &Terms,
    number: u64,
) -> Result<Run, LabError> {
    if let Some(miner) = miner {
        miner.join(arena).await?;
    }
    arena.wait_one_tip(&[], terms.limit).await?;
    let hashes = hashes(miner).await?;
    let merchant = Merchant::open(arena.client(arena.at), arena.name(arena.at), arena.merchant(), terms.confirmations);
    let mut attack = Attack {
        arena,
        miner,
        pair,
        terms,
        merchant: merchant.await?,
        begun: Instant::now(),
        timeline: Vec::new(),
        height: arena.status(arena.at).await?.height.0,
        reorganisation: 0,
        blocks: 0,
    };
    let gave_up = match strategy {
        Strategy::Eclipse => attack.eclipse().await?,
        Strategy::Finney => attack.finney().await?,
        Strategy::Majority => attack.majority().await?,
        Strategy::Partition => attack.partition().await?,
        Strategy::Race => attack.race().await?,
    };
    let fates = attack.settle().await?;
    let spent = self::hashes(miner).await?.saturating_sub(hashes);
    let costs = Costs { hashes: spent, joules: spent as f64 * terms.joules_per_hash, blocks: attack.blocks };
    Ok(attack.end(number, gave_up, costs, fates))
}

async fn hashes(miner: Option<&Miner>) -> Result<u64, LabError> {
    match miner {
        Some(miner) => Ok(miner.status().await?.hashes_total),
        None => Ok(0),
    }
}

impl Attack<'_> {
    fn note(&mut self, what: impl Into<String>) {
        let at_ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.timeline.push(Moment { at_ms, what: what.into() });
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
            self.blocks = secret.height.0.saturating_sub(self.height);
            if work(&secret) > work(&public) {
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
        self.miner().release().await?;
        let (own, theirs) = (self.blocks, self.reorganisation);
        self.note(format!("the attacker releases {own} blocks against {theirs}"));
        Ok(())
    }

    async fn majority(&mut self) -> Result<bool, LabError> {
        self.miner().hide(self.arena, &[]).await?;
        self.note("the attacker mines in secret");
        self.miner().submit(&self.pair.rival).await?;
        self.arena.submit(self.arena.at, &self.pair.payment).await?;
        self.note("the payment goes to the merchant's peer");
        if !self.wait_delivered().await? || !self.overtake(self.witness()).await? {
            return Ok(true);
        }
        self.release().await?;
        Ok(false)
    }

    async fn finney(&mut self) -> Result<bool, LabError> {
        self.miner().hide(self.arena, &[]).await?;
        self.miner().submit(&self.pair.rival).await?;
        self.note("the attacker mines a block with the rival in secret");
        let (arena, miner) = (self.arena, self.miner());
        let witness = self.witness();
        let pair = &self.pair;
        wait("a secret block that is ahead", self.terms.limit, async || {
            let (secret, public) = (miner.status().await?, arena.status(witness).await?);
            Ok(work(&secret) > work(&public) && miner.has_confirmed(&pair.rival).await?)
        })
        .await?;
        self.blocks = self.miner().status().await?.height.0.saturating_sub(self.height);
        self.arena.submit(self.arena.at, &self.pair.payment).await?;
        self.note("the payment goes to the merchant's peer");
        if !self.wait_delivered().await? {
            return Ok(true);
        }
        self.release().await?;
        Ok(false)
    }

    async fn race(&mut self) -> Result<bool, LabError> {
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
            Err(LabError::Api { source: synod_node::api::client::ClientError::Api(_), .. }) => {
                self.note("the merchant's peer has the rival already");
                return Ok(true);
            }
            Err(error) => return Err(error),
        }
        Ok(!self.wait_delivered().await?)
    }

    async fn partition(&mut self) -> Result<bool, LabError> {
        let half = self.arena.full.len() / 2;
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
        let won = self.wait_delivered().await? && self.outweigh(far[0]).await?;
        self.arena.cut(|_| Vec::new()).await?;
        if let Some(miner) = self.miner {
            miner.release().await?;
        }
        self.note("the split ends");
        Ok(!won)
    }

    async fn eclipse(&mut self) -> Result<bool, LabError> {
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
        let won = self.wait_delivered().await? && self.outweigh(self.witness()).await?;
        self.blocks = self.miner().status().await?.height.0.saturating_sub(self.height);
        arena.cut(|_| Vec::new()).await?;
        self.miner().release().await?;
        self.note("the merchant's peer hears the others again");
        Ok(!won)
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

    fn end(self, number: u64, gave_up: bool, costs: Costs, fates: Vec<Fate>) -> Run {
        let id = self.pair.payment.id();
        let is_delivered = self.merchant.book.is_delivered(&id);
        let is_undone = fates.iter().all(|fate| fate.rival == Standing::Confirmed);
        let outcome = match (is_delivered, is_undone) {
            (false, _) => Outcome::Undelivered,
            (true, true) => Outcome::Undone,
            (true, false) if gave_up => Outcome::GaveUp,
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
            timeline: self.timeline,
        }
    }
}

/// How often a state is looked at.
const POLL: Duration = Duration::from_millis(50);
