//! The API's client: one typed method per route, for the command line, the load generator and tests.
//!
//! One [`Client`] keeps its connections open and may be cloned and used by many tasks at once. It tells apart what a
//! caller must not mix up: a request that was refused, one that never left, and one whose fate is unknown.

mod discovery;
mod events;

use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use synod_ledger::{Address, Tx, TxId};
use synod_machine::wire;

use super::hex;
use super::types::{
    AddressInfo, AddressQuery, BatchOutcome, BatchRequest, BlockInfo, BlockRef, BlockSummary, ChainQuery,
    ConnectedPeer, ErrorBody, Faults, Health, MempoolInfo, MempoolQuery, Status, SubmitRequest, Submitted,
    TransactionInfo, TreeNode, TreeQuery,
};

pub use events::Events;

/// A client of one node's API.
#[derive(Clone, Debug)]
pub struct Client {
    base: String,
    http: reqwest::Client,
    timeout: Duration,
}

/// Why a request did not do what it should.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// The node refused it.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// What answered is not synod's API, or a version that does not fit.
    #[error("{url} answered what is not synod's API: {reason}")]
    Protocol {
        /// What was asked.
        url: String,
        /// What is wrong with the answer.
        reason: String,
    },
    /// It was sent but no whole answer came: it may have taken effect or not.
    #[error("no answer from {url}: {reason}")]
    Unanswered {
        /// What was asked.
        url: String,
        /// What happened instead.
        reason: String,
    },
    /// No connection: nothing was sent.
    #[error("cannot reach {url}: {reason}")]
    Unreachable {
        /// What was to be asked.
        url: String,
        /// Why not.
        reason: String,
    },
}

/// A node's refusal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// The HTTP status.
    pub status: u16,
    /// A stable name, such as `unknown_transaction`.
    pub code: String,
    /// A sentence for people.
    pub message: String,
    /// What to do about it, where there is something.
    pub hint: Option<String>,
}

impl ApiError {
    /// The code of a submit that the node can no longer tell the fate of.
    pub const UNKNOWN_RESULT: &'static str = "unknown_result";

    fn new(status: u16, body: ErrorBody) -> Self {
        let ErrorBody { error } = body;
        Self { status, code: error.code, message: error.message, hint: error.hint }
    }
}

impl ClientError {
    /// Whether the request may have taken effect all the same. A submit that ends so is neither accepted nor refused.
    pub fn leaves_result_unknown(&self) -> bool {
        match self {
            Self::Api(error) => error.code == ApiError::UNKNOWN_RESULT,
            Self::Protocol { .. } | Self::Unanswered { .. } => true,
            Self::Unreachable { .. } => false,
        }
    }
}

impl Client {
    /// A client of the API at `address`: `127.0.0.1:8001` or a whole `http://` URL.
    pub fn new(address: &str) -> Self {
        Self::with_timeout(address, REQUEST_TIMEOUT)
    }

