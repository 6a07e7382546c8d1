//! One replica on a bench: inputs go in, effects come out as short texts in which a test's own names stand for ids.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};
use core::time::Duration;

use synod_ledger::{Block, Tx};
use synod_machine::{Bytes, Effect, Input, Key, Out, PeerId, Protocol, Time};

use super::name;
use crate::{Command, Event, Item, Message, Params, Record, Replica, Seen};

pub(crate) const P1: PeerId = PeerId(1);
pub(crate) const P2: PeerId = PeerId(2);
pub(crate) const P3: PeerId = PeerId(3);

pub(crate) struct Bench {
    pub(crate) replica: Replica,
    pub(crate) now: Time,
    pub(crate) disk: BTreeMap<Key, Record>,
    /// What was asked for and not given yet.
    pub(crate) loads: Vec<Key>,
    out: Out<Replica>,
    names: Names,
    texts: Vec<String>,
}

impl Bench {
    /// A new peer, a thousand seconds after genesis.
    pub(crate) fn new(params: Params) -> Self {
        Self::restored(params, BTreeMap::new())
    }

    /// A peer with that disk, started; what it did at the start is in [`start`](Self::started).
    pub(crate) fn restored(params: Params, disk: BTreeMap<Key, Record>) -> Self {
        let genesis = params.chain.id();
        let hot: Vec<(Key, Record)> =
            disk.iter().filter(|(key, _)| !key.is_cold()).map(|(&key, record)| (key, record.clone())).collect();
        let replica = Replica::restore(params, hot.into_iter());
        let names = Names::new(genesis.0);
        let (now, out) = (Time::from_secs(1_000), Out::new());
        let mut bench = Self { replica, now, disk, loads: vec![], out, names, texts: vec![] };
        bench.replica.start(bench.now, &mut bench.out);
        bench.drain();
        bench
    }

    pub(crate) fn started(&self) -> &[String] {
        &self.texts
    }

    /// Gives a block or payment a name in the texts.
    pub(crate) fn call<T: Named>(&mut self, name: &str, thing: &T) {
        self.names.call(name, thing);
    }

    pub(crate) fn call_all(&mut self, prefix: &str, blocks: &[Block]) {
        self.names.call_all(prefix, blocks);
    }

    pub(crate) fn step(&mut self, input: Input<Replica>) -> Vec<String> {
        self.replica.handle(self.now, input, &mut self.out);
        self.replica.check();
        self.drain();
        self.texts.clone()
    }

    pub(crate) fn wait(&mut self, span: Duration) {
        self.now = self.now + span;
    }

    pub(crate) fn up(&mut self, peer: PeerId) -> Vec<String> {
        self.step(Input::PeerUp(peer))
    }

    pub(crate) fn hear(&mut self, from: PeerId, message: Message) -> Vec<String> {
        self.step(Input::Message { from, message })
    }

    pub(crate) fn timer(&mut self, timer: crate::Timer) -> Vec<String> {
        self.step(Input::Timer(timer))
    }

    pub(crate) fn gossip_block(&mut self, from: PeerId, block: &Block) -> Vec<String> {
        let item = Item::Block(block.clone());
        self.step(Input::Command(Command::Gossip { id: name(7), from, item }))
    }

    pub(crate) fn gossip_payment(&mut self, from: PeerId, tx: &Tx) -> Vec<String> {
        let item = Item::Payment(tx.clone());
        self.step(Input::Command(Command::Gossip { id: name(7), from, item }))
    }

    pub(crate) fn submit(&mut self, tx: &Tx) -> Vec<String> {
        self.step(Input::Command(Command::Submit { ticket: 5, tx: tx.clone() }))
    }

    pub(crate) fn mined(&mut self, job: u64, seen: Seen) -> Vec<String> {
        self.step(Input::Command(Command::Mined { job, seen }))
    }

    /// Answers the oldest load from the disk.
    pub(crate) fn load_one(&mut self) -> Vec<String> {
        let key = self.loads.remove(0);
        let record = self.disk.get(&key).map(fresh);
        self.step(Input::Command(Command::Loaded { key, record }))
    }

    /// Answers all loads, and those that they cause.
    pub(crate) fn load_all(&mut self) -> usize {
        let mut loads = 0;
        while !self.loads.is_empty() {
            self.load_one();
            loads += 1;
        }
        loads
    }

    fn drain(&mut self) {
        let effects: Vec<Effect<Replica>> = self.out.drain().collect();
        self.texts = effects.iter().map(|effect| self.text(effect)).collect();
        for effect in effects {
            match effect {
                Effect::Persist { key, record } => {
                    self.disk.insert(key, record);
                }
                Effect::Forget(key) => {
                    self.disk.remove(&key);
                }
                Effect::Emit(Event::Load(key)) => self.loads.push(key),
                _ => {}
            }
        }
    }

    fn text(&self, effect: &Effect<Replica>) -> String {
        match effect {
            Effect::Broadcast { to, message } => format!("{to:?} < {}", self.names.message(message)),
            Effect::Cancel(timer) => format!("cancel {timer:?}"),
            Effect::Emit(event) => self.event(event),
            Effect::Forget(key) => format!("forget {:02x} {}", key.shelf, self.names.of(key.name)),
            Effect::Persist { key, record } => match record {
                Record::Header(stored) => format!("persist header {} {:?}", self.names.of(key.name), stored.status),
                Record::Agreement(_) | Record::Body(_) | Record::Payment(_) | Record::Signed(_) | Record::Undo(_) => {
                    format!("persist {} {}", synod_machine::Wire::kind(record), self.names.of(key.name))
                }
            },
            Effect::Reject { peer, reason } => format!("reject {peer:?} {reason}"),
            Effect::Send { to, message } => format!("{to:?} < {}", self.names.message(message)),
            Effect::Set { timer, at } => format!("set {timer:?} +{} ms", at.since(self.now).as_millis()),
        }
    }

