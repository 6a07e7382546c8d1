//! A replica of a chain of validators on a bench: certificates that are good, spoilt, and too many.

use alloc::sync::Arc;
use core::time::Duration;
use std::format;
use std::string::String;
use std::vec;
use std::vec::Vec;

use synod_ledger::{
    Block, BlockId, Certificate, Coinbase, Engine, Header, Height, Output, PbftParams, Seal, SecretKey, Signature,
    State, Tx, U256, Validator, commit_digest,
};
use synod_machine::{Bytes, Time};

use crate::pbft::{self, Base, Hello, Identity, Rules, Signed, ValidatorId, Validators, View, ViewChange};
use crate::testing::bench::{Bench, P1, P2, P3};
use crate::testing::{address, chain_with, coin, key, name, params, pay};
use crate::{Answer, Chain, Claim, Message, Params, Reply, Timer};

fn validator(place: u8) -> SecretKey {
    SecretKey::from_bytes([100 + place; 32])
}

/// Four validators, of which three decide.
pub(super) fn chain() -> Arc<Chain> {
    let validators = (0..4).map(|place| Validator { name: format!("v{place}"), key: validator(place).public() });
    let engine = PbftParams {
        validators: validators.collect(),
        view_timeout_ms: 1_000,
        batch_delay_ms: 10,
        batch_max: 10,
        checkpoint_interval: 10,
        watermark_window: 20,
    };
    chain_with(|genesis| genesis.engine = Engine::Pbft(engine))
}

/// Votes of these validators for a block.
pub(super) fn votes(block: &Block, voters: &[u8]) -> Certificate {
    let header = block.header();
    let digest = commit_digest(header.chain, 0, header.height, block.id());
    Certificate::new(0, voters.iter().map(|place| (*place, validator(*place).sign(digest.as_slice()))).collect())
}

/// Another block for each `extra` on the state that a chain is in, with the votes of the first three.
pub(super) fn next(chain: &Chain, state: &State, extra: u64, payments: Vec<Tx>) -> Block {
    let rules = chain.rules();
    let height = state.height().next();
    let outputs = vec![Output::plain(rules.subsidy(height), address(9))];
    let coinbase = Coinbase { chain: rules.chain, height, extra, outputs };
    let header = Header {
        chain: rules.chain,
        parent: state.tip(),
        height,
        time: Time::from_secs(height.0),
        root: Block::root_of(&coinbase, &payments),
        seal: Seal::Agreed { certificate: Certificate::none() },
    };
    let block = Block::new(header, coinbase, payments);
    block.certified(votes(&block, &[0, 1, 2]))
}

/// So many blocks, one on the other.
pub(super) fn grow(chain: &Chain, count: usize) -> Vec<Block> {
    let mut state = chain.state().clone();
    let mut grow = || {
        let block = next(chain, &state, 0, vec![]);
        state = state.connect(chain.rules(), &block, synod_ledger::Signatures::Check).expect("it connects").0;
        block
    };
    (0..count).map(|_| grow()).collect()
}

fn observer(chain: &Arc<Chain>) -> Params {
    params(chain, None)
}

fn headers(blocks: &[Block]) -> Message {
    Message::Headers(blocks.iter().map(|block| block.shared_header().clone()).collect())
}

fn claim(block: &Block) -> Message {
    let height = block.height();
    Message::Tip(Claim { tip: block.id(), height, work: Bytes(U256::from(height.0).to_be_bytes()) })
}

/// The same block under votes of which one is another's.
pub(super) fn spoilt(block: &Block) -> Block {
    let Seal::Agreed { certificate } = &block.header().seal else { panic!("it has votes") };
    let mut votes = certificate.votes().to_vec();
    votes[1].1 = Signature::NONE;
    block.certified(Certificate::new(0, votes))
}

fn served(bench: &mut Bench, block: &Block) -> Option<Seal> {
    bench.replica.block(&block.id()).map(|block| block.header().seal.clone())
}

