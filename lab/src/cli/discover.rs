//! `synod put` and `synod find`: sharing something, and finding it by each overlay and search, with what that costs.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use futures::future::join_all;
use serde::Serialize;
use serde_json::json;
use synod_machine::Bytes;
use synod_node::api::types::{
    FetchRequest, FindAnswer, FindMode, FindQuestion, FindRequest, HitInfo, ItemInfo, NewItem, OverlaysInfo,
    TrafficInfo,
};

use super::context::{Context, PeerArg, Reached};
use crate::error::LabError;
use crate::exit::Exit;
use crate::files;
use crate::searches::kinds;
use crate::shell::{render, short};

/// `synod put`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  synod put report.pdf --keywords \"annual figures\"
  synod put notes.txt --name notes --copies 3
  synod put --remove 5b1f...                      # shared no longer

The peers must run with overlays: synod up --dht chord --search all")]
pub(super) struct PutArgs {
    /// The file, of up to 16 MiB
    #[arg(required_unless_present = "remove", conflicts_with = "remove")]
    file: Option<PathBuf>,
    /// What it is called [default: the file's name]
    #[arg(long, conflicts_with = "remove")]
    name: Option<String>,
    /// Words that it is found by, beside those of its name
    #[arg(long, default_value = "", value_name = "WORDS", conflicts_with = "remove")]
    keywords: String,
    /// How many peers keep it: the one that is asked and those after it
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u16).range(1..), conflicts_with = "remove")]
    copies: u16,
    /// The hash of what is to be shared no longer, by any peer
    #[arg(long, value_name = "HASH")]
    remove: Option<Bytes<32>>,
    #[command(flatten)]
    peer: PeerArg,
}

/// `synod find`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  synod find annual figures                  # by every overlay and search that the network has
  synod find --name notes --mode chord
  synod find 5b1f... --mode flood --ttl 3 --out notes.txt
  synod find block 12 --mode chord

A query of 64 hexadecimal digits is a hash, any other is words. Messages and bytes are those that all peers sent for the search
and the answers, in kinds that upkeep does not use; hops and peers asked are the asking peer's count. libp2p's Kademlia tells
neither hops nor bytes: its messages are the requests that it counts. What is found is fetched and checked against its hash.")]
pub(super) struct FindArgs {
    /// What to look for: words, or a hash
    #[arg(required_unless_present = "name", conflicts_with = "name")]
    query: Vec<String>,
    /// Look for this name exactly
    #[arg(long)]
    name: Option<String>,
    /// How: chord, kademlia, kademlia-lab, flood, superpeer, index or all
    #[arg(long, default_value = "all", value_parser = modes)]
    mode: Modes,
    /// How far a flood goes, in hops
    #[arg(long, default_value_t = 7, value_name = "HOPS")]
    ttl: u8,
    /// With so many hits a search may end
    #[arg(long, default_value_t = 1, value_name = "N")]
    wanted: u16,
    /// How many replicas of a table's records are asked [default: 3]
    #[arg(long, value_name = "N")]
    replicas: Option<u8>,
    /// How many of them must answer [default: 2 with chord, 1 with kademlia-lab]
    #[arg(long, value_name = "R")]
    read: Option<u8>,
    /// Write what is found to this file
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Do not fetch what is found
    #[arg(long, conflicts_with = "out")]
    no_fetch: bool,
    #[command(flatten)]
    peer: PeerArg,
}

/// Which modes; nothing for all that the network has.
#[derive(Clone, Debug)]
struct Modes(Option<FindMode>);

fn modes(text: &str) -> Result<Modes, String> {
    if text == "all" {
        return Ok(Modes(None));
    }
    let found = FindMode::ALL.into_iter().find(|mode| mode.name() == text);
    let names: Vec<&str> = FindMode::ALL.iter().map(|mode| mode.name()).collect();
    found.map(|mode| Modes(Some(mode))).ok_or_else(|| format!("expected {} or all", names.join(", ")))
}

/// What became of one mode's search.
#[derive(Debug, Serialize)]
struct Row {
    mode: FindMode,
    found: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
    hops: Option<u32>,
    messages: u64,
    bytes: Option<u64>,
    latency_us: u64,
    asked: u32,
    timeouts: u32,
    hits: Vec<HitInfo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fetched: Option<Fetched>,
}

/// A content that was fetched and checked.
#[derive(Debug, Serialize)]
struct Fetched {
    item: ItemInfo,
    /// The name of the peer that gave it, or its peer id.
    from: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
}

