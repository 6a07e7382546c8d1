//! What must hold, judged from outside: by looking at peers' chains, coins, mempools and disks, and at what they told,
//! and never by asking the code under test whether it is right.
//!
//! A [`Judge`] looks at a world now and then during a run and once at its end. It keeps a slow ledger of its own, in
//! which every block that a peer took in is judged again, and compares.

mod chains;
pub(crate) mod headers;
mod judgement;
mod model;
mod promises;
mod stakes;
mod votes;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use synod_ledger::{BlockId, Status, TxId};
use synod_machine::{PeerId, Time};
use synod_peer::Peer;
use synod_sim::World;

use self::headers::Wide;
pub use self::judgement::{Judgement, judge, watched, world};
use self::model::Model;
pub(crate) use self::votes::faulty;
use crate::payer::signer;
use crate::{Deed, Plan, Trial};

/// Who found a run unsafe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Oracle {
    /// Validators agree on one block for each height, and on blocks of this chain.
    Agreement,
    /// No honest peer is held a fault against that only a faulty one commits.
    Blame,
    /// A peer takes in exactly the blocks whose content the rules allow: coins are spent once, by their owners, when
    /// they are mature.
    Block,
    /// A peer's coins are those that its chain's blocks leave.
    Coins,
    /// What a peer had as its tip, on disk, it has after a crash, or a heavier one.
    Durability,
    /// A block makes as much money as the schedule says, and its maker is paid the fees, no more and no less.
    Emission,
    /// What was confirmed deep enough is not lost, even where a heavier branch took the blocks back.
    Finality,
    /// A peer's tip is that of the heaviest chain whose blocks it has, the first of equals.
    ForkChoice,
    /// A block's header has the height, target, time and seal that its ancestors ask for.
    Header,
    /// Blocks come as often as they should when all is quiet.
    Pace,
    /// A payment that a peer acknowledged is there until it is confirmed or conflicts with one that is.
    Promise,
    /// No stake is taken away whose owner was honest all the time and knew what it had signed.
    Stake,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A peer's own assertion, or another panic.
    Broken(String),
    /// Peers did not agree after the network had healed.
    Diverged(String),
    /// The chain did not grow after the network had healed, or a peer did not come along.
    NoProgress(String),
    /// Something grew beyond its bounds.
    OverBounds(String),
    /// All was well.
    Pass,
    /// Something happened that must not.
    Unsafe(Oracle, String),
}

/// A verdict without its reason: what two failures that are the same share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// [`Verdict::Broken`].
    Broken,
    /// [`Verdict::Diverged`].
    Diverged,
    /// [`Verdict::NoProgress`].
    NoProgress,
    /// [`Verdict::OverBounds`].
    OverBounds,
    /// [`Verdict::Pass`].
    Pass,
    /// [`Verdict::Unsafe`], and who said so.
    Unsafe(Oracle),
}

impl Verdict {
    /// What kind it is.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Broken(_) => Kind::Broken,
            Self::Diverged(_) => Kind::Diverged,
            Self::NoProgress(_) => Kind::NoProgress,
            Self::OverBounds(_) => Kind::OverBounds,
            Self::Pass => Kind::Pass,
            Self::Unsafe(oracle, _) => Kind::Unsafe(*oracle),
        }
    }

    /// Whether all was well.
    pub fn is_pass(&self) -> bool {
        *self == Self::Pass
    }
}

impl fmt::Display for Oracle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Agreement => "agreement",
            Self::Blame => "blame",
            Self::Block => "block",
            Self::Coins => "coins",
            Self::Durability => "durability",
            Self::Emission => "emission",
            Self::Finality => "finality",
            Self::ForkChoice => "fork choice",
            Self::Header => "header",
            Self::Pace => "pace",
            Self::Promise => "promise",
            Self::Stake => "stake",
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken => f.write_str("broken"),
            Self::Diverged => f.write_str("diverged"),
            Self::NoProgress => f.write_str("no progress"),
            Self::OverBounds => f.write_str("over bounds"),
            Self::Pass => f.write_str("pass"),
            Self::Unsafe(oracle) => write!(f, "unsafe ({oracle})"),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(reason)
            | Self::Diverged(reason)
            | Self::NoProgress(reason)
            | Self::OverBounds(reason)
            | Self::Unsafe(_, reason) => write!(f, "{}: {reason}", self.kind()),
            Self::Pass => self.kind().fmt(f),
        }
    }
}

/// Looks at a world from outside.
pub struct Judge {
    plan: Arc<Plan>,
    model: Model,
    /// What is known of each peer.
    seen: Vec<Seen>,
    /// The work of chains of headers, by their ends.
    works: BTreeMap<BlockId, Wide>,
    /// Blocks that were deep enough on some peer's chain for their payments to count as confirmed.
    firm: BTreeSet<usize>,
    /// When it looked last.
    looked: Time,
}

