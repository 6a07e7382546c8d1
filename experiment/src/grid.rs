//! The cells of an experiment: every combination of its axes' values but those that are left out, each something that can be run.

use synod_scenario::config::Place;
use synod_scenario::overlay::compare::Terms;
use synod_scenario::{Scenario, ScenarioError};
use synod_sim::model::{ModelError, Span};
use toml::{Table, Value};

use crate::config::{Axis, Search, label};
use crate::{Experiment, ExperimentError};

/// A cell.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// Its place among the cells, from 0.
    pub number: usize,
    /// A value of each axis, as it is written.
    pub values: Vec<String>,
    /// What is run. Its seed is the experiment's first.
    pub subject: Subject,
}

/// What is run.
#[derive(Clone, Debug, PartialEq)]
pub enum Subject {
    /// Peers with a chain.
    Chain(Box<Scenario>),
    /// Questions to peers who share things.
    Search(Search),
}

impl Cell {
    /// The scenario, where peers have a chain.
    pub fn scenario(&self) -> Option<&Scenario> {
        match &self.subject {
            Subject::Chain(scenario) => Some(scenario),
            Subject::Search(_) => None,
        }
    }
}

impl Search {
    /// The terms of a run with this seed.
    pub fn terms(&self, seed: u64) -> Result<Terms, ModelError> {
        let terms = Terms {
            churn: self.churn.clone(),
            free_riders: self.free_riders,
            popularity: self.popularity,
            ..Terms::new(self.mode.parse()?, self.peers, self.queries, seed)
        };
        terms.check().map(|()| terms)
    }
}

/// The cells of an experiment, the last axis fastest. Each is checked; mistakes name the cell.
pub fn cells(experiment: &Experiment, text: &str) -> Result<Vec<Cell>, ExperimentError> {
    let mut cells = Vec::new();
    let mut places = vec![0; experiment.axes.len()];
    loop {
        let values: Vec<String> =
            experiment.axes.iter().zip(&places).map(|(axis, place)| axis.labels()[*place].clone()).collect();
        if !is_skipped(experiment, &values) {
            let subject = subject(experiment, &places, &values, text)?;
            cells.push(Cell { number: cells.len(), values, subject });
        }
        let Some(turn) = (0..places.len()).rev().find(|at| places[*at] + 1 < experiment.axes[*at].labels().len())
        else {
            break;
        };
        places[turn] += 1;
        places[turn + 1..].fill(0);
    }
    if cells.is_empty() {
        return Err(ExperimentError::Nothing("`skip` leaves no cell to run".to_owned()));
    }
    Ok(cells)
}

fn is_skipped(experiment: &Experiment, values: &[String]) -> bool {
    experiment.skip.iter().any(|skip| {
        let has = |(axis, value): (&Axis, &String)| {
            skip.get(&axis.name).is_none_or(|skipped| skipped.iter().any(|one| label(one) == *value))
        };
        !skip.is_empty() && experiment.axes.iter().zip(values).all(has)
    })
}

/// "engine = pow, peers = 8".
pub fn name_of(axes: &[String], values: &[String]) -> String {
    let named: Vec<String> = axes.iter().zip(values).map(|(axis, value)| format!("{axis} = {value}")).collect();
    if named.is_empty() { "the only cell".to_owned() } else { named.join(", ") }
}

