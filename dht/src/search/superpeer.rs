//! Superpeers (Gnutella 0.6, "Ultrapeers"; Skype; Yang and Garcia-Molina 2003, "Designing a super-peer network"): the most
//! capable peers know what their leaves share and flood queries among themselves, so that a leaf sends one message and is
//! asked nothing.
//!
//! A leaf attaches to `redundancy` superpeers, which all know what it shares, and asks one of them; when that one is silent, the
//! next. (Yang and Garcia-Molina's k partners share one cluster; here each leaf has its own k, as in Gnutella 0.6.) Who becomes a
//! superpeer, and who ceases to be one, is decided by each for itself: `election.rs`. A leaf's side is in `leaf.rs`, a
//! superpeer's in `station.rs`, the owner's searches in `asking.rs`.

mod asking;
mod election;
mod leaf;
mod message;
mod station;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use synod_machine::{Bytes, Input, Key, Out, PeerId, Protocol, Reject, Rng, Time};

use self::asking::Asked;
pub use self::election::{Election, Rule};
use self::leaf::Tie;
pub use self::message::{Message, NODES_MAX};
use self::station::Station;
use super::circle::{Circle, Sampling};
use super::open::{Opens, refuse};
use super::{Event, Item, Shared};
use crate::gossip::{Beat, Record, Seen};
use crate::overlay::{Failure, Node, Query};

/// What the owner asks. The option is how far a query goes among superpeers, in hops, from 1 to `ttl_max`.
pub type Command = super::Command<u8>;

/// Checked configuration.
#[derive(Clone, Debug)]
pub struct Params {
    /// The time between two signs of life on a tie or a link. After three without one it is gone.
    pub beat: Duration,
    /// What this peer can do, in any unit that all peers share (as kilobytes a second).
    pub capacity: u32,
    /// Neighbours that a superpeer seeks among superpeers. It takes up to twice as many.
    pub degree: usize,
    /// Who is a superpeer.
    pub election: Election,
    /// How long a message takes from one peer to the next at most.
    pub hop_wait: Duration,
    /// Leaves that a superpeer takes.
    pub leaves_max: u16,
    /// This peer.
    pub own: Node,
    /// Superpeers that a leaf attaches to: k.
    pub redundancy: usize,
    /// The stream that choices are drawn from.
    pub rng: Rng,
    /// Where other peers are heard of; nothing: they are the connections that the host tells of.
    pub sampling: Option<Sampling>,
    /// No query goes further among superpeers, in hops.
    pub ttl_max: u8,
}

impl Params {
    /// Connections for acquaintances, and a superpeer by its capacity.
    pub const fn new(own: Node, capacity: u32, rng: Rng) -> Self {
        Self {
            beat: Duration::from_secs(10), // Our choice: a dead superpeer is noticed in 30 s, or by the first query.
            capacity,
            degree: 8, // Gnutella 0.6's ultrapeers had 6 (LimeWire, early) to 30 neighbours among themselves.
            election: Election::ByCapacity(Rule::DEFAULT),
            hop_wait: Duration::from_millis(500), // As a flood's.
            leaves_max: 30,                       // LimeWire's ultrapeers took 30.
            own,
            redundancy: 2, // Yang and Garcia-Molina 2003, section 5.1, find 2 to do well.
            rng,
            sampling: None,
            ttl_max: 7, // As Gnutella 0.4's.
        }
    }

    fn check(&self) {
        assert!(self.ttl_max > 0, "a query goes somewhere");
        assert!(self.ttl_max <= super::flood::TTL_MAX, "a query comes back");
        assert!(self.redundancy > 0, "a leaf has a superpeer");
        assert!(self.redundancy <= TIES_MAX, "ties are bounded");
        assert!(self.degree > 0, "superpeers have neighbours");
        assert!(self.degree <= DEGREE_MAX, "links are bounded");
        assert!(self.leaves_max > 0, "a superpeer has leaves");
    }
}

/// The most superpeers of one leaf.
pub const TIES_MAX: usize = 8;
/// The most neighbours that a superpeer can be told to seek.
pub const DEGREE_MAX: usize = 64;
/// Superpeers that a peer has heard of.
pub const KNOWN_MAX: usize = 32;
/// A tie or link is gone after so many beats without a word.
const BEATS_SILENT: u32 = 3;

