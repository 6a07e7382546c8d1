//! `synod fault`: breaking a running network, and mending it.

use std::time::Duration;

use clap::Subcommand;
use futures::future::join_all;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use synod_node::api::types::{Faults, Shape};

use super::context::Context;
use crate::error::LabError;
use crate::faults;
use crate::network::{Network, PeerState};
use crate::settings::Transport;
use crate::shell::render;
use crate::units::{self, show_duration};

/// `synod fault`.
#[derive(Debug, Subcommand)]
pub(super) enum FaultCommand {
    /// Cut peers off from each other
    #[command(after_help = "\
Example:
  synod fault partition peer1,peer2           # against the rest
  synod fault partition 'peer1,peer2|peer3|rest'")]
    Partition {
        /// The sides: lists of peers with | between them; `rest` is everybody not named
        sides: String,
    },
    /// Take away every cut, delay, loss and bandwidth limit, and let miners go on
    #[command(after_help = "Example:\n  synod fault heal")]
    Heal {
        /// Whose: a list of peers, or all
        #[arg(default_value = "all")]
        peers: String,
    },
    /// Delay what peers send and receive; 0ms takes it away
    #[command(after_help = "Example:\n  synod fault delay peer1,peer2 50ms --jitter 10ms")]
    Delay {
        /// A list of peers, or all
        peers: String,
        /// Added in each direction
        #[arg(value_parser = units::duration)]
        delay: Duration,
        /// It varies by up to this much either way
        #[arg(long, value_name = "TIME", default_value = "0ms", value_parser = units::duration)]
        jitter: Duration,
    },
    /// Lose a share of peers' packets; above TCP each loss is a stall. 0 takes it away
    #[command(after_help = "Example:\n  synod fault loss peer3 0.01")]
    Loss {
        /// A list of peers, or all
        peers: String,
        /// The share, from 0 to 1
        #[arg(value_parser = units::share, allow_negative_numbers = true)]
        share: f64,
    },
    /// Limit what peers can send and receive, in bytes per second; `none` takes it away
    #[command(after_help = "Example:\n  synod fault bandwidth all 500k")]
    Bandwidth {
        /// A list of peers, or all
        peers: String,
        /// The limit
        #[arg(value_parser = limit)]
        rate: Limit,
    },
    /// Let peers' miners rest, until they are healed: they follow the chain and look for no block
    #[command(after_help = "Example:\n  synod fault rest peer1,peer2")]
    Rest {
        /// A list of peers, or all
        peers: String,
    },
    /// Show what is wrong with peers and their links
    #[command(after_help = "Example:\n  synod fault show")]
    Show,
    /// Stop peers' processes where they are (SIGSTOP)
    #[command(after_help = "Example:\n  synod fault pause peer2")]
    Pause {
        /// A list of peers, or all
        peers: String,
    },
    /// Let paused peers go on (SIGCONT)
    #[command(after_help = "Example:\n  synod fault resume peer2")]
    Resume {
        /// A list of peers, or all
        peers: String,
    },
    /// Kill peers without warning (SIGKILL)
    #[command(after_help = "Example:\n  synod fault kill peer1,peer4")]
    Kill {
        /// A list of peers, or all
        peers: String,
    },
    /// Start peers again, stopping them first if they run, and wait until they are ready
    #[command(after_help = "Example:\n  synod fault restart peer1,peer4")]
    Restart {
        /// A list of peers, or all
        peers: String,
        /// How long they may take
        #[arg(long, value_name = "TIME", default_value = "1m", value_parser = units::duration)]
        timeout: Duration,
    },
}

/// A bandwidth, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limit(Option<u64>);

fn limit(text: &str) -> Result<Limit, units::UnitError> {
    if text == "none" { Ok(Limit(None)) } else { units::byte_rate(text).map(|rate| Limit(Some(rate))) }
}

