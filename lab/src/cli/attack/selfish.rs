//! `synod attack selfish-mining`: by a node of one's own on a network of one's own, and by the thousand blocks in virtual time.

use std::time::Duration;

use clap::Args;
use synod_scenario::attack::selfish::{self, Grid};

use super::virtual_time::{self, VirtualArgs};
use super::{JOULES_PER_HASH, PageArg, joules, share, story};
use crate::attack::{self, Arena, BLOCKS_MAX, Roles, SelfishMining, SelfishTerms};
use crate::cli::context::{Context, PassphraseArg, program};
use crate::error::LabError;
use crate::exit::Exit;
use crate::shell::{Shell, render, show_figure};
use crate::units;

/// `synod attack selfish-mining`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  synod attack selfish-mining --share 0.4 --blocks 300 --timeout 20m
  synod attack selfish-mining --sim
  synod attack selfish-mining --sim --alpha 0.25,0.33,0.4 --gamma 0.5 --runs 50 --svg revenue.svg

The pool is a node of its own, which lives as long as the attack; with --sim the pool and the others are replicas in virtual time. Who
is paid is read from the main chain's coinbases. Exit code 8: stopped or too late, and the report is of what there was; with --sim 5:
not as theory says.")]
pub(in crate::cli) struct SelfishArgs {
    /// In virtual time
    #[arg(long)]
    sim: bool,
    /// The pool's share of all hash power, its own counted
    #[arg(long, conflicts_with = "sim", value_name = "SHARE", default_value = "0.4", value_parser = share)]
    share: f64,
    /// How long it may take
    #[arg(long, conflicts_with = "sim", value_name = "TIME", default_value = "30m", value_parser = units::positive_duration)]
    timeout: Duration,
    /// What a hash takes, in joules
    #[arg(long, conflicts_with = "sim", value_name = "JOULES", default_value_t = JOULES_PER_HASH, value_parser = joules)]
    joules_per_hash: f64,
    /// The wallet that the pool is paid to
    #[arg(long, conflicts_with = "sim", value_name = "WALLET", default_value = "erin")]
    from: String,
    #[command(flatten)]
    passphrase: PassphraseArg,
    #[command(flatten)]
    page: PageArg,
    /// With --sim: the pool's shares of all hash power
    #[arg(long, value_name = "SHARES", value_delimiter = ',', value_parser = units::share, requires = "sim")]
    alpha: Vec<f64>,
    /// With --sim: the shares of the others that mine on the pool's block where there are two
    #[arg(long, value_name = "SHARES", value_delimiter = ',', value_parser = units::share, requires = "sim")]
    gamma: Vec<f64>,
    /// With --sim: independent runs of each cell
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(2..=selfish::RUNS_MAX), requires = "sim")]
    runs: Option<u64>,
    /// Blocks by which the main chain grows; with --sim those that are found in each run [default: 100, with --sim 2000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=BLOCKS_MAX))]
    blocks: Option<u64>,
    #[command(flatten)]
    common: VirtualArgs,
}

pub(super) async fn run(context: &Context, args: SelfishArgs) -> Result<Exit, LabError> {
    if args.sim { in_virtual_time(context, args).await } else { for_real(context, args).await }
}

async fn in_virtual_time(context: &Context, args: SelfishArgs) -> Result<Exit, LabError> {
    let usual = Grid::default();
    let or_usual = |given: Vec<f64>, usual: Vec<f64>| if given.is_empty() { usual } else { given };
    let grid = Grid {
        alphas: or_usual(args.alpha, usual.alphas),
        gammas: or_usual(args.gamma, usual.gammas),
        runs: args.runs.unwrap_or(usual.runs),
        blocks: args.blocks.unwrap_or(usual.blocks),
        seed: args.common.seed,
    };
    virtual_time::selfish(context, grid, args.common).await
}

async fn for_real(context: &Context, args: SelfishArgs) -> Result<Exit, LabError> {
    if args.share == 0.0 {
        return Err(LabError::Usage { message: "--share: who does not mine keeps nothing back".to_owned() });
    }
    // Where there is no network there are no wallets either, and the former is what is to be said.
    let network = context.network()?;
    let attacker = context.wallets().unlock(&args.from, &args.passphrase.source())?;
    // Nobody is paid by it.
    let merchant = attacker.address();
    let arena = Arena::enter(network, Roles { attacker, wallet: args.from, merchant, peer: None }).await?;
    let blocks = args.blocks.unwrap_or(BLOCKS);
    let SelfishArgs { share, timeout: limit, joules_per_hash, .. } = args;
    let terms = SelfishTerms { share, blocks, limit, joules_per_hash };
    let bar = context.shell.bar(blocks);
    let show = |grown| bar.set_position(grown);
    let report = attack::mine_selfishly(arena, &program()?, terms, crate::cli::interrupted(), show).await?;
    bar.finish_and_clear();
    context.shell.result(&report, || text(context.shell, &report));
    args.page.write(report.attack, &sentence(&report), &report)?;
    Ok(if report.is_complete { Exit::Ok } else { Exit::Interrupted })
}

fn sentence(report: &SelfishMining) -> String {
    let all = report.own_main + report.others_main;
    let interval =
        report.interval.map_or_else(String::new, |interval| format!(" ({}, 95 %)", virtual_time::show(&interval)));
    format!(
        "The pool is paid for {} of {all} blocks of the main chain: {}{interval} with {} of the hash power; equation 8 says {} to {}.",
        report.own_main,
        show_figure(report.revenue),
        show_figure(report.alpha),
        show_figure(report.expected_gamma_0),
        show_figure(report.expected_gamma_1),
    )
}

fn text(shell: Shell, report: &SelfishMining) -> String {
    let mut table = shell.table(&["", "#FOUND", "#MAIN CHAIN", "#FOR NOTHING"]);
    let rows = [("pool", report.own_found, report.own_main), ("others", report.others_found, report.others_main)];
    for (who, found, main) in rows {
        table.add_row([who.to_owned(), found.to_string(), main.to_string(), found.saturating_sub(main).to_string()]);
    }
    let costs = format!(
        "It took {} hashes, {} J, and {} messages of {} bytes; {} of all hashes were the pool's.",
        report.hashes,
        show_figure(report.joules),
        report.messages,
        report.bytes,
        show_figure(report.hash_share),
    );
    format!("{}\n\n{}\n\n{}\n{costs}", story(shell, &report.timeline), render(&table), sentence(report))
}

/// Blocks of an attack if nothing is said: some minutes at the default block time.
const BLOCKS: u64 = 100;
