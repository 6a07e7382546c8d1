//! Payments: submit them, look them up, see who owns what and what waits.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use synod_ledger::{Address, Tx, TxError, TxId};
use synod_machine::wire;

use crate::api::error::Failure;
use crate::api::extract::{Asked, Body, Named};
use crate::api::types::{
    AddressInfo, AddressQuery, BatchOutcome, BatchRequest, ErrorBody, MempoolInfo, MempoolQuery, SubmitRequest,
    Submitted, TransactionInfo,
};
use crate::api::{Api, hex, lookup, views};
use crate::handle::{Kept, SubmitError, View};

/// Hands a payment in. The answer 202 is given when it is on this peer's disk, and again for the same payment.
#[utoipa::path(
    post,
    path = "/v1/transactions",
    tag = "transactions",
    request_body = SubmitRequest,
    responses(
        (status = 202, description = "On this peer's disk", body = Submitted),
        (status = 400, description = "No JSON", body = ErrorBody),
        (status = 409, description = "Contradicts this peer's present state: `tx_conflict`, …", body = ErrorBody),
        (status = 413, description = "Too long", body = ErrorBody),
        (status = 415, description = "Not sent as JSON", body = ErrorBody),
        (status = 422, description = "Not a payment, or not a valid one: `malformed`, `tx_signature`, …", body = ErrorBody),
        (status = 429, description = "Too many acknowledged payments wait for confirmation", body = ErrorBody),
        (status = 503, description = "Loading, stopping, or stopped in between: `unknown_result`", body = ErrorBody)
    )
)]
pub(in crate::api) async fn submit(
    State(api): State<Api>,
    Body(request): Body<SubmitRequest>,
) -> Result<(StatusCode, Json<Submitted>), Failure> {
    let result = async {
        let tx = decode(&request.transaction)?;
        let id = tx.id();
        let result = api.handle.submit(tx).await;
        settle(&api, id, result).await
    };
    let result = result.await;
    count(&api, &result);
    Ok((StatusCode::ACCEPTED, Json(Submitted { id: result? })))
}

/// Hands many payments in, in order. The answer has one element per payment: `{"id"}` or `{"error"}`.
#[utoipa::path(
    post,
    path = "/v1/transactions/batch",
    tag = "transactions",
    request_body = BatchRequest,
    responses(
        (status = 200, description = "What became of each", body = Vec<BatchOutcome>),
        (status = 400, description = "No JSON", body = ErrorBody),
        (status = 413, description = "Too long", body = ErrorBody),
        (status = 415, description = "Not sent as JSON", body = ErrorBody),
        (status = 422, description = "Not a list of texts, or too many", body = ErrorBody)
    )
)]
pub(in crate::api) async fn submit_batch(
    State(api): State<Api>,
    Body(request): Body<BatchRequest>,
) -> Result<Json<Vec<BatchOutcome>>, Failure> {
    let got = request.transactions.len();
    if got > BATCH_MAX {
        let message = format!("{got} payments, at most {BATCH_MAX} allowed");
        return Err(Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "batch_too_large", message));
    }
    let decoded = api.read(move || Ok(request.transactions.iter().map(|text| decode(text)).collect::<Vec<_>>()));
    let decoded = decoded.await?;
    let txs = decoded.iter().filter_map(|tx| tx.as_ref().ok()).cloned().collect();
    let mut submitted = api.handle.submit_all(txs).await.into_iter();
    let mut outcomes = Vec::with_capacity(decoded.len());
    for tx in decoded {
        let result = match tx {
            Ok(tx) => settle(&api, tx.id(), submitted.next().expect("each payment has one result")).await,
            Err(failure) => Err(failure),
        };
        count(&api, &result);
        outcomes.push(match result {
            Ok(id) => BatchOutcome::Accepted(Submitted { id }),
            Err(failure) => BatchOutcome::Refused(failure.into_body()),
        });
    }
    Ok(Json(outcomes))
}

/// A payment or a coinbase: where it stands, its content, the proof that it is in its block.
#[utoipa::path(
    get,
    path = "/v1/transactions/{id}",
    tag = "transactions",
    params(("id" = String, Path, description = "The transaction's id")),
    responses(
        (status = 200, description = "The transaction", body = TransactionInfo),
        (status = 400, description = "Not an id", body = ErrorBody),
        (status = 404, description = "No such transaction: `unknown_transaction`; or it keeps headers alone, and nobody gave it: `unread`", body = ErrorBody),
        (status = 409, description = "It keeps headers alone and has no table to find transactions by: `no_overlay`", body = ErrorBody),
        (status = 503, description = "Stopping, or `unsettled` for now", body = ErrorBody)
    )
)]
pub(in crate::api) async fn transaction(
    State(api): State<Api>,
    Named(id): Named<TxId>,
) -> Result<Json<TransactionInfo>, Failure> {
    let info = lookup::transaction(&api, id).await?;
    info.map(Json).ok_or_else(|| {
        Failure::new(StatusCode::NOT_FOUND, "unknown_transaction", format!("this peer has no transaction {id}"))
            .hint("it may not have come here yet")
    })
}

