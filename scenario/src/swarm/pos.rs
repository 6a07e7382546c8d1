//! What a seed makes of a chain of stakes: the troubles of miners, and blocks on whole seconds.
//!
//! Stakes win as long as the run lasts, so that peers are on one tip only between two blocks: what is drawn brings a block
//! everywhere well before the next one, when nothing is wrong. So nobody stands in a ring: there a block passes half of all
//! peers one after another, a lost message of two cuts it off, and branches grow faster than the better one comes round.

use synod_sim::model::{Links, Span, Topology};

use super::draw::{Dice, bare, chain, gossip, limits, links, load, peers, topology, upload};
use super::faults::{Arena, CONDUCTS_OF_STAKES, KINDS_OF_ALL, actions};
use crate::config::{
    Action, ChainConfig, Check, Coins, DiskConfig, EngineConfig, FloodConfig, GossipConfig, Scenario, StopConfig, Who,
};

/// The scenario of a seed.
pub(super) fn draw(seed: u64) -> Scenario {
    let mut dice = Dice::new(seed, "swarm pos");
    let dice = &mut dice;
    let peers = peers(dice);
    let block_time = Span::from_millis(dice.one_of(&[4_000, 5_000, 10_000, 30_000]));
    let blocks = |count: u64| Span::from_nanos(block_time.nanos() * count);
    let healed = dice.within(15..=35);
    let arena =
        Arena { kinds: &KINDS_OF_ALL, conducts: &CONDUCTS_OF_STAKES, ..Arena::of_work(peers, block_time, healed) };
    let mut byzantine = Dice::new(seed, "swarm pos, lies");
    let (mut actions, churn, absent) = actions(dice, &mut byzantine, &arena);
    actions.push(Action::Heal { at: blocks(healed) });
    let engine = engine(dice, peers);
    let gossip = swift(gossip(dice), block_time);
    let topology = match topology(dice, peers) {
        Topology::Ring { .. } => Topology::Complete {},
        // This is a ring as well.
        Topology::RandomRegular { degree: 2 } if peers > RING_MAX => Topology::RandomRegular { degree: 4 },
        other => other,
    };
    Scenario {
        name: format!("swarm-pos-{seed}"),
        about: "Drawn by a seed of the swarm.".to_string(),
        seed,
        peers,
        codec: dice.one_in(5),
        confirmations: dice.within(2..=6),
        absent: Who::of(absent),
        topology,
        links: Links { upload: upload(dice, &gossip), ..links(dice, Span::from_nanos(block_time.nanos() / 4)) },
        gossip,
        limits: limits(dice),
        disk: DiskConfig { sync: Span::from_millis(if dice.one_in(2) { 0 } else { dice.one_of(&[1, 5, 20, 200]) }) },
        churn,
        load: load(dice, block_time),
        actions,
        stop: StopConfig { blocks: None, time: blocks(healed + 10) },
        checks: [Check::Oracles].into(),
        chain: ChainConfig { engine, ..chain(dice, block_time) },
        ..bare()
    }
}

/// In a ring of so many everybody has a neighbour in common with everybody else.
pub(super) const RING_MAX: u32 = 4;

/// Rumours that go round by round are told in time for a few of them to pass.
fn swift(gossip: GossipConfig, block_time: Span) -> GossipConfig {
    match gossip {
        GossipConfig::Rumour(rumour) if rumour.period.nanos() * ROUNDS > block_time.nanos() => {
            GossipConfig::Flood(FloodConfig {})
        }
        GossipConfig::Flood(_) | GossipConfig::Mesh(_) | GossipConfig::Rumour(_) => gossip,
    }
}

/// Rounds that a rumour has for each block.
const ROUNDS: u64 = 10;

fn engine(dice: &mut Dice, peers: u32) -> EngineConfig {
    let stake_depth = dice.one_of(&[1, 3, 10]);
    EngineConfig::Pos {
        minters: dice.within(u64::from(peers.div_ceil(2))..=u64::from(peers)) as u32,
        stake: Coins(synod_ledger::Amount(dice.one_of(&[1_000_003, 100_000_000_000]))),
        shares: Vec::new(),
        slasher: dice.one_in(2),
        finder_share: dice.one_of(&[0, 10, 255]),
        stake_depth,
        unbonding: u64::from(stake_depth) + dice.one_of(&[1, 20, 100]),
    }
}
