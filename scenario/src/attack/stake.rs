//! A majority of stake, or less: a whole branch minted in secret, by the thousand, with Slasher and without, beside what theory
//! says.
//!
//! It is the [duel](crate::duel) on a chain of stakes, by the same payments and with the same end. A wallet has one try per second on each
//! tip that it knows, with a chance by its stake, so that blocks come as they do by work, but minting on one branch takes nothing from
//! another. An attacker can do either:
//!
//! - *Secret:* it mints on its own branch alone. Of the next block of both branches its own is as probable as its share q of all
//!   stake: Rosenfeld's race, with giving up ([`theory::success`]). It signs one header of each height, which is no offence.
//! - *Both:* it mints on the public branch as well, where it is paid if the attack fails: nothing is at stake. Then the public branch
//!   grows at the rate of all stake and the secret one at q of that, so that the next block is its own secret one with the probability
//!   q/(1 + q): the race of a smaller share. If it releases the secret branch, everybody has two headers of its of one height.
//!
//! Each run has a chain of its own, since who wins which second follows from the genesis. The retarget is off and all stakes
//! together win once in [`BLOCK_TIME`]. After a release the merchant's wallet mints the next block, with the evidence if
//! there is any, and then the run ends.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use synod_consensus::Chain;
use synod_ledger::{Amount, Balance, Block, Engine, Genesis, PosParams, Retarget};
use synod_machine::{PeerId, Rng, Time};

use super::tally::{Effort, Sum};
use super::{DOUBT, Progress, tally, theory};
use crate::Watch;
use crate::duel::{Stage, Terms, Wait};
use crate::party::{BLOCKS_MAX, LEDGER, Party};
use crate::payer::{balances, signer};
use crate::stats::{Interval, probability};

/// On which branches the attacker mints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Branches {
    /// On the public one too.
    Both,
    /// On its own alone.
    Secret,
}

impl Branches {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Both => "both",
            Self::Secret => "secret",
        }
    }
}

/// What is to be fought: every share against every number of confirmations, on which branches, with Slasher and without.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Grid {
    /// The attacker's shares of all stake, above 0 and below 1. They are taken to a millionth.
    pub shares: Vec<f64>,
    /// Confirmations at which the merchant hands over: from 1, the block with the payment, to [`CONFIRMATIONS_MAX`].
    pub confirmations: Vec<u64>,
    /// On which branches the attacker mints.
    pub branches: Vec<Branches>,
    /// Whether who signs two headers of one height loses its stake.
    pub slashers: Vec<bool>,
    /// The attacker gives up when, the goods handed over, it is so many blocks behind: from 1 to [`BEHIND_MAX`].
    pub behind_max: u64,
    /// Duels of each cell, at least; above 0.
    pub runs_min: u64,
    /// Duels of each cell, at most [`RUNS_MAX`]. A cell is given as many as let [`SUCCESSES_MIN`](super::SUCCESSES_MIN) be expected;
    /// where these are not enough for that, it stays at the least and is marked as untested.
    pub runs_max: u64,
    /// What all duels are drawn from.
    pub seed: u64,
}

/// The least share of either side. A wallet tries once in a virtual second, and each try is a hash.
const SHARE_MIN: f64 = 0.01;

impl Default for Grid {
    fn default() -> Self {
        Self {
            // A tenth less than one half, and a tenth more.
            shares: vec![0.3, 0.4, 0.6],
            confirmations: vec![1, 3, 6],
            branches: vec![Branches::Secret, Branches::Both],
            slashers: vec![true, false],
            // As against work.
            behind_max: 10,
            runs_min: 500,
            runs_max: 5_000,
            seed: 1,
        }
    }
}

/// The most confirmations: what is deeper than stakes may be unlocked is no evidence any more.
pub const CONFIRMATIONS_MAX: u64 = 50;
/// The most that an attacker can be willing to be behind.
pub const BEHIND_MAX: u64 = 50;
/// The most duels of a cell.
pub const RUNS_MAX: u64 = 1_000_000;
/// All stakes together win once in that time. Two wallets win in the same second about once in so many blocks as it has seconds.
pub const BLOCK_TIME: Duration = Duration::from_secs(300);

