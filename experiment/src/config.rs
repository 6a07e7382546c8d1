//! An experiment as people write it: one TOML file, strict about unknown fields.
//!
//! What is run is a scenario (`[scenario]`, as `synod sim run` takes it, without a name and a seed), or questions that are put to peers
//! who share things (`[search]`). Its cells differ in what the
//! axes set in it: an axis has either `values`, which are put where its `fields` point to, or `cases`, each of which is a name
//! and a part of a scenario.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use synod_scenario::config::Place;
use synod_sim::model::{Churn, Span};
use toml::{Table, Value};

use crate::ExperimentError;

/// An experiment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Experiment {
    /// A short name, which folders have: letters, digits, `-` and `_`, at most 48.
    pub name: String,
    /// What it is about, in a sentence or two.
    #[serde(default)]
    pub about: String,
    /// How often each cell is run, each time with another seed.
    #[serde(default = "five")]
    pub repetitions: u32,
    /// The seed of the first run of each cell; the others follow it. All cells have the same seeds.
    #[serde(default = "one")]
    pub first_seed: u64,
    /// What passes before anything is counted. Searches have an hour of their own, and none of the three.
    #[serde(default)]
    pub warm_up: Span,
    /// For how long is counted.
    #[serde(default)]
    pub duration: Span,
    /// What passes after that, so that payments that were made before can be committed.
    #[serde(default)]
    pub settle: Span,
    /// The probability with which an interval does not hold what it is of.
    #[serde(default = "doubt")]
    pub doubt: f64,
    /// Against whom payments are to be safe.
    #[serde(default)]
    pub attacker: Attacker,
    /// What hashes and processors take.
    #[serde(default)]
    pub energy: Energy,
    /// At which share of what a cell can carry it is measured. If left out, at the load that its scenario has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub knee: Option<Knee>,
    /// The figures that tables and plots show, in their order. If left out, all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub show: Vec<String>,
    /// What is run: the fields of a scenario that all cells have in common.
    #[serde(default, skip_serializing_if = "Table::is_empty")]
    pub scenario: Table,
    /// Or questions: the fields of [`Search`] that all cells have in common.
    #[serde(default, skip_serializing_if = "Table::is_empty")]
    pub search: Table,
    /// What cells differ in. The last one changes fastest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub axes: Vec<Axis>,
    /// Cells that are left out: those that have one of the named values on each of the named axes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skip: Vec<BTreeMap<String, Vec<Value>>>,
}

/// Questions that are put to peers who share things, within an hour.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Search {
    /// How things are found: chord, flood, index, kademlia, superpeer.
    pub mode: String,
    /// How many peers there are.
    pub peers: u32,
    /// How many questions are put.
    pub queries: u32,
    /// The exponent of Zipf's law for what is asked for and what is copied; 0 is uniform. As measured of Gnutella.
    #[serde(default = "zipf")]
    pub popularity: f64,
    /// The share of peers that share nothing. As measured of Gnutella (Adar and Huberman 2000).
    #[serde(default = "free_riders")]
    pub free_riders: f64,
    /// Who comes and goes. If left out, nobody does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub churn: Option<Churn>,
}

/// Who attacks.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Attacker {
    /// Its share of hash power, stake or validators.
    pub share: f64,
    /// The probability with which it may take a payment back that is held for safe.
    pub risk: f64,
}

/// How the most that a cell can carry is found, and at which share of it everything is measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Knee {
    /// The share of the knee at which everything is measured.
    pub share: f64,
    /// A rate is carried if this share of the payments that it asks for are committed within the window.
    pub committed: f64,
    /// The search ends when the lowest rate that is not carried exceeds the highest that is by this share of it at most.
    pub precision: f64,
}

/// What work takes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Energy {
    /// A hash, in joules.
    pub joules_per_hash: f64,
    /// A busy core, in watts.
    pub watts_per_core: f64,
}

/// What cells differ in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Axis {
    /// Its name.
    pub name: String,
    /// Where a value goes, as `load.rate`. A field that ends in `?` is set only where the cell has it: `chain.engine.validators?`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
    /// What it can be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<Value>,
    /// Or parts of a scenario, each with a name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cases: Vec<Case>,
}

/// A part of a scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Case {
    /// What it is called.
    pub name: String,
    /// Its fields. A table with another `kind` replaces the one that is there, others are put into it. A text `"= peers"` stands for
    /// the value of that field of the cell's scenario.
    #[serde(default)]
    pub set: Table,
}

impl Default for Attacker {
    /// A tenth, and once in a thousand: the first line of the table in Nakamoto's section 11.
    fn default() -> Self {
        Self { share: 0.1, risk: 0.001 }
    }
}

impl Default for Knee {
    /// At seven tenths a queue of Poisson arrivals is still short (with one exponential server 2.3 on average: M/M/1); a twentieth is
    /// what arrivals and blocks at the edges of a window of minutes make of it by chance.
    fn default() -> Self {
        Self { share: 0.7, committed: 0.95, precision: 0.1 }
    }
}

