//! The frames to and from one peer: a task that opens this side's stream, waits for the other's, and moves frames until
//! the peer is gone. It is the only one that tells the engine of the peer, so the order of what it tells needs no care:
//! up, frames, down.
//!
//! A frame is its length in four bytes, little-endian, and its content. Each direction has a stream of its own. A stream
//! that breaks while the connection lasts is opened again; what was on its way is lost, as it is when a connection breaks.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::io::{AsyncReadExt as _, AsyncWriteExt as _};
use libp2p::{PeerId, Stream, StreamProtocol};
use libp2p_stream::Control;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use super::frame::{self, BUFFER_BYTES_KEPT, PREFIX_BYTES};
use super::metrics::Metrics;
use super::table::{Entry, Table};
use super::{FrameRefusal, NetEvent};

/// What a session needs.
pub(super) struct Session {
    pub(super) entry: Arc<Entry>,
    pub(super) protocol: StreamProtocol,
    pub(super) frame_bytes_max: usize,
    pub(super) control: Control,
    pub(super) events: mpsc::Sender<NetEvent>,
    pub(super) metrics: Metrics,
    pub(super) table: Table,
    /// Told once, just before the engine is told that the peer is up.
    pub(super) ups: mpsc::UnboundedSender<PeerId>,
    pub(super) ends: Ends,
}

/// The session's ends of what it shares with its [`Handle`].
pub(super) struct Ends {
    closed: watch::Receiver<u64>,
    inbound: mpsc::Receiver<Stream>,
    outbox: mpsc::Receiver<Arc<[u8]>>,
    queued_bytes: Arc<AtomicUsize>,
}

/// How the network task reaches a session. Dropping it ends the session.
pub(super) struct Handle {
    pub(super) entry: Arc<Entry>,
    pub(super) is_up: bool,
    closed: watch::Sender<u64>,
    inbound: mpsc::Sender<Stream>,
    outbox: mpsc::Sender<Arc<[u8]>>,
    queued_bytes: Arc<AtomicUsize>,
}

/// How a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The connection is gone.
    Closed,
    /// The connection lasts, but frames cannot be moved on it.
    NoStream(&'static str),
}

impl Handle {
    /// A handle and the ends that its session is to be given.
    pub(super) fn new(entry: Arc<Entry>) -> (Self, Ends) {
        let (closed_sender, closed) = watch::channel(0);
        let (inbound_sender, inbound) = mpsc::channel(INBOUND_STREAMS_MAX);
        let (outbox_sender, outbox) = mpsc::channel(QUEUE_FRAMES_MAX);
        let queued_bytes = Arc::new(AtomicUsize::new(0));
        let ends = Ends { closed, inbound, outbox, queued_bytes: queued_bytes.clone() };
        let handle = Self {
            entry,
            is_up: false,
            closed: closed_sender,
            inbound: inbound_sender,
            outbox: outbox_sender,
            queued_bytes,
        };
        (handle, ends)
    }

    /// Queues a frame, or says that there is no room for it.
    pub(super) fn send(&self, frame: &Arc<[u8]>) -> bool {
        let before = self.queued_bytes.fetch_add(frame.len(), Ordering::Relaxed);
        // An empty queue takes any frame, or the longest could never be sent.
        let fits = before == 0 || before + frame.len() <= QUEUE_BYTES_MAX;
        let queued = fits && self.outbox.try_send(frame.clone()).is_ok();
        if !queued {
            self.queued_bytes.fetch_sub(frame.len(), Ordering::Relaxed);
            self.entry.dropped_frames.fetch_add(1, Ordering::Relaxed);
        }
        queued
    }

    /// Gives the session a stream that the peer opened.
    pub(super) fn accept(&self, stream: Stream) {
        // A peer that opens streams faster than they are looked at loses the newest.
        let _ = self.inbound.try_send(stream);
    }

    /// One of several connections to the peer is gone.
    pub(super) fn note_closed(&self) {
        self.closed.send_modify(|count| *count += 1);
    }
}

impl Session {
    /// Runs until the peer is gone.
    pub(super) async fn run(mut self) -> (PeerId, End) {
        let peer = self.entry.peer;
        let mut closed = self.ends.closed.clone();
        let opened = tokio::select! {
            biased;
            () = all_closed(&mut closed) => Err(End::Closed),
            opened = timeout(OPEN_TIMEOUT, self.open_both()) => {
                opened.map_err(|_| End::NoStream("it did not open its frame stream in time")).and_then(|opened| opened)
            }
        };
        let (outbound, inbound) = match opened {
            Ok(streams) => streams,
            Err(end) => return (peer, end),
        };
        let (events, metrics, table) = (self.events.clone(), self.metrics.clone(), self.table.clone());
        // First: the engine may answer the event with a frame before this thread runs again.
        let _ = self.ups.send(peer);
        if events.send(self.up()).await.is_err() {
            return (peer, End::Closed);
        }
        table.insert(self.entry.clone());
        metrics.peers.inc();
        let end = self.move_frames(outbound, inbound).await;
        metrics.peers.dec();
        table.remove(&peer);
        let _ = events.send(NetEvent::Down { peer }).await;
        (peer, end)
    }

