//! The peers and what lies between them: what may be done to them from outside, and what is scheduled.

mod envelopes;
mod faults;
mod links;
mod transmit;

use std::collections::VecDeque;
use std::time::Duration;

use prefetch_index::prefetch_index;
use synod_machine::{Counters, Glance, Host, Key, PeerId, Protocol, Rng, Time};

use crate::disk::{Disk, Tail};
use crate::model::{End, Graph, LinkModel};
pub use crate::peers::Passed;
use crate::peers::Place;
use crate::queue::{AHEAD_MAX, Entry, Queue};
use crate::slab::Slab;
use crate::trace::{Digest, Recorder};
use envelopes::Envelopes;
pub(crate) use faults::Cut;
pub use faults::{CutId, Direction};

/// How a net is made.
pub struct Setup {
    /// Determines everything that is drawn.
    pub seed: u64,
    /// Who has a link to whom.
    pub graph: Graph,
    /// What links and access lines are like.
    pub links: LinkModel,
    /// How long a sync of a disk takes. At zero what is written is safe at once.
    pub disk_sync: Duration,
    /// Whether each message is encoded and decoded on its way, and each record on its way to the disk.
    pub codec: bool,
}

/// Something scheduled that is not a message or a timer.
pub(crate) enum Action<P: Protocol, A> {
    Alarm(A),
    Command {
        peer: u32,
        command: P::Command,
    },
    /// A peer learns what became of a connection.
    Link {
        peer: u32,
        other: u32,
    },
    /// What a sync covers is released.
    Release(u32),
    /// A paused peer takes what came meanwhile.
    Resume(u32),
    Start(u32),
}

/// What an [`Entry`] is about.
pub(crate) enum Due {
    Action(u32),
    /// The first byte is at the receiver's access line, or the last one, where lines have no limit.
    Arrival(u32),
    /// The last byte came through the receiver's access line.
    Delivery(u32),
    Timer,
}

/// What happened so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Messages that were handed to a peer.
    pub delivered: u64,
    /// Their encoded bytes.
    pub delivered_bytes: u64,
    /// Messages lost to links and faults, or sent to a peer that was down.
    pub lost: u64,
    /// Steps of all peers.
    pub steps: u64,
    /// Entries taken from the queue.
    pub events: u64,
    /// Starts, the first ones among them.
    pub starts: u64,
    /// Crashes.
    pub crashes: u64,
}

/// All peers and what lies between them.
pub struct Net<P: Protocol, A> {
    pub(crate) now: Time,
    pub(crate) queue: Queue,
    pub(crate) places: Vec<Place<P>>,
    pub(crate) envelopes: Envelopes<P::Message>,
    pub(crate) actions: Slab<Action<P, A>>,
    pub(crate) links: LinkModel,
    /// By peer. Apart from the places, since a sender asks for its receiver's.
    pub(crate) regions: Vec<u8>,
    /// Whether any access line is bounded.
    pub(crate) has_lines: bool,
    pub(crate) seed: u64,
    pub(crate) cuts: Vec<Cut>,
    /// Cuts so far, those that were healed among them.
    pub(crate) cuts_made: u32,
    /// Whether any peer or link ever had a fault; if not, nothing is looked up.
    pub(crate) troubled: bool,
    pub(crate) disk_sync: Duration,
    pub(crate) codec: bool,
    /// The last entries that were looked at ahead of their turn, in a ring, and the place of the latest.
    coming: [Entry; AHEAD],
    looked: usize,
    pub(crate) tally: Tally,
    pub(crate) digest: Digest,
    pub(crate) recorder: Option<Box<Recorder>>,
    pub(crate) stopped: Option<String>,
    /// What all peers counted, in all their lives.
    pub(crate) counters: Counters,
}

impl<P: Protocol, A> Net<P, A> {
    pub(crate) fn new(setup: Setup) -> Self {
        let Setup { seed, graph, links, disk_sync, codec } = setup;
        let regions = links.assign(graph.peers(), &mut Rng::new(seed, 0, "regions"));
        let is_bounded = |region: &u8| links.upload(*region).is_some() || links.download(*region).is_some();
        let has_lines = regions.iter().any(is_bounded);
        let mut net = Self {
            now: Time::ZERO,
            queue: Queue::new(),
            places: Vec::new(),
            envelopes: Envelopes::new(),
            actions: Slab::new(),
            links,
            regions,
            has_lines,
            seed,
            cuts: Vec::new(),
            cuts_made: 0,
            troubled: false,
            disk_sync,
            codec,
            coming: [Entry::NOTHING; AHEAD],
            looked: 0,
            tally: Tally::default(),
            digest: Digest::new(seed),
            recorder: None,
            stopped: None,
            counters: Counters::default(),
        };
        net.places.extend((0..graph.peers()).map(|_| Place::new()));
        for peer in 0..graph.peers() {
            net.lay_edges(peer, graph.neighbours(peer));
        }
        net
    }

