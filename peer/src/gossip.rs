//! How a peer's blocks and payments spread: one of the gossip machines of `dht`, or the owner.
//!
//! The replica knows of no carrier. What it publishes becomes the machine's command, what arrives becomes the
//! replica's, and the replica's verdict goes back, all within one step and in the order in which it came about, so that a
//! block is on disk before it is forwarded (the durability rule of the contract).

use serde::{Deserialize, Serialize};
use synod_consensus::Replica;
use synod_dht::gossip::{self, Parcel};
use synod_dht::{Flood, Mesh, Rumour, flood, mesh, rumour};
use synod_ledger::{Block, Tx};
use synod_machine::{Bytes, Input, Out, Parent, PeerId, Protocol, Reject, Time, Wire};

use crate::{Event, Message, Peer, Record, Timer};

/// Who carries blocks and payments, and how.
#[derive(Clone, Debug)]
pub enum GossipParams {
    /// Flooding.
    Flood(flood::Params),
    /// The owner: [`Event::Replica`] says what to publish, and what arrives comes as the replica's command.
    Host,
    /// A mesh as gossipsub's.
    Mesh(mesh::Params),
    /// Rumours.
    Rumour(rumour::Params),
}

/// What is carried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Item {
    /// A block.
    Block(Block),
    /// A payment.
    Payment(Tx),
}

impl Wire for Item {
    // One byte of tag; a payment is part of a block.
    const BYTES_MAX: usize = 1 + Block::BYTES_MAX;

    fn kind(&self) -> &'static str {
        match self {
            Self::Block(_) => "block",
            Self::Payment(_) => "payment",
        }
    }

    fn encoded_len(&self) -> usize {
        1 + match self {
            Self::Block(block) => block.encoded_len(),
            Self::Payment(tx) => tx.encoded_len(),
        }
    }
}

impl Parcel for Item {
    fn fingerprint(&self) -> Bytes<32> {
        match self {
            Self::Block(block) => block.fingerprint(),
            Self::Payment(tx) => tx.fingerprint(),
        }
    }
}

impl From<synod_consensus::Item> for Item {
    fn from(item: synod_consensus::Item) -> Self {
        match item {
            synod_consensus::Item::Block(block) => Self::Block(block),
            synod_consensus::Item::Payment(tx) => Self::Payment(tx),
        }
    }
}

impl From<Item> for synod_consensus::Item {
    fn from(item: Item) -> Self {
        match item {
            Item::Block(block) => Self::Block(block),
            Item::Payment(tx) => Self::Payment(tx),
        }
    }
}

/// What a carrier's message counts as: pushes count by what they carry, so that blocks and payments have costs of their
/// own.
pub(crate) fn kind(message: &gossip::Message<Item>) -> &'static str {
    match message {
        gossip::Message::Push(Item::Block(_)) => "push_block",
        gossip::Message::Push(Item::Payment(_)) => "push_payment",
        gossip::Message::Graft
        | gossip::Message::IHave(_)
        | gossip::Message::IWant(_)
        | gossip::Message::Known(_)
        | gossip::Message::Prune
        | gossip::Message::Pull
        | gossip::Message::Shuffle(_)
        | gossip::Message::Shuffled(_) => message.kind(),
    }
}

/// The machine that carries, if it is one of ours.
#[derive(Debug)]
pub enum Carrier {
    /// Flooding.
    Flood(Flood<Item>),
    /// None: the owner carries.
    Host,
    /// A mesh as gossipsub's.
    Mesh(Mesh<Item>),
    /// Rumours.
    Rumour(Rumour<Item>),
}

/// What goes into a carrier, whichever it is.
pub(crate) enum Step {
    Command(gossip::Command<Item>),
    Message { from: PeerId, message: gossip::Message<Item> },
    PeerDown(PeerId),
    PeerUp(PeerId),
    Timer(gossip::Timer),
}

impl Carrier {
    pub(crate) fn new(params: GossipParams) -> Self {
        let disk = core::iter::empty;
        match params {
            GossipParams::Flood(params) => Self::Flood(Flood::restore(params, disk())),
            GossipParams::Host => Self::Host,
            GossipParams::Mesh(params) => Self::Mesh(Mesh::restore(params, disk())),
            GossipParams::Rumour(params) => Self::Rumour(Rumour::restore(params, disk())),
        }
    }

    pub(crate) fn start(&mut self, now: Time, out: &mut Out<Peer>) {
        match self {
            Self::Flood(machine) => start(machine, now, out),
            Self::Host => {}
            Self::Mesh(machine) => start(machine, now, out),
            Self::Rumour(machine) => start(machine, now, out),
        }
    }

