//! Blocks: the active chain, the tree with its branches, one block.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use synod_ledger::Height;

use crate::api::error::Failure;
use crate::api::extract::{Asked, Named};
use crate::api::lookup::Located;
use crate::api::types::{BlockInfo, BlockRef, BlockSummary, ChainQuery, ErrorBody, TreeNode, TreeQuery};
use crate::api::{Api, remote, views};
use crate::handle::{Kept, View};

/// The active chain's blocks in short, newest first. Ask on with `before` set to the last one's height.
#[utoipa::path(
    get,
    path = "/v1/chain",
    tag = "chain",
    params(ChainQuery),
    responses(
        (status = 200, description = "Newest first", body = Vec<BlockSummary>),
        (status = 400, description = "A query that cannot be read", body = ErrorBody),
        (status = 409, description = "It keeps headers alone: `light`", body = ErrorBody),
        (status = 503, description = "The node is stopping", body = ErrorBody)
    )
)]
pub(in crate::api) async fn chain(
    State(api): State<Api>,
    Asked(query): Asked<ChainQuery>,
) -> Result<Json<Vec<BlockSummary>>, Failure> {
    let limit = query.limit.unwrap_or(CHAIN_DEFAULT).min(CHAIN_MAX) as usize;
    let before = query.before.map(Height);
    let question = move |view: &View<'_>| match view.kept {
        Kept::Full(_) => Ok((Located::newest(view, before, limit), view.chain.clone())),
        Kept::Light(_) => Err(Failure::light("what is in blocks before it reads them one by one")
            .hint("ask a full peer; /v1/tree has the headers, and /v1/blocks/ID reads one block of others")),
    };
    let (blocks, chain) = api.handle.query(question).await??;
    let archive = api.handle.archive();
    let summaries = api.scan(move || {
        let summary = |place: &Located| {
            let block = place.body(&*archive)?.ok_or_else(Failure::unsettled)?;
            Ok(views::block_summary(chain.genesis(), &block))
        };
        blocks.iter().map(summary).collect()
    });
    Ok(Json(summaries.await?))
}

/// All branches of the last heights, highest first.
#[utoipa::path(
    get,
    path = "/v1/tree",
    tag = "chain",
    params(TreeQuery),
    responses(
        (status = 200, description = "Highest first", body = Vec<TreeNode>),
        (status = 400, description = "A query that cannot be read", body = ErrorBody),
        (status = 503, description = "The node is stopping", body = ErrorBody)
    )
)]
pub(in crate::api) async fn tree(
    State(api): State<Api>,
    Asked(query): Asked<TreeQuery>,
) -> Result<Json<Vec<TreeNode>>, Failure> {
    let depth = query.depth.unwrap_or(TREE_DEFAULT).min(TREE_MAX);
    Ok(Json(api.handle.query(move |view| views::tree(view, u64::from(depth))).await?))
}

/// A whole block, by its id on whatever branch, or by its height on the active chain.
#[utoipa::path(
    get,
    path = "/v1/blocks/{block}",
    tag = "chain",
    params(("block" = String, Path, description = "Its id or its height")),
    responses(
        (status = 200, description = "The block", body = BlockInfo),
        (status = 400, description = "Neither an id nor a height", body = ErrorBody),
        (status = 404, description = "No such block: `unknown_block`; or it keeps headers alone, and nobody gave it: `unread`", body = ErrorBody),
        (status = 409, description = "It keeps headers alone and has no table to find blocks by: `no_overlay`", body = ErrorBody),
        (status = 503, description = "The node is stopping", body = ErrorBody)
    )
)]
pub(in crate::api) async fn block(
    State(api): State<Api>,
    Named(wanted): Named<BlockRef>,
) -> Result<Json<BlockInfo>, Failure> {
    let question =
        move |view: &View<'_>| (Located::find(view, wanted), view.chain.clone(), matches!(view.kept, Kept::Light(_)));
    let (place, chain, is_light) = api.handle.query(question).await?;
    let unknown = move || {
        Failure::new(StatusCode::NOT_FOUND, "unknown_block", format!("this peer has no block {wanted}"))
            .hint("it may be higher than this peer's chain, or only its header may be known")
    };
    let place = place.ok_or_else(unknown)?;
    if is_light && place.height > Height::GENESIS {
        let (block, proven) = remote::block(&api, place.id).await?;
        return Ok(Json(views::block_info(chain.genesis(), &block, proven.confirmations)));
    }
    let archive = api.handle.archive();
    let info = api.read(move || {
        let block = place.body(&*archive)?.ok_or_else(unknown)?;
        Ok(views::block_info(chain.genesis(), &block, place.confirmations))
    });
    Ok(Json(info.await?))
}

/// A screen's worth.
const CHAIN_DEFAULT: u32 = 20;
/// Bodies are read for it, up to 4 MiB each.
const CHAIN_MAX: u32 = 200;
/// A screen's worth.
const TREE_DEFAULT: u32 = 20;
/// The engine walks over them between two steps, a microsecond each.
const TREE_MAX: u32 = 1_000;
