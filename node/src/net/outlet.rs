//! What the network task itself tells the engine. The task must not wait, so what the channel has no room for waits here,
//! up to a bound. (Sessions tell of their peers themselves, and do wait.)

use std::collections::VecDeque;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::NetEvent;
use super::metrics::Metrics;

/// The way to the engine.
pub(super) struct Outlet {
    events: mpsc::Sender<NetEvent>,
    waiting: VecDeque<NetEvent>,
    waiting_gossip: usize,
    metrics: Metrics,
}

impl Outlet {
    pub(super) const fn new(events: mpsc::Sender<NetEvent>, metrics: Metrics) -> Self {
        Self { events, waiting: VecDeque::new(), waiting_gossip: 0, metrics }
    }

    /// The channel, for those who may wait.
    pub(super) const fn sender(&self) -> &mpsc::Sender<NetEvent> {
        &self.events
    }

    /// Tells now or later. False where there is no room: the event is dropped, and counted.
    pub(super) fn tell(&mut self, event: NetEvent) -> bool {
        let event = if self.waiting.is_empty() {
            match self.events.try_send(event) {
                Ok(()) | Err(TrySendError::Closed(_)) => return true,
                Err(TrySendError::Full(event)) => event,
            }
        } else {
            event
        };
        let is_gossip = matches!(event, NetEvent::Gossip { .. });
        if self.waiting.len() >= WAITING_MAX || (is_gossip && self.waiting_gossip >= WAITING_GOSSIP_MAX) {
            self.metrics.events_dropped.inc();
            return false;
        }
        self.waiting_gossip += usize::from(is_gossip);
        self.waiting.push_back(event);
        true
    }

    /// Waits until something that waits can be told, and tells it; for ever while nothing waits. Nothing is lost if this
    /// is given up. False when the engine is gone.
    pub(super) async fn pass_on(&mut self) -> bool {
        if self.waiting.is_empty() {
            return std::future::pending().await;
        }
        let Ok(permit) = self.events.reserve().await else { return false };
        let event = self.waiting.pop_front().expect("it was not empty");
        self.waiting_gossip -= usize::from(matches!(event, NetEvent::Gossip { .. }));
        permit.send(event);
        true
    }
}

/// Small events: a look-up's finds and the failures of a whole round of dials, many times over.
const WAITING_MAX: usize = 4_096;
/// Messages of up to a block's size each.
const WAITING_GOSSIP_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use libp2p::PeerId;
    use prometheus_client::registry::Registry;

    use super::*;
    use crate::net::{MessageId, Topic};

    fn gossip(number: u8) -> NetEvent {
        let (id, source) = (MessageId::new(&[number]), PeerId::random());
        NetEvent::Gossip { id, source, topic: Topic::Blocks, bytes: vec![number] }
    }

    #[tokio::test]
    async fn what_the_engine_is_too_slow_for_waits_in_order_and_then_is_dropped() {
        let (sender, mut receiver) = mpsc::channel(1);
        let metrics = Metrics::new(&mut Registry::default());
        let mut outlet = Outlet::new(sender, metrics.clone());
        for number in 0..=WAITING_GOSSIP_MAX {
            assert!(outlet.tell(gossip(number as u8)), "{number}: one in the channel, the others wait");
        }
        assert!(!outlet.tell(gossip(0)), "there is no room for one more");
        assert_eq!(metrics.events_dropped.get(), 1);
        for number in 0..=WAITING_GOSSIP_MAX {
            let event = receiver.recv().await.expect("an event");
            assert!(matches!(event, NetEvent::Gossip { bytes, .. } if bytes == [number as u8]), "{number}");
            if number < WAITING_GOSSIP_MAX {
                assert!(outlet.pass_on().await);
            }
        }
        assert!(outlet.tell(gossip(0)), "there is room again");
    }
}