impl Default for Energy {
    /// 30 J/TH, as makers of Bitcoin miners state it; and 10 W, which a core of a server takes when it is busy (a 64-core
    /// processor with a thermal design power of 280 W, and as much again for memory and cooling).
    fn default() -> Self {
        Self { joules_per_hash: 30e-12, watts_per_core: 10.0 }
    }
}

impl Axis {
    /// The names of its values, in their order.
    pub fn labels(&self) -> Vec<String> {
        let values = self.values.iter().map(label);
        values.chain(self.cases.iter().map(|case| case.name.clone())).collect()
    }
}

/// A value as tables have it.
pub(crate) fn label(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(_)
        | Value::Boolean(_)
        | Value::Datetime(_)
        | Value::Float(_)
        | Value::Integer(_)
        | Value::Table(_) => value.to_string(),
    }
}

impl Experiment {
    /// Leaves of an axis these values only; where it has plain values, others may be among them.
    pub fn restrict(&mut self, axis: &str, labels: &[String]) -> Result<(), ExperimentError> {
        self.select(axis, labels)?;
        // What is left out already needs no rule.
        let left = self.axes.iter().find(|known| known.name == axis).map(Axis::labels).unwrap_or_default();
        for values in self.skip.iter_mut().filter_map(|skip| skip.get_mut(axis)) {
            values.retain(|value| left.contains(&label(value)));
        }
        self.skip.retain(|skip| skip.values().all(|values| !values.is_empty()));
        Ok(())
    }

    fn select(&mut self, axis: &str, labels: &[String]) -> Result<(), ExperimentError> {
        let names: Vec<String> = self.axes.iter().map(|axis| axis.name.clone()).collect();
        let Some(axis) = self.axes.iter_mut().find(|known| known.name == axis) else {
            return Err(ExperimentError::field("axis", format!("one of {}", names.join(", ")), axis));
        };
        if axis.cases.is_empty() {
            let number =
                |label: &String| label.parse().map(Value::Integer).or_else(|_| label.parse().map(Value::Float));
            axis.values =
                labels.iter().map(|label| number(label).unwrap_or_else(|_| Value::String(label.clone()))).collect();
            return Ok(());
        }
        let known = axis.labels();
        if let Some(unknown) = labels.iter().find(|label| !known.contains(label)) {
            return Err(ExperimentError::field(axis.name.clone(), format!("one of {}", known.join(", ")), unknown));
        }
        axis.cases.retain(|case| labels.contains(&case.name));
        Ok(())
    }

    /// The experiment that a text is. Mistakes are told with their line.
    pub fn parse(text: &str) -> Result<Self, ExperimentError> {
        let experiment: Self = toml::from_str(text).map_err(|error| {
            let place = error.span().map(|span| Place::of(text, span.start));
            ExperimentError::Syntax { message: error.message().to_owned(), place }
        })?;
        experiment.check().map_err(|error| error.located(text))?;
        Ok(experiment)
    }

