//! A run as a scenario asks for it: watched, recorded, up to a step, with what must hold looked at.
//!
//! [`run`](crate::run()) runs a plan and nothing more. Here a run that breaks keeps its world, so that what led to it can be
//! shown, and a run that ends is asked whether it did what the scenario says it must.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Instant;

use synod_machine::Time;
use synod_sim::{Filter, Happening, Status, World};

use crate::config::Check;
use crate::oracle;
use crate::run::{SLICE, progress};
use crate::{Broken, Observed, Outcome, Plan, Progress, REACHES, Trial, Watch, advance};

/// What is wanted of a run beside its outcome.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// What must hold.
    pub checks: BTreeSet<Check>,
    /// What is recorded.
    pub record: Option<Record>,
    /// After so many steps of all peers it ends.
    pub steps_max: Option<u64>,
}

/// What is recorded of a run.
#[derive(Clone, Debug)]
pub struct Record {
    /// What passes.
    pub filter: Filter,
    /// Nothing before so many steps.
    pub from_step: u64,
}

/// A run that ended, in one way or the other.
pub struct Examined {
    /// The world as it was then.
    pub world: World<Trial>,
    /// What was seen up to then.
    pub outcome: Outcome,
    /// What did not hold.
    pub broken: Option<Broken>,
    /// Whether the watcher ended it.
    pub is_interrupted: bool,
}

/// Runs a plan to its end, to what does not hold, or as far as is wanted. `watch` is told about every so many events.
pub fn examine(plan: Plan, wanted: &Wanted, watch: impl FnMut(Progress) -> Watch) -> Examined {
    let begun = Instant::now();
    if wanted.checks.contains(&Check::Oracles) {
        return judged(plan, wanted, begun, watch);
    }
    let mut world = Trial::world(plan);
    let until = world.experiment().plan().stop.time;
    let mut recording = wanted.record.clone();
    let driven = drive(&mut world, until, wanted.steps_max, &mut recording, begun, watch);
    let (status, is_interrupted, broken) = match driven {
        Ok(End::Interrupted) => (Status::Stopped, true, None),
        Ok(End::Steps) => (Status::Paused, false, None),
        Ok(End::World(status)) => (status, false, unmet(&world, &wanted.checks)),
        Err(broken) => (Status::Paused, false, Some(broken)),
    };
    let outcome = Outcome::of(&world, status, begun.elapsed());
    Examined { world, outcome, broken, is_interrupted }
}

/// Runs a plan under the eyes of the oracles. They decide when it has ended.
fn judged(plan: Plan, wanted: &Wanted, begun: Instant, mut watch: impl FnMut(Progress) -> Watch) -> Examined {
    let mut world = oracle::world(plan);
    let mut recording = wanted.record.clone();
    let mut ended = Status::Until;
    let verdict = oracle::watched(&mut world, |world, until| {
        match drive(world, until, wanted.steps_max, &mut recording, begun, &mut watch)? {
            End::Interrupted => ended = Status::Stopped,
            End::Steps => ended = Status::Paused,
            End::World(status) => return Ok(Some(status)),
        }
        Ok(None)
    });
    let net = world.net();
    let reason = verdict.to_string();
    let broken = (!verdict.is_pass()).then(|| Broken { step: net.tally().steps, at: net.now(), reason });
    let outcome = Outcome::of(&world, ended, begun.elapsed());
    Examined { world, outcome, broken, is_interrupted: ended == Status::Stopped }
}

/// Why a run went no further.
enum End {
    Interrupted,
    /// As many steps as were asked for.
    Steps,
    World(Status),
}

fn drive(
    world: &mut World<Trial>,
    until: Time,
    steps_max: Option<u64>,
    recording: &mut Option<Record>,
    begun: Instant,
    mut watch: impl FnMut(Progress) -> Watch,
) -> Result<End, Broken> {
    loop {
        let steps = world.net().tally().steps;
        if recording.as_ref().is_some_and(|record| steps >= record.from_step)
            && let Some(Record { filter, .. }) = recording.take()
        {
            world.record(filter);
        }
        if steps_max.is_some_and(|most| steps >= most) {
            return Ok(End::Steps);
        }
        let next = [steps_max, recording.as_ref().map(|record| record.from_step)];
        let left = next.into_iter().flatten().map(|step| step - steps).min();
        let status = advance(world, until, left.map_or(SLICE, slice))?;
        if watch(progress(world, begun)) == Watch::Stop {
            world.net_mut().stop("interrupted");
            return Ok(End::Interrupted);
        }
        if status != Status::Paused {
            return Ok(End::World(status));
        }
    }
}

/// Events that can be taken without going beyond so many steps: one event is a few steps at times, when several timers of a
/// peer are due or a paused one goes on.
fn slice(steps: u64) -> u64 {
    (steps / STEPS_PER_EVENT).clamp(1, SLICE)
}

const STEPS_PER_EVENT: u64 = 16;

/// What the world must be like at its end, and is not.
fn unmet(world: &World<Trial>, checks: &BTreeSet<Check>) -> Option<Broken> {
    let (net, trial) = (world.net(), world.experiment());
    let broken = |reason: String| Some(Broken { step: net.tally().steps, at: net.now(), reason });
    for check in checks {
        match check {
            Check::Agreement => {
                let (wanted, height) = (trial.plan().stop.blocks, trial.observed().height());
                if wanted != u64::MAX && height < wanted {
                    return broken(format!("no progress: {height} blocks in time, and {wanted} were wanted"));
                }
                if wanted != u64::MAX && !trial.observed().is_agreed() {
                    return broken(format!("no agreement: peers have several tips, the highest at height {height}"));
                }
            }
            // They looked on all the time.
            Check::Oracles => {}
        }
    }
    None
}