#[test]
fn two_certified_blocks_of_one_height_stop_a_replica_for_good_and_it_shows_both() {
    let chain = chain();
    let blocks = grow(&chain, 2);
    let rival = next(&chain, chain.state(), 1, vec![]);
    let mut bench = Bench::new(observer(&chain));
    bench.call_all("b", &blocks);
    bench.call("rival", &rival);
    bench.up(P1);
    assert_eq!(bench.gossip_block(P1, &blocks[0]).last().map(String::as_str), Some("accept"));
    assert_eq!(bench.replica.violation(), None);
    let expected = ["persist header rival Header", "b1 and rival at 1", "[p1] < tip b1 at 1", "ignore"];
    assert_eq!(bench.gossip_block(P1, &rival), expected);
    let violation = bench.replica.violation().expect("it stands there").clone();
    assert_eq!(violation.height, Height(1));
    for (header, block) in violation.headers.iter().zip([&blocks[0], &rival]) {
        assert_eq!(header, block.shared_header(), "with its votes");
    }
    let tx = pay(&chain, 1, coin(chain.state(), 1, 0), 2, 10);
    let reason = "two blocks of height 1 were agreed on, so that nothing is final any more: this peer has stopped";
    assert_eq!(bench.submit(&tx), [format!("refused 5: {reason}")]);
    assert_eq!(bench.gossip_block(P1, &blocks[1]), ["ignore"], "it goes no further");
    assert_eq!(bench.replica.tip(), blocks[0].id());
    let asked = bench.hear(P1, Message::GetHeaders(vec![chain.id()]));
    assert_eq!(asked, ["p1 < headers b1"], "others see what it has");
    let mut again = Bench::restored(observer(&chain), bench.disk.clone());
    let told = again.started().iter().filter(|text| text.contains(" and ")).count();
    assert_eq!(told, 1, "it is told after a restart: {:?}", again.started());
    again.load_all();
    assert_eq!(again.replica.violation(), Some(&violation));
    assert_eq!(again.gossip_block(P1, &blocks[1]), ["ignore"]);
}

/// Neither of two replicas that followed different blocks knows of the other's. No more weight is claimed, and they ask all
/// the same.
#[test]
fn a_claim_of_another_block_at_a_final_height_is_looked_into() {
    let chain = chain();
    let blocks = grow(&chain, 1);
    let rival = next(&chain, chain.state(), 1, vec![]);
    let mut bench = Bench::new(observer(&chain));
    bench.call_all("b", &blocks);
    bench.call("rival", &rival);
    bench.up(P1);
    bench.gossip_block(P2, &blocks[0]);
    assert_eq!(bench.hear(P1, claim(&rival)), ["p1 < get headers b1 genesis", "set Sync +1000 ms"]);
    let expected = ["persist header rival Header", "b1 and rival at 1", "[p1] < tip b1 at 1"];
    assert_eq!(bench.hear(P1, headers(&[rival])), expected);
    bench.wait(Duration::from_secs(1));
    assert!(bench.timer(Timer::Sync).is_empty(), "nothing more is asked");
}

#[test]
fn a_header_without_the_votes_of_a_quorum_is_refused_and_does_not_stand_in_the_way_of_the_good_one() {
    let chain = chain();
    let blocks = grow(&chain, 2);
    let mut bench = Bench::new(observer(&chain));
    bench.call_all("b", &blocks);
    for peer in [P1, P2, P3] {
        bench.up(peer);
    }
    let block = &blocks[0];
    let few = block.certified(votes(block, &[0, 1]));
    let repeated = votes(block, &[0, 1]).votes().iter().chain(&votes(block, &[1]).votes().to_vec()).copied().collect();
    let twice = block.certified(Certificate::new(0, repeated));
    let none = block.certified(Certificate::none());
    for bad in [spoilt(block), few, twice, none] {
        assert_eq!(bench.gossip_block(P1, &bad), ["reject p1 block_seal", "reject"]);
        bench.hear(P1, claim(&blocks[1]));
        assert_eq!(bench.hear(P1, headers(&[bad])).first().map(String::as_str), Some("reject p1 block_seal"));
        assert!(!bench.replica.tree().contains(&block.id()));
        bench.wait(Duration::from_secs(3_600));
    }
    assert_eq!(bench.gossip_block(P2, block).last().map(String::as_str), Some("accept"));
    assert_eq!(bench.replica.tip(), block.id());
}

