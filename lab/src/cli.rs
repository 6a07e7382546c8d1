//! The command line: what can be typed, and which module does it.

mod attack;
mod bench;
mod chain;
mod context;
mod discover;
mod experiment;
mod fault;
mod load;
mod logs;
mod merchant;
mod node;
mod overlay;
mod sim;
mod stake;
mod status;
mod swarm;
mod tx;
mod up;
mod wallet;

use std::ffi::OsString;
use std::future::Future;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory as _, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use crate::error::LabError;
use crate::exit::Exit;
use crate::shell::{Color, Shell, error_value};
use context::Context;

/// A local peer-to-peer network with a blockchain on it: to look at, to load and to break.
#[derive(Debug, Parser)]
#[command(name = "synod", version, propagate_version = true, arg_required_else_help = true, after_help = EXAMPLES)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Example:
  synod up                                            # five peers, until Ctrl-C
  synod tx send --from alice --to bob --amount 12.5   # in another terminal
  synod wallet balance bob --all

Exit codes: 0 ok, 1 failed or refused, 2 usage, 3 configuration, 4 the network could not be set up,
5 a check failed, 6 a peer could not be reached, 7 wallet, key or funds, 8 interrupted, 9 unknown result.";

#[derive(Debug, Args)]
struct Global {
    /// The network's directory
    #[arg(long, global = true, env = "SYNOD_DIR", default_value = ".synod/net", value_name = "DIR")]
    dir: PathBuf,
    /// Print one JSON value, errors included, on standard output
    #[arg(long, global = true)]
    json: bool,
    /// When to use colours; NO_COLOR is heeded too
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    color: Color,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a local network, making it first where there is none
    Up(up::UpArgs),
    /// Stop every peer of the network
    #[command(after_help = "Example:\n  synod down")]
    Down,
    /// Show every peer: height, tip, connections, hash rate
    Status(status::StatusArgs),
    /// Show a peer's log
    Logs(logs::LogsArgs),
    /// Run one peer in the foreground, or write the files to join a network
    Node(node::NodeArgs),
    /// Make, list and move wallets; show what they own
    #[command(subcommand, after_help = "Example:\n  synod wallet balance\n  synod wallet new frank")]
    Wallet(wallet::WalletCommand),
    /// Send and show payments
    #[command(
        subcommand,
        after_help = "Example:\n  synod tx send --from alice --to bob --amount 12.5 --wait 3\n  synod tx list"
    )]
    Tx(tx::TxCommand),
    /// Lock, unlock and show stake, on a network whose blocks are made by it
    #[command(
        subcommand,
        after_help = "Example:\n  synod stake show\n  synod stake lock --wallet alice --amount 100 --wait 1"
    )]
    Stake(stake::StakeCommand),
    /// Show a block
    #[command(subcommand, after_help = "Example:\n  synod block show 12")]
    Block(chain::BlockCommand),
    /// Show the chain, or the tree of all branches
    Chain(chain::ChainArgs),
    /// Show the unconfirmed payments and the double spends that were seen
    Mempool(chain::MempoolArgs),
    /// Share a file, to be found by name and by words
    Put(discover::PutArgs),
    /// Find and fetch what peers share, by each overlay and search, with what it costs
    Find(discover::FindArgs),
    /// Show a peer's connections, or whom its overlays' tables name
    Peers(overlay::PeersArgs),
    /// Show the overlays' graph
    Overlay(overlay::OverlayArgs),
    /// Pay around at a steady rate and measure
    Load(load::LoadArgs),
    /// Watch what a merchant is paid, hand over, and see what is undone later
    Merchant(merchant::MerchantArgs),
    /// Mount an attack on the network, by real nodes, and report what came of it
    #[command(
        subcommand,
        after_help = "Example:\n  synod attack double-spend --strategy majority --share 0.6 --confirmations 2"
    )]
    Attack(attack::AttackCommand),
    /// Cut, slow, pause, kill and restart peers
    #[command(
        subcommand,
        after_help = "Example:\n  synod fault partition peer1,peer2\n  synod fault delay all 50ms\n  synod fault heal"
    )]
    Fault(fault::FaultCommand),
    /// Run scenarios in virtual time, and failures again
    #[command(
        subcommand,
        after_help = "Example:\n  synod sim list\n  synod sim run scenarios/pow-small.toml\n  synod sim schema"
    )]
    Sim(sim::SimCommand),
    /// Compare engines, ways of gossip or of finding things: a table, plots and records with intervals
    Compare(experiment::CompareArgs),
    /// Run an experiment: any grid of runs, from a file
    Run(experiment::RunArgs),
    /// Make tables, plots and pages of experiments anew
    Report(experiment::ReportArgs),
    /// Show what changed between two runs of an experiment beyond noise
    Diff(experiment::DiffArgs),
    /// Try many small networks in virtual time, each with its own troubles, and judge each from outside
    Swarm(swarm::SwarmArgs),
    /// Measure a part of the program on this machine
    #[command(subcommand, after_help = "Example:\n  synod bench all\n  synod bench connect --json")]
    Bench(bench::BenchCommand),
    /// Write the completions for a shell
    #[command(after_help = "Example:\n  synod completions bash > ~/.local/share/bash-completion/completions/synod")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Runs the command line and says how it ended.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => return usage(&error, arguments.iter().any(|argument| argument == "--json")),
    };
    let shell = Shell::new(cli.global.json, cli.global.color);
    match run(cli, shell) {
        Ok(exit) => exit,
        Err(error) => {
            shell.error(&error);
            error.exit()
        }
    }
}

