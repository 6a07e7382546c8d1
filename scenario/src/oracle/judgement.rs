//! Running a plan under the eyes of a judge: faults first, then a healed network that must go on and agree.
//!
//! A plan whose last deed heals the network has two phases (as TigerBeetle's simulator has them: safety, then liveness).
//! Before it, what must never happen must not happen; after it, the chain must grow within a bounded time, and when
//! mining ends, all peers must come to one tip. A plan that never heals has the first phase alone. Where validators agree,
//! blocks come as payments do: there a new payment must be confirmed everywhere, within a bounded time and number of views.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use synod_consensus::{Chain, Replica};
use synod_ledger::{Engine, Retarget};
use synod_machine::{PeerId, Time};
use synod_peer::Peer;
use synod_sim::{Status, World};

use super::votes::faulty;
use super::{Judge, Looked, Oracle, Verdict};
use crate::payer::signer;
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
    /// What else happened, by name: what a swarm has to have met, or it shows little.
    pub met: BTreeMap<&'static str, u64>,
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
            met: BTreeMap::new(),
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
/// Stakes win on whole seconds: a tip that stands so long has come through to the disks.
const BETWEEN_LOOKS: Duration = Duration::from_millis(700);
/// Blocks whose mean interval is looked at: the mean of so many exponential times is never outside of the range but for
/// one run in a hundred thousand (the Erlang law's tails at 0.3 and 3).
const PACE_BLOCKS: usize = 20;
const PACE: std::ops::RangeInclusive<f64> = 0.3..=3.0;
/// With a shorter window targets fluctuate as much as times do.
const PACE_WINDOW_MIN: u32 = 10;

/// A new payment is confirmed before so many times the time until healing have passed: that long the time-outs of views may
/// have become, each twice the one before it …
const SERVED_HEALED: u32 = 8;
/// … and so many times a view's first time-out.
const SERVED_BEATS: u32 = 60;
/// What waits then is worked off, for each block that it makes within so many more.
const SERVED_BEATS_EACH: u32 = 8;
/// Views that may pass meanwhile, beside twice as many as there may be faulty primaries in a row: until time-outs are long enough …
const DRAINED_VIEWS: u64 = 12;
/// … and one for so many blocks, since a calm view makes them short again.
const DRAINED_BLOCKS: u64 = 4;
/// A payment may find its coin spent by one that came from elsewhere. So many are tried.
const SERVED_TRIES: u32 = 20;
/// Views that may pass until then, beside twice as many as there may be faulty primaries in a row.
const SERVED_VIEWS: u64 = 4;

/// Runs a plan to its end, or to what is wrong.
pub fn judge(plan: Plan) -> Judgement {
    let mut world = world(plan);
    let verdict = watched(&mut world, |world, until| advance(world, until, u64::MAX).map(Some));
    judgement(&world, verdict)
}

/// A world for a judge: it ends when the judge has seen enough, and not by its own stop rule.
pub fn world(plan: Plan) -> World<Trial> {
    let stop = Stop { blocks: u64::MAX, ..plan.stop };
    Trial::world(Plan { stop, ..plan })
}

/// Runs a [`world`] to the end of its plan, or to what is wrong. `go` lets it go on until a time; where it says nothing, the run
/// is interrupted, and passes as far as it came.
pub fn watched(
    world: &mut World<Trial>,
    go: impl FnMut(&mut World<Trial>, Time) -> Result<Option<Status>, Broken>,
) -> Verdict {
    let plan = world.experiment().plan().clone();
    let judge = Judge::new(&Arc::new(plan.clone()));
    let mut course = Course { world, judge, plan, go };
    course.run().err().unwrap_or(Verdict::Pass)
}

/// A run and whoever looks on.
struct Course<'a, G> {
    world: &'a mut World<Trial>,
    judge: Judge,
    plan: Plan,
    go: G,
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
        met: met(world),
    }
}

