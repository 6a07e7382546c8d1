//! `synod peers` and `synod overlay`: who is connected to whom, and whom the overlays' tables name.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use clap::Args;
use serde_json::json;
use synod_node::api::types::{FindMode, NodeRef, OverlaysInfo};

use super::context::{Context, PeerArg};
use crate::error::LabError;
use crate::shell::render;

/// `synod peers`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  synod peers --peer peer3\n  synod peers --peer peer3 --table")]
pub(super) struct PeersArgs {
    /// Show whom its overlays' tables name: predecessor, successors and fingers, buckets, superpeers and leaves
    #[arg(long)]
    table: bool,
    #[command(flatten)]
    peer: PeerArg,
}

/// `synod overlay`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  synod overlay --mode chord --dot | dot -Tsvg > ring.svg
  synod overlay --json")]
pub(super) struct OverlayArgs {
    /// Write the graph in Graphviz's language
    #[arg(long)]
    dot: bool,
    /// Only this overlay's edges: chord, kademlia-lab, flood or superpeer [default: all]
    #[arg(long, value_parser = mode)]
    mode: Option<FindMode>,
}

fn mode(text: &str) -> Result<FindMode, String> {
    const SHOWN: [FindMode; 4] = [FindMode::Chord, FindMode::KademliaLab, FindMode::Flood, FindMode::Superpeer];
    let found = SHOWN.into_iter().find(|mode| mode.name() == text);
    found.ok_or_else(|| "expected chord, kademlia-lab, flood or superpeer".to_owned())
}

/// An edge of an overlay's graph.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
struct Edge {
    overlay: FindMode,
    /// What it is there: `successor`, `finger`, `bucket`, `neighbour`, `superpeer` or `leaf`.
    role: &'static str,
    from: String,
    to: String,
}

pub(super) async fn peers(context: &Context, args: PeersArgs) -> Result<(), LabError> {
    let peer = context.reach(&args.peer).await?;
    if args.table {
        let overlays = peer.client.overlays().await.map_err(|error| LabError::api(&peer.name, error))?;
        let names = names(context).await;
        context.shell.result(&overlays, || tables(context, &overlays, &names));
        return Ok(());
    }
    let peers = peer.client.peers().await.map_err(|error| LabError::api(&peer.name, error))?;
    let names = names(context).await;
    context.shell.result(&peers, || {
        let mut table =
            context.shell.table(&["PEER", "ADDRESS", "DIRECTION", "#HEIGHT", "#RTT MS", "#SENT", "#RECEIVED"]);
        for peer in &peers {
            let rtt = peer.rtt_ms.map_or("-".to_owned(), |rtt| format!("{rtt:.1}"));
            table.add_row([
                names.get(&peer.peer_id).cloned().unwrap_or_else(|| peer.peer_id.clone()),
                peer.address.clone(),
                format!("{:?}", peer.direction).to_lowercase(),
                peer.height.map_or("-".to_owned(), |height| height.to_string()),
                rtt,
                peer.sent_bytes.to_string(),
                peer.received_bytes.to_string(),
            ]);
        }
        render(&table)
    });
    Ok(())
}

/// The names of the network's peers by their peer ids; none without a network's directory.
async fn names(context: &Context) -> BTreeMap<String, String> {
    let Ok(network) = context.network() else { return BTreeMap::new() };
    network.peers().iter().map(|entry| (entry.peer_id.clone(), entry.name.clone())).collect()
}

fn tables(context: &Context, overlays: &OverlaysInfo, names: &BTreeMap<String, String>) -> String {
    let mut table = context.shell.table(&["OVERLAY", "ROLE", "PEER", "ID"]);
    for (overlay, role, node) in nodes(overlays) {
        let id = node.id.to_string();
        table.add_row([overlay.name().to_owned(), role.to_owned(), named(names, &node.peer_id), id[..16].to_owned()]);
    }
    let own = overlays.own.id.to_string();
    let index = overlays.index.map_or(String::new(), |index| match index.server {
        true => format!("\nindex: it is the server, of {} items", index.items),
        false => format!("\nindex: {} servers know what it shares", index.registrations),
    });
    format!(
        "{} stands at {}, shares {} items, {} records still to be published{index}\n\n{}",
        named(names, &overlays.own.peer_id),
        &own[..16],
        overlays.items,
        overlays.unpublished,
        render(&table)
    )
}

