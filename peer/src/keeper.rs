//! The part that keeps the chain: all of it, or its headers alone.

use alloc::boxed::Box;
use alloc::sync::Arc;

use synod_consensus::light::{self, Light};
use synod_consensus::{Chain, Claim, Command, Record, Replica, Violation};
use synod_ledger::BlockTree;
use synod_machine::{Input, Key, PeerId, Protocol};

/// What the part is made from.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "a peer is made from it once")]
pub enum KeeperParams {
    /// It keeps blocks and coins.
    Full(synod_consensus::Params),
    /// It keeps headers.
    Light(light::Params),
}

/// The part.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all are full, and a step has no time for a pointer")]
pub enum Keeper {
    /// It keeps blocks and coins.
    Full(Replica),
    /// It keeps headers.
    Light(Box<Light>),
}

impl Keeper {
    pub(crate) fn restore(params: KeeperParams, disk: impl Iterator<Item = (Key, Record)>) -> Self {
        match params {
            KeeperParams::Full(params) => Self::Full(Replica::restore(params, disk)),
            KeeperParams::Light(params) => Self::Light(Box::new(Light::restore(params, disk))),
        }
    }

    /// The chain that it follows.
    pub const fn chain(&self) -> &Arc<Chain> {
        match self {
            Self::Full(replica) => replica.chain(),
            Self::Light(light) => light.chain(),
        }
    }

    /// All headers that it knows.
    pub const fn tree(&self) -> &BlockTree {
        match self {
            Self::Full(replica) => replica.tree(),
            Self::Light(light) => light.tree(),
        }
    }

    /// The best tip that a peer said it has, or that it has for having given it to us. A peer without blocks claims none.
    pub fn claim(&self, peer: PeerId) -> Option<Claim> {
        match self {
            Self::Full(replica) => replica.claim(peer),
            Self::Light(light) => light.claim(peer),
        }
    }

    /// Two certified blocks of one height, if it stopped there.
    pub fn violation(&self) -> Option<&Violation> {
        match self {
            Self::Full(replica) => replica.violation(),
            Self::Light(light) => light.violation(),
        }
    }

    /// Whether what it says of the chain is said of its best block. Headers always are.
    pub fn is_settled(&self) -> bool {
        match self {
            Self::Full(replica) => replica.is_settled(),
            Self::Light(_) => true,
        }
    }

    pub(crate) fn check(&self) {
        match self {
            Self::Full(replica) => replica.check(),
            Self::Light(light) => light.check(),
        }
    }
}

/// What a light peer does about what would be a replica's input: it has no blocks to load and none to make.
pub(crate) fn lit(input: Input<Replica>) -> Option<Input<Light>> {
    Some(match input {
        Input::Command(Command::Gossip { id, from, item }) => Input::Command(light::Command::Gossip { id, from, item }),
        Input::Command(Command::Submit { ticket, tx }) => Input::Command(light::Command::Submit { ticket, tx }),
        Input::Command(Command::Loaded { .. } | Command::Mined { .. }) | Input::Timer(_) => return None,
        Input::Message { from, message } => Input::Message { from, message },
        Input::PeerDown(peer) => Input::PeerDown(peer),
        Input::PeerUp(peer) => Input::PeerUp(peer),
    })
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use synod_consensus::{Message as ReplicaMessage, Seen};
    use synod_machine::{Effect, Host, Reject, Time, Wire};

    use super::*;
    use crate::tests::{chain, params, submit};
    use crate::{Command as PeerCommand, Event, Message, Params, Peer};

    #[test]
    fn a_light_peer_claims_and_gives_no_blocks_makes_none_and_hands_payments_on() {
        let light = light::Params::new(chain(), light::Limits::default()).expect("a chain of work");
        let params = Params { keeper: KeeperParams::Light(light), ..params() };
        let now = Time::from_secs(1);
        let mut host = Host::start(Peer::restore(params, core::iter::empty()), now, |_| {});
        let message = |message| Input::Message { from: PeerId(4), message: Message::Replica(message) };
        let mined = Command::Mined { job: 0, seen: Seen::Declared { draw: 1 } };
        let inputs = [
            Input::PeerUp(PeerId(4)),
            message(ReplicaMessage::GetBlocks(vec![chain().id()])),
            message(ReplicaMessage::Headers(vec![])),
            Input::Command(PeerCommand::Replica(mined)),
            Input::Command(submit()),
        ];
        let (mut sent, mut rejects, mut said) = (Vec::new(), Vec::new(), Vec::new());
        for input in inputs {
            host.step(now, input, |effect| match effect {
                Effect::Send { to, message } => sent.push((to, message.kind())),
                Effect::Reject { peer, reason } => rejects.push((peer, reason)),
                Effect::Emit(event) => said.push(event),
                Effect::Broadcast { .. } | Effect::Cancel(_) | Effect::Set { .. } => {}
                Effect::Forget(_) | Effect::Persist { .. } => {}
            });
        }
        assert_eq!(sent, [(PeerId(4), "missing")], "no tip is claimed");
        assert_eq!(rejects, [(PeerId(4), Reject::Unsolicited)]);
        assert!(
            matches!(said[..], [Event::Replica(synod_consensus::Event::Submitted { result: Ok(_), .. })]),
            "{said:?}"
        );
        assert!(host.next_deadline().is_some(), "the payment is handed on again");
        host.fire(Time::from_secs(1_000), |_| {});
        assert!(host.protocol().keeper().is_settled() && host.protocol().keeper().claim(PeerId(4)).is_none());
    }
}
