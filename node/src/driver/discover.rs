//! The engine's side of overlays: what is asked of them, and what they tell.

use synod_dht::discovery::{Command as DiscoveryCommand, Event as DiscoveryEvent, keys_of};
use synod_dht::overlay::{Cost, Failure, Query};
use synod_dht::search::{Hit, Item, Question};
use synod_dht::{Id, Node};
use synod_machine::Bytes;
use synod_peer::Command;
use tokio::sync::oneshot;

use super::{Engine, EngineError};
use crate::config::DhtKind;
use crate::discovery::{By, Fetched, Found, FoundHit, LookedUp, Request};
use crate::net::{NetCommand, PeerId};

/// Who waits for an answer of the overlays.
pub(super) enum Asker {
    Add {
        item: Item,
        reply: oneshot::Sender<Result<(), synod_dht::content::AddError>>,
    },
    Fetch(oneshot::Sender<Fetched>),
    /// What was spent before the peers that are said to have it are asked.
    Find {
        question: Question,
        spent: Cost,
        reply: oneshot::Sender<Found>,
    },
    Lookup(oneshot::Sender<LookedUp>),
}

impl Engine {
    pub(super) fn on_discovery_request(&mut self, request: Request) {
        self.tickets += 1;
        let query = Query(self.tickets);
        let (asker, command) = match request {
            Request::Add { item, bytes, reply } => {
                let command = DiscoveryCommand::Add { ticket: query.0, item: item.clone(), bytes };
                (Asker::Add { item, reply }, command)
            }
            Request::Fetch { item, holders, reply } => {
                let holders = self.nodes(holders);
                (Asker::Fetch(reply), DiscoveryCommand::Fetch { query, item, holders })
            }
            Request::Find { by: By::Libp2p, question, reply, .. } => {
                let key = synod_dht::discovery::key_for(&question);
                self.askers.insert(query.0, Asker::Find { question, spent: Cost::default(), reply });
                return self.tell_later(NetCommand::FindProviders { query: query.0, key: Bytes::from(key) });
            }
            Request::Find { by: By::Ours(mode), question, wanted, reply } => {
                let command = DiscoveryCommand::Find { query, mode, question: question.clone(), wanted };
                (Asker::Find { question, spent: Cost::default(), reply }, command)
            }
            Request::Lookup { table: None, key, reply } => {
                self.askers.insert(query.0, Asker::Lookup(reply));
                return self.tell_later(NetCommand::FindClosest { query: query.0, key: Bytes::from(key) });
            }
            Request::Lookup { table: Some(table), key, reply } => {
                (Asker::Lookup(reply), DiscoveryCommand::Lookup { query, table, key })
            }
            Request::Remove { hash, reply } => return self.on_remove(hash, reply),
        };
        self.askers.insert(query.0, asker);
        self.command(Command::Discovery(command));
    }

    fn on_remove(&mut self, hash: Bytes<32>, reply: oneshot::Sender<bool>) {
        let discovery = self.host.protocol().discovery();
        let is_there = discovery.is_some_and(|discovery| discovery.content().items().any(|item| item.hash == hash));
        // Whoever asked may have gone away, here and below.
        let _ = reply.send(is_there);
        self.remove(hash);
    }

    /// Shares a content no longer.
    pub(super) fn remove(&mut self, hash: Bytes<32>) {
        let discovery = self.host.protocol().discovery();
        let item = discovery.and_then(|discovery| discovery.content().items().find(|item| item.hash == hash).cloned());
        if let Some(item) = item {
            self.follow_up.push_back(Command::Discovery(DiscoveryCommand::Remove(hash)));
            self.provide(&item, false);
        }
    }

    /// Tells libp2p's Kademlia who has an item, where that is asked for.
    pub(super) fn provide(&mut self, item: &Item, is_there: bool) {
        if self.parts.overlays.dht.contains(&DhtKind::Kademlia) {
            let keys: Vec<Id> = keys_of(item).collect();
            for key in keys {
                self.tell_later(NetCommand::Provide { key: key.into(), is_there });
            }
        }
    }

