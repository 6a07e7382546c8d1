//! Rings of Chord's nodes.

use std::time::Duration;

use synod_dht::chord::Style;
use synod_machine::PeerId;
use synod_scenario::overlay::chord::{Lab, Setting, Told, Verdict, owner, swarm};
use synod_scenario::overlay::{Overlay, replay};

/// More of them: `cargo run --release -p synod-scenario --example chord -- swarm 0 10000`.
#[test]
fn small_rings_are_in_order_again_after_their_troubles_and_have_lost_nothing() {
    for seed in 0..60 {
        let verdict = swarm(seed);
        assert_eq!(verdict, Verdict::Pass, "replay: {}", replay(Overlay::Chord, seed));
    }
}

#[test]
fn a_seed_determines_everything() {
    let digest = |seed| {
        let mut lab = Lab::built(Setting::new(seed, 40), Duration::from_secs(60));
        let answers = lab.look_up_many(50, Duration::from_millis(10), Style::Recursive);
        (lab.net().digest(), answers)
    };
    let (one, other) = (digest(1), digest(1));
    assert_eq!(one, other);
    assert_ne!(one.0, digest(2).0);
}

#[test]
fn both_styles_name_the_owner_and_pass_as_many_nodes() {
    let mut lab = Lab::built(Setting::new(5, 200), Duration::from_secs(120));
    let live = lab.live();
    let mut hops = Vec::new();
    for style in [Style::Iterative, Style::Recursive] {
        let answers = lab.look_up_many(500, Duration::from_millis(10), style);
        assert_eq!(answers.len(), 500);
        for answer in &answers {
            assert_eq!(answer.what, Told::Owner(Ok(owner(&live, answer.key))), "{style:?}");
        }
        hops.push(answers.iter().map(|answer| f64::from(answer.cost.hops)).sum::<f64>() / 500.0);
    }
    assert!((hops[0] - hops[1]).abs() < 0.25, "the ways are the same: {hops:?}");
}

/// Issue 5: a look-up during repair fails with a reason or succeeds, and never hangs.
#[test]
fn look_ups_while_half_of_all_are_gone_end() {
    let mut lab = Lab::built(Setting::new(7, 60), Duration::from_secs(120));
    (0..30).for_each(|peer| lab.crash(PeerId(peer * 2)));
    for style in [Style::Iterative, Style::Recursive] {
        let answers = lab.look_up_many(200, Duration::from_millis(20), style);
        assert_eq!(answers.len(), 200, "{style:?}: each is answered");
    }
    lab.pass(Duration::from_secs(600));
    assert_eq!(lab.disorder(), None, "those that are left are a ring");
}
