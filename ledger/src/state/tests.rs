//! The state against a slow, obvious model, and every way in which a block can be wrong.

mod stakes;

use alloc::collections::BTreeMap;
use alloc::vec;

use proptest::prelude::*;
use synod_machine::{Bytes, Reject};

use super::*;
use crate::testing::{address, block, chain, coin, connected, header, key, made, mined, output, pay, payment, sealed};
use crate::{Certificate, ChainId, Coinbase, Header, Payment, Seal, Signature, Tx, TxError, TxInput, check_payment};

fn error_of(rules: &Rules, state: &State, block: &Block) -> BlockError {
    state.connect(rules, block, Signatures::Check).expect_err("the block does not connect")
}

#[test]
fn a_block_moves_coins_and_its_undo_data_moves_them_back() {
    let (rules, state) = chain();
    let first = pay(&rules, 1, coin(&state, 1, 0), 2, 60, 5);
    // The change of 35, spent in the same block.
    let second = pay(&rules, 1, made(&first, 1, 1), 3, 30, 2);
    let block = block(&rules, &state, 4, 57, vec![first.clone(), second.clone()]);
    let (after, undo) = state.connect(&rules, &block, Signatures::Check).expect("the block connects");
    assert_eq!((after.tip(), after.height()), (block.id(), Height(1)));
    assert_eq!(after.supply(), Amount(4_050));
    assert_eq!(after.audit(), Amount(4_050));
    assert_eq!(after.coin_count(), 40 - 1 + 1 + 2 + 1);
    assert_eq!(after.coin(&first.inputs[0].coin), None);
    assert_eq!(after.coin(&second.inputs[0].coin), None);
    let paid = OutPoint { tx: first.id(), index: 0 };
    assert_eq!(after.coin(&paid), Some(Coin { output: output(2, 60), height: Height(1), coinbase: false }));
    let reward = OutPoint { tx: block.coinbase().id(), index: 0 };
    assert_eq!(after.coin(&reward), Some(Coin { output: output(4, 57), height: Height(1), coinbase: true }));
    assert_eq!(undo.spent.len(), 2);
    assert_eq!(after.coins_of(&address(2)).len(), 11);
    assert!(after.coins_of(&address(2)).is_sorted_by_key(|(name, _)| *name));
    assert_eq!(after.disconnect(&block, &undo), state);
}

#[test]
fn a_coinbase_can_be_spent_from_maturity_on() {
    let (rules, state) = chain();
    let state = mined(&rules, &state, 9, 1);
    let reward = coin(&state, 9, 0);
    let spend = pay(&rules, 9, reward, 1, 50, 0);
    // Made at height 1, with a maturity of three: spendable at height 4.
    let early = mined(&rules, &state, 8, 1);
    let error = TxError::Immature { coin: reward.0, expected: Height(4), got: Height(3) };
    assert_eq!(error.reason(), Reject::TxImmature);
    let refused = block(&rules, &early, 8, 50, vec![spend.clone()]);
    assert_eq!(error_of(&rules, &early, &refused), BlockError::Payment { index: 0, error });
    let mature = mined(&rules, &early, 8, 1);
    connected(&rules, &mature, &block(&rules, &mature, 8, 50, vec![spend]));
}

#[test]
fn a_coinbase_may_claim_less_and_what_it_leaves_is_lost() {
    let (rules, state) = chain();
    let tx = pay(&rules, 1, coin(&state, 1, 0), 2, 60, 5);
    let after = connected(&rules, &state, &block(&rules, &state, 4, 0, vec![tx]));
    assert_eq!((after.supply(), after.audit()), (Amount(3_995), Amount(3_995)));
}

