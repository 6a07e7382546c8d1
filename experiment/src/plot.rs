//! Plots as SVG: measured points with their intervals, and what theory says as lines.

use plotters::chart::ChartBuilder;
use plotters::coord::ranged1d::{AsRangedCoord, Ranged, ValueFormatter};
use plotters::coord::{Shift, combinators::IntoLogRange};
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::element::{ErrorBar, PathElement};
use plotters::series::LineSeries;
use plotters::style::{BLACK, Color, Palette, Palette99, WHITE};
use plotters_svg::SVGBackend;

/// Width and height in pixels.
const SIZE: (u32, u32) = (860, 540);
/// Room for the numbers beside the axes, in pixels.
const MARGIN: u32 = 48;
/// So far below what is greatest a logarithmic axis ends.
const LOG_SPAN: f64 = 1e-9;

/// A measured figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Where it was measured.
    pub x: f64,
    /// The figure.
    pub y: f64,
    /// Where it lies at least.
    pub low: f64,
    /// Where it lies at most.
    pub high: f64,
}

/// Points of one kind, and theory for them.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// What they are called.
    pub name: String,
    /// What was measured.
    pub points: Vec<Point>,
    /// What theory says.
    pub line: Vec<(f64, f64)>,
}

/// A plot.
#[derive(Clone, Debug, PartialEq)]
pub struct Plot {
    /// Its title.
    pub title: String,
    /// What is to the right.
    pub x: String,
    /// What is upwards.
    pub y: String,
    /// Whether to the right is logarithmic.
    pub is_log_x: bool,
    /// Whether upwards is logarithmic.
    pub is_log: bool,
    /// What is drawn.
    pub series: Vec<Series>,
}

impl Plot {
    /// The picture.
    pub fn svg(&self) -> String {
        let mut text = String::new();
        {
            let root = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
            root.fill(&WHITE).expect("a text takes everything");
            let ((left, right), (low, high)) = (self.widths(), self.heights());
            match (self.is_log_x, self.is_log) {
                (true, true) => self.draw(&root, (left..right).log_scale(), (low..high).log_scale()),
                (true, false) => self.draw(&root, (left..right).log_scale(), low..high),
                (false, true) => self.draw(&root, left..right, (low..high).log_scale()),
                (false, false) => self.draw(&root, left..right, low..high),
            }
            root.present().expect("a text takes everything");
        }
        text
    }

    fn draw<X, Y>(&self, root: &DrawingArea<SVGBackend<'_>, Shift>, x: X, y: Y)
    where
        X: AsRangedCoord<Value = f64>,
        X::CoordDescType: ValueFormatter<f64> + Ranged<ValueType = f64>,
        Y: AsRangedCoord<Value = f64>,
        Y::CoordDescType: ValueFormatter<f64> + Ranged<ValueType = f64>,
    {
        const SURE: &str = "a text takes everything";
        let mut chart = ChartBuilder::on(root)
            .caption(&self.title, ("sans-serif", 20))
            .margin(12)
            .x_label_area_size(MARGIN)
            .y_label_area_size(MARGIN + 24)
            .build_cartesian_2d(x, y)
            .expect(SURE);
        let mut mesh = chart.configure_mesh();
        mesh.x_desc(&self.x).y_desc(&self.y).light_line_style(BLACK.mix(0.05)).draw().expect(SURE);
        let (floor, _) = self.heights();
        for (number, series) in self.series.iter().enumerate() {
            let color = Palette99::pick(number).to_rgba();
            let above = |y: f64| y.max(floor);
            // Where a line falls below what is shown it ends.
            let line = series.line.iter().copied().filter(|(_, y)| *y >= floor);
            let drawn = chart.draw_series(LineSeries::new(line, color.stroke_width(1))).expect(SURE);
            drawn
                .label(&series.name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], color.stroke_width(2)));
            let bars = series.points.iter().map(|point| {
                let Point { x, y, low, high } = *point;
                ErrorBar::new_vertical(x, above(low), above(y), above(high), color.filled(), 8)
            });
            chart.draw_series(bars).expect(SURE);
        }
        chart.configure_series_labels().background_style(WHITE.mix(0.8)).border_style(BLACK).draw().expect(SURE);
    }

    fn widths(&self) -> (f64, f64) {
        let points = self.series.iter().flat_map(|series| series.points.iter().map(|point| point.x));
        let lines = self.series.iter().flat_map(|series| series.line.iter().map(|(x, _)| *x));
        let (low, high) = ends(points.chain(lines));
        let room = ((high - low) * 0.05).max(1e-3);
        if self.is_log_x { (low.max(high * LOG_SPAN) / 1.2, high * 1.2) } else { (low - room, high + room) }
    }

    fn heights(&self) -> (f64, f64) {
        let points =
            self.series.iter().flat_map(|series| series.points.iter().flat_map(|point| [point.low, point.high]));
        let lines = self.series.iter().flat_map(|series| series.line.iter().map(|(_, y)| *y));
        let all = points.chain(lines).filter(|y| y.is_finite() && (!self.is_log || *y > 0.0));
        let (low, high) = ends(all);
        if self.is_log { (low.max(high * LOG_SPAN) / 1.5, high * 1.5) } else { (low.min(0.0), high * 1.05) }
    }
}

/// The least and the greatest; from 0 to 1 where there are none.
fn ends(figures: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = figures.fold((f64::MAX, f64::MIN), |(low, high), figure| (low.min(figure), high.max(figure)));
    if low <= high { (low, high) } else { (0.0, 1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(is_log: bool) -> Plot {
        let points =
            vec![Point { x: 1.0, y: 0.2, low: 0.1, high: 0.3 }, Point { x: 6.0, y: 0.0, low: 0.0, high: 1e-3 }];
        let line = vec![(1.0, 0.21), (6.0, 1e-4)];
        Plot {
            title: "success & share".into(),
            x: "confirmations".into(),
            y: "probability".into(),
            is_log_x: is_log,
            is_log,
            series: vec![Series { name: "q = 0.1".into(), points, line }],
        }
    }

    #[test]
    fn a_plot_has_its_points_its_lines_and_its_words() {
        for is_log in [false, true] {
            let svg = plot(is_log).svg();
            assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"), "{svg}");
            assert_eq!(svg.matches("<circle").count(), 2, "a dot for each point");
            for word in ["success &amp; share", "confirmations", "probability", "q = 0.1"] {
                assert!(svg.contains(word), "{word}");
            }
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }

    #[test]
    fn a_plot_of_nothing_is_a_plot() {
        assert!(Plot { series: Vec::new(), ..plot(true) }.svg().starts_with("<svg"));
    }
}
