//! `synod chain`, `synod block` and `synod mempool`: what is settled, what is in dispute, what waits.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use synod_node::api::types::{BlockInfo, BlockRef, BlockSummary, ChainQuery, MempoolInfo, MempoolQuery, TreeQuery};

use super::context::{Context, PeerArg};
use crate::error::LabError;
use crate::exit::Exit;
use crate::shell::{render, short};
use crate::tree::Tree;
use crate::watch::{self, Fork};

/// `synod block`.
#[derive(Debug, Subcommand)]
pub(super) enum BlockCommand {
    /// Show a block with its transactions
    #[command(after_help = "Example:\n  synod block show 12\n  synod block show 000003f1... --json")]
    Show {
        /// The block's height on the active chain, or its id
        block: BlockRef,
        #[command(flatten)]
        peer: PeerArg,
    },
}

/// `synod chain`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  synod chain --limit 5
  synod chain --tree --depth 30     # all branches, with each peer's tip")]
pub(super) struct ChainArgs {
    /// Show all branches that the peers know, and who stands where
    #[arg(long)]
    tree: bool,
    /// How many heights of the tree
    #[arg(long, default_value_t = 20, value_name = "N", requires = "tree")]
    depth: u32,
    /// How many blocks of the chain, newest first
    #[arg(long, default_value_t = 20, value_name = "N")]
    limit: u32,
    /// Only blocks below this height
    #[arg(long, value_name = "HEIGHT", conflicts_with = "tree")]
    before: Option<u64>,
    #[command(flatten)]
    peer: PeerArg,
}

/// `synod mempool`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  synod mempool --peer peer3")]
pub(super) struct MempoolArgs {
    /// How many payments to list
    #[arg(long, default_value_t = 20, value_name = "N")]
    limit: u32,
    #[command(flatten)]
    peer: PeerArg,
}

/// What it shows may be that two blocks of one height were agreed on: the exit code says so too.
pub(super) async fn chain(context: &Context, args: ChainArgs) -> Result<Exit, LabError> {
    if args.tree {
        return tree(context, &args).await;
    }
    let peer = context.reach(&args.peer).await?;
    let query = ChainQuery { before: args.before, limit: Some(args.limit) };
    let blocks = peer.client.chain(query).await.map_err(|error| LabError::api(&peer.name, error))?;
    let mut value = json!({ "peer": peer.name, "height": peer.status.height, "blocks": blocks });
    let fork = watch::fork(std::iter::once(&peer.status));
    add_fork(&mut value, fork.as_ref());
    context.shell.result(&value, || with_fork(chain_table(context, &blocks), fork.as_ref()));
    Ok(Fork::exit(fork.as_ref()))
}

async fn tree(context: &Context, args: &ChainArgs) -> Result<Exit, LabError> {
    let peers = match &args.peer.peer {
        Some(_) => vec![context.reach(&args.peer).await?],
        None => context.reach_all().await?.into_iter().filter_map(Result::ok).collect(),
    };
    let mut tree = Tree::new();
    for peer in &peers {
        let nodes = peer.client.tree(TreeQuery { depth: Some(args.depth) }).await;
        tree.add(&peer.name, peer.status.tip, nodes.map_err(|error| LabError::api(&peer.name, error))?);
    }
    let tips: BTreeMap<_, _> = peers.iter().map(|peer| (&peer.name, peer.status.tip)).collect();
    let fork = watch::fork(peers.iter().map(|peer| &peer.status));
    let mut value = json!({ "tips": tips, "nodes": tree.nodes() });
    add_fork(&mut value, fork.as_ref());
    context.shell.result(&value, || with_fork(tree.draw(), fork.as_ref()));
    Ok(Fork::exit(fork.as_ref()))
}

fn add_fork(value: &mut Value, fork: Option<&Fork>) {
    if let Some(fork) = fork {
        value["violation"] = json!(fork.shown);
    }
}

fn with_fork(text: String, fork: Option<&Fork>) -> String {
    fork.map_or_else(|| text.clone(), |fork| format!("{text}\n\n{}", fork.text()))
}

