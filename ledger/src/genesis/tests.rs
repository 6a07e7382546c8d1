//! What makes a genesis possible, and what of it makes the chain another.

use alloc::string::ToString;
use alloc::vec;

use super::*;
use crate::{State, testing};

fn pow(genesis: &mut Genesis) -> &mut PowParams {
    genesis.engine.pow_mut().expect("the tests' chain is one of work")
}

#[test]
fn a_written_genesis_comes_back_and_unknown_fields_do_not() {
    let mut genesis = testing::genesis();
    pow(&mut genesis).retarget = Retarget::Lwma { window: 60 };
    let text = serde_json::to_string(&genesis).expect("writable");
    assert_eq!(serde_json::from_str::<Genesis>(&text).expect("readable"), genesis);
    assert!(text.contains(r#""retarget":{"rule":"lwma","window":60}"#), "{text}");
    for (known, unknown) in [
        (r#""time_unix_ms""#, r#""tyme":1,"time_unix_ms""#),
        (r#""declared""#, r#""tyme":1,"declared""#),
        (r#""window""#, r#""tyme":1,"window""#),
        (r#""maturity""#, r#""tyme":1,"maturity""#),
        (r#""coins""#, r#""tyme":1,"coins""#),
    ] {
        assert!(text.contains(known), "{known}");
        let changed = text.replacen(known, unknown, 1);
        assert!(serde_json::from_str::<Genesis>(&changed).is_err(), "{unknown}");
    }
    assert!(serde_json::from_str::<Genesis>(&text.replacen(r#""pow""#, r#""pou""#, 1)).is_err());
}

#[test]
fn one_coin_is_the_default() {
    let text = format_balance(r#""amount":5"#);
    assert_eq!(serde_json::from_str::<Balance>(&text).expect("readable").coins, 1);
}

fn format_balance(rest: &str) -> String {
    alloc::format!(r#"{{"name":"a","address":"{}",{rest}}}"#, testing::address(1))
}

#[test]
fn whatever_differs_the_chain_is_another() {
    let changes: [fn(&mut Genesis); 15] = [
        |_| {},
        |genesis| genesis.name.push('2'),
        |genesis| genesis.time_unix_ms += 1,
        |genesis| pow(genesis).target.0 -= 1,
        |genesis| pow(genesis).block_time_ms += 1,
        |genesis| pow(genesis).retarget = Retarget::Lwma { window: 1 },
        |genesis| pow(genesis).declared = false,
        |genesis| genesis.ledger.subsidy.0 += 1,
        |genesis| genesis.ledger.halving_interval += 1,
        |genesis| genesis.ledger.maturity += 1,
        |genesis| genesis.ledger.block_bytes_max += 1,
        |genesis| genesis.ledger.fee_min.0 += 1,
        |genesis| genesis.balances[0].amount.0 += 1,
        |genesis| genesis.balances[0].coins += 1,
        |genesis| genesis.balances.swap(0, 1),
    ];
    let mut chains = BTreeSet::new();
    for change in changes {
        let mut genesis = testing::genesis();
        change(&mut genesis);
        genesis.check().expect("still a possible genesis");
        assert!(chains.insert(genesis.chain_id()));
        assert_eq!(genesis.block().header().chain, genesis.chain_id());
    }
}

#[test]
fn balances_are_split_into_nearly_equal_coins() {
    let mut genesis = testing::genesis();
    genesis.balances.truncate(1);
    genesis.balances[0].amount = Amount(11);
    genesis.balances[0].coins = 3;
    let amounts: Vec<u64> = genesis.block().coinbase().outputs.iter().map(|output| output.amount.0).collect();
    assert_eq!(amounts, [4, 4, 3]);
    let state = State::genesis(&genesis);
    assert_eq!((state.supply(), state.audit(), state.coin_count()), (Amount(11), Amount(11), 3));
    assert_eq!(state.tip(), genesis.block().id());
    assert!(state.coins().iter().all(|(_, coin)| !coin.coinbase), "spendable at once");
}

#[test]
fn every_mistake_has_its_error() {
    let name = |got: &str| GenesisError::Name { expected: 64, got: got.to_string() };
    let long = "x".repeat(65);
    let bytes = |got| GenesisError::BlockBytes { least: 1_024, most: 4 << 20, got };
    let window = |got| GenesisError::Window { expected: 2_016, got };
    let split = |got| GenesisError::CoinSplit { name: "1".to_string(), got };
    type Case = (fn(&mut Genesis), GenesisError);
    let table: Vec<Case> = vec![
        (|genesis| genesis.name.clear(), name("")),
        (|genesis| genesis.name = "x".repeat(65), name(&long)),
        (|genesis| genesis.balances[2].name.clear(), name("")),
        (|genesis| genesis.balances[2].name = "1".into(), GenesisError::NameTwice { got: "1".into() }),
        (|genesis| pow(genesis).target.0 = 0x0300_0001, GenesisError::Target { got: CompactTarget(0x0300_0001) }),
        (|genesis| pow(genesis).block_time_ms = 0, GenesisError::BlockTime),
        (|genesis| pow(genesis).retarget = Retarget::Lwma { window: 0 }, window(0)),
        (|genesis| pow(genesis).retarget = Retarget::Lwma { window: 2_017 }, window(2_017)),
        (|genesis| genesis.ledger.halving_interval = 0, GenesisError::HalvingInterval),
        (|genesis| genesis.ledger.block_bytes_max = 1_023, bytes(1_023)),
        (|genesis| genesis.ledger.block_bytes_max = (4 << 20) + 1, bytes((4 << 20) + 1)),
        (|genesis| genesis.balances[0].coins = 0, split(0)),
        (|genesis| genesis.balances[0].coins = 1_001, split(1_001)),
        (
            |genesis| {
                genesis.balances[0].amount = Amount(1 << 22);
                genesis.balances[0].coins = 1 << 22;
            },
            GenesisError::CoinCount { expected: 1 << 22, got: (1 << 22) + 30 },
        ),
    ];
    for (change, expected) in table {
        let mut genesis = testing::genesis();
        change(&mut genesis);
        assert_eq!(genesis.check(), Err(expected));
    }
}

fn pos(genesis: &mut Genesis) -> &mut PosParams {
    let Engine::Pos(pos) = &mut genesis.engine else { panic!("a chain of stakes") };
    pos
}

fn pbft(genesis: &mut Genesis) -> &mut PbftParams {
    let Engine::Pbft(pbft) = &mut genesis.engine else { panic!("a chain of validators") };
    pbft
}

/// Whatever these do to a genesis, each makes another chain, and all of them are possible.
fn all_differ(genesis: &Genesis, changes: &[fn(&mut Genesis)]) {
    let mut chains = BTreeSet::new();
    for change in changes {
        let mut genesis = genesis.clone();
        change(&mut genesis);
        genesis.check().expect("still a possible genesis");
        assert!(chains.insert(genesis.chain_id()));
        let text = serde_json::to_string(&genesis).expect("writable");
        assert_eq!(serde_json::from_str::<Genesis>(&text).expect("readable"), genesis);
    }
}

type Mistake = (fn(&mut Genesis), GenesisError);

fn all_wrong(genesis: &Genesis, table: Vec<Mistake>) {
    for (change, expected) in table {
        let mut genesis = genesis.clone();
        change(&mut genesis);
        assert_eq!(genesis.check(), Err(expected));
    }
}

#[test]
fn every_parameter_of_a_chain_of_stakes_counts_and_every_mistake_has_its_error() {
    let genesis = testing::stake_genesis();
    all_differ(
        &genesis,
        &[
            |_| {},
            |genesis| pos(genesis).difficulty += 1,
            |genesis| pos(genesis).block_time_ms += 1,
            |genesis| pos(genesis).retarget = Retarget::Lwma { window: 1 },
            |genesis| pos(genesis).stake_depth -= 1,
            |genesis| pos(genesis).unbonding -= 1,
            |genesis| pos(genesis).future_max_ms += 1,
            |genesis| pos(genesis).slasher = false,
            |genesis| pos(genesis).finder_share += 1,
            |genesis| genesis.balances[0].stake.0 += 1,
            |genesis| genesis.balances[0].stake = Amount(1_000),
        ],
    );
    let stake = |expected, got| GenesisError::Stake { name: "1".into(), expected: Amount(expected), got: Amount(got) };
    all_wrong(
        &genesis,
        vec![
            (|genesis| pos(genesis).difficulty = 0, GenesisError::Difficulty),
            (|genesis| pos(genesis).block_time_ms = 0, GenesisError::BlockTime),
            (
                |genesis| pos(genesis).block_time_ms = 1_999,
                GenesisError::BlockTimeShort { expected: 2_000, got: 1_999 },
            ),
            (
                |genesis| pos(genesis).retarget = Retarget::Lwma { window: 0 },
                GenesisError::Window { expected: 2_016, got: 0 },
            ),
            (|genesis| pos(genesis).stake_depth = 0, GenesisError::StakeDepth { expected: 1_024, got: 0 }),
            (|genesis| pos(genesis).stake_depth = 1_025, GenesisError::StakeDepth { expected: 1_024, got: 1_025 }),
            (|genesis| pos(genesis).unbonding = 2, GenesisError::Unbonding { expected: 2, got: 2 }),
            (|genesis| genesis.balances[0].stake.0 = 1_001, stake(1_000, 1_001)),
            (|genesis| genesis.balances[0].stake.0 = 991, GenesisError::CoinSplit { name: "1".into(), got: 10 }),
            (
                |genesis| genesis.balances.iter_mut().for_each(|balance| balance.stake = Amount::ZERO),
                GenesisError::StakeNone,
            ),
        ],
    );
    let mut work = testing::genesis();
    work.balances[0].stake = Amount(1);
    assert_eq!(work.check(), Err(stake(0, 1)), "on a chain of work");
}

#[test]
fn an_engine_s_parameters_have_defaults() {
    let text = r#"{"name":"pos","difficulty":9,"block_time_ms":2000,"retarget":{"rule":"off"}}"#;
    let Engine::Pos(pos) = serde_json::from_str(text).expect("readable") else { panic!("stakes") };
    assert_eq!((pos.stake_depth, pos.unbonding, pos.future_max_ms), (32, 256, 500));
    assert_eq!((pos.slasher, pos.finder_share), (true, 10));
    assert!(serde_json::from_str::<Engine>(&text.replace("difficulty", "dificulty")).is_err());
    let Engine::Pbft(pbft) = serde_json::from_str(r#"{"name":"pbft","validators":[]}"#).expect("readable") else {
        panic!("validators")
    };
    assert_eq!((pbft.view_timeout_ms, pbft.batch_delay_ms, pbft.batch_max), (2_000, 10, 1_000));
    assert_eq!((pbft.checkpoint_interval, pbft.watermark_window), (100, 200));
}

#[test]
fn every_parameter_of_a_chain_of_validators_counts_and_every_mistake_has_its_error() {
    let mut genesis = testing::genesis();
    let validator = |person: u8| Validator { name: person.to_string(), key: testing::key(person).public() };
    genesis.engine = Engine::Pbft(PbftParams {
        validators: (1..=5).map(validator).collect(),
        view_timeout_ms: 2_000,
        batch_delay_ms: 10,
        batch_max: 1_000,
        checkpoint_interval: 100,
        watermark_window: 200,
    });
    all_differ(
        &genesis,
        &[
            |_| {},
            |genesis| pbft(genesis).validators.swap(0, 1),
            |genesis| pbft(genesis).validators.truncate(4),
            |genesis| pbft(genesis).validators[0].name.push('2'),
            |genesis| pbft(genesis).view_timeout_ms += 1,
            |genesis| pbft(genesis).batch_delay_ms += 1,
            |genesis| pbft(genesis).batch_max += 1,
            |genesis| pbft(genesis).checkpoint_interval += 1,
            |genesis| pbft(genesis).watermark_window += 1,
        ],
    );
    let count = |got| GenesisError::ValidatorCount { least: 4, most: 128, got };
    let twice = GenesisError::ValidatorTwice { got: "2".into() };
    all_wrong(
        &genesis,
        vec![
            (|genesis| pbft(genesis).validators.truncate(3), count(3)),
            (
                |genesis| {
                    let five = pbft(genesis).validators.clone();
                    pbft(genesis).validators = (0..26).flat_map(|_| five.clone()).collect();
                },
                count(130),
            ),
            (|genesis| pbft(genesis).validators[1].key = testing::key(1).public(), twice),
            (|genesis| pbft(genesis).validators[1].name = "1".into(), GenesisError::ValidatorTwice { got: "1".into() }),
            (|genesis| pbft(genesis).view_timeout_ms = 0, GenesisError::ViewTimeout),
            (|genesis| pbft(genesis).batch_max = 0, GenesisError::BatchMax),
            (|genesis| pbft(genesis).checkpoint_interval = 0, GenesisError::Watermarks { expected: 1, got: 0 }),
            (|genesis| pbft(genesis).watermark_window = 99, GenesisError::Watermarks { expected: 100, got: 99 }),
            (
                |genesis| genesis.ledger.block_bytes_max = 4 << 20,
                GenesisError::CertificateBytes { expected: 4 << 20, got: (4 << 20) + 8_458 },
            ),
        ],
    );
    let quorums: Vec<(usize, usize)> = (4..=9)
        .map(|count| {
            let validators = (0..count as u8).map(validator).collect();
            let params = PbftParams { validators, ..pbft(&mut genesis).clone() };
            (faulty_max(params.validators.len()), params.quorum())
        })
        .collect();
    assert_eq!(quorums, [(1, 3), (1, 4), (1, 4), (2, 5), (2, 6), (2, 6)]);
}

#[test]
fn balances_and_subsidies_may_reach_all_the_money_there_can_be_and_no_more() {
    let mut genesis = testing::genesis();
    let subsidies = Amount(970);
    assert_eq!(genesis.rules().issued(Height(u64::MAX)), subsidies);
    // Three others own 1,000 each.
    genesis.balances[0].amount = Amount(Amount::MAX.0 - 3_970);
    assert_eq!(genesis.check(), Ok(()));
    genesis.balances[0].amount.0 += 1;
    let balances = Amount(Amount::MAX.0 - 969);
    assert_eq!(genesis.check(), Err(GenesisError::Money { expected: Amount::MAX, balances, subsidies }));
}

#[test]
fn two_quorums_share_an_honest_validator_whatever_their_number() {
    for validators in VALIDATORS_MIN..=VALIDATORS_MAX {
        let (faulty, quorum) = (faulty_max(validators), quorum(validators));
        assert!(2 * quorum - validators > faulty, "{validators}: two quorums share more than the faulty");
        assert!(quorum <= validators - faulty, "{validators}: the honest are a quorum by themselves");
    }
}

#[test]
fn quorums_are_those_of_the_paper_and_larger_where_it_says_nothing() {
    let table = [(4, 1, 3), (5, 1, 4), (6, 1, 4), (7, 2, 5), (8, 2, 6), (10, 3, 7), (31, 10, 21), (64, 21, 43)];
    for (validators, faulty, quorum_) in table {
        assert_eq!((faulty_max(validators), quorum(validators)), (faulty, quorum_), "{validators} validators");
    }
}
