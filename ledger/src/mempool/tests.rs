//! The mempool: one script per rule, then random operations against its invariants and a naive choice of payments.

use alloc::vec;

use proptest::prelude::*;
use synod_machine::Reject;

use super::*;
use crate::testing::{address, block, chain, coin, connected, key, made, mined, output, pay, payment};
use crate::{Block, Signatures};

const WIDE: MempoolLimits =
    MempoolLimits { bytes_max: 1 << 20, payments_max: 1_000, ancestors_max: 25, conflicts_max: 10 };

fn pool() -> Mempool {
    Mempool::new(WIDE)
}

/// The `count` payments of a chain, each of which spends the change of the one before.
fn spend_in_a_row(rules: &Rules, state: &State, person: u8, count: usize) -> Vec<Tx> {
    let mut txs = vec![pay(rules, person, coin(state, person, 0), 5, 1, 1)];
    while let Some(last) = txs.last().filter(|_| txs.len() < count) {
        txs.push(pay(rules, person, made(last, 1, 1), 5, 1, 1));
    }
    txs
}

#[test]
fn the_first_seen_stays_and_the_second_is_evidence() {
    let (rules, state) = chain();
    let mut pool = pool();
    let spent = coin(&state, 1, 0);
    let first = pay(&rules, 1, spent, 2, 10, 1);
    let second = pay(&rules, 1, spent, 3, 10, 50);
    assert_eq!(pool.insert(&state, &rules, first.clone(), false), Ok(vec![]));
    let error = TxError::Conflict { coin: spent.0, kept: first.id() };
    for _ in 0..2 {
        assert_eq!(pool.insert(&state, &rules, second.clone(), true), Err(error), "whatever it pays");
    }
    assert_eq!(error.reason(), Reject::TxConflict);
    let evidence = Conflict { coin: spent.0, kept: first.id(), seen: second.clone() };
    assert_eq!(pool.conflicts().collect::<Vec<_>>(), [&evidence], "once");
    assert_eq!(pool.is_spent(&spent.0), Some(first.id()));
    assert!(pool.contains(&first.id()));
    assert!(!pool.contains(&second.id()));
    pool.check();
}

#[test]
fn what_its_owner_did_not_sign_is_no_evidence() {
    let (rules, state) = chain();
    let mut pool = pool();
    let spent = coin(&state, 1, 0);
    pool.insert(&state, &rules, pay(&rules, 1, spent, 2, 10, 1), false).expect("valid");
    let mut forged = (*pay(&rules, 1, spent, 3, 10, 1)).clone();
    forged.inputs[0].signature.0.0[0] ^= 1;
    let error = pool.insert(&state, &rules, Tx::from(forged), false).expect_err("forged");
    assert_eq!(error, TxError::Signature { input: 0 });
    let stolen = payment(&rules, 3, &[spent.0], &[output(3, 10)]);
    assert_eq!(pool.insert(&state, &rules, stolen, false).expect_err("stolen"), TxError::Key { input: 0 });
    assert_eq!(pool.conflicts().count(), 0);
}

/// The same payment as somebody else has it: nothing is known of its signatures.
fn fresh(tx: &Tx) -> Tx {
    Tx::from((**tx).clone())
}

#[test]
fn what_waits_here_vouches_for_the_same_payment_in_a_block_and_for_no_other() {
    let (rules, state) = chain();
    let mut pool = pool();
    let tx = pay(&rules, 1, coin(&state, 1, 0), 2, 10, 1);
    pool.insert(&state, &rules, tx.clone(), false).expect("valid");
    let mut forged = (*tx).clone();
    forged.inputs[0].signature.0.0[0] ^= 1;
    let stranger = pay(&rules, 3, coin(&state, 3, 0), 2, 10, 1);
    let in_block = [fresh(&tx), Tx::from(forged), fresh(&stranger)];
    assert_eq!(in_block[1].id(), tx.id(), "a signature is no part of the id");
    pool.vouch(&in_block);
    assert_eq!(in_block.each_ref().map(Tx::is_known_signed), [true, false, false]);
}

