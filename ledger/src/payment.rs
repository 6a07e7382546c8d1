//! Payments: coins in, outputs out, signatures. [`Tx`] is a payment that many owners share.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::num::NonZeroUsize;
use core::ops::Deref;
use core::sync::atomic::{AtomicBool, Ordering};

use once_cell::race::{OnceBox, OnceNonZeroUsize};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use synod_machine::{Bytes, Wire, wire};

use crate::{Address, Amount, ChainId, PublicKey, Signature, TxId, digest};

/// The longest encoding of a payment, in bytes: the weight limit of Bitcoin Core's relay policy, without its discount.
pub const TX_BYTES_MAX: usize = 100 * 1024;

/// A coin's name: which output of which transaction it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OutPoint {
    /// The payment or coinbase that made the coin.
    pub tx: TxId,
    /// Which of its outputs.
    pub index: u32,
}

impl Hash for OutPoint {
    /// The id is a hash already: eight of its bytes are enough.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let mut first = [0; 8];
        first.copy_from_slice(&self.tx.0.0[..8]);
        state.write_u64(u64::from_le_bytes(first));
        state.write_u32(self.index);
    }
}

impl fmt::Display for OutPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.tx, self.index)
    }
}

/// An amount and whom it belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// How much.
    pub amount: Amount,
    /// Whose it is.
    pub to: Address,
    /// Whether it can be spent as it is.
    pub kind: OutputKind,
}

/// Whether an output can be spent as it is. Only chains whose blocks are made by stake have other than plain ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputKind {
    /// Money.
    #[default]
    Plain,
    /// Locked: it makes blocks, and can only become stake again or begin to unlock.
    Stake,
    /// Unlocked, and money some blocks after its own. Until then it can be lost as stake can.
    Unbonding,
}

impl Output {
    /// Money for somebody.
    pub const fn plain(amount: Amount, to: Address) -> Self {
        Self { amount, to, kind: OutputKind::Plain }
    }

    /// A stake of somebody.
    pub const fn stake(amount: Amount, to: Address) -> Self {
        Self { amount, to, kind: OutputKind::Stake }
    }

    /// A stake that is given up.
    pub const fn unbonding(amount: Amount, to: Address) -> Self {
        Self { amount, to, kind: OutputKind::Unbonding }
    }
}

/// A coin that is spent and its owner's consent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TxInput {
    /// The coin.
    pub coin: OutPoint,
    /// The key whose address the coin belongs to.
    pub key: PublicKey,
    /// The key's signature under the payment's id.
    pub signature: Signature,
}

/// A transfer of coins on one chain. What goes in and does not come out is the miner's fee.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    /// The only chain it is valid on.
    pub chain: ChainId,
    /// The coins it spends.
    pub inputs: Vec<TxInput>,
    /// The coins it makes.
    pub outputs: Vec<Output>,
}

impl Payment {
    /// The digest of everything but the signatures; each input signs its 32 bytes. Computed anew: see [`Tx::id`].
    pub fn digest(&self) -> TxId {
        TxId(digest("payment", &(self.chain, Unsigned(&self.inputs), &self.outputs)))
    }
}

/// Inputs without their signatures.
struct Unsigned<'a>(&'a [TxInput]);

impl Serialize for Unsigned<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|input| (&input.coin, &input.key)))
    }
}

/// A payment that is shared, with its id, leaf and length computed at most once, and its signatures checked at most
/// once when they are good. Cloning is one reference count; on the wire it is the payment.
#[derive(Clone)]
pub struct Tx(Arc<Shared>);

struct Shared {
    payment: Payment,
    id: OnceBox<TxId>,
    leaf: OnceBox<Bytes<32>>,
    len: OnceNonZeroUsize,
    signed: AtomicBool,
}

impl Tx {
    /// The digest of everything but the signatures.
    pub fn id(&self) -> TxId {
        *self.0.id.get_or_init(|| Box::new(self.0.payment.digest()))
    }

    /// The Merkle leaf: the digest of everything, signatures too.
    pub fn leaf(&self) -> Bytes<32> {
        *self.0.leaf.get_or_init(|| Box::new(digest("payment leaf", &self.0.payment)))
    }

    /// The hash of the whole content, signatures too: what names this very payment among those of one id, which may
    /// carry other signatures. It is the Merkle leaf, since that covers everything.
    pub fn fingerprint(&self) -> Bytes<32> {
        self.leaf()
    }

    /// The length of its encoding, in bytes.
    #[expect(clippy::len_without_is_empty, reason = "an encoding is never empty")]
    pub fn len(&self) -> usize {
        let compute = || NonZeroUsize::new(wire::encoded_len(&self.0.payment)).expect("an encoding is never empty");
        self.0.len.get_or_init(compute).get()
    }

    /// The coins that it makes, by name and in order.
    pub fn made(&self) -> impl Iterator<Item = (OutPoint, Output)> + '_ {
        let tx = self.id();
        (0..).zip(&self.0.payment.outputs).map(move |(index, output)| (OutPoint { tx, index }, *output))
    }

    /// Whether all its signatures are known to be good. They are a pure function of the payment, so that one check
    /// serves all who share it.
    pub(crate) fn is_known_signed(&self) -> bool {
        self.0.signed.load(Ordering::Relaxed)
    }

    /// Remembers that all its signatures are good.
    pub(crate) fn set_known_signed(&self) {
        self.0.signed.store(true, Ordering::Relaxed);
    }
}

impl From<Payment> for Tx {
    fn from(payment: Payment) -> Self {
        Self(Arc::new(Shared {
            payment,
            id: OnceBox::new(),
            leaf: OnceBox::new(),
            len: OnceNonZeroUsize::new(),
            signed: AtomicBool::new(false),
        }))
    }
}

impl Deref for Tx {
    type Target = Payment;

    fn deref(&self) -> &Payment {
        &self.0.payment
    }
}

impl PartialEq for Tx {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.payment == other.0.payment
    }
}

impl Eq for Tx {}

impl fmt::Debug for Tx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tx({:?})", self.id().0)
    }
}

impl Serialize for Tx {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.payment.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Tx {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Payment::deserialize(deserializer).map(Self::from)
    }
}

impl Wire for Tx {
    const BYTES_MAX: usize = TX_BYTES_MAX;

    fn kind(&self) -> &'static str {
        "tx"
    }

    fn encoded_len(&self) -> usize {
        self.len()
    }
}
