//! What passed in a span of a run, real or simulated, and what a block and a payment cost.

use std::collections::BTreeMap;

use serde::Serialize;
use synod_ledger::SignatureCount;
use synod_machine::Count;

/// All peers' counters at one moment of a run.
#[derive(Clone, Debug, Default)]
pub(super) struct Sample {
    /// Seconds since any moment that all samples of a run share.
    pub(super) at: f64,
    /// Blocks found.
    pub(super) blocks: u64,
    /// Payments acknowledged.
    pub(super) payments: u64,
    /// Messages sent, by kind.
    pub(super) sent: BTreeMap<String, Count>,
    /// Bytes that all sockets sent.
    pub(super) wire_bytes: Option<u64>,
    /// Signatures that all processes made and checked.
    pub(super) signatures: SignatureCount,
}

/// What a run is of: the same for all its samples.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) peers: u32,
    /// The time between blocks that the chain aims at, in seconds.
    pub(super) block_time: f64,
    /// Payments per second that were asked for.
    pub(super) rate: f64,
}

/// What passed in a span of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// How many peers.
    pub peers: u32,
    /// Who carried blocks and payments.
    pub gossip: &'static str,
    /// How long the span was: wall time on real peers, virtual time on simulated ones.
    pub seconds: f64,
    /// Blocks found, those that did not stay on the chain among them.
    pub blocks: u64,
    /// Payments acknowledged.
    pub payments: u64,
    /// What was sent, by kind.
    pub messages: Vec<Passed>,
    /// Bytes that the sockets sent, encryption, multiplexing and all other protocols among them; nothing in virtual time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wire_bytes: Option<u64>,
    /// What a block and a payment cost.
    pub costs: Costs,
}

/// What was sent of one kind of message, by all peers together.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Passed {
    /// The kind.
    pub kind: String,
    /// Messages; one to several receivers counts once for each.
    pub messages: u64,
    /// Their encoded bytes, framing not included.
    pub bytes: u64,
}

/// What a block and a payment cost all peers together, in messages.
///
/// Pushes belong to a block or a payment. Lists of ids (`ihave`, `iwant`) come with heartbeats and serve all blocks and payments
/// of some seconds, so they are a rate; in the sums they count for as long as a block time lasts. Sums are for the
/// block time and the rate of payments that the scenario names, since how many blocks a span of proof of work has is chance.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Costs {
    /// Pushes of blocks, per block found.
    pub pushes_per_block: f64,
    /// Pushes of payments, per payment acknowledged.
    pub pushes_per_payment: f64,
    /// Lists of ids, offered and asked for, per second; nothing where they are not counted.
    pub lists_per_second: Option<f64>,
    /// All of these from one block to the next.
    pub per_block: f64,
    /// The same, shared among the payments between two blocks; nothing where nobody pays.
    pub per_payment: Option<f64>,
}

impl Figures {
    /// What passed between two samples. Where gossipsub carries, what it sends has its own kinds.
    pub(super) fn between(frame: Frame, gossip: &'static str, from: &Sample, to: &Sample) -> Self {
        let seconds = to.at - from.at;
        let (blocks, payments) = (to.blocks - from.blocks, to.payments - from.payments);
        let passed = |(kind, count): (&String, &Count)| {
            let before = from.sent.get(kind).copied().unwrap_or_default();
            Passed { kind: kind.clone(), messages: count.messages - before.messages, bytes: count.bytes - before.bytes }
        };
        let messages: Vec<Passed> = to.sent.iter().map(passed).filter(|passed| passed.messages > 0).collect();
        let wire_bytes = to.wire_bytes.zip(from.wire_bytes).map(|(to, from)| to - from);
        let costs = Costs::of(frame, &messages, seconds, blocks, payments);
        Self { peers: frame.peers, gossip, seconds, blocks, payments, messages, wire_bytes, costs }
    }
}

