//! Finding blocks and transactions: what the engine knows of them, then their bodies, from memory or from disk.
//!
//! The index of transactions on disk may lag behind the engine by what is being written, and the engine may be in the middle of a
//! reorganisation. Neither may make a transaction seem lost, so a lookup also reads the last blocks in memory, and a
//! transaction is called unknown only when the ledger's state is settled.

use std::time::Duration;

use synod_consensus::Fate;
use synod_ledger::{Amount, Block, BlockId, Height, Node, Seal, Tx, TxId};

use super::error::Failure;
use super::types::{BlockRef, TransactionInfo, TransactionStatus};
use super::{Api, remote, views};
use crate::handle::{Archive, Full, Kept, View};

/// A block that the tree knows.
#[derive(Clone, Debug)]
pub(super) struct Located {
    pub(super) id: BlockId,
    pub(super) height: Height,
    /// Zero where it is not on the active chain.
    pub(super) confirmations: u64,
    recent: Option<Block>,
}

impl Located {
    fn by_id(view: &View<'_>, id: BlockId) -> Option<Self> {
        let height = view.tree.get(&id)?.height();
        let tip = view.height();
        let active = height <= tip && view.tree.ancestor(&view.tip(), height).is_some_and(|node| node.id() == id);
        let confirmations = if active { tip.0 - height.0 + 1 } else { 0 };
        Some(Self { id, height, confirmations, recent: view.recent_block(&id) })
    }

    /// The block that `wanted` names, if there is one.
    pub(super) fn find(view: &View<'_>, wanted: BlockRef) -> Option<Self> {
        match wanted {
            BlockRef::Height(height) if height <= view.height() => {
                Self::by_id(view, view.tree.ancestor(&view.tip(), height)?.id())
            }
            BlockRef::Height(_) => None,
            BlockRef::Id(id) => Self::by_id(view, id),
        }
    }

    /// The active chain's blocks below `before`, newest first.
    pub(super) fn newest(view: &View<'_>, before: Option<Height>, limit: usize) -> Vec<Self> {
        let (tip, top) = (view.tip(), view.height());
        let first = match before {
            Some(Height(0)) => None,
            Some(Height(height)) if height <= top.0 => view.tree.ancestor(&tip, Height(height - 1)).map(Node::id),
            Some(_) | None => Some(tip),
        };
        let ids = first.into_iter().flat_map(|first| views::active_from(view, first)).take(limit);
        let located = ids.filter_map(|id| {
            let height = view.tree.get(&id)?.height();
            let recent = view.recent_block(&id);
            Some(Self { id, height, confirmations: top.0 - height.0 + 1, recent })
        });
        located.collect()
    }

    /// The block itself. May read the disk.
    pub(super) fn body(&self, archive: &dyn Archive) -> Result<Option<Block>, Failure> {
        match &self.recent {
            Some(block) => Ok(Some(block.clone())),
            None => Ok(archive.block(&self.id)?),
        }
    }
}

/// What the engine knows of a transaction.
#[derive(Clone, Debug)]
enum Found {
    Conflicted(Tx),
    InBlock { block: Located, index: u32 },
    Pending { tx: Tx, fee: Option<Amount> },
}

/// What is to be known of a transaction. `Ok(None)`: this peer knows no such transaction.
pub(super) async fn transaction(api: &Api, id: TxId) -> Result<Option<TransactionInfo>, Failure> {
    for _ in 0..ATTEMPTS_MAX {
        let archive = api.handle.archive();
        let (indexed, promised) = api.read(move || Ok((archive.tx_blocks(&id)?, archive.payment(&id)?))).await?;
        let question = move |view: &View<'_>| match &view.kept {
            Kept::Full(full) => {
                let replies = full.recent.answer(&id).map(|answer| views::replies(view.chain, &answer));
                Some((find(view, full, id, &indexed), full.recent.fate(&id), view.settled, replies))
            }
            Kept::Light(_) => None,
        };
        let Some((found, fate, settled, replies)) = api.handle.query(question).await? else {
            return remote::transaction(api, id).await.map(Some);
        };
        // What this peer acknowledged is never unknown to it.
        let found = found.or_else(|| match (fate?, promised?) {
            (Fate::Conflicted(_), tx) => Some(Found::Conflicted(tx)),
            (Fate::Open, tx) => Some(Found::Pending { tx, fee: None }),
            (Fate::Confirmed(_), _) => None,
        });
        // It is in a block whose commit is still under way, and which is not in memory any more.
        let settled = settled && !(found.is_none() && matches!(fate, Some(Fate::Confirmed(_))));
        match found {
            Some(Found::Pending { tx, fee }) => return Ok(Some(TransactionInfo { replies, ..pending(&tx, fee) })),
            Some(Found::InBlock { block, index }) if settled || block.confirmations > 0 => {
                let archive = api.handle.archive();
                if let Some(info) = api.read(move || in_block(&*archive, &block, id, index)).await? {
                    return Ok(Some(TransactionInfo { replies, ..info }));
                }
                // Its commit is still under way.
            }
            Some(Found::Conflicted(tx)) if settled => return Ok(Some(conflicted(&tx))),
            None if settled => return Ok(None),
            Some(Found::Conflicted(_) | Found::InBlock { .. }) | None => {}
        }
        tokio::time::sleep(ATTEMPT_EVERY).await;
    }
    Err(Failure::unsettled())
}

