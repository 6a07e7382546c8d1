//! What a node keeps for others: entries under keys, each until it expires (section 2.5). Nothing of it is on disk: whoever
//! published it, or another holder, stores it again.

use alloc::vec::Vec;
use core::time::Duration;

use synod_machine::Time;

use super::message::Held;
use crate::overlay::{ENTRIES_MAX, Entry, Id};

/// Keys under which a node keeps something; of more, those farthest from its own identifier give way.
pub const KEYS_MAX: usize = 16_384;
/// Bytes of all values that a node keeps.
pub const VALUES_BYTES_MAX: usize = 32 << 20;

/// An entry, and how long it is kept.
#[derive(Clone, Debug)]
struct Kept {
    entry: Entry,
    replicas: u8,
    until: Time,
}

/// What is kept under one key.
#[derive(Clone, Debug)]
struct Holding {
    key: Id,
    /// By publisher.
    kept: Vec<Kept>,
    /// When it is stored again at the closest nodes, unless somebody else does so before.
    due: Time,
}

/// All that is kept.
#[derive(Clone, Debug)]
pub(super) struct Store {
    own: Id,
    /// By key.
    holdings: Vec<Holding>,
    bytes: usize,
}

impl Store {
    pub(super) const fn new(own: Id) -> Self {
        Self { own, holdings: Vec::new(), bytes: 0 }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.holdings.is_empty()
    }

    /// Keys under which something is kept, in order.
    pub(super) fn keys(&self) -> impl Iterator<Item = Id> {
        self.holdings.iter().map(|holding| holding.key)
    }

    /// Entries under a key, by publisher, withdrawals among them.
    pub(super) fn entries(&self, now: Time, key: Id) -> impl Iterator<Item = &Entry> {
        self.live(now, key).map(|kept| &kept.entry)
    }

    /// The same as others are told of it.
    pub(super) fn held(&self, now: Time, key: Id) -> Vec<Held> {
        let secs = |until: Time| u32::try_from(until.since(now).as_secs()).unwrap_or(u32::MAX);
        let tell = |kept: &Kept| Held { entry: kept.entry.clone(), replicas: kept.replicas, secs: secs(kept.until) };
        self.live(now, key).map(tell).collect()
    }

    fn live(&self, now: Time, key: Id) -> impl Iterator<Item = &Kept> {
        let place = self.place(key).ok();
        let kept = place.map_or(&[][..], |place| &self.holdings[place].kept);
        kept.iter().filter(move |kept| kept.until > now)
    }

    /// Keeps an entry under a key. Whether it, or one that supersedes it, is kept now.
    pub(super) fn put(&mut self, key: Id, held: Held, until: Time, due: Time) -> bool {
        let place = match self.place(key) {
            Ok(place) => place,
            Err(place) => match self.make_room(key, place) {
                Some(place) => {
                    self.holdings.insert(place, Holding { key, kept: Vec::new(), due });
                    place
                }
                None => return false,
            },
        };
        let is_kept = self.put_at(place, held, until, due);
        if self.holdings[place].kept.is_empty() {
            self.holdings.remove(place);
        }
        is_kept
    }

    fn put_at(&mut self, place: usize, held: Held, until: Time, due: Time) -> bool {
        let holding = &mut self.holdings[place];
        let Held { entry, replicas, .. } = held;
        let len = entry.value.len();
        match holding.kept.binary_search_by_key(&entry.publisher, |kept| kept.entry.publisher) {
            Ok(at) => {
                let kept = &mut holding.kept[at];
                if kept.entry.supersedes(&entry) {
                    return true;
                }
                let old = kept.entry.value.len();
                if entry.supersedes(&kept.entry) {
                    if self.bytes - old + len > VALUES_BYTES_MAX {
                        return false;
                    }
                    *kept = Kept { entry, replicas, until };
                    self.bytes = self.bytes - old + len;
                } else {
                    kept.until = kept.until.max(until);
                }
            }
            Err(at) => {
                if holding.kept.len() == ENTRIES_MAX || self.bytes + len > VALUES_BYTES_MAX {
                    return false;
                }
                holding.kept.reserve_exact(1);
                holding.kept.insert(at, Kept { entry, replicas, until });
                self.bytes += len;
            }
        }
        // Section 2.5: who was told of it assumes that the other closest nodes were told as well.
        holding.due = holding.due.max(due);
        true
    }

    /// Where a new key goes, if there is room for it: the key that is farthest from this node gives way to a closer one.
    fn make_room(&mut self, key: Id, place: usize) -> Option<usize> {
        if self.holdings.len() < KEYS_MAX {
            return Some(place);
        }
        let farthest = (0..self.holdings.len()).max_by_key(|&place| self.holdings[place].key.xor(self.own))?;
        if self.holdings[farthest].key.xor(self.own) <= key.xor(self.own) {
            return None;
        }
        let gone = self.holdings.remove(farthest);
        self.bytes -= bytes(&gone.kept);
        Some(if farthest < place { place - 1 } else { place })
    }

    /// Drops what has expired.
    pub(super) fn expire(&mut self, now: Time) {
        for holding in &mut self.holdings {
            let before = bytes(&holding.kept);
            holding.kept.retain(|kept| kept.until > now);
            self.bytes -= before - bytes(&holding.kept);
        }
        self.holdings.retain(|holding| !holding.kept.is_empty());
    }

