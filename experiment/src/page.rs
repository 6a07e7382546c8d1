//! An experiment as one HTML file that needs no network: what was measured in tables, and plots of it. Tables are written here and are
//! whole without script. `assets/report.js` sorts and filters them, and draws by uPlot what the page carries as JSON.

mod grid;
mod text;

#[cfg(test)]
pub(crate) mod tests;

use std::fmt::Write;

use crate::summary::{Better, Growth, Metric, Place, Summary};

use grid::Grid;
use text::{alone, escape, figure, interval, json};

const SURE: &str = "a text takes everything";
const PLOT_SCRIPT: &str = include_str!("../assets/uplot/uPlot.iife.min.js");
const PLOT_STYLE: &str = include_str!("../assets/uplot/uPlot.min.css");
const PLOT_LICENCE: &str = include_str!("../assets/uplot/LICENSE");
const SCRIPT: &str = include_str!("../assets/report.js");
const STYLE: &str = include_str!("../assets/report.css");

/// Nothing is asked of a network, whatever stands in the page.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'";

/// Exponents that are nearer to each other differ in how floats are rounded, as those of a count that is the same in all runs.
const ROUNDING: f64 = 1e-9;

/// What stands where there is no figure.
const NOTHING: &str = "<td class=\"none\">–</td>";

/// One page on one run of an experiment, or on several side by side. Each has a label, by which the page tells them apart.
pub fn page(summaries: &[(String, Summary)]) -> String {
    let page = Page { runs: summaries, grid: Grid::of(summaries) };
    let mut html = String::new();
    page.write_head(&mut html);
    page.write_overview(&mut html);
    page.write_plot(&mut html);
    page.write_means(&mut html);
    page.write_metrics(&mut html);
    page.write_growths(&mut html);
    page.write_failures(&mut html);
    page.write_tail(&mut html);
    html
}

struct Page<'a> {
    runs: &'a [(String, Summary)],
    grid: Grid<'a>,
}

