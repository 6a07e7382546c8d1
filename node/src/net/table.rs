//! The peers that are up and what is known of each, for the API to look at from any thread.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use libp2p::{Multiaddr, PeerId};

use super::PeerInfo;

/// The table; clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Table(Arc<Mutex<BTreeMap<PeerId, Arc<Entry>>>>);

/// One peer.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) peer: PeerId,
    pub(super) address: Multiaddr,
    pub(super) outbound: bool,
    pub(super) agent: String,
    pub(super) since: Instant,
    /// In microseconds and never 0, which stands for a ping that has not come back yet.
    rtt_us: AtomicU64,
    pub(super) sent_bytes: AtomicU64,
    pub(super) received_bytes: AtomicU64,
    pub(super) dropped_frames: AtomicU64,
}

impl Table {
    pub(super) fn insert(&self, entry: Arc<Entry>) {
        self.lock().insert(entry.peer, entry);
    }

    pub(super) fn remove(&self, peer: &PeerId) {
        self.lock().remove(peer);
    }

    /// All peers, by their ids.
    pub(super) fn infos(&self) -> Vec<PeerInfo> {
        self.lock().values().map(|entry| entry.info()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PeerId, Arc<Entry>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    pub(super) fn new(peer: PeerId, address: Multiaddr, outbound: bool, agent: String) -> Self {
        Self {
            peer,
            address,
            outbound,
            agent,
            since: Instant::now(),
            rtt_us: AtomicU64::new(0),
            sent_bytes: AtomicU64::new(0),
            received_bytes: AtomicU64::new(0),
            dropped_frames: AtomicU64::new(0),
        }
    }

    pub(super) fn set_rtt(&self, rtt: Duration) {
        let rtt_us = u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX).max(1);
        self.rtt_us.store(rtt_us, Ordering::Relaxed);
    }

    fn info(&self) -> PeerInfo {
        let rtt_us = self.rtt_us.load(Ordering::Relaxed);
        PeerInfo {
            peer: self.peer,
            address: self.address.clone(),
            outbound: self.outbound,
            agent: self.agent.clone(),
            since: self.since,
            rtt: (rtt_us > 0).then(|| Duration::from_micros(rtt_us)),
            sent_bytes: self.sent_bytes.load(Ordering::Relaxed),
            received_bytes: self.received_bytes.load(Ordering::Relaxed),
            dropped_frames: self.dropped_frames.load(Ordering::Relaxed),
        }
    }
}
