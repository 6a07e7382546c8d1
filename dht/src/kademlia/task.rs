//! What a node is busy with: a look-up each, and what is done when it is over.

use alloc::vec;
use alloc::vec::Vec;

use synod_machine::{Out, Time};

use super::lookup::{Lookup, Next};
use super::message::{Held, Message};
use super::requests::About;
use super::{Event, Kademlia};
use crate::overlay::{Cost, Failure, Id, Node, Query, Quorum};

/// What one replica said that it holds.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    node: Id,
    held: Vec<Held>,
}

/// What a look-up is for.
#[derive(Clone, Debug)]
pub(super) enum Purpose {
    /// The owner reads.
    Get { query: Query, quorum: Quorum, replies: Vec<Reply> },
    /// The node takes its place among the others.
    Join,
    /// The owner wants to know who is closest.
    Lookup { query: Query },
    /// The owner writes.
    Put { query: Query, quorum: Quorum, held: Held },
    /// A bucket is looked through.
    Refresh,
    /// Copies are brought to whoever is closest now.
    Republish { held: Vec<Held> },
    /// The write is at its replicas.
    Storing { query: Query, needed: u8, acked: u8, left: u8 },
}

/// A look-up and what it is for.
#[derive(Clone, Debug)]
pub(super) struct Task {
    pub(super) number: u32,
    pub(super) purpose: Purpose,
    pub(super) lookup: Lookup,
}

impl Kademlia {
    /// Begins a task with these nodes, which are sorted by their distance to the target.
    pub(super) fn begin(&mut self, now: Time, target: Id, purpose: Purpose, nodes: &[Node], out: &mut Out<Self>) {
        self.table.looked_up(target, now + self.bounds.refresh);
        self.last_task = self.last_task.wrapping_add(1);
        let number = self.last_task;
        let lookup = Lookup::new(target, nodes, self.rest.alpha, self.bounds.contacts_max);
        self.tasks.push(Task { number, purpose, lookup });
        self.advance(now, number, out);
    }

    /// The contacts to begin a look-up with: the closest ones that answered when they were asked last, or, where there are
    /// none, any.
    pub(super) fn seeds(&self, target: Id) -> Vec<Node> {
        let count = usize::from(self.bounds.contacts_max);
        let sound = self.table.closest(target, count, |contact| contact.failures == 0);
        if sound.is_empty() { self.table.closest(target, count, |_| true) } else { sound }
    }

    pub(super) fn task(&mut self, number: u32) -> Option<&mut Task> {
        self.tasks.iter_mut().find(|task| task.number == number)
    }

    /// Asks whoever is to be asked next, and ends the look-up where there is nobody.
    pub(super) fn advance(&mut self, now: Time, number: u32, out: &mut Out<Self>) {
        let own = self.node;
        loop {
            let Some(task) = self.task(number) else { return };
            let (next, target) = (task.lookup.next(), task.lookup.target());
            let reads = matches!(task.purpose, Purpose::Get { .. });
            match next {
                Next::Ask(node) if reads => {
                    let ask = |request| Message::FindValue { request, node: own, key: target };
                    self.request(now, node, About::Values(number), ask, out);
                }
                Next::Ask(node) => {
                    let ask = |request| Message::FindNode { request, node: own, target };
                    self.request(now, node, About::Nodes(number), ask, out);
                }
                Next::Done => return self.on_searched(now, number, out),
                Next::Wait => return,
            }
        }
    }

    fn end(&mut self, number: u32) -> Option<Task> {
        let place = self.tasks.iter().position(|task| task.number == number)?;
        let task = self.tasks.swap_remove(place);
        if self.tasks.is_empty() {
            self.tasks = Vec::new();
        }
        Some(task)
    }

