//! What is said of runs: a report of one, a table of several, JSON of either, and two lines for each that failed.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use synod_scenario::{Broken, Outcome};

use super::COMMIT;
use super::file::ScenarioFile;
use crate::shell::{Shell, render};
use crate::units::{show_count, show_duration};

/// A run, told.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Report {
    /// The scenario's file.
    pub(super) file: String,
    /// The seed.
    pub(super) seed: u64,
    /// The commit that the program was built from.
    pub(super) commit: &'static str,
    /// Whether it was ended by a signal.
    pub(super) interrupted: bool,
    /// What did not hold.
    pub(super) failed: Option<Failed>,
    /// What was seen; nothing, if it failed before it began.
    pub(super) outcome: Option<Outcome>,
}

/// What did not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Failed {
    /// Steps of all peers before.
    pub(super) step: u64,
    /// The virtual time, in seconds, to the nanosecond.
    pub(super) time: String,
    /// Why, on one line.
    pub(super) reason: String,
    /// The line that runs it again.
    pub(super) replay: String,
}

impl Report {
    pub(super) fn of(file: &ScenarioFile, outcome: Outcome, broken: Option<Broken>, interrupted: bool) -> Self {
        let seed = outcome.seed;
        let failed = broken.map(|broken| Failed::of(file, seed, &broken));
        let file = file.path.display().to_string();
        Self { file, seed, commit: COMMIT, interrupted, failed, outcome: Some(outcome) }
    }

    /// Of a run that broke when it was made.
    pub(super) fn before(file: &ScenarioFile, seed: u64, broken: Broken) -> Self {
        let failed = Some(Failed::of(file, seed, &broken));
        let file = file.path.display().to_string();
        Self { file, seed, commit: COMMIT, interrupted: false, failed, outcome: None }
    }

    pub(super) fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("our own values are JSON")
    }

    /// The two lines that a failure ends with, which other programs look for.
    pub(super) fn failure(&self) -> Option<String> {
        let Self { file, seed, commit, .. } = self;
        let Failed { step, time, reason, replay } = self.failed.as_ref()?;
        Some(format!(
            "FAILED scenario={file} seed={seed} commit={commit} step={step} time={time}: {reason}\nreplay: {replay}"
        ))
    }
}

impl Failed {
    pub(super) fn of(file: &ScenarioFile, seed: u64, broken: &Broken) -> Self {
        let lines: Vec<&str> = broken.reason.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let (step, time) = (broken.step, broken.at.to_string());
        Self { step, time, reason: lines.join("; "), replay: file.replay(seed) }
    }
}

/// Prints runs: one by itself, several as a table in the order of seeds.
pub(super) fn print(shell: Shell, runs: &[Report], is_single: bool) {
    if shell.json {
        match runs {
            [run] if is_single => shell.print(&run.json()),
            runs => shell.print(&serde_json::to_string_pretty(runs).expect("our own values are JSON")),
        }
        return;
    }
    match runs {
        [] => shell.print("interrupted before a run was done"),
        [Report { outcome: Some(outcome), .. }] if is_single => shell.print(&single(shell, outcome)),
        runs => shell.print(&table(shell, runs)),
    }
    for failure in runs.iter().filter_map(Report::failure) {
        shell.print(&failure);
    }
}

