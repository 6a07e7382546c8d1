//! The texts people type for durations, byte rates and shares, and how such values are shown.
//!
//! Amounts are `synod_ledger::Amount`, hash rates `synod_node::config`'s: both read themselves.

use std::time::Duration;

/// Why a text is not the quantity it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// Not a number with one of the known units.
    #[error("expected {expected}, got `{got}`")]
    Form {
        /// What would have been right, with an example.
        expected: &'static str,
        /// The text.
        got: String,
    },
    /// A number out of its range.
    #[error("`{got}` is out of range: {expected}")]
    Range {
        /// The range.
        expected: &'static str,
        /// The text.
        got: String,
    },
}

const DURATION: &str = "a number with ms, s, m or h, as 250ms, 2s or 1.5m";
const BYTE_RATE: &str = "bytes per second, as 500000, 500k or 2M";
const SHARE: &str = "a share between 0 and 1, as 0.01";
const TIMES: &str = "a number, as 0.5 or 20";
const RATE: &str = "a number per second above 0 and up to 100000, as 50 or 0.5";

/// The longest duration that a command takes: a year.
const DURATION_SECS_MAX: f64 = 365.0 * 86_400.0;
/// More payments a second than this no schedule is made for.
const RATE_MAX: f64 = 100_000.0;

/// Reads `250ms`, `2s`, `1.5m` or `1h`.
pub fn duration(text: &str) -> Result<Duration, UnitError> {
    let form = || UnitError::Form { expected: DURATION, got: text.to_owned() };
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(form)?;
    let (number, unit) = text.split_at(digits);
    let scale = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        _ => return Err(form()),
    };
    let secs = decimal(number).ok_or_else(form)? * scale;
    if secs > DURATION_SECS_MAX {
        return Err(UnitError::Range { expected: "at most a year", got: text.to_owned() });
    }
    // Whole nanoseconds: binary fractions of a millisecond would otherwise show.
    Ok(Duration::from_nanos((secs * 1e9).round() as u64))
}

/// Reads a duration as [`duration`] does, and refuses nothing at all.
pub fn positive_duration(text: &str) -> Result<Duration, UnitError> {
    let span = duration(text)?;
    if span.is_zero() {
        return Err(UnitError::Range { expected: "more than nothing", got: text.to_owned() });
    }
    Ok(span)
}

/// Reads bytes per second: `500000`, `500k`, `2M`.
pub fn byte_rate(text: &str) -> Result<u64, UnitError> {
    let form = || UnitError::Form { expected: BYTE_RATE, got: text.to_owned() };
    let (number, scale) = match text.as_bytes().last() {
        Some(b'k') => (&text[..text.len() - 1], 1e3),
        Some(b'M') => (&text[..text.len() - 1], 1e6),
        Some(b'G') => (&text[..text.len() - 1], 1e9),
        _ => (text, 1.0),
    };
    let rate = (decimal(number).ok_or_else(form)? * scale).round();
    if !(1.0..=1e12).contains(&rate) {
        return Err(UnitError::Range { expected: "from 1 to 1000G", got: text.to_owned() });
    }
    Ok(rate as u64)
}

/// Reads a share between 0 and 1.
pub fn share(text: &str) -> Result<f64, UnitError> {
    let form = || UnitError::Form { expected: SHARE, got: text.to_owned() };
    let share = decimal(text).ok_or_else(form)?;
    if share > 1.0 {
        return Err(UnitError::Range { expected: SHARE, got: text.to_owned() });
    }
    Ok(share)
}

/// Reads a number of times zero or more, of block times as `0.5` or `20`.
pub fn times(text: &str) -> Result<f64, UnitError> {
    decimal(text).ok_or_else(|| UnitError::Form { expected: TIMES, got: text.to_owned() })
}

