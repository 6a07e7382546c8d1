//! The record of a run: which step of which peer was caused by which, under Lamport's clock (Lamport 1978, section
//! "Logical clocks").

use std::collections::HashMap;

use synod_machine::{PeerId, Time};

/// What is recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only these peers; all, where there are none.
    pub peers: Vec<PeerId>,
    /// Only happenings whose name is one of these; all, where there are none.
    pub kinds: Vec<String>,
    /// Not before.
    pub from: Time,
    /// Not after.
    pub until: Time,
    /// No more than so many; what follows is counted and dropped.
    pub happenings_max: usize,
}

/// What made a peer take a step, or ended it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A command of its owner.
    Command,
    /// It crashed.
    Crash,
    /// A connection closed.
    Down(PeerId),
    /// A message arrived.
    Message {
        /// From whom.
        from: PeerId,
        /// Encoded, in bytes.
        bytes: u32,
        /// When it was sent.
        sent: Time,
    },
    /// It started.
    Start,
    /// A deadline passed.
    Timer,
    /// A connection opened.
    Up(PeerId),
}

/// One step of one peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happening {
    /// Its number among all steps of the run.
    pub step: u64,
    /// The true time.
    pub at: Time,
    /// Whose step it is.
    pub peer: PeerId,
    /// The peer's Lamport clock after it.
    pub lamport: u64,
    /// The step that sent the message which caused this one.
    pub cause: Option<u64>,
    /// What it was.
    pub what: What,
    /// The message's kind, the timer's or command's name.
    pub name: String,
    /// More, to read.
    pub text: String,
}

/// Records happenings.
#[derive(Debug)]
pub struct Recorder {
    filter: Filter,
    happenings: Vec<Happening>,
    dropped: u64,
    /// Each peer's Lamport clock and last step.
    clocks: HashMap<PeerId, (u64, u64)>,
    /// The Lamport clock, the step and the time of each message under way, by its envelope.
    under_way: HashMap<u32, (u64, u64, Time)>,
    steps: u64,
    now: Time,
}

impl Recorder {
    /// Records what passes the filter.
    pub fn new(filter: Filter) -> Self {
        Self {
            filter,
            happenings: Vec::new(),
            dropped: 0,
            clocks: HashMap::new(),
            under_way: HashMap::new(),
            steps: 0,
            now: Time::ZERO,
        }
    }

    /// What was recorded, in order.
    pub fn happenings(&self) -> &[Happening] {
        &self.happenings
    }

    /// How many passed the filter when there was no more room.
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    pub(crate) fn crash(&mut self, at: Time, peer: PeerId) {
        self.record(at, peer, None, What::Crash, "crash", String::new);
    }

    /// A peer's last step sent a message.
    pub(crate) fn sent(&mut self, envelope: u32, from: PeerId) {
        let (lamport, step) = self.clocks.get(&from).copied().unwrap_or_default();
        self.under_way.insert(envelope, (lamport, step, self.now));
    }

    /// A peer is about to take a step. `envelope` is the message's.
    pub(crate) fn record(
        &mut self,
        at: Time,
        peer: PeerId,
        envelope: Option<u32>,
        what: What,
        name: &str,
        text: impl FnOnce() -> String,
    ) {
        self.steps += 1;
        self.now = at;
        let cause = envelope.and_then(|envelope| self.under_way.get(&envelope).copied());
        let clock = self.clocks.entry(peer).or_default();
        clock.0 = clock.0.max(cause.map_or(0, |(lamport, ..)| lamport)) + 1;
        clock.1 = self.steps;
        let lamport = clock.0;
        if !self.filter.passes(at, peer, name) {
            return;
        }
        if self.happenings.len() >= self.filter.happenings_max {
            self.dropped += 1;
            return;
        }
        let what = match (what, cause) {
            (What::Message { from, bytes, .. }, Some((_, _, sent))) => What::Message { from, bytes, sent },
            (what, _) => what,
        };
        let cause = cause.map(|(_, step, _)| step);
        let (step, name) = (self.steps, name.to_string());
        self.happenings.push(Happening { step, at, peer, lamport, cause, what, name, text: text() });
    }
}

impl Filter {
    fn passes(&self, at: Time, peer: PeerId, name: &str) -> bool {
        (self.peers.is_empty() || self.peers.contains(&peer))
            && (self.kinds.is_empty() || self.kinds.iter().any(|kind| kind == name))
            && (self.from..=self.until).contains(&at)
    }
}
