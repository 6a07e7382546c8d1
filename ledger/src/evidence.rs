//! Evidence that a stake's owner signed two blocks of which an honest one signs one.
//!
//! An honest wallet signs at most one header for each height *and* for each second, on whatever branch, and writes that
//! down before it sends it. So two headers of one key with good signatures and different content that agree in height
//! or in second are an offence by themselves: no branch and no state is needed to see it, and no two honest headers are
//! one. Neither are two headers of one branch by a wallet that follows the rules, since they differ in both.
//!
//! **Who is paid.** The finder is the maker of the block in which the evidence is. An address in the evidence would bind
//! nobody: evidence is two headers that everybody may see, and whoever makes a block would put an address of its own
//! there, unless the finder had committed to it in an earlier block. Ethereum pays the proposer as the whistleblower for
//! the same reason (consensus specification, `slash_validator`). An offender who proves its own offence gets the finder's
//! share back and loses the rest.

use serde::{Deserialize, Serialize};
use synod_machine::{Bytes, Reject};

use crate::{ChainId, Header, Height, PublicKey, Seal, digest};

/// The most evidence in one block. What does not fit waits for the next one; each costs its checker two signatures.
pub const EVIDENCE_MAX: usize = 4;

/// Two headers that one key signed and must not have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The one whose signed digest is smaller.
    pub first: Header,
    /// The other one.
    pub second: Header,
}

/// What is wrong with evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    /// Headers of another chain.
    #[error("headers of chain {got}, this is {expected}")]
    Chain {
        /// This chain.
        expected: ChainId,
        /// A header's.
        got: ChainId,
    },
    /// Headers above the block that punishes. It may be used later.
    #[error("the offence is at height {got}, this is {expected}")]
    Early {
        /// Where the block is.
        expected: Height,
        /// The offence's height.
        got: Height,
    },
    /// Headers so old that the stake behind them may be free.
    #[error("the offence at height {got} could be proved until {expected}")]
    Expired {
        /// The last height of a block with this evidence.
        expected: Height,
        /// The offence's height.
        got: Height,
    },
    /// Two headers that one honest key may have signed, or the same one twice, or in the wrong order.
    #[error("the headers do not contradict each other")]
    Form,
    /// Nothing is left to lose.
    #[error("the key has no stake")]
    NoStake,
    /// The chain does not punish.
    #[error("this chain does not take stakes away")]
    Off,
    /// A signature that is not the key's.
    #[error("a header is not signed by its key")]
    Signature,
    /// The key has been punished since.
    #[error("the key lost its stake at height {got}, and this offence is no younger")]
    Used {
        /// When.
        got: Height,
    },
}

impl EvidenceError {
    /// Under which a peer that sent it is rejected.
    pub const fn reason(&self) -> Reject {
        match self {
            Self::Off => Reject::BlockEvidenceOff,
            Self::Chain { .. }
            | Self::Early { .. }
            | Self::Expired { .. }
            | Self::Form
            | Self::NoStake
            | Self::Signature
            | Self::Used { .. } => Reject::BlockEvidence,
        }
    }
}

impl Evidence {
    /// The evidence of two headers, in any order. Nothing is checked.
    pub fn new(one: Header, other: Header) -> Self {
        if one.stake_digest() <= other.stake_digest() {
            Self { first: one, second: other }
        } else {
            Self { first: other, second: one }
        }
    }

    /// Whose it is, if it is a stake's.
    pub const fn key(&self) -> Option<PublicKey> {
        match self.first.seal {
            Seal::Stake { key, .. } => Some(key),
            Seal::Agreed { .. } | Seal::Declared { .. } | Seal::Genesis | Seal::Work { .. } => None,
        }
    }

    /// When it happened: the greater height of both.
    pub fn height(&self) -> Height {
        self.first.height.max(self.second.height)
    }

    /// Its Merkle leaf.
    pub fn leaf(&self) -> Bytes<32> {
        digest("evidence leaf", self)
    }

