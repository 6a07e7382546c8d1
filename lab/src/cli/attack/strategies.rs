//! Double spends that owe their success to where the merchant stands, and how deep a split is taken back, in virtual time beside what
//! theory says: `attack double-spend --sim --strategy eclipse`, `race`, `vector76` and `partition`, and `majority --stake`.

use synod_experiment::plot::{Plot, Point, Series};
use synod_scenario::attack::depth::{self, Depth};
use synod_scenario::attack::stake;
use synod_scenario::attack::strategy::{Cell, Grid, Report, Strategy};
use synod_scenario::attack::theory;

use super::DoubleSpendArgs;
use super::virtual_time::{Told, draw, exit, show, verdict, watcher};
use crate::cli::context::Context;
use crate::cli::sim::{COMMIT, until_stopped};
use crate::error::LabError;
use crate::exit::Exit;
use crate::shell::{Shell, render, show_figure};

/// Refuses options that say nothing about a strategy.
pub(super) fn refuse(args: &DoubleSpendArgs, options: &[(&str, bool)]) -> Result<(), LabError> {
    match options.iter().find(|(_, is_given)| *is_given) {
        None => Ok(()),
        Some((option, _)) => {
            let message = format!("{option} says nothing about --strategy {} in virtual time", args.strategy.name());
            Err(LabError::Usage { message })
        }
    }
}

fn or_usual<T: Clone>(given: &[T], usual: Vec<T>) -> Vec<T> {
    if given.is_empty() { usual } else { given.to_vec() }
}

pub(super) async fn play(context: &Context, strategy: Strategy, args: DoubleSpendArgs) -> Result<Exit, LabError> {
    let others = [
        ("--in-hand", args.in_hand.is_some()),
        ("--held", args.held),
        ("--give-up", args.give_up.is_some()),
        ("--depth-svg", args.depth_svg.is_some()),
        ("--span", strategy != Strategy::Eclipse && !args.span.is_empty()),
        ("--delay", strategy != Strategy::Race && !args.delay.is_empty()),
    ];
    refuse(&args, &others)?;
    let usual = Grid::of(strategy);
    let runs_min = args.tries.unwrap_or(usual.runs_min);
    let grid = Grid {
        strategy,
        shares: or_usual(&args.share, usual.shares),
        merchant_shares: or_usual(&args.merchant_share, usual.merchant_shares),
        confirmations: or_usual(&args.confirmations, usual.confirmations),
        spans: or_usual(&args.span, usual.spans),
        delays: or_usual(&args.delay, usual.delays),
        runs_min,
        runs_max: args.runs_max.unwrap_or(usual.runs_max).max(runs_min),
        seed: args.virtual_time.seed,
    };
    let (shell, common) = (context.shell, args.virtual_time);
    until_stopped(move |stop| {
        let report = grid.play(common.jobs(), watcher(shell, stop));
        let report = report.map_err(|error| LabError::Usage { message: error.to_string() })?;
        draw(common.svg.as_deref(), &plot(&report))?;
        let exit = exit(report.is_as_expected, report.is_complete);
        let told = Told { attack: "double-spend", commit: COMMIT, report };
        shell.result(&told, || text(shell, &told.report));
        Ok(exit)
    })
    .await
}

fn text(shell: Shell, report: &Report) -> String {
    let heads = [
        "#SHARE",
        "#MERCHANT'S",
        "#Z",
        "#SPAN",
        "#DELAY",
        "#RUNS",
        "#DELIVERED",
        "#WON",
        "#SUCCESS",
        "99 %",
        "#THEORY",
        "",
        "#MAJORITY",
    ];
    let mut table = shell.table(&heads);
    // Of one that was not begun when it was stopped there is nothing to say.
    for cell in report.cells.iter().filter(|cell| cell.runs > 0) {
        table.add_row([
            cell.share.to_string(),
            cell.merchant_share.to_string(),
            cell.confirmations.to_string(),
            cell.span.to_string(),
            cell.delay.to_string(),
            cell.runs.to_string(),
            cell.delivered.to_string(),
            cell.successes.to_string(),
            show_figure(cell.success),
            show(&cell.interval),
            cell.expected.map_or_else(|| "-".to_owned(), show_figure),
            verdict(cell.is_untested, cell.is_as_expected()).to_owned(),
            show_figure(cell.expected_of_majority),
        ]);
    }
    let end = match (report.is_complete, report.is_as_expected) {
        (false, _) => "Stopped before all was played.",
        (true, _) if report.cells_tested == 0 => "No cell has a closed form and a hundred successes to be expected.",
        (true, true) => "All tested cells are as theory says, with 99 % for all of them together.",
        (true, false) => "Not all tested cells are as theory says.",
    };
    let name = report.grid.strategy.name();
    format!("{}\n\n{} attacks of real replicas by {name}. {end}", render(&table), report.runs)
}

