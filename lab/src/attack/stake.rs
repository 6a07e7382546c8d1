//! Nothing at stake: a peer mints on every branch with its stake, since that costs it nothing (Buterin 2014, "Slasher"). Where a
//! slasher is part of the rules, two headers that it signed are evidence, and its stake is gone.

use std::time::{Duration, Instant};

use serde::Serialize;
use synod_ledger::{Amount, Height};
use synod_node::api::types::{BlockRef, ChainQuery, EvidenceInfo};
use synod_node::config::MULTI_MINTER;

use super::arena::Arena;
use super::report::{Moment, Story};
use crate::LabError;
use crate::settings::Consensus;

/// How often a state is looked at.
const POLL: Duration = Duration::from_millis(200);

/// What came of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NothingAtStake {
    /// The attack's name.
    pub attack: &'static str,
    /// The network's directory.
    pub dir: String,
    /// The chain's id.
    pub chain_id: String,
    /// The peer that mints on every branch.
    pub peer: String,
    /// What it had at stake, in units.
    pub stake: Amount,
    /// Its share of all stake.
    pub share: f64,
    /// Whether all others took its stake.
    pub lost: bool,
    /// The height of the block that took it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost_at: Option<Height>,
    /// What that block keeps as evidence: two headers that the peer signed.
    pub evidence: Vec<EvidenceInfo>,
    /// Blocks that were made meanwhile, 1,000 at most.
    pub blocks: u64,
    /// Those of them that pay the peer.
    pub minted: u64,
    /// What happened.
    pub timeline: Vec<Moment>,
}

/// Turns a peer, waits until its stake is gone or `span` is over, and turns it back.
pub async fn mint_everywhere(
    mut arena: Arena,
    place: usize,
    span: Duration,
    stop: impl Future<Output = ()>,
) -> Result<NothingAtStake, LabError> {
    let settings = arena.network.manifest().settings.clone();
    if settings.consensus != Consensus::Pos {
        let message = "only stakes can be minted with: make a chain with `synod up --consensus pos`".to_owned();
        return Err(LabError::Usage { message });
    }
    if place == arena.at {
        let message = format!("{} looks on: choose another --peer", arena.name(place));
        return Err(LabError::Usage { message });
    }
    let _lock = arena.lock()?;
    let before = standing(&arena, place).await?;
    if before.0 == Amount::ZERO {
        let message = format!("{} has nothing at stake: choose another --minter", arena.name(place));
        return Err(LabError::Usage { message });
    }
    let mut story = Story::begin();
    let first = arena.status(arena.at).await?.height;
    let minting = async |arena: &mut Arena| {
        let name = arena.name(place);
        story.note(format!("{name} mints on every branch with {} coins of {}", before.0, before.1));
        wait_lost(arena, place, first, span).await
    };
    let lost_at = arena.while_turned(&[place], MULTI_MINTER, minting, stop).await?;
    match lost_at {
        Some(height) => story.note(format!("its stake is gone at every other peer, by block {height}")),
        None => story.note("its stake is there still"),
    }
    let evidence = match lost_at {
        Some(height) => evidence(&arena, place, height).await?,
        None => Vec::new(),
    };
    let (blocks, minted) = minted(&arena, place, first).await?;
    Ok(NothingAtStake {
        attack: "nothing-at-stake",
        dir: arena.network.dir().display().to_string(),
        chain_id: arena.network.manifest().chain_id.clone(),
        peer: arena.name(place).to_owned(),
        stake: before.0,
        share: before.0.0 as f64 / (before.1.0 as f64).max(1.0),
        lost: lost_at.is_some(),
        lost_at,
        evidence,
        blocks,
        minted,
        timeline: story.timeline,
    })
}

/// What the block of that height takes the peer's stake for.
async fn evidence(arena: &Arena, place: usize, height: Height) -> Result<Vec<EvidenceInfo>, LabError> {
    let block = arena.client(arena.at).block(BlockRef::Height(height)).await;
    let block = block.map_err(|error| LabError::api(arena.name(arena.at), error))?;
    let owner = arena.network.peers()[place].miner;
    Ok(block.evidence.into_iter().filter(|evidence| evidence.owner == owner).collect())
}

/// Blocks above a height, and those of them that pay the peer.
async fn minted(arena: &Arena, place: usize, first: Height) -> Result<(u64, u64), LabError> {
    let address = arena.network.peers()[place].miner;
    let (mut blocks, mut paying, mut before) = (0, 0, None);
    loop {
        let query = ChainQuery { before, limit: Some(PAGE) };
        let page = arena.client(arena.at).chain(query).await;
        let page = page.map_err(|error| LabError::api(arena.name(arena.at), error))?;
        let above: Vec<_> = page.iter().filter(|block| block.height > first).collect();
        blocks += above.len() as u64;
        paying += above.iter().filter(|block| block.miner == Some(address)).count() as u64;
        before = page.last().map(|block| block.height.0);
        if above.len() < PAGE as usize || blocks >= BLOCKS_MAX {
            return Ok((blocks, paying));
        }
    }
}

/// Blocks that are asked for at a time.
const PAGE: u32 = 200;
/// Blocks that are looked back on.
const BLOCKS_MAX: u64 = 1_000;

/// The peer's stake and all stake there is, as the onlooker sees them.
async fn standing(arena: &Arena, place: usize) -> Result<(Amount, Amount), LabError> {
    let stake = arena.stake(place).await?;
    Ok(stake.map_or((Amount::ZERO, Amount::ZERO), |stake| (stake.locked, stake.total)))
}

/// Waits until every other peer says that the stake was lost above a height, and gives where.
async fn wait_lost(arena: &Arena, place: usize, first: Height, span: Duration) -> Result<Option<Height>, LabError> {
    let begun = Instant::now();
    let others: Vec<usize> = arena.full.iter().copied().filter(|other| *other != place).collect();
    while begun.elapsed() < span {
        let mut lost = Vec::new();
        for &witness in &others {
            let lost_at = arena.stake_seen_by(witness, place).await?.and_then(|stake| stake.lost_at);
            lost.push(lost_at.filter(|height| *height > first));
        }
        if lost.iter().all(Option::is_some) {
            return Ok(lost.into_iter().flatten().min());
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(None)
}