/// The timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// Signs of life, and what follows from a lack of them.
    Beat,
    /// A superpeer has not answered, or a flood is over.
    Search(Query),
    /// The next shuffle of the view.
    Shuffle,
}

/// The machine.
#[derive(Debug)]
pub struct Superpeer {
    /// By whom queries came.
    seen: Seen,
    post: Post,
    shared: Shared,
    circle: Circle,
    opens: Opens<Asked>,
    /// Superpeers that it has heard of.
    known: Vec<Node>,
    /// Who was asked for superpeers and has not answered.
    sought: Option<PeerId>,
    born: Time,
    /// Since when it is what it is.
    since: Time,
    /// When a leaf without a superpeer becomes one.
    claim_at: Option<Time>,
    beat: Beat,
    params: Box<Params>,
}

/// What a peer is; never both.
#[derive(Debug)]
enum Post {
    Leaf(Vec<Tie>),
    Superpeer(Box<Station>),
}

impl Superpeer {
    /// Whether it is a superpeer now.
    pub const fn is_superpeer(&self) -> bool {
        matches!(self.post, Post::Superpeer(_))
    }

    /// A leaf's superpeers, or a superpeer's neighbours among superpeers: those that have said yes.
    pub fn superpeers(&self) -> Vec<Node> {
        match &self.post {
            Post::Leaf(ties) => ties.iter().filter(|tie| tie.is_up).map(|tie| tie.node).collect(),
            Post::Superpeer(station) => station.linked().collect(),
        }
    }

    /// A superpeer's leaves.
    pub fn leaves(&self) -> Vec<PeerId> {
        match &self.post {
            Post::Leaf(_) => Vec::new(),
            Post::Superpeer(station) => station.leaves(self.params.own.peer).collect(),
        }
    }

    /// Whether all superpeers of a leaf know all that it shares; a superpeer knows itself.
    pub fn is_registered(&self) -> bool {
        match &self.post {
            Post::Leaf(ties) => ties.len() >= self.params.redundancy.min(1) && ties.iter().all(|tie| tie.is_known),
            Post::Superpeer(_) => true,
        }
    }

    fn on_command(&mut self, now: Time, command: Command, out: &mut Out<Self>) {
        match command {
            Command::Find { query, question, wanted, options } => {
                if !self.opens.admits(query) {
                    return out.emit(refuse(query, Failure::Busy));
                }
                let ttl = options.clamp(1, self.params.ttl_max);
                let asked = Asked { ids: Vec::new(), ttl, tried: Vec::new(), at: None, is_acknowledged: false };
                self.opens.insert(query, question, wanted, asked);
                self.ask(now, query, out);
            }
            Command::Meet(node) => self.circle.meet(node, &mut self.params.rng),
            Command::Share(item) => self.on_share(now, item, out),
            Command::Unshare(hash) => self.on_unshare(hash, out),
        }
    }

    fn on_share(&mut self, now: Time, item: Item, out: &mut Out<Self>) {
        if !self.shared.insert(item.clone()) {
            return;
        }
        let node = self.params.own;
        match &mut self.post {
            Post::Leaf(ties) => {
                let to = ties.iter().map(|tie| tie.node.peer).collect();
                ties.iter_mut().for_each(|tie| tie.is_known = false);
                out.broadcast(to, Message::Attach { node, is_first: false, items: [item].into() });
            }
            Post::Superpeer(station) => {
                station
                    .catalogue
                    .register(now, node, false, [item].into())
                    .expect("what is shared is bounded likewise");
            }
        }
    }

    fn on_unshare(&mut self, hash: Bytes<32>, out: &mut Out<Self>) {
        if !self.shared.remove(&hash) {
            return;
        }
        match &mut self.post {
            Post::Leaf(ties) => {
                let to = ties.iter().map(|tie| tie.node.peer).collect();
                out.broadcast(to, Message::Withdraw([hash].into()));
            }
            Post::Superpeer(station) => station.catalogue.withdraw(self.params.own.peer, &hash),
        }
    }

