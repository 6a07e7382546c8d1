//! Running a plan under the eyes of a judge: faults first, then a healed network that must go on and agree.
//!
//! A plan whose last deed heals the network has two phases (as TigerBeetle's simulator has them: safety, then liveness).
//! Before it, what must never happen must not happen; after it, the chain must grow within a bounded time, and when
//! mining ends, all peers must come to one tip. A plan that never heals has the first phase alone.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use synod_machine::{PeerId, Time};
use synod_sim::{Status, World};

use super::{Judge, Looked, Oracle, Verdict};
use crate::{Broken, Deed, Plan, Stop, Trial, advance};

/// What came of a plan.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// How it ended.
    pub verdict: Verdict,
    /// Steps of all peers until then.
    pub step: u64,
    /// The virtual time until then.
    pub at: Time,
    /// Equal for two runs only if the same things happened in the same order.
    pub digest: u64,
    /// Events until then.
    pub events: u64,
    /// The height of the highest block.
    pub height: u64,
    /// Blocks found.
    pub blocks: u64,
    /// Payments acknowledged.
    pub payments: u64,
    /// The deepest reorganisation.
    pub deepest: u64,
    /// Forged items that were refused.
    pub refused: u64,
}

impl Judgement {
    /// A run that ended before it began.
    pub(crate) const fn before(verdict: Verdict) -> Self {
        Self {
            verdict,
            step: 0,
            at: Time::ZERO,
            digest: 0,
            events: 0,
            height: 0,
            blocks: 0,
            payments: 0,
            deepest: 0,
            refused: 0,
        }
    }
}

/// Looks while faults happen.
const LOOKS: u64 = 24;
/// So many blocks must come after the network has healed …
const GROWTH: u64 = 5;
/// … within so many block times. Clocks that were wrong leave targets behind that are ten times too hard, and a retarget
/// takes some of these long intervals to come back.
const GROWTH_BLOCK_TIMES: u32 = 400;
/// Then all must agree within this and so many block times: a claim is repeated every half a minute, and may be lost.
const AGREEMENT: Duration = Duration::from_secs(900);
const AGREEMENT_BLOCK_TIMES: u32 = 30;
/// Branches of equal work may be prolonged at the same time, but not for ever.
const TIES_MAX: u32 = 10;
/// Peers that are tied so many looks in a row have told each other what they have.
const TIED_LOOKS: u32 = 10;
/// What is still open between peers that agree, as offers of payments, is over after this.
const QUIET: Duration = Duration::from_secs(60);
/// Blocks whose mean interval is looked at: the mean of so many exponential times is never outside of the range but for
/// one run in a hundred thousand (the Erlang law's tails at 0.3 and 3).
const PACE_BLOCKS: usize = 20;
const PACE: std::ops::RangeInclusive<f64> = 0.3..=3.0;
/// With a shorter window targets fluctuate as much as times do.
const PACE_WINDOW_MIN: u32 = 10;

/// Runs a plan to its end, or to what is wrong.
pub fn judge(plan: Plan) -> Judgement {
    watched(plan, |_, _| ()).0
}

/// [`judge`], and the world as it was at the end; `before` is given it at the beginning.
pub fn watched<T>(plan: Plan, before: impl FnOnce(&mut World<Trial>, &Plan) -> T) -> (Judgement, World<Trial>, T) {
    let stop = Stop { blocks: u64::MAX, ..plan.stop };
    let plan = Plan { stop, ..plan };
    let mut judge = Judge::new(&Arc::new(plan.clone()));
    let mut world = Trial::world(plan.clone());
    let given = before(&mut world, &plan);
    let looked = run(&mut world, &mut judge, &plan);
    let verdict = looked.err().unwrap_or(Verdict::Pass);
    (judgement(&world, verdict), world, given)
}

fn judgement(world: &World<Trial>, verdict: Verdict) -> Judgement {
    let (net, trial) = (world.net(), world.experiment());
    let observed = trial.observed();
    let peers = net.len() as u32;
    let refused = trial.rejects().iter().filter(|((by, _), _)| by.0 >= peers).map(|(_, count)| count);
    Judgement {
        verdict,
        step: net.tally().steps,
        at: net.now(),
        digest: net.digest(),
        events: net.tally().events,
        height: observed.height(),
        blocks: observed.found().len() as u64 - 1,
        payments: trial.acknowledged().len() as u64,
        deepest: observed.reorganisations.keys().next_back().copied().unwrap_or_default(),
        refused: refused.sum(),
    }
}

fn run(world: &mut World<Trial>, judge: &mut Judge, plan: &Plan) -> Looked {
    let healed = plan.deeds.last().filter(|(_, deed)| *deed == Deed::Heal).map(|(at, _)| *at);
    let safe_until = healed.unwrap_or(plan.stop.time);
    for look in 1..=LOOKS {
        let at = Time((u128::from(safe_until.0) * u128::from(look) / u128::from(LOOKS)) as u64);
        go_on(world, at)?;
        look_at(world, judge)?;
    }
    let Some(healed) = healed else { return Ok(()) };
    grow(world, judge, plan, healed, GROWTH)?;
    judge_pace(world, plan, healed)?;
    agree(world, judge, plan)
}

