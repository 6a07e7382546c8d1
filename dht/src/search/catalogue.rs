//! What others have registered: whose it is, and by which words it is found. A superpeer has one of its leaves' items, an
//! index server one of everybody's.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use synod_machine::{Bytes, PeerId, Reject, Time};

use super::{HITS_MAX, Hit, ITEMS_MAX, Item, Question};
use crate::overlay::Node;

/// Items by word, name and hash, and by holder.
#[derive(Debug, Default)]
pub(super) struct Catalogue {
    /// By number; nothing where a number is free.
    entries: Vec<Option<Hit>>,
    free: Vec<u32>,
    /// What an entry is found by, hashed, and its number.
    terms: BTreeSet<(u64, u32)>,
    holders: BTreeMap<PeerId, Holder>,
}

/// Somebody who registered.
#[derive(Debug)]
struct Holder {
    node: Node,
    heard: Time,
    digest: u64,
    /// By hash.
    items: Vec<(Bytes<32>, u32)>,
}

/// Entries that are looked at for one question: beyond, what is found so far is the answer.
const LOOKS_MAX: usize = 4_096;

impl Catalogue {
    pub(super) fn holders(&self) -> usize {
        self.holders.len()
    }

    pub(super) fn has(&self, peer: PeerId) -> bool {
        self.holders.contains_key(&peer)
    }

    pub(super) fn peers(&self) -> impl Iterator<Item = PeerId> {
        self.holders.keys().copied()
    }

    pub(super) fn items(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// Takes a page of what a holder shares. The first one takes the place of all that it had registered.
    pub(super) fn register(&mut self, now: Time, node: Node, is_first: bool, items: Vec<Item>) -> Result<(), Reject> {
        if is_first {
            self.remove(node.peer);
        }
        let new = Holder { node, heard: now, digest: 0, items: Vec::new() };
        self.holders.entry(node.peer).or_insert(new).heard = now;
        for item in items {
            self.put(node.peer, item)?;
        }
        Ok(())
    }

    /// Somebody said that it is there; what it has registered here, if anything was.
    pub(super) fn hear(&mut self, now: Time, peer: PeerId) -> Option<u64> {
        let holder = self.holders.get_mut(&peer)?;
        holder.heard = now;
        Some(holder.digest)
    }

    pub(super) fn withdraw(&mut self, peer: PeerId, hash: &Bytes<32>) {
        let Some(holder) = self.holders.get_mut(&peer) else { return };
        if let Ok(place) = holder.items.binary_search_by_key(hash, |(hash, _)| *hash) {
            let (_, number) = holder.items.remove(place);
            holder.digest ^= mark(hash);
            self.erase(number);
        }
    }

    /// Forgets a holder and all that it shares.
    pub(super) fn remove(&mut self, peer: PeerId) -> bool {
        let Some(holder) = self.holders.remove(&peer) else { return false };
        for (_, number) in holder.items {
            self.erase(number);
        }
        true
    }

    /// Forgets those who were not heard since.
    pub(super) fn expire(&mut self, since: Time, but: PeerId) {
        let silent = self.holders.iter().filter(|(peer, holder)| holder.heard < since && **peer != but);
        let silent: Vec<PeerId> = silent.map(|(peer, _)| *peer).collect();
        for peer in silent {
            self.remove(peer);
        }
    }

    /// The first [`HITS_MAX`] answers. An answer stands under all of the question's terms: the lists are walked together, each
    /// taken forward to where another one is.
    pub(super) fn hits(&self, question: &Question) -> Vec<Hit> {
        let terms = terms_of(question);
        let mut hits = Vec::new();
        let mut number = 0;
        if terms.is_empty() {
            return hits;
        }
        for _ in 0..LOOKS_MAX {
            let Some(furthest) = self.furthest(&terms, number) else { break };
            if furthest > number || !self.stands_under_all(&terms, furthest) {
                number = furthest.max(number + u32::from(furthest == number));
                continue;
            }
            let entry = self.entries[furthest as usize].as_ref().expect("what has a term has an entry");
            if question.is_answered_by(&entry.item) {
                hits.push(entry.clone());
            }
            if hits.len() >= HITS_MAX {
                break;
            }
            number = furthest + 1;
        }
        hits
    }

    /// Each term's first entry from `number` on; the last of these, or nothing where a term has none.
    fn furthest(&self, terms: &[u64], number: u32) -> Option<u32> {
        let first = |term: &u64| {
            let next = self.terms.range((*term, number)..).next()?;
            (next.0 == *term).then_some(next.1)
        };
        terms.iter().map(first).try_fold(number, |furthest, first| Some(furthest.max(first?)))
    }

    fn stands_under_all(&self, terms: &[u64], number: u32) -> bool {
        terms.iter().all(|term| self.terms.contains(&(*term, number)))
    }

    fn put(&mut self, peer: PeerId, item: Item) -> Result<(), Reject> {
        self.withdraw(peer, &item.hash);
        let holder = self.holders.get_mut(&peer).expect("whoever registers is a holder");
        if holder.items.len() >= ITEMS_MAX {
            return Err(Reject::TooMany);
        }
        let number = self.free.pop().unwrap_or(self.entries.len() as u32);
        let place = holder.items.partition_point(|(hash, _)| *hash < item.hash);
        holder.items.insert(place, (item.hash, number));
        holder.digest ^= mark(&item.hash);
        for term in terms_of_item(&item) {
            self.terms.insert((term, number));
        }
        if self.entries.len() == number as usize {
            self.entries.push(None);
        }
        self.entries[number as usize] = Some(Hit { item, holder: holder.node });
        Ok(())
    }

    fn erase(&mut self, number: u32) {
        let entry = self.entries[number as usize].take().expect("a holder's item has an entry");
        for term in terms_of_item(&entry.item) {
            self.terms.remove(&(term, number));
        }
        self.free.push(number);
    }
}

/// A part of an item's hash, of which a digest is made.
pub(super) const fn mark(hash: &Bytes<32>) -> u64 {
    let b = &hash.0;
    u64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]])
}

