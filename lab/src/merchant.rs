//! A merchant: who hands the goods over when a payment has so many confirmations, and sees what becomes of it afterwards.
//!
//! [`Book`] is what a merchant knows and decides, without I/O; [`Merchant`] looks at one peer and tells the book what it saw.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use synod_ledger::{Address, Amount, Height, TxId};
use synod_node::api::client::{Client, ClientError};
use synod_node::api::types::{AddressQuery, MempoolQuery, TransactionStatus};

use crate::LabError;

/// Coins of an address and conflicts that are looked at.
const LIST_MAX: u32 = 10_000;

/// At so many confirmations, or ten times those at which it hands over if that is more, a merchant looks at a payment no more.
const BURIED: u64 = 100;

/// What a merchant tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Notice {
    /// It handed the goods over.
    Delivered {
        /// The payment.
        id: TxId,
        /// How much it pays, in units.
        amount: Amount,
        /// The confirmations that it had.
        confirmations: u64,
    },
    /// A payment came.
    Seen {
        /// The payment.
        id: TxId,
        /// How much it pays, in units.
        amount: Amount,
        /// The confirmations that it has.
        confirmations: u64,
    },
    /// What was delivered lost its confirmations and is not contradicted: it waits again.
    Shaken {
        /// The payment.
        id: TxId,
    },
    /// What was delivered cannot be confirmed any more: its coins are spent otherwise.
    Undone {
        /// The payment.
        id: TxId,
        /// How much is lost, in units.
        amount: Amount,
    },
    /// Another payment spends a coin of this one: somebody tries a double spend.
    Warned {
        /// The payment.
        id: TxId,
        /// The other.
        rival: TxId,
    },
}

/// What is seen of a payment at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The payment.
    pub id: TxId,
    /// How much it pays the merchant; nothing new where it is not listed among the address's coins any more.
    pub amount: Amount,
    /// Its confirmations.
    pub confirmations: u64,
    /// Whether its coins are spent otherwise, or its peer has forgotten it.
    pub is_lost: bool,
}

#[derive(Clone, Debug)]
struct Entry {
    amount: Amount,
    is_delivered: bool,
    is_shaken: bool,
    is_undone: bool,
    /// So deep that it is looked at no more.
    is_buried: bool,
    rivals: BTreeSet<TxId>,
}

/// Sums over all payments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Payments that came.
    pub seen: u64,
    /// Those for which goods were handed over.
    pub delivered: u64,
    /// Those of them that were undone.
    pub undone: u64,
    /// What those would have paid, in units.
    pub lost: Amount,
}

/// What a merchant knows and decides.
#[derive(Debug)]
pub struct Book {
    confirmations: u64,
    entries: BTreeMap<TxId, Entry>,
}

impl Book {
    /// A merchant that hands over at so many confirmations; at 0 as soon as it sees a payment.
    pub const fn new(confirmations: u64) -> Self {
        Self { confirmations, entries: BTreeMap::new() }
    }

