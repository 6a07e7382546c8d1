//! Kademlia (Maymounkov and Mazières 2002, "Kademlia: a peer-to-peer information system based on the XOR metric"): nodes and
//! values are found by the exclusive or of identifiers, as a distance.
//!
//! A node knows up to k others in each subtree that it is not in (`table.rs`), finds the k closest to a target by asking the
//! closest that it knows, α at a time (`lookup.rs`), and keeps entries for others until they expire (`store.rs`). Where the
//! paper is silent it does what libp2p's does (libp2p/specs, `kad-dht/README.md`), and says so. It does not have the paper's
//! relaxed splitting of unbalanced subtrees (section 2.4), longer steps of b bits (4.2), nor its random request ids
//! against forged addresses (2.3), since a transport tells who speaks.
//!
//! A node joins on command, when it is told whom it may ask; it answers others before. What it publishes is on disk and
//! published again after a restart; the table and what it keeps for others are not.

mod keep;
mod lookup;
mod message;
mod owner;
mod requests;
mod store;
mod table;
mod task;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use synod_machine::{Folded, Glance, Input, Key, Out, PeerId, Protocol, Reject, Time, lines};

use self::keep::Publication;
pub use self::keep::{HANDED_MAX, PUBLICATIONS_MAX, REPUBLISHING_MAX};
pub use self::lookup::{CANDIDATES_MAX, HOPS_MAX, REQUESTS_MAX};
pub use self::message::{Held, Message, NODES_MAX, Record};
pub use self::owner::{Command, Event, Params, Timer};
use self::requests::{About, Open, Requests};
use self::store::Store;
pub use self::store::{KEYS_MAX, VALUES_BYTES_MAX};
use self::table::{Bounds, Seen, Table};
pub use self::table::{Bucket, Contact};
use self::task::{Purpose, Task};
use crate::overlay::{Cost, ENTRIES_MAX, Entry, Failure, Id, Node};

/// The machine. What each message touches stands first.
#[derive(Debug)]
#[repr(C)]
pub struct Kademlia {
    table: Table,
    bounds: Bounds,
    node: Node,
    requests: Requests,
    tasks: Vec<Task>,
    request_time: Duration,
    is_joined: bool,
    /// Whether [`Kademlia::republish`] is at work.
    is_publishing: bool,
    is_refreshing: bool,
    /// Whether [`Timer::Request`] is pending.
    is_timed: bool,
    /// Look-ups that publish again.
    republishing: u8,
    last_task: u32,
    store: Store,
    /// By key.
    publications: Vec<Publication>,
    /// When [`Timer::Keep`] is due.
    keep_at: Time,
    /// Apart: it is seldom looked at.
    rest: Box<Rest>,
}

/// What is left of the configuration.
#[derive(Debug)]
struct Rest {
    alpha: u8,
    expire: Duration,
    publish: Duration,
    republish: Duration,
    rng: Folded,
}

