//! One protocol, its timers and its counters, without I/O. The libp2p task and the simulator drive the same host.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::counters;
use crate::{Counters, Effect, Input, Out, Protocol, Reject, Time, Wire};

/// Runs one protocol: keeps its timers, counts its effects, checks its invariants after every step.
///
/// It owns no buffer, so that a hundred thousand of them share one; what each step touches comes first.
#[repr(C)]
pub struct Host<P: Protocol> {
    now: Time,
    timers: Timers<P::Timer>,
    protocol: P,
    /// Not there where many hosts share theirs.
    counters: Option<Box<Counters>>,
}

impl<P: Protocol> Host<P> {
    /// Starts the protocol at `now` and gives its first effects to `release`.
    pub fn start(protocol: P, now: Time, release: impl FnMut(Effect<P>)) -> Self {
        let mut out = Out::new();
        let host = Self::start_into(protocol, now, &mut out);
        out.drain().for_each(release);
        host
    }

    /// [`start`](Self::start), with the effects left in `out`.
    pub fn start_into(protocol: P, now: Time, out: &mut Out<P>) -> Self {
        let mut counters = Box::<Counters>::default();
        let mut host = Self::start_counting(protocol, now, out, &mut counters);
        host.counters = Some(counters);
        host
    }

    /// [`start_into`](Self::start_into), counted in `counters` that many hosts share.
    pub fn start_counting(protocol: P, now: Time, out: &mut Out<P>, counters: &mut Counters) -> Self {
        let mut host = Self { protocol, now, timers: Timers::new(), counters: None };
        host.protocol.start(now, out);
        host.settle(out, counters);
        host
    }

    /// One step. `release` is given the effects that are not the host's own (all but `Set` and `Cancel`), in order.
    /// A time before the last one counts as the last one: a protocol never sees time run backwards.
    pub fn step(&mut self, now: Time, input: Input<P>, release: impl FnMut(Effect<P>)) {
        let mut out = Out::new();
        self.step_into(now, input, &mut out);
        out.drain().for_each(release);
    }

    /// [`step`](Self::step), with the effects left in `out`, which is empty before.
    pub fn step_into(&mut self, now: Time, input: Input<P>, out: &mut Out<P>) {
        let mut counters = self.counters.take().unwrap_or_default();
        self.step_counting(now, input, out, &mut counters);
        self.counters = Some(counters);
    }

    /// [`step_into`](Self::step_into), counted in `counters` that many hosts share.
    pub fn step_counting(&mut self, now: Time, input: Input<P>, out: &mut Out<P>, counters: &mut Counters) {
        self.step_sized(now, input, None, out, counters);
    }

    /// [`step_counting`](Self::step_counting), with a message's encoded length in bytes where the driver knows it.
    #[inline(never)]
    pub fn step_sized(
        &mut self,
        now: Time,
        input: Input<P>,
        bytes: Option<u32>,
        out: &mut Out<P>,
        counters: &mut Counters,
    ) {
        self.now = self.now.max(now);
        counters.steps += 1;
        if let Input::Message { message, .. } = &input {
            let len = bytes.map_or_else(|| message.encoded_len(), |bytes| bytes as usize);
            counters.traffic.received(message.kind(), len);
        }
        self.protocol.handle(self.now, input, out);
        self.settle(out, counters);
    }

    /// Steps for every timer that is due at `now`, earliest first.
    pub fn fire(&mut self, now: Time, mut release: impl FnMut(Effect<P>)) {
        let mut out = Out::new();
        while let Some(timer) = self.pop_due(now) {
            self.step_into(now, Input::Timer(timer), &mut out);
            out.drain().for_each(&mut release);
        }
    }

    /// The first timer that is due at `now`, which the driver then steps for.
    pub fn pop_due(&mut self, now: Time) -> Option<P::Timer> {
        self.timers.pop_due(now.max(self.now))
    }

    /// When the next timer is due, if one is set.
    pub fn next_deadline(&self) -> Option<Time> {
        self.timers.next.map(|(at, _)| at)
    }

    /// The protocol, to look at.
    pub const fn protocol(&self) -> &P {
        &self.protocol
    }

    /// The counters, to look at. What was counted elsewhere is not among it.
    pub fn counters(&self) -> &Counters {
        self.counters.as_deref().unwrap_or(&counters::NONE)
    }

    /// Counts a mistake that the driver saw before the protocol could: bytes that no message has.
    pub fn count_reject(&mut self, reason: Reject) {
        self.counters.get_or_insert_default().reject(reason);
    }