fn terms_of(question: &Question) -> Vec<u64> {
    match question {
        Question::Hash(hash) => [term(0, &hash.0)].into(),
        Question::Name(name) => [term(1, name.as_str().as_bytes())].into(),
        Question::Words(words) => words.iter().map(|word| term(2, word.as_bytes())).collect(),
    }
}

fn terms_of_item(item: &Item) -> impl Iterator<Item = u64> + use<'_> {
    let own = [term(0, &item.hash.0), term(1, item.name.as_str().as_bytes())];
    own.into_iter().chain(item.keywords.iter().map(|word| term(2, word.as_bytes())))
}

/// The hash FNV-1a of some text of a kind. Two texts with one hash cost a look: whether an item is an answer is seen by its text.
fn term(kind: u8, text: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    text.iter().fold(step(0xcbf2_9ce4_8422_2325, &kind), step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::testing::{item, node, words};

    fn names(catalogue: &Catalogue, text: &str) -> Vec<(u32, alloc::string::String)> {
        let hits = catalogue.hits(&words(text)).into_iter();
        hits.map(|hit| (hit.holder.peer.0, hit.item.name.as_str().into())).collect()
    }

    #[test]
    fn an_answer_stands_under_all_words_and_goes_when_its_holder_goes() {
        let mut catalogue = Catalogue::default();
        catalogue.register(Time::ZERO, node(1), true, [item(1, "red fox"), item(2, "red hen")].into()).expect("room");
        catalogue.register(Time::ZERO, node(2), true, [item(1, "red fox"), item(3, "grey fox")].into()).expect("room");
        assert_eq!(names(&catalogue, "red fox"), [(1, "red fox".into()), (2, "red fox".into())]);
        assert_eq!(names(&catalogue, "fox grey"), [(2, "grey fox".into())]);
        assert_eq!(names(&catalogue, "grey hen"), []);
        assert_eq!(catalogue.hits(&Question::Hash(Bytes([1; 32]))).len(), 2);
        assert_eq!(catalogue.hits(&Question::Name(item(3, "grey fox").name)).len(), 1);
        catalogue.withdraw(PeerId(1), &Bytes([1; 32]));
        assert_eq!(names(&catalogue, "red fox"), [(2, "red fox".into())]);
        assert!(catalogue.remove(PeerId(2)));
        assert_eq!(names(&catalogue, "fox"), []);
        assert_eq!(
            (catalogue.items(), catalogue.terms.len()),
            (1, 4),
            "one item: its hash, its name and its two words"
        );
    }

    #[test]
    fn a_first_page_begins_anew_and_the_digest_says_what_is_there() {
        let mut catalogue = Catalogue::default();
        let all = [item(1, "a"), item(2, "b"), item(3, "c")];
        let mut shared = crate::search::Shared::default();
        all.iter().for_each(|item| assert!(shared.insert(item.clone()), "there is room"));
        catalogue.register(Time::ZERO, node(1), true, all[2..].into()).expect("room");
        assert_ne!(catalogue.hear(Time::ZERO, PeerId(1)), Some(shared.digest()));
        catalogue.register(Time::ZERO, node(1), true, all[..2].into()).expect("room");
        catalogue.register(Time::ZERO, node(1), false, all[1..].into()).expect("room");
        assert_eq!(catalogue.hear(Time::ZERO, PeerId(1)), Some(shared.digest()));
        assert_eq!(catalogue.items(), 3);
        assert_eq!(catalogue.hear(Time::ZERO, PeerId(9)), None);
    }

    #[test]
    fn who_is_silent_is_forgotten() {
        let mut catalogue = Catalogue::default();
        for peer in 1..=3 {
            catalogue.register(Time::from_secs(u64::from(peer)), node(peer), true, Vec::new()).expect("room");
        }
        catalogue.hear(Time::from_secs(9), PeerId(1));
        catalogue.expire(Time::from_secs(5), PeerId(3));
        assert_eq!(catalogue.peers().collect::<Vec<_>>(), [PeerId(1), PeerId(3)]);
    }

    #[test]
    fn a_holder_has_so_many_items_and_a_question_so_many_hits() {
        let mut catalogue = Catalogue::default();
        let many = (0..=ITEMS_MAX as u32).map(|number| {
            let mut hash = Bytes::ZERO;
            hash.0[..4].copy_from_slice(&number.to_le_bytes());
            Item { hash, ..item(0, "same") }
        });
        assert_eq!(catalogue.register(Time::ZERO, node(1), true, many.collect()), Err(Reject::TooMany));
        assert_eq!(catalogue.items(), ITEMS_MAX);
        assert_eq!(names(&catalogue, "same").len(), HITS_MAX);
    }
}
