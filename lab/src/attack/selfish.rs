//! Selfish mining (Eyal and Sirer 2014, Algorithm 1): a node of the attacker's keeps the blocks back that it finds and publishes them
//! when that costs others most, so that it is paid more than its share of the hash power.
//!
//! The node decides by itself ([`SELFISH_MINER`]); here it is started, watched and ended, and the main chain's coinbases are counted.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use serde::Serialize;
use synod_ledger::{BlockId, Height};
use synod_machine::Count;
use synod_node::api::types::{BlockRef, ChainQuery, NodeStatus, TreeQuery};
use synod_node::config::SELFISH_MINER;
use synod_scenario::attack::theory::selfish_revenue;
use synod_scenario::stats::{self, Interval};

use super::arena::{Arena, POLL, wait};
use super::miner::Miner;
use super::report::{Moment, Story};
use crate::LabError;
use crate::settings::Consensus;

/// What it is about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SelfishTerms {
    /// The attacker's share of all hash power, its own counted, above 0.
    pub share: f64,
    /// Blocks by which the main chain is to grow, [`BLOCKS_MAX`] at most.
    pub blocks: u64,
    /// How long that may take.
    pub limit: Duration,
    /// What a hash takes, in joules.
    pub joules_per_hash: f64,
}

/// The most blocks of an attack: twelve hours of blocks of a second.
pub const BLOCKS_MAX: u64 = 43_200;

/// What came of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SelfishMining {
    /// The attack's name.
    pub attack: &'static str,
    /// The network's directory.
    pub dir: String,
    /// The chain's id.
    pub chain_id: String,
    /// How many peers keep blocks.
    pub peers: usize,
    /// The attacker's share of all hash power, its own counted.
    pub alpha: f64,
    /// Its share of all hashes that were tried meanwhile.
    pub hash_share: f64,
    /// Whether the main chain grew by as many blocks as were asked for; if not, it was stopped, or took too long.
    pub is_complete: bool,
    /// Blocks of the main chain since the beginning that pay the attacker's address.
    pub own_main: u64,
    /// Those that pay others.
    pub others_main: u64,
    /// Blocks that the attacker found, on whatever branch.
    pub own_found: u64,
    /// Blocks that others found and the attacker's node heard of, on whatever branch.
    pub others_found: u64,
    /// The attacker's share of the main chain's blocks; 0 where there are none.
    pub revenue: f64,
    /// Where the long run's share lies with 95 per cent, by batch means: nothing where there are too few blocks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<Interval>,
    /// What an honest miner with this share is paid: α.
    pub fair: f64,
    /// What equation 8 says where none of the others mines on the attacker's block in a tie; with one half and more it is ahead for ever.
    pub expected_gamma_0: f64,
    /// The same where all do.
    pub expected_gamma_1: f64,
    /// Hashes of the attacker's node.
    pub hashes: u64,
    /// What they took, at the joules a hash that were stated.
    pub joules: f64,
    /// Messages that it sent.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What happened.
    pub timeline: Vec<Moment>,
}

/// Mines selfishly until the main chain has grown as the terms say, too long has gone by, or `stop`. `on_grown` hears by how many
/// blocks it has grown so far.
pub async fn mine_selfishly(
    arena: Arena,
    program: &Path,
    terms: SelfishTerms,
    stop: impl Future<Output = ()>,
    mut on_grown: impl FnMut(u64),
) -> Result<SelfishMining, LabError> {
    let settings = &arena.network.manifest().settings;
    if settings.consensus != Consensus::Pow {
        let message = "blocks are mined on chains of work alone: make one with `synod up --consensus pow`".to_owned();
        return Err(LabError::Usage { message });
    }
    if settings.hash_rate == 0 {
        let message = "nobody mines in this network: make one with a `--hash-rate` above 0".to_owned();
        return Err(LabError::Usage { message });
    }
    arena.check_honest()?;
    let _lock = arena.lock()?;
    let mut story = Story::begin();
    tokio::pin!(stop);
    let (miner, first) = tokio::select! {
        begun = begin(&arena, program, terms.share) => begun?,
        () = &mut stop => return Err(LabError::Interrupted),
    };
    let tried_before = others_hashes(&arena).await?;
    let hashes_before = miner.status().await?.hashes_total;
    story.note(format!("the attacker's node has joined at height {first} and keeps back what it finds"));
    let mut mine =
        Mine { arena: &arena, miner, first, hashes_before, tried_before, terms, known: BTreeMap::new(), story };
    let end = tokio::select! {
        end = mine.grow(&mut on_grown) => end?,
        () = &mut stop => End::Stopped,
    };
    let ended = mine.end(end, program).await?;
    mine.report(end, ended).await
}