/// Each once, in the order in which they come.
fn distinct<T: PartialEq>(all: impl Iterator<Item = T>) -> Vec<T> {
    let mut once = Vec::new();
    for one in all {
        if !once.contains(&one) {
            once.push(one);
        }
    }
    once
}

/// What two cells share that stand on one line.
type Line = (f64, f64, u64, f64);

fn plot(report: &Report) -> Plot {
    let is_eclipse = report.grid.strategy == Strategy::Eclipse;
    let line_of = |cell: &Cell| -> Line {
        // Over spans a line is of one number of confirmations, else over these.
        let confirmations = if is_eclipse { cell.confirmations } else { 0 };
        (cell.share, cell.merchant_share, confirmations, cell.delay)
    };
    let series = distinct(report.cells.iter().map(line_of)).into_iter().map(|line| {
        let cells: Vec<&Cell> = report.cells.iter().filter(|cell| line_of(cell) == line).collect();
        let at = |cell: &Cell| if is_eclipse { cell.span } else { cell.confirmations as f64 };
        let points = cells.iter().filter(|cell| cell.runs > 0).map(|cell| Point {
            x: at(cell),
            y: cell.success,
            low: cell.interval.low,
            high: cell.interval.high,
        });
        let theory = match is_eclipse {
            true => smooth(&report.grid, line),
            false => cells.iter().filter_map(|cell| Some((at(cell), cell.expected?))).collect(),
        };
        Series { name: name(report, line), points: points.collect(), line: theory }
    });
    let (over, x) =
        if is_eclipse { ("how long it lasts", "block times") } else { ("confirmations", "confirmations z") };
    Plot {
        title: format!("Double spends by {}: success over {over}, theory as lines", report.grid.strategy.name()),
        x: x.into(),
        y: "probability of success".into(),
        is_log_x: is_eclipse,
        is_log: !is_eclipse,
        series: series.collect(),
    }
}

fn name(report: &Report, (share, merchant, confirmations, delay): Line) -> String {
    let mut name = format!("share {share}");
    if report.grid.merchant_shares.len() > 1 {
        name += &format!(", merchant's {merchant}");
    }
    if report.grid.strategy == Strategy::Eclipse {
        name += &format!(", z = {confirmations}");
    }
    if report.grid.delays.len() > 1 {
        name += &format!(", delay {delay}");
    }
    name
}

/// Theory between the spans too.
fn smooth(grid: &Grid, (share, merchant, confirmations, _): Line) -> Vec<(f64, f64)> {
    let least = grid.spans.iter().copied().fold(f64::INFINITY, f64::min);
    let most = grid.spans.iter().copied().fold(0.0, f64::max);
    let steps = (0..=LINE_STEPS).map(|step| least * (most / least).powf(f64::from(step) / f64::from(LINE_STEPS)));
    steps.map(|span| (span, theory::eclipse(share, merchant * (1.0 - share), confirmations, span))).collect()
}

/// Points of a line of theory.
const LINE_STEPS: u32 = 60;

pub(super) async fn split(context: &Context, args: DoubleSpendArgs) -> Result<Exit, LabError> {
    let others = [
        ("--in-hand", args.in_hand.is_some()),
        ("--held", args.held),
        ("--give-up", args.give_up.is_some()),
        ("--depth-svg", args.depth_svg.is_some()),
        ("--delay", !args.delay.is_empty()),
        ("--merchant-share", !args.merchant_share.is_empty()),
        ("--confirmations", !args.confirmations.is_empty()),
        ("--runs-max", args.runs_max.is_some()),
    ];
    refuse(&args, &others)?;
    let usual = depth::Grid::default();
    let grid = depth::Grid {
        shares: or_usual(&args.share, usual.shares),
        spans: or_usual(&args.span, usual.spans),
        runs: args.tries.unwrap_or(usual.runs),
        seed: args.virtual_time.seed,
    };
    let (shell, common) = (context.shell, args.virtual_time);
    until_stopped(move |stop| {
        let report = grid.play(common.jobs(), watcher(shell, stop));
        let report = report.map_err(|error| LabError::Usage { message: error.to_string() })?;
        let series = report.cells.iter().map(|cell| {
            let name = format!("share {}, {} block times", cell.share, cell.span);
            depth_series(name, &cell.depths)
        });
        draw(common.svg.as_deref(), &depth_plot("A split of the network", series.collect()))?;
        let exit = exit(report.is_as_expected, report.is_complete);
        let told = Told { attack: "double-spend", commit: COMMIT, report };
        shell.result(&told, || split_text(shell, &told.report));
        Ok(exit)
    })
    .await
}

