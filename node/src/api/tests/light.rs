//! A light peer's blocks and payments, whatever those say who give them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use serde_json::Value;
use synod_consensus::light::{Command, Limits, Params};
use synod_consensus::{Item as Gossiped, Light};
use synod_dht::content::hash_of;
use synod_dht::overlay::{Cost, Failure};
use synod_dht::search::Item;
use synod_dht::{Contact, Discovery, Id, Identity, Node, discovery};
use synod_ledger::Block;
use synod_machine::{Bytes, Count, Counters, Host, Input, PeerId as Handle, Protocol, Time, wire};

use super::history::foreign_block;
use crate::api::testing::{ALICE, Disk, NEIGHBOUR, app, call, chain, code, coin, node_info, pay};
use crate::discovery::{Fetched, Found, FoundHit, Request};
use crate::handle::{EngineRequest, Names, NodeHandle, Overlays, View};
use crate::ledger_items::{SharedPayment, block_item, payment_item};
use crate::net::PeerId;

const OWN: Node = Node { id: Id::ZERO, peer: Handle(0) };

struct Nobody(BTreeMap<&'static str, Count>);

impl Names for Nobody {
    fn traffic(&self) -> &BTreeMap<&'static str, Count> {
        &self.0
    }

    fn own(&self) -> Node {
        OWN
    }

    fn node(&self, _: Handle) -> Option<Node> {
        None
    }

    fn peer(&self, _: Handle) -> Option<PeerId> {
        None
    }
}

/// A light peer that knows the headers of `blocks`.
fn light(blocks: &[Block]) -> Host<Light> {
    let params = Params::new(chain(), Limits::default()).expect("a chain of work");
    let mut host = Host::start(Light::restore(params, std::iter::empty()), Time::from_secs(100), |_| {});
    host.step(Time::from_secs(100), Input::PeerUp(Handle(1)), |_| {});
    for block in blocks {
        let command = Command::Gossip { id: block.id().0, from: Handle(1), item: Gossiped::Block(block.clone()) };
        host.step(Time::from_secs(100), Input::Command(command), |_| {});
    }
    host
}

fn overlays() -> Discovery {
    let params = discovery::Params {
        begin_after: Duration::ZERO,
        chord: None,
        contact: Contact { identity: Identity(Bytes::ZERO), addresses: Vec::new() },
        flood: None,
        index: None,
        kademlia: None,
        own: OWN,
        records: discovery::QUORUM,
        superpeer: None,
    };
    Discovery::restore(params, std::iter::empty())
}

/// What others share, and say that they share.
#[derive(Default)]
struct Shared {
    items: Vec<Item>,
    contents: BTreeMap<Bytes<32>, Vec<u8>>,
}

impl Shared {
    /// Under another's name.
    fn add_as(&mut self, item: Option<Item>, content: Vec<u8>) {
        let item = item.expect("an item");
        let named = Item { hash: hash_of(&content), bytes: content.len() as u64, ..item };
        self.contents.insert(named.hash, content);
        self.items.push(named);
    }
}

/// A handle of a light peer that is given what is `shared`; without a table if it is none.
fn handle(blocks: &[Block], shared: Option<Shared>) -> NodeHandle {
    let (light, machine) = (light(blocks), overlays());
    let send = move |request| {
        match request {
            EngineRequest::Query(question) => {
                let (counters, node, names) = (Counters::default(), node_info(), Nobody(BTreeMap::new()));
                let overlays = Overlays { machine: &machine, libp2p: true, names: &names };
                let overlays = shared.is_some().then_some(overlays);
                question(&View { overlays, ..View::light(light.protocol(), &counters, &node) });
            }
            EngineRequest::Discovery(Request::Find { question, reply, .. }) => {
                let shared = shared.as_ref().expect("only tables are searched");
                let peer: PeerId = NEIGHBOUR.parse().expect("a peer id");
                let hits = shared.items.iter().filter(|item| question.is_answered_by(item));
                let hits: Vec<FoundHit> = hits.map(|item| FoundHit { item: item.clone(), peer }).collect();
                let result = if hits.is_empty() { Err(Failure::NotFound) } else { Ok(hits) };
                reply.send(Found { result, cost: Cost::default() }).expect("the caller waits");
            }
            EngineRequest::Discovery(Request::Fetch { item, holders, reply }) => {
                let content = shared.as_ref().and_then(|shared| shared.contents.get(&item.hash));
                let result = content.map(|content| (content.clone(), holders[0])).ok_or(Failure::NotFound);
                reply.send(Fetched { result, cost: Cost::default() }).expect("the caller waits");
            }
            other => panic!("nobody asks for {other:?}"),
        }
        Ok(())
    };
    NodeHandle::new(send, Arc::new(Disk::default()))
}

async fn get(handle: NodeHandle, path: &str) -> (u16, Value) {
    let (router, _stop) = app(handle);
    let (status, _, body) = call(&router, "GET", path, Body::empty(), &[]).await;
    (status.as_u16(), body)
}

