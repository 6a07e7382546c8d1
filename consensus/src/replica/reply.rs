//! Replies (Castro and Liskov 1999, section 4.1). A client hands its payment to the primary, or to all validators when that
//! brings nothing, and accepts what f + 1 of them say of it: one of them at least is honest, and has executed it.
//!
//! The client is the peer that acknowledged the payment and does not vote itself. A validator knows whom to reply to by the key
//! that spends: a client says once on each connection which keys' payments are its own (the paper's c, which a request names
//! and whose address every replica knows). A reply is about all of a client's payments in a block at once, so that there is one
//! signature and one message for each validator and block.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use synod_ledger::{Block, BlockId, ChainId, Height, PublicKey, Status, Tx, TxId, digest};
use synod_machine::{Bytes, Out, PeerId, Reject};

use super::own::Fate;
use super::{Event, Replica};
use crate::Message;
use crate::message::INVENTORY_MAX;
use crate::pbft::{Rules, Signed, Statement, ValidatorId, View};

/// Keys whose payments are one connection's; the oldest is forgotten for one more. Both ends keep as many.
const KEYS_MAX: usize = 256;
/// Executed payments whose replies are sent again when their client asks again: some blocks of full size.
const REPLIED_MAX: usize = 4_096;

/// A validator has executed a client's payments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// The validator's view, by which a client knows whom to ask.
    pub view: View,
    /// The block's height.
    pub height: Height,
    /// The block that has them.
    pub block: BlockId,
    /// The payments.
    pub payments: Vec<TxId>,
}

impl Statement for Reply {
    fn digest(&self, chain: ChainId) -> Bytes<32> {
        digest("reply", &(chain, self))
    }

    fn holds(&self, _: ValidatorId, _: &Rules) -> Result<(), Reject> {
        if self.payments.len() <= INVENTORY_MAX { Ok(()) } else { Err(Reject::TooMany) }
    }
}

/// What f + 1 validators say of a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The block's height.
    pub height: Height,
    /// The block that has it.
    pub block: BlockId,
    /// Who says so.
    pub validators: Vec<ValidatorId>,
}

/// Which keys' payments are which connection's.
#[derive(Debug, Default)]
struct Keys {
    by_key: BTreeSet<(PublicKey, PeerId)>,
    by_peer: BTreeMap<PeerId, VecDeque<PublicKey>>,
}

impl Keys {
    /// Whether it is new.
    fn insert(&mut self, peer: PeerId, key: PublicKey) -> bool {
        if !self.by_key.insert((key, peer)) {
            return false;
        }
        let keys = self.by_peer.entry(peer).or_default();
        keys.push_back(key);
        if keys.len() > KEYS_MAX
            && let Some(oldest) = keys.pop_front()
        {
            self.by_key.remove(&(oldest, peer));
        }
        true
    }

    fn remove(&mut self, peer: PeerId) {
        for key in self.by_peer.remove(&peer).unwrap_or_default() {
            self.by_key.remove(&(key, peer));
        }
    }

    fn peers(&self, key: PublicKey) -> impl Iterator<Item = PeerId> + '_ {
        self.by_key.range((key, PeerId(0))..=(key, PeerId(u32::MAX))).map(|(_, peer)| *peer)
    }
}

/// What a validator keeps for replying.
#[derive(Debug, Default)]
pub(super) struct Clients {
    keys: Keys,
    /// What was replied last.
    replied: BTreeMap<TxId, (Height, BlockId)>,
    order: VecDeque<TxId>,
}

impl Clients {
    pub(super) fn remove(&mut self, peer: PeerId) {
        self.keys.remove(peer);
    }

    fn note(&mut self, id: TxId, place: (Height, BlockId)) {
        if self.replied.insert(id, place).is_none() {
            self.order.push_back(id);
        }
        if self.order.len() > REPLIED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.replied.remove(&oldest);
        }
    }
}

/// What a client keeps of replies.
#[derive(Debug, Default)]
pub(super) struct Replies {
    /// What validators know to be ours.
    told: Keys,
    /// What each validator said last of a payment that waits.
    said: BTreeMap<TxId, BTreeMap<ValidatorId, (Height, BlockId)>>,
    accepted: BTreeMap<TxId, Answer>,
}

impl Replies {
    pub(super) fn remove(&mut self, peer: PeerId) {
        self.told.remove(peer);
    }

    /// Keeps what is said of payments that are still looked at.
    pub(super) fn retain(&mut self, fate: impl Fn(&TxId) -> Option<Fate>) {
        self.said.retain(|id, _| fate(id) == Some(Fate::Open));
        self.accepted.retain(|id, _| fate(id).is_some());
    }
}

