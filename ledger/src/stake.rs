//! Stake: whose coins are locked, since when that counts, and how they are lost.
//!
//! What counts for a block is what was locked some blocks below its parent and all the time since: nobody moves coins to
//! an address after the parent's hash is known, and a stake that was unlocked or lost makes no more blocks. For this a
//! state keeps the tables of stakes after each of its last blocks. Tables are shared between states, and copied when a
//! block changes one: with ten thousand stakes a third of a megabyte for each such block, and nothing for the others.
//!
//! Lost coins are not taken out of the set of coins one by one, which could be any number, but marked by their owner's
//! address and the height of the punishment. They do not exist for anybody from then on.

mod kernel;

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

pub use self::kernel::{kernel, threshold};
use crate::{Address, Amount, Coin, Height, Output, OutputKind, StakeRules};

/// What each address has locked, where it has anything.
type Table = BTreeMap<Address, Amount>;

/// When each address lost its stake. All times are kept: a coin that a first one took must not come back by a second one
/// that would not have taken it.
type Losses = BTreeMap<Address, Vec<Height>>;

/// A stake that was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// Whose it was.
    pub owner: Address,
    /// All of it: what was locked, and what was not unlocked yet.
    pub amount: Amount,
    /// In how many coins.
    pub coins: u64,
}

/// The stakes after a block and after those before it, as far back as they count.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stakes {
    rules: StakeRules,
    height: Height,
    /// One after each of the last blocks, the oldest first: one more than the depth, or all since the genesis.
    tables: Vec<Arc<Table>>,
    /// When an address lost its stake, each time, in order.
    losses: Arc<Losses>,
    /// Coins that are in the set and lost.
    coins_lost: u64,
}

impl Stakes {
    /// Those of a genesis.
    pub(crate) fn genesis(rules: StakeRules, outputs: &[Output]) -> Self {
        let mut edit = Change { table: Arc::default(), losses: Arc::default(), coins_lost: 0 };
        outputs.iter().for_each(|output| edit.lock(output));
        let Change { table, losses, coins_lost } = edit;
        Self { rules, height: Height::GENESIS, tables: alloc::vec![table], losses, coins_lost }
    }

    /// What an address has locked now.
    pub(crate) fn staked(&self, owner: &Address) -> Amount {
        amount_of(self.newest(), owner)
    }

    /// What counts of it for the next block.
    pub(crate) fn recorded(&self, owner: &Address) -> Amount {
        let mut least = amount_of(self.oldest(), owner);
        for pair in self.tables.windows(2).filter(|pair| !Arc::ptr_eq(&pair[0], &pair[1])) {
            least = least.min(amount_of(&pair[1], owner));
        }
        least
    }

    /// The most that can count of it for a block above `parent`, on a branch that shares the blocks up to `shared` with
    /// this one; nothing, where none of the tables that say it is here.
    pub(crate) fn bound(&self, owner: &Address, shared: Height, parent: Height) -> Option<Amount> {
        let first = self.height.0 + 1 - self.tables.len() as u64;
        let from = parent.0.saturating_sub(u64::from(self.rules.depth)).max(first);
        let heights = from..=shared.0.min(parent.0).min(self.height.0);
        heights.map(|height| amount_of(&self.tables[(height - first) as usize], owner)).min()
    }

    /// What everybody has locked now.
    pub(crate) fn total(&self) -> Amount {
        Amount::checked_sum(self.newest().values().copied()).expect("stakes are part of the supply")
    }

