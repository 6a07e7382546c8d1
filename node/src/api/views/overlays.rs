//! Whom a peer's tables name, as the API shows it.

use synod_dht::search::{Index, Item, Superpeer};
use synod_dht::{Chord, Kademlia, Node};
use synod_machine::Count;

use crate::api::types::{
    BucketInfo, ChordInfo, IndexInfo, ItemInfo, KademliaInfo, NodeRef, OverlaysInfo, SuperpeerInfo, TrafficInfo,
};
use crate::handle::{Names, View};

/// What the overlays of a node are like, if it takes part in any.
pub(crate) fn overlays(view: &View<'_>) -> Option<OverlaysInfo> {
    let overlays = view.overlays.as_ref()?;
    let (machine, names) = (overlays.machine, overlays.names);
    let flood = machine.flood().map(|flood| flood.neighbours());
    Some(OverlaysInfo {
        own: named(names, names.own())?,
        items: machine.content().items().count() as u64,
        unpublished: machine.unpublished() as u64,
        traffic: names.traffic().iter().map(|(kind, count)| ((*kind).to_owned(), traffic(*count))).collect(),
        chord: machine.chord().map(|chord| chord_info(names, chord)),
        flood: flood.map(|peers| peers.into_iter().filter_map(|peer| named(names, names.node(peer)?)).collect()),
        index: machine.index().map(index_info),
        kademlia: overlays.libp2p,
        kademlia_lab: machine.kademlia().map(|kademlia| kademlia_info(names, kademlia)),
        superpeer: machine.superpeer().map(|superpeer| superpeer_info(names, superpeer)),
    })
}

/// An item as the API shows it.
pub(crate) fn item(item: &Item) -> ItemInfo {
    let keywords = item.keywords.iter().collect::<Vec<_>>().join(" ");
    ItemInfo { hash: item.hash, name: item.name.as_str().to_owned(), keywords, bytes: item.bytes }
}

const fn traffic(count: Count) -> TrafficInfo {
    TrafficInfo { messages: count.messages, bytes: count.bytes }
}

fn named(names: &dyn Names, node: Node) -> Option<NodeRef> {
    Some(NodeRef { id: node.id.into(), peer_id: names.peer(node.peer)?.to_string() })
}

fn all_named<'a>(names: &dyn Names, nodes: impl IntoIterator<Item = &'a Node>) -> Vec<NodeRef> {
    nodes.into_iter().filter_map(|node| named(names, *node)).collect()
}

fn chord_info(names: &dyn Names, chord: &Chord) -> ChordInfo {
    ChordInfo {
        member: chord.is_member(),
        predecessor: chord.predecessor().and_then(|node| named(names, node)),
        successors: all_named(names, chord.successors()),
        fingers: all_named(names, chord.fingers()),
        keys: chord.keys().count() as u64,
    }
}

fn kademlia_info(names: &dyn Names, kademlia: &Kademlia) -> KademliaInfo {
    let buckets = (0..).zip(kademlia.buckets()).map(|(prefix, bucket)| {
        let nodes: Vec<Node> = bucket.contacts().iter().map(|contact| contact.node()).collect();
        BucketInfo { prefix, nodes: all_named(names, &nodes) }
    });
    KademliaInfo {
        member: kademlia.is_joined(),
        buckets: buckets.filter(|bucket| !bucket.nodes.is_empty()).collect(),
        keys: kademlia.keys().count() as u64,
    }
}

fn index_info(index: &Index) -> IndexInfo {
    IndexInfo { server: index.is_server(), registrations: index.registrations() as u64, items: index.items() as u64 }
}

fn superpeer_info(names: &dyn Names, superpeer: &Superpeer) -> SuperpeerInfo {
    let leaves = superpeer.leaves().into_iter().filter_map(|peer| named(names, names.node(peer)?));
    SuperpeerInfo {
        superpeer: superpeer.is_superpeer(),
        superpeers: all_named(names, &superpeer.superpeers()),
        leaves: leaves.collect(),
    }
}