pub(super) async fn run(context: &Context, command: FaultCommand) -> Result<(), LabError> {
    let mut network = context.network()?;
    let places = |text: &str| faults::peers(text, &network.names());
    let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    match command {
        FaultCommand::Partition { sides } => partition(context, &network, &sides).await,
        FaultCommand::Heal { peers } => {
            let chosen = ready(&network, &places(&peers)?);
            change(&network, &chosen, |_, faults| *faults = Faults::default()).await?;
            say(context, &network, "heal", &chosen, "healed")
        }
        FaultCommand::Delay { peers, delay, jitter } => {
            let chosen = all_shapeable(&network, places(&peers)?)?;
            let set = |_, faults: &mut Faults| {
                (faults.default.delay_ms, faults.default.jitter_ms) = (millis(delay), millis(jitter));
            };
            change(&network, &chosen, set).await?;
            say(context, &network, "delay", &chosen, &format!("delayed by {}:", show_duration(delay)))
        }
        FaultCommand::Loss { peers, share } => {
            let chosen = all_shapeable(&network, places(&peers)?)?;
            change(&network, &chosen, |_, faults| faults.default.loss = share).await?;
            say(context, &network, "loss", &chosen, &format!("losing {} %:", share * 100.0))
        }
        FaultCommand::Bandwidth { peers, rate } => {
            let chosen = all_shapeable(&network, places(&peers)?)?;
            let rate = rate.0.unwrap_or(0);
            change(&network, &chosen, |_, faults| faults.default.bandwidth_bytes_per_s = rate).await?;
            say(context, &network, "bandwidth", &chosen, "limited:")
        }
        FaultCommand::Rest { peers } => {
            let chosen = ready(&network, &places(&peers)?);
            change(&network, &chosen, |_, faults| faults.resting = true).await?;
            say(context, &network, "rest", &chosen, "resting:")
        }
        FaultCommand::Show => show(context, &network).await,
        FaultCommand::Pause { peers } => {
            let chosen = places(&peers)?;
            signal(&network, &chosen, Signal::SIGSTOP)?;
            say(context, &network, "pause", &chosen, "paused")
        }
        FaultCommand::Resume { peers } => {
            let chosen = places(&peers)?;
            signal(&network, &chosen, Signal::SIGCONT)?;
            say(context, &network, "resume", &chosen, "resumed")
        }
        FaultCommand::Kill { peers } => {
            let chosen = places(&peers)?;
            for &place in &chosen {
                network.kill(place).await?;
            }
            say(context, &network, "kill", &chosen, "killed")
        }
        FaultCommand::Restart { peers, timeout } => {
            let chosen = places(&peers)?;
            let bar = context.shell.spinner("restarting");
            network.restart(&chosen, timeout).await?;
            bar.finish_and_clear();
            say(context, &network, "restart", &chosen, "restarted")
        }
    }
}

async fn partition(context: &Context, network: &Network, text: &str) -> Result<(), LabError> {
    let names = network.names();
    let sides = faults::sides(text, &names)?;
    let all: Vec<usize> = (0..names.len()).collect();
    // Both ends of a link cut it: a peer that is down now needs no cut of its own when it comes back.
    let chosen = ready(network, &all);
    change(network, &chosen, |place, faults| {
        let others = all.iter().filter(|other| sides[**other] != sides[place]);
        faults.cut = others.map(|other| network.peers()[*other].peer_id.clone()).collect();
    })
    .await?;
    let count = sides.iter().max().map_or(0, |side| side + 1);
    let lists: Vec<Vec<&str>> = (0..count)
        .map(|side| all.iter().filter(|place| sides[**place] == side).map(|place| names[*place]).collect())
        .filter(|list: &Vec<&str>| !list.is_empty())
        .collect();
    context.shell.result(&json!({ "fault": "partition", "sides": lists }), || {
        let sides: Vec<String> = lists.iter().map(|list| list.join(", ")).collect();
        format!("cut: {}", sides.join("  |  "))
    });
    Ok(())
}