/// Why a grid cannot be fought.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum GridError {
    /// It would never give up, or at once.
    #[error("an attacker that gives up {got} blocks behind cannot be simulated: expected 1 to {BEHIND_MAX}")]
    Behind {
        /// What was asked for.
        got: u64,
    },
    /// A payment needs a block.
    #[error("{got} confirmations cannot be waited for: expected 1 to {CONFIRMATIONS_MAX}")]
    Confirmations {
        /// What was asked for.
        got: u64,
    },
    /// Nothing is to be fought.
    #[error("there is nothing to fight: expected a share, a number of confirmations, branches and a slasher")]
    Empty,
    /// Fewer than one, or the least is above the most.
    #[error("from {min} to {max} runs of a cell cannot be fought: expected 1 to {RUNS_MAX}, the least first")]
    Runs {
        /// The least.
        min: u64,
        /// The most.
        max: u64,
    },
    /// No share.
    #[error(
        "an attacker has no share {got} of the stake here: expected 0.01 to 0.99, since less mints for days of virtual time before it has a block"
    )]
    Share {
        /// What was asked for.
        got: f64,
    },
}

/// What came of a grid.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// What was fought.
    pub grid: Grid,
    /// Share by share, of each confirmations by confirmations, branches and slasher, in the grid's order.
    pub cells: Vec<Cell>,
    /// All duels that were fought.
    pub runs: u64,
    /// Whether all was fought that was asked for; if not, somebody stopped it, and what is here is of the first runs.
    pub is_complete: bool,
    /// Cells of which enough successes are to be expected.
    pub cells_tested: u64,
    /// Whether all of these are as theory says, with 99 per cent for all of them together.
    pub is_as_expected: bool,
}

/// What came of one cell.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cell {
    /// The attacker's share of all stake.
    pub share: f64,
    /// The merchant's confirmations.
    pub confirmations: u64,
    /// On which branches the attacker minted.
    pub branches: Branches,
    /// Whether offences cost the stake.
    pub slasher: bool,
    /// Duels that were fought.
    pub runs: u64,
    /// Duels after which the payment was taken back at the merchant's replica and its rival confirmed.
    pub successes: u64,
    /// The latter over the former; 0 where none were fought.
    pub success: f64,
    /// Where the probability lies with 99 per cent, of this cell alone (Clopper and Pearson).
    pub interval: Interval,
    /// The same with 99 per cent for all tested cells of the grid together (Bonferroni).
    pub interval_together: Interval,
    /// What theory says.
    pub expected: f64,
    /// Whether fewer than [`SUCCESSES_MIN`](super::SUCCESSES_MIN) successes were to be expected, so that the cell is not judged.
    pub is_untested: bool,
    /// Duels, all of them successes, after which the attacker's stake was gone.
    pub stakes_lost: u64,
    /// Blocks of the merchant's chain in the end that pay the attacker, in the mean over all duels.
    pub blocks_paid_mean: f64,
}

impl Cell {
    /// Whether theory lies within the interval of all cells together.
    pub fn is_as_expected(&self) -> bool {
        self.interval_together.contains(self.expected)
    }
}

impl Grid {
    /// Fights it on so many threads. `watch` is told now and then how far it is, and can stop it.
    pub fn fight(&self, threads: usize, watch: impl FnMut(Progress) -> Watch) -> Result<Report, GridError> {
        self.check()?;
        let plans = self.plans();
        let runs: Vec<u64> = plans.iter().map(|plan| plan.effort.runs).collect();
        let fight = |cell: usize, runs: Range<u64>| {
            let mut sums = Sums::default();
            runs.for_each(|number| sums.note(&plans[cell].fight(plans[cell].seed_of(self.seed, number))));
            sums
        };
        let (sums, is_complete) = tally::play(&runs, threads, fight, watch);
        let tested = plans.iter().filter(|plan| !plan.effort.is_untested).count();
        let together = DOUBT / tested.max(1) as f64;
        let cells: Vec<Cell> = plans.iter().zip(&sums).map(|(plan, sums)| plan.cell(sums, together)).collect();
        let is_as_expected = cells.iter().filter(|cell| !cell.is_untested).all(Cell::is_as_expected);
        let runs = sums.iter().map(|sums| sums.runs).sum();
        Ok(Report { grid: self.clone(), cells, runs, is_complete, cells_tested: tested as u64, is_as_expected })
    }

