//! Durations and bit rates as people write them in a scenario: a number and its unit.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::ModelError;

/// A duration, written as a number and a unit: `"50 ms"`, `"1.5 s"`, `"10 min"`, `"1h 30min"`.
///
/// Units are ns, us, ms, s, min, h and days. It is kept in nanoseconds, and at most a hundred years long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(u64);

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// So many nanoseconds, and a hundred years at most.
    pub fn from_nanos(nanos: u64) -> Self {
        Self(nanos.min(SPAN_MAX.as_nanos() as u64))
    }

    /// So many milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis * 1_000_000)
    }

    /// In nanoseconds.
    pub const fn nanos(self) -> u64 {
        self.0
    }

    /// In seconds.
    pub fn secs(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// As the standard library has it.
    pub const fn duration(self) -> Duration {
        Duration::from_nanos(self.0)
    }
}

impl FromStr for Span {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self, ModelError> {
        let form = || ModelError::Form { expected: SPAN, got: text.to_owned() };
        let span = humantime::parse_duration(text.trim()).map_err(|_| form())?;
        if span > SPAN_MAX {
            return Err(form());
        }
        Ok(Self(u64::try_from(span.as_nanos()).expect("a hundred years of nanoseconds fit into 64 bits")))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.duration()).fmt(f)
    }
}

const SPAN: &str = "a duration of at most 100 years with its unit, as 50 ms, 1.5 s or 10 min";
/// Far beyond any run, and far enough below what 64 bits hold that sums do not overflow.
const SPAN_MAX: Duration = Duration::from_secs(100 * 365 * 86_400);

/// A bandwidth, written as a number and a unit: `"20 Mbit/s"`, `"56 kbit/s"`, `"2.5 MB/s"`.
///
/// Units are bit/s and B/s (8 bits), with k, M or G before them for a thousand, a million or a milliard. It is kept in whole
/// bytes per second, from 1 byte to 1,000 GB per second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(u64);

impl Rate {
    /// In bytes per second.
    pub const fn bytes_per_sec(self) -> u64 {
        self.0
    }
}

impl FromStr for Rate {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self, ModelError> {
        let form = || ModelError::Form { expected: RATE, got: text.to_owned() };
        let text = text.trim();
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(form)?;
        let (number, unit) = text.split_at(end);
        let unit = unit.trim_start();
        let (scale, unit) = match unit.as_bytes().first() {
            Some(b'k') => (1e3, &unit[1..]),
            Some(b'M') => (1e6, &unit[1..]),
            Some(b'G') => (1e9, &unit[1..]),
            _ => (1.0, unit),
        };
        let bytes = match unit {
            "B/s" => 1.0,
            "bit/s" => 0.125,
            _ => return Err(form()),
        };
        let number: f64 = number.parse().map_err(|_| form())?;
        let rate = (number * scale * bytes).round();
        if !(1.0..=RATE_MAX).contains(&rate) {
            return Err(form());
        }
        Ok(Self(rate as u64))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scale, unit) = match self.0 {
            0..125_000 => (125, "kbit/s"),
            125_000..125_000_000 => (125_000, "Mbit/s"),
            125_000_000.. => (125_000_000, "Gbit/s"),
        };
        if (self.0 * 1_000).is_multiple_of(scale) {
            write!(f, "{} {unit}", self.0 as f64 / scale as f64)
        } else {
            write!(f, "{} B/s", self.0)
        }
    }
}

const RATE: &str = "a bandwidth from 1 B/s to 1000 GB/s with its unit, as 20 Mbit/s, 56 kbit/s or 2.5 MB/s";
const RATE_MAX: f64 = 1e12;

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description": SPAN, "examples": ["50 ms", "1.5 s", "10 min"] })
    }
}

impl JsonSchema for Rate {
    fn schema_name() -> Cow<'static, str> {
        "Rate".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description": RATE, "examples": ["20 Mbit/s", "2.5 MB/s"] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_number_and_a_unit() {
        let nanos = |text: &str| text.parse::<Span>().map(Span::nanos);
        assert_eq!(nanos("50ms"), Ok(50_000_000));
        assert_eq!(nanos("50 ms"), Ok(50_000_000));
        assert_eq!(nanos("1.5 s"), Ok(1_500_000_000));
        assert_eq!(nanos("10min"), Ok(600_000_000_000));
        assert_eq!(nanos("10 m"), Ok(600_000_000_000));
        assert_eq!(nanos("1h 30min"), Ok(5_400_000_000_000));
        assert_eq!(nanos("0 s"), Ok(0));
        for text in ["", "5", "s", "-5 s", "5 parsecs", "101 years", "1e3 s", "nan s"] {
            let error = nanos(text).expect_err(text).to_string();
            assert_eq!(error, format!("expected {SPAN}, got `{text}`"));
        }
    }

    #[test]
    fn rates_count_bits_or_bytes() {
        let bytes = |text: &str| text.parse::<Rate>().map(Rate::bytes_per_sec);
        assert_eq!(bytes("20 Mbit/s"), Ok(2_500_000));
        assert_eq!(bytes("56kbit/s"), Ok(7_000));
        assert_eq!(bytes("2.5 MB/s"), Ok(2_500_000));
        assert_eq!(bytes("1 Gbit/s"), Ok(125_000_000));
        assert_eq!(bytes("800 bit/s"), Ok(100));
        for text in ["", "20", "20 M", "20 Mb/s", "-1 B/s", "0 B/s", "1..5 MB/s", "9999 GB/s", "MB/s", "20 µB/s"] {
            let error = bytes(text).expect_err(text).to_string();
            assert_eq!(error, format!("expected {RATE}, got `{text}`"));
        }
    }

    #[test]
    fn what_is_shown_is_read_back() {
        for text in ["50ms", "1s 500ms", "10m", "1h 30m"] {
            assert_eq!(text.parse::<Span>().map(|span| span.to_string()), Ok(text.to_owned()));
        }
        for text in ["20 Mbit/s", "19.2 Mbit/s", "56 kbit/s", "1 Gbit/s", "0.8 kbit/s", "1234567 B/s"] {
            assert_eq!(text.parse::<Rate>().map(|rate| rate.to_string()), Ok(text.to_owned()));
        }
    }
}