    /// The true time.
    pub const fn now(&self) -> Time {
        self.now
    }

    /// How many peers there are, those that are down among them.
    pub const fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is nobody.
    pub const fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// All peers, those that are down among them.
    pub fn peers(&self) -> impl Iterator<Item = PeerId> + use<P, A> {
        (0..self.places.len() as u32).map(PeerId)
    }

    /// A peer's protocol, if it is up.
    pub fn protocol(&self, peer: PeerId) -> Option<&P> {
        self.host(peer).map(Host::protocol)
    }

    /// A peer's host, if it is up.
    pub fn host(&self, peer: PeerId) -> Option<&Host<P>> {
        self.places.get(peer.0 as usize)?.host.as_ref()
    }

    /// Whether a peer is up; a paused one is.
    pub fn is_up(&self, peer: PeerId) -> bool {
        self.host(peer).is_some()
    }

    /// What a peer's clock shows.
    pub fn clock(&self, peer: PeerId) -> Time {
        self.places[peer.0 as usize].clock().at(self.now)
    }

    /// A peer's disk.
    pub fn disk(&self, peer: PeerId) -> &Disk<P::Record> {
        &self.places[peer.0 as usize].disk
    }

    /// Whom a peer has a link to, whether its connection is open or not.
    pub fn neighbours(&self, peer: PeerId) -> impl Iterator<Item = PeerId> + '_ {
        self.places[peer.0 as usize].edges.iter().map(|edge| PeerId(edge.to))
    }

    /// What happened so far.
    pub const fn tally(&self) -> &Tally {
        &self.tally
    }

    /// A number that two runs share only if the same things happened at the same times in the same order.
    pub const fn digest(&self) -> u64 {
        self.digest.value()
    }

    /// What all peers counted, in all their lives.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// What a peer sent and received, in all its lives.
    pub fn passed(&self, peer: PeerId) -> Passed {
        self.places[peer.0 as usize].passed
    }

    /// How many things are scheduled, messages under way among them.
    pub const fn scheduled(&self) -> usize {
        self.queue.len()
    }

    /// Ends the run, and says why.
    pub fn stop(&mut self, reason: impl Into<String>) {
        self.stopped.get_or_insert(reason.into());
    }

    /// Reminds the experiment at `at`.
    pub fn alarm(&mut self, at: Time, alarm: A) {
        self.schedule(at, 0, Action::Alarm(alarm));
    }

    /// Gives a peer a command at `at`. It is dropped if the peer is not up then, or was started anew meanwhile.
    pub fn command(&mut self, at: Time, peer: PeerId, command: P::Command) {
        self.schedule(at, peer.0, Action::Command { peer: peer.0, command });
    }

    /// Starts a peer at `at` from what its disk holds, unless it is up then.
    pub fn start(&mut self, at: Time, peer: PeerId) {
        self.schedule(at, peer.0, Action::Start(peer.0));
    }

    /// Stops a peer now, in the middle of what it does. `tail` says what becomes of its writes that were not synced.
    /// Those that it is connected to hear that the connection closed.
    pub fn crash(&mut self, peer: PeerId, tail: Tail) {
        let place = &mut self.places[peer.0 as usize];
        if place.host.take().is_none() {
            return;
        }
        self.tally.crashes += 1;
        place.wakes_at = Time::MAX;
        // What waited for its access lines went with it.
        place.upload_free = Time::ZERO;
        place.download_free = Time::ZERO;
        let mut unsynced = VecDeque::new();
        if let Some(trouble) = &mut place.trouble {
            trouble.is_paused = false;
            trouble.backlog.clear();
            trouble.synced.clear();
            unsynced = trouble.outbox.take();
        }
        if tail == Tail::Kept {
            unsynced.into_iter().flat_map(|(_, effects)| effects).for_each(|effect| place.write(effect));
        }
        self.troubled = true;
        self.digest.crash(self.now, peer.0);
        if let Some(recorder) = &mut self.recorder {
            recorder.crashed(self.now, peer.0);
        }
        self.close_all(peer.0);
    }

    /// Empties the disk of a peer that is down.
    pub fn wipe(&mut self, peer: PeerId) {
        assert!(!self.is_up(peer), "only a stopped peer's disk is emptied");
        self.places[peer.0 as usize].disk = Disk::new();
    }

    /// Writes a record on the disk of a peer that is down.
    pub fn put(&mut self, peer: PeerId, key: Key, record: P::Record) {
        assert!(!self.is_up(peer), "a peer that is up writes its disk itself");
        self.places[peer.0 as usize].disk.put(key, record);
    }

    /// The end of a link at a peer.
    pub(crate) fn end(&self, peer: u32) -> End {
        End { peer, region: self.regions[peer as usize] }
    }

    pub(crate) fn schedule(&mut self, at: Time, peer: u32, action: Action<P, A>) {
        let place = self.actions.insert(action);
        self.push(at, peer, Due::Action(place));
    }

    pub(crate) fn push(&mut self, at: Time, peer: u32, due: Due) {
        self.queue.push(at.max(self.now), peer, due.pack());
    }

    /// Has memory fetch what some of the next entries will need: first what is known of each, then what that points to.
    pub(crate) fn look_ahead(&mut self) {
        let entry = self.queue.ahead(AHEAD).copied().unwrap_or(Entry::NOTHING);
        self.fetch(&entry);
        // What was not known so far ahead is not among these, and a number that was used again names what nobody needs. No harm is done.
        self.looked = (self.looked + 1) % AHEAD;
        for (ago, glance) in GLANCES {
            self.foresee(self.coming[(self.looked + AHEAD - ago) % AHEAD], glance);
        }
        self.coming[self.looked] = entry;
    }

    /// Has memory fetch what a receiver says that it will need.
    fn foresee(&mut self, entry: Entry, glance: Glance) {
        let (Due::Arrival(envelope) | Due::Delivery(envelope)) = Due::unpack(entry.what) else { return };
        let host = self.places.get(entry.peer as usize).and_then(|place| place.host.as_ref());
        if let (Some(host), Some(message)) = (host, self.envelopes.peek(envelope)) {
            host.protocol().foresee(message, glance, fetch_line);
        }
    }

    fn fetch(&self, entry: &Entry) {
        let lines = match Due::unpack(entry.what) {
            Due::Arrival(envelope) | Due::Delivery(envelope) => {
                self.envelopes.fetch(envelope);
                if Place::<P>::LINES <= LINES_OF_SMALL { LINES_OF_SMALL } else { LINES_OF_MESSAGE }
            }
            Due::Action(_) | Due::Timer => LINES_OF_TIMER,
        };
        if let Some(place) = self.places.get(entry.peer as usize) {
            place.fetch(lines);
        }
    }

    /// Takes the next entry that is due by `end` and moves the time there.
    #[inline(always)]
    pub(crate) fn pop(&mut self, end: Time) -> Option<Entry> {
        let entry = self.queue.pop(end)?;
        debug_assert!(entry.at >= self.now, "time does not run backwards");
        self.now = entry.at;
        self.tally.events += 1;
        Some(entry)
    }

    /// Sees to it that the world looks at a peer's timers when the first is due.
    pub(crate) fn wake(&mut self, peer: u32) {
        let place = &mut self.places[peer as usize];
        let Some(deadline) = place.host.as_ref().and_then(Host::next_deadline) else { return };
        let at = if self.troubled { place.clock().when(deadline) } else { deadline };
        let at = at.max(self.now);
        if at < place.wakes_at {
            place.wakes_at = at;
            self.queue.push(at, peer, Due::Timer.pack());
        }
    }
}

