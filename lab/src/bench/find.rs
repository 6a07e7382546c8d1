//! Twenty peers on loopback: how many searches a second they answer by a table, and how long each takes.

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use synod_node::api::client::Client;
use synod_node::api::types::{FindMode, FindQuestion, FindRequest, NewItem};
use synod_node::config::DhtKind;

use super::Report;
use crate::LabError;
use crate::searches::wait_published;

/// Items that are shared, and searched for in turn.
const ITEMS: usize = 60;
/// Searches a second, of all peers together (issue 5: 200 or more). They are sent when they are due, whether the others are answered
/// or not.
const RATE: u32 = 240;
/// What is asked for.
const PROMISED: f64 = 200.0;
/// The longest that 99 of 100 may take.
const P99: f64 = 100.0;
/// How long the overlays may take to be there.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(100);

/// Rate and 99th percentile of searches by a table, the only one that the peers take part in, measured for `duration`.
pub async fn find(table: DhtKind, duration: Duration, clients: &[Client]) -> Result<[Report; 2], LabError> {
    // Before there is anything to hand over.
    wait_published(clients).await?;
    for item in 0..ITEMS {
        let new = NewItem { name: format!("item {item}"), keywords: String::new() };
        let client = &clients[item % clients.len()];
        client.add_item(&new, vec![item as u8; 100]).await.map_err(|error| LabError::api("a peer", error))?;
    }
    wait_published(clients).await?;
    let (mode, names) = match table {
        DhtKind::Chord => (FindMode::Chord, ["find-chord", "find-chord-p99"]),
        DhtKind::Kademlia => (FindMode::Kademlia, ["find-kademlia", "find-kademlia-p99"]),
        DhtKind::KademliaLab => (FindMode::KademliaLab, ["find-kademlia-lab", "find-kademlia-lab-p99"]),
    };
    // libp2p's does not say when it has published.
    wait_found(mode, clients).await?;
    Ok(search(mode, duration, clients).await.reports(names, clients.len()))
}

/// Waits until every item is found.
async fn wait_found(mode: FindMode, clients: &[Client]) -> Result<(), LabError> {
    let began = Instant::now();
    for item in 0..ITEMS {
        while !is_found(mode, item, &clients[(item + 1) % clients.len()]).await {
            if began.elapsed() > PATIENCE {
                return Err(LabError::Check { what: format!("item {item} is not found after a minute") });
            }
            tokio::time::sleep(POLL).await;
        }
    }
    Ok(())
}

async fn is_found(mode: FindMode, item: usize, client: &Client) -> bool {
    let question = FindQuestion::Name(format!("item {item}"));
    let request = FindRequest { mode, question, ttl: 0, wanted: None, replicas: None, read: None };
    client.find(&request).await.is_ok_and(|answer| answer.failure.is_none())
}

/// What became of some searches.
struct Searched {
    found: usize,
    missed: usize,
    elapsed: Duration,
    /// How long each took from when it was due, in order.
    times: Vec<Duration>,
}

async fn search(mode: FindMode, duration: Duration, clients: &[Client]) -> Searched {
    let count = (duration.as_secs_f64() * f64::from(RATE)) as usize;
    let began = Instant::now();
    let one = |number: usize| {
        let due = began + Duration::from_secs(1) * number as u32 / RATE;
        // Neither the peer that has it, nor always the same distance from it.
        let client = &clients[(number * 7 + number / ITEMS + 1) % clients.len()];
        async move {
            tokio::time::sleep_until(due.into()).await;
            let is_found = is_found(mode, number % ITEMS, client).await;
            (is_found, due.elapsed())
        }
    };
    let mut searches: FuturesUnordered<_> = (0..count).map(one).collect();
    let (mut times, mut found) = (Vec::with_capacity(count), 0);
    while let Some((is_found, time)) = searches.next().await {
        found += usize::from(is_found);
        times.push(time);
    }
    times.sort_unstable();
    Searched { found, missed: count - found, elapsed: began.elapsed(), times }
}

impl Searched {
    fn reports(&self, names: [&'static str; 2], peers: usize) -> [Report; 2] {
        let at = |share: f64| self.times[((self.times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
        let rate = self.found as f64 / self.elapsed.as_secs_f64();
        let rate = Report {
            name: names[0],
            value: rate,
            unit: "searches/s",
            reference: PROMISED,
            reference_name: "a fixed limit (issue 5)",
            ratio: rate / PROMISED,
            promised: 1.0,
            at_most: false,
            note: format!("{peers} peers, {RATE} searches due each second, {} not found", self.missed),
        };
        let late = Report {
            name: names[1],
            value: at(0.99),
            unit: "ms",
            reference: P99,
            reference_name: "a fixed limit (issue 5)",
            ratio: at(0.99) / P99,
            promised: 1.0,
            at_most: true,
            note: format!("from when each was due; p50 {:.1} ms, the longest {:.1} ms", at(0.50), at(1.0)),
        };
        [rate, late]
    }
}
