//! An attack's report as one HTML page that needs nothing else.

use std::fmt::Write as _;

use super::report::{Report, Run};
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
        ("the attacker's share of the hash rate", format!("{} %", terms.share * 100.0)),
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
         {} blocks taken back; {} blocks found in secret; {} hashes, {} J.</p>",
        run.number,
        run.outcome.name(),
        run.payment,
        run.rival,
        run.reorganisation,
        run.costs.blocks,
        run.costs.hashes,
        show_figure(run.costs.joules),
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
    html
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
