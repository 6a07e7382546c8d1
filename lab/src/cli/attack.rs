//! `synod attack`: attacks on a network of one's own, and by the thousand in virtual time.

mod named;
mod selfish;
mod strategies;
mod virtual_time;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde::Serialize;
use synod_scenario::attack::double_spend::Grid;
use synod_scenario::duel::Wait;

use self::named::{Named, Played};
use super::context::{Context, PassphraseArg, program};
use crate::attack::{
    self, Answers, Arena, Fate, Flood, FloodTerms, Kind, Moment, NothingAtStake, Outcome, Report, Roles, Run, Terms,
};
use crate::error::LabError;
use crate::exit::Exit;
use crate::load::Payer;
use crate::shell::{Shell, render, show_figure};
use crate::units;
use crate::watch::Fork;

/// `synod attack`.
#[derive(Debug, Subcommand)]
pub(super) enum AttackCommand {
    /// Pay a merchant, and take the payment back
    #[command(name = "double-spend")]
    DoubleSpend(Box<DoubleSpendArgs>),
    /// Let validators vote for two blocks of one height
    Equivocation(EquivocationArgs),
    /// Throw more at a peer than it can serve, and see what an honest client is still served
    Flood(FloodArgs),
    /// Let a peer mint on every branch with its stake
    #[command(name = "nothing-at-stake")]
    NothingAtStake(NothingAtStakeArgs),
    /// Keep blocks back, to be paid more than one's share
    #[command(name = "selfish-mining")]
    SelfishMining(Box<selfish::SelfishArgs>),
}

/// `synod attack equivocation`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  synod up --consensus pbft --nodes 5 --validators 4 --detach
  synod attack equivocation --colluders 1 --for 20s     # as many as may be faulty: nothing happens
  synod attack equivocation                             # one more: the chain forks, and both certificates are shown

The validators are honest again when it ends; a chain that forked stays forked. Exit code 5: it forked.")]
pub(super) struct EquivocationArgs {
    /// How many validators collude, the first ones [default: one more than may be faulty]
    #[arg(long, value_name = "N")]
    colluders: Option<usize>,
    /// End after so long without a fork
    #[arg(long = "for", value_name = "TIME", default_value = "60s", value_parser = units::positive_duration)]
    span: Duration,
    #[command(flatten)]
    page: PageArg,
    #[command(flatten)]
    roles: RolesArgs,
}

/// `synod attack flood`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  synod attack flood --kind transactions --rate 500 --for 20s
  synod attack flood --kind connections --rate 200
  synod attack flood --kind messages --rate 1000

An honest wallet (--payer) pays at the flooded peer, first without the flood and then with it.")]
pub(super) struct FloodArgs {
    /// What is thrown
    #[arg(long, value_name = "KIND", default_value = "transactions")]
    kind: Kind,
    /// So many a second
    #[arg(long, value_name = "RATE", default_value = "200", value_parser = units::rate)]
    rate: f64,
    /// What the honest client pays, in payments a second
    #[arg(long, value_name = "RATE", default_value = "2", value_parser = units::rate)]
    honest_rate: f64,
    /// The honest wallet
    #[arg(long, value_name = "WALLET", default_value = "alice")]
    payer: String,
    /// How long each of the two parts takes
    #[arg(long = "for", value_name = "TIME", default_value = "20s", value_parser = units::positive_duration)]
    span: Duration,
    #[command(flatten)]
    page: PageArg,
    #[command(flatten)]
    roles: RolesArgs,
}

/// `synod attack nothing-at-stake`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  synod up --consensus pos --detach
  synod attack nothing-at-stake --minter peer2 --for 5m

The peer is honest again when it ends; a stake that is gone stays gone.")]
pub(super) struct NothingAtStakeArgs {
    /// The peer that mints on every branch
    #[arg(long, value_name = "PEER", default_value = "peer1")]
    minter: String,
    /// End after so long if its stake is there still
    #[arg(long = "for", value_name = "TIME", default_value = "5m", value_parser = units::positive_duration)]
    span: Duration,
    #[command(flatten)]
    page: PageArg,
    #[command(flatten)]
    roles: RolesArgs,
}

