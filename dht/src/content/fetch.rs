//! The owner's requests: contents that are fetched, and peers that are asked what they have.

use alloc::vec;
use alloc::vec::Vec;

use synod_machine::{Out, PeerId, Reject, Time};

use super::serve::pieces;
use super::{
    ASK_WAIT, CONTENT_BYTES_MAX, Content, Event, HOLDERS_MAX, Message, PIECE_BYTES, PIECE_WAIT, REQUESTS_MAX, Timer,
    hash_of,
};
use crate::overlay::{Cost, Failure, Node, Query};
use crate::search::{HITS_MAX, Hit, Item, Question};

/// A request of the owner's that is not over.
#[derive(Debug)]
pub(super) struct Request {
    query: Query,
    /// The number that answers repeat.
    number: u32,
    deadline: Time,
    cost: Cost,
    what: What,
}

#[derive(Debug)]
enum What {
    Ask { question: Question, hits: Vec<Hit>, silent: Vec<Node>, has_answer: bool },
    Fetch { item: Item, holder: Node, others: vec::IntoIter<Node>, bytes: Vec<u8>, was_answered: bool },
}

impl Content {
    pub(super) fn next_deadline(&self) -> Option<Time> {
        self.requests.iter().map(|request| request.deadline).min()
    }

    fn wake(&mut self, out: &mut Out<Self>) {
        let Some(deadline) = self.next_deadline() else { return };
        if self.wakes_at.is_none_or(|at| deadline < at) {
            self.wakes_at = Some(deadline);
            out.set(Timer::Expire, deadline);
        }
    }

    pub(super) fn on_ask_command(
        &mut self,
        now: Time,
        query: Query,
        question: Question,
        mut whom: Vec<Node>,
        out: &mut Out<Self>,
    ) {
        whom.retain(|node| node.id != self.own.id);
        whom.truncate(HOLDERS_MAX);
        let failure = if self.requests.len() >= REQUESTS_MAX { Failure::Busy } else { Failure::NotFound };
        if whom.is_empty() || failure == Failure::Busy {
            return out.emit(Event::Answered { query, result: Err(failure), cost: Cost::default() });
        }
        let number = self.number();
        let count = whom.len() as u32;
        let to = whom.iter().map(|node| node.peer).collect();
        out.broadcast(to, Message::Ask { request: number, question: question.clone() });
        let cost = Cost { hops: 1, messages: count, asked: count, timeouts: 0 };
        let what = What::Ask { question, hits: Vec::new(), silent: whom, has_answer: false };
        self.requests.push(Request { query, number, deadline: now + ASK_WAIT, cost, what });
        self.wake(out);
    }

    pub(super) fn on_fetch(
        &mut self,
        now: Time,
        query: Query,
        item: Item,
        mut holders: Vec<Node>,
        out: &mut Out<Self>,
    ) {
        holders.retain(|node| node.id != self.own.id);
        holders.truncate(HOLDERS_MAX);
        let mut others = holders.into_iter();
        let failure = if self.requests.len() >= REQUESTS_MAX {
            Some(Failure::Busy)
        } else if item.bytes > CONTENT_BYTES_MAX {
            Some(Failure::TooLong)
        } else {
            None
        };
        let holder = match (failure, others.next()) {
            (None, Some(holder)) if item.bytes > 0 => holder,
            (failure, _) => {
                let result = Err(failure.unwrap_or(Failure::NotFound));
                return out.emit(Event::Fetched { query, result, cost: Cost::default() });
            }
        };
        let what = What::Fetch { item, holder, others, bytes: Vec::new(), was_answered: false };
        self.requests.push(Request {
            query,
            number: 0,
            deadline: now,
            cost: Cost { hops: 1, ..Cost::default() },
            what,
        });
        self.get(now, self.requests.len() - 1, out);
    }

    /// Asks a fetch's holder for the next piece.
    fn get(&mut self, now: Time, place: usize, out: &mut Out<Self>) {
        let number = self.number();
        let request = &mut self.requests[place];
        let What::Fetch { item, holder, bytes, .. } = &request.what else { return };
        let piece = (bytes.len() / PIECE_BYTES) as u32;
        request.number = number;
        request.deadline = now + PIECE_WAIT;
        request.cost.messages += 1;
        request.cost.asked += u32::from(piece == 0);
        out.send(holder.peer, Message::Get { request: number, hash: item.hash, piece });
        self.wake(out);
    }

