//! Forgeries: blocks and payments that break one rule each and are right in all else, as somebody who wants to cheat would
//! hand them to a peer. And one thing that is no forgery: miners who spend their rewards as soon as they may.
//!
//! Seals of a simulated chain are declared, so that a forged block costs nothing and must be refused for the rule that it
//! breaks.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use synod_consensus::Replica;
use synod_ledger::{
    Address, Amount, Block, Coin, Coinbase, CompactTarget, Header, Height, OutPoint, Output, Payment, PaymentBuilder,
    Seal, SecretKey, Signature, Tx, TxId, TxInput,
};
use synod_machine::{Bytes, PeerId, Time};

use crate::oracle::headers::{Mark, median};

/// Who hands forgeries over: no peer of the world.
pub const STRANGER: PeerId = PeerId(u32::MAX - 1);

/// Which rule is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Forgery {
    /// The coinbase claims a unit more than subsidy and fees.
    Claim,
    /// Two payments of a block spend one coin.
    DoubleSpend,
    /// A reward is spent one block before it is mature.
    Early,
    /// The target is the easiest there is.
    Easy,
    /// The time is a millisecond later than may be.
    Future,
    /// The target asks for 65,536 times the work, which nobody did.
    Hard,
    /// A payment pays out a unit more than comes in.
    Overspend,
    /// The block is longer than allowed.
    Oversize,
    /// The time is that of the median.
    Past,
    /// A payment spends a coin that nobody made.
    Phantom,
    /// The root is not that of what is in the block.
    Root,
    /// The seal is one of work that was not done.
    Seal,
    /// A payment spends somebody else's coin.
    Stranger,
    /// A payment spends one coin twice.
    Twice,
    /// A payment's signature is of something else.
    Unsigned,
}

/// All of them, in order.
pub const FORGERIES: [Forgery; 15] = [
    Forgery::Claim,
    Forgery::DoubleSpend,
    Forgery::Early,
    Forgery::Easy,
    Forgery::Future,
    Forgery::Hard,
    Forgery::Overspend,
    Forgery::Oversize,
    Forgery::Past,
    Forgery::Phantom,
    Forgery::Root,
    Forgery::Seal,
    Forgery::Stranger,
    Forgery::Twice,
    Forgery::Unsigned,
];

/// What is handed over.
pub(crate) struct Forged {
    pub(crate) block: Block,
    /// The payment in it that breaks the rule, to be handed over by itself first.
    pub(crate) payment: Option<Tx>,
}

