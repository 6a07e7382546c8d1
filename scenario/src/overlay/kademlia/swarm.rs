//! Small Kademlia networks, each drawn by a seed, each with its own troubles, each judged from outside.
//!
//! Three phases. While all is *quiet*, every look-up must give exactly the k closest nodes, as somebody sees them who looks at
//! all peers. In *trouble* (crashes, restarts, sessions that end and begin, loss, a partition) anything may be found or not, but
//! every request that a peer lives to answer is answered in time. Then the network *heals*: after so many refresh periods
//! look-ups are exact again, and whatever somebody still keeps is found, in the latest version that is kept anywhere.
//!
//! Exactness is demanded since the networks have at most two to four times k peers: the paper promises no more than that a
//! look-up ends at the k closest nodes that are heard of, and in these all neighbours of a key hear of each other by
//! refreshing.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use synod_dht::kademlia::Kademlia;
use synod_dht::overlay::{ENTRY_BYTES_MAX, Entry, Id, Query, Quorum};
use synod_machine::{PeerId, Rng, Time};
use synod_sim::Direction;
use synod_sim::model::{Distribution, Links, Span, Turn};

use super::super::sessions::turns;
use super::{Answer, Network, Plan, compiled};
use crate::oracle::{Oracle, Verdict};

/// What a seed makes of a network.
#[derive(Clone, Debug)]
pub struct Drawn {
    /// The seed.
    pub seed: u64,
    /// Peers.
    pub peers: u32,
    /// k, α, and how many failures in a row a contact may have.
    pub bounds: (u8, u8, u8),
    /// What links are like.
    pub links: Links,
    /// The share of messages that each peer omits while there is trouble.
    pub omitted: f64,
    /// Whether messages are encoded.
    pub codec: bool,
    /// What happens, and how many seconds after trouble began.
    pub deeds: Vec<(u64, Deed)>,
    /// How many seconds the trouble lasts.
    pub secs: u64,
}

/// Something that is done to a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// These stop, and are gone.
    Crash(Vec<PeerId>),
    /// These are cut off.
    Cut(Vec<PeerId>),
    /// All cuts end.
    Heal,
    /// Something is looked up by some peer.
    Lookup,
    /// Something is published by some peer.
    Put,
    /// These come back, if they are down.
    Start(Vec<PeerId>),
}

/// What came of a seed.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// The seed.
    pub seed: u64,
    /// Peers.
    pub peers: u32,
    /// How it ended.
    pub verdict: Verdict,
    /// Steps of all peers until then.
    pub step: u64,
    /// The virtual time until then.
    pub at: Time,
    /// Equal for two runs only if the same things happened in the same order.
    pub digest: u64,
    /// What happened, by name, and how often.
    pub met: BTreeMap<&'static str, u64>,
}

const REFRESH: Duration = Duration::from_secs(60);
const REPUBLISH: Duration = Duration::from_secs(120);
/// So long after healing look-ups are exact again: each bucket was refreshed at least five times.
const HEALED: Duration = Duration::from_secs(330);
/// An answer comes within this: no look-up here waits for more than a dozen time-outs, one after the other.
const ANSWERED: Duration = Duration::from_secs(60);
/// Look-ups, each by a drawn peer, of which all have to be exact.
const LOOKUPS: u32 = 12;
/// A peer that crashed or was partitioned knows some peers still; so many always stay.
const STAY_MIN: usize = 2;

fn within(rng: &mut Rng, first: u64, last: u64) -> u64 {
    first + rng.below(last - first + 1)
}

fn one_in(rng: &mut Rng, times: u64) -> bool {
    rng.below(times) == 0
}

fn group(rng: &mut Rng, peers: u32, most: u64) -> Vec<PeerId> {
    let mut all: Vec<PeerId> = (0..peers).map(PeerId).collect();
    rng.shuffle(&mut all);
    all.truncate(within(rng, 1, most.max(1)) as usize);
    all
}

