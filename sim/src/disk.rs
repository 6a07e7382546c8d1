//! A peer's disk: an ordered map, and what was written but not synced yet.

use std::collections::{BTreeMap, VecDeque};

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
///
/// A chain's disk is written all the time and hardly read before a restart. So what is written is put down in order, at the
/// price of one line of memory, and sorted in when there is as much of it as of what is sorted: each record is moved a
/// few times in all, as in a log-structured merge tree (O'Neil et al. 1996).
pub struct Disk<R> {
    /// By key.
    sorted: Vec<(Key, R)>,
    /// What was written since, the youngest last; nothing where a record was removed.
    latest: Vec<(Key, Option<R>)>,
}

impl<R> Disk<R> {
    pub(crate) const fn new() -> Self {
        Self { sorted: Vec::new(), latest: Vec::new() }
    }

    /// The record under `key`.
    pub fn get(&self, key: &Key) -> Option<&R> {
        if let Some((_, record)) = self.latest.iter().rev().find(|(written, _)| written == key) {
            return record.as_ref();
        }
        let place = self.sorted.binary_search_by_key(key, |(key, _)| *key).ok()?;
        Some(&self.sorted[place].1)
    }

    /// How many records there are: it looks at all of them.
    pub fn len(&self) -> usize {
        self.records().count()
    }

    /// Whether nothing was ever kept, or all of it forgotten.
    pub fn is_empty(&self) -> bool {
        self.records().next().is_none()
    }

    pub(crate) fn put(&mut self, key: Key, record: R) {
        self.write(key, Some(record));
    }

    pub(crate) fn remove(&mut self, key: &Key) {
        self.write(*key, None);
    }

    /// What a restart is given: hot records in key order.
    pub(crate) fn hot(&self) -> Vec<(Key, R)>
    where
        R: Clone,
    {
        self.records().filter(|(key, _)| !key.is_cold()).map(|(key, record)| (key, record.clone())).collect()
    }

    fn write(&mut self, key: Key, record: Option<R>) {
        if self.latest.len() >= self.sorted.len().max(LATEST_MIN) {
            self.sort_in();
        }
        self.latest.push((key, record));
    }

    fn sort_in(&mut self) {
        let sorted = std::mem::take(&mut self.sorted).into_iter().map(|(key, record)| (key, Some(record)));
        let mut all: Vec<(Key, Option<R>)> = sorted.chain(self.latest.drain(..)).collect();
        // A stable sort: of the records of one key the youngest is the last.
        all.sort_by_key(|(key, _)| *key);
        all.dedup_by(|later, earlier| {
            let is_same = later.0 == earlier.0;
            if is_same {
                std::mem::swap(later, earlier);
            }
            is_same
        });
        self.sorted = all.into_iter().filter_map(|(key, record)| Some((key, record?))).collect();
    }

    /// All records in key order.
    fn records(&self) -> impl Iterator<Item = (Key, &R)> {
        let sorted = self.sorted.iter().map(|(key, record)| (*key, Some(record)));
        let latest = self.latest.iter().map(|(key, record)| (*key, record.as_ref()));
        let all: BTreeMap<Key, Option<&R>> = sorted.chain(latest).collect();
        all.into_iter().filter_map(|(key, record)| Some((key, record?)))
    }
}

/// Fewer writes are not sorted in.
const LATEST_MIN: usize = 16;

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

#[cfg(test)]
mod tests {
    use synod_machine::{Bytes, Rng};

    use super::*;

    #[test]
    fn a_disk_holds_what_an_ordered_map_would() {
        let mut rng = Rng::new(1, 0, "disk");
        let (mut disk, mut model) = (Disk::new(), BTreeMap::new());
        for round in 0..3_000_u32 {
            let mut name = [0; 32];
            name[31] = rng.below(200) as u8;
            let key = Key::new(if rng.below(2) == 0 { 0 } else { Key::COLD }, Bytes(name));
            if rng.below(3) == 0 {
                disk.remove(&key);
                model.remove(&key);
            } else {
                disk.put(key, round);
                model.insert(key, round);
            }
            assert_eq!(disk.get(&key), model.get(&key), "round {round}");
            if round % 100 == 0 {
                assert_eq!(disk.len(), model.len(), "round {round}");
                assert!(model.iter().all(|(key, record)| disk.get(key) == Some(record)), "round {round}");
                let hot: Vec<_> = model.iter().filter(|(key, _)| !key.is_cold()).map(|(key, n)| (*key, *n)).collect();
                assert_eq!(disk.hot(), hot, "round {round}");
            }
        }
        assert!(disk.sorted.len() > 100, "much was sorted in");
    }

    #[test]
    fn a_disk_is_empty_until_something_is_written_and_again_when_all_is_removed() {
        let key = Key::new(1, Bytes::ZERO);
        let mut disk = Disk::new();
        assert!(disk.is_empty());
        disk.put(key, 1);
        assert!(!disk.is_empty());
        disk.remove(&key);
        assert!(disk.is_empty());
        assert_eq!(disk.len(), 0);
    }
}