#[test]
fn a_spoilt_certificate_under_a_known_id_replaces_no_good_one() {
    let chain = chain();
    let blocks = grow(&chain, 3);
    let mut bench = Bench::new(observer(&chain));
    bench.call_all("b", &blocks);
    for peer in [P1, P2] {
        bench.up(peer);
    }
    bench.hear(P2, claim(&blocks[1]));
    bench.hear(P2, headers(&blocks[..2]));
    // The header is known with good votes; the body comes under bad ones, and is as good for that.
    bench.hear(P2, Message::Block(spoilt(&blocks[0])));
    assert_eq!(bench.replica.tip(), blocks[0].id());
    assert_eq!(served(&mut bench, &blocks[0]), Some(blocks[0].header().seal.clone()));
    assert_eq!(bench.gossip_block(P1, &spoilt(&blocks[0])), ["ignore"], "it is there");
    // An orphan under bad votes waits for its parent and is dropped then; the good one is taken afterwards.
    assert_eq!(bench.gossip_block(P1, &spoilt(&blocks[2])).last().map(String::as_str), Some("reject"));
    bench.hear(P2, Message::Block(blocks[1].clone()));
    assert_eq!(bench.replica.tip(), blocks[1].id());
    assert_eq!(bench.gossip_block(P2, &blocks[2]).last().map(String::as_str), Some("accept"));
    assert_eq!(bench.replica.tip(), blocks[2].id());
    // What is on disk is what is served after a restart.
    let mut again = Bench::restored(observer(&chain), bench.disk.clone());
    again.load_all();
    for block in &blocks {
        assert_eq!(served(&mut again, block), Some(block.header().seal.clone()));
    }
}

#[test]
fn an_orphan_under_spoilt_votes_does_not_keep_the_good_block_out() {
    let chain = chain();
    let blocks = grow(&chain, 2);
    let mut bench = Bench::new(observer(&chain));
    bench.call_all("b", &blocks);
    for peer in [P1, P2] {
        bench.up(peer);
    }
    assert_eq!(bench.gossip_block(P1, &spoilt(&blocks[1])).last().map(String::as_str), Some("ignore"));
    assert_eq!(bench.gossip_block(P2, &blocks[1]).last().map(String::as_str), Some("ignore"));
    bench.gossip_block(P2, &blocks[0]);
    bench.hear(P2, headers(&blocks));
    bench.hear(P2, Message::Block(blocks[1].clone()));
    assert_eq!(bench.replica.tip(), blocks[1].id());
    assert_eq!(served(&mut bench, &blocks[1]), Some(blocks[1].header().seal.clone()));
}

/// A hello of a validator, by which a neighbour is known as one.
pub(super) fn hello(chain: &Chain, place: u8) -> Message {
    let hello = Signed::new(&rules(chain), &identity(place), Hello { salt: 1 });
    Message::Agreement(pbft::Message::Hello { hello, asks: false })
}

fn rules(chain: &Chain) -> Rules {
    let agreed = chain.agreed().expect("a chain of validators");
    let validators = Validators::new(agreed.validators()).expect("four");
    Rules { chain: chain.rules().chain, genesis: chain.id(), validators }
}

fn identity(place: u8) -> Identity {
    Identity { id: ValidatorId(place), secret: validator(place) }
}

