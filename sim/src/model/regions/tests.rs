use super::*;

/// Three regions with round numbers, which nobody measured.
pub(in crate::model) const THREE: &str = r#"
name = "three"
source = "made up"
latency-is = "one-way"
latency-ms = [[10, 100, 200], [100, 20, 300], [200, 300, 30.5]]
jitter = { kind = "exponential", mean = "5 ms" }

[[regions]]
name = "north"
share = 0.5
upload = "8 Mbit/s"
download = "80 Mbit/s"

[[regions]]
name = "south"
share = 0.3
upload = "4 Mbit/s"
download = "40 Mbit/s"

[[regions]]
name = "east"
share = 0.2
upload = "2 Mbit/s"
download = "20 Mbit/s"
"#;

fn three() -> Regions {
    Regions::parse(THREE).expect("the text is right")
}

fn counts(regions: &Regions, peers: u32, seed: u64) -> Vec<usize> {
    let assigned = regions.assign(peers, &mut Rng::new(seed, 0, "regions"));
    (0..regions.regions.len()).map(|place| assigned.iter().filter(|&&of| usize::from(of) == place).count()).collect()
}

#[test]
fn a_data_file_is_read_and_written_back() {
    let regions = three();
    assert_eq!(regions.regions[1].name, "south");
    assert_eq!(regions.regions[1].upload.bytes_per_sec(), 500_000);
    let text = toml::to_string(&regions).expect("regions can be written");
    assert_eq!(Regions::parse(&text), Ok(regions));
}

#[test]
fn half_a_round_trip_is_one_way() {
    let mut regions = three();
    assert_eq!(regions.mean_latency(0, 1), Span::from_millis(100));
    assert_eq!(regions.mean_latency(2, 2), Span::from_nanos(30_500_000));
    regions.latency_is = LatencyIs::RoundTrip;
    assert_eq!(regions.mean_latency(0, 1), Span::from_millis(50));
}

#[test]
fn regions_have_their_shares_of_the_peers_exactly() {
    assert_eq!(counts(&three(), 10_000, 1), [5_000, 3_000, 2_000]);
    // Quotas 3.5, 2.1 and 1.4: the largest remainder takes the one that is left.
    assert_eq!(counts(&three(), 7, 1), [4, 2, 1]);
    assert_eq!(counts(&three(), 1, 1), [1, 0, 0]);
    assert_eq!(counts(&three(), 0, 1), [0, 0, 0]);
    for peers in 0..500 {
        assert_eq!(counts(&three(), peers, 1).iter().sum::<usize>(), peers as usize);
    }
}

#[test]
fn shares_that_were_rounded_are_taken_for_parts_of_their_sum() {
    let mut regions = three();
    regions.regions[0].share = 0.4991;
    assert_eq!(regions.check(), Ok(()));
    assert_eq!(counts(&regions, 1_000_000, 1), [499_550, 300_270, 200_180]);
}

#[test]
fn who_is_where_is_random_and_repeats_by_the_seed() {
    let assign = |seed| three().assign(100, &mut Rng::new(seed, 0, "regions"));
    assert_eq!(assign(1), assign(1));
    assert_ne!(assign(1), assign(2));
    assert!(!assign(1).is_sorted(), "regions are mixed");
}

#[test]
fn what_is_wrong_in_a_data_file_is_named() {
    let mistakes = [
        ("share = 0.5", "share = 0.4", "share: expected shares of all regions that add up to 1, got 0.9000"),
        ("share = 0.5", "share = 1.5", "north.share: expected a number from 0 to 1, got 1.5"),
        (
            "[[10, 100, 200]",
            "[[10, 100]",
            "latency-ms: expected 3 rows of 3 numbers, one for each region, got rows of [2, 3, 3]",
        ),
        ("[[10, 100, 200]", "[[10, 101, 200]", "latency-ms[0][1]: expected 100, as in the other direction, got 101"),
        ("[[10,", "[[-1,", "latency-ms[0][0]: expected from 0 to 60000, got -1"),
        ("[[10,", "[[nan,", "latency-ms[0][0]: expected from 0 to 60000, got NaN"),
        ("mean = \"5 ms\"", "mean = \"0 ms\"", "jitter.mean: expected a duration above 0, got 0s"),
    ];
    for (right, wrong, message) in mistakes {
        let text = THREE.replacen(right, wrong, 1);
        assert_eq!(Regions::parse(&text).map_err(|error| error.to_string()), Err(message.to_owned()));
    }
    let unknown = Regions::parse(&THREE.replacen("source", "sauce", 1)).map_err(|error| error.to_string());
    assert!(unknown.is_err_and(|message| message.contains("unknown field `sauce`")));
    let none = Regions { regions: vec![], latency_ms: vec![], ..three() };
    let message = "regions: expected from 1 to 255 of them, got 0";
    assert_eq!(none.check().map_err(|error| error.to_string()), Err(message.to_owned()));
}

#[test]
fn every_region_that_is_built_in_is_right_and_goes_by_its_name() {
    assert_eq!(Regions::builtin_names().collect::<Vec<_>>(), ["bitcoin"]);
    for name in Regions::builtin_names() {
        let regions = Regions::builtin(name).expect("its name is listed");
        assert_eq!(regions.check(), Ok(()));
        assert_eq!(regions.name, name);
    }
    assert_eq!(Regions::builtin("dogecoin"), None);
}

#[test]
fn bitcoins_peers_are_where_they_were_counted() {
    let bitcoin = Regions::builtin("bitcoin").expect("it is built in");
    let names: Vec<_> = bitcoin.regions.iter().map(|region| region.name.as_str()).collect();
    assert_eq!(names, ["europe", "north-america", "asia", "oceania", "south-america"]);
    let sum: f64 = bitcoin.regions.iter().map(|region| region.share).sum();
    assert!((sum - 1.0).abs() < 1e-9, "shares add up to {sum}");
    // Bitnodes's counts: with as many peers as were counted, each region has its own again, but for the rounding of shares.
    assert_eq!(counts(&bitcoin, 7_670, 1), [4_272, 2_544, 567, 156, 131]);
}

#[test]
fn bitcoins_latencies_are_round_trips_and_the_same_both_ways() {
    let bitcoin = Regions::builtin("bitcoin").expect("it is built in");
    assert_eq!(bitcoin.latency_is, LatencyIs::RoundTrip);
    for from in 0..5 {
        for to in 0..5 {
            assert_eq!(bitcoin.mean_latency(from, to), bitcoin.mean_latency(to, from));
            // No message takes so little that its jitter is longer than its way.
            assert!(bitcoin.mean_latency(from, to) >= Span::from_millis(9), "from {from} to {to}");
        }
    }
    // Europe to North America: 119.3 ms there and back.
    assert_eq!(bitcoin.mean_latency(0, 1), Span::from_nanos(59_650_000));
}
