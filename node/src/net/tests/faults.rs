//! Links that are cut and shaped.

use super::*;

fn cut(peer: PeerId) -> Faults {
    Faults { cut: BTreeSet::from([peer]), ..Faults::default() }
}

fn everywhere(shape: Shape) -> Faults {
    Faults { default: shape, ..Faults::default() }
}

#[tokio::test]
async fn a_cut_that_lasts_takes_peers_down_and_healing_brings_them_back() {
    let (mut first, mut second) = pair().await;
    first.tell(NetCommand::Shape(cut(second.peer()))).await;
    first.settle().await;
    second.send(&first, b"into the void").await;
    let down = |node: &'static str| {
        move |event| match event {
            NetEvent::Down { .. } => Some(()),
            NetEvent::Frame { .. } => panic!("a frame crossed the cut to the {node}"),
            _ => None,
        }
    };
    tokio::join!(first.wait("down", down("first")), second.wait("down", down("second")));

    second.dial(&first).await;
    second.wait("a failure", |event| matches!(event, NetEvent::DialFailed { .. }).then_some(())).await;
    first.dial(&second).await;
    let error = first
        .wait("a failure", |event| match event {
            NetEvent::DialFailed { error, .. } => Some(error),
            _ => None,
        })
        .await;
    assert!(error.contains("cut"), "{error}");

    first.tell(NetCommand::Shape(Faults::default())).await;
    both_up(&mut first, &mut second).await;
    second.send(&first, b"and back").await;
    assert_eq!(first.wait_frame().await, b"and back");
}

#[tokio::test]
async fn a_short_cut_only_holds_frames_up() {
    let (mut first, second) = pair().await;
    for number in 0..10 {
        first.tell(NetCommand::Shape(cut(second.peer()))).await;
        second.send(&first, &[number]).await;
        first.tell(NetCommand::Shape(Faults::default())).await;
        // It panics if the peer goes down meanwhile.
        assert_eq!(first.wait_frame().await, [number]);
    }
}

#[tokio::test]
async fn a_ping_takes_the_delay_of_both_ends() {
    let (mut first, mut second) = (Node::new(&[]).await, Node::new(&[]).await);
    for node in [&first, &second] {
        let link = Shape { delay_ms: 60, ..Shape::default() };
        node.tell(NetCommand::Shape(everywhere(link))).await;
    }
    second.dial(&first).await;
    both_up(&mut first, &mut second).await;
    for node in [&mut first, &mut second] {
        let rtt = node
            .wait("a ping", |event| match event {
                NetEvent::Rtt { rtt, .. } => Some(rtt),
                _ => None,
            })
            .await;
        assert!(rtt >= Duration::from_millis(120), "{rtt:?}");
        assert_eq!(node.network.peers()[0].rtt.map(|rtt| rtt.as_micros()), Some(rtt.as_micros()));
    }
}

#[tokio::test]
async fn a_link_with_every_fault_at_once_delivers_all_in_order_and_as_slowly_as_it_should() {
    let (first, mut second) = pair().await;
    let shape = Shape { delay_ms: 5, jitter_ms: 5, loss: 0.01, bandwidth_bytes_per_s: 400_000 };
    let links = BTreeMap::from([(second.peer(), shape)]);
    first.tell(NetCommand::Shape(Faults { links, ..Faults::default() })).await;
    let begun = Instant::now();
    for number in 0..20 {
        first.send(&second, &[number; 10_000]).await;
    }
    for number in 0..20 {
        assert_eq!(second.wait_frame().await, [number; 10_000]);
    }
    assert!(begun.elapsed() >= Duration::from_millis(490), "200 kB at 400 kB/s took {:?}", begun.elapsed());
}

#[tokio::test]
async fn quic_gives_way_to_tcp_where_a_link_is_shaped() {
    let both = || NetConfig {
        listen: ["/ip4/127.0.0.1/udp/0/quic-v1", TCP].map(|address| address.parse().expect("an address")).into(),
        ..config(&[])
    };
    let (mut first, mut second) = (Node::with(both()).await, Node::with(both()).await);
    let quic = first.network.listen().iter().find(|address| shape::is_quic(address)).expect("QUIC").clone();
    second.tell(NetCommand::Dial { peer: first.peer(), addresses: vec![quic] }).await;
    second.wait_up(first.peer()).await;
    assert!(shape::is_quic(&second.network.peers()[0].address));

    second.tell(NetCommand::Shape(everywhere(Shape { delay_ms: 1, ..Shape::default() }))).await;
    second.wait("down", |event| matches!(event, NetEvent::Down { .. }).then_some(())).await;
    let address = second
        .wait("up", |event| match event {
            NetEvent::Up { address, .. } => Some(address),
            _ => None,
        })
        .await;
    assert!(!shape::is_quic(&address), "{address}");
    first.wait_up(second.peer()).await;
}