    /// Takes what is the host's own out of a step's effects and counts the rest.
    fn settle(&mut self, out: &mut Out<P>, counters: &mut Counters) {
        self.protocol.check();
        let timers = &mut self.timers;
        out.retain(|effect| {
            match effect {
                Effect::Set { timer, at } => {
                    timers.set(*timer, *at);
                    return false;
                }
                Effect::Cancel(timer) => {
                    timers.cancel(*timer);
                    return false;
                }
                Effect::Broadcast { to, message } => {
                    counters.traffic.sent(message.kind(), to.len(), message.encoded_len());
                }
                Effect::Send { message, .. } => counters.traffic.sent(message.kind(), 1, message.encoded_len()),
                Effect::Reject { reason, .. } => counters.reject(*reason),
                Effect::Emit(_) | Effect::Forget(_) | Effect::Persist { .. } => {}
            }
            true
        });
    }
}

/// Pending deadlines. A protocol has a handful of timers, and most hosts one that is pending, or none.
struct Timers<T> {
    next: Option<(Time, T)>,
    /// The others, the next one last.
    later: Vec<(Time, T)>,
}

impl<T: Copy + Ord> Timers<T> {
    const fn new() -> Self {
        Self { next: None, later: Vec::new() }
    }

    fn set(&mut self, timer: T, at: Time) {
        self.cancel(timer);
        let mut put_off = (at, timer);
        if self.next.is_none_or(|next| put_off < next) {
            let Some(next) = self.next.replace(put_off) else { return };
            put_off = next;
        }
        let place = self.later.partition_point(|later| *later > put_off);
        if self.later.len() == self.later.capacity() {
            self.later.reserve_exact(1);
        }
        self.later.insert(place, put_off);
    }

    fn cancel(&mut self, timer: T) {
        if self.next.is_some_and(|(_, next)| next == timer) {
            self.next = self.later.pop();
        } else if let Some(place) = self.later.iter().position(|(_, later)| *later == timer) {
            self.later.remove(place);
        }
    }

    fn pop_due(&mut self, now: Time) -> Option<T> {
        let (_, timer) = self.next.filter(|(at, _)| *at <= now)?;
        self.next = self.later.pop();
        Some(timer)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;
    use core::time::Duration;
    use std::format;
    use std::string::String;

    use serde::{Deserialize, Serialize};

    use alloc::collections::BTreeMap;

    use super::*;
    use crate::{Count, Key, PeerId, Traffic};

    /// Does what it is told and writes down when which timer came.
    #[derive(Debug, Default)]
    struct Puppet {
        seen: Vec<String>,
        broken: bool,
    }

    #[derive(Clone, Debug, Serialize, Deserialize)]
    struct Word(u64);

    impl Wire for Word {
        const BYTES_MAX: usize = 9;

        fn kind(&self) -> &'static str {
            if self.0 == 0 { "zero" } else { "word" }
        }
    }

    #[derive(Clone, Debug)]
    enum Order {
        Break,
        Cancel(char),
        Reject,
        Say(Vec<PeerId>, u64),
        Set(char, u64),
    }

    impl Protocol for Puppet {
        type Params = ();
        type Message = Word;
        type Timer = char;
        type Command = Vec<Order>;
        type Event = &'static str;
        type Record = Word;

        fn restore((): (), _: impl Iterator<Item = (Key, Word)>) -> Self {
            Self::default()
        }

        fn start(&mut self, now: Time, out: &mut Out<Self>) {
            out.set('s', now + Duration::from_secs(1));
            out.emit("started");
        }

        fn handle(&mut self, now: Time, input: Input<Self>, out: &mut Out<Self>) {
            self.seen.push(format!("{} {input:?}", now.as_millis() / 1_000));
            let Input::Command(orders) = input else { return };
            for order in orders {
                match order {
                    Order::Break => self.broken = true,
                    Order::Cancel(timer) => out.cancel(timer),
                    Order::Reject => out.reject(PeerId(1), Reject::Malformed),
                    Order::Say(to, word) => out.broadcast(to, Word(word)),
                    Order::Set(timer, secs) => out.set(timer, Time::from_secs(secs)),
                }
            }
        }

        fn check(&self) {
            assert!(!self.broken, "it is whole");
        }
    }

    fn host() -> Host<Puppet> {
        Host::start(Puppet::default(), Time::from_secs(10), |_| {})
    }

    fn order(host: &mut Host<Puppet>, orders: Vec<Order>) -> Vec<String> {
        let mut released = vec![];
        host.step(Time::ZERO, Input::Command(orders), |effect| released.push(format!("{effect:?}")));
        host.protocol.seen.clear();
        released
    }

