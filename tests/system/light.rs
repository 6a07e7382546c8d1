//! The ledger as what peers share, and light peers, who keep headers alone and read the rest of others.

use std::time::Duration;

use synod_lab::network::STOP_GRACE;
use synod_lab::settings::{Consensus, Settings};
use synod_ledger::{Amount, BlockId, Height, PaymentBuilder, State, Tx};
use synod_node::api::client::Client;
use synod_node::api::types::{
    AddressQuery, BlockRef, FetchRequest, FindMode, FindQuestion, FindRequest, MempoolQuery, TransactionStatus,
};
use synod_node::config::{DhtKind, SearchKind, load_genesis};

use crate::bad_input::alice;
use crate::support::{Net, wait};

/// Pays from Alice to Bob by the command line, and gives the payment's id.
fn pay(net: &Net, peer: &str) -> synod_ledger::TxId {
    let sent = net.synod_json(&["tx", "send", "--from", "alice", "--to", "bob", "--amount", "3", "--peer", peer]);
    sent["id"].as_str().expect("an id").parse().expect("an id")
}

/// A payment of one of Alice's coins back to herself, made without asking a peer.
fn payment(net: &Net) -> Tx {
    let genesis = load_genesis(&net.network.genesis_path()).expect("the network's genesis");
    let owner = alice(net);
    let (name, coin) = State::genesis(&genesis).coins_of(&owner.address())[0];
    let payment = PaymentBuilder::new(genesis.chain_id()).spend(name, coin, &owner);
    payment.pay(owner.address(), Amount::from_coins(1)).fee(Amount(2_000)).build(owner.address()).expect("it is enough")
}

/// Waits until the light peer at `place` read the block at that height of others, and compares it with what a full one has.
async fn read_block(net: &Net, place: usize, height: Height) -> BlockId {
    let full = net.client(0).block(BlockRef::Height(height)).await.expect("it is that high");
    wait("a light peer to read a block of others", async || {
        net.client(place).block(BlockRef::Id(full.summary.id)).await.is_ok()
    })
    .await;
    let read = net.client(place).block(BlockRef::Id(full.summary.id)).await.expect("just read");
    assert_eq!((&read.summary, read.root, &read.coinbase), (&full.summary, full.root, &full.coinbase));
    assert_eq!(read.transactions, full.transactions);
    full.summary.id
}

async fn refused(client: &Client) {
    let address = "syn1glhphlst8c52rxj4k5fy6deklr87arwpzhvdra".parse().expect("an address");
    let error = client.address(address, AddressQuery { coins: None }).await.expect_err("it has no coins");
    assert!(error.to_string().contains("keeps headers alone"), "{error}");
    let error = client.mempool(MempoolQuery { limit: None }).await.expect_err("it has no pool");
    assert!(error.to_string().contains("keeps headers alone"), "{error}");
}

/// Every block and payment is shared by some of the full peers, and every mode finds and fetches it.
#[tokio::test(flavor = "multi_thread")]
async fn blocks_and_payments_are_found_by_every_mode() {
    let all = |settings: &mut Settings| {
        settings.dht = DhtKind::ALL.to_vec();
        settings.search = SearchKind::ALL.to_vec();
    };
    let net = Net::up(6, all).await;
    let id = pay(&net, "peer2");
    net.wait_known(id, 1).await;
    let info = net.client(0).transaction(id).await.expect("it is known");
    let block = info.block.expect("it is in a block");
    for mode in FindMode::ALL {
        for (name, word) in [(block.0.to_string(), "block"), (id.0.to_string(), "payment")] {
            let request = FindRequest {
                mode,
                question: FindQuestion::Name(name.clone()),
                ttl: 0,
                wanted: None,
                replicas: None,
                read: None,
            };
            wait(&format!("{} to find the {word}", mode.name()), async || {
                let answer = net.client(4).find(&request).await.expect("a search ends");
                let Some(hit) = answer.hits.first() else { return false };
                assert_eq!((hit.item.name.as_str(), hit.item.keywords.contains(word)), (name.as_str(), true));
                let fetch = FetchRequest { item: hit.item.clone(), holders: vec![hit.holder.clone()] };
                // Its hash is checked by whoever fetches.
                net.client(4).fetch(&fetch).await.is_ok_and(|(content, _)| content.len() as u64 == hit.item.bytes)
            })
            .await;
        }
    }
}

