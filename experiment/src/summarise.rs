//! Records made into a summary: means and intervals, growth, failures.

use std::collections::BTreeMap;

use synod_ledger::Engine;
use synod_peer::GossipParams;
use synod_scenario::{Plan, stats};

use crate::folder::Contents;
use crate::grid::Cell as Run;
use crate::record::Record;
use crate::summary::{Axis, Cell, Figure, Growth, Metric, Summary};

/// What records show. `cells` are the experiment's.
pub fn summarise(contents: &Contents, cells: &[Run]) -> Summary {
    let Contents { experiment, manifest, records, failures, .. } = contents;
    let axes: Vec<Axis> =
        experiment.axes.iter().map(|axis| Axis { name: axis.name.clone(), values: axis.labels() }).collect();
    let of_cell = |cell: &Run| -> Vec<&Record> { records.iter().filter(|record| record.cell == cell.values).collect() };
    let shown = cells.iter().map(|cell| {
        let records = of_cell(cell);
        let failed = failures.iter().filter(|failure| failure.cell == cell.values).count() as u32;
        Cell {
            values: cell.values.clone(),
            runs: records.len() as u32,
            failed,
            figures: figures(&records, experiment.doubt),
        }
    });
    let shown: Vec<Cell> = shown.collect();
    let is_measured = |metric: &&Metric| shown.iter().any(|cell| cell.figures.contains_key(&metric.name));
    let mut metrics: Vec<Metric> = manifest.metrics.iter().filter(is_measured).cloned().collect();
    // What is to be shown comes first, in the order that was asked for.
    let place = |metric: &Metric| experiment.show.iter().position(|name| *name == metric.name).unwrap_or(usize::MAX);
    metrics.sort_by_key(place);
    let growths = growths(&axes, &metrics, cells, records, experiment.doubt);
    Summary {
        name: experiment.name.clone(),
        about: experiment.about.clone(),
        place: manifest.place,
        repetitions: experiment.repetitions,
        doubt: experiment.doubt,
        axes,
        metrics,
        cells: shown,
        growths,
        failures: failures.clone(),
    }
}

fn figures(records: &[&Record], doubt: f64) -> BTreeMap<String, Figure> {
    let mut all: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for (name, figure) in records.iter().flat_map(|record| &record.figures) {
        all.entry(name).or_default().push(*figure);
    }
    all.into_iter().map(|(name, figures)| (name.to_owned(), figure(&figures, doubt))).collect()
}

/// The mean of figures and its interval, which one figure has not.
pub fn figure(figures: &[f64], doubt: f64) -> Figure {
    let mean = figures.iter().sum::<f64>() / figures.len() as f64;
    let (low, high) = if figures.len() > 1 {
        let interval = stats::mean(figures, doubt);
        (interval.low, interval.high)
    } else {
        (mean, mean)
    };
    Figure { mean, low, high, runs: figures.len() as u32 }
}

fn growths(axes: &[Axis], metrics: &[Metric], cells: &[Run], records: &[Record], doubt: f64) -> Vec<Growth> {
    let mut growths = Vec::new();
    for (place, axis) in axes.iter().enumerate().filter(|(_, axis)| axis.numbers().is_some()) {
        let mut lines: Vec<Vec<String>> = Vec::new();
        for cell in cells {
            let rest = without(&cell.values, place);
            if !lines.contains(&rest) {
                lines.push(rest);
            }
        }
        for (metric, at) in metrics.iter().flat_map(|metric| lines.iter().map(move |at| (metric, at))) {
            let on_line = |values: &[String]| without(values, place) == *at;
            let measured: Vec<(&Record, f64)> = records
                .iter()
                .filter(|record| on_line(&record.cell))
                .filter_map(|record| Some((record, *record.figures.get(&metric.name)?)))
                .collect();
            // What is nothing at times has no logarithm, and without those times it would be another figure.
            let points = measured.iter().map(|(record, figure)| point(&record.cell[place], *figure));
            let Some(points) = points.collect::<Option<Vec<_>>>().filter(|points| numbers(points) >= GROWTH_MIN) else {
                continue;
            };
            let Some((exponent, interval)) = stats::slope(&points, doubt) else { continue };
            let theory = measured.iter().map(|(record, _)| {
                let cell = cells.iter().find(|cell| cell.values == record.cell)?;
                let expected = match metric.name.as_str() {
                    "messages_per_block" => gossiped(cell),
                    "votes_per_block" => votes(cell),
                    _ => None,
                };
                point(&record.cell[place], expected?)
            });
            let theory = theory.collect::<Option<Vec<_>>>().and_then(|points| stats::slope(&points, doubt));
            growths.push(Growth {
                metric: metric.name.clone(),
                axis: axis.name.clone(),
                at: at.clone(),
                exponent,
                low: interval.low,
                high: interval.high,
                theory: theory.map(|(exponent, _)| exponent),
            });
        }
    }
    growths
}

/// On so many different numbers at least is a power fitted.
const GROWTH_MIN: usize = 3;

/// What messages grow with that go from peer to peer: each peer sends an item to all that it is linked with in the mesh but the one it
/// came from, so that an item of n peers with E links costs 2E − (n − 1).
fn gossiped(cell: &Run) -> Option<f64> {
    let plan = plan(cell)?;
    let links_max = match &plan.gossip {
        GossipParams::Mesh(mesh) => mesh.degree_high,
        GossipParams::Flood(_) | GossipParams::Host | GossipParams::Rumour(_) => usize::MAX,
    };
    let links: usize = (0..plan.graph.peers()).map(|peer| plan.graph.degree(peer).min(links_max)).sum();
    let is_gossiped = matches!(&plan.chain.genesis().engine, Engine::Pos(_) | Engine::Pow(_));
    is_gossiped.then_some(links as f64 - (f64::from(plan.graph.peers()) - 1.0))
}

/// For a block of n validators n − 1 pre-prepares, (n − 1)² prepares and n(n − 1) commits (Castro and Liskov 1999, section 4.2).
fn votes(cell: &Run) -> Option<f64> {
    match &plan(cell)?.chain.genesis().engine {
        Engine::Pbft(params) => {
            let voters = params.validators.len() as f64;
            Some(2.0 * voters * (voters - 1.0))
        }
        Engine::Pos(_) | Engine::Pow(_) => None,
    }
}

fn plan(cell: &Run) -> Option<Plan> {
    let no_files = |_: &str| Err(std::io::Error::other("an experiment reads no files"));
    let scenario = cell.scenario()?;
    scenario.plan(scenario.seed, no_files).ok()
}

fn without(values: &[String], place: usize) -> Vec<String> {
    values.iter().enumerate().filter(|(at, _)| *at != place).map(|(_, value)| value.clone()).collect()
}

/// A point on logarithmic axes.
fn point(number: &str, figure: f64) -> Option<(f64, f64)> {
    let number: f64 = number.parse().ok()?;
    let is_drawn = number > 0.0 && figure > 0.0 && number.is_finite() && figure.is_finite();
    is_drawn.then(|| (number.ln(), figure.ln()))
}

fn numbers(points: &[(f64, f64)]) -> usize {
    let mut numbers: Vec<f64> = points.iter().map(|point| point.0).collect();
    numbers.sort_by(f64::total_cmp);
    numbers.dedup();
    numbers.len()
}