async fn show(context: &Context, network: &Network) -> Result<(), LabError> {
    let all: Vec<usize> = (0..network.peers().len()).collect();
    let asked = ready(network, &all).into_iter().map(|place| async move {
        let name = network.peers()[place].name.as_str();
        let faults = network.client(place).faults().await.map_err(|error| LabError::api(name, error))?;
        Ok((name, faults))
    });
    let shown: Vec<(&str, Faults)> = join_all(asked).await.into_iter().collect::<Result<_, LabError>>()?;
    let values: Vec<Value> = shown.iter().map(|(name, faults)| json!({ "peer": name, "faults": faults })).collect();
    context.shell.result(&json!({ "peers": values }), || {
        let mut table = context.shell.table(&[
            "PEER",
            "CUT FROM",
            "#DELAY MS",
            "#JITTER MS",
            "#LOSS",
            "#BYTES/S",
            "#SHAPED LINKS",
            "MINER",
        ]);
        for (name, faults) in &shown {
            let cut = network.peers().iter().filter(|entry| faults.cut.contains(&entry.peer_id));
            let cut: Vec<&str> = cut.map(|entry| entry.name.as_str()).collect();
            let Shape { delay_ms, jitter_ms, loss, bandwidth_bytes_per_s } = faults.default;
            let numbers = [delay_ms.to_string(), jitter_ms.to_string(), loss.to_string()];
            let mut row = vec![(*name).to_owned(), if cut.is_empty() { "-".to_owned() } else { cut.join(",") }];
            row.extend(numbers);
            row.extend([bandwidth_bytes_per_s.to_string(), faults.links.len().to_string()]);
            row.push(if faults.resting { "rests" } else { "-" }.to_owned());
            table.add_row(row);
        }
        render(&table)
    });
    Ok(())
}

/// Changes the faults of every chosen peer, all at once.
async fn change(network: &Network, chosen: &[usize], set: impl Fn(usize, &mut Faults)) -> Result<(), LabError> {
    let set = &set;
    let changes = chosen.iter().map(|&place| async move {
        let (client, name) = (network.client(place), &network.peers()[place].name);
        let failed = |error| LabError::api(name, error);
        let mut faults = client.faults().await.map_err(failed)?;
        set(place, &mut faults);
        client.set_faults(&faults).await.map_err(failed)
    });
    join_all(changes).await.into_iter().try_for_each(|result| result.map(|_| ()))
}

/// Those of the peers that can be talked to.
fn ready(network: &Network, places: &[usize]) -> Vec<usize> {
    places.iter().copied().filter(|place| matches!(network.state(*place), PeerState::Ready(_))).collect()
}

/// The peers, all of which must be running, in a network whose links can be shaped.
fn all_shapeable(network: &Network, places: Vec<usize>) -> Result<Vec<usize>, LabError> {
    // A peer that shapes its links closes those over QUIC: every link of such a network would be cut.
    if network.manifest().settings.transport == Transport::Quic {
        return Err(LabError::FaultsNeedTcp);
    }
    for &place in &places {
        let peer = || network.peers()[place].name.clone();
        match network.state(place) {
            PeerState::Ready(_) => {}
            PeerState::Paused { .. } => return Err(LabError::Paused { peer: peer() }),
            PeerState::Starting { .. } | PeerState::Stopped => return Err(LabError::NotRunning { peer: peer() }),
        }
    }
    Ok(places)
}

fn signal(network: &Network, places: &[usize], signal: Signal) -> Result<(), LabError> {
    for &place in places {
        if !network.signal(place, signal)? {
            return Err(LabError::NotRunning { peer: network.peers()[place].name.clone() });
        }
    }
    Ok(())
}

fn say(context: &Context, network: &Network, fault: &str, places: &[usize], done: &str) -> Result<(), LabError> {
    let names: Vec<&str> = places.iter().map(|place| network.peers()[*place].name.as_str()).collect();
    context.shell.result(&json!({ "fault": fault, "peers": names }), || format!("{done} {}", names.join(", ")));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    #[test]
    fn links_over_quic_alone_are_not_shaped() {
        let base = tempfile::tempdir().expect("a directory");
        let settings = Settings { transport: Transport::Quic, ..Settings::default() };
        let network = Network::create(&base.path().join("net"), &settings, "unused".as_ref()).expect("made");
        let error = all_shapeable(&network, vec![0]).expect_err("refused");
        assert_eq!((error.code(), error.exit()), ("faults_need_tcp", crate::exit::Exit::Setup));
    }

    #[test]
    fn a_bandwidth_can_be_none() {
        assert_eq!(limit("none"), Ok(Limit(None)));
        assert_eq!(limit("2M"), Ok(Limit(Some(2_000_000))));
        assert!(limit("fast").is_err());
    }
}
