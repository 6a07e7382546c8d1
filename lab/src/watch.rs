//! The state of a whole network at one moment: what every peer says of itself, whether all are connected, whether they
//! agree on the tip.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use futures::future::join_all;
use serde::Serialize;
use synod_ledger::BlockId;
use synod_node::api::types::{ConnectedPeer, Status, ViolationInfo};

use crate::error::LabError;
use crate::exit::Exit;
use crate::network::{Network, PeerState};

/// A peer at one moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PeerView {
    /// Its name.
    pub name: String,
    /// `ready`, `starting`, `paused` or `stopped`.
    pub state: &'static str,
    /// Its process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Its libp2p peer id.
    pub peer_id: String,
    /// Where its API listens.
    pub api: String,
    /// What it says, if it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// Why it does not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Asks every peer at once what it says.
pub async fn look(network: &Network) -> Vec<PeerView> {
    join_all((0..network.peers().len()).map(|place| look_at(network, place))).await
}

/// Whether all peers that answer have the same tip. A network of which nobody answers agrees on nothing.
pub fn common_tip(views: &[PeerView]) -> Option<BlockId> {
    let mut tips = views.iter().filter_map(|view| view.status.as_ref()).map(|status| status.tip);
    let first = tips.next()?;
    tips.all(|tip| tip == first).then_some(first)
}

/// Who stopped because two blocks of one height were agreed on, and what they show.
#[derive(Clone, Debug, PartialEq)]
pub struct Fork {
    /// Their names.
    pub peers: Vec<String>,
    /// Both blocks with their certificates, as the first of these peers has them.
    pub shown: ViolationInfo,
}

/// The fork that these peers tell of, if any does.
pub fn fork<'a>(statuses: impl Iterator<Item = &'a Status>) -> Option<Fork> {
    let told: Vec<(&Status, &ViolationInfo)> =
        statuses.filter_map(|status| Some((status, status.violation.as_ref()?))).collect();
    let (_, shown) = *told.first()?;
    Some(Fork { peers: told.iter().map(|(status, _)| status.name.clone()).collect(), shown: shown.clone() })
}

impl Fork {
    /// What a command that shows it tells the shell.
    pub const fn exit(shown: Option<&Self>) -> Exit {
        match shown {
            Some(_) => Exit::Check,
            None => Exit::Ok,
        }
    }

    /// The same as an error, which ends a command.
    pub fn error(&self) -> LabError {
        let (peers, height) = (self.peers.join(", "), self.shown.height);
        LabError::Check {
            what: format!(
                "{peers} stopped: two blocks of height {height} were agreed on, so that too many validators are faulty"
            ),
        }
    }

    /// Both certificates in full.
    pub fn text(&self) -> String {
        let mut text = format!("Two blocks of height {} were agreed on:", self.shown.height);
        for block in &self.shown.blocks {
            let _ = write!(text, "\n  block {} on {}, in view {}, by", block.id, block.parent, block.view);
            for vote in &block.votes {
                let _ = write!(text, "\n    {} {}", vote.validator, vote.signature.0);
            }
        }
        text
    }
}

/// Waits until the peers at `places` are connected, each with at least three others (or all there are), in one network,
/// on one tip. `on_change` hears how many have found enough others, and whether they agree.
pub async fn wait_connected(
    network: &Network,
    places: &[usize],
    limit: Duration,
    mut on_change: impl FnMut(usize, bool),
) -> Result<(), LabError> {
    let deadline = Instant::now() + limit;
    let enough = NEIGHBOURS_WANTED.min(places.len() - 1);
    loop {
        let views = join_all(places.iter().map(|&place| look_at_links(network, place))).await;
        let is_content = |view: &Links| view.others.len() >= enough && view.tip.is_some();
        let content = views.iter().filter(|view| is_content(view)).count();
        let first = views.first().and_then(|view| view.tip);
        let agree = first.is_some() && views.iter().all(|view| view.tip == first);
        on_change(content, agree);
        if content == places.len() && agree && is_one_network(&views) {
            return Ok(());
        }
        if Instant::now() >= deadline {
            let lonely = views.iter().position(|view| !is_content(view));
            let place = places[lonely.unwrap_or(0)];
            let name = &network.peers()[place].name;
            let what = match lonely {
                Some(found) => format!("{name} has {} of {enough} peers; connecting it", views[found].others.len()),
                None => "every peer has others; agreeing on a tip".to_owned(),
            };
            return Err(LabError::TimedOut { what, limit, log: network.log_tail(place) });
        }
        tokio::time::sleep(POLL).await;
    }
}

