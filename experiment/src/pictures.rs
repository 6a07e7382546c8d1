//! A plot for each metric along each axis of numbers, a line for each combination of the other axes' values.

use crate::plot::{Plot, Point, Series};
use crate::summary::{Metric, Summary};

/// A file's name and what is in it.
pub(crate) fn pictures(summary: &Summary, show: &[String]) -> Vec<(String, String)> {
    let mut pictures = Vec::new();
    let shown = |metric: &&Metric| show.is_empty() || show.contains(&metric.name);
    for (place, axis) in summary.axes.iter().enumerate() {
        let Some(numbers) = axis.numbers().filter(|numbers| numbers.len() > 1) else { continue };
        // Numbers that grow by factors are drawn so.
        let is_log_x = numbers.iter().all(|number| *number > 0.0) && numbers.len() > 2;
        for metric in summary.metrics.iter().filter(shown) {
            let series = series(summary, place, &metric.name);
            let points = || series.iter().flat_map(|series| &series.points);
            let (least, most) =
                points().fold((f64::MAX, 0.0_f64), |ends, point| (ends.0.min(point.y), ends.1.max(point.y)));
            let unit = if metric.unit.is_empty() { String::new() } else { format!(" [{}]", metric.unit) };
            let plot = Plot {
                title: format!("{}: {}", summary.name, metric.name),
                x: axis.name.clone(),
                y: format!("{}{unit}", metric.name),
                is_log_x,
                is_log: least > 0.0 && most / least > LOG_FROM,
                series,
            };
            pictures.push((format!("{}-by-{}.svg", metric.name, axis.name), plot.svg()));
        }
    }
    pictures
}

/// Figures that differ by more than this factor are drawn on a logarithmic axis.
const LOG_FROM: f64 = 20.0;

fn series(summary: &Summary, place: usize, metric: &str) -> Vec<Series> {
    let mut series: Vec<Series> = Vec::new();
    for cell in &summary.cells {
        let others = cell.values.iter().zip(&summary.axes).enumerate().filter(|(at, _)| *at != place);
        // What all cells have in common need not be said of each.
        let others = others.filter(|(_, (_, axis))| axis.values.len() > 1);
        let name = others.map(|(_, (value, _))| value.as_str()).collect::<Vec<_>>().join(", ");
        let name = if name.is_empty() { metric.to_owned() } else { name };
        let (Ok(x), Some(figure)) = (cell.values[place].parse(), cell.figures.get(metric)) else { continue };
        let point = Point { x, y: figure.mean, low: figure.low.max(0.0), high: figure.high };
        match series.iter_mut().find(|series| series.name == name) {
            Some(series) => {
                series.points.push(point);
                series.line.push((x, figure.mean));
            }
            None => series.push(Series { name, points: vec![point], line: vec![(x, figure.mean)] }),
        }
    }
    series
}
