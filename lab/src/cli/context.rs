//! What most commands need: the directory, a way to talk, a peer to ask.

use std::path::PathBuf;

use synod_node::api::client::Client;
use synod_node::api::types::Status;
use zeroize::Zeroizing;

use crate::error::LabError;
use crate::network::Network;
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
            return ask(name.clone(), network.client(network.find(name)?)).await;
        }
        let mut last = String::from("there is none");
        for (place, entry) in network.peers().iter().enumerate() {
            match ask(entry.name.clone(), network.client(place)).await {
                Ok(reached) => return Ok(reached),
                Err(error) => last = error.to_string(),
            }
        }
        Err(LabError::NoPeerAnswers { last })
    }

    /// Every peer of the network that answers.
    pub(super) async fn reach_all(&self) -> Result<Vec<Reached>, LabError> {
        let network = self.network()?;
        let asked = network.peers().iter().enumerate();
        let answers = asked.map(|(place, entry)| ask(entry.name.clone(), network.client(place)));
        let mut last = String::from("there is none");
        let mut reached = Vec::new();
        for answer in futures::future::join_all(answers).await {
            match answer {
                Ok(peer) => reached.push(peer),
                Err(error) => last = error.to_string(),
            }
        }
        if reached.is_empty() { Err(LabError::NoPeerAnswers { last }) } else { Ok(reached) }
    }
}

/// This program: peers are run by the same.
pub(super) fn program() -> Result<PathBuf, LabError> {
    std::env::current_exe().map_err(|error| LabError::io("synod".as_ref(), error))
}

async fn ask(name: String, client: Client) -> Result<Reached, LabError> {
    match client.status().await {
        Ok(status) => Ok(Reached { name, client, status }),
        Err(error) => Err(LabError::api(&name, error)),
    }
}