    fn check(&self) -> Result<(), GridError> {
        let Self { shares, confirmations, branches, slashers, behind_max, .. } = self;
        if shares.is_empty() || confirmations.is_empty() || branches.is_empty() || slashers.is_empty() {
            return Err(GridError::Empty);
        }
        if let Some(&got) = shares.iter().find(|share| !(SHARE_MIN..=1.0 - SHARE_MIN).contains(*share)) {
            return Err(GridError::Share { got });
        }
        if let Some(&got) = confirmations.iter().find(|number| !(1..=CONFIRMATIONS_MAX).contains(*number)) {
            return Err(GridError::Confirmations { got });
        }
        if !(1..=BEHIND_MAX).contains(behind_max) {
            return Err(GridError::Behind { got: *behind_max });
        }
        if self.runs_min == 0 || self.runs_min > self.runs_max || self.runs_max > RUNS_MAX {
            return Err(GridError::Runs { min: self.runs_min, max: self.runs_max });
        }
        Ok(())
    }

    fn plans(&self) -> Vec<CellPlan> {
        let mut plans = Vec::new();
        for share in &self.shares {
            for &confirmations in &self.confirmations {
                for &branches in &self.branches {
                    plans.extend(
                        self.slashers.iter().map(|slasher| self.plan(*share, confirmations, branches, *slasher)),
                    );
                }
            }
        }
        plans
    }

    fn plan(&self, share: f64, confirmations: u64, branches: Branches, slasher: bool) -> CellPlan {
        let attacker = parts(share);
        let honest = match branches {
            Branches::Both => PARTS,
            Branches::Secret => PARTS - attacker,
        };
        // Rosenfeld 2014, section 4: one block is mined before the attack begins.
        let terms =
            Terms { honest, attacker, confirmations, in_hand: 1, wait: Wait::Raced, behind_max: self.behind_max };
        let expected = theory::success(&terms);
        let effort = Effort::of(expected, self.runs_min, self.runs_max);
        CellPlan { attacker, branches, slasher, terms, expected, effort }
    }
}

/// Shares are taken in these parts of the whole.
const PARTS: u64 = 1_000_000;

fn parts(share: f64) -> u64 {
    (share * PARTS as f64).round() as u64
}

/// One cell, and how often it is fought.
struct CellPlan {
    /// Its part of all stake.
    attacker: u64,
    branches: Branches,
    slasher: bool,
    /// The race that it comes to.
    terms: Terms,
    expected: f64,
    effort: Effort,
}

const MERCHANT: PeerId = PeerId(0);
/// The attacker's wallet, with its secret branch …
const SECRET: PeerId = PeerId(1);
/// … and on the public one.
const PUBLIC: PeerId = PeerId(2);

impl CellPlan {
    /// 20 bits for the share, 10 for the confirmations and 34 for the number.
    fn seed_of(&self, seed: u64, number: u64) -> u64 {
        assert!(number < 1 << 34, "a cell has no more duels");
        let name = self.attacker << 44 | self.terms.confirmations << 34 | number;
        Rng::new(seed, name, "stake").next_u64()
    }

    /// A chain on which the merchant's side and the attacker have all stakes.
    fn chain(&self, seed: u64) -> Arc<Chain> {
        let stake = |own: PeerId, parts: u64| {
            let amount = Amount(parts * STAKE_PART);
            Balance { name: format!("peer{}", own.0), address: signer(own).address(), amount, stake: amount, coins: 1 }
        };
        let stakes = [stake(MERCHANT, PARTS - self.attacker), stake(SECRET, self.attacker)];
        let pos = PosParams {
            difficulty: PARTS * STAKE_PART * BLOCK_TIME.as_secs(),
            block_time_ms: BLOCK_TIME.as_millis() as u64,
            retarget: Retarget::Off,
            // The usual ones of a scenario.
            stake_depth: 10,
            unbonding: 100,
            future_max_ms: 10_000,
            slasher: self.slasher,
            finder_share: 10,
        };
        let balances = [balances(1, Amount(100 * Amount::COIN)), stakes.into()].concat();
        let genesis = Genesis {
            name: format!("stake {seed}"),
            time_unix_ms: 0,
            engine: Engine::Pos(pos),
            ledger: LEDGER,
            balances,
        };
        Chain::simulated(genesis).expect("a chain can start like this")
    }

