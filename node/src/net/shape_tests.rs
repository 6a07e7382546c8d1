use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::io::{DuplexStream, duplex};
use tokio::time::timeout;

use super::*;

/// Tokio's pipe with the traits that libp2p uses.
struct Pipe(DuplexStream);

impl AsyncRead for Pipe {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buffer = tokio::io::ReadBuf::new(bytes);
        ready!(tokio::io::AsyncRead::poll_read(Pin::new(&mut self.0), cx, &mut buffer))?;
        Poll::Ready(Ok(buffer.filled().len()))
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        tokio::io::AsyncWrite::poll_write(Pin::new(&mut self.0), cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        tokio::io::AsyncWrite::poll_flush(Pin::new(&mut self.0), cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        tokio::io::AsyncWrite::poll_shutdown(Pin::new(&mut self.0), cx)
    }
}

/// A shaped end, its link and the other end.
fn shaped(shape: Shape) -> (Shaped<Pipe>, Arc<Link>, Pipe) {
    let (near, far) = duplex(1_000_000);
    let link = Arc::new(Link::new());
    link.set(shape, Flow::Open);
    (Shaped { inner: Pipe(near), link: link.clone(), pacer: None, rng: Rng::new(1, 0, "test") }, link, Pipe(far))
}

async fn carry(shape: Shape, bytes: usize) -> Duration {
    let (mut near, _, mut far) = shaped(shape);
    let sent: Vec<u8> = (0..bytes).map(|index| index as u8).collect();
    let mut received = vec![0; bytes];
    let begun = Instant::now();
    let write = async {
        near.write_all(&sent).await.expect("written");
        near.flush().await.expect("flushed");
    };
    let (_, read) = tokio::join!(write, far.read_exact(&mut received));
    read.expect("read");
    assert_eq!(received, sent);
    begun.elapsed()
}

#[tokio::test]
async fn an_unshaped_link_passes_all_through_and_keeps_no_queue() {
    let (mut near, _, mut far) = shaped(Shape::default());
    near.write_all(b"through").await.expect("written");
    assert!(near.pacer.is_none());
    let mut bytes = [0; 7];
    far.read_exact(&mut bytes).await.expect("read");
    far.write_all(b"back").await.expect("written");
    near.read_exact(&mut bytes[..4]).await.expect("read");
    assert_eq!(&bytes, b"backugh");
}

#[tokio::test]
async fn delay_and_bandwidth_take_the_time_that_they_say() {
    let plain = Shape::default();
    let delayed = carry(Shape { delay_ms: 80, ..plain }, 100_000).await;
    assert!(delayed >= Duration::from_millis(80), "{delayed:?}");
    let narrow = carry(Shape { bandwidth_bytes_per_s: 500_000, ..plain }, 100_000).await;
    assert!(narrow >= Duration::from_millis(199), "{narrow:?}");
    let jittery = carry(Shape { delay_ms: 80, jitter_ms: 50, ..plain }, 100_000).await;
    assert!(jittery >= Duration::from_millis(30), "{jittery:?}");
}

#[test]
fn jitter_is_to_both_sides_of_the_delay() {
    let mut rng = Rng::new(1, 0, "jitter");
    let shape = Shape { delay_ms: 80, jitter_ms: 50, ..Shape::default() };
    let drawn: Vec<_> = (0..1_000).map(|_| lateness(&shape, &mut rng).as_millis()).collect();
    let (least, most) = (drawn.iter().min().expect("drawn"), drawn.iter().max().expect("drawn"));
    assert!((30..35).contains(least) && (125..=130).contains(most), "{least} to {most}");
    let early = Shape { delay_ms: 10, ..shape };
    assert!((0..1_000).any(|_| lateness(&early, &mut rng) == Duration::ZERO), "nothing arrives before it is sent");
}

#[test]
fn a_packet_that_is_lost_again_and_again_waits_twice_as_long_each_time() {
    let mut rng = Rng::new(1, 0, "losses");
    let shape = Shape { loss: 1.0, delay_ms: 10, ..Shape::default() };
    let timeout_ms = 200 + 2 * 10;
    let expected = Duration::from_millis(timeout_ms * (1 + 2 + 4 + 8 + 16 + 32));
    assert_eq!(stall(1, &shape, &mut rng), expected);
}

#[test]
fn losses_are_as_frequent_as_asked() {
    let mut rng = Rng::new(1, 0, "losses");
    let shape = Shape { loss: 0.1, ..Shape::default() };
    let stalls = (0..10_000).filter(|_| stall(PACKET_BYTES, &shape, &mut rng) > Duration::ZERO).count();
    assert!((900..1_100).contains(&stalls), "{stalls}");
    let none = (0..1_000).filter(|_| stall(PACKET_BYTES, &Shape::default(), &mut rng) > Duration::ZERO).count();
    assert_eq!(none, 0);
}

#[tokio::test]
async fn a_cut_stops_both_directions_and_healing_loses_nothing() {
    let (mut near, link, mut far) = shaped(Shape { delay_ms: 10, ..Shape::default() });
    near.write_all(b"on its way").await.expect("written");
    link.set(Shape::default(), Flow::Cut);
    far.write_all(b"answer").await.expect("written");
    let mut there = [0; 10];
    let mut back = [0; 6];
    let moved = async {
        tokio::select! {
            _ = near.read_exact(&mut back) => "in",
            _ = far.read_exact(&mut there) => "out",
        }
    };
    timeout(Duration::from_millis(100), moved).await.expect_err("nothing moves");
    link.set(Shape::default(), Flow::Open);
    near.read_exact(&mut back).await.expect("read");
    near.flush().await.expect("flushed");
    far.read_exact(&mut there).await.expect("read");
    assert_eq!((&there, &back), (b"on its way", b"answer"));
}

#[tokio::test]
async fn a_killed_link_ends_whoever_waits_for_it() {
    let (mut near, link, _far) = shaped(Shape::default());
    let fill = vec![0; 2_000_000];
    let (written, ()) = tokio::join!(near.write_all(&fill), async { link.kill() });
    assert_eq!(written.expect_err("killed").kind(), io::ErrorKind::ConnectionAborted);
    assert_eq!(near.close().await.expect_err("killed").kind(), io::ErrorKind::ConnectionAborted);
    link.set(Shape::default(), Flow::Open);
    assert!(link.is_stopped(), "the dead stay dead");
}

#[tokio::test]
async fn a_link_takes_no_more_than_its_window() {
    let shape = Shape { delay_ms: 1_000, bandwidth_bytes_per_s: 10_000, ..Shape::default() };
    assert_eq!(window_bytes(&shape), 20_000 + SOCKET_BYTES);
    let (mut near, _, _far) = shaped(shape);
    let fill = vec![0; 1_000_000];
    timeout(Duration::from_millis(50), near.write_all(&fill)).await.expect_err("held back");
    let queued = near.pacer.as_ref().expect("a queue").queued_bytes;
    assert!((20_000 + SOCKET_BYTES..20_000 + SOCKET_BYTES + SEGMENT_BYTES_MAX).contains(&queued), "{queued}");
}

#[test]
fn links_are_bound_to_their_peers_by_where_they_lead() {
    let links = Links::new(1);
    let peer = PeerId::random();
    let cut = Faults { cut: [peer].into(), ..Faults::default() };
    links.replace(cut);
    let listener = |port: u16| ConnectedPoint::Listener {
        local_addr: "/ip4/127.0.0.1/tcp/1".parse().expect("an address"),
        send_back_addr: format!("/ip4/127.0.0.1/tcp/{port}").parse().expect("an address"),
    };
    let streams = [7, 8].map(|port| links.wrap((), &listener(port)));
    assert!(!streams[0].link.is_stopped(), "nobody knows whose it is");
    let bound = links.bind(&peer, &listener(7)).expect("bound");
    assert!(Arc::ptr_eq(&bound, &streams[0].link));
    assert!(bound.is_stopped());
    assert!(!streams[1].link.is_stopped());
    assert!(links.bind(&peer, &listener(7)).is_none(), "it is bound once");
    drop(streams);
    assert!(links.bind(&peer, &listener(8)).is_none(), "it is gone");
}

#[test]
fn of_two_streams_to_one_address_the_one_that_stays_is_cut_whichever_is_closed() {
    let point = ConnectedPoint::Listener {
        local_addr: "/ip4/127.0.0.1/tcp/1".parse().expect("an address"),
        send_back_addr: "/ip4/127.0.0.1/tcp/7".parse().expect("an address"),
    };
    for kept in [0, 1] {
        let (links, peer) = (Links::new(1), PeerId::random());
        let mut streams = [0, 1].map(|_| Some(links.wrap((), &point)));
        // In the order in which their handshakes end.
        let mut bound = [0, 1].map(|_| links.bind(&peer, &point));
        assert!(bound.iter().all(Option::is_some) && links.bind(&peer, &point).is_none());
        // The other connection is closed, with whatever link it has been given.
        (streams[1 - kept], bound[1 - kept]) = (None, None);
        links.replace(Faults { cut: [peer].into(), ..Faults::default() });
        let stream = streams[kept].as_ref().expect("it was kept");
        assert!(stream.link.is_stopped(), "{kept}");
        links.replace(Faults::default());
        assert!(!stream.link.is_stopped(), "{kept}");
    }
}
