//! A run measured within a window: what was committed in it and how long that took, what was sent for it, and what it would
//! cost an attacker to take it back.
//!
//! What comes before the window warms up; what comes after it lets payments of the window be committed, and is not
//! counted. Payments at a rate come when they are due and not when an earlier one is done, so that a slow network is not spared
//! (Tene, "How not to measure latency": coordinated omission); those of clients, who wait for each of theirs, spare it. A peer
//! acknowledges or refuses in the step in which it is asked.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use synod_ledger::{Engine, TxId};
use synod_machine::{Count, Time};
use synod_sim::{Status, World};

use crate::attack::theory;
use crate::config::NOMINAL_HASH_RATE;
use crate::duel::Wait;
use crate::outcome::{bodies, stakes};
use crate::run::SLICE;
use crate::{Broken, Deed, Found, Plan, Trial, Watch, advance};

/// What is measured, and by which assumptions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Terms {
    /// When the window begins.
    pub from: Time,
    /// When it ends.
    pub until: Time,
    /// The attacker's share of hash power, stake or validators against whom payments are to be safe …
    pub attacker_share: f64,
    /// … but for this probability.
    pub risk: f64,
    /// What a hash takes, in joules.
    pub joules_per_hash: f64,
}

/// A payment of the window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Paid {
    /// When a peer acknowledged it, in seconds from the beginning of the run.
    pub at: f64,
    /// How long after that it was committed: half of the peers had the block that makes it as deep as the plan's confirmations
    /// ask, in seconds. Nothing, if it was not by the end of the run.
    pub took: Option<f64>,
}

/// What a run showed. It follows from the plan alone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measured {
    /// Figures by the names of [`METRICS`]. What cannot be said of this run is not here.
    pub figures: BTreeMap<&'static str, f64>,
    /// Messages and bytes sent within the window, by kind.
    pub sent: BTreeMap<&'static str, Count>,
    /// The window's payments, in the order in which they were made.
    pub payments: Vec<Paid>,
}