    /// A look-up is over.
    fn on_searched(&mut self, now: Time, number: u32, out: &mut Out<Self>) {
        let Some(Task { purpose, lookup, .. }) = self.end(number) else { return };
        let cost = lookup.cost();
        let result = self.judge(&lookup);
        match purpose {
            Purpose::Get { query, quorum, replies } => {
                let result = result.and_then(|()| self.read(now, &lookup, quorum, &replies, out));
                out.emit(Event::Got { query, result, cost });
            }
            Purpose::Join => self.on_joined(now, result, cost, out),
            Purpose::Lookup { query } => {
                let result = result.map(|()| self.closest_of(&lookup, usize::from(self.bounds.contacts_max)));
                out.emit(Event::Found { query, result, cost });
            }
            Purpose::Put { query, quorum, held } => match result {
                Ok(()) => self.write(now, query, quorum, held, lookup, out),
                Err(failure) => out.emit(Event::Stored { query, result: Err(failure), cost }),
            },
            Purpose::Refresh => {
                self.is_refreshing = false;
                self.refresh(now, out);
            }
            Purpose::Republish { held } => {
                let nodes = self.closest_of(&lookup, usize::from(Quorum::REPLICAS_MAX));
                for held in held {
                    let replicas = usize::from(held.replicas);
                    nodes.iter().take(replicas).for_each(|&node| self.spread(now, node, lookup.target(), &held, out));
                }
                self.republishing -= 1;
                self.republish(now, out);
            }
            Purpose::Storing { .. } => unreachable!("who stores has searched before"),
        }
    }

    /// Whether a look-up came to something.
    fn judge(&self, lookup: &Lookup) -> Result<(), Failure> {
        if lookup.is_lost() {
            return Err(Failure::Lost);
        }
        // Who knows nobody asks nobody, and is the closest itself.
        if lookup.cost().asked > 0 && lookup.answered().next().is_none() {
            return Err(Failure::Silence);
        }
        Ok(())
    }

    /// The closest nodes that answered, this one among them if it is one of the closest.
    fn closest_of(&self, lookup: &Lookup, count: usize) -> Vec<Node> {
        let mut closest: Vec<Node> = lookup.answered().take(count).collect();
        let (own, target) = (self.node, lookup.target());
        let place = closest.partition_point(|node| node.id.xor(target) < own.id.xor(target));
        closest.insert(place, own);
        closest.truncate(count);
        closest
    }

    /// Begins a read. What this node holds itself is a first reply.
    pub(super) fn on_get(&mut self, now: Time, query: Query, key: Id, quorum: Quorum, out: &mut Out<Self>) {
        if let Some(failure) = self.refusal() {
            return out.emit(Event::Got { query, result: Err(failure), cost: Cost::default() });
        }
        let held = self.store.held(now, key);
        if quorum.needed() == 1 && !held.is_empty() {
            return out.emit(Event::Got { query, result: entries(held), cost: Cost::default() });
        }
        let replies = vec![Reply { node: self.node.id, held }];
        let seeds = self.seeds(key);
        self.begin(now, key, Purpose::Get { query, quorum, replies }, &seeds, out);
    }

    /// A replica was asked for values, and its nodes are taken up already. Section 2.3: a read of one value ends with the first
    /// that is found, and the closest node that was asked and had none keeps a copy.
    pub(super) fn on_reply(&mut self, now: Time, number: u32, from: Node, held: Vec<Held>, out: &mut Out<Self>) {
        let Some(task) = self.task(number) else { return };
        let Purpose::Get { query, quorum, replies } = &mut task.purpose else { return };
        let query = *query;
        if quorum.needed() > 1 || held.is_empty() {
            replies.push(Reply { node: from.id, held });
            return;
        }
        let Some(Task { lookup, .. }) = self.end(number) else { return };
        let key = lookup.target();
        let cost = Cost { hops: lookup.hops_to(from.id), ..lookup.cost() };
        let without = lookup.answered().find(|node| node.id != from.id);
        if let Some(node) = without {
            held.iter().for_each(|held| self.spread(now, node, key, held, out));
        }
        out.emit(Event::Got { query, result: entries(held), cost });
    }

