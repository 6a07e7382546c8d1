//! `synod up` and `synod down`: a network from nothing to a live table, and its end.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use synod_consensus::adversary::Behaviour;
use synod_ledger::{BlockId, Height};
use synod_node::config::{DhtKind, SearchKind, adversaries, format_hash_rate, parse_hash_rate};

use super::context::{Context, program};
use super::status::{self, NetworkView};
use crate::error::LabError;
use crate::network::{Network, STOP_GRACE};
use crate::settings::{Consensus, Gossip, NODES_MAX, Settings, Transport};
use crate::shell::short;
use crate::units;
use crate::watch::{self, Fork};

/// `synod up`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  synod up                                   # five peers, a live table, Ctrl-C stops all
  synod up --nodes 25 --hash-rate 20k --detach
  synod up --consensus pbft --nodes 7 --validators 4
  synod up --consensus pos
  synod up --nodes 20 --dht chord,kademlia --search all
  synod up --nodes 6 --dht kademlia --light 1
  synod up --consensus pbft --nodes 4 --adversary peer1=equivocator
  synod up --dir /tmp/fast --block-time 500ms

The first `up` makes the network's directory; a later one goes on with the same chain. Its wallets (alice,
bob, carol, dave, erin) are for tests: whoever can read the directory can spend their coins.")]
pub(super) struct UpArgs {
    /// How many peers [default: 5]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=NODES_MAX as i64))]
    nodes: Option<u16>,
    /// How they agree [default: pow]
    #[arg(long)]
    consensus: Option<Consensus>,
    /// How many peers, the last ones, keep headers alone and read blocks of others, which needs --dht [default: none]
    #[arg(long, value_name = "N")]
    light: Option<usize>,
    /// With --consensus pos: nobody loses a stake, whatever it signs
    #[arg(long)]
    no_slasher: bool,
    /// How many peers vote, with --consensus pbft [default: all, up to 128]
    #[arg(long, value_name = "N")]
    validators: Option<usize>,
    /// A peer that is not honest; may be said for several. They are so until a later `up` says another behaviour. Where blocks are
    /// made by work: selfish-miner. By stake: multi-minter. Validators: colluder, equivocating-primary, equivocating-voter, equivocator, forger, honest,
    /// lying-changer, lying-donor, replayer, selective, silent, slow
    #[arg(long = "adversary", value_name = "PEER=BEHAVIOUR", value_parser = adversary)]
    adversaries: Vec<(String, String)>,
    /// Hashes per second of each peer [default: 50k]
    #[arg(long, value_name = "RATE", value_parser = parse_hash_rate)]
    hash_rate: Option<u64>,
    /// The time between blocks [default: 2s]
    #[arg(long, value_name = "TIME", value_parser = units::duration)]
    block_time: Option<Duration>,
    /// What connections run over; faults need tcp [default: tcp]
    #[arg(long)]
    transport: Option<Transport>,
    /// Who carries blocks and payments [default: gossipsub]
    #[arg(long)]
    gossip: Option<Gossip>,
    /// Distributed hash tables that the peers form: chord, kademlia (libp2p's), kademlia-lab (ours), all or none [default: none]
    #[arg(long, value_name = "LIST", value_parser = dht)]
    dht: Option<Kinds<DhtKind>>,
    /// Searches that the peers take part in: flood, superpeer, index, all or none [default: none]
    #[arg(long, value_name = "LIST", value_parser = search)]
    search: Option<Kinds<SearchKind>>,
    /// A TOML file with these and further settings
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Return when the network is ready, and leave it running
    #[arg(long)]
    detach: bool,
    /// How long starting and finding each other may take
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = units::duration)]
    timeout: Duration,
}

/// The result of `up`.
#[derive(Debug, Serialize)]
struct Started {
    created: bool,
    dir: PathBuf,
    #[serde(flatten)]
    network: NetworkView,
}

/// The result of `down`.
#[derive(Debug, Serialize)]
struct Stopped {
    stopped: Vec<String>,
    killed: Vec<String>,
}

