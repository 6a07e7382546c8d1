//! Thousands of small networks, each drawn by a seed, each with its own troubles, each judged from outside.
//!
//! A seed makes a [`Scenario`], the scenario a plan, and [`judge`] runs it: faults, healing, agreement. Runs know nothing
//! of each other, so that cores share them; what is told comes in the order of seeds, whichever core is done first.

mod draw;
mod faults;
mod pbft;
mod pos;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::config::Scenario;
use crate::oracle::{Judgement, Verdict, judge};

/// How the peers of a swarm agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Swarm {
    /// By votes of known validators.
    Pbft,
    /// By stake.
    Pos,
    /// By work.
    Pow,
}

impl Swarm {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Pbft, Self::Pos, Self::Pow];

    /// What people call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pbft => "pbft",
            Self::Pos => "pos",
            Self::Pow => "pow",
        }
    }

    /// The scenario of a seed.
    pub fn draw(self, seed: u64) -> Scenario {
        match self {
            Self::Pbft => pbft::draw(seed),
            Self::Pos => pos::draw(seed),
            Self::Pow => draw::draw(seed),
        }
    }

    /// Runs the scenario of a seed.
    pub fn run_seed(self, seed: u64) -> Run {
        let begun = Instant::now();
        let scenario = self.draw(seed);
        let judgement = judge_scenario(&scenario, seed);
        Run { swarm: self, seed, peers: scenario.peers, judgement, wall: begun.elapsed() }
    }
}

impl fmt::Display for Swarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One seed's run.
#[derive(Clone, Debug)]
pub struct Run {
    /// Whose seed it is.
    pub swarm: Swarm,
    /// The seed.
    pub seed: u64,
    /// How many peers there were.
    pub peers: u32,
    /// What came of it.
    pub judgement: Judgement,
    /// What it took.
    pub wall: Duration,
}

/// Runs a scenario that names no files.
pub fn judge_scenario(scenario: &Scenario, seed: u64) -> Judgement {
    let no_files = |_: &str| Err(std::io::Error::other("a drawn scenario names no files"));
    let plan = scenario.plan(seed, no_files).expect("a drawn scenario can be run");
    judge(plan)
}

/// Runs seeds on so many threads, and tells of each in order. `tell` ends the swarm early by saying no. Seeds under way then
/// are not told of.
pub fn swarm(of: Swarm, seeds: Range<u64>, jobs: usize, mut tell: impl FnMut(Run) -> bool) {
    let next = AtomicU64::new(seeds.start);
    let is_over = AtomicBool::new(false);
    let (sender, receiver) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            let (sender, next, is_over, seeds) = (sender.clone(), &next, &is_over, &seeds);
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end || sender.send(caught(of, seed)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut early: BTreeMap<u64, Run> = BTreeMap::new();
        let mut wanted = seeds.start;
        for run in receiver {
            early.insert(run.seed, run);
            while let Some(run) = early.remove(&wanted) {
                wanted += 1;
                if !tell(run) {
                    is_over.store(true, Ordering::Relaxed);
                    return;
                }
            }
        }
    });
}

/// A seed that cannot even be drawn is a failure like any other.
fn caught(of: Swarm, seed: u64) -> Run {
    catch_unwind(|| of.run_seed(seed)).unwrap_or_else(|panic| Run::before(of, seed, crate::run::reason_of(&*panic)))
}

impl Run {
    /// A seed whose run broke before it began.
    pub const fn before(swarm: Swarm, seed: u64, reason: String) -> Self {
        Self { swarm, seed, peers: 0, judgement: Judgement::before(Verdict::Broken(reason)), wall: Duration::ZERO }
    }
}

/// The two lines that a failure ends with: what failed, and what runs it again.
pub fn failure(run: &Run, commit: &str) -> String {
    let Judgement { verdict, step, at, .. } = &run.judgement;
    let Run { swarm, seed, .. } = run;
    format!(
        "FAILED scenario=swarm/{swarm} seed={seed} commit={commit} step={step} time={at}: {verdict}\nreplay: synod sim replay --swarm {swarm} --seed {seed}"
    )
}

#[cfg(test)]
mod tests;
