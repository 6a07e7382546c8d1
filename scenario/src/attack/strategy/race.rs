//! A race of two payments (Karame, Androulaki and Capkun 2012, "Double-spending fast payments in Bitcoin", section 3): the
//! merchant's peer is handed the payment and all others the rival, in the same moment.
//!
//! Nobody mines in secret: the attacker's hash power does what everybody's does, with the rival. Each peer hears of the others'
//! blocks after the delay and follows the first of two branches of equal work that it heard. When all are on one branch and
//! nothing is under way nobody leaves it any more; the run ends then, or when the merchant has handed over on it. Where blocks are heard at once there is one branch, so that
//! a merchant that waits for a block is never deceived; else a merchant that has seen z blocks on its payment is deceived where
//! chance had the others keep up on a branch of their own.

use std::collections::VecDeque;
use std::time::Duration;

use synod_ledger::Block;
use synod_machine::{PeerId, Time};

use super::{Played, Terms};
use crate::duel::Stage;
use crate::party::{BLOCK_TIME, BLOCKS_MAX, Party, race};
use crate::race::Race;

/// The merchant's peer.
const MERCHANT: usize = 0;
/// Other honest peers, of equal hash power: with the merchant's the five that `synod up` makes.
const OTHERS: u64 = 4;
/// The attacker's.
const ATTACKER: usize = 1 + OTHERS as usize;

/// One attack.
pub(super) fn play(stage: &Stage, seed: u64, terms: &Terms) -> Played {
    let mut mesh = Mesh::new(stage, seed, terms);
    let mut is_delivered = terms.confirmations == 0;
    loop {
        mesh.step();
        // The first block of each branch has one of the two payments.
        let merchant = &mesh.peers[MERCHANT];
        let has_payment = merchant.has_confirmed(&stage.payment);
        is_delivered |= merchant.height() >= terms.confirmations && has_payment;
        if mesh.is_agreed() && (is_delivered || !has_payment) {
            let is_undone = merchant.has_confirmed(&stage.rival);
            assert!(is_undone != has_payment, "one of the two is confirmed");
            return Played { is_delivered, is_undone, depth: merchant.depth, attacker: mesh.attacker_found };
        }
    }
}

/// Peers that hear each other's blocks after a while.
struct Mesh {
    peers: Vec<Party>,
    race: Race,
    delay: Duration,
    now: Time,
    /// When the next block is found.
    tick: Time,
    /// Blocks that the others have not heard of, by when they do.
    under_way: VecDeque<(Time, usize, Block)>,
    attacker_found: u64,
}

impl Mesh {
    fn new(stage: &Stage, seed: u64, terms: &Terms) -> Self {
        let each = terms.others / OTHERS;
        let rest = terms.others - each * (OTHERS - 1);
        let mut race = race(&stage.chain, seed, &[terms.merchant, rest, each, each, each, terms.attacker]);
        let now = Time::ZERO;
        let tick = now + race.wait();
        let mut peers: Vec<Party> = (0..=ATTACKER).map(|own| Party::new(&stage.chain, PeerId(own as u32))).collect();
        for (place, peer) in peers.iter_mut().enumerate() {
            peer.submit(now, if place == MERCHANT { &stage.payment } else { &stage.rival });
        }
        let delay = BLOCK_TIME.mul_f64(terms.delay);
        Self { peers, race, delay, now, tick, under_way: VecDeque::new(), attacker_found: 0 }
    }

    /// A block is found or heard.
    fn step(&mut self) {
        if self.under_way.front().is_some_and(|(at, ..)| *at <= self.tick)
            && let Some((at, finder, block)) = self.under_way.pop_front()
        {
            self.now = at;
            let from = self.peers[finder].own;
            for peer in self.peers.iter_mut().filter(|peer| peer.own != from) {
                peer.hear(at, from, &block);
            }
            return;
        }
        self.now = self.tick;
        self.tick = self.now + self.race.wait();
        let draw = self.race.draw();
        let finder = self.race.winner().0 as usize;
        self.attacker_found += u64::from(finder == ATTACKER);
        let block = self.peers[finder].mine(self.now, draw);
        assert!(block.height().0 < BLOCKS_MAX as u64, "a race so long is as good as impossible");
        self.under_way.push_back((self.now + self.delay, finder, block));
    }

    /// Whether all are on one branch, which has one of the two payments.
    fn is_agreed(&self) -> bool {
        let tip = self.peers[MERCHANT].tip();
        self.under_way.is_empty()
            && self.peers[MERCHANT].height() > 0
            && self.peers.iter().all(|peer| peer.tip() == tip)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of so many attacks, those that delivered and those that won.
    fn count(terms: &Terms, attacks: u64) -> (usize, usize) {
        let stage = Stage::new();
        let played: Vec<Played> = (0..attacks).map(|seed| play(&stage, seed, terms)).collect();
        let won = played.iter().filter(|played| played.is_delivered && played.is_undone).count();
        (played.iter().filter(|played| played.is_delivered).count(), won)
    }

    #[test]
    fn a_merchant_whose_peer_finds_all_blocks_is_never_deceived_and_one_whose_peer_finds_none_always() {
        assert_eq!(count(&Terms::new(0.0, 1.0, 0, 0.0, 0.5), 50), (50, 0));
        assert_eq!(count(&Terms::new(0.0, 0.0, 0, 0.0, 0.5), 50), (50, 50));
        assert_eq!(count(&Terms::new(0.0, 1.0, 6, 0.0, 0.5), 50), (50, 0));
        assert_eq!(count(&Terms::new(0.1, 0.0, 1, 0.0, 0.5), 50), (0, 0), "who waits for a block has waited in vain");
    }

    #[test]
    fn one_confirmation_is_undone_by_chance_where_blocks_take_a_while_and_never_where_they_take_none() {
        let (delivered, won) = count(&Terms::new(0.1, 0.2, 1, 0.0, 0.0), 200);
        assert!(delivered > 0 && won == 0, "{delivered} {won}");
        let (delivered, won) = count(&Terms::new(0.1, 0.2, 1, 0.0, 0.5), 200);
        assert!(0 < won && won < delivered, "{delivered} {won}");
    }
}
