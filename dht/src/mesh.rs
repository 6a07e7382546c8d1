//! The idea of gossipsub v1.1 with one topic: items are pushed at once along a mesh of bounded degree, and what the mesh missed
//! is pulled by id over the other links (libp2p/specs, `pubsub/gossipsub/gossipsub-v1.0.md` and `-v1.1.md`; Vyzovitis et
//! al. 2020, "GossipSub: attack-resilient message propagation in the Filecoin and ETH2.0 networks").
//!
//! It has the mesh with its back-off, the heartbeat, flood publishing, and the limits on lists and requests. It does not have
//! scores and what hangs on them (opportunistic grafting, the outbound quota), exchange of peers on `PRUNE`, fan-out
//! for topics that one is not in, nor v1.2's `IDONTWANT`.
//!
//! It is quiet when idle: a heartbeat is pending only while the mesh wants repair or something is offered or asked for, so
//! that ten thousand simulated peers at rest cost nothing.

mod history;
mod links;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

use synod_machine::{Input, Key, Out, PeerId, Protocol, Reject, Rng, Time};

use self::history::{Answer, History};
use self::links::Links;
use crate::gossip::{Beat, Command, IDS_MAX, Id, Intake, Message, Parcel, Record, Timer, Verdict};

/// Checked configuration.
#[derive(Clone, Debug)]
pub struct Params {
    /// After a `PRUNE` neither side grafts the other for so long.
    pub back_off: Duration,
    /// Links in the mesh: fewer are filled up …
    pub degree_low: usize,
    /// … to this many, and more than the next are cut back to it.
    pub degree: usize,
    /// Above this many, peers are pruned, and a `GRAFT` is refused from this many on.
    pub degree_high: usize,
    /// Whether an item of the owner's goes to all links and not to the mesh alone.
    pub flood_publish: bool,
    /// An item is offered at so many heartbeats.
    pub gossip_beats: u64,
    /// The time between heartbeats.
    pub heartbeat: Duration,
    /// An item can be asked for until so many heartbeats have passed.
    pub history_beats: u64,
    /// Bytes of items that can be asked for; the oldest go first.
    pub history_bytes_max: usize,
    /// Items are offered to so many links outside the mesh, if there are as many …
    pub lazy_min: usize,
    /// … or to one in this many, if those are more.
    pub lazy_one_in: usize,
    /// A peer is sent the same item on request so often.
    pub retransmissions_max: u8,
    /// The stream that choices are drawn from.
    pub rng: Rng,
    /// An id that was asked for is asked for again, of whoever offers it then, after so long.
    pub want_time: Duration,
}

impl Params {
    /// What gossipsub uses. Where nothing else is said, it is the specification's (v1.0, "Parameters"; v1.1, "Overview of
    /// New Parameters"), which rust-libp2p's `Config::default()` follows.
    pub const fn new(rng: Rng) -> Self {
        Self {
            back_off: Duration::from_secs(60),
            degree_low: 5, // rust-libp2p and go-libp2p; the specification recommends 4 to 5.
            degree: 6,
            degree_high: 12,
            flood_publish: true,
            gossip_beats: 3,
            heartbeat: Duration::from_secs(1),
            history_beats: 5,
            // gossipsub has no such bound; this is sixteen blocks of the largest size that a chain may allow.
            history_bytes_max: 64 << 20,
            lazy_min: 6,
            lazy_one_in: 4, // The gossip factor of 0.25.
            retransmissions_max: 3,
            rng,
            // A heartbeat: when the next offer comes, the last request is overdue. gossipsub asks everybody who offers.
            want_time: Duration::from_secs(1),
        }
    }

    fn check(&self) {
        assert!(self.degree_low <= self.degree, "a mesh is filled up beyond its lower bound");
        assert!(self.degree <= self.degree_high, "a mesh is cut back below its upper bound");
        assert!(self.gossip_beats <= self.history_beats, "what is offered can be asked for");
        assert!(self.history_beats > 0, "what is accepted can be asked for");
        assert!(self.lazy_one_in > 0, "a share is of something");
    }
}