    fn up(&self) -> NetEvent {
        NetEvent::Up {
            peer: self.entry.peer,
            address: self.entry.address.clone(),
            agent: self.entry.agent.clone(),
            outbound: self.entry.outbound,
        }
    }

    /// Opens this side's stream and waits for the other's. A stream that is not looked at over there is dropped, and is
    /// then opened once more.
    async fn open_both(&mut self) -> Result<(Stream, Stream), End> {
        let peer = self.entry.peer;
        let mut byte = [0];
        loop {
            let mut outbound = open(&mut self.control, peer, &self.protocol, OPENS_MAX).await?;
            let inbound = tokio::select! {
                biased;
                inbound = self.ends.inbound.recv() => Some(inbound.ok_or(End::Closed)?),
                _ = outbound.read(&mut byte) => None,
            };
            if let Some(inbound) = inbound {
                return Ok((outbound, inbound));
            }
            sleep(OPEN_PAUSE).await;
        }
    }

    async fn move_frames(self, outbound: Stream, inbound: Stream) -> End {
        let Self { entry, protocol, frame_bytes_max, control, events, metrics, ends, .. } = self;
        let mut closed = ends.closed.clone();
        let writer = Writer {
            entry: entry.clone(),
            protocol,
            control,
            metrics: metrics.clone(),
            outbox: ends.outbox,
            queued_bytes: ends.queued_bytes,
        };
        let reader = Reader { entry, frame_bytes_max, events, metrics, closed: ends.closed, inbound: ends.inbound };
        tokio::select! {
            biased;
            () = all_closed(&mut closed) => End::Closed,
            end = writer.run(outbound) => end,
            end = reader.run(inbound) => end,
        }
    }
}

/// Ends when the network task has dropped the session's handle.
async fn all_closed(closed: &mut watch::Receiver<u64>) {
    while closed.changed().await.is_ok() {}
}

async fn open(control: &mut Control, peer: PeerId, protocol: &StreamProtocol, tries: u32) -> Result<Stream, End> {
    for attempt in 0..tries {
        // The first try may meet a connection that is being closed for another one to the same peer.
        if attempt > 0 {
            sleep(OPEN_PAUSE * 2_u32.pow(attempt - 1)).await;
        }
        match timeout(OPEN_TIMEOUT, control.open_stream(peer, protocol.clone())).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => tracing::debug!(%peer, %error, "no frame stream"),
            Err(_) => tracing::debug!(%peer, "no frame stream in time"),
        }
    }
    Err(End::NoStream("it does not take a frame stream"))
}

struct Writer {
    entry: Arc<Entry>,
    protocol: StreamProtocol,
    control: Control,
    metrics: Metrics,
    outbox: mpsc::Receiver<Arc<[u8]>>,
    queued_bytes: Arc<AtomicUsize>,
}

impl Writer {
    async fn run(mut self, mut stream: Stream) -> End {
        let mut buffer = Vec::new();
        for _ in 0..REOPENS_MAX {
            while let Some(frame) = self.next(&mut stream).await {
                let frames = self.gather(&frame, &mut buffer);
                if write(&mut stream, &buffer).await.is_err() {
                    self.metrics.frames_dropped.inc_by(frames);
                    self.entry.dropped_frames.fetch_add(frames, Ordering::Relaxed);
                    break;
                }
                let bytes = buffer.len() as u64 - frames * PREFIX_BYTES as u64;
                self.metrics.frames_sent.inc_by(frames);
                self.metrics.frames_sent_bytes.inc_by(bytes);
                self.entry.sent_bytes.fetch_add(bytes, Ordering::Relaxed);
                if buffer.capacity() > BUFFER_BYTES_KEPT {
                    buffer = Vec::new();
                }
            }
            sleep(OPEN_PAUSE).await;
            stream = match open(&mut self.control, self.entry.peer, &self.protocol, OPENS_MAX).await {
                Ok(stream) => stream,
                Err(end) => return end,
            };
        }
        End::NoStream("its frame streams keep breaking")
    }

    /// The next frame, or nothing when the stream is no good any more: the other end never writes on it.
    async fn next(&mut self, stream: &mut Stream) -> Option<Arc<[u8]>> {
        let mut byte = [0];
        tokio::select! {
            biased;
            frame = self.outbox.recv() => match frame {
                Some(frame) => Some(frame),
                // The handle is gone, and with it this session, at once.
                None => std::future::pending().await,
            },
            _ = stream.read(&mut byte) => None,
        }
    }

    /// Puts this frame and what waits behind it into the buffer, so that many small frames go out as one write.
    fn gather(&mut self, first: &[u8], buffer: &mut Vec<u8>) -> u64 {
        buffer.clear();
        self.put(first, buffer);
        let mut frames = 1;
        while buffer.len() < BUFFER_BYTES_KEPT
            && let Ok(frame) = self.outbox.try_recv()
        {
            self.put(&frame, buffer);
            frames += 1;
        }
        frames
    }

