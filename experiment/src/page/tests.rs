//! That a page is whole, and that no text of a summary gets out of its place.

use std::collections::BTreeMap;

use super::page;
use crate::summary::{Axis, Better, Cell, Failure, Figure, Growth, Metric, Place, Summary};

/// What hostile names end with.
const HOSTILE: &str = "</script><img src=x onerror=alert(1)>&\"'\\\n{{";

/// Two axes, one of numbers, and two metrics, one of which is missing in a cell.
pub(crate) fn sample() -> Summary {
    named("")
}

/// The same with names that try to get out of their places.
pub(crate) fn hostile() -> Summary {
    named(HOSTILE)
}

fn named(suffix: &str) -> Summary {
    let name = |text: &str| format!("{text}{suffix}");
    let axis = |text: &str, values: &[&str]| Axis {
        name: name(text),
        values: values.iter().map(|value| name(value)).collect(),
    };
    // An axis's values are numbers only as they are.
    let peers = Axis { name: name("peers"), values: ["100", "1000"].map(String::from).to_vec() };
    let metric = |text: &str, unit: &str, better| Metric {
        name: name(text),
        unit: name(unit),
        about: name("what it is"),
        better,
    };
    let figure = |mean: f64| Figure { mean, low: mean - 0.5, high: mean + 0.5, runs: 4 };
    let mut cells = Vec::new();
    for (number, peers) in ["100", "1000"].into_iter().enumerate() {
        for (other, gossip) in ["mesh", "flood"].into_iter().enumerate() {
            let mean = 10.25 + 100.0 * number as f64 + other as f64;
            let mut figures = BTreeMap::from([(name("latency_ms"), figure(mean))]);
            if number == 0 || other == 0 {
                figures.insert(name("hops"), figure(mean / 8.0));
            }
            cells.push(Cell { values: vec![peers.into(), name(gossip)], runs: 4, failed: other as u32, figures });
        }
    }
    let growth = |exponent: f64, gossip: &str, theory| Growth {
        metric: name("latency_ms"),
        axis: name("peers"),
        at: vec![name(gossip)],
        exponent,
        low: exponent - 0.125,
        high: exponent + 0.125,
        theory,
    };
    Summary {
        name: name("sample"),
        about: name("Made-up figures"),
        place: Place::Simulated,
        repetitions: 5,
        doubt: 0.05,
        axes: vec![peers, axis("gossip", &["mesh", "flood"])],
        metrics: vec![metric("latency_ms", "ms", Better::Less), metric("hops", "", Better::Neither)],
        cells,
        growths: vec![growth(0.75, "mesh", Some(0.5)), growth(0.25, "flood", None)],
        failures: vec![Failure {
            cell: vec!["1000".into(), name("flood")],
            seed: u64::MAX,
            reason: name("it stood still"),
        }],
    }
}

fn of(summary: Summary) -> Vec<(String, Summary)> {
    vec![("one".into(), summary)]
}

/// What stands between two texts, the first time that they occur.
fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let (_, rest) = text.split_once(start).unwrap_or_else(|| panic!("the page has {start}"));
    rest.split_once(end).unwrap_or_else(|| panic!("the page has {end} after {start}")).0
}

fn table<'a>(html: &'a str, id: &str) -> &'a str {
    between(html, &format!("<table id=\"{id}\">"), "</table>")
}

fn data(html: &str) -> Vec<(String, Summary)> {
    let json = between(html, "<script type=\"application/json\" id=\"data\">", "</script>");
    assert!(!json.contains('<'), "nothing in the data can end its element or begin a comment");
    serde_json::from_str(json).expect("the data is JSON of summaries")
}

#[test]
fn every_mean_stands_in_the_table_with_its_interval() {
    let html = page(&of(sample()));
    let means = table(&html, "means");
    let rows = [
        (
            "<tr data-place=\"0 0\">",
            "100",
            "mesh",
            "4",
            "10.25 <small>[9.75, 10.75]</small>",
            "1.28 <small>[0.78, 1.78]</small>",
        ),
        (
            "<tr data-place=\"0 1\">",
            "100",
            "flood",
            "4 of 5",
            "11.25 <small>[10.75, 11.75]</small>",
            "1.41 <small>[0.91, 1.91]</small>",
        ),
        (
            "<tr data-place=\"1 0\">",
            "1000",
            "mesh",
            "4",
            "110.25 <small>[109.75, 110.75]</small>",
            "13.78 <small>[13.28, 14.28]</small>",
        ),
        ("<tr data-place=\"1 1\">", "1000", "flood", "4 of 5", "111.25 <small>[110.75, 111.75]</small>", "–"),
    ];
    assert_eq!(means.matches("<tr data-place").count(), rows.len());
    for (start, peers, gossip, runs, latency, hops) in rows {
        let row = between(means, start, "</tr>");
        let mut rest = row;
        for shown in [peers, gossip, runs, latency, hops] {
            let (_, after) =
                rest.split_once(&format!(">{shown}</t")).unwrap_or_else(|| panic!("{row} has {shown} in its order"));
            rest = after;
        }
    }
    for cell in &sample().cells {
        for figure in cell.figures.values() {
            assert!(means.contains(&format!("data-value=\"{}\"", figure.mean)));
        }
    }
    assert!(means.contains("latency_ms <small>ms, less is better</small>"));
}

