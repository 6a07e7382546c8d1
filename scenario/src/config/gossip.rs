//! How blocks and payments spread, as a scenario names it: one of the gossip machines of `dht` with its parameters, whose
//! defaults are the machines' own and have their sources there.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use synod_dht::gossip::{DESCRIPTORS_MAX, LINKS_MAX};
use synod_dht::rumour::Shuffle;
use synod_dht::{flood, mesh, rumour};
use synod_machine::{PeerId, Rng};
use synod_peer::GossipParams;
use synod_sim::model::Span;

use super::ScenarioError;

/// How blocks and payments spread.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum GossipConfig {
    /// Everything to every link, once.
    Flood(FloodConfig),
    /// A mesh with eager push and lazy pull, as gossipsub's.
    Mesh(MeshConfig),
    /// Rumours among random peers, in rounds, over partial views that are shuffled.
    Rumour(RumourConfig),
}

impl Default for GossipConfig {
    /// The machine that stands for what real nodes use.
    fn default() -> Self {
        Self::Mesh(MeshConfig::default())
    }
}

/// Flooding, which has no parameters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FloodConfig {}

/// The parameters of the mesh. Defaults are gossipsub's (specification v1.0, "Parameters", and v1.1, "Overview of New
/// Parameters"), which rust-libp2p follows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct MeshConfig {
    /// After a `PRUNE` neither side grafts the other for so long.
    pub back_off: Span,
    /// Links in the mesh: fewer than this are filled up to `degree`. rust-libp2p's and go-libp2p's value.
    pub degree_low: usize,
    /// Links in the mesh, as they should be.
    pub degree: usize,
    /// Links in the mesh: more than this are cut back to `degree`.
    pub degree_high: usize,
    /// Whether what a peer makes itself goes to all of its links and not to the mesh alone.
    pub flood_publish: bool,
    /// An item is offered at so many heartbeats.
    pub gossip_beats: u64,
    /// The time between heartbeats.
    pub heartbeat: Span,
    /// An item can be asked for until so many heartbeats have passed; at least `gossip-beats`.
    pub history_beats: u64,
    /// Bytes of items that can be asked for. gossipsub has no bound; sixteen of the largest blocks that a chain may allow.
    pub history_bytes_max: usize,
    /// Items are offered to so many links outside the mesh, if there are as many.
    pub lazy_min: usize,
    /// Items are offered to one link in so many, if those are more. gossipsub's factor of 0.25.
    pub lazy_one_in: usize,
    /// A peer is sent the same item on request so often; from 0 to 255.
    pub retransmissions_max: u8,
    /// What was asked for is asked for again after so long, of whoever offers it then: a heartbeat.
    pub want_time: Span,
}

/// The parameters of rumour spreading.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct RumourConfig {
    /// When a peer loses interest in a rumour. Four known contacts: Demers et al. 1987, Table 1.
    pub interest: Interest,
    /// Whether ids are exchanged first, and only what is wanted is sent.
    pub lazy: bool,
    /// Who sends in a round.
    pub mode: Mode,
    /// The time between rounds: gossipsub's heartbeat, for comparison.
    pub period: Span,
    /// When rounds fall.
    pub phase: Phase,
    /// Entries of the view that are swapped in a shuffle; 0: the view stays the links that it began with. Voulgaris et al.
    /// 2005 evaluate 3 to 8.
    pub shuffle_length: usize,
    /// The time between two shuffles that a peer begins.
    pub shuffle_period: Span,
    /// Peers in the view, at least 1. Jelasity et al. 2007, section 5: 30 at ten thousand peers.
    pub view_max: usize,
}

/// When a peer loses interest in a rumour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Interest {
    /// After so many contacts that knew it already: Demers et al.'s "feedback" and "counter".
    Counter {
        /// How many contacts.
        contacts: u32,
    },
    /// Never.
    Forever {},
    /// After so many rounds, whatever the contacts knew: their "blind" and "counter".
    Rounds {
        /// How many rounds.
        rounds: u32,
    },
}

/// Who sends in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// The one that is called.
    Pull,
    /// The one that calls.
    Push,
    /// Both.
    PushPull,
}

/// When rounds fall.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// For all peers at once: the synchronous rounds that papers analyse.
    Aligned,
    /// At a random moment of each period.
    Random,
}

impl GossipConfig {
    /// The machine's parameters. Each peer gets its own number and stream.
    pub(super) fn params(&self, seed: u64) -> Result<GossipParams, ScenarioError> {
        let rng = Rng::new(seed, 0, "gossip");
        match self {
            Self::Flood(FloodConfig {}) => Ok(GossipParams::Flood(flood::Params { rng })),
            Self::Mesh(config) => config.params(rng).map(GossipParams::Mesh),
            Self::Rumour(config) => config.params(rng).map(GossipParams::Rumour),
        }
    }
}

impl Default for MeshConfig {
    fn default() -> Self {
        let params = mesh::Params::new(Rng::new(0, 0, "unused"));
        Self {
            back_off: span(params.back_off),
            degree_low: params.degree_low,
            degree: params.degree,
            degree_high: params.degree_high,
            flood_publish: params.flood_publish,
            gossip_beats: params.gossip_beats,
            heartbeat: span(params.heartbeat),
            history_beats: params.history_beats,
            history_bytes_max: params.history_bytes_max,
            lazy_min: params.lazy_min,
            lazy_one_in: params.lazy_one_in,
            retransmissions_max: params.retransmissions_max,
            want_time: span(params.want_time),
        }
    }
}

