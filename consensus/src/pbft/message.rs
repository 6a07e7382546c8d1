//! What replicas say to each other.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use synod_ledger::{BlockId, Height};
use synod_machine::Wire;

use super::choice::{NewView, ViewChange};
use super::rejoin::Mark;
use super::signed::Signed;
use super::statement::{Checkpoint, Commit, Hello, PrePrepare, Prepare};
use super::types::{Base, Proposal, View};

/// What a replica has, for others to send what it lacks (TOCS 2002, section 5.2). It is not signed, since it is
/// believed in nothing but in what to answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The view that it is in, or moves to.
    pub view: View,
    /// Whether it is in it.
    pub is_active: bool,
    /// Up to where it knows what is decided.
    pub decided: Height,
    /// Its last stable checkpoint.
    pub stable: Height,
    /// Whether it has a pre-prepare of its view and the proposal, for the heights from `decided` + 1 on.
    pub orders: Vec<bool>,
    /// Whether it answers another's, so that no answer in kind is due.
    pub is_reply: bool,
}

/// A message between replicas. Most are signed by their makers, so that anybody may hand them on; the others
/// ask, or carry their own proof.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Message<P> {
    /// A replica has executed so far.
    Checkpoint(Signed<Checkpoint>),
    /// A replica has prepared a proposal.
    Commit(Signed<Commit>),
    /// What is decided at a height, with its proof and, for who lacks it, the proposal.
    Decided {
        /// What, where, and the proof.
        base: Base,
        /// The proposal.
        proposal: Option<P>,
    },
    /// Asks for a proposal whose id is known.
    Fetch {
        /// Where it stands.
        height: Height,
        /// Its name.
        id: BlockId,
    },
    /// The sender is a validator.
    Hello {
        /// Who it is.
        hello: Signed<Hello>,
        /// Whether the sender does not know who the receiver is.
        asks: bool,
    },
    /// An answer to `Recall`.
    Mark(Signed<Mark>),
    /// A view starts.
    NewView(Signed<NewView>),
    /// The primary assigns a height to a proposal, which comes with it.
    PrePrepare {
        /// The assignment.
        order: Signed<PrePrepare>,
        /// The proposal.
        proposal: P,
    },
    /// A backup agrees.
    Prepare(Signed<Prepare>),
    /// An answer to `Fetch`.
    Proposal(P),
    /// Asks what is decided, by one who lost its disk.
    Recall {
        /// Drawn by the sender, and given back in the answer.
        salt: u64,
    },
    /// What the sender has.
    Status(Status),
    /// A replica moves to a later view.
    ViewChange(Signed<ViewChange>),
}

/// Room for a new view's proofs: view changes of 86 among 128 validators, each with a base and sixteen proofs of six
/// kilobytes, and for what else a message has beside a proposal.
pub const PROOFS_BYTES_MAX: usize = 9 << 20;

impl<P: Proposal> Wire for Message<P> {
    const BYTES_MAX: usize = P::BYTES_MAX + PROOFS_BYTES_MAX;

    fn kind(&self) -> &'static str {
        match self {
            Self::Checkpoint(_) => "checkpoint",
            Self::Commit(_) => "commit",
            Self::Decided { .. } => "decided",
            Self::Fetch { .. } => "fetch",
            Self::Hello { .. } => "hello",
            Self::Mark(_) => "mark",
            Self::NewView(_) => "new_view",
            Self::PrePrepare { .. } => "pre_prepare",
            Self::Prepare(_) => "prepare",
            Self::Proposal(_) => "proposal",
            Self::Recall { .. } => "recall",
            Self::Status(_) => "status",
            Self::ViewChange(_) => "view_change",
        }
    }

    fn encoded_len(&self) -> usize {
        match self {
            // A proposal knows its own length: one byte of tag, and what stands beside it.
            Self::PrePrepare { order, proposal } => {
                1 + synod_machine::wire::encoded_len(order) + proposal.encoded_len()
            }
            Self::Proposal(proposal) => 1 + proposal.encoded_len(),
            Self::Decided { base, proposal: Some(proposal) } => {
                2 + synod_machine::wire::encoded_len(base) + proposal.encoded_len()
            }
            Self::Checkpoint(_)
            | Self::Commit(_)
            | Self::Decided { .. }
            | Self::Fetch { .. }
            | Self::Hello { .. }
            | Self::Mark(_)
            | Self::NewView(_)
            | Self::Prepare(_)
            | Self::Recall { .. }
            | Self::Status(_)
            | Self::ViewChange(_) => synod_machine::wire::encoded_len(self),
        }
    }
}
