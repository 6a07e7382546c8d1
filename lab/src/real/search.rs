//! Questions to real peers who share things: who has what and who asks for what is what the simulator draws of the same seed.
//!
//! Questions are put at a steady rate, whether the ones before are answered or not, and each counts from when it was due.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use futures::future::join_all;
use synod_experiment::config::Search;
use synod_machine::{Count, PeerId};
use synod_node::api::client::Client;
use synod_node::api::types::{FindAnswer, FindMode, FindQuestion, FindRequest, NewItem};
use synod_node::config::{DhtKind, SearchKind};
use synod_scenario::overlay::compare::{Drawn, Mode, Terms, drawn};

use super::Options;
use super::measure::{Measured, cpu_seconds, memory_peaks, passed};
use crate::error::LabError;
use crate::network::{Network, STOP_GRACE};
use crate::searches::{kinds, wait_published};
use crate::settings::{NODES_MAX, Settings};
use crate::watch;

/// Puts the questions of a cell. Its processes end with this function, and with the thread that calls it.
pub(super) async fn measure(search: &Search, seed: u64, options: &Options) -> Result<Measured, LabError> {
    let refuse = |field: &str, expected: String| Err(LabError::Unreal { field: field.to_owned(), expected });
    if search.churn.is_some() {
        return refuse("search.churn", "none: real peers stay".to_owned());
    }
    if search.peers as usize > NODES_MAX {
        return refuse("search.peers", format!("{NODES_MAX} at most"));
    }
    let terms = search.terms(seed).map_err(|error| LabError::Usage { message: error.to_string() })?;
    let (mode, dht, searches) = overlay(&terms);
    let settings =
        Settings { nodes: search.peers as usize, hash_rate: 0, dht, search: searches, ..Settings::default() };
    let mut network = Network::create(&options.dir, &settings, &options.program)?;
    let all: Vec<usize> = (0..network.peers().len()).collect();
    let measured = ask(&mut network, &all, mode, &drawn(&terms)).await;
    // The first error is the one to report.
    let ended = network.stop(&all, STOP_GRACE).await;
    let measured = measured?;
    ended.map(|_| measured)
}

/// What its peers run. Kademlia is ours, which the simulator runs, too.
fn overlay(terms: &Terms) -> (FindMode, Vec<DhtKind>, Vec<SearchKind>) {
    match terms.mode {
        Mode::Chord => (FindMode::Chord, vec![DhtKind::Chord], Vec::new()),
        Mode::Flood => (FindMode::Flood, Vec::new(), vec![SearchKind::Flood]),
        Mode::Index => (FindMode::Index, Vec::new(), vec![SearchKind::Index]),
        Mode::Kademlia => (FindMode::KademliaLab, vec![DhtKind::KademliaLab], Vec::new()),
        Mode::Superpeer => (FindMode::Superpeer, Vec::new(), vec![SearchKind::Superpeer]),
    }
}