#[test]
fn every_mistake_in_a_header_or_coinbase_has_its_error() {
    let (rules, state) = chain();
    let outputs = vec![output(1, 50)];
    let coinbase = Coinbase { chain: rules.chain, height: Height(1), extra: 0, outputs };
    let foreign = ChainId(Bytes([0xff; 8]));
    let with_header = |change: fn(&mut crate::Header)| {
        let mut changed = header(&rules, &state);
        change(&mut changed);
        sealed(changed, coinbase.clone(), vec![])
    };
    let with_coinbase = |change: fn(&mut Coinbase)| {
        let mut changed = coinbase.clone();
        change(&mut changed);
        sealed(header(&rules, &state), changed, vec![])
    };
    let parent = BlockId(Bytes([0xff; 32]));
    let root = Block::root_of(&coinbase, &[]);
    let rootless = Block::new(header(&rules, &state), coinbase.clone(), vec![]);
    let table = [
        (
            with_header(|header| header.chain = ChainId(Bytes([0xff; 8]))),
            BlockError::Chain { expected: rules.chain, got: foreign },
            Reject::BlockForeignChain,
        ),
        (
            with_header(|header| header.parent = BlockId(Bytes([0xff; 32]))),
            BlockError::Parent { expected: state.tip(), got: parent },
            Reject::BlockParent,
        ),
        (
            with_header(|header| header.height = Height(2)),
            BlockError::Height { expected: Height(1), got: Height(2) },
            Reject::BlockHeight,
        ),
        (rootless, BlockError::Root { expected: Bytes::ZERO, got: root }, Reject::BlockRoot),
        (
            with_coinbase(|coinbase| coinbase.chain = ChainId(Bytes([0xff; 8]))),
            BlockError::CoinbaseChain { expected: rules.chain, got: foreign },
            Reject::BlockCoinbase,
        ),
        (
            with_coinbase(|coinbase| coinbase.height = Height(2)),
            BlockError::CoinbaseHeight { expected: Height(1), got: Height(2) },
            Reject::BlockCoinbase,
        ),
        (
            with_coinbase(|coinbase| coinbase.outputs = vec![output(1, 1), output(1, 0)]),
            BlockError::CoinbaseZeroOutput { output: 1 },
            Reject::BlockCoinbase,
        ),
        (
            with_coinbase(|coinbase| coinbase.outputs = vec![output(1, 1); OUTPUTS_MAX + 1]),
            BlockError::CoinbaseOutputCount { expected: 2_048, got: 2_049 },
            Reject::BlockCoinbase,
        ),
        (
            with_coinbase(|coinbase| coinbase.outputs = vec![output(1, 25), output(2, 26)]),
            BlockError::Subsidy { expected: Amount(50), got: Amount(51) },
            Reject::BlockSubsidy,
        ),
        (
            with_coinbase(|coinbase| coinbase.outputs = vec![output(1, u64::MAX); 2]),
            BlockError::Subsidy { expected: Amount(50), got: Amount(u64::MAX) },
            Reject::BlockSubsidy,
        ),
    ];
    for (block, expected, reason) in table {
        assert_eq!(error_of(&rules, &state, &block), expected);
        assert_eq!(expected.reason(), reason, "{expected}");
    }
    connected(&rules, &state, &with_coinbase(|coinbase| coinbase.outputs = vec![output(1, 1); 50]));
}

#[test]
fn a_block_may_be_as_long_as_the_chain_allows_and_no_longer() {
    let (mut rules, state) = chain();
    let block = block(&rules, &state, 1, 50, vec![]);
    rules.params.block_bytes_max = block.len() as u32;
    connected(&rules, &state, &block);
    rules.params.block_bytes_max -= 1;
    let error = BlockError::Size { expected: block.len() - 1, got: block.len() };
    assert_eq!(error_of(&rules, &state, &block), error);
    assert_eq!(error.reason(), Reject::BlockSize);
}