/// The machine.
#[derive(Debug)]
#[repr(C)]
pub struct Mesh<T: Parcel> {
    intake: Intake<T>,
    links: Links,
    history: History<T>,
    wanted: BTreeMap<Id, Wanted>,
    /// When the pending heartbeat is due.
    beat_at: Option<Time>,
    /// When heartbeats fall.
    beat: Beat,
    /// Apart: what each step looks at shall lie together.
    params: Box<Params>,
}

/// What was asked for and has not come.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    from: PeerId,
    until: Time,
}

/// Ids asked for at one time: what one peer may offer in one heartbeat.
pub const WANTED_MAX: usize = IDS_MAX;
/// `IHAVE`s, and likewise `IWANT`s, of one peer between two heartbeats: gossipsub v1.1's limit for `IHAVE`s.
pub const LISTS_MAX: u8 = 10;

impl<T: Parcel> Mesh<T> {
    /// How many links are in the mesh.
    pub const fn degree(&self) -> usize {
        self.links.grafted()
    }

    fn on_command(&mut self, now: Time, command: Command<T>, out: &mut Out<Self>) {
        match command {
            Command::Publish(item) => self.on_publish(now, item, out),
            Command::Verdict { id, verdict } => self.on_verdict(now, id, verdict, out),
        }
    }

    fn on_publish(&mut self, now: Time, item: T, out: &mut Out<Self>) {
        let id = item.fingerprint();
        if !self.intake.publish(now, id, self.history.next()) {
            return;
        }
        self.wanted.remove(&id);
        let to = if self.params.flood_publish { self.links.all() } else { self.links.mesh(None) };
        self.spread(now, to, id, item, out);
    }

    fn on_verdict(&mut self, now: Time, id: Id, verdict: Verdict, out: &mut Out<Self>) {
        let Some((from, item)) = self.intake.verdict(now, id, verdict, self.history.next()) else { return };
        let to = self.links.mesh(Some(from));
        self.spread(now, to, id, item, out);
    }

    fn spread(&mut self, now: Time, to: Vec<PeerId>, id: Id, item: T, out: &mut Out<Self>) {
        self.history.put(self.beat.count(now), id, item.clone(), self.params.history_bytes_max);
        out.broadcast(to, Message::Push(item));
        self.plan(now, out);
    }

    fn on_message(&mut self, now: Time, from: PeerId, message: Message<T>, out: &mut Out<Self>) {
        match message {
            Message::Graft => self.on_graft(now, from, out),
            Message::IHave(ids) => self.on_ihave(now, from, ids, out),
            Message::IWant(ids) => self.on_iwant(now, from, &ids, out),
            Message::Prune => self.on_prune(now, from, out),
            Message::Push(item) => self.on_push(now, from, item, out),
            Message::Known(_) | Message::Pull | Message::Shuffle(_) | Message::Shuffled(_) => {
                out.reject(from, Reject::Unsolicited);
            }
        }
    }

    fn on_push(&mut self, now: Time, from: PeerId, item: T, out: &mut Out<Self>) {
        let Some(arrived) = self.intake.arrive(now, from, item) else { return };
        if !self.wanted.is_empty() {
            let crate::gossip::Event::Arrived { id, .. } = &arrived;
            self.wanted.remove(id);
        }
        out.emit(arrived);
    }

    /// v1.1, "Prune Backoff": who grafts too early is told so again and waits from the start. An honest peer does it only
    /// when its `GRAFT` crosses our `PRUNE`.
    fn on_graft(&mut self, now: Time, from: PeerId, out: &mut Out<Self>) {
        let is_full = self.links.grafted() >= self.params.degree_high;
        let Some(link) = self.links.get_mut(from) else { return };
        if link.is_grafted() {
            return;
        }
        let is_early = now < link.barred_until;
        if is_early {
            out.reject(from, Reject::TooMany);
        }
        if is_early || is_full {
            link.barred_until = now + self.params.back_off;
            return out.send(from, Message::Prune);
        }
        self.links.graft(from);
        self.plan(now, out);
    }

    fn on_prune(&mut self, now: Time, from: PeerId, out: &mut Out<Self>) {
        self.links.prune(from, now + self.params.back_off);
        self.plan(now, out);
    }

