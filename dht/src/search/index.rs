//! A central index (Napster; Saroiu et al. 2002 describe it): clients register what they share with a server, ask it who has
//! something, and get it from whoever has.
//!
//! Whoever is named as a server is one, and for the other servers a client like all others. Clients register with every server and ask one after the other, so that the second
//! answers while the first is dead; without any a search fails as [`Failure::Silence`]. Now and then they compare with each
//! server what it knows of them, which finds a server that came back empty, and registrations that were lost; and a server
//! forgets those of whom nothing was heard for long.

mod message;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use synod_machine::{Bytes, Input, Key, Out, PeerId, Protocol, Reject, Rng, Time};

pub use self::message::Message;
use super::catalogue::Catalogue;
use super::open::{Opens, refuse};
use super::{Event, HITS_MAX, Hit, Item, PAGE_MAX, Question, Shared};
use crate::gossip::{Beat, Record};
use crate::overlay::{Failure, Node, Query};

/// What the owner asks.
pub type Command = super::Command<()>;

/// Checked configuration.
#[derive(Clone, Debug)]
pub struct Params {
    /// A server that has not answered for so long is taken to be dead for this question.
    pub answer_wait: Duration,
    /// The time between two comparisons with a server. After three without one a server forgets a client.
    pub beat: Duration,
    /// Clients that a server takes.
    pub clients_max: usize,
    /// This peer.
    pub own: Node,
    /// The stream that choices are drawn from.
    pub rng: Rng,
    /// The servers, [`SERVERS_MAX`] at most, the one that is asked first in front. A peer that is one of them serves.
    pub servers: Vec<Node>,
}

impl Params {
    /// These servers.
    pub const fn new(own: Node, servers: Vec<Node>, rng: Rng) -> Self {
        Self {
            answer_wait: Duration::from_secs(2), // Twice a slow round trip, as in a flood's wait.
            beat: Duration::from_secs(30), // Our choice: what is lost or was forgotten is back after half a minute.
            clients_max: 1 << 20, // A gigabyte or two of items; Napster's servers had some 15,000 clients each.
            own,
            rng,
            servers,
        }
    }

    fn check(&self) {
        assert!(self.servers.len() <= SERVERS_MAX, "servers are few");
        assert!(!self.answer_wait.is_zero(), "an answer takes time");
    }
}

/// Servers of one network.
pub const SERVERS_MAX: usize = 8;
/// A server forgets a client after so many beats without a word.
const BEATS_SILENT: u32 = 3;

/// The timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// Compare with the servers, or forget silent clients.
    Beat,
    /// A server has not answered.
    Search(Query),
}

/// The machine.
#[derive(Debug)]
pub struct Index {
    shared: Shared,
    role: Role,
    /// By server: whether it has said that it knows what is shared.
    known: Vec<bool>,
    opens: Opens<Asked>,
    requests: u32,
    beat: Beat,
    params: Box<Params>,
}

/// What a peer is; never both.
#[derive(Debug)]
enum Role {
    Client,
    Server(Box<Catalogue>),
}

/// A question under way to the server of that number.
#[derive(Debug)]
struct Asked {
    request: u32,
    server: usize,
}

impl Index {
    /// Whether this peer is a server.
    pub const fn is_server(&self) -> bool {
        matches!(self.role, Role::Server(_))
    }

    /// How many servers know what this peer shares, beside itself.
    pub fn registrations(&self) -> usize {
        self.known.iter().filter(|known| **known).count()
    }

    /// Items that this peer has registered for itself and others: a server's.
    pub fn items(&self) -> usize {
        match &self.role {
            Role::Client => 0,
            Role::Server(catalogue) => catalogue.items(),
        }
    }

    fn on_command(&mut self, now: Time, command: Command, out: &mut Out<Self>) {
        match command {
            Command::Find { query, question, wanted, options: () } => self.on_find(now, query, question, wanted, out),
            // Servers are known beforehand.
            Command::Meet(_) => {}
            Command::Share(item) => self.on_share(now, item, out),
            Command::Unshare(hash) => self.on_unshare(hash, out),
        }
    }

    fn on_share(&mut self, now: Time, item: Item, out: &mut Out<Self>) {
        if !self.shared.insert(item.clone()) {
            return;
        }
        let node = self.params.own;
        if let Role::Server(catalogue) = &mut self.role {
            let own = [item.clone()].into();
            catalogue.register(now, node, false, own).expect("what is shared is bounded likewise");
        }
        out.broadcast(self.servers(), Message::Register { node, is_first: false, items: [item].into() });
    }

    fn on_unshare(&mut self, hash: Bytes<32>, out: &mut Out<Self>) {
        if !self.shared.remove(&hash) {
            return;
        }
        if let Role::Server(catalogue) = &mut self.role {
            catalogue.withdraw(self.params.own.peer, &hash);
        }
        out.broadcast(self.servers(), Message::Withdraw([hash].into()));
    }

