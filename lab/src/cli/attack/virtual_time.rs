//! Attacks by the thousand in virtual time, beside what theory says of them: `attack double-spend --sim` and `attack selfish-mining --sim`.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use serde::Serialize;
use synod_scenario::Watch;
use synod_scenario::attack::{Progress, double_spend, selfish, theory};
use synod_scenario::duel::Wait;
use synod_scenario::stats::Interval;

use super::strategies;
use crate::cli::context::Context;
use crate::cli::sim::{COMMIT, until_stopped};
use crate::error::LabError;
use crate::exit::Exit;
use crate::shell::{Shell, render, show_figure};
use synod_experiment::plot::{Plot, Point, Series};

/// What is common to attacks in virtual time.
#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct VirtualArgs {
    /// What all runs are drawn from
    #[arg(long, value_name = "N", default_value_t = 1, requires = "sim")]
    pub(super) seed: u64,
    /// Runs at a time [default: one for each core]
    #[arg(long, value_name = "N", requires = "sim", value_parser = clap::value_parser!(u16).range(1..=1_024))]
    jobs: Option<u16>,
    /// Write a plot, theory as lines
    #[arg(long, value_name = "FILE", requires = "sim")]
    pub(super) svg: Option<PathBuf>,
}

impl VirtualArgs {
    pub(super) fn jobs(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        self.jobs.map_or_else(cores, usize::from)
    }
}

/// `synod attack double-spend --sim`.
#[derive(Clone, Debug)]
pub(super) struct Duels {
    pub(super) shares: Vec<f64>,
    pub(super) confirmations: Vec<u64>,
    pub(super) delays: Vec<f64>,
    pub(super) in_hand: u64,
    pub(super) wait: Wait,
    pub(super) give_up: u64,
    pub(super) runs: u64,
    pub(super) runs_max: u64,
    pub(super) depth_svg: Option<PathBuf>,
    pub(super) common: VirtualArgs,
}

/// A report, and the program that made it.
#[derive(Serialize)]
pub(super) struct Told<R> {
    pub(super) attack: &'static str,
    pub(super) commit: &'static str,
    #[serde(flatten)]
    pub(super) report: R,
}

/// Watches over a grid: a bar, and a stop.
pub(super) fn watcher<'a>(shell: Shell, stop: &'a AtomicBool) -> impl FnMut(Progress) -> Watch + use<'a> {
    let mut bar = None;
    move |progress: Progress| {
        let bar = bar.get_or_insert_with(|| shell.bar(progress.runs));
        bar.set_position(progress.runs_done);
        bar.set_message(format!("{} of {} cells", progress.cells_done, progress.cells));
        if progress.runs_done == progress.runs {
            bar.finish_and_clear();
        }
        if stop.load(Ordering::Relaxed) { Watch::Stop } else { Watch::GoOn }
    }
}

pub(super) const fn exit(is_as_expected: bool, is_complete: bool) -> Exit {
    match (is_as_expected, is_complete) {
        (false, _) => Exit::Check,
        (true, false) => Exit::Interrupted,
        (true, true) => Exit::Ok,
    }
}

pub(super) fn draw(path: Option<&Path>, plot: &Plot) -> Result<(), LabError> {
    match path {
        Some(path) => crate::files::write(path, plot.svg().as_bytes()),
        None => Ok(()),
    }
}

pub(super) async fn duels(context: &Context, args: Duels) -> Result<Exit, LabError> {
    let grid = double_spend::Grid {
        shares: args.shares,
        confirmations: args.confirmations,
        delays: args.delays,
        in_hand: args.in_hand,
        wait: args.wait,
        behind_max: args.give_up,
        runs_min: args.runs,
        runs_max: args.runs_max.max(args.runs),
        seed: args.common.seed,
    };
    let (shell, common) = (context.shell, args.common);
    until_stopped(move |stop| {
        let report = grid.fight(common.jobs(), watcher(shell, stop));
        let report = report.map_err(|error| LabError::Usage { message: error.to_string() })?;
        draw(common.svg.as_deref(), &success_plot(&report))?;
        draw(args.depth_svg.as_deref(), &depths_plot(&report))?;
        let exit = exit(report.is_as_expected, report.is_complete);
        let told = Told { attack: "double-spend", commit: COMMIT, report };
        shell.result(&told, || duels_text(shell, &told.report));
        Ok(exit)
    })
    .await
}

pub(super) fn show(interval: &Interval) -> String {
    format!("{} to {}", show_figure(interval.low), show_figure(interval.high))
}

pub(super) const fn verdict(is_untested: bool, is_as_expected: bool) -> &'static str {
    match (is_untested, is_as_expected) {
        (true, _) => "untested",
        (false, true) => "as expected",
        (false, false) => "NOT AS EXPECTED",
    }
}

fn duels_text(shell: Shell, report: &double_spend::Report) -> String {
    let mut table = shell.table(&[
        "#SHARE",
        "#Z",
        "#DELAY",
        "#RUNS",
        "#WON",
        "#SUCCESS",
        "99 %",
        "#THEORY",
        "",
        "#DEPTH",
        "#BLOCKS LOST",
    ]);
    // Of one that was not begun when it was stopped there is nothing to say.
    for cell in report.cells.iter().filter(|cell| cell.runs > 0) {
        let verdict = verdict(cell.is_untested, cell.is_as_expected());
        table.add_row([
            cell.share.to_string(),
            cell.confirmations.to_string(),
            cell.delay.to_string(),
            cell.runs.to_string(),
            cell.successes.to_string(),
            show_figure(cell.success),
            show(&cell.interval),
            show_figure(cell.expected),
            verdict.to_owned(),
            cell.depth_mean.map_or_else(|| "-".to_owned(), show_figure),
            show_figure(cell.attacker_blocks_lost_mean),
        ]);
    }
    let end = match (report.is_complete, report.is_as_expected) {
        (false, _) => "Stopped before all was fought.",
        (true, _) if report.cells_tested == 0 => "No cell has a hundred successes to be expected: raise --runs-max.",
        (true, true) => "All tested cells are as theory says, with 99 % for all of them together.",
        (true, false) => "Not all tested cells are as theory says.",
    };
    format!("{}\n\n{} duels of two real replicas. {end}", render(&table), report.runs)
}

