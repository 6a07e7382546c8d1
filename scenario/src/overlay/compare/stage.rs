//! The three kinds of networks, each built by what is there for it, with the few things that are done to any of them.

use std::collections::BTreeMap;
use std::time::Duration;

use synod_dht::discovery::{QUORUM, key_for};
use synod_dht::overlay::{Entry, Id, Query, Quorum};
use synod_dht::search::Question;
use synod_dht::{Chord, Kademlia, Node};
use synod_machine::{Count, Counters, PeerId, Time, wire};
use synod_sim::{NetOf, World};

use super::super::cause::{PUBLICATION, QUESTION, Traced};
use super::super::chord::{Lab, Setting, Told as Said};
use super::super::kademlia::{Answer, Network, Plan, compiled};
use super::super::search::{self, Crowd, Deed as CrowdDeed, Mode, SEARCH, road, settling};
use super::Terms;
use super::script::{Ask, Deed, Script};

/// A copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Holding {
    /// Whose it is.
    pub(super) holder: PeerId,
    /// The rank of what it is a copy of.
    pub(super) thing: usize,
}

/// Something that an asker was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) at: Time,
    pub(super) holder: PeerId,
    pub(super) hops: u32,
}

/// A network that is asked.
pub(super) trait Stage {
    /// Whether holders store entries before questions are put.
    const STORES: bool;

    fn now(&self) -> Time;
    fn run(&mut self, until: Time);
    /// Has a holder store its entry now.
    fn store(&mut self, holding: Holding, script: &Script);
    /// Does it at `at`, up to which the network has run.
    fn act(&mut self, at: Time, deed: Deed, script: &Script);
    fn counters(&self) -> &Counters;
    /// What was sent so far to ask and to answer.
    fn search(&self) -> Count;
    /// What was sent so far to store entries.
    fn publication(&self) -> Count;
    /// Messages by receiver.
    fn received(&self) -> Vec<u64>;
    /// What was told, by question, in order.
    fn told(&mut self) -> Vec<Vec<Told>>;
    fn digest(&self) -> u64;
}

/// One replica that knows a holder is enough: the asker asks the holder next.
const READ: Quorum = match Quorum::new(1, QUORUM.replicas()) {
    Ok(quorum) => quorum,
    Err(_) => panic!("one of some is a quorum"),
};

fn question(script: &Script, thing: usize) -> Question {
    Question::Name(script.content.things[thing].name.clone())
}

/// Where in a table it stands who has a thing: as on real peers, under the hash of its name.
fn key(script: &Script, thing: usize) -> Id {
    key_for(&question(script, thing))
}

/// What stands there beside the holder: what a search's hit says.
fn value(script: &Script, thing: usize) -> Vec<u8> {
    wire::encode(&script.content.things[thing])
}

fn received<E: synod_sim::Experiment>(net: &NetOf<E>) -> Vec<u64> {
    net.peers().map(|peer| net.passed(peer).received.messages).collect()
}

/// Peers by where they stand: what a publisher's identifier says of it.
fn peers_by_id(peers: u32, node: impl Fn(PeerId) -> Node) -> BTreeMap<Id, PeerId> {
    (0..peers).map(PeerId).map(|peer| (node(peer).id, peer)).collect()
}

fn told(at: Time, entries: &[Entry], hops: u32, peers: &BTreeMap<Id, PeerId>) -> Vec<Told> {
    entries.iter().filter_map(|entry| peers.get(&entry.publisher)).map(|&holder| Told { at, holder, hops }).collect()
}

/// Peers that search without structure.
pub(super) struct Asking<M: Mode, F: FnMut(Node) -> M::Params> {
    world: World<Crowd<M, F>>,
    options: M::Options,
}

impl<M: Mode, F: FnMut(Node) -> M::Params> Asking<M, F> {
    /// Once the network is what it will be.
    pub(super) fn settled(world: World<Crowd<M, F>>, terms: &search::Terms, options: M::Options) -> Self {
        let mut asking = Self { world, options };
        asking.run(settling(terms.kind));
        asking
    }
}

impl<M: Mode, F: FnMut(Node) -> M::Params> Stage for Asking<M, F> {
    const STORES: bool = false;

    fn now(&self) -> Time {
        self.world.net().now()
    }

    fn run(&mut self, until: Time) {
        self.world.run(until, u64::MAX);
    }

    fn store(&mut self, _: Holding, _: &Script) {
        unreachable!("nothing is stored");
    }