    /// Whether it proves an offence on this chain, whatever became of the stake; says whose.
    pub fn check(&self, chain: ChainId) -> Result<PublicKey, EvidenceError> {
        for header in [&self.first, &self.second] {
            if header.chain != chain {
                return Err(EvidenceError::Chain { expected: chain, got: header.chain });
            }
        }
        let Seal::Stake { key, .. } = self.first.seal else { return Err(EvidenceError::Form) };
        let Seal::Stake { key: other, .. } = self.second.seal else { return Err(EvidenceError::Form) };
        let agree = self.first.height == self.second.height || self.first.time == self.second.time;
        // The digests and not the ids: these are what was signed.
        if key != other || !agree || self.first.stake_digest() >= self.second.stake_digest() {
            return Err(EvidenceError::Form);
        }
        if self.first.is_signed() && self.second.is_signed() { Ok(key) } else { Err(EvidenceError::Signature) }
    }
}

#[cfg(test)]
mod tests {
    use synod_machine::Time;

    use super::*;
    use crate::Signature;
    use crate::testing::{chain, header, key};

    const CHAIN: fn() -> ChainId = || chain().0.chain;

    /// A header of a person at a height and second; `content` makes it differ.
    fn signed(person: u8, height: u64, second: u64, content: u8) -> Header {
        let (rules, state) = chain();
        let seal = Seal::Stake { key: key(person).public(), difficulty: 1, signature: Signature::NONE };
        let (time, root) = (Time::from_secs(second), Bytes([content; 32]));
        Header { height: Height(height), time, root, seal, ..header(&rules, &state) }.signed(&key(person))
    }

    fn check(one: Header, other: Header) -> Result<PublicKey, EvidenceError> {
        Evidence::new(one, other).check(CHAIN())
    }

    #[test]
    fn two_headers_of_one_key_at_one_height_or_second_are_an_offence() {
        let one = signed(1, 5, 50, 1);
        for other in [signed(1, 5, 50, 2), signed(1, 5, 51, 1), signed(1, 6, 50, 1), signed(1, 5, 3, 9)] {
            assert_eq!(check(one.clone(), other.clone()), Ok(key(1).public()));
            assert_eq!(Evidence::new(one.clone(), other.clone()), Evidence::new(other, one.clone()));
        }
        assert_eq!(Evidence::new(one, signed(1, 6, 50, 1)).height(), Height(6));
    }

    #[test]
    fn headers_that_an_honest_key_may_sign_are_none() {
        let one = signed(1, 5, 50, 1);
        for other in [one.clone(), signed(1, 6, 51, 2), signed(1, 4, 51, 2), signed(2, 5, 50, 2)] {
            assert_eq!(check(one.clone(), other), Err(EvidenceError::Form));
        }
        let unstaked = Header { seal: Seal::Genesis, ..signed(1, 5, 50, 2) };
        assert_eq!(check(one.clone(), unstaked.clone()), Err(EvidenceError::Form));
        assert_eq!(check(unstaked.clone(), unstaked), Err(EvidenceError::Form));
        let backwards = Evidence::new(one.clone(), signed(1, 5, 50, 2));
        let backwards = Evidence { first: backwards.second, second: backwards.first };
        assert_eq!(backwards.check(CHAIN()), Err(EvidenceError::Form), "one evidence has one form");
    }

    #[test]
    fn nobody_makes_evidence_against_a_key_without_its_signatures() {
        let one = signed(1, 5, 50, 1);
        let forged = Header { root: Bytes([2; 32]), ..one.clone() };
        assert_eq!(check(one.clone(), forged), Err(EvidenceError::Signature));
        let Seal::Stake { key, difficulty, mut signature } = one.seal.clone() else { panic!("a stake's") };
        signature.0.0[5] ^= 1;
        let spoilt = Header { seal: Seal::Stake { key, difficulty, signature }, ..one.clone() };
        assert_ne!(spoilt.id(), one.id());
        assert_eq!(check(one.clone(), spoilt), Err(EvidenceError::Form), "the same content, whatever its signature");
        let got = ChainId(Bytes([9; 8]));
        let elsewhere = Header { chain: got, ..signed(1, 5, 50, 2) };
        assert_eq!(check(one, elsewhere), Err(EvidenceError::Chain { expected: CHAIN(), got }));
    }
}