    /// A client that waits at most `timeout` for an answer.
    pub fn with_timeout(address: &str, timeout: Duration) -> Self {
        let base = if address.contains("://") { address.to_owned() } else { format!("http://{address}") };
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT.min(timeout))
            // A proxy from the environment would be asked for loopback addresses too.
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .read_timeout(SILENCE_MAX)
            .tcp_nodelay(true)
            .build()
            .expect("a client without TLS and proxies has nothing that can fail");
        Self { base: base.trim_end_matches('/').to_owned(), http, timeout }
    }

    /// The URL that all routes are below.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// `GET /health`.
    pub async fn health(&self) -> Result<Health, ClientError> {
        self.read("/health", &()).await
    }

    /// `GET /v1/status`.
    pub async fn status(&self) -> Result<Status, ClientError> {
        self.read("/v1/status", &()).await
    }

    /// `GET /v1/peers`.
    pub async fn peers(&self) -> Result<Vec<ConnectedPeer>, ClientError> {
        self.read("/v1/peers", &()).await
    }

    /// `GET /v1/chain`: the active chain, newest block first.
    pub async fn chain(&self, query: ChainQuery) -> Result<Vec<BlockSummary>, ClientError> {
        self.read("/v1/chain", &query).await
    }

    /// `GET /v1/tree`: all branches, highest block first.
    pub async fn tree(&self, query: TreeQuery) -> Result<Vec<TreeNode>, ClientError> {
        self.read("/v1/tree", &query).await
    }

    /// `GET /v1/blocks/{block}`.
    pub async fn block(&self, block: BlockRef) -> Result<BlockInfo, ClientError> {
        self.read(&format!("/v1/blocks/{block}"), &()).await
    }

    /// `GET /v1/transactions/{id}`. The node knows no such transaction: an [`ApiError`] with `unknown_transaction`.
    pub async fn transaction(&self, id: TxId) -> Result<TransactionInfo, ClientError> {
        self.read(&format!("/v1/transactions/{id}"), &()).await
    }

    /// `GET /v1/addresses/{address}`.
    pub async fn address(&self, address: Address, query: AddressQuery) -> Result<AddressInfo, ClientError> {
        self.read(&format!("/v1/addresses/{address}"), &query).await
    }

    /// `GET /v1/mempool`.
    pub async fn mempool(&self, query: MempoolQuery) -> Result<MempoolInfo, ClientError> {
        self.read("/v1/mempool", &query).await
    }

    /// `POST /v1/transactions`. When it returns `Ok`, the payment is on the node's disk.
    pub async fn submit(&self, tx: &Tx) -> Result<Submitted, ClientError> {
        let request = SubmitRequest { transaction: hex::encode(&wire::encode(tx)) };
        self.ask(Method::POST, "/v1/transactions", |call| call.json(&request)).await
    }

    /// `POST /v1/transactions/batch`: one result per payment, in order. An `Err` in the list is the node's refusal of
    /// that payment; its `status` is 0, since only the whole request has one.
    pub async fn submit_batch(&self, txs: &[Tx]) -> Result<Vec<Result<TxId, ApiError>>, ClientError> {
        let request = BatchRequest { transactions: txs.iter().map(|tx| hex::encode(&wire::encode(tx))).collect() };
        let path = "/v1/transactions/batch";
        let outcomes: Vec<BatchOutcome> = self.ask(Method::POST, path, |call| call.json(&request)).await?;
        if outcomes.len() != txs.len() {
            let reason = format!("{} results for {} payments", outcomes.len(), txs.len());
            return Err(ClientError::Protocol { url: self.url(path), reason });
        }
        let results = outcomes.into_iter().map(|outcome| match outcome {
            BatchOutcome::Accepted(Submitted { id }) => Ok(id),
            BatchOutcome::Refused(body) => Err(ApiError::new(0, body)),
        });
        Ok(results.collect())
    }

    /// `GET /v1/faults`.
    pub async fn faults(&self) -> Result<Faults, ClientError> {
        self.read("/v1/faults", &()).await
    }

    /// `PUT /v1/faults`: replaces all of them; `Faults::default()` heals.
    pub async fn set_faults(&self, faults: &Faults) -> Result<Faults, ClientError> {
        self.ask(Method::PUT, "/v1/faults", |call| call.json(faults)).await
    }

    /// `GET /v1/events`: what happens from now on, without end. The node's keep-alives are not shown.
    pub async fn events(&self) -> Result<Events, ClientError> {
        let path = "/v1/events";
        let response = self.send(self.http.get(self.url(path)), path).await?;
        Ok(Events::new(self.url(path), response))
    }

    /// `GET /metrics`: the text of the Prometheus exposition.
    pub async fn metrics(&self) -> Result<String, ClientError> {
        let path = "/metrics";
        let response = self.send(self.http.get(self.url(path)).timeout(self.timeout), path).await?;
        response.text().await.map_err(|error| unanswered(self.url(path), &error))
    }

    /// `GET /openapi.json`.
    pub async fn openapi(&self) -> Result<serde_json::Value, ClientError> {
        self.read("/openapi.json", &()).await
    }

    async fn read<T: DeserializeOwned>(&self, path: &str, query: &impl Serialize) -> Result<T, ClientError> {
        self.ask(Method::GET, path, |call| call.query(query)).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        fill: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<T, ClientError> {
        let call = fill(self.http.request(method, self.url(path)).timeout(self.timeout));
        let response = self.send(call, path).await?;
        let bytes = response.bytes().await.map_err(|error| unanswered(self.url(path), &error))?;
        serde_json::from_slice(&bytes)
            .map_err(|error| ClientError::Protocol { url: self.url(path), reason: error.to_string() })
    }

    /// The answer where the node consents, its refusal otherwise.
    async fn send(&self, call: RequestBuilder, path: &str) -> Result<Response, ClientError> {
        let response = call.send().await.map_err(|error| {
            if error.is_connect() || error.is_builder() {
                ClientError::Unreachable { url: self.url(path), reason: root_cause(&error) }
            } else {
                unanswered(self.url(path), &error)
            }
        })?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let bytes = response.bytes().await.map_err(|error| unanswered(self.url(path), &error))?;
        match serde_json::from_slice(&bytes) {
            Ok(body) => Err(ApiError::new(status.as_u16(), body).into()),
            Err(_) => Err(ClientError::Protocol { url: self.url(path), reason: format!("status {status}") }),
        }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}

/// A connection on loopback or in a local network takes milliseconds; this is for a host that drops packets.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Longer than any answer takes that a healthy node gives, a sync of a slow disk among them.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// A stream of events is dead when even the node's keep-alives, one every ten seconds, stay away.
const SILENCE_MAX: Duration = Duration::from_secs(35);

fn unanswered(url: String, error: &reqwest::Error) -> ClientError {
    let reason = if error.is_timeout() { "timed out".to_owned() } else { root_cause(error) };
    ClientError::Unanswered { url, reason }
}

/// The innermost error says what happened ("connection refused"); the outer ones repeat the URL.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
