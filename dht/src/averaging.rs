//! Push-pull averaging: every peer comes to know the mean of all peers' numbers (Jelasity, Montresor and Babaoglu 2005,
//! "Gossip-based aggregation in large dynamic networks", Figure 1 and section 2).
//!
//! In each period a peer tells its number to a partner drawn at random, and both take the mean of the two. The paper takes an
//! exchange to be atomic. Messages take time here, so the partner answers with what it gives or takes, half of the
//! difference, rather than with its number: whatever happens between the two messages, what the one gains the other
//! loses, and the sum over all peers and messages under way never changes. Numbers are integers, in the owner's unit.

use alloc::vec::Vec;
use core::time::Duration;

use serde::{Deserialize, Serialize};
use synod_machine::{Input, Key, Out, PeerId, Protocol, Rng, Time, Wire};

use crate::gossip::{LINKS_MAX, Record, varint_len};

/// Checked configuration.
#[derive(Clone, Debug)]
pub struct Params {
    /// This peer's number, in a unit fine enough that rounding does not matter. At most 2^62 either way.
    pub value: i64,
    /// Whom it exchanges with.
    pub partners: Partners,
    /// The time between two exchanges that it begins; the first comes at a random moment of the first period.
    pub period: Duration,
    /// The stream that the peer's draws begin with.
    pub rng: Rng,
}

/// Whom a peer exchanges with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Partners {
    /// Peers that it is connected to.
    Links,
    /// All peers `0..peers` but itself, as in a complete graph whose links nobody has to keep.
    World {
        /// This peer.
        own: PeerId,
        /// How many peers there are, two or more.
        peers: u32,
    },
}

/// What the owner asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Add this to the peer's number: what is averaged has changed.
    Add(i64),
}

/// The owner is told nothing; it looks at [`Averaging::value`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {}

/// The one timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// Begin an exchange.
    Exchange,
}

/// An exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// The answer to `Push`: add this, which I have taken off.
    Pull(i64),
    /// My number.
    Push(i64),
}

impl Wire for Message {
    const BYTES_MAX: usize = 10;

    fn kind(&self) -> &'static str {
        match self {
            Self::Pull(_) => "average_pull",
            Self::Push(_) => "average_push",
        }
    }

    fn encoded_len(&self) -> usize {
        let (Self::Pull(number) | Self::Push(number)) = *self;
        // The wire folds the sign into the lowest bit.
        1 + varint_len((number << 1 ^ number >> 63).cast_unsigned())
    }
}

/// The machine.
#[derive(Debug)]
pub struct Averaging {
    value: i64,
    period: Duration,
    partners: Partners,
    /// In order; empty where partners are the whole world.
    links: Vec<PeerId>,
    draws: Draws,
}

/// What chance decides here: who the partner is, which nobody gains from foreseeing. So it need not come from the peer's own
/// stream, whose buffer is five lines of memory; that one gives the beginning. SplitMix64 (Steele, Lea and Flood 2014,
/// "Fast splittable pseudorandom number generators", Figure 17).
#[derive(Clone, Copy, Debug)]
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let state = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        state ^ (state >> 31)
    }

    /// A number below `bound`: where that is a number of peers, the bias is below 2^-32.
    fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }
}

impl Averaging {
    /// What this peer takes the mean to be.
    pub const fn value(&self) -> i64 {
        self.value
    }

    fn on_exchange(&mut self, now: Time, out: &mut Out<Self>) {
        out.set(Timer::Exchange, now + self.period);
        let partner = match self.partners {
            Partners::Links => self.links.get(self.draws.below(self.links.len() as u64) as usize).copied(),
            Partners::World { own, peers } => {
                let drawn = self.draws.below(u64::from(peers) - 1) as u32;
                Some(PeerId(if drawn < own.0 { drawn } else { drawn + 1 }))
            }
        };
        if let Some(partner) = partner {
            out.send(partner, Message::Push(self.value));
        }
    }

    fn on_push(&mut self, from: PeerId, theirs: i64, out: &mut Out<Self>) {
        // A sum in 128 bits, since a stranger may say any number; half of a difference fits again.
        let given = ((i128::from(self.value) - i128::from(theirs)) / 2) as i64;
        self.value = self.value.saturating_sub(given);
        out.send(from, Message::Pull(given));
    }

    fn on_peer_up(&mut self, peer: PeerId) {
        if self.partners == Partners::Links
            && self.links.len() < LINKS_MAX
            && let Err(place) = self.links.binary_search(&peer)
        {
            self.links.insert(place, peer);
        }
    }

    fn on_peer_down(&mut self, peer: PeerId) {
        if let Ok(place) = self.links.binary_search(&peer) {
            self.links.remove(place);
        }
    }
}

impl Protocol for Averaging {
    type Params = Params;
    type Message = Message;
    type Timer = Timer;
    type Command = Command;
    type Event = Event;
    type Record = Record;

    fn restore(params: Params, _: impl Iterator<Item = (Key, Record)>) -> Self {
        let Params { value, partners, period, mut rng } = params;
        assert!(value.unsigned_abs() <= VALUE_MAX, "differences of numbers fit");
        assert!(!period.is_zero(), "a period takes time");
        if let Partners::World { peers, .. } = partners {
            assert!(peers >= 2, "there is somebody to exchange with");
        }
        Self { value, period, partners, links: Vec::new(), draws: Draws(rng.next_u64()) }
    }

    fn start(&mut self, now: Time, out: &mut Out<Self>) {
        let phase = self.draws.below(u64::try_from(self.period.as_nanos()).unwrap_or(u64::MAX));
        out.set(Timer::Exchange, now + Duration::from_nanos(phase));
    }

