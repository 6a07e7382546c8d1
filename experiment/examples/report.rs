//! Writes a report of made-up figures, to be looked at and for `scripts/page-test`.
//! Usage: `cargo run -p synod-experiment --example report OUT.html [SUFFIX]`. SUFFIX ends every name: a page has to bear any.

use std::collections::BTreeMap;

use synod_experiment::page;
use synod_experiment::summary::{Axis, Better, Cell, Failure, Figure, Growth, Metric, Place, Summary};

const PEERS: [u32; 5] = [50, 100, 200, 500, 1000];
const GOSSIPS: [&str; 3] = ["mesh", "flood", "rumour & pull"];
const LOSSES: [&str; 2] = ["0", "0.05"];

fn main() {
    let mut arguments = std::env::args().skip(1);
    let Some(out) = arguments.next() else {
        eprintln!("usage: report OUT.html [SUFFIX]");
        std::process::exit(2);
    };
    let suffix = arguments.next().unwrap_or_default();
    let runs = [
        (format!("simulated (made up){suffix}"), summary(Place::Simulated, &suffix)),
        (format!("real (made up){suffix}"), summary(Place::Real, &suffix)),
    ];
    if let Err(error) = std::fs::write(&out, page(&runs)) {
        eprintln!("{out}: {error}");
        std::process::exit(1);
    }
}

/// Figures that follow simple formulas with a wobble, so that lines look like measured ones. Nothing was measured.
fn summary(place: Place, suffix: &str) -> Summary {
    let name = |text: &str| format!("{text}{suffix}");
    let (worse, peers_max) = match place {
        Place::Real => (1.15, 200),
        Place::Simulated => (1.0, 1000),
    };
    let peers: Vec<u32> = PEERS.into_iter().filter(|peers| *peers <= peers_max).collect();
    let mut cells = Vec::new();
    for &count in &peers {
        for (gossip, label) in GOSSIPS.into_iter().enumerate() {
            for (loss, value) in LOSSES.into_iter().enumerate() {
                let size = f64::from(count);
                let wobble = 1.0 + 0.06 * (size * 0.37 + gossip as f64 * 1.7 + loss as f64).sin();
                let slow = worse * wobble * (1.0 + 0.4 * loss as f64);
                let rounds = size.log2() * [60.0, 42.0, 95.0][gossip];
                let copies = [6.2, size * 0.5, 3.1][gossip];
                let missed = 1e-4 * (1.0 + loss as f64 * 30.0) * [1.0, 0.1, 8.0][gossip];
                let mut figures = BTreeMap::from([
                    (name("delay_p50_ms"), figure(rounds * slow, 0.05)),
                    (name("copies_per_message"), figure(copies * worse * wobble, 0.03)),
                    (name("missed_share"), figure(missed * wobble, 0.4)),
                ]);
                if matches!(place, Place::Real) {
                    figures.insert(name("memory_mb"), figure(31.0 * wobble, 0.02));
                }
                let failed = u32::from(count == 1000 && gossip == 1);
                cells.push(Cell {
                    values: vec![count.to_string(), name(label), value.into()],
                    runs: 5 - failed,
                    failed,
                    figures,
                });
            }
        }
    }
    Summary {
        name: name("Made-up sample"),
        about: name(
            "Invented figures of gossip on networks with < 1001 peers, to show what a report looks like. Nothing of this was measured.",
        ),
        place,
        repetitions: 5,
        doubt: 0.05,
        axes: vec![
            Axis { name: name("peers"), values: peers.iter().map(u32::to_string).collect() },
            Axis { name: name("gossip"), values: GOSSIPS.map(name).to_vec() },
            Axis { name: name("loss"), values: LOSSES.map(String::from).to_vec() },
        ],
        metrics: metrics(&name),
        growths: growths(&name),
        failures: failures(place, &name),
        cells,
    }
}

fn figure(mean: f64, spread: f64) -> Figure {
    Figure { mean, low: mean * (1.0 - spread), high: mean * (1.0 + spread), runs: 5 }
}

fn metrics(name: &impl Fn(&str) -> String) -> Vec<Metric> {
    let metric =
        |text, unit: &str, about, better| Metric { name: name(text), unit: unit.into(), about: name(about), better };
    vec![
        metric("delay_p50_ms", "ms", "Until half of the peers have a message.", Better::Less),
        metric("copies_per_message", "", "How often a peer gets a message.", Better::Less),
        metric("missed_share", "", "Peers that never get a message, as a share of all.", Better::Less),
        metric("memory_mb", "MB", "What a process holds in memory; real processes only.", Better::Less),
    ]
}

fn growths(name: &impl Fn(&str) -> String) -> Vec<Growth> {
    let exponents = [
        ("copies_per_message", "mesh", 0.01, Some(0.0)),
        ("copies_per_message", "flood", 1.02, Some(1.0)),
        ("delay_p50_ms", "mesh", 0.19, None),
    ];
    let growth = |(metric, gossip, exponent, theory): (&str, &str, f64, Option<f64>)| Growth {
        metric: name(metric),
        axis: name("peers"),
        at: vec![name(gossip), "0".into()],
        exponent,
        low: exponent - 0.015,
        high: exponent + 0.015,
        theory,
    };
    exponents.map(growth).to_vec()
}

fn failures(place: Place, name: &impl Fn(&str) -> String) -> Vec<Failure> {
    match place {
        Place::Real => Vec::new(),
        Place::Simulated => LOSSES
            .into_iter()
            .enumerate()
            .map(|(number, loss)| Failure {
                cell: vec!["1000".into(), name("flood"), loss.into()],
                seed: 41 + number as u64,
                reason: name("more than 2^24 events within one second of virtual time"),
            })
            .collect(),
    }
}