    fn act(&mut self, at: Time, deed: Deed, script: &Script) {
        let deed = match deed {
            // All that is found counts, as all of a table's entries do.
            Deed::Ask(Ask { peer, thing, .. }) => {
                CrowdDeed::Ask(peer, question(script, thing), u16::MAX, self.options.clone())
            }
            Deed::Come(peer) => CrowdDeed::Start(peer),
            Deed::Go(peer) => CrowdDeed::Crash(peer),
        };
        self.world.net_mut().alarm(at, deed);
        self.world.run(at, u64::MAX);
    }

    fn counters(&self) -> &Counters {
        self.world.net().counters()
    }

    fn search(&self) -> Count {
        let mut sum = Count::default();
        for kind in SEARCH {
            let sent = self.counters().traffic.of(kind).sent;
            sum.add(sent.messages, sent.bytes);
        }
        sum
    }

    fn publication(&self) -> Count {
        Count::default()
    }

    fn received(&self) -> Vec<u64> {
        received::<Crowd<M, F>>(self.world.net())
    }

    fn told(&mut self) -> Vec<Vec<Told>> {
        let told = |hit: &search::Told| Told { at: hit.at, holder: hit.holder, hops: hit.hops.into() };
        self.world.experiment().asks().iter().map(|ask| ask.hits.iter().map(told).collect()).collect()
    }

    fn digest(&self) -> u64 {
        self.world.net().digest()
    }
}

/// A ring of Chord's.
pub(super) struct Ringed {
    lab: Lab<Traced<Chord>>,
    /// When which request was made.
    asked: Vec<(Time, usize)>,
    peers: BTreeMap<Id, PeerId>,
}

/// A node looks at one finger in half a minute, and has one for each doubling of the ring, at most 32.
const FINGERS: Duration = Duration::from_secs(32 * 30);

impl Ringed {
    pub(super) fn built(terms: &Terms) -> Self {
        let setting = Setting { links: road(), ..Setting::new(terms.seed, terms.peers) };
        let peers = peers_by_id(terms.peers, |peer| setting.node(peer));
        Self { lab: Lab::grown(setting, FINGERS), asked: Vec::new(), peers }
    }
}

impl Stage for Ringed {
    const STORES: bool = true;

    fn now(&self) -> Time {
        self.lab.net().now()
    }

    fn run(&mut self, until: Time) {
        self.lab.pass(until.since(self.now()));
    }

    fn store(&mut self, Holding { holder, thing }: Holding, script: &Script) {
        let publisher = self.lab.crowd().node(holder).id;
        let entry = Entry { publisher, version: 1, value: value(script, thing) };
        self.lab.put_by(holder, key(script, thing), entry, QUORUM);
    }

    fn act(&mut self, at: Time, deed: Deed, script: &Script) {
        match deed {
            Deed::Ask(Ask { peer, thing, .. }) => {
                let number = self.lab.get_by(peer, key(script, thing), READ);
                self.asked.push((at, number));
            }
            Deed::Come(peer) => self.lab.start(peer, Duration::ZERO),
            Deed::Go(peer) => self.lab.crash(peer),
        }
    }

    fn counters(&self) -> &Counters {
        self.lab.net().counters()
    }

    fn search(&self) -> Count {
        self.counters().traffic.of(QUESTION).sent
    }

    fn publication(&self) -> Count {
        self.counters().traffic.of(PUBLICATION).sent
    }

    fn received(&self) -> Vec<u64> {
        received::<super::super::chord::Crowd<Traced<Chord>>>(self.lab.net())
    }

    fn told(&mut self) -> Vec<Vec<Told>> {
        let of = |&(at, number): &(Time, usize)| {
            let Some(answer) = self.lab.answer(number) else { return Vec::new() };
            let Said::Entries(Ok(entries)) = &answer.what else { return Vec::new() };
            told(at + answer.took, entries, answer.cost.hops, &self.peers)
        };
        self.asked.iter().map(of).collect()
    }

    fn digest(&self) -> u64 {
        self.lab.net().digest()
    }
}

/// A network of Kademlia's.
pub(super) struct Networked {
    network: Network<Traced<Kademlia>>,
    asked: Vec<Query>,
    peers: BTreeMap<Id, PeerId>,
}

impl Networked {
    pub(super) fn built(terms: &Terms) -> Self {
        let plan = Plan { links: compiled(&road(), terms.seed), ..Plan::new(terms.seed, terms.peers) };
        let mut network = Network::of(plan);
        network.settle();
        let peers = peers_by_id(terms.peers, |peer| network.crowd().node(peer));
        Self { network, asked: Vec::new(), peers }
    }
}

