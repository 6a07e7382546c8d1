//! Nothing that a peer sends stops a node of a chain whose blocks are made by stake; each mistake has its own reason.

use synod_consensus::Pos;
use synod_lab::settings::Consensus;
use synod_ledger::{Amount, Block, BlockTree, Coinbase, Engine, Header, Output, Seal, SecretKey, State, U256};
use synod_machine::{Time, wire};
use synod_node::net::{Identity, Topic};

use crate::bad_input::{Scene, ask_wrongly, pay_badly, send_garbage};
use crate::support::{Net, wait};

/// What is wrong with a header.
type Change<'a> = &'a dyn Fn(&mut Header);

/// A chain with one stake, whose owner is the test: the node has an identity of its own and makes no blocks.
struct Chain {
    scene: Scene,
    tree: BlockTree,
    pos: Pos,
    minter: SecretKey,
}

impl Chain {
    async fn new() -> Self {
        let net = Net::create(1, tune);
        let config = net.network.config_path(0);
        let key = config.parent().expect("a folder").join("data/identity.key");
        let minter = SecretKey::from_bytes(*Identity::load_or_create(&key).expect("the peer's key").secret());
        std::fs::remove_file(&key).expect("a writable folder");
        let scene = Scene::start(net, &[0]).await;
        let tree = BlockTree::new(scene.genesis.block().header().clone(), U256::ZERO);
        let Engine::Pos(params) = scene.genesis.engine.clone() else { panic!("a chain of stakes") };
        let pos = Pos::new(params);
        Self { scene, tree, pos, minter }
    }

    /// A block on the genesis by the stake's owner, in a second that it wins or does not, changed before it is signed.
    fn block(&self, signer: &SecretKey, wins: bool, reward: Amount, change: Change<'_>) -> Block {
        let genesis = self.scene.genesis.block();
        let (chain, parent) = (self.scene.genesis.chain_id(), genesis.id());
        let difficulty = self.pos.difficulty_after(&self.tree, &parent);
        let stake = State::genesis(&self.scene.genesis).recorded_stake(&self.minter.address());
        let is_won = |&second: &u64| {
            let owner = self.minter.address();
            self.pos.first_win(&parent, &owner, stake, difficulty, second, second + 1).is_some() == wins
        };
        let second = (1..).find(is_won).expect("some are won and some are lost");
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock");
        let extra = u64::try_from(now.as_nanos()).expect("this century");
        let height = genesis.height().next();
        let outputs = vec![Output::plain(reward, signer.address())];
        let coinbase = Coinbase { chain, height, extra, outputs };
        let root = Block::root_of(&coinbase, &[]);
        let seal = self.pos.unsigned(signer, difficulty);
        let mut header = Header { chain, parent, height, time: Time::from_secs(second), root, seal };
        change(&mut header);
        Block::new(self.pos.seal(header, signer), coinbase, Vec::new())
    }

    async fn refuses(&self, number: u8, reason: &str, make: impl Fn() -> Block) {
        let attacker = self.scene.attacker(number).await;
        self.scene.until_rejected(reason, async || attacker.gossip(Topic::Blocks, wire::encode(&make())).await).await;
    }
}

fn tune(settings: &mut synod_lab::settings::Settings) {
    settings.consensus = Consensus::Pos;
    settings.block_time = std::time::Duration::from_secs(2);
}

/// Issue 4, 1: blocks with a wrong root, height, time, difficulty, signature, stake or subsidy.
#[tokio::test(flavor = "multi_thread")]
async fn bad_blocks_of_a_stake_are_refused_with_their_own_reasons() {
    let chain = Chain::new().await;
    let subsidy = chain.scene.genesis.ledger.subsidy;
    let headers: [(&str, Change); 7] = [
        ("block_root", &|header| header.root.0[0] ^= 1),
        ("block_height", &|header| header.height = header.height.next()),
        ("block_time_past", &|header| header.time = Time::ZERO),
        ("block_time_future", &|header| header.time = Time::from_secs(1 << 31)),
        ("block_target", &|header| {
            if let Seal::Stake { difficulty, .. } = &mut header.seal {
                *difficulty += 1;
            }
        }),
        ("block_seal", &|header| header.time = Time(header.time.0 + 1)),
        ("block_foreign_chain", &|header| header.chain.0.0[0] ^= 1),
    ];
    let mut number = 0;
    for (reason, change) in headers {
        number += 1;
        chain.refuses(number, reason, || chain.block(&chain.minter, true, subsidy, change)).await;
    }
    // Somebody else's signature under the owner's name.
    let forged = || {
        let good = chain.block(&chain.minter, true, subsidy, &|_| {});
        let mut header = good.header().clone();
        let other = SecretKey::from_bytes([7; 32]).sign(header.id().0.0.as_slice());
        if let Seal::Stake { signature, .. } = &mut header.seal {
            *signature = other;
        }
        Block::new(header, good.coinbase().clone(), Vec::new())
    };
    chain.refuses(number + 1, "block_seal", forged).await;
    let stranger = SecretKey::from_bytes([3; 32]);
    chain.refuses(number + 2, "block_stake", || chain.block(&stranger, true, subsidy, &|_| {})).await;
    chain.refuses(number + 3, "block_stake", || chain.block(&chain.minter, false, subsidy, &|_| {})).await;
    let more = Amount(subsidy.0 + 1);
    chain.refuses(number + 4, "block_subsidy", || chain.block(&chain.minter, true, more, &|_| {})).await;
    // After all that it still takes a good one.
    let attacker = chain.scene.attacker(number + 5).await;
    wait("the node to take a good block", async || {
        let block = chain.block(&chain.minter, true, subsidy, &|_| {});
        attacker.gossip(Topic::Blocks, wire::encode(&block)).await;
        chain.scene.net.status(0).await.height.0 > 0
    })
    .await;
}

/// Issue 4, 1: garbage, wrong requests and bad payments have the reasons that they have on every chain.
#[tokio::test(flavor = "multi_thread")]
async fn a_minter_survives_garbage_and_refuses_bad_payments() {
    let scene = Scene::start(Net::create(1, tune), &[0]).await;
    send_garbage(&scene).await;
    ask_wrongly(&scene).await;
    pay_badly(&scene).await;
    let before = scene.net.status(0).await.height;
    wait("the node to go on minting", async || scene.net.status(0).await.height > before).await;
}
