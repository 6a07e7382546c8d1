//! One run: the pool's replica, the two of the honest miners, and who hears what when.

use std::collections::VecDeque;
use std::sync::Arc;

use synod_consensus::Chain;
use synod_consensus::adversary::{Move, Selfish};
use synod_ledger::Block;
use synod_machine::{PeerId, Rng, Time};

use super::Ties;
use crate::party::{BLOCKS_MAX, Party, race};
use crate::payer::miner;
use crate::race::Race;

/// Shares are taken in these parts of the whole.
pub(super) const PARTS: u64 = 1_000_000;

/// Who has how much, in [`PARTS`].
#[derive(Clone, Copy)]
pub(super) struct Power {
    /// Of all hash power the pool's: α.
    pub(super) pool: u64,
    /// Of the honest hash power what mines on the pool's block in a tie: γ.
    pub(super) gamma: u64,
}

/// What came of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Mined {
    pub(super) pool_found: u64,
    pub(super) others_found: u64,
    pub(super) pool_main: u64,
    pub(super) others_main: u64,
    pub(super) ties: Ties,
}

/// Mines until so many blocks are found and all are on one chain.
pub(super) fn mine(chain: &Arc<Chain>, power: Power, blocks: u64, seed: u64) -> Mined {
    let mut run = Run::new(chain, power, seed);
    while run.mined.pool_found + run.mined.others_found < blocks || !run.selfish.is_even() {
        run.tick();
    }
    run.end()
}

struct Run {
    race: Race,
    /// Which of the honest miners find a block where they mine on two.
    split: Rng,
    gamma: u64,
    now: Time,
    pool: Party,
    /// Hears the pool's blocks first.
    near: Party,
    /// Hears the others' first.
    far: Party,
    selfish: Selfish,
    withheld: VecDeque<Block>,
    mined: Mined,
}

const POOL: PeerId = PeerId(0);
const NEAR: PeerId = PeerId(1);
const FAR: PeerId = PeerId(2);

impl Run {
    fn new(chain: &Arc<Chain>, power: Power, seed: u64) -> Self {
        Self {
            race: race(chain, seed, &[power.pool, PARTS - power.pool]),
            split: Rng::new(seed, 0, "split"),
            gamma: power.gamma,
            now: Time::ZERO,
            pool: Party::new(chain, POOL),
            near: Party::new(chain, NEAR),
            far: Party::new(chain, FAR),
            selfish: Selfish::default(),
            withheld: VecDeque::new(),
            mined: Mined::default(),
        }
    }

    /// The next block of anybody.
    fn tick(&mut self) {
        assert!(self.pool.height() < BLOCKS_MAX as u64, "a lead so long is as good as impossible");
        self.now = self.now + self.race.wait();
        let draw = self.race.draw();
        match self.race.winner() {
            POOL => self.pool_finds(draw),
            _ => self.others_find(draw),
        }
        self.check();
    }

    fn pool_finds(&mut self, draw: u64) {
        self.mined.pool_found += 1;
        self.mined.ties.pool += u64::from(self.selfish.is_tie());
        self.withheld.push_back(self.pool.mine(self.now, draw));
        let then = self.selfish.on_own();
        for block in self.release(then) {
            self.near.hear(self.now, POOL, &block);
            self.far.hear(self.now, POOL, &block);
        }
    }

    fn others_find(&mut self, draw: u64) {
        self.mined.others_found += 1;
        let is_near = self.near.tip() != self.far.tip() && self.split.below(PARTS) < self.gamma;
        if self.selfish.is_tie() {
            let ties = &mut self.mined.ties;
            *(if is_near { &mut ties.others_on_pool } else { &mut ties.others_on_others }) += 1;
        }
        let finder = if is_near { &mut self.near } else { &mut self.far };
        let (block, from) = (finder.mine(self.now, draw), finder.own);
        self.pool.hear(self.now, from, &block);
        let then = self.selfish.on_others();
        let answer = self.release(then);
        // The finder hears its own block again, which is none of its news.
        answer.iter().for_each(|answer| self.near.hear(self.now, POOL, answer));
        self.near.hear(self.now, from, &block);
        self.far.hear(self.now, from, &block);
        answer.iter().for_each(|answer| self.far.hear(self.now, POOL, answer));
    }

    /// What the pool publishes.
    fn release(&mut self, then: Move) -> Vec<Block> {
        match then {
            Move::Adopt => {
                assert!(self.withheld.is_empty(), "a branch that is given up is public");
                Vec::new()
            }
            Move::Hold => Vec::new(),
            Move::PublishAll => self.withheld.drain(..).collect(),
            Move::PublishFirst => self.withheld.pop_front().into_iter().collect(),
        }
    }

    /// The replicas, which know nothing of the decision, are where it takes them to be.
    fn check(&self) {
        let lead = self.pool.height() - self.far.height();
        assert_eq!(lead, self.selfish.lead(), "the private chain is longer by the lead");
        assert_eq!(self.near.height(), self.far.height(), "what is public is heard by all honest miners");
        if self.selfish.is_even() {
            assert_eq!(self.pool.tip(), self.far.tip(), "the pool follows the longer chain");
            assert_eq!(self.near.tip(), self.far.tip(), "all honest miners follow the longer chain");
        }
        if self.selfish.is_tie() {
            assert_eq!(self.near.tip(), self.pool.tip(), "near heard the pool's block first");
            assert_ne!(self.far.tip(), self.pool.tip(), "far heard the rival first");
        }
    }

    /// Who is paid in the main chain.
    fn end(mut self) -> Mined {
        for paid in self.far.miners() {
            let is_pools = paid == miner(POOL.0);
            *(if is_pools { &mut self.mined.pool_main } else { &mut self.mined.others_main }) += 1;
        }
        self.mined
    }
}
