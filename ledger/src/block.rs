//! Blocks: a header, a coinbase and payments, shared by all who hold them, with what was found out about them.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::num::NonZeroUsize;

use once_cell::race::{OnceBox, OnceNonZeroUsize};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use synod_machine::{Bytes, Wire, wire};

use crate::verdict::Verdict;
use crate::{
    BlockError, BlockId, Certificate, Coinbase, Evidence, Header, Height, Outcome, Rules, Seal, SharedHeader,
    Signatures, State, Tx, digest, merkle,
};

/// The longest encoding of a block that any chain can allow, in bytes.
pub const BLOCK_BYTES_MAX: usize = 4 << 20;

/// A block that is shared, with its length and root computed at most once and its verdict remembered. Cloning is one
/// reference count; on the wire it is header, coinbase and payments.
#[derive(Clone)]
pub struct Block(Arc<Shared>);

struct Shared {
    parts: Parts,
    len: OnceNonZeroUsize,
    root: OnceBox<Bytes<32>>,
    fingerprint: OnceBox<Bytes<32>>,
    checked: Verdict,
    trusted: Verdict,
}

/// What a block is on the wire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "Block")]
struct Parts {
    header: SharedHeader,
    coinbase: Coinbase,
    payments: Vec<Tx>,
    evidence: Vec<Evidence>,
}

impl Block {
    /// A block of these parts. Nothing is checked.
    pub fn new(header: impl Into<SharedHeader>, coinbase: Coinbase, payments: Vec<Tx>) -> Self {
        Self::with_evidence(header, coinbase, payments, Vec::new())
    }

    /// A block that proves offences too. Nothing is checked.
    pub fn with_evidence(
        header: impl Into<SharedHeader>,
        coinbase: Coinbase,
        payments: Vec<Tx>,
        evidence: Vec<Evidence>,
    ) -> Self {
        Self::from_parts(Parts { header: header.into(), coinbase, payments, evidence })
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.0.parts.header
    }

    /// The header, shared.
    pub fn shared_header(&self) -> &SharedHeader {
        &self.0.parts.header
    }

    /// The header's height.
    pub fn height(&self) -> Height {
        self.header().height
    }

    /// What pays the block's maker.
    pub fn coinbase(&self) -> &Coinbase {
        &self.0.parts.coinbase
    }

    /// The payments, each after those whose outputs it spends.
    pub fn payments(&self) -> &[Tx] {
        &self.0.parts.payments
    }

    /// The offences that it proves.
    pub fn evidence(&self) -> &[Evidence] {
        &self.0.parts.evidence
    }

    /// The header's id.
    pub fn id(&self) -> BlockId {
        self.0.parts.header.id()
    }

    /// The length of its encoding, in bytes.
    #[expect(clippy::len_without_is_empty, reason = "an encoding is never empty")]
    pub fn len(&self) -> usize {
        let compute = || NonZeroUsize::new(wire::encoded_len(&self.0.parts)).expect("an encoding is never empty");
        self.0.len.get_or_init(compute).get()
    }

    /// The same without the validators' votes, which come when the block is made and are bounded by their number.
    pub fn len_without_votes(&self) -> usize {
        match &self.header().seal {
            Seal::Agreed { certificate } => self.len() - wire::encoded_len(certificate),
            Seal::Declared { .. } | Seal::Genesis | Seal::Stake { .. } | Seal::Work { .. } => self.len(),
        }
    }

    /// The Merkle leaves: the coinbase's, then the payments', then the evidence's.
    pub fn leaves(&self) -> Vec<Bytes<32>> {
        leaves(self.coinbase(), self.payments(), self.evidence())
    }

    /// The Merkle root of what is in the block, whatever the header says.
    pub fn merkle_root(&self) -> Bytes<32> {
        *self.0.root.get_or_init(|| Box::new(merkle::root(&self.leaves())))
    }

    /// The hash of everything in the block, signatures and votes too: the header's id and the root of what is in it, whatever
    /// the header says. Two blocks of one id have two fingerprints where their payments differ, so that whoever carries
    /// blocks by fingerprint does not take a spoilt one for the good one.
    pub fn fingerprint(&self) -> Bytes<32> {
        let compute = || {
            let content = (self.id(), self.merkle_root());
            Box::new(match &self.header().seal {
                Seal::Agreed { certificate } => digest("voted block fingerprint", &(content, certificate)),
                Seal::Declared { .. } | Seal::Genesis | Seal::Stake { .. } | Seal::Work { .. } => {
                    digest("block fingerprint", &content)
                }
            })
        };
        *self.0.fingerprint.get_or_init(compute)
    }