impl MeshConfig {
    /// What the machine asserts of its parameters is refused here.
    fn params(&self, rng: Rng) -> Result<mesh::Params, ScenarioError> {
        let wrong = |field: &str, expected: String, got: usize| Err(ScenarioError::field(field, expected, got));
        if self.degree < self.degree_low {
            return wrong("degree", format!("at least degree-low, which is {}", self.degree_low), self.degree);
        }
        if self.degree_high < self.degree {
            return wrong("degree-high", format!("at least degree, which is {}", self.degree), self.degree_high);
        }
        if self.degree_high > LINKS_MAX {
            return wrong("degree-high", format!("at most {LINKS_MAX}"), self.degree_high);
        }
        if self.history_beats < self.gossip_beats.max(1) {
            let expected = format!("at least 1 and at least gossip-beats, which is {}", self.gossip_beats);
            return Err(ScenarioError::field("history-beats", expected, self.history_beats));
        }
        if self.lazy_one_in == 0 {
            return wrong("lazy-one-in", "at least 1".to_owned(), 0);
        }
        for (field, span) in [("heartbeat", self.heartbeat), ("want-time", self.want_time)] {
            above_zero(field, span)?;
        }
        Ok(mesh::Params {
            back_off: self.back_off.duration(),
            degree_low: self.degree_low,
            degree: self.degree,
            degree_high: self.degree_high,
            flood_publish: self.flood_publish,
            gossip_beats: self.gossip_beats,
            heartbeat: self.heartbeat.duration(),
            history_beats: self.history_beats,
            history_bytes_max: self.history_bytes_max,
            lazy_min: self.lazy_min,
            lazy_one_in: self.lazy_one_in,
            retransmissions_max: self.retransmissions_max,
            rng,
            want_time: self.want_time.duration(),
        })
    }
}

impl Default for RumourConfig {
    fn default() -> Self {
        let params = rumour::Params::new(PeerId(0), Rng::new(0, 0, "unused"));
        Self {
            interest: match params.interest {
                rumour::Interest::Counter(contacts) => Interest::Counter { contacts },
                rumour::Interest::Forever => Interest::Forever {},
                rumour::Interest::Rounds(rounds) => Interest::Rounds { rounds },
            },
            lazy: params.lazy,
            mode: match params.mode {
                rumour::Mode::Pull => Mode::Pull,
                rumour::Mode::Push => Mode::Push,
                rumour::Mode::PushPull => Mode::PushPull,
            },
            period: span(params.period),
            phase: match params.phase {
                rumour::Phase::Aligned => Phase::Aligned,
                rumour::Phase::Random => Phase::Random,
            },
            shuffle_length: params.shuffle.map_or(0, |shuffle| shuffle.length),
            shuffle_period: params.shuffle.map_or(Span::ZERO, |shuffle| span(shuffle.period)),
            view_max: params.view_max,
        }
    }
}

impl RumourConfig {
    fn params(&self, rng: Rng) -> Result<rumour::Params, ScenarioError> {
        if !(1..=LINKS_MAX).contains(&self.view_max) {
            return Err(ScenarioError::field("view-max", format!("from 1 to {LINKS_MAX}"), self.view_max));
        }
        if self.shuffle_length > DESCRIPTORS_MAX {
            let expected = format!("at most {DESCRIPTORS_MAX}");
            return Err(ScenarioError::field("shuffle-length", expected, self.shuffle_length));
        }
        above_zero("period", self.period)?;
        let shuffle = (self.shuffle_length > 0).then(|| {
            above_zero("shuffle-period", self.shuffle_period)
                .map(|()| Shuffle { length: self.shuffle_length, period: self.shuffle_period.duration() })
        });
        Ok(rumour::Params {
            interest: match self.interest {
                Interest::Counter { contacts } => rumour::Interest::Counter(contacts),
                Interest::Forever {} => rumour::Interest::Forever,
                Interest::Rounds { rounds } => rumour::Interest::Rounds(rounds),
            },
            lazy: self.lazy,
            mode: match self.mode {
                Mode::Pull => rumour::Mode::Pull,
                Mode::Push => rumour::Mode::Push,
                Mode::PushPull => rumour::Mode::PushPull,
            },
            // Each peer gets its own number when it is made.
            own: PeerId(0),
            period: self.period.duration(),
            phase: match self.phase {
                Phase::Aligned => rumour::Phase::Aligned,
                Phase::Random => rumour::Phase::Random,
            },
            rng,
            shuffle: shuffle.transpose()?,
            view_max: self.view_max,
        })
    }
}

fn above_zero(field: &str, span: Span) -> Result<(), ScenarioError> {
    if span > Span::ZERO { Ok(()) } else { Err(ScenarioError::field(field, "a duration above 0", span)) }
}

fn span(duration: Duration) -> Span {
    Span::from_nanos(duration.as_nanos() as u64)
}