fn run(cli: Cli, shell: Shell) -> Result<Exit, LabError> {
    let context = Context { shell, dir: cli.global.dir };
    match cli.command {
        // A node makes its own runtime.
        Command::Node(args) => node::run(&context, args)?,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "synod", &mut script);
            context.shell.print(String::from_utf8_lossy(&script).trim_end());
        }
        command => {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
            let runtime = runtime.map_err(|error| LabError::io("the async runtime".as_ref(), error))?;
            // This thread runs the command, and lives as long as the process: peers are attached to it.
            return runtime.block_on(run_async(&context, command));
        }
    }
    Ok(Exit::Ok)
}

async fn run_async(context: &Context, command: Command) -> Result<Exit, LabError> {
    let done = match command {
        // Their reports say what happened, and so does the exit code.
        Command::Attack(command) => return attack::run(context, command).await,
        Command::Load(args) => return load::run(context, args).await,
        Command::Sim(command) => return sim::run(context, command).await,
        Command::Compare(args) => return experiment::compare(context, args).await,
        Command::Diff(args) => return experiment::diff(context, &args),
        Command::Report(args) => return experiment::report(context, &args),
        Command::Run(args) => return experiment::run(context, args).await,
        Command::Swarm(args) => return swarm::run(context, args).await,
        Command::Wallet(command) => return unless_interrupted(wallet::run(context, command)).await,
        Command::Bench(command) => return unless_interrupted(bench::run(context, command)).await,
        Command::Chain(args) => return unless_interrupted(chain::chain(context, args)).await,
        Command::Find(args) => return unless_interrupted(discover::find(context, args)).await,
        Command::Status(args) => return status::run(context, args).await,
        Command::Merchant(args) => merchant::run(context, args).await,
        Command::Up(args) => up::run(context, args).await,
        Command::Logs(args) => logs::run(context, args).await,
        Command::Block(command) => unless_interrupted(chain::block(context, command)).await,
        Command::Down => unless_interrupted(up::down(context)).await,
        Command::Fault(command) => unless_interrupted(fault::run(context, command)).await,
        Command::Overlay(args) => unless_interrupted(overlay::overlay(context, args)).await,
        Command::Peers(args) => unless_interrupted(overlay::peers(context, args)).await,
        Command::Put(args) => unless_interrupted(discover::put(context, args)).await,
        Command::Mempool(args) => unless_interrupted(chain::mempool(context, args)).await,
        // A payment that was sent is not forgotten because of a signal.
        Command::Tx(command) => tx::run(context, command).await,
        Command::Stake(command) => stake::run(context, command).await,
        Command::Completions { .. } | Command::Node(_) => {
            unreachable!("these run without the async runtime")
        }
    };
    done.map(|()| Exit::Ok)
}

/// Runs a command to its end, unless a signal comes first.
async fn unless_interrupted<T>(command: impl Future<Output = Result<T, LabError>>) -> Result<T, LabError> {
    tokio::select! {
        result = command => result,
        () = interrupted() => Err(LabError::Interrupted),
    }
}

/// Ends when Ctrl-C is pressed, the process is asked to end, or its terminal goes away.
async fn interrupted() {
    let mut terminate = signal(SignalKind::terminate()).expect("the handler of SIGTERM can be set");
    let mut interrupt = signal(SignalKind::interrupt()).expect("the handler of SIGINT can be set");
    let hangup = async {
        // Under `nohup` it is to be ignored, which a handler of ours would undo.
        if crate::process::ignores_hangup() {
            std::future::pending::<()>().await;
        }
        signal(SignalKind::hangup()).expect("the handler of SIGHUP can be set").recv().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = hangup => {}
    }
}