#[test]
fn payments_are_checked_ahead_together_where_they_would_be_taken() {
    let (rules, state) = chain();
    let pool = pool();
    let good = [1, 3].map(|person| fresh(&pay(&rules, person, coin(&state, person, 0), 2, 10, 1)));
    let missing = (OutPoint { index: 77, ..coin(&state, 1, 0).0 }, coin(&state, 1, 0).1);
    let poor = fresh(&pay(&rules, 1, missing, 2, 10, 1));
    pool.check_ahead(&state, &rules, &[good[0].clone(), poor.clone(), good[1].clone()]);
    assert!(good.iter().all(Tx::is_known_signed), "both are good");
    assert!(!poor.is_known_signed(), "its coin does not exist, so that nothing more of it is looked at");

    let mut forged = (*good[0]).clone();
    forged.inputs[0].signature.0.0[0] ^= 1;
    let forged = Tx::from(forged);
    pool.check_ahead(&state, &rules, &[forged.clone(), fresh(&good[1])]);
    assert!(!forged.is_known_signed(), "nobody signed it");
}

#[test]
fn the_oldest_evidence_goes_first() {
    let (rules, state) = chain();
    let mut pool = Mempool::new(MempoolLimits { conflicts_max: 2, ..WIDE });
    let spent = coin(&state, 1, 0);
    let txs: Vec<Tx> = (1..=4).map(|amount| pay(&rules, 1, spent, 2, amount, 1)).collect();
    for tx in &txs {
        let _ = pool.insert(&state, &rules, tx.clone(), false);
    }
    let seen: Vec<TxId> = pool.conflicts().map(|conflict| conflict.seen.id()).collect();
    assert_eq!(seen, [txs[2].id(), txs[3].id()]);
    let mut none = Mempool::new(MempoolLimits { conflicts_max: 0, ..WIDE });
    for tx in &txs {
        let _ = none.insert(&state, &rules, tx.clone(), false);
    }
    assert_eq!(none.conflicts().count(), 0);
    none.check();
}

#[test]
fn a_known_payment_is_left_as_it_is_but_may_be_pinned() {
    let (rules, state) = chain();
    let mut pool = pool();
    let tx = pay(&rules, 1, coin(&state, 1, 0), 2, 10, 3);
    pool.insert(&state, &rules, tx.clone(), false).expect("valid");
    assert!(!pool.is_pinned(&tx.id()));
    assert_eq!(pool.insert(&state, &rules, tx.clone(), true), Ok(vec![]));
    assert_eq!(pool.insert(&state, &rules, tx.clone(), false), Ok(vec![]));
    assert!(pool.is_pinned(&tx.id()), "and stays so");
    assert_eq!((pool.len(), pool.bytes(), pool.fee(&tx.id())), (1, tx.len(), Some(Amount(3))));
    assert_eq!(pool.get(&tx.id()), Some(&tx));
    pool.check();
}

#[test]
fn a_fee_below_the_minimum_is_not_taken() {
    let (mut rules, state) = chain();
    rules.params.fee_min = Amount(3);
    let mut pool = pool();
    let error = TxError::FeeTooLow { expected: Amount(3), got: Amount(2) };
    let low = pay(&rules, 1, coin(&state, 1, 0), 2, 10, 2);
    assert_eq!(pool.insert(&state, &rules, low, false), Err(error));
    assert_eq!(error.reason(), Reject::TxFeeTooLow);
    pool.insert(&state, &rules, pay(&rules, 1, coin(&state, 1, 0), 2, 10, 3), false).expect("enough");
}

#[test]
fn a_payment_may_depend_on_so_many_others_and_no_more() {
    let (rules, state) = chain();
    let mut pool = Mempool::new(MempoolLimits { ancestors_max: 2, ..WIDE });
    let txs = spend_in_a_row(&rules, &state, 1, 4);
    let error = pool.insert(&state, &rules, txs[1].clone(), false).expect_err("its parent is not here");
    assert_eq!(error, TxError::MissingCoin { coin: txs[1].inputs[0].coin });
    for tx in &txs[..3] {
        assert_eq!(pool.insert(&state, &rules, tx.clone(), false), Ok(vec![]));
    }
    let error = TxError::Ancestors { expected: 2, got: 3 };
    assert_eq!(pool.insert(&state, &rules, txs[3].clone(), false), Err(error));
    assert_eq!(error.reason(), Reject::TooMany);
    pool.check();
    // A confirmed payment no longer counts.
    let block = block(&rules, &state, 4, 50, vec![txs[0].clone()]);
    let after = connected(&rules, &state, &block);
    assert_eq!(pool.connected(&block), Connected { confirmed: vec![txs[0].id()], conflicted: vec![] });
    assert_eq!(pool.insert(&after, &rules, txs[3].clone(), false), Ok(vec![]));
    pool.check();
}

