//! Stakes in the state: what counts when, what is lost, every mistake, and all of it against a slow, obvious model.

use alloc::collections::BTreeMap;
use alloc::vec;

use proptest::prelude::*;
use synod_machine::{Bytes, Reject, Time};

use super::super::*;
use crate::testing::{
    address, coin, evidence, key, made, output, pay, payment, stake_block, stake_genesis, stake_header,
};
use crate::{
    ChainId, Coinbase, Engine, Evidence, EvidenceError, Header, PosParams, Seal, Signature, Tx, TxError, check_payment,
};

fn chain() -> (Rules, State) {
    chain_with(|_| {})
}

fn chain_with(change: impl FnOnce(&mut PosParams)) -> (Rules, State) {
    let mut genesis = stake_genesis();
    let Engine::Pos(params) = &mut genesis.engine else { panic!("a chain of stakes") };
    change(params);
    genesis.check().expect("a chain can start like this");
    (genesis.rules(), State::genesis(&genesis))
}

fn after(rules: &Rules, state: &State, block: &Block) -> State {
    let (after, undo) = state.connect(rules, block, Signatures::Check).expect("the block connects");
    assert_eq!(after.audit(), after.supply());
    assert_eq!(after.disconnect(block, &undo), *state);
    after
}

fn error_of(rules: &Rules, state: &State, block: &Block) -> BlockError {
    state.connect(rules, block, Signatures::Check).expect_err("the block does not connect")
}

/// So many blocks by the first person with nothing in them.
fn idle(rules: &Rules, state: &State, count: usize) -> State {
    (0..count).fold(state.clone(), |state, _| after(rules, &state, &stake_block(rules, &state, 1, 0, vec![], vec![])))
}

fn with(rules: &Rules, state: &State, payments: Vec<Tx>) -> State {
    after(rules, state, &stake_block(rules, state, 1, 0, payments, vec![]))
}

fn punished(rules: &Rules, state: &State, evidence: Vec<Evidence>) -> State {
    after(rules, state, &stake_block(rules, state, 1, 0, vec![], evidence))
}

fn stake(to: u8, amount: u64) -> Output {
    Output::stake(Amount(amount), address(to))
}

fn unbonding(to: u8, amount: u64) -> Output {
    Output::unbonding(Amount(amount), address(to))
}

/// The name of a person's first coin of that kind.
fn first(state: &State, person: u8, kind: OutputKind) -> OutPoint {
    let coins = state.coins_of(&address(person));
    coins.iter().find(|(_, coin)| coin.output.kind == kind).expect("there is one").0
}

fn stake_coin(state: &State, person: u8) -> OutPoint {
    first(state, person, OutputKind::Stake)
}

fn money(state: &State, person: u8) -> OutPoint {
    first(state, person, OutputKind::Plain)
}

fn staked(state: &State, person: u8) -> (u64, u64) {
    (state.stake_of(&address(person)).0, state.recorded_stake(&address(person)).0)
}

#[test]
fn a_genesis_gives_out_stakes_that_count_at_once() {
    let (_, state) = chain();
    assert_eq!([1, 2, 3, 4].map(|person| staked(&state, person)), [(400, 400), (400, 400), (400, 400), (0, 0)]);
    assert_eq!((state.supply(), state.audit(), state.stake_total()), (Amount(4_000), Amount(4_000), Amount(1_200)));
    assert_eq!(state.coin_count(), 43, "a stake and ten coins for each of three, ten for the fourth");
    assert_eq!(state.stakes().len(), 3);
    assert_eq!(state.loss_of(&address(1)), None);
}

