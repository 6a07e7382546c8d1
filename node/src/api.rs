//! The HTTP API: REST and JSON over axum, server-sent events, metrics and an OpenAPI document.
//!
//! Nothing here decides anything: a request is parsed, the engine thread is asked, the answer is written down. What
//! takes long (walking over all coins, reading blocks) happens on clones and on disk, away from the engine thread. The
//! API has no authentication, so it listens on loopback unless the config says otherwise.

pub mod client;
mod error;
mod events;
mod extract;
mod hex;
mod lookup;
mod openapi;
mod remote;
mod routes;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
pub mod types;
pub(crate) mod views;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{MethodRouter, get, post};
use axum::serve::ListenerExt;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use self::error::Failure;
use crate::handle::NodeHandle;
use crate::metrics::Submits;

/// What every handler has at hand.
#[derive(Clone)]
struct Api {
    handle: NodeHandle,
    /// libp2p's and the network's metrics.
    registry: Arc<Registry>,
    submits: Submits,
    /// Becomes true when the node stops.
    stop: watch::Receiver<bool>,
    /// Reads that may run at once.
    readers: Arc<Semaphore>,
    /// Those of them that may be scans, so that a short lookup always finds a reader soon.
    scanners: Arc<Semaphore>,
}

impl Api {
    /// Does `work`, which takes as long as there are coins or blocks, on a thread where it may block.
    async fn scan<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let _scanner = self.scanners.acquire().await.expect("nobody closes the semaphore");
        self.read(work).await
    }

    /// Does `work`, which is short, on a thread where it may block.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let _reader = self.readers.acquire().await.expect("nobody closes the semaphore");
        tokio::task::spawn_blocking(work).await.expect("reading panics only by a mistake of ours")
    }
}

/// Serves the API on `listener` until `stop` is over, then lets running requests end, but not for ever.
/// `registry` holds libp2p's metrics and the network's.
pub async fn serve(
    listener: TcpListener,
    handle: NodeHandle,
    registry: Registry,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    if let Ok(address) = listener.local_addr()
        && !address.ip().is_loopback()
    {
        tracing::warn!(%address, "the API has no authentication and can be reached from other machines");
    }
    let (stopping, mut stopped) = watch::channel(false);
    let app = router(handle, registry, stopped.clone());
    // An answer is one small write; waiting for more to send would only delay it.
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY cannot be set");
        }
    });
    let server = axum::serve(listener, app).with_graceful_shutdown(async move {
        stop.await;
        stopping.send_replace(true);
    });
    tokio::select! {
        result = server => result,
        () = async {
            // An error means that the sender is gone, which is as good as a stop.
            let _ = stopped.wait_for(|&stop| stop).await;
            tokio::time::sleep(SHUTDOWN_MAX).await;
        } => Ok(()),
    }
}

/// The API as a service.
fn router(handle: NodeHandle, registry: Registry, stop: watch::Receiver<bool>) -> Router {
    let api = Api {
        handle,
        registry: Arc::new(registry),
        submits: Submits::default(),
        stop,
        readers: Arc::new(Semaphore::new(READERS_MAX)),
        scanners: Arc::new(Semaphore::new(READERS_MAX / 2)),
    };
    let routes = routes().into_iter().fold(Router::new(), |router, (path, methods)| router.route(path, methods));
    routes
        .fallback(error::not_found)
        .method_not_allowed_fallback(error::method_not_allowed)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(api)
}

fn routes() -> Vec<(&'static str, MethodRouter<Api>)> {
    use self::routes::{chain, discovery, faults, node, transactions};
    vec![
        ("/health", get(node::health)),
        ("/metrics", get(node::metrics)),
        ("/openapi.json", get(openapi::openapi)),
        ("/v1/addresses/{address}", get(transactions::address)),
        ("/v1/blocks/{block}", get(chain::block)),
        ("/v1/chain", get(chain::chain)),
        ("/v1/events", get(events::events)),
        ("/v1/fetch", post(discovery::fetch)),
        ("/v1/find", post(discovery::find)),
        ("/v1/items", get(discovery::items).post(discovery::add_item).layer(DefaultBodyLimit::max(ITEM_BYTES_MAX))),
        ("/v1/items/{hash}", get(discovery::item).delete(discovery::remove_item)),
        ("/v1/lookup", post(discovery::lookup)),
        ("/v1/faults", get(faults::faults).put(faults::set_faults)),
        ("/v1/mempool", get(transactions::mempool)),
        ("/v1/overlays", get(discovery::overlays)),
        ("/v1/peers", get(node::peers)),
        ("/v1/status", get(node::status)),
        ("/v1/transactions", post(transactions::submit)),
        ("/v1/transactions/batch", post(transactions::submit_batch).layer(DefaultBodyLimit::max(BATCH_BYTES_MAX))),
        ("/v1/transactions/{id}", get(transactions::transaction)),
        ("/v1/tree", get(chain::tree)),
    ]
}

/// The longest body of a request: the largest payment in hexadecimal, with room for the JSON around it.
const BODY_BYTES_MAX: usize = 2 * synod_ledger::TX_BYTES_MAX + 4_096;

/// The longest body of a batch: a thousand payments of ordinary size many times over, in bounded memory.
const BATCH_BYTES_MAX: usize = 8 << 20;

/// The longest body of an item; the machine that keeps it has a clearer word for what is a little longer.
const ITEM_BYTES_MAX: usize = synod_dht::content::CONTENT_BYTES_MAX as usize + 1_024;

/// Reads that may run at once, half of them scans. More would take cores and disk from the node's real work.
const READERS_MAX: usize = 4;

/// How long running requests may hold up the end of the process.
const SHUTDOWN_MAX: Duration = Duration::from_secs(2);