    /// The end of a read of several replicas: their latest entries, which those that have older ones are told.
    fn read(
        &mut self,
        now: Time,
        lookup: &Lookup,
        quorum: Quorum,
        replies: &[Reply],
        out: &mut Out<Self>,
    ) -> Result<Vec<crate::overlay::Entry>, Failure> {
        let nodes = self.closest_of(lookup, usize::from(quorum.replicas()));
        if nodes.len() < usize::from(quorum.needed()) {
            return Err(Failure::TooFew { got: nodes.len() as u8, expected: quorum.needed() });
        }
        let mut latest: Vec<Held> = Vec::new();
        for held in replies.iter().flat_map(|reply| &reply.held) {
            match latest.binary_search_by_key(&held.entry.publisher, |known| known.entry.publisher) {
                Ok(place) if held.entry.supersedes(&latest[place].entry) => latest[place] = held.clone(),
                Ok(_) => {}
                Err(place) => latest.insert(place, held.clone()),
            }
        }
        for node in nodes {
            let told = replies.iter().find(|reply| reply.node == node.id).map_or(&[][..], |reply| &reply.held);
            let lacks = latest.iter().filter(|latest| !told.iter().any(|held| held.entry == latest.entry));
            lacks.for_each(|held| self.spread(now, node, lookup.target(), held, out));
        }
        entries(latest)
    }

    /// Brings a write to its replicas.
    fn write(&mut self, now: Time, query: Query, quorum: Quorum, held: Held, lookup: Lookup, out: &mut Out<Self>) {
        let key = lookup.target();
        let nodes = self.closest_of(&lookup, usize::from(quorum.replicas()));
        self.last_task = self.last_task.wrapping_add(1);
        let number = self.last_task;
        let own = self.node;
        let others = nodes.iter().filter(|node| node.id != own.id);
        let (mut left, mut acked) = (0, 0);
        for &node in others {
            let message = |request| Message::Store { request, node: own, key, held: held.clone().into() };
            self.request(now, node, About::Store(number), message, out);
            left += 1;
        }
        if usize::from(left) < nodes.len() {
            acked = u8::from(self.keep(now, key, held, out));
        }
        let mut lookup = lookup;
        lookup.add_messages(u32::from(left));
        let purpose = Purpose::Storing { query, needed: quorum.needed(), acked, left };
        self.tasks.push(Task { number, purpose, lookup });
        self.settle(number, out);
    }

    /// A replica answered a write, or did not.
    pub(super) fn on_stored(&mut self, number: u32, is_kept: bool, is_late: bool, out: &mut Out<Self>) {
        let Some(task) = self.task(number) else { return };
        let Purpose::Storing { acked, left, .. } = &mut task.purpose else { return };
        *left -= 1;
        *acked += u8::from(is_kept);
        if is_late {
            task.lookup.add_timeout();
        }
        self.settle(number, out);
    }

    /// Ends a write that enough replicas have, or cannot have any more.
    fn settle(&mut self, number: u32, out: &mut Out<Self>) {
        let Some(task) = self.task(number) else { return };
        let Purpose::Storing { query, needed, acked, left } = task.purpose else { return };
        let result = if acked >= needed {
            Ok(acked)
        } else if acked + left < needed {
            Err(Failure::TooFew { got: acked, expected: needed })
        } else {
            return;
        };
        let cost = task.lookup.cost();
        self.end(number);
        out.emit(Event::Stored { query, result, cost });
    }
}

/// What the owner is told: withdrawals are nothing to it.
fn entries(held: Vec<Held>) -> Result<Vec<crate::overlay::Entry>, Failure> {
    let entries: Vec<_> = held.into_iter().map(|held| held.entry).filter(|entry| !entry.value.is_empty()).collect();
    if entries.is_empty() { Err(Failure::NotFound) } else { Ok(entries) }
}