    fn fight(&self, seed: u64) -> Fought {
        let stage = Stage::on(self.chain(seed));
        let minter = |own: PeerId, key: PeerId, now: Time| Party::minter(&stage.chain, own, signer(key), now);
        let mut secret = minter(SECRET, SECRET, Time::ZERO);
        secret.submit(Time::ZERO, &stage.rival);
        let mut now = Time::ZERO;
        while secret.height() < self.terms.in_hand {
            now = secret.next_deadline().expect("a wallet with a stake always looks for a second");
            secret.fire(now);
        }
        let mut merchant = minter(MERCHANT, MERCHANT, now);
        merchant.submit(now, &stage.payment);
        let mut public = match self.branches {
            Branches::Both => Some(minter(PUBLIC, SECRET, now)),
            Branches::Secret => None,
        };
        loop {
            let (height, own) = (merchant.height(), secret.height());
            assert!(height.max(own) < BLOCKS_MAX as u64, "a race so long is as good as impossible");
            if height >= self.terms.confirmations {
                if own > height {
                    break;
                }
                if height - own >= self.terms.behind_max {
                    return self.end(&merchant, false);
                }
            }
            now = turn(&mut merchant, &mut secret, public.as_mut());
        }
        let is_reversed = stage.release(now, &mut secret, &mut merchant);
        // The next block has the evidence.
        let height = merchant.height();
        while merchant.height() == height {
            let now = merchant.next_deadline().expect("a wallet with a stake always looks for a second");
            merchant.fire(now);
        }
        self.end(&merchant, is_reversed)
    }

    fn end(&self, merchant: &Party, is_reversed: bool) -> Fought {
        let attacker = signer(SECRET).address();
        let is_lost = merchant.replica().state().loss_of(&attacker).is_some();
        let paid = merchant.miners().filter(|miner| *miner == attacker).count() as u64;
        Fought { is_reversed, is_lost, paid }
    }

    fn cell(&self, sums: &Sums, together: f64) -> Cell {
        let Sums { runs, successes, lost, paid } = *sums;
        // Of nothing at all nothing is known.
        let interval = |doubt| match runs {
            0 => Interval { low: 0.0, high: 1.0 },
            runs => probability(successes, runs, doubt),
        };
        Cell {
            share: self.attacker as f64 / PARTS as f64,
            confirmations: self.terms.confirmations,
            branches: self.branches,
            slasher: self.slasher,
            runs,
            successes,
            success: successes as f64 / runs.max(1) as f64,
            interval: interval(DOUBT),
            interval_together: interval(together),
            expected: self.expected,
            is_untested: self.effort.is_untested,
            stakes_lost: lost,
            blocks_paid_mean: paid as f64 / runs.max(1) as f64,
        }
    }
}

/// A part's stake, in units.
const STAKE_PART: u64 = 1_000_000;

/// Whoever is next acts. On the public branch all hear of a block at once.
fn turn(merchant: &mut Party, secret: &mut Party, public: Option<&mut Party>) -> Time {
    const SURE: &str = "a wallet with a stake always looks for a second";
    let [of_merchant, of_secret] = [&*merchant, &*secret].map(|party| party.next_deadline().expect(SURE));
    let of_public = public.as_ref().map(|party| party.next_deadline().expect(SURE));
    let now = of_public.into_iter().chain([of_merchant, of_secret]).min().expect("there are two");
    let tell = |block: Option<Block>, from: PeerId, to: &mut Party| {
        if let Some(block) = block {
            to.hear(now, from, &block);
        }
    };
    let minted = merchant.fire(now);
    if let Some(public) = public {
        tell(minted, MERCHANT, public);
        tell(public.fire(now), PUBLIC, merchant);
    }
    secret.fire(now);
    now
}

/// How a duel ended.
struct Fought {
    is_reversed: bool,
    /// Whether the attacker's stake is gone.
    is_lost: bool,
    /// Blocks that pay the attacker.
    paid: u64,
}

/// What duels add up to.
#[derive(Clone, Default)]
struct Sums {
    runs: u64,
    successes: u64,
    lost: u64,
    paid: u64,
}