#[test]
fn every_mistake_in_a_payment_has_its_error() {
    let (rules, state) = chain();
    let [one, two] = [coin(&state, 1, 0).0, coin(&state, 1, 1).0];
    let missing = OutPoint { tx: one.tx, index: 99 };
    let good = payment(&rules, 1, &[one, two], &[output(2, 150)]);
    let foreign = ChainId(Bytes([0xff; 8]));
    let changed = |change: &dyn Fn(&mut Payment)| {
        let mut payment = (*good).clone();
        change(&mut payment);
        Tx::from(payment)
    };
    let re_signed = |change: &dyn Fn(&mut Payment)| {
        let mut payment = (*good).clone();
        change(&mut payment);
        crate::testing::signed(payment, 1)
    };
    let long = payment(&rules, 1, &[one; INPUTS], &[output(2, 1); 2_048]);
    let outputs = |count| vec![output(2, 1); count];
    let table: Vec<(Tx, TxError, Reject)> = vec![
        (
            re_signed(&|payment| payment.chain = foreign),
            TxError::ForeignChain { expected: rules.chain, got: foreign },
            Reject::TxForeignChain,
        ),
        (re_signed(&|payment| payment.inputs.clear()), TxError::InputCount { expected: 512, got: 0 }, Reject::TxForm),
        (
            changed(&|payment| payment.inputs = vec![TxInput::default(); 513]),
            TxError::InputCount { expected: 512, got: 513 },
            Reject::TxForm,
        ),
        (
            re_signed(&|payment| payment.outputs.clear()),
            TxError::OutputCount { expected: 2_048, got: 0 },
            Reject::TxForm,
        ),
        (
            re_signed(&|payment| payment.outputs = outputs(2_049)),
            TxError::OutputCount { expected: 2_048, got: 2_049 },
            Reject::TxForm,
        ),
        (long.clone(), TxError::Size { expected: 100 * 1024, got: long.len() }, Reject::TxSize),
        (re_signed(&|payment| payment.outputs.push(output(1, 0))), TxError::ZeroOutput { output: 1 }, Reject::TxForm),
        (
            changed(&|payment| payment.inputs[1].signature = Signature::NONE),
            TxError::Signature { input: 1 },
            Reject::TxSignature,
        ),
        (
            changed(&|payment| payment.inputs[1].signature.0.0[0] ^= 1),
            TxError::Signature { input: 1 },
            Reject::TxSignature,
        ),
        (changed(&|payment| payment.outputs[0].amount.0 += 1), TxError::Signature { input: 0 }, Reject::TxSignature),
        (payment(&rules, 1, &[one, two, one], &[output(2, 1)]), TxError::Twice { coin: one }, Reject::TxTwice),
        (
            payment(&rules, 1, &[one, missing], &[output(2, 1)]),
            TxError::MissingCoin { coin: missing },
            Reject::TxMissingCoin,
        ),
        (payment(&rules, 2, &[one], &[output(2, 1)]), TxError::Key { input: 0 }, Reject::TxKey),
        (
            payment(&rules, 1, &[one, two], &[output(2, 201)]),
            TxError::Overspend { expected: Amount(200), got: Amount(201) },
            Reject::TxOverspend,
        ),
        (
            payment(&rules, 1, &[one], &[output(2, Amount::MAX.0), output(2, 1)]),
            TxError::AmountOverflow,
            Reject::TxAmountOverflow,
        ),
        (
            payment(&rules, 1, &[one], &[output(2, u64::MAX), output(2, 2)]),
            TxError::AmountOverflow,
            Reject::TxAmountOverflow,
        ),
    ];
    assert_eq!(check_payment(&state, &rules, &good, Height(1)), Ok(Amount(50)));
    for (tx, error, reason) in table {
        assert_eq!(check_payment(&state, &rules, &tx, Height(1)), Err(error));
        assert_eq!(error.reason(), reason, "{error}");
        let block = block(&rules, &state, 1, 50, vec![good_elsewhere(&rules, &state), tx]);
        let expected = BlockError::Payment { index: 1, error };
        assert_eq!(error_of(&rules, &state, &block), expected);
        assert_eq!(expected.reason(), Reject::BlockTransaction);
    }
}

