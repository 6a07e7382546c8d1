//! A scenario as it is run: checked, with everything that a seed determines already drawn.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use synod_consensus::{Chain, Limits, adversary};
use synod_machine::{PeerId, Time};
use synod_peer::{Behaviour, GossipParams};
use synod_sim::model::{Graph, LinkModel};
use synod_sim::{Direction, Tail};

use crate::Comings;
use crate::config::Arrivals;
use crate::forge::Forgery;

/// One run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What people call it.
    pub name: String,
    /// Determines everything that is drawn.
    pub seed: u64,
    /// The chain, whose seals are declared.
    pub chain: Arc<Chain>,
    /// How blocks and payments spread. Each peer gets its own stream and number.
    pub gossip: GossipParams,
    /// How much each replica keeps.
    pub limits: Limits,
    /// Each peer's share of the hash power, in any unit; who has none makes no blocks.
    pub power: Vec<u64>,
    /// All peers' hash power over that which makes one block in a block time at the genesis's target.
    pub hash_rate: f64,
    /// Who has a link to whom.
    pub graph: Graph,
    /// What links and access lines are like.
    pub links: LinkModel,
    /// How long a sync of a disk takes.
    pub disk_sync: Duration,
    /// Whether every message is encoded and decoded.
    pub codec: bool,
    /// Who pays how often.
    pub load: Load,
    /// What is done to the peers, in the order of time.
    pub deeds: Vec<(Time, Deed)>,
    /// When each peer of a list comes and goes.
    pub churn: Vec<(PeerId, Comings)>,
    /// When it ends.
    pub stop: Stop,
    /// Peers that are started late by other means than a deed: none of them starts with the others.
    pub absent: Vec<PeerId>,
    /// From this depth on a payment counts as confirmed.
    pub confirmations: u64,
    /// Validators that are not honest, and how they behave, as long as the run lasts.
    pub adversaries: BTreeMap<PeerId, adversary::Behaviour>,
}

/// Payments.
#[derive(Clone, Debug, PartialEq)]
pub struct Load {
    /// Payments per second of virtual time, on average; 0 where nobody pays and where clients wait for each payment.
    pub rate: f64,
    /// Who waits for each payment, if anybody does.
    pub clients: Option<Clients>,
    /// How payments are spaced, or how long clients think.
    pub arrivals: Arrivals,
    /// The exponent of the law by which people pay; at 0 all pay alike.
    pub hot: f64,
    /// Coins that each spends, at most.
    pub inputs: usize,
    /// Coins that each makes, the change among them.
    pub outputs: usize,
    /// The share of payments that are made twice, by two peers, to different receivers.
    pub conflicts: f64,
    /// The first may come then …
    pub from: Time,
    /// … and none after this.
    pub until: Time,
}

/// Clients, each of whom pays again when its payment before is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clients {
    /// How many there are.
    pub count: u32,
    /// How long each thinks in between, on average.
    pub think: Duration,
    /// When another payment is made in the place of one that was refused.
    pub retry: Duration,
}

impl Load {
    /// Nobody pays.
    pub const NONE: Self = Self {
        rate: 0.0,
        clients: None,
        arrivals: Arrivals::Poisson,
        hot: 0.0,
        inputs: 1,
        outputs: 2,
        conflicts: 0.0,
        from: Time::ZERO,
        until: Time::ZERO,
    };
}

/// When a run ends: at whichever comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop {
    /// When the chain has so many blocks, and they had time to spread.
    pub blocks: u64,
    /// At this time.
    pub time: Time,
}

/// Something done to peers from outside.
#[derive(Clone, Debug, PartialEq)]
pub enum Deed {
    /// Puts clocks forward or back and makes them fast or slow.
    Clock {
        /// Whose.
        peers: Vec<PeerId>,
        /// Forward, in nanoseconds.
        ahead_ns: i64,
        /// Fast, in parts per million.
        drift_ppm: i64,
    },
    /// Stops peers.
    Crash {
        /// Which.
        peers: Vec<PeerId>,
        /// What becomes of their last writes.
        tail: Tail,
    },
    /// Cuts a group off.
    Cut {
        /// The group.
        peers: Vec<PeerId>,
        /// Which messages are lost.
        direction: Direction,
        /// After what time both ends of each connection know; never, where there is none.
        notice: Option<Duration>,
    },
    /// Hands forged blocks and payments to peers, as a stranger.
    Forge {
        /// To which.
        peers: Vec<PeerId>,
        /// Which rule they break.
        what: Forgery,
    },
    /// Ends every cut, omission, pause, bad clock and bad behaviour, and starts whoever is down.
    Heal,
    /// Makes peers omit a share of their messages.
    Omit {
        /// Which.
        peers: Vec<PeerId>,
        /// The share of those they send.
        sent: f64,
        /// The share of those they receive.
        received: f64,
    },
    /// Pauses peers.
    Pause {
        /// Which.
        peers: Vec<PeerId>,
    },
    /// Has miners spend rewards that are mature on these peers' chains, each at that peer.
    Reap {
        /// Which peers.
        peers: Vec<PeerId>,
        /// How many rewards at each, at most.
        most: usize,
    },
    /// Ends all cuts.
    Reconnect,
    /// Lets paused peers go on.
    Resume {
        /// Which.
        peers: Vec<PeerId>,
    },
    /// Starts peers from their disks.
    Start {
        /// Which.
        peers: Vec<PeerId>,
    },
    /// Has peers be honest no more, or again.
    Turn {
        /// Which.
        peers: Vec<PeerId>,
        /// How they behave.
        behaviour: Behaviour,
    },
    /// Stops peers and empties their disks.
    Wipe {
        /// Which.
        peers: Vec<PeerId>,
    },
}
