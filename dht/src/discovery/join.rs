//! How a peer comes into the overlays: by those to whom a connection came up.
//!
//! Somebody must begin. Where nobody whom a peer met is in yet, the one with the least identifier of all that it met does so; of
//! several who do, each finds the others later. After a time everybody does, for the least may be dead.
//!
//! A node that is part of an overlay tells Chord of everybody it meets: it finds out whether they are on another ring, which a
//! network that was cut in two and came together has (`chord/upkeep.rs`). Kademlia looks its own identifier up again.

use alloc::vec::Vec;
use core::time::Duration;

use synod_machine::{Input, Out, Time};

use super::{Discovery, Table, Timer};
use crate::overlay::{Failure, Node};
use crate::{chord, kademlia, search};

/// Peers that are asked to take this one in.
const MET_MAX: usize = 16;
/// Those who are met within so long are asked together.
const GATHER: Duration = Duration::from_millis(100);
/// The wait before whoever was met is asked again.
const RETRY: Duration = Duration::from_millis(500);

/// A node that is in tells Chord again of all whom it met after this time, then after three times as long, and so on …
const TELL: Duration = Duration::from_secs(1);
/// … so often, for two minutes in all.
const TELLINGS_MAX: u32 = 5;

/// What is known of the way in.
#[derive(Debug)]
pub(super) struct Joining {
    begin_after: Duration,
    begin_at: Time,
    /// Who was met, the latest last.
    met: Vec<Node>,
    /// Who of them has not been told of.
    fresh: usize,
    is_due: bool,
    chord: Entry,
    kademlia: Entry,
    /// How often Chord has been told again of all who were met.
    tellings: u32,
}

/// How far it is into one overlay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    In,
    /// Whether it has asked in vain.
    Out {
        was_refused: bool,
    },
    Under,
}

impl Joining {
    pub(super) const fn new(begin_after: Duration) -> Self {
        Self {
            begin_after,
            begin_at: Time::ZERO,
            met: Vec::new(),
            fresh: 0,
            is_due: false,
            chord: Entry::Out { was_refused: false },
            kademlia: Entry::Out { was_refused: false },
            tellings: 0,
        }
    }
}

impl Discovery {
    pub(super) fn start_joining(&mut self, now: Time, out: &mut Out<Self>) {
        self.joining.begin_at = now + self.joining.begin_after;
        out.set(Timer::Join, self.joining.begin_at);
    }

    pub(super) fn on_met(&mut self, now: Time, node: Node, out: &mut Out<Self>) {
        if node.id == self.own.id {
            return;
        }
        self.step_flood(now, Input::Command(search::Command::Meet(node)), out);
        self.step_superpeer(now, Input::Command(search::Command::Meet(node)), out);
        let joining = &mut self.joining;
        joining.met.retain(|met| met.id != node.id);
        if joining.met.len() >= MET_MAX {
            joining.met.remove(0);
        }
        joining.met.push(node);
        joining.fresh = (joining.fresh + 1).min(joining.met.len());
        if !joining.is_due {
            joining.is_due = true;
            out.set(Timer::Join, now + GATHER);
        }
    }

    /// Asks to be taken in, or tells of those that were met since.
    pub(super) fn join(&mut self, now: Time, out: &mut Out<Self>) {
        let joining = &mut self.joining;
        joining.is_due = false;
        let fresh = joining.met[joining.met.len() - joining.fresh..].to_vec();
        joining.fresh = 0;
        if joining.met.is_empty() && now < joining.begin_at {
            return out.set(Timer::Join, joining.begin_at);
        }
        let own = self.own.id;
        let is_late = joining.met.is_empty() || now >= joining.begin_at + joining.begin_after;
        let is_least = joining.met.iter().all(|met| own < met.id);
        let via = |entry: Entry| match entry {
            Entry::In => (!fresh.is_empty()).then(|| fresh.clone()),
            Entry::Out { was_refused } if is_late || (was_refused && is_least) => Some(Vec::new()),
            Entry::Out { .. } => Some(joining.met.clone()),
            Entry::Under => None,
        };
        let (chord, kademlia) = (via(joining.chord), via(joining.kademlia));
        if let Some(via) = chord {
            self.joining.chord.begin();
            self.step_chord(now, Input::Command(chord::Command::Join { via }), out);
        }
        if let Some(via) = kademlia {
            self.joining.kademlia.begin();
            self.step_kademlia(now, Input::Command(kademlia::Command::Join { via }), out);
        }
    }

    pub(super) fn on_joined(&mut self, now: Time, table: Table, result: Result<(), Failure>, out: &mut Out<Self>) {
        let joining = &mut self.joining;
        let entry = match table {
            Table::Chord => &mut joining.chord,
            Table::Kademlia => &mut joining.kademlia,
        };
        if *entry == Entry::In {
            return;
        }
        if result.is_ok() {
            *entry = Entry::In;
            if table == Table::Chord {
                out.set(Timer::Tell, now + TELL);
            }
            return self.hasten(now, table, out);
        }
        *entry = Entry::Out { was_refused: true };
        if !joining.is_due {
            joining.is_due = true;
            out.set(Timer::Join, now + RETRY);
        }
    }
}

impl Discovery {
    /// Of those who were met before this node was in, one took it in; the others may be on another ring, or soon be.
    pub(super) fn tell(&mut self, now: Time, out: &mut Out<Self>) {
        self.joining.tellings += 1;
        if self.joining.tellings < TELLINGS_MAX {
            out.set(Timer::Tell, now + TELL * 3_u32.pow(self.joining.tellings));
        }
        let via = self.joining.met.clone();
        self.step_chord(now, Input::Command(chord::Command::Join { via }), out);
    }
}

impl Entry {
    /// A join is asked for. Whoever is in already stays in.
    fn begin(&mut self) {
        if *self != Self::In {
            *self = Self::Under;
        }
    }
}