#[test]
fn a_full_pool_evicts_the_lowest_rate_with_what_depends_on_it() {
    let (rules, state) = chain();
    let mut pool = Mempool::new(MempoolLimits { payments_max: 3, ..WIDE });
    let parent = pay(&rules, 1, coin(&state, 1, 0), 2, 10, 2);
    let child = pay(&rules, 1, made(&parent, 1, 1), 2, 10, 9);
    let other = pay(&rules, 2, coin(&state, 2, 0), 2, 10, 5);
    for tx in [&parent, &child, &other] {
        assert_eq!(pool.insert(&state, &rules, tx.clone(), false), Ok(vec![]));
    }
    let worse = pay(&rules, 3, coin(&state, 3, 0), 2, 10, 1);
    let error = TxError::Full { got: Amount(1), bytes: worse.len() };
    assert_eq!(pool.insert(&state, &rules, worse, false), Err(error));
    assert_eq!(error.reason(), Reject::TxPoolFull);
    let better = pay(&rules, 3, coin(&state, 3, 0), 2, 10, 3);
    assert_eq!(pool.insert(&state, &rules, better.clone(), false), Ok(vec![parent.id(), child.id()]));
    assert_eq!(pool.ids().collect::<Vec<_>>(), [other.id(), better.id()]);
    pool.check();
}

#[test]
fn bytes_are_bounded_to_the_byte() {
    let (rules, state) = chain();
    let [first, second] = [1, 2].map(|person| pay(&rules, person, coin(&state, person, 0), 4, 10, u64::from(person)));
    let both = first.len() + second.len();
    for (bytes_max, evicted) in [(both, vec![]), (both - 1, vec![first.id()])] {
        let mut pool = Mempool::new(MempoolLimits { bytes_max, ..WIDE });
        pool.insert(&state, &rules, first.clone(), false).expect("valid");
        assert_eq!(pool.insert(&state, &rules, second.clone(), false), Ok(evicted));
        pool.check();
    }
}

#[test]
fn pinned_payments_and_what_they_depend_on_are_never_evicted() {
    let (rules, state) = chain();
    let mut pool = Mempool::new(MempoolLimits { payments_max: 2, ..WIDE });
    let parent = pay(&rules, 1, coin(&state, 1, 0), 2, 10, 1);
    let child = pay(&rules, 1, made(&parent, 1, 1), 2, 10, 1);
    pool.insert(&state, &rules, parent.clone(), false).expect("valid");
    pool.insert(&state, &rules, child.clone(), true).expect("valid");
    let better = pay(&rules, 3, coin(&state, 3, 0), 2, 10, 60);
    let error = TxError::Full { got: Amount(60), bytes: better.len() };
    assert_eq!(pool.insert(&state, &rules, better.clone(), true), Err(error));
    pool.check();
    // The parent of a pinned payment is held only as long as that one is here.
    let rival = pay(&rules, 1, made(&parent, 1, 1), 3, 10, 1);
    let block = block(&rules, &state, 4, 50, vec![parent, rival]);
    let after = connected(&rules, &state, &block);
    assert_eq!(pool.connected(&block).conflicted, [child.id()]);
    assert_eq!(pool.insert(&after, &rules, better, false), Ok(vec![]));
    pool.check();
}

#[test]
fn a_child_does_not_evict_its_own_parent() {
    let (rules, state) = chain();
    let mut pool = Mempool::new(MempoolLimits { payments_max: 2, ..WIDE });
    let parent = pay(&rules, 1, coin(&state, 1, 0), 2, 10, 1);
    let other = pay(&rules, 2, coin(&state, 2, 0), 2, 10, 5);
    let child = pay(&rules, 1, made(&parent, 1, 1), 2, 10, 9);
    pool.insert(&state, &rules, parent.clone(), false).expect("valid");
    pool.insert(&state, &rules, other.clone(), false).expect("valid");
    assert_eq!(pool.insert(&state, &rules, child, false), Ok(vec![other.id()]));
    assert!(pool.contains(&parent.id()));
    pool.check();
}