/// A table of all blocks: who found each, when, on which, and when shares of the peers had it.
pub fn blocks_csv(observed: &Observed) -> String {
    let mut text = String::from("height,id,parent,finder,found_s,bytes,payments,on_main_chain,peers_reached");
    for share in REACHES {
        // Writing to a text does not fail.
        let _ = write!(text, ",reached_{share}_percent_s");
    }
    text.push('\n');
    let main: BTreeSet<_> = observed.main_chain().iter().map(|block| block.id).collect();
    for block in &observed.found()[1..] {
        let parent = block.parent.map_or_else(String::new, |place| observed.found()[place].id.to_string());
        let is_main = main.contains(&block.id);
        let _ = write!(
            text,
            "{},{},{parent},{},{},{},{},{is_main},{}",
            block.height.0,
            block.id,
            block.by.0,
            seconds(block.at),
            block.bytes,
            block.payments,
            block.reached,
        );
        for at in block.reached_at {
            let _ = write!(text, ",{}", at.map_or_else(String::new, seconds));
        }
        text.push('\n');
    }
    text
}

/// A time in seconds, to the nanosecond.
fn seconds(at: Time) -> String {
    format!("{}.{:09}", at.0 / 1_000_000_000, at.0 % 1_000_000_000)
}

/// A happening on one line, as people read it.
pub fn show(happening: &Happening) -> String {
    let title = happening.title(|peer| format!("peer {}", peer.0));
    format!("{}  peer {}  {title}", happening.at, happening.peer.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::plan;

    fn all() -> Wanted {
        Wanted { checks: [Check::Agreement].into(), ..Wanted::default() }
    }

    #[test]
    fn a_run_up_to_a_step_ends_there_and_its_record_begins_where_it_was_asked_to() {
        let filter = Filter::default();
        let record = Some(Record { filter, from_step: 900 });
        let wanted = Wanted { record, steps_max: Some(1_000), ..all() };
        let ran = examine(plan(1, 8, 10), &wanted, |_| Watch::GoOn);
        let steps = ran.world.net().tally().steps;
        assert!((1_000..1_016).contains(&steps), "{steps}");
        assert_eq!(ran.broken.map(|broken| broken.reason), None, "what is cut short has nothing to agree on");
        let first = ran.world.recorder().and_then(|recorder| recorder.happenings().first().cloned());
        let first = first.expect("a hundred steps leave a record");
        assert!(first.at > Time::from_secs(1), "nobody's start is on record: {}", show(&first));
    }

    #[test]
    fn a_record_does_not_change_what_happens() {
        let plain = examine(plan(2, 8, 10), &all(), |_| Watch::GoOn).outcome.trace_hash;
        let record = Some(Record { filter: Filter::default(), from_step: 0 });
        let recorded = examine(plan(2, 8, 10), &Wanted { record, ..all() }, |_| Watch::GoOn).outcome.trace_hash;
        assert_eq!(plain, recorded);
    }

    #[test]
    fn too_few_blocks_in_time_are_no_progress() {
        let mut plan = plan(1, 8, 1_000);
        plan.stop.time = Time::from_secs(120);
        let ran = examine(plan.clone(), &all(), |_| Watch::GoOn);
        let broken = ran.broken.expect("twelve blocks are not a thousand");
        assert_eq!(broken.at, Time::from_secs(120));
        assert!(broken.reason.starts_with("no progress: "), "{broken}");
        assert!(broken.reason.ends_with(" blocks in time, and 1000 were wanted"), "{broken}");
        let unasked = examine(plan, &Wanted::default(), |_| Watch::GoOn);
        assert!(unasked.broken.is_none(), "what is not asked for is not checked");
    }

    #[test]
    fn an_interrupted_run_has_an_outcome_and_failed_at_nothing() {
        let ran = examine(plan(1, 8, 1_000), &all(), |_| Watch::Stop);
        assert!(ran.is_interrupted && ran.broken.is_none(), "it was ended from outside");
        assert_eq!(ran.outcome.ended, "interrupted");
    }

    #[test]
    fn every_block_has_a_line_of_the_table() {
        let ran = examine(plan(1, 8, 5), &all(), |_| Watch::GoOn);
        let table = blocks_csv(ran.world.experiment().observed());
        let mut lines = table.lines();
        let heads = lines.next().expect("a line of heads");
        assert!(heads.starts_with("height,id,parent,finder,found_s,bytes,payments,on_main_chain,"), "{heads}");
        assert!(
            heads.ends_with("reached_50_percent_s,reached_90_percent_s,reached_99_percent_s,reached_100_percent_s")
        );
        let rows: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
        assert_eq!(rows.len() as u64, ran.outcome.chain.found);
        assert!(rows.iter().all(|row| row.len() == heads.split(',').count()), "{table}");
        assert_eq!(rows[0][0], "1");
        assert_eq!(rows.iter().filter(|row| row[7] == "true").count() as u64, ran.outcome.chain.height);
    }
}
