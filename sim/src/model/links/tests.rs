use super::super::regions::tests::THREE;
use super::*;

const MILLI: u64 = 1_000_000;

fn links(text: &str) -> Links {
    toml::from_str(text).expect("the form is right")
}

fn compile(text: &str, seed: u64) -> LinkModel {
    links(text).compile(seed, |_| Ok(THREE.to_owned())).expect("the links are right")
}

fn refused(text: &str) -> String {
    links(text).compile(0, |_| Ok(THREE.to_owned())).map(|_| ()).expect_err(text).to_string()
}

const fn end(peer: u32, region: u8) -> End {
    End { peer, region }
}

#[test]
fn a_constant_delay_is_every_messages() {
    let model = compile("delay = '50 ms'", 1);
    for draw in [0, 1, u64::MAX] {
        assert_eq!(model.latency(end(1, 0), end(2, 0), draw), 50 * MILLI);
    }
    assert_eq!(model.upload(0), None);
    assert_eq!(model.download(0), None);
    assert!(model.loss().is_never());
    assert!(model.duplicate().is_never());
    assert!(model.reorder().is_never());
    assert_eq!(model.assign(3, &mut Rng::new(1, 0, "regions")), [0, 0, 0]);
    assert!(model.regions().is_none());
}

#[test]
fn a_links_latency_lasts_and_is_the_same_both_ways() {
    let text = "delay = { kind = 'log-normal', median = '50 ms', sigma = 0.5 }";
    let model = compile(text, 1);
    let one = model.base(end(1, 0), end(2, 0));
    assert_eq!(model.base(end(1, 0), end(2, 0)), one);
    assert_eq!(model.base(end(2, 0), end(1, 0)), one);
    assert_ne!(model.base(end(1, 0), end(3, 0)), one);
    assert_ne!(compile(text, 2).base(end(1, 0), end(2, 0)), one);
    let below = (0..10_000).filter(|&peer| model.base(end(peer, 0), end(10_000, 0)) < 50 * MILLI).count();
    // Five standard deviations of 50.
    assert!((4_750..5_250).contains(&below), "{below}");
}

#[test]
fn jitter_is_added_for_each_message() {
    let model = compile("delay = '50 ms'\njitter = { kind = 'uniform', least = '0 s', most = '10 ms' }", 1);
    assert_eq!(model.base(end(1, 0), end(2, 0)), 50 * MILLI);
    assert_eq!(model.jitter(1 << 63), 5 * MILLI);
    assert_eq!(model.latency(end(1, 0), end(2, 0), 1 << 63), 55 * MILLI);
    assert_eq!(model.latency(end(1, 0), end(2, 0), 3 << 62), 57 * MILLI + MILLI / 2);
}

#[test]
fn regions_keep_their_published_means() {
    let model = compile("regions = 'three.toml'", 1);
    // The matrix says 100 ms, of which the jitter is 5 ms on average.
    assert_eq!(model.base(end(1, 0), end(2, 1)), 95 * MILLI);
    assert_eq!(model.base(end(2, 1), end(1, 0)), 95 * MILLI);
    assert_eq!(model.base(end(7, 2), end(9, 2)), 25 * MILLI + MILLI / 2);
    let count = 100_000;
    let sum: u64 = (0..count).map(|n| model.latency(end(1, 0), end(2, 1), Draw::at(1, 2, n))).sum();
    let mean = sum as f64 / count as f64 / MILLI as f64;
    // Five standard deviations are 5 ms / sqrt(100,000) * 5 = 0.08 ms.
    assert!((99.9..100.1).contains(&mean), "{mean}");
    assert_eq!(model.upload(1), Some(500_000));
    assert_eq!(model.download(2), Some(2_500_000));
    assert_eq!(model.assign(10, &mut Rng::new(1, 0, "regions")).iter().filter(|&&region| region == 0).count(), 5);
}

#[test]
fn regions_that_are_built_in_need_no_file() {
    let unread = |_: &str| -> io::Result<String> { panic!("no file is read") };
    let model = links("regions = 'bitcoin'").compile(1, unread).expect("the links are right");
    // Half of the 119.3 ms there and back, of which the jitter is 0.5 ms on average.
    assert_eq!(model.base(end(1, 0), end(2, 1)), 59_150_000);
    assert_eq!(model.upload(4), Some(1_625_000));
}

