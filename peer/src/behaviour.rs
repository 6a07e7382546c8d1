//! What a peer that is not honest makes of what an honest one would say. It keeps its chain as the honest do, so that it can be
//! honest again; what it sends is another's (Byzantine faults in the sense of Lamport, Shostak and Pease 1982, among peers who
//! cannot sign for others).

use alloc::vec::Vec;

use synod_consensus::Message as ReplicaMessage;
use synod_dht::gossip::Message as GossipMessage;
use synod_ledger::{Block, BlockId, Signature, Tx};
use synod_machine::{Bytes, Effect, Out};

use crate::{Item, Message, Peer};

/// How a peer behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Behaviour {
    /// Tells its neighbours of offences that nobody committed, once a second ([`accusations`](synod_consensus::adversary::accusations)).
    Accuse,
    /// Changes what it hands on: blocks get another root, payments lose their signatures.
    Corrupt,
    /// Answers no request, neither for headers nor for blocks or payments.
    Deny,
    /// Claims a chain with all the work there can be, and has it not.
    Exaggerate,
    /// Hands no block and no payment on by gossip: a free rider.
    Hoard,
    /// As the protocol says.
    #[default]
    Honest,
    /// Mints on every branch with its stake, if it has one, and keeps evidence to itself
    /// ([`MultiMinter`](synod_consensus::adversary::MultiMinter)).
    MultiMint,
    /// Sends nothing at all, and hears everything.
    Mute,
    /// Says everything three times.
    Repeat,
    /// Mines for itself on a chain of work, and publishes what it finds when that costs others most
    /// ([`Selfish`](synod_consensus::adversary::Selfish)). On any other chain it is honest. What it keeps back is in its memory alone: a
    /// peer that starts again says all that its disk holds, as an honest one does, and keeps back what it finds from then on.
    Selfish,
}

/// How often [`Behaviour::Repeat`] says what it says.
const REPEATS: usize = 3;

impl Behaviour {
    /// Whether it says things of its own beside what it makes of an honest step.
    pub(crate) const fn is_scheming(self) -> bool {
        match self {
            Self::Accuse | Self::MultiMint => true,
            Self::Corrupt
            | Self::Deny
            | Self::Exaggerate
            | Self::Hoard
            | Self::Honest
            | Self::Mute
            | Self::Repeat
            | Self::Selfish => false,
        }
    }

    /// What it says where an honest peer would say this. What is private to a selfish one, its pool knows.
    pub(crate) fn say(self, message: Message) -> Vec<Message> {
        match self {
            Self::Corrupt => alloc::vec![corrupt(message)],
            Self::Deny if is_answer(&message) => Vec::new(),
            Self::Exaggerate => alloc::vec![exaggerate(message)],
            Self::Hoard if matches!(message, Message::Gossip(GossipMessage::Push(_))) => Vec::new(),
            Self::MultiMint if matches!(message, Message::Replica(ReplicaMessage::Evidence(_))) => Vec::new(),
            Self::Mute => Vec::new(),
            Self::Repeat => alloc::vec![message; REPEATS],
            Self::Accuse | Self::Deny | Self::Hoard | Self::Honest | Self::MultiMint | Self::Selfish => {
                alloc::vec![message]
            }
        }
    }
}

/// Hands the effects of an honest step on, with what `say` makes of each message.
pub(crate) fn distort(honest: &mut Out<Peer>, out: &mut Out<Peer>, say: impl Fn(Message) -> Vec<Message>) {
    for effect in honest.drain() {
        match effect {
            Effect::Broadcast { to, message } => {
                for message in say(message) {
                    out.broadcast(to.clone(), message);
                }
            }
            Effect::Send { to, message } => say(message).into_iter().for_each(|message| out.send(to, message)),
            Effect::Cancel(timer) => out.cancel(timer),
            Effect::Emit(event) => out.emit(event),
            Effect::Forget(key) => out.forget(key),
            Effect::Persist { key, record } => out.persist(key, record),
            Effect::Reject { peer, reason } => out.reject(peer, reason),
            Effect::Set { timer, at } => out.set(timer, at),
        }
    }
}

const fn is_answer(message: &Message) -> bool {
    match message {
        Message::Replica(message) => match message {
            ReplicaMessage::Block(_)
            | ReplicaMessage::Headers(_)
            | ReplicaMessage::Missing(_)
            | ReplicaMessage::Payments(_)
            | ReplicaMessage::Reply(_) => true,
            ReplicaMessage::Agreement(_)
            | ReplicaMessage::Client(_)
            | ReplicaMessage::Evidence(_)
            | ReplicaMessage::GetBlocks(_)
            | ReplicaMessage::GetHeaders(_)
            | ReplicaMessage::GetPayments(_)
            | ReplicaMessage::Pool(_)
            | ReplicaMessage::Request(_)
            | ReplicaMessage::Tip(_) => false,
        },
        Message::Discovery(_) | Message::Gossip(_) => false,
    }
}

