//! What the oracles see, and that they see nothing where nothing is.

use synod_machine::{PeerId, Time};
use synod_peer::Peer;

use super::*;
use crate::forge::{FORGERIES, Forgery, forge};
use crate::payer::{PEOPLE, key};
use crate::testing::plan;

fn quiet_world() -> (World<Trial>, Judge) {
    let mut world = world(plan(1, 6, 1_000));
    let mut judge = Judge::new(&Arc::new(world.experiment().plan().clone()));
    for minute in 1..=10 {
        crate::advance(&mut world, Time::from_secs(60 * minute), u64::MAX).expect("no invariant breaks");
        judge.look(&world).expect("nothing is wrong");
    }
    (world, judge)
}

#[test]
fn a_quiet_network_passes() {
    let quiet = judge(Plan { stop: crate::Stop { blocks: 5, time: Time::from_secs(600) }, ..plan(1, 6, 5) });
    assert_eq!(quiet.verdict, Verdict::Pass);
    assert!(quiet.height > 20, "the judge ends the run, and not so many blocks: {quiet:?}");
}

#[test]
fn every_forgery_is_seen_by_the_oracle_of_the_rule_that_it_breaks() {
    let (world, mut judge) = quiet_world();
    let replica = world.net().protocol(PeerId(0)).map(Peer::replica).expect("it is up");
    let keys: Vec<synod_ledger::SecretKey> = (0..PEOPLE).map(key).collect();
    for what in FORGERIES {
        let Some(forged) = forge(replica, &keys, world.net().now(), what, 7) else {
            assert_eq!(what, Forgery::Oversize, "all others need only a chain");
            continue;
        };
        let seen = judge.model.judge(&forged.block).map_err(|(oracle, _)| oracle);
        let expected = match what {
            // No header says by itself what the time is: it is compared with each peer's clock.
            Forgery::Future => Ok(()),
            Forgery::Claim => Err(Oracle::Emission),
            Forgery::Easy | Forgery::Hard | Forgery::Past | Forgery::Seal => Err(Oracle::Header),
            Forgery::DoubleSpend
            | Forgery::Early
            | Forgery::Oversize
            | Forgery::Overspend
            | Forgery::Phantom
            | Forgery::Root
            | Forgery::Stranger
            | Forgery::Twice
            | Forgery::Unsigned => Err(Oracle::Block),
        };
        assert_eq!(seen.map(|_| ()), expected, "{what:?}");
    }
}

#[test]
fn peers_on_two_tips_at_the_end_have_diverged() {
    let mut torn = plan(3, 6, 1_000);
    let half: Vec<PeerId> = (0..3).map(PeerId).collect();
    torn.deeds =
        vec![(Time::from_secs(30), Deed::Cut { peers: half, direction: synod_sim::Direction::Both, notice: None })];
    let mut world = world(torn);
    let mut judge = Judge::new(&Arc::new(world.experiment().plan().clone()));
    crate::advance(&mut world, Time::from_secs(600), u64::MAX).expect("no invariant breaks");
    assert_eq!(judge.look(&world), Ok(()), "a network that is torn is no failure");
    let seen = judge.look_at_the_end(&world).map_err(|verdict| verdict.kind());
    assert_eq!(seen, Err(Kind::Diverged));
}

#[test]
fn verdicts_are_told_in_words() {
    assert_eq!(Verdict::Pass.to_string(), "pass");
    assert_eq!(Verdict::Unsafe(Oracle::ForkChoice, "why".into()).to_string(), "unsafe (fork choice): why");
    assert_eq!(Verdict::NoProgress("why".into()).to_string(), "no progress: why");
    assert_eq!(Verdict::OverBounds("why".into()).kind().to_string(), "over bounds");
}