#[test]
fn only_a_stake_that_won_the_second_makes_a_block() {
    let (rules, state) = chain();
    after(&rules, &state, &stake_block(&rules, &state, 2, 50, vec![], vec![]));
    let unstaked = stake_block(&rules, &state, 4, 50, vec![], vec![]);
    let error = BlockError::Stake { difficulty: 1, got: Amount::ZERO };
    assert_eq!(error_of(&rules, &state, &unstaked), error);
    assert_eq!(error.reason(), Reject::BlockStake);
    let worked = crate::testing::block(&rules, &state, 1, 50, vec![]);
    assert_eq!(error_of(&rules, &state, &worked), BlockError::Stake { difficulty: 0, got: Amount::ZERO });
    // At this difficulty the stake of 400 wins every fourth second or so.
    let coinbase = Coinbase { chain: rules.chain, height: Height(1), extra: 0, outputs: vec![] };
    let wins = |second| {
        let seal = Seal::Stake { key: key(1).public(), difficulty: 1_600, signature: Signature::NONE };
        let (time, root) = (Time::from_secs(second), Block::root_of(&coinbase, &[]));
        let header = Header { time, root, seal, ..stake_header(&rules, &state, 1) }.signed(&key(1));
        let draw = crate::kernel(&state.tip(), &address(1), second);
        let block = Block::new(header, coinbase.clone(), vec![]);
        let result = state.connect(&rules, &block, Signatures::Check);
        assert_eq!(result.is_ok(), draw <= crate::U256::from(1) << 254);
        result.is_ok()
    };
    let won = (1..=100).filter(|&second| wins(second)).count();
    assert!((15..36).contains(&won), "{won} of 100");
}

#[test]
fn a_stake_counts_when_it_is_deep_enough_and_only_while_it_is_locked() {
    let (rules, state) = chain();
    let lock = payment(&rules, 4, &[money(&state, 4)], &[stake(4, 60), output(4, 40)]);
    let locked = with(&rules, &state, vec![lock]);
    assert_eq!(staked(&locked, 4), (60, 0));
    let next = idle(&rules, &locked, 1);
    assert_eq!(staked(&next, 4), (60, 0));
    let deep = idle(&rules, &next, 1);
    assert_eq!(staked(&deep, 4), (60, 60), "two blocks below the tip");
    after(&rules, &deep, &stake_block(&rules, &deep, 4, 0, vec![], vec![]));
    let unlock = payment(&rules, 4, &[stake_coin(&deep, 4)], &[unbonding(4, 60)]);
    let unlocked = with(&rules, &deep, vec![unlock]);
    assert_eq!(staked(&unlocked, 4), (0, 0), "at once");
    let partly = payment(&rules, 4, &[stake_coin(&deep, 4)], &[unbonding(4, 45), stake(4, 15)]);
    assert_eq!(staked(&with(&rules, &deep, vec![partly]), 4), (15, 15));
}

#[test]
fn a_state_bounds_the_stakes_of_blocks_above_and_below_it_and_is_silent_of_those_far_off() {
    let (rules, state) = chain();
    let lock = payment(&rules, 4, &[money(&state, 4)], &[stake(4, 60), output(4, 40)]);
    let locked = with(&rules, &state, vec![lock]);
    let later = idle(&rules, &idle(&rules, &locked, 1), 1);
    let unlock = payment(&rules, 4, &[stake_coin(&later, 4)], &[unbonding(4, 45), stake(4, 15)]);
    let unlocked = with(&rules, &later, vec![unlock]);
    let last = idle(&rules, &idle(&rules, &unlocked, 1), 1);
    let mut chain = vec![last];
    for _ in 0..6 {
        // Back again, block by block, as a reorganisation goes.
        let before = [&state, &locked, &idle(&rules, &locked, 1), &later, &unlocked, &idle(&rules, &unlocked, 1)];
        let at = chain[chain.len() - 1].height().0 as usize - 1;
        chain.push(before[at].clone());
    }
    chain.reverse();
    let bound = |at: usize, shared: usize, parent: usize| {
        let bound = chain[at].stake_bound(&address(4), Height(shared as u64), Height(parent as u64));
        bound.map(|amount| amount.0)
    };
    for at in 0..chain.len() {
        let recorded = |parent: usize| chain[parent].recorded_stake(&address(4)).0;
        assert_eq!(bound(at, at, at), Some(recorded(at)), "of the next block it knows all");
        for parent in 0..chain.len() {
            let shared = parent.min(at);
            match bound(at, shared, parent) {
                Some(most) => assert!(most >= recorded(parent), "{most} at {at} for {parent}"),
                // Stakes are read two blocks below the parent, and kept for as long.
                None => assert!(parent > at + 2 || parent + 2 < at, "nothing at {at} for {parent}"),
            }
        }
    }
    assert_eq!(bound(3, 3, 5), Some(60), "that of the last block here, whatever comes above");
    assert_eq!(bound(6, 2, 5), None, "of a branch that parted too long ago");
    assert_eq!(chain[3].stake_bound(&address(9), Height(3), Height(4)), Some(Amount::ZERO), "a stranger");
    let worked = crate::testing::chain().1;
    assert_eq!(worked.stake_bound(&address(1), Height(0), Height(0)), None, "a chain without stakes");
}