/// A wrong command line, or a request for help or the version, which clap reports as an error too.
fn usage(error: &clap::Error, json: bool) -> Exit {
    if !error.use_stderr() || !json {
        // Standard output or error may be closed; there is nobody left to tell.
        let _ = error.print();
        return if error.use_stderr() { Exit::Usage } else { Exit::Ok };
    }
    let shell = Shell::new(true, Color::Never);
    let value = error_value("usage", &usage_message(error), Some("`synod help` shows the commands and options"));
    shell.print(&serde_json::to_string_pretty(&value).expect("our own values are JSON"));
    Exit::Usage
}

/// What is wrong with the command line: which arguments are missing, which values are possible.
fn usage_message(error: &clap::Error) -> String {
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return "the command is not complete".to_owned();
    }
    let text = error.render().to_string();
    // From the usage on, it is the same for every mistake in a command.
    let end = ["\n\nUsage:", "\n\nFor more information"].iter().filter_map(|mark| text.find(mark)).min();
    text[..end.unwrap_or(text.len())].trim_start_matches("error: ").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_help_with_an_example() {
        fn check(command: &clap::Command, path: &str) {
            assert!(command.get_about().is_some(), "{path} has no help");
            for sub in command.get_subcommands() {
                check(sub, &format!("{path} {}", sub.get_name()));
            }
            let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(after.contains("Example"), "{path} has no example");
        }
        check(&Cli::command(), "synod");
    }

    #[test]
    fn a_usage_error_says_what_is_missing_or_possible() {
        let message = |line: &str| {
            usage_message(&Cli::try_parse_from(line.split_whitespace()).expect_err("a wrong command line"))
        };
        let missing = message("synod tx send --to bob --amount 1");
        assert!(missing.contains("--from <WALLET>") && !missing.contains("Usage"), "{missing}");
        let possible = message("synod up --transport tpc");
        assert!(possible.contains("quic") && !possible.contains("For more"), "{possible}");
        for line in ["synod tx send --from alice --to bob --amount -1", "synod load --rate -1 --duration 1s"] {
            assert!(message(line).starts_with("invalid value '-1'"), "{}", message(line));
        }
    }

    #[test]
    fn values_are_read_at_the_border() {
        let parse = |line: &str| Cli::try_parse_from(line.split_whitespace());
        assert!(parse("synod up --nodes 3 --hash-rate 1.5M --block-time 500ms --transport quic --detach").is_ok());
        assert!(parse("synod up --block-time 2").is_err());
        assert!(parse("synod up --hash-rate fast").is_err());
        assert!(parse("synod tx send --from alice --to bob --amount 12.5 --json").is_ok());
        assert!(parse("synod tx send --from alice --to bob --amount 0.000000001").is_err());
        assert!(parse("synod tx show abc").is_err());
        assert!(parse("synod load --rate 50 --duration 60s").is_ok());
        assert!(parse("synod load --rate 0 --duration 60s").is_err());
        assert!(parse("synod fault delay peer1,peer2 50ms --jitter 5ms").is_ok());
        assert!(parse("synod fault loss all 1.5").is_err());
        assert!(parse("synod load --rate 50 --duration 0s").is_err());
        assert!(parse("synod sim run a.toml --seeds 1..=20 --jobs 2 --peers 50 --codec --out results").is_ok());
        assert!(parse("synod sim run a.toml --seed 1 --trace a.json --trace-peers 0,4-7 --trace-from 10s").is_ok());
        assert!(parse("synod sim run a.toml --seed 1 --seeds 1..3").is_err());
        assert!(parse("synod sim run a.toml --seeds 3..1").is_err());
        assert!(parse("synod sim run a.toml --trace a.txt").is_err());
        assert!(parse("synod sim run a.toml --real --gossip gossipsub").is_ok());
        assert!(parse("synod sim run a.toml --gossip gossipsub").is_err());
        assert!(parse("synod sim replay a.toml --seed 3 --until-step 100").is_ok());
        assert!(parse("synod sim replay a.toml").is_err());
        assert!(parse("synod sim replay --swarm pow --seed 3").is_ok());
        assert!(parse("synod sim replay a.toml --swarm pow --seed 3").is_err());
        assert!(parse("synod sim shrink --seed 3").is_err());
        assert!(parse("synod swarm --engine pow --seeds 1000 --from 7 --jobs 2").is_ok());
        assert!(parse("synod swarm --seeds 0").is_err());
        assert!(parse("synod swarm --engine pos").is_ok());
        assert!(parse("synod swarm --engine work").is_err());
        assert!(parse("synod sim shrink a.toml --seed 3 --tries 10").is_ok());
        assert!(parse("synod node --config a/node.toml").is_ok());
        assert!(parse("synod node").is_err());
        assert!(parse("synod node init --out x --from-dir y --name carl").is_ok());
    }
}