/// What is known of a peer.
#[derive(Default)]
struct Seen {
    /// Its blocks that were judged.
    judged: BTreeSet<BlockId>,
    /// Its headers whose proofs were.
    proved: BTreeSet<BlockId>,
    /// The last tip that was on its disk.
    tip: Option<(BlockId, Wide)>,
    /// When its disk was emptied last.
    wiped: Option<Time>,
}

/// What a look found; a pass among what is found is the end of a run that was interrupted.
type Looked = Result<(), Verdict>;

impl Judge {
    /// One who saw nothing yet.
    pub fn new(plan: &Arc<Plan>) -> Self {
        let model = Model::new(&plan.chain);
        let works = BTreeMap::from([(plan.chain.id(), Wide::ZERO)]);
        let seen = (0..plan.graph.peers()).map(|_| Seen::default()).collect();
        Self { plan: plan.clone(), model, seen, works, firm: BTreeSet::new(), looked: Time::ZERO }
    }

    /// Looks at everything that must hold at any time.
    pub fn look(&mut self, world: &World<Trial>) -> Looked {
        let now = world.net().now();
        self.note_wipes(now);
        blame(world)?;
        self.judge_validators(world)?;
        for peer in world.net().peers() {
            let Some(host) = world.net().protocol(peer) else { continue };
            self.judge_blocks(world, peer, host)?;
            self.judge_clock(world, peer, host)?;
            self.judge_tip(world, peer, host)?;
            if host.replica().is_settled() {
                self.judge_coins(peer, host)?;
            }
            if host.replica().is_settled() && !self.is_faulty(peer) {
                self.judge_promises(world, peer, host)?;
            }
            self.judge_bounds(world, peer, host)?;
        }
        self.judge_losses(world)?;
        self.looked = now;
        Ok(())
    }

    /// Looks at what must hold as well when the network had healed and all had time to settle.
    pub fn look_at_the_end(&mut self, world: &World<Trial>) -> Looked {
        let net = world.net();
        let mut tips: BTreeMap<BlockId, Vec<u32>> = BTreeMap::new();
        for peer in net.peers().filter(|peer| !self.is_faulty(*peer)) {
            let Some(host) = net.protocol(peer) else {
                return Err(Verdict::NoProgress(format!("peer {} is down", peer.0)));
            };
            if !host.replica().is_settled() {
                return Err(Verdict::NoProgress(format!("peer {} did not come to rest", peer.0)));
            }
            tips.entry(host.replica().tip()).or_default().push(peer.0);
        }
        if tips.len() > 1 {
            let camps: Vec<String> = tips.iter().map(|(tip, peers)| format!("{:?} at {peers:?}", tip.0)).collect();
            return Err(Verdict::Diverged(format!("{} tips at the end: {}", tips.len(), camps.join(", "))));
        }
        self.look(world)?;
        for peer in net.peers() {
            net.protocol(peer).map_or(Ok(()), |host| self.judge_bodies(peer, host))?;
        }
        self.judge_finality(world)?;
        let scheduled_max = SCHEDULED_PER_PEER * net.len() + SCHEDULED_MORE;
        if net.scheduled() > scheduled_max {
            let reason = format!("{} things are scheduled when all is quiet", net.scheduled());
            return Err(Verdict::OverBounds(reason));
        }
        Ok(())
    }

    /// Whether a peer is a faulty validator as long as the run lasts, which promises nothing.
    fn is_faulty(&self, peer: PeerId) -> bool {
        self.plan.adversaries.contains_key(&peer)
    }

    fn note_wipes(&mut self, now: Time) {
        for (at, deed) in &self.plan.deeds {
            if let Deed::Wipe { peers } = deed
                && (*at > self.looked || self.looked == Time::ZERO)
                && *at <= now
            {
                for peer in peers {
                    self.seen[peer.0 as usize] = Seen { wiped: Some(*at), ..Seen::default() };
                }
            }
        }
    }

    /// Whether a promise that the peer made at that time was on a disk that was emptied since.
    fn is_forgotten(&self, peer: PeerId, promised: Time) -> bool {
        self.seen[peer.0 as usize].wiped.is_some_and(|wiped| wiped >= promised)
    }