/// What happened beside the usual.
fn met(world: &World<Trial>) -> BTreeMap<&'static str, u64> {
    let (net, trial) = (world.net(), world.experiment());
    let observed = trial.observed();
    let mut heights: BTreeMap<u64, u64> = BTreeMap::new();
    for block in &observed.found()[1..] {
        *heights.entry(block.height.0).or_default() += 1;
    }
    let mut met: BTreeMap<&'static str, u64> = BTreeMap::new();
    for behaviour in trial.plan().adversaries.values() {
        *met.entry(behaviour.name()).or_default() += 1;
    }
    // Blocks that peers asked for, and decisions that validators were shown with their proofs, having missed them.
    let got = |kind| net.counters().traffic.of(kind).received.messages;
    let (starts, peers) = (net.tally().starts, net.len() as u64);
    met.extend([
        ("crashes", net.tally().crashes),
        ("forks", heights.values().filter(|count| **count > 1).count() as u64),
        ("recoveries", starts.saturating_sub(peers)),
        ("reorganisations", observed.reorganisations.values().sum()),
        ("stakes lost", lost(world)),
        ("state transfers", got("block") + got("decided")),
        ("view changes", observed.view.0),
    ]);
    met
}

/// Whose stakes are gone by the chain that all have in common.
fn lost(world: &World<Trial>) -> u64 {
    let (net, tip) = (world.net(), world.experiment().observed().common_tip().id);
    let mut replicas = net.peers().filter_map(|peer| net.protocol(peer)).map(Peer::replica);
    let Some(replica) = replicas.find(|replica| replica.tip() == tip) else { return 0 };
    net.peers().filter(|peer| replica.state().loss_of(&signer(*peer).address()).is_some()).count() as u64
}

/// What times are reckoned in: a block's, or where blocks come as payments do, a view's first time-out.
fn beat(chain: &Chain) -> Duration {
    match &chain.genesis().engine {
        Engine::Pbft(params) => Duration::from_millis(params.view_timeout_ms),
        Engine::Pos(_) | Engine::Pow(_) => chain.block_time(),
    }
}

