//! What a scenario does to its peers at set times.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use synod_machine::{PeerId, Time};
use synod_peer::Behaviour;
use synod_sim::model::Span;

use super::{ScenarioError, Who};
use crate::Deed;
use crate::forge::Forgery;

/// Something done to peers at a time, from outside.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "do", rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum Action {
    /// Puts clocks forward or back, and makes them fast or slow.
    Clock {
        /// When, after the run's beginning.
        at: Span,
        /// Whose clocks.
        peers: Who,
        /// How far forward.
        #[serde(default, skip_serializing_if = "is_zero")]
        ahead: Span,
        /// How far back, which a protocol sees as a clock that stands still for so long.
        #[serde(default, skip_serializing_if = "is_zero")]
        behind: Span,
        /// How much too fast, in parts per million; below 0, too slow.
        #[serde(default)]
        drift_ppm: i64,
    },
    /// Stops peers in the middle of what they do. They stay down until a `start` or `heal`, and churn does not start them.
    Crash {
        /// When, after the run's beginning.
        at: Span,
        /// Which peers.
        peers: Who,
        /// What becomes of writes that the disk had not synced.
        #[serde(default)]
        tail: Tail,
    },
    /// Cuts a group off from everybody else, until a `reconnect` or `heal`.
    Cut {
        /// When, after the run's beginning.
        at: Span,
        /// The group.
        peers: Who,
        /// Which messages are lost.
        #[serde(default)]
        direction: Direction,
        /// After what time both ends of each connection hear that it closed. If left out, never: messages vanish.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        notice: Option<Span>,
    },
    /// Hands forged blocks and payments to peers, as a stranger would. They must refuse them.
    Forge {
        /// When, after the run's beginning.
        at: Span,
        /// To which peers.
        peers: Who,
        /// Which rule they break.
        what: Forgery,
    },
    /// Ends every cut, omission, pause, bad clock and bad behaviour, ends churn, and starts whoever is down.
    Heal {
        /// When, after the run's beginning.
        at: Span,
    },
    /// Makes peers omit a share of their messages.
    Omit {
        /// When, after the run's beginning.
        at: Span,
        /// Which peers.
        peers: Who,
        /// The share of what they send, from 0 to 1.
        #[serde(default)]
        sent: f64,
        /// The share of what they receive, from 0 to 1.
        #[serde(default)]
        received: f64,
    },
    /// Pauses peers: what comes meanwhile waits, and their timers too.
    Pause {
        /// When, after the run's beginning.
        at: Span,
        /// Which peers.
        peers: Who,
    },
    /// Has miners spend rewards that are mature on these peers' chains, each at that peer.
    Reap {
        /// When, after the run's beginning.
        at: Span,
        /// Which peers.
        peers: Who,
        /// How many rewards at each, at most.
        most: u32,
    },
    /// Ends all cuts.
    Reconnect {
        /// When, after the run's beginning.
        at: Span,
    },
    /// Lets paused peers go on.
    Resume {
        /// When, after the run's beginning.
        at: Span,
        /// Which peers.
        peers: Who,
    },
    /// Starts peers from what their disks hold: after a crash, or late, if they are `absent`.
    Start {
        /// When, after the run's beginning.
        at: Span,
        /// Which peers.
        peers: Who,
    },
    /// Has peers be dishonest, until another `turn` or a `heal`.
    Turn {
        /// When, after the run's beginning.
        at: Span,
        /// Which peers.
        peers: Who,
        /// How they behave from then on.
        behaviour: Conduct,
    },
    /// Stops peers and empties their disks.
    Wipe {
        /// When, after the run's beginning.
        at: Span,
        /// Which peers.
        peers: Who,
    },
}

/// What becomes of writes that were not synced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Tail {
    /// They reach the disk all the same, as when a process is killed and its system lives on.
    Kept,
    /// They are gone, as when the power fails.
    #[default]
    Lost,
}

/// How a peer behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Conduct {
    /// Tells its neighbours of offences that nobody committed, once a second.
    Accuse,
    /// Changes what it hands on: blocks get another root, payments lose their signatures.
    Corrupt,
    /// Answers no request, neither for headers nor for blocks or payments.
    Deny,
    /// Claims a chain with all the work there can be, and has it not.
    Exaggerate,
    /// Hands no block and no payment on by gossip: a free rider.
    Hoard,
    /// As the protocol says.
    Honest,
    /// Mints on every branch with its stake, if it has one, and keeps evidence to itself: nothing at stake.
    MultiMint,
    /// Sends nothing at all, and hears everything.
    Mute,
    /// Says everything three times.
    Repeat,
    /// Keeps blocks that it finds back and publishes them when that costs others most: selfish mining. Where blocks are not made by
    /// work it is honest.
    Selfish,
}

