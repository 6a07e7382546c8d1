//! One question put to all five ways of finding things, so that their figures stand in one table: the same links, the same things
//! and copies, the same askers at the same times, the same comings and goings. What differs is who is asked.
//!
//! A question is for a thing by its exact name. The asker, which is up and does not have the thing itself, and the holders follow
//! from the seed alone (`script.rs`). Peer 0 is an index's server: in all modes it stays, and it asks nothing. What each way needs
//! before it can answer is done before questions are put (`stage.rs`): peers join, superpeers find themselves, and holders store
//! in a table who has what.

mod script;
mod stage;

use std::time::Duration;

use serde::Serialize;
use synod_machine::{Count, PeerId};
use synod_sim::model::{Churn, ModelError};

use self::script::Script;
use self::stage::{Asking, Holding, Networked, Ringed, Stage};
use super::search::{self, Kind};

pub use super::Overlay as Mode;

/// What is measured.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Who comes and goes; nothing: all stay. Peer 0 stays.
    pub churn: Option<Churn>,
    /// Copies of things, all together; two of one thing that fall to one peer are one.
    pub copies: usize,
    /// The share of peers that share nothing.
    pub free_riders: f64,
    /// How things are found.
    pub mode: Mode,
    /// Peers.
    pub peers: u32,
    /// The exponent of Zipf's law for what is asked for, and for what is copied; 0 is uniform.
    pub popularity: f64,
    /// Questions, evenly over [`SPAN`].
    pub queries: u32,
    /// Determines everything that is drawn.
    pub seed: u64,
    /// Things.
    pub things: usize,
}

/// How long questions are put and traffic is counted. Within an hour a node of Kademlia refreshes each bucket and republishes
/// each entry (Maymounkov and Mazières 2002, sections 2.3 and 2.5): no upkeep has a longer period but a publisher's own 24 hours.
pub const SPAN: Duration = Duration::from_secs(3_600);
/// Fewer peers make no random graph of degree 4.
pub const PEERS_MIN: u32 = 8;

/// What one run showed. All of it follows from the terms.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// Questions that were put. One for a thing that no other peer that is up has is not put.
    pub asked: u64,
    /// Those that found something: within [`SPAN`] the asker was told of a peer that has the thing and is up in that moment.
    /// A search tells of the holder by a hit, a table by the holder's entry.
    pub found: u64,
    /// `found` over `asked`, from 0 to 1.
    pub success: f64,
    /// Hops to the first answer that counts, in the mean over questions that found something: for floods and superpeers the
    /// peers that it came through, the holder or whoever answers for it among them; for an index 1; for Chord the nodes up to
    /// the key's predecessor, for Kademlia those up to the one that had the entry, one after the other.
    pub hops: Option<f64>,
    /// From a question to the first answer that counts.
    pub latency: Option<Latency>,
    /// Messages for each question, the answers among them. In a table: those of look-ups and reads, and the copies that a
    /// reader leaves on its way.
    pub messages_per_question: f64,
    /// Their encoded bytes, without framing.
    pub bytes_per_question: f64,
    /// Who receives how much.
    pub load: Load,
    /// All other messages that were sent in [`SPAN`], for each peer and each second that it is up: what keeps tables,
    /// catalogues and ties in order, repairs and republication among it. Floods have none, since connections keep themselves.
    pub upkeep_messages_per_peer_s: f64,
    /// Their encoded bytes, for each peer and second.
    pub upkeep_bytes_per_peer_s: f64,
    /// Messages that it took to store a holder's entry in a table before questions were put, at two of three replicas; those among
    /// them that were for entries beyond the [`ENTRIES_MAX`](synod_dht::overlay::ENTRIES_MAX) that a key takes. Nothing where nobody
    /// stores any: catalogues are upkeep.
    pub publish_messages_per_copy: Option<f64>,
    /// Two runs share it only if they were the same.
    pub digest: u64,
}

/// From a question to its answer, in milliseconds: the least time in which so many per cent had theirs (nearest rank).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Latency {
    /// Half of them.
    pub p50_ms: f64,
    /// 95 per cent.
    pub p95_ms: f64,
    /// 99 per cent.
    pub p99_ms: f64,
}