    fn on_message(&mut self, now: Time, from: PeerId, message: Message, out: &mut Out<Self>) {
        match message {
            Message::Advice(nodes) => self.on_advice(now, from, nodes, out),
            Message::Attach { node, is_first, items } => self.on_attach(now, from, node, is_first, items, out),
            Message::Attached { digest } => self.on_attached(now, from, digest, out),
            Message::Hit { id, hops, hits } => self.on_hit(now, from, id, hops, hits, out),
            Message::Leave => self.on_leave(now, from, out),
            Message::Link { node, capacity, free } => self.on_link(now, from, node, capacity, free, out),
            Message::Linked { capacity, free } => self.on_linked(now, from, capacity, free, out),
            Message::Ping => self.on_ping(now, from, out),
            Message::Query { id, ttl, hops, question } => self.on_query(now, from, id, (ttl, hops), question, out),
            Message::Refused(nodes) => self.on_refused(now, from, nodes, out),
            Message::Seek => out.send(from, Message::Advice(self.advice(from))),
            Message::Shuffle(theirs) => match self.circle.on_shuffle(from, &theirs, &mut self.params.rng) {
                Ok(ours) => out.send(from, Message::Shuffled(ours)),
                Err(reason) => out.reject(from, reason),
            },
            Message::Shuffled(theirs) => {
                if let Err(reason) = self.circle.on_shuffled(from, &theirs) {
                    out.reject(from, reason);
                }
            }
            Message::Withdraw(hashes) => self.on_withdraw(from, &hashes, out),
        }
    }

    /// Superpeers to name to somebody.
    fn advice(&self, to: PeerId) -> Vec<Node> {
        let own = self.is_superpeer().then_some(self.params.own);
        let mut nodes: Vec<Node> = own.into_iter().chain(self.superpeers()).collect();
        let others = self.known.iter().filter(|node| !nodes.contains(node)).copied().collect::<Vec<_>>();
        nodes.extend(others);
        nodes.retain(|node| node.peer != to);
        nodes.truncate(NODES_MAX);
        nodes
    }

    /// Hears of superpeers; those that it had not heard of. One too many takes the place of one that is drawn.
    fn learn(&mut self, nodes: impl IntoIterator<Item = Node>) -> Vec<Node> {
        let mut new = Vec::new();
        for node in nodes {
            if node.peer == self.params.own.peer || self.known.iter().any(|known| known.peer == node.peer) {
                continue;
            }
            new.push(node);
            if self.known.len() < KNOWN_MAX {
                self.known.push(node);
            } else {
                let place = self.params.rng.below(KNOWN_MAX as u64) as usize;
                self.known[place] = node;
            }
        }
        new
    }

    fn forget(&mut self, peer: PeerId) {
        self.known.retain(|node| node.peer != peer);
    }

    /// Asks somebody at random for superpeers.
    fn seek(&mut self, out: &mut Out<Self>) {
        self.sought = self.circle.pick(None, &mut self.params.rng);
        if let Some(to) = self.sought {
            out.send(to, Message::Seek);
        }
    }

    /// A leaf tells its superpeers of those that are new to it: so superpeers hear of each other that have no acquaintance in common
    /// but their leaves'.
    fn on_advice(&mut self, now: Time, from: PeerId, nodes: Vec<Node>, out: &mut Out<Self>) {
        if nodes.len() > NODES_MAX {
            return out.reject(from, Reject::QueryList);
        }
        let is_leaf = matches!(&self.post, Post::Superpeer(station) if station.catalogue.has(from));
        if self.sought != Some(from) && !is_leaf {
            return out.reject(from, Reject::Unsolicited);
        }
        if self.sought == Some(from) {
            self.sought = None;
        }
        let new = self.learn(nodes);
        match &self.post {
            Post::Leaf(ties) if !new.is_empty() => {
                let up = ties.iter().filter(|tie| tie.is_up);
                out.broadcast(up.map(|tie| tie.node.peer).collect(), Message::Advice(new));
                self.attach(now, out);
            }
            Post::Leaf(_) => self.attach(now, out),
            Post::Superpeer(_) => self.meet_stranger(now, out),
        }
    }

    /// Whoever was tied to us is not, or says that it will not be.
    fn on_refused(&mut self, now: Time, from: PeerId, nodes: Vec<Node>, out: &mut Out<Self>) {
        if nodes.len() > NODES_MAX {
            return out.reject(from, Reject::QueryList);
        }
        if !self.release(from) {
            return out.reject(from, Reject::Unsolicited);
        }
        self.forget(from);
        self.learn(nodes.into_iter().filter(|node| node.peer != from));
        self.ask_others(now, from, out);
    }

