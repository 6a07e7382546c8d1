//! What the network counts itself, beside libp2p's own metrics.

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The counters; cheap to clone.
#[derive(Clone)]
pub(super) struct Metrics(Arc<Counters>);

/// The counters themselves.
pub(super) struct Counters {
    pub(super) dial_failures: Counter,
    pub(super) events_dropped: Counter,
    pub(super) frames_dropped: Counter,
    pub(super) frames_received: Counter,
    pub(super) frames_received_bytes: Counter,
    pub(super) frames_sent: Counter,
    pub(super) frames_sent_bytes: Counter,
    pub(super) gossip_ignored: Counter,
    pub(super) gossip_published: Counter,
    pub(super) gossip_unpublished: Counter,
    pub(super) peers: Gauge,
    pub(super) verdicts_late: Counter,
    refused: Family<Reason, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

impl Metrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let registry = registry.sub_registry_with_prefix("synod_net");
        let mut counter = |name: &str, help: &str| {
            let counter = Counter::default();
            registry.register(name, help, counter.clone());
            counter
        };
        let counters = Counters {
            dial_failures: counter("dial_failures", "Dials that ended without a peer"),
            events_dropped: counter("events_dropped", "Events that the engine was too slow to be told"),
            frames_dropped: counter("frames_dropped", "Frames not sent: no such peer, a full queue or a broken stream"),
            frames_received: counter("frames_received", "Frames received"),
            frames_received_bytes: counter("frames_received_bytes", "Bytes of frames received, without framing"),
            frames_sent: counter("frames_sent", "Frames sent"),
            frames_sent_bytes: counter("frames_sent_bytes", "Bytes of frames sent, without framing"),
            gossip_ignored: counter("gossip_ignored", "Gossip let pass because the engine was too slow"),
            gossip_published: counter("gossip_published", "Messages published"),
            gossip_unpublished: counter("gossip_unpublished", "Messages of this node's own that were not published"),
            peers: Gauge::default(),
            verdicts_late: counter("verdicts_late", "Verdicts on gossip that had already left the cache"),
            refused: Family::default(),
        };
        registry.register("peers", "Peers that are up", counters.peers.clone());
        registry.register("refused", "What was refused, by reason", counters.refused.clone());
        Self(Arc::new(counters))
    }

    /// Counts a refusal.
    pub(super) fn refuse(&self, reason: &'static str) {
        self.0.refused.get_or_create(&Reason { reason }).inc();
    }
}

impl std::ops::Deref for Metrics {
    type Target = Counters;

    fn deref(&self) -> &Counters {
        &self.0
    }
}
