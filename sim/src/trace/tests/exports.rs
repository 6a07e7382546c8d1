//! The record as ShiViz and Perfetto read it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::*;

#[test]
fn shiviz_is_given_hosts_clocks_and_events() {
    let mut world = recorded(setup(1, complete(2), "delay = '50 ms'"), Filter::default());
    tell(&mut world, 0, &[Act::Send(1, Note { number: 1, hops: 1, size: 10 })]);
    pass(&mut world, SECOND);
    let log = shiviz(record(&world), |peer| ["the \"miner\"", "seller"][peer.0 as usize].to_owned());
    let expected = r#"(?<host>\S*) (?<clock>{.*})\n(?<event>.*)

the_"miner" {"the_\"miner\"":1}
0.000000000s start
seller {"seller":1}
0.000000000s start
seller {"seller":2}
0.050000000s the "miner" is up
the_"miner" {"the_\"miner\"":2}
0.050000000s seller is up
the_"miner" {"the_\"miner\"":3}
1.000000000s command command: [Send(1, Note { number: 1, hops: 1, size: 10 })]
the_"miner" {"the_\"miner\"":4}
1.000000000s send ping to 1: Note { number: 1, hops: 1, size: 10 }
seller {"the_\"miner\"":4, "seller":3}
1.050000000s receive ping from the "miner": Note { number: 1, hops: 1, size: 10 }
seller {"the_\"miner\"":4, "seller":4}
1.050000000s send note to 1: Note { number: 1, hops: 0, size: 10 }
the_"miner" {"the_\"miner\"":5, "seller":4}
1.100000000s receive note from seller: Note { number: 1, hops: 0, size: 10 }
"#;
    assert_eq!(log, expected);
}

#[test]
fn a_peer_that_is_not_traced_is_no_host_and_what_goes_through_it_counts() {
    let peers = vec![PeerId(0), PeerId(2)];
    let mut world = recorded(setup(1, complete(3), "delay = '50 ms'"), Filter { peers, ..Filter::default() });
    tell(&mut world, 0, &[Act::Send(1, note(1))]);
    pass(&mut world, 100 * MILLI);
    tell(&mut world, 1, &[Act::Send(2, note(2))]);
    pass(&mut world, SECOND);
    let log = shiviz(record(&world), |peer| format!("{peer:?}"));
    let last: Vec<&str> = log.lines().rev().take(4).collect();
    let expected = [
        "1.150000000s receive note from p1: Note { number: 2, hops: 0, size: 100 }",
        r#"p2 {"p0":5, "p2":4}"#,
        "1.000000000s send note to 1: Note { number: 1, hops: 0, size: 100 }",
        r#"p0 {"p0":5}"#,
    ];
    assert_eq!(last, expected);
    assert!(!log.contains("\np1 "), "{log}");
}

fn events(world: &World<Bench>) -> Vec<Value> {
    let mut bytes = Vec::new();
    chrome(record(world), |peer| format!("{peer:?} \"\\"), &mut bytes).expect("there is room");
    let trace: Value = serde_json::from_slice(&bytes).expect("it is JSON");
    trace["traceEvents"].as_array().expect("a list of events").clone()
}

/// In whole nanoseconds, which are exact.
fn nanos(micros: &Value) -> u64 {
    (micros.as_f64().expect("a number") * 1_000.0).round() as u64
}

