//! Faults of links, injected between a TCP socket and Noise: delay, jitter, loss, a bandwidth limit, and a cut.
//!
//! What this node sends waits in a queue until it is due; what it receives is read as it comes, since the other end delays
//! its own sending. A lost packet of a stream is not lost but late: it and all that follows waits for a retransmission
//! timeout, which doubles when the retransmission is lost as well (RFC 6298). A cut stops a stream in both directions and
//! loses nothing; on healing it goes on, unless a missing ping has closed it. An unshaped link costs one atomic load for
//! each read and write.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use futures::io::{AsyncRead, AsyncWrite, IoSlice};
use libp2p::core::ConnectedPoint;
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use synod_machine::Rng;
use tokio::time::{Instant, Sleep};

use super::{Faults, Shape};

/// The faults in force, and the streams that have them.
pub(super) struct Links {
    inner: Mutex<Inner>,
}

struct Inner {
    faults: Faults,
    rng: Rng,
    streams: Vec<Stream>,
}

/// A stream that was opened and, as long as its link is there, not closed.
struct Stream {
    remote: Multiaddr,
    /// Whose it is, if that is known.
    peer: Option<PeerId>,
    /// Whether a connection has its link.
    is_bound: bool,
    link: Weak<Link>,
}

/// The state of one stream, shared by the stream and the network task.
pub(super) struct Link {
    /// Neither shaped nor cut nor dead: all is passed through without a lock.
    plain: AtomicBool,
    state: Mutex<State>,
}

struct State {
    shape: Shape,
    flow: Flow,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    Cut,
    Dead,
    Open,
}

impl Faults {
    /// Whether the peer can neither be heard nor reached.
    pub fn is_cut(&self, peer: &PeerId) -> bool {
        self.cut.contains(peer)
    }

    /// How the peer's link is shaped.
    pub fn shape(&self, peer: &PeerId) -> Shape {
        self.links.get(peer).copied().unwrap_or(self.default)
    }
}

impl Shape {
    /// Whether it changes nothing.
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }
}

impl Links {
    /// Without faults; `seed` decides the jitter and the losses to come.
    pub(super) fn new(seed: u64) -> Self {
        let inner = Inner { faults: Faults::default(), rng: Rng::new(seed, 0, "links"), streams: Vec::new() };
        Self { inner: Mutex::new(inner) }
    }

    /// Wraps a new socket. It has the faults of the peer that was dialled; an inbound one is unshaped until
    /// [`Links::bind`] tells whose it is.
    pub(super) fn wrap<S>(&self, stream: S, point: &ConnectedPoint) -> Shaped<S> {
        let mut inner = self.lock();
        let (remote, peer) = split(remote(point));
        let link = Arc::new(Link::new());
        if let Some(peer) = peer {
            link.apply(&inner.faults, &peer);
        }
        inner.streams.retain(|stream| stream.link.strong_count() > 0);
        inner.streams.push(Stream { remote, peer, is_bound: false, link: Arc::downgrade(&link) });
        let rng = Rng::new(inner.rng.next_u64(), 0, "link");
        Shaped { inner: stream, link, pacer: None, rng }
    }

    /// The link of a connection that was established with a peer, from now on with that peer's faults; nothing for QUIC.
    /// Of simultaneous dials of one address nobody knows which is which. They reach one peer: all have its faults, whichever
    /// of them is closed. The newest is least likely to be one that hangs.
    pub(super) fn bind(&self, peer: &PeerId, point: &ConnectedPoint) -> Option<Arc<Link>> {
        let mut inner = self.lock();
        let (remote, _) = split(remote(point));
        let Inner { faults, streams, .. } = &mut *inner;
        streams.retain(|stream| stream.link.strong_count() > 0);
        for stream in streams.iter_mut().filter(|stream| stream.remote == remote) {
            stream.peer = Some(*peer);
            stream.apply(faults);
        }
        let stream = streams.iter_mut().rfind(|stream| !stream.is_bound && stream.remote == remote)?;
        stream.is_bound = true;
        stream.link.upgrade()
    }

