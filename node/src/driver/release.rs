//! What becomes of a step's effects once they may leave.

use std::sync::Arc;

use synod_consensus::{Command as ReplicaCommand, Event as ReplicaEvent, Item, Record as ReplicaRecord, Verdict};
use synod_dht::Node;
use synod_dht::neighbours::{self, Contact, Identity};
use synod_ledger::{Block, Tx};
use synod_machine::{Bytes, Effect, Key, PeerId as Handle, Wire, wire};
use synod_peer::{Command, Event, Message, Peer, Record};

use super::{Engine, EngineError, links};
use crate::api::types::ApiEvent;
use crate::miner::Job;
use crate::net::{MessageAcceptance, NetCommand, Topic};
use crate::store::Write;

/// Whether an effect writes to disk.
pub(super) const fn is_write(effect: &Effect<Peer>) -> bool {
    matches!(effect, Effect::Forget(_) | Effect::Persist { .. })
}

/// What an effect writes to disk. A block's transactions are indexed in the transaction that stores it.
pub fn writes(effect: &Effect<Peer>) -> Vec<Write> {
    match effect {
        Effect::Forget(key) => vec![Write::Delete { key: *key }],
        Effect::Persist { key, record } => {
            let mut writes = vec![Write::Put { key: *key, bytes: wire::encode(record) }];
            if let Record::Replica(ReplicaRecord::Body(block)) = record {
                writes.extend(index(block));
            }
            writes
        }
        _ => Vec::new(),
    }
}

fn index(block: &Block) -> impl Iterator<Item = Write> + '_ {
    let ids = std::iter::once(block.coinbase().id()).chain(block.payments().iter().map(Tx::id));
    ids.zip(0..).map(|(tx, position)| Write::Index { tx: tx.0, block: block.id().0, position })
}

impl Engine {
    pub(super) async fn release(&mut self, effect: Effect<Peer>) -> Result<(), EngineError> {
        match effect {
            Effect::Broadcast { to, message } => self.transmit(&to, message).await?,
            Effect::Emit(Event::Neighbours(neighbours::Event::Dial(contact))) => {
                if let Some((peer, addresses)) = links::dial_of(contact) {
                    self.send(NetCommand::Dial { peer, addresses }).await?;
                }
            }
            Effect::Emit(Event::Discovery(event)) => self.on_discovery(event)?,
            Effect::Emit(Event::Replica(event)) => self.on_event(event).await?,
            Effect::Reject { peer, reason } => {
                if let Some(peer) = self.links.peer(peer) {
                    self.blame(peer, reason);
                }
            }
            Effect::Send { to, message } => self.transmit(&[to], message).await?,
            // Written before, or the host's own.
            Effect::Forget(_) | Effect::Persist { .. } | Effect::Cancel(_) | Effect::Set { .. } => {}
        }
        Ok(())
    }

    async fn transmit(&mut self, to: &[Handle], message: Message) -> Result<(), EngineError> {
        let overlay = matches!(message, Message::Discovery(_)).then(|| message.kind());
        let mut is_known = true;
        let message = message.map(&mut |node: Node| {
            self.links.contact(node.peer).unwrap_or_else(|| {
                is_known = false;
                Contact { identity: Identity(Bytes::ZERO), addresses: Vec::new() }
            })
        });
        // A node that was forgotten meanwhile cannot be told of: the message is lost, as messages are.
        if !is_known {
            return Ok(());
        }
        let frame: Arc<[u8]> = Arc::from(wire::encode(&message));
        if let Some(kind) = overlay {
            self.links.count(kind, to.len(), frame.len());
            self.reach(to, &frame).await?;
        }
        let to: Vec<_> = to.iter().filter_map(|&handle| self.links.peer(handle)).collect();
        if !to.is_empty() {
            self.send(NetCommand::Send { to, frame }).await?;
        }
        Ok(())
    }

    /// Dials those who are not connected: overlays speak to whom they know.
    async fn reach(&mut self, to: &[Handle], frame: &Arc<[u8]>) -> Result<(), EngineError> {
        for &handle in to {
            if let Some((peer, addresses)) = self.links.wait(handle, Arc::clone(frame)) {
                self.send(NetCommand::Dial { peer, addresses }).await?;
            }
        }
        Ok(())
    }