pub(super) async fn put(context: &Context, args: PutArgs) -> Result<(), LabError> {
    if let Some(hash) = args.remove {
        return remove(context, &hash).await;
    }
    let file = args.file.as_deref().expect("the command line demands it");
    let content = fs::read(file).map_err(|error| LabError::io(file, error))?;
    let name = args.name.clone().unwrap_or_else(|| file_name(file));
    let new = NewItem { name, keywords: args.keywords.clone() };
    let first = context.reach(&args.peer).await?;
    let mut keepers = Vec::new();
    let mut shared = None;
    for peer in keepers_of(context, first, usize::from(args.copies)).await? {
        let item = peer.client.add_item(&new, content.clone()).await;
        shared = Some(item.map_err(|error| LabError::api(&peer.name, error))?);
        keepers.push(peer.name);
    }
    let item = shared.expect("at least one peer keeps it");
    let value = json!({ "item": item, "peers": keepers });
    context.shell.result(&value, || {
        format!("{} ({} bytes, {}) is shared by {}", item.name, item.bytes, short(item.hash), keepers.join(", "))
    });
    Ok(())
}

/// The first and those after it in the network.
async fn keepers_of(context: &Context, first: Reached, copies: usize) -> Result<Vec<Reached>, LabError> {
    if copies == 1 {
        return Ok(vec![first]);
    }
    let mut peers: Vec<Reached> = context.reach_all().await?.into_iter().filter_map(Result::ok).collect();
    let place = peers.iter().position(|peer| peer.name == first.name).unwrap_or(0);
    peers.rotate_left(place);
    if peers.len() < copies {
        return Err(LabError::TooFewPeers { wanted: copies, running: peers.len() });
    }
    peers.truncate(copies);
    Ok(peers)
}

async fn remove(context: &Context, hash: &Bytes<32>) -> Result<(), LabError> {
    let mut peers = Vec::new();
    for peer in context.reach_all().await?.into_iter().filter_map(Result::ok) {
        if peer.client.remove_item(hash).await.is_ok() {
            peers.push(peer.name);
        }
    }
    if peers.is_empty() {
        return Err(LabError::NotShared { hash: hash.to_string() });
    }
    context.shell.result(&json!({ "removed": hash, "peers": peers }), || {
        format!("{} is shared no longer by {}", short(*hash), peers.join(", "))
    });
    Ok(())
}