fn reply(chain: &Chain, place: u8, block: u8, payment: &Tx) -> Message {
    let body = Reply { view: View(0), height: Height(1), block: BlockId(name(block)), payments: vec![payment.id()] };
    Message::Reply(Signed::new(&rules(chain), &identity(place), body))
}

/// A client with links to three validators, one of which is the primary, and its payment.
fn client(chain: &Arc<Chain>) -> (Bench, Tx) {
    let mut bench = Bench::new(observer(chain));
    for (peer, place) in [(P1, 0), (P2, 1), (P3, 2)] {
        bench.up(peer);
        bench.hear(peer, hello(chain, place));
    }
    let tx = pay(chain, 1, coin(chain.state(), 1, 0), 2, 10);
    bench.call("tx", &tx);
    (bench, tx)
}

/// A validator with links to two others and to a client, and the client's payment.
fn voter(chain: &Arc<Chain>, place: u8) -> (Bench, Tx) {
    let mut bench = Bench::new(Params { signer: Some(validator(place)), ..observer(chain) });
    let others = (0..3).filter(|other| *other != place);
    for (peer, other) in [P1, P2].into_iter().zip(others) {
        bench.up(peer);
        bench.hear(peer, hello(chain, other));
    }
    bench.up(P3);
    let tx = pay(chain, 1, coin(chain.state(), 1, 0), 2, 10);
    bench.call("tx", &tx);
    (bench, tx)
}

#[test]
fn a_client_asks_the_primary_then_all_and_accepts_what_f_plus_one_say() {
    let chain = chain();
    let (mut bench, tx) = client(&chain);
    let expected = [
        "pooled tx",
        "persist payment tx",
        "p1 < client",
        "p2 < client",
        "p3 < client",
        "[p1] < request tx",
        "submitted 5: tx",
        "set Offer +500 ms",
    ];
    assert_eq!(bench.submit(&tx), expected);
    bench.wait(Duration::from_millis(500));
    assert_eq!(bench.timer(Timer::Offer), ["[p1, p2, p3] < request tx", "set Offer +500 ms"]);
    assert!(bench.hear(P1, reply(&chain, 0, 7, &tx)).is_empty(), "one may lie");
    assert!(bench.hear(P2, reply(&chain, 0, 7, &tx)).is_empty(), "and says it through another, twice");
    assert!(bench.hear(P3, reply(&chain, 2, 8, &tx)).is_empty(), "and another something else");
    assert_eq!(bench.replica.answer(&tx.id()), None);
    let block = format!("{:?}", name(7));
    assert_eq!(bench.hear(P2, reply(&chain, 1, 7, &tx)), [format!("replied: tx in {block} at 1")]);
    let answer =
        Answer { height: Height(1), block: BlockId(name(7)), validators: vec![ValidatorId(0), ValidatorId(1)] };
    assert_eq!(bench.replica.answer(&tx.id()), Some(&answer));
    assert!(bench.hear(P3, reply(&chain, 2, 7, &tx)).is_empty(), "more are not needed");
}

#[test]
fn what_waits_for_long_is_handed_to_all_more_and_more_rarely() {
    let chain = chain();
    let (mut bench, tx) = client(&chain);
    bench.submit(&tx);
    let mut handed = Vec::new();
    for offer in 1..=100 {
        bench.wait(Duration::from_millis(500));
        if bench.timer(Timer::Offer).contains(&String::from("[p1, p2, p3] < request tx")) {
            handed.push(offer);
        }
    }
    assert_eq!(handed, [1, 2, 4, 8, 16, 32, 64, 96]);
}

/// Whoever it came from is gone, and what was handed to the primary was lost.
#[test]
fn a_validator_hands_what_waits_for_long_to_all_others() {
    let chain = chain();
    let (mut bench, tx) = voter(&chain, 1);
    assert_eq!(bench.hear(P3, Message::Request(tx))[..2], ["pooled tx", "[p1] < request tx"]);
    bench.wait(Duration::from_millis(500));
    let texts = bench.timer(Timer::Agreement(crate::adversary::PartyTimer::Agreement(pbft::Timer::Resend)));
    assert!(texts.contains(&String::from("[p1, p2] < request tx")), "{texts:?}");
}

