//! Rumour spreading: in each round a peer that knows something hot talks to a random one (Demers et al. 1987, "Epidemic
//! algorithms for replicated database maintenance", section 1.4; Karp et al. 2000, "Randomized rumor spreading").
//!
//! Whom it talks to comes from a partial view that is shuffled (`sampling.rs`), so it may be any peer and not only one that it
//! is connected to; handles of peers must therefore mean the same to all, as they do in a simulation. Feedback is believed,
//! and the two directions of push-pull are messages of their own.
//!
//! Without pulling it is quiet while nothing is hot, but for the shuffle. With pulling it asks in each round for ever,
//! since only asking finds what one does not know of.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use synod_machine::{Input, Key, Out, PeerId, Protocol, Reject, Rng, Time};

use crate::gossip::{
    Beat, Command, DESCRIPTORS_MAX, Descriptor, Event, Id, Intake, LINKS_MAX, Message, Parcel, Place, Record, Timer,
    Verdict,
};
use crate::sampling::View;

/// Checked configuration.
#[derive(Clone, Debug)]
pub struct Params {
    /// When a peer loses interest in a rumour.
    pub interest: Interest,
    /// Whether ids are exchanged first and only what is wanted is sent.
    pub lazy: bool,
    /// Who sends in a round.
    pub mode: Mode,
    /// This peer, which is not in its own view.
    pub own: PeerId,
    /// The time between rounds.
    pub period: Duration,
    /// When rounds fall.
    pub phase: Phase,
    /// The stream that choices are drawn from.
    pub rng: Rng,
    /// How the view is shuffled; nothing: it stays the links that it began with.
    pub shuffle: Option<Shuffle>,
    /// Peers in the view.
    pub view_max: usize,
}

/// When a peer loses interest in a rumour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// After so many contacts that knew it already: Demers et al.'s "feedback" and "counter".
    Counter(u32),
    /// Never. The longest-known rumour gives way when there are too many.
    Forever,
    /// After so many rounds, whatever the contacts knew: their "blind" and "counter".
    Rounds(u32),
}

/// Who sends in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The one that is called.
    Pull,
    /// The one that calls.
    Push,
    /// Both.
    PushPull,
}

/// When rounds fall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// At multiples of the period, for all peers at once: the synchronous rounds that the papers analyse.
    Aligned,
    /// At a random moment of each period.
    Random,
}

/// How a view is shuffled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shuffle {
    /// Entries that are swapped.
    pub length: usize,
    /// The time between two shuffles that a peer begins, at a random moment of each.
    pub period: Duration,
}

impl Params {
    /// Push-pull with feedback, over a view of the size that Jelasity et al. 2007 evaluate.
    pub const fn new(own: PeerId, rng: Rng) -> Self {
        Self {
            // Demers et al. 1987, Table 1: 0.4 % of the sites are missed by pushing alone.
            interest: Interest::Counter(4),
            lazy: true,
            mode: Mode::PushPull,
            own,
            // gossipsub's heartbeat, for comparison.
            period: Duration::from_secs(1),
            phase: Phase::Random,
            rng,
            // Voulgaris et al. 2005 evaluate lengths of 3 to 8 and find that views mix within tens of shuffles.
            shuffle: Some(Shuffle { length: 8, period: Duration::from_secs(10) }),
            // Jelasity et al. 2007, section 5: c = 30 at 10⁴ peers.
            view_max: 30,
        }
    }

    fn check(&self) {
        assert!(self.view_max > 0, "there is room for somebody to talk to");
        assert!(self.view_max <= LINKS_MAX, "the view is bounded");
        if let Some(shuffle) = self.shuffle {
            assert!(shuffle.length > 0, "a shuffle sends the peer itself");
            assert!(shuffle.length <= DESCRIPTORS_MAX, "a shuffle fits into a message");
        }
    }
}

/// The machine.
#[derive(Debug)]
#[repr(C)]
pub struct Rumour<T: Parcel> {
    intake: Intake<T>,
    view: View<u32>,
    /// In order; whom the view begins again with if it has come to be empty.
    links: Vec<PeerId>,
    /// Oldest first.
    known: Vec<Known<T>>,
    bytes: usize,
    wanted: Vec<(Id, Time)>,
    is_pending: bool,
    beat: Beat,
    shuffles: Option<(Beat, usize)>,
    /// Apart: what each step looks at shall lie together.
    params: Box<Params>,
}

