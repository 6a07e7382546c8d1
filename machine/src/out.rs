//! The buffer that a step writes its effects into.

use alloc::vec::Vec;

use crate::{Effect, Key, Parent, PeerId, Protocol, Reject, Time};

/// Effects in the order in which they were made. A host reuses one buffer for all steps.
pub struct Out<P: Protocol> {
    effects: Vec<Effect<P>>,
}

impl<P: Protocol> Out<P> {
    /// An empty buffer.
    pub const fn new() -> Self {
        Self { effects: Vec::new() }
    }

    /// Tells several peers the same; nothing happens where there are none.
    pub fn broadcast(&mut self, to: Vec<PeerId>, message: P::Message) {
        if !to.is_empty() {
            self.effects.push(Effect::Broadcast { to, message });
        }
    }

    /// Drops the pending deadline of `timer`.
    pub fn cancel(&mut self, timer: P::Timer) {
        self.effects.push(Effect::Cancel(timer));
    }

    /// Tells the owner.
    pub fn emit(&mut self, event: P::Event) {
        self.effects.push(Effect::Emit(event));
    }

    /// Removes the record under `key`.
    pub fn forget(&mut self, key: Key) {
        self.effects.push(Effect::Forget(key));
    }

    /// Writes `record` under `key`.
    pub fn persist(&mut self, key: Key, record: P::Record) {
        self.effects.push(Effect::Persist { key, record });
    }

    /// Reports a peer's mistake.
    pub fn reject(&mut self, peer: PeerId, reason: Reject) {
        self.effects.push(Effect::Reject { peer, reason });
    }

    /// Tells one peer.
    pub fn send(&mut self, to: PeerId, message: P::Message) {
        self.effects.push(Effect::Send { to, message });
    }

    /// Sets the deadline of `timer`.
    pub fn set(&mut self, timer: P::Timer, at: Time) {
        self.effects.push(Effect::Set { timer, at });
    }

    /// Takes a child's effects over, in order. `on_event` is given each of the child's events with this buffer, so that
    /// what the parent makes of an event comes out at the event's place.
    pub fn adopt<C: Protocol>(&mut self, child: &mut Out<C>, mut on_event: impl FnMut(C::Event, &mut Self))
    where
        P: Parent<C>,
    {
        for effect in child.effects.drain(..) {
            match effect {
                Effect::Broadcast { to, message } => self.broadcast(to, P::message(message)),
                Effect::Cancel(timer) => self.cancel(P::timer(timer)),
                Effect::Emit(event) => on_event(event, self),
                Effect::Forget(key) => self.forget(shelve::<P, C>(key)),
                Effect::Persist { key, record } => self.persist(shelve::<P, C>(key), P::record(record)),
                Effect::Reject { peer, reason } => self.reject(peer, reason),
                Effect::Send { to, message } => self.send(to, P::message(message)),
                Effect::Set { timer, at } => self.set(P::timer(timer), at),
            }
        }
    }

    /// Takes all effects out, in order, and keeps the buffer's memory.
    pub fn drain(&mut self) -> impl Iterator<Item = Effect<P>> + '_ {
        self.effects.drain(..)
    }

    /// Turns the order of the effects round, for [`take_last`](Self::take_last).
    pub fn reverse(&mut self) {
        self.effects.reverse();
    }

    /// Takes the last effect out, of which there is one.
    ///
    /// It is moved as a whole. An optional effect would be put together from its mark and the rest, and be read again at once by larger
    /// words than it was written by, for which a processor waits until all that it wrote before has reached its cache.
    #[inline]
    pub fn take_last(&mut self) -> Effect<P> {
        self.effects.remove(self.effects.len() - 1)
    }

    /// Keeps the effects for which `keep` holds.
    pub(crate) fn retain(&mut self, keep: impl FnMut(&Effect<P>) -> bool) {
        self.effects.retain(keep);
    }

    /// Whether no effect waits.
    pub const fn is_empty(&self) -> bool {
        self.effects.is_empty()
    }
}

impl<P: Protocol> Default for Out<P> {
    fn default() -> Self {
        Self::new()
    }
}

fn shelve<P: Parent<C>, C: Protocol>(key: Key) -> Key {
    let shelf = key.shelf.checked_add(P::SHELF).expect("the parent leaves room for the child's shelves");
    let shelved = Key::new(shelf, key.name);
    assert!(shelved.is_cold() == key.is_cold(), "a parent's offset keeps hot records hot");
    shelved
}