/// Starts the attacker's node and waits until it has caught up. The height that it has then: blocks above count.
async fn begin(arena: &Arena, program: &Path, share: f64) -> Result<(Miner, Height), LabError> {
    let miner = Miner::start_as(Some(SELFISH_MINER), arena, program, arena.attacker(), share).await?;
    let mut first = Height::GENESIS;
    wait("the attacker's node to catch up", SETTLE_MAX, async || {
        let others = arena.status(arena.at).await?.height;
        first = miner.status().await?.height;
        Ok(first >= others)
    })
    .await?;
    Ok((miner, first))
}

/// Hashes that all peers tried since they started.
async fn others_hashes(arena: &Arena) -> Result<u64, LabError> {
    let statuses = try_join_all(arena.full.iter().map(|&place| arena.status(place))).await?;
    Ok(statuses.iter().map(|status| status.hashes_total).sum())
}

/// An attack while it goes on.
struct Mine<'a> {
    arena: &'a Arena,
    miner: Miner,
    /// Blocks above count.
    first: Height,
    /// Hashes of the attacker's node, and of all others, that do not count.
    hashes_before: u64,
    tried_before: u64,
    terms: SelfishTerms,
    /// All blocks that the attacker's node knows, and whether they pay the attacker.
    known: BTreeMap<BlockId, bool>,
    story: Story,
}

/// How it came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The main chain has grown, and everybody is on the attacker's tip.
    Even,
    /// The main chain has grown, and the attacker's tip is not that of all others.
    Grown,
    /// It took too long.
    Late,
    /// Somebody stopped it.
    Stopped,
}

/// What the attacker's node had done when it ended.
struct Ended {
    /// Up to here blocks count.
    last: Height,
    hashes: u64,
    others_hashes: u64,
    sent: Count,
}

