//! Flooding: each accepted item goes once to every link but the one that it came by.
//!
//! On a connected graph of N peers and E links an item costs exactly 2E − N + 1 transmissions, of which N − 1 are useful:
//! each peer but the first sends it on all its links but one. It is what the other machines are compared with. There
//! is no limit of hops. A link that comes up is told nothing: catching up is the owner's.

use alloc::vec::Vec;

use synod_machine::{Input, Key, Out, PeerId, Protocol, Reject, Rng, Time};

use crate::gossip::{Command, Event, Id, Intake, LINKS_MAX, Message, Parcel, Place, Record, Timer, Verdict};

/// Checked configuration.
#[derive(Clone, Debug)]
pub struct Params {
    /// The stream that what strangers cannot foresee is drawn from.
    pub rng: Rng,
}

/// The machine.
#[derive(Debug)]
#[repr(C)]
pub struct Flood<T: Parcel> {
    intake: Intake<T>,
    /// In order.
    links: Vec<PeerId>,
}

impl<T: Parcel> Flood<T> {
    fn on_command(&mut self, now: Time, command: Command<T>, out: &mut Out<Self>) {
        match command {
            Command::Publish(item) => {
                if self.intake.publish(now, item.fingerprint(), ACCEPTED) {
                    out.broadcast(self.links.clone(), Message::Push(item));
                }
            }
            Command::Verdict { id, verdict } => self.on_verdict(now, id, verdict, out),
        }
    }

    fn on_verdict(&mut self, now: Time, id: Id, verdict: Verdict, out: &mut Out<Self>) {
        if let Some((from, item)) = self.intake.verdict(now, id, verdict, ACCEPTED) {
            let to = self.links.iter().copied().filter(|&link| link != from).collect();
            out.broadcast(to, Message::Push(item));
        }
    }

    fn on_message(&mut self, now: Time, from: PeerId, message: Message<T>, out: &mut Out<Self>) {
        match message {
            Message::Push(item) => {
                if let Some(arrived) = self.intake.arrive(now, from, item) {
                    out.emit(arrived);
                }
            }
            Message::Graft
            | Message::IHave(_)
            | Message::IWant(_)
            | Message::Known(_)
            | Message::Prune
            | Message::Pull
            | Message::Shuffle(_)
            | Message::Shuffled(_) => out.reject(from, Reject::Unsolicited),
        }
    }

    fn on_peer_up(&mut self, peer: PeerId) {
        if let Err(place) = self.links.binary_search(&peer)
            && self.links.len() < LINKS_MAX
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

/// Flooding keeps no history, so all accepted items stand at the same place.
const ACCEPTED: Place = Place::Some(core::num::NonZeroU32::MIN);

impl<T: Parcel> Protocol for Flood<T> {
    type Params = Params;
    type Message = Message<T>;
    type Timer = Timer;
    type Command = Command<T>;
    type Event = Event<T>;
    type Record = Record;

    fn restore(mut params: Params, _: impl Iterator<Item = (Key, Record)>) -> Self {
        Self { intake: Intake::new(&mut params.rng), links: Vec::new() }
    }

    fn start(&mut self, _: Time, _: &mut Out<Self>) {}

    fn handle(&mut self, now: Time, input: Input<Self>, out: &mut Out<Self>) {
        self.intake.begin();
        match input {
            Input::Command(command) => self.on_command(now, command, out),
            Input::Message { from, message } => self.on_message(now, from, message, out),
            Input::PeerDown(peer) => self.on_peer_down(peer),
            Input::PeerUp(peer) => self.on_peer_up(peer),
            // It sets none.
            Input::Timer(Timer::Round | Timer::Shuffle) => {}
        }
    }

    /// 1. Known and waiting items are bounded. 2. So are links.
    fn check(&self) {
        if self.intake.is_idle() {
            return;
        }
        self.intake.check();
        assert!(self.links.len() <= LINKS_MAX, "links are bounded");
    }
}

#[cfg(test)]
mod tests;