pub(super) async fn run(context: &Context, args: UpArgs) -> Result<(), LabError> {
    let (mut network, created) = prepare(context, &args)?;
    let _lock = network.lock()?;
    let all: Vec<usize> = (0..network.peers().len()).collect();
    let ready = tokio::select! {
        result = start(context, &mut network, &all, &args) => result,
        () = super::interrupted() => Err(LabError::Interrupted),
    };
    if let Err(error) = ready {
        // What is half started is of no use to anybody. The first error is the one to report.
        let _ = network.stop(&all, STOP_GRACE).await;
        return Err(error);
    }
    let view = status::view(&network).await;
    let started = Started { created, dir: network.dir().to_owned(), network: view };
    if args.detach {
        context.shell.result(&started, || welcome(context, &network, &started));
        return Ok(());
    }
    if context.shell.json {
        context.shell.json_line(&started);
    } else {
        context.shell.print(&welcome(context, &network, &started));
    }
    let fork = tokio::select! {
        fork = live(context, &mut network) => fork,
        () = super::interrupted() => {
            context.shell.say("\nStopping ...");
            None
        }
    };
    let stopped = network.stop(&all, STOP_GRACE).await.map(|_| ());
    fork.map_or(stopped, |fork| Err(fork.error()))
}

/// `synod down`.
pub(super) async fn down(context: &Context) -> Result<(), LabError> {
    let mut network = context.network()?;
    let running: Vec<usize> =
        (0..network.peers().len()).filter(|place| network.state(*place).pid().is_some()).collect();
    let killed = network.stop(&running, STOP_GRACE).await?;
    let names = |places: &[usize]| places.iter().map(|place| network.peers()[*place].name.clone()).collect::<Vec<_>>();
    let result = Stopped { stopped: names(&running), killed: names(&killed) };
    context.shell.result(&result, || match result.stopped.len() {
        0 => "nothing was running".to_owned(),
        count if result.killed.is_empty() => format!("stopped {count} peers"),
        count => format!("stopped {count} peers; these had to be killed: {}", result.killed.join(", ")),
    });
    Ok(())
}

/// The network in the directory, made where there is none. Whether it was made.
fn prepare(context: &Context, args: &UpArgs) -> Result<(Network, bool), LabError> {
    let base = args.config.as_deref().map(Settings::load).transpose()?;
    match context.network() {
        Ok(mut network) => {
            let current = network.manifest().settings.clone();
            let wanted = args.apply(base.unwrap_or_else(|| current.clone()));
            check_same_chain(&current, &wanted)?;
            let running = network.running_count();
            if running > 0 {
                return Err(LabError::AlreadyRunning { running, total: network.peers().len() });
            }
            network.check_files(&(0..network.peers().len()).collect::<Vec<_>>())?;
            network.reconfigure(wanted)?;
            Ok((network, false))
        }
        Err(LabError::NoNetwork { .. }) => {
            let settings = args.apply(base.unwrap_or_default());
            Ok((Network::create(&context.dir, &settings, &program()?)?, true))
        }
        Err(error) => Err(error),
    }
}

impl UpArgs {
    fn apply(&self, mut settings: Settings) -> Settings {
        settings.nodes = self.nodes.map_or(settings.nodes, usize::from);
        settings.consensus = self.consensus.unwrap_or(settings.consensus);
        settings.light = self.light.unwrap_or(settings.light);
        settings.slasher &= !self.no_slasher;
        settings.validators = self.validators.unwrap_or(settings.validators);
        settings.hash_rate = self.hash_rate.unwrap_or(settings.hash_rate);
        settings.block_time = self.block_time.unwrap_or(settings.block_time);
        settings.transport = self.transport.unwrap_or(settings.transport);
        settings.gossip = self.gossip.unwrap_or(settings.gossip);
        settings.dht = self.dht.clone().map_or(settings.dht, |kinds| kinds.0);
        settings.search = self.search.clone().map_or(settings.search, |kinds| kinds.0);
        settings.adversaries.extend(self.adversaries.iter().cloned());
        settings.adversaries.retain(|_, behaviour| behaviour != Behaviour::Honest.name());
        settings
    }
}

