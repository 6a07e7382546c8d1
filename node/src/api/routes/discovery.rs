//! Overlays: sharing, finding, fetching, and whom the tables name.

use std::time::{Duration, Instant};

use axum::Json;
use axum::body::Bytes as Content;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::IntoResponse;
use synod_dht::content::{AddError, hash_of};
use synod_dht::discovery::{self, Mode, Table};
use synod_dht::overlay::{Cost, Failure as OverlayFailure, Quorum};
use synod_dht::search::{Item, Name, Question, TextError};
use synod_machine::Bytes;
use tokio::time::timeout;

use crate::api::error::Failure;
use crate::api::extract::{Asked, Body, Named};
use crate::api::types::{
    CostInfo, ErrorBody, FetchRequest, FindAnswer, FindMode, FindQuestion, FindRequest, HitInfo, ItemInfo,
    LookupAnswer, LookupRequest, NewItem, OverlaysInfo,
};
use crate::api::{Api, views};
use crate::discovery::{By, FoundHit, Request};
use crate::net::PeerId;

/// Longer than any search takes: those of our machines end by themselves, libp2p's after ten seconds.
const ANSWER_MAX: Duration = Duration::from_secs(25);

/// Who gave a fetched content.
const HOLDER: HeaderName = HeaderName::from_static("synod-holder");

/// Whom this peer's tables name.
#[utoipa::path(
    get,
    path = "/v1/overlays",
    tag = "overlays",
    responses(
        (status = 200, description = "What it takes part in", body = OverlaysInfo),
        (status = 409, description = "It takes part in no overlay: `no_overlay`", body = ErrorBody),
        (status = 503, description = "The node is stopping", body = ErrorBody)
    )
)]
pub(in crate::api) async fn overlays(State(api): State<Api>) -> Result<Json<OverlaysInfo>, Failure> {
    api.handle.query(views::overlays).await?.map(Json).ok_or_else(apart)
}

/// Looks for something, by one mode.
#[utoipa::path(
    post,
    path = "/v1/find",
    tag = "overlays",
    request_body = FindRequest,
    responses(
        (status = 200, description = "Who has it, or why it was not found", body = FindAnswer),
        (status = 409, description = "It takes part in no overlay: `no_overlay`", body = ErrorBody),
        (status = 422, description = "A question that cannot be asked", body = ErrorBody),
        (status = 503, description = "The node is stopping", body = ErrorBody)
    )
)]
pub(in crate::api) async fn find(
    State(api): State<Api>,
    Body(request): Body<FindRequest>,
) -> Result<Json<FindAnswer>, Failure> {
    take_part(&api).await?;
    let by = by(&request)?;
    let question = question(&request.question)?;
    let wanted = request.wanted.unwrap_or(1);
    let began = Instant::now();
    let found = api.handle.discover(|reply| Request::Find { by, question, wanted, reply });
    let found = timeout(ANSWER_MAX, found).await.map_err(|_| late())??;
    let latency_us = micros(began.elapsed());
    let cost = cost(found.cost);
    let (hits, failure) = match found.result {
        Ok(hits) => (hits.into_iter().map(hit).collect(), None),
        Err(failure) => (Vec::new(), Some(failure.to_string())),
    };
    Ok(Json(FindAnswer { hits, failure, cost, latency_us }))
}

/// Finds the peers that are closest to a key.
#[utoipa::path(
    post,
    path = "/v1/lookup",
    tag = "overlays",
    request_body = LookupRequest,
    responses(
        (status = 200, description = "Who is, or why nobody was found", body = LookupAnswer),
        (status = 409, description = "It takes part in no overlay: `no_overlay`", body = ErrorBody),
        (status = 422, description = "Not a table", body = ErrorBody),
        (status = 503, description = "The node is stopping", body = ErrorBody)
    )
)]
pub(in crate::api) async fn lookup(
    State(api): State<Api>,
    Body(request): Body<LookupRequest>,
) -> Result<Json<LookupAnswer>, Failure> {
    take_part(&api).await?;
    let table = match request.table {
        FindMode::Chord => Some(Table::Chord),
        FindMode::Kademlia => None,
        FindMode::KademliaLab => Some(Table::Kademlia),
        FindMode::Flood | FindMode::Index | FindMode::Superpeer => {
            return Err(invalid(format!("{} has no table to look up in", request.table.name())));
        }
    };
    let began = Instant::now();
    let found = api.handle.discover(|reply| Request::Lookup { table, key: request.key.into(), reply });
    let found = timeout(ANSWER_MAX, found).await.map_err(|_| late())??;
    let latency_us = micros(began.elapsed());
    let (peers, failure) = match found.result {
        Ok(peers) => (peers.iter().map(PeerId::to_string).collect(), None),
        Err(failure) => (Vec::new(), Some(failure.to_string())),
    };
    Ok(Json(LookupAnswer { peers, failure, cost: cost(found.cost), latency_us }))
}

