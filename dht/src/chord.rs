//! Chord: who owns a key is found in about ½·log2 N steps on a ring of N nodes (Stoica, Morris, Karger, Kaashoek and Balakrishnan,
//! "Chord: a scalable peer-to-peer lookup service", SIGCOMM 2001; with Liben-Nowell and Dabek, IEEE/ACM ToN 2003).
//!
//! A node knows its predecessor, a list of successors, and fingers at distances of powers of two. The ring is kept by the rules
//! that Zave proves right ("Reasoning about identifier spaces: how to make Chord correct", 2017): a node takes another as its
//! successor only when that one has answered, with the list that came with the answer, and gives its predecessor up only for a
//! nearer one or when it is dead. Her proof takes a stable base of one node more than the list of successors is long. A
//! smaller ring, or one that was cut in two, is put together again by what the papers do not have: nodes that fell silent are
//! remembered, and now and then one of them is asked for our successor.
//!
//! A key's entries lie on its owner and the nodes that follow it ("successor-list replication", ToN section IV-E.3); owners offer
//! them to those that should have them, and who has what it should not offers it to the owner.

mod calls;
mod entries;
mod fingers;
mod handover;
mod message;
mod owner;
mod ring;
mod upkeep;
mod values;
mod walk;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use synod_machine::{Folded, Glance, Input, Key, Out, PeerId, Protocol, Reject, Time, lines};

use self::calls::{Call, Calls, What};
use self::entries::Entries;
use self::fingers::Fixing;
use self::handover::{Handover, TASKS_MAX};
use self::ring::Ring;
use self::upkeep::{Joining, Watch};
use self::walk::Job;
use crate::overlay::{Entry, Id, Node};

pub use self::entries::KEYS_MAX;
pub use self::message::{AVOIDED_MAX, FINGERS_SENT_MAX, HOPS_MAX, Message, OFFERED_MAX, Record, SUCCESSORS_MAX};
pub use self::owner::{Command, Event, Params, Style, Timer};
pub use self::upkeep::LOST_MAX;
pub use self::walk::{JOBS_MAX, STEPS_MAX};

/// Where a node stands.
#[derive(Debug)]
enum State {
    /// On no ring.
    Apart,
    /// On its way in.
    Joining(Box<Joining>),
    /// On its way out: what it has is handed over.
    Leaving,
    /// On the ring.
    Member,
}

/// The machine.
#[derive(Debug)]
pub struct Chord {
    ring: Ring,
    state: State,
    calls: Calls,
    jobs: Vec<Job>,
    /// Names jobs.
    job_next: u32,
    fixing: Fixing,
    watch: Watch,
    /// Nodes that fell silent, the latest last.
    lost: Vec<Node>,
    entries: Entries,
    handover: Handover,
    /// A request that was not answered for so long has failed.
    time_out: Duration,
    /// Apart: it is seldom looked at.
    rest: Box<Rest>,
}

/// What is left of the configuration.
#[derive(Debug)]
struct Rest {
    fingers_per_round: u16,
    repair: Duration,
    replicas: u8,
    rng: Folded,
    round: Duration,
}

const SHELF_ENTRIES: u8 = 0x00;

impl Chord {
    /// Whether the node is on a ring.
    pub const fn is_member(&self) -> bool {
        matches!(self.state, State::Leaving | State::Member)
    }

    /// This node.
    pub const fn own(&self) -> Node {
        self.ring.own
    }

    /// Who stands before this node, as far as it knows.
    pub const fn predecessor(&self) -> Option<Node> {
        self.ring.predecessor()
    }

    /// Who follows, the nearest first. A node that is alone has none.
    pub fn successors(&self) -> &[Node] {
        self.ring.successors()
    }

    /// The fingers that differ, the nearest first. The finger for a distance of 2^i is the first of them that is as far.
    pub fn fingers(&self) -> &[Node] {
        self.ring.fingers()
    }

    /// The keys under which something is stored here, in order.
    pub fn keys(&self) -> impl Iterator<Item = Id> {
        self.entries.keys()
    }

    /// What is stored here under a key.
    pub fn entries(&self, key: Id) -> &[Entry] {
        self.entries.get(key)
    }

    fn on_command(&mut self, now: Time, command: Command, out: &mut Out<Self>) {
        match command {
            Command::Get { query, key, quorum } => self.on_get(now, query, key, quorum, out),
            Command::Join { via } => self.on_join(now, via, out),
            Command::Leave => self.on_leave_command(now, out),
            Command::Lookup { query, key, style } => self.on_lookup(now, query, key, style, out),
            Command::Put { query, key, entry, quorum } => self.on_put(now, query, key, entry, quorum, out),
        }
    }