impl Costs {
    fn of(frame: Frame, messages: &[Passed], seconds: f64, blocks: u64, payments: u64) -> Self {
        let count = |kinds: &[&str]| {
            let of_kinds = messages.iter().filter(|passed| kinds.contains(&passed.kind.as_str()));
            of_kinds.map(|passed| passed.messages).sum::<u64>() as f64
        };
        let ratio = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 0.0 };
        let pushes_per_block = ratio(count(&[PUSH_BLOCK, GOSSIPSUB_BLOCK]), blocks as f64);
        let pushes_per_payment = ratio(count(&[PUSH_PAYMENT, GOSSIPSUB_PAYMENT]), payments as f64);
        // libp2p counts no lists of gossipsub's.
        let is_counted = count(&[GOSSIPSUB_BLOCK, GOSSIPSUB_PAYMENT]) == 0.0;
        let lists_per_second = is_counted.then(|| ratio(count(&["ihave", "iwant"]), seconds));
        let payments_per_block = frame.rate * frame.block_time;
        let per_block = pushes_per_block
            + payments_per_block * pushes_per_payment
            + frame.block_time * lists_per_second.unwrap_or_default();
        let per_payment = (payments_per_block > 0.0).then(|| per_block / payments_per_block);
        Self { pushes_per_block, pushes_per_payment, lists_per_second, per_block, per_payment }
    }
}

/// A push of a block, as `peer` names it.
pub(super) const PUSH_BLOCK: &str = "push_block";
/// A push of a payment.
pub(super) const PUSH_PAYMENT: &str = "push_payment";
/// A message of gossipsub's with a block, as libp2p's own metrics count it.
pub(super) const GOSSIPSUB_BLOCK: &str = "gossipsub_block";
/// A message of gossipsub's with a payment.
pub(super) const GOSSIPSUB_PAYMENT: &str = "gossipsub_payment";

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at: f64, blocks: u64, payments: u64, sent: &[(&str, u64)]) -> Sample {
        let count = |messages| Count { messages, bytes: 10 * messages };
        let sent = sent.iter().map(|(kind, messages)| (kind.to_string(), count(*messages))).collect();
        Sample { at, blocks, payments, sent, wire_bytes: Some(1_000 * blocks), ..Sample::default() }
    }

    #[test]
    fn a_span_has_what_came_between_its_ends_and_sums_for_the_named_block_time_and_rate() {
        let from = sample(10.0, 3, 50, &[("push_block", 100), ("tip", 7)]);
        let sent = [("push_block", 220), ("push_payment", 1_200), ("ihave", 250), ("iwant", 50), ("tip", 7)];
        let to = sample(30.0, 15, 150, &sent);
        let frame = Frame { peers: 12, block_time: 2.0, rate: 4.0 };
        let figures = Figures::between(frame, "mesh", &from, &to);
        assert_eq!((figures.seconds, figures.blocks, figures.payments), (20.0, 12, 100));
        assert_eq!(figures.wire_bytes, Some(12_000));
        let kinds: Vec<(&str, u64)> =
            figures.messages.iter().map(|passed| (passed.kind.as_str(), passed.messages)).collect();
        assert_eq!(kinds, [("ihave", 250), ("iwant", 50), ("push_block", 120), ("push_payment", 1_200)]);
        let expected = Costs {
            pushes_per_block: 10.0,
            pushes_per_payment: 12.0,
            lists_per_second: Some(15.0),
            per_block: 10.0 + 8.0 * 12.0 + 2.0 * 15.0,
            per_payment: Some(136.0 / 8.0),
        };
        assert_eq!(figures.costs, expected);
    }

    #[test]
    fn gossipsub_has_no_lists_that_are_counted() {
        let to = sample(10.0, 5, 0, &[("gossipsub_block", 100)]);
        let frame = Frame { peers: 12, block_time: 2.0, rate: 0.0 };
        let costs = Figures::between(frame, "gossipsub", &Sample::default(), &to).costs;
        assert_eq!(costs.lists_per_second, None);
        assert_eq!((costs.pushes_per_block, costs.per_block, costs.per_payment), (20.0, 20.0, None));
    }
}
