//! A peer's disk: an ordered map, and what was written but not synced yet.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::hash::{BuildHasherDefault, Hasher};

use synod_machine::{Effect, Key, Protocol};

/// What becomes of the writes that were not synced when a peer crashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// They reached the disk all the same.
    Kept,
    /// They are gone.
    Lost,
}

/// Records as values, not bytes: equal ones of ten thousand peers share what is behind an `Arc`.
pub struct Disk<R> {
    records: HashMap<Key, R, BuildHasherDefault<KeyHasher>>,
}

impl<R> Disk<R> {
    pub(crate) fn new() -> Self {
        Self { records: HashMap::default() }
    }

    /// The record under `key`.
    pub fn get(&self, key: &Key) -> Option<&R> {
        self.records.get(key)
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether nothing was ever kept, or all of it forgotten.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    pub(crate) fn put(&mut self, key: Key, record: R) {
        self.records.insert(key, record);
    }

    pub(crate) fn remove(&mut self, key: &Key) {
        self.records.remove(key);
    }

    /// What a restart is given: hot records in key order.
    pub(crate) fn hot(&self) -> Vec<(Key, R)>
    where
        R: Clone,
    {
        let mut hot: Vec<(Key, R)> =
            self.records.iter().filter(|(key, _)| !key.is_cold()).map(|(key, record)| (*key, record.clone())).collect();
        hot.sort_unstable_by_key(|(key, _)| *key);
        hot
    }
}

/// Effects that wait until what precedes them is synced.
pub(crate) struct Outbox<P: Protocol> {
    /// The effects of a step each, in order, and the step's number on record.
    steps: VecDeque<(u64, Vec<Effect<P>>)>,
    /// How many of them the sync under way covers.
    syncing: usize,
}

impl<P: Protocol> Outbox<P> {
    pub(crate) const fn new() -> Self {
        Self { steps: VecDeque::new(), syncing: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    pub(crate) fn push(&mut self, step: u64, effects: Vec<Effect<P>>) {
        self.steps.push_back((step, effects));
    }

    /// Begins to sync all that waits. Whether there is a sync to wait for.
    pub(crate) fn begin(&mut self) -> bool {
        if self.syncing > 0 || self.steps.is_empty() {
            return false;
        }
        self.syncing = self.steps.len();
        true
    }

    /// What waits, as a crash finds it.
    pub(crate) fn take(&mut self) -> VecDeque<(u64, Vec<Effect<P>>)> {
        self.syncing = 0;
        std::mem::take(&mut self.steps)
    }

    /// The steps that are synced now, and those since then, if they have nothing to sync.
    pub(crate) fn finish(&mut self) -> Vec<(u64, Vec<Effect<P>>)> {
        let mut count = std::mem::take(&mut self.syncing);
        if !self.steps.range(count..).flat_map(|(_, effects)| effects).any(is_write) {
            count = self.steps.len();
        }
        self.steps.drain(..count).collect()
    }
}

/// Whether an effect changes the disk.
pub(crate) const fn is_write<P: Protocol>(effect: &Effect<P>) -> bool {
    matches!(effect, Effect::Persist { .. } | Effect::Forget(_))
}

/// Names are hashes or small numbers: their bytes are folded together. The map is looked up and sorted, never walked in
/// its own order.
#[derive(Default)]
pub(crate) struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 = (self.0.rotate_left(23) ^ u64::from_le_bytes(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
    }

    fn write_u8(&mut self, byte: u8) {
        self.0 ^= u64::from(byte);
    }

    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 29)
    }
}
