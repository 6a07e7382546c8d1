//! Whom a node knows: k-buckets, one for each length of the prefix that an identifier shares with the node's own (section 2.2).
//!
//! In a bucket the least recently seen contact is the first. Whoever is met when the bucket is full waits as a spare
//! (section 4.1, "replacement cache") until a contact does not answer. A contact that failed is kept while nobody can take its
//! place, so that a node whose own line was down for a while still knows somebody.

use alloc::vec::Vec;
use core::ops::Range;
use core::slice;
use core::time::Duration;

use synod_machine::{Bytes, Glance, PeerId, Rng, Time, lines};

use crate::overlay::{Id, Node, Quorum};

/// A node in a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contact {
    /// Where it stands.
    pub id: Id,
    /// How it is reached.
    pub peer: PeerId,
    /// Requests in a row that it did not answer.
    pub failures: u8,
}

impl Contact {
    /// The node.
    pub const fn node(&self) -> Node {
        Node { id: self.id, peer: self.peer }
    }

    const fn new(node: Node) -> Self {
        Self { id: node.id, peer: node.peer, failures: 0 }
    }
}

/// A bucket: what shares a prefix of one length with the node's own identifier, and no more.
#[derive(Clone, Copy, Debug)]
pub struct Bucket<'a> {
    contacts: &'a [Contact],
    spares: &'a [Contact],
}

impl<'a> Bucket<'a> {
    /// Those in use, least recently seen first.
    pub const fn contacts(self) -> &'a [Contact] {
        self.contacts
    }

    /// Those that wait for a place, least recently seen first.
    pub const fn spares(self) -> &'a [Contact] {
        self.spares
    }
}

/// Where a bucket's nodes are, and what is known of it beside them.
#[derive(Clone, Debug)]
struct Extent {
    /// The place of the first in the list of all.
    start: u32,
    /// So many from there on are contacts, least recently seen first.
    contacts: u8,
    /// So many behind them are spares, least recently seen first.
    spares: u8,
    /// When it is to be refreshed: so long after something in its range was looked up.
    refresh_at: Time,
    /// When its first contact was probed last for somebody who would take its place.
    probed: Time,
}

impl Extent {
    fn contacts(&self) -> Range<usize> {
        self.start as usize..self.start as usize + usize::from(self.contacts)
    }

    fn spares(&self) -> Range<usize> {
        let start = self.contacts().end;
        start..start + usize::from(self.spares)
    }
}

/// What a table is bounded by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) contacts_max: u8,
    pub(super) spares_max: u8,
    pub(super) failures_max: u8,
    pub(super) probe: Duration,
    pub(super) refresh: Duration,
}

/// What came of seeing a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// It was a contact.
    Known,
    /// It is one now.
    New,
    /// It waits; if a contact is named, that one is to be probed.
    Waits(Option<Node>),
}

/// All buckets down to the closest neighbour's.
#[derive(Clone, Debug)]
pub(super) struct Table {
    own: Id,
    /// Everybody, bucket after bucket. One list, since a list for each bucket takes a kilobyte more a peer and a miss of the cache each.
    nodes: Vec<Contact>,
    /// By the length of the shared prefix.
    buckets: Vec<Extent>,
    /// The bucket that was changed last, which is what a step's check looks at.
    touched: u8,
}

impl Table {
    pub(super) const fn new(own: Id) -> Self {
        Self { own, nodes: Vec::new(), buckets: Vec::new(), touched: 0 }
    }