#[test]
fn an_unlocked_stake_is_money_after_the_unbonding_time() {
    let (rules, state) = chain();
    let unlock = payment(&rules, 2, &[stake_coin(&state, 2)], &[unbonding(2, 400)]);
    let state = with(&rules, &state, vec![unlock.clone()]);
    let name = made(&unlock, 0, 1).0;
    let spend = payment(&rules, 2, &[name], &[output(3, 390)]);
    // Made at height 1, free from height 5 on.
    for height in 2..5 {
        let at = idle(&rules, &state, height - 2);
        let error = TxError::Immature { coin: name, expected: Height(5), got: Height(height as u64) };
        assert_eq!(check_payment(&at, &rules, &spend, Height(height as u64)), Err(error));
    }
    let free = idle(&rules, &state, 3);
    assert_eq!(check_payment(&free, &rules, &spend, Height(5)), Ok(Amount(10)));
    with(&rules, &free, vec![spend]);
}

#[test]
fn every_mistake_with_stake_has_its_error() {
    let (rules, state) = chain();
    let (locked, free) = (stake_coin(&state, 1), money(&state, 1));
    let pay = |inputs: &[OutPoint], outputs: &[Output]| payment(&rules, 1, inputs, outputs);
    let mut shared = (*pay(&[locked, money(&state, 2)], &[unbonding(1, 400), output(1, 90)])).clone();
    shared.inputs[1].key = key(2).public();
    let id = shared.digest();
    shared.inputs[0].signature = key(1).sign(id.0.as_slice());
    shared.inputs[1].signature = key(2).sign(id.0.as_slice());
    let table: Vec<(Tx, TxError)> = vec![
        (pay(&[locked], &[output(1, 400)]), TxError::StakeSpent { expected: Amount(400), got: Amount(0) }),
        (pay(&[locked], &[unbonding(1, 399)]), TxError::StakeSpent { expected: Amount(400), got: Amount(399) }),
        (
            pay(&[locked, free], &[unbonding(1, 200), stake(1, 199), output(1, 100)]),
            TxError::StakeSpent { expected: Amount(400), got: Amount(399) },
        ),
        (pay(&[free], &[unbonding(1, 1)]), TxError::StakeUnlock { expected: Amount(0), got: Amount(1) }),
        (pay(&[locked, free], &[unbonding(1, 401)]), TxError::StakeUnlock { expected: Amount(400), got: Amount(401) }),
        (pay(&[free], &[output(2, 1), stake(2, 50)]), TxError::StakeForeign { output: 1 }),
        (pay(&[locked], &[unbonding(2, 400)]), TxError::StakeForeign { output: 0 }),
        (Tx::from(shared), TxError::StakeShared { input: 1 }),
        (pay(&[free], &[stake(1, Amount::MAX.0), stake(1, 1)]), TxError::AmountOverflow),
    ];
    for (tx, error) in table {
        assert_eq!(check_payment(&state, &rules, &tx, Height(1)), Err(error));
        assert!(matches!(error.reason(), Reject::TxStake | Reject::TxAmountOverflow), "{error}");
        let block = stake_block(&rules, &state, 1, 0, vec![tx], vec![]);
        assert_eq!(error_of(&rules, &state, &block), BlockError::Payment { index: 0, error });
    }
    let fine = pay(&[locked, free], &[unbonding(1, 100), stake(1, 320), output(9, 35)]);
    assert_eq!(check_payment(&state, &rules, &fine, Height(1)), Ok(Amount(5)));
}