/// The network of a seed.
pub fn draw(seed: u64) -> Drawn {
    let mut rng = Rng::new(seed, 0, "kademlia swarm");
    let rng = &mut rng;
    let peers = if one_in(rng, 6) { within(rng, 20, 60) } else { within(rng, 2, 16) } as u32;
    // With a small k buckets are full even here.
    let k = if peers <= 20 && one_in(rng, 2) { within(rng, 8, 20) } else { 20 } as u8;
    let bounds = (k, within(rng, 1, 5) as u8, within(rng, 1, 5) as u8);
    let typical = Span::from_millis(within(rng, 1, 200));
    let delay = match rng.below(3) {
        0 => Distribution::constant(typical),
        1 => Distribution::LogNormal { median: typical, sigma: 0.4 },
        _ => Distribution::Uniform { least: Span::ZERO, most: typical },
    };
    let duplicate = if one_in(rng, 3) { within(rng, 1, 30) as f64 / 100.0 } else { 0.0 };
    let jitter = one_in(rng, 2).then(|| Distribution::Exponential { mean: Span::from_millis(20) });
    let links = Links { delay: Some(delay), jitter, duplicate, reorder: duplicate, ..Links::default() };
    let omitted = if one_in(rng, 3) { within(rng, 1, 15) as f64 / 100.0 } else { 0.0 };
    let secs = within(rng, 60, 600);
    let mut deeds = Vec::new();
    for _ in 0..within(rng, 2, 12) {
        let at = rng.below(secs);
        deeds.push((at, if one_in(rng, 2) { Deed::Lookup } else { Deed::Put }));
    }
    if one_in(rng, 2) {
        for _ in 0..within(rng, 1, 4) {
            let (at, some) = (rng.below(secs), group(rng, peers, u64::from(peers) / 2));
            if !one_in(rng, 3) {
                deeds.push((at + within(rng, 1, 120), Deed::Start(some.clone())));
            }
            deeds.push((at, Deed::Crash(some)));
        }
    }
    if one_in(rng, 3) {
        let at = rng.below(secs);
        deeds.push((at, Deed::Cut(group(rng, peers, u64::from(peers) / 2))));
        deeds.push((at + within(rng, 10, 200), Deed::Heal));
    }
    // Not beside a cut: where all of one side start anew while it lasts, nobody knows of the other side any more.
    if !deeds.iter().any(|(_, deed)| matches!(deed, Deed::Cut(_))) {
        for (at, peer, turn) in turns(seed, peers, Duration::from_secs(secs)) {
            let deed = if turn == Turn::Up { Deed::Start(vec![peer]) } else { Deed::Crash(vec![peer]) };
            deeds.push((at.as_secs(), deed));
        }
    }
    deeds.sort_by_key(|(at, _)| *at);
    deeds.retain(|(at, _)| *at < secs);
    Drawn { seed, peers, bounds, links, omitted, codec: one_in(rng, 4), deeds, secs }
}

/// Runs the network of a seed and judges it.
pub fn swarm(seed: u64) -> Judgement {
    judge(draw(seed))
}

/// Runs a network that was drawn and judges it.
pub fn judge(drawn: Drawn) -> Judgement {
    let mut plan = Plan::new(drawn.seed, drawn.peers);
    plan.links = compiled(&drawn.links, drawn.seed);
    plan.codec = drawn.codec;
    plan.growth = Duration::from_secs(10);
    (plan.params.k, plan.params.alpha, plan.params.failures_max) = drawn.bounds;
    plan.params.refresh = REFRESH;
    plan.params.republish = REPUBLISH;
    plan.params.publish = 2 * REPUBLISH;
    plan.params.request_time = Duration::from_secs(2);
    let network = Network::new(plan);
    let (seed, peers) = (drawn.seed, drawn.peers);
    let mut judge = Judge { drawn, network, asked: BTreeMap::new(), published: Vec::new(), met: BTreeMap::new() };
    let result = catch_unwind(AssertUnwindSafe(|| judge.run()));
    let verdict = match result {
        Ok(Ok(())) => Verdict::Pass,
        Ok(Err(verdict)) => verdict,
        Err(panic) => Verdict::Broken(crate::run::reason_of(&*panic)),
    };
    let net = judge.network.net();
    let (step, at, digest) = (net.tally().steps, net.now(), net.digest());
    judge.met.insert("crashes", net.tally().crashes);
    Judgement { seed, peers, verdict, step, at, digest, met: judge.met }
}