    /// Validators agree on blocks of this chain, and nobody is caught who said one thing only. One whose disk was emptied
    /// does not know what it has said.
    fn judge_validators(&self, world: &World<Trial>) -> Looked {
        let observed = world.experiment().observed();
        if let Some((peer, height, reason)) = observed.stuck.iter().find(|(peer, ..)| !self.is_faulty(*peer)) {
            let reason = format!("peer {} cannot take in what is agreed on at height {height}: {reason}", peer.0);
            return Err(Verdict::Unsafe(Oracle::Agreement, reason));
        }
        let is_honest = |peer: PeerId| self.seen[peer.0 as usize].wiped.is_none() && !self.is_faulty(peer);
        match observed.caught.keys().map(|by| PeerId(u32::from(by.0))).find(|by| is_honest(*by)) {
            Some(peer) => {
                let reason = format!("evidence against peer {}, which is honest", peer.0);
                Err(Verdict::Unsafe(Oracle::Blame, reason))
            }
            None => Ok(()),
        }
    }

    /// Who loses a stake in some block has been dishonest. One whose disk was emptied does not know what it has signed.
    fn judge_losses(&self, world: &World<Trial>) -> Looked {
        let turned: BTreeSet<PeerId> = world.experiment().turned().collect();
        let is_honest = |peer: &PeerId| self.seen[peer.0 as usize].wiped.is_none() && !turned.contains(peer);
        for (owner, height) in self.model.losses() {
            let is_theirs = |peer: &PeerId| signer(*peer).address().0 == owner;
            if let Some(peer) = world.net().peers().filter(is_honest).find(is_theirs) {
                let reason = format!("peer {}, which is honest, loses its stake at height {height}", peer.0);
                return Err(Verdict::Unsafe(Oracle::Stake, reason));
            }
        }
        Ok(())
    }

    fn judge_bounds(&self, world: &World<Trial>, peer: PeerId, host: &Peer) -> Looked {
        let (pool, limits) = (host.replica().mempool(), &self.plan.limits.mempool);
        let loose: Vec<TxId> = pool.ids().filter(|id| !pool.is_pinned(id)).collect();
        if loose.len() > limits.payments_max {
            return Err(Verdict::OverBounds(format!("peer {} has {} payments waiting", peer.0, loose.len())));
        }
        let bytes: usize = loose.iter().filter_map(|id| pool.get(id)).map(synod_ledger::Tx::len).sum();
        if bytes > limits.bytes_max {
            return Err(Verdict::OverBounds(format!("peer {} has {bytes} bytes of payments waiting", peer.0)));
        }
        if let Some(agreement) = host.replica().agreement()
            && agreement.log_size().0 as u64 > agreement.high().0 - agreement.stable().0
        {
            let reason = format!("peer {} has {} heights in its log", peer.0, agreement.log_size().0);
            return Err(Verdict::OverBounds(reason));
        }
        // Header, body and undo data of each block; a payment each for what was promised.
        let trial = world.experiment();
        let payments = trial.acknowledged().len() + self.model.payments();
        let agreement = host.replica().agreement().map_or(0, |agreement| {
            RECORDS_PER_HEIGHT * (agreement.high().0 - agreement.stable().0) as usize + RECORDS_OF_VIEW
        });
        let records_max = RECORDS_PER_BLOCK * host.replica().tree().len() + payments + agreement + RECORDS_OF_STAKE;
        let records = world.net().disk(peer).len();
        if records > records_max {
            let reason = format!("peer {} keeps {records} records, where {records_max} are enough", peer.0);
            return Err(Verdict::OverBounds(reason));
        }
        Ok(())
    }
}

/// Header, body, undo data.
const RECORDS_PER_BLOCK: usize = 3;
/// Of a height that is voted on: the vote, what is prepared, what is decided, and the proposals of those.
const RECORDS_PER_HEIGHT: usize = 6;
/// The view, the last checkpoint, how far it is executed, and whether the disk was lost.
const RECORDS_OF_VIEW: usize = 4;
/// What a stake signed last.
const RECORDS_OF_STAKE: usize = 1;
/// A timer or two for each part of a peer, and one look at each of its links.
const SCHEDULED_PER_PEER: usize = 64;
/// What the trial itself has scheduled.
const SCHEDULED_MORE: usize = 256;

/// What is held against a peer that was honest all the time may be bad luck, and no fault.
fn blame(world: &World<Trial>) -> Looked {
    let (trial, peers) = (world.experiment(), world.net().len() as u32);
    let turned: BTreeSet<PeerId> = trial.turned().collect();
    let is_honest = |by: PeerId| by.0 < peers && !turned.contains(&by);
    let faults = trial.rejects().iter().filter(|((by, reason), _)| is_honest(*by) && reason.is_fault());
    match faults.map(|((by, reason), count)| format!("{count} times {reason} by peer {}", by.0)).next() {
        Some(reason) => Err(Verdict::Unsafe(Oracle::Blame, reason)),
        None => Ok(()),
    }
}

/// Whether a block of that status has its body.
const fn has_body(status: Status) -> bool {
    match status {
        Status::Body | Status::Valid => true,
        Status::Header | Status::Invalid => false,
    }
}

#[cfg(test)]
mod tests;
