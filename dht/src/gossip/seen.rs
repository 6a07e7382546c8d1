//! The ids that are known, so that what arrives again is known for a duplicate at the price of one look-up.
//!
//! Two tables take turns: the younger takes ids in, and when it is full or old the elder is emptied and they change
//! places. An id is therefore known for [`SEEN_TIME_MIN`] at least, for twice that at most, without a queue of what is
//! to be forgotten; only where more than [`SEEN_MAX`] ids come in that time are they forgotten earlier.
//!
//! Duplicates are most of what gossip hears, and in a simulation each finds another peer's memory out of the caches. So a
//! table holds eight bytes of an id, hashed again with a salt of the peer's: a look-up touches one line of memory, and a
//! hundred ids at ten thousand peers fit into a cache. Two ids with one key would pass for one, at a chance of 2⁻⁶⁴ which
//! nobody can raise who does not know the salt; what is then not heard comes by the owner's catching up.
//!
//! Most duplicates are of what came last. The last few keys therefore stand beside the tables' own fields, where a duplicate
//! finds them without a look into a table.

use alloc::boxed::Box;
use alloc::vec;
use core::mem;
use core::num::NonZeroU32;
use core::time::Duration;

use synod_machine::{Rng, Time};

use super::Id;

/// An id is known for so long: go-libp2p-pubsub's `TimeCacheDuration`.
pub const SEEN_TIME_MIN: Duration = Duration::from_secs(120);
/// Ids in each of the two tables, 1.5 MB in all: 400 new items a second for two minutes.
pub const SEEN_MAX: usize = 3 << 14;

/// Which accepted item it is, counted from one; nothing: it was never accepted.
pub(crate) type Place = Option<NonZeroU32>;

/// The ids. They are looked up and never iterated but to be moved, so that the order of the tables means nothing.
///
/// What a duplicate needs stands first.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Seen {
    young: Table,
    /// When `young` began to take ids in.
    since: Time,
    salt: u64,
    /// Whether the step brought what is known, and so changed nothing: the intake's, but it belongs on this line.
    pub(super) is_known: bool,
    /// The keys that came last, the youngest first; zero is none.
    last: [u64; LAST],
    old: Table,
}

impl Seen {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        let (since, salt) = (Time::ZERO, rng.next_u64());
        Self { young: Table::default(), since, salt, is_known: false, last: [0; LAST], old: Table::default() }
    }

    /// How many ids are known. One that was known in the elder table and became known anew counts twice.
    pub(crate) const fn len(&self) -> usize {
        self.young.len + self.old.len
    }

    /// Whether an id is known.
    pub(crate) fn knows(&mut self, now: Time, id: &Id) -> bool {
        self.turn(now);
        let key = key(self.salt, id);
        self.last.contains(&key) || self.young.get(key).is_some() || self.old.get(key).is_some()
    }

    /// The address at which an id is looked up.
    pub(crate) fn line_of(&self, id: &Id) -> Option<*const u8> {
        let mask = self.young.keys.len().checked_sub(1)?;
        Some((&raw const self.young.keys[key(self.salt, id) as usize & mask]).cast())
    }

    /// What is known of an id; nothing: it is new.
    pub(crate) fn get(&mut self, now: Time, id: &Id) -> Option<Place> {
        self.turn(now);
        let key = key(self.salt, id);
        self.young.get(key).or_else(|| self.old.get(key))
    }

    /// Knows an id from now on; what was known of it is replaced.
    pub(crate) fn insert(&mut self, now: Time, id: &Id, place: Place) {
        self.turn(now);
        if self.len() == 0 {
            self.since = now;
        }
        let key = key(self.salt, id);
        if self.young.len >= SEEN_MAX && self.young.get(key).is_none() {
            self.age(now);
        }
        self.young.insert(key, place);
        if !self.last.contains(&key) {
            self.last.rotate_right(1);
            self.last[0] = key;
        }
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
        mem::swap(&mut self.old, &mut self.young);
        self.young.clear();
        self.last = [0; LAST];
        self.since = since;
    }
}