impl Page<'_> {
    fn write_head(&self, html: &mut String) {
        let names = distinct(self.runs.iter().map(|(_, summary)| summary.name.as_str()));
        let title = if names.is_empty() { "No runs".into() } else { escape(&names.join(" · ")) };
        let head = format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n\
             <style>\n{PLOT_STYLE}\n</style>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n"
        );
        html.push_str(&head);
        for about in distinct(self.runs.iter().map(|(_, summary)| summary.about.as_str())) {
            writeln!(html, "<p>{}</p>", escape(about)).expect(SURE);
        }
    }

    /// What was run, and how its figures are to be read.
    fn write_overview(&self, html: &mut String) {
        html.push_str("<section aria-labelledby=\"runs-title\">\n<h2 id=\"runs-title\">What was run</h2>\n");
        let headings =
            ["Run", "Experiment", "Peers ran", "Cells", "Repetitions", "Runs that ended", "Runs that failed"];
        open_table(html, "runs", &headings.map(|heading| th(heading, "")).concat());
        for (label, summary) in self.runs {
            let place = match summary.place {
                Place::Real => "as processes of one machine",
                Place::Simulated => "in the simulator",
            };
            let runs: u64 = summary.cells.iter().map(|cell| u64::from(cell.runs)).sum();
            let failed: u64 = summary.cells.iter().map(|cell| u64::from(cell.failed)).sum();
            let (label, name) = (escape(label), escape(&summary.name));
            write!(html, "<tr><th scope=\"row\">{label}</th><td>{name}</td><td>{place}</td>").expect(SURE);
            for count in [summary.cells.len() as u64, u64::from(summary.repetitions), runs, failed] {
                write!(html, "<td data-value=\"{count}\">{count}</td>").expect(SURE);
            }
            html.push_str("</tr>\n");
        }
        html.push_str("</tbody></table></div>\n<p>A cell is one combination of the axes' values. ");
        let repetitions = distinct(self.runs.iter().map(|(_, summary)| summary.repetitions));
        if let [repetitions] = repetitions.as_slice() {
            let times = if *repetitions == 1 { "once".into() } else { format!("{repetitions} times") };
            write!(html, "Each was run {times}, each time with another seed. ").expect(SURE);
        }
        html.push_str(
            "A figure is the mean over a cell's runs. In brackets stands the interval, by Student's distribution, ",
        );
        let doubts = distinct(self.runs.iter().map(|(_, summary)| summary.doubt));
        match doubts.as_slice() {
            [doubt] => {
                let sure = alone((1.0 - doubt) * 100.0);
                write!(html, "that holds the true mean with a probability of {sure} %. ").expect(SURE);
            }
            _ => html.push_str("that holds the true mean with the probability that the run was made for. "),
        }
        html.push_str(
            "It says how much chance is in the runs, and nothing of errors that all runs share. A figure without an interval \
             is of one run, or the same in all. A dash says that no run has the figure.</p>\n\
             <noscript><p class=\"note\">Script is switched off. The plots are missing, and tables neither sort nor filter; they \
             hold all figures nevertheless.</p></noscript>\n</section>\n",
        );
    }

    /// A place for what only script can do: choosers, and the plot.
    fn write_plot(&self, html: &mut String) {
        html.push_str(
            "<form id=\"filters\" class=\"choosers\" aria-label=\"What plots and tables show\" hidden></form>\n\
             <section id=\"plot\" aria-labelledby=\"plot-title\" hidden>\n<h2 id=\"plot-title\">Plot</h2>\n\
             <form class=\"choosers\" aria-label=\"What is plotted\"></form>\n<p class=\"note\" role=\"status\"></p>\n\
             <div class=\"canvas\" role=\"img\"></div>\n\
             <p class=\"hint\">Point at the plot to read its figures below. A click on a line's name hides it and shows it again.</p>\n\
             <div class=\"wide readout\"></div>\n</section>\n",
        );
    }

    /// Cells by metrics; where there are several runs, each metric has a column for each.
    fn write_means(&self, html: &mut String) {
        html.push_str("<section aria-labelledby=\"means-title\">\n<h2 id=\"means-title\">Means</h2>\n");
        if self.grid.cells.is_empty() {
            html.push_str("<p>There are no cells.</p>\n</section>\n");
            return;
        }
        self.open_means(html);
        for (place, cells) in &self.grid.cells {
            self.open_place(html, place);
            for (run, cell) in cells.iter().enumerate() {
                let Some(cell) = cell else {
                    write!(html, "<td class=\"none\" data-run=\"{run}\">–</td>").expect(SURE);
                    continue;
                };
                let (ended, failed) = (cell.runs, cell.failed);
                let of =
                    if failed == 0 { String::new() } else { format!(" of {}", u64::from(ended) + u64::from(failed)) };
                write!(html, "<td data-run=\"{run}\" data-value=\"{ended}\">{ended}{of}</td>").expect(SURE);
            }
            for (number, metric) in self.grid.metrics.iter().enumerate() {
                for (run, cell) in cells.iter().enumerate() {
                    let place = format!("data-metric=\"{number}\" data-run=\"{run}\"");
                    let Some(shown) = cell.and_then(|cell| cell.figures.get(&metric.name)) else {
                        write!(html, "<td class=\"none\" {place}>–</td>").expect(SURE);
                        continue;
                    };
                    let (mean, bounds) = figure(shown);
                    let bounds = bounds.map_or(String::new(), |bounds| format!(" <small>{bounds}</small>"));
                    let runs = if shown.runs == 1 { "1 run".into() } else { format!("{} runs", shown.runs) };
                    let value = shown.mean;
                    write!(html, "<td {place} data-value=\"{value}\" title=\"{value}, {runs}\">{mean}{bounds}</td>")
                        .expect(SURE);
                }
            }
            html.push_str("</tr>\n");
        }
        html.push_str("</tbody></table></div>\n</section>\n");
    }

    fn open_means(&self, html: &mut String) {
        let is_single = self.runs.len() == 1;
        let (rows, columns) = if is_single { (1, 1) } else { (2, self.runs.len()) };
        let mut first = String::new();
        let mut second = String::new();
        for line in &self.grid.axes {
            write!(first, "<th scope=\"col\" class=\"axis\" rowspan=\"{rows}\">{}</th>", escape(line.name))
                .expect(SURE);
        }
        let groups = self.grid.metrics.iter().enumerate();
        let groups = groups.map(|(number, metric)| (format!(" data-metric=\"{number}\""), Some(*metric)));
        for (place, metric) in std::iter::once((String::new(), None)).chain(groups) {
            let (name, about) =
                metric.map_or(("Runs".into(), String::new()), |metric| (heading(metric), escape(&metric.about)));
            let scope = if is_single { "col" } else { "colgroup" };
            write!(first, "<th scope=\"{scope}\" colspan=\"{columns}\"{place} title=\"{about}\">{name}</th>")
                .expect(SURE);
            for (run, (label, _)) in self.runs.iter().enumerate() {
                second.push_str(&th(&escape(label), &format!("{place} data-run=\"{run}\"")));
            }
        }
        let second = if is_single { String::new() } else { format!("</tr>\n<tr>{second}") };
        open_table(html, "means", &format!("{first}{second}"));
    }

    /// Begins a row of a cell with its values. A filter knows it by the numbers of these.
    fn open_place(&self, html: &mut String, place: &grid::Place) {
        let numbers: Vec<String> =
            place.iter().map(|value| value.map_or("-1".into(), |value| value.to_string())).collect();
        write!(html, "<tr data-place=\"{}\">", numbers.join(" ")).expect(SURE);
        for (line, value) in self.grid.axes.iter().zip(place) {
            let Some(value) = *value else {
                html.push_str(NOTHING);
                continue;
            };
            let (key, value) = (line.key(value), escape(line.values[value]));
            write!(html, "<th scope=\"row\" data-value=\"{key}\">{value}</th>").expect(SURE);
        }
    }

    fn write_metrics(&self, html: &mut String) {
        if self.grid.metrics.is_empty() {
            return;
        }
        html.push_str("<section aria-labelledby=\"metrics-title\">\n<h2 id=\"metrics-title\">What is measured</h2>\n");
        open_table(html, "metrics", &["Metric", "Unit", "Better", "What it is"].map(|name| th(name, "")).concat());
        for metric in &self.grid.metrics {
            let (name, unit, about) = (escape(&metric.name), escape(&metric.unit), escape(&metric.about));
            let better = match metric.better {
                Better::Less => "less",
                Better::More => "more",
                Better::Neither => "neither",
            };
            let row =
                format!("<tr><th scope=\"row\">{name}</th><td>{unit}</td><td>{better}</td><td>{about}</td></tr>\n");
            html.push_str(&row);
        }
        html.push_str("</tbody></table></div>\n</section>\n");
    }

    fn write_growths(&self, html: &mut String) {
        html.push_str("<section aria-labelledby=\"growths-title\">\n<h2 id=\"growths-title\">How metrics grow</h2>\n");
        if self.grid.growths.is_empty() {
            html.push_str("<p>No growth was fitted.</p>\n</section>\n");
            return;
        }
        html.push_str(
            "<p>A metric grows as a power of an axis's numbers; the exponent is fitted by least squares on logarithms, and stands with its \
             interval. Theory is fitted at the same numbers.</p>\n",
        );
        let mut headings = ["Metric", "Along", "At"].map(|name| th(name, "")).concat();
        for (label, _) in self.runs {
            let of = if self.runs.len() == 1 { String::new() } else { format!("<small>{}</small>", escape(label)) };
            for name in ["Exponent", "Theory", "Beside theory"] {
                headings.push_str(&th(&format!("{name} {of}"), ""));
            }
        }
        open_table(html, "growths", &headings);
        for ((metric, axis, at), growths) in &self.grid.growths {
            let at: Vec<String> = at.iter().map(|(name, value)| format!("{name} = {value}")).collect();
            let (metric, axis, at) = (escape(metric), escape(axis), escape(&at.join(", ")));
            write!(html, "<tr><th scope=\"row\">{metric}</th><td>{axis}</td><td>{at}</td>").expect(SURE);
            for growth in growths {
                html.push_str(&growth.map_or(NOTHING.repeat(3), growth_cells));
            }
            html.push_str("</tr>\n");
        }
        html.push_str("</tbody></table></div>\n</section>\n");
    }

    fn write_failures(&self, html: &mut String) {
        html.push_str("<section aria-labelledby=\"failures-title\">\n<h2 id=\"failures-title\">Failures</h2>\n");
        if self.runs.iter().all(|(_, summary)| summary.failures.is_empty()) {
            html.push_str("<p>No run failed.</p>\n</section>\n");
            return;
        }
        let axes: String = self.grid.axes.iter().map(|line| th(&escape(line.name), "")).collect();
        open_table(html, "failures", &format!("{axes}{}", ["Run", "Seed", "Reason"].map(|name| th(name, "")).concat()));
        for (run, (label, summary)) in self.runs.iter().enumerate() {
            for failure in &summary.failures {
                self.open_place(html, &self.grid.place(summary, &failure.cell));
                let (label, seed, reason) = (escape(label), failure.seed, escape(&failure.reason));
                let row = format!(
                    "<td data-run=\"{run}\">{label}</td><td data-value=\"{seed}\">{seed}</td><td>{reason}</td></tr>\n"
                );
                html.push_str(&row);
            }
        }
        html.push_str("</tbody></table></div>\n</section>\n");
    }

    fn write_tail(&self, html: &mut String) {
        let data = json(&self.runs);
        let tail = format!(
            "</main>\n<script type=\"application/json\" id=\"data\">{data}</script>\n\
             <script>\n/*\n{PLOT_LICENCE}\n*/\n{PLOT_SCRIPT}</script>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n"
        );
        html.push_str(&tail);
    }
}

