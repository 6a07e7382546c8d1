//! Records and summaries as tables: CSV for programs, Markdown for people.

use std::fmt::Write as _;

use serde_json::json;

use crate::folder::Contents;
use crate::summary::{Figure, Metric, Summary};

/// Every run's figures, a line each: axes, seed, metrics. What a run does not have is empty.
pub fn records(contents: &Contents) -> String {
    let metrics: Vec<&Metric> = contents.manifest.metrics.iter().collect();
    let head = axes(contents).chain(["seed".to_owned()]).chain(metrics.iter().map(|metric| metric.name.clone()));
    let lines = contents.records.iter().map(|record| {
        let figures =
            metrics.iter().map(|metric| record.figures.get(&metric.name).map_or_else(String::new, f64::to_string));
        record.cell.iter().cloned().chain([record.seed.to_string()]).chain(figures).collect()
    });
    csv(head.collect(), lines)
}

/// The same as JSON, a line each, with what was sent.
pub fn lines(contents: &Contents) -> String {
    let mut text = String::new();
    for record in &contents.records {
        let cell: serde_json::Map<String, serde_json::Value> =
            axes(contents).zip(&record.cell).map(|(axis, value)| (axis, json!(value))).collect();
        let line = json!({ "cell": cell, "seed": record.seed, "figures": record.figures, "sent": record.sent });
        writeln!(text, "{line}").expect("a text takes everything");
    }
    text
}

/// What each run sent, a line for each kind of message.
pub fn traffic(contents: &Contents) -> String {
    let head = axes(contents).chain(["seed", "kind", "messages", "bytes"].map(str::to_owned));
    let lines = contents.records.iter().flat_map(|record| {
        record.sent.iter().map(|(kind, sent)| {
            let sent = [record.seed.to_string(), kind.clone(), sent.messages.to_string(), sent.bytes.to_string()];
            record.cell.iter().cloned().chain(sent).collect()
        })
    });
    csv(head.collect(), lines)
}

/// Each payment that was made while it was counted: when, and how long it took, in seconds.
pub fn payments(contents: &Contents) -> String {
    let head = axes(contents).chain(["seed", "at", "took"].map(str::to_owned));
    let lines = contents.records.iter().flat_map(|record| {
        record.payments.iter().map(|(at, took)| {
            let took = took.map_or_else(String::new, |took| took.to_string());
            record.cell.iter().cloned().chain([record.seed.to_string(), at.to_string(), took]).collect()
        })
    });
    csv(head.collect(), lines)
}

/// What each run took of the machine.
pub fn costs(contents: &Contents) -> String {
    let head =
        axes(contents).chain(["seed", "machine", "wall_seconds", "cpu_seconds", "cpu_joules"].map(str::to_owned));
    let watts = contents.experiment.energy.watts_per_core;
    let lines = contents.records.iter().zip(&contents.costs).map(|(record, cost)| {
        let figures =
            [cost.wall_seconds, cost.cpu_seconds, cost.cpu_seconds * watts].map(|figure| format!("{figure:.4}"));
        record.cell.iter().cloned().chain([record.seed.to_string(), cost.machine.clone()]).chain(figures).collect()
    });
    csv(head.collect(), lines)
}

/// A summary for people: what is measured, a table of cells, growth, failures.
pub fn markdown(summary: &Summary, show: &[String]) -> String {
    let mut text = format!("# {}\n\n", summary.name);
    let mut say = |line: &str| writeln!(text, "{line}").expect("a text takes everything");
    if !summary.about.is_empty() {
        say(&format!("{}\n", summary.about));
    }
    let place = match summary.place {
        crate::summary::Place::Real => "real processes of one machine",
        crate::summary::Place::Simulated => "the simulator",
    };
    let sure = 100.0 * (1.0 - summary.doubt);
    say(&format!(
        "{} runs of each cell in {place}, each with another seed; means, and how far their {sure} % intervals reach.\n",
        summary.repetitions
    ));
    let metrics: Vec<&Metric> =
        summary.metrics.iter().filter(|metric| show.is_empty() || show.contains(&metric.name)).collect();
    let head = summary.axes.iter().map(|axis| axis.name.clone()).chain(metrics.iter().map(|metric| title(metric)));
    say(&row(head.collect()));
    say(&row(summary.axes.iter().map(|_| "---".to_owned()).chain(metrics.iter().map(|_| "---:".to_owned())).collect()));
    for cell in &summary.cells {
        let figures =
            metrics.iter().map(|metric| cell.figures.get(&metric.name).map_or_else(|| "–".to_owned(), show_figure));
        say(&row(cell.values.iter().cloned().chain(figures).collect()));
    }
    say("");
    for metric in &metrics {
        say(&format!("- **{}**: {}.", title(metric), metric.about));
    }
    let growths: Vec<_> =
        summary.growths.iter().filter(|growth| metrics.iter().any(|metric| metric.name == growth.metric)).collect();
    if !growths.is_empty() {
        say("\n## Growth\n\nThe exponent of a power of the axis, fitted on logarithms.\n");
        say(&row(["metric", "grows with", "where", "exponent", "interval", "theory"].map(str::to_owned).to_vec()));
        say(&row(["---", "---", "---", "---:", "---:", "---:"].map(str::to_owned).to_vec()));
        for growth in growths {
            let theory = growth.theory.map_or_else(|| "–".to_owned(), |theory| format!("{theory:.2}"));
            let interval = format!("{:.2} to {:.2}", growth.low, growth.high);
            let line = [
                &growth.metric,
                &growth.axis,
                &growth.at.join(", "),
                &format!("{:.2}", growth.exponent),
                &interval,
                &theory,
            ];
            say(&row(line.map(Clone::clone).to_vec()));
        }
    }
    if !summary.failures.is_empty() {
        say("\n## Runs that came to nothing\n");
        for failure in &summary.failures {
            say(&format!("- {}, seed {}: {}", failure.cell.join(", "), failure.seed, failure.reason));
        }
    }
    text
}

fn title(metric: &Metric) -> String {
    if metric.unit.is_empty() { metric.name.clone() } else { format!("{} [{}]", metric.name, metric.unit) }
}

/// A mean and half of its interval, to three digits that are sure.
pub fn show_figure(figure: &Figure) -> String {
    let half = (figure.high - figure.low) / 2.0;
    if figure.runs > 1 && half > 0.0 {
        format!("{} ± {}", show_number(figure.mean), show_number(half))
    } else {
        show_number(figure.mean)
    }
}

/// A number to three digits, or more where it is whole and large.
pub fn show_number(number: f64) -> String {
    let size = number.abs();
    if size != 0.0 && !(1e-3..1e7).contains(&size) {
        return format!("{number:.2e}");
    }
    let digits = if size >= 100.0 || size == 0.0 { 0 } else { (2 - size.log10().floor() as i32).max(0) as usize };
    format!("{number:.digits$}")
}

fn axes(contents: &Contents) -> impl Iterator<Item = String> + '_ {
    contents.experiment.axes.iter().map(|axis| axis.name.clone())
}

fn row(cells: Vec<String>) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    format!("| {} |", cells.join(" | "))
}

fn csv(head: Vec<String>, lines: impl Iterator<Item = Vec<String>>) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for line in std::iter::once(head).chain(lines) {
        writer.write_record(line).expect("a vector takes everything");
    }
    let bytes = writer.into_inner().expect("a vector takes everything");
    String::from_utf8(bytes).expect("of texts a text is made")
}
