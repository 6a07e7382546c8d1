//! People who pay each other: real keys, real coins, real signatures.
//!
//! Coins are spent in the order in which they were made, so that most are confirmed when their turn comes; those that
//! are not make chains of unconfirmed payments, as people do. A share of the payments is a double spend: the same coins
//! go to another person through another peer.

use std::collections::{BTreeMap, VecDeque};

use synod_consensus::Chain;
use synod_ledger::{Address, Amount, Balance, Coin, Height, OutPoint, PaymentBuilder, SecretKey, Tx, TxId};
use synod_machine::{Bytes, PeerId, Rng};

/// How many people there are.
pub const PEOPLE: u8 = 8;

/// The key of a person, the same in every simulated chain.
pub fn key(person: u8) -> SecretKey {
    SecretKey::from_bytes([person + 1; 32])
}

/// What the people own at the beginning: `coins` coins each.
pub fn balances(coins: u32, amount: Amount) -> Vec<Balance> {
    let one = |person: u8| {
        let name = format!("person{person}");
        Balance { name, address: key(person).address(), amount, coins, stake: Amount::ZERO }
    };
    (0..PEOPLE).map(one).collect()
}

/// A payment and its rival, if it is a double spend.
pub(crate) struct Order {
    pub(crate) tx: Tx,
    pub(crate) rival: Option<Tx>,
}

/// All people's purses.
#[derive(Debug)]
pub(crate) struct Payer {
    keys: Vec<SecretKey>,
    addresses: Vec<Address>,
    purses: Vec<VecDeque<(OutPoint, Coin)>>,
    /// What an open order spends, to be put back if it is refused.
    open: BTreeMap<TxId, (usize, Vec<(OutPoint, Coin)>)>,
    inputs: usize,
    outputs: usize,
    conflicts: f64,
    hot: f64,
    rng: Rng,
}

impl Payer {
    pub(crate) fn new(seed: u64, chain: &Chain, load: &crate::Load) -> Self {
        let keys: Vec<SecretKey> = (0..PEOPLE).map(key).collect();
        let addresses: Vec<Address> = keys.iter().map(SecretKey::address).collect();
        let mut purses = vec![VecDeque::new(); keys.len()];
        for (name, coin) in chain.state().coins() {
            if let Some(person) = addresses.iter().position(|address| *address == coin.output.to) {
                purses[person].push_back((name, coin));
            }
        }
        let rng = Rng::new(seed, 0, "payer");
        Self {
            keys,
            addresses,
            purses,
            open: BTreeMap::new(),
            inputs: load.inputs,
            outputs: load.outputs,
            conflicts: load.conflicts,
            hot: load.hot,
            rng,
        }
    }

    /// The people's keys.
    pub(crate) fn keys(&self) -> &[SecretKey] {
        &self.keys
    }

    /// Whoever mines at a peer: one of the people, who could spend what they earn.
    pub(crate) fn miner(&self, peer: PeerId) -> Address {
        self.addresses[peer.0 as usize % self.addresses.len()]
    }

    /// A payment of somebody who has coins; nothing, if nobody drawn has.
    pub(crate) fn order(&mut self, chain: &Chain) -> Option<Order> {
        let first = self.first();
        let rich = |person: &usize| !self.purses[*person].is_empty();
        let person = (0..self.keys.len()).map(|step| (first + step) % self.keys.len()).find(rich)?;
        let count = self.inputs.min(self.purses[person].len());
        let coins: Vec<(OutPoint, Coin)> = self.purses[person].drain(..count).collect();
        let is_double = (self.rng.next_u64() as f64) < self.conflicts * 2_f64.powi(64);
        let tx = self.payment(chain, person, &coins);
        let rival = if is_double { self.payment(chain, person, &coins) } else { None };
        let Some(tx) = tx else {
            self.purses[person].extend(coins);
            return None;
        };
        // Which of two rivals will be confirmed is not known: what they make is not spent.
        if rival.is_none() {
            self.open.insert(tx.id(), (person, coins));
        }
        Some(Order { tx, rival: rival.filter(|_| is_double) })
    }

    /// Who pays, if that one has coins.
    fn first(&mut self) -> usize {
        if self.hot == 0.0 {
            return self.rng.below(u64::from(PEOPLE)) as usize;
        }
        let weight = |person: usize| (person as f64 + 1.0).powf(-self.hot);
        let all: f64 = (0..self.keys.len()).map(weight).sum();
        let drawn = (self.rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64 * all;
        let mut sum = 0.0;
        let found = (0..self.keys.len()).find(|person| {
            sum += weight(*person);
            drawn < sum
        });
        found.unwrap_or_default()
    }

    /// A peer accepted the payment: what it makes can be spent.
    pub(crate) fn accepted(&mut self, tx: &Tx) {
        if self.open.remove(&tx.id()).is_none() {
            return;
        }
        for (name, output) in tx.made() {
            if let Some(person) = self.addresses.iter().position(|address| *address == output.to) {
                let coin = Coin { output, height: Height::GENESIS, coinbase: false };
                self.purses[person].push_back((name, coin));
            }
        }
    }

    /// A peer refused the payment: its coins wait for another turn.
    pub(crate) fn refused(&mut self, id: &TxId) {
        if let Some((person, coins)) = self.open.remove(id) {
            self.purses[person].extend(coins);
        }
    }

    /// Pays everything out in equal parts, each to somebody drawn; the last part is the change.
    fn payment(&mut self, chain: &Chain, person: usize, coins: &[(OutPoint, Coin)]) -> Option<Tx> {
        let sum = Amount::checked_sum(coins.iter().map(|(_, coin)| coin.output.amount))?;
        // The fee grows with the length, so that none is too low for a full block.
        let fee = chain.rules().params.fee_min.0.max(1) + self.rng.below(100);
        let part = sum.0.checked_sub(fee)? / self.outputs as u64;
        if part == 0 {
            return None;
        }
        let mut builder = PaymentBuilder::new(chain.rules().chain).fee(Amount(fee));
        for (name, coin) in coins {
            builder = builder.spend(*name, *coin, &self.keys[person]);
        }
        for _ in 1..self.outputs.max(2) {
            let to = self.rng.below(u64::from(PEOPLE)) as usize;
            builder = builder.pay(self.addresses[to], Amount(part));
        }
        builder.build(self.addresses[person]).ok()
    }
}

/// Whoever mines at a peer: an address that nobody pays from.
pub(crate) fn miner(peer: u32) -> Address {
    let mut bytes = [0xa5; 20];
    bytes[..4].copy_from_slice(&peer.to_le_bytes());
    Address(Bytes(bytes))
}

/// The key that a peer signs blocks or votes with.
pub fn signer(peer: PeerId) -> SecretKey {
    let mut bytes = [0x5a; 32];
    bytes[..4].copy_from_slice(&peer.0.to_le_bytes());
    SecretKey::from_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Load;

    #[test]
    fn the_hotter_the_load_the_more_the_first_pay() {
        let chain = crate::testing::chain();
        let first = |hot: f64| {
            let mut payer = Payer::new(1, &chain, &Load { hot, ..Load::NONE });
            (0..8_000).filter(|_| payer.first() == 0).count()
        };
        // One of eight; one over the eighth harmonic number, 761/280; and over 1.527, the sum of squares.
        for (hot, share) in [(0.0, 0.125), (1.0, 280.0 / 761.0), (2.0, 1.0 / 1.527)] {
            let off = first(hot) as f64 / 8_000.0 - share;
            assert!(off.abs() < 0.02, "{hot}: {off}");
        }
    }
}