struct Judge {
    drawn: Drawn,
    network: Network,
    /// What was asked of whom when, and in which of its lives, and is not answered yet.
    asked: BTreeMap<Query, (PeerId, Time)>,
    /// Keys under which something was published.
    published: Vec<Id>,
    met: BTreeMap<&'static str, u64>,
}

impl Judge {
    fn run(&mut self) -> Result<(), Verdict> {
        if !self.network.gather() {
            return Err(Verdict::NoProgress("not all have joined".to_string()));
        }
        self.network.pass(REFRESH);
        self.look_around("quiet")?;
        self.omit(self.drawn.omitted);
        *self.met.entry("lossy").or_default() += u64::from(self.drawn.omitted > 0.0);
        let deeds = std::mem::take(&mut self.drawn.deeds);
        let mut passed = 0;
        for (at, deed) in deeds {
            self.network.pass(Duration::from_secs(at - passed));
            passed = at;
            self.act(deed);
        }
        self.network.pass(Duration::from_secs(self.drawn.secs - passed));
        self.heal()?;
        self.look_around("healed")?;
        self.look_for_all()
    }

    /// Has all peers leave out a share of what they send, if this seed has it.
    fn omit(&mut self, share: f64) {
        for peer in (0..self.drawn.peers).map(PeerId).filter(|_| self.drawn.omitted > 0.0) {
            self.network.net_mut().omit(peer, share, 0.0);
        }
    }

    fn act(&mut self, deed: Deed) {
        match deed {
            Deed::Crash(peers) => {
                for peer in peers {
                    if self.network.machines().filter(|node| node.is_joined()).count() > STAY_MIN {
                        self.network.crash(peer);
                        self.asked.retain(|_, (asked, _)| *asked != peer);
                    }
                }
            }
            Deed::Cut(peers) => {
                *self.met.entry("partitions").or_default() += 1;
                self.network.net_mut().cut(&peers, Direction::Both, None);
            }
            Deed::Heal => self.network.net_mut().heal_all(),
            Deed::Lookup => {
                let Some(peer) = self.network.draw_peer() else { return };
                let key = self.network.draw_key();
                let query = self.network.lookup(peer, key);
                self.asked.insert(query, (peer, self.network.net().now()));
            }
            Deed::Put => self.put(),
            Deed::Start(peers) => {
                let now = self.network.net().now();
                peers.into_iter().for_each(|peer| self.network.net_mut().start(now, peer));
            }
        }
    }

    /// Somebody publishes under a new key, or over what was published.
    fn put(&mut self) {
        let Some(peer) = self.network.draw_peer() else { return };
        let drawn = self.network.draw_key();
        let number = self.published.len();
        let again = number > 2 && number.is_multiple_of(3);
        let key = if again { self.published[number - 2] } else { drawn };
        let value = vec![number as u8 + 1; if number.is_multiple_of(5) { ENTRY_BYTES_MAX } else { 8 }];
        let quorum = Quorum::new(1 + (number % 3) as u8, 3).expect("a possible quorum");
        let query = self.network.put(peer, key, value, quorum);
        self.asked.insert(query, (peer, self.network.net().now()));
        self.published.push(key);
    }

    /// Everything is well again: cuts end, nothing is omitted, and some of those that went come back.
    fn heal(&mut self) -> Result<(), Verdict> {
        self.network.net_mut().heal_all();
        let now = self.network.net().now();
        let comes_back = self.drawn.seed.is_multiple_of(2);
        for peer in (0..self.drawn.peers).map(PeerId) {
            if comes_back {
                self.network.net_mut().start(now, peer);
            }
        }
        self.omit(0.0);
        self.network.pass(HEALED);
        if !self.network.gather() {
            return Err(Verdict::NoProgress("not all have joined again".to_string()));
        }
        self.collect()
    }

