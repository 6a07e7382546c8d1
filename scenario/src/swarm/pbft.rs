//! What a seed makes of a chain of validators. At most f of them are faulty: those that lie, and those that lose their disk and
//! with it what they have voted for. Everything else may happen to any number of them.

use synod_machine::PeerId;
use synod_sim::model::{Links, Rate, Span, Topology};

use super::draw::{Dice, bare, chain, gossip, limits, links, load};
use super::faults::{Arena, CONDUCTS, KINDS_OF_ALL, actions};
use crate::config::{
    Action, AdversaryConfig, ChainConfig, Check, DiskConfig, EngineConfig, LimitsConfig, Retarget, Scenario,
    StopConfig, Vice, Who,
};
use crate::oracle::faulty;

/// The scenario of a seed.
pub(super) fn draw(seed: u64) -> Scenario {
    let mut dice = Dice::new(seed, "swarm pbft");
    let dice = &mut dice;
    let validators = (if dice.one_in(4) { dice.within(8..=13) } else { dice.within(4..=7) }) as u32;
    let peers = validators + dice.one_of(&[0, 0, 1, 2, 4]);
    let beat = Span::from_millis(dice.one_of(&[500, 1_000, 2_000, 4_000]));
    let beats = |count: u64| Span::from_nanos(beat.nanos() * count);
    let healed = dice.within(15..=35);
    let (adversaries, forgetful) = faulty_ones(dice, validators);
    let forgetful = Some(forgetful.into_iter().chain((validators..peers).map(PeerId)).collect());
    let arena = Arena { forgetful, ..arena(peers, beat, healed) };
    let mut byzantine = Dice::new(seed, "swarm pbft, lies");
    let (mut actions, churn, absent) = actions(dice, &mut byzantine, &arena);
    actions.push(Action::Heal { at: beats(healed) });
    let engine = engine(dice, validators, beat);
    Scenario {
        name: format!("swarm-pbft-{seed}"),
        about: "Drawn by a seed of the swarm.".to_string(),
        seed,
        peers,
        // Where messages are decoded, each receiver checks each signature anew.
        codec: dice.one_in(20),
        confirmations: 1,
        absent: Who::of(absent),
        // Votes go from each validator to each other one, and are not handed on.
        topology: Topology::Complete {},
        links: Links { upload: upload(dice), ..links(dice, beat) },
        gossip: gossip(dice),
        limits: LimitsConfig { payments: dice.one_of(&[60, 200, 50_000]), ..limits(dice) },
        disk: DiskConfig { sync: Span::from_millis(if dice.one_in(2) { 0 } else { dice.one_of(&[1, 5, 20, 100]) }) },
        churn,
        adversaries,
        load: load(dice, beat),
        actions,
        stop: StopConfig { blocks: None, time: beats(healed + 10) },
        checks: [Check::Oracles].into(),
        chain: ChainConfig {
            engine,
            retarget: Retarget::Off,
            block_bytes_max: dice.one_of(&[4_000, 10_000, 1_000_000]),
            ..chain(dice, beat)
        },
        ..bare()
    }
}

fn arena(peers: u32, beat: Span, healed: u64) -> Arena {
    // A proposal may be ten seconds ahead of a validator's clock: all together stay within that.
    let shifts = [0, 200, 1_000].map(Span::from_millis).to_vec();
    let drifts = &[0, 0, 100, -100, 5_000, -5_000];
    Arena { peers, beat, healed, kinds: &KINDS_OF_ALL, shifts, drifts, conducts: &CONDUCTS, forgetful: None }
}

/// As many validators as may be faulty, or fewer: those that lie, and those whose disks may be emptied.
fn faulty_ones(dice: &mut Dice, validators: u32) -> (Vec<AdversaryConfig>, Vec<PeerId>) {
    let mut faulty = dice.some(validators, faulty(validators as usize) as u32);
    let liars = dice.within(0..=faulty.len() as u64) as usize;
    let forgetful = faulty.split_off(liars);
    // All of one kind are worse than some of each, at times.
    let vice = dice.one_in(2).then(|| dice.one_of(&VICES));
    let adversary = |liar: PeerId| {
        let behaviour = vice.unwrap_or_else(|| dice.one_of(&VICES));
        AdversaryConfig { peers: Who::of([liar]), behaviour }
    };
    (faulty.into_iter().map(adversary).collect(), forgetful)
}

const VICES: [Vice; 11] = [
    Vice::Colluder,
    Vice::EquivocatingPrimary,
    Vice::EquivocatingVoter,
    Vice::Equivocator,
    Vice::Forger,
    Vice::LyingChanger,
    Vice::LyingDonor,
    Vice::Replayer,
    Vice::Selective,
    Vice::Silent,
    Vice::Slow,
];

fn engine(dice: &mut Dice, validators: u32, view_timeout: Span) -> EngineConfig {
    let checkpoint_interval = dice.one_of(&[1, 2, 5, 10, 128]);
    EngineConfig::Pbft {
        validators,
        view_timeout,
        batch_delay: Span::from_millis(dice.one_of(&[2, 10, 50])),
        batch_max: dice.one_of(&[1, 3, 1_000]),
        checkpoint_interval,
        watermark_window: checkpoint_interval * dice.one_of(&[2, 2, 8]),
    }
}

fn upload(dice: &mut Dice) -> Option<Rate> {
    let rate = dice.one_of(&["2 Mbit/s", "20 Mbit/s"]);
    dice.one_in(4).then(|| rate.parse().expect("a rate as people write it"))
}
