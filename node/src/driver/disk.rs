//! The disk thread: a batch of effects goes in, and comes back once all that it writes is durable.
//!
//! So the engine steps on while the disk syncs, and no effect leaves before what precedes it is safe: only one batch is
//! under way at a time, and the next waits its turn.

use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

use synod_machine::Effect;
use synod_peer::Peer;
use tokio::sync::mpsc as async_mpsc;

use super::release;
use crate::store::{Store, StoreError, Write};

/// A step's effects, or those of several, in order.
pub(super) type Batch = Vec<Effect<Peer>>;

/// The engine's end of the thread, which ends when this is dropped.
pub(super) struct Disk {
    batches: Option<mpsc::Sender<Batch>>,
    durable: async_mpsc::UnboundedReceiver<Result<Batch, StoreError>>,
    thread: Option<JoinHandle<()>>,
    is_busy: bool,
}

impl Disk {
    pub(super) fn start(store: Arc<Store>) -> Self {
        let (batches, todo) = mpsc::channel::<Batch>();
        let (done, durable) = async_mpsc::unbounded_channel();
        let work = move || {
            for batch in todo {
                let writes: Vec<Write> = batch.iter().flat_map(release::writes).collect();
                // The engine is gone where the node stops.
                if done.send(store.commit(&writes).map(|()| batch)).is_err() {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name("synod-disk".into()).spawn(work);
        let thread = thread.expect("the system that gave the engine its thread gives one more");
        Self { batches: Some(batches), durable, thread: Some(thread), is_busy: false }
    }

    /// Whether a batch is under way.
    pub(super) const fn is_busy(&self) -> bool {
        self.is_busy
    }

    /// Sends a batch on its way; none is.
    pub(super) fn write(&mut self, batch: Batch) {
        assert!(!self.is_busy, "one batch at a time");
        let batches = self.batches.as_ref().expect("taken only when dropped");
        batches.send(batch).expect("the thread ends only with this");
        self.is_busy = true;
    }

    /// The batch that was under way, durable.
    pub(super) async fn durable(&mut self) -> Result<Batch, StoreError> {
        let result = self.durable.recv().await.expect("the thread ends only with this");
        self.is_busy = false;
        result
    }
}

impl Drop for Disk {
    /// Waits for a commit that is under way, so that the store is closed when this is gone.
    fn drop(&mut self) {
        drop(self.batches.take());
        if let Some(thread) = self.thread.take() {
            // A panic there was reported by the channel.
            let _ = thread.join();
        }
    }
}