    fn on_leave(&mut self, now: Time, from: PeerId, out: &mut Out<Self>) {
        if let Post::Superpeer(station) = &mut self.post
            && from != self.params.own.peer
            && station.catalogue.remove(from)
        {
            return;
        }
        if self.release(from) {
            self.forget(from);
            self.ask_others(now, from, out);
            self.mend(now, out);
        }
    }

    fn on_peer_down(&mut self, now: Time, peer: PeerId, out: &mut Out<Self>) {
        self.circle.on_peer_down(peer);
        if self.sought == Some(peer) {
            self.sought = None;
        }
        self.on_leave(now, peer, out);
    }

    /// Ends the tie or the link with a peer, if there is one.
    fn release(&mut self, peer: PeerId) -> bool {
        match &mut self.post {
            Post::Leaf(ties) => {
                let count = ties.len();
                ties.retain(|tie| tie.node.peer != peer);
                ties.len() < count
            }
            Post::Superpeer(station) => station.unlink(peer),
        }
    }

    fn on_beat(&mut self, now: Time, out: &mut Out<Self>) {
        match &self.post {
            Post::Leaf(_) => self.on_leaf_beat(now, out),
            Post::Superpeer(_) => self.on_station_beat(now, out),
        }
    }

    fn mend(&mut self, now: Time, out: &mut Out<Self>) {
        match &self.post {
            Post::Leaf(_) => self.mend_ties(now, out),
            Post::Superpeer(_) => {}
        }
    }

    fn on_shuffle_timer(&mut self, now: Time, out: &mut Out<Self>) {
        let Some(at) = self.circle.shuffle_at(now) else { return };
        out.set(Timer::Shuffle, at);
        if let Some((peer, descriptors)) = self.circle.shuffle(&mut self.params.rng) {
            out.send(peer, Message::Shuffle(descriptors));
        }
    }
}

impl Protocol for Superpeer {
    type Params = Params;
    type Message = Message;
    type Timer = Timer;
    type Command = Command;
    type Event = Event;
    type Record = Record;

    /// It keeps nothing: what is shared is the owner's, who says so again, and superpeers are found again.
    fn restore(mut params: Params, _: impl Iterator<Item = (Key, Record)>) -> Self {
        params.check();
        let sampling = params.sampling.take();
        let (post, known) = params.election.first_post();
        Self {
            seen: Seen::new(&mut params.rng),
            post,
            shared: Shared::default(),
            circle: Circle::new(params.own, sampling, &mut params.rng),
            opens: Opens::new(),
            known,
            sought: None,
            born: Time::ZERO,
            since: Time::ZERO,
            claim_at: None,
            beat: Beat::random(params.beat, &mut params.rng),
            params: Box::new(params),
        }
    }

    fn start(&mut self, now: Time, out: &mut Out<Self>) {
        (self.born, self.since) = (now, now);
        if let Some(at) = self.circle.shuffle_at(now) {
            out.set(Timer::Shuffle, at);
        }
        self.settle_in(now, out);
    }

    fn handle(&mut self, now: Time, input: Input<Self>, out: &mut Out<Self>) {
        match input {
            Input::Command(command) => self.on_command(now, command, out),
            Input::Message { from, message } => self.on_message(now, from, message, out),
            Input::PeerDown(peer) => self.on_peer_down(now, peer, out),
            Input::PeerUp(peer) => self.circle.on_peer_up(peer),
            Input::Timer(Timer::Beat) => self.on_beat(now, out),
            Input::Timer(Timer::Search(query)) => self.on_search_timer(now, query, out),
            Input::Timer(Timer::Shuffle) => self.on_shuffle_timer(now, out),
        }
    }

    /// 1. Acquaintances, searches and superpeers that it has heard of are bounded. 2. A leaf's ties are, and are to different
    ///    peers. 3. So are a superpeer's leaves and links. 4. Nobody is a leaf and a neighbour of the same superpeer.
    fn check(&self) {
        self.circle.check();
        self.opens.check();
        assert!(self.known.len() <= KNOWN_MAX, "superpeers that it has heard of are bounded");
        match &self.post {
            Post::Leaf(ties) => {
                assert!(ties.len() <= self.params.redundancy, "ties are bounded");
                let is_once = |tie: &Tie| ties.iter().filter(|other| other.node.peer == tie.node.peer).count() == 1;
                assert!(ties.iter().all(is_once), "each tie is to another superpeer");
            }
            Post::Superpeer(station) => station.check(&self.params),
        }
    }
}

#[cfg(test)]
mod tests;
