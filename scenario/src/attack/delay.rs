//! A double spend against honest miners who hear of each other's blocks only after a while, so that some of their work is done on
//! what is no longer the tip, and goes stale; the attacker, who works alone, loses nothing.
//!
//! The honest miners are many and small: whoever found a block finds none for a while, and everybody else mines on what came
//! through to all. Some replicas stand for them. A block of the honest power is sealed by one of them that has no block
//! under way, drawn at random, and heard by all others, and by the merchant, which mines nothing, after the delay. Of rival blocks each
//! follows the first that it heard. The attacker hears at once, so that it knows when it is ahead.

use std::collections::VecDeque;
use std::time::Duration;

use synod_ledger::Block;
use synod_machine::{PeerId, Rng, Time};

use crate::duel::{Fought, Stage, Terms};
use crate::party::{BLOCK_TIME, BLOCKS_MAX, Party, race};
use crate::race::Race;

/// With a delay of a block time, the longest that is allowed, nine blocks or more are under way once in a million times.
const MINERS: usize = 9;

/// What came of a duel, and how many of the honest blocks went stale.
pub(super) struct Delayed {
    pub(super) fought: Fought,
    pub(super) stale: u64,
}

/// One duel. The delay is in block times.
pub(super) fn fight(stage: &Stage, seed: u64, terms: &Terms, delay: f64) -> Delayed {
    let mut duel = Duel::new(stage, seed, terms, BLOCK_TIME.mul_f64(delay));
    duel.begin();
    loop {
        let tick = duel.now + duel.race.wait();
        while let Some(at) = duel.under_way.front().map(|(at, ..)| *at).filter(|at| *at <= tick) {
            duel.now = at;
            duel.deliver();
            if let Some(is_ahead) = duel.decision() {
                return duel.end(is_ahead);
            }
        }
        duel.now = tick;
        duel.find();
        if let Some(is_ahead) = duel.decision() {
            return duel.end(is_ahead);
        }
    }
}

struct Duel<'a> {
    stage: &'a Stage,
    terms: &'a Terms,
    delay: Duration,
    race: Race,
    /// Who of the honest miners finds a block.
    finder: Rng,
    now: Time,
    attacker: Party,
    merchant: Party,
    miners: Vec<Party>,
    /// Blocks of miners that the others have not heard of, by when they do.
    under_way: VecDeque<(Time, usize, Block)>,
    /// The height of the highest honest block.
    best: u64,
    /// Honest blocks.
    found: u64,
}

const MERCHANT: PeerId = PeerId(0);
const ATTACKER: PeerId = PeerId(1);
const FIRST_MINER: u32 = 2;

impl<'a> Duel<'a> {
    fn new(stage: &'a Stage, seed: u64, terms: &'a Terms, delay: Duration) -> Self {
        let chain = &stage.chain;
        let miner = |place: usize| Party::new(chain, PeerId(FIRST_MINER + place as u32));
        Self {
            stage,
            terms,
            delay,
            race: race(chain, seed, &[terms.honest, terms.attacker]),
            finder: Rng::new(seed, 0, "finder"),
            now: Time::ZERO,
            attacker: Party::new(chain, ATTACKER),
            merchant: Party::new(chain, MERCHANT),
            miners: (0..MINERS).map(miner).collect(),
            under_way: VecDeque::new(),
            best: 0,
            found: 0,
        }
    }

    fn begin(&mut self) {
        self.now = self.stage.prepare(self.terms, &mut self.race, &mut self.attacker);
        for honest in self.miners.iter_mut().chain([&mut self.merchant]) {
            honest.submit(self.now, &self.stage.payment);
        }
    }

    /// The next block of either side.
    fn find(&mut self) {
        let draw = self.race.draw();
        if self.race.winner() == ATTACKER {
            self.attacker.mine(self.now, draw);
            return;
        }
        let is_idle = |place: &usize| self.under_way.iter().all(|(_, finder, _)| finder != place);
        let idle: Vec<usize> = (0..MINERS).filter(is_idle).collect();
        let place = self.finder.pick(&idle).copied().unwrap_or_else(|| self.finder.below(MINERS as u64) as usize);
        let block = self.miners[place].mine(self.now, draw);
        self.best = self.best.max(block.height().0);
        self.found += 1;
        self.under_way.push_back((self.now + self.delay, place, block));
    }