/// One run.
pub(super) fn single(shell: Shell, outcome: &Outcome) -> String {
    let Outcome { chain, spread, payments, cost, .. } = outcome;
    let mut lines = vec![
        format!("scenario   {}, seed {}, {} peers", outcome.scenario, outcome.seed, outcome.peers),
        format!("ended      {} at {}", outcome.ended, span(outcome.virtual_seconds)),
        format!("trace      {}", outcome.trace_hash),
        String::new(),
        format!("chain      height {}, {} blocks found", chain.height, chain.found),
        format!(
            "forks      {} stale ({}), {} of heights forked",
            chain.stale,
            percent(chain.stale_rate),
            percent(chain.fork_rate)
        ),
        format!("           taken back at a time: {}", counts(&chain.reorganisations, "never")),
        format!("intervals  {} on average", span(chain.interval_mean_seconds)),
        format!("blocks     {} bytes on average", show_count(chain.block_bytes_mean)),
        format!("payments   {} acknowledged, {} confirmed", payments.acknowledged, payments.confirmed),
        format!("           refused: {}", counts(&payments.refused, "none")),
        format!("           double spends seen: {}", payments.conflicts_seen),
        format!("rejects    {}", counts(&outcome.rejects, "none")),
        format!("lost       {} messages", outcome.messages_lost),
        String::new(),
    ];
    let mut delays = shell.table(&["SPREAD (s)", "#MEAN", "#P50", "#P90", "#P99", "#MAX"]);
    let delay = |share: &str| spread.delay_percentiles.get(share).map_or_else(String::new, |secs| format!("{secs:.3}"));
    let mean = format!("{:.3}", spread.delay_mean);
    delays.add_row(["to a peer".to_owned(), mean, delay("50"), delay("90"), delay("99"), delay("100")]);
    lines.push(render(&delays));
    let reaches = spread.reach_mean.iter();
    let mut reaches: Vec<(u32, f64)> = reaches.filter_map(|(share, secs)| Some((share.parse().ok()?, *secs))).collect();
    reaches.sort_by_key(|(share, _)| *share);
    let reaches = reaches.iter().map(|(share, secs)| format!("{share} % after {secs:.3}"));
    lines.push(format!("of all peers, on average: {}", reaches.collect::<Vec<_>>().join(", ")));
    lines.push(String::new());
    lines.extend(stakes(shell, outcome));
    let mut messages = shell.table(&["MESSAGE", "#SENT", "#BYTES", "#PER BLOCK AND PEER"]);
    for kind in &outcome.messages {
        let (sent, bytes) = (show_count(kind.messages as f64), show_count(kind.bytes as f64));
        messages.add_row([kind.kind.to_owned(), sent, bytes, format!("{:.3}", kind.per_node_block)]);
    }
    lines.extend([render(&messages), String::new()]);
    let rate = |count: u64, per_second: f64| format!("{} ({}/s)", show_count(count as f64), show_count(per_second));
    let memory = cost.memory_peak_bytes.map_or_else(|| "unknown".to_owned(), |bytes| format!("{} MiB", bytes >> 20));
    lines.extend([
        format!("took       {:.2} s, memory at its peak {memory}", cost.wall_seconds),
        format!("events     {}", rate(cost.events, cost.events_per_second)),
        format!("delivered  {}", rate(cost.delivered, cost.delivered_per_second)),
        format!("blocks     {} of all peers", rate(cost.node_blocks, cost.node_blocks_per_second)),
    ]);
    lines.join("\n")
}

/// Who has a stake, if anybody has, and what it brought.
fn stakes(shell: Shell, outcome: &Outcome) -> Vec<String> {
    if outcome.stakes.is_empty() {
        return Vec::new();
    }
    let mut table = shell.table(&["WALLET OF PEER", "#STAKE", "#BLOCKS", "#SHARE", "#MADE", "LOST"]);
    for wallet in &outcome.stakes {
        let lost = wallet.lost_at.map_or("-".to_owned(), |height| format!("at height {height}"));
        let (stake, share) = (percent(wallet.stake_share), percent(wallet.block_share));
        table.add_row([
            wallet.peer.to_string(),
            stake,
            wallet.blocks.to_string(),
            share,
            wallet.found.to_string(),
            lost,
        ]);
    }
    vec![render(&table), String::new()]
}

/// Several runs, and what they have in common.
fn table(shell: Shell, runs: &[Report]) -> String {
    let heads =
        ["#SEED", "TRACE", "#HEIGHT", "#STALE", "#P50 (s)", "#P90 (s)", "#PAID", "#TOOK (s)", "#BLOCKS/S", "ENDED"];
    let mut table = shell.table(&heads);
    for run in runs {
        let Some(outcome) = &run.outcome else {
            table.add_row([run.seed.to_string()]);
            continue;
        };
        let delay = |share: &str| {
            outcome.spread.delay_percentiles.get(share).map_or_else(String::new, |secs| format!("{secs:.3}"))
        };
        table.add_row([
            outcome.seed.to_string(),
            outcome.trace_hash.clone(),
            outcome.chain.height.to_string(),
            percent(outcome.chain.stale_rate),
            delay("50"),
            delay("90"),
            outcome.payments.confirmed.to_string(),
            format!("{:.2}", outcome.cost.wall_seconds),
            show_count(outcome.cost.node_blocks_per_second),
            if run.failed.is_some() { "FAILED".to_owned() } else { outcome.ended.clone() },
        ]);
    }
    let failed = runs.iter().filter(|run| run.failed.is_some()).count();
    let stale = mean(runs.iter().filter_map(|run| Some(run.outcome.as_ref()?.chain.stale_rate)));
    let delay = mean(runs.iter().filter_map(|run| Some(run.outcome.as_ref()?.spread.delay_mean)));
    let summary =
        format!("{} runs, {failed} failed; on average {} stale, {delay:.3} s to a peer", runs.len(), percent(stale));
    format!("{}\n\n{summary}", render(&table))
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (count, sum) = values.fold((0_u32, 0.0), |(count, sum), value| (count + 1, sum + value));
    if count == 0 { 0.0 } else { sum / f64::from(count) }
}

fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

fn span(seconds: f64) -> String {
    show_duration(Duration::from_secs_f64(seconds))
}

fn counts<T: ToString>(counts: &BTreeMap<T, u64>, none: &str) -> String {
    if counts.is_empty() {
        return none.to_owned();
    }
    counts.iter().map(|(what, count)| format!("{} ({count} times)", what.to_string())).collect::<Vec<_>>().join(", ")
}