    fn event(&self, event: &Event) -> String {
        match event {
            Event::Conflict(conflict) => {
                let (kept, seen) = (self.names.of(conflict.kept.0), self.names.of(conflict.seen.id().0));
                format!("conflict: {kept} kept, {seen} seen")
            }
            Event::Evidence(evidence) => format!("evidence against validator {}", evidence.by().0),
            Event::Load(key) => format!("load {:02x} {}", key.shelf, self.names.of(key.name)),
            Event::Mine(Some(job)) => format!("mine {}", job.id),
            Event::Mine(None) => "rest".to_string(),
            Event::Offence(evidence) => format!("an offence at height {}", evidence.height()),
            Event::Pooled(id) => format!("pooled {}", self.names.of(id.0)),
            Event::Primary { view, validator } => format!("view {view} of validator {}", validator.0),
            Event::Publish(Item::Block(block)) => format!("publish {}", self.names.of(block.id().0)),
            Event::Publish(Item::Payment(tx)) => format!("publish {}", self.names.of(tx.id().0)),
            Event::Replied { id, height, block } => {
                format!("replied: {} in {} at {height}", self.names.of(id.0), self.names.of(block.0))
            }
            Event::Stuck { height, reason } => format!("stuck at {height}: {reason}"),
            Event::Submitted { ticket, result: Ok(id) } => format!("submitted {ticket}: {}", self.names.of(id.0)),
            Event::Submitted { ticket, result: Err(error) } => format!("refused {ticket}: {error}"),
            Event::Tip { tip, height, depth } => format!("tip {} at {height}, {depth} back", self.names.of(tip.0)),
            Event::Violation(violation) => {
                let [one, other] = [0, 1].map(|place: usize| self.names.of(violation.headers[place].id().0));
                format!("{one} and {other} at {}", violation.height)
            }
            Event::Verdict { verdict, .. } => format!("{verdict:?}").to_lowercase(),
        }
    }
}

/// A test's own names, which stand for ids in texts.
#[derive(Clone)]
pub(crate) struct Names(BTreeMap<Bytes<32>, String>);

impl Names {
    pub(crate) fn new(genesis: Bytes<32>) -> Self {
        Self(BTreeMap::from([(genesis, "genesis".to_string())]))
    }

    pub(crate) fn call<T: Named>(&mut self, name: &str, thing: &T) {
        self.0.insert(thing.id_bytes(), name.to_string());
    }

    pub(crate) fn call_all(&mut self, prefix: &str, blocks: &[Block]) {
        for (index, block) in blocks.iter().enumerate() {
            self.call(&format!("{prefix}{}", index + 1), block);
        }
    }

    pub(crate) fn of(&self, id: Bytes<32>) -> String {
        self.0.get(&id).cloned().unwrap_or_else(|| format!("{id:?}"))
    }

    pub(crate) fn message(&self, message: &Message) -> String {
        let names = |ids: Vec<Bytes<32>>| ids.into_iter().map(|id| self.of(id)).collect::<Vec<_>>().join(" ");
        match message {
            Message::Client(_) | Message::Reply(_) => synod_machine::Wire::kind(message).to_string(),
            Message::Block(block) => format!("block {}", self.of(block.id().0)),
            Message::Evidence(evidence) => format!("evidence of height {}", evidence.height()),
            Message::GetBlocks(ids) => format!("get blocks {}", names(ids.iter().map(|id| id.0).collect())),
            Message::GetHeaders(ids) => format!("get headers {}", names(ids.iter().map(|id| id.0).collect())),
            Message::GetPayments(ids) => format!("get payments {}", names(ids.iter().map(|id| id.0).collect())),
            Message::Headers(headers) => format!("headers {}", names(headers.iter().map(|h| h.id().0).collect())),
            Message::Missing(ids) => format!("missing {}", names(ids.iter().map(|id| id.0).collect())),
            Message::Payments(list) => format!("payments {}", names(list.iter().map(|tx| tx.id().0).collect())),
            Message::Pool(ids) => format!("pool {}", names(ids.iter().map(|id| id.0).collect())),
            Message::Agreement(message) => synod_machine::Wire::kind(message).to_string(),
            Message::Request(tx) => format!("request {}", self.of(tx.id().0)),
            Message::Tip(claim) => format!("tip {} at {}", self.of(claim.tip.0), claim.height),
        }
    }
}

/// A record as a disk gives it: nothing that was found out about it is remembered.
pub(crate) fn fresh(record: &Record) -> Record {
    synod_machine::wire::decode(&synod_machine::wire::encode(record)).expect("a record comes back")
}

/// What has an id.
pub(crate) trait Named {
    fn id_bytes(&self) -> Bytes<32>;
}

impl Named for Block {
    fn id_bytes(&self) -> Bytes<32> {
        self.id().0
    }
}

impl Named for Tx {
    fn id_bytes(&self) -> Bytes<32> {
        self.id().0
    }
}