#[test]
fn a_block_confirms_some_and_conflicts_with_others() {
    let (rules, state) = chain();
    let mut pool = pool();
    let ours = pay(&rules, 1, coin(&state, 1, 0), 2, 10, 1);
    let child = pay(&rules, 1, made(&ours, 1, 1), 2, 10, 1);
    let kept = pay(&rules, 2, coin(&state, 2, 0), 2, 10, 1);
    let kept_child = pay(&rules, 2, made(&kept, 1, 1), 2, 10, 1);
    for tx in [&ours, &child, &kept, &kept_child] {
        pool.insert(&state, &rules, tx.clone(), true).expect("valid");
    }
    let theirs = pay(&rules, 1, coin(&state, 1, 0), 3, 10, 1);
    let block = block(&rules, &state, 4, 50, vec![theirs.clone(), kept.clone()]);
    let result = pool.connected(&block);
    assert_eq!(result, Connected { confirmed: vec![kept.id()], conflicted: vec![ours.id(), child.id()] });
    assert_eq!(pool.ids().collect::<Vec<_>>(), [kept_child.id()]);
    let evidence = Conflict { coin: ours.inputs[0].coin, kept: theirs.id(), seen: ours };
    assert_eq!(pool.conflicts().collect::<Vec<_>>(), [&evidence]);
    pool.check();
}

#[test]
fn after_a_reorganisation_the_old_payments_wait_again() {
    let (rules, state) = chain();
    let mut pool = pool();
    let parent = pay(&rules, 1, coin(&state, 1, 0), 2, 10, 1);
    let child = pay(&rules, 1, made(&parent, 1, 1), 2, 10, 1);
    let lost = pay(&rules, 2, coin(&state, 2, 0), 2, 10, 1);
    pool.insert(&state, &rules, parent.clone(), true).expect("valid");
    pool.insert(&state, &rules, child.clone(), false).expect("valid");
    let old = block(&rules, &state, 4, 50, vec![parent.clone(), lost.clone()]);
    let after_old = connected(&rules, &state, &old);
    pool.connected(&old);
    let later = pay(&rules, 2, made(&lost, 1, 1), 3, 10, 1);
    pool.insert(&after_old, &rules, later.clone(), true).expect("valid");
    // The new chain spends the same coin otherwise.
    let rival = pay(&rules, 2, coin(&state, 2, 0), 3, 10, 1);
    let new = block(&rules, &state, 3, 50, vec![rival]);
    let after_new = connected(&rules, &state, &new);
    pool.connected(&new);
    let result = pool.revalidate(&after_new, &rules, old.payments().to_vec(), |id| *id == parent.id());
    assert_eq!(result, Revalidated { returned: vec![parent.id()], dropped: vec![later.id()] });
    assert!(pool.is_pinned(&parent.id()));
    assert_eq!(pool.len(), 2, "the child stayed and found its parent again");
    pool.check();
    let next = block(&rules, &after_new, 4, 50, pool.select(1 << 20));
    connected(&rules, &after_new, &next);
}

#[test]
fn a_child_of_a_vanished_or_no_longer_mature_coinbase_goes() {
    let (rules, state) = chain();
    let mut pool = pool();
    let mature = mined(&rules, &state, 9, 3);
    let spend = pay(&rules, 9, coin_at(&mature, 9, 1), 1, 20, 1);
    let child = pay(&rules, 9, made(&spend, 1, 4), 1, 10, 1);
    pool.insert(&mature, &rules, spend.clone(), true).expect("mature at height 4");
    pool.insert(&mature, &rules, child.clone(), false).expect("valid");
    let kept = pool.clone();
    // Back by one block the same coinbase is there but too young.
    let result = pool.revalidate(&mined(&rules, &state, 9, 2), &rules, vec![], |_| false);
    assert_eq!(result, Revalidated { returned: vec![], dropped: vec![spend.id(), child.id()] });
    assert!(pool.is_empty());
    pool.check();
    pool = kept;
    let result = pool.revalidate(&mined(&rules, &state, 8, 5), &rules, vec![], |_| false);
    assert_eq!(result.dropped, [spend.id(), child.id()], "another chain has other coinbases");
    pool.check();
}

/// The coinbase of `person` at `height`.
fn coin_at(state: &State, person: u8, height: u64) -> (OutPoint, Coin) {
    let coins = state.coins_of(&address(person));
    *coins.iter().find(|(_, coin)| coin.height == Height(height)).expect("that person made the block")
}

