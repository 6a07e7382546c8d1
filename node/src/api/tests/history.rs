//! Chain, tree and blocks; lookups through reorganisations and while the node is not settled.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use synod_consensus::{Answer, Fate};
use synod_ledger::{
    Block, BlockId, BlockTree, Coinbase, CompactTarget, Header, Height, Mempool, MempoolLimits, Output, Seal, Tx, TxId,
    U256,
};
use synod_machine::{Bytes, Counters, Time};

use crate::api::testing::{ALICE, BOB, Disk, MINER, Node, address, app, call, chain, code, coin, node_info, pay};
use crate::api::types::{
    ApiEvent, BlockInfo, BlockSummary, NodeStatus, SealKind, Status, TransactionInfo, TransactionStatus, TreeNode,
};
use crate::handle::{EngineRequest, Full, Kept, NodeHandle, Recent, View};

/// A block by somebody else, at `height` on `parent`.
pub(super) fn foreign_block(parent: BlockId, height: u64, payments: Vec<Tx>) -> Block {
    let rules = *chain().rules();
    let outputs = vec![Output::plain(rules.subsidy(Height(height)), address(BOB))];
    let coinbase = Coinbase { chain: rules.chain, height: Height(height), extra: 1, outputs };
    let root = Block::root_of(&coinbase, &payments);
    let seal = Seal::Declared { target: CompactTarget::MAX, draw: 1_000 + height };
    let time = Time::from_millis(height);
    let header = Header { chain: rules.chain, parent, height: Height(height), time, root, seal };
    Block::new(header, coinbase, payments)
}

#[tokio::test]
async fn the_chain_is_listed_newest_first_in_pages() {
    let node = Node::start();
    let mut ids = vec![chain().id()];
    for _ in 0..5 {
        ids.push(node.mine().await);
    }
    ids.reverse();
    let all: Vec<BlockSummary> = node.read("/v1/chain").await;
    assert_eq!(all.iter().map(|block| block.id).collect::<Vec<_>>(), ids);
    let newest = &all[0];
    assert_eq!((newest.height, newest.parent, newest.payments), (Height(5), ids[1], 0));
    assert_eq!(newest.miner, Some(address(MINER)));
    assert_eq!(newest.seal.kind, SealKind::Declared);
    assert_eq!(newest.seal.target.as_deref().map(str::len), Some(64));
    assert!(newest.time_unix_ms > 1_700_000_000_000);
    let genesis = &all[5];
    assert_eq!((genesis.miner, genesis.seal.kind, genesis.seal.nonce), (None, SealKind::Genesis, None));

    let page: Vec<BlockSummary> = node.read("/v1/chain?before=4&limit=2").await;
    assert_eq!(page.iter().map(|block| block.height.0).collect::<Vec<_>>(), [3, 2]);
    for (query, len) in [("before=0", 0), ("limit=0", 0), ("before=99", 6), ("limit=4294967295", 6), ("before=1", 1)] {
        let page: Vec<BlockSummary> = node.read(&format!("/v1/chain?{query}")).await;
        assert_eq!(page.len(), len, "{query}");
    }
}

#[tokio::test]
async fn a_block_is_found_by_id_and_by_height_in_memory_and_on_disk() {
    let node = Node::start();
    for _ in 0..5 {
        node.mine().await;
    }
    for (height, confirmations) in [(0, 6), (1, 5), (5, 1)] {
        let block: BlockInfo = node.read(&format!("/v1/blocks/{height}")).await;
        assert_eq!((block.summary.height.0, block.confirmations, block.active), (height, confirmations, true));
        let same: BlockInfo = node.read(&format!("/v1/blocks/{}", block.summary.id)).await;
        assert_eq!(same, block);
    }
    for unknown in ["6".to_owned(), "18446744073709551615".to_owned(), "00".repeat(32)] {
        let (status, body) = node.get(&format!("/v1/blocks/{unknown}")).await;
        assert_eq!((status.as_u16(), code(&body)), (404, "unknown_block"), "{unknown}");
    }
}

#[tokio::test]
async fn a_reorganisation_moves_payments_and_shows_both_branches() {
    let node = Node::start();
    let (kept, lost) = (pay(ALICE, coin(ALICE, 0), 30), pay(ALICE, coin(ALICE, 1), 30));
    let rival = pay(ALICE, coin(ALICE, 1), 31);
    node.submit(&kept).await;
    node.submit(&lost).await;
    let ours = node.mine().await;
    let status = |tx: &Tx| format!("/v1/transactions/{}", tx.id());
    let info: TransactionInfo = node.read(&status(&lost)).await;
    assert_eq!(info.status, TransactionStatus::Confirmed);

    let first = foreign_block(chain().id(), 1, vec![rival.clone()]);
    node.receive(first.clone()).await;
    // As heavy as ours, but seen later: nothing moves yet.
    let info: TransactionInfo = node.read(&status(&rival)).await;
    assert_eq!((info.status, info.block, info.proof), (TransactionStatus::Conflicted, None, None));
    let mut events = node.handle.subscribe();
    let second = foreign_block(first.id(), 2, Vec::new());
    node.receive(second.clone()).await;

    let event = loop {
        let event = events.recv().await.expect("an event");
        if event.name() == "tip" {
            break event;
        }
    };
    let tip = ApiEvent::Tip { id: second.id(), height: Height(2), reorg_depth: 1 };
    assert_eq!(event, tip);
    let info: TransactionInfo = node.read(&status(&rival)).await;
    assert_eq!((info.status, info.confirmations), (TransactionStatus::Confirmed, 2));
    let info: TransactionInfo = node.read(&status(&kept)).await;
    assert_eq!((info.status, info.confirmations), (TransactionStatus::Pending, 0));
    let info: TransactionInfo = node.read(&status(&lost)).await;
    assert_eq!((info.status, info.confirmations, info.proof), (TransactionStatus::Conflicted, 0, None));

    let tree: Vec<TreeNode> = node.read("/v1/tree").await;
    let shown: Vec<_> = tree.iter().map(|node| (node.id, node.height.0, node.active)).collect();
    let expected = [(second.id(), 2, true), (first.id(), 1, true), (ours, 1, false), (chain().id(), 0, true)];
    assert_eq!(shown, expected);
    assert!(tree.iter().all(|node| node.status == NodeStatus::Valid), "{tree:?}");
    let short: Vec<TreeNode> = node.read("/v1/tree?depth=1").await;
    assert_eq!(short.iter().map(|node| node.id).collect::<Vec<_>>(), [second.id()]);
    let block: BlockInfo = node.read(&format!("/v1/blocks/{ours}")).await;
    assert_eq!((block.active, block.confirmations), (false, 0));
}

