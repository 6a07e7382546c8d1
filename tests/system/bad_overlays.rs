//! Bad input to overlays, from a peer that speaks their messages over real sockets: each is refused for its own reason and counted, and the
//! node goes on (issue 5, 6).

use synod_dht::content::{self, hash_of};
use synod_dht::discovery::Message;
use synod_dht::overlay::Entry;
use synod_dht::search::{Hit, Item, Question, flood, index, superpeer};
use synod_dht::{Contact, Id, Identity, chord, kademlia};
use synod_machine::{Bytes, wire};
use synod_node::config::{DhtKind, SearchKind};

use crate::bad_input::Scene;
use crate::support::Net;

/// Somebody else, whose key is a point of the curve.
fn other() -> Contact {
    let peer = synod_node::net::Identity::from_secret([250; 32]).peer();
    let key = synod_node::net::public_key_of(&peer).expect("an ed25519 key");
    Contact { identity: Identity(Bytes(key)), addresses: Vec::new() }
}

fn item(number: usize) -> Item {
    let bytes = number.to_le_bytes();
    Item::new(hash_of(&bytes), &format!("item {number}"), "", bytes.len() as u64).expect("a name")
}

fn hits(count: usize) -> Vec<Hit<Contact>> {
    (0..count).map(|number| Hit { item: item(number), holder: other() }).collect()
}

fn entry(bytes: usize) -> Entry {
    Entry { publisher: Id::of(b"publisher"), version: 1, value: vec![7; bytes] }
}

/// A message and why it is refused.
fn bad() -> Vec<(&'static str, &'static str, Message<Contact>)> {
    let query = |ttl, hops| flood::Message::Query { id: 1, ttl, hops, question: Question::Hash(Bytes([1; 32])) };
    let held = kademlia::Held { entry: entry(2_000), replicas: 3, secs: 60 };
    vec![
        ("a time to live of 255", "query_hops", Message::Flood(query(255, 0))),
        ("more hops than there can be", "query_hops", Message::Flood(query(1, 255))),
        (
            "hits that nobody asked for",
            "unsolicited",
            Message::Flood(flood::Message::Hit { id: 9, hops: 1, hits: hits(1) }),
        ),
        ("hits that are none", "query_list", Message::Flood(flood::Message::Hit { id: 9, hops: 1, hits: Vec::new() })),
        ("a thousand hits", "query_list", Message::Flood(flood::Message::Hit { id: 9, hops: 1, hits: hits(1_000) })),
        (
            "a request in another's name",
            "node_foreign",
            Message::Kademlia(kademlia::Message::Ping { request: 1, node: other() }),
        ),
        (
            "an answer that nobody waits for",
            "unsolicited",
            Message::Kademlia(kademlia::Message::Nodes { request: 99, nodes: vec![other()] }),
        ),
        (
            "a value over the limit",
            "value_form",
            Message::Chord(chord::Message::Store { number: 1, key: Id::of(b"key"), entries: vec![entry(2_000)] }),
        ),
        (
            "a value over the limit, to be kept by the closest",
            "value_form",
            Message::Kademlia(kademlia::Message::Store {
                request: 1,
                node: other(),
                key: Id::of(b"key"),
                held: held.into(),
            }),
        ),
        (
            "an owner that nobody asked for",
            "unsolicited",
            Message::Chord(chord::Message::Owner { number: 77, node: other(), more: Vec::new() }),
        ),
        ("a step that loops", "unsolicited", Message::Chord(chord::Message::Next { number: 77, node: other() })),
        (
            "items in another's name, to an index",
            "node_foreign",
            Message::Index(index::Message::Register { node: other(), is_first: true, items: vec![item(1)] }),
        ),
        (
            "an index's answer that nobody asked for",
            "unsolicited",
            Message::Index(index::Message::Answer { request: 3, hits: hits(1) }),
        ),
        (
            "more than a page is taken back",
            "query_list",
            Message::Index(index::Message::Withdraw(vec![Bytes([1; 32]); 1_000])),
        ),
        (
            "items in another's name, to a superpeer",
            "node_foreign",
            Message::Superpeer(superpeer::Message::Attach { node: other(), is_first: true, items: vec![item(1)] }),
        ),
        (
            "a superpeer's time to live of 255",
            "query_hops",
            Message::Superpeer(superpeer::Message::Query {
                id: 1,
                ttl: 255,
                hops: 255,
                question: Question::Hash(Bytes([1; 32])),
            }),
        ),
        (
            "a piece that nobody asked for",
            "unsolicited",
            Message::Content(content::Message::Piece { request: 5, bytes: vec![1; 64] }),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_messages_of_overlays_are_refused_for_their_own_reasons() {
    let net = Net::create(1, |settings| {
        settings.hash_rate = 20_000;
        settings.dht = DhtKind::ALL.to_vec();
        settings.search = SearchKind::ALL.to_vec();
    });
    let scene = Scene::start(net, &[0]).await;
    for (number, (what, reason, message)) in (1..).zip(bad()) {
        println!("{what}");
        // Each under a fresh identity: who sends many is disconnected.
        let attacker = scene.attacker(number).await;
        let message = synod_peer::Message::Discovery(Box::new(message));
        let bytes = wire::encode(&message);
        scene.until_rejected(reason, async || attacker.frame(&bytes).await).await;
    }
    let attacker = scene.attacker(200).await;
    let hello = chord::Message::Hello { node: Contact { identity: nobody(), addresses: Vec::new() } };
    let hello = wire::encode(&synod_peer::Message::Discovery(Box::new(Message::Chord(hello))));
    scene.until_rejected("malformed", async || attacker.frame(&hello).await).await;
    scene.until_rejected("malformed", async || attacker.frame(&[2, 99]).await).await;
    let million = flood::Message::Hit { id: 9, hops: 1, hits: hits(200_000) };
    let million = wire::encode(&synod_peer::Message::Discovery(Box::new(Message::Flood(million))));
    scene.until_rejected("oversized", async || attacker.frame(&million).await).await;
    scene.is_well().await;
}

/// A key that is no point of the curve: nobody can have it.
fn nobody() -> Identity {
    let bytes = (0..=255).map(|byte| [byte; 32]).find(|bytes| synod_node::net::peer_of(bytes).is_none());
    Identity(Bytes(bytes.expect("half of all texts are no points")))
}