    /// Whether a peer is cut off.
    pub(super) fn is_cut(&self, peer: &PeerId) -> bool {
        self.lock().faults.is_cut(peer)
    }

    /// Whether a peer's link has any fault.
    pub(super) fn is_shaped(&self, peer: &PeerId) -> bool {
        let inner = self.lock();
        inner.faults.is_cut(peer) || !inner.faults.shape(peer).is_plain()
    }

    /// Whether a connection to this peer would escape its faults: QUIC, where there are any.
    pub(super) fn escapes(&self, peer: &PeerId, address: &Multiaddr) -> bool {
        is_quic(address) && self.is_shaped(peer)
    }

    /// Puts other faults in force, for the links there are and those to come. Gives the old ones.
    pub(super) fn replace(&self, faults: Faults) -> Faults {
        let mut inner = self.lock();
        inner.streams.iter().for_each(|stream| stream.apply(&faults));
        std::mem::replace(&mut inner.faults, faults)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stream {
    fn apply(&self, faults: &Faults) {
        if let (Some(peer), Some(link)) = (self.peer, self.link.upgrade()) {
            link.apply(faults, &peer);
        }
    }
}

/// Whether an address is one of QUIC.
pub(super) fn is_quic(address: &Multiaddr) -> bool {
    address.iter().any(|part| matches!(part, Protocol::Quic | Protocol::QuicV1))
}

/// Where the other end is: where it was dialled, or where it came from.
pub(super) fn remote(point: &ConnectedPoint) -> &Multiaddr {
    match point {
        ConnectedPoint::Dialer { address, .. } => address,
        ConnectedPoint::Listener { send_back_addr, .. } => send_back_addr,
    }
}

/// An address without its `/p2p/…`, and the peer named there.
pub(super) fn split(address: &Multiaddr) -> (Multiaddr, Option<PeerId>) {
    let peer = address.iter().find_map(|part| if let Protocol::P2p(peer) = part { Some(peer) } else { None });
    (address.iter().filter(|part| !matches!(part, Protocol::P2p(_))).collect(), peer)
}

impl Link {
    fn new() -> Self {
        let state = State { shape: Shape::default(), flow: Flow::Open, reader: None, writer: None };
        Self { plain: AtomicBool::new(true), state: Mutex::new(state) }
    }

    /// From now on the link has the faults of this peer. A dead one stays dead.
    fn apply(&self, faults: &Faults, peer: &PeerId) {
        let flow = if faults.is_cut(peer) { Flow::Cut } else { Flow::Open };
        self.set(faults.shape(peer), flow);
    }

    /// From now on every operation fails, so that closing the connection cannot hang on a stream that does not move.
    pub(super) fn kill(&self) {
        self.set(Shape::default(), Flow::Dead);
    }

    /// Whether nothing moves on it.
    pub(super) fn is_stopped(&self) -> bool {
        self.lock().flow != Flow::Open
    }

    fn set(&self, shape: Shape, flow: Flow) {
        let mut state = self.lock();
        if state.flow == Flow::Dead {
            return;
        }
        state.shape = shape;
        state.flow = flow;
        self.plain.store(flow == Flow::Open && shape.is_plain(), Ordering::Release);
        let wakers = [state.reader.take(), state.writer.take()];
        drop(state);
        wakers.into_iter().flatten().for_each(Waker::wake);
    }

    fn is_plain(&self) -> bool {
        self.plain.load(Ordering::Acquire)
    }

    fn poll_reader(&self, cx: &Context<'_>) -> Poll<io::Result<Shape>> {
        let mut state = self.lock();
        state.reader = Some(cx.waker().clone());
        state.poll()
    }

    fn poll_writer(&self, cx: &Context<'_>) -> Poll<io::Result<Shape>> {
        let mut state = self.lock();
        state.writer = Some(cx.waker().clone());
        state.poll()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn poll(&self) -> Poll<io::Result<Shape>> {
        match self.flow {
            Flow::Cut => Poll::Pending,
            Flow::Dead => Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into())),
            Flow::Open => Poll::Ready(Ok(self.shape)),
        }
    }
}

/// A socket whose traffic has the faults of its [`Link`].
pub(super) struct Shaped<S> {
    inner: S,
    link: Arc<Link>,
    pacer: Option<Box<Pacer>>,
    rng: Rng,
}

/// What a shaped stream has taken and not yet sent.
struct Pacer {
    queue: VecDeque<Segment>,
    queued_bytes: usize,
    /// When the last byte taken has left, at the bandwidth allowed.
    free_at: Instant,
    timer: Pin<Box<Sleep>>,
}

struct Segment {
    due: Instant,
    bytes: Vec<u8>,
    sent: usize,
}

impl<S: AsyncWrite + Unpin> Shaped<S> {
    /// Sends what is due. Ready when nothing waits any more; otherwise the task is woken when the next segment is due.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(pacer) = &mut self.pacer else { return Poll::Ready(Ok(())) };
        while let Some(head) = pacer.queue.front_mut() {
            ready!(self.link.poll_writer(cx))?;
            if head.due > Instant::now() {
                pacer.timer.as_mut().reset(head.due);
                ready!(pacer.timer.as_mut().poll(cx));
            }
            let sent = ready!(Pin::new(&mut self.inner).poll_write(cx, &head.bytes[head.sent..]))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            head.sent += sent;
            if head.sent == head.bytes.len() {
                pacer.queued_bytes -= head.sent;
                pacer.queue.pop_front();
            }
        }
        self.pacer = None;
        Poll::Ready(Ok(()))
    }