/// What is named in a list with commas.
#[derive(Clone, Debug)]
struct Kinds<T>(Vec<T>);

fn dht(text: &str) -> Result<Kinds<DhtKind>, String> {
    kinds(text, &DhtKind::ALL, DhtKind::name)
}

fn search(text: &str) -> Result<Kinds<SearchKind>, String> {
    kinds(text, &SearchKind::ALL, SearchKind::name)
}

fn kinds<T: Copy + Ord>(text: &str, all: &[T], name: fn(T) -> &'static str) -> Result<Kinds<T>, String> {
    let one = |word: &str| all.iter().copied().find(|kind| name(*kind) == word);
    let mut kinds = match text {
        "all" => all.to_vec(),
        "none" => Vec::new(),
        list => list.split(',').map(one).collect::<Option<Vec<T>>>().ok_or_else(|| {
            let names: Vec<&str> = all.iter().map(|kind| name(*kind)).collect();
            format!("expected a list of {}, or all, or none", names.join(", "))
        })?,
    };
    kinds.sort_unstable();
    kinds.dedup();
    Ok(Kinds(kinds))
}

/// `PEER=BEHAVIOUR`. Whether there is such a peer is seen when the settings are complete.
fn adversary(text: &str) -> Result<(String, String), String> {
    let (peer, behaviour) = text.split_once('=').ok_or("expected PEER=BEHAVIOUR, as peer3=equivocator")?;
    if !adversaries().any(|known| known == behaviour) {
        let known: Vec<&str> = adversaries().collect();
        return Err(format!("there is no behaviour {behaviour}; there are {}", known.join(", ")));
    }
    Ok((peer.to_owned(), behaviour.to_owned()))
}

/// Whether the wanted settings go with the chain there is: hash rate, transport, gossip, overlays, who keeps
/// headers alone and who is not honest may change, nothing else.
fn check_same_chain(current: &Settings, wanted: &Settings) -> Result<(), LabError> {
    wanted.check()?;
    let differ = |option, expected: String, got: String| Err(LabError::Contradiction { option, expected, got });
    if wanted.nodes != current.nodes {
        return differ("nodes", current.nodes.to_string(), wanted.nodes.to_string());
    }
    // Who votes is in the genesis.
    if wanted.validator_count() != current.validator_count() {
        let count = |settings: &Settings| settings.validator_count().to_string();
        return differ("validators", count(current), count(wanted));
    }
    if wanted.block_time != current.block_time {
        let show = units::show_duration;
        return differ("block_time", show(current.block_time), show(wanted.block_time));
    }
    let mut same = wanted.clone();
    (same.hash_rate, same.transport, same.gossip) = (current.hash_rate, current.transport, current.gossip);
    same.adversaries.clone_from(&current.adversaries);
    same.dht.clone_from(&current.dht);
    same.search.clone_from(&current.search);
    same.light = current.light;
    if same != *current {
        let show = |settings: &Settings| format!("{settings:?}");
        return differ("settings", show(current), show(&same));
    }
    Ok(())
}

async fn start(context: &Context, network: &mut Network, all: &[usize], args: &UpArgs) -> Result<(), LabError> {
    let bar = context.shell.spinner("starting");
    let total = all.len();
    for &place in all {
        network.start(place, !args.detach)?;
    }
    network.wait_ready(all, args.timeout, |ready| bar.set_message(format!("{ready} of {total} peers started"))).await?;
    let connected = watch::wait_connected(network, all, args.timeout, |found, agree| {
        let tip = if agree { ", one tip" } else { "" };
        bar.set_message(format!("{found} of {total} peers have found others{tip}"));
    });
    connected.await?;
    bar.finish_and_clear();
    Ok(())
}

