//! A Jupyter notebook for the folder of an experiment, as a beginning for whoever wants to look further: it reads `records.csv` (the
//! axes' names, `seed`, the metrics' names) and `summary.json`, shows means, and draws one metric. It needs pandas and matplotlib.

use serde_json::{Value, json};

use crate::summary::Summary;

/// The notebook as JSON of nbformat 4.5. Texts of the summary stand in its prose and as quoted strings in its code, and nowhere else.
pub fn notebook(summary: &Summary) -> String {
    let mut cells = vec![
        prose("about", &format!("# {}\n\n{}\n\n{READING}", plain(&summary.name), plain(&summary.about))),
        code("load", LOAD),
        code("means", MEANS),
    ];
    if let Some(metric) = summary.metrics.first() {
        let numbers = summary.axes.iter().find(|axis| !axis.values.is_empty() && axis.numbers().is_some());
        let along = numbers.or(summary.axes.first());
        let choice = format!(
            "metric = {}  # or another of metrics\nalong = {}  # or another of axes",
            quoted(&metric.name),
            along.map_or("None".into(), |axis| quoted(&axis.name)),
        );
        cells.push(prose("plot-about", PLOT_ABOUT));
        cells.push(code("plot", &format!("{choice}\n{PLOT}")));
    }
    let notebook = json!({
        "cells": cells,
        "metadata": {
            "kernelspec": { "display_name": "Python 3", "language": "python", "name": "python3" },
            "language_info": { "name": "python" },
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    });
    let text = serde_json::to_string_pretty(&notebook).expect("keys are strings, and a text takes everything");
    text + "\n"
}

fn prose(id: &str, text: &str) -> Value {
    json!({ "cell_type": "markdown", "id": id, "metadata": {}, "source": text })
}

fn code(id: &str, text: &str) -> Value {
    json!({ "cell_type": "code", "execution_count": null, "id": id, "metadata": {}, "outputs": [], "source": text })
}

/// A text without markup of Markdown or HTML, on one line. Whoever begins with a dash gets a list's bullet for it.
fn plain(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            letter if letter.is_control() => escaped.push(' '),
            letter if "\\`*_{}[]()#+!|>~$".contains(letter) => escaped.extend(['\\', letter]),
            letter => escaped.push(letter),
        }
    }
    escaped
}

/// A string of Python's. JSON's are such, because nothing but control characters is written by number.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a text takes everything")
}

const READING: &str = "One row of `records.csv` is one run: its cell's values, its seed, and what was measured. \
                       `summary.json` holds the means of cells and their intervals.";

// Values such as `NA` are values of an axis as any other; only what is empty is missing.
const LOAD: &str = "import json
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

