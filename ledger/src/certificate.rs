//! The proof that a quorum of validators agreed on a block, which anybody can check who knows the chain's genesis.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use synod_machine::Bytes;

use crate::{Batch, BlockId, ChainId, Height, PublicKey, Signature, digest};

/// The most votes of a certificate, which is the most validators of a chain.
pub const VOTES_MAX: usize = 128;

/// The longest encoding of a certificate, in bytes: a view, a count, and votes of 66 bytes each.
pub(crate) const CERTIFICATE_BYTES_MAX: usize = 9 + 1 + VOTES_MAX * (1 + 65);

/// Votes of validators for one block in one view. Cloning is one reference count; on the wire it is a view and its
/// votes. The same block can have several good certificates, of other views or other validators, so that none of it is
/// in the block's id.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate(Arc<Votes>);

/// What a certificate is on the wire.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "Certificate")]
struct Votes {
    view: u64,
    votes: Vec<(u8, Signature)>,
}

/// What each vote signs: SHA-256 over the tag "commit", the chain, the view, the height and the block's id.
pub fn commit_digest(chain: ChainId, view: u64, height: Height, id: BlockId) -> Bytes<32> {
    digest("commit", &Commit { chain, view, height, id })
}

#[derive(Serialize)]
struct Commit {
    chain: ChainId,
    view: u64,
    height: Height,
    id: BlockId,
}

impl Certificate {
    /// These votes, each a validator's place in the genesis and its signature under [`commit_digest`]. Nothing is
    /// checked.
    pub fn new(view: u64, votes: Vec<(u8, Signature)>) -> Self {
        Self(Arc::new(Votes { view, votes }))
    }

    /// No votes: what a block carries that is proposed and not agreed on yet.
    pub fn none() -> Self {
        Self::new(0, Vec::new())
    }

    /// The view in which the block was agreed on.
    pub fn view(&self) -> u64 {
        self.0.view
    }

    /// Who voted, by the place in the genesis, and how.
    pub fn votes(&self) -> &[(u8, Signature)] {
        &self.0.votes
    }

    /// Whether nobody voted.
    pub fn is_empty(&self) -> bool {
        self.0.votes.is_empty()
    }

    /// Whether at least `quorum` of these validators signed this block. Their places must ascend, so that nobody counts
    /// twice, and every vote must be good, also those above the quorum.
    pub fn verify(&self, validators: &[PublicKey], quorum: usize, chain: ChainId, height: Height, id: BlockId) -> bool {
        let votes = self.votes();
        if votes.len() < quorum || !votes.is_sorted_by(|one, next| one.0 < next.0) {
            return false;
        }
        let message = commit_digest(chain, self.view(), height, id);
        let mut batch = Batch::new();
        for (place, signature) in votes {
            let Some(&key) = validators.get(usize::from(*place)) else { return false };
            batch.queue(key, *signature, message.as_slice());
        }
        batch.verify()
    }
}

impl Default for Certificate {
    fn default() -> Self {
        Self::none()
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate(view {}, {} votes)", self.view(), self.votes().len())
    }
}

impl Serialize for Certificate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Certificate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let votes = Votes::deserialize(deserializer)?;
        if votes.votes.len() > VOTES_MAX {
            return Err(de::Error::custom("more votes than validators"));
        }
        Ok(Self(Arc::new(votes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::key;

    const ID: BlockId = BlockId(Bytes([7; 32]));
    const CHAIN: ChainId = ChainId(Bytes([1; 8]));

    fn validators() -> Vec<PublicKey> {
        (0..4).map(|person| key(person).public()).collect()
    }

    fn vote(place: u8, view: u64) -> (u8, Signature) {
        (place, key(place).sign(commit_digest(CHAIN, view, Height(5), ID).as_slice()))
    }

    fn holds(certificate: &Certificate) -> bool {
        certificate.verify(&validators(), 3, CHAIN, Height(5), ID)
    }

    #[test]
    fn a_quorum_of_votes_in_order_proves_a_block() {
        assert!(holds(&Certificate::new(2, (0..3).map(|place| vote(place, 2)).collect())));
        assert!(holds(&Certificate::new(2, (0..4).map(|place| vote(place, 2)).collect())));
        assert!(holds(&Certificate::new(2, [0, 2, 3].map(|place| vote(place, 2)).to_vec())));
    }

    #[test]
    fn a_quorum_is_of_different_validators_of_this_chain_with_good_votes_for_this_block() {
        let good: Vec<(u8, Signature)> = (0..3).map(|place| vote(place, 2)).collect();
        assert!(!holds(&Certificate::none()));
        assert!(!holds(&Certificate::new(2, good[..2].to_vec())), "too few");
        assert!(!holds(&Certificate::new(2, alloc::vec![good[0], good[1], good[1]])), "one twice");
        assert!(!holds(&Certificate::new(2, alloc::vec![good[1], good[0], good[2]])), "out of order");
        assert!(!holds(&Certificate::new(2, alloc::vec![good[0], good[1], vote(4, 2)])), "not a validator");
        assert!(!holds(&Certificate::new(3, good.clone())), "another view");
        let mut spoilt: Vec<(u8, Signature)> = (0..4).map(|place| vote(place, 2)).collect();
        spoilt[3].1.0.0[0] ^= 1;
        assert!(!holds(&Certificate::new(2, spoilt)), "a bad vote above the quorum");
        let certificate = Certificate::new(2, good);
        let verify = |chain, height, id| certificate.verify(&validators(), 3, chain, height, id);
        assert!(verify(CHAIN, Height(5), ID));
        assert!(!verify(ChainId(Bytes([2; 8])), Height(5), ID));
        assert!(!verify(CHAIN, Height(6), ID));
        assert!(!verify(CHAIN, Height(5), BlockId(Bytes([8; 32]))));
    }

    #[test]
    fn more_votes_than_validators_do_not_decode() {
        let votes = |count: usize| Certificate::new(0, alloc::vec![(0, Signature::NONE); count]);
        let decode = |certificate: &Certificate| {
            serde_json::from_str::<Certificate>(&serde_json::to_string(certificate).expect("writable"))
        };
        assert_eq!(decode(&votes(VOTES_MAX)).expect("as many as there can be"), votes(VOTES_MAX));
        assert!(decode(&votes(VOTES_MAX + 1)).is_err());
    }

    #[test]
    fn the_longest_certificate_has_8_458_bytes() {
        let longest = Certificate::new(u64::MAX, alloc::vec![(u8::MAX, Signature::NONE); VOTES_MAX]);
        // A place is below 251, and so one byte.
        assert_eq!(CERTIFICATE_BYTES_MAX, 8_458);
        assert_eq!(synod_machine::wire::encoded_len(&longest), CERTIFICATE_BYTES_MAX);
    }
}
