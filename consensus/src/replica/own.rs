//! The payments that this peer acknowledged, and what became of them.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use synod_ledger::{Block, Height, OutPoint, Tx, TxId};
use synod_machine::Bytes;

/// What became of an acknowledged payment on the present chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The block at that height has it.
    Confirmed(Height),
    /// The block at that height spends a coin that it needs.
    Conflicted(Height),
    /// No block decided it yet.
    Open,
}

#[derive(Debug)]
struct Own {
    tx: Tx,
    fate: Fate,
    /// At so many offers it is left out before it is handed on again.
    wait: u32,
    /// At how many it was left out last, and that once more, to which it is doubled.
    gap: u32,
}

/// A payment is handed to all validators at every such offer at least.
const OFFERS_APART_MAX: u32 = 32;

/// Acknowledged payments by id. They stay until a block decided them long ago.
#[derive(Debug, Default)]
pub(super) struct Promises {
    list: BTreeMap<TxId, Own>,
    /// Who spends a coin; two may, if the second was promised when the first could not be found.
    spends: BTreeSet<(OutPoint, TxId)>,
    /// Whether [`Timer::Offer`](super::Timer::Offer) is set.
    pub(super) is_offered: bool,
}

impl Promises {
    pub(super) fn insert(&mut self, tx: Tx) {
        let id = tx.id();
        self.spends.extend(tx.inputs.iter().map(|input| (input.coin, id)));
        self.list.insert(id, Own { tx, fate: Fate::Open, wait: 0, gap: 0 });
    }

    pub(super) fn remove(&mut self, id: &TxId) {
        let Some(own) = self.list.remove(id) else { return };
        for input in &own.tx.inputs {
            self.spends.remove(&(input.coin, *id));
        }
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn contains(&self, id: &TxId) -> bool {
        self.list.contains_key(id)
    }

    pub(super) fn fate(&self, id: &TxId) -> Option<Fate> {
        self.list.get(id).map(|own| own.fate)
    }

    /// Those that no block decided.
    pub(super) fn open(&self) -> impl Iterator<Item = &Tx> + '_ {
        self.list.values().filter(|own| own.fate == Fate::Open).map(|own| &own.tx)
    }

    /// Those that no block decided and that are to be handed to all validators at this offer.
    pub(super) fn due(&mut self) -> Vec<Tx> {
        let open = self.list.values_mut().filter(|own| own.fate == Fate::Open);
        let due = open.filter_map(|own| {
            own.wait = own.wait.saturating_sub(1);
            (own.wait == 0).then(|| own.tx.clone())
        });
        due.collect()
    }

    /// These were handed to all validators: at the next offer, the second, the fourth, … they are once more, so that what waits for
    /// long does not fill the links on which it would be agreed on.
    pub(super) fn handed(&mut self, ids: &[TxId]) {
        for id in ids {
            if let Some(own) = self.list.get_mut(id) {
                own.gap = (2 * own.gap).clamp(1, OFFERS_APART_MAX);
                own.wait = own.gap;
            }
        }
    }

    /// All are handed on at the next offer: there is somebody new.
    pub(super) fn hurry(&mut self) {
        self.list.values_mut().for_each(|own| own.wait = 0);
    }

    /// Those that were decided at `height` or below.
    pub(super) fn decided_up_to(&self, height: Height) -> Vec<TxId> {
        let is_deep = |own: &Own| match own.fate {
            Fate::Confirmed(at) | Fate::Conflicted(at) => at <= height,
            Fate::Open => false,
        };
        self.list.iter().filter(|(_, own)| is_deep(own)).map(|(&id, _)| id).collect()
    }

    /// Notes what a newly connected block decides. `conflicted` are those that the mempool lost to it; a payment that
    /// is not in the mempool, as after a restart, is found by its coins.
    pub(super) fn decide(&mut self, block: &Block, conflicted: &[TxId]) {
        if self.list.is_empty() {
            return;
        }
        let height = block.height();
        let mut losers = conflicted.to_vec();
        for tx in block.payments() {
            let id = tx.id();
            if let Some(own) = self.list.get_mut(&id) {
                own.fate = Fate::Confirmed(height);
            }
            for input in &tx.inputs {
                losers.extend(self.spenders(input.coin).filter(|spender| *spender != id));
            }
        }
        while let Some(loser) = losers.pop() {
            let Some(own) = self.list.get_mut(&loser).filter(|own| own.fate == Fate::Open) else { continue };
            own.fate = Fate::Conflicted(height);
            let made: Vec<OutPoint> = own.tx.made().map(|(name, _)| name).collect();
            losers.extend(made.into_iter().flat_map(|coin| self.spenders(coin)));
        }
    }

    /// What a block decided that is taken back is open again.
    pub(super) fn reopen(&mut self, block: &Block) {
        let height = block.height();
        for own in self.list.values_mut() {
            if own.fate == Fate::Confirmed(height) || own.fate == Fate::Conflicted(height) {
                own.fate = Fate::Open;
            }
        }
    }

    fn spenders(&self, coin: OutPoint) -> impl Iterator<Item = TxId> + '_ {
        let (least, most) = (TxId(Bytes::ZERO), TxId(Bytes([u8::MAX; 32])));
        self.spends.range((coin, least)..=(coin, most)).map(|&(_, id)| id)
    }
}
