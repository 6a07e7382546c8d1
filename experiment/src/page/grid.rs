//! Several summaries as one grid: what axes, metrics and cells they have between them.

use std::collections::BTreeMap;

use crate::summary::{Cell, Growth, Metric, Summary};

/// A cell's place: of each axis of the grid which of its values it has, nothing where its run has no such axis.
pub(super) type Place = Vec<Option<usize>>;

/// What stands in a growth's row: the metric, the axis, and the values of the others.
pub(super) type Course<'a> = (&'a str, &'a str, Vec<(&'a str, &'a str)>);

/// An axis of any of the runs.
pub(super) struct Line<'a> {
    pub(super) name: &'a str,
    pub(super) values: Vec<&'a str>,
}

/// What runs have between them. `assets/report.js` builds the same by the same rule, so that both speak of an axis's values by their
/// numbers: run by run, first the values of its axes in their order, then those that stand in its cells alone.
pub(super) struct Grid<'a> {
    pub(super) axes: Vec<Line<'a>>,
    pub(super) metrics: Vec<&'a Metric>,
    /// The cells of each run, in the order of the axes' values, the last axis fastest.
    pub(super) cells: BTreeMap<Place, Vec<Option<&'a Cell>>>,
    /// How metrics grow in each run, in the order in which it was found.
    pub(super) growths: Vec<(Course<'a>, Vec<Option<&'a Growth>>)>,
}

impl<'a> Grid<'a> {
    pub(super) fn of(runs: &'a [(String, Summary)]) -> Self {
        let mut grid = Self { axes: Vec::new(), metrics: Vec::new(), cells: BTreeMap::new(), growths: Vec::new() };
        // Places are as long as there are axes, so all axes are found first.
        for (_, summary) in runs {
            grid.add_axes(summary);
        }
        for (number, (_, summary)) in runs.iter().enumerate() {
            for metric in &summary.metrics {
                if grid.metrics.iter().all(|known| known.name != metric.name) {
                    grid.metrics.push(metric);
                }
            }
            for cell in &summary.cells {
                let place = grid.place(summary, &cell.values);
                grid.cells.entry(place).or_insert_with(|| vec![None; runs.len()])[number] = Some(cell);
            }
            for growth in &summary.growths {
                grid.add_growth(summary, growth, number, runs.len());
            }
        }
        grid
    }

    /// The place of a cell of a run.
    pub(super) fn place(&self, summary: &Summary, values: &[String]) -> Place {
        let mut place = vec![None; self.axes.len()];
        for (axis, value) in summary.axes.iter().zip(values) {
            let number = self.axes.iter().position(|line| line.name == axis.name);
            let number = number.expect("the axes of all runs were added");
            place[number] = self.axes[number].values.iter().position(|known| known == value);
        }
        place
    }

    fn add_axes(&mut self, summary: &'a Summary) {
        for axis in &summary.axes {
            if self.axes.iter().all(|line| line.name != axis.name) {
                self.axes.push(Line { name: &axis.name, values: Vec::new() });
            }
            for value in &axis.values {
                self.add_value(&axis.name, value);
            }
        }
        let cells = summary.cells.iter().map(|cell| &cell.values);
        for values in cells.chain(summary.failures.iter().map(|failure| &failure.cell)) {
            for (axis, value) in summary.axes.iter().zip(values) {
                self.add_value(&axis.name, value);
            }
        }
    }

    fn add_value(&mut self, name: &str, value: &'a str) {
        let line = self.axes.iter_mut().find(|line| line.name == name).expect("an axis is added before its values");
        if !line.values.contains(&value) {
            line.values.push(value);
        }
    }

    fn add_growth(&mut self, summary: &'a Summary, growth: &'a Growth, number: usize, runs: usize) {
        let others = summary.axes.iter().map(|axis| axis.name.as_str()).filter(|name| *name != growth.axis);
        let at = others.zip(growth.at.iter().map(String::as_str)).collect();
        let course: Course<'a> = (&growth.metric, &growth.axis, at);
        let index = self.growths.iter().position(|(known, _)| *known == course).unwrap_or_else(|| {
            self.growths.push((course, vec![None; runs]));
            self.growths.len() - 1
        });
        self.growths[index].1[number] = Some(growth);
    }
}

impl Line<'_> {
    /// What a table sorts a value by: the number that it is if all values are some, else its place among them.
    pub(super) fn key(&self, value: usize) -> f64 {
        let number = |value: &&str| value.parse().ok().filter(|number: &f64| number.is_finite());
        let numbers: Option<Vec<f64>> = self.values.iter().map(number).collect();
        numbers.map_or(value as f64, |numbers| numbers[value])
    }
}