#[test]
fn what_returns_is_bounded_except_what_is_pinned() {
    let (rules, state) = chain();
    let txs: Vec<Tx> = (0..4).map(|n| pay(&rules, 1, coin(&state, 1, n), 2, 10, 1 + n as u64)).collect();
    let limits = MempoolLimits { payments_max: 2, ancestors_max: 1, ..WIDE };
    let mut pool = Mempool::new(limits);
    pool.insert(&state, &rules, pay(&rules, 2, coin(&state, 2, 0), 2, 10, 1), false).expect("valid");
    let result = pool.revalidate(&state, &rules, txs.clone(), |id| *id == txs[0].id());
    assert!(result.returned.contains(&txs[0].id()), "pinned");
    assert!(result.returned.contains(&txs[3].id()), "best");
    assert_eq!((result.returned.len(), result.dropped.len(), pool.len()), (2, 1, 2));
    pool.check();
    // A longer row than may be inserted comes back whole.
    let row = spend_in_a_row(&rules, &state, 3, 5);
    let result = pool.revalidate(&state, &rules, row.clone(), |id| *id == row[4].id());
    assert_eq!(result.returned.len(), 5);
    pool.check();
}

#[test]
fn the_best_rates_are_chosen_and_parents_come_before_children() {
    let (rules, state) = chain();
    let mut pool = pool();
    let parent = pay(&rules, 1, coin(&state, 1, 0), 2, 10, 1);
    let child = pay(&rules, 1, made(&parent, 1, 1), 2, 10, 30);
    let grandchild = pay(&rules, 1, made(&child, 1, 1), 2, 5, 40);
    let middle = pay(&rules, 2, coin(&state, 2, 0), 2, 10, 20);
    let equal = pay(&rules, 3, coin(&state, 3, 0), 2, 10, 20);
    let last = pay(&rules, 4, coin(&state, 4, 0), 2, 80, 1);
    for tx in [&parent, &child, &grandchild, &middle, &equal, &last] {
        pool.insert(&state, &rules, tx.clone(), false).expect("valid");
    }
    let expected = [&middle, &equal, &parent, &child, &grandchild, &last].map(Tx::id);
    assert_eq!(pool.select(1 << 20).iter().map(Tx::id).collect::<Vec<_>>(), expected);
    let bytes = middle.len() + equal.len();
    assert_eq!(pool.select(bytes), [middle.clone(), equal]);
    assert_eq!(pool.select(bytes - 1), core::slice::from_ref(&middle));
    assert_eq!(pool.select(middle.len() - 1), []);
    let all: Vec<TxId> = pool.iter().map(Tx::id).collect();
    assert_eq!(all, pool.ids().collect::<Vec<_>>());
    assert_eq!(all[..2], [grandchild.id(), child.id()], "the fee order does not mind parents");
}

#[test]
fn coins_that_wait_can_be_looked_up() {
    let (rules, state) = chain();
    let mut pool = pool();
    let tx = pay(&rules, 1, coin(&state, 1, 0), 2, 10, 1);
    pool.insert(&state, &rules, tx.clone(), false).expect("valid");
    let (name, expected) = made(&tx, 0, 1);
    assert_eq!(pool.over(&state).coin(&name), Some(expected));
    assert_eq!(pool.over(&state).coin(&OutPoint { index: 2, ..name }), None);
    assert_eq!(state.coin(&name), None);
}

/// The choice that [`Mempool::select`] must make, spelled out: look at everything again after each payment.
fn naive_choice(pool: &Mempool, bytes_max: usize) -> Vec<TxId> {
    let (mut chosen, mut passed, mut bytes) = (Vec::new(), Vec::new(), 0);
    loop {
        let available = pool.ids().find(|id| {
            let parents = &pool.entry(id).parents;
            !chosen.contains(id) && !passed.contains(id) && parents.iter().all(|parent| chosen.contains(parent))
        });
        let Some(id) = available else { return chosen };
        if bytes + pool.entry(&id).tx.len() > bytes_max {
            passed.push(id);
        } else {
            bytes += pool.entry(&id).tx.len();
            chosen.push(id);
        }
    }
}

/// One random step of a peer.
#[derive(Clone, Debug)]
enum Step {
    Mine { bytes: usize },
    Reorganise { blocks: usize, bytes: usize },
    Pay { person: u8, pick: u16, to: u8, fee: u8, pinned: bool },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let pay = (1_u8..5, any::<u16>(), 1_u8..5, 1_u8..20, prop::bool::weighted(0.1));
    let step = prop_oneof![
        8 => pay.prop_map(|(person, pick, to, fee, pinned)| Step::Pay { person, pick, to, fee, pinned }),
        1 => (0_usize..2_000).prop_map(|bytes| Step::Mine { bytes }),
        1 => (1_usize..3, 0_usize..2_000).prop_map(|(blocks, bytes)| Step::Reorganise { blocks, bytes }),
    ];
    prop::collection::vec(step, 1..60)
}