/// Together with as many outputs these inputs are too long.
const INPUTS: usize = 512;

/// A payment that touches nothing of the first person's.
fn good_elsewhere(rules: &Rules, state: &State) -> Tx {
    pay(rules, 3, coin(state, 3, 0), 4, 10, 1)
}

#[test]
fn a_payment_must_leave_room_for_the_rest_of_a_block() {
    let (mut rules, state) = chain();
    let tx = good_elsewhere(&rules, &state);
    rules.params.block_bytes_max = 512 + tx.len() as u32;
    check_payment(&state, &rules, &tx, Height(1)).expect("exactly fits");
    connected(&rules, &state, &block(&rules, &state, 1, 50, vec![tx.clone()]));
    rules.params.block_bytes_max -= 1;
    let error = TxError::Size { expected: tx.len() - 1, got: tx.len() };
    assert_eq!(check_payment(&state, &rules, &tx, Height(1)), Err(error));
}

#[test]
fn signatures_are_not_looked_at_where_the_caller_trusts_them() {
    let (rules, state) = chain();
    let mut payment = (*good_elsewhere(&rules, &state)).clone();
    payment.inputs[0].signature.0.0[0] ^= 1;
    let block = block(&rules, &state, 1, 50, vec![Tx::from(payment)]);
    assert!(block.connected().is_none());
    let trusted = block.connect(&state, &rules, Signatures::Trust);
    assert!(trusted.is_ok());
    assert!(block.connected().is_some());
    // What was trusted does not answer one who wants it checked, but what was checked answers everybody.
    let error = BlockError::Payment { index: 0, error: TxError::Signature { input: 0 } };
    assert_eq!(block.connect(&state, &rules, Signatures::Check), Err(error));
    assert_eq!(block.connect(&state, &rules, Signatures::Trust), Err(error));
}

#[test]
fn a_verdict_is_found_once_for_all_who_share_a_block_and_belongs_to_its_content() {
    let (rules, state) = chain();
    let block = block(&rules, &state, 1, 50, vec![good_elsewhere(&rules, &state)]);
    let first = block.connect(&state, &rules, Signatures::Check).expect("it connects");
    let again = block.clone().connect(&state, &rules, Signatures::Check).expect("it connects");
    assert!(Arc::ptr_eq(&first, &again), "one verdict");
    // It lives as long as somebody holds it.
    assert!(block.connected().is_some());
    drop((first, again));
    assert!(block.connected().is_none());
    assert!(block.connect(&state, &rules, Signatures::Check).is_ok(), "and is found again");
    // The same header over another body has the same id and its own verdict.
    let other = Block::new(block.header().clone(), block.coinbase().clone(), vec![]);
    assert_eq!(other.id(), block.id());
    assert!(matches!(other.connect(&state, &rules, Signatures::Check), Err(BlockError::Root { .. })));
}

#[test]
#[should_panic(expected = "after its parent")]
fn a_block_is_not_asked_to_connect_elsewhere() {
    let (rules, state) = chain();
    let block = block(&rules, &state, 1, 50, vec![]);
    let _ = block.connect(&connected(&rules, &state, &block), &rules, Signatures::Check);
}

#[test]
fn what_is_known_of_a_proposal_is_known_of_the_block_with_its_votes() {
    let (rules, state) = chain();
    let sealed = block(&rules, &state, 1, 50, vec![]);
    let header = Header { seal: Seal::Agreed { certificate: Certificate::none() }, ..sealed.header().clone() };
    let proposal = Block::new(header, sealed.coinbase().clone(), vec![]);
    let unknown = proposal.certified(Certificate::new(1, vec![(0, Signature::NONE)]));
    assert!(unknown.connected().is_none());
    let outcome = proposal.connect(&state, &rules, Signatures::Check).expect("it connects");
    let certified = proposal.certified(Certificate::new(1, vec![(0, Signature::NONE)]));
    assert_eq!(certified.id(), proposal.id());
    assert_ne!(certified, proposal);
    assert!(Arc::ptr_eq(&certified.connected().expect("known"), &outcome));
}