    pub(super) fn buckets(&self) -> impl ExactSizeIterator<Item = Bucket<'_>> {
        let nodes = |range: Range<usize>| &self.nodes[range];
        self.buckets
            .iter()
            .map(move |extent| Bucket { contacts: nodes(extent.contacts()), spares: nodes(extent.spares()) })
    }

    /// A node gave a sign of life.
    pub(super) fn seen(&mut self, now: Time, node: Node, bounds: &Bounds) -> Seen {
        let place = self.place(node.id).expect("nobody else has the node's own identifier");
        while self.buckets.len() <= place {
            self.add_bucket(now + bounds.refresh);
        }
        self.touched = place as u8;
        let contacts = self.contacts(place);
        if let Some(known) = contacts.iter().position(|contact| contact.id == node.id) {
            self.meet_again(place, known, node);
            return Seen::Known;
        }
        if contacts.len() < usize::from(bounds.contacts_max) {
            self.add(place, node);
            return Seen::New;
        }
        if let Some(stale) = contacts.iter().position(|contact| contact.failures >= bounds.failures_max) {
            self.buckets[place].contacts -= 1;
            self.remove(place, self.buckets[place].start as usize + stale);
            self.add(place, node);
            return Seen::New;
        }
        let first = contacts[0];
        self.wait(place, node, bounds.spares_max);
        let extent = &mut self.buckets[place];
        if now.since(extent.probed) < bounds.probe && extent.probed != Time::ZERO {
            return Seen::Waits(None);
        }
        extent.probed = now;
        Seen::Waits(Some(first.node()))
    }

    /// A contact did not answer. It gives way to a spare when that happened too often in a row; if it may be that it is only
    /// a message that was lost, it is named, to be probed.
    pub(super) fn failed(&mut self, node: Node, bounds: &Bounds) -> Option<Node> {
        let place = self.place(node.id)?;
        let extent = self.buckets.get_mut(place)?;
        let (contacts, spares) = (extent.contacts(), extent.spares());
        let Some(at) = self.nodes[contacts.clone()].iter().position(|contact| contact.node() == node) else {
            // A spare that does not answer is none.
            if let Some(at) = self.nodes[spares].iter().position(|spare| spare.node() == node) {
                extent.spares -= 1;
                self.remove(place, contacts.end + at);
            }
            return None;
        };
        self.touched = place as u8;
        let contact = &mut self.nodes[contacts.start + at];
        contact.failures = contact.failures.saturating_add(1);
        if spares.is_empty() {
            return None;
        }
        if contact.failures < bounds.failures_max {
            return Some(node);
        }
        // Section 4.1: the spare that was seen last takes its place.
        let spare = self.nodes[spares.end - 1];
        let contacts = &mut self.nodes[contacts];
        contacts[at..].rotate_left(1);
        contacts[contacts.len() - 1] = spare;
        extent.spares -= 1;
        self.remove(place, spares.end - 1);
        None
    }

    /// The `count` contacts closest to the target, closest first, of those that are wanted.
    ///
    /// Buckets are ordered by their distance as wholes: where the target differs from the node's own identifier at a bucket's
    /// bit, all of the bucket is closer than all deeper ones, and farther where it does not.
    pub(super) fn closest(&self, target: Id, count: usize, is_wanted: impl Fn(&Contact) -> bool) -> Vec<Node> {
        let mut found = Vec::with_capacity(count);
        let distance = self.own.xor(target);
        let first = self.place(target).unwrap_or(self.buckets.len()).min(self.buckets.len());
        let near = (first..self.buckets.len()).filter(|&place| distance.bit(place as u32));
        let far = (0..self.buckets.len()).rev().filter(|&place| !distance.bit(place as u32));
        for place in near.chain(far) {
            if found.len() >= count {
                break;
            }
            sorted(self.contacts(place), place, target, count - found.len(), &is_wanted, &mut found);
        }
        found
    }

    /// The memory that [`seen`](Self::seen) and [`closest`](Self::closest) touch for one who asks for a target.
    pub(super) fn foresee(&self, asker: Id, target: Id, glance: Glance, mut fetch: impl FnMut(*const u8)) {
        let first = self.place(target).unwrap_or(usize::MAX).min(self.buckets.len().saturating_sub(1));
        match glance {
            Glance::First => {
                if let Some(extent) = self.place(asker).and_then(|place| self.buckets.get(place)) {
                    lines(slice::from_ref(extent)).for_each(&mut fetch);
                }
                lines(&self.buckets[first.saturating_sub(1)..]).for_each(fetch);
            }
            Glance::Second => {
                self.foresee_node(asker, &mut fetch);
                let mut count = 0;
                for extent in self.buckets[first..].iter().chain(self.buckets[..first].iter().rev()) {
                    if count >= NODES {
                        break;
                    }
                    count += usize::from(extent.contacts);
                    lines(&self.nodes[extent.contacts()]).for_each(&mut fetch);
                }
            }
        }
    }

    /// The memory of the contacts in a node's bucket.
    pub(super) fn foresee_node(&self, id: Id, fetch: impl FnMut(*const u8)) {
        if let Some(extent) = self.place(id).and_then(|place| self.buckets.get(place)) {
            lines(&self.nodes[extent.contacts()]).for_each(fetch);
        }
    }

    /// How many contacts are closer to the target than this node is.
    pub(super) fn count_closer(&self, target: Id) -> usize {
        let Some(first) = self.place(target) else { return 0 };
        let is_turned = |place: &usize| self.own.bit(*place as u32) != target.bit(*place as u32);
        let closer = (first..self.buckets.len()).filter(is_turned);
        closer.map(|place| usize::from(self.buckets[place].contacts)).sum()
    }

    /// Something in the target's bucket is looked up, which needs no refreshing before `refresh_at`.
    pub(super) fn looked_up(&mut self, target: Id, refresh_at: Time) {
        // Whatever is closer than the closest neighbour counts for the last bucket.
        let place = self.place(target).unwrap_or(usize::MAX).min(self.buckets.len().saturating_sub(1));
        if let Some(bucket) = self.buckets.get_mut(place) {
            bucket.refresh_at = refresh_at;
        }
    }

    /// All buckets are to be refreshed that are farther away than the closest neighbour's (section 2.3, the last paragraph).
    pub(super) fn age(&mut self) {
        if let Some((_, farther)) = self.buckets.split_last_mut() {
            farther.iter_mut().for_each(|extent| extent.refresh_at = Time::ZERO);
        }
    }

    /// The bucket that is to be refreshed next, and when.
    pub(super) fn next_refresh(&self) -> Option<(usize, Time)> {
        let all = self.buckets.iter().enumerate().map(|(place, extent)| (place, extent.refresh_at));
        all.min_by_key(|&(_, at)| at)
    }

    /// A random identifier in a bucket's range; in the last one it is the node's own, whose neighbours matter most.
    pub(super) fn draw(&self, place: usize, rng: &mut Rng) -> Id {
        if place + 1 >= self.buckets.len() {
            return self.own;
        }
        let own = Bytes::from(self.own.with_turned(place as u32));
        let mut drawn = Bytes::from(Id::draw(rng));
        let (whole, bits) = ((place + 1) / 8, (place + 1) % 8);
        drawn.0[..whole].copy_from_slice(&own.0[..whole]);
        let mask = !(0xff_u8 >> bits);
        if let Some(byte) = drawn.0.get_mut(whole) {
            *byte = own.0[whole] & mask | *byte & !mask;
        }
        Id::from(drawn)
    }

    /// The bucket of an identifier: how long a prefix it shares with the node's own, which has no bucket.
    fn place(&self, id: Id) -> Option<usize> {
        let power = self.own.xor(id).power()?;
        Some((Id::BITS - 1 - power) as usize)
    }

    fn contacts(&self, place: usize) -> &[Contact] {
        &self.nodes[self.buckets[place].contacts()]
    }

    /// Moves a contact to where the most recently seen one of its bucket is. Another handle is believed where the old one failed.
    fn meet_again(&mut self, place: usize, known: usize, node: Node) {
        let contacts = &mut self.nodes[self.buckets[place].contacts()][known..];
        if contacts[0].peer != node.peer {
            if contacts[0].failures == 0 {
                return;
            }
            contacts[0].peer = node.peer;
        }
        contacts[0].failures = 0;
        contacts.rotate_left(1);
    }

    /// A contact more. Nobody waits where there is room, or where somebody failed too often.
    fn add(&mut self, place: usize, node: Node) {
        let extent = &mut self.buckets[place];
        assert!(extent.spares == 0, "nobody waits while there is room");
        let end = extent.contacts().end;
        extent.contacts += 1;
        self.insert(place, end, node);
    }

    /// Somebody waits for a place.
    fn wait(&mut self, place: usize, node: Node, spares_max: u8) {
        let extent = &mut self.buckets[place];
        let spares = extent.spares();
        if let Some(known) = self.nodes[spares.clone()].iter().position(|spare| spare.id == node.id) {
            return self.nodes[spares][known..].rotate_left(1);
        }
        if spares_max == 0 {
            return;
        }
        if extent.spares == spares_max {
            let spares = &mut self.nodes[spares];
            spares.rotate_left(1);
            spares[usize::from(spares_max) - 1] = Contact::new(node);
            return;
        }
        extent.spares += 1;
        self.insert(place, spares.end, node);
    }

    fn add_bucket(&mut self, refresh_at: Time) {
        if self.buckets.len() == self.buckets.capacity() {
            self.buckets.reserve_exact(1);
        }
        let start = self.nodes.len() as u32;
        self.buckets.push(Extent { start, contacts: 0, spares: 0, refresh_at, probed: Time::ZERO });
    }

    fn insert(&mut self, place: usize, at: usize, node: Node) {
        if self.nodes.len() == self.nodes.capacity() {
            self.nodes.reserve_exact(ROOM);
        }
        self.nodes.insert(at, Contact::new(node));
        self.buckets[place + 1..].iter_mut().for_each(|deeper| deeper.start += 1);
    }

    /// Takes one of a bucket out. The caller has lowered the bucket's count.
    fn remove(&mut self, place: usize, at: usize) {
        self.nodes.remove(at);
        self.buckets[place + 1..].iter_mut().for_each(|deeper| deeper.start -= 1);
    }

    /// 1. The bucket that was touched last is within its bounds. 2. Its latest contact is in its range.
    pub(super) fn check(&self, bounds: &Bounds) {
        if let Some(extent) = self.buckets.get(usize::from(self.touched)) {
            check_size(extent, bounds);
            let latest = self.nodes[extent.contacts()].last();
            let is_here = |contact: &Contact| self.place(contact.id) == Some(usize::from(self.touched));
            assert!(latest.is_none_or(is_here), "a contact is in the bucket of its prefix");
        }
    }

    /// The same of all buckets and contacts, that nobody is there twice and that buckets follow each other.
    pub(super) fn check_all(&self, bounds: &Bounds) {
        let mut start = 0;
        for (place, extent) in self.buckets.iter().enumerate() {
            check_size(extent, bounds);
            assert_eq!(extent.start as usize, start, "a bucket begins where the one before it ends");
            start = extent.spares().end;
            let nodes = &self.nodes[extent.contacts().start..start];
            for (at, contact) in nodes.iter().enumerate() {
                assert!(self.place(contact.id) == Some(place), "a contact is in the bucket of its prefix");
                assert!(!nodes[..at].iter().any(|other| other.id == contact.id), "nobody is in a bucket twice");
            }
        }
        assert_eq!(start, self.nodes.len(), "everybody is in a bucket");
    }
}