    /// What was shared before this start: our own tables know it by themselves.
    pub(super) fn provide_stored(&mut self) {
        let discovery = self.host.protocol().discovery();
        let stored = discovery.map(|discovery| discovery.content().stored().cloned().collect::<Vec<Item>>());
        for item in stored.unwrap_or_default() {
            self.provide(&item, true);
        }
    }

    fn tell_later(&mut self, command: NetCommand) {
        self.links.words.push(command);
    }

    /// Peers as nodes of overlays.
    fn nodes(&mut self, peers: Vec<PeerId>) -> Vec<Node> {
        let node = |peer| {
            let handle = self.links.meet(peer);
            self.links.node(handle)
        };
        peers.into_iter().filter_map(node).collect()
    }

    /// libp2p's Kademlia says who has something.
    pub(super) fn on_providers(&mut self, query: u64, providers: Vec<PeerId>, requests: u32) {
        let Some(Asker::Find { question, spent, .. }) = self.askers.get_mut(&query) else { return };
        // It counts requests and no hops.
        *spent = Cost { hops: 0, messages: requests, asked: requests, timeouts: 0 };
        let question = question.clone();
        let whom = self.nodes(providers);
        let query = Query(query);
        self.command(Command::Discovery(DiscoveryCommand::Ask { query, question, whom }));
    }

    /// libp2p's Kademlia says who is closest to a key.
    pub(super) fn on_closest(&mut self, query: u64, peers: Vec<PeerId>, requests: u32) {
        if let Some(Asker::Lookup(reply)) = self.askers.remove(&query) {
            let cost = Cost { hops: 0, messages: requests, asked: requests, timeouts: 0 };
            let result = if peers.is_empty() { Err(Failure::Silence) } else { Ok(peers) };
            let _ = reply.send(LookedUp { result, cost });
        }
    }

    pub(super) fn on_discovery(&mut self, event: DiscoveryEvent) -> Result<(), EngineError> {
        match event {
            DiscoveryEvent::Added { ticket, result } => {
                if let Some(Asker::Add { item, reply }) = self.askers.remove(&ticket) {
                    if result.is_ok() {
                        self.provide(&item, true);
                    }
                    let _ = reply.send(result);
                }
            }
            DiscoveryEvent::Fetched { query, result, cost } => {
                if let Some(Asker::Fetch(reply)) = self.askers.remove(&query.0) {
                    let named = |(bytes, node): (Vec<u8>, Node)| {
                        self.links.name(node.peer).map(|peer| (bytes, peer)).ok_or(Failure::NotFound)
                    };
                    let _ = reply.send(Fetched { result: result.and_then(named), cost });
                }
            }
            DiscoveryEvent::Found { query, result, cost } => self.on_found(query, result, cost),
            DiscoveryEvent::Load { ticket, source } => {
                let bytes = self.parts.handle.archive().content(&source)?;
                self.follow_up.push_back(Command::Discovery(DiscoveryCommand::Loaded { ticket, bytes }));
            }
            DiscoveryEvent::LookedUp { query, result, cost } => {
                if let Some(Asker::Lookup(reply)) = self.askers.remove(&query.0) {
                    let named = |nodes: Vec<Node>| nodes.iter().filter_map(|node| self.links.name(node.peer)).collect();
                    let _ = reply.send(LookedUp { result: result.map(named), cost });
                }
            }
            DiscoveryEvent::Providers { query, contacts } => {
                let nodes = contacts.iter().filter_map(|contact| self.links.node_of(contact)).collect();
                self.follow_up.push_back(Command::Discovery(DiscoveryCommand::Providers { query, nodes }));
            }
        }
        Ok(())
    }

    fn on_found(&mut self, query: Query, result: Result<Vec<Hit>, Failure>, cost: Cost) {
        let Some(Asker::Find { spent, reply, .. }) = self.askers.remove(&query.0) else { return };
        let named = |hit: Hit| {
            let peer = self.links.name(hit.holder.peer)?;
            Some(FoundHit { item: hit.item, peer })
        };
        let result = result.map(|hits| hits.into_iter().filter_map(named).collect());
        let cost = Cost {
            hops: cost.hops.max(spent.hops),
            messages: cost.messages + spent.messages,
            asked: cost.asked + spent.asked,
            timeouts: cost.timeouts + spent.timeouts,
        };
        let _ = reply.send(Found { result, cost });
    }
}
