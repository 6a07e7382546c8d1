//! What one participant is: the [`Keeper`] of the chain, its [`Neighbours`], the [`Carrier`] of what it publishes and, if it takes part
//! in any, the overlays of its [`Discovery`], composed by types.
//!
//! The parts do not know each other. Each part's effects are wrapped into this crate's enums, in order; inputs are routed
//! by the same enums. A new part is one variant in each enum, one [`Parent`] and one arm in `handle`.

#![no_std]

extern crate alloc;

mod behaviour;
mod deceit;
mod gossip;
mod keeper;
mod pool;

use alloc::boxed::Box;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use synod_consensus::Replica;
use synod_consensus::adversary::MultiMinter;
use synod_consensus::light::{self, Light};
use synod_dht::{Content, Discovery, Neighbours, Node, discovery, neighbours};
use synod_machine::{Input, Key, Out, Parent, PeerId, Protocol, Time, Wire};

pub use self::behaviour::Behaviour;
pub use self::gossip::{Carrier, GossipParams, Item};
use self::gossip::{Step, told};
use self::keeper::lit;
pub use self::keeper::{Keeper, KeeperParams};
use self::pool::Pool;

/// What the parts are made from.
#[derive(Clone, Debug)]
pub struct Params {
    /// Whether it is honest.
    pub behaviour: Behaviour,
    /// The overlays it takes part in, if any.
    pub discovery: Option<Box<discovery::Params>>,
    /// Who carries blocks and payments.
    pub gossip: GossipParams,
    /// Whether it keeps blocks or headers alone, and of which chain.
    pub keeper: KeeperParams,
    /// The neighbours'.
    pub neighbours: neighbours::Params,
}

/// A message of one of the parts. The order is that of the tags on the wire. `N` stands for a node of an overlay: a [`Node`] in machines,
/// a contact on sockets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Message<N = Node> {
    /// Between replicas.
    Replica(synod_consensus::Message),
    /// Between carriers.
    Gossip(synod_dht::gossip::Message<Item>),
    /// Between overlays. Apart, because it is the rarer kind and the larger.
    Discovery(Box<discovery::Message<N>>),
}

/// A timer of one of the parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// To say what an honest peer would not.
    Deceit,
    /// The overlays'.
    Discovery(discovery::Timer),
    /// The carrier's.
    Gossip(synod_dht::gossip::Timer),
    /// A light keeper's.
    Light(light::Timer),
    /// The neighbours'.
    Neighbours(neighbours::Timer),
    /// The replica's.
    Replica(synod_consensus::Timer),
}

/// A command to one of the parts.
#[derive(Clone, Debug)]
pub enum Command {
    /// To behave like this from now on.
    Behave(Behaviour),
    /// To the overlays; without any it has no effect.
    Discovery(discovery::Command),
    /// To the neighbours.
    Neighbours(neighbours::Command),
    /// To the keeper. A light one takes those that are not about blocks.
    Replica(synod_consensus::Command),
}

/// An event of one of the parts.
#[derive(Clone, Debug)]
pub enum Event {
    /// Of the overlays.
    Discovery(discovery::Event),
    /// Of the neighbours.
    Neighbours(neighbours::Event),
    /// Of the keeper.
    Replica(synod_consensus::Event),
}

/// A record of one of the parts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Record {
    /// The neighbours'.
    Neighbours(synod_dht::Contact),
    /// The keeper's.
    Replica(synod_consensus::Record),
    /// The overlays'.
    Discovery(discovery::Record),
}

impl<N> Message<N> {
    /// The same message with something else in the place of each node.
    pub fn map<M>(self, f: &mut impl FnMut(N) -> M) -> Message<M> {
        match self {
            Self::Replica(message) => Message::Replica(message),
            Self::Gossip(message) => Message::Gossip(message),
            Self::Discovery(message) => Message::Discovery(Box::new(message.map(f))),
        }
    }
}

impl<N: Wire> Wire for Message<N> {
    // One byte of tag.
    const BYTES_MAX: usize = {
        let replica = synod_consensus::Message::BYTES_MAX;
        let gossip = <synod_dht::gossip::Message<Item> as Wire>::BYTES_MAX;
        let discovery = discovery::Message::<N>::BYTES_MAX;
        let larger = if replica > gossip { replica } else { gossip };
        1 + if larger > discovery { larger } else { discovery }
    };