/// What an address owns. Any address may be asked for; one that was never paid owns nothing.
#[utoipa::path(
    get,
    path = "/v1/addresses/{address}",
    tag = "transactions",
    params(("address" = String, Path, description = "The address, `syn1…`"), AddressQuery),
    responses(
        (status = 200, description = "Balance and coins", body = AddressInfo),
        (status = 400, description = "Not an address", body = ErrorBody),
        (status = 409, description = "It keeps headers alone: `light`", body = ErrorBody),
        (status = 503, description = "The node is stopping", body = ErrorBody)
    )
)]
pub(in crate::api) async fn address(
    State(api): State<Api>,
    Named(address): Named<Address>,
    Asked(query): Asked<AddressQuery>,
) -> Result<Json<AddressInfo>, Failure> {
    let coins_max = query.coins.unwrap_or(LIST_DEFAULT).min(LIST_MAX) as usize;
    // The scan over all coins runs elsewhere, on a clone that shares the coins and on shared payments.
    let question = |view: &View<'_>| {
        let Kept::Full(full) = &view.kept else { return Err(Failure::light("who owns what")) };
        let pending: Vec<Tx> = full.mempool.iter().cloned().collect();
        Ok((full.state.clone(), view.chain.clone(), pending))
    };
    let (state, chain, pending) = api.handle.query(question).await??;
    let info = api.scan(move || Ok(views::address(&state, chain.rules(), &pending, address, coins_max)));
    Ok(Json(info.await?))
}

/// The payments that wait for confirmation, highest fee rate first, and the double spends that were seen.
#[utoipa::path(
    get,
    path = "/v1/mempool",
    tag = "transactions",
    params(MempoolQuery),
    responses(
        (status = 200, description = "The mempool", body = MempoolInfo),
        (status = 400, description = "A query that cannot be read", body = ErrorBody),
        (status = 409, description = "It keeps headers alone: `light`", body = ErrorBody),
        (status = 503, description = "The node is stopping", body = ErrorBody)
    )
)]
pub(in crate::api) async fn mempool(
    State(api): State<Api>,
    Asked(query): Asked<MempoolQuery>,
) -> Result<Json<MempoolInfo>, Failure> {
    let limit = query.limit.unwrap_or(LIST_DEFAULT).min(LIST_MAX) as usize;
    let question = move |view: &View<'_>| match &view.kept {
        Kept::Full(full) => Ok(views::mempool(full.mempool, view.chain, limit)),
        Kept::Light(_) => Err(Failure::light("which payments wait")),
    };
    Ok(Json(api.handle.query(question).await??))
}

fn decode(text: &str) -> Result<Tx, Failure> {
    let bytes = hex::decode(text).ok_or_else(|| {
        let message = "`transaction` is not the hexadecimal text of bytes";
        Failure::new(StatusCode::UNPROCESSABLE_ENTITY, synod_machine::Reject::Malformed.name(), message)
    })?;
    Ok(wire::decode(&bytes)?)
}

/// A payment that has been confirmed meanwhile is refused by the mempool, since its coins are spent: by itself. Whoever
/// hands it in again is to hear that it is safe.
async fn settle(api: &Api, id: TxId, result: Result<TxId, SubmitError>) -> Result<TxId, Failure> {
    let spent_elsewhere = |error: &SubmitError| {
        use synod_consensus::SubmitError as Refusal;
        matches!(error, SubmitError::Refused(Refusal::Tx(TxError::Conflict { .. } | TxError::MissingCoin { .. })))
    };
    match result {
        Err(error) if spent_elsewhere(&error) => {
            if lookup::is_confirmed(api, id).await? {
                Ok(id)
            } else {
                Err(error.into())
            }
        }
        Ok(id) => Ok(id),
        Err(error) => Err(error.into()),
    }
}

fn count(api: &Api, result: &Result<TxId, Failure>) {
    let result = result.as_ref().map_or_else(Failure::code, |_| "accepted");
    api.submits.get_or_create(&[("result", result.to_owned())]).inc();
}

/// Payments in one batch.
const BATCH_MAX: usize = 1_000;
/// A screen or two.
const LIST_DEFAULT: u32 = 100;
/// A few megabytes of JSON.
const LIST_MAX: u32 = 10_000;
