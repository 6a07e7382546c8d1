//! `GET /openapi.json`: the document that describes the API, made from the handlers and the types.

use std::sync::LazyLock;

use axum::Json;
use utoipa::OpenApi;

use super::routes::{chain, discovery, faults, node, transactions};
use super::{events, openapi, types};

/// The API's OpenAPI document.
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "node",
    responses((status = 200, description = "This document", body = Object))
)]
pub(super) async fn openapi() -> Json<&'static utoipa::openapi::OpenApi> {
    Json(&DOCUMENT)
}

pub(super) static DOCUMENT: LazyLock<utoipa::openapi::OpenApi> = LazyLock::new(Document::openapi);

#[derive(OpenApi)]
#[openapi(
    info(
        title = "synod node",
        description = "One peer of a synod network. Amounts are whole units (100,000,000 are one coin), hashes and keys \
            lower-case hexadecimal, addresses bech32m text, times milliseconds since the Unix epoch. Every error is \
            `{\"error\": {\"code\", \"message\", \"hint\"?}}`."
    ),
    paths(
        chain::block,
        chain::chain,
        chain::tree,
        discovery::add_item,
        discovery::fetch,
        discovery::find,
        discovery::item,
        discovery::items,
        discovery::lookup,
        discovery::overlays,
        discovery::remove_item,
        events::events,
        faults::faults,
        faults::set_faults,
        node::health,
        node::metrics,
        node::peers,
        node::status,
        openapi::openapi,
        transactions::address,
        transactions::mempool,
        transactions::submit,
        transactions::submit_batch,
        transactions::transaction,
    ),
    components(schemas(types::ErrorBody))
)]
struct Document;