impl Sums {
    fn note(&mut self, fought: &Fought) {
        self.runs += 1;
        self.successes += u64::from(fought.is_reversed);
        self.lost += u64::from(fought.is_lost);
        self.paid += fought.paid;
    }
}

impl Sum for Sums {
    fn add(&mut self, other: &Self) {
        self.runs += other.runs;
        self.successes += other.successes;
        self.lost += other.lost;
        self.paid += other.paid;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> Grid {
        Grid { shares: vec![0.4, 0.6], confirmations: vec![2], runs_min: 100, runs_max: 1_000, ..Grid::default() }
    }

    fn fight(grid: &Grid, threads: usize) -> Report {
        grid.fight(threads, |_| Watch::GoOn).expect("a grid like this can be fought")
    }

    #[test]
    fn a_secret_branch_wins_as_by_work_and_who_mints_on_both_wins_less_often_and_loses_its_stake_to_slasher() {
        let report = fight(&small(), 2);
        assert!(report.is_complete && report.is_as_expected && report.cells_tested == 8, "{report:#?}");
        for cells in report.cells.chunks(4) {
            let [secret, secret_without, both, both_without] = cells else { panic!("there are four kinds") };
            assert_eq!((secret.branches, secret.slasher), (Branches::Secret, true));
            assert_eq!((both_without.branches, both_without.slasher), (Branches::Both, false));
            assert_eq!((secret.stakes_lost, secret_without.stakes_lost, both_without.stakes_lost), (0, 0, 0));
            assert!(both.stakes_lost > both.successes / 2 && both.stakes_lost <= both.successes, "{both:?}");
            assert!(both.expected < secret.expected && both.success < secret.success, "{both:?}");
        }
    }

    #[test]
    fn the_report_is_the_same_on_any_number_of_threads_and_another_with_another_seed() {
        let grid = Grid { shares: vec![0.6], runs_min: 70, ..small() };
        let report = fight(&grid, 1);
        assert_eq!(fight(&grid, 3), report);
        assert_ne!(fight(&Grid { seed: 2, ..grid }, 3).cells, report.cells);
    }

    #[test]
    fn what_cannot_be_fought_is_refused_with_the_reason() {
        let refused = |grid: Grid| grid.fight(1, |_| Watch::Stop).expect_err("it cannot be fought");
        for got in [-0.1, 0.0, 1.0] {
            assert_eq!(refused(Grid { shares: vec![got], ..small() }), GridError::Share { got });
        }
        for got in [0, CONFIRMATIONS_MAX + 1] {
            assert_eq!(refused(Grid { confirmations: vec![got], ..small() }), GridError::Confirmations { got });
        }
        for got in [0, BEHIND_MAX + 1] {
            assert_eq!(refused(Grid { behind_max: got, ..small() }), GridError::Behind { got });
        }
        for (min, max) in [(0, 1), (2, 1), (1, RUNS_MAX + 1)] {
            assert_eq!(refused(Grid { runs_min: min, runs_max: max, ..small() }), GridError::Runs { min, max });
        }
        assert_eq!(refused(Grid { slashers: vec![], ..small() }), GridError::Empty);
    }

    #[test]
    fn as_json_a_report_has_these_names() {
        let report = fight(&Grid { shares: vec![0.6], runs_min: 10, runs_max: 10, ..small() }, 2);
        let report = serde_json::to_value(report).expect("a report can be written");
        let names =
            |value: &serde_json::Value| value.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&report), ["cells", "cells_tested", "grid", "is_as_expected", "is_complete", "runs"]);
        assert_eq!(
            names(&report["grid"]),
            ["behind_max", "branches", "confirmations", "runs_max", "runs_min", "seed", "shares", "slashers"]
        );
        assert_eq!(
            names(&report["cells"][0]),
            [
                "blocks_paid_mean",
                "branches",
                "confirmations",
                "expected",
                "interval",
                "interval_together",
                "is_untested",
                "runs",
                "share",
                "slasher",
                "stakes_lost",
                "success",
                "successes"
            ]
        );
        assert_eq!((&report["cells"][0]["branches"], &report["cells"][0]["slasher"]), (&"secret".into(), &true.into()));
    }
}
