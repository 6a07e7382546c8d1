//! Payments through the API: handed in, refused, found again, owned.

use axum::http::StatusCode;
use serde_json::json;
use synod_ledger::{Amount, ChainId, OutPoint, Payment, PaymentBuilder, Tx};
use synod_machine::Bytes;

use crate::api::hex;
use crate::api::testing::{ALICE, BOB, MINER, Node, address, chain, code, coin, key, pay, submit_body};
use crate::api::types::{AddressInfo, BlockInfo, MempoolInfo, Status, TransactionInfo, TransactionStatus};

#[tokio::test]
async fn a_payment_is_accepted_pending_and_confirmed_and_may_be_handed_in_again_at_any_time() {
    let node = Node::start();
    let tx = pay(ALICE, coin(ALICE, 0), 30);
    let path = format!("/v1/transactions/{}", tx.id());
    let accepted = (StatusCode::ACCEPTED, json!({ "id": tx.id().to_string() }));
    assert_eq!(node.get(&path).await.0, StatusCode::NOT_FOUND);
    assert_eq!(node.submit(&tx).await, accepted);
    assert_eq!(node.submit(&tx).await, accepted);
    let info: TransactionInfo = node.read(&path).await;
    assert_eq!((info.status, info.confirmations, info.fee), (TransactionStatus::Pending, 0, Some(Amount(5))));
    assert_eq!((info.block, info.proof), (None, None));

    let first = node.mine().await;
    assert_eq!(node.submit(&tx).await, accepted);
    // Far enough back that its block is read from disk.
    for _ in 0..4 {
        node.mine().await;
    }
    let info: TransactionInfo = node.read(&path).await;
    assert_eq!((info.status, info.confirmations, info.fee), (TransactionStatus::Confirmed, 5, Some(Amount(5))));
    assert_eq!((info.block, info.height.map(|height| height.0), info.index), (Some(first), Some(1), Some(1)));
    let payment = info.payment.expect("it is a payment").to_tx(chain().rules().chain);
    assert_eq!(payment, tx);
    let block: BlockInfo = node.read(&format!("/v1/blocks/{first}")).await;
    let proof = info.proof.expect("it is in a block");
    assert_eq!((proof.index, proof.leaves, proof.leaf), (1, 2, payment.leaf()));
    assert!(proof.proves(&block.root));
    assert!(!proof.proves(&Bytes::ZERO));
}

#[tokio::test]
async fn a_coinbase_can_be_asked_for_too() {
    let node = Node::start();
    let block = node.mine().await;
    let block: BlockInfo = node.read(&format!("/v1/blocks/{block}")).await;
    let info: TransactionInfo = node.read(&format!("/v1/transactions/{}", block.coinbase.id)).await;
    assert_eq!((info.status, info.index, info.fee), (TransactionStatus::Confirmed, Some(0), None));
    assert_eq!((&info.payment, info.coinbase.as_ref()), (&None, Some(&block.coinbase)));
    let coinbase = block.coinbase.to_coinbase(chain().rules().chain);
    assert_eq!(coinbase.id(), block.coinbase.id);
    let proof = info.proof.expect("it is in a block");
    assert_eq!(proof.leaf, coinbase.leaf());
    assert!(proof.proves(&block.root));
}

#[tokio::test]
async fn each_refusal_has_its_own_code() {
    let node = Node::start();
    let rules = *chain().rules();
    let (name, owned) = coin(ALICE, 0);
    assert_eq!(node.submit(&pay(ALICE, (name, owned), 30)).await.0, StatusCode::ACCEPTED);
    let alice = key(ALICE);
    let build = |chain, name, fee| {
        let payment = PaymentBuilder::new(chain).spend(name, owned, &alice).pay(address(BOB), Amount(10));
        payment.fee(Amount(fee)).build(alice.address()).expect("the coin covers it")
    };
    let other = coin(ALICE, 1).0;
    let missing = OutPoint { index: 999, ..other };
    let mut forged = Payment::clone(&pay(ALICE, coin(ALICE, 1), 30));
    forged.inputs[0].signature.0.0[0] ^= 1;
    let cases = [
        (build(rules.chain, name, 50), 409, "tx_conflict"),
        (build(rules.chain, missing, 5), 409, "tx_missing_coin"),
        (build(rules.chain, other, 1), 422, "tx_fee_too_low"),
        (build(ChainId(Bytes::ZERO), other, 5), 422, "tx_foreign_chain"),
        (Tx::from(forged), 422, "tx_signature"),
    ];
    for (tx, status, expected) in cases {
        let (got, body) = node.submit(&tx).await;
        assert_eq!((got.as_u16(), code(&body)), (status, expected), "{body}");
    }
    let bytes = synod_machine::wire::encode(&pay(ALICE, coin(ALICE, 1), 30));
    let texts = [
        (String::new(), 422, "malformed"),
        ("0".to_owned(), 422, "malformed"),
        ("zz".to_owned(), 422, "malformed"),
        (hex::encode(&bytes) + "00", 422, "malformed"),
        (hex::encode(&bytes[1..]), 422, "malformed"),
        ("00".repeat(synod_ledger::TX_BYTES_MAX + 1), 413, "oversized"),
    ];
    for (text, status, expected) in texts {
        let (got, body) = node.send("POST", "/v1/transactions", &json!({ "transaction": text })).await;
        assert_eq!((got.as_u16(), code(&body)), (status, expected), "{body}");
    }
    let (status, body) = node.get("/metrics").await;
    let metrics = body.as_str().expect("text").to_owned();
    assert_eq!(status, StatusCode::OK);
    for (result, count) in [("accepted", 1), ("tx_conflict", 1), ("malformed", 5), ("oversized", 1)] {
        let line = format!("synod_submits_total{{result=\"{result}\"}} {count}\n");
        assert!(metrics.contains(&line), "{line}{metrics}");
    }
}

