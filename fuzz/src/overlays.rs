//! Valid values of what gossip and overlays say and keep. Nodes are those of machines; [`peers`](crate::peers) puts contacts in their place.

use synod_dht::gossip::{self, Descriptor};
use synod_dht::kademlia::Held;
use synod_dht::overlay::Entry;
use synod_dht::search::flood::{self, Walk};
use synod_dht::search::{Hit, Item, Question, index, superpeer};
use synod_dht::{Id, Node, chord, content, discovery, kademlia};
use synod_machine::{Bytes, PeerId, Time};
use synod_peer::Item as Carried;

use crate::samples::{block, tx};

const HASH: Bytes<32> = Bytes([6; 32]);

fn key() -> Id {
    Id::from(Bytes([3; 32]))
}

fn node() -> Node {
    Node { id: Id::from(Bytes([7; 32])), peer: PeerId(7) }
}

fn entry() -> Entry {
    Entry { publisher: key(), version: 300, value: vec![5; 20] }
}

fn held() -> Held {
    Held { entry: entry(), replicas: 3, secs: 86_400 }
}

fn item() -> Item {
    Item::new(HASH, "notes.txt", "rust notes", 70_000).expect("a possible item")
}

fn hit() -> Hit {
    Hit { item: item(), holder: node() }
}

fn words() -> Question {
    Question::words("rust notes").expect("there are words")
}

fn view() -> Vec<Descriptor<Node>> {
    vec![Descriptor { peer: node(), age: 4 }]
}

/// One of each message between carriers of gossip.
pub fn gossip() -> Vec<gossip::Message<Carried>> {
    let handles = || vec![Descriptor { peer: 70_000, age: 4 }];
    vec![
        gossip::Message::Graft,
        gossip::Message::IHave(vec![HASH]),
        gossip::Message::IWant(vec![HASH]),
        gossip::Message::Known(vec![HASH]),
        gossip::Message::Prune,
        gossip::Message::Pull,
        gossip::Message::Push(Carried::Block(block())),
        gossip::Message::Push(Carried::Payment(tx())),
        gossip::Message::Shuffle(handles()),
        gossip::Message::Shuffled(handles()),
    ]
}

/// One of each message between Chord's nodes.
pub fn chord() -> Vec<chord::Message> {
    use chord::Message;
    let (number, key, node, token) = (1, key(), node(), 1 << 40);
    vec![
        Message::Between { node },
        Message::Fetch { number, key },
        Message::Fetched { number, entries: vec![entry()] },
        Message::Hello { node },
        Message::Helpless { number },
        Message::Leave,
        Message::Next { number, node },
        Message::Offer { number, keys: vec![(key, token)] },
        Message::Owner { number, node, more: vec![node] },
        Message::Ping { number },
        Message::Pong { number, predecessor: Some(node) },
        Message::Route { token, origin: node, key, count: 2, hops: 4 },
        Message::Routed { token, hops: 4, node, more: vec![node] },
        Message::Same { number },
        Message::Stable { number, version: 300, predecessor: Some(node), successors: vec![node, node] },
        Message::Stabilise { number, node, seen: 2 },
        Message::Step { number, key, count: 2, avoid: vec![key] },
        Message::Store { number, key, entries: vec![entry()] },
        Message::Stored { number, kept: true },
        Message::Table { number },
        Message::Tabled { number, fingers: vec![node] },
        Message::Wanted { number, keys: 5 },
    ]
}

/// One of each message between those who exchange contents.
pub fn content() -> Vec<content::Message> {
    use content::Message;
    let request = 1;
    vec![
        Message::Ask { request, question: words() },
        Message::Get { request, hash: HASH, piece: 2 },
        Message::Have { request, items: vec![item()] },
        Message::Piece { request, bytes: vec![5; 20] },
    ]
}

/// One of each message between flooding peers.
pub fn flood() -> Vec<flood::Message> {
    use flood::Message;
    let id = 1 << 40;
    vec![
        Message::Check { id },
        Message::Checked { id, goes_on: true },
        Message::Hit { id, hops: 3, hits: vec![hit()] },
        Message::Query { id, ttl: 7, hops: 1, question: Question::Name(item().name) },
        Message::Shuffle(view()),
        Message::Shuffled(view()),
        Message::Walk(Walk { id, asker: node(), left: 9, hops: 1, check_every: 4, question: words() }),
    ]
}

/// One of each message between an index and its clients.
pub fn index() -> Vec<index::Message> {
    use index::Message;
    vec![
        Message::Answer { request: 1, hits: vec![hit()] },
        Message::Ask { request: 1, question: Question::Hash(HASH) },
        Message::Ping,
        Message::Register { node: node(), is_first: true, items: vec![item()] },
        Message::Registered { digest: Some(1 << 40) },
        Message::Withdraw(vec![HASH]),
    ]
}

/// One of each message between Kademlia's nodes.
pub fn kademlia() -> Vec<kademlia::Message> {
    use kademlia::Message;
    let (request, node, key) = (1, node(), key());
    vec![
        Message::FindNode { request, node, target: key },
        Message::FindValue { request, node, key },
        Message::Nodes { request, nodes: vec![node] },
        Message::Ping { request, node },
        Message::Pong { request },
        Message::Store { request, node, key, held: held().into() },
        Message::Stored { request, is_kept: true },
        Message::Values { request, values: vec![held()], nodes: vec![node] },
    ]
}

/// One of each message between superpeers and leaves.
pub fn superpeer() -> Vec<superpeer::Message> {
    use superpeer::Message;
    let (id, node) = (1 << 40, node());
    vec![
        Message::Advice(vec![node]),
        Message::Attach { node, is_first: true, items: vec![item()] },
        Message::Attached { digest: id },
        Message::Hit { id, hops: 2, hits: vec![hit()] },
        Message::Leave,
        Message::Link { node, capacity: 1_250, free: 30 },
        Message::Linked { capacity: 1_250, free: 30 },
        Message::Ping,
        Message::Query { id, ttl: 7, hops: 1, question: words() },
        Message::Refused(vec![node]),
        Message::Seek,
        Message::Shuffle(view()),
        Message::Shuffled(view()),
        Message::Withdraw(vec![HASH]),
    ]
}

/// One of each message of each part.
pub fn messages() -> Vec<discovery::Message> {
    use discovery::Message;
    let mut all: Vec<Message> = chord().into_iter().map(Message::Chord).collect();
    all.extend(content().into_iter().map(Message::Content));
    all.extend(flood().into_iter().map(Message::Flood));
    all.extend(index().into_iter().map(Message::Index));
    all.extend(kademlia().into_iter().map(Message::Kademlia));
    all.extend(superpeer().into_iter().map(Message::Superpeer));
    all
}

/// One of each record of contents.
pub fn contents() -> Vec<content::Record> {
    vec![content::Record::Item(item()), content::Record::Piece(vec![5; 20])]
}

/// One of each record of each part.
pub fn records() -> Vec<discovery::Record> {
    use discovery::Record;
    let published = kademlia::Record { version: 300, replicas: 3, at: Time(1_000_000_000), value: vec![5; 20] };
    let mut all: Vec<Record> = contents().into_iter().map(Record::Content).collect();
    all.push(Record::Chord(chord::Record(vec![entry()])));
    all.push(Record::Kademlia(published));
    all
}
