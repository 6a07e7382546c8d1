//! What a node keeps and publishes (section 2.5): its own on disk, others' until they expire, and all of it again and again.

use alloc::vec::Vec;
use core::time::Duration;

use synod_machine::{Key, Out, Time};

use super::message::{Held, NODES_MAX, Record};
use super::store::KEYS_MAX;
use super::task::Purpose;
use super::{Event, Kademlia, OPEN_MAX, Rest, Timer};
use crate::overlay::{Cost, ENTRY_BYTES_MAX, Entry, Failure, Id, Node, Query, Quorum};

/// What this node publishes under a key.
#[derive(Clone, Debug)]
pub(super) struct Publication {
    pub(super) key: Id,
    pub(super) record: Record,
    pub(super) due: Time,
}

/// What a node publishes itself.
pub const PUBLICATIONS_MAX: usize = KEYS_MAX;
/// Keys that a node looks up at a time to publish them again.
pub const REPUBLISHING_MAX: u8 = 4;
/// Copies that a newcomer is given at once; others come to it when they are published again.
pub const HANDED_MAX: usize = 64;

/// What lives shorter is not kept.
const LIFE_MIN: Duration = Duration::from_secs(1);

pub(super) const SHELF_PUBLICATION: u8 = 0x00;

impl Kademlia {
    /// Section 2.5: what is published is on the publisher's disk first, and then at the closest nodes.
    pub(super) fn on_put(
        &mut self,
        now: Time,
        query: Query,
        key: Id,
        value: Vec<u8>,
        quorum: Quorum,
        out: &mut Out<Self>,
    ) {
        let place = self.publications.binary_search_by_key(&key, |publication| publication.key);
        let is_full = place.is_err() && self.publications.len() >= PUBLICATIONS_MAX;
        let is_long = value.len() > ENTRY_BYTES_MAX;
        let failure = is_long.then_some(Failure::TooLong).or(self.refusal()).or(is_full.then_some(Failure::Busy));
        if let Some(failure) = failure {
            return out.emit(Event::Stored { query, result: Err(failure), cost: Cost::default() });
        }
        let before = place.map_or(0, |place| self.publications[place].record.version);
        let record = Record { version: before.saturating_add(1), replicas: quorum.replicas(), at: now, value };
        out.persist(Key::new(SHELF_PUBLICATION, key.into()), record.clone());
        let publication = Publication { key, record, due: now + self.rest.publish };
        let held = self.held_of(&publication);
        self.keep_until(publication.due, out);
        match place {
            Ok(place) => self.publications[place] = publication,
            Err(place) => self.publications.insert(place, publication),
        }
        let seeds = self.seeds(key);
        self.begin(now, key, Purpose::Put { query, quorum, held }, &seeds, out);
    }

    fn held_of(&self, publication: &Publication) -> Held {
        let Record { version, replicas, ref value, .. } = publication.record;
        let entry = Entry { publisher: self.node.id, version, value: value.clone() };
        Held { entry, replicas, secs: u32::try_from(self.rest.expire.as_secs()).unwrap_or(u32::MAX) }
    }

    /// Keeps an entry, the shorter the more nodes there are that are closer to its key: beyond the k closest its life is halved
    /// for each (section 2.3, "exponentially inversely proportional"; the rule is libp2p's). Whether it is kept.
    pub(super) fn keep(&mut self, now: Time, key: Id, held: Held, out: &mut Out<Self>) -> bool {
        let beyond = self.table.count_closer(key).saturating_sub(usize::from(self.bounds.contacts_max));
        let life = self.rest.expire / 2_u32.saturating_pow(u32::try_from(beyond).unwrap_or(u32::MAX));
        let life = life.min(Duration::from_secs(u64::from(held.secs)));
        let republish = self.rest.republish;
        // Section 2.5: at moments that differ, so that one of all holders is enough.
        let spread = self.rest.rng.unfold(|rng| rng.below(republish.as_nanos() as u64 / 4 + 1));
        let due = now + republish + Duration::from_nanos(spread);
        if life < LIFE_MIN || !self.store.put(key, held, now + life, due) {
            return false;
        }
        self.keep_until(due.min(now + life), out);
        true
    }

    /// Section 2.5: a newcomer is given what it is one of the closest nodes to, by whoever is the closest of those before it.
    pub(super) fn hand_over(&mut self, now: Time, node: Node, out: &mut Out<Self>) {
        if self.store.is_empty() {
            return;
        }
        let own = self.node.id;
        let is_closest = |key: &Id| {
            let is_closer = node.id.xor(*key) < own.xor(*key);
            self.table.count_closer(*key) == usize::from(is_closer)
        };
        let keys: Vec<Id> = self.store.keys().filter(is_closest).collect();
        let mut left = HANDED_MAX;
        for key in keys {
            let closest = self.table.closest(key, NODES_MAX, |contact| contact.failures == 0);
            let Some(rank) = closest.iter().position(|known| known.id == node.id) else { continue };
            // This node is closer than all others, but for the newcomer perhaps.
            let rank = if rank == 0 && node.id.xor(key) < own.xor(key) { 0 } else { rank + 1 };
            for held in self.store.held(now, key) {
                if rank < usize::from(held.replicas) && left > 0 {
                    left -= 1;
                    self.spread(now, node, key, &held, out);
                }
            }
        }
    }

    pub(super) fn on_keep_timer(&mut self, now: Time, out: &mut Out<Self>) {
        self.keep_at = Time::MAX;
        self.store.expire(now);
        self.republish(now, out);
    }

    /// Brings to the closest nodes what is due, a few keys at a time.
    pub(super) fn republish(&mut self, now: Time, out: &mut Out<Self>) {
        // A look-up that ends where it began comes back here.
        if core::mem::replace(&mut self.is_publishing, true) {
            return;
        }
        while self.is_joined && self.republishing < REPUBLISHING_MAX && self.requests.len() < OPEN_MAX {
            let Some((key, held)) = self.take_due(now, out) else { break };
            self.republishing += 1;
            let seeds = self.seeds(key);
            self.begin(now, key, Purpose::Republish { held }, &seeds, out);
        }
        let published = self.publications.iter().map(|publication| publication.due).min();
        if let Some(at) = published.into_iter().chain(self.store.next_due()).min() {
            // What cannot be done yet is tried again when a look-up is over, or after a while.
            let is_hindered = at <= now;
            self.keep_until(if is_hindered { now + self.request_time } else { at }, out);
        }
        self.is_publishing = false;
    }

    fn take_due(&mut self, now: Time, out: &mut Out<Self>) -> Option<(Id, Vec<Held>)> {
        let Rest { publish, expire, republish, .. } = *self.rest;
        self.publications.retain(|Publication { key, record, due }| {
            let is_over = *due <= now && record.value.is_empty() && now.since(record.at) >= expire;
            if is_over {
                out.forget(Key::new(SHELF_PUBLICATION, (*key).into()));
            }
            !is_over
        });
        if let Some(place) = self.publications.iter().position(|publication| publication.due <= now) {
            self.publications[place].due = now + publish;
            let publication = &self.publications[place];
            return Some((publication.key, [self.held_of(publication)].into()));
        }
        let key = self.store.take_due(now, republish)?;
        Some((key, self.store.held(now, key)))
    }

    /// Sees to it that the node looks at what it keeps at `at`.
    pub(super) fn keep_until(&mut self, at: Time, out: &mut Out<Self>) {
        if at < self.keep_at {
            self.keep_at = at;
            out.set(Timer::Keep, at);
        }
    }
}