#[test]
fn a_chain_of_work_knows_no_stake_and_no_evidence() {
    let (rules, state) = crate::testing::chain();
    let (name, _) = coin(&state, 1, 0);
    for output in [stake(1, 5), unbonding(1, 5)] {
        let error = TxError::StakeUnknown { output: 1 };
        let tx = payment(&rules, 1, &[name], &[crate::testing::output(2, 1), output]);
        assert_eq!(check_payment(&state, &rules, &tx, Height(1)), Err(error));
        assert_eq!(error.reason(), Reject::TxStake);
    }
    let block = stake_block(&rules, &state, 1, 0, vec![], vec![evidence(&rules, &state, 1, 1, 0)]);
    let error = BlockError::Evidence { index: 0, error: EvidenceError::Off };
    assert_eq!(error_of(&rules, &state, &block), error);
    assert_eq!(error.reason(), Reject::BlockEvidenceOff);
    assert_eq!((staked(&state, 1), state.stake_total()), ((0, 0), Amount::ZERO));
}

#[test]
fn a_coinbase_makes_no_stake() {
    let (rules, state) = chain();
    let coinbase =
        Coinbase { chain: rules.chain, height: Height(1), extra: 0, outputs: vec![output(1, 1), stake(1, 1)] };
    let header = Header { root: Block::root_of(&coinbase, &[]), ..stake_header(&rules, &state, 1) };
    let error = BlockError::CoinbaseStake { output: 1 };
    assert_eq!(error_of(&rules, &state, &Block::new(header, coinbase, vec![])), error);
    assert_eq!(error.reason(), Reject::BlockCoinbase);
}

#[test]
fn evidence_takes_all_stake_pays_the_finder_and_burns_the_rest() {
    let (rules, state) = chain();
    let partly = payment(&rules, 2, &[stake_coin(&state, 2)], &[unbonding(2, 100), stake(2, 300)]);
    let state = with(&rules, &state, vec![partly]);
    let before = state.coins_of(&address(2)).len();
    let proof = evidence(&rules, &state, 2, 2, 0);
    assert_eq!(state.check_evidence(&rules, &proof), Ok(Amount(400)));
    assert_eq!(state.usable_evidence(&rules, [&proof, &proof]), (vec![proof.clone()], Amount(100)));
    // A quarter on top of the subsidy of 50, and not a unit more.
    let greedy = stake_block(&rules, &state, 1, 151, vec![], vec![proof.clone()]);
    let error = BlockError::Subsidy { expected: Amount(150), got: Amount(151) };
    assert_eq!(error_of(&rules, &state, &greedy), error);
    let punished = after(&rules, &state, &stake_block(&rules, &state, 1, 150, vec![], vec![proof.clone()]));
    assert_eq!(punished.supply(), Amount(4_000 - 400 + 150));
    assert_eq!(staked(&punished, 2), (0, 0));
    assert_eq!(punished.coins_of(&address(2)).len(), before - 2, "stake and unbonding are gone, money is not");
    assert_eq!(punished.loss_of(&address(2)), Some(Height(2)));
    assert_eq!(punished.coin(&stake_coin(&state, 2)), None);
    let spend = payment(&rules, 2, &[stake_coin(&state, 2)], &[stake(2, 300)]);
    let missing = TxError::MissingCoin { coin: stake_coin(&state, 2) };
    assert_eq!(check_payment(&punished, &rules, &spend, Height(3)), Err(missing));
    let used = EvidenceError::Used { got: Height(2) };
    assert_eq!(punished.check_evidence(&rules, &proof), Err(used));
    assert_eq!(
        error_of(&rules, &punished, &stake_block(&rules, &punished, 2, 0, vec![], vec![])),
        BlockError::Stake { difficulty: 1, got: Amount::ZERO }
    );
}

#[test]
fn what_a_payment_of_the_same_block_locks_or_unlocks_is_lost_too() {
    let (rules, state) = chain();
    let unlock = payment(&rules, 2, &[stake_coin(&state, 2)], &[unbonding(2, 400)]);
    let lock = payment(&rules, 2, &[money(&state, 2)], &[stake(2, 60)]);
    let proof = evidence(&rules, &state, 2, 1, 0);
    let block = stake_block(&rules, &state, 1, 0, vec![unlock, lock], vec![proof]);
    let punished = after(&rules, &state, &block);
    assert_eq!(staked(&punished, 2), (0, 0));
    assert_eq!(punished.supply(), Amount(4_000 - 460));
}

