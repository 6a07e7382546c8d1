use super::*;

/// A law of each kind, ordinary and at the edges.
pub(in crate::model) fn laws() -> Vec<Distribution> {
    let span = Span::from_millis;
    vec![
        Distribution::constant(span(50)),
        Distribution::Exponential { mean: span(50) },
        Distribution::LogNormal { median: span(50), sigma: 0.5 },
        Distribution::LogNormal { median: span(50), sigma: 1.2 },
        Distribution::Pareto { scale: span(20), shape: 1.5, most: None },
        Distribution::Pareto { scale: span(20), shape: 0.5, most: None },
        Distribution::Pareto { scale: span(20), shape: 1.0, most: Some(span(2_000)) },
        Distribution::Pareto { scale: span(20), shape: 2.0, most: Some(span(2_000)) },
        Distribution::Uniform { least: span(0), most: span(10) },
        Distribution::Uniform { least: span(90), most: span(110) },
        Distribution::Weibull { scale: span(3_600_000), shape: 0.6 },
        Distribution::Weibull { scale: span(50), shape: 3.0 },
    ]
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    delay: Distribution,
}

fn read(text: &str) -> Result<Distribution, String> {
    toml::from_str(text).map(|document: Document| document.delay).map_err(|error| error.message().to_owned())
}

#[test]
fn every_law_is_written_as_people_write_it() {
    let span = Span::from_millis;
    let forms = [
        ("delay = '50 ms'", Distribution::constant(span(50))),
        ("delay = { kind = 'constant', value = '50 ms' }", Distribution::constant(span(50))),
        ("delay = { kind = 'exponential', mean = '1.5 s' }", Distribution::Exponential { mean: span(1_500) }),
        (
            "delay = { kind = 'log-normal', median = '50 ms', sigma = 0.5 }",
            Distribution::LogNormal { median: span(50), sigma: 0.5 },
        ),
        (
            "delay = { kind = 'pareto', scale = '20 ms', shape = 2 }",
            Distribution::Pareto { scale: span(20), shape: 2.0, most: None },
        ),
        (
            "delay = { kind = 'pareto', scale = '20 ms', shape = 1.5, most = '2 s' }",
            Distribution::Pareto { scale: span(20), shape: 1.5, most: Some(span(2_000)) },
        ),
        (
            "delay = { kind = 'uniform', least = '0 s', most = '10 ms' }",
            Distribution::Uniform { least: span(0), most: span(10) },
        ),
        (
            "[delay]\nkind = 'weibull'\nscale = '1 h'\nshape = 0.6",
            Distribution::Weibull { scale: span(3_600_000), shape: 0.6 },
        ),
    ];
    for (text, law) in forms {
        assert_eq!(read(text), Ok(law), "{text}");
    }
    for delay in laws() {
        let text = toml::to_string(&Document { delay: delay.clone() }).expect("a law can be written");
        assert_eq!(read(&text), Ok(delay), "{text}");
    }
}

#[test]
fn a_mistake_in_the_form_is_named() {
    let mistakes = [
        ("delay = '50'", "expected a duration of at most 100 years with its unit, as 50 ms, 1.5 s or 10 min, got `50`"),
        ("delay = { kind = 'exponential' }", "missing field `mean`"),
        ("delay = { kind = 'exponential', mean = '1 s', sigma = 2 }", "unknown field `sigma`, expected `mean`"),
        ("delay = { mean = '1 s' }", "missing field `kind`"),
    ];
    for (text, message) in mistakes {
        assert_eq!(read(text), Err(message.to_owned()), "{text}");
    }
    let unknown = read("delay = { kind = 'normal', mean = '1 s' }").expect_err("there is no such law");
    assert!(unknown.starts_with("unknown variant `normal`, expected one of `constant`, `exponential`"), "{unknown}");
    let number = read("delay = 50").expect_err("a number has no unit");
    assert!(number.contains("expected a duration as \"50 ms\", or a table"), "{number}");
}

#[test]
fn parameters_that_a_law_has_not_are_named() {
    let mistakes = [
        ("{ kind = 'exponential', mean = '0 s' }", "mean: expected a duration above 0, got 0s"),
        (
            "{ kind = 'log-normal', median = '1 s', sigma = 11 }",
            "sigma: expected a number above 0 and at most 10, got 11",
        ),
        (
            "{ kind = 'log-normal', median = '1 s', sigma = nan }",
            "sigma: expected a number above 0 and at most 10, got NaN",
        ),
        ("{ kind = 'pareto', scale = '1 s', shape = 0 }", "shape: expected a number above 0 and at most 100, got 0"),
        (
            "{ kind = 'pareto', scale = '1 s', shape = 1, most = '1 s' }",
            "most: expected a duration above the scale, which is 1s, got 1s",
        ),
        (
            "{ kind = 'uniform', least = '2 s', most = '1 s' }",
            "most: expected a duration above the least, which is 2s, got 1s",
        ),
        ("{ kind = 'weibull', scale = '1 s', shape = 0.05 }", "shape: expected a number from 0.1 to 20, got 0.05"),
    ];
    for (law, message) in mistakes {
        let law = read(&format!("delay = {law}")).expect("the form is right");
        assert_eq!(law.check().map_err(|error| error.to_string()), Err(message.to_owned()));
    }
    for law in laws() {
        assert_eq!(law.check(), Ok(()), "{law:?}");
    }
}

#[test]
fn the_schema_has_the_short_form_and_every_law() {
    let schema = schemars::schema_for!(Distribution).to_value();
    let forms = schema["oneOf"].as_array().expect("there are forms");
    assert_eq!(forms.len(), 7);
    assert_eq!(forms[0]["type"], "string");
    assert_eq!(forms[1]["properties"]["kind"]["const"], "constant");
    assert!(schema["description"].as_str().is_some_and(|text| text.starts_with("How long something takes")));
    assert_eq!(schema["title"], "Distribution");
}

#[test]
fn means_are_the_averages_of_the_quantiles() {
    for law in laws() {
        let shares = 100_000;
        let sum: f64 = (0..shares).map(|n| law.quantile_secs((f64::from(n) + 0.5) / f64::from(shares))).sum();
        let mean = law.mean_secs();
        if mean.is_finite() {
            // A tail of shape 1.5 has 1 % of its mean in its last 100,000th.
            assert!((sum / f64::from(shares) / mean - 1.0).abs() < 0.02, "{law:?}");
        }
    }
    let endless = Distribution::Pareto { scale: Span::from_millis(20), shape: 0.5, most: None };
    assert_eq!(endless.mean_secs(), f64::INFINITY);
}

#[test]
fn an_instant_meets_a_period_with_a_chance_proportional_to_its_length() {
    for law in laws().into_iter().filter(|law| law.mean_secs().is_finite()) {
        // The mean of 1/L under the length-biased law is one over the mean of L under the law itself, whatever the law.
        let shares = 100_000;
        let middle = |n: i32| (f64::from(n) + 0.5) / f64::from(shares);
        let inverse: f64 = (0..shares).map(|n| 1.0 / law.quantile_of_met_secs(middle(n))).sum();
        let off = law.mean_secs() * inverse / f64::from(shares) - 1.0;
        assert!(off.abs() < 0.02, "{law:?}: {off}");
    }
}
