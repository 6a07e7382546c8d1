//! A node that claims to be of the chain and breaks the rules of its protocols.

use futures::io::AsyncWriteExt as _;
use futures::{AsyncReadExt as _, StreamExt as _};
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{StreamProtocol, SwarmBuilder, identify, noise, tcp, yamux};
use synod_machine::Rng;

use super::*;

#[derive(NetworkBehaviour)]
struct Liar {
    identify: identify::Behaviour,
    streams: libp2p_stream::Behaviour,
}

/// Connects to the node as one of its chain. Gives what opens streams.
async fn liar(node: &Node) -> libp2p_stream::Control {
    let mut swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .expect("TCP")
        .with_behaviour(|key| Liar {
            identify: identify::Behaviour::new(identify::Config::new(format!("/synod/{GENESIS}"), key.public())),
            streams: libp2p_stream::Behaviour::new(),
        })
        .expect("a behaviour")
        .build();
    let mut control = swarm.behaviour().streams.new_control();
    let mut accepted = control.accept(FRAMES).expect("accepting");
    swarm.dial(node.address()).expect("dialling");
    while !matches!(swarm.select_next_some().await, SwarmEvent::ConnectionEstablished { .. }) {}
    // It takes what the node sends and keeps the streams open.
    tokio::spawn(async move {
        let mut streams = Vec::new();
        loop {
            tokio::select! {
                _ = swarm.select_next_some() => {}
                Some((_, stream)) = accepted.next() => streams.push(stream),
            }
        }
    });
    control
}

/// Opens a stream, writes these bytes and ends it.
async fn say(control: &mut libp2p_stream::Control, peer: PeerId, protocol: StreamProtocol, bytes: &[u8]) {
    // A node that has had enough of a peer on one protocol no longer speaks it.
    let opened = timeout(PATIENCE, control.open_stream(peer, protocol)).await.expect("in time");
    let Ok(mut stream) = opened else { return };
    // The node may drop the stream before all is written.
    let _ = stream.write_all(bytes).await;
    let _ = stream.close().await;
}

async fn refusal(node: &mut Node) -> FrameRefusal {
    node.wait("a refusal", |event| match event {
        NetEvent::FrameRefused { reason, .. } => Some(reason),
        NetEvent::Frame { bytes, .. } => panic!("a frame of {} bytes", bytes.len()),
        _ => None,
    })
    .await
}

#[tokio::test]
async fn frames_that_break_the_rules_are_refused_and_good_ones_are_still_taken() {
    let mut node = Node::new(&[]).await;
    let mut control = liar(&node).await;
    let peer = node.peer();
    let over = u32::try_from(FRAME_BYTES_MAX + 1).expect("it fits").to_le_bytes();
    say(&mut control, peer, FRAMES, &over).await;
    assert_eq!(refusal(&mut node).await, FrameRefusal::Oversized);
    say(&mut control, peer, FRAMES, &u32::MAX.to_le_bytes()).await;
    assert_eq!(refusal(&mut node).await, FrameRefusal::Oversized);
    say(&mut control, peer, FRAMES, &[9, 0, 0, 0, 1, 2, 3]).await;
    assert_eq!(refusal(&mut node).await, FrameRefusal::Malformed);
    say(&mut control, peer, FRAMES, &[9, 0]).await;
    assert_eq!(refusal(&mut node).await, FrameRefusal::Malformed);
    say(&mut control, peer, FRAMES, &[2, 0, 0, 0, 7, 8]).await;
    assert_eq!(node.wait_frame().await, [7, 8]);
}

#[tokio::test]
async fn a_peer_whose_streams_break_again_and_again_is_dropped() {
    let mut node = Node::new(&[]).await;
    let mut control = liar(&node).await;
    let peer = node.peer();
    let talking = tokio::spawn(async move {
        while let Ok(mut stream) = control.open_stream(peer, FRAMES).await {
            let _ = stream.write_all(&u32::MAX.to_le_bytes()).await;
            // The node lets go of it.
            let _ = stream.read(&mut [0]).await;
        }
    });
    let mut refused = 0;
    let mut count = |event: NetEvent| {
        refused += u32::from(matches!(event, NetEvent::FrameRefused { .. }));
        matches!(event, NetEvent::Down { .. }).then_some(())
    };
    node.wait("down", &mut count).await;
    assert_eq!(refused, session::REOPENS_MAX);
    talking.abort();
}

#[tokio::test]
async fn random_bytes_on_any_protocol_do_no_harm() {
    let (mut node, other) = pair().await;
    let peer = node.peer();
    let mut rng = Rng::new(1, 0, "random bytes");
    let names = [
        "/synod/0123456789abcdef/frames/1",
        "/synod/0123456789abcdef/kad",
        "/ipfs/kad/1.0.0",
        "/meshsub/1.1.0",
        "/meshsub/1.2.0",
        "/ipfs/id/1.0.0",
        "/ipfs/id/push/1.0.0",
        "/ipfs/ping/1.0.0",
    ];
    let mut control = liar(&node).await;
    for round in 0..8 {
        for name in names {
            let bytes: Vec<u8> = (0..1 << (2 * round % 14)).map(|_| rng.next_u64() as u8).collect();
            say(&mut control, peer, StreamProtocol::new(name), &bytes).await;
        }
    }
    other.send(&node, b"all is well").await;
    let frame = node.wait("a frame", |event| match event {
        NetEvent::Frame { peer, bytes } => (peer == other.peer()).then_some(bytes),
        NetEvent::Down { peer } if peer == other.peer() => panic!("the other peer is down"),
        _ => None,
    });
    assert_eq!(frame.await, b"all is well");
}

const FRAMES: StreamProtocol = StreamProtocol::new("/synod/0123456789abcdef/frames/1");