    fn on_ihave(&mut self, now: Time, from: PeerId, mut ids: Vec<Id>, out: &mut Out<Self>) {
        let beat = self.beat.count(now);
        let Some(link) = self.links.get_mut(from) else { return };
        if ids.len() > IDS_MAX {
            return out.reject(from, Reject::Oversized);
        }
        let counts = link.counts(beat);
        if counts.ihaves == LISTS_MAX {
            return out.reject(from, Reject::TooMany);
        }
        counts.ihaves += 1;
        let until = now + self.params.want_time;
        ids.retain(|&id| {
            if usize::from(counts.asked) == IDS_MAX || self.intake.get(now, &id).is_some() {
                return false;
            }
            let is_full = self.wanted.len() >= WANTED_MAX;
            match self.wanted.get_mut(&id) {
                Some(wanted) if now < wanted.until => return false,
                Some(wanted) => *wanted = Wanted { from, until },
                None if is_full => return false,
                None => drop(self.wanted.insert(id, Wanted { from, until })),
            }
            counts.asked += 1;
            true
        });
        if !ids.is_empty() {
            out.send(from, Message::IWant(ids));
            self.plan(now, out);
        }
    }

    fn on_iwant(&mut self, now: Time, from: PeerId, ids: &[Id], out: &mut Out<Self>) {
        let beat = self.beat.count(now);
        let Some(link) = self.links.get_mut(from) else { return };
        if ids.len() > IDS_MAX {
            return out.reject(from, Reject::Oversized);
        }
        let counts = link.counts(beat);
        if counts.iwants == LISTS_MAX {
            return out.reject(from, Reject::TooMany);
        }
        counts.iwants += 1;
        let mut refused = false;
        for id in ids {
            let place = self.intake.get(now, id).flatten();
            match self.history.ask(place, id, from, self.params.retransmissions_max) {
                Answer::Gone => {}
                Answer::Here(item) => out.send(from, Message::Push(item)),
                Answer::TooOften => refused = true,
            }
        }
        if refused {
            out.reject(from, Reject::TooMany);
        }
    }

    /// A mesh that wants links takes a new one in at once, as rust-libp2p's does when a peer subscribes: a peer that has just
    /// come would otherwise hear and forward nothing until its first heartbeat.
    fn on_peer_up(&mut self, now: Time, peer: PeerId, out: &mut Out<Self>) {
        if self.links.insert(peer) && self.links.grafted() < self.params.degree_low {
            self.links.graft(peer);
            out.send(peer, Message::Graft);
        }
        self.plan(now, out);
    }

    /// What the peer was asked for is asked of the next who offers it.
    fn on_peer_down(&mut self, now: Time, peer: PeerId, out: &mut Out<Self>) {
        self.links.remove(peer);
        self.wanted.retain(|_, wanted| wanted.from != peer);
        self.plan(now, out);
    }

    /// The heartbeat of v1.0: mesh maintenance, then gossip, then the history moves on.
    fn on_beat(&mut self, now: Time, out: &mut Out<Self>) {
        self.beat_at = None;
        self.mend(now, out);
        let beat = self.beat.count(now);
        self.offer(beat, out);
        self.history.forget((beat + 1).saturating_sub(self.params.history_beats));
        self.wanted.retain(|_, wanted| now < wanted.until);
        self.plan(now, out);
    }

    fn mend(&mut self, now: Time, out: &mut Out<Self>) {
        let grafted = self.links.grafted();
        if grafted < self.params.degree_low {
            let mut fit = self.links.graftable(now);
            choose(&mut self.params.rng, &mut fit, self.params.degree - grafted);
            for &peer in &fit {
                self.links.graft(peer);
            }
            out.broadcast(fit, Message::Graft);
        }
        if grafted > self.params.degree_high {
            let mut surplus = self.links.mesh(None);
            choose(&mut self.params.rng, &mut surplus, grafted - self.params.degree);
            for &peer in &surplus {
                self.links.prune(peer, now + self.params.back_off);
            }
            out.broadcast(surplus, Message::Prune);
        }
    }

