//! What a node keeps: entries by key, in the order of keys, so that an arc of the ring is a range or two.

use alloc::vec::Vec;

use synod_machine::Reject;

use crate::overlay::{ENTRIES_MAX, ENTRY_BYTES_MAX, Entry, Id};

/// Keys and their entries.
#[derive(Debug, Default)]
pub(super) struct Entries {
    /// By key; of each key by publisher.
    keys: Vec<(Id, Vec<Entry>)>,
}

/// Keys that a node keeps; further ones are refused.
pub const KEYS_MAX: usize = 1 << 16; // a million keys of three replicas on fifty nodes or more

/// What became of entries that were to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// Something is new.
    Changed,
    /// There is no room.
    Full,
    /// All of it was there, or later versions.
    Same,
}

impl Entries {
    /// Entries as they are read from a disk.
    pub(super) fn insert(&mut self, key: Id, entries: Vec<Entry>) {
        match self.place(key) {
            Ok(place) => self.keys[place].1 = entries,
            Err(place) => self.keys.insert(place, (key, entries)),
        }
    }

    pub(super) fn get(&self, key: Id) -> &[Entry] {
        self.place(key).map_or(&[], |place| &self.keys[place].1)
    }

    pub(super) fn remove(&mut self, key: Id) -> bool {
        let place = self.place(key);
        place.map(|place| drop(self.keys.remove(place))).is_ok()
    }

    pub(super) const fn len(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = Id> {
        self.keys.iter().map(|(key, _)| *key)
    }

    /// Keeps what is newer than what is there.
    pub(super) fn merge(&mut self, key: Id, entries: &[Entry]) -> Kept {
        let place = match self.place(key) {
            Ok(place) => place,
            Err(_) if self.keys.len() >= KEYS_MAX => return Kept::Full,
            Err(_) if entries.is_empty() => return Kept::Same,
            Err(place) => {
                self.keys.insert(place, (key, Vec::new()));
                place
            }
        };
        merge(&mut self.keys[place].1, entries)
    }

    /// The first key after `begin` on the circle, if it lies in the arc up to `end`.
    pub(super) fn next(&self, begin: Id, end: Id) -> Option<Id> {
        let place = self.keys.partition_point(|(key, _)| *key <= begin);
        let (key, _) = self.keys.get(place).or_else(|| self.keys.first())?;
        key.in_arc(begin, end).then_some(*key)
    }

    fn place(&self, key: Id) -> Result<usize, usize> {
        self.keys.binary_search_by_key(&key, |(key, _)| *key)
    }

    pub(super) fn check(&self) {
        assert!(self.keys.len() <= KEYS_MAX, "keys are bounded");
    }
}

/// Takes over what is newer in `new`, both in the order of publishers.
pub(super) fn merge(entries: &mut Vec<Entry>, new: &[Entry]) -> Kept {
    let mut kept = Kept::Same;
    for entry in new {
        match entries.binary_search_by_key(&entry.publisher, |entry| entry.publisher) {
            Ok(place) if !entry.supersedes(&entries[place]) => continue,
            Ok(place) => entries[place] = entry.clone(),
            Err(_) if entries.len() >= ENTRIES_MAX => {
                kept = if kept == Kept::Same { Kept::Full } else { kept };
                continue;
            }
            Err(place) => entries.insert(place, entry.clone()),
        }
        kept = Kept::Changed;
    }
    kept
}

/// What is wrong with entries that somebody sent.
pub(super) fn fault(entries: &[Entry]) -> Option<Reject> {
    let is_ascending = entries.windows(2).all(|pair| pair[0].publisher < pair[1].publisher);
    if entries.len() > ENTRIES_MAX || !is_ascending {
        return Some(Reject::QueryList);
    }
    entries.iter().any(|entry| entry.value.len() > ENTRY_BYTES_MAX).then_some(Reject::ValueForm)
}

/// A number that tells different entries apart (FNV-1a, 64 bits): only honest replicas rely on it, and among themselves.
pub(super) fn digest(entries: &[Entry]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut mix = |bytes: &[u8]| {
        for byte in bytes {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    for entry in entries {
        mix(synod_machine::Bytes::from(entry.publisher).as_slice());
        mix(&entry.version.to_le_bytes());
        mix(&(entry.value.len() as u64).to_le_bytes());
        mix(&entry.value);
    }
    hash
}