/// A forgery on a peer's tip; nothing, where there is nothing to forge with.
pub(crate) fn forge(replica: &Replica, keys: &[SecretKey], now: Time, what: Forgery, draw: u64) -> Option<Forged> {
    replica.chain().pow()?; // Seals of other engines cannot be declared.
    let mut parts = Parts::new(replica, keys, now, draw);
    let mut payment = None;
    match what {
        Forgery::Claim => parts.reward.0 += 1,
        Forgery::DoubleSpend => {
            let (name, coin, owner) = parts.coin(|_| true)?;
            parts.payments = vec![parts.pay(name, coin, owner, FEE)?, parts.pay(name, coin, owner, FEE + 1)?];
            parts.reward.0 += FEE + FEE + 1;
        }
        Forgery::Early => {
            let next = replica.state().height().next();
            let rules = replica.chain().rules();
            let (name, coin, owner) =
                parts.coin(|coin| coin.coinbase && coin.height.0 + rules.params.maturity == next.0 + 1)?;
            payment = parts.pay(name, coin, owner, FEE);
            parts.reward.0 += FEE;
        }
        Forgery::Easy => parts.target = CompactTarget::MAX,
        Forgery::Future => {
            let ahead = FUTURE_LEAST.max(replica.chain().block_time() * FUTURE_BLOCKS);
            parts.time = now + ahead + Duration::from_millis(1);
        }
        Forgery::Hard => parts.target = CompactTarget(parts.target.0.saturating_sub(0x0200_0000)),
        Forgery::Oversize => {
            let bytes = replica.chain().rules().params.block_bytes_max as usize;
            parts.outputs = bytes / OUTPUT_BYTES_MIN + 1;
            if parts.reward.0 < parts.outputs as u64 {
                return None;
            }
        }
        Forgery::Overspend => {
            let (name, coin, owner) = parts.coin(|_| true)?;
            let output = Output::plain(Amount(coin.output.amount.0 + 1), owner.address());
            payment = Some(parts.sign(vec![(name, owner)], output, owner));
        }
        Forgery::Past => {
            let times = replica.tree().ancestry(&replica.tip()).map(|header| Mark::of(header));
            parts.time = median(&times.collect::<Vec<_>>());
        }
        Forgery::Phantom => {
            let name = OutPoint { tx: TxId(Bytes([draw as u8; 32])), index: 0 };
            let output = Output::plain(Amount(1_000), keys[0].address());
            payment = Some(parts.sign(vec![(name, &keys[0])], output, &keys[0]));
        }
        Forgery::Root => parts.root = Some(Bytes([draw as u8; 32])),
        Forgery::Seal => parts.is_worked = true,
        Forgery::Stranger => {
            let (name, coin, owner) = parts.coin(|_| true)?;
            let thief = keys.iter().find(|key| key.address() != owner.address())?;
            let output = Output::plain(Amount(coin.output.amount.0 - FEE), thief.address());
            payment = Some(parts.sign(vec![(name, thief)], output, thief));
            parts.reward.0 += FEE;
        }
        Forgery::Twice => {
            let (name, coin, owner) = parts.coin(|_| true)?;
            let output = Output::plain(Amount(coin.output.amount.0 + 1), owner.address());
            payment = Some(parts.sign(vec![(name, owner), (name, owner)], output, owner));
        }
        Forgery::Unsigned => {
            let (name, coin, owner) = parts.coin(|_| true)?;
            let signer = keys.iter().find(|key| key.address() != owner.address())?;
            let output = Output::plain(Amount(coin.output.amount.0 - FEE), owner.address());
            payment = Some(parts.sign(vec![(name, owner)], output, signer));
            parts.reward.0 += FEE;
        }
    }
    parts.payments.extend(payment.clone());
    Some(Forged { block: parts.block(), payment })
}

/// Payments of rewards that a peer's next block may spend, to whom they belong.
pub(crate) fn reap(replica: &Replica, keys: &[SecretKey], most: usize) -> Vec<Tx> {
    let parts = Parts::new(replica, keys, Time::ZERO, 0);
    let next = replica.state().height().next();
    let is_ripe = |coin: &Coin| coin.coinbase && coin.spendable_from(replica.chain().rules()) <= next;
    let coins = parts.coins(is_ripe).take(most);
    coins.filter_map(|(name, coin, owner)| parts.pay(name, coin, owner, FEE)).collect()
}

/// A payment of a coin that a peer's next block may spend, drawn among those that no payment waits to spend there.
pub(crate) fn spend_confirmed(replica: &Replica, keys: &[SecretKey], draw: u64) -> Option<Tx> {
    let parts = Parts::new(replica, keys, Time::ZERO, draw);
    let (rules, next) = (replica.chain().rules(), replica.state().height().next());
    let is_ripe = |coin: &Coin| coin.spendable_from(rules) <= next && coin.output.amount > Amount(FEES_MAX);
    let (name, coin, owner) = parts.coins(is_ripe).next()?;
    parts.pay(name, coin, owner, FEE)
}

/// A block in the making, right in everything until something is changed.
struct Parts<'a> {
    replica: &'a Replica,
    keys: &'a [SecretKey],
    time: Time,
    target: CompactTarget,
    /// What the coinbase claims …
    reward: Amount,
    /// … in so many outputs; none where there is nothing to claim.
    outputs: usize,
    payments: Vec<Tx>,
    root: Option<Bytes<32>>,
    is_worked: bool,
    draw: u64,
}

impl<'a> Parts<'a> {
    fn new(replica: &'a Replica, keys: &'a [SecretKey], now: Time, draw: u64) -> Self {
        let (chain, tree, tip) = (replica.chain(), replica.tree(), replica.tip());
        Self {
            replica,
            keys,
            time: now.max(chain.rule().earliest(tree, &tip)),
            target: chain.pow().map_or(CompactTarget::MAX, |pow| pow.target_after(tree, &tip)),
            reward: chain.rules().subsidy(replica.state().height().next()),
            outputs: 1,
            payments: Vec::new(),
            root: None,
            is_worked: false,
            draw,
        }
    }