/// Two blocks of the chain, the first with a payment, and one of another chain's that spends the same coin.
fn blocks() -> [Block; 3] {
    let first = foreign_block(chain().id(), 1, vec![pay(ALICE, coin(ALICE, 0), 20)]);
    let second = foreign_block(first.id(), 2, Vec::new());
    let rival = foreign_block(chain().id(), 1, vec![pay(ALICE, coin(ALICE, 0), 30)]);
    [first, second, rival]
}

#[tokio::test]
async fn a_block_is_read_of_others_and_lies_are_passed_over() {
    let [first, second, rival] = blocks();
    let mut shared = Shared::default();
    let lies = [b"no block".to_vec(), wire::encode(&second), wire::encode(&rival)];
    for lie in lies {
        shared.add_as(block_item(&first), lie);
    }
    // Its header is the right one, and its payments are others.
    let swapped = Block::new(first.header().clone(), first.coinbase().clone(), rival.payments().to_vec());
    shared.add_as(block_item(&first), wire::encode(&swapped));
    let liars = shared.contents.keys().copied().collect::<BTreeSet<_>>();
    let honest = wire::encode(&first);
    shared.add_as(block_item(&first), honest.clone());
    assert_eq!((liars.len(), liars.contains(&hash_of(&honest))), (4, false));
    let chain = [first.clone(), second];
    for path in [format!("/v1/blocks/{}", first.id()), "/v1/blocks/1".to_owned()] {
        let light = handle(&chain, Some(Shared { items: shared.items.clone(), contents: shared.contents.clone() }));
        let (status, body) = get(light, &path).await;
        assert_eq!((status, &body["confirmations"]), (200, &Value::from(2)), "{body}");
        assert_eq!(body["transactions"][0]["id"], first.payments()[0].id().to_string());
    }
    shared.items.pop();
    let (status, body) = get(handle(&chain, Some(shared)), "/v1/blocks/1").await;
    assert_eq!((status, code(&body)), (404, "unread"));
    let message = body["error"]["message"].as_str().expect("a message");
    for said in ["malformed", "was given for it", "the body has root"] {
        assert!(message.contains(said), "{said}: {message}");
    }
}

#[tokio::test]
async fn a_payment_is_read_with_its_proof_and_nothing_else_is_believed() {
    let [first, second, rival] = blocks();
    let tx = first.payments()[0].clone();
    let path = format!("/v1/transactions/{}", tx.id());
    let chain = [first.clone(), second];
    let proven = SharedPayment::of(&first, 0).expect("it has one");
    let share = |payment: &SharedPayment| {
        let mut shared = Shared::default();
        shared.add_as(payment_item(&first, &proven), wire::encode(payment));
        Some(shared)
    };
    let (status, body) = get(handle(&chain, share(&proven)), &path).await;
    assert_eq!((status, &body["status"], &body["confirmations"]), (200, &"confirmed".into(), &2.into()), "{body}");
    assert_eq!((&body["block"], &body["index"]), (&first.id().to_string().into(), &1.into()));

    let other = SharedPayment::of(&rival, 0).expect("it has one");
    let lies = [
        (other.clone(), "was given for it"),
        (SharedPayment { block: rival.id(), ..proven.clone() }, "is not known"),
        (SharedPayment { proof: other.proof, block: chain[1].id(), ..proven.clone() }, "does not lead to"),
    ];
    for (lie, said) in lies {
        let (status, body) = get(handle(&chain, share(&lie)), &path).await;
        assert_eq!((status, code(&body)), (404, "unread"));
        assert!(body["error"]["message"].as_str().is_some_and(|message| message.contains(said)), "{body}");
    }
}

#[tokio::test]
async fn what_a_light_peer_does_not_know_it_says() {
    let [first, second, _] = blocks();
    let chain = [first.clone(), second];
    let address = crate::api::testing::address(ALICE);
    let table: [(String, u16, &str); 6] = [
        (format!("/v1/addresses/{address}"), 409, "light"),
        ("/v1/mempool".into(), 409, "light"),
        ("/v1/chain".into(), 409, "light"),
        ("/v1/blocks/1".into(), 409, "no_overlay"),
        ("/v1/blocks/9".into(), 404, "unknown_block"),
        (format!("/v1/transactions/{}", first.payments()[0].id()), 409, "no_overlay"),
    ];
    for (path, expected, reason) in table {
        let (status, body) = get(handle(&chain, None), &path).await;
        assert_eq!((status, code(&body)), (expected, reason), "{path}: {body}");
    }
    let (status, body) = get(handle(&chain, None), "/v1/status").await;
    assert_eq!(
        (status, &body["light"], &body["height"], &body["supply"]),
        (200, &true.into(), &2.into(), &Value::Null)
    );
    let (_, body) = get(handle(&chain, None), "/metrics").await;
    let page = body.as_str().expect("a text");
    assert!(page.contains("synod_chain_height 2") && !page.contains("synod_mempool"), "{page}");
    let (_, body) = get(handle(&chain, Some(Shared::default())), "/v1/blocks/1").await;
    assert_eq!(code(&body), "unread", "nobody shares it");
}
