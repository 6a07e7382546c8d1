//! Statements with their validators' signatures, shared, and judged at most once for all who share them.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;

use once_cell::race::OnceBox;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use synod_ledger::{ChainId, Signature};
use synod_machine::{Bytes, Reject};

use super::types::{Identity, Rules, ValidatorId};

/// Something that a validator signs.
pub trait Statement: Clone + fmt::Debug + PartialEq {
    /// What is signed: a digest with a tag of its own kind and the chain's id.
    fn digest(&self, chain: ChainId) -> Bytes<32>;

    /// What must hold besides the signature. It depends on the statement and the rules alone.
    fn holds(&self, by: ValidatorId, rules: &Rules) -> Result<(), Reject>;
}

/// A statement and its signature. Cloning is one reference count; on the wire it is the three parts.
///
/// The verdict that is remembered is a pure function of the content and the rules, which the chain's id pins; it is
/// kept with that id. What comes by a wire is a value of its own, so that a real peer judges each message that it gets.
#[derive(Clone)]
pub struct Signed<T>(Arc<Envelope<T>>);

struct Envelope<T> {
    parts: Parts<T>,
    verdict: OnceBox<(ChainId, Result<(), Reject>)>,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename = "Signed")]
struct Parts<T> {
    body: T,
    by: ValidatorId,
    signature: Signature,
}

impl<T: Statement> Signed<T> {
    /// `body` signed by `identity`.
    pub fn new(rules: &Rules, identity: &Identity, body: T) -> Self {
        let signature = identity.secret.sign(body.digest(rules.chain).as_slice());
        Self::from_parts(body, identity.id, signature)
    }

    /// These parts. Nothing is checked.
    pub fn from_parts(body: T, by: ValidatorId, signature: Signature) -> Self {
        Self(Arc::new(Envelope { parts: Parts { body, by, signature }, verdict: OnceBox::new() }))
    }

    /// Whether it is what `by` said and may be said.
    pub fn check(&self, rules: &Rules) -> Result<(), Reject> {
        let (chain, verdict) = *self.0.verdict.get_or_init(|| Box::new((rules.chain, self.judge(rules))));
        if chain == rules.chain { verdict } else { self.judge(rules) }
    }

    fn judge(&self, rules: &Rules) -> Result<(), Reject> {
        let Parts { body, by, signature } = &self.0.parts;
        let key = rules.validators.key(*by).ok_or(Reject::VoteStranger)?;
        if !key.verify(body.digest(rules.chain).as_slice(), signature) {
            return Err(Reject::VoteSignature);
        }
        body.holds(*by, rules)
    }
}

impl<T> Signed<T> {
    /// What is said.
    pub fn body(&self) -> &T {
        &self.0.parts.body
    }

    /// By whom, as it says.
    pub fn by(&self) -> ValidatorId {
        self.0.parts.by
    }

    /// The signature.
    pub fn signature(&self) -> Signature {
        self.0.parts.signature
    }
}

impl<T: PartialEq> PartialEq for Signed<T> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.parts == other.0.parts
    }
}

impl<T: fmt::Debug> fmt::Debug for Signed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} by {}", self.body(), self.by().0)
    }
}

impl<T: Serialize> Serialize for Signed<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.parts.serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Signed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let parts = Parts::deserialize(deserializer)?;
        Ok(Self(Arc::new(Envelope { parts, verdict: OnceBox::new() })))
    }
}