#[test]
fn perfetto_is_given_a_slice_for_each_happening_and_an_arrow_for_each_message() {
    let mut world = pair();
    tell(&mut world, 0, &[Act::Send(1, Note { number: 1, hops: 1, size: 10 })]);
    pass(&mut world, SECOND);
    let lines: Vec<String> = events(&world).iter().map(Value::to_string).collect();
    let expected = [
        r#"{"args":{"name":"world"},"name":"process_name","ph":"M","pid":1,"tid":0}"#,
        r#"{"args":{"name":"p0 \"\\"},"name":"thread_name","ph":"M","pid":1,"tid":2}"#,
        r#"{"args":{"sort_index":0},"name":"thread_sort_index","ph":"M","pid":1,"tid":2}"#,
        r#"{"args":{"name":"p1 \"\\"},"name":"thread_name","ph":"M","pid":1,"tid":3}"#,
        r#"{"args":{"sort_index":1},"name":"thread_sort_index","ph":"M","pid":1,"tid":3}"#,
        r#"{"args":{"lamport":1,"step":1},"cat":"life","dur":1.0,"name":"start","ph":"X","pid":1,"tid":2,"ts":0.0}"#,
    ];
    assert_eq!(lines[..6], expected);
    let text = r#""text":"Note { number: 1, hops: 1, size: 10 }""#;
    let received = [
        format!(
            r#"{{"args":{{"cause":6,"lamport":5,"step":7,{text}}},"cat":"message","dur":0.001,"name":"receive ping from p0 \"\\","ph":"X","pid":1,"tid":3,"ts":1050000.0}}"#
        ),
        r#"{"cat":"message","id":7,"name":"ping","ph":"s","pid":1,"tid":2,"ts":1000000.001}"#.to_owned(),
        r#"{"bp":"e","cat":"message","id":7,"name":"ping","ph":"f","pid":1,"tid":3,"ts":1050000.0}"#.to_owned(),
    ];
    assert_eq!(lines[11..14], received);
    assert_eq!(lines.len(), 5 + 9 + 2 * 2);
}

#[test]
fn every_arrow_has_two_ends_in_slices_of_their_own_and_no_two_slices_of_a_peer_overlap() {
    let links =
        "delay = '0 s'\njitter = { kind = 'uniform', least = '0 s', most = '1 ms' }\nloss = 0.1\nduplicate = 0.1";
    for peers in [vec![], vec![PeerId(1), PeerId(2)]] {
        let mut world = recorded(setup(3, complete(5), links), Filter { peers, ..Filter::default() });
        for peer in 0..5 {
            let acts: Vec<Act> =
                (0..30).map(|number| Act::Send((peer + number) % 5, Note { number, hops: 5, size: 9 })).collect();
            tell(&mut world, peer, &acts);
        }
        pass(&mut world, SECOND);
        let events = events(&world);
        let of = |phase: &str| -> Vec<&Value> { events.iter().filter(|event| event["ph"] == phase).collect() };
        let mut slices: BTreeMap<u64, Vec<(u64, u64, bool)>> = BTreeMap::new();
        for slice in of("X") {
            let begin = nanos(&slice["ts"]);
            let of_peer = slices.entry(slice["tid"].as_u64().expect("a number")).or_default();
            of_peer.push((begin, begin + nanos(&slice["dur"]), slice["cat"] == "message"));
        }
        for of_peer in slices.values() {
            assert!(of_peer.windows(2).all(|pair| pair[0].1 <= pair[1].0), "they follow each other");
        }
        let ends = |phase| -> BTreeMap<u64, &Value> {
            of(phase).into_iter().map(|arrow| (arrow["id"].as_u64().expect("a number"), arrow)).collect()
        };
        let (starts, finishes) = (ends("s"), ends("f"));
        assert_eq!(starts.len(), of("s").len(), "no id twice");
        assert_eq!(finishes.len(), of("f").len(), "no id twice");
        assert!(starts.keys().eq(finishes.keys()), "each start has its finish");
        assert!(starts.len() > 40, "{}", starts.len());
        for end in starts.values().chain(finishes.values()) {
            let (thread, at) = (end["tid"].as_u64().expect("a number"), nanos(&end["ts"]));
            let held =
                slices[&thread].iter().filter(|(begin, end, is_message)| *begin <= at && at < *end && *is_message);
            assert_eq!(held.count(), 1, "{end}");
        }
    }
}
