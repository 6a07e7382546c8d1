//! Whose coin is spent next. Every client of a load owns a part of the coins for itself, so that no two of them ever
//! spend the same one, and goes on with the change of its own payments before a block confirms them.
//!
//! An unconfirmed coin can only be spent where its payment is known, at the peer that acknowledged it (its home), and
//! only a few payments deep, since mempools bound such chains. A confirmed coin is known everywhere.

use std::collections::{BTreeMap, VecDeque};

use synod_ledger::{Amount, OutPoint, TxId};

/// A coin that a client may spend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnCoin {
    /// Its name.
    pub point: OutPoint,
    /// How much it is.
    pub amount: Amount,
    /// Whose it is: a place in the load's list of wallets.
    pub wallet: usize,
}

/// Where an unconfirmed coin stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Unconfirmed {
    coin: OwnCoin,
    /// The peer that acknowledged the payment, a place in the load's list of peers.
    home: usize,
    /// How many unconfirmed payments lead to it; [`DOUBT`] where it may not exist at all.
    depth: u32,
}

/// A coin that was chosen, and where to spend it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// The coin.
    pub coin: OwnCoin,
    /// The peer to send the payment to.
    pub peer: usize,
    /// How many unconfirmed payments lead to the coin.
    pub depth: u32,
}

/// The coins of one client.
#[derive(Clone, Debug, Default)]
pub struct Pool {
    confirmed: VecDeque<OwnCoin>,
    /// Change of payments that no block confirms yet, under the payment's id.
    unconfirmed: BTreeMap<TxId, Unconfirmed>,
}

/// Chains of unconfirmed payments stay this short: mempools refuse chains of 25 (see the ledger's limits).
pub const DEPTH_MAX: u32 = 20;
const DOUBT: u32 = u32::MAX;

impl Pool {
    /// A client's part of the coins.
    pub fn new(coins: impl IntoIterator<Item = OwnCoin>) -> Self {
        Self { confirmed: coins.into_iter().collect(), unconfirmed: BTreeMap::new() }
    }

    /// Takes a coin of at least `amount`, to be spent at `peer` where that is possible and at another peer where it is
    /// not. Confirmed coins come first, then the least deep. None: the client must wait for a block.
    pub fn take(&mut self, amount: Amount, peer: usize, is_up: impl Fn(usize) -> bool) -> Option<Chosen> {
        while let Some(coin) = self.confirmed.pop_front() {
            // A coin that is too small now stays too small: it is left out for good.
            if coin.amount >= amount {
                return Some(Chosen { coin, peer, depth: 0 });
            }
        }
        let usable = |u: &Unconfirmed| u.depth < DEPTH_MAX && u.coin.amount >= amount && is_up(u.home);
        let best = self.unconfirmed.iter().filter(|(_, u)| usable(u)).min_by_key(|(_, u)| (u.home != peer, u.depth));
        let id = *best?.0;
        let found = self.unconfirmed.remove(&id).expect("it was found there");
        Some(Chosen { coin: found.coin, peer: found.home, depth: found.depth })
    }

    /// The payment of `spent` was acknowledged by `peer`, and `change` is what it left.
    pub fn accepted(&mut self, spent: Chosen, change: OwnCoin, peer: usize) {
        let depth = spent.depth + 1;
        self.unconfirmed.insert(change.point.tx, Unconfirmed { coin: change, home: peer, depth });
    }

    /// Nobody knows whether the payment took effect: its change can be spent only once a block confirms it.
    pub fn doubted(&mut self, change: OwnCoin) {
        self.unconfirmed.insert(change.point.tx, Unconfirmed { coin: change, home: 0, depth: DOUBT });
    }

    /// The payment was refused, or never sent, for a reason that leaves the coin as it was.
    pub fn returned(&mut self, chosen: Chosen) {
        if chosen.depth == 0 {
            self.confirmed.push_back(chosen.coin);
        } else {
            let unconfirmed = Unconfirmed { coin: chosen.coin, home: chosen.peer, depth: chosen.depth };
            self.unconfirmed.insert(chosen.coin.point.tx, unconfirmed);
        }
    }

    /// The coin cannot be spent now, but it can when a block confirms the payment that made it. A confirmed coin that
    /// cannot be spent is gone.
    pub fn set_aside(&mut self, chosen: Chosen) {
        if chosen.depth > 0 {
            self.doubted(chosen.coin);
        }
    }

    /// A block confirms the payment `id`: what it left can be spent anywhere.
    pub fn confirmed(&mut self, id: &TxId) {
        if let Some(found) = self.unconfirmed.remove(id) {
            self.confirmed.push_back(found.coin);
        }
    }