    fn poll_write_shaped(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let waits = match self.poll_drain(cx) {
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) => false,
            Poll::Pending => true,
        };
        let shape = ready!(self.link.poll_writer(cx))?;
        if !waits && shape.is_plain() {
            return Pin::new(&mut self.inner).poll_write(cx, bytes);
        }
        let pacer = self.pacer.get_or_insert_with(Pacer::new);
        if pacer.queued_bytes >= window_bytes(&shape) {
            return Poll::Pending;
        }
        let bytes = &bytes[..bytes.len().min(SEGMENT_BYTES_MAX)];
        pacer.push(bytes, &shape, &mut self.rng);
        // This sets the timer, or the task would not be woken to send what it has just written.
        match self.poll_drain(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(bytes.len())),
        }
    }

    /// Whether reads and writes go straight through.
    fn is_plain(&self) -> bool {
        self.pacer.is_none() && self.link.is_plain()
    }

    /// A write that waits for the socket must still be ended by [`Link::kill`].
    fn note_writer<T>(&self, cx: &Context<'_>, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if poll.is_pending() {
            // An answer that the link is stopped wakes nobody: what matters is the waker it keeps.
            if let Poll::Ready(Err(error)) = self.link.poll_writer(cx) {
                return Poll::Ready(Err(error));
            }
        }
        poll
    }
}

impl Pacer {
    fn new() -> Box<Self> {
        let now = Instant::now();
        let timer = Box::pin(tokio::time::sleep_until(now));
        Box::new(Self { queue: VecDeque::new(), queued_bytes: 0, free_at: now, timer })
    }

    fn push(&mut self, bytes: &[u8], shape: &Shape, rng: &mut Rng) {
        self.free_at = self.free_at.max(Instant::now()) + transmission(bytes.len(), shape.bandwidth_bytes_per_s);
        let due = self.free_at + lateness(shape, rng) + stall(bytes.len(), shape, rng);
        // A stream keeps its order.
        let due = self.queue.back().map_or(due, |last| due.max(last.due));
        self.queued_bytes += bytes.len();
        self.queue.push_back(Segment { due, bytes: bytes.to_vec(), sent: 0 });
    }
}

fn transmission(bytes: usize, bytes_per_s: u64) -> Duration {
    if bytes_per_s == 0 {
        return Duration::ZERO;
    }
    Duration::from_micros(bytes as u64 * 1_000_000 / bytes_per_s)
}