    /// Takes the answers; whatever was asked of a peer that is still alive must be among them by now.
    fn collect(&mut self) -> Result<(), Verdict> {
        for answer in self.network.take_answers() {
            self.asked.remove(&answer.query);
            let name = match &answer.answer {
                Answer::Found(Ok(_)) => "found",
                Answer::Got(Ok(_)) => "got",
                Answer::Stored(Ok(_)) => "stored",
                Answer::Found(Err(_)) | Answer::Got(Err(_)) | Answer::Stored(Err(_)) => "failures",
            };
            *self.met.entry(name).or_default() += 1;
        }
        let now = self.network.net().now();
        match self.asked.iter().find(|(_, (_, at))| now.since(*at) > ANSWERED) {
            Some((query, (peer, at))) => {
                Err(Verdict::NoProgress(format!("{peer:?} never answered {query:?}, asked at {at}")))
            }
            None => Ok(()),
        }
    }

    /// Look-ups, which must find the true closest nodes.
    fn look_around(&mut self, phase: &'static str) -> Result<(), Verdict> {
        self.network.machines().for_each(Kademlia::check_all);
        self.collect()?;
        let answers = self.network.lookups(LOOKUPS, Duration::from_millis(100));
        if (answers.len() as u32) < LOOKUPS {
            return Err(Verdict::NoProgress(format!("{phase}: a look-up was not answered")));
        }
        for (key, answered) in answers {
            let truth = self.network.truth(key, usize::from(self.drawn.bounds.0));
            let peer = answered.peer;
            match answered.answer {
                Answer::Found(Ok(found)) if found == truth => {}
                Answer::Found(result) => {
                    let told = format!("{phase}: {peer:?} found {result:?} for {key:?} and not {truth:?}");
                    return Err(Verdict::Diverged(told));
                }
                Answer::Got(_) | Answer::Stored(_) => unreachable!("only look-ups were asked for"),
            }
        }
        Ok(())
    }

    /// Whatever anybody keeps is found, in the latest version.
    fn look_for_all(&mut self) -> Result<(), Verdict> {
        let keys = std::mem::take(&mut self.published);
        for key in keys {
            let latest = self.kept(key);
            if latest.is_empty() {
                *self.met.entry("lost with all holders").or_default() += 1;
                continue;
            }
            let live = self.network.live().count().min(3) as u8;
            for needed in [1, live.div_ceil(2).max(1) + u8::from(live == 2), live] {
                let Some(peer) = self.network.draw_peer() else { continue };
                let quorum = Quorum::new(needed.min(live), live).expect("a possible quorum");
                self.network.get(peer, key, quorum);
                self.network.pass(Duration::from_secs(20));
                let answers = self.network.take_answers();
                let [answered] = &answers[..] else {
                    return Err(Verdict::NoProgress(format!("{peer:?} did not answer a read of {key:?}")));
                };
                let Answer::Got(Ok(entries)) = &answered.answer else {
                    let told = format!("{peer:?} reads {:?} under {key:?}, and kept is {latest:?}", answered.answer);
                    return Err(Verdict::Unsafe(Oracle::Durability, told));
                };
                // One reply may be of a copy that is older; all replicas together have the latest.
                if needed == live && *entries != latest {
                    let told = format!("{peer:?} reads {entries:?} under {key:?}, and kept is {latest:?}");
                    return Err(Verdict::Unsafe(Oracle::Durability, told));
                }
                *self.met.entry("reads").or_default() += 1;
            }
        }
        Ok(())
    }

    /// The latest entries under a key that anybody who is up keeps, by publisher.
    fn kept(&self, key: Id) -> Vec<Entry> {
        let now = self.network.net().now();
        let mut latest: BTreeMap<Id, Entry> = BTreeMap::new();
        for node in self.network.machines() {
            for entry in node.entries(now, key) {
                let known = latest.entry(entry.publisher).or_insert_with(|| entry.clone());
                if entry.supersedes(known) {
                    *known = entry.clone();
                }
            }
        }
        latest.into_values().collect()
    }
}
