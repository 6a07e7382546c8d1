//! One light peer on a bench, as a replica is on its own.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use synod_ledger::{Block, Tx};
use synod_machine::{Effect, Input, Key, Out, PeerId, Protocol, Time};

use super::bench::{Names, fresh};
use super::name;
use crate::light::{Command, Event, Limits, Params, Timer};
use crate::{Chain, Item, Light, Message, Record};

pub(crate) struct LightBench {
    pub(crate) light: Light,
    pub(crate) now: Time,
    pub(crate) disk: BTreeMap<Key, Record>,
    pub(crate) names: Names,
    /// What it did in the last step.
    pub(crate) texts: Vec<String>,
    out: Out<Light>,
}

impl LightBench {
    /// A new light peer, a thousand seconds after genesis.
    pub(crate) fn new(chain: &Arc<Chain>) -> Self {
        Self::restored(chain, Limits::default(), BTreeMap::new(), Names::new(chain.id().0))
    }

    /// One with that disk, as a disk gives it, started.
    pub(crate) fn restored(chain: &Arc<Chain>, limits: Limits, disk: BTreeMap<Key, Record>, names: Names) -> Self {
        let params = Params::new(chain.clone(), limits).expect("light peers can follow such a chain");
        let hot: Vec<(Key, Record)> =
            disk.iter().filter(|(key, _)| !key.is_cold()).map(|(&key, record)| (key, fresh(record))).collect();
        let light = Light::restore(params, hot.into_iter());
        let now = Time::from_secs(1_000);
        let mut bench = Self { light, now, disk, names, texts: Vec::new(), out: Out::new() };
        bench.light.start(now, &mut bench.out);
        bench.light.check();
        bench.drain();
        bench
    }

    pub(crate) fn step(&mut self, input: Input<Light>) -> Vec<String> {
        self.light.handle(self.now, input, &mut self.out);
        self.light.check();
        self.drain();
        self.texts.clone()
    }

    pub(crate) fn wait_secs(&mut self, secs: u64) {
        self.now = self.now + Duration::from_secs(secs);
    }

    pub(crate) fn up(&mut self, peer: PeerId) -> Vec<String> {
        self.step(Input::PeerUp(peer))
    }

    pub(crate) fn hear(&mut self, from: PeerId, message: Message) -> Vec<String> {
        self.step(Input::Message { from, message })
    }

    pub(crate) fn timer(&mut self, timer: Timer) -> Vec<String> {
        self.step(Input::Timer(timer))
    }

    pub(crate) fn gossip(&mut self, from: PeerId, item: Item) -> Vec<String> {
        self.step(Input::Command(Command::Gossip { id: name(7), from, item }))
    }

    pub(crate) fn gossip_block(&mut self, from: PeerId, block: &Block) -> Vec<String> {
        self.gossip(from, Item::Block(block.clone()))
    }

    pub(crate) fn submit(&mut self, tx: &Tx) -> Vec<String> {
        self.step(Input::Command(Command::Submit { ticket: 5, tx: tx.clone() }))
    }

    fn drain(&mut self) {
        let effects: Vec<Effect<Light>> = self.out.drain().collect();
        self.texts = effects.iter().map(|effect| self.text(effect)).collect();
        for effect in effects {
            if let Effect::Persist { key, record } = effect {
                self.disk.insert(key, record);
            }
        }
    }

    fn text(&self, effect: &Effect<Light>) -> String {
        match effect {
            Effect::Broadcast { to, message } => format!("{to:?} < {}", self.names.message(message)),
            Effect::Cancel(timer) => format!("cancel {timer:?}"),
            Effect::Emit(event) => self.event(event),
            Effect::Forget(key) => format!("forget {:02x} {}", key.shelf, self.names.of(key.name)),
            Effect::Persist { key, record: Record::Header(stored) } => {
                format!("persist header {} {:?}", self.names.of(key.name), stored.status)
            }
            Effect::Persist { record, .. } => panic!("it keeps headers only: {record:?}"),
            Effect::Reject { peer, reason } => format!("reject {peer:?} {reason}"),
            Effect::Send { to, message } => format!("{to:?} < {}", self.names.message(message)),
            Effect::Set { timer, at } => format!("set {timer:?} +{} ms", at.since(self.now).as_millis()),
        }
    }

    fn event(&self, event: &Event) -> String {
        match event {
            Event::Submitted { ticket, result: Ok(id) } => format!("submitted {ticket}: {}", self.names.of(id.0)),
            Event::Submitted { ticket, result: Err(error) } => format!("refused {ticket}: {error}"),
            Event::Tip { tip, height, depth } => format!("tip {} at {height}, {depth} back", self.names.of(tip.0)),
            Event::Verdict { verdict, .. } => format!("{verdict:?}").to_lowercase(),
            Event::Violation(violation) => {
                let [one, other] = [0, 1].map(|place: usize| self.names.of(violation.headers[place].id().0));
                format!("{one} and {other} at {}", violation.height)
            }
        }
    }
}
