//! What people see of experiments on a terminal.

use std::path::PathBuf;

use serde::Serialize;
use synod_experiment::diff::Difference;
use synod_experiment::table::{show_figure, show_number};
use synod_experiment::{REPORT, Summary};

use crate::shell::{Shell, render};

/// An experiment that ended.
#[derive(Debug, Serialize)]
pub(super) struct Ended {
    pub(super) folder: PathBuf,
    pub(super) interrupted: bool,
    /// The command that goes on with it.
    #[serde(skip)]
    pub(super) resume: String,
    pub(super) summary: Option<Summary>,
}

/// What came of it.
pub(super) fn text(shell: Shell, ended: &Ended, show: &[String]) -> String {
    let mut lines = Vec::new();
    if let Some(summary) = &ended.summary {
        lines.push(tables(shell, summary, show));
        for failure in &summary.failures {
            lines.push(format!("FAILED {}, seed {}: {}", failure.cell.join(" "), failure.seed, failure.reason));
        }
    }
    if ended.interrupted {
        lines.push(format!("interrupted; to go on: {}", ended.resume));
    }
    lines.push(format!("everything is in {}; open its {REPORT} in a browser", ended.folder.display()));
    lines.join("\n")
}

/// The cells, and how what is shown grows.
fn tables(shell: Shell, summary: &Summary, show: &[String]) -> String {
    let shown = |name: &String| show.is_empty() || show.contains(name);
    let metrics: Vec<_> = summary.metrics.iter().filter(|metric| shown(&metric.name)).collect();
    let mut heads: Vec<String> = summary.axes.iter().map(|axis| axis.name.to_uppercase()).collect();
    heads.extend(metrics.iter().map(|metric| match metric.unit.as_str() {
        "" => format!("#{}", metric.name.to_uppercase()),
        unit => format!("#{} [{unit}]", metric.name.to_uppercase()),
    }));
    let mut table = shell.table(&heads.iter().map(String::as_str).collect::<Vec<_>>());
    for cell in &summary.cells {
        let figures =
            metrics.iter().map(|metric| cell.figures.get(&metric.name).map_or_else(|| "-".to_owned(), show_figure));
        table.add_row(cell.values.iter().cloned().chain(figures).collect::<Vec<_>>());
    }
    let mut text = format!("{}\n", render(&table));
    let growths: Vec<_> = summary.growths.iter().filter(|growth| shown(&growth.metric)).collect();
    if !growths.is_empty() {
        let mut table = shell.table(&["METRIC", "GROWS WITH", "WHERE", "#EXPONENT", "#FROM", "#TO", "#THEORY"]);
        for growth in growths {
            let digits = |figure: f64| format!("{figure:.2}");
            let theory = growth.theory.map_or_else(|| "-".to_owned(), digits);
            table.add_row([
                growth.metric.clone(),
                growth.axis.clone(),
                growth.at.join(", "),
                digits(growth.exponent),
                digits(growth.low),
                digits(growth.high),
                theory,
            ]);
        }
        text += &format!("\n{}\n", render(&table));
    }
    text
}

/// What changed.
pub(super) fn changes(shell: Shell, difference: &Difference) -> String {
    let Difference { run_differently, compared, unjudged, missing, changes } = difference;
    let mut lines = Vec::new();
    if changes.is_empty() {
        lines.push(format!("nothing changed beyond noise in {compared} comparisons"));
    } else {
        let mut table = shell.table(&["CELL", "METRIC", "#BEFORE", "#AFTER", "#RATIO", "#CHANCE", ""]);
        for change in changes {
            let ratio =
                if change.before == 0.0 { "-".to_owned() } else { format!("{:.3}", change.after / change.before) };
            let verdict = change.is_better.map_or("", |is_better| if is_better { "better" } else { "worse" });
            table.add_row([
                change.cell.join(" "),
                change.metric.clone(),
                show_number(change.before),
                show_number(change.after),
                ratio,
                format!("{:.1e}", change.chance),
                verdict.to_owned(),
            ]);
        }
        lines.push(render(&table).to_string());
        lines.push(format!("{} of {compared} comparisons changed beyond noise", changes.len()));
    }
    if *unjudged > 0 {
        lines.push(format!(
            "{unjudged} could not be judged: it takes two runs of a cell, and figures that vary, to know their noise"
        ));
    }
    if !run_differently.is_empty() {
        lines.push(format!("they were not run alike: {} differ", run_differently.join(", ")));
    }
    for cell in missing {
        lines.push(format!("only one of them has {}", cell.join(" ")));
    }
    lines.join("\n")
}