    /// One step; what arrived in it is the replica's to judge.
    pub(crate) fn step(&mut self, now: Time, step: Step, out: &mut Out<Peer>) -> Option<gossip::Event<Item>> {
        match self {
            Self::Flood(machine) => run(machine, now, step, out),
            Self::Host => {
                if let Step::Message { from, .. } = step {
                    out.reject(from, Reject::Unsolicited);
                }
                None
            }
            Self::Mesh(machine) => run(machine, now, step, out),
            Self::Rumour(machine) => run(machine, now, step, out),
        }
    }

    /// What becomes of an event of the replica's: what it wants spread is spread, unless the owner carries.
    pub(crate) fn route(&mut self, now: Time, event: synod_consensus::Event, out: &mut Out<Peer>) {
        let command = match (&*self, event) {
            (Self::Flood(_) | Self::Mesh(_) | Self::Rumour(_), synod_consensus::Event::Publish(item)) => {
                gossip::Command::Publish(item.into())
            }
            (Self::Flood(_) | Self::Mesh(_) | Self::Rumour(_), synod_consensus::Event::Verdict { id, verdict }) => {
                gossip::Command::Verdict { id, verdict: judge(verdict) }
            }
            (_, event) => return out.emit(Event::Replica(event)),
        };
        let arrived = self.step(now, Step::Command(command), out);
        assert!(arrived.is_none(), "only a message brings an item");
    }

    pub(crate) fn check(&self) {
        match self {
            Self::Flood(machine) => machine.check(),
            Self::Host => {}
            Self::Mesh(machine) => machine.check(),
            Self::Rumour(machine) => machine.check(),
        }
    }
}

/// What arrived, as the replica is told of it.
pub(crate) fn told(arrived: gossip::Event<Item>) -> Input<Replica> {
    let gossip::Event::Arrived { id, from, item } = arrived;
    Input::Command(synod_consensus::Command::Gossip { id, from, item: item.into() })
}

const fn judge(verdict: synod_consensus::Verdict) -> gossip::Verdict {
    match verdict {
        synod_consensus::Verdict::Accept => gossip::Verdict::Accept,
        synod_consensus::Verdict::Ignore => gossip::Verdict::Ignore,
        synod_consensus::Verdict::Reject => gossip::Verdict::Reject,
    }
}

fn start<P: Machine>(machine: &mut P, now: Time, out: &mut Out<Peer>)
where
    Peer: Parent<P>,
{
    let mut effects = Out::new();
    machine.start(now, &mut effects);
    out.adopt(&mut effects, |_, _| panic!("nothing has arrived yet"));
}

fn run<P: Machine>(machine: &mut P, now: Time, step: Step, out: &mut Out<Peer>) -> Option<gossip::Event<Item>>
where
    Peer: Parent<P>,
{
    let input = match step {
        Step::Command(command) => Input::Command(command),
        Step::Message { from, message } => Input::Message { from, message },
        Step::PeerDown(peer) => Input::PeerDown(peer),
        Step::PeerUp(peer) => Input::PeerUp(peer),
        Step::Timer(timer) => Input::Timer(timer),
    };
    let mut effects = Out::new();
    machine.handle(now, input, &mut effects);
    let mut arrived = None;
    out.adopt(&mut effects, |event, _| arrived = Some(event));
    arrived
}

/// A gossip machine that carries our items.
trait Machine:
    Protocol<
        Message = gossip::Message<Item>,
        Timer = gossip::Timer,
        Command = gossip::Command<Item>,
        Event = gossip::Event<Item>,
        Record = gossip::Record,
    >
{
}

impl Machine for Flood<Item> {}
impl Machine for Mesh<Item> {}
impl Machine for Rumour<Item> {}

/// A peer has one carrier, so the three share its messages, timers and shelves, of which they use none.
const SHELF: u8 = 0x20;

impl Parent<Flood<Item>> for Peer {
    const SHELF: u8 = SHELF;

    fn message(message: gossip::Message<Item>) -> Message {
        Message::Gossip(message)
    }

    fn timer(timer: gossip::Timer) -> Timer {
        Timer::Gossip(timer)
    }

    fn record(record: gossip::Record) -> Record {
        match record {}
    }
}

impl Parent<Mesh<Item>> for Peer {
    const SHELF: u8 = SHELF;

    fn message(message: gossip::Message<Item>) -> Message {
        Message::Gossip(message)
    }

    fn timer(timer: gossip::Timer) -> Timer {
        Timer::Gossip(timer)
    }

    fn record(record: gossip::Record) -> Record {
        match record {}
    }
}

impl Parent<Rumour<Item>> for Peer {
    const SHELF: u8 = SHELF;

    fn message(message: gossip::Message<Item>) -> Message {
        Message::Gossip(message)
    }

    fn timer(timer: gossip::Timer) -> Timer {
        Timer::Gossip(timer)
    }

    fn record(record: gossip::Record) -> Record {
        match record {}
    }
}

#[cfg(test)]
mod tests;
