//! Distributions of durations as a scenario names them, and their quantiles.
//!
//! The laws are statrs's; here they get units, bounds, and the two forms that renewal theory asks for (Cox 1962, "Renewal
//! theory", chapter 5): the mean, and the length-biased law by which an instant meets a long period more often.

use std::fmt;

use schemars::{JsonSchema, Schema};
use serde::de::value::MapAccessDeserializer;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use statrs::distribution::{ContinuousCDF, Exp, Gamma, LogNormal, Pareto, Uniform, Weibull};
use statrs::function::gamma::gamma;

use super::{ModelError, Span};

/// How long something takes: a duration alone, as `"50 ms"`, if it always takes the same, or a law with its parameters, as
/// `{ kind = "log-normal", median = "50 ms", sigma = 0.5 }`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(
    remote = "Self",
    tag = "kind",
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case",
    deny_unknown_fields
)]
#[schemars(rename = "Distribution", transform = or_a_span)]
pub enum Distribution {
    /// Always the same. A duration alone means it, too.
    Constant {
        /// The duration.
        value: Span,
    },
    /// Exponential: what is left does not depend on what is over. Gaps between events that know nothing of each other.
    Exponential {
        /// The mean, which is the standard deviation as well. Above 0.
        mean: Span,
    },
    /// Log-normal: a product of many small causes. Most are near the median, a few are several times as long.
    LogNormal {
        /// Half of all are shorter. Above 0.
        median: Span,
        /// The standard deviation of the logarithm, above 0 and at most 10: one in six is longer than e^sigma medians.
        sigma: f64,
    },
    /// Pareto: a heavy tail. A duration of k times the scale is exceeded with probability k^-shape.
    Pareto {
        /// The least value. Above 0.
        scale: Span,
        /// How fast the tail falls, above 0 and at most 100. There is no mean up to 1, and no variance up to 2.
        shape: f64,
        /// The greatest value: the law is cut there, and what lay beyond is spread over the rest. Without it there is none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        most: Option<Span>,
    },
    /// Uniform: every value in a range is as likely.
    Uniform {
        /// The least value.
        least: Span,
        /// The greatest value, above the least.
        most: Span,
    },
    /// Weibull: below shape 1, what has lasted will last (sessions of peers); above, it wears out; at 1, exponential.
    Weibull {
        /// The value that 63 % do not reach. Above 0.
        scale: Span,
        /// From 0.1 to 20.
        shape: f64,
    },
}

impl Distribution {
    /// Always `value`.
    pub const fn constant(value: Span) -> Self {
        Self::Constant { value }
    }

    /// Whether the parameters are ones that the law has.
    pub fn check(&self) -> Result<(), ModelError> {
        match *self {
            Self::Constant { .. } => Ok(()),
            Self::Exponential { mean } => above_zero("mean", mean),
            Self::LogNormal { median, sigma } => {
                above_zero("median", median)?;
                number("sigma", sigma, sigma > 0.0 && sigma <= 10.0, "a number above 0 and at most 10")
            }
            Self::Pareto { scale, shape, most } => {
                above_zero("scale", scale)?;
                number("shape", shape, shape > 0.0 && shape <= 100.0, "a number above 0 and at most 100")?;
                most.map_or(Ok(()), |most| above("most", most, "the scale", scale))
            }
            Self::Uniform { least, most } => above("most", most, "the least", least),
            Self::Weibull { scale, shape } => {
                above_zero("scale", scale)?;
                number("shape", shape, (0.1..=20.0).contains(&shape), "a number from 0.1 to 20")
            }
        }
    }

    /// The mean in seconds; infinite for a Pareto law without an end whose shape is at most 1.
    pub fn mean_secs(&self) -> f64 {
        match *self {
            Self::Constant { value } => value.secs(),
            Self::Exponential { mean } => mean.secs(),
            Self::LogNormal { median, sigma } => median.secs() * (sigma * sigma / 2.0).exp(),
            Self::Pareto { shape, most: None, .. } if shape <= 1.0 => f64::INFINITY,
            Self::Pareto { scale, shape, most: None } => scale.secs() * shape / (shape - 1.0),
            Self::Pareto { scale, shape, most: Some(most) } => {
                // The integral of x f(x) over the range that is left, f the density of the whole law over its share there.
                let reach = most.secs() / scale.secs();
                let share = 1.0 - reach.powf(-shape);
                scale.secs() * shape * power_integral(reach, -shape) / share
            }
            Self::Uniform { least, most } => f64::midpoint(least.secs(), most.secs()),
            Self::Weibull { scale, shape } => scale.secs() * gamma(1.0 + 1.0 / shape),
        }
    }