    fn kind(&self) -> &'static str {
        match self {
            Self::Replica(message) => message.kind(),
            Self::Gossip(message) => gossip::kind(message),
            Self::Discovery(message) => message.kind(),
        }
    }

    fn encoded_len(&self) -> usize {
        1 + match self {
            Self::Replica(message) => message.encoded_len(),
            Self::Gossip(message) => message.encoded_len(),
            Self::Discovery(message) => message.encoded_len(),
        }
    }
}

impl Wire for Record {
    const BYTES_MAX: usize = synod_consensus::Record::BYTES_MAX + 1;

    fn kind(&self) -> &'static str {
        match self {
            Self::Neighbours(contact) => contact.kind(),
            Self::Replica(record) => record.kind(),
            Self::Discovery(record) => record.kind(),
        }
    }
}

/// Where a content's piece lies on the peer's disk, of which [`discovery::Event::Load`] says where it lies on the shelves of contents.
pub fn content_key(key: Key) -> Key {
    let shelf = <Peer as Parent<Discovery>>::SHELF + <Discovery as Parent<Content>>::SHELF;
    Key::new(key.shelf + shelf, key.name)
}

/// The machine. Its parts' effects pass through buffers that live for a step, so that an idle peer holds no memory for them.
///
/// What duplicates need stands first, then what blocks need: a simulator's memory is asked for the first lines of a peer
/// before its turn comes.
#[repr(C)]
pub struct Peer {
    touched: Touched,
    behaviour: Behaviour,
    carrier: Carrier,
    keeper: Keeper,
    neighbours: Neighbours,
    minter: MultiMinter,
    /// What it keeps to itself, if it is selfish.
    pool: Option<Box<Pool>>,
    discovery: Option<Box<Discovery>>,
}

/// Which parts took part in the last step: the invariants of the others hold as they did.
#[derive(Clone, Copy, Default)]
struct Touched {
    discovery: bool,
    keeper: bool,
    neighbours: bool,
}

impl Peer {
    /// The part that keeps the chain.
    pub const fn keeper(&self) -> &Keeper {
        &self.keeper
    }

    /// The part that keeps the chain, of a peer that keeps all of it.
    ///
    /// # Panics
    ///
    /// Where it keeps headers alone. Hosts that make such peers ask the [`Keeper`].
    pub const fn replica(&self) -> &Replica {
        match &self.keeper {
            Keeper::Full(replica) => replica,
            Keeper::Light(_) => panic!("a light peer has no replica"),
        }
    }

    /// The part that keeps connections.
    pub const fn neighbours(&self) -> &Neighbours {
        &self.neighbours
    }

    /// The part that carries blocks and payments.
    pub const fn carrier(&self) -> &Carrier {
        &self.carrier
    }

    /// The overlays it takes part in, if any.
    pub fn discovery(&self) -> Option<&Discovery> {
        self.discovery.as_deref()
    }

    /// A step of the overlays', if it has any. A message from a peer that has is no mistake.
    fn discover(&mut self, now: Time, input: Input<Discovery>, out: &mut Out<Self>) {
        let Some(discovery) = &mut self.discovery else { return };
        self.touched.discovery = true;
        let mut effects = Out::new();
        discovery.handle(now, input, &mut effects);
        out.adopt(&mut effects, |event, out| out.emit(Event::Discovery(event)));
    }

    /// A step of the carrier's, and of the keeper's if an item arrived in it.
    fn carry(&mut self, now: Time, step: Step, out: &mut Out<Self>) {
        if let Some(arrived) = self.carrier.step(now, step, out) {
            self.keep(now, told(arrived), out);
        }
    }

    fn meet(&mut self, now: Time, input: Input<Neighbours>, out: &mut Out<Self>) {
        self.touched.neighbours = true;
        let mut effects = Out::new();
        self.neighbours.handle(now, input, &mut effects);
        out.adopt(&mut effects, |event, out| out.emit(Event::Neighbours(event)));
    }