    /// The text that [`Experiment::parse`] reads as this experiment, defaults written out.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("an experiment is a table of values and tables")
    }

    /// The first run's seed and those that follow it.
    pub fn seeds(&self) -> impl Iterator<Item = u64> + '_ {
        (0..u64::from(self.repetitions)).map(|number| self.first_seed + number)
    }

    /// What can be said without a look at its cells.
    fn check(&self) -> Result<(), ExperimentError> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if self.name.is_empty() || self.name.len() > NAME_BYTES_MAX || !self.name.chars().all(is_plain) {
            return wrong("name", format!("1 to {NAME_BYTES_MAX} letters, digits, - and _"), &self.name);
        }
        if !(1..=REPETITIONS_MAX).contains(&self.repetitions) {
            return wrong("repetitions", format!("from 1 to {REPETITIONS_MAX}"), self.repetitions);
        }
        if self.first_seed.checked_add(u64::from(self.repetitions)).is_none() {
            return wrong("first-seed", "a seed that others can follow", self.first_seed);
        }
        if self.scenario.is_empty() == self.search.is_empty() {
            return wrong("scenario", "either a [scenario] or a [search]", "both or none of them");
        }
        let spans = [("warm-up", self.warm_up), ("duration", self.duration), ("settle", self.settle)];
        if !self.search.is_empty() {
            if let Some((field, span)) = spans.into_iter().find(|(_, span)| *span != Span::ZERO) {
                return wrong(field, "no such field, since questions are put within an hour", span);
            }
        } else if self.duration == Span::ZERO {
            return wrong("duration", "a time above 0", self.duration);
        }
        if !(self.doubt > 0.0 && self.doubt < 1.0) {
            return wrong("doubt", "a probability between 0 and 1, as 0.05", self.doubt);
        }
        if !(self.attacker.share > 0.0 && self.attacker.share < 1.0) {
            return wrong("attacker.share", "a share between 0 and 1", self.attacker.share);
        }
        if !(self.attacker.risk > 0.0 && self.attacker.risk < 1.0) {
            return wrong("attacker.risk", "a probability between 0 and 1", self.attacker.risk);
        }
        for (field, got) in
            [("joules-per-hash", self.energy.joules_per_hash), ("watts-per-core", self.energy.watts_per_core)]
        {
            if !(got.is_finite() && got >= 0.0) {
                return wrong(format!("energy.{field}"), "a number from 0 on", got);
            }
        }
        self.check_knee()?;
        let set_here = ["name", "seed", "stop", "checks", "outputs"];
        if let Some(reserved) = set_here.into_iter().find(|name| self.scenario.contains_key(*name)) {
            return wrong(format!("scenario.{reserved}"), "no such field: the experiment sets it", "one");
        }
        self.check_axes()?;
        self.check_skips()
    }

    fn check_knee(&self) -> Result<(), ExperimentError> {
        let Some(knee) = self.knee else { return Ok(()) };
        if !self.search.is_empty() {
            return wrong("knee", "no such field, since questions are put one by one", "one");
        }
        if !(knee.share > 0.0 && knee.share <= 1.0) {
            return wrong("knee.share", "a share above 0 and at most 1, as 0.7", knee.share);
        }
        if !(knee.committed > 0.0 && knee.committed < 1.0) {
            return wrong("knee.committed", "a share between 0 and 1, as 0.95", knee.committed);
        }
        if !(PRECISION_MIN..=1.0).contains(&knee.precision) {
            return wrong("knee.precision", format!("from {PRECISION_MIN} to 1"), knee.precision);
        }
        Ok(())
    }

    fn check_axes(&self) -> Result<(), ExperimentError> {
        for (place, axis) in self.axes.iter().enumerate() {
            let field = |name: &str| format!("axes[{place}].{name}");
            let is_taken = self.axes[..place].iter().any(|before| before.name == axis.name);
            let is_plain = axis.name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
            if axis.name.is_empty() || !is_plain || RESERVED.contains(&axis.name.as_str()) || is_taken {
                let expected = format!("letters, digits and -, each name once, and none of {}", RESERVED.join(", "));
                return wrong(field("name"), expected, &axis.name);
            }
            if axis.values.is_empty() == axis.cases.is_empty() {
                return wrong(field("values"), "either `values` or `cases`", "both or none of them");
            }
            if axis.values.is_empty() != axis.fields.is_empty() {
                return wrong(field("fields"), "where `values` go, and none for `cases`", format!("{:?}", axis.fields));
            }
            let labels = axis.labels();
            if let Some((_, twice)) = labels.iter().enumerate().find(|(at, label)| labels[..*at].contains(label)) {
                return wrong(field("values"), "each value once", format!("`{twice}` twice"));
            }
        }
        let cells: usize = self.axes.iter().map(|axis| axis.labels().len()).product();
        if cells > CELLS_MAX {
            return wrong("axes", format!("{CELLS_MAX} cells at most"), cells);
        }
        Ok(())
    }

    fn check_skips(&self) -> Result<(), ExperimentError> {
        for (place, skip) in self.skip.iter().enumerate() {
            for (name, values) in skip {
                let field = format!("skip[{place}].{name}");
                let Some(axis) = self.axes.iter().find(|axis| axis.name == *name) else {
                    return wrong(field, "an axis's name", name);
                };
                let labels = axis.labels();
                if let Some(unknown) = values.iter().map(label).find(|value| !labels.contains(value)) {
                    return wrong(field, format!("one of {}", labels.join(", ")), unknown);
                }
            }
        }
        Ok(())
    }
}

fn wrong(field: impl Into<String>, expected: impl Into<String>, got: impl ToString) -> Result<(), ExperimentError> {
    Err(ExperimentError::field(field, expected, got))
}

/// The longest name, in bytes: a cell's name and a seed have to fit behind it.
const NAME_BYTES_MAX: usize = 48;
/// More runs of a cell than this narrow no interval that anybody looks at.
const REPETITIONS_MAX: u32 = 10_000;
/// More cells make no table that anybody reads.
const CELLS_MAX: usize = 10_000;
/// What chance makes of a knee is far more.
const PRECISION_MIN: f64 = 0.001;
/// Columns that tables have besides; what is measured has an underscore or is among these, too.
const RESERVED: [&str; 11] =
    ["asked", "at", "bytes", "cell", "hops", "kind", "knee", "messages", "seed", "success", "took"];

const fn zipf() -> f64 {
    1.0
}

const fn free_riders() -> f64 {
    0.66
}

const fn five() -> u32 {
    5
}

const fn one() -> u64 {
    1
}

const fn doubt() -> f64 {
    0.05
}