    /// A key that is to be stored again, which is put off for `republish`.
    pub(super) fn take_due(&mut self, now: Time, republish: Duration) -> Option<Id> {
        let holding = self.holdings.iter_mut().find(|holding| holding.due <= now)?;
        holding.due = now + republish;
        Some(holding.key)
    }

    /// When something is to be done for what is kept.
    pub(super) fn next_due(&self) -> Option<Time> {
        let due = |holding: &Holding| {
            let expires = holding.kept.iter().map(|kept| kept.until).min();
            expires.map_or(holding.due, |until| until.min(holding.due))
        };
        self.holdings.iter().map(due).min()
    }

    fn place(&self, key: Id) -> Result<usize, usize> {
        self.holdings.binary_search_by_key(&key, |holding| holding.key)
    }

    /// What is kept is bounded.
    pub(super) fn check(&self) {
        assert!(self.holdings.len() <= KEYS_MAX, "keys are bounded");
        assert!(self.bytes <= VALUES_BYTES_MAX, "values are bounded");
    }
}

fn bytes(kept: &[Kept]) -> usize {
    kept.iter().map(|kept| kept.entry.value.len()).sum()
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use synod_machine::Bytes;

    use super::*;

    fn id(number: u32) -> Id {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        Id::from(Bytes(bytes))
    }

    fn held(publisher: u32, version: u64, len: usize) -> Held {
        Held { entry: Entry { publisher: id(publisher), version, value: vec![7; len] }, replicas: 3, secs: 100 }
    }

    const NOW: Time = Time::from_secs(10);
    const UNTIL: Time = Time::from_secs(100);
    const DUE: Time = Time::from_secs(50);

    fn put(store: &mut Store, key: u32, held: Held) -> bool {
        let is_kept = store.put(id(key), held, UNTIL, DUE);
        store.check();
        is_kept
    }

    #[test]
    fn each_publisher_has_its_latest_version_until_it_expires() {
        let mut store = Store::new(Id::ZERO);
        for (publisher, version) in [(2, 1), (1, 5), (1, 4), (2, 2)] {
            assert!(put(&mut store, 9, held(publisher, version, 1)), "it or a later one is kept");
        }
        let kept = |store: &Store, now| store.entries(now, id(9)).map(|entry| entry.version).collect::<Vec<_>>();
        assert_eq!(kept(&store, NOW), [5, 2]);
        assert_eq!(store.held(NOW, id(9))[0].secs, 90);
        assert_eq!(kept(&store, UNTIL), []);
        store.expire(UNTIL);
        assert!(store.is_empty(), "what has expired is gone");
        assert_eq!(store.bytes, 0);
    }

    #[test]
    fn what_is_told_again_lives_longer_and_is_not_due_before() {
        let mut store = Store::new(Id::ZERO);
        put(&mut store, 9, held(1, 1, 1));
        assert_eq!(store.next_due(), Some(DUE));
        assert_eq!(store.take_due(DUE, Duration::from_secs(30)), Some(id(9)));
        assert_eq!(store.next_due(), Some(Time::from_secs(80)));
        store.put(id(9), held(1, 1, 1), Time::from_secs(200), Time::from_secs(150));
        assert_eq!(store.next_due(), Some(Time::from_secs(150)));
        assert_eq!(store.held(NOW, id(9))[0].secs, 190);
    }

    #[test]
    fn publishers_of_a_key_are_bounded() {
        let mut store = Store::new(Id::ZERO);
        for publisher in 0..ENTRIES_MAX as u32 {
            assert!(put(&mut store, 9, held(publisher, 1, 1)), "there is room");
        }
        assert!(!put(&mut store, 9, held(99, 1, 1)), "there is none");
        assert!(put(&mut store, 9, held(0, 2, 1)), "a later version takes no more room");
    }

    #[test]
    fn of_too_many_keys_the_farthest_gives_way_to_closer_ones_only() {
        let mut store = Store::new(Id::ZERO);
        let keys = KEYS_MAX as u32;
        (10..10 + keys).for_each(|key| assert!(put(&mut store, key, held(1, 1, 1))));
        assert!(!put(&mut store, 10 + keys, held(1, 1, 1)), "it is farther than all others");
        assert!(put(&mut store, 5, held(1, 1, 1)));
        assert!(put(&mut store, 5, held(2, 1, 1)), "a known key needs no room");
        assert_eq!(store.keys().count(), KEYS_MAX);
        assert_eq!(store.keys().last(), Some(id(8 + keys)));
    }

    #[test]
    fn bytes_of_values_are_bounded() {
        let mut store = Store::new(Id::ZERO);
        let entries = (VALUES_BYTES_MAX / 4_096) as u32;
        (0..entries).for_each(|key| assert!(put(&mut store, key, held(1, 1, 4_096))));
        assert!(!put(&mut store, entries, held(1, 1, 1)), "all is full");
        assert!(!put(&mut store, 0, held(1, 2, 4_097)));
        assert!(put(&mut store, 0, held(1, 2, 4_095)));
        assert!(put(&mut store, entries, held(1, 1, 1)), "a byte became free");
        assert_eq!(store.keys().count(), entries as usize + 1, "what was refused left nothing behind");
    }
}
