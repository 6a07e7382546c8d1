//! Who votes, how many of them decide, and in which views.

use alloc::sync::Arc;
use core::fmt;

use serde::{Deserialize, Serialize};
use synod_ledger::{BlockId, Certificate, ChainId, Height, PublicKey, SecretKey, VOTES_MAX, faulty_max, quorum};
use synod_machine::{Bytes, Wire};

/// What is agreed on: a value that names the one before it. Equal ids mean equal content.
pub trait Proposal: Wire + PartialEq {
    /// Its name, the digest of the messages about it.
    fn id(&self) -> BlockId;

    /// The name of the one before it.
    fn parent(&self) -> BlockId;

    /// Its sequence number: one more than the parent's. The genesis's is zero.
    fn height(&self) -> Height;

    /// Whether its content is what its id names, so that a relay cannot spoil a proposal under its good name.
    fn is_whole(&self) -> bool;
}

/// A configuration of who is the primary (section 4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct View(pub u64);

impl View {
    /// The view that a chain starts in.
    pub const FIRST: Self = Self(0);

    /// The view after. The last one that can be named is its own successor.
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A validator by its place in the genesis. It is an identity and not an address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ValidatorId(pub u8);

/// The fewest validators: with three, none may be faulty.
pub const VALIDATORS_MIN: usize = 4;
/// The most validators; a certificate has a vote of each at most.
pub const VALIDATORS_MAX: usize = VOTES_MAX;

/// The validators of a chain, in the genesis's order.
#[derive(Clone, Debug)]
pub struct Validators(Arc<[PublicKey]>);

/// Why keys are not a set of validators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValidatorsError {
    /// Too few, or too many.
    #[error("{got} validators, not {VALIDATORS_MIN} to {VALIDATORS_MAX}")]
    Count {
        /// How many there are.
        got: usize,
    },
    /// One key twice.
    #[error("validator {second} has the key of validator {first}")]
    Twice {
        /// Who has it first.
        first: usize,
        /// Who has it again.
        second: usize,
    },
}

impl Validators {
    /// These keys.
    pub fn new(keys: &[PublicKey]) -> Result<Self, ValidatorsError> {
        if !(VALIDATORS_MIN..=VALIDATORS_MAX).contains(&keys.len()) {
            return Err(ValidatorsError::Count { got: keys.len() });
        }
        for (second, key) in keys.iter().enumerate() {
            if let Some(first) = keys[..second].iter().position(|other| other == key) {
                return Err(ValidatorsError::Twice { first, second });
            }
        }
        Ok(Self(keys.into()))
    }

    /// How many there are: the paper's |R|.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// How many may be faulty: f.
    pub fn faulty(&self) -> usize {
        faulty_max(self.count())
    }

    /// How many decide: q.
    pub fn quorum(&self) -> usize {
        quorum(self.count())
    }

    /// So many are not all faulty: f + 1.
    pub fn honest(&self) -> usize {
        self.faulty() + 1
    }

    /// The primary of a view: p = v mod |R| (section 4).
    pub fn primary(&self, view: View) -> ValidatorId {
        ValidatorId((view.0 % self.0.len() as u64) as u8)
    }

    /// A validator's key.
    pub fn key(&self, id: ValidatorId) -> Option<PublicKey> {
        self.0.get(usize::from(id.0)).copied()
    }

    /// All keys, in order.
    pub fn keys(&self) -> &[PublicKey] {
        &self.0
    }

    /// Whose a key is.
    pub fn find(&self, key: &PublicKey) -> Option<ValidatorId> {
        self.0.iter().position(|other| other == key).map(|place| ValidatorId(place as u8))
    }
}

/// What does not change: the chain and its validators. What is signed under one chain's id holds nowhere else, and the
/// id is a digest of the genesis, so of the validators too.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The chain.
    pub chain: ChainId,
    /// The genesis block's id, decided from the start.
    pub genesis: BlockId,
    /// Who votes.
    pub validators: Validators,
}

impl Rules {
    /// Whether `certificate` proves that `id` was agreed on.
    pub fn is_certified(&self, height: Height, id: BlockId, certificate: &Certificate) -> bool {
        let (keys, quorum) = (self.validators.keys(), self.validators.quorum());
        certificate.verify(keys, quorum, self.chain, height, id)
    }
}

/// A height that is decided, with the proof: the paper's C. The genesis needs none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// How high.
    pub height: Height,
    /// What was agreed on.
    pub id: BlockId,
    /// The proof.
    pub certificate: Certificate,
}

impl Base {
    /// Where every chain starts.
    pub fn genesis(id: BlockId) -> Self {
        Self { height: Height::GENESIS, id, certificate: Certificate::none() }
    }

    /// Whether the proof holds.
    pub fn holds(&self, rules: &Rules) -> bool {
        if self.height == Height::GENESIS {
            return self.id == rules.genesis && self.certificate.is_empty();
        }
        rules.is_certified(self.height, self.id, &self.certificate)
    }
}

/// A validator's own identity.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its place in the genesis.
    pub id: ValidatorId,
    /// Its key.
    pub secret: SecretKey,
}

impl Identity {
    /// The validator whose key this is, if it is one's.
    pub fn of(secret: &SecretKey, validators: &Validators) -> Option<Self> {
        validators.find(&secret.public()).map(|id| Self { id, secret: secret.clone() })
    }
}

/// What a request, of which the owner alone knows more, is watched by.
pub type RequestId = Bytes<32>;