#[test]
fn the_page_carries_the_summaries_as_they_are() {
    for summaries in [vec![], of(sample()), of(hostile()), vec![(HOSTILE.into(), sample()), ("two".into(), hostile())]]
    {
        assert_eq!(data(&page(&summaries)), summaries);
    }
}

#[test]
fn hostile_names_are_text_wherever_they_stand() {
    let summaries = vec![(format!("run{HOSTILE}"), hostile()), ("two".into(), hostile())];
    let html = page(&summaries);
    assert!(!html.contains("<img"), "no name becomes an element");
    assert_eq!(html.matches("</script>").count(), 3, "no name ends a script: one of data, the plot's and ours");
    let shown = "&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;&amp;&quot;&#39;\\\n{{";
    for name in ["run", "sample", "Made-up figures", "latency_ms", "ms", "what it is", "mesh", "it stood still"] {
        assert!(html.contains(&format!("{name}{shown}")), "{name} is shown");
    }
}

#[test]
fn nothing_is_loaded_from_elsewhere() {
    let html = page(&of(sample()));
    // Ours and the plot's scripts are looked at for what asks a network, the rest for what names an address.
    for script in [super::SCRIPT, super::PLOT_SCRIPT] {
        for call in ["fetch(", "XMLHttpRequest", "import(", "WebSocket", "sendBeacon", ".src=", ".src =", "new Image"] {
            assert!(!script.contains(call), "a script has {call}");
        }
    }
    for style in [super::STYLE, super::PLOT_STYLE] {
        assert!(!style.contains("url("));
        assert!(!style.contains("@import"));
    }
    let markup = html.replace(super::PLOT_SCRIPT, "").replace(super::SCRIPT, "");
    for address in ["src=", "href=", "http://", "https://", "<link", "<iframe"] {
        assert!(!markup.contains(address), "the page has {address}");
    }
    assert!(html.contains("content=\"default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'\""));
}

#[test]
fn the_plots_licence_comes_with_it() {
    let html = page(&of(sample()));
    assert!(html.contains("Copyright (c) 2022 Leon Sorokin"));
    assert!(!super::PLOT_LICENCE.contains("*/"), "the licence stands in a comment");
    for script in [super::PLOT_SCRIPT, super::SCRIPT] {
        assert!(!script.contains("</script"), "a script does not end itself");
        assert!(!script.contains("<!--"), "a script begins no comment of HTML");
    }
}

#[test]
fn runs_stand_side_by_side_also_where_their_axes_differ() {
    let mut other = sample();
    other.place = Place::Real;
    other.repetitions = 1;
    other.axes[0].values.push("50".into());
    other.axes.push(Axis { name: "links".into(), values: vec!["slow".into()] });
    for cell in &mut other.cells {
        cell.values.push("slow".into());
    }
    other.cells.truncate(1);
    other.growths.clear();
    let html = page(&[("simulated".into(), sample()), ("real".into(), other)]);
    let means = table(&html, "means");
    assert!(means.contains("<th scope=\"colgroup\" colspan=\"2\" data-metric=\"0\""));
    assert!(means.contains("<th scope=\"col\" data-metric=\"1\" data-run=\"1\">real</th>"));
    // The first run has no links, so its cells are others than the second's.
    let own = between(means, "<tr data-place=\"0 0 -1\">", "</tr>");
    assert!(own.contains("<td class=\"none\" data-metric=\"0\" data-run=\"1\">–</td>"));
    let theirs = between(means, "<tr data-place=\"0 0 0\">", "</tr>");
    assert!(theirs.contains("<td data-metric=\"0\" data-run=\"1\" data-value=\"10.25\""));
    assert!(table(&html, "runs").contains("<td>as processes of one machine</td>"));
    assert!(!html.contains("Each was run"), "they were run so often by different numbers");
}

#[test]
fn growths_stand_beside_theory() {
    let html = page(&of(sample()));
    let growths = table(&html, "growths");
    assert!(growths.contains("<td>gossip = mesh</td><td data-value=\"0.75\">0.75 <small>[0.62, 0.88]</small></td>"));
    assert!(growths.contains("<td data-value=\"0.5\">0.5000</td><td>above</td>"));
    let mut counted = sample();
    counted.growths[0] =
        Growth { exponent: 0.5, low: 0.5, high: 0.5, theory: Some(0.5 - 1e-15), ..counted.growths[0].clone() };
    assert!(page(&of(counted)).contains("<td>as theory says</td>"), "how floats are rounded is no difference");
    assert!(growths.contains("[0.12, 0.38]</small></td><td class=\"none\">–</td><td class=\"none\">–</td>"));
}

#[test]
fn failures_stand_with_their_seeds_and_reasons() {
    let html = page(&of(sample()));
    let failures = table(&html, "failures");
    assert!(
        failures.contains("<td data-value=\"18446744073709551615\">18446744073709551615</td><td>it stood still</td>")
    );
    let none = Summary { failures: Vec::new(), ..sample() };
    assert!(page(&of(none)).contains("<p>No run failed.</p>"));
}

#[test]
fn a_page_of_nothing_says_so() {
    let html = page(&[]);
    assert!(html.contains("<h1>No runs</h1>"));
    assert!(html.contains("<p>There are no cells.</p>"));
}