pub(super) async fn block(context: &Context, command: BlockCommand) -> Result<(), LabError> {
    let BlockCommand::Show { block, peer } = command;
    let peer = context.reach(&peer).await?;
    let info = peer.client.block(block).await.map_err(|error| LabError::api(&peer.name, error))?;
    context.shell.result(&info, || block_text(context, &info));
    Ok(())
}

pub(super) async fn mempool(context: &Context, args: MempoolArgs) -> Result<(), LabError> {
    let peer = context.reach(&args.peer).await?;
    let query = MempoolQuery { limit: Some(args.limit) };
    let info = peer.client.mempool(query).await.map_err(|error| LabError::api(&peer.name, error))?;
    let mut value = serde_json::to_value(&info).expect("our own values are JSON");
    value["peer"] = json!(peer.name);
    context.shell.result(&value, || mempool_text(context, &peer.name, &info));
    Ok(())
}

fn chain_table(context: &Context, blocks: &[BlockSummary]) -> String {
    let mut table = context.shell.table(&["#HEIGHT", "ID", "#PAYMENTS", "#BYTES", "#SECONDS", "MINER"]);
    for (place, block) in blocks.iter().enumerate() {
        // The time since the block below, which the list has unless it ends here.
        let below = blocks.get(place + 1).map(|below| block.time_unix_ms as f64 - below.time_unix_ms as f64);
        let seconds = below.map_or("-".to_owned(), |millis| format!("{:.1}", millis / 1_000.0));
        let miner = block.miner.map_or("-".to_owned(), |miner| miner.to_string());
        let (height, payments, bytes) = (block.height.to_string(), block.payments.to_string(), block.bytes.to_string());
        table.add_row([height, short(block.id), payments, bytes, seconds, miner]);
    }
    render(&table)
}

fn block_text(context: &Context, info: &BlockInfo) -> String {
    let summary = &info.summary;
    let active = if info.active { "on the active chain" } else { "on no active branch" };
    let mut text = format!(
        "block          {}\nheight         {}\nparent         {}\nroot           {}\n\
         confirmations  {} ({active})\nsize           {} bytes\n",
        summary.id, summary.height, summary.parent, info.root, info.confirmations, summary.bytes
    );
    for output in &info.coinbase.outputs {
        let _ = writeln!(text, "coinbase       {} to {}", output.amount, output.to);
    }
    for evidence in &info.evidence {
        let [first, second] = evidence.headers.as_slice() else { continue };
        let _ = writeln!(text, "takes stake of {}, who signed {} and {}", evidence.owner, first.id, second.id);
    }
    if info.transactions.is_empty() {
        return text.trim_end().to_owned();
    }
    let mut table = context.shell.table(&["#INDEX", "PAYMENT", "#INPUTS", "#OUTPUTS", "#BYTES"]);
    for tx in &info.transactions {
        let (inputs, outputs) = (tx.payment.inputs.len().to_string(), tx.payment.outputs.len().to_string());
        table.add_row([tx.index.to_string(), tx.id.to_string(), inputs, outputs, tx.bytes.to_string()]);
    }
    format!("{text}\n{}", render(&table))
}

fn mempool_text(context: &Context, peer: &str, info: &MempoolInfo) -> String {
    let mut text =
        format!("{} payments wait at {peer}, {} bytes; the lowest fee is {}", info.payments, info.bytes, info.fee_min);
    if !info.entries.is_empty() {
        let mut table = context.shell.table(&["PAYMENT", "#FEE", "#BYTES", "#INPUTS", "#OUTPUTS", "ACKNOWLEDGED"]);
        for entry in &info.entries {
            let (inputs, outputs) = (entry.inputs.to_string(), entry.outputs.to_string());
            let here = if entry.pinned { "here" } else { "elsewhere" };
            let id = entry.id.to_string();
            table.add_row([id, entry.fee.to_string(), entry.bytes.to_string(), inputs, outputs, here.to_owned()]);
        }
        let _ = write!(text, "\n\n{}", render(&table));
    }
    if info.conflicts_total > 0 {
        let _ = write!(text, "\n\n{} double spends were seen:", info.conflicts_total);
    }
    for conflict in &info.conflicts {
        let (kept, seen) = (short(conflict.kept), short(conflict.seen));
        let _ =
            write!(text, "\n  coin {}:{}: {kept} stayed, {seen} was refused", conflict.coin.tx, conflict.coin.index);
    }
    text
}