#[test]
#[should_panic(expected = "only the tip")]
fn only_the_tip_is_disconnected() {
    let (rules, state) = chain();
    let block = block(&rules, &state, 1, 50, vec![]);
    let _ = state.disconnect(&block, &Undo::default());
}

#[test]
fn the_culprit_is_found_beyond_the_first_batch() {
    let (rules, state) = chain();
    let owner = key(1);
    // One coin becomes 1,100, and each of those is spent by a payment of its own.
    let mut builder = crate::PaymentBuilder::new(rules.chain);
    for (name, coin) in state.coins_of(&address(1)) {
        builder = builder.spend(name, coin, &owner);
    }
    for (name, coin) in state.coins_of(&address(2)).into_iter().take(2) {
        // They belong to somebody else; a builder would refuse them.
        assert!(builder.clone().spend(name, coin, &owner).build(address(1)).is_err());
    }
    for _ in 0..1_000 {
        builder = builder.pay(address(1), Amount(1));
    }
    let split = builder.build(address(1)).expect("the coins cover it");
    let mut payments = vec![split.clone()];
    payments.extend((0..1_000).map(|index| pay(&rules, 1, made(&split, index, 1), 2, 1, 0)));
    let state_of = |payments: &[Tx]| {
        state.connect(&wide(rules), &block(&rules, &state, 1, 50, payments.to_vec()), Signatures::Check)
    };
    for wrong in [0, 1, 500, 1_000] {
        let mut changed: Vec<Tx> = payments.iter().map(|tx| Tx::from((**tx).clone())).collect();
        let mut payment = (*changed[wrong]).clone();
        let last = payment.inputs.len() - 1;
        payment.inputs[last].signature.0.0[40] ^= 1;
        changed[wrong] = Tx::from(payment);
        let error = TxError::Signature { input: last };
        assert_eq!(state_of(&changed).expect_err("one is wrong"), BlockError::Payment { index: wrong, error });
    }
    state_of(&payments).expect("all are right");
}

/// The same rules for larger blocks.
fn wide(mut rules: Rules) -> Rules {
    rules.params.block_bytes_max = 1 << 20;
    rules
}

/// The ledger as a person would write it down: a list of coins, and a copy of it for every block.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    coins: BTreeMap<OutPoint, Coin>,
    height: u64,
    claimed: u64,
    fees: u64,
}

impl Model {
    fn of(state: &State) -> Self {
        Self { coins: state.coins().into_iter().collect(), ..Self::default() }
    }

    /// The fee of a payment if it is valid, after which it is done.
    fn apply(&mut self, tx: &Tx, maturity: u64) -> Option<u64> {
        let mut coins = self.coins.clone();
        let mut paid_in = 0;
        for input in &tx.inputs {
            let coin = coins.remove(&input.coin)?;
            let mature = !coin.coinbase || coin.height.0 + maturity <= self.height;
            let owned = input.key.address() == coin.output.to;
            if !mature || !owned || !input.key.verify(tx.id().0.as_slice(), &input.signature) {
                return None;
            }
            paid_in += coin.output.amount.0;
        }
        let mut paid_out = 0;
        for (index, output) in tx.outputs.iter().enumerate() {
            let name = OutPoint { tx: tx.id(), index: index as u32 };
            coins.insert(name, Coin { output: *output, height: Height(self.height), coinbase: false });
            paid_out += output.amount.0;
        }
        let fee = u64::checked_sub(paid_in, paid_out)?;
        self.coins = coins;
        self.fees += fee;
        Some(fee)
    }

    fn owner(&self, name: &OutPoint) -> u8 {
        let to = self.coins[name].output.to;
        (1..=6).find(|&person| address(person) == to).expect("everybody is known")
    }
}

