//! Faulty validators: the honest machine, with what it sends changed on the way out.
//!
//! [`Party`] is a machine of the same contract as [`Agreement`](crate::pbft::Agreement), and honest or one of the
//! [`Behaviour`]s below. An adversary signs with its own key only: nothing here breaks the cryptography (Castro and
//! Liskov, OSDI '99, section 2). The catalogue follows the faults that pBFT was tested and attacked with: Clement et al.,
//! "Making Byzantine Fault Tolerant Systems Tolerate Byzantine Faults" (NSDI 2009), for slow and selective ones; Bano et al.,
//! "Twins: BFT Systems Made Robust" (OPODIS 2021), for equivocation. A twin needs no machine: it is two honest ones
//! with one key.
//!
//! Where blocks are made by work or stake there are no votes to change: [`Selfish`] decides what a pool publishes, and
//! [`MultiMinter`] makes the blocks of a wallet that keeps to no branch.

mod block;
mod party;
mod scheme;
mod selfish;
mod stake;
#[cfg(test)]
mod tests;

use core::time::Duration;

pub use self::party::{Party, PartyParams, PartyTimer};
pub use self::selfish::{Move, Selfish};
pub use self::stake::{MultiMinter, accusations};
use crate::pbft::Proposal;

/// A proposal that a faulty primary can make another one of.
pub trait Sibling: Proposal {
    /// Another proposal of the same parent, as good as this one where that is possible.
    fn sibling(&self) -> Self;
}

/// How a validator behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Behaviour {
    /// Votes towards everybody for whatever that one prepares, and as the primary proposes two blocks for each height, each to
    /// every other replica. With 2q − n of these the honest replicas can be made to commit different blocks; with f, never
    /// (Castro and Liskov, section 3: the bound is tight).
    Colluder,
    /// As the primary, gives each half of the others another proposal for the same height, and votes for both (Twins,
    /// section 3: equivocation by a leader).
    EquivocatingPrimary,
    /// Prepares and commits one proposal towards one half, and an invented one towards the other.
    EquivocatingVoter,
    /// Both at once: proposes twice when it is its turn, and votes twice when it is not.
    Equivocator,
    /// Sends, beside what it should, copies with another signature, another validator's name or another height (Clement
    /// et al., section 2: messages that cost the receiver a check).
    Forger,
    /// Follows the protocol.
    #[default]
    Honest,
    /// Hides in its VIEW-CHANGEs what it has prepared, tells each half another story, moves on when it need not, and as the
    /// primary of a new view starts it twice, from different quorums where it can (MIT-LCS-TM-590, the view-change cases).
    LyingChanger,
    /// Votes as it should, and spoils what it gives to those that lack blocks: certificates with a bad vote, other blocks under
    /// good names, or nothing (TOCS 2002, section 5.3.2: state is fetched from one replica and checked against a proof by others).
    LyingDonor,
    /// Repeats old messages of its own and of others, of earlier views too.
    Replayer,
    /// Sends to the lower half of the peers only, so that some hear of a proposal and others do not (Clement et al.,
    /// section 4).
    Selective,
    /// Sends nothing.
    Silent,
    /// As the primary, holds every proposal back for a time, just under the others' time-out in the worst case
    /// (Clement et al., section 4: a slow primary is the strongest attack on PBFT's throughput).
    Slow(Duration),
}

impl Behaviour {
    /// The names of all, as command lines and files have them.
    pub const NAMES: [&'static str; 12] = [
        "colluder",
        "equivocating-primary",
        "equivocating-voter",
        "equivocator",
        "forger",
        "honest",
        "lying-changer",
        "lying-donor",
        "replayer",
        "selective",
        "silent",
        "slow",
    ];

    /// The behaviour of that name, among validators that replace a primary after `view_timeout`.
    pub fn named(name: &str, view_timeout: Duration) -> Option<Self> {
        let all = [
            Self::Colluder,
            Self::EquivocatingPrimary,
            Self::EquivocatingVoter,
            Self::Equivocator,
            Self::Forger,
            Self::Honest,
            Self::LyingChanger,
            Self::LyingDonor,
            Self::Replayer,
            Self::Selective,
            Self::Silent,
            Self::slow(view_timeout),
        ];
        all.into_iter().find(|behaviour| behaviour.name() == name)
    }

    /// A primary that is as slow as it can be: what is left of the time is for a proposal's way and for the votes.
    pub const fn slow(view_timeout: Duration) -> Self {
        Self::Slow(Duration::from_nanos((view_timeout.as_nanos() / 10 * 9) as u64))
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Colluder => "colluder",
            Self::EquivocatingPrimary => "equivocating-primary",
            Self::EquivocatingVoter => "equivocating-voter",
            Self::Equivocator => "equivocator",
            Self::Forger => "forger",
            Self::Honest => "honest",
            Self::LyingChanger => "lying-changer",
            Self::LyingDonor => "lying-donor",
            Self::Replayer => "replayer",
            Self::Selective => "selective",
            Self::Silent => "silent",
            Self::Slow(_) => "slow",
        }
    }
}