async fn ask(network: &mut Network, all: &[usize], mode: FindMode, drawn: &Drawn) -> Result<Measured, LabError> {
    for &place in all {
        network.start(place, true)?;
    }
    network.wait_ready(all, START_LIMIT, |_| {}).await?;
    watch::wait_connected(network, all, START_LIMIT, |_, _| {}).await?;
    let clients: Vec<Client> = all.iter().map(|&place| network.client(place)).collect();
    wait_published(&clients).await?;
    for (client, ranks) in clients.iter().zip(&drawn.holdings) {
        for rank in ranks {
            let new = NewItem { name: name(*rank), keywords: String::new() };
            let shared = client.add_item(&new, name(*rank).into_bytes()).await;
            shared.map_err(|error| LabError::api("a peer", error))?;
        }
    }
    wait_published(&clients).await?;
    wait_found(mode, &clients, drawn).await;
    // What is sent when nobody asks anything.
    let (idle_from, idle_begun) = (quiet(mode, &clients).await?, Instant::now());
    tokio::time::sleep(IDLE).await;
    let (before, cpu_before) = (sent(&clients).await?, cpu_seconds(network));
    let idle = total(&passed(&idle_from, &before), idle_begun.elapsed().as_secs_f64());
    let begun = Instant::now();
    let answers = put(mode, &clients, drawn).await;
    let (after, seconds) = (quiet(mode, &clients).await?, begun.elapsed().as_secs_f64());
    let cpu_seconds = cpu_seconds(network) - cpu_before;
    let ids: Vec<String> = network.peers().iter().map(|entry| entry.peer_id.to_string()).collect();
    let answered: Vec<Answered> =
        drawn.asks.iter().zip(&answers).filter_map(|(ask, answer)| counts(ask.1, answer, drawn, &ids)).collect();
    let mut figures = figures(&answered, drawn.asks.len());
    let passed = passed(&before, &after);
    // Tables look up for their own upkeep, too, by the same messages.
    let (messages, bytes) = match mode {
        FindMode::Flood | FindMode::Index | FindMode::Superpeer => {
            let asked = passed.iter().filter(|(kind, _)| kinds(mode).contains(&kind.as_str()));
            total(&asked.map(|(kind, count)| (kind.clone(), *count)).collect(), 1.0)
        }
        FindMode::Chord | FindMode::Kademlia | FindMode::KademliaLab => {
            let all = total(&passed, 1.0);
            ((all.0 - idle.0 * seconds).max(0.0), (all.1 - idle.1 * seconds).max(0.0))
        }
    };
    let peers = clients.len() as f64;
    let (asked, lived) = (drawn.asks.len().max(1) as f64, seconds * peers);
    let memory = memory_peaks(network);
    figures.extend([
        ("messages_per_question", messages / asked),
        ("bytes_per_question", bytes / asked),
        ("upkeep_messages_per_peer_second", idle.0 / peers),
        ("upkeep_bytes_per_peer_second", idle.1 / peers),
        ("cpu_cores_per_peer", cpu_seconds / lived),
        ("memory_peak", memory.iter().sum::<u64>() as f64 / memory.len().max(1) as f64),
    ]);
    Ok(Measured { figures, sent: passed, cpu_seconds })
}

/// Messages and bytes of all kinds, for each of so many seconds.
fn total(sent: &BTreeMap<String, Count>, seconds: f64) -> (f64, f64) {
    let sum = sent.values().fold((0, 0), |sum, count| (sum.0 + count.messages, sum.1 + count.bytes));
    (sum.0 as f64 / seconds, sum.1 as f64 / seconds)
}

fn name(rank: u32) -> String {
    format!("thing {rank}")
}

fn request(mode: FindMode, rank: u32) -> FindRequest {
    // One replica's answer is enough, as it is in the simulator.
    FindRequest { mode, question: FindQuestion::Name(name(rank)), ttl: 0, wanted: None, replicas: None, read: Some(1) }
}

/// Waits until everything that will be asked for is found, or as long as catalogues take to reach whoever has to have them.
async fn wait_found(mode: FindMode, clients: &[Client], drawn: &Drawn) {
    let mut missing: BTreeSet<_> = drawn.asks.iter().map(|(asker, rank)| (*rank, asker.0 as usize)).collect();
    let began = Instant::now();
    while !missing.is_empty() && began.elapsed() < PATIENCE {
        let mut left = BTreeSet::new();
        for (rank, asker) in missing {
            if began.elapsed() >= PATIENCE {
                return;
            }
            let is_found = clients[asker].find(&request(mode, rank)).await.is_ok_and(|answer| !answer.hits.is_empty());
            if !is_found {
                left.insert((rank, asker));
            }
        }
        missing = left;
        tokio::time::sleep(POLL).await;
    }
}