    fn on_message(&mut self, now: Time, from: PeerId, message: Message, out: &mut Out<Self>) {
        match message {
            Message::Between { node } => self.on_between(now, from, node, out),
            Message::Fetch { number, key } => self.on_fetch(from, number, key, out),
            Message::Fetched { number, entries } => self.on_fetched(now, from, number, entries, out),
            Message::Hello { node } => self.on_hello(now, from, node, out),
            Message::Helpless { number } => self.on_helpless(now, from, number, out),
            Message::Leave => self.on_leave(now, from, out),
            Message::Next { number, node } => self.on_next(now, from, number, node, out),
            Message::Offer { number, keys } => self.on_offer(from, number, &keys, out),
            Message::Owner { number, node, more } => self.on_owner(now, from, number, node, more, out),
            Message::Ping { number } => self.on_ping(from, number, out),
            Message::Pong { number, predecessor } => self.on_pong(now, from, number, predecessor, out),
            Message::Route { token, origin, key, count, hops } => {
                self.on_route(from, walk::Routing { token, origin, key, count, hops }, out);
            }
            Message::Routed { token, hops, node, more } => {
                self.on_routed(now, from, walk::Routed { token, hops, node, more }, out);
            }
            Message::Same { number } => self.on_same(from, number, out),
            Message::Stable { number, version, predecessor, successors } => {
                self.on_stable(now, from, number, upkeep::Said { version, predecessor, successors }, out);
            }
            Message::Stabilise { number, node, seen } => self.on_stabilise(now, from, number, node, seen, out),
            Message::Step { number, key, count, avoid } => self.on_step(from, number, key, count, &avoid, out),
            Message::Store { number, key, entries } => self.on_store(from, number, key, &entries, out),
            Message::Stored { number, kept } => self.on_stored(now, from, number, kept, out),
            Message::Table { number } => self.on_table(from, number, out),
            Message::Tabled { number, fingers } => self.on_tabled(now, from, number, &fingers, out),
            Message::Wanted { number, keys } => self.on_wanted(now, from, number, keys, out),
        }
    }

    /// Sends a request, and sees to it that its time ends.
    fn call(&mut self, now: Time, node: Node, what: What, out: &mut Out<Self>, message: impl FnOnce(u32) -> Message) {
        self.call_again(now, node, what, 0, out, message);
    }

    fn call_again(
        &mut self,
        now: Time,
        node: Node,
        what: What,
        tries: u8,
        out: &mut Out<Self>,
        message: impl FnOnce(u32) -> Message,
    ) {
        let number = self.calls.open(node, what, tries, now + self.time_out);
        out.send(node.peer, message(number));
        // After it, so that the message stays where it is when the host takes the timer out.
        self.wake(out);
    }

    /// Sets the timer for the next request that may fail. One that is answered meanwhile leaves the timer as it is.
    fn wake(&mut self, out: &mut Out<Self>) {
        let Some(deadline) = self.calls.next_deadline() else { return };
        if self.calls.wakes_at.is_none_or(|at| deadline < at) {
            self.calls.wakes_at = Some(deadline);
            out.set(Timer::Expire, deadline);
        }
    }

    fn on_expire(&mut self, now: Time, out: &mut Out<Self>) {
        self.calls.wakes_at = None;
        while let Some(call) = self.calls.pop_due(now) {
            self.on_silence(now, &call, true, out);
        }
        self.wake(out);
    }

    fn on_peer_down(&mut self, now: Time, peer: PeerId, out: &mut Out<Self>) {
        // What is asked anew meanwhile is asked of others: whoever is gone is no neighbour and no finger any more.
        for _ in 0..self.calls.len() {
            let Some(call) = self.calls.pop_of(peer) else { return };
            self.on_silence(now, &call, false, out);
        }
    }

    /// A request was not answered. `again` says that a second try may help.
    fn on_silence(&mut self, now: Time, call: &Call, again: bool, out: &mut Out<Self>) {
        let may_try = again && call.tries == 0;
        if may_try && call.what == What::Stabilise {
            return self.stabilise(now, call.node, 1, out);
        }
        if may_try && call.what == What::Predecessor {
            return self.ping(now, call.node, 1, out);
        }
        // Of a way a loss costs a detour, here it would make a key another's.
        if may_try && let What::Owner(job) = call.what {
            return self.ask_owner_again(now, job, call.node, out);
        }
        // Of the nodes that hand a look-up on, nobody knows which fell silent.
        if !matches!(call.what, What::Route(..)) || !again {
            self.suspect(now, call.node, out);
        }
        self.fail(now, call, true, out);
    }

