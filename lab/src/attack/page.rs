//! An attack's report as one HTML page that needs nothing else.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Map, Value};

use super::report::{Evidence, Report, Run};
use crate::shell::{short, show_figure};

const STYLE: &str = "body{font:15px/1.45 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}\
table{border-collapse:collapse;margin:.5rem 0 1.5rem}td,th{border-bottom:1px solid #ccc;padding:.2rem .8rem;text-align:left}\
td.number,th.number{text-align:right}.undone{color:#b00020}.kept{color:#1b5e20}code{font-size:90%}";

/// The page.
pub fn page(report: &Report) -> String {
    let mut html = String::new();
    let title = format!("{}: {}", report.attack, report.strategy.name());
    let _ = write!(
        html,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{}</title><style>{STYLE}</style></head><body>",
        escape(&title)
    );
    let _ = write!(html, "<h1>{}</h1><p>{}</p>", escape(&title), escape(&summary(report)));
    html.push_str(&terms(report));
    for run in &report.runs {
        html.push_str(&attack(run));
    }
    html.push_str("</body></html>\n");
    html
}

/// The page of any other attack: what came of it in a sentence, and all that `--json` gives as tables.
pub fn page_of<T: Serialize>(attack: &str, sentence: &str, report: &T) -> String {
    let value = serde_json::to_value(report).expect("our own values are JSON");
    let (attack, sentence) = (escape(attack), escape(sentence));
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{attack}</title><style>{STYLE}</style></head>\
         <body><h1>{attack}</h1><p>{sentence}</p>{}</body></html>\n",
        shown(&value)
    )
}

/// A value as people read it: fields below each other, a list of things as a table with a column for each field.
fn shown(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let row = |(name, value): (&String, &Value)| format!("<tr><th>{}</th>{}</tr>", title(name), cell(value));
            format!("<table>{}</table>", fields.iter().map(row).collect::<String>())
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            let mut names: Vec<&String> = Vec::new();
            for name in items.iter().filter_map(Value::as_object).flat_map(Map::keys) {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
            let heads: String = names.iter().map(|name| format!("<th>{}</th>", title(name))).collect();
            let row = |item: &Value| {
                let cells = names.iter().map(|name| cell(item.get(name.as_str()).unwrap_or(&Value::Null)));
                format!("<tr>{}</tr>", cells.collect::<String>())
            };
            format!("<table><tr>{heads}</tr>{}</table>", items.iter().map(row).collect::<String>())
        }
        Value::Array(items) => items.iter().map(shown).collect::<Vec<_>>().join(", "),
        Value::Bool(is_so) => if *is_so { "yes" } else { "no" }.to_owned(),
        Value::Null => "–".to_owned(),
        Value::Number(number) => escape(&number.to_string()),
        Value::String(text) => escape(text),
    }
}

fn cell(value: &Value) -> String {
    let class = if value.is_number() { " class=\"number\"" } else { "" };
    format!("<td{class}>{}</td>", shown(value))
}

fn title(name: &str) -> String {
    escape(&name.replace('_', " "))
}

/// What came of it, in a sentence.
pub(crate) fn summary(report: &Report) -> String {
    let expected =
        report.expected.map_or_else(String::new, |expected| format!("; theory expects {}", show_figure(expected)));
    format!(
        "{} of {} attacks undid a payment for which the goods were handed over: probability {} to {} (95 %){expected}",
        report.undone,
        report.tried,
        show_figure(report.probability_low),
        show_figure(report.probability_high),
    )
}

fn terms(report: &Report) -> String {
    let terms = &report.terms;
    let rows = [
        ("network", format!("{} ({} peers, chain {})", report.dir, report.peers, short(&report.chain_id))),
        ("the attacker's share of the hash rate or stake", format!("{} %", show_figure(terms.share * 100.0))),
        (
            "peers that are the attacker's",
            match report.turned.as_slice() {
                [] => "a node of its own".to_owned(),
                turned => turned.join(", "),
            },
        ),
        ("confirmations at which the merchant hands over", terms.confirmations.to_string()),
        ("the attacker gives up", format!("{} blocks behind", terms.give_up)),
        ("lost by the merchant", format!("{} coins", report.lost)),
    ];
    let rows: String =
        rows.iter().map(|(name, value)| format!("<tr><th>{name}</th><td>{}</td></tr>", escape(value))).collect();
    format!("<table>{rows}</table>")
}

fn attack(run: &Run) -> String {
    let class = if run.outcome == super::Outcome::Undone { "undone" } else { "kept" };
    let mut html = format!(
        "<h2>Attack {}: <span class=\"{class}\">{}</span></h2><p>Payment <code>{}</code>, rival <code>{}</code>. \
         {} blocks taken back; {} blocks found in secret; {} hashes, {} J; {} messages of {} bytes; {} coins of stake lost.</p>",
        run.number,
        run.outcome.name(),
        run.payment,
        run.rival,
        run.reorganisation,
        run.costs.blocks,
        run.costs.hashes,
        show_figure(run.costs.joules),
        run.costs.messages,
        run.costs.bytes,
        run.costs.stake,
    );
    html.push_str("<table><tr><th class=\"number\">ms</th><th>what happened</th></tr>");
    for moment in &run.timeline {
        let _ = write!(html, "<tr><td class=\"number\">{}</td><td>{}</td></tr>", moment.at_ms, escape(&moment.what));
    }
    html.push_str("</table><table><tr><th>peer</th><th>payment</th><th>rival</th></tr>");
    for fate in &run.fates {
        let (payment, rival) = (fate.payment.name(), fate.rival.name());
        let _ = write!(html, "<tr><td>{}</td><td>{payment}</td><td>{rival}</td></tr>", escape(&fate.peer));
    }
    html.push_str("</table>");
    for Evidence { peer, kept, seen } in &run.evidence {
        let peer = escape(peer);
        let _ = write!(
            html,
            "<p>{peer} keeps as evidence that <code>{seen}</code> spends a coin of <code>{kept}</code>.</p>"
        );
    }
    html
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn whatever_a_report_has_is_on_its_page_and_no_text_of_it_is_markup() {
        let report = json!({
            "peer": "<b>peer1</b>",
            "lost_at": null,
            "colluders": ["peer1", "peer2"],
            "forked": true,
            "before": { "accepted": 7 },
            "timeline": [{ "at_ms": 3, "what": "it & they" }, { "at_ms": 4, "more": "x" }],
        });
        let page = page_of("nothing-at-stake", "Its stake is gone.", &report);
        for text in [
            "<h1>nothing-at-stake</h1><p>Its stake is gone.</p>",
            "<td>&lt;b&gt;peer1&lt;/b&gt;</td>",
            "<th>lost at</th><td>–</td>",
            "<td>peer1, peer2</td>",
            "<th>forked</th><td>yes</td>",
            "<table><tr><th>accepted</th><td class=\"number\">7</td></tr></table>",
            "<tr><th>at ms</th><th>what</th><th>more</th></tr><tr><td class=\"number\">3</td><td>it &amp; they</td><td>–</td></tr>",
        ] {
            assert!(page.contains(text), "{text}: {page}");
        }
    }
}
