//! When to look for peers: at the bootstrap addresses while none is up, and in the DHT while few are known.

use std::collections::BTreeMap;
use std::time::Duration;

use libp2p::swarm::dial_opts::{DialOpts, PeerCondition, WithPeerIdWithAddresses};
use libp2p::{Multiaddr, PeerId};
use tokio::time::Instant;

use super::shape::split;

/// The addresses to begin with.
pub(super) struct Bootstrap {
    named: BTreeMap<PeerId, Vec<Multiaddr>>,
    unnamed: Vec<Multiaddr>,
    due: Instant,
    pause: Duration,
}

impl Bootstrap {
    pub(super) fn new(addresses: &[Multiaddr], local: PeerId, now: Instant) -> Self {
        let mut named = BTreeMap::<_, Vec<_>>::new();
        let mut unnamed = Vec::new();
        for address in addresses {
            match split(address) {
                (_, Some(peer)) if peer == local => {}
                (address, Some(peer)) => named.entry(peer).or_default().push(address),
                (address, None) => unnamed.push(address),
            }
        }
        Self { named, unnamed, due: now, pause: BOOTSTRAP_PAUSE }
    }

    /// The peers named, and where they are.
    pub(super) const fn named(&self) -> &BTreeMap<PeerId, Vec<Multiaddr>> {
        &self.named
    }

    /// What to dial now, if it is time. The pause until the next time doubles each time.
    pub(super) fn dials(&mut self, now: Instant) -> Vec<DialOpts> {
        if now < self.due {
            return Vec::new();
        }
        self.due = now + self.pause;
        self.pause = (2 * self.pause).min(BOOTSTRAP_PAUSE_MAX);
        let named = self.named.iter().map(|(peer, addresses)| dial(*peer, addresses.clone()));
        let unnamed = self
            .unnamed
            .iter()
            .map(|address| DialOpts::unknown_peer_id().address(address.clone()).allocate_new_port().build());
        named.chain(unnamed).collect()
    }

    /// A peer is up: the next search, when it comes to one, is quick again.
    pub(super) fn rest(&mut self, now: Instant) {
        self.pause = BOOTSTRAP_PAUSE;
        self.due = now + self.pause;
    }
}

/// A dial of a peer that is not connected yet, from a port of its own: dialling from the port that this node listens at
/// fails when two nodes dial each other at once.
pub(super) fn dial(peer: PeerId, addresses: Vec<Multiaddr>) -> DialOpts {
    named(peer, addresses).extend_addresses_through_behaviour().build()
}

/// The same at no other addresses than these.
pub(super) fn dial_only(peer: PeerId, addresses: Vec<Multiaddr>) -> DialOpts {
    named(peer, addresses).build()
}

fn named(peer: PeerId, addresses: Vec<Multiaddr>) -> WithPeerIdWithAddresses {
    DialOpts::peer_id(peer).condition(PeerCondition::DisconnectedAndNotDialing).addresses(addresses).allocate_new_port()
}

/// When to look up a random place in the DHT, so as to hear of more peers.
pub(super) struct Walks {
    due: Option<Instant>,
    quick_left: u32,
}

impl Walks {
    pub(super) const fn new() -> Self {
        Self { due: None, quick_left: QUICK_WALKS }
    }

    /// Somebody to ask is known.
    pub(super) fn begin(&mut self, now: Instant) {
        self.due.get_or_insert(now + WALK_DELAY);
    }

    /// Whether to walk now, knowing so many peers.
    pub(super) fn is_due(&mut self, now: Instant, known: usize) -> bool {
        if known == 0 || self.due.is_none_or(|due| now < due) {
            return false;
        }
        let quick = known < KNOWN_ENOUGH && self.quick_left > 0;
        self.quick_left = self.quick_left.saturating_sub(1);
        self.due = Some(now + if quick { QUICK_WALK_PAUSE } else { WALK_PAUSE });
        true
    }
}

/// The first pause between rounds of dials to the bootstrap addresses; doubled up to the next constant.
const BOOTSTRAP_PAUSE: Duration = Duration::from_secs(1);
/// A network that comes back is found within half a minute.
const BOOTSTRAP_PAUSE_MAX: Duration = Duration::from_secs(30);
/// So that the first peer has been asked who it is.
const WALK_DELAY: Duration = Duration::from_millis(250);
/// Between walks while few peers are known: a young network doubles meanwhile.
const QUICK_WALK_PAUSE: Duration = Duration::from_secs(5);
/// Kademlia's k: with as many known, one bucket is full.
const KNOWN_ENOUGH: usize = 20;
/// A network that has fewer than `KNOWN_ENOUGH` peers is not walked for ever.
const QUICK_WALKS: u32 = 6;
/// Otherwise: libp2p kad's own default for its periodic bootstrap.
const WALK_PAUSE: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bootstrap_addresses_are_tried_ever_more_rarely_until_a_peer_is_up() {
        let (local, other) = (PeerId::random(), PeerId::random());
        let text = |peer| format!("/ip4/127.0.0.1/tcp/1/p2p/{peer}").parse().expect("an address");
        let unnamed = "/ip4/127.0.0.1/tcp/2".parse().expect("an address");
        let start = Instant::now();
        let mut bootstrap = Bootstrap::new(&[text(local), text(other), unnamed], local, start);
        assert_eq!(bootstrap.named().keys().collect::<Vec<_>>(), [&other]);
        let seconds = |bootstrap: &mut Bootstrap| {
            let tries = (0..100).filter(|s| !bootstrap.dials(start + Duration::from_secs(*s)).is_empty());
            tries.collect::<Vec<_>>()
        };
        assert_eq!(seconds(&mut bootstrap), [0, 1, 3, 7, 15, 31, 61, 91]);
        bootstrap.rest(start);
        assert_eq!(bootstrap.dials(start).len(), 0);
        assert_eq!(bootstrap.dials(start + Duration::from_secs(1)).len(), 2, "this node itself is not dialled");
    }

    #[tokio::test]
    async fn walks_are_quick_while_few_are_known_and_then_rare() {
        let start = Instant::now();
        let mut walks = Walks::new();
        assert!(!walks.is_due(start, 1), "nobody was met yet");
        walks.begin(start);
        let mut times = Vec::new();
        for second in 0..400 {
            if walks.is_due(start + Duration::from_secs(second), 3) {
                times.push(second);
            }
        }
        assert_eq!(times, [1, 6, 11, 16, 21, 26, 31, 331]);
        assert!(!walks.is_due(start + Duration::from_secs(9_999), 0), "nobody is known");
    }
}
