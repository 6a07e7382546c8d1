//! Finding each other, frames, addresses.

use super::*;

#[tokio::test]
async fn nodes_that_look_for_nobody_hear_of_their_own_peers_alone() {
    let config = |bootstrap: &[&Node]| NetConfig { discover: false, ..config(bootstrap) };
    let mut first = Node::with(config(&[])).await;
    let mut second = Node::with(config(&[&first])).await;
    let mut third = Node::with(config(&[&second])).await;
    second.dial(&first).await;
    third.dial(&second).await;
    both_up(&mut first, &mut second).await;
    third.wait_up(second.peer()).await;
    // Twice as long as a look-up takes to begin where one is made.
    tokio::time::sleep(Duration::from_millis(500)).await;
    first.settle().await;
    third.settle().await;
    let up = |node: &Node| node.network.peers().into_iter().map(|info| info.peer).collect::<Vec<_>>();
    assert_eq!(up(&first), [second.peer()]);
    assert_eq!(up(&third), [second.peer()]);
    while let Ok(event) = first.events.try_recv() {
        let is_third = matches!(event, NetEvent::Discovered { peer, .. } if peer == third.peer());
        assert!(!is_third, "nobody told it of the third");
    }
}

#[tokio::test]
async fn five_nodes_find_each_other_from_one_address() {
    let first = Node::new(&[]).await;
    let mut nodes = Vec::new();
    for _ in 0..4 {
        nodes.push(Node::new(&[&first]).await);
    }
    nodes.push(first);
    let all: BTreeSet<_> = nodes.iter().map(Node::peer).collect();
    let searches = nodes.into_iter().map(|mut node| {
        let mut missing = all.clone();
        missing.remove(&node.peer());
        tokio::spawn(async move {
            let commands = node.network.commands().clone();
            node.wait(missing.clone(), |event| {
                match event {
                    NetEvent::Discovered { peer, addresses } => {
                        commands.try_send(NetCommand::Dial { peer, addresses }).expect("room for a command");
                    }
                    NetEvent::Up { peer, agent, .. } => {
                        assert_eq!(agent, "synod/test");
                        assert!(missing.remove(&peer), "up once");
                    }
                    NetEvent::Down { peer } => panic!("{peer} is down"),
                    _ => {}
                }
                missing.is_empty().then_some(())
            })
            .await;
            node
        })
    });
    // All search at once, and those that are done stay until the last one is.
    let searches: Vec<_> = searches.collect();
    let mut done = Vec::new();
    for search in searches {
        done.push(search.await.expect("it found all"));
    }
}

#[tokio::test]
async fn frames_of_all_lengths_arrive_in_order() {
    let (first, mut second) = pair().await;
    let frames: Vec<Vec<u8>> = [0, 1, 3, 4, 5, 65_535, 65_536, FRAME_BYTES_MAX]
        .into_iter()
        .chain((0..500).map(|number| number % 97))
        .enumerate()
        .map(|(number, len)| (0..len).map(|index| (number + index) as u8).collect())
        .collect();
    for frame in &frames {
        first.send(&second, frame).await;
    }
    for (number, frame) in frames.iter().enumerate() {
        assert_eq!(second.wait_frame().await, *frame, "frame {number}");
    }
    let [info] = &second.network.peers()[..] else { panic!("one peer") };
    assert_eq!(info.peer, first.peer());
    assert!(!info.outbound || info.address == first.address());
    assert_eq!(info.received_bytes, frames.iter().map(Vec::len).sum::<usize>() as u64);
}

#[tokio::test]
async fn dials_that_cross_leave_one_peer_and_lose_no_frame() {
    for round in 0..10 {
        let (mut first, mut second) = (Node::new(&[]).await, Node::new(&[]).await);
        tokio::join!(first.dial(&second), second.dial(&first));
        both_up(&mut first, &mut second).await;
        for number in 0..20 {
            first.send(&second, &[number]).await;
            second.send(&first, &[number]).await;
            assert_eq!(first.wait_frame().await, [number], "round {round}");
            assert_eq!(second.wait_frame().await, [number], "round {round}");
        }
        assert_eq!(first.network.peers().len(), 1);
    }
}