    /// The block that was found first of those under way is heard by all.
    fn deliver(&mut self) {
        let (_, finder, block) = self.under_way.pop_front().expect("there is a block under way");
        let from = self.miners[finder].own;
        let others = self.miners.iter_mut().filter(|miner| miner.own != from);
        for honest in others.chain([&mut self.merchant]) {
            honest.hear(self.now, from, &block);
        }
    }

    /// The goods handed over, whether the attacker is ahead of all honest miners, or gives up; else nothing.
    fn decision(&self) -> Option<bool> {
        let (honest, attacker) = (self.best, self.attacker.height());
        assert!(honest.max(attacker) < BLOCKS_MAX as u64, "a race so long is as good as impossible");
        if self.merchant.height() < self.terms.confirmations {
            return None;
        }
        if attacker > honest {
            return Some(true);
        }
        (honest - attacker >= self.terms.behind_max).then_some(false)
    }

    fn end(mut self, is_ahead: bool) -> Delayed {
        let attacker = self.attacker.height();
        let is_reversed = is_ahead && self.stage.release(self.now, &mut self.attacker, &mut self.merchant);
        let depth = if is_reversed { self.merchant.depth } else { 0 };
        let fought = Fought { is_reversed, depth, honest: self.found, attacker, at: self.now };
        Delayed { fought, stale: self.found - self.best }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::duel::Wait;

    const TERMS: Terms =
        Terms { honest: 3, attacker: 1, confirmations: 3, in_hand: 1, wait: Wait::Raced, behind_max: 6 };

    fn sum(of: impl Fn(&Delayed) -> u64, delay: f64) -> u64 {
        let stage = Stage::new();
        (0..100).map(|seed| of(&fight(&stage, seed, &TERMS, delay))).sum()
    }

    #[test]
    fn without_a_delay_many_miners_and_a_merchant_are_as_good_as_one_replica() {
        let stage = Stage::new();
        for seed in 0..100 {
            assert_eq!(fight(&stage, seed, &TERMS, 0.0).fought, stage.fight(seed, &TERMS), "seed {seed}");
        }
    }

    #[test]
    fn without_a_delay_nothing_is_stale_and_with_one_some_is() {
        assert_eq!(sum(|delayed| delayed.stale, 0.0), 0);
        let (few, many) = (sum(|delayed| delayed.stale, 0.05), sum(|delayed| delayed.stale, 0.5));
        assert!(0 < few && few < many, "{few}, {many}");
    }

    #[test]
    fn an_attacker_that_is_ahead_takes_back_what_the_merchant_heard_of() {
        let terms = Terms { in_hand: 60, ..TERMS };
        let Delayed { fought, .. } = fight(&Stage::new(), 1, &terms, 0.5);
        assert!(fought.is_reversed, "{fought:?}");
        assert_eq!(fought.depth, 3, "the merchant hands over as soon as it hears of the third");
    }

    #[test]
    fn an_attacker_without_power_gives_up_when_the_honest_chain_is_so_much_longer() {
        let terms = Terms { attacker: 0, ..TERMS };
        let Delayed { fought, stale } = fight(&Stage::new(), 1, &terms, 0.5);
        assert!(!fought.is_reversed, "{fought:?}");
        assert_eq!((fought.attacker, fought.honest - stale, fought.depth), (1, 7, 0));
    }

    #[test]
    fn one_seed_is_one_duel() {
        let stage = Stage::new();
        let fights =
            |from: u64| (from..from + 8).map(|seed| fight(&stage, seed, &TERMS, 0.3).fought).collect::<Vec<_>>();
        assert_eq!(fights(1), fights(1));
        assert_ne!(fights(1), fights(100));
    }
}
