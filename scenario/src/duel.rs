//! A double spend as a race between two real replicas of proof of work: the merchant's, with the honest hash power, and an
//! attacker's, which mines a rival branch in private (Nakamoto 2008, section 11; Rosenfeld 2014, sections 3 to 5).
//!
//! The attacker's branch begins before the merchant's payment is seen and holds a rival that spends the same coins. The
//! merchant hands the goods over at so many confirmations; from then on the attacker ends the cut as soon as its branch has
//! more work, and the merchant's replica catches up as it does with any peer, by claims, headers and blocks, and reorganises.
//! There is no net: while the two are cut off from each other nothing travels, and when they meet nothing else happens.

use std::sync::Arc;

use serde::Serialize;
use synod_consensus::Chain;
use synod_ledger::{Amount, Coin, OutPoint, PaymentBuilder, SecretKey, Tx};
use synod_machine::{PeerId, Time};

use crate::party::{BLOCK_TIME, BLOCKS_MAX, Party, chain, meet, race};
use crate::payer::key;
use crate::race::Race;

/// What a duel is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The merchant's side's hash power, in any unit.
    pub honest: u64,
    /// The attacker's, in the same.
    pub attacker: u64,
    /// Confirmations at which the merchant hands over; 1 is the block with the payment. Not zero.
    pub confirmations: u64,
    /// Blocks that the attacker has in hand when the merchant's payment is made.
    pub in_hand: u64,
    /// How the time until the confirmations passes.
    pub wait: Wait,
    /// The attacker gives up when, the goods handed over, its branch is so many blocks behind.
    pub behind_max: u64,
}

/// How the time until the merchant's confirmations passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wait {
    /// The honest blocks come at exactly their expected times, as Nakamoto 2008 takes it.
    Held,
    /// They come at random, as the attacker's: Rosenfeld 2014.
    Raced,
}

/// How a duel ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fought {
    /// Whether the payment was taken back at the merchant's replica, and its rival confirmed.
    pub is_reversed: bool,
    /// Blocks that the merchant's replica took back.
    pub depth: u64,
    /// Blocks that the honest side found.
    pub honest: u64,
    /// Blocks that the attacker found, those in hand among them.
    pub attacker: u64,
    /// When it ended.
    pub at: Time,
}

/// What all duels have in common: a chain without a retarget, and the two payments.
#[derive(Debug)]
pub struct Stage {
    pub(crate) chain: Arc<Chain>,
    pub(crate) payment: Tx,
    pub(crate) rival: Tx,
}

impl Stage {
    /// A chain of Bitcoin's block time and two payments that spend its first coin.
    pub fn new() -> Self {
        Self::on(chain("duel"))
    }

    /// Such payments on a chain with the people's coins.
    pub(crate) fn on(chain: Arc<Chain>) -> Self {
        let coins = chain.state().coins();
        let buyer = key(0);
        let coin = coins.into_iter().find(|(_, coin)| coin.output.to == buyer.address());
        let coin = coin.expect("every person has a coin");
        let payment = pay(&chain, &buyer, coin, &key(1));
        let rival = pay(&chain, &buyer, coin, &buyer);
        Self { chain, payment, rival }
    }

    /// One duel.
    pub fn fight(&self, seed: u64, terms: &Terms) -> Fought {
        assert!(terms.confirmations > 0, "a payment without a block is not what is raced for");
        assert!(terms.behind_max > 0, "an attacker that gives up at once does not race");
        let mut duel = Duel::new(self, seed, terms);
        duel.begin();
        match terms.wait {
            Wait::Held => duel.hold(),
            Wait::Raced => duel.race_until_confirmed(),
        }
        duel.catch_up()
    }

    /// The attacker finds what it has in hand. When it is done the payment is made.
    pub(crate) fn prepare(&self, terms: &Terms, race: &mut Race, attacker: &mut Party) -> Time {
        let mut now = Time::ZERO;
        attacker.submit(now, &self.rival);
        for _ in 0..terms.in_hand {
            now = now + BLOCK_TIME;
            attacker.mine(now, race.draw());
        }
        now
    }

    /// The attacker, which is ahead, ends the cut, and what the two say to each other decides. Whether the payment is taken back.
    pub(crate) fn release(&self, now: Time, attacker: &mut Party, merchant: &mut Party) -> bool {
        meet(now, attacker, merchant);
        assert_eq!(merchant.tip(), attacker.tip(), "the branch with more work is followed");
        let is_reversed = merchant.has_confirmed(&self.rival);
        assert!(is_reversed != merchant.has_confirmed(&self.payment), "one of the two is confirmed");
        is_reversed
    }
}

impl Default for Stage {
    fn default() -> Self {
        Self::new()
    }
}