fn welcome(context: &Context, network: &Network, started: &Started) -> String {
    let settings = &network.manifest().settings;
    let what = if started.created { "A new network" } else { "The network" };
    let dir = if context.dir.as_os_str() == DEFAULT_DIR {
        String::new()
    } else {
        format!(" --dir {}", context.dir.display())
    };
    format!(
        "{what} of {} peers runs in {} (chain {}, {}).\n\
         Try next{}:\n  \
         synod status{dir}\n  \
         synod tx send --from alice --to bob --amount 12.5 --wait 3{dir}\n  \
         synod wallet balance bob --all{dir}\n  \
         synod load --rate 50 --duration 60s{dir}\n  \
         synod fault partition peer1,peer2{dir}, synod chain --tree{dir}, synod fault heal{dir}\n  \
         synod down{dir}\n",
        network.peers().len(),
        network.dir().display(),
        network.manifest().chain_id,
        makers(settings),
        if started.created { " (alice, bob, carol, dave and erin own coins)" } else { "" },
    )
}

/// Who makes its blocks, and when.
fn makers(settings: &Settings) -> String {
    let block_time = units::show_duration(settings.block_time);
    match settings.consensus {
        Consensus::Pbft => format!("{} validators, a block when payments wait", settings.validator_count()),
        Consensus::Pos => format!("a stake each, a block every {block_time}"),
        Consensus::Pow => format!("{} H/s each, a block every {block_time}", format_hash_rate(settings.hash_rate)),
    }
}

/// Shows the network until nothing of it runs: a table that is redrawn on a terminal, else a line for each change. Two blocks
/// that were agreed on at one height end it, and are shown.
async fn live(context: &Context, network: &mut Network) -> Option<Fork> {
    let mut screen = status::Screen::new(context.shell);
    let mut last = None;
    loop {
        for place in 0..network.peers().len() {
            // Children of ours that others killed must be collected.
            network.has_ended(place);
        }
        let view = status::view(network).await;
        if view.peers.iter().all(|peer| peer.pid.is_none()) {
            context.shell.say("The network was stopped.");
            return None;
        }
        if context.shell.terminal && !context.shell.json {
            screen.draw(&format!("{}\n\nCtrl-C stops the network.", status::table(context.shell, &view)));
        } else {
            let key = summary_key(&view);
            if last.as_ref() != Some(&key) {
                if context.shell.json {
                    context.shell.json_line(&view)
                } else {
                    context.shell.print(&summary(&view))
                }
                last = Some(key);
            }
        }
        if let Some(fork) = view.fork() {
            if !context.shell.json && !context.shell.terminal {
                context.shell.print(&fork.text());
            }
            return Some(fork);
        }
        tokio::time::sleep(REDRAW).await;
    }
}

type SummaryKey = (usize, Option<Height>, Option<BlockId>);

fn summary_key(view: &NetworkView) -> SummaryKey {
    (view.ready(), view.height_max, view.tip)
}

fn summary(view: &NetworkView) -> String {
    let tip = view.tip.map_or("no common tip".to_owned(), |tip| format!("tip {}", short(tip)));
    let height = view.height_max.map_or("-".to_owned(), |height| height.to_string());
    format!(
        "{} of {} peers, height {height}, {tip}, {} payments waiting",
        view.ready(),
        view.peers.len(),
        view.waiting()
    )
}

/// How often the table is redrawn.
const REDRAW: Duration = Duration::from_secs(1);
/// `--dir` when nothing is said; hints leave it out then.
const DEFAULT_DIR: &str = ".synod/net";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hash_rate_transport_and_gossip_may_change() {
        let current = Settings::default();
        let faster = Settings { hash_rate: 9, transport: Transport::Both, gossip: Gossip::Mesh, ..current.clone() };
        assert!(check_same_chain(&current, &faster).is_ok());
        let mut richer = current.clone();
        richer.wallets[0].coins = 7;
        for (wanted, option) in [
            (Settings { nodes: 6, ..current.clone() }, "nodes"),
            (Settings { block_time: Duration::from_secs(3), ..current.clone() }, "block_time"),
            (richer, "settings"),
        ] {
            let error = check_same_chain(&current, &wanted).expect_err("refused");
            assert_eq!(error.exit(), crate::exit::Exit::Config);
            assert!(error.to_string().contains(option), "{error}");
        }
    }
}