fn success_plot(report: &double_spend::Report) -> Plot {
    let (delays, numbers) = (report.grid.delays.len(), report.grid.confirmations.len());
    // The cells lie share by share, of each confirmations by confirmations, of each delay by delay.
    let kinds = (0..report.grid.shares.len()).flat_map(|share| (0..delays).map(move |delay| (share, delay)));
    let series = kinds.map(|(share, delay)| {
        let place = move |number: usize| (share * numbers + number) * delays + delay;
        let of_share = || (0..numbers).filter_map(move |number| report.cells.get(place(number)));
        let (share, delay) = (report.grid.shares[share], report.grid.delays[delay]);
        let points = of_share().filter(|cell| !cell.is_untested).map(|cell| Point {
            x: cell.confirmations as f64,
            y: cell.success,
            low: cell.interval.low,
            high: cell.interval.high,
        });
        let line = of_share().map(|cell| (cell.confirmations as f64, cell.expected));
        let name = if delay > 0.0 { format!("share {share}, delay {delay}") } else { format!("share {share}") };
        Series { name, points: points.collect(), line: line.collect() }
    });
    Plot {
        title: "Double spends: success over confirmations, theory as lines".into(),
        x: "confirmations z".into(),
        y: "probability of success".into(),
        is_log_x: false,
        is_log: true,
        series: series.collect(),
    }
}

fn depths_plot(report: &double_spend::Report) -> Plot {
    let cells = report.cells.iter().filter(|cell| cell.runs > 0 && cell.delay == 0.0);
    let series = cells.map(|cell| {
        let name = format!("share {}, z = {}", cell.share, cell.confirmations);
        strategies::depth_series(name, &report.depths(cell))
    });
    strategies::depth_plot("A branch mined in secret", series.collect())
}

pub(super) async fn selfish(context: &Context, grid: selfish::Grid, common: VirtualArgs) -> Result<Exit, LabError> {
    let shell = context.shell;
    until_stopped(move |stop| {
        let report = grid.mine(common.jobs(), watcher(shell, stop));
        let report = report.map_err(|error| LabError::Usage { message: error.to_string() })?;
        draw(common.svg.as_deref(), &revenue_plot(&report))?;
        let exit = exit(report.is_as_expected, report.is_complete);
        let told = Told { attack: "selfish-mining", commit: COMMIT, report };
        shell.result(&told, || selfish_text(shell, &told.report));
        Ok(exit)
    })
    .await
}

fn selfish_text(shell: Shell, report: &selfish::Report) -> String {
    let mut table =
        shell.table(&["#GAMMA", "#ALPHA", "#BLOCKS", "#REVENUE", "99 %", "#EQUATION 8", "", "PAYS", "#FROM"]);
    // Of one that was not begun when it was stopped there is nothing to say.
    for cell in report.cells.iter().filter(|cell| cell.runs > 0) {
        let verdict = if cell.is_as_expected() { "as expected" } else { "NOT AS EXPECTED" };
        let pays = match cell.gain {
            selfish::Gain::Less => "no",
            selfish::Gain::More => "yes",
            selfish::Gain::Undecided => "undecided",
        };
        table.add_row([
            cell.gamma.to_string(),
            show_figure(cell.alpha),
            (cell.pool_found + cell.others_found).to_string(),
            show_figure(cell.revenue),
            show(&cell.interval),
            show_figure(cell.expected),
            verdict.to_owned(),
            pays.to_owned(),
            show_figure(cell.threshold),
        ]);
    }
    let end = match (report.is_complete, report.is_as_expected) {
        (false, _) => "Stopped before all was mined.",
        (true, true) => "All cells are as equation 8 of Eyal and Sirer 2014 says, with 99 % for all of them together.",
        (true, false) => "Not all cells are as equation 8 says.",
    };
    format!("{}\n\n{end}", render(&table))
}

fn revenue_plot(report: &selfish::Report) -> Plot {
    // The cells lie γ by γ, of each α by α.
    let series = report.grid.gammas.iter().zip(report.cells.chunks(report.grid.alphas.len())).map(|(gamma, cells)| {
        let cells = cells.iter();
        let points = cells.map(|cell| Point {
            x: cell.alpha,
            y: cell.revenue,
            low: cell.interval.low,
            high: cell.interval.high,
        });
        let line = (0..=LINE_STEPS).map(|step| {
            let alpha = selfish::ALPHA_MAX * f64::from(step) / f64::from(LINE_STEPS);
            (alpha, theory::selfish_revenue(alpha, *gamma))
        });
        Series { name: format!("γ = {gamma}"), points: points.collect(), line: line.collect() }
    });
    let honest = Series { name: "honest".into(), points: Vec::new(), line: vec![(0.0, 0.0), (0.5, 0.5)] };
    Plot {
        title: "Selfish mining: the pool's share of revenue, equation 8 as lines".into(),
        x: "the pool's share of hash power α".into(),
        y: "its share of revenue".into(),
        is_log_x: false,
        is_log: false,
        series: series.chain([honest]).collect(),
    }
}

/// Points of a line of theory.
const LINE_STEPS: u32 = 98;