#[tokio::test]
async fn an_acknowledged_payment_that_lost_its_coin_to_a_confirmed_one_is_conflicted_and_not_unknown() {
    let node = Node::start();
    let (lost, rival) = (pay(ALICE, coin(ALICE, 0), 30), pay(ALICE, coin(ALICE, 0), 31));
    assert_eq!(node.submit(&lost).await.0.as_u16(), 202);
    node.receive(foreign_block(chain().id(), 1, vec![rival.clone()])).await;
    let info: TransactionInfo = node.read(&format!("/v1/transactions/{}", rival.id())).await;
    assert_eq!(info.status, TransactionStatus::Confirmed);
    let info: TransactionInfo = node.read(&format!("/v1/transactions/{}", lost.id())).await;
    assert_eq!((info.status, info.payment.is_some()), (TransactionStatus::Conflicted, true));
}

#[tokio::test]
async fn status_says_where_the_node_stands() {
    let node = Node::start();
    let tip = node.mine().await;
    let status: Status = node.read("/v1/status").await;
    assert_eq!((status.name.as_str(), status.height, status.tip), ("peer1", Height(1), tip));
    assert_eq!((status.settled, status.syncing, status.peers), (true, Height(1), 1));
    assert_eq!(status.chain.genesis, chain().genesis().digest());
    assert_eq!((status.chain.id, status.chain.genesis_block), (chain().rules().chain, chain().id()));
    assert_eq!((status.block_time_ms, status.hashes_total), (2_000, 99));
    let node_of_tip: Vec<TreeNode> = node.read("/v1/tree?depth=1").await;
    assert_eq!(status.work, node_of_tip[0].weight);
    let peers = node.get("/v1/peers").await.1;
    assert_eq!(peers[0]["rtt_ms"], 1.5);
    assert!(peers[0].get("height").is_none(), "what is not known is left out: {peers}");
}

/// No block in memory.
struct Nothing;

impl Recent for Nothing {
    fn fate(&self, _: &TxId) -> Option<Fate> {
        None
    }

    fn recent_block(&self, _: &BlockId) -> Option<Block> {
        None
    }

    fn answer(&self, _: &TxId) -> Option<Answer> {
        None
    }
}

/// A handle whose engine is settled from its `settled_from`-th question on.
fn unsettled_until(settled_from: usize) -> (NodeHandle, Arc<AtomicUsize>) {
    let chain = chain();
    let (state, tree) = (chain.state().clone(), BlockTree::new(chain.block().header().clone(), U256::from(1)));
    let mempool = Mempool::new(MempoolLimits::default());
    let questions = Arc::new(AtomicUsize::new(0));
    let asked = Arc::clone(&questions);
    let send = move |request| {
        let EngineRequest::Query(question) = request else { panic!("only questions are asked") };
        question(&View {
            chain: &chain,
            counters: &Counters::default(),
            kept: Kept::Full(Full { mempool: &mempool, recent: &Nothing, state: &state }),
            node: &node_info(),
            overlays: None,
            settled: asked.fetch_add(1, Ordering::Relaxed) + 1 >= settled_from,
            tree: &tree,
            violation: None,
        });
        Ok(())
    };
    (NodeHandle::new(send, Arc::new(Disk::default())), questions)
}

#[tokio::test]
async fn a_transaction_is_called_unknown_only_when_the_node_is_settled() {
    let path = format!("/v1/transactions/{}", TxId(Bytes::ZERO));
    let (handle, questions) = unsettled_until(3);
    let (router, _stop) = app(handle);
    let (status, _, body) = call(&router, "GET", &path, Body::empty(), &[]).await;
    assert_eq!((status.as_u16(), code(&body)), (404, "unknown_transaction"));
    assert_eq!(questions.load(Ordering::Relaxed), 3, "it asked again until the node had settled");

    let (handle, _) = unsettled_until(usize::MAX);
    let (router, _stop) = app(handle);
    let (status, _, body) = call(&router, "GET", &path, Body::empty(), &[]).await;
    assert_eq!((status.as_u16(), code(&body)), (503, "unsettled"));
}
