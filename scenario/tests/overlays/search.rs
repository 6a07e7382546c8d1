//! Swarms of searching networks, a few hundred seeds a mode; `cargo run --release -p synod-scenario --example search` runs more.

use synod_scenario::overlay::search::{Kind, Run, Terms, Verdict, failure, run, swarm};
use synod_sim::model::{Churn, Distribution, Span};

/// Runs seeds and gives what came of them.
fn pass(kind: Kind, seeds: u64) -> Vec<Run> {
    let run = |seed| {
        let run = swarm(kind, seed);
        assert_eq!(run.verdict, Verdict::Pass, "{}", failure(&run, "unknown"));
        run
    };
    (0..seeds).map(run).collect()
}

/// A swarm that met no trouble and found nothing shows nothing.
fn meets_trouble(runs: &[Run]) {
    let sum = |of: fn(&Run) -> u64| runs.iter().map(of).sum::<u64>();
    let seeds = runs.len() as u64;
    assert!(sum(|run| run.crashes) > seeds, "peers crash");
    assert!(sum(|run| run.lost) > seeds, "messages are lost");
    assert!(sum(|run| run.troubled) > 3 * seeds, "peers ask in trouble");
    assert!(sum(|run| run.failed) > seeds / 2, "some of that fails");
    assert_eq!(sum(|run| run.exams), 6 * seeds, "all questions of the exam are put");
    assert!(sum(|run| run.hits) > 6 * seeds, "there is something to find");
}

#[test]
fn floods_find_all_that_is_within_their_reach_after_trouble() {
    meets_trouble(&pass(Kind::Flood, 200));
}

#[test]
fn an_index_finds_all_that_is_shared_after_trouble() {
    meets_trouble(&pass(Kind::Index, 300));
}

#[test]
fn superpeers_find_all_that_is_shared_after_trouble() {
    meets_trouble(&pass(Kind::Superpeer, 60));
}

#[test]
fn a_seed_is_one_run_and_another_is_another() {
    for kind in Kind::ALL {
        let digest = |seed| swarm(kind, seed).digest;
        assert_eq!(digest(5), digest(5), "{kind}");
        assert_ne!(digest(5), digest(6), "{kind}");
    }
}

/// Sessions of ten minutes are short; Gnutella's median was an hour (Saroiu et al. 2002).
#[test]
fn most_searches_succeed_while_peers_come_and_go_and_each_ends() {
    for kind in Kind::ALL {
        let law = |minutes: u64| Distribution::Exponential { mean: Span::from_millis(minutes * 60_000) };
        let churn = Some(Churn { sessions: law(10), gaps: law(2) });
        let figures = run(&Terms { churn, copies: 2_000, ..Terms::new(kind, 300, 600, 1) });
        println!("{kind}: {figures:?}");
        assert!(figures.asked > 400, "most askers are up: {figures:?}");
        assert!(figures.found as f64 > 0.85 * figures.asked as f64, "{kind}: {figures:?}");
        // Whoever goes while it asks hears nothing.
        assert!(figures.found + figures.failed >= figures.asked - 20, "{kind}: {figures:?}");
    }
}