/// What the owner asked for and is not answered yet.
pub const TASKS_MAX: usize = 256;
/// Requests that are open when another task is begun, or another copy is sent that nobody waits for.
pub const OPEN_MAX: usize = 4_096;
impl Kademlia {
    /// Its buckets, by the length of the prefix that their nodes share with this one: what people look at.
    pub fn buckets(&self) -> impl ExactSizeIterator<Item = Bucket<'_>> {
        self.table.buckets()
    }

    /// Keys under which it keeps something for others, in order.
    pub fn keys(&self) -> impl Iterator<Item = Id> {
        self.store.keys()
    }

    /// What it keeps under a key, by publisher, withdrawals among it.
    pub fn entries(&self, now: Time, key: Id) -> impl Iterator<Item = &Entry> {
        self.store.entries(now, key)
    }

    /// Whether it has its place among the others.
    pub const fn is_joined(&self) -> bool {
        self.is_joined
    }

    /// Whether nothing is under way.
    pub fn is_idle(&self) -> bool {
        self.tasks.is_empty() && self.requests.is_empty()
    }

    /// This node.
    pub const fn node(&self) -> Node {
        self.node
    }

    /// Asserts of all buckets what [`check`](Protocol::check) asserts of the one that a step touched.
    pub fn check_all(&self) {
        self.table.check_all(&self.bounds);
    }

    fn on_command(&mut self, now: Time, command: Command, out: &mut Out<Self>) {
        match command {
            Command::Get { query, key, quorum } => self.on_get(now, query, key, quorum, out),
            Command::Join { via } => self.on_join(now, via, out),
            Command::Lookup { query, key } => {
                if let Some(failure) = self.refusal() {
                    return out.emit(Event::Found { query, result: Err(failure), cost: Cost::default() });
                }
                let seeds = self.seeds(key);
                self.begin(now, key, Purpose::Lookup { query }, &seeds, out);
            }
            Command::Put { query, key, value, quorum } => self.on_put(now, query, key, value, quorum, out),
        }
    }

    /// Why nothing can be asked of this node now.
    fn refusal(&self) -> Option<Failure> {
        if !self.is_joined {
            return Some(Failure::Apart);
        }
        let is_busy = self.tasks.len() >= TASKS_MAX || self.requests.len() >= OPEN_MAX;
        is_busy.then_some(Failure::Busy)
    }

    /// Section 2.3, the last paragraph: it looks up its own identifier, beginning with those that it was told of.
    fn on_join(&mut self, now: Time, via: Vec<Node>, out: &mut Out<Self>) {
        let own = self.node;
        if self.tasks.iter().any(|task| matches!(task.purpose, Purpose::Join)) {
            return out.emit(Event::Joined { result: Err(Failure::Busy), cost: Cost::default() });
        }
        let mut nodes = self.table.closest(own.id, usize::from(self.bounds.contacts_max), |_| true);
        nodes.extend(via.into_iter().take(CANDIDATES_MAX).filter(|node| node.id != own.id && node.peer != own.peer));
        nodes.sort_by_key(|node| node.id.xor(own.id));
        nodes.dedup_by_key(|node| node.id);
        self.begin(now, own.id, Purpose::Join, &nodes, out);
    }

    /// It knows its neighbours, and refreshes all buckets that are farther away.
    fn on_joined(&mut self, now: Time, result: Result<(), Failure>, cost: Cost, out: &mut Out<Self>) {
        out.emit(Event::Joined { result, cost });
        if result.is_ok() {
            self.is_joined = true;
            self.table.age();
            self.refresh(now, out);
            self.republish(now, out);
        }
    }

    fn on_message(&mut self, now: Time, from: PeerId, message: Message, out: &mut Out<Self>) {
        match message {
            Message::FindNode { request, node, target } => {
                if self.meet_asker(now, from, node, out) {
                    out.send(from, Message::Nodes { request, nodes: self.nodes_for(node, target) });
                }
            }
            Message::FindValue { request, node, key } => {
                if self.meet_asker(now, from, node, out) {
                    let values = self.store.held(now, key);
                    out.send(from, Message::Values { request, values, nodes: self.nodes_for(node, key) });
                }
            }
            Message::Nodes { request, nodes } => self.on_nodes(now, from, request, &nodes, out),
            Message::Ping { request, node } => {
                if self.meet_asker(now, from, node, out) {
                    out.send(from, Message::Pong { request });
                }
            }
            Message::Pong { request } => match self.requests.take(request, from, |about| about == About::Ping) {
                Some(open) => self.meet(now, open.node, out),
                None => out.reject(from, Reject::Unsolicited),
            },
            Message::Store { request, node, key, held } => {
                if !held.is_sound() {
                    return out.reject(from, Reject::ValueForm);
                }
                if self.meet_asker(now, from, node, out) {
                    let is_kept = self.keep(now, key, *held, out);
                    out.send(from, Message::Stored { request, is_kept });
                }
            }
            Message::Stored { request, is_kept } => self.on_stored_by(now, from, request, is_kept, out),
            Message::Values { request, values, nodes } => self.on_values(now, from, request, values, &nodes, out),
        }
    }

    /// Takes the sender of a request up. Whether it is who it says.
    fn meet_asker(&mut self, now: Time, from: PeerId, node: Node, out: &mut Out<Self>) -> bool {
        let is_sound = node.peer == from && node.id != self.node.id;
        if is_sound {
            self.meet(now, node, out);
        } else {
            out.reject(from, Reject::NodeForeign);
        }
        is_sound
    }

    /// Section 2.2: whoever sends a message is put where the most recently seen contact of its bucket is, if there is room.
    fn meet(&mut self, now: Time, node: Node, out: &mut Out<Self>) {
        match self.table.seen(now, node, &self.bounds) {
            Seen::Known | Seen::Waits(None) => {}
            Seen::New => self.hand_over(now, node, out),
            Seen::Waits(Some(first)) => self.ping(now, first, out),
        }
    }

    fn nodes_for(&self, asker: Node, target: Id) -> Vec<Node> {
        let is_wanted = |contact: &Contact| contact.failures == 0 && contact.id != asker.id;
        self.table.closest(target, usize::from(self.bounds.contacts_max), is_wanted)
    }

    fn on_nodes(&mut self, now: Time, from: PeerId, request: u32, nodes: &[Node], out: &mut Out<Self>) {
        let Some(open) = self.requests.take(request, from, |about| matches!(about, About::Nodes(_))) else {
            return out.reject(from, Reject::Unsolicited);
        };
        if let About::Nodes(number) = open.about
            && self.take_up(now, &open, number, nodes, out)
        {
            self.advance(now, number, out);
        }
    }

    fn on_values(
        &mut self,
        now: Time,
        from: PeerId,
        request: u32,
        values: Vec<Held>,
        nodes: &[Node],
        out: &mut Out<Self>,
    ) {
        let Some(open) = self.requests.take(request, from, |about| matches!(about, About::Values(_))) else {
            return out.reject(from, Reject::Unsolicited);
        };
        let is_sorted = values.is_sorted_by(|a, b| a.entry.publisher < b.entry.publisher);
        if values.len() > ENTRIES_MAX || !is_sorted || !values.iter().all(Held::is_sound) {
            out.reject(from, Reject::ValueForm);
            return self.fail(now, &open, false, out);
        }
        if let About::Values(number) = open.about
            && self.take_up(now, &open, number, nodes, out)
        {
            self.on_reply(now, number, open.node, values, out);
            self.advance(now, number, out);
        }
    }

    /// Takes the nodes of an answer up, which are to be sorted. Whether there is a look-up that goes on.
    fn take_up(&mut self, now: Time, open: &Open, number: u32, nodes: &[Node], out: &mut Out<Self>) -> bool {
        let own = self.node;
        let Some(task) = self.tasks.iter_mut().find(|task| task.number == number) else {
            self.meet(now, open.node, out);
            return false;
        };
        let target = task.lookup.target();
        let is_other = |node: &Node| node.id != own.id && node.peer != own.peer && node.id != open.node.id;
        let is_sorted = nodes.is_sorted_by(|a, b| a.id.is_closer(b.id, target));
        if nodes.len() > NODES_MAX || !is_sorted || !nodes.iter().all(is_other) {
            out.reject(open.node.peer, Reject::QueryList);
            self.fail(now, open, false, out);
            return false;
        }
        task.lookup.answered_by(open.node.id, nodes);
        self.meet(now, open.node, out);
        true
    }

    fn on_stored_by(&mut self, now: Time, from: PeerId, request: u32, is_kept: bool, out: &mut Out<Self>) {
        let is_store = |about| matches!(about, About::Store(_) | About::Spread);
        let Some(open) = self.requests.take(request, from, is_store) else {
            return out.reject(from, Reject::Unsolicited);
        };
        self.meet(now, open.node, out);
        if let About::Store(number) = open.about {
            self.on_stored(number, is_kept, false, out);
        }
    }

    /// Sends a request and notes it.
    fn request(
        &mut self,
        now: Time,
        to: Node,
        about: About,
        message: impl FnOnce(u32) -> Message,
        out: &mut Out<Self>,
    ) {
        let until = now + self.request_time;
        let number = self.requests.add(to, until, about);
        out.send(to.peer, message(number));
        if !self.is_timed {
            self.is_timed = true;
            out.set(Timer::Request, until);
        }
    }

    fn ping(&mut self, now: Time, node: Node, out: &mut Out<Self>) {
        if self.requests.len() < OPEN_MAX && !self.requests.pings(node) {
            let own = self.node;
            self.request(now, node, About::Ping, |request| Message::Ping { request, node: own }, out);
        }
    }

    /// Gives a node a copy, without waiting for its word.
    fn spread(&mut self, now: Time, node: Node, key: Id, held: &Held, out: &mut Out<Self>) {
        let own = self.node;
        if node.id == own.id {
            self.keep(now, key, held.clone(), out);
        } else if self.requests.len() < OPEN_MAX {
            let message = |request| Message::Store { request, node: own, key, held: held.clone().into() };
            self.request(now, node, About::Spread, message, out);
        }
    }

    /// A request came to nothing.
    fn fail(&mut self, now: Time, open: &Open, is_late: bool, out: &mut Out<Self>) {
        if let Some(contact) = self.table.failed(open.node, &self.bounds) {
            self.ping(now, contact, out);
        }
        match open.about {
            About::Ping | About::Spread => {}
            About::Nodes(number) | About::Values(number) => {
                if let Some(task) = self.task(number) {
                    task.lookup.failed(open.node.id, is_late);
                    self.advance(now, number, out);
                }
            }
            About::Store(number) => self.on_stored(number, false, is_late, out),
        }
    }

    fn on_request_timer(&mut self, now: Time, out: &mut Out<Self>) {
        // The timer counts as pending, so that it is set once.
        while let Some(open) = self.requests.take_late(now) {
            self.fail(now, &open, true, out);
        }
        self.is_timed = false;
        if let Some(until) = self.requests.next_until() {
            self.is_timed = true;
            out.set(Timer::Request, until);
        }
    }

    /// What was asked of a peer that cannot be reached has failed.
    fn on_peer_down(&mut self, now: Time, peer: PeerId, out: &mut Out<Self>) {
        for _ in 0..self.requests.len() {
            let Some(open) = self.requests.take_to(peer) else { return };
            self.fail(now, &open, false, out);
        }
    }

    /// Refreshes the bucket in which nothing was looked up for the longest time, one after the other, and those that failed
    /// with it.
    fn refresh(&mut self, now: Time, out: &mut Out<Self>) {
        if !self.is_joined || self.is_refreshing {
            return;
        }
        let Some((place, due)) = self.table.next_refresh() else {
            return out.set(Timer::Refresh, now + self.bounds.refresh);
        };
        if due > now || self.requests.len() >= OPEN_MAX {
            return out.set(Timer::Refresh, due.max(now + self.request_time));
        }
        self.is_refreshing = true;
        let target = self.rest.rng.unfold(|rng| self.table.draw(place, rng));
        let nodes = self.table.closest(target, usize::from(self.bounds.contacts_max), |_| true);
        self.begin(now, target, Purpose::Refresh, &nodes, out);
    }
}