/// A rumour.
#[derive(Debug)]
struct Known<T> {
    id: Id,
    item: T,
    bytes: usize,
    /// Contacts that knew it already.
    misses: u32,
    /// Rounds since it is known.
    rounds: u32,
    /// Since which of these rounds it is not told any more, though still given to who asks for it.
    cold: Option<u32>,
}

/// Rumours that are kept, hot or cold; the oldest gives way.
pub const RUMOURS_MAX: usize = 256;
/// Bytes of rumours that are kept; the oldest give way. Sixteen blocks of the largest size that a chain may allow.
pub const RUMOURS_BYTES_MAX: usize = 64 << 20;

/// A cold rumour is given for so many rounds to who was told of it while it was hot.
const COLD_ROUNDS: u32 = 3;

impl<T: Parcel> Rumour<T> {
    /// The peers that it may talk to.
    pub fn view(&self) -> impl Iterator<Item = PeerId> {
        self.view.peers().map(PeerId)
    }

    fn on_command(&mut self, now: Time, command: Command<T>, out: &mut Out<Self>) {
        match command {
            Command::Publish(item) => {
                let id = item.fingerprint();
                if self.intake.publish(now, id, ACCEPTED) {
                    self.learn(now, id, item, out);
                }
            }
            Command::Verdict { id, verdict } => self.on_verdict(now, id, verdict, out),
        }
    }

    fn on_verdict(&mut self, now: Time, id: Id, verdict: Verdict, out: &mut Out<Self>) {
        if let Some((_, item)) = self.intake.verdict(now, id, verdict, ACCEPTED) {
            self.learn(now, id, item, out);
        }
    }

    fn learn(&mut self, now: Time, id: Id, item: T, out: &mut Out<Self>) {
        let bytes = item.encoded_len();
        self.bytes += bytes;
        self.known.push(Known { id, item, bytes, misses: 0, rounds: 0, cold: None });
        let mut bytes_over = self.bytes.saturating_sub(RUMOURS_BYTES_MAX);
        let mut count_over = self.known.len().saturating_sub(RUMOURS_MAX);
        self.retain(|rumour| {
            let is_over = bytes_over > 0 || count_over > 0;
            bytes_over = bytes_over.saturating_sub(rumour.bytes);
            count_over = count_over.saturating_sub(1);
            !is_over
        });
        self.plan(now, out);
    }

    fn on_message(&mut self, now: Time, from: PeerId, message: Message<T>, out: &mut Out<Self>) {
        match message {
            Message::IHave(ids) => self.on_ihave(now, from, ids, out),
            Message::IWant(ids) => self.on_iwant(from, &ids, out),
            Message::Known(ids) => self.on_known(from, &ids, out),
            Message::Pull => self.tell(from, out),
            Message::Push(item) => self.on_push(now, from, item, out),
            Message::Shuffle(theirs) => self.on_shuffle(from, &theirs, out),
            Message::Shuffled(theirs) => self.on_shuffled(from, &theirs, out),
            Message::Graft | Message::Prune => out.reject(from, Reject::Unsolicited),
        }
    }

    /// Who pushed in vain is told so, where that makes it lose interest. Having asked for it, we keep silent.
    fn on_push(&mut self, now: Time, from: PeerId, item: T, out: &mut Out<Self>) {
        let id = item.fingerprint();
        match self.intake.arrive(now, from, item) {
            Some(arrived) => {
                self.wanted.retain(|(wanted, _)| *wanted != id);
                out.emit(arrived);
            }
            None if self.gives_feedback() && !self.params.lazy => out.send(from, Message::Known(vec![id])),
            None => {}
        }
    }

