//! A light peer in the world of replicas: it is linked to some of them, hears their gossip, and has a disk of its own.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use synod_ledger::digest;
use synod_machine::{Effect, Host, Input, Key, PeerId, Protocol, Time, wire};

use super::world::{Action, Parcel, World};
use crate::light::{Command, Event, Limits, Params};
use crate::{GossipId, Item, Light, Message, Record, Verdict};

/// Its place among the nodes, and so its handle for them.
pub(crate) const GUEST: usize = 1_000;

#[derive(Default)]
pub(crate) struct Guest {
    pub(crate) host: Option<Host<Light>>,
    pub(crate) disk: BTreeMap<Key, Vec<u8>>,
    /// The nodes that it is linked to.
    pub(crate) linked: BTreeSet<usize>,
    /// What its neighbours sent it, by kind, in all its lives.
    pub(crate) heard: BTreeMap<&'static str, u64>,
    /// How often a best chain was left, and the deepest that was taken back.
    pub(crate) turns: u64,
    pub(crate) depth_max: u64,
    pub(crate) rejects: BTreeMap<&'static str, u64>,
    /// What became of the payments that it was given.
    pub(crate) submitted: Vec<Result<synod_ledger::TxId, crate::SubmitError>>,
    life: u64,
    seen: BTreeSet<GossipId>,
}

impl Guest {
    pub(crate) fn next_deadline(&self) -> Option<Time> {
        self.host.as_ref().and_then(Host::next_deadline)
    }
}

impl World {
    pub(crate) fn light(&self) -> &Light {
        self.guest.host.as_ref().expect("the guest is up").protocol()
    }

    /// Starts the guest from its disk and links it to some nodes that are up.
    pub(crate) fn start_guest(&mut self, links: &[usize]) {
        let disk: Vec<(Key, Record)> = self
            .guest
            .disk
            .iter()
            .map(|(&key, bytes)| (key, wire::decode(bytes).expect("a record comes back")))
            .collect();
        let params = Params::new(self.chain.clone(), Limits::default()).expect("a chain of work");
        let mut effects = Vec::new();
        let light = Light::restore(params, disk.into_iter());
        self.guest.host = Some(Host::start(light, self.now, |effect| effects.push(effect)));
        self.guest.life += 1;
        self.release_guest(effects);
        links.iter().for_each(|&node| self.link_guest(node));
    }

    pub(crate) fn link_guest(&mut self, node: usize) {
        if self.guest.linked.insert(node) {
            self.step_guest(Input::PeerUp(PeerId(node as u32)));
            self.step(node, Input::PeerUp(PeerId(GUEST as u32)));
        }
    }

    pub(crate) fn unlink_guest(&mut self, node: usize) {
        if self.guest.linked.remove(&node) {
            self.step_guest(Input::PeerDown(PeerId(node as u32)));
            self.step(node, Input::PeerDown(PeerId(GUEST as u32)));
        }
    }

    /// Stops the guest; its disk stays.
    pub(crate) fn crash_guest(&mut self) {
        for node in self.guest.linked.clone() {
            self.unlink_guest(node);
        }
        self.guest.host = None;
        self.guest.life += 1;
        self.guest.seen.clear();
    }

    pub(crate) const fn guest_life(&self) -> u64 {
        self.guest.life
    }

    pub(crate) fn step_guest(&mut self, input: Input<Light>) {
        let mut effects = Vec::new();
        let Some(host) = self.guest.host.as_mut() else { return };
        host.step(self.now, input, |effect| effects.push(effect));
        self.release_guest(effects);
    }

    pub(crate) fn fire_guest(&mut self) {
        let mut effects = Vec::new();
        let host = self.guest.host.as_mut().expect("it has a timer");
        host.fire(self.now, |effect| effects.push(effect));
        self.release_guest(effects);
    }

    pub(crate) fn act_guest(&mut self, life: u64, action: Action) {
        if self.guest.life != life {
            return;
        }
        match action {
            Action::Gossip { from, bytes } => {
                let id = digest("gossip", &bytes);
                if self.guest.seen.insert(id) {
                    let item = match wire::decode(&bytes).expect("an item comes back") {
                        Parcel::Block(block) => Item::Block(block),
                        Parcel::Payment(tx) => Item::Payment(tx),
                    };
                    self.step_guest(Input::Command(Command::Gossip { id, from: PeerId(from as u32), item }));
                }
            }
            Action::Message { from, bytes } => {
                let message: Message = wire::decode(&bytes).expect("a message comes back");
                *self.guest.heard.entry(synod_machine::Wire::kind(&message)).or_default() += 1;
                self.step_guest(Input::Message { from: PeerId(from as u32), message });
            }
            Action::Loaded(_) | Action::Mined(_) => panic!("it asks for neither"),
        }
    }

    fn release_guest(&mut self, effects: Vec<Effect<Light>>) {
        for effect in effects {
            match effect {
                Effect::Broadcast { to, message } => {
                    to.iter().for_each(|peer| self.send(GUEST, peer.0 as usize, &message));
                }
                Effect::Send { to, message } => self.send(GUEST, to.0 as usize, &message),
                Effect::Persist { key, record } => {
                    assert!(matches!(record, Record::Header(_)), "it keeps headers only: {record:?}");
                    self.guest.disk.insert(key, wire::encode(&record));
                }
                Effect::Forget(key) => panic!("{key:?} is a header, and stays"),
                Effect::Reject { reason, .. } => *self.guest.rejects.entry(reason.name()).or_default() += 1,
                Effect::Emit(event) => self.on_guest_event(event),
                Effect::Cancel(_) | Effect::Set { .. } => panic!("the host keeps timers to itself"),
            }
        }
    }

    fn on_guest_event(&mut self, event: Event) {
        match event {
            Event::Submitted { result, .. } => self.guest.submitted.push(result),
            Event::Tip { depth, .. } => {
                self.guest.turns += u64::from(depth > 0);
                self.guest.depth_max = self.guest.depth_max.max(depth);
            }
            Event::Verdict { verdict, .. } => {
                assert!(verdict == Verdict::Ignore, "honest peers gossip nothing that is to be held against them");
            }
            Event::Violation(violation) => panic!("there is none on a chain of work: {violation:?}"),
        }
    }
}