/// One random payment: which coin, how many outputs to whom, what fee, and what is wrong with it.
type Wish = (u16, u8, u8, u8, u8);

/// Something valid or, for some faults, not.
fn tx_of(rules: &Rules, model: &Model, spent: &[OutPoint], wish: Wish) -> Option<Tx> {
    let (pick, outputs, to, fee, fault) = wish;
    let names: Vec<OutPoint> = model.coins.keys().copied().collect();
    let name = *names.get(usize::from(pick) % names.len().max(1))?;
    let owner = model.owner(&name);
    let amount = model.coins[&name].output.amount.0;
    let outputs = u64::from(outputs % 3) + 1;
    let fee = u64::from(fee % 4);
    let each = amount.checked_sub(fee)? / outputs;
    if each == 0 {
        return None;
    }
    let rest = amount - fee - each * outputs;
    let list = |extra: u64| -> Vec<Output> {
        (0..outputs).map(|n| output(1 + (to % 6 + n as u8) % 6, each + if n == 0 { rest + extra } else { 0 })).collect()
    };
    Some(match fault {
        0 => payment(rules, owner, &[name], &list(fee + 1)),
        1 => payment(rules, 1 + owner % 6, &[name], &list(0)),
        2 => payment(rules, owner, &[*spent.first()?], &list(0)),
        3 => {
            let mut wrong = (*payment(rules, owner, &[name], &list(0))).clone();
            wrong.inputs[0].signature.0.0[9] ^= 1;
            Tx::from(wrong)
        }
        _ => payment(rules, owner, &[name], &list(0)),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn random_blocks_do_what_the_model_does_and_come_back(
        wishes in prop::collection::vec(prop::collection::vec(any::<(u16, u8, u8, u8)>(), 0..6), 1..8),
        faults in prop::collection::vec(0_u8..40, 48),
        rewards in prop::collection::vec(0_u64..54, 8),
    ) {
        let (rules, genesis) = chain();
        let mut state = genesis.clone();
        let mut model = Model::of(&state);
        let mut faults = faults.into_iter();
        let mut history = Vec::new();
        for (wishes, reward) in wishes.into_iter().zip(rewards) {
            let before = model.clone();
            model.height += 1;
            let (mut payments, mut valid, mut spent, mut fees) = (Vec::new(), true, Vec::new(), 0);
            for (pick, outputs, to, fee) in wishes {
                let wish = (pick, outputs, to, fee, faults.next().unwrap_or(99));
                let Some(tx) = tx_of(&rules, &model, &spent, wish) else { continue };
                match model.apply(&tx, rules.params.maturity) {
                    Some(fee) if valid => fees += fee,
                    _ => valid = false,
                }
                spent.extend(tx.inputs.iter().map(|input| input.coin));
                payments.push(tx);
            }
            valid &= reward <= 50 + fees;
            let block = block(&rules, &state, 5, reward, payments);
            let result = state.connect(&rules, &block, Signatures::Check);
            prop_assert_eq!(result.is_ok(), valid, "{:?}", result);
            let Ok((after, undo)) = result else {
                model = before;
                continue;
            };
            for (name, output) in block.coinbase().made() {
                model.coins.insert(name, Coin { output, height: after.height(), coinbase: true });
            }
            model.claimed += reward;
            // The model counts every fee it takes; those of refused blocks went with its copy.
            prop_assert_eq!(after.coins(), model.coins.clone().into_iter().collect::<Vec<_>>());
            let supply = Amount(4_000 + model.claimed - model.fees);
            prop_assert_eq!(after.supply(), supply);
            prop_assert_eq!(after.audit(), supply);
            prop_assert_eq!(after.coin_count(), model.coins.len());
            let trusted = state.connect(&rules, &block, Signatures::Trust).expect("it connects");
            prop_assert_eq!(&trusted.0, &after);
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