    fn put(&self, frame: &[u8], buffer: &mut Vec<u8>) {
        let len = u32::try_from(frame.len()).expect("the network task takes no frame above its limit");
        buffer.extend_from_slice(&len.to_le_bytes());
        buffer.extend_from_slice(frame);
        self.queued_bytes.fetch_sub(frame.len(), Ordering::Relaxed);
    }
}

async fn write(stream: &mut Stream, bytes: &[u8]) -> std::io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}

struct Reader {
    entry: Arc<Entry>,
    frame_bytes_max: usize,
    events: mpsc::Sender<NetEvent>,
    metrics: Metrics,
    closed: watch::Receiver<u64>,
    inbound: mpsc::Receiver<Stream>,
}

impl Reader {
    async fn run(mut self, mut stream: Stream) -> End {
        for _ in 0..REOPENS_MAX {
            self.closed.mark_unchanged();
            let refusal = tokio::select! {
                biased;
                refusal = read_all(&self.entry, self.frame_bytes_max, &self.events, &self.metrics, &mut stream) => refusal,
                // The peer opens another stream when this one is broken, which it may know first.
                newer = self.inbound.recv() => match newer {
                    Some(newer) => { stream = newer; continue }
                    None => return End::Closed,
                },
            };
            // Dropped at once, or an announced flood would go on filling its window.
            drop(stream);
            self.refuse(refusal).await;
            stream = match timeout(OPEN_TIMEOUT, self.inbound.recv()).await {
                Ok(Some(stream)) => stream,
                Ok(None) => return End::Closed,
                Err(_) => return End::NoStream("it closed its frame stream"),
            };
        }
        End::NoStream("its frame streams keep breaking")
    }

    async fn refuse(&mut self, refusal: Option<FrameRefusal>) {
        let Some(reason) = refusal else { return };
        // A connection that breaks ends its streams anywhere, which is nobody's fault. Yamux tells no difference, so this
        // waits for the swarm to tell.
        if reason == FrameRefusal::Malformed && timeout(BLAME_PAUSE, self.closed.changed()).await.is_ok() {
            return;
        }
        self.metrics.refuse(match reason {
            FrameRefusal::Malformed => "frame_malformed",
            FrameRefusal::Oversized => "frame_oversized",
        });
        let _ = self.events.send(NetEvent::FrameRefused { peer: self.entry.peer, reason }).await;
    }
}

/// Hands on frames until the stream ends; says what was wrong with it if it did not end between two frames.
async fn read_all(
    entry: &Entry,
    frame_bytes_max: usize,
    events: &mpsc::Sender<NetEvent>,
    metrics: &Metrics,
    stream: &mut Stream,
) -> Option<FrameRefusal> {
    loop {
        let bytes = match frame::read(stream, frame_bytes_max).await {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return None,
            Err(reason) => return Some(reason),
        };
        metrics.frames_received.inc();
        metrics.frames_received_bytes.inc_by(bytes.len() as u64);
        entry.received_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        // While the engine is busy this waits and the stream is not read, which holds its sender back.
        events.send(NetEvent::Frame { peer: entry.peer, bytes }).await.ok()?;
    }
}

/// How long a stream may take to be opened: libp2p's own limit for the negotiation of one (`SubstreamProtocol`).
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);
/// Before a stream is asked for again; doubled each time.
const OPEN_PAUSE: Duration = Duration::from_millis(50);
/// Tries to open one stream: with the pauses between them, a second and a half.
const OPENS_MAX: u32 = 6;
/// How often a session's streams may break in either direction. An honest peer's break with the connection alone.
pub(super) const REOPENS_MAX: u32 = 16;
/// The swarm tells of a broken connection right after its streams have ended.
const BLAME_PAUSE: Duration = Duration::from_secs(1);
/// Streams of one peer that wait to be looked at.
const INBOUND_STREAMS_MAX: usize = 2;
/// Frames that wait for one peer; above the blocks in flight and the small messages of some seconds.
pub(super) const QUEUE_FRAMES_MAX: usize = 1_024;
/// Bytes that wait for one peer: with 64 connections half a gigabyte at the very worst.
pub(super) const QUEUE_BYTES_MAX: usize = 8 * 1_024 * 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_drops_and_counts() {
        let address = "/ip4/127.0.0.1/tcp/1".parse().expect("an address");
        let entry = Arc::new(Entry::new(PeerId::random(), address, true, String::new()));
        let (handle, _ends) = Handle::new(entry);
        let longer: Arc<[u8]> = vec![0; QUEUE_BYTES_MAX + 1].into();
        assert!(handle.send(&longer), "an empty queue takes any frame");
        assert!(!handle.send(&vec![0].into()), "and then no byte more");
        assert_eq!(handle.entry.dropped_frames.load(Ordering::Relaxed), 1);

        let (handle, _ends) = Handle::new(handle.entry);
        let empty: Arc<[u8]> = Vec::new().into();
        assert_eq!((0..=QUEUE_FRAMES_MAX).filter(|_| handle.send(&empty)).count(), QUEUE_FRAMES_MAX);
    }
}