    fn fired(host: &mut Host<Puppet>, secs: u64) -> Vec<String> {
        host.fire(Time::from_secs(secs), |_| {});
        core::mem::take(&mut host.protocol.seen)
    }

    #[test]
    fn a_start_is_told_and_its_timer_set() {
        let mut released = vec![];
        let host = Host::start(Puppet::default(), Time::from_secs(10), |effect| released.push(format!("{effect:?}")));
        assert_eq!(released, ["emit \"started\""]);
        assert_eq!(host.next_deadline(), Some(Time::from_secs(11)));
        assert_eq!(host.counters().steps, 0);
    }

    #[test]
    fn timers_fire_once_in_the_order_of_their_times_and_then_their_names() {
        let mut host = host();
        order(&mut host, vec![Order::Set('c', 13), Order::Set('b', 12), Order::Set('a', 13)]);
        assert_eq!(host.next_deadline(), Some(Time::from_secs(11)));
        assert!(fired(&mut host, 10).is_empty());
        assert_eq!(fired(&mut host, 12), ["12 timer 's'", "12 timer 'b'"]);
        assert_eq!(fired(&mut host, 20), ["20 timer 'a'", "20 timer 'c'"]);
        assert_eq!(host.next_deadline(), None);
        assert!(fired(&mut host, 99).is_empty());
    }

    #[test]
    fn a_timer_that_is_set_again_is_replaced_and_a_cancelled_one_is_silent() {
        let mut host = host();
        order(&mut host, vec![Order::Set('s', 15), Order::Set('a', 12), Order::Set('a', 14), Order::Cancel('x')]);
        assert_eq!(host.next_deadline(), Some(Time::from_secs(14)));
        assert!(fired(&mut host, 13).is_empty());
        order(&mut host, vec![Order::Cancel('a'), Order::Cancel('a')]);
        assert_eq!(fired(&mut host, 30), ["30 timer 's'"]);
        order(&mut host, vec![Order::Set('s', 31), Order::Cancel('s'), Order::Set('s', 32)]);
        assert_eq!(host.next_deadline(), Some(Time::from_secs(32)));
    }

    #[test]
    fn time_never_runs_backwards() {
        let mut host = host();
        host.step(Time::from_secs(20), Input::PeerUp(PeerId(1)), |_| {});
        host.step(Time::from_secs(5), Input::PeerDown(PeerId(1)), |_| {});
        assert_eq!(host.protocol().seen, ["20 p1 is up", "20 p1 is down"]);
        host.protocol.seen.clear();
        assert_eq!(fired(&mut host, 5), ["20 timer 's'"], "it is due by the last time that was seen");
    }

    #[test]
    fn messages_are_counted_by_kind_and_a_broadcast_once_per_receiver() {
        let mut host = host();
        let all = vec![PeerId(1), PeerId(2), PeerId(3)];
        let orders = vec![Order::Say(all, 300), Order::Say(vec![], 5), Order::Say(vec![PeerId(1)], 0), Order::Reject];
        let released = order(&mut host, orders);
        let expected = ["broadcast to [p1, p2, p3]: Word(300)", "broadcast to [p1]: Word(0)", "reject p1: malformed"];
        assert_eq!(released, expected);
        host.step(Time::ZERO, Input::Message { from: PeerId(1), message: Word(7) }, |_| {});
        host.count_reject(Reject::Oversized);
        let counters = host.counters();
        let (none, one) = (Count::default(), Count { messages: 1, bytes: 1 });
        let word = Traffic { kind: "word", sent: Count { messages: 3, bytes: 9 }, received: one };
        let zero = Traffic { kind: "zero", sent: one, received: none };
        assert_eq!(counters.traffic.by_kind(), [word, zero]);
        assert_eq!(counters.traffic.of("word"), word);
        assert_eq!(counters.traffic.of("other"), Traffic { kind: "other", sent: none, received: none });
        assert_eq!(counters.rejects, BTreeMap::from([(Reject::Malformed, 1), (Reject::Oversized, 1)]));
        assert_eq!(counters.steps, 2);
    }

    #[test]
    #[should_panic(expected = "it is whole")]
    fn invariants_are_checked_after_every_step_before_its_effects_are_released() {
        let mut host = host();
        host.step(Time::ZERO, Input::Command(vec![Order::Reject, Order::Break]), |effect| {
            panic!("{effect:?} is released by a broken protocol")
        });
    }
}