    /// All that have something locked now, by address.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Address, Amount)> + '_ {
        self.newest().iter().map(|(owner, amount)| (*owner, *amount))
    }

    /// How many coins of the set are lost.
    pub(crate) const fn coins_lost(&self) -> u64 {
        self.coins_lost
    }

    /// When an address last lost its stake.
    pub(crate) fn loss(&self, owner: &Address) -> Option<Height> {
        self.losses.get(owner)?.last().copied()
    }

    /// Whether a coin of the set was lost.
    pub(crate) fn is_lost(&self, coin: &Coin) -> bool {
        if coin.output.kind == OutputKind::Plain {
            return false;
        }
        let losses = self.losses.get(&coin.output.to).map_or(&[][..], Vec::as_slice);
        losses.iter().any(|&height| coin.height <= height && self.can_be_lost(coin, height))
    }

    /// Whether a punishment at a height takes this coin.
    pub(crate) const fn can_be_lost(&self, coin: &Coin, height: Height) -> bool {
        match coin.output.kind {
            OutputKind::Plain => false,
            OutputKind::Stake => true,
            OutputKind::Unbonding => coin.height.0.saturating_add(self.rules.unbonding) > height.0,
        }
    }

    /// Begins to change a copy of what is locked now.
    pub(crate) fn change(&self) -> Change {
        Change { table: self.newest().clone(), losses: self.losses.clone(), coins_lost: self.coins_lost }
    }

    /// Those after one more block, and what it makes this forget: the amounts in the oldest table where the next one
    /// has others.
    pub(crate) fn after(&self, change: Change) -> (Self, Vec<(Address, Amount)>) {
        let is_full = self.tables.len() > self.rules.depth as usize;
        let mut tables = Vec::with_capacity(self.rules.depth as usize + 1);
        tables.extend_from_slice(&self.tables[usize::from(is_full)..]);
        tables.push(change.table);
        let forgotten = if is_full { differences(self.oldest(), &tables[0]) } else { Vec::new() };
        let (losses, coins_lost) = (change.losses, change.coins_lost);
        (Self { rules: self.rules, height: self.height.next(), tables, losses, coins_lost }, forgotten)
    }

    /// Those before the last block, which forgot and lost these.
    pub(crate) fn before(&self, forgotten: &[(Address, Amount)], losses: &[Loss]) -> Self {
        let kept = &self.tables[..self.tables.len() - 1];
        let mut tables = Vec::with_capacity(self.tables.len());
        if self.height.0 > u64::from(self.rules.depth) {
            let mut oldest = self.oldest().clone();
            for (owner, amount) in forgotten {
                set(&mut oldest, *owner, *amount);
            }
            tables.push(oldest);
        }
        tables.extend_from_slice(kept);
        let mut change = Change { table: Arc::default(), losses: self.losses.clone(), coins_lost: self.coins_lost };
        losses.iter().rev().for_each(|loss| change.take_back(loss));
        let (losses, coins_lost) = (change.losses, change.coins_lost);
        Self { rules: self.rules, height: Height(self.height.0 - 1), tables, losses, coins_lost }
    }

    fn newest(&self) -> &Arc<Table> {
        self.tables.last().expect("the last block's table is there")
    }

    fn oldest(&self) -> &Arc<Table> {
        &self.tables[0]
    }
}

/// What a block does to the stakes.
#[derive(Debug)]
pub(crate) struct Change {
    table: Arc<Table>,
    losses: Arc<Losses>,
    coins_lost: u64,
}

impl Change {
    /// Counts an output that was made.
    pub(crate) fn lock(&mut self, output: &Output) {
        if output.kind == OutputKind::Stake {
            let sum = amount_of(&self.table, &output.to).checked_add(output.amount);
            set(&mut self.table, output.to, sum.expect("stakes are part of the supply"));
        }
    }

    /// Counts a coin that was spent.
    pub(crate) fn unlock(&mut self, output: &Output) {
        if output.kind == OutputKind::Stake {
            let rest = amount_of(&self.table, &output.to).checked_sub(output.amount);
            set(&mut self.table, output.to, rest.expect("what is spent was locked"));
        }
    }

    /// Takes everything away from an owner at a height.
    pub(crate) fn lose(&mut self, loss: &Loss, height: Height) {
        set(&mut self.table, loss.owner, Amount::ZERO);
        Arc::make_mut(&mut self.losses).entry(loss.owner).or_default().push(height);
        self.coins_lost += loss.coins;
    }

    /// Undoes a loss, except for what was locked, which the tables remember.
    fn take_back(&mut self, loss: &Loss) {
        let losses = Arc::make_mut(&mut self.losses);
        let heights = losses.get_mut(&loss.owner).expect("what is taken back was lost");
        heights.pop();
        if heights.is_empty() {
            losses.remove(&loss.owner);
        }
        self.coins_lost -= loss.coins;
    }
}

fn amount_of(table: &Table, owner: &Address) -> Amount {
    table.get(owner).copied().unwrap_or(Amount::ZERO)
}

fn set(table: &mut Arc<Table>, owner: Address, amount: Amount) {
    let table = Arc::make_mut(table);
    if amount == Amount::ZERO {
        table.remove(&owner);
    } else {
        table.insert(owner, amount);
    }
}

/// What `older` says of the addresses of which both say different things.
fn differences(older: &Arc<Table>, newer: &Arc<Table>) -> Vec<(Address, Amount)> {
    if Arc::ptr_eq(older, newer) {
        return Vec::new();
    }
    let changed = older.iter().filter(|(owner, amount)| newer.get(*owner) != Some(*amount));
    let added = newer.keys().filter(|owner| !older.contains_key(*owner)).map(|owner| (*owner, Amount::ZERO));
    let mut found: Vec<_> = changed.map(|(owner, amount)| (*owner, *amount)).chain(added).collect();
    found.sort_unstable_by_key(|(owner, _)| *owner);
    found
}