/// Which messages a cut takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// Both ways.
    #[default]
    Both,
    /// Those into the group.
    In,
    /// Those out of the group.
    Out,
}

impl Action {
    /// When it is done.
    pub const fn at(&self) -> Span {
        match self {
            Self::Clock { at, .. }
            | Self::Crash { at, .. }
            | Self::Cut { at, .. }
            | Self::Forge { at, .. }
            | Self::Heal { at }
            | Self::Omit { at, .. }
            | Self::Pause { at, .. }
            | Self::Reap { at, .. }
            | Self::Reconnect { at }
            | Self::Resume { at, .. }
            | Self::Start { at, .. }
            | Self::Turn { at, .. }
            | Self::Wipe { at, .. } => *at,
        }
    }

    /// The deed, among so many peers.
    pub(super) fn deed(&self, peers: u32, seed: u64) -> Result<(Time, Deed), ScenarioError> {
        let draw = |who: &Who| -> Result<Vec<PeerId>, ScenarioError> { who.draw(peers, seed, "peers") };
        let deed = match self {
            Self::Clock { peers, ahead, behind, drift_ppm, .. } => {
                if !(-DRIFT_PPM_MAX..=DRIFT_PPM_MAX).contains(drift_ppm) {
                    let expected = format!("from -{DRIFT_PPM_MAX} to {DRIFT_PPM_MAX} parts per million");
                    return Err(ScenarioError::field("drift-ppm", expected, drift_ppm));
                }
                let ahead_ns = ahead.nanos() as i64 - behind.nanos() as i64;
                Deed::Clock { peers: draw(peers)?, ahead_ns, drift_ppm: *drift_ppm }
            }
            Self::Crash { peers, tail, .. } => Deed::Crash { peers: draw(peers)?, tail: (*tail).into() },
            Self::Cut { peers, direction, notice, .. } => {
                let notice: Option<Duration> = notice.map(Span::duration);
                Deed::Cut { peers: draw(peers)?, direction: (*direction).into(), notice }
            }
            Self::Forge { peers, what, .. } => Deed::Forge { peers: draw(peers)?, what: *what },
            Self::Heal { .. } => Deed::Heal,
            Self::Omit { peers, sent, received, .. } => {
                for (field, share) in [("sent", *sent), ("received", *received)] {
                    if !(0.0..=1.0).contains(&share) {
                        return Err(ScenarioError::field(field, "a share from 0 to 1", share));
                    }
                }
                Deed::Omit { peers: draw(peers)?, sent: *sent, received: *received }
            }
            Self::Pause { peers, .. } => Deed::Pause { peers: draw(peers)? },
            Self::Reap { peers, most, .. } => Deed::Reap { peers: draw(peers)?, most: *most as usize },
            Self::Reconnect { .. } => Deed::Reconnect,
            Self::Resume { peers, .. } => Deed::Resume { peers: draw(peers)? },
            Self::Start { peers, .. } => Deed::Start { peers: draw(peers)? },
            Self::Turn { peers, behaviour, .. } => Deed::Turn { peers: draw(peers)?, behaviour: (*behaviour).into() },
            Self::Wipe { peers, .. } => Deed::Wipe { peers: draw(peers)? },
        };
        Ok((Time(self.at().nanos()), deed))
    }
}

/// A clock that is half as fast again, or half as fast. Quartz is within a hundred.
const DRIFT_PPM_MAX: i64 = 500_000;

fn is_zero(span: &Span) -> bool {
    *span == Span::ZERO
}

impl From<Tail> for synod_sim::Tail {
    fn from(tail: Tail) -> Self {
        match tail {
            Tail::Kept => Self::Kept,
            Tail::Lost => Self::Lost,
        }
    }
}

impl From<Conduct> for Behaviour {
    fn from(conduct: Conduct) -> Self {
        match conduct {
            Conduct::Accuse => Self::Accuse,
            Conduct::Corrupt => Self::Corrupt,
            Conduct::Deny => Self::Deny,
            Conduct::Exaggerate => Self::Exaggerate,
            Conduct::Hoard => Self::Hoard,
            Conduct::Honest => Self::Honest,
            Conduct::MultiMint => Self::MultiMint,
            Conduct::Mute => Self::Mute,
            Conduct::Repeat => Self::Repeat,
            Conduct::Selfish => Self::Selfish,
        }
    }
}

impl From<Direction> for synod_sim::Direction {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::Both => Self::Both,
            Direction::In => Self::In,
            Direction::Out => Self::Out,
        }
    }
}