    /// The Merkle root that a header over these transactions must have.
    pub fn root_of(coinbase: &Coinbase, payments: &[Tx]) -> Bytes<32> {
        Self::root_with(coinbase, payments, &[])
    }

    /// The same with evidence.
    pub fn root_with(coinbase: &Coinbase, payments: &[Tx], evidence: &[Evidence]) -> Bytes<32> {
        merkle::root(&leaves(coinbase, payments, evidence))
    }

    /// [`State::connect`], done once for all who share this block while one of them holds the outcome. `parent` is the
    /// state that the block builds on.
    ///
    /// The verdict is a pure function of the block's content and its ancestry, which the parent's id pins. It belongs
    /// to this value and not to the id: two blocks with one header can differ in their payments, of which one at most
    /// fits the root. What was connected without checking signatures never answers one who wants them checked.
    pub fn connect(&self, parent: &State, rules: &Rules, signatures: Signatures) -> Result<Arc<Outcome>, BlockError> {
        assert!(parent.tip() == self.header().parent, "a block connects to the state after its parent");
        let verdict = match signatures {
            Signatures::Check => &self.0.checked,
            Signatures::Trust => &self.0.trusted,
        };
        if let Some(known) = self.0.checked.get().or_else(|| verdict.get()) {
            return known;
        }
        let found = parent.connect(rules, self, signatures);
        verdict.set(found.map(|(state, undo)| Arc::new(Outcome { state, undo })))
    }

    /// What [`connect`](Self::connect) found, if it connected and somebody holds the outcome.
    pub fn connected(&self) -> Option<Arc<Outcome>> {
        let known = self.0.checked.get().or_else(|| self.0.trusted.get());
        known.and_then(Result::ok)
    }

    /// The same block with the votes of those who agreed on it. What is known of its content stays known: votes are in
    /// neither the id nor the coins.
    pub fn certified(&self, certificate: Certificate) -> Self {
        let Parts { header, coinbase, payments, evidence } = &self.0.parts;
        let id = header.id();
        let header = Header { seal: Seal::Agreed { certificate }, ..Header::clone(header) };
        let block = Self::with_evidence(header, coinbase.clone(), payments.clone(), evidence.clone());
        assert!(block.id() == id, "votes are not in a block's id");
        for (verdict, known) in [(&block.0.checked, &self.0.checked), (&block.0.trusted, &self.0.trusted)] {
            if let Some(known) = known.get() {
                // Nobody else has this value yet, so that what is remembered is what is given.
                let _ = verdict.set(known);
            }
        }
        if let Some(root) = self.0.root.get() {
            let _ = block.0.root.set(Box::new(*root));
        }
        block
    }

    fn from_parts(parts: Parts) -> Self {
        Self(Arc::new(Shared {
            parts,
            len: OnceNonZeroUsize::new(),
            root: OnceBox::new(),
            fingerprint: OnceBox::new(),
            checked: Verdict::default(),
            trusted: Verdict::default(),
        }))
    }
}

fn leaves(coinbase: &Coinbase, payments: &[Tx], evidence: &[Evidence]) -> Vec<Bytes<32>> {
    let transactions = core::iter::once(coinbase.leaf()).chain(payments.iter().map(Tx::leaf));
    transactions.chain(evidence.iter().map(Evidence::leaf)).collect()
}

impl PartialEq for Block {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.parts == other.0.parts
    }
}

impl Eq for Block {}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Block({:?} at {}, {} payments)", self.id().0, self.height(), self.payments().len())
    }
}

impl Serialize for Block {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.parts.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Block {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Parts::deserialize(deserializer).map(Self::from_parts)
    }
}

impl Wire for Block {
    const BYTES_MAX: usize = BLOCK_BYTES_MAX;

    fn kind(&self) -> &'static str {
        "block"
    }

    fn encoded_len(&self) -> usize {
        self.len()
    }
}