impl Protocol for Kademlia {
    type Params = Params;
    type Message = Message;
    type Timer = Timer;
    type Command = Command;
    type Event = Event;
    type Record = Record;

    fn restore(params: Params, disk: impl Iterator<Item = (Key, Record)>) -> Self {
        params.check();
        let publication = |(key, record): (Key, Record)| Publication { key: key.name.into(), record, due: Time::ZERO };
        let mut publications: Vec<Publication> = disk.map(publication).collect();
        publications.sort_by_key(|publication| publication.key);
        let Params { alpha, expire, failures_max, k, node, probe, .. } = params;
        let Params { publish, refresh, republish, request_time, rng, spares_max, .. } = params;
        Self {
            table: Table::new(node.id),
            bounds: Bounds { contacts_max: k, spares_max, failures_max, probe, refresh },
            node,
            requests: Requests::new(),
            tasks: Vec::new(),
            request_time,
            is_joined: false,
            is_publishing: false,
            is_refreshing: false,
            is_timed: false,
            republishing: 0,
            last_task: 0,
            store: Store::new(node.id),
            publications,
            keep_at: Time::MAX,
            rest: Box::new(Rest { alpha, expire, publish, republish, rng: rng.fold() }),
        }
    }

    fn start(&mut self, _: Time, _: &mut Out<Self>) {}

