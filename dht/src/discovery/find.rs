//! Searches of the owner's, each by one part.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use synod_machine::{Input, Out, Time, wire};

use super::publish::key_for;
use super::{Discovery, Event, Mode, Table};
use crate::overlay::{Cost, Entry, Failure, Id, Node, Query};
use crate::search::flood::Strategy;
use crate::search::{self, Hit, Question};
use crate::{Contact, chord, content, kademlia};

/// Searches at one time; one more fails as [`Failure::Busy`].
const FINDS_MAX: usize = 256;
/// How far a query goes where nothing is said.
const TTL: u8 = 7; // Gnutella 0.4.

/// Searches that are not over.
#[derive(Debug, Default)]
pub(super) struct Finds(BTreeMap<Query, Find>);

#[derive(Debug)]
struct Find {
    question: Question,
    hits: Vec<Hit>,
    cost: Cost,
}

impl Finds {
    pub(super) fn check(&self) {
        assert!(self.0.len() <= FINDS_MAX, "open searches are bounded");
    }
}

impl Discovery {
    pub(super) fn on_find(
        &mut self,
        now: Time,
        query: Query,
        mode: Mode,
        question: Question,
        wanted: u16,
        out: &mut Out<Self>,
    ) {
        if !self.open(query, &question, out) {
            return;
        }
        let wants = |ttl: u8| if ttl == 0 { TTL } else { ttl };
        match mode {
            Mode::Flood { ttl } if self.flood.is_some() => {
                let options = Strategy::flood(wants(ttl));
                let find = search::Command::Find { query, question, wanted, options };
                self.step_flood(now, Input::Command(find), out);
            }
            Mode::Index if self.index.is_some() => {
                let find = search::Command::Find { query, question, wanted, options: () };
                self.step_index(now, Input::Command(find), out);
            }
            Mode::Superpeer { ttl } if self.superpeer.is_some() => {
                let find = search::Command::Find { query, question, wanted, options: wants(ttl) };
                self.step_superpeer(now, Input::Command(find), out);
            }
            Mode::Table(Table::Chord, quorum) if self.chord.is_some() => {
                self.step_chord(
                    now,
                    Input::Command(chord::Command::Get { query, key: key_for(&question), quorum }),
                    out,
                );
            }
            Mode::Table(Table::Kademlia, quorum) if self.kademlia.is_some() => {
                let get = kademlia::Command::Get { query, key: key_for(&question), quorum };
                self.step_kademlia(now, Input::Command(get), out);
            }
            Mode::Flood { .. } | Mode::Index | Mode::Superpeer { .. } | Mode::Table(..) => {
                self.end(query, Failure::Apart, out);
            }
        }
    }

    pub(super) fn on_ask(&mut self, now: Time, query: Query, question: Question, whom: Vec<Node>, out: &mut Out<Self>) {
        if self.open(query, &question, out) {
            self.on_providers(now, query, whom, out);
        }
    }

    pub(super) fn on_lookup(&mut self, now: Time, query: Query, table: Table, key: Id, out: &mut Out<Self>) {
        match table {
            Table::Chord if self.chord.is_some() => {
                let style = chord::Style::Iterative;
                self.step_chord(now, Input::Command(chord::Command::Lookup { query, key, style }), out);
            }
            Table::Kademlia if self.kademlia.is_some() => {
                self.step_kademlia(now, Input::Command(kademlia::Command::Lookup { query, key }), out);
            }
            Table::Chord | Table::Kademlia => {
                let result = Err(Failure::Apart);
                out.emit(Event::LookedUp { query, result, cost: Cost::default() });
            }
        }
    }

    /// Takes a search up. Whether there is room for it.
    pub(super) fn open(&mut self, query: Query, question: &Question, out: &mut Out<Self>) -> bool {
        if self.finds.0.len() >= FINDS_MAX || self.finds.0.contains_key(&query) {
            out.emit(Event::Found { query, result: Err(Failure::Busy), cost: Cost::default() });
            return false;
        }
        let own = self.content.items().filter(|item| question.is_answered_by(item));
        let hits = own.map(|item| Hit { item: item.clone(), holder: self.own }).collect();
        self.finds.0.insert(query, Find { question: question.clone(), hits, cost: Cost::default() });
        true
    }

    /// A search is over: with what it found, or what this peer has itself, or this failure.
    fn end(&mut self, query: Query, failure: Failure, out: &mut Out<Self>) {
        let Some(Find { hits, cost, .. }) = self.finds.0.remove(&query) else { return };
        let result = if hits.is_empty() { Err(failure) } else { Ok(hits) };
        out.emit(Event::Found { query, result, cost });
    }

    /// What flooding, superpeers or an index tell.
    pub(super) fn on_search(&mut self, event: search::Event, out: &mut Out<Self>) {
        match event {
            search::Event::Ended { query, cost, result } => {
                if let Some(find) = self.finds.0.get_mut(&query) {
                    find.cost = cost;
                }
                self.end(query, result.err().unwrap_or(Failure::NotFound), out);
            }
            search::Event::Hit { query, hit, .. } => {
                if let Some(find) = self.finds.0.get_mut(&query) {
                    find.hits.push(hit);
                }
            }
        }
    }

    /// The provider records under a search's key. One that somebody wrote in another's name counts for nothing.
    pub(super) fn on_got(
        &mut self,
        _: Time,
        query: Query,
        result: Result<Vec<Entry>, Failure>,
        cost: Cost,
        out: &mut Out<Self>,
    ) {
        let Some(find) = self.finds.0.get_mut(&query) else { return };
        find.cost = cost;
        let entries = match result {
            Ok(entries) => entries,
            Err(failure) => return self.end(query, failure, out),
        };
        let own = self.own.id;
        let contact_of = |entry: &Entry| {
            let contact: Contact = wire::decode(&entry.value).ok()?;
            (contact.identity.id() == entry.publisher && entry.publisher != own).then_some(contact)
        };
        let contacts: Vec<Contact> = entries.iter().filter_map(contact_of).collect();
        if contacts.is_empty() {
            return self.end(query, Failure::NotFound, out);
        }
        out.emit(Event::Providers { query, contacts });
    }

    pub(super) fn on_providers(&mut self, now: Time, query: Query, whom: Vec<Node>, out: &mut Out<Self>) {
        let Some(find) = self.finds.0.get(&query) else { return };
        let question = find.question.clone();
        self.step_content(now, Input::Command(content::Command::Ask { query, question, whom }), out);
    }

    pub(super) fn on_answered(
        &mut self,
        query: Query,
        result: Result<Vec<Hit>, Failure>,
        cost: Cost,
        out: &mut Out<Self>,
    ) {
        let Some(find) = self.finds.0.get_mut(&query) else { return };
        find.cost.messages += cost.messages;
        find.cost.asked += cost.asked;
        find.cost.timeouts += cost.timeouts;
        let failure = match result {
            Ok(hits) => {
                find.hits.extend(hits);
                Failure::NotFound
            }
            Err(failure) => failure,
        };
        self.end(query, failure, out);
    }
}
