//! Follows the active chain, over reorganisations too, and says which payments each step confirms or takes back.

use std::sync::Arc;
use std::time::Duration;

use synod_ledger::{BlockId, TxId};
use synod_node::api::client::{Client, ClientError, Events};
use synod_node::api::types::{ApiEvent, BlockInfo, BlockRef};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Common;

/// One block more or less.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A block joined the active chain.
    Connected {
        /// Its payments.
        ids: Vec<TxId>,
        /// When it was seen.
        at: Instant,
    },
    /// A block left it.
    Disconnected {
        /// Its payments.
        ids: Vec<TxId>,
    },
}

/// The blocks that joined since the load began, lowest first, on top of `base`.
struct Followed {
    base: BlockId,
    blocks: Vec<(BlockId, Vec<TxId>)>,
}

/// Tells `listeners` every step until it is aborted. It changes to the next peer when one does not answer.
pub(super) async fn run(common: Arc<Common>, base: BlockId, listeners: Vec<mpsc::UnboundedSender<Arc<Step>>>) {
    let mut followed = Followed { base, blocks: Vec::new() };
    let mut place = 0;
    let mut news = None;
    loop {
        // Before it is asked for its tip, so that no tip comes in between.
        if news.is_none() {
            let asked = tokio::time::timeout(PATIENCE, common.targets[place].client.events()).await;
            news = asked.ok().and_then(Result::ok);
        }
        match followed.catch_up(&common.targets[place].client).await {
            Ok(steps) => {
                for step in steps.into_iter().map(Arc::new) {
                    for listener in &listeners {
                        // A client that is done does not listen any more.
                        let _ = listener.send(Arc::clone(&step));
                    }
                }
            }
            Err(_) => {
                place = (place + 1) % common.targets.len();
                news = None;
            }
        }
        let told = tokio::time::timeout(POLL, next_tip(&mut news)).await;
        if matches!(told, Ok(false)) {
            news = None;
            tokio::time::sleep(POLL).await;
        }
    }
}

/// Waits until the peer tells of a new tip. Says whether it will tell of others.
async fn next_tip(news: &mut Option<Events>) -> bool {
    let Some(events) = news else { return false };
    loop {
        match events.next().await {
            Ok(Some(ApiEvent::Tip { .. } | ApiEvent::Lagged { .. })) => return true,
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => return false,
        }
    }
}

/// How long a peer may take to begin to tell.
const PATIENCE: Duration = Duration::from_secs(1);
/// Whoever tells of no tips is asked for them so often, and whoever tells of them no less: nothing depends on being told.
const POLL: Duration = Duration::from_millis(100);
/// So far below the block where the load began a reorganisation is followed; a longer one is another chain.
const BELOW_BASE_MAX: usize = 1_000;

impl Followed {
    fn tip(&self) -> BlockId {
        self.blocks.last().map_or(self.base, |(id, _)| *id)
    }

    fn place(&self, id: &BlockId) -> Option<usize> {
        if *id == self.base {
            return Some(0);
        }
        self.blocks.iter().rposition(|(known, _)| known == id).map(|place| place + 1)
    }

    async fn catch_up(&mut self, client: &Client) -> Result<Vec<Step>, ClientError> {
        let tip = client.status().await?.tip;
        if tip == self.tip() {
            return Ok(Vec::new());
        }
        // From the new tip down to a block that is known.
        let mut fresh: Vec<BlockInfo> = Vec::new();
        let mut next = tip;
        let keep = loop {
            if let Some(place) = self.place(&next) {
                break place;
            }
            let block = client.block(BlockRef::Id(next)).await?;
            let is_lowest = block.summary.height.0 == 0 || fresh.len() > self.blocks.len() + BELOW_BASE_MAX;
            next = block.summary.parent;
            fresh.push(block);
            if is_lowest {
                self.base = next;
                break 0;
            }
        };
        let mut steps: Vec<Step> = Vec::new();
        for (_, ids) in self.blocks.drain(keep..).rev() {
            steps.push(Step::Disconnected { ids });
        }
        let at = Instant::now();
        for block in fresh.into_iter().rev() {
            let ids: Vec<TxId> = block.transactions.iter().map(|tx| tx.id).collect();
            self.blocks.push((block.summary.id, ids.clone()));
            steps.push(Step::Connected { ids, at });
        }
        Ok(steps)
    }
}