fn subject(
    experiment: &Experiment,
    places: &[usize],
    values: &[String],
    text: &str,
) -> Result<Subject, ExperimentError> {
    let is_search = !experiment.search.is_empty();
    let mut table = if is_search { experiment.search.clone() } else { experiment.scenario.clone() };
    for (number, (axis, place)) in experiment.axes.iter().zip(places).enumerate() {
        match axis.cases.get(*place) {
            Some(case) => merge(&mut table, &case.set),
            None => {
                for field in &axis.fields {
                    put(&mut table, field, &axis.values[*place]).map_err(|reason| {
                        ExperimentError::field(format!("axes[{number}].fields"), reason, field).located(text)
                    })?;
                }
            }
        }
    }
    let unresolved = table.clone();
    refer(&mut table, &unresolved).map_err(|(expected, got)| ExperimentError::field("scenario", expected, got))?;
    let axes: Vec<String> = experiment.axes.iter().map(|axis| axis.name.clone()).collect();
    let wrong = |error: ScenarioError, part: &str| {
        let place = match &error {
            ScenarioError::Field { field, .. } => Place::of_field(text, &format!("{part}.{field}")),
            ScenarioError::Genesis(_) | ScenarioError::Network(_) | ScenarioError::Syntax { .. } => None,
        };
        ExperimentError::Cell { cell: name_of(&axes, values), error: Box::new(error.unplaced()), place }
    };
    if is_search {
        let search: Result<Search, toml::de::Error> = table.try_into();
        let syntax =
            |error: toml::de::Error| ScenarioError::Syntax { message: error.message().to_owned(), place: None };
        let search = search.map_err(|error| wrong(syntax(error), "search"))?;
        let checked = search.terms(experiment.first_seed).map(|_| ());
        checked.map_err(|error| wrong(ScenarioError::Network(error), "search"))?;
        return Ok(Subject::Search(search));
    }
    let end = experiment.warm_up.nanos() + experiment.duration.nanos();
    set(&mut table, "name", Value::String(experiment.name.clone()));
    set(&mut table, "seed", Value::Integer(i64::try_from(experiment.first_seed).unwrap_or(i64::MAX)));
    let stop = Span::from_nanos(end + experiment.settle.nanos());
    set(&mut table, "stop", Value::Table(Table::from_iter([("time".to_owned(), Value::String(stop.to_string()))])));
    if let Some(Value::Table(load)) = table.get_mut("load") {
        let until = Span::from_nanos(end);
        load.entry("until").or_insert_with(|| Value::String(until.to_string()));
    }
    let written = toml::to_string(&table).expect("a table of values and tables");
    let scenario = Scenario::parse(&written).map_err(|error| wrong(error, "scenario"))?;
    if experiment.knee.is_some() && scenario.load.as_ref().is_none_or(|load| load.rate.is_none()) {
        let (field, expected) = ("load.rate".to_owned(), "a rate, at which the search for the knee begins".to_owned());
        let missing = ScenarioError::Field { field, expected, got: "none".to_owned(), place: None };
        return Err(wrong(missing, "scenario"));
    }
    Ok(Subject::Chain(Box::new(scenario)))
}

fn set(table: &mut Table, name: &str, value: Value) {
    table.insert(name.to_owned(), value);
}

/// Puts a part into a table. A table of another kind takes the place of the one that is there.
fn merge(table: &mut Table, part: &Table) {
    for (name, value) in part {
        match (table.get_mut(name), value) {
            (Some(Value::Table(there)), Value::Table(new)) if kind(there) == kind(new) || kind(new).is_none() => {
                merge(there, new)
            }
            _ => {
                table.insert(name.clone(), value.clone());
            }
        }
    }
}

/// Puts the values of other fields where a text names them: `"= peers"`.
fn refer(table: &mut Table, whole: &Table) -> Result<(), (String, String)> {
    for (_, value) in table.iter_mut() {
        match value {
            Value::String(text) => {
                let Some(path) = text.strip_prefix(REFERENCE) else { continue };
                let found = path.split('.').try_fold(None, |at: Option<&Value>, name| {
                    at.map_or_else(|| whole.get(name), |at| at.as_table()?.get(name)).map(Some)
                });
                let wrong =
                    || (format!("a field's path after `{REFERENCE}`, as `{REFERENCE}peers`"), format!("`{text}`"));
                *value = found.flatten().cloned().ok_or_else(wrong)?;
            }
            Value::Table(inner) => refer(inner, whole)?,
            Value::Array(_) | Value::Boolean(_) | Value::Datetime(_) | Value::Float(_) | Value::Integer(_) => {}
        }
    }
    Ok(())
}

/// What a text begins with that stands for another field's value.
const REFERENCE: &str = "= ";

fn kind(table: &Table) -> Option<&Value> {
    table.get("kind").or_else(|| table.get("rule"))
}

/// Puts a value where a path points to, and makes the tables on the way. With a `?` at the end of the path only where there is
/// something already.
fn put(table: &mut Table, path: &str, value: &Value) -> Result<(), String> {
    let (path, is_optional) = path.strip_suffix('?').map_or((path, false), |path| (path, true));
    let mut names: Vec<&str> = path.split('.').collect();
    let last = names.pop().filter(|last| !last.is_empty()).ok_or("a field's name, as `load.rate`")?;
    let mut at = table;
    for name in names {
        if is_optional && !at.contains_key(name) {
            return Ok(());
        }
        let inner = at.entry(name).or_insert_with(|| Value::Table(Table::new()));
        at = inner.as_table_mut().ok_or_else(|| format!("a field in tables, but `{name}` is none"))?;
    }
    if !is_optional || at.contains_key(last) {
        at.insert(last.to_owned(), value.clone());
    }
    Ok(())
}