    /// A fetch's holder does not give it: the next is asked.
    fn next_holder(&mut self, now: Time, place: usize, out: &mut Out<Self>) {
        let What::Fetch { holder, others, bytes, was_answered, .. } = &mut self.requests[place].what else { return };
        bytes.clear();
        match others.next() {
            Some(next) => {
                *holder = next;
                self.get(now, place, out);
            }
            None => {
                let failure = if *was_answered { Failure::NotFound } else { Failure::Silence };
                let Request { query, cost, .. } = self.requests.remove(place);
                out.emit(Event::Fetched { query, result: Err(failure), cost });
            }
        }
    }

    pub(super) fn on_piece(&mut self, now: Time, from: PeerId, number: u32, piece: &[u8], out: &mut Out<Self>) {
        let is_it = |request: &Request| {
            request.number == number && matches!(&request.what, What::Fetch { holder, .. } if holder.peer == from)
        };
        let Some(place) = self.requests.iter().position(is_it) else { return out.reject(from, Reject::Unsolicited) };
        let What::Fetch { item, bytes, was_answered, .. } = &mut self.requests[place].what else { return };
        *was_answered = true;
        if piece.is_empty() {
            return self.next_holder(now, place, out);
        }
        let left = item.bytes - bytes.len() as u64;
        if piece.len() as u64 != left.min(PIECE_BYTES as u64) {
            out.reject(from, Reject::ValueForm);
            return self.next_holder(now, place, out);
        }
        bytes.extend_from_slice(piece);
        if bytes.len() as u64 != item.bytes {
            assert!(bytes.len() / PIECE_BYTES < pieces(item.bytes) as usize, "a piece is missing");
            return self.get(now, place, out);
        }
        if hash_of(bytes) != item.hash {
            out.reject(from, Reject::ContentHash);
            return self.next_holder(now, place, out);
        }
        let Request { query, cost, what, .. } = self.requests.remove(place);
        let What::Fetch { holder, bytes, .. } = what else { return };
        out.emit(Event::Fetched { query, result: Ok((bytes, holder)), cost });
    }

    pub(super) fn on_have(&mut self, now: Time, from: PeerId, number: u32, items: Vec<Item>, out: &mut Out<Self>) {
        let is_it = |request: &Request| {
            request.number == number
                && matches!(&request.what, What::Ask { silent, .. } if silent.iter().any(|node| node.peer == from))
        };
        let Some(place) = self.requests.iter().position(is_it) else { return out.reject(from, Reject::Unsolicited) };
        let What::Ask { question, hits, silent, has_answer } = &mut self.requests[place].what else { return };
        let who = silent.iter().position(|node| node.peer == from).expect("it was looked for");
        let holder = silent.swap_remove(who);
        if items.len() > HITS_MAX || !items.iter().all(|item| question.is_answered_by(item)) {
            out.reject(from, Reject::QueryList);
        } else {
            *has_answer = true;
            hits.extend(items.into_iter().map(|item| Hit { item, holder }));
        }
        if silent.is_empty() {
            self.answer(now, place, out);
        }
    }

    /// All have answered, or the time is over.
    fn answer(&mut self, _: Time, place: usize, out: &mut Out<Self>) {
        let Request { query, mut cost, what, .. } = self.requests.remove(place);
        let What::Ask { hits, silent, has_answer, .. } = what else { return };
        cost.timeouts += silent.len() as u32;
        let result = if has_answer { Ok(hits) } else { Err(Failure::Silence) };
        out.emit(Event::Answered { query, result, cost });
    }

    pub(super) fn on_expire(&mut self, now: Time, out: &mut Out<Self>) {
        self.wakes_at = None;
        while let Some(place) = self.requests.iter().position(|request| request.deadline <= now) {
            self.give_up(now, place, out);
        }
        self.wake(out);
    }

    /// Whoever is waited for does not answer.
    fn give_up(&mut self, now: Time, place: usize, out: &mut Out<Self>) {
        match &self.requests[place].what {
            What::Ask { .. } => self.answer(now, place, out),
            What::Fetch { .. } => {
                self.requests[place].cost.timeouts += 1;
                self.next_holder(now, place, out);
            }
        }
    }

    pub(super) fn on_peer_down(&mut self, now: Time, peer: PeerId, out: &mut Out<Self>) {
        self.forget_loads(peer);
        // From the last to the first, because those that end are taken out; whoever is asked next is another.
        for place in (0..self.requests.len()).rev() {
            match &mut self.requests[place].what {
                What::Ask { silent, .. } => {
                    let before = silent.len();
                    silent.retain(|node| node.peer != peer);
                    let has_lost = silent.len() < before;
                    let is_over = has_lost && silent.is_empty();
                    self.requests[place].cost.timeouts += u32::from(has_lost);
                    if is_over {
                        self.answer(now, place, out);
                    }
                }
                What::Fetch { holder, .. } if holder.peer == peer => self.give_up(now, place, out),
                What::Fetch { .. } => {}
            }
        }
    }
}