/// The payment of all of a coin, less the fee, to one person.
fn pay(chain: &Chain, buyer: &SecretKey, (name, coin): (OutPoint, Coin), to: &SecretKey) -> Tx {
    let fee = Amount(1);
    let amount = Amount(coin.output.amount.0 - fee.0);
    let builder = PaymentBuilder::new(chain.rules().chain).spend(name, coin, buyer).fee(fee);
    builder.pay(to.address(), amount).build(buyer.address()).expect("the coin covers it")
}

struct Duel<'a> {
    stage: &'a Stage,
    terms: &'a Terms,
    race: Race,
    now: Time,
    merchant: Party,
    attacker: Party,
}

const MERCHANT: PeerId = PeerId(0);
const ATTACKER: PeerId = PeerId(1);

impl<'a> Duel<'a> {
    fn new(stage: &'a Stage, seed: u64, terms: &'a Terms) -> Self {
        Self {
            stage,
            terms,
            race: race(&stage.chain, seed, &[terms.honest, terms.attacker]),
            now: Time::ZERO,
            merchant: Party::new(&stage.chain, MERCHANT),
            attacker: Party::new(&stage.chain, ATTACKER),
        }
    }

    fn begin(&mut self) {
        self.now = self.stage.prepare(self.terms, &mut self.race, &mut self.attacker);
        self.merchant.submit(self.now, &self.stage.payment);
    }

    /// The next block of either.
    fn tick(&mut self) {
        self.now = self.now + self.race.wait();
        let draw = self.race.draw();
        match self.race.winner() {
            MERCHANT => self.merchant.mine(self.now, draw),
            _ => self.attacker.mine(self.now, draw),
        };
    }

    fn race_until_confirmed(&mut self) {
        while self.merchant.height() < self.terms.confirmations {
            self.tick();
        }
    }

    /// The honest blocks come at their expected times. The attacker's come by the clock of both with the other's ticks left
    /// out, which is its own.
    fn hold(&mut self) {
        let Terms { honest, attacker, confirmations, .. } = *self.terms;
        let apart = BLOCK_TIME.mul_f64((honest + attacker) as f64 / honest as f64);
        let begun = self.now;
        let mut tick = begun + self.race.wait();
        for number in 1..=confirmations {
            let due = begun + apart * number as u32;
            while tick <= due {
                self.now = tick;
                if self.race.winner() == ATTACKER {
                    let draw = self.race.draw();
                    self.attacker.mine(self.now, draw);
                }
                tick = tick + self.race.wait();
            }
            self.now = due;
            self.merchant.mine(due, self.race.draw());
        }
    }

    /// The goods are handed over: the race goes on until the attacker is ahead, or gives up.
    fn catch_up(mut self) -> Fought {
        assert!(self.merchant.has_confirmed(&self.stage.payment), "the merchant waits for it");
        loop {
            let (honest, attacker) = (self.merchant.height(), self.attacker.height());
            assert!(honest.max(attacker) < BLOCKS_MAX as u64, "a race so long is as good as impossible");
            if attacker > honest {
                let is_reversed = self.stage.release(self.now, &mut self.attacker, &mut self.merchant);
                return Fought { is_reversed, depth: self.merchant.depth, honest, attacker, at: self.now };
            }
            if honest - attacker >= self.terms.behind_max {
                return Fought { is_reversed: false, depth: 0, honest, attacker, at: self.now };
            }
            self.tick();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: Terms =
        Terms { honest: 1, attacker: 1, confirmations: 3, in_hand: 1, wait: Wait::Raced, behind_max: 20 };

    #[test]
    fn an_attacker_that_is_ahead_takes_the_payment_back_with_all_blocks_above_it() {
        let fought = Stage::new().fight(1, &Terms { in_hand: 60, ..TERMS });
        assert!(fought.is_reversed, "{fought:?}");
        assert_eq!((fought.honest, fought.depth), (3, 3));
        assert!(fought.attacker >= 60, "{fought:?}");
    }

    #[test]
    fn an_attacker_that_falls_behind_gives_up_and_the_payment_stays() {
        for wait in [Wait::Held, Wait::Raced] {
            let fought = Stage::new().fight(1, &Terms { attacker: 0, wait, ..TERMS });
            assert!(!fought.is_reversed, "{fought:?}");
            assert_eq!((fought.honest, fought.attacker, fought.depth), (21, 1, 0));
        }
    }

    #[test]
    fn held_confirmations_come_at_their_expected_times() {
        let terms = Terms { honest: 3, attacker: 1, in_hand: 9, wait: Wait::Held, ..TERMS };
        let stage = Stage::new();
        let mut duel = Duel::new(&stage, 1, &terms);
        duel.begin();
        duel.hold();
        // Nine blocks in hand, and three of 600 s over three quarters.
        assert_eq!(duel.now, Time::from_secs(9 * 600 + 3 * 800));
    }

    #[test]
    fn one_seed_is_one_duel() {
        let stage = Stage::new();
        let fights = |seed: u64| (0..8).map(|number| stage.fight(seed + number, &TERMS)).collect::<Vec<_>>();
        assert_eq!(fights(1), fights(1));
        assert_ne!(fights(1), fights(100));
    }
}
