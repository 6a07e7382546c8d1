//! What changed between two runs of an experiment beyond noise: each metric of each cell that both have is compared by Welch's test,
//! and all of these tests together show a difference by chance with the stated probability at most (Holm's procedure).

use std::collections::BTreeSet;

use serde::Serialize;
use synod_scenario::stats;

use crate::folder::Contents;
use crate::record::Record;
use crate::summary::{Better, Metric};

/// What two runs differ in.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// What differed already in how they were run: fields of the experiment, the program's commit, where peers ran.
    pub run_differently: Vec<String>,
    /// Comparisons of a metric in a cell.
    pub compared: usize,
    /// Those where nothing can be said about noise: one of the runs has fewer than two records, or a figure never varied and differs.
    pub unjudged: usize,
    /// Cells that only one of them has.
    pub missing: Vec<Vec<String>>,
    /// What changed beyond noise, the surest first.
    pub changes: Vec<Change>,
}

/// A metric that changed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// In which cell.
    pub cell: Vec<String>,
    /// Which one.
    pub metric: String,
    /// Its mean before.
    pub before: f64,
    /// Its mean after.
    pub after: f64,
    /// The probability of a difference like this without a change.
    pub chance: f64,
    /// Whether it became better; nothing where neither way is.
    pub is_better: Option<bool>,
}

/// What two runs were not alike in. What an experiment is called, and how often it was run with which seeds, does not count.
fn run_differently(before: &Contents, after: &Contents) -> Vec<String> {
    let fields = |contents: &Contents| -> toml::Table {
        let text = contents.experiment.to_toml();
        let mut table: toml::Table = text.parse().expect("an experiment is a table");
        for name in ["name", "about", "repetitions", "first-seed", "show", "doubt"] {
            table.remove(name);
        }
        table
    };
    let (one, other) = (fields(before), fields(after));
    let names: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    let mut differ: Vec<String> =
        names.into_iter().filter(|name| one.get(*name) != other.get(*name)).cloned().collect();
    if before.manifest.commit != after.manifest.commit {
        differ.push("commit".to_owned());
    }
    if before.manifest.place != after.manifest.place {
        differ.push("place".to_owned());
    }
    differ
}

/// Compares what two runs showed. `doubt` is the probability with which a change is told of though there is none.
pub fn difference(before: &Contents, after: &Contents, doubt: f64) -> Difference {
    let cells_before = cells(&before.records);
    let cells_after = cells(&after.records);
    let is_shared = |cell: &Vec<String>| cells_after.contains(cell) && cells_before.contains(cell);
    let mut all: Vec<Vec<String>> = cells_before.iter().chain(&cells_after).cloned().collect();
    all.sort();
    all.dedup();
    let (shared, missing): (Vec<_>, Vec<_>) = all.into_iter().partition(|cell| is_shared(cell));
    let (mut tests, mut compared, mut unjudged) = (Vec::new(), 0, 0);
    for cell in &shared {
        for metric in &before.manifest.metrics {
            let one = figures(&before.records, cell, &metric.name);
            let other = figures(&after.records, cell, &metric.name);
            if one.is_empty() || other.is_empty() {
                continue;
            }
            compared += 1;
            match stats::welch(&one, &other) {
                Some(chance) => tests.push(change(cell, metric, (&one, &other), chance)),
                None => unjudged += 1,
            }
        }
    }
    let chances: Vec<f64> = tests.iter().map(|change| change.chance).collect();
    let shows = stats::holm(&chances, doubt);
    let mut changes: Vec<Change> =
        tests.into_iter().zip(shows).filter(|(_, shows)| *shows).map(|(change, _)| change).collect();
    changes.sort_by(|one, other| one.chance.total_cmp(&other.chance));
    Difference { run_differently: run_differently(before, after), compared, unjudged, missing, changes }
}

fn change(cell: &[String], metric: &Metric, (one, other): (&[f64], &[f64]), chance: f64) -> Change {
    let mean = |figures: &[f64]| figures.iter().sum::<f64>() / figures.len() as f64;
    let (before, after) = (mean(one), mean(other));
    let is_better = match metric.better {
        Better::Less => Some(after < before),
        Better::More => Some(after > before),
        Better::Neither => None,
    };
    Change { cell: cell.to_vec(), metric: metric.name.clone(), before, after, chance, is_better }
}

fn cells(records: &[Record]) -> Vec<Vec<String>> {
    let mut cells: Vec<Vec<String>> = records.iter().map(|record| record.cell.clone()).collect();
    cells.dedup();
    cells
}

fn figures(records: &[Record], cell: &[String], metric: &str) -> Vec<f64> {
    records
        .iter()
        .filter(|record| record.cell == cell)
        .filter_map(|record| record.figures.get(metric).copied())
        .collect()
}