#[test]
fn links_between_two_regions_differ_by_their_spread_and_keep_the_mean() {
    let model = compile("regions = 'three.toml'\nspread = 0.3\njitter = '0 s'", 1);
    let count = 100_000;
    let of = |peer| model.base(end(peer, 0), end(count, 1));
    assert_ne!(of(1), of(2));
    let mean = (0..count).map(of).sum::<u64>() as f64 / f64::from(count) / MILLI as f64;
    // Five standard deviations are 100 ms * 0.31 / sqrt(100,000) * 5 = 0.5 ms.
    assert!((99.5..100.5).contains(&mean), "{mean}");
}

#[test]
fn jitter_longer_than_the_latency_leaves_nothing_of_the_route() {
    let model = compile("regions = 'three.toml'\njitter = '15 ms'", 1);
    assert_eq!(model.base(end(1, 0), end(2, 0)), 0);
    assert_eq!(model.latency(end(1, 0), end(2, 0), 7), 15 * MILLI);
}

#[test]
fn what_the_scenario_says_goes_before_what_the_regions_say() {
    let model = compile("regions = 'three.toml'\nupload = '1 MB/s'\ndownload = '2 MB/s'", 1);
    assert_eq!(model.upload(2), Some(1_000_000));
    assert_eq!(model.download(0), Some(2_000_000));
    let model = compile("delay = '1 ms'\nupload = '1 MB/s'", 1);
    assert_eq!(model.upload(0), Some(1_000_000));
    assert_eq!(model.download(0), None);
}

#[test]
fn probabilities_are_compiled() {
    let model = compile("delay = '1 ms'\nloss = 0.5\nduplicate = 1\nreorder = 0.25", 1);
    assert_eq!(model.loss(), Chance::new(0.5));
    assert_eq!(model.duplicate(), Chance::new(1.0));
    assert_eq!(model.reorder(), Chance::new(0.25));
}

#[test]
fn fields_that_do_not_go_together_are_named() {
    let mistakes = [
        ("", "delay: expected either it or `regions`, got neither"),
        ("delay = '1 s'\nregions = 'three.toml'", "delay: expected either it or `regions`, got both"),
        ("delay = { kind = 'exponential', mean = '0 s' }", "delay.mean: expected a duration above 0, got 0s"),
        (
            "delay = '1 s'\nspread = 0.1",
            "spread: expected none without `regions`: a law in `delay` already differs by link, got 0.1",
        ),
        ("regions = 'three.toml'\nspread = 3.0", "spread: expected a number from 0 to 2, got 3"),
        (
            "regions = 'three.toml'\njitter = { kind = 'pareto', scale = '1 ms', shape = 1 }",
            "jitter: expected a law with a mean: a shape above 1, or a greatest value in `most`, got one without",
        ),
        ("delay = '1 s'\nloss = 1.5", "loss: expected a probability from 0 to 1, got 1.5"),
        ("delay = '1 s'\nreorder = nan", "reorder: expected a probability from 0 to 1, got NaN"),
    ];
    for (text, message) in mistakes {
        assert_eq!(refused(text), message);
    }
    let missing = links("regions = 'x.toml'").compile(0, |_| Err(io::Error::other("no such file"))).map(|_| ());
    let message = "x.toml: no such file; it is read as a data file, since only `bitcoin` is built in";
    assert_eq!(missing.map_err(|error| error.to_string()), Err(message.to_owned()));
    let unknown = toml::from_str::<Links>("dealy = '1 s'").map_err(|error| error.message().to_owned());
    assert!(unknown.is_err_and(|message| message.contains("unknown field `dealy`")));
}

#[test]
fn every_field_is_in_the_schema_with_its_description() {
    let schema = schemars::schema_for!(Links).to_value();
    let properties = schema["properties"].as_object().expect("links have fields");
    assert_eq!(properties.len(), 9);
    for (name, property) in properties {
        assert!(property["description"].is_string(), "{name} is described");
    }
    assert_eq!(schema["additionalProperties"], false);
}
