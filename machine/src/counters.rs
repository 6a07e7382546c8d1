//! What a host counted.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::Reject;

/// How much passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Messages; a broadcast counts once per receiver.
    pub messages: u64,
    /// Encoded bytes, framing not included.
    pub bytes: u64,
}

/// What a host counted since it began.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// Peers' mistakes, by reason.
    pub rejects: BTreeMap<Reject, u64>,
    /// Steps taken.
    pub steps: u64,
    /// Messages by kind.
    pub traffic: Traffics,
}

/// What passed of one kind of message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traffic {
    /// The kind, as [`Wire::kind`](crate::Wire::kind) names it.
    pub kind: &'static str,
    /// What went out.
    pub sent: Count,
    /// What came in.
    pub received: Count,
}

/// Messages by kind: a short list, so that counting a message touches one place in memory.
#[derive(Clone, Debug, Default)]
pub struct Traffics(Vec<Traffic>);

impl Count {
    /// Adds another count to this one.
    #[inline]
    pub const fn add(&mut self, messages: u64, bytes: u64) {
        self.messages += messages;
        self.bytes += bytes;
    }
}

impl Counters {
    /// Adds another host's.
    pub fn merge(&mut self, other: &Self) {
        for (&reason, count) in &other.rejects {
            *self.rejects.entry(reason).or_default() += count;
        }
        self.steps += other.steps;
        self.traffic.merge(&other.traffic);
    }

    pub(crate) fn reject(&mut self, reason: Reject) {
        *self.rejects.entry(reason).or_default() += 1;
    }
}

impl Traffics {
    /// The kinds that passed, by name.
    pub fn by_kind(&self) -> Vec<Traffic> {
        let mut sorted = self.0.clone();
        sorted.sort_unstable_by_key(|traffic| traffic.kind);
        sorted
    }

    /// What passed of one kind.
    pub fn of(&self, kind: &'static str) -> Traffic {
        let found = self.0.iter().find(|traffic| traffic.kind == kind);
        found.copied().unwrap_or(Traffic { kind, sent: Count::default(), received: Count::default() })
    }

    /// Adds another host's.
    pub fn merge(&mut self, other: &Self) {
        for traffic in &other.0 {
            let entry = self.entry(traffic.kind);
            entry.sent.add(traffic.sent.messages, traffic.sent.bytes);
            entry.received.add(traffic.received.messages, traffic.received.bytes);
        }
    }

    #[inline]
    pub(crate) fn received(&mut self, kind: &'static str, len: usize) {
        self.entry(kind).received.add(1, len as u64);
    }

    #[inline]
    pub(crate) fn sent(&mut self, kind: &'static str, receivers: usize, len: usize) {
        self.entry(kind).sent.add(receivers as u64, (receivers * len) as u64);
    }

    #[inline]
    fn entry(&mut self, kind: &'static str) -> &mut Traffic {
        // The same name has the same address as a rule, and two where it does not are found equal by their text.
        let place = self.0.iter().position(|traffic| core::ptr::eq(traffic.kind, kind));
        let place = place.unwrap_or_else(|| self.place_of(kind));
        &mut self.0[place]
    }

    #[cold]
    fn place_of(&mut self, kind: &'static str) -> usize {
        self.0.iter().position(|traffic| traffic.kind == kind).unwrap_or_else(|| {
            self.0.push(Traffic { kind, sent: Count::default(), received: Count::default() });
            self.0.len() - 1
        })
    }
}
