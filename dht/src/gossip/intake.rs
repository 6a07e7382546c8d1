//! What each gossip machine does with an item before it is spread: know it for a duplicate, or show it to the owner and
//! hold it until the verdict.

use alloc::vec::Vec;

use synod_machine::{PeerId, Rng, Time};

use super::seen::Seen;
use super::{Event, Id, Parcel, Place, Verdict};

/// Items that wait for a verdict; the one that waits longest gives way. An owner that answers within the step needs
/// one; this leaves room for one that has to read from a disk first.
pub(crate) const WAITING_MAX: usize = 64;

/// The items that are known, and those that wait. What duplicates need stands first, here and in each gossip machine.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Intake<T> {
    seen: Seen,
    waiting: Vec<Waiting<T>>,
}

/// An item that waits for its verdict.
#[derive(Debug)]
struct Waiting<T> {
    id: Id,
    from: PeerId,
    item: T,
}

impl<T: Parcel> Intake<T> {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        Self { seen: Seen::new(rng), waiting: Vec::new() }
    }

    /// A step begins.
    pub(crate) const fn begin(&mut self) {
        self.seen.is_known = false;
    }

    /// Whether the step changed nothing, so that all invariants hold as they did before.
    pub(crate) const fn is_idle(&self) -> bool {
        self.seen.is_known
    }

    /// What the owner is to be told of an item that arrived; nothing: it is a duplicate.
    pub(crate) fn arrive(&mut self, now: Time, from: PeerId, item: T) -> Option<Event<T>> {
        let id = item.fingerprint();
        if self.seen.knows(now, &id) {
            self.seen.is_known = true;
            return None;
        }
        self.seen.insert(now, &id, None);
        if self.waiting.len() >= WAITING_MAX {
            self.waiting.remove(0);
        }
        self.waiting.push(Waiting { id, from, item: item.clone() });
        Some(Event::Arrived { id, from, item })
    }

    /// Whether an item of the owner's is spread; from now on it stands at `place`. One that came by gossip and was not
    /// accepted then is, since the owner has changed its mind: a block whose parent was missing, for one.
    pub(crate) fn publish(&mut self, now: Time, id: Id, place: Place) -> bool {
        if let Some(Some(_)) = self.seen.get(now, &id) {
            return false;
        }
        self.waiting.retain(|waiting| waiting.id != id);
        self.seen.insert(now, &id, place);
        true
    }

    /// The item that is to be forwarded, and whom it came from; from now on it stands at `place`.
    pub(crate) fn verdict(&mut self, now: Time, id: Id, verdict: Verdict, place: Place) -> Option<(PeerId, T)> {
        let at = self.waiting.iter().position(|waiting| waiting.id == id)?;
        let Waiting { from, item, .. } = self.waiting.remove(at);
        match verdict {
            Verdict::Accept => {
                self.seen.insert(now, &id, place);
                Some((from, item))
            }
            Verdict::Ignore | Verdict::Reject => None,
        }
    }

    /// What is known of an id; nothing: it is new.
    pub(crate) fn get(&mut self, now: Time, id: &Id) -> Option<Place> {
        self.seen.get(now, id)
    }

    /// 1. Known ids are bounded. 2. Waiting items are bounded.
    pub(crate) fn check(&self) {
        assert!(self.seen.len() <= 2 * super::SEEN_MAX, "known ids are bounded");
        assert!(self.waiting.len() <= WAITING_MAX, "waiting items are bounded");
    }
}