/// The chain goes on until the plan's time is over, and grows by so many blocks.
fn grow(world: &mut World<Trial>, judge: &mut Judge, plan: &Plan, healed: Time, growth: u64) -> Looked {
    let block_time = plan.chain.pow().block_time();
    let wanted = world.experiment().observed().height() + growth;
    let deadline = healed + block_time * GROWTH_BLOCK_TIMES;
    while world.net().now() < plan.stop.time || world.experiment().observed().height() < wanted {
        let now = world.net().now();
        if now >= deadline {
            let height = world.experiment().observed().height();
            let reason = format!("the chain is {height} high, and was to be {wanted} since it healed at {healed}");
            return Err(Verdict::NoProgress(reason));
        }
        go_on(world, now + block_time)?;
        look_at(world, judge)?;
    }
    Ok(())
}

fn set_mining(world: &mut World<Trial>, is_on: bool) {
    let (trial, net) = world.parts_mut();
    trial.set_mining(net, is_on);
}

/// All peers come to one tip and to rest.
fn agree(world: &mut World<Trial>, judge: &mut Judge, plan: &Plan) -> Looked {
    for _ in 0..TIES_MAX {
        set_mining(world, false);
        let deadline = world.net().now() + AGREEMENT + plan.chain.pow().block_time() * AGREEMENT_BLOCK_TIMES;
        let mut tied = 0;
        while !is_agreed(world) && tied < TIED_LOOKS && world.net().now() < deadline {
            let now = world.net().now();
            if go_on(world, now + Duration::from_secs(10))? == Status::Idle {
                break; // Nobody will ever say anything again.
            }
            tied = if is_tied(world) { tied + 1 } else { 0 };
        }
        if !is_tied(world) {
            break;
        }
        // Who saw one of two equal branches first stays on it until the next block.
        set_mining(world, true);
        grow(world, judge, plan, world.net().now(), 1)?;
    }
    let now = world.net().now();
    go_on(world, now + QUIET)?;
    caught(world, || judge.look_at_the_end(world))
}

/// Blocks that came after the network had healed, and after a window that still saw what was before.
fn judge_pace(world: &World<Trial>, plan: &Plan, healed: Time) -> Looked {
    let params = plan.chain.pow().params();
    let window = match params.retarget {
        synod_ledger::Retarget::Lwma { window } if window >= PACE_WINDOW_MIN => window as usize,
        synod_ledger::Retarget::Lwma { .. } | synod_ledger::Retarget::Off => return Ok(()),
    };
    if plan.deeds.iter().any(|(_, deed)| matches!(deed, Deed::Clock { .. })) {
        return Ok(()); // The chain's time is not the true time.
    }
    let main = world.experiment().observed().main_chain();
    let since: Vec<Time> = main.iter().map(|block| block.at).filter(|at| *at >= healed).skip(window).collect();
    let (Some(first), Some(last)) = (since.first(), since.last()) else { return Ok(()) };
    let count = since.len() - 1;
    let mean = last.since(*first).as_secs_f64() / count as f64 / plan.chain.pow().block_time().as_secs_f64();
    if count >= PACE_BLOCKS && !PACE.contains(&mean) {
        let reason = format!("{count} blocks came every {mean:.2} block times when all was quiet");
        return Err(Verdict::Unsafe(Oracle::Pace, reason));
    }
    Ok(())
}

fn is_agreed(world: &World<Trial>) -> bool {
    let net = world.net();
    let tip = |peer: PeerId| {
        let replica = net.protocol(peer)?.replica();
        replica.is_settled().then(|| replica.tip())
    };
    let mut tips = net.peers().map(tip);
    let first = tips.next().flatten();
    first.is_some() && tips.all(|tip| tip == first)
}

/// Whether peers at rest are on different tips that no work tells apart.
fn is_tied(world: &World<Trial>) -> bool {
    let net = world.net();
    let weight = |peer: PeerId| {
        let replica = net.protocol(peer)?.replica();
        replica.tree().get(&replica.tip()).filter(|_| replica.is_settled()).map(synod_ledger::Node::weight)
    };
    let mut weights = net.peers().map(weight);
    let first = weights.next().flatten();
    !is_agreed(world) && first.is_some() && weights.all(|weight| weight == first)
}

fn go_on(world: &mut World<Trial>, until: Time) -> Result<Status, Verdict> {
    let broken = |broken: Broken| Verdict::Broken(broken.reason);
    advance(world, until, u64::MAX).map_err(broken)
}

fn look_at(world: &World<Trial>, judge: &mut Judge) -> Looked {
    caught(world, || judge.look(world))
}

/// A look that panics found a peer in a state that it has no words for.
fn caught(world: &World<Trial>, look: impl FnOnce() -> Looked) -> Looked {
    catch_unwind(AssertUnwindSafe(look)).unwrap_or_else(|panic| {
        let reason = crate::run::reason_of(&*panic);
        Err(Verdict::Broken(format!("at {}: {reason}", world.net().now())))
    })
}
