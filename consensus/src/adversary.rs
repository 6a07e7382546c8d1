//! Faulty validators: the honest machine, with what it sends changed on the way out.
//!
//! [`Party`] is a machine of the same contract as [`Agreement`](crate::pbft::Agreement), and honest or one of the
//! [`Behaviour`]s below. An adversary signs with its own key only: nothing here breaks the cryptography (Castro and
//! Liskov, OSDI '99, section 2). The catalogue follows the faults that pBFT was tested and attacked with: Clement et al.,
//! "Making Byzantine Fault Tolerant Systems Tolerate Byzantine Faults" (NSDI 2009), for slow and selective ones; Bano et al.,
//! "Twins: BFT Systems Made Robust" (OPODIS 2021), for equivocation. A twin needs no machine: it is two honest ones
//! with one key.

mod block;
mod party;
mod scheme;
#[cfg(test)]
mod tests;

use core::time::Duration;

pub use self::party::{Party, PartyParams, PartyTimer};
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
    /// Sends, beside what it should, copies with another signature, another validator's name or another height (Clement
    /// et al., section 2: messages that cost the receiver a check).
    Forger,
    /// Follows the protocol.
    #[default]
    Honest,
    /// Hides in its VIEW-CHANGEs what it has prepared, tells each half another story, moves on when it need not, and as the
    /// primary of a new view starts it twice, from different quorums where it can (MIT-LCS-TM-590, the view-change cases).
    LyingChanger,
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