#[tokio::test]
async fn a_batch_is_answered_payment_by_payment_and_takes_children_after_their_parents() {
    let node = Node::start();
    let parent = pay(ALICE, coin(ALICE, 0), 30);
    let (name, output) = parent.made().next().expect("an output");
    let coin_of_bob = synod_ledger::Coin { output, height: synod_ledger::Height(1), coinbase: false };
    let child = pay(BOB, (name, coin_of_bob), 20);
    let rival = pay(ALICE, coin(ALICE, 0), 31);
    let texts: Vec<_> = [&parent, &child, &rival].map(|tx| submit_body(tx)["transaction"].clone()).to_vec();
    let batch = json!({ "transactions": [texts[0], texts[1], "zz", texts[2]] });
    let (status, body) = node.send("POST", "/v1/transactions/batch", &batch).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(body[0], json!({ "id": parent.id().to_string() }));
    assert_eq!(body[1], json!({ "id": child.id().to_string() }));
    assert_eq!((code(&body[2]), code(&body[3])), ("malformed", "tx_conflict"));
    assert_eq!(body.as_array().map(Vec::len), Some(4));

    for (count, status) in [(1_000, 200), (1_001, 422)] {
        let batch = json!({ "transactions": vec!["zz"; count] });
        assert_eq!(node.send("POST", "/v1/transactions/batch", &batch).await.0.as_u16(), status, "{count}");
    }
}

#[tokio::test]
async fn an_address_shows_what_is_owned_pending_and_immature() {
    let node = Node::start();
    // 100 units of Alice: 30 to Bob, 5 fee, 65 back to her.
    let tx = pay(ALICE, coin(ALICE, 0), 30);
    node.submit(&tx).await;
    let alice: AddressInfo = node.read(&format!("/v1/addresses/{}", address(ALICE))).await;
    assert_eq!((alice.balance, alice.spendable), (Amount(1_000), Amount(900)));
    assert_eq!((alice.pending_in, alice.pending_out, alice.immature), (Amount(65), Amount(100), Amount(0)));
    assert_eq!((alice.coins_total, alice.coins.len()), (11, 11));
    let bob: AddressInfo = node.read(&format!("/v1/addresses/{}?coins=2", address(BOB))).await;
    assert_eq!((bob.balance, bob.pending_in, bob.coins_total), (Amount(1_000), Amount(30), 11));
    assert_eq!(bob.coins.iter().map(|coin| coin.amount.0).collect::<Vec<_>>(), [100, 100]);

    node.mine().await;
    let alice: AddressInfo = node.read(&format!("/v1/addresses/{}", address(ALICE))).await;
    assert_eq!((alice.balance, alice.spendable), (Amount(965), Amount(965)));
    // The miner's 55 wait for three blocks on top, and can be in the block that is the third.
    for (mined, spendable) in [(1, 0), (2, 0), (3, 55)] {
        let miner: AddressInfo = node.read(&format!("/v1/addresses/{}", address(MINER))).await;
        assert_eq!(miner.balance.0, 55 + 50 * (mined - 1), "after {mined}");
        assert_eq!(miner.spendable.0, spendable, "after {mined}");
        assert_eq!(miner.immature.0 + miner.spendable.0, miner.balance.0);
        node.mine().await;
    }
    let nobody: AddressInfo = node.read(&format!("/v1/addresses/{}", address(77))).await;
    assert_eq!((nobody.balance, nobody.coins_total), (Amount(0), 0));
    let status: Status = node.read("/v1/status").await;
    assert_eq!((status.supply, status.supply_scheduled), (Some(Amount(2_200)), Amount(2_200)));
}

#[tokio::test]
async fn the_mempool_shows_its_best_payments_first_and_the_double_spends() {
    let node = Node::start();
    let (cheap, rival) = (pay(ALICE, coin(ALICE, 0), 30), pay(ALICE, coin(ALICE, 0), 31));
    let alice = key(ALICE);
    let (name, owned) = coin(ALICE, 1);
    let dear = PaymentBuilder::new(chain().rules().chain).spend(name, owned, &alice).fee(Amount(40));
    let dear = dear.pay(address(BOB), Amount(60)).build(alice.address()).expect("the coin covers it");
    for tx in [&cheap, &dear, &rival] {
        node.submit(tx).await;
    }
    let mempool: MempoolInfo = node.read("/v1/mempool").await;
    assert_eq!((mempool.payments, mempool.fee_min), (2, Amount(2)));
    assert_eq!(mempool.bytes, (cheap.len() + dear.len()) as u64);
    let entries: Vec<_> = mempool.entries.iter().map(|entry| (entry.id, entry.fee.0, entry.pinned)).collect();
    assert_eq!(entries, [(dear.id(), 40, true), (cheap.id(), 5, true)]);
    let conflict = mempool.conflicts[0];
    assert_eq!((conflict.kept, conflict.seen, conflict.coin.tx), (cheap.id(), rival.id(), coin(ALICE, 0).0.tx));
    assert_eq!(mempool.conflicts_total, 1);
    let short: MempoolInfo = node.read("/v1/mempool?limit=1").await;
    assert_eq!((short.payments, short.entries.len()), (2, 1));
    let none: MempoolInfo = node.read("/v1/mempool?limit=0").await;
    assert_eq!((none.entries.len(), none.conflicts.len(), none.conflicts_total), (0, 0, 1));

    let seen: TransactionInfo = node.read(&format!("/v1/transactions/{}", rival.id())).await;
    assert_eq!((seen.status, seen.confirmations), (TransactionStatus::Conflicted, 0));
}