fn split_text(shell: Shell, report: &depth::Report) -> String {
    let heads = ["#SHARE", "#SPAN", "#RUNS", "#DEPTH", "#SO DEEP", "#PROBABILITY", "99 %", "#THEORY", ""];
    let mut table = shell.table(&heads);
    for cell in report.cells.iter().filter(|cell| cell.runs > 0) {
        for depth in cell.depths.iter().filter(|depth| !depth.is_untested) {
            table.add_row([
                cell.share.to_string(),
                cell.span.to_string(),
                cell.runs.to_string(),
                depth.depth.to_string(),
                depth.runs.to_string(),
                show_figure(depth.probability),
                show(&depth.interval),
                show_figure(depth.expected),
                verdict(false, depth.is_as_expected()).to_owned(),
            ]);
        }
    }
    let end = match (report.is_complete, report.is_as_expected) {
        (false, _) => "Stopped before all was played.",
        (true, _) if report.depths_tested == 0 => "No depth is to be expected a hundred times: raise --runs.",
        (true, true) => "All depths are as theory says, with 99 % for all of them together.",
        (true, false) => "Not all depths are as theory says.",
    };
    format!("{}\n\n{} splits between two real replicas. {end}", render(&table), report.runs)
}

pub(super) async fn stakes(context: &Context, args: DoubleSpendArgs) -> Result<Exit, LabError> {
    let others = [
        ("--in-hand", args.in_hand.is_some()),
        ("--held", args.held),
        ("--depth-svg", args.depth_svg.is_some()),
        ("--delay", !args.delay.is_empty()),
        ("--span", !args.span.is_empty()),
        ("--merchant-share", !args.merchant_share.is_empty()),
    ];
    refuse(&args, &others)?;
    let usual = stake::Grid::default();
    let runs_min = args.tries.unwrap_or(usual.runs_min);
    let grid = stake::Grid {
        shares: or_usual(&args.share, usual.shares),
        confirmations: or_usual(&args.confirmations, usual.confirmations),
        branches: usual.branches,
        slashers: usual.slashers,
        behind_max: args.give_up.unwrap_or(super::GIVE_UP),
        runs_min,
        runs_max: args.runs_max.unwrap_or(usual.runs_max).max(runs_min),
        seed: args.virtual_time.seed,
    };
    let (shell, common) = (context.shell, args.virtual_time);
    until_stopped(move |stop| {
        let report = grid.fight(common.jobs(), watcher(shell, stop));
        let report = report.map_err(|error| LabError::Usage { message: error.to_string() })?;
        draw(common.svg.as_deref(), &stakes_plot(&report))?;
        let exit = exit(report.is_as_expected, report.is_complete);
        let told = Told { attack: "double-spend", commit: COMMIT, report };
        shell.result(&told, || stakes_text(shell, &told.report));
        Ok(exit)
    })
    .await
}

fn stakes_text(shell: Shell, report: &stake::Report) -> String {
    let heads = [
        "#SHARE",
        "#Z",
        "MINTS ON",
        "SLASHER",
        "#RUNS",
        "#WON",
        "#SUCCESS",
        "99 %",
        "#THEORY",
        "",
        "#STAKES LOST",
        "#BLOCKS PAID",
    ];
    let mut table = shell.table(&heads);
    // Of one that was not begun when it was stopped there is nothing to say.
    for cell in report.cells.iter().filter(|cell| cell.runs > 0) {
        table.add_row([
            cell.share.to_string(),
            cell.confirmations.to_string(),
            cell.branches.name().to_owned(),
            if cell.slasher { "on" } else { "off" }.to_owned(),
            cell.runs.to_string(),
            cell.successes.to_string(),
            show_figure(cell.success),
            show(&cell.interval),
            show_figure(cell.expected),
            verdict(cell.is_untested, cell.is_as_expected()).to_owned(),
            cell.stakes_lost.to_string(),
            show_figure(cell.blocks_paid_mean),
        ]);
    }
    let end = match (report.is_complete, report.is_as_expected) {
        (false, _) => "Stopped before all was fought.",
        (true, _) if report.cells_tested == 0 => "No cell has a hundred successes to be expected: raise --runs-max.",
        (true, true) => "All tested cells are as theory says, with 99 % for all of them together.",
        (true, false) => "Not all tested cells are as theory says.",
    };
    format!("{}\n\n{} duels of real replicas on chains of stakes. {end}", render(&table), report.runs)
}

