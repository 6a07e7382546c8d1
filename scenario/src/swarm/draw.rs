//! What a seed makes of a scenario: every kind of trouble is in some runs and not in others (swarm testing: Groce, Zhang,
//! Eide, Chen and Regehr 2012), since what is always there can hide what it prevents.

use std::ops::RangeInclusive;

use synod_ledger::Amount;
use synod_machine::{PeerId, Rng};
use synod_sim::model::{Distribution, Links, Rate, Span, Topology};

use super::faults::{Arena, actions};
use crate::config::{
    Action, Arrivals, ChainConfig, Check, ChurnConfig, Coins, DiskConfig, EngineConfig, FloodConfig, GossipConfig,
    Interest, LimitsConfig, LoadConfig, MeshConfig, MiningConfig, Mode, Phase, Power, Retarget, RumourConfig, Scenario,
    StopConfig, Who,
};

/// Draws of one seed.
pub(super) struct Dice(Rng);

impl Dice {
    /// Those of a role of a seed.
    pub(super) fn new(seed: u64, role: &'static str) -> Self {
        Self(Rng::new(seed, 0, role))
    }

    /// A number in a range.
    pub(super) fn within(&mut self, range: RangeInclusive<u64>) -> u64 {
        let (first, last) = range.into_inner();
        first + self.0.below(last - first + 1)
    }

    /// Whether something happens that does once in so many times.
    pub(super) fn one_in(&mut self, times: u64) -> bool {
        self.0.below(times) == 0
    }

    /// One of a few values.
    pub(super) fn one_of<T: Clone>(&mut self, values: &[T]) -> T {
        self.0.pick(values).expect("a list of values is not empty").clone()
    }

    /// A share in percent, as a fraction.
    pub(super) fn percent(&mut self, range: RangeInclusive<u64>) -> f64 {
        self.within(range) as f64 / 100.0
    }

    /// A group of at least one peer, and of `most` at most.
    pub(super) fn some(&mut self, peers: u32, most: u32) -> Vec<PeerId> {
        let mut all: Vec<PeerId> = (0..peers).map(PeerId).collect();
        self.0.shuffle(&mut all);
        all.truncate(self.within(1..=u64::from(most.clamp(1, peers))) as usize);
        all
    }
}

/// The scenario of a seed.
pub(super) fn draw(seed: u64) -> Scenario {
    let mut dice = Dice::new(seed, "swarm");
    let dice = &mut dice;
    let peers = peers(dice);
    let block_time = Span::from_millis(dice.one_of(&[2_000, 5_000, 10_000, 30_000]));
    let chain = chain(dice, block_time);
    let blocks = |count: u64| Span::from_nanos(block_time.nanos() * count);
    let healed = dice.within(15..=35);
    // A retarget is looked at over a window and as many blocks again as tell its pace.
    let after = match chain.retarget {
        Retarget::Lwma { window } if window >= 10 && dice.one_in(2) => u64::from(window) + 30,
        Retarget::Lwma { .. } | Retarget::Off => 10,
    };
    let gossip = gossip(dice);
    let mut byzantine = Dice::new(seed, "swarm, byzantine");
    let arena = Arena::of_work(peers, block_time, healed);
    let (mut actions, churn, absent) = actions(dice, &mut byzantine, &arena);
    actions.push(Action::Heal { at: blocks(healed) });
    Scenario {
        name: format!("swarm-{seed}"),
        about: "Drawn by a seed of the swarm.".to_string(),
        seed,
        peers,
        codec: dice.one_in(5),
        confirmations: dice.within(2..=6),
        absent: Who::of(absent),
        mining: mining(dice, peers),
        topology: topology(dice, peers),
        links: Links { upload: upload(dice, &gossip), ..links(dice, block_time) },
        gossip,
        limits: limits(dice),
        disk: DiskConfig { sync: Span::from_millis(if dice.one_in(2) { 0 } else { dice.one_of(&[1, 5, 20, 200]) }) },
        churn,
        load: load(dice, block_time),
        actions,
        stop: StopConfig { blocks: None, time: blocks(healed + after) },
        checks: [Check::Oracles].into(),
        chain,
        ..bare()
    }
}

