//! `synod logs`: what a peer said.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::context::Context;
use crate::error::LabError;
use crate::process;

/// `synod logs`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  synod logs peer1\n  synod logs peer2 -f")]
pub(super) struct LogsArgs {
    /// The peer's name
    peer: String,
    /// Go on with what it says from now on, until Ctrl-C
    #[arg(short, long)]
    follow: bool,
    /// How many of the last lines
    #[arg(short = 'n', long, default_value_t = 100)]
    lines: usize,
}

pub(super) async fn run(context: &Context, args: LogsArgs) -> Result<(), LabError> {
    let network = context.network()?;
    let path = network.log_path(network.find(&args.peer)?);
    let mut file = File::open(&path).map_err(|error| LabError::io(&path, error))?;
    let lines = process::log_tail(&path, 0, args.lines);
    let line = |line: &str| {
        if context.shell.json {
            context.shell.json_line(&json!({ "peer": args.peer, "line": line }));
        } else {
            context.shell.print(line);
        }
    };
    if !args.follow && context.shell.json {
        context.shell.result(&json!({ "peer": args.peer, "lines": lines }), String::new);
        return Ok(());
    }
    lines.iter().for_each(|text| line(text));
    if !args.follow {
        return Ok(());
    }
    file.seek(SeekFrom::End(0)).map_err(|error| LabError::io(&path, error))?;
    let following = async {
        let mut rest = Vec::new();
        loop {
            file.read_to_end(&mut rest).map_err(|error| LabError::io(&path, error))?;
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let whole: Vec<u8> = rest.drain(..=end).collect();
                line(String::from_utf8_lossy(&whole).trim_end());
            }
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::select! {
        result = following => result,
        () = super::interrupted() => Ok(()),
    }
}

/// How often the log is looked at.
const POLL: Duration = Duration::from_millis(200);
