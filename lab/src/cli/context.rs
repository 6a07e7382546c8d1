//! What most commands need: the directory, a way to talk, a peer to ask.

use std::path::PathBuf;

use synod_node::api::client::Client;
use synod_node::api::types::Status;
use zeroize::Zeroizing;

use crate::error::LabError;
use crate::network::{Network, PeerState};
use crate::shell::Shell;
use crate::wallets::{PassphraseSource, Wallets};

/// The surroundings of a command.
pub(super) struct Context {
    /// How it talks.
    pub(super) shell: Shell,
    /// The network's directory.
    pub(super) dir: PathBuf,
}

/// A peer that answered.
pub(super) struct Reached {
    /// Its name.
    pub(super) name: String,
    /// Its API.
    pub(super) client: Client,
    /// What it said.
    pub(super) status: Status,
}

/// A peer that did not answer.
#[derive(Clone, Debug, serde::Serialize)]
pub(super) struct Missing {
    /// Its name.
    pub(super) peer: String,
    /// Why not.
    pub(super) error: String,
}

/// Which peer to ask.
#[derive(Debug, clap::Args)]
pub(super) struct PeerArg {
    /// The peer to ask: its name, or its API's address as 127.0.0.1:8001 [default: the first that answers]
    #[arg(long, value_name = "PEER")]
    pub(super) peer: Option<String>,
}

/// Where a passphrase comes from.
#[derive(Debug, Default, clap::Args)]
pub(super) struct PassphraseArg {
    /// A file whose first line is the wallet's passphrase; the variable SYNOD_PASSPHRASE works too
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl PassphraseArg {
    pub(super) fn source(&self) -> PassphraseSource {
        let given = std::env::var("SYNOD_PASSPHRASE").ok().map(Zeroizing::new);
        PassphraseSource { file: self.passphrase_file.clone(), given }
    }
}

impl Context {
    /// The network in the directory.
    pub(super) fn network(&self) -> Result<Network, LabError> {
        Network::open(&self.dir, &program()?)
    }

    /// The directory's wallets.
    pub(super) fn wallets(&self) -> Wallets {
        Wallets::of(&self.dir)
    }

    /// The wanted peer, or the first of the network that answers.
    pub(super) async fn reach(&self, wanted: &PeerArg) -> Result<Reached, LabError> {
        if let Some(address) = wanted.peer.as_deref().filter(|peer| peer.contains(':')) {
            return ask(address.to_owned(), Client::new(address)).await;
        }
        let network = self.network()?;
        if let Some(name) = &wanted.peer {
            let place = network.find(name)?;
            return ask_place(&network, place).await;
        }
        let mut last = String::from("there is none");
        for place in 0..network.peers().len() {
            match ask_place(&network, place).await {
                Ok(reached) => return Ok(reached),
                Err(error) => last = error.to_string(),
            }
        }
        Err(LabError::NoPeerAnswers { last })
    }

    /// Every peer of the network, or its name and why it does not answer. At least one does.
    pub(super) async fn reach_all(&self) -> Result<Vec<Result<Reached, Missing>>, LabError> {
        let network = self.network()?;
        let network = &network;
        let answers = network.peers().iter().enumerate().map(|(place, entry)| async move {
            let answer = ask_place(network, place).await;
            answer.map_err(|error| Missing { peer: entry.name.clone(), error: error.to_string() })
        });
        let answers = futures::future::join_all(answers).await;
        if answers.iter().any(Result::is_ok) {
            return Ok(answers);
        }
        let last = answers.into_iter().filter_map(Result::err).next_back();
        Err(LabError::NoPeerAnswers { last: last.map_or("there is none".to_owned(), |missing| missing.error) })
    }
}

/// Refuses a paused peer: its system accepts connections for it, so that only the time limit would end a question.
pub(super) fn check_goes(network: &Network, place: usize) -> Result<(), LabError> {
    match network.state(place) {
        PeerState::Paused { .. } => Err(LabError::Paused { peer: network.peers()[place].name.clone() }),
        PeerState::Ready(_) | PeerState::Starting { .. } | PeerState::Stopped => Ok(()),
    }
}

/// This program: peers are run by the same.
pub(super) fn program() -> Result<PathBuf, LabError> {
    std::env::current_exe().map_err(|error| LabError::io("synod".as_ref(), error))
}

async fn ask_place(network: &Network, place: usize) -> Result<Reached, LabError> {
    check_goes(network, place)?;
    ask(network.peers()[place].name.clone(), network.client(place)).await
}

async fn ask(name: String, client: Client) -> Result<Reached, LabError> {
    match client.status().await {
        Ok(status) => Ok(Reached { name, client, status }),
        Err(error) => Err(LabError::api(&name, error)),
    }
}