/// Whether the transaction is confirmed, in a block that is on this peer's disk.
pub(super) async fn is_confirmed(api: &Api, id: TxId) -> Result<bool, Failure> {
    for _ in 0..ATTEMPTS_MAX {
        let found = transaction(api, id).await?.filter(|info| info.status == TransactionStatus::Confirmed);
        let Some(block) = found.and_then(|info| info.block) else { return Ok(false) };
        let archive = api.handle.archive();
        let indexed = api.read(move || Ok(archive.tx_blocks(&id)?)).await?;
        if indexed.iter().any(|(durable, _)| *durable == block) {
            return Ok(true);
        }
        tokio::time::sleep(ATTEMPT_EVERY).await;
    }
    Err(Failure::unsettled())
}

/// `indexed`: the blocks, on whatever branch, that the disk's index names.
fn find(view: &View<'_>, full: &Full<'_>, id: TxId, indexed: &[(BlockId, u32)]) -> Option<Found> {
    let indexed = indexed.iter().filter_map(|(block, index)| Some((Located::by_id(view, *block)?, *index)));
    let mut inactive = None;
    for (block, index) in indexed {
        if block.confirmations > 0 {
            return Some(Found::InBlock { block, index });
        }
        inactive = Some(Found::InBlock { block, index });
    }
    if let Some(tx) = full.mempool.get(&id) {
        return Some(Found::Pending { tx: tx.clone(), fee: full.mempool.fee(&id) });
    }
    for block in Located::newest(view, None, RECENT_BLOCKS) {
        let index = block.recent.as_ref().and_then(|block| index_in(block, id));
        if let Some(index) = index {
            return Some(Found::InBlock { block, index });
        }
    }
    let seen = full.mempool.conflicts().map(|conflict| &conflict.seen).find(|seen| seen.id() == id);
    inactive.or_else(|| seen.map(|tx| Found::Conflicted(tx.clone())))
}

fn index_in(block: &Block, id: TxId) -> Option<u32> {
    if block.coinbase().id() == id {
        return Some(0);
    }
    (1..).zip(block.payments()).find(|(_, tx)| tx.id() == id).map(|(index, _)| index)
}

fn pending(tx: &Tx, fee: Option<Amount>) -> TransactionInfo {
    TransactionInfo { status: TransactionStatus::Pending, fee, ..conflicted(tx) }
}

pub(super) fn conflicted(tx: &Tx) -> TransactionInfo {
    TransactionInfo {
        id: tx.id(),
        status: TransactionStatus::Conflicted,
        confirmations: 0,
        is_final: false,
        replies: None,
        block: None,
        height: None,
        index: None,
        proof: None,
        payment: Some(views::payment(tx)),
        coinbase: None,
        fee: None,
        bytes: tx.len() as u64,
    }
}

/// `Ok(None)`: the block's body is not on disk yet.
fn in_block(archive: &dyn Archive, place: &Located, id: TxId, index: u32) -> Result<Option<TransactionInfo>, Failure> {
    let Some(block) = place.body(archive)? else { return Ok(None) };
    let mut info = match (index as usize).checked_sub(1) {
        None => TransactionInfo {
            id,
            payment: None,
            coinbase: Some(views::coinbase(block.coinbase())),
            bytes: synod_machine::wire::encoded_len(block.coinbase()) as u64,
            ..conflicted(&Tx::from(synod_ledger::Payment::default()))
        },
        Some(place) => match block.payments().get(place) {
            Some(tx) => conflicted(tx),
            None => return Ok(None),
        },
    };
    if place.confirmations == 0 {
        // On a branch that lost, and not back in the mempool: its coins are spent, or never were, on this one.
        return Ok(Some(info));
    }
    info.status = TransactionStatus::Confirmed;
    info.confirmations = place.confirmations;
    info.is_final = matches!(block.header().seal, Seal::Agreed { .. });
    info.block = Some(place.id);
    info.height = Some(place.height);
    info.index = Some(index);
    info.proof = views::proof(&block, index);
    if index > 0 {
        info.fee = archive.undo(&place.id)?.and_then(|undo| views::fee(&block, &undo, index));
    }
    Ok(Some(info))
}

/// The index on disk lags behind by what is being written and by what waits for that; this is what memory holds.
const RECENT_BLOCKS: usize = 64;

/// How long a lookup waits for the engine to settle: [`ATTEMPTS_MAX`] times this, about a second.
const ATTEMPT_EVERY: Duration = Duration::from_millis(20);
const ATTEMPTS_MAX: usize = if cfg!(test) { 5 } else { 50 };
