//! Nodes of other chains, and strangers: libp2p programs that know nothing of chains.

use futures::StreamExt as _;
use libp2p::gossipsub::{self, IdentTopic, MessageAuthenticity};
use libp2p::kad::store::MemoryStore;
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{SwarmBuilder, identify, kad, noise, tcp, yamux};

use super::*;

#[tokio::test]
async fn nodes_of_two_chains_refuse_each_other_and_both_know_why() {
    let other = "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100";
    let mut first = Node::new(&[]).await;
    let second = NetConfig { genesis: other.into(), chain: "fedcba9876543210".into(), ..config(&[&first]) };
    let mut second = Node::with(second).await;
    second.dial(&first).await;
    for (node, ours, theirs) in [(&mut first, GENESIS, other), (&mut second, other, GENESIS)] {
        let reason = node
            .wait("refused", |event| match event {
                NetEvent::Refused { reason, .. } => Some(reason),
                NetEvent::Up { .. } => panic!("they are not of one chain"),
                _ => None,
            })
            .await;
        let expected =
            format!("it is a node of another chain: its genesis is {}, ours is {}", &theirs[..12], &ours[..12]);
        assert_eq!(reason, expected);
    }
}

#[tokio::test]
async fn nodes_with_two_carriers_of_gossip_refuse_each_other_and_both_know_why() {
    let mut first = Node::new(&[]).await;
    let second = NetConfig { gossip: GossipKind::Mesh, ..config(&[&first]) };
    let mut second = Node::with(second).await;
    second.dial(&first).await;
    for (node, ours, theirs) in [(&mut first, "gossipsub", "mesh"), (&mut second, "mesh", "gossipsub")] {
        let reason = node
            .wait("refused", |event| match event {
                NetEvent::Refused { reason, .. } => Some(reason),
                NetEvent::Up { .. } => panic!("neither would hear what the other spreads"),
                _ => None,
            })
            .await;
        assert_eq!(reason, format!("it gossips by {theirs}, this node by {ours}"));
    }
}

/// What a program has that uses libp2p as it comes.
#[derive(NetworkBehaviour)]
struct Plain {
    identify: identify::Behaviour,
    kad: kad::Behaviour<MemoryStore>,
    gossipsub: gossipsub::Behaviour,
}

fn stranger() -> Swarm<Plain> {
    SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .expect("TCP")
        .with_behaviour(|key| {
            let peer = key.public().to_peer_id();
            let authenticity = MessageAuthenticity::Signed(key.clone());
            Plain {
                identify: identify::Behaviour::new(identify::Config::new("/ipfs/0.1.0".into(), key.public())),
                kad: kad::Behaviour::new(peer, MemoryStore::new(peer)),
                gossipsub: gossipsub::Behaviour::new(authenticity, gossipsub::Config::default()).expect("gossipsub"),
            }
        })
        .expect("a behaviour")
        .build()
}

#[derive(Debug, Default)]
struct Learnt {
    version: Option<String>,
    found: BTreeSet<PeerId>,
    heard: Vec<Vec<u8>>,
    subscribed: bool,
}

impl Learnt {
    fn note(&mut self, event: SwarmEvent<PlainEvent>, stranger: &mut Swarm<Plain>) {
        let SwarmEvent::Behaviour(event) = event else { return };
        match event {
            PlainEvent::Identify(identify::Event::Received { peer_id, info, .. }) => {
                self.version = Some(info.protocol_version);
                for address in info.listen_addrs {
                    stranger.behaviour_mut().kad.add_address(&peer_id, address);
                }
                stranger.behaviour_mut().kad.get_closest_peers(PeerId::random());
            }
            PlainEvent::Kad(kad::Event::OutboundQueryProgressed {
                result: kad::QueryResult::GetClosestPeers(Ok(found)),
                ..
            }) => self.found.extend(found.peers.into_iter().map(|found| found.peer_id)),
            PlainEvent::Gossipsub(gossipsub::Event::Message { message, .. }) => self.heard.push(message.data),
            PlainEvent::Gossipsub(gossipsub::Event::Subscribed { .. }) => self.subscribed = true,
            PlainEvent::Identify(_) | PlainEvent::Kad(_) | PlainEvent::Gossipsub(_) => {}
        }
    }
}

#[tokio::test]
async fn a_stranger_is_identified_answered_and_told_and_is_no_peer() {
    let (mut first, mut second) = pair().await;
    let mut stranger = stranger();
    let topic = IdentTopic::new("/synod/0123456789abcdef/tx");
    stranger.behaviour_mut().gossipsub.subscribe(&topic).expect("subscribed");
    stranger.dial(first.address()).expect("dialling");
    let mut learnt = Learnt::default();
    let mut sent = false;
    let all = async {
        while learnt.heard.is_empty() || learnt.found.len() < 2 {
            let event = stranger.select_next_some().await;
            learnt.note(event, &mut stranger);
            if learnt.subscribed && !sent {
                first.tell(NetCommand::Publish { topic: Topic::Transactions, bytes: b"news".to_vec() }).await;
                sent = true;
            }
        }
    };
    timeout(PATIENCE, all).await.expect("the stranger is served");
    assert_eq!(learnt.version, Some(format!("/synod/{GENESIS}")));
    assert_eq!(learnt.found, BTreeSet::from([first.peer(), second.peer()]));
    assert_eq!(learnt.heard, [b"news"]);

    // What it says is heard as well.
    stranger.behaviour_mut().gossipsub.publish(topic, b"hello".to_vec()).expect("published");
    let listening = tokio::spawn(async move {
        loop {
            stranger.select_next_some().await;
        }
    });
    let heard = first
        .wait("gossip", |event| match event {
            NetEvent::Gossip { bytes, .. } => Some(bytes),
            NetEvent::Up { .. } => panic!("a stranger is no peer"),
            _ => None,
        })
        .await;
    assert_eq!(heard, b"hello");
    listening.abort();
    second.wait_gossip().await;
}

#[tokio::test]
async fn the_public_dht_can_be_switched_off() {
    let node = Node::with(NetConfig { kad_public: false, ..config(&[]) }).await;
    let mut stranger = stranger();
    stranger.dial(node.address()).expect("dialling");
    let protocols = async {
        loop {
            if let SwarmEvent::Behaviour(PlainEvent::Identify(identify::Event::Received { info, .. })) =
                stranger.select_next_some().await
            {
                return info.protocols;
            }
        }
    };
    let protocols = timeout(PATIENCE, protocols).await.expect("identified");
    assert!(!protocols.contains(&kad::PROTOCOL_NAME));
    assert!(protocols.iter().any(|name| name.as_ref() == "/synod/0123456789abcdef/kad"));
}
