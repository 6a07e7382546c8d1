//! What one participant is: a [`Replica`] of the chain and its [`Neighbours`], composed by types.
//!
//! The parts do not know each other. Each part's effects are wrapped into this crate's enums, in order; inputs are routed
//! by the same enums. A new part is one variant in each enum, one [`Parent`] and one arm in `handle`.

#![no_std]

extern crate alloc;

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use synod_consensus::Replica;
use synod_dht::{Neighbours, neighbours};
use synod_machine::{Input, Key, Out, Parent, Protocol, Time, Wire};

/// What the parts are made from.
#[derive(Clone, Debug)]
pub struct Params {
    /// The neighbours'.
    pub neighbours: neighbours::Params,
    /// The replica's.
    pub replica: synod_consensus::Params,
}

/// A message of one of the parts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Message {
    /// Between replicas.
    Replica(synod_consensus::Message),
}

/// A timer of one of the parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// The neighbours'.
    Neighbours(neighbours::Timer),
    /// The replica's.
    Replica(synod_consensus::Timer),
}

/// A command to one of the parts.
#[derive(Clone, Debug)]
pub enum Command {
    /// To the neighbours.
    Neighbours(neighbours::Command),
    /// To the replica.
    Replica(synod_consensus::Command),
}

/// An event of one of the parts.
#[derive(Clone, Debug)]
pub enum Event {
    /// Of the neighbours.
    Neighbours(neighbours::Event),
    /// Of the replica.
    Replica(synod_consensus::Event),
}

/// A record of one of the parts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Record {
    /// The neighbours'.
    Neighbours(synod_dht::Contact),
    /// The replica's.
    Replica(synod_consensus::Record),
}

impl Wire for Message {
    // One byte of tag.
    const BYTES_MAX: usize = synod_consensus::Message::BYTES_MAX + 1;

    fn kind(&self) -> &'static str {
        let Self::Replica(message) = self;
        message.kind()
    }

    fn encoded_len(&self) -> usize {
        let Self::Replica(message) = self;
        1 + message.encoded_len()
    }
}

impl Wire for Record {
    const BYTES_MAX: usize = synod_consensus::Record::BYTES_MAX + 1;

    fn kind(&self) -> &'static str {
        match self {
            Self::Neighbours(contact) => contact.kind(),
            Self::Replica(record) => record.kind(),
        }
    }
}

/// The machine.
pub struct Peer {
    neighbours: Neighbours,
    neighbours_out: Out<Neighbours>,
    replica: Replica,
    replica_out: Out<Replica>,
}

impl Peer {
    /// The part that keeps the chain.
    pub const fn replica(&self) -> &Replica {
        &self.replica
    }

    /// The part that keeps connections.
    pub const fn neighbours(&self) -> &Neighbours {
        &self.neighbours
    }

    fn gather(&mut self, out: &mut Out<Self>) {
        out.adopt(&mut self.neighbours_out, |event, out| out.emit(Event::Neighbours(event)));
        out.adopt(&mut self.replica_out, |event, out| out.emit(Event::Replica(event)));
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
        for (key, record) in disk {
            match record {
                Record::Neighbours(contact) => {
                    contacts.push((Key::new(key.shelf - <Self as Parent<Neighbours>>::SHELF, key.name), contact));
                }
                Record::Replica(record) => records.push((key, record)),
            }
        }
        Self {
            neighbours: Neighbours::restore(params.neighbours, contacts.into_iter()),
            neighbours_out: Out::new(),
            replica: Replica::restore(params.replica, records.into_iter()),
            replica_out: Out::new(),
        }
    }

    fn start(&mut self, now: Time, out: &mut Out<Self>) {
        self.neighbours.start(now, &mut self.neighbours_out);
        self.replica.start(now, &mut self.replica_out);
        self.gather(out);
    }

    fn handle(&mut self, now: Time, input: Input<Self>, out: &mut Out<Self>) {
        let neighbours = &mut self.neighbours_out;
        let replica = &mut self.replica_out;
        match input {
            Input::Command(Command::Neighbours(command)) => {
                self.neighbours.handle(now, Input::Command(command), neighbours);
            }
            Input::Command(Command::Replica(command)) => self.replica.handle(now, Input::Command(command), replica),
            Input::Message { from, message: Message::Replica(message) } => {
                self.replica.handle(now, Input::Message { from, message }, replica);
            }
            Input::PeerDown(peer) => {
                self.neighbours.handle(now, Input::PeerDown(peer), neighbours);
                self.replica.handle(now, Input::PeerDown(peer), replica);
            }
            Input::PeerUp(peer) => {
                self.neighbours.handle(now, Input::PeerUp(peer), neighbours);
                self.replica.handle(now, Input::PeerUp(peer), replica);
            }
            Input::Timer(Timer::Neighbours(timer)) => self.neighbours.handle(now, Input::Timer(timer), neighbours),
            Input::Timer(Timer::Replica(timer)) => self.replica.handle(now, Input::Timer(timer), replica),
        }
        self.gather(out);
    }

    fn check(&self) {
        self.neighbours.check();
        self.replica.check();
    }
}