summary = json.loads(Path(\"summary.json\").read_text(encoding=\"utf-8\"))
axes = [axis[\"name\"] for axis in summary[\"axes\"]]
metrics = [metric[\"name\"] for metric in summary[\"metrics\"]]
records = pd.read_csv(\"records.csv\", keep_default_na=False, na_values=[\"\"])
records";

const MEANS: &str = "means = records.groupby(axes, sort=False, dropna=False)[metrics].mean() if axes else records[metrics].mean().to_frame().T
means";

const PLOT_ABOUT: &str = "The mean of one metric along one axis, with the summary's intervals: one line for each combination of the \
                          other axes' values.";

const PLOT: &str = "
def literal(text):
    return str(text).replace(\"$\", r\"\\$\")  # matplotlib would take it for mathematics


rows = [
    {**dict(zip(axes, cell[\"values\"])), \"_mean\": figure[\"mean\"], \"_low\": figure[\"low\"], \"_high\": figure[\"high\"]}
    for cell in summary[\"cells\"]
    if (figure := cell[\"figures\"].get(metric))
]
figures = pd.DataFrame(rows, columns=[*axes, \"_mean\", \"_low\", \"_high\"])
x = figures[along] if along else pd.Series(\"all runs\", index=figures.index)
try:
    x, style = pd.to_numeric(x), \"-\"
except (TypeError, ValueError):
    x, style = x.map(literal), \"none\"  # its values are categories
others = [axis for axis in axes if axis != along]
unit = next(entry[\"unit\"] for entry in summary[\"metrics\"] if entry[\"name\"] == metric)

_, plot = plt.subplots(figsize=(9, 5))
for values, line in figures.groupby(others, sort=False) if others else [((), figures)]:
    name = \", \".join(f\"{axis} = {value}\" for axis, value in zip(others, values))
    bars = [line[\"_mean\"] - line[\"_low\"], line[\"_high\"] - line[\"_mean\"]]
    plot.errorbar(x[line.index], line[\"_mean\"], yerr=bars, marker=\"o\", linestyle=style, capsize=3, label=literal(name))
plot.set_xlabel(literal(along or \"\"))
plot.set_ylabel(literal(f\"{metric} ({unit})\" if unit else metric))
if others and rows:
    plot.legend(fontsize=\"small\")
plt.show()";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::tests::{hostile, sample};

    fn parsed(summary: &Summary) -> Value {
        serde_json::from_str(&notebook(summary)).expect("a notebook is JSON")
    }

    #[test]
    fn a_notebook_has_what_its_format_demands() {
        let notebook = parsed(&sample());
        assert_eq!(notebook["nbformat"], 4);
        assert_eq!(notebook["nbformat_minor"], 5);
        assert_eq!(notebook["metadata"]["kernelspec"]["name"], "python3");
        assert_eq!(notebook["metadata"]["kernelspec"]["display_name"], "Python 3");
        let cells = notebook["cells"].as_array().expect("a list of cells");
        let ids: Vec<&str> = cells.iter().filter_map(|cell| cell["id"].as_str()).collect();
        assert_eq!(ids, ["about", "load", "means", "plot-about", "plot"]);
        for cell in cells {
            assert!(cell["metadata"].is_object());
            assert!(cell["source"].is_string());
            let keys: Vec<&String> = cell.as_object().expect("a cell is an object").keys().collect();
            match cell["cell_type"].as_str() {
                Some("markdown") => assert_eq!(keys, ["cell_type", "id", "metadata", "source"]),
                Some("code") => {
                    assert_eq!(keys, ["cell_type", "execution_count", "id", "metadata", "outputs", "source"]);
                    assert_eq!(cell["outputs"], json!([]));
                    assert!(cell["execution_count"].is_null());
                }
                kind => panic!("{kind:?} is no kind of cell"),
            }
        }
    }

    #[test]
    fn it_draws_the_first_metric_along_the_first_axis_of_numbers() {
        let notebook = parsed(&sample());
        let plot = notebook["cells"][4]["source"].as_str().expect("a text");
        assert!(plot.starts_with("metric = \"latency_ms\"  # or another of metrics\nalong = \"peers\"  #"));
    }

    #[test]
    fn names_cannot_leave_their_strings_nor_become_markup() {
        let notebook = parsed(&hostile());
        let about = notebook["cells"][0]["source"].as_str().expect("a text");
        let shown = r#"# sample&lt;/script\>&lt;img src=x onerror=alert\(1\)\>&amp;"'\\ {{"#;
        assert!(about.starts_with(&shown.replace("{{", r"\{\{")));
        assert!(!about.contains("<img"));
        let plot = notebook["cells"][4]["source"].as_str().expect("a text");
        assert!(plot.starts_with(r#"metric = "latency_ms</script><img src=x onerror=alert(1)>&\"'\\\n{{""#));
    }

    #[test]
    fn without_metrics_or_axes_it_is_a_notebook_still() {
        let bare = Summary { axes: Vec::new(), metrics: Vec::new(), cells: Vec::new(), ..sample() };
        assert_eq!(parsed(&bare)["cells"].as_array().map(Vec::len), Some(3));
        let no_axes = Summary { axes: Vec::new(), ..sample() };
        let notebook = parsed(&no_axes);
        assert!(notebook["cells"][4]["source"].as_str().is_some_and(|plot| plot.contains("along = None  #")));
    }
}