#[test]
fn an_unlocked_stake_can_be_lost_until_it_is_money() {
    let (rules, state) = chain();
    let unlock = payment(&rules, 2, &[stake_coin(&state, 2)], &[unbonding(2, 400)]);
    let state = with(&rules, &state, vec![unlock]);
    for waited in 0..3 {
        let at = idle(&rules, &state, waited);
        assert_eq!(at.check_evidence(&rules, &evidence(&rules, &at, 2, 1, 0)), Ok(Amount(400)), "{waited}");
        assert_eq!(punished(&rules, &at, vec![evidence(&rules, &at, 2, 1, 0)]).supply(), Amount(3_600));
    }
    let free = idle(&rules, &state, 3);
    let proof = evidence(&rules, &free, 2, 1, 0);
    assert_eq!(free.check_evidence(&rules, &proof), Err(EvidenceError::NoStake));
}

#[test]
fn every_mistake_with_evidence_has_its_error() {
    let (rules, state) = chain();
    let state = idle(&rules, &state, 3);
    let good = |person, salt| evidence(&rules, &state, person, 4, salt);
    let connect = |evidence| error_of(&rules, &state, &stake_block(&rules, &state, 1, 0, vec![], evidence));
    let at = |height| evidence(&rules, &state, 2, height, 0);
    let mut unsigned = good(2, 0);
    if let Seal::Stake { signature, .. } = &mut unsigned.second.seal {
        *signature = Signature::NONE;
    }
    let got = ChainId(Bytes([9; 8]));
    let mut foreign = good(2, 0);
    foreign.first.chain = got;
    let backwards = Evidence { first: good(2, 0).second, second: good(2, 0).first };
    let table = vec![
        (vec![foreign], 0, EvidenceError::Chain { expected: rules.chain, got }),
        (vec![at(5)], 0, EvidenceError::Early { expected: Height(4), got: Height(5) }),
        (vec![good(1, 0), backwards], 1, EvidenceError::Form),
        (vec![good(3, 0), good(4, 0)], 1, EvidenceError::NoStake),
        (vec![unsigned], 0, EvidenceError::Signature),
        (vec![good(2, 0), good(2, 1)], 1, EvidenceError::Used { got: Height(4) }),
    ];
    for (evidence, index, error) in table {
        assert_eq!(connect(evidence), BlockError::Evidence { index, error });
        assert_eq!(error.reason(), Reject::BlockEvidence);
    }
    let many = (0..5).map(|salt| good(2, salt)).collect();
    assert_eq!(connect(many), BlockError::EvidenceCount { expected: 4, got: 5 });
    // Four blocks later the evidence is as old as a stake may be locked.
    let old = idle(&rules, &state, 4);
    assert!(old.check_evidence(&rules, &at(4)).is_ok());
    let older = idle(&rules, &old, 1);
    let expired = EvidenceError::Expired { expected: Height(8), got: Height(4) };
    assert_eq!(older.check_evidence(&rules, &at(4)), Err(expired));
}

#[test]
fn where_the_slasher_is_off_evidence_is_refused_and_nothing_is_lost() {
    let (rules, state) = chain_with(|params| params.slasher = false);
    let proof = evidence(&rules, &state, 2, 1, 0);
    assert_eq!(state.check_evidence(&rules, &proof), Err(EvidenceError::Off));
    assert_eq!(state.usable_evidence(&rules, [&proof]), (vec![], Amount::ZERO));
    let error = BlockError::Evidence { index: 0, error: EvidenceError::Off };
    assert_eq!(error_of(&rules, &state, &stake_block(&rules, &state, 1, 0, vec![], vec![proof])), error);
    assert_eq!(error.reason(), Reject::BlockEvidenceOff);
}