    fn offer(&mut self, beat: u64, out: &mut Out<Self>) {
        let ids = self.history.since(beat.saturating_sub(self.params.gossip_beats));
        if ids.is_empty() || !self.links.has_outside() {
            return;
        }
        let mut to = self.links.outside();
        let wanted = self.params.lazy_min.max(to.len() / self.params.lazy_one_in);
        choose(&mut self.params.rng, &mut to, wanted);
        out.broadcast(to, Message::IHave(ids));
    }

    /// Sets or drops the deadline of the next heartbeat. A pending one that comes early enough stays.
    fn plan(&mut self, now: Time, out: &mut Out<Self>) {
        let wanted = self.next_beat(now);
        match (wanted, self.beat_at) {
            (None, None) => return,
            (None, Some(_)) => out.cancel(Timer::Round),
            (Some(at), Some(pending)) if pending <= at => return,
            (Some(at), None | Some(_)) => out.set(Timer::Round, at),
        }
        self.beat_at = wanted;
    }

    /// The next heartbeat that has something to do. Those between the last offer of an item and its end have not.
    fn next_beat(&self, now: Time) -> Option<Time> {
        let next = self.beat.after(now);
        let grafted = self.links.grafted();
        if !self.wanted.is_empty() || grafted > self.params.degree_high {
            return Some(next);
        }
        let graft = match self.links.graftable_from() {
            Some(from) if grafted < self.params.degree_low => Some(self.beat.after(from.max(now))),
            Some(_) | None => None,
        };
        let gossip = self.history.beats().map(|(oldest, youngest)| {
            let is_offered = self.beat.count(now) < youngest + self.params.gossip_beats && self.links.has_outside();
            if is_offered { next } else { self.beat.moment(oldest + self.params.history_beats) }
        });
        [graft, gossip].into_iter().flatten().min()
    }
}

/// Leaves `count` of them, drawn at random.
fn choose(rng: &mut Rng, peers: &mut Vec<PeerId>, count: usize) {
    for chosen in 0..count.min(peers.len()) {
        let other = chosen + rng.below((peers.len() - chosen) as u64) as usize;
        peers.swap(chosen, other);
    }
    peers.truncate(count);
}

impl<T: Parcel> Protocol for Mesh<T> {
    type Params = Params;
    type Message = Message<T>;
    type Timer = Timer;
    type Command = Command<T>;
    type Event = crate::gossip::Event<T>;
    type Record = Record;

    fn restore(mut params: Params, _: impl Iterator<Item = (Key, Record)>) -> Self {
        params.check();
        let beat = Beat::random(params.heartbeat, &mut params.rng);
        Self {
            intake: Intake::new(&mut params.rng),
            links: Links::new(),
            history: History::new(),
            wanted: BTreeMap::new(),
            beat_at: None,
            beat,
            params: Box::new(params),
        }
    }

    fn start(&mut self, _: Time, _: &mut Out<Self>) {}

    fn handle(&mut self, now: Time, input: Input<Self>, out: &mut Out<Self>) {
        self.intake.begin();
        match input {
            Input::Command(command) => self.on_command(now, command, out),
            Input::Message { from, message } => self.on_message(now, from, message, out),
            Input::PeerDown(peer) => self.on_peer_down(now, peer, out),
            Input::PeerUp(peer) => self.on_peer_up(now, peer, out),
            Input::Timer(Timer::Round) => self.on_beat(now, out),
            // It sets none.
            Input::Timer(Timer::Shuffle) => {}
        }
    }

    /// 1. Known and waiting items, links, history and requests are bounded. 2. A heartbeat is pending while something is
    ///    offered or asked for, so that neither stays for ever. 3. The mesh is among the links.
    fn check(&self) {
        if self.intake.is_idle() {
            return;
        }
        self.intake.check();
        self.links.check();
        assert!(self.history.bytes() <= self.params.history_bytes_max, "the history is bounded");
        assert!(self.wanted.len() <= WANTED_MAX, "requests are bounded");
        assert!(self.history.is_empty() || self.beat_at.is_some(), "the history moves on");
        assert!(self.wanted.is_empty() || self.beat_at.is_some(), "requests expire");
    }
}

#[cfg(test)]
mod tests;