/// How many entries ahead memory is told what will be needed: at some hundred nanoseconds each, several accesses to
/// memory one after the other and no more than the first-level cache holds.
const AHEAD: usize = 12;
const _: () = assert!(AHEAD < AHEAD_MAX, "the queue knows so far ahead");
/// So many turns later the receiver is asked what it names.
const GLANCES: [(usize, Glance); 2] = [(4, Glance::First), (8, Glance::Second)];
const _: () = assert!(GLANCES[0].0 < AHEAD && GLANCES[1].0 < AHEAD, "what is asked for is still remembered");
/// Lines of a peer's place that are fetched for a message: most are duplicates, which need the place's own fields, the host's
/// timers, and which items came last.
const LINES_OF_MESSAGE: usize = 4;
/// A place that has no more, with one machine and not a whole peer in it, is fetched whole: what the machine foresees is asked of it.
const LINES_OF_SMALL: usize = 12;
/// And for a timer, which may look at all of it.
const LINES_OF_TIMER: usize = 16;

/// Has memory fetch the line of an address. Nothing is read there.
#[inline]
fn fetch_line(address: *const u8) {
    let nothing: &[u8] = &[];
    prefetch_index(nothing, address.addr().wrapping_sub(nothing.as_ptr().addr()));
}

impl Due {
    /// Two bits say what it is, and the others are for the number of the message or the action.
    pub(crate) const PLACE_MAX: u32 = u32::MAX >> 2;

    pub(crate) fn pack(self) -> u32 {
        match self {
            Self::Action(place) => place << 2,
            Self::Arrival(place) => place << 2 | 1,
            Self::Delivery(place) => place << 2 | 2,
            Self::Timer => 3,
        }
    }

    pub(crate) const fn unpack(what: u32) -> Self {
        match what & 3 {
            0 => Self::Action(what >> 2),
            1 => Self::Arrival(what >> 2),
            2 => Self::Delivery(what >> 2),
            _ => Self::Timer,
        }
    }
}