    fn on_find(&mut self, now: Time, query: Query, question: Question, wanted: u16, out: &mut Out<Self>) {
        if !self.opens.admits(query) {
            return out.emit(refuse(query, Failure::Busy));
        }
        self.requests = self.requests.wrapping_add(1);
        let asked = Asked { request: self.requests, server: 0 };
        let own = self.params.own;
        match &self.role {
            Role::Client => {
                self.opens.insert(query, question, wanted, asked);
                self.ask(now, query, out);
            }
            Role::Server(catalogue) => {
                let hits = catalogue.hits(&question);
                let open = self.opens.insert(query, question, wanted, asked);
                open.tell(own, hits, 0, |event| out.emit(event));
                self.end(query, Failure::NotFound, out);
            }
        }
    }

    /// Asks the server whose turn it is, or gives up after the last.
    fn ask(&mut self, now: Time, query: Query, out: &mut Out<Self>) {
        let Some(open) = self.opens.get(query) else { return };
        let Some(server) = self.params.servers.get(open.state.server) else {
            let failure = if self.params.servers.is_empty() { Failure::Apart } else { Failure::Silence };
            return self.end(query, failure, out);
        };
        open.cost.messages += 1;
        open.cost.asked += 1;
        let ask = Message::Ask { request: open.state.request, question: open.question.clone() };
        out.send(server.peer, ask);
        out.set(Timer::Search(query), now + self.params.answer_wait);
    }

    fn next_server(&mut self, now: Time, query: Query, out: &mut Out<Self>) {
        let Some(open) = self.opens.get(query) else { return };
        open.cost.timeouts += 1;
        open.state.server += 1;
        self.ask(now, query, out);
    }

    fn end(&mut self, query: Query, failure: Failure, out: &mut Out<Self>) {
        if let Some(ended) = self.opens.end(query, failure) {
            out.cancel(Timer::Search(query));
            out.emit(ended);
        }
    }

    fn on_message(&mut self, now: Time, from: PeerId, message: Message, out: &mut Out<Self>) {
        match message {
            Message::Answer { request, hits } => self.on_answer(from, request, hits, out),
            Message::Ask { request, question } => match &self.role {
                Role::Client => out.reject(from, Reject::Unsolicited),
                Role::Server(catalogue) => {
                    out.send(from, Message::Answer { request, hits: catalogue.hits(&question) });
                }
            },
            Message::Ping => match &mut self.role {
                Role::Client => out.reject(from, Reject::Unsolicited),
                Role::Server(catalogue) => {
                    out.send(from, Message::Registered { digest: catalogue.hear(now, from) });
                }
            },
            Message::Register { node, is_first, items } => self.on_register(now, from, node, is_first, items, out),
            Message::Registered { digest } => self.on_registered(from, digest, out),
            Message::Withdraw(hashes) => self.on_withdraw(from, &hashes, out),
        }
    }

    fn on_answer(&mut self, from: PeerId, request: u32, hits: Vec<Hit>, out: &mut Out<Self>) {
        if hits.len() > HITS_MAX {
            return out.reject(from, Reject::QueryList);
        }
        let servers = &self.params.servers;
        let is_asked = |server: &Node| server.peer == from;
        let is_it = |asked: &Asked| asked.request == request && servers.get(asked.server).is_some_and(is_asked);
        let Some(open) = self.opens.find(is_it) else { return out.reject(from, Reject::Unsolicited) };
        let query = open.query;
        if !open.tell(self.params.own, hits, 1, |event| out.emit(event)) {
            out.reject(from, Reject::Unsolicited);
        }
        self.end(query, Failure::NotFound, out);
    }

    fn on_register(
        &mut self,
        now: Time,
        from: PeerId,
        node: Node,
        is_first: bool,
        items: Vec<Item>,
        out: &mut Out<Self>,
    ) {
        let Role::Server(catalogue) = &mut self.role else { return out.reject(from, Reject::Unsolicited) };
        if node.peer != from {
            return out.reject(from, Reject::NodeForeign);
        }
        if items.len() > PAGE_MAX {
            return out.reject(from, Reject::QueryList);
        }
        if !catalogue.has(from) && catalogue.holders() >= self.params.clients_max {
            return out.reject(from, Reject::TooMany);
        }
        if let Err(reason) = catalogue.register(now, node, is_first, items) {
            out.reject(from, reason);
        }
        out.send(from, Message::Registered { digest: catalogue.hear(now, from) });
    }