#[test]
fn old_evidence_does_not_take_a_new_stake_and_new_evidence_does_not_bring_back_an_old_one() {
    let (rules, state) = chain();
    let unlock = payment(&rules, 2, &[stake_coin(&state, 2)], &[unbonding(2, 300), stake(2, 100)]);
    let state = with(&rules, &state, vec![unlock]);
    let old = evidence(&rules, &state, 2, 2, 0);
    let other = evidence(&rules, &state, 2, 1, 7);
    let state = punished(&rules, &state, vec![old.clone()]);
    assert_eq!(state.supply(), Amount(3_600));
    let again = payment(&rules, 2, &[money(&state, 2)], &[stake(2, 60)]);
    let state = with(&rules, &state, vec![again]);
    assert_eq!(staked(&state, 2), (60, 0));
    for proof in [&old, &other] {
        assert_eq!(state.check_evidence(&rules, proof), Err(EvidenceError::Used { got: Height(2) }));
    }
    // When the second punishment comes, the unlocked coins of the first would be money.
    let state = idle(&rules, &state, 3);
    let new = evidence(&rules, &state, 2, 7, 0);
    assert_eq!(state.check_evidence(&rules, &new), Ok(Amount(60)));
    let state = punished(&rules, &state, vec![new]);
    assert_eq!(state.supply(), Amount(3_540));
    assert!(state.coins_of(&address(2)).iter().all(|(_, coin)| coin.output.kind == OutputKind::Plain));
}

#[test]
fn evidence_is_under_the_root_and_in_the_encoding() {
    let (rules, state) = chain();
    let block = stake_block(&rules, &state, 1, 0, vec![], vec![evidence(&rules, &state, 2, 1, 0)]);
    let bytes = synod_machine::wire::encode(&block);
    assert_eq!(synod_machine::wire::decode::<Block>(&bytes).as_ref(), Ok(&block));
    assert_eq!(block.len(), bytes.len());
    assert_eq!(block.leaves().len(), 2);
    let stripped = Block::new(block.header().clone(), block.coinbase().clone(), vec![]);
    assert!(matches!(error_of(&rules, &state, &stripped), BlockError::Root { .. }));
    assert_ne!(stripped.fingerprint(), block.fingerprint());
}

/// The ledger as a person would write it down: a list of coins for every block, and stakes added up from it each time.
#[derive(Clone, Debug)]
struct Model {
    coins: BTreeMap<OutPoint, Coin>,
    height: u64,
    supply: u64,
    /// What everybody had staked after each block.
    staked: Vec<BTreeMap<Address, u64>>,
    lost_at: BTreeMap<Address, u64>,
}

const DEPTH: usize = 2;
const UNBONDING: u64 = 4;

impl Model {
    fn of(state: &State) -> Self {
        let coins = state.coins().into_iter().collect();
        let mut model = Self { coins, height: 0, supply: 4_000, staked: vec![], lost_at: BTreeMap::new() };
        model.staked.push(model.stakes());
        model
    }

    fn stakes(&self) -> BTreeMap<Address, u64> {
        let mut stakes = BTreeMap::new();
        for coin in self.coins.values().filter(|coin| coin.output.kind == OutputKind::Stake) {
            *stakes.entry(coin.output.to).or_insert(0) += coin.output.amount.0;
        }
        stakes
    }

    fn counts(&self, owner: &Address) -> u64 {
        let last = self.staked.iter().rev().take(DEPTH + 1);
        last.map(|stakes| stakes.get(owner).copied().unwrap_or(0)).min().unwrap_or(0)
    }