/// Keys and their places, by open addressing: a key lies at the slot that its low bits name, or else at the next free one.
#[derive(Debug, Default)]
struct Table {
    /// A power of two of them, at most three quarters taken; zero is a free one.
    keys: Box<[u64]>,
    places: Box<[Place]>,
    len: usize,
}

impl Table {
    fn get(&self, key: u64) -> Option<Place> {
        if self.len == 0 {
            return None;
        }
        let slot = self.slot(key);
        (self.keys[slot] == key).then(|| self.places[slot])
    }

    /// Empties it, and gives back what is more than a few lines of memory.
    fn clear(&mut self) {
        if self.keys.len() > SLOTS_KEPT {
            *self = Self::default();
        } else {
            self.keys.fill(0);
            self.len = 0;
        }
    }

    fn insert(&mut self, key: u64, place: Place) {
        if 4 * (self.len + 1) > 3 * self.keys.len() {
            self.grow();
        }
        let slot = self.slot(key);
        if self.keys[slot] == 0 {
            self.keys[slot] = key;
            self.len += 1;
        }
        self.places[slot] = place;
    }

    /// Where a key lies, or is to lie. There is always a free slot, where the search ends.
    fn slot(&self, key: u64) -> usize {
        let mask = self.keys.len() - 1;
        let mut slot = key as usize & mask;
        while self.keys[slot] != key && self.keys[slot] != 0 {
            slot = (slot + 1) & mask;
        }
        slot
    }

    fn grow(&mut self) {
        let slots = (2 * self.keys.len()).max(SLOTS_MIN);
        let keys = mem::replace(&mut self.keys, vec![0; slots].into());
        let places = mem::replace(&mut self.places, vec![None; slots].into());
        self.len = 0;
        for (key, place) in keys.into_iter().zip(places) {
            if key != 0 {
                self.insert(key, place);
            }
        }
    }
}

/// Keys that are found without a look into a table: half a line of memory.
const LAST: usize = 4;
/// One line of memory for the keys.
const SLOTS_MIN: usize = 8;
/// A table of no more is kept when it is emptied: where items are minutes apart, each would cost two allocations.
const SLOTS_KEPT: usize = 64;

/// A key of an id, never zero. Each half is a product whose factors only the peer knows, folded: the manner of wyhash
/// (Wang Yi 2019). An id is a hash already, so that all there is to add is what a stranger cannot foresee.
const fn key(salt: u64, id: &Id) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15; // 2^64 over the golden ratio.
    let other = salt.rotate_left(32).wrapping_mul(ODD);
    let head = fold(word(id, 0) ^ salt, word(id, 8) ^ other);
    let tail = fold(word(id, 16) ^ salt.wrapping_add(ODD), word(id, 24) ^ other.wrapping_add(ODD));
    match head ^ tail {
        0 => 1,
        key => key,
    }
}

const fn fold(one: u64, other: u64) -> u64 {
    let product = one as u128 * other as u128;
    product as u64 ^ (product >> 64) as u64
}