    /// How many coins there are, in whatever state.
    pub fn len(&self) -> usize {
        self.confirmed.len() + self.unconfirmed.len()
    }

    /// Whether it has no coin at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Shares coins out to clients in turn: no coin twice, none left, and every client gets some of every wallet's.
pub fn deal(coins: Vec<OwnCoin>, clients: usize) -> Vec<Pool> {
    assert!(clients > 0, "a load has clients");
    let mut hands = vec![Vec::new(); clients];
    for (place, coin) in coins.into_iter().enumerate() {
        hands[place % clients].push(coin);
    }
    hands.into_iter().map(Pool::new).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use synod_machine::Bytes;

    use super::*;

    fn coin(number: u8, amount: u64) -> OwnCoin {
        let point = OutPoint { tx: TxId(Bytes([number; 32])), index: 1 };
        OwnCoin { point, amount: Amount(amount), wallet: 0 }
    }

    fn up(_: usize) -> bool {
        true
    }

    #[test]
    fn dealt_coins_are_a_partition() {
        let pools = deal((0..10).map(|number| coin(number, 5)).collect(), 3);
        assert_eq!(pools.iter().map(Pool::len).collect::<Vec<_>>(), [4, 3, 3]);
        let all: BTreeSet<_> = pools.iter().flat_map(|pool| pool.confirmed.iter().map(|coin| coin.point)).collect();
        assert_eq!(all.len(), 10, "no coin is dealt twice");
    }

    #[test]
    fn a_taken_coin_is_not_taken_again() {
        let mut pool = Pool::new([coin(1, 10), coin(2, 10)]);
        assert_eq!(pool.take(Amount(3), 4, up), Some(Chosen { coin: coin(1, 10), peer: 4, depth: 0 }));
        assert_eq!(pool.take(Amount(3), 4, up).map(|chosen| chosen.coin), Some(coin(2, 10)));
        assert_eq!(pool.take(Amount(3), 4, up), None);
    }

    #[test]
    fn change_is_spent_at_its_home_while_that_is_up() {
        let mut pool = Pool::new([coin(1, 10)]);
        let chosen = pool.take(Amount(3), 2, up).expect("a coin");
        pool.accepted(chosen, coin(9, 7), 2);
        assert_eq!(pool.take(Amount(3), 0, |peer| peer != 2), None, "its home is down");
        assert_eq!(pool.take(Amount(8), 0, up), None, "it is too small");
        assert_eq!(pool.take(Amount(3), 0, up), Some(Chosen { coin: coin(9, 7), peer: 2, depth: 1 }));
    }

    #[test]
    fn the_wanted_peer_is_preferred_and_then_the_shortest_chain() {
        let mut pool = Pool::default();
        let at = |depth| Chosen { coin: coin(1, 10), peer: 0, depth };
        pool.accepted(at(4), coin(5, 7), 1);
        pool.accepted(at(2), coin(6, 7), 0);
        pool.accepted(at(0), coin(7, 7), 0);
        assert_eq!(pool.take(Amount(3), 1, up).map(|chosen| chosen.coin), Some(coin(5, 7)));
        assert_eq!(pool.take(Amount(3), 1, up).map(|chosen| chosen.coin), Some(coin(7, 7)));
    }

    #[test]
    fn chains_end_at_their_bound_until_a_block_confirms_them() {
        let mut pool = Pool::default();
        pool.accepted(Chosen { coin: coin(1, 10), peer: 0, depth: DEPTH_MAX - 2 }, coin(2, 9), 0);
        let last = pool.take(Amount(1), 0, up).expect("one more fits");
        assert_eq!(last.depth, DEPTH_MAX - 1);
        pool.accepted(last, coin(3, 8), 0);
        assert_eq!(pool.take(Amount(1), 0, up), None);
        pool.confirmed(&coin(3, 8).point.tx);
        assert_eq!(pool.take(Amount(1), 5, up), Some(Chosen { coin: coin(3, 8), peer: 5, depth: 0 }));
    }

    #[test]
    fn a_doubted_coin_waits_for_its_block_and_a_refused_one_comes_back() {
        let mut pool = Pool::default();
        pool.doubted(coin(2, 9));
        assert_eq!(pool.take(Amount(1), 0, up), None);
        pool.confirmed(&coin(2, 9).point.tx);
        let chosen = pool.take(Amount(1), 0, up).expect("it is there now");
        pool.returned(chosen);
        assert_eq!(pool.take(Amount(1), 0, up), Some(chosen));
        pool.set_aside(chosen);
        assert!(pool.is_empty(), "a confirmed coin that cannot be spent is gone");
        pool.set_aside(Chosen { depth: 1, ..chosen });
        assert_eq!(pool.len(), 1);
    }
}