    /// A step of the keeper's. What it wants spread goes to the carrier, at its place among the effects.
    fn keep(&mut self, now: Time, input: Input<Replica>, out: &mut Out<Self>) {
        self.touched.keeper = true;
        match &mut self.keeper {
            Keeper::Full(replica) => {
                let mut effects = Out::new();
                replica.handle(now, input, &mut effects);
                let (carrier, pool) = (&mut self.carrier, &mut self.pool);
                out.adopt(&mut effects, |event, out| {
                    pool::route(carrier, pool.as_deref_mut(), replica, now, event, out)
                });
                if let Some(pool) = pool {
                    pool::publish(carrier, now, pool.look(replica.tree()), out);
                }
            }
            Keeper::Light(_) => lit(input).into_iter().for_each(|input| self.keep_headers(now, input, out)),
        }
    }

    /// A step of a light keeper's.
    fn keep_headers(&mut self, now: Time, input: Input<Light>, out: &mut Out<Self>) {
        let Keeper::Light(light) = &mut self.keeper else { return };
        self.touched.keeper = true;
        let mut effects = Out::new();
        light.handle(now, input, &mut effects);
        out.adopt(&mut effects, |event, out| self.carrier.route(now, event.into(), out));
    }

    /// An honest beginning.
    fn begin(&mut self, now: Time, out: &mut Out<Self>) {
        self.carrier.start(now, out);
        let mut effects = Out::new();
        self.neighbours.start(now, &mut effects);
        out.adopt(&mut effects, |event, out| out.emit(Event::Neighbours(event)));
        match &mut self.keeper {
            Keeper::Full(replica) => {
                let mut effects = Out::new();
                replica.start(now, &mut effects);
                out.adopt(&mut effects, |event, out| self.carrier.route(now, event, out));
            }
            Keeper::Light(light) => {
                let mut effects = Out::new();
                light.start(now, &mut effects);
                out.adopt(&mut effects, |event, out| self.carrier.route(now, event.into(), out));
            }
        }
        if let Some(discovery) = &mut self.discovery {
            let mut effects = Out::new();
            discovery.start(now, &mut effects);
            out.adopt(&mut effects, |event, out| out.emit(Event::Discovery(event)));
        }
    }

    fn on_peer_down(&mut self, now: Time, peer: PeerId, out: &mut Out<Self>) {
        self.carry(now, Step::PeerDown(peer), out);
        self.meet(now, Input::PeerDown(peer), out);
        self.keep(now, Input::PeerDown(peer), out);
        self.discover(now, Input::PeerDown(peer), out);
    }

    fn on_peer_up(&mut self, now: Time, peer: PeerId, out: &mut Out<Self>) {
        self.carry(now, Step::PeerUp(peer), out);
        self.meet(now, Input::PeerUp(peer), out);
        self.keep(now, Input::PeerUp(peer), out);
        self.discover(now, Input::PeerUp(peer), out);
    }

    /// An honest step.
    fn route(&mut self, now: Time, input: Input<Self>, out: &mut Out<Self>) {
        match input {
            Input::Command(Command::Behave(behaviour)) => self.behaviour = behaviour,
            Input::Command(Command::Discovery(command)) => self.discover(now, Input::Command(command), out),
            Input::Command(Command::Neighbours(command)) => self.meet(now, Input::Command(command), out),
            Input::Command(Command::Replica(command)) => self.keep(now, Input::Command(command), out),
            Input::Message { from, message: Message::Replica(message) } => {
                self.keep(now, Input::Message { from, message }, out);
            }
            Input::Message { from, message: Message::Gossip(message) } => {
                self.carry(now, Step::Message { from, message }, out);
            }
            Input::Message { from, message: Message::Discovery(message) } => {
                self.discover(now, Input::Message { from, message: *message }, out);
            }
            Input::PeerDown(peer) => self.on_peer_down(now, peer, out),
            Input::PeerUp(peer) => self.on_peer_up(now, peer, out),
            Input::Timer(Timer::Deceit) => self.on_deceit(now, out),
            Input::Timer(Timer::Discovery(timer)) => self.discover(now, Input::Timer(timer), out),
            // It mints by other rules.
            Input::Timer(Timer::Replica(synod_consensus::Timer::Mint)) if self.behaviour == Behaviour::MultiMint => {}
            Input::Timer(Timer::Gossip(timer)) => self.carry(now, Step::Timer(timer), out),
            Input::Timer(Timer::Light(timer)) => self.keep_headers(now, Input::Timer(timer), out),
            Input::Timer(Timer::Neighbours(timer)) => self.meet(now, Input::Timer(timer), out),
            Input::Timer(Timer::Replica(timer)) => self.keep(now, Input::Timer(timer), out),
        }
    }
}

