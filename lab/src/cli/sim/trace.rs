//! What of a run is recorded, and the files that a record is written to.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use synod_machine::{PeerId, Time};
use synod_sim::model::Span;
use synod_sim::trace::{chrome, shiviz};
use synod_sim::{Filter, Recorder};

use crate::error::LabError;

/// What is traced, and where to.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct TraceArgs {
    /// Write what happened to this file: NAME.json as Perfetto and Chrome read it, NAME.shiviz for ShiViz
    #[arg(id = "trace", long = "trace", value_name = "FILE", value_parser = trace_file)]
    file: Option<PathBuf>,
    /// Only these peers, as 0,3,10-19; needed where there are more than 64
    #[arg(id = "trace_peers", long = "trace-peers", value_name = "PEERS", value_parser = stretch, value_delimiter = ',')]
    peers: Vec<(u32, u32)>,
    /// Only messages, timers and commands of these names, as push_block,tip
    #[arg(id = "trace_kinds", long = "trace-kinds", value_name = "NAMES", value_delimiter = ',')]
    kinds: Vec<String>,
    /// Nothing before this virtual time, as 10min
    #[arg(id = "trace_from", long = "trace-from", value_name = "TIME")]
    from: Option<Span>,
    /// Nothing after this virtual time
    #[arg(id = "trace_until", long = "trace-until", value_name = "TIME")]
    until: Option<Span>,
}

impl TraceArgs {
    /// The file, if one is wanted.
    pub(super) fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// What passes, in a world of so many peers.
    pub(super) fn filter(&self, peers: u32) -> Result<Filter, LabError> {
        let named = self.peers.iter().flat_map(|&(first, last)| first..=last).map(PeerId).collect();
        let filter = Filter {
            peers: named,
            kinds: self.kinds.clone(),
            from: self.from.map_or(Time::ZERO, |from| Time(from.nanos())),
            until: self.until.map_or(Time::MAX, |until| Time(until.nanos())),
            ..Filter::default()
        };
        let wrong = |error: synod_sim::model::ModelError| LabError::Usage {
            message: error.to_string().replacen("trace.", "--trace-", 1),
        };
        filter.check(peers as usize).map_err(wrong)?;
        Ok(filter)
    }
}

/// Writes a record in the form that the file's name asks for.
pub(super) fn write(path: &Path, recorder: &Recorder) -> Result<(), LabError> {
    let names = |peer: PeerId| format!("peer{}", peer.0);
    let wrong = |error| LabError::io(path, error);
    let mut file = BufWriter::new(File::create(path).map_err(wrong)?);
    if path.extension().is_some_and(|extension| extension == "shiviz") {
        file.write_all(shiviz(recorder, names).as_bytes()).map_err(wrong)?;
    } else {
        chrome(recorder, names, &mut file).map_err(wrong)?;
    }
    file.flush().map_err(wrong)
}

fn trace_file(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("json" | "shiviz") => Ok(path),
        Some(_) | None => Err("a trace is a NAME.json or a NAME.shiviz".to_owned()),
    }
}

fn stretch(text: &str) -> Result<(u32, u32), String> {
    let wrong = || format!("{text:?} is neither a peer's number nor a range as 10-19");
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let stretch = (first.parse().map_err(|_| wrong())?, last.parse().map_err(|_| wrong())?);
    if stretch.0 <= stretch.1 { Ok(stretch) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_narrowed_by_peer_kind_and_time() {
        let args = TraceArgs {
            peers: vec![(3, 3), (5, 6)],
            kinds: vec!["tip".to_owned()],
            from: Some(Span::from_millis(1_000)),
            ..TraceArgs::default()
        };
        let filter = args.filter(10).expect("there are such peers");
        assert_eq!(filter.peers, [3, 5, 6].map(PeerId));
        assert_eq!((filter.from, filter.until), (Time::from_secs(1), Time::MAX));
        let error = args.filter(6).expect_err("there is no peer 6").to_string();
        assert_eq!(error, "--trace-peers: expected numbers below 6, got 6");
        assert!(TraceArgs::default().filter(65).is_err(), "too many to draw");
    }

    #[test]
    fn values_are_read_at_the_border() {
        assert_eq!(stretch("4"), Ok((4, 4)));
        assert_eq!(stretch("4-9"), Ok((4, 9)));
        assert!(stretch("9-4").is_err());
        assert!(stretch("x").is_err());
        assert!(trace_file("a.json").is_ok());
        assert!(trace_file("a.shiviz").is_ok());
        assert!(trace_file("a.txt").is_err());
    }
}