/// A figure: its name, its unit, whether more of it is better, and what it is.
pub type About = (&'static str, &'static str, Option<bool>, &'static str);

/// All figures there are.
pub const METRICS: [About; 26] = [
    ("payments_per_second", "1/s", Some(true), "payments committed within the window, per second"),
    ("offered_per_second", "1/s", None, "payments acknowledged within the window, per second"),
    ("unconfirmed_share", "", Some(false), "the share of the window's payments that were not committed by the end"),
    ("refused_share", "", Some(false), "the share of the whole run's payments that a peer refused"),
    (
        "latency_mean",
        "s",
        Some(false),
        "from the acknowledgement of a payment until half of the peers have it committed",
    ),
    ("latency_p50", "s", Some(false), "the same, which half of the payments do not exceed"),
    ("latency_p95", "s", Some(false), "the same, which 95 of 100 do not exceed"),
    ("latency_p99", "s", Some(false), "the same, which 99 of 100 do not exceed"),
    ("latency_max", "s", Some(false), "the same, of the slowest"),
    ("messages_per_payment", "", Some(false), "messages sent by all peers for each payment committed"),
    ("bytes_per_payment", "B", Some(false), "bytes sent by all peers for each payment committed"),
    ("messages_per_block", "", Some(false), "messages sent by all peers for each block of the chain"),
    ("votes_per_block", "", Some(false), "pre-prepares, prepares and commits sent by all validators for each block"),
    ("bytes_per_block", "B", Some(false), "bytes sent by all peers for each block of the chain"),
    ("bytes_per_peer_second", "B/s", Some(false), "bytes that a peer sends in a second"),
    ("blocks_per_second", "1/s", None, "blocks of the chain that were found within the window, per second"),
    ("payments_per_block", "", None, "payments in a block of the chain"),
    ("block_delay_p50", "s", Some(false), "from the finding of a block until half of the peers have it, on average"),
    ("block_delay_p99", "s", Some(false), "the same, until 99 of 100 peers have it"),
    ("stale_rate", "", Some(false), "the share of the blocks found that are not on the chain"),
    ("fork_rate", "", Some(false), "the share of the heights at which more than one block was found"),
    ("reorganisation_depth", "blocks", Some(false), "the most blocks that a peer took back at once, in the whole run"),
    ("hashes_per_payment", "", Some(false), "hashes that the chain's target asks for, for each payment committed"),
    ("joules_per_payment", "J", Some(false), "what these hashes take, as stated"),
    (
        "safety_time",
        "s",
        Some(false),
        "until the stated attacker takes a payment back with the stated probability at most",
    ),
    (
        "reward_distance",
        "",
        Some(false),
        "how far shares of blocks are from those of power, over the whole run: half the sum of differences",
    ),
];

/// The messages by which validators agree on a block.
pub const VOTES: [&str; 3] = ["commit", "pre_prepare", "prepare"];

/// The figure that a run with faults has besides.
pub const RECOVERY: About = (
    "recovery_time",
    "s",
    Some(false),
    "from the end of the last partition, or else from the first fault, until a payment made after it is committed",
);

/// Runs a plan and measures it. `watch` is told how much of it is done, from 0 to 1. Nothing, if the watcher stopped it.
pub fn measure(
    plan: Plan,
    terms: &Terms,
    mut watch: impl FnMut(f64) -> Watch,
) -> Result<Option<(Measured, World<Trial>)>, Broken> {
    let end = plan.stop.time;
    let mut world = Trial::world(plan);
    let mut marks = Vec::new();
    for until in [terms.from, terms.until, end] {
        loop {
            let status = advance(&mut world, until, SLICE)?;
            if watch(world.net().now().0 as f64 / end.0.max(1) as f64) == Watch::Stop {
                return Ok(None);
            }
            match status {
                Status::Paused => {}
                Status::Idle | Status::Stopped | Status::Until => break,
            }
        }
        let sent = world.net().counters().traffic.by_kind();
        marks.push(sent.into_iter().map(|traffic| (traffic.kind, traffic.sent)).collect::<BTreeMap<_, _>>());
    }
    let sent = between(&marks[0], &marks[1]);
    Ok(Some((measured(&world, terms, sent), world)))
}

type Sent = BTreeMap<&'static str, Count>;

fn between(from: &Sent, to: &Sent) -> Sent {
    let less = |(kind, count): (&&'static str, &Count)| {
        let before = from.get(kind).copied().unwrap_or_default();
        (*kind, Count { messages: count.messages - before.messages, bytes: count.bytes - before.bytes })
    };
    to.iter().map(less).filter(|(_, count)| count.messages > 0).collect()
}

fn measured(world: &World<Trial>, terms: &Terms, sent: Sent) -> Measured {
    let (net, trial) = (world.net(), world.experiment());
    let plan = trial.plan();
    let observed = trial.observed();
    let span = terms.until.since(terms.from).as_secs_f64();
    let is_in = |at: Time| terms.from <= at && at < terms.until;
    let main = observed.main_chain();
    let committed = commits(world, &main);
    let mut paid: Vec<(Time, Option<Time>)> = trial
        .acknowledged()
        .iter()
        .filter(|(_, payment)| is_in(payment.at))
        .map(|(id, payment)| (payment.at, committed.get(id).copied()))
        .collect();
    paid.sort_unstable();
    let took = |(at, done): &(Time, Option<Time>)| done.map(|done| done.since(*at));
    let payments: Vec<Paid> =
        paid.iter().map(|one| Paid { at: secs(one.0.since(Time::ZERO)), took: took(one).map(secs) }).collect();
    let done = committed.values().filter(|at| is_in(**at)).count() as f64;
    let (messages, bytes) = sent
        .values()
        .fold((0.0, 0.0), |sum: (f64, f64), count| (sum.0 + count.messages as f64, sum.1 + count.bytes as f64));
    let blocks: Vec<&&Found> = main[1..].iter().filter(|block| is_in(block.at)).collect();
    let found: Vec<&Found> = observed.found()[1..].iter().filter(|block| is_in(block.at)).collect();
    let mut heights: BTreeMap<u64, u64> = BTreeMap::new();
    for block in &found {
        *heights.entry(block.height.0).or_default() += 1;
    }
    let forked = heights.values().filter(|count| **count > 1).count() as f64;
    let stale = found.len() as f64 - blocks.len() as f64;
    let in_blocks: usize = blocks.iter().map(|block| block.payments).sum();
    let (found, blocks_count) = (found.len() as f64, blocks.len() as f64);
    let hashes = hashes_per_second(plan).map(|rate| rate * span);
    let mut figures = Figures::default();
    figures.set("payments_per_second", Some(done / span));
    figures.set("offered_per_second", Some(paid.len() as f64 / span));
    let open = paid.iter().filter(|(_, done)| done.is_none()).count();
    figures.set("unconfirmed_share", ratio(open as f64, paid.len() as f64));
    let refused: u64 = trial.refused.values().sum();
    figures.set("refused_share", ratio(refused as f64, refused as f64 + trial.acknowledged().len() as f64));
    figures.latencies(paid.iter().filter_map(took));
    figures.set("messages_per_payment", ratio(messages, done));
    figures.set("bytes_per_payment", ratio(bytes, done));
    figures.set("messages_per_block", ratio(messages, blocks_count));
    let votes: u64 = VOTES.iter().filter_map(|kind| sent.get(kind)).map(|count| count.messages).sum();
    figures.set("votes_per_block", ratio(votes as f64, blocks_count).filter(|_| votes > 0));
    figures.set("bytes_per_block", ratio(bytes, blocks_count));
    figures.set("bytes_per_peer_second", Some(bytes / span / net.len() as f64));
    figures.set("blocks_per_second", Some(blocks_count / span));
    figures.set("payments_per_block", ratio(in_blocks as f64, blocks_count));
    figures.set("block_delay_p50", reach(&blocks, 0));
    figures.set("block_delay_p99", reach(&blocks, 2));
    figures.set("stale_rate", ratio(stale, found));
    figures.set("fork_rate", ratio(forked, heights.len() as f64));
    let deepest = observed.reorganisations.keys().next_back().copied().unwrap_or_default();
    figures.set("reorganisation_depth", Some(deepest as f64));
    figures.set("hashes_per_payment", hashes.and_then(|hashes| ratio(hashes, done)));
    figures.set("joules_per_payment", hashes.and_then(|hashes| ratio(hashes * terms.joules_per_hash, done)));
    let interval = ratio(span, blocks_count);
    figures.set("safety_time", safety(plan, terms, interval, figures.0.get("latency_p50").copied()));
    figures.set("reward_distance", reward_distance(world, &main));
    figures.set(RECOVERY.0, recovery(plan, trial, &committed));
    Measured { figures: figures.0, sent, payments }
}

#[derive(Default)]
struct Figures(BTreeMap<&'static str, f64>);

impl Figures {
    fn set(&mut self, name: &'static str, figure: Option<f64>) {
        if let Some(figure) = figure {
            self.0.insert(name, figure);
        }
    }

    fn latencies(&mut self, spans: impl Iterator<Item = Duration>) {
        let mut histogram: Histogram<u64> = Histogram::new(4).expect("four digits are possible");
        for span in spans {
            histogram.record(span.as_micros() as u64).expect("the histogram grows with what it is given");
        }
        if histogram.is_empty() {
            return;
        }
        let micros = |figure: f64| Some(figure / 1e6);
        self.set("latency_mean", micros(histogram.mean()));
        self.set("latency_p50", micros(histogram.value_at_quantile(0.5) as f64));
        self.set("latency_p95", micros(histogram.value_at_quantile(0.95) as f64));
        self.set("latency_p99", micros(histogram.value_at_quantile(0.99) as f64));
        self.set("latency_max", micros(histogram.max() as f64));
    }
}

/// When each payment of the chain was committed: half of the peers had the block that makes it deep enough.
fn commits(world: &World<Trial>, main: &[&Found]) -> BTreeMap<TxId, Time> {
    let deep = world.experiment().plan().confirmations.max(1) as usize - 1;
    let mut commits = BTreeMap::new();
    for (height, block) in bodies(world) {
        let Some(at) = main.get(height + deep).and_then(|block| block.reached_at[0]) else { continue };
        commits.extend(block.payments().iter().map(|tx| (tx.id(), at)));
    }
    commits
}

/// The mean time until a share of the peers had a block, over those that came so far; the share is a place in
/// [`REACHES`](crate::REACHES).
fn reach(blocks: &[&&Found], place: usize) -> Option<f64> {
    let spans: Vec<f64> =
        blocks.iter().filter_map(|block| Some(secs(block.reached_at[place]?.since(block.at)))).collect();
    ratio(spans.iter().sum(), spans.len() as f64)
}

/// Hashes that all peers do in a second: miners as the first target has it, wallets with a stake one each.
fn hashes_per_second(plan: &Plan) -> Option<f64> {
    match &plan.chain.genesis().engine {
        Engine::Pbft(_) => None,
        Engine::Pos(_) => Some(plan.chain.state().stakes().len() as f64),
        Engine::Pow(_) => Some(NOMINAL_HASH_RATE as f64 * plan.hash_rate),
    }
}

/// Where blocks are final, what is committed is safe at once as long as fewer than a third are faulty. Elsewhere as many
/// confirmations are waited for as Rosenfeld's formula asks; for stakes that holds as far as an attacker mines like all others.
fn safety(plan: &Plan, terms: &Terms, interval: Option<f64>, latency: Option<f64>) -> Option<f64> {
    match &plan.chain.genesis().engine {
        Engine::Pbft(_) => latency.filter(|_| terms.attacker_share < 1.0 / 3.0),
        Engine::Pos(_) | Engine::Pow(_) => {
            let wait = theory::confirmations(Wait::Raced, terms.attacker_share, terms.risk)?;
            interval.map(|interval| wait as f64 * interval)
        }
    }
}

/// Half the sum of the differences between each peer's share of the chain's blocks and of hash power or stakes. Validators take turns
/// by views, and there is no lottery to be fair.
fn reward_distance(world: &World<Trial>, main: &[&Found]) -> Option<f64> {
    let plan = world.experiment().plan();
    let count = main.len() as f64 - 1.0;
    if count < 1.0 {
        return None;
    }
    let made = |peer: u32| main[1..].iter().filter(|block| block.by.0 == peer).count() as f64 / count;
    let shares: Vec<(f64, f64)> = match &plan.chain.genesis().engine {
        Engine::Pbft(_) => return None,
        Engine::Pos(_) => stakes(world).iter().map(|stake| (stake.block_share, stake.stake_share)).collect(),
        Engine::Pow(_) => {
            let all: f64 = plan.power.iter().map(|power| *power as f64).sum();
            plan.power.iter().zip(0..).map(|(power, peer)| (made(peer), *power as f64 / all.max(1.0))).collect()
        }
    };
    Some(shares.iter().map(|(blocks, power)| (blocks - power).abs()).sum::<f64>() / 2.0)
}

/// See [`RECOVERY`].
fn recovery(plan: &Plan, trial: &Trial, committed: &BTreeMap<TxId, Time>) -> Option<f64> {
    let ends = |deed: &Deed| matches!(deed, Deed::Heal | Deed::Reconnect);
    let harms = |deed: &Deed| {
        matches!(
            deed,
            Deed::Crash { .. } | Deed::Cut { .. } | Deed::Omit { .. } | Deed::Pause { .. } | Deed::Wipe { .. }
        )
    };
    let last = plan.deeds.iter().filter(|(_, deed)| ends(deed)).map(|(at, _)| *at).next_back();
    let since = last.or_else(|| plan.deeds.iter().find(|(_, deed)| harms(deed)).map(|(at, _)| *at))?;
    let after = trial.acknowledged().iter().filter(|(_, payment)| payment.at >= since);
    let done = after.filter_map(|(id, _)| committed.get(id)).min()?;
    Some(secs(done.since(since)))
}

fn secs(span: Duration) -> f64 {
    span.as_secs_f64()
}

fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::plan;

    fn terms(from: u64, until: u64) -> Terms {
        Terms {
            from: Time::from_secs(from),
            until: Time::from_secs(until),
            attacker_share: 0.1,
            risk: 0.001,
            joules_per_hash: 1e-6,
        }
    }

    fn windowed(seed: u64) -> Plan {
        let mut plan = plan(seed, 8, u64::MAX);
        (plan.load.until, plan.stop.time) = (Time::from_secs(1_300), Time::from_secs(1_600));
        plan
    }

    fn run(plan: Plan, terms: &Terms) -> Measured {
        measure(plan, terms, |_| Watch::GoOn).expect("nothing breaks").expect("nobody stops it").0
    }

    #[test]
    fn a_window_has_what_was_paid_in_it_and_how_long_that_took() {
        let measured = run(windowed(1), &terms(300, 1_300));
        let figure = |name: &str| measured.figures[name];
        // One payment a second, six blocks of ten seconds to be committed, links of 50 ms.
        assert!((figure("offered_per_second") - 1.0).abs() < 0.15, "{measured:?}");
        assert_eq!(measured.payments.len() as f64, (1_000.0 * figure("offered_per_second")).round());
        assert_eq!(figure("unconfirmed_share"), 0.0);
        // What is paid is committed, and a window's ends take as much away as they add but for a block or two.
        assert!((figure("payments_per_second") - figure("offered_per_second")).abs() < 0.1, "{measured:?}");
        assert!((40.0..90.0).contains(&figure("latency_p50")), "{}", figure("latency_p50"));
        assert!(figure("latency_p50") <= figure("latency_p95") && figure("latency_p95") <= figure("latency_max"));
        assert!(figure("block_delay_p50") < figure("block_delay_p99"));
        // Rosenfeld asks for six confirmations against a tenth: once in a thousand.
        assert!((figure("safety_time") * figure("blocks_per_second") - 6.0).abs() < 1e-9);
        // A million hashes a second, as the first target has it.
        let hashes = figure("hashes_per_payment") * figure("payments_per_second");
        assert!((hashes - 1e6).abs() < 1.0, "{hashes}");
        assert!((figure("joules_per_payment") - figure("hashes_per_payment") * 1e-6).abs() < 1e-9);
        let sent: u64 = measured.sent.values().map(|count| count.messages).sum();
        let committed = figure("payments_per_second") * 1_000.0;
        assert!((figure("messages_per_payment") * committed - sent as f64).abs() < 1e-3);
        assert!(!measured.figures.contains_key(RECOVERY.0), "nothing was broken");
    }

    #[test]
    fn the_same_plan_measures_the_same_and_another_seed_does_not() {
        let one = run(windowed(1), &terms(100, 400));
        assert_eq!(one, run(windowed(1), &terms(100, 400)));
        assert_ne!(one, run(windowed(2), &terms(100, 400)));
    }

    #[test]
    fn recovery_counts_from_the_end_of_the_last_partition() {
        let mut plan = windowed(3);
        let peers = plan.graph.peers();
        let cut = Deed::Cut {
            peers: (0..peers / 2).map(synod_machine::PeerId).collect(),
            direction: synod_sim::Direction::Both,
            notice: None,
        };
        plan.deeds = vec![(Time::from_secs(500), cut), (Time::from_secs(700), Deed::Reconnect)];
        let measured = run(plan, &terms(300, 1_300));
        let recovery = measured.figures[RECOVERY.0];
        assert!((20.0..300.0).contains(&recovery), "six blocks after the partition: {recovery}");
        assert!(measured.figures["reorganisation_depth"] >= 1.0, "one side was taken back");
    }

    #[test]
    fn every_figure_has_its_entry_and_is_a_number() {
        let measured = run(windowed(1), &terms(100, 400));
        for (name, figure) in &measured.figures {
            assert!(METRICS.iter().chain([&RECOVERY]).any(|about| about.0 == *name), "{name}");
            assert!(figure.is_finite(), "{name}");
        }
        assert_eq!(measured.figures.len(), METRICS.len() - 1, "nobody votes");
    }

    #[test]
    fn who_watches_can_stop_it() {
        let stopped = measure(windowed(1), &terms(100, 400), |done| if done > 0.1 { Watch::Stop } else { Watch::GoOn });
        assert!(stopped.expect("nothing breaks").is_none());
    }
}