    /// A request came to nothing, for want of an answer or of an answer that helps.
    fn fail(&mut self, now: Time, call: &Call, silent: bool, out: &mut Out<Self>) {
        match call.what {
            What::Fetch(job) | What::Store(job) => self.on_replica_failed(now, job, call.node, silent, out),
            What::Finger => self.on_finger_failed(now, call.node, out),
            What::Hand(place) => self.on_handed(now, place, false, out),
            What::Offer => self.drop_task(now, out),
            What::Mend | What::Predecessor => {}
            What::Route(job, _) => self.on_route_silence(now, job, out),
            What::Stabilise => self.on_successor_failed(now, call.node, out),
            What::Owner(job) | What::Step(job) => self.on_step_failed(now, job, call.node, silent, out),
            What::Table => self.fix_fingers(now, u16::MAX, out),
        }
    }

    fn on_helpless(&mut self, now: Time, from: PeerId, number: u32, out: &mut Out<Self>) {
        let Some(place) = self.calls.find(number, from, |what| matches!(what, What::Stabilise | What::Step(_))) else {
            return out.reject(from, Reject::Unsolicited);
        };
        let call = self.calls.remove(place);
        if call.what == What::Stabilise {
            self.ring.remove(call.node.id);
        }
        self.fail(now, &call, false, out);
    }
}

impl Protocol for Chord {
    type Params = Params;
    type Message = Message;
    type Timer = Timer;
    type Command = Command;
    type Event = Event;
    type Record = Record;

    fn restore(mut params: Params, disk: impl Iterator<Item = (Key, Record)>) -> Self {
        params.check();
        let version = params.rng.next_u64() as u32;
        let mut entries = Entries::default();
        for (key, Record(list)) in disk {
            entries.insert(key.name.into(), list);
        }
        Self {
            ring: Ring::new(params.own, params.successors, params.shortcut, version),
            state: State::Apart,
            calls: Calls::default(),
            jobs: Vec::new(),
            job_next: 0,
            fixing: Fixing::default(),
            watch: Watch::default(),
            lost: Vec::new(),
            entries,
            handover: Handover::default(),
            time_out: params.time_out,
            rest: Box::new(Rest {
                fingers_per_round: params.fingers_per_round,
                repair: params.repair,
                replicas: params.replicas,
                rng: params.rng.fold(),
                round: params.round,
            }),
        }
    }

    fn start(&mut self, _: Time, _: &mut Out<Self>) {}

    #[inline]
    fn handle(&mut self, now: Time, input: Input<Self>, out: &mut Out<Self>) {
        self.ring.is_changed = false;
        match input {
            Input::Command(command) => self.on_command(now, command, out),
            Input::Message { from, message } => self.on_message(now, from, message, out),
            Input::PeerDown(peer) => self.on_peer_down(now, peer, out),
            // Who can be reached is found out by asking.
            Input::PeerUp(_) => {}
            Input::Timer(Timer::Expire) => self.on_expire(now, out),
            Input::Timer(Timer::Repair) => self.on_repair(now, out),
            Input::Timer(Timer::Round) => self.on_round(now, out),
        }
    }

    fn foresee(&self, message: &Message, glance: Glance, mut fetch: impl FnMut(*const u8)) {
        match (message, glance) {
            (Message::Step { key, .. } | Message::Route { key, .. }, Glance::First) => {
                self.ring.foresee_way(*key, fetch)
            }
            // Answered from what is at hand.
            (Message::Ping { .. } | Message::Stabilise { .. }, _) => {}
            (_, Glance::First) => {
                self.calls.lines().for_each(&mut fetch);
                lines(&self.jobs).for_each(fetch);
            }
            // The next finger is looked at, and whether the first successor is one.
            (Message::Pong { .. } | Message::Owner { .. }, Glance::Second) => self.fixing.foresee(&self.ring, fetch),
            (_, Glance::Second) => {}
        }
    }

    /// 1. Successors stand in the order of the ring, each once, without the node itself, and are as many as asked for at most
    ///    (Zave's NoDuplicates and OrderedSuccessorLists). 2. Of each power of two there is one finger at most, in order. 3. A
    ///    node is not its own predecessor. 4. Who is on no ring knows nobody on it. 5. Every open request has a timer that ends
    ///    it. 6. Requests, jobs, tasks, keys and lost nodes are bounded.
    fn check(&self) {
        self.ring.check();
        if let State::Apart = self.state {
            assert!(self.ring.successors().is_empty(), "who is apart follows nobody");
        }
        let is_woken = self.calls.next_deadline().is_none_or(|at| self.calls.wakes_at.is_some_and(|wake| wake <= at));
        assert!(is_woken, "every request ends");
        assert!(self.jobs.len() <= JOBS_MAX + walk::OWN_JOBS_MAX, "jobs are bounded");
        assert!(self.handover.tasks() <= TASKS_MAX, "tasks are bounded");
        assert!(self.lost.len() <= LOST_MAX, "lost nodes are bounded");
        self.entries.check();
    }
}

fn record_key(key: Id) -> Key {
    Key::new(SHELF_ENTRIES, key.into())
}

#[cfg(test)]
mod tests;
