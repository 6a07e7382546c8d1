//! A message's way: uplink, link, downlink. Each draw is a hash of (seed, message, receiver), so that it does not depend
//! on what else is drawn.

use synod_machine::{PeerId, Protocol, Time, Wire, wire};

use super::envelopes::Head;
use super::{Due, Net};
use crate::model::{Chance, Draw};
use crate::queue::Entry;
use crate::trace::{Loss, What};

/// What is drawn for a message, each from a stream of its own.
#[derive(Clone, Copy)]
enum Role {
    Duplicate = 1,
    Jitter,
    Loss,
    OmitReceived,
    OmitSent,
    Reorder,
}

impl<P: Protocol, A> Net<P, A> {
    /// Sends one message to several peers: it is kept once, however many they are.
    #[inline(never)]
    pub(crate) fn transmit(&mut self, from: u32, to: &[PeerId], message: P::Message) {
        if to.len() > 1 {
            self.places[from as usize].fetch_edges();
        }
        let len = message.encoded_len() as u32;
        let envelope = self.envelopes.insert(message, from, len);
        if let Some(recorder) = &mut self.recorder {
            let message = self.envelopes.message(envelope);
            recorder.sent(self.now, from, envelope, message, len, to.len());
        }
        self.places[from as usize].passed.sent.add(to.len() as u64, u64::from(len) * to.len() as u64);
        for to in to {
            self.transmit_one(from, to.0, envelope, len);
        }
        self.drop_one(envelope);
    }

    fn transmit_one(&mut self, from: u32, to: u32, envelope: u32, len: u32) {
        let sequence = self.queue.next_sequence();
        if let Some(loss) = self.loss_on_leaving(from, to, sequence) {
            // It is not scheduled, and has a number all the same: else the next one to this receiver would share its fate.
            self.queue.skip();
            return self.lose(from, to, envelope, loss);
        }
        let is_reordered = self.hits(self.links.reorder(), Role::Reorder, to, sequence);
        let is_duplicated = self.hits(self.links.duplicate(), Role::Duplicate, to, sequence);
        let left = if self.has_lines { self.pass_uplink(from, len) } else { self.now };
        let jitter = self.links.jitter(self.draw(Role::Jitter, to, sequence));
        let mut at = match self.places[from as usize].edge(to) {
            Some(edge) if is_reordered => Time(left.0 + edge.latency + jitter),
            Some(edge) => {
                edge.last_arrival = edge.last_arrival.max(Time(left.0 + edge.latency + jitter));
                edge.last_arrival
            }
            None => Time(left.0 + self.links.base(self.end(from), self.end(to)) + jitter),
        };
        for _ in 0..=u32::from(is_duplicated) {
            self.envelopes.add_one(envelope);
            let due = if self.has_lines { Due::Arrival(envelope) } else { Due::Delivery(envelope) };
            self.push(at, to, due);
            // The copy follows at once.
            at = Time(at.0 + 1);
        }
    }

    /// The first byte is at the receiver's line: when is the last one through?
    pub(crate) fn arrive(&mut self, entry: Entry, envelope: u32) {
        let place = &mut self.places[entry.peer as usize];
        if place.host.is_none() || entry.sequence < place.born {
            // Nobody takes it, and it takes no room on the line.
            return self.queue.push_again(entry.at, entry, Due::Delivery(envelope).pack());
        }
        let len = self.envelopes.head(envelope).len;
        let begun = place.download_free.max(entry.at);
        place.download_free = Time(begun.0 + span(len, self.links.download(self.regions[entry.peer as usize])));
        self.queue.push_again(place.download_free, entry, Due::Delivery(envelope).pack());
    }

    /// The message is here: who sent it and its length in bytes, if its receiver [takes](Self::take) it.
    #[inline]
    pub(crate) fn deliver(&mut self, entry: Entry, envelope: u32) -> Option<(PeerId, u32)> {
        let Head { from, len, .. } = *self.envelopes.head(envelope);
        let place = &self.places[entry.peer as usize];
        let loss = if place.host.is_none() || entry.sequence < place.born {
            Some(Loss::Down)
        } else if self.troubled {
            self.loss_on_arrival(from, entry)
        } else {
            None
        };
        if let Some(loss) = loss {
            self.lose(entry.peer, entry.peer, envelope, loss);
            self.drop_one(envelope);
            return None;
        }
        if let Some(recorder) = &mut self.recorder {
            recorder.hand(envelope);
        }
        self.tally.delivered += 1;
        self.tally.delivered_bytes += u64::from(len);
        Some((PeerId(from), len))
    }