const fn word(id: &Id, at: usize) -> u64 {
    let b = &id.0;
    u64::from_le_bytes([b[at], b[at + 1], b[at + 2], b[at + 3], b[at + 4], b[at + 5], b[at + 6], b[at + 7]])
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use synod_machine::Bytes;

    use super::*;

    fn id(number: u64) -> Id {
        let mut bytes = [0; 32];
        bytes[16..24].copy_from_slice(&number.to_le_bytes());
        Bytes(bytes)
    }

    fn seen() -> Seen {
        Seen::new(&mut Rng::new(1, 0, "seen"))
    }

    fn accepted(number: u32) -> Place {
        NonZeroU32::new(number)
    }

    #[test]
    fn an_id_is_known_with_its_place_until_it_is_two_to_four_minutes_old() {
        let mut seen = seen();
        let at = Time::from_secs;
        seen.insert(at(1_000), &id(1), None);
        seen.insert(at(1_119), &id(2), accepted(7));
        assert_eq!(seen.get(at(1_119), &id(1)), Some(None));
        assert_eq!(seen.get(at(1_119), &id(3)), None);
        assert_eq!(seen.get(at(1_120), &id(1)), Some(None), "the table is old, what is in it is still known");
        assert_eq!(seen.get(at(1_239), &id(2)), Some(accepted(7)), "not yet two minutes old");
        seen.insert(at(1_239), &id(3), None);
        assert_eq!(seen.get(at(1_239), &id(1)), Some(None));
        assert_eq!(seen.get(at(1_240), &id(1)), None, "exactly four minutes old");
        assert_eq!(seen.get(at(1_240), &id(2)), None, "it shares the table's fate");
        assert_eq!(seen.get(at(1_359), &id(3)), Some(None), "two minutes old");
        assert_eq!(seen.get(at(9_999), &id(3)), None, "after a long silence nothing is known");
    }

    #[test]
    fn a_place_is_replaced_in_either_table() {
        let mut seen = seen();
        seen.insert(Time::from_secs(1_000), &id(1), None);
        seen.insert(Time::from_secs(1_000), &id(1), accepted(1));
        assert_eq!(seen.get(Time::from_secs(1_000), &id(1)), Some(accepted(1)));
        seen.insert(Time::from_secs(1_130), &id(1), accepted(2));
        assert_eq!(seen.get(Time::from_secs(1_130), &id(1)), Some(accepted(2)));
        assert_eq!(seen.len(), 2, "the elder table keeps what it had");
    }

    #[test]
    fn a_full_table_becomes_the_old_one_and_the_one_before_is_forgotten() {
        let mut seen = seen();
        for number in 0..2 * SEEN_MAX as u64 {
            seen.insert(Time::ZERO, &id(number), None);
        }
        assert_eq!(seen.len(), 2 * SEEN_MAX);
        assert_eq!(seen.get(Time::ZERO, &id(0)), Some(None));
        seen.insert(Time::ZERO, &id(u64::MAX), None);
        assert_eq!(seen.len(), SEEN_MAX + 1);
        assert_eq!(seen.get(Time::ZERO, &id(0)), None, "the elder half is forgotten");
        assert_eq!(seen.get(Time::ZERO, &id(SEEN_MAX as u64)), Some(None), "the younger half is not");
    }

    #[test]
    fn keys_of_ids_that_differ_in_any_word_differ_and_depend_on_the_salt() {
        let mut keys: Vec<u64> = Vec::new();
        let mut rng = Rng::new(1, 0, "salts");
        for _ in 0..3 {
            let salt = rng.next_u64();
            for at in 0..32 {
                for byte in 1..=255 {
                    let mut bytes = [0; 32];
                    bytes[at] = byte;
                    keys.push(key(salt, &Bytes(bytes)));
                }
            }
        }
        let count = keys.len();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), count);
    }

    #[test]
    fn a_table_grows_when_three_quarters_are_taken_and_keeps_what_it_has() {
        let mut table = Table::default();
        // Keys that all want the last slot of a small table.
        for key in 1..=6 {
            table.insert(8 * key - 1, accepted(key as u32));
        }
        assert_eq!(table.keys.len(), 8);
        table.insert(1, None);
        assert_eq!(table.keys.len(), 16);
        assert_eq!(table.len, 7);
        for key in 1..=6 {
            assert_eq!(table.get(8 * key - 1), Some(accepted(key as u32)));
        }
        assert_eq!(table.get(1), Some(None));
        assert_eq!(table.get(9), None);
        let mut bytes = 0;
        for ids in [100, SEEN_MAX] {
            let mut seen = seen();
            (0..ids as u64).for_each(|number| seen.insert(Time::ZERO, &id(number), None));
            bytes = seen.young.keys.len() * 12;
            assert!(bytes <= 32 * ids, "{bytes} bytes for {ids} ids");
        }
        assert_eq!(bytes, 12 << 16, "a full table is three quarters taken");
    }
}