fn file_name(file: &Path) -> String {
    file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Found by all modes that were asked, or not: the exit code says so.
pub(super) async fn find(context: &Context, args: FindArgs) -> Result<Exit, LabError> {
    let asker = context.reach(&args.peer).await?;
    let all: Vec<Reached> = match context.reach_all().await {
        Ok(all) => all.into_iter().filter_map(Result::ok).collect(),
        // Asked by its address, without a network's directory.
        Err(_) => Vec::new(),
    };
    let names: BTreeMap<String, String> =
        all.iter().map(|peer| (peer.status.peer_id.clone(), peer.name.clone())).collect();
    let overlays = asker.client.overlays().await.map_err(|error| LabError::api(&asker.name, error))?;
    let modes = args.mode.0.map_or_else(|| modes_of(&overlays), |mode| vec![mode]);
    let mut rows = Vec::new();
    for mode in modes {
        rows.push(search(&args, mode, &asker, &all, &names).await?);
    }
    let value = json!({ "query": question(&args), "peer": asker.name, "modes": rows });
    context.shell.result(&value, || table(context, &rows, &names));
    let is_whole = |row: &Row| row.found && row.fetched.as_ref().is_none_or(|fetched| fetched.failure.is_none());
    Ok(if rows.iter().all(is_whole) { Exit::Ok } else { Exit::Generic })
}

/// What a peer takes part in.
fn modes_of(overlays: &OverlaysInfo) -> Vec<FindMode> {
    let has = |mode: &FindMode| match mode {
        FindMode::Chord => overlays.chord.is_some(),
        FindMode::Flood => overlays.flood.is_some(),
        FindMode::Index => overlays.index.is_some(),
        FindMode::Kademlia => overlays.kademlia,
        FindMode::KademliaLab => overlays.kademlia_lab.is_some(),
        FindMode::Superpeer => overlays.superpeer.is_some(),
    };
    FindMode::ALL.into_iter().filter(has).collect()
}

fn question(args: &FindArgs) -> FindQuestion {
    if let Some(name) = &args.name {
        return FindQuestion::Name(name.clone());
    }
    let text = args.query.join(" ");
    text.parse().map_or_else(|_| FindQuestion::Words(text.clone()), FindQuestion::Hash)
}

async fn search(
    args: &FindArgs,
    mode: FindMode,
    asker: &Reached,
    all: &[Reached],
    names: &BTreeMap<String, String>,
) -> Result<Row, LabError> {
    let request = FindRequest {
        mode,
        question: question(args),
        ttl: args.ttl,
        wanted: Some(args.wanted),
        replicas: args.replicas,
        read: args.read,
    };
    let before = spent(mode, all).await;
    let answer = asker.client.find(&request).await.map_err(|error| LabError::api(&asker.name, error))?;
    let spent = settled(mode, all, before).await;
    let FindAnswer { hits, failure, cost, latency_us } = answer;
    let fetched = if args.no_fetch { None } else { fetch(args, asker, &hits, names).await? };
    let is_foreign = mode == FindMode::Kademlia;
    Ok(Row {
        mode,
        found: failure.is_none(),
        failure,
        hops: (!is_foreign).then_some(cost.hops),
        messages: if is_foreign || all.is_empty() { u64::from(cost.messages) } else { spent.messages },
        bytes: (!is_foreign && !all.is_empty()).then_some(spent.bytes),
        latency_us,
        asked: cost.asked,
        timeouts: cost.timeouts,
        hits,
        fetched,
    })
}

/// Brings the first hit's content, from whoever has it.
async fn fetch(
    args: &FindArgs,
    asker: &Reached,
    hits: &[HitInfo],
    names: &BTreeMap<String, String>,
) -> Result<Option<Fetched>, LabError> {
    let Some(first) = hits.first() else { return Ok(None) };
    let item = first.item.clone();
    let holders = hits.iter().filter(|hit| hit.item.hash == item.hash).map(|hit| hit.holder.clone()).collect();
    Ok(Some(match asker.client.fetch(&FetchRequest { item: item.clone(), holders }).await {
        Ok((content, holder)) => {
            if let Some(out) = &args.out {
                files::write(out, &content)?;
            }
            Fetched { item, from: names.get(&holder).cloned().unwrap_or(holder), failure: None }
        }
        Err(error) => Fetched { item, from: String::new(), failure: Some(error.to_string()) },
    }))
}

/// What all peers sent of a mode's kinds so far.
async fn spent(mode: FindMode, all: &[Reached]) -> TrafficInfo {
    let overlays = join_all(all.iter().map(|peer| peer.client.overlays())).await;
    let mut sum = TrafficInfo::default();
    for traffic in overlays.iter().flatten().map(|overlays| &overlays.traffic) {
        for sent in kinds(mode).iter().filter_map(|kind| traffic.get(*kind)) {
            sum.messages += sent.messages;
            sum.bytes += sent.bytes;
        }
    }
    sum
}

/// What was sent since, when nothing more is: a flood goes on after its first hit.
async fn settled(mode: FindMode, all: &[Reached], before: TrafficInfo) -> TrafficInfo {
    let mut last = spent(mode, all).await;
    for _ in 0..LOOKS_MAX {
        tokio::time::sleep(LOOK).await;
        let now = spent(mode, all).await;
        if now == last {
            break;
        }
        last = now;
    }
    TrafficInfo {
        messages: last.messages.saturating_sub(before.messages),
        bytes: last.bytes.saturating_sub(before.bytes),
    }
}

/// Between two looks at what was sent: longer than a message takes on one machine.
const LOOK: Duration = Duration::from_millis(30);
/// Looks at a flood that does not end.
const LOOKS_MAX: usize = 40;

fn table(context: &Context, rows: &[Row], names: &BTreeMap<String, String>) -> String {
    let heads = ["MODE", "FOUND", "#HOPS", "#MESSAGES", "#BYTES", "#MS", "#ASKED", "HOLDER", "FETCHED"];
    let mut table = context.shell.table(&heads);
    let maybe = |figure: Option<u64>| figure.map_or("-".to_owned(), |figure| figure.to_string());
    for row in rows {
        let found = row.failure.clone().unwrap_or_else(|| match row.hits.len() {
            1 => "yes".to_owned(),
            count => format!("yes, {count} times"),
        });
        let holder = row.hits.first().map(|hit| names.get(&hit.holder).cloned().unwrap_or_else(|| hit.holder.clone()));
        let fetched = row.fetched.as_ref().map(|fetched| match &fetched.failure {
            None => format!("{} bytes of {}, hash checked", fetched.item.bytes, fetched.item.name),
            Some(failure) => failure.clone(),
        });
        table.add_row([
            row.mode.name().to_owned(),
            found,
            maybe(row.hops.map(u64::from)),
            row.messages.to_string(),
            maybe(row.bytes),
            format!("{:.1}", row.latency_us as f64 / 1_000.0),
            row.asked.to_string(),
            holder.unwrap_or_else(|| "-".to_owned()),
            fetched.unwrap_or_else(|| "-".to_owned()),
        ]);
    }
    render(&table)
}