/// A peer's links to others of the network.
struct Links {
    peer_id: String,
    others: Vec<ConnectedPeer>,
    /// None while it does not answer or is not settled.
    tip: Option<BlockId>,
}

/// So many neighbours make a random graph connected for all practical sizes; also what the peers' own lower bound is
/// close to.
const NEIGHBOURS_WANTED: usize = 3;
/// How often peers are asked.
const POLL: Duration = Duration::from_millis(200);

async fn look_at(network: &Network, place: usize) -> PeerView {
    let entry = &network.peers()[place];
    let state = network.state(place);
    let (status, error) = match &state {
        PeerState::Ready(_) => match network.client(place).status().await {
            Ok(status) => (Some(status), None),
            Err(error) => (None, Some(error.to_string())),
        },
        PeerState::Paused { .. } | PeerState::Starting { .. } | PeerState::Stopped => (None, None),
    };
    PeerView {
        name: entry.name.clone(),
        state: state.name(),
        pid: state.pid(),
        peer_id: entry.peer_id.clone(),
        api: format!("127.0.0.1:{}", entry.api_port),
        status,
        error,
    }
}

async fn look_at_links(network: &Network, place: usize) -> Links {
    let client = network.client(place);
    let (status, others) = futures::join!(client.status(), client.peers());
    let tip = status.ok().filter(|status| status.settled).map(|status| status.tip);
    Links { peer_id: network.peers()[place].peer_id.clone(), others: others.unwrap_or_default(), tip }
}

/// Whether every peer can be reached from the first over links that either end reports.
fn is_one_network(views: &[Links]) -> bool {
    let mut links: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for view in views {
        for other in &view.others {
            links.entry(&view.peer_id).or_default().insert(&other.peer_id);
            links.entry(&other.peer_id).or_default().insert(&view.peer_id);
        }
    }
    let Some(first) = views.first() else { return true };
    let mut reached = BTreeSet::from([first.peer_id.as_str()]);
    let mut next = vec![first.peer_id.as_str()];
    while let Some(peer) = next.pop() {
        for &other in links.get(peer).into_iter().flatten() {
            if reached.insert(other) {
                next.push(other);
            }
        }
    }
    views.iter().all(|view| reached.contains(view.peer_id.as_str()))
}

#[cfg(test)]
mod tests {
    use synod_node::api::types::Direction;

    use super::*;

    fn links(peer: &str, others: &[&str]) -> Links {
        let other = |id: &&str| ConnectedPeer {
            peer_id: (*id).to_owned(),
            address: String::new(),
            direction: Direction::Inbound,
            height: None,
            connected_ms: 0,
            agent: String::new(),
            rtt_ms: None,
            sent_bytes: 0,
            received_bytes: 0,
            dropped_frames: 0,
        };
        Links { peer_id: peer.to_owned(), others: others.iter().map(other).collect(), tip: None }
    }

    #[test]
    fn a_network_in_two_parts_is_not_one() {
        assert!(is_one_network(&[]));
        assert!(is_one_network(&[links("a", &[])]));
        assert!(is_one_network(&[links("a", &["b"]), links("b", &[]), links("c", &["b"])]));
        assert!(!is_one_network(&[links("a", &["b"]), links("b", &["a"]), links("c", &["d"]), links("d", &["c"])]));
    }

    #[test]
    fn nobody_agrees_on_nothing() {
        assert_eq!(common_tip(&[]), None);
    }
}
