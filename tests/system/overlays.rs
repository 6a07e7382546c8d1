//! Overlays and searches on real peers: what is shared is found by each of them, and still is when a quarter of the peers is
//! killed at once.

use std::collections::BTreeSet;

use synod_lab::settings::Settings;
use synod_node::api::types::{
    FetchRequest, FindAnswer, FindMode, FindQuestion, FindRequest, ItemInfo, LookupRequest, NewItem, OverlaysInfo,
};
use synod_node::config::{DhtKind, SearchKind};

use crate::support::{Net, wait};

/// Those that keep records on peers other than their publisher.
const TABLES: [FindMode; 3] = [FindMode::Chord, FindMode::Kademlia, FindMode::KademliaLab];

fn all(settings: &mut Settings) {
    settings.hash_rate = 0; // Nobody mines: this is about finding.
    settings.dht = DhtKind::ALL.to_vec();
    settings.search = SearchKind::ALL.to_vec();
}

async fn overlays(net: &Net, place: usize) -> OverlaysInfo {
    net.client(place).overlays().await.expect("the peer takes part")
}

/// Whether a peer has its place in everything, and what it shares is published.
fn is_settled(overlays: &OverlaysInfo, peers: usize) -> bool {
    let chord = overlays.chord.as_ref().is_some_and(|chord| {
        chord.member && chord.predecessor.is_some() && chord.successors.len() == (peers - 1).min(8)
    });
    let kademlia = overlays.kademlia_lab.as_ref().is_some_and(|kademlia| kademlia.member);
    let flood = overlays.flood.as_ref().is_some_and(|neighbours| neighbours.len() >= (peers - 1).min(4));
    let superpeer = overlays.superpeer.as_ref().is_some_and(|place| place.superpeer || !place.superpeers.is_empty());
    let index = overlays.index.is_some_and(|index| index.server || index.registrations == 1);
    chord && kademlia && flood && superpeer && index && overlays.unpublished == 0
}

async fn wait_settled(net: &Net, places: &[usize]) {
    for &place in places {
        let what = format!("peer{} to have its place in every overlay", place + 1);
        wait(&what, async || is_settled(&overlays(net, place).await, net.network.peers().len())).await;
    }
}

async fn find(net: &Net, place: usize, mode: FindMode, question: FindQuestion) -> FindAnswer {
    let request = FindRequest { mode, question, ttl: 0, wanted: None, replicas: None, read: None };
    net.client(place).find(&request).await.expect("a search ends, with a hit or with a reason")
}

fn content(number: usize) -> Vec<u8> {
    // One of them is longer than a piece.
    let bytes = if number == 0 { 600_000 } else { 100 * number };
    (0..bytes).map(|place| (place * (number + 3) / 5) as u8).collect()
}

async fn share(net: &Net, number: usize, places: &[usize]) -> ItemInfo {
    let new = NewItem { name: format!("item {number}"), keywords: format!("kind{}", number % 3) };
    let mut shared = None;
    for &place in places {
        shared = Some(net.client(place).add_item(&new, content(number)).await.expect("it is shared"));
    }
    shared.expect("somebody shares it")
}

async fn fetch(net: &Net, place: usize, answer: &FindAnswer, item: &ItemInfo) -> Vec<u8> {
    let holders = answer.hits.iter().filter(|hit| hit.item.hash == item.hash).map(|hit| hit.holder.clone()).collect();
    let fetched = net.client(place).fetch(&FetchRequest { item: item.clone(), holders }).await;
    fetched.expect("whoever has it gives it").0
}

