//! What a replica keeps on disk, so that it comes back as it was: it never votes twice in one view for one height, and
//! never forgets what it has prepared.

use serde::{Deserialize, Serialize};
use synod_ledger::{BlockId, Height};
use synod_machine::{Bytes, Key, Wire};

use super::choice::{NewView, ViewChange};
use super::message::PROOFS_BYTES_MAX;
use super::signed::Signed;
use super::statement::{PrePrepare, Prepared};
use super::types::{Base, Proposal};

const SHELF_VIEW: u8 = 0;
const SHELF_STABLE: u8 = 1;
const SHELF_EXECUTED: u8 = 2;
const SHELF_DECIDED: u8 = 3;
const SHELF_PROPOSAL: u8 = 4;
const SHELF_VOTED: u8 = 5;
const SHELF_PREPARED: u8 = 6;
const SHELF_REJOINING: u8 = 7;

/// How many shelves a replica uses, for its owner to lay its own elsewhere.
pub const SHELVES: u8 = 8;

/// A record of a replica's disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Record<P> {
    /// It takes part in this view; where the view record stands.
    Active(Signed<NewView>),
    /// It moves to a view, by this message; where the view record stands.
    Changing(Signed<ViewChange>),
    /// What is decided at a height, under the height.
    Decided(Base),
    /// Up to where its owner has executed, with the proof.
    Executed(Base),
    /// What it prepared in the highest view, under the height.
    Prepared(Prepared),
    /// A proposal, under its id.
    Proposal(P),
    /// It lost its disk, and is silent until this height is decided, if it is known.
    Rejoining(Option<Height>),
    /// The last stable checkpoint.
    Stable(Height, BlockId),
    /// The order that it voted for in the highest view, or gave as the primary, under the height.
    Voted(Signed<PrePrepare>),
}

impl<P> Record<P> {
    /// Where the view lies.
    pub const VIEW: Key = Key::new(SHELF_VIEW, Bytes::ZERO);
    /// Where the last stable checkpoint lies.
    pub const STABLE: Key = Key::new(SHELF_STABLE, Bytes::ZERO);
    /// Where it lies how far the owner is.
    pub const EXECUTED: Key = Key::new(SHELF_EXECUTED, Bytes::ZERO);

    /// Where it lies that it lost its disk.
    pub const REJOINING: Key = Key::new(SHELF_REJOINING, Bytes::ZERO);

    /// Where it lies what is decided at a height.
    pub fn decided_key(height: Height) -> Key {
        Key::new(SHELF_DECIDED, name(height))
    }

    /// Where a proposal lies.
    pub const fn proposal_key(id: BlockId) -> Key {
        Key::new(SHELF_PROPOSAL, id.0)
    }

    /// Where the last vote for a height lies.
    pub fn voted_key(height: Height) -> Key {
        Key::new(SHELF_VOTED, name(height))
    }

    /// Where it lies what is prepared at a height.
    pub fn prepared_key(height: Height) -> Key {
        Key::new(SHELF_PREPARED, name(height))
    }
}

fn name(height: Height) -> Bytes<32> {
    let mut name = Bytes::ZERO;
    name.0[..8].copy_from_slice(&height.0.to_be_bytes());
    name
}

impl<P: Proposal> Wire for Record<P> {
    const BYTES_MAX: usize = P::BYTES_MAX + PROOFS_BYTES_MAX;

    fn kind(&self) -> &'static str {
        match self {
            Self::Active(_) => "active",
            Self::Changing(_) => "changing",
            Self::Decided(_) => "decided",
            Self::Executed(_) => "executed",
            Self::Prepared(_) => "prepared",
            Self::Proposal(_) => "proposal",
            Self::Rejoining(_) => "rejoining",
            Self::Stable(..) => "stable",
            Self::Voted(_) => "voted",
        }
    }
}