/// Exponent, theory, and on which side of theory the exponent's interval lies.
fn growth_cells(growth: &Growth) -> String {
    let (exponent, bounds) = interval(growth.exponent, growth.low, growth.high);
    let bounds = bounds.map_or(String::new(), |bounds| format!(" <small>{bounds}</small>"));
    let measured = format!("<td data-value=\"{}\">{exponent}{bounds}</td>", growth.exponent);
    let Some(theory) = growth.theory else { return format!("{measured}{}", NOTHING.repeat(2)) };
    let side = match () {
        () if growth.low > theory + ROUNDING => "above",
        () if growth.high < theory - ROUNDING => "below",
        () => "as theory says",
    };
    format!("{measured}<td data-value=\"{theory}\">{}</td><td>{side}</td>", alone(theory))
}

/// A metric's name with its unit, and which way it is better.
fn heading(metric: &Metric) -> String {
    let better = match metric.better {
        Better::Less => "less is better",
        Better::More => "more is better",
        Better::Neither => "",
    };
    let notes: Vec<&str> = [metric.unit.as_str(), better].into_iter().filter(|note| !note.is_empty()).collect();
    format!("{} <small>{}</small>", escape(&metric.name), escape(&notes.join(", ")))
}

/// A heading by which a table sorts. Its name is HTML.
fn th(name: &str, attributes: &str) -> String {
    format!("<th scope=\"col\"{attributes}>{name}</th>")
}

/// Begins a table that sorts, in a box that scrolls where it is too wide.
fn open_table(html: &mut String, id: &str, headings: &str) {
    let table = format!(
        "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-labelledby=\"{id}-title\"><table id=\"{id}\">\n\
         <thead><tr>{headings}</tr></thead>\n<tbody>\n"
    );
    html.push_str(&table);
}

/// In the order of their first places.
fn distinct<T: PartialEq>(all: impl Iterator<Item = T>) -> Vec<T> {
    let mut kept = Vec::new();
    for one in all {
        if !kept.contains(&one) {
            kept.push(one);
        }
    }
    kept
}
