//! Overlays of real peers: when they are there, and what searches cost in them.

use std::time::{Duration, Instant};

use futures::future::join_all;
use synod_node::api::client::Client;
use synod_node::api::types::{FindMode, OverlaysInfo};

use crate::error::LabError;

/// Kinds of messages that searches use and upkeep does not.
pub(crate) const fn kinds(mode: FindMode) -> &'static [&'static str] {
    match mode {
        FindMode::Chord => &[
            "chord_step",
            "chord_next",
            "chord_owner",
            "chord_helpless",
            "chord_fetch",
            "chord_fetched",
            "content_ask",
            "content_have",
        ],
        FindMode::Flood => &["flood_query", "flood_hit", "flood_walk", "flood_check", "flood_checked"],
        FindMode::Index => &["index_ask", "index_answer"],
        FindMode::Kademlia => &["content_ask", "content_have"],
        FindMode::KademliaLab => &["kad_find_value", "kad_values", "content_ask", "content_have"],
        FindMode::Superpeer => &["super_query", "super_hit"],
    }
}

/// Waits until all peers are in the overlays and all records are written.
pub(crate) async fn wait_published(clients: &[Client]) -> Result<(), LabError> {
    let followers = FOLLOWERS.min(clients.len().saturating_sub(1));
    let is_there = |overlays: &OverlaysInfo| {
        let chord = overlays.chord.as_ref();
        let is_on_the_ring =
            chord.is_none_or(|chord| chord.predecessor.is_some() && chord.successors.len() == followers);
        is_on_the_ring
            && overlays.kademlia_lab.as_ref().is_none_or(|kademlia| kademlia.member)
            && overlays.unpublished == 0
    };
    let began = Instant::now();
    loop {
        let answers = join_all(clients.iter().map(Client::overlays)).await;
        if answers.iter().all(|answer| answer.as_ref().is_ok_and(is_there)) {
            return Ok(());
        }
        if began.elapsed() > PATIENCE {
            return Err(LabError::Check { what: "the overlays are not there after a minute".into() });
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Successors that a node knows in a ring of more.
const FOLLOWERS: usize = 8;
/// How long the overlays may take to be there.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(100);