/// What a view that was given up left undecided is proposed by nobody, unless somebody has prepared it.
#[test]
fn a_primary_proposes_again_what_it_proposed_in_a_view_that_was_given_up() {
    let chain = chain();
    let (mut bench, tx) = voter(&chain, 0);
    let is_proposed = |texts: &[String]| texts.iter().any(|text| text.contains("pre_prepare"));
    assert!(is_proposed(&bench.hear(P3, Message::Request(tx))));
    let change = ViewChange { view: View(4), base: Base::genesis(chain.id()), prepared: vec![] };
    let said = |place| {
        Message::Agreement(pbft::Message::ViewChange(Signed::new(&rules(&chain), &identity(place), change.clone())))
    };
    assert!(!is_proposed(&bench.hear(P1, said(1))));
    let texts = bench.hear(P2, said(2));
    assert!(is_proposed(&texts), "{texts:?}");
}

#[test]
fn replies_that_nobody_signed_or_waits_for_are_not_counted() {
    let chain = chain();
    let (mut bench, tx) = client(&chain);
    assert!(bench.hear(P1, reply(&chain, 0, 7, &tx)).is_empty(), "nobody waits for it");
    bench.submit(&tx);
    let Message::Reply(good) = reply(&chain, 0, 7, &tx) else { panic!("a reply") };
    for (place, reason) in [(1, "vote_signature"), (9, "vote_stranger")] {
        let forged = Signed::from_parts(good.body().clone(), ValidatorId(place), good.signature());
        assert_eq!(bench.hear(P1, Message::Reply(forged)), [format!("reject p1 {reason}")]);
    }
    assert!(bench.hear(P1, Message::Reply(good)).is_empty());
    assert_eq!(bench.replica.answer(&tx.id()), None, "there is one voice for it");
    assert_eq!(bench.hear(P1, Message::Client(key(1).public())), ["reject p1 unsolicited"], "it does not vote");
}

#[test]
fn a_validator_replies_to_whose_key_pays_once_and_again_when_it_is_asked_again() {
    let chain = chain();
    let tx = pay(&chain, 1, coin(chain.state(), 1, 0), 2, 10);
    let mut bench = Bench::new(Params { signer: Some(validator(1)), ..observer(&chain) });
    let block = next(&chain, chain.state(), 0, vec![tx.clone()]);
    bench.call("tx", &tx);
    bench.call("b1", &block);
    for (peer, place) in [(P1, 0), (P2, 2)] {
        bench.up(peer);
        bench.hear(peer, hello(&chain, place));
    }
    bench.up(P3);
    assert!(bench.hear(P3, Message::Client(key(1).public())).is_empty());
    assert!(bench.hear(P3, Message::Client(key(1).public())).is_empty(), "twice is once");
    // Somebody shows that it is decided.
    let Seal::Agreed { certificate } = block.header().seal.clone() else { panic!("it has votes") };
    let base = Base { height: Height(1), id: block.id(), certificate };
    let proposal = Some(block.certified(Certificate::none()));
    let texts = bench.hear(P1, Message::Agreement(pbft::Message::Decided { base, proposal }));
    assert_eq!(texts.iter().filter(|text| *text == "p3 < reply").count(), 1, "{texts:?}");
    let place = |wanted: &str| texts.iter().position(|text| text == wanted);
    assert!(place("persist body b1") < place("p3 < reply"), "the disk first: {texts:?}");
    assert_eq!(bench.replica.tip(), block.id());
    assert_eq!(bench.hear(P3, Message::Request(tx.clone())), ["p3 < reply"], "it is executed once");
    bench.step(synod_machine::Input::PeerDown(P3));
    let refused = bench.hear(P2, Message::Request(tx));
    assert_eq!(refused, ["p2 < reply"]);
}
