//! How a peer finds what others share: the overlays and searches that it takes part in, and the exchange of contents, composed
//! by types.
//!
//! The parts do not know each other. A distributed hash table keeps *provider records* (as IPFS does: libp2p/specs,
//! `kad-dht/README.md`, "Content provider advertisement and discovery"): under the hash, the name and each keyword of what a peer
//! shares stands who it is and where, and a search asks those peers what they have. Flooding, superpeers and an index
//! are told of the items themselves.

mod find;
mod join;
mod message;
mod owner;
mod parents;
mod publish;

use alloc::vec::Vec;
use core::time::Duration;

use synod_machine::{Input, Key, Out, Parent, PeerId, Protocol, Time};

use self::find::Finds;
use self::join::Joining;
pub use self::message::{Message, Record};
pub use self::owner::{Command, Event};
use self::publish::Publishing;
pub use self::publish::{OPEN_PUTS_MAX, key_for, keys_of};
pub use crate::content::Source;
use crate::overlay::{Node, Quorum};
use crate::search::{FloodSearch, Index, Item, Superpeer, flood, index, superpeer};
use crate::{Chord, Contact, Content, Kademlia, chord, content, kademlia};

/// What the parts are made from; nothing where a peer does not take part.
#[derive(Clone, Debug)]
pub struct Params {
    /// After so long without anybody who takes it in, a node begins an overlay of its own.
    pub begin_after: Duration,
    /// Chord's.
    pub chord: Option<chord::Params>,
    /// Who this peer is and where, as its provider records say.
    pub contact: Contact,
    /// Flooding's.
    pub flood: Option<flood::Params>,
    /// An index's.
    pub index: Option<index::Params>,
    /// Kademlia's.
    pub kademlia: Option<kademlia::Params>,
    /// This peer.
    pub own: Node,
    /// Nodes that keep a provider record, and how many must have it before it counts as published.
    pub records: Quorum,
    /// Superpeers'.
    pub superpeer: Option<superpeer::Params>,
}

/// How many of a record's replicas are written, and read, where nothing else is said: of three two, so that whoever reads sees the
/// last write (DeCandia et al. 2007, "Dynamo", section 4.5).
pub const QUORUM: Quorum = match Quorum::new(2, 3) {
    Ok(quorum) => quorum,
    Err(_) => panic!("two of three is a quorum"),
};

/// A distributed hash table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Chord.
    Chord,
    /// Kademlia.
    Kademlia,
}

/// A way to find something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Flooding, as far as this.
    Flood {
        /// The time to live, in hops; 0 for what is usual.
        ttl: u8,
    },
    /// A central index.
    Index,
    /// Superpeers, which flood as far as this among themselves.
    Superpeer {
        /// The time to live, in hops; 0 for what is usual.
        ttl: u8,
    },
    /// A distributed hash table, of which so many replicas are read.
    Table(Table, Quorum),
}

/// A timer of one of the parts, or of this machine's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// Chord's.
    Chord(chord::Timer),
    /// The exchange of contents'.
    Content(content::Timer),
    /// Flooding's.
    Flood(flood::Timer),
    /// An index's.
    Index(index::Timer),
    /// To ask those that were met to be taken in.
    Join,
    /// Kademlia's.
    Kademlia(kademlia::Timer),
    /// To publish what is due.
    Publish,
    /// Superpeers'.
    Superpeer(superpeer::Timer),
    /// To tell Chord again of everybody who was met.
    Tell,
}

/// The machine.
#[derive(Debug)]
pub struct Discovery {
    own: Node,
    chord: Option<Chord>,
    content: Content,
    flood: Option<FloodSearch>,
    index: Option<Index>,
    kademlia: Option<Kademlia>,
    superpeer: Option<Superpeer>,
    finds: Finds,
    joining: Joining,
    publishing: Publishing,
}

impl Discovery {
    /// Chord, if it takes part.
    pub const fn chord(&self) -> Option<&Chord> {
        self.chord.as_ref()
    }

    /// What it shares.
    pub const fn content(&self) -> &Content {
        &self.content
    }

    /// Flooding, if it takes part.
    pub const fn flood(&self) -> Option<&FloodSearch> {
        self.flood.as_ref()
    }

    /// An index, if it takes part.
    pub const fn index(&self) -> Option<&Index> {
        self.index.as_ref()
    }

    /// Kademlia, if it takes part.
    pub const fn kademlia(&self) -> Option<&Kademlia> {
        self.kademlia.as_ref()
    }

    /// Superpeers, if it takes part.
    pub const fn superpeer(&self) -> Option<&Superpeer> {
        self.superpeer.as_ref()
    }

    /// How many provider records are still to be published for the first time, or to be taken back.
    pub fn unpublished(&self) -> usize {
        self.publishing.unpublished()
    }