/// How messages of all kinds that were received in [`SPAN`] fall on peers, those that were away among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Load {
    /// Messages per peer, in the mean.
    pub mean: f64,
    /// What the busiest peer received, over the mean.
    pub max_over_mean: f64,
    /// The share of all messages that the busiest hundredth of the peers received (at least one peer), from 0 to 1.
    pub top_share: f64,
}

impl Terms {
    /// Content as [`search::Terms::new`] has it: two copies a peer, a thing for ten peers, two thirds free riders, and Zipf's law
    /// with exponent 1. All stay.
    pub fn new(mode: Mode, peers: u32, queries: u32, seed: u64) -> Self {
        let search::Terms { copies, exponent, free_riders, things, .. } =
            search::Terms::new(Kind::Flood, peers, queries, seed);
        Self { churn: None, copies, free_riders, mode, peers, popularity: exponent, queries, seed, things }
    }

    /// What cannot be measured, and what could.
    pub fn check(&self) -> Result<(), ModelError> {
        let value = |field: &str, expected: &str, got: String| {
            Err(ModelError::Value { field: field.to_owned(), expected: expected.to_owned(), got })
        };
        if self.peers < PEERS_MIN {
            return value("peers", "8 or more", self.peers.to_string());
        }
        if self.queries == 0 {
            return value("queries", "1 or more", self.queries.to_string());
        }
        if self.things == 0 {
            return value("things", "1 or more", self.things.to_string());
        }
        if self.copies < self.things {
            return value("copies", "as many as things or more", self.copies.to_string());
        }
        if !(0.0..1.0).contains(&self.free_riders) {
            return value("free_riders", "a share from 0 to below 1", self.free_riders.to_string());
        }
        if !(self.popularity.is_finite() && self.popularity >= 0.0) {
            return value("popularity", "an exponent of 0 or more", self.popularity.to_string());
        }
        self.churn.as_ref().map_or(Ok(()), Churn::check)
    }

    /// The same for searches without structure.
    fn search(&self, kind: Kind) -> search::Terms {
        search::Terms {
            copies: self.copies,
            exponent: self.popularity,
            free_riders: self.free_riders,
            things: self.things,
            ..search::Terms::new(kind, self.peers, self.queries, self.seed)
        }
    }
}

/// Measures it. The terms are such that [`Terms::check`] has nothing against them.
pub fn measure(terms: &Terms) -> Figures {
    assert_eq!(terms.check(), Ok(()), "whoever takes terms from a person checks them");
    let script = Script::draw(terms);
    let search = |kind| terms.search(kind);
    match terms.mode {
        Mode::Chord => play(&script, Ringed::built(terms)),
        Mode::Flood => {
            let search = search(Kind::Flood);
            let asking = Asking::settled(search.floods(&script.content), &search, search.strategy.clone());
            play(&script, asking)
        }
        Mode::Index => {
            let search = search(Kind::Index);
            play(&script, Asking::settled(search.index(&script.content), &search, ()))
        }
        Mode::Kademlia => play(&script, Networked::built(terms)),
        Mode::Superpeer => {
            let search = search(Kind::Superpeer);
            play(&script, Asking::settled(search.superpeers(&script.content), &search, TTL))
        }
    }
}

/// Who has what and who asks for what, for whoever puts the questions elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drawn {
    /// By peer: the ranks of the things that it has.
    pub holdings: Vec<Vec<u32>>,
    /// In the order in which questions are put: who asks, and for the thing of which rank. It does not have it, and another does.
    pub asks: Vec<(PeerId, u32)>,
}

/// What a run of these terms would draw. The terms are such that [`Terms::check`] has nothing against them.
pub fn drawn(terms: &Terms) -> Drawn {
    let script = Script::draw(terms);
    let asks = script.asks.iter().map(|ask| (ask.peer, ask.thing as u32)).collect();
    Drawn { holdings: script.content.holdings, asks }
}

