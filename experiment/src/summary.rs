//! What an experiment showed: a mean and its interval for each metric of each cell, how metrics grow, what failed. Tables, plots
//! and pages are made of this and of nothing else.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What an experiment showed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The experiment's name.
    pub name: String,
    /// What it is about, in a sentence or two.
    pub about: String,
    /// Where its peers ran.
    pub place: Place,
    /// How often each cell was run, each time with another seed.
    pub repetitions: u32,
    /// The probability with which an interval does not hold what it is of, as 0.05.
    pub doubt: f64,
    /// What its cells differ in.
    pub axes: Vec<Axis>,
    /// What is measured.
    pub metrics: Vec<Metric>,
    /// Its cells, in the order of the axes' values, the last axis fastest.
    pub cells: Vec<Cell>,
    /// How metrics grow along axes of numbers.
    pub growths: Vec<Growth>,
    /// Runs that came to nothing.
    pub failures: Vec<Failure>,
}

/// Where peers ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// As processes of this machine.
    Real,
    /// In the simulator.
    Simulated,
}

/// What cells differ in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Axis {
    /// Its name.
    pub name: String,
    /// Its values, as they are written.
    pub values: Vec<String>,
}

impl Axis {
    /// Its values as numbers, if all of them are some.
    pub fn numbers(&self) -> Option<Vec<f64>> {
        self.values.iter().map(|value| value.parse().ok().filter(|number: &f64| number.is_finite())).collect()
    }
}

/// What is measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metric {
    /// Its name in files: lower case with underscores.
    pub name: String,
    /// What it is counted in; empty where it is a plain number.
    pub unit: String,
    /// What it is, in a sentence.
    pub about: String,
    /// Which way is better.
    pub better: Better,
}

/// Which way a metric is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Better {
    /// The less the better.
    Less,
    /// The more the better.
    More,
    /// It is neither good nor bad.
    Neither,
}

/// One combination of values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// A value of each axis.
    pub values: Vec<String>,
    /// Runs that came to their end.
    pub runs: u32,
    /// Those that did not.
    pub failed: u32,
    /// The figures, by metric. What no run has is not here.
    pub figures: BTreeMap<String, Figure>,
}

/// A metric in a cell.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// The mean over runs.
    pub mean: f64,
    /// Where the mean lies at least, by Student's interval; the mean itself where there is one run.
    pub low: f64,
    /// Where it lies at most.
    pub high: f64,
    /// How many runs have it.
    pub runs: u32,
}

/// How a metric grows with the numbers of an axis: as their power, fitted by least squares on logarithms.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Growth {
    /// The metric.
    pub metric: String,
    /// The axis.
    pub axis: String,
    /// The values of the other axes, in their order.
    pub at: Vec<String>,
    /// The exponent.
    pub exponent: f64,
    /// Where it lies at least.
    pub low: f64,
    /// Where it lies at most.
    pub high: f64,
    /// What theory says, fitted at the same numbers; nothing where it says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub theory: Option<f64>,
}

/// A run that came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Its cell's values.
    pub cell: Vec<String>,
    /// Its seed.
    pub seed: u64,
    /// Why.
    pub reason: String,
}