    fn on_withdraw(&mut self, from: PeerId, hashes: &[Bytes<32>], out: &mut Out<Self>) {
        let Role::Server(catalogue) = &mut self.role else { return out.reject(from, Reject::Unsolicited) };
        if hashes.len() > PAGE_MAX {
            return out.reject(from, Reject::QueryList);
        }
        hashes.iter().for_each(|hash| catalogue.withdraw(from, hash));
    }

    /// While pages are under way a server's digest lags behind; only one that answers a comparison tells what is missing, and
    /// then all is registered anew.
    fn on_registered(&mut self, from: PeerId, digest: Option<u64>, out: &mut Out<Self>) {
        let own = self.shared.digest();
        let Some(server) = self.params.servers.iter().position(|server| server.peer == from) else {
            return out.reject(from, Reject::Unsolicited);
        };
        self.known[server] = digest == Some(own);
        if digest.is_none() {
            self.register(from, out);
        }
    }

    /// All pages of what is shared; one that is empty where nothing is: the server knows the client, too.
    fn register(&self, to: PeerId, out: &mut Out<Self>) {
        let node = self.params.own;
        let mut is_first = true;
        for page in pages(&self.shared.0) {
            out.send(to, Message::Register { node, is_first, items: page.to_vec() });
            is_first = false;
        }
    }

    /// The servers, this peer not among them.
    fn servers(&self) -> Vec<PeerId> {
        let servers = self.params.servers.iter().map(|server| server.peer);
        servers.filter(|server| *server != self.params.own.peer).collect()
    }

    /// A server that did not confirm all since the last beat is told all again.
    fn on_beat(&mut self, now: Time, out: &mut Out<Self>) {
        out.set(Timer::Beat, self.beat.after(now));
        if let Role::Server(catalogue) = &mut self.role {
            catalogue.expire(now - self.params.beat * BEATS_SILENT, self.params.own.peer);
        }
        for place in 0..self.known.len() {
            let server = self.params.servers[place].peer;
            if server == self.params.own.peer {
                continue;
            }
            if core::mem::take(&mut self.known[place]) {
                out.send(server, Message::Ping);
            } else {
                self.register(server, out);
            }
        }
    }

    fn on_peer_down(&mut self, now: Time, peer: PeerId, out: &mut Out<Self>) {
        let Some(server) = self.params.servers.iter().position(|server| server.peer == peer) else { return };
        self.known[server] = false;
        for query in self.opens.queries(|asked| asked.server == server) {
            self.next_server(now, query, out);
        }
    }
}

/// Slices of a page each, and at least one.
pub(super) fn pages(items: &[Item]) -> impl Iterator<Item = &[Item]> {
    let none: &[Item] = &[];
    items.chunks(PAGE_MAX).chain(items.is_empty().then_some(none))
}

impl Protocol for Index {
    type Params = Params;
    type Message = Message;
    type Timer = Timer;
    type Command = Command;
    type Event = Event;
    type Record = Record;

    /// It keeps nothing: a server is told again, and what is shared is the owner's.
    fn restore(mut params: Params, _: impl Iterator<Item = (Key, Record)>) -> Self {
        params.check();
        let is_server = params.servers.iter().any(|server| server.peer == params.own.peer);
        let role = if is_server { Role::Server(Box::default()) } else { Role::Client };
        let known = params.servers.iter().map(|_| false).collect();
        let beat = Beat::random(params.beat, &mut params.rng);
        Self {
            shared: Shared::default(),
            role,
            known,
            opens: Opens::new(),
            requests: 0,
            beat,
            params: Box::new(params),
        }
    }

    /// A free rider registers, too: it may share something later.
    fn start(&mut self, now: Time, out: &mut Out<Self>) {
        out.set(Timer::Beat, self.beat.after(now));
        self.servers().into_iter().for_each(|server| self.register(server, out));
    }

    fn handle(&mut self, now: Time, input: Input<Self>, out: &mut Out<Self>) {
        match input {
            Input::Command(command) => self.on_command(now, command, out),
            Input::Message { from, message } => self.on_message(now, from, message, out),
            Input::PeerDown(peer) => self.on_peer_down(now, peer, out),
            // Servers are reached by their nodes.
            Input::PeerUp(_) => {}
            Input::Timer(Timer::Beat) => self.on_beat(now, out),
            Input::Timer(Timer::Search(query)) => self.next_server(now, query, out),
        }
    }

    /// 1. The owner's searches are bounded. 2. A server has no more clients than it takes, itself beside them. 3. There is one mark
    ///    for each server, and none of itself.
    fn check(&self) {
        self.opens.check();
        assert!(self.known.len() == self.params.servers.len(), "each server has its mark");
        if let Role::Server(catalogue) = &self.role {
            assert!(catalogue.holders() <= self.params.clients_max + 1, "clients are bounded");
        }
    }
}

#[cfg(test)]
mod tests;