/// Brings a content here and checks it against its hash; the answer's body is the content, the header `synod-holder` says who gave it.
#[utoipa::path(
    post,
    path = "/v1/fetch",
    tag = "overlays",
    request_body = FetchRequest,
    responses(
        (status = 200, description = "The content", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 404, description = "None of them has it, or gave another content: `unfetched`", body = ErrorBody),
        (status = 409, description = "It takes part in no overlay: `no_overlay`", body = ErrorBody),
        (status = 422, description = "Not an item, or not the ids of peers", body = ErrorBody),
        (status = 503, description = "The node is stopping", body = ErrorBody)
    )
)]
pub(in crate::api) async fn fetch(
    State(api): State<Api>,
    Body(request): Body<FetchRequest>,
) -> Result<impl IntoResponse, Failure> {
    take_part(&api).await?;
    let item = item_of(&request.item)?;
    if let Some(content) = local(&api, item.hash).await? {
        let own = api.handle.query(|view| view.node.peer_id.clone()).await?;
        return Ok(([(header::CONTENT_TYPE, OCTETS.to_owned()), (HOLDER, own)], content));
    }
    let holders = request.holders.iter().map(|text| text.parse::<PeerId>());
    let holders = holders.collect::<Result<Vec<_>, _>>().map_err(|error| invalid(format!("not a peer id: {error}")))?;
    let fetched = api.handle.discover(|reply| Request::Fetch { item, holders, reply }).await?;
    let (content, holder) = fetched.result.map_err(|failure| {
        Failure::new(
            StatusCode::NOT_FOUND,
            "unfetched",
            format!("none of those who are said to have it gave it: {failure}"),
        )
        .hint("search again: others may have it")
    })?;
    Ok(([(header::CONTENT_TYPE, OCTETS.to_owned()), (HOLDER, holder.to_string())], content))
}

/// What this peer shares.
#[utoipa::path(
    get,
    path = "/v1/items",
    tag = "overlays",
    responses(
        (status = 200, description = "By hash", body = Vec<ItemInfo>),
        (status = 409, description = "It takes part in no overlay: `no_overlay`", body = ErrorBody),
        (status = 503, description = "The node is stopping", body = ErrorBody)
    )
)]
pub(in crate::api) async fn items(State(api): State<Api>) -> Result<Json<Vec<ItemInfo>>, Failure> {
    let items = |view: &crate::handle::View<'_>| {
        Some(view.overlays.as_ref()?.machine.content().items().map(views::item).collect())
    };
    api.handle.query(items).await?.map(Json).ok_or_else(apart)
}

/// Keeps a content on this peer's disk and shares it.
#[utoipa::path(
    post,
    path = "/v1/items",
    tag = "overlays",
    params(NewItem),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses(
        (status = 201, description = "It is on disk and is being published", body = ItemInfo),
        (status = 409, description = "It takes part in no overlay: `no_overlay`; or shares as much as it can: `full`", body = ErrorBody),
        (status = 413, description = "Too long", body = ErrorBody),
        (status = 422, description = "Not a name, or nothing in it", body = ErrorBody),
        (status = 503, description = "The node is stopping", body = ErrorBody)
    )
)]
pub(in crate::api) async fn add_item(
    State(api): State<Api>,
    Asked(new): Asked<NewItem>,
    content: Content,
) -> Result<(StatusCode, Json<ItemInfo>), Failure> {
    take_part(&api).await?;
    let bytes = content.to_vec();
    let item = Item::new(hash_of(&bytes), &new.name, &new.keywords, bytes.len() as u64)?;
    let info = views::item(&item);
    match api.handle.discover(|reply| Request::Add { item, bytes, reply }).await? {
        Ok(()) => Ok((StatusCode::CREATED, Json(info))),
        Err(error) => Err(match error {
            AddError::Empty => invalid(error.to_string()),
            AddError::Full => Failure::new(StatusCode::CONFLICT, "full", error.to_string()),
            AddError::TooLong => Failure::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", error.to_string()),
        }),
    }
}

/// A content that this peer shares.
#[utoipa::path(
    get,
    path = "/v1/items/{hash}",
    tag = "overlays",
    params(("hash" = String, Path, description = "The SHA-256 of the content")),
    responses(
        (status = 200, description = "The content", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 400, description = "Not a hash", body = ErrorBody),
        (status = 404, description = "This peer does not have it: `unknown_item`", body = ErrorBody),
        (status = 503, description = "The node is stopping", body = ErrorBody)
    )
)]
pub(in crate::api) async fn item(
    State(api): State<Api>,
    Named(hash): Named<Bytes<32>>,
) -> Result<impl IntoResponse, Failure> {
    let content = local(&api, hash).await?.ok_or_else(|| unknown(&hash))?;
    Ok(([(header::CONTENT_TYPE, OCTETS)], content))
}