/// Issue 5, 1: every mode finds every item on twenty peers, with the bytes equal; after five were killed at once a look-up fails with
/// a reason or succeeds, and once the overlays are mended all are found.
#[tokio::test(flavor = "multi_thread")]
async fn every_mode_finds_every_item_and_tables_still_do_when_a_quarter_is_killed() {
    const PEERS: usize = 20;
    const ITEMS: usize = 8;
    let mut net = Net::up(PEERS, all).await;
    let everybody: Vec<usize> = (0..PEERS).collect();
    wait_settled(&net, &everybody).await;
    let mut items = Vec::new();
    for number in 0..ITEMS {
        // On three peers, of which one at least is not killed.
        items.push(share(&net, number, &[number + 1, number + 9, (number + 15) % PEERS]).await);
    }
    wait_settled(&net, &everybody).await;
    for mode in FindMode::ALL {
        for (number, item) in items.iter().enumerate() {
            let asker = (number * 7 + 4) % PEERS;
            let question = || FindQuestion::Name(item.name.clone());
            // A superpeer may be taking its leaves in.
            wait(&format!("{} to find {}", mode.name(), item.name), async || {
                find(&net, asker, mode, question()).await.failure.is_none()
            })
            .await;
            let answer = find(&net, asker, mode, question()).await;
            assert!(answer.failure.is_none(), "{}: {answer:?}", mode.name());
            assert_eq!(fetch(&net, asker, &answer, item).await, content(number), "{}", mode.name());
        }
        let answer = find(&net, 0, mode, FindQuestion::Words("item kind1".into())).await;
        let names: BTreeSet<&str> = answer.hits.iter().map(|hit| hit.item.name.as_str()).collect();
        assert!(names.iter().all(|name| ["item 1", "item 4", "item 7"].contains(name)), "{}: {names:?}", mode.name());
        assert!(!names.is_empty(), "{}: {answer:?}", mode.name());
        let answer = find(&net, 0, mode, FindQuestion::Hash(items[2].hash)).await;
        assert_eq!(answer.hits.first().map(|hit| hit.item.hash), Some(items[2].hash), "{}", mode.name());
        let answer = find(&net, 0, mode, FindQuestion::Words("nobody shares this".into())).await;
        assert!(answer.failure.is_some_and(|failure| !failure.is_empty()), "{}", mode.name());
    }

    let killed = [4, 7, 11, 13, 18];
    for place in killed {
        net.network.kill(place).await.expect("it runs");
    }
    let alive: Vec<usize> = everybody.into_iter().filter(|place| !killed.contains(place)).collect();
    for mode in TABLES {
        for (number, item) in items.iter().enumerate() {
            // Found or not, it ends; the client gives up after 30 s, which `find` takes for a failure.
            let answer = find(&net, alive[number], mode, FindQuestion::Name(item.name.clone())).await;
            assert_eq!(answer.failure.is_none(), !answer.hits.is_empty(), "{}: {answer:?}", mode.name());
        }
    }
    for mode in TABLES {
        for (number, item) in items.iter().enumerate() {
            let asker = alive[(number * 4 + 1) % alive.len()];
            wait(&format!("{} to find {} again", mode.name(), item.name), async || {
                let answer = find(&net, asker, mode, FindQuestion::Name(item.name.clone())).await;
                answer.failure.is_none() && fetch(&net, asker, &answer, item).await == content(number)
            })
            .await;
        }
    }
}

/// What a peer shares is on its disk: it is shared again after a kill, and shared no longer when it is taken back.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_shared_outlives_a_kill_and_what_is_taken_back_is_found_no_longer() {
    let mut net = Net::up(5, all).await;
    wait_settled(&net, &[0, 1, 2, 3, 4]).await;
    let item = share(&net, 0, &[3]).await;
    net.network.kill(3).await.expect("it runs");
    net.start(&[3]).await;
    assert_eq!(net.client(3).item(&item.hash).await.expect("it is there"), content(0));
    for mode in FindMode::ALL {
        let question = || FindQuestion::Hash(item.hash);
        wait(&format!("{} to find what is shared again", mode.name()), async || {
            let answer = find(&net, 1, mode, question()).await;
            answer.failure.is_none() && fetch(&net, 1, &answer, &item).await == content(0)
        })
        .await;
    }
    net.client(3).remove_item(&item.hash).await.expect("it was shared");
    for mode in FindMode::ALL {
        wait(&format!("{} to find it no longer", mode.name()), async || {
            find(&net, 1, mode, FindQuestion::Hash(item.hash)).await.failure.is_some()
        })
        .await;
    }
    let missing = net.client(3).item(&item.hash).await.expect_err("it was taken back");
    assert!(missing.to_string().contains("does not share"), "{missing}");
}

/// A look-up names the peer whose identifier follows the key, which is known from the identifiers of all.
#[tokio::test(flavor = "multi_thread")]
async fn a_look_up_finds_the_owner_that_the_identifiers_say() {
    let net = Net::up(8, all).await;
    let places: Vec<usize> = (0..8).collect();
    wait_settled(&net, &places).await;
    let mut ring = Vec::new();
    for &place in &places {
        ring.push(overlays(&net, place).await.own);
    }
    ring.sort();
    for (number, node) in ring.iter().enumerate() {
        let asker = net.client(number);
        let chord = LookupRequest { table: FindMode::Chord, key: node.id };
        let answer = asker.lookup(&chord).await.expect("it ends");
        assert_eq!(answer.peers, std::slice::from_ref(&node.peer_id), "a node owns its own identifier: {answer:?}");
        let mut key = node.id;
        key.0[31] = key.0[31].wrapping_add(1);
        let next = &ring[(number + usize::from(key.0[31] != 0)) % ring.len()];
        let answer = asker.lookup(&LookupRequest { key, ..chord }).await.expect("it ends");
        assert_eq!(answer.peers, std::slice::from_ref(&next.peer_id), "{answer:?}");
        let kademlia = LookupRequest { table: FindMode::KademliaLab, key };
        let answer = asker.lookup(&kademlia).await.expect("it ends");
        assert_eq!(answer.peers.first(), Some(&node.peer_id), "one bit away is the closest: {answer:?}");
        assert_eq!(answer.peers.len(), 8, "all are among the twenty closest");
    }
}

/// A peer of a network without overlays says so, and so does the command line.
#[tokio::test(flavor = "multi_thread")]
async fn without_overlays_a_search_says_what_to_do() {
    let net = Net::up(1, |settings| settings.hash_rate = 0).await;
    let error = net.client(0).overlays().await.expect_err("there are none");
    assert!(error.to_string().contains("takes part in no overlay"), "{error}");
    let output = net.synod(&["find", "anything"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("synod up --dht chord --search all"), "{text}");
    assert_eq!(output.status.code(), Some(1));
}
