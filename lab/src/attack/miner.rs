//! The attacker's own node: a real process that mines with its declared share of the hash rate.

use std::path::{Path, PathBuf};

use synod_ledger::Address;
use synod_machine::Count;
use synod_node::api::client::{Client, ClientError};
use synod_node::api::types::{Faults, Status};
use synod_node::config::MiningConfig;

use super::arena::{Arena, PATIENCE};
use crate::LabError;
use crate::create::listen_addresses;
use crate::settings::Transport;
use crate::solo::{self, Node, Solo};

/// What messages call it.
pub(super) const NAME: &str = "the attacker's node";
/// The folder of attackers in a network's directory.
const FOLDER: &str = "attackers";

/// The attacker's node. Its process ends with it.
pub(super) struct Miner {
    client: Client,
    /// Its key, its store and its log.
    folder: PathBuf,
    /// Until it is dropped.
    node: Option<Node>,
}

/// Nothing of it is left behind.
impl Drop for Miner {
    fn drop(&mut self) {
        drop(self.node.take());
        // What cannot be removed is in nobody's way.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Miner {
    /// Starts a node that mines with `share` of all hash power, its own counted, and joins the network.
    pub(super) async fn start(arena: &Arena, program: &Path, address: Address, share: f64) -> Result<Self, LabError> {
        let miner = Self::start_as(None, arena, program, address, share).await?;
        arena.wait_one_tip(&[&miner.client], PATIENCE).await?;
        Ok(miner)
    }

    /// The same of a node that may behave otherwise, and may have a tip of its own.
    pub(super) async fn start_as(
        adversary: Option<&str>,
        arena: &Arena,
        program: &Path,
        address: Address,
        share: f64,
    ) -> Result<Self, LabError> {
        let honest = arena.network.manifest().settings.hash_rate.saturating_mul(arena.mining() as u64);
        let hash_rate = (honest as f64 * share / (1.0 - share)).round() as u64;
        let mining = Some(MiningConfig { address, hash_rate, threads: 1 });
        let folder = arena.network.dir().join(FOLDER).join(std::process::id().to_string());
        let (node, client) = launch(&folder, arena, program, mining, adversary).await?;
        let miner = Self { client, folder, node: Some(node) };
        arena.wait_met(NAME, &miner.client).await?;
        Ok(miner)
    }

    /// Starts it anew from its disk, honest and without mining: what it kept back is out, and all are on one tip.
    pub(super) async fn come_clean(&mut self, arena: &Arena, program: &Path) -> Result<(), LabError> {
        self.end();
        let (node, client) = launch(&self.folder, arena, program, None, None).await?;
        (self.node, self.client) = (Some(node), client);
        arena.wait_joined(NAME, &self.client).await
    }

    /// Ends its process.
    pub(super) fn end(&mut self) {
        drop(self.node.take());
    }

    /// Its client.
    pub(super) const fn client(&self) -> &Client {
        &self.client
    }

    /// Its status.
    pub(super) async fn status(&self) -> Result<Status, LabError> {
        self.client.status().await.map_err(Self::failed)
    }

    /// It did not answer, or not as it should.
    pub(super) fn failed(error: ClientError) -> LabError {
        LabError::api(NAME, error)
    }

    /// Lets it rest, or go on.
    pub(super) async fn rest(&self, resting: bool) -> Result<(), LabError> {
        let faults = self.client.faults().await.map_err(Self::failed)?;
        self.client.set_faults(&Faults { resting, ..faults }).await.map(|_| ()).map_err(Self::failed)
    }

    /// What it has sent so far.
    pub(super) async fn sent(&self) -> Result<Count, LabError> {
        let page = self.client.metrics().await.map_err(|error| LabError::api(NAME, error))?;
        Ok(crate::real::sent(&page))
    }
}

/// Starts a process in `folder`, on the disk that it finds there, if there is one.
async fn launch(
    folder: &Path,
    arena: &Arena,
    program: &Path,
    mining: Option<MiningConfig>,
    adversary: Option<&str>,
) -> Result<(Node, Client), LabError> {
    let settings = &arena.network.manifest().settings;
    let bootstrap = arena.full.iter().flat_map(|&place| {
        let entry = &arena.network.peers()[place];
        let addresses = listen_addresses(settings.transport, entry.port);
        addresses.into_iter().map(|address| format!("{address}/p2p/{}", entry.peer_id))
    });
    let node = Solo {
        adversary: adversary.map(str::to_owned),
        bootstrap: bootstrap.collect(),
        // It meets nobody but those that it attacks.
        closed: true,
        faults: true,
        gossip: settings.gossip.kind(),
        mining,
        neighbours: arena.full.len(),
        quic: settings.transport == Transport::Quic,
    };
    let config = solo::write_config(folder, arena.genesis(), node)?;
    let node = Node::start(program, &config)?;
    let run = node.ready().await?;
    Ok((node, Client::new(&run.api.to_string())))
}
