//! What the event loop's tests share: a protocol that does what it is told and tells what it sees, and an owner who
//! writes it down.

use std::cell::RefCell;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use synod_machine::{Bytes, Glance, Input, Key, Out, PeerId, Protocol, Time, Wire};

use crate::model::{Graph, Links, Topology};
use crate::{Experiment, NetOf, Setup, Tail, World};

/// A message of a size. It is answered as often as it has hops left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Note {
    pub(crate) number: u32,
    pub(crate) hops: u32,
    pub(crate) size: u32,
}

impl Wire for Note {
    const BYTES_MAX: usize = 32;

    fn kind(&self) -> &'static str {
        if self.hops > 0 { "ping" } else { "note" }
    }

    fn encoded_len(&self) -> usize {
        self.size as usize
    }
}

/// What a record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Value(pub(crate) u32);

impl Wire for Value {
    const BYTES_MAX: usize = 8;

    fn kind(&self) -> &'static str {
        "value"
    }
}

/// One effect that a toy is told to have.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    Broadcast(Vec<u32>, Note),
    Keep(u8, u32),
    Say(u32),
    Send(u32, Note),
    Set(u32, Duration),
}

/// What a toy's owner is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Down(u32),
    Note(u32, u32),
    Rang(u32, Time),
    Restored(Vec<u32>),
    Said(u32),
    Up(u32),
}

/// Does what it is told and tells what it sees.
pub(crate) struct Toy {
    kept: Vec<u32>,
    /// Which messages it was asked about ahead of their turn, and how often before.
    foreseen: RefCell<Vec<(u32, Glance)>>,
}

impl Protocol for Toy {
    type Params = ();
    type Message = Note;
    type Timer = u32;
    type Command = Vec<Act>;
    type Event = Seen;
    type Record = Value;

    fn restore((): (), disk: impl Iterator<Item = (Key, Value)>) -> Self {
        Self { kept: disk.map(|(_, value)| value.0).collect(), foreseen: RefCell::default() }
    }

    fn start(&mut self, _: Time, out: &mut Out<Self>) {
        out.emit(Seen::Restored(self.kept.clone()));
    }

    fn handle(&mut self, now: Time, input: Input<Self>, out: &mut Out<Self>) {
        match input {
            Input::Command(acts) => {
                for act in acts {
                    self.act(now, act, out);
                }
            }
            Input::Message { from, message } => {
                out.emit(Seen::Note(from.0, message.number));
                if let Some(hops) = message.hops.checked_sub(1) {
                    out.send(from, Note { hops, ..message });
                }
            }
            Input::PeerDown(peer) => out.emit(Seen::Down(peer.0)),
            Input::PeerUp(peer) => out.emit(Seen::Up(peer.0)),
            Input::Timer(timer) => out.emit(Seen::Rang(timer, now)),
        }
    }

    fn foresee(&self, message: &Note, glance: Glance, _: impl FnMut(*const u8)) {
        self.foreseen.borrow_mut().push((message.number, glance));
    }
}

impl Toy {
    /// What it was asked about ahead of its turn.
    pub(crate) fn foreseen(&self) -> Vec<(u32, Glance)> {
        self.foreseen.borrow().clone()
    }

    fn act(&self, now: Time, act: Act, out: &mut Out<Self>) {
        match act {
            Act::Broadcast(to, note) => out.broadcast(to.into_iter().map(PeerId).collect(), note),
            Act::Keep(name, value) => out.persist(Key::new(1, Bytes([name; 32])), Value(value)),
            Act::Say(number) => out.emit(Seen::Said(number)),
            Act::Send(to, note) => out.send(PeerId(to), note),
            Act::Set(timer, wait) => out.set(timer, now + wait),
        }
    }
}

/// The toys' owner.
#[derive(Default)]
pub(crate) struct Bench {
    /// What was seen: the true time, by whom, what.
    pub(crate) seen: Vec<(Time, u32, Seen)>,
    /// Who says this crashes over it.
    pub(crate) crash_over: Option<(u32, Tail)>,
    /// Whose timer of this name rings is paused over it.
    pub(crate) pause_over: Option<u32>,
}

impl Experiment for Bench {
    type Protocol = Toy;
    type Alarm = ();

    fn params(&mut self, _: &NetOf<Self>, _: PeerId) {}

    fn on_alarm(&mut self, _: &mut NetOf<Self>, (): ()) {}

    fn on_event(&mut self, net: &mut NetOf<Self>, peer: PeerId, event: Seen) {
        if let (&Seen::Said(said), Some((number, tail))) = (&event, self.crash_over)
            && said == number
        {
            net.crash(peer, tail);
        }
        if matches!(&event, Seen::Rang(timer, _) if self.pause_over == Some(*timer)) {
            net.pause(peer);
        }
        self.seen.push((net.now(), peer.0, event));
    }
}

/// Links from their form in a scenario.
pub(crate) fn setup(seed: u64, graph: Graph, links: &str) -> Setup {
    let links: Links = toml::from_str(links).expect("the form is right");
    let links = links.compile(seed, |_| panic!("no file is named")).expect("the links are right");
    Setup { seed, graph, links, disk_sync: Duration::ZERO, codec: false }
}

/// Everybody linked with everybody.
pub(crate) fn complete(peers: u32) -> Graph {
    let mut rng = synod_machine::Rng::new(0, 0, "complete");
    Topology::Complete {}.build(peers, &mut rng, |_| panic!("no file is named")).expect("the graph is right")
}

/// A world whose peers were all started at time zero, a second later, when they are connected.
pub(crate) fn world(setup: Setup) -> World<Bench> {
    let mut world = World::new(setup, Bench::default());
    begin(&mut world);
    world
}

/// Starts all peers and goes on for a second.
pub(crate) fn begin(world: &mut World<Bench>) {
    let net = world.net_mut();
    for peer in net.peers() {
        net.start(Time::ZERO, peer);
    }
    pass(world, BEGUN.since(Time::ZERO));
}

/// When a toy world has begun.
pub(crate) const BEGUN: Time = Time::from_secs(1);

/// A note without hops.
pub(crate) const fn note(number: u32) -> Note {
    Note { number, hops: 0, size: 100 }
}

/// Has a peer do something now.
pub(crate) fn tell(world: &mut World<Bench>, peer: u32, acts: &[Act]) {
    let now = world.net().now();
    world.net_mut().command(now, PeerId(peer), acts.to_vec());
}

/// Goes on for a span.
pub(crate) fn pass(world: &mut World<Bench>, span: Duration) {
    let until = world.net().now() + span;
    // Where nothing is left to happen the time would stay where it was.
    world.net_mut().alarm(until, ());
    world.run(until, u64::MAX);
}

/// What a peer saw since the world had begun, and how many milliseconds of true time after that.
pub(crate) fn seen_by(world: &World<Bench>, peer: u32) -> Vec<(u64, Seen)> {
    let seen = world.experiment().seen.iter().filter(|(at, by, _)| *by == peer && *at >= BEGUN);
    seen.map(|(at, _, seen)| ((at.0 - BEGUN.0) / 1_000_000, seen.clone())).collect()
}

/// The numbers of the notes that a peer received, in order.
pub(crate) fn notes_of(world: &World<Bench>, peer: u32) -> Vec<u32> {
    let numbers = world.experiment().seen.iter().filter_map(|(_, by, seen)| match seen {
        Seen::Note(_, number) if *by == peer => Some(*number),
        Seen::Down(_) | Seen::Note(..) | Seen::Rang(..) | Seen::Restored(_) | Seen::Said(_) | Seen::Up(_) => None,
    });
    numbers.collect()
}
