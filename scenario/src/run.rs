//! Running a plan to its end, with a word now and then for whoever watches.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use synod_machine::Time;
use synod_sim::{Filter, Status, World};

use crate::{Outcome, Plan, Trial};

/// How far a run is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Virtual time.
    pub now: Time,
    /// The height of the highest block.
    pub height: u64,
    /// Messages, timers and commands so far.
    pub events: u64,
    /// Wall time so far.
    pub wall: Duration,
    /// The share of the run that is done, from 0 to 1, by blocks or by time, whichever is further.
    pub done: f64,
}

/// A run that broke an invariant.
#[derive(Clone, Debug, thiserror::Error)]
#[error("step={step} time={at}: {reason}")]
pub struct Broken {
    /// The number of steps of all peers before.
    pub step: u64,
    /// The virtual time.
    pub at: Time,
    /// The assertion.
    pub reason: String,
}

/// What a watcher wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// Go on.
    GoOn,
    /// Stop here; what was seen so far is the outcome.
    Stop,
}

/// Events between two looks at the clock.
pub(crate) const SLICE: u64 = 50_000;

/// A run that ended, and the world as it was then.
pub struct Ended {
    /// The world.
    pub world: World<Trial>,
    /// What was seen.
    pub outcome: Outcome,
}

/// Runs a plan to its end. `watch` is told about every so many events. A broken invariant ends the run.
pub fn run(plan: Plan, record: Option<Filter>, watch: impl FnMut(Progress) -> Watch) -> Result<Ended, Broken> {
    let begun = Instant::now();
    let mut world = Trial::world(plan);
    if let Some(filter) = record {
        world.record(filter);
    }
    let status = drive(&mut world, begun, watch)?;
    let outcome = Outcome::of(&world, status, begun.elapsed());
    Ok(Ended { world, outcome })
}

/// Lets a world go on to the end of its plan.
pub fn drive(
    world: &mut World<Trial>,
    begun: Instant,
    mut watch: impl FnMut(Progress) -> Watch,
) -> Result<Status, Broken> {
    let until = world.experiment().plan().stop.time;
    loop {
        let status = advance(world, until, SLICE)?;
        let progress = progress(world, begun);
        if watch(progress) == Watch::Stop {
            world.net_mut().stop("interrupted");
            return Ok(Status::Stopped);
        }
        if status != Status::Paused {
            return Ok(status);
        }
    }
}

/// [`World::run`], where a broken invariant is an error and not a panic.
pub fn advance(world: &mut World<Trial>, until: Time, events_max: u64) -> Result<Status, Broken> {
    // A world that broke is only looked at: where it was, and what was recorded.
    let result = catch_unwind(AssertUnwindSafe(|| world.run(until, events_max)));
    result.map_err(|panic| {
        let net = world.net();
        Broken { step: net.tally().steps, at: net.now(), reason: reason_of(&*panic) }
    })
}

/// What a panic said.
pub(crate) fn reason_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let reason = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
    reason.unwrap_or_else(|| "a panic".to_string())
}

pub(crate) fn progress(world: &World<Trial>, begun: Instant) -> Progress {
    let (net, trial) = (world.net(), world.experiment());
    let stop = trial.plan().stop;
    let height = trial.observed().height();
    let by_blocks = height as f64 / stop.blocks.max(1) as f64;
    let by_time = net.now().0 as f64 / stop.time.0.max(1) as f64;
    let done = by_blocks.max(by_time).min(1.0);
    Progress { now: net.now(), height, events: net.tally().events, wall: begun.elapsed(), done }
}
