//! Step tables: what comes in, and what comes out, written out.

mod values;
mod ways;
mod wire;

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use synod_machine::{Bytes, Host, Input, PeerId, Reject, Rng, Time};

use super::*;
use crate::overlay::{Cost, Entry, Query, Quorum};

/// The identifier whose first byte is `place`: a ring of 256 places, as people can read it.
fn id(place: u8) -> Id {
    let mut bytes = [0; 32];
    bytes[0] = place;
    Id::from(Bytes(bytes))
}

/// The node there; its handle has the same number.
fn node(place: u8) -> Node {
    Node { id: id(place), peer: PeerId(u32::from(place)) }
}

fn nodes(places: &[u8]) -> Vec<Node> {
    places.iter().map(|place| node(*place)).collect()
}

fn params(place: u8) -> Params {
    let rng = Rng::new(1, u64::from(place), "chord");
    Params { successors: 3, ..Params::new(node(place), rng) }
}

/// A machine, its host, and a clock that only moves when it is told to.
struct Bench {
    host: Host<Chord>,
    now: Time,
}

impl Bench {
    fn apart(params: Params) -> Self {
        let chord = Chord::restore(params, core::iter::empty());
        Self { host: Host::start(chord, Time::ZERO, |_| {}), now: Time::ZERO }
    }

    /// A node at 100 on the ring 20, 100, 120, 160, 220 that has looked at its fingers: its first successor, 160 from 2^253 on (132),
    /// 220 from 2^254 on (164), and 20 from 2^255 on (228).
    fn member() -> Self {
        Self::member_with(params(100))
    }

    fn member_with(params: Params) -> Self {
        let mut bench = Self::apart(params);
        bench.command(Command::Join { via: nodes(&[20]) });
        let number = bench.number();
        bench.say(20, Message::Owner { number, node: node(120), more: vec![] });
        bench.say(
            120,
            Message::Stable {
                number: number + 1,
                version: 7,
                predecessor: Some(node(100)),
                successors: nodes(&[160, 220, 20]),
            },
        );
        bench.say(20, Message::Stabilise { number: 1, node: node(20), seen: 0 });
        bench.say(120, Message::Tabled { number: number + 2, fingers: nodes(&[160, 220, 20]) });
        for (further, (place, before)) in [(160, 120), (220, 160), (20, 220)].into_iter().enumerate() {
            let number = number + 3 + further as u32;
            bench.say(place, Message::Pong { number, predecessor: Some(node(before)) });
        }
        assert_eq!(bench.chord().successors(), nodes(&[120, 160, 220]));
        assert_eq!(bench.chord().predecessor(), Some(node(20)));
        assert_eq!(bench.chord().fingers(), nodes(&[120, 160, 220, 20]));
        bench
    }

    fn chord(&self) -> &Chord {
        self.host.protocol()
    }

    /// The number of the last request.
    fn number(&self) -> u32 {
        self.chord().calls.numbers()
    }

    fn step(&mut self, input: Input<Chord>) -> Vec<String> {
        let mut seen = vec![];
        self.host.step(self.now, input, |effect| seen.push(alloc::format!("{effect:?}")));
        seen
    }

    fn command(&mut self, command: Command) -> Vec<String> {
        self.step(Input::Command(command))
    }

    fn say(&mut self, from: u8, message: Message) -> Vec<String> {
        self.step(Input::Message { from: PeerId(u32::from(from)), message })
    }

    /// Lets time pass, with its timers.
    fn pass(&mut self, span: Duration) -> Vec<String> {
        let end = self.now + span;
        let mut seen = vec![];
        while let Some(at) = self.host.next_deadline().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.host.fire(self.now, |effect| seen.push(alloc::format!("{effect:?}")));
        }
        self.now = end;
        seen
    }
}

fn rejected(from: u8, reason: Reject) -> Vec<String> {
    vec![alloc::format!("reject p{from}: {reason}")]
}