    #[inline]
    fn handle(&mut self, now: Time, input: Input<Self>, out: &mut Out<Self>) {
        match input {
            Input::Command(command) => self.on_command(now, command, out),
            Input::Message { from, message } => self.on_message(now, from, message, out),
            Input::PeerDown(peer) => self.on_peer_down(now, peer, out),
            // A contact is who answers.
            Input::PeerUp(_) => {}
            Input::Timer(Timer::Keep) => self.on_keep_timer(now, out),
            Input::Timer(Timer::Refresh) => self.refresh(now, out),
            Input::Timer(Timer::Request) => self.on_request_timer(now, out),
        }
    }

    fn foresee(&self, message: &Message, glance: Glance, mut fetch: impl FnMut(*const u8)) {
        match message {
            Message::FindNode { node, target: key, .. } | Message::FindValue { node, key, .. } => {
                self.table.foresee(node.id, *key, glance, fetch);
            }
            Message::Nodes { request, nodes } | Message::Values { request, nodes, .. } => match glance {
                Glance::First => {
                    lines(nodes).for_each(&mut fetch);
                    lines(&self.tasks).for_each(&mut fetch);
                    self.requests.lines().for_each(fetch);
                }
                Glance::Second => {
                    if let Some(node) = self.requests.node(*request) {
                        self.table.foresee_node(node.id, &mut fetch);
                    }
                    if let Some(task) = self.tasks.first() {
                        task.lookup.lines().for_each(fetch);
                    }
                }
            },
            Message::Ping { .. } | Message::Pong { .. } | Message::Store { .. } | Message::Stored { .. } => {}
        }
    }

    /// 1. The bucket that was touched last has k contacts and the allowed spares at most, and nobody waits while there is room.
    /// 2. Its latest contact has the prefix of its bucket. 3. What is kept for others is bounded. 4. So are tasks and requests,
    ///    and what a look-up remembers and asks. 5. Who waits for an answer will hear that it does not come.
    fn check(&self) {
        self.table.check(&self.bounds);
        self.store.check();
        assert!(self.tasks.len() <= TASKS_MAX + usize::from(REPUBLISHING_MAX) + 2, "tasks are bounded");
        let each = 2 * NODES_MAX;
        assert!(self.requests.len() <= OPEN_MAX + each * (self.tasks.len() + 1) + NODES_MAX, "requests are bounded");
        assert!(self.tasks.is_empty() || !self.requests.is_empty(), "who waits has asked");
        assert!(self.requests.is_empty() || self.is_timed, "requests are timed");
        if let Some(task) = self.tasks.last() {
            task.lookup.check();
        }
    }
}

#[cfg(test)]
mod tests;