    fn handle(&mut self, now: Time, input: Input<Self>, out: &mut Out<Self>) {
        match input {
            Input::Command(Command::Add(number)) => self.value = self.value.saturating_add(number),
            Input::Message { message: Message::Pull(taken), .. } => self.value = self.value.saturating_add(taken),
            Input::Message { from, message: Message::Push(theirs) } => self.on_push(from, theirs, out),
            Input::PeerDown(peer) => self.on_peer_down(peer),
            Input::PeerUp(peer) => self.on_peer_up(peer),
            Input::Timer(Timer::Exchange) => self.on_exchange(now, out),
        }
    }

    /// 1. Links are bounded.
    fn check(&self) {
        assert!(self.links.len() <= LINKS_MAX, "links are bounded");
    }
}

/// The largest number of a peer's, either way.
const VALUE_MAX: u64 = 1 << 62;

#[cfg(test)]
mod tests {
    use alloc::vec;

    use synod_machine::{Effect, wire};

    use super::*;
    use crate::testing::{effects, step};

    const NOW: Time = Time::from_secs(1);

    fn machine(value: i64, partners: Partners) -> Averaging {
        let period = Duration::from_secs(1);
        Averaging::restore(Params { value, partners, period, rng: Rng::new(1, 0, "averaging") }, core::iter::empty())
    }

    fn message(from: u32, message: Message) -> Input<Averaging> {
        Input::Message { from: PeerId(from), message }
    }

    #[test]
    fn messages_are_these_bytes_and_know_their_length() {
        let table = [
            (Message::Pull(0), vec![0, 0]),
            (Message::Push(-1), vec![1, 1]),
            (Message::Push(125), vec![1, 250]),
            (Message::Pull(-126), vec![0, 251, 251, 0]),
            (Message::Push(i64::MIN), vec![1, 253, 255, 255, 255, 255, 255, 255, 255, 255]),
        ];
        for (message, bytes) in table {
            assert_eq!(wire::encode(&message), bytes, "{message:?}");
            assert_eq!(message.encoded_len(), bytes.len(), "{message:?}");
            assert_eq!(wire::decode(&bytes), Ok(message));
        }
    }

    #[test]
    fn a_push_is_answered_with_half_the_difference_which_this_peer_gives() {
        for (own, theirs, given, left) in [(10, 4, 3, 7), (4, 10, -3, 7), (10, 5, 2, 8), (5, 10, -2, 7), (6, 6, 0, 6)] {
            let mut machine = machine(own, Partners::Links);
            let answer = alloc::format!("send to p3: Pull({given})");
            assert_eq!(step(&mut machine, NOW, message(3, Message::Push(theirs))), [answer]);
            assert_eq!(machine.value(), left, "{own} and {theirs}");
        }
    }

    #[test]
    fn a_pull_is_added_and_so_is_what_the_owner_adds() {
        let mut machine = machine(10, Partners::Links);
        assert!(step(&mut machine, NOW, message(3, Message::Pull(-4))).is_empty());
        assert!(step(&mut machine, NOW, Input::Command(Command::Add(7))).is_empty());
        assert_eq!(machine.value(), 13);
    }

    #[test]
    fn absurd_numbers_saturate() {
        let mut machine = machine(1 << 62, Partners::Links);
        for extreme in [i64::MIN, i64::MAX, i64::MIN] {
            step(&mut machine, NOW, message(3, Message::Push(extreme)));
            step(&mut machine, NOW, message(3, Message::Pull(extreme)));
        }
        assert!(machine.value() <= 0, "the last number was the lowest that there is");
    }

    #[test]
    fn an_exchange_is_begun_in_each_period_with_a_link_if_there_is_one() {
        let mut machine = machine(10, Partners::Links);
        let mut out = Out::new();
        machine.start(NOW, &mut out);
        let Some(Effect::Set { timer: Timer::Exchange, at }) = out.drain().next() else { panic!("a timer is set") };
        assert!(at >= NOW && at < Time::from_secs(2), "at a random moment of the first period: {at}");
        let next = "set Exchange at 2.000000000s";
        assert_eq!(step(&mut machine, NOW, Input::Timer(Timer::Exchange)), [next]);
        step(&mut machine, NOW, Input::PeerUp(PeerId(8)));
        step(&mut machine, NOW, Input::PeerUp(PeerId(8)));
        assert_eq!(step(&mut machine, NOW, Input::Timer(Timer::Exchange)), [next, "send to p8: Push(10)"]);
        step(&mut machine, NOW, Input::PeerDown(PeerId(8)));
        assert_eq!(step(&mut machine, NOW, Input::Timer(Timer::Exchange)), [next]);
    }

    #[test]
    fn partners_in_the_world_are_all_others_alike() {
        let mut machine = machine(10, Partners::World { own: PeerId(2), peers: 5 });
        let mut drawn = [0_u32; 5];
        for _ in 0..4_000 {
            let effect = effects(&mut machine, NOW, Input::Timer(Timer::Exchange)).pop();
            let Some(Effect::Send { to, .. }) = effect else { panic!("it begins an exchange") };
            drawn[to.0 as usize] += 1;
        }
        assert_eq!(drawn[2], 0, "nobody exchanges with itself");
        assert!(drawn.iter().filter(|&&count| (900..1_100).contains(&count)).count() == 4, "{drawn:?}");
    }

    #[test]
    fn the_machine_is_two_cache_lines() {
        assert!(size_of::<Averaging>() <= 128, "{} bytes", size_of::<Averaging>());
    }
}
