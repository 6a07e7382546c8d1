//! Nothing that a peer sends stops a validator, not even another validator's key; each mistake has its own reason.

use synod_consensus::pbft::{
    Base, Commit, Hello, Identity, Message as Vote, NewView, Order, PrePrepare, Rules, Signed, ValidatorId, Validators,
    View, ViewChange,
};
use synod_consensus::{Agreed, Message};
use synod_lab::settings::Consensus;
use synod_ledger::{
    Address, Amount, Block, BlockId, Certificate, Coinbase, Engine, Header, Height, PaymentBuilder, Seal, SecretKey,
    Signature, Tx, commit_digest,
};
use synod_machine::{Bytes, Time, wire};
use synod_node::net::Topic;

use crate::bad_input::{Scene, alice, ask_wrongly, coins, pay_badly, send_garbage};
use crate::support::{Net, wait};

const VALIDATORS: usize = 4;
/// The validator that does not run: the test has its key.
const FAULTY: u8 = 3;

/// Three validators that run and one whose key the attacker has.
struct Chain {
    scene: Scene,
    rules: Rules,
    faulty: Identity,
}

impl Chain {
    async fn new() -> Self {
        let net = Net::create(VALIDATORS, |settings| settings.consensus = Consensus::Pbft);
        let config = net.network.config_path(usize::from(FAULTY));
        let key = config.parent().expect("a folder").join("data/identity.key");
        let key = synod_node::net::Identity::load_or_create(&key).expect("the peer's key");
        let scene = Scene::start(net, &[0, 1, 2]).await;
        let Engine::Pbft(params) = scene.genesis.engine.clone() else { panic!("a chain of validators") };
        let validators = Validators::new(Agreed::new(params).validators()).expect("a checked genesis");
        let faulty = Identity::of(&SecretKey::from_bytes(*key.secret()), &validators).expect("a validator's key");
        let rules = Rules { chain: scene.genesis.chain_id(), genesis: scene.genesis.block().id(), validators };
        assert_eq!(faulty.id, ValidatorId(FAULTY));
        Self { scene, rules, faulty }
    }

    fn signed<T: synod_consensus::pbft::Statement>(&self, body: T) -> Signed<T> {
        Signed::new(&self.rules, &self.faulty, body)
    }

    /// A certificate with the faulty one's vote alone.
    fn certificate(&self, height: Height, id: BlockId) -> Certificate {
        let vote = self.faulty.secret.sign(commit_digest(self.rules.chain, 0, height, id).as_slice());
        Certificate::new(0, vec![(FAULTY, vote)])
    }

    /// A proposal on the genesis, changed.
    fn proposal(&self, change: impl Fn(&mut Header)) -> Block {
        let (chain, genesis) = (self.rules.chain, self.scene.genesis.block());
        let height = genesis.height().next();
        let coinbase = Coinbase { chain, height, extra: 1, outputs: Vec::new() };
        let root = Block::root_of(&coinbase, &[]);
        let seal = Seal::Agreed { certificate: Certificate::none() };
        let mut header = Header { chain, parent: genesis.id(), height, time: Time::from_millis(1), root, seal };
        change(&mut header);
        Block::new(header, coinbase, Vec::new())
    }

    /// All that is wrong, with its reason.
    fn mistakes(&self) -> Vec<(&'static str, Vote<Block>)> {
        let block = self.proposal(|_| {});
        let (height, id, parent) = (block.height(), block.id(), block.header().parent);
        let order = |view| Order { view, height, id, parent };
        let commit = Commit { view: View(0), height, id };
        let base = Base { height, id, certificate: self.certificate(height, id) };
        let genesis = Base::genesis(self.rules.genesis);
        let change = ViewChange { view: View(3), base: base.clone(), prepared: Vec::new() };
        let lone = ViewChange { view: View(3), base: genesis, prepared: Vec::new() };
        let view = NewView { view: View(3), changes: vec![self.signed(lone)], orders: Vec::new() };
        let stranger = Signed::from_parts(Hello { salt: 1 }, ValidatorId(200), Signature::NONE);
        let other = Order { id: BlockId(Bytes([8; 32])), ..order(View(3)) };
        vec![
            ("vote_stranger", Vote::Hello { hello: stranger, asks: false }),
            (
                "vote_signature",
                Vote::Commit(Signed::from_parts(commit, ValidatorId(1), self.signed(commit).signature())),
            ),
            (
                "vote_primary",
                Vote::PrePrepare { order: self.signed(PrePrepare(order(View(0)))), proposal: block.clone() },
            ),
            ("vote_proposal", Vote::PrePrepare { order: self.signed(PrePrepare(other)), proposal: block }),
            ("vote_certificate", Vote::Decided { base, proposal: None }),
            ("vote_change", Vote::ViewChange(self.signed(change))),
            ("vote_new_view", Vote::NewView(self.signed(view))),
        ]
    }
}