    fn on_command(&mut self, now: Time, command: Command, out: &mut Out<Self>) {
        match command {
            Command::Add { ticket, item, bytes } => {
                self.step_content(now, Input::Command(content::Command::Add { ticket, item, bytes }), out);
            }
            Command::Ask { query, question, whom } => self.on_ask(now, query, question, whom, out),
            Command::Fetch { query, item, holders } => {
                self.step_content(now, Input::Command(content::Command::Fetch { query, item, holders }), out);
            }
            Command::Find { query, mode, question, wanted } => self.on_find(now, query, mode, question, wanted, out),
            Command::Loaded { ticket, bytes } => {
                self.step_content(now, Input::Command(content::Command::Loaded { ticket, bytes }), out);
            }
            Command::Lookup { query, table, key } => self.on_lookup(now, query, table, key, out),
            Command::Met(node) => self.on_met(now, node, out),
            Command::Offer(item) => {
                self.step_content(now, Input::Command(content::Command::Offer(item.clone())), out);
                self.share(now, item, out);
            }
            Command::Providers { query, nodes } => self.on_providers(now, query, nodes, out),
            Command::Remove(hash) => self.on_remove(now, hash, out),
            Command::Unreachable(peer) => self.on_peer_down(now, peer, out),
        }
    }

    /// A message for a part that this peer does not have comes from a peer of other settings, which is no mistake of its own.
    fn on_message(&mut self, now: Time, from: PeerId, message: Message, out: &mut Out<Self>) {
        match message {
            Message::Chord(message) => self.step_chord(now, Input::Message { from, message }, out),
            Message::Content(message) => self.step_content(now, Input::Message { from, message }, out),
            Message::Flood(message) => self.step_flood(now, Input::Message { from, message }, out),
            Message::Index(message) => self.step_index(now, Input::Message { from, message }, out),
            Message::Kademlia(message) => self.step_kademlia(now, Input::Message { from, message }, out),
            Message::Superpeer(message) => self.step_superpeer(now, Input::Message { from, message }, out),
        }
    }

    fn on_peer_down(&mut self, now: Time, peer: PeerId, out: &mut Out<Self>) {
        self.step_chord(now, Input::PeerDown(peer), out);
        self.step_content(now, Input::PeerDown(peer), out);
        self.step_flood(now, Input::PeerDown(peer), out);
        self.step_index(now, Input::PeerDown(peer), out);
        self.step_kademlia(now, Input::PeerDown(peer), out);
        self.step_superpeer(now, Input::PeerDown(peer), out);
    }

    fn on_peer_up(&mut self, now: Time, peer: PeerId, out: &mut Out<Self>) {
        self.step_flood(now, Input::PeerUp(peer), out);
        self.step_superpeer(now, Input::PeerUp(peer), out);
    }

    fn on_timer(&mut self, now: Time, timer: Timer, out: &mut Out<Self>) {
        match timer {
            Timer::Chord(timer) => self.step_chord(now, Input::Timer(timer), out),
            Timer::Content(timer) => self.step_content(now, Input::Timer(timer), out),
            Timer::Flood(timer) => self.step_flood(now, Input::Timer(timer), out),
            Timer::Index(timer) => self.step_index(now, Input::Timer(timer), out),
            Timer::Join => self.join(now, out),
            Timer::Kademlia(timer) => self.step_kademlia(now, Input::Timer(timer), out),
            Timer::Publish => self.publish(now, out),
            Timer::Superpeer(timer) => self.step_superpeer(now, Input::Timer(timer), out),
            Timer::Tell => self.tell(now, out),
        }
    }

    fn step_chord(&mut self, now: Time, input: Input<Chord>, out: &mut Out<Self>) {
        for event in step(self.chord.as_mut(), now, input, out) {
            match event {
                chord::Event::Got { query, result, cost } => self.on_got(now, query, result, cost, out),
                chord::Event::Joined { result, .. } => self.on_joined(now, Table::Chord, result, out),
                chord::Event::Left => {}
                chord::Event::LookedUp { query, result, cost } => {
                    out.emit(Event::LookedUp { query, result: result.map(|node| [node].into()), cost });
                }
                chord::Event::Put { query, result, .. } => self.on_put(now, query, result.is_ok(), out),
            }
        }
    }

    fn step_content(&mut self, now: Time, input: Input<Content>, out: &mut Out<Self>) {
        for event in step(Some(&mut self.content), now, input, out) {
            match event {
                content::Event::Added { ticket, item, result } => {
                    if result.is_ok() {
                        self.share(now, item, out);
                    }
                    out.emit(Event::Added { ticket, result });
                }
                content::Event::Answered { query, result, cost } => self.on_answered(query, result, cost, out),
                content::Event::Fetched { query, result, cost } => out.emit(Event::Fetched { query, result, cost }),
                content::Event::Load { ticket, source } => out.emit(Event::Load { ticket, source }),
            }
        }
    }

    fn step_flood(&mut self, now: Time, input: Input<FloodSearch>, out: &mut Out<Self>) {
        for event in step(self.flood.as_mut(), now, input, out) {
            self.on_search(event, out);
        }
    }