    /// The fee of a payment if it is valid at the height under way, after which it is done.
    fn apply(&mut self, tx: &Tx) -> Option<u64> {
        let mut coins = self.coins.clone();
        let (mut paid_in, mut stake_in) = (0, 0);
        for input in &tx.inputs {
            let coin = coins.remove(&input.coin)?;
            let wait = if coin.coinbase {
                3
            } else if coin.output.kind == OutputKind::Unbonding {
                UNBONDING
            } else {
                0
            };
            if coin.height.0 + wait > self.height || input.key.address() != coin.output.to {
                return None;
            }
            paid_in += coin.output.amount.0;
            stake_in += if coin.output.kind == OutputKind::Stake { coin.output.amount.0 } else { 0 };
        }
        let of = |kind| -> u64 {
            tx.outputs.iter().filter(|output| output.kind == kind).map(|output| output.amount.0).sum()
        };
        let (stake_out, unbonding_out) = (of(OutputKind::Stake), of(OutputKind::Unbonding));
        if stake_in + stake_out + unbonding_out > 0 {
            let owner = tx.inputs[0].key.address();
            let alone = tx.inputs.iter().all(|input| input.key.address() == owner);
            let own = tx.outputs.iter().all(|output| output.kind == OutputKind::Plain || output.to == owner);
            if !alone || !own || unbonding_out > stake_in || stake_out + unbonding_out < stake_in {
                return None;
            }
        }
        for (name, output) in tx.made() {
            coins.insert(name, Coin { output, height: Height(self.height), coinbase: false });
        }
        let paid_out: u64 = tx.outputs.iter().map(|output| output.amount.0).sum();
        let fee = u64::checked_sub(paid_in, paid_out)?;
        self.coins = coins;
        Some(fee)
    }

    /// What an owner loses by an offence at `at`, if it can be punished now. The coins go.
    fn punish(&mut self, owner: Address, at: u64) -> Option<u64> {
        let is_used = self.lost_at.get(&owner).is_some_and(|lost| *lost >= at);
        if at > self.height || self.height > at + UNBONDING || is_used {
            return None;
        }
        let now = self.height;
        let goes = |coin: &Coin| {
            let is_locked = match coin.output.kind {
                OutputKind::Plain => false,
                OutputKind::Stake => true,
                OutputKind::Unbonding => coin.height.0 + UNBONDING > now,
            };
            coin.output.to == owner && is_locked
        };
        let lost: u64 = self.coins.values().filter(|coin| goes(coin)).map(|coin| coin.output.amount.0).sum();
        self.coins.retain(|_, coin| !goes(coin));
        self.lost_at.insert(owner, now);
        (lost > 0).then_some(lost)
    }
}

/// One random deed: what is done, by which coin, and how much.
type Wish = (u8, u16, u8);

