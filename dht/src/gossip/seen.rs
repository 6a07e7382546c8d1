//! The ids that are known, so that what arrives again is known for a duplicate at the price of one look-up.
//!
//! Two tables take turns: the younger takes ids in, and when it is full or old the elder is emptied and they change
//! places. An id is therefore known for [`SEEN_TIME_MIN`] at least, for twice that at most, without a queue of what is
//! to be forgotten; only where more than [`SEEN_MAX`] ids come in that time are they forgotten earlier.

use core::mem;
use core::num::NonZeroU32;
use core::time::Duration;

use hashbrown::HashTable;
use synod_machine::Time;

use super::Id;

/// An id is known for so long: go-libp2p-pubsub's `TimeCacheDuration`.
pub const SEEN_TIME_MIN: Duration = Duration::from_secs(120);
/// Ids in each of the two tables, 2.5 MB in all: 270 new items a second for two minutes.
pub const SEEN_MAX: usize = 1 << 15;

/// Which accepted item it is, counted from one; nothing: it was never accepted.
pub(crate) type Place = Option<NonZeroU32>;

/// The ids. They are looked up and never iterated, so that the order of the tables means nothing.
#[derive(Debug)]
pub(crate) struct Seen {
    young: HashTable<(Id, Place)>,
    old: HashTable<(Id, Place)>,
    /// When `young` began to take ids in.
    since: Time,
    /// Drawn by each peer, so that nobody knows which ids share a place in the table.
    salt: u64,
}

impl Seen {
    pub(crate) const fn new(salt: u64) -> Self {
        Self { young: HashTable::new(), old: HashTable::new(), since: Time::ZERO, salt }
    }

    /// How many ids are known.
    pub(crate) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// What is known of an id; nothing: it is new.
    pub(crate) fn get(&mut self, now: Time, id: &Id) -> Option<Place> {
        self.turn(now);
        let hash = self.hash(id);
        let is_it = |entry: &(Id, Place)| entry.0 == *id;
        if let Some(&(_, place)) = self.young.find(hash, is_it) {
            return Some(place);
        }
        self.old.find(hash, is_it).map(|&(_, place)| place)
    }

    /// Knows an id from now on; what was known of it is replaced.
    pub(crate) fn insert(&mut self, now: Time, id: Id, place: Place) {
        self.turn(now);
        if self.len() == 0 {
            self.since = now;
        }
        let hash = self.hash(&id);
        if let Some(entry) = self.young.find_mut(hash, |entry| entry.0 == id) {
            entry.1 = place;
            return;
        }
        if let Ok(entry) = self.old.find_entry(hash, |entry| entry.0 == id) {
            entry.remove();
        }
        if self.young.len() >= SEEN_MAX {
            self.age(now);
        }
        let salt = self.salt;
        self.young.insert_unique(hash, (id, place), |entry| mix(salt, &entry.0));
    }

    fn turn(&mut self, now: Time) {
        let age = now.since(self.since);
        if age < SEEN_TIME_MIN || self.len() == 0 {
            return;
        }
        self.age(self.since + SEEN_TIME_MIN);
        if age >= 2 * SEEN_TIME_MIN {
            self.age(now);
        }
    }

    fn age(&mut self, since: Time) {
        self.old = mem::take(&mut self.young);
        self.since = since;
    }

    fn hash(&self, id: &Id) -> u64 {
        mix(self.salt, id)
    }
}

/// Eight bytes from the middle, since proof of work leaves zeroes at the ends. They are a hash already; the
/// multiplication by 2^64 over the golden ratio lets the salt decide where they fall, and the high half of the product,
/// which all bits have reached, comes down to where the table looks.
const fn mix(salt: u64, id: &Id) -> u64 {
    let [.., a, b, c, d, e, f, g, h, _, _, _, _, _, _, _, _] = id.0;
    let product = (u64::from_le_bytes([a, b, c, d, e, f, g, h]) ^ salt).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    product ^ product >> 32
}

#[cfg(test)]
mod tests {
    use synod_machine::Bytes;

    use super::*;

    fn id(number: u64) -> Id {
        let mut bytes = [0; 32];
        bytes[16..24].copy_from_slice(&number.to_le_bytes());
        Bytes(bytes)
    }

    fn accepted(number: u32) -> Place {
        NonZeroU32::new(number)
    }

    #[test]
    fn an_id_is_known_with_its_place_until_it_is_two_to_four_minutes_old() {
        let mut seen = Seen::new(1);
        let at = Time::from_secs;
        seen.insert(at(1_000), id(1), None);
        seen.insert(at(1_119), id(2), accepted(7));
        assert_eq!(seen.get(at(1_119), &id(1)), Some(None));
        assert_eq!(seen.get(at(1_119), &id(3)), None);
        assert_eq!(seen.get(at(1_120), &id(1)), Some(None), "the table is old, what is in it is still known");
        assert_eq!(seen.get(at(1_239), &id(2)), Some(accepted(7)), "not yet two minutes old");
        seen.insert(at(1_239), id(3), None);
        assert_eq!(seen.get(at(1_239), &id(1)), Some(None));
        assert_eq!(seen.get(at(1_240), &id(1)), None, "exactly four minutes old");
        assert_eq!(seen.get(at(1_240), &id(2)), None, "it shares the table's fate");
        assert_eq!(seen.get(at(1_359), &id(3)), Some(None), "two minutes old");
        assert_eq!(seen.get(at(9_999), &id(3)), None, "after a long silence nothing is known");
    }

    #[test]
    fn a_place_is_replaced_in_either_table() {
        let mut seen = Seen::new(1);
        seen.insert(Time::from_secs(1_000), id(1), None);
        seen.insert(Time::from_secs(1_000), id(1), accepted(1));
        assert_eq!(seen.get(Time::from_secs(1_000), &id(1)), Some(accepted(1)));
        seen.insert(Time::from_secs(1_130), id(1), accepted(2));
        assert_eq!(seen.get(Time::from_secs(1_130), &id(1)), Some(accepted(2)));
        assert_eq!(seen.len(), 1, "it is in one table only");
    }

    #[test]
    fn a_full_table_becomes_the_old_one_and_the_one_before_is_forgotten() {
        let mut seen = Seen::new(1);
        for number in 0..2 * SEEN_MAX as u64 {
            seen.insert(Time::ZERO, id(number), None);
        }
        assert_eq!(seen.len(), 2 * SEEN_MAX);
        assert_eq!(seen.get(Time::ZERO, &id(0)), Some(None));
        seen.insert(Time::ZERO, id(u64::MAX), None);
        assert_eq!(seen.len(), SEEN_MAX + 1);
        assert_eq!(seen.get(Time::ZERO, &id(0)), None, "the elder half is forgotten");
        assert_eq!(seen.get(Time::ZERO, &id(SEEN_MAX as u64)), Some(None), "the younger half is not");
    }
}
