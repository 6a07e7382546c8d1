//! View changes and what a new view makes of them: a pure function, which the new primary computes and everybody
//! computes again (section 4.4).

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use synod_ledger::{ChainId, Height, digest};
use synod_machine::{Bytes, Reject};

use super::signed::{Signed, Statement};
use super::statement::{Order, PrePrepare, Prepared};
use super::types::{Base, Rules, ValidatorId, View};

/// A replica votes for no height that is further above what it knows to be decided. It bounds a view change to this
/// many proofs, of a quorum's signatures each: at n = 128, eight megabytes in a new view.
pub const DEPTH_MAX: u64 = 16;

/// A replica stops taking part in views below `view`: ⟨VIEW-CHANGE, v, n, C, P, i⟩.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ViewChange {
    /// The view that it moves to.
    pub view: View,
    /// n and C: the highest block that it knows to be decided, with its commit certificate.
    pub base: Base,
    /// P: the proof of the highest view for each height above, ascending and without a gap.
    pub prepared: Vec<Prepared>,
}

impl Statement for ViewChange {
    fn digest(&self, chain: ChainId) -> Bytes<32> {
        digest("view-change", &(chain, self))
    }

    fn holds(&self, _: ValidatorId, rules: &Rules) -> Result<(), Reject> {
        let mut height = self.base.height;
        let mut is_good = self.prepared.len() as u64 <= DEPTH_MAX && self.base.holds(rules);
        for prepared in &self.prepared {
            height = height.next();
            let order = prepared.order();
            is_good = is_good && order.height == height && order.view < self.view && prepared.holds(rules);
        }
        if is_good { Ok(()) } else { Err(Reject::VoteChange) }
    }
}

/// The primary starts a view: ⟨NEW-VIEW, v, V, O⟩.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NewView {
    /// v.
    pub view: View,
    /// V: view changes of a quorum, ascending by validator.
    pub changes: Vec<Signed<ViewChange>>,
    /// O: the pre-prepares that the view starts with.
    pub orders: Vec<Signed<PrePrepare>>,
}

impl NewView {
    /// min-s: what V proves to be decided.
    pub fn base(&self) -> &Base {
        let highest = self.changes.iter().map(|change| &change.body().base).max_by_key(|base| base.height);
        highest.expect("a new view carries view changes of a quorum")
    }
}

impl Statement for NewView {
    fn digest(&self, chain: ChainId) -> Bytes<32> {
        digest("new-view", &(chain, self))
    }

    fn holds(&self, by: ValidatorId, rules: &Rules) -> Result<(), Reject> {
        if rules.validators.primary(self.view) != by {
            return Err(Reject::VotePrimary);
        }
        let is_ascending = self.changes.is_sorted_by(|one, next| one.by() < next.by());
        if !is_ascending || self.changes.len() < rules.validators.quorum() {
            return Err(Reject::VoteNewView);
        }
        for change in &self.changes {
            if change.body().view != self.view || change.check(rules).is_err() {
                return Err(Reject::VoteNewView);
            }
        }
        let orders = self.orders.iter().map(|order| order.body().0);
        let is_chosen = orders.eq(choose(self.view, &self.changes));
        let are_signed = self.orders.iter().all(|order| order.check(rules).is_ok());
        if is_chosen && are_signed { Ok(()) } else { Err(Reject::VoteNewView) }
    }
}

/// O: for each height above min-s, what was prepared in the highest view, as long as each continues the one before.
///
/// What is left out was not committed. Let (n, d) be committed in view v. Of the q that sent COMMIT, q − f at least
/// are honest; each had (n, d) prepared in v, and so, since it votes for n only on a parent that is decided or prepared
/// in v, either had d's parent p prepared in v or knew a certificate of it. V has view changes of q, so of one of
/// them, r. If r's base or another is at n or above, n is not asked about. Else r shows proofs for n and, if its base is
/// lower, for n − 1, of views v at least.
/// A proof for n of view v is for d, since two quorums share an honest voter. One of a later view is for d by induction
/// over the views: that view's O had d at n. For n − 1 alike: a proof of view v is for p, and one of a later
/// view follows that view's O, which had d at n and therefore p at n − 1. So d is chosen at n, p at n − 1 (or it is the
/// base), and d continues it; by induction downwards, the same holds for every height between the base and n. A choice
/// that does not continue the one before, and all above it, can therefore be dropped, and no null request fills a gap.
pub fn choose(view: View, changes: &[Signed<ViewChange>]) -> Vec<Order> {
    let bases = changes.iter().map(|change| &change.body().base);
    let Some(base) = bases.max_by_key(|base| base.height) else { return Vec::new() };
    let mut chosen: Vec<Order> = Vec::new();
    let (mut height, mut parent) = (base.height.next(), base.id);
    while let Some(highest) = highest_at(height, changes) {
        if highest.parent != parent {
            break;
        }
        chosen.push(Order { view, ..*highest });
        (height, parent) = (height.next(), highest.id);
    }
    chosen
}

/// The order of the highest view that is proved for a height.
fn highest_at(height: Height, changes: &[Signed<ViewChange>]) -> Option<&Order> {
    let proofs = changes.iter().flat_map(|change| &change.body().prepared);
    proofs.map(Prepared::order).filter(|order| order.height == height).max()
}

/// The smallest of these views, if more than f validators are in them, so that one honest at least is (section 4.5.2).
pub(super) fn view_to_join(rules: &Rules, later: impl Iterator<Item = (ValidatorId, View)>) -> Option<View> {
    let later: Vec<(ValidatorId, View)> = later.collect();
    let who: BTreeSet<ValidatorId> = later.iter().map(|(by, _)| *by).collect();
    let smallest = later.iter().map(|(_, view)| *view).min();
    smallest.filter(|_| who.len() >= rules.validators.honest())
}
