//! The buffer that a step writes its effects into.

use alloc::vec::Vec;
use core::mem::{self, ManuallyDrop};

use crate::{Effect, Key, Parent, PeerId, Protocol, Reject, Time};

/// Effects in the order in which they were made. A host reuses one buffer for all steps.
///
/// An effect is written part by part to where it stays. A list that may have to grow first would have it put together elsewhere and
/// moved, and a processor that reads by larger words what it has just written by smaller ones waits until all that it wrote before has
/// reached its cache.
pub struct Out<P: Protocol> {
    /// The effects, and behind them what was left of earlier ones.
    slots: Vec<Effect<P>>,
    len: usize,
}

impl<P: Protocol> Out<P> {
    /// What stands where no effect is.
    const NOTHING: Effect<P> = Effect::Reject { peer: PeerId(0), reason: Reject::Malformed };

    /// An empty buffer.
    pub const fn new() -> Self {
        Self { slots: Vec::new(), len: 0 }
    }

    /// Tells several peers the same; nothing happens where there are none.
    pub fn broadcast(&mut self, to: Vec<PeerId>, message: P::Message) {
        if !to.is_empty() {
            self.add(Effect::Broadcast { to, message });
        }
    }

    /// Drops the pending deadline of `timer`.
    pub fn cancel(&mut self, timer: P::Timer) {
        self.add(Effect::Cancel(timer));
    }

    /// Tells the owner.
    pub fn emit(&mut self, event: P::Event) {
        self.add(Effect::Emit(event));
    }

    /// Removes the record under `key`.
    pub fn forget(&mut self, key: Key) {
        self.add(Effect::Forget(key));
    }

    /// Writes `record` under `key`.
    pub fn persist(&mut self, key: Key, record: P::Record) {
        self.add(Effect::Persist { key, record });
    }

    /// Reports a peer's mistake.
    pub fn reject(&mut self, peer: PeerId, reason: Reject) {
        self.add(Effect::Reject { peer, reason });
    }

    /// Tells one peer.
    #[inline]
    pub fn send(&mut self, to: PeerId, message: P::Message) {
        self.add(Effect::Send { to, message });
    }

    /// Sets the deadline of `timer`.
    pub fn set(&mut self, timer: P::Timer, at: Time) {
        self.add(Effect::Set { timer, at });
    }

    #[inline(always)]
    fn add(&mut self, effect: Effect<P>) {
        // If there is no room for another slot the effect leaks: so nothing has to keep it at hand to drop it.
        let effect = ManuallyDrop::new(effect);
        if self.len == self.slots.len() {
            self.slots.push(Self::NOTHING);
        }
        if let Some(slot) = self.slots.get_mut(self.len) {
            *slot = ManuallyDrop::into_inner(effect);
            self.len += 1;
        }
    }

    /// Takes a child's effects over, in order. `on_event` is given each of the child's events with this buffer, so that
    /// what the parent makes of an event comes out at the event's place.
    pub fn adopt<C: Protocol>(&mut self, child: &mut Out<C>, mut on_event: impl FnMut(C::Event, &mut Self))
    where
        P: Parent<C>,
    {
        for effect in child.drain() {
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

    /// Takes all effects out, in order, and keeps the buffer's memory. Those that are not asked for are gone as well.
    pub fn drain(&mut self) -> impl Iterator<Item = Effect<P>> + '_ {
        let len = mem::take(&mut self.len);
        self.slots[..len].iter_mut().map(|slot| mem::replace(slot, Self::NOTHING))
    }

    /// Turns the order of the effects round, for [`take_last`](Self::take_last).
    pub fn reverse(&mut self) {
        self.slots[..self.len].reverse();
    }

    /// Takes the last effect out, of which there is one. It is moved as a whole, which an optional effect would not be.
    #[inline]
    pub fn take_last(&mut self) -> Effect<P> {
        self.len -= 1;
        mem::replace(&mut self.slots[self.len], Self::NOTHING)
    }

    /// Keeps the effects for which `keep` holds.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&Effect<P>) -> bool) {
        let mut kept = 0;
        for place in 0..self.len {
            if keep(&self.slots[place]) {
                if kept < place {
                    self.slots.swap(kept, place);
                }
                kept += 1;
            }
        }
        self.len = kept;
    }

    /// Whether no effect waits.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
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

#[cfg(test)]
mod tests {
    use alloc::rc::Rc;
    use alloc::string::ToString;
    use alloc::vec;

    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::Input;

    #[derive(Clone, Debug, Serialize, Deserialize)]
    struct Word;

    impl crate::Wire for Word {
        const BYTES_MAX: usize = 0;

        fn kind(&self) -> &'static str {
            "word"
        }
    }

    /// Says only what it is told to.
    struct Mute;

    impl Protocol for Mute {
        type Params = ();
        type Message = Word;
        type Timer = u8;
        type Command = ();
        type Event = Rc<u8>;
        type Record = Word;

        fn restore((): (), _: impl Iterator<Item = (Key, Word)>) -> Self {
            Self
        }

        fn start(&mut self, _: Time, _: &mut Out<Self>) {}

        fn handle(&mut self, _: Time, _: Input<Self>, _: &mut Out<Self>) {}
    }

    fn told(events: &[u8]) -> Out<Mute> {
        let mut out = Out::new();
        events.iter().for_each(|event| out.emit(Rc::new(*event)));
        out
    }

    fn shown(effects: impl Iterator<Item = Effect<Mute>>) -> Vec<alloc::string::String> {
        effects.map(|effect| alloc::format!("{effect:?}")).collect()
    }

    #[test]
    fn what_is_kept_stays_in_order_and_what_comes_later_follows_it() {
        for dropped in [vec![], vec![0], vec![1, 2], vec![4], vec![0, 2, 4], vec![0, 1, 2, 3, 4]] {
            let mut out = told(&[0, 1, 2, 3, 4]);
            out.retain(|effect| !matches!(effect, Effect::Emit(event) if dropped.contains(&**event)));
            out.emit(Rc::new(5));
            let expected = (0..6).filter(|event| !dropped.contains(event)).map(|event| alloc::format!("emit {event}"));
            assert_eq!(shown(out.drain()), expected.collect::<Vec<_>>(), "without {dropped:?}");
            assert!(out.is_empty());
        }
    }

    #[test]
    fn what_was_not_asked_for_is_gone_and_is_not_turned_round_with_the_rest() {
        let mut out = told(&[1, 2, 3]);
        assert_eq!(shown(out.drain().take(1)), ["emit 1"]);
        out.emit(Rc::new(4));
        out.set(7, Time::ZERO);
        out.reverse();
        assert_eq!(alloc::format!("{:?}", out.take_last()), "emit 4");
        assert_eq!(alloc::format!("{:?}", out.take_last()), "set 7 at ".to_string() + &Time::ZERO.to_string());
        assert!(out.is_empty());
    }

    #[test]
    fn an_effect_that_was_taken_out_is_kept_nowhere_else() {
        let event = Rc::new(1);
        let mut out: Out<Mute> = Out::new();
        out.emit(Rc::clone(&event));
        out.emit(Rc::clone(&event));
        drop(out.take_last());
        assert_eq!(Rc::strong_count(&event), 2);
        out.drain().for_each(drop);
        assert_eq!(Rc::strong_count(&event), 1);
    }
}