/// Whom a peer's tables name, and as what.
fn nodes(overlays: &OverlaysInfo) -> Vec<(FindMode, &'static str, &NodeRef)> {
    let mut nodes = Vec::new();
    if let Some(chord) = &overlays.chord {
        nodes.extend(chord.predecessor.iter().map(|node| (FindMode::Chord, "predecessor", node)));
        nodes.extend(chord.successors.iter().map(|node| (FindMode::Chord, "successor", node)));
        nodes.extend(chord.fingers.iter().map(|node| (FindMode::Chord, "finger", node)));
    }
    if let Some(kademlia) = &overlays.kademlia_lab {
        let contacts = kademlia.buckets.iter().flat_map(|bucket| &bucket.nodes);
        nodes.extend(contacts.map(|node| (FindMode::KademliaLab, "bucket", node)));
    }
    nodes.extend(overlays.flood.iter().flatten().map(|node| (FindMode::Flood, "neighbour", node)));
    if let Some(superpeer) = &overlays.superpeer {
        nodes.extend(superpeer.superpeers.iter().map(|node| (FindMode::Superpeer, "superpeer", node)));
        nodes.extend(superpeer.leaves.iter().map(|node| (FindMode::Superpeer, "leaf", node)));
    }
    nodes
}

fn named(names: &BTreeMap<String, String>, peer: &str) -> String {
    names.get(peer).cloned().unwrap_or_else(|| peer.to_owned())
}

pub(super) async fn overlay(context: &Context, args: OverlayArgs) -> Result<(), LabError> {
    let mut edges = Vec::new();
    let mut vertices = BTreeMap::new();
    let names = names(context).await;
    for peer in context.reach_all().await?.into_iter().filter_map(Result::ok) {
        let overlays = peer.client.overlays().await.map_err(|error| LabError::api(&peer.name, error))?;
        let is_shown = |overlay: FindMode| args.mode.is_none_or(|mode| mode == overlay);
        for (overlay, role, node) in nodes(&overlays).into_iter().filter(|(overlay, ..)| is_shown(*overlay)) {
            edges.push(Edge { overlay, role, from: peer.name.clone(), to: named(&names, &node.peer_id) });
        }
        vertices.insert(peer.name.clone(), overlays);
    }
    edges.sort();
    let dot = || dot(&vertices, &edges);
    if args.dot && !context.shell.json {
        context.shell.print(&dot());
        return Ok(());
    }
    let value = json!({ "peers": vertices, "edges": edges });
    context.shell.result(&value, || {
        let mut table = context.shell.table(&["OVERLAY", "ROLE", "FROM", "TO"]);
        for edge in &edges {
            table.add_row([edge.overlay.name(), edge.role, &edge.from, &edge.to]);
        }
        render(&table)
    });
    Ok(())
}

/// The graph in Graphviz's language: an overlay is told by its colour, a place in it by the line.
fn dot(vertices: &BTreeMap<String, OverlaysInfo>, edges: &[Edge]) -> String {
    let mut text = String::from("digraph overlay {\n  layout = circo;\n  node [shape = ellipse];\n");
    for (name, overlays) in vertices {
        let is_superpeer = overlays.superpeer.as_ref().is_some_and(|superpeer| superpeer.superpeer);
        let shape = if is_superpeer { ", shape = doubleoctagon" } else { "" };
        let id = overlays.own.id.to_string();
        writeln!(text, "  {name:?} [label = \"{name}\\n{}\"{shape}];", &id[..8]).expect("text can be written to");
    }
    for Edge { overlay, role, from, to } in edges {
        let color = match overlay {
            FindMode::Chord => "blue",
            FindMode::Flood => "gray",
            FindMode::Kademlia | FindMode::KademliaLab => "darkgreen",
            FindMode::Index | FindMode::Superpeer => "red",
        };
        let style = if matches!(*role, "finger" | "leaf") { "dashed" } else { "solid" };
        writeln!(text, "  {from:?} -> {to:?} [color = {color}, style = {style}, tooltip = \"{role}\"];")
            .expect("text can be written to");
    }
    text.push('}');
    text
}