/// As far as a query goes among superpeers, as [`search::run`] has it.
const TTL: u8 = 7;
/// Entries are stored one after the other in this time …
const PUBLISHING: Duration = Duration::from_secs(120);
/// … and the last have so long to arrive.
const CALM: Duration = Duration::from_secs(60);

/// Publishes, plays the script, and counts.
fn play<S: Stage>(script: &Script, mut stage: S) -> Figures {
    let holdings: Vec<Holding> = script.holdings().collect();
    let begun = stage.now();
    for (place, holding) in holdings.iter().enumerate().filter(|_| S::STORES) {
        stage.run(begun + PUBLISHING.mul_f64(place as f64 / holdings.len() as f64));
        stage.store(*holding, script);
    }
    let begun = begun + PUBLISHING + CALM;
    let mut deeds = script.deeds();
    let opened = begun + script.opens;
    let mut pass = |stage: &mut S, until| {
        while let Some((at, deed)) = deeds.next_if(|(at, _)| begun + *at <= until) {
            stage.run(begun + at);
            stage.act(begun + at, deed, script);
        }
        stage.run(until);
    };
    pass(&mut stage, opened);
    let (before, publication) = (Seen::of(&stage), stage.publication());
    pass(&mut stage, opened + SPAN);
    let after = Seen::of(&stage);

    let answers = script.judge(begun, &stage.told());
    let hops: Vec<f64> = answers.iter().map(|answer| f64::from(answer.hops)).collect();
    let mut millis: Vec<f64> = answers.iter().map(|answer| answer.took.as_secs_f64() * 1_000.0).collect();
    millis.sort_unstable_by(f64::total_cmp);
    let (asked, found) = (script.asks.len() as u64, answers.len() as u64);
    let per_question = |count: u64| count as f64 / (asked as f64).max(1.0);
    let upkeep = less(less(after.all, before.all), less(after.search, before.search));
    let lived = script.lived().as_secs_f64();
    Figures {
        asked,
        found,
        success: per_question(found),
        hops: (found > 0).then(|| hops.iter().sum::<f64>() / found as f64),
        latency: Latency::of(&millis),
        messages_per_question: per_question(after.search.messages - before.search.messages),
        bytes_per_question: per_question(after.search.bytes - before.search.bytes),
        load: Load::of(after.received.iter().zip(&before.received).map(|(after, before)| after - before).collect()),
        upkeep_messages_per_peer_s: upkeep.messages as f64 / lived,
        upkeep_bytes_per_peer_s: upkeep.bytes as f64 / lived,
        publish_messages_per_copy: S::STORES.then(|| publication.messages as f64 / holdings.len() as f64),
        digest: stage.digest(),
    }
}

/// Counters at a time.
struct Seen {
    all: Count,
    search: Count,
    received: Vec<u64>,
}

impl Seen {
    fn of<S: Stage>(stage: &S) -> Self {
        let mut all = Count::default();
        for traffic in stage.counters().traffic.by_kind() {
            all.add(traffic.sent.messages, traffic.sent.bytes);
        }
        Self { all, search: stage.search(), received: stage.received() }
    }
}

const fn less(count: Count, other: Count) -> Count {
    Count { messages: count.messages - other.messages, bytes: count.bytes - other.bytes }
}

impl Latency {
    /// Of times in ascending order.
    fn of(millis: &[f64]) -> Option<Self> {
        let rank = |share: f64| (share * millis.len() as f64).ceil() as usize;
        let at = |share| millis.get(rank(share).saturating_sub(1)).copied();
        Some(Self { p50_ms: at(0.5)?, p95_ms: at(0.95)?, p99_ms: at(0.99)? })
    }
}

impl Load {
    fn of(mut received: Vec<u64>) -> Self {
        received.sort_unstable_by(|a, b| b.cmp(a));
        let all = received.iter().sum::<u64>() as f64;
        if all == 0.0 {
            return Self::default();
        }
        let mean = all / received.len() as f64;
        let top: u64 = received[..received.len().div_ceil(100)].iter().sum();
        Self { mean, max_over_mean: received[0] as f64 / mean, top_share: top as f64 / all }
    }
}

#[cfg(test)]
mod tests;
