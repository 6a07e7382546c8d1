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

/// Messages by kind: a short list, so that counting a message touches one place in memory. A kind is known by its name's
/// address; a name that the compiler placed twice has two entries, which are one for whoever looks.
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

/// Nothing counted.
pub(crate) static NONE: Counters = Counters { rejects: BTreeMap::new(), steps: 0, traffic: Traffics(Vec::new()) };

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

impl Traffic {
    fn add(&mut self, other: &Self) {
        self.sent.add(other.sent.messages, other.sent.bytes);
        self.received.add(other.received.messages, other.received.bytes);
    }
}

impl Traffics {
    /// The kinds that passed, by name.
    pub fn by_kind(&self) -> Vec<Traffic> {
        let mut sorted = self.0.clone();
        sorted.sort_by_key(|traffic| traffic.kind);
        sorted.dedup_by(|later, earlier| {
            let is_same = later.kind == earlier.kind;
            if is_same {
                earlier.add(later);
            }
            is_same
        });
        sorted
    }

    /// What passed of one kind.
    pub fn of(&self, kind: &'static str) -> Traffic {
        let mut sum = Traffic { kind, sent: Count::default(), received: Count::default() };
        self.0.iter().filter(|traffic| traffic.kind == kind).for_each(|traffic| sum.add(traffic));
        sum
    }

    /// Adds another host's.
    pub fn merge(&mut self, other: &Self) {
        for traffic in &other.0 {
            self.entry(traffic.kind).add(traffic);
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
        let place = self.0.iter().position(|traffic| core::ptr::eq(traffic.kind, kind));
        let place = place.unwrap_or_else(|| {
            self.0.push(Traffic { kind, sent: Count::default(), received: Count::default() });
            self.0.len() - 1
        });
        &mut self.0[place]
    }
}
