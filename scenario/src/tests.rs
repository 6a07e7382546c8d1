//! Runs of small networks.

use crate::testing::plan;
use crate::{Outcome, Plan, Watch, run};

fn outcome(plan: Plan) -> Outcome {
    run(plan, None, |_| Watch::GoOn).expect("no invariant breaks").outcome
}

#[test]
fn peers_agree_on_a_chain_with_the_payments_in_it() {
    let outcome = outcome(plan(1, 30, 20));
    assert!(outcome.chain.is_agreed, "{outcome:#?}");
    assert_eq!(outcome.chain.height, 20);
    assert!(outcome.payments.acknowledged > 50, "{outcome:#?}");
    assert!(outcome.payments.confirmed * 10 > outcome.payments.acknowledged * 8, "{outcome:#?}");
    assert_eq!(outcome.rejects.values().sum::<u64>(), 0, "{outcome:#?}");
}

#[test]
fn one_seed_is_one_run_and_another_is_another() {
    let hash = |seed| outcome(plan(seed, 12, 10)).trace_hash;
    assert_eq!(hash(1), hash(1));
    assert_ne!(hash(1), hash(2));
}

#[test]
fn messages_may_be_encoded_and_decoded_and_all_stays_the_same() {
    let shared = outcome(plan(3, 12, 10));
    let encoded = outcome(Plan { codec: true, ..plan(3, 12, 10) });
    assert_eq!(shared.trace_hash, encoded.trace_hash);
}