    /// The payments that are watched: those that lie deep are not.
    pub fn ids(&self) -> impl Iterator<Item = TxId> + '_ {
        self.entries.iter().filter(|(_, entry)| !entry.is_buried).map(|(id, _)| *id)
    }

    /// Takes note of what is seen, and says what follows from it.
    pub fn see(&mut self, seen: Sighting) -> Vec<Notice> {
        let Sighting { id, amount, confirmations, is_lost } = seen;
        let mut notices = Vec::new();
        let confirmations_min = self.confirmations;
        let entry = self.entries.entry(id).or_insert_with(|| {
            notices.push(Notice::Seen { id, amount, confirmations });
            Entry {
                amount,
                is_delivered: false,
                is_shaken: false,
                is_undone: false,
                is_buried: false,
                rivals: BTreeSet::new(),
            }
        });
        if !entry.is_delivered {
            if !is_lost && confirmations >= confirmations_min {
                entry.is_delivered = true;
                notices.push(Notice::Delivered { id, amount: entry.amount, confirmations });
            }
            return notices;
        }
        entry.is_buried = confirmations >= BURIED && confirmations >= confirmations_min.saturating_mul(10);
        // Without confirmations nothing was promised that could be shaken.
        let is_shaken = !is_lost && confirmations == 0 && confirmations_min > 0;
        if is_shaken && !entry.is_shaken {
            notices.push(Notice::Shaken { id });
        }
        if is_lost && !entry.is_undone {
            notices.push(Notice::Undone { id, amount: entry.amount });
        }
        (entry.is_shaken, entry.is_undone) = (is_shaken, is_lost);
        notices
    }

    /// Takes note of another payment that spends a coin of one that is watched.
    pub fn contradict(&mut self, id: TxId, rival: TxId) -> Option<Notice> {
        let entry = self.entries.get_mut(&id)?;
        entry.rivals.insert(rival).then_some(Notice::Warned { id, rival })
    }

    /// Whether goods were handed over for a payment.
    pub fn is_delivered(&self, id: &TxId) -> bool {
        self.entries.get(id).is_some_and(|entry| entry.is_delivered)
    }

    fn is_buried(&self, id: &TxId) -> bool {
        self.entries.get(id).is_some_and(|entry| entry.is_buried)
    }

    /// Whether a payment for which goods were handed over is undone as things stand.
    pub fn is_undone(&self, id: &TxId) -> bool {
        self.entries.get(id).is_some_and(|entry| entry.is_undone)
    }

    /// The sums as things stand.
    pub fn tally(&self) -> Tally {
        let count = |keep: fn(&Entry) -> bool| self.entries.values().filter(|entry| keep(entry)).count() as u64;
        let lost = self.entries.values().filter(|entry| entry.is_undone).map(|entry| entry.amount);
        Tally {
            seen: self.entries.len() as u64,
            delivered: count(|entry| entry.is_delivered),
            undone: count(|entry| entry.is_undone),
            lost: Amount::checked_sum(lost).unwrap_or(Amount::MAX),
        }
    }
}

/// A merchant at one peer.
#[derive(Debug)]
pub struct Merchant {
    client: Client,
    /// How the peer is called.
    peer: String,
    address: Address,
    /// What was paid before it opened is no business of its.
    before: BTreeSet<TxId>,
    /// What it knows.
    pub book: Book,
}

impl Merchant {
    /// Opens: what the address was paid until now is left alone.
    pub async fn open(client: Client, peer: &str, address: Address, confirmations: u64) -> Result<Self, LabError> {
        let mut merchant =
            Self { client, peer: peer.to_owned(), address, before: BTreeSet::new(), book: Book::new(confirmations) };
        merchant.before = merchant.paid().await?.into_keys().collect();
        Ok(merchant)
    }

    /// What pays the address now, confirmed or not, and how much.
    async fn paid(&self) -> Result<BTreeMap<TxId, Amount>, LabError> {
        let info = self.client.address(self.address, AddressQuery { coins: Some(LIST_MAX) }).await;
        let info = info.map_err(|error| LabError::api(&self.peer, error))?;
        let mut paid: BTreeMap<TxId, Amount> = BTreeMap::new();
        for coin in info.coins {
            let sum = paid.entry(coin.tx).or_default();
            *sum = sum.checked_add(coin.amount).unwrap_or(Amount::MAX);
        }
        Ok(paid)
    }

    /// Looks at its peer once.
    pub async fn look(&mut self) -> Result<Vec<Notice>, LabError> {
        let mut paid = self.paid().await?;
        paid.retain(|id, _| !self.before.contains(id) && !self.book.is_buried(id));
        for id in self.book.ids() {
            paid.entry(id).or_default();
        }
        let mut notices = Vec::new();
        for (id, amount) in paid {
            let info = match self.client.transaction(id).await {
                Ok(info) => Some(info),
                Err(ClientError::Api(error)) if error.code == "unknown_transaction" => None,
                // It changes over to another branch: the next look sees which.
                Err(ClientError::Api(error)) if error.code == "unsettled" => continue,
                Err(error) => return Err(LabError::api(&self.peer, error)),
            };
            let is_lost = info.as_ref().is_none_or(|info| info.status == TransactionStatus::Conflicted);
            let confirmations = info.map_or(0, |info| info.confirmations);
            notices.extend(self.book.see(Sighting { id, amount, confirmations, is_lost }));
        }
        let mempool = self.client.mempool(MempoolQuery { limit: Some(LIST_MAX) }).await;
        let mempool = mempool.map_err(|error| LabError::api(&self.peer, error))?;
        for conflict in mempool.conflicts {
            notices.extend(self.book.contradict(conflict.kept, conflict.seen));
        }
        Ok(notices)
    }