    fn step_index(&mut self, now: Time, input: Input<Index>, out: &mut Out<Self>) {
        for event in step(self.index.as_mut(), now, input, out) {
            self.on_search(event, out);
        }
    }

    fn step_kademlia(&mut self, now: Time, input: Input<Kademlia>, out: &mut Out<Self>) {
        for event in step(self.kademlia.as_mut(), now, input, out) {
            match event {
                kademlia::Event::Found { query, result, cost } => out.emit(Event::LookedUp { query, result, cost }),
                kademlia::Event::Got { query, result, cost } => self.on_got(now, query, result, cost, out),
                kademlia::Event::Joined { result, .. } => self.on_joined(now, Table::Kademlia, result, out),
                kademlia::Event::Stored { query, result, .. } => self.on_put(now, query, result.is_ok(), out),
            }
        }
    }

    fn step_superpeer(&mut self, now: Time, input: Input<Superpeer>, out: &mut Out<Self>) {
        for event in step(self.superpeer.as_mut(), now, input, out) {
            self.on_search(event, out);
        }
    }
}

/// A step of a part; what it told.
fn step<P: Protocol>(machine: Option<&mut P>, now: Time, input: Input<P>, out: &mut Out<Discovery>) -> Vec<P::Event>
where
    Discovery: Parent<P>,
{
    let mut events = Vec::new();
    if let Some(machine) = machine {
        let mut effects = Out::new();
        machine.handle(now, input, &mut effects);
        out.adopt(&mut effects, |event, _| events.push(event));
    }
    events
}

fn begin<P: Protocol>(machine: Option<&mut P>, now: Time, out: &mut Out<Discovery>)
where
    Discovery: Parent<P>,
{
    let Some(machine) = machine else { return };
    let mut effects = Out::new();
    machine.start(now, &mut effects);
    out.adopt(&mut effects, |_, _| panic!("nobody has asked for anything yet"));
}

impl Protocol for Discovery {
    type Params = Params;
    type Message = Message;
    type Timer = Timer;
    type Command = Command;
    type Event = Event;
    type Record = Record;

    fn restore(params: Params, disk: impl Iterator<Item = (Key, Record)>) -> Self {
        let (mut chords, mut contents, mut kademlias) = (Vec::new(), Vec::new(), Vec::new());
        for (key, record) in disk {
            let unshelve = |offset: u8| Key::new(key.shelf.saturating_sub(offset), key.name);
            match record {
                Record::Chord(record) => chords.push((unshelve(<Self as Parent<Chord>>::SHELF), record)),
                Record::Content(record) => contents.push((unshelve(<Self as Parent<Content>>::SHELF), record)),
                Record::Kademlia(record) => kademlias.push((unshelve(<Self as Parent<Kademlia>>::SHELF), record)),
            }
        }
        let content = Content::restore(params.own, contents.into_iter());
        Self {
            own: params.own,
            chord: params.chord.map(|params| Chord::restore(params, chords.into_iter())),
            content,
            flood: params.flood.map(|params| FloodSearch::restore(params, core::iter::empty())),
            index: params.index.map(|params| Index::restore(params, core::iter::empty())),
            kademlia: params.kademlia.map(|params| Kademlia::restore(params, kademlias.into_iter())),
            superpeer: params.superpeer.map(|params| Superpeer::restore(params, core::iter::empty())),
            finds: Finds::default(),
            joining: Joining::new(params.begin_after),
            publishing: Publishing::new(params.contact, params.records),
        }
    }

    fn start(&mut self, now: Time, out: &mut Out<Self>) {
        begin(self.chord.as_mut(), now, out);
        begin(Some(&mut self.content), now, out);
        begin(self.flood.as_mut(), now, out);
        begin(self.index.as_mut(), now, out);
        begin(self.kademlia.as_mut(), now, out);
        begin(self.superpeer.as_mut(), now, out);
        let stored: Vec<Item> = self.content.stored().cloned().collect();
        for item in stored {
            self.share(now, item, out);
        }
        self.start_joining(now, out);
    }

    fn handle(&mut self, now: Time, input: Input<Self>, out: &mut Out<Self>) {
        match input {
            Input::Command(command) => self.on_command(now, command, out),
            Input::Message { from, message } => self.on_message(now, from, message, out),
            Input::PeerDown(peer) => self.on_peer_down(now, peer, out),
            Input::PeerUp(peer) => self.on_peer_up(now, peer, out),
            Input::Timer(timer) => self.on_timer(now, timer, out),
        }
    }

    /// 1. The invariants of each part. 2. Open searches and publications are bounded.
    fn check(&self) {
        self.chord.iter().for_each(Chord::check);
        self.content.check();
        self.flood.iter().for_each(FloodSearch::check);
        self.index.iter().for_each(Index::check);
        self.kademlia.iter().for_each(Kademlia::check);
        self.superpeer.iter().for_each(Superpeer::check);
        self.finds.check();
        self.publishing.check();
    }
}

#[cfg(test)]
mod tests;
