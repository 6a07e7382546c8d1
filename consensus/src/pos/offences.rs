//! Finding wallets that signed on two branches, and keeping the evidence until it is in a block.
//!
//! The tree of headers is all that is needed: a header that contradicts a new one stands on another branch, above the
//! place where both part, since along one branch height and second grow. So only those parts of the other branches are
//! looked at, which are as long as forks are.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use synod_ledger::{BlockTree, Evidence, EvidenceError, Header, Node, PublicKey, Rules, Seal, State};

use super::Pos;

/// The heaviest branches are searched, and so many at most: others have lost long ago.
pub const BRANCHES_MAX: usize = 64;
/// So much evidence is kept, one for each key. Whoever fills this has lost as many stakes.
pub const PENDING_MAX: usize = 256;

impl Pos {
    /// Evidence that the key of a header, which [`check`](Self::check) found good and whose parent is in the tree, has
    /// signed another one that no honest key signs beside it.
    pub fn offence(&self, tree: &BlockTree, header: &Header) -> Option<Evidence> {
        let recent = |tip: &&Node| tip.height().0.saturating_add(self.params.unbonding) >= header.height.0;
        tree.tips().filter(recent).take(BRANCHES_MAX).find_map(|tip| {
            let fork = tree.common_ancestor(&tip.id(), &header.parent).height();
            let branch = tree.ancestry(&tip.id()).take(self.params.unbonding as usize);
            let mut branch = branch.take_while(|other| other.height > fork);
            let other = branch.find(|other| contradict(other, header))?;
            Some(Evidence::new(Header::clone(other), header.clone()))
        })
    }

    /// All that the last headers of a tree prove, as far back as an offence can be punished, one for each key.
    pub fn offences(&self, tree: &BlockTree) -> Vec<Evidence> {
        let newest = tree.iter().map(Node::height).max().unwrap_or_default();
        let oldest = newest.0.saturating_sub(self.params.unbonding);
        let mut signed: BTreeMap<PublicKey, Vec<&Header>> = BTreeMap::new();
        for header in tree.iter().map(Node::header).filter(|header| header.height.0 >= oldest) {
            if let Seal::Stake { key, .. } = header.seal {
                signed.entry(key).or_default().push(header);
            }
        }
        signed.values_mut().filter_map(|headers| first_contradiction(headers)).collect()
    }
}

/// Whether two signed headers are of one key, agree in height or second, and differ in what was signed.
fn contradict(one: &Header, other: &Header) -> bool {
    let (Seal::Stake { key, .. }, Seal::Stake { key: same, .. }) = (&one.seal, &other.seal) else { return false };
    let agree = one.height == other.height || one.time == other.time;
    key == same && agree && one.stake_digest() != other.stake_digest()
}

/// The first two of these headers of one key that contradict each other. In the order of height, and in that of seconds,
/// two that do are neighbours, unless they were signed alike.
fn first_contradiction(headers: &mut [&Header]) -> Option<Evidence> {
    let found = |headers: &[&Header]| {
        let pair = headers.windows(2).find(|pair| contradict(pair[0], pair[1]))?;
        Some(Evidence::new(pair[0].clone(), pair[1].clone()))
    };
    headers.sort_unstable_by_key(|header| (header.height, header.stake_digest()));
    let by_height = found(headers);
    by_height.or_else(|| {
        headers.sort_unstable_by_key(|header| (header.time, header.stake_digest()));
        found(headers)
    })
}

/// Evidence that waits for a block.
#[derive(Clone, Debug, Default)]
pub struct Pending {
    evidence: BTreeMap<PublicKey, Evidence>,
}

impl Pending {
    /// Keeps evidence that could be in the next block. Says whether it is news, which is when it is worth telling others:
    /// there is one for each key.
    pub fn insert(&mut self, state: &State, rules: &Rules, evidence: Evidence) -> Result<bool, EvidenceError> {
        let key = evidence.key().ok_or(EvidenceError::Form)?;
        if self.evidence.contains_key(&key) || self.evidence.len() >= PENDING_MAX {
            return Ok(false);
        }
        state.check_evidence(rules, &evidence)?;
        self.evidence.insert(key, evidence);
        Ok(true)
    }

    /// Drops what can be in no block any more. What a reorganisation makes good again must be found again.
    pub fn settle(&mut self, state: &State, rules: &Rules) {
        self.evidence.retain(|_, evidence| match state.check_evidence(rules, evidence) {
            Ok(_) | Err(EvidenceError::Early { .. }) => true,
            Err(
                EvidenceError::Chain { .. }
                | EvidenceError::Expired { .. }
                | EvidenceError::Form
                | EvidenceError::NoStake
                | EvidenceError::Off
                | EvidenceError::Signature
                | EvidenceError::Used { .. },
            ) => false,
        });
    }

    /// All of it, by key: what a block's maker offers to [`State::usable_evidence`].
    pub fn iter(&self) -> impl Iterator<Item = &Evidence> + '_ {
        self.evidence.values()
    }

    /// How much there is.
    pub fn len(&self) -> usize {
        self.evidence.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.evidence.is_empty()
    }
}