    fn on_ihave(&mut self, now: Time, from: PeerId, mut ids: Vec<Id>, out: &mut Out<Self>) {
        if ids.len() > RUMOURS_MAX {
            return out.reject(from, Reject::Oversized);
        }
        let mut known = Vec::new();
        self.wanted.retain(|&(_, until)| now < until);
        let until = now + self.params.period;
        ids.retain(|&id| {
            if self.intake.get(now, &id).is_some() {
                known.push(id);
                return false;
            }
            // It is under way from somebody else.
            if self.wanted.len() >= RUMOURS_MAX || self.wanted.iter().any(|(wanted, _)| *wanted == id) {
                return false;
            }
            self.wanted.push((id, until));
            true
        });
        if !known.is_empty() && self.gives_feedback() {
            out.send(from, Message::Known(known));
        }
        if !ids.is_empty() {
            out.send(from, Message::IWant(ids));
        }
    }

    /// Each rumour is given once for a request, however often it names it.
    fn on_iwant(&mut self, from: PeerId, ids: &[Id], out: &mut Out<Self>) {
        if ids.len() > RUMOURS_MAX {
            return out.reject(from, Reject::Oversized);
        }
        for rumour in self.known.iter().filter(|rumour| ids.contains(&rumour.id)) {
            out.send(from, Message::Push(rumour.item.clone()));
        }
    }

    fn on_known(&mut self, from: PeerId, ids: &[Id], out: &mut Out<Self>) {
        if ids.len() > RUMOURS_MAX {
            return out.reject(from, Reject::Oversized);
        }
        let Interest::Counter(misses_max) = self.params.interest else { return };
        for rumour in self.known.iter_mut().filter(|rumour| rumour.cold.is_none() && ids.contains(&rumour.id)) {
            rumour.misses += 1;
            if rumour.misses >= misses_max {
                rumour.cold = Some(rumour.rounds);
            }
        }
    }

    /// Tells a peer what is hot.
    fn tell(&mut self, to: PeerId, out: &mut Out<Self>) {
        let hot = self.known.iter().filter(|rumour| rumour.cold.is_none());
        if self.params.lazy {
            let ids: Vec<Id> = hot.map(|rumour| rumour.id).collect();
            if !ids.is_empty() {
                out.send(to, Message::IHave(ids));
            }
        } else {
            hot.for_each(|rumour| out.send(to, Message::Push(rumour.item.clone())));
        }
    }

    fn on_round(&mut self, now: Time, out: &mut Out<Self>) {
        self.is_pending = false;
        self.refill();
        if let Some(partner) = self.view.pick(&mut self.params.rng).map(PeerId) {
            match self.params.mode {
                Mode::Pull => out.send(partner, Message::Pull),
                Mode::Push => self.tell(partner, out),
                Mode::PushPull => {
                    self.tell(partner, out);
                    out.send(partner, Message::Pull);
                }
            }
            self.grow_old();
        }
        self.plan(now, out);
    }

    fn grow_old(&mut self) {
        let interest = self.params.interest;
        self.retain(|rumour| {
            rumour.rounds = rumour.rounds.saturating_add(1);
            if let Interest::Rounds(rounds) = interest
                && rumour.rounds >= rounds
                && rumour.cold.is_none()
            {
                rumour.cold = Some(rumour.rounds);
            }
            rumour.cold.is_none_or(|since| rumour.rounds - since < COLD_ROUNDS)
        });
    }

    fn on_shuffle_timer(&mut self, now: Time, out: &mut Out<Self>) {
        let Some((beat, length)) = self.shuffles else { return };
        out.set(Timer::Shuffle, beat.after(now));
        self.refill();
        if let Some((peer, descriptors)) = self.view.ask(length, &mut self.params.rng) {
            out.send(PeerId(peer), Message::Shuffle(descriptors));
        }
    }

    fn on_shuffle(&mut self, from: PeerId, theirs: &[Descriptor], out: &mut Out<Self>) {
        if theirs.len() > DESCRIPTORS_MAX {
            return out.reject(from, Reject::Oversized);
        }
        let Some((_, length)) = self.shuffles else { return out.reject(from, Reject::Unsolicited) };
        let ours = self.view.answer(theirs, length, &mut self.params.rng);
        out.send(from, Message::Shuffled(ours));
    }

    fn on_shuffled(&mut self, from: PeerId, theirs: &[Descriptor], out: &mut Out<Self>) {
        if theirs.len() > DESCRIPTORS_MAX {
            return out.reject(from, Reject::Oversized);
        }
        if !self.view.finish(from.0, theirs) {
            out.reject(from, Reject::Unsolicited);
        }
    }

