//! What stands on a page: texts that are safe in HTML, and figures with as many digits as their interval supports.

use crate::summary::Figure;

/// Figures below this, zero apart, are written with an exponent.
const PLAIN_MIN: f64 = 1e-4;
/// Figures from this on are written with an exponent.
const PLAIN_MAX: f64 = 1e9;
/// How many digits are shown at most, those before the point not counted when there are more.
const DIGITS_MAX: i32 = 6;
/// How many digits are shown of a figure that has no interval.
const DIGITS_ALONE: i32 = 4;

/// A text as HTML shows it, also within a quoted attribute.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            letter => escaped.push(letter),
        }
    }
    escaped
}

/// JSON as it may stand within a script element: `<` occurs within strings only, where it can be written by its number.
pub(super) fn json(value: &impl serde::Serialize) -> String {
    let text = serde_json::to_string(value).expect("keys are strings, and a text takes everything");
    text.replace('<', "\\u003c")
}

/// A mean, and its interval if it has one. Both have the digits that the interval supports: two of its half width.
pub(super) fn figure(figure: &Figure) -> (String, Option<String>) {
    interval(figure.mean, figure.low, figure.high)
}

/// An estimate and where it lies at least and at most.
pub(super) fn interval(middle: f64, low: f64, high: f64) -> (String, Option<String>) {
    if low == high {
        return (alone(middle), None);
    }
    let half = (high - low) / 2.0;
    let greatest = [middle, low, high].into_iter().filter(|bound| bound.is_finite()).map(f64::abs).fold(0.0, f64::max);
    if !half.is_finite() || !is_plain(greatest) {
        return (alone(middle), Some(format!("[{}, {}]", alone(low), alone(high))));
    }
    let decimals = (1 - magnitude(half)).min(DIGITS_MAX - 1 - magnitude(greatest)).max(0);
    let show = |figure: f64| fixed(figure, decimals);
    (show(middle), Some(format!("[{}, {}]", show(low), show(high))))
}

/// A figure that has no interval.
pub(super) fn alone(figure: f64) -> String {
    if figure.is_nan() {
        return "–".into();
    }
    if figure.is_infinite() {
        return if figure > 0.0 { "∞".into() } else { "−∞".into() };
    }
    if !is_plain(figure.abs()) {
        return format!("{figure:.3e}").replace('-', "−");
    }
    if figure.fract() == 0.0 {
        return fixed(figure, 0);
    }
    fixed(figure, (DIGITS_ALONE - 1 - magnitude(figure)).max(0))
}

/// With so many digits after the point, and the minus of mathematics; what rounds to zero has no sign.
fn fixed(figure: f64, decimals: i32) -> String {
    let decimals = usize::try_from(decimals).expect("no figure has fewer than no digits");
    let text = format!("{:.decimals$}", figure.abs());
    let is_zero = text.bytes().all(|letter| letter == b'0' || letter == b'.');
    if figure < 0.0 && !is_zero { format!("−{text}") } else { text }
}

fn is_plain(figure: f64) -> bool {
    figure == 0.0 || (PLAIN_MIN..PLAIN_MAX).contains(&figure)
}

/// Where its first digit stands: 0 for ones, -1 for tenths.
fn magnitude(figure: f64) -> i32 {
    // Whoever has none gets the least that matters here; a cast of a float saturates.
    if figure == 0.0 { -DIGITS_MAX } else { figure.abs().log10().floor() as i32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_has_the_digits_that_its_interval_supports() {
        let show = |middle, low, high| {
            let (middle, bounds) = interval(middle, low, high);
            format!("{middle} {}", bounds.unwrap_or_default())
        };
        assert_eq!(show(12.3456, 11.9876, 12.7036), "12.35 [11.99, 12.70]");
        assert_eq!(show(1_234_567.8, 1_204_567.0, 1_264_567.0), "1234568 [1204567, 1264567]");
        assert_eq!(show(0.5, 0.4999999, 0.5000001), "0.500000 [0.500000, 0.500000]");
        assert_eq!(show(-0.001, -0.3, 0.3), "0.00 [−0.30, 0.30]");
        assert_eq!(show(2.5e-7, 1e-7, 4e-7), "2.500e−7 [1.000e−7, 4.000e−7]");
        assert_eq!(show(1.0, f64::NEG_INFINITY, f64::INFINITY), "1 [−∞, ∞]");
    }

    #[test]
    fn a_figure_of_one_run_has_four_digits_and_no_interval() {
        assert_eq!(interval(12.3456, 12.3456, 12.3456), ("12.35".into(), None));
        assert_eq!(alone(100.0), "100");
        assert_eq!(alone(0.0), "0");
        assert_eq!(alone(-2.0 / 3.0), "−0.6667");
        assert_eq!(alone(98_765.4), "98765");
        assert_eq!(alone(f64::NAN), "–");
    }

    #[test]
    fn a_text_cannot_leave_its_place() {
        assert_eq!(escape(r#"<a href="x">&'</a>"#), "&lt;a href=&quot;x&quot;&gt;&amp;&#39;&lt;/a&gt;");
        assert_eq!(json(&"</script><!--"), r#""\u003c/script>\u003c!--""#);
    }
}
