//! The swarms of all overlays and searches under one roof, for whoever runs seeds of one by its name.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, Instant};

use synod_sim::model::ModelError;

use super::{chord, kademlia, search};

/// The ways of finding things: an overlay's networks, or a search's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Overlay {
    /// Rings of Chord.
    Chord,
    /// Searches by floods.
    Flood,
    /// Searches by a server.
    Index,
    /// Networks of Kademlia.
    Kademlia,
    /// Searches by superpeers.
    Superpeer,
}

/// How a seed's run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A peer's own assertion, or another panic.
    Broken(String),
    /// The peers were not one network in order after all had healed.
    Diverged(String),
    /// A request was never answered, or found too little when all had healed.
    NoProgress(String),
    /// All was well.
    Pass,
    /// Something happened that must not: an answer that is wrong, something stored that is lost.
    Unsafe(String),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(reason) => write!(f, "broken: {reason}"),
            Self::Diverged(reason) => write!(f, "diverged: {reason}"),
            Self::NoProgress(reason) => write!(f, "no progress: {reason}"),
            Self::Pass => f.write_str("pass"),
            Self::Unsafe(reason) => write!(f, "unsafe: {reason}"),
        }
    }
}

/// One seed's run.
#[derive(Clone, Debug)]
pub struct Run {
    /// Whose seed it is.
    pub overlay: Overlay,
    /// The seed.
    pub seed: u64,
    /// The verdict and its reason, unless all was well.
    pub failed: Option<String>,
    /// What it took.
    pub wall: Duration,
}

impl Overlay {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Chord, Self::Flood, Self::Index, Self::Kademlia, Self::Superpeer];

    /// Its name on a command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Chord => "chord",
            Self::Flood => "flood",
            Self::Index => "index",
            Self::Kademlia => "kademlia",
            Self::Superpeer => "superpeer",
        }
    }

    /// Runs the network of a seed and judges it. The same seed gives the same verdict.
    pub fn run_seed(self, seed: u64) -> Run {
        let begun = Instant::now();
        let failed = match self {
            Self::Chord => failed(&chord::swarm(seed)),
            Self::Flood => searched(search::Kind::Flood, seed),
            Self::Index => searched(search::Kind::Index, seed),
            Self::Kademlia => {
                let verdict = kademlia::swarm(seed).verdict;
                (!verdict.is_pass()).then(|| verdict.to_string())
            }
            Self::Superpeer => searched(search::Kind::Superpeer, seed),
        };
        Run { overlay: self, seed, failed, wall: begun.elapsed() }
    }
}

impl FromStr for Overlay {
    type Err = ModelError;

    fn from_str(name: &str) -> Result<Self, ModelError> {
        let found = Self::ALL.into_iter().find(|overlay| overlay.name() == name);
        let expected = "chord, flood, index, kademlia or superpeer";
        found.ok_or_else(|| ModelError::Form { expected, got: name.to_owned() })
    }
}

impl fmt::Display for Overlay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn searched(kind: search::Kind, seed: u64) -> Option<String> {
    failed(&search::swarm(kind, seed).verdict)
}

fn failed(verdict: &Verdict) -> Option<String> {
    (*verdict != Verdict::Pass).then(|| verdict.to_string())
}

impl Run {
    /// What kind of verdict it is.
    pub fn verdict(&self) -> &str {
        self.failed.as_deref().map_or("pass", |reason| reason.split_once(": ").map_or(reason, |(kind, _)| kind))
    }

    /// The line that runs it again.
    pub fn replay(&self) -> String {
        replay(self.overlay, self.seed)
    }
}

/// The line that runs a seed of an overlay's swarm.
pub fn replay(overlay: Overlay, seed: u64) -> String {
    format!("synod swarm --overlay {overlay} --from {seed} --seeds 1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_overlay_runs_its_seeds_by_its_name_and_a_failure_says_how_to_run_it_again() {
        for overlay in Overlay::ALL {
            let run = overlay.run_seed(0);
            assert_eq!((run.verdict(), &run.failed), ("pass", &None), "{overlay}");
            assert_eq!(overlay.name().parse(), Ok(overlay));
        }
        let error = "gnutella".parse::<Overlay>().map_err(|error| error.to_string());
        assert_eq!(error, Err("expected chord, flood, index, kademlia or superpeer, got `gnutella`".to_owned()));
        let failed = Some("no progress: nobody answers: at all".to_owned());
        let run = Run { overlay: Overlay::Chord, seed: 7, failed, wall: Duration::ZERO };
        assert_eq!(run.verdict(), "no progress");
        assert_eq!(run.replay(), "synod swarm --overlay chord --from 7 --seeds 1");
    }
}