    /// The message itself, or a copy where others are to have it, too.
    #[inline(always)]
    pub(crate) fn take(&mut self, envelope: u32) -> P::Message {
        if self.codec {
            let message = recode(self.envelopes.message(envelope));
            self.drop_one(envelope);
            return message;
        }
        if self.envelopes.drop_one(envelope) {
            return self.remove(envelope);
        }
        self.envelopes.message(envelope).clone()
    }

    fn drop_one(&mut self, envelope: u32) {
        if self.envelopes.drop_one(envelope) {
            self.remove(envelope);
        }
    }

    #[inline]
    fn remove(&mut self, envelope: u32) -> P::Message {
        if let Some(recorder) = &mut self.recorder {
            recorder.forget(envelope);
        }
        self.envelopes.remove(envelope)
    }

    /// A message is lost at one of its ends.
    fn lose(&mut self, peer: u32, to: u32, envelope: u32, to_what: Loss) {
        self.tally.lost += 1;
        if let Some(recorder) = &mut self.recorder {
            let Head { from, len, .. } = *self.envelopes.head(envelope);
            let what = What::Lost { from: PeerId(from), to: PeerId(to), bytes: len, to_what };
            recorder.lost(self.now, peer, what, self.envelopes.message(envelope).kind());
        }
    }

    fn pass_uplink(&mut self, from: u32, len: u32) -> Time {
        let place = &mut self.places[from as usize];
        let begun = place.upload_free.max(self.now);
        place.upload_free = Time(begun.0 + span(len, self.links.upload(self.regions[from as usize])));
        place.upload_free
    }

    fn loss_on_leaving(&mut self, from: u32, to: u32, sequence: u64) -> Option<Loss> {
        if to as usize >= self.places.len() {
            return Some(Loss::Unknown);
        }
        let trouble = if self.troubled { self.loss_to_trouble(from, to, sequence) } else { None };
        trouble.or_else(|| self.hits(self.links.loss(), Role::Loss, to, sequence).then_some(Loss::Link))
    }

    fn loss_to_trouble(&mut self, from: u32, to: u32, sequence: u64) -> Option<Loss> {
        if !self.cuts.is_empty() && self.is_cut(from, to) {
            return Some(Loss::Cut);
        }
        let place = &mut self.places[from as usize];
        if place.edge(to).is_some_and(|edge| !edge.is_up) {
            return Some(Loss::Closed);
        }
        let omits = place.trouble.as_ref().map(|trouble| trouble.omits_sent);
        omits.is_some_and(|chance| self.hits(chance, Role::OmitSent, to, sequence)).then_some(Loss::OmitSent)
    }

    fn loss_on_arrival(&mut self, from: u32, entry: Entry) -> Option<Loss> {
        if !self.cuts.is_empty() && self.is_cut(from, entry.peer) {
            return Some(Loss::Cut);
        }
        let place = &mut self.places[entry.peer as usize];
        let is_of_old = |edge: &mut crate::peers::Edge| !edge.is_up || entry.sequence < edge.opened;
        if place.edge(from).is_some_and(is_of_old) {
            return Some(Loss::Closed);
        }
        let omits = place.trouble.as_ref().map(|trouble| trouble.omits_received);
        let is_omitted = omits.is_some_and(|chance| self.hits(chance, Role::OmitReceived, entry.peer, entry.sequence));
        is_omitted.then_some(Loss::OmitReceived)
    }

    fn hits(&self, chance: Chance, role: Role, to: u32, sequence: u64) -> bool {
        !chance.is_never() && chance.hits(self.draw(role, to, sequence))
    }

    fn draw(&self, role: Role, to: u32, sequence: u64) -> u64 {
        Draw::at(self.seed ^ (role as u64) << 56, sequence, u64::from(to))
    }
}

/// How long so many bytes take on a line, in nanoseconds.
fn span(len: u32, bytes_per_second: Option<u64>) -> u64 {
    bytes_per_second.map_or(0, |rate| u64::from(len) * 1_000_000_000 / rate.max(1))
}

fn recode<M: Wire>(message: &M) -> M {
    let bytes = wire::encode(message);
    assert!(bytes.len() == message.encoded_len(), "a {} knows its length", message.kind());
    wire::decode(&bytes).expect("our own message comes back")
}