fn stakes_plot(report: &stake::Report) -> Plot {
    let line_of = |cell: &stake::Cell| (cell.share, cell.branches, cell.slasher);
    let series = distinct(report.cells.iter().map(line_of)).into_iter().map(|line| {
        let cells = || report.cells.iter().filter(|cell| line_of(cell) == line);
        let points = cells().filter(|cell| cell.runs > 0 && !cell.is_untested).map(|cell| Point {
            x: cell.confirmations as f64,
            y: cell.success,
            low: cell.interval.low,
            high: cell.interval.high,
        });
        let theory = cells().map(|cell| (cell.confirmations as f64, cell.expected));
        let (share, branches, slasher) = line;
        let slasher = if slasher { "with Slasher" } else { "without" };
        let name = format!("share {share}, {}, {slasher}", branches.name());
        Series { name, points: points.collect(), line: theory.collect() }
    });
    Plot {
        title: "Double spends by stake: success over confirmations, theory as lines".into(),
        x: "confirmations z".into(),
        y: "probability of success".into(),
        is_log_x: false,
        is_log: true,
        series: series.collect(),
    }
}

/// How often it was so deep or deeper, where that was often enough to say something.
pub(super) fn depth_series(name: String, depths: &[Depth]) -> Series {
    let depths = || depths.iter().filter(|depth| depth.expected >= depth::EXPECTED_MIN);
    let points = depths().filter(|depth| !depth.is_untested).map(|depth| Point {
        x: depth.depth as f64,
        y: depth.probability,
        low: depth.interval.low,
        high: depth.interval.high,
    });
    let line = depths().map(|depth| (depth.depth as f64, depth.expected));
    Series { name, points: points.collect(), line: line.collect() }
}

pub(super) fn depth_plot(what: &str, series: Vec<Series>) -> Plot {
    Plot {
        title: format!("{what}: depth of the reorganisation, theory as lines"),
        x: "blocks taken back d".into(),
        y: "probability of d or more".into(),
        is_log_x: false,
        is_log: true,
        series,
    }
}

#[cfg(test)]
mod tests {
    use synod_scenario::Watch;
    use synod_scenario::stats::Interval;

    use super::*;

    fn names(plot: &Plot) -> Vec<&str> {
        plot.series.iter().map(|series| series.name.as_str()).collect()
    }

    #[test]
    fn an_eclipse_is_drawn_over_its_span_and_a_race_over_confirmations() {
        let few = |strategy: Strategy| Grid { shares: vec![0.2], runs_min: 20, runs_max: 20, ..Grid::of(strategy) };
        let grid = Grid { confirmations: vec![0, 2], spans: vec![4.0, 16.0], ..few(Strategy::Eclipse) };
        let drawn = plot(&grid.play(1, |_| Watch::GoOn).expect("it can be played"));
        assert_eq!(names(&drawn), ["share 0.2, z = 0", "share 0.2, z = 2"]);
        let Series { points, line, .. } = &drawn.series[1];
        assert_eq!(points.iter().map(|point| point.x).collect::<Vec<f64>>(), [4.0, 16.0]);
        assert_eq!(line.len(), LINE_STEPS as usize + 1);
        assert_eq!((line[0].0, line[0].1), (4.0, theory::eclipse(0.2, 0.0, 2, 4.0)));

        let grid = Grid { delays: vec![0.0, 0.5], confirmations: vec![0, 1], ..few(Strategy::Race) };
        let drawn = plot(&grid.play(1, |_| Watch::GoOn).expect("it can be played"));
        assert_eq!(names(&drawn), ["share 0.2, delay 0", "share 0.2, delay 0.5"]);
        assert_eq!(
            (drawn.series[0].line.len(), drawn.series[1].line.len()),
            (2, 0),
            "with a delay theory says nothing"
        );
    }

    #[test]
    fn stakes_are_drawn_by_share_branches_and_slasher() {
        let grid = stake::Grid {
            shares: vec![0.4, 0.6],
            confirmations: vec![1, 2],
            runs_min: 2,
            runs_max: 2,
            ..stake::Grid::default()
        };
        let drawn = stakes_plot(&grid.fight(1, |_| Watch::GoOn).expect("it can be fought"));
        assert_eq!(drawn.series.len(), 8);
        assert_eq!(names(&drawn)[3..5], ["share 0.4, both, without", "share 0.6, secret, with Slasher"]);
        assert!(drawn.series.iter().all(|series| series.line.len() == 2 && series.points.is_empty()));
    }

    #[test]
    fn depths_that_are_too_rare_are_not_drawn() {
        let depth = |depth: u64, expected: f64, is_untested: bool| {
            let interval = Interval { low: 0.0, high: 1.0 };
            Depth {
                depth,
                runs: 1,
                probability: expected,
                interval,
                interval_together: interval,
                expected,
                is_untested,
            }
        };
        let depths = [depth(1, 0.5, false), depth(2, 0.01, true), depth(3, 1e-4, true)];
        let Series { points, line, .. } = depth_series("some".into(), &depths);
        assert_eq!(points.iter().map(|point| point.x).collect::<Vec<f64>>(), [1.0]);
        assert_eq!(line, [(1.0, 0.5), (2.0, 0.01)]);
    }
}
