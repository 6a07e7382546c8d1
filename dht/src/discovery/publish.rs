//! What a peer shares, told to the overlays: provider records in the tables, items to the searches.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::time::Duration;

use synod_machine::{Bytes, Input, Out, Time, wire};

use super::{Discovery, Table, Timer};
use crate::overlay::{Entry, Id, Query, Quorum};
use crate::search::{Item, Question};
use crate::{Contact, chord, content, kademlia, search};

/// Provider records that are being written at one time.
pub const OPEN_PUTS_MAX: usize = 8;
/// A record in Chord is written again after so long, should all that had it be gone. Kademlia sees to that by itself.
const AGAIN: Duration = Duration::from_secs(600);
/// The wait before a record that could not be written is tried again doubles from this …
const RETRY_MIN: Duration = Duration::from_millis(500);
/// … so many times.
const DOUBLINGS_MAX: u32 = 6;
/// Names this machine's requests to the tables, beside the owner's.
const OWN_QUERIES: u64 = 1 << 63;

/// The keys under which an item is found: its hash, and those of its name and its words, each hashed with what it is.
pub fn keys_of(item: &Item) -> impl Iterator<Item = Id> + '_ {
    let named = [Id::from(item.hash), name_key(item.name.as_str())];
    named.into_iter().chain(item.keywords.iter().map(word_key))
}

/// Where the provider records for a question stand: for words those of the longest, which the fewest items have.
pub fn key_for(question: &Question) -> Id {
    match question {
        Question::Hash(hash) => Id::from(*hash),
        Question::Name(name) => name_key(name.as_str()),
        Question::Words(words) => word_key(words.iter().max_by_key(|word| word.len()).unwrap_or_default()),
    }
}

fn name_key(name: &str) -> Id {
    Id::of(&[b"name:", name.as_bytes()].concat())
}

fn word_key(word: &str) -> Id {
    Id::of(&[b"word:", word.as_bytes()].concat())
}

/// A record that is to stand in a table, or is to be taken back.
#[derive(Debug)]
struct Job {
    due: Option<Time>,
    is_wanted: bool,
    is_done: bool,
    tries: u32,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Publishing {
    contact: Contact,
    quorum: Quorum,
    /// How many items want the key.
    keys: BTreeMap<Id, u32>,
    jobs: BTreeMap<(Table, Id), Job>,
    due: BTreeSet<(Time, Table, Id)>,
    open: BTreeMap<Query, (Table, Id)>,
    number: u64,
    /// Whether [`Discovery::publish`] is at work: a put that fails at once does not begin it again.
    is_at_work: bool,
}

impl Publishing {
    pub(super) const fn new(contact: Contact, quorum: Quorum) -> Self {
        Self {
            contact,
            quorum,
            keys: BTreeMap::new(),
            jobs: BTreeMap::new(),
            due: BTreeSet::new(),
            open: BTreeMap::new(),
            number: OWN_QUERIES,
            is_at_work: false,
        }
    }

    pub(super) fn unpublished(&self) -> usize {
        self.jobs.values().filter(|job| !job.is_done).count()
    }

    pub(super) fn check(&self) {
        assert!(self.open.len() <= OPEN_PUTS_MAX, "open puts are bounded");
        assert!(self.due.len() <= self.jobs.len(), "a record is due once");
    }

    fn pop_due(&mut self, now: Time) -> Option<(Table, Id)> {
        let &(at, table, key) = self.due.first()?;
        (at <= now).then(|| {
            self.due.pop_first();
            (table, key)
        })
    }

    fn schedule(&mut self, table: Table, key: Id, is_wanted: bool, at: Time) {
        let job = self.jobs.entry((table, key)).or_insert(Job { due: None, is_wanted, is_done: false, tries: 0 });
        job.is_done &= job.is_wanted == is_wanted;
        job.is_wanted = is_wanted;
        if let Some(due) = job.due.replace(at) {
            self.due.remove(&(due, table, key));
        }
        self.due.insert((at, table, key));
    }
}

impl Discovery {
    /// Tells overlays and searches of an item.
    pub(super) fn share(&mut self, now: Time, item: Item, out: &mut Out<Self>) {
        for key in keys_of(&item) {
            let count = self.publishing.keys.entry(key).or_default();
            *count += 1;
            if *count == 1 {
                self.tables().for_each(|table| self.publishing.schedule(table, key, true, now));
            }
        }
        self.step_flood(now, Input::Command(search::Command::Share(item.clone())), out);
        self.step_index(now, Input::Command(search::Command::Share(item.clone())), out);
        self.step_superpeer(now, Input::Command(search::Command::Share(item)), out);
        self.publish(now, out);
    }