impl Replica {
    /// What f + 1 validators replied about a payment that this peer acknowledged.
    pub fn answer(&self, id: &TxId) -> Option<&Answer> {
        self.agreeing.as_ref()?.replies.accepted.get(id)
    }

    /// Tells the validators that the payments of these keys are ours. Who votes sees its payments executed itself.
    pub(super) fn introduce(&mut self, payments: &[Tx], out: &mut Out<Self>) {
        let Some(agreeing) = self.agreeing.as_mut().filter(|agreeing| agreeing.identity.is_none()) else { return };
        for key in payments.iter().flat_map(|tx| &tx.inputs).map(|input| input.key) {
            for peer in agreeing.validators.keys() {
                if agreeing.replies.told.insert(*peer, key) {
                    out.send(*peer, Message::Client(key));
                }
            }
        }
    }

    /// The payments of this key are the sender's.
    pub(super) fn on_client(&mut self, from: PeerId, key: PublicKey, out: &mut Out<Self>) {
        match self.agreeing.as_mut().filter(|agreeing| agreeing.identity.is_some()) {
            Some(agreeing) => {
                agreeing.clients.keys.insert(from, key);
            }
            None => out.reject(from, Reject::Unsolicited),
        }
    }

    /// Replies to the clients of a block that is agreed on and executed here.
    pub(super) fn reply(&mut self, block: &Block, out: &mut Out<Self>) {
        let (view, height, id) = (self.view(), block.height(), block.id());
        let is_executed = self.tree.get(&id).is_some_and(|node| node.status() == Status::Valid);
        let Some(agreeing) = self.agreeing.as_mut().filter(|_| is_executed) else { return };
        if agreeing.identity.is_none() || agreeing.clients.keys.by_key.is_empty() {
            return;
        }
        let mut replies: BTreeMap<PeerId, Vec<TxId>> = BTreeMap::new();
        for tx in block.payments() {
            let keys: BTreeSet<PublicKey> = tx.inputs.iter().map(|input| input.key).collect();
            let peers: BTreeSet<PeerId> = keys.into_iter().flat_map(|key| agreeing.clients.keys.peers(key)).collect();
            if !peers.is_empty() {
                agreeing.clients.note(tx.id(), (height, id));
            }
            for peer in peers {
                replies.entry(peer).or_default().push(tx.id());
            }
        }
        for (peer, payments) in replies {
            for payments in payments.chunks(INVENTORY_MAX) {
                let reply = Reply { view, height, block: id, payments: payments.to_vec() };
                self.send_reply(peer, reply, out);
            }
        }
    }

    /// Says again what became of a payment: its client did not hear it. Whether it was executed.
    pub(super) fn reply_again(&self, to: PeerId, id: TxId, out: &mut Out<Self>) -> bool {
        let replied = self.agreeing.as_ref().and_then(|agreeing| agreeing.clients.replied.get(&id).copied());
        let Some((height, block)) = replied else { return false };
        self.send_reply(to, Reply { view: self.view(), height, block, payments: Vec::from([id]) }, out);
        true
    }

    fn send_reply(&self, to: PeerId, reply: Reply, out: &mut Out<Self>) {
        let Some(agreeing) = &self.agreeing else { return };
        let Some(identity) = &agreeing.identity else { return };
        let signed = Signed::new(agreeing.party.agreement().rules(), identity, reply);
        out.send(to, Message::Reply(signed));
    }

    /// A validator says that it executed payments of ours. Votes are counted by who signed, and not by who sent them.
    pub(super) fn on_reply(&mut self, from: PeerId, reply: Signed<Reply>, out: &mut Out<Self>) {
        let own = &self.own;
        let Some(agreeing) = &mut self.agreeing else { return out.reject(from, Reject::Unsolicited) };
        let (replies, rules) = (&mut agreeing.replies, agreeing.party.agreement().rules());
        let waits = |id: &&TxId| own.fate(id) == Some(Fate::Open) && !replies.accepted.contains_key(id);
        let waiting: Vec<TxId> = reply.body().payments.iter().take(INVENTORY_MAX).filter(waits).copied().collect();
        if waiting.is_empty() {
            return; // There are more replies than are needed.
        }
        if let Err(reason) = reply.check(rules) {
            return out.reject(from, reason);
        }
        let place = (reply.body().height, reply.body().block);
        for id in waiting {
            let said = replies.said.entry(id).or_default();
            said.insert(reply.by(), place);
            let matching = said.iter().filter(|(_, other)| **other == place).map(|(validator, _)| *validator);
            let validators: Vec<ValidatorId> = matching.collect();
            if validators.len() >= rules.validators.honest() {
                let (height, block) = place;
                replies.said.remove(&id);
                replies.accepted.insert(id, Answer { height, block, validators });
                out.emit(Event::Replied { id, height, block });
            }
        }
    }
}