/// Every question's answer and how long it took from when it was due. Nothing, where the peer did not answer.
async fn put(mode: FindMode, clients: &[Client], drawn: &Drawn) -> Vec<Option<(FindAnswer, Duration)>> {
    let began = Instant::now();
    let one = |(number, (asker, rank)): (usize, &(PeerId, u32))| {
        let due = began + Duration::from_secs(1) * number as u32 / RATE;
        let (client, request) = (&clients[asker.0 as usize], request(mode, *rank));
        async move {
            tokio::time::sleep_until(due.into()).await;
            let answer = client.find(&request).await;
            answer.ok().map(|answer| (answer, due.elapsed()))
        }
    };
    join_all(drawn.asks.iter().enumerate().map(one)).await
}

/// An answer that names a peer that has what was asked for.
struct Answered {
    hops: u32,
    took: Duration,
}

fn counts(rank: u32, answer: &Option<(FindAnswer, Duration)>, drawn: &Drawn, ids: &[String]) -> Option<Answered> {
    let (answer, took) = answer.as_ref()?;
    let holds = |peer: &String| {
        let place = ids.iter().position(|id| id == peer);
        place.is_some_and(|place| drawn.holdings[place].contains(&rank))
    };
    let hit = answer.hits.iter().find(|hit| hit.item.name == name(rank) && holds(&hit.holder));
    hit.map(|_| Answered { hops: answer.cost.hops, took: *took })
}

fn figures(answered: &[Answered], asked: usize) -> BTreeMap<&'static str, f64> {
    let mut figures = BTreeMap::from([("asked", asked as f64)]);
    if asked > 0 {
        figures.insert("success", answered.len() as f64 / asked as f64);
    }
    if answered.is_empty() {
        return figures;
    }
    let hops: f64 = answered.iter().map(|answer| f64::from(answer.hops)).sum();
    figures.insert("hops", hops / answered.len() as f64);
    let mut times: Vec<f64> = answered.iter().map(|answer| answer.took.as_secs_f64()).collect();
    times.sort_unstable_by(f64::total_cmp);
    for (name, share) in [("latency_p50", 0.50), ("latency_p95", 0.95), ("latency_p99", 0.99)] {
        // The nearest rank, as the simulator has it.
        let rank = (share * times.len() as f64).ceil() as usize;
        figures.insert(name, times[rank.clamp(1, times.len()) - 1]);
    }
    figures
}

/// What all peers sent of overlays' messages so far, by kind.
async fn sent(clients: &[Client]) -> Result<BTreeMap<String, Count>, LabError> {
    let mut sum: BTreeMap<String, Count> = BTreeMap::new();
    for overlays in join_all(clients.iter().map(Client::overlays)).await {
        let overlays = overlays.map_err(|error| LabError::api("a peer", error))?;
        for (kind, sent) in overlays.traffic {
            let count = sum.entry(kind).or_default();
            count.messages += sent.messages;
            count.bytes += sent.bytes;
        }
    }
    Ok(sum)
}

/// The same when nobody sends anything more for a question: a flood goes on after its first hit.
async fn quiet(mode: FindMode, clients: &[Client]) -> Result<BTreeMap<String, Count>, LabError> {
    let asked = |sent: &BTreeMap<String, Count>| -> u64 {
        kinds(mode).iter().filter_map(|kind| sent.get(*kind)).map(|count| count.messages).sum()
    };
    let began = Instant::now();
    let mut last = sent(clients).await?;
    loop {
        tokio::time::sleep(POLL).await;
        let now = sent(clients).await?;
        if asked(&now) == asked(&last) || began.elapsed() > PATIENCE {
            return Ok(now);
        }
        last = now;
    }
}

/// Questions a second, of all peers together: few enough that they do not wait for each other.
const RATE: u32 = 20;
/// How long is counted while nobody asks.
const IDLE: Duration = Duration::from_secs(10);
/// All peers start and are connected within it on a machine that is not busy.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How long is waited for what may not come.
const PATIENCE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(100);
