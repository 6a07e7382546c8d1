//! A persistent map of coins: copies share everything, and a block costs what it changes.
//!
//! It is a stack of immutable hash tables, the oldest and largest first, in the manner of a log-structured merge tree
//! (O'Neil et al. 1996): a block's changes become a table of their own on top, and tables are merged so that each holds
//! more than all above it together. A look-up asks at most logarithmically many tables; a change is copied
//! logarithmically often, in long runs of memory, which costs a fraction of what copying a search tree's paths does
//! (`synod bench connect`).

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::hash::{BuildHasherDefault, Hasher};

use hashbrown::HashMap;

use crate::{Coin, OutPoint};

/// What is known of a coin in one table; nothing in it: the coin of a table below is spent.
type Table = HashMap<OutPoint, Option<Coin>, BuildHasherDefault<Mixer>>;

/// The unspent coins. Cloning is one reference count.
#[derive(Clone)]
pub(crate) struct Coins {
    tables: Arc<[Arc<Table>]>,
    len: usize,
}

/// Changes on top of some coins, not yet a part of them.
pub(crate) struct Edit {
    below: Coins,
    changes: Table,
    len: usize,
}

impl Coins {
    /// No coins.
    pub(crate) fn new() -> Self {
        Self { tables: Arc::new([]), len: 0 }
    }

    /// How many coins there are.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// The coin of that name.
    pub(crate) fn get(&self, name: &OutPoint) -> Option<&Coin> {
        self.tables.iter().rev().find_map(|table| table.get(name))?.as_ref()
    }

    /// All coins, in no order that means anything.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&OutPoint, &Coin)> {
        self.tables.iter().enumerate().flat_map(move |(place, table)| {
            let above = &self.tables[place + 1..];
            let is_newest = move |name: &OutPoint| !above.iter().any(|table| table.contains_key(name));
            let coins = table.iter().filter_map(|(name, coin)| Some((name, coin.as_ref()?)));
            coins.filter(move |(name, _)| is_newest(name))
        })
    }

    /// Begins to change a copy; about `changes` changes are expected.
    pub(crate) fn edit(&self, changes: usize) -> Edit {
        let changes = Table::with_capacity_and_hasher(changes, BuildHasherDefault::default());
        Edit { below: self.clone(), changes, len: self.len }
    }
}

impl Edit {
    /// The coin of that name, as changed so far.
    pub(crate) fn get(&self, name: &OutPoint) -> Option<&Coin> {
        match self.changes.get(name) {
            Some(change) => change.as_ref(),
            None => self.below.get(name),
        }
    }

    /// Adds a coin, whose name no unspent coin has.
    pub(crate) fn insert(&mut self, name: OutPoint, coin: Coin) {
        self.changes.insert(name, Some(coin));
        self.len += 1;
    }

    /// Takes an unspent coin out.
    pub(crate) fn remove(&mut self, name: &OutPoint) {
        // A coin that was made above all tables leaves no trace; any other must hide what is below.
        if self.below.get(name).is_some() {
            self.changes.insert(*name, None);
        } else {
            self.changes.remove(name);
        }
        self.len -= 1;
    }

    /// The changed coins.
    pub(crate) fn finish(self) -> Coins {
        if self.changes.is_empty() {
            return self.below;
        }
        let below = &self.below.tables;
        let mut total = self.changes.len();
        let mut kept = below.len();
        while kept > 0 && below[kept - 1].len() <= total {
            kept -= 1;
            total += below[kept].len();
        }
        let mut tables: Vec<Arc<Table>> = below[..kept].to_vec();
        tables.push(Arc::new(merge(&below[kept..], self.changes, total, kept == 0)));
        Coins { tables: tables.into(), len: self.len }
    }
}

/// One table of several, of which the last is the newest. At the bottom nothing has to be hidden any more.
fn merge(below: &[Arc<Table>], newest: Table, total: usize, is_bottom: bool) -> Table {
    if below.is_empty() && !is_bottom {
        return newest;
    }
    let mut merged = Table::with_capacity_and_hasher(total, BuildHasherDefault::default());
    for table in below {
        merged.extend(table.iter());
    }
    merged.extend(newest);
    if is_bottom {
        merged.retain(|_, coin| coin.is_some());
    }
    merged
}

/// The same hash in every process. An [`OutPoint`] hashes as eight bytes of its id, which is a hash already, and its
/// index, so that there is little left to mix.
#[derive(Default)]
struct Mixer(u64);

impl Hasher for Mixer {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    fn write_u32(&mut self, number: u32) {
        // 2^64 over the golden ratio is odd: the outputs of one payment spread over the whole table.
        self.0 ^= u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = self.0.rotate_left(29) ^ number;
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;
    use alloc::vec;
    use core::hash::BuildHasher;

    use proptest::prelude::*;
    use synod_machine::Bytes;

    use super::*;
    use crate::{Address, Amount, Height, Output, TxId};

    fn name(number: u8) -> OutPoint {
        OutPoint { tx: TxId(Bytes([number; 32])), index: u32::from(number % 3) }
    }

    fn coin(amount: u64) -> Coin {
        let output = Output::plain(Amount(amount), Address(Bytes([1; 20])));
        Coin { output, height: Height(1), coinbase: false }
    }

    fn all(coins: &Coins) -> BTreeMap<OutPoint, Coin> {
        coins.iter().map(|(name, coin)| (*name, *coin)).collect()
    }

    proptest! {
        /// Edits of random size against a plain map; earlier copies keep what they had.
        #[test]
        fn it_is_a_map_whose_copies_do_not_change(edits in prop::collection::vec(prop::collection::vec(0_u8..40, 0..12), 1..40)) {
            let mut coins = Coins::new();
            let mut model = BTreeMap::new();
            let mut history = vec![];
            for (round, touched) in edits.into_iter().enumerate() {
                history.push((coins.clone(), model.clone()));
                let mut edit = coins.edit(touched.len());
                for number in touched {
                    let name = name(number);
                    prop_assert_eq!(edit.get(&name), model.get(&name));
                    if model.remove(&name).is_some() {
                        edit.remove(&name);
                    } else {
                        model.insert(name, coin(round as u64));
                        edit.insert(name, coin(round as u64));
                    }
                    prop_assert_eq!(edit.get(&name), model.get(&name));
                }
                coins = edit.finish();
                prop_assert_eq!(coins.len(), model.len());
            }
            history.push((coins, model));
            for (coins, model) in history {
                prop_assert_eq!(&all(&coins), &model);
                for number in 0..40 {
                    prop_assert_eq!(coins.get(&name(number)), model.get(&name(number)));
                }
            }
        }
    }

    #[test]
    fn the_outputs_of_one_payment_have_hashes_of_their_own() {
        let hash = |index| {
            let name = OutPoint { tx: TxId(Bytes([1; 32])), index };
            BuildHasherDefault::<Mixer>::default().hash_one(name)
        };
        let mut hashes: Vec<u64> = (0..10_000).map(hash).collect();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), 10_000);
    }

    #[test]
    fn tables_grow_geometrically_downwards() {
        let mut coins = Coins::new();
        for number in 0..1_000_u32 {
            let mut edit = coins.edit(1);
            edit.insert(OutPoint { tx: TxId(Bytes([7; 32])), index: number }, coin(1));
            coins = edit.finish();
            assert!(coins.tables.len() <= 11, "{} tables of {} coins", coins.tables.len(), coins.len());
            for pair in coins.tables.windows(2) {
                assert!(pair[0].len() > pair[1].len(), "each holds more than the one above");
            }
        }
        assert_eq!(coins.len(), 1_000);
    }
}
