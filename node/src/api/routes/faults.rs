//! What is wrong with this peer, its links above all: shown, and set where the node's config allows it.

use std::collections::{BTreeMap, BTreeSet};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use crate::api::Api;
use crate::api::error::Failure;
use crate::api::extract::Body;
use crate::api::types::{ErrorBody, Faults, Shape};
use crate::handle::View;
use crate::net::{self, PeerId};

/// What is wrong with this peer.
#[utoipa::path(
    get,
    path = "/v1/faults",
    tag = "faults",
    responses(
        (status = 200, description = "Nothing, where it is empty", body = Faults),
        (status = 503, description = "The node is stopping", body = ErrorBody)
    )
)]
pub(in crate::api) async fn faults(State(api): State<Api>) -> Result<Json<Faults>, Failure> {
    Ok(Json(api.handle.query(|view| shown(&view.node.faults, view.node.resting)).await?))
}

/// Shapes and cuts this peer's links, and lets its miner rest. Replaces what was set before; an empty object heals everything.
#[utoipa::path(
    put,
    path = "/v1/faults",
    tag = "faults",
    request_body = Faults,
    responses(
        (status = 200, description = "What is wrong from now on", body = Faults),
        (status = 403, description = "The node's config does not allow it", body = ErrorBody),
        (status = 422, description = "No such peer id, a share above one, or a shape where there is no TCP", body = ErrorBody),
        (status = 503, description = "The node is stopping", body = ErrorBody)
    )
)]
pub(in crate::api) async fn set_faults(
    State(api): State<Api>,
    Body(wanted): Body<Faults>,
) -> Result<Json<Faults>, Failure> {
    let speaks_tcp = |view: &View<'_>| view.node.listen.iter().any(|address| address.contains("/tcp/"));
    let (allowed, has_tcp) = api.handle.query(move |view| (view.node.faults_allowed, speaks_tcp(view))).await?;
    if !allowed {
        return Err(Failure::new(
            StatusCode::FORBIDDEN,
            "faults_forbidden",
            "this node does not let its links be broken",
        )
        .hint("set `faults = true` in the node's config"));
    }
    let faults = parse(&wanted)?;
    if !has_tcp && faults_shape(&faults) {
        // The network leaves QUIC connections that it cannot shape; without TCP that would cut the node off.
        return Err(Failure::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "faults_need_tcp",
            "delay, loss and bandwidth act on TCP, which this node does not listen on",
        )
        .hint("give it a TCP address in `listen`; `cut` works over QUIC too"));
    }
    api.handle.set_faults(faults.clone(), wanted.resting).await?;
    Ok(Json(shown(&faults, wanted.resting)))
}

fn faults_shape(faults: &net::Faults) -> bool {
    let unshaped = net::Shape::default();
    faults.default != unshaped || faults.links.values().any(|shape| *shape != unshaped)
}

fn parse(wanted: &Faults) -> Result<net::Faults, Failure> {
    let cut: Result<BTreeSet<_>, _> = wanted.cut.iter().map(|text| peer_id(text)).collect();
    let links: Result<BTreeMap<_, _>, Failure> =
        wanted.links.iter().map(|(text, shape)| Ok((peer_id(text)?, parse_shape(shape)?))).collect();
    Ok(net::Faults { cut: cut?, default: parse_shape(&wanted.default)?, links: links? })
}

fn peer_id(text: &str) -> Result<PeerId, Failure> {
    text.parse().map_err(|error| invalid(format!("{text:?} is no peer id: {error}")))
}

fn parse_shape(shape: &Shape) -> Result<net::Shape, Failure> {
    let Shape { delay_ms, jitter_ms, loss, bandwidth_bytes_per_s } = *shape;
    if !(0.0..=1.0).contains(&loss) {
        return Err(invalid(format!("a loss of {loss} is not between 0 and 1")));
    }
    for (name, span) in [("delay_ms", delay_ms), ("jitter_ms", jitter_ms)] {
        if span > SPAN_MS_MAX {
            return Err(invalid(format!("{name} is {span}, at most {SPAN_MS_MAX} allowed")));
        }
    }
    Ok(net::Shape { delay_ms, jitter_ms, loss, bandwidth_bytes_per_s })
}

/// No link is slower than an hour: longer is a cut.
const SPAN_MS_MAX: u64 = 3_600_000;

fn shown(faults: &net::Faults, resting: bool) -> Faults {
    Faults {
        cut: faults.cut.iter().map(ToString::to_string).collect(),
        default: shown_shape(faults.default),
        links: faults.links.iter().map(|(peer, &shape)| (peer.to_string(), shown_shape(shape))).collect(),
        resting,
    }
}

const fn shown_shape(shape: net::Shape) -> Shape {
    let net::Shape { delay_ms, jitter_ms, loss, bandwidth_bytes_per_s } = shape;
    Shape { delay_ms, jitter_ms, loss, bandwidth_bytes_per_s }
}

fn invalid(message: String) -> Failure {
    Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_faults", message)
}