/// Issue 4, 1: votes that are forged, premature, by nobody or about something else.
#[tokio::test(flavor = "multi_thread")]
async fn bad_votes_are_refused_with_their_own_reasons() {
    let chain = Chain::new().await;
    for (number, (reason, vote)) in (1..).zip(chain.mistakes()) {
        let attacker = chain.scene.attacker(number).await;
        let message = Message::Agreement(vote);
        chain.scene.until_rejected(reason, async || attacker.message(message.clone()).await).await;
    }
    goes_on(&chain.scene).await;
}

/// Issue 4, 1: blocks that nobody agreed on, or one validator alone, and what is wrong whoever agreed.
#[tokio::test(flavor = "multi_thread")]
async fn blocks_without_their_votes_are_refused_with_their_own_reasons() {
    let chain = Chain::new().await;
    let certified = |block: Block| {
        let certificate = chain.certificate(block.height(), block.id());
        block.certified(certificate)
    };
    let blocks = [
        ("block_seal", chain.proposal(|_| {})),
        ("block_seal", certified(chain.proposal(|_| {}))),
        ("block_root", certified(chain.proposal(|header| header.root.0[0] ^= 1))),
        ("block_height", certified(chain.proposal(|header| header.height = header.height.next()))),
        ("block_time_past", certified(chain.proposal(|header| header.time = Time::ZERO))),
        ("block_foreign_chain", certified(chain.proposal(|header| header.chain.0.0[0] ^= 1))),
    ];
    for (number, (reason, block)) in (1..).zip(blocks) {
        let attacker = chain.scene.attacker(number).await;
        let bytes = wire::encode(&block);
        chain.scene.until_rejected(reason, async || attacker.gossip(Topic::Blocks, bytes.clone()).await).await;
    }
    goes_on(&chain.scene).await;
}

/// Issue 4, 1: garbage, wrong requests and bad payments have the reasons that they have on every chain, and so do payments
/// that are handed to a validator directly.
#[tokio::test(flavor = "multi_thread")]
async fn a_validator_survives_garbage_and_refuses_bad_payments() {
    let chain = Chain::new().await;
    send_garbage(&chain.scene).await;
    ask_wrongly(&chain.scene).await;
    pay_badly(&chain.scene).await;
    let alice = alice(&chain.scene.net);
    let (name, coin) = *coins(&chain.scene, &alice).last().expect("alice has coins");
    let builder = PaymentBuilder::new(chain.rules.chain).spend(name, coin, &alice);
    let builder = builder.pay(Address(Bytes([9; 20])), Amount(1_000)).fee(Amount(100_000));
    let mut payment = synod_ledger::Payment::clone(&builder.build(alice.address()).expect("enough money"));
    payment.inputs[0].signature = alice.sign(b"something else");
    let tx = Tx::from(payment);
    let attacker = chain.scene.attacker(50).await;
    chain.scene.until_rejected("tx_signature", async || attacker.message(Message::Request(tx.clone())).await).await;
    goes_on(&chain.scene).await;
}

/// The validators still agree on a payment.
async fn goes_on(scene: &Scene) {
    let words = ["tx", "send", "--from", "bob", "--to", "carol", "--amount", "1", "--peer", "peer2"];
    let sent = scene.net.synod_json(&words);
    let id = sent["id"].as_str().expect("an id").parse().expect("a transaction's id");
    for place in 0..usize::from(FAULTY) {
        wait("the payment to be agreed on", async || {
            scene.net.client(place).transaction(id).await.is_ok_and(|info| info.confirmations > 0)
        })
        .await;
    }
}