impl<G: FnMut(&mut World<Trial>, Time) -> Result<Option<Status>, Broken>> Course<'_, G> {
    fn run(&mut self) -> Looked {
        let healed = self.plan.deeds.last().filter(|(_, deed)| *deed == Deed::Heal).map(|(at, _)| *at);
        let safe_until = healed.unwrap_or(self.plan.stop.time);
        for look in 1..=LOOKS {
            self.go_on(Time((u128::from(safe_until.0) * u128::from(look) / u128::from(LOOKS)) as u64))?;
            self.look()?;
        }
        let Some(healed) = healed else { return Ok(()) };
        match &self.plan.chain.genesis().engine {
            Engine::Pbft(_) => {
                self.serve(healed)?;
                self.agree()
            }
            Engine::Pos(params) => {
                let retarget = params.retarget;
                self.grow(healed, GROWTH)?;
                judge_pace(self.world, &self.plan, retarget, healed)?;
                self.agree_between_blocks()
            }
            Engine::Pow(params) => {
                let retarget = params.retarget;
                self.grow(healed, GROWTH)?;
                judge_pace(self.world, &self.plan, retarget, healed)?;
                self.agree()
            }
        }
    }

    /// Payments go on until the plan's time is over, and what waits is worked off. Then a new one is confirmed everywhere,
    /// before many views have passed.
    fn serve(&mut self, healed: Time) -> Looked {
        self.watch_until(self.plan.stop.time, |_, _| false)?;
        self.set_mining(false);
        let patience = healed.since(Time::ZERO) * SERVED_HEALED + beat(&self.plan.chain) * SERVED_BEATS;
        let since = self.now().max(self.plan.stop.time);
        let blocks = self.blocks_to_come();
        let (rest, view) = (beat(&self.plan.chain) * (SERVED_BEATS_EACH * blocks), highest_view(self.world));
        if !self.watch_until(since + patience + rest, |_, world| waiting(world) == 0)? {
            let reason = format!("{} payments wait at validators since {since}", waiting(self.world));
            return Err(Verdict::NoProgress(reason));
        }
        let passed = highest_view(self.world) - view;
        let views_max = DRAINED_VIEWS + 2 * faulty(self.validators()) as u64 + u64::from(blocks) / DRAINED_BLOCKS;
        if passed > views_max {
            let reason = format!("{blocks} blocks of what waited took {passed} views, and not {views_max}");
            return Err(Verdict::NoProgress(reason));
        }
        let mut turns = honest(self.world).collect::<Vec<_>>().into_iter().cycle();
        for _ in 0..SERVED_TRIES {
            let (view, (trial, net)) = (highest_view(self.world), self.world.parts_mut());
            let Some(tx) = turns.next().and_then(|peer| trial.pay_at(net, peer)) else { continue };
            let (until, asked) = (self.now() + patience, tx.clone());
            let is_done = move |judge: &Judge, world: &World<Trial>| {
                judge.is_everywhere(world, &asked) || judge.is_hopeless(world, &asked)
            };
            self.watch_until(until, is_done)?;
            if self.judge.is_everywhere(self.world, &tx) {
                let passed = highest_view(self.world) - view;
                let views_max = 2 * faulty(self.validators()) as u64 + SERVED_VIEWS;
                let late = || Verdict::NoProgress(format!("a payment took {passed} views, and not {views_max}"));
                return if passed > views_max { Err(late()) } else { Ok(()) };
            }
        }
        Err(Verdict::NoProgress("no new payment was confirmed everywhere".to_string()))
    }

    /// Goes on, beat by beat, until something has come true or the time is over. Says whether it has. Where nothing is left to
    /// happen, time passes all the same.
    fn watch_until(&mut self, until: Time, is_done: impl Fn(&Judge, &World<Trial>) -> bool) -> Result<bool, Verdict> {
        let beat = beat(&self.plan.chain);
        let mut at = self.now();
        while at < until {
            at = at + beat;
            self.go_on(at)?;
            self.look()?;
            if is_done(&self.judge, self.world) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// How many blocks at least what waits at validators makes.
    fn blocks_to_come(&self) -> u32 {
        let batch_max = self.plan.chain.agreed().map_or(1, |agreed| agreed.params().batch_max.max(1));
        let most = validators(self.world).map(|replica| replica.mempool().len()).max().unwrap_or_default();
        u32::try_from(most).unwrap_or(u32::MAX).div_ceil(batch_max)
    }

    fn validators(&self) -> usize {
        self.plan.chain.agreed().map_or(0, |agreed| agreed.validators().len())
    }

    fn now(&self) -> Time {
        self.world.net().now()
    }

    /// The chain goes on until the plan's time is over, and grows by so many blocks.
    fn grow(&mut self, since: Time, growth: u64) -> Looked {
        let block_time = self.plan.chain.block_time();
        let wanted = self.height() + growth;
        let deadline = since + block_time * GROWTH_BLOCK_TIMES;
        while self.world.net().now() < self.plan.stop.time || self.height() < wanted {
            let now = self.world.net().now();
            if now >= deadline {
                let reason = format!("the chain is {} high, and was to be {wanted} since {since}", self.height());
                return Err(Verdict::NoProgress(reason));
            }
            self.go_on(now + block_time)?;
            self.look()?;
        }
        Ok(())
    }

    /// All peers come to one tip and to rest.
    fn agree(&mut self) -> Looked {
        for _ in 0..TIES_MAX {
            self.set_mining(false);
            let deadline = self.world.net().now() + AGREEMENT + self.plan.chain.block_time() * AGREEMENT_BLOCK_TIMES;
            let mut tied = 0;
            while !is_agreed(self.world) && tied < TIED_LOOKS && self.world.net().now() < deadline {
                let now = self.world.net().now();
                if self.go_on(now + Duration::from_secs(10))? == Status::Idle {
                    break; // Nobody will ever say anything again.
                }
                tied = if is_tied(self.world) { tied + 1 } else { 0 };
            }
            if !is_tied(self.world) {
                break;
            }
            // Who saw one of two equal branches first stays on it until the next block.
            self.set_mining(true);
            self.grow(self.world.net().now(), 1)?;
        }
        let now = self.world.net().now();
        self.go_on(now + QUIET)?;
        let (judge, world) = (&mut self.judge, &*self.world);
        caught(|| judge.look_at_the_end(world))
    }

    /// Stakes go on winning. All peers are on one tip most of the time: for a while after each block and before the next.
    fn agree_between_blocks(&mut self) -> Looked {
        self.set_mining(false);
        let deadline = self.now() + AGREEMENT + beat(&self.plan.chain) * AGREEMENT_BLOCK_TIMES;
        let mut before = None;
        while self.now() < deadline {
            let tip = is_agreed(self.world).then(|| self.world.experiment().observed().common_tip().id);
            if tip.is_some() && tip == before {
                break;
            }
            before = tip;
            self.go_on(self.now() + BETWEEN_LOOKS)?;
        }
        let (judge, world) = (&mut self.judge, &*self.world);
        caught(|| judge.look_at_the_end(world))
    }

    fn set_mining(&mut self, is_on: bool) {
        let (trial, net) = self.world.parts_mut();
        trial.set_mining(net, is_on);
    }

    fn height(&self) -> u64 {
        self.world.experiment().observed().height()
    }

    fn go_on(&mut self, until: Time) -> Result<Status, Verdict> {
        match (self.go)(self.world, until) {
            Ok(Some(status)) => Ok(status),
            Ok(None) => Err(Verdict::Pass),
            Err(broken) => Err(Verdict::Broken(broken.reason)),
        }
    }

    fn look(&mut self) -> Looked {
        let (judge, world) = (&mut self.judge, &*self.world);
        caught(|| judge.look(world))
    }
}

/// A look that panics found a peer in a state that it has no words for.
fn caught(look: impl FnOnce() -> Looked) -> Looked {
    let looked = catch_unwind(AssertUnwindSafe(look));
    looked.unwrap_or_else(|panic| Err(Verdict::Broken(format!("at a look: {}", crate::run::reason_of(&*panic)))))
}

/// Blocks that came after the network had healed, and after a window that still saw what was before.
fn judge_pace(world: &World<Trial>, plan: &Plan, retarget: Retarget, healed: Time) -> Looked {
    let window = match retarget {
        Retarget::Lwma { window } if window >= PACE_WINDOW_MIN => window as usize,
        Retarget::Lwma { .. } | Retarget::Off => return Ok(()),
    };
    if plan.deeds.iter().any(|(_, deed)| matches!(deed, Deed::Clock { .. })) {
        return Ok(()); // The chain's time is not the true time.
    }
    let main = world.experiment().observed().main_chain();
    let since: Vec<Time> = main.iter().map(|block| block.at).filter(|at| *at >= healed).skip(window).collect();
    let (Some(first), Some(last)) = (since.first(), since.last()) else { return Ok(()) };
    let count = since.len() - 1;
    let mean = last.since(*first).as_secs_f64() / count as f64 / plan.chain.block_time().as_secs_f64();
    if count >= PACE_BLOCKS && !PACE.contains(&mean) {
        let reason = format!("{count} blocks came every {mean:.2} block times when all was quiet");
        return Err(Verdict::Unsafe(Oracle::Pace, reason));
    }
    Ok(())
}

/// The highest view that a validator is in or moves to.
fn highest_view(world: &World<Trial>) -> u64 {
    let hosts = honest(world).filter_map(|peer| world.net().protocol(peer));
    hosts.filter_map(|host| host.replica().agreement()).map(|agreement| agreement.view().0).max().unwrap_or(0)
}

/// Payments that wait at validators.
fn waiting(world: &World<Trial>) -> usize {
    validators(world).map(|replica| replica.mempool().len()).sum()
}

/// The honest validators that are up.
fn validators(world: &World<Trial>) -> impl Iterator<Item = &Replica> {
    let replicas = honest(world).filter_map(|peer| world.net().protocol(peer)).map(Peer::replica);
    replicas.filter(|replica| replica.agreement().is_some_and(|agreement| agreement.my_id().is_some()))
}

/// All but the validators that are faulty as long as the run lasts.
fn honest(world: &World<Trial>) -> impl Iterator<Item = PeerId> + '_ {
    world.net().peers().filter(|peer| !world.experiment().plan().adversaries.contains_key(peer))
}

fn is_agreed(world: &World<Trial>) -> bool {
    let net = world.net();
    let tip = |peer: PeerId| {
        let replica = net.protocol(peer)?.replica();
        replica.is_settled().then(|| replica.tip())
    };
    let mut tips = honest(world).map(tip);
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
