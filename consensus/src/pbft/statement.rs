//! What validators sign (section 4.2 of the paper: the messages' fields), and the predicate that a quorum proves.

use alloc::sync::Arc;

use serde::{Deserialize, Serialize};
use synod_ledger::{Batch, BlockId, ChainId, Height, Signature, commit_digest, digest};
use synod_machine::{Bytes, Reject};

use super::signed::{Signed, Statement};
use super::types::{Rules, ValidatorId, View};

/// What a PRE-PREPARE and its PREPAREs are about: ⟨v, n, d⟩, and the parent, so that who has no proposal at hand sees
/// from the signatures which chain it continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Order {
    /// v.
    pub view: View,
    /// n.
    pub height: Height,
    /// d.
    pub id: BlockId,
    /// What the proposal names as its parent.
    pub parent: BlockId,
}

/// The primary assigns a height to a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PrePrepare(pub Order);

/// A backup agrees to the assignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Prepare(pub Order);

/// A replica has prepared the proposal. What is signed is what a [`Certificate`](synod_ledger::Certificate) shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// v.
    pub view: View,
    /// n.
    pub height: Height,
    /// d.
    pub id: BlockId,
}

/// A replica has executed everything up to a height (section 4.3). The block's id is the digest of the state after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// n.
    pub height: Height,
    /// d.
    pub id: BlockId,
}

/// A peer is a validator. Anybody can repeat it, and gets messages that are no secret for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Drawn anew by who says it, so that two connections' hellos differ.
    pub salt: u64,
}

impl Statement for PrePrepare {
    fn digest(&self, chain: ChainId) -> Bytes<32> {
        digest("pre-prepare", &(chain, self))
    }

    fn holds(&self, by: ValidatorId, rules: &Rules) -> Result<(), Reject> {
        if rules.validators.primary(self.0.view) == by { Ok(()) } else { Err(Reject::VotePrimary) }
    }
}

impl Statement for Prepare {
    fn digest(&self, chain: ChainId) -> Bytes<32> {
        digest("prepare", &(chain, self))
    }

    /// The primary's PRE-PREPARE is its vote; it sends no PREPARE (section 4.2).
    fn holds(&self, by: ValidatorId, rules: &Rules) -> Result<(), Reject> {
        if rules.validators.primary(self.0.view) == by { Err(Reject::VotePrimary) } else { Ok(()) }
    }
}

impl Statement for Commit {
    fn digest(&self, chain: ChainId) -> Bytes<32> {
        commit_digest(chain, self.view.0, self.height, self.id)
    }

    fn holds(&self, _: ValidatorId, _: &Rules) -> Result<(), Reject> {
        Ok(())
    }
}

impl Statement for Checkpoint {
    fn digest(&self, chain: ChainId) -> Bytes<32> {
        digest("checkpoint", &(chain, self))
    }

    fn holds(&self, _: ValidatorId, _: &Rules) -> Result<(), Reject> {
        Ok(())
    }
}

impl Statement for Hello {
    fn digest(&self, chain: ChainId) -> Bytes<32> {
        digest("hello", &(chain, self))
    }

    fn holds(&self, _: ValidatorId, _: &Rules) -> Result<(), Reject> {
        Ok(())
    }
}

/// The proof of the predicate `prepared(m, v, n)`: the pre-prepare and q − 1 matching prepares of others (section 4.2:
/// 2f, which is q − 1 where n = 3f + 1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prepared {
    /// The pre-prepare.
    pub order: Signed<PrePrepare>,
    /// Who prepared it, ascending, and their signatures under the same order.
    pub votes: Arc<[(ValidatorId, Signature)]>,
}

impl Prepared {
    /// What is prepared.
    pub fn order(&self) -> &Order {
        &self.order.body().0
    }

    /// Whether the proof holds: q different validators, one of them the primary, by the order's view.
    pub fn holds(&self, rules: &Rules) -> bool {
        let validators = &rules.validators;
        if self.order.check(rules).is_err() || self.votes.len() + 1 < validators.quorum() {
            return false;
        }
        if !self.votes.is_sorted_by(|one, next| one.0 < next.0) {
            return false;
        }
        let order = *self.order();
        let message = Prepare(order).digest(rules.chain);
        let mut batch = Batch::new();
        for &(by, signature) in self.votes.iter() {
            let Some(key) = validators.key(by) else { return false };
            if by == validators.primary(order.view) {
                return false;
            }
            batch.queue(key, signature, message.as_slice());
        }
        batch.verify()
    }
}

/// Two statements of one validator of which an honest one makes one at most.
#[derive(Clone, Debug, PartialEq)]
pub enum Evidence {
    /// Two commits of one view and height.
    Commits(Signed<Commit>, Signed<Commit>),
    /// Two pre-prepares of one view and height.
    PrePrepares(Signed<PrePrepare>, Signed<PrePrepare>),
    /// Two prepares of one view and height.
    Prepares(Signed<Prepare>, Signed<Prepare>),
}

impl Evidence {
    /// Whose they are.
    pub fn by(&self) -> ValidatorId {
        match self {
            Self::Commits(first, _) => first.by(),
            Self::PrePrepares(first, _) => first.by(),
            Self::Prepares(first, _) => first.by(),
        }
    }
}