    /// Coins of the chain that somebody here can spend, and that no payment waits to spend, in an order that is drawn.
    fn coins(&self, is_wanted: impl Fn(&Coin) -> bool) -> impl Iterator<Item = (OutPoint, Coin, &'a SecretKey)> {
        let pool = self.replica.mempool();
        let owners: Vec<(Address, &SecretKey)> = self.keys.iter().map(|key| (key.address(), key)).collect();
        let owner =
            move |coin: &Coin| owners.iter().find(|(address, _)| *address == coin.output.to).map(|(_, key)| *key);
        let mut coins: Vec<(OutPoint, Coin, &SecretKey)> = self
            .replica
            .state()
            .coins()
            .into_iter()
            .filter(|(name, coin)| is_wanted(coin) && pool.is_spent(name).is_none())
            .filter_map(|(name, coin)| Some((name, coin, owner(&coin)?)))
            .collect();
        let first = self.draw.checked_rem(coins.len() as u64).unwrap_or_default() as usize;
        coins.rotate_left(first);
        coins.into_iter()
    }

    /// The first of them that the next block may spend or, if one is asked for, may not.
    fn coin(&self, is_wanted: impl Fn(&Coin) -> bool) -> Option<(OutPoint, Coin, &'a SecretKey)> {
        let next = self.replica.state().height().next();
        let rules = self.replica.chain().rules();
        let mut all = self.coins(|coin| is_wanted(coin) && coin.output.amount > Amount(FEES_MAX));
        let first = all.next()?;
        // Where any will do, one that is not mature would break a second rule.
        Some(all.find(|(_, coin, _)| coin.spendable_from(rules) <= next).unwrap_or(first))
    }

    /// A good payment of a coin to its owner.
    fn pay(&self, name: OutPoint, coin: Coin, owner: &SecretKey, fee: u64) -> Option<Tx> {
        let builder = PaymentBuilder::new(self.replica.chain().rules().chain).spend(name, coin, owner);
        builder.fee(Amount(fee)).build(owner.address()).ok()
    }

    /// A payment of coins, each with the key that is shown for it, signed by `signer`.
    fn sign(&self, coins: Vec<(OutPoint, &SecretKey)>, output: Output, signer: &SecretKey) -> Tx {
        let chain = self.replica.chain().rules().chain;
        let unsigned =
            |(coin, key): (OutPoint, &SecretKey)| TxInput { coin, key: key.public(), signature: Signature::NONE };
        let mut payment = Payment { chain, inputs: coins.into_iter().map(unsigned).collect(), outputs: vec![output] };
        let signature = signer.sign(payment.digest().0.as_slice());
        payment.inputs.iter_mut().for_each(|input| input.signature = signature);
        Tx::from(payment)
    }

    fn block(self) -> Block {
        let rules = self.replica.chain().rules();
        let height: Height = self.replica.state().height().next();
        let (chain, parent) = (rules.chain, self.replica.tip());
        let to = self.keys[0].address();
        let each = Amount(self.reward.0 / self.outputs as u64);
        let outputs = if each == Amount::ZERO { Vec::new() } else { vec![Output::plain(each, to); self.outputs] };
        let coinbase = Coinbase { chain, height, extra: self.draw, outputs };
        let root = self.root.unwrap_or_else(|| Block::root_of(&coinbase, &self.payments));
        let seal = match self.is_worked {
            true => Seal::Work { target: self.target, nonce: self.draw },
            false => Seal::Declared { target: self.target, draw: self.draw },
        };
        Block::new(Header { chain, parent, height, time: self.time, root, seal }, coinbase, self.payments)
    }
}

/// What is forged pays well enough for any mempool of a swarm, and is worth more than it pays.
const FEE: u64 = 1_000;
const FEES_MAX: u64 = 4 * FEE;
/// A header's clock may be ahead by so many block times, and by this at least.
const FUTURE_BLOCKS: u32 = 10;
const FUTURE_LEAST: Duration = Duration::from_secs(10);
/// The fewest bytes of an output: its amount and its owner's twenty with their length.
const OUTPUT_BYTES_MIN: usize = 22;
