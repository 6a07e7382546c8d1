//! Nothing that a peer or a client sends stops a node, and each mistake is refused with its own reason and counted.

use synod_consensus::{Message, Pow};
use synod_lab::create::{node_config, save_config};
use synod_ledger::{
    Address, Amount, Block, BlockId, BlockTree, Coin, Coinbase, CompactTarget, Header, OutPoint, Output, Payment,
    PaymentBuilder, Seal, SecretKey, Tx, TxId, U256,
};
use synod_machine::{Bytes, Rng, Time, wire};
use synod_node::config::{Config, load_genesis};
use synod_node::net::Topic;

use crate::attacker::Attacker;
use crate::support::{Net, metric, wait};

/// What is wrong with a header.
type Change<'a> = &'a dyn Fn(&mut Header);

/// One node that is sent all this, and whoever it needs to make blocks.
pub(crate) struct Scene {
    pub(crate) net: Net,
    pub(crate) genesis: synod_ledger::Genesis,
    url: String,
}

impl Scene {
    async fn new() -> Self {
        Self::start(Net::create(1, |settings| settings.hash_rate = 20_000), &[0]).await
    }

    /// The node makes no blocks, so the genesis stays its tip until somebody sends it a better one.
    async fn without_miner() -> Self {
        let net = Net::create(1, |settings| settings.hash_rate = 20_000);
        let config = Config { mining: None, ..node_config(net.network.manifest(), 0) };
        save_config(&net.network.config_path(0), &config).expect("a writable folder");
        Self::start(net, &[0]).await
    }

    pub(crate) async fn start(mut net: Net, places: &[usize]) -> Self {
        net.start(places).await;
        let genesis = load_genesis(&net.network.genesis_path()).expect("the network's genesis");
        let url = format!("http://{}", net.client_address(0));
        Self { net, genesis, url }
    }

    pub(crate) async fn attacker(&self, number: u8) -> Attacker {
        let address = self.net.status(0).await.listen[0].clone();
        Attacker::connect(&self.genesis, &address, number).await
    }

    async fn rejects(&self, reason: &str) -> f64 {
        metric(&self.url, "synod_rejects_total", &format!("\"{reason}\"")).await
    }

    /// Does `act` until the node has counted one more reject of that reason.
    pub(crate) async fn until_rejected(&self, reason: &str, mut act: impl AsyncFnMut()) {
        let before = self.rejects(reason).await;
        wait(&format!("a reject for {reason}"), async || {
            act().await;
            self.rejects(reason).await > before
        })
        .await;
    }

