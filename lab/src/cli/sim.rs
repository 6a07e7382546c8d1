//! `synod sim`: scenarios in virtual time.

mod batch;
mod file;
mod real;
mod replay;
mod report;
mod run;
mod shrink;
mod trace;

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{Args, Subcommand};
use synod_scenario::config;

use super::context::Context;
use crate::error::LabError;
use crate::exit::Exit;
use crate::shell::render;
pub(super) use batch::{batch, quiet_threads};
pub(super) use file::EngineArg;
use file::ScenarioFile;
use replay::ReplayArgs;
use run::RunArgs;
use shrink::ShrinkArgs;

/// `synod sim`.
#[derive(Debug, Subcommand)]
pub(super) enum SimCommand {
    /// Show the scenarios in a folder
    #[command(after_help = "Example:\n  synod sim list")]
    List {
        /// The folder
        #[arg(default_value = "scenarios", value_name = "DIR")]
        folder: PathBuf,
    },
    /// Run a seed again and show what led to its failure
    Replay(ReplayArgs),
    /// Run a scenario, with one seed or many
    Run(RunArgs),
    /// Show every field that a scenario may have, with its default; with --json, as a JSON Schema
    #[command(after_help = "Example:\n  synod sim schema | less\n  synod sim schema --json > scenario.schema.json")]
    Schema,
    /// Make a scenario that fails smaller
    Shrink(ShrinkArgs),
}

/// What a scenario is changed by on the command line.
#[derive(Clone, Debug, Default, Args)]
struct Overrides {
    /// So many peers instead of the scenario's
    #[arg(long, value_name = "N")]
    peers: Option<u32>,
    /// Encode and decode every message and record, as real peers do; slower, and the same run
    #[arg(long)]
    codec: bool,
}

impl Overrides {
    /// As they are typed, to run the same again.
    fn options(&self) -> String {
        let peers = self.peers.map_or_else(String::new, |peers| format!(" --peers {peers}"));
        let codec = if self.codec { " --codec" } else { "" };
        format!("{peers}{codec}")
    }
}

/// The commit that the program was built from.
pub(super) const COMMIT: &str = match option_env!("SYNOD_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

pub(super) async fn run(context: &Context, command: SimCommand) -> Result<Exit, LabError> {
    match command {
        SimCommand::List { folder } => list(context, &folder),
        SimCommand::Replay(args) => {
            let shell = context.shell;
            until_stopped(move |stop| replay::run(shell, &args, stop)).await
        }
        SimCommand::Run(args) if args.is_real() => super::unless_interrupted(run::run_real(context.shell, &args)).await,
        SimCommand::Run(args) => {
            let shell = context.shell;
            until_stopped(move |stop| run::run(shell, &args, stop)).await
        }
        SimCommand::Shrink(args) => {
            let shell = context.shell;
            until_stopped(move |stop| shrink::run(shell, &args, stop)).await
        }
        SimCommand::Schema => {
            let schema = config::schema();
            context.shell.result(&schema, || config::reference().trim_end().to_owned());
            Ok(Exit::Ok)
        }
    }
}

/// Runs what computes and never waits, and asks it to end when a signal comes. A second signal ends the process.
pub(super) async fn until_stopped(
    work: impl FnOnce(&AtomicBool) -> Result<Exit, LabError> + Send + 'static,
) -> Result<Exit, LabError> {
    let stop = Arc::new(AtomicBool::new(false));
    let stopping = Arc::clone(&stop);
    let working = tokio::task::spawn_blocking(move || work(&stopping));
    tokio::pin!(working);
    let ended = tokio::select! {
        ended = &mut working => ended,
        () = super::interrupted() => {
            stop.store(true, Ordering::Relaxed);
            tokio::select! {
                ended = &mut working => ended,
                () = super::interrupted() => std::process::exit(Exit::Interrupted as i32),
            }
        }
    };
    ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}

fn list(context: &Context, folder: &std::path::Path) -> Result<Exit, LabError> {
    let files = ScenarioFile::all(folder)?;
    let rows: Vec<serde_json::Value> = files
        .iter()
        .map(|file| {
            let scenario = &file.scenario;
            let (name, about, peers) = (&scenario.name, &scenario.about, scenario.peers);
            serde_json::json!({ "name": name, "file": file.path, "peers": peers, "about": about })
        })
        .collect();
    context.shell.result(&rows, || {
        let mut table = context.shell.table(&["SCENARIO", "#PEERS", "#BLOCKS", "ABOUT"]);
        for ScenarioFile { scenario, .. } in &files {
            let blocks = scenario.stop.blocks.map_or_else(|| "-".to_owned(), |blocks| blocks.to_string());
            table.add_row([scenario.name.clone(), scenario.peers.to_string(), blocks, scenario.about.clone()]);
        }
        render(&table)
    });
    Ok(Exit::Ok)
}

/// Reads `A..B`, without B, or `A..=B`, with it.
fn seeds(text: &str) -> Result<Range<u64>, String> {
    let wrong = || format!("{text:?} is no range of seeds; write 1..11 for ten of them, or 1..=10");
    let (first, last) = text.split_once("..").ok_or_else(wrong)?;
    let first: u64 = first.parse().map_err(|_| wrong())?;
    let end: u64 = match last.strip_prefix('=') {
        Some(last) => last.parse::<u64>().ok().and_then(|last| last.checked_add(1)).ok_or_else(wrong)?,
        None => last.parse().map_err(|_| wrong())?,
    };
    if first < end { Ok(first..end) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_seeds_are_not_empty() {
        assert_eq!(seeds("1..4"), Ok(1..4));
        assert_eq!(seeds("1..=4"), Ok(1..5));
        assert_eq!(seeds("0..=0"), Ok(0..1));
        for text in ["", "3", "1..1", "4..2", "a..b", "1..=18446744073709551615", "1...4"] {
            assert!(seeds(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn overrides_are_written_as_they_are_typed() {
        assert_eq!(Overrides::default().options(), "");
        assert_eq!(Overrides { peers: Some(7), codec: true }.options(), " --peers 7 --codec");
    }
}