/// A scenario in which nothing is drawn yet.
pub(super) fn bare() -> Scenario {
    Scenario::parse(BARE).expect("a test draws scenarios")
}

/// How many there are: few as a rule.
pub(super) fn peers(dice: &mut Dice) -> u32 {
    (if dice.one_in(8) { dice.within(10..=24) } else { dice.within(3..=9) }) as u32
}

/// What must be written of every scenario. Whatever is not drawn has its default.
const BARE: &str = "
    name = 'swarm'
    peers = 3
    topology = { kind = 'complete' }
    links = { delay = '50 ms' }
    stop = { time = '1 s' }
";

pub(super) fn chain(dice: &mut Dice, block_time: Span) -> ChainConfig {
    // Shorter windows swing: after clocks that were wrong they take thousands of block times to come back.
    let window = dice.one_of(&[5, 8, 10, 20]);
    ChainConfig {
        engine: EngineConfig::Pow,
        block_time,
        block_bytes_max: dice.one_of(&[2_500, 4_000, 10_000, 1_000_000]),
        retarget: if dice.one_in(3) { Retarget::Off } else { Retarget::Lwma { window } },
        subsidy: Coins(Amount(dice.one_of(&[5_000_000_000, 1_000_003, 7, 0]))),
        halving_interval: dice.one_of(&[1, 3, 8, 20, 1_000]),
        maturity: dice.one_of(&[0, 1, 2, 5, 12]),
        fee_min: Coins(Amount(dice.one_of(&[0, 1, 100]))),
        balance: Coins(Amount(dice.one_of(&[100_000_000, 100_000_007, 1_000_000]))),
        coins: dice.one_of(&[1, 4, 12, 30]),
    }
}

fn mining(dice: &mut Dice, peers: u32) -> MiningConfig {
    let miners = if dice.one_in(2) { Who::All } else { Who::of(dice.some(peers, peers)) };
    let power = if dice.one_in(2) { Power::Equal {} } else { Power::Zipf { exponent: dice.one_of(&[0.5, 1.0, 2.0]) } };
    MiningConfig { miners, power, hash_rate: dice.one_of(&[0.3, 1.0, 1.0, 1.0, 3.0]) }
}

pub(super) fn gossip(dice: &mut Dice) -> GossipConfig {
    let slow = Span::from_millis(dice.one_of(&[200, 500, 1_000, 3_000]));
    match dice.within(0..=3) {
        0 => GossipConfig::Flood(FloodConfig {}),
        1 => GossipConfig::Rumour(RumourConfig {
            interest: dice.one_of(&[
                Interest::Counter { contacts: 2 },
                Interest::Counter { contacts: 4 },
                Interest::Rounds { rounds: 6 },
            ]),
            lazy: dice.one_in(2),
            mode: dice.one_of(&[Mode::Pull, Mode::Push, Mode::PushPull]),
            // Rounds that come faster than messages travel fill the lines with what is known.
            period: slow.max(Span::from_millis(500)),
            phase: dice.one_of(&[Phase::Aligned, Phase::Random]),
            view_max: dice.one_of(&[2, 5, 30]),
            ..RumourConfig::default()
        }),
        _ => {
            let degree = dice.within(1..=6) as usize;
            GossipConfig::Mesh(MeshConfig {
                degree_low: degree.div_ceil(2),
                degree,
                degree_high: 2 * degree,
                flood_publish: dice.one_in(2),
                heartbeat: slow,
                lazy_min: dice.one_of(&[0, 1, 6]),
                ..MeshConfig::default()
            })
        }
    }
}

pub(super) fn topology(dice: &mut Dice, peers: u32) -> Topology {
    match dice.within(0..=3) {
        0 => Topology::Ring { neighbours: 1 },
        1 => Topology::ScaleFree { links: dice.within(1..=u64::from(2.min(peers - 1))) as u32 },
        // One of degree and peers is even.
        2 => Topology::RandomRegular { degree: if peers > 4 { dice.one_of(&[2, 4]) } else { 2 } },
        _ => Topology::Complete {},
    }
}