fn lateness(shape: &Shape, rng: &mut Rng) -> Duration {
    let (delay_us, jitter_us) = (capped(shape.delay_ms) * 1_000, capped(shape.jitter_ms) * 1_000);
    Duration::from_micros((delay_us + rng.below(2 * jitter_us + 1)).saturating_sub(jitter_us))
}

/// How long a segment is held up by the worst of its packets.
fn stall(bytes: usize, shape: &Shape, rng: &mut Rng) -> Duration {
    if shape.loss <= 0.0 {
        return Duration::ZERO;
    }
    // A share of the whole range of a random number; above one it is all of it.
    let lost_below = (shape.loss.min(1.0) * u64::MAX as f64) as u64;
    let timeout = RETRANSMISSION_MIN + Duration::from_millis(2 * capped(shape.delay_ms));
    let worst = (0..bytes.div_ceil(PACKET_BYTES))
        .map(|_| (0..RETRANSMISSIONS_MAX).take_while(|_| rng.next_u64() < lost_below).count() as u32)
        .max();
    timeout * ((1 << worst.unwrap_or(0)) - 1)
}

fn capped(ms: u64) -> u64 {
    ms.min(DELAY_MS_MAX)
}

/// What a link takes before it holds its sender back: what fits on the line in a round trip, and a socket's buffer.
fn window_bytes(shape: &Shape) -> usize {
    if shape.bandwidth_bytes_per_s == 0 {
        return WINDOW_BYTES_MAX;
    }
    let line = shape.bandwidth_bytes_per_s.saturating_mul(2 * capped(shape.delay_ms + shape.jitter_ms)) / 1_000;
    usize::try_from(line).unwrap_or(WINDOW_BYTES_MAX).saturating_add(SOCKET_BYTES).min(WINDOW_BYTES_MAX)
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Shaped<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        if !self.is_plain() {
            // A connection that has nothing to write is polled here only.
            if let Poll::Ready(Err(error)) = self.poll_drain(cx) {
                return Poll::Ready(Err(error));
            }
            ready!(self.link.poll_reader(cx))?;
        }
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Shaped<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if !self.is_plain() {
            return self.poll_write_shaped(cx, bytes);
        }
        let poll = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.note_writer(cx, poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if !self.is_plain() {
            let bytes = slices.iter().find(|slice| !slice.is_empty()).map_or(&[][..], |slice| slice);
            return self.poll_write_shaped(cx, bytes);
        }
        let poll = Pin::new(&mut self.inner).poll_write_vectored(cx, slices);
        self.note_writer(cx, poll)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.is_plain() {
            ready!(self.link.poll_writer(cx))?;
            ready!(self.poll_drain(cx))?;
        }
        let poll = Pin::new(&mut self.inner).poll_flush(cx);
        self.note_writer(cx, poll)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.is_plain() {
            ready!(self.link.poll_writer(cx))?;
            ready!(self.poll_drain(cx))?;
        }
        let poll = Pin::new(&mut self.inner).poll_close(cx);
        self.note_writer(cx, poll)
    }
}

/// An hour: no delay is longer, whatever is asked.
const DELAY_MS_MAX: u64 = 3_600_000;
/// The payload of a TCP packet on Ethernet.
const PACKET_BYTES: usize = 1_460;
/// Linux's least retransmission timeout (`TCP_RTO_MIN`).
const RETRANSMISSION_MIN: Duration = Duration::from_millis(200);
/// More in a row would outlast the ping time-out.
const RETRANSMISSIONS_MAX: u32 = 6;
/// One Noise frame is a little longer, so each becomes a few segments.
const SEGMENT_BYTES_MAX: usize = 16 * 1_024;
/// Linux's default for what a socket holds (`tcp_wmem`), rounded up.
const SOCKET_BYTES: usize = 64 * 1_024;
/// Linux's largest automatic send buffer (`tcp_wmem`).
const WINDOW_BYTES_MAX: usize = 4 * 1_024 * 1_024;

#[cfg(test)]
#[path = "shape_tests.rs"]
mod tests;