fn tx_of(rules: &Rules, model: &Model, (deed, pick, part): Wish) -> Option<Tx> {
    let names: Vec<OutPoint> = model.coins.keys().copied().collect();
    let mut name = *names.get(usize::from(pick) % names.len())?;
    if deed % 4 == 0 {
        // Stakes are few among the coins: one deed of four is with one of them.
        let is_locked = |name: &&OutPoint| model.coins[name].output.kind != OutputKind::Plain;
        name = *names.iter().filter(is_locked).nth(usize::from(pick) % 5)?;
    }
    let Coin { output: spent, .. } = model.coins[&name];
    let person = (1..=6).find(|&person| address(person) == spent.to).expect("everybody is known");
    let (all, some) = (spent.amount.0, spent.amount.0 * u64::from(part) / 256);
    let outputs = match deed {
        0..8 => vec![unbonding(person, some), stake(person, all - some)],
        8..12 => vec![unbonding(person, all)],
        12..20 => vec![stake(person, some), output(person, all - some)],
        20..23 => vec![output(1 + person % 6, some), output(person, (all - some).saturating_sub(1))],
        23 => vec![stake(1 + person % 6, all)],
        _ => vec![unbonding(person, some + 1), stake(person, (all - some).saturating_sub(2))],
    };
    let outputs: Vec<Output> = outputs.into_iter().filter(|output| output.amount > Amount::ZERO).collect();
    (!outputs.is_empty()).then(|| payment(rules, person, &[name], &outputs))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn random_blocks_with_stakes_and_evidence_do_what_the_model_does_and_come_back(
        blocks in prop::collection::vec(
            (
                prop::collection::vec((0_u8..25, any::<u16>(), any::<u8>()), 0..4),
                prop::option::weighted(0.2, (1_u8..4, 0_u64..7, any::<u8>())),
                any::<u8>(),
                0_u64..54,
            ),
            1..32,
        ),
        share in 0_u8..=255,
    ) {
        let (rules, genesis) = chain_with(|params| params.finder_share = share);
        let mut state = genesis.clone();
        let mut model = Model::of(&state);
        let mut history = Vec::new();
        for (wishes, offence, maker, reward) in blocks {
            let before = model.clone();
            let able: Vec<u8> = (1..=4).filter(|&person| model.counts(&address(person)) > 0).collect();
            let maker = if maker < 8 || able.is_empty() { 1 + maker % 4 } else { able[usize::from(maker) % able.len()] };
            let mut valid = model.counts(&address(maker)) > 0;
            model.height += 1;
            let (mut payments, mut fees) = (vec![], 0);
            for wish in wishes {
                let Some(tx) = tx_of(&rules, &model, wish) else { continue };
                match model.apply(&tx) {
                    Some(fee) => fees += fee,
                    None => valid = false,
                }
                payments.push(tx);
            }
            let (mut proofs, mut lost, mut shares) = (vec![], 0, 0);
            if let Some((person, ago, salt)) = offence {
                // Some are in the future, and some long ago.
                let at = (model.height + 1).saturating_sub(ago);
                match model.punish(address(person), at) {
                    Some(amount) => {
                        lost += amount;
                        shares += amount * u64::from(share) / 256;
                    }
                    None => valid = false,
                }
                proofs.push(evidence(&rules, &state, person, at, salt));
            }
            // Halved every ten blocks.
            valid &= reward <= (50 >> ((model.height - 1) / 10)) + fees + shares;
            let block = stake_block(&rules, &state, maker, reward, payments, proofs);
            let result = state.connect(&rules, &block, Signatures::Check);
            prop_assert_eq!(result.is_ok(), valid, "{:?}", result);
            let Ok((after, undo)) = result else {
                model = before;
                continue;
            };
            for (name, output) in block.coinbase().made() {
                model.coins.insert(name, Coin { output, height: after.height(), coinbase: true });
            }
            model.supply = model.supply + reward - fees - lost;
            model.staked.push(model.stakes());
            prop_assert_eq!(after.coins(), model.coins.clone().into_iter().collect::<Vec<_>>());
            prop_assert_eq!((after.supply().0, after.audit().0), (model.supply, model.supply));
            prop_assert_eq!(after.coin_count(), model.coins.len());
            for person in 1..=6 {
                let owner = address(person);
                let expected = model.stakes().get(&owner).copied().unwrap_or(0);
                prop_assert_eq!(staked(&after, person), (expected, model.counts(&owner)));
            }
            let undo = synod_machine::wire::decode::<Undo>(&synod_machine::wire::encode(&*undo)).expect("its encoding");
            history.push((state, block, undo));
            state = after;
        }
        while let Some((before, block, undo)) = history.pop() {
            state = state.disconnect(&block, &undo);
            prop_assert_eq!(&state, &before);
        }
        prop_assert_eq!(state, genesis);
    }
}

#[test]
fn a_payment_of_lost_stake_leaves_the_mempool_and_others_stay() {
    let (rules, state) = chain();
    let mut pool = crate::Mempool::new(crate::MempoolLimits::default());
    let unlock = payment(&rules, 2, &[stake_coin(&state, 2), money(&state, 2)], &[unbonding(2, 400), output(2, 50)]);
    let child = payment(&rules, 2, &[made(&unlock, 1, 1).0], &[output(3, 40)]);
    let lock = payment(&rules, 2, &[coin(&state, 2, 5).0], &[stake(2, 40), output(2, 10)]);
    let elsewhere = pay(&rules, 3, coin(&state, 3, 5), 4, 10, 1);
    for tx in [&unlock, &child, &lock, &elsewhere] {
        pool.insert(&state, &rules, tx.clone(), false).expect("it is valid");
    }
    let block = stake_block(&rules, &state, 1, 0, vec![], vec![evidence(&rules, &state, 2, 1, 0)]);
    let state = after(&rules, &state, &block);
    let mut gone = pool.connected(&block).conflicted;
    gone.sort_unstable();
    let mut expected = vec![unlock.id(), child.id()];
    expected.sort_unstable();
    assert_eq!(gone, expected);
    pool.check();
    // What is left can be in the next block.
    let rest = pool.select(100_000);
    assert_eq!(rest.len(), 2);
    with(&rules, &state, rest);
}