    /// The height of its peer's chain.
    pub async fn height(&self) -> Result<Height, LabError> {
        let status = self.client.status().await.map_err(|error| LabError::api(&self.peer, error))?;
        Ok(status.height)
    }
}

#[cfg(test)]
mod tests {
    use synod_machine::Bytes;

    use super::*;

    const ID: TxId = TxId(Bytes([7; 32]));
    const AMOUNT: Amount = Amount(5);

    fn seen(confirmations: u64, is_lost: bool) -> Sighting {
        Sighting { id: ID, amount: AMOUNT, confirmations, is_lost }
    }

    /// What each sighting makes a merchant of so many confirmations say.
    fn told(confirmations: u64, sightings: &[(u64, bool)]) -> Vec<Vec<&'static str>> {
        let mut book = Book::new(confirmations);
        let name = |notice: Notice| match notice {
            Notice::Delivered { .. } => "delivered",
            Notice::Seen { .. } => "seen",
            Notice::Shaken { .. } => "shaken",
            Notice::Undone { .. } => "undone",
            Notice::Warned { .. } => "warned",
        };
        let looks = sightings
            .iter()
            .map(|&(confirmations, is_lost)| book.see(seen(confirmations, is_lost)).into_iter().map(name).collect());
        looks.collect()
    }

    #[test]
    fn goods_are_handed_over_once_at_the_confirmations_and_what_is_undone_later_is_said() {
        type Case = (u64, &'static [(u64, bool)], &'static [&'static [&'static str]]);
        let cases: [Case; 7] = [
            (0, &[(0, false), (0, false), (1, false)], &[&["seen", "delivered"], &[], &[]]),
            (0, &[(0, false), (0, true), (0, true)], &[&["seen", "delivered"], &["undone"], &[]]),
            (2, &[(0, false), (1, false), (2, false), (3, false)], &[&["seen"], &[], &["delivered"], &[]]),
            (2, &[(5, false), (0, true)], &[&["seen", "delivered"], &["undone"]]),
            (2, &[(2, false), (0, false), (3, false)], &[&["seen", "delivered"], &["shaken"], &[]]),
            (
                2,
                &[(2, false), (0, true), (2, false), (0, true)],
                &[&["seen", "delivered"], &["undone"], &[], &["undone"]],
            ),
            (2, &[(1, false), (0, true), (0, true)], &[&["seen"], &[], &[]]),
        ];
        for (confirmations, sightings, expected) in cases {
            assert_eq!(told(confirmations, sightings), expected, "{confirmations}: {sightings:?}");
        }
    }

    #[test]
    fn what_lies_deep_is_looked_at_no_more() {
        for (confirmations, deep) in [(2, 100), (20, 200)] {
            let mut book = Book::new(confirmations);
            book.see(seen(confirmations, false));
            book.see(seen(deep - 1, false));
            assert_eq!(book.ids().count(), 1);
            book.see(seen(deep, false));
            assert_eq!(book.ids().count(), 0);
        }
    }

    #[test]
    fn a_contradiction_is_told_once_and_of_watched_payments_alone() {
        let mut book = Book::new(1);
        let rival = TxId(Bytes([8; 32]));
        assert_eq!(book.contradict(ID, rival), None);
        book.see(seen(0, false));
        assert_eq!(book.contradict(ID, rival), Some(Notice::Warned { id: ID, rival }));
        assert_eq!(book.contradict(ID, rival), None);
    }

    #[test]
    fn the_tally_counts_what_is_lost_as_things_stand() {
        let mut book = Book::new(1);
        book.see(seen(1, false));
        book.see(Sighting { id: TxId(Bytes([9; 32])), ..seen(0, false) });
        assert_eq!(book.tally(), Tally { seen: 2, delivered: 1, undone: 0, lost: Amount::ZERO });
        book.see(seen(0, true));
        assert_eq!(book.tally(), Tally { seen: 2, delivered: 1, undone: 1, lost: AMOUNT });
        assert!(book.is_delivered(&ID) && book.is_undone(&ID));
    }
}
