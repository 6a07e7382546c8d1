//! What libp2p's Kademlia is asked to keep and to find: who has what.

use std::collections::{BTreeSet, HashMap};

use libp2p::{PeerId, kad};
use synod_machine::Bytes;

use super::NetEvent;
use super::task::Task;

/// Look-ups of the engine's that are under way.
#[derive(Default)]
pub(super) struct Queries {
    /// The engine's names of those for the closest nodes.
    pub(super) closest: HashMap<kad::QueryId, u64>,
    providers: HashMap<kad::QueryId, Search>,
}

/// A search for providers.
struct Search {
    query: u64,
    found: BTreeSet<PeerId>,
}

impl Task {
    pub(super) fn on_find_closest(&mut self, query: u64, key: &Bytes<32>) {
        let id = self.swarm.behaviour_mut().kad.get_closest_peers(key.0.to_vec());
        self.queries.closest.insert(id, query);
    }

    pub(super) fn on_find_providers(&mut self, query: u64, key: &Bytes<32>) {
        let id = self.swarm.behaviour_mut().kad.get_providers(record_key(key));
        self.queries.providers.insert(id, Search { query, found: BTreeSet::new() });
    }

    /// A publication that fails is repeated by Kademlia in its time.
    pub(super) fn on_provide(&mut self, key: &Bytes<32>, is_there: bool) {
        let kad = &mut self.swarm.behaviour_mut().kad;
        if !is_there {
            return kad.stop_providing(&record_key(key));
        }
        if let Err(error) = kad.start_providing(record_key(key)) {
            tracing::warn!(%error, "a provider record cannot be kept");
        }
    }

    pub(super) fn on_closest(&mut self, query: u64, result: &kad::GetClosestPeersResult, stats: &kad::QueryStats) {
        let found = match result {
            Ok(found) => &found.peers,
            Err(kad::GetClosestPeersError::Timeout { peers, .. }) => peers,
        };
        let peers = found.iter().map(|info| info.peer_id).collect();
        self.outlet.tell(NetEvent::Closest { query, peers, requests: stats.num_requests() });
    }

    pub(super) fn on_provided(
        &mut self,
        id: kad::QueryId,
        result: kad::GetProvidersResult,
        stats: &kad::QueryStats,
        is_last: bool,
    ) {
        let Some(search) = self.queries.providers.get_mut(&id) else { return };
        let is_found = match result {
            Ok(kad::GetProvidersOk::FoundProviders { providers, .. }) => {
                search.found.extend(providers);
                true
            }
            Ok(kad::GetProvidersOk::FinishedWithNoAdditionalRecord { .. }) | Err(_) => false,
        };
        if !is_last && !is_found {
            return;
        }
        let Some(Search { query, found }) = self.queries.providers.remove(&id) else { return };
        // The first that has records ends it, as it does with our own tables.
        if !is_last && let Some(mut under_way) = self.swarm.behaviour_mut().kad.query_mut(&id) {
            under_way.finish();
        }
        let peers = found.into_iter().collect();
        self.outlet.tell(NetEvent::Providers { query, peers, requests: stats.num_requests() });
    }
}

fn record_key(key: &Bytes<32>) -> kad::RecordKey {
    kad::RecordKey::new(&key.0)
}