fn corrupt(message: Message) -> Message {
    match message {
        Message::Gossip(GossipMessage::Push(Item::Block(block))) => {
            Message::Gossip(GossipMessage::Push(Item::Block(another_root(&block))))
        }
        Message::Gossip(GossipMessage::Push(Item::Payment(tx))) => {
            Message::Gossip(GossipMessage::Push(Item::Payment(unsigned(&tx))))
        }
        Message::Replica(ReplicaMessage::Block(block)) => Message::Replica(ReplicaMessage::Block(another_root(&block))),
        Message::Replica(ReplicaMessage::Payments(payments)) => {
            Message::Replica(ReplicaMessage::Payments(payments.iter().map(unsigned).collect()))
        }
        Message::Discovery(_) | Message::Gossip(_) | Message::Replica(_) => message,
    }
}

fn another_root(block: &Block) -> Block {
    let mut header = block.header().clone();
    header.root.0[0] ^= 1;
    Block::new(header, block.coinbase().clone(), block.payments().to_vec())
}

fn unsigned(tx: &Tx) -> Tx {
    let mut payment = synod_ledger::Payment::clone(tx);
    payment.inputs.iter_mut().for_each(|input| input.signature = Signature::NONE);
    Tx::from(payment)
}

fn exaggerate(message: Message) -> Message {
    match message {
        Message::Replica(ReplicaMessage::Tip(mut claim)) => {
            claim.work = Bytes([u8::MAX; 32]);
            claim.tip = BlockId(Bytes(claim.tip.0.0.map(|byte| !byte)));
            Message::Replica(ReplicaMessage::Tip(claim))
        }
        Message::Discovery(_) | Message::Gossip(_) | Message::Replica(_) => message,
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use synod_consensus::Claim;
    use synod_ledger::Height;
    use synod_machine::PeerId;

    use super::*;
    use crate::tests::{chain, payment};

    fn said(behaviour: Behaviour, message: Message) -> Vec<Message> {
        let (mut honest, mut out) = (Out::new(), Out::new());
        honest.send(PeerId(1), message);
        distort(&mut honest, &mut out, |message| behaviour.say(message));
        out.drain()
            .map(|effect| match effect {
                Effect::Send { to: PeerId(1), message } => message,
                _ => panic!("only a message was said"),
            })
            .collect()
    }

    #[test]
    fn each_behaviour_changes_what_it_names_and_nothing_else() {
        let block = Message::Replica(ReplicaMessage::Block(chain().block().clone()));
        let push = Message::Gossip(GossipMessage::Push(Item::Payment(payment())));
        let claim = Claim { tip: chain().id(), height: Height(3), work: Bytes([1; 32]) };
        let tip = Message::Replica(ReplicaMessage::Tip(claim));
        for message in [&block, &push, &tip] {
            assert_eq!(said(Behaviour::Honest, message.clone()), vec![message.clone()]);
            assert_eq!(said(Behaviour::Mute, message.clone()), vec![]);
            assert_eq!(said(Behaviour::Repeat, message.clone()), vec![message.clone(); 3]);
        }
        assert_eq!(said(Behaviour::Deny, block.clone()), vec![]);
        assert_eq!(said(Behaviour::Deny, push.clone()), vec![push.clone()]);
        assert_eq!(said(Behaviour::Hoard, push.clone()), vec![]);
        assert_eq!(said(Behaviour::Hoard, block.clone()), vec![block.clone()]);
        assert_eq!(said(Behaviour::Corrupt, tip.clone()), vec![tip.clone()]);
        let Message::Replica(ReplicaMessage::Block(bad)) = &said(Behaviour::Corrupt, block)[0] else {
            panic!("a block stays a block")
        };
        assert_ne!(bad.header().root, bad.merkle_root());
        let Message::Gossip(GossipMessage::Push(Item::Payment(bad))) = &said(Behaviour::Corrupt, push)[0] else {
            panic!("a payment stays a payment")
        };
        assert_eq!(bad.inputs[0].signature, Signature::NONE);
        let Message::Replica(ReplicaMessage::Tip(lie)) = &said(Behaviour::Exaggerate, tip)[0] else {
            panic!("a claim stays a claim")
        };
        assert_eq!((lie.height, lie.work), (Height(3), Bytes([255; 32])));
        assert_ne!(lie.tip, claim.tip);
    }
}