    /// The value in seconds that a share `p` of all do not exceed.
    pub fn quantile_secs(&self, p: f64) -> f64 {
        assert!((0.0..1.0).contains(&p), "a share is at least 0 and below 1");
        match *self {
            Self::Constant { value } => value.secs(),
            Self::Exponential { mean } => Exp::new(1.0 / mean.secs()).expect(CHECKED).inverse_cdf(p),
            Self::LogNormal { median, sigma } => log_normal(median, sigma).inverse_cdf(p),
            Self::Pareto { scale, shape, most } => {
                let law = Pareto::new(scale.secs(), shape).expect(CHECKED);
                law.inverse_cdf(p * most.map_or(1.0, |most| law.cdf(most.secs())))
            }
            Self::Uniform { least, most } => Uniform::new(least.secs(), most.secs()).expect(CHECKED).inverse_cdf(p),
            Self::Weibull { scale, shape } => Weibull::new(shape, scale.secs()).expect(CHECKED).inverse_cdf(p),
        }
    }

    /// The same of the length-biased law, whose density at x is x times this one's over the mean: the length of a period that
    /// an instant falls into. The mean is finite.
    pub fn quantile_of_met_secs(&self, p: f64) -> f64 {
        assert!((0.0..1.0).contains(&p), "a share is at least 0 and below 1");
        assert!(self.mean_secs().is_finite(), "a law without a mean has no length-biased one");
        match *self {
            Self::Constant { value } => value.secs(),
            Self::Exponential { mean } => Gamma::new(2.0, 1.0 / mean.secs()).expect(CHECKED).inverse_cdf(p),
            Self::LogNormal { median, sigma } => log_normal(median, sigma).inverse_cdf(p) * (sigma * sigma).exp(),
            Self::Pareto { scale, shape, most } => {
                let reach = most.map_or(f64::INFINITY, |most| most.secs() / scale.secs());
                scale.secs() * power_quantile(reach, shape - 1.0, p)
            }
            Self::Uniform { least, most } => {
                let (least, most) = (least.secs().powi(2), most.secs().powi(2));
                (least + p * (most - least)).sqrt()
            }
            Self::Weibull { scale, shape } => {
                let law = Gamma::new(1.0 + 1.0 / shape, 1.0).expect(CHECKED);
                scale.secs() * law.inverse_cdf(p).powf(1.0 / shape)
            }
        }
    }
}

const CHECKED: &str = "the parameters were checked before the law is used";

fn log_normal(median: Span, sigma: f64) -> LogNormal {
    LogNormal::new(median.secs().ln(), sigma).expect(CHECKED)
}

/// The integral of x^power from 1 to `reach`.
fn power_integral(reach: f64, power: f64) -> f64 {
    let rise = power + 1.0;
    if rise.abs() < NEARLY_ZERO { reach.ln() } else { (reach.powf(rise) - 1.0) / rise }
}

/// Where a density proportional to x^(-fall - 1) between 1 and `reach` has a share `p` below it.
fn power_quantile(reach: f64, fall: f64, p: f64) -> f64 {
    if fall.abs() < NEARLY_ZERO { reach.powf(p) } else { (1.0 - p * (1.0 - reach.powf(-fall))).powf(-1.0 / fall) }
}

/// Below this an exponent is zero, and its power a logarithm: the two differ by less than is drawn.
const NEARLY_ZERO: f64 = 1e-9;

fn above_zero(field: &str, span: Span) -> Result<(), ModelError> {
    if span > Span::ZERO { Ok(()) } else { Err(ModelError::value(field, "a duration above 0", span)) }
}

fn above(field: &str, span: Span, bound: &str, least: Span) -> Result<(), ModelError> {
    if span > least {
        return Ok(());
    }
    Err(ModelError::value(field, format!("a duration above {bound}, which is {least}"), span))
}

fn number(field: &str, got: f64, right: bool, expected: &str) -> Result<(), ModelError> {
    if right { Ok(()) } else { Err(ModelError::value(field, expected, got)) }
}

/// Reads the short form, a duration, and the long one, a table. Serde's own choice between forms would not say what is wrong
/// inside the table.
struct Form;

impl<'de> de::Visitor<'de> for Form {
    type Value = Distribution;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration as \"50 ms\", or a table as { kind = \"exponential\", mean = \"50 ms\" }")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Distribution, E> {
        text.parse().map(Distribution::constant).map_err(E::custom)
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Distribution, A::Error> {
        // Serde's derived function, which reads the table.
        Distribution::deserialize(MapAccessDeserializer::new(map))
    }
}

impl<'de> Deserialize<'de> for Distribution {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Form)
    }
}

impl Serialize for Distribution {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Constant { value } => serializer.collect_str(value),
            Self::Exponential { .. }
            | Self::LogNormal { .. }
            | Self::Pareto { .. }
            | Self::Uniform { .. }
            | Self::Weibull { .. } => Self::serialize(self, serializer),
        }
    }
}

/// Adds the short form to the derived schema of the long one.
fn or_a_span(schema: &mut Schema) {
    let short = schemars::SchemaGenerator::default().root_schema_for::<Span>();
    let forms = schema.get_mut("oneOf").and_then(|forms| forms.as_array_mut());
    forms.expect("an enum's schema is a choice").insert(0, short.to_value());
}

#[cfg(test)]
pub(super) mod tests;