impl Stage for Networked {
    const STORES: bool = true;

    fn now(&self) -> Time {
        self.network.net().now()
    }

    fn run(&mut self, until: Time) {
        self.network.pass(until.since(self.now()));
    }

    fn store(&mut self, Holding { holder, thing }: Holding, script: &Script) {
        self.network.put(holder, key(script, thing), value(script, thing), QUORUM);
    }

    fn act(&mut self, _: Time, deed: Deed, script: &Script) {
        match deed {
            Deed::Ask(Ask { peer, thing, .. }) => {
                let query = self.network.get(peer, key(script, thing), READ);
                self.asked.push(query);
            }
            Deed::Come(peer) => {
                let now = self.now();
                self.network.net_mut().start(now, peer);
            }
            Deed::Go(peer) => self.network.crash(peer),
        }
    }

    fn counters(&self) -> &Counters {
        self.network.net().counters()
    }

    fn search(&self) -> Count {
        self.counters().traffic.of(QUESTION).sent
    }

    fn publication(&self) -> Count {
        self.counters().traffic.of(PUBLICATION).sent
    }

    fn received(&self) -> Vec<u64> {
        received::<super::super::kademlia::Crowd<Traced<Kademlia>>>(self.network.net())
    }

    fn told(&mut self) -> Vec<Vec<Told>> {
        let answers: BTreeMap<Query, _> =
            self.network.take_answers().into_iter().map(|answered| (answered.query, answered)).collect();
        let of = |query: &Query| {
            let Some(answered) = answers.get(query) else { return Vec::new() };
            let Answer::Got(Ok(entries)) = &answered.answer else { return Vec::new() };
            told(answered.at, entries, answered.cost.hops, &self.peers)
        };
        self.asked.iter().map(of).collect()
    }

    fn digest(&self) -> u64 {
        self.network.net().digest()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Mode;
    use super::*;

    fn played<S: Stage>(mut stage: S, terms: &Terms) -> (S, u64) {
        let script = Script::draw(terms);
        for holding in script.holdings() {
            stage.store(holding, &script);
            stage.run(stage.now() + Duration::from_millis(100));
        }
        stage.run(stage.now() + Duration::from_secs(60));
        assert_eq!(stage.search(), Count::default(), "nobody asked yet");
        assert!(stage.publication().messages > 0, "entries were stored");
        for ask in &script.asks {
            let now = stage.now();
            stage.act(now, Deed::Ask(*ask), &script);
            stage.run(now + Duration::from_secs(2));
        }
        let asked = script.asks.len() as u64;
        (stage, asked)
    }

    /// Where nobody is silent each request has one answer, and machines count their requests themselves.
    #[test]
    fn what_is_marked_as_a_questions_is_what_chords_nodes_say_that_questions_cost() {
        let terms = Terms::new(Mode::Chord, 64, 100, 1);
        let (ringed, asked) = played(Ringed::built(&terms), &terms);
        let costs = ringed.asked.iter().map(|(_, number)| ringed.lab.answer(*number).expect("an answer").cost);
        let (mut requests, mut timeouts) = (0, 0);
        for cost in costs {
            requests += u64::from(cost.messages);
            timeouts += cost.timeouts;
        }
        assert_eq!((ringed.asked.len() as u64, timeouts), (asked, 0));
        assert_eq!(ringed.search().messages, 2 * requests);
    }

    /// The same, and each reader may leave a copy of each entry that it found at one node.
    #[test]
    fn what_is_marked_as_a_questions_is_what_kademlias_nodes_say_and_the_copies_that_readers_leave() {
        let terms = Terms { popularity: 0.0, ..Terms::new(Mode::Kademlia, 64, 100, 1) };
        let (mut networked, asked) = played(Networked::built(&terms), &terms);
        let (mut requests, mut entries, mut timeouts) = (0, 0, 0);
        let search = networked.search().messages;
        for answered in networked.network.take_answers() {
            let Answer::Got(Ok(got)) = &answered.answer else { continue };
            requests += u64::from(answered.cost.messages);
            timeouts += answered.cost.timeouts;
            entries += got.len() as u64;
        }
        assert_eq!((networked.asked.len() as u64, timeouts), (asked, 0));
        assert!(search >= 2 * requests, "{search} messages, {requests} requests");
        assert!(search <= 2 * (requests + entries), "{search} messages, {requests} requests, {entries} entries");
    }
}