    fn on_peer_up(&mut self, now: Time, peer: PeerId, out: &mut Out<Self>) {
        if let Err(place) = self.links.binary_search(&peer)
            && self.links.len() < LINKS_MAX
        {
            self.links.insert(place, peer);
            self.view.meet(peer.0, &mut self.params.rng);
            self.plan(now, out);
        }
    }

    fn on_peer_down(&mut self, peer: PeerId) {
        if let Ok(place) = self.links.binary_search(&peer) {
            self.links.remove(place);
        }
        self.view.retain(|other| other != peer.0);
    }

    fn refill(&mut self) {
        if self.view.is_empty() {
            self.links.iter().for_each(|&link| self.view.meet(link.0, &mut self.params.rng));
        }
    }

    /// Sets the next round, if there is a reason for one and somebody to talk to.
    fn plan(&mut self, now: Time, out: &mut Out<Self>) {
        let asks = match self.params.mode {
            Mode::Pull | Mode::PushPull => true,
            Mode::Push => false,
        };
        let is_alone = self.view.is_empty() && self.links.is_empty();
        if !self.is_pending && !is_alone && (asks || !self.known.is_empty()) {
            self.is_pending = true;
            out.set(Timer::Round, self.beat.after(now));
        }
    }

    const fn gives_feedback(&self) -> bool {
        matches!(self.params.interest, Interest::Counter(_))
    }

    fn retain(&mut self, mut keep: impl FnMut(&mut Known<T>) -> bool) {
        self.known.retain_mut(|rumour| keep(rumour));
        self.bytes = self.known.iter().map(|rumour| rumour.bytes).sum();
        if self.known.is_empty() {
            self.known = Vec::new();
        }
    }
}

/// Rumours are few and found by their id, so all stand at the same place.
const ACCEPTED: Place = Place::Some(core::num::NonZeroU32::MIN);

impl<T: Parcel> Protocol for Rumour<T> {
    type Params = Params;
    type Message = Message<T>;
    type Timer = Timer;
    type Command = Command<T>;
    type Event = Event<T>;
    type Record = Record;

    fn restore(mut params: Params, _: impl Iterator<Item = (Key, Record)>) -> Self {
        params.check();
        let beat = match params.phase {
            Phase::Aligned => Beat::aligned(params.period),
            Phase::Random => Beat::random(params.period, &mut params.rng),
        };
        let shuffles = params.shuffle.map(|shuffle| (Beat::random(shuffle.period, &mut params.rng), shuffle.length));
        Self {
            intake: Intake::new(&mut params.rng),
            view: View::new(params.own.0, params.view_max),
            links: Vec::new(),
            known: Vec::new(),
            bytes: 0,
            wanted: Vec::new(),
            is_pending: false,
            beat,
            shuffles,
            params: Box::new(params),
        }
    }

    fn start(&mut self, now: Time, out: &mut Out<Self>) {
        if let Some((beat, _)) = self.shuffles {
            out.set(Timer::Shuffle, beat.after(now));
        }
    }

    fn handle(&mut self, now: Time, input: Input<Self>, out: &mut Out<Self>) {
        self.intake.begin();
        match input {
            Input::Command(command) => self.on_command(now, command, out),
            Input::Message { from, message } => self.on_message(now, from, message, out),
            Input::PeerDown(peer) => self.on_peer_down(peer),
            Input::PeerUp(peer) => self.on_peer_up(now, peer, out),
            Input::Timer(Timer::Round) => self.on_round(now, out),
            Input::Timer(Timer::Shuffle) => self.on_shuffle_timer(now, out),
        }
    }

    /// 1. Known and waiting items, the view, links, rumours and requests are bounded.
    fn check(&self) {
        if self.intake.is_idle() {
            return;
        }
        self.intake.check();
        self.view.check();
        assert!(self.links.len() <= LINKS_MAX, "links are bounded");
        assert!(self.known.len() <= RUMOURS_MAX, "rumours are bounded");
        assert!(self.bytes <= RUMOURS_BYTES_MAX, "rumours are bounded in bytes");
        assert!(self.wanted.len() <= RUMOURS_MAX, "requests are bounded");
    }
}

#[cfg(test)]
mod tests;