fn check_size(extent: &Extent, bounds: &Bounds) {
    assert!(extent.contacts <= bounds.contacts_max, "a bucket has k contacts at most");
    assert!(extent.spares <= bounds.spares_max, "spares are bounded");
    let is_full = extent.contacts == bounds.contacts_max;
    assert!(is_full || extent.spares == 0, "nobody waits while there is room");
}

/// Room for so many nodes is made at a time: for more, it is mostly empty, and for fewer, all are moved more often.
const ROOM: usize = 16;

/// Appends the `count` of a bucket's contacts that are closest to the target. All share a prefix of `prefix` bits and the bit after it.
fn sorted(
    contacts: &[Contact],
    prefix: usize,
    target: Id,
    count: usize,
    is_wanted: &impl Fn(&Contact) -> bool,
    found: &mut Vec<Node>,
) {
    // The first bits of a distance that differ decide, but for nodes that were made to share them. Seen as signed numbers, which
    // most processors compare several of at once; what has no key sorts behind all that have one.
    let mut keys = [i32::MAX; NODES];
    let mut len = 0;
    for (place, contact) in contacts.iter().enumerate() {
        if is_wanted(contact) {
            let distance = contact.id.leading() ^ target.leading();
            let bits = distance.checked_shl(prefix as u32 + 1).unwrap_or(0) >> u32::BITS;
            keys[len] = (bits as u32 & !PLACE | place as u32).cast_signed() ^ i32::MIN;
            len += 1;
        }
    }
    if len < RANKED_MIN {
        keys[..len].sort_unstable();
    } else {
        rank(&mut keys);
    }
    let contact = |key: &i32| &contacts[(key.cast_unsigned() & PLACE) as usize];
    if keys[..len].windows(2).any(|pair| (pair[0] ^ pair[1]).cast_unsigned() <= PLACE) {
        keys[..len].sort_unstable_by_key(|key| contact(key).id.xor(target));
    }
    found.extend(keys[..len].iter().take(count).map(|key| contact(key).node()));
}

/// Sorts by counting for each key how many are below it: hundreds of comparisons, of which the processor does several at once and can
/// guess none wrong. All keys but the greatest number differ.
fn rank(keys: &mut [i32; NODES]) {
    let unsorted = *keys;
    let mut ranks = [0; NODES];
    for other in &unsorted {
        for (rank, key) in ranks.iter_mut().zip(&unsorted) {
            *rank += i32::from(other < key);
        }
    }
    keys.fill(i32::MAX);
    for (rank, key) in ranks.into_iter().zip(unsorted) {
        keys[rank as usize] = key;
    }
}

const NODES: usize = Quorum::REPLICAS_MAX as usize;
/// The bits of a key that say where in its bucket a contact is.
const PLACE: u32 = 31;
/// Fewer keys are sorted by insertion.
const RANKED_MIN: usize = 8;

const _: () = assert!(NODES <= PLACE as usize, "a place fits into its bits");
const _: () = assert!(size_of::<Contact>() == 40, "a known node is 40 bytes");
const _: () = assert!(size_of::<Extent>() == EXTENT_BYTES, "a bucket is 24 bytes beside its nodes");
pub(super) const EXTENT_BYTES: usize = 24;

#[cfg(test)]
mod tests;
