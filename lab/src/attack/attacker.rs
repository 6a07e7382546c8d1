//! Who mounts a double spend: a node of the attacker's own with its hash power, or peers of the network with their stakes. They act as one.
//!
//! They are honest programs that are cut off from all others: what they make then is a private branch, and the end of the cut
//! releases it.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use futures::future::try_join_all;
use synod_ledger::{Address, Amount, Tx};
use synod_machine::Count;
use synod_node::api::client::{Client, ClientError};
use synod_node::api::types::{Faults, Status};

use super::arena::{Arena, is_passing};
use super::miner::Miner;
use crate::LabError;

/// The attacker's nodes.
pub(super) struct Attacker {
    /// The first speaks for all.
    nodes: Vec<Member>,
    /// Who is paid for their blocks.
    paid: BTreeSet<Address>,
    /// A node that is none of the network's peers.
    own: Option<Miner>,
}

struct Member {
    /// What messages call it.
    name: String,
    client: Client,
    /// Which of the network's peers it is.
    place: Option<usize>,
}

/// What the attacker has spent and has left.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Means {
    /// Hashes of its nodes so far.
    pub(super) hashes: u64,
    /// What they have sent so far.
    pub(super) sent: Count,
    /// Their stakes, as the merchant's peer sees them.
    pub(super) stake: Amount,
}

impl Member {
    fn failed(&self, error: ClientError) -> LabError {
        LabError::api(&self.name, error)
    }

    /// Cuts it off from these peers, and from nobody else; delays and losses are its links' own.
    async fn cut(&self, cut: Vec<String>) -> Result<(), LabError> {
        let faults = self.client.faults().await.map_err(|error| self.failed(error))?;
        let set = self.client.set_faults(&Faults { cut, ..faults }).await;
        set.map(|_| ()).map_err(|error| self.failed(error))
    }

    async fn means(&self, arena: &Arena) -> Result<Means, LabError> {
        let page = self.client.metrics().await.map_err(|error| self.failed(error))?;
        let stake = match self.place {
            Some(place) => arena.stake(place).await?.map_or(Amount::ZERO, |stake| stake.locked),
            None => Amount::ZERO,
        };
        Ok(Means { hashes: self.status().await?.hashes_total, sent: crate::real::sent(&page), stake })
    }

    async fn status(&self) -> Result<Status, LabError> {
        self.client.status().await.map_err(|error| self.failed(error))
    }
}

impl Attacker {
    /// A node of its own that mines with `share` of all hash power, its own counted.
    pub(super) async fn with_work(arena: &Arena, program: &Path, share: f64) -> Result<Self, LabError> {
        let miner = Miner::start(arena, program, arena.attacker(), share).await?;
        let member = Member { name: super::miner::NAME.to_owned(), client: miner.client().clone(), place: None };
        Ok(Self { nodes: vec![member], paid: BTreeSet::from([arena.attacker()]), own: Some(miner) })
    }

    /// These peers of the network.
    pub(super) fn with_stakes(arena: &Arena, places: &[usize]) -> Self {
        let member = |&place: &usize| Member {
            name: arena.name(place).to_owned(),
            client: arena.client(place),
            place: Some(place),
        };
        let paid = places.iter().map(|&place| arena.network.peers()[place].miner).collect();
        Self { nodes: places.iter().map(member).collect(), paid, own: None }
    }

    fn first(&self) -> &Member {
        self.nodes.first().expect("an attacker has a node")
    }

    /// The client of the one that speaks for all.
    pub(super) fn client(&self) -> &Client {
        &self.first().client
    }

    /// Who is paid for its blocks.
    pub(super) const fn paid(&self) -> &BTreeSet<Address> {
        &self.paid
    }

    /// The status of the one that speaks for all.
    pub(super) async fn status(&self) -> Result<Status, LabError> {
        self.first().status().await
    }

    /// What it has spent and has left.
    pub(super) async fn means(&self, arena: &Arena) -> Result<Means, LabError> {
        let mut all = Means::default();
        for means in try_join_all(self.nodes.iter().map(|node| node.means(arena))).await? {
            let Means { hashes, sent, stake } = means;
            all.hashes += hashes;
            all.sent.messages += sent.messages;
            all.sent.bytes += sent.bytes;
            all.stake = all.stake.checked_add(stake).unwrap_or(Amount::MAX);
        }
        Ok(all)
    }

    /// Ends the cut, waits until all are on one tip with the others, and lets its miners go on.
    pub(super) async fn join(&self, arena: &Arena, limit: Duration) -> Result<(), LabError> {
        self.release().await?;
        if let Some(own) = &self.own {
            arena.wait_met(super::miner::NAME, own.client()).await?;
        }
        let clients: Vec<&Client> = self.nodes.iter().map(|node| &node.client).collect();
        arena.wait_one_tip(&clients, limit).await?;
        // Not before: what it would find on its own branch could undo what the attack came to.
        self.rest(false).await
    }

    /// From now on nobody hears it, and it hears nobody, but those at these places.
    pub(super) async fn hide(&self, arena: &Arena, but: &[usize]) -> Result<(), LabError> {
        let others = arena.full.iter().filter(|place| !but.contains(place));
        let cut: Vec<String> = others.map(|&place| arena.peer_id(place)).collect();
        try_join_all(self.nodes.iter().map(|node| node.cut(cut.clone()))).await.map(|_| ())
    }

    /// It is heard again: what it made in secret is out.
    pub(super) async fn release(&self) -> Result<(), LabError> {
        try_join_all(self.nodes.iter().map(|node| node.cut(Vec::new()))).await.map(|_| ())
    }

    /// Lets its miners rest, or go on.
    pub(super) async fn rest(&self, resting: bool) -> Result<(), LabError> {
        let set = self.nodes.iter().map(async |node| {
            let faults = node.client.faults().await.map_err(|error| node.failed(error))?;
            let set = node.client.set_faults(&Faults { resting, ..faults }).await;
            set.map(|_| ()).map_err(|error| node.failed(error))
        });
        try_join_all(set).await.map(|_| ())
    }

    /// Hands a payment to all its nodes.
    pub(super) async fn submit(&self, tx: &Tx) -> Result<(), LabError> {
        let submitted = self.nodes.iter().map(async |node| match node.client.submit(tx).await {
            Ok(_) => Ok(()),
            // Another of its nodes has told it already.
            Err(ClientError::Api(error)) if is_passing(&error.code) => Ok(()),
            Err(error) => Err(node.failed(error)),
        });
        try_join_all(submitted).await.map(|_| ())
    }

    /// Whether a payment is in its chain.
    pub(super) async fn has_confirmed(&self, tx: &Tx) -> Result<bool, LabError> {
        let node = self.first();
        match node.client.transaction(tx.id()).await {
            Ok(info) => Ok(info.confirmations > 0),
            // It reorganises, or has forgotten it.
            Err(ClientError::Api(_)) => Ok(false),
            Err(error) => Err(node.failed(error)),
        }
    }
}
