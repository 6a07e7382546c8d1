//! `synod status`: every peer in one table.

use std::io::Write as _;
use std::time::Duration;

use clap::Args;
use comfy_table::{Cell, Color};
use serde::Serialize;
use synod_ledger::{BlockId, Height};

use super::context::Context;
use crate::error::LabError;
use crate::exit::Exit;
use crate::network::Network;
use crate::shell::{Shell, render, short};
use crate::units::{show_count, show_duration};
use crate::watch::{self, Fork, PeerView};

/// `synod status`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  synod status
  synod status --watch
  synod status --json | jq '.peers[].status.height'")]
pub(super) struct StatusArgs {
    /// Show it again every second, until Ctrl-C
    #[arg(long)]
    watch: bool,
}

/// A network at one moment.
#[derive(Debug, Serialize)]
pub(super) struct NetworkView {
    pub(super) chain_id: String,
    pub(super) consensus: crate::settings::Consensus,
    /// Whether all peers that answer have one tip.
    pub(super) agree: bool,
    /// The tip, if they do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tip: Option<BlockId>,
    /// The greatest height.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) height_max: Option<Height>,
    pub(super) peers: Vec<PeerView>,
}

impl NetworkView {
    /// How many peers answer.
    pub(super) fn ready(&self) -> usize {
        self.peers.iter().filter(|peer| peer.status.is_some()).count()
    }

    /// What peers tell of two blocks that were agreed on at one height.
    pub(super) fn fork(&self) -> Option<Fork> {
        watch::fork(self.peers.iter().filter_map(|peer| peer.status.as_ref()))
    }

    /// The most payments that wait at one peer.
    pub(super) fn waiting(&self) -> u64 {
        self.peers
            .iter()
            .filter_map(|peer| peer.status.as_ref())
            .map(|status| status.mempool.payments)
            .max()
            .unwrap_or(0)
    }
}

/// What it shows may be that more validators are faulty than may be: the exit code says so too.
pub(super) async fn run(context: &Context, args: StatusArgs) -> Result<Exit, LabError> {
    let network = context.network()?;
    if !args.watch {
        let view = view(&network).await;
        context.shell.result(&view, || table(context.shell, &view));
        return Ok(Fork::exit(view.fork().as_ref()));
    }
    let watching = async {
        let mut screen = Screen::new(context.shell);
        loop {
            let view = view(&network).await;
            if context.shell.json {
                context.shell.json_line(&view);
            } else {
                screen.draw(&table(context.shell, &view));
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    tokio::select! {
        () = watching => {}
        () = super::interrupted() => {}
    }
    Ok(Exit::Ok)
}

/// Looks at the whole network.
pub(super) async fn view(network: &Network) -> NetworkView {
    let peers = watch::look(network).await;
    let tip = watch::common_tip(&peers);
    NetworkView {
        chain_id: network.manifest().chain_id.clone(),
        consensus: network.manifest().settings.consensus,
        agree: tip.is_some(),
        tip,
        height_max: peers.iter().filter_map(|peer| peer.status.as_ref()).map(|status| status.height).max(),
        peers,
    }
}

/// The network as a table.
pub(super) fn table(shell: Shell, view: &NetworkView) -> String {
    let mut table =
        shell.table(&["PEER", "STATE", "ADDRESS", "API", "#HEIGHT", "TIP", "#PEERS", "#MEMPOOL", "#HASHES/S", "#UP"]);
    for peer in &view.peers {
        table.add_row(row(shell, peer, view));
    }
    let agreement = match (view.tip, view.height_max) {
        (Some(tip), Some(height)) => format!("one tip at height {height}: {tip}"),
        (None, Some(_)) => "the peers have different tips".to_owned(),
        (_, None) => "no peer answers".to_owned(),
    };
    let fork = view.fork().map_or_else(String::new, |fork| format!("\n\n{}", fork.text()));
    format!("{}\n\n{agreement}{fork}", render(&table))
}

fn row(shell: Shell, peer: &PeerView, view: &NetworkView) -> Vec<Cell> {
    let color = match peer.state {
        "ready" if peer.status.is_some() => Color::Green,
        "stopped" => Color::Red,
        _ => Color::Yellow,
    };
    let of_note = peer.status.as_ref().and_then(|status| match status.light {
        true => Some("light"),
        false => status.adversary.as_deref(),
    });
    let state = of_note.map_or_else(|| peer.state.to_owned(), |of_note| format!("{}, {of_note}", peer.state));
    let mut cells = vec![Cell::new(&peer.name), shell.cell(state, color)];
    let Some(status) = &peer.status else {
        cells.extend([Cell::new("-"), Cell::new(&peer.api)]);
        cells.extend(std::iter::repeat_with(|| Cell::new("-")).take(6));
        return cells;
    };
    let address = status.listen.first().map_or("-", |address| address.split("/p2p/").next().unwrap_or(address));
    let height = if status.height < status.syncing {
        format!("{}/{}", status.height, status.syncing)
    } else {
        status.height.to_string()
    };
    let tip = if view.agree { Cell::new(short(status.tip)) } else { shell.cell(short(status.tip), Color::Yellow) };
    cells.extend([Cell::new(address), Cell::new(&peer.api), Cell::new(height), tip]);
    cells.extend([
        Cell::new(status.peers),
        Cell::new(status.mempool.payments),
        Cell::new(show_count(status.hash_rate)),
    ]);
    cells.push(Cell::new(show_duration(Duration::from_secs(status.uptime_ms / 1_000))));
    cells
}

/// A part of a terminal that is drawn over again and again.
pub(super) struct Screen {
    shell: Shell,
    lines: usize,
}

impl Screen {
    pub(super) const fn new(shell: Shell) -> Self {
        Self { shell, lines: 0 }
    }

    /// Draws `text` over what was drawn last; below it where the output is no terminal.
    pub(super) fn draw(&mut self, text: &str) {
        if self.shell.terminal && self.lines > 0 {
            let mut out = std::io::stdout().lock();
            // Up to the first line, then clear to the end: the cursor movements every terminal knows.
            let _ = write!(out, "\x1b[{}A\x1b[J", self.lines);
        }
        self.shell.print(text);
        self.lines = text.lines().count();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Consensus;

    fn stopped(name: &str) -> PeerView {
        PeerView {
            name: name.to_owned(),
            state: "stopped",
            pid: None,
            peer_id: "12D3".to_owned(),
            api: "127.0.0.1:8001".to_owned(),
            status: None,
            error: None,
        }
    }

    #[test]
    fn a_stopped_peer_has_its_row_too() {
        let shell = Shell { json: false, terminal: false, color: false };
        let view = NetworkView {
            chain_id: "00".to_owned(),
            consensus: Consensus::Pow,
            agree: false,
            tip: None,
            height_max: None,
            peers: vec![stopped("peer1")],
        };
        let text = table(shell, &view);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("PEER   STATE    ADDRESS  API"), "{text}");
        assert!(lines[1].starts_with("peer1  stopped  -        127.0.0.1:8001"), "{text}");
        assert_eq!(lines.last(), Some(&"no peer answers"));
    }

    #[test]
    fn json_leaves_out_what_is_not_known() {
        let value = serde_json::to_value(stopped("peer1")).expect("JSON");
        let names: Vec<&String> = value.as_object().expect("an object").keys().collect();
        assert_eq!(names, ["api", "name", "peer_id", "state"]);
    }
}