/// Shares a content no longer.
#[utoipa::path(
    delete,
    path = "/v1/items/{hash}",
    tag = "overlays",
    params(("hash" = String, Path, description = "The SHA-256 of the content")),
    responses(
        (status = 204, description = "It is shared no longer"),
        (status = 400, description = "Not a hash", body = ErrorBody),
        (status = 404, description = "This peer does not have it: `unknown_item`", body = ErrorBody),
        (status = 503, description = "The node is stopping", body = ErrorBody)
    )
)]
pub(in crate::api) async fn remove_item(
    State(api): State<Api>,
    Named(hash): Named<Bytes<32>>,
) -> Result<StatusCode, Failure> {
    let was_there = api.handle.discover(|reply| Request::Remove { hash, reply }).await?;
    if was_there { Ok(StatusCode::NO_CONTENT) } else { Err(unknown(&hash)) }
}

const OCTETS: &str = "application/octet-stream";

/// A content from this peer's own disk.
async fn local(api: &Api, hash: Bytes<32>) -> Result<Option<Vec<u8>>, Failure> {
    let sources = api.handle.query(move |view| view.overlays.as_ref()?.machine.content().sources(&hash)).await?;
    let Some(sources) = sources else { return Ok(None) };
    let archive = api.handle.archive();
    api.read(move || {
        let mut content = Vec::new();
        for source in &sources {
            let Some(piece) = archive.content(source)? else { return Ok(None) };
            content.extend(piece);
        }
        Ok(Some(content))
    })
    .await
}

async fn take_part(api: &Api) -> Result<(), Failure> {
    let takes_part = api.handle.query(|view| view.overlays.is_some()).await?;
    if takes_part { Ok(()) } else { Err(apart()) }
}

fn by(request: &FindRequest) -> Result<By, Failure> {
    let replicas = request.replicas.unwrap_or(discovery::QUORUM.replicas());
    let usual = match request.mode {
        // With one the search ends where the first records are found, as libp2p's does, and does not go on to the closest nodes.
        FindMode::KademliaLab => 1,
        FindMode::Chord | FindMode::Flood | FindMode::Index | FindMode::Kademlia | FindMode::Superpeer => {
            discovery::QUORUM.needed().min(replicas)
        }
    };
    let read = request.read.unwrap_or(usual);
    let quorum = Quorum::new(read, replicas).map_err(|error| invalid(error.to_string()))?;
    let ttl = request.ttl;
    Ok(By::Ours(match request.mode {
        FindMode::Chord => Mode::Table(Table::Chord, quorum),
        FindMode::Flood => Mode::Flood { ttl },
        FindMode::Index => Mode::Index,
        FindMode::Kademlia => return Ok(By::Libp2p),
        FindMode::KademliaLab => Mode::Table(Table::Kademlia, quorum),
        FindMode::Superpeer => Mode::Superpeer { ttl },
    }))
}

fn question(question: &FindQuestion) -> Result<Question, Failure> {
    Ok(match question {
        FindQuestion::Hash(hash) => Question::Hash(*hash),
        FindQuestion::Name(name) => Question::Name(Name::new(name)?),
        FindQuestion::Words(words) => Question::words(words)?,
    })
}

fn item_of(info: &ItemInfo) -> Result<Item, Failure> {
    Ok(Item::new(info.hash, &info.name, &info.keywords, info.bytes)?)
}

fn hit(hit: FoundHit) -> HitInfo {
    HitInfo { item: views::item(&hit.item), holder: hit.peer.to_string() }
}

const fn cost(cost: Cost) -> CostInfo {
    CostInfo { hops: cost.hops, messages: cost.messages, asked: cost.asked, timeouts: cost.timeouts }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn apart() -> Failure {
    Failure::new(StatusCode::CONFLICT, "no_overlay", "this node takes part in no overlay")
        .hint("start the network with `synod up --dht chord --search all`")
}

fn late() -> Failure {
    Failure::new(StatusCode::GATEWAY_TIMEOUT, "silence", OverlayFailure::Silence.to_string())
}

fn invalid(message: String) -> Failure {
    Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_body", message)
}

fn unknown(hash: &Bytes<32>) -> Failure {
    Failure::new(StatusCode::NOT_FOUND, "unknown_item", format!("this peer does not share {hash}"))
        .hint("POST /v1/find says who does")
}

impl From<TextError> for Failure {
    fn from(error: TextError) -> Self {
        invalid(error.to_string())
    }
}
