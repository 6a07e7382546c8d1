//! Payments that wait for a block. First seen wins: a payment that spends a coin which an earlier one spends is not
//! taken, whatever it pays (there is no replacement), but kept as evidence of a double spend.
//!
//! A payment may spend outputs of others that wait too, within a bound. When the pool is full, the payment with the
//! lowest fee rate goes, with those that depend on it. Pinned payments, which this peer has acknowledged, and what they
//! depend on, are never evicted: they leave when they are confirmed or conflict with what is.

mod conflicts;
mod fee;
mod reorg;
mod select;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

pub use conflicts::Conflict;
use conflicts::Conflicts;
use fee::Rate;
pub use reorg::{Connected, Revalidated};

use crate::check::{check_coins, check_form, check_signatures, check_signatures_of};
use crate::{Amount, Coin, CoinView, Height, OutPoint, OutputKind, Rules, State, Tx, TxError, TxId};

/// The bounds of a mempool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MempoolLimits {
    /// The sum of the payments' encoded lengths.
    pub bytes_max: usize,
    /// How many payments.
    pub payments_max: usize,
    /// How many unconfirmed payments a payment may depend on, directly or not.
    pub ancestors_max: usize,
    /// How many conflicts are kept as evidence; the oldest go.
    pub conflicts_max: usize,
}

impl Default for MempoolLimits {
    /// Bitcoin Core's ancestor limit; sizes that hold some minutes of full blocks.
    fn default() -> Self {
        Self { bytes_max: 32 << 20, payments_max: 100_000, ancestors_max: 25, conflicts_max: 1_000 }
    }
}

/// The payments that wait for a block.
#[derive(Clone, Debug)]
pub struct Mempool {
    limits: MempoolLimits,
    entries: BTreeMap<TxId, Entry>,
    /// Which payment here spends a coin.
    spends: BTreeMap<OutPoint, TxId>,
    /// All payments, best fee rate first.
    by_rate: BTreeMap<Rate, TxId>,
    /// Those of them that may be evicted.
    evictable: BTreeMap<Rate, TxId>,
    conflicts: Conflicts,
    bytes: usize,
    arrivals: u64,
}

/// A payment and its place among the others.
#[derive(Clone, Debug)]
struct Entry {
    tx: Tx,
    rate: Rate,
    pinned: bool,
    /// Pinned, or one that depends on it is held.
    held: bool,
    /// The stakes among the coins that it spends.
    stakes: Vec<OutPoint>,
    /// The payments here whose outputs it spends.
    parents: BTreeSet<TxId>,
    /// The payments here that spend its outputs.
    children: BTreeSet<TxId>,
}

/// Whether the bounds apply: to what is new they do, to what comes back from an undone block they do not yet.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Admission {
    Bounded,
    Returned,
}

impl Mempool {
    /// An empty pool.
    pub const fn new(limits: MempoolLimits) -> Self {
        Self {
            limits,
            entries: BTreeMap::new(),
            spends: BTreeMap::new(),
            by_rate: BTreeMap::new(),
            evictable: BTreeMap::new(),
            conflicts: Conflicts::new(limits.conflicts_max),
            bytes: 0,
            arrivals: 0,
        }
    }

    /// Takes a payment that would be valid in the next block after `state` and the payments here, and gives the ones
    /// that had to go for it. One that is here already is left as it is, but may become pinned.
    pub fn insert(&mut self, state: &State, rules: &Rules, tx: Tx, pinned: bool) -> Result<Vec<TxId>, TxError> {
        self.admit(state, rules, tx, pinned, Admission::Bounded)
    }

    /// Checks the signatures of payments that are about to come, together and so at less than half the cost, and notes the
    /// good ones in the payments. It looks at no other than [`insert`](Self::insert) would; what is wrong is found by that.
    pub fn check_ahead(&self, state: &State, rules: &Rules, payments: &[Tx]) {
        let coins = self.over(state);
        let height = state.height().next();
        let is_due = |tx: &&Tx| {
            let is_new = !tx.is_known_signed() && !self.contains(&tx.id());
            is_new && check_form(rules, tx).is_ok() && check_coins(&coins, rules, tx, height, |_, _| {}).is_ok()
        };
        let due: Vec<Tx> = payments.iter().filter(is_due).cloned().collect();
        // Among them is one that is not good: each is checked again when it comes in.
        let _ = check_signatures_of(&due);
    }