    /// The node still answers and still makes blocks.
    pub(crate) async fn is_well(&self) {
        let before = self.net.status(0).await.height;
        wait("the node to go on mining", async || self.net.status(0).await.height > before).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_and_gossip_of_any_bytes_are_counted_and_survived() {
    let scene = Scene::new().await;
    send_garbage(&scene).await;
    scene.is_well().await;
}

/// Frames and gossip of any bytes.
pub(crate) async fn send_garbage(scene: &Scene) {
    let mut rng = Rng::new(1, 0, "bad input");
    let good = wire::encode(&synod_peer::Message::<synod_dht::Contact>::Replica(Message::GetBlocks(vec![BlockId(
        Bytes([1; 32]),
    )])));
    for number in 1..=4 {
        // Each round a fresh identity: an attacker that sends this much is disconnected.
        let mut attacker = scene.attacker(number).await;
        let before = scene.rejects("malformed").await;
        for _ in 0..3 {
            let bytes: Vec<u8> = (0..rng.below(200)).map(|_| rng.next_u64() as u8).collect();
            attacker.frame(&bytes).await;
            attacker.frame(&good[..rng.below(good.len() as u64) as usize]).await;
            attacker.gossip(Topic::Blocks, bytes.clone()).await;
            attacker.gossip(Topic::Transactions, bytes).await;
        }
        attacker.drain();
        wait("malformed bytes to be counted", async || scene.rejects("malformed").await >= before + 3.0).await;
    }
    let attacker = scene.attacker(100).await;
    let before = scene.rejects("oversized").await;
    attacker.frame(&vec![0; synod_peer_frame_max() + 1]).await;
    wait("an oversized frame to be counted", async || scene.rejects("oversized").await > before).await;
}

fn synod_peer_frame_max() -> usize {
    <synod_peer::Message<synod_dht::Contact> as synod_machine::Wire>::BYTES_MAX
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_no_honest_peer_makes_have_their_own_reasons() {
    let scene = Scene::new().await;
    ask_wrongly(&scene).await;
    scene.is_well().await;
}

/// Requests that are too long, and an answer that nobody asked for.
pub(crate) async fn ask_wrongly(scene: &Scene) {
    let attacker = scene.attacker(1).await;
    let id = |number: u64| {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        Bytes(bytes)
    };
    scene
        .until_rejected("too_many", async || {
            attacker.message(Message::GetBlocks((0..17).map(|number| BlockId(id(number))).collect())).await;
        })
        .await;
    scene.until_rejected("unsolicited", async || attacker.message(Message::Headers(Vec::new())).await).await;
    scene
        .until_rejected("too_many", async || {
            attacker.message(Message::Pool((0..2_001).map(|number| TxId(id(number))).collect())).await;
        })
        .await;
}

/// Issue 2, 5: transactions that overspend, double-spend, overflow, are unsigned or signed for another chain.
#[tokio::test(flavor = "multi_thread")]
async fn bad_payments_are_refused_by_the_api_with_their_own_reasons() {
    let scene = Scene::new().await;
    pay_badly(&scene).await;
    scene.is_well().await;
}

/// Payments with each a mistake, to the API.
pub(crate) async fn pay_badly(scene: &Scene) {
    let alice = alice(&scene.net);
    let coins = coins(scene, &alice);
    let chain = scene.genesis.chain_id();
    let to = Address(Bytes([9; 20]));
    let pay = |place: usize, amount: u64| {
        let (name, coin) = coins[place];
        let builder = PaymentBuilder::new(chain).spend(name, coin, &alice).pay(to, Amount(amount));
        builder.fee(Amount(100_000)).build(alice.address()).expect("enough money")
    };
    let altered = |change: &dyn Fn(&mut Payment)| {
        let mut payment = Payment::clone(&pay(0, 1_000));
        change(&mut payment);
        Tx::from(payment)
    };
    let resigned = |change: &dyn Fn(&mut Payment)| {
        let mut payment = Payment::clone(&altered(change));
        let id = Tx::from(payment.clone()).id();
        for input in &mut payment.inputs {
            input.signature = alice.sign(&id.0.0);
        }
        Tx::from(payment)
    };
    let first = pay(1, 1_000);
    scene.net.client(0).submit(&first).await.expect("a valid payment");
    let again = scene.net.client(0).submit(&first).await.expect("the same once more is accepted once more");
    assert_eq!(again.id, first.id());

    let table: [(&str, Tx); 9] = [
        ("tx_overspend", resigned(&|payment| payment.outputs[0].amount = Amount(2_000_000_000_000))),
        ("tx_conflict", pay(1, 2_000)),
        (
            "tx_amount_overflow",
            resigned(&|payment| {
                payment.outputs[0].amount = Amount(u64::MAX);
                payment.outputs.push(Output::plain(Amount(u64::MAX), to));
            }),
        ),
        ("tx_signature", altered(&|payment| payment.inputs[0].signature = Default::default())),
        ("tx_foreign_chain", resigned(&|payment| payment.chain.0.0[0] ^= 1)),
        ("tx_missing_coin", resigned(&|payment| payment.inputs[0].coin.index = 77_777)),
        ("tx_twice", resigned(&|payment| payment.inputs.push(payment.inputs[0]))),
        ("tx_form", resigned(&|payment| payment.outputs[0].amount = Amount::ZERO)),
        ("tx_key", resigned(&|payment| payment.inputs[0].key = SecretKey::from_bytes([3; 32]).public())),
    ];
    for (reason, tx) in table {
        let error = scene.net.client(0).submit(&tx).await.expect_err(reason);
        let text = format!("{error:?}");
        // Where validators were quick, a block has the first payment, and its coin is no more.
        let is_gone = reason == "tx_conflict" && text.contains("tx_missing_coin");
        let reason = if is_gone { "tx_missing_coin" } else { reason };
        assert!(text.contains(reason), "{reason}: {text}");
        assert!(metric(&scene.url, "synod_submits_total", reason).await >= 1.0, "{reason} is counted");
    }
    let garbage = reqwest::Client::new().post(format!("{}/v1/transactions", scene.url));
    let answer = garbage.body("{\"transaction\": \"zz\"}").header("content-type", "application/json").send().await;
    let answer = answer.expect("an answer");
    assert!(answer.status().is_client_error());
    assert!(answer.text().await.expect("a text").contains("\"error\""));
}

/// Issue 2, 5: blocks with a wrong root, seal, time, height, subsidy.
#[tokio::test(flavor = "multi_thread")]
async fn bad_blocks_are_refused_with_their_own_reasons() {
    let scene = Scene::without_miner().await;
    let tree = BlockTree::new(scene.genesis.block().header().clone(), U256::ZERO);
    let cases: [(&str, Change); 6] = [
        ("block_root", &|header| header.root.0[0] ^= 1),
        ("block_height", &|header| header.height = header.height.next()),
        ("block_time_past", &|header| header.time = Time::ZERO),
        ("block_time_future", &|header| header.time = Time(u64::MAX / 2)),
        ("block_target", &|header| header.seal = Seal::Work { target: CompactTarget::MAX, nonce: 0 }),
        ("block_foreign_chain", &|header| header.chain.0.0[0] ^= 1),
    ];
    let mut number = 0;
    for (reason, change) in cases {
        number += 1;
        let attacker = scene.attacker(number).await;
        scene
            .until_rejected(reason, async || {
                let block = block(&scene, &tree, Amount(5_000_000_000), change, true);
                attacker.gossip(Topic::Blocks, wire::encode(&block)).await;
            })
            .await;
    }
    let attacker = scene.attacker(number + 1).await;
    scene
        .until_rejected("block_seal", async || {
            let block = block(&scene, &tree, Amount(5_000_000_000), &|_| {}, false);
            attacker.gossip(Topic::Blocks, wire::encode(&block)).await;
        })
        .await;
    let attacker = scene.attacker(number + 2).await;
    scene
        .until_rejected("block_subsidy", async || {
            let block = block(&scene, &tree, Amount(5_000_000_001), &|_| {}, true);
            attacker.gossip(Topic::Blocks, wire::encode(&block)).await;
        })
        .await;
    // After all that it still takes a good one.
    let attacker = scene.attacker(number + 3).await;
    wait("the node to take a good block", async || {
        let block = block(&scene, &tree, Amount(5_000_000_000), &|_| {}, true);
        attacker.gossip(Topic::Blocks, wire::encode(&block)).await;
        scene.net.status(0).await.height.0 > 0
    })
    .await;
}

/// A block on the genesis, changed and then sealed, or not.
fn block(scene: &Scene, tree: &BlockTree, reward: Amount, change: Change<'_>, sealed: bool) -> Block {
    let params = scene.genesis.engine.pow().expect("a chain of work");
    let rule = Pow::new(params.clone());
    let chain = scene.genesis.chain_id();
    let parent = scene.genesis.block();
    let to = Address(Bytes([5; 20]));
    let extra = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock").as_nanos() as u64;
    let height = parent.height().next();
    let coinbase = Coinbase { chain, height, extra, outputs: vec![Output::plain(reward, to)] };
    let root = Block::root_of(&coinbase, &[]);
    let target = rule.target_after(tree, &parent.id());
    let seal = Seal::Work { target, nonce: 0 };
    let mut header = Header { chain, parent: parent.id(), height, time: Time::from_millis(1), root, seal };
    change(&mut header);
    let goal = target.to_target().expect("a target");
    for nonce in 0_u64.. {
        if let Seal::Work { nonce: tried, .. } = &mut header.seal {
            *tried = nonce;
        }
        let met = U256::from_be_bytes(header.id().0.0) <= goal;
        if met == sealed {
            break;
        }
    }
    Block::new(header, coinbase, Vec::new())
}

/// A wallet of the network's.
pub(crate) fn alice(net: &Net) -> SecretKey {
    let wallets = synod_lab::wallets::Wallets::of(net.network.dir());
    let source = synod_lab::wallets::PassphraseSource::default();
    wallets.unlock("alice", &source).expect("alice's passphrase lies in the network's folder")
}

/// What it has from the start.
pub(crate) fn coins(scene: &Scene, owner: &SecretKey) -> Vec<(OutPoint, Coin)> {
    synod_ledger::State::genesis(&scene.genesis).coins_of(&owner.address())
}
