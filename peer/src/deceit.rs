//! What a peer that is not honest says besides what an honest one would: once a second it looks at its own chain and says
//! what its behaviour has it say.

use alloc::boxed::Box;
use core::time::Duration;

use synod_consensus::adversary::accusations;
use synod_consensus::{Command as ReplicaCommand, Event as ReplicaEvent, Item, Message as ReplicaMessage};
use synod_machine::{Input, Out, PeerId, Time};

use crate::{Behaviour, Keeper, Message, Peer, Timer};

/// Seconds are what stakes win, and a block comes in several of them.
const EVERY: Duration = Duration::from_secs(1);
/// From whom its replica gets the blocks that it makes: nobody who could be blamed.
const OWN: PeerId = PeerId(u32::MAX);

impl Peer {
    /// Begins what its behaviour does besides what an honest peer does, and ends what the one before did.
    pub(crate) fn scheme(&mut self, now: Time, out: &mut Out<Self>) {
        self.pool_or_not(now, out);
        self.look_on(now, out);
    }

    /// Looks at its chain at the next second, if its behaviour wants that.
    fn look_on(&self, now: Time, out: &mut Out<Self>) {
        match self.behaviour.is_scheming() {
            true => out.set(Timer::Deceit, Time::from_secs(now.as_secs()) + EVERY),
            false => out.cancel(Timer::Deceit),
        }
    }

    pub(crate) fn on_deceit(&mut self, now: Time, out: &mut Out<Self>) {
        if self.behaviour == Behaviour::Accuse {
            self.accuse(out);
        } else if self.behaviour == Behaviour::MultiMint {
            self.mint_everywhere(now, out);
        }
        self.look_on(now, out);
    }

    fn accuse(&self, out: &mut Out<Self>) {
        let Keeper::Full(replica) = &self.keeper else { return };
        for evidence in accusations(replica) {
            let evidence = Message::Replica(ReplicaMessage::Evidence(Box::new(evidence)));
            out.broadcast(replica.peers(), evidence);
        }
    }

    /// What it makes is taken in by its own replica first, as an honest peer's is, and then spread.
    fn mint_everywhere(&mut self, now: Time, out: &mut Out<Self>) {
        let Keeper::Full(replica) = &self.keeper else { return };
        let Some(secret) = replica.signer().cloned() else { return };
        for block in self.minter.blocks(now, replica, &secret) {
            let taken = ReplicaCommand::Gossip { id: block.fingerprint(), from: OWN, item: Item::Block(block.clone()) };
            self.keep(now, Input::Command(taken), out);
            self.carrier.route(now, ReplicaEvent::Publish(Item::Block(block)), out);
        }
    }
}