#[tokio::test]
async fn quic_carries_frames_too() {
    let quic = |bootstrap: &[&Node]| NetConfig {
        listen: vec!["/ip4/127.0.0.1/udp/0/quic-v1".parse().expect("an address")],
        ..config(bootstrap)
    };
    let mut first = Node::with(quic(&[])).await;
    let mut second = Node::with(quic(&[&first])).await;
    second.wait_up(first.peer()).await;
    first.wait_up(second.peer()).await;
    second.send(&first, b"by datagrams").await;
    assert_eq!(first.wait_frame().await, b"by datagrams");
}

#[tokio::test]
async fn a_dial_that_fails_and_a_peer_that_leaves_are_told() {
    let (mut first, second) = pair().await;
    let (peer, address) = (second.peer(), second.address());
    second.network.stop().await;
    first.wait("down", |event| matches!(event, NetEvent::Down { peer: gone } if gone == peer).then_some(())).await;
    assert!(first.network.peers().is_empty());
    first.tell(NetCommand::Dial { peer, addresses: vec![address] }).await;
    let error = first.wait("a failure", failed_dial(peer)).await;
    assert!(error.contains("refused"), "{error}");
    let own = first.peer();
    first.tell(NetCommand::Dial { peer: own, addresses: vec![] }).await;
    assert_eq!(first.wait("a failure", failed_dial(own)).await, "this node itself");
}

#[tokio::test]
async fn a_banned_peer_is_gone_until_it_is_unbanned() {
    let (mut first, mut second) = pair().await;
    let peer = second.peer();
    first.tell(NetCommand::Ban { peer }).await;
    first.wait("down", |event| matches!(event, NetEvent::Down { .. }).then_some(())).await;
    first.dial(&second).await;
    first.wait("a failure", failed_dial(peer)).await;
    first.tell(NetCommand::Unban { peer }).await;
    first.dial(&second).await;
    first.wait_up(peer).await;
    second.wait_up(first.peer()).await;
}

#[tokio::test]
async fn a_port_that_is_taken_is_said_to_be() {
    let first = Node::new(&[]).await;
    let (taken, _) = shape::split(&first.address());
    let second = NetConfig { listen: vec![taken.clone()], ..config(&[]) };
    let begin = |config| async { start(config, mpsc::channel(1).0, &mut Registry::default()).await };
    let error = begin(second.clone()).await.expect_err("it is taken");
    assert!(matches!(&error, NetError::PortInUse { address } if *address == taken), "{error}");
    first.network.stop().await;
    begin(second).await.expect("a stopped network has left its port");

    for wrong in ["/ip4/127.0.0.1/tcp/0/ws", "/ip4/192.0.2.1/tcp/0"] {
        let wrong = NetConfig { listen: vec![wrong.parse().expect("an address")], ..config(&[]) };
        let error = begin(wrong).await.expect_err("there is no such place");
        assert!(matches!(error, NetError::Address { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_busy_engine_holds_up_its_frames_and_nothing_else() {
    let mut first = Node::new(&[]).await;
    let second = Node::with_room_for(config(&[&first]), 1).await;
    first.wait_up(second.peer()).await;
    // The second engine looks at nothing from here on, though far more comes than there is room for.
    for number in 0_u32..2_000 {
        first.send(&second, &[&number.to_le_bytes()[..], &[0; 10_000]].concat()).await;
    }
    second.tell(NetCommand::Publish { topic: Topic::Transactions, bytes: b"still here".to_vec() }).await;
    assert_eq!(first.wait_gossip().await.2, b"still here");
    first.settle().await;
    let [info] = &first.network.peers()[..] else { panic!("one peer") };
    assert!(info.dropped_frames > 0, "what the queue had no room for is counted");
    // What is not dropped comes in order once it looks again.
    let mut second = second;
    let mut last = None;
    let received = 2_000 - info.dropped_frames;
    for _ in 0..received {
        let frame = second.wait_frame().await;
        let number = u32::from_le_bytes(frame[..4].try_into().expect("four bytes"));
        assert!(last < Some(number));
        last = Some(number);
    }
}

fn failed_dial(dialled: PeerId) -> impl FnMut(NetEvent) -> Option<String> {
    move |event| match event {
        NetEvent::DialFailed { peer, error } if peer == dialled => Some(error),
        _ => None,
    }
}