/// A peer with a chain, so that it can be undone.
struct Peer {
    rules: Rules,
    pool: Mempool,
    states: Vec<State>,
    blocks: Vec<Block>,
    pinned: BTreeSet<TxId>,
    maker: u8,
}

impl Peer {
    fn state(&self) -> &State {
        self.states.last().expect("the genesis's state")
    }

    fn pay(&mut self, person: u8, pick: u16, to: u8, fee: u8, pinned: bool) {
        let state = self.state().clone();
        let mut coins = state.coins_of(&address(person));
        let waiting = self.pool.iter().flat_map(Tx::made).filter(|(_, output)| output.to == address(person));
        let height = state.height().next();
        coins.extend(waiting.map(|(name, output)| (name, Coin { output, height, coinbase: false })));
        if coins.is_empty() {
            return;
        }
        let (name, coin) = coins[usize::from(pick) % coins.len()];
        let owner = key(person);
        let amount = Amount(coin.output.amount.0 / 3 + 1);
        let builder = crate::PaymentBuilder::new(self.rules.chain).spend(name, coin, &owner);
        let Ok(tx) = builder.pay(address(to), amount).fee(Amount(u64::from(fee))).build(owner.address()) else {
            return;
        };
        let before = self.pool.len();
        match self.pool.insert(&state, &self.rules, tx.clone(), pinned) {
            Ok(evicted) => {
                assert!(evicted.iter().all(|id| !self.pinned.contains(id)), "pinned payments stay");
                self.pinned.extend(Some(tx.id()).filter(|_| pinned));
            }
            Err(_) => assert_eq!(self.pool.len(), before, "a refused payment changes nothing"),
        }
    }

    fn mine(&mut self, bytes: usize) {
        let payments = self.pool.select(bytes);
        assert_eq!(payments.iter().map(Tx::id).collect::<Vec<_>>(), naive_choice(&self.pool, bytes));
        self.maker = 5 + (self.maker + 1) % 200;
        let block = block(&self.rules, self.state(), self.maker, 0, payments);
        let verdict = block.connect(self.state(), &self.rules, Signatures::Check);
        self.states.push(verdict.expect("what the pool offers is valid").state.clone());
        let result = self.pool.connected(&block);
        assert_eq!(result.confirmed.len(), block.payments().len());
        assert_eq!(result.conflicted, []);
        self.blocks.push(block);
    }

    fn reorganise(&mut self, blocks: usize, bytes: usize) {
        let keep = self.blocks.len().saturating_sub(blocks);
        let undone = self.blocks.split_off(keep);
        self.states.truncate(keep + 1);
        let returned: Vec<Tx> = undone.iter().flat_map(|block| block.payments().to_vec()).collect();
        let all: BTreeSet<TxId> = self.pool.ids().chain(returned.iter().map(Tx::id)).collect();
        let state = self.state().clone();
        let result = self.pool.revalidate(&state, &self.rules, returned, |id| self.pinned.contains(id));
        let lost = all.iter().filter(|id| self.pinned.contains(*id) && !self.pool.contains(id));
        assert_eq!(lost.count(), 0, "with no other chain in their place all that is pinned waits again");
        assert!(result.dropped.iter().all(|id| !self.pool.contains(id)));
        assert!(result.returned.iter().all(|id| self.pool.contains(id)));
        self.mine(bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_happens_the_pool_offers_valid_blocks_and_keeps_its_invariants(steps in steps(), payments_max in 3_usize..40) {
        let (rules, genesis) = chain();
        let limits = MempoolLimits { payments_max, ancestors_max: 5, bytes_max: 6_000, conflicts_max: 3 };
        let (pinned, blocks) = (BTreeSet::new(), Vec::new());
        let mut peer = Peer { rules, pool: Mempool::new(limits), states: vec![genesis], blocks, pinned, maker: 0 };
        for step in steps {
            match step {
                Step::Mine { bytes } => peer.mine(bytes),
                Step::Reorganise { blocks, bytes } => peer.reorganise(blocks, bytes),
                Step::Pay { person, pick, to, fee, pinned } => peer.pay(person, pick, to, fee, pinned),
            }
            peer.pool.check();
            let held = peer.pool.entries.values().filter(|entry| entry.held).count();
            prop_assert!(peer.pool.len() <= payments_max.max(held));
        }
    }
}