pub(super) fn links(dice: &mut Dice, block_time: Span) -> Links {
    // From far below the time of a block to a tenth of it, where forks are the rule. A question and its answer take less than
    // the ten seconds after which a replica asks another peer, or it could never catch up over such a link.
    let most = (block_time.nanos() / 10).min(DELAY_MAX.nanos() / 4);
    let typical = Span::from_nanos(most / dice.one_of(&[1, 3, 10, 100]));
    let delay = match dice.within(0..=4) {
        0 => Distribution::constant(typical),
        1 => Distribution::Exponential { mean: typical },
        2 => Distribution::LogNormal { median: typical, sigma: 0.4 },
        3 => Distribution::Pareto { scale: typical, shape: 1.5, most: Some(DELAY_MAX) },
        _ => Distribution::Uniform { least: Span::ZERO, most: typical },
    };
    let mut rarely = |range: RangeInclusive<u64>| if dice.one_in(3) { dice.percent(range) } else { 0.0 };
    let (loss, duplicate, reorder) = (rarely(1..=8), rarely(1..=30), rarely(1..=50));
    let jitter = dice.one_in(2).then(|| Distribution::Exponential { mean: Span::from_nanos(typical.nanos() / 4) });
    Links { delay: Some(delay), jitter, loss, duplicate, reorder, ..Links::default() }
}

/// A line that is narrow, but wide enough for what gossip sends of itself: rumours that are told in full again and again
/// would fill any.
pub(super) fn upload(dice: &mut Dice, gossip: &GossipConfig) -> Option<Rate> {
    let rate = dice.one_of(&["256 kbit/s", "2 Mbit/s"]);
    let is_narrow = dice.one_in(4);
    let is_frugal = match gossip {
        GossipConfig::Rumour(rumour) => rumour.lazy,
        GossipConfig::Flood(_) | GossipConfig::Mesh(_) => true,
    };
    (is_narrow && is_frugal).then(|| rate.parse().expect("a rate as people write it"))
}

/// The longest latency of a link, one way.
const DELAY_MAX: Span = Span::from_millis(3_000);

pub(super) fn limits(dice: &mut Dice) -> LimitsConfig {
    let mut limits = LimitsConfig::default();
    if dice.one_in(3) {
        limits.bodies = dice.one_of(&[2, 3, 6]);
    }
    if dice.one_in(3) {
        limits.orphans = dice.one_of(&[1, 4]);
    }
    if dice.one_in(4) {
        limits.payments = dice.one_of(&[5, 20, 60]);
    }
    limits
}

pub(super) fn load(dice: &mut Dice, block_time: Span) -> Option<LoadConfig> {
    if dice.one_in(12) {
        return None;
    }
    let per_block = dice.one_of(&[1.0, 3.0, 8.0]);
    Some(LoadConfig {
        arrivals: Arrivals::Poisson,
        hot: 0.0,
        rate: Some(per_block / block_time.secs()),
        clients: None,
        inputs: dice.within(1..=3) as u32,
        outputs: dice.within(2..=4) as u32,
        conflicts: if dice.one_in(2) { 0.0 } else { dice.percent(5..=40) },
        from: Span::from_millis(1_500),
        until: None,
    })
}

/// The section of those that come and go.
pub(super) fn churn(dice: &mut Dice, peers: u32, block_time: Span, healed: u64) -> ChurnConfig {
    let blocks = |count: u64| Span::from_nanos(block_time.nanos() * count);
    let period = |dice: &mut Dice| {
        let typical = blocks(dice.within(1..=6));
        match dice.within(0..=2) {
            0 => Distribution::Exponential { mean: typical },
            1 => Distribution::Weibull { scale: typical, shape: 0.6 },
            _ => Distribution::Pareto { scale: Span::from_nanos(typical.nanos() / 2), shape: 1.8, most: None },
        }
    };
    ChurnConfig {
        sessions: period(dice),
        gaps: period(dice),
        peers: Who::of(dice.some(peers, peers / 2)),
        from: blocks(dice.within(0..=3)),
        until: Some(blocks(healed)),
    }
}
