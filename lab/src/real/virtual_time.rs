//! The same span of the same scenario in virtual time.

use std::time::Duration;

use synod_machine::Time;
use synod_scenario::{Plan, Stop, Trial, advance};
use synod_sim::{Status, World};

use super::figures::{Figures, Frame, Sample};
use super::run::WARM_UP;
use crate::error::LabError;

/// What passes in simulated peers of this plan, in a span of so many blocks that begins as [`run`](super::run())'s does.
pub fn simulate(plan: &Plan) -> Result<Figures, LabError> {
    let blocks = plan.stop.blocks;
    let frame =
        Frame { peers: plan.graph.peers(), block_time: plan.chain.block_time().as_secs_f64(), rate: plan.load.rate };
    let begin = plan.load.from + WARM_UP;
    // The span begins after the start, and so ends later than the plan says.
    let stop = Stop { blocks: u64::MAX, time: FOREVER };
    let load = synod_scenario::Load { until: FOREVER, ..plan.load.clone() };
    let mut world = Trial::world(Plan { stop, load, ..plan.clone() });
    go_on(&mut world, begin, |_| false)?;
    let first = height(&world) + 1;
    go_on(&mut world, FOREVER, |world| height(world) >= first)?;
    let from = sample(&world);
    go_on(&mut world, FOREVER, |world| height(world) >= first + blocks)?;
    Ok(Figures::between(frame, "simulated", &from, &sample(&world)))
}

/// Lets the world go on until that time or until `is_there`.
fn go_on(world: &mut World<Trial>, until: Time, is_there: impl Fn(&World<Trial>) -> bool) -> Result<(), LabError> {
    loop {
        let broken = |error: synod_scenario::Broken| LabError::Check { what: error.to_string() };
        let status = advance(world, until, SLICE).map_err(broken)?;
        if status != Status::Paused || is_there(world) {
            return Ok(());
        }
    }
}

fn height(world: &World<Trial>) -> u64 {
    world.experiment().observed().height()
}

fn sample(world: &World<Trial>) -> Sample {
    let (net, trial) = (world.net(), world.experiment());
    let sent = net.counters().traffic.by_kind().into_iter().map(|of| (of.kind.to_owned(), of.sent)).collect();
    Sample {
        at: Duration::from_nanos(net.now().0).as_secs_f64(),
        // The genesis was not found.
        blocks: trial.observed().found().len() as u64 - 1,
        payments: trial.acknowledged().len() as u64,
        sent,
        wire_bytes: None,
        signatures: synod_ledger::SignatureCount::default(),
    }
}

/// Events between two looks at the chain: few, so that a span begins when its block is found.
const SLICE: u64 = 10;
/// A century, which no span lasts.
const FOREVER: Time = Time::from_secs(3_155_760_000);