    async fn on_event(&mut self, event: ReplicaEvent) -> Result<(), EngineError> {
        match event {
            ReplicaEvent::Conflict(conflict) => {
                let conflict = crate::api::views::conflict(&conflict);
                self.parts.handle.publish(ApiEvent::Conflict(conflict));
            }
            ReplicaEvent::Evidence(evidence) => {
                tracing::warn!(validator = evidence.by().0, ?evidence, "a validator said two things");
            }
            ReplicaEvent::Load(key) => {
                let record = self.load(key)?;
                self.follow_up.push_back(Command::Replica(ReplicaCommand::Loaded { key, record }));
            }
            ReplicaEvent::Mine(job) => self.parts.miner.set_job(job.and_then(|job| {
                let target = job.target.to_target()?.to_be_bytes();
                Some(Job { id: job.id, preimage: job.preimage?, target })
            })),
            ReplicaEvent::Offence(evidence) => {
                let owner = evidence.key().map(|key| key.address().to_string());
                tracing::warn!(owner, height = evidence.height().0, "a stake's owner signed two blocks");
            }
            ReplicaEvent::Pooled(id) => self.parts.handle.publish(ApiEvent::Transaction { id }),
            ReplicaEvent::Primary { view, validator } => {
                tracing::info!(%view, validator = validator.0, "a view has started");
            }
            ReplicaEvent::Publish(item) => {
                let (topic, bytes) = match item {
                    Item::Block(block) => (Topic::Blocks, wire::encode(&block)),
                    Item::Payment(tx) => (Topic::Transactions, wire::encode(&tx)),
                };
                self.send(NetCommand::Publish { topic, bytes }).await?;
            }
            ReplicaEvent::Replied { id, height, block } => {
                tracing::debug!(%id, height = height.0, %block, "enough validators say that a payment is executed");
            }
            ReplicaEvent::Stuck { height, reason } => {
                tracing::error!(height = height.0, %reason, "validators agreed on what is no block");
            }
            ReplicaEvent::Submitted { ticket, result } => {
                if let Some(reply) = self.submits.remove(&ticket) {
                    // Whoever asked may have gone away; the payment stays acknowledged.
                    let _ = reply.send(result);
                }
            }
            ReplicaEvent::Tip { tip, height, depth } => {
                if depth > 0 {
                    tracing::info!(%tip, height = height.0, depth, "reorganised");
                } else {
                    tracing::debug!(%tip, height = height.0, "new tip");
                }
                self.share_ledger(tip, height)?;
                self.parts.handle.publish(ApiEvent::Tip { id: tip, height, reorg_depth: depth });
            }
            ReplicaEvent::Violation(violation) => {
                let info = crate::api::views::violation(self.host.protocol().keeper().chain(), &violation);
                tracing::error!(height = violation.height.0, blocks = ?info.blocks, "two blocks of one height were agreed on");
                self.parts.handle.publish(ApiEvent::Violation(info));
            }
            ReplicaEvent::Verdict { id, verdict } => {
                if let Some((id, source)) = self.gossip.remove(&id) {
                    let acceptance = match verdict {
                        Verdict::Accept => MessageAcceptance::Accept,
                        Verdict::Ignore => MessageAcceptance::Ignore,
                        Verdict::Reject => MessageAcceptance::Reject,
                    };
                    self.send(NetCommand::Verdict { id, source, acceptance }).await?;
                }
            }
        }
        Ok(())
    }

    fn load(&self, key: Key) -> Result<Option<ReplicaRecord>, EngineError> {
        Ok(match self.parts.store.record(&key)? {
            Some(Record::Replica(record)) => Some(record),
            Some(Record::Discovery(_) | Record::Neighbours(_)) | None => None,
        })
    }

    /// What the driver itself has to tell the network.
    pub(super) async fn release_links(&mut self) -> Result<(), EngineError> {
        for (id, source, acceptance) in std::mem::take(&mut self.links.verdicts) {
            self.send(NetCommand::Verdict { id, source, acceptance }).await?;
        }
        for (peer, frames) in std::mem::take(&mut self.links.ready) {
            for frame in frames {
                self.send(NetCommand::Send { to: vec![peer], frame }).await?;
            }
        }
        for command in std::mem::take(&mut self.links.words) {
            self.send(command).await?;
        }
        for peer in std::mem::take(&mut self.links.dismissed) {
            self.send(NetCommand::Disconnect { peer }).await?;
        }
        if let Some(faults) = self.links.shape.take() {
            self.send(NetCommand::Shape(faults)).await?;
        }
        for reply in std::mem::take(&mut self.links.shape_replies) {
            let _ = reply.send(());
        }
        Ok(())
    }
}