impl Parent<Discovery> for Peer {
    const SHELF: u8 = 0x30;

    fn message(message: discovery::Message) -> Message {
        Message::Discovery(Box::new(message))
    }

    fn timer(timer: discovery::Timer) -> Timer {
        Timer::Discovery(timer)
    }

    fn record(record: discovery::Record) -> Record {
        Record::Discovery(record)
    }
}

/// The disk of either keeper is one that the other can start from.
impl Parent<Light> for Peer {
    const SHELF: u8 = <Self as Parent<Replica>>::SHELF;

    fn message(message: synod_consensus::Message) -> Message {
        Message::Replica(message)
    }

    fn timer(timer: light::Timer) -> Timer {
        Timer::Light(timer)
    }

    fn record(record: synod_consensus::Record) -> Record {
        Record::Replica(record)
    }
}

impl Parent<Neighbours> for Peer {
    const SHELF: u8 = 0x10;

    fn message(message: neighbours::Message) -> Message {
        match message {}
    }

    fn timer(timer: neighbours::Timer) -> Timer {
        Timer::Neighbours(timer)
    }

    fn record(record: synod_dht::Contact) -> Record {
        Record::Neighbours(record)
    }
}

impl Parent<Replica> for Peer {
    const SHELF: u8 = 0x00;

    fn message(message: synod_consensus::Message) -> Message {
        Message::Replica(message)
    }

    fn timer(timer: synod_consensus::Timer) -> Timer {
        Timer::Replica(timer)
    }

    fn record(record: synod_consensus::Record) -> Record {
        Record::Replica(record)
    }
}

impl Protocol for Peer {
    type Params = Params;
    type Message = Message;
    type Timer = Timer;
    type Command = Command;
    type Event = Event;
    type Record = Record;

    fn restore(params: Params, disk: impl Iterator<Item = (Key, Record)>) -> Self {
        let mut contacts = Vec::new();
        let mut records = Vec::new();
        let mut found = Vec::new();
        for (key, record) in disk {
            match record {
                Record::Neighbours(contact) => {
                    contacts.push((Key::new(key.shelf - <Self as Parent<Neighbours>>::SHELF, key.name), contact));
                }
                Record::Discovery(record) => {
                    found.push((Key::new(key.shelf - <Self as Parent<Discovery>>::SHELF, key.name), record));
                }
                Record::Replica(record) => records.push((key, record)),
            }
        }
        Self {
            carrier: Carrier::new(params.gossip),
            neighbours: Neighbours::restore(params.neighbours, contacts.into_iter()),
            keeper: Keeper::restore(params.keeper, records.into_iter()),
            touched: Touched { discovery: true, keeper: true, neighbours: true },
            behaviour: params.behaviour,
            minter: MultiMinter::default(),
            pool: None,
            discovery: params.discovery.map(|params| Box::new(Discovery::restore(*params, found.into_iter()))),
        }
    }

    fn start(&mut self, now: Time, out: &mut Out<Self>) {
        if self.behaviour == Behaviour::Honest {
            return self.begin(now, out);
        }
        let mut honest = Out::new();
        self.begin(now, &mut honest);
        self.tell(&mut honest, out);
        self.scheme(now, out);
    }

    fn handle(&mut self, now: Time, input: Input<Self>, out: &mut Out<Self>) {
        self.touched = Touched::default();
        if let Input::Command(Command::Behave(behaviour)) = input {
            self.behaviour = behaviour;
            self.scheme(now, out);
        } else if self.behaviour == Behaviour::Honest {
            self.route(now, input, out);
        } else {
            let mut honest = Out::new();
            self.route(now, input, &mut honest);
            self.tell(&mut honest, out);
        }
    }

    /// 1. The invariants of each part that took part in the last step.
    /// 2. Those of what a selfish peer keeps to itself.
    fn check(&self) {
        self.carrier.check();
        if let Some(pool) = &self.pool {
            pool.check();
        }
        if self.touched.discovery {
            self.discovery.iter().for_each(|discovery| discovery.check());
        }
        if self.touched.keeper {
            self.keeper.check();
        }
        if self.touched.neighbours {
            self.neighbours.check();
        }
    }
}

#[cfg(test)]
mod tests;