impl Mine<'_> {
    /// Waits until the best chain that anybody knows has grown, and then for a moment when the attacker keeps nothing back, which is
    /// one of renewal. With one half of the hash power or more there may be none.
    async fn grow(&mut self, on_grown: &mut impl FnMut(u64)) -> Result<End, LabError> {
        let (begun, mut counted, mut told) = (Instant::now(), Instant::now(), 0);
        loop {
            let grown = self.miner.status().await?.height.0.saturating_sub(self.first.0);
            on_grown(grown.min(self.terms.blocks));
            if counted.elapsed() > COUNT_EVERY {
                self.count().await?;
                counted = Instant::now();
            }
            let part = TOLD.min(TOLD * grown / self.terms.blocks);
            if part > told {
                told = part;
                self.story.note(format!("the best chain has grown by {grown} blocks"));
            }
            let is_grown = grown >= self.terms.blocks;
            if is_grown && self.terms.share >= 0.5 {
                return Ok(End::Grown);
            }
            if is_grown && self.is_even().await? {
                // What it found until it rested it may keep back.
                self.miner.rest(true).await?;
                if self.is_even().await? {
                    return Ok(End::Even);
                }
                self.miner.rest(false).await?;
            }
            if begun.elapsed() > self.terms.limit {
                return Ok(if is_grown { End::Grown } else { End::Late });
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Whether everybody is on the attacker's tip.
    async fn is_even(&self) -> Result<bool, LabError> {
        let tip = self.miner.status().await?.tip;
        let statuses = try_join_all(self.arena.full.iter().map(|&place| self.arena.status(place))).await?;
        Ok(statuses.into_iter().all(|status| status.tip == tip))
    }

    /// Notes the blocks that are new to the attacker's node.
    async fn count(&mut self) -> Result<(), LabError> {
        let client = self.miner.client().clone();
        let tree = client.tree(TreeQuery { depth: Some(DEPTH) }).await.map_err(Miner::failed)?;
        let is_stored = |status| matches!(status, NodeStatus::Body | NodeStatus::Valid);
        let news = tree.into_iter().filter(|node| node.height > self.first && is_stored(node.status));
        for node in news {
            if !self.known.contains_key(&node.id) {
                let block = client.block(BlockRef::Id(node.id)).await.map_err(Miner::failed)?;
                self.known.insert(node.id, block.summary.miner == Some(self.arena.attacker()));
            }
        }
        Ok(())
    }

    /// Ends the attacker's node. What it kept back is published first, but where somebody stopped it.
    async fn end(&mut self, end: End, program: &Path) -> Result<Ended, LabError> {
        self.miner.rest(true).await?;
        let status = self.miner.status().await?;
        let others_hashes = others_hashes(self.arena).await?.saturating_sub(self.tried_before);
        let hashes = status.hashes_total.saturating_sub(self.hashes_before);
        let mut ended = Ended { last: status.height, hashes, others_hashes, sent: self.miner.sent().await? };
        // After the status: what is on the main chain up to there is among them.
        self.count().await?;
        let what = match end {
            End::Even => "all are on its tip: it ends",
            End::Grown => "it ends, and all that it kept back is published",
            End::Late => "it takes too long: it ends, and all that it kept back is published",
            End::Stopped => "it is stopped, and what it kept back is lost",
        };
        self.story.note(format!("height {}: {what}", status.height));
        if matches!(end, End::Grown | End::Late) {
            self.miner.come_clean(self.arena, program).await?;
            let sent = self.miner.sent().await?;
            ended.sent.messages += sent.messages;
            ended.sent.bytes += sent.bytes;
        }
        self.miner.end();
        self.arena.wait_one_tip(&[], SETTLE_MAX).await?;
        self.story.note("all peers are on one tip");
        Ok(ended)
    }

    /// Who is paid for each block of the main chain that counts, the lowest first.
    async fn paid(&self, last: Height) -> Result<Vec<bool>, LabError> {
        let (client, name) = (self.arena.client(self.arena.at), self.arena.name(self.arena.at));
        let (mut paid, mut before) = (Vec::new(), Some(last.0 + 1));
        loop {
            let page = client.chain(ChainQuery { before, limit: Some(PAGE) }).await;
            let page = page.map_err(|error| LabError::api(name, error))?;
            let counted = page.iter().take_while(|block| block.height > self.first);
            paid.extend(counted.map(|block| block.miner == Some(self.arena.attacker())));
            before = page.last().map(|block| block.height.0);
            if before.is_none_or(|lowest| lowest <= self.first.0 + 1) {
                paid.reverse();
                return Ok(paid);
            }
        }
    }

    async fn report(self, end: End, ended: Ended) -> Result<SelfishMining, LabError> {
        let paid = self.paid(ended.last).await?;
        let SelfishTerms { share, joules_per_hash, .. } = self.terms;
        let own_main = paid.iter().filter(|is_own| **is_own).count() as u64;
        let own_found = self.known.values().filter(|is_own| **is_own).count() as u64;
        let expected = |gamma| if share < 0.5 { selfish_revenue(share, gamma) } else { 1.0 };
        Ok(SelfishMining {
            attack: "selfish-mining",
            dir: self.arena.network.dir().display().to_string(),
            chain_id: self.arena.network.manifest().chain_id.clone(),
            peers: self.arena.full.len(),
            alpha: share,
            hash_share: ended.hashes as f64 / (ended.hashes + ended.others_hashes).max(1) as f64,
            is_complete: matches!(end, End::Even | End::Grown),
            own_main,
            others_main: paid.len() as u64 - own_main,
            own_found,
            others_found: self.known.len() as u64 - own_found,
            revenue: own_main as f64 / paid.len().max(1) as f64,
            interval: interval(&paid, share),
            fair: share,
            expected_gamma_0: expected(0.0),
            expected_gamma_1: expected(1.0),
            hashes: ended.hashes,
            joules: ended.hashes as f64 * joules_per_hash,
            messages: ended.sent.messages,
            bytes: ended.sent.bytes,
            timeline: self.story.timeline,
        })
    }
}

/// Student's interval of the mean of batches of blocks that follow each other: who is paid for a block depends on the blocks around
/// it, and hardly on those of another batch (batch means; Law 2015, "Simulation modeling and analysis", section 9.5.3).
///
/// The pool's lead is a walk that comes back to zero within some 1/(1 - 2α)² blocks. With batches of twice as many the interval holds
/// what equation 8 says in 94 of 100 cases or so; with one half of the hash power and more there is no coming back.
fn interval(paid: &[bool], alpha: f64) -> Option<Interval> {
    if alpha >= 0.5 {
        return None;
    }
    let batch_min = (2.0 / (1.0 - 2.0 * alpha).powi(2)).round();
    let batches = BATCHES_MAX.min((paid.len() as f64 / batch_min) as usize);
    if batches < BATCHES_MIN {
        return None;
    }
    let batch = paid.len() / batches;
    let share = |blocks: &[bool]| blocks.iter().filter(|is_own| **is_own).count() as f64 / batch as f64;
    let shares: Vec<f64> = paid.chunks_exact(batch).take(batches).map(share).collect();
    let Interval { low, high } = stats::mean(&shares, DOUBT);
    Some(Interval { low: low.max(0.0), high: high.min(1.0) })
}

/// With so much doubt an interval is stated.
const DOUBT: f64 = 0.05;
/// Batches of an interval at most; Law advises no more than a few tens.
const BATCHES_MAX: usize = 20;
/// Batches of an interval at least.
const BATCHES_MIN: usize = 10;
/// How many times it is told how far it is.
const TOLD: u64 = 4;
/// How often blocks are counted that are on no main chain any more.
const COUNT_EVERY: Duration = Duration::from_secs(1);
/// Heights that are looked back on: a lead, and what comes between two looks.
const DEPTH: u32 = 200;
/// Blocks that are asked for at a time.
const PAGE: u32 = 200;
/// How long it may take until all are on one tip again.
const SETTLE_MAX: Duration = Duration::from_secs(120);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_that_of_batch_means_and_there_is_none_of_a_few_blocks() {
        assert_eq!(interval(&[true; 79], 0.25), None);
        assert_eq!(interval(&[true; 10_000], 0.5), None, "it is ahead for ever");
        let ten = interval(&[true; 80], 0.25).expect("ten batches of eight");
        assert_eq!((ten.low, ten.high), (1.0, 1.0));
        assert_eq!((interval(&[true; 499], 0.4), interval(&[true; 500], 0.4).is_some()), (None, true));
        let same = interval(&[true, false].repeat(100), 0.25).expect("enough blocks");
        assert_eq!((same.low, same.high), (0.5, 0.5), "every batch has as many");
        // Ten batches of the attacker's blocks alone and ten without any: a mean of 0.5 and a deviation of 0.513, so that the half is
        // 2.093 times 0.1147 (Student's law of 19 degrees of freedom).
        let apart = interval(&[[true; 100], [false; 100]].concat(), 0.25).expect("enough blocks");
        assert!((apart.low - 0.2599).abs() < 1e-3 && (apart.high - 0.7401).abs() < 1e-3, "{apart:?}");
        let left_over = interval(&[[true; 160].as_slice(), &[false; 7]].concat(), 0.25).expect("enough blocks");
        assert_eq!((left_over.low, left_over.high), (1.0, 1.0), "what fills no batch is left out");
    }
}
