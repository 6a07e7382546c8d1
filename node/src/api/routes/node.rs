//! The node itself: health, status, peers, metrics.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;

use crate::api::error::Failure;
use crate::api::types::{ConnectedPeer, ErrorBody, Health, Status};
use crate::api::{Api, views};
use crate::metrics::{self, Snapshot};

/// Whether the node answers.
#[utoipa::path(
    get,
    path = "/health",
    tag = "node",
    responses(
        (status = 200, description = "It does", body = Health),
        (status = 503, description = "It is stopping", body = ErrorBody)
    )
)]
pub(in crate::api) async fn health(State(api): State<Api>) -> Result<Json<Health>, Failure> {
    let settled = api.handle.query(|view| view.settled).await?;
    Ok(Json(Health { ok: true, settled }))
}

/// What this peer is and where it stands.
#[utoipa::path(
    get,
    path = "/v1/status",
    tag = "node",
    responses(
        (status = 200, description = "The status", body = Status),
        (status = 503, description = "The node is stopping", body = ErrorBody)
    )
)]
pub(in crate::api) async fn status(State(api): State<Api>) -> Result<Json<Status>, Failure> {
    Ok(Json(api.handle.query(views::status).await?))
}

/// The connected peers.
#[utoipa::path(
    get,
    path = "/v1/peers",
    tag = "node",
    responses(
        (status = 200, description = "In the order of their ids", body = Vec<ConnectedPeer>),
        (status = 503, description = "The node is stopping", body = ErrorBody)
    )
)]
pub(in crate::api) async fn peers(State(api): State<Api>) -> Result<Json<Vec<ConnectedPeer>>, Failure> {
    Ok(Json(api.handle.query(views::peers).await?))
}

/// The node's metrics in Prometheus's text form.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "node",
    responses(
        (
            status = 200,
            description = "OpenMetrics text",
            body = String,
            content_type = "application/openmetrics-text"
        ),
        (status = 503, description = "The node is stopping", body = ErrorBody)
    )
)]
pub(in crate::api) async fn metrics(State(api): State<Api>) -> Result<impl IntoResponse, Failure> {
    let snapshot = api.handle.query(Snapshot::take).await?;
    let archive = api.handle.archive();
    let sizes = api.read(move || Ok(archive.sizes()?)).await?;
    let page = metrics::encode(&api.registry, &api.submits, snapshot, sizes).map_err(|_| {
        Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "metrics", "a metric cannot be written as text")
    })?;
    Ok(([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], page))
}