/// Reads how many payments a second are wanted.
pub fn rate(text: &str) -> Result<f64, UnitError> {
    let rate = decimal(text).ok_or_else(|| UnitError::Form { expected: RATE, got: text.to_owned() })?;
    if rate <= 0.0 || rate > RATE_MAX {
        return Err(UnitError::Range { expected: RATE, got: text.to_owned() });
    }
    Ok(rate)
}

/// A duration as people read it, in the largest unit that keeps it whole or else with three digits.
pub fn show_duration(span: Duration) -> String {
    let millis = span.as_millis();
    match millis {
        0 => format!("{} µs", span.as_micros()),
        1..1_000 => format!("{millis} ms"),
        1_000..60_000 if millis.is_multiple_of(1_000) => format!("{} s", millis / 1_000),
        1_000..60_000 => format!("{:.2} s", span.as_secs_f64()),
        60_000..3_600_000 => format!("{} m {} s", millis / 60_000, millis / 1_000 % 60),
        _ => format!("{} h {} m", millis / 3_600_000, millis / 60_000 % 60),
    }
}

/// A large count with its thousands: `48.2k`, `1.25M`.
pub fn show_count(count: f64) -> String {
    match count {
        c if c >= 1e9 => format!("{:.2}G", c / 1e9),
        c if c >= 1e6 => format!("{:.2}M", c / 1e6),
        c if c >= 1e3 => format!("{:.1}k", c / 1e3),
        c => format!("{c:.0}"),
    }
}

/// Plain decimals alone: no sign, exponent, `inf` or `nan`, all of which `f64` would read.
fn decimal(text: &str) -> Option<f64> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_number_and_a_unit() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("2s"), Ok(Duration::from_secs(2)));
        assert_eq!(duration("1.5m"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("0.3ms"), Ok(Duration::from_micros(300)));
        assert_eq!(duration("1h"), Ok(Duration::from_secs(3600)));
        for text in ["", "s", "5", "5 s", "-5s", "1e3s", "5d", "1..5s", "nans", "5sec"] {
            assert!(matches!(duration(text), Err(UnitError::Form { .. })), "{text:?}");
        }
        assert!(matches!(duration("9999999h"), Err(UnitError::Range { .. })));
    }

    #[test]
    fn byte_rates_have_an_optional_scale() {
        assert_eq!(byte_rate("1200"), Ok(1200));
        assert_eq!(byte_rate("1.5k"), Ok(1500));
        assert_eq!(byte_rate("2M"), Ok(2_000_000));
        assert!(byte_rate("k").is_err());
        assert!(byte_rate("0").is_err());
        assert!(byte_rate("9999G").is_err());
    }

    #[test]
    fn shares_and_rates_stay_in_their_ranges() {
        assert_eq!(share("0.01"), Ok(0.01));
        assert_eq!(share("1"), Ok(1.0));
        assert_eq!((times("0.5"), times("80")), (Ok(0.5), Ok(80.0)));
        assert!(times("-1").is_err() && times("inf").is_err());
        assert!(share("1.01").is_err());
        assert!(share("-0.1").is_err());
        assert_eq!(rate("0.5"), Ok(0.5));
        assert!(rate("0").is_err());
        assert!(rate("100001").is_err());
        assert!(rate("inf").is_err());
    }

    #[test]
    fn values_are_shown_in_their_largest_unit() {
        assert_eq!(show_duration(Duration::from_micros(120)), "120 µs");
        assert_eq!(show_duration(Duration::from_millis(12)), "12 ms");
        assert_eq!(show_duration(Duration::from_secs(2)), "2 s");
        assert_eq!(show_duration(Duration::from_millis(2346)), "2.35 s");
        assert_eq!(show_duration(Duration::from_secs(95)), "1 m 35 s");
        assert_eq!(show_duration(Duration::from_secs(3_720)), "1 h 2 m");
        assert_eq!(show_count(48_213.0), "48.2k");
        assert_eq!(show_count(1_250_000.0), "1.25M");
        assert_eq!(show_count(12.0), "12");
    }
}