    /// Notes in a block's payments that their signatures are good, where they are here too: what is here was checked.
    pub fn vouch(&self, payments: &[Tx]) {
        for tx in payments.iter().filter(|tx| !tx.is_known_signed()) {
            if self.get(&tx.id()) == Some(tx) {
                tx.set_known_signed();
            }
        }
    }

    /// The payment of that id, if it is here.
    pub fn get(&self, id: &TxId) -> Option<&Tx> {
        self.entries.get(id).map(|entry| &entry.tx)
    }

    /// Whether a payment is here.
    pub fn contains(&self, id: &TxId) -> bool {
        self.entries.contains_key(id)
    }

    /// Whether a payment is here and pinned.
    pub fn is_pinned(&self, id: &TxId) -> bool {
        self.entries.get(id).is_some_and(|entry| entry.pinned)
    }

    /// The fee of a payment that is here.
    pub fn fee(&self, id: &TxId) -> Option<Amount> {
        self.entries.get(id).map(|entry| entry.rate.fee())
    }

    /// The payment here that spends a coin.
    pub fn is_spent(&self, coin: &OutPoint) -> Option<TxId> {
        self.spends.get(coin).copied()
    }

    /// All ids, best fee rate first, and among equals in order of arrival.
    pub fn ids(&self) -> impl Iterator<Item = TxId> + '_ {
        self.by_rate.values().copied()
    }

    /// All payments, in the order of [`ids`](Mempool::ids).
    pub fn iter(&self) -> impl Iterator<Item = &Tx> + '_ {
        self.by_rate.values().map(|id| &self.entry(id).tx)
    }

    /// How many payments are here.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no payment is here.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The sum of the payments' encoded lengths.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The evidence of double spends, oldest first.
    pub fn conflicts(&self) -> impl Iterator<Item = &Conflict> + '_ {
        self.conflicts.iter()
    }

    /// The coins of `state` and those that payments here would make.
    pub const fn over<'a>(&'a self, state: &'a State) -> Overlay<'a> {
        Overlay { pool: self, state }
    }

    /// Asserts what must always hold:
    /// 1. the indexes name exactly the payments that are here, and the bytes are theirs;
    /// 2. every coin is spent by one payment at most;
    /// 3. parents and children name each other, and a parent made what its child spends;
    /// 4. a payment is held exactly if it is pinned or a child is held, and evictable exactly if it is not held;
    /// 5. no more evidence is kept than allowed.
    pub fn check(&self) {
        assert!(self.by_rate.len() == self.entries.len(), "every payment has its place in the fee order");
        let bytes: usize = self.entries.values().map(|entry| entry.tx.len()).sum();
        assert!(bytes == self.bytes, "the bytes are those of the payments");
        let inputs: usize = self.entries.values().map(|entry| entry.tx.inputs.len()).sum();
        assert!(inputs == self.spends.len(), "no two payments spend one coin");
        for (id, entry) in &self.entries {
            assert!(self.by_rate.get(&entry.rate) == Some(id), "the fee order names the payment");
            for input in &entry.tx.inputs {
                assert!(self.spends.get(&input.coin) == Some(id), "the spent coins name their spender");
                let is_parent = entry.parents.contains(&input.coin.tx);
                assert!(is_parent == self.contains(&input.coin.tx), "who made a spent coin here is a parent");
            }
            for parent in &entry.parents {
                assert!(self.entry(parent).children.contains(id), "a parent names its child");
            }
            for child in &entry.children {
                assert!(self.entry(child).parents.contains(id), "a child names its parent");
            }
            let held = entry.pinned || entry.children.iter().any(|child| self.entry(child).held);
            assert!(held == entry.held, "what a held payment depends on is held");
            assert!(held != self.evictable.contains_key(&entry.rate), "what is not held can be evicted");
        }
        assert!(self.conflicts.iter().count() <= self.limits.conflicts_max, "the evidence is bounded");
    }

    fn admit(
        &mut self,
        state: &State,
        rules: &Rules,
        tx: Tx,
        pinned: bool,
        admission: Admission,
    ) -> Result<Vec<TxId>, TxError> {
        let id = tx.id();
        if self.contains(&id) {
            if pinned {
                self.pin(&id);
            }
            return Ok(Vec::new());
        }
        check_form(rules, &tx)?;
        let mut stakes = Vec::new();
        let note_stake = |name, coin: Coin| {
            if coin.output.kind == OutputKind::Stake {
                stakes.push(name);
            }
        };
        let fee = check_coins(&self.over(state), rules, &tx, state.height().next(), note_stake)?;
        if admission == Admission::Bounded && fee < rules.params.fee_min {
            return Err(TxError::FeeTooLow { expected: rules.params.fee_min, got: fee });
        }
        // Checked before conflicts are looked for: only what its owner signed is evidence.
        check_signatures(&tx)?;
        if let Some((coin, kept)) = self.first_conflict(&tx) {
            self.conflicts.push(Conflict { coin, kept, seen: tx });
            return Err(TxError::Conflict { coin, kept });
        }
        let rate = Rate::new(fee, tx.len(), self.arrivals);
        let victims = match admission {
            Admission::Bounded => self.make_room(&tx, rate)?,
            Admission::Returned => Vec::new(),
        };
        self.arrivals += 1;
        self.link(id, tx, rate, stakes);
        if pinned {
            self.pin(&id);
        }
        Ok(victims)
    }

    /// Evicts what pays less per byte until the payment fits, or nothing if it cannot be made to fit.
    fn make_room(&mut self, tx: &Tx, rate: Rate) -> Result<Vec<TxId>, TxError> {
        let ancestors = self.ancestors(tx)?;
        let victims = self.victims(tx.len(), |victim, id| victim > &rate && !ancestors.contains(id));
        let victims = victims.ok_or(TxError::Full { got: rate.fee(), bytes: tx.len() })?;
        for victim in &victims {
            self.unlink(victim);
        }
        Ok(victims)
    }

    /// What must go so that one more payment of `bytes` fits, worst fee rate first, each with all its descendants, or
    /// nothing if what may go is not enough.
    fn victims(&self, bytes: usize, may_go: impl Fn(&Rate, &TxId) -> bool) -> Option<Vec<TxId>> {
        let mut victims = Vec::new();
        let mut chosen = BTreeSet::new();
        let mut bytes_left = self.bytes;
        let mut candidates = self.evictable.iter().rev();
        loop {
            let count = self.len() - victims.len();
            let fits = bytes_left.saturating_add(bytes) <= self.limits.bytes_max && count < self.limits.payments_max;
            if fits {
                return Some(victims);
            }
            let (_, id) = candidates.find(|(rate, id)| may_go(rate, id) && !chosen.contains(*id))?;
            for goes in self.with_descendants(*id) {
                if chosen.insert(goes) {
                    bytes_left -= self.entry(&goes).tx.len();
                    victims.push(goes);
                }
            }
        }
    }

    /// The unconfirmed payments that `tx` depends on, unless they are too many.
    fn ancestors(&self, tx: &Tx) -> Result<BTreeSet<TxId>, TxError> {
        let here = |tx: &Tx| -> Vec<TxId> {
            tx.inputs.iter().map(|input| input.coin.tx).filter(|id| self.contains(id)).collect()
        };
        let mut found = BTreeSet::new();
        let mut open = here(tx);
        while let Some(id) = open.pop() {
            if !found.insert(id) {
                continue;
            }
            if found.len() > self.limits.ancestors_max {
                return Err(TxError::Ancestors { expected: self.limits.ancestors_max, got: found.len() });
            }
            open.extend(&self.entry(&id).parents);
        }
        Ok(found)
    }

    /// The payment and all that depend on it, each once.
    fn with_descendants(&self, id: TxId) -> Vec<TxId> {
        let mut found = BTreeSet::from([id]);
        let mut order = alloc::vec![id];
        let mut next = 0;
        while let Some(at) = order.get(next) {
            next += 1;
            let children: Vec<TxId> = self.entry(at).children.iter().copied().collect();
            order.extend(children.into_iter().filter(|child| found.insert(*child)));
        }
        order
    }

    fn first_conflict(&self, tx: &Tx) -> Option<(OutPoint, TxId)> {
        tx.inputs.iter().find_map(|input| Some((input.coin, self.is_spent(&input.coin)?)))
    }

    /// Puts a payment among the others. Its children may be here before it, when it comes back from an undone block.
    fn link(&mut self, id: TxId, tx: Tx, rate: Rate, stakes: Vec<OutPoint>) {
        let mut parents = BTreeSet::new();
        for input in &tx.inputs {
            self.spends.insert(input.coin, id);
            if let Some(parent) = self.entries.get_mut(&input.coin.tx) {
                parent.children.insert(id);
                parents.insert(input.coin.tx);
            }
        }
        let made = OutPoint { tx: id, index: 0 }..=OutPoint { tx: id, index: u32::MAX };
        let children: BTreeSet<TxId> = self.spends.range(made).map(|(_, child)| *child).collect();
        for child in &children {
            self.entry_mut(child).parents.insert(id);
        }
        self.bytes += tx.len();
        self.by_rate.insert(rate, id);
        self.evictable.insert(rate, id);
        self.entries.insert(id, Entry { tx, rate, pinned: false, held: false, stakes, parents, children });
        self.settle_holds(id);
    }

    /// Takes a payment from among the others. Its children stay.
    fn unlink(&mut self, id: &TxId) -> Option<Tx> {
        let entry = self.entries.remove(id)?;
        for input in &entry.tx.inputs {
            self.spends.remove(&input.coin);
        }
        self.bytes -= entry.tx.len();
        self.by_rate.remove(&entry.rate);
        self.evictable.remove(&entry.rate);
        for child in &entry.children {
            self.entry_mut(child).parents.remove(id);
        }
        for parent in &entry.parents {
            self.entry_mut(parent).children.remove(id);
            self.settle_holds(*parent);
        }
        Some(entry.tx)
    }

    fn pin(&mut self, id: &TxId) {
        self.entry_mut(id).pinned = true;
        self.settle_holds(*id);
    }

    /// Finds out anew whether a payment is held, and if that changed, whether its parents are.
    fn settle_holds(&mut self, id: TxId) {
        let mut open = alloc::vec![id];
        while let Some(id) = open.pop() {
            let entry = self.entry(&id);
            let held = entry.pinned || entry.children.iter().any(|child| self.entry(child).held);
            if held == entry.held {
                continue;
            }
            open.extend(&entry.parents);
            let rate = entry.rate;
            self.entry_mut(&id).held = held;
            if held {
                self.evictable.remove(&rate);
            } else {
                self.evictable.insert(rate, id);
            }
        }
    }

    fn entry(&self, id: &TxId) -> &Entry {
        self.entries.get(id).expect("the indexes name payments that are here")
    }

    fn entry_mut(&mut self, id: &TxId) -> &mut Entry {
        self.entries.get_mut(id).expect("the indexes name payments that are here")
    }
}

/// The coins of a state and those that the payments of a mempool would make. Spent ones are still found: who spends
/// them is [`Mempool::is_spent`].
#[derive(Clone, Copy, Debug)]
pub struct Overlay<'a> {
    pool: &'a Mempool,
    state: &'a State,
}

impl CoinView for Overlay<'_> {
    fn coin(&self, name: &OutPoint) -> Option<Coin> {
        if let Some(coin) = self.state.coin(name) {
            return Some(coin);
        }
        let tx = self.pool.get(&name.tx)?;
        let output = *tx.outputs.get(name.index as usize)?;
        Some(Coin { output, height: self.next(), coinbase: false })
    }
}

impl Overlay<'_> {
    fn next(&self) -> Height {
        self.state.height().next()
    }
}

#[cfg(test)]
mod tests;