/// A page of the report.
#[derive(Debug, Args)]
struct PageArg {
    /// Write the report as a page of its own
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

impl PageArg {
    fn write<T: Serialize>(&self, attack: &str, sentence: &str, report: &T) -> Result<(), LabError> {
        let Some(path) = &self.html else { return Ok(()) };
        crate::files::write(path, attack::page_of(attack, sentence, report).as_bytes())
    }
}

/// Who pays whom.
#[derive(Debug, Args)]
struct RolesArgs {
    /// The wallet whose coins are paid twice
    #[arg(long, value_name = "WALLET", default_value = "erin")]
    from: String,
    /// The merchant: a wallet or an address
    #[arg(long, value_name = "WALLET|ADDRESS", default_value = "bob")]
    merchant: String,
    /// The merchant's peer [default: the last one that keeps blocks]
    #[arg(long, value_name = "PEER")]
    peer: Option<String>,
    #[command(flatten)]
    passphrase: PassphraseArg,
}

impl RolesArgs {
    fn roles(&self, context: &Context) -> Result<Roles, LabError> {
        // Where there is no network there are no wallets either, and the former is what is to be said.
        context.network()?;
        let wallets = context.wallets();
        let roles = Roles {
            attacker: wallets.unlock(&self.from, &self.passphrase.source())?,
            wallet: self.from.clone(),
            merchant: wallets.resolve(&self.merchant)?.address,
            peer: self.peer.clone(),
        };
        if roles.attacker.address() == roles.merchant {
            return Err(LabError::Usage {
                message: "--from and --merchant are the same: nobody is deceived".to_owned(),
            });
        }
        Ok(roles)
    }
}

/// `synod attack double-spend`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  synod attack double-spend --strategy majority --share 0.6 --confirmations 2
  synod attack double-spend --strategy race --confirmations 0 --runs 20
  synod attack double-spend --strategy vector76 --share 0.3 -z 1 --runs 10
  synod attack double-spend --strategy finney --share 0.3 --confirmations 0 --html report.html
  synod attack double-spend --sim --share 0.1,0.3 -z 1,3,6 --svg success.svg --depth-svg depth.svg
  synod attack double-spend --sim --stake --share 0.4,0.6
  synod attack double-spend --sim --strategy eclipse --span 5,10,20 -z 1,3 --svg eclipse.svg
  synod attack double-spend --sim --strategy vector76 --share 0.1 --merchant-share 0.2
  synod attack double-spend --sim --strategy partition --share 0.5 --span 2,12

The attacker is a node of its own, which lives as long as the attack; on a chain of stakes it is so many of the network's
peers as have the share, cut off from the others meanwhile. It acts only on the network in --dir, whose peers must
all be on loopback. Exit code 0 says that the attacks were mounted, whatever came of them; with --sim 5 says that
the successes are not as theory says. docs/attacks/ says what each is.")]
pub(super) struct DoubleSpendArgs {
    /// How the merchant is deceived
    #[arg(long, value_name = "STRATEGY", default_value = "majority")]
    strategy: Named,
    /// The attacker's share of all hash power, or of all stake at least; with --sim a list [default: 0.51, with --sim 0.1 to 0.4]
    #[arg(long, value_name = "SHARE", value_delimiter = ',', value_parser = share)]
    share: Vec<f64>,
    /// The merchant hands over at so many confirmations, 0 as soon as it sees the payment; with --sim a list [default: 6, with --sim
    /// what the strategy is about]
    #[arg(long, short = 'z', value_name = "N", value_delimiter = ',')]
    confirmations: Vec<u64>,
    /// Play it in virtual time, by real replicas, as often as says something (all but finney)
    #[arg(long)]
    sim: bool,
    /// With --sim: a majority of stake instead of work, that mints in secret or on both branches, with Slasher and without
    #[arg(long, requires = "sim")]
    stake: bool,
    /// With --sim: how long an eclipse or a partition lasts, in block times; a list [default: 1 to 160, of a
    /// partition 2,12,48]
    #[arg(long, value_name = "TIMES", value_delimiter = ',', value_parser = units::times, requires = "sim")]
    span: Vec<f64>,
    /// With --sim: the share of the honest hash power on the merchant's side: cut off with it by an eclipse [default: 0], or at its
    /// peer in a race and with vector76 [default: 0.2]; a list
    #[arg(long, value_name = "SHARE", value_delimiter = ',', value_parser = units::share, requires = "sim")]
    merchant_share: Vec<f64>,
    /// With --sim: blocks that the attacker has in hand when the payment is made
    #[arg(long, value_name = "N", requires = "sim")]
    in_hand: Option<u64>,
    /// With --sim: the merchant's blocks come at exactly their expected times, as Nakamoto 2008 takes it
    #[arg(long, requires = "sim")]
    held: bool,
    /// With --sim: how long honest blocks are on their way to other honest miners, in block times; a list [default: 0, of
    /// a race 0,0.021,0.5]
    #[arg(long, value_name = "TIMES", value_delimiter = ',', value_parser = units::share, requires = "sim")]
    delay: Vec<f64>,
    /// With --sim: duels of a cell at most; one that needs more for 100 successes is marked as untested [default: 50000,
    /// with --stake 5000]
    #[arg(long, value_name = "N", requires = "sim")]
    runs_max: Option<u64>,
    /// With --sim: write a plot of how deep a majority's reorganisations go, theory as lines
    #[arg(long, value_name = "FILE", requires = "sim")]
    depth_svg: Option<PathBuf>,
    #[command(flatten)]
    virtual_time: virtual_time::VirtualArgs,
    /// The attacker gives up when it is so many blocks behind [default: 10]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    give_up: Option<u64>,
    /// How often it is tried; with --sim each cell at least [default: 1, with --sim 2000, of a partition 5000,
    /// with --stake 500]
    #[arg(long = "runs", value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    tries: Option<u64>,
    /// How long one attack may take
    #[arg(long, conflicts_with = "sim", value_name = "TIME", default_value = "10m", value_parser = units::positive_duration)]
    timeout: Duration,
    /// What a hash takes, in joules
    #[arg(long, value_name = "JOULES", default_value_t = JOULES_PER_HASH, value_parser = joules)]
    joules_per_hash: f64,
    /// Write the report as a page of its own
    #[arg(long, conflicts_with = "sim", value_name = "FILE")]
    html: Option<PathBuf>,
    #[command(flatten)]
    roles: RolesArgs,
}

/// An Antminer S19 Pro of 29.5 J/TH, as Bitcoin is mined with (its maker's data sheet, 2020).
const JOULES_PER_HASH: f64 = 29.5e-12;

fn share(text: &str) -> Result<f64, String> {
    let share = units::share(text).map_err(|error| error.to_string())?;
    if share < SHARE_MAX { Ok(share) } else { Err(format!("expected a share below {SHARE_MAX}")) }
}

/// Beyond, the attacker's node would take all of the machine.
const SHARE_MAX: f64 = 0.95;

fn joules(text: &str) -> Result<f64, String> {
    let joules: f64 = text.parse().map_err(|_| "expected a number of joules, as 29.5e-12".to_owned())?;
    if joules.is_finite() && joules >= 0.0 { Ok(joules) } else { Err("expected joules of zero or more".to_owned()) }
}

pub(super) async fn run(context: &Context, command: AttackCommand) -> Result<Exit, LabError> {
    match command {
        AttackCommand::DoubleSpend(args) if args.sim => in_virtual_time(context, *args).await,
        AttackCommand::DoubleSpend(args) => double_spend(context, *args).await,
        AttackCommand::Equivocation(args) => equivocation(context, args).await,
        AttackCommand::Flood(args) => flood(context, args).await.map(|()| Exit::Ok),
        AttackCommand::NothingAtStake(args) => nothing_at_stake(context, args).await.map(|()| Exit::Ok),
        AttackCommand::SelfishMining(args) => selfish::run(context, *args).await,
    }
}

async fn equivocation(context: &Context, args: EquivocationArgs) -> Result<Exit, LabError> {
    let arena = Arena::enter(context.network()?, args.roles.roles(context)?).await?;
    let bar = context.shell.spinner("validators vote for two blocks of one height");
    let report = attack::equivocate(arena, args.colluders, args.span, super::interrupted()).await?;
    bar.finish_and_clear();
    let sentence = if report.forked { "Two blocks of one height were agreed on." } else { "Nothing was forked." };
    context.shell.result(&report, || {
        let fork = report.violation.clone().map(|shown| Fork { peers: report.stopped.clone(), shown }.text());
        let fork = fork.unwrap_or_else(|| "Nothing was forked.".to_owned());
        format!("{}\n\n{}\n\n{fork}", story(context.shell, &report.timeline), fates(context.shell, &report.fates))
    });
    args.page.write(report.attack, sentence, &report)?;
    Ok(if report.forked { Exit::Check } else { Exit::Ok })
}

async fn flood(context: &Context, args: FloodArgs) -> Result<(), LabError> {
    let roles = args.roles.roles(context)?;
    let honest = Payer {
        name: args.payer.clone(),
        secret: context.wallets().unlock(&args.payer, &args.roles.passphrase.source())?,
    };
    let arena = Arena::enter(context.network()?, roles).await?;
    if honest.secret.address() == arena.attacker() {
        return Err(LabError::Usage { message: "--payer and --from are the same".to_owned() });
    }
    let FloodArgs { kind, rate, honest_rate, span, page, .. } = args;
    let terms = FloodTerms { kind, rate, honest_rate, span };
    let bar = context.shell.spinner("an honest client pays, first without the flood and then with it");
    let report = attack::flood(arena, &program()?, terms, honest, super::interrupted()).await?;
    bar.finish_and_clear();
    let Flood { peer, taken, refused, answers, .. } = &report;
    let mut sentence = format!("{peer} was flooded with {}: {taken} thrown, {refused} not.", kind.name());
    if let Some(Answers { messages, bytes, hung_up }) = answers {
        sentence += &format!(" It answered {messages} of them with {bytes} bytes in all, and hung up {hung_up} times.");
    }
    context.shell.result(&report, || {
        let heads = ["", "#SCHEDULED", "#ACCEPTED", "#CONFIRMED", "#ACCEPT P50 MS", "#P99", "#CONFIRM P50 MS", "#P99"];
        let mut table = context.shell.table(&heads);
        for (name, load) in [("before", &report.before), ("during", &report.during)] {
            let counts = [load.scheduled, load.accepted, load.confirmed].map(|count| count.to_string());
            let (taken, mined) = (load.acceptance, load.confirmation);
            let times = [taken.p50_ms, taken.p99_ms, mined.p50_ms, mined.p99_ms].map(show_figure);
            table.add_row([vec![name.to_owned()], counts.into(), times.into()].concat());
        }
        format!("{}\n\n{sentence}", render(&table))
    });
    page.write(report.attack, &sentence, &report)
}

async fn nothing_at_stake(context: &Context, args: NothingAtStakeArgs) -> Result<(), LabError> {
    let arena = Arena::enter(context.network()?, args.roles.roles(context)?).await?;
    let place = arena.network.find(&args.minter)?;
    let bar = context.shell.spinner("a peer mints on every branch");
    let report = attack::mint_everywhere(arena, place, args.span, super::interrupted()).await?;
    bar.finish_and_clear();
    let NothingAtStake { peer, stake, blocks, .. } = &report;
    let end = match report.lost_at {
        Some(height) => format!("{peer} lost its stake of {stake} coins in block {height}."),
        None => format!("{peer} has its stake of {stake} coins still, after {blocks} blocks."),
    };
    context.shell.result(&report, || format!("{}\n\n{end}", story(context.shell, &report.timeline)));
    args.page.write(report.attack, &end, &report)
}

fn story(shell: Shell, timeline: &[Moment]) -> String {
    let mut table = shell.table(&["#MS", "WHAT HAPPENED"]);
    for moment in timeline {
        table.add_row([moment.at_ms.to_string(), moment.what.clone()]);
    }
    render(&table)
}

fn fates(shell: Shell, fates: &[Fate]) -> String {
    let mut table = shell.table(&["PEER", "PAYMENT", "RIVAL"]);
    for fate in fates {
        table.add_row([fate.peer.as_str(), fate.payment.name(), fate.rival.name()]);
    }
    render(&table)
}

/// Behind by so many an attacker of less than a half hardly ever comes back.
const GIVE_UP: u64 = 10;
/// More on a real network would take hours, and a wallet has no more coins.
const TRIES_MAX: u64 = 100;

/// The one value of an option that is a list in virtual time alone.
fn one<T: Copy>(given: &[T], option: &str, usual: T) -> Result<T, LabError> {
    match given {
        [] => Ok(usual),
        [only] => Ok(*only),
        _ => Err(LabError::Usage { message: format!("{option}: a list is for --sim") }),
    }
}

async fn in_virtual_time(context: &Context, args: DoubleSpendArgs) -> Result<Exit, LabError> {
    if args.stake && args.strategy != Named::Majority {
        strategies::refuse(&args, &[("--stake", true)])?;
    }
    match args.strategy.played() {
        Played::Duel if args.stake => strategies::stakes(context, args).await,
        Played::Duel => duels(context, args).await,
        Played::Nowhere => {
            Err(LabError::Usage { message: format!("{} is not played in virtual time", args.strategy.name()) })
        }
        Played::Split => strategies::split(context, args).await,
        Played::Strategy(strategy) => strategies::play(context, strategy, args).await,
    }
}

async fn duels(context: &Context, args: DoubleSpendArgs) -> Result<Exit, LabError> {
    strategies::refuse(
        &args,
        &[("--span", !args.span.is_empty()), ("--merchant-share", !args.merchant_share.is_empty())],
    )?;
    let usual = Grid::default();
    let duels = virtual_time::Duels {
        shares: if args.share.is_empty() { usual.shares } else { args.share },
        confirmations: if args.confirmations.is_empty() { usual.confirmations } else { args.confirmations },
        delays: if args.delay.is_empty() { usual.delays } else { args.delay },
        in_hand: args.in_hand.unwrap_or(usual.in_hand),
        wait: if args.held { Wait::Held } else { Wait::Raced },
        give_up: args.give_up.unwrap_or(GIVE_UP),
        runs: args.tries.unwrap_or(usual.runs_min),
        runs_max: args.runs_max.unwrap_or(usual.runs_max),
        depth_svg: args.depth_svg,
        common: args.virtual_time,
    };
    virtual_time::duels(context, duels).await
}

async fn double_spend(context: &Context, args: DoubleSpendArgs) -> Result<Exit, LabError> {
    let strategy = args.strategy.mounted();
    let roles = args.roles.roles(context)?;
    let (share, confirmations) = (one(&args.share, "--share", 0.51)?, one(&args.confirmations, "--confirmations", 6)?);
    let tries = args.tries.unwrap_or(1);
    if tries > TRIES_MAX {
        return Err(LabError::Usage { message: format!("--runs: at most {TRIES_MAX} attacks on a real network") });
    }
    let terms = Terms {
        share,
        confirmations,
        give_up: args.give_up.unwrap_or(GIVE_UP),
        tries,
        limit: args.timeout,
        joules_per_hash: args.joules_per_hash,
    };
    let arena = Arena::enter(context.network()?, roles).await?;
    let bar = context.shell.bar(tries);
    let show = |run: &Run| {
        bar.inc(1);
        bar.set_message(format!("attack {}: {}", run.number, run.outcome.name()));
    };
    let report = attack::run(arena, &program()?, strategy, terms, super::interrupted(), show).await?;
    bar.finish_and_clear();
    if let Some(path) = &args.html {
        crate::files::write(path, attack::page(&report).as_bytes())?;
    }
    context.shell.result(&report, || text(context.shell, &report));
    Ok(if report.is_complete { Exit::Ok } else { Exit::Interrupted })
}

fn text(shell: Shell, report: &Report) -> String {
    let mut text = String::new();
    // One attack is told in full, many in a table.
    if let [run] = report.runs.as_slice() {
        text = format!("{}\n\n{}\n\n", story(shell, &run.timeline), fates(shell, &run.fates));
    }
    let mut table =
        shell.table(&["#ATTACK", "OUTCOME", "#TAKEN BACK", "#SECRET", "#HASHES", "#JOULES", "#STAKE", "#MS"]);
    for run in &report.runs {
        let end = run.timeline.last().map_or(0, |moment| moment.at_ms);
        let costs = &run.costs;
        let color = if run.outcome == Outcome::Undone { comfy_table::Color::Red } else { comfy_table::Color::Green };
        let mut row = vec![comfy_table::Cell::new(run.number), shell.cell(run.outcome.name(), color)];
        let figures = [run.reorganisation.to_string(), costs.blocks.to_string(), costs.hashes.to_string()];
        row.extend(figures.map(comfy_table::Cell::new));
        row.extend([show_figure(costs.joules), costs.stake.to_string(), end.to_string()].map(comfy_table::Cell::new));
        table.add_row(row);
    }
    format!("{text}{}\n\n{}.", render(&table), attack::summary(report))
}