    pub(super) fn on_remove(&mut self, now: Time, hash: Bytes<32>, out: &mut Out<Self>) {
        let Some(item) = self.content.items().find(|item| item.hash == hash).cloned() else { return };
        self.step_content(now, Input::Command(content::Command::Remove(hash)), out);
        for key in keys_of(&item) {
            let Some(count) = self.publishing.keys.get_mut(&key) else { continue };
            *count -= 1;
            if *count == 0 {
                self.publishing.keys.remove(&key);
                self.tables().for_each(|table| self.publishing.schedule(table, key, false, now));
            }
        }
        self.step_flood(now, Input::Command(search::Command::Unshare(hash)), out);
        self.step_index(now, Input::Command(search::Command::Unshare(hash)), out);
        self.step_superpeer(now, Input::Command(search::Command::Unshare(hash)), out);
        self.publish(now, out);
    }

    fn tables(&self) -> impl Iterator<Item = Table> + use<> {
        let chord = self.chord.is_some().then_some(Table::Chord);
        chord.into_iter().chain(self.kademlia.is_some().then_some(Table::Kademlia))
    }

    /// A table has taken this peer in: what it has refused so far is tried now.
    pub(super) fn hasten(&mut self, now: Time, table: Table, out: &mut Out<Self>) {
        let waiting = |(&(of, key), job): (&(Table, Id), &Job)| {
            (of == table && !job.is_done && job.due.is_some()).then_some((key, job.is_wanted))
        };
        let waiting: Vec<(Id, bool)> = self.publishing.jobs.iter().filter_map(waiting).collect();
        for (key, is_wanted) in waiting {
            self.publishing.schedule(table, key, is_wanted, now);
        }
        self.publish(now, out);
    }

    /// Writes the records that are due, as many at a time as may be open, and sees to it that the next are written in time.
    pub(super) fn publish(&mut self, now: Time, out: &mut Out<Self>) {
        if core::mem::replace(&mut self.publishing.is_at_work, true) {
            return;
        }
        while self.publishing.open.len() < OPEN_PUTS_MAX
            && let Some((table, key)) = self.publishing.pop_due(now)
        {
            self.put(now, table, key, out);
        }
        if let Some(&(at, ..)) = self.publishing.due.first()
            && self.publishing.open.len() < OPEN_PUTS_MAX
        {
            out.set(Timer::Publish, at);
        }
        self.publishing.is_at_work = false;
    }

    fn put(&mut self, now: Time, table: Table, key: Id, out: &mut Out<Self>) {
        let publishing = &mut self.publishing;
        let job = publishing.jobs.get_mut(&(table, key)).expect("what is due is to be done");
        job.due = None;
        let value = if job.is_wanted { wire::encode(&publishing.contact) } else { Vec::new() };
        publishing.number += 1;
        let query = Query(publishing.number);
        publishing.open.insert(query, (table, key));
        let quorum = publishing.quorum;
        match table {
            Table::Chord => {
                let entry = Entry { publisher: self.own.id, version: now.0, value };
                self.step_chord(now, Input::Command(chord::Command::Put { query, key, entry, quorum }), out);
            }
            Table::Kademlia => {
                let put = kademlia::Command::Put { query, key, value, quorum };
                self.step_kademlia(now, Input::Command(put), out);
            }
        }
    }

    /// A record is written, or could not be.
    pub(super) fn on_put(&mut self, now: Time, query: Query, is_written: bool, out: &mut Out<Self>) {
        let publishing = &mut self.publishing;
        let Some((table, key)) = publishing.open.remove(&query) else { return };
        let Some(job) = publishing.jobs.get_mut(&(table, key)) else { return };
        // Asked for anew meanwhile.
        if job.due.is_none() {
            if is_written {
                job.is_done = true;
                job.tries = 0;
            } else {
                job.tries = (job.tries + 1).min(DOUBLINGS_MAX);
            }
            let wait = match (is_written, table, job.is_wanted) {
                (false, ..) => Some(RETRY_MIN * 2_u32.pow(job.tries)),
                (true, Table::Chord, true) => Some(AGAIN),
                (true, Table::Kademlia, _) | (true, Table::Chord, false) => None,
            };
            let is_wanted = job.is_wanted;
            match wait {
                Some(wait) => publishing.schedule(table, key, is_wanted, now + wait),
                None if !is_wanted => drop(publishing.jobs.remove(&(table, key))),
                None => {}
            }
        }
        self.publish(now, out);
    }
}