/// On a chain of work: a light peer follows by headers, reads blocks and payments by every table, and hands payments on; it is back
/// where it was after a kill, and a full peer from its disk.
#[tokio::test(flavor = "multi_thread")]
async fn a_light_peer_reads_blocks_and_payments_of_others_and_believes_its_headers() {
    const LIGHT: usize = 5;
    let tune = |settings: &mut Settings| {
        settings.light = 1;
        settings.dht = DhtKind::ALL.to_vec();
    };
    let mut net = Net::up(LIGHT + 1, tune).await;
    let tip = net.wait_one_tip(3).await;
    let status = net.status(LIGHT).await;
    assert!(status.light && status.supply.is_none(), "{status:?}");
    assert!(!tip.light && tip.supply.is_some(), "{tip:?}");
    refused(&net.client(LIGHT)).await;
    let error = net.client(LIGHT).chain(Default::default()).await.expect_err("it has no blocks");
    assert!(error.to_string().contains("keeps headers alone"), "{error}");
    read_block(&net, LIGHT, Height(2)).await;

    // What it is given for its user it hands to full peers.
    let tx = payment(&net);
    let id = net.client(LIGHT).submit(&tx).await.expect("its form is good").id;
    net.wait_known(id, 2).await;
    let (full, light) = (net.client(0).transaction(id).await, net.client(LIGHT).transaction(id).await);
    let (full, light) = (full.expect("confirmed"), light.expect("read of others"));
    assert_eq!(light.status, TransactionStatus::Confirmed);
    assert_eq!((light.block, light.height, light.index), (full.block, full.height, full.index));
    assert_eq!((light.payment, light.proof), (full.payment, full.proof), "and the proof is the same");

    net.network.kill(LIGHT).await.expect("it runs");
    net.start(&[LIGHT]).await;
    let back = net.status(LIGHT).await;
    assert!(back.height >= full.height.expect("in a block"), "its headers are on its disk: {back:?}");
    net.wait_one_tip(back.height.0 + 1).await;

    // The same disk is a full peer's whose bodies have not come yet.
    let everybody: Vec<usize> = (0..=LIGHT).collect();
    let _ = net.network.stop(&everybody, STOP_GRACE).await;
    let settings = Settings { light: 0, ..net.network.manifest().settings.clone() };
    net.network.reconfigure(settings).expect("nothing runs");
    net.start(&everybody).await;
    let tip = net.wait_one_tip(back.height.0 + 2).await;
    let grown = net.status(LIGHT).await;
    assert!(!grown.light && grown.supply == Some(grown.supply_scheduled), "{grown:?}, beside {tip:?}");
}

/// On a chain of validators: what a light peer reads is final by the certificate in its header.
#[tokio::test(flavor = "multi_thread")]
async fn a_light_peer_of_validators_knows_what_is_final() {
    const LIGHT: usize = 4;
    let tune = |settings: &mut Settings| {
        settings.consensus = Consensus::Pbft;
        settings.light = 1;
        settings.dht = vec![DhtKind::Kademlia];
    };
    let net = Net::up(LIGHT + 1, tune).await;
    let id = pay(&net, "peer1");
    net.wait_known(id, 1).await;
    let read = net.client(LIGHT).transaction(id).await.expect("just known");
    assert!(read.is_final, "{read:?}");
    read_block(&net, LIGHT, read.height.expect("in a block")).await;
}

/// Who cannot be light is told why.
#[tokio::test(flavor = "multi_thread")]
async fn what_no_light_peer_can_do_is_refused() {
    let net = Net::create(1, |settings| {
        (settings.consensus, settings.block_time) = (Consensus::Pos, Duration::from_secs(2));
    });
    let config = net.network.config_path(0);
    let config = config.to_str().expect("a path");
    let output = net.synod(&["node", "--config", config, "--light"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("proves nothing without the coins") && text.contains("as a full peer"), "{text}");
    assert_eq!(output.status.code(), Some(3));

    let net = Net::create(4, |settings| settings.consensus = Consensus::Pbft);
    let config = net.network.config_path(0);
    let output = net.synod(&["node", "--config", config.to_str().expect("a path"), "--light"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("it is a validator of its chain"), "{text}");
    assert_eq!(output.status.code(), Some(3));

    let folder = tempfile::tempdir().expect("a temporary folder");
    let dir = folder.path().join("net");
    for words in [["--nodes", "2", "--light", "2"], ["--consensus", "pos", "--light", "1"]] {
        let output = crate::support::synod_in(&dir, &[&["up", "--detach"], &words[..]].concat());
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(text.contains("light"), "{text}");
        assert_eq!(output.status.code(), Some(3), "{text}");
    }
}
