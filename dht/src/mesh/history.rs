//! The items of the last heartbeats, which are offered by id and can be asked for: gossipsub's message cache.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::num::NonZeroU32;

use synod_machine::PeerId;

use crate::gossip::{IDS_MAX, Id, LINKS_MAX, Parcel, Place};

/// The items, oldest first.
#[derive(Debug)]
pub(super) struct History<T> {
    kept: VecDeque<Kept<T>>,
    bytes: usize,
    /// The number of the first item, or of the next one where there is none.
    first: u32,
}

#[derive(Debug)]
struct Kept<T> {
    id: Id,
    item: T,
    bytes: usize,
    /// The last heartbeat before it came.
    beat: u64,
    /// Who asked for it, and how often.
    asked: Vec<(PeerId, u8)>,
}

/// What becomes of a request.
pub(super) enum Answer<T> {
    /// It is not here, or not any more.
    Gone,
    /// It is here.
    Here(T),
    /// The peer has been sent it too often.
    TooOften,
}

impl<T: Parcel> History<T> {
    pub(super) const fn new() -> Self {
        Self { kept: VecDeque::new(), bytes: 0, first: 1 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Where the next item will stand.
    pub(super) fn next(&self) -> Place {
        NonZeroU32::new(self.first.wrapping_add(self.kept.len() as u32))
    }

    /// The last heartbeat before the oldest item came, and before the youngest.
    pub(super) fn beats(&self) -> Option<(u64, u64)> {
        Some((self.kept.front()?.beat, self.kept.back()?.beat))
    }

    /// Adds an item. The oldest make room for it; one that is larger than all the room is not kept.
    pub(super) fn put(&mut self, beat: u64, id: Id, item: T, bytes_max: usize) {
        let bytes = item.encoded_len();
        self.bytes += bytes;
        self.kept.push_back(Kept { id, item, bytes, beat, asked: Vec::new() });
        while self.bytes > bytes_max {
            self.drop_first();
        }
    }

    /// The ids of the items that came after that heartbeat, youngest first, as many as one list may have.
    pub(super) fn since(&self, beat: u64) -> Vec<Id> {
        let recent = self.kept.iter().rev().take_while(|kept| kept.beat >= beat);
        recent.take(IDS_MAX).map(|kept| kept.id).collect()
    }

    /// The item at that place, for a peer that asks for it.
    pub(super) fn ask(&mut self, place: Place, id: &Id, peer: PeerId, times_max: u8) -> Answer<T> {
        let Some(place) = place else { return Answer::Gone };
        let index = place.get().wrapping_sub(self.first) as usize;
        // Numbers start again after 2^32 items, so a place may be another item's by now.
        let Some(kept) = self.kept.get_mut(index).filter(|kept| kept.id == *id) else { return Answer::Gone };
        // More askers than there can be links are peers that come and go under ever new handles.
        let is_full = kept.asked.len() >= LINKS_MAX;
        match kept.asked.iter_mut().find(|(asker, _)| *asker == peer) {
            Some((_, times)) if *times >= times_max => return Answer::TooOften,
            Some((_, times)) => *times += 1,
            None if is_full => return Answer::TooOften,
            None => kept.asked.push((peer, 1)),
        }
        Answer::Here(kept.item.clone())
    }

    /// What came before that heartbeat is gone, and an empty history holds no memory.
    pub(super) fn forget(&mut self, beat: u64) {
        while self.kept.front().is_some_and(|kept| kept.beat < beat) {
            self.drop_first();
        }
        if self.kept.is_empty() {
            self.kept = VecDeque::new();
        }
    }

    fn drop_first(&mut self) {
        if let Some(kept) = self.kept.pop_front() {
            self.bytes -= kept.bytes;
            self.first = self.first.wrapping_add(1);
        }
    }
}
